/* list_edit.c - changes in the middle of lists: holes, cuts, removal and insertion.
**
** Rare beside appends, so each loads one block, changes it as an array, and writes it back.
*/
#include <stdlib.h>

#include "list.h"

/* A block of the list as an array: the tail, or a row of `blocks`. */
typedef struct loaded {
    uint64_t values[TYCHO__BLOCK + 1];
    uint32_t count;
    uint64_t base;
    bool is_tail;
} loaded;

static int missing(const tycho__list *list, uint64_t ordinal) {
    return tycho__fail(TYCHO_CORRUPT, "list %u of kind %u lacks the entry %llu", list->number,
                       list->kind, (unsigned long long)ordinal);
}

static int load_tail(const tycho__list *list, loaded *block) {
    block->is_tail = true;
    block->base = list->tail_base;
    block->count = list->tail_count;
    return tycho__block_decode(tycho__bytes(list->tail, list->tail_size), block->values,
                               block->count);
}

/* Loads the last block that begins at or before the ordinal. TYCHO_NOT_FOUND. */
static int load(tycho__txn *txn, const tycho__list *list, uint64_t ordinal, loaded *block) {
    if (list->tail_count > 0 && ordinal >= list->tail_base) return load_tail(list, block);
    tycho_bytes value;
    block->is_tail = false;
    int status = tycho__block_seek(txn, list, ordinal, &block->base, &value);
    if (status != TYCHO_OK) return status;
    return tycho__block_read(list, block->base, value, block->values, &block->count);
}

static int remove_block(tycho__txn *txn, const tycho__list *list, uint64_t base) {
    uint8_t key[TYCHO__BLOCK_KEY];
    tycho__block_key(key, list, base);
    int status = tycho__remove(txn, TYCHO__BLOCKS, tycho__bytes(key, sizeof key));
    return status == TYCHO_NOT_FOUND ? missing(list, base) : status;
}

static int store_tail(tycho__list *list, const loaded *block) {
    uint8_t bytes[TYCHO__BLOCK_SIZE_MAX];
    size_t size = tycho__block_encode(bytes, block->values, block->count);
    if (size > list->tail_capacity) {
        uint8_t *tail = realloc((void *)(uintptr_t)list->tail, sizeof bytes);
        if (tail == NULL) return tycho__fail(TYCHO_NO_MEMORY, "no memory for a list");
        list->tail = tail;
        list->tail_capacity = sizeof bytes;
    }
    tycho__copy((void *)(uintptr_t)list->tail, tycho__bytes(bytes, size));
    list->tail_size = size;
    list->tail_base = block->base;
    list->tail_count = block->count;
    list->tail_last = 0;
    for (uint32_t i = 0; i < block->count; i++) {
        if (block->values[i] != 0) list->tail_last = block->values[i] >> 1;
    }
    return TYCHO_OK;
}

static bool is_empty(const loaded *block) {
    for (uint32_t i = 0; i < block->count; i++) {
        if (block->values[i] != 0) return false;
    }
    return true;
}

static int store(tycho__txn *txn, tycho__list *list, const loaded *block) {
    tycho__list_touch(txn, list);
    if (block->is_tail) return store_tail(list, block);
    if (is_empty(block)) return remove_block(txn, list, block->base);
    return tycho__block_write(txn, list, block->base, block->values, block->count);
}

int tycho__list_hole(tycho__txn *txn, tycho__list *list, uint64_t ordinal) {
    loaded block;
    assert(list->kind == TYCHO__STREAM && list->tail_capacity > 0);
    int status = load(txn, list, ordinal, &block);
    if (status == TYCHO_NOT_FOUND) return missing(list, ordinal);
    if (status != TYCHO_OK) return status;
    uint64_t index = ordinal - block.base;
    if (index >= block.count || block.values[index] == 0) return missing(list, ordinal);
    block.values[index] = 0;
    list->count--;
    return store(txn, list, &block);
}

int tycho__list_cut(tycho__txn *txn, tycho__list *list, uint64_t before) {
    loaded block;
    assert(list->kind == TYCHO__STREAM && list->tail_capacity > 0);
    list->first = before > list->first ? before : list->first;
    tycho__list_touch(txn, list);
    while (before > 0) {
        int status = load(txn, list, before - 1, &block);
        if (status == TYCHO_NOT_FOUND) return TYCHO_OK;
        if (status != TYCHO_OK) return status;
        for (uint32_t i = 0; i < block.count && block.base + i < before; i++) {
            if (block.values[i] != 0) list->count--;
            block.values[i] = 0;
        }
        status = store(txn, list, &block);
        if (status != TYCHO_OK) return status;
        before = block.base;
    }
    return TYCHO_OK;
}

/* The index of the first value in the block that is not below the position. */
static uint32_t place_of(const loaded *block, uint64_t position) {
    uint32_t place = 0;
    while (place < block->count && block->values[place] >> 1 < position) place++;
    return place;
}

int tycho__list_remove(tycho__txn *txn, tycho__list *list, uint64_t position) {
    loaded block;
    assert(list->kind == TYCHO__TYPE && list->tail_capacity > 0);
    int status = load(txn, list, position, &block);
    if (status == TYCHO_NOT_FOUND) return missing(list, position);
    if (status != TYCHO_OK) return status;
    uint32_t place = place_of(&block, position);
    if (place == block.count || block.values[place] >> 1 != position) {
        return missing(list, position);
    }
    block.count--;
    memmove(&block.values[place], &block.values[place + 1],
            (block.count - place) * sizeof block.values[0]);
    list->count--;
    return store(txn, list, &block);
}

/* Writes a block that has one value too many as two; the second half of a tail stays the tail. */
static int store_split(tycho__txn *txn, tycho__list *list, loaded *whole) {
    loaded second = {.is_tail = whole->is_tail};
    uint32_t half = whole->count / 2;
    second.count = whole->count - half;
    second.base = whole->values[half] >> 1;
    memcpy(second.values, &whole->values[half], second.count * sizeof second.values[0]);
    whole->count = half;
    whole->is_tail = false;
    int status = store(txn, list, whole);
    return status == TYCHO_OK ? store(txn, list, &second) : status;
}

int tycho__list_insert(tycho__txn *txn, tycho__list *list, uint64_t position) {
    loaded block;
    assert(list->kind == TYCHO__TYPE && list->tail_capacity > 0);
    int status = load(txn, list, position, &block);
    if (status == TYCHO_NOT_FOUND) { /* before the first block: one of its own */
        block.is_tail = list->count == 0;
        block.base = position;
        block.count = 0;
    } else if (status != TYCHO_OK) {
        return status;
    }
    uint32_t place = place_of(&block, position);
    memmove(&block.values[place + 1], &block.values[place],
            (block.count - place) * sizeof block.values[0]);
    block.values[place] = position << 1;
    block.count++;
    list->count++;
    if (position >= list->next) list->next = position + 1;
    if (position > list->highest) list->highest = position;
    if (block.count > TYCHO__BLOCK) return store_split(txn, list, &block);
    return store(txn, list, &block);
}
