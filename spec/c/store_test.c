/* store_test.c - opening and closing stores from C: options, modes, several handles on one store,
** temporary stores, backups, and that wrong arguments are refused and not believed.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <dirent.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store_values.h"

typedef struct fixture {
    char directory[DIRECTORY_SIZE];
    char path[DIRECTORY_SIZE + 16];
    tycho_batch *batch;
} fixture;

static int set_up(void **state) {
    fixture *f = calloc(1, sizeof *f);
    if (f == NULL || make_directory(f->directory) != 0) return -1;
    snprintf(f->path, sizeof f->path, "%s/store", f->directory);
    *state = f;
    return tycho_batch_create(&f->batch);
}

static int tear_down(void **state) {
    fixture *f = *state;
    int result = remove_directory(f->directory);
    tycho_batch_destroy(f->batch);
    free(f);
    return result;
}

static int append(fixture *f, tycho_store *store, const char *stream) {
    const tycho_new_event event = {.type = text("t")};
    tycho_batch_clear(f->batch);
    int status = tycho_batch_append(f->batch, text(stream), TYCHO_EXPECT_ANY, &event, 1, 0);
    return status == TYCHO_OK ? tycho_commit(store, f->batch, NULL) : status;
}

static void assert_head(tycho_store *store, uint64_t expected) {
    uint64_t head = UINT64_MAX;
    ASSERT_STATUS(tycho_head(store, &head), TYCHO_OK);
    assert_int_equal(head, expected);
}

/* How many names a directory has. */
static int entries_in(const char *path) {
    DIR *directory = opendir(path);
    int count = 0;
    assert_non_null(directory);
    for (struct dirent *entry = readdir(directory); entry != NULL; entry = readdir(directory)) {
        count += entry->d_name[0] != '.';
    }
    closedir(directory);
    return count;
}

/* ---------------------------------------------------------------- options and modes */

static void check_refused(const char *path, const tycho_options *options, int expected) {
    tycho_store *store = (tycho_store *)(uintptr_t)1;
    ASSERT_STATUS(tycho_store_open(path, options, &store), expected);
    assert_null(store);
}

static void options_are_checked(void **state) {
    fixture *f = *state;
    const tycho_options good = {.size = sizeof good};
    tycho_options options = good;
    options.size = 0;
    check_refused(f->path, &options, TYCHO_MISUSE);
    options.size = sizeof options - 1;
    check_refused(f->path, &options, TYCHO_MISUSE);
    options.size = sizeof options + 8; /* of a program compiled with a newer header */
    check_refused(f->path, &options, TYCHO_MISUSE);
    options = good;
    options.mode = TYCHO_TEMPORARY + 1;
    check_refused(f->path, &options, TYCHO_MISUSE);
    options = good;
    options.sync = TYCHO_SYNC_NONE + 1;
    check_refused(f->path, &options, TYCHO_MISUSE);
    options = good;
    options.readers_max = UINT32_MAX;
    check_refused(f->path, &options, TYCHO_MISUSE);
    check_refused(NULL, NULL, TYCHO_MISUSE);
    check_refused("", NULL, TYCHO_MISUSE);
    options = good;
    options.mode = TYCHO_TEMPORARY;
    check_refused(f->path, &options, TYCHO_MISUSE);
    ASSERT_STATUS(tycho_store_open(f->path, NULL, NULL), TYCHO_MISUSE);
    assert_int_equal(entries_in(f->directory), 0);
}

static void modes_say_what_may_be_made_and_written(void **state) {
    fixture *f = *state;
    tycho_store *store;
    tycho_options options = {.size = sizeof options, .mode = TYCHO_EXISTING};
    check_refused(f->path, &options, TYCHO_NOT_FOUND);
    options.mode = TYCHO_READ_ONLY;
    check_refused(f->path, &options, TYCHO_NOT_FOUND);
    assert_int_equal(entries_in(f->directory), 0);
    ASSERT_STATUS(open_store(f->path, TYCHO_CREATE, &store), TYCHO_OK);
    ASSERT_STATUS(append(f, store, "s"), TYCHO_OK);
    tycho_store_close(store);
    for (uint32_t mode = TYCHO_CREATE; mode <= TYCHO_READ_ONLY; mode++) {
        ASSERT_STATUS(open_store(f->path, mode, &store), TYCHO_OK);
        assert_head(store, 1 + mode);
        int expected = mode == TYCHO_READ_ONLY ? TYCHO_DENIED : TYCHO_OK;
        ASSERT_STATUS(append(f, store, "s"), expected);
        ASSERT_STATUS(tycho_store_sync(store), TYCHO_OK);
        assert_clean(store);
        tycho_store_close(store);
    }
    check_refused("/dev/null/store", NULL, TYCHO_NOT_FOUND);
    snprintf(f->path, sizeof f->path, "%s/no/store", f->directory);
    check_refused(f->path, NULL, TYCHO_NOT_FOUND);
    assert_int_equal(entries_in(f->directory), 1);
}

static void a_store_needs_no_options(void **state) {
    fixture *f = *state;
    tycho_store *store;
    ASSERT_STATUS(tycho_store_open(f->path, NULL, &store), TYCHO_OK);
    ASSERT_STATUS(append(f, store, "s"), TYCHO_OK);
    tycho_store_close(store);
}

static void paths_have_a_limit(void **state) {
    fixture *f = *state;
    char path[PATH_MAX + 200];
    tycho_store *store;
    memset(path, 'p', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    check_refused(path, NULL, TYCHO_MISUSE);
    for (size_t i = 0; i < sizeof path - 1; i += 100) path[i] = '/';
    check_refused(path, NULL, TYCHO_MISUSE);
    snprintf(path, sizeof path, "%s/%0254d", f->directory, 1); /* what it is made as is too long */
    int status = tycho_store_open(path, NULL, &store);
    if (status != TYCHO_OK) assert_null(store);
    tycho_store_close(store);
    snprintf(path, sizeof path, "%s/%0256d", f->directory, 1);
    assert_int_not_equal(tycho_store_open(path, NULL, &store), TYCHO_OK);
    assert_null(store);
}

/* ---------------------------------------------------------------- handles */

static void a_second_opening_shares_everything_but_its_options(void **state) {
    fixture *f = *state;
    tycho_store *first, *second, *reader;
    char other[DIRECTORY_SIZE + 32];
    ASSERT_STATUS(open_store(f->path, TYCHO_CREATE, &first), TYCHO_OK);
    snprintf(other, sizeof other, "%s/link", f->directory);
    assert_int_equal(symlink("store", other), 0);
    ASSERT_STATUS(open_store(other, TYCHO_EXISTING, &second), TYCHO_OK);
    snprintf(other, sizeof other, "%s/./store/", f->directory);
    ASSERT_STATUS(open_store(other, TYCHO_READ_ONLY, &reader), TYCHO_OK);
    assert_string_equal(tycho_store_path(first), tycho_store_path(second));
    assert_string_equal(tycho_store_path(first), tycho_store_path(reader));
    assert_int_equal(tycho_store_path(first)[0], '/');
    ASSERT_STATUS(append(f, first, "s"), TYCHO_OK);
    assert_head(second, 1);
    ASSERT_STATUS(append(f, reader, "s"), TYCHO_DENIED);
    tycho_stats stats = {.size = sizeof stats};
    ASSERT_STATUS(tycho_stats_get(reader, &stats), TYCHO_OK);
    assert_int_equal(stats.commits, 1);
    tycho_store_close(first);
    ASSERT_STATUS(append(f, second, "s"), TYCHO_OK);
    assert_head(reader, 2);
    tycho_store_close(second);
    assert_head(reader, 2);
    assert_clean(reader);
    tycho_store_close(reader);
}

static void the_path_stays_when_the_working_directory_changes(void **state) {
    fixture *f = *state;
    char before[PATH_MAX];
    tycho_store *store;
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(f->directory), 0);
    ASSERT_STATUS(open_store("store", TYCHO_CREATE, &store), TYCHO_OK);
    assert_int_equal(chdir("/"), 0);
    assert_string_equal(tycho_store_path(store), f->path);
    ASSERT_STATUS(append(f, store, "s"), TYCHO_OK);
    tycho_store_close(store);
    assert_int_equal(chdir(before), 0);
}

/* With more commits than are made between two looks at the free space of the disk. */
static void a_store_whose_directory_is_renamed_goes_on(void **state) {
    fixture *f = *state;
    char moved[DIRECTORY_SIZE + 16];
    tycho_store *store;
    snprintf(moved, sizeof moved, "%s/moved", f->directory);
    const tycho_options fast = {.size = sizeof fast, .sync = TYCHO_SYNC_NONE};
    ASSERT_STATUS(tycho_store_open(f->path, &fast, &store), TYCHO_OK);
    assert_int_equal(rename(f->path, moved), 0);
    for (int i = 0; i < 200; i++) ASSERT_STATUS(append(f, store, "s"), TYCHO_OK);
    assert_head(store, 200);
    tycho_store_close(store);
}

static void a_store_is_opened_and_closed_again_and_again(void **state) {
    fixture *f = *state;
    for (int i = 0; i < 30; i++) {
        tycho_store *store;
        ASSERT_STATUS(open_store(f->path, TYCHO_CREATE, &store), TYCHO_OK);
        assert_head(store, (uint64_t)i);
        ASSERT_STATUS(append(f, store, "s"), TYCHO_OK);
        tycho_store_close(store);
    }
    assert_int_equal(entries_in(f->directory), 1);
}

static void a_temporary_store_goes_when_it_is_closed(void **state) {
    fixture *f = *state;
    tycho_store *store, *other;
    const char *before = getenv("TMPDIR");
    char *kept = before == NULL ? NULL : strdup(before);
    setenv("TMPDIR", f->directory, 1);
    ASSERT_STATUS(open_store(NULL, TYCHO_TEMPORARY, &store), TYCHO_OK);
    ASSERT_STATUS(open_store(NULL, TYCHO_TEMPORARY, &other), TYCHO_OK);
    assert_int_equal(entries_in(f->directory), 2);
    ASSERT_STATUS(append(f, store, "s"), TYCHO_OK);
    assert_head(other, 0);
    tycho_store_close(store);
    tycho_store_close(other);
    assert_int_equal(entries_in(f->directory), 0);
    setenv("TMPDIR", "/no/such/place", 1);
    assert_int_not_equal(open_store(NULL, TYCHO_TEMPORARY, &store), TYCHO_OK);
    if (kept == NULL) unsetenv("TMPDIR");
    if (kept != NULL) setenv("TMPDIR", kept, 1);
    free(kept);
}

/* ---------------------------------------------------------------- wrong arguments */

static void no_store_is_refused_everywhere(void **state) {
    fixture *f = *state;
    uint64_t number;
    int64_t revision;
    tycho_bytes bytes;
    tycho_snapshot *snapshot;
    tycho_cursor *cursor;
    tycho_listing *listing;
    tycho_verification *verification;
    tycho_stats stats = {.size = sizeof stats};
    const tycho_read read = {.size = sizeof read};
    const tycho_list_options list = {.size = sizeof list};
    const tycho_hooks hooks = {.size = sizeof hooks};
    tycho_bytes name = text("s");
    ASSERT_STATUS(append(f, NULL, "s"), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_store_sync(NULL), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_store_set_hooks(NULL, &hooks), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_head(NULL, &number), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_count(NULL, &read, &number), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_wait(NULL, 0, 0, &number), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_event_position(NULL, name, &number), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_event_revision(NULL, name, name, 0, &revision), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_stream_version(NULL, name, 0, &revision), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_route_resolve(NULL, name, &bytes), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_snapshot_open(NULL, &snapshot), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_cursor_open(NULL, &read, &cursor), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_listing_open(NULL, &list, &listing), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_verification_open(NULL, &verification), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_stats_get(NULL, &stats), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_backup(NULL, f->path), TYCHO_MISUSE);
    assert_string_equal(tycho_store_path(NULL), "");
}

static void null_closes_nothing(void **state) {
    (void)state;
    tycho_store_close(NULL);
    tycho_snapshot_close(NULL);
    tycho_cursor_close(NULL);
    tycho_listing_close(NULL);
    tycho_verification_close(NULL);
    tycho_batch_destroy(NULL);
}

static void no_place_for_an_answer_is_refused(void **state) {
    fixture *f = *state;
    tycho_store *store;
    tycho_cursor *cursor;
    tycho_listing *listing;
    tycho_event event;
    tycho_item item;
    tycho_finding finding;
    const tycho_read read = {.size = sizeof read}, small = {.size = sizeof small - 1};
    const tycho_list_options list = {.size = sizeof list}, small_list = {.size = 1};
    tycho_stats stats = {.size = sizeof stats - 1};
    ASSERT_STATUS(open_store(f->path, TYCHO_CREATE, &store), TYCHO_OK);
    ASSERT_STATUS(tycho_snapshot_open(store, NULL), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_cursor_open(store, &read, NULL), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_cursor_open(store, NULL, &cursor), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_cursor_open(store, &small, &cursor), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_listing_open(store, &list, NULL), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_listing_open(store, NULL, &listing), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_listing_open(store, &small_list, &listing), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_count(store, &read, NULL), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_verification_open(store, NULL), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_stats_get(store, NULL), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_stats_get(store, &stats), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_cursor_next(NULL, &event), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_listing_next(NULL, &item), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_verification_step(NULL, &finding), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_store_set_hooks(store, NULL), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_backup(store, NULL), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_backup(store, ""), TYCHO_MISUSE);
    tycho_store_close(store);
}

static void no_place_for_a_number_is_refused(void **state) {
    fixture *f = *state;
    tycho_store *store;
    ASSERT_STATUS(open_store(f->path, TYCHO_CREATE, &store), TYCHO_OK);
    ASSERT_STATUS(append(f, store, "s"), TYCHO_OK);
    ASSERT_STATUS(tycho_head(store, NULL), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_wait(store, 0, 0, NULL), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_event_position(store, text("id"), NULL), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_event_revision(store, text("id"), text("s"), 0, NULL), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_stream_version(store, text("s"), 0, NULL), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_route_resolve(store, text("s"), NULL), TYCHO_MISUSE);
    tycho_store_close(store);
}

static void an_empty_batch_is_refused(void **state) {
    fixture *f = *state;
    tycho_store *store;
    const tycho_receipt *receipt = (const tycho_receipt *)(uintptr_t)1;
    ASSERT_STATUS(open_store(f->path, TYCHO_CREATE, &store), TYCHO_OK);
    ASSERT_STATUS(tycho_commit(store, NULL, &receipt), TYCHO_MISUSE);
    assert_null(receipt);
    ASSERT_STATUS(tycho_commit(store, f->batch, &receipt), TYCHO_MISUSE);
    assert_null(receipt);
    ASSERT_STATUS(tycho_batch_expect(f->batch, text("s"), TYCHO_EXPECT_NONE, 0), TYCHO_OK);
    ASSERT_STATUS(tycho_commit(store, f->batch, NULL), TYCHO_OK); /* only asks */
    assert_head(store, 0);
    tycho_store_close(store);
}

static void a_batch_is_committed_again_as_it_was(void **state) {
    fixture *f = *state;
    tycho_store *store;
    const tycho_receipt *receipt;
    const tycho_new_event event = {.id = text("one"), .type = text("t")};
    tycho_bytes id = text("one"), bytes;
    ASSERT_STATUS(open_store(f->path, TYCHO_CREATE, &store), TYCHO_OK);
    ASSERT_STATUS(tycho_batch_append(f->batch, text("s"), TYCHO_EXPECT_NONE, &event, 1, 0), 0);
    ASSERT_STATUS(tycho_batch_link(f->batch, text("l"), TYCHO_EXPECT_ANY, &id, 1, 0), TYCHO_OK);
    ASSERT_STATUS(tycho_commit(store, f->batch, &receipt), TYCHO_OK);
    assert_true(receipt->sequence == 1 && receipt->head == 1 && receipt->first_position == 1);
    assert_true(receipt->event_count == 1 && receipt->result_count == 2 && !receipt->is_replay);
    assert_true(receipt->operation == -1 && receipt->condition == -1);
    ASSERT_STATUS(tycho_commit(store, f->batch, &receipt), TYCHO_WRONG_EXPECTED_VERSION);
    assert_true(receipt->sequence == 0 && receipt->result_count == 0 && receipt->actual == 0);
    assert_int_equal(receipt->operation, 0);
    assert_bytes(receipt->stream, text("s"));
    tycho_batch_set_idempotent(f->batch, 1);
    ASSERT_STATUS(tycho_commit(store, f->batch, &receipt), TYCHO_OK);
    assert_true(receipt->is_replay && receipt->first_position == 1);
    ASSERT_STATUS(tycho_batch_encode(f->batch, &bytes), TYCHO_OK);
    assert_head(store, 1);
    assert_clean(store);
    tycho_store_close(store);
}

/* ---------------------------------------------------------------- backup */

static void a_backup_is_a_store(void **state) {
    fixture *f = *state;
    tycho_store *store, *copy;
    char path[DIRECTORY_SIZE + 32];
    ASSERT_STATUS(open_store(f->path, TYCHO_CREATE, &store), TYCHO_OK);
    ASSERT_STATUS(append(f, store, "s"), TYCHO_OK);
    ASSERT_STATUS(tycho_backup(store, f->path), TYCHO_BUSY);
    snprintf(path, sizeof path, "%s/no/copy", f->directory);
    ASSERT_STATUS(tycho_backup(store, path), TYCHO_NOT_FOUND);
    snprintf(path, sizeof path, "%s/copy", f->directory);
    ASSERT_STATUS(tycho_backup(store, path), TYCHO_OK);
    ASSERT_STATUS(append(f, store, "s"), TYCHO_OK);
    ASSERT_STATUS(tycho_backup(store, path), TYCHO_BUSY);
    ASSERT_STATUS(open_store(path, TYCHO_EXISTING, &copy), TYCHO_OK);
    assert_head(copy, 1);
    ASSERT_STATUS(append(f, copy, "other"), TYCHO_OK);
    assert_clean(copy);
    tycho_store_close(copy);
    assert_head(store, 2);
    tycho_store_close(store);
    assert_int_equal(entries_in(f->directory), 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static void a_batch_read_from_bytes_expects_the_same(void **state) {
    fixture *f = *state;
    tycho_store *store;
    tycho_batch *read;
    const tycho_receipt *receipt;
    const tycho_new_event event = {.type = text("t")};
    tycho_bytes bytes;
    ASSERT_STATUS(open_store(f->path, TYCHO_CREATE, &store), TYCHO_OK);
    ASSERT_STATUS(tycho_batch_create(&read), TYCHO_OK);
    ASSERT_STATUS(tycho_batch_put_row(f->batch, text("rows"), text("k"), text("v")), TYCHO_OK);
    ASSERT_STATUS(tycho_batch_append(f->batch, text("s"), 3, &event, 1, 0), TYCHO_OK);
    ASSERT_STATUS(tycho_batch_encode(f->batch, &bytes), TYCHO_OK);
    ASSERT_STATUS(tycho_batch_decode(read, bytes), TYCHO_OK);
    ASSERT_STATUS(tycho_commit(store, read, &receipt), TYCHO_WRONG_EXPECTED_VERSION);
    assert_true(receipt->operation == 1 && receipt->actual == -1);
    tycho_batch_destroy(read);
    assert_head(store, 0);
    tycho_store_close(store);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(options_are_checked),
        TEST(modes_say_what_may_be_made_and_written),
        TEST(a_store_needs_no_options),
        TEST(paths_have_a_limit),
        TEST(a_second_opening_shares_everything_but_its_options),
        TEST(the_path_stays_when_the_working_directory_changes),
        TEST(a_store_whose_directory_is_renamed_goes_on),
        TEST(a_store_is_opened_and_closed_again_and_again),
        TEST(a_temporary_store_goes_when_it_is_closed),
        TEST(no_store_is_refused_everywhere),
        TEST(null_closes_nothing),
        TEST(no_place_for_an_answer_is_refused),
        TEST(no_place_for_a_number_is_refused),
        TEST(an_empty_batch_is_refused),
        TEST(a_batch_is_committed_again_as_it_was),
        TEST(a_batch_read_from_bytes_expects_the_same),
        TEST(a_backup_is_a_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
