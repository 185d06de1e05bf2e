/* ahead_test.c - records that are found together before they are read: all of a log are, nothing is
** where there is nothing, and what is read so is what was appended, forward and backward, with
** limits, from streams, tags and both, sorted by time or not, while others append.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "place.h"
#include "store.h"
#include "store_fixture.h"

enum { STREAMS = 97, ROUNDS = 61, EVENTS = STREAMS * ROUNDS };

static void name_stream(char name[24], uint64_t number) {
    snprintf(name, 24, "course:%llu", (unsigned long long)number);
}

/* An event of each stream, with the stream's name as its tag; in every third stream with another
** tag, too. */
static void append_round(fixture *f) {
    char names[STREAMS][24];
    tycho_batch_clear(f->batch);
    for (size_t i = 0; i < STREAMS; i++) {
        name_stream(names[i], i);
        tycho_bytes tags[2] = {text(names[i]), text("third")};
        tycho_new_event event = {.type = text("t"),
                                 .data = text("data of some length, as data have it"),
                                 .tags = tags,
                                 .tag_count = i % 3 == 0 ? 2 : 1};
        ASSERT_STATUS(tycho_batch_append(f->batch, tags[0], TYCHO_EXPECT_ANY, &event, 1, 0),
                      TYCHO_OK);
    }
    ASSERT_STATUS(tycho_commit(f->store, f->batch, NULL), TYCHO_OK);
}

static void fill(fixture *f) {
    for (int i = 0; i < ROUNDS; i++) append_round(f);
}

/* Expects the first `count` of the events of one stream, or the last ones backward. */
static void expect_events(fixture *f, tycho_read *what, uint64_t number, uint64_t count) {
    tycho_cursor *cursor = NULL;
    tycho_event event;
    bool is_backward = (what->flags & TYCHO_READ_BACKWARD) != 0;
    what->size = sizeof *what;
    what->limit = count;
    what->from_position = is_backward ? EVENTS + 1 : 0;
    if (is_backward) what->flags |= TYCHO_READ_FROM_POSITION;
    ASSERT_STATUS(tycho_cursor_open(f->store, what, &cursor), TYCHO_OK);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t at = is_backward ? ROUNDS - 1 - i : i;
        ASSERT_STATUS(tycho_cursor_next(cursor, &event), TYCHO_OK);
        assert_int_equal(event.position, number + 1 + at * STREAMS);
        if (i == count / 2) append_round(f); /* a commit between two blocks */
    }
    ASSERT_STATUS(tycho_cursor_next(cursor, &event), TYCHO_END);
    tycho_cursor_close(cursor);
}

static void expect_stream(fixture *f, uint64_t number, uint32_t flags, uint64_t count,
                          uint32_t order) {
    char name[24];
    name_stream(name, number);
    tycho_bytes tags[2] = {text(name), text("third")};
    tycho_query_item item = {.tags = tags, .tag_count = 1};
    tycho_query query = {&item, 1};
    tycho_read by_stream = {.stream = text(name), .flags = flags, .order = order};
    tycho_read by_tag = {.query = &query, .flags = flags, .order = order};
    expect_events(f, &by_stream, number, count);
    expect_events(f, &by_tag, number, count);
    if (number % 3 != 0) return;
    item.tag_count = 2;
    expect_events(f, &by_tag, number, count);
}

static void test_what_is_asked_for_ahead_is_read_as_it_was_appended(void **state) {
    fixture *f = *state;
    fill(f);
    for (uint64_t number = 0; number < STREAMS; number += 24) {
        for (uint64_t count = 1; count <= ROUNDS; count += 12) {
            expect_stream(f, number, 0, count, TYCHO_BY_POSITION);
            expect_stream(f, number, TYCHO_READ_BACKWARD, count, TYCHO_BY_POSITION);
            expect_stream(f, number, 0, count, TYCHO_AS_AT);
            expect_stream(f, number, TYCHO_READ_BACKWARD, count, TYCHO_AS_AT);
        }
    }
}

/* Looks for positions of the log from `from` on that lie `step` apart, and expects their
** records. */
static void expect_records(tycho__txn *txn, uint64_t from, uint64_t step) {
    uint64_t positions[TYCHO__AHEAD] = {0};
    const uint8_t *nodes[TYCHO__AHEAD];
    uint32_t count = 0;
    for (uint64_t at = from; at <= EVENTS && count < TYCHO__AHEAD; at += step) {
        positions[count++] = at;
    }
    tycho__events_ahead(txn, positions, count, nodes);
    for (uint32_t i = 0; i < count; i++) {
        tycho_bytes record, other;
        assert_non_null(nodes[i]);
        assert_true(tycho__ahead_record(nodes[i], positions[i], &record));
        assert_false(tycho__ahead_record(nodes[i], positions[i] + 1, &other));
        ASSERT_STATUS(tycho__get_event(txn, positions[i], &other), TYCHO_OK);
        assert_ptr_equal(record.data, other.data);
        assert_int_equal(record.size, other.size);
    }
}

static void test_all_records_of_a_log_are_found_and_none_where_there_is_nothing(void **state) {
    fixture *f = *state;
    const uint64_t odd[] = {0, EVENTS + 1, UINT64_MAX, UINT64_MAX / 2};
    const uint8_t *nodes[TYCHO__AHEAD];
    tycho__txn *txn = NULL;
    ASSERT_STATUS(tycho__txn_read(f->store->env, &txn), TYCHO_OK);
    nodes[0] = (const uint8_t *)odd;
    tycho__events_ahead(txn, odd + 1, 1, nodes);
    assert_null(nodes[0]); /* nothing was appended */
    tycho__txn_done(txn);
    fill(f);
    ASSERT_STATUS(tycho__txn_read(f->store->env, &txn), TYCHO_OK);
    assert_true(tycho__place_tree(txn->guarded, TYCHO__EVENTS)->depth > 1);
    for (uint64_t step = 1; step < EVENTS; step += 1 + step / 2) {
        for (uint64_t from = 1; from <= EVENTS; from += 61) expect_records(txn, from, step);
    }
    tycho__events_ahead(txn, odd, sizeof odd / sizeof *odd, nodes);
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        tycho_bytes record;
        assert_true(nodes[i] == NULL || !tycho__ahead_record(nodes[i], odd[i], &record));
    }
    append_round(f);
    ASSERT_STATUS(tycho__txn_renew(txn), TYCHO_OK);
    expect_records(txn, EVENTS - 7, 1);
    tycho__txn_done(txn);
}

/* One with a value in pages of its own is found where the others are, and read in another way. */
static void test_a_large_event_among_others_is_read_whole(void **state) {
    fixture *f = *state;
    static uint8_t large[9000];
    tycho_bytes tag = text("large");
    tycho_query_item item = {.tags = &tag, .tag_count = 1};
    tycho_query query = {&item, 1};
    tycho_read what = {.size = sizeof what, .query = &query};
    tycho_cursor *cursor = NULL;
    tycho_event event;
    for (int i = 0; i < 40; i++) {
        size_t size = i % 4 == 3 ? sizeof large : 100;
        tycho_new_event new = {.type = text("t"), .tags = &tag, .tag_count = 1};
        new.data = (tycho_bytes){large, size};
        memset(large, i, size);
        tycho_batch_clear(f->batch);
        ASSERT_STATUS(tycho_batch_append(f->batch, text("s"), TYCHO_EXPECT_ANY, &new, 1, 0),
                      TYCHO_OK);
        ASSERT_STATUS(tycho_commit(f->store, f->batch, NULL), TYCHO_OK);
        append_round(f);
    }
    ASSERT_STATUS(tycho_cursor_open(f->store, &what, &cursor), TYCHO_OK);
    for (int i = 0; i < 40; i++) {
        ASSERT_STATUS(tycho_cursor_next(cursor, &event), TYCHO_OK);
        memset(large, i, sizeof large);
        assert_int_equal(event.data.size, i % 4 == 3 ? sizeof large : 100);
        assert_memory_equal(event.data.data, large, event.data.size);
    }
    ASSERT_STATUS(tycho_cursor_next(cursor, &event), TYCHO_END);
    tycho_cursor_close(cursor);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(what_is_asked_for_ahead_is_read_as_it_was_appended),
        TEST(all_records_of_a_log_are_found_and_none_where_there_is_nothing),
        TEST(a_large_event_among_others_is_read_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
