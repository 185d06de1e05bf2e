/* session.h - the dispatcher and the session, for the files whose answers come late.
**
**     session.c     dispatcher, store, sessions       follow.c      the pump of all follows
**     late.c        lines to the listener, jobs       extension.c   ops that the host adds
**     lock.c        locks that a session holds
**
** LATE WORK is a request whose lines come through the listener: a job, which has a thread of its
** own, or a follow, which the session's one pump serves. It is in session->works from its request
** until nothing can be cancelled any more; then it sends its last line.
**
**     request --> listed --> (cancelled) --> unlisted --> last line --> freed
**
** LOCKS, the outer first: session->lock, then that of the dispatcher. No line is sent and no engine
** is called under either. Lines are sent one at a time, in the order of asking (struct rpc_turn),
** so that a follow with a long history holds up nobody for longer than a line.
*/
#ifndef TYCHO_RPC_SESSION_H
#define TYCHO_RPC_SESSION_H

#include <pthread.h>

#include "call.h"

struct rpc_store {
    tycho_store *store;
    tycho_options options; /* with which it was opened */
    size_t users;          /* the dispatcher's own, calls in progress, late work and locks */
};

/* An op that the host added; `op` is first, so that one can be had from the other. */
struct rpc_extension {
    struct rpc_op op;
    struct rpc_extension *next;
    int (*run)(void *context, tycho_rpc_task *task);
    void *context;
};

struct tycho_rpc {
    struct rpc_extension *extensions; /* unchanged while there are sessions */
    pthread_mutex_t lock;             /* of all that follows */
    struct rpc_store *store;          /* NULL when none is open */
    size_t sessions;
};

struct rpc_work {
    struct rpc_work *next; /* in session->works */
    tycho_rpc_session *session;
    struct rpc_store *store;
    char *id; /* of the request, as JSON */
    size_t id_size;
    int64_t follow; /* its number; 0: a job */
    int is_cancelled; /* set and read atomically, also by the engine */
};

struct rpc_job;  /* late.c */
struct rpc_held; /* lock.c */

/* Whoever wants to send takes a ticket and waits until it is served. */
struct rpc_turn {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t tickets;
    uint64_t served;
    bool is_gone; /* nobody listens any more */
};

struct tycho_rpc_session {
    tycho_rpc *rpc;
    tycho_batch *batch;
    struct rpc_memory memory;
    int (*send)(void *context, tycho_bytes line); /* NULL: no listener */
    void *context;
    struct rpc_turn turn;
    pthread_t pump;       /* when poll >= 0 */
    pthread_mutex_t lock; /* of all that follows */
    struct rpc_work *works;
    struct rpc_job *jobs; /* that are not joined yet */
    size_t job_count;
    struct rpc_held *held; /* the newest first */
    int64_t follows;       /* the last number given */
    int poll;              /* epoll of the pump; -1 while there was no follow */
    int wake;              /* eventfd: something was cancelled */
    bool is_ending;
};

/* ---------------------------------------------------------------- session.c */

/* One more user of a store; the last one to release it closes it. NULL is accepted. */
struct rpc_store *tycho__rpc_share(tycho_rpc *rpc, struct rpc_store *store);
void tycho__rpc_release(tycho_rpc *rpc, struct rpc_store *store);

/* ---------------------------------------------------------------- late.c */

void tycho__rpc_late_create(tycho_rpc_session *session);
/* Cancels all late work, waits for its last lines, and gives the locks back. */
void tycho__rpc_late_destroy(tycho_rpc_session *session);

/* Sends a line, behind which its line break stands. False: nobody listens any more. */
bool tycho__rpc_send(tycho_rpc_session *session, tycho_bytes line);

/* Fills the work from the call, whose store it shares. NO_MEMORY fails the call. */
int tycho__rpc_work_create(struct rpc_call *call, struct rpc_work *work);
void tycho__rpc_work_list(struct rpc_work *work); /* under session->lock */
void tycho__rpc_work_unlist(struct rpc_work *work);
bool tycho__rpc_work_is_cancelled(const struct rpc_work *work);
void tycho__rpc_work_free(struct rpc_work *work);

/* A thread of the dispatcher, which handles no signal of the host. False when there is none. */
bool tycho__rpc_thread(pthread_t *thread, void *(*run)(void *), void *context);

/* Joins the jobs that are over; with `all`, waits for the others. */
void tycho__rpc_reap(tycho_rpc_session *session, bool all);

/* ---------------------------------------------------------------- follow.c, lock.c */

/* Tells the pump, if there is one, to look at what was cancelled. Under session->lock. */
void tycho__rpc_wake_pump(tycho_rpc_session *session);
/* Waits for the pump's end, after all was cancelled. */
void tycho__rpc_join_pump(tycho_rpc_session *session);

void tycho__rpc_release_locks(tycho_rpc_session *session);

/* ---------------------------------------------------------------- extension.c */

const struct rpc_op *tycho__rpc_find_extension(const tycho_rpc *rpc, const char *name, size_t size);
void tycho__rpc_free_extensions(tycho_rpc *rpc);

#endif
