/* gathered_threads_test.c - threads that append one after the other, each again as soon as it has
** its answer, share their commits: those whom one commit released are together in the next one,
** instead of the first to come back in one of its own.
**
** A flush takes long here, so that it does not matter how quick the disk is. How threads are
** scheduled is up to the system: the best of some tries counts.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>
#include <time.h>

#include "store_values.h"

enum { WRITERS = 4, ROUNDS = 12, TRIES = 10, FLUSH_MS = 20 };

/* The linker exports it, so that the library calls it. */
__attribute__((visibility("default"))) int fdatasync(int fd) {
    const struct timespec pause = {.tv_nsec = FLUSH_MS * 1000000};
    (void)fd;
    nanosleep(&pause, NULL);
    return 0;
}

typedef struct worker {
    pthread_t thread;
    tycho_store *store;
    int number;
    int status;
} worker;

static void *append_rounds(void *context) {
    worker *self = context;
    tycho_batch *batch = NULL;
    char stream[16];
    tycho_new_event event = {.type = text("written"), .data = text("data")};
    snprintf(stream, sizeof stream, "own-%d", self->number);
    self->status = tycho_batch_create(&batch);
    for (int round = 0; round < ROUNDS && self->status == TYCHO_OK; round++) {
        tycho_batch_clear(batch);
        self->status = tycho_batch_append(batch, text(stream), round - 1, &event, 1, 0);
        if (self->status == TYCHO_OK) self->status = tycho_commit(self->store, batch, NULL);
    }
    tycho_batch_destroy(batch);
    return NULL;
}

/* The commits that it takes for all threads to append all their events to a new store. */
static uint64_t commits_of_all(void) {
    worker workers[WRITERS];
    tycho_stats stats = {.size = sizeof stats};
    char path[DIRECTORY_SIZE];
    tycho_store *store = NULL;
    tycho_options options = {.size = sizeof options, .sync = TYCHO_SYNC_FULL, .map_size = 1u << 30};
    assert_int_equal(make_directory_in_memory(path), 0);
    ASSERT_STATUS(tycho_store_open(path, &options, &store), TYCHO_OK);
    for (int i = 0; i < WRITERS; i++) {
        workers[i] = (worker){.store = store, .number = i};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, append_rounds, &workers[i]), 0);
    }
    for (int i = 0; i < WRITERS; i++) {
        pthread_join(workers[i].thread, NULL);
        ASSERT_STATUS(workers[i].status, TYCHO_OK);
    }
    ASSERT_STATUS(tycho_stats_get(store, &stats), TYCHO_OK);
    assert_int_equal(stats.commit_batches, WRITERS * ROUNDS);
    tycho_store_close(store);
    remove_directory(path);
    return stats.commits;
}

static void test_those_who_were_released_together_commit_together(void **state) {
    (void)state;
    uint64_t least = UINT64_MAX;
    /* Alone and all others in turns: (1 + WRITERS) / 2 batches in a commit. */
    for (int i = 0; i < TRIES && least > ROUNDS * 3 / 2; i++) {
        uint64_t commits = commits_of_all();
        if (commits < least) least = commits;
    }
    assert_in_range(least, ROUNDS, ROUNDS * 3 / 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_those_who_were_released_together_commit_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
