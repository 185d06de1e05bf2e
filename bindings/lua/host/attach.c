/* attach.c - the script host of a store: its rules, and the hooks that run them.
**
** One host for each store and process, shared by all handles on it; a process that forks leaves it
** behind and makes its own. A host has the rules that were needed last. Who needs others loads
** them:
**
**     NONE --(a batch or a read under rules)--> version 7 --(one under other rules)--> version 9
**
** Rules never come back once they were changed, so who is asked for rules that are not the present
** ones lets the engine find out: the batch is refused as stale and expanded again.
*/
#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rules.h"

struct host {
    struct host *next;
    dev_t device; /* of the data file, which is open as long as a handle is: no other can have it */
    ino_t inode;
    pid_t process;
    size_t handles;
    pthread_mutex_t mutex;      /* guards `rules`; held while they are loaded */
    struct tycho__rules *rules; /* or NULL */
};

static pthread_mutex_t hosts_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct host *hosts;

/* ---------------------------------------------------------------- life */

static void forget_in_child(void) {
    pthread_mutex_init(&hosts_mutex, NULL);
    hosts = NULL;
}

static void watch_forks(void) {
    pthread_atfork(NULL, NULL, forget_in_child);
}

static struct host *create_host(const struct stat *place) {
    struct host *host = calloc(1, sizeof *host);
    if (host == NULL) return NULL;
    pthread_mutex_init(&host->mutex, NULL);
    host->device = place->st_dev;
    host->inode = place->st_ino;
    host->process = getpid();
    host->next = hosts;
    hosts = host;
    return host;
}

static struct host *get_host(const struct stat *place) {
    pthread_mutex_lock(&hosts_mutex);
    struct host *host = hosts;
    while (host != NULL && (host->device != place->st_dev || host->inode != place->st_ino)) {
        host = host->next;
    }
    if (host == NULL) host = create_host(place);
    if (host != NULL) host->handles++;
    pthread_mutex_unlock(&hosts_mutex);
    return host;
}

/* A handle was closed. That of a parent process is left as it is. */
static void close_host(void *context) {
    struct host *host = context, **link = &hosts;
    if (host->process != getpid()) return;
    pthread_mutex_lock(&hosts_mutex);
    bool is_last = --host->handles == 0;
    while (is_last && *link != host) link = &(*link)->next;
    if (is_last) *link = host->next;
    pthread_mutex_unlock(&hosts_mutex);
    if (!is_last) return;
    tycho__rules_release(host->rules);
    pthread_mutex_destroy(&host->mutex);
    free(host);
}

/* ---------------------------------------------------------------- rules */

/* Loads the present rules unless the host has them. Version 0 is that of all stores without
** scripts, so that it says nothing about their history. */
static int load_rules(struct host *host, tycho_store *store) {
    struct tycho__rules *loaded = NULL;
    uint64_t present = 0;
    int status = tycho_rules_version(store, &present);
    bool is_loaded = host->rules != NULL && host->rules->version == present && present != 0;
    if (status != TYCHO_OK || is_loaded) return status;
    status = tycho__rules_load(store, host->rules, &loaded);
    if (status != TYCHO_OK) return status;
    tycho__rules_release(host->rules);
    host->rules = loaded;
    return TYCHO_OK;
}

/* The rules of this version, held; NULL with TYCHO_OK when they are not the present ones. */
static int get_rules(struct host *host, tycho_store *store, uint64_t version,
                     struct tycho__rules **out) {
    int status = TYCHO_OK;
    pthread_mutex_lock(&host->mutex);
    bool is_loaded = host->rules != NULL && host->rules->version == version && version != 0;
    if (!is_loaded) status = load_rules(host, store);
    *out = status == TYCHO_OK && host->rules->version == version ? host->rules : NULL;
    if (*out != NULL) tycho__rules_hold(*out);
    pthread_mutex_unlock(&host->mutex);
    return status;
}

/* ---------------------------------------------------------------- appended events */

/* What a script needs for the time of one batch. */
struct part {
    struct tycho__runner *runner; /* borrowed, or NULL */
    char link[TYCHO_NAME_MAX];    /* of a ready-made linker */
};

enum {
    SEEN = 16,
    GIVEN = 64, /* a power of two; half of them are used */
    GIVEN_LINKERS = 32
};

/* A type of an event that was visited before; views the batch. */
struct seen {
    tycho_bytes type;
    const struct tycho__concern *concern; /* NULL: nothing is here */
};

/* What linkers gave for a type and a category, as far as they look at nothing else. */
struct given_links {
    size_t link_count;
    tycho_bytes links[GIVEN_LINKERS];
    uint32_t *memos[GIVEN_LINKERS];
    size_t open_count;
    uint16_t open[GIVEN_LINKERS]; /* the linkers that are to be run */
    uint32_t numbers[GIVEN_LINKERS];
    char names[GIVEN_LINKERS][TYCHO_NAME_MAX];
};

/* Views the batch. */
struct given {
    tycho_bytes type, category;
    struct given_links *all; /* NULL: nothing is here */
};

struct expansion {
    tycho_store *store;
    const struct tycho__rules *rules;
    struct part *parts;                   /* one a definition */
    const struct tycho__concern *concern; /* of the event that is visited */
    struct seen seen[SEEN];               /* by size and middle of the type */
    bool deploys;                         /* the batch does */
    struct given given[GIVEN];            /* open addressing */
    size_t given_count;
    struct tycho_buffer links, memos; /* as in tycho_additions */
    size_t raw_count; /* of them: of read models, whose streams are theirs alone */
};

static int borrow(struct expansion *x, size_t index) {
    struct part *part = &x->parts[index];
    if (part->runner != NULL) return TYCHO_OK;
    int status = tycho__runner_borrow(x->rules->definitions[index], &part->runner);
    if (status == TYCHO_OK) tycho__known_begin(&part->runner->known);
    return status;
}

static int reject_renamed(const struct expansion *x, const struct tycho__concern *concern,
                          const tycho_event *event) {
    return tycho__script_reject(x->rules->definitions[concern->renamed], event, "", 0,
                                "the type has this name now: publish it under that");
}

static int run_event_type(struct expansion *x, struct tycho__shown *shown, size_t index) {
    int status = borrow(x, index);
    if (status == TYCHO_OK) status = tycho__run_event_type(x->parts[index].runner, shown);
    if (status != TYCHO_OK) return status;
    shown->more_tags = tycho__names_list(&x->parts[index].runner->names);
    shown->more_tag_count = x->parts[index].runner->names.count;
    return TYCHO_OK;
}

/* Where there is no memory the buffers have failed. */
static void put_link(struct expansion *x, tycho_bytes link, uint32_t *memo) {
    uint8_t *to = tycho__payload_reserve(&x->links, sizeof link);
    uint8_t *memo_to = tycho__payload_reserve(&x->memos, sizeof memo);
    if (to == NULL || memo_to == NULL) return;
    memcpy(to, &link, sizeof link);
    memcpy(memo_to, &memo, sizeof memo);
    x->links.size += sizeof link;
    x->memos.size += sizeof memo;
}

/* The linker gives this, or nothing, for each event of the kind. NULL is fine. */
static void keep_given(struct given_links *given, size_t index, tycho_bytes link) {
    size_t i = 0, at = given == NULL ? 0 : given->link_count;
    if (given == NULL) return;
    while (given->open[i] != index) i++;
    given->open_count--;
    for (; i < given->open_count; i++) given->open[i] = given->open[i + 1];
    if (link.size == 0) return;
    memcpy(given->names[at], link.data, link.size);
    given->links[at] = tycho__text_of(given->names[at], link.size);
    given->memos[at] = &given->numbers[at];
    given->link_count++;
}

/* Who links into the history of scripts would keep the next deployment from ever being the next. */
static int check_links(struct tycho__definition *definition, const struct tycho__shown *shown,
                       const tycho_bytes *links, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (!tycho__same(links[i], tycho__scripts_stream())) continue;
        return tycho__script_reject(definition, shown->event, "", 0,
                                    "\"$scripts\" is the history of scripts: nothing is linked "
                                    "into it");
    }
    return TYCHO_OK;
}

static int run_function(struct expansion *x, const struct tycho__shown *shown, size_t index,
                        struct given_links *given) {
    struct tycho__definition *definition = x->rules->definitions[index];
    const bool is_model = definition->about.kind == TYCHO_READ_MODEL;
    int status = borrow(x, index);
    if (status == TYCHO_OK) status = tycho__run_names(x->parts[index].runner, shown);
    if (status != TYCHO_OK) return status;
    const struct tycho__runner *runner = x->parts[index].runner;
    const struct tycho__names *names = &runner->names;
    const tycho_bytes *links = tycho__names_list(names);
    status = check_links(definition, shown, links, names->count);
    if (status != TYCHO_OK) return status;
    for (size_t i = 0; i < names->count; i++) {
        put_link(x, links[i], names->memo);
    }
    if (is_model) x->raw_count += names->count;
    if (runner->known.is_by_type && names->count <= 1 && !is_model) {
        keep_given(given, index, names->count == 0 ? tycho__text("") : links[0]);
    }
    return TYCHO_OK;
}

static int run_ready_made(struct expansion *x, const struct tycho__shown *shown, size_t index,
                          struct given_links *given) {
    struct tycho__definition *definition = x->rules->definitions[index];
    tycho_bytes link;
    int status = tycho__linker_name(definition, shown, x->parts[index].link, &link);
    if (status == TYCHO_OK) status = check_links(definition, shown, &link, link.size > 0);
    if (status != TYCHO_OK) return status;
    if (link.size > 0) put_link(x, link, NULL);
    const bool is_one = definition->by == TYCHO__BY_TYPE || definition->by == TYCHO__BY_CATEGORY;
    if (is_one) keep_given(given, index, link);
    return TYCHO_OK;
}

/* `given` is where what it gives is kept, or NULL. */
static int run_linker(struct expansion *x, const struct tycho__shown *shown, size_t index,
                      struct given_links *given) {
    struct tycho__definition *definition = x->rules->definitions[index];
    bool is_read;
    if (definition->about.tag_count > 0) given = NULL;
    int status = tycho__linker_reads(definition, shown, &is_read);
    if (status == TYCHO_OK && !is_read) keep_given(given, index, tycho__text(""));
    if (status != TYCHO_OK || !is_read) return status;
    return definition->by == TYCHO__BY_FUNCTION ? run_function(x, shown, index, given)
                                                : run_ready_made(x, shown, index, given);
}

static struct given_links *new_given(const struct tycho__concern *concern) {
    struct given_links *given = malloc(sizeof *given);
    if (given == NULL) return NULL;
    memset(given, 0, offsetof(struct given_links, names));
    given->open_count = concern->linker_count;
    memcpy(given->open, concern->linkers, concern->linker_count * sizeof *given->open);
    return given;
}

/* What is kept for the event's kind. NULL: there are too many linkers or kinds, or no memory. */
static struct given_links *find_given(struct expansion *x, const struct tycho__shown *shown) {
    const tycho_bytes type = shown->event->type, category = tycho__category_of(shown->stream);
    const uint8_t *text = type.data, *more = category.data;
    size_t at = type.size + 3u * text[type.size / 2] + 5u * text[type.size - 1];
    if (category.size > 0) at += 7u * category.size + 11u * more[category.size / 2];
    if (x->concern->linker_count > GIVEN_LINKERS) return NULL;
    for (at %= GIVEN; x->given[at].all != NULL; at = (at + 1) % GIVEN) {
        const struct given *given = &x->given[at];
        if (tycho__same(given->category, category) && tycho__same(given->type, type)) {
            return given->all;
        }
    }
    if (x->given_count == GIVEN / 2) return NULL;
    struct given_links *all = new_given(x->concern);
    if (all != NULL) x->given_count++;
    x->given[at] = (struct given){type, category, all};
    return all;
}

static int run_linkers(struct expansion *x, const struct tycho__shown *shown) {
    const struct tycho__concern *concern = x->concern;
    struct given_links *given = concern->linker_count > 0 ? find_given(x, shown) : NULL;
    int status = TYCHO_OK;
    for (size_t i = 0; given == NULL && i < concern->linker_count && status == TYCHO_OK; i++) {
        status = run_linker(x, shown, concern->linkers[i], NULL);
    }
    if (given == NULL) return status;
    tycho__payload_put(&x->links, given->links, given->link_count * sizeof given->links[0]);
    tycho__payload_put(&x->memos, given->memos, given->link_count * sizeof given->memos[0]);
    for (size_t i = 0; i < given->open_count && status == TYCHO_OK;) {
        const size_t open = given->open_count;
        status = run_linker(x, shown, given->open[i], given);
        if (given->open_count == open) i++; /* or the next one is there now */
    }
    return status;
}

/* Checks what is to be overwritten as if it were appended, beside what stays of the stored event.
** One of the batch itself is not stored yet: what stays of it is not known. */
static int check_overwritten(struct expansion *x, const tycho_event *event, tycho_cursor *cursor) {
    const struct tycho__concern *concern = tycho__rules_find(x->rules, event->type);
    const struct tycho__shown shown = {.event = event, .data = event->data, .cursor = cursor};
    if (x->rules->failure != NULL) return tycho__failure_raise(x->rules->failure);
    if (concern->renamed >= 0) return reject_renamed(x, concern, event);
    if (concern->event_type < 0) return TYCHO_OK;
    int status = borrow(x, (size_t)concern->event_type);
    if (status != TYCHO_OK) return status;
    return tycho__run_event_type(x->parts[concern->event_type].runner, &shown);
}

static int visit_overwrite(struct expansion *x, const tycho_event *event) {
    const tycho_read read = {.size = sizeof read,
                             .flags = TYCHO_READ_BY_IDS | TYCHO_READ_STORED,
                             .ids = &event->id,
                             .id_count = 1};
    tycho_cursor *cursor = NULL;
    tycho_event stored, shown = *event;
    tycho_bytes stream = {NULL, 0};
    int status = tycho_cursor_open(x->store, &read, &cursor);
    if (status == TYCHO_OK) status = tycho_cursor_next(cursor, &stored);
    const bool is_stored = status == TYCHO_OK;
    if (is_stored) status = tycho_cursor_stream(cursor, &stream);
    if (is_stored) {
        shown = stored;
        shown.type = event->type;
        shown.content_type = event->content_type;
        shown.metadata = event->metadata;
        shown.data = event->data;
        if (event->valid_time != event->time) shown.valid_time = event->valid_time;
    }
    if (status == TYCHO_END) status = TYCHO_OK;
    if (status == TYCHO_OK && tycho__same(stream, tycho__scripts_stream())) {
        status = tycho__script_fail(TYCHO_MISUSE, "the stream \"$scripts\" is the history of "
                                                  "scripts: nothing in it is overwritten");
    }
    if (status == TYCHO_OK) {
        status = check_overwritten(x, &shown, is_stored ? cursor : NULL);
    }
    tycho_cursor_close(cursor);
    return status;
}

/* Whether any script has to do with the event. */
static int wants(void *context, tycho_bytes stream, tycho_bytes type) {
    struct expansion *x = context;
    if (tycho__same(stream, tycho__scripts_stream())) return 1;
    const uint8_t *text = type.data;
    struct seen *seen = &x->seen[(type.size + 3u * text[type.size / 2]) % SEEN];
    if (seen->concern == NULL || !tycho__same(seen->type, type)) {
        *seen = (struct seen){type, tycho__rules_find(x->rules, type)};
    }
    x->concern = seen->concern;
    return x->concern->linker_count > 0 || x->concern->event_type >= 0 ||
           x->concern->renamed >= 0 || x->rules->failure != NULL;
}

/* The history of scripts says under which version events were written: it takes nothing else, and
** nothing without a deployment, which makes all processes load it again. */
static int check_history(const tycho_event *event, bool deploys) {
    struct tycho__deployed deployed;
    bool is_known = tycho__same(event->type, tycho__text("ScriptDeployed")) ||
                    tycho__same(event->type, tycho__text("ScriptRemoved"));
    if (is_known && deploys && tycho__deployed_parse(event->data, &deployed) == TYCHO_OK) {
        return TYCHO_OK;
    }
    return tycho__script_fail(TYCHO_MISUSE, "the stream \"$scripts\" is the history of scripts, "
                                            "to which only deployments append");
}

static int visit(void *context, const tycho_appended *appended, tycho_additions *additions) {
    struct expansion *x = context;
    if (appended->is_overwrite != 0) return visit_overwrite(x, &appended->event);
    if (tycho__same(appended->stream, tycho__scripts_stream())) {
        return check_history(&appended->event, x->deploys);
    }
    const struct tycho__concern *concern = x->concern;
    if (x->rules->failure != NULL) return tycho__failure_raise(x->rules->failure);
    struct tycho__shown shown = tycho__shown_of(appended);
    int status = TYCHO_OK;
    if (concern->renamed >= 0) return reject_renamed(x, concern, &appended->event);
    tycho__payload_clear(&x->links);
    tycho__payload_clear(&x->memos);
    x->raw_count = 0;
    if (concern->event_type >= 0) status = run_event_type(x, &shown, (size_t)concern->event_type);
    if (status == TYCHO_OK) status = run_linkers(x, &shown);
    if (status != TYCHO_OK) return status;
    if (x->links.failed != 0 || x->memos.failed != 0) {
        return tycho__script_fail(TYCHO_NO_MEMORY, "no memory for links");
    }
    additions->tags = shown.more_tags;
    additions->tag_count = shown.more_tag_count;
    additions->links = (const tycho_bytes *)(const void *)x->links.data;
    additions->link_count = x->links.size / sizeof(tycho_bytes);
    additions->raw_count = x->raw_count;
    additions->memos = (uint32_t *const *)(void *)x->memos.data;
    return TYCHO_OK;
}

static int expand_under(tycho_store *store, const struct tycho__rules *rules, tycho_batch *batch) {
    struct expansion x = {
        .store = store, .rules = rules, .deploys = tycho_batch_first_deploy(batch) >= 0};
    x.parts = calloc(rules->count + 1, sizeof *x.parts);
    if (x.parts == NULL) return tycho__script_fail(TYCHO_NO_MEMORY, "no memory to run scripts");
    int status = tycho_batch_expand(batch, wants, visit, &x);
    for (size_t i = 0; i < rules->count; i++) {
        if (x.parts[i].runner == NULL) continue;
        if (status == TYCHO_OK) {
            status = tycho__runner_return(x.parts[i].runner);
        } else {
            tycho__runner_drop(x.parts[i].runner);
        }
    }
    for (size_t i = 0; i < GIVEN; i++) free(x.given[i].all);
    tycho__payload_free(&x.links);
    tycho__payload_free(&x.memos);
    free(x.parts);
    return status;
}

/* Events behind a deployment would be written under its rules, and checked under the old ones. */
static int refuse_behind(void *context, const tycho_appended *appended,
                         tycho_additions *additions) {
    const int64_t *deploy = context;
    (void)additions;
    if ((int64_t)appended->operation < *deploy) return TYCHO_OK;
    if (tycho__same(appended->stream, tycho__scripts_stream())) return TYCHO_OK;
    return tycho__script_fail(TYCHO_MISUSE, "an event is written behind a deployment of its batch: "
                                            "write it before that, or in the next batch");
}

static int expand(void *context, tycho_store *store, uint64_t version, tycho_batch *batch) {
    struct tycho__rules *rules;
    int64_t deploy = tycho_batch_first_deploy(batch);
    int status = deploy < 0 ? TYCHO_OK : tycho_batch_expand(batch, NULL, refuse_behind, &deploy);
    if (version == 0 || status != TYCHO_OK) return status;
    status = get_rules(context, store, version, &rules);
    if (status != TYCHO_OK || rules == NULL) return status;
    bool is_idle = rules->count == 0 && rules->failure == NULL;
    if (!is_idle) status = expand_under(store, rules, batch);
    tycho__rules_release(rules);
    return status;
}

/* ---------------------------------------------------------------- events that are read */

static int hold(void *context, tycho_store *store, uint64_t version, void **held) {
    struct tycho__rules *rules = NULL;
    int status = get_rules(context, store, version, &rules);
    *held = NULL;
    if (status == TYCHO_OK && rules == NULL) status = tycho__store_rules(store, &rules);
    if (status != TYCHO_OK) return status;
    if (rules->failure != NULL) {
        status = tycho__failure_raise(rules->failure);
    } else if (rules->changes_reads) {
        *held = rules;
        return TYCHO_OK;
    }
    tycho__rules_release(rules);
    return status;
}

static void release(void *context, void *held) {
    (void)context;
    tycho__rules_release(held);
}

static size_t former(void *held, tycho_bytes type, const tycho_bytes **names) {
    const struct tycho__rules *rules = held;
    const struct tycho__concern *concern = tycho__rules_find(rules, type);
    *names = concern->names;
    return concern->name_count;
}

static int upcast(const struct tycho__rules *rules, struct tycho__definition *definition,
                  tycho_cursor *cursor, tycho_event *event) {
    struct tycho__shown shown = {.event = event, .data = event->data, .cursor = cursor};
    struct tycho__runner *runner;
    int64_t from = tycho__rules_version_at(rules, event->type, event->written);
    if (from >= definition->about.version) return TYCHO_OK;
    int status = tycho__runner_borrow(definition, &runner);
    if (status != TYCHO_OK) return status;
    status = tycho__run_upcast(runner, &shown, from);
    if (status != TYCHO_OK) {
        tycho__runner_drop(runner);
        return status;
    }
    void *room = tycho_cursor_room(cursor, shown.data.size);
    if (room == NULL) {
        status = tycho__script_fail(TYCHO_NO_MEMORY, "no memory for an event");
    } else if (shown.data.size > 0) {
        memcpy(room, shown.data.data, shown.data.size);
        event->data = tycho__text_of(room, shown.data.size);
    }
    int returned = tycho__runner_return(runner);
    return status != TYCHO_OK ? status : returned;
}

static int read_event(void *held, tycho_cursor *cursor, tycho_event *event) {
    struct tycho__rules *rules = held;
    const struct tycho__concern *concern = tycho__rules_find(rules, event->type);
    int index = tycho__concern_type(concern);
    if (index < 0) return TYCHO_OK;
    struct tycho__definition *definition = rules->definitions[index];
    if (definition->about.version > 1) {
        int status = upcast(rules, definition, cursor, event);
        if (status != TYCHO_OK) return status;
    }
    if (concern->renamed >= 0) event->type = definition->about.name;
    return TYCHO_OK;
}

/* ---------------------------------------------------------------- public */

int tycho_scripts_attach(tycho_store *store) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    char path[PATH_MAX + 16];
    struct stat place;
    uint64_t head;
    int status = tycho_head(store, &head);
    if (status != TYCHO_OK) return status;
    if (tycho_store_hook_context(store, expand) != NULL) return TYCHO_OK;
    snprintf(path, sizeof path, "%s/data.mdb", tycho_store_path(store));
    if (stat(path, &place) != 0) {
        return tycho__script_fail(TYCHO_IO, "the store is gone: %s: %s", path, strerror(errno));
    }
    pthread_once(&once, watch_forks);
    struct host *host = get_host(&place);
    if (host == NULL) return tycho__script_fail(TYCHO_NO_MEMORY, "no memory for scripts");
    const tycho_hooks hooks = {.size = sizeof hooks,
                               .context = host,
                               .expand = expand,
                               .hold = hold,
                               .release = release,
                               .former = former,
                               .read = read_event,
                               .close = close_host};
    status = tycho_store_set_hooks(store, &hooks);
    if (status != TYCHO_OK) close_host(host);
    return status;
}

int tycho__store_rules(tycho_store *store, struct tycho__rules **rules) {
    struct host *host = tycho_store_hook_context(store, expand);
    *rules = NULL;
    if (host == NULL) {
        return tycho__script_fail(TYCHO_MISUSE, "no script host is attached to the store");
    }
    int status = TYCHO_OK;
    while (status == TYCHO_OK && *rules == NULL) {
        uint64_t version;
        status = tycho_rules_version(store, &version);
        if (status == TYCHO_OK) status = get_rules(host, store, version, rules);
    }
    return status;
}

int tycho_script_open(tycho_store *store, int kind, tycho_bytes name, tycho_script **script) {
    struct tycho__rules *rules;
    if (script == NULL) return tycho__script_fail(TYCHO_MISUSE, "no place to put the script");
    *script = NULL;
    int status = tycho__store_rules(store, &rules), index = -1;
    if (status != TYCHO_OK) return status;
    for (size_t i = 0; i < rules->count && index < 0; i++) {
        const tycho_script_about *about = &rules->definitions[i]->about;
        if ((int)about->kind == kind && tycho__same(about->name, name)) index = (int)i;
    }
    if (index >= 0) {
        tycho__definition_hold(rules->definitions[index]);
        status = tycho__script_create(rules->definitions[index], script);
    } else {
        status = tycho__script_fail(TYCHO_NOT_FOUND, "there is no %s \"%.*s\"",
                                    tycho_script_kind_name(kind), (int)name.size,
                                    (const char *)name.data);
    }
    tycho__rules_release(rules);
    return status;
}
