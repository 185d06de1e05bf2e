/* read.c - reading in C: the whole log against a cursor of LMDB alone that verifies the same
** checksums, then streams, types, tags and ids.
**
** All is in the page cache. Every read takes a cursor of its own, as a program would.
*/
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

enum { READS = 200, IDS = 10000 };

typedef struct reading {
    tycho_store *store;
    raw_log *raw;
    uint64_t short_streams, long_streams;
    uint64_t random;
    uint64_t seen;  /* bytes, so that they are touched */
    size_t id_count;
    char ids[IDS][TYCHO_UUID_SIZE];
} reading;

static uint64_t read_all(reading *to, const tycho_read *what) {
    tycho_cursor *cursor = NULL;
    tycho_event event;
    uint64_t count = 0;
    int status;
    bench_need(tycho_cursor_open(to->store, what, &cursor), "cursor");
    while ((status = tycho_cursor_next(cursor, &event)) == TYCHO_OK) {
        to->seen += event.data.size + event.type.size;
        count++;
    }
    tycho_cursor_close(cursor);
    bench_need(status == TYCHO_END ? TYCHO_OK : status, "read");
    return count;
}

/* ---- the ways to read: each gives how many events (or answers) it took */

static uint64_t whole_log(reading *to) {
    tycho_read what = {.size = sizeof what};
    return read_all(to, &what);
}

static uint64_t whole_raw(reading *to) { return raw_scan(to->raw); }

static uint64_t whole_log_backward(reading *to) {
    tycho_read what = {.size = sizeof what, .flags = TYCHO_READ_BACKWARD};
    return read_all(to, &what);
}

static uint64_t streams(reading *to, const char *kind, uint64_t among, uint32_t flags) {
    uint64_t count = 0;
    for (int i = 0; i < READS; i++) {
        char name[32];
        snprintf(name, sizeof name, "%s-%llu", kind,
                 (unsigned long long)(bench_random(&to->random) % among));
        tycho_read what = {.size = sizeof what, .stream = workload_text(name), .flags = flags};
        count += read_all(to, &what);
    }
    return count;
}

static uint64_t long_streams(reading *to) { return streams(to, "account", to->long_streams, 0); }
static uint64_t short_streams(reading *to) { return streams(to, "cart", to->short_streams, 0); }
static uint64_t last_events(reading *to) {
    return streams(to, "account", to->long_streams, TYCHO_READ_LAST);
}

static uint64_t query(reading *to, const char *type, const char *tag, const char *other) {
    tycho_bytes types[1] = {workload_text(type ? type : "")};
    tycho_bytes tags[2] = {workload_text(tag ? tag : ""), workload_text(other ? other : "")};
    tycho_query_item item = {.types = types, .type_count = type != NULL, .tags = tags,
                             .tag_count = (size_t)(tag != NULL) + (size_t)(other != NULL)};
    tycho_query one = {&item, 1};
    tycho_read what = {.size = sizeof what, .query = &one};
    return read_all(to, &what);
}

static uint64_t by_type(reading *to) { return query(to, "item_added", NULL, NULL); }
static uint64_t by_hot_tag(reading *to) { return query(to, NULL, "region:7", NULL); }

static uint64_t by_rare_tag(reading *to) {
    uint64_t count = 0;
    for (int i = 0; i < 50; i++) {
        char tag[32];
        snprintf(tag, sizeof tag, "customer:%u", (unsigned)(bench_random(&to->random) % TAGS));
        count += query(to, NULL, tag, NULL);
    }
    return count;
}

static uint64_t by_two_tags(reading *to) {
    uint64_t count = 0;
    for (int i = 0; i < 50; i++) {
        char tag[32];
        snprintf(tag, sizeof tag, "customer:%u", (unsigned)(bench_random(&to->random) % TAGS));
        count += query(to, NULL, tag, "region:7");
    }
    return count;
}

static uint64_t as_of(reading *to) {
    tycho_read what = {.size = sizeof what, .order = TYCHO_AS_OF, .limit = 100};
    uint64_t count = 0;
    for (int i = 0; i < READS; i++) {
        char name[32];
        snprintf(name, sizeof name, "account-%llu",
                 (unsigned long long)(bench_random(&to->random) % to->long_streams));
        what.stream = workload_text(name);
        count += read_all(to, &what);
    }
    return count;
}

static uint64_t as_of_log(reading *to) {
    tycho_read what = {.size = sizeof what, .order = TYCHO_AS_OF, .limit = 100};
    read_all(to, &what);
    return 1;
}

static uint64_t counts_of(reading *to, const char *type, const char *tag) {
    tycho_bytes types = workload_text(type ? type : ""), tags = workload_text(tag ? tag : "");
    tycho_query_item item = {.types = &types, .type_count = type != NULL, .tags = &tags,
                             .tag_count = tag != NULL};
    tycho_query one = {&item, 1};
    tycho_read what = {.size = sizeof what, .query = &one};
    uint64_t count;
    bench_need(tycho_count(to->store, &what, &count), "count");
    return count;
}

static uint64_t count_type(reading *to) { return counts_of(to, "item_added", NULL); }
static uint64_t count_tag(reading *to) { return counts_of(to, NULL, "region:7"); }

static tycho_bytes random_id(reading *to) {
    tycho_bytes id = {to->ids[bench_random(&to->random) % to->id_count], TYCHO_UUID_SIZE};
    return id;
}

static uint64_t by_id(reading *to) {
    for (int i = 0; i < IDS; i++) {
        tycho_bytes id = random_id(to);
        tycho_read what = {.size = sizeof what, .flags = TYCHO_READ_BY_IDS, .ids = &id,
                           .id_count = 1};
        read_all(to, &what);
    }
    return IDS;
}

static uint64_t positions(reading *to) {
    for (int i = 0; i < IDS; i++) {
        uint64_t position;
        bench_need(tycho_event_position(to->store, random_id(to), &position), "position");
        to->seen += position;
    }
    return IDS;
}

static uint64_t raw_gets(reading *to) {
    to->seen += raw_get(to->raw, &to->random, IDS);
    return IDS;
}

static uint64_t versions(reading *to) {
    for (int i = 0; i < IDS; i++) {
        char name[32];
        int64_t revision;
        snprintf(name, sizeof name, "cart-%llu",
                 (unsigned long long)(bench_random(&to->random) % to->short_streams));
        bench_need(tycho_stream_version(to->store, workload_text(name), 0, &revision), "version");
    }
    return IDS;
}

static const struct way {
    const char *name, *unit;
    uint64_t (*measure)(reading *to);
} ways[] = {
    {"scan, LMDB alone, checksums verified", "events/s", whole_raw},
    {"scan", "events/s", whole_log},
    {"scan backward", "events/s", whole_log_backward},
    {"streams of ~1,000", "events/s", long_streams},
    {"streams of ~20", "events/s", short_streams},
    {"by type, 1 in 8", "events/s", by_type},
    {"by tag, 1 in 20", "events/s", by_hot_tag},
    {"by tag, 1 in 1,000", "events/s", by_rare_tag},
    {"by both tags", "events/s", by_two_tags},
    {"as of, 100 of a stream of ~1,000", "events/s", as_of},
    {"as of, 100 of the log", "reads/s", as_of_log},
    {"count by type, 1 in 8", "events/s", count_type},
    {"count by tag, 1 in 20", "events/s", count_tag},
    {"random get by position, LMDB alone", "gets/s", raw_gets},
    {"random event by id", "gets/s", by_id},
    {"random position of an id", "gets/s", positions},
    {"version of a random stream", "gets/s", versions},
    {"last event of a random stream", "gets/s", last_events},
};

/* Ids from all over the log. */
static void sample_ids(reading *to, uint64_t head) {
    for (; to->id_count < IDS; to->id_count++) {
        tycho_cursor *cursor = NULL;
        tycho_event event;
        tycho_read what = {.size = sizeof what, .limit = 1, .flags = TYCHO_READ_FROM_POSITION,
                           .from_position = head * to->id_count / IDS};
        bench_need(tycho_cursor_open(to->store, &what, &cursor), "cursor");
        bench_need(tycho_cursor_next(cursor, &event), "event");
        bench_need(event.id.size == TYCHO_UUID_SIZE ? TYCHO_OK : TYCHO_CORRUPT, "id");
        memcpy(to->ids[to->id_count], event.id.data, TYCHO_UUID_SIZE);
        tycho_cursor_close(cursor);
    }
}

void read_bench(const bench *run) {
    reading *to = calloc(1, sizeof *to);
    uint64_t head;
    bench_need_system(to != NULL, "memory");
    to->store = workload_open(workload_store(run, MIX_RANDOM, STORE_BIG), TYCHO_SYNC_FULL);
    to->raw = raw_open(bench_path(run, "raw-read"), MDB_NOSYNC);
    to->short_streams = run->big / 40;
    to->long_streams = run->big / 2000;
    to->random = 300;
    bench_need(tycho_head(to->store, &head), "head");
    while (to->raw->head < head) raw_append(to->raw, BATCH);
    sample_ids(to, head);
    report_section("READING IN C");
    for (uint32_t round = 0; round < run->rounds + 1; round++) {
        for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
            double start = bench_seconds();
            uint64_t count = ways[i].measure(to);
            double seconds = bench_seconds() - start;
            if (round == 0) continue; /* fills the page cache */
            report_value(ways[i].name, ways[i].unit, (double)count / seconds);
        }
    }
    report_ratio("scan / LMDB alone", "scan", ways[0].name);
    report_at_least("scan / LMDB alone", 0.6);
    report_ratio("streams of ~1,000 / scan of LMDB alone", "streams of ~1,000", ways[0].name);
    report_ratio("streams of ~20 / scan of LMDB alone", "streams of ~20", ways[0].name);
    report_ratio("by id / get of LMDB alone", "random event by id",
                 "random get by position, LMDB alone");
    raw_close(to->raw);
    tycho_store_close(to->store);
    free(to);
}
