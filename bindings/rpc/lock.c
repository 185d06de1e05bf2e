/* lock.c - named locks of a session.
**
** A lock belongs to the session, as it would to a thread: it is given back by `unlock` or with the
** session, and a session that asks for what it holds, or waits for, is refused at once. So the
** session lists a lock from the moment it is asked for:
**
**     lock --> waited for (lock is NULL) --> held --> unlock
**                   \---------------------\---> refused, timed out, cancelled
**
** What can be had at once is answered at once; what must be waited for becomes a job (late.c).
*/
#include <stdlib.h>
#include <string.h>

#include "session.h"

enum { TIMEOUT_DEFAULT_MS = 30000 };

struct rpc_held {
    struct rpc_held *next;
    struct rpc_store *store; /* shared, so that it is open as long as the lock is held */
    tycho_lock *lock;
    size_t name_size;
    char name[TYCHO_NAME_MAX];
};

static bool has_name(const struct rpc_held *held, tycho_bytes name) {
    return held->name_size == name.size && memcmp(held->name, name.data, name.size) == 0;
}

/* The entry of the name in the store of the call; the lock of the session is held. */
static struct rpc_held *find_held(const struct rpc_call *call, tycho_bytes name) {
    struct rpc_held *held = call->session->held;
    while (held != NULL && !(held->store == call->opened && has_name(held, name))) {
        held = held->next;
    }
    return held;
}

/* Takes the entry off the list and gives back what it has. */
static void drop(tycho_rpc_session *session, struct rpc_held *held) {
    struct rpc_held **link = &session->held;
    pthread_mutex_lock(&session->lock);
    while (*link != held) link = &(*link)->next;
    *link = held->next;
    pthread_mutex_unlock(&session->lock);
    tycho_lock_release(held->lock);
    tycho__rpc_release(session->rpc, held->store);
    free(held);
}

void tycho__rpc_release_locks(tycho_rpc_session *session) {
    while (session->held != NULL) drop(session, session->held);
}

/* Tries to take the lock; a failure has its owner. */
static int take(struct rpc_call *call, struct rpc_held *held, int64_t timeout_ms) {
    tycho_bytes name = {held->name, held->name_size};
    tycho_lock_info owner;
    tycho_lock *lock = NULL;
    memset(&owner, 0, sizeof owner);
    const int *cancelled = call->job == NULL ? NULL : &call->job->is_cancelled;
    int status = tycho_lock_take_unless(call->store, name, timeout_ms, cancelled, &lock, &owner);
    if (status != TYCHO_OK) {
        call->failure.owner = owner;
        return tycho__rpc_engine(call, status);
    }
    pthread_mutex_lock(&call->session->lock);
    held->lock = lock;
    pthread_mutex_unlock(&call->session->lock);
    return TYCHO_OK;
}

/* Refuses a lock that the session has: who holds it is known, unless it waits itself. */
static int refuse_own(struct rpc_call *call, tycho_bytes name, bool is_held) {
    tycho_lock *lock = NULL;
    memset(&call->failure.owner, 0, sizeof call->failure.owner);
    if (is_held) {
        tycho_lock_take(call->store, name, 0, &lock, &call->failure.owner);
        tycho_lock_release(lock);
    }
    return tycho__rpc_fail(call, TYCHO_BUSY, "this session %s the lock \"%.*s\" already",
                           is_held ? "holds" : "waits for", (int)name.size,
                           (const char *)name.data);
}

/* Lists the lock as one that is asked for. */
static int reserve(struct rpc_call *call, tycho_bytes name, struct rpc_held **result) {
    tycho_rpc_session *session = call->session;
    struct rpc_held *held;
    bool is_held = false;
    if (name.size > TYCHO_NAME_MAX) {
        return tycho__rpc_fail(call, TYCHO_MISUSE, "name has %zu bytes; at most %d", name.size,
                               TYCHO_NAME_MAX);
    }
    pthread_mutex_lock(&session->lock);
    held = find_held(call, name);
    if (held != NULL) is_held = held->lock != NULL;
    pthread_mutex_unlock(&session->lock);
    if (held != NULL) return refuse_own(call, name, is_held);
    held = calloc(1, sizeof *held);
    if (held == NULL) return tycho__rpc_fail(call, TYCHO_NO_MEMORY, "no memory for a lock");
    held->store = tycho__rpc_share(call->rpc, call->opened);
    held->name_size = name.size;
    memcpy(held->name, name.data, name.size);
    pthread_mutex_lock(&session->lock);
    held->next = session->held;
    session->held = held;
    pthread_mutex_unlock(&session->lock);
    *result = held;
    return TYCHO_OK;
}

static int fail_cancelled(struct rpc_call *call, const struct rpc_held *held) {
    return tycho__rpc_fail(call, TYCHO_TIMEOUT, "the wait for the lock \"%.*s\" was cancelled",
                           (int)held->name_size, held->name);
}

static void put_token(struct tycho_buffer *out, uint64_t token) {
    tycho__rpc_put_key(out, "token");
    tycho__rpc_put_unsigned(out, token);
}

/* Takes the lock that is listed, or leaves that to a job. */
static int take_listed(struct rpc_call *call, struct rpc_held *held, int64_t timeout_ms) {
    bool can_wait = timeout_ms != 0 && tycho__rpc_can_be_late(call);
    int status = take(call, held, can_wait ? 0 : timeout_ms);
    if (can_wait && (status == TYCHO_BUSY || status == TYCHO_TIMEOUT)) {
        status = tycho__rpc_later(call);
    }
    if (status < 0) drop(call->session, held);
    if (status != TYCHO_OK) return status;
    if (tycho__rpc_is_cancelled(call)) { /* too late to be told so by the engine */
        status = fail_cancelled(call, held);
        drop(call->session, held);
        return status;
    }
    tycho__rpc_put_open(call->out, '{');
    put_token(call->out, tycho_lock_token(held->lock));
    tycho__rpc_put_close(call->out, '}');
    return TYCHO_OK;
}

int tycho__rpc_lock(struct rpc_call *call) {
    tycho_bytes name = {NULL, 0};
    int64_t timeout_ms = TIMEOUT_DEFAULT_MS;
    struct rpc_held *held = NULL;
    int status = tycho__rpc_text(call, call->request, "name", RPC_REQUIRED, &name);
    if (status == TYCHO_OK) {
        status = tycho__rpc_integer(call, call->request, "timeout_ms", -1, &timeout_ms, NULL);
    }
    if (status != TYCHO_OK) return status;
    if (call->job != NULL) {
        pthread_mutex_lock(&call->session->lock);
        held = find_held(call, name);
        pthread_mutex_unlock(&call->session->lock);
    } else {
        status = reserve(call, name, &held);
    }
    return status == TYCHO_OK ? take_listed(call, held, timeout_ms) : status;
}

int tycho__rpc_unlock(struct rpc_call *call) {
    tycho_rpc_session *session = call->session;
    tycho_bytes name = {NULL, 0};
    int64_t token = 0;
    bool has_token = false;
    struct rpc_held *held;
    int status = tycho__rpc_text(call, call->request, "name", 0, &name);
    if (status == TYCHO_OK) {
        status = tycho__rpc_integer(call, call->request, "token", 1, &token, &has_token);
    }
    if (status != TYCHO_OK) return status;
    if (name.size == 0 && !has_token) {
        return tycho__rpc_fail(call, TYCHO_MISUSE, "unlock needs the name or the token of a lock");
    }
    pthread_mutex_lock(&session->lock);
    for (held = session->held; held != NULL; held = held->next) {
        if (held->lock == NULL || (name.size > 0 && !has_name(held, name))) continue;
        if (!has_token || tycho_lock_token(held->lock) == (uint64_t)token) break;
    }
    pthread_mutex_unlock(&session->lock);
    if (held == NULL) {
        return tycho__rpc_fail(call, TYCHO_NOT_FOUND, "this session holds no such lock");
    }
    drop(session, held);
    tycho__rpc_put_boolean(call->out, true);
    return TYCHO_OK;
}

void tycho__rpc_put_lock(struct tycho_buffer *out, const tycho_lock_info *lock) {
    put_token(out, lock->token);
    tycho__rpc_put_key(out, "pid");
    tycho__rpc_put_integer(out, lock->pid);
    tycho__rpc_put_key(out, "thread");
    tycho__rpc_put_integer(out, lock->thread);
    tycho__rpc_put_key(out, "host");
    tycho__rpc_put_sentence(out, lock->host);
    tycho__rpc_put_key(out, "since");
    tycho__rpc_put_integer(out, lock->since);
}

int tycho__rpc_locks(struct rpc_call *call) {
    size_t count = 0;
    tycho_lock_info *locks = tycho__rpc_alloc(call, TYCHO_LOCKS_MAX, sizeof *locks);
    if (locks == NULL) return TYCHO_NO_MEMORY;
    int status = tycho_lock_list(call->store, locks, TYCHO_LOCKS_MAX, &count);
    if (status != TYCHO_OK) return tycho__rpc_engine(call, status);
    tycho__rpc_put_open(call->out, '[');
    for (size_t i = 0; i < count && i < TYCHO_LOCKS_MAX; i++) {
        tycho__rpc_put_open(call->out, '{');
        tycho__rpc_put_key(call->out, "name");
        tycho__rpc_put_bytes(call->out, (tycho_bytes){locks[i].name, locks[i].name_size});
        tycho__rpc_put_lock(call->out, &locks[i]);
        tycho__rpc_put_key(call->out, "waiters");
        tycho__rpc_put_unsigned(call->out, locks[i].waiters);
        tycho__rpc_put_close(call->out, '}');
    }
    tycho__rpc_put_close(call->out, ']');
    return TYCHO_OK;
}
