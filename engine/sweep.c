/* sweep.c - removing what deleted streams left behind, in slices.
**
** Deleting a stream frees its name and marks its list; its blocks and the rows of its links stay,
** unreachable, because the number is never used again. Each later commit sweeps a slice, so that
** deleting a stream of any size costs the same.
*/
#include "apply.h"
#include "ways.h"

/* Removes the links that one block, or the tail, of the stream names. */
static int sweep_values(tycho__txn *txn, uint32_t number, const uint64_t *values, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        if (values[i] == 0 || (values[i] & 1) == 0) continue;
        int status = tycho__ways_remove(txn, values[i] >> 1, number);
        if (status == TYCHO_NOT_FOUND) {
            return tycho__fail(TYCHO_CORRUPT, "a link at position %llu has no row",
                               (unsigned long long)(values[i] >> 1));
        }
        if (status != TYCHO_OK) return status;
        txn->state.links--;
    }
    return TYCHO_OK;
}

/* One block of the stream, the first that is left. TYCHO_NOT_FOUND when there is none. */
static int sweep_block(tycho__txn *txn, const tycho__list *stream) {
    uint8_t wanted[TYCHO__BLOCK_KEY], found[TYCHO__BLOCK_KEY];
    uint64_t values[TYCHO__BLOCK];
    uint32_t count;
    tycho_bytes value, key = {wanted, sizeof wanted};
    tycho__block_key(wanted, stream, 0);
    int status = tycho__seek(txn, TYCHO__BLOCKS, &key, &value);
    if (status != TYCHO_OK) return status;
    if (!tycho__is_block_of(stream, key)) return TYCHO_NOT_FOUND;
    memcpy(found, key.data, sizeof found);
    uint64_t base = tycho__unkey64(found + TYCHO__LIST_KEY);
    status = tycho__block_read(stream, base, value, values, &count);
    if (status == TYCHO_OK) status = sweep_values(txn, stream->number, values, count);
    if (status != TYCHO_OK) return status;
    return tycho__remove(txn, TYCHO__BLOCKS, tycho__bytes(found, sizeof found));
}

/* The tail, which is last; then the stream is swept. */
static int sweep_tail(tycho__txn *txn, uint32_t number) {
    tycho__list *stream;
    uint64_t values[TYCHO__BLOCK];
    uint8_t key[4];
    int status = tycho__list_edit(txn, TYCHO__STREAM, number, &stream);
    if (status != TYCHO_OK) return status;
    status = tycho__block_decode(tycho__bytes(stream->tail, stream->tail_size), values,
                                 stream->tail_count);
    if (status == TYCHO_OK) status = sweep_values(txn, number, values, stream->tail_count);
    if (status != TYCHO_OK) return status;
    stream->tail_count = 0;
    stream->tail_size = 0;
    stream->count = 0;
    tycho__list_touch(txn, stream);
    txn->state.garbage--;
    tycho__key32(key, number);
    return tycho__remove(txn, TYCHO__GARBAGE, tycho__bytes(key, sizeof key));
}

int tycho__sweep(tycho__txn *txn, uint32_t limit) {
    for (uint32_t done = 0; txn->state.garbage > 0 && done < limit; done += TYCHO__BLOCK) {
        tycho_bytes key = {NULL, 0}, value;
        tycho__list stream;
        int status = tycho__seek(txn, TYCHO__GARBAGE, &key, &value);
        if (status == TYCHO_NOT_FOUND || (status == TYCHO_OK && key.size != 4)) {
            return tycho__fail(TYCHO_CORRUPT, "the list of deleted streams is damaged");
        }
        if (status != TYCHO_OK) return status;
        uint32_t number = tycho__unkey32(key.data);
        status = tycho__list_read(txn, TYCHO__STREAM, number, &stream);
        if (status == TYCHO_OK) status = sweep_block(txn, &stream);
        if (status == TYCHO_NOT_FOUND) status = sweep_tail(txn, number);
        if (status != TYCHO_OK) return status;
    }
    return TYCHO_OK;
}
