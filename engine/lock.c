/* lock.c - named locks across threads and processes.
**
** A lock is a byte of the file `locks`, 16 + the hash of its name: the kernel excludes processes
** and takes the byte back when one ends. It does not exclude the threads of one process, so each
** process has a list of what it holds (struct tycho__locks). Both are changed under its mutex.
**
**      new --(nobody waits)----> try --(byte is free)--> HELD --(release)--> gone
**       |                       ^  |                      in the list, has the byte and a token;
**       +--(others wait)-> QUEUED <+ (byte is taken)       a slot of the table tells who holds it
**                            |
**                            +--(time is over)--> gone
**
** Who is queued sleeps until there was a release, for LOOK_MS at most; only the first of the row
** tries, and so sees within LOOK_MS that an owner died. The row, the tokens and what is told about
** owners are in shared memory (lock_table.h), which the exclusion does not depend on.
**
** Tokens are reserved in the state row by a batch of the engine's own before they are given, a
** million at a time, so that they rise whatever becomes of the table.
*/
#include "lock.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "batch.h"
#include "commit.h"
#include "lock_table.h"
#include "store.h"

enum { LOOK_MS = 20, LOOK_BEHIND_MS = 40, BUCKETS = 64, TOKEN_BLOCK = 1 << 20 };

struct tycho_lock {
    tycho_store *store;
    tycho__lock_table *table;
    uint32_t slot; /* in it */
    uint64_t hash, token;
    const int *is_cancelled; /* NULL: nobody can */
    tycho__hold hold;
    tycho_lock *next; /* in the list */
};

struct tycho__locks {
    pthread_mutex_t mutex;
    tycho_lock *held[BUCKETS];
    tycho__lock_table *table; /* the current one, behind it those that were deleted; or NULL */
    char host[65];
};

struct tycho__locks *tycho__locks_create(void) {
    struct tycho__locks *locks = calloc(1, sizeof *locks);
    if (locks == NULL) return NULL;
    pthread_mutex_init(&locks->mutex, NULL);
    gethostname(locks->host, sizeof locks->host - 1);
    return locks;
}

void tycho__locks_destroy(struct tycho__locks *locks) {
    if (locks == NULL) return;
    while (locks->table != NULL) {
        tycho__lock_table *older = locks->table->older;
        tycho__lock_table_close(locks->table);
        locks->table = older;
    }
    pthread_mutex_destroy(&locks->mutex);
    free(locks);
}

/* ---------------------------------------------------------------- names, bytes, the list */

/* Names with the same hash are one lock: with 62 bits that does not happen. */
static uint64_t hash_of(tycho_bytes name) {
    return tycho__hash(name.data, name.size, 0) & (((uint64_t)1 << 62) - 1);
}

static uint64_t byte_of(uint64_t hash) {
    return TYCHO__NAMED_BYTE + hash;
}

static tycho_lock **place_of(struct tycho__locks *locks, uint64_t hash) {
    tycho_lock **place = &locks->held[hash % BUCKETS];
    while (*place != NULL && (*place)->hash != hash) place = &(*place)->next;
    return place;
}

/* The current table, opened or made when needed; NULL when it must not be made and is not there.
** The caller has the mutex. */
static int current_table(tycho__env *env, bool may_make, tycho__lock_table **table) {
    struct tycho__locks *locks = env->locks;
    if (locks->table == NULL || !tycho__lock_table_is_current(locks->table, env)) {
        int status = tycho__lock_table_open(env, may_make, table);
        if (status != TYCHO_OK || *table == NULL) return status;
        (*table)->older = locks->table;
        locks->table = *table;
    }
    *table = locks->table;
    return TYCHO_OK;
}

/* ---------------------------------------------------------------- what is told about owners */

static void fill_info(tycho_lock_info *info, const tycho__lock_table *table, uint64_t token,
                      const tycho__hold *hold) {
    memset(info, 0, sizeof *info);
    info->token = token;
    info->since = hold->since;
    info->pid = hold->owner.pid;
    info->thread = hold->owner.thread;
    info->name_size = (uint32_t)strlen(hold->name);
    memcpy(info->name, hold->name, info->name_size);
    snprintf(info->host, sizeof info->host, "%.64s", hold->host);
    info->waiters =
        tycho__lock_table_waiters(table, hash_of(tycho__bytes(info->name, info->name_size)));
}

/* Who holds the lock, as far as the table knows. */
static bool find_owner(const tycho__lock_table *table, uint64_t hash, tycho_lock_info *owner) {
    tycho__hold hold;
    uint64_t token = 0;
    uint32_t slot = tycho__lock_table_find(table, hash, &token);
    bool is_known = slot != TYCHO__NO_SLOT && tycho__lock_table_read(table, slot, token, &hold);
    if (is_known) fill_info(owner, table, token, &hold);
    return is_known;
}

static double seconds_since(int64_t time) {
    return (double)(tycho_now() - time) / 1e6;
}

static bool is_cancelled(const tycho_lock *lock) {
    return lock->is_cancelled != NULL && __atomic_load_n(lock->is_cancelled, __ATOMIC_ACQUIRE) != 0;
}

static int fail_timeout(const tycho_lock *lock, int64_t timeout_ms, tycho_lock_info *owner) {
    const char *name = lock->hold.name;
    tycho_lock_info other;
    uint64_t awaited;
    long long waited = (long long)timeout_ms;
    bool has_owner = find_owner(lock->table, lock->hash, owner);
    if (is_cancelled(lock)) {
        return tycho__fail(TYCHO_TIMEOUT, "the wait for the lock \"%s\" was cancelled", name);
    }
    if (!has_owner) {
        return tycho__fail(TYCHO_TIMEOUT,
                           "waited %lld ms for the lock \"%s\"; who holds it is not "
                           "known",
                           waited, name);
    }
    tycho__owner thread = {(uint32_t)owner->pid, (uint32_t)owner->thread};
    bool is_waiting = tycho__lock_table_wait_of(lock->table, thread, &awaited) &&
                      find_owner(lock->table, awaited, &other);
    return tycho__fail(TYCHO_TIMEOUT,
                       "waited %lld ms for the lock \"%s\", which process %lld (thread %lld) on %s "
                       "has held for %.1f s%s%s%s",
                       waited, name, (long long)owner->pid, (long long)owner->thread, owner->host,
                       seconds_since(owner->since),
                       is_waiting ? "; it waits itself for the lock \"" : "",
                       is_waiting ? other.name : "", is_waiting ? "\"" : "");
}

/* ---------------------------------------------------------------- taking */

/* Frees the slots of owners that died. The caller has the mutex. */
static void sweep_table(tycho__env *env, tycho__lock_table *table) {
    uint64_t hash, token;
    uint32_t slot = tycho__lock_table_next(table, 0, &hash, &token);
    for (; slot != TYCHO__NO_SLOT; slot = tycho__lock_table_next(table, slot + 1, &hash, &token)) {
        const tycho_lock *own = *place_of(env->locks, hash);
        bool is_held =
            own != NULL ? own->token == token : tycho__gate_is_taken(&env->gate, byte_of(hash));
        if (!is_held) tycho__lock_table_sweep(table, slot, token);
    }
}

/* The lock has its byte: the token, the slot, the list. TYCHO_END, without a sentence: the table
** was replaced, or has no more tokens. */
static int grant(tycho__env *env, tycho_lock *lock) {
    tycho__lock_table *table = lock->table;
    if (!tycho__lock_table_is_current(table, env)) return TYCHO_END;
    lock->token = tycho__lock_table_take_token(table);
    if (lock->token == 0) return TYCHO_END;
    lock->hold.since = tycho_now();
    lock->slot = tycho__lock_table_claim(table, lock->hash, lock->token, &lock->hold);
    if (lock->slot == TYCHO__NO_SLOT) {
        sweep_table(env, table);
        lock->slot = tycho__lock_table_claim(table, lock->hash, lock->token, &lock->hold);
    }
    if (lock->slot == TYCHO__NO_SLOT) {
        return tycho__fail(TYCHO_TOO_LARGE, "%d locks are held already", TYCHO_LOCKS_MAX);
    }
    tycho_lock **place = place_of(env->locks, lock->hash);
    assert(*place == NULL);
    *place = lock;
    return TYCHO_OK;
}

/* TYCHO_BUSY, without a sentence: somebody has it. TYCHO_END: as in grant(). */
static int try_once(tycho_lock *lock) {
    tycho__env *env = lock->store->env;
    uint64_t byte = byte_of(lock->hash);
    int status = TYCHO_BUSY;
    pthread_mutex_lock(&env->locks->mutex);
    if (*place_of(env->locks, lock->hash) == NULL) {
        status = tycho__gate_try(&env->gate, byte);
        if (status == TYCHO_OK) {
            status = tycho__gate_check_file(&env->gate);
            if (status == TYCHO_OK) status = grant(env, lock);
            if (status != TYCHO_OK) tycho__gate_give_back(&env->gate, byte);
        }
    }
    pthread_mutex_unlock(&env->locks->mutex);
    return status;
}

/* Waits in the row and tries whenever it is the first. TYCHO_BUSY: the time is over. */
static int try_in_turn(tycho_lock *lock, int64_t deadline) {
    tycho__waiter waiter = {.table = lock->table, .hash = lock->hash, .owner = lock->hold.owner};
    int status = tycho__waiter_queue(&waiter);
    if (status != TYCHO_OK) return status;
    for (;;) {
        bool is_first;
        uint32_t releases = tycho__waiter_releases(&waiter);
        status = tycho__waiter_look(&waiter, &is_first);
        if (status == TYCHO_OK) status = is_first ? try_once(lock) : TYCHO_BUSY;
        int64_t left = deadline - tycho__monotonic_ms(), look = is_first ? LOOK_MS : LOOK_BEHIND_MS;
        if (status != TYCHO_BUSY || left <= 0 || is_cancelled(lock)) break;
        tycho__waiter_sleep(&waiter, releases, left < look ? left : look);
    }
    tycho__waiter_leave(&waiter);
    if (status != TYCHO_OK) tycho__lock_table_wake(lock->table, lock->hash); /* the next is first */
    return status;
}

/* Whether this very thread has it, whose waiting would never end. */
static int check_not_mine(const tycho_lock *lock, tycho_lock_info *owner) {
    struct tycho__locks *locks = lock->store->env->locks;
    pthread_mutex_lock(&locks->mutex);
    const tycho_lock *held = *place_of(locks, lock->hash);
    bool is_mine = held != NULL && held->hold.owner.thread == lock->hold.owner.thread;
    if (is_mine) fill_info(owner, held->table, held->token, &held->hold);
    pthread_mutex_unlock(&locks->mutex);
    if (!is_mine) return TYCHO_OK;
    return tycho__fail(TYCHO_BUSY,
                       "this thread took the lock \"%s\" %.1f s ago and has not released it",
                       lock->hold.name, seconds_since(owner->since));
}

static int commit_tokens(tycho_store *store, uint64_t tokens) {
    tycho_batch *batch = NULL;
    int status = tycho_batch_create(&batch);
    if (status == TYCHO_OK) status = tycho__batch_reserve_tokens(batch, tokens);
    if (status == TYCHO_OK) status = tycho__commit_own(store, batch);
    tycho_batch_destroy(batch);
    return status;
}

/* Sees to it that the store says, for good, that tokens up to a higher one may be given. It may say
** so already: whoever committed it could not tell the table any more. */
static int reserve_tokens(tycho_lock *lock) {
    tycho__env *env = lock->store->env;
    tycho__txn *txn;
    int status = tycho__txn_read(env, &txn);
    if (status != TYCHO_OK) return status;
    uint64_t tokens = txn->state.tokens, next = tycho__lock_table_next_token(lock->table);
    tycho__txn_done(txn);
    if (tokens < next) {
        tokens = next + TOKEN_BLOCK;
        status = commit_tokens(lock->store, tokens);
    } else {
        status = tycho__env_sync(env);
    }
    if (status == TYCHO_OK) tycho__lock_table_set_reserved(lock->table, tokens);
    return status;
}

/* The table of the lock, with tokens left. At first any table will do: grant() sees whether it is
** the current one. */
static int prepare(tycho_lock *lock, bool is_first) {
    tycho__env *env = lock->store->env;
    int status = TYCHO_OK;
    pthread_mutex_lock(&env->locks->mutex);
    lock->table = env->locks->table;
    if (lock->table == NULL || !is_first) status = current_table(env, true, &lock->table);
    pthread_mutex_unlock(&env->locks->mutex);
    if (status != TYCHO_OK || tycho__lock_table_has_tokens(lock->table)) return status;
    return reserve_tokens(lock);
}

static int take(tycho_lock *lock, int64_t timeout_ms, tycho_lock_info *owner) {
    bool is_endless = timeout_ms < 0 || timeout_ms > INT64_MAX / 2;
    int64_t deadline = is_endless ? INT64_MAX : tycho__monotonic_ms() + timeout_ms;
    int status = check_not_mine(lock, owner);
    bool is_first = true;
    if (status != TYCHO_OK) return status;
    do {
        status = prepare(lock, is_first);
        if (status != TYCHO_OK) return status;
        is_first = false;
        bool is_awaited = tycho__lock_table_is_awaited(lock->table, lock->hash);
        status = is_awaited ? TYCHO_BUSY : try_once(lock);
        if (status == TYCHO_BUSY && timeout_ms != 0) status = try_in_turn(lock, deadline);
    } while (status == TYCHO_END);
    return status == TYCHO_BUSY ? fail_timeout(lock, timeout_ms, owner) : status;
}

static int check_take(tycho_store *store, tycho_bytes name) {
    int status = tycho__store_check(store);
    if (status == TYCHO_OK) status = tycho__check_name(name, "lock");
    if (status != TYCHO_OK || store->options.mode != TYCHO_READ_ONLY) return status;
    return tycho__fail(TYCHO_DENIED, "the store was opened read-only: it has no locks to take");
}

int tycho_lock_take(tycho_store *store, tycho_bytes name, int64_t timeout_ms, tycho_lock **out,
                    tycho_lock_info *owner) {
    return tycho_lock_take_unless(store, name, timeout_ms, NULL, out, owner);
}

int tycho_lock_take_unless(tycho_store *store, tycho_bytes name, int64_t timeout_ms,
                           const int *cancelled, tycho_lock **out, tycho_lock_info *owner) {
    tycho_lock_info unwanted;
    if (owner == NULL) owner = &unwanted;
    memset(owner, 0, sizeof *owner);
    if (out == NULL) return tycho__fail(TYCHO_MISUSE, "no place to put the lock");
    *out = NULL;
    int status = check_take(store, name);
    if (status != TYCHO_OK) return status;
    tycho_lock *lock = calloc(1, sizeof *lock);
    if (lock == NULL) return tycho__fail(TYCHO_NO_MEMORY, "no memory for a lock");
    lock->store = store;
    lock->hash = hash_of(name);
    lock->is_cancelled = cancelled;
    lock->hold.owner.pid = (uint32_t)getpid();
    lock->hold.owner.thread = (uint32_t)syscall(SYS_gettid);
    tycho__copy(lock->hold.name, name);
    memcpy(lock->hold.host, store->env->locks->host, sizeof store->env->locks->host);
    status = take(lock, timeout_ms, owner);
    if (status != TYCHO_OK) {
        free(lock);
        return status;
    }
    atomic_fetch_add(&store->children, 1);
    *out = lock;
    return TYCHO_OK;
}

uint64_t tycho_lock_token(const tycho_lock *lock) {
    return lock == NULL ? 0 : lock->token;
}

void tycho_lock_release(tycho_lock *lock) {
    if (lock == NULL) return;
    tycho_store *store = lock->store;
    tycho__env *env = store->env;
    if (tycho__env_check(env) == TYCHO_OK) { /* else it is the parent's, who goes on having it */
        pthread_mutex_lock(&env->locks->mutex);
        tycho_lock **place = place_of(env->locks, lock->hash);
        assert(*place == lock);
        *place = lock->next;
        tycho__lock_table_clear(lock->table, lock->slot, lock->token);
        tycho__gate_give_back(&env->gate, byte_of(lock->hash));
        pthread_mutex_unlock(&env->locks->mutex);
        tycho__lock_table_wake(lock->table, lock->hash);
    }
    atomic_fetch_sub(&store->children, 1);
    free(lock);
}

/* ---------------------------------------------------------------- listing */

/* Puts a line in its place by name; the last one of a full list gives way. */
static void insert_line(tycho_lock_info *lines, size_t most, size_t count,
                        const tycho_lock_info *line) {
    size_t at = count < most ? count : most;
    while (at > 0 && strcmp(lines[at - 1].name, line->name) > 0) {
        if (at < most) lines[at] = lines[at - 1];
        at--;
    }
    if (at < most) lines[at] = *line;
}

static size_t list_held(tycho__env *env, const tycho__lock_table *table, tycho_lock_info *lines,
                        size_t most) {
    uint64_t hash, token;
    size_t count = 0;
    uint32_t slot = tycho__lock_table_next(table, 0, &hash, &token);
    for (; slot != TYCHO__NO_SLOT; slot = tycho__lock_table_next(table, slot + 1, &hash, &token)) {
        tycho__hold hold;
        tycho_lock_info line;
        const tycho_lock *own = *place_of(env->locks, hash);
        bool is_held =
            own != NULL ? own->token == token : tycho__gate_is_taken(&env->gate, byte_of(hash));
        if (!is_held || !tycho__lock_table_read(table, slot, token, &hold)) continue;
        fill_info(&line, table, token, &hold);
        insert_line(lines, most, count++, &line);
    }
    return count;
}

/* The table if there is one, for somebody who only looks. */
static int look_at_table(tycho__env *env, tycho__lock_table **table) {
    *table = NULL;
    if (env->gate.locks_fd < 0) {
        return tycho__fail(TYCHO_DENIED, "who may not write the store cannot see its locks");
    }
    return current_table(env, false, table);
}

int tycho_lock_list(tycho_store *store, tycho_lock_info *lines, size_t most, size_t *count) {
    tycho__lock_table *table;
    int status = tycho__store_check(store);
    if (status != TYCHO_OK) return status;
    if (count == NULL || (lines == NULL && most > 0)) {
        return tycho__fail(TYCHO_MISUSE, "no place to put the locks");
    }
    *count = 0;
    pthread_mutex_lock(&store->env->locks->mutex);
    status = look_at_table(store->env, &table);
    if (table != NULL) *count = list_held(store->env, table, lines, most);
    pthread_mutex_unlock(&store->env->locks->mutex);
    return status;
}

/* ---------------------------------------------------------------- the condition of a batch */

/* The token with which the lock is held now, here or elsewhere; 0: by nobody. The caller has the
** mutex. */
static int find_token(tycho__env *env, tycho_bytes name, uint64_t *token) {
    tycho__lock_table *table;
    tycho__hold hold;
    uint64_t hash = hash_of(name), found = 0;
    const tycho_lock *own = *place_of(env->locks, hash);
    *token = own != NULL ? own->token : 0;
    if (own != NULL) return tycho__gate_check_file(&env->gate);
    int status = look_at_table(env, &table);
    if (status != TYCHO_OK || table == NULL) return status;
    uint32_t slot = tycho__lock_table_find(table, hash, &found);
    if (slot == TYCHO__NO_SLOT || !tycho__lock_table_read(table, slot, found, &hold)) return status;
    bool is_named = tycho__equal(name, tycho__bytes(hold.name, strlen(hold.name)));
    if (is_named && tycho__gate_is_taken(&env->gate, byte_of(hash))) *token = found;
    return TYCHO_OK;
}

static int check_lock(tycho__env *env, tycho_batch *batch, const tycho__step *step) {
    uint64_t token = 0;
    pthread_mutex_lock(&env->locks->mutex);
    int status = find_token(env, step->name, &token);
    pthread_mutex_unlock(&env->locks->mutex);
    if (status != TYCHO_OK || token == step->number) return status;
    batch->receipt.actual = (int64_t)token;
    return tycho__fail(TYCHO_CONDITION_FAILED, "the lock \"%.*s\" is %s, not with token %llu",
                       (int)step->name.size, (const char *)step->name.data,
                       token == 0 ? "held by nobody" : "held anew",
                       (unsigned long long)step->number);
}

int tycho__locks_check(tycho__env *env, tycho_batch *batch) {
    tycho__reader steps = tycho__reader_of(tycho__buffer_bytes(&batch->conditions));
    for (uint32_t i = 0; i < batch->condition_count; i++) {
        tycho__step step;
        int status = tycho__step_read(&steps, &step, true);
        if (status == TYCHO_OK && step.kind == TYCHO__LOCK_IS) {
            status = check_lock(env, batch, &step);
        }
        if (status != TYCHO_OK) {
            batch->receipt.condition = (int32_t)i;
            return status;
        }
    }
    return TYCHO_OK;
}
