/* buffer.h - a growable run of bytes, and a reader that cannot leave the run it was given. */
#ifndef TYCHO__BUFFER_H
#define TYCHO__BUFFER_H

#include "base.h"

typedef struct tycho__buffer {
    uint8_t *data;
    size_t size;
    size_t capacity;
} tycho__buffer;

/* Makes room for `more` bytes behind the end. TYCHO_NO_MEMORY leaves the buffer as it was. */
int tycho__buffer_reserve(tycho__buffer *buffer, size_t more);
void tycho__buffer_free(tycho__buffer *buffer);

static inline tycho_bytes tycho__buffer_bytes(const tycho__buffer *buffer) {
    return tycho__bytes(buffer->data, buffer->size);
}

/* Writing into room that was reserved. */
static inline void tycho__write(tycho__buffer *buffer, const void *data, size_t size) {
    assert(buffer->capacity - buffer->size >= size);
    if (size > 0) memcpy(buffer->data + buffer->size, data, size);
    buffer->size += size;
}

static inline int tycho__buffer_append(tycho__buffer *buffer, const void *data, size_t size) {
    int status = TYCHO_OK;
    if (buffer->capacity - buffer->size < size) status = tycho__buffer_reserve(buffer, size);
    if (status == TYCHO_OK) tycho__write(buffer, data, size);
    return status;
}

static inline void tycho__write8(tycho__buffer *buffer, uint8_t value) {
    tycho__write(buffer, &value, 1);
}

static inline void tycho__write16(tycho__buffer *buffer, uint16_t value) {
    tycho__write(buffer, &value, 2);
}

static inline void tycho__write32(tycho__buffer *buffer, uint32_t value) {
    tycho__write(buffer, &value, 4);
}

static inline void tycho__write64(tycho__buffer *buffer, uint64_t value) {
    tycho__write(buffer, &value, 8);
}

/* Reads little-endian scalars and sized runs. Reading beyond the end gives zeros and sets `bad`,
** which stays set, so that one test at the end of a structure is enough. */
typedef struct tycho__reader {
    const uint8_t *at;
    const uint8_t *end;
    bool bad;
} tycho__reader;

static inline tycho__reader tycho__reader_of(tycho_bytes bytes) {
    tycho__reader reader = {bytes.data, bytes.data, false};
    if (bytes.size > 0) reader.end = reader.at + bytes.size;
    return reader;
}

static inline size_t tycho__reader_left(const tycho__reader *reader) {
    return reader->at == NULL ? 0 : (size_t)(reader->end - reader->at);
}

static inline tycho_bytes tycho__read_bytes(tycho__reader *reader, size_t size) {
    tycho_bytes bytes = {reader->at, size};
    if (size > tycho__reader_left(reader)) {
        reader->bad = true;
        reader->at = reader->end;
        return tycho__bytes(NULL, 0);
    }
    if (size > 0) reader->at += size;
    return bytes;
}

static inline uint64_t tycho__read_scalar(tycho__reader *reader, size_t size) {
    uint64_t value = 0;
    tycho_bytes bytes = tycho__read_bytes(reader, size);
    tycho__copy(&value, bytes);
    return value;
}

static inline uint8_t tycho__read8(tycho__reader *reader) {
    return (uint8_t)tycho__read_scalar(reader, 1);
}

static inline uint16_t tycho__read16(tycho__reader *reader) {
    return (uint16_t)tycho__read_scalar(reader, 2);
}

static inline uint32_t tycho__read32(tycho__reader *reader) {
    return (uint32_t)tycho__read_scalar(reader, 4);
}

static inline uint64_t tycho__read64(tycho__reader *reader) {
    return tycho__read_scalar(reader, 8);
}

/* Numbers of seven bits a byte, the lowest first; and differences as such numbers. */
enum { TYCHO__VARINT_MAX = 10 };

static inline uint8_t *tycho__put_varint(uint8_t *to, uint64_t value) {
    while (value >= 0x80) {
        *to++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *to++ = (uint8_t)value;
    return to;
}

static inline uint64_t tycho__read_varint(tycho__reader *reader) {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 7 * TYCHO__VARINT_MAX; shift += 7) {
        uint8_t byte = tycho__read8(reader);
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) return value;
    }
    reader->bad = true;
    return 0;
}

static inline uint64_t tycho__zigzag(uint64_t difference) {
    return difference << 1 ^ (0 - (difference >> 63));
}

static inline uint64_t tycho__unzigzag(uint64_t value) {
    return value >> 1 ^ (0 - (value & 1));
}

#endif
