/* store_damage_test.c - directories that are no store, stores of the future, damaged stores, and
** stores that may only be read. LMDB is used directly to make them.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <fcntl.h>
#include <lmdb.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "env.h"
#include "store_values.h"

typedef struct fixture {
    char directory[DIRECTORY_SIZE];
    char path[DIRECTORY_SIZE + 16];
    char file[DIRECTORY_SIZE + 32]; /* the store's data.mdb */
} fixture;

static int set_up(void **state) {
    fixture *f = calloc(1, sizeof *f);
    if (f == NULL || make_directory(f->directory) != 0) return -1;
    snprintf(f->path, sizeof f->path, "%s/store", f->directory);
    snprintf(f->file, sizeof f->file, "%s/data.mdb", f->path);
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    fixture *f = *state;
    int result = remove_directory(f->directory);
    free(f);
    return result;
}

/* A store with one event, closed. */
static void make_store(fixture *f) {
    tycho_store *store;
    ASSERT_STATUS(open_store(f->path, TYCHO_CREATE, &store), TYCHO_OK);
    ASSERT_STATUS(append_event(store, "s", ""), TYCHO_OK);
    tycho_store_close(store);
}

/* Every mode refuses with the status, and a sentence that names the path where it can. */
static void check_refused(fixture *f, int expected) {
    static const uint32_t modes[] = {TYCHO_CREATE, TYCHO_EXISTING, TYCHO_READ_ONLY};
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        tycho_store *store = (tycho_store *)(uintptr_t)1;
        ASSERT_STATUS(open_store(f->path, modes[i], &store), expected);
        assert_null(store);
    }
}

static void write_file(const char *path, const void *data, size_t size) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

/* ---------------------------------------------------------------- what is no store */

static void a_directory_with_other_things_is_refused_and_left_alone(void **state) {
    fixture *f = *state;
    char other[DIRECTORY_SIZE + 32];
    struct stat info;
    assert_int_equal(mkdir(f->path, 0700), 0);
    snprintf(other, sizeof other, "%s/other", f->path);
    write_file(other, "kept", 4);
    check_refused(f, TYCHO_DENIED);
    assert_non_null(strstr(tycho_error(), f->path));
    assert_int_equal(stat(other, &info), 0);
    assert_int_equal(info.st_size, 4);
    assert_int_equal(unlink(other), 0);
    assert_int_equal(rmdir(f->path), 0);      /* there is nothing else in it */
    assert_int_equal(rmdir(f->directory), 0); /* and nothing beside it */
    assert_int_equal(mkdir(f->directory, 0700), 0);
}

static void an_empty_directory_becomes_a_store(void **state) {
    fixture *f = *state;
    tycho_store *store;
    assert_int_equal(mkdir(f->path, 0700), 0);
    ASSERT_STATUS(open_store(f->path, TYCHO_EXISTING, &store), TYCHO_DENIED);
    ASSERT_STATUS(open_store(f->path, TYCHO_CREATE, &store), TYCHO_OK);
    ASSERT_STATUS(append_event(store, "s", ""), TYCHO_OK);
    tycho_store_close(store);
}

static void a_file_is_no_store(void **state) {
    fixture *f = *state;
    write_file(f->path, "kept", 4);
    static const uint32_t modes[] = {TYCHO_CREATE, TYCHO_EXISTING, TYCHO_READ_ONLY};
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        tycho_store *store;
        assert_int_not_equal(open_store(f->path, modes[i], &store), TYCHO_OK);
        assert_null(store);
    }
    assert_int_equal(unlink(f->path), 0);
}

/* LMDB alone writes no seal (disk.h), so that the one of an earlier commit would not fit. */
static void blank_seals(fixture *f) {
    static const uint8_t blank[64];
    int fd = open(f->file, O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, blank, sizeof blank, 256), sizeof blank);
    assert_int_equal(pwrite(fd, blank, sizeof blank, 4096 + 256), sizeof blank);
    close(fd);
}

/* Runs `change` in a write transaction of LMDB on the directory. */
static void in_lmdb(fixture *f, void (*change)(MDB_txn *txn, MDB_dbi main, const void *context),
                    const void *context) {
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi table;
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_maxdbs(env, 32), 0);
    assert_int_equal(mdb_env_open(env, f->path, MDB_NOTLS, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, NULL, 0, &table), 0);
    change(txn, table, context);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
    blank_seals(f);
}

static void put_foreign_row(MDB_txn *txn, MDB_dbi table, const void *context) {
    MDB_val key = {3, (void *)(uintptr_t) "key"}, value = {5, (void *)(uintptr_t) "value"};
    (void)context;
    assert_int_equal(mdb_put(txn, table, &key, &value, 0), 0);
}

static void an_environment_of_lmdb_is_no_store(void **state) {
    fixture *f = *state;
    assert_int_equal(mkdir(f->path, 0700), 0);
    in_lmdb(f, put_foreign_row, NULL);
    check_refused(f, TYCHO_DENIED);
    assert_non_null(strstr(tycho_error(), "no store"));
}

static void bytes_in_place_of_the_data_are_refused(void **state) {
    fixture *f = *state;
    uint8_t *garbage = malloc(1 << 16);
    assert_non_null(garbage);
    memset(garbage, 0xa5, 1 << 16);
    make_store(f);
    write_file(f->file, garbage, 1 << 16);
    check_refused(f, TYCHO_CORRUPT);
    write_file(f->file, garbage, 100); /* shorter than a page */
    check_refused(f, TYCHO_CORRUPT);
    free(garbage);
}

/* ---------------------------------------------------------------- the state row */

static void read_state(MDB_txn *txn, MDB_dbi table, tycho__state *state) {
    MDB_val key = {5, (void *)(uintptr_t) "state"}, value;
    assert_int_equal(mdb_get(txn, table, &key, &value), 0);
    assert_int_equal(value.mv_size, sizeof *state);
    memcpy(state, value.mv_data, sizeof *state);
}

static void write_state(MDB_txn *txn, MDB_dbi table, const void *state, size_t size) {
    MDB_val key = {5, (void *)(uintptr_t) "state"}, value = {size, (void *)(uintptr_t)state};
    assert_int_equal(mdb_put(txn, table, &key, &value, 0), 0);
}

static void repair_checksum(tycho__state *state) {
    state->checksum = tycho__hash(state, offsetof(tycho__state, checksum), 0);
}

static void set_format(MDB_txn *txn, MDB_dbi table, const void *context) {
    tycho__state state;
    read_state(txn, table, &state);
    state.format = *(const uint64_t *)context;
    repair_checksum(&state);
    write_state(txn, table, &state, sizeof state);
}

static void a_store_of_a_newer_format_is_refused(void **state) {
    fixture *f = *state;
    uint64_t newer = TYCHO__FORMAT + 1, present = TYCHO__FORMAT_PLAIN;
    char words[32];
    tycho_store *store;
    make_store(f);
    in_lmdb(f, set_format, &newer);
    check_refused(f, TYCHO_NEWER_FORMAT);
    snprintf(words, sizeof words, "format %u", (unsigned)newer);
    assert_non_null(strstr(tycho_error(), words));
    in_lmdb(f, set_format, &present);
    ASSERT_STATUS(open_store(f->path, TYCHO_EXISTING, &store), TYCHO_OK);
    assert_clean(store);
    tycho_store_close(store);
}

/* A newer row may be longer, and may be checked in another way: its format is looked at first. */
static void put_newer_row(MDB_txn *txn, MDB_dbi table, const void *context) {
    uint8_t row[sizeof(tycho__state) + 64] = {0};
    (void)context;
    tycho__store64(row, TYCHO__FORMAT + 7);
    write_state(txn, table, row, sizeof row);
}

static void damage_state(MDB_txn *txn, MDB_dbi table, const void *context) {
    size_t offset = *(const size_t *)context;
    tycho__state state;
    read_state(txn, table, &state);
    ((uint8_t *)&state)[offset] ^= 1;
    write_state(txn, table, &state, sizeof state);
}

static void cut_state(MDB_txn *txn, MDB_dbi table, const void *context) {
    tycho__state state;
    read_state(txn, table, &state);
    write_state(txn, table, &state, *(const size_t *)context);
}

static void remove_state(MDB_txn *txn, MDB_dbi table, const void *context) {
    MDB_val key = {5, (void *)(uintptr_t) "state"};
    (void)context;
    assert_int_equal(mdb_del(txn, table, &key, NULL), 0);
}

static void a_newer_state_of_another_size_is_newer_and_not_corrupt(void **state) {
    fixture *f = *state;
    make_store(f);
    in_lmdb(f, put_newer_row, NULL);
    check_refused(f, TYCHO_NEWER_FORMAT);
}

static void a_damaged_state_is_corrupt(void **state) {
    static const size_t offsets[] = {8, 16, 40, sizeof(tycho__state) - 9, sizeof(tycho__state) - 1};
    static const size_t sizes[] = {0, 7, 8, sizeof(tycho__state) - 1};
    fixture *f = *state;
    make_store(f);
    for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++) {
        in_lmdb(f, damage_state, &offsets[i]);
        check_refused(f, TYCHO_CORRUPT);
        in_lmdb(f, damage_state, &offsets[i]);
    }
    tycho_store *store;
    ASSERT_STATUS(open_store(f->path, TYCHO_EXISTING, &store), TYCHO_OK); /* all is as it was */
    tycho_store_close(store);
    in_lmdb(f, cut_state, &sizes[3]);
    check_refused(f, TYCHO_CORRUPT);
}

static void a_state_that_is_cut_off_or_gone_is_corrupt(void **state) {
    fixture *f = *state;
    make_store(f);
    in_lmdb(f, cut_state, &(size_t){8});
    check_refused(f, TYCHO_CORRUPT);
    in_lmdb(f, remove_state, NULL);
    check_refused(f, TYCHO_CORRUPT);
}

/* ---------------------------------------------------------------- permissions */

/* Runs as somebody whom permissions bind: root gives itself up. 0, or the line that failed. */
static int in_unprivileged_child(int (*run)(fixture *), fixture *f) {
    int status;
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)) _exit(250);
        _exit(run(f));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "line %d: %s\n", __LINE__, tycho_error());                             \
            return __LINE__ % 249 + 1;                                                             \
        }                                                                                          \
    } while (0)

static int only_read(fixture *f) {
    tycho_store *store;
    uint64_t head = 0;
    CHECK(open_store(f->path, TYCHO_CREATE, &store) == TYCHO_DENIED && store == NULL);
    CHECK(open_store(f->path, TYCHO_EXISTING, &store) == TYCHO_DENIED && store == NULL);
    CHECK(open_store(f->path, TYCHO_READ_ONLY, &store) == TYCHO_OK);
    CHECK(tycho_head(store, &head) == TYCHO_OK && head == 1);
    CHECK(append_event(store, "s", "") == TYCHO_DENIED);
    tycho_store_close(store);
    return 0;
}

static int not_even_read(fixture *f) {
    tycho_store *store;
    CHECK(open_store(f->path, TYCHO_EXISTING, &store) == TYCHO_DENIED && store == NULL);
    CHECK(open_store(f->path, TYCHO_CREATE, &store) == TYCHO_DENIED && store == NULL);
    CHECK(open_store(f->path, TYCHO_READ_ONLY, &store) == TYCHO_DENIED && store == NULL);
    snprintf(f->path, sizeof f->path, "%s/new", f->directory);
    CHECK(open_store(f->path, TYCHO_CREATE, &store) == TYCHO_DENIED && store == NULL);
    return 0;
}

/* Readers need their slots in lock.mdb, so that file may be written; all else may not. */
static void a_directory_that_may_not_be_written_is_read(void **state) {
    fixture *f = *state;
    char lock[DIRECTORY_SIZE + 32];
    make_store(f);
    snprintf(lock, sizeof lock, "%s/lock.mdb", f->path);
    assert_int_equal(chmod(lock, 0666) | chmod(f->file, 0444) | chmod(f->path, 0555), 0);
    assert_int_equal(chmod(f->directory, 0755), 0);
    assert_int_equal(in_unprivileged_child(only_read, f), 0);
    assert_int_equal(chmod(lock, 0444) | chmod(f->directory, 0555), 0);
    assert_int_equal(in_unprivileged_child(not_even_read, f), 0);
    assert_int_equal(chmod(f->path, 0700) | chmod(f->directory, 0700), 0);
}

static void a_directory_that_may_not_be_entered_is_denied(void **state) {
    fixture *f = *state;
    make_store(f);
    assert_int_equal(chmod(f->path, 0000) | chmod(f->directory, 0555), 0);
    assert_int_equal(in_unprivileged_child(not_even_read, f), 0);
    assert_int_equal(chmod(f->path, 0700) | chmod(f->directory, 0700), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_directory_with_other_things_is_refused_and_left_alone),
        TEST(an_empty_directory_becomes_a_store),
        TEST(a_file_is_no_store),
        TEST(an_environment_of_lmdb_is_no_store),
        TEST(bytes_in_place_of_the_data_are_refused),
        TEST(a_store_of_a_newer_format_is_refused),
        TEST(a_newer_state_of_another_size_is_newer_and_not_corrupt),
        TEST(a_damaged_state_is_corrupt),
        TEST(a_state_that_is_cut_off_or_gone_is_corrupt),
        TEST(a_directory_that_may_not_be_written_is_read),
        TEST(a_directory_that_may_not_be_entered_is_denied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
