/* sizes.c - the same work in stores of 1 M and 10 M events, of 100 M in the full run: what grows
** with the size, and how. Every size takes its turn in each round; the last row of a way is its
** slope, the biggest by the smallest store. Batches of 1,000 events go to random streams, so that
** the rows of all streams are needed, or to those that were opened last, as orders and sessions do:
** where the store is bigger than memory, the disk is in the first alone.
**
** Reads take a random place of the store each time. In a full run the biggest store is bigger than
** the page cache may be, and then the disk is in them.
*/
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

enum { SEGMENT = 70, SINGLES = 200, READS = 50, GETS = 2000, LIMIT = 100, LINKED = 1000 };

typedef struct sized {
    const char *path;
    char label[16]; /* "10 M" */
    tycho_store *store;
    workload work;
    workload recent; /* the same into streams that were opened last */
    uint64_t events;
    uint64_t head;
    uint64_t random;
} sized;

typedef struct tools {
    tycho_batch *batch;
    prepared *events;
} tools;

/* ---- the ways: each gives how much it did, and `seconds` when it does not take all the time */

static double append(sized *to, workload *work, tools *with) {
    double seconds = 0;
    for (int i = 0; i < SEGMENT; i++) {
        workload_prepare(work, with->events);
        double start = bench_seconds();
        bench_need(workload_append(to->store, with->batch, with->events), "batches");
        seconds += bench_seconds() - start;
    }
    return seconds;
}

static double random_batches(sized *to, tools *with, double *seconds) {
    *seconds = append(to, &to->work, with);
    return SEGMENT * BATCH;
}

static double recent_batches(sized *to, tools *with, double *seconds) {
    *seconds = append(to, &to->recent, with);
    return SEGMENT * BATCH;
}

/* By the median of them, so that a disk that is late once does not count. */
static double singles(sized *to, tools *with, double *seconds) {
    double times[SINGLES];
    for (size_t i = 0; i < SINGLES; i++) {
        double start = bench_seconds();
        bench_need(workload_append_part(to->store, with->batch, with->events, i, 1), "append");
        times[i] = bench_seconds() - start;
    }
    *seconds = report_quantile(times, SINGLES, 0.5) * SINGLES;
    return SINGLES;
}

static double conditions(sized *to, tools *with, double *seconds) {
    tycho_bytes tag = workload_text("region:0");
    tycho_query_item item = {.tags = &tag, .tag_count = 1};
    tycho_query query = {&item, 1};
    double times[SINGLES];
    for (size_t i = SINGLES; i < 2 * SINGLES; i++) {
        uint64_t head;
        double start = bench_seconds();
        bench_need(tycho_head(to->store, &head), "head");
        tycho_batch_clear(with->batch);
        bench_need(tycho_batch_expect_none(with->batch, &query, head), "condition");
        bench_need(tycho_batch_append(with->batch, with->events->streams[i], TYCHO_EXPECT_ANY,
                                      &with->events->events[i], 1, 0),
                   "append");
        bench_need(tycho_commit(to->store, with->batch, NULL), "condition");
        times[i - SINGLES] = bench_seconds() - start;
    }
    *seconds = report_quantile(times, SINGLES, 0.5) * SINGLES;
    return SINGLES;
}

static uint64_t read_all(sized *to, const tycho_read *what) {
    tycho_cursor *cursor = NULL;
    tycho_event event;
    uint64_t count = 0;
    int status;
    bench_need(tycho_cursor_open(to->store, what, &cursor), "cursor");
    while ((status = tycho_cursor_next(cursor, &event)) == TYCHO_OK) count += event.data.size > 0;
    tycho_cursor_close(cursor);
    bench_need(status == TYCHO_END ? TYCHO_OK : status, "read");
    return count;
}

static double scan(sized *to, tools *with, double *seconds) {
    uint64_t most = to->events / 2;
    tycho_read what = {.size = sizeof what,
                       .flags = TYCHO_READ_FROM_POSITION,
                       .limit = most < 500000 ? most : 500000};
    (void)with, (void)seconds;
    what.from_position = bench_random(&to->random) % (to->head - what.limit);
    return (double)read_all(to, &what);
}

static double backward(sized *to, tools *with, double *seconds) {
    tycho_read what = {.size = sizeof what, .flags = TYCHO_READ_BACKWARD, .limit = LIMIT * READS};
    (void)with, (void)seconds;
    return (double)read_all(to, &what);
}

static uint64_t read_streams(sized *to, const char *kind, uint64_t length, uint32_t order) {
    uint64_t count = 0;
    for (int i = 0; i < READS; i++) {
        char name[32];
        snprintf(name, sizeof name, "%s-%llu", kind,
                 (unsigned long long)(bench_random(&to->random) % (to->events / 2 / length)));
        tycho_read what = {.size = sizeof what,
                           .stream = workload_text(name),
                           .order = order,
                           .limit = order == TYCHO_AS_OF ? LIMIT : 0};
        count += read_all(to, &what);
    }
    return count;
}

static double long_streams(sized *to, tools *with, double *seconds) {
    (void)with, (void)seconds;
    return (double)read_streams(to, "account", 1000, TYCHO_BY_POSITION);
}

static double short_streams(sized *to, tools *with, double *seconds) {
    (void)with, (void)seconds;
    return (double)read_streams(to, "cart", 20, TYCHO_BY_POSITION);
}

static double as_of(sized *to, tools *with, double *seconds) {
    (void)with, (void)seconds;
    return (double)read_streams(to, "account", 1000, TYCHO_AS_OF);
}

/* From a random position on, so that it is not the beginning of the list each time. */
static uint64_t read_query(sized *to, const char *type, const char *tag) {
    tycho_bytes types = workload_text(type ? type : ""), tags = workload_text(tag ? tag : "");
    tycho_query_item item = {
        .types = &types, .type_count = type != NULL, .tags = &tags, .tag_count = tag != NULL};
    tycho_query query = {&item, 1};
    uint64_t count = 0;
    for (int i = 0; i < READS; i++) {
        tycho_read what = {.size = sizeof what,
                           .query = &query,
                           .limit = LIMIT,
                           .flags = TYCHO_READ_FROM_POSITION,
                           .from_position = bench_random(&to->random) % to->head};
        count += read_all(to, &what);
    }
    return count;
}

static double by_type(sized *to, tools *with, double *seconds) {
    (void)with, (void)seconds;
    return (double)read_query(to, "item_added", NULL);
}

static double by_tag(sized *to, tools *with, double *seconds) {
    (void)with, (void)seconds;
    return (double)read_query(to, NULL, "customer:7");
}

static double count_tag(sized *to, tools *with, double *seconds) {
    tycho_bytes tag = workload_text("customer:7");
    tycho_query_item item = {.tags = &tag, .tag_count = 1};
    tycho_query query = {&item, 1};
    tycho_read what = {.size = sizeof what, .query = &query};
    uint64_t count;
    (void)with, (void)seconds;
    bench_need(tycho_count(to->store, &what, &count), "count");
    return (double)count;
}

static void random_id(sized *to, char id[TYCHO_UUID_SIZE]) {
    tycho_read what = {.size = sizeof what,
                       .limit = 1,
                       .flags = TYCHO_READ_FROM_POSITION,
                       .from_position = bench_random(&to->random) % to->head};
    tycho_cursor *cursor = NULL;
    tycho_event event;
    bench_need(tycho_cursor_open(to->store, &what, &cursor), "cursor");
    bench_need(tycho_cursor_next(cursor, &event), "event");
    bench_need(event.id.size == TYCHO_UUID_SIZE ? TYCHO_OK : TYCHO_CORRUPT, "id");
    memcpy(id, event.id.data, TYCHO_UUID_SIZE);
    tycho_cursor_close(cursor);
}

static double by_id(sized *to, tools *with, double *seconds) {
    static char ids[GETS][TYCHO_UUID_SIZE];
    (void)with;
    for (int i = 0; i < GETS; i++) random_id(to, ids[i]);
    double start = bench_seconds();
    for (int i = 0; i < GETS; i++) {
        tycho_bytes id = {ids[i], TYCHO_UUID_SIZE};
        tycho_read what = {
            .size = sizeof what, .flags = TYCHO_READ_BY_IDS, .ids = &id, .id_count = 1};
        read_all(to, &what);
    }
    *seconds = bench_seconds() - start;
    return GETS;
}

static double links(sized *to, tools *with, double *seconds) {
    static char ids[LINKED][TYCHO_UUID_SIZE];
    tycho_bytes views[LINKED];
    for (int i = 0; i < LINKED; i++) {
        random_id(to, ids[i]);
        views[i].data = ids[i];
        views[i].size = TYCHO_UUID_SIZE;
    }
    double start = bench_seconds();
    tycho_batch_clear(with->batch);
    bench_need(tycho_batch_link(with->batch, workload_text("linked"), TYCHO_EXPECT_ANY, views,
                                LINKED, TYCHO_SKIP_DUPLICATES),
               "link");
    bench_need(tycho_commit(to->store, with->batch, NULL), "link");
    *seconds = bench_seconds() - start;
    return LINKED;
}

static const struct way {
    const char *name, *unit;
    double (*measure)(sized *to, tools *with, double *seconds);
} ways[] = {
    {"batches, random streams", "events/s", random_batches},
    {"batches, recent streams", "events/s", recent_batches},
    {"one event", "events/s", singles},
    {"one event, condition on a hot tag", "events/s", conditions},
    {"1,000 random events linked", "links/s", links},
    {"scan of 500,000", "events/s", scan},
    {"the last 5,000 backward", "events/s", backward},
    {"streams of ~1,000", "events/s", long_streams},
    {"streams of ~20", "events/s", short_streams},
    {"as of, 100 of a stream of ~1,000", "events/s", as_of},
    {"by type, 100 of 1 in 8", "events/s", by_type},
    {"by tag, 100 of 1 in 1,000", "events/s", by_tag},
    {"count of a tag, 1 in 1,000", "events/s", count_tag},
    {"random event by id", "gets/s", by_id},
};
enum { WAYS = sizeof ways / sizeof ways[0], DURABLE = 5 }; /* the first write */

/* ---- opening, memory, bytes */

static void opening(sized *to, bool is_biggest) {
    const char *name = report_name("open, %s", to->label);
    double start = bench_seconds();
    tycho_store *store = workload_open(to->path, TYCHO_SYNC_FULL);
    double opened = bench_seconds();
    tycho_store_close(store);
    double closed = bench_seconds();
    report_value(name, "ms", (opened - start) * 1e3);
    report_value(report_name("close, %s", to->label), "ms", (closed - opened) * 1e3);
    if (is_biggest) report_at_most(name, 20);
}

/* Memory of a process of its own, which writes and reads (memory.lua). */
static void memory(const bench *run, sized *to) {
    char events[24], output[600];
    const char *name = report_name("memory of a writer and reader, %s", to->label);
    char *arguments[] = {
        (char *)run->lua, "spec/bench/memory.lua", (char *)to->path, (char *)name, events, NULL};
    snprintf(events, sizeof events, "%llu", (unsigned long long)to->events);
    snprintf(output, sizeof output, "%s", bench_path(run, "memory.txt"));
    if (access("build/lua/tycho/core.so", R_OK) != 0) {
        report_skip(name, "build/lua/tycho/core.so is not there");
    } else if (machine_run(arguments, output, NULL) != 0) {
        report_skip(name, "spec/bench/memory.lua failed");
    } else {
        report_samples(output);
    }
}

static void slope(const char *way, const sized *biggest, const sized *smallest) {
    const char *ratio = report_name("%s, %s / %s", way, biggest->label, smallest->label);
    report_ratio(ratio, report_name("%s, %s", way, biggest->label),
                 report_name("%s, %s", way, smallest->label));
    if (strncmp(way, "batches", strlen("batches")) == 0) report_at_least(ratio, 0.8);
    if (strcmp(way, "memory of a writer and reader") == 0) report_at_most(ratio, 1.2);
}

static void report(const sized *stores, size_t count) {
    for (size_t i = 0; i < WAYS; i++) slope(ways[i].name, &stores[count - 1], &stores[0]);
    slope("memory of a writer and reader", &stores[count - 1], &stores[0]);
}

static void measure_way(const struct way *way, sized *to, tools *with, bool is_noted) {
    double seconds = 0;
    bench_need(tycho_head(to->store, &to->head), "head");
    double start = bench_seconds();
    double count = way->measure(to, with, &seconds);
    if (!(seconds > 0)) seconds = bench_seconds() - start;
    if (!is_noted) return;
    report_value(report_name("%s, %s", way->name, to->label), way->unit, count / seconds);
}

static void open_stores(const bench *run, sized *stores) {
    for (size_t i = 0; i < run->size_count; i++) {
        sized *to = &stores[i];
        workload work = {.streams = MIX_RANDOM,
                         .size = run->sizes[i],
                         .count = run->sizes[i],
                         .random = 600 + i};
        snprintf(to->label, sizeof to->label, "%.3g M", (double)run->sizes[i] / 1e6);
        to->work = to->recent = work;
        to->recent.streams = MIX_RECENT;
        to->recent.random = 650 + i;
        to->events = run->sizes[i];
        to->random = 700 + i;
        to->path = workload_store(run, MIX_RANDOM, (which)(STORE_SIZES + i));
    }
}

static void bytes(sized *stores, size_t count) {
    for (size_t i = 0; i < count; i++) {
        tycho_stats stats = {.size = sizeof stats};
        tycho_store *store = workload_open(stores[i].path, TYCHO_SYNC_FULL);
        bench_need(tycho_stats_get(store, &stats), "stats");
        tycho_store_close(store);
        index_sizes(stores[i].path, stores[i].label, stats.events, false);
    }
}

/* The first round is not noted: it fills the page cache. */
void sizes_bench(const bench *run) {
    sized stores[SIZES_MAX] = {0};
    tools with = {.events = malloc(sizeof *with.events)};
    bench_need_system(with.events != NULL, "memory");
    bench_need(tycho_batch_create(&with.batch), "batch");
    open_stores(run, stores);
    report_section("HOW IT GOES WITH THE SIZE OF THE STORE");
    for (uint32_t round = 0; round <= run->rounds; round++) {
        for (size_t i = 0; i < run->size_count; i++) {
            stores[i].store = workload_open(stores[i].path, TYCHO_SYNC_FULL);
        }
        for (size_t way = 0; way < WAYS; way++) {
            if (way < DURABLE) machine_settle(run);
            for (size_t i = 0; i < run->size_count; i++) {
                measure_way(&ways[way], &stores[i], &with, round > 0);
            }
        }
        for (size_t i = 0; i < run->size_count; i++) tycho_store_close(stores[i].store);
        for (size_t i = 0; i < run->size_count && round > 0; i++) {
            opening(&stores[i], i + 1 == run->size_count);
            memory(run, &stores[i]);
        }
    }
    report(stores, run->size_count);
    bytes(stores, run->size_count);
    tycho_batch_destroy(with.batch);
    free(with.events);
}
