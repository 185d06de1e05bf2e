/* append.c - durable batches of 1,000 events with all indexes, against LMDB with one table.
**
** Six logs take turns, SEGMENT batches each: LMDB alone, two mixes of streams at two sizes, which
** have ten times the streams in a store ten times as big, and one with as many as the small store.
** A segment is long enough that work which is put off and done later, all at once, falls into each.
** The stores grow by it. The time is that of building a batch and committing it; the events are
** made before.
*/
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"

enum { SEGMENT = 270, LOGS = 5 };

typedef struct log_bench {
    const char *name;
    mix streams;
    which size;
    tycho_store *store;
    workload work;
} log_bench;

static log_bench logs[LOGS] = {
    {.name = "random streams, small store", .streams = MIX_RANDOM, .size = STORE_SMALL},
    {.name = "random streams, big store", .streams = MIX_RANDOM, .size = STORE_BIG},
    {.name = "recent streams, small store", .streams = MIX_RECENT, .size = STORE_SMALL},
    {.name = "recent streams, big store", .streams = MIX_RECENT, .size = STORE_BIG},
    {.name = "same streams, big store", .streams = MIX_SAME, .size = STORE_BIG},
};

static void open_logs(const bench *run) {
    for (size_t i = 0; i < LOGS; i++) {
        log_bench *log = &logs[i];
        workload work = {.streams = log->streams,
                         .size = workload_spread(run, log->streams, log->size),
                         .count = workload_size(run, log->size),
                         .random = 100 + i};
        log->work = work;
        log->store = workload_open(workload_store(run, log->streams, log->size), TYCHO_SYNC_FULL);
    }
}

/* Seconds of the segment, and of its slowest batch. */
static double measure(log_bench *log, tycho_batch *batch, prepared *events, double *slowest) {
    double sum = 0;
    *slowest = 0;
    for (int i = 0; i < SEGMENT; i++) {
        workload_prepare(&log->work, events);
        double start = bench_seconds();
        bench_need(workload_append(log->store, batch, events), log->name);
        double seconds = bench_seconds() - start;
        sum += seconds;
        if (seconds > *slowest) *slowest = seconds;
    }
    return sum;
}

static void measure_log(log_bench *log, tycho_batch *batch, prepared *events) {
    char name[64];
    double slowest;
    machine_io before = machine_io_now();
    double seconds = measure(log, batch, events, &slowest);
    machine_io after = machine_io_now();
    report_value(log->name, "events/s", SEGMENT * BATCH / seconds);
    snprintf(name, sizeof name, "slowest batch, %s", log->name);
    report_value(name, "ms", slowest * 1e3);
    snprintf(name, sizeof name, "pages a batch, %s", log->name);
    report_value(name, "4 KiB", (double)(after.bytes - before.bytes) / 4096 / SEGMENT);
}

static double measure_raw(raw_log *log) {
    double start = bench_seconds();
    for (int i = 0; i < SEGMENT; i++) raw_append(log, BATCH);
    return SEGMENT * BATCH / (bench_seconds() - start);
}

static void report(void) {
    char name[64];
    for (size_t i = 0; i < LOGS; i++) {
        snprintf(name, sizeof name, "%s / LMDB alone", logs[i].name);
        report_ratio(name, logs[i].name, "LMDB alone");
        report_at_least(name, 0.4);
    }
    report_ratio("random streams, big / small", logs[1].name, logs[0].name);
    report_at_least("random streams, big / small", 0.8);
    report_ratio("same streams, big / small", logs[4].name, logs[0].name);
    report_at_least("same streams, big / small", 0.8);
    report_ratio("recent streams, big / small", logs[3].name, logs[2].name);
    report_at_least("recent streams, big / small", 0.8);
}

void append_bench(const bench *run) {
    prepared *events = malloc(sizeof *events);
    tycho_batch *batch = NULL;
    bench_need_system(events != NULL, "memory");
    bench_need(tycho_batch_create(&batch), "batch");
    open_logs(run);
    raw_log *raw = raw_open(bench_path(run, "raw"), 0);
    report_section("DURABLE BATCHES OF 1,000 WITH ALL INDEXES");
    measure_raw(raw);
    for (uint32_t round = 0; round < run->rounds; round++) {
        machine_settle(run);
        report_value("LMDB alone", "events/s", measure_raw(raw));
        for (size_t i = 0; i < LOGS; i++) {
            machine_settle(run);
            measure_log(&logs[i], batch, events);
        }
    }
    report();
    for (size_t i = 0; i < LOGS; i++) tycho_store_close(logs[i].store);
    raw_close(raw);
    tycho_batch_destroy(batch);
    free(events);
}
