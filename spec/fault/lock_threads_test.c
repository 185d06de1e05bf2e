/* lock_threads_test.c - named locks between the threads of one process, whom the kernel's locks do
** not exclude; also run with TSan, which sees what a lock does not order.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "store_fixture.h"

enum { THREADS = 6, LONG_MS = 60000, NAMES = 2 };

static void pause_ms(long ms) {
    struct timespec pause = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&pause, NULL);
}

static tycho_lock *take(fixture *f, const char *name) {
    tycho_lock *lock;
    ASSERT_STATUS(tycho_lock_take(f->store, text(name), LONG_MS, &lock, NULL), TYCHO_OK);
    return lock;
}

static void await_waiters(fixture *f, uint32_t waiters) {
    tycho_lock_info info = {.waiters = 0};
    size_t count = 0;
    for (int i = 0; i < LONG_MS; i++) {
        ASSERT_STATUS(tycho_lock_list(f->store, &info, 1, &count), TYCHO_OK);
        if (count == 1 && info.waiters == waiters) return;
        pause_ms(1);
    }
    fail_msg("there are never %u waiters", waiters);
}

/* ---------------------------------------------------------------- exclusion */

/* Nothing in it is atomic. */
static struct {
    uint64_t last_token, grants;
    bool is_inside;
} protected[NAMES];

typedef struct worker {
    pthread_t thread;
    fixture *f;
    int turns;
    uint64_t grants, wrong;
} worker;

static const char *const names[NAMES] = {"a", "b"};

static int commit_under(tycho_store *store, const char *name, uint64_t token) {
    tycho_batch *batch;
    int status = tycho_batch_create(&batch);
    if (status == TYCHO_OK) status = tycho_batch_expect_lock(batch, text(name), token);
    if (status == TYCHO_OK) status = tycho_commit(store, batch, NULL);
    tycho_batch_destroy(batch);
    return status;
}

static void *count_grants(void *context) {
    worker *w = context;
    for (int i = 0; i < w->turns; i++) {
        tycho_lock *lock;
        int name = (int)(((uintptr_t)w + (uintptr_t)i) % 3 % NAMES);
        int64_t timeout = i % 7 == 0 ? 1 : LONG_MS;
        int status = tycho_lock_take(w->f->store, text(names[name]), timeout, &lock, NULL);
        if (status == TYCHO_TIMEOUT && timeout == 1) continue;
        if (status != TYCHO_OK) {
            w->wrong++;
            continue;
        }
        uint64_t token = tycho_lock_token(lock);
        if (protected[name].is_inside || token <= protected[name].last_token) w->wrong++;
        protected[name].is_inside = true;
        protected[name].last_token = token;
        protected[name].grants++;
        if (i % 50 == 0 && commit_under(w->f->store, names[name], token) != TYCHO_OK) w->wrong++;
        protected[name].is_inside = false;
        w->grants++;
        tycho_lock_release(lock);
        if (i % 50 == 1 && commit_under(w->f->store, names[name], token) == TYCHO_OK) w->wrong++;
    }
    return NULL;
}

/* Others list the locks, or delete the table, in between. */
static void work_together(fixture *f, bool deletes) {
    worker workers[THREADS];
    uint64_t grants = 0, counted = 0;
    memset(protected, 0, sizeof protected);
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (worker){.f = f, .turns = 400};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, count_grants, &workers[i]), 0);
    }
    for (int i = 0; i < 20; i++) {
        tycho_lock_info info[NAMES];
        size_t count;
        pause_ms(2);
        if (deletes) unlink(f->lock_table);
        ASSERT_STATUS(tycho_lock_list(f->store, info, NAMES, &count), TYCHO_OK);
        assert_true(count <= NAMES);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        assert_int_equal(workers[i].wrong, 0);
        grants += workers[i].grants;
    }
    for (int i = 0; i < NAMES; i++) counted += protected[i].grants;
    assert_int_equal(counted, grants);
    assert_true(grants > 400);
}

static void one_thread_at_a_time_has_a_lock(void **state) {
    work_together(*state, false);
}

static void a_table_may_be_deleted_while_threads_use_it(void **state) {
    work_together(*state, true);
}

/* ---------------------------------------------------------------- the order */

typedef struct waiter {
    pthread_t thread;
    fixture *f;
    atomic_int *served;
    int place; /* in which it was served */
    int status;
} waiter;

static void *wait_once(void *context) {
    waiter *w = context;
    tycho_lock *lock;
    w->status = tycho_lock_take(w->f->store, text("a"), LONG_MS, &lock, NULL);
    w->place = atomic_fetch_add(w->served, 1);
    tycho_lock_release(lock);
    return NULL;
}

/* A thread that does not run for long is passed over; so not every round must be in order. */
static void waiters_are_served_in_the_order_of_their_coming(void **state) {
    enum { ROUNDS = 10, ENOUGH = 5 };
    fixture *f = *state;
    int in_order = 0;
    for (int round = 0; round < ROUNDS; round++) {
        atomic_int served = 0;
        waiter waiters[THREADS];
        bool is_in_order = true;
        tycho_lock *lock = take(f, "a");
        for (int i = 0; i < THREADS; i++) {
            waiters[i] = (waiter){.f = f, .served = &served};
            assert_int_equal(pthread_create(&waiters[i].thread, NULL, wait_once, &waiters[i]), 0);
            await_waiters(f, (uint32_t)i + 1);
        }
        tycho_lock_release(lock);
        for (int i = 0; i < THREADS; i++) {
            pthread_join(waiters[i].thread, NULL);
            ASSERT_STATUS(waiters[i].status, TYCHO_OK);
            is_in_order = is_in_order && waiters[i].place == i;
        }
        if (is_in_order) in_order++;
    }
    if (in_order < ENOUGH) fail_msg("%d rounds of %d were in order", in_order, ROUNDS);
}

/* ---------------------------------------------------------------- threads and handles */

static void *release(void *lock) {
    tycho_lock_release(lock);
    return NULL;
}

static void any_thread_may_release_it(void **state) {
    fixture *f = *state;
    tycho_lock *lock = take(f, "a");
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, release, lock), 0);
    tycho_lock_release(take(f, "b"));
    pthread_join(thread, NULL);
    tycho_lock_release(take(f, "a"));
}

typedef struct asker {
    fixture *f;
    int status;
    tycho_lock_info owner;
} asker;

static void *ask(void *context) {
    asker *a = context;
    tycho_lock *lock;
    a->status = tycho_lock_take(a->f->store, text("a"), 30, &lock, &a->owner);
    return NULL;
}

static void another_thread_waits_and_is_told_the_thread(void **state) {
    fixture *f = *state;
    asker a = {.f = f};
    pthread_t thread;
    tycho_lock *lock = take(f, "a");
    assert_int_equal(pthread_create(&thread, NULL, ask, &a), 0);
    pthread_join(thread, NULL);
    ASSERT_STATUS(a.status, TYCHO_TIMEOUT);
    assert_int_equal(a.owner.pid, getpid());
    assert_int_equal(a.owner.thread, syscall(SYS_gettid));
    assert_int_equal(a.owner.token, tycho_lock_token(lock));
    tycho_lock_release(lock);
}

static void two_handles_of_a_store_share_its_locks(void **state) {
    fixture *f = *state;
    tycho_store *other;
    tycho_lock *lock = take(f, "a"), *second;
    ASSERT_STATUS(open_store(f->path, TYCHO_EXISTING, &other), TYCHO_OK);
    ASSERT_STATUS(tycho_lock_take(other, text("a"), 0, &second, NULL), TYCHO_BUSY);
    ASSERT_STATUS(commit_under(other, "a", tycho_lock_token(lock)), TYCHO_OK);
    tycho_lock_release(lock);
    ASSERT_STATUS(tycho_lock_take(other, text("a"), 0, &second, NULL), TYCHO_OK);
    tycho_lock_release(second);
    tycho_store_close(other);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(one_thread_at_a_time_has_a_lock),
        TEST(a_table_may_be_deleted_while_threads_use_it),
        TEST(waiters_are_served_in_the_order_of_their_coming),
        TEST(any_thread_may_release_it),
        TEST(another_thread_waits_and_is_told_the_thread),
        TEST(two_handles_of_a_store_share_its_locks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
