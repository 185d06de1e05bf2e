/* index.c - links, verifying, and what each table costs on the disk.
*/
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

enum { LINKS = 10000 };

typedef struct linking {
    tycho_store *store;
    tycho_batch *batch;
    raw_log *raw;
    char ids[LINKS][TYCHO_UUID_SIZE];
    tycho_bytes views[LINKS];
} linking;

/* Every n-th event of the log, so that links go to all of it. */
static void take_ids(linking *to) {
    tycho_read what = {.size = sizeof what};
    tycho_cursor *cursor = NULL;
    tycho_event event;
    uint64_t head;
    size_t count = 0;
    bench_need(tycho_head(to->store, &head), "head");
    bench_need(tycho_cursor_open(to->store, &what, &cursor), "cursor");
    while (count < LINKS) {
        bench_need(tycho_cursor_next(cursor, &event), "ids");
        if (event.position % (head / LINKS) != 0) continue;
        memcpy(to->ids[count], event.id.data, TYCHO_UUID_SIZE);
        to->views[count].data = to->ids[count];
        to->views[count].size = TYCHO_UUID_SIZE;
        count++;
    }
    tycho_cursor_close(cursor);
}

static void link_round(linking *to, uint32_t round) {
    char name[32], copy[32];
    snprintf(name, sizeof name, "linked-%u", round);
    snprintf(copy, sizeof copy, "copied-%u", round);
    double start = bench_seconds();
    for (int i = 0; i < LINKS / BATCH; i++) raw_append(to->raw, BATCH);
    report_value("10 batches of 1,000, LMDB alone", "events/s", LINKS / (bench_seconds() - start));
    start = bench_seconds();
    for (int i = 0; i < LINKS; i += BATCH) {
        tycho_batch_clear(to->batch);
        bench_need(tycho_batch_link(to->batch, workload_text(name), TYCHO_EXPECT_ANY,
                                    to->views + i, BATCH, 0), "link");
        bench_need(tycho_commit(to->store, to->batch, NULL), "link");
    }
    report_value("10 batches of 1,000 links", "links/s", LINKS / (bench_seconds() - start));
    start = bench_seconds();
    tycho_batch_clear(to->batch);
    bench_need(tycho_batch_link_range(to->batch, workload_text(name), 0, -1, workload_text(copy),
                                      TYCHO_EXPECT_NONE, 0), "link range");
    bench_need(tycho_commit(to->store, to->batch, NULL), "link range");
    report_value("one range of 10,000 links", "links/s", LINKS / (bench_seconds() - start));
}

static void links(const bench *run, const char *path) {
    linking *to = calloc(1, sizeof *to);
    bench_need_system(to != NULL, "memory");
    to->store = workload_open(path, TYCHO_SYNC_FULL);
    to->raw = raw_open(bench_path(run, "raw-link"), 0);
    bench_need(tycho_batch_create(&to->batch), "batch");
    take_ids(to);
    for (uint32_t round = 0; round < run->rounds; round++) {
        machine_settle(run);
        link_round(to, round);
    }
    report_ratio("links / LMDB alone", "10 batches of 1,000 links",
                 "10 batches of 1,000, LMDB alone");
    tycho_batch_destroy(to->batch);
    raw_close(to->raw);
    tycho_store_close(to->store);
    free(to);
}

static void verifying(const char *path) {
    tycho_store *store = workload_open(path, TYCHO_SYNC_FULL);
    tycho_verification *verification = NULL;
    tycho_finding finding;
    uint64_t head;
    int status;
    double start = bench_seconds();
    bench_need(tycho_head(store, &head), "head");
    bench_need(tycho_verification_open(store, &verification), "verify");
    do {
        status = tycho_verification_step(verification, &finding);
    } while (status == TYCHO_OK && finding.findings == 0);
    if (status == TYCHO_OK) {
        fprintf(stderr, "bench: verify: %.*s\n", (int)finding.text.size,
                (const char *)finding.text.data);
        exit(1);
    }
    bench_need(status == TYCHO_END ? TYCHO_OK : status, "verify");
    report_value("verify, small store", "events/s", (double)head / (bench_seconds() - start));
    tycho_verification_close(verification);
    tycho_store_close(store);
}

static double table_bytes(MDB_txn *txn, MDB_dbi table) {
    MDB_stat facts;
    bench_need_lmdb(mdb_stat(txn, table, &facts), "sizes");
    return (double)(facts.ms_branch_pages + facts.ms_leaf_pages + facts.ms_overflow_pages) *
           facts.ms_psize;
}

/* Bytes of a record of the log: the mean of the first million. */
static double record_size(MDB_txn *txn) {
    enum { RECORDS_MAX = 1000000 };
    MDB_dbi table;
    MDB_cursor *cursor;
    MDB_val key, value;
    double sum = 0, count = 0;
    bench_need_lmdb(mdb_dbi_open(txn, "events", 0, &table), "sizes");
    bench_need_lmdb(mdb_cursor_open(txn, table, &cursor), "sizes");
    while (count < RECORDS_MAX && mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0) {
        sum += (double)value.mv_size;
        count++;
    }
    mdb_cursor_close(cursor);
    return sum / count;
}

static void report_size(const char *what, const char *name, const char *unit, double value) {
    report_value(report_name("%s: %s", what, name), unit, value);
}

static void report_sums(const char *what, double all, double log, double record) {
    report_size(what, "all tables", "bytes", all);
    report_size(what, "records of the log", "bytes", record);
    report_size(what, "all tables / records", "x", all / record);
    report_size(what, "indexes / records", "x", (all - log) / record);
    report_at_most(report_name("%s: all tables / records", what), 1.35);
}

void index_sizes(const char *path, const char *what, uint64_t events, bool each) {
    MDB_env *env = raw_open_map(path, MDB_RDONLY | MDB_NOLOCK);
    MDB_txn *txn;
    MDB_dbi names, table;
    MDB_cursor *cursor;
    MDB_val key, value;
    char name[41];
    double sum = 0, log = 0;
    bench_need_lmdb(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn), "sizes");
    bench_need_lmdb(mdb_dbi_open(txn, NULL, 0, &names), "sizes");
    bench_need_lmdb(mdb_cursor_open(txn, names, &cursor), "sizes");
    while (mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0) {
        snprintf(name, sizeof name, "%.*s", (int)(key.mv_size < 40 ? key.mv_size : 40),
                 (const char *)key.mv_data);
        if (mdb_dbi_open(txn, name, 0, &table) != 0) continue;
        double bytes = table_bytes(txn, table) / (double)events;
        sum += bytes;
        if (strcmp(name, "events") == 0) log = bytes;
        if (each) report_size(what, report_name("table %s", name), "bytes", bytes);
    }
    report_sums(what, sum, log, record_size(txn));
    mdb_cursor_close(cursor);
    mdb_txn_abort(txn);
    mdb_env_close(env);
}

static void store_sizes(const bench *run, mix streams, const char *what, bool each) {
    const char *path = workload_store(run, streams, STORE_BIG);
    tycho_store *store = workload_open(path, TYCHO_SYNC_FULL);
    tycho_stats stats = {.size = sizeof stats};
    bench_need(tycho_stats_get(store, &stats), "stats");
    tycho_store_close(store);
    index_sizes(path, what, stats.events, each);
    report_size(what, "free in the file", "bytes",
                (double)stats.free_size / (double)stats.events);
    report_size(what, "the file", "bytes", (double)stats.file_size / (double)stats.events);
}

void index_bench(const bench *run) {
    report_section("LINKS, VERIFYING");
    links(run, workload_store(run, MIX_RANDOM, STORE_SMALL));
    verifying(workload_store(run, MIX_RANDOM, STORE_SMALL));
    report_section("BYTES AN EVENT ON THE DISK");
    store_sizes(run, MIX_RANDOM, "random", true);
    store_sizes(run, MIX_RECENT, "recent", false);
    report_skip("payload compression, times smaller", "there is none");
    report_at_least("payload compression, times smaller", 2);
    report_skip("payload compression, each way, us", "there is none");
    report_at_most("payload compression, each way, us", 2);
}
