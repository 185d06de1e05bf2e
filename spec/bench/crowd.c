/* crowd.c - many clients at once, threads or processes, each of which asks for one thing after the
** other for a while; what they did is reported as a rate and as quantiles of the answers.
**
** What clients note is in memory that is shared, so that it does not matter what they are. They
** begin together, when all of them are ready; one that fails ends the run.
*/
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

enum { REQUESTS_MAX = 1 << 15 };

typedef struct client {
    const crowd *of;
    size_t index;
    size_t count; /* requests answered */
    machine_io io;
    pthread_t thread;
    pid_t process;
    float times[REQUESTS_MAX]; /* of each, us */
} client;

typedef struct board {
    atomic_size_t ready;
    atomic_bool is_started, is_over, is_failed;
    client clients[CROWD_MAX];
} board;

static board *shared;

static void doze(void) {
    const struct timespec pause = {0, 50000};
    nanosleep(&pause, NULL);
}

static void work(client *self) {
    const crowd *of = self->of;
    if (of->join != NULL) of->join(of->context, self->index);
    atomic_fetch_add(&shared->ready, 1);
    while (!atomic_load(&shared->is_started)) doze();
    machine_io before = machine_io_now();
    while (!atomic_load_explicit(&shared->is_over, memory_order_relaxed) &&
           self->count < REQUESTS_MAX) {
        double start = bench_seconds();
        if (!of->request(of->context, self->index, self->count)) {
            atomic_store(&shared->is_failed, true);
            break;
        }
        self->times[self->count++] = (float)((bench_seconds() - start) * 1e6);
    }
    self->io = machine_io_since(before);
}

static void *work_in_thread(void *context) {
    work(context);
    return NULL;
}

static void start(client *self, bool is_process) {
    if (!is_process) {
        bench_need_system(pthread_create(&self->thread, NULL, work_in_thread, self) == 0, "thread");
        return;
    }
    pid_t process = fork();
    bench_need_system(process >= 0, "fork");
    if (process != 0) {
        self->process = process;
        return;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    work(self);
    _exit(atomic_load(&shared->is_failed) ? 1 : 0);
}

static void end(client *self, bool is_process) {
    int status = 0;
    if (!is_process) {
        pthread_join(self->thread, NULL);
    } else if (waitpid(self->process, &status, 0) != self->process || status != 0) {
        atomic_store(&shared->is_failed, true);
    }
}

/* A process that ends while the others wait for it has failed. */
static void await_all(const crowd *of) {
    while (atomic_load(&shared->ready) < of->count) {
        siginfo_t ended = {.si_pid = 0};
        if (of->is_processes) waitid(P_ALL, 0, &ended, WEXITED | WNOHANG | WNOWAIT);
        bench_need(ended.si_pid == 0 ? TYCHO_OK : TYCHO_IO, "a process ended too early");
        doze();
    }
}

static void report_crowd(const crowd *of, double seconds) {
    static const struct {
        const char *name;
        double share;
    } quantiles[] = {{"p50", 0.5}, {"p99", 0.99}, {"p99.9", 0.999}};
    size_t requests = 0, at = 0;
    for (size_t i = 0; i < of->count; i++) requests += shared->clients[i].count;
    double *times = malloc((requests + 1) * sizeof *times);
    bench_need_system(times != NULL, "memory");
    for (size_t i = 0; i < of->count; i++) {
        const client *one = &shared->clients[i];
        for (size_t k = 0; k < one->count; k++) times[at++] = (double)one->times[k];
    }
    report_value(of->name, "events/s", (double)requests / seconds);
    for (size_t i = 0; i < (of->is_brief ? 1 : 3); i++) {
        report_value(report_name("%s, %s", of->name, quantiles[i].name), "us",
                     report_quantile(times, requests, quantiles[i].share));
    }
    free(times);
}

static crowd_result add_up(const crowd *of) {
    crowd_result result = {0};
    for (size_t i = 0; i < of->count; i++) {
        const client *one = &shared->clients[i];
        result.requests += one->count;
        if (!of->is_processes) continue;
        result.io.syncs += one->io.syncs;
        result.io.writes += one->io.writes;
        result.io.bytes += one->io.bytes;
    }
    return result;
}

crowd_result crowd_run(const crowd *of) {
    struct timespec pause = {(time_t)of->seconds,
                             (long)((of->seconds - (double)(time_t)of->seconds) * 1e9)};
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    bench_need_system(shared != MAP_FAILED, "memory");
    for (size_t i = 0; i < of->count; i++) {
        shared->clients[i].of = of;
        shared->clients[i].index = i;
        start(&shared->clients[i], of->is_processes);
    }
    await_all(of);
    machine_io before = machine_io_now();
    double began = bench_seconds();
    atomic_store(&shared->is_started, true);
    nanosleep(&pause, NULL);
    atomic_store(&shared->is_over, true);
    for (size_t i = 0; i < of->count; i++) end(&shared->clients[i], of->is_processes);
    double seconds = bench_seconds() - began;
    bench_need(atomic_load(&shared->is_failed) ? TYCHO_IO : TYCHO_OK, "a client failed");
    crowd_result result = add_up(of);
    if (!of->is_processes) result.io = machine_io_since(before);
    report_crowd(of, seconds);
    munmap(shared, sizeof *shared);
    return result;
}
