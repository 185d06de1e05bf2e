/* follower_wait_test.c - descriptors of followers, from one thread; what waiting costs; and commits
** that were not announced.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "follower_values.h"

/* ---------------------------------------------------------------- descriptors */

static int threads(void) {
    DIR *directory = opendir("/proc/self/task");
    int count = 0;
    assert_non_null(directory);
    while (readdir(directory) != NULL) count++;
    closedir(directory);
    return count;
}

/* One that was joined may be listed a moment longer. */
static void assert_threads(int expected) {
    for (int i = 0; i < 5000 && threads() != expected; i++) usleep(1000);
    assert_int_equal(threads(), expected);
}

static bool is_readable(int descriptor, int timeout_ms) {
    struct pollfd place = {.fd = descriptor, .events = POLLIN};
    return poll(&place, 1, timeout_ms) == 1;
}

static void descriptors_tell_when_there_is_something(void **state) {
    fixture *f = *state;
    tycho_read log = reading(""), stream = reading("s");
    int of_log, of_stream, again, before = threads();
    f->follower = follow(f->store, &log);
    f->other = follow(f->store, &stream);
    assert_threads(before);
    ASSERT_STATUS(tycho_follower_descriptor(f->follower, &of_log), TYCHO_OK);
    ASSERT_STATUS(tycho_follower_descriptor(f->other, &of_stream), TYCHO_OK);
    ASSERT_STATUS(tycho_follower_descriptor(f->other, &again), TYCHO_OK);
    assert_int_equal(again, of_stream);
    assert_threads(before + 1);
    assert_true(is_readable(of_log, 0)); /* may have something, until it was asked */
    assert_serves(f->follower, "");
    assert_serves(f->other, "");
    assert_false(is_readable(of_log, 0));
    assert_false(is_readable(of_stream, 20));
    ASSERT_STATUS(append(f->store, "s", "a", "t", NULL), TYCHO_OK);
    assert_true(is_readable(of_log, 10000));
    assert_true(is_readable(of_stream, 10000));
    assert_serves(f->follower, "a ");
    assert_false(is_readable(of_log, 0));
    ASSERT_STATUS(append(f->store, "s", "b", "t", NULL), TYCHO_OK);
    assert_true(is_readable(of_log, 10000));
    assert_next(f->other, 0, "a");
    assert_true(is_readable(of_stream, 0)); /* there is more */
    assert_serves(f->other, "b ");
    assert_false(is_readable(of_stream, 20));
    tycho_follower_close(f->other);
    f->other = NULL;
    assert_threads(before + 1);
    tycho_follower_cancel(f->follower);
    assert_true(is_readable(of_log, 10000));
    assert_serves(f->follower, "");
    assert_true(is_readable(of_log, 0)); /* END is an answer, too */
    tycho_follower_close(f->follower);
    f->follower = NULL;
    assert_threads(before);
}

static void a_limit_leaves_the_descriptor_readable(void **state) {
    fixture *f = *state;
    tycho_read read = reading("s");
    tycho_event event;
    int descriptor;
    read.limit = 1;
    write_three(f, "s");
    f->follower = follow(f->store, &read);
    ASSERT_STATUS(tycho_follower_descriptor(f->follower, &descriptor), TYCHO_OK);
    assert_next(f->follower, 0, "a");
    ASSERT_STATUS(tycho_follower_next(f->follower, 0, &event), TYCHO_END);
    assert_true(is_readable(descriptor, 0));
}

/* ---------------------------------------------------------------- idleness */

static int64_t cpu_us(void) {
    struct rusage used;
    assert_int_equal(getrusage(RUSAGE_SELF, &used), 0);
    return (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000 + used.ru_utime.tv_usec +
           used.ru_stime.tv_usec;
}

static void a_thousand_idle_descriptors_cost_next_to_nothing(void **state) {
    fixture *f = *state;
    enum { COUNT = 1000 };
    static tycho_follower *followers[COUNT];
    static struct pollfd places[COUNT];
    tycho_read read = reading("s");
    struct rlimit files;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
    rlim_t before = files.rlim_cur;
    files.rlim_cur = files.rlim_max < 4096 ? files.rlim_max : 4096;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
    write_three(f, "s");
    for (int i = 0; i < COUNT; i++) {
        followers[i] = follow(f->store, &read);
        ASSERT_STATUS(tycho_follower_descriptor(followers[i], &places[i].fd), TYCHO_OK);
        places[i].events = POLLIN;
        assert_serves(followers[i], "a b c ");
    }
    int64_t cpu = cpu_us();
    assert_int_equal(poll(places, COUNT, 1000), 0);
    assert_in_range(cpu_us() - cpu, 0, 200000); /* measured: some 1,000 */
    ASSERT_STATUS(append(f->store, "s", "d", "t", NULL), TYCHO_OK);
    for (int i = 0; i < COUNT; i++) {
        assert_true(is_readable(places[i].fd, 10000));
        assert_serves(followers[i], "d ");
        tycho_follower_close(followers[i]);
    }
    files.rlim_cur = before;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
}

static void without_descriptors_it_says_so_and_can_be_asked_again(void **state) {
    fixture *f = *state;
    tycho_read read = reading("s");
    struct rlimit files, none;
    int descriptor, before = threads();
    f->follower = follow(f->store, &read);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
    none = files;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    int status = tycho_follower_descriptor(f->follower, &descriptor);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
    ASSERT_STATUS(status, TYCHO_IO);
    assert_int_equal(descriptor, -1);
    assert_threads(before);
    ASSERT_STATUS(tycho_follower_descriptor(f->follower, &descriptor), TYCHO_OK);
    assert_true(is_readable(descriptor, 0));
}

/* ---------------------------------------------------------------- who announces nothing */

/* Commits in another process, which has another file of wake-ups: as if it had been killed between
** its commit and the announcement. */
static void commit_silently(fixture *f, const char *id) {
    char notify[DIRECTORY_SIZE + 32], away[DIRECTORY_SIZE + 32];
    int ended;
    snprintf(notify, sizeof notify, "%s/notify", f->path);
    snprintf(away, sizeof away, "%s/notify.away", f->path);
    assert_int_equal(rename(notify, away), 0);
    pid_t pid = fork();
    if (pid == 0) {
        tycho_store *store;
        int status = open_store(f->path, TYCHO_EXISTING, &store);
        if (status == TYCHO_OK) status = append(store, "s", id, "t", NULL);
        _exit(status == TYCHO_OK ? 0 : 1);
    }
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &ended, 0), pid);
    assert_int_equal(ended, 0);
    assert_int_equal(rename(away, notify), 0);
}

static void a_commit_that_was_not_announced_is_noticed_by_who_waits(void **state) {
    fixture *f = *state;
    tycho_read read = reading("s");
    int descriptor;
    f->follower = follow(f->store, &read);
    ASSERT_STATUS(tycho_follower_descriptor(f->follower, &descriptor), TYCHO_OK);
    assert_serves(f->follower, "");
    assert_false(is_readable(descriptor, 0));
    commit_silently(f, "a");
    assert_true(is_readable(descriptor, 20000)); /* the thread is the watcher */
    assert_serves(f->follower, "a ");
}

static void a_word_of_another_life_of_the_file_is_put_right(void **state) {
    fixture *f = *state;
    char notify[DIRECTORY_SIZE + 32];
    const uint32_t far = 1000000;
    uint32_t word = 0;
    tycho_read read = reading("s");
    tycho_event event;
    write_three(f, "s");
    f->follower = follow(f->store, &read);
    assert_serves(f->follower, "a b c ");
    snprintf(notify, sizeof notify, "%s/notify", f->path);
    int fd = open(notify, O_RDWR);
    assert_int_equal(pread(fd, &word, sizeof word, 8), sizeof word);
    assert_int_equal(word >> 1, 3); /* the sequence */
    assert_int_equal(pwrite(fd, &far, sizeof far, 8), sizeof far);
    ASSERT_STATUS(tycho_follower_next(f->follower, 100, &event), TYCHO_TIMEOUT);
    assert_int_equal(pread(fd, &word, sizeof word, 8), sizeof word);
    assert_int_equal(word >> 1, 3);
    close(fd);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(descriptors_tell_when_there_is_something),
        TEST(a_limit_leaves_the_descriptor_readable),
        TEST(a_thousand_idle_descriptors_cost_next_to_nothing),
        TEST(without_descriptors_it_says_so_and_can_be_asked_again),
        TEST(a_commit_that_was_not_announced_is_noticed_by_who_waits),
        TEST(a_word_of_another_life_of_the_file_is_put_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
