/* follower_processes_test.c - followers and writers in several processes: a follower that is killed
** and goes on from its key in another process, in front of writers who rename the stream; commits
** that nobody announced; waiters that are stopped or killed; readers without rights.
**
** A child answers with its exit code: 0, or what is not. Random: the seed is printed.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "follower_values.h"

enum { WRITERS = 2, BATCHES = 150, WAIT_MS = 60000, SERVED_MAX = 4000 };

static unsigned first_seed;

/* Children open the store themselves: nobody has it open when they are forked. */
static int set_up_closed(void **state) {
    const char *given = getenv("TYCHO_SEED");
    first_seed = given != NULL ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
    print_message("TYCHO_SEED=%u\n", first_seed);
    if (set_up(state) != 0) return -1;
    fixture *f = *state;
    tycho_store_close(f->store);
    f->store = NULL;
    return 0;
}

static int open_and_tear_down(void **state) {
    fixture *f = *state;
    ASSERT_STATUS(open_store(f->path, TYCHO_EXISTING, &f->store), TYCHO_OK);
    return tear_down(state);
}

static unsigned random_below(unsigned *seed, unsigned limit) {
    *seed = *seed * 1103515245u + 12345u;
    return (*seed >> 16) % limit;
}

static void assert_ends(pid_t child, int expected) {
    int ended;
    assert_int_equal(waitpid(child, &ended, 0), child);
    assert_int_equal(WIFEXITED(ended) ? WEXITSTATUS(ended) : 128 + WTERMSIG(ended), expected);
}

/* ---------------------------------------------------------------- killed followers */

/* Writes to "old", or elsewhere and links it there; one writer renames "old" in the middle. */
static int write_and_rename(fixture *f, int number) {
    tycho_store *store;
    unsigned seed = first_seed + (unsigned)number;
    int status = open_store(f->path, TYCHO_EXISTING, &store);
    for (int i = 0; i < BATCHES && status == TYCHO_OK; i++) {
        char id[32];
        snprintf(id, sizeof id, "%d-%d", number, i);
        bool is_link = random_below(&seed, 3) == 0;
        status = append(store, is_link ? "elsewhere" : "old", id, "t", NULL);
        if (status == TYCHO_OK && is_link) status = change(store, LINK, "old", id);
        if (number == 0 && i == BATCHES / 2 && status == TYCHO_OK) {
            status = rename_stream(store, "old", "new");
        }
        usleep(random_below(&seed, 1000));
    }
    tycho_store_close(store);
    return status == TYCHO_OK ? 0 : 1;
}

typedef struct served {
    uint64_t position;
    uint8_t is_last, key_size;
    uint8_t key[TYCHO_CURSOR_KEY_MAX];
} served;

/* Tells the pipe of each event that it served, with the key behind it. */
static int follow_old(fixture *f, const served *from, int pipe) {
    tycho_store *store;
    tycho_follower *follower;
    tycho_event event;
    tycho_read read = {.size = sizeof read, .stream = text("old")};
    read.resume = bytes_of(from->key, from->key_size);
    if (open_store(f->path, TYCHO_READ_ONLY, &store) != TYCHO_OK) return 2;
    if (tycho_follower_open(store, &read, &follower) != TYCHO_OK) return 3;
    for (served one = {.is_last = 0}; !one.is_last;) {
        tycho_bytes key;
        if (tycho_follower_next(follower, WAIT_MS, &event) != TYCHO_OK) return 4;
        if (tycho_follower_key(follower, &key) != TYCHO_OK) return 5;
        one.position = event.position;
        one.is_last = event.id.size == 4 && memcmp(event.id.data, "last", 4) == 0;
        one.key_size = (uint8_t)key.size;
        memcpy(one.key, key.data, key.size);
        if (write(pipe, &one, sizeof one) != sizeof one) return 6;
    }
    tycho_follower_close(follower);
    tycho_store_close(store);
    return 0;
}

static pid_t start_follower(fixture *f, const served *from, int *pipe_end) {
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        _exit(follow_old(f, from, ends[1]));
    }
    assert_true(child > 0);
    close(ends[1]);
    *pipe_end = ends[0];
    return child;
}

/* Takes what one follower serves, which is killed after a while, until "last". */
static size_t take_from_one(fixture *f, served *last, uint64_t *positions) {
    int end;
    size_t count = 0, patience = 1 + random_below(&first_seed, 40);
    pid_t child = start_follower(f, last, &end);
    while (read(end, last, sizeof *last) == sizeof *last) {
        positions[count++] = last->position;
        if (count == patience) kill(child, SIGKILL);
    }
    close(end);
    int ended;
    assert_int_equal(waitpid(child, &ended, 0), child);
    bool was_killed = WIFSIGNALED(ended) && WTERMSIG(ended) == SIGKILL;
    assert_true(was_killed || (WIFEXITED(ended) && WEXITSTATUS(ended) == 0));
    return count;
}

static pid_t start_writer(fixture *f, int number) {
    pid_t child = fork();
    if (child == 0) _exit(write_and_rename(f, number));
    assert_true(child > 0);
    return child;
}

static void a_killed_follower_goes_on_from_its_key_in_another_process(void **state) {
    fixture *f = *state;
    static uint64_t positions[SERVED_MAX];
    served last = {.is_last = 0};
    size_t count = 0;
    pid_t writers[WRITERS];
    for (int i = 0; i < WRITERS; i++) writers[i] = start_writer(f, i);
    pid_t ender = fork();
    if (ender == 0) { /* writes the last event when the second half is over */
        tycho_store *store;
        uint64_t head;
        int status = open_store(f->path, TYCHO_EXISTING, &store);
        if (status == TYCHO_OK) {
            status = tycho_wait(store, WRITERS * BATCHES - 1, WAIT_MS, &head);
        }
        usleep(50000); /* a link may still come; then it is behind the last, and served by nobody */
        if (status == TYCHO_OK) status = append(store, "old", "last", "t", NULL);
        tycho_store_close(store);
        _exit(status == TYCHO_OK ? 0 : 1);
    }
    while (!last.is_last) count += take_from_one(f, &last, positions + count);
    for (int i = 0; i < WRITERS; i++) assert_ends(writers[i], 0);
    assert_ends(ender, 0);
    tycho_store *store;
    tycho_cursor *cursor;
    tycho_event event;
    tycho_read read = {.size = sizeof read, .stream = text("old")};
    ASSERT_STATUS(open_store(f->path, TYCHO_EXISTING, &store), TYCHO_OK);
    ASSERT_STATUS(tycho_cursor_open(store, &read, &cursor), TYCHO_OK);
    for (size_t i = 0; i < count; i++) {
        ASSERT_STATUS(tycho_cursor_next(cursor, &event), TYCHO_OK);
        assert_int_equal(positions[i], event.position);
    }
    tycho_cursor_close(cursor);
    tycho_store_close(store);
    assert_true(count > BATCHES);
}

/* ---------------------------------------------------------------- who announces nothing */

/* Commits in another process, which has another file of wake-ups: as if it had been killed between
** its commit and the announcement. */
static void commit_silently(fixture *f) {
    char notify[DIRECTORY_SIZE + 32], away[DIRECTORY_SIZE + 32];
    snprintf(notify, sizeof notify, "%s/notify", f->path);
    snprintf(away, sizeof away, "%s/notify.away", f->path);
    assert_int_equal(rename(notify, away), 0);
    pid_t child = fork();
    if (child == 0) {
        tycho_store *store;
        int status = open_store(f->path, TYCHO_EXISTING, &store);
        if (status == TYCHO_OK) status = append(store, "s", "a", "t", NULL);
        _exit(status == TYCHO_OK ? 0 : 1);
    }
    assert_true(child > 0);
    assert_ends(child, 0);
    assert_int_equal(rename(away, notify), 0);
}

typedef struct waiter {
    tycho_store *store;
    int64_t timeout_ms;
    int status;
} waiter;

static void *wait_in_thread(void *context) {
    waiter *w = context;
    uint64_t head;
    w->status = tycho_wait(w->store, 0, w->timeout_ms, &head);
    return NULL;
}

/* The first, who is the watcher, leaves: another must take its place, or all sleep for long. */
static void a_silent_commit_is_noticed_by_those_behind_the_watcher(void **state) {
    fixture *f = *state;
    enum { WAITERS = 6, LIMIT_S = 15 }; /* half of what they sleep behind a watcher */
    tycho_store *store;
    waiter waiters[WAITERS];
    pthread_t threads[WAITERS];
    ASSERT_STATUS(open_store(f->path, TYCHO_EXISTING, &store), TYCHO_OK);
    for (int i = 0; i < WAITERS; i++) {
        int64_t timeout_ms = i < 2 ? 500 + 100 * i : WAIT_MS;
        waiters[i] = (waiter){.store = store, .timeout_ms = timeout_ms};
        assert_int_equal(pthread_create(&threads[i], NULL, wait_in_thread, &waiters[i]), 0);
        usleep(20000);
    }
    assert_int_equal(pthread_join(threads[0], NULL), 0);
    assert_int_equal(pthread_join(threads[1], NULL), 0);
    assert_int_equal(waiters[0].status, TYCHO_TIMEOUT);
    assert_int_equal(waiters[1].status, TYCHO_TIMEOUT);
    commit_silently(f);
    time_t start = time(NULL);
    for (int i = 2; i < WAITERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(waiters[i].status, TYCHO_OK);
    }
    assert_in_range(time(NULL) - start, 0, LIMIT_S);
    tycho_store_close(store);
}

/* ---------------------------------------------------------------- other waiters */

static int wait_for_event(const char *path, const char *id) {
    tycho_store *store;
    tycho_follower *follower;
    tycho_event event;
    tycho_read read = {.size = sizeof read, .stream = text("s")};
    if (open_store(path, TYCHO_READ_ONLY, &store) != TYCHO_OK) return 2;
    if (tycho_follower_open(store, &read, &follower) != TYCHO_OK) return 3;
    do {
        if (tycho_follower_next(follower, WAIT_MS, &event) != TYCHO_OK) return 4;
    } while (event.id.size != strlen(id) || memcmp(event.id.data, id, event.id.size) != 0);
    tycho_follower_close(follower);
    tycho_store_close(store);
    return 0;
}

static void stopped_and_killed_waiters_do_not_matter(void **state) {
    fixture *f = *state;
    pid_t children[3];
    tycho_store *store;
    for (int i = 0; i < 3; i++) {
        children[i] = fork();
        if (children[i] == 0) _exit(wait_for_event(f->path, "b"));
        assert_true(children[i] > 0);
    }
    usleep(100000);
    assert_int_equal(kill(children[0], SIGSTOP), 0);
    assert_int_equal(kill(children[1], SIGKILL), 0);
    assert_ends(children[1], 128 + SIGKILL);
    ASSERT_STATUS(open_store(f->path, TYCHO_EXISTING, &store), TYCHO_OK);
    ASSERT_STATUS(append(store, "s", "a", "t", NULL), TYCHO_OK);
    ASSERT_STATUS(append(store, "s", "b", "t", NULL), TYCHO_OK);
    assert_ends(children[2], 0);
    assert_int_equal(kill(children[0], SIGCONT), 0);
    assert_ends(children[0], 0);
    tycho_store_close(store);
}

/* Who may not write the directory has no part in the file of wake-ups, and looks. */
static void a_reader_without_rights_is_told_too(void **state) {
    fixture *f = *state;
    tycho_store *store;
    char file[DIRECTORY_SIZE + 32];
    enum { NOBODY = 65534 };
    if (geteuid() != 0) skip();
    assert_int_equal(chmod(f->directory, 0755), 0);
    assert_int_equal(chmod(f->path, 0755), 0);
    snprintf(file, sizeof file, "%s/data.mdb", f->path);
    assert_int_equal(chmod(file, 0644), 0);
    snprintf(file, sizeof file, "%s/lock.mdb", f->path);
    assert_int_equal(chmod(file, 0666), 0);
    pid_t child = fork();
    if (child == 0) _exit(setuid(NOBODY) == 0 ? wait_for_event(f->path, "b") : 1);
    assert_true(child > 0);
    ASSERT_STATUS(open_store(f->path, TYCHO_EXISTING, &store), TYCHO_OK);
    ASSERT_STATUS(append(store, "s", "a", "t", NULL), TYCHO_OK);
    usleep(300000);
    ASSERT_STATUS(append(store, "s", "b", "t", NULL), TYCHO_OK);
    assert_ends(child, 0);
    tycho_store_close(store);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_closed, open_and_tear_down)
        TEST(a_killed_follower_goes_on_from_its_key_in_another_process),
        TEST(a_silent_commit_is_noticed_by_those_behind_the_watcher),
        TEST(stopped_and_killed_waiters_do_not_matter),
        TEST(a_reader_without_rights_is_told_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
