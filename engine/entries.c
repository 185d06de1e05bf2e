/* entries.c - blocks of entries: their bytes, and finding entries in them; layout in list.h. */
#include "list.h"
#include "recent.h"

/* ---------------------------------------------------------------- bytes */

size_t tycho__block_encode(uint8_t *to, const uint64_t *values, uint32_t count) {
    uint8_t *at = to;
    uint64_t before = 0;
    for (uint32_t i = 0; i < count; i++) {
        at = tycho__entry_encode(at, values[i], before);
        if (values[i] != 0) before = values[i] >> 1;
    }
    return (size_t)(at - to);
}

static int corrupt_block(void) {
    return tycho__fail(TYCHO_CORRUPT, "a block of stream entries is damaged; `tycho verify` tells "
                                      "what is hurt");
}

int tycho__block_decode(tycho_bytes bytes, uint64_t *values, uint32_t count) {
    const uint8_t *at = bytes.data, *end = at + bytes.size;
    uint64_t before = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t code = 0;
        unsigned shift = 0;
        uint8_t byte;
        do {
            if (at == end || shift > 63) return corrupt_block();
            byte = *at++;
            code |= (uint64_t)(byte & 0x7f) << shift;
            shift += 7;
        } while (byte >= 0x80);
        uint64_t zigzag = code >> 1;
        uint64_t delta = zigzag >> 1 ^ (0 - (zigzag & 1));
        values[i] = zigzag == 0 ? 0 : (before + delta) << 1 | (code & 1);
        if (zigzag != 0) before += delta;
    }
    return at == end ? TYCHO_OK : corrupt_block();
}

static uint64_t block_seed(const tycho__list *list, uint64_t base) {
    return ((uint64_t)list->kind << 32 | list->number) ^ base << 8;
}

int tycho__block_read(const tycho__list *list, uint64_t base, tycho_bytes value, uint64_t *values,
                      uint32_t *count) {
    const uint8_t *row = value.data;
    if (value.size <= TYCHO__BLOCK_HEAD) return corrupt_block();
    uint32_t checksum = (uint32_t)tycho__hash(row + 4, value.size - 4, block_seed(list, base));
    *count = tycho__load16(row + 4);
    if (checksum != tycho__load32(row) || *count == 0 || *count > TYCHO__BLOCK) {
        return corrupt_block();
    }
    tycho_bytes entries = {row + TYCHO__BLOCK_HEAD, value.size - TYCHO__BLOCK_HEAD};
    return tycho__block_decode(entries, values, *count);
}

int tycho__block_write(tycho__txn *txn, const tycho__list *list, uint64_t base,
                       const uint64_t *values, uint32_t count) {
    uint8_t entries[TYCHO__BLOCK_SIZE_MAX];
    size_t size = tycho__block_encode(entries, values, count);
    return tycho__block_put(txn, list, base, tycho__bytes(entries, size), count);
}

int tycho__block_put(tycho__txn *txn, const tycho__list *list, uint64_t base, tycho_bytes entries,
                     uint32_t count) {
    uint8_t key[TYCHO__BLOCK_KEY], row[TYCHO__BLOCK_HEAD + TYCHO__BLOCK_SIZE_MAX];
    size_t size = TYCHO__BLOCK_HEAD + entries.size;
    assert(count > 0 && count <= TYCHO__BLOCK && size <= sizeof row);
    tycho__block_key(key, list, base);
    tycho__store16(row + 4, (uint16_t)count);
    tycho__copy(row + TYCHO__BLOCK_HEAD, entries);
    tycho__store32(row, (uint32_t)tycho__hash(row + 4, size - 4, block_seed(list, base)));
    return tycho__put(txn, TYCHO__BLOCKS, tycho__bytes(key, sizeof key), tycho__bytes(row, size));
}

bool tycho__is_block_of(const tycho__list *list, tycho_bytes key) {
    uint8_t prefix[TYCHO__LIST_KEY];
    tycho__list_key(prefix, list->kind, list->number);
    return key.size == TYCHO__BLOCK_KEY && memcmp(key.data, prefix, sizeof prefix) == 0;
}

int tycho__block_seek(tycho__txn *txn, const tycho__list *list, uint64_t ordinal, uint64_t *base,
                      tycho_bytes *value) {
    uint8_t wanted[TYCHO__BLOCK_KEY];
    tycho__block_key(wanted, list, ordinal);
    tycho_bytes key = {wanted, sizeof wanted};
    int status = tycho__seek_back(txn, TYCHO__BLOCKS, &key, value);
    if (status != TYCHO_OK) return status;
    if (!tycho__is_block_of(list, key)) return TYCHO_NOT_FOUND;
    *base = tycho__unkey64((const uint8_t *)key.data + TYCHO__LIST_KEY);
    return TYCHO_OK;
}

/* ---------------------------------------------------------------- finding */

void tycho__entries_begin(tycho__entries *entries, tycho__txn *txn, const tycho__list *list) {
    entries->txn = txn;
    entries->list = *list;
    entries->count = 0;
    entries->boundary = list->kind == TYCHO__STREAM
                            ? list->next - list->recent
                            : tycho__recent_begin(txn, list->kind, list->number);
}

static uint64_t ordinal_at(const tycho__entries *e, uint32_t index) {
    return e->list.kind == TYCHO__STREAM ? e->base + index : e->values[index] >> 1;
}

static uint64_t last_ordinal(const tycho__entries *e) {
    assert(e->count > 0);
    return ordinal_at(e, e->count - 1);
}

static bool is_loaded(const tycho__entries *e, uint64_t ordinal) {
    return e->count > 0 && ordinal >= e->base && ordinal <= last_ordinal(e);
}

static int load_tail(tycho__entries *e) {
    e->base = e->list.tail_base;
    e->count = e->list.tail_count;
    tycho_bytes tail = {e->list.tail, e->list.tail_size};
    int status = tycho__block_decode(tail, e->values, e->count);
    if (status != TYCHO_OK) e->count = 0;
    return status;
}

static int load_block(tycho__entries *e, uint64_t base, tycho_bytes value) {
    e->base = base;
    int status = tycho__block_read(&e->list, base, value, e->values, &e->count);
    if (status != TYCHO_OK) e->count = 0;
    return status;
}

/* Loads a run of recent entries: from the ordinal on, or up to it. TYCHO_END. */
static int load_recent(tycho__entries *e, uint64_t ordinal, bool forward) {
    tycho__recent_run run;
    _Static_assert((int)TYCHO__RUN <= (int)TYCHO__BLOCK, "a run is loaded like a block");
    tycho__recent_wanted wanted = {e->list.kind, e->list.number, forward, ordinal};
    tycho__recent_find(e->txn, &wanted, &run);
    e->count = run.count;
    if (e->count == 0) return TYCHO_END;
    e->base = run.base;
    memcpy(e->values, run.values, run.count * sizeof run.values[0]);
    return TYCHO_OK;
}

/* Loads the block that has the ordinal, or else the next one behind it. TYCHO_END. */
static int load_from(tycho__entries *e, uint64_t ordinal) {
    const tycho__list *list = &e->list;
    if (list->count == list->recent) ordinal = ordinal > e->boundary ? ordinal : e->boundary;
    if (ordinal >= e->boundary) return load_recent(e, ordinal, true);
    if (list->tail_count > 0 && ordinal >= list->tail_base) return load_tail(e);
    uint64_t base;
    tycho_bytes key, value;
    int status = tycho__block_seek(e->txn, list, ordinal, &base, &value);
    if (status == TYCHO_OK) {
        status = load_block(e, base, value);
        if (status != TYCHO_OK || ordinal <= last_ordinal(e)) return status;
    } else if (status != TYCHO_NOT_FOUND) {
        return status;
    }
    uint8_t wanted[TYCHO__BLOCK_KEY];
    tycho__block_key(wanted, list, ordinal);
    key = tycho__bytes(wanted, sizeof wanted);
    e->count = 0;
    status = tycho__seek(e->txn, TYCHO__BLOCKS, &key, &value);
    if (status == TYCHO_OK && tycho__is_block_of(list, key)) {
        return load_block(e, tycho__unkey64((const uint8_t *)key.data + TYCHO__LIST_KEY), value);
    }
    if (status != TYCHO_OK && status != TYCHO_NOT_FOUND) return status;
    return list->tail_count > 0 ? load_tail(e) : load_recent(e, e->boundary, true);
}

static void give(const tycho__entries *e, uint32_t index, tycho__entry *entry) {
    entry->ordinal = ordinal_at(e, index);
    entry->position = e->values[index] >> 1;
    entry->is_link = (e->values[index] & 1) != 0;
}

/* The index of the first entry in the loaded block that is not before the ordinal. */
static uint32_t index_from(const tycho__entries *e, uint64_t ordinal) {
    if (ordinal <= e->base) return 0;
    if (e->list.kind == TYCHO__STREAM) return (uint32_t)(ordinal - e->base);
    uint32_t low = 0, high = e->count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (e->values[middle] >> 1 < ordinal) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

int tycho__entries_from(tycho__entries *e, uint64_t ordinal, tycho__entry *entry) {
    for (;;) {
        if (!is_loaded(e, ordinal)) {
            int status = load_from(e, ordinal);
            if (status != TYCHO_OK) return status;
        }
        for (uint32_t i = index_from(e, ordinal); i < e->count; i++) {
            if (e->values[i] == 0) continue;
            give(e, i, entry);
            return TYCHO_OK;
        }
        uint64_t last = last_ordinal(e);
        bool is_tail = e->list.tail_count > 0 && e->base == e->list.tail_base;
        if (ordinal <= last) ordinal = last + 1;
        if (is_tail && ordinal < e->boundary) ordinal = e->boundary;
    }
}

/* Loads the last block that begins at or before the ordinal. TYCHO_END. */
static int load_back(tycho__entries *e, uint64_t ordinal) {
    const tycho__list *list = &e->list;
    if (ordinal >= e->boundary) {
        int status = load_recent(e, ordinal, false);
        if (status != TYCHO_END || e->boundary == 0) return status;
        ordinal = e->boundary - 1;
    }
    if (list->tail_count > 0 && ordinal >= list->tail_base) return load_tail(e);
    uint64_t base;
    tycho_bytes value;
    e->count = 0;
    int status = tycho__block_seek(e->txn, list, ordinal, &base, &value);
    if (status == TYCHO_NOT_FOUND) return TYCHO_END;
    return status == TYCHO_OK ? load_block(e, base, value) : status;
}

int tycho__entries_back(tycho__entries *e, uint64_t ordinal, tycho__entry *entry) {
    for (;;) {
        if (!is_loaded(e, ordinal)) {
            int status = load_back(e, ordinal);
            if (status != TYCHO_OK) return status;
        }
        uint32_t i = ordinal >= last_ordinal(e) ? e->count : index_from(e, ordinal + 1);
        while (i > 0) {
            i--;
            if (e->values[i] == 0) continue;
            give(e, i, entry);
            return TYCHO_OK;
        }
        if (e->base == 0) return TYCHO_END;
        ordinal = e->base - 1;
    }
}

uint32_t tycho__entries_ahead(const tycho__entries *e, uint64_t ordinal, bool forward,
                              uint64_t *positions, uint32_t most) {
    uint32_t count = 0;
    if (!is_loaded(e, ordinal)) return 0;
    int64_t i = forward ? index_from(e, ordinal) : (int64_t)index_from(e, ordinal + 1) - 1;
    for (; i >= 0 && i < e->count && count < most; i += forward ? 1 : -1) {
        if (e->values[i] != 0) positions[count++] = e->values[i] >> 1;
    }
    return count;
}
