/* text.c - the JSON of the answer: values with the commas between them, and cursors.
**
** Everything is appended to a buffer whose failure is sticky, so nobody checks in between. The text
** never has a line break in it: control characters are escaped.
*/
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "../msgpack/json.h"
#include "call.h"

static void put(struct tycho_buffer *out, const char *text) {
    tycho__payload_put(out, text, strlen(text));
}

/* Writes the comma that the next value or key needs. */
static void put_comma(struct tycho_buffer *out) {
    if (out->failed || out->size == 0) return;
    uint8_t last = out->data[out->size - 1];
    if (last != '{' && last != '[' && last != ':') tycho__payload_put(out, ",", 1);
}

void tycho__rpc_put_open(struct tycho_buffer *out, char bracket) {
    put_comma(out);
    tycho__payload_put(out, &bracket, 1);
}

void tycho__rpc_put_close(struct tycho_buffer *out, char bracket) {
    tycho__payload_put(out, &bracket, 1);
}

void tycho__rpc_put_null(struct tycho_buffer *out) {
    put_comma(out);
    put(out, "null");
}

void tycho__rpc_put_boolean(struct tycho_buffer *out, bool value) {
    put_comma(out);
    put(out, value ? "true" : "false");
}

void tycho__rpc_put_integer(struct tycho_buffer *out, int64_t value) {
    put_comma(out);
    tycho__json_put_integer(out, value);
}

void tycho__rpc_put_unsigned(struct tycho_buffer *out, uint64_t value) {
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, value);
    put_comma(out);
    put(out, text);
}

void tycho__rpc_put_number(struct tycho_buffer *out, double value) {
    put_comma(out);
    tycho__json_put_float(out, value);
}

void tycho__rpc_put_string(struct tycho_buffer *out, const void *data, size_t size) {
    put_comma(out);
    tycho__json_put_string(out, data, size);
}

void tycho__rpc_put_key(struct tycho_buffer *out, const char *name) {
    tycho__rpc_put_string(out, name, strlen(name));
    tycho__payload_put(out, ":", 1);
}

void tycho__rpc_put_sentence(struct tycho_buffer *out, const char *text) {
    char plain[RPC_MESSAGE_SIZE];
    size_t size = strnlen(text, sizeof plain);
    memcpy(plain, text, size);
    for (size_t i = 0; !tycho__utf8_check(plain, size) && i < size; i++) {
        if ((unsigned char)plain[i] >= 0x80) plain[i] = '?';
    }
    tycho__rpc_put_string(out, plain, size);
}

void tycho__rpc_put_json(struct tycho_buffer *out, tycho_bytes text) {
    put_comma(out);
    tycho__payload_put(out, text.data, text.size);
}

void tycho__rpc_put_base64(struct tycho_buffer *out, tycho_bytes bytes) {
    put_comma(out);
    tycho__json_put_binary(out, bytes.data, bytes.size);
}

void tycho__rpc_put_bytes(struct tycho_buffer *out, tycho_bytes bytes) {
    if (tycho__utf8_check(bytes.data, bytes.size)) {
        tycho__rpc_put_string(out, bytes.data, bytes.size);
    } else {
        tycho__rpc_put_base64(out, bytes);
    }
}

void tycho__rpc_put_name(struct tycho_buffer *out, tycho_bytes bytes) {
    if (bytes.size == 0) {
        tycho__rpc_put_null(out);
    } else {
        tycho__rpc_put_bytes(out, bytes);
    }
}

static const char hex[] = "0123456789abcdef";

void tycho__rpc_put_cursor(struct tycho_buffer *out, tycho_bytes key) {
    char text[2 * TYCHO_CURSOR_KEY_MAX];
    const uint8_t *bytes = key.data;
    size_t size = 0;
    for (size_t i = 0; i < key.size && size < sizeof text; i++) {
        text[size++] = hex[bytes[i] >> 4];
        text[size++] = hex[bytes[i] & 15];
    }
    tycho__rpc_put_string(out, text, size);
}

bool tycho__rpc_parse_cursor(tycho_bytes text, uint8_t key[TYCHO_CURSOR_KEY_MAX], size_t *size) {
    const char *at = text.data;
    if (text.size % 2 != 0 || text.size > 2 * (size_t)TYCHO_CURSOR_KEY_MAX) return false;
    for (size_t i = 0; i < text.size; i++) {
        const char *digit = memchr(hex, at[i], sizeof hex - 1);
        if (digit == NULL) return false;
        key[i / 2] = (uint8_t)((i % 2 == 0 ? 0 : key[i / 2] << 4) | (digit - hex));
    }
    *size = text.size / 2;
    return true;
}
