/* writers_threads_test.c - threads that write to and read from one store at the same time: every
** acknowledged event is there exactly once, positions and revisions have no gaps, a refused batch
** changes nothing and does not disturb the batches that are committed with it.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>

#include "tycho.h"

enum { WRITERS = 8, READERS = 2, ROUNDS = 60, EVENTS = 2 };

typedef struct worker {
    pthread_t thread;
    tycho_store *store;
    int number;
    int failures;
    uint64_t positions[ROUNDS]; /* of the first event of each round, as the receipt says */
    uint64_t refusals;
} worker;

static tycho_bytes text(const char *string) { return (tycho_bytes){string, strlen(string)}; }

static tycho_new_event new_event(const char *id) {
    tycho_new_event event = {.id = text(id), .type = text("written"), .data = text("data")};
    return event;
}

/* Counts what must not happen; cmocka's assertions belong to the first thread. */
static void expect(worker *self, int is_true, const char *what) {
    if (is_true) return;
    self->failures++;
    print_error("thread %d: %s: %s\n", self->number, what, tycho_error());
}

/* ---------------------------------------------------------------- writers */

/* Appends to the own stream, and links the first event into "links". */
static void write_own(worker *self, tycho_batch *batch, int round) {
    char ids[EVENTS][32], stream[32];
    tycho_new_event events[EVENTS];
    const tycho_receipt *receipt;
    snprintf(stream, sizeof stream, "own-%d", self->number);
    for (int i = 0; i < EVENTS; i++) {
        snprintf(ids[i], sizeof ids[i], "own-%d-%d-%d", self->number, round, i);
        events[i] = new_event(ids[i]);
    }
    tycho_bytes first = text(ids[0]);
    int64_t expected = round == 0 ? TYCHO_EXPECT_NONE : (int64_t)round * EVENTS - 1;
    tycho_batch_clear(batch);
    int status = tycho_batch_append(batch, text(stream), expected, events, EVENTS, 0);
    if (status == TYCHO_OK) {
        status = tycho_batch_link(batch, text("links"), TYCHO_EXPECT_ANY, &first, 1, 0);
    }
    if (status == TYCHO_OK) status = tycho_commit(self->store, batch, &receipt);
    expect(self, status == TYCHO_OK, "an append to the own stream");
    if (status != TYCHO_OK) return;
    self->positions[round] = receipt->first_position;
    expect(self, receipt->event_count == EVENTS, "the count of events");
    expect(self, receipt->results[0].first_revision == (int64_t)round * EVENTS, "the revision");
}

/* Appends to "shared" at the version that was read, again and again until nobody was quicker. */
static void write_shared(worker *self, tycho_batch *batch, int round) {
    char id[32];
    int64_t version;
    int status = TYCHO_WRONG_EXPECTED_VERSION;
    snprintf(id, sizeof id, "shared-%d-%d", self->number, round);
    tycho_new_event event = new_event(id);
    while (status == TYCHO_WRONG_EXPECTED_VERSION) {
        const tycho_receipt *receipt;
        expect(self, tycho_stream_version(self->store, text("shared"), 0, &version) == TYCHO_OK,
               "the version");
        tycho_batch_clear(batch);
        status = tycho_batch_append(batch, text("shared"), version, &event, 1, 0);
        if (status == TYCHO_OK) status = tycho_commit(self->store, batch, &receipt);
        if (status == TYCHO_WRONG_EXPECTED_VERSION) {
            self->refusals++;
            expect(self, receipt->actual > version, "a refusal by a version that is newer");
            expect(self, receipt->operation == 0, "the operation that was refused");
        }
    }
    expect(self, status == TYCHO_OK, "an append to the shared stream");
}

/* A batch whose last operation fails: nothing of it may ever be seen. */
static void write_refused(worker *self, tycho_batch *batch, int round) {
    char id[32];
    const tycho_receipt *receipt;
    tycho_bytes unknown = text("unknown");
    snprintf(id, sizeof id, "refused-%d-%d", self->number, round);
    tycho_new_event event = new_event(id);
    tycho_batch_clear(batch);
    int status = tycho_batch_append(batch, text("refused"), TYCHO_EXPECT_ANY, &event, 1, 0);
    if (status == TYCHO_OK) {
        status = tycho_batch_link(batch, text("links"), TYCHO_EXPECT_ANY, &unknown, 1, 0);
    }
    if (status == TYCHO_OK) status = tycho_commit(self->store, batch, &receipt);
    expect(self, status == TYCHO_EVENT_NOT_FOUND, "a batch that links an unknown event");
    if (status == TYCHO_EVENT_NOT_FOUND) {
        expect(self, receipt->operation == 1 && receipt->sequence == 0, "its facts");
    }
}

static void *write_all(void *context) {
    worker *self = context;
    tycho_batch *batch;
    if (tycho_batch_create(&batch) != TYCHO_OK) {
        self->failures++;
        return NULL;
    }
    for (int round = 0; round < ROUNDS; round++) {
        write_own(self, batch, round);
        write_shared(self, batch, round);
        if (round % 3 == 0) write_refused(self, batch, round);
    }
    tycho_batch_destroy(batch);
    return NULL;
}

/* ---------------------------------------------------------------- readers */

/* The log must be gapless at any moment, and never get shorter. */
static void *read_all(void *context) {
    worker *self = context;
    uint64_t before = 0;
    while (before < (uint64_t)WRITERS * ROUNDS * (EVENTS + 1) && self->failures == 0) {
        tycho_read read = {.size = sizeof read};
        tycho_cursor *cursor;
        tycho_event event;
        uint64_t seen = 0, head = 0;
        int status = tycho_wait(self->store, before, 10000, &head);
        if (status == TYCHO_TIMEOUT) break;
        expect(self, status == TYCHO_OK && head > before, "waiting");
        status = tycho_cursor_open(self->store, &read, &cursor);
        expect(self, status == TYCHO_OK, "opening a cursor");
        if (status != TYCHO_OK) break;
        while ((status = tycho_cursor_next(cursor, &event)) == TYCHO_OK) {
            expect(self, event.position == ++seen, "a gapless log");
        }
        expect(self, status == TYCHO_END, "the end of the log");
        expect(self, seen >= head, "a log that is as long as its head");
        tycho_cursor_close(cursor);
        before = seen;
    }
    return NULL;
}

/* ---------------------------------------------------------------- what is there afterwards */

static void check_stream(tycho_store *store, const char *stream, uint64_t count) {
    tycho_read read = {.size = sizeof read, .stream = text(stream)};
    tycho_cursor *cursor;
    tycho_event event;
    int64_t revision = 0;
    assert_int_equal(tycho_cursor_open(store, &read, &cursor), TYCHO_OK);
    while (tycho_cursor_next(cursor, &event) == TYCHO_OK) {
        assert_int_equal(event.revision, revision++);
    }
    tycho_cursor_close(cursor);
    assert_int_equal(revision, count);
}

static void check_positions(tycho_store *store, const worker *writer) {
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < EVENTS; i++) {
            char id[32];
            uint64_t position;
            snprintf(id, sizeof id, "own-%d-%d-%d", writer->number, round, i);
            assert_int_equal(tycho_event_position(store, text(id), &position), TYCHO_OK);
            assert_int_equal(position, writer->positions[round] + (uint64_t)i);
        }
    }
}

static void check_verified(tycho_store *store) {
    tycho_verification *verification;
    tycho_finding finding;
    int status = tycho_verification_open(store, &verification);
    assert_int_equal(status, TYCHO_OK);
    while ((status = tycho_verification_step(verification, &finding)) == TYCHO_OK) {
        assert_int_equal(finding.findings, 0);
    }
    assert_int_equal(status, TYCHO_END);
    tycho_verification_close(verification);
}

static void check_store(tycho_store *store, const worker *writers) {
    uint64_t head;
    assert_int_equal(tycho_head(store, &head), TYCHO_OK);
    assert_int_equal(head, WRITERS * ROUNDS * (EVENTS + 1));
    check_stream(store, "shared", WRITERS * ROUNDS);
    check_stream(store, "links", WRITERS * ROUNDS);
    check_stream(store, "refused", 0);
    for (int i = 0; i < WRITERS; i++) {
        char stream[32];
        snprintf(stream, sizeof stream, "own-%d", i);
        check_stream(store, stream, ROUNDS * EVENTS);
        check_positions(store, &writers[i]);
    }
    check_verified(store);
}

static void run_threads(tycho_store **stores, size_t store_count) {
    static worker workers[WRITERS + READERS];
    memset(workers, 0, sizeof workers);
    for (int i = 0; i < WRITERS + READERS; i++) {
        workers[i].number = i;
        workers[i].store = stores[(size_t)i % store_count];
        assert_int_equal(pthread_create(&workers[i].thread, NULL,
                                        i < WRITERS ? write_all : read_all, &workers[i]), 0);
    }
    for (int i = 0; i < WRITERS + READERS; i++) pthread_join(workers[i].thread, NULL);
    for (int i = 0; i < WRITERS + READERS; i++) assert_int_equal(workers[i].failures, 0);
    check_store(stores[0], workers);
}

static void threads_share_a_handle(void **state) {
    tycho_options options = {.size = sizeof options, .mode = TYCHO_TEMPORARY,
                             .sync = TYCHO_SYNC_NONE};
    tycho_store *store;
    (void)state;
    assert_int_equal(tycho_store_open(NULL, &options, &store), TYCHO_OK);
    run_threads(&store, 1);
    tycho_store_close(store);
}

static void threads_have_handles_with_different_sync_levels(void **state) {
    tycho_options options = {.size = sizeof options, .mode = TYCHO_TEMPORARY,
                             .sync = TYCHO_SYNC_NONE};
    tycho_store *stores[3];
    (void)state;
    assert_int_equal(tycho_store_open(NULL, &options, &stores[0]), TYCHO_OK);
    options.mode = TYCHO_EXISTING;
    options.sync = TYCHO_SYNC_BATCHED;
    assert_int_equal(tycho_store_open(tycho_store_path(stores[0]), &options, &stores[1]),
                     TYCHO_OK);
    options.sync = TYCHO_SYNC_FULL;
    assert_int_equal(tycho_store_open(tycho_store_path(stores[0]), &options, &stores[2]),
                     TYCHO_OK);
    run_threads(stores, 3);
    tycho_store_close(stores[2]);
    tycho_store_close(stores[1]);
    tycho_store_close(stores[0]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_share_a_handle),
        cmocka_unit_test(threads_have_handles_with_different_sync_levels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
