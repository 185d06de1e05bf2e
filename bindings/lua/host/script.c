/* script.c - scripts: compiled, shared, lent with a sandbox, and opened by hosts. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "rules.h"
#include "script.h"

const char *tycho_script_kind_name(int kind) {
    switch (kind) {
    case TYCHO_EVENT_TYPE:
        return "event_type";
    case TYCHO_LINKER:
        return "linker";
    case TYCHO_READ_MODEL:
        return "read_model";
    default:
        return "";
    }
}

/* ---------------------------------------------------------------- life */

static void destroy_runner(struct tycho__runner *runner) {
    if (runner == NULL) return;
    tycho__sandbox_destroy(runner->sandbox);
    tycho__payload_free(&runner->names.text);
    tycho__payload_free(&runner->names.list);
    tycho__known_free(&runner->known);
    tycho__payload_free(&runner->data);
    tycho__payload_free(&runner->instance.names.text);
    tycho__payload_free(&runner->instance.names.list);
    free(runner->upcasts);
    free(runner->handlers);
    free(runner);
}

void tycho__definition_hold(struct tycho__definition *definition) {
    atomic_fetch_add(&definition->users, 1);
}

void tycho__definition_release(struct tycho__definition *definition) {
    if (definition == NULL || atomic_fetch_sub(&definition->users, 1) > 1) return;
    while (definition->idle != NULL) {
        struct tycho__runner *runner = definition->idle;
        definition->idle = runner->next;
        destroy_runner(runner);
    }
    while (definition->blocks != NULL) {
        struct tycho__block *block = definition->blocks;
        definition->blocks = block->next;
        free(block);
    }
    pthread_mutex_destroy(&definition->mutex);
    free(definition);
}

/* ---------------------------------------------------------------- the stack */

/* The lowest byte of this thread's stack; NULL: it is not known. */
static const char *find_stack(void) {
    pthread_attr_t attributes;
    void *lowest = NULL;
    size_t size;
    if (pthread_getattr_np(pthread_self(), &attributes) != 0) return NULL;
    if (pthread_attr_getstack(&attributes, &lowest, &size) != 0) lowest = NULL;
    pthread_attr_destroy(&attributes);
    return lowest;
}

/* A script may make Lua call itself some 200 times deep, in C: a thread whose stack is too small
** for that would end the process. Stacks that are not the thread's own, of fibres, are unknown. */
static int check_stack(void) {
    static _Thread_local const char *lowest;
    const char *here = __builtin_frame_address(0);
    if (lowest == NULL) lowest = find_stack();
    if (lowest == NULL || here < lowest || here - lowest >= TYCHO_SCRIPTS_STACK) return TYCHO_OK;
    return tycho__script_fail(TYCHO_MISUSE, "this thread has %td KiB of stack left, and scripts "
                                            "need %d KiB",
                              (here - lowest) / 1024, TYCHO_SCRIPTS_STACK / 1024);
}

/* ---------------------------------------------------------------- compiling */

static struct tycho__runner *create_runner(struct tycho__definition *definition) {
    const struct tycho__sandbox_options options = {.open = tycho__script_open_environment};
    struct tycho__runner *runner = calloc(1, sizeof *runner);
    if (runner == NULL) return NULL;
    runner->definition = definition;
    runner->sandbox = tycho__sandbox_create(&options);
    if (runner->sandbox != NULL) return runner;
    free(runner);
    return NULL;
}

static int no_memory(void) {
    return tycho__script_fail(TYCHO_NO_MEMORY, "no memory for a script");
}

/* Loads the script and reads what it declares. */
static int load(struct tycho__runner *runner, tycho_bytes label, int64_t version) {
    char name[TYCHO__SANDBOX_NAME_MAX + 1];
    tycho_bytes source = runner->definition->about.source;
    struct tycho__reading reading = {.definition = runner->definition, .runner = runner};
    struct tycho__sandbox_call call = {.read = tycho__definition_read, .context = &reading};
    snprintf(name, sizeof name, "%.*s", (int)(label.size < sizeof name ? label.size : 0),
             (const char *)label.data);
    enum tycho__sandbox_kind kind =
        tycho__sandbox_load(runner->sandbox, name, version, source.data, source.size);
    if (kind == TYCHO__SANDBOX_OK) kind = tycho__sandbox_call(runner->sandbox, &call);
    if (kind == TYCHO__SANDBOX_OK) return TYCHO_OK;
    if (runner->definition->lacks_memory) return no_memory();
    return tycho__script_reject_source(label, tycho__sandbox_last_error(runner->sandbox),
                                       reading.line);
}

/* A definition with the source in it and nothing else. */
static struct tycho__definition *create_definition(tycho_bytes source) {
    struct tycho__definition *definition = calloc(1, sizeof *definition);
    if (definition == NULL) return NULL;
    struct tycho__block *block = malloc(sizeof *block + source.size + 17);
    if (block == NULL) {
        free(definition);
        return NULL;
    }
    char *copy = (char *)block->memory, *hash = copy + source.size;
    if (source.size > 0) memcpy(copy, source.data, source.size);
    snprintf(hash, 17, "%016llx", (unsigned long long)XXH3_64bits(copy, source.size));
    block->next = NULL;
    definition->blocks = block;
    definition->about.source = tycho__text_of(copy, source.size);
    definition->about.hash = tycho__text_of(hash, 16);
    atomic_init(&definition->users, 1);
    pthread_mutex_init(&definition->mutex, NULL);
    return definition;
}

/* Compiles the source; the runner is idle, or given when it is asked for. */
static int compile(tycho_bytes label, tycho_bytes source, struct tycho__definition **out) {
    *out = NULL;
    int status = check_stack();
    if (status != TYCHO_OK) return status;
    struct tycho__definition *definition = create_definition(source);
    if (definition == NULL) return no_memory();
    definition->idle = create_runner(definition);
    definition->idle_count = 1;
    status = definition->idle == NULL ? no_memory() : load(definition->idle, label, 0);
    if (status == TYCHO_OK) {
        *out = definition;
    } else {
        tycho__definition_release(definition);
    }
    return status;
}

int tycho__definition_compile(tycho_bytes label, tycho_bytes source,
                              struct tycho__definition **definition) {
    return compile(label, source, definition);
}

/* ---------------------------------------------------------------- lending */

/* A further runner: the script is compiled again, and its definition, which is the same,
** dropped. */
static int make_runner(struct tycho__definition *definition, struct tycho__runner **out) {
    struct tycho__definition *again;
    int status = compile(definition->about.key, definition->about.source, &again);
    if (status != TYCHO_OK) return status;
    *out = again->idle;
    again->idle = NULL;
    (*out)->definition = definition;
    tycho__definition_release(again);
    return TYCHO_OK;
}

int tycho__runner_borrow(struct tycho__definition *definition, struct tycho__runner **out) {
    *out = NULL;
    int status = check_stack();
    if (status != TYCHO_OK) return status;
    pthread_mutex_lock(&definition->mutex);
    struct tycho__runner *runner = definition->idle;
    if (runner != NULL) {
        definition->idle = runner->next;
        definition->idle_count--;
    }
    pthread_mutex_unlock(&definition->mutex);
    *out = runner;
    return runner != NULL ? TYCHO_OK : make_runner(definition, out);
}

/* The script was loaded in the same way, so its functions have the same numbers. */
int tycho__runner_renew(struct tycho__runner *runner) {
    struct tycho__runner *fresh;
    int status = make_runner(runner->definition, &fresh);
    if (status != TYCHO_OK) return status;
    assert(memcmp(fresh->functions, runner->functions, sizeof runner->functions) == 0);
    struct tycho__sandbox *used = runner->sandbox;
    runner->sandbox = fresh->sandbox;
    fresh->sandbox = used;
    destroy_runner(fresh);
    return TYCHO_OK;
}

static void give_back(struct tycho__runner *runner, bool is_kept) {
    struct tycho__definition *definition = runner->definition;
    tycho__sandbox_set_exact(runner->sandbox, false);
    pthread_mutex_lock(&definition->mutex);
    if (is_kept) is_kept = definition->idle_count < TYCHO__IDLE_MAX;
    if (is_kept) {
        runner->next = definition->idle;
        definition->idle = runner;
        definition->idle_count++;
    }
    pthread_mutex_unlock(&definition->mutex);
    if (!is_kept) destroy_runner(runner);
}

int tycho__runner_return(struct tycho__runner *runner) {
    int status = TYCHO_OK;
    enum tycho__sandbox_kind kind = tycho__sandbox_check_state(runner->sandbox);
    if (kind != TYCHO__SANDBOX_OK && kind != TYCHO__SANDBOX_DISCARDED) {
        status = tycho__script_reject_run(runner, NULL, tycho__text_of(NULL, 0));
    }
    give_back(runner, kind == TYCHO__SANDBOX_OK);
    return status;
}

void tycho__runner_drop(struct tycho__runner *runner) {
    if (runner == NULL) return;
    give_back(runner, tycho__sandbox_check_state(runner->sandbox) == TYCHO__SANDBOX_OK);
}

int tycho__runner_end(struct tycho__runner *runner, int status) {
    if (status == TYCHO_OK) return tycho__runner_return(runner);
    tycho__runner_drop(runner);
    return status;
}

int tycho__runner_borrow_fresh(struct tycho__definition *definition, struct tycho__runner **out) {
    int status = tycho__runner_borrow(definition, out);
    if (status != TYCHO_OK || tycho__sandbox_is_exact((*out)->sandbox)) return status;
    status = tycho__runner_renew(*out);
    if (status != TYCHO_OK) tycho__runner_drop(*out);
    if (status != TYCHO_OK) *out = NULL;
    return status;
}

/* ---------------------------------------------------------------- for hosts */

int tycho__script_create(struct tycho__definition *definition, tycho_script **out) {
    tycho_script *script = calloc(1, sizeof *script);
    if (script == NULL) {
        tycho__definition_release(definition);
        return no_memory();
    }
    script->definition = definition;
    *out = script;
    return TYCHO_OK;
}

int tycho_script_compile(tycho_bytes name, tycho_bytes source, tycho_script **script) {
    struct tycho__definition *definition;
    if (script == NULL) return tycho__script_fail(TYCHO_MISUSE, "no place to put the script");
    *script = NULL;
    if (source.data == NULL && source.size > 0) {
        return tycho__script_fail(TYCHO_MISUSE, "the source is NULL");
    }
    if (name.size == 0) name = tycho__text("script");
    if (name.size > TYCHO_NAME_MAX) name.size = TYCHO_NAME_MAX;
    int status = compile(name, source, &definition);
    return status == TYCHO_OK ? tycho__script_create(definition, script) : status;
}

void tycho_script_close(tycho_script *script) {
    if (script == NULL) return;
    if (script->runner != NULL) tycho__run_forget(script->runner);
    tycho__runner_drop(script->runner);
    tycho__definition_release(script->definition);
    free(script);
}

void tycho_script_about_get(const tycho_script *script, tycho_script_about *about) {
    *about = script->definition->about;
}

int tycho__script_runner(tycho_script *script, bool is_whole, struct tycho__runner **runner) {
    if (script->runner != NULL) {
        const struct tycho__sandbox_error *error =
            tycho__sandbox_last_error(script->runner->sandbox);
        bool is_good = error->kind < TYCHO__SANDBOX_OVER_BUDGET;
        if (!is_good) tycho__runner_drop(script->runner);
        if (!is_good) script->runner = NULL;
    }
    int status = TYCHO_OK;
    if (script->runner == NULL) {
        status = tycho__runner_borrow_fresh(script->definition, &script->runner);
    }
    *runner = script->runner;
    if (status == TYCHO_OK) tycho__sandbox_set_exact(script->runner->sandbox, is_whole);
    return status;
}

/* Begins to show a stored event. */
static struct tycho__shown show(tycho_cursor *cursor, const tycho_event *event) {
    struct tycho__shown shown = {.event = event, .data = event->data, .cursor = cursor};
    return shown;
}

static bool reads_type(const tycho_script_about *about, const struct tycho__shown *shown) {
    return about->type_count == 0 ||
           tycho__type_index(about, shown->cursor, shown->event->type) >= 0;
}

/* Runs the script for one event. */
static int expand(tycho_script *script, const struct tycho__shown *shown,
                  tycho_additions *additions) {
    const struct tycho__definition *definition = script->definition;
    memset(additions, 0, sizeof *additions);
    if (!reads_type(&definition->about, shown)) return TYCHO_OK;
    bool is_read;
    int status = tycho__linker_reads(definition, shown, &is_read);
    if (status != TYCHO_OK || !is_read) return status;
    if (definition->by != TYCHO__BY_FUNCTION) {
        status = tycho__linker_name(definition, shown, script->link, &script->link_bytes);
        additions->links = &script->link_bytes;
        additions->link_count = script->link_bytes.size > 0 ? 1 : 0;
        return status;
    }
    struct tycho__runner *runner;
    status = tycho__script_runner(script, false, &runner);
    if (status != TYCHO_OK) return status;
    struct tycho__names *names = &runner->names;
    if (definition->about.kind == TYCHO_EVENT_TYPE) {
        status = tycho__run_event_type(runner, shown);
        additions->tags = tycho__names_list(names);
        additions->tag_count = names->count;
    } else {
        status = tycho__run_names(runner, shown);
        additions->links = tycho__names_list(names);
        additions->link_count = names->count;
    }
    return status;
}

int tycho_script_expand(tycho_script *script, const tycho_appended *appended,
                        tycho_additions *additions) {
    struct tycho__shown shown = tycho__shown_of(appended);
    return expand(script, &shown, additions);
}

int tycho_script_expand_stored(tycho_script *script, tycho_cursor *cursor, const tycho_event *event,
                               tycho_additions *additions) {
    struct tycho__shown shown = show(cursor, event);
    shown.is_for_names = true;
    return expand(script, &shown, additions);
}

int tycho_script_upcast(tycho_script *script, tycho_cursor *cursor, const tycho_event *event,
                        int64_t from, tycho_bytes *data) {
    const tycho_script_about *about = &script->definition->about;
    struct tycho__shown shown = show(cursor, event);
    if (about->kind != TYCHO_EVENT_TYPE || from < 1 || from > about->version) {
        return tycho__script_fail(TYCHO_MISUSE, "%.*s has no version %lld", (int)about->key.size,
                                  (const char *)about->key.data, (long long)from);
    }
    struct tycho__runner *runner;
    int status = tycho__script_runner(script, false, &runner);
    if (status == TYCHO_OK) status = tycho__run_upcast(runner, &shown, from);
    *data = shown.data;
    return status;
}
