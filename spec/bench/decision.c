/* decision.c - a decision as in dcb.events: reads the events of one course by their tag, decides,
** and appends one on the condition that there is no newer one; against a plain append of the same
** event, in turns, durable. And what checking such a condition costs in a tag of many events.
**
** Each of COURSES courses has 50 events. The long tag is on every event of a store of its own.
*/
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"

enum { COURSES = 2000, EVENTS = 50, BLOCK = 50, TURNS = 4, SAMPLES = BLOCK * TURNS };
enum { CHECKS = 2000, CHECK_BATCH = 5000, RARE_EVENTS = 10 };

typedef struct deciding {
    tycho_store *store;
    tycho_batch *batch;
    prepared *events;
    uint64_t random;
    double times[2][SAMPLES];
} deciding;

static tycho_new_event of_tag(const deciding *to, tycho_bytes *tag, size_t number) {
    tycho_new_event event = to->events->events[number % BATCH];
    event.tags = tag;
    event.tag_count = 1;
    return event;
}

static void fill(deciding *to) {
    char names[COURSES][24];
    tycho_bytes tags[COURSES];
    for (size_t i = 0; i < COURSES; i++) {
        snprintf(names[i], sizeof names[i], "course:%zu", i);
        tags[i] = workload_text(names[i]);
    }
    for (size_t number = 0; number < EVENTS; number++) {
        tycho_batch_clear(to->batch);
        for (size_t i = 0; i < COURSES; i++) {
            tycho_new_event event = of_tag(to, &tags[i], number + i);
            bench_need(tycho_batch_append(to->batch, tags[i], TYCHO_EXPECT_ANY, &event, 1, 0),
                       "append");
        }
        bench_need(tycho_commit(to->store, to->batch, NULL), "courses");
    }
}

/* The last position of the course's events, all of which are looked at. */
static uint64_t read_model(deciding *to, const tycho_query *query) {
    tycho_read what = {.size = sizeof what, .query = query};
    tycho_cursor *cursor = NULL;
    tycho_event event;
    uint64_t last = 0, count = 0;
    bench_need(tycho_cursor_open(to->store, &what, &cursor), "cursor");
    while (tycho_cursor_next(cursor, &event) == TYCHO_OK) {
        last = event.position;
        count += event.data.size > 0;
    }
    tycho_cursor_close(cursor);
    bench_need(count >= EVENTS ? TYCHO_OK : TYCHO_NOT_FOUND, "events of a course");
    return last;
}

static double decide(deciding *to, bool is_plain) {
    char name[24];
    snprintf(name, sizeof name, "course:%u", (unsigned)(bench_random(&to->random) % COURSES));
    tycho_bytes tag = workload_text(name);
    tycho_query_item item = {.tags = &tag, .tag_count = 1};
    tycho_query query = {&item, 1};
    tycho_new_event event = of_tag(to, &tag, (size_t)to->random);
    double start = bench_seconds();
    tycho_batch_clear(to->batch);
    if (!is_plain) {
        uint64_t last = read_model(to, &query);
        bench_need(tycho_batch_expect_none(to->batch, &query, last), "condition");
    }
    bench_need(tycho_batch_append(to->batch, tag, TYCHO_EXPECT_ANY, &event, 1, 0), "append");
    bench_need(tycho_commit(to->store, to->batch, NULL), "decision");
    return (bench_seconds() - start) * 1e6;
}

static void decision_round(deciding *to) {
    for (int turn = 0; turn < TURNS; turn++) {
        for (int plain = 0; plain < 2; plain++) {
            for (int i = 0; i < BLOCK; i++) {
                to->times[plain][turn * BLOCK + i] = decide(to, plain == 1);
            }
        }
    }
    report_value("plain append", "us", report_quantile(to->times[1], SAMPLES, 0.5));
    report_value("read 50 events of a course and append", "us",
                 report_quantile(to->times[0], SAMPLES, 0.5));
}

/* ---- a tag of many events */

/* The rare tag is on events of its own, so that nothing has both. */
static void fill_long(tycho_store *store, tycho_batch *batch, uint64_t count) {
    tycho_bytes tag = workload_text("all"), rare = workload_text("rare");
    tycho_new_event event = {.type = workload_text("t"), .tags = &rare, .tag_count = 1};
    for (uint64_t i = 0; i < RARE_EVENTS; i++) {
        tycho_batch_clear(batch);
        bench_need(tycho_batch_append(batch, workload_text(""), TYCHO_EXPECT_ANY, &event, 1, 0),
                   "append");
        bench_need(tycho_commit(store, batch, NULL), "filling a tag");
    }
    event.tags = &tag;
    for (uint64_t at = 0; at < count; at += CHECK_BATCH) {
        tycho_batch_clear(batch);
        for (size_t i = 0; i < CHECK_BATCH; i++) {
            bench_need(tycho_batch_append(batch, workload_text(""), TYCHO_EXPECT_ANY, &event, 1, 0),
                       "append");
        }
        bench_need(tycho_commit(store, batch, NULL), "filling a tag");
    }
}

typedef enum check { NOTHING, AT_HEAD, WITH_RARE, REFUSED, CHECK_COUNT } check;

static void add_condition(tycho_batch *batch, check what, uint64_t head) {
    tycho_bytes tags[2] = {workload_text("all"), workload_text("rare")};
    tycho_query_item item = {.tags = tags, .tag_count = what == WITH_RARE ? 2 : 1};
    tycho_query query = {&item, 1};
    if (what == NOTHING) return;
    bench_need(tycho_batch_expect_none(batch, &query, what == AT_HEAD ? head : 0), "condition");
}

static double check_once(tycho_store *store, tycho_batch *batch, check what, uint64_t *head) {
    tycho_bytes tag = workload_text("all");
    tycho_new_event event = {.type = workload_text("t"), .tags = &tag, .tag_count = 1};
    const tycho_receipt *receipt;
    tycho_batch_clear(batch);
    add_condition(batch, what, *head);
    bench_need(tycho_batch_append(batch, workload_text(""), TYCHO_EXPECT_ANY, &event, 1, 0),
               "append");
    double start = bench_seconds();
    int status = tycho_commit(store, batch, &receipt);
    double seconds = bench_seconds() - start;
    if (status == TYCHO_OK) *head = receipt->head;
    bench_need(status == (what == REFUSED ? TYCHO_CONDITION_FAILED : TYCHO_OK) ? 0 : status,
               "condition");
    return seconds * 1e6;
}

static void check_round(tycho_store *store, tycho_batch *batch) {
    static const char *const names[CHECK_COUNT] = {
        "append, no condition", "append, condition on the tag, after the head",
        "append, on the tag and a rare one, after 0", "refused, on the tag, after 0"};
    static double times[CHECK_COUNT][CHECKS];
    uint64_t head;
    bench_need(tycho_head(store, &head), "head");
    for (int i = 0; i < CHECKS; i++) {
        for (int what = 0; what < CHECK_COUNT; what++) {
            times[what][i] = check_once(store, batch, (check)what, &head);
        }
    }
    double without = report_quantile(times[NOTHING], CHECKS, 0.5);
    for (int what = 0; what < CHECK_COUNT; what++) {
        report_value(names[what], "us", report_quantile(times[what], CHECKS, 0.5));
    }
    report_value("condition check, after the head", "us",
                 report_quantile(times[AT_HEAD], CHECKS, 0.5) - without);
    report_value("condition check, with a rare tag, after 0", "us",
                 report_quantile(times[WITH_RARE], CHECKS, 0.5) - without);
    report_at_most("condition check, after the head", 20);
    report_at_most("condition check, with a rare tag, after 0", 20);
    report_at_most(names[REFUSED], 20);
}

static void long_tag(const bench *run, tycho_batch *batch) {
    static char title[80];
    uint64_t count = run->sizes[1];
    tycho_store *store = workload_open(bench_path(run, "long-tag"), TYCHO_SYNC_NONE);
    bench_progress("filling a tag");
    fill_long(store, batch, count);
    snprintf(title, sizeof title, "A CONDITION ON A TAG OF %.3g M EVENTS, UNSYNCED",
             (double)count / 1e6);
    report_section(title);
    for (uint32_t round = 0; round < run->rounds; round++) check_round(store, batch);
    tycho_store_close(store);
    bench_remove(bench_path(run, "long-tag"));
}

void decision_bench(const bench *run) {
    workload work = {.streams = MIX_RANDOM, .size = run->small, .random = 202};
    deciding *to = calloc(1, sizeof *to);
    bench_need_system(to != NULL, "memory");
    to->events = malloc(sizeof *to->events);
    bench_need_system(to->events != NULL, "memory");
    workload_prepare(&work, to->events);
    bench_need(tycho_batch_create(&to->batch), "batch");
    to->store = workload_open(bench_path(run, "courses"), TYCHO_SYNC_NONE);
    fill(to);
    bench_need(tycho_store_sync(to->store), "sync");
    tycho_store_close(to->store);
    to->store = workload_open(bench_path(run, "courses"), TYCHO_SYNC_FULL);
    report_section("A DECISION ON A COURSE OF 50 EVENTS, DURABLE");
    for (uint32_t round = 0; round < run->rounds; round++) {
        machine_settle(run);
        decision_round(to);
    }
    report_ratio("decision, rate / plain append", "plain append",
                 "read 50 events of a course and append");
    report_at_least("decision, rate / plain append", 0.8);
    long_tag(run, to->batch);
    tycho_store_close(to->store);
    tycho_batch_destroy(to->batch);
    free(to->events);
    free(to);
}
