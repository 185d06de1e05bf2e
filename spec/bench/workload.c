/* workload.c - the events that every family writes and reads, and the stores filled with them.
**
** Half of the events of a store go to streams of about 20 events ("cart-N"), half to streams of
** about 1,000 ("account-N"). MIX_RANDOM takes any of them, which dirties as many pages as can be;
** MIX_RECENT one of those opened last, as orders and sessions do; MIX_SAME any of those of the
** small store, whatever the size of this one. The data is a MessagePack map {customer, amount,
** currency, note} of DATA_SIZE bytes.
*/
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bench.h"

enum { SHORT_STREAM = 20, LONG_STREAM = 1000, FILL_BATCH = 1000 };

static const char *const types[TYPES] = {"order_placed", "order_paid", "order_shipped",
                                         "order_cancelled", "item_added", "item_removed",
                                         "address_changed", "note_written"};

tycho_bytes workload_text(const char *text) {
    tycho_bytes bytes = {text, strlen(text)};
    return bytes;
}

static uint64_t pick_stream(workload *work, uint64_t length, uint64_t window) {
    uint64_t opened = work->count / 2 / length + 1; /* streams of this kind so far */
    uint64_t all = work->size / 2 / length + 1;
    if (work->streams != MIX_RECENT) return bench_random(&work->random) % all;
    if (opened > window) return opened - 1 - bench_random(&work->random) % window;
    return bench_random(&work->random) % opened;
}

static void fill_data(uint8_t *data, uint64_t number, uint64_t amount) {
    static const uint8_t head[] = "\x84\xa8" "customer\xa8";
    static const uint8_t tail[] = "\xa8" "currency\xa3" "EUR\xa4" "note\xd9";
    enum { AMOUNT = sizeof head - 1 + 8, TAIL = AMOUNT + 12, NOTE = TAIL + sizeof tail };
    char customer[9];
    memcpy(data, head, sizeof head - 1);
    snprintf(customer, sizeof customer, "%08u", (unsigned)(number % 100000000));
    memcpy(data + sizeof head - 1, customer, 8);
    memcpy(data + AMOUNT, "\xa6" "amount\xce", 8);
    for (int i = 0; i < 4; i++) data[AMOUNT + 8 + i] = (uint8_t)(amount >> (24 - 8 * i));
    memcpy(data + TAIL, tail, sizeof tail - 1);
    data[NOTE - 1] = DATA_SIZE - NOTE;
    for (int i = NOTE; i < DATA_SIZE; i++) data[i] = (uint8_t)('a' + (number + (uint64_t)i) % 26);
}

void workload_prepare(workload *work, prepared *batch) {
    for (size_t i = 0; i < BATCH; i++, work->count++) {
        uint64_t random = bench_random(&work->random);
        tycho_new_event *event = &batch->events[i];
        bool is_long = work->count % 2 == 1;
        uint64_t stream = pick_stream(work, is_long ? LONG_STREAM : SHORT_STREAM,
                                      is_long ? 10 : 100);
        snprintf(batch->names[i][0], 24, "%s-%llu", is_long ? "account" : "cart",
                 (unsigned long long)stream);
        snprintf(batch->names[i][1], 24, "region:%u", (unsigned)(random % HOT_TAGS));
        snprintf(batch->names[i][2], 24, "customer:%u", (unsigned)(random / 64 % TAGS));
        fill_data(batch->data[i], random / 64 % TAGS, (random >> 32) % 1000000);
        memset(event, 0, sizeof *event);
        batch->streams[i] = workload_text(batch->names[i][0]);
        batch->tags[i][0] = workload_text(batch->names[i][1]);
        batch->tags[i][1] = workload_text(batch->names[i][2]);
        event->type = workload_text(types[random / 32 % TYPES]);
        event->tags = batch->tags[i];
        event->tag_count = 2;
        event->data.data = batch->data[i];
        event->data.size = DATA_SIZE;
    }
}

int workload_append(tycho_store *store, tycho_batch *batch, const prepared *events) {
    return workload_append_part(store, batch, events, 0, BATCH);
}

int workload_append_part(tycho_store *store, tycho_batch *batch, const prepared *events,
                         size_t first, size_t count) {
    tycho_batch_clear(batch);
    for (size_t i = first; i < first + count; i++) {
        int status = tycho_batch_append(batch, events->streams[i], TYCHO_EXPECT_ANY,
                                        &events->events[i], 1, 0);
        if (status != TYCHO_OK) return status;
    }
    return tycho_commit(store, batch, NULL);
}

tycho_store *workload_open(const char *path, uint32_t sync) {
    tycho_options options = {.size = sizeof options, .sync = sync};
    tycho_store *store = NULL;
    bench_need(tycho_store_open(path, &options, &store), path);
    return store;
}

static void fill(const char *path, mix streams, uint64_t size, uint64_t spread) {
    workload work = {.streams = streams, .size = spread, .random = 1};
    tycho_store *store = workload_open(path, TYCHO_SYNC_NONE);
    tycho_batch *batch = NULL;
    prepared *events = malloc(sizeof *events);
    bench_need_system(events != NULL, "memory");
    bench_need(tycho_batch_create(&batch), "batch");
    while (work.count < size) {
        workload_prepare(&work, events);
        bench_need(workload_append(store, batch, events), "filling a store");
    }
    bench_need(tycho_store_sync(store), "sync");
    tycho_batch_destroy(batch);
    tycho_store_close(store);
    free(events);
}

uint64_t workload_spread(const bench *run, mix streams, which size) {
    return workload_size(run, streams == MIX_SAME ? STORE_SMALL : size);
}

uint64_t workload_size(const bench *run, which size) {
    if (size >= STORE_SIZES) return run->sizes[size - STORE_SIZES];
    return size == STORE_BIG ? run->big : run->small;
}

const char *workload_store(const bench *run, mix streams, which size) {
    static char paths[3][STORE_SIZES + SIZES_MAX][600];
    static const char *const mixes[3] = {"random", "recent", "same"};
    uint64_t events = workload_size(run, size);
    char name[64], what[80];
    if (size >= STORE_SIZES && events == run->big) size = STORE_BIG;
    if (size >= STORE_SIZES && events == run->small) size = STORE_SMALL;
    char *path = paths[streams][size];
    if (path[0] != '\0') return path;
    snprintf(name, sizeof name, "%s-%llu", mixes[streams], (unsigned long long)events);
    snprintf(path, 600, "%s", bench_path(run, name));
    snprintf(what, sizeof what, "filling a store, %s streams, %llu events", mixes[streams],
             (unsigned long long)events);
    bench_progress(what);
    double start = bench_seconds();
    fill(path, streams, events, workload_spread(run, streams, size));
    snprintf(what, sizeof what, "fill, unsynced, %s", name);
    const char *before = report_section("LIMITS OF THE MACHINE AND OF LMDB ALONE");
    report_value(what, "events/s", (double)events / (bench_seconds() - start));
    report_section(before);
    return path;
}
