/* arena_test.c - memory of arenas and tables: aligned, each its own, small and huge; of tables
** zeroed.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arena.h"
#include "random_values.h"

enum { HUGE_PAGE = 2 << 20 };

static void assert_aligned(const uint8_t *memory) {
    assert_non_null(memory);
    assert_int_equal((uintptr_t)memory % sizeof(void *), 0);
}

static void assert_fresh(const uint8_t *memory, size_t size) {
    assert_aligned(memory);
    for (size_t i = 0; i < size; i++) assert_int_equal(memory[i], 0);
}

static void what_an_arena_gives_stays(void **state) {
    enum { PIECES = 60000 };
    tycho__arena arena = {.last = NULL};
    uint8_t **pieces = calloc(PIECES, sizeof *pieces);
    size_t *sizes = calloc(PIECES, sizeof *sizes);
    (void)state;
    start_random();
    assert_non_null(pieces);
    assert_non_null(sizes);
    for (size_t i = 0; i < PIECES; i++) { /* some 24 MB: the last chunks are huge */
        sizes[i] = i % 1000 == 0 ? 16000 + below(1000) : 8 + below(800); /* or of its own */
        pieces[i] = tycho__arena_take(&arena, sizes[i]);
        assert_aligned(pieces[i]);
        memset(pieces[i], (int)(1 + i % 255), sizes[i]);
    }
    for (size_t i = 0; i < PIECES; i++) {
        for (size_t k = 0; k < sizes[i]; k++) assert_int_equal(pieces[i][k], 1 + i % 255);
    }
    tycho__arena_free(&arena);
    assert_null(arena.last);
    free(pieces);
    free(sizes);
}

static void a_piece_may_be_larger_than_a_chunk(void **state) {
    static const size_t sizes[] = {1, 100000, HUGE_PAGE - 8, HUGE_PAGE, 3 * HUGE_PAGE + 1};
    tycho__arena arena = {.last = NULL};
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        uint8_t *piece = tycho__arena_take(&arena, sizes[i]);
        assert_aligned(piece);
        memset(piece, 1, sizes[i]);
    }
    tycho__arena_free(&arena);
}

static void tables_are_zeroed_and_large_ones_are_huge_pages(void **state) {
    static const size_t counts[] = {0, 1, 1000, HUGE_PAGE / 16 - 1, HUGE_PAGE / 16, HUGE_PAGE};
    (void)state;
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        uint8_t *table = tycho__table_make(counts[i], 16);
        assert_fresh(table, counts[i] * 16);
        if (counts[i] * 16 >= HUGE_PAGE) assert_int_equal((uintptr_t)table % HUGE_PAGE, 0);
        memset(table, 1, counts[i] * 16);
        tycho__table_free(table, counts[i], 16);
    }
    tycho__table_free(NULL, HUGE_PAGE, 16);
}

static void more_than_there_is_gives_nothing(void **state) {
    const size_t all = SIZE_MAX / 2;
    tycho__arena arena = {.last = NULL};
    (void)state;
    assert_null(tycho__table_make(all, 1));
    assert_null(tycho__arena_take(&arena, all));
    assert_null(arena.last);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_an_arena_gives_stays),
        cmocka_unit_test(a_piece_may_be_larger_than_a_chunk),
        cmocka_unit_test(tables_are_zeroed_and_large_ones_are_huge_pages),
        cmocka_unit_test(more_than_there_is_gives_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
