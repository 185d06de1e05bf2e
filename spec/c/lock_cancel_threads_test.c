/* lock_cancel_threads_test.c - a wait for a lock that another thread ends. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store_values.h"

struct wait {
    tycho_store *store;
    int cancelled;
    int status;
    tycho_lock *lock;
    tycho_lock_info owner;
    char sentence[128];
};

static void *wait_for_lock(void *context) {
    struct wait *wait = context;
    wait->status = tycho_lock_take_unless(wait->store, text("l"), -1, &wait->cancelled, &wait->lock,
                                          &wait->owner);
    strncpy(wait->sentence, tycho_error(), sizeof wait->sentence - 1);
    return NULL;
}

/* Waits until so many wait for the lock. */
static void await_waiters(tycho_store *store, uint32_t waiters) {
    tycho_lock_info info;
    size_t count;
    do {
        ASSERT_STATUS(tycho_lock_list(store, &info, 1, &count), TYCHO_OK);
    } while (count != 1 || info.waiters != waiters);
}

static void a_wait_ends_when_it_is_cancelled(void **state) {
    const tycho_options options = {.size = sizeof options, .mode = TYCHO_TEMPORARY};
    struct wait waits[2] = {{.cancelled = 0}};
    pthread_t threads[2];
    tycho_lock *lock;
    (void)state;
    ASSERT_STATUS(tycho_store_open(NULL, &options, &waits[0].store), TYCHO_OK);
    waits[1].store = waits[0].store;
    ASSERT_STATUS(tycho_lock_take(waits[0].store, text("l"), 0, &lock, NULL), TYCHO_OK);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, wait_for_lock, &waits[i]), 0);
    }
    await_waiters(waits[0].store, 2);
    __atomic_store_n(&waits[0].cancelled, 1, __ATOMIC_RELEASE);
    pthread_join(threads[0], NULL);
    ASSERT_STATUS(waits[0].status, TYCHO_TIMEOUT);
    assert_null(waits[0].lock);
    assert_int_equal(waits[0].owner.token, tycho_lock_token(lock));
    assert_string_equal(waits[0].sentence, "the wait for the lock \"l\" was cancelled");
    await_waiters(waits[0].store, 1);
    tycho_lock_release(lock);
    pthread_join(threads[1], NULL);
    ASSERT_STATUS(waits[1].status, TYCHO_OK);
    tycho_lock_release(waits[1].lock);
    tycho_store_close(waits[0].store);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_wait_ends_when_it_is_cancelled)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
