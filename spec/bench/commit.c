/* commit.c - one durable event per request: from one thread against one put of LMDB alone,
** with append conditions, and from many threads at once.
**
** The single requests take turns in blocks of BLOCK; a sample is the median of a round. The threads
** commit for a while, each its own batch; a sample is what all of them did in that while.
*/
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

enum { BLOCK = 50, TURNS = 4, SAMPLES = BLOCK * TURNS };

/* ---- one thread */

typedef enum kind { RAW, PLAIN, HOT, RARE, EXPECTED, KINDS } kind;

static const char *const kind_names[KINDS] = {
    "one put and commit, LMDB alone", "one event", "one event, condition on a hot tag",
    "one event, condition on a rare tag", "one event, expected version"};

typedef struct single {
    raw_log *raw;
    tycho_store *store;
    tycho_batch *batch;
    prepared *events;
    size_t next;
    uint64_t head;
    double times[KINDS][SAMPLES];
} single;

static void expect_no(single *to, const char *tag, uint64_t after) {
    tycho_bytes tags[1] = {workload_text(tag)};
    tycho_query_item item = {.tags = tags, .tag_count = 1};
    tycho_query query = {&item, 1};
    bench_need(tycho_batch_expect_none(to->batch, &query, after), "condition");
}

static double one_request(single *to, kind what) {
    double start = bench_seconds();
    if (what == RAW) {
        raw_append(to->raw, 1);
        return (bench_seconds() - start) * 1e6;
    }
    const tycho_receipt *receipt;
    size_t i = to->next++ % BATCH;
    int64_t expected = TYCHO_EXPECT_ANY;
    if (what == EXPECTED) {
        int status = tycho_stream_version(to->store, to->events->streams[i], 0, &expected);
        bench_need(status, "version");
    }
    tycho_batch_clear(to->batch);
    bench_need(tycho_batch_append(to->batch, to->events->streams[i], expected,
                                  &to->events->events[i], 1, 0), "append");
    if (what == HOT) expect_no(to, "region:0", to->head);
    if (what == RARE) expect_no(to, "customer:none", 0);
    bench_need(tycho_commit(to->store, to->batch, &receipt), kind_names[what]);
    to->head = receipt->head;
    return (bench_seconds() - start) * 1e6;
}

static void single_round(single *to) {
    for (int turn = 0; turn < TURNS; turn++) {
        for (int what = 0; what < KINDS; what++) {
            for (int i = 0; i < BLOCK; i++) {
                to->times[what][turn * BLOCK + i] = one_request(to, (kind)what);
            }
        }
    }
    for (int what = 0; what < KINDS; what++) {
        report_value(kind_names[what], "us", report_quantile(to->times[what], SAMPLES, 0.5));
    }
    report_value("one event, 99 of 100 below", "us",
                 report_quantile(to->times[PLAIN], SAMPLES, 0.99));
}

static void single_cost(single *to) {
    for (int what = RAW; what <= PLAIN; what++) {
        char name[64];
        machine_io before = machine_io_now();
        for (int i = 0; i < BLOCK; i++) one_request(to, (kind)what);
        machine_io after = machine_io_now();
        snprintf(name, sizeof name, "pages: %s", kind_names[what]);
        report_value(name, "4 KiB", (double)(after.bytes - before.bytes) / 4096 / BLOCK);
        snprintf(name, sizeof name, "flushes: %s", kind_names[what]);
        report_value(name, "fdatasync", (double)(after.syncs - before.syncs) / BLOCK);
        snprintf(name, sizeof name, "write calls: %s", kind_names[what]);
        report_value(name, "calls", (double)(after.writes - before.writes) / BLOCK);
    }
}

static void singles(const bench *run, tycho_store *store, prepared *events) {
    single *to = calloc(1, sizeof *to);
    bench_need_system(to != NULL, "memory");
    to->raw = raw_open(bench_path(run, "raw-single"), 0);
    to->store = store;
    to->events = events;
    bench_need(tycho_batch_create(&to->batch), "batch");
    bench_need(tycho_head(store, &to->head), "head");
    for (uint64_t i = 0; i < run->small / BATCH; i++) raw_append(to->raw, BATCH);
    report_section("2. ONE DURABLE EVENT FROM ONE THREAD");
    for (int i = 0; i < BLOCK; i++) one_request(to, i % 2 == 0 ? RAW : PLAIN);
    for (uint32_t round = 0; round < run->rounds; round++) {
        machine_settle(run);
        single_round(to);
    }
    report_ratio("one event / LMDB alone", kind_names[PLAIN], kind_names[RAW]);
    report_at_most("one event / LMDB alone", 1.15);
    report_ratio("condition on a hot tag / without", kind_names[HOT], kind_names[PLAIN]);
    report_ratio("condition on a rare tag / without", kind_names[RARE], kind_names[PLAIN]);
    single_cost(to);
    raw_close(to->raw);
    tycho_batch_destroy(to->batch);
    free(to);
}

/* ---- many threads */

enum { THREADS_MAX = 256, REQUESTS_MAX = 1 << 15, SETS = 16 };

typedef struct crowd {
    tycho_store *store;
    prepared *sets; /* SETS of them */
    pthread_barrier_t start;
    atomic_bool is_over;
    size_t count; /* of threads */
} crowd;

typedef struct member {
    crowd *of;
    pthread_t thread;
    size_t index;
    size_t count;  /* requests answered */
    int status;    /* of the first that failed */
    float *times;  /* of each, us */
} member;

static void *commit_until_over(void *context) {
    member *self = context;
    crowd *all = self->of;
    tycho_batch *batch = NULL;
    self->status = tycho_batch_create(&batch);
    pthread_barrier_wait(&all->start);
    while (!atomic_load_explicit(&all->is_over, memory_order_relaxed) &&
           self->status == TYCHO_OK && self->count < REQUESTS_MAX) {
        size_t number = (self->index + self->count * all->count) % (SETS * BATCH);
        const prepared *set = &all->sets[number / BATCH];
        size_t i = number % BATCH;
        double start = bench_seconds();
        tycho_batch_clear(batch);
        self->status = tycho_batch_append(batch, set->streams[i], TYCHO_EXPECT_ANY,
                                          &set->events[i], 1, 0);
        if (self->status == TYCHO_OK) self->status = tycho_commit(all->store, batch, NULL);
        self->times[self->count++] = (float)((bench_seconds() - start) * 1e6);
    }
    if (self->status != TYCHO_OK) fprintf(stderr, "bench: %s\n", tycho_error());
    tycho_batch_destroy(batch);
    return NULL;
}

static void report_crowd(const member *members, size_t count, double seconds) {
    const char *plural = count == 1 ? "" : "s";
    char name[64];
    size_t requests = 0, at = 0;
    for (size_t i = 0; i < count; i++) requests += members[i].count;
    double *times = malloc((requests + 1) * sizeof *times);
    bench_need_system(times != NULL, "memory");
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < members[i].count; k++) times[at++] = (double)members[i].times[k];
    }
    snprintf(name, sizeof name, "%zu thread%s", count, plural);
    report_value(name, "events/s", (double)requests / seconds);
    snprintf(name, sizeof name, "%zu thread%s, half of the answers below", count, plural);
    report_value(name, "us", report_quantile(times, requests, 0.5));
    snprintf(name, sizeof name, "%zu thread%s, 99 of 100 below", count, plural);
    report_value(name, "us", report_quantile(times, requests, 0.99));
    free(times);
}

static void report_group(size_t count, const tycho_stats *before, const tycho_stats *after,
                         machine_io io, machine_io io_before) {
    char name[64];
    double commits = (double)(after->commits - before->commits);
    if (!(commits > 0)) return;
    snprintf(name, sizeof name, "%zu thread%s, batches in a commit", count,
             count == 1 ? "" : "s");
    report_value(name, "batches",
                 (double)(after->commit_batches - before->commit_batches) / commits);
    snprintf(name, sizeof name, "%zu thread%s, pages a commit", count, count == 1 ? "" : "s");
    report_value(name, "4 KiB", (double)(io.bytes - io_before.bytes) / 4096 / commits);
}

static void crowd_round(crowd *all, member *members, size_t count, double seconds) {
    tycho_stats before = {.size = sizeof before}, after = {.size = sizeof after};
    machine_io io = machine_io_now();
    struct timespec pause = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    bench_need(tycho_stats_get(all->store, &before), "stats");
    all->count = count;
    atomic_store(&all->is_over, false);
    bench_need_system(pthread_barrier_init(&all->start, NULL, (unsigned)count + 1) == 0, "barrier");
    for (size_t i = 0; i < count; i++) {
        members[i].count = 0;
        bench_need_system(pthread_create(&members[i].thread, NULL, commit_until_over,
                                         &members[i]) == 0, "thread");
    }
    pthread_barrier_wait(&all->start);
    double start = bench_seconds();
    nanosleep(&pause, NULL);
    atomic_store(&all->is_over, true);
    for (size_t i = 0; i < count; i++) {
        pthread_join(members[i].thread, NULL);
        if (members[i].status != TYCHO_OK) exit(1);
    }
    double end = bench_seconds();
    pthread_barrier_destroy(&all->start);
    bench_need(tycho_stats_get(all->store, &after), "stats");
    report_crowd(members, count, end - start);
    report_group(count, &before, &after, machine_io_now(), io);
}

static void crowds(const bench *run, tycho_store *store, workload *work) {
    static const size_t counts[] = {1, 16, 64, 256};
    crowd all = {.store = store, .sets = malloc(SETS * sizeof *all.sets)};
    member *members = calloc(THREADS_MAX, sizeof *members);
    bench_need_system(members != NULL && all.sets != NULL, "memory");
    for (size_t i = 0; i < SETS; i++) workload_prepare(work, &all.sets[i]);
    for (size_t i = 0; i < THREADS_MAX; i++) {
        members[i].of = &all;
        members[i].index = i;
        members[i].times = malloc(REQUESTS_MAX * sizeof(float));
        bench_need_system(members[i].times != NULL, "memory");
    }
    report_section("3. ONE DURABLE EVENT A REQUEST FROM MANY THREADS");
    for (uint32_t round = 0; round < run->rounds; round++) {
        for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
            machine_settle(run);
            crowd_round(&all, members, counts[i], run->full ? 3.0 : 1.0);
        }
    }
    report_ratio("16 threads / 1 thread", "16 threads", "1 thread");
    report_ratio("64 threads / 1 thread", "64 threads", "1 thread");
    report_at_least("64 threads / 1 thread", 8);
    report_ratio("256 threads / 1 thread", "256 threads", "1 thread");
    for (size_t i = 0; i < THREADS_MAX; i++) free(members[i].times);
    free(members);
    free(all.sets);
}

void commit_bench(const bench *run) {
    prepared *events = malloc(sizeof *events);
    tycho_store *store = workload_open(workload_store(run, MIX_RANDOM, STORE_SMALL),
                                       TYCHO_SYNC_FULL);
    workload work = {.streams = MIX_RANDOM, .size = run->small, .count = run->small,
                     .random = 200};
    bench_need_system(events != NULL, "memory");
    workload_prepare(&work, events);
    singles(run, store, events);
    crowds(run, store, &work);
    tycho_store_close(store);
    free(events);
}
