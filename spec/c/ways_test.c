/* ways_test.c - rows of the ways back of links: what shares a row, finding, removing, damage, and
** the rows of older formats.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "txn_fixture.h"
#include "ways.h"

/* A row of the streams from `first` on, each with its number as revision and ten times as link. */
static void put(fixture *f, uint64_t position, uint32_t first, uint32_t count) {
    tycho__ways ways = {.count = count};
    for (uint32_t i = 0; i < count; i++) {
        ways.positions[i] = position;
        ways.all[i] = (tycho__way){first + i, first + i, 10 * (first + i)};
    }
    ASSERT_STATUS(tycho__ways_put(&f->txn, &ways), TYCHO_OK);
}

static uint64_t rows_of(fixture *f) {
    uint64_t rows;
    ASSERT_STATUS(tycho__row_count(&f->txn, TYCHO__LINKS, &rows), TYCHO_OK);
    return rows;
}

/* That an event has ways from just these streams, whose numbers end with 0. */
static void assert_streams(fixture *f, uint64_t position, const uint32_t *streams) {
    tycho__way ways[100], way;
    size_t count, expected = 0;
    ASSERT_STATUS(tycho__ways_copy(&f->txn, position, ways, 100, &count), TYCHO_OK);
    for (; streams[expected] != 0; expected++) {
        ASSERT_STATUS(tycho__ways_find(&f->txn, position, streams[expected], &way), TYCHO_OK);
        assert_int_equal(way.revision, streams[expected]);
        assert_int_equal(way.link, 10 * streams[expected]);
        assert_int_equal(ways[expected].stream, streams[expected]);
    }
    assert_int_equal(count, expected);
}

#define ASSERT_STREAMS(f, position, ...)                                                           \
    assert_streams(f, position, (const uint32_t[]){__VA_ARGS__})

static void the_ways_of_an_event_are_in_as_many_rows_as_were_settled(void **state) {
    fixture *f = *state;
    tycho__way way;
    put(f, 6, 1, 1);
    put(f, 7, 3, 3);
    put(f, 7, 1, 1);
    put(f, 8, 2, 2);
    assert_int_equal(rows_of(f), 4);
    ASSERT_STREAMS(f, 6, 1, 0);
    ASSERT_STREAMS(f, 7, 1, 3, 4, 5, 0);
    ASSERT_STREAMS(f, 8, 2, 3, 0);
    ASSERT_STREAMS(f, 9, 0);
    ASSERT_STATUS(tycho__ways_find(&f->txn, 7, 2, &way), TYCHO_NOT_FOUND);
    ASSERT_STATUS(tycho__ways_find(&f->txn, 9, 1, &way), TYCHO_NOT_FOUND);
}

static void a_full_row_has_all_its_ways(void **state) {
    fixture *f = *state;
    tycho__way ways[TYCHO__ROW_WAYS + 10];
    size_t count;
    put(f, 7, 1, TYCHO__ROW_WAYS);
    put(f, 7, 1 + TYCHO__ROW_WAYS, 5);
    ASSERT_STATUS(tycho__ways_copy(&f->txn, 7, ways, TYCHO__ROW_WAYS + 10, &count), TYCHO_OK);
    assert_int_equal(count, TYCHO__ROW_WAYS + 5);
    for (uint32_t i = 0; i < count; i++) assert_int_equal(ways[i].stream, i + 1);
    ASSERT_STATUS(tycho__ways_copy(&f->txn, 7, ways, 2, &count), TYCHO_OK);
    assert_int_equal(count, TYCHO__ROW_WAYS + 5);
}

static void any_way_of_a_row_can_be_removed(void **state) {
    fixture *f = *state;
    put(f, 7, 1, 4);
    ASSERT_STATUS(tycho__ways_remove(&f->txn, 7, 3), TYCHO_OK);
    ASSERT_STREAMS(f, 7, 1, 2, 4, 0);
    ASSERT_STATUS(tycho__ways_remove(&f->txn, 7, 3), TYCHO_NOT_FOUND);
    ASSERT_STATUS(tycho__ways_remove(&f->txn, 7, 1), TYCHO_OK); /* which names the row */
    ASSERT_STREAMS(f, 7, 2, 4, 0);
    put(f, 7, 1, 1);
    ASSERT_STREAMS(f, 7, 1, 2, 4, 0);
    ASSERT_STATUS(tycho__ways_remove(&f->txn, 7, 4), TYCHO_OK);
    ASSERT_STATUS(tycho__ways_remove(&f->txn, 7, 2), TYCHO_OK);
    assert_int_equal(rows_of(f), 1);
    ASSERT_STREAMS(f, 7, 1, 0);
}

/* A row with ways of the events 8, 9, 9 and 15, which are one group, from the streams 1 to 4. */
static void put_group(fixture *f) {
    const tycho__ways ways = {.count = 4,
                              .positions = {8, 9, 9, 15},
                              .all = {{1, 1, 10}, {2, 2, 20}, {3, 3, 30}, {4, 4, 40}}};
    ASSERT_STATUS(tycho__ways_put(&f->txn, &ways), TYCHO_OK);
}

static void neighbours_share_rows(void **state) {
    fixture *f = *state;
    put(f, 7, 5, 1);
    put_group(f);
    put(f, 16, 6, 1);
    put(f, 9, 9, 1);
    put(f, 14, 8, 1);
    assert_int_equal(rows_of(f), 5);
    ASSERT_STREAMS(f, 7, 5, 0);
    ASSERT_STREAMS(f, 8, 1, 0);
    ASSERT_STREAMS(f, 9, 2, 3, 9, 0);
    ASSERT_STREAMS(f, 10, 0);
    ASSERT_STREAMS(f, 14, 8, 0);
    ASSERT_STREAMS(f, 15, 4, 0);
    ASSERT_STREAMS(f, 16, 6, 0);
}

static void a_way_can_be_removed_from_among_neighbours(void **state) {
    fixture *f = *state;
    put_group(f);
    ASSERT_STATUS(tycho__ways_remove(&f->txn, 9, 1), TYCHO_NOT_FOUND);
    ASSERT_STATUS(tycho__ways_remove(&f->txn, 8, 1), TYCHO_OK); /* which names the row */
    ASSERT_STREAMS(f, 8, 0);
    ASSERT_STREAMS(f, 9, 2, 3, 0);
    ASSERT_STATUS(tycho__ways_remove(&f->txn, 15, 4), TYCHO_OK);
    ASSERT_STREAMS(f, 15, 0);
    ASSERT_STATUS(tycho__ways_remove(&f->txn, 9, 3), TYCHO_OK);
    ASSERT_STREAMS(f, 9, 2, 0);
    ASSERT_STATUS(tycho__ways_remove(&f->txn, 9, 2), TYCHO_OK);
    assert_int_equal(rows_of(f), 0);
}

static void a_row_of_ways_makes_the_store_one_of_format_4(void **state) {
    fixture *f = *state;
    assert_int_equal(f->txn.state.format, TYCHO__FORMAT_PLAIN);
    put(f, 7, 1, 1);
    assert_int_equal(f->txn.state.format, TYCHO__FORMAT_WAYS);
}

static void a_row_of_format_2_has_the_ways_of_one_event(void **state) {
    fixture *f = *state;
    const tycho_bytes key = bytes_of("\0\0\0\0\0\0\0\7\0\0\0\2", 12);
    const tycho_bytes row = bytes_of("\2\0\0\0\0\0\0\0\x14\0\0\0\0\0\0\0"
                                     "\4\0\0\0\4\0\0\0\0\0\0\0\x28\0\0\0\0\0\0\0",
                                     36);
    ASSERT_STATUS(tycho__put(&f->txn, TYCHO__LINKS, key, row), TYCHO_OK);
    put(f, 6, 2, 1);
    ASSERT_STREAMS(f, 7, 2, 4, 0);
    ASSERT_STATUS(tycho__ways_remove(&f->txn, 7, 4), TYCHO_OK);
    assert_int_equal(rows_of(f), 2); /* it is one of today */
    ASSERT_STREAMS(f, 7, 2, 0);
    ASSERT_STREAMS(f, 6, 2, 0);
}

static void a_row_of_format_1_is_one_way(void **state) {
    fixture *f = *state;
    const tycho_bytes key = bytes_of("\0\0\0\0\0\0\0\7\0\0\0\2", 12);
    const tycho_bytes row = bytes_of("\2\0\0\0\0\0\0\0\x14\0\0\0\0\0\0\0", 16);
    ASSERT_STATUS(tycho__put(&f->txn, TYCHO__LINKS, key, row), TYCHO_OK);
    put(f, 7, 3, 2);
    ASSERT_STREAMS(f, 7, 2, 3, 4, 0);
    ASSERT_STATUS(tycho__ways_remove(&f->txn, 7, 2), TYCHO_OK);
    ASSERT_STREAMS(f, 7, 3, 4, 0);
}

static void damage_is_told(void **state) {
    fixture *f = *state;
    const uint8_t bytes[16 + TYCHO__ROW_WAYS * 20] = {0};
    const tycho_bytes key = bytes_of("\0\0\0\0\0\0\0\7\0\0\0\2\0", 13);
    static const size_t wrong[] = {0, 15, 17, 35, 37, sizeof bytes};
    tycho__way way;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const tycho_bytes row = bytes_of(bytes, wrong[i]);
        ASSERT_STATUS(tycho__put(&f->txn, TYCHO__LINKS, bytes_of(key.data, 12), row), TYCHO_OK);
        ASSERT_STATUS(tycho__ways_find(&f->txn, 7, 2, &way), TYCHO_CORRUPT);
        ASSERT_STATUS(tycho__ways_remove(&f->txn, 7, 2), TYCHO_CORRUPT);
    }
    tycho__ways ways;
    ASSERT_STATUS(tycho__ways_parse(key, bytes_of(bytes, 16), &ways), TYCHO_CORRUPT);
}

/* Whatever bit is wrong: nobody takes the row for one that ends before the event. */
static void any_wrong_bit_of_a_group_is_told(void **state) {
    fixture *f = *state;
    const tycho_bytes key = bytes_of("\0\0\0\0\0\0\0\x08\0\0\0\1\1", 13);
    uint8_t row[100];
    tycho_bytes value;
    tycho__way way;
    put_group(f);
    ASSERT_STATUS(tycho__get(&f->txn, TYCHO__LINKS, key, &value), TYCHO_OK);
    const size_t size = value.size;
    assert_true(size < sizeof row);
    memcpy(row, value.data, size);
    for (size_t bit = 0; bit < 8 * size; bit++) {
        row[bit / 8] ^= (uint8_t)(1 << bit % 8);
        ASSERT_STATUS(tycho__put(&f->txn, TYCHO__LINKS, key, bytes_of(row, size)), TYCHO_OK);
        ASSERT_STATUS(tycho__ways_find(&f->txn, 15, 4, &way), TYCHO_CORRUPT);
        row[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t cut = 1; cut < size; cut++) {
        ASSERT_STATUS(tycho__put(&f->txn, TYCHO__LINKS, key, bytes_of(row, cut)), TYCHO_OK);
        ASSERT_STATUS(tycho__ways_remove(&f->txn, 15, 4), TYCHO_CORRUPT);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(the_ways_of_an_event_are_in_as_many_rows_as_were_settled),
        TEST(a_full_row_has_all_its_ways),
        TEST(any_way_of_a_row_can_be_removed),
        TEST(neighbours_share_rows),
        TEST(a_way_can_be_removed_from_among_neighbours),
        TEST(a_row_of_ways_makes_the_store_one_of_format_4),
        TEST(a_row_of_format_2_has_the_ways_of_one_event),
        TEST(a_row_of_format_1_is_one_way),
        TEST(damage_is_told),
        TEST(any_wrong_bit_of_a_group_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
