/* ids.c - rows of ids; see ids.h. */
#include "ids.h"

#include "buffer.h"
#include "place.h"

enum {
    UUID = TYCHO__UUID_BYTES,
    KEY = 1 + UUID,
    ALONE = 8, /* bytes of the value of one id */
    HEAD = 6,
    ROW_MAX = HEAD + TYCHO__ROW_IDS * (UUID + TYCHO__VARINT_MAX)
};

static int damaged(tycho_bytes key) {
    char text[600];
    tycho__key_text(TYCHO__IDS, key, text, sizeof text);
    return tycho__fail(TYCHO_CORRUPT, "the row of the ids from %s on is damaged", text);
}

static int taken(uint64_t position) {
    return tycho__fail(TYCHO_CORRUPT, "the event at position %llu has an id that is taken",
                       (unsigned long long)position);
}

static uint32_t checksum_of(const uint8_t *key, tycho_bytes value) {
    uint64_t seed = tycho__hash(key, KEY, 0);
    return (uint32_t)tycho__hash((const uint8_t *)value.data + 4, value.size - 4, seed);
}

static bool is_uuid_key(tycho_bytes key) {
    return key.size == KEY && *(const uint8_t *)key.data == 1;
}

/* ---------------------------------------------------------------- reading */

/* Where the parts of a row of several ids are. */
typedef struct parts {
    uint32_t further; /* ids besides the first */
    uint32_t common;  /* bytes that all begin with */
    const uint8_t *ends;
    tycho__reader positions;
} parts;

/* False when no such row is written. */
static bool part(tycho_bytes key, tycho_bytes value, parts *row) {
    const uint8_t *from = value.data;
    if (!is_uuid_key(key) || value.size <= ALONE) return false;
    row->further = from[4];
    row->common = from[5];
    if (row->common >= UUID || row->further == 0 || row->further >= TYCHO__ROW_IDS) return false;
    size_t size = (size_t)row->further * (UUID - row->common);
    if (value.size - HEAD <= size) return false;
    if (checksum_of(key.data, value) != tycho__load32(from)) return false;
    row->ends = from + HEAD;
    row->positions = tycho__reader_of(tycho__bytes(row->ends + size, value.size - HEAD - size));
    return true;
}

static const uint8_t *end_of(const parts *row, uint32_t i) {
    return row->ends + (size_t)i * (UUID - row->common);
}

/* Which id of the row it is, 0 the first; TYCHO__ROW_IDS: none. */
static uint32_t search(const parts *row, const uint8_t *first, const uint8_t *id) {
    uint32_t low = 0, high = row->further;
    if (memcmp(first, id, row->common) != 0) return TYCHO__ROW_IDS;
    if (memcmp(first, id, UUID) == 0) return 0;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        int order = memcmp(end_of(row, middle), id + row->common, UUID - row->common);
        if (order == 0) return middle + 1;
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return TYCHO__ROW_IDS;
}

static uint64_t next_position(parts *row, uint64_t before, bool is_first) {
    uint64_t number = tycho__read_varint(&row->positions);
    return is_first ? number : before + tycho__unzigzag(number);
}

int tycho__ids_find(tycho__txn *txn, tycho_bytes packed, bool is_uuid, uint64_t *position) {
    uint8_t wanted[1 + TYCHO_ID_MAX];
    tycho_bytes key = {wanted, 1 + packed.size}, value;
    parts row;
    wanted[0] = is_uuid;
    tycho__copy(wanted + 1, packed);
    int status = is_uuid ? tycho__seek_back(txn, TYCHO__IDS, &key, &value)
                         : tycho__get(txn, TYCHO__IDS, key, &value);
    if (status != TYCHO_OK) return status;
    if (is_uuid && !is_uuid_key(key)) return TYCHO_NOT_FOUND;
    if (value.size == ALONE) {
        *position = tycho__load64(value.data);
        return tycho__equal(key, tycho__bytes(wanted, key.size)) ? TYCHO_OK : TYCHO_NOT_FOUND;
    }
    if (!is_uuid) return tycho__fail(TYCHO_CORRUPT, "an event id has no position");
    if (!part(key, value, &row)) return damaged(key);
    uint32_t at = search(&row, (const uint8_t *)key.data + 1, wanted + 1);
    if (at == TYCHO__ROW_IDS) return TYCHO_NOT_FOUND;
    *position = next_position(&row, 0, true);
    for (uint32_t i = 0; i < at; i++) *position = next_position(&row, *position, false);
    return row.positions.bad ? damaged(key) : TYCHO_OK;
}

void tycho__ids_ask(tycho__txn *txn, tycho_bytes packed, bool is_uuid) {
    uint8_t key[1 + TYCHO_ID_MAX];
    key[0] = is_uuid;
    tycho__copy(key + 1, packed);
    tycho__place_ask(txn->guarded, TYCHO__IDS, tycho__bytes(key, 1 + packed.size));
}

/* Reads a row of UUIDs. */
static int parse(tycho_bytes key, tycho_bytes value, tycho__ids *ids) {
    const uint8_t *first = (const uint8_t *)key.data + 1;
    parts row = {0};
    if (value.size != ALONE && !part(key, value, &row)) return damaged(key);
    memcpy(ids->ids[0], first, UUID);
    ids->positions[0] =
        value.size == ALONE ? tycho__load64(value.data) : next_position(&row, 0, true);
    for (uint32_t i = 1; i <= row.further; i++) {
        memcpy(ids->ids[i], first, row.common);
        memcpy(ids->ids[i] + row.common, end_of(&row, i - 1), UUID - row.common);
        ids->positions[i] = next_position(&row, ids->positions[i - 1], false);
        if (memcmp(ids->ids[i - 1], ids->ids[i], UUID) >= 0) return damaged(key);
    }
    ids->count = 1 + row.further;
    bool is_whole = value.size == ALONE || tycho__reader_left(&row.positions) == 0;
    return row.positions.bad || !is_whole ? damaged(key) : TYCHO_OK;
}

int tycho__ids_count(tycho_bytes key, tycho_bytes value, uint32_t *count) {
    tycho__ids ids;
    *count = 1;
    if (!is_uuid_key(key)) return value.size == ALONE ? TYCHO_OK : damaged(key);
    int status = parse(key, value, &ids);
    if (status == TYCHO_OK) *count = ids.count;
    return status;
}

/* ---------------------------------------------------------------- writing */

/* Writes `count` ids from `first` on as a row. */
static int write_row(tycho__txn *txn, const tycho__ids *ids, uint32_t first, uint32_t count) {
    uint8_t key[KEY], row[ROW_MAX], *to = row + HEAD;
    const uint8_t(*all)[UUID] = ids->ids + first;
    const uint64_t *positions = ids->positions + first;
    assert(count > 0 && count <= TYCHO__ROW_IDS);
    key[0] = 1;
    memcpy(key + 1, all[0], UUID);
    tycho__store64(row, positions[0]);
    size_t size = ALONE;
    if (count > 1) {
        uint32_t common = 0;
        while (all[0][common] == all[count - 1][common]) common++;
        row[4] = (uint8_t)(count - 1);
        row[5] = (uint8_t)common;
        for (uint32_t i = 1; i < count; i++, to += UUID - common) {
            memcpy(to, all[i] + common, UUID - common);
        }
        to = tycho__put_varint(to, positions[0]);
        for (uint32_t i = 1; i < count; i++) {
            to = tycho__put_varint(to, tycho__zigzag(positions[i] - positions[i - 1]));
        }
        size = (size_t)(to - row);
        tycho__store32(row, checksum_of(key, tycho__bytes(row, size)));
        if (txn->state.format < TYCHO__FORMAT_IDS) txn->state.format = TYCHO__FORMAT_IDS;
    }
    tycho_bytes name = {key, KEY}, value = {row, size};
    return ids->is_last ? tycho__put_behind(txn, TYCHO__IDS, name, value)
                        : tycho__put(txn, TYCHO__IDS, name, value);
}

int tycho__ids_end(tycho__txn *txn, tycho__ids *ids) {
    int status = ids->count > 0 ? write_row(txn, ids, 0, ids->count) : TYCHO_OK;
    ids->count = 0;
    return status;
}

/* Reads the row that an id goes to, which is none when it goes before all UUIDs. */
static int load(tycho__txn *txn, tycho__ids *ids, tycho_bytes wanted) {
    tycho_bytes key = wanted, value;
    ids->count = 0;
    int status = tycho__seek(txn, TYCHO__IDS, &key, &value);
    ids->is_last = status == TYCHO_NOT_FOUND;
    ids->has_limit = status == TYCHO_OK && is_uuid_key(key);
    if (status == TYCHO_OK && tycho__equal(key, wanted)) return TYCHO_DUPLICATE_EVENT;
    if (ids->has_limit) memcpy(ids->limit, (const uint8_t *)key.data + 1, UUID);
    key = wanted;
    if (status == TYCHO_OK || status == TYCHO_NOT_FOUND) {
        status = tycho__seek_back(txn, TYCHO__IDS, &key, &value);
    }
    if (status == TYCHO_NOT_FOUND || (status == TYCHO_OK && !is_uuid_key(key))) return TYCHO_OK;
    return status == TYCHO_OK ? parse(key, value, ids) : status;
}

/* Makes two rows of one that is too full. A new id behind all others begins the second, which goes
** on; else each gets half, and the next id looks which is its own. */
static int split(tycho__txn *txn, tycho__ids *ids, bool is_behind) {
    uint32_t first = is_behind ? TYCHO__ROW_IDS : ids->count / 2;
    int status = write_row(txn, ids, 0, first);
    if (status != TYCHO_OK) return status;
    if (!is_behind) {
        status = write_row(txn, ids, first, ids->count - first);
        ids->count = 0;
        return status;
    }
    memcpy(ids->ids[0], ids->ids[first], UUID);
    ids->positions[0] = ids->positions[first];
    ids->count = 1;
    return TYCHO_OK;
}

static int add_uuid(tycho__txn *txn, tycho__ids *ids, const uint8_t *id, uint64_t position) {
    uint32_t at = ids->count;
    int order = -1;
    while (at > 0 && (order = memcmp(ids->ids[at - 1], id, UUID)) > 0) at--;
    if (at > 0 && order == 0) return taken(position);
    memmove(ids->ids + at + 1, ids->ids + at, (size_t)(ids->count - at) * UUID);
    memmove(ids->positions + at + 1, ids->positions + at,
            (ids->count - at) * sizeof *ids->positions);
    memcpy(ids->ids[at], id, UUID);
    ids->positions[at] = position;
    ids->count++;
    bool is_behind = at + 1 == ids->count;
    return ids->count > TYCHO__ROW_IDS ? split(txn, ids, is_behind) : TYCHO_OK;
}

int tycho__ids_add(tycho__txn *txn, tycho__ids *ids, tycho_bytes packed, bool is_uuid,
                   uint64_t position) {
    uint8_t key[1 + TYCHO_ID_MAX], value[ALONE];
    int status = TYCHO_OK;
    tycho_bytes name = {key, 1 + packed.size};
    key[0] = is_uuid;
    tycho__copy(key + 1, packed);
    if (!is_uuid) {
        tycho__store64(value, position);
        status = tycho__insert(txn, TYCHO__IDS, name, tycho__bytes(value, sizeof value));
        return status == TYCHO_DUPLICATE_EVENT ? taken(position) : status;
    }
    assert(packed.size == UUID);
    bool is_here = ids->count > 0 && (!ids->has_limit || memcmp(key + 1, ids->limit, UUID) < 0);
    if (!is_here) {
        status = tycho__ids_end(txn, ids);
        if (status == TYCHO_OK) status = load(txn, ids, name);
        if (status == TYCHO_DUPLICATE_EVENT) return taken(position);
    }
    return status == TYCHO_OK ? add_uuid(txn, ids, key + 1, position) : status;
}
