/* lmdb_calls_test.c - LMDB fails: in a life of a store (every_verb.h), the n-th call of one of its
** functions fails with one of the errors that it has, for every function and every n (sampled,
** unless TYCHO_SWEEP=full): once, and from there on. What must hold then: failing_life.h.
**
** The LMDB in this program has these functions under other names (Makefile), and the engine calls
** those that are here. They fail as LMDB does: a transaction in which reading or writing a row
** failed takes nothing more and cannot be committed, and a commit that fails ends it.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <lmdb.h>

#include "failing_life.h"

enum { SAMPLES = 60 };

/* ---------------------------------------------------------------- calls that fail */

enum call {
    ENV_CREATE,
    ENV_OPEN,
    ENV_SYNC,
    ENV_COPY,
    DBI_OPEN,
    BEGIN_READ,
    BEGIN_WRITE,
    RENEW,
    COMMIT,
    CURSOR_OPEN,
    CURSOR_RENEW,
    GET,
    PUT,
    DEL,
    STAT
};

static const struct fault {
    enum call call;
    int error;
    int status;
    const char *name;
} FAULTS[] = {
    {ENV_CREATE, ENOMEM, TYCHO_NO_MEMORY, "mdb_env_create: ENOMEM"},
    {ENV_OPEN, EAGAIN, TYCHO_BUSY, "mdb_env_open: EAGAIN"},
    {ENV_OPEN, EACCES, TYCHO_DENIED, "mdb_env_open: EACCES"},
    {ENV_OPEN, MDB_VERSION_MISMATCH, TYCHO_CORRUPT, "mdb_env_open: MDB_VERSION_MISMATCH"},
    {ENV_OPEN, EDQUOT, TYCHO_FULL, "mdb_env_open: EDQUOT"},
    {ENV_SYNC, EIO, TYCHO_IO, "mdb_env_sync: EIO"},
    {ENV_COPY, ENOSPC, TYCHO_FULL, "mdb_env_copy2: ENOSPC"},
    {ENV_COPY, ENOMEM, TYCHO_NO_MEMORY, "mdb_env_copy2: ENOMEM"},
    {DBI_OPEN, MDB_CORRUPTED, TYCHO_CORRUPT, "mdb_dbi_open: MDB_CORRUPTED"},
    {DBI_OPEN, ENOMEM, TYCHO_NO_MEMORY, "mdb_dbi_open: ENOMEM"},
    {BEGIN_READ, MDB_READERS_FULL, TYCHO_BUSY, "mdb_txn_begin: MDB_READERS_FULL"},
    {BEGIN_READ, ENOMEM, TYCHO_NO_MEMORY, "mdb_txn_begin: ENOMEM"},
    {BEGIN_READ, MDB_MAP_RESIZED, TYCHO_FULL, "mdb_txn_begin: MDB_MAP_RESIZED"},
    {BEGIN_WRITE, MDB_PANIC, TYCHO_IO, "mdb_txn_begin to write: MDB_PANIC"},
    {BEGIN_WRITE, MDB_MAP_RESIZED, TYCHO_FULL, "mdb_txn_begin to write: MDB_MAP_RESIZED"},
    {BEGIN_WRITE, EROFS, TYCHO_DENIED, "mdb_txn_begin to write: EROFS"},
    {RENEW, MDB_MAP_RESIZED, TYCHO_FULL, "mdb_txn_renew: MDB_MAP_RESIZED"},
    {COMMIT, ENOSPC, TYCHO_FULL, "mdb_txn_commit: ENOSPC"},
    {COMMIT, EIO, TYCHO_IO, "mdb_txn_commit: EIO"},
    {COMMIT, ENOMEM, TYCHO_NO_MEMORY, "mdb_txn_commit: ENOMEM"},
    {COMMIT, MDB_MAP_FULL, TYCHO_FULL, "mdb_txn_commit: MDB_MAP_FULL"},
    {CURSOR_OPEN, ENOMEM, TYCHO_NO_MEMORY, "mdb_cursor_open: ENOMEM"},
    {CURSOR_RENEW, MDB_BAD_TXN, TYCHO_IO, "mdb_cursor_renew: MDB_BAD_TXN"},
    {GET, MDB_PAGE_NOTFOUND, TYCHO_CORRUPT, "mdb_cursor_get: MDB_PAGE_NOTFOUND"},
    {GET, MDB_CORRUPTED, TYCHO_CORRUPT, "mdb_cursor_get: MDB_CORRUPTED"},
    {PUT, MDB_MAP_FULL, TYCHO_FULL, "mdb_cursor_put: MDB_MAP_FULL"},
    {PUT, ENOMEM, TYCHO_NO_MEMORY, "mdb_cursor_put: ENOMEM"},
    {PUT, MDB_TXN_FULL, TYCHO_IO, "mdb_cursor_put: MDB_TXN_FULL"},
    {DEL, ENOSPC, TYCHO_FULL, "mdb_del: ENOSPC"},
    {DEL, MDB_CORRUPTED, TYCHO_CORRUPT, "mdb_del: MDB_CORRUPTED"},
    {STAT, MDB_BAD_TXN, TYCHO_IO, "mdb_stat: MDB_BAD_TXN"},
};
enum { FAULT_COUNT = sizeof FAULTS / sizeof *FAULTS };

static const struct fault *fault = FAULTS;
static _Thread_local MDB_txn *failed; /* what it began to do is lost */

static bool fails(enum call call) {
    return fault->call == call && call_fails();
}

/* In a transaction, which is spoilt by it. */
static bool fails_in(enum call call, MDB_txn *txn) {
    if (!fails(call)) return false;
    failed = txn;
    return true;
}

static void forget(const MDB_txn *txn) {
    if (failed == txn) failed = NULL;
}

int lmdb_env_create(MDB_env **env);
int lmdb_env_open(MDB_env *env, const char *path, unsigned int flags, mdb_mode_t mode);
int lmdb_env_sync(MDB_env *env, int force);
int lmdb_env_copy2(MDB_env *env, const char *path, unsigned int flags);
int lmdb_dbi_open(MDB_txn *txn, const char *name, unsigned int flags, MDB_dbi *dbi);
int lmdb_txn_begin(MDB_env *env, MDB_txn *parent, unsigned int flags, MDB_txn **txn);
int lmdb_txn_renew(MDB_txn *txn);
void lmdb_txn_reset(MDB_txn *txn);
int lmdb_txn_commit(MDB_txn *txn);
void lmdb_txn_abort(MDB_txn *txn);
int lmdb_cursor_open(MDB_txn *txn, MDB_dbi dbi, MDB_cursor **cursor);
int lmdb_cursor_renew(MDB_txn *txn, MDB_cursor *cursor);
int lmdb_cursor_get(MDB_cursor *cursor, MDB_val *key, MDB_val *data, MDB_cursor_op op);
int lmdb_cursor_put(MDB_cursor *cursor, MDB_val *key, MDB_val *data, unsigned int flags);
int lmdb_del(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *data);
int lmdb_stat(MDB_txn *txn, MDB_dbi dbi, MDB_stat *stat);

int mdb_env_create(MDB_env **env) {
    return fails(ENV_CREATE) ? fault->error : lmdb_env_create(env);
}

int mdb_env_open(MDB_env *env, const char *path, unsigned int flags, mdb_mode_t mode) {
    return fails(ENV_OPEN) ? fault->error : lmdb_env_open(env, path, flags, mode);
}

int mdb_env_sync(MDB_env *env, int force) {
    return fails(ENV_SYNC) ? fault->error : lmdb_env_sync(env, force);
}

int mdb_env_copy2(MDB_env *env, const char *path, unsigned int flags) {
    return fails(ENV_COPY) ? fault->error : lmdb_env_copy2(env, path, flags);
}

int mdb_dbi_open(MDB_txn *txn, const char *name, unsigned int flags, MDB_dbi *dbi) {
    return fails(DBI_OPEN) ? fault->error : lmdb_dbi_open(txn, name, flags, dbi);
}

int mdb_txn_begin(MDB_env *env, MDB_txn *parent, unsigned int flags, MDB_txn **txn) {
    bool is_read = (flags & MDB_RDONLY) != 0;
    if (fails(is_read ? BEGIN_READ : BEGIN_WRITE)) return fault->error;
    return lmdb_txn_begin(env, parent, flags, txn);
}

int mdb_txn_renew(MDB_txn *txn) {
    return fails(RENEW) ? fault->error : lmdb_txn_renew(txn);
}

void mdb_txn_reset(MDB_txn *txn) {
    forget(txn);
    lmdb_txn_reset(txn);
}

int mdb_txn_commit(MDB_txn *txn) {
    bool is_bad = failed == txn;
    bool is_failing = fails(COMMIT);
    forget(txn);
    if (!is_bad && !is_failing) return lmdb_txn_commit(txn);
    lmdb_txn_abort(txn);
    return is_bad ? MDB_BAD_TXN : fault->error;
}

void mdb_txn_abort(MDB_txn *txn) {
    forget(txn);
    lmdb_txn_abort(txn);
}

int mdb_cursor_open(MDB_txn *txn, MDB_dbi dbi, MDB_cursor **cursor) {
    if (failed == txn) return MDB_BAD_TXN;
    return fails(CURSOR_OPEN) ? fault->error : lmdb_cursor_open(txn, dbi, cursor);
}

int mdb_cursor_renew(MDB_txn *txn, MDB_cursor *cursor) {
    if (failed == txn) return MDB_BAD_TXN;
    return fails(CURSOR_RENEW) ? fault->error : lmdb_cursor_renew(txn, cursor);
}

int mdb_cursor_get(MDB_cursor *cursor, MDB_val *key, MDB_val *data, MDB_cursor_op op) {
    MDB_txn *txn = mdb_cursor_txn(cursor);
    if (failed == txn) return MDB_BAD_TXN;
    return fails_in(GET, txn) ? fault->error : lmdb_cursor_get(cursor, key, data, op);
}

int mdb_cursor_put(MDB_cursor *cursor, MDB_val *key, MDB_val *data, unsigned int flags) {
    MDB_txn *txn = mdb_cursor_txn(cursor);
    if (failed == txn) return MDB_BAD_TXN;
    return fails_in(PUT, txn) ? fault->error : lmdb_cursor_put(cursor, key, data, flags);
}

int mdb_del(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *data) {
    if (failed == txn) return MDB_BAD_TXN;
    return fails_in(DEL, txn) ? fault->error : lmdb_del(txn, dbi, key, data);
}

int mdb_stat(MDB_txn *txn, MDB_dbi dbi, MDB_stat *stat) {
    if (failed == txn) return MDB_BAD_TXN;
    return fails(STAT) ? fault->error : lmdb_stat(txn, dbi, stat);
}

/* ---------------------------------------------------------------- what is swept */

static const char *fault_in_words(void) {
    static char words[80];
    snprintf(words, sizeof words, "%s %s", fault->name, is_lasting ? "from there on" : "once");
    return words;
}

static bool fits(int status, const step *s) {
    bool is_found = fault->status == TYCHO_CORRUPT && strcmp(s->name, "verify") == 0;
    if (status == TYCHO_UNKNOWN_OUTCOME) return s->is_commit;
    bool is_behind = fault->call == GET && status == TYCHO_IO &&
                     strstr(tycho_error(), "met a damaged page") != NULL;
    return status == fault->status || is_behind || (is_found && status == TOLD_WRONG);
}

static void sweep(bool lasting) {
    char directory[DIRECTORY_SIZE];
    assert_int_equal(make_directory_in_memory(directory), 0);
    is_lasting = lasting;
    for (int i = 0; i < FAULT_COUNT; i++) {
        fault = &FAULTS[i];
        sweep_calls(directory, SAMPLES);
    }
    remove_directory(directory);
}

static void one_call_fails(void **state) {
    (void)state;
    sweep(false);
}

static void all_calls_fail_from_one_on(void **state) {
    (void)state;
    sweep(true);
}

/* ---------------------------------------------------------------- every call of a few verbs */

static int set_route(tycho_store *store, uint64_t *answer) {
    tycho_batch *batch;
    int status = tycho_batch_create(&batch);
    if (status != TYCHO_OK) return status;
    *answer = 0;
    status = tycho_batch_set_route(batch, text("route"), text("s"), 0);
    if (status == TYCHO_OK) status = tycho_commit(store, batch, NULL);
    tycho_batch_destroy(batch);
    return status;
}

/* None of the events is so old, but each must be looked at. */
static int count_old_events(tycho_store *store, uint64_t *answer) {
    const tycho_read read = {
        .size = sizeof read, .stream = text("s"), .flags = TYCHO_READ_UNTIL_TIME, .until_time = 1};
    return tycho_count(store, &read, answer);
}

/* Its transaction has looked for ids before. */
static int look_up_and_verify(tycho_store *store, uint64_t *answer) {
    uint64_t position;
    bool was_armed = atomic_exchange(&is_armed, false);
    ASSERT_STATUS(tycho_event_position(store, text("nothing"), &position), TYCHO_EVENT_NOT_FOUND);
    atomic_store(&is_armed, was_armed);
    return verify_store(store, answer);
}

/* An answer is right, or there is a status of the fault instead. */
static void check_every_call(enum call call, int (*ask)(tycho_store *store, uint64_t *answer)) {
    static const step nothing = {.name = "the verb"};
    char directory[DIRECTORY_SIZE], path[DIRECTORY_SIZE + 8];
    tycho_store *store;
    uint64_t right, answer;
    assert_int_equal(make_directory_in_memory(directory), 0);
    snprintf(path, sizeof path, "%s/store", directory);
    ASSERT_STATUS(open_store(path, TYCHO_CREATE, &store), TYCHO_OK);
    for (int i = 0; i < 5; i++) ASSERT_STATUS(append_event(store, "s", ""), TYCHO_OK);
    ASSERT_STATUS(ask(store, &right), TYCHO_OK);
    is_lasting = false;
    for (int i = 0; i < FAULT_COUNT; i++) {
        if (FAULTS[i].call != call) continue;
        fault = &FAULTS[i];
        long n = 0;
        do {
            tycho_store_close(store);
            ASSERT_STATUS(open_store(path, TYCHO_EXISTING, &store), TYCHO_OK);
            expect_failure(n++);
            int status = ask(store, &answer);
            atomic_store(&is_armed, false);
            if (status == TYCHO_OK) assert_int_equal(answer, right);
            if (status != TYCHO_OK && !fits(status, &nothing)) {
                fail_msg("%s at call %ld: %s: %s", fault->name, n - 1, tycho_status_code(status),
                         tycho_error());
            }
        } while (atomic_load(&has_failed));
        assert_true(n > 1);
    }
    assert_clean(store);
    tycho_store_close(store);
    remove_directory(directory);
}

static void a_route_that_cannot_be_read_is_no_circle(void **state) {
    (void)state;
    check_every_call(GET, set_route);
}

static void what_cannot_be_read_is_not_counted(void **state) {
    (void)state;
    check_every_call(GET, count_old_events);
}

static void a_failure_while_verifying_is_no_finding(void **state) {
    (void)state;
    check_every_call(CURSOR_RENEW, look_up_and_verify);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_call_fails),
        cmocka_unit_test(all_calls_fail_from_one_on),
        cmocka_unit_test(a_route_that_cannot_be_read_is_no_circle),
        cmocka_unit_test(what_cannot_be_read_is_not_counted),
        cmocka_unit_test(a_failure_while_verifying_is_no_finding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
