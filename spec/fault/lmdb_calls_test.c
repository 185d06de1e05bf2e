/* lmdb_calls_test.c - LMDB fails: in a life of a store (every_verb.h), the n-th call of one of its
** functions fails with one of the errors that it has, for every function and every n (sampled,
** unless TYCHO_SWEEP=full): once, and from there on. What must hold then: failing_life.h.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "failing_life.h"
#include "failing_lmdb.h"

enum { SAMPLES = 60 };

/* ---------------------------------------------------------------- a life of a store */

static bool fits(int status, const step *s) {
    bool is_found = fault->status == TYCHO_CORRUPT && strcmp(s->name, "verify") == 0;
    if (status == TYCHO_UNKNOWN_OUTCOME) return s->is_commit;
    return tells_of_fault(status) || (is_found && status == TOLD_WRONG);
}

static void sweep(bool lasting) {
    char directory[DIRECTORY_SIZE];
    assert_int_equal(make_directory_in_memory(directory), 0);
    is_lasting = lasting;
    for (int i = 0; i < FAULT_COUNT; i++) {
        fault = &FAULTS[i];
        sweep_calls(directory, SAMPLES);
    }
    remove_directory(directory);
}

static void one_call_fails(void **state) {
    (void)state;
    sweep(false);
}

static void all_calls_fail_from_one_on(void **state) {
    (void)state;
    sweep(true);
}

/* ---------------------------------------------------------------- every call of a few verbs */

static int set_route(tycho_store *store, uint64_t *answer) {
    tycho_batch *batch;
    int status = tycho_batch_create(&batch);
    if (status != TYCHO_OK) return status;
    *answer = 0;
    status = tycho_batch_set_route(batch, text("route"), text("s"), 0);
    if (status == TYCHO_OK) status = tycho_commit(store, batch, NULL);
    tycho_batch_destroy(batch);
    return status;
}

/* None of the events is so old, but each must be looked at. */
static int count_old_events(tycho_store *store, uint64_t *answer) {
    const tycho_read read = {
        .size = sizeof read, .stream = text("s"), .flags = TYCHO_READ_UNTIL_TIME, .until_time = 1};
    return tycho_count(store, &read, answer);
}

/* Its transaction has looked for ids before. */
static int look_up_and_verify(tycho_store *store, uint64_t *answer) {
    uint64_t position;
    bool was_armed = atomic_exchange(&is_armed, false);
    ASSERT_STATUS(tycho_event_position(store, text("nothing"), &position), TYCHO_EVENT_NOT_FOUND);
    atomic_store(&is_armed, was_armed);
    return verify_store(store, answer);
}

static int learn(tycho_store *store, uint64_t *answer) {
    uint32_t percent;
    int status = tycho_compress(store, 0, &percent);
    *answer = percent;
    return status;
}

/* Enough to learn from. */
static void fill(tycho_store *store) {
    tycho_batch *batch;
    ASSERT_STATUS(tycho_batch_create(&batch), TYCHO_OK);
    for (int i = 0; i < 150; i++) {
        char data[64];
        snprintf(data, sizeof data, "{\"name\": \"somebody\", \"number\": %d}", i * 7919);
        const tycho_new_event event = {.type = text("t"), .data = text(data)};
        ASSERT_STATUS(tycho_batch_append(batch, text("s"), -1, &event, 1, 0), TYCHO_OK);
    }
    ASSERT_STATUS(tycho_commit(store, batch, NULL), TYCHO_OK);
    tycho_batch_destroy(batch);
}

/* An answer is right, or there is a status of the fault instead. */
static void check_every_call(enum call call, int (*ask)(tycho_store *store, uint64_t *answer)) {
    static const step nothing = {.name = "the verb"};
    char directory[DIRECTORY_SIZE], path[DIRECTORY_SIZE + 8];
    tycho_store *store;
    uint64_t right, answer;
    assert_int_equal(make_directory_in_memory(directory), 0);
    snprintf(path, sizeof path, "%s/store", directory);
    ASSERT_STATUS(open_store(path, TYCHO_CREATE, &store), TYCHO_OK);
    fill(store);
    ASSERT_STATUS(ask(store, &right), TYCHO_OK);
    is_lasting = false;
    for (int i = 0; i < FAULT_COUNT; i++) {
        if (FAULTS[i].call != call) continue;
        fault = &FAULTS[i];
        long n = 0;
        do {
            tycho_store_close(store);
            ASSERT_STATUS(open_store(path, TYCHO_EXISTING, &store), TYCHO_OK);
            expect_failure(n++);
            int status = ask(store, &answer);
            atomic_store(&is_armed, false);
            if (status == TYCHO_OK) assert_int_equal(answer, right);
            if (status != TYCHO_OK && !fits(status, &nothing)) {
                fail_msg("%s at call %ld: %s: %s", fault->name, n - 1, tycho_status_code(status),
                         tycho_error());
            }
        } while (atomic_load(&has_failed));
        assert_true(n > 1);
    }
    assert_clean(store);
    tycho_store_close(store);
    remove_directory(directory);
}

static void a_route_that_cannot_be_read_is_no_circle(void **state) {
    (void)state;
    check_every_call(GET, set_route);
}

static void what_cannot_be_read_is_not_counted(void **state) {
    (void)state;
    check_every_call(STEP, count_old_events);
}

static void a_failure_while_verifying_is_no_finding(void **state) {
    (void)state;
    check_every_call(STEP_OTHERWISE, look_up_and_verify);
}

static void a_dictionary_is_learnt_or_not(void **state) {
    static const enum call calls_of_it[] = {BEGIN_READ, BEGIN_WRITE, STEP_OTHERWISE, GET, PUT};
    (void)state;
    for (size_t i = 0; i < sizeof calls_of_it / sizeof *calls_of_it; i++) {
        check_every_call(calls_of_it[i], learn);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_call_fails),
        cmocka_unit_test(all_calls_fail_from_one_on),
        cmocka_unit_test(a_route_that_cannot_be_read_is_no_circle),
        cmocka_unit_test(what_cannot_be_read_is_not_counted),
        cmocka_unit_test(a_failure_while_verifying_is_no_finding),
        cmocka_unit_test(a_dictionary_is_learnt_or_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
