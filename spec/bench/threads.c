/* threads.c - one durable event a request from many threads, and from many processes, at once.
**
** The threads take turns with as many that only write the log: LMDB alone with one table, with a
** commit for all who came meanwhile. A sample is what all of them did in a while.
*/
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"

enum { SETS = 16 };

typedef struct writers {
    tycho_store *store; /* NULL: each process opens its own */
    const char *path;
    tycho_batch *batches[CROWD_MAX];
    const prepared *sets; /* SETS of them */
    size_t count;
} writers;

static bool append_one(void *context, size_t client, size_t number) {
    writers *all = context;
    size_t event = (client + number * all->count) % (SETS * BATCH);
    int status = workload_append_part(all->store, all->batches[client], &all->sets[event / BATCH],
                                      event % BATCH, 1);
    if (status != TYCHO_OK) fprintf(stderr, "bench: append: %s\n", tycho_error());
    return status == TYCHO_OK;
}

static void open_own(void *context, size_t client) {
    writers *all = context;
    (void)client;
    all->store = workload_open(all->path, TYCHO_SYNC_FULL);
}

static bool append_raw(void *context, size_t client, size_t number) {
    (void)client, (void)number;
    raw_group_append(context);
    return true;
}

static double duration(const bench *run, size_t count) {
    if (run->full) return 3;
    return count == 1 ? 1 : 0.5;
}

static void report_cost(const char *name, double commits, machine_io io) {
    report_value(report_name("%s, flushes a commit", name), "flushes", (double)io.syncs / commits);
    report_value(report_name("%s, pages a commit", name), "4 KiB",
                 (double)io.bytes / 4096 / commits);
}

static void thread_round(const bench *run, writers *all, size_t count) {
    const char *name = report_name("%zu thread%s", count, count == 1 ? "" : "s");
    crowd threads = {.name = name,
                     .count = count,
                     .seconds = duration(run, count),
                     .context = all,
                     .request = append_one};
    tycho_stats before = {.size = sizeof before}, after = {.size = sizeof after};
    all->store = workload_open(all->path, TYCHO_SYNC_FULL);
    all->count = count;
    bench_need(tycho_stats_get(all->store, &before), "stats");
    crowd_result result = crowd_run(&threads);
    bench_need(tycho_stats_get(all->store, &after), "stats");
    tycho_store_close(all->store);
    double commits = (double)(after.commits - before.commits);
    if (!(commits > 0)) return;
    report_value(report_name("%s, batches in a commit", name), "batches",
                 (double)(after.commit_batches - before.commit_batches) / commits);
    report_cost(name, commits, result.io);
}

static void raw_round(const bench *run, raw_group *group, size_t count) {
    crowd threads = {.name = report_name("%zu threads, log only, LMDB alone", count),
                     .count = count,
                     .seconds = duration(run, count),
                     .context = group,
                     .request = append_raw};
    crowd_run(&threads);
}

/* Nobody has the store open, so that a process can open it itself. */
static void process_round(const bench *run, writers *all, size_t count) {
    const char *name = report_name("%zu process%s", count, count == 1 ? "" : "es");
    crowd processes = {.name = name,
                       .count = count,
                       .is_processes = true,
                       .seconds = duration(run, count),
                       .context = all,
                       .join = open_own,
                       .request = append_one};
    all->count = count;
    crowd_result result = crowd_run(&processes);
    report_cost(name, (double)result.requests, result.io);
}

static void report(void) {
    static const size_t counts[] = {16, 64, 256};
    for (size_t i = 0; i < 3; i++) {
        const char *name = report_name("%zu threads", counts[i]);
        const char *ratio = report_name("%s / log only, LMDB alone", name);
        report_ratio(ratio, name, report_name("%s, log only, LMDB alone", name));
        report_at_least(ratio, 0.8);
    }
    report_ratio("64 threads / 1 thread", "64 threads", "1 thread");
    report_at_least("64 threads / 1 thread", 8);
    report_ratio("1 thread, p99.9 / p50", "1 thread, p99.9", "1 thread, p50");
    report_at_most("1 thread, p99.9 / p50", 5);
}

static void rounds(const bench *run, writers *all, raw_group *group) {
    static const size_t threads[] = {1, 2, 4, 16, 64, 256}, processes[] = {1, 4, 16};
    for (uint32_t round = 0; round < run->rounds; round++) {
        for (size_t i = 0; i < 6; i++) {
            machine_settle(run);
            thread_round(run, all, threads[i]);
            if (threads[i] < 16) continue;
            machine_settle(run);
            raw_round(run, group, threads[i]);
        }
        for (size_t i = 0; i < 3; i++) {
            machine_settle(run);
            process_round(run, all, processes[i]);
        }
    }
}

void threads_bench(const bench *run) {
    prepared *sets = malloc(SETS * sizeof *sets);
    writers all = {.sets = sets, .path = workload_store(run, MIX_RANDOM, STORE_SMALL)};
    workload work = {.streams = MIX_RANDOM, .size = run->small, .count = run->small, .random = 201};
    raw_group group = {.log = raw_open(bench_path(run, "raw-group"), 0)};
    bench_need_system(sets != NULL, "memory");
    for (size_t i = 0; i < SETS; i++) workload_prepare(&work, &sets[i]);
    for (size_t i = 0; i < CROWD_MAX; i++) {
        bench_need(tycho_batch_create(&all.batches[i]), "batch");
    }
    for (uint64_t i = 0; i < run->small / BATCH; i++) raw_append(group.log, BATCH);
    report_section("ONE DURABLE EVENT A REQUEST, FROM MANY AT ONCE");
    rounds(run, &all, &group);
    report();
    for (size_t i = 0; i < CROWD_MAX; i++) tycho_batch_destroy(all.batches[i]);
    raw_close(group.log);
    free(sets);
}
