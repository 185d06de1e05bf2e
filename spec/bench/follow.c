/* follow.c - followers: from a commit to what another process serves of it, what a commit pays for
** those who wait, and what a thousand idle followers cost.
**
** The commits are not flushed, so that the engine is measured and not the disk. Each follower is a
** process; it notes the time of each event in memory that is shared. Between two commits all of
** them fall asleep again.
*/
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "gate.h"

enum { WAITERS_MAX = 16, COMMITS = 200, PAUSE_US = 1000, IDLE = 1000, ANNOUNCEMENTS = 1000000 };

typedef struct board {
    struct {
        _Atomic uint64_t position;
        double time;
    } served[WAITERS_MAX];
} board;

typedef struct latencies {
    double after[COMMITS * WAITERS_MAX], around[COMMITS * WAITERS_MAX], commit[COMMITS];
    size_t count;
} latencies;

static void serve(const char *path, board *to, int index, uint64_t from) {
    tycho_store *store = workload_open(path, TYCHO_SYNC_NONE);
    tycho_read read = {.size = sizeof read, .flags = TYCHO_READ_FROM_POSITION};
    tycho_follower *follower;
    tycho_event event;
    read.from_position = from;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    bench_need(tycho_follower_open(store, &read, &follower), "follower");
    atomic_store(&to->served[index].position, from);
    for (;;) {
        bench_need(tycho_follower_next(follower, -1, &event), "following");
        to->served[index].time = bench_seconds();
        atomic_store(&to->served[index].position, event.position);
    }
}

static void await(board *from, int count, uint64_t position) {
    for (int i = 0; i < count; i++) {
        while (atomic_load(&from->served[i].position) != position) usleep(50);
    }
}

static void commit_and_wait(tycho_store *store, board *from, int count, latencies *to) {
    const tycho_new_event event = {.type = workload_text("t"), .data = workload_text("data")};
    const tycho_receipt *receipt;
    tycho_batch *batch;
    bench_need(tycho_batch_create(&batch), "batch");
    to->count = 0;
    for (int n = 0; n < COMMITS; n++) {
        usleep(PAUSE_US);
        tycho_batch_clear(batch);
        bench_need(tycho_batch_append(batch, workload_text("s"), TYCHO_EXPECT_ANY, &event, 1, 0),
                   "append");
        double before = bench_seconds();
        bench_need(tycho_commit(store, batch, &receipt), "commit");
        double after = bench_seconds();
        to->commit[n] = (after - before) * 1e6;
        await(from, count, receipt->head);
        for (int i = 0; i < count; i++) {
            double served = from->served[i].time;
            to->after[to->count] = served > after ? (served - after) * 1e6 : 0;
            to->around[to->count++] = (served - before) * 1e6;
        }
    }
    tycho_batch_destroy(batch);
}

static void report_round(int count, latencies *of) {
    static const char *const texts[] = {"nobody", "1 process", "16 processes"};
    const char *who = texts[count == 0 ? 0 : count == 1 ? 1 : 2];
    char name[80];
    snprintf(name, sizeof name, "a commit, %s waiting", who);
    report_value(name, "us", report_quantile(of->commit, COMMITS, 0.5));
    if (count == 0) return;
    snprintf(name, sizeof name, "served after its return, %s", who);
    report_value(name, "us", report_quantile(of->after, of->count, 0.5));
    if (count == 1) report_at_most(name, 100);
    snprintf(name, sizeof name, "served after its return, %s, 99 of 100 below", who);
    report_value(name, "us", report_quantile(of->after, of->count, 0.99));
    snprintf(name, sizeof name, "served after its beginning, %s", who);
    report_value(name, "us", report_quantile(of->around, of->count, 0.5));
    snprintf(name, sizeof name, "served after its beginning, %s, 99 of 100 below", who);
    report_value(name, "us", report_quantile(of->around, of->count, 0.99));
}

static uint64_t head_of(const char *path) {
    uint64_t head;
    tycho_store *store = workload_open(path, TYCHO_SYNC_NONE);
    bench_need(tycho_head(store, &head), "head");
    tycho_store_close(store);
    return head;
}

/* The children are started while this process has no store open. */
static void wake_round(const char *path, board *shared, int count, latencies *of) {
    pid_t children[WAITERS_MAX];
    uint64_t head = head_of(path);
    for (int i = 0; i < count; i++) {
        atomic_store(&shared->served[i].position, UINT64_MAX);
        children[i] = fork();
        bench_need_system(children[i] >= 0, "fork");
        if (children[i] == 0) serve(path, shared, i, head);
    }
    await(shared, count, head);
    tycho_store *store = workload_open(path, TYCHO_SYNC_NONE);
    commit_and_wait(store, shared, count, of);
    tycho_store_close(store);
    for (int i = 0; i < count; i++) {
        kill(children[i], SIGKILL);
        waitpid(children[i], NULL, 0);
    }
    report_round(count, of);
}

/* ---- what waits for nothing */

static double cpu_seconds(void) {
    struct rusage used;
    bench_need_system(getrusage(RUSAGE_SELF, &used) == 0, "getrusage");
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static void report_idle(const char *name, double seconds) {
    double start = bench_seconds(), cpu = cpu_seconds();
    usleep((useconds_t)(seconds * 1e6));
    report_value(name, "ms/s", (cpu_seconds() - cpu) * 1e3 / (bench_seconds() - start));
}

static void *wait_for_nothing(void *follower) {
    tycho_event event;
    int status = tycho_follower_next(follower, -1, &event);
    bench_need(status == TYCHO_END ? TYCHO_OK : status, "waiting");
    return NULL;
}

static void idle_threads(tycho_follower **followers, double seconds) {
    static pthread_t threads[IDLE];
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 128 << 10);
    for (int i = 0; i < IDLE; i++) {
        bench_need_system(pthread_create(&threads[i], &small, wait_for_nothing, followers[i]) == 0,
                          "thread");
    }
    pthread_attr_destroy(&small);
    usleep(300000);
    report_idle("1,000 idle followers in threads", seconds);
    for (int i = 0; i < IDLE; i++) tycho_follower_cancel(followers[i]);
    for (int i = 0; i < IDLE; i++) pthread_join(threads[i], NULL);
}

static void idle_round(const bench *run, const char *path) {
    static tycho_follower *followers[IDLE];
    double seconds = run->full ? 5 : 2;
    tycho_store *store = workload_open(path, TYCHO_SYNC_NONE);
    tycho_read read = {.size = sizeof read, .flags = TYCHO_READ_FROM_POSITION};
    tycho_event event;
    struct rlimit files;
    int descriptor;
    bench_need_system(getrlimit(RLIMIT_NOFILE, &files) == 0, "getrlimit");
    files.rlim_cur = files.rlim_max;
    bench_need_system(setrlimit(RLIMIT_NOFILE, &files) == 0, "setrlimit");
    bench_need(tycho_head(store, &read.from_position), "head");
    for (int i = 0; i < IDLE; i++) {
        bench_need(tycho_follower_open(store, &read, &followers[i]), "follower");
        bench_need(tycho_follower_descriptor(followers[i], &descriptor), "descriptor");
        int status = tycho_follower_next(followers[i], 0, &event);
        bench_need(status == TYCHO_TIMEOUT ? TYCHO_OK : status, "looking");
    }
    usleep(300000);
    report_idle("1,000 idle followers with descriptors", seconds);
    for (int i = 0; i < IDLE; i++) {
        tycho_follower_close(followers[i]);
        bench_need(tycho_follower_open(store, &read, &followers[i]), "follower");
    }
    idle_threads(followers, seconds);
    for (int i = 0; i < IDLE; i++) tycho_follower_close(followers[i]);
    tycho_store_close(store);
}

/* The announcement alone, on lock files of its own. */
static void announce_round(const char *path) {
    tycho__gate gate;
    int directory = open(path, O_RDONLY | O_DIRECTORY);
    bench_need_system(directory >= 0, "directory");
    bench_need(tycho__gate_open(&gate, directory, true), "lock files");
    double start = bench_seconds();
    for (uint64_t i = 1; i <= ANNOUNCEMENTS; i++) tycho__gate_announce(&gate, i);
    report_value("an announcement, nobody waiting", "us",
                 (bench_seconds() - start) * 1e6 / ANNOUNCEMENTS);
    tycho__gate_close(&gate);
    close(directory);
}

void follow_bench(const bench *run) {
    static const int counts[] = {0, 1, 16};
    char path[512], other[512];
    snprintf(path, sizeof path, "%s", bench_path(run, "followed"));
    snprintf(other, sizeof other, "%s", bench_path(run, "announced"));
    tycho_store_close(workload_open(other, TYCHO_SYNC_NONE));
    board *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    latencies *of = malloc(sizeof *of);
    bench_need_system(shared != MAP_FAILED && of != NULL, "memory");
    report_section("FOLLOWERS IN OTHER PROCESSES");
    for (uint32_t round = 0; round < run->rounds; round++) {
        for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
            wake_round(path, shared, counts[i], of);
        }
        announce_round(other);
        idle_round(run, path);
    }
    munmap(shared, sizeof *shared);
    free(of);
}
