/* verify.c - proving every index against every record, in one snapshot, step by step.
**
**   PAGES    the pages of all tables (inspect.h); where they are damaged, nothing else is looked
**            at, because it would be LMDB that looks
**   EVENTS   every position has a record with a right checksum, its data decompress, its id leads
**            back to it; it names a type, stream and tags that exist; its home entry is right
**   IDS      there are as many as events are settled
**   LISTS    every list has a name that leads back to it (but deleted streams); its entries are
**            counted, in order, and each names a record that belongs to it; links have their rows
**   LINKS    every row of a link names an entry that is there
**   ROWS     checksums; then ROUTES end somewhere, the tokens of FENCES were given, the counts of
**            the state row are right, and the dictionaries are there
**
** Together these leave no index entry unproved: the lists of types have as many entries as there
** are events, and those of tags as many as records have tags, so none is missing or too many.
*/
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "apply.h"
#include "cursor.h"
#include "ids.h"
#include "inspect.h"
#include "pending.h"
#include "settle.h"
#include "ways.h"

enum { STEP_EVENTS = 1000, STEP_PAGES = 1000, FINDINGS_MAX = 1000, TRIES = 8 };

enum phase { PAGES, EVENTS, IDS, LISTS, LINKS, ROWS, ROUTES, FENCES, COUNTS, FINISHED };

struct tycho_verification {
    tycho_store *store;
    tycho__txn *txn;
    enum phase phase;
    tycho__image image; /* PAGES, with the two below */
    tycho__inspection inspection;
    uint64_t position;              /* EVENTS: the last one checked */
    uint8_t key[5 + TYCHO_KEY_MAX]; /* the other phases: the last key checked */
    size_t key_size;
    tycho__entries entries; /* LISTS: of the list that is being walked */
    bool is_walking;
    uint64_t ordinal; /* where its walk goes on */
    uint64_t walked;  /* entries of it so far */
    uint64_t ids, tags; /* ids in their table, tags on all records */
    uint64_t type_entries, tag_entries, stream_entries, link_entries, streams, garbage_links;
    uint64_t rows, links, routes, scripts;
    uint32_t scripts_table; /* 0: there is none */
    uint64_t moved_links;   /* those that have their row and are pending all the same */
    tycho__buffer payload;  /* EVENTS: what is decompressed */
    bool has_named[TYCHO__DICTIONARIES + 1]; /* dictionaries, by records */
    uint64_t findings, done, total;
    char text[1600];
    bool has_text;
};

/* Notes one finding; the first of a step is told. */
__attribute__((format(printf, 2, 3))) static void find(tycho_verification *v, const char *format,
                                                       ...) {
    v->findings++;
    if (v->has_text) return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(v->text, sizeof v->text, format, arguments);
    va_end(arguments);
    v->has_text = true;
}

/* True when the status is one that tells of damage, which is then noted. */
static bool is_damage(tycho_verification *v, int status) {
    if (status != TYCHO_CORRUPT && status != TYCHO_EVENT_NOT_FOUND) return false;
    find(v, "%s", tycho_error());
    return true;
}

/* ---------------------------------------------------------------- pages */

static void end_pages(tycho_verification *v) {
    tycho__inspect_end(&v->inspection);
    tycho__image_close(&v->image);
    v->phase = v->findings > 0 ? FINISHED : EVENTS;
}

static int step_pages(tycho_verification *v) {
    for (int i = 0; i < STEP_PAGES && !v->has_text; i++) {
        tycho__inspected inspected;
        char text[1600];
        if (tycho__inspect_next(&v->inspection, &inspected) == TYCHO_END) {
            end_pages(v);
            if (v->phase == FINISHED) return TYCHO_OK;
            int status =
                tycho__list_find(v->txn, TYCHO__ROW_TABLE, tycho__scripts(), &v->scripts_table);
            return status == TYCHO_NOT_FOUND ? TYCHO_OK : status;
        }
        if (inspected.page.fault == NULL) continue;
        tycho__inspected_text(&inspected, text, sizeof text);
        find(v, "%s", text);
    }
    return TYCHO_OK;
}

/* Begins with the pages of the transaction's snapshot, which moves on while its meta page was
** written over in between. */
static int begin_pages(tycho_verification *v) {
    char file[PATH_MAX + 16];
    snprintf(file, sizeof file, "%s/data.mdb", v->store->env->path);
    int status = TYCHO_NOT_FOUND;
    for (int i = 0; i < TRIES && status == TYCHO_NOT_FOUND; i++) {
        tycho__image_close(&v->image);
        status = i > 0 ? tycho__txn_renew(v->txn) : TYCHO_OK;
        if (status == TYCHO_OK) status = tycho__image_open(&v->image, file, 0);
        if (status == TYCHO_OK) {
            status = tycho__inspect_begin(&v->inspection, &v->image, tycho__txn_number(v->txn));
        }
    }
    if (status != TYCHO_NOT_FOUND) return status;
    return tycho__fail(TYCHO_BUSY, "others commit faster than a verification can begin");
}

/* ---------------------------------------------------------------- events */

static int check_id(tycho_verification *v, const tycho__event_view *event) {
    tycho__id id = {.size = (uint8_t)event->id.size,
                    .is_uuid = (event->flags & TYCHO__UUID_ID) != 0};
    uint64_t position = 0;
    tycho__copy(id.bytes, event->id);
    int status = tycho__event_find(v->txn, &id, &position);
    if (is_damage(v, status)) return TYCHO_OK;
    if (status == TYCHO_OK && position != event->position) {
        find(v, "the id of the event at position %llu leads to %llu",
             (unsigned long long)event->position, (unsigned long long)position);
    }
    return status;
}

static int check_named(tycho_verification *v, uint8_t kind, uint32_t number, uint64_t position) {
    tycho__list list;
    int status = tycho__list_read(v->txn, kind, number, &list);
    if (status == TYCHO_NOT_FOUND) {
        find(v, "the event at position %llu names list %u of kind %u, which does not exist",
             (unsigned long long)position, number, kind);
        return TYCHO_OK;
    }
    return is_damage(v, status) ? TYCHO_OK : status;
}

static int check_payload(tycho_verification *v, tycho__event_view *event) {
    uint32_t number;
    size_t size;
    if ((event->flags & TYCHO__COMPRESSED) == 0) return TYCHO_OK;
    int status = tycho__compressed_facts(event, &number, &size);
    if (status == TYCHO_OK) status = tycho__dictionary_need(v->txn, event);
    if (status == TYCHO_OK) status = tycho__decompress(v->store->env, event, &v->payload);
    if (status == TYCHO_OK) v->has_named[number] = true;
    return status;
}

static int check_event(tycho_verification *v, uint64_t position) {
    tycho__event_view event;
    int status = tycho__event_load(v->txn, position, &event);
    if (is_damage(v, status)) return TYCHO_OK;
    if (status != TYCHO_OK) return status;
    status = check_payload(v, &event);
    if (status != TYCHO_OK && !is_damage(v, status)) return status;
    v->tags += event.tag_count;
    status = check_id(v, &event);
    if (status == TYCHO_OK) status = check_named(v, TYCHO__TYPE, event.type_number, position);
    if (status == TYCHO_OK && event.stream != 0) {
        status = check_named(v, TYCHO__STREAM, event.stream, position);
    }
    if (status == TYCHO_OK && event.content_type_number != 0) {
        status = check_named(v, TYCHO__CONTENT, event.content_type_number, position);
    }
    return status;
}

static int step_events(tycho_verification *v) {
    uint64_t head = v->txn->state.head;
    for (int i = 0; i < STEP_EVENTS && v->position < head && !v->has_text; i++) {
        int status = check_event(v, ++v->position);
        if (status != TYCHO_OK) return status;
        v->done++;
    }
    if (v->position == head) v->phase = IDS;
    return TYCHO_OK;
}

static int check_head(tycho_verification *v) {
    uint64_t records, head = v->txn->state.head, settled = tycho__settled_ids(&v->txn->state);
    int status = tycho__row_count(v->txn, TYCHO__EVENTS, &records);
    if (status != TYCHO_OK || (records == head && v->ids == settled)) return status;
    find(v, "the head is %llu and %llu events are settled, but there are %llu records and %llu ids",
         (unsigned long long)head, (unsigned long long)settled, (unsigned long long)records,
         (unsigned long long)v->ids);
    return TYCHO_OK;
}

/* ---------------------------------------------------------------- walking a table */

/* The next row behind the last key of this phase. TYCHO_NOT_FOUND at the end. */
static int next_row(tycho_verification *v, tycho__table table, tycho_bytes *key,
                    tycho_bytes *value) {
    tycho_bytes last = {v->key, v->key_size};
    *key = last;
    int status = tycho__seek(v->txn, table, key, value);
    if (status == TYCHO_OK && v->key_size > 0 && tycho__equal(*key, last)) {
        status = tycho__next(v->txn, table, key, value);
    }
    if (status != TYCHO_OK) return status;
    if (key->size > sizeof v->key) return tycho__fail(TYCHO_CORRUPT, "a key is too long");
    memcpy(v->key, key->data, key->size);
    v->key_size = key->size;
    return TYCHO_OK;
}

static void next_phase(tycho_verification *v) {
    v->phase++;
    v->key_size = 0;
}

/* ---------------------------------------------------------------- lists */

/* Whether the record at an entry belongs to the list. */
static bool belongs(const tycho__list *list, const tycho__event_view *event,
                    const tycho__entry *entry) {
    if (list->kind == TYCHO__TYPE) return event->type_number == list->number;
    if (list->kind == TYCHO__STREAM) {
        return event->stream == list->number && event->revision == (int64_t)entry->ordinal;
    }
    for (uint32_t i = 0; i < event->tag_count; i++) {
        if (tycho__record_tag(event, i) == list->number) return true;
    }
    return false;
}

static int check_way_back(tycho_verification *v, const tycho__list *list,
                          const tycho__entry *entry) {
    uint64_t revision;
    int status = tycho__link_find(v->txn, entry->position, list->number, &revision);
    if (status != TYCHO_OK && status != TYCHO_NOT_FOUND) return status;
    if (status == TYCHO_NOT_FOUND || revision != entry->ordinal) {
        find(v, "the link at revision %llu of the stream \"%.*s\" has no right way back",
             (unsigned long long)entry->ordinal, (int)list->name.size,
             (const char *)list->name.data);
    }
    v->link_entries++;
    return TYCHO_OK;
}

static int check_entry(tycho_verification *v, const tycho__entry *entry) {
    const tycho__list *list = &v->entries.list;
    tycho__event_view event;
    if (entry->position == 0 || entry->position > v->txn->state.head) {
        find(v, "list \"%.*s\" has an entry with position %llu, which is beyond the head",
             (int)list->name.size, (const char *)list->name.data,
             (unsigned long long)entry->position);
        return TYCHO_OK;
    }
    if (entry->is_link) return check_way_back(v, list, entry);
    int status = tycho__event_load(v->txn, entry->position, &event);
    if (status == TYCHO_CORRUPT) return TYCHO_OK; /* found with the events */
    if (status != TYCHO_OK) return status;
    if (!belongs(list, &event, entry)) {
        find(v, "the list \"%.*s\" (kind %u) has the event at position %llu, which is not of it",
             (int)list->name.size, (const char *)list->name.data, list->kind,
             (unsigned long long)entry->position);
    }
    return TYCHO_OK;
}

static void end_list(tycho_verification *v) {
    const tycho__list *list = &v->entries.list;
    v->is_walking = false;
    if (v->walked != list->count) {
        find(v, "the list \"%.*s\" (kind %u) counts %llu entries and has %llu",
             (int)list->name.size, (const char *)list->name.data, list->kind,
             (unsigned long long)list->count, (unsigned long long)v->walked);
    }
    if (list->kind == TYCHO__TYPE) v->type_entries += v->walked;
    if (list->kind == TYCHO__TAG) v->tag_entries += v->walked;
    if (list->kind == TYCHO__STREAM) v->stream_entries += v->walked;
    if (list->kind == TYCHO__STREAM && v->walked > 0) v->streams++;
}

static int walk_list(tycho_verification *v, int *budget) {
    tycho__entry entry;
    while (*budget > 0 && !v->has_text) {
        --*budget;
        int status = tycho__entries_from(&v->entries, v->ordinal, &entry);
        if (status == TYCHO_OK && entry.ordinal < v->ordinal) {
            find(v, "a block of entries is out of order");
            status = TYCHO_END;
        }
        if (status == TYCHO_END || is_damage(v, status)) {
            end_list(v);
            return TYCHO_OK;
        }
        bool is_settled = status == TYCHO_OK && entry.ordinal < v->entries.boundary;
        if (is_settled && entry.position > v->entries.list.highest) {
            find(v, "the list %u of kind %u has an entry of position %llu, above its highest",
                 v->entries.list.number, v->entries.list.kind, (unsigned long long)entry.position);
        }
        if (status == TYCHO_OK) status = check_entry(v, &entry);
        if (status != TYCHO_OK) return status;
        v->ordinal = entry.ordinal + 1;
        v->walked++;
        v->done++;
    }
    return TYCHO_OK;
}

/* Checks the name of a list and begins to walk it. */
static int begin_list(tycho_verification *v, tycho_bytes key, tycho_bytes value) {
    tycho__list list;
    uint32_t number;
    const uint8_t *at = key.data;
    if (key.size != TYCHO__LIST_KEY || at[0] == 0 || at[0] >= TYCHO__KINDS) {
        find(v, "table lists has a key of %zu bytes that is none", key.size);
        return TYCHO_OK;
    }
    int status = tycho__list_parse(&list, at[0], tycho__unkey32(at + 1), value);
    if (is_damage(v, status)) return TYCHO_OK;
    if (status != TYCHO_OK) return status;
    if ((list.flags & TYCHO__LIST_DELETED) != 0) return TYCHO_OK;
    status = tycho__list_find(v->txn, list.kind, list.name, &number);
    if (status != TYCHO_OK && status != TYCHO_NOT_FOUND) return status;
    if (status == TYCHO_NOT_FOUND || number != list.number) {
        find(v, "the name \"%.*s\" (kind %u) does not lead to its list %u", (int)list.name.size,
             (const char *)list.name.data, list.kind, list.number);
    }
    if (list.kind > TYCHO__TAG) return TYCHO_OK;
    status = tycho__list_read(v->txn, list.kind, list.number, &list); /* with what is recent */
    if (status != TYCHO_OK) return status;
    tycho__entries_begin(&v->entries, v->txn, &list);
    v->is_walking = true;
    v->ordinal = v->walked = 0;
    return TYCHO_OK;
}

static void end_lists(tycho_verification *v) {
    const tycho__state *state = &v->txn->state;
    if (v->type_entries != state->head) {
        find(v, "the lists of types have %llu entries for %llu events",
             (unsigned long long)v->type_entries, (unsigned long long)state->head);
    } else if (v->tag_entries != v->tags) {
        find(v, "the lists of tags have %llu entries for %llu tags on events",
             (unsigned long long)v->tag_entries, (unsigned long long)v->tags);
    } else if (v->stream_entries != state->entries || v->streams != state->streams) {
        find(v, "%llu entries in %llu streams are counted, but there are %llu in %llu",
             (unsigned long long)state->entries, (unsigned long long)state->streams,
             (unsigned long long)v->stream_entries, (unsigned long long)v->streams);
    }
}

static int step_lists(tycho_verification *v) {
    int budget = STEP_EVENTS;
    while (budget-- > 0 && !v->has_text) {
        tycho_bytes key, value;
        int status;
        if (v->is_walking) {
            status = walk_list(v, &budget);
        } else {
            status = next_row(v, TYCHO__LISTS, &key, &value);
            if (status == TYCHO_NOT_FOUND) {
                end_lists(v);
                next_phase(v);
                return TYCHO_OK;
            }
            if (status == TYCHO_OK) status = begin_list(v, key, value);
        }
        if (status != TYCHO_OK) return status;
    }
    return TYCHO_OK;
}

/* ---------------------------------------------------------------- links, rows, routes, counts */

static int check_way(tycho_verification *v, uint64_t position, const tycho__way *way) {
    tycho__list stream;
    tycho__entry entry;
    v->links++;
    v->done++;
    if (way->link > v->txn->state.links_settled) v->moved_links++;
    int status = tycho__list_read(v->txn, TYCHO__STREAM, way->stream, &stream);
    if (status == TYCHO_OK && (stream.flags & TYCHO__LIST_DELETED) != 0) {
        v->garbage_links++;
        return TYCHO_OK;
    }
    if (status == TYCHO_OK) {
        tycho__entries entries;
        tycho__entries_begin(&entries, v->txn, &stream);
        status = tycho__entries_from(&entries, way->revision, &entry);
    }
    bool is_right = status == TYCHO_OK && entry.ordinal == way->revision && entry.is_link &&
                    entry.position == position;
    bool is_answer = status == TYCHO_OK || status == TYCHO_NOT_FOUND || status == TYCHO_END;
    if (is_answer && !is_right) {
        find(v, "the link of the event at position %llu into stream %u has no entry",
             (unsigned long long)position, way->stream);
    }
    return is_answer || is_damage(v, status) ? TYCHO_OK : status;
}

static int check_links(tycho_verification *v, tycho_bytes key, tycho_bytes value) {
    tycho__ways ways;
    int status = tycho__ways_parse(key, value, &ways);
    if (is_damage(v, status)) return TYCHO_OK;
    for (uint32_t i = 0; i < ways.count && status == TYCHO_OK; i++) {
        status = check_way(v, ways.positions[i], &ways.all[i]);
    }
    return status;
}

static int check_row(tycho_verification *v, tycho_bytes key, tycho_bytes value) {
    uint64_t version;
    tycho_bytes data;
    v->rows++;
    bool has_table = key.size >= 4 && v->scripts_table != 0;
    if (has_table && tycho__unkey32(key.data) == v->scripts_table) v->scripts++;
    int status = tycho__row_parse(key, value, &version, &data);
    if (status == TYCHO_OK && version > v->txn->state.sequence) {
        find(v, "a row has version %llu, which is in the future", (unsigned long long)version);
    }
    return is_damage(v, status) ? TYCHO_OK : status;
}

static int check_route(tycho_verification *v, tycho_bytes key, tycho_bytes value) {
    tycho__name end;
    (void)value;
    v->routes++;
    int status = tycho__resolve(v->txn, key, false, &end);
    return is_damage(v, status) ? TYCHO_OK : status;
}

static int check_fence(tycho_verification *v, tycho_bytes key, tycho_bytes value) {
    uint64_t token = value.size == 8 ? tycho__load64(value.data) : 0;
    if (token > 0 && token <= v->txn->state.tokens) return TYCHO_OK;
    find(v, "the lock \"%.*s\" was demanded with token %llu, but %llu are the most that were given",
         (int)key.size, (const char *)key.data, (unsigned long long)token,
         (unsigned long long)v->txn->state.tokens);
    return TYCHO_OK;
}

static int check_ids(tycho_verification *v, tycho_bytes key, tycho_bytes value) {
    uint32_t count;
    int status = tycho__ids_count(key, value, &count);
    if (status == TYCHO_OK) v->ids += count;
    return is_damage(v, status) ? TYCHO_OK : status;
}

/* The phases that walk a table, row by row. */
static const struct walk {
    tycho__table table;
    int (*check)(tycho_verification *v, tycho_bytes key, tycho_bytes value);
} walks[] = {[IDS] = {TYCHO__IDS, check_ids},
             [LINKS] = {TYCHO__LINKS, check_links},
             [ROWS] = {TYCHO__ROWS, check_row},
             [ROUTES] = {TYCHO__ROUTES, check_route},
             [FENCES] = {TYCHO__FENCES, check_fence}};

static int step_table(tycho_verification *v) {
    const struct walk *walk = &walks[v->phase];
    for (int i = 0; i < STEP_EVENTS && !v->has_text; i++) {
        tycho_bytes key, value;
        int status = next_row(v, walk->table, &key, &value);
        if (status == TYCHO_NOT_FOUND) {
            next_phase(v);
            return walk->table == TYCHO__IDS ? check_head(v) : TYCHO_OK;
        }
        if (status == TYCHO_OK) status = walk->check(v, key, value);
        if (status != TYCHO_OK) return status;
    }
    return TYCHO_OK;
}

/* That they were found for the records may be because this process has them in memory. */
static int check_dictionaries(tycho_verification *v) {
    const tycho__state *state = &v->txn->state;
    tycho_bytes bytes;
    v->phase = FINISHED;
    if (state->dictionary > state->dictionaries || state->dictionaries > TYCHO__DICTIONARIES) {
        find(v, "dictionary %u compresses of %u", state->dictionary, state->dictionaries);
        return TYCHO_OK;
    }
    v->has_named[state->dictionary] = true;
    for (uint32_t number = 1; number <= state->dictionaries; number++) {
        if (!v->has_named[number]) continue;
        int status = tycho__dictionary_read(v->txn, number, &bytes);
        if (status != TYCHO_OK && !is_damage(v, status)) return status;
    }
    return TYCHO_OK;
}

static int step_counts(tycho_verification *v) {
    const tycho__state *state = &v->txn->state;
    uint64_t garbage, pending;
    int status = tycho__row_count(v->txn, TYCHO__GARBAGE, &garbage);
    if (status == TYCHO_OK) status = tycho__pending_count(v->txn, &pending);
    if (status != TYCHO_OK) return status;
    if (pending != state->links_made - state->links_settled) {
        find(v, "%llu links are not settled, but table pending has %llu",
             (unsigned long long)(state->links_made - state->links_settled),
             (unsigned long long)pending);
    }
    v->links += pending - v->moved_links; /* each was found as an entry with its way back */
    if (v->links != state->links || v->link_entries + v->garbage_links != v->links) {
        find(v, "%llu links are counted, but there are %llu, and %llu entries that are links",
             (unsigned long long)state->links, (unsigned long long)v->links,
             (unsigned long long)v->link_entries);
    } else if (v->rows != state->rows || v->routes != state->routes || garbage != state->garbage) {
        find(v,
             "%llu rows, %llu routes and %llu deleted streams are counted, but there are %llu, "
             "%llu and %llu",
             (unsigned long long)state->rows, (unsigned long long)state->routes,
             (unsigned long long)state->garbage, (unsigned long long)v->rows,
             (unsigned long long)v->routes, (unsigned long long)garbage);
    }
    if (v->scripts != state->scripts || (state->scripts == 0) != (state->rules == 0)) {
        find(v, "%llu scripts are counted, with rules of version %llu, but there are %llu",
             (unsigned long long)state->scripts, (unsigned long long)state->rules,
             (unsigned long long)v->scripts);
    }
    return check_dictionaries(v);
}

static int step(tycho_verification *v) {
    switch (v->phase) {
    case PAGES:
        return step_pages(v);
    case EVENTS:
        return step_events(v);
    case LISTS:
        return step_lists(v);
    case COUNTS:
        return step_counts(v);
    case FINISHED:
        return TYCHO_END;
    default:
        return step_table(v);
    }
}

/* ---------------------------------------------------------------- public */

int tycho_verification_open(tycho_store *store, tycho_verification **out) {
    if (out == NULL) return tycho__fail(TYCHO_MISUSE, "no place to put the verification");
    *out = NULL;
    int status = tycho__store_check(store);
    if (status != TYCHO_OK) return status;
    tycho_verification *v = calloc(1, sizeof *v);
    if (v == NULL) return tycho__fail(TYCHO_NO_MEMORY, "no memory for a verification");
    v->store = store;
    status = tycho__txn_read(store->env, &v->txn);
    if (status == TYCHO_OK) status = begin_pages(v);
    if (status != TYCHO_OK) {
        end_pages(v);
        tycho__txn_done(v->txn);
        free(v);
        return status;
    }
    atomic_fetch_add(&store->children, 1);
    uint64_t entries = v->txn->state.entries + v->txn->state.links;
    v->total = v->txn->state.head * 2 + entries; /* tags come on top when they are known */
    *out = v;
    return TYCHO_OK;
}

int tycho_verification_step(tycho_verification *v, tycho_finding *finding) {
    if (v == NULL || finding == NULL) {
        return tycho__fail(TYCHO_MISUSE, "the verification is NULL");
    }
    int status = tycho__store_check(v->store);
    if (status != TYCHO_OK) return status;
    v->has_text = false;
    bool is_over = v->phase == FINISHED || v->findings >= FINDINGS_MAX;
    status = is_over ? TYCHO_END : step(v);
    if (is_damage(v, status)) {
        v->phase = FINISHED; /* the table itself cannot be walked */
        status = TYCHO_OK;
    }
    finding->text = tycho__bytes(v->text, v->has_text ? strlen(v->text) : 0);
    finding->findings = v->findings;
    finding->done = v->done;
    finding->total = v->total + v->tags;
    return status;
}

void tycho_verification_close(tycho_verification *v) {
    if (v == NULL) return;
    end_pages(v);
    tycho__buffer_free(&v->payload);
    if (tycho__store_check(v->store) == TYCHO_OK) tycho__txn_done(v->txn);
    atomic_fetch_sub(&v->store->children, 1);
    free(v);
}
