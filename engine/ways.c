/* ways.c - rows of the ways back from events to streams; see ways.h. */
#include "ways.h"

enum { KEY = 12, FIRST = 16, FURTHER = 20, ROW_MAX = FIRST + (TYCHO__ROW_WAYS - 1) * FURTHER };

static void set_key(uint8_t key[KEY], uint64_t position, uint32_t stream) {
    tycho__key64(key, position);
    tycho__key32(key + 8, stream);
}

int tycho__ways_put(tycho__txn *txn, const tycho__ways *ways) {
    uint8_t key[KEY], row[ROW_MAX];
    assert(ways->count > 0 && ways->count <= TYCHO__ROW_WAYS);
    set_key(key, ways->position, ways->all[0].stream);
    tycho__store64(row, ways->all[0].revision);
    tycho__store64(row + 8, ways->all[0].link);
    uint8_t *to = row + FIRST;
    for (uint32_t i = 1; i < ways->count; i++, to += FURTHER) {
        tycho__store32(to, ways->all[i].stream);
        tycho__store64(to + 4, ways->all[i].revision);
        tycho__store64(to + 12, ways->all[i].link);
    }
    return tycho__put_behind(txn, TYCHO__LINKS, tycho__bytes(key, sizeof key),
                             tycho__bytes(row, (size_t)(to - row)));
}

int tycho__ways_parse(tycho_bytes key, tycho_bytes value, tycho__ways *ways) {
    const uint8_t *from = value.data;
    if (key.size != KEY || value.size < FIRST || value.size > ROW_MAX ||
        (value.size - FIRST) % FURTHER != 0) {
        return tycho__fail(TYCHO_CORRUPT, "a row of links has %zu and %zu bytes", key.size,
                           value.size);
    }
    ways->position = tycho__unkey64(key.data);
    ways->count = 1 + (uint32_t)((value.size - FIRST) / FURTHER);
    ways->all[0].stream = tycho__unkey32((const uint8_t *)key.data + 8);
    ways->all[0].revision = tycho__load64(from);
    ways->all[0].link = tycho__load64(from + 8);
    from += FIRST;
    for (uint32_t i = 1; i < ways->count; i++, from += FURTHER) {
        ways->all[i].stream = tycho__load32(from);
        ways->all[i].revision = tycho__load64(from + 4);
        ways->all[i].link = tycho__load64(from + 12);
    }
    return TYCHO_OK;
}

/* The first row of an event, or the next one. TYCHO_NOT_FOUND when there is none. */
static int read_row(tycho__txn *txn, uint64_t position, bool is_first, tycho__ways *ways) {
    uint8_t wanted[KEY];
    tycho_bytes key = {wanted, sizeof wanted}, value;
    set_key(wanted, position, 0);
    int status = is_first ? tycho__seek(txn, TYCHO__LINKS, &key, &value)
                          : tycho__next(txn, TYCHO__LINKS, &key, &value);
    if (status == TYCHO_OK) status = tycho__ways_parse(key, value, ways);
    if (status != TYCHO_OK) return status;
    return ways->position == position ? TYCHO_OK : TYCHO_NOT_FOUND;
}

int tycho__ways_copy(tycho__txn *txn, uint64_t position, tycho__way *to, size_t most,
                     size_t *count) {
    tycho__ways ways;
    *count = 0;
    int status = read_row(txn, position, true, &ways);
    while (status == TYCHO_OK) {
        for (uint32_t i = 0; i < ways.count; i++, ++*count) {
            if (*count < most) to[*count] = ways.all[i];
        }
        status = read_row(txn, position, false, &ways);
    }
    return status == TYCHO_NOT_FOUND ? TYCHO_OK : status;
}

/* The row that has the way, and its place there. */
static int find(tycho__txn *txn, uint64_t position, uint32_t stream, tycho__ways *ways,
                uint32_t *place) {
    int status = read_row(txn, position, true, ways);
    while (status == TYCHO_OK) {
        for (*place = 0; *place < ways->count; ++*place) {
            if (ways->all[*place].stream == stream) return TYCHO_OK;
        }
        status = read_row(txn, position, false, ways);
    }
    return status;
}

int tycho__ways_find(tycho__txn *txn, uint64_t position, uint32_t stream, tycho__way *way) {
    tycho__ways ways;
    uint32_t place;
    int status = find(txn, position, stream, &ways, &place);
    if (status == TYCHO_OK) *way = ways.all[place];
    return status;
}

int tycho__ways_remove(tycho__txn *txn, uint64_t position, uint32_t stream) {
    tycho__ways ways;
    uint32_t place;
    uint8_t key[KEY];
    int status = find(txn, position, stream, &ways, &place);
    if (status != TYCHO_OK) return status;
    set_key(key, position, ways.all[0].stream);
    ways.count--;
    for (uint32_t i = place; i < ways.count; i++) ways.all[i] = ways.all[i + 1];
    if (place == 0) status = tycho__remove(txn, TYCHO__LINKS, tycho__bytes(key, sizeof key));
    return status == TYCHO_OK && ways.count > 0 ? tycho__ways_put(txn, &ways) : status;
}
