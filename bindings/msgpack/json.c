/* json.c - see json.h for what is promised.
**
** The reader is a state machine; what it expects next:
**
**     VALUE  --scalar-->  AFTER        (a container closes: AFTER its parent)
**     VALUE  --[-->  FIRST_ITEM  --]--> AFTER, else as VALUE
**     VALUE  --{-->  FIRST_KEY   --}--> AFTER, else as KEY
**     KEY    --"key" :-->  VALUE
**     AFTER  --,-->  KEY or VALUE, by the container;  --] or }--> AFTER;  end of text at depth 0
*/
#include "json.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VALUE, FIRST_ITEM, FIRST_KEY, KEY, AFTER };

/* ---------------------------------------------------------------- reading: basics */

void tycho__json_begin(struct tycho__json_reader *reader, const char *text, size_t size,
                       struct tycho_buffer *scratch) {
    reader->text = text;
    reader->size = size;
    reader->offset = 0;
    reader->failure = NULL;
    reader->scratch = scratch;
    reader->state = VALUE;
    reader->depth = 0;
}

static int fail(struct tycho__json_reader *reader, const char *failure, size_t offset) {
    reader->failure = offset < reader->size ? failure : "the text ends too early";
    reader->offset = offset;
    return 0;
}

/* The byte at the offset; -1 at the end. */
static int peek(const struct tycho__json_reader *reader) {
    return reader->offset < reader->size ? (unsigned char)reader->text[reader->offset] : -1;
}

static int skip_space(struct tycho__json_reader *reader) {
    int c = peek(reader);

    while (c == ' ' || c == '\n' || c == '\r' || c == '\t') {
        reader->offset++;
        c = peek(reader);
    }
    return c;
}

/* ---------------------------------------------------------------- reading: strings */

static int hex_digit(int c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The four hex digits at `at`; -1 when they are not. */
static long read_hex(const struct tycho__json_reader *reader, size_t at) {
    long value = 0;
    size_t i;

    if (reader->size - at < 4) {
        return -1;
    }
    for (i = 0; i < 4; i++) {
        int digit = hex_digit((unsigned char)reader->text[at + i]);

        if (digit < 0) {
            return -1;
        }
        value = value * 16 + digit;
    }
    return value;
}

static void put_utf8(struct tycho_buffer *buffer, long code) {
    uint8_t bytes[4];
    size_t size;

    if (code < 0x80) {
        bytes[0] = (uint8_t)code;
        size = 1;
    } else if (code < 0x800) {
        bytes[0] = (uint8_t)(0xc0 | code >> 6);
        bytes[1] = (uint8_t)(0x80 | (code & 0x3f));
        size = 2;
    } else if (code < 0x10000) {
        bytes[0] = (uint8_t)(0xe0 | code >> 12);
        bytes[1] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
        bytes[2] = (uint8_t)(0x80 | (code & 0x3f));
        size = 3;
    } else {
        bytes[0] = (uint8_t)(0xf0 | code >> 18);
        bytes[1] = (uint8_t)(0x80 | (code >> 12 & 0x3f));
        bytes[2] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
        bytes[3] = (uint8_t)(0x80 | (code & 0x3f));
        size = 4;
    }
    tycho__payload_put(buffer, bytes, size);
}

/* Reads \uXXXX, or two that are a surrogate pair; the offset is behind the 'u'. */
static int read_code(struct tycho__json_reader *reader) {
    size_t start = reader->offset;
    long code = read_hex(reader, start);

    if (code < 0) {
        return fail(reader, "\\u needs four hexadecimal digits", start);
    }
    reader->offset += 4;
    if (code >= 0xd800 && code <= 0xdfff) {
        const char *next = reader->text + reader->offset;
        int is_pair = code < 0xdc00 && reader->size - reader->offset >= 6 && next[0] == '\\' &&
                      next[1] == 'u';
        long low = is_pair ? read_hex(reader, reader->offset + 2) : -1;

        if (low < 0xdc00 || low > 0xdfff) {
            return fail(reader, "\\u is half of a surrogate pair", start);
        }
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        reader->offset += 6;
    }
    put_utf8(reader->scratch, code);
    return 1;
}

/* Reads an escape; the offset is at the backslash. */
static int read_escape(struct tycho__json_reader *reader) {
    static const char letters[] = "\"\\/bfnrt";
    static const char meanings[] = "\"\\/\b\f\n\r\t";
    const char *letter;
    int c;

    reader->offset++;
    c = peek(reader);
    if (c == 'u') {
        reader->offset++;
        return read_code(reader);
    }
    letter = c > 0 ? strchr(letters, c) : NULL;
    if (letter == NULL) {
        return fail(reader, "unknown escape", reader->offset);
    }
    reader->offset++;
    tycho__payload_put(reader->scratch, &meanings[letter - letters], 1);
    return 1;
}

/* Where the run of bytes that stand for themselves ends: at a quote, a backslash, a control
** character or the end of the text. */
static size_t run_end(const struct tycho__json_reader *reader) {
    size_t at = reader->offset;

    while (at < reader->size) {
        unsigned char c = (unsigned char)reader->text[at];

        if (c == '"' || c == '\\' || c < 0x20) {
            break;
        }
        at++;
    }
    return at;
}

/* Reads a string; the offset is at the opening quote. The common case, without escapes, is a view
** of the text. */
static int read_string(struct tycho__json_reader *reader, struct tycho__json_token *token) {
    size_t start = ++reader->offset;
    size_t end = run_end(reader);
    int has_escape = end < reader->size && reader->text[end] == '\\';

    tycho__payload_clear(reader->scratch);
    while (end < reader->size && reader->text[end] == '\\') {
        tycho__payload_put(reader->scratch, reader->text + reader->offset, end - reader->offset);
        reader->offset = end;
        if (!read_escape(reader)) {
            return 0;
        }
        end = run_end(reader);
    }
    if (end == reader->size || reader->text[end] != '"') {
        return fail(reader, "a control character in a string must be escaped", end);
    }
    if (!tycho__utf8_check(reader->text + start, end - start)) {
        return fail(reader, "a string is not valid UTF-8", start);
    }
    token->data = reader->text + start;
    token->size = end - start;
    if (has_escape) {
        tycho__payload_put(reader->scratch, reader->text + reader->offset, end - reader->offset);
        if (reader->scratch->failed != 0) {
            return fail(reader, "out of memory", start);
        }
        token->data = (const char *)reader->scratch->data;
        token->size = reader->scratch->size;
    }
    reader->offset = end + 1;
    return 1;
}

/* ---------------------------------------------------------------- reading: numbers */

static const double powers_of_ten[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                       1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                       1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
enum { POWER_MAX = 22 };
#define EXACT_MAX (UINT64_C(1) << 53) /* integers up to this are exact as floats */

/* A number in parts: digits * 10^exponent, as far as the digits fit. */
struct decimal {
    uint64_t digits;
    long exponent;
    int is_negative;
    int is_float; /* has a fraction or an exponent */
    int is_cut;   /* digits or exponent did not fit: only the text is exact */
};

/* Reads one or more digits into `digits`; returns how many. */
static size_t read_digits(struct tycho__json_reader *reader, struct decimal *number) {
    size_t start = reader->offset;
    int c = peek(reader);

    while (c >= '0' && c <= '9') {
        unsigned digit = (unsigned)(c - '0');

        if (number->digits > (UINT64_MAX - digit) / 10) {
            number->is_cut = 1;
        } else {
            number->digits = number->digits * 10 + digit;
        }
        reader->offset++;
        c = peek(reader);
    }
    return reader->offset - start;
}

/* Reads the exponent; the offset is behind the 'e'. */
static int read_exponent(struct tycho__json_reader *reader, struct decimal *number) {
    struct decimal exponent = {0, 0, 0, 0, 0};
    int c = peek(reader);

    if (c == '+' || c == '-') {
        exponent.is_negative = c == '-';
        reader->offset++;
    }
    if (read_digits(reader, &exponent) == 0) {
        return fail(reader, "a number needs digits behind its exponent", reader->offset);
    }
    if (exponent.is_cut || exponent.digits > 100000) {
        number->is_cut = 1;
    } else {
        number->exponent += exponent.is_negative ? -(long)exponent.digits : (long)exponent.digits;
    }
    return 1;
}

/* Reads a number by the grammar into its parts. */
static int read_decimal(struct tycho__json_reader *reader, struct decimal *number) {
    size_t start;
    size_t count;

    if (peek(reader) == '-') {
        number->is_negative = 1;
        reader->offset++;
    }
    start = reader->offset;
    count = read_digits(reader, number);
    if (count == 0) {
        return fail(reader, "expected a value", start);
    }
    if (count > 1 && reader->text[start] == '0') {
        return fail(reader, "a number must not begin with 0", start);
    }
    if (peek(reader) == '.') {
        number->is_float = 1;
        reader->offset++;
        count = read_digits(reader, number);
        number->exponent = -(long)count;
        if (count == 0) {
            return fail(reader, "a number needs digits behind its point", reader->offset);
        }
    }
    if ((peek(reader) | 0x20) == 'e') {
        number->is_float = 1;
        reader->offset++;
        return read_exponent(reader, number);
    }
    return 1;
}

/* Runs strtod in the "C" locale. */
static double parse_float(const char *text) {
    locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    locale_t previous = uselocale(c_locale);
    double value = strtod(text, NULL);

    uselocale(previous);
    freelocale(c_locale);
    return value;
}

/* The float that is nearest to the number. Digits and a power of ten that are both exact as
** floats take one correctly rounded operation; the rest is left to strtod. */
static int to_float(struct tycho__json_reader *reader, const struct decimal *number, size_t start,
                    double *value) {
    struct tycho_buffer *scratch = reader->scratch;

    if (!number->is_cut && number->digits <= EXACT_MAX && number->exponent >= -POWER_MAX &&
        number->exponent <= POWER_MAX) {
        double digits = (double)number->digits;

        *value = number->exponent < 0 ? digits / powers_of_ten[-number->exponent]
                                      : digits * powers_of_ten[number->exponent];
        *value = number->is_negative ? -*value : *value;
        return 1;
    }
    tycho__payload_clear(scratch);
    tycho__payload_put(scratch, reader->text + start, reader->offset - start);
    tycho__payload_put(scratch, "", 1);
    if (scratch->failed != 0) {
        return fail(reader, "out of memory", start);
    }
    *value = parse_float((const char *)scratch->data);
    return isfinite(*value) ? 1 : fail(reader, "a number is too large for a float", start);
}

static int read_number(struct tycho__json_reader *reader, struct tycho__json_token *token) {
    struct decimal number = {0, 0, 0, 0, 0};
    size_t start = reader->offset;
    uint64_t integer_max;

    if (!read_decimal(reader, &number)) {
        return 0;
    }
    integer_max = (uint64_t)INT64_MAX + (unsigned)number.is_negative;
    if (number.is_float || number.is_cut || number.digits > integer_max) {
        token->kind = TYCHO__JSON_FLOAT;
        return to_float(reader, &number, start, &token->number);
    }
    token->kind = TYCHO__JSON_INTEGER;
    token->integer = (int64_t)(number.is_negative ? 0 - number.digits : number.digits);
    return 1;
}

/* ---------------------------------------------------------------- reading: tokens */

static int read_word(struct tycho__json_reader *reader, const char *word) {
    size_t size = strlen(word);

    if (reader->size - reader->offset < size ||
        memcmp(reader->text + reader->offset, word, size) != 0) {
        return fail(reader, "expected a value", reader->offset);
    }
    reader->offset += size;
    return 1;
}

static int open_container(struct tycho__json_reader *reader, struct tycho__json_token *token,
                          int is_object) {
    if (reader->depth == TYCHO__DEPTH_MAX) {
        return fail(reader, "more than 128 arrays and objects within each other", reader->offset);
    }
    reader->is_object[reader->depth++] = (uint8_t)is_object;
    reader->offset++;
    reader->state = is_object ? FIRST_KEY : FIRST_ITEM;
    token->kind = is_object ? TYCHO__JSON_OBJECT_BEGIN : TYCHO__JSON_ARRAY_BEGIN;
    return 1;
}

static int close_container(struct tycho__json_reader *reader, struct tycho__json_token *token) {
    int is_object = reader->is_object[--reader->depth];

    reader->offset++;
    reader->state = AFTER;
    token->kind = is_object ? TYCHO__JSON_OBJECT_END : TYCHO__JSON_ARRAY_END;
    return 1;
}

static int read_value(struct tycho__json_reader *reader, struct tycho__json_token *token, int c) {
    reader->state = AFTER;
    switch (c) {
    case '{': return open_container(reader, token, 1);
    case '[': return open_container(reader, token, 0);
    case '"': token->kind = TYCHO__JSON_STRING; return read_string(reader, token);
    case 'n': token->kind = TYCHO__JSON_NULL; return read_word(reader, "null");
    case 't':
        token->kind = TYCHO__JSON_BOOLEAN;
        token->boolean = 1;
        return read_word(reader, "true");
    case 'f':
        token->kind = TYCHO__JSON_BOOLEAN;
        token->boolean = 0;
        return read_word(reader, "false");
    default: return read_number(reader, token);
    }
}

/* Reads a key and its colon. */
static int read_key(struct tycho__json_reader *reader, struct tycho__json_token *token, int c) {
    if (c != '"') {
        return fail(reader, "expected a key in quotes", reader->offset);
    }
    token->kind = TYCHO__JSON_KEY;
    if (!read_string(reader, token)) {
        return 0;
    }
    if (skip_space(reader) != ':') {
        return fail(reader, "expected a colon", reader->offset);
    }
    reader->offset++;
    reader->state = VALUE;
    return 1;
}

/* What follows a value: 1 when `token` is made of it, 0 when it failed, -1 when a comma was read
** and the next item has to be. */
static int read_after(struct tycho__json_reader *reader, struct tycho__json_token *token, int c) {
    int is_object;

    if (reader->depth == 0) {
        token->kind = TYCHO__JSON_END_OF_TEXT;
        return c < 0 ? 1 : fail(reader, "expected nothing behind the value", reader->offset);
    }
    is_object = reader->is_object[reader->depth - 1];
    if (c == (is_object ? '}' : ']')) {
        return close_container(reader, token);
    }
    if (c != ',') {
        return fail(reader, is_object ? "expected a comma or }" : "expected a comma or ]",
                    reader->offset);
    }
    reader->offset++;
    reader->state = is_object ? KEY : VALUE;
    return -1;
}

int tycho__json_next(struct tycho__json_reader *reader, struct tycho__json_token *token) {
    int c = skip_space(reader);

    if (reader->state == AFTER) {
        int done = read_after(reader, token, c);

        if (done >= 0) {
            return done;
        }
        c = skip_space(reader);
    }
    if ((reader->state == FIRST_KEY && c == '}') || (reader->state == FIRST_ITEM && c == ']')) {
        return close_container(reader, token);
    }
    if (reader->state == KEY || reader->state == FIRST_KEY) {
        return read_key(reader, token, c);
    }
    return read_value(reader, token, c);
}
