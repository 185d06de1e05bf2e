/* lookup.c - one question about one event, stream or store. */
#include <string.h>

#include "call.h"

/* event_id, and the stream (empty: the log). */
static int take_event_id(struct rpc_call *call, tycho_bytes *id) {
    return tycho__rpc_bytes(call, call->request, "event_id", RPC_REQUIRED, id);
}

static int take_stream(struct rpc_call *call, tycho_bytes *stream) {
    return tycho__rpc_text(call, call->request, "stream", 0, stream);
}

/* OK with is_found, or the failure of the call. */
static int find_position(struct rpc_call *call, tycho_bytes id, uint64_t *position,
                         bool *is_found) {
    int status = tycho_event_position(call->store, id, position);
    *is_found = status == TYCHO_OK;
    if (status == TYCHO_OK || status == TYCHO_EVENT_NOT_FOUND) return TYCHO_OK;
    return tycho__rpc_engine(call, status);
}

/* The revision in a stream, or the position in the log. */
static int find_place(struct rpc_call *call, tycho_bytes id, tycho_bytes stream, int64_t *place,
                      bool *is_found) {
    uint64_t position = 0;
    int status;
    if (stream.size == 0) {
        status = find_position(call, id, &position, is_found);
        *place = (int64_t)position;
        return status;
    }
    status = tycho_event_revision(call->store, id, stream, 0, place);
    *is_found = status == TYCHO_OK;
    if (status == TYCHO_OK || status == TYCHO_EVENT_NOT_FOUND) return TYCHO_OK;
    return status == TYCHO_ENTRY_NOT_FOUND ? TYCHO_OK : tycho__rpc_engine(call, status);
}

int tycho__rpc_has_event(struct rpc_call *call) {
    tycho_bytes id = {NULL, 0};
    uint64_t position;
    bool is_found = false;
    int status = take_event_id(call, &id);
    if (status == TYCHO_OK) status = find_position(call, id, &position, &is_found);
    if (status == TYCHO_OK) tycho__rpc_put_boolean(call->out, is_found);
    return status;
}

int tycho__rpc_global_position(struct rpc_call *call) {
    tycho_bytes id = {NULL, 0};
    uint64_t position = 0;
    bool is_found = false;
    int status = take_event_id(call, &id);
    if (status == TYCHO_OK) status = find_position(call, id, &position, &is_found);
    if (status != TYCHO_OK) return status;
    if (!is_found) {
        call->failure.event_id = id;
        return tycho__rpc_engine(call, TYCHO_EVENT_NOT_FOUND);
    }
    tycho__rpc_put_unsigned(call->out, position);
    return TYCHO_OK;
}

int tycho__rpc_position_in_stream(struct rpc_call *call) {
    tycho_bytes id = {NULL, 0};
    tycho_bytes stream = {NULL, 0};
    int64_t place = 0;
    bool is_found = false;
    int status = take_event_id(call, &id);
    if (status == TYCHO_OK) status = take_stream(call, &stream);
    if (status == TYCHO_OK) status = find_place(call, id, stream, &place, &is_found);
    if (status != TYCHO_OK) return status;
    if (!is_found) {
        call->failure.event_id = id;
        call->failure.stream = stream;
        return tycho__rpc_engine(call, TYCHO_ENTRY_NOT_FOUND);
    }
    tycho__rpc_put_integer(call->out, place);
    return TYCHO_OK;
}

int tycho__rpc_event_in_stream(struct rpc_call *call) {
    tycho_bytes id = {NULL, 0};
    tycho_bytes stream = {NULL, 0};
    int64_t place;
    bool is_found = false;
    int status = take_event_id(call, &id);
    if (status == TYCHO_OK) status = take_stream(call, &stream);
    if (status == TYCHO_OK) status = find_place(call, id, stream, &place, &is_found);
    if (status == TYCHO_OK) tycho__rpc_put_boolean(call->out, is_found);
    return status;
}

int tycho__rpc_streams_of(struct rpc_call *call) {
    tycho_list_options options = {.size = sizeof options, .list = TYCHO_LIST_STREAMS_OF};
    tycho_listing *listing = NULL;
    tycho_item item;
    int status = take_event_id(call, &options.subject);
    if (status != TYCHO_OK) return status;
    status = tycho_listing_open(call->store, &options, &listing);
    if (status != TYCHO_OK && status != TYCHO_EVENT_NOT_FOUND) {
        return tycho__rpc_engine(call, status);
    }
    tycho__rpc_put_open(call->out, '[');
    if (status == TYCHO_OK) status = tycho_listing_next(listing, &item);
    while (status == TYCHO_OK) {
        tycho__rpc_put_bytes(call->out, item.name);
        status = tycho_listing_next(listing, &item);
    }
    tycho__rpc_put_close(call->out, ']');
    tycho_listing_close(listing);
    if (status == TYCHO_END || status == TYCHO_EVENT_NOT_FOUND) return TYCHO_OK;
    return tycho__rpc_engine(call, status);
}

int tycho__rpc_event(struct rpc_call *call) {
    tycho_bytes id = {NULL, 0};
    tycho_read read = {.size = sizeof read, .flags = TYCHO_READ_BY_IDS, .ids = &id, .id_count = 1};
    int status = take_event_id(call, &id);
    return status == TYCHO_OK ? tycho__rpc_put_first(call, &read) : status;
}

int tycho__rpc_last_stream_event(struct rpc_call *call) {
    tycho_read read = {.size = sizeof read, .flags = TYCHO_READ_BACKWARD, .limit = 1};
    int status = take_stream(call, &read.stream);
    return status == TYCHO_OK ? tycho__rpc_put_first(call, &read) : status;
}

int tycho__rpc_head(struct rpc_call *call) {
    uint64_t head = 0;
    int status = tycho_head(call->store, &head);
    if (status != TYCHO_OK) return tycho__rpc_engine(call, status);
    tycho__rpc_put_unsigned(call->out, head);
    return TYCHO_OK;
}

/* Of the log: its last position. */
int tycho__rpc_last_version(struct rpc_call *call) {
    tycho_bytes stream = {NULL, 0};
    int64_t version = -1;
    uint64_t head = 0;
    int status = take_stream(call, &stream);
    if (status != TYCHO_OK) return status;
    if (stream.size > 0) {
        status = tycho_stream_version(call->store, stream, 0, &version);
    } else {
        status = tycho_head(call->store, &head);
        if (head > 0) version = (int64_t)head;
    }
    if (status != TYCHO_OK) return tycho__rpc_engine(call, status);
    tycho__rpc_put_integer(call->out, version);
    return TYCHO_OK;
}
