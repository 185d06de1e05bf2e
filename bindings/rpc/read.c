/* read.c - read, count and follow: a spec becomes the engine's tycho_read, a cursor a page.
**
** Pages. `next` is the key behind the last event of the page, and is given only when there is a
** further event: the cursor is moved once beyond the page. So a page is never empty, unless the
** whole result is.
**
** Times. The engine knows from_time (inclusive) and until_time (exclusive); of several bounds the
** narrowest counts: gt T is from T+1, lteq T is until T+1, at the ends of int64_t nothing or all.
*/
#include <string.h>

#include "call.h"

static const char spec_fields[] =
    "stream raw dir start stop from_position to_position from_revision to_revision lt lteq gt gteq "
    "sort limit ids types tags query read_as";

/* What must live as long as the read. */
struct spec {
    tycho_read read;
    tycho_query query;
    tycho_query_item item;
    uint8_t resume[TYCHO_CURSOR_KEY_MAX];
};

static int take_position(struct rpc_call *call, const json_t *object, const char *name,
                         uint32_t flag, struct spec *spec) {
    int64_t position = 0;
    bool is_given = false;
    int status = tycho__rpc_integer(call, object, name, 0, &position, &is_given);
    if (status != TYCHO_OK || !is_given) return status;
    spec->read.flags |= flag;
    if (flag == TYCHO_READ_FROM_POSITION) {
        spec->read.from_position = (uint64_t)position;
    } else {
        spec->read.to_position = (uint64_t)position;
    }
    return TYCHO_OK;
}

static int take_revision(struct rpc_call *call, const json_t *object, const char *name,
                         uint32_t flag, int64_t *revision, struct spec *spec) {
    bool is_given = false;
    int status = tycho__rpc_integer(call, object, name, -1, revision, &is_given);
    if (status == TYCHO_OK && is_given) spec->read.flags |= flag;
    return status;
}

static int take_bounds(struct rpc_call *call, const json_t *object, struct spec *spec) {
    tycho_read *read = &spec->read;
    int status = tycho__rpc_bytes(call, object, "start", 0, &read->from_id);
    if (status == TYCHO_OK) status = tycho__rpc_bytes(call, object, "stop", 0, &read->to_id);
    if (status == TYCHO_OK) {
        status = take_position(call, object, "from_position", TYCHO_READ_FROM_POSITION, spec);
    }
    if (status == TYCHO_OK) {
        status = take_position(call, object, "to_position", TYCHO_READ_TO_POSITION, spec);
    }
    if (status == TYCHO_OK) {
        status = take_revision(call, object, "from_revision", TYCHO_READ_FROM_REVISION,
                               &read->from_revision, spec);
    }
    if (status == TYCHO_OK) {
        status = take_revision(call, object, "to_revision", TYCHO_READ_TO_REVISION,
                               &read->to_revision, spec);
    }
    return status;
}

/* Times from `time` on, and before `time`: the narrowest of all bounds stays. */
static void bound_from(tycho_read *read, int64_t time) {
    bool is_first = !(read->flags & TYCHO_READ_FROM_TIME);
    read->flags |= TYCHO_READ_FROM_TIME;
    if (is_first || time > read->from_time) read->from_time = time;
}

static void bound_until(tycho_read *read, int64_t time) {
    bool is_first = !(read->flags & TYCHO_READ_UNTIL_TIME);
    read->flags |= TYCHO_READ_UNTIL_TIME;
    if (is_first || time < read->until_time) read->until_time = time;
}

static int take_times(struct rpc_call *call, const json_t *object, tycho_read *read) {
    static const char *const names[] = {"gteq", "gt", "lt", "lteq"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        int64_t time = 0;
        bool is_given = false;
        bool is_off_by_one = i == 1 || i == 3;
        int status = tycho__rpc_integer(call, object, names[i], INT64_MIN, &time, &is_given);
        if (status != TYCHO_OK) return status;
        if (!is_given) continue;
        if (is_off_by_one && time == INT64_MAX) {
            if (i == 1) bound_until(read, INT64_MIN); /* later than the last time: nothing */
            continue;
        }
        if (is_off_by_one) time++;
        if (i < 2) bound_from(read, time);
        else bound_until(read, time);
    }
    return TYCHO_OK;
}

/* types and tags, or a query in their place. */
static int take_query(struct rpc_call *call, const json_t *object, struct spec *spec) {
    int status = tycho__rpc_texts(call, object, "types", &spec->item.types,
                                  &spec->item.type_count);
    if (status == TYCHO_OK) {
        status = tycho__rpc_texts(call, object, "tags", &spec->item.tags, &spec->item.tag_count);
    }
    if (status == TYCHO_OK) status = tycho__rpc_query(call, object, "query", &spec->query);
    if (status != TYCHO_OK) return status;
    if (spec->item.type_count + spec->item.tag_count > 0) {
        if (spec->query.item_count > 0) {
            return tycho__rpc_fail(call, TYCHO_MISUSE, "%squery stands in place of types and tags",
                                   call->place);
        }
        spec->query = (tycho_query){&spec->item, 1};
    }
    if (spec->query.item_count > 0) spec->read.query = &spec->query;
    return TYCHO_OK;
}

static int take_limit(struct rpc_call *call, const json_t *object, tycho_read *read) {
    int64_t limit = 0;
    int status = tycho__rpc_integer(call, object, "limit", 1, &limit, NULL);
    if (status != TYCHO_OK) return status;
    read->limit = (uint64_t)limit;
    if (tycho__rpc_field(object, "ids") == NULL) return TYCHO_OK;
    read->flags |= TYCHO_READ_BY_IDS;
    return tycho__rpc_ids(call, object, "ids", &read->ids, &read->id_count);
}

static int take_order(struct rpc_call *call, const json_t *object, tycho_read *read) {
    static const uint32_t read_as_flags[] = {0, TYCHO_READ_FIRST, TYCHO_READ_LAST};
    uint32_t dir = 0;
    uint32_t read_as = 0;
    bool is_raw = false;
    int status = tycho__rpc_choice(call, object, "dir", "forward backward", &dir);
    if (status == TYCHO_OK) {
        status = tycho__rpc_choice(call, object, "sort", "position as_at as_of", &read->order);
    }
    if (status == TYCHO_OK) {
        status = tycho__rpc_choice(call, object, "read_as", "all first last", &read_as);
    }
    if (status == TYCHO_OK) status = tycho__rpc_boolean(call, object, "raw", &is_raw);
    if (dir == 1) read->flags |= TYCHO_READ_BACKWARD;
    if (is_raw) read->flags |= TYCHO_READ_RAW;
    read->flags |= read_as_flags[read_as];
    return status;
}

static int take_spec(struct rpc_call *call, struct spec *spec) {
    const json_t *object = tycho__rpc_field(call->request, "spec");
    size_t place;
    int status;
    memset(spec, 0, sizeof *spec);
    spec->read.size = sizeof spec->read;
    if (object == NULL) return TYCHO_OK;
    status = tycho__rpc_check_fields(call, object, "spec", spec_fields);
    if (status != TYCHO_OK) return status;
    place = tycho__rpc_enter(call, "spec");
    status = tycho__rpc_text(call, object, "stream", 0, &spec->read.stream);
    if (status == TYCHO_OK) status = take_order(call, object, &spec->read);
    if (status == TYCHO_OK) status = take_bounds(call, object, spec);
    if (status == TYCHO_OK) status = take_times(call, object, &spec->read);
    if (status == TYCHO_OK) status = take_query(call, object, spec);
    if (status == TYCHO_OK) status = take_limit(call, object, &spec->read);
    tycho__rpc_leave(call, place);
    return status;
}

static int take_cursor(struct rpc_call *call, struct spec *spec) {
    tycho_bytes text = {NULL, 0};
    int status = tycho__rpc_text(call, call->request, "cursor", 0, &text);
    if (status != TYCHO_OK || text.size == 0) return status;
    spec->read.resume.data = spec->resume;
    if (tycho__rpc_parse_cursor(text, spec->resume, &spec->read.resume.size)) return TYCHO_OK;
    return tycho__rpc_fail(call, TYCHO_MISUSE, "cursor is not one that a page gave");
}

/* Does the log, or the stream that is read, have the event? */
static bool has_bound(struct rpc_call *call, const tycho_read *read, tycho_bytes id) {
    uint64_t position;
    int64_t revision;
    if (read->stream.size == 0) {
        return tycho_event_position(call->store, id, &position) == TYCHO_OK;
    }
    return tycho_event_revision(call->store, id, read->stream, 0, &revision) == TYCHO_OK;
}

/* What the engine said about opening the read, with its facts. */
static int opened(struct rpc_call *call, const tycho_read *read, int status) {
    if (status == TYCHO_OK) return TYCHO_OK;
    tycho__rpc_engine(call, status);
    if (status == TYCHO_EVENT_NOT_FOUND) {
        bool is_start = read->from_id.size > 0 && !has_bound(call, read, read->from_id);
        call->failure.event_id = is_start || read->to_id.size == 0 ? read->from_id : read->to_id;
    }
    return status;
}

static int open_cursor(struct rpc_call *call, const tycho_read *read, tycho_cursor **cursor) {
    return opened(call, read, tycho_cursor_open(call->store, read, cursor));
}

/* The next event of the cursor: OK, END, or a failure of the call. */
static int next_event(struct rpc_call *call, tycho_cursor *cursor, tycho_event *event) {
    int status = tycho_cursor_next(cursor, event);
    return status < 0 ? tycho__rpc_engine(call, status) : status;
}

/* Writes up to `page` events, and the key behind the last when there are more. */
static int put_page(struct rpc_call *call, tycho_cursor *cursor, int64_t page) {
    uint8_t copy[TYCHO_CURSOR_KEY_MAX];
    tycho_bytes key = {copy, 0};
    tycho_event event;
    size_t start = call->out->size;
    tycho__rpc_put_key(call->out, "events");
    tycho__rpc_put_open(call->out, '[');
    int status = next_event(call, cursor, &event);
    for (int64_t i = 1; status == TYCHO_OK; i++) {
        status = tycho__rpc_put_event(call, cursor, &event);
        if (status != TYCHO_OK || call->out->failed) break;
        if (i == page || call->out->size - start >= TYCHO_RPC_ANSWER_SIZE) {
            tycho_bytes view;
            status = tycho_cursor_key(cursor, &view);
            if (status != TYCHO_OK) return tycho__rpc_engine(call, status);
            key.size = view.size < sizeof copy ? view.size : sizeof copy;
            memcpy(copy, view.data, key.size);
            status = next_event(call, cursor, &event);
            break;
        }
        status = next_event(call, cursor, &event);
    }
    if (status < 0) return status;
    tycho__rpc_put_close(call->out, ']');
    tycho__rpc_put_key(call->out, "next");
    if (status == TYCHO_OK && key.size > 0) tycho__rpc_put_cursor(call->out, key);
    else tycho__rpc_put_null(call->out);
    return TYCHO_OK;
}

int tycho__rpc_read(struct rpc_call *call) {
    struct spec spec;
    tycho_cursor *cursor = NULL;
    int64_t page = 0;
    int status = take_spec(call, &spec);
    if (status == TYCHO_OK) status = take_cursor(call, &spec);
    if (status == TYCHO_OK) {
        status = tycho__rpc_integer(call, call->request, "page", 1, &page, NULL);
    }
    if (status == TYCHO_OK) status = open_cursor(call, &spec.read, &cursor);
    if (status != TYCHO_OK) return status;
    tycho__rpc_put_open(call->out, '{');
    status = put_page(call, cursor, page);
    tycho__rpc_put_close(call->out, '}');
    tycho_cursor_close(cursor);
    return status;
}

int tycho__rpc_open_follower(struct rpc_call *call, tycho_follower **follower) {
    struct spec spec;
    int status = take_spec(call, &spec);
    if (status == TYCHO_OK) status = take_cursor(call, &spec);
    if (status != TYCHO_OK) return status;
    return opened(call, &spec.read, tycho_follower_open(call->store, &spec.read, follower));
}

int tycho__rpc_count(struct rpc_call *call) {
    struct spec spec;
    uint64_t count = 0;
    int status = take_spec(call, &spec);
    if (status != TYCHO_OK) return status;
    status = tycho_count(call->store, &spec.read, &count);
    if (status != TYCHO_OK) return tycho__rpc_engine(call, status);
    tycho__rpc_put_unsigned(call->out, count);
    return TYCHO_OK;
}

int tycho__rpc_put_first(struct rpc_call *call, const tycho_read *read) {
    tycho_cursor *cursor = NULL;
    tycho_event event;
    int status = open_cursor(call, read, &cursor);
    if (status != TYCHO_OK) return status;
    status = next_event(call, cursor, &event);
    if (status == TYCHO_OK) status = tycho__rpc_put_event(call, cursor, &event);
    else if (status == TYCHO_END) tycho__rpc_put_null(call->out);
    tycho_cursor_close(cursor);
    return status == TYCHO_END ? TYCHO_OK : status;
}
