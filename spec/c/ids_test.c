/* ids_test.c - rows of ids: which ids share one, finding, adding in any order, damage, and the rows
** of older formats.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "ids.h"
#include "txn_fixture.h"

enum { UUID = TYCHO__UUID_BYTES, MANY = 5000 };

typedef struct uuid {
    uint8_t bytes[UUID];
} uuid;

static tycho_bytes view(const uuid *id) {
    return tycho__bytes(id->bytes, UUID);
}

/* One that goes in the order of `number`, the same bytes before it. */
static uuid uuid_of(uint64_t number) {
    uuid id;
    memset(id.bytes, 0x55, UUID);
    tycho__key64(id.bytes + 6, number);
    return id;
}

static tycho_bytes key_of(uint8_t key[1 + UUID], uint64_t number) {
    uuid id = uuid_of(number);
    key[0] = 1;
    memcpy(key + 1, id.bytes, UUID);
    return tycho__bytes(key, 1 + UUID);
}

static uint64_t rows_of(fixture *f) {
    uint64_t rows;
    ASSERT_STATUS(tycho__row_count(&f->txn, TYCHO__IDS, &rows), TYCHO_OK);
    return rows;
}

/* Settles the numbers from `first` to `last` by a step; an id's position is its number + 1000. */
static void add(fixture *f, uint64_t first, uint64_t last, uint64_t step) {
    tycho__ids ids = {.count = 0};
    for (uint64_t i = first; i <= last; i += step) {
        uuid id = uuid_of(i);
        ASSERT_STATUS(tycho__ids_add(&f->txn, &ids, view(&id), true, 1000 + i), TYCHO_OK);
    }
    ASSERT_STATUS(tycho__ids_end(&f->txn, &ids), TYCHO_OK);
}

static void assert_there(fixture *f, uint64_t number) {
    uuid id = uuid_of(number);
    uint64_t position = 0;
    ASSERT_STATUS(tycho__ids_find(&f->txn, view(&id), true, &position), TYCHO_OK);
    assert_int_equal(position, 1000 + number);
}

static void assert_not_there(fixture *f, uint64_t number) {
    uuid id = uuid_of(number);
    uint64_t position;
    ASSERT_STATUS(tycho__ids_find(&f->txn, view(&id), true, &position), TYCHO_NOT_FOUND);
}

/* How many ids all rows have. */
static uint64_t ids_of(fixture *f) {
    tycho_bytes key = {NULL, 0}, value;
    uint64_t sum = 0;
    uint32_t count;
    int status = tycho__seek(&f->txn, TYCHO__IDS, &key, &value);
    while (status == TYCHO_OK) {
        ASSERT_STATUS(tycho__ids_count(key, value, &count), TYCHO_OK);
        sum += count;
        status = tycho__next(&f->txn, TYCHO__IDS, &key, &value);
    }
    ASSERT_STATUS(status, TYCHO_NOT_FOUND);
    return sum;
}

static void ids_that_rise_fill_rows_also_in_parts(void **state) {
    fixture *f = *state;
    add(f, 1, 1, 1);
    assert_int_equal(rows_of(f), 1);
    for (uint64_t i = 2; i <= 10 * TYCHO__ROW_IDS; i += 5) add(f, i, i + 4, 1);
    assert_int_equal(rows_of(f), 11); /* the last of one id */
    for (uint64_t i = 1; i <= 10 * TYCHO__ROW_IDS + 1; i++) assert_there(f, i);
    assert_not_there(f, 0);
    assert_not_there(f, 10 * TYCHO__ROW_IDS + 2);
    assert_int_equal(ids_of(f), 10 * TYCHO__ROW_IDS + 1);
}

static void ids_in_between_and_before_all_find_their_rows(void **state) {
    fixture *f = *state;
    add(f, 1000, 2000, 10);
    add(f, 1005, 1995, 10);
    add(f, 1, 99, 2);
    add(f, 2, 2400, 301); /* 2, 303, 604, 905, 1206, 1507, 1808, 2109 */
    for (uint64_t i = 0; i <= 2400; i++) {
        bool is_there = (i >= 1000 && i <= 2000 && i % 5 == 0) || (i < 100 && i % 2 == 1) ||
                        (i % 301 == 2 && i <= 2109);
        if (is_there) assert_there(f, i);
        if (!is_there) assert_not_there(f, i);
    }
    assert_int_equal(ids_of(f), 201 + 50 + 8);
}

static void random_ids_leave_rows_half_full_at_least(void **state) {
    fixture *f = *state;
    for (uint64_t round = 0; round < 10; round++) {
        add(f, round * 7 % 10, 10 * MANY + round * 7 % 10, 10); /* among all that are there */
    }
    for (uint64_t i = 0; i < 10 * MANY; i += 3) assert_there(f, i);
    uint64_t ids = ids_of(f);
    assert_int_equal(ids, 10 * (MANY + 1));
    assert_true(rows_of(f) <= ids / (TYCHO__ROW_IDS / 2) + 1);
}

static void ids_that_are_no_uuids_have_their_rows(void **state) {
    fixture *f = *state;
    tycho__ids ids = {.count = 0};
    uint64_t position;
    uint8_t name[TYCHO_ID_MAX];
    memset(name, 0xff, sizeof name);
    for (uint32_t size = 1; size <= TYCHO_ID_MAX; size++) {
        const tycho_bytes id = {name, size};
        ASSERT_STATUS(tycho__ids_add(&f->txn, &ids, id, false, size), TYCHO_OK);
        ASSERT_STATUS(tycho__ids_find(&f->txn, id, false, &position), TYCHO_OK);
        assert_int_equal(position, size);
    }
    ASSERT_STATUS(tycho__ids_end(&f->txn, &ids), TYCHO_OK);
    assert_not_there(f, 7); /* behind them */
    assert_int_equal(f->txn.state.format, TYCHO__FORMAT_PLAIN);
    add(f, 7, 7, 1);
    assert_there(f, 7);
    assert_int_equal(f->txn.state.format, TYCHO__FORMAT_PLAIN);
    add(f, 8, 8, 1);
    assert_int_equal(f->txn.state.format, TYCHO__FORMAT_IDS);
    ASSERT_STATUS(tycho__ids_find(&f->txn, tycho__bytes(name, 5), false, &position), TYCHO_OK);
    assert_int_equal(ids_of(f), TYCHO_ID_MAX + 2);
}

static void rows_of_older_formats_are_read_and_shared(void **state) {
    fixture *f = *state;
    uint8_t key[1 + UUID], value[8];
    for (uint64_t i = 10; i <= 500; i += 10) {
        tycho__store64(value, 1000 + i);
        ASSERT_STATUS(tycho__put(&f->txn, TYCHO__IDS, key_of(key, i), tycho__bytes(value, 8)),
                      TYCHO_OK);
    }
    assert_there(f, 10);
    assert_there(f, 500);
    assert_not_there(f, 11);
    assert_int_equal(ids_of(f), 50);
    add(f, 11, 11, 1); /* with 10 */
    add(f, 501, 540, 1);
    assert_int_equal(rows_of(f), 51);
    assert_int_equal(ids_of(f), 91);
    for (uint64_t i = 10; i <= 500; i += 10) assert_there(f, i);
    assert_there(f, 11);
    for (uint64_t i = 501; i <= 540; i++) assert_there(f, i);
}

static void an_id_that_is_there_is_not_added(void **state) {
    fixture *f = *state;
    add(f, 0, 100, 2);
    for (uint64_t i = 0; i <= 100; i += 2) {
        tycho__ids ids = {.count = 0};
        uuid id = uuid_of(i), before = uuid_of(i - 1);
        ASSERT_STATUS(tycho__ids_add(&f->txn, &ids, view(&id), true, 7), TYCHO_CORRUPT);
        assert_non_null(strstr(tycho_error(), "position 7 has an id that is taken"));
        if (i == 0) continue;
        ids.count = 0; /* behind a sister that is new */
        ASSERT_STATUS(tycho__ids_add(&f->txn, &ids, view(&before), true, 6), TYCHO_OK);
        ASSERT_STATUS(tycho__ids_add(&f->txn, &ids, view(&id), true, 7), TYCHO_CORRUPT);
    }
    tycho__ids ids = {.count = 0};
    ASSERT_STATUS(tycho__ids_add(&f->txn, &ids, bytes_of("x", 1), false, 1), TYCHO_OK);
    ASSERT_STATUS(tycho__ids_add(&f->txn, &ids, bytes_of("x", 1), false, 2), TYCHO_CORRUPT);
}

/* Whoever finds, counts or adds is told. */
static void assert_damaged(fixture *f, tycho_bytes key, tycho_bytes row) {
    const uuid id = uuid_of(9), behind = uuid_of(11);
    tycho__ids ids = {.count = 0};
    uint64_t position;
    uint32_t count;
    ASSERT_STATUS(tycho__put(&f->txn, TYCHO__IDS, key, row), TYCHO_OK);
    ASSERT_STATUS(tycho__ids_find(&f->txn, view(&id), true, &position), TYCHO_CORRUPT);
    assert_non_null(strstr(tycho_error(), "the row of the ids from 55555555-5555-0000-"));
    ASSERT_STATUS(tycho__ids_count(key, row, &count), TYCHO_CORRUPT);
    ASSERT_STATUS(tycho__ids_add(&f->txn, &ids, view(&behind), true, 5), TYCHO_CORRUPT);
}

static void any_wrong_bit_of_a_row_and_any_lost_byte_are_told(void **state) {
    fixture *f = *state;
    uint8_t bytes[1 + UUID], row[400];
    const tycho_bytes key = key_of(bytes, 0);
    tycho_bytes value;
    add(f, 0, 10, 1);
    ASSERT_STATUS(tycho__get(&f->txn, TYCHO__IDS, key, &value), TYCHO_OK);
    const size_t size = value.size;
    assert_true(size < sizeof row);
    memcpy(row, value.data, size);
    for (size_t bit = 0; bit < 8 * size; bit++) {
        row[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_damaged(f, key, bytes_of(row, size));
        row[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t cut = 0; cut < size; cut++) {
        if (cut != 8) assert_damaged(f, key, bytes_of(row, cut)); /* a row of one id */
    }
}

/* Rows with a right checksum that nobody writes. */
static void rows_that_cannot_be_are_told(void **state) {
    fixture *f = *state;
    uint8_t bytes[1 + UUID], row[100] = {0};
    const tycho_bytes key = key_of(bytes, 0);
    const struct {
        uint8_t further, common;
        size_t size;
    } wrong[] = {
        {0, 0, 30},    {TYCHO__ROW_IDS, 15, 80},
        {1, UUID, 20}, {2, 0, 38},
        {1, 15, 7},    {1, 15, 20},
        {1, 15, 9},    {2, 15, 12},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        row[4] = wrong[i].further;
        row[5] = wrong[i].common;
        uint64_t seed = tycho__hash(key.data, key.size, 0);
        tycho__store32(row, (uint32_t)tycho__hash(row + 4, wrong[i].size - 4, seed));
        uint32_t count;
        ASSERT_STATUS(tycho__ids_count(key, bytes_of(row, wrong[i].size), &count), TYCHO_CORRUPT);
    }
    uint64_t position;
    ASSERT_STATUS(tycho__put(&f->txn, TYCHO__IDS, bytes_of("\0x", 2), key), TYCHO_OK);
    ASSERT_STATUS(tycho__ids_find(&f->txn, bytes_of("x", 1), false, &position), TYCHO_CORRUPT);
    uint32_t count;
    ASSERT_STATUS(tycho__ids_count(bytes_of("\0x", 2), key, &count), TYCHO_CORRUPT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(ids_that_rise_fill_rows_also_in_parts),
        TEST(ids_in_between_and_before_all_find_their_rows),
        TEST(random_ids_leave_rows_half_full_at_least),
        TEST(ids_that_are_no_uuids_have_their_rows),
        TEST(rows_of_older_formats_are_read_and_shared),
        TEST(an_id_that_is_there_is_not_added),
        TEST(any_wrong_bit_of_a_row_and_any_lost_byte_are_told),
        TEST(rows_that_cannot_be_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
