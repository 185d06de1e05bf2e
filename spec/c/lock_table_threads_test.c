/* lock_table_threads_test.c - the table of locks by itself (engine/lock_table.h): what processes
** and threads, alive, stopped or dead, leave in it for each other. The kernel's bytes, which the
** exclusion depends on, are not in play here.
*/
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "lock_table.h"
#include "store.h"
#include "store_values.h"

enum { THREADS = 4, ROUNDS = 20000, SLOTS = TYCHO_LOCKS_MAX };

static tycho_store *store;
static tycho__lock_table *table, *other; /* as two processes have it */
static const tycho__hold hold = {.since = 7, .owner = {11, 12}, .name = "l", .host = "h"};

static int open_tables(void **state) {
    const tycho_options options = {.size = sizeof options, .mode = TYCHO_TEMPORARY};
    (void)state;
    ASSERT_STATUS(tycho_store_open(NULL, &options, &store), TYCHO_OK);
    ASSERT_STATUS(tycho__lock_table_open(store->env, false, &table), TYCHO_OK);
    assert_null(table);
    ASSERT_STATUS(tycho__lock_table_open(store->env, true, &table), TYCHO_OK);
    ASSERT_STATUS(tycho__lock_table_open(store->env, false, &other), TYCHO_OK);
    assert_non_null(other);
    return 0;
}

static int close_tables(void **state) {
    (void)state;
    tycho__lock_table_close(other);
    tycho__lock_table_close(table);
    tycho_store_close(store);
    return 0;
}

/* How many slots of holds are in use. */
static int count_holds(void) {
    uint64_t hash, token;
    int count = 0;
    uint32_t slot = tycho__lock_table_next(other, 0, &hash, &token);
    for (; slot != TYCHO__NO_SLOT; slot = tycho__lock_table_next(other, slot + 1, &hash, &token)) {
        count++;
    }
    return count;
}

/* ---------------------------------------------------------------- tokens */

static void gives_no_token_that_is_not_reserved(void **state) {
    (void)state;
    assert_false(tycho__lock_table_has_tokens(table));
    assert_int_equal(tycho__lock_table_take_token(table), 0);
    uint64_t next = tycho__lock_table_next_token(other);
    tycho__lock_table_set_reserved(other, next + 1);
    tycho__lock_table_set_reserved(other, next); /* late: it stays at the higher one */
    assert_int_equal(tycho__lock_table_take_token(table), next);
    assert_int_equal(tycho__lock_table_take_token(other), next + 1);
    assert_int_equal(tycho__lock_table_take_token(other), 0);
}

/* ---------------------------------------------------------------- holds */

static void a_slot_goes_from_a_dead_owner_to_the_next_one(void **state) {
    tycho__hold read;
    uint64_t token = 0;
    (void)state;
    uint32_t slot = tycho__lock_table_claim(table, 5, 100, &hold);
    assert_int_equal(tycho__lock_table_claim(other, 5, 101, &hold), slot);
    assert_int_equal(tycho__lock_table_find(table, 5, &token), slot);
    assert_int_equal(token, 101);
    assert_false(tycho__lock_table_read(table, slot, 100, &read));
    assert_true(tycho__lock_table_read(table, slot, 101, &read));
    assert_memory_equal(&read, &hold, sizeof hold);
    /* The one who was taken for dead, and goes on, frees nothing that is not his. */
    tycho__lock_table_clear(table, slot, 100);
    tycho__lock_table_sweep(table, slot, 100);
    assert_int_equal(tycho__lock_table_find(table, 5, &token), slot);
    tycho__lock_table_sweep(table, slot, 101);
    assert_int_equal(tycho__lock_table_find(table, 5, &token), TYCHO__NO_SLOT);
    assert_false(tycho__lock_table_read(other, slot, 101, &read));
    assert_int_equal(count_holds(), 0);
}

static void tells_when_all_slots_are_taken(void **state) {
    (void)state;
    for (uint64_t i = 1; i <= SLOTS; i++) {
        assert_int_equal(tycho__lock_table_claim(table, i, i, &hold), i - 1);
    }
    assert_int_equal(tycho__lock_table_claim(table, 5000, 5000, &hold), TYCHO__NO_SLOT);
    assert_int_equal(count_holds(), SLOTS);
    tycho__lock_table_clear(other, 16, 17);
    assert_int_equal(tycho__lock_table_claim(table, 5000, 5000, &hold), 16);
    for (uint64_t i = 1; i <= SLOTS; i++) {
        tycho__lock_table_clear(table, (uint32_t)i - 1, i == 17 ? 5000 : i);
    }
    assert_int_equal(count_holds(), 0);
}

/* ---------------------------------------------------------------- waits */

static tycho__waiter waiter_of(uint64_t hash, uint32_t thread) {
    return (tycho__waiter){.table = table, .hash = hash, .owner = {1, thread}};
}

static void wait_out_of_breath(void) {
    const struct timespec longer = {1, 200000000}; /* than GIVEN_UP_MS */
    nanosleep(&longer, NULL);
}

static tycho__waiter waiters[SLOTS];

/* Queues one more while all the others live. Where the machine stood still meanwhile, they do not:
** tried again. */
static int queue_behind_all(tycho__waiter *late) {
    int status = TYCHO_OK;
    bool is_first;
    for (int tries = 0; tries < 20 && status == TYCHO_OK; tries++) {
        tycho__waiter_leave(late);
        for (uint32_t i = 0; i < SLOTS; i++) tycho__waiter_look(&waiters[i], &is_first);
        status = tycho__waiter_queue(late);
    }
    return status;
}

static void the_row_is_full_until_those_who_are_silent_are_given_up(void **state) {
    tycho__waiter late = waiter_of(7, 9999);
    uint64_t hash;
    bool is_first;
    int live = 0, refused = 0;
    (void)state;
    for (uint32_t i = 0; i < SLOTS; i++) {
        waiters[i] = waiter_of(i % 3, i + 1);
        ASSERT_STATUS(tycho__waiter_queue(&waiters[i]), TYCHO_OK);
    }
    ASSERT_STATUS(queue_behind_all(&late), TYCHO_TOO_LARGE);
    assert_string_equal(tycho_error(), "1024 threads wait for locks already");
    assert_int_equal(late.ticket, 0);
    assert_false(tycho__lock_table_is_awaited(other, 7));

    wait_out_of_breath();
    for (uint64_t i = 0; i < 3; i++) assert_int_equal(tycho__lock_table_waiters(other, i), 0);
    ASSERT_STATUS(tycho__waiter_queue(&late), TYCHO_OK);
    assert_true(tycho__lock_table_wait_of(other, late.owner, &hash));
    assert_int_equal(hash, 7);
    assert_false(tycho__lock_table_wait_of(other, (tycho__owner){1, 3}, &hash));

    /* Those that go on queue up again, as far as there is room. */
    for (uint32_t i = 0; i < SLOTS; i++) {
        int status = tycho__waiter_look(&waiters[i], &is_first);
        if (status == TYCHO_OK) live++;
        if (status == TYCHO_TOO_LARGE && !is_first) refused++;
    }
    assert_int_equal(live + refused, SLOTS);
    assert_true(live > 0);
    tycho__waiter_leave(&late);
    for (uint32_t i = 0; i < SLOTS; i++) tycho__waiter_leave(&waiters[i]);
    for (uint64_t i = 0; i < 3; i++) assert_int_equal(tycho__lock_table_waiters(other, i), 0);
}

static void who_is_silent_is_passed_over_and_then_given_up(void **state) {
    tycho__waiter first = waiter_of(3, 1), second = waiter_of(3, 2);
    const struct timespec pause = {0, 400000000}; /* silent, but not given up yet */
    bool is_first;
    (void)state;
    ASSERT_STATUS(tycho__waiter_queue(&first), TYCHO_OK);
    ASSERT_STATUS(tycho__waiter_queue(&second), TYCHO_OK);
    ASSERT_STATUS(tycho__waiter_look(&first, &is_first), TYCHO_OK);
    assert_true(is_first);
    nanosleep(&pause, NULL);
    ASSERT_STATUS(tycho__waiter_look(&second, &is_first), TYCHO_OK);
    assert_true(is_first);
    wait_out_of_breath();
    ASSERT_STATUS(tycho__waiter_look(&second, &is_first), TYCHO_OK);
    assert_true(is_first);
    /* It goes on: behind the second one now. */
    ASSERT_STATUS(tycho__waiter_look(&first, &is_first), TYCHO_OK);
    assert_true(first.ticket > second.ticket);
    tycho__waiter_leave(&second);
    ASSERT_STATUS(tycho__waiter_look(&first, &is_first), TYCHO_OK);
    assert_true(is_first);
    tycho__waiter_leave(&first);
    assert_int_equal(tycho__lock_table_waiters(other, 3), 0);
}

/* ---------------------------------------------------------------- threads */

static atomic_int tokens_given, claims_lost;

/* Claims, reads and frees slots, asks for tokens and stands in the row, as others do. */
static void *work(void *context) {
    const uint64_t number = (uint64_t)(uintptr_t)context;
    tycho__lock_table *mine = number % 2 == 0 ? table : other;
    for (uint64_t i = 0; i < ROUNDS; i++) {
        const uint64_t token = (i + 1) * THREADS + number;
        tycho__waiter waiter = {.table = mine, .hash = 1, .owner = {1, (uint32_t)number}};
        tycho__hold read;
        uint64_t hash, held;
        bool is_first;
        uint32_t slot = tycho__lock_table_claim(mine, 100 + number, token, &hold);
        bool is_own = slot < SLOTS && tycho__lock_table_read(mine, slot, token, &read);
        if (!is_own || read.since != 7) atomic_fetch_add(&claims_lost, 1);
        uint32_t at = tycho__lock_table_next(mine, 0, &hash, &held);
        for (; at != TYCHO__NO_SLOT; at = tycho__lock_table_next(mine, at + 1, &hash, &held)) {
            if (tycho__lock_table_read(mine, at, held, &read) && read.since != 7) {
                atomic_fetch_add(&claims_lost, 1);
            }
        }
        tycho__lock_table_clear(mine, slot, token);
        if (tycho__waiter_queue(&waiter) == TYCHO_OK) tycho__waiter_look(&waiter, &is_first);
        tycho__waiter_leave(&waiter);
        tycho__lock_table_set_reserved(mine, i + 1);
        if (tycho__lock_table_take_token(mine) != 0) atomic_fetch_add(&tokens_given, 1);
    }
    return NULL;
}

static void threads_and_processes_never_get_the_same_slot_or_token(void **state) {
    pthread_t threads[THREADS];
    (void)state;
    for (uintptr_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, work, (void *)i), 0);
    }
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&claims_lost), 0);
    assert_true(atomic_load(&tokens_given) > 0 && atomic_load(&tokens_given) <= ROUNDS);
    assert_int_equal(count_holds(), 0);
    assert_int_equal(tycho__lock_table_waiters(table, 1), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(gives_no_token_that_is_not_reserved, open_tables,
                                        close_tables),
        cmocka_unit_test_setup_teardown(a_slot_goes_from_a_dead_owner_to_the_next_one, open_tables,
                                        close_tables),
        cmocka_unit_test_setup_teardown(tells_when_all_slots_are_taken, open_tables, close_tables),
        cmocka_unit_test_setup_teardown(the_row_is_full_until_those_who_are_silent_are_given_up,
                                        open_tables, close_tables),
        cmocka_unit_test_setup_teardown(who_is_silent_is_passed_over_and_then_given_up, open_tables,
                                        close_tables),
        cmocka_unit_test_setup_teardown(threads_and_processes_never_get_the_same_slot_or_token,
                                        open_tables, close_tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
