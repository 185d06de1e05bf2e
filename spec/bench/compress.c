/* compress.c - what compression with a dictionary saves and costs: two stores with the same events,
** one of them compressed, are filled and read in turns.
**
** Made events are JSON of 150 to 400 bytes with a third of random text; real ones are the lines of
** --loans. What one event costs is the difference of the two stores in time of the processor, so
** that it has all that belongs to it.
*/
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

enum { TEXTS = 40000, LEARNT = 10, SEGMENT = 20, TEXT_MAX = 1000 };

typedef struct texts {
    const char *name;
    char *bytes[TEXTS];
    size_t sizes[TEXTS];
    size_t count;
} texts;

typedef struct side {
    char path[600];
    tycho_store *store;
    double payload; /* bytes written since it was compressed, or would have been */
    double records; /* bytes of the log, then */
} side;

/* ---- the events */

static void add_text(texts *to, const char *text, size_t size) {
    char *copy = malloc(size + 1);
    bench_need_system(copy != NULL, "memory");
    memcpy(copy, text, size);
    to->bytes[to->count] = copy;
    to->sizes[to->count++] = size;
}

static void make_texts(texts *to) {
    static const char *const names[] = {"Sophie", "Tycho", "Johannes", "Kirsten"};
    uint64_t random = 77;
    while (to->count < TEXTS) {
        char text[TEXT_MAX];
        uint64_t a = bench_random(&random), b = bench_random(&random), c = bench_random(&random);
        int size =
            snprintf(text, sizeof text,
                     "{\"orderId\":\"%016llx-%08llx\",\"customer\":{\"id\":%u,\"name\":"
                     "\"%s\"},\"total\":%u.%02u,\"currency\":\"EUR\",\"placedAt\":\"2026-%02u-%"
                     "02uT%02u:%02u:"
                     "%02u.%03uZ\"",
                     (unsigned long long)a, (unsigned long long)(b >> 32), (unsigned)(b % 100000),
                     names[b % 4], (unsigned)(c % 9000), (unsigned)(c >> 32) % 100,
                     (unsigned)(a % 12 + 1), (unsigned)(a / 12 % 28 + 1), (unsigned)(b % 24),
                     (unsigned)(b / 24 % 60), (unsigned)(c % 60), (unsigned)(c / 60 % 1000));
        for (unsigned i = 0; i < a % 4; i++) {
            uint64_t d = bench_random(&random);
            size += snprintf(text + size, sizeof text - (size_t)size,
                             ",\"line%u\":{\"sku\":\"%08llx\",\"quantity\":%u,\"gift\":%s}", i,
                             (unsigned long long)(d >> 32), (unsigned)(d % 9 + 1),
                             d % 2 == 0 ? "true" : "false");
        }
        text[size++] = '}';
        add_text(to, text, (size_t)size);
    }
}

static bool read_texts(const bench *run, texts *to) {
    char command[700], *line = NULL;
    size_t room = 0;
    snprintf(command, sizeof command, "gzip -dc '%s' 2>/dev/null", run->loans);
    FILE *pipe = popen(command, "r");
    bench_need_system(pipe != NULL, "gzip");
    for (ssize_t size = getline(&line, &room, pipe); size > 1 && to->count < TEXTS;
         size = getline(&line, &room, pipe)) {
        add_text(to, line, (size_t)size - 1);
    }
    free(line);
    pclose(pipe);
    return to->count == TEXTS;
}

static void free_texts(texts *gone) {
    for (size_t i = 0; i < gone->count; i++) free(gone->bytes[i]);
    free(gone);
}

/* ---- writing and reading */

/* By the clock on the wall, and of the processor, which others do not delay. */
typedef struct spent {
    double wall, processor;
} spent;

static spent spent_since(spent start) {
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    double processor = (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
    return (spent){bench_seconds() - start.wall, processor - start.processor};
}

/* Appends batches, whose events go on at `*at`; what it took. */
static spent fill(side *to, const texts *of, size_t *at, size_t batches) {
    tycho_batch *batch = NULL;
    spent start = spent_since((spent){0, 0});
    bench_need(tycho_batch_create(&batch), "batch");
    for (size_t i = 0; i < batches; i++) {
        tycho_batch_clear(batch);
        for (size_t k = 0; k < BATCH; k++, *at = (*at + 1) % of->count) {
            tycho_new_event event = {.type = workload_text("order_placed"),
                                     .data = {of->bytes[*at], of->sizes[*at]}};
            to->payload += (double)of->sizes[*at];
            bench_need(
                tycho_batch_append(batch, workload_text("orders"), TYCHO_EXPECT_ANY, &event, 1, 0),
                "append");
        }
        bench_need(tycho_commit(to->store, batch, NULL), "commit");
    }
    tycho_batch_destroy(batch);
    return spent_since(start);
}

/* Reads the last events; what it took. */
static spent scan(side *from, uint64_t count) {
    tycho_read what = {.size = sizeof what, .flags = TYCHO_READ_FROM_POSITION};
    tycho_cursor *cursor = NULL;
    tycho_event event;
    size_t sum = 0;
    int status;
    bench_need(tycho_head(from->store, &what.from_position), "head");
    what.from_position -= count;
    spent start = spent_since((spent){0, 0});
    bench_need(tycho_cursor_open(from->store, &what, &cursor), "cursor");
    while ((status = tycho_cursor_next(cursor, &event)) == TYCHO_OK) sum += event.data.size;
    tycho_cursor_close(cursor);
    bench_need(status == TYCHO_END && sum > 0 ? TYCHO_OK : status, "read");
    return spent_since(start);
}

static double log_bytes(const char *path) {
    MDB_env *env = raw_open_map(path, MDB_RDONLY | MDB_NOLOCK);
    MDB_txn *txn;
    MDB_dbi table;
    MDB_cursor *cursor;
    MDB_val key, value;
    double sum = 0;
    bench_need_lmdb(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn), "log");
    bench_need_lmdb(mdb_dbi_open(txn, "events", 0, &table), "log");
    bench_need_lmdb(mdb_cursor_open(txn, table, &cursor), "log");
    while (mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0) sum += (double)value.mv_size;
    mdb_cursor_close(cursor);
    mdb_txn_abort(txn);
    mdb_env_close(env);
    return sum;
}

/* ---- one kind of events */

static void measure(side sides[2], const texts *of, size_t at[2], bool is_noted) {
    static const char *const ways[] = {"as it is", "compressed"};
    const double count = SEGMENT * BATCH;
    spent fills[2], scans[2];
    for (int i = 0; i < 2; i++) fills[i] = fill(&sides[i], of, &at[i], SEGMENT);
    for (int i = 0; i < 2; i++) scans[i] = scan(&sides[i], SEGMENT * BATCH);
    for (int i = 0; i < 2 && is_noted; i++) {
        report_value(report_name("%s: fill, unsynced, %s", of->name, ways[i]), "events/s",
                     count / fills[i].wall);
        report_value(report_name("%s: scan, %s", of->name, ways[i]), "events/s",
                     count / scans[i].wall);
    }
    if (!is_noted) return;
    report_value(report_name("%s: to compress an event", of->name), "us",
                 (fills[1].processor - fills[0].processor) * 1e6 / count);
    report_value(report_name("%s: to decompress an event", of->name), "us",
                 (scans[1].processor - scans[0].processor) * 1e6 / count);
}

static void report_set(const texts *of, const side sides[2]) {
    const char *left = report_name("%s: bytes left of payloads", of->name);
    const char *fills[2] = {report_name("%s: fill, unsynced, as it is", of->name),
                            report_name("%s: fill, unsynced, compressed", of->name)};
    double saved = sides[0].records - sides[1].records;
    report_value(left, "x", (sides[1].payload - saved) / sides[1].payload);
    report_at_most(left, 0.5);
    report_at_most(report_name("%s: to compress an event", of->name), 2);
    report_at_most(report_name("%s: to decompress an event", of->name), 2);
    report_ratio(report_name("%s: fill, compressed / as it is", of->name), fills[1], fills[0]);
}

static void measure_set(const bench *run, const texts *of) {
    side sides[2] = {0};
    size_t at[2] = {0, 0};
    uint32_t percent = 0;
    bench_progress(report_name("compression of %s", of->name));
    for (int i = 0; i < 2; i++) {
        const char *name = report_name("compress-%d-%s", i, of->name);
        snprintf(sides[i].path, sizeof sides[i].path, "%s", bench_path(run, name));
        sides[i].store = workload_open(sides[i].path, TYCHO_SYNC_NONE);
        fill(&sides[i], of, &at[i], LEARNT);
        sides[i].payload = 0;
    }
    double start = bench_seconds();
    bench_need(tycho_compress(sides[1].store, 0, &percent), "compress");
    report_value(report_name("%s: to learn a dictionary", of->name), "ms",
                 (bench_seconds() - start) * 1e3);
    for (uint32_t round = 0; round <= run->rounds; round++) {
        measure(sides, of, at, round > 0);
    }
    for (int i = 0; i < 2; i++) {
        tycho_store_close(sides[i].store);
        sides[i].records = log_bytes(sides[i].path);
        bench_remove(sides[i].path);
    }
    report_set(of, sides);
}

void compress_bench(const bench *run) {
    texts *made = calloc(1, sizeof *made), *real = calloc(1, sizeof *real);
    bench_need_system(made != NULL && real != NULL, "memory");
    made->name = "JSON";
    real->name = "loans";
    report_section("COMPRESSION WITH A DICTIONARY");
    make_texts(made);
    measure_set(run, made);
    if (access(run->loans, R_OK) == 0 && read_texts(run, real)) {
        measure_set(run, real);
    } else {
        report_skip("loans: bytes left of payloads", "no file of events (--loans)");
    }
    free_texts(made);
    free_texts(real);
}
