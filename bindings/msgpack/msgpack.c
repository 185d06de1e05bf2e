/* msgpack.c - see msgpack.h for what is promised.
**
** First bytes:
**     00-7f  integer 0..127        a0-bf  string, 0..31 bytes
**     80-8f  map, 0..15 pairs      c0-df  `heads` below: a number of `width` bytes follows
**     90-9f  array, 0..15 items    e0-ff  integer -32..-1
** All numbers are big-endian.
*/
#include "msgpack.h"

#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- the buffer */

enum { BUFFER_MIN = 256 };

uint8_t *tycho__payload_grow(struct tycho_buffer *buffer, size_t extra) {
    size_t capacity = buffer->capacity < BUFFER_MIN ? BUFFER_MIN : buffer->capacity;
    uint8_t *data;

    if (buffer->failed != 0) {
        return NULL;
    }
    if (extra > SIZE_MAX / 4 - buffer->size) {
        buffer->failed = TYCHO__BUFFER_FULL;
        return NULL;
    }
    while (capacity <= buffer->size + extra) {
        capacity *= 2;
    }
    data = realloc(buffer->data, capacity);
    if (data == NULL) {
        buffer->failed = TYCHO__BUFFER_NO_MEMORY;
        return NULL;
    }
    buffer->data = data;
    buffer->capacity = capacity;
    return data + buffer->size;
}

void tycho__payload_put(struct tycho_buffer *buffer, const void *data, size_t size) {
    uint8_t *place = tycho__payload_reserve(buffer, size);

    if (place != NULL && size > 0) {
        memcpy(place, data, size);
        buffer->size += size;
    }
}

void tycho__payload_clear(struct tycho_buffer *buffer) {
    buffer->size = 0;
    buffer->failed = 0;
}

void tycho__payload_free(struct tycho_buffer *buffer) {
    free(buffer->data);
    buffer->data = NULL;
    buffer->capacity = 0;
    tycho__payload_clear(buffer);
}

/* ---------------------------------------------------------------- reading */

enum { INVALID = 0xff };

/* What the bytes c0 to df begin, and how many bytes of number follow. */
static const struct {
    uint8_t kind;
    uint8_t width;
} heads[32] = {
    {TYCHO__MSGPACK_NIL, 0},       {INVALID, 0},
    {TYCHO__MSGPACK_BOOLEAN, 0},   {TYCHO__MSGPACK_BOOLEAN, 0},
    {TYCHO__MSGPACK_BINARY, 1},    {TYCHO__MSGPACK_BINARY, 2},
    {TYCHO__MSGPACK_BINARY, 4},    {TYCHO__MSGPACK_EXTENSION, 1},
    {TYCHO__MSGPACK_EXTENSION, 2}, {TYCHO__MSGPACK_EXTENSION, 4},
    {TYCHO__MSGPACK_FLOAT, 4},     {TYCHO__MSGPACK_FLOAT, 8},
    {TYCHO__MSGPACK_UNSIGNED, 1},  {TYCHO__MSGPACK_UNSIGNED, 2},
    {TYCHO__MSGPACK_UNSIGNED, 4},  {TYCHO__MSGPACK_UNSIGNED, 8},
    {TYCHO__MSGPACK_INTEGER, 1},   {TYCHO__MSGPACK_INTEGER, 2},
    {TYCHO__MSGPACK_INTEGER, 4},   {TYCHO__MSGPACK_INTEGER, 8},
    {TYCHO__MSGPACK_EXTENSION, 0}, {TYCHO__MSGPACK_EXTENSION, 0},
    {TYCHO__MSGPACK_EXTENSION, 0}, {TYCHO__MSGPACK_EXTENSION, 0},
    {TYCHO__MSGPACK_EXTENSION, 0}, {TYCHO__MSGPACK_STRING, 1},
    {TYCHO__MSGPACK_STRING, 2},    {TYCHO__MSGPACK_STRING, 4},
    {TYCHO__MSGPACK_ARRAY, 2},     {TYCHO__MSGPACK_ARRAY, 4},
    {TYCHO__MSGPACK_MAP, 2},       {TYCHO__MSGPACK_MAP, 4},
};

/* The first byte and the number behind it. For strings, binaries and extensions `number` is the
** size of the bytes that follow, for containers the count. */
struct head {
    unsigned first;
    unsigned kind;
    unsigned size; /* bytes of the head itself */
    uint64_t number;
};

static uint64_t read_number(const uint8_t *bytes, unsigned width) {
    uint64_t number = 0;
    unsigned i;

    for (i = 0; i < width; i++) {
        number = number << 8 | bytes[i];
    }
    return number;
}

/* Reads a head that is not in the one-byte ranges. */
static int read_long_head(const uint8_t *bytes, size_t left, struct head *head) {
    unsigned at = head->first - 0xc0;
    unsigned width = heads[at].width;

    head->kind = heads[at].kind;
    if (head->kind == INVALID) {
        return TYCHO__MSGPACK_INVALID;
    }
    head->size = 1 + width;
    if (head->size > left) {
        return TYCHO__MSGPACK_TRUNCATED;
    }
    head->number = read_number(bytes + 1, width);
    if (head->kind == TYCHO__MSGPACK_EXTENSION) {
        if (width == 0) {
            head->number = 1u << (head->first - 0xd4); /* d4..d8: 1, 2, 4, 8, 16 bytes */
        }
        head->size += 1; /* the type */
    }
    return TYCHO__MSGPACK_OK;
}

/* Reads a head and proves that what it promises fits into `left` bytes. */
static inline int read_head(const uint8_t *bytes, size_t left, struct head *head) {
    uint64_t needed = 0;

    if (left == 0) {
        return TYCHO__MSGPACK_TRUNCATED;
    }
    head->first = bytes[0];
    head->size = 1;
    if (head->first < 0x80 || head->first >= 0xe0) {
        head->kind = TYCHO__MSGPACK_INTEGER;
        return TYCHO__MSGPACK_OK;
    }
    if (head->first < 0x90) {
        head->kind = TYCHO__MSGPACK_MAP;
        head->number = head->first & 0x0f;
    } else if (head->first < 0xa0) {
        head->kind = TYCHO__MSGPACK_ARRAY;
        head->number = head->first & 0x0f;
    } else if (head->first < 0xc0) {
        head->kind = TYCHO__MSGPACK_STRING;
        head->number = head->first & 0x1f;
    } else {
        int status = read_long_head(bytes, left, head);

        if (status != TYCHO__MSGPACK_OK) {
            return status;
        }
    }
    if (head->kind >= TYCHO__MSGPACK_STRING) {
        needed = head->kind == TYCHO__MSGPACK_MAP ? 2 * head->number : head->number;
    }
    return head->size + needed > left ? TYCHO__MSGPACK_TRUNCATED : TYCHO__MSGPACK_OK;
}

/* The size of a whole value whose first byte says it; 0 when more has to be read. */
static inline size_t short_size(unsigned first) {
    if (first < 0x80 || first >= 0xe0) {
        return 1;
    }
    if (first >= 0xa0 && first < 0xc0) {
        return 1 + (first & 0x1f);
    }
    if (first >= 0xca && first < 0xd4) {
        return 1 + (size_t)heads[first - 0xc0].width;
    }
    return first == 0xc0 || first == 0xc2 || first == 0xc3;
}

/* Sign-extends a number that was read from `width` bytes. */
static int64_t to_signed(uint64_t number, unsigned width) {
    switch (width) {
    case 1: return (int8_t)number;
    case 2: return (int16_t)number;
    case 4: return (int32_t)number;
    default: return (int64_t)number;
    }
}

static double to_float(uint64_t number, unsigned width) {
    double wide;

    if (width == 4) {
        uint32_t bits = (uint32_t)number;
        float narrow;

        memcpy(&narrow, &bits, sizeof(narrow));
        return (double)narrow;
    }
    memcpy(&wide, &number, sizeof(wide));
    return wide;
}

static void to_integer(const struct head *head, struct tycho__msgpack_token *token) {
    if (head->size > 1) {
        token->integer = to_signed(head->number, head->size - 1);
    } else {
        token->integer = (int8_t)head->first;
    }
}

int tycho__msgpack_next(struct tycho__msgpack_reader *reader, struct tycho__msgpack_token *token) {
    const uint8_t *bytes = reader->data + reader->offset;
    size_t left = reader->size - reader->offset;
    struct head head;
    int status;

    token->offset = reader->offset;
    if (left > 0 && (bytes[0] & 0xe0) == 0xa0 && (bytes[0] & 0x1fu) < left) {
        token->kind = TYCHO__MSGPACK_STRING; /* short strings are most of all tokens */
        token->data = bytes + 1;
        token->size = bytes[0] & 0x1f;
        reader->offset += 1 + token->size;
        return TYCHO__MSGPACK_OK;
    }
    status = read_head(bytes, left, &head);
    if (status != TYCHO__MSGPACK_OK) {
        return status;
    }
    token->kind = (enum tycho__msgpack_kind)head.kind;
    token->size = 0;
    reader->offset += head.size;
    switch (token->kind) {
    case TYCHO__MSGPACK_NIL: break;
    case TYCHO__MSGPACK_BOOLEAN: token->boolean = head.first == 0xc3; break;
    case TYCHO__MSGPACK_INTEGER: to_integer(&head, token); break;
    case TYCHO__MSGPACK_UNSIGNED:
        token->count = head.number;
        if (head.number <= INT64_MAX) {
            token->kind = TYCHO__MSGPACK_INTEGER;
            token->integer = (int64_t)head.number;
        }
        break;
    case TYCHO__MSGPACK_FLOAT: token->number = to_float(head.number, head.size - 1); break;
    case TYCHO__MSGPACK_ARRAY:
    case TYCHO__MSGPACK_MAP: token->count = head.number; break;
    case TYCHO__MSGPACK_EXTENSION:
        token->extension = (int8_t)bytes[head.size - 1]; /* fallthrough */
    case TYCHO__MSGPACK_STRING:
    case TYCHO__MSGPACK_BINARY:
        token->data = bytes + head.size;
        token->size = (size_t)head.number;
        reader->offset += token->size;
        break;
    }
    return TYCHO__MSGPACK_OK;
}

/* Moves `offset` behind one head and its bytes; adds to `items` what the container holds. */
static int skip_head(const struct tycho__msgpack_reader *reader, size_t *offset, uint64_t *items) {
    struct head head;
    int status = read_head(reader->data + *offset, reader->size - *offset, &head);

    if (status != TYCHO__MSGPACK_OK) {
        return status;
    }
    *offset += head.size;
    if (head.kind == TYCHO__MSGPACK_ARRAY) {
        *items += head.number;
    } else if (head.kind == TYCHO__MSGPACK_MAP) {
        *items += 2 * head.number;
    } else if (head.kind >= TYCHO__MSGPACK_STRING) {
        *offset += (size_t)head.number;
    }
    return TYCHO__MSGPACK_OK;
}

int tycho__msgpack_skip(struct tycho__msgpack_reader *reader) {
    size_t offset = reader->offset;
    uint64_t items = 1; /* still to be skipped: each has a byte at least */
    int status = TYCHO__MSGPACK_OK;

    while (items > 0 && status == TYCHO__MSGPACK_OK) {
        size_t left = reader->size - offset;
        size_t size = left > 0 ? short_size(reader->data[offset]) : 0;

        if (items > left || size > left) {
            status = TYCHO__MSGPACK_TRUNCATED;
        } else if (size > 0) {
            offset += size;
            items--;
        } else {
            status = skip_head(reader, &offset, &items);
            items--;
        }
    }
    reader->offset = offset;
    return status;
}

uint64_t tycho__msgpack_pass(struct tycho__msgpack_reader *reader, uint64_t count,
                             const void *name, size_t size, size_t *value) {
    const uint8_t *at = reader->data + reader->offset;
    const uint8_t *end = reader->data + reader->size;
    uint64_t left = count;

    for (; left > 0 && at < end && (at[0] & 0xe0) == 0xa0; left--) {
        size_t key_size = at[0] & 0x1f;
        size_t value_size;
        const uint8_t *behind;

        if (key_size + 1 >= (size_t)(end - at)) {
            break;
        }
        behind = at + 1 + key_size;
        value_size = behind[0] == 0xd9 && end - behind > 1 ? 2 + (size_t)behind[1]
                                                           : short_size(behind[0]);
        if (value_size == 0 || value_size > (size_t)(end - behind)) {
            break;
        }
        if (key_size == size && memcmp(at + 1, name, size) == 0) {
            *value = (size_t)(behind - reader->data);
        }
        at = behind + value_size;
    }
    reader->offset = (size_t)(at - reader->data);
    return count - left;
}

int tycho__msgpack_check(const void *data, size_t size, size_t *offset) {
    struct tycho__msgpack_reader reader = {data, size, 0};
    struct tycho__msgpack_token token;
    uint64_t left[TYCHO__DEPTH_MAX + 1]; /* items still to come of each open container */
    unsigned depth = 0;
    int status = TYCHO__MSGPACK_OK;

    left[0] = 1;
    while (status == TYCHO__MSGPACK_OK) {
        while (depth > 0 && left[depth] == 0) {
            depth--;
        }
        if (left[depth] == 0) {
            status = reader.offset == size ? TYCHO__MSGPACK_OK : TYCHO__MSGPACK_TRAILING;
            break;
        }
        left[depth]--;
        status = tycho__msgpack_next(&reader, &token);
        if (status != TYCHO__MSGPACK_OK ||
            (token.kind != TYCHO__MSGPACK_ARRAY && token.kind != TYCHO__MSGPACK_MAP)) {
            continue;
        }
        if (depth == TYCHO__DEPTH_MAX) {
            reader.offset = token.offset;
            status = TYCHO__MSGPACK_DEEP;
        } else {
            left[++depth] = token.kind == TYCHO__MSGPACK_MAP ? 2 * token.count : token.count;
        }
    }
    if (offset != NULL) {
        *offset = reader.offset;
    }
    return status;
}

const char *tycho__msgpack_status_text(int status) {
    switch (status) {
    case TYCHO__MSGPACK_OK: return "is well-formed";
    case TYCHO__MSGPACK_TRUNCATED: return "ends within a value";
    case TYCHO__MSGPACK_INVALID: return "has the byte 0xc1, which begins nothing";
    case TYCHO__MSGPACK_DEEP: return "has more than 128 containers within each other";
    default: return "has bytes behind the value";
    }
}

/* ---------------------------------------------------------------- writing */

/* Appends `first` and the lowest `width` bytes of `number`. */
static void put_head(struct tycho_buffer *buffer, unsigned first, uint64_t number, unsigned width) {
    uint8_t *place = tycho__payload_reserve(buffer, 1 + (size_t)width);
    unsigned i;

    if (place == NULL) {
        return;
    }
    place[0] = (uint8_t)first;
    for (i = width; i > 0; i--) {
        place[i] = (uint8_t)number;
        number >>= 8;
    }
    buffer->size += 1 + (size_t)width;
}

/* The heads of one kind of counted thing. */
struct counted {
    unsigned tiny;     /* first byte of the count 0 when the count is a part of it */
    unsigned tiny_max; /* counts below this are */
    unsigned first[3]; /* first bytes with 8, 16 and 32 bits of count; 0: there is none */
};

static const struct counted strings = {0xa0, 32, {0xd9, 0xda, 0xdb}};
static const struct counted binaries = {0, 0, {0xc4, 0xc5, 0xc6}};
static const struct counted arrays = {0x90, 16, {0, 0xdc, 0xdd}};
static const struct counted maps = {0x80, 16, {0, 0xde, 0xdf}};

static void put_count(struct tycho_buffer *buffer, const struct counted *kind, size_t count) {
    if (count < kind->tiny_max) {
        put_head(buffer, kind->tiny + (unsigned)count, 0, 0);
    } else if (count <= UINT8_MAX && kind->first[0] != 0) {
        put_head(buffer, kind->first[0], count, 1);
    } else if (count <= UINT16_MAX) {
        put_head(buffer, kind->first[1], count, 2);
    } else if (count <= UINT32_MAX) {
        put_head(buffer, kind->first[2], count, 4);
    } else if (buffer->failed == 0) {
        buffer->failed = TYCHO__BUFFER_FULL;
    }
}

void tycho__msgpack_put_nil(struct tycho_buffer *buffer) {
    put_head(buffer, 0xc0, 0, 0);
}

void tycho__msgpack_put_boolean(struct tycho_buffer *buffer, int value) {
    put_head(buffer, value ? 0xc3 : 0xc2, 0, 0);
}

void tycho__msgpack_put_unsigned(struct tycho_buffer *buffer, uint64_t value) {
    if (value < 0x80) {
        put_head(buffer, (unsigned)value, 0, 0);
    } else if (value <= UINT8_MAX) {
        put_head(buffer, 0xcc, value, 1);
    } else if (value <= UINT16_MAX) {
        put_head(buffer, 0xcd, value, 2);
    } else if (value <= UINT32_MAX) {
        put_head(buffer, 0xce, value, 4);
    } else {
        put_head(buffer, 0xcf, value, 8);
    }
}

void tycho__msgpack_put_integer(struct tycho_buffer *buffer, int64_t value) {
    if (value >= 0) {
        tycho__msgpack_put_unsigned(buffer, (uint64_t)value);
    } else if (value >= -32) {
        put_head(buffer, (uint8_t)value, 0, 0);
    } else if (value >= INT8_MIN) {
        put_head(buffer, 0xd0, (uint64_t)value, 1);
    } else if (value >= INT16_MIN) {
        put_head(buffer, 0xd1, (uint64_t)value, 2);
    } else if (value >= INT32_MIN) {
        put_head(buffer, 0xd2, (uint64_t)value, 4);
    } else {
        put_head(buffer, 0xd3, (uint64_t)value, 8);
    }
}

void tycho__msgpack_put_float(struct tycho_buffer *buffer, double value) {
    uint64_t bits;

    memcpy(&bits, &value, sizeof(bits));
    put_head(buffer, 0xcb, bits, 8);
}

void tycho__msgpack_put_string(struct tycho_buffer *buffer, const void *data, size_t size) {
    put_count(buffer, &strings, size);
    tycho__payload_put(buffer, data, size);
}

void tycho__msgpack_put_binary(struct tycho_buffer *buffer, const void *data, size_t size) {
    put_count(buffer, &binaries, size);
    tycho__payload_put(buffer, data, size);
}

void tycho__msgpack_put_array(struct tycho_buffer *buffer, size_t count) {
    put_count(buffer, &arrays, count);
}

void tycho__msgpack_put_map(struct tycho_buffer *buffer, size_t count) {
    put_count(buffer, &maps, count);
}

/* ---------------------------------------------------------------- text */

/* How many bytes the character at `bytes` takes; 0 when it is not UTF-8. */
static size_t character_size(const uint8_t *bytes, size_t left) {
    unsigned first = bytes[0];
    size_t size = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    size_t i;

    if (first < 0x80) {
        return 1;
    }
    if (first < 0xc2 || first > 0xf4 || size > left) {
        return 0;
    }
    for (i = 1; i < size; i++) {
        if ((bytes[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    if ((first == 0xe0 && bytes[1] < 0xa0) || (first == 0xed && bytes[1] > 0x9f) ||
        (first == 0xf0 && bytes[1] < 0x90) || (first == 0xf4 && bytes[1] > 0x8f)) {
        return 0; /* longer than needed, a surrogate, beyond U+10FFFF */
    }
    return size;
}

int tycho__utf8_check(const void *data, size_t size) {
    const uint8_t *bytes = data;
    size_t i = 0;

    while (i < size) {
        uint64_t word;
        size_t step;

        if (size - i >= sizeof(word)) {
            memcpy(&word, bytes + i, sizeof(word));
            if ((word & UINT64_C(0x8080808080808080)) == 0) {
                i += sizeof(word);
                continue;
            }
        }
        step = character_size(bytes + i, size - i);
        if (step == 0) {
            return 0;
        }
        i += step;
    }
    return 1;
}
