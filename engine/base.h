/* base.h - what every file of the engine stands on: failing, byte order, limits.
**
** `return tycho__fail(TYCHO_X, "sentence %d", value)` is the only way to fail, so that status and
** sentence cannot drift apart. A status without a sentence (TYCHO_NOT_FOUND, TYCHO_END of private
** functions) is an answer, not a failure. Our own mistakes assert, in every build.
*/
#ifndef TYCHO__BASE_H
#define TYCHO__BASE_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "tycho.h"

#if defined(NDEBUG)
#error "Tycho keeps its assertions: build without NDEBUG"
#endif

/* Sets the thread's sentence and returns `status`. */
__attribute__((format(printf, 2, 3))) int tycho__fail(int status, const char *format, ...);

/* Fails by errno, for what was done with a file: the status that fits, "doing \"path\": why". */
int tycho__fail_path(const char *doing, const char *path);

/* Little-endian scalars in values, big-endian in keys (so that order of bytes is order). */
static inline uint64_t tycho__load64(const uint8_t *at) {
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static inline uint32_t tycho__load32(const uint8_t *at) {
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static inline uint16_t tycho__load16(const uint8_t *at) {
    uint16_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static inline void tycho__store64(uint8_t *at, uint64_t value) {
    memcpy(at, &value, sizeof value);
}

static inline void tycho__store32(uint8_t *at, uint32_t value) {
    memcpy(at, &value, sizeof value);
}

static inline void tycho__store16(uint8_t *at, uint16_t value) {
    memcpy(at, &value, sizeof value);
}

static inline void tycho__key64(uint8_t *at, uint64_t value) {
    tycho__store64(at, __builtin_bswap64(value));
}

static inline void tycho__key32(uint8_t *at, uint32_t value) {
    tycho__store32(at, __builtin_bswap32(value));
}

static inline uint64_t tycho__unkey64(const uint8_t *at) {
    return __builtin_bswap64(tycho__load64(at));
}

static inline uint32_t tycho__unkey32(const uint8_t *at) {
    return __builtin_bswap32(tycho__load32(at));
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "values are stored little-endian");

static inline tycho_bytes tycho__bytes(const void *data, size_t size) {
    tycho_bytes bytes = {data, size};
    return bytes;
}

static inline bool tycho__equal(tycho_bytes a, tycho_bytes b) {
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* memcpy that takes NULL with size 0. */
static inline void tycho__copy(void *to, tycho_bytes from) {
    if (from.size > 0) memcpy(to, from.data, from.size);
}

/* XXH3 of one or of two runs of bytes; the checksum of everything that is stored or sent. */
uint64_t tycho__hash(const void *data, size_t size, uint64_t seed);

/* The same without a seed, faster (checksum.c). */
uint64_t tycho__checksum(const void *data, size_t size);

#endif
