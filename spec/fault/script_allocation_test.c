/* script_allocation_test.c - memory runs out for deployed scripts: in a life in which scripts are
** deployed, check, tag, link, upcast, are asked for a state and back-filled, the n-th allocation
** fails (sampled, unless TYCHO_SWEEP=full), once and from there on.
**
** A step that meets the failure answers NO_MEMORY and changed nothing, or goes on without that
** memory; run again when there is memory, it succeeds. What leaks is told by the build with ASan.
** The functions of allocation are those of failing_memory.h.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "failing_memory.h"
#include "script_life.h"

enum { SAMPLES = 300 };

/* ---------------------------------------------------------------- one life */

/* Runs a step, again when there is memory. */
static void run_step(life *l, int i, long n) {
    int status = steps[i](l);
    if (status != TYCHO_OK && (status != TYCHO_NO_MEMORY || !has_failed)) {
        is_armed = false;
        fail_msg("allocation %ld, step %d answers %s: %s", n, i, tycho_status_code(status),
                 tycho_error());
    }
    if (status == TYCHO_OK) return;
    is_armed = false;
    status = steps[i](l);
    if (status != TYCHO_OK) {
        fail_msg("allocation %ld, step %d, with memory again: %s: %s", n, i,
                 tycho_status_code(status), tycho_error());
    }
    is_armed = !is_lasting;
}

static long live(long n, bool lasting, tycho_bytes old_data, tycho_bytes new_data) {
    char path[DIRECTORY_SIZE];
    assert_int_equal(make_directory_in_memory(path), 0);
    life l = {.path = path, .old_data = old_data, .new_data = new_data};
    fail_allocation(n, lasting);
    is_armed = true;
    for (int i = 0; i < STEPS; i++) run_step(&l, i, n);
    is_armed = false;
    check_and_close(&l);
    return calls;
}

static void sweep(bool lasting) {
    open_values();
    tycho_bytes old_data = packed("{ m = 4 }"),
                new_data = packed("{ n = 5, list = { { s = 'x' } } }");
    long count = live(-1, lasting, old_data, new_data);
    const char *wanted = getenv("TYCHO_SWEEP");
    bool is_full = wanted != NULL && strcmp(wanted, "full") == 0;
    long stride = is_full || count < SAMPLES ? 1 : count / SAMPLES;
    assert_true(count > 100);
    for (long n = lasting ? stride / 2 : 0; n < count; n += stride) {
        live(n, lasting, old_data, new_data);
    }
    close_values();
}

static void one_allocation_fails(void **state) {
    (void)state;
    sweep(false);
}

static void all_allocations_fail_from_one_on(void **state) {
    (void)state;
    sweep(true);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_allocation_fails),
        cmocka_unit_test(all_allocations_fail_from_one_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
