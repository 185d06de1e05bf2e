/* peer_sqlite.c - SQLite (WAL, synchronous=FULL) with tables that answer the same questions as the
** log, streams, types and tags of Tycho. Built where libsqlite3 is there.
**
** It is no event store but what one could be made of: a library in the process, like Tycho. Each
** client has a connection of its own.
*/
#include <stdlib.h>

#include "peers.h"

#if __has_include(<sqlite3.h>)
#include <sqlite3.h>

typedef struct connection {
    sqlite3 *database;
    sqlite3_stmt *event, *tag, *begin, *commit, *scan, *stream, *link;
} connection;

static char path[600];

static const char schema[] =
    "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
    "CREATE TABLE IF NOT EXISTS event (position INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,"
    " stream TEXT NOT NULL, revision INTEGER NOT NULL, type TEXT NOT NULL, time INTEGER NOT NULL,"
    " valid_time INTEGER NOT NULL, data BLOB NOT NULL, UNIQUE (stream, revision));"
    "CREATE INDEX IF NOT EXISTS event_type ON event (type);"
    "CREATE TABLE IF NOT EXISTS tag (name TEXT NOT NULL, position INTEGER NOT NULL,"
    " PRIMARY KEY (name, position)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS link (stream TEXT NOT NULL, revision INTEGER NOT NULL,"
    " position INTEGER NOT NULL, PRIMARY KEY (stream, revision)) WITHOUT ROWID;"
    "CREATE UNIQUE INDEX IF NOT EXISTS way_back ON link (position, stream);";

static void need(const connection *to, bool is_done) {
    peer_need(is_done, "SQLite", sqlite3_errmsg(to->database));
}

static sqlite3_stmt *prepare(const connection *to, const char *text) {
    sqlite3_stmt *statement = NULL;
    need(to, sqlite3_prepare_v2(to->database, text, -1, &statement, NULL) == SQLITE_OK);
    return statement;
}

static void *connect_to(void) {
    connection *to = calloc(1, sizeof *to);
    bench_need_system(to != NULL, "memory");
    need(to, sqlite3_open(path, &to->database) == SQLITE_OK);
    need(to, sqlite3_busy_timeout(to->database, 30000) == SQLITE_OK);
    need(to, sqlite3_exec(to->database, schema, NULL, NULL, NULL) == SQLITE_OK);
    to->event = prepare(to, "INSERT INTO event (id, stream, revision, type, time, valid_time, data)"
                            " VALUES (?1, ?2, (SELECT coalesce(max(revision), -1) + 1 FROM event"
                            " WHERE stream = ?2), ?3, ?4, ?4, ?5)");
    to->tag = prepare(to, "INSERT INTO tag (name, position) VALUES (?1, ?2)");
    to->begin = prepare(to, "BEGIN IMMEDIATE");
    to->commit = prepare(to, "COMMIT");
    to->scan = prepare(to, "SELECT position, id, type, time, data FROM event ORDER BY position");
    to->stream = prepare(to, "SELECT position, id, type, time, data FROM event"
                             " WHERE stream = 'long' ORDER BY revision");
    to->link = prepare(to, "INSERT INTO link SELECT 'linked-' || ?1, revision, position FROM event"
                           " WHERE stream = 'long' ORDER BY revision");
    return to;
}

static void disconnect(void *client) {
    connection *to = client;
    sqlite3_stmt *all[] = {to->event, to->tag,    to->begin, to->commit,
                           to->scan,  to->stream, to->link};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) sqlite3_finalize(all[i]);
    sqlite3_close(to->database);
    free(to);
}

static const char *start(peer *self, const bench *run) {
    const char *directory = bench_path(run, "peer.sqlite");
    (void)self;
    for (size_t i = 0; directory[i] != '\0'; i++) path[i] = directory[i];
    disconnect(connect_to());
    return NULL;
}

static void step(const connection *to, sqlite3_stmt *statement) {
    need(to, sqlite3_step(statement) == SQLITE_DONE);
    sqlite3_reset(statement);
}

static void bind(sqlite3_stmt *statement, int index, tycho_bytes text) {
    sqlite3_bind_text(statement, index, text.data, (int)text.size, SQLITE_STATIC);
}

static bool append(void *client, const prepared *events, size_t first, size_t count,
                   const char *stream) {
    const connection *to = client;
    step(to, to->begin);
    for (size_t i = first; i < first + count; i++) {
        char id[TYCHO_UUID_SIZE];
        tycho_uuid(id);
        sqlite3_bind_text(to->event, 1, id, TYCHO_UUID_SIZE, SQLITE_STATIC);
        bind(to->event, 2, stream ? workload_text(stream) : events->streams[i]);
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
    return true;
}

static uint64_t read_all(void *client, work_kind kind) {
    const connection *to = client;
    sqlite3_stmt *statement = kind == WORK_READ ? to->stream : to->scan;
    uint64_t count = 0, seen = 0;
    while (sqlite3_step(statement) == SQLITE_ROW) {
        const uint8_t *data = sqlite3_column_blob(statement, 4);
        seen += data[DATA_SIZE - 1] + (uint64_t)sqlite3_column_int64(statement, 3);
        seen += sqlite3_column_text(statement, 2)[0];
        count++;
    }
    sqlite3_reset(statement);
    need(to, seen > 0);
    return count;
}

static bool link_long(void *client, unsigned number) {
    const connection *to = client;
    sqlite3_bind_int64(to->link, 1, number);
    step(to, to->link);
    return true;
}

peer peer_sqlite = {.name = "SQLite in C",
                    .is_durable = true,
                    PEER_FUNCTIONS,
                    .link_long = link_long};

#else

peer peer_sqlite = {.name = "SQLite in C",
                    .absent = "libsqlite3-dev was not there at build time"};

#endif
