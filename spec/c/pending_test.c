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
#include "store.h"
#include "store_values.h"

typedef struct fixture {
    tycho_store *store;
    tycho__txn txn; /* never committed */
} fixture;

static int set_up(void **state) {
    fixture *f = calloc(1, sizeof *f);
    if (f == NULL || open_store(NULL, TYCHO_TEMPORARY, &f->store) != TYCHO_OK) return -1;
    *state = f;
    return tycho__txn_write(f->store->env, TYCHO_SYNC_NONE, &f->txn) == TYCHO_OK ? 0 : -1;
}

static int tear_down(void **state) {
    fixture *f = *state;
    tycho__txn_abort(&f->txn);
    tycho_store_close(f->store);
    free(f);
    return 0;
}

static void add(fixture *f, uint32_t stream, uint64_t revision, uint64_t position) {
    f->txn.state.links_made++;
    ASSERT_STATUS(tycho__pending_add(&f->txn, stream, revision, position), TYCHO_OK);
}

static uint64_t rows_of(fixture *f) {
    uint64_t rows;
    ASSERT_STATUS(tycho__pending_write(&f->txn), TYCHO_OK);
    ASSERT_STATUS(tycho__row_count(&f->txn, TYCHO__PENDING, &rows), TYCHO_OK);
    return rows;
}

static void links_that_follow_each_other_share_a_row(void **state) {
    fixture *f = *state;
    tycho__pending row;
    uint64_t count;
    for (uint64_t i = 0; i < TYCHO__BLOCK; i++) add(f, 1, i, 1000 - i);
    assert_int_equal(rows_of(f), 1);
    ASSERT_STATUS(tycho__pending_read(&f->txn, 1, &row), TYCHO_OK);
    assert_int_equal(row.count, TYCHO__BLOCK);
    for (uint64_t i = 0; i < TYCHO__BLOCK; i++) assert_int_equal(row.values[i] >> 1, 1000 - i);
    for (uint64_t i = 0; i < TYCHO__BLOCK + 1; i++) add(f, 1, TYCHO__BLOCK + i, 2000 + i);
    assert_int_equal(rows_of(f), 3);
    ASSERT_STATUS(tycho__pending_count(&f->txn, &count), TYCHO_OK);
    assert_int_equal(count, 2 * TYCHO__BLOCK + 1);
}

static void another_stream_revision_or_head_begins_a_row(void **state) {
    fixture *f = *state;
    tycho__pending row;
    add(f, 1, 0, 10);
    add(f, 2, 1, 11);
    add(f, 2, 3, 12);
    f->txn.state.head = 77;
    add(f, 2, 4, 13);
    assert_int_equal(rows_of(f), 4);
    ASSERT_STATUS(tycho__pending_read(&f->txn, 4, &row), TYCHO_OK);
    assert_int_equal(row.head, 77);
    assert_int_equal(row.stream, 2);
    assert_int_equal(row.revision, 4);
    assert_int_equal(row.values[0], 13 << 1 | 1);
}

static void rows_are_removed_whole(void **state) {
    fixture *f = *state;
    uint64_t count;
    for (uint64_t i = 0; i < 300; i++) add(f, 1 + (uint32_t)(i / 100), i % 100, 1 + i);
    assert_int_equal(rows_of(f), 3);
    ASSERT_STATUS(tycho__pending_remove(&f->txn, 1, 200), TYCHO_OK);
    ASSERT_STATUS(tycho__pending_count(&f->txn, &count), TYCHO_OK);
    assert_int_equal(count, 100);
    ASSERT_STATUS(tycho__pending_remove(&f->txn, 1, 200), TYCHO_CORRUPT);
    ASSERT_STATUS(tycho__pending_remove(&f->txn, 201, 50), TYCHO_CORRUPT);
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
        TEST(links_that_follow_each_other_share_a_row),
        TEST(another_stream_revision_or_head_begins_a_row),
        TEST(rows_are_removed_whole),
        TEST(damage_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
