/* lock_processes_test.c - named locks between processes that are killed, stopped, or fork.
**
** Children tell by a byte through a pipe how far they are, and answer with their exit code: 0, or
** the line of the check that did not hold (modulo 251, never 0). TYCHO_SEED orders the kills.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "store_fixture.h"

enum { LONG_MS = 20000, WORKERS = 8, NAMES = 3, KILLS = 300, LIFE = 60 };

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "child, line %d: %s\n", __LINE__, tycho_error());                      \
            _exit(__LINE__ % 251 + 1);                                                             \
        }                                                                                          \
    } while (0)

/* ---------------------------------------------------------------- children */

typedef struct child {
    pid_t pid;
    int told;  /* what it tells, a byte each time */
    int order; /* what it is told to do next */
} child;

static void pause_ms(long ms) {
    struct timespec pause = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&pause, NULL);
}

static void tell(int fd) {
    CHECK(write(fd, "x", 1) == 1);
}

static void await_order(int fd) {
    char byte;
    CHECK(read(fd, &byte, 1) == 1);
}

typedef void (*role)(const fixture *f, int tells, int orders);

static child start(fixture *f, role run) {
    int told[2], order[2];
    assert_int_equal(pipe(told), 0);
    assert_int_equal(pipe(order), 0);
    fflush(NULL);
    child made = {fork(), told[0], order[1]};
    assert_true(made.pid >= 0);
    if (made.pid == 0) {
        run(f, told[1], order[0]);
        _exit(0);
    }
    close(told[1]);
    close(order[0]);
    return made;
}

static void await(child *c) {
    struct pollfd pipe = {.fd = c->told, .events = POLLIN};
    char byte;
    assert_int_equal(poll(&pipe, 1, LONG_MS), 1);
    assert_int_equal(read(c->told, &byte, 1), 1);
}

static void order(child *c) {
    assert_int_equal(write(c->order, "x", 1), 1);
}

/* Waits for its end; gives the exit code, or 128 + the signal. */
static int end(child *c) {
    int status;
    assert_int_equal(waitpid(c->pid, &status, 0), c->pid);
    close(c->told);
    close(c->order);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void kill_child(child *c) {
    assert_int_equal(kill(c->pid, SIGKILL), 0);
    assert_int_equal(end(c), 128 + SIGKILL);
}

static tycho_store *open_in_child(const fixture *f) {
    tycho_store *store;
    CHECK(open_store(f->path, TYCHO_EXISTING, &store) == TYCHO_OK);
    return store;
}

static uint64_t take_now(fixture *f, const char *name) {
    tycho_lock *lock;
    ASSERT_STATUS(tycho_lock_take(f->store, text(name), LONG_MS, &lock, NULL), TYCHO_OK);
    uint64_t token = tycho_lock_token(lock);
    tycho_lock_release(lock);
    return token;
}

static int commit_under(fixture *f, const char *name, uint64_t token, int64_t *actual) {
    const tycho_receipt *receipt;
    tycho_batch *batch;
    ASSERT_STATUS(tycho_batch_create(&batch), TYCHO_OK);
    ASSERT_STATUS(tycho_batch_expect_lock(batch, text(name), token), TYCHO_OK);
    int status = tycho_commit(f->store, batch, &receipt);
    *actual = receipt->actual;
    tycho_batch_destroy(batch);
    return status;
}

/* Waits until so many wait for the lock, which is held. */
static void await_waiters(fixture *f, const char *name, uint32_t waiters) {
    tycho_lock_info info[4];
    size_t count = 0;
    for (int i = 0; i < LONG_MS; i++) {
        ASSERT_STATUS(tycho_lock_list(f->store, info, 4, &count), TYCHO_OK);
        for (size_t k = 0; k < count; k++) {
            if (strcmp(info[k].name, name) == 0 && info[k].waiters == waiters) return;
        }
        pause_ms(1);
    }
    fail_msg("there are never %u waiters", waiters);
}

/* ---------------------------------------------------------------- roles */

/* Takes "a" and has it until it is killed or told to end. */
static void hold(const fixture *f, int tells, int orders) {
    tycho_store *store = open_in_child(f);
    tycho_lock *lock;
    CHECK(tycho_lock_take(store, text("a"), LONG_MS, &lock, NULL) == TYCHO_OK);
    tell(tells);
    await_order(orders);
    tycho_lock_release(lock);
    tycho_store_close(store);
}

/* Waits for "a" as long as it takes. */
static void wait_for_a(const fixture *f, int tells, int orders) {
    tycho_store *store = open_in_child(f);
    tycho_lock *lock;
    (void)orders;
    CHECK(tycho_lock_take(store, text("a"), -1, &lock, NULL) == TYCHO_OK);
    tell(tells);
    tycho_lock_release(lock);
    tycho_store_close(store);
}

/* Takes "a", then waits for "b". */
static void hold_and_wait(const fixture *f, int tells, int orders) {
    tycho_store *store = open_in_child(f);
    tycho_lock *a, *b;
    (void)orders;
    CHECK(tycho_lock_take(store, text("a"), LONG_MS, &a, NULL) == TYCHO_OK);
    tell(tells);
    CHECK(tycho_lock_take(store, text("b"), LONG_MS, &b, NULL) == TYCHO_OK);
    tycho_lock_release(b);
    tycho_lock_release(a);
    tycho_store_close(store);
}

/* Forks a child, takes a lock, forks another one; is then killed. */
static void hold_with_children(const fixture *f, int tells, int orders) {
    tycho_store *store = open_in_child(f);
    tycho_lock *lock;
    for (int i = 0; i < 2; i++) {
        if (i == 1) CHECK(tycho_lock_take(store, text("a"), LONG_MS, &lock, NULL) == TYCHO_OK);
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid > 0) continue;
        await_order(orders); /* the parent is gone by then */
        _exit(0);
    }
    tell(tells);
    pause();
}

/* Fills the table. */
static void hold_many(const fixture *f, int tells, int orders) {
    tycho_store *store = open_in_child(f);
    for (int i = 0; i < TYCHO_LOCKS_MAX; i++) {
        tycho_lock *lock;
        char name[16];
        snprintf(name, sizeof name, "many %d", i);
        CHECK(tycho_lock_take(store, text(name), 0, &lock, NULL) == TYCHO_OK);
    }
    tell(tells);
    await_order(orders);
}

/* ---------------------------------------------------------------- killed and stopped */

static void the_lock_of_a_killed_process_is_free(void **state) {
    fixture *f = *state;
    uint64_t last = 0;
    for (int i = 0; i < 5; i++) {
        child owner = start(f, hold);
        await(&owner);
        child waiter = start(f, wait_for_a);
        await_waiters(f, "a", 1);
        kill_child(&owner);
        await(&waiter);
        assert_int_equal(end(&waiter), 0);
        uint64_t token = take_now(f, "a");
        assert_true(token >= last + 3);
        last = token;
    }
}

static void a_killed_waiter_loses_its_turn_only(void **state) {
    fixture *f = *state;
    child owner = start(f, hold), waiters[3];
    await(&owner);
    for (uint32_t i = 0; i < 3; i++) {
        waiters[i] = start(f, wait_for_a);
        await_waiters(f, "a", i + 1);
    }
    kill_child(&waiters[0]);
    kill_child(&waiters[1]);
    order(&owner);
    await(&waiters[2]);
    assert_int_equal(end(&waiters[2]), 0);
    assert_int_equal(end(&owner), 0);
    take_now(f, "a");
}

static void a_stopped_waiter_is_passed_over_and_queues_up_again(void **state) {
    fixture *f = *state;
    for (long ms = 0; ms <= 1200; ms += 1200) { /* passed over; its place given up, too */
        child owner = start(f, hold), first, second;
        await(&owner);
        first = start(f, wait_for_a);
        await_waiters(f, "a", 1);
        assert_int_equal(kill(first.pid, SIGSTOP), 0);
        second = start(f, wait_for_a);
        await_waiters(f, "a", 1); /* the stopped one does not count any more */
        pause_ms(ms);
        order(&owner);
        await(&second);
        assert_int_equal(end(&second), 0);
        assert_int_equal(end(&owner), 0);
        take_now(f, "a");
        assert_int_equal(kill(first.pid, SIGCONT), 0);
        await(&first);
        assert_int_equal(end(&first), 0);
    }
}

static void a_stopped_owner_has_the_lock_until_it_is_killed(void **state) {
    fixture *f = *state;
    tycho_lock_info owner;
    tycho_lock *lock;
    int64_t actual;
    child held = start(f, hold);
    await(&held);
    assert_int_equal(kill(held.pid, SIGSTOP), 0);
    ASSERT_STATUS(tycho_lock_take(f->store, text("a"), 300, &lock, &owner), TYCHO_TIMEOUT);
    assert_int_equal(owner.pid, held.pid);
    uint64_t token = owner.token;
    ASSERT_STATUS(commit_under(f, "a", token, &actual), TYCHO_OK);
    ASSERT_STATUS(commit_under(f, "b", token, &actual), TYCHO_CONDITION_FAILED);
    ASSERT_STATUS(commit_under(f, "a", token + 1, &actual), TYCHO_CONDITION_FAILED);
    assert_int_equal(actual, token);
    kill_child(&held);
    ASSERT_STATUS(commit_under(f, "a", token, &actual), TYCHO_CONDITION_FAILED);
    assert_int_equal(actual, 0);
    size_t count;
    ASSERT_STATUS(tycho_lock_list(f->store, NULL, 0, &count), TYCHO_OK);
    assert_int_equal(count, 0);
    held = start(f, hold); /* a later grant */
    await(&held);
    ASSERT_STATUS(commit_under(f, "a", token, &actual), TYCHO_CONDITION_FAILED);
    assert_true(actual > (int64_t)token);
    ASSERT_STATUS(commit_under(f, "a", (uint64_t)actual, &actual), TYCHO_OK);
    order(&held);
    assert_int_equal(end(&held), 0);
}

static void slots_of_the_dead_are_used_again(void **state) {
    fixture *f = *state;
    tycho_lock *lock;
    child many = start(f, hold_many);
    await(&many);
    ASSERT_STATUS(tycho_lock_take(f->store, text("a"), 0, &lock, NULL), TYCHO_TOO_LARGE);
    kill_child(&many);
    take_now(f, "a");
    many = start(f, hold_many);
    await(&many);
    order(&many);
    assert_int_equal(end(&many), 0);
    take_now(f, "a");
}

/* ---------------------------------------------------------------- what is told */

static void a_time_out_names_the_owner_and_what_it_waits_for(void **state) {
    fixture *f = *state;
    tycho_lock *a, *b;
    tycho_lock_info owner;
    char host[65] = "", expected[200];
    int64_t before = tycho_now();
    assert_int_equal(gethostname(host, sizeof host - 1), 0);
    ASSERT_STATUS(tycho_lock_take(f->store, text("b"), 0, &b, NULL), TYCHO_OK);
    child held = start(f, hold_and_wait);
    await(&held);
    await_waiters(f, "b", 1);
    for (int64_t timeout = 0; timeout <= 100; timeout += 50) { /* they wait for each other */
        ASSERT_STATUS(tycho_lock_take(f->store, text("a"), timeout, &a, &owner), TYCHO_TIMEOUT);
        assert_null(a);
        assert_int_equal(owner.pid, held.pid);
        assert_int_equal(owner.thread, held.pid);
        assert_string_equal(owner.name, "a");
        assert_string_equal(owner.host, host);
        assert_true(owner.since >= before && owner.since <= tycho_now());
        assert_true(owner.token > tycho_lock_token(b));
        snprintf(expected, sizeof expected,
                 "waited %d ms for the lock \"a\", which process %d (thread %d) on %s has held for",
                 (int)timeout, (int)held.pid, (int)held.pid, host);
        assert_non_null(strstr(tycho_error(), expected));
        assert_non_null(strstr(tycho_error(), "; it waits itself for the lock \"b\""));
    }
    tycho_lock_release(b);
    assert_int_equal(end(&held), 0);
    take_now(f, "a");
}

/* ---------------------------------------------------------------- fork */

static void a_child_neither_has_nor_breaks_the_lock_of_its_parent(void **state) {
    fixture *f = *state;
    tycho_lock *lock;
    ASSERT_STATUS(tycho_lock_take(f->store, text("a"), 0, &lock, NULL), TYCHO_OK);
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        tycho_lock *other;
        size_t count;
        CHECK(tycho_lock_take(f->store, text("b"), 0, &other, NULL) == TYCHO_FORKED);
        CHECK(tycho_lock_list(f->store, NULL, 0, &count) == TYCHO_FORKED);
        CHECK(tycho_lock_token(lock) > 0);
        tycho_lock_release(lock);
        tycho_store_close(f->store);
        tycho_store *own = open_in_child(f);
        CHECK(tycho_lock_take(own, text("a"), 0, &other, NULL) == TYCHO_TIMEOUT);
        CHECK(tycho_lock_take(own, text("b"), 0, &other, NULL) == TYCHO_OK);
        tycho_lock_release(other);
        tycho_store_close(own);
        _exit(0);
    }
    int status;
    int64_t actual;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    ASSERT_STATUS(commit_under(f, "a", tycho_lock_token(lock), &actual), TYCHO_OK);
    child waiter = start(f, wait_for_a);
    await_waiters(f, "a", 1);
    tycho_lock_release(lock);
    await(&waiter);
    assert_int_equal(end(&waiter), 0);
}

static void the_children_of_a_killed_owner_do_not_keep_its_lock(void **state) {
    fixture *f = *state;
    child owner = start(f, hold_with_children);
    await(&owner);
    assert_int_equal(kill(owner.pid, SIGKILL), 0);
    take_now(f, "a"); /* while both of its children live */
    order(&owner);
    order(&owner);
    assert_int_equal(end(&owner), 128 + SIGKILL);
}

/* ---------------------------------------------------------------- a hog */

static struct shared {
    _Atomic uint64_t inside[NAMES], last_token[NAMES];
    _Atomic uint64_t grants[WORKERS], commits, time_outs;
    atomic_bool is_over;
} * shared;

static void hog(const fixture *f, int tells, int orders) {
    tycho_store *store = open_in_child(f);
    (void)orders;
    for (bool is_first = true; !atomic_load(&shared->is_over); is_first = false) {
        tycho_lock *lock;
        CHECK(tycho_lock_take(store, text("a"), LONG_MS, &lock, NULL) == TYCHO_OK);
        atomic_fetch_add(&shared->grants[0], 1);
        if (is_first) tell(tells);
        int64_t until = tycho_now() + 100; /* us; and then it takes it again at once */
        while (tycho_now() < until) continue;
        tycho_lock_release(lock);
    }
    tycho_store_close(store);
}

/* Without a queue, who is woken comes too late nearly always. */
static void a_hog_does_not_starve_the_others(void **state) {
    enum { GRANTS = 50, MANY = 200 }; /* without a queue it is some 500 */
    fixture *f = *state;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(shared, MAP_FAILED);
    child hogs[2] = {start(f, hog), start(f, hog)};
    for (int i = 0; i < 2; i++) await(&hogs[i]);
    uint64_t before = atomic_load(&shared->grants[0]);
    for (int i = 0; i < GRANTS; i++) {
        tycho_lock *lock;
        pause_ms(1);
        ASSERT_STATUS(tycho_lock_take(f->store, text("a"), LONG_MS, &lock, NULL), TYCHO_OK);
        tycho_lock_release(lock);
    }
    uint64_t theirs = atomic_load(&shared->grants[0]) - before;
    atomic_store(&shared->is_over, true);
    for (int i = 0; i < 2; i++) assert_int_equal(end(&hogs[i]), 0);
    munmap(shared, sizeof *shared);
    print_message("# %d grants of the hogs\n", (int)theirs);
    if (theirs > GRANTS * MANY) fail_msg("the hogs got %d grants", (int)theirs);
}

/* ---------------------------------------------------------------- many kills */

static uint64_t random_of(uint64_t *seed) {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* A violation is seen by who is inside: a dead owner writes nothing any more. */
static void stay_inside(int name, const tycho_lock *lock, int turns) {
    uint64_t token = tycho_lock_token(lock);
    CHECK(token > atomic_load(&shared->last_token[name]));
    atomic_store(&shared->last_token[name], token);
    atomic_store(&shared->inside[name], token);
    for (int i = 0; i < turns; i++) CHECK(atomic_load(&shared->inside[name]) == token);
}

static void commit_inside(tycho_store *store, const char *name, const tycho_lock *lock) {
    tycho_batch *batch;
    const tycho_new_event event = {.type = text("written")};
    CHECK(tycho_batch_create(&batch) == TYCHO_OK);
    CHECK(tycho_batch_expect_lock(batch, text(name), tycho_lock_token(lock)) == TYCHO_OK);
    CHECK(tycho_batch_append(batch, text(name), TYCHO_EXPECT_ANY, &event, 1, 0) == TYCHO_OK);
    CHECK(tycho_commit(store, batch, NULL) == TYCHO_OK);
    tycho_batch_destroy(batch);
    atomic_fetch_add(&shared->commits, 1);
}

static void work(const fixture *f, int worker, uint64_t seed) {
    static const char *const names[NAMES] = {"a", "b", "c"};
    tycho_store *store = open_in_child(f);
    for (;;) {
        tycho_lock *locks[NAMES] = {NULL, NULL, NULL};
        for (int i = 0; i < NAMES; i++) { /* some of them, in order: no circle */
            if (random_of(&seed) % 2 == 0) continue;
            int64_t timeout = (int64_t)(random_of(&seed) % 40);
            int status = tycho_lock_take(store, text(names[i]), timeout, &locks[i], NULL);
            if (status == TYCHO_TIMEOUT) {
                atomic_fetch_add(&shared->time_outs, 1);
                continue;
            }
            CHECK(status == TYCHO_OK);
            stay_inside(i, locks[i], (int)(random_of(&seed) % 2000));
            if (random_of(&seed) % 64 == 0) commit_inside(store, names[i], locks[i]);
        }
        for (int i = 0; i < NAMES; i++) {
            if (locks[i] == NULL) continue;
            CHECK(atomic_load(&shared->inside[i]) == tycho_lock_token(locks[i]));
            tycho_lock_release(locks[i]);
        }
        atomic_fetch_add(&shared->grants[worker], 1);
    }
}

static pid_t start_worker(const fixture *f, int worker, uint64_t seed) {
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) work(f, worker, seed);
    return pid;
}

/* Gives whether it was killed, and not ended by a check of its own. */
static bool kill_worker(pid_t worker) {
    int status;
    kill(worker, SIGKILL);
    assert_int_equal(waitpid(worker, &status, 0), worker);
    return WIFSIGNALED(status);
}

/* As when the machine goes down: everybody is dead, and the table is from another boot. */
static int end_all(const fixture *f, pid_t workers[WORKERS]) {
    int ended = 0;
    for (int i = 0; i < WORKERS; i++) ended += kill_worker(workers[i]) ? 0 : 1;
    unlink(f->lock_table);
    return ended;
}

static void exclusion_and_tokens_survive_kills(void **state) {
    fixture *f = *state;
    const char *wanted = getenv("TYCHO_SEED");
    uint64_t seed = wanted == NULL ? (uint64_t)tycho_now() : strtoull(wanted, NULL, 10);
    pid_t workers[WORKERS];
    int ended = 0;
    print_message("# TYCHO_SEED=%llu\n", (unsigned long long)seed);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(shared, MAP_FAILED);
    for (int kills = 0; kills < KILLS; kills += LIFE) {
        for (int i = 0; i < WORKERS; i++) workers[i] = start_worker(f, i, random_of(&seed) | 1);
        for (int i = 0; i < LIFE; i++) {
            int worker = (int)(random_of(&seed) % WORKERS);
            pause_ms((long)(random_of(&seed) % 15));
            if (!kill_worker(workers[worker])) ended++;
            workers[worker] = start_worker(f, worker, random_of(&seed) | 1);
        }
        ended += end_all(f, workers);
    }
    uint64_t grants = 0, commits = atomic_load(&shared->commits), head;
    for (int i = 0; i < WORKERS; i++) grants += atomic_load(&shared->grants[i]);
    print_message("# %d kills, %llu turns, %llu time-outs, %llu commits\n", KILLS,
                  (unsigned long long)grants, (unsigned long long)atomic_load(&shared->time_outs),
                  (unsigned long long)commits);
    assert_int_equal(ended, 0); /* none ended by a check of its own */
    assert_true(grants > KILLS);
    ASSERT_STATUS(tycho_head(f->store, &head), TYCHO_OK);
    assert_true(head >= commits);
    for (int i = 0; i < NAMES; i++) {
        const char name[] = {(char)('a' + i), '\0'};
        assert_true(take_now(f, name) > atomic_load(&shared->last_token[i]));
    }
    munmap(shared, sizeof *shared);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(the_lock_of_a_killed_process_is_free),
        TEST(a_killed_waiter_loses_its_turn_only),
        TEST(a_stopped_waiter_is_passed_over_and_queues_up_again),
        TEST(a_stopped_owner_has_the_lock_until_it_is_killed),
        TEST(slots_of_the_dead_are_used_again),
        TEST(a_time_out_names_the_owner_and_what_it_waits_for),
        TEST(a_child_neither_has_nor_breaks_the_lock_of_its_parent),
        TEST(the_children_of_a_killed_owner_do_not_keep_its_lock),
        TEST(a_hog_does_not_starve_the_others),
        TEST(exclusion_and_tokens_survive_kills),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
