/* write.c - the operations: each adds its conditions, and itself, to the batch of the call.
**
** The same builder serves the op and the operation of a batch. Conditions that an operation brings
** along (expected, version) come behind those that a batch names, so the index of a refused
** condition tells them apart (batch.c).
*/
#include "call.h"

/* The status of a builder of the engine: MISUSE and so on have its sentence. */
static int built(struct rpc_call *call, struct rpc_step *step, int status) {
    if (status != TYCHO_OK) return tycho__rpc_engine(call, status);
    step->result = 0; /* there is one; which, is counted by the caller */
    return TYCHO_OK;
}

static int take_raw(struct rpc_call *call, const json_t *object, uint32_t *flags) {
    bool is_raw = false;
    int status = tycho__rpc_boolean(call, object, "raw", &is_raw);
    if (is_raw) *flags |= TYCHO_RAW;
    return status;
}

/* What most operations begin with. */
static int take_stream(struct rpc_call *call, const json_t *object, unsigned field_flags,
                       tycho_bytes *stream, uint32_t *flags) {
    int status = tycho__rpc_text(call, object, "stream", field_flags, stream);
    if (status == TYCHO_OK) status = take_raw(call, object, flags);
    return status;
}

static int take_duplicates(struct rpc_call *call, const json_t *object, uint32_t *flags) {
    uint32_t choice = 0;
    int status = tycho__rpc_choice(call, object, "on_duplicate", "error skip", &choice);
    if (choice == 1) *flags |= TYCHO_SKIP_DUPLICATES;
    return status;
}

/* event_ids, which are required; none of them is nothing to do. */
static int take_event_ids(struct rpc_call *call, const json_t *object, const tycho_bytes **ids,
                          size_t *count) {
    const json_t *array;
    int status = tycho__rpc_array(call, object, "event_ids", RPC_REQUIRED, &array);
    if (status == TYCHO_OK) status = tycho__rpc_ids(call, object, "event_ids", ids, count);
    return status;
}

/* An operation without content still has its expectation, when it is part of a batch with more. */
static int expect_only(struct rpc_call *call, tycho_bytes stream, int64_t expected,
                       uint32_t flags) {
    int status;
    if (expected == TYCHO_EXPECT_ANY) return TYCHO_OK;
    status = tycho_batch_expect(call->batch, stream, expected, flags & TYCHO_RAW);
    return tycho__rpc_engine(call, status);
}

int tycho__rpc_build_append(struct rpc_call *call, const json_t *object, struct rpc_step *step) {
    tycho_bytes stream = {NULL, 0};
    int64_t expected = TYCHO_EXPECT_ANY;
    uint32_t flags = 0;
    int status = take_stream(call, object, 0, &stream, &flags);
    if (status == TYCHO_OK) status = tycho__rpc_expected(call, object, stream, &expected);
    if (status == TYCHO_OK) status = tycho__rpc_records(call, object, false, step);
    if (status != TYCHO_OK) return status;
    if (step->count == 0) return expect_only(call, stream, expected, flags);
    return built(call, step,
                 tycho_batch_append(call->batch, stream, expected, step->events, step->count,
                                    flags));
}

int tycho__rpc_build_link(struct rpc_call *call, const json_t *object, struct rpc_step *step) {
    tycho_bytes stream = {NULL, 0};
    const tycho_bytes *ids = NULL;
    size_t count = 0;
    int64_t expected = TYCHO_EXPECT_ANY;
    uint32_t flags = 0;
    int status = take_stream(call, object, RPC_REQUIRED, &stream, &flags);
    if (status == TYCHO_OK) status = tycho__rpc_expected(call, object, stream, &expected);
    if (status == TYCHO_OK) status = take_duplicates(call, object, &flags);
    if (status == TYCHO_OK) status = take_event_ids(call, object, &ids, &count);
    if (status != TYCHO_OK) return status;
    if (count == 0) return expect_only(call, stream, expected, flags);
    return built(call, step,
                 tycho_batch_link(call->batch, stream, expected, ids, count, flags));
}

int tycho__rpc_build_link_range(struct rpc_call *call, const json_t *object,
                                struct rpc_step *step) {
    tycho_bytes source = {NULL, 0};
    tycho_bytes target = {NULL, 0};
    int64_t first = 0;
    int64_t last = -1;
    int64_t expected = TYCHO_EXPECT_ANY;
    uint32_t flags = 0;
    bool keeps_revisions = false;
    int status = tycho__rpc_text(call, object, "source", RPC_REQUIRED, &source);
    if (status == TYCHO_OK) {
        status = tycho__rpc_text(call, object, "target", RPC_REQUIRED, &target);
    }
    if (status == TYCHO_OK) status = tycho__rpc_integer(call, object, "first", 0, &first, NULL);
    if (status == TYCHO_OK) status = tycho__rpc_integer(call, object, "last", -1, &last, NULL);
    if (status == TYCHO_OK) status = tycho__rpc_expected(call, object, target, &expected);
    if (status == TYCHO_OK) status = take_duplicates(call, object, &flags);
    if (status == TYCHO_OK) status = take_raw(call, object, &flags);
    if (status == TYCHO_OK) {
        status = tycho__rpc_boolean(call, object, "keep_revisions", &keeps_revisions);
    }
    if (status != TYCHO_OK) return status;
    if (keeps_revisions) flags |= TYCHO_KEEP_REVISIONS;
    return built(call, step,
                 tycho_batch_link_range(call->batch, source, first, last, target, expected,
                                        flags));
}

static int take_sources(struct rpc_call *call, const json_t *array, tycho_source *sources) {
    int status = TYCHO_OK;
    for (size_t i = 0; status == TYCHO_OK && i < json_array_size(array); i++) {
        const json_t *source = json_array_get(array, i);
        size_t place = tycho__rpc_enter_item(call, "sources", i);
        status = tycho__rpc_check_fields(call, source, NULL, "stream first");
        if (status == TYCHO_OK) {
            status = tycho__rpc_text(call, source, "stream", RPC_REQUIRED, &sources[i].stream);
        }
        sources[i].first = 0;
        if (status == TYCHO_OK) {
            status = tycho__rpc_integer(call, source, "first", 0, &sources[i].first, NULL);
        }
        tycho__rpc_leave(call, place);
    }
    return status;
}

int tycho__rpc_build_link_merged(struct rpc_call *call, const json_t *object,
                                 struct rpc_step *step) {
    tycho_bytes target = {NULL, 0};
    int64_t expected = TYCHO_EXPECT_ANY;
    uint32_t flags = 0;
    const json_t *array;
    int status = tycho__rpc_array(call, object, "sources", RPC_REQUIRED, &array);
    if (status != TYCHO_OK) return status;
    size_t count = json_array_size(array);
    tycho_source *sources = tycho__rpc_alloc(call, count, sizeof *sources);
    if (sources == NULL) return TYCHO_NO_MEMORY;
    status = take_sources(call, array, sources);
    if (status == TYCHO_OK) {
        status = tycho__rpc_text(call, object, "target", RPC_REQUIRED, &target);
    }
    if (status == TYCHO_OK) status = tycho__rpc_expected(call, object, target, &expected);
    if (status == TYCHO_OK) status = take_duplicates(call, object, &flags);
    if (status == TYCHO_OK) status = take_raw(call, object, &flags);
    if (status != TYCHO_OK) return status;
    return built(call, step,
                 tycho_batch_link_merged(call->batch, sources, count, target, expected, flags));
}

int tycho__rpc_build_unlink(struct rpc_call *call, const json_t *object, struct rpc_step *step) {
    tycho_bytes stream = {NULL, 0};
    const tycho_bytes *ids = NULL;
    size_t count = 0;
    uint32_t flags = 0;
    int status = take_stream(call, object, RPC_REQUIRED, &stream, &flags);
    if (status == TYCHO_OK) status = take_event_ids(call, object, &ids, &count);
    if (status != TYCHO_OK || count == 0) return status;
    return built(call, step, tycho_batch_unlink(call->batch, stream, ids, count, flags));
}

int tycho__rpc_build_delete_stream(struct rpc_call *call, const json_t *object,
                                   struct rpc_step *step) {
    tycho_bytes stream = {NULL, 0};
    int64_t expected = TYCHO_EXPECT_ANY;
    uint32_t flags = 0;
    int status = take_stream(call, object, RPC_REQUIRED, &stream, &flags);
    if (status == TYCHO_OK) status = tycho__rpc_expected(call, object, stream, &expected);
    if (status == TYCHO_OK) status = expect_only(call, stream, expected, flags);
    if (status != TYCHO_OK) return status;
    return built(call, step, tycho_batch_delete_stream(call->batch, stream, flags));
}

int tycho__rpc_build_truncate(struct rpc_call *call, const json_t *object, struct rpc_step *step) {
    tycho_bytes stream = {NULL, 0};
    int64_t before = 0;
    bool is_given = false;
    uint32_t flags = 0;
    int status = take_stream(call, object, RPC_REQUIRED, &stream, &flags);
    if (status == TYCHO_OK) {
        status = tycho__rpc_integer(call, object, "before", 0, &before, &is_given);
    }
    if (status != TYCHO_OK) return status;
    if (!is_given) {
        return tycho__rpc_fail(call, TYCHO_MISUSE, "%sbefore is required: the first revision "
                               "that is kept", call->place);
    }
    return built(call, step, tycho_batch_truncate(call->batch, stream, before, flags));
}

int tycho__rpc_build_set_stream_metadata(struct rpc_call *call, const json_t *object,
                                         struct rpc_step *step) {
    tycho_bytes stream = {NULL, 0};
    tycho_bytes metadata = {NULL, 0};
    uint32_t flags = 0;
    int status = take_stream(call, object, RPC_REQUIRED, &stream, &flags);
    if (status == TYCHO_OK && json_object_get(object, "metadata") == NULL) {
        status = tycho__rpc_fail(call, TYCHO_MISUSE, "%smetadata is required; null removes it",
                                 call->place);
    }
    if (status == TYCHO_OK && tycho__rpc_field(object, "metadata") != NULL) {
        status = tycho__rpc_pack(call, tycho__rpc_field(object, "metadata"), "metadata",
                                 &metadata);
    }
    if (status != TYCHO_OK) return status;
    return built(call, step,
                 tycho_batch_set_stream_metadata(call->batch, stream, metadata, flags));
}

int tycho__rpc_build_update(struct rpc_call *call, const json_t *object, struct rpc_step *step) {
    int status = tycho__rpc_records(call, object, true, step);
    if (status != TYCHO_OK || step->count == 0) return status;
    return built(call, step, tycho_batch_overwrite(call->batch, step->events, step->count));
}

/* A string, or null for "no stream"; absent is END. */
static int take_target(struct rpc_call *call, const json_t *object, const char *name,
                       tycho_bytes *stream) {
    if (json_object_get(object, name) == NULL) return TYCHO_END;
    return tycho__rpc_text(call, object, name, 0, stream);
}

int tycho__rpc_build_set_route(struct rpc_call *call, const json_t *object,
                               struct rpc_step *step) {
    tycho_bytes route = {NULL, 0};
    tycho_bytes stream = {NULL, 0};
    tycho_bytes expected = {NULL, 0};
    bool is_closed = false;
    int status = tycho__rpc_text(call, object, "route", RPC_REQUIRED, &route);
    if (status == TYCHO_OK) status = tycho__rpc_boolean(call, object, "closed", &is_closed);
    if (status != TYCHO_OK) return status;
    status = take_target(call, object, "stream", &stream);
    if (status == TYCHO_END) {
        return tycho__rpc_fail(call, TYCHO_MISUSE, "%sstream is required; null removes the route",
                               call->place);
    }
    if (status != TYCHO_OK) return status;
    status = take_target(call, object, "expected", &expected);
    if (status < 0) return status;
    if (status == TYCHO_OK) {
        status = tycho_batch_expect_route(call->batch, route, expected);
        if (status != TYCHO_OK) return tycho__rpc_engine(call, status);
    }
    return built(call, step,
                 tycho_batch_set_route(call->batch, route, stream, is_closed ? TYCHO_CLOSED : 0));
}

/* table, key, and the version that the row must have, if it is given. */
static int take_row(struct rpc_call *call, const json_t *object, tycho_bytes *table,
                    tycho_bytes *key) {
    int64_t version = 0;
    bool is_given = false;
    int status = tycho__rpc_text(call, object, "table", RPC_REQUIRED, table);
    if (status == TYCHO_OK) {
        status = tycho__rpc_bytes(call, object, "key", RPC_REQUIRED | RPC_EMPTY, key);
    }
    if (status == TYCHO_OK) {
        status = tycho__rpc_integer(call, object, "version", 0, &version, &is_given);
    }
    if (status != TYCHO_OK || !is_given) return status;
    status = tycho_batch_expect_row(call->batch, *table, *key, (uint64_t)version);
    return tycho__rpc_engine(call, status);
}

int tycho__rpc_build_put_row(struct rpc_call *call, const json_t *object, struct rpc_step *step) {
    const json_t *value = json_object_get(object, "value");
    const json_t *bytes = tycho__rpc_field(object, "bytes");
    tycho_bytes table = {NULL, 0};
    tycho_bytes key = {NULL, 0};
    tycho_bytes content = {NULL, 0};
    int status = take_row(call, object, &table, &key);
    if (status != TYCHO_OK) return status;
    if ((value == NULL) == (bytes == NULL)) {
        return tycho__rpc_fail(call, TYCHO_MISUSE, "%svalue is required, or bytes in its place",
                               call->place);
    }
    if (value != NULL) {
        status = tycho__rpc_pack(call, value, "value", &content);
    } else {
        status = tycho__rpc_bytes(call, object, "bytes", RPC_EMPTY, &content);
    }
    if (status != TYCHO_OK) return status;
    return built(call, step, tycho_batch_put_row(call->batch, table, key, content));
}

int tycho__rpc_build_delete_row(struct rpc_call *call, const json_t *object,
                                struct rpc_step *step) {
    tycho_bytes table = {NULL, 0};
    tycho_bytes key = {NULL, 0};
    int status = take_row(call, object, &table, &key);
    if (status != TYCHO_OK) return status;
    return built(call, step, tycho_batch_delete_row(call->batch, table, key));
}

int tycho__rpc_build_set_checkpoint(struct rpc_call *call, const json_t *object,
                                    struct rpc_step *step) {
    tycho_bytes name = {NULL, 0};
    int64_t position = -1;
    int64_t expected = 0;
    bool is_given = false;
    int status = tycho__rpc_text(call, object, "checkpoint", RPC_REQUIRED, &name);
    if (status == TYCHO_OK) {
        status = tycho__rpc_integer(call, object, "position", 0, &position, &is_given);
    }
    if (status == TYCHO_OK && !is_given) {
        status = tycho__rpc_fail(call, TYCHO_MISUSE, "%sposition is required; 0 removes the "
                                 "checkpoint", call->place);
    }
    if (status == TYCHO_OK) {
        status = tycho__rpc_integer(call, object, "expected", 0, &expected, &is_given);
    }
    if (status != TYCHO_OK) return status;
    if (is_given) {
        status = tycho_batch_expect_checkpoint(call->batch, name, (uint64_t)expected);
        if (status != TYCHO_OK) return tycho__rpc_engine(call, status);
    }
    return built(call, step,
                 tycho_batch_set_checkpoint(call->batch, name, (uint64_t)position));
}
