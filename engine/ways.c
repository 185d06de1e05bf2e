/* ways.c - rows of the ways back from events to streams; see ways.h. */
#include "ways.h"

enum {
    OLD_KEY = 12,
    KEY = 13,
    OLD_FIRST = 16,
    OLD_FURTHER = 20,
    OLD_MAX = OLD_FIRST + (TYCHO__ROW_WAYS - 1) * OLD_FURTHER,
    HEAD = 5,
    ROW_MAX = HEAD + TYCHO__ROW_WAYS * 4 * TYCHO__VARINT_MAX
};

/* The first `size` bytes of it are OLD_KEY or KEY. */
static void set_key(uint8_t key[KEY], uint64_t position, uint32_t stream) {
    tycho__key64(key, position);
    tycho__key32(key + 8, stream);
    key[OLD_KEY] = 1;
}

static uint32_t checksum_of(const uint8_t key[KEY], const uint8_t *row, size_t size) {
    uint64_t name = tycho__unkey64(key) ^ (uint64_t)tycho__unkey32(key + 8) << 32;
    return (uint32_t)tycho__hash(row + 4, size - 4, name);
}

int tycho__ways_put(tycho__txn *txn, const tycho__ways *ways) {
    uint8_t key[KEY], row[ROW_MAX], *to = row + HEAD;
    const tycho__way *first = &ways->all[0];
    const uint64_t position = ways->positions[0];
    assert(ways->count > 0 && ways->count <= TYCHO__ROW_WAYS);
    assert(tycho__is_group(position, ways->positions[ways->count - 1]));
    set_key(key, position, first->stream);
    row[4] = (uint8_t)(ways->positions[ways->count - 1] - position);
    to = tycho__put_varint(to, first->revision);
    to = tycho__put_varint(to, first->link);
    for (uint32_t i = 1; i < ways->count; i++) {
        const tycho__way *way = &ways->all[i];
        to = tycho__put_varint(to, ways->positions[i] - ways->positions[i - 1]);
        to = tycho__put_varint(to, way->stream);
        to = tycho__put_varint(to, way->revision);
        to = tycho__put_varint(to, tycho__zigzag(way->link - way[-1].link));
    }
    size_t size = (size_t)(to - row);
    tycho__store32(row, checksum_of(key, row, size));
    if (txn->state.format < TYCHO__FORMAT_WAYS) txn->state.format = TYCHO__FORMAT_WAYS;
    return tycho__put_behind(txn, TYCHO__LINKS, tycho__bytes(key, sizeof key),
                             tycho__bytes(row, size));
}

static int damaged(tycho_bytes key, tycho_bytes value) {
    return tycho__fail(TYCHO_CORRUPT, "a row of links with %zu and %zu bytes is damaged", key.size,
                       value.size);
}

static void parse_old(tycho_bytes value, tycho__ways *ways) {
    const uint8_t *from = value.data;
    ways->count = 1 + (uint32_t)((value.size - OLD_FIRST) / OLD_FURTHER);
    ways->all[0].revision = tycho__load64(from);
    ways->all[0].link = tycho__load64(from + 8);
    from += OLD_FIRST;
    for (uint32_t i = 1; i < ways->count; i++, from += OLD_FURTHER) {
        ways->positions[i] = ways->positions[0];
        ways->all[i].stream = tycho__load32(from);
        ways->all[i].revision = tycho__load64(from + 4);
        ways->all[i].link = tycho__load64(from + 12);
    }
}

/* Whether it is a row of a group, as it was written. */
static bool is_whole(tycho_bytes key, tycho_bytes value) {
    const uint8_t *name = key.data, *from = value.data;
    bool is_row = key.size == KEY && name[OLD_KEY] == 1 && value.size > HEAD;
    return is_row && checksum_of(name, from, value.size) == tycho__load32(from);
}

/* False when no such row is written. */
static bool parse_group(tycho_bytes value, tycho__ways *ways) {
    const uint8_t *from = value.data;
    uint64_t position = ways->positions[0], last = position + from[4];
    tycho__reader reader = tycho__reader_of(tycho__bytes(from + HEAD, value.size - HEAD));
    ways->all[0].revision = tycho__read_varint(&reader);
    ways->all[0].link = tycho__read_varint(&reader);
    for (ways->count = 1; tycho__reader_left(&reader) > 0; ways->count++) {
        if (ways->count == TYCHO__ROW_WAYS) return false;
        tycho__way *way = &ways->all[ways->count];
        position += tycho__read_varint(&reader);
        uint64_t stream = tycho__read_varint(&reader);
        if (stream > UINT32_MAX) return false;
        way->stream = (uint32_t)stream;
        way->revision = tycho__read_varint(&reader);
        way->link = way[-1].link + tycho__unzigzag(tycho__read_varint(&reader));
        ways->positions[ways->count] = position;
    }
    return !reader.bad && position == last && tycho__is_group(ways->positions[0], last);
}

int tycho__ways_parse(tycho_bytes key, tycho_bytes value, tycho__ways *ways) {
    bool is_group = is_whole(key, value);
    bool is_old = key.size == OLD_KEY && value.size >= OLD_FIRST && value.size <= OLD_MAX &&
                  (value.size - OLD_FIRST) % OLD_FURTHER == 0;
    if (!is_group && !is_old) return damaged(key, value);
    ways->positions[0] = tycho__unkey64(key.data);
    ways->all[0].stream = tycho__unkey32((const uint8_t *)key.data + 8);
    if (is_old) {
        parse_old(value, ways);
        return TYCHO_OK;
    }
    return parse_group(value, ways) ? TYCHO_OK : damaged(key, value);
}

/* A row that may have ways of an event. */
typedef struct row {
    tycho__ways ways;
    size_t key_size;
    uint32_t at; /* of the next way */
} row;

/* Whether the row ends before the position; what is damaged does not. */
static bool ends_before(tycho_bytes key, tycho_bytes value, uint64_t position) {
    if (!is_whole(key, value)) return false;
    return tycho__unkey64(key.data) + ((const uint8_t *)value.data)[4] < position;
}

/* The first row of the event's group that may have its ways, or the next one. TYCHO_NOT_FOUND when
** there is none. */
static int read_row(tycho__txn *txn, uint64_t position, bool is_first, row *found) {
    uint8_t wanted[KEY];
    tycho_bytes key = {wanted, OLD_KEY}, value;
    set_key(wanted, position - position % TYCHO__GROUP, 0);
    int status = is_first ? tycho__seek(txn, TYCHO__LINKS, &key, &value)
                          : tycho__next(txn, TYCHO__LINKS, &key, &value);
    while (status == TYCHO_OK && ends_before(key, value, position)) {
        status = tycho__next(txn, TYCHO__LINKS, &key, &value);
    }
    found->at = 0;
    found->key_size = key.size;
    if (status == TYCHO_OK && key.size >= 8 && tycho__unkey64(key.data) > position) {
        return TYCHO_NOT_FOUND;
    }
    return status == TYCHO_OK ? tycho__ways_parse(key, value, &found->ways) : status;
}

/* The next way of the event: `found->at` is behind it then. */
static int next_way(tycho__txn *txn, uint64_t position, bool is_first, row *found) {
    int status = is_first ? read_row(txn, position, true, found) : TYCHO_OK;
    while (status == TYCHO_OK) {
        while (found->at < found->ways.count) {
            if (found->ways.positions[found->at++] == position) return TYCHO_OK;
        }
        status = read_row(txn, position, false, found);
    }
    return status;
}

int tycho__ways_copy(tycho__txn *txn, uint64_t position, tycho__way *to, size_t most,
                     size_t *count) {
    row found;
    *count = 0;
    int status = next_way(txn, position, true, &found);
    for (; status == TYCHO_OK; ++*count) {
        if (*count < most) to[*count] = found.ways.all[found.at - 1];
        status = next_way(txn, position, false, &found);
    }
    return status == TYCHO_NOT_FOUND ? TYCHO_OK : status;
}

/* The row that has the way, behind which `found->at` is. */
static int find(tycho__txn *txn, uint64_t position, uint32_t stream, row *found) {
    int status = next_way(txn, position, true, found);
    while (status == TYCHO_OK && found->ways.all[found->at - 1].stream != stream) {
        status = next_way(txn, position, false, found);
    }
    return status;
}

int tycho__ways_find(tycho__txn *txn, uint64_t position, uint32_t stream, tycho__way *way) {
    row found;
    int status = find(txn, position, stream, &found);
    if (status == TYCHO_OK) *way = found.ways.all[found.at - 1];
    return status;
}

int tycho__ways_remove(tycho__txn *txn, uint64_t position, uint32_t stream) {
    row found;
    uint8_t key[KEY];
    tycho__ways *ways = &found.ways;
    int status = find(txn, position, stream, &found);
    if (status != TYCHO_OK) return status;
    set_key(key, ways->positions[0], ways->all[0].stream);
    bool has_name = found.at > 1 && found.key_size == KEY; /* and keeps it */
    ways->count--;
    for (uint32_t i = found.at - 1; i < ways->count; i++) {
        ways->all[i] = ways->all[i + 1];
        ways->positions[i] = ways->positions[i + 1];
    }
    if (!has_name) status = tycho__remove(txn, TYCHO__LINKS, tycho__bytes(key, found.key_size));
    return status == TYCHO_OK && ways->count > 0 ? tycho__ways_put(txn, ways) : status;
}
