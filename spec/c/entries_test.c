/* entries_test.c - blocks of entries as bytes, and lists of many blocks walked in both directions
** while entries are added, taken out and cut off, against a plain array.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "list.h"
#include "random_values.h"
#include "store.h"
#include "store_values.h"

#define HIGHEST (UINT64_C(1) << 61)

/* ---------------------------------------------------------------- blocks as bytes */

static void check_block(const uint64_t *values, uint32_t count) {
    uint8_t bytes[TYCHO__BLOCK_SIZE_MAX];
    uint64_t back[TYCHO__BLOCK];
    size_t size = tycho__block_encode(bytes, values, count);
    assert_true(size <= sizeof bytes && size >= count);
    uint8_t *copy = exact_copy(bytes, size);
    ASSERT_STATUS(tycho__block_decode(bytes_of(copy, size), back, count), TYCHO_OK);
    if (count > 0) assert_memory_equal(back, values, count * sizeof *values);
    /* another count of entries is in no case taken */
    uint64_t more[TYCHO__BLOCK + 1];
    ASSERT_STATUS(tycho__block_decode(bytes_of(copy, size), more, count + 1), TYCHO_CORRUPT);
    if (count > 0) {
        ASSERT_STATUS(tycho__block_decode(bytes_of(copy, size), more, count - 1), TYCHO_CORRUPT);
        ASSERT_STATUS(tycho__block_decode(bytes_of(copy, size - 1), more, count), TYCHO_CORRUPT);
    }
    free(copy);
}

static void blocks_come_back(void **state) {
    static const uint64_t cases[][6] = {
        {1 << 1, 2 << 1, 3 << 1},             /* rising by one */
        {9 << 1, 8 << 1 | 1, 7 << 1, 1 << 1}, /* falling: links of old events */
        {0, 0, 5 << 1, 0, 6 << 1 | 1, 0},     /* holes at all places */
        {0, 0, 0, 0, 0, 0},
        {HIGHEST << 1, 1 << 1 | 1, HIGHEST << 1 | 1, 0, 1 << 1, HIGHEST << 1},
        {63 << 1, 64 << 1, 127 << 1, 129 << 1, 8191 << 1, 16384 << 1},
    };
    uint64_t values[TYCHO__BLOCK];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (uint32_t count = 0; count <= 6; count++) {
            /* 0 in the middle of a list is a hole, but no position is twice in a row */
            check_block(cases[i], count);
        }
    }
    for (size_t i = 0; i < TYCHO__BLOCK; i++) values[i] = (i % 2 == 0 ? HIGHEST : 1) << 1 | 1;
    check_block(values, TYCHO__BLOCK - 1); /* each takes the most bytes */
    start_random();
    for (int round = 0; round < 2000; round++) {
        uint32_t count = (uint32_t)below(TYCHO__BLOCK);
        uint64_t last = 0;
        for (uint32_t i = 0; i < count; i++) {
            uint64_t position = 1 + random_width() % HIGHEST;
            if (position == last) position++;
            values[i] = below(5) == 0 ? 0 : position << 1 | below(2);
            if (values[i] != 0) last = position;
        }
        check_block(values, count);
    }
}

static void rising_positions_take_one_byte_each(void **state) {
    uint8_t bytes[TYCHO__BLOCK_SIZE_MAX];
    uint64_t values[TYCHO__BLOCK];
    (void)state;
    for (uint64_t i = 0; i < TYCHO__BLOCK; i++) values[i] = (i + 1) << 1;
    assert_int_equal(tycho__block_encode(bytes, values, TYCHO__BLOCK), TYCHO__BLOCK);
}

static void bytes_that_are_no_block_are_corrupt(void **state) {
    static const struct {
        const char *bytes;
        size_t size;
        uint32_t count;
    } cases[] = {
        {"", 0, 1},
        {"\x80", 1, 1}, /* an entry without an end */
        {"\x04\x80", 2, 2},
        {"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 11, 1}, /* over 64 bits */
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12, 1},
        {"\x04\x04\x04", 3, 2}, /* bytes behind the last */
    };
    uint64_t values[TYCHO__BLOCK];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t *copy = exact_copy(cases[i].bytes, cases[i].size);
        ASSERT_STATUS(tycho__block_decode(bytes_of(copy, cases[i].size), values, cases[i].count),
                      TYCHO_CORRUPT);
        free(copy);
    }
}

/* ---------------------------------------------------------------- a store to write in */

typedef struct fixture {
    tycho_store *store;
    tycho__txn txn; /* never committed */
    tycho__list *list;
    uint64_t *model; /* position << 1 | is_link of each ordinal, 0: none */
    uint64_t count, next;
} fixture;

static int set_up(void **state) {
    fixture *f = calloc(1, sizeof *f);
    if (f == NULL || open_store(NULL, TYCHO_TEMPORARY, &f->store) != TYCHO_OK) return -1;
    if (tycho__txn_write(f->store->env, TYCHO_SYNC_NONE, &f->txn) != TYCHO_OK) return -1;
    f->model = calloc(20000, sizeof *f->model);
    *state = f;
    return f->model == NULL ? -1 : 0;
}

static int tear_down(void **state) {
    fixture *f = *state;
    tycho__txn_abort(&f->txn);
    tycho_store_close(f->store);
    free(f->model);
    free(f);
    return 0;
}

/* An entry of a stream, up and down in the log; no event is twice in a stream. */
static uint64_t value_of(uint64_t ordinal) {
    return (1 + ordinal * 7919 % 100003) << 1 | below(2);
}

/* Adds an entry as settling does. */
static void add_settled(fixture *f, uint64_t ordinal, uint64_t value) {
    ASSERT_STATUS(tycho__list_settle(&f->txn, f->list, ordinal, &value, 1), TYCHO_OK);
    f->list->count++;
    f->model[ordinal] = value;
    f->count++;
    f->next = ordinal + 1;
}

static void make_list(fixture *f, uint8_t kind, const char *name) {
    ASSERT_STATUS(tycho__list_make(&f->txn, kind, text(name), &f->list), TYCHO_OK);
    ASSERT_STATUS(tycho__list_edit(&f->txn, kind, f->list->number, &f->list), TYCHO_OK);
}

static void begin_stream(fixture *f, uint64_t count) {
    make_list(f, TYCHO__STREAM, "stream");
    for (uint64_t i = 0; i < count; i++) {
        add_settled(f, i, value_of(i));
        f->list->next++;
    }
}

/* The nearest ordinal that has an entry, in the model; UINT64_MAX when there is none. */
static uint64_t nearest(const fixture *f, uint64_t ordinal, bool forward) {
    if (forward) {
        while (ordinal < f->next && f->model[ordinal] == 0) ordinal++;
        return ordinal < f->next ? ordinal : UINT64_MAX;
    }
    if (f->next == 0) return UINT64_MAX;
    if (ordinal >= f->next) ordinal = f->next - 1;
    while (ordinal > 0 && f->model[ordinal] == 0) ordinal--;
    return f->model[ordinal] == 0 ? UINT64_MAX : ordinal;
}

static void check_at(fixture *f, tycho__entries *entries, uint64_t ordinal, bool forward) {
    tycho__entry entry;
    uint64_t expected = nearest(f, ordinal, forward);
    int status = forward ? tycho__entries_from(entries, ordinal, &entry)
                         : tycho__entries_back(entries, ordinal, &entry);
    if (expected == UINT64_MAX) {
        ASSERT_STATUS(status, TYCHO_END);
        return;
    }
    ASSERT_STATUS(status, TYCHO_OK);
    assert_int_equal(entry.ordinal, expected);
    assert_int_equal(entry.position, f->model[expected] >> 1);
    assert_int_equal(entry.is_link, f->model[expected] & 1);
}

/* Asks at every ordinal, in order and at random, with new readers and old ones. */
static void check_list(fixture *f) {
    tycho__entries entries;
    uint64_t count = 0;
    for (uint64_t i = 0; i < f->next; i++) count += f->model[i] != 0;
    assert_int_equal(f->list->count, count);
    for (int forward = 0; forward < 2; forward++) {
        tycho__entries_begin(&entries, &f->txn, f->list);
        for (uint64_t i = 0; i < f->next + 3; i++) {
            check_at(f, &entries, forward ? i : f->next + 2 - i, forward);
        }
    }
    for (int i = 0; i < 500; i++) {
        if (below(4) == 0) tycho__entries_begin(&entries, &f->txn, f->list);
        check_at(f, &entries, below(f->next + 3), below(2) == 0);
    }
    tycho__entries_begin(&entries, &f->txn, f->list);
    check_at(f, &entries, UINT64_MAX, false);
    check_at(f, &entries, UINT64_MAX, true);
}

static void make_hole(fixture *f, uint64_t ordinal) {
    if (f->model[ordinal] == 0) {
        ASSERT_STATUS(tycho__list_hole(&f->txn, f->list, ordinal), TYCHO_CORRUPT);
        return;
    }
    ASSERT_STATUS(tycho__list_hole(&f->txn, f->list, ordinal), TYCHO_OK);
    f->model[ordinal] = 0;
}

/* ---------------------------------------------------------------- lists */

static void streams_of_any_length_are_walked(void **state) {
    fixture *f = *state;
    start_random();
    begin_stream(f, 0);
    check_list(f);
    for (uint64_t i = 0; i < 3 * TYCHO__BLOCK + 2; i++) {
        add_settled(f, i, value_of(i));
        f->list->next++;
        if (i % TYCHO__BLOCK < 2 || i % TYCHO__BLOCK > TYCHO__BLOCK - 2) check_list(f);
    }
}

static void holes_are_left_out(void **state) {
    fixture *f = *state;
    start_random();
    begin_stream(f, 5 * TYCHO__BLOCK + 7);
    for (uint64_t i = TYCHO__BLOCK; i < 3 * TYCHO__BLOCK; i++) make_hole(f, i); /* whole blocks */
    check_list(f);
    for (int i = 0; i < 300; i++) {
        make_hole(f, below(f->next));
        if (i % 50 == 0) check_list(f);
    }
    for (uint64_t i = 0; i < f->next; i++) make_hole(f, i);
    check_list(f);
    ASSERT_STATUS(tycho__list_hole(&f->txn, f->list, f->next), TYCHO_CORRUPT);
    begin_stream(f, 0);
    add_settled(f, f->next, value_of(f->next)); /* revisions go on behind the holes */
    f->list->next++;
    check_list(f);
}

static void what_is_cut_off_is_gone(void **state) {
    static const uint64_t cuts[] = {0, 1, 5, 127, 128, 129, 300, 256, 512, 640, 643, 647};
    fixture *f = *state;
    start_random();
    begin_stream(f, 5 * TYCHO__BLOCK + 7);
    for (int i = 0; i < 50; i++) make_hole(f, below(f->next));
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        ASSERT_STATUS(tycho__list_cut(&f->txn, f->list, cuts[i]), TYCHO_OK);
        for (uint64_t j = 0; j < cuts[i]; j++) f->model[j] = 0;
        check_list(f);
    }
    assert_int_equal(f->list->count, 0);
    for (int i = 0; i < 200; i++) {
        add_settled(f, f->next, value_of(f->next));
        f->list->next++;
    }
    check_list(f);
}

/* In the list of a type, the ordinal is the position. */
static void types_change_in_the_middle(void **state) {
    fixture *f = *state;
    start_random();
    f->txn.state.settled = f->txn.state.head = 20000;
    make_list(f, TYCHO__TYPE, "type");
    for (uint64_t i = 1; i < 4000; i += 1 + below(5)) add_settled(f, i, i << 1);
    check_list(f);
    for (int i = 0; i < 6000; i++) {
        uint64_t position = 1 + below(i < 3000 ? 4000 : 300); /* then until blocks are empty */
        bool is_there = f->model[position] != 0;
        if (is_there) {
            ASSERT_STATUS(tycho__list_remove(&f->txn, f->list, position), TYCHO_OK);
            f->model[position] = 0;
        } else if (i < 4500) {
            ASSERT_STATUS(tycho__list_insert(&f->txn, f->list, position), TYCHO_OK);
            f->model[position] = position << 1;
            if (position >= f->next) f->next = position + 1;
        } else {
            ASSERT_STATUS(tycho__list_remove(&f->txn, f->list, position), TYCHO_CORRUPT);
        }
        if (i % 500 == 499) check_list(f);
    }
    for (uint64_t i = 1; i < f->next; i++) {
        if (f->model[i] == 0) continue;
        ASSERT_STATUS(tycho__list_remove(&f->txn, f->list, i), TYCHO_OK);
        f->model[i] = 0;
    }
    check_list(f);
    ASSERT_STATUS(tycho__list_insert(&f->txn, f->list, 77), TYCHO_OK);
    f->model[77] = 77 << 1;
    check_list(f);
}

/* ---------------------------------------------------------------- damaged rows */

static tycho_bytes block_row(fixture *f, uint64_t base) {
    uint8_t key[TYCHO__BLOCK_KEY];
    tycho_bytes row;
    tycho__block_key(key, f->list, base);
    ASSERT_STATUS(tycho__get(&f->txn, TYCHO__BLOCKS, bytes_of(key, sizeof key), &row), TYCHO_OK);
    return row;
}

static void a_block_with_any_byte_changed_is_corrupt(void **state) {
    fixture *f = *state;
    uint64_t values[TYCHO__BLOCK];
    uint32_t count;
    start_random();
    begin_stream(f, 2 * TYCHO__BLOCK);
    tycho_bytes row = block_row(f, 0);
    uint8_t *copy = exact_copy(row.data, row.size);
    tycho_bytes whole = bytes_of(copy, row.size);
    ASSERT_STATUS(tycho__block_read(f->list, 0, whole, values, &count), TYCHO_OK);
    assert_int_equal(count, TYCHO__BLOCK);
    for (size_t i = 0; i < row.size; i++) {
        for (unsigned change = 1; change < 256; change++) {
            copy[i] ^= (uint8_t)change;
            int status = tycho__block_read(f->list, 0, whole, values, &count);
            if (status != TYCHO_CORRUPT) fail_msg("byte %zu, changed by %02x", i, change);
            copy[i] ^= (uint8_t)change;
        }
    }
    for (size_t size = 0; size < row.size; size++) {
        uint8_t *part = exact_copy(copy, size);
        ASSERT_STATUS(tycho__block_read(f->list, 0, bytes_of(part, size), values, &count),
                      TYCHO_CORRUPT);
        free(part);
    }
    /* nor is it taken for a block of another place or list */
    ASSERT_STATUS(tycho__block_read(f->list, 1, whole, values, &count), TYCHO_CORRUPT);
    tycho__list other = *f->list;
    other.number++;
    ASSERT_STATUS(tycho__block_read(&other, 0, whole, values, &count), TYCHO_CORRUPT);
    free(copy);
}

static void a_damaged_block_stops_a_walk_and_not_the_process(void **state) {
    fixture *f = *state;
    uint8_t key[TYCHO__BLOCK_KEY];
    tycho__entries entries;
    tycho__entry entry;
    start_random();
    begin_stream(f, 3 * TYCHO__BLOCK + 1);
    tycho_bytes row = block_row(f, TYCHO__BLOCK);
    uint8_t *copy = exact_copy(row.data, row.size);
    copy[row.size / 2] ^= 1;
    tycho__block_key(key, f->list, TYCHO__BLOCK);
    ASSERT_STATUS(
        tycho__put(&f->txn, TYCHO__BLOCKS, bytes_of(key, sizeof key), bytes_of(copy, row.size)),
        TYCHO_OK);
    free(copy);
    tycho__entries_begin(&entries, &f->txn, f->list);
    check_at(f, &entries, TYCHO__BLOCK - 1, true);
    ASSERT_STATUS(tycho__entries_from(&entries, TYCHO__BLOCK, &entry), TYCHO_CORRUPT);
    ASSERT_STATUS(tycho__entries_back(&entries, 2 * TYCHO__BLOCK - 1, &entry), TYCHO_CORRUPT);
    check_at(f, &entries, 2 * TYCHO__BLOCK, true); /* the next one is as good as before */
    ASSERT_STATUS(tycho__list_hole(&f->txn, f->list, TYCHO__BLOCK + 1), TYCHO_CORRUPT);
}

static void a_row_of_a_list_with_any_byte_changed_is_corrupt(void **state) {
    fixture *f = *state;
    uint8_t key[TYCHO__LIST_KEY];
    tycho__list list;
    tycho_bytes row;
    start_random();
    begin_stream(f, TYCHO__BLOCK + 20);
    ASSERT_STATUS(tycho__lists_write(&f->txn), TYCHO_OK);
    tycho__list_key(key, TYCHO__STREAM, f->list->number);
    ASSERT_STATUS(tycho__get(&f->txn, TYCHO__LISTS, bytes_of(key, sizeof key), &row), TYCHO_OK);
    uint8_t *copy = exact_copy(row.data, row.size);
    tycho_bytes whole = bytes_of(copy, row.size);
    uint32_t number = f->list->number;
    ASSERT_STATUS(tycho__list_parse(&list, TYCHO__STREAM, number, whole), TYCHO_OK);
    assert_bytes(list.name, text("stream"));
    assert_int_equal(list.count, TYCHO__BLOCK + 20);
    assert_int_equal(list.next, TYCHO__BLOCK + 20);
    assert_int_equal(list.tail_count, 20);
    assert_int_equal(list.tail_base, TYCHO__BLOCK);
    for (size_t i = 0; i < row.size; i++) {
        for (unsigned change = 1; change < 256; change++) {
            copy[i] ^= (uint8_t)change;
            int status = tycho__list_parse(&list, TYCHO__STREAM, number, whole);
            if (status != TYCHO_CORRUPT) fail_msg("byte %zu, changed by %02x", i, change);
            copy[i] ^= (uint8_t)change;
        }
    }
    for (size_t size = 0; size < row.size; size++) {
        uint8_t *part = exact_copy(copy, size);
        ASSERT_STATUS(tycho__list_parse(&list, TYCHO__STREAM, number, bytes_of(part, size)),
                      TYCHO_CORRUPT);
        free(part);
    }
    ASSERT_STATUS(tycho__list_parse(&list, TYCHO__TYPE, number, whole), TYCHO_CORRUPT);
    ASSERT_STATUS(tycho__list_parse(&list, TYCHO__STREAM, number + 1, whole), TYCHO_CORRUPT);
    free(copy);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_come_back),
        cmocka_unit_test(rising_positions_take_one_byte_each),
        cmocka_unit_test(bytes_that_are_no_block_are_corrupt),
        cmocka_unit_test_setup_teardown(streams_of_any_length_are_walked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(holes_are_left_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_cut_off_is_gone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(types_change_in_the_middle, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_block_with_any_byte_changed_is_corrupt, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_damaged_block_stops_a_walk_and_not_the_process, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_row_of_a_list_with_any_byte_changed_is_corrupt, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
