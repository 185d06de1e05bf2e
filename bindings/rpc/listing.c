/* listing.c - directories (streams, types, tags, routes, checkpoints, rows), in pages by name; and
** one entry of them. `next` is the last name of a page when there are more.
*/
#include <string.h>

#include "call.h"

enum { PAGE_DEFAULT = 1000, PAGE_MAX = 100000 };

static void put_count(struct tycho_buffer *out, const tycho_item *item) {
    tycho__rpc_put_key(out, "count");
    tycho__rpc_put_unsigned(out, item->count);
}

/* The value of a row: JSON, or its bytes when it is none. */
static void put_row(struct tycho_buffer *out, const tycho_item *item) {
    size_t size = out->size;
    tycho__rpc_put_key(out, "value");
    if (item->value.size == 0 || !tycho__rpc_unpack(out, item->value)) {
        if (!out->failed) out->size = size;
        tycho__rpc_put_key(out, "bytes");
        tycho__rpc_put_base64(out, item->value);
    }
    tycho__rpc_put_key(out, "version");
    tycho__rpc_put_unsigned(out, item->version);
}

/* Only of a route that refuses writers. */
static void put_closed(struct tycho_buffer *out, const tycho_item *item) {
    if (!item->is_closed) return;
    tycho__rpc_put_key(out, "closed");
    tycho__rpc_put_boolean(out, true);
}

static void put_item(struct tycho_buffer *out, uint32_t list, const tycho_item *item) {
    static const char *const names[] = {"stream", "event_type", "tag",
                                        "route",  "checkpoint", "key"};
    tycho__rpc_put_open(out, '{');
    tycho__rpc_put_key(out, names[list]);
    tycho__rpc_put_bytes(out, item->name);
    switch (list) {
    case TYCHO_LIST_STREAMS:
        put_count(out, item);
        tycho__rpc_put_key(out, "revision");
        tycho__rpc_put_integer(out, item->revision);
        break;
    case TYCHO_LIST_ROUTES:
        tycho__rpc_put_key(out, "stream");
        tycho__rpc_put_name(out, item->value);
        put_closed(out, item);
        break;
    case TYCHO_LIST_CHECKPOINTS:
        tycho__rpc_put_key(out, "position");
        tycho__rpc_put_unsigned(out, item->position);
        break;
    case TYCHO_LIST_ROWS:
        put_row(out, item);
        break;
    default:
        put_count(out, item);
    }
    tycho__rpc_put_close(out, '}');
}

/* Up to `limit` items; the name of the last one when there are more. The empty key of a row cannot
** be a `next`, so a page never ends with it. */
static int put_items(struct rpc_call *call, tycho_listing *listing, uint32_t list,
                     int64_t limit) {
    tycho_item item;
    tycho_bytes last = {NULL, 0};
    size_t start = call->out->size;
    int status = tycho_listing_next(listing, &item);
    for (int64_t i = 1; status == TYCHO_OK; i++) {
        put_item(call->out, list, &item);
        bool is_full = i >= limit || call->out->size - start >= TYCHO_RPC_ANSWER_SIZE;
        if (is_full && item.name.size > 0) {
            last = tycho__rpc_copy(call, item.name.data, item.name.size);
            if (last.data == NULL) return TYCHO_NO_MEMORY;
        }
        status = tycho_listing_next(listing, &item);
        if (last.data != NULL) break;
    }
    if (status < 0) return tycho__rpc_engine(call, status);
    tycho__rpc_put_close(call->out, ']');
    tycho__rpc_put_key(call->out, "next");
    if (status == TYCHO_OK) tycho__rpc_put_bytes(call->out, last);
    else tycho__rpc_put_null(call->out);
    return TYCHO_OK;
}

static int put_list(struct rpc_call *call, const char *name, uint32_t list) {
    tycho_list_options options = {.size = sizeof options, .list = list};
    tycho_listing *listing = NULL;
    int64_t limit = PAGE_DEFAULT;
    int status = TYCHO_OK;
    if (list == TYCHO_LIST_ROWS) {
        status = tycho__rpc_text(call, call->request, "table", RPC_REQUIRED, &options.subject);
    }
    if (status == TYCHO_OK) {
        status = tycho__rpc_bytes(call, call->request, "prefix", RPC_EMPTY, &options.prefix);
    }
    if (status == TYCHO_OK) {
        status = tycho__rpc_bytes(call, call->request, "after", RPC_EMPTY, &options.after);
    }
    if (status == TYCHO_OK) {
        status = tycho__rpc_integer(call, call->request, "limit", 1, &limit, NULL);
    }
    if (status != TYCHO_OK) return status;
    if (limit > PAGE_MAX) limit = PAGE_MAX;
    status = tycho_listing_open(call->store, &options, &listing);
    if (status != TYCHO_OK) return tycho__rpc_engine(call, status);
    tycho__rpc_put_open(call->out, '{');
    tycho__rpc_put_key(call->out, name);
    tycho__rpc_put_open(call->out, '[');
    status = put_items(call, listing, list, limit);
    tycho__rpc_put_close(call->out, '}');
    tycho_listing_close(listing);
    return status;
}

int tycho__rpc_streams(struct rpc_call *call) {
    return put_list(call, "streams", TYCHO_LIST_STREAMS);
}

int tycho__rpc_types(struct rpc_call *call) {
    return put_list(call, "types", TYCHO_LIST_TYPES);
}

int tycho__rpc_tags(struct rpc_call *call) {
    return put_list(call, "tags", TYCHO_LIST_TAGS);
}

int tycho__rpc_routes(struct rpc_call *call) {
    return put_list(call, "routes", TYCHO_LIST_ROUTES);
}

int tycho__rpc_checkpoints(struct rpc_call *call) {
    return put_list(call, "checkpoints", TYCHO_LIST_CHECKPOINTS);
}

int tycho__rpc_rows(struct rpc_call *call) {
    return put_list(call, "rows", TYCHO_LIST_ROWS);
}

/* The one entry that has the name: its listing is open then (close it); NULL: there is none. */
static int find_item(struct rpc_call *call, uint32_t list, tycho_bytes subject, tycho_bytes name,
                     tycho_listing **listing, tycho_item *item) {
    tycho_list_options options = {
        .size = sizeof options, .list = list, .exact = 1, .subject = subject, .prefix = name};
    int status = tycho_listing_open(call->store, &options, listing);
    if (status == TYCHO_OK) status = tycho_listing_next(*listing, item);
    if (status == TYCHO_OK) return TYCHO_OK;
    tycho_listing_close(*listing);
    *listing = NULL;
    return status == TYCHO_END ? TYCHO_OK : tycho__rpc_engine(call, status);
}

int tycho__rpc_stream_metadata(struct rpc_call *call) {
    static const tycho_bytes none = {NULL, 0};
    tycho_bytes stream = {NULL, 0};
    tycho_listing *listing = NULL;
    tycho_item item;
    bool is_raw = false;
    int status = tycho__rpc_text(call, call->request, "stream", RPC_REQUIRED, &stream);
    if (status == TYCHO_OK) status = tycho__rpc_boolean(call, call->request, "raw", &is_raw);
    if (status != TYCHO_OK) return status;
    if (!is_raw) {
        status = tycho_route_resolve(call->store, stream, &stream);
        if (status != TYCHO_OK) return tycho__rpc_engine(call, status);
        stream = tycho__rpc_copy(call, stream.data, stream.size);
        if (stream.data == NULL) return TYCHO_NO_MEMORY;
    }
    status = find_item(call, TYCHO_LIST_STREAMS, none, stream, &listing, &item);
    if (status != TYCHO_OK) return status;
    if (listing == NULL || item.value.size == 0) {
        tycho__rpc_put_null(call->out);
    } else {
        tycho__rpc_put_metadata(call->out, item.value);
    }
    tycho_listing_close(listing);
    return TYCHO_OK;
}

int tycho__rpc_route(struct rpc_call *call) {
    static const tycho_bytes none = {NULL, 0};
    tycho_bytes route = {NULL, 0};
    tycho_listing *listing = NULL;
    tycho_item item;
    int status = tycho__rpc_text(call, call->request, "route", RPC_REQUIRED, &route);
    if (status == TYCHO_OK) {
        status = find_item(call, TYCHO_LIST_ROUTES, none, route, &listing, &item);
    }
    if (status != TYCHO_OK) return status;
    tycho__rpc_put_name(call->out, listing == NULL ? none : item.value);
    if (listing != NULL) put_closed(call->out, &item); /* beside the result */
    tycho_listing_close(listing);
    return TYCHO_OK;
}

int tycho__rpc_checkpoint(struct rpc_call *call) {
    static const tycho_bytes none = {NULL, 0};
    tycho_bytes name = {NULL, 0};
    tycho_listing *listing = NULL;
    tycho_item item;
    int status = tycho__rpc_text(call, call->request, "checkpoint", RPC_REQUIRED, &name);
    if (status == TYCHO_OK) {
        status = find_item(call, TYCHO_LIST_CHECKPOINTS, none, name, &listing, &item);
    }
    if (status != TYCHO_OK) return status;
    tycho__rpc_put_unsigned(call->out, listing == NULL ? 0 : item.position);
    tycho_listing_close(listing);
    return TYCHO_OK;
}

int tycho__rpc_get_row(struct rpc_call *call) {
    tycho_bytes table = {NULL, 0};
    tycho_bytes key = {NULL, 0};
    tycho_listing *listing = NULL;
    tycho_item item;
    int status = tycho__rpc_text(call, call->request, "table", RPC_REQUIRED, &table);
    if (status == TYCHO_OK) {
        status = tycho__rpc_bytes(call, call->request, "key", RPC_REQUIRED | RPC_EMPTY, &key);
    }
    if (status == TYCHO_OK) {
        status = find_item(call, TYCHO_LIST_ROWS, table, key, &listing, &item);
    }
    if (status != TYCHO_OK) return status;
    if (listing == NULL) {
        tycho__rpc_put_null(call->out);
        return TYCHO_OK;
    }
    tycho__rpc_put_open(call->out, '{');
    put_row(call->out, &item);
    tycho__rpc_put_close(call->out, '}');
    tycho_listing_close(listing);
    return TYCHO_OK;
}
