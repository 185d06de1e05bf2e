/* half_commit_test.c - a process is killed behind each of the writes of its commit.
**
** Whoever reads then sees the commit or does not, and that stays so: nothing may appear later by
** itself, with a handle that was open before or one that is opened now. Otherwise a publisher that
** looks how far it was, and goes on from there, would publish an event twice.
**
** Another process keeps the store open all the time, as LMDB begins anew where nobody does. The
** function that writes is defined here; the linker exports it, so that LMDB calls it.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store_values.h"

enum { WRITES_MAX = 100, SWEEPS = 8 };

typedef struct fixture {
    char directory[DIRECTORY_SIZE];
    char path[DIRECTORY_SIZE + 8];
    pid_t keeper;
} fixture;

static long writes_left = -1; /* until this process kills itself; -1: it does not */

__attribute__((visibility("default"))) ssize_t pwrite(int fd, const void *data, size_t size,
                                                      off_t offset) {
    ssize_t result = syscall(SYS_pwrite64, fd, data, size, offset);
    if (writes_left >= 0 && writes_left-- == 0) kill(getpid(), SIGKILL);
    return result;
}

static int append(tycho_store *store, const char *id) {
    return append_event(store, "stream", id);
}

/* Keeps the store open until it is killed. */
static pid_t start_keeper(const char *path) {
    int told[2];
    char is_open = 0;
    if (pipe(told) != 0) return -1;
    pid_t keeper = fork();
    if (keeper == 0) {
        tycho_store *store;
        is_open = tycho_store_open(path, NULL, &store) == TYCHO_OK && append(store, "first") == 0;
        if (write(told[1], &is_open, 1) != 1) _exit(1);
        for (;;) pause();
    }
    if (keeper > 0 && (read(told[0], &is_open, 1) != 1 || !is_open)) {
        kill(keeper, SIGKILL);
        keeper = -1;
    }
    close(told[0]);
    close(told[1]);
    return keeper;
}

static int set_up(void **state) {
    static fixture made;
    memset(&made, 0, sizeof made);
    if (make_directory(made.directory) != 0) return -1;
    snprintf(made.path, sizeof made.path, "%s/store", made.directory);
    made.keeper = start_keeper(made.path);
    *state = &made;
    return made.keeper > 0 ? 0 : -1;
}

static int tear_down(void **state) {
    fixture *made = *state;
    kill(made->keeper, SIGKILL);
    waitpid(made->keeper, NULL, 0);
    return remove_directory(made->directory);
}

/* Commits the event in a child that is killed behind its n-th write; whether it was. */
static bool commit_and_be_killed(const char *path, const char *id, long n) {
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        tycho_store *store;
        if (tycho_store_open(path, NULL, &store) != TYCHO_OK) _exit(1);
        writes_left = n;
        _exit(append(store, id) == TYCHO_OK ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
    return WIFSIGNALED(status);
}

static bool has(tycho_store *store, const char *id) {
    uint64_t position;
    int status = tycho_event_position(store, text(id), &position);
    assert_true(status == TYCHO_OK || status == TYCHO_EVENT_NOT_FOUND);
    return status == TYCHO_OK;
}

/* Kills a committer behind the n-th write, and looks before and after the next commit. Whether it
** was killed, and whether its event was there. */
static bool kill_once(const char *path, bool is_open_before, long sweep, long n, bool *was_there) {
    char id[32], next[32];
    tycho_store *store = NULL;
    uint64_t head, head_after;
    snprintf(id, sizeof id, "killed-%ld-%ld", sweep, n);
    snprintf(next, sizeof next, "next-%ld-%ld", sweep, n);
    if (is_open_before) assert_int_equal(tycho_store_open(path, NULL, &store), TYCHO_OK);
    bool is_killed = commit_and_be_killed(path, id, n);
    if (!is_open_before) assert_int_equal(tycho_store_open(path, NULL, &store), TYCHO_OK);
    *was_there = has(store, id);
    assert_int_equal(tycho_head(store, &head), TYCHO_OK);
    assert_int_equal(append(store, next), TYCHO_OK);
    assert_int_equal(has(store, id), *was_there);
    assert_int_equal(tycho_head(store, &head_after), TYCHO_OK);
    assert_int_equal(head_after, head + 1);
    tycho_store_close(store);
    return is_killed;
}

/* Not all commits have the same writes: some let the file grow. */
static void kill_and_look(const char *path, bool is_open_before) {
    long found = 0, missed = 0;
    for (long sweep = 0; sweep < SWEEPS; sweep++) {
        bool is_killed = true, was_there;
        for (long n = 0; is_killed; n++) {
            assert_true(n < WRITES_MAX);
            is_killed = kill_once(path, is_open_before, sweep, n, &was_there);
            assert_true(is_killed || was_there);
            found += is_killed && was_there;
            missed += !was_there;
        }
    }
    assert_true(found >= 1 && missed >= 1); /* behind the last write, and behind another one */
}

static void who_opens_the_store_sees_what_was_committed(void **state) {
    fixture *made = *state;
    kill_and_look(made->path, false);
}

static void who_has_it_open_sees_what_was_committed(void **state) {
    fixture *made = *state;
    kill_and_look(made->path, true);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(who_opens_the_store_sees_what_was_committed, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(who_has_it_open_sees_what_was_committed, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
