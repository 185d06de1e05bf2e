/* batch_fuzz.c - any bytes as a batch, whose checksum is made right. What is decoded encodes to the
** same bytes, and is committed to a store that lives for many inputs: whatever the batches were,
** the store must verify clean. (Builds for tests settle every few events by themselves.)
*/
#include <stdio.h>
#include <stdlib.h>

#include "batch.h"

enum { INPUTS_A_STORE = 2000, INPUTS_A_PROOF = 257, CHECKSUM = 8 };

static tycho_store *store;
static tycho_batch *batch;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool is_true, const char *what) {
    if (is_true) return;
    fprintf(stderr, "%s: %s\n", what, tycho_error());
    abort();
}

static void prove_store(void) {
    tycho_verification *verification;
    tycho_finding finding;
    int status = TYCHO_OK;
    require(tycho_verification_open(store, &verification) == TYCHO_OK, "verification");
    while (status == TYCHO_OK) {
        status = tycho_verification_step(verification, &finding);
        if (finding.text.size == 0) continue;
        fprintf(stderr, "%.*s\n", (int)finding.text.size, (const char *)finding.text.data);
    }
    require(status == TYCHO_END && finding.findings == 0, "the store is damaged");
    tycho_verification_close(verification);
}

static void close_store(void) {
    if (store == NULL) return;
    prove_store();
    tycho_store_close(store);
    tycho_batch_destroy(batch);
    store = NULL;
}

static void open_store(void) {
    const tycho_options options = {.size = sizeof options,
                                   .mode = TYCHO_TEMPORARY,
                                   .sync = TYCHO_SYNC_NONE,
                                   .map_size = 1u << 30,
                                   .reserve_size = 1};
    require(tycho_store_open(NULL, &options, &store) == TYCHO_OK, "opening");
    require(tycho_batch_create(&batch) == TYCHO_OK, "a batch");
}

/* What a batch may be refused with. Anything else is a fault of the store. */
static bool is_refusal(int status) {
    switch (status) {
    case TYCHO_MISUSE:
    case TYCHO_WRONG_EXPECTED_VERSION:
    case TYCHO_CONDITION_FAILED:
    case TYCHO_DUPLICATE_EVENT:
    case TYCHO_DUPLICATE_ENTRY:
    case TYCHO_EVENT_NOT_FOUND:
    case TYCHO_ENTRY_NOT_FOUND:
    case TYCHO_TOO_LARGE:
    case TYCHO_DENIED: /* the name is closed */
        return true;
    default:
        return false;
    }
}

static void commit_batch(tycho_bytes bytes) {
    const tycho_receipt *receipt;
    tycho_bytes after;
    uint64_t before = 0, head = 0;
    require(tycho_head(store, &before) == TYCHO_OK, "the head");
    int status = tycho_commit(store, batch, &receipt);
    require(tycho_head(store, &head) == TYCHO_OK, "the head");
    if (status == TYCHO_OK) {
        require(receipt->head == head, "the head of the receipt");
        require(receipt->is_replay || receipt->event_count == head - before, "its events");
        require(receipt->result_count == batch->operation_count, "its results");
    } else {
        bool is_empty = batch->operation_count + batch->condition_count == 0;
        require(is_refusal(status), tycho_status_code(status));
        require(head == before, "a refused batch changed the head");
        require(is_empty || receipt->sequence == 0, "a refused batch has a sequence");
    }
    require(tycho_batch_encode(batch, &after) == TYCHO_OK, "encoding");
    require(tycho__equal(after, bytes), "a commit changed the batch");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static unsigned inputs;
    tycho_bytes again;
    uint8_t *bytes = malloc(size + CHECKSUM);
    if (bytes == NULL) return 0;
    if (inputs == 0) atexit(close_store);
    if (inputs++ % INPUTS_A_STORE == 0) {
        close_store();
        open_store();
    }
    if (size > 0) memcpy(bytes, data, size);
    tycho__store64(bytes + size, tycho__hash(bytes, size, 0));
    tycho_bytes whole = {bytes, size + CHECKSUM};
    int status = tycho_batch_decode(batch, whole);
    require(status == TYCHO_OK || status == TYCHO_CORRUPT || status == TYCHO_NEWER_FORMAT ||
                status == TYCHO_TOO_LARGE,
            "decoding");
    require(tycho_batch_encode(batch, &again) == TYCHO_OK, "encoding");
    if (status == TYCHO_OK) {
        require(tycho__equal(again, whole), "it does not encode to the same bytes");
        commit_batch(whole);
    }
    free(bytes);
    if (inputs % INPUTS_A_PROOF == 0) prove_store();
    return 0;
}
