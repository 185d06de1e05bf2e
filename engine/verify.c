/* verify.c - proving every index against every record, in one snapshot, step by step.
**
**   PAGES        the pages of all tables (inspect.h); where they are damaged, nothing else is
**                looked at, because it would be LMDB that looks
**   EVENTS       every position has a record with a right checksum, its data decompress, its id
**                leads back to it; it names a type, stream and tags that exist; its home entry is
**                right
**   IDS          there are as many as events are settled
**   NAMES        each leads to a list that has this name
**   LISTS        every list has a name that leads back to it (but deleted streams), and a number
**                that was given; its entries are counted, in order, and each names a record that
**                belongs to it; links have their rows; what its row says of its tail is so
**   BLOCKS       each is of a list, or of a deleted stream that is still to be swept, and lies
**                behind the block before it and before the tail
**   LINKS        every row of a link names an entry that is there, and a number that was given
**   GARBAGE      each is a deleted stream
**   ROWS         checksums, versions, the table; then ROUTES end somewhere, CHECKPOINTS have a
**                position, METADATA a stream, the tokens of FENCES were given, MAIN has the state
**                and tables alone
**   COUNTS       those of the state row are right, and the dictionaries are there
**
** Together these leave no index entry unproved: the lists of types have as many entries as there
** are events, and those of tags as many as records have tags, so none is missing or too many; there
** are as many lists of each kind as numbers were given; and each list has its name.
**
** What has no checksum and is not said twice can be changed, added or taken away unseen as long as
** it looks right: which stream a route leads to, where a checkpoint is, the bytes of metadata, the
** token of a fence. Nor can it be seen that a checkpoint, metadata or a fence is not there any
** more. Of the state row, which has a checksum, the counters that only say that something changed,
** and the highest sequence and token that were given, may be wrong without a contradiction.
*/
#include "verify.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "ids.h"
#include "settle.h"

enum { STEP_PAGES = 1000, FINDINGS_MAX = 1000, TRIES = 8 };

enum phase {
    PAGES,
    EVENTS,
    IDS,
    NAMES,
    LISTS,
    BLOCKS,
    LINKS,
    GARBAGE,
    ROWS,
    ROUTES,
    CHECKPOINTS,
    METADATA,
    FENCES,
    MAIN,
    COUNTS,
    FINISHED
};

void tycho__verify_tell(tycho_verification *v, const char *format, ...) {
    v->findings++;
    if (v->has_text) return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(v->text, sizeof v->text, format, arguments);
    va_end(arguments);
    v->has_text = true;
}

bool tycho__verify_is_damage(tycho_verification *v, int status) {
    if (status != TYCHO_CORRUPT && status != TYCHO_EVENT_NOT_FOUND) return false;
    tycho__verify_tell(v, "%s", tycho_error());
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
        tycho__verify_tell(v, "%s", text);
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
    if (tycho__verify_is_damage(v, status)) return TYCHO_OK;
    if (status == TYCHO_OK && position != event->position) {
        tycho__verify_tell(v, "the id of the event at position %llu leads to %llu",
                           (unsigned long long)event->position, (unsigned long long)position);
    }
    return status;
}

static int check_named(tycho_verification *v, uint8_t kind, uint32_t number, uint64_t position) {
    tycho__list list;
    int status = tycho__list_read(v->txn, kind, number, &list);
    if (status == TYCHO_NOT_FOUND) {
        tycho__verify_tell(
            v, "the event at position %llu names list %u of kind %u, which does not exist",
            (unsigned long long)position, number, kind);
        return TYCHO_OK;
    }
    return tycho__verify_is_damage(v, status) ? TYCHO_OK : status;
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
    if (tycho__verify_is_damage(v, status)) return TYCHO_OK;
    if (status != TYCHO_OK) return status;
    status = check_payload(v, &event);
    if (status != TYCHO_OK && !tycho__verify_is_damage(v, status)) return status;
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
    for (int i = 0; i < TYCHO__VERIFY_EACH && v->position < head && !v->has_text; i++) {
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
    tycho__verify_tell(v,
                       "the head is %llu and %llu events are settled, but there are %llu records "
                       "and %llu ids",
                       (unsigned long long)head, (unsigned long long)settled,
                       (unsigned long long)records, (unsigned long long)v->ids);
    return TYCHO_OK;
}

/* ---------------------------------------------------------------- walking a table */

int tycho__verify_next(tycho_verification *v, tycho__table table, tycho_bytes *key,
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

static int check_ids(tycho_verification *v, tycho_bytes key, tycho_bytes value) {
    uint32_t count;
    int status = tycho__ids_count(key, value, &count);
    if (status == TYCHO_OK) v->ids += count;
    return tycho__verify_is_damage(v, status) ? TYCHO_OK : status;
}

/* The phases that walk a table, row by row. */
static const struct walk {
    tycho__table table;
    int (*check)(tycho_verification *v, tycho_bytes key, tycho_bytes value);
} walks[] = {[IDS] = {TYCHO__IDS, check_ids},
             [NAMES] = {TYCHO__NAMES, tycho__verify_name},
             [BLOCKS] = {TYCHO__BLOCKS, tycho__verify_block},
             [LINKS] = {TYCHO__LINKS, tycho__verify_ways},
             [GARBAGE] = {TYCHO__GARBAGE, tycho__verify_garbage},
             [ROWS] = {TYCHO__ROWS, tycho__verify_row},
             [ROUTES] = {TYCHO__ROUTES, tycho__verify_route},
             [CHECKPOINTS] = {TYCHO__CHECKPOINTS, tycho__verify_checkpoint},
             [METADATA] = {TYCHO__STREAM_METADATA, tycho__verify_metadata},
             [FENCES] = {TYCHO__FENCES, tycho__verify_fence},
             [MAIN] = {TYCHO__MAIN, tycho__verify_main}};

static int step_table(tycho_verification *v) {
    const struct walk *walk = &walks[v->phase];
    for (int i = 0; i < TYCHO__VERIFY_EACH && !v->has_text; i++) {
        tycho_bytes key, value;
        int status = tycho__verify_next(v, walk->table, &key, &value);
        if (status == TYCHO_NOT_FOUND) {
            next_phase(v);
            return walk->table == TYCHO__IDS ? check_head(v) : TYCHO_OK;
        }
        if (status == TYCHO_OK) status = walk->check(v, key, value);
        if (status != TYCHO_OK) return status;
    }
    return TYCHO_OK;
}

static int step(tycho_verification *v) {
    bool is_over = false;
    int status;
    switch (v->phase) {
    case PAGES:
        return step_pages(v);
    case EVENTS:
        return step_events(v);
    case LISTS:
        status = tycho__verify_lists(v, &is_over);
        if (is_over) next_phase(v);
        return status;
    case COUNTS:
        status = tycho__verify_counts(v, &is_over);
        if (is_over) v->phase = FINISHED;
        return status;
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
    if (v->failed != TYCHO_OK) {
        return tycho__fail(v->failed, "the verification has failed and cannot go on");
    }
    bool is_over = v->phase == FINISHED || v->findings >= FINDINGS_MAX;
    status = is_over ? TYCHO_END : step(v);
    if (tycho__verify_is_damage(v, status)) {
        v->phase = FINISHED; /* the table itself cannot be walked */
        status = TYCHO_OK;
    }
    bool is_passed = status != TYCHO_OK && status != TYCHO_END; /* what it looked at, undone */
    if (is_passed) v->failed = status;
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
