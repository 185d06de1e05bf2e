/* session.c - the dispatcher and its sessions.
**
** Threads. The dispatcher's store is counted: one reference is the dispatcher's own, each call in
** progress has one, and so has what outlives its call: late work and locks. `open` swaps the store
** under the lock; whoever gives back the last reference closes it, outside the lock. Everything
** else of a call belongs to its session.
*/
#include <assert.h>
#include <stdlib.h>

#include "session.h"
#include "tycho_scripts.h"

/* ---------------------------------------------------------------- the dispatcher */

int tycho_rpc_create(tycho_rpc **rpc) {
    *rpc = calloc(1, sizeof **rpc);
    if (*rpc == NULL || pthread_mutex_init(&(*rpc)->lock, NULL) != 0) {
        free(*rpc);
        *rpc = NULL;
        tycho_set_error("no memory for a dispatcher");
        return TYCHO_NO_MEMORY;
    }
    return TYCHO_OK;
}

struct rpc_store *tycho__rpc_share(tycho_rpc *rpc, struct rpc_store *store) {
    if (store == NULL) return NULL;
    pthread_mutex_lock(&rpc->lock);
    store->users++;
    pthread_mutex_unlock(&rpc->lock);
    return store;
}

static struct rpc_store *acquire_store(tycho_rpc *rpc) {
    struct rpc_store *store;
    pthread_mutex_lock(&rpc->lock);
    store = rpc->store;
    if (store != NULL) store->users++;
    pthread_mutex_unlock(&rpc->lock);
    return store;
}

void tycho__rpc_release(tycho_rpc *rpc, struct rpc_store *store) {
    bool is_last;
    if (store == NULL) return;
    pthread_mutex_lock(&rpc->lock);
    is_last = --store->users == 0;
    pthread_mutex_unlock(&rpc->lock);
    if (!is_last) return;
    tycho_store_close(store->store);
    free(store);
}

/* Puts a store, or NULL, in the place of the one there is: true when there was one. */
static bool swap_store(tycho_rpc *rpc, struct rpc_store *store) {
    struct rpc_store *before;
    pthread_mutex_lock(&rpc->lock);
    before = rpc->store;
    rpc->store = store;
    pthread_mutex_unlock(&rpc->lock);
    tycho__rpc_release(rpc, before);
    return before != NULL;
}

int tycho__rpc_open(tycho_rpc *rpc, const char *path, const tycho_options *options) {
    static const tycho_options defaults = {.size = sizeof defaults};
    struct rpc_store *store = calloc(1, sizeof *store);
    int status;
    if (store == NULL) {
        tycho_set_error("no memory for a store");
        return TYCHO_NO_MEMORY;
    }
    store->options = options == NULL ? defaults : *options;
    status = tycho_store_open(path, &store->options, &store->store);
    if (status == TYCHO_OK) status = tycho_scripts_attach(store->store);
    if (status != TYCHO_OK) {
        tycho_store_close(store->store);
        free(store);
        return status;
    }
    store->users = 1;
    swap_store(rpc, store);
    return TYCHO_OK;
}

bool tycho__rpc_close(tycho_rpc *rpc) {
    return swap_store(rpc, NULL);
}

int tycho_rpc_open(tycho_rpc *rpc, const char *path) {
    return tycho__rpc_open(rpc, path, NULL);
}

void tycho_rpc_destroy(tycho_rpc *rpc) {
    if (rpc == NULL) return;
    assert(rpc->sessions == 0);
    swap_store(rpc, NULL);
    tycho__rpc_free_extensions(rpc);
    pthread_mutex_destroy(&rpc->lock);
    free(rpc);
}

/* ---------------------------------------------------------------- sessions */

static void count_session(tycho_rpc *rpc, bool is_new) {
    pthread_mutex_lock(&rpc->lock);
    if (is_new)
        rpc->sessions++;
    else
        rpc->sessions--;
    pthread_mutex_unlock(&rpc->lock);
}

int tycho_rpc_session_create(tycho_rpc *rpc, tycho_rpc_session **session) {
    int status = TYCHO_NO_MEMORY;
    *session = calloc(1, sizeof **session);
    if (*session != NULL) status = tycho_batch_create(&(*session)->batch);
    if (status != TYCHO_OK) {
        free(*session);
        *session = NULL;
        tycho_set_error("no memory for a session");
        return status;
    }
    (*session)->rpc = rpc;
    tycho__rpc_late_create(*session);
    count_session(rpc, true);
    return TYCHO_OK;
}

void tycho_rpc_session_listen(tycho_rpc_session *session,
                              int (*send)(void *context, tycho_bytes line), void *context) {
    assert(session->send == NULL);
    session->send = send;
    session->context = context;
}

void tycho_rpc_session_destroy(tycho_rpc_session *session) {
    if (session == NULL) return;
    tycho__rpc_late_destroy(session);
    count_session(session->rpc, false);
    tycho_batch_destroy(session->batch);
    tycho__rpc_free_memory(&session->memory);
    free(session);
}

/* ---------------------------------------------------------------- calls */

int tycho__rpc_refuse(tycho_rpc_session *session, int status, const char *message,
                      tycho_bytes *answer) {
    struct rpc_call call;
    tycho__rpc_begin(&call, session, &session->memory);
    tycho__rpc_fail(&call, status, "%s", message);
    return tycho__rpc_end(&call, status, answer);
}

int tycho_rpc_call(tycho_rpc_session *session, tycho_bytes request, tycho_bytes *answer) {
    struct rpc_call call;
    int status;
    if (request.size > TYCHO_RPC_REQUEST_MAX) {
        return tycho__rpc_refuse(session, TYCHO_TOO_LARGE, "a request has at most 64 MiB", answer);
    }
    tycho__rpc_begin(&call, session, &session->memory);
    tycho_batch_clear(session->batch);
    call.batch = session->batch;
    call.opened = acquire_store(session->rpc);
    call.store = call.opened == NULL ? NULL : call.opened->store;
    status = tycho__rpc_perform(&call, request, answer);
    tycho__rpc_release(session->rpc, call.opened);
    tycho__rpc_reap(session, false);
    return status;
}
