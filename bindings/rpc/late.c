/* late.c - answers that come late: lines to the listener, and jobs, each in a thread of its own.
**
** A job runs the op of its request once more, with call->job set and memory of its own, and sends
** the answer, so that an op is written once for both ways. Nothing is queued: who sends waits until
** the listener has taken the line, which is what holds back a follow or a rename whose reader is
** slow.
*/
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "session.h"

enum { JOBS_MAX = 256 }; /* of one session, at one time */

struct rpc_job {
    struct rpc_work work;
    struct rpc_job *next;
    pthread_t thread;
    const struct rpc_op *op;
    json_t *request;
    bool is_over; /* under session->lock: the thread touches nothing any more */
};

/* ---------------------------------------------------------------- work */

int tycho__rpc_work_create(struct rpc_call *call, struct rpc_work *work) {
    work->id = malloc(call->id->size + 1);
    if (work->id == NULL) {
        return tycho__rpc_fail(call, TYCHO_NO_MEMORY, "no memory for the id of a request");
    }
    if (call->id->size > 0) memcpy(work->id, call->id->data, call->id->size);
    work->id_size = call->id->size;
    work->session = call->session;
    work->store = tycho__rpc_share(call->rpc, call->opened);
    work->is_cancelled = 0;
    return TYCHO_OK;
}

void tycho__rpc_work_list(struct rpc_work *work) {
    work->next = work->session->works;
    work->session->works = work;
}

void tycho__rpc_work_unlist(struct rpc_work *work) {
    struct rpc_work **link = &work->session->works;
    pthread_mutex_lock(&work->session->lock);
    while (*link != NULL && *link != work) link = &(*link)->next;
    if (*link != NULL) *link = work->next;
    pthread_mutex_unlock(&work->session->lock);
}

void tycho__rpc_work_free(struct rpc_work *work) {
    tycho__rpc_release(work->session->rpc, work->store);
    free(work->id);
}

bool tycho__rpc_work_is_cancelled(const struct rpc_work *work) {
    return __atomic_load_n(&work->is_cancelled, __ATOMIC_ACQUIRE) != 0;
}

/* Cancels what has the id, or the number, or (id NULL, number 0) all; how many that were. */
static size_t cancel_works(tycho_rpc_session *session, const struct tycho_buffer *id,
                           int64_t number) {
    size_t count = 0;
    for (struct rpc_work *work = session->works; work != NULL; work = work->next) {
        bool is_meant = id == NULL && (number == 0 || work->follow == number);
        if (id != NULL && work->id_size == id->size) {
            is_meant = memcmp(work->id, id->data, id->size) == 0;
        }
        if (!is_meant || __atomic_exchange_n(&work->is_cancelled, 1, __ATOMIC_ACQ_REL)) continue;
        count++;
    }
    if (count > 0) tycho__rpc_wake_pump(session);
    return count;
}

/* ---------------------------------------------------------------- lines */

bool tycho__rpc_send(tycho_rpc_session *session, tycho_bytes line) {
    struct rpc_turn *turn = &session->turn;
    bool is_gone;
    pthread_mutex_lock(&turn->lock);
    uint64_t ticket = turn->tickets++;
    while (turn->served != ticket) pthread_cond_wait(&turn->changed, &turn->lock);
    is_gone = turn->is_gone;
    pthread_mutex_unlock(&turn->lock);
    if (!is_gone) is_gone = session->send(session->context, line) != 0;
    pthread_mutex_lock(&turn->lock);
    turn->served++;
    bool is_news = is_gone && !turn->is_gone;
    turn->is_gone = is_gone;
    pthread_cond_broadcast(&turn->changed);
    pthread_mutex_unlock(&turn->lock);
    if (is_news) {
        pthread_mutex_lock(&session->lock);
        cancel_works(session, NULL, 0);
        pthread_mutex_unlock(&session->lock);
    }
    return !is_gone;
}

static bool is_gone(tycho_rpc_session *session) {
    pthread_mutex_lock(&session->turn.lock);
    bool result = session->turn.is_gone;
    pthread_mutex_unlock(&session->turn.lock);
    return result;
}

/* ---------------------------------------------------------------- cancel */

int tycho__rpc_cancel(struct rpc_call *call) {
    const json_t *request = tycho__rpc_field(call->request, "request");
    int64_t number = 0;
    bool is_given = false;
    size_t count;
    int status = tycho__rpc_integer(call, call->request, "follow", 1, &number, &is_given);
    if (status != TYCHO_OK) return status;
    if ((request == NULL) == !is_given) {
        return tycho__rpc_fail(call, TYCHO_MISUSE,
                               "cancel needs request, the id of what it "
                               "cancels, or follow, its number");
    }
    tycho__payload_clear(call->scratch);
    if (request != NULL) tycho__rpc_take_id(call->scratch, request);
    if (call->scratch->failed) {
        return tycho__rpc_fail(call, TYCHO_NO_MEMORY, "no memory for an id");
    }
    pthread_mutex_lock(&call->session->lock);
    count = cancel_works(call->session, request != NULL ? call->scratch : NULL, number);
    pthread_mutex_unlock(&call->session->lock);
    tycho__rpc_put_boolean(call->out, count > 0);
    return TYCHO_OK;
}

/* ---------------------------------------------------------------- jobs */

bool tycho__rpc_thread(pthread_t *thread, void *(*run)(void *), void *context) {
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int result = pthread_create(thread, NULL, run, context);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return result == 0;
}

bool tycho__rpc_can_be_late(const struct rpc_call *call) {
    return call->job == NULL && call->session->send != NULL;
}

bool tycho__rpc_is_cancelled(const struct rpc_call *call) {
    if (call->job == NULL) return false;
    return tycho__rpc_work_is_cancelled(call->job) || is_gone(call->session);
}

static void *run_job(void *context) {
    struct rpc_job *job = context;
    tycho_rpc_session *session = job->work.session;
    struct rpc_memory memory = {.chunks = NULL};
    struct rpc_call call;
    tycho_bytes answer;
    int status;
    tycho__rpc_begin(&call, session, &memory);
    tycho__payload_put(call.id, job->work.id, job->work.id_size);
    call.job = &job->work;
    call.opened = job->work.store;
    call.store = call.opened == NULL ? NULL : call.opened->store;
    call.request = job->request;
    call.op = job->op;
    status = tycho__rpc_run(&call);
    tycho__rpc_work_unlist(&job->work);
    tycho__rpc_end(&call, status, &answer);
    tycho__rpc_send(session, answer);
    tycho__rpc_free_memory(&memory);
    json_decref(job->request);
    tycho__rpc_work_free(&job->work);
    pthread_mutex_lock(&session->lock);
    job->is_over = true;
    pthread_mutex_unlock(&session->lock);
    return NULL;
}

/* Lists and starts the job. */
static int start_job(struct rpc_call *call, struct rpc_job *job) {
    tycho_rpc_session *session = call->session;
    int status = tycho__rpc_work_create(call, &job->work);
    if (status != TYCHO_OK) return status;
    job->op = call->op;
    job->request = (json_t *)call->request;
    pthread_mutex_lock(&session->lock);
    if (session->job_count >= JOBS_MAX) {
        status = tycho__rpc_fail(call, TYCHO_BUSY, "%d late answers are due already", JOBS_MAX);
    } else if (!tycho__rpc_thread(&job->thread, run_job, job)) {
        status = tycho__rpc_fail(call, TYCHO_NO_MEMORY, "no thread for the op %s", call->op->name);
    } else {
        tycho__rpc_work_list(&job->work);
        job->next = session->jobs;
        session->jobs = job;
        session->job_count++;
    }
    pthread_mutex_unlock(&session->lock);
    if (status == TYCHO_OK) {
        call->request = NULL; /* it is the job's */
    } else {
        tycho__rpc_work_free(&job->work);
    }
    return status;
}

int tycho__rpc_later(struct rpc_call *call) {
    struct rpc_job *job;
    int status;
    tycho__rpc_reap(call->session, false);
    job = calloc(1, sizeof *job);
    if (job == NULL) return tycho__rpc_fail(call, TYCHO_NO_MEMORY, "no memory for a job");
    status = start_job(call, job);
    if (status == TYCHO_OK) return TYCHO_END;
    free(job);
    return status;
}

/* Takes a job to be joined off the list; NULL when there is none. */
static struct rpc_job *next_job(tycho_rpc_session *session, bool all) {
    struct rpc_job **link = &session->jobs;
    struct rpc_job *job;
    pthread_mutex_lock(&session->lock);
    while (*link != NULL && !all && !(*link)->is_over) link = &(*link)->next;
    job = *link;
    if (job != NULL) {
        *link = job->next;
        session->job_count--;
    }
    pthread_mutex_unlock(&session->lock);
    return job;
}

void tycho__rpc_reap(tycho_rpc_session *session, bool all) {
    struct rpc_job *job;
    if (session->send == NULL) return;
    for (job = next_job(session, all); job != NULL; job = next_job(session, all)) {
        pthread_join(job->thread, NULL);
        free(job);
    }
}

/* ---------------------------------------------------------------- the session's part */

void tycho__rpc_late_create(tycho_rpc_session *session) {
    session->poll = session->wake = -1;
    pthread_mutex_init(&session->lock, NULL);
    pthread_mutex_init(&session->turn.lock, NULL);
    pthread_cond_init(&session->turn.changed, NULL);
}

void tycho__rpc_late_destroy(tycho_rpc_session *session) {
    pthread_mutex_lock(&session->lock);
    session->is_ending = true;
    cancel_works(session, NULL, 0);
    tycho__rpc_wake_pump(session);
    pthread_mutex_unlock(&session->lock);
    tycho__rpc_join_pump(session);
    tycho__rpc_reap(session, true);
    tycho__rpc_release_locks(session);
    pthread_cond_destroy(&session->turn.changed);
    pthread_mutex_destroy(&session->turn.lock);
    pthread_mutex_destroy(&session->lock);
}
