/* event.c - records of a request to new events, and stored events to the JSON of an answer.
**
** Data and content type:
**
**     request                                    stored as
**     data: any JSON                             MessagePack, no content type
**     data: {"base64"}                           those bytes, application/octet-stream
**     data: {"base64"}, content_type: T          those bytes, T
**     data: {"base64"}, content_type: MSGPACK    those bytes, checked, no content type
**
** The answer is the same in reverse, where MSGPACK (application/msgpack) stands for data that JSON
** cannot say.
*/
#include <string.h>

#include "call.h"

static const char octets_type[] = "application/octet-stream";
static const char msgpack_type[] = "application/msgpack";

static bool is_text(tycho_bytes bytes, const char *text) {
    return bytes.size == strlen(text) && memcmp(bytes.data, text, bytes.size) == 0;
}

/* ---------------------------------------------------------------- records in */

static const char empty_map[] = "\x80";

static int take_data(struct rpc_call *call, const json_t *record, tycho_new_event *event) {
    const json_t *data = json_object_get(record, "data");
    size_t offset = 0;
    int status = tycho__rpc_text(call, record, "content_type", 0, &event->content_type);
    if (status != TYCHO_OK) return status;
    event->data = (tycho_bytes){empty_map, 1};
    if (data == NULL && event->content_type.size == 0) return TYCHO_OK;
    status = tycho__rpc_base64_value(call, data, "data", &event->data);
    if (status == TYCHO_END && event->content_type.size == 0) {
        return tycho__rpc_pack(call, data, "data", &event->data);
    }
    if (status == TYCHO_END) {
        return tycho__rpc_fail(call, TYCHO_MISUSE,
                               "%sdata is %s; with content_type give {\"base64\":...}",
                               call->place, tycho__rpc_kind(data));
    }
    if (status != TYCHO_OK) return status;
    if (event->content_type.size == 0) {
        event->content_type = (tycho_bytes){octets_type, sizeof octets_type - 1};
    } else if (is_text(event->content_type, msgpack_type)) {
        int problem = tycho__msgpack_check(event->data.data, event->data.size, &offset);
        event->content_type = (tycho_bytes){NULL, 0};
        if (problem != TYCHO__MSGPACK_OK) {
            return tycho__rpc_fail(call, TYCHO_MISUSE, "%sdata %s at byte %zu", call->place,
                                   tycho__msgpack_status_text(problem), offset);
        }
    }
    return TYCHO_OK;
}

static int take_metadata(struct rpc_call *call, const json_t *record, tycho_new_event *event) {
    const json_t *metadata = tycho__rpc_field(record, "metadata");
    uint8_t first;
    int status;
    if (metadata == NULL) return TYCHO_OK;
    if (!json_is_object(metadata)) {
        return tycho__rpc_fail(call, TYCHO_MISUSE, "%smetadata is %s; give an object",
                               call->place, tycho__rpc_kind(metadata));
    }
    status = tycho__rpc_pack(call, metadata, "metadata", &event->metadata);
    if (status != TYCHO_OK) return status;
    first = *(const uint8_t *)event->metadata.data;
    if (first < 0xc4 || first > 0xc6) return TYCHO_OK; /* not bin: {"base64"} was not it */
    return tycho__rpc_fail(call, TYCHO_MISUSE, "%smetadata is binary; give an object",
                           call->place);
}

static int take_time(struct rpc_call *call, const json_t *record, const char *name, uint32_t flag,
                     tycho_new_event *event) {
    bool is_given = false;
    int64_t *time = flag == TYCHO_HAS_TIME ? &event->time : &event->valid_time;
    int status = tycho__rpc_integer(call, record, name, INT64_MIN, time, &is_given);
    if (is_given) event->flags |= flag;
    return status;
}

static int take_tags_and_causes(struct rpc_call *call, const json_t *record,
                                tycho_new_event *event) {
    const tycho_bytes *tags = NULL;
    size_t tag_count = 0;
    int status = tycho__rpc_texts(call, record, "tags", &tags, &tag_count);
    if (status == TYCHO_OK && tag_count > TYCHO_TAGS_MAX) {
        status = tycho__rpc_fail(call, TYCHO_TOO_LARGE, "%stags: %zu of them; at most %d",
                                 call->place, tag_count, TYCHO_TAGS_MAX);
    }
    event->tags = tags;
    event->tag_count = (uint32_t)tag_count;
    if (status == TYCHO_OK) {
        status = tycho__rpc_bytes(call, record, "correlation_id", 0, &event->correlation_id);
    }
    if (status == TYCHO_OK) {
        status = tycho__rpc_bytes(call, record, "causation_id", 0, &event->causation_id);
    }
    return status;
}

static int take_record(struct rpc_call *call, const json_t *record, bool for_update,
                       tycho_new_event *event) {
    unsigned id_flags = for_update ? RPC_REQUIRED : 0;
    int status = tycho__rpc_bytes(call, record, "event_id", id_flags, &event->id);
    if (status == TYCHO_OK) {
        status = tycho__rpc_text(call, record, "event_type", RPC_REQUIRED, &event->type);
    }
    if (status == TYCHO_OK) status = take_data(call, record, event);
    if (status == TYCHO_OK) status = take_metadata(call, record, event);
    if (status == TYCHO_OK) {
        status = take_time(call, record, "valid_at", TYCHO_HAS_VALID_TIME, event);
    }
    /* An event that was read may come back whole: what an update leaves alone is not looked at. */
    if (status != TYCHO_OK || for_update) return status;
    status = take_time(call, record, "timestamp", TYCHO_HAS_TIME, event);
    return status == TYCHO_OK ? take_tags_and_causes(call, record, event) : status;
}

static int give_id(struct rpc_call *call, tycho_new_event *event, struct rpc_step *step) {
    char *id;
    if (event->id.size > 0) return TYCHO_OK;
    id = tycho__rpc_alloc(call, 1, TYCHO_UUID_SIZE);
    if (id == NULL) return TYCHO_NO_MEMORY;
    tycho_uuid(id);
    event->id = (tycho_bytes){id, TYCHO_UUID_SIZE};
    step->is_generated = true;
    return TYCHO_OK;
}

int tycho__rpc_records(struct rpc_call *call, const json_t *object, bool for_update,
                       struct rpc_step *step) {
    static const char all_fields[] = "event_id event_type data metadata timestamp valid_at tags "
                                     "correlation_id causation_id content_type";
    static const char update_fields[] =
        "event_id event_type data metadata timestamp valid_at tags correlation_id causation_id "
        "content_type position stream revision is_link";
    const json_t *records;
    tycho_new_event *events;
    int status = tycho__rpc_array(call, object, "records", RPC_REQUIRED, &records);
    if (status != TYCHO_OK) return status;
    step->count = json_array_size(records);
    events = tycho__rpc_alloc(call, step->count, sizeof *events);
    if (events == NULL) return TYCHO_NO_MEMORY;
    memset(events, 0, step->count * sizeof *events);
    step->events = events;
    for (size_t i = 0; status == TYCHO_OK && i < step->count; i++) {
        const json_t *record = json_array_get(records, i);
        size_t place = tycho__rpc_enter_item(call, "records", i);
        status = tycho__rpc_check_fields(call, record, NULL,
                                         for_update ? update_fields : all_fields);
        if (status == TYCHO_OK) status = take_record(call, record, for_update, &events[i]);
        if (status == TYCHO_OK) status = give_id(call, &events[i], step);
        tycho__rpc_leave(call, place);
    }
    return status;
}

/* ---------------------------------------------------------------- events out */

static void put_data(struct tycho_buffer *out, const tycho_event *event) {
    tycho_bytes type = event->content_type;
    tycho__rpc_put_key(out, "data");
    if (type.size == 0 && event->data.size == 0) {
        tycho__rpc_put_null(out);
        return;
    }
    if (type.size == 0) {
        if (tycho__rpc_unpack(out, event->data)) return;
        type = (tycho_bytes){msgpack_type, sizeof msgpack_type - 1};
    }
    tycho__rpc_put_base64(out, event->data);
    if (is_text(type, octets_type)) return;
    tycho__rpc_put_key(out, "content_type");
    tycho__rpc_put_bytes(out, type);
}

void tycho__rpc_put_metadata(struct tycho_buffer *out, tycho_bytes metadata) {
    if (metadata.size == 0) {
        tycho__rpc_put_open(out, '{');
        tycho__rpc_put_close(out, '}');
    } else if (!tycho__rpc_unpack(out, metadata)) {
        tycho__rpc_put_base64(out, metadata);
    }
}

static void put_optional(struct tycho_buffer *out, const char *name, tycho_bytes bytes) {
    if (bytes.size == 0) return;
    tycho__rpc_put_key(out, name);
    tycho__rpc_put_bytes(out, bytes);
}

static int put_tags(struct rpc_call *call, tycho_cursor *cursor, uint32_t count) {
    if (count == 0) return TYCHO_OK;
    tycho__rpc_put_key(call->out, "tags");
    tycho__rpc_put_open(call->out, '[');
    for (uint32_t i = 0; i < count; i++) {
        tycho_bytes tag;
        int status = tycho_cursor_tag(cursor, i, &tag);
        if (status != TYCHO_OK) return tycho__rpc_engine(call, status);
        tycho__rpc_put_bytes(call->out, tag);
    }
    tycho__rpc_put_close(call->out, ']');
    return TYCHO_OK;
}

int tycho__rpc_put_event(struct rpc_call *call, tycho_cursor *cursor, const tycho_event *event) {
    struct tycho_buffer *out = call->out;
    tycho_bytes stream;
    int status = tycho_cursor_stream(cursor, &stream);
    if (status != TYCHO_OK) return tycho__rpc_engine(call, status);
    tycho__rpc_put_open(out, '{');
    tycho__rpc_put_key(out, "event_id");
    tycho__rpc_put_bytes(out, event->id);
    tycho__rpc_put_key(out, "event_type");
    tycho__rpc_put_bytes(out, event->type);
    put_data(out, event);
    tycho__rpc_put_key(out, "metadata");
    tycho__rpc_put_metadata(out, event->metadata);
    tycho__rpc_put_key(out, "timestamp");
    tycho__rpc_put_integer(out, event->time);
    tycho__rpc_put_key(out, "valid_at");
    tycho__rpc_put_integer(out, event->valid_time);
    tycho__rpc_put_key(out, "position");
    tycho__rpc_put_unsigned(out, event->position);
    tycho__rpc_put_key(out, "stream");
    tycho__rpc_put_name(out, stream);
    tycho__rpc_put_key(out, "revision");
    if (event->revision < 0) {
        tycho__rpc_put_null(out);
    } else {
        tycho__rpc_put_integer(out, event->revision);
    }
    status = put_tags(call, cursor, event->tag_count);
    put_optional(out, "correlation_id", event->correlation_id);
    put_optional(out, "causation_id", event->causation_id);
    if (event->is_link) {
        tycho__rpc_put_key(out, "is_link");
        tycho__rpc_put_boolean(out, true);
    }
    tycho__rpc_put_close(out, '}');
    return status;
}
