/* watch.c - the watcher, the sleepers behind it, and the thread that rings; see watch.h. */
#include "watch.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum { WATCH_MS = 250, SLEEP_MS = 30000 };

struct tycho__watch {
    pthread_mutex_t mutex; /* of the next four */
    pthread_cond_t wake;
    bool has_watcher;
    unsigned sleepers; /* the watcher too */
    atomic_uint disturbed;

    pthread_mutex_t ringer_mutex; /* held while the thread is started or joined */
    pthread_t ringer;
    tycho__mark ringer_mark; /* where it begins */
    atomic_bool is_ending;
    pthread_mutex_t bells_mutex; /* of the list */
    tycho__bell *bells;
};

struct tycho__watch *tycho__watch_create(void) {
    struct tycho__watch *watch = calloc(1, sizeof *watch);
    pthread_condattr_t attributes;
    if (watch == NULL) return NULL;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    int error = pthread_cond_init(&watch->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    if (error != 0) {
        free(watch);
        return NULL;
    }
    pthread_mutex_init(&watch->mutex, NULL);
    pthread_mutex_init(&watch->ringer_mutex, NULL);
    pthread_mutex_init(&watch->bells_mutex, NULL);
    return watch;
}

void tycho__watch_destroy(struct tycho__watch *watch) {
    if (watch == NULL) return;
    assert(watch->sleepers == 0);
    assert(watch->bells == NULL);
    pthread_mutex_destroy(&watch->bells_mutex);
    pthread_mutex_destroy(&watch->ringer_mutex);
    pthread_cond_destroy(&watch->wake);
    pthread_mutex_destroy(&watch->mutex);
    free(watch);
}

/* ---------------------------------------------------------------- sleeping */

tycho__mark tycho__watch_mark(tycho__env *env) {
    tycho__mark mark = {.announced = tycho__gate_announced(&env->gate),
                        .disturbed = atomic_load(&env->watch->disturbed)};
    return mark;
}

static bool is_same(tycho__env *env, tycho__mark mark) {
    tycho__mark now = tycho__watch_mark(env);
    return now.announced == mark.announced && now.disturbed == mark.disturbed;
}

/* What cannot be read now is looked at again in 250 ms. */
static void look_for_forgotten(tycho__env *env, uint32_t announced) {
    tycho__txn *txn;
    if (tycho__txn_read(env, &txn) != TYCHO_OK) return;
    uint64_t sequence = txn->state.sequence;
    tycho__txn_done(txn);
    tycho__gate_catch_up(&env->gate, announced, sequence);
}

/* Called with the mutex, which it gives up meanwhile. */
static void watch_for_once(tycho__env *env, uint32_t announced, int64_t timeout_ms) {
    struct tycho__watch *watch = env->watch;
    assert(!watch->has_watcher);
    watch->has_watcher = true;
    pthread_mutex_unlock(&watch->mutex);
    tycho__gate_sleep(&env->gate, announced, timeout_ms < WATCH_MS ? timeout_ms : WATCH_MS);
    if (tycho__gate_announced(&env->gate) == announced) look_for_forgotten(env, announced);
    pthread_mutex_lock(&watch->mutex);
    watch->has_watcher = false;
    bool is_news = tycho__gate_announced(&env->gate) != announced;
    if (is_news && watch->sleepers > 1) pthread_cond_broadcast(&watch->wake);
}

static void sleep_behind(struct tycho__watch *watch, int64_t deadline, int64_t now) {
    int64_t until = deadline - now < SLEEP_MS ? deadline : now + SLEEP_MS;
    struct timespec time = {until / 1000, until % 1000 * 1000000};
    pthread_cond_timedwait(&watch->wake, &watch->mutex, &time);
}

void tycho__watch_sleep(tycho__env *env, tycho__mark mark, int64_t timeout_ms) {
    struct tycho__watch *watch = env->watch;
    int64_t now = tycho__monotonic_ms();
    int64_t deadline = timeout_ms < INT64_MAX - now ? now + timeout_ms : INT64_MAX;
    pthread_mutex_lock(&watch->mutex);
    watch->sleepers++;
    for (; now < deadline && is_same(env, mark); now = tycho__monotonic_ms()) {
        if (watch->has_watcher) {
            sleep_behind(watch, deadline, now);
        } else {
            watch_for_once(env, mark.announced, deadline - now);
        }
    }
    watch->sleepers--;
    if (!watch->has_watcher && watch->sleepers > 0) pthread_cond_signal(&watch->wake);
    pthread_mutex_unlock(&watch->mutex);
}

void tycho__watch_disturb(tycho__env *env) {
    struct tycho__watch *watch = env->watch;
    pthread_mutex_lock(&watch->mutex);
    atomic_fetch_add(&watch->disturbed, 1);
    pthread_cond_broadcast(&watch->wake);
    bool has_watcher = watch->has_watcher;
    pthread_mutex_unlock(&watch->mutex);
    if (has_watcher) tycho__gate_disturb(&env->gate);
}

/* ---------------------------------------------------------------- ringing */

void tycho__bell_ring(tycho__bell *bell) {
    if (!atomic_exchange(&bell->is_rung, true)) eventfd_write(bell->fd, 1);
}

/* A ringer that comes in between writes again, or what it rings for is seen by the next look. */
void tycho__bell_quiet(tycho__bell *bell) {
    eventfd_t count;
    eventfd_read(bell->fd, &count);
    atomic_store(&bell->is_rung, false);
}

static void ring_all(struct tycho__watch *watch) {
    pthread_mutex_lock(&watch->bells_mutex);
    for (tycho__bell *bell = watch->bells; bell != NULL; bell = bell->next) tycho__bell_ring(bell);
    pthread_mutex_unlock(&watch->bells_mutex);
}

static void *be_ringer(void *context) {
    tycho__env *env = context;
    struct tycho__watch *watch = env->watch;
    tycho__mark mark = watch->ringer_mark;
    while (!atomic_load(&watch->is_ending)) {
        tycho__watch_sleep(env, mark, SLEEP_MS);
        tycho__mark now = tycho__watch_mark(env);
        bool is_news = tycho__gate_is_news(now.announced, mark.announced);
        if (is_news || now.disturbed != mark.disturbed) ring_all(watch);
        mark = now;
    }
    return NULL;
}

/* Starts the thread, with all signals blocked. */
static int start_ringer(tycho__env *env) {
    struct tycho__watch *watch = env->watch;
    sigset_t all, before;
    watch->ringer_mark = tycho__watch_mark(env);
    atomic_store(&watch->is_ending, false);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&watch->ringer, NULL, be_ringer, env);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error == 0) return TYCHO_OK;
    return tycho__fail(error == ENOMEM || error == EAGAIN ? TYCHO_NO_MEMORY : TYCHO_IO,
                       "starting the thread that wakes descriptors: %s", strerror(error));
}

static void end_ringer(tycho__env *env) {
    struct tycho__watch *watch = env->watch;
    atomic_store(&watch->is_ending, true);
    tycho__watch_disturb(env);
    pthread_join(watch->ringer, NULL);
}

static void list_bell(struct tycho__watch *watch, tycho__bell *bell) {
    pthread_mutex_lock(&watch->bells_mutex);
    bell->previous = NULL;
    bell->next = watch->bells;
    if (bell->next != NULL) bell->next->previous = bell;
    watch->bells = bell;
    pthread_mutex_unlock(&watch->bells_mutex);
}

/* Gives whether it was the last. */
static bool unlist_bell(struct tycho__watch *watch, tycho__bell *bell) {
    pthread_mutex_lock(&watch->bells_mutex);
    if (bell->next != NULL) bell->next->previous = bell->previous;
    if (bell->previous != NULL) {
        bell->previous->next = bell->next;
    } else {
        watch->bells = bell->next;
    }
    bool is_last = watch->bells == NULL;
    pthread_mutex_unlock(&watch->bells_mutex);
    return is_last;
}

int tycho__bell_hang(tycho__env *env, tycho__bell *bell) {
    struct tycho__watch *watch = env->watch;
    int fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0) {
        return tycho__fail(errno == ENOMEM ? TYCHO_NO_MEMORY : TYCHO_IO,
                           "making a descriptor for a follower: %s", strerror(errno));
    }
    bell->fd = fd;
    atomic_store(&bell->is_rung, true);
    pthread_mutex_lock(&watch->ringer_mutex);
    bool is_first = watch->bells == NULL;
    int status = is_first ? start_ringer(env) : TYCHO_OK;
    if (status == TYCHO_OK) list_bell(watch, bell);
    pthread_mutex_unlock(&watch->ringer_mutex);
    if (status != TYCHO_OK) close(fd);
    return status;
}

void tycho__bell_take_down(tycho__env *env, tycho__bell *bell) {
    struct tycho__watch *watch = env->watch;
    pthread_mutex_lock(&watch->ringer_mutex);
    if (unlist_bell(watch, bell)) end_ringer(env);
    pthread_mutex_unlock(&watch->ringer_mutex);
    close(bell->fd);
}
