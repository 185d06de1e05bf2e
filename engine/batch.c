/* batch.c - building, encoding and decoding batches.
**
** Conditions and operations are two runs of encoded steps (step.h). Each builder writes one step; a
** failing one restores the size of its run, so that the batch is as it was. The number of events
** and ids that a batch names is bounded here, which bounds what one commit can cost.
*/
#include "batch.h"

#include <stdlib.h>

#define MAGIC 0x31425954u /* "TYB1" */
enum { HEAD = 16, CHECKSUM = 8, IDEMPOTENT = 1 };

int tycho_batch_create(tycho_batch **batch) {
    if (batch == NULL) return tycho__fail(TYCHO_MISUSE, "no place to put the batch");
    *batch = calloc(1, sizeof **batch);
    if (*batch == NULL) return tycho__fail(TYCHO_NO_MEMORY, "no memory for a batch");
    return TYCHO_OK;
}

void tycho_batch_destroy(tycho_batch *batch) {
    if (batch == NULL) return;
    tycho__buffer_free(&batch->conditions);
    tycho__buffer_free(&batch->operations);
    tycho__buffer_free(&batch->other);
    tycho__buffer_free(&batch->encoded);
    tycho__buffer_free(&batch->widened);
    tycho__buffer_free(&batch->names);
    free(batch->results);
    free(batch);
}

void tycho_batch_clear(tycho_batch *batch) {
    static const tycho__batch_mark empty;
    if (batch == NULL) return;
    tycho__batch_mark_restore(batch, &empty);
    batch->is_idempotent = false;
    batch->has_expectations = false;
    memset(&batch->receipt, 0, sizeof batch->receipt);
}

void tycho_batch_set_idempotent(tycho_batch *batch, int idempotent) {
    if (batch != NULL) batch->is_idempotent = idempotent != 0;
}

tycho__batch_mark tycho__batch_mark_get(const tycho_batch *batch) {
    tycho__batch_mark mark = {
        batch->conditions.size, batch->operations.size, batch->element_count,
        batch->link_count,      batch->condition_count, batch->operation_count,
        batch->route_count,     batch->lock_count,      batch->first_deploy,
        batch->query_count};
    return mark;
}

void tycho__batch_exchange(tycho_batch *batch) {
    tycho__buffer operations = batch->operations;
    batch->operations = batch->other;
    batch->other = operations;
    batch->is_exchanged = !batch->is_exchanged;
}

void tycho__batch_mark_restore(tycho_batch *batch, const tycho__batch_mark *mark) {
    if (batch->is_exchanged) tycho__batch_exchange(batch);
    assert(mark->conditions_size <= batch->conditions.size);
    assert(mark->operations_size <= batch->operations.size);
    batch->conditions.size = mark->conditions_size;
    batch->operations.size = mark->operations_size;
    batch->element_count = mark->element_count;
    batch->link_count = mark->link_count;
    batch->condition_count = mark->condition_count;
    batch->operation_count = mark->operation_count;
    batch->route_count = mark->route_count;
    batch->lock_count = mark->lock_count;
    batch->first_deploy = mark->first_deploy;
    batch->query_count = mark->query_count;
}

/* ---------------------------------------------------------------- one step */

/* The list of a step, in one of its forms. */
typedef struct elements {
    const tycho_new_event *events;
    const tycho_bytes *ids;
    const tycho_source *sources;
    const tycho_query *query;
    size_t count;
} elements;

static int write_list(tycho__buffer *buffer, const elements *list, bool take_defaults) {
    if (list->query != NULL) return tycho__query_encode(buffer, list->query);
    if (list->ids != NULL) return tycho__ids_encode(buffer, list->ids, list->count);
    for (size_t i = 0; i < list->count; i++) {
        int status = list->sources != NULL
                         ? tycho__source_encode(buffer, &list->sources[i])
                         : tycho__event_encode(buffer, &list->events[i], take_defaults);
        if (status != TYCHO_OK) return status;
    }
    return TYCHO_OK;
}

static int write_step(tycho_batch *batch, const tycho__step *step, const elements *list,
                      bool is_condition) {
    tycho__buffer *buffer = is_condition ? &batch->conditions : &batch->operations;
    size_t begin = buffer->size;
    int status = tycho__step_begin(buffer, step, is_condition);
    if (status == TYCHO_OK && list != NULL) {
        status = write_list(buffer, list, step->kind == TYCHO__APPEND);
    }
    size_t size = HEAD + batch->conditions.size + batch->operations.size + CHECKSUM;
    if (status == TYCHO_OK && size > TYCHO_BATCH_SIZE_MAX) {
        status =
            tycho__fail(TYCHO_TOO_LARGE, "the batch would have %zu bytes, at most %u are allowed",
                        size, TYCHO_BATCH_SIZE_MAX);
    }
    if (status == TYCHO_OK) tycho__step_end(buffer, begin);
    if (status != TYCHO_OK) buffer->size = begin;
    return status;
}

static int add_condition(tycho_batch *batch, const tycho__step *step, const elements *list) {
    if (batch == NULL) return tycho__fail(TYCHO_MISUSE, "the batch is NULL");
    bool is_ours = step->kind == TYCHO__RULES_ARE; /* beyond what the caller may have */
    if (batch->condition_count >= TYCHO_BATCH_STEPS_MAX && !is_ours) {
        return tycho__fail(TYCHO_TOO_LARGE, "a batch has at most %d conditions",
                           TYCHO_BATCH_STEPS_MAX);
    }
    int status = write_step(batch, step, list, true);
    if (status != TYCHO_OK) return status;
    batch->condition_count++;
    if (step->kind == TYCHO__LOCK_IS) batch->lock_count++;
    if (step->kind == TYCHO__NONE_MATCH) batch->query_count++;
    return TYCHO_OK;
}

static int add_operation(tycho_batch *batch, tycho__step *step, const elements *list) {
    if (batch == NULL) return tycho__fail(TYCHO_MISUSE, "the batch is NULL");
    if (batch->operation_count == TYCHO_BATCH_STEPS_MAX) {
        return tycho__fail(TYCHO_TOO_LARGE, "a batch has at most %d operations",
                           TYCHO_BATCH_STEPS_MAX);
    }
    size_t count = list == NULL ? 0 : list->count;
    if (count > TYCHO_BATCH_EVENTS_MAX || batch->element_count + count > TYCHO_BATCH_EVENTS_MAX) {
        return tycho__fail(TYCHO_TOO_LARGE,
                           "the batch would name %zu events, at most %d are allowed",
                           batch->element_count + count, TYCHO_BATCH_EVENTS_MAX);
    }
    step->count = (uint32_t)count;
    int status = write_step(batch, step, list, false);
    if (status != TYCHO_OK) return status;
    batch->operation_count++;
    batch->element_count += count;
    if (step->kind == TYCHO__SET_ROUTE) batch->route_count++;
    if (tycho__step_expects(step)) batch->has_expectations = true;
    return TYCHO_OK;
}

static int check_list(const void *list, size_t count, const char *what) {
    if (count == 0) return tycho__fail(TYCHO_MISUSE, "there are no %s", what);
    if (list == NULL) return tycho__fail(TYCHO_MISUSE, "the %s are NULL", what);
    return TYCHO_OK;
}

/* ---------------------------------------------------------------- conditions */

int tycho_batch_expect(tycho_batch *batch, tycho_bytes stream, int64_t expected, uint32_t flags) {
    if ((flags & ~(uint32_t)TYCHO_RAW) != 0) {
        return tycho__fail(TYCHO_MISUSE, "a condition does not know flag 0x%x", flags);
    }
    tycho__step step = {
        .kind = TYCHO__STREAM_IS, .flags = (uint8_t)flags, .name = stream, .expected = expected};
    return add_condition(batch, &step, NULL);
}

int tycho_batch_expect_none(tycho_batch *batch, const tycho_query *query, uint64_t after) {
    if (query == NULL) return tycho__fail(TYCHO_MISUSE, "the query is NULL");
    if (query->item_count > TYCHO_QUERY_MAX) {
        return tycho__fail(TYCHO_TOO_LARGE, "a query has %zu items, at most %d are allowed",
                           query->item_count, TYCHO_QUERY_MAX);
    }
    tycho__step step = {
        .kind = TYCHO__NONE_MATCH, .number = after, .count = (uint32_t)query->item_count};
    elements items = {.query = query};
    return add_condition(batch, &step, &items);
}

int tycho_batch_expect_route(tycho_batch *batch, tycho_bytes route, tycho_bytes stream) {
    tycho__step step = {.kind = TYCHO__ROUTE_IS, .name = route, .second = stream};
    return add_condition(batch, &step, NULL);
}

int tycho_batch_expect_row(tycho_batch *batch, tycho_bytes table, tycho_bytes key,
                           uint64_t version) {
    tycho__step step = {.kind = TYCHO__ROW_IS, .name = table, .key = key, .number = version};
    return add_condition(batch, &step, NULL);
}

int tycho_batch_expect_lock(tycho_batch *batch, tycho_bytes name, uint64_t token) {
    tycho__step step = {.kind = TYCHO__LOCK_IS, .name = name, .number = token};
    return add_condition(batch, &step, NULL);
}

int tycho_batch_expect_checkpoint(tycho_batch *batch, tycho_bytes name, uint64_t position) {
    tycho__step step = {.kind = TYCHO__CHECKPOINT_IS, .name = name, .number = position};
    return add_condition(batch, &step, NULL);
}

int tycho__batch_expect_rules(tycho_batch *batch, uint64_t version) {
    tycho__step step = {.kind = TYCHO__RULES_ARE, .number = version};
    return add_condition(batch, &step, NULL);
}

/* ---------------------------------------------------------------- operations */

static int check_flags(uint32_t flags) {
    if (flags <= UINT8_MAX) return TYCHO_OK;
    return tycho__fail(TYCHO_MISUSE, "this operation does not know flag 0x%x", flags);
}

int tycho_batch_append(tycho_batch *batch, tycho_bytes stream, int64_t expected,
                       const tycho_new_event *events, size_t count, uint32_t flags) {
    int status = check_list(events, count, "events");
    if (status == TYCHO_OK) status = check_flags(flags);
    if (status != TYCHO_OK) return status;
    tycho__step step = {
        .kind = TYCHO__APPEND, .flags = (uint8_t)flags, .name = stream, .expected = expected};
    elements list = {.events = events, .count = count};
    return add_operation(batch, &step, &list);
}

static int add_ids(tycho_batch *batch, tycho__step *step, const tycho_bytes *ids, size_t count) {
    int status = check_list(ids, count, "event ids");
    if (status != TYCHO_OK) return status;
    elements list = {.ids = ids, .count = count};
    return add_operation(batch, step, &list);
}

int tycho_batch_link(tycho_batch *batch, tycho_bytes stream, int64_t expected,
                     const tycho_bytes *event_ids, size_t count, uint32_t flags) {
    tycho__step step = {
        .kind = TYCHO__LINK, .flags = (uint8_t)flags, .name = stream, .expected = expected};
    int status = check_flags(flags);
    return status == TYCHO_OK ? add_ids(batch, &step, event_ids, count) : status;
}

int tycho_batch_link_range(tycho_batch *batch, tycho_bytes source, int64_t first, int64_t last,
                           tycho_bytes target, int64_t expected, uint32_t flags) {
    tycho__step step = {.kind = TYCHO__LINK_RANGE,
                        .flags = (uint8_t)flags,
                        .name = source,
                        .second = target,
                        .expected = expected,
                        .first = first,
                        .last = last};
    int status = check_flags(flags);
    return status == TYCHO_OK ? add_operation(batch, &step, NULL) : status;
}

int tycho_batch_link_merged(tycho_batch *batch, const tycho_source *sources, size_t count,
                            tycho_bytes target, int64_t expected, uint32_t flags) {
    tycho__step step = {
        .kind = TYCHO__LINK_MERGED, .flags = (uint8_t)flags, .name = target, .expected = expected};
    int status = check_list(sources, count, "streams to be merged");
    if (status == TYCHO_OK) status = check_flags(flags);
    if (status != TYCHO_OK) return status;
    if (count > TYCHO_SOURCES_MAX) {
        return tycho__fail(TYCHO_TOO_LARGE, "%zu streams to be merged, at most %d are allowed",
                           count, TYCHO_SOURCES_MAX);
    }
    for (size_t i = 0; i < count; i++) {
        bool is_again = tycho__equal(sources[i].stream, target);
        for (size_t j = 0; j < i; j++) {
            is_again = is_again || tycho__equal(sources[i].stream, sources[j].stream);
        }
        if (!is_again) continue;
        return tycho__fail(TYCHO_MISUSE, "the stream \"%.*s\" is named twice in a merge",
                           (int)sources[i].stream.size, (const char *)sources[i].stream.data);
    }
    elements list = {.sources = sources, .count = count};
    return add_operation(batch, &step, &list);
}

int tycho_batch_unlink(tycho_batch *batch, tycho_bytes stream, const tycho_bytes *event_ids,
                       size_t count, uint32_t flags) {
    tycho__step step = {.kind = TYCHO__UNLINK, .flags = (uint8_t)flags, .name = stream};
    int status = check_flags(flags);
    return status == TYCHO_OK ? add_ids(batch, &step, event_ids, count) : status;
}

int tycho_batch_delete_stream(tycho_batch *batch, tycho_bytes stream, uint32_t flags) {
    tycho__step step = {.kind = TYCHO__DELETE_STREAM, .flags = (uint8_t)flags, .name = stream};
    int status = check_flags(flags);
    return status == TYCHO_OK ? add_operation(batch, &step, NULL) : status;
}

int tycho_batch_move_stream(tycho_batch *batch, tycho_bytes source, tycho_bytes target,
                            uint32_t flags) {
    tycho__step step = {
        .kind = TYCHO__MOVE_STREAM, .flags = (uint8_t)flags, .name = source, .second = target};
    int status = check_flags(flags);
    return status == TYCHO_OK ? add_operation(batch, &step, NULL) : status;
}

int tycho_batch_truncate(tycho_batch *batch, tycho_bytes stream, int64_t before, uint32_t flags) {
    tycho__step step = {
        .kind = TYCHO__TRUNCATE, .flags = (uint8_t)flags, .name = stream, .first = before};
    int status = check_flags(flags);
    return status == TYCHO_OK ? add_operation(batch, &step, NULL) : status;
}

int tycho_batch_set_stream_metadata(tycho_batch *batch, tycho_bytes stream, tycho_bytes metadata,
                                    uint32_t flags) {
    tycho__step step = {.kind = TYCHO__SET_STREAM_METADATA,
                        .flags = (uint8_t)flags,
                        .name = stream,
                        .value = metadata};
    int status = check_flags(flags);
    return status == TYCHO_OK ? add_operation(batch, &step, NULL) : status;
}

int tycho_batch_set_route(tycho_batch *batch, tycho_bytes route, tycho_bytes stream,
                          uint32_t flags) {
    tycho__step step = {
        .kind = TYCHO__SET_ROUTE, .flags = (uint8_t)flags, .name = route, .second = stream};
    int status = check_flags(flags);
    return status == TYCHO_OK ? add_operation(batch, &step, NULL) : status;
}

int tycho_batch_put_row(tycho_batch *batch, tycho_bytes table, tycho_bytes key, tycho_bytes value) {
    tycho__step step = {.kind = TYCHO__PUT_ROW, .name = table, .key = key, .value = value};
    return add_operation(batch, &step, NULL);
}

int tycho_batch_delete_row(tycho_batch *batch, tycho_bytes table, tycho_bytes key) {
    tycho__step step = {.kind = TYCHO__DELETE_ROW, .name = table, .key = key};
    return add_operation(batch, &step, NULL);
}

int tycho_batch_set_checkpoint(tycho_batch *batch, tycho_bytes name, uint64_t position) {
    tycho__step step = {.kind = TYCHO__SET_CHECKPOINT, .name = name, .number = position};
    return add_operation(batch, &step, NULL);
}

int tycho_batch_deploy(tycho_batch *batch, tycho_bytes name, tycho_bytes script) {
    tycho__step step = {.kind = TYCHO__DEPLOY, .name = name, .value = script};
    int status = add_operation(batch, &step, NULL);
    if (status == TYCHO_OK && batch->first_deploy == 0) {
        batch->first_deploy = batch->operation_count;
    }
    return status;
}

int64_t tycho_batch_first_deploy(const tycho_batch *batch) {
    return batch == NULL ? -1 : (int64_t)batch->first_deploy - 1;
}

int tycho_batch_overwrite(tycho_batch *batch, const tycho_new_event *events, size_t count) {
    int status = check_list(events, count, "events");
    if (status != TYCHO_OK) return status;
    tycho__step step = {.kind = TYCHO__OVERWRITE};
    elements list = {.events = events, .count = count};
    return add_operation(batch, &step, &list);
}

int tycho__batch_reserve_tokens(tycho_batch *batch, uint64_t tokens) {
    tycho__step step = {.kind = TYCHO__RESERVE_TOKENS, .number = tokens};
    return add_operation(batch, &step, NULL);
}

int tycho__batch_set_dictionary(tycho_batch *batch, uint32_t number, tycho_bytes dictionary) {
    tycho__step step = {.kind = TYCHO__SET_DICTIONARY, .number = number, .value = dictionary};
    return add_operation(batch, &step, NULL);
}

/* ---------------------------------------------------------------- the whole batch */

int tycho_batch_encode(tycho_batch *batch, tycho_bytes *bytes) {
    if (batch == NULL || bytes == NULL) return tycho__fail(TYCHO_MISUSE, "the batch is NULL");
    tycho__buffer *out = &batch->encoded;
    out->size = 0;
    int status = tycho__buffer_reserve(out, HEAD + batch->conditions.size + batch->operations.size +
                                                CHECKSUM);
    if (status != TYCHO_OK) return status;
    tycho__write32(out, MAGIC);
    tycho__write32(out, batch->is_idempotent ? IDEMPOTENT : 0);
    tycho__write32(out, batch->condition_count);
    tycho__write32(out, batch->operation_count);
    tycho__write(out, batch->conditions.data, batch->conditions.size);
    tycho__write(out, batch->operations.data, batch->operations.size);
    tycho__write64(out, tycho__hash(out->data, out->size, 0));
    *bytes = tycho__buffer_bytes(out);
    return TYCHO_OK;
}

static int too_many_steps(void) {
    return tycho__fail(TYCHO_TOO_LARGE, "the batch has over %d steps", TYCHO_BATCH_STEPS_MAX);
}

/* Checks `count` steps and copies them to `run`. */
static int decode_steps(tycho_batch *batch, tycho__reader *reader, uint32_t count,
                        bool is_condition) {
    const uint8_t *begin = reader->at;
    uint32_t plain = 0; /* steps that no hook added */
    for (uint32_t i = 0; i < count; i++) {
        tycho__step step;
        int status = tycho__step_read(reader, &step, is_condition);
        if (status == TYCHO_OK) {
            status = tycho__step_check(&step, is_condition, &batch->element_count);
        }
        if (status != TYCHO_OK) return status;
        if (!is_condition && step.kind == TYCHO__SET_ROUTE) batch->route_count++;
        if (!is_condition && tycho__step_expects(&step)) batch->has_expectations = true;
        if (is_condition && step.kind == TYCHO__LOCK_IS) batch->lock_count++;
        bool deploys = !is_condition && step.kind == TYCHO__DEPLOY;
        if (deploys && batch->first_deploy == 0) batch->first_deploy = i + 1;
        if (is_condition && step.kind == TYCHO__NONE_MATCH) batch->query_count++;
        bool is_link = !is_condition && step.kind == TYCHO__LINK_NEW;
        if (is_link) batch->link_count += step.count;
        if (!is_link && !(is_condition && step.kind == TYCHO__RULES_ARE)) plain++;
        if (plain > TYCHO_BATCH_STEPS_MAX) return too_many_steps();
        if (batch->link_count > TYCHO_BATCH_LINKS_MAX) {
            return tycho__fail(TYCHO_TOO_LARGE, "the batch has over %d links of hooks",
                               TYCHO_BATCH_LINKS_MAX);
        }
        if (batch->element_count > TYCHO_BATCH_EVENTS_MAX) {
            return tycho__fail(TYCHO_TOO_LARGE, "the batch names over %d events",
                               TYCHO_BATCH_EVENTS_MAX);
        }
    }
    tycho__buffer *run = is_condition ? &batch->conditions : &batch->operations;
    return tycho__buffer_append(run, begin, (size_t)(reader->at - begin));
}

static int decode_batch(tycho_batch *batch, tycho__reader *reader) {
    uint32_t magic = tycho__read32(reader);
    uint32_t flags = tycho__read32(reader);
    batch->condition_count = tycho__read32(reader);
    batch->operation_count = tycho__read32(reader);
    if (magic != MAGIC) return tycho__fail(TYCHO_CORRUPT, "these bytes are no batch");
    if ((flags & ~(uint32_t)IDEMPOTENT) != 0) {
        return tycho__fail(TYCHO_NEWER_FORMAT, "the batch has unknown flags: 0x%x", flags);
    }
    if (batch->condition_count > TYCHO_BATCH_STEPS_MAX + 1 || /* the rules of a host, too */
        batch->operation_count > TYCHO_BATCH_LINKS_MAX) {
        return too_many_steps();
    }
    batch->is_idempotent = flags != 0;
    int status = decode_steps(batch, reader, batch->condition_count, true);
    if (status == TYCHO_OK) status = decode_steps(batch, reader, batch->operation_count, false);
    if (status != TYCHO_OK) return status;
    if (tycho__reader_left(reader) > 0) {
        return tycho__fail(TYCHO_CORRUPT, "the batch has bytes behind its last step");
    }
    return TYCHO_OK;
}

int tycho_batch_decode(tycho_batch *batch, tycho_bytes bytes) {
    if (batch == NULL) return tycho__fail(TYCHO_MISUSE, "the batch is NULL");
    if (bytes.data == NULL || bytes.size < HEAD + CHECKSUM) {
        return tycho__fail(TYCHO_CORRUPT, "%zu bytes are no batch", bytes.size);
    }
    if (bytes.size > TYCHO_BATCH_SIZE_MAX) {
        return tycho__fail(TYCHO_TOO_LARGE, "a batch of %zu bytes", bytes.size);
    }
    size_t size = bytes.size - CHECKSUM;
    const uint8_t *data = bytes.data;
    if (tycho__load64(data + size) != tycho__hash(data, size, 0)) {
        return tycho__fail(TYCHO_CORRUPT, "the checksum of the batch is wrong");
    }
    tycho_batch_clear(batch);
    tycho__reader reader = tycho__reader_of(tycho__bytes(data, size));
    int status = decode_batch(batch, &reader);
    if (status != TYCHO_OK) tycho_batch_clear(batch);
    return status;
}

/* ---------------------------------------------------------------- receipt */

int tycho__batch_begin_receipt(tycho_batch *batch) {
    memset(&batch->receipt, 0, sizeof batch->receipt);
    batch->receipt.operation = -1;
    batch->receipt.condition = -1;
    batch->names.size = 0;
    if (batch->results_capacity < batch->operation_count) {
        size_t capacity = batch->operation_count;
        tycho_result *results = realloc(batch->results, capacity * sizeof *results);
        if (results == NULL) return tycho__fail(TYCHO_NO_MEMORY, "no memory for the receipt");
        batch->results = results;
        batch->results_capacity = capacity;
    }
    return tycho__buffer_reserve(&batch->names, (size_t)batch->route_count * TYCHO_NAME_MAX);
}

void tycho__batch_set_event(tycho_batch *batch, tycho_bytes packed, bool is_uuid) {
    if (is_uuid) {
        assert(packed.size == TYCHO__UUID_BYTES);
        tycho__uuid_unpack(batch->event_id, packed.data);
        batch->receipt.event_id = tycho__bytes(batch->event_id, TYCHO_UUID_SIZE);
    } else {
        assert(packed.size <= TYCHO_ID_MAX);
        tycho__copy(batch->event_id, packed);
        batch->receipt.event_id = tycho__bytes(batch->event_id, packed.size);
    }
}

void tycho__batch_set_stream(tycho_batch *batch, tycho_bytes stream) {
    assert(stream.size <= TYCHO_NAME_MAX);
    tycho__copy(batch->stream, stream);
    batch->receipt.stream = tycho__bytes(batch->stream, stream.size);
}
