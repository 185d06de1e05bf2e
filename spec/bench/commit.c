/* commit.c - one durable event a request from one thread, against one put of LMDB alone, and with
** append conditions; then batches of 10 and of 100, and the appends that also settle.
**
** The requests take turns in blocks of BLOCK; a sample is the median of a round. What an append
** pays for the indexes is seen in those that are not flushed, by the time of the processor, so that
** neither the disk nor other programs are in it; there are so many that all of them settle.
*/
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench.h"

enum { BLOCK = 50, TURNS = 4, SAMPLES = BLOCK * TURNS, SETTLED = 140000 };

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

static void singles(const bench *run, single *to) {
    for (uint64_t i = 0; i < run->small / BATCH; i++) raw_append(to->raw, BATCH);
    report_section("ONE DURABLE EVENT FROM ONE THREAD");
    for (int i = 0; i < BLOCK; i++) one_request(to, i % 2 == 0 ? RAW : PLAIN);
    for (uint32_t round = 0; round < run->rounds; round++) {
        machine_settle(run);
        single_round(to);
    }
    report_ratio("one event / LMDB alone", kind_names[PLAIN], kind_names[RAW]);
    report_at_most("one event / LMDB alone", 1.15);
    report_ratio("one event, rate / LMDB alone", kind_names[RAW], kind_names[PLAIN]);
    report_at_least("one event, rate / LMDB alone", 0.9);
    report_ratio("condition on a hot tag / without", kind_names[HOT], kind_names[PLAIN]);
    report_ratio("condition on a rare tag / without", kind_names[RARE], kind_names[PLAIN]);
    single_cost(to);
}

/* ---- batches */

static double batches(single *to, size_t size, bool is_raw) {
    double start = bench_seconds();
    for (size_t first = 0; first + size <= BATCH; first += size) {
        if (is_raw) raw_append(to->raw, size);
        if (is_raw) continue;
        bench_need(workload_append_part(to->store, to->batch, to->events, first, size), "batches");
    }
    return BATCH / (bench_seconds() - start);
}

static void batch_round(single *to) {
    static const size_t sizes[] = {10, 100};
    for (size_t i = 0; i < 2; i++) {
        double limit = batches(to, sizes[i], true), rate = batches(to, sizes[i], false);
        report_value(report_name("batches of %zu, LMDB alone", sizes[i]), "events/s", limit);
        report_value(report_name("batches of %zu", sizes[i]), "events/s", rate);
        report_value(report_name("batches of %zu / LMDB alone", sizes[i]), "x", rate / limit);
    }
}

/* ---- what is put off, and done by an append in slices */

static double processor_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void slice_round(tycho_store *store, single *to, double *times) {
    for (size_t i = 0; i < SETTLED; i++) {
        double start = processor_seconds();
        int status = workload_append_part(store, to->batch, to->events, i % BATCH, 1);
        times[i] = (processor_seconds() - start) * 1e6;
        bench_need(status, "append");
    }
    report_value("processor time of an append, p50", "us", report_quantile(times, SETTLED, 0.5));
    report_value("processor time of an append, p99.9", "us",
                 report_quantile(times, SETTLED, 0.999));
    report_value("processor time of an append, the most", "ms",
                 report_quantile(times, SETTLED, 1) / 1e3);
    report_at_most("processor time of an append, the most", 5);
}

static void slices(const bench *run, single *to) {
    double *times = malloc(SETTLED * sizeof *times);
    bench_need_system(times != NULL, "memory");
    tycho_store_close(to->store);
    to->store = NULL;
    tycho_store *store =
        workload_open(workload_store(run, MIX_RANDOM, STORE_SMALL), TYCHO_SYNC_NONE);
    report_section("WHAT ONE APPEND PAYS FOR THE INDEXES, UNSYNCED, OF 140,000");
    for (uint32_t round = 0; round < run->rounds; round++) slice_round(store, to, times);
    bench_need(tycho_store_sync(store), "sync");
    tycho_store_close(store);
    free(times);
}

void commit_bench(const bench *run) {
    workload work = {.streams = MIX_RANDOM, .size = run->small, .count = run->small,
                     .random = 200};
    single *to = calloc(1, sizeof *to);
    bench_need_system(to != NULL, "memory");
    to->events = malloc(sizeof *to->events);
    bench_need_system(to->events != NULL, "memory");
    workload_prepare(&work, to->events);
    to->raw = raw_open(bench_path(run, "raw-single"), 0);
    to->store = workload_open(workload_store(run, MIX_RANDOM, STORE_SMALL), TYCHO_SYNC_FULL);
    bench_need(tycho_batch_create(&to->batch), "batch");
    bench_need(tycho_head(to->store, &to->head), "head");
    singles(run, to);
    report_section("DURABLE BATCHES OF 10 AND OF 100");
    for (uint32_t round = 0; round < run->rounds; round++) {
        machine_settle(run);
        batch_round(to);
    }
    slices(run, to);
    raw_close(to->raw);
    tycho_batch_destroy(to->batch);
    free(to->events);
    free(to);
}
