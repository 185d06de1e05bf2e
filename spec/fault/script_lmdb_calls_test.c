/* script_lmdb_calls_test.c - LMDB fails for deployed scripts: in their life (script_life.h) the
** n-th call of one of its functions fails (failing_lmdb.h), for every function and every n
** (sampled, unless TYCHO_SWEEP=full), once and from there on.
**
** The step that meets the failure tells of it and changed nothing, or goes on; run again when LMDB
** is whole, it succeeds, and at the end all is as in a life without failures.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "failing_lmdb.h"
#include "script_life.h"

enum { SAMPLES = 40 };

static tycho_bytes old_data, new_data;

static void fail_step(int number, int status, const char *what) {
    atomic_store(&is_armed, false);
    fail_msg("%s at call %ld, step %d: %s (%s: %s)", fault_in_words(), atomic_load(&failing_call),
             number, what, tycho_status_code(status), tycho_error());
}

/* A handle that says that it must be opened again is, with its scripts. */
static void open_again(life *l) {
    tycho_store_close(l->store);
    l->store = NULL;
    ASSERT_STATUS(attach(l), TYCHO_OK);
}

static void run_step(life *l, int number) {
    int status = steps[number](l);
    if (status == TYCHO_OK) return;
    if (!atomic_load(&has_failed)) fail_step(number, status, "fails without a reason");
    bool is_unknown = status == TYCHO_UNKNOWN_OUTCOME;
    if (!is_unknown && !tells_of_fault(status)) fail_step(number, status, "answers wrongly");
    if (strlen(tycho_error()) == 0) fail_step(number, status, "says nothing");
    atomic_store(&is_armed, false);
    if (fault->error == MDB_PANIC) open_again(l);
    status = steps[number](l);
    if (status != TYCHO_OK) fail_step(number, status, "fails although LMDB is whole again");
    atomic_store(&is_armed, !is_lasting);
}

static long live(long n) {
    char path[DIRECTORY_SIZE];
    assert_int_equal(make_directory_in_memory(path), 0);
    life l = {.path = path, .old_data = old_data, .new_data = new_data};
    expect_failure(n);
    for (int i = 0; i < STEPS; i++) run_step(&l, i);
    atomic_store(&is_armed, false);
    check_and_close(&l);
    return atomic_load(&calls);
}

static void sweep(bool lasting) {
    open_values();
    old_data = packed("{ m = 4 }");
    new_data = packed("{ n = 5, list = { { s = 'x' } } }");
    is_lasting = lasting;
    for (int i = 0; i < FAULT_COUNT; i++) {
        fault = &FAULTS[i];
        long count = live(-1);
        long stride = is_full_sweep() || count < SAMPLES ? 1 : count / SAMPLES;
        for (long n = first_of_sweep(stride); n < count; n += stride) live(n);
    }
    close_values();
}

static void one_call_fails(void **state) {
    (void)state;
    sweep(false);
}

static void all_calls_fail_from_one_on(void **state) {
    (void)state;
    sweep(true);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_call_fails),
        cmocka_unit_test(all_calls_fail_from_one_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
