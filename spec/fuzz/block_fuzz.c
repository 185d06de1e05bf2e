/* block_fuzz.c - any bytes as entries of a list: alone (behind one byte that counts them), as a row
** of `blocks` and as a row of `lists`, whose checksums are made right. What is taken is written
** again as the same entries, in no more bytes.
*/
#include <stdlib.h>

#include "buffer.h"
#include "list.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HIGHEST (UINT64_C(1) << 61)

static void require(bool is_true) {
    if (!is_true) abort();
}

/* Whether a store could have such entries: in bounds, and none as the one before it. */
static bool is_possible(const uint64_t *values, uint32_t count) {
    uint64_t last = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t position = values[i] >> 1;
        if (values[i] == 0) continue;
        if (position == 0 || position > HIGHEST || position == last) return false;
        last = position;
    }
    return true;
}

static void encode_again(const uint64_t *values, uint32_t count, size_t size) {
    uint8_t bytes[TYCHO__BLOCK_SIZE_MAX];
    uint64_t again[TYCHO__BLOCK];
    if (!is_possible(values, count)) return;
    size_t encoded = tycho__block_encode(bytes, values, count);
    require(encoded <= size && encoded <= sizeof bytes);
    require(tycho__block_decode(tycho__bytes(bytes, encoded), again, count) == TYCHO_OK);
    require(count == 0 || memcmp(values, again, count * sizeof *values) == 0);
}

static void read_entries(tycho_bytes bytes, uint32_t count) {
    uint64_t values[TYCHO__BLOCK];
    int status = tycho__block_decode(bytes, values, count);
    require(status == TYCHO_OK || status == TYCHO_CORRUPT);
    if (status == TYCHO_OK) encode_again(values, count, bytes.size);
}

/* The seed of the checksum is the one of list 1 of kind 1, block 0. */
static void read_block(uint8_t *row, size_t size) {
    uint64_t values[TYCHO__BLOCK];
    uint32_t count = 0;
    tycho__list list = {.kind = TYCHO__STREAM, .number = 1};
    if (size > TYCHO__BLOCK_HEAD) {
        uint64_t seed = (uint64_t)list.kind << 32 | list.number;
        tycho__store32(row, (uint32_t)tycho__hash(row + 4, size - 4, seed));
    }
    int status = tycho__block_read(&list, 0, tycho__bytes(row, size), values, &count);
    require(status == TYCHO_OK || status == TYCHO_CORRUPT);
    if (status != TYCHO_OK) return;
    require(count > 0 && count <= TYCHO__BLOCK);
    encode_again(values, count, size - TYCHO__BLOCK_HEAD);
}

static void read_list(uint8_t *row, size_t size) {
    tycho__list list;
    if (size > 4) {
        uint64_t seed = (uint64_t)TYCHO__STREAM << 32 | 1;
        tycho__store32(row, (uint32_t)tycho__hash(row + 4, size - 4, seed));
    }
    int status = tycho__list_parse(&list, TYCHO__STREAM, 1, tycho__bytes(row, size));
    require(status == TYCHO_OK || status == TYCHO_CORRUPT);
    if (status != TYCHO_OK) return;
    require(list.name.size <= TYCHO_NAME_MAX && list.tail_count <= TYCHO__BLOCK);
    require((const uint8_t *)list.name.data >= row && list.tail + list.tail_size == row + size);
    read_entries(tycho__bytes(list.tail, list.tail_size), list.tail_count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t *copy = malloc(size > 0 ? size : 1); /* ends where the input does */
    if (copy == NULL) return 0;
    if (size > 0) memcpy(copy, data, size);
    if (size > 0) read_entries(tycho__bytes(copy + 1, size - 1), copy[0] % (TYCHO__BLOCK + 1));
    read_block(copy, size);
    read_list(copy, size);
    free(copy);
    return 0;
}
