/* peer_postgres.c - PostgreSQL with an event table that promises what Tycho does: unique ids, a
** version in each stream, and a global order without gaps, in which events become visible.
**
** For that order whoever appends takes the row of the head until it commits. A batch is one call of
** a function with arrays, in binary form; reads are in binary form, too. Default settings but for
** the memory: all is flushed before it answers. Built where libpq is there.
*/
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "peers.h"
#include "server.h"

#if __has_include(<postgresql/libpq-fe.h>)
#include <arpa/inet.h>
#include <endian.h>
#include <signal.h>
#include <postgresql/libpq-fe.h>

enum { ARRAYS = 6, PAGE = 10000 };
enum { TEXT = 25, INT8 = 20, UUID = 2950, BYTEA = 17 }; /* oids of types */

static server postgres;
static char where[200];

static const char *const schema[] = {
    "CREATE TABLE head (position bigint NOT NULL) WITH (fillfactor = 10)",
    "INSERT INTO head VALUES (0)",
    "CREATE TABLE event (position bigint PRIMARY KEY, id uuid NOT NULL UNIQUE,"
    " stream text NOT NULL, revision bigint NOT NULL, type text NOT NULL, time bigint NOT NULL,"
    " valid_time bigint NOT NULL, data bytea NOT NULL, UNIQUE (stream, revision))",
    "CREATE INDEX event_type ON event (type, position)",
    "CREATE TABLE tag (name text NOT NULL, position bigint NOT NULL, PRIMARY KEY (name, position))",
    "CREATE TABLE link (stream text NOT NULL, revision bigint NOT NULL, position bigint NOT NULL,"
    " PRIMARY KEY (stream, revision), UNIQUE (position, stream))",
    "CREATE FUNCTION append(ids uuid[], streams text[], types text[], tag_a text[], tag_b text[],"
    " datas bytea[], now bigint) RETURNS bigint LANGUAGE plpgsql AS $$"
    " DECLARE first bigint; BEGIN"
    " UPDATE head SET position = position + cardinality(ids)"
    "  RETURNING position - cardinality(ids) INTO first;"
    " INSERT INTO event SELECT first + n, id, s, coalesce((SELECT max(revision) FROM event e"
    "   WHERE e.stream = s), -1) + row_number() OVER (PARTITION BY s ORDER BY n), t, now, now, d"
    "  FROM unnest(ids, streams, types, datas) WITH ORDINALITY AS new (id, s, t, d, n);"
    " INSERT INTO tag SELECT a, first + n FROM unnest(tag_a) WITH ORDINALITY AS x (a, n)"
    "  UNION ALL SELECT b, first + n FROM unnest(tag_b) WITH ORDINALITY AS y (b, n);"
    " RETURN first; END $$"};

typedef struct connection {
    PGconn *session;
    uint8_t *arrays[ARRAYS];
} connection;

static void need(const connection *to, PGresult *result) {
    ExecStatusType status = PQresultStatus(result);
    peer_need(status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK, "PostgreSQL",
              PQerrorMessage(to->session));
}

static void run_sql(const connection *to, const char *text) {
    PGresult *result = PQexec(to->session, text);
    need(to, result);
    PQclear(result);
}

static void prepare(const connection *to, const char *name, const char *text) {
    PGresult *result = PQprepare(to->session, name, text, 0, NULL);
    need(to, result);
    PQclear(result);
}

static void *open_session(void) {
    connection *to = calloc(1, sizeof *to);
    bench_need_system(to != NULL, "memory");
    to->session = PQconnectdb(where);
    peer_need(PQstatus(to->session) == CONNECTION_OK, "PostgreSQL", PQerrorMessage(to->session));
    return to;
}

static void *connect_to(void) {
    connection *to = open_session();
    for (size_t i = 0; i < ARRAYS; i++) {
        to->arrays[i] = malloc(64 + BATCH * (DATA_SIZE + 64));
        bench_need_system(to->arrays[i] != NULL, "memory");
    }
    prepare(to, "append",
            "SELECT append($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[],"
            " $6::bytea[], $7::bigint)");
    prepare(to, "long",
            "SELECT position, id, type, time, data FROM event WHERE stream = 'long'"
            " ORDER BY revision");
    prepare(to, "page",
            "SELECT position, id, type, time, data FROM event WHERE position > $1"
            " ORDER BY position LIMIT 10000");
    prepare(to, "link",
            "INSERT INTO link SELECT 'linked-' || $1::bigint, revision, position"
            " FROM event WHERE stream = 'long' ORDER BY revision");
    return to;
}

static void disconnect(void *client) {
    connection *to = client;
    for (size_t i = 0; i < ARRAYS; i++) free(to->arrays[i]);
    PQfinish(to->session);
    free(to);
}

static const char *start(peer *self, const bench *run) {
    enum { STATEMENTS = sizeof schema / sizeof schema[0] };
    static char program[SERVER_PATH], port[16], setup[SERVER_PATH + 16];
    (void)self;
    if (server_find(program, "postgres", "/usr/lib/postgresql/*/bin/postgres") == NULL) {
        return "there is no postgres: apt-get install postgresql";
    }
    server_prepare(&postgres, run, "postgres");
    snprintf(port, sizeof port, "%d", postgres.port);
    snprintf(setup, sizeof setup, "%s", program);
    snprintf(strrchr(setup, '/') + 1, 8, "initdb");
    char *const init[] = {setup, "-D",   postgres.directory, "-U", "bench", "-A", "trust",
                          "-E",  "UTF8", "--no-locale",      "-N", NULL};
    char *const serve[] = {program,
                           "-D",
                           postgres.directory,
                           "-p",
                           port,
                           "-c",
                           "listen_addresses=127.0.0.1",
                           "-c",
                           "unix_socket_directories=",
                           "-c",
                           "shared_buffers=512MB",
                           "-c",
                           "max_wal_size=4GB",
                           NULL};
    if (!server_run(&postgres, init) || !server_start(&postgres, serve, SIGQUIT)) {
        return server_complaint(&postgres);
    }
    snprintf(where, sizeof where, "host=127.0.0.1 port=%d user=bench dbname=postgres",
             postgres.port);
    for (int i = 0; i < 300 && PQping(where) != PQPING_OK; i++) usleep(100000);
    connection *to = open_session();
    report_setting("PostgreSQL", "%s, fsync=on, synchronous_commit=on",
                   PQparameterStatus(to->session, "server_version"));
    for (size_t i = 0; i < STATEMENTS; i++) run_sql(to, schema[i]);
    disconnect(to);
    return NULL;
}

const char *peer_postgres_address(void) {
    return postgres.process != 0 ? report_name("127.0.0.1:%d", postgres.port) : NULL;
}

static void stop(void) {
    server_stop(&postgres);
}

/* ---- arrays in the form of the protocol: dimensions, nulls, type, size, first index, values */

static uint8_t *put32(uint8_t *at, uint32_t value) {
    uint32_t swapped = htonl(value);
    memcpy(at, &swapped, sizeof swapped);
    return at + sizeof swapped;
}

static uint8_t *put_bytes(uint8_t *at, const void *bytes, size_t size) {
    at = put32(at, (uint32_t)size);
    memcpy(at, bytes, size);
    return at + size;
}

static uint8_t *begin_array(uint8_t *at, uint32_t type, size_t count) {
    const uint32_t head[] = {1, 0, type, (uint32_t)count, 1};
    for (size_t i = 0; i < 5; i++) at = put32(at, head[i]);
    return at;
}

static uint8_t *put_uuid(uint8_t *at) {
    char text[TYCHO_UUID_SIZE];
    uint8_t bytes[16];
    size_t digits = 0;
    tycho_uuid(text);
    for (size_t i = 0; i < TYCHO_UUID_SIZE; i++) {
        if (text[i] == '-') continue;
        uint8_t digit = (uint8_t)(text[i] <= '9' ? text[i] - '0' : text[i] - 'a' + 10);
        bytes[digits / 2] = (uint8_t)(digits % 2 == 0 ? digit << 4 : bytes[digits / 2] | digit);
        digits++;
    }
    return put_bytes(at, bytes, sizeof bytes);
}

static bool append(void *client, const prepared *events, size_t first, size_t count,
                   const char *stream) {
    static const uint32_t types[ARRAYS] = {UUID, TEXT, TEXT, TEXT, TEXT, BYTEA};
    const connection *to = client;
    const char *values[ARRAYS + 1];
    int sizes[ARRAYS + 1], formats[ARRAYS + 1];
    uint8_t *at[ARRAYS];
    int64_t now = (int64_t)htobe64((uint64_t)tycho_now());
    for (size_t k = 0; k < ARRAYS; k++) at[k] = begin_array(to->arrays[k], types[k], count);
    for (size_t i = first; i < first + count; i++) {
        tycho_bytes name = stream ? workload_text(stream) : events->streams[i];
        const tycho_bytes texts[] = {name, events->events[i].type, events->tags[i][0],
                                     events->tags[i][1], events->events[i].data};
        at[0] = put_uuid(at[0]);
        for (size_t k = 0; k < 5; k++)
            at[k + 1] = put_bytes(at[k + 1], texts[k].data, texts[k].size);
    }
    for (size_t k = 0; k < ARRAYS; k++) {
        values[k] = (const char *)to->arrays[k];
        sizes[k] = (int)(at[k] - to->arrays[k]);
        formats[k] = 1;
    }
    values[ARRAYS] = (const char *)&now;
    sizes[ARRAYS] = sizeof now;
    formats[ARRAYS] = 1;
    PGresult *result = PQexecPrepared(to->session, "append", ARRAYS + 1, values, sizes, formats, 1);
    need(to, result);
    PQclear(result);
    return true;
}

/* ---- reading */

static uint64_t look_at(const PGresult *rows) {
    uint64_t seen = 0;
    for (int i = 0; i < PQntuples(rows); i++) {
        seen += (uint64_t)PQgetvalue(rows, i, 4)[DATA_SIZE - 1];
        seen += (uint64_t)PQgetvalue(rows, i, 2)[0];
    }
    peer_need(PQntuples(rows) == 0 || seen > 0, "PostgreSQL", "nothing was read");
    return (uint64_t)PQntuples(rows);
}

static uint64_t read_long(const connection *to) {
    PGresult *rows = PQexecPrepared(to->session, "long", 0, NULL, NULL, NULL, 1);
    need(to, rows);
    uint64_t count = look_at(rows);
    PQclear(rows);
    return count;
}

static uint64_t read_all(void *client, work_kind kind) {
    const connection *to = client;
    uint64_t count = 0, page = PAGE;
    int64_t last = 0;
    if (kind == WORK_READ) return read_long(to);
    while (page == PAGE) {
        const char *values[] = {(const char *)&last};
        const int sizes[] = {sizeof last}, formats[] = {1};
        PGresult *rows = PQexecPrepared(to->session, "page", 1, values, sizes, formats, 1);
        need(to, rows);
        page = look_at(rows);
        if (page > 0) memcpy(&last, PQgetvalue(rows, (int)page - 1, 0), sizeof last);
        PQclear(rows);
        count += page;
    }
    return count;
}

static bool link_long(void *client, unsigned number) {
    const connection *to = client;
    const char *value = report_name("%u", number);
    PGresult *result = PQexecPrepared(to->session, "link", 1, &value, NULL, NULL, 1);
    need(to, result);
    PQclear(result);
    return true;
}

peer peer_postgres = {.name = "PostgreSQL",
                      .is_durable = true,
                      .is_event_store = true,
                      .stop = stop,
                      PEER_FUNCTIONS,
                      .link_long = link_long};

#else

const char *peer_postgres_address(void) {
    return NULL;
}

peer peer_postgres = {.name = "PostgreSQL",
                      .absent = "libpq-dev was not there at build time"};

#endif
