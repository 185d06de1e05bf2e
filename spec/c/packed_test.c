/* packed_test.c - events that are read packed: what is unpacked, from a copy too, is what
** tycho_cursor_next() gives.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "record.h"
#include "store_fixture.h"

#define UUID "01982f5e-7a41-7bcd-8ef0-1234567890ab"

enum { KINDS = 64, EVENTS = 3 * KINDS };

/* One event for each set of optional parts. */
static void append_all(fixture *f) {
    const tycho_bytes tags[] = {text("a"), text("match:7")};
    char id[32], type[32];
    for (unsigned n = 0; n < EVENTS; n++) {
        snprintf(id, sizeof id, "event-%u", n);
        snprintf(type, sizeof type, "type-%u", n % 5);
        tycho_new_event event = {.type = text(type), .data = text("data")};
        if ((n & 1) != 0) event.id = text(id);
        if ((n & 2) != 0) event.correlation_id = text(UUID);
        if ((n & 2) != 0) event.causation_id = text("order-1");
        if ((n & 4) != 0) event.flags = TYCHO_HAS_VALID_TIME;
        if ((n & 4) != 0) event.valid_time = -(int64_t)n;
        if ((n & 8) != 0) event.content_type = text("text/plain");
        if ((n & 16) != 0) event.metadata = text("metadata");
        if ((n & 32) != 0) event.tags = tags;
        if ((n & 32) != 0) event.tag_count = 2;
        ASSERT_STATUS(commit_event(f->store, n % 3 == 0 ? "one" : "two", &event), TYCHO_OK);
    }
}

static void assert_same(const tycho_event *a, const tycho_event *b) {
    assert_int_equal(a->position, b->position);
    assert_int_equal(a->revision, b->revision);
    assert_int_equal(a->is_link, b->is_link);
    assert_int_equal(a->written, b->written);
    assert_int_equal(a->time, b->time);
    assert_int_equal(a->valid_time, b->valid_time);
    assert_int_equal(a->tag_count, b->tag_count);
    assert_bytes(a->id, b->id);
    assert_bytes(a->type, b->type);
    assert_bytes(a->correlation_id, b->correlation_id);
    assert_bytes(a->causation_id, b->causation_id);
    assert_bytes(a->content_type, b->content_type);
    assert_bytes(a->metadata, b->metadata);
    assert_bytes(a->data, b->data);
    assert_int_equal(a->compressed.size, b->compressed.size);
}

/* Unpacks it from a copy, and compares. */
static void assert_unpacked(tycho_event packed, const tycho_event *event) {
    char ids[3][TYCHO_UUID_SIZE];
    uint8_t *copy = exact_copy(packed.packed.data, packed.packed.size);
    packed.packed.data = copy;
    ASSERT_STATUS(tycho_event_unpack(&packed, ids), TYCHO_OK);
    assert_same(&packed, event);
    free(copy);
}

/* Two cursors side by side; gives how many events there were. */
static unsigned compare(fixture *f, const tycho_read *read) {
    tycho_cursor *plain, *packing;
    tycho_event event, packed;
    tycho_bytes stream, other;
    unsigned count = 0;
    ASSERT_STATUS(tycho_cursor_open(f->store, read, &plain), TYCHO_OK);
    ASSERT_STATUS(tycho_cursor_open(f->store, read, &packing), TYCHO_OK);
    int status = tycho_cursor_next(plain, &event);
    for (; status == TYCHO_OK; status = tycho_cursor_next(plain, &event), count++) {
        memset(&packed, 0xff, sizeof packed); /* nothing may be left as it was */
        ASSERT_STATUS(tycho_cursor_next_packed(packing, &packed), TYCHO_OK);
        assert_unpacked(packed, &event);
        packed = event;
        ASSERT_STATUS(tycho_cursor_pack(plain, &packed), TYCHO_OK);
        assert_unpacked(packed, &event);
        ASSERT_STATUS(tycho_cursor_stream(plain, &stream), TYCHO_OK);
        ASSERT_STATUS(tycho_cursor_stream(packing, &other), TYCHO_OK);
        assert_bytes(stream, other);
        for (uint32_t i = 0; i < event.tag_count; i++) {
            ASSERT_STATUS(tycho_cursor_tag(packing, i, &other), TYCHO_OK);
        }
        ASSERT_STATUS(tycho_cursor_tag(packing, event.tag_count, &other), TYCHO_MISUSE);
    }
    ASSERT_STATUS(status, TYCHO_END);
    ASSERT_STATUS(tycho_cursor_next_packed(packing, &packed), TYCHO_END);
    tycho_cursor_close(plain);
    tycho_cursor_close(packing);
    return count;
}

static void what_is_unpacked_is_the_event(void **state) {
    fixture *f = *state;
    append_all(f);
    tycho_batch_clear(f->batch);
    ASSERT_STATUS(
        tycho_batch_link_range(f->batch, text("one"), 0, 9, text("links"), TYCHO_EXPECT_NONE, 0),
        TYCHO_OK);
    ASSERT_STATUS(tycho_commit(f->store, f->batch, NULL), TYCHO_OK);
    tycho_read read = {.size = sizeof read};
    assert_int_equal(compare(f, &read), EVENTS);
    read.flags = TYCHO_READ_BACKWARD;
    assert_int_equal(compare(f, &read), EVENTS);
    read.stream = text("two");
    assert_int_equal(compare(f, &read), EVENTS - KINDS);
    read.stream = text("links");
    assert_int_equal(compare(f, &read), 10);
}

static void what_is_not_packed_is_misuse(void **state) {
    fixture *f = *state;
    const tycho_read read = {.size = sizeof read};
    tycho_cursor *cursor;
    tycho_event event = {.position = 1};
    append_all(f);
    ASSERT_STATUS(tycho_cursor_open(f->store, &read, &cursor), TYCHO_OK);
    ASSERT_STATUS(tycho_cursor_pack(cursor, &event), TYCHO_MISUSE); /* it is on none */
    ASSERT_STATUS(tycho_cursor_next(cursor, &event), TYCHO_OK);
    assert_int_equal(event.packed.size, 0);
    ASSERT_STATUS(tycho_event_unpack(&event, NULL), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_event_unpack(NULL, NULL), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_cursor_pack(cursor, NULL), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_cursor_pack(NULL, &event), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_cursor_next_packed(cursor, NULL), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_cursor_next_packed(NULL, &event), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_cursor_pack(cursor, &event), TYCHO_OK);
    ASSERT_STATUS(tycho_event_unpack(&event, NULL), TYCHO_OK);
    tycho_cursor_close(cursor);
}

/* Bytes that are cut off anywhere, and any byte of the head as something else. */
static void spoil(fixture *f, uint32_t which) {
    const tycho_read read = {.size = sizeof read, .flags = which};
    char ids[3][TYCHO_UUID_SIZE];
    tycho_cursor *cursor;
    tycho_event event;
    ASSERT_STATUS(tycho_cursor_open(f->store, &read, &cursor), TYCHO_OK);
    ASSERT_STATUS(tycho_cursor_next_packed(cursor, &event), TYCHO_OK);
    const tycho_bytes whole = event.packed;
    const size_t data_size = strlen("data");
    for (size_t size = 0; size < whole.size; size++) {
        uint8_t *copy = exact_copy(whole.data, size);
        event.packed = bytes_of(copy, size);
        bool is_data_alone = size >= whole.size - data_size; /* data is what is left */
        ASSERT_STATUS(tycho_event_unpack(&event, ids), size < TYCHO__RECORD_FIXED ? TYCHO_MISUSE
                                                       : is_data_alone            ? TYCHO_OK
                                                                                  : TYCHO_CORRUPT);
        free(copy);
    }
    for (size_t at = 0; at < TYCHO__RECORD_FIXED; at++) {
        uint8_t *copy = exact_copy(whole.data, whole.size);
        for (unsigned byte = 0; byte < 256; byte++) {
            copy[at] = (uint8_t)byte;
            event.packed = bytes_of(copy, whole.size);
            int status = tycho_event_unpack(&event, ids);
            assert_true(status == TYCHO_OK || status == TYCHO_CORRUPT);
            if (status == TYCHO_OK) free(exact_copy(event.data.data, event.data.size));
        }
        free(copy);
    }
    tycho_cursor_close(cursor);
}

static void damaged_bytes_are_not_read_beyond_their_end(void **state) {
    fixture *f = *state;
    append_all(f);
    spoil(f, TYCHO_READ_FIRST); /* it has nothing but the id that it was given */
    spoil(f, TYCHO_READ_LAST);  /* all there can be */
}

/* Reads the log to its end. All events are there but one, of which the position is told. */
static void assert_passed(fixture *f, uint32_t flags, bool is_packed, unsigned damaged) {
    const tycho_read read = {.size = sizeof read, .flags = flags};
    tycho_cursor *cursor;
    tycho_event event;
    char told[32];
    int status;
    unsigned found = 0, failed = 0;
    snprintf(told, sizeof told, "position %u ", damaged);
    ASSERT_STATUS(tycho_cursor_open(f->store, &read, &cursor), TYCHO_OK);
    do {
        status = is_packed ? tycho_cursor_next_packed(cursor, &event)
                           : tycho_cursor_next(cursor, &event);
        if (status == TYCHO_OK) assert_int_not_equal(event.position, damaged);
        if (status == TYCHO_CORRUPT) assert_non_null(strstr(tycho_error(), told));
        found += status == TYCHO_OK;
        failed += status == TYCHO_CORRUPT;
    } while (status == TYCHO_OK || status == TYCHO_CORRUPT);
    ASSERT_STATUS(status, TYCHO_END);
    assert_int_equal(found, EVENTS - 1);
    assert_int_equal(failed, 1);
    tycho_cursor_close(cursor);
}

static void a_damaged_record_among_others_is_told_and_passed(void **state) {
    fixture *f = *state;
    char ids[EVENTS][16], whole[32], turned[32];
    tycho_batch_clear(f->batch);
    for (unsigned n = 0; n < EVENTS; n++) {
        snprintf(ids[n], sizeof ids[n], "event-%03u", n + 1);
        const tycho_new_event event = {.id = text(ids[n]), .type = text("t"), .data = text(ids[n])};
        ASSERT_STATUS(tycho_batch_append(f->batch, text("s"), TYCHO_EXPECT_ANY, &event, 1, 0),
                      TYCHO_OK);
    }
    ASSERT_STATUS(tycho_commit(f->store, f->batch, NULL), TYCHO_OK);
    for (unsigned n = 1; n <= EVENTS; n++) {
        snprintf(whole, sizeof whole, "event-%03uevent-%03u", n, n);
        snprintf(turned, sizeof turned, "dvent-%03uevent-%03u", n, n);
        damage(f, whole);
        assert_passed(f, 0, false, n);
        assert_passed(f, 0, true, n);
        assert_passed(f, TYCHO_READ_BACKWARD, true, n);
        damage(f, turned); /* the same bit: whole again */
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_unpacked_is_the_event, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_not_packed_is_misuse, set_up, tear_down),
        cmocka_unit_test_setup_teardown(damaged_bytes_are_not_read_beyond_their_end, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_damaged_record_among_others_is_told_and_passed, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
