/* completed_threads_test.c - batches that are completed when nobody else can write, among threads
** and a process that write all the time: what complete() sees is what the batch finds.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store_values.h"

enum { WRITERS = 3, COMPLETED = 200 };

static struct {
    char path[DIRECTORY_SIZE];
    tycho_store *store;
    atomic_int stop, failures;
} test;

static void *write_on(void *unused) {
    const tycho_new_event event = {.type = text("written")};
    tycho_batch *batch = NULL;
    (void)unused;
    int status = tycho_batch_create(&batch);
    if (status == TYCHO_OK) {
        status = tycho_batch_append(batch, text("written"), TYCHO_EXPECT_ANY, &event, 1, 0);
    }
    while (status == TYCHO_OK && atomic_load(&test.stop) == 0) {
        tycho_batch_clear(batch);
        status = tycho_batch_append(batch, text("written"), TYCHO_EXPECT_ANY, &event, 1, 0);
        if (status == TYCHO_OK) status = tycho_commit(test.store, batch, NULL);
    }
    if (status != TYCHO_OK) atomic_fetch_add(&test.failures, 1);
    tycho_batch_destroy(batch);
    return NULL;
}

static int run_process(const char *path) {
    const tycho_new_event event = {.type = text("written")};
    const tycho_options options = {.size = sizeof options, .sync = TYCHO_SYNC_NONE};
    tycho_store *store;
    tycho_batch *batch;
    int status = tycho_store_open(path, &options, &store);
    if (status != TYCHO_OK || tycho_batch_create(&batch) != TYCHO_OK) return 1;
    for (int i = 0; i < COMPLETED * 5 && status == TYCHO_OK; i++) {
        tycho_batch_clear(batch);
        status = tycho_batch_append(batch, text("elsewhere"), TYCHO_EXPECT_ANY, &event, 1, 0);
        if (status == TYCHO_OK) status = tycho_commit(store, batch, NULL);
    }
    tycho_batch_destroy(batch);
    tycho_store_close(store);
    return status == TYCHO_OK ? 0 : 1;
}

static int note_head(void *context, tycho_store *store, tycho_batch *batch) {
    uint64_t *seen = context;
    int status = tycho_head(store, seen);
    if (status != TYCHO_OK) return status;
    return tycho_batch_set_checkpoint(batch, text("seen"), *seen);
}

static void nobody_writes_between_the_completion_and_the_batch(void **state) {
    pthread_t writers[WRITERS];
    tycho_batch *batch;
    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) _exit(run_process(test.path));
    const tycho_options options = {.size = sizeof options, .sync = TYCHO_SYNC_NONE};
    ASSERT_STATUS(tycho_store_open(test.path, &options, &test.store), TYCHO_OK);
    ASSERT_STATUS(tycho_batch_create(&batch), TYCHO_OK);
    for (int i = 0; i < WRITERS; i++) {
        assert_int_equal(pthread_create(&writers[i], NULL, write_on, NULL), 0);
    }
    for (int i = 0; i < COMPLETED; i++) {
        const tycho_receipt *receipt;
        uint64_t seen = 0;
        tycho_batch_clear(batch);
        ASSERT_STATUS(tycho_batch_put_row(batch, text("rows"), text("key"), text("value")),
                      TYCHO_OK);
        ASSERT_STATUS(tycho_commit_completed(test.store, batch, note_head, &seen, &receipt),
                      TYCHO_OK);
        assert_int_equal(receipt->head, seen);
    }
    atomic_store(&test.stop, 1);
    for (int i = 0; i < WRITERS; i++) pthread_join(writers[i], NULL);
    int ended;
    assert_int_equal(waitpid(child, &ended, 0), child);
    assert_int_equal(ended, 0);
    assert_int_equal(atomic_load(&test.failures), 0);
    tycho_batch_destroy(batch);
    assert_clean(test.store);
    tycho_store_close(test.store);
}

static int set_up(void **state) {
    (void)state;
    return make_directory(test.path);
}

static int tear_down(void **state) {
    (void)state;
    return remove_directory(test.path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_writes_between_the_completion_and_the_batch),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
