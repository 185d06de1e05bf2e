/* lock_test.c - named locks of one thread: what is told, tokens, the condition of a batch, the file
** that they share, and how many there can be. Threads and processes: spec/fault/lock_*_test.c.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "apply.h"
#include "store.h"
#include "store_fixture.h"

static int64_t clock_step_s;

/* In front of the one of the C library, so that the clock can be set. */
int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = (int)syscall(SYS_clock_gettime, clock, now);
    if (clock == CLOCK_REALTIME) now->tv_sec += clock_step_s;
    return result;
}

static void open_again(fixture *f) {
    tycho_store_close(f->store);
    ASSERT_STATUS(open_store(f->path, TYCHO_EXISTING, &f->store), TYCHO_OK);
}

static tycho_lock *take(fixture *f, const char *name) {
    tycho_lock *lock;
    ASSERT_STATUS(tycho_lock_take(f->store, text(name), 0, &lock, NULL), TYCHO_OK);
    return lock;
}

/* Takes and releases it; gives the token. */
static uint64_t token_of(fixture *f, const char *name) {
    tycho_lock *lock = take(f, name);
    uint64_t token = tycho_lock_token(lock);
    tycho_lock_release(lock);
    return token;
}

static size_t count_held(fixture *f) {
    size_t count = 99;
    ASSERT_STATUS(tycho_lock_list(f->store, NULL, 0, &count), TYCHO_OK);
    return count;
}

static uint64_t sequence_of(fixture *f) {
    tycho_stats stats = {.size = sizeof stats};
    ASSERT_STATUS(tycho_stats_get(f->store, &stats), TYCHO_OK);
    return stats.sequence;
}

/* ---------------------------------------------------------------- taking and releasing */

static void a_lock_is_taken_and_released_and_taken_again(void **state) {
    fixture *f = *state;
    uint64_t last = 0;
    for (int i = 0; i < 100; i++) {
        uint64_t token = token_of(f, i % 3 == 0 ? "a" : "b");
        assert_true(token > last);
        last = token;
    }
    assert_int_equal(sequence_of(f), 1); /* that there are tokens */
    tycho_lock_release(NULL);
    assert_int_equal(tycho_lock_token(NULL), 0);
}

static void a_store_that_never_locks_has_no_table(void **state) {
    fixture *f = *state;
    assert_int_equal(count_held(f), 0);
    assert_int_not_equal(access(f->lock_table, F_OK), 0);
    token_of(f, "a");
    struct stat file;
    assert_int_equal(stat(f->lock_table, &file), 0);
    assert_int_equal(file.st_mode & 07007, 0); /* the umask may take more */
    assert_true(file.st_blocks * 512 >= file.st_size);
}

static void the_same_thread_is_told_at_once_that_it_has_the_lock(void **state) {
    fixture *f = *state;
    tycho_lock_info owner;
    int64_t before = tycho_now();
    tycho_lock *first = take(f, "again"), *second = first;
    ASSERT_STATUS(tycho_lock_take(f->store, text("again"), -1, &second, &owner), TYCHO_BUSY);
    assert_null(second);
    assert_int_equal(owner.token, tycho_lock_token(first));
    assert_int_equal(owner.pid, getpid());
    assert_int_equal(owner.thread, syscall(SYS_gettid));
    assert_true(owner.since >= before && owner.since <= tycho_now());
    assert_string_equal(owner.name, "again");
    assert_int_equal(owner.name_size, 5);
    char host[65] = "";
    assert_int_equal(gethostname(host, sizeof host - 1), 0);
    assert_string_equal(owner.host, host);
    assert_non_null(strstr(tycho_error(), "this thread took the lock \"again\""));
    tycho_lock_release(first);
}

static void wrong_arguments_are_misuse(void **state) {
    fixture *f = *state;
    tycho_lock *lock = NULL;
    size_t count;
    ASSERT_STATUS(tycho_lock_take(NULL, text("a"), 0, &lock, NULL), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_lock_take(f->store, text(""), 0, &lock, NULL), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_lock_take(f->store, text("a\n"), 0, &lock, NULL), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_lock_take(f->store, text("a"), 0, NULL, NULL), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_lock_list(f->store, NULL, 1, &count), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_lock_list(f->store, NULL, 0, NULL), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_batch_expect_lock(f->batch, text("a"), 0), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_batch_expect_lock(f->batch, text("a"), UINT64_MAX), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_batch_expect_lock(f->batch, text(""), 1), TYCHO_MISUSE);
    assert_int_equal(f->batch->condition_count, 0);
}

static void a_read_only_handle_takes_no_lock_but_sees_them(void **state) {
    fixture *f = *state;
    tycho_store *reader;
    tycho_lock *lock, *own = take(f, "seen");
    size_t count = 0;
    ASSERT_STATUS(open_store(f->path, TYCHO_READ_ONLY, &reader), TYCHO_OK);
    ASSERT_STATUS(tycho_lock_take(reader, text("a"), 0, &lock, NULL), TYCHO_DENIED);
    ASSERT_STATUS(tycho_lock_list(reader, NULL, 0, &count), TYCHO_OK);
    assert_int_equal(count, 1);
    tycho_store_close(reader);
    tycho_lock_release(own);
}

/* Neither hooks nor deployed scripts have a say in locks: a handle without them takes some, too. */
static void tokens_are_reserved_past_deployed_scripts(void **state) {
    fixture *f = *state;
    const tycho_new_event event = {.type = text("t")};
    ASSERT_STATUS(tycho_batch_deploy(f->batch, text("script"), text("rules")), TYCHO_OK);
    ASSERT_STATUS(tycho_commit(f->store, f->batch, NULL), TYCHO_OK);
    tycho_batch_clear(f->batch);
    ASSERT_STATUS(tycho_batch_append(f->batch, text("s"), TYCHO_EXPECT_ANY, &event, 1, 0), 0);
    ASSERT_STATUS(tycho_commit(f->store, f->batch, NULL), TYCHO_DENIED);
    assert_int_equal(token_of(f, "a"), 1);
    assert_int_equal(sequence_of(f), 2);
}

static void the_longest_name_is_told_whole(void **state) {
    fixture *f = *state;
    char name[TYCHO_NAME_MAX + 1] = "";
    tycho_lock_info info;
    size_t count;
    memset(name, 'n', TYCHO_NAME_MAX);
    tycho_lock *lock = take(f, name);
    ASSERT_STATUS(tycho_lock_list(f->store, &info, 1, &count), TYCHO_OK);
    assert_int_equal(info.name_size, TYCHO_NAME_MAX);
    assert_string_equal(info.name, name);
    tycho_lock_release(lock);
}

/* ---------------------------------------------------------------- listing */

static void held_locks_are_listed_by_name(void **state) {
    static const char *const names[] = {"m", "b", "z", "a", "ü", "c"};
    static const char *const sorted[] = {"a", "b", "c", "m", "z", "ü"};
    fixture *f = *state;
    tycho_lock *locks[6];
    tycho_lock_info info[6];
    size_t count;
    for (int i = 0; i < 6; i++) locks[i] = take(f, names[i]);
    for (size_t most = 0; most <= 6; most++) {
        memset(info, 0, sizeof info);
        ASSERT_STATUS(tycho_lock_list(f->store, info, most, &count), TYCHO_OK);
        assert_int_equal(count, 6);
        for (size_t i = 0; i < 6; i++) {
            assert_string_equal(info[i].name, i < most ? sorted[i] : "");
        }
    }
    assert_int_equal(info[0].token, tycho_lock_token(locks[3]));
    assert_int_equal(info[0].waiters, 0);
    for (int i = 0; i < 6; i++) tycho_lock_release(locks[i]);
    assert_int_equal(count_held(f), 0);
}

static void a_full_table_refuses_and_goes_on_when_there_is_room(void **state) {
    static tycho_lock *locks[TYCHO_LOCKS_MAX];
    fixture *f = *state;
    tycho_lock *lock;
    char name[16];
    for (int i = 0; i < TYCHO_LOCKS_MAX; i++) {
        snprintf(name, sizeof name, "lock %d", i);
        locks[i] = take(f, name);
    }
    assert_int_equal(count_held(f), TYCHO_LOCKS_MAX);
    ASSERT_STATUS(tycho_lock_take(f->store, text("more"), 100, &lock, NULL), TYCHO_TOO_LARGE);
    assert_null(lock);
    tycho_lock_release(locks[500]);
    locks[500] = take(f, "more");
    ASSERT_STATUS(tycho_lock_take(f->store, text("lock 500"), 0, &lock, NULL), TYCHO_TOO_LARGE);
    for (int i = 0; i < TYCHO_LOCKS_MAX; i++) tycho_lock_release(locks[i]);
    assert_int_equal(count_held(f), 0);
    token_of(f, "lock 500");
}

/* ---------------------------------------------------------------- the file of the table */

static void tokens_rise_when_the_table_is_deleted_between_two_opens(void **state) {
    fixture *f = *state;
    uint64_t last = token_of(f, "a");
    for (int i = 0; i < 3; i++) {
        tycho_store_close(f->store);
        assert_int_equal(unlink(f->lock_table), 0);
        ASSERT_STATUS(open_store(f->path, TYCHO_EXISTING, &f->store), TYCHO_OK);
        assert_int_equal(count_held(f), 0);
        uint64_t token = token_of(f, "a");
        assert_true(token > last);
        last = token;
    }
}

static void tokens_rise_when_the_table_is_deleted_while_it_is_used(void **state) {
    fixture *f = *state;
    tycho_lock *old = take(f, "old"), *lock;
    assert_int_equal(unlink(f->lock_table), 0);
    uint64_t token = token_of(f, "new");
    assert_true(token > tycho_lock_token(old));
    ASSERT_STATUS(tycho_lock_take(f->store, text("old"), 0, &lock, NULL), TYCHO_BUSY);
    ASSERT_STATUS(tycho_batch_expect_lock(f->batch, text("old"), tycho_lock_token(old)), TYCHO_OK);
    ASSERT_STATUS(tycho_commit(f->store, f->batch, NULL), TYCHO_OK);
    tycho_lock_release(old);
    assert_true(token_of(f, "old") > token);
}

static void write_at(const char *path, off_t offset, const char *bytes, size_t size) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, size, offset), (ssize_t)size);
    close(fd);
}

static void a_table_that_is_not_of_this_boot_or_file_is_made_anew(void **state) {
    static const struct {
        off_t offset;
        const char *bytes;
        size_t size;
    } damages[] = {
        {0, "TCYLOCK0", 8}, {8, "another boot", 12}, {48, "\377\377", 2}, {56, "\377\377\377", 3}};
    fixture *f = *state;
    uint64_t last = token_of(f, "a");
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        tycho_store_close(f->store);
        write_at(f->lock_table, damages[i].offset, damages[i].bytes, damages[i].size);
        write_at(f->lock_table, 64, "\0\0\0\0\0\0\0\0", 8); /* the next token */
        ASSERT_STATUS(open_store(f->path, TYCHO_EXISTING, &f->store), TYCHO_OK);
        assert_int_equal(count_held(f), 0); /* who only looks does not make it */
        uint64_t token = token_of(f, "a");
        assert_true(token > last);
        last = token;
    }
}

static void a_table_that_was_cut_off_is_made_anew(void **state) {
    static const off_t sizes[] = {0, 1, 100, 5000, 100000};
    fixture *f = *state;
    uint64_t last = token_of(f, "a");
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        tycho_store_close(f->store);
        assert_int_equal(truncate(f->lock_table, sizes[i]), 0);
        ASSERT_STATUS(open_store(f->path, TYCHO_EXISTING, &f->store), TYCHO_OK);
        assert_int_equal(count_held(f), 0);
        uint64_t token = token_of(f, "a");
        assert_true(token > last);
        last = token;
    }
}

static void a_table_that_is_kept_goes_on_without_a_commit(void **state) {
    fixture *f = *state;
    uint64_t token = token_of(f, "a");
    open_again(f);
    assert_int_equal(token_of(f, "a"), token + 1);
    assert_int_equal(sequence_of(f), 1);
}

static void a_table_that_is_no_file_is_refused(void **state) {
    fixture *f = *state;
    tycho_lock *lock;
    assert_int_equal(symlink("/etc/passwd", f->lock_table), 0);
    ASSERT_STATUS(tycho_lock_take(f->store, text("a"), 0, &lock, NULL), TYCHO_DENIED);
    assert_int_equal(unlink(f->lock_table), 0);
    assert_int_equal(mkdir(f->lock_table, 0700), 0);
    ASSERT_STATUS(tycho_lock_take(f->store, text("a"), 0, &lock, NULL), TYCHO_IO);
    assert_int_equal(rmdir(f->lock_table), 0);
    token_of(f, "a");
}

static void locks_whose_file_was_removed_are_refused(void **state) {
    fixture *f = *state;
    char path[DIRECTORY_SIZE + 32];
    tycho_lock *lock = take(f, "a"), *other;
    snprintf(path, sizeof path, "%s/locks", f->path);
    assert_int_equal(unlink(path), 0);
    ASSERT_STATUS(tycho_lock_take(f->store, text("b"), 0, &other, NULL), TYCHO_IO);
    assert_non_null(strstr(tycho_error(), "close all handles"));
    assert_null(other);
    tycho_batch_clear(f->batch);
    ASSERT_STATUS(tycho_batch_expect_lock(f->batch, text("a"), tycho_lock_token(lock)), TYCHO_OK);
    ASSERT_STATUS(tycho_commit(f->store, f->batch, NULL), TYCHO_IO);
    tycho_lock_release(lock);
    tycho_store_close(f->store);
    ASSERT_STATUS(tycho_store_open(f->path, NULL, &f->store), TYCHO_OK);
    token_of(f, "b");
}

static void a_renamed_store_keeps_its_locks(void **state) {
    fixture *f = *state;
    char moved[DIRECTORY_SIZE + 8];
    snprintf(moved, sizeof moved, "%s/moved", f->directory);
    tycho_lock *lock = take(f, "a"), *other;
    assert_int_equal(rename(f->path, moved), 0);
    ASSERT_STATUS(tycho_lock_take(f->store, text("a"), 0, &other, NULL), TYCHO_BUSY);
    token_of(f, "b");
    assert_int_equal(count_held(f), 1);
    tycho_lock_release(lock);
    assert_int_equal(rename(moved, f->path), 0);
}

/* ---------------------------------------------------------------- the condition of a batch */

/* Commits under the token; gives the status, and what was found instead. */
static int commit_under(fixture *f, const char *name, uint64_t token, int64_t *actual) {
    const tycho_receipt *receipt;
    const tycho_new_event event = {.type = text("written")};
    tycho_batch_clear(f->batch);
    ASSERT_STATUS(tycho_batch_expect_lock(f->batch, text(name), token), TYCHO_OK);
    ASSERT_STATUS(tycho_batch_append(f->batch, text("s"), TYCHO_EXPECT_ANY, &event, 1, 0), 0);
    int status = tycho_commit(f->store, f->batch, &receipt);
    *actual = receipt->actual;
    if (status != TYCHO_OK) assert_int_equal(receipt->condition, 0);
    if (status != TYCHO_OK) assert_int_equal(receipt->sequence, 0);
    return status;
}

static void a_batch_is_committed_while_its_lock_is_held(void **state) {
    fixture *f = *state;
    int64_t actual;
    ASSERT_STATUS(commit_under(f, "a", 1, &actual), TYCHO_CONDITION_FAILED);
    assert_int_equal(actual, 0);
    tycho_lock *lock = take(f, "a");
    uint64_t token = tycho_lock_token(lock);
    ASSERT_STATUS(commit_under(f, "a", token, &actual), TYCHO_OK);
    ASSERT_STATUS(commit_under(f, "a", token, &actual), TYCHO_OK);
    ASSERT_STATUS(commit_under(f, "b", token, &actual), TYCHO_CONDITION_FAILED);
    assert_int_equal(actual, 0);
    ASSERT_STATUS(commit_under(f, "a", token + 1, &actual), TYCHO_CONDITION_FAILED);
    assert_int_equal(actual, token);
    tycho_lock_release(lock);
    ASSERT_STATUS(commit_under(f, "a", token, &actual), TYCHO_CONDITION_FAILED);
    assert_int_equal(actual, 0);
    assert_non_null(strstr(tycho_error(), "the lock \"a\" is held by nobody"));
    lock = take(f, "a");
    ASSERT_STATUS(commit_under(f, "a", token, &actual), TYCHO_CONDITION_FAILED);
    assert_int_equal(actual, tycho_lock_token(lock));
    ASSERT_STATUS(commit_under(f, "a", tycho_lock_token(lock), &actual), TYCHO_OK);
    tycho_lock_release(lock);
    uint64_t head;
    ASSERT_STATUS(tycho_head(f->store, &head), TYCHO_OK);
    assert_int_equal(head, 3);
}

static void the_condition_is_checked_with_the_others_of_the_batch(void **state) {
    fixture *f = *state;
    const tycho_receipt *receipt;
    tycho_lock *lock = take(f, "a");
    ASSERT_STATUS(tycho_batch_expect(f->batch, text("s"), TYCHO_EXPECT_NONE, 0), TYCHO_OK);
    ASSERT_STATUS(tycho_batch_expect_lock(f->batch, text("a"), tycho_lock_token(lock)), TYCHO_OK);
    ASSERT_STATUS(tycho_batch_expect_lock(f->batch, text("b"), 7), TYCHO_OK);
    ASSERT_STATUS(tycho_commit(f->store, f->batch, &receipt), TYCHO_CONDITION_FAILED);
    assert_int_equal(receipt->condition, 2);
    tycho_lock_release(lock);
}

/* As a second store would apply it that is told what was committed, and knows no locks. */
static int apply_alone(fixture *f, uint64_t token) {
    tycho__txn txn;
    tycho_batch_clear(f->batch);
    ASSERT_STATUS(tycho_batch_expect_lock(f->batch, text("a"), token), TYCHO_OK);
    ASSERT_STATUS(tycho__txn_write(f->store->env, TYCHO_SYNC_NONE, &txn), TYCHO_OK);
    int status = tycho__apply(&txn, f->batch);
    if (status == TYCHO_OK) return tycho__txn_commit(&txn);
    assert_false(txn.is_changed);
    tycho__txn_abort(&txn);
    return status;
}

static void apply_refuses_a_token_below_one_that_was_committed(void **state) {
    fixture *f = *state;
    token_of(f, "a"); /* so that tokens are reserved */
    ASSERT_STATUS(apply_alone(f, 5), TYCHO_OK);
    ASSERT_STATUS(apply_alone(f, 5), TYCHO_OK);
    ASSERT_STATUS(apply_alone(f, 9), TYCHO_OK);
    ASSERT_STATUS(apply_alone(f, 8), TYCHO_CONDITION_FAILED);
    assert_int_equal(f->batch->receipt.actual, 9);
    open_again(f);
    ASSERT_STATUS(apply_alone(f, 8), TYCHO_CONDITION_FAILED);
    tycho_lock *lock = take(f, "a");
    int64_t actual;
    ASSERT_STATUS(commit_under(f, "a", tycho_lock_token(lock), &actual), TYCHO_CONDITION_FAILED);
    assert_int_equal(actual, 9);
    tycho_lock_release(lock);
}

static void a_refused_batch_demands_nothing_of_later_ones(void **state) {
    fixture *f = *state;
    const tycho_new_event event = {.id = text("once"), .type = text("t")};
    tycho_lock *lock = take(f, "a");
    for (int i = 0; i < 2; i++) {
        tycho_batch_clear(f->batch);
        ASSERT_STATUS(tycho_batch_append(f->batch, text("s"), -2, &event, 1, 0), TYCHO_OK);
        if (i == 0) ASSERT_STATUS(tycho_commit(f->store, f->batch, NULL), TYCHO_OK);
    }
    ASSERT_STATUS(tycho_batch_expect_lock(f->batch, text("a"), tycho_lock_token(lock)), TYCHO_OK);
    ASSERT_STATUS(tycho_commit(f->store, f->batch, NULL), TYCHO_DUPLICATE_EVENT);
    tycho__txn *txn;
    tycho_bytes value;
    ASSERT_STATUS(tycho__txn_read(f->store->env, &txn), TYCHO_OK);
    assert_int_equal(tycho__get(txn, TYCHO__FENCES, text("a"), &value), TYCHO_NOT_FOUND);
    tycho__txn_done(txn);
    tycho_lock_release(lock);
}

static void a_replay_is_answered_without_the_lock(void **state) {
    fixture *f = *state;
    const tycho_new_event event = {.id = text("once"), .type = text("t")};
    const tycho_receipt *receipt;
    tycho_lock *lock = take(f, "a");
    tycho_batch_set_idempotent(f->batch, 1);
    ASSERT_STATUS(tycho_batch_expect_lock(f->batch, text("a"), tycho_lock_token(lock)), TYCHO_OK);
    ASSERT_STATUS(tycho_batch_append(f->batch, text("s"), TYCHO_EXPECT_ANY, &event, 1, 0), 0);
    ASSERT_STATUS(tycho_commit(f->store, f->batch, &receipt), TYCHO_OK);
    tycho_lock_release(lock);
    ASSERT_STATUS(tycho_commit(f->store, f->batch, &receipt), TYCHO_OK);
    assert_true(receipt->is_replay);
    assert_int_equal(receipt->first_position, 1);
    assert_int_equal(receipt->result_count, 1);
}

static void verify_finds_a_token_that_was_never_given(void **state) {
    static const uint64_t tokens[] = {0, UINT64_MAX};
    fixture *f = *state;
    token_of(f, "a");
    for (size_t i = 0; i < 3; i++) {
        tycho__txn txn;
        tycho_verification *verification;
        tycho_finding finding = {.findings = 0};
        ASSERT_STATUS(tycho__txn_write(f->store->env, TYCHO_SYNC_NONE, &txn), TYCHO_OK);
        size_t size = i < 2 ? 8 : 3;
        ASSERT_STATUS(tycho__put(&txn, TYCHO__FENCES, text("a"), bytes_of(&tokens[i % 2], size)),
                      TYCHO_OK);
        ASSERT_STATUS(tycho__txn_commit(&txn), TYCHO_OK);
        ASSERT_STATUS(tycho_verification_open(f->store, &verification), TYCHO_OK);
        while (tycho_verification_step(verification, &finding) == TYCHO_OK) continue;
        assert_int_equal(finding.findings, 1);
        tycho_verification_close(verification);
    }
    tycho__txn txn;
    ASSERT_STATUS(tycho__txn_write(f->store->env, TYCHO_SYNC_NONE, &txn), TYCHO_OK);
    ASSERT_STATUS(tycho__remove(&txn, TYCHO__FENCES, text("a")), TYCHO_OK);
    ASSERT_STATUS(tycho__txn_commit(&txn), TYCHO_OK);
}

static void it_never_says_that_a_lock_was_taken_later(void **state) {
    fixture *f = *state;
    tycho_lock *lock = take(f, "a"), *other;
    clock_step_s = -3600;
    ASSERT_STATUS(tycho_lock_take(f->store, text("a"), 0, &other, NULL), TYCHO_BUSY);
    clock_step_s = 0;
    assert_string_equal(tycho_error(),
                        "this thread took the lock \"a\" 0.0 s ago and has not released it");
    tycho_lock_release(lock);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_lock_is_taken_and_released_and_taken_again),
        TEST(a_store_that_never_locks_has_no_table),
        TEST(the_same_thread_is_told_at_once_that_it_has_the_lock),
        TEST(wrong_arguments_are_misuse),
        TEST(a_read_only_handle_takes_no_lock_but_sees_them),
        TEST(tokens_are_reserved_past_deployed_scripts),
        TEST(the_longest_name_is_told_whole),
        TEST(held_locks_are_listed_by_name),
        TEST(a_full_table_refuses_and_goes_on_when_there_is_room),
        TEST(tokens_rise_when_the_table_is_deleted_between_two_opens),
        TEST(tokens_rise_when_the_table_is_deleted_while_it_is_used),
        TEST(a_table_that_is_not_of_this_boot_or_file_is_made_anew),
        TEST(a_table_that_was_cut_off_is_made_anew),
        TEST(a_table_that_is_kept_goes_on_without_a_commit),
        TEST(a_table_that_is_no_file_is_refused),
        TEST(locks_whose_file_was_removed_are_refused),
        TEST(a_renamed_store_keeps_its_locks),
        TEST(a_batch_is_committed_while_its_lock_is_held),
        TEST(the_condition_is_checked_with_the_others_of_the_batch),
        TEST(apply_refuses_a_token_below_one_that_was_committed),
        TEST(a_refused_batch_demands_nothing_of_later_ones),
        TEST(a_replay_is_answered_without_the_lock),
        TEST(it_never_says_that_a_lock_was_taken_later),
        TEST(verify_finds_a_token_that_was_never_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
