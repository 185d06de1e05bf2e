/* msgpack.h - MessagePack as a stream of tokens, and the byte buffer that both codecs write to.
**
** Pure C: knows neither Lua nor the engine. Used by bindings/lua (values straight to and from the
** Lua stack) and by bindings/rpc (values to and from a JSON library).
**
** Reading. A reader is a view of bytes and an offset. tycho__msgpack_next() gives the next token
** and never reads outside the view: a string that is cut short, and a count that promises more
** items than there are bytes left, are both TRUNCATED at the offset of their token. A container is
** its header alone; its items are the tokens that follow (2 * count for a map: key, value, ...).
** Nothing recurses, nothing allocates.
**
** Writing. Every put appends the smallest encoding. A failure is sticky: later puts
** do nothing, so a writer checks `failed` once at the end.
**
** What Tycho writes, so that equal values have equal bytes: map keys are strings, sorted by their
** bytes (memcmp, the shorter first), each once; integers in the smallest form; floats as float64,
** never NaN or infinite; strings are valid UTF-8, all other bytes are `bin`. What it reads is any
** MessagePack: a key that comes twice counts as its last.
*/
#ifndef TYCHO_MSGPACK_H
#define TYCHO_MSGPACK_H

#include <stddef.h>
#include <stdint.h>

enum {
    TYCHO__DEPTH_MAX = 128 /* containers within each other, in MessagePack and in JSON */
};
#define TYCHO__MSGPACK_SIZE_MAX (16u << 20) /* bytes of one value: TYCHO_EVENT_SIZE_MAX */

/* ---------------------------------------------------------------- the buffer */

enum tycho__buffer_failure {
    TYCHO__BUFFER_NO_MEMORY = 1,
    TYCHO__BUFFER_FULL = 2 /* more than MessagePack can count, or than can be addressed */
};

/* Grows by itself. All zero is an empty buffer. */
struct tycho_buffer {
    uint8_t *data;
    size_t size;
    size_t capacity;
    int failed; /* 0, or the first enum tycho__buffer_failure: sticky */
};

/* The slow half of tycho__payload_reserve(): gets more memory. */
uint8_t *tycho__payload_grow(struct tycho_buffer *buffer, size_t extra);

/* Makes room for `extra` more bytes and returns where they go; NULL when the buffer has failed.
** The caller adds to `size` what it writes. */
static inline uint8_t *tycho__payload_reserve(struct tycho_buffer *buffer, size_t extra) {
    if (extra < buffer->capacity - buffer->size && buffer->failed == 0) {
        return buffer->data + buffer->size;
    }
    return tycho__payload_grow(buffer, extra);
}

void tycho__payload_put(struct tycho_buffer *buffer, const void *data, size_t size);
/* Empties the buffer and forgets a failure; keeps its memory. */
void tycho__payload_clear(struct tycho_buffer *buffer);
/* Frees the memory; the buffer is empty and may be used again. */
void tycho__payload_free(struct tycho_buffer *buffer);

/* ---------------------------------------------------------------- reading */

enum tycho__msgpack_status {
    TYCHO__MSGPACK_OK = 0,
    TYCHO__MSGPACK_TRUNCATED, /* the bytes end within a value */
    TYCHO__MSGPACK_INVALID,   /* the byte 0xc1, which nobody may write */
    TYCHO__MSGPACK_DEEP,      /* more than TYCHO__DEPTH_MAX containers within each other */
    TYCHO__MSGPACK_TRAILING   /* bytes behind the value */
};

enum tycho__msgpack_kind {
    TYCHO__MSGPACK_NIL,
    TYCHO__MSGPACK_BOOLEAN,
    TYCHO__MSGPACK_INTEGER,  /* `integer` */
    TYCHO__MSGPACK_UNSIGNED, /* `count`: an integer above INT64_MAX */
    TYCHO__MSGPACK_FLOAT,    /* `number`; float32 is widened */
    TYCHO__MSGPACK_STRING,   /* `data`, `size`; not checked to be UTF-8 */
    TYCHO__MSGPACK_BINARY,
    TYCHO__MSGPACK_ARRAY, /* `count` items follow */
    TYCHO__MSGPACK_MAP,   /* `count` pairs of key and value follow */
    TYCHO__MSGPACK_EXTENSION
};

struct tycho__msgpack_reader {
    const uint8_t *data;
    size_t size;
    size_t offset; /* of the next token; after a failure: of the token that failed */
};

struct tycho__msgpack_token {
    enum tycho__msgpack_kind kind;
    int extension; /* the type of an extension, -128 to 127 */
    union {
        int boolean;
        int64_t integer;
        uint64_t count;
        double number;
        const uint8_t *data; /* of a string, binary or extension: a view of the input */
    };
    size_t size;   /* bytes of a string, binary or extension, else 0 */
    size_t offset; /* of the token's first byte */
};

/* Reads one token and moves behind it. OK, TRUNCATED (also at the end of the input) or INVALID. */
int tycho__msgpack_next(struct tycho__msgpack_reader *reader, struct tycho__msgpack_token *token);

/* Moves behind one whole value, however deep it is. OK, TRUNCATED or INVALID. */
int tycho__msgpack_skip(struct tycho__msgpack_reader *reader);

/* Moves behind the first pairs of a map, up to `count`, whose key is a short string and whose value
** is no container, as nearly all are, and says how many these were. `value` becomes the offset of
** the value of the last whose key has the name; else it stays as it is. The pair that ended it is
** for the functions above, which tell what is wrong, if it is. */
uint64_t tycho__msgpack_pass(struct tycho__msgpack_reader *reader, uint64_t count,
                             const void *name, size_t size, size_t *value);

/* OK when `data` is exactly one well-formed value at most TYCHO__DEPTH_MAX deep; else what is
** wrong, and where (`offset` may be NULL). */
int tycho__msgpack_check(const void *data, size_t size, size_t *offset);

/* A status as part of a sentence: "ends within a value". Static. */
const char *tycho__msgpack_status_text(int status);

/* ---------------------------------------------------------------- writing */

void tycho__msgpack_put_nil(struct tycho_buffer *buffer);
void tycho__msgpack_put_boolean(struct tycho_buffer *buffer, int value);
void tycho__msgpack_put_integer(struct tycho_buffer *buffer, int64_t value);
void tycho__msgpack_put_unsigned(struct tycho_buffer *buffer, uint64_t value);
void tycho__msgpack_put_float(struct tycho_buffer *buffer, double value);
/* Sizes and counts above UINT32_MAX fail as FULL. */
void tycho__msgpack_put_string(struct tycho_buffer *buffer, const void *data, size_t size);
void tycho__msgpack_put_binary(struct tycho_buffer *buffer, const void *data, size_t size);
/* The header alone; the caller writes `count` items, or `count` keys and values. */
void tycho__msgpack_put_array(struct tycho_buffer *buffer, size_t count);
void tycho__msgpack_put_map(struct tycho_buffer *buffer, size_t count);

/* ---------------------------------------------------------------- text */

/* 1 when the bytes are UTF-8 as RFC 3629 has it: shortest forms, no surrogates, up to U+10FFFF. */
int tycho__utf8_check(const void *data, size_t size);

#endif
