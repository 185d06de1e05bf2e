/* salvage.c - a new store of what is intact of a damaged one; see salvage.h.
**
**      find rows -> find names and entries -> names -> log -> streams -> rows -> rename
**
** The new store is made beside its place, by transactions that no batch knows: the log event after
** event with the old positions, wholly settled in each transaction; then each stream as a list that
** is settled from the beginning; then all other tables as they were, under new numbers.
*/
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "commit.h"
#include "salvage.h"
#include "settle.h"
#include "store.h"
#include "ways.h"

enum {
    TEXTS_MAX = 10000,  /* findings that are kept as texts */
    EVENTS_EACH = 4096, /* of a transaction, as the two below */
    BYTES_EACH = 32 << 20,
    LISTS_EACH = 4096,
    ROWS_EACH = 16384
};

typedef struct writing {
    tycho_salvage *s;
    tycho_store *store;
    tycho__txn txn;
    bool is_open;
} writing;

/* ---------------------------------------------------------------- findings */

void tycho__salvage_tell(tycho_salvage *s, const char *format, ...) {
    char text[1700];
    va_list arguments;
    va_start(arguments, format);
    int wanted = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    size_t size = wanted < (int)sizeof text ? (size_t)wanted : sizeof text - 1;
    bool has_room = ++s->salvaged.findings <= TEXTS_MAX &&
                    tycho__buffer_reserve(&s->texts, 2 + size) == TYCHO_OK;
    if (!has_room) return;
    tycho__write16(&s->texts, (uint16_t)size);
    tycho__write(&s->texts, text, size);
}

/* ---------------------------------------------------------------- transactions */

/* Begins a transaction unless there is one. */
static int begin(writing *w) {
    if (w->is_open) return TYCHO_OK;
    if (!tycho__commit_try_enter(w->store->env)) {
        return tycho__fail(TYCHO_BUSY, "somebody writes to the new store already");
    }
    int status = tycho__txn_write(w->store->env, TYCHO_SYNC_NONE, &w->txn);
    w->is_open = status == TYCHO_OK;
    if (!w->is_open) tycho__commit_leave(w->store->env);
    return status;
}

/* Ends it, by a commit when all went well. */
static int end(writing *w, int status) {
    if (!w->is_open) return status;
    if (status == TYCHO_OK) status = tycho__settle(&w->txn);
    if (status == TYCHO_OK) {
        status = tycho__txn_commit(&w->txn);
    } else {
        tycho__txn_abort(&w->txn);
    }
    w->is_open = false;
    tycho__commit_leave(w->store->env);
    return status;
}

/* ---------------------------------------------------------------- names */

/* Makes the new list of an old one. A deleted stream gives its name free at once. */
static int make_list(writing *w, tycho__old_list *old) {
    char made[64];
    tycho__list *list;
    int status = tycho__list_make(&w->txn, old->kind, tycho__salvage_name(old, made), &list);
    if (status == TYCHO_OK && old->is_deleted) status = tycho__list_delete(&w->txn, list);
    if (status == TYCHO_OK) old->new_number = list->number;
    return status;
}

/* In the order of the old numbers, so that a deleted stream is made before the next of its name. */
static int make_lists(writing *w) {
    int status = begin(w);
    for (size_t i = 0; i < w->s->list_count && status == TYCHO_OK; i++) {
        status = begin(w);
        if (status == TYCHO_OK) status = make_list(w, &w->s->lists[i]);
        if (status == TYCHO_OK && i % LISTS_EACH == LISTS_EACH - 1) status = end(w, status);
    }
    return end(w, status);
}

/* The new number of an old list. */
static uint32_t new_number(writing *w, uint8_t kind, uint32_t number) {
    const tycho__old_list *old = number == 0 ? NULL : tycho__salvage_list(w->s, kind, number);
    return old == NULL ? 0 : old->new_number;
}

/* ---------------------------------------------------------------- the log */

static int compare_names(const void *a, const void *b) {
    const tycho__list *x = *(tycho__list *const *)a, *y = *(tycho__list *const *)b;
    size_t common = x->name.size < y->name.size ? x->name.size : y->name.size;
    int order = memcmp(x->name.data, y->name.data, common);
    if (order != 0) return order;
    return x->name.size < y->name.size ? -1 : x->name.size > y->name.size;
}

/* The new list of an old number; 0 is the type of what is lost. */
static int find_list(writing *w, uint8_t kind, uint32_t number, tycho__list **list) {
    char made[64];
    tycho_bytes name = {TYCHO_LOST, sizeof TYCHO_LOST - 1};
    if (number != 0) name = tycho__salvage_name(tycho__salvage_list(w->s, kind, number), made);
    return tycho__list_make(&w->txn, kind, name, list);
}

/* Enters the event into the lists of its type and tags, whose numbers are still the old ones. */
static int enter(writing *w, tycho__event_view *event, uint32_t *tags) {
    tycho__recent_item items[1 + TYCHO_TAGS_MAX];
    tycho__list *lists[TYCHO_TAGS_MAX], *type;
    uint32_t count = event->tag_count, kept = 0;
    int status = find_list(w, TYCHO__TYPE, event->type_number, &type);
    for (uint32_t i = 0; i < count && status == TYCHO_OK; i++) {
        status = find_list(w, TYCHO__TAG, tycho__record_tag(event, i), &lists[i]);
    }
    if (status != TYCHO_OK) return status;
    if (count > 1) qsort(lists, count, sizeof *lists, compare_names); /* lost names may be others */
    w->txn.is_changed = true;
    tycho__list_append(type, event->position, &items[0]);
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0 && lists[i] == lists[i - 1]) continue;
        tycho__list_append(lists[i], event->position, &items[1 + kept]);
        tags[kept++] = lists[i]->number;
    }
    event->tag_count = (uint8_t)kept;
    event->type_number = type->number;
    event->content_type_number = new_number(w, TYCHO__CONTENT, event->content_type_number);
    event->stream = new_number(w, TYCHO__STREAM, event->stream);
    return tycho__recent_put_event(&w->txn, items, 1 + kept, event);
}

static int append_event(writing *w, tycho__event_view *event) {
    uint32_t tags[TYCHO_TAGS_MAX];
    uint8_t *to;
    int status = enter(w, event, tags);
    if (status == TYCHO_OK) {
        status = tycho__append(&w->txn, event->position, tycho__record_size(event), &to);
    }
    if (status != TYCHO_OK) return status;
    tycho__record_write(to, event, tags);
    w->txn.state.recent_size += tycho__record_size(event);
    w->txn.state.head++;
    return TYCHO_OK;
}

/* What takes the place of an event that is lost. */
static tycho__event_view lost_event(uint64_t position, int64_t time,
                                    uint8_t id[TYCHO__UUID_BYTES]) {
    tycho__uuid_next(id);
    tycho__event_view event = {.position = position,
                               .time = time,
                               .valid_time = time,
                               .flags = TYCHO__UUID_ID,
                               .revision = -1};
    event.id = event.body = tycho__bytes(id, TYCHO__UUID_BYTES);
    return event;
}

/* TYCHO_NOT_FOUND when the event is lost, or has an id that another one has. */
static int find_event(writing *w, uint64_t position, tycho__event_view *event) {
    uint64_t other;
    if (tycho__salvage_record(w->s, position, event) == NULL) return TYCHO_NOT_FOUND;
    bool is_uuid = (event->flags & TYCHO__UUID_ID) != 0;
    int status = tycho__id_look_up(&w->txn, event->id, is_uuid, &other);
    if (status == TYCHO_NOT_FOUND) return TYCHO_OK;
    if (status != TYCHO_OK) return status;
    tycho__salvage_tell(w->s, "position %llu: its event has the id of that at position %llu",
                        (unsigned long long)position, (unsigned long long)other);
    w->s->salvaged.events--;
    w->s->salvaged.events_lost++;
    return TYCHO_NOT_FOUND;
}

/* Appends the event at a position, or what takes its place. */
static int write_event(writing *w, uint64_t position, int64_t *time, size_t *size) {
    tycho__event_view event;
    uint8_t id[TYCHO__UUID_BYTES];
    int status = find_event(w, position, &event);
    if (status == TYCHO_NOT_FOUND) {
        event = lost_event(position, *time, id);
    } else if (status != TYCHO_OK) {
        return status;
    }
    *time = event.time;
    *size += event.body.size;
    return append_event(w, &event);
}

static int write_log(writing *w) {
    int64_t time = 0;
    size_t size = 0;
    int status = TYCHO_OK;
    for (uint64_t position = 1; position <= w->s->head && status == TYCHO_OK; position++) {
        status = begin(w);
        if (status == TYCHO_OK) status = write_event(w, position, &time, &size);
        if (status == TYCHO_OK && (position % EVENTS_EACH == 0 || size > BYTES_EACH)) {
            status = end(w, status);
            size = 0;
        }
    }
    return end(w, status);
}

/* ---------------------------------------------------------------- streams */

static int by_link(const void *a, const void *b) {
    const tycho__old_entry *x = *(tycho__old_entry *const *)a, *y = *(tycho__old_entry *const *)b;
    if ((x->link == 0) != (y->link == 0)) return x->link == 0 ? 1 : -1;
    if (x->link != y->link) return x->link < y->link ? -1 : 1;
    return x < y ? -1 : x > y;
}

/* Numbers all links anew, without gaps, in their old order; those without a number come last. */
static int number_links(writing *w) {
    tycho_salvage *s = w->s;
    size_t count = 0;
    tycho__old_entry **links = calloc(s->entry_count + 1, sizeof *links);
    if (links == NULL) return tycho__fail(TYCHO_NO_MEMORY, "no memory to salvage links");
    for (size_t i = 0; i < s->entry_count; i++) {
        if (s->entries[i].is_link) links[count++] = &s->entries[i];
    }
    if (count > 1) qsort(links, count, sizeof *links, by_link);
    for (size_t i = 0; i < count; i++) links[i]->link = i + 1;
    free(links);
    int status = begin(w);
    if (status == TYCHO_OK) w->txn.state.links_made = w->txn.state.links_settled = count;
    if (status == TYCHO_OK) w->txn.is_changed = true;
    return status;
}

static int write_way_back(writing *w, const tycho__list *list, const tycho__old_entry *entry) {
    tycho__ways ways = {.count = 1};
    ways.positions[0] = entry->position;
    ways.all[0].stream = list->number;
    ways.all[0].revision = entry->revision;
    ways.all[0].link = entry->link;
    w->txn.state.links++;
    return tycho__ways_put(&w->txn, &ways);
}

/* An entry behind the last of a list; the revisions in between stay unused. */
static int write_entry(writing *w, tycho__list *list, const tycho__old_entry *entry) {
    int status = TYCHO_OK;
    if (entry->revision > list->next) {
        status = tycho__list_skip(&w->txn, list, entry->revision);
    }
    if (status != TYCHO_OK) return status;
    if (entry->revision < list->next) {
        w->s->salvaged.entries_lost++;
        tycho__salvage_tell(w->s, "stream \"%.*s\": two events are at revision %llu",
                            (int)list->name.size, (const char *)list->name.data,
                            (unsigned long long)entry->revision);
        return TYCHO_OK;
    }
    list->next = entry->revision + 1;
    list->count++;
    w->txn.state.entries++;
    uint64_t value = entry->position << 1 | (entry->is_link ? 1u : 0u);
    status = tycho__list_settle(&w->txn, list, entry->revision, &value, 1);
    return status == TYCHO_OK && entry->is_link ? write_way_back(w, list, entry) : status;
}

/* One stream; `*at` is where its entries begin, and moves behind them. */
static int write_stream(writing *w, tycho__old_list *old, size_t *at) {
    tycho_salvage *s = w->s;
    tycho__list *list;
    size_t from = *at;
    while (*at < s->entry_count && s->entries[*at].stream == old->number) ++*at;
    if (old->is_deleted) return TYCHO_OK;
    int status = tycho__list_edit(&w->txn, TYCHO__STREAM, old->new_number, &list);
    bool was_empty = status == TYCHO_OK && list->count == 0; /* two may have had one name */
    for (size_t i = from; i < *at && status == TYCHO_OK; i++) {
        status = write_entry(w, list, &s->entries[i]);
    }
    if (status != TYCHO_OK) return status;
    if (was_empty && list->count > 0) w->txn.state.streams++;
    if (old->next > list->next) status = tycho__list_skip(&w->txn, list, old->next);
    uint64_t first = old->first < list->next ? old->first : list->next;
    if (from < *at && s->entries[from].revision < first) first = s->entries[from].revision;
    if (was_empty || first < list->first) list->first = first;
    tycho__list_touch(&w->txn, list);
    return status;
}

static int write_streams(writing *w) {
    size_t at = 0, done = 0;
    int status = number_links(w);
    for (size_t i = 0; i < w->s->list_count && status == TYCHO_OK; i++) {
        tycho__old_list *old = &w->s->lists[i];
        if (old->kind != TYCHO__STREAM) break;
        size_t before = at;
        status = begin(w);
        if (status == TYCHO_OK) status = write_stream(w, old, &at);
        done += 8 + at - before;
        if (status == TYCHO_OK && done > ROWS_EACH) {
            status = end(w, status);
            done = 0;
        }
    }
    return end(w, status);
}

/* ---------------------------------------------------------------- the other tables */

static int write_row(writing *w, tycho_bytes key, tycho_bytes value) {
    uint8_t bytes[TYCHO__ROW_KEY_MAX];
    tycho__state *state = &w->txn.state;
    uint32_t table = new_number(w, TYCHO__ROW_TABLE, tycho__unkey32(key.data));
    tycho_bytes rest = {(const uint8_t *)key.data + 4, key.size - 4};
    tycho_bytes new_key = {bytes, tycho__row_key(bytes, table, rest)};
    tycho__buffer row = {NULL, 0, 0};
    int status = tycho__row_encode(
        &row, new_key, tycho__load64((const uint8_t *)value.data + 8),
        tycho__bytes((const uint8_t *)value.data + TYCHO__ROW_HEAD, value.size - TYCHO__ROW_HEAD));
    if (status == TYCHO_OK) {
        status = tycho__put(&w->txn, TYCHO__ROWS, new_key, tycho__buffer_bytes(&row));
    }
    tycho__buffer_free(&row);
    uint64_t version = tycho__load64((const uint8_t *)value.data + 8);
    if (version > state->sequence) state->sequence = version;
    const tycho__old_list *old =
        tycho__salvage_list(w->s, TYCHO__ROW_TABLE, tycho__unkey32(key.data));
    char made[64];
    if (tycho__equal(tycho__salvage_name(old, made), tycho__scripts())) {
        state->scripts++;
        if (version > state->rules) state->rules = version;
    }
    if (tycho__equal(tycho__salvage_name(old, made), tycho__dictionaries()) && rest.size == 2) {
        uint8_t number = ((const uint8_t *)rest.data)[0];
        if (number > state->dictionaries) state->dictionaries = number;
        if (state->format < TYCHO__FORMAT_COMPRESSED) state->format = TYCHO__FORMAT_COMPRESSED;
    }
    state->rows++;
    return status;
}

static int write_metadata(writing *w, tycho_bytes key, tycho_bytes value) {
    uint8_t new_key[4];
    uint32_t number = new_number(w, TYCHO__STREAM, tycho__unkey32(key.data));
    const tycho__old_list *old = tycho__salvage_list(w->s, TYCHO__STREAM, tycho__unkey32(key.data));
    if (number == 0 || old->is_deleted) return TYCHO_OK;
    tycho__key32(new_key, number);
    return tycho__put(&w->txn, TYCHO__STREAM_METADATA, tycho__bytes(new_key, 4), value);
}

static int write_one(writing *w, tycho__table table, const tycho__found *row) {
    tycho_bytes key = {row->key, row->key_size}, value = {row->value, row->value_size};
    if (table == TYCHO__ROWS) return write_row(w, key, value);
    if (table == TYCHO__STREAM_METADATA) return write_metadata(w, key, value);
    if (table == TYCHO__ROUTES) w->txn.state.routes++;
    if (table == TYCHO__FENCES && tycho__load64(row->value) > w->txn.state.tokens) {
        w->txn.state.tokens = tycho__load64(row->value);
    }
    return tycho__put(&w->txn, table, key, value);
}

static int write_table(writing *w, tycho__table table) {
    int status = begin(w);
    for (size_t i = w->s->first[table]; i < w->s->first[table + 1] && status == TYCHO_OK; i++) {
        status = begin(w);
        if (status == TYCHO_OK) status = write_one(w, table, &w->s->found[i]);
        if (status == TYCHO_OK && i % ROWS_EACH == 0) status = end(w, status);
    }
    return end(w, status);
}

/* A circle of routes cannot be resolved: the routes of it are left out. */
static int drop_circles(writing *w) {
    int status = begin(w);
    for (size_t i = w->s->first[TYCHO__ROUTES]; i < w->s->first[TYCHO__ROUTES + 1]; i++) {
        tycho__name name;
        const tycho__found *row = &w->s->found[i];
        tycho_bytes key = {row->key, row->key_size};
        if (status == TYCHO_OK) status = tycho__follow_routes(&w->txn, key, false, &name);
        if (status != TYCHO_END) continue;
        tycho__salvage_tell(w->s, "the route \"%.*s\" led in a circle", (int)key.size,
                            (const char *)key.data);
        w->txn.state.routes--;
        status = tycho__remove(&w->txn, TYCHO__ROUTES, key);
    }
    return end(w, status);
}

/* Counters that only grow go on where they were. */
static int write_state(writing *w) {
    const tycho__state *old = &w->s->state;
    tycho__state *state = &w->txn.state;
    int status = begin(w);
    if (status != TYCHO_OK) return status;
    if (old->sequence > state->sequence) state->sequence = old->sequence;
    if (old->tokens > state->tokens) state->tokens = old->tokens;
    if (old->deletions > state->deletions) state->deletions = old->deletions;
    if (state->scripts > 0 && old->rules > state->rules) state->rules = old->rules;
    tycho_bytes bytes;
    status = tycho__dictionary_read(&w->txn, old->dictionary, &bytes);
    state->dictionary = status == TYCHO_OK ? old->dictionary : 0;
    w->txn.is_changed = true;
    return end(w, status == TYCHO_CORRUPT ? TYCHO_OK : status);
}

static int write_all(writing *w) {
    int status = make_lists(w);
    if (status == TYCHO_OK) status = write_log(w);
    if (status == TYCHO_OK) status = write_streams(w);
    if (status == TYCHO_OK) status = write_table(w, TYCHO__ROWS);
    if (status == TYCHO_OK) status = write_table(w, TYCHO__STREAM_METADATA);
    if (status == TYCHO_OK) status = write_table(w, TYCHO__ROUTES);
    if (status == TYCHO_OK) status = write_table(w, TYCHO__CHECKPOINTS);
    if (status == TYCHO_OK) status = write_table(w, TYCHO__FENCES);
    if (status == TYCHO_OK) status = drop_circles(w);
    if (status == TYCHO_OK) status = write_state(w);
    return status == TYCHO_OK ? tycho_store_sync(w->store) : status;
}

/* ---------------------------------------------------------------- the new store */

static void remove_made(const char *made) {
    static const char *const files[] = {"data.mdb", "lock.mdb", "locks", "notify", "lock_table"};
    char file[PATH_MAX + 80];
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        if (snprintf(file, sizeof file, "%s/%s", made, files[i]) < (int)sizeof file) unlink(file);
    }
    rmdir(made);
}

/* Fills a new store in `made`, flushed and closed. */
static int fill(tycho_salvage *s, const char *made) {
    const tycho_options options = {
        .size = sizeof options, .mode = TYCHO_CREATE, .sync = TYCHO_SYNC_NONE};
    writing w = {.s = s};
    int status = tycho_store_open(made, &options, &w.store);
    if (status == TYCHO_OK) status = write_all(&w);
    tycho_store_close(w.store);
    return status;
}

static int fail_new(const char *path) {
    return tycho__fail_path("the new store", path);
}

/* Renames the store, durably; where that cannot be made sure, it is not there. */
static int put_in_place(const char *made, const char *path) {
    char parent[PATH_MAX + 80];
    snprintf(parent, sizeof parent, "%s/..", made);
    int directory = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0) return fail_new(path);
    int status = rename(made, path) == 0 ? TYCHO_OK : fail_new(path);
    if (status == TYCHO_OK && fsync(directory) != 0) {
        status = fail_new(path);
        remove_made(path);
    }
    close(directory);
    return status;
}

static int write_store(tycho_salvage *s, const char *given) {
    char path[PATH_MAX], made[PATH_MAX + 64];
    struct stat place;
    int status = tycho__trim_path(path, sizeof path, given);
    if (status != TYCHO_OK) return status;
    if (lstat(path, &place) == 0) {
        errno = EEXIST;
        return fail_new(path);
    }
    snprintf(made, sizeof made, "%s.new-%ld", path, (long)getpid());
    status = fill(s, made);
    if (status == TYCHO_OK) status = put_in_place(made, path);
    if (status != TYCHO_OK) remove_made(made);
    return status;
}

/* ---------------------------------------------------------------- public */

/* Tells the ranges of positions that have no event, and counts what there is. */
static void count_found(tycho_salvage *s) {
    tycho_salvaged *counts = &s->salvaged;
    uint64_t last = 0;
    for (size_t i = s->first[TYCHO__EVENTS]; i <= s->first[TYCHO__EVENTS + 1]; i++) {
        bool is_end = i == s->first[TYCHO__EVENTS + 1];
        uint64_t next = is_end ? s->head + 1 : tycho__load64(s->found[i].key);
        if (next > s->head + 1) next = s->head + 1;
        if (next > last + 1) {
            tycho__salvage_tell(s, "positions %llu to %llu are lost", (unsigned long long)last + 1,
                                (unsigned long long)next - 1);
        }
        if (next > last) counts->events += next <= s->head;
        if (next > last) last = next;
    }
    counts->head = s->head;
    counts->events_lost = s->head - counts->events;
    counts->entries = s->entry_count;
    counts->rows = s->first[TYCHO__ROWS + 1] - s->first[TYCHO__ROWS];
    uint64_t routes = s->first[TYCHO__ROUTES + 1] - s->first[TYCHO__ROUTES];
    if (s->has_state && s->state.rows > counts->rows) {
        counts->rows_lost = s->state.rows - counts->rows;
        tycho__salvage_tell(s, "%llu rows are lost", (unsigned long long)counts->rows_lost);
    }
    if (s->has_state && s->state.routes > routes) {
        tycho__salvage_tell(s, "%llu routes are lost",
                            (unsigned long long)(s->state.routes - routes));
    }
}

static int salvage(tycho_salvage *s, const char *damaged, const char *path) {
    char file[PATH_MAX + 16];
    if (snprintf(file, PATH_MAX, "%s/data.mdb", damaged) >= PATH_MAX) {
        return tycho__fail(TYCHO_MISUSE, "the path is too long");
    }
    int status = tycho__salvage_find(s, file);
    if (status == TYCHO_OK && s->found_count == 0) {
        status = tycho__fail(TYCHO_CORRUPT, "\"%s\" has nothing of a store in it", file);
    }
    if (status == TYCHO_OK) status = tycho__salvage_streams(s);
    if (status != TYCHO_OK) return status;
    if (!s->has_state) tycho__salvage_tell(s, "the state of the store is lost");
    count_found(s);
    return path == NULL ? TYCHO_OK : write_store(s, path);
}

int tycho_salvage_open(const char *damaged, const char *path, tycho_salvage **out) {
    if (out != NULL) *out = NULL;
    if (out == NULL || damaged == NULL) {
        return tycho__fail(TYCHO_MISUSE, "a salvage needs a path, and a place to put it");
    }
    tycho_salvage *s = calloc(1, sizeof *s);
    if (s == NULL) return tycho__fail(TYCHO_NO_MEMORY, "no memory to salvage a store");
    int status = salvage(s, damaged, path);
    if (status == TYCHO_OK) {
        *out = s;
    } else {
        tycho_salvage_close(s);
    }
    return status;
}

int tycho_salvage_get(tycho_salvage *s, tycho_salvaged *salvaged) {
    if (s == NULL || salvaged == NULL) return tycho__fail(TYCHO_MISUSE, "the salvage is NULL");
    *salvaged = s->salvaged;
    return TYCHO_OK;
}

int tycho_salvage_next(tycho_salvage *s, tycho_bytes *text) {
    if (s == NULL || text == NULL) return tycho__fail(TYCHO_MISUSE, "the salvage is NULL");
    if (s->text_at == s->texts.size) return TYCHO_END;
    const uint8_t *at = s->texts.data + s->text_at;
    *text = tycho__bytes(at + 2, tycho__load16(at));
    s->text_at += 2 + text->size;
    return TYCHO_OK;
}

void tycho_salvage_close(tycho_salvage *s) {
    if (s == NULL) return;
    tycho__image_close(&s->image);
    free(s->in_use);
    free(s->is_free);
    free(s->hurt);
    free(s->found);
    free(s->lists);
    free(s->entries);
    tycho__buffer_free(&s->texts);
    free(s);
}
