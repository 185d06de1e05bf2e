/* mixed_threads_test.c - threads that do all kinds of things to one store at the same time: edits
** in the middle of streams, deletions, refused batches, snapshots, directories, waiting, backups,
** verification, and handles that come and go; another process edits too. What one instant tells
** must agree with itself; nobody is refused for what others do; the store is sound afterwards.
** (Appending alone: writers_threads_test.c.)
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "every_verb.h"
#include "store_values.h"

enum { EDITORS = 2, ROUNDS = 500, KEPT = 20 };

static struct {
    char path[DIRECTORY_SIZE];
    tycho_store *store;
    atomic_int editors_left; /* the others go on until none is */
    atomic_int failures;
} test;

/* Counts what must not happen; cmocka's assertions belong to the first thread. */
static bool expect(bool is_true, const char *what) {
    if (is_true) return true;
    atomic_fetch_add(&test.failures, 1);
    print_error("%s: %s\n", what, tycho_error());
    return false;
}

static bool goes_on(void) {
    return atomic_load(&test.editors_left) > 0 && atomic_load(&test.failures) == 0;
}

/* ---------------------------------------------------------------- editors */

/* Appends, links what was appended into a stream of all, and takes out what is old. */
static int build_edit(tycho_batch *batch, int editor, int round) {
    char id[32], old[32], stream[32], tag[16];
    snprintf(id, sizeof id, "%d-%d", editor, round);
    snprintf(old, sizeof old, "%d-%d", editor, round - 5);
    snprintf(stream, sizeof stream, "stream-%d", editor);
    snprintf(tag, sizeof tag, "tag-%d", round % 7);
    tycho_bytes ids[] = {text(id), text(old)}, tags = text(tag);
    tycho_new_event event = {.id = ids[0], .type = text(round % 3 == 0 ? "third" : "other"),
                             .tag_count = 1, .tags = &tags, .data = ids[0]};
    tycho_batch_clear(batch);
    int status = tycho_batch_append(batch, text(stream), round - 1, &event, 1, 0);
    if (status == TYCHO_OK) status = tycho_batch_link(batch, text("all"), -2, ids, 1, 0);
    if (status == TYCHO_OK) status = tycho_batch_put_row(batch, text("rows"), tags, ids[0]);
    if (status == TYCHO_OK && round >= KEPT && round % 4 == 0) {
        status = tycho_batch_truncate(batch, text(stream), round - KEPT, 0);
    }
    if (status == TYCHO_OK && round >= 5 && round % 5 == 0) {
        event = (tycho_new_event){.id = ids[1], .type = text("overwritten"), .data = ids[1]};
        status = tycho_batch_overwrite(batch, &event, 1);
        if (status == TYCHO_OK) status = tycho_batch_unlink(batch, text("all"), &ids[1], 1, 0);
    }
    if (status == TYCHO_OK && round % 10 == 9) {
        snprintf(stream, sizeof stream, "short-%d", editor);
        status = tycho_batch_delete_stream(batch, text(stream), 0);
        if (status == TYCHO_OK) status = tycho_batch_link(batch, text(stream), -2, ids, 1, 0);
    }
    return status;
}

/* A batch whose last event is there already: what it did before must never be seen. */
static void be_refused(tycho_batch *batch, int editor, int round) {
    char known[32];
    snprintf(known, sizeof known, "%d-%d", editor, round);
    tycho_bytes tag = text("refused");
    tycho_new_event events[] = {{.type = text("other"), .tag_count = 1, .tags = &tag},
                                {.id = text(known), .type = text("other")}};
    const tycho_receipt *receipt;
    tycho_batch_clear(batch);
    int status = tycho_batch_append(batch, text("all"), -2, events, 2, 0);
    expect(status == TYCHO_OK, "building a batch to be refused");
    status = tycho_commit(test.store, batch, &receipt);
    expect(status == TYCHO_DUPLICATE_EVENT && receipt->operation == 0, "a refusal");
}

static void *edit(void *context) {
    int editor = *(int *)context;
    tycho_batch *batch = NULL;
    expect(tycho_batch_create(&batch) == TYCHO_OK, "a batch");
    for (int round = 0; round < ROUNDS && atomic_load(&test.failures) == 0; round++) {
        expect(build_edit(batch, editor, round) == TYCHO_OK, "building an edit");
        expect(tycho_commit(test.store, batch, NULL) == TYCHO_OK, "an edit");
        if (round % 6 == 0) be_refused(batch, editor, round);
    }
    tycho_batch_destroy(batch);
    atomic_fetch_sub(&test.editors_left, 1);
    return NULL;
}

/* Opens the store anew, writes, and closes it: the last handle may be this one's or another's. */
static void *come_and_go(void *context) {
    tycho_options options = {.size = sizeof options, .mode = TYCHO_EXISTING,
                             .sync = TYCHO_SYNC_NONE};
    tycho_new_event event = {.type = text("came")};
    tycho_batch *batch = NULL;
    expect(tycho_batch_create(&batch) == TYCHO_OK, "a batch");
    expect(tycho_batch_append(batch, text("visits"), -2, &event, 1, 0) == TYCHO_OK, "an append");
    while (goes_on()) {
        tycho_store *store;
        if (!expect(tycho_store_open(test.path, &options, &store) == TYCHO_OK, "opening")) break;
        tycho_batch_clear(batch);
        expect(tycho_batch_append(batch, text("visits"), -2, &event, 1, 0) == TYCHO_OK, "append");
        expect(tycho_commit(store, batch, NULL) == TYCHO_OK, "a visit");
        tycho_store_close(store);
    }
    tycho_batch_destroy(batch);
    return context;
}

/* ---------------------------------------------------------------- readers */

/* It may be gone when it is asked where it is. Who asks makes the chains in which it is found. */
static void ask_for_link(tycho_bytes id, tycho_bytes stream) {
    int64_t revision;
    int status = tycho_event_revision(test.store, id, stream, 0, &revision);
    expect(status == TYCHO_OK || status == TYCHO_ENTRY_NOT_FOUND, "the revision of a link");
}

static bool walk(const tycho_read *read, uint64_t *count) {
    tycho_cursor *cursor;
    tycho_event event;
    int64_t last = -1;
    *count = 0;
    int status = tycho_cursor_open(test.store, read, &cursor);
    if (!expect(status == TYCHO_OK, "opening a cursor")) return false;
    while ((status = tycho_cursor_next(cursor, &event)) == TYCHO_OK) {
        if (read->stream.size > 0) expect(event.revision > last, "rising revisions");
        last = event.revision;
        if (event.is_link && *count % 16 == 0) ask_for_link(event.id, read->stream);
        ++*count;
    }
    tycho_cursor_close(cursor);
    return expect(status == TYCHO_END, "the end of a read");
}

/* In one instant, the entries of a stream are as many as its directory says. */
static void *read_snapshots(void *context) {
    while (goes_on()) {
        tycho_snapshot *snapshot;
        tycho_listing *listing;
        tycho_item item;
        if (!expect(tycho_snapshot_open(test.store, &snapshot) == TYCHO_OK, "a snapshot")) break;
        tycho_list_options options = {.size = sizeof options, .snapshot = snapshot,
                                      .list = TYCHO_LIST_STREAMS};
        int status = tycho_listing_open(test.store, &options, &listing);
        expect(status == TYCHO_OK, "a directory");
        while (status == TYCHO_OK && tycho_listing_next(listing, &item) == TYCHO_OK) {
            uint64_t walked = 0, counted = 0;
            tycho_read read = {.size = sizeof read, .snapshot = snapshot, .stream = item.name};
            walk(&read, &walked);
            expect(tycho_count(test.store, &read, &counted) == TYCHO_OK, "counting");
            expect(walked == item.count && counted == walked, "one instant agrees with itself");
        }
        tycho_listing_close(listing);
        tycho_snapshot_close(snapshot);
    }
    return context;
}

/* The types of all events add up to the log. */
static void *count_types(void *context) {
    while (goes_on()) {
        tycho_snapshot *snapshot;
        uint64_t sum = 0, all = 0;
        if (!expect(tycho_snapshot_open(test.store, &snapshot) == TYCHO_OK, "a snapshot")) break;
        const char *const names[] = {"third", "other", "overwritten", "came"};
        tycho_read read = {.size = sizeof read, .snapshot = snapshot};
        expect(tycho_count(test.store, &read, &all) == TYCHO_OK, "counting the log");
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
            uint64_t count = 0;
            tycho_bytes type = text(names[i]);
            tycho_query_item item = {&type, 1, NULL, 0};
            tycho_query query = {&item, 1};
            read.query = &query;
            read.flags = i % 2 == 0 ? 0 : TYCHO_READ_BACKWARD;
            walk(&read, &count);
            sum += count;
        }
        expect(sum == all, "the types add up to the log");
        tycho_snapshot_close(snapshot);
    }
    return context;
}

/* Follows the log: every event comes once, in order. */
static void *follow(void *context) {
    uint64_t seen = 0;
    while (goes_on()) {
        uint64_t head;
        tycho_event event;
        tycho_cursor *cursor;
        int status = tycho_wait(test.store, seen, 100, &head);
        if (status == TYCHO_TIMEOUT) continue;
        expect(status == TYCHO_OK && head > seen, "waiting");
        tycho_read read = {.size = sizeof read, .flags = TYCHO_READ_FROM_POSITION,
                           .from_position = seen};
        if (!expect(tycho_cursor_open(test.store, &read, &cursor) == TYCHO_OK, "a cursor")) break;
        while (tycho_cursor_next(cursor, &event) == TYCHO_OK) {
            expect(event.position == ++seen, "a gapless log");
        }
        expect(seen >= head, "all that was announced");
        tycho_cursor_close(cursor);
    }
    return context;
}

/* Verifies the store, and a copy of it. */
static void *verify_and_copy(void *context) {
    while (goes_on()) {
        char path[80];
        uint64_t findings = 1;
        tycho_store *copy;
        expect(verify_store(test.store, &findings) == TYCHO_OK && findings == 0, "verifying");
        snprintf(path, sizeof path, "%s.copy", test.path);
        if (!expect(tycho_backup(test.store, path) == TYCHO_OK, "backing up")) break;
        tycho_options options = {.size = sizeof options, .mode = TYCHO_EXISTING};
        if (!expect(tycho_store_open(path, &options, &copy) == TYCHO_OK, "opening it")) break;
        expect(verify_store(copy, &findings) == TYCHO_OK && findings == 0, "verifying the copy");
        tycho_store_close(copy);
        remove_directory(path);
    }
    return context;
}

/* ---------------------------------------------------------------- all of them */

/* One more editor, in a process of its own. */
static pid_t start_process(const tycho_options *options) {
    int number = EDITORS;
    pid_t process = fork();
    if (process != 0) return process;
    expect(tycho_store_open(test.path, options, &test.store) == TYCHO_OK, "opening");
    if (test.store != NULL) edit(&number);
    tycho_store_close(test.store);
    _exit(atomic_load(&test.failures) == 0 ? 0 : 1);
}

static void everybody_at_once(void **state) {
    static void *(*const others[])(void *) = {come_and_go, come_and_go,    read_snapshots,
                                              count_types, follow, verify_and_copy};
    enum { OTHERS = sizeof others / sizeof *others };
    pthread_t threads[EDITORS + OTHERS];
    int numbers[EDITORS];
    uint64_t findings = 1, refused = 1;
    tycho_options options = {.size = sizeof options, .sync = TYCHO_SYNC_NONE};
    tycho_bytes tag = text("refused");
    tycho_query_item item = {NULL, 0, &tag, 1};
    tycho_query query = {&item, 1};
    tycho_read read = {.size = sizeof read, .query = &query};
    (void)state;
    assert_int_equal(make_directory(test.path), 0);
    pid_t process = start_process(&options);
    assert_true(process > 0);
    assert_int_equal(tycho_store_open(test.path, &options, &test.store), TYCHO_OK);
    atomic_store(&test.editors_left, EDITORS);
    for (int i = 0; i < EDITORS + OTHERS; i++) {
        if (i < EDITORS) numbers[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, i < EDITORS ? edit : others[i - EDITORS],
                                        i < EDITORS ? &numbers[i] : NULL), 0);
    }
    for (int i = 0; i < EDITORS + OTHERS; i++) pthread_join(threads[i], NULL);
    int status = -1;
    assert_int_equal(waitpid(process, &status, 0), process);
    assert_int_equal(status, 0);
    assert_int_equal(atomic_load(&test.failures), 0);
    assert_int_equal(verify_store(test.store, &findings), TYCHO_OK);
    assert_int_equal(findings, 0);
    assert_int_equal(tycho_count(test.store, &read, &refused), TYCHO_OK);
    assert_int_equal(refused, 0);
    tycho_store_close(test.store);
    remove_directory(test.path);
}

/* The next event comes into the stream in the batch in which the one before goes. */
static void *move_on(void *context) {
    tycho_batch *batch = NULL;
    (void)context;
    expect(tycho_batch_create(&batch) == TYCHO_OK, "batch");
    for (int i = 0; i < 4 * ROUNDS; i++) {
        char id[16], before[16];
        snprintf(id, sizeof id, "%d", i);
        snprintf(before, sizeof before, "%d", i - 1);
        const tycho_new_event event = {.id = text(id), .type = text("t")};
        const tycho_bytes gone = text(before);
        tycho_batch_clear(batch);
        int status = tycho_batch_append(batch, text("s"), TYCHO_EXPECT_ANY, &event, 1, 0);
        if (status == TYCHO_OK && i > 0) status = tycho_batch_unlink(batch, text("s"), &gone, 1, 0);
        if (status == TYCHO_OK) status = tycho_commit(test.store, batch, NULL);
        if (!expect(status == TYCHO_OK, "moving on")) break;
        if (i == 0) atomic_store(&test.editors_left, 1);
    }
    tycho_batch_destroy(batch);
    atomic_store(&test.editors_left, 0);
    return NULL;
}

static void a_count_is_of_one_instant(void **state) {
    const tycho_read read = {.size = sizeof read, .stream = text("s")};
    uint64_t count;
    pthread_t mover;
    (void)state;
    assert_int_equal(open_store(NULL, TYCHO_TEMPORARY, &test.store), TYCHO_OK);
    atomic_store(&test.editors_left, -1);
    assert_int_equal(pthread_create(&mover, NULL, move_on, NULL), 0);
    while (atomic_load(&test.editors_left) < 0) usleep(100);
    while (goes_on()) {
        if (!expect(tycho_count(test.store, &read, &count) == TYCHO_OK, "counting")) break;
        if (!expect(count == 1, "there is one at any time")) break;
    }
    pthread_join(mover, NULL);
    assert_int_equal(atomic_load(&test.failures), 0);
    tycho_store_close(test.store);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_count_is_of_one_instant),
                                       cmocka_unit_test(everybody_at_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
