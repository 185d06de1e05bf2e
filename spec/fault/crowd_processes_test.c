/* crowd_processes_test.c - 8 processes with 64 threads each, at one store, all doing all kinds of
** things at once, while signals interrupt what they wait in, and processes are suspended and
** resumed.
**
** Each thread appends to a stream of its own at the revision it knows, and to one that all share at
** a revision that it reads, again and again until nobody came in between; links what it appended;
** counts in a row, under a named lock and its token, which shows whether two ever had the lock; and
** reads its own stream. One thread of each process follows the log. At the end every thread's
** events are there once and in order, and the counts add up.
**
** TYCHO_ROUNDS says how many rounds each thread does (default 8).
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "store_fixture.h"

enum { PROCESSES = 8, THREADS = 64, ROUNDS = 8, LOCKS = 4, LONG_MS = 120000 };

static struct {
    char path[DIRECTORY_SIZE + 8];
    tycho_store *store;
    int process;
    int rounds;
    atomic_int threads_left;
    atomic_int signals;
} test;

/* Ends the process with the line of the check that did not hold (modulo 251, never 0). */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "process %d, line %d: %s\n", test.process, __LINE__, tycho_error());   \
            _exit(__LINE__ % 251 + 1);                                                             \
        }                                                                                          \
    } while (0)

static void pause_ms(long ms) {
    struct timespec pause = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&pause, NULL);
}

static int all_rounds(void) {
    return PROCESSES * THREADS * test.rounds;
}

/* ---------------------------------------------------------------- a thread of the crowd */

static void append_own(tycho_batch *batch, int thread, int round) {
    char stream[32], id[48];
    snprintf(stream, sizeof stream, "own-%d-%d", test.process, thread);
    snprintf(id, sizeof id, "%s-%d", stream, round);
    tycho_bytes tag = text(stream), name = text(id);
    tycho_new_event event = {
        .id = name, .type = text("own"), .tag_count = 1, .tags = &tag, .data = name};
    tycho_batch_clear(batch);
    CHECK(tycho_batch_append(batch, tag, round - 1, &event, 1, 0) == TYCHO_OK);
    CHECK(tycho_batch_link(batch, text("all"), TYCHO_EXPECT_ANY, &name, 1, 0) == TYCHO_OK);
    CHECK(tycho_commit(test.store, batch, NULL) == TYCHO_OK);
}

static void append_shared(tycho_batch *batch, int thread) {
    char stream[32];
    snprintf(stream, sizeof stream, "shared-%d", thread % LOCKS);
    tycho_new_event event = {.type = text("shared")};
    int status;
    do {
        int64_t revision;
        CHECK(tycho_stream_version(test.store, text(stream), 0, &revision) == TYCHO_OK);
        tycho_batch_clear(batch);
        CHECK(tycho_batch_append(batch, text(stream), revision, &event, 1, 0) == TYCHO_OK);
        status = tycho_commit(test.store, batch, NULL);
    } while (status == TYCHO_WRONG_EXPECTED_VERSION);
    CHECK(status == TYCHO_OK);
}

static uint64_t read_count(tycho_bytes key) {
    tycho_list_options options = {.size = sizeof options,
                                  .list = TYCHO_LIST_ROWS,
                                  .subject = text("counts"),
                                  .prefix = key,
                                  .limit = 1};
    tycho_listing *listing;
    tycho_item item;
    uint64_t count = 0;
    CHECK(tycho_listing_open(test.store, &options, &listing) == TYCHO_OK);
    int status = tycho_listing_next(listing, &item);
    CHECK(status == TYCHO_OK || status == TYCHO_END);
    if (status == TYCHO_OK) {
        CHECK(item.value.size == sizeof count);
        memcpy(&count, item.value.data, sizeof count);
    }
    tycho_listing_close(listing);
    return count;
}

/* Reads, adds one and writes: right only when nobody else is there meanwhile. */
static void count_under_lock(tycho_batch *batch, int thread) {
    char name[32];
    snprintf(name, sizeof name, "lock-%d", thread % LOCKS);
    tycho_lock *lock;
    CHECK(tycho_lock_take(test.store, text(name), LONG_MS, &lock, NULL) == TYCHO_OK);
    uint64_t count = read_count(text(name)) + 1;
    tycho_batch_clear(batch);
    CHECK(tycho_batch_expect_lock(batch, text(name), tycho_lock_token(lock)) == TYCHO_OK);
    CHECK(tycho_batch_put_row(batch, text("counts"), text(name), bytes_of(&count, sizeof count)) ==
          TYCHO_OK);
    CHECK(tycho_commit(test.store, batch, NULL) == TYCHO_OK);
    tycho_lock_release(lock);
}

static void read_own(int thread, int rounds) {
    char stream[32];
    snprintf(stream, sizeof stream, "own-%d-%d", test.process, thread);
    tycho_read read = {.size = sizeof read, .stream = text(stream)};
    tycho_cursor *cursor;
    tycho_event event;
    int64_t next = 0;
    uint64_t position = 0;
    CHECK(tycho_cursor_open(test.store, &read, &cursor) == TYCHO_OK);
    while (tycho_cursor_next(cursor, &event) == TYCHO_OK) {
        char id[48];
        int size = snprintf(id, sizeof id, "%s-%d", stream, (int)next);
        CHECK(event.revision == next && event.position > position && event.is_link == 0);
        CHECK(event.id.size == (size_t)size && memcmp(event.id.data, id, event.id.size) == 0);
        next++;
        position = event.position;
    }
    tycho_cursor_close(cursor);
    CHECK(next == rounds);
}

static void *work(void *context) {
    int thread = *(int *)context;
    tycho_batch *batch;
    CHECK(tycho_batch_create(&batch) == TYCHO_OK);
    for (int round = 0; round < test.rounds; round++) {
        append_own(batch, thread, round);
        append_shared(batch, thread);
        count_under_lock(batch, thread);
        read_own(thread, round + 1);
    }
    tycho_batch_destroy(batch);
    atomic_fetch_sub(&test.threads_left, 1);
    return NULL;
}

/* Every position, once, until all that the crowd writes was served. */
static void *follow(void *context) {
    tycho_read read = {.size = sizeof read};
    tycho_follower *follower;
    tycho_event event;
    CHECK(tycho_follower_open(test.store, &read, &follower) == TYCHO_OK);
    for (uint64_t next = 1; next <= 2 * (uint64_t)all_rounds(); next++) {
        CHECK(tycho_follower_next(follower, LONG_MS, &event) == TYCHO_OK);
        CHECK(event.position == next);
    }
    tycho_follower_close(follower);
    atomic_fetch_sub(&test.threads_left, 1);
    return context;
}

/* ---------------------------------------------------------------- a process of the crowd */

static void take_signal(int signal) {
    (void)signal;
    atomic_fetch_add(&test.signals, 1);
}

/* Without SA_RESTART: what waits in the kernel is interrupted. */
static void let_signals_interrupt(void) {
    struct sigaction action = {.sa_handler = take_signal};
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
}

static int run_process(int process) {
    pthread_t threads[THREADS + 1];
    int numbers[THREADS];
    test.process = process;
    let_signals_interrupt();
    CHECK(open_store(test.path, TYCHO_EXISTING, &test.store) == TYCHO_OK);
    atomic_store(&test.threads_left, THREADS + 1);
    for (int i = 0; i <= THREADS; i++) {
        if (i < THREADS) numbers[i] = i;
        CHECK(pthread_create(&threads[i], NULL, i < THREADS ? work : follow,
                             i < THREADS ? &numbers[i] : NULL) == 0);
    }
    for (unsigned i = 0; atomic_load(&test.threads_left) > 0; i++) {
        pthread_kill(threads[i * 7 % (THREADS + 1)], SIGUSR1);
        pause_ms(1);
    }
    for (int i = 0; i <= THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(atomic_load(&test.signals) > 0);
    tycho_store_close(test.store);
    return 0;
}

/* Suspends one process after the other, wherever it is, until all have ended. */
static void suspend_until_they_end(const pid_t *processes) {
    bool has_ended[PROCESSES] = {false};
    for (int left = PROCESSES, i = 0; left > 0; i = (i + 1) % PROCESSES) {
        int status;
        if (has_ended[i]) continue;
        pid_t ended = waitpid(processes[i], &status, WNOHANG);
        assert_true(ended >= 0);
        if (ended == processes[i]) {
            if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
                fail_msg("process %d ended with the status %#x", i, (unsigned)status);
            }
            has_ended[i] = true;
            left--;
            continue;
        }
        assert_int_equal(kill(processes[i], SIGSTOP), 0);
        pause_ms(20);
        assert_int_equal(kill(processes[i], SIGCONT), 0);
        pause_ms(20);
    }
}

/* ---------------------------------------------------------------- all of them */

static void check_all(tycho_store *store) {
    int64_t shared = 0;
    uint64_t counted = 0, links = 0;
    tycho_read read = {.size = sizeof read, .stream = text("all")};
    tycho_stats stats = {.size = sizeof stats};
    for (int i = 0; i < LOCKS; i++) {
        char name[32];
        int64_t revision;
        snprintf(name, sizeof name, "shared-%d", i);
        ASSERT_STATUS(tycho_stream_version(store, text(name), 0, &revision), TYCHO_OK);
        shared += revision + 1;
        snprintf(name, sizeof name, "lock-%d", i);
        counted += read_count(text(name));
    }
    assert_int_equal(shared, all_rounds());
    assert_int_equal(counted, all_rounds());
    ASSERT_STATUS(tycho_count(store, &read, &links), TYCHO_OK);
    assert_int_equal(links, all_rounds());
    for (test.process = 0; test.process < PROCESSES; test.process++) {
        for (int i = 0; i < THREADS; i++) read_own(i, test.rounds);
    }
    ASSERT_STATUS(tycho_stats_get(store, &stats), TYCHO_OK);
    assert_int_equal(stats.events, 2 * all_rounds());
    assert_in_range(stats.readers, 0, 1); /* 1: who asks */
}

static void all_at_once(void **state) {
    fixture *f = *state;
    pid_t processes[PROCESSES];
    const char *rounds = getenv("TYCHO_ROUNDS");
    test.rounds = rounds != NULL ? (int)strtol(rounds, NULL, 10) : ROUNDS;
    assert_in_range(test.rounds, 1, 1000000);
    snprintf(test.path, sizeof test.path, "%s", f->path);
    tycho_store_close(f->store);
    f->store = NULL;
    fflush(NULL);
    for (int i = 0; i < PROCESSES; i++) {
        processes[i] = fork();
        if (processes[i] == 0) _exit(run_process(i));
        assert_true(processes[i] > 0);
    }
    suspend_until_they_end(processes);
    ASSERT_STATUS(open_store(f->path, TYCHO_EXISTING, &f->store), TYCHO_OK);
    test.store = f->store;
    check_all(f->store);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(all_at_once, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
