/* link.c - linking a whole stream into a new one, in ranges of RANGE, nothing flushed.
**
** The cost must grow with the number of links and with nothing else, so sizes from a thousand to
** LINKS take turns; a sample of a small size is many streams, each of a part of its own of the
** source, so that each size has its share of the settlements. Beside it SQLite does the same as one
** statement: rows of an index by stream and revision and of one by event and stream. Each round has
** new stores, because links of the same events lie beside each other.
*/
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"

#if __has_include(<sqlite3.h>)
#define HAS_SQLITE
#include <sqlite3.h>
#endif

enum { RANGE = 10000, LINKS = 1000000, LEAST = 200000 };

static const struct size {
    uint64_t links;
    const char *name;
} sizes[] = {{1000, "streams of 1,000 links"},
             {10000, "streams of 10,000 links"},
             {100000, "streams of 100,000 links"},
             {LINKS, "a stream of 1,000,000 links"}};

static void fill_source(tycho_store *store, tycho_batch *batch) {
    workload work = {.streams = MIX_RANDOM, .size = LINKS, .random = 500};
    prepared *events = malloc(sizeof *events);
    bench_need_system(events != NULL, "memory");
    for (uint64_t at = 0; at < LINKS; at += BATCH) {
        workload_prepare(&work, events);
        tycho_batch_clear(batch);
        bench_need(tycho_batch_append(batch, workload_text("source"), TYCHO_EXPECT_ANY,
                                      events->events, BATCH, 0), "append");
        bench_need(tycho_commit(store, batch, NULL), "append");
    }
    free(events);
}

static void link_stream(tycho_store *store, tycho_batch *batch, const char *target, uint64_t first,
                        uint64_t links) {
    for (uint64_t at = first; at < first + links; at += RANGE) {
        uint64_t end = at + RANGE < first + links ? at + RANGE : first + links;
        tycho_batch_clear(batch);
        bench_need(tycho_batch_link_range(batch, workload_text("source"), (int64_t)at,
                                          (int64_t)end - 1, workload_text(target),
                                          TYCHO_EXPECT_ANY, 0), "link range");
        bench_need(tycho_commit(store, batch, NULL), "link range");
    }
}

static void link_size(tycho_store *store, tycho_batch *batch, const struct size *size) {
    static unsigned number;
    uint64_t done = 0, wanted = size->links > LEAST ? size->links : LEAST;
    double start = bench_seconds();
    for (; done < wanted; done += size->links) {
        char name[32];
        snprintf(name, sizeof name, "target-%u", number++);
        link_stream(store, batch, name, done, size->links);
    }
    report_value(size->name, "links/s", (double)done / (bench_seconds() - start));
}

#if defined(HAS_SQLITE)

static void run_sql(sqlite3 *database, const char *text) {
    if (sqlite3_exec(database, text, NULL, NULL, NULL) == SQLITE_OK) return;
    fprintf(stderr, "bench: SQLite: %s\n", sqlite3_errmsg(database));
    exit(1);
}

static void link_peer(const bench *run, uint32_t round) {
    sqlite3 *database;
    char name[32];
    snprintf(name, sizeof name, "link-%u.db", round);
    bench_need_system(sqlite3_open(bench_path(run, name), &database) == SQLITE_OK, "SQLite");
    run_sql(database,
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;"
            "CREATE TABLE entry (stream INTEGER, revision INTEGER, position INTEGER,"
            " PRIMARY KEY (stream, revision)) WITHOUT ROWID;"
            "CREATE UNIQUE INDEX way_back ON entry (position, stream);"
            "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 999999)"
            " INSERT INTO entry SELECT 0, i, i + 1 FROM n;");
    double start = bench_seconds();
    run_sql(database, "INSERT INTO entry SELECT 1, revision, position FROM entry WHERE stream = 0 "
                      "ORDER BY revision");
    report_value("SQLite, one INSERT ... SELECT", "links/s", LINKS / (bench_seconds() - start));
    sqlite3_close(database);
}

#endif

static void link_round(const bench *run, uint32_t round) {
    enum { SIZES = sizeof sizes / sizeof sizes[0] };
    tycho_batch *batch = NULL;
    char name[32];
    snprintf(name, sizeof name, "link-%u", round);
    tycho_store *store = workload_open(bench_path(run, name), TYCHO_SYNC_NONE);
    bench_need(tycho_batch_create(&batch), "batch");
    fill_source(store, batch);
    for (uint32_t i = 0; i < SIZES; i++) link_size(store, batch, &sizes[(i + round) % SIZES]);
    tycho_batch_destroy(batch);
    tycho_store_close(store);
    bench_remove(bench_path(run, name));
}

void link_bench(const bench *run) {
    report_section("LINKING A STREAM INTO A NEW ONE, IN RANGES OF 10,000, UNSYNCED");
    for (uint32_t round = 0; round < run->rounds; round++) {
        link_round(run, round);
#if defined(HAS_SQLITE)
        link_peer(run, round);
#endif
    }
    report_at_least(sizes[3].name, 2000000);
    report_ratio("rate of 1,000,000 links / of 1,000", sizes[3].name, sizes[0].name);
    report_at_least("rate of 1,000,000 links / of 1,000", 0.8);
#if defined(HAS_SQLITE)
    report_ratio("1,000,000 links, Tycho / SQLite", sizes[3].name, "SQLite, one INSERT ... SELECT");
#else
    report_skip("1,000,000 links, Tycho / SQLite", "libsqlite3-dev was not there at build time");
#endif
}
