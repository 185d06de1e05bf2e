/* failing_lmdb.h - the functions of LMDB that the engine calls, of one of which the n-th call fails
** (nth_call.h) with one of the errors that it has. For one source file of a program whose LMDB has
** these functions under other names (Makefile). Who reads goes from page to page without LMDB: that
** can fail, too.
**
** They fail as LMDB does: a transaction in which reading or writing a row failed takes nothing more
** and cannot be committed, and a commit that fails ends it.
*/
#ifndef TYCHO_SPEC_FAILING_LMDB_H
#define TYCHO_SPEC_FAILING_LMDB_H

#include <errno.h>
#include <lmdb.h>
#include <stdio.h>

#include "nth_call.h"
#include "place.h"
#include "tycho.h"

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
    GET,
    PUT,
    DEL,
    STAT,
    STEP, /* of a reader, to a page */
    STEP_OTHERWISE
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
    {ENV_COPY, EAGAIN, TYCHO_NO_MEMORY, "mdb_env_copy2: EAGAIN"},
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
    {GET, MDB_PAGE_NOTFOUND, TYCHO_CORRUPT, "mdb_cursor_get: MDB_PAGE_NOTFOUND"},
    {GET, MDB_CORRUPTED, TYCHO_CORRUPT, "mdb_cursor_get: MDB_CORRUPTED"},
    {PUT, MDB_MAP_FULL, TYCHO_FULL, "mdb_cursor_put: MDB_MAP_FULL"},
    {PUT, ENOMEM, TYCHO_NO_MEMORY, "mdb_cursor_put: ENOMEM"},
    {PUT, MDB_TXN_FULL, TYCHO_IO, "mdb_cursor_put: MDB_TXN_FULL"},
    {DEL, ENOSPC, TYCHO_FULL, "mdb_del: ENOSPC"},
    {DEL, MDB_CORRUPTED, TYCHO_CORRUPT, "mdb_del: MDB_CORRUPTED"},
    {STAT, MDB_BAD_TXN, TYCHO_IO, "mdb_stat: MDB_BAD_TXN"},
    {STEP, MDB_CORRUPTED, TYCHO_CORRUPT, "a page that is read without LMDB"},
    {STEP_OTHERWISE, ENOMEM, TYCHO_NO_MEMORY, "reading without LMDB, not by damage"},
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

/* A page to which a step failed may be reached on another way, from the root. */
enum { OTHER_WAY = 4 };
static uint64_t failed_page;
static int steps_behind = OTHER_WAY; /* the one that failed */
static bool was_reached;             /* on another way */

/* The linker puts this before the function of guard.h. */
int __real_tycho__guard_step(tycho__guarded *g, tycho__table table, tycho__place *place,
                             uint32_t level, uint64_t number);
int __wrap_tycho__guard_step(tycho__guarded *g, tycho__table table, tycho__place *place,
                             uint32_t level, uint64_t number);

int __wrap_tycho__guard_step(tycho__guarded *g, tycho__table table, tycho__place *place,
                             uint32_t level, uint64_t number) {
    if (fails(STEP) || fails(STEP_OTHERWISE)) {
        failed_page = number;
        steps_behind = 0;
        was_reached = false;
        return tycho__fail(fault->status, "page %llu", (unsigned long long)number);
    }
    if (steps_behind < OTHER_WAY) {
        steps_behind++;
        if (number == failed_page) was_reached = true;
    }
    return __real_tycho__guard_step(g, table, place, level, number);
}

static inline const char *fault_in_words(void) {
    static char words[80];
    snprintf(words, sizeof words, "%s %s", fault->name, is_lasting ? "from there on" : "once");
    return words;
}

/* Whether a status tells of the fault, or of a transaction that was spoilt by it. */
static inline bool tells_of_fault(int status) {
    bool is_behind = fault->call == GET && status == TYCHO_IO &&
                     strstr(tycho_error(), "met a damaged page") != NULL;
    return status == fault->status || is_behind;
}

#endif
