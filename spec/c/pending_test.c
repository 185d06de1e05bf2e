/* pending_test.c - rows of links that are not settled: what shares a row, what they say when they
** are read, and that damage is told.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "pending.h"
#include "txn_fixture.h"

static void add(fixture *f, uint32_t stream, uint64_t revision, uint64_t position) {
    uint64_t before = f->txn.state.links_made;
    ASSERT_STATUS(tycho__pending_add(&f->txn, stream, revision, &position, 1), TYCHO_OK);
    assert_int_equal(f->txn.state.links_made, before + 1);
}

static uint64_t rows_of(fixture *f) {
    uint64_t rows;
    ASSERT_STATUS(tycho__pending_write(&f->txn), TYCHO_OK);
    ASSERT_STATUS(tycho__row_count(&f->txn, TYCHO__PENDING, &rows), TYCHO_OK);
    return rows;
}

static void assert_link(const tycho__pending *row, uint32_t i, tycho__pending_link expected) {
    assert_int_equal(row->all[i].stream, expected.stream);
    assert_int_equal(row->all[i].revision, expected.revision);
    assert_int_equal(row->all[i].position, expected.position);
}

static void links_of_one_head_share_rows(void **state) {
    enum { MOST = TYCHO__PENDING_MOST };
    fixture *f = *state;
    tycho__pending row;
    uint64_t count;
    for (uint64_t i = 0; i < MOST; i++) add(f, 1, i, MOST - i);
    assert_int_equal(rows_of(f), 1);
    ASSERT_STATUS(tycho__pending_read(&f->txn, 1, &row), TYCHO_OK);
    assert_int_equal(row.count, MOST);
    for (uint32_t i = 0; i < MOST; i++) {
        assert_link(&row, i, (tycho__pending_link){MOST - i, i, 1});
    }
    for (uint64_t i = 0; i < MOST + 1; i++) add(f, 1, MOST + i, 2000 + i);
    assert_int_equal(rows_of(f), 3);
    ASSERT_STATUS(tycho__pending_count(&f->txn, &count), TYCHO_OK);
    assert_int_equal(count, 2 * MOST + 1);
}

static void a_run_of_many_links_takes_several_rows(void **state) {
    enum { MANY = 3 * TYCHO__PENDING_MOST / 2 };
    fixture *f = *state;
    tycho__pending row;
    uint64_t positions[MANY];
    for (uint64_t i = 0; i < MANY; i++) positions[i] = 1000 + 3 * i;
    add(f, 1, 0, 10);
    ASSERT_STATUS(tycho__pending_add(&f->txn, 2, 70, positions, MANY), TYCHO_OK);
    assert_int_equal(rows_of(f), 2);
    ASSERT_STATUS(tycho__pending_read(&f->txn, 1, &row), TYCHO_OK);
    const uint32_t first = row.count;
    assert_link(&row, 0, (tycho__pending_link){10, 0, 1});
    assert_link(&row, first - 1, (tycho__pending_link){1000 + 3 * (first - 2), 70 + first - 2, 2});
    ASSERT_STATUS(tycho__pending_read(&f->txn, 1 + first, &row), TYCHO_OK);
    assert_int_equal(row.count, 1 + MANY - first);
    assert_link(&row, 0, (tycho__pending_link){1000 + 3 * (first - 1), 70 + first - 1, 2});
    assert_link(&row, row.count - 1,
                (tycho__pending_link){1000 + 3 * (MANY - 1), 70 + MANY - 1, 2});
}

/* A row of more would be in pages of its own, which have nothing else. */
static void links_that_scatter_go_into_half_a_page(void **state) {
    fixture *f = *state;
    tycho_bytes key = {NULL, 0}, value;
    for (uint32_t i = 0; i < 5000; i++) add(f, 1000000 + i * 7 % 5000, 300, 1 + i);
    assert_in_range(rows_of(f), 5000 / TYCHO__PENDING_MOST, 50);
    int status = tycho__seek(&f->txn, TYCHO__PENDING, &key, &value);
    for (; status == TYCHO_OK; status = tycho__next(&f->txn, TYCHO__PENDING, &key, &value)) {
        assert_in_range(value.size, 1, 2000);
    }
    assert_int_equal(status, TYCHO_NOT_FOUND);
}

static void links_into_many_streams_share_rows(void **state) {
    static const tycho__pending_link links[] = {{10, 0, 1},
                                                {11, 1, 2},
                                                {12, 3, 2},
                                                {9, 4, 2},
                                                {1, UINT64_MAX >> 1, UINT32_MAX},
                                                {UINT64_MAX >> 1, 0, 1}};
    enum { LINKS = sizeof links / sizeof *links };
    fixture *f = *state;
    tycho__pending row;
    for (size_t i = 0; i < LINKS; i++)
        add(f, links[i].stream, links[i].revision, links[i].position);
    assert_int_equal(rows_of(f), 1);
    ASSERT_STATUS(tycho__pending_read(&f->txn, 1, &row), TYCHO_OK);
    assert_int_equal(row.count, LINKS);
    for (uint32_t i = 0; i < LINKS; i++) assert_link(&row, i, links[i]);
}

static void another_head_begins_a_row(void **state) {
    fixture *f = *state;
    tycho__pending row;
    add(f, 1, 0, 10);
    add(f, 2, 1, 11);
    f->txn.state.head = 77;
    add(f, 2, 2, 13);
    assert_int_equal(rows_of(f), 2);
    ASSERT_STATUS(tycho__pending_read(&f->txn, 3, &row), TYCHO_OK);
    assert_int_equal(row.head, 77);
    assert_link(&row, 0, (tycho__pending_link){13, 2, 2});
}

static void a_row_of_format_1_is_read(void **state) {
    static const uint8_t bytes[] = {0xbe, 0x5b, 0x38, 0x54, 3, 0, 5, 4, 0, 0, 3, 2,    0, 0,    0,
                                    0,    0,    0,    7,    0, 0, 0, 0, 0, 0, 0, 0x15, 5, 0x99, 9};
    fixture *f = *state;
    const tycho_bytes key = bytes_of("\0\0\0\0\0\0\x01\x02", 8);
    tycho__pending row;
    ASSERT_STATUS(tycho__put(&f->txn, TYCHO__PENDING, key, bytes_of(bytes, sizeof bytes)),
                  TYCHO_OK);
    ASSERT_STATUS(tycho__pending_read(&f->txn, 0x0102, &row), TYCHO_OK);
    assert_int_equal(row.count, 3);
    assert_int_equal(row.head, 0x0203);
    assert_link(&row, 0, (tycho__pending_link){5, 7, 0x0405});
    assert_link(&row, 1, (tycho__pending_link){6, 8, 0x0405});
    assert_link(&row, 2, (tycho__pending_link){300, 9, 0x0405});
    for (size_t cut = 1; cut < sizeof bytes; cut++) {
        ASSERT_STATUS(tycho__put(&f->txn, TYCHO__PENDING, key, bytes_of(bytes, cut)), TYCHO_OK);
        ASSERT_STATUS(tycho__pending_read(&f->txn, 0x0102, &row), TYCHO_CORRUPT);
    }
}

static void rows_are_removed_whole(void **state) {
    enum { MOST = TYCHO__PENDING_MOST, ALL = 2 * MOST + 100 };
    fixture *f = *state;
    uint64_t count;
    for (uint64_t i = 0; i < ALL; i++) add(f, 1 + (uint32_t)(i / 100), i % 100, 1 + i);
    assert_int_equal(rows_of(f), 3);
    ASSERT_STATUS(tycho__pending_remove(&f->txn, 1, 2 * MOST), TYCHO_OK);
    ASSERT_STATUS(tycho__pending_count(&f->txn, &count), TYCHO_OK);
    assert_int_equal(count, ALL - 2 * MOST);
    ASSERT_STATUS(tycho__pending_remove(&f->txn, 1, 2 * MOST), TYCHO_CORRUPT);
    ASSERT_STATUS(tycho__pending_remove(&f->txn, 2 * MOST + 1, 5), TYCHO_CORRUPT);
}

/* Writes a row of these runs with a right checksum. */
static int read_runs(fixture *f, uint16_t count, const char *runs, size_t size) {
    uint8_t row[64] = {0};
    const tycho_bytes key = bytes_of("\0\0\0\0\0\0\0\x01", 8);
    tycho__pending read;
    tycho__store16(row + 4, (uint16_t)(count | 0x8000));
    memcpy(row + 14, runs, size);
    tycho__store32(row, (uint32_t)tycho__hash(row + 4, 10 + size, 1));
    ASSERT_STATUS(tycho__put(&f->txn, TYCHO__PENDING, key, bytes_of(row, 14 + size)), TYCHO_OK);
    return tycho__pending_read(&f->txn, 1, &read);
}

static void runs_that_are_not_as_many_links_are_damage(void **state) {
    fixture *f = *state;
    assert_int_equal(read_runs(f, 2, "\1\0\2\4\2", 5), TYCHO_OK);
    assert_int_equal(read_runs(f, 1, "\1\0\2\4\2", 5), TYCHO_CORRUPT);
    assert_int_equal(read_runs(f, 3, "\1\0\2\4\2", 5), TYCHO_CORRUPT);
    assert_int_equal(read_runs(f, 2, "\1\0\0\4\2", 5), TYCHO_CORRUPT);
    assert_int_equal(read_runs(f, 2, "\1\0\2\4\2\2", 6), TYCHO_CORRUPT);
    assert_int_equal(read_runs(f, 0, "\1\0\2\4\2", 5), TYCHO_CORRUPT);
    assert_int_equal(read_runs(f, TYCHO__BLOCK + 1, "\1\0\2\4\2", 5), TYCHO_CORRUPT);
    assert_int_equal(read_runs(f, 1, "\xff\xff\xff\xff\x1f\0\1\4", 8), TYCHO_CORRUPT);
    assert_int_equal(read_runs(f, 1, "\1\0\1\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\1", 14),
                     TYCHO_CORRUPT);
}

static void damage_is_told(void **state) {
    fixture *f = *state;
    const tycho_bytes key = bytes_of("\0\0\0\0\0\0\0\x01", 8);
    tycho__pending row;
    tycho_bytes value;
    uint8_t copy[64];
    for (uint64_t i = 0; i < 3; i++) add(f, 1, i, 10 + 100 * i);
    assert_int_equal(rows_of(f), 1);
    ASSERT_STATUS(tycho__get(&f->txn, TYCHO__PENDING, key, &value), TYCHO_OK);
    size_t size = value.size;
    assert_true(size <= sizeof copy);
    tycho__copy(copy, value);
    for (size_t bit = 0; bit < 8 * size; bit++) {
        copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
        ASSERT_STATUS(tycho__put(&f->txn, TYCHO__PENDING, key, bytes_of(copy, size)), TYCHO_OK);
        ASSERT_STATUS(tycho__pending_read(&f->txn, 1, &row), TYCHO_CORRUPT);
        copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t cut = 1; cut < size; cut++) {
        ASSERT_STATUS(tycho__put(&f->txn, TYCHO__PENDING, key, bytes_of(copy, cut)), TYCHO_OK);
        ASSERT_STATUS(tycho__pending_read(&f->txn, 1, &row), TYCHO_CORRUPT);
    }
    ASSERT_STATUS(tycho__pending_read(&f->txn, 2, &row), TYCHO_CORRUPT); /* not there */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(links_of_one_head_share_rows),
        TEST(a_run_of_many_links_takes_several_rows),
        TEST(links_that_scatter_go_into_half_a_page),
        TEST(links_into_many_streams_share_rows),
        TEST(another_head_begins_a_row),
        TEST(a_row_of_format_1_is_read),
        TEST(rows_are_removed_whole),
        TEST(runs_that_are_not_as_many_links_are_damage),
        TEST(damage_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
