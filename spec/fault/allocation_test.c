/* allocation_test.c - memory runs out: in a life of a store (every_verb.h), the n-th allocation
** fails, for every n (sampled, unless TYCHO_SWEEP=full), once and from there on.
**
** The step that meets the failure must answer NO_MEMORY, or go on without that memory. Run again
** when there is memory it must be told what it would have been told; so a batch that was refused
** changed nothing, and nothing that was committed is lost. At the end the store is verified and is
** equal, to the byte of what it tells, to one that never lacked memory, also when it is opened
** again. What leaks is told by the build with ASan.
**
** The functions of allocation are those of failing_memory.h, for LMDB and the C library too.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>

#include "every_verb.h"
#include "failing_memory.h"
#include "store_values.h"

enum { SAMPLES = 250, TRIES = 3 };

/* ---------------------------------------------------------------- one life */

static uint64_t told[64]; /* by each step of a life without failures */
static uint64_t told_at_end;

static uint64_t sequence_of(tycho_store *store) {
    tycho_stats stats = {.size = sizeof stats};
    if (store == NULL) return 0;
    assert_int_equal(tycho_stats_get(store, &stats), TYCHO_OK);
    return stats.sequence;
}

static void fail_step(const life *l, const step *s, long n, int status, const char *what) {
    is_armed = false;
    fail_msg("allocation %ld, step \"%s\": %s (%s: %s, line %d of every_verb.c)", n, s->name, what,
             tycho_status_code(status), tycho_error(), l->line);
}

/* Runs a step, again while memory lacks, and again when there is memory. */
static void run_step(life *l, const step *s, long n, uint64_t wanted) {
    int status = TYCHO_OK;
    for (int try = 0; try <= TRIES; try++) {
        bool is_last = try == TRIES;
        if (is_last) is_armed = false;
        l->hash = 0;
        status = s->run(l);
        if (status == TYCHO_OK) break;
        if (status == TYCHO_UNKNOWN_OUTCOME && s->is_commit) break;
        if (!atomic_load(&has_failed)) fail_step(l, s, n, status, "fails without a reason");
        if (status != TYCHO_NO_MEMORY) fail_step(l, s, n, status, "answers wrongly");
        if (strlen(tycho_error()) == 0) fail_step(l, s, n, status, "says nothing");
        if (is_last) fail_step(l, s, n, status, "fails although there is memory again");
    }
    if (status == TYCHO_OK && l->hash != wanted) fail_step(l, s, n, status, "tells wrongly");
}

/* Lives once; gives the number of allocations. */
static long live(const char *path, long n, bool lasting, bool is_first) {
    life l = {.path = path, .sync = TYCHO_SYNC_NONE};
    uint64_t findings = 1, hash = 0, sequence = 0;
    fail_allocation(n, lasting);
    is_armed = true;
    for (int i = 0; i < STEP_COUNT; i++) {
        if (is_first) {
            l.hash = 0;
            assert_int_equal(STEPS[i].run(&l), TYCHO_OK);
            told[i] = l.hash;
            continue;
        }
        run_step(&l, &STEPS[i], n, told[i]);
        if (STEPS[i].is_commit) sequence++;
        is_armed = false;
        if (sequence_of(l.store) < sequence) { /* an unknown outcome: again */
            i--;
            sequence--;
        }
        is_armed = !(lasting && atomic_load(&has_failed));
    }
    is_armed = false;
    long count = atomic_load(&calls);
    tycho_store_close(l.store);
    tycho_options options = {.size = sizeof options, .mode = TYCHO_EXISTING};
    assert_int_equal(tycho_store_open(path, &options, &l.store), TYCHO_OK);
    assert_int_equal(verify_store(l.store, &findings), TYCHO_OK);
    assert_int_equal(findings, 0);
    assert_int_equal(hash_store(l.store, &hash), TYCHO_OK);
    if (is_first) told_at_end = hash;
    if (hash != told_at_end) fail_msg("allocation %ld: the store is another one", n);
    tycho_store_close(l.store);
    return count;
}

static void sweep(bool lasting) {
    char directory[DIRECTORY_SIZE], path[DIRECTORY_SIZE + 8];
    assert_int_equal(make_directory_in_memory(directory), 0);
    snprintf(path, sizeof path, "%s/store", directory);
    long count = live(path, -1, false, true);
    const char *wanted = getenv("TYCHO_SWEEP");
    bool is_full = wanted != NULL && strcmp(wanted, "full") == 0;
    long stride = is_full || count < SAMPLES ? 1 : count / SAMPLES;
    for (long n = lasting ? stride / 2 : 0; n < count; n += stride) {
        remove_directory(path);
        live(path, n, lasting, false);
    }
    remove_directory(directory);
}

static void one_allocation_fails(void **state) {
    (void)state;
    sweep(false);
}

static void all_allocations_fail_from_one_on(void **state) {
    (void)state;
    sweep(true);
}

/* ---------------------------------------------------------------- a group of two batches */

typedef struct writer {
    pthread_t thread;
    tycho_store *store;
    const char *id; /* of the event that is appended */
    int (*begin)(tycho_batch *batch);
    int status;
} writer;

/* What the batches of the two begin with changes counts before anything else is written. */
static int begin_with_link(tycho_batch *batch) {
    tycho_bytes id = text("old");
    return tycho_batch_link(batch, text("links"), TYCHO_EXPECT_ANY, &id, 1, 0);
}

static int begin_with_deletion(tycho_batch *batch) {
    return tycho_batch_delete_stream(batch, text("to be deleted"), 0);
}

static void *write_batch(void *context) {
    writer *w = context;
    tycho_batch *batch = NULL;
    tycho_new_event event = {.id = text(w->id), .type = text("t")};
    is_armed = true;
    w->status = tycho_batch_create(&batch);
    if (w->status == TYCHO_OK) w->status = w->begin(batch);
    if (w->status == TYCHO_OK) {
        w->status = tycho_batch_append(batch, text("s"), TYCHO_EXPECT_ANY, &event, 1, 0);
    }
    if (w->status == TYCHO_OK) w->status = tycho_commit(w->store, batch, NULL);
    is_armed = false;
    tycho_batch_destroy(batch);
    return NULL;
}

/* Holds the writer gate, as another process would, while both writers queue up. */
static void write_in_a_group(tycho_store *store, writer writers[2], int first) {
    char file[128];
    struct flock gate = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 1, .l_len = 1};
    snprintf(file, sizeof file, "%s/locks", tycho_store_path(store));
    int fd = open(file, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_OFD_SETLK, &gate), 0);
    for (int i = 0; i < 2; i++) {
        writer *w = &writers[i == 0 ? first : 1 - first];
        w->store = store;
        assert_int_equal(pthread_create(&w->thread, NULL, write_batch, w), 0);
        usleep(1000); /* most often this one leads then */
    }
    close(fd);
    for (int i = 0; i < 2; i++) pthread_join(writers[i].thread, NULL);
}

/* Each of the two is there whole, or refused and not there at all. */
static void check_writers(const writer writers[2], long n) {
    for (int i = 0; i < 2; i++) {
        const writer *w = &writers[i];
        uint64_t position;
        bool is_there = w->status == TYCHO_OK;
        if (!is_there && w->status != TYCHO_NO_MEMORY) {
            fail_msg("allocation %ld: %s answers %s", n, w->id, tycho_status_code(w->status));
        }
        int found = tycho_event_position(w->store, text(w->id), &position);
        assert_int_equal(found, is_there ? TYCHO_OK : TYCHO_EVENT_NOT_FOUND);
    }
    int64_t revision;
    tycho_store *store = writers[0].store;
    int linked = tycho_event_revision(store, text("old"), text("links"), 0, &revision);
    assert_int_equal(linked, writers[0].status == TYCHO_OK ? TYCHO_OK : TYCHO_ENTRY_NOT_FOUND);
    assert_int_equal(tycho_stream_version(store, text("to be deleted"), 0, &revision), TYCHO_OK);
    assert_int_equal(revision, writers[1].status == TYCHO_OK ? -1 : 0);
}

/* A store with a few streams, in which all is settled. */
static void set_up_streams(tycho_store *store) {
    static const char *const streams[] = {"s", "links", "to be deleted"};
    tycho_batch *batch;
    tycho_new_event event = {.id = text("old"), .type = text("t")};
    assert_int_equal(tycho_batch_create(&batch), TYCHO_OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(tycho_batch_append(batch, text(streams[i]), -1, &event, 1, 0), TYCHO_OK);
        event.id = (tycho_bytes){NULL, 0};
    }
    assert_int_equal(tycho_batch_truncate(batch, text("s"), 0, 0), TYCHO_OK);
    assert_int_equal(tycho_commit(store, batch, NULL), TYCHO_OK);
    tycho_batch_destroy(batch);
}

/* Gives whether an allocation failed. */
static bool write_with_failure(const char *path, long n, int first) {
    tycho_options options = {.size = sizeof options, .sync = TYCHO_SYNC_NONE};
    writer writers[2] = {{.id = "a", .begin = begin_with_link},
                         {.id = "b", .begin = begin_with_deletion}};
    tycho_store *store;
    uint64_t findings = 1;
    assert_int_equal(tycho_store_open(path, &options, &store), TYCHO_OK);
    set_up_streams(store);
    fail_allocation(n, false);
    write_in_a_group(store, writers, first);
    check_writers(writers, n);
    assert_int_equal(verify_store(store, &findings), TYCHO_OK);
    if (findings != 0) fail_msg("allocation %ld damages the store", n);
    tycho_store_close(store);
    remove_directory(path);
    return atomic_load(&has_failed);
}

static void a_group_shares_no_failure(void **state) {
    char directory[DIRECTORY_SIZE], path[DIRECTORY_SIZE + 8];
    (void)state;
    assert_int_equal(make_directory_in_memory(directory), 0);
    snprintf(path, sizeof path, "%s/store", directory);
    for (int first = 0; first < 2; first++) {
        for (long n = 0; write_with_failure(path, n, first); n++) continue;
    }
    remove_directory(directory);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_allocation_fails),
        cmocka_unit_test(all_allocations_fail_from_one_on),
        cmocka_unit_test(a_group_shares_no_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
