/* follower_threads_test.c - followers while many threads write: each sees what is right, in order,
** without a gap or a repetition; waits end when they are cancelled; descriptors come and go.
**
** Random histories: the seed is printed when TYCHO_SEED is not set. cmocka's assertions belong to
** its own thread, so that the others count what is wrong.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>
#include <unistd.h>

#include "follower_values.h"

enum { WRITERS = 3, BATCHES = 120, STREAMS = 3, WAIT_MS = 60000, SERVED_MAX = 20000 };

static atomic_int failures;

#define EXPECT(condition)                                                                       \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            atomic_fetch_add(&failures, 1);                                                   \
            fprintf(stderr, "line %d: %s (%s)\n", __LINE__, #condition, tycho_error());            \
        }                                                                                          \
    } while (0)

static pthread_t start(void *(*run)(void *), void *context) {
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, run, context), 0);
    return thread;
}

static void join(pthread_t thread) {
    assert_int_equal(pthread_join(thread, NULL), 0);
}

/* ---------------------------------------------------------------- random histories */

typedef struct writer {
    fixture *f;
    unsigned seed;
    int number;
} writer;

static unsigned random_below(unsigned *seed, unsigned limit) {
    *seed = *seed * 1103515245u + 12345u;
    return (*seed >> 16) % limit;
}

static tycho_bytes name_of(char *to, size_t size, const char *what, unsigned number) {
    int written = snprintf(to, size, "%s-%u", what, number);
    return bytes_of(to, (size_t)written);
}

/* Some events of random types and tags for a random stream, or for none. */
static int append_some(writer *w, tycho_batch *batch, int round) {
    char ids[8][32], types[8][16], tags[8][16], stream[16];
    tycho_bytes tag[8];
    tycho_new_event events[8];
    unsigned count = 1 + random_below(&w->seed, 8), to = random_below(&w->seed, STREAMS + 1);
    memset(events, 0, sizeof events);
    for (unsigned i = 0; i < count; i++) {
        int size = snprintf(ids[i], sizeof ids[i], "%d-%d-%u", w->number, round, i);
        events[i].id = bytes_of(ids[i], (size_t)size);
        events[i].type =
            name_of(types[i], sizeof types[i], "type", random_below(&w->seed, STREAMS));
        tag[i] = name_of(tags[i], sizeof tags[i], "tag", random_below(&w->seed, STREAMS));
        events[i].tags = &tag[i];
        events[i].tag_count = 1;
    }
    tycho_bytes name = name_of(stream, sizeof stream, "stream", to);
    if (to == STREAMS) name = text("");
    return tycho_batch_append(batch, name, TYCHO_EXPECT_ANY, events, count, 0);
}

static void *write_history(void *context) {
    writer *w = context;
    tycho_batch *batch = NULL;
    EXPECT(tycho_batch_create(&batch) == TYCHO_OK);
    for (int round = 0; round < BATCHES; round++) {
        char id[32], stream[16];
        unsigned what = random_below(&w->seed, 4);
        tycho_batch_clear(batch);
        if (what < 2 || round == 0) {
            EXPECT(append_some(w, batch, round) == TYCHO_OK);
        } else {
            int old = (int)random_below(&w->seed, (unsigned)round);
            int size = snprintf(id, sizeof id, "%d-%d-0", w->number, old);
            tycho_bytes event = bytes_of(id, (size_t)size);
            unsigned to = random_below(&w->seed, STREAMS);
            tycho_bytes name = name_of(stream, sizeof stream, "stream", to);
            int status = what == 2 ? tycho_batch_link(batch, name, TYCHO_EXPECT_ANY, &event, 1, 0)
                                   : tycho_batch_unlink(batch, name, &event, 1, 0);
            EXPECT(status == TYCHO_OK);
        }
        int status = tycho_commit(w->f->store, batch, NULL);
        bool is_refusal = status == TYCHO_EVENT_NOT_FOUND || status == TYCHO_ENTRY_NOT_FOUND ||
                          status == TYCHO_DUPLICATE_ENTRY;
        EXPECT(status == TYCHO_OK || (what >= 2 && is_refusal));
    }
    tycho_batch_destroy(batch);
    return NULL;
}

typedef struct watched {
    fixture *f;
    tycho_read read;
    uint64_t *served; /* positions, or revisions in a stream */
    size_t count;
} watched;

/* Follows until the event "last" comes, with a new follower from the key now and then. */
static void *follow_history(void *context) {
    watched *w = context;
    tycho_follower *follower = NULL;
    bool is_over = false;
    unsigned seed = (unsigned)(w->read.stream.size + (w->read.query != NULL));
    EXPECT(tycho_follower_open(w->f->store, &w->read, &follower) == TYCHO_OK);
    while (!is_over && w->count < SERVED_MAX) {
        tycho_event event;
        int status = tycho_follower_next(follower, WAIT_MS, &event);
        EXPECT(status == TYCHO_OK);
        if (status != TYCHO_OK) break;
        is_over = event.id.size == 4 && memcmp(event.id.data, "last", 4) == 0;
        bool in_stream = w->read.stream.size > 0;
        w->served[w->count++] = in_stream ? (uint64_t)event.revision : event.position;
        if (random_below(&seed, 20) > 0) continue;
        tycho_read read = w->read;
        tycho_follower *next = NULL;
        EXPECT(tycho_follower_key(follower, &read.resume) == TYCHO_OK);
        EXPECT(tycho_follower_open(w->f->store, &read, &next) == TYCHO_OK);
        tycho_follower_close(follower);
        follower = next;
    }
    EXPECT(is_over);
    tycho_follower_close(follower);
    return NULL;
}

/* All that is there at the end was served, in order; what else was served in a stream is gone. */
static void check_served(watched *w) {
    tycho_cursor *cursor;
    tycho_event event;
    size_t at = 0, present = 0;
    bool in_stream = w->read.stream.size > 0;
    for (size_t i = 1; i < w->count; i++) assert_true(w->served[i - 1] < w->served[i]);
    ASSERT_STATUS(tycho_cursor_open(w->f->store, &w->read, &cursor), TYCHO_OK);
    while (tycho_cursor_next(cursor, &event) == TYCHO_OK) {
        uint64_t wanted = in_stream ? (uint64_t)event.revision : event.position;
        while (at < w->count && w->served[at] < wanted) at++;
        assert_true(at < w->count);
        assert_int_equal(w->served[at], wanted);
        present++;
    }
    tycho_cursor_close(cursor);
    if (!in_stream) assert_int_equal(present, w->count);
    assert_true(w->count > 5);
}

static unsigned seed_of_run(void) {
    const char *given = getenv("TYCHO_SEED");
    unsigned seed = given != NULL ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
    print_message("TYCHO_SEED=%u\n", seed);
    return seed;
}

static void every_follower_sees_what_is_right(void **state) {
    fixture *f = *state;
    enum { FOLLOWERS = 6 };
    unsigned seed = seed_of_run();
    const tycho_bytes types[] = {text("type-0"), text("end")}, tags[] = {text("tag-1")};
    const tycho_query_item of_types[] = {{.types = types, .type_count = 2}};
    const tycho_query_item both[] = {{.types = types, .type_count = 2},
                                     {.tags = tags, .tag_count = 1}};
    const tycho_query one = {of_types, 1}, two = {both, 2};
    watched w[FOLLOWERS];
    writer writers[WRITERS];
    pthread_t readers[FOLLOWERS], threads[WRITERS];
    for (int i = 0; i < FOLLOWERS; i++) {
        w[i] = (watched){.f = f, .read = {.size = sizeof(tycho_read)}};
        w[i].served = calloc(SERVED_MAX, sizeof *w[i].served);
        assert_non_null(w[i].served);
    }
    w[1].read.stream = text("stream-0");
    w[2].read.stream = text("stream-1");
    w[3].read.query = &one;
    w[4].read.query = &two;
    w[5].read.stream = text("stream-0");
    w[5].read.query = &two;
    for (int i = 0; i < FOLLOWERS; i++) readers[i] = start(follow_history, &w[i]);
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = (writer){.f = f, .seed = seed + (unsigned)i, .number = i};
        threads[i] = start(write_history, &writers[i]);
    }
    for (int i = 0; i < WRITERS; i++) join(threads[i]);
    ASSERT_STATUS(append(f->store, "stream-0", "last", "end", NULL), TYCHO_OK);
    ASSERT_STATUS(change(f->store, LINK, "stream-1", "last"), TYCHO_OK);
    for (int i = 0; i < FOLLOWERS; i++) join(readers[i]);
    assert_int_equal(atomic_load(&failures), 0);
    for (int i = 0; i < FOLLOWERS; i++) {
        check_served(&w[i]);
        free(w[i].served);
    }
}

/* ---------------------------------------------------------------- waiting */

typedef struct waiter {
    fixture *f;
    tycho_follower *follower;
    int64_t timeout_ms;
    int status;
    int is_caught_up;
    atomic_bool is_waiting;
} waiter;

static void *wait_for_one(void *context) {
    waiter *w = context;
    tycho_event event;
    atomic_store(&w->is_waiting, true);
    w->status = tycho_follower_next(w->follower, w->timeout_ms, &event);
    w->is_caught_up = tycho_follower_is_caught_up(w->follower);
    return NULL;
}

enum { WAITERS = 16 };

static void start_waiters(fixture *f, waiter *waiters, pthread_t *threads, int64_t timeout_ms) {
    tycho_read read = {.size = sizeof read, .stream = text("s")};
    for (int i = 0; i < WAITERS; i++) {
        waiters[i].f = f;
        waiters[i].follower = follow(f->store, &read);
        waiters[i].timeout_ms = timeout_ms < 0 ? timeout_ms : timeout_ms + i;
        atomic_store(&waiters[i].is_waiting, false);
        threads[i] = start(wait_for_one, &waiters[i]);
    }
    for (int i = 0; i < WAITERS; i++) {
        while (!atomic_load(&waiters[i].is_waiting)) usleep(100);
    }
    usleep(20000); /* most of them sleep now; nothing depends on it */
}

static void end_waiters(waiter *waiters, pthread_t *threads, int expected) {
    for (int i = 0; i < WAITERS; i++) {
        join(threads[i]);
        assert_int_equal(waiters[i].status, expected);
        tycho_follower_close(waiters[i].follower);
    }
}

static void all_waiters_are_woken_by_one_commit(void **state) {
    fixture *f = *state;
    waiter waiters[WAITERS];
    pthread_t threads[WAITERS];
    for (int round = 0; round < 20; round++) {
        start_waiters(f, waiters, threads, -1);
        ASSERT_STATUS(append(f->store, "s", round % 2 == 0 ? "a" : "b", "t", NULL), TYCHO_OK);
        end_waiters(waiters, threads, TYCHO_OK);
        ASSERT_STATUS(change(f->store, DELETE, "s", ""), TYCHO_OK);
        if (round % 2 == 0) continue;
        tear_down(state); /* ids are used up */
        assert_int_equal(set_up(state), 0);
        f = *state;
    }
}

static void a_cancelled_wait_ends_and_no_other(void **state) {
    fixture *f = *state;
    waiter waiters[WAITERS];
    pthread_t threads[WAITERS];
    start_waiters(f, waiters, threads, -1);
    for (int i = 0; i < WAITERS; i += 2) {
        tycho_follower_cancel(waiters[i].follower);
        join(threads[i]);
        assert_int_equal(waiters[i].status, TYCHO_END);
        assert_int_equal(waiters[i].is_caught_up, 1);
        tycho_event event;
        ASSERT_STATUS(tycho_follower_next(waiters[i].follower, -1, &event), TYCHO_END);
    }
    ASSERT_STATUS(append(f->store, "s", "a", "t", NULL), TYCHO_OK);
    for (int i = 1; i < WAITERS; i += 2) {
        join(threads[i]);
        assert_int_equal(waiters[i].status, TYCHO_OK);
        assert_int_equal(waiters[i].is_caught_up, 1);
    }
    for (int i = 0; i < WAITERS; i++) tycho_follower_close(waiters[i].follower);
}

static void waits_end_with_their_time(void **state) {
    fixture *f = *state;
    waiter waiters[WAITERS];
    pthread_t threads[WAITERS];
    start_waiters(f, waiters, threads, 30);
    ASSERT_STATUS(append(f->store, "other", "a", "t", NULL), TYCHO_OK);
    end_waiters(waiters, threads, TYCHO_TIMEOUT);
}

/* Of threads that come and go, some cancelled at once: no wake-up may be lost. */
static void *cancel_at_once(void *context) {
    waiter *w = context;
    while (!atomic_load(&w->is_waiting)) sched_yield();
    tycho_follower_cancel(w->follower);
    return NULL;
}

static void a_cancellation_is_never_lost(void **state) {
    fixture *f = *state;
    tycho_read read = {.size = sizeof read, .stream = text("s")};
    time_t begun = time(NULL); /* measured: under a second; 40 when only the watcher finds out */
    for (int round = 0; round < 200; round++) {
        waiter w = {.f = f, .follower = follow(f->store, &read), .timeout_ms = -1};
        pthread_t waiting = start(wait_for_one, &w), cancelling = start(cancel_at_once, &w);
        join(waiting);
        join(cancelling);
        assert_int_equal(w.status, TYCHO_END);
        tycho_follower_close(w.follower);
    }
    assert_in_range(time(NULL) - begun, 0, 20);
}

/* ---------------------------------------------------------------- descriptors */

static void *poll_and_close(void *context) {
    fixture *f = context;
    tycho_read read = {.size = sizeof read};
    for (int round = 0; round < 30; round++) {
        tycho_follower *follower = NULL;
        tycho_event event;
        struct pollfd place = {.events = POLLIN};
        int status = tycho_follower_open(f->store, &read, &follower);
        if (status == TYCHO_OK) status = tycho_follower_descriptor(follower, &place.fd);
        EXPECT(status == TYCHO_OK);
        for (uint64_t wanted = 1; wanted <= 20 && status == TYCHO_OK;) {
            status = tycho_follower_next(follower, 0, &event);
            if (status == TYCHO_TIMEOUT) {
                EXPECT(poll(&place, 1, WAIT_MS) == 1);
                status = TYCHO_OK;
            } else {
                EXPECT(status == TYCHO_OK && event.position == wanted);
                wanted++;
            }
        }
        tycho_follower_close(follower);
    }
    return NULL;
}

static void descriptors_come_and_go_while_others_write(void **state) {
    fixture *f = *state;
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) threads[i] = start(poll_and_close, f);
    for (int i = 0; i < 20; i++) {
        char id[16];
        snprintf(id, sizeof id, "%d", i);
        ASSERT_STATUS(append(f->store, "s", id, "t", NULL), TYCHO_OK);
        usleep(2000);
    }
    for (int i = 0; i < 4; i++) join(threads[i]);
    assert_int_equal(atomic_load(&failures), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(every_follower_sees_what_is_right),  TEST(all_waiters_are_woken_by_one_commit),
        TEST(a_cancelled_wait_ends_and_no_other), TEST(waits_end_with_their_time),
        TEST(a_cancellation_is_never_lost),       TEST(descriptors_come_and_go_while_others_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
