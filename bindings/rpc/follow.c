/* follow.c - events as they come: the op `follow`, and the pump, one thread for all of a session.
**
** The pump sleeps in epoll on the descriptors of its followers, so idle ones cost nothing. One that
** has news is served for a turn, then the next; a line is sent when the listener takes it, so a
** slow reader holds the pump up and nothing piles up.
**
**     opened --> {"follow":n} --> event* --> caught_up --> event* --> ... --> over
**
** A follow belongs to the pump from the moment it is in epoll and listed (both under the lock of
** the session); who cancels it sets its flag and wakes the pump, which alone sends and frees.
*/
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "session.h"

enum {
    READY_MAX = 64,      /* followers looked at after one sleep */
    TURN_EVENTS = 256,   /* events of one follow, before others have their turn */
    TURN_SIZE = 1 << 20, /* or bytes of their lines */
    GONE = 2             /* a status of the pump: nobody listens */
};

struct rpc_follow {
    struct rpc_work work;
    tycho_follower *follower;
    int descriptor;
    bool is_begun;     /* its first line was sent */
    bool is_caught_up; /* it said so, and there was no event since */
};

struct pump {
    tycho_rpc_session *session;
    struct rpc_memory memory;
    struct rpc_call call; /* of one line */
};

/* ---------------------------------------------------------------- lines */

static void begin_line(struct pump *pump, const struct rpc_follow *follow) {
    tycho__rpc_begin(&pump->call, pump->session, &pump->memory);
    tycho__payload_put(pump->call.id, follow->work.id, follow->work.id_size);
    tycho__rpc_put_id(&pump->call);
}

/* OK, GONE, or NO_MEMORY. */
static int send_line(struct pump *pump) {
    tycho_bytes line = tycho__rpc_end_line(&pump->call);
    if (line.size == 0) {
        return tycho__rpc_fail(&pump->call, TYCHO_NO_MEMORY, "no memory for a line of a follow");
    }
    return tycho__rpc_send(pump->session, line) ? TYCHO_OK : GONE;
}

static int send_begin(struct pump *pump, struct rpc_follow *follow) {
    struct tycho_buffer *out = &pump->memory.out;
    follow->is_begun = true;
    begin_line(pump, follow);
    tycho__rpc_put_key(out, "ok");
    tycho__rpc_put_boolean(out, true);
    tycho__rpc_put_key(out, "result");
    tycho__rpc_put_open(out, '{');
    tycho__rpc_put_key(out, "follow");
    tycho__rpc_put_integer(out, follow->work.follow);
    tycho__rpc_put_close(out, '}');
    return send_line(pump);
}

static int send_event(struct pump *pump, struct rpc_follow *follow, const tycho_event *event) {
    int status;
    follow->is_caught_up = false;
    begin_line(pump, follow);
    tycho__rpc_put_key(pump->call.out, "event");
    status = tycho__rpc_put_event(&pump->call, tycho_follower_cursor(follow->follower), event);
    return status == TYCHO_OK ? send_line(pump) : status;
}

static void put_cursor(struct tycho_buffer *out, const struct rpc_follow *follow) {
    tycho_bytes key;
    if (tycho_follower_key(follow->follower, &key) != TYCHO_OK) return;
    tycho__rpc_put_key(out, "cursor");
    tycho__rpc_put_cursor(out, key);
}

/* `head` is from before the look that found nothing: all up to there has been served. */
static int send_caught_up(struct pump *pump, struct rpc_follow *follow, uint64_t head) {
    follow->is_caught_up = true;
    begin_line(pump, follow);
    tycho__rpc_put_key(pump->call.out, "caught_up");
    tycho__rpc_put_unsigned(pump->call.out, head);
    put_cursor(pump->call.out, follow);
    return send_line(pump);
}

static void send_over(struct pump *pump, const struct rpc_follow *follow, const char *why) {
    begin_line(pump, follow);
    tycho__rpc_put_key(pump->call.out, "over");
    tycho__rpc_put_string(pump->call.out, why, strlen(why));
    put_cursor(pump->call.out, follow);
    send_line(pump);
}

/* The failure of the call. A cursor goes with it, unless it would be behind an event that was not
** sent. */
static void send_failure(struct pump *pump, const struct rpc_follow *follow, bool has_cursor) {
    struct rpc_failure failure = pump->call.failure;
    struct tycho_buffer *facts = &pump->memory.scratch;
    tycho_bytes line;
    begin_line(pump, follow);
    tycho__rpc_put_open(facts, '{');
    if (has_cursor) put_cursor(facts, follow);
    tycho__rpc_put_close(facts, '}');
    failure.facts = (tycho_bytes){facts->data, facts->failed ? 0 : facts->size};
    pump->call.failure = failure;
    tycho__rpc_end(&pump->call, failure.status, &line);
    tycho__rpc_send(pump->session, line);
}

/* ---------------------------------------------------------------- the pump */

/* Ends a follow: `status` is END, GONE or the failure of the call. */
static void end_follow(struct pump *pump, struct rpc_follow *follow, int status, bool has_cursor) {
    epoll_ctl(pump->session->poll, EPOLL_CTL_DEL, follow->descriptor, NULL);
    tycho__rpc_work_unlist(&follow->work);
    if (status == TYCHO_END) {
        bool is_cancelled = tycho__rpc_work_is_cancelled(&follow->work);
        send_over(pump, follow, is_cancelled ? "cancelled" : "limit");
    } else if (status != GONE) {
        send_failure(pump, follow, has_cursor);
    }
    tycho_follower_close(follow->follower);
    tycho__rpc_work_free(&follow->work);
    free(follow);
}

/* Gives a follow its turn; it may be over then. One that was cancelled is left to look_around(). */
static void serve(struct pump *pump, struct rpc_follow *follow) {
    tycho_event event;
    uint64_t head = 0;
    size_t size = 0;
    bool is_lost = false;
    int status = follow->is_begun ? TYCHO_OK : send_begin(pump, follow);
    if (status == TYCHO_OK) status = tycho_head(follow->work.store->store, &head);
    for (int i = 0; status == TYCHO_OK && i < TURN_EVENTS && size < TURN_SIZE; i++) {
        if (tycho__rpc_work_is_cancelled(&follow->work)) return;
        status = tycho_follower_next(follow->follower, 0, &event);
        if (status == TYCHO_TIMEOUT) break;
        if (status < 0) tycho__rpc_engine(&pump->call, status);
        if (status != TYCHO_OK) break;
        status = send_event(pump, follow, &event);
        is_lost = status < 0;
        size += pump->memory.out.size;
    }
    if (status == TYCHO_TIMEOUT) {
        status = follow->is_caught_up ? TYCHO_OK : send_caught_up(pump, follow, head);
    }
    if (status != TYCHO_OK) end_follow(pump, follow, status, !is_lost);
}

/* The next follow of the session that was cancelled, or (`is_new`) is not begun. */
static struct rpc_follow *find_follow(tycho_rpc_session *session, bool is_new) {
    struct rpc_follow *follow = NULL;
    pthread_mutex_lock(&session->lock);
    for (struct rpc_work *work = session->works; work != NULL; work = work->next) {
        if (work->follow == 0) continue;
        follow = (struct rpc_follow *)work;
        if (is_new ? !follow->is_begun : tycho__rpc_work_is_cancelled(work)) break;
        follow = NULL;
    }
    pthread_mutex_unlock(&session->lock);
    return follow;
}

/* Begins what is new, ends what was cancelled. False: the session ends. */
static bool look_around(struct pump *pump) {
    tycho_rpc_session *session = pump->session;
    struct rpc_follow *follow;
    uint64_t count;
    ssize_t size = read(session->wake, &count, sizeof count);
    assert(size == sizeof count || errno == EAGAIN);
    (void)size;
    /* Asked before: what is there when the session ends is cancelled at the same time. */
    pthread_mutex_lock(&session->lock);
    bool is_ending = session->is_ending;
    pthread_mutex_unlock(&session->lock);
    for (follow = find_follow(session, true); follow != NULL; follow = find_follow(session, true)) {
        serve(pump, follow);
    }
    for (follow = find_follow(session, false); follow != NULL;
         follow = find_follow(session, false)) {
        end_follow(pump, follow, TYCHO_END, true);
    }
    return !is_ending;
}

static void *run_pump(void *context) {
    struct pump pump = {.session = context};
    bool is_going = true;
    while (is_going) {
        struct epoll_event ready[READY_MAX];
        int count = epoll_wait(pump.session->poll, ready, READY_MAX, -1);
        bool is_woken = false;
        for (int i = 0; i < count; i++) {
            if (ready[i].data.ptr == NULL)
                is_woken = true;
            else
                serve(&pump, ready[i].data.ptr);
        }
        if (is_woken) is_going = look_around(&pump);
    }
    tycho__rpc_free_memory(&pump.memory);
    return NULL;
}

/* ---------------------------------------------------------------- the session's part */

void tycho__rpc_wake_pump(tycho_rpc_session *session) {
    const uint64_t one = 1;
    if (session->poll < 0) return;
    ssize_t size = write(session->wake, &one, sizeof one);
    assert(size == sizeof one || errno == EAGAIN); /* it is awake already */
    (void)size;
}

void tycho__rpc_join_pump(tycho_rpc_session *session) {
    if (session->poll < 0) return;
    pthread_join(session->pump, NULL);
    close(session->wake);
    close(session->poll);
}

/* Starts the pump, when there is none. */
static int start_pump(struct rpc_call *call) {
    tycho_rpc_session *session = call->session;
    struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = NULL}};
    if (session->poll >= 0) return TYCHO_OK;
    int poll = epoll_create1(EPOLL_CLOEXEC);
    int wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    bool is_ready = poll >= 0 && wake >= 0 && epoll_ctl(poll, EPOLL_CTL_ADD, wake, &event) == 0;
    pthread_mutex_lock(&session->lock);
    session->poll = poll;
    session->wake = wake;
    if (is_ready) is_ready = tycho__rpc_thread(&session->pump, run_pump, session);
    if (!is_ready) session->poll = session->wake = -1;
    pthread_mutex_unlock(&session->lock);
    if (is_ready) return TYCHO_OK;
    int status = tycho__rpc_fail(call, TYCHO_IO, "no descriptors or thread to follow with: %s",
                                 strerror(errno));
    if (poll >= 0) close(poll);
    if (wake >= 0) close(wake);
    return status;
}

/* Gives the follow to the pump; it is out of our hands then. */
static int hand_over(struct rpc_call *call, struct rpc_follow *follow) {
    tycho_rpc_session *session = call->session;
    struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = follow}};
    bool is_added;
    pthread_mutex_lock(&session->lock);
    follow->work.follow = ++session->follows;
    is_added = epoll_ctl(session->poll, EPOLL_CTL_ADD, follow->descriptor, &event) == 0;
    if (is_added) {
        tycho__rpc_work_list(&follow->work);
        tycho__rpc_wake_pump(session);
    }
    pthread_mutex_unlock(&session->lock);
    if (is_added) return TYCHO_OK;
    return tycho__rpc_fail(call, TYCHO_IO, "a follower cannot be waited for: %s", strerror(errno));
}

int tycho__rpc_follow(struct rpc_call *call) {
    struct rpc_follow *follow;
    int status;
    if (!tycho__rpc_can_be_late(call)) {
        return tycho__rpc_fail(call, TYCHO_DENIED,
                               "follow needs a listener for its events: call "
                               "tycho_rpc_session_listen(), or use wait and read");
    }
    follow = calloc(1, sizeof *follow);
    if (follow == NULL) return tycho__rpc_fail(call, TYCHO_NO_MEMORY, "no memory for a follow");
    status = tycho__rpc_work_create(call, &follow->work);
    if (status != TYCHO_OK) {
        free(follow);
        return status;
    }
    status = tycho__rpc_open_follower(call, &follow->follower);
    if (status == TYCHO_OK) {
        status = tycho_follower_descriptor(follow->follower, &follow->descriptor);
        if (status != TYCHO_OK) tycho__rpc_engine(call, status);
    }
    if (status == TYCHO_OK) status = start_pump(call);
    if (status == TYCHO_OK) status = hand_over(call, follow);
    if (status == TYCHO_OK) return TYCHO_END;
    tycho_follower_close(follow->follower);
    tycho__rpc_work_free(&follow->work);
    free(follow);
    return status;
}
