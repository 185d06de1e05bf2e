/* record_test.c - an event as bytes: what goes into a batch or a record comes out, nothing that is
** damaged does, and limits hold on both sides.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "random_values.h"
#include "record.h"
#include "store_values.h"

#define UUID "01982f5e-7a41-7bcd-8ef0-1234567890ab"

enum { POSITION = 7 };

static const tycho_bytes given_tags[] = {{"match:7", 7}, {"b", 1},       {"match", 5},   {"b", 1},
                                         {"a", 1},       {"match:7", 7}, {"\xc3\xa9", 2}};
static const char *const kept_tags[] = {"a", "b", "match", "match:7", "\xc3\xa9"};
enum { GIVEN_TAGS = 7, KEPT_TAGS = 5 };

/* One event for each set of optional parts: 7 bits. */
enum {
    CORRELATION = 1,
    CAUSATION = 2,
    VALID_TIME = 4,
    CONTENT_TYPE = 8,
    TAGS = 16,
    METADATA = 32,
    DATA = 64,
    PARTS = 128
};

static tycho_new_event event_of(unsigned parts) {
    tycho_new_event event = {.id = (parts & CAUSATION) != 0 ? text("order-1") : text(UUID),
                             .type = text("order.placed"),
                             .flags = TYCHO_HAS_TIME,
                             .time = -1234567890123456,
                             .valid_time = INT64_MIN};
    if ((parts & CORRELATION) != 0) event.correlation_id = text(UUID);
    if ((parts & CAUSATION) != 0) event.causation_id = text("\xff\x01 any bytes");
    if ((parts & VALID_TIME) != 0) event.flags |= TYCHO_HAS_VALID_TIME;
    if ((parts & CONTENT_TYPE) != 0) event.content_type = text("application/json");
    if ((parts & TAGS) != 0) {
        event.tags = given_tags;
        event.tag_count = GIVEN_TAGS;
    }
    if ((parts & METADATA) != 0) event.metadata = bytes_of("\x80\0meta", 6);
    if ((parts & DATA) != 0) event.data = bytes_of("\0data\xff", 6);
    return event;
}

static tycho__buffer encoded(const tycho_new_event *event, bool take_defaults) {
    tycho__buffer buffer = {NULL, 0, 0};
    ASSERT_STATUS(tycho__event_encode(&buffer, event, take_defaults), TYCHO_OK);
    return buffer;
}

static void decode(tycho_bytes bytes, tycho__event_view *view) {
    tycho__reader reader = tycho__reader_of(bytes);
    ASSERT_STATUS(tycho__event_decode(&reader, view), TYCHO_OK);
    assert_int_equal(tycho__reader_left(&reader), 0);
    ASSERT_STATUS(tycho__event_check(view), TYCHO_OK);
}

static void check_id(tycho_bytes packed, bool is_uuid, tycho_bytes given) {
    tycho__id id;
    tycho__id_pack(&id, given);
    assert_int_equal(is_uuid, id.is_uuid);
    assert_bytes(packed, bytes_of(id.bytes, id.size));
}

/* What both forms have. */
static void check_common(const tycho__event_view *view, const tycho_new_event *event) {
    bool has_valid_time = (event->flags & TYCHO_HAS_VALID_TIME) != 0;
    assert_int_equal(view->time, event->time);
    assert_int_equal(view->valid_time, has_valid_time ? event->valid_time : event->time);
    check_id(view->id, (view->flags & TYCHO__UUID_ID) != 0, event->id);
    check_id(view->correlation_id, (view->flags & TYCHO__UUID_CORRELATION) != 0,
             event->correlation_id);
    check_id(view->causation_id, (view->flags & TYCHO__UUID_CAUSATION) != 0, event->causation_id);
    assert_bytes(view->metadata, event->metadata);
    assert_bytes(view->data, event->data);
    assert_int_equal(view->tag_count, event->tag_count > 0 ? KEPT_TAGS : 0);
}

/* ---------------------------------------------------------------- batch form */

static void an_event_comes_back_from_a_batch(void **state) {
    (void)state;
    for (unsigned parts = 0; parts < PARTS; parts++) {
        tycho_new_event event = event_of(parts);
        tycho__buffer buffer = encoded(&event, true), again = encoded(&event, false);
        tycho__event_view view;
        assert_bytes(tycho__buffer_bytes(&again), tycho__buffer_bytes(&buffer));
        decode(tycho__buffer_bytes(&buffer), &view);
        check_common(&view, &event);
        assert_bytes(view.type, event.type);
        assert_bytes(view.content_type, event.content_type);
        tycho__reader tags = tycho__reader_of(view.tags);
        for (int i = 0; i < view.tag_count; i++) {
            assert_bytes(tycho__tag_next(&tags), text(kept_tags[i]));
        }
        assert_int_equal(tycho__reader_left(&tags), 0);
        tycho__buffer_free(&buffer);
        tycho__buffer_free(&again);
    }
}

static void what_is_left_out_is_put_in_for_an_append_alone(void **state) {
    tycho_new_event event = {.type = text("t")};
    tycho__buffer buffer = {NULL, 0, 0};
    tycho__event_view view;
    (void)state;
    ASSERT_STATUS(tycho__event_encode(&buffer, &event, false), TYCHO_MISUSE); /* needs its id */
    assert_int_equal(buffer.size, 0);
    int64_t before = tycho_now();
    ASSERT_STATUS(tycho__event_encode(&buffer, &event, true), TYCHO_OK);
    decode(tycho__buffer_bytes(&buffer), &view);
    assert_true((view.flags & TYCHO__UUID_ID) != 0);
    assert_int_equal(view.id.size, TYCHO__UUID_BYTES);
    assert_true(view.time >= before && view.time <= tycho_now());
    assert_int_equal(view.valid_time, view.time);
    tycho__buffer_free(&buffer);
    event.id = text("given");
    buffer = encoded(&event, false);
    decode(tycho__buffer_bytes(&buffer), &view);
    assert_int_equal(view.time, 0); /* no clock: same calls, same bytes */
    tycho__buffer_free(&buffer);
}

static int try_encoding(const tycho_new_event *event) {
    tycho__buffer buffer = {NULL, 0, 0};
    int status = tycho__event_encode(&buffer, event, true);
    if (status != TYCHO_OK) assert_int_equal(buffer.size, 0);
    tycho__buffer_free(&buffer);
    return status;
}

static void fields_have_limits(void **state) {
    static char name[TYCHO_NAME_MAX + 1];
    tycho_new_event event = {.type = text("t")};
    (void)state;
    memset(name, 'n', sizeof name);
    tycho_bytes longest = bytes_of(name, TYCHO_NAME_MAX), too_long = bytes_of(name, sizeof name);
    tycho_bytes longest_id = bytes_of(name, TYCHO_ID_MAX),
                too_long_id = bytes_of(name, TYCHO_ID_MAX + 1);
    const struct {
        tycho_bytes *field;
        tycho_bytes good, bad;
        int status;
    } cases[] = {
        {&event.type, longest, too_long, TYCHO_TOO_LARGE},
        {&event.type, longest, text(""), TYCHO_MISUSE},
        {&event.type, longest, text("\xff"), TYCHO_MISUSE},
        {&event.content_type, longest, too_long, TYCHO_TOO_LARGE},
        {&event.content_type, text(""), text("a\nb"), TYCHO_MISUSE},
        {&event.id, longest_id, too_long_id, TYCHO_TOO_LARGE},
        {&event.correlation_id, longest_id, too_long_id, TYCHO_TOO_LARGE},
        {&event.causation_id, longest_id, too_long_id, TYCHO_TOO_LARGE},
        {&event.id, text(""), bytes_of(NULL, 3), TYCHO_MISUSE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        *cases[i].field = cases[i].bad;
        ASSERT_STATUS(try_encoding(&event), cases[i].status);
        *cases[i].field = cases[i].good;
        ASSERT_STATUS(try_encoding(&event), TYCHO_OK);
    }
    event.flags = 4;
    ASSERT_STATUS(try_encoding(&event), TYCHO_MISUSE);
}

static void tags_have_limits(void **state) {
    static char names[TYCHO_TAGS_MAX + 1][8];
    tycho_bytes tags[TYCHO_TAGS_MAX + 1];
    tycho_new_event event = {.type = text("t"), .tags = tags};
    (void)state;
    for (int i = 0; i <= TYCHO_TAGS_MAX; i++) {
        snprintf(names[i], sizeof names[i], "%d", i);
        tags[i] = text(names[i]);
    }
    event.tag_count = TYCHO_TAGS_MAX;
    ASSERT_STATUS(try_encoding(&event), TYCHO_OK);
    event.tag_count++;
    ASSERT_STATUS(try_encoding(&event), TYCHO_TOO_LARGE);
    event.tag_count = 3;
    tags[2] = text("");
    ASSERT_STATUS(try_encoding(&event), TYCHO_MISUSE);
    tags[2] = text("\x7f");
    ASSERT_STATUS(try_encoding(&event), TYCHO_MISUSE);
}

static void data_and_metadata_have_one_limit(void **state) {
    uint8_t *data = calloc(1, TYCHO_EVENT_SIZE_MAX);
    tycho_new_event event = {.type = text("t"), .data = bytes_of(data, TYCHO_EVENT_SIZE_MAX)};
    (void)state;
    assert_non_null(data);
    ASSERT_STATUS(try_encoding(&event), TYCHO_OK);
    event.metadata = text("x");
    ASSERT_STATUS(try_encoding(&event), TYCHO_TOO_LARGE);
    event.data.size--;
    ASSERT_STATUS(try_encoding(&event), TYCHO_OK);
    event.data.size = SIZE_MAX; /* the sum of both wraps around */
    ASSERT_STATUS(try_encoding(&event), TYCHO_TOO_LARGE);
    free(data);
}

static void an_event_that_is_cut_off_is_corrupt(void **state) {
    tycho_new_event event = event_of(PARTS - 1);
    tycho__buffer buffer = encoded(&event, true);
    (void)state;
    for (size_t size = 0; size < buffer.size; size++) {
        uint8_t *copy = exact_copy(buffer.data, size);
        tycho__reader reader = tycho__reader_of(bytes_of(copy, size));
        tycho__event_view view;
        ASSERT_STATUS(tycho__event_decode(&reader, &view), TYCHO_CORRUPT);
        free(copy);
    }
    tycho__buffer_free(&buffer);
}

/* Decodes and checks. */
static int take(tycho_bytes bytes) {
    tycho__reader reader = tycho__reader_of(bytes);
    tycho__event_view view;
    int status = tycho__event_decode(&reader, &view);
    return status == TYCHO_OK ? tycho__event_check(&view) : status;
}

static void foreign_bytes_get_the_checks_of_the_encoder(void **state) {
    static const struct {
        size_t offset;
        uint8_t byte;
        const char *what;
    } cases[] = {
        {0, 32, "an unknown flag"},
        {1, 1, "an unknown flag"},
        {0, TYCHO__UUID_ID, "a UUID of 7 bytes"},
        {0, TYCHO__UUID_CORRELATION, "a UUID of no bytes"},
        {0, TYCHO__CONTENT_TYPE, "a content type that is not there"},
        {2, 0, "no id"},
        {24, 0, "an empty tag"},
        {25, 'b', "a tag twice"},
        {25, 'c', "tags out of order"},
        {25, '\n', "a control character in a tag"},
        {28, 0xff, "a type that is not UTF-8"},
    };
    const tycho_bytes tags[] = {text("a"), text("b")};
    tycho_new_event event = {.id = text("order-1"),
                             .type = text("t"),
                             .tags = tags,
                             .tag_count = 2,
                             .data = text("data")};
    tycho__buffer buffer = encoded(&event, true);
    (void)state;
    ASSERT_STATUS(take(tycho__buffer_bytes(&buffer)), TYCHO_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t was = buffer.data[cases[i].offset];
        buffer.data[cases[i].offset] = cases[i].byte;
        if (take(tycho__buffer_bytes(&buffer)) != TYCHO_CORRUPT) fail_msg("%s", cases[i].what);
        buffer.data[cases[i].offset] = was;
    }
    tycho__buffer_free(&buffer);
    event.id = text("?" UUID);
    event.id.size--;
    buffer = encoded(&event, true);
    buffer.data[29] = '0'; /* now it is a UUID that is not packed: a second encoding of one id */
    memmove(buffer.data + 29, UUID, TYCHO_UUID_SIZE);
    ASSERT_STATUS(take(tycho__buffer_bytes(&buffer)), TYCHO_CORRUPT);
    tycho__buffer_free(&buffer);
}

static void foreign_bytes_get_the_limits_of_the_encoder(void **state) {
    tycho_new_event event = event_of(0);
    tycho__buffer buffer = encoded(&event, true);
    tycho__event_view view, other;
    (void)state;
    decode(tycho__buffer_bytes(&buffer), &view);
    other = view;
    other.tag_count = TYCHO_TAGS_MAX + 1;
    ASSERT_STATUS(tycho__event_check(&other), TYCHO_CORRUPT);
    other = view;
    other.data.size = TYCHO_EVENT_SIZE_MAX;
    ASSERT_STATUS(tycho__event_check(&other), TYCHO_OK);
    other.metadata.size = 1;
    ASSERT_STATUS(tycho__event_check(&other), TYCHO_CORRUPT);
    tycho__buffer_free(&buffer);
}

/* ---------------------------------------------------------------- stored form */

static const uint32_t tag_numbers[] = {9, 1, 0xffffffff, 3, 70000};

/* The record of an event, in memory that ends where it does. */
static tycho_bytes record_of(const tycho_new_event *event) {
    tycho__buffer buffer = encoded(event, true);
    tycho__event_view view;
    decode(tycho__buffer_bytes(&buffer), &view);
    view.position = POSITION;
    view.revision = 41;
    view.stream = 5;
    view.type_number = 6;
    view.content_type_number = view.content_type.size > 0 ? 8 : 0;
    view.written = POSITION + 3;
    if (view.tag_count > 0) view.flags |= TYCHO__WRITTEN;
    size_t size = tycho__record_size(&view);
    uint8_t *record = malloc(size);
    assert_non_null(record);
    tycho__record_write(record, &view, tag_numbers);
    tycho__buffer_free(&buffer);
    return bytes_of(record, size);
}

static void free_record(tycho_bytes record) {
    free((void *)(uintptr_t)record.data);
}

static void an_event_comes_back_from_a_record(void **state) {
    (void)state;
    for (unsigned parts = 0; parts < PARTS; parts++) {
        tycho_new_event event = event_of(parts);
        tycho_bytes record = record_of(&event);
        tycho__event_view view;
        memset(&view, 0xee, sizeof view);
        ASSERT_STATUS(tycho__record_read(record, POSITION, &view), TYCHO_OK);
        check_common(&view, &event);
        assert_int_equal(view.position, POSITION);
        assert_int_equal(view.written, view.tag_count > 0 ? POSITION + 3 : POSITION);
        assert_int_equal(view.revision, 41);
        assert_int_equal(view.stream, 5);
        assert_int_equal(view.type_number, 6);
        assert_int_equal(view.content_type_number, (parts & CONTENT_TYPE) != 0 ? 8 : 0);
        for (uint32_t i = 0; i < view.tag_count; i++) {
            assert_int_equal(tycho__record_tag(&view, i), tag_numbers[i]);
        }
        ASSERT_STATUS(tycho__record_read(record, POSITION + 1, &view), TYCHO_CORRUPT);
        free_record(record);
    }
}

static void a_record_with_any_byte_changed_is_corrupt(void **state) {
    tycho_new_event event = event_of(PARTS - 1);
    tycho_bytes record = record_of(&event);
    uint8_t *bytes = (uint8_t *)(uintptr_t)record.data;
    tycho__event_view view;
    (void)state;
    for (size_t i = 0; i < record.size; i++) {
        for (unsigned change = 1; change < 256; change++) {
            bytes[i] ^= (uint8_t)change;
            int status = tycho__record_read(record, POSITION, &view);
            bytes[i] ^= (uint8_t)change;
            if (status != TYCHO_CORRUPT) fail_msg("byte %zu, changed by %02x", i, change);
        }
    }
    ASSERT_STATUS(tycho__record_read(record, POSITION, &view), TYCHO_OK);
    free_record(record);
}

static void a_record_of_another_size_is_corrupt(void **state) {
    (void)state;
    for (unsigned parts = 0; parts < PARTS; parts += PARTS / 2 - 1) {
        tycho_new_event event = event_of(parts);
        tycho_bytes record = record_of(&event);
        tycho__event_view view;
        for (size_t size = 0; size < record.size + 3; size++) {
            uint8_t *copy = calloc(1, size > 0 ? size : 1);
            assert_non_null(copy);
            memcpy(copy, record.data, size < record.size ? size : record.size);
            int status = tycho__record_read(bytes_of(copy, size), POSITION, &view);
            assert_int_equal(status, size == record.size ? TYCHO_OK : TYCHO_CORRUPT);
            free(copy);
        }
        free_record(record);
    }
}

/* What the readers of a record rely on; a checksum that is right proves none of it. */
static void check_sane(const tycho__event_view *view, tycho_bytes record) {
    const uint8_t *begin = record.data, *end = begin + record.size;
    const tycho_bytes parts[] = {view->id,   view->correlation_id, view->causation_id,
                                 view->tags, view->metadata,       view->data,
                                 view->frame};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const uint8_t *at = parts[i].data;
        assert_true(at >= begin && at <= end && parts[i].size <= (size_t)(end - at));
    }
    for (int i = 0; i < 3; i++) {
        assert_true(parts[i].size <= TYCHO_ID_MAX);
        if ((view->flags & TYCHO__UUID_ID << i) == 0) continue;
        assert_int_equal(parts[i].size, TYCHO__UUID_BYTES);
    }
    assert_true(view->tag_count <= TYCHO_TAGS_MAX);
    assert_int_equal(view->tags.size, 4 * view->tag_count);
}

static void a_damaged_record_with_a_right_checksum_harms_nobody(void **state) {
    (void)state;
    for (unsigned parts = 0; parts < PARTS; parts += PARTS - 1) {
        tycho_new_event event = event_of(parts);
        tycho_bytes record = record_of(&event);
        uint8_t *bytes = (uint8_t *)(uintptr_t)record.data;
        for (size_t i = 8; i < record.size; i++) {
            for (unsigned change = 1; change < 256; change++) {
                tycho__event_view view;
                uint64_t position = i < 16 ? POSITION ^ (uint64_t)change << 8 * (i - 8) : POSITION;
                bytes[i] ^= (uint8_t)change;
                tycho__store64(bytes, tycho__hash(bytes + 8, record.size - 8, 0));
                int status = tycho__record_read(record, position, &view);
                if (status == TYCHO_OK) {
                    check_sane(&view, record);
                } else {
                    assert_int_equal(status, TYCHO_CORRUPT);
                }
                bytes[i] ^= (uint8_t)change;
            }
        }
        free_record(record);
    }
}

static void random_bytes_are_no_event(void **state) {
    uint8_t bytes[256];
    (void)state;
    start_random();
    for (int i = 0; i < 20000; i++) {
        size_t size = below(sizeof bytes);
        for (size_t j = 0; j < size; j++) bytes[j] = (uint8_t)(random_width() & 0xff);
        uint8_t *copy = exact_copy(bytes, size);
        int status = take(bytes_of(copy, size));
        assert_true(status == TYCHO_OK || status == TYCHO_CORRUPT);
        free(copy);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_comes_back_from_a_batch),
        cmocka_unit_test(what_is_left_out_is_put_in_for_an_append_alone),
        cmocka_unit_test(fields_have_limits),
        cmocka_unit_test(tags_have_limits),
        cmocka_unit_test(data_and_metadata_have_one_limit),
        cmocka_unit_test(an_event_that_is_cut_off_is_corrupt),
        cmocka_unit_test(foreign_bytes_get_the_checks_of_the_encoder),
        cmocka_unit_test(foreign_bytes_get_the_limits_of_the_encoder),
        cmocka_unit_test(an_event_comes_back_from_a_record),
        cmocka_unit_test(a_record_with_any_byte_changed_is_corrupt),
        cmocka_unit_test(a_record_of_another_size_is_corrupt),
        cmocka_unit_test(a_damaged_record_with_a_right_checksum_harms_nobody),
        cmocka_unit_test(random_bytes_are_no_event),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
