/* sqlite.c - a peer: SQLite (WAL, synchronous=FULL) with tables that answer the same
** questions, on the same events, in turns with Tycho. Built where libsqlite3 is there.
*/
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#if __has_include(<sqlite3.h>)
#include <sqlite3.h>

enum { SEGMENT = 10, SINGLES = 100 };

typedef struct peer {
    sqlite3 *database;
    sqlite3_stmt *event, *tag, *begin, *commit, *scan;
} peer;

static const char schema[] =
    "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
    "CREATE TABLE event (position INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,"
    " stream TEXT NOT NULL, revision INTEGER NOT NULL, type TEXT NOT NULL, time INTEGER NOT NULL,"
    " valid_time INTEGER NOT NULL, data BLOB NOT NULL, UNIQUE (stream, revision));"
    "CREATE INDEX event_type ON event (type);"
    "CREATE TABLE tag (name TEXT NOT NULL, position INTEGER NOT NULL,"
    " PRIMARY KEY (name, position)) WITHOUT ROWID;";

static void need(const peer *to, bool is_done) {
    if (is_done) return;
    fprintf(stderr, "bench: SQLite: %s\n", sqlite3_errmsg(to->database));
    exit(1);
}

static sqlite3_stmt *prepare(const peer *to, const char *text) {
    sqlite3_stmt *statement = NULL;
    need(to, sqlite3_prepare_v2(to->database, text, -1, &statement, NULL) == SQLITE_OK);
    return statement;
}

static void step(const peer *to, sqlite3_stmt *statement) {
    need(to, sqlite3_step(statement) == SQLITE_DONE);
    sqlite3_reset(statement);
}

static void open_peer(peer *to, const char *path) {
    need(to, sqlite3_open(path, &to->database) == SQLITE_OK);
    need(to, sqlite3_exec(to->database, schema, NULL, NULL, NULL) == SQLITE_OK);
    to->event = prepare(to, "INSERT INTO event (id, stream, revision, type, time, valid_time, data)"
                            " VALUES (?1, ?2, (SELECT coalesce(max(revision), -1) + 1 FROM event"
                            " WHERE stream = ?2), ?3, ?4, ?4, ?5)");
    to->tag = prepare(to, "INSERT INTO tag (name, position) VALUES (?1, ?2)");
    to->begin = prepare(to, "BEGIN IMMEDIATE");
    to->commit = prepare(to, "COMMIT");
    to->scan = prepare(to, "SELECT position, id, type, time, data FROM event ORDER BY position");
}

static void bind(sqlite3_stmt *statement, int index, tycho_bytes text) {
    sqlite3_bind_text(statement, index, text.data, (int)text.size, SQLITE_STATIC);
}

static void append(const peer *to, const prepared *events, size_t first, size_t count) {
    step(to, to->begin);
    for (size_t i = first; i < first + count; i++) {
        char id[TYCHO_UUID_SIZE];
        tycho_uuid(id);
        sqlite3_bind_text(to->event, 1, id, TYCHO_UUID_SIZE, SQLITE_STATIC);
        bind(to->event, 2, events->streams[i]);
        bind(to->event, 3, events->events[i].type);
        sqlite3_bind_int64(to->event, 4, tycho_now());
        sqlite3_bind_blob(to->event, 5, events->data[i], DATA_SIZE, SQLITE_STATIC);
        step(to, to->event);
        sqlite3_bind_int64(to->tag, 2, sqlite3_last_insert_rowid(to->database));
        for (int k = 0; k < 2; k++) {
            bind(to->tag, 1, events->tags[i][k]);
            step(to, to->tag);
        }
    }
    step(to, to->commit);
}

static void fill(const peer *to, workload *work, prepared *events) {
    sqlite3_exec(to->database, "PRAGMA synchronous=OFF", NULL, NULL, NULL);
    while (work->count < work->size) {
        workload_prepare(work, events);
        append(to, events, 0, BATCH);
    }
    sqlite3_exec(to->database, "PRAGMA synchronous=FULL; PRAGMA wal_checkpoint(TRUNCATE)", NULL,
                 NULL, NULL);
}

static void measure_peer(const peer *to, workload *work, prepared *events) {
    double sum = 0;
    for (int i = 0; i < SEGMENT; i++) {
        workload_prepare(work, events);
        double start = bench_seconds();
        append(to, events, 0, BATCH);
        sum += bench_seconds() - start;
    }
    report_value("SQLite, batches of 1,000", "events/s", SEGMENT * BATCH / sum);
    double start = bench_seconds();
    for (size_t i = 0; i < SINGLES; i++) append(to, events, i, 1);
    report_value("SQLite, one event", "us", (bench_seconds() - start) * 1e6 / SINGLES);
    uint64_t count = 0, seen = 0;
    start = bench_seconds();
    while (sqlite3_step(to->scan) == SQLITE_ROW) {
        const uint8_t *data = sqlite3_column_blob(to->scan, 4);
        seen += data[DATA_SIZE - 1] + (uint64_t)sqlite3_column_int64(to->scan, 3);
        count++;
    }
    sqlite3_reset(to->scan);
    need(to, seen > 0);
    report_value("SQLite, scan", "events/s", (double)count / (bench_seconds() - start));
}

static void measure_tycho(tycho_store *store, workload *work, prepared *events,
                          tycho_batch *batch) {
    double sum = 0;
    for (int i = 0; i < SEGMENT; i++) {
        workload_prepare(work, events);
        double start = bench_seconds();
        bench_need(workload_append(store, batch, events), "append");
        sum += bench_seconds() - start;
    }
    report_value("Tycho, batches of 1,000", "events/s", SEGMENT * BATCH / sum);
    double start = bench_seconds();
    for (size_t i = 0; i < SINGLES; i++) {
        tycho_batch_clear(batch);
        bench_need(tycho_batch_append(batch, events->streams[i], TYCHO_EXPECT_ANY,
                                      &events->events[i], 1, 0), "append");
        bench_need(tycho_commit(store, batch, NULL), "commit");
    }
    report_value("Tycho, one event", "us", (bench_seconds() - start) * 1e6 / SINGLES);
    tycho_read what = {.size = sizeof what};
    tycho_cursor *cursor = NULL;
    tycho_event event;
    uint64_t count = 0, seen = 0;
    start = bench_seconds();
    bench_need(tycho_cursor_open(store, &what, &cursor), "cursor");
    while (tycho_cursor_next(cursor, &event) == TYCHO_OK) {
        seen += ((const uint8_t *)event.data.data)[DATA_SIZE - 1] + (uint64_t)event.time;
        count++;
    }
    tycho_cursor_close(cursor);
    bench_need(seen > 0 ? TYCHO_OK : TYCHO_NOT_FOUND, "scan");
    report_value("Tycho, scan", "events/s", (double)count / (bench_seconds() - start));
}

static void close_peer(peer *to) {
    sqlite3_finalize(to->event);
    sqlite3_finalize(to->tag);
    sqlite3_finalize(to->begin);
    sqlite3_finalize(to->commit);
    sqlite3_finalize(to->scan);
    sqlite3_close(to->database);
}

void sqlite_bench(const bench *run) {
    const char *path = workload_store(run, MIX_RANDOM, STORE_SMALL);
    workload work = {.streams = MIX_RANDOM, .size = run->small, .random = 400};
    prepared *events = malloc(sizeof *events);
    tycho_batch *batch = NULL;
    peer to = {0};
    bench_need_system(events != NULL, "memory");
    bench_need(tycho_batch_create(&batch), "batch");
    report_section("A PEER: SQLITE " SQLITE_VERSION ", WAL, SYNCHRONOUS=FULL");
    open_peer(&to, bench_path(run, "sqlite.db"));
    fill(&to, &work, events);
    tycho_store *store = workload_open(path, TYCHO_SYNC_FULL);
    for (uint32_t round = 0; round < run->rounds; round++) {
        machine_settle(run);
        measure_peer(&to, &work, events);
        machine_settle(run);
        measure_tycho(store, &work, events, batch);
    }
    report_ratio("batches of 1,000, Tycho / SQLite", "Tycho, batches of 1,000",
                 "SQLite, batches of 1,000");
    report_ratio("one event, rate, Tycho / SQLite", "SQLite, one event", "Tycho, one event");
    report_ratio("scan, Tycho / SQLite", "Tycho, scan", "SQLite, scan");
    tycho_store_close(store);
    close_peer(&to);
    tycho_batch_destroy(batch);
    free(events);
}

#else

void sqlite_bench(const bench *run) {
    (void)run;
    report_section("A PEER: SQLITE");
    report_skip("batches of 1,000, Tycho / SQLite", "libsqlite3-dev was not there at build time");
}

#endif
