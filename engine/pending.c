/* pending.c - rows of links that are not settled; see pending.h. */
#include "pending.h"

#include <stdlib.h>

enum { HEAD = 26 };

int tycho__pending_write(tycho__txn *txn) {
    tycho__pending *row = txn->pending;
    uint8_t key[8], bytes[HEAD + TYCHO__BLOCK_SIZE_MAX];
    if (row == NULL || row->count == 0) return TYCHO_OK;
    tycho__key64(key, row->link);
    tycho__store16(bytes + 4, (uint16_t)row->count);
    tycho__store32(bytes + 6, row->stream);
    tycho__store64(bytes + 10, row->head);
    tycho__store64(bytes + 18, row->revision);
    size_t size = HEAD + tycho__block_encode(bytes + HEAD, row->values, row->count);
    tycho__store32(bytes, (uint32_t)tycho__hash(bytes + 4, size - 4, row->link));
    row->count = 0;
    return tycho__put(txn, TYCHO__PENDING, tycho__bytes(key, sizeof key),
                      tycho__bytes(bytes, size));
}

/* Whether the next link may share the row that is being gathered. */
static bool goes_on(const tycho__txn *txn, const tycho__pending *row, uint32_t stream,
                    uint64_t revision) {
    return row->count < TYCHO__BLOCK && row->stream == stream && row->head == txn->state.head &&
           row->revision + row->count == revision;
}

int tycho__pending_add(tycho__txn *txn, uint32_t stream, uint64_t revision, uint64_t position) {
    tycho__pending *row = txn->pending;
    if (row == NULL) {
        row = txn->pending = calloc(1, sizeof *row);
        if (row == NULL) return tycho__fail(TYCHO_NO_MEMORY, "no memory for links");
    }
    if (row->count > 0 && !goes_on(txn, row, stream, revision)) {
        int status = tycho__pending_write(txn);
        if (status != TYCHO_OK) return status;
    }
    if (row->count == 0) {
        row->link = txn->state.links_made;
        row->head = txn->state.head;
        row->revision = revision;
        row->stream = stream;
    }
    assert(row->link + row->count == txn->state.links_made);
    row->values[row->count++] = position << 1 | 1;
    return TYCHO_OK;
}

int tycho__pending_parse(tycho_bytes key, tycho_bytes value, tycho__pending *row) {
    const uint8_t *from = value.data;
    if (key.size != 8 || value.size <= HEAD) {
        return tycho__fail(TYCHO_CORRUPT, "a row of table pending has %zu and %zu bytes", key.size,
                           value.size);
    }
    row->link = tycho__unkey64(key.data);
    row->count = tycho__load16(from + 4);
    uint32_t checksum = (uint32_t)tycho__hash(from + 4, value.size - 4, row->link);
    if (checksum != tycho__load32(from) || row->count == 0 || row->count > TYCHO__BLOCK) {
        return tycho__fail(TYCHO_CORRUPT, "the row of link %llu in table pending is damaged",
                           (unsigned long long)row->link);
    }
    row->stream = tycho__load32(from + 6);
    row->head = tycho__load64(from + 10);
    row->revision = tycho__load64(from + 18);
    return tycho__block_decode(tycho__bytes(from + HEAD, value.size - HEAD), row->values,
                               row->count);
}

int tycho__pending_read(tycho__txn *txn, uint64_t link, tycho__pending *row) {
    uint8_t wanted[8];
    tycho_bytes key = {wanted, sizeof wanted}, value;
    tycho__key64(wanted, link);
    int status = tycho__get(txn, TYCHO__PENDING, key, &value);
    if (status == TYCHO_OK) return tycho__pending_parse(key, value, row);
    if (status != TYCHO_NOT_FOUND) return status;
    return tycho__fail(TYCHO_CORRUPT, "link %llu is not in table pending",
                       (unsigned long long)link);
}

int tycho__pending_remove(tycho__txn *txn, uint64_t link, uint64_t count) {
    uint64_t end = link + count;
    while (link < end) {
        tycho__pending row;
        uint8_t key[8];
        int status = tycho__pending_read(txn, link, &row);
        if (status != TYCHO_OK) return status;
        tycho__key64(key, link);
        status = tycho__remove(txn, TYCHO__PENDING, tycho__bytes(key, sizeof key));
        if (status != TYCHO_OK) return status;
        link += row.count;
    }
    if (link == end) return TYCHO_OK;
    return tycho__fail(TYCHO_CORRUPT, "link %llu is in the middle of a row of table pending",
                       (unsigned long long)end);
}

int tycho__pending_count(tycho__txn *txn, uint64_t *count) {
    tycho_bytes key = {NULL, 0}, value;
    *count = 0;
    int status = tycho__seek(txn, TYCHO__PENDING, &key, &value);
    while (status == TYCHO_OK) {
        tycho__pending row;
        status = tycho__pending_parse(key, value, &row);
        if (status != TYCHO_OK) return status;
        *count += row.count;
        status = tycho__next(txn, TYCHO__PENDING, &key, &value);
    }
    return status == TYCHO_NOT_FOUND ? TYCHO_OK : status;
}
