/* json_write.c - the writing half of json.h, and base64. */
#include "json.h"

#include <assert.h>
#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- strings */

/* Appends the escape of a byte that cannot stand for itself. */
static void put_escape(struct tycho_buffer *buffer, uint8_t byte) {
    static const char hex[] = "0123456789abcdef";
    static const char named[] = "\"\"\\\\\bb\ff\nn\rr\tt"; /* pairs: byte, letter */
    char text[6] = "\\u00";
    size_t i;

    for (i = 0; i < sizeof(named) - 1; i += 2) {
        if ((uint8_t)named[i] == byte) {
            text[1] = named[i + 1];
            tycho__payload_put(buffer, text, 2);
            return;
        }
    }
    text[4] = hex[byte >> 4];
    text[5] = hex[byte & 15];
    tycho__payload_put(buffer, text, sizeof(text));
}

void tycho__json_put_string(struct tycho_buffer *buffer, const void *data, size_t size) {
    const uint8_t *bytes = data;
    size_t start = 0; /* of the run that is not yet written */
    size_t i;

    tycho__payload_put(buffer, "\"", 1);
    for (i = 0; i < size; i++) {
        if (bytes[i] < 0x20 || bytes[i] == '"' || bytes[i] == '\\') {
            tycho__payload_put(buffer, bytes + start, i - start);
            put_escape(buffer, bytes[i]);
            start = i + 1;
        }
    }
    if (size > start) {
        tycho__payload_put(buffer, bytes + start, size - start);
    }
    tycho__payload_put(buffer, "\"", 1);
}

/* ---------------------------------------------------------------- numbers */

void tycho__json_put_integer(struct tycho_buffer *buffer, int64_t value) {
    char text[20]; /* "-9223372036854775808" */
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    size_t start = sizeof(text);

    do {
        text[--start] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (value < 0) {
        text[--start] = '-';
    }
    tycho__payload_put(buffer, text + start, sizeof(text) - start);
}

enum { DECIMALS_MAX = 6 };

/* Writes `value` as digits and up to six decimals, if that reads back as the same; 0 if not. Digits
** below 10^15 divided by a power of ten is one exact rounding, the same that a reader of the text
** must do; and no two such texts mean the same float, so the first that fits is the shortest. */
static int put_short_float(struct tycho_buffer *buffer, double value) {
    double power = 1;
    int decimals;

    for (decimals = 0; decimals <= DECIMALS_MAX && fabs(value) * power < 1e15; decimals++) {
        int64_t digits = (int64_t)(fabs(value) * power + 0.5);

        if ((double)digits / power == fabs(value)) {
            int64_t unit = (int64_t)power;
            char text[40];
            int size = snprintf(text, sizeof(text), "%s%" PRId64 ".%0*" PRId64,
                                signbit(value) ? "-" : "", digits / unit,
                                decimals > 0 ? decimals : 1, digits % unit);

            tycho__payload_put(buffer, text, (size_t)size);
            return 1;
        }
        power *= 10;
    }
    return 0;
}

void tycho__json_put_float(struct tycho_buffer *buffer, double value) {
    locale_t c_locale;
    locale_t previous;
    char text[40];
    int digits;

    assert(isfinite(value));
    if (put_short_float(buffer, value)) {
        return;
    }
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    previous = uselocale(c_locale);
    for (digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, value);
        if (strtod(text, NULL) == value) {
            break;
        }
    }
    uselocale(previous);
    freelocale(c_locale);
    tycho__payload_put(buffer, text, strlen(text));
    if (strpbrk(text, ".e") == NULL) {
        tycho__payload_put(buffer, ".0", 2);
    }
}

/* ---------------------------------------------------------------- base64 */

static const char base64_letters[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void put_base64(struct tycho_buffer *buffer, const uint8_t *bytes, size_t size) {
    size_t i;
    uint8_t *text;

    if (size > SIZE_MAX / 4) {
        buffer->failed = buffer->failed != 0 ? buffer->failed : TYCHO__BUFFER_FULL;
        return;
    }
    text = tycho__payload_reserve(buffer, (size + 2) / 3 * 4);
    if (text == NULL) {
        return;
    }
    for (i = 0; i < size; i += 3) {
        size_t left = size - i;
        unsigned group = (unsigned)bytes[i] << 16 | (left > 1 ? (unsigned)bytes[i + 1] << 8 : 0) |
                         (left > 2 ? bytes[i + 2] : 0);

        *text++ = (uint8_t)base64_letters[group >> 18];
        *text++ = (uint8_t)base64_letters[group >> 12 & 63];
        *text++ = left > 1 ? (uint8_t)base64_letters[group >> 6 & 63] : '=';
        *text++ = left > 2 ? (uint8_t)base64_letters[group & 63] : '=';
    }
    buffer->size += (size + 2) / 3 * 4;
}

void tycho__json_put_binary(struct tycho_buffer *buffer, const void *data, size_t size) {
    tycho__payload_put(buffer, "{\"base64\":\"", 11);
    put_base64(buffer, data, size);
    tycho__payload_put(buffer, "\"}", 2);
}

/* The six bits that a letter stands for; -1 when it is none. */
static int base64_value(char letter) {
    if (letter >= 'A' && letter <= 'Z') {
        return letter - 'A';
    }
    if (letter >= 'a' && letter <= 'z') {
        return letter - 'a' + 26;
    }
    if (letter >= '0' && letter <= '9') {
        return letter - '0' + 52;
    }
    return letter == '+' ? 62 : letter == '/' ? 63 : -1;
}

/* Reads four letters, the last `padding` of which are "=", into 24 bits; -1 when they are wrong. */
static long read_group(const char *text, size_t padding) {
    long group = 0;
    size_t i;

    for (i = 0; i < 4; i++) {
        int value = i < 4 - padding ? base64_value(text[i]) : 0;

        if (value < 0) {
            return -1;
        }
        group = group << 6 | value;
    }
    return (group & ((1L << 8 * padding) - 1)) == 0 ? group : -1;
}

int tycho__base64_decode(struct tycho_buffer *buffer, const char *text, size_t size) {
    size_t padding = 0;
    size_t i;
    uint8_t *place;

    if (size % 4 != 0) {
        return 0;
    }
    while (padding < 2 && padding < size && text[size - 1 - padding] == '=') {
        padding++;
    }
    place = tycho__payload_reserve(buffer, size / 4 * 3);
    if (place == NULL) {
        return 0;
    }
    for (i = 0; i < size; i += 4) {
        long group = read_group(text + i, i + 4 == size ? padding : 0);

        if (group < 0) {
            return 0;
        }
        *place++ = (uint8_t)(group >> 16);
        *place++ = (uint8_t)(group >> 8);
        *place++ = (uint8_t)group;
    }
    buffer->size += size / 4 * 3 - padding;
    return 1;
}
