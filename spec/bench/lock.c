/* lock.c - named locks: alone, handed over between two processes, taken over from one that was
** killed.
**
** In the hand-over both processes queue up again at once. Who released last, and when, is in memory
** that both have.
*/
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

enum { ALONE = 20000, HAND_OVERS = 500, KILLS = 10, TAKE_MS = 10000 };

static const char *const taken_name = "take and release, nobody waits";
static const char *const kernel_name = "two calls of the kernel's locks";

typedef struct shared {
    _Atomic double released; /* when the lock was given back last, and by whom */
    atomic_int releaser;
    atomic_int ready, grants;
    double times[HAND_OVERS]; /* us from release to grant */
} shared;

static tycho_lock *take(tycho_store *store) {
    tycho_lock *lock;
    bench_need(tycho_lock_take(store, workload_text("bench"), TAKE_MS, &lock, NULL), "lock");
    return lock;
}

/* Time of the processor: what is measured with it never sleeps, so a busy machine does not show. */
static double cpu_seconds(void) {
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static void alone_round(tycho_store *store, int fd) {
    struct flock byte = {.l_whence = SEEK_SET, .l_start = 1, .l_len = 1};
    double start = cpu_seconds();
    for (int i = 0; i < ALONE; i++) tycho_lock_release(take(store));
    report_value(taken_name, "us of CPU", (cpu_seconds() - start) * 1e6 / ALONE);
    start = cpu_seconds();
    for (int i = 0; i < ALONE; i++) {
        byte.l_type = F_WRLCK;
        bench_need_system(fcntl(fd, F_OFD_SETLK, &byte) == 0, "lock of a byte");
        byte.l_type = F_UNLCK;
        bench_need_system(fcntl(fd, F_OFD_SETLK, &byte) == 0, "lock of a byte");
    }
    report_value(kernel_name, "us of CPU", (cpu_seconds() - start) * 1e6 / ALONE);
}

/* ---- hand-over */

static void hand_over(tycho_store *store, shared *both) {
    atomic_fetch_add(&both->ready, 1);
    while (atomic_load(&both->ready) < 2) usleep(100);
    for (;;) {
        tycho_lock *lock = take(store);
        double now = bench_seconds();
        int grant = atomic_load(&both->grants);
        bool is_over = grant == HAND_OVERS;
        if (!is_over && atomic_load(&both->releaser) != getpid()) {
            both->times[grant] = (now - atomic_load(&both->released)) * 1e6;
            atomic_store(&both->grants, grant + 1);
        }
        atomic_store(&both->releaser, getpid());
        atomic_store(&both->released, bench_seconds());
        tycho_lock_release(lock);
        if (is_over) return;
    }
}

static void hand_over_round(const char *path, shared *both) {
    atomic_store(&both->grants, 0);
    atomic_store(&both->ready, 0);
    atomic_store(&both->releaser, getpid());
    pid_t other = fork();
    bench_need_system(other >= 0, "fork");
    tycho_store *store = workload_open(path, TYCHO_SYNC_NONE);
    hand_over(store, both);
    tycho_store_close(store);
    if (other == 0) _exit(0);
    waitpid(other, NULL, 0);
    report_value("hand-over between processes", "us",
                 report_quantile(both->times, HAND_OVERS, 0.5));
    report_value("hand-over, 99 of 100 below", "us",
                 report_quantile(both->times, HAND_OVERS, 0.99));
}

/* ---- take-over */

typedef struct murder {
    pid_t owner;
    double time;
} murder;

static void *kill_owner(void *context) {
    murder *of = context;
    usleep(30000); /* the other waits by then */
    of->time = bench_seconds();
    kill(of->owner, SIGKILL);
    return NULL;
}

/* Forks an owner, while the store is closed here; gives the milliseconds. */
static double take_over(const char *path) {
    int told[2];
    char byte;
    murder of = {.time = 0};
    pthread_t killer;
    bench_need_system(pipe(told) == 0, "pipe");
    of.owner = fork();
    bench_need_system(of.owner >= 0, "fork");
    if (of.owner == 0) {
        take(workload_open(path, TYCHO_SYNC_NONE));
        bench_need_system(write(told[1], "x", 1) == 1, "pipe");
        pause();
    }
    bench_need_system(read(told[0], &byte, 1) == 1, "pipe");
    tycho_store *store = workload_open(path, TYCHO_SYNC_NONE);
    bench_need_system(pthread_create(&killer, NULL, kill_owner, &of) == 0, "thread");
    tycho_lock *lock = take(store);
    double end = bench_seconds();
    pthread_join(killer, NULL);
    waitpid(of.owner, NULL, 0);
    tycho_lock_release(lock);
    tycho_store_close(store);
    close(told[0]);
    close(told[1]);
    return (end - of.time) * 1e3;
}

void lock_bench(const bench *run) {
    double times[KILLS];
    char path[600], file[640];
    shared *both =
        mmap(NULL, sizeof *both, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    bench_need_system(both != MAP_FAILED, "memory");
    snprintf(path, sizeof path, "%s", bench_path(run, "locks"));
    snprintf(file, sizeof file, "%s", bench_path(run, "byte"));
    int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    bench_need_system(fd >= 0, "a file");
    report_section("NAMED LOCKS");
    for (uint32_t round = 0; round < run->rounds; round++) {
        tycho_store *store = workload_open(path, TYCHO_SYNC_NONE);
        tycho_lock_release(take(store)); /* makes the table */
        alone_round(store, fd);
        tycho_store_close(store);
        hand_over_round(path, both);
        for (int i = 0; i < KILLS; i++) times[i] = take_over(path);
        report_value("take-over after kill -9", "ms", report_quantile(times, KILLS, 0.5));
        report_value("take-over after kill -9, the slowest", "ms",
                     report_quantile(times, KILLS, 1));
    }
    report_at_most(taken_name, 5);
    report_at_most("take-over after kill -9", 100);
    report_ratio("take and release / the kernel's locks", taken_name, kernel_name);
    close(fd);
    munmap(both, sizeof *both);
}
