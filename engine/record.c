/* record.c - events to bytes and back; the layouts are in record.h. */
#include "record.h"

#include <stdlib.h>

enum { CHECKSUM = 8 };

/* ---------------------------------------------------------------- batch form */

static int compare_names(const void *a, const void *b) {
    const tycho_bytes *x = a, *y = b;
    size_t common = x->size < y->size ? x->size : y->size;
    int order = memcmp(x->data, y->data, common);
    if (order != 0) return order;
    return x->size < y->size ? -1 : x->size > y->size;
}

/* Copies the tags sorted and without repetitions; gives how many and the bytes they take. */
static int sort_tags(const tycho_new_event *event, tycho_bytes *tags, uint8_t *count,
                     size_t *size) {
    if (event->tag_count > TYCHO_TAGS_MAX) {
        return tycho__fail(TYCHO_TOO_LARGE, "an event has %u tags, at most %d are allowed",
                           event->tag_count, TYCHO_TAGS_MAX);
    }
    for (uint32_t i = 0; i < event->tag_count; i++) {
        int status = tycho__check_name(event->tags[i], "tag");
        if (status != TYCHO_OK) return status;
        tags[i] = event->tags[i];
    }
    if (event->tag_count > 1) qsort(tags, event->tag_count, sizeof *tags, compare_names);
    uint8_t kept = 0;
    *size = 0;
    for (uint32_t i = 0; i < event->tag_count; i++) {
        if (kept > 0 && tycho__equal(tags[kept - 1], tags[i])) continue;
        tags[kept++] = tags[i];
        *size += 1 + tags[i].size;
    }
    *count = kept;
    return TYCHO_OK;
}

static int check_optional_id(tycho_bytes id, const char *what) {
    return id.size == 0 ? TYCHO_OK : tycho__check_id(id, what);
}

static int check_new_event(const tycho_new_event *event) {
    int status = tycho__check_name(event->type, "type");
    if (status == TYCHO_OK) status = check_optional_id(event->id, "event id");
    if (status == TYCHO_OK) status = check_optional_id(event->correlation_id, "correlation id");
    if (status == TYCHO_OK) status = check_optional_id(event->causation_id, "causation id");
    if (status == TYCHO_OK && event->content_type.size > 0) {
        status = tycho__check_name(event->content_type, "content type");
    }
    if (status != TYCHO_OK) return status;
    if ((event->data.size > 0 && event->data.data == NULL) ||
        (event->metadata.size > 0 && event->metadata.data == NULL) ||
        (event->tag_count > 0 && event->tags == NULL)) {
        return tycho__fail(TYCHO_MISUSE, "data, metadata or tags are NULL, but have a size");
    }
    if ((event->flags & ~(uint32_t)(TYCHO_HAS_TIME | TYCHO_HAS_VALID_TIME)) != 0) {
        return tycho__fail(TYCHO_MISUSE, "unknown flags of an event: 0x%x", event->flags);
    }
    if (event->data.size > TYCHO_EVENT_SIZE_MAX || event->metadata.size > TYCHO_EVENT_SIZE_MAX ||
        event->data.size + event->metadata.size > TYCHO_EVENT_SIZE_MAX) {
        return tycho__fail(TYCHO_TOO_LARGE,
                           "an event has %zu bytes of data and %zu of metadata, at most %u "
                           "together are allowed",
                           event->data.size, event->metadata.size, TYCHO_EVENT_SIZE_MAX);
    }
    return TYCHO_OK;
}

static void pack_ids(const tycho_new_event *event, tycho__id ids[3], bool take_defaults) {
    tycho__id_pack(&ids[0], event->id);
    tycho__id_pack(&ids[1], event->correlation_id);
    tycho__id_pack(&ids[2], event->causation_id);
    if (event->id.size == 0 && take_defaults) {
        tycho__uuid_next(ids[0].bytes);
        ids[0].size = TYCHO__UUID_BYTES;
        ids[0].is_uuid = true;
    }
}

static void write_event(tycho__buffer *buffer, const tycho_new_event *event, const tycho__id ids[3],
                        const tycho_bytes *tags, uint8_t tag_count, bool take_defaults) {
    int64_t time = (event->flags & TYCHO_HAS_TIME) != 0 ? event->time
                   : take_defaults                      ? tycho_now()
                                                        : 0;
    bool has_valid_time = (event->flags & TYCHO_HAS_VALID_TIME) != 0;
    int flags = (has_valid_time ? TYCHO__VALID_TIME : 0) |
                (event->content_type.size > 0 ? TYCHO__CONTENT_TYPE : 0) |
                (ids[0].is_uuid ? TYCHO__UUID_ID : 0) |
                (ids[1].is_uuid ? TYCHO__UUID_CORRELATION : 0) |
                (ids[2].is_uuid ? TYCHO__UUID_CAUSATION : 0);
    tycho__write16(buffer, (uint16_t)flags);
    for (int i = 0; i < 3; i++) tycho__write8(buffer, ids[i].size);
    tycho__write8(buffer, tag_count);
    tycho__write8(buffer, (uint8_t)event->type.size);
    tycho__write8(buffer, (uint8_t)event->content_type.size);
    tycho__write32(buffer, (uint32_t)event->metadata.size);
    tycho__write32(buffer, (uint32_t)event->data.size);
    tycho__write64(buffer, (uint64_t)time);
    if (has_valid_time) tycho__write64(buffer, (uint64_t)event->valid_time);
    for (uint8_t i = 0; i < tag_count; i++) {
        tycho__write8(buffer, (uint8_t)tags[i].size);
        tycho__write(buffer, tags[i].data, tags[i].size);
    }
    tycho__write(buffer, event->type.data, event->type.size);
    tycho__write(buffer, event->content_type.data, event->content_type.size);
    for (int i = 0; i < 3; i++) tycho__write(buffer, ids[i].bytes, ids[i].size);
    tycho__write(buffer, event->metadata.data, event->metadata.size);
    tycho__write(buffer, event->data.data, event->data.size);
}

int tycho__event_encode(tycho__buffer *buffer, const tycho_new_event *event, bool take_defaults) {
    tycho_bytes tags[TYCHO_TAGS_MAX];
    tycho__id ids[3];
    uint8_t tag_count = 0;
    size_t tags_size = 0;
    int status = check_new_event(event);
    if (status == TYCHO_OK) status = sort_tags(event, tags, &tag_count, &tags_size);
    if (status != TYCHO_OK) return status;
    if (event->id.size == 0 && !take_defaults) {
        return tycho__fail(TYCHO_MISUSE, "an event to be overwritten needs its id");
    }
    size_t room = TYCHO__ENCODED_FIXED + 8 + tags_size + event->type.size +
                  event->content_type.size + 3 * TYCHO_ID_MAX + event->metadata.size +
                  event->data.size;
    status = tycho__buffer_reserve(buffer, room);
    if (status != TYCHO_OK) return status;
    pack_ids(event, ids, take_defaults);
    write_event(buffer, event, ids, tags, tag_count, take_defaults);
    return TYCHO_OK;
}

static int corrupt_event(const char *what) {
    return tycho__fail(TYCHO_CORRUPT, "the batch has an event with %s", what);
}

tycho_bytes tycho__tag_next(tycho__reader *tags) {
    return tycho__read_bytes(tags, tycho__read8(tags));
}

/* Passes over tags behind the head; NULL where they are cut off. */
static const uint8_t *pass_tags(const uint8_t *at, const uint8_t *end, uint8_t count) {
    for (; count > 0; count--) {
        if (at == end || (size_t)(end - at) < 1u + *at) return NULL;
        at += 1u + *at;
    }
    return at;
}

int tycho__event_pass(tycho__reader *reader, tycho__event_parts *parts) {
    const uint8_t *head = tycho__read_bytes(reader, TYCHO__ENCODED_FIXED).data;
    if (reader->bad) return corrupt_event("a head that is cut off");
    if ((tycho__load16(head) & TYCHO__VALID_TIME) != 0) tycho__read_bytes(reader, 8);
    const uint8_t *at = pass_tags(reader->at, reader->end, head[5]);
    if (reader->bad || at == NULL) return corrupt_event("a head that is cut off");
    size_t body_size = (size_t)head[2] + head[3] + head[4] + tycho__load32(head + 8) +
                       (size_t)tycho__load32(head + 12);
    parts->head = head;
    parts->tags = tycho__bytes(reader->at, (size_t)(at - reader->at));
    parts->type = tycho__bytes(at, head[6]);
    parts->content_type = tycho__bytes(at + head[6], head[7]);
    parts->body = tycho__bytes(at + head[6] + head[7], body_size);
    tycho__read_bytes(reader, parts->tags.size + head[6] + head[7] + body_size);
    return reader->bad ? corrupt_event("a body that is cut off") : TYCHO_OK;
}

int tycho__event_decode(tycho__reader *reader, tycho__event_view *view) {
    tycho__event_parts parts;
    int status = tycho__event_pass(reader, &parts);
    if (status == TYCHO_OK) tycho__event_see(&parts, view);
    return status;
}

static bool is_good_id(tycho_bytes id, bool is_uuid) {
    if (is_uuid) return id.size == TYCHO__UUID_BYTES;
    if (id.size > TYCHO_ID_MAX) return false;
    tycho__id packed;
    tycho__id_pack(&packed, id);
    return !packed.is_uuid; /* a UUID in text has one encoding: packed */
}

int tycho__event_check(const tycho__event_view *view) {
    if ((view->flags & ~TYCHO__EVENT_FLAGS) != 0) return corrupt_event("unknown flags");
    if (!is_good_id(view->id, (view->flags & TYCHO__UUID_ID) != 0) || view->id.size == 0 ||
        !is_good_id(view->correlation_id, (view->flags & TYCHO__UUID_CORRELATION) != 0) ||
        !is_good_id(view->causation_id, (view->flags & TYCHO__UUID_CAUSATION) != 0)) {
        return corrupt_event("a bad id");
    }
    if (tycho__check_name(view->type, "type") != TYCHO_OK) return corrupt_event("a bad type");
    bool has_content_type = (view->flags & TYCHO__CONTENT_TYPE) != 0;
    if (has_content_type != (view->content_type.size > 0) ||
        (has_content_type && tycho__check_name(view->content_type, "content type") != TYCHO_OK)) {
        return corrupt_event("a bad content type");
    }
    if (view->metadata.size + view->data.size > TYCHO_EVENT_SIZE_MAX) {
        return corrupt_event("too much data");
    }
    if (view->tag_count > TYCHO_TAGS_MAX) return corrupt_event("too many tags");
    tycho__reader tags = tycho__reader_of(view->tags);
    tycho_bytes last = {NULL, 0};
    for (uint8_t i = 0; i < view->tag_count; i++) {
        tycho_bytes tag = tycho__tag_next(&tags);
        if (tycho__check_name(tag, "tag") != TYCHO_OK) return corrupt_event("a bad tag");
        if (i > 0 && compare_names(&last, &tag) >= 0) return corrupt_event("tags out of order");
        last = tag;
    }
    return TYCHO_OK;
}

/* ---------------------------------------------------------------- stored form */

static inline size_t optional_size(int flags, uint8_t tag_count) {
    return ((flags & TYCHO__VALID_TIME) != 0 ? 8u : 0u) +
           ((flags & TYCHO__CONTENT_TYPE) != 0 ? 4u : 0u) +
           ((flags & TYCHO__WRITTEN) != 0 ? 8u : 0u) + 4u * tag_count;
}

size_t tycho__record_size(const tycho__event_view *view) {
    return TYCHO__RECORD_FIXED + optional_size(view->flags, view->tag_count) + view->body.size;
}

void tycho__record_write(uint8_t *to, const tycho__event_view *view, const uint32_t *tags) {
    tycho__store64(to + 8, view->position);
    tycho__store64(to + 16, (uint64_t)view->time);
    tycho__store64(to + 24, (uint64_t)view->revision);
    tycho__store32(to + 32, view->stream);
    tycho__store32(to + 36, view->type_number);
    tycho__store32(to + 40, view->metadata_size);
    tycho__store16(to + 44, view->flags);
    to[46] = (uint8_t)view->id.size;
    to[47] = (uint8_t)view->correlation_id.size;
    to[48] = (uint8_t)view->causation_id.size;
    to[49] = view->tag_count;
    uint8_t *at = to + TYCHO__RECORD_FIXED;
    if ((view->flags & TYCHO__VALID_TIME) != 0) {
        tycho__store64(at, (uint64_t)view->valid_time);
        at += 8;
    }
    if ((view->flags & TYCHO__CONTENT_TYPE) != 0) {
        tycho__store32(at, view->content_type_number);
        at += 4;
    }
    if ((view->flags & TYCHO__WRITTEN) != 0) {
        tycho__store64(at, view->written);
        at += 8;
    }
    for (uint8_t i = 0; i < view->tag_count; i++, at += 4) tycho__store32(at, tags[i]);
    tycho__copy(at, view->body);
    size_t size = tycho__record_size(view);
    tycho__store64(to, tycho__checksum(to + CHECKSUM, size - CHECKSUM));
}

static int corrupt_record(uint64_t position, const char *what) {
    return tycho__fail(TYCHO_CORRUPT, "the record at position %llu has %s",
                       (unsigned long long)position, what);
}

int tycho__record_check(tycho_bytes record, uint64_t position) {
    const uint8_t *from = record.data;
    if (record.size < TYCHO__RECORD_FIXED) return corrupt_record(position, "too few bytes");
    if (tycho__load64(from) != tycho__checksum(from + CHECKSUM, record.size - CHECKSUM)) {
        return corrupt_record(position, "a wrong checksum");
    }
    if (tycho__load64(from + 8) != position) {
        return corrupt_record(position, "another position in it");
    }
    return TYCHO_OK;
}

static inline bool is_good_size(bool is_uuid, uint8_t size) {
    return is_uuid ? size == TYCHO__UUID_BYTES : size <= TYCHO_ID_MAX;
}

/* A right checksum covers what was written, not that it was written by us. */
static inline bool has_good_sizes(const uint8_t *from, int flags) {
    return from[46] > 0 && from[49] <= TYCHO_TAGS_MAX && (flags & ~TYCHO__RECORD_FLAGS) == 0 &&
           is_good_size((flags & TYCHO__UUID_ID) != 0, from[46]) &&
           is_good_size((flags & TYCHO__UUID_CORRELATION) != 0, from[47]) &&
           is_good_size((flags & TYCHO__UUID_CAUSATION) != 0, from[48]);
}

/* How many bytes a record of these flags has at least, by the sizes in it. */
static inline size_t least_size(const uint8_t *from, int flags) {
    size_t least = TYCHO__RECORD_FIXED + optional_size(flags, from[49]);
    least += (size_t)from[46] + from[47] + from[48];
    return (flags & TYCHO__COMPRESSED) != 0 ? least : least + tycho__load32(from + 40);
}

/* Most events have a UUID for id and nothing else of that kind. */
static inline int look(tycho_bytes record) {
    const uint8_t *from = record.data;
    assert(record.size >= TYCHO__RECORD_FIXED);
    int flags = tycho__load16(from + 44);
    uint32_t sizes = tycho__load32(from + 46);
    bool is_usual = flags == TYCHO__UUID_ID && (sizes & 0xffffff) == TYCHO__UUID_BYTES &&
                    sizes >> 24 <= TYCHO_TAGS_MAX;
    if (!is_usual && !has_good_sizes(from, flags)) {
        return corrupt_record(tycho__load64(from + 8), "sizes or flags that no event has");
    }
    if (record.size >= (is_usual ? least_size(from, TYCHO__UUID_ID) : least_size(from, flags))) {
        return TYCHO_OK;
    }
    return corrupt_record(tycho__load64(from + 8), "sizes that exceed it");
}

int tycho__record_look(tycho_bytes record) {
    return look(record);
}

int tycho__record_parse(tycho_bytes record, tycho__event_view *view) {
    const uint8_t *from = record.data;
    int status = look(record);
    if (status != TYCHO_OK) return status;
    view->position = view->written = tycho__load64(from + 8);
    view->time = (int64_t)tycho__load64(from + 16);
    view->revision = (int64_t)tycho__load64(from + 24);
    view->stream = tycho__load32(from + 32);
    view->type_number = tycho__load32(from + 36);
    view->flags = tycho__load16(from + 44);
    view->tag_count = from[49];
    view->valid_time = view->time;
    view->content_type_number = 0;
    size_t fixed = TYCHO__RECORD_FIXED + optional_size(view->flags, view->tag_count);
    uint32_t metadata_size = tycho__load32(from + 40);
    const uint8_t *at = from + TYCHO__RECORD_FIXED;
    if ((view->flags & TYCHO__VALID_TIME) != 0) {
        view->valid_time = (int64_t)tycho__load64(at);
        at += 8;
    }
    if ((view->flags & TYCHO__CONTENT_TYPE) != 0) {
        view->content_type_number = tycho__load32(at);
        at += 4;
    }
    if ((view->flags & TYCHO__WRITTEN) != 0) {
        view->written = tycho__load64(at);
        at += 8;
    }
    view->tags = tycho__bytes(at, 4u * (size_t)view->tag_count);
    tycho__cut_body(view, from + fixed, from + 46, metadata_size, record.size - fixed);
    return TYCHO_OK;
}

int tycho__record_read(tycho_bytes record, uint64_t position, tycho__event_view *view) {
    int status = tycho__record_check(record, position);
    return status == TYCHO_OK ? tycho__record_parse(record, view) : status;
}

int tycho__record_alter(tycho__buffer *buffer, const tycho__event_view *view, tycho_bytes record,
                        tycho_bytes metadata, tycho_bytes data) {
    const uint8_t *body = view->body.data;
    size_t ids = view->id.size + view->correlation_id.size + view->causation_id.size;
    size_t head = (size_t)(body - (const uint8_t *)record.data) + ids;
    buffer->size = 0;
    int status = tycho__buffer_reserve(buffer, head + metadata.size + data.size);
    if (status != TYCHO_OK) return status;
    tycho__write(buffer, record.data, head);
    tycho__store32(buffer->data + 40, (uint32_t)metadata.size);
    tycho__store16(buffer->data + 44, (uint16_t)(view->flags & ~TYCHO__COMPRESSED));
    tycho__write(buffer, metadata.data, metadata.size);
    tycho__write(buffer, data.data, data.size);
    return TYCHO_OK;
}
