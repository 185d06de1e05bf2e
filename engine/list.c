/* list.c - names and rows of lists, and changes at their ends; layout in list.h. */
#include "list.h"

#include <stdlib.h>

#include "place.h"
#include "recent.h"

enum { HEAD = 56 };

/* ---------------------------------------------------------------- rows */

static uint64_t row_seed(uint8_t kind, uint32_t number) {
    return (uint64_t)kind << 32 | number;
}

int tycho__list_parse(tycho__list *list, uint8_t kind, uint32_t number, tycho_bytes row) {
    const uint8_t *from = row.data;
    if (row.size < HEAD || row.size < HEAD + (size_t)from[7] ||
        tycho__load32(from) !=
            (uint32_t)tycho__hash(from + 4, row.size - 4, row_seed(kind, number))) {
        return tycho__fail(TYCHO_CORRUPT, "the row of list %u of kind %u is damaged", number, kind);
    }
    memset(list, 0, sizeof *list);
    list->kind = kind;
    list->number = number;
    list->tail_count = tycho__load16(from + 4);
    list->flags = from[6];
    list->count = tycho__load64(from + 8);
    list->next = tycho__load64(from + 16);
    list->first = tycho__load64(from + 24);
    list->tail_base = tycho__load64(from + 32);
    list->tail_last = tycho__load64(from + 40);
    list->highest = tycho__load64(from + 48);
    list->name = tycho__bytes(from + HEAD, from[7]);
    list->tail = from + HEAD + from[7];
    list->tail_size = row.size - HEAD - from[7];
    if (list->tail_count > TYCHO__BLOCK) {
        return tycho__fail(TYCHO_CORRUPT, "the row of list %u of kind %u has a tail of %u", number,
                           kind, list->tail_count);
    }
    return TYCHO_OK;
}

/* What is recent is not in the row. */
int tycho__list_write(tycho__txn *txn, const tycho__list *list) {
    uint8_t row[HEAD + TYCHO_NAME_MAX + TYCHO__BLOCK_SIZE_MAX], key[TYCHO__LIST_KEY];
    size_t size = HEAD + list->name.size + list->tail_size;
    assert(size <= sizeof row);
    tycho__store16(row + 4, (uint16_t)list->tail_count);
    row[6] = list->flags;
    row[7] = (uint8_t)list->name.size;
    bool is_stream = list->kind == TYCHO__STREAM;
    tycho__store64(row + 8, list->count - list->recent);
    tycho__store64(row + 16, is_stream ? list->next - list->recent : 0);
    tycho__store64(row + 24, list->first);
    tycho__store64(row + 32, list->tail_base);
    tycho__store64(row + 40, list->tail_last);
    tycho__store64(row + 48, list->highest);
    tycho__copy(row + HEAD, list->name);
    tycho__copy(row + HEAD + list->name.size, tycho__bytes(list->tail, list->tail_size));
    tycho__store32(row,
                   (uint32_t)tycho__hash(row + 4, size - 4, row_seed(list->kind, list->number)));
    tycho__list_key(key, list->kind, list->number);
    return tycho__put(txn, TYCHO__LISTS, tycho__bytes(key, sizeof key), tycho__bytes(row, size));
}

/* ---------------------------------------------------------------- finding */

static tycho_bytes name_key(uint8_t key[1 + TYCHO_NAME_MAX], uint8_t kind, tycho_bytes name) {
    key[0] = kind;
    tycho__copy(key + 1, name);
    return tycho__bytes(key, 1 + name.size);
}

int tycho__list_find(tycho__txn *txn, uint8_t kind, tycho_bytes name, uint32_t *number) {
    uint8_t key[1 + TYCHO_NAME_MAX];
    tycho_bytes value;
    *number = 0;
    if (name.size == 0 || name.size > TYCHO_NAME_MAX) return TYCHO_NOT_FOUND;
    tycho__list *list = tycho__list_named(txn, kind, name);
    if (list != NULL) {
        *number = list->number;
        return TYCHO_OK;
    }
    int status = tycho__get(txn, TYCHO__NAMES, name_key(key, kind, name), &value);
    if (status != TYCHO_OK) return status;
    if (value.size != 4) return tycho__fail(TYCHO_CORRUPT, "a name has no number");
    *number = tycho__load32(value.data);
    return TYCHO_OK;
}

int tycho__list_row(tycho__txn *txn, uint8_t kind, uint32_t number, tycho__list *list) {
    uint8_t key[TYCHO__LIST_KEY];
    tycho_bytes row;
    tycho__list_key(key, kind, number);
    int status = tycho__get(txn, TYCHO__LISTS, tycho__bytes(key, sizeof key), &row);
    return status == TYCHO_OK ? tycho__list_parse(list, kind, number, row) : status;
}

void tycho__list_count_recent(tycho__txn *txn, tycho__list *list) {
    list->recent = tycho__recent_count(txn, list->kind, list->number);
    if (txn->is_write) {
        uint64_t highest = tycho__recent_highest(txn, list->kind, list->number);
        if (highest > list->highest) list->highest = highest;
    }
    list->count += list->recent;
    if (list->kind == TYCHO__STREAM) list->next += list->recent;
}

int tycho__list_read(tycho__txn *txn, uint8_t kind, uint32_t number, tycho__list *list) {
    tycho__list *kept = tycho__list_kept(txn, kind, number);
    if (kept != NULL && !tycho__list_lacks_tail(kept)) {
        *list = *kept;
        return TYCHO_OK;
    }
    int status = tycho__list_row(txn, kind, number, list);
    if (status != TYCHO_OK || kind > TYCHO__TAG) return status;
    status = tycho__recent_need(txn);
    if (status == TYCHO_OK) tycho__list_count_recent(txn, list);
    return status;
}

int tycho__list_open(tycho__txn *txn, uint8_t kind, tycho_bytes name, tycho__list *list) {
    uint32_t number;
    memset(list, 0, sizeof *list);
    list->kind = kind;
    int status = tycho__list_find(txn, kind, name, &number);
    if (status == TYCHO_NOT_FOUND) return TYCHO_OK;
    if (status == TYCHO_OK) status = tycho__list_read(txn, kind, number, list);
    if (status != TYCHO_NOT_FOUND) return status;
    return tycho__fail(TYCHO_CORRUPT, "list %u of kind %u has a name but no row", number, kind);
}

/* ---------------------------------------------------------------- asking ahead */

void tycho__list_ask(tycho__txn *txn, uint8_t kind, uint32_t number) {
    uint8_t key[TYCHO__LIST_KEY];
    tycho__list_key(key, kind, number);
    tycho__place_ask(txn->guarded, TYCHO__LISTS, tycho__bytes(key, sizeof key));
}

void tycho__list_ask_block(tycho__txn *txn, uint8_t kind, uint32_t number, uint32_t more) {
    uint8_t key[TYCHO__BLOCK_KEY];
    tycho__list list;
    if (tycho__list_row(txn, kind, number, &list) != TYCHO_OK) return;
    if (list.tail_count + more <= TYCHO__BLOCK) return;
    tycho__block_key(key, &list, list.tail_base);
    tycho__place_ask(txn->guarded, TYCHO__BLOCKS, tycho__bytes(key, sizeof key));
}

void tycho__lists_ask(tycho__txn *txn, const tycho__list_name *names, size_t count) {
    uint8_t key[1 + TYCHO_NAME_MAX];
    uint32_t number;
    for (size_t i = 0; i < count; i++) {
        if (tycho__list_named(txn, names[i].kind, names[i].name) != NULL) continue;
        if (names[i].name.size > TYCHO_NAME_MAX) continue;
        tycho__place_ask(txn->guarded, TYCHO__NAMES,
                         name_key(key, names[i].kind, names[i].name));
    }
    for (size_t i = 0; i < count; i++) {
        if (tycho__list_named(txn, names[i].kind, names[i].name) != NULL) continue;
        int status = tycho__list_find(txn, names[i].kind, names[i].name, &number);
        if (status == TYCHO_OK) tycho__list_ask(txn, names[i].kind, number);
    }
}

/* ---------------------------------------------------------------- changing */

int tycho__list_edit(tycho__txn *txn, uint8_t kind, uint32_t number, tycho__list **list) {
    int status = tycho__list_take(txn, kind, number, list);
    return status == TYCHO_OK ? tycho__list_load_tail(txn, *list) : status;
}

static int put_name(tycho__txn *txn, const tycho__list *list) {
    uint8_t key[1 + TYCHO_NAME_MAX], value[4];
    tycho__store32(value, list->number);
    return tycho__put(txn, TYCHO__NAMES, name_key(key, list->kind, list->name),
                      tycho__bytes(value, sizeof value));
}

static int remove_name(tycho__txn *txn, const tycho__list *list) {
    uint8_t key[1 + TYCHO_NAME_MAX];
    int status = tycho__remove(txn, TYCHO__NAMES, name_key(key, list->kind, list->name));
    if (status != TYCHO_NOT_FOUND) return status;
    return tycho__fail(TYCHO_CORRUPT, "a stream has a row but no name");
}

static int new_list(tycho__txn *txn, uint8_t kind, tycho_bytes name, tycho__list **out) {
    if (txn->state.names[kind] >= UINT32_MAX) {
        return tycho__fail(TYCHO_TOO_LARGE, "the store has 2^32 names of one kind");
    }
    tycho__list list = {.kind = kind, .name = name, .is_dirty = true};
    list.number = (uint32_t)++txn->state.names[kind];
    int status = put_name(txn, &list);
    return status == TYCHO_OK ? tycho__list_keep(txn, &list, out) : status;
}

int tycho__list_make(tycho__txn *txn, uint8_t kind, tycho_bytes name, tycho__list **list) {
    uint32_t number;
    assert(name.size > 0 && name.size <= TYCHO_NAME_MAX);
    *list = tycho__list_named(txn, kind, name);
    if (*list != NULL) return TYCHO_OK;
    int status = tycho__list_find(txn, kind, name, &number);
    if (status == TYCHO_NOT_FOUND) return new_list(txn, kind, name, list);
    return status == TYCHO_OK ? tycho__list_take(txn, kind, number, list) : status;
}

static int no_memory(void) {
    return tycho__fail(TYCHO_NO_MEMORY, "no memory for the lists of a batch");
}

/* The tail of a list in memory, with room for more entries. */
static uint8_t *tail_room(tycho__list *list, uint32_t more) {
    assert(list->tail_capacity > 0);
    if (list->tail_capacity - list->tail_size < (size_t)more * TYCHO__VARINT_MAX) {
        size_t capacity = list->tail_capacity * 2 + (size_t)more * TYCHO__VARINT_MAX;
        uint8_t *tail = realloc((void *)(uintptr_t)list->tail, capacity);
        if (tail == NULL) return NULL;
        list->tail = tail;
        list->tail_capacity = capacity;
    }
    return (uint8_t *)(uintptr_t)list->tail;
}

/* Moves the full tail to a row of its own. */
static int spill_tail(tycho__txn *txn, tycho__list *list) {
    tycho_bytes tail = {list->tail, list->tail_size};
    int status = tycho__block_put(txn, list, list->tail_base, tail, list->tail_count);
    if (status != TYCHO_OK) return status;
    list->tail_count = 0;
    list->tail_size = 0;
    list->tail_last = 0;
    return TYCHO_OK;
}

void tycho__list_append(tycho__list *list, uint64_t position, tycho__recent_item *item) {
    item->list = list;
    item->ordinal = list->kind == TYCHO__STREAM ? list->next : position;
    item->position = position;
    tycho__list_extend(list, 1, position);
}

void tycho__list_extend(tycho__list *list, uint32_t count, uint64_t highest) {
    if (list->kind == TYCHO__STREAM) list->next += count;
    if (highest > list->highest) list->highest = highest;
    list->count += count;
    list->recent += count;
}

/* Adds as many as the tail has room for. */
static int fill_tail(tycho__list *list, uint64_t ordinal, const uint64_t *values, uint32_t count) {
    uint8_t *tail = tail_room(list, count);
    if (tail == NULL) return no_memory();
    assert(count > 0 && list->tail_count + count <= TYCHO__BLOCK);
    if (list->tail_count == 0) list->tail_base = ordinal;
    uint64_t last = list->tail_last, highest = list->highest;
    uint8_t *to = tail + list->tail_size;
    for (uint32_t i = 0; i < count; i++) {
        to = tycho__entry_encode(to, values[i], last);
        last = values[i] >> 1;
        if (last > highest) highest = last;
    }
    list->tail_size = (size_t)(to - tail);
    list->tail_count += count;
    list->tail_last = last;
    list->highest = highest;
    return TYCHO_OK;
}

int tycho__list_settle(tycho__txn *txn, tycho__list *list, uint64_t ordinal, const uint64_t *values,
                       uint32_t count) {
    while (count > 0) {
        int status = list->tail_count == TYCHO__BLOCK ? spill_tail(txn, list) : TYCHO_OK;
        uint32_t room = TYCHO__BLOCK - list->tail_count, some = count < room ? count : room;
        if (status == TYCHO_OK) status = fill_tail(list, ordinal, values, some);
        if (status != TYCHO_OK) return status;
        ordinal += some;
        values += some;
        count -= some;
        if (count > 0 && list->kind != TYCHO__STREAM) ordinal = values[0] >> 1; /* the position */
    }
    tycho__list_touch(txn, list);
    return TYCHO_OK;
}

int tycho__list_skip(tycho__txn *txn, tycho__list *list, uint64_t next) {
    assert(list->kind == TYCHO__STREAM && list->recent == 0 && next > list->next);
    if (list->tail_count > 0) {
        int status = spill_tail(txn, list);
        if (status != TYCHO_OK) return status;
    }
    list->next = next;
    tycho__list_touch(txn, list);
    return TYCHO_OK;
}

int tycho__list_delete(tycho__txn *txn, tycho__list *list) {
    assert(list->kind == TYCHO__STREAM && (list->flags & TYCHO__LIST_DELETED) == 0);
    int status = remove_name(txn, list);
    if (status != TYCHO_OK) return status;
    list->flags |= TYCHO__LIST_DELETED;
    tycho__list_touch(txn, list);
    return TYCHO_OK;
}

int tycho__list_rename(tycho__txn *txn, tycho__list *list, tycho_bytes name) {
    assert(list->kind == TYCHO__STREAM && list->recent == 0);
    int status = remove_name(txn, list);
    if (status == TYCHO_OK) status = tycho__list_call(txn, list, name, &list);
    return status == TYCHO_OK ? put_name(txn, list) : status;
}
