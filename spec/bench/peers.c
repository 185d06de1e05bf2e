/* peers.c - Tycho and its peers at the same work, in turns: one durable event by one client and by
** 16 at once, batches of 1,000, reading a stream of 10,000 events, replaying all that there is in
** the reader's own language, and linking that stream into a new one where there are links.
**
** All of them get the same events. Who is best among them is seen round by round.
*/
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "peers.h"

enum { CLIENTS = 16, BATCHES = 10, READS = 5, FILL = 40000 };

enum { TYCHO, SQLITE, POSTGRES, REDIS, NATS, EMMETT_SQLITE, EMMETT_POSTGRES, PEERS };

static peer *peers[PEERS] = {&peer_tycho, &peer_sqlite, &peer_postgres, &peer_redis, &peer_nats};

static const struct {
    const char *title, *name, *unit;
} works[WORK_COUNT] = {
    {"PEERS: ONE DURABLE EVENT, 1 CLIENT", "1 client", "events/s"},
    {"PEERS: ONE DURABLE EVENT EACH, 16 CLIENTS", "16 clients", "events/s"},
    {"PEERS: DURABLE BATCHES OF 1,000", "batches of 1,000", "events/s"},
    {"PEERS: READING A STREAM OF 10,000 EVENTS", "10,000-event stream", "events/s"},
    {"PEERS: REPLAYING ALL, TYPES COUNTED", "replay", "events/s"},
    {"PEERS: LINKING 10,000 EVENTS, DURABLE", "10,000 links", "links/s"},
};

typedef struct contest {
    const bench *run;
    prepared *events;
    bool is_there[PEERS];
    void *clients[PEERS][CLIENTS];
    const peer *now; /* whose turn it is */
    void **with;     /* its clients */
    unsigned links;
} contest;

void peer_need(bool is_done, const char *who, const char *why) {
    if (!is_done) bench_fail(who, why);
}

static const char *figure(work_kind kind, const char *name) {
    return report_name("%s: %s", works[kind].name, name);
}

/* ---- the works */

static bool append_one(void *context, size_t client, size_t number) {
    contest *all = context;
    return all->now->append(all->with[client], all->events, (client * 61 + number) % BATCH, 1,
                            NULL);
}

static void singles(contest *all, work_kind kind, const char *name) {
    crowd clients = {.name = name,
                     .count = kind == WORK_ONE ? 1 : CLIENTS,
                     .is_brief = true,
                     .seconds = all->run->full ? 2 : 0.5,
                     .context = all,
                     .request = append_one};
    crowd_run(&clients);
}

static uint64_t batches(contest *all) {
    for (int i = 0; i < BATCHES; i++) {
        peer_need(all->now->append(all->with[0], all->events, 0, BATCH, NULL), all->now->name,
                  "a batch failed");
    }
    return BATCHES * BATCH;
}

static uint64_t reads(contest *all) {
    uint64_t count = 0;
    for (int i = 0; i < READS; i++) count += all->now->read(all->with[0], WORK_READ);
    peer_need(count == READS * LONG_STREAM, all->now->name, "the long stream is not whole");
    return count;
}

static uint64_t links(contest *all) {
    peer_need(all->now->link_long(all->with[0], all->links++), all->now->name, "linking failed");
    return LONG_STREAM;
}

static void timed(contest *all, work_kind kind, const char *name) {
    double start = bench_seconds();
    uint64_t count = kind == WORK_BATCHES ? batches(all)
                     : kind == WORK_READ  ? reads(all)
                     : kind == WORK_LINK  ? links(all)
                                          : all->now->read(all->with[0], WORK_REPLAY);
    report_value(name, works[kind].unit, (double)count / (bench_seconds() - start));
}

static bool is_own_work(const peer *one, work_kind kind) {
    return one->append == NULL || (kind == WORK_REPLAY && one->work != NULL);
}

static void measure_one(contest *all, size_t index, work_kind kind) {
    peer *one = peers[index];
    const char *name = figure(kind, one->name);
    if (kind == WORK_LINK && one->link_long == NULL) return;
    report_section(works[kind].title);
    all->now = one;
    all->with = all->clients[index];
    if (kind <= WORK_BATCHES || kind == WORK_LINK) machine_settle(all->run);
    if (is_own_work(one, kind)) {
        if (!one->work(one, all->run, kind, name)) report_skip(name, "it failed at this work");
    } else if (kind <= WORK_MANY) {
        singles(all, kind, name);
    } else {
        timed(all, kind, name);
    }
}

/* ---- the best of them */

typedef bool (*chooser)(const peer *one);

static bool is_durable(const peer *one) {
    return one != &peer_tycho && one->is_durable;
}

static bool is_event_store(const peer *one) {
    return one != &peer_tycho && one->is_event_store;
}

static void against_best(const contest *all, work_kind kind, chooser choose, const char *what,
                         double target) {
    const char *names[PEERS + 1] = {NULL};
    size_t count = 0;
    for (size_t i = 0; i < PEERS; i++) {
        if (all->is_there[i] && choose(peers[i])) names[count++] = figure(kind, peers[i]->name);
    }
    const char *best = report_name("%s: best %s", works[kind].name, what);
    const char *ratio = report_name("%s: Tycho / best %s", works[kind].name, what);
    report_best(best, names);
    report_ratio(ratio, figure(kind, "Tycho"), best);
    if (target > 0) report_at_least(ratio, target);
    if (count == 0) report_skip(best, "no such peer is there");
    if (count == 0) report_skip(ratio, "no such peer is there");
}

static void against_sqlite(const contest *all, work_kind kind) {
    const char *ratio = report_name("%s: Tycho / SQLite in C", works[kind].name);
    report_ratio(ratio, figure(kind, "Tycho"), figure(kind, "SQLite in C"));
    if (kind == WORK_READ) report_at_least(ratio, 1);
    if (!all->is_there[SQLITE]) report_skip(ratio, "SQLite is not there");
}

static void report(const contest *all) {
    for (work_kind kind = 0; kind < WORK_COUNT; kind++) {
        report_section(works[kind].title);
        if (kind == WORK_ONE) against_best(all, kind, is_durable, "durable peer", 0);
        if (kind == WORK_MANY) against_best(all, kind, is_durable, "durable peer", 2);
        if (kind == WORK_BATCHES) against_best(all, kind, is_durable, "durable peer", 3);
        if (kind == WORK_READ) against_best(all, kind, is_event_store, "event store", 5);
        if (kind == WORK_REPLAY) against_best(all, kind, is_event_store, "event store", 5);
        if (kind != WORK_REPLAY) against_sqlite(all, kind);
    }
}

/* ---- all of it */

static void fill(contest *all, size_t index) {
    const peer *one = peers[index];
    void *client = all->clients[index][0];
    uint64_t count = all->run->full ? 4 * FILL : FILL;
    if (all->run->small < FILL) count = all->run->small;
    for (uint64_t at = 0; at < LONG_STREAM; at += BATCH) {
        peer_need(one->append(client, all->events, 0, BATCH, "long"), one->name, "filling failed");
    }
    for (uint64_t at = LONG_STREAM; at < count; at += BATCH) {
        peer_need(one->append(client, all->events, 0, BATCH, NULL), one->name, "filling failed");
    }
}

static void start_one(contest *all, size_t index) {
    peer *one = peers[index];
    bench_progress(one->name);
    bool is_left_out = bench_has_name(all->run->without, one->name);
    const char *reason = is_left_out           ? "left out (--without)"
                         : one->absent != NULL ? one->absent
                                               : one->start(one, all->run);
    if (reason != NULL) fprintf(stderr, "      skipped: %s\n", reason);
    all->is_there[index] = reason == NULL;
    for (work_kind kind = 0; kind < WORK_COUNT; kind++) {
        if (kind == WORK_LINK && one->link_long == NULL) continue;
        report_section(works[kind].title);
        report_skip(figure(kind, one->name), reason);
    }
    if (reason != NULL || one->append == NULL) return;
    for (size_t i = 0; i < CLIENTS; i++) all->clients[index][i] = one->connect();
    fill(all, index);
}

static void stop_one(contest *all, size_t index) {
    peer *one = peers[index];
    if (!all->is_there[index]) return;
    for (size_t i = 0; i < CLIENTS && one->append != NULL; i++) {
        one->disconnect(all->clients[index][i]);
    }
    if (one->stop != NULL) one->stop();
}

void peers_bench(const bench *run) {
    workload work = {.streams = MIX_RANDOM, .size = run->small, .random = 400};
    contest *all = calloc(1, sizeof *all);
    bench_need_system(all != NULL, "memory");
    all->run = run;
    all->events = malloc(sizeof *all->events);
    bench_need_system(all->events != NULL, "memory");
    workload_prepare(&work, all->events);
    peers[EMMETT_SQLITE] = peer_emmett_sqlite;
    peers[EMMETT_POSTGRES] = peer_emmett_postgres;
    for (size_t i = 0; i < PEERS; i++) start_one(all, i);
    for (uint32_t round = 0; round < run->rounds; round++) {
        for (work_kind kind = 0; kind < WORK_COUNT; kind++) {
            workload_prepare(&work, all->events);
            for (size_t i = 0; i < PEERS; i++) {
                if (all->is_there[i]) measure_one(all, i, kind);
            }
        }
    }
    report(all);
    for (size_t i = PEERS; i-- > 0;) stop_one(all, i);
    free(all->events);
    free(all);
}
