/* json.h - JSON text (RFC 8259) as a stream of tokens, and what is needed to write it.
**
** Pure C beside msgpack.h, whose buffer it uses. The reader knows the grammar: tokens come in an
** order that needs no further checks (each value of an object behind its KEY, each BEGIN with its
** END, and END_OF_TEXT behind exactly one value). Strict: no comments, NaN, leading zeros, trailing
** commas or garbage; invalid UTF-8, lone surrogates and raw control characters are refused. Nothing
** recurses; the one bit a level that it needs is kept for TYCHO__DEPTH_MAX levels.
**
** Numbers. Without fraction and exponent: an integer when it fits int64_t, else a float. Floats are
** rounded correctly, and refused beyond DBL_MAX. Floats are written with the fewest digits (of
** subnormal ones: 15 to 17) that read back as the same, and always with a fraction or an exponent.
** The locale has no influence.
*/
#ifndef TYCHO_JSON_H
#define TYCHO_JSON_H

#include "msgpack.h"

/* Bytes of one text. The largest MessagePack value fits: "\u0001" is six bytes for one. */
#define TYCHO__JSON_SIZE_MAX (8u * TYCHO__MSGPACK_SIZE_MAX)

/* ---------------------------------------------------------------- reading */

enum tycho__json_kind {
    TYCHO__JSON_NULL,
    TYCHO__JSON_BOOLEAN,
    TYCHO__JSON_INTEGER,
    TYCHO__JSON_FLOAT,
    TYCHO__JSON_STRING,
    TYCHO__JSON_KEY,
    TYCHO__JSON_ARRAY_BEGIN,
    TYCHO__JSON_ARRAY_END,
    TYCHO__JSON_OBJECT_BEGIN,
    TYCHO__JSON_OBJECT_END,
    TYCHO__JSON_END_OF_TEXT
};

struct tycho__json_token {
    enum tycho__json_kind kind;
    union {
        int boolean;
        int64_t integer;
        double number;
        const char *data; /* of a string or key, unescaped: good until the next token */
    };
    size_t size;
};

struct tycho__json_reader {
    const char *text;
    size_t size;
    size_t offset;                /* of the next byte; after a failure: of the byte at fault */
    const char *failure;          /* why the last call failed: "expected a value" */
    struct tycho_buffer *scratch; /* for strings with escapes; owned by the caller */
    unsigned state;
    unsigned depth;
    uint8_t is_object[TYCHO__DEPTH_MAX];
};

void tycho__json_begin(struct tycho__json_reader *reader, const char *text, size_t size,
                       struct tycho_buffer *scratch);

/* Reads the next token: 1, or 0 with `failure` and `offset` set. Not to be called behind
** END_OF_TEXT or a failure. */
int tycho__json_next(struct tycho__json_reader *reader, struct tycho__json_token *token);

/* ---------------------------------------------------------------- writing */

/* A string in quotes, escaped. The bytes must be valid UTF-8. */
void tycho__json_put_string(struct tycho_buffer *buffer, const void *data, size_t size);
/* Any bytes, as {"base64":"..."}. */
void tycho__json_put_binary(struct tycho_buffer *buffer, const void *data, size_t size);
void tycho__json_put_integer(struct tycho_buffer *buffer, int64_t value);
/* The value must be finite. */
void tycho__json_put_float(struct tycho_buffer *buffer, double value);

/* Appends the bytes that the base64 text stands for and returns 1; 0 when it is not base64 as
** tycho__json_put_binary writes it (padded, no other characters, unused bits zero), or when the
** buffer fails. */
int tycho__base64_decode(struct tycho_buffer *buffer, const char *text, size_t size);

#endif
