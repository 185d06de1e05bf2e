/* buffer.c - growth of byte buffers. */
#include "buffer.h"

#include <stdlib.h>

int tycho__buffer_reserve(tycho__buffer *buffer, size_t more) {
    assert(buffer->size <= buffer->capacity);
    if (buffer->capacity - buffer->size >= more) return TYCHO_OK;
    size_t needed = buffer->size + more;
    if (needed < more) return tycho__fail(TYCHO_TOO_LARGE, "a buffer of over 2^64 bytes");
    size_t capacity = buffer->capacity < 256 ? 256 : buffer->capacity;
    while (capacity < needed) capacity += capacity / 2;
    uint8_t *data = realloc(buffer->data, capacity);
    if (data == NULL) return tycho__fail(TYCHO_NO_MEMORY, "no memory for %zu bytes", capacity);
    buffer->data = data;
    buffer->capacity = capacity;
    return TYCHO_OK;
}

void tycho__buffer_free(tycho__buffer *buffer) {
    free(buffer->data);
    buffer->data = NULL;
    buffer->size = 0;
    buffer->capacity = 0;
}
