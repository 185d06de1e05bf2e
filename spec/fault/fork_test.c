/* fork_test.c - what a child may do after fork(): nothing with the handles of its parent, anything
** with a store that it opens itself.
**
** A child cannot use cmocka, so it answers with its exit code: 0, or the line of the check that
** did not hold (modulo 251, never 0).
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store_fixture.h"

#define CHECK(condition)                                                                          \
    do {                                                                                          \
        if (!(condition)) {                                                                       \
            fprintf(stderr, "child, line %d: %s\n", __LINE__, tycho_error());                     \
            return __LINE__ % 251 + 1;                                                            \
        }                                                                                         \
    } while (0)

static int append(tycho_store *store, tycho_batch *batch, const char *stream) {
    tycho_new_event event = {.type = text("happened"), .data = text("data")};
    tycho_batch_clear(batch);
    int status = tycho_batch_append(batch, text(stream), TYCHO_EXPECT_ANY, &event, 1, 0);
    return status == TYCHO_OK ? tycho_commit(store, batch, NULL) : status;
}

static int64_t version_of(tycho_store *store, const char *stream) {
    int64_t version = -2;
    return tycho_stream_version(store, text(stream), 0, &version) == TYCHO_OK ? version : -2;
}

static int set_up_parent(void **state) {
    if (set_up(state) != 0) return -1;
    fixture *made = *state;
    return append(made->store, made->batch, "parent");
}

/* Runs a function in a child; gives its exit code, or 128 + the signal that ended it. */
static int in_child(int (*run)(fixture *), fixture *made) {
    int status;
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) _exit(run(made));
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* ---------------------------------------------------------------- what children do */

static int refuse_reading(fixture *made) {
    uint64_t number;
    int64_t revision;
    tycho_read read = {.size = sizeof read};
    tycho_list_options list = {.size = sizeof list};
    tycho_cursor *cursor;
    tycho_listing *listing;
    tycho_snapshot *snapshot;
    tycho_bytes stream;
    CHECK(tycho_head(made->store, &number) == TYCHO_FORKED);
    CHECK(tycho_count(made->store, &read, &number) == TYCHO_FORKED);
    CHECK(tycho_cursor_open(made->store, &read, &cursor) == TYCHO_FORKED);
    CHECK(tycho_listing_open(made->store, &list, &listing) == TYCHO_FORKED);
    CHECK(tycho_snapshot_open(made->store, &snapshot) == TYCHO_FORKED);
    CHECK(tycho_stream_version(made->store, text("parent"), 0, &revision) == TYCHO_FORKED);
    CHECK(tycho_event_position(made->store, text("unknown"), &number) == TYCHO_FORKED);
    CHECK(tycho_route_resolve(made->store, text("parent"), &stream) == TYCHO_FORKED);
    CHECK(tycho_wait(made->store, 0, 0, &number) == TYCHO_FORKED);
    return 0;
}

static int refuse_the_rest(fixture *made) {
    tycho_stats stats = {.size = sizeof stats};
    tycho_verification *verification;
    CHECK(append(made->store, made->batch, "parent") == TYCHO_FORKED);
    CHECK(tycho_store_sync(made->store) == TYCHO_FORKED);
    CHECK(tycho_stats_get(made->store, &stats) == TYCHO_FORKED);
    CHECK(tycho_verification_open(made->store, &verification) == TYCHO_FORKED);
    CHECK(tycho_backup(made->store, "/tmp/never-made-by-a-child") == TYCHO_FORKED);
    return 0;
}

static int open_again(fixture *made) {
    tycho_store *store;
    tycho_batch *batch;
    CHECK(open_store(made->path, TYCHO_EXISTING, &store) == TYCHO_OK);
    CHECK(tycho_batch_create(&batch) == TYCHO_OK);
    CHECK(version_of(store, "parent") == 0);
    CHECK(append(store, batch, "child") == TYCHO_OK);
    CHECK(version_of(store, "child") >= 0);
    CHECK(append(made->store, made->batch, "child") == TYCHO_FORKED);
    tycho_batch_destroy(batch);
    tycho_store_close(store);
    return 0;
}

static int close_and_open_again(fixture *made) {
    tycho_store_close(made->store);
    CHECK(open_store(made->path, TYCHO_EXISTING, &made->store) == TYCHO_OK);
    CHECK(append(made->store, made->batch, "child") == TYCHO_OK);
    tycho_store_close(made->store);
    return 0;
}

static int refuse_following(fixture *made) {
    tycho_read read = {.size = sizeof read};
    tycho_follower *other;
    tycho_event event;
    tycho_bytes key;
    int descriptor;
    CHECK(tycho_follower_open(made->store, &read, &other) == TYCHO_FORKED);
    CHECK(tycho_follower_next(made->follower, -1, &event) == TYCHO_FORKED);
    CHECK(tycho_follower_key(made->follower, &key) == TYCHO_FORKED);
    CHECK(tycho_follower_descriptor(made->follower, &descriptor) == TYCHO_FORKED);
    tycho_follower_cancel(made->follower);
    tycho_follower_close(made->follower);
    return close_and_open_again(made);
}

static int only_exit(fixture *made) {
    (void)made;
    exit(0);
}

/* ---------------------------------------------------------------- the tests */

/* The parent goes on as if nothing had been. */
static void check_parent(fixture *made, int64_t children) {
    int64_t before = version_of(made->store, "parent");
    assert_int_equal(append(made->store, made->batch, "parent"), TYCHO_OK);
    assert_int_equal(version_of(made->store, "parent"), before + 1);
    assert_int_equal(version_of(made->store, "child"), children - 1);
}

static void a_child_is_refused_by_the_handles_of_its_parent(void **state) {
    fixture *made = *state;
    assert_int_equal(in_child(refuse_reading, made), 0);
    assert_int_equal(in_child(refuse_the_rest, made), 0);
    assert_int_not_equal(access("/tmp/never-made-by-a-child", F_OK), 0);
    check_parent(made, 0);
}

static void a_child_may_open_the_store_itself(void **state) {
    fixture *made = *state;
    for (int i = 0; i < 5; i++) assert_int_equal(in_child(open_again, made), 0);
    check_parent(made, 5);
}

static void a_child_may_close_what_it_inherited(void **state) {
    fixture *made = *state;
    for (int i = 0; i < 5; i++) assert_int_equal(in_child(close_and_open_again, made), 0);
    check_parent(made, 5);
}

static void a_child_that_only_exits_does_no_harm(void **state) {
    fixture *made = *state;
    tycho_snapshot *snapshot;
    assert_int_equal(tycho_snapshot_open(made->store, &snapshot), TYCHO_OK);
    for (int i = 0; i < 5; i++) assert_int_equal(in_child(only_exit, made), 0);
    check_parent(made, 0);
    tycho_read read = {.size = sizeof read, .snapshot = snapshot};
    uint64_t count;
    assert_int_equal(tycho_count(made->store, &read, &count), TYCHO_OK);
    assert_int_equal(count, 1);
    tycho_snapshot_close(snapshot);
}

static void a_child_may_close_a_follower_that_has_a_thread_in_its_parent(void **state) {
    fixture *made = *state;
    tycho_read read = {.size = sizeof read, .stream = text("parent")};
    tycho_event event;
    int descriptor;
    assert_int_equal(tycho_follower_open(made->store, &read, &made->follower), TYCHO_OK);
    assert_int_equal(tycho_follower_descriptor(made->follower, &descriptor), TYCHO_OK);
    for (int i = 0; i < 5; i++) assert_int_equal(in_child(refuse_following, made), 0);
    assert_int_equal(in_child(only_exit, made), 0);
    check_parent(made, 5);
    assert_int_equal(tycho_follower_next(made->follower, 0, &event), TYCHO_OK);
    assert_int_equal(tycho_follower_next(made->follower, 60000, &event), TYCHO_OK);
    assert_int_equal(event.revision, 1); /* of check_parent(); children wrote elsewhere */
    assert_int_equal(tycho_follower_next(made->follower, 0, &event), TYCHO_TIMEOUT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_parent, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_child_is_refused_by_the_handles_of_its_parent),
        TEST(a_child_may_open_the_store_itself),
        TEST(a_child_may_close_what_it_inherited),
        TEST(a_child_may_close_a_follower_that_has_a_thread_in_its_parent),
        TEST(a_child_that_only_exits_does_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
