/* line_processes_test.c - processes that want to write at the same time take turns: none is passed
** over because another one is quicker; and one that is killed or suspended while it waits does not
** slow down the others.
**
** A flush takes a while here, so that it does not matter how quick the disk is. A child cannot use
** cmocka, so it notes in shared memory how far it is, and ends with 0 or the status that it met.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "gate.h"
#include "store_values.h"

enum { WRITERS = 4, TOGETHER = 2000, TRIES = 7, PASSED = 16 };
enum { ENTRIES = 300, PROBE_MS = 20, LONG_MS = 60000 };

typedef struct board {
    atomic_int ready, all;
    atomic_bool is_started;
    atomic_uint_fast64_t last;   /* sequence committed */
    atomic_uint_fast64_t passed; /* by so many commits of others while it waited: the most */
} board;

static board *shared;
static char directory[DIRECTORY_SIZE];

static void pause_us(long us) {
    const struct timespec pause = {.tv_nsec = us * 1000};
    nanosleep(&pause, NULL);
}

/* The linker exports it, so that the library calls it. */
__attribute__((visibility("default"))) int fdatasync(int fd) {
    (void)fd;
    pause_us(200);
    return 0;
}

static pid_t start(int (*work)(int number), int number) {
    pid_t process = fork();
    assert_true(process >= 0);
    if (process > 0) return process;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    _exit(work(number));
}

static void end(pid_t process, int signal) {
    int status = 0;
    if (signal != 0) kill(process, signal);
    assert_int_equal(waitpid(process, &status, 0), process);
    if (signal == 0) assert_int_equal(status, 0);
}

static int set_up(void **state) {
    (void)state;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return shared == MAP_FAILED ? -1 : make_directory_in_memory(directory);
}

static int tear_down(void **state) {
    (void)state;
    munmap(shared, sizeof *shared);
    return remove_directory(directory);
}

/* ---------------------------------------------------------------- taking turns */

static void note(uint64_t before, uint64_t sequence) {
    uint64_t last = atomic_load(&shared->last), passed = atomic_load(&shared->passed);
    while (last < sequence) {
        if (atomic_compare_exchange_weak(&shared->last, &last, sequence)) break;
    }
    while (passed < sequence - before) {
        if (atomic_compare_exchange_weak(&shared->passed, &passed, sequence - before)) break;
    }
}

static int append_together(int number) {
    (void)number;
    tycho_options options = {.size = sizeof options, .sync = TYCHO_SYNC_FULL, .map_size = 1u << 30};
    tycho_new_event event = {.type = text("written"), .data = text("data")};
    tycho_store *store = NULL;
    tycho_batch *batch = NULL;
    char path[DIRECTORY_SIZE + 8];
    snprintf(path, sizeof path, "%s/store", directory);
    int status = tycho_store_open(path, &options, &store);
    if (status == TYCHO_OK) status = tycho_batch_create(&batch);
    atomic_fetch_add(&shared->ready, 1);
    while (!atomic_load(&shared->is_started)) pause_us(1000);
    while (status == TYCHO_OK && atomic_fetch_add(&shared->all, 1) < TOGETHER) {
        const tycho_receipt *receipt;
        uint64_t before = atomic_load(&shared->last);
        tycho_batch_clear(batch);
        status = tycho_batch_append(batch, text("all"), TYCHO_EXPECT_ANY, &event, 1, 0);
        if (status == TYCHO_OK) status = tycho_commit(store, batch, &receipt);
        if (status == TYCHO_OK) note(before, receipt->sequence);
    }
    tycho_batch_destroy(batch);
    tycho_store_close(store);
    return status;
}

/* How many commits of others passed one that waited, at most, in a run of them all. */
static uint64_t most_passed(void) {
    pid_t writers[WRITERS];
    uint64_t last = atomic_load(&shared->last);
    memset(shared, 0, sizeof *shared);
    atomic_store(&shared->last, last);
    for (int i = 0; i < WRITERS; i++) writers[i] = start(append_together, i);
    while (atomic_load(&shared->ready) < WRITERS) pause_us(1000);
    atomic_store(&shared->is_started, true);
    for (int i = 0; i < WRITERS; i++) end(writers[i], 0);
    return atomic_load(&shared->passed);
}

/* How processes are scheduled is up to the system, so a few unlucky tries do not count. */
static void test_processes_that_write_at_once_take_turns(void **state) {
    (void)state;
    int unfair = 0;
    for (int i = 0; i < TRIES; i++) unfair += most_passed() > PASSED;
    assert_in_range(unfair, 0, TRIES / 2);
}

/* ---------------------------------------------------------------- those who fall out of line */

static tycho__gate gate;

static int64_t milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int open_gate(void) {
    int place = open(directory, O_RDONLY | O_DIRECTORY);
    int status = tycho__gate_open(&gate, place, true);
    close(place);
    return status;
}

/* Enters the gate and stays there until it is killed, or leaves at once: a process of its own. */
static int enter_and_stay(int number) {
    (void)number;
    int status = open_gate();
    if (status == TYCHO_OK) status = tycho__gate_enter(&gate, LONG_MS);
    atomic_fetch_add(&shared->ready, 1);
    for (int i = 0; i < LONG_MS && status == TYCHO_OK; i++) pause_us(1000);
    return status;
}

static int enter_and_leave(int number) {
    (void)number;
    int status = open_gate();
    atomic_fetch_add(&shared->ready, 1);
    if (status == TYCHO_OK) status = tycho__gate_enter(&gate, LONG_MS);
    if (status == TYCHO_OK) tycho__gate_leave(&gate);
    return status;
}

static void await_ready(void) {
    while (atomic_load(&shared->ready) == 0) pause_us(1000);
}

/* This process in the gate, and another one asleep in line behind it. */
static pid_t start_behind(void) {
    memset(shared, 0, sizeof *shared);
    ASSERT_STATUS(open_gate(), TYCHO_OK);
    ASSERT_STATUS(tycho__gate_enter(&gate, LONG_MS), TYCHO_OK);
    pid_t behind = start(enter_and_leave, 0);
    await_ready();
    pause_us(5 * PROBE_MS * 1000);
    return behind;
}

/* Enters and leaves many times: who slept each time would need twice as long. */
static void expect_quick_entries(void) {
    int64_t began = milliseconds();
    for (int i = 0; i < ENTRIES; i++) {
        ASSERT_STATUS(tycho__gate_enter(&gate, LONG_MS), TYCHO_OK);
        tycho__gate_leave(&gate);
    }
    assert_true(milliseconds() - began < ENTRIES * PROBE_MS / 2);
}

static void test_who_is_killed_in_line_is_not_waited_for(void **state) {
    (void)state;
    pid_t behind = start_behind();
    end(behind, SIGKILL);
    tycho__gate_leave(&gate);
    expect_quick_entries();
    ASSERT_STATUS(tycho__gate_enter(&gate, 0), TYCHO_OK);
    tycho__gate_leave(&gate);
    tycho__gate_close(&gate);
}

static void test_one_killed_in_line_does_not_let_others_time_out_at_a_free_gate(void **state) {
    (void)state;
    pid_t behind = start_behind();
    end(behind, SIGKILL);
    tycho__gate_leave(&gate);
    ASSERT_STATUS(tycho__gate_enter(&gate, 0), TYCHO_OK);
    tycho__gate_leave(&gate);
    tycho__gate_close(&gate);
}

static void test_who_is_suspended_in_line_is_passed_and_gets_in_later(void **state) {
    (void)state;
    pid_t behind = start_behind();
    assert_int_equal(kill(behind, SIGSTOP), 0);
    tycho__gate_leave(&gate);
    expect_quick_entries();
    assert_int_equal(kill(behind, SIGCONT), 0);
    end(behind, 0);
    expect_quick_entries();
    tycho__gate_close(&gate);
}

static void test_a_killed_holder_frees_the_gate_for_who_is_in_line(void **state) {
    (void)state;
    memset(shared, 0, sizeof *shared);
    ASSERT_STATUS(open_gate(), TYCHO_OK);
    pid_t holder = start(enter_and_stay, 0);
    await_ready();
    ASSERT_STATUS(tycho__gate_enter(&gate, 2 * PROBE_MS), TYCHO_TIMEOUT);
    memset(shared, 0, sizeof *shared);
    pid_t behind = start(enter_and_leave, 0);
    await_ready();
    end(holder, SIGKILL);
    end(behind, 0);
    ASSERT_STATUS(tycho__gate_enter(&gate, LONG_MS), TYCHO_OK);
    tycho__gate_leave(&gate);
    tycho__gate_close(&gate);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(processes_that_write_at_once_take_turns),
        TEST(who_is_killed_in_line_is_not_waited_for),
        TEST(one_killed_in_line_does_not_let_others_time_out_at_a_free_gate),
        TEST(who_is_suspended_in_line_is_passed_and_gets_in_later),
        TEST(a_killed_holder_frees_the_gate_for_who_is_in_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
