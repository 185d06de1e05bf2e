/* backfill.c - back-filling a linker: where it is, and what its next batch is. See backfill.h for
** its states and what is stored.
*/
#include "backfill.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum {
    CHUNK = 5000,
    CHUNK_MAX = 10000,
    TRIES_MAX = 20 /* of a batch that lost against others */
};

static int no_memory(void) {
    return tycho__script_fail(TYCHO_NO_MEMORY, "no memory to back-fill a linker");
}

/* ---------------------------------------------------------------- the row */

static void row_key(char key[TYCHO_KEY_MAX], const char *begin, tycho_bytes name,
                    tycho_bytes *bytes) {
    int size =
        snprintf(key, TYCHO_KEY_MAX, "%s/%.*s", begin, (int)name.size, (const char *)name.data);
    *bytes = tycho__text_of(key, (size_t)size);
}

static void take_text(char to[17], const struct tycho__msgpack_token *value) {
    if (value->kind != TYCHO__MSGPACK_STRING || value->size > 16) return;
    memcpy(to, value->data, value->size);
    to[value->size] = '\0';
}

static void take_field(struct tycho__progress *progress, tycho_bytes key,
                       const struct tycho__msgpack_token *value) {
    const struct {
        const char *name;
        int64_t *place;
    } numbers[] = {{"phase", &progress->phase},
                   {"is_beside", &progress->is_beside},
                   {"position", &progress->position},
                   {"linked", &progress->linked},
                   {"unlinked", &progress->unlinked}};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        bool is_it = tycho__same(key, tycho__text(numbers[i].name));
        if (is_it && value->kind == TYCHO__MSGPACK_INTEGER) *numbers[i].place = value->integer;
    }
    if (tycho__same(key, tycho__text("hash"))) take_text(progress->hash, value);
    if (tycho__same(key, tycho__text("old_hash"))) take_text(progress->old_hash, value);
}

static int parse(tycho_bytes data, struct tycho__progress *progress) {
    struct tycho__msgpack_reader reader = {data.data, data.size, 0};
    struct tycho__msgpack_token map, key, value;
    memset(progress, 0, sizeof *progress);
    bool is_good = tycho__msgpack_check(data.data, data.size, NULL) == TYCHO__MSGPACK_OK &&
                   tycho__msgpack_next(&reader, &map) == TYCHO__MSGPACK_OK &&
                   map.kind == TYCHO__MSGPACK_MAP;
    for (uint64_t i = 0; is_good && i < map.count; i++) {
        tycho__msgpack_next(&reader, &key);
        struct tycho__msgpack_reader at = reader;
        tycho__msgpack_skip(&reader);
        tycho__msgpack_next(&at, &value);
        if (key.kind != TYCHO__MSGPACK_STRING) continue;
        take_field(progress, tycho__text_of(key.data, key.size), &value);
    }
    bool is_known = progress->phase >= TYCHO_BACKFILL_LINKING &&
                    progress->phase <= TYCHO_BACKFILL_CANCELLING && progress->position >= 0;
    if (is_good && is_known && progress->hash[0] != '\0') return TYCHO_OK;
    return tycho__script_fail(
        TYCHO_CORRUPT, "the row of a back-fill in the table \"%s\" is damaged", TYCHO__BACKFILLS);
}

static void put_integer(struct tycho_buffer *to, const char *key, int64_t value) {
    tycho__msgpack_put_string(to, key, strlen(key));
    tycho__msgpack_put_integer(to, value);
}

static void put_text(struct tycho_buffer *to, const char *key, const char *value) {
    tycho__msgpack_put_string(to, key, strlen(key));
    tycho__msgpack_put_string(to, value, strlen(value));
}

/* Keys in the order of their bytes. */
static void encode(struct tycho_buffer *to, const struct tycho__progress *progress) {
    tycho__msgpack_put_map(to, 7);
    put_text(to, "hash", progress->hash);
    put_integer(to, "is_beside", progress->is_beside);
    put_integer(to, "linked", progress->linked);
    put_text(to, "old_hash", progress->old_hash);
    put_integer(to, "phase", progress->phase);
    put_integer(to, "position", progress->position);
    put_integer(to, "unlinked", progress->unlinked);
}

int tycho__backfill_row(tycho_store *store, const char *table, tycho_bytes key,
                        struct tycho_buffer *value, uint64_t *version) {
    const tycho_list_options options = {.size = sizeof options,
                                        .list = TYCHO_LIST_ROWS,
                                        .exact = 1,
                                        .subject = tycho__text(table),
                                        .prefix = key};
    tycho_listing *listing;
    tycho_item item;
    *version = 0;
    int status = tycho_listing_open(store, &options, &listing);
    if (status != TYCHO_OK) return status;
    status = tycho_listing_next(listing, &item);
    if (status == TYCHO_OK) {
        *version = item.version;
        tycho__payload_put(value, item.value.data, item.value.size);
        if (value->failed != 0) status = no_memory();
    }
    tycho_listing_close(listing);
    return status == TYCHO_END ? TYCHO_NOT_FOUND : status;
}

/* ---------------------------------------------------------------- batches */

int tycho__backfill_begin(tycho_backfill *b) {
    char key[TYCHO_KEY_MAX];
    tycho_bytes bytes;
    tycho_batch_clear(b->batch);
    row_key(key, "linker", b->about.name, &bytes);
    int status = tycho_batch_expect_lock(b->batch, b->lock_bytes, tycho_lock_token(b->lock));
    if (status != TYCHO_OK) return status;
    return tycho_batch_expect_row(b->batch, tycho__text(TYCHO__BACKFILLS), bytes, b->row_version);
}

static bool has_ended(const struct tycho__progress *progress) {
    return progress->phase == TYCHO_BACKFILL_DONE || progress->phase == TYCHO_BACKFILL_CANCELLED;
}

/* Ends the batch with the row. */
static int put_row(tycho_backfill *b, const struct tycho__progress *progress) {
    struct tycho_buffer value = {NULL, 0, 0, 0};
    char row[TYCHO_KEY_MAX], source[TYCHO_KEY_MAX];
    tycho_bytes row_bytes, source_bytes;
    const tycho_bytes table = tycho__text(TYCHO__BACKFILLS);
    row_key(row, "linker", b->about.name, &row_bytes);
    row_key(source, "source", b->about.name, &source_bytes);
    if (has_ended(progress)) {
        int status = tycho_batch_delete_row(b->batch, table, row_bytes);
        return status == TYCHO_OK ? tycho_batch_delete_row(b->batch, table, source_bytes) : status;
    }
    encode(&value, progress);
    int status = value.failed != 0 ? no_memory() : TYCHO_OK;
    if (status == TYCHO_OK) {
        status =
            tycho_batch_put_row(b->batch, table, row_bytes, tycho__text_of(value.data, value.size));
    }
    if (status == TYCHO_OK && b->row_version == 0) {
        status = tycho_batch_put_row(b->batch, table, source_bytes, b->about.source);
    }
    tycho__payload_free(&value);
    return status;
}

/* What a refusal of the conditions that tycho__backfill_begin() set means. */
static int explain(tycho_backfill *b, int status, const tycho_receipt *receipt) {
    if (status != TYCHO_CONDITION_FAILED || receipt == NULL) return status;
    if (receipt->condition != 0 && receipt->condition != 1) return status;
    return tycho__script_fail(status, "another process has gone on with the back-fill of \"%.*s\"",
                              (int)b->about.name.size, (const char *)b->about.name.data);
}

int tycho__backfill_commit(tycho_backfill *b, const struct tycho__progress *progress,
                           int (*complete)(void *context, tycho_store *store, tycho_batch *batch),
                           void *context) {
    const tycho_receipt *receipt = NULL;
    const struct tycho__progress wanted = *progress;
    int status = put_row(b, &wanted);
    if (status != TYCHO_OK) return status;
    status = complete == NULL
                 ? tycho_commit(b->store, b->batch, &receipt)
                 : tycho_commit_completed(b->store, b->batch, complete, context, &receipt);
    if (status != TYCHO_OK) return explain(b, status, receipt);
    b->sequence = receipt->sequence;
    b->row_version = has_ended(&wanted) ? 0 : receipt->sequence;
    b->progress = wanted;
    return TYCHO_OK;
}

/* ---------------------------------------------------------------- opening */

/* Opens what is deployed under the name; old or the same. */
static int open_deployed(tycho_backfill *b) {
    const tycho_bytes scripts = tycho__scripts_stream();
    tycho_script_close(b->old);
    b->old = NULL;
    b->is_deployed = false;
    int status = tycho_stream_version(b->store, scripts, TYCHO_RAW, &b->history);
    if (status == TYCHO_OK) {
        status = tycho_script_open(b->store, TYCHO_LINKER, b->about.name, &b->old);
    }
    if (status == TYCHO_NOT_FOUND) return TYCHO_OK;
    if (status != TYCHO_OK) return status;
    tycho_script_about_get(b->old, &b->old_about);
    b->is_deployed = tycho__same(b->old_about.source, b->about.source);
    if (!b->is_deployed) return TYCHO_OK;
    tycho_script_close(b->old);
    b->old = NULL;
    return TYCHO_OK;
}

/* Whether the row, if there is one, is of this source. */
static int read_progress(tycho_backfill *b) {
    struct tycho_buffer value = {NULL, 0, 0, 0};
    char key[TYCHO_KEY_MAX];
    tycho_bytes bytes;
    row_key(key, "linker", b->about.name, &bytes);
    int status = tycho__backfill_row(b->store, TYCHO__BACKFILLS, bytes, &value, &b->row_version);
    if (status == TYCHO_OK) {
        status = parse(tycho__text_of(value.data, value.size), &b->progress);
        if (status == TYCHO_OK && !tycho__same(tycho__text(b->progress.hash), b->about.hash)) {
            status = tycho__script_fail(
                TYCHO_CONDITION_FAILED,
                "the back-fill of \"%.*s\" was begun with another source: go on with that one, or "
                "cancel it",
                (int)b->about.name.size, (const char *)b->about.name.data);
        }
    } else if (status == TYCHO_NOT_FOUND) {
        struct tycho__progress *progress = &b->progress;
        memset(progress, 0, sizeof *progress);
        memcpy(progress->hash, b->about.hash.data, b->about.hash.size);
        if (b->old != NULL) {
            memcpy(progress->old_hash, b->old_about.hash.data, b->old_about.hash.size);
        }
        progress->is_beside = b->is_deployed || b->old != NULL;
        status = TYCHO_OK;
    }
    tycho__payload_free(&value);
    return status;
}

static int refuse_changed(const tycho_backfill *b) {
    if (b->is_deployed) {
        return tycho__script_fail(
            TYCHO_CONDITION_FAILED,
            "\"%.*s\" was deployed by itself since its back-fill was begun: cancel that, and begin "
            "again",
            (int)b->about.name.size, (const char *)b->about.name.data);
    }
    return tycho__script_fail(
        TYCHO_CONDITION_FAILED,
        "another version of \"%.*s\" was deployed, or it was removed, since its "
        "back-fill was begun: cancel it, and begin again",
        (int)b->about.name.size, (const char *)b->about.name.data);
}

/* Refuses to go on when what it replaces is not what it was; looks again where something was
** deployed since. */
static int check_old(tycho_backfill *b) {
    int64_t history;
    int status = tycho_stream_version(b->store, tycho__scripts_stream(), TYCHO_RAW, &history);
    if (status == TYCHO_OK && history != b->history) status = open_deployed(b);
    if (status != TYCHO_OK) return status;
    const struct tycho__progress *progress = &b->progress;
    const tycho_bytes old = b->old != NULL ? b->old_about.hash : tycho__text("");
    bool is_new_there = b->is_deployed && !progress->is_beside;
    if (tycho__same(old, tycho__text(progress->old_hash)) && !is_new_there) return TYCHO_OK;
    return refuse_changed(b);
}

/* The same before the last batch, for what was deployed since it was opened. */
static int check_plan(const tycho_backfill *b, tycho_deployment *deployment) {
    uint32_t expected = TYCHO_CHANGE_NEW;
    tycho_change change;
    tycho_deployment_get(deployment, 0, &change);
    if (b->old != NULL) expected = TYCHO_CHANGE_CHANGED;
    if (b->is_deployed) expected = TYCHO_CHANGE_UNCHANGED;
    bool is_same = b->old == NULL || tycho__same(change.old_source, b->old_about.source);
    return change.change == expected && is_same ? TYCHO_OK : refuse_changed(b);
}

/* The plan of the deployment: refused here, or in the last batch. */
static int plan(tycho_backfill *b, tycho_deployment **deployment) {
    tycho_change change;
    int status = tycho_deployment_open(b->store, deployment);
    if (status == TYCHO_OK) {
        status = tycho_deployment_put(*deployment, b->label, b->about.source, 0);
    }
    if (status != TYCHO_OK) return status;
    tycho_deployment_get(*deployment, 0, &change);
    if (change.change != TYCHO_CHANGE_REFUSED) return TYCHO_OK;
    return tycho__script_fail(TYCHO_REJECTED, "%.*s: %.*s", (int)change.name.size,
                              (const char *)change.name.data, (int)change.message.size,
                              (const char *)change.message.data);
}

/* The source by its name: of what was begun, else of what is deployed. */
static int open_named(tycho_backfill *b, tycho_bytes name) {
    struct tycho_buffer source = {NULL, 0, 0, 0};
    char key[TYCHO_KEY_MAX];
    tycho_bytes bytes;
    uint64_t version;
    if (name.size == 0 || name.size > TYCHO_NAME_MAX) {
        return tycho__script_fail(TYCHO_MISUSE, "a back-fill needs the source or the name of a "
                                                "linker");
    }
    row_key(key, "source", name, &bytes);
    int status = tycho__backfill_row(b->store, TYCHO__BACKFILLS, bytes, &source, &version);
    if (status == TYCHO_OK) {
        status =
            tycho_script_compile(b->label, tycho__text_of(source.data, source.size), &b->script);
    } else if (status == TYCHO_NOT_FOUND) {
        status = tycho_script_open(b->store, TYCHO_LINKER, name, &b->script);
    }
    if (status == TYCHO_NOT_FOUND) {
        tycho__script_fail(status,
                           "no back-fill of \"%.*s\" was begun, and no linker of that name is "
                           "deployed",
                           (int)name.size, (const char *)name.data);
    }
    tycho__payload_free(&source);
    return status;
}

static int open_script(tycho_backfill *b, const tycho_backfill_options *options) {
    int status = options->source.size > 0
                     ? tycho_script_compile(b->label, options->source, &b->script)
                     : open_named(b, options->name);
    if (status != TYCHO_OK) return status;
    tycho_script_about_get(b->script, &b->about);
    if (b->about.kind == TYCHO_LINKER) return TYCHO_OK;
    return tycho__script_fail(TYCHO_MISUSE, "\"%.*s\" is no linker: only linkers are back-filled",
                              (int)b->about.name.size, (const char *)b->about.name.data);
}

static int take_lock(tycho_backfill *b, const tycho_backfill_options *options) {
    tycho_lock_info owner;
    const tycho_bytes key = b->about.key;
    int size = snprintf(b->lock_name, sizeof b->lock_name, "tycho.backfill:%.*s", (int)key.size,
                        (const char *)key.data);
    if (size >= (int)sizeof b->lock_name) {
        size = snprintf(b->lock_name, sizeof b->lock_name, "tycho.backfill:%.*s",
                        (int)b->about.hash.size, (const char *)b->about.hash.data);
    }
    b->lock_bytes = tycho__text_of(b->lock_name, (size_t)size);
    if (options->is_plan) return TYCHO_OK;
    int status =
        tycho_lock_take(b->store, b->lock_bytes, options->lock_timeout_ms, &b->lock, &owner);
    if (status != TYCHO_TIMEOUT || owner.token == 0) return status;
    return tycho__script_fail(TYCHO_TIMEOUT, "process %lld is back-filling \"%.*s\"",
                              (long long)owner.pid, (int)b->about.name.size,
                              (const char *)b->about.name.data);
}

static int open_all(tycho_backfill *b, const tycho_backfill_options *options) {
    tycho_deployment *deployment = NULL;
    uint64_t rules;
    int status = tycho_rules_version(b->store, &rules);
    if (status == TYCHO_OK) status = open_script(b, options);
    if (status == TYCHO_OK) status = take_lock(b, options);
    if (status == TYCHO_OK) status = open_deployed(b);
    if (status == TYCHO_OK) status = read_progress(b);
    if (status == TYCHO_OK && b->progress.phase <= TYCHO_BACKFILL_LINKING) {
        status = plan(b, &deployment);
        tycho_deployment_close(deployment);
    }
    if (status == TYCHO_OK) status = tycho_head(b->store, &b->head);
    if (status != TYCHO_OK) return status;
    unsigned long long hash = XXH3_64bits(b->about.name.data, b->about.name.size);
    snprintf(b->table, sizeof b->table, "tycho.backfill/%016llx", hash);
    snprintf(b->prepared, sizeof b->prepared, "tycho.prepared/%016llx", hash);
    return b->progress.is_beside ? tycho__mend_count(b) : TYCHO_OK;
}

int tycho_backfill_open(tycho_store *store, const tycho_backfill_options *options,
                        tycho_backfill **out) {
    if (out == NULL) return tycho__script_fail(TYCHO_MISUSE, "no place to put the back-fill");
    *out = NULL;
    if (options == NULL || options->size < sizeof *options) {
        return tycho__script_fail(TYCHO_MISUSE, "the options of a back-fill have no size");
    }
    tycho_backfill *b = calloc(1, sizeof *b);
    if (b == NULL) return no_memory();
    b->store = store;
    b->memory = calloc(1, options->label.size + 1);
    int status = b->memory == NULL ? no_memory() : tycho_batch_create(&b->batch);
    if (status == TYCHO_OK) {
        if (options->label.size > 0) memcpy(b->memory, options->label.data, options->label.size);
        b->label = tycho__text_of(b->memory, options->label.size);
        status = open_all(b, options);
    }
    if (status == TYCHO_OK) {
        *out = b;
    } else {
        tycho_backfill_close(b);
    }
    return status;
}

void tycho_backfill_close(tycho_backfill *b) {
    if (b == NULL) return;
    tycho__gathered_free(&b->gathered);
    tycho__current_drop(b);
    tycho__backfill_close_others(b);
    tycho_script_close(b->old);
    tycho_script_close(b->script);
    tycho_lock_release(b->lock);
    tycho_batch_destroy(b->batch);
    free(b->memory);
    free(b);
}

/* ---------------------------------------------------------------- steps */

/* The last batch: the deployment, and, with nobody else writing, what is not linked yet. */
struct last {
    tycho_backfill *b;
    int64_t phase; /* after it */
    struct tycho__progress progress;
};

static int complete_last(void *context, tycho_store *store, tycho_batch *batch) {
    struct last *last = context;
    tycho_backfill *b = last->b;
    last->progress = b->progress;
    const bool is_beside = b->progress.is_beside != 0;
    int status = tycho__backfill_gather(b, &last->progress, TYCHO__BACKFILL_LAST, true);
    last->progress.phase = last->phase;
    if (status == TYCHO_OK && is_beside) status = tycho__mend_complete(b, store, batch);
    if (status == TYCHO_OK) status = tycho__backfill_write(b, batch, is_beside);
    return status == TYCHO_OK ? put_row(b, &last->progress) : status;
}

static int commit_last(tycho_backfill *b) {
    struct tycho__progress next = b->progress;
    tycho_deployment *deployment = NULL;
    int status = plan(b, &deployment);
    next.phase = b->progress.is_beside ? TYCHO_BACKFILL_MENDING : TYCHO_BACKFILL_DONE;
    struct last last = {.b = b, .phase = next.phase};
    if (status == TYCHO_OK) status = check_plan(b, deployment);
    if (status == TYCHO_OK) status = tycho__backfill_begin(b);
    if (status == TYCHO_OK) status = tycho_deployment_write(deployment, b->batch);
    if (status == TYCHO_OK) {
        status = tycho__backfill_commit(b, &next, complete_last, &last);
    }
    tycho_deployment_close(deployment);
    if (status != TYCHO_OK) return status;
    b->is_deployed = true;
    b->progress = last.progress;
    return b->progress.is_beside ? tycho__mend_count(b) : TYCHO_OK;
}

/* Only while nothing is deployed: what comes then is linked by who appends it, and is not to be
** taken out when this is cancelled. */
static int commit_chunk(tycho_backfill *b, size_t chunk) {
    struct tycho__progress next = b->progress;
    next.phase = TYCHO_BACKFILL_LINKING;
    int status = tycho__backfill_begin(b);
    if (status == TYCHO_OK) {
        status = tycho_batch_expect(b->batch, tycho__scripts_stream(), b->history, TYCHO_RAW);
    }
    if (status == TYCHO_OK) status = tycho__backfill_gather(b, &next, chunk, false);
    if (status == TYCHO_OK) status = tycho__backfill_write(b, b->batch, next.is_beside != 0);
    return status == TYCHO_OK ? tycho__backfill_commit(b, &next, NULL, NULL) : status;
}

/* Prepares streams beside before the last batch, all that are to be, while the log grows. END: they
** are. */
static int prepare(tycho_backfill *b, size_t most) {
    int status = b->is_preparing ? TYCHO_OK : tycho__mend_count(b);
    b->is_preparing = true;
    if (status == TYCHO_OK) status = tycho__mend_refused(b);
    if (status == TYCHO_OK) status = tycho__prepare_step(b, most);
    if (status == TYCHO_END) b->is_preparing = false;
    return status;
}

static int link_step(tycho_backfill *b, size_t chunk) {
    const bool is_beside = b->progress.is_beside != 0;
    int status = check_old(b);
    if (status == TYCHO_OK && is_beside) status = tycho__backfill_open_others(b);
    if (status == TYCHO_OK) status = tycho_head(b->store, &b->head);
    if (status != TYCHO_OK) return status;
    uint64_t left = b->head - (uint64_t)b->progress.position;
    bool is_near = b->progress.phase == TYCHO_BACKFILL_LINKING && left <= TYCHO__BACKFILL_LAST;
    if (is_beside && (is_near || b->is_preparing)) {
        status = prepare(b, chunk);
        if (status != TYCHO_END) return status;
    }
    if (is_near) {
        status = commit_last(b);
        if (status == TYCHO_BUSY && b->late.name_size > 0) return tycho__mend_refused(b);
        if (status != TYCHO_BUSY) return status;
    }
    return commit_chunk(b, chunk);
}

static int end(tycho_backfill *b, enum tycho_backfill_phase phase) {
    struct tycho__progress next = b->progress;
    next.phase = phase;
    int status = tycho__backfill_begin(b);
    return status == TYCHO_OK ? tycho__backfill_commit(b, &next, NULL, NULL) : status;
}

static int mend_step(tycho_backfill *b, size_t most) {
    int status = tycho__mend_step(b, most);
    return status == TYCHO_END ? end(b, TYCHO_BACKFILL_DONE) : status;
}

static int cancel_step(tycho_backfill *b, size_t chunk) {
    struct tycho__progress next = b->progress;
    if (next.is_beside) {
        int status = tycho__mend_forget(b);
        return status == TYCHO_END ? end(b, TYCHO_BACKFILL_CANCELLED) : status;
    }
    if (next.position == 0) return end(b, TYCHO_BACKFILL_CANCELLED);
    int status = tycho__backfill_open_others(b);
    if (status == TYCHO_OK) status = tycho__backfill_begin(b);
    if (status == TYCHO_OK) status = tycho__backfill_unlink(b, b->batch, &next, chunk);
    return status == TYCHO_OK ? tycho__backfill_commit(b, &next, NULL, NULL) : status;
}

static int step(tycho_backfill *b, size_t chunk) {
    switch (b->progress.phase) {
    case TYCHO_BACKFILL_NEW:
    case TYCHO_BACKFILL_LINKING:
        return link_step(b, chunk);
    case TYCHO_BACKFILL_MENDING:
        return mend_step(b, chunk);
    case TYCHO_BACKFILL_CANCELLING:
        return cancel_step(b, chunk);
    default:
        return TYCHO_END;
    }
}

int tycho_backfill_step(tycho_backfill *b, size_t chunk) {
    if (b == NULL || b->lock == NULL) {
        return tycho__script_fail(TYCHO_MISUSE, "the back-fill is NULL, or only looks");
    }
    if (chunk > CHUNK_MAX) {
        return tycho__script_fail(TYCHO_MISUSE, "a chunk has at most %d events, got %zu", CHUNK_MAX,
                                  chunk);
    }
    int status = TYCHO_OK;
    /* What was read was changed by others, or another script was deployed: decided anew. */
    for (int tries = 0; tries < TRIES_MAX; tries++) {
        status = step(b, chunk == 0 ? CHUNK : chunk);
        bool is_late = status == TYCHO_BUSY || status == TYCHO_WRONG_EXPECTED_VERSION ||
                       status == TYCHO_ENTRY_NOT_FOUND;
        if (!is_late) return status;
    }
    return status;
}

int tycho_backfill_cancel(tycho_backfill *b) {
    if (b == NULL || b->lock == NULL) {
        return tycho__script_fail(TYCHO_MISUSE, "the back-fill is NULL, or only looks");
    }
    const char *name = b->about.name.data;
    if (b->progress.phase == TYCHO_BACKFILL_CANCELLING) return TYCHO_OK;
    if (b->progress.phase == TYCHO_BACKFILL_LINKING) return end(b, TYCHO_BACKFILL_CANCELLING);
    if (b->progress.phase == TYCHO_BACKFILL_MENDING) {
        return tycho__script_fail(
            TYCHO_CONDITION_FAILED,
            "the linker \"%.*s\" is deployed already: go on with its back-fill",
            (int)b->about.name.size, name);
    }
    return tycho__script_fail(TYCHO_NOT_FOUND, "no back-fill of \"%.*s\" was begun",
                              (int)b->about.name.size, name);
}

void tycho_backfill_status_get(tycho_backfill *b, tycho_backfill_status *status) {
    const struct tycho__progress *progress = &b->progress;
    memset(status, 0, sizeof *status);
    status->phase =
        b->is_preparing ? (uint32_t)TYCHO_BACKFILL_PREPARING : (uint32_t)progress->phase;
    status->is_beside = progress->is_beside != 0;
    status->is_deployed = b->is_deployed;
    status->name = b->about.name;
    status->version = b->about.version;
    status->old_version = b->old != NULL ? b->old_about.version : 0;
    status->position = (uint64_t)progress->position;
    status->head = b->head;
    status->linked = (uint64_t)progress->linked;
    status->unlinked = (uint64_t)progress->unlinked;
    status->left = b->left;
    status->sequence = b->sequence;
}
