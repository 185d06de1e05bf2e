/* pending.c - rows of links that are not settled; see pending.h. */
#include "pending.h"

#include <stdlib.h>

#include "buffer.h"

enum {
    HEAD = 14,
    OLD_HEAD = 26,
    HAS_RUNS = 0x8000,
    ROW_MAX = HEAD + TYCHO__PENDING_MOST * 4 * TYCHO__VARINT_MAX,
    HALF_PAGE = 1900,
    RUN = 6, /* bytes that are reckoned for a run, and for each of its links */
    LINK = 3
};

/* ---------------------------------------------------------------- writing */

/* How many links from `i` on are of one stream and follow each other. */
static uint32_t run_of(const tycho__pending *row, uint32_t i) {
    uint32_t count = 1;
    while (i + count < row->count && row->all[i + count].stream == row->all[i].stream &&
           row->all[i + count].revision == row->all[i].revision + count) {
        count++;
    }
    return count;
}

static uint8_t *put_runs(uint8_t *to, const tycho__pending *row) {
    uint64_t before = 0;
    for (uint32_t i = 0; i < row->count;) {
        uint32_t end = i + run_of(row, i);
        to = tycho__put_varint(to, row->all[i].stream);
        to = tycho__put_varint(to, row->all[i].revision);
        to = tycho__put_varint(to, end - i);
        for (; i < end; i++) {
            to = tycho__put_varint(to, tycho__zigzag(row->all[i].position - before));
            before = row->all[i].position;
        }
    }
    return to;
}

int tycho__pending_write(tycho__txn *txn) {
    tycho__pending *row = txn->pending;
    uint8_t key[8], bytes[ROW_MAX];
    if (row == NULL || row->count == 0) return TYCHO_OK;
    tycho__key64(key, row->link);
    tycho__store16(bytes + 4, (uint16_t)(row->count | HAS_RUNS));
    tycho__store64(bytes + 6, row->head);
    size_t size = (size_t)(put_runs(bytes + HEAD, row) - bytes);
    tycho__store32(bytes, (uint32_t)tycho__hash(bytes + 4, size - 4, row->link));
    row->count = 0;
    return tycho__put(txn, TYCHO__PENDING, tycho__bytes(key, sizeof key),
                      tycho__bytes(bytes, size));
}

/* The row that is being gathered, with room for a run of one link at least, of which `first` is the
** number. */
static int open_row(tycho__txn *txn, uint64_t first, tycho__pending **out) {
    tycho__pending *row = txn->pending;
    if (row == NULL) {
        row = txn->pending = calloc(1, sizeof *row);
        if (row == NULL) return tycho__fail(TYCHO_NO_MEMORY, "no memory for links");
    }
    bool is_full = row->count == TYCHO__PENDING_MOST || row->left < RUN + LINK;
    if (row->count > 0 && (is_full || row->head != txn->state.head)) {
        int status = tycho__pending_write(txn);
        if (status != TYCHO_OK) return status;
    }
    if (row->count == 0) {
        row->link = first;
        row->head = txn->state.head;
        row->left = HALF_PAGE;
    }
    assert(row->link + row->count == first);
    *out = row;
    return TYCHO_OK;
}

/* Whether the link goes on with the last run of the row. */
static bool goes_on(const tycho__pending *row, uint32_t stream, uint64_t revision) {
    if (row->count == 0) return false;
    const tycho__pending_link *last = &row->all[row->count - 1];
    return last->stream == stream && last->revision + 1 == revision;
}

int tycho__pending_add(tycho__txn *txn, uint32_t stream, uint64_t revision,
                       const uint64_t *positions, uint32_t count) {
    for (uint32_t i = 0; i < count;) {
        tycho__pending *row = NULL;
        int status = open_row(txn, txn->state.links_made + 1 + i, &row);
        if (status != TYCHO_OK) return status;
        if (!goes_on(row, stream, revision + i)) row->left -= RUN;
        uint32_t room = row->left / LINK;
        if (room > TYCHO__PENDING_MOST - row->count) room = TYCHO__PENDING_MOST - row->count;
        uint32_t end = count - i < room ? count : i + room;
        tycho__pending_link *to = &row->all[row->count];
        row->count += end - i;
        row->left -= (end - i) * LINK;
        for (; i < end; i++) *to++ = (tycho__pending_link){positions[i], revision + i, stream};
    }
    txn->state.links_made += count;
    return TYCHO_OK;
}

/* ---------------------------------------------------------------- reading */

/* The runs of a row. False when they are not as many links as it has. */
static bool read_runs(tycho_bytes bytes, tycho__pending *row) {
    tycho__reader reader = tycho__reader_of(bytes);
    uint64_t position = 0;
    for (uint32_t i = 0; i < row->count;) {
        uint64_t stream = tycho__read_varint(&reader), revision = tycho__read_varint(&reader);
        uint64_t count = tycho__read_varint(&reader);
        if (reader.bad || count == 0 || count > row->count - i || stream > UINT32_MAX) return false;
        for (; count > 0; count--, revision++, i++) {
            position += tycho__unzigzag(tycho__read_varint(&reader));
            row->all[i] = (tycho__pending_link){position, revision, (uint32_t)stream};
        }
    }
    return !reader.bad && tycho__reader_left(&reader) == 0;
}

/* The one run of a row of format 1. */
static bool read_old(tycho_bytes value, tycho__pending *row) {
    uint64_t values[TYCHO__BLOCK];
    const uint8_t *from = value.data;
    if (value.size <= OLD_HEAD || row->count > TYCHO__BLOCK) return false;
    row->head = tycho__load64(from + 10);
    tycho_bytes entries = {from + OLD_HEAD, value.size - OLD_HEAD};
    if (tycho__block_decode(entries, values, row->count) != TYCHO_OK) return false;
    for (uint32_t i = 0; i < row->count; i++) {
        row->all[i] = (tycho__pending_link){values[i] >> 1, tycho__load64(from + 18) + i,
                                            tycho__load32(from + 6)};
    }
    return true;
}

static int damaged(uint64_t link) {
    return tycho__fail(TYCHO_CORRUPT, "the row of link %llu in table pending is damaged",
                       (unsigned long long)link);
}

/* All of a row but its links. */
static int parse_head(tycho_bytes key, tycho_bytes value, tycho__pending *row) {
    const uint8_t *from = value.data;
    if (key.size != 8 || value.size <= HEAD) {
        return tycho__fail(TYCHO_CORRUPT, "a row of table pending has %zu and %zu bytes", key.size,
                           value.size);
    }
    row->link = tycho__unkey64(key.data);
    row->count = tycho__load16(from + 4) & ~(uint32_t)HAS_RUNS;
    row->head = tycho__load64(from + 6);
    uint32_t checksum = (uint32_t)tycho__hash(from + 4, value.size - 4, row->link);
    bool is_right = checksum == tycho__load32(from) && row->count > 0 &&
                    row->count <= TYCHO__PENDING_MOST;
    return is_right ? TYCHO_OK : damaged(row->link);
}

int tycho__pending_parse(tycho_bytes key, tycho_bytes value, tycho__pending *row) {
    const uint8_t *from = value.data;
    int status = parse_head(key, value, row);
    if (status != TYCHO_OK) return status;
    bool has_runs = (tycho__load16(from + 4) & HAS_RUNS) != 0;
    tycho_bytes runs = {from + HEAD, value.size - HEAD};
    bool is_right = has_runs ? read_runs(runs, row) : read_old(value, row);
    return is_right ? TYCHO_OK : damaged(row->link);
}

static int find_row(tycho__txn *txn, uint64_t link, tycho_bytes *value) {
    uint8_t wanted[8];
    tycho__key64(wanted, link);
    int status = tycho__get(txn, TYCHO__PENDING, tycho__bytes(wanted, sizeof wanted), value);
    if (status != TYCHO_NOT_FOUND) return status;
    return tycho__fail(TYCHO_CORRUPT, "link %llu is not in table pending",
                       (unsigned long long)link);
}

int tycho__pending_read(tycho__txn *txn, uint64_t link, tycho__pending *row) {
    uint8_t key[8];
    tycho_bytes value;
    tycho__key64(key, link);
    int status = find_row(txn, link, &value);
    return status == TYCHO_OK ? tycho__pending_parse(tycho__bytes(key, sizeof key), value, row)
                              : status;
}

int tycho__pending_remove(tycho__txn *txn, uint64_t link, uint64_t count) {
    uint64_t end = link + count;
    while (link < end) {
        tycho__pending row;
        uint8_t bytes[8];
        tycho_bytes key = {bytes, sizeof bytes}, value;
        tycho__key64(bytes, link);
        int status = find_row(txn, link, &value);
        if (status == TYCHO_OK) status = parse_head(key, value, &row);
        if (status == TYCHO_OK) status = tycho__remove(txn, TYCHO__PENDING, key);
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
