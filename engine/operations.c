/* operations.c - what each operation of a batch does, but for linking (links.c) and for those on
** event records (events.c). */
#include "apply.h"
#include "settle.h"
#include "ways.h"

/* ---------------------------------------------------------------- streams */

/* A name of a step, resolved, to be written to. */
static int resolve_open(tycho__txn *txn, tycho_batch *batch, tycho_bytes name, uint8_t flags,
                        tycho__name *resolved) {
    int status = tycho__resolve(txn, name, (flags & TYCHO_RAW) != 0, resolved);
    if (status != TYCHO_OK || !resolved->is_closed) return status;
    tycho__batch_set_stream(batch, tycho__name_bytes(resolved));
    return tycho__fail(TYCHO_DENIED, "the name \"%.*s\" is closed: its stream is \"%.*s\" now",
                       (int)name.size, (const char *)name.data, resolved->size, resolved->bytes);
}

int tycho__stream_make(tycho__txn *txn, tycho_batch *batch, tycho_bytes name, uint8_t flags,
                       tycho__list **stream) {
    tycho__name resolved;
    int status = resolve_open(txn, batch, name, flags, &resolved);
    if (status != TYCHO_OK) return status;
    return tycho__list_make(txn, TYCHO__STREAM, tycho__name_bytes(&resolved), stream);
}

/* The stream of a step, resolved and wholly settled, or NULL when there is none. */
static int edit_stream(tycho__txn *txn, tycho_batch *batch, tycho_bytes name, uint8_t flags,
                       tycho__list **stream) {
    tycho__name resolved;
    uint32_t number;
    *stream = NULL;
    int status = tycho__settle(txn);
    if (status == TYCHO_OK) status = resolve_open(txn, batch, name, flags, &resolved);
    if (status != TYCHO_OK) return status;
    status = tycho__list_find(txn, TYCHO__STREAM, tycho__name_bytes(&resolved), &number);
    if (status == TYCHO_NOT_FOUND) return TYCHO_OK;
    return status == TYCHO_OK ? tycho__list_edit(txn, TYCHO__STREAM, number, stream) : status;
}

/* ---------------------------------------------------------------- entries */

/* What the store counts when an entry goes. */
static int forget_entry(tycho__txn *txn, const tycho__list *stream, const tycho__entry *entry) {
    txn->state.entries--;
    if (!entry->is_link) return TYCHO_OK;
    txn->state.links--;
    int status = tycho__ways_remove(txn, entry->position, stream->number);
    if (status != TYCHO_NOT_FOUND) return status;
    return tycho__fail(TYCHO_CORRUPT, "a link at position %llu has no row",
                       (unsigned long long)entry->position);
}

static int refuse_absent(tycho_batch *batch, tycho_bytes stream) {
    tycho__batch_set_stream(batch, stream);
    return tycho__fail(TYCHO_ENTRY_NOT_FOUND, "the stream \"%.*s\" does not have the event %.*s",
                       (int)stream.size, (const char *)stream.data,
                       (int)batch->receipt.event_id.size,
                       (const char *)batch->receipt.event_id.data);
}

static int unlink_event(tycho__txn *txn, tycho_batch *batch, tycho_bytes name, tycho__list *stream,
                        const tycho__id *id) {
    tycho__event_view event;
    tycho__entry entry;
    uint64_t position = 0;
    tycho__batch_set_event(batch, tycho__bytes(id->bytes, id->size), id->is_uuid);
    int status = tycho__event_find(txn, id, &position);
    if (status == TYCHO_OK) status = tycho__event_load(txn, position, &event);
    if (status == TYCHO_OK && stream == NULL) return refuse_absent(batch, name);
    if (status == TYCHO_OK) status = tycho__entry_find(txn, stream, &event, &entry);
    if (status == TYCHO_NOT_FOUND) return refuse_absent(batch, name);
    if (status == TYCHO_OK) status = tycho__list_hole(txn, stream, entry.ordinal);
    if (status == TYCHO_OK) status = forget_entry(txn, stream, &entry);
    if (status == TYCHO_OK && stream->count == 0) txn->state.streams--;
    return status;
}

static int apply_unlink(tycho__txn *txn, tycho_batch *batch, const tycho__step *step,
                        tycho_result *result) {
    tycho__reader ids = tycho__reader_of(step->list);
    tycho__list *stream;
    int status = edit_stream(txn, batch, step->name, step->flags, &stream);
    for (uint32_t i = 0; i < step->count && status == TYCHO_OK; i++) {
        tycho__id id;
        status = tycho__id_read(&ids, &id);
        if (status == TYCHO_OK) status = unlink_event(txn, batch, step->name, stream, &id);
        if (status == TYCHO_OK) result->count++;
    }
    if (status == TYCHO_OK) batch->receipt.event_id.size = 0;
    return status;
}

static int apply_truncate(tycho__txn *txn, tycho_batch *batch, const tycho__step *step,
                          tycho_result *result) {
    tycho__list *stream;
    tycho__entries entries;
    tycho__entry entry;
    int status = edit_stream(txn, batch, step->name, step->flags, &stream);
    if (status != TYCHO_OK || stream == NULL || stream->count == 0) return status;
    uint64_t before = (uint64_t)step->first < stream->next ? (uint64_t)step->first : stream->next;
    uint64_t count = stream->count;
    tycho__entries_begin(&entries, txn, stream);
    status = tycho__entries_from(&entries, 0, &entry);
    while (status == TYCHO_OK && entry.ordinal < before) {
        status = forget_entry(txn, stream, &entry);
        if (status == TYCHO_OK) status = tycho__entries_from(&entries, entry.ordinal + 1, &entry);
    }
    if (status != TYCHO_OK && status != TYCHO_END) return status;
    status = tycho__list_cut(txn, stream, before);
    result->count = count - stream->count;
    if (stream->count == 0) txn->state.streams--;
    return status;
}

/* ---------------------------------------------------------------- whole streams */

static int set_metadata(tycho__txn *txn, uint32_t number, tycho_bytes metadata) {
    uint8_t key[4];
    tycho__key32(key, number);
    tycho_bytes row = {key, sizeof key};
    if (metadata.size > 0) return tycho__put(txn, TYCHO__STREAM_METADATA, row, metadata);
    int status = tycho__remove(txn, TYCHO__STREAM_METADATA, row);
    return status == TYCHO_NOT_FOUND ? TYCHO_OK : status;
}

/* Gives up a stream, which sweep.c clears away. */
static int delete_list(tycho__txn *txn, tycho__list *stream) {
    uint8_t key[4];
    if (stream->count > 0) txn->state.streams--;
    txn->state.entries -= stream->count;
    txn->state.deletions++;
    txn->state.garbage++;
    tycho__key32(key, stream->number);
    int status = tycho__put(txn, TYCHO__GARBAGE, tycho__bytes(key, sizeof key),
                            tycho__bytes(&stream->count, sizeof stream->count));
    if (status == TYCHO_OK) status = set_metadata(txn, stream->number, tycho__bytes(NULL, 0));
    return status == TYCHO_OK ? tycho__list_delete(txn, stream) : status;
}

static int apply_delete_stream(tycho__txn *txn, tycho_batch *batch, const tycho__step *step,
                               tycho_result *result) {
    tycho__list *stream;
    int status = edit_stream(txn, batch, step->name, step->flags, &stream);
    if (status != TYCHO_OK || stream == NULL) return status;
    result->count = stream->count;
    return delete_list(txn, stream);
}

/* The metadata of one stream becomes that of another. */
static int carry_metadata(tycho__txn *txn, uint32_t from, uint32_t to) {
    tycho__buffer metadata = {NULL, 0, 0};
    uint8_t key[4];
    tycho_bytes row;
    tycho__key32(key, from);
    int status = tycho__get(txn, TYCHO__STREAM_METADATA, tycho__bytes(key, sizeof key), &row);
    if (status == TYCHO_OK) status = tycho__buffer_append(&metadata, row.data, row.size);
    if (status == TYCHO_NOT_FOUND) status = TYCHO_OK;
    if (status == TYCHO_OK) status = set_metadata(txn, to, tycho__buffer_bytes(&metadata));
    tycho__buffer_free(&metadata);
    return status;
}

static int apply_move_stream(tycho__txn *txn, tycho_batch *batch, const tycho__step *step,
                             tycho_result *result) {
    tycho__list *source, *target;
    tycho__name name;
    int status = edit_stream(txn, batch, step->second, step->flags, &target);
    if (status == TYCHO_OK) status = resolve_open(txn, batch, step->second, step->flags, &name);
    if (status == TYCHO_OK) status = edit_stream(txn, batch, step->name, step->flags, &source);
    if (status != TYCHO_OK || (source == NULL && target == NULL)) return status;
    if (source == target) {
        return tycho__fail(TYCHO_MISUSE, "the stream \"%.*s\" is moved to itself",
                           (int)step->name.size, (const char *)step->name.data);
    }
    if (source == NULL) {
        status = tycho__stream_make(txn, batch, step->name, step->flags, &source);
        if (status == TYCHO_OK) status = tycho__list_load_tail(txn, source);
    }
    if (status != TYCHO_OK) return status;
    result->count = source->count;
    status = carry_metadata(txn, target != NULL ? target->number : 0, source->number);
    if (status == TYCHO_OK && target != NULL) status = delete_list(txn, target);
    if (status != TYCHO_OK) return status;
    txn->state.deletions++; /* of the name */
    return tycho__list_rename(txn, source, tycho__name_bytes(&name));
}

static int apply_metadata(tycho__txn *txn, tycho_batch *batch, const tycho__step *step,
                          tycho_result *result) {
    tycho__list *stream;
    int status = tycho__stream_make(txn, batch, step->name, step->flags, &stream);
    if (status != TYCHO_OK) return status;
    result->count = 1;
    return set_metadata(txn, stream->number, step->value);
}

static int put_route(tycho__txn *txn, const tycho__step *step) {
    uint8_t row[1 + TYCHO_NAME_MAX] = {0};
    bool is_closed = (step->flags & TYCHO_CLOSED) != 0;
    tycho__copy(row + 1, step->second);
    return tycho__put(txn, TYCHO__ROUTES, step->name,
                      is_closed ? tycho__bytes(row, 1 + step->second.size) : step->second);
}

static int apply_route(tycho__txn *txn, tycho_batch *batch, const tycho__step *step,
                       tycho_result *result) {
    tycho_bytes row, previous;
    int status = tycho__get(txn, TYCHO__ROUTES, step->name, &row);
    bool is_new = status == TYCHO_NOT_FOUND;
    if (status != TYCHO_OK && !is_new) return status;
    if (!is_new) {
        tycho__route_parse(row, &previous);
        result->previous = tycho__bytes(batch->names.data + batch->names.size, previous.size);
        tycho__write(&batch->names, previous.data, previous.size);
    }
    result->count = 1;
    if (step->second.size == 0) {
        if (is_new) return TYCHO_OK;
        txn->state.routes--;
        return tycho__remove(txn, TYCHO__ROUTES, step->name);
    }
    if (is_new) txn->state.routes++;
    status = put_route(txn, step);
    if (status != TYCHO_OK) return status;
    tycho__name end;
    status = tycho__follow_routes(txn, step->name, false, &end);
    if (status != TYCHO_END) return status;
    return tycho__fail(TYCHO_MISUSE, "the route \"%.*s\" to \"%.*s\" would lead in a circle",
                       (int)step->name.size, (const char *)step->name.data, (int)step->second.size,
                       (const char *)step->second.data);
}

/* ---------------------------------------------------------------- rows and checkpoints */

size_t tycho__row_key(uint8_t *to, uint32_t table, tycho_bytes key) {
    assert(key.size <= TYCHO_KEY_MAX);
    tycho__key32(to, table);
    tycho__copy(to + 4, key);
    return 4 + key.size;
}

static uint64_t row_checksum(tycho_bytes key, const uint8_t *row, size_t size) {
    uint64_t seed = tycho__hash(key.data, key.size, 0);
    return tycho__hash(row + 8, size - 8, seed);
}

int tycho__row_parse(tycho_bytes key, tycho_bytes row, uint64_t *version, tycho_bytes *value) {
    const uint8_t *from = row.data;
    if (row.size < TYCHO__ROW_HEAD || tycho__load64(from) != row_checksum(key, from, row.size)) {
        return tycho__fail(TYCHO_CORRUPT, "a row has a wrong checksum");
    }
    *version = tycho__load64(from + 8);
    *value = tycho__bytes(from + TYCHO__ROW_HEAD, row.size - TYCHO__ROW_HEAD);
    return TYCHO_OK;
}

int tycho__row_encode(tycho__buffer *row, tycho_bytes key, uint64_t version, tycho_bytes value) {
    int status = tycho__buffer_reserve(row, TYCHO__ROW_HEAD + value.size);
    if (status != TYCHO_OK) return status;
    tycho__write64(row, 0);
    tycho__write64(row, version);
    tycho__write(row, value.data, value.size);
    tycho__store64(row->data, row_checksum(key, row->data, row->size));
    return TYCHO_OK;
}

static int apply_put_row(tycho__txn *txn, const tycho__step *step, tycho_result *result) {
    uint8_t bytes[TYCHO__ROW_KEY_MAX];
    tycho__list *table;
    tycho_bytes old;
    int status = tycho__list_make(txn, TYCHO__ROW_TABLE, step->name, &table);
    if (status != TYCHO_OK) return status;
    tycho_bytes key = {bytes, tycho__row_key(bytes, table->number, step->key)};
    status = tycho__get(txn, TYCHO__ROWS, key, &old);
    if (status == TYCHO_NOT_FOUND) txn->state.rows++;
    if (status != TYCHO_OK && status != TYCHO_NOT_FOUND) return status;
    tycho__buffer row = {NULL, 0, 0};
    status = tycho__row_encode(&row, key, txn->state.sequence, step->value);
    if (status == TYCHO_OK) status = tycho__put(txn, TYCHO__ROWS, key, tycho__buffer_bytes(&row));
    tycho__buffer_free(&row);
    result->count = 1;
    return status;
}

static int apply_delete_row(tycho__txn *txn, const tycho__step *step, tycho_result *result) {
    uint8_t bytes[TYCHO__ROW_KEY_MAX];
    uint32_t table;
    int status = tycho__list_find(txn, TYCHO__ROW_TABLE, step->name, &table);
    if (status == TYCHO_OK) {
        tycho_bytes key = {bytes, tycho__row_key(bytes, table, step->key)};
        status = tycho__remove(txn, TYCHO__ROWS, key);
    }
    if (status == TYCHO_NOT_FOUND) return TYCHO_OK;
    if (status != TYCHO_OK) return status;
    txn->state.rows--;
    result->count = 1;
    return TYCHO_OK;
}

/* The rules are as new as the batch; a store without scripts has none. */
static int apply_deploy(tycho__txn *txn, const tycho__step *step, tycho_result *result) {
    const tycho__step row = {.name = tycho__scripts(), .key = step->name, .value = step->value};
    uint64_t before = txn->state.rows;
    int status = step->value.size > 0 ? apply_put_row(txn, &row, result)
                                      : apply_delete_row(txn, &row, result);
    if (status != TYCHO_OK) return status;
    txn->state.scripts += txn->state.rows - before;
    txn->state.rules = txn->state.scripts == 0 ? 0 : txn->state.sequence;
    return TYCHO_OK;
}

/* The first dictionary makes the store one that older libraries refuse. */
static int apply_dictionary(tycho__txn *txn, tycho_batch *batch, const tycho__step *step,
                            tycho_result *result) {
    tycho__state *state = &txn->state;
    int status = TYCHO_OK;
    result->count = 1;
    if (step->number != 0 && step->number != (uint64_t)state->dictionaries + 1) {
        batch->receipt.actual = state->dictionaries;
        return tycho__fail(TYCHO_CONDITION_FAILED, "dictionary %llu cannot follow dictionary %u",
                           (unsigned long long)step->number, state->dictionaries);
    }
    state->dictionary = (uint32_t)step->number;
    if (step->number == 0) return TYCHO_OK;
    state->dictionaries = state->dictionary;
    if (state->format < TYCHO__FORMAT_COMPRESSED) state->format = TYCHO__FORMAT_COMPRESSED;
    for (int copy = 0; copy < TYCHO__DICTIONARY_COPIES && status == TYCHO_OK; copy++) {
        const uint8_t key[2] = {(uint8_t)step->number, (uint8_t)copy};
        const tycho__step row = {.name = tycho__dictionaries(),
                                 .key = tycho__bytes(key, sizeof key),
                                 .value = step->value};
        status = apply_put_row(txn, &row, result);
    }
    return status;
}

static int apply_checkpoint(tycho__txn *txn, const tycho__step *step, tycho_result *result) {
    result->count = 1;
    if (step->number != 0) {
        return tycho__put(txn, TYCHO__CHECKPOINTS, step->name,
                          tycho__bytes(&step->number, sizeof step->number));
    }
    int status = tycho__remove(txn, TYCHO__CHECKPOINTS, step->name);
    return status == TYCHO_NOT_FOUND ? TYCHO_OK : status;
}

int tycho__operation_apply(tycho__txn *txn, tycho_batch *batch, const tycho__step *step,
                           tycho_result *result) {
    switch (step->kind) {
    case TYCHO__APPEND:
        return tycho__append_apply(txn, batch, step, result);
    case TYCHO__LINK:
        return tycho__link_apply(txn, batch, step, result);
    case TYCHO__LINK_RANGE:
        return tycho__link_range_apply(txn, batch, step, result);
    case TYCHO__DEPLOY:
        return apply_deploy(txn, step, result);
    case TYCHO__LINK_NEW:
        return tycho__link_new_apply(txn, batch, step, result);
    case TYCHO__LINK_MERGED:
        return tycho__link_merged_apply(txn, batch, step, result);
    case TYCHO__UNLINK:
        return apply_unlink(txn, batch, step, result);
    case TYCHO__DELETE_STREAM:
        return apply_delete_stream(txn, batch, step, result);
    case TYCHO__MOVE_STREAM:
        return apply_move_stream(txn, batch, step, result);
    case TYCHO__TRUNCATE:
        return apply_truncate(txn, batch, step, result);
    case TYCHO__SET_STREAM_METADATA:
        return apply_metadata(txn, batch, step, result);
    case TYCHO__SET_ROUTE:
        return apply_route(txn, batch, step, result);
    case TYCHO__PUT_ROW:
        return apply_put_row(txn, step, result);
    case TYCHO__DELETE_ROW:
        return apply_delete_row(txn, step, result);
    case TYCHO__SET_CHECKPOINT:
        return apply_checkpoint(txn, step, result);
    case TYCHO__RESERVE_TOKENS:
        if (step->number > txn->state.tokens) txn->state.tokens = step->number;
        result->count = 1;
        return TYCHO_OK;
    case TYCHO__SET_DICTIONARY:
        return apply_dictionary(txn, batch, step, result);
    default:
        assert(step->kind == TYCHO__OVERWRITE);
        return tycho__overwrite_apply(txn, batch, step, result);
    }
}
