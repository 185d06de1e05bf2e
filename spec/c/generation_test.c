/* generation_test.c - ids of a generation are found while they come in order, when one comes that
** is not, and when the last are taken out again.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "generation.h"
#include "store_values.h"

enum { BASE = 1000, IDS = 300, SLOTS = 16 };

/* The i-th id in the order of keys: texts of two sizes, of which one begins like the other, and
** then UUIDs. */
static tycho_bytes id_of(int i, char to[TYCHO_ID_MAX]) {
    bool is_uuid = i >= IDS / 2;
    snprintf(to, TYCHO_ID_MAX, is_uuid ? "uuid-%011d" : "text-%011dx", is_uuid ? i : i / 2);
    return bytes_of(to, is_uuid || i % 2 == 0 ? 16 : 17);
}

static uint64_t find(const tycho__generation *g, int i) {
    char id[TYCHO_ID_MAX];
    return tycho__generation_find_id(g, id_of(i, id), i >= IDS / 2);
}

static void add(tycho__generation *g, int i) {
    char id[TYCHO_ID_MAX];
    assert_int_equal(find(g, i), 0);
    ASSERT_STATUS(tycho__generation_add_id(g, id_of(i, id), i >= IDS / 2), TYCHO_OK);
    assert_int_equal(find(g, i), g->head);
}

/* Every second id was added in order, and nothing else. */
static void assert_every_second(const tycho__generation *g, int count) {
    for (int i = 0; i < IDS; i++) {
        bool is_there = i % 2 == 1 && i / 2 < count;
        assert_int_equal(find(g, i), is_there ? BASE + 1 + i / 2 : 0);
    }
}

static void ids_are_found_in_order_and_out_of_it(void **state) {
    (void)state;
    for (int early = 0; early < IDS; early += 26) {
        tycho__generation *g = tycho__generation_begin(BASE, 0, SLOTS, 0);
        assert_non_null(g);
        assert_every_second(g, 0);
        for (int i = 1; i < IDS; i += 2) add(g, i);
        assert_null(g->id_slots);
        assert_every_second(g, IDS / 2);
        tycho__generation_mark(g);
        add(g, early);
        assert_non_null(g->id_slots);
        for (int i = 0; i < IDS; i += 2) {
            if (i != early) add(g, i);
        }
        for (int i = 1; i < IDS; i += 2) assert_int_equal(find(g, i), BASE + 1 + i / 2);
        tycho__generation_undo(g);
        assert_every_second(g, IDS / 2);
        tycho__generation_release(g);
    }
}

static void ids_in_order_can_be_taken_out_again(void **state) {
    (void)state;
    tycho__generation *g = tycho__generation_begin(BASE, 0, SLOTS, 0);
    assert_non_null(g);
    for (int i = 1; i < IDS / 2; i += 2) add(g, i);
    tycho__generation_mark(g);
    for (int i = IDS / 2 + 1; i < IDS; i += 2) add(g, i);
    tycho__generation_undo(g);
    assert_null(g->id_slots);
    assert_every_second(g, IDS / 4);
    tycho__generation_release(g);
}

static void ids_are_settled_in_the_order_of_their_keys(void **state) {
    (void)state;
    static const int steps[] = {1, 7, 149, 299}; /* the first: as they came */
    for (size_t k = 0; k < sizeof steps / sizeof steps[0]; k++) {
        char id[TYCHO_ID_MAX];
        tycho__generation *g = tycho__generation_begin(BASE, 0, SLOTS, 0);
        assert_non_null(g);
        for (int i = 0; i < IDS; i++) add(g, i * steps[k] % IDS);
        ASSERT_STATUS(tycho__generation_sort(g), TYCHO_OK);
        for (int i = 0; i < IDS; i++) {
            tycho__sorted_id sorted = tycho__generation_sorted_id(g, (size_t)i);
            assert_bytes(bytes_of(sorted.bytes + 2, sorted.bytes[0] - 1u), id_of(i, id));
            assert_int_equal(sorted.position, find(g, i));
        }
        tycho__generation_release(g);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_found_in_order_and_out_of_it),
        cmocka_unit_test(ids_in_order_can_be_taken_out_again),
        cmocka_unit_test(ids_are_settled_in_the_order_of_their_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
