/* txn.c - transactions on an environment; see env.h. */
#include <errno.h>
#include <lmdb.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <time.h>

#include "commit.h"
#include "env.h"
#include "pending.h"
#include "place.h"
#include "recent.h"

#define LOW_SPACE (1u << 20)

static bool is_disk_full(const tycho__env *env) {
    struct statvfs disk;
    if (fstatvfs(env->gate.directory_fd, &disk) != 0) return false;
    return (uint64_t)disk.f_bavail * disk.f_frsize < LOW_SPACE;
}

int tycho__mdb_fail(tycho__env *env, int error, const char *what) {
    switch (error) {
    case MDB_NOTFOUND:
        return TYCHO_NOT_FOUND;
    case MDB_MAP_FULL:
        return tycho__fail(TYCHO_FULL,
                           "%s: the reserved address space of %llu bytes is used up; "
                           "open the store with a larger map_size or without a limit on memory",
                           what, (unsigned long long)env->map_size);
    case MDB_MAP_RESIZED:
        return tycho__fail(TYCHO_FULL,
                           "%s: another process made the store larger than the %llu bytes of "
                           "address space reserved here; close all handles of the store in this "
                           "process and open it with a larger map_size",
                           what, (unsigned long long)env->map_size);
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return tycho__fail(TYCHO_FULL, "%s: %s", what, strerror(error));
    case ENOMEM:
        return tycho__fail(TYCHO_NO_MEMORY, "%s: no memory", what);
    case MDB_READERS_FULL:
        return tycho__fail(TYCHO_BUSY,
                           "%s: all reader slots are taken; close snapshots or open "
                           "the store with a larger readers_max",
                           what);
    case EAGAIN:
        return tycho__fail(TYCHO_BUSY,
                           "%s: another container has a process of the same number; "
                           "give both one process id namespace",
                           what);
    case EACCES:
    case EPERM:
    case EROFS:
        return tycho__fail(TYCHO_DENIED, "%s: %s", what, strerror(error));
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
        return tycho__fail(TYCHO_CORRUPT, "%s: %s", what, mdb_strerror(error));
    case MDB_BAD_TXN: /* LMDB goes no further in a transaction in which it met damage */
        return tycho__fail(TYCHO_IO,
                           "%s: what was read or written before met a damaged page or failed; "
                           "`tycho verify` tells what is hurt",
                           what);
    case MDB_PANIC:
        atomic_store(&env->is_broken, true);
        return tycho__fail(TYCHO_IO,
                           "%s: an earlier write failed; close all handles of the store "
                           "in this process and open it again",
                           what);
    default:
        if (error == EIO && is_disk_full(env)) {
            return tycho__fail(TYCHO_FULL, "%s: the disk is full", what);
        }
        return tycho__fail(TYCHO_IO, "%s: %s", what, mdb_strerror(error));
    }
}

static MDB_val to_val(tycho_bytes bytes) {
    MDB_val val = {bytes.size, (void *)(uintptr_t)bytes.data};
    return val;
}

/* ---------------------------------------------------------------- state */

static uint64_t state_checksum(const tycho__state *state) {
    return tycho__hash(state, offsetof(tycho__state, checksum), 0);
}

/* Whether no more is settled, and being settled, than there is. */
static bool is_settled_within(const tycho__state *state) {
    return state->settled <= state->head && state->settling <= state->head - state->settled &&
           state->links_settled <= state->links_made &&
           state->links_settling <= state->links_made - state->links_settled;
}

static int state_read(tycho__txn *txn) {
    tycho_bytes value = {NULL, 0};
    int status = tycho__get(txn, TYCHO__MAIN, tycho__bytes("state", 5), &value);
    if (status == TYCHO_NOT_FOUND || (status == TYCHO_OK && value.size < 8)) {
        return tycho__fail(TYCHO_CORRUPT, "the store has no state row");
    }
    if (status != TYCHO_OK) return status;
    uint64_t format = tycho__load64(value.data);
    if (format > TYCHO__FORMAT) {
        return tycho__fail(TYCHO_NEWER_FORMAT, "the store has format %llu, this library knows %d",
                           (unsigned long long)format, TYCHO__FORMAT);
    }
    if (value.size != sizeof txn->state) {
        return tycho__fail(TYCHO_CORRUPT, "the state row of the store has %zu bytes", value.size);
    }
    memcpy(&txn->state, value.data, sizeof txn->state);
    if (txn->state.checksum != state_checksum(&txn->state)) {
        return tycho__fail(TYCHO_CORRUPT, "the state row of the store has a wrong checksum");
    }
    if (!is_settled_within(&txn->state)) {
        return tycho__fail(TYCHO_CORRUPT,
                           "the state row of the store has %llu events and %llu links settled, of "
                           "%llu and %llu",
                           (unsigned long long)txn->state.settled,
                           (unsigned long long)txn->state.links_settled,
                           (unsigned long long)txn->state.head,
                           (unsigned long long)txn->state.links_made);
    }
    return TYCHO_OK;
}

int tycho__state_write(tycho__txn *txn) {
    txn->state.commit = mdb_txn_id(txn->mdb);
    txn->state.checksum = state_checksum(&txn->state);
    return tycho__put(txn, TYCHO__MAIN, tycho__bytes("state", 5),
                      tycho__bytes(&txn->state, sizeof txn->state));
}

/* ---------------------------------------------------------------- reading */

static void free_read(tycho__txn *txn) {
    mdb_txn_abort(txn->mdb);
    free(txn->guarded);
    free(txn);
}

static tycho__txn *pool_take(tycho__env *env) {
    pthread_mutex_lock(&env->pool_mutex);
    tycho__txn *txn = env->pool_count > 0 ? env->pool[--env->pool_count] : NULL;
    pthread_mutex_unlock(&env->pool_mutex);
    return txn;
}

static int new_read(tycho__env *env, tycho__txn **out) {
    tycho__txn *txn = calloc(1, sizeof *txn);
    if (txn == NULL) return tycho__fail(TYCHO_NO_MEMORY, "no memory for a transaction");
    txn->env = env;
    int error = mdb_txn_begin(env->mdb, NULL, MDB_RDONLY, &txn->mdb);
    if (error == MDB_READERS_FULL) {
        tycho__env_clear_readers(env);
        error = mdb_txn_begin(env->mdb, NULL, MDB_RDONLY, &txn->mdb);
    }
    if (error != 0) {
        free(txn);
        return tycho__mdb_fail(env, error, "beginning to read");
    }
    *out = txn;
    return TYCHO_OK;
}

enum { ADOPTION_MS = 1000, ADOPTION_STEP_US = 50 };

static uint64_t last_commit(const tycho__env *env) {
    MDB_envinfo facts;
    mdb_env_info(env->mdb, &facts);
    return facts.me_last_txnid;
}

static int renew(MDB_txn *txn) {
    mdb_txn_reset(txn);
    return mdb_txn_renew(txn);
}

/* Whether a living process is at its commit. It holds byte 3 of the gate from when all earlier ones
** are seen by readers until its own is. */
static bool is_committing(tycho__env *env) {
    return atomic_load(&env->is_committing) || tycho__gate_is_committing(&env->gate);
}

/* In the gate: flushes the half commit, and makes LMDB look for it by beginning to write. */
static int adopt(tycho__env *env) {
    MDB_txn *writing;
    if (tycho__disk_flush(&env->disk) != 0) return errno;
    int error = mdb_txn_begin(env->mdb, NULL, 0, &writing);
    if (error == 0) mdb_txn_abort(writing);
    return error;
}

/* A process that was killed between the last write of its commit and its word to LMDB's readers
** left a commit that they would see only with the next one, and that may not be flushed. Who reads
** flushes it and makes it seen; when somebody is in the gate, that one does so first of all, and is
** waited for. While a living process commits, nobody waits. */
static int find_half_commit(tycho__env *env, MDB_txn *txn) {
    const struct timespec step = {.tv_nsec = ADOPTION_STEP_US * 1000};
    int64_t end = 0; /* of waiting; 0: a commit may just have been seen, so look again */
    int error = 0;
    while (error == 0 && env->can_write && last_commit(env) != mdb_txn_id(txn)) {
        if (is_committing(env)) { /* what was there before it began is seen now */
            error = renew(txn);
            break;
        }
        if (end == 0) {
            end = tycho__monotonic_ms() + ADOPTION_MS;
        } else if (tycho__commit_try_enter(env)) {
            error = adopt(env);
            tycho__commit_leave(env);
            end = 1;
        } else if (tycho__monotonic_ms() < end) {
            nanosleep(&step, NULL);
        } else {
            break;
        }
        int renewed = renew(txn);
        if (error == 0) error = renewed;
    }
    return error == 0 ? TYCHO_OK : tycho__mdb_fail(env, error, "beginning to read");
}

/* LMDB takes the number of the last commit; its meta page is that of the same parity, which the
** next commit but one writes over before anybody is told of it. Until then that number is the last
** or, while a commit is not told of, is what LMDB gives once more. */
static bool is_overtaken(tycho__txn *txn, uint64_t number, int *error) {
    if (last_commit(txn->env) == number) return false;
    *error = renew(txn->mdb);
    return *error != 0 || mdb_txn_id(txn->mdb) != number;
}

/* Looks at what a transaction sees that was just begun or renewed, if that is not what it saw
** before. */
static int begin_read(tycho__txn *txn) {
    int status, error = 0;
    uint64_t number;
    do {
        status = find_half_commit(txn->env, txn->mdb);
        number = mdb_txn_id(txn->mdb);
        if (status != TYCHO_OK || tycho__guard_is_at(txn->guarded, number)) return status;
        status = tycho__guard_begin(txn->env->guard, number, &txn->guarded);
    } while (is_overtaken(txn, number, &error) && error == 0);
    if (error != 0) status = tycho__mdb_fail(txn->env, error, "beginning to read");
    if (status == TYCHO_OK) status = state_read(txn);
    if (status != TYCHO_OK && txn->guarded != NULL) txn->guarded->is_on = false;
    return status;
}

int tycho__txn_read(tycho__env *env, tycho__txn **out) {
    *out = NULL;
    tycho__txn *txn = pool_take(env);
    int status = TYCHO_OK;
    if (txn == NULL) {
        status = new_read(env, &txn);
    } else {
        int error = mdb_txn_renew(txn->mdb);
        if (error != 0) status = tycho__mdb_fail(env, error, "beginning to read");
    }
    if (status == TYCHO_OK) status = begin_read(txn);
    if (status != TYCHO_OK) {
        if (txn != NULL) free_read(txn);
        return status;
    }
    *out = txn;
    return TYCHO_OK;
}

uint64_t tycho__txn_number(const tycho__txn *txn) {
    assert(!txn->is_write);
    return mdb_txn_id(txn->mdb);
}

int tycho__txn_renew(tycho__txn *txn) {
    assert(!txn->is_write);
    mdb_txn_reset(txn->mdb);
    tycho__recent_drop(txn);
    int error = mdb_txn_renew(txn->mdb);
    return error == 0 ? begin_read(txn) : tycho__mdb_fail(txn->env, error, "going on to read");
}

void tycho__txn_done(tycho__txn *txn) {
    if (txn == NULL) return;
    assert(!txn->is_write);
    tycho__env *env = txn->env;
    mdb_txn_reset(txn->mdb);
    tycho__recent_drop(txn);
    pthread_mutex_lock(&env->pool_mutex);
    bool is_kept = env->pool_count < TYCHO__POOL;
    if (is_kept) env->pool[env->pool_count++] = txn;
    pthread_mutex_unlock(&env->pool_mutex);
    if (!is_kept) free_read(txn);
}

void tycho__pool_clear(tycho__env *env) {
    for (tycho__txn *txn = pool_take(env); txn != NULL; txn = pool_take(env)) free_read(txn);
}

/* ---------------------------------------------------------------- writing */

/* The same for who is about to write, in the gate: what goes before the next commit must be flushed
** before that begins. */
static int flush_half_commit(tycho__env *env) {
    MDB_txn *reading;
    uint64_t last = last_commit(env);
    if (last == env->disk.last_flushed) return 0;
    int error = mdb_txn_begin(env->mdb, NULL, MDB_RDONLY, &reading);
    bool is_published = error == 0 && mdb_txn_id(reading) == last;
    if (error == 0) mdb_txn_abort(reading);
    return is_published || tycho__disk_flush(&env->disk) == 0 ? 0 : errno;
}

int tycho__mdb_begin(tycho__env *env, uint32_t sync, MDB_txn **txn) {
    static const unsigned flags[] = {[TYCHO_SYNC_FULL] = 0,
                                     [TYCHO_SYNC_BATCHED] = MDB_NOMETASYNC,
                                     [TYCHO_SYNC_NONE] = MDB_NOSYNC};
    assert(sync <= TYCHO_SYNC_NONE);
    int error = flush_half_commit(env);
    if (error == 0) error = mdb_txn_begin(env->mdb, NULL, flags[sync], txn);
    if (error != 0) return error;
    /* LMDB heeds this flag of a transaction only half: the data would be flushed all the same. */
    bool is_unsynced = sync == TYCHO_SYNC_NONE;
    if (env->is_unsynced != is_unsynced) mdb_env_set_flags(env->mdb, MDB_NOSYNC, is_unsynced);
    env->is_unsynced = is_unsynced;
    tycho__disk_begin(&env->disk, sync == TYCHO_SYNC_FULL);
    if (sync == TYCHO_SYNC_FULL) {
        atomic_store(&env->is_committing, true);
        tycho__gate_begin_commit(&env->gate);
    }
    return 0;
}

static void end_mdb(tycho__env *env) {
    tycho__disk_end();
    if (!atomic_exchange(&env->is_committing, false)) return;
    tycho__gate_end_commit(&env->gate);
}

int tycho__mdb_commit(tycho__env *env, MDB_txn *txn) {
    tycho__disk_commit(&env->disk);
    int error = mdb_txn_commit(txn);
    end_mdb(env);
    return error;
}

void tycho__mdb_abort(tycho__env *env, MDB_txn *txn) {
    mdb_txn_abort(txn);
    end_mdb(env);
}

/* In a large store: begins with the commit that this one goes on from. What is known of that is
** kept in the environment, for who writes next. */
static int begin_look(tycho__txn *txn) {
    tycho__env *env = txn->env;
    uint64_t before = mdb_txn_id(txn->mdb) - 1;
    int status = TYCHO_OK;
    if (tycho__guard_is_whole(env->guard)) return TYCHO_OK;
    if (!tycho__guard_is_at(env->guarded, before)) {
        status = tycho__guard_begin(env->guard, before, &env->guarded);
    }
    txn->guarded = env->guarded;
    return status;
}

int tycho__txn_write(tycho__env *env, uint32_t sync, tycho__txn *txn) {
    memset(txn, 0, sizeof *txn);
    txn->env = env;
    txn->is_write = true;
    int error = tycho__mdb_begin(env, sync, &txn->mdb);
    if (error != 0) return tycho__mdb_fail(env, error, "beginning to write");
    int status = begin_look(txn);
    if (status == TYCHO_OK) status = state_read(txn);
    if (txn->state.format < TYCHO__FORMAT_PLAIN) txn->state.format = TYCHO__FORMAT_PLAIN;
    txn->dictionary = txn->state.dictionary;
    /* Now, while the state is that of the last commit: later it would read too much. */
    if (status == TYCHO_OK) status = tycho__recent_need(txn);
    if (status == TYCHO_OK) {
        tycho__lists_take(txn);
        tycho__recent_mark(txn);
    } else {
        txn->is_changed = true; /* what is kept of the last commit stays where it is */
    }
    if (status != TYCHO_OK) tycho__txn_abort(txn);
    return status;
}

static void end_write(tycho__txn *txn) {
    tycho__lists_free(txn->lists);
    txn->lists = NULL;
    tycho__recent_drop(txn);
    tycho__generation_release(txn->shared);
    txn->shared = NULL;
    free(txn->pending);
    txn->pending = NULL;
    txn->mdb = NULL; /* LMDB frees the cursors of a write transaction with it */
}

void tycho__txn_abort(tycho__txn *txn) {
    if (txn->mdb == NULL) return;
    if (!txn->is_changed) tycho__lists_keep(txn);
    tycho__recent_abort(txn);
    tycho__mdb_abort(txn->env, txn->mdb);
    end_write(txn);
}

int tycho__txn_commit(tycho__txn *txn) {
    tycho__recent_let_go(txn);
    int status = tycho__lists_write(txn);
    if (status == TYCHO_OK) status = tycho__pending_write(txn);
    if (status == TYCHO_OK) status = tycho__state_write(txn);
    if (status != TYCHO_OK) {
        tycho__txn_abort(txn);
        return status;
    }
    int error = tycho__mdb_commit(txn->env, txn->mdb);
    if (error == 0) {
        atomic_store(&txn->env->rules, txn->state.rules);
        tycho__recent_commit(txn);
        tycho__lists_keep(txn);
    } else {
        tycho__recent_abort(txn); /* if it is there after all, it will be read from the log */
    }
    end_write(txn);
    return error == 0 ? TYCHO_OK : tycho__mdb_fail(txn->env, error, "committing");
}

/* ---------------------------------------------------------------- rows */

/* The write transaction's cursor of a table. */
static int cursor_of(tycho__txn *txn, tycho__table table, MDB_cursor **cursor) {
    int error = 0;
    assert(txn->is_write);
    if (txn->cursors[table] == NULL) {
        error = mdb_cursor_open(txn->mdb, txn->env->tables[table], &txn->cursors[table]);
    }
    *cursor = txn->cursors[table];
    return error == 0 ? TYCHO_OK : tycho__mdb_fail(txn->env, error, "reading");
}

/* In a large store: judges the pages that LMDB will go to, unless it stays where it is. */
static int look_before(tycho__txn *txn, tycho__table table, MDB_cursor_op op, tycho_bytes key) {
    if (txn->guarded == NULL || op == MDB_NEXT || op == MDB_PREV) return TYCHO_OK;
    return tycho__place_look(txn->guarded, table, op == MDB_LAST ? NULL : &key);
}

static int walk(tycho__txn *txn, tycho__table table, MDB_cursor_op op, tycho_bytes *key,
                tycho_bytes *value) {
    MDB_cursor *cursor;
    if (txn->env->tables[table] == TYCHO__NO_TABLE) return TYCHO_NOT_FOUND;
    int status = cursor_of(txn, table, &cursor);
    if (status == TYCHO_OK) status = look_before(txn, table, op, *key);
    if (status != TYCHO_OK) return status;
    MDB_val k = to_val(*key), v = {0, NULL};
    int error = mdb_cursor_get(cursor, &k, &v, op);
    if (error != 0) return tycho__mdb_fail(txn->env, error, "reading");
    *key = tycho__bytes(k.mv_data, k.mv_size);
    *value = tycho__bytes(v.mv_data, v.mv_size);
    return op == MDB_SET_KEY ? TYCHO_OK : look_before(txn, table, MDB_SET_KEY, *key);
}

int tycho__get(tycho__txn *txn, tycho__table table, tycho_bytes key, tycho_bytes *value) {
    if (!txn->is_write) return tycho__place_get(txn->guarded, table, key, value);
    return walk(txn, table, MDB_SET_KEY, &key, value);
}

int tycho__seek(tycho__txn *txn, tycho__table table, tycho_bytes *key, tycho_bytes *value) {
    if (!txn->is_write) return tycho__place_seek(txn->guarded, table, key, value);
    return walk(txn, table, key->size == 0 ? MDB_FIRST : MDB_SET_RANGE, key, value);
}

int tycho__seek_back(tycho__txn *txn, tycho__table table, tycho_bytes *key, tycho_bytes *value) {
    const tycho_bytes wanted = *key;
    if (!txn->is_write) return tycho__place_seek_back(txn->guarded, table, key, value);
    int status = walk(txn, table, MDB_SET_RANGE, key, value);
    if (status == TYCHO_NOT_FOUND) return tycho__last(txn, table, key, value);
    if (status != TYCHO_OK || tycho__equal(*key, wanted)) return status;
    return tycho__previous(txn, table, key, value);
}

int tycho__next(tycho__txn *txn, tycho__table table, tycho_bytes *key, tycho_bytes *value) {
    if (!txn->is_write) return tycho__place_next(txn->guarded, table, key, value);
    return walk(txn, table, MDB_NEXT, key, value);
}

int tycho__previous(tycho__txn *txn, tycho__table table, tycho_bytes *key, tycho_bytes *value) {
    if (!txn->is_write) return tycho__place_previous(txn->guarded, table, key, value);
    return walk(txn, table, MDB_PREV, key, value);
}

int tycho__last(tycho__txn *txn, tycho__table table, tycho_bytes *key, tycho_bytes *value) {
    if (!txn->is_write) return tycho__place_last(txn->guarded, table, key, value);
    return walk(txn, table, MDB_LAST, key, value);
}

static int write_row(tycho__txn *txn, tycho__table table, tycho_bytes key, MDB_val *value,
                     unsigned flags) {
    MDB_cursor *cursor;
    assert(txn->is_write);
    int status = cursor_of(txn, table, &cursor);
    if (status == TYCHO_OK) status = look_before(txn, table, MDB_SET_KEY, key);
    if (status != TYCHO_OK) return status;
    MDB_val k = to_val(key);
    int error = mdb_cursor_put(cursor, &k, value, flags);
    if (error == MDB_KEYEXIST) return TYCHO_DUPLICATE_EVENT;
    txn->is_changed = true;
    return error == 0 ? TYCHO_OK : tycho__mdb_fail(txn->env, error, "writing");
}

int tycho__put(tycho__txn *txn, tycho__table table, tycho_bytes key, tycho_bytes value) {
    MDB_val v = to_val(value);
    return write_row(txn, table, key, &v, 0);
}

int tycho__put_behind(tycho__txn *txn, tycho__table table, tycho_bytes key, tycho_bytes value) {
    MDB_val v = to_val(value);
    int status = write_row(txn, table, key, &v, MDB_APPEND);
    return status == TYCHO_DUPLICATE_EVENT ? tycho__put(txn, table, key, value) : status;
}

int tycho__insert(tycho__txn *txn, tycho__table table, tycho_bytes key, tycho_bytes value) {
    MDB_val v = to_val(value);
    return write_row(txn, table, key, &v, MDB_NOOVERWRITE);
}

int tycho__remove(tycho__txn *txn, tycho__table table, tycho_bytes key) {
    MDB_val k = to_val(key);
    assert(txn->is_write);
    int status = look_before(txn, table, MDB_SET_KEY, key);
    if (status != TYCHO_OK) return status;
    int error = mdb_del(txn->mdb, txn->env->tables[table], &k, NULL);
    if (error == 0) txn->is_changed = true;
    return error == 0 ? TYCHO_OK : tycho__mdb_fail(txn->env, error, "removing");
}

static int reserve_event(tycho__txn *txn, uint64_t position, size_t size, unsigned flags,
                         uint8_t **to) {
    size_t number = position;
    MDB_val value = {size, NULL};
    int status = write_row(txn, TYCHO__EVENTS, tycho__bytes(&number, sizeof number), &value,
                           MDB_RESERVE | flags);
    if (status == TYCHO_DUPLICATE_EVENT) {
        return tycho__fail(TYCHO_CORRUPT, "the log goes beyond its head, position %llu",
                           (unsigned long long)position);
    }
    *to = value.mv_data;
    return status;
}

int tycho__append(tycho__txn *txn, uint64_t position, size_t size, uint8_t **to) {
    return reserve_event(txn, position, size, MDB_APPEND, to);
}

int tycho__put_event(tycho__txn *txn, uint64_t position, size_t size, uint8_t **to) {
    return reserve_event(txn, position, size, 0, to);
}

int tycho__get_event(tycho__txn *txn, uint64_t position, tycho_bytes *record) {
    size_t number = position;
    return tycho__get(txn, TYCHO__EVENTS, tycho__bytes(&number, sizeof number), record);
}

bool tycho__event_behind(tycho__txn *txn, uint64_t position, tycho_bytes *record) {
    return !txn->is_write && tycho__place_follow(txn->guarded, TYCHO__EVENTS, position, record);
}

int tycho__map_base(tycho__env *env, uint32_t *page_size, const uint8_t **base) {
    MDB_txn *txn;
    MDB_cursor *cursor = NULL;
    MDB_val key, value;
    MDB_stat facts;
    int error = mdb_txn_begin(env->mdb, NULL, MDB_RDONLY, &txn);
    if (error != 0) return tycho__mdb_fail(env, error, "opening");
    error = mdb_cursor_open(txn, env->tables[TYCHO__MAIN], &cursor);
    if (error == 0) error = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
    if (error == 0) error = mdb_stat(txn, env->tables[TYCHO__MAIN], &facts);
    mdb_cursor_close(cursor);
    mdb_txn_abort(txn);
    if (error == MDB_NOTFOUND) return tycho__fail(TYCHO_CORRUPT, "the store has no state row");
    if (error != 0) return tycho__mdb_fail(env, error, "opening");
    *page_size = facts.ms_psize;
    uintptr_t page = (uintptr_t)key.mv_data & ~((uintptr_t)facts.ms_psize - 1);
    *base = (const uint8_t *)page - tycho__load64((const uint8_t *)page) * facts.ms_psize;
    return TYCHO_OK;
}

int tycho__row_count(tycho__txn *txn, tycho__table table, uint64_t *count) {
    MDB_stat stat;
    if (!txn->is_write) return tycho__place_count(txn->guarded, table, count);
    int error = mdb_stat(txn->mdb, txn->env->tables[table], &stat);
    if (error != 0) return tycho__mdb_fail(txn->env, error, "counting rows");
    *count = stat.ms_entries;
    return TYCHO_OK;
}
