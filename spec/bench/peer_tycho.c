/* peer_tycho.c - Tycho at the work of the peers: one store, shared by all clients.
**
** Replaying is measured in Lua (replay.lua), as users fold events.
*/
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "peers.h"

static tycho_store *store;
static char path[600];

static const char *start(peer *self, const bench *run) {
    (void)self;
    snprintf(path, sizeof path, "%s", bench_path(run, "peer-tycho"));
    store = workload_open(path, TYCHO_SYNC_FULL);
    return NULL;
}

static void stop(void) {
    tycho_store_close(store);
}

static void *connect_to(void) {
    tycho_batch *batch = NULL;
    bench_need(tycho_batch_create(&batch), "batch");
    return batch;
}

static void disconnect(void *client) {
    tycho_batch_destroy(client);
}

static bool append(void *client, const prepared *events, size_t first, size_t count,
                   const char *stream) {
    tycho_batch *batch = client;
    if (stream == NULL) return workload_append_part(store, batch, events, first, count) == TYCHO_OK;
    tycho_batch_clear(batch);
    int status = tycho_batch_append(batch, workload_text(stream), TYCHO_EXPECT_ANY,
                                    events->events + first, count, 0);
    return status == TYCHO_OK && tycho_commit(store, batch, NULL) == TYCHO_OK;
}

/* Only the stream "long": see work(). */
static uint64_t read_all(void *client, work_kind kind) {
    tycho_read what = {.size = sizeof what, .stream = workload_text("long")};
    tycho_cursor *cursor = NULL;
    tycho_event event;
    uint64_t count = 0, seen = 0;
    (void)client, (void)kind;
    bench_need(tycho_cursor_open(store, &what, &cursor), "cursor");
    while (tycho_cursor_next(cursor, &event) == TYCHO_OK) {
        seen += ((const uint8_t *)event.data.data)[DATA_SIZE - 1] + (uint64_t)event.time;
        count++;
    }
    tycho_cursor_close(cursor);
    bench_need(seen > 0 ? TYCHO_OK : TYCHO_NOT_FOUND, "read");
    return count;
}

static bool link_long(void *client, unsigned number) {
    tycho_batch *batch = client;
    const char *name = report_name("linked-%u", number);
    tycho_batch_clear(batch);
    int status = tycho_batch_link_range(batch, workload_text("long"), 0, LONG_STREAM - 1,
                                        workload_text(name), TYCHO_EXPECT_NONE, 0);
    return status == TYCHO_OK && tycho_commit(store, batch, NULL) == TYCHO_OK;
}

static bool work(peer *self, const bench *run, work_kind kind, const char *name) {
    char output[600];
    char *arguments[] = {(char *)run->lua, "spec/bench/replay.lua", path, (char *)name, NULL};
    (void)self, (void)kind;
    if (access("build/lua/tycho/core.so", R_OK) != 0) {
        report_skip(name, "build/lua/tycho/core.so is not there");
        return true;
    }
    snprintf(output, sizeof output, "%s", bench_path(run, "replay.txt"));
    if (machine_run(arguments, output, NULL) != 0) return false;
    report_samples(output);
    return true;
}

peer peer_tycho = {.name = "Tycho",
                   .is_durable = true,
                   .is_event_store = true,
                   .stop = stop,
                   PEER_FUNCTIONS,
                   .link_long = link_long,
                   .work = work};
