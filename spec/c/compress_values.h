/* compress_values.h - events that look like JSON, and stores that compress them. To be included
** behind cmocka.h.
*/
#ifndef TYCHO_SPEC_COMPRESS_VALUES_H
#define TYCHO_SPEC_COMPRESS_VALUES_H

#include "apply.h"
#include "cursor.h"
#include "store_fixture.h"

enum { FILLED = 400 };

/* The data of the n-th event: the same for the same n. */
static inline size_t data_of(unsigned n, char to[512]) {
    static const char *const cities[] = {"Copenhagen", "Prague", "Uraniborg", "Knutstorp"};
    return (size_t)snprintf(
        to, 512,
        "{\"order_id\":\"order-%06u\",\"customer\":{\"number\":%u,\"city\":\"%s\"},\"lines\":"
        "[{\"article\":\"A-%u\",\"quantity\":%u,\"price\":{\"amount\":%u,\"currency\":\"DKK\"}}],"
        "\"status\":\"placed\",\"shipping\":{\"method\":\"parcel\",\"insured\":%s},"
        "\"secret\":\"%08x%08x\"}",
        n, n * 7919 % 100003, cities[n % 4], n * 31 % 997, n % 9 + 1, n * 131 % 50000,
        n % 2 == 0 ? "true" : "false", n * 2654435761u, ~n * 2246822519u);
}

static inline size_t metadata_of(unsigned n, char to[512]) {
    return (size_t)snprintf(to, 512, "{\"user\":\"u%u\",\"request\":\"web/orders/new\"}", n % 50);
}

/* Appends the events first to last of that numbering to the stream "orders", 100 to a batch. */
static inline void fill(tycho_store *store, unsigned first, unsigned last) {
    char data[512], metadata[512], id[32];
    tycho_batch *batch;
    ASSERT_STATUS(tycho_batch_create(&batch), TYCHO_OK);
    for (unsigned n = first; n <= last; n++) {
        snprintf(id, sizeof id, "event-%u", n);
        const tycho_new_event event = {.id = text(id),
                                       .type = text("order.placed"),
                                       .metadata = bytes_of(metadata, metadata_of(n, metadata)),
                                       .data = bytes_of(data, data_of(n, data))};
        ASSERT_STATUS(tycho_batch_append(batch, text("orders"), TYCHO_EXPECT_ANY, &event, 1, 0),
                      TYCHO_OK);
        if (n % 100 != 0 && n != last) continue;
        ASSERT_STATUS(tycho_commit(store, batch, NULL), TYCHO_OK);
        tycho_batch_clear(batch);
    }
    tycho_batch_destroy(batch);
}

static inline void assert_is(const tycho_event *event, unsigned n) {
    char data[512], metadata[512];
    assert_bytes(event->data, bytes_of(data, data_of(n, data)));
    assert_bytes(event->metadata, bytes_of(metadata, metadata_of(n, metadata)));
}

/* Reads the log, whose events are numbered like their positions. */
static inline void assert_log(tycho_store *store, tycho_snapshot *snapshot, unsigned count) {
    const tycho_read read = {.size = sizeof read, .snapshot = snapshot};
    tycho_cursor *cursor;
    tycho_event event;
    unsigned n = 0;
    int status;
    ASSERT_STATUS(tycho_cursor_open(store, &read, &cursor), TYCHO_OK);
    for (status = tycho_cursor_next(cursor, &event); status == TYCHO_OK;
         status = tycho_cursor_next(cursor, &event)) {
        assert_is(&event, ++n);
    }
    ASSERT_STATUS(status, TYCHO_END);
    assert_int_equal(n, count);
    tycho_cursor_close(cursor);
}

static inline void learn(tycho_store *store) {
    uint32_t percent;
    ASSERT_STATUS(tycho_compress(store, 0, &percent), TYCHO_OK);
    assert_in_range(percent, 1, 50);
}

/* How many records are compressed, and the bytes that they and the others have. */
typedef struct stored {
    unsigned compressed, plain;
    size_t compressed_size, plain_size;
} stored;

static inline stored count_stored(tycho_store *store) {
    stored counts = {0, 0, 0, 0};
    tycho__txn *txn;
    ASSERT_STATUS(tycho__txn_read(store->env, &txn), TYCHO_OK);
    for (uint64_t position = 1; position <= txn->state.head; position++) {
        tycho__event_view event;
        ASSERT_STATUS(tycho__event_load(txn, position, &event), TYCHO_OK);
        bool is_compressed = (event.flags & TYCHO__COMPRESSED) != 0;
        *(is_compressed ? &counts.compressed : &counts.plain) += 1;
        *(is_compressed ? &counts.compressed_size : &counts.plain_size) += event.body.size;
    }
    tycho__txn_done(txn);
    return counts;
}

static inline tycho_stats stats_of(tycho_store *store) {
    tycho_stats stats = {.size = sizeof stats};
    ASSERT_STATUS(tycho_stats_get(store, &stats), TYCHO_OK);
    return stats;
}

/* Closes and opens the store, so that nothing is known of its dictionaries. */
static inline void reopen(fixture *f) {
    tycho_store_close(f->store);
    ASSERT_STATUS(open_store(f->path, TYCHO_EXISTING, &f->store), TYCHO_OK);
}

/* How many things a verification finds. */
static inline uint64_t count_findings(tycho_store *store) {
    tycho_verification *verification;
    tycho_finding finding = {.findings = 0};
    int status = tycho_verification_open(store, &verification);
    while (status == TYCHO_OK) status = tycho_verification_step(verification, &finding);
    tycho_verification_close(verification);
    ASSERT_STATUS(status, TYCHO_END);
    return finding.findings;
}

/* Removes one copy of dictionary 1, past all batches; the count of rows is then wrong. */
static inline void remove_copy(tycho_store *store, uint8_t copy) {
    const uint8_t rest[2] = {1, copy};
    uint8_t key[TYCHO__ROW_KEY_MAX];
    uint32_t table;
    tycho__txn txn;
    ASSERT_STATUS(tycho__txn_write(store->env, TYCHO_SYNC_NONE, &txn), TYCHO_OK);
    ASSERT_STATUS(tycho__list_find(&txn, TYCHO__ROW_TABLE, tycho__dictionaries(), &table),
                  TYCHO_OK);
    size_t size = tycho__row_key(key, table, bytes_of(rest, sizeof rest));
    ASSERT_STATUS(tycho__remove(&txn, TYCHO__ROWS, bytes_of(key, size)), TYCHO_OK);
    txn.state.rows--;
    ASSERT_STATUS(tycho__txn_commit(&txn), TYCHO_OK);
}

#endif
