/* record_fuzz.c - any bytes as an event: in the form of a batch, and as a stored record whose
** checksum was made right. What is taken must stay within its bytes and its limits, and written
** again it must be the same bytes.
*/
#include <stdlib.h>

#include "dictionary.h"
#include "record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CHECKSUM = 8 };

static void require(bool is_true) {
    if (!is_true) abort();
}

static void require_same(const uint8_t *got, size_t got_size, tycho_bytes expected) {
    require(got_size == expected.size && memcmp(got, expected.data, got_size) == 0);
}

/* ---------------------------------------------------------------- batch form */

/* The text of a packed id; `text` has room for a UUID. */
static tycho_bytes id_text(tycho_bytes packed, bool is_uuid, char *text) {
    if (!is_uuid) return packed;
    tycho__uuid_unpack(text, packed.data);
    return tycho__bytes(text, TYCHO_UUID_SIZE);
}

/* The call that would have made the event must make the same bytes. */
static void encode_again(const tycho__event_view *view, tycho_bytes bytes) {
    char ids[3][TYCHO_UUID_SIZE];
    tycho_bytes tags[TYCHO_TAGS_MAX];
    tycho__buffer out = {NULL, 0, 0};
    bool has_valid_time = (view->flags & TYCHO__VALID_TIME) != 0;
    tycho__reader names = tycho__reader_of(view->tags);
    for (uint32_t i = 0; i < view->tag_count; i++) tags[i] = tycho__tag_next(&names);
    tycho_new_event event = {
        .id = id_text(view->id, (view->flags & TYCHO__UUID_ID) != 0, ids[0]),
        .type = view->type,
        .flags = TYCHO_HAS_TIME | (has_valid_time ? TYCHO_HAS_VALID_TIME : 0u),
        .tag_count = view->tag_count,
        .time = view->time,
        .valid_time = view->valid_time,
        .correlation_id =
            id_text(view->correlation_id, (view->flags & TYCHO__UUID_CORRELATION) != 0, ids[1]),
        .causation_id =
            id_text(view->causation_id, (view->flags & TYCHO__UUID_CAUSATION) != 0, ids[2]),
        .tags = tags,
        .content_type = view->content_type,
        .metadata = view->metadata,
        .data = view->data};
    require(tycho__event_encode(&out, &event, false) == TYCHO_OK);
    require_same(out.data, out.size, bytes);
    tycho__buffer_free(&out);
}

/* As apply does: the event goes into a record, and is read from there. */
static void store_and_load(tycho__event_view *view) {
    uint32_t tags[TYCHO_TAGS_MAX];
    tycho__event_view back;
    for (uint32_t i = 0; i < view->tag_count; i++) tags[i] = i + 1;
    view->position = 9;
    size_t size = tycho__record_size(view);
    uint8_t *record = malloc(size);
    if (record == NULL) return;
    tycho__record_write(record, view, tags);
    require(tycho__record_read(tycho__bytes(record, size), 9, &back) == TYCHO_OK);
    require(tycho__equal(back.id, view->id) && tycho__equal(back.data, view->data));
    require(tycho__equal(back.correlation_id, view->correlation_id));
    require(tycho__equal(back.causation_id, view->causation_id));
    require(tycho__equal(back.metadata, view->metadata));
    require(back.time == view->time && back.valid_time == view->valid_time);
    require(back.tag_count == view->tag_count);
    free(record);
}

static void read_as_event(tycho_bytes bytes) {
    tycho__reader reader = tycho__reader_of(bytes);
    tycho__event_view view;
    int status = tycho__event_decode(&reader, &view);
    require(status == TYCHO_OK || status == TYCHO_CORRUPT);
    if (status != TYCHO_OK) return;
    size_t used = bytes.size - tycho__reader_left(&reader);
    status = tycho__event_check(&view);
    require(status == TYCHO_OK || status == TYCHO_CORRUPT);
    if (status != TYCHO_OK) return;
    encode_again(&view, tycho__bytes(bytes.data, used));
    store_and_load(&view);
}

/* ---------------------------------------------------------------- stored form */

/* Everything that readers of records rely on without looking. */
static void require_sane(const tycho__event_view *view, tycho_bytes record) {
    const tycho_bytes parts[] = {view->id,   view->correlation_id, view->causation_id,
                                 view->tags, view->metadata,       view->data,
                                 view->frame};
    const uint8_t *begin = record.data, *end = begin + record.size;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const uint8_t *at = parts[i].data;
        require(at >= begin && at <= end && parts[i].size <= (size_t)(end - at));
    }
    for (int i = 0; i < 3; i++) {
        bool is_uuid = (view->flags & TYCHO__UUID_ID << i) != 0;
        require(is_uuid ? parts[i].size == TYCHO__UUID_BYTES : parts[i].size <= TYCHO_ID_MAX);
    }
    require(view->tag_count <= TYCHO_TAGS_MAX);
}

/* What the header of a frame says is believed only within the limits. */
static void read_frame(const tycho__event_view *view) {
    uint32_t number;
    size_t wanted;
    int status = tycho__compressed_facts(view, &number, &wanted);
    require(status == TYCHO_OK || status == TYCHO_CORRUPT);
    if (status != TYCHO_OK) return;
    require(number > 0 && number <= TYCHO__DICTIONARIES && wanted <= TYCHO_EVENT_SIZE_MAX);
    require(wanted >= view->metadata_size);
}

static void read_as_record(const uint8_t *data, size_t size) {
    uint32_t tags[UINT8_MAX];
    tycho__event_view view;
    if (size < TYCHO__RECORD_FIXED) {
        require(tycho__record_read(tycho__bytes(data, size), 0, &view) == TYCHO_CORRUPT);
        return;
    }
    uint8_t *copy = malloc(size), *again = malloc(size);
    if (copy != NULL && again != NULL) {
        memcpy(copy, data, size);
        tycho__store64(copy, tycho__hash(copy + CHECKSUM, size - CHECKSUM, 0));
        tycho_bytes record = {copy, size};
        int status = tycho__record_read(record, tycho__load64(copy + CHECKSUM), &view);
        require(status == TYCHO_OK || status == TYCHO_CORRUPT);
        if (status == TYCHO_OK) {
            require_sane(&view, record);
            if ((view.flags & TYCHO__COMPRESSED) != 0) read_frame(&view);
            for (uint32_t i = 0; i < view.tag_count; i++) tags[i] = tycho__record_tag(&view, i);
            require(tycho__record_size(&view) == size);
            tycho__record_write(again, &view, tags);
            require_same(again, size, record);
        }
    }
    free(copy);
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t *copy = malloc(size > 0 ? size : 1); /* ends where the input does */
    if (copy == NULL) return 0;
    if (size > 0) memcpy(copy, data, size);
    read_as_event(tycho__bytes(copy, size));
    read_as_record(copy, size);
    free(copy);
    return 0;
}
