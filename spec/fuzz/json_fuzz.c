/* json_fuzz.c - any text to the JSON reader. What it takes is written again and read again: the
** second text must be equal to the first, and jansson must take it too.
*/
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put_token(struct tycho_buffer *out, const struct tycho__json_token *token) {
    switch (token->kind) {
    case TYCHO__JSON_NULL: tycho__payload_put(out, "null", 4); break;
    case TYCHO__JSON_BOOLEAN:
        tycho__payload_put(out, token->boolean ? "true" : "false", token->boolean ? 4 : 5);
        break;
    case TYCHO__JSON_INTEGER: tycho__json_put_integer(out, token->integer); break;
    case TYCHO__JSON_FLOAT: tycho__json_put_float(out, token->number); break;
    case TYCHO__JSON_STRING: tycho__json_put_string(out, token->data, token->size); break;
    case TYCHO__JSON_KEY:
        tycho__json_put_string(out, token->data, token->size);
        tycho__payload_put(out, ":", 1);
        break;
    case TYCHO__JSON_ARRAY_BEGIN: tycho__payload_put(out, "[", 1); break;
    case TYCHO__JSON_ARRAY_END: tycho__payload_put(out, "]", 1); break;
    case TYCHO__JSON_OBJECT_BEGIN: tycho__payload_put(out, "{", 1); break;
    default: tycho__payload_put(out, "}", 1); break;
    }
}

/* Writes the text's tokens to `out`; 1 when all of it is good. */
static int copy_tokens(const char *text, size_t size, struct tycho_buffer *out) {
    struct tycho_buffer scratch = {0};
    struct tycho__json_reader reader;
    struct tycho__json_token token = {.kind = TYCHO__JSON_ARRAY_BEGIN};
    int good = 1, behind_value = 0;

    tycho__json_begin(&reader, text, size, &scratch);
    for (;;) {
        good = tycho__json_next(&reader, &token);
        assert(reader.offset <= size && reader.depth <= TYCHO__DEPTH_MAX);
        if (!good || token.kind == TYCHO__JSON_END_OF_TEXT) break;
        if (behind_value && token.kind != TYCHO__JSON_ARRAY_END &&
            token.kind != TYCHO__JSON_OBJECT_END)
            tycho__payload_put(out, ",", 1);
        put_token(out, &token);
        behind_value = token.kind != TYCHO__JSON_KEY && token.kind != TYCHO__JSON_ARRAY_BEGIN &&
                       token.kind != TYCHO__JSON_OBJECT_BEGIN;
        if (token.kind == TYCHO__JSON_STRING) {
            struct tycho_buffer bytes = {0};

            tycho__base64_decode(&bytes, token.data, token.size);
            tycho__payload_free(&bytes);
        }
    }
    tycho__payload_free(&scratch);
    return good;
}

/* Large numbers and NUL in keys, which jansson refuses, are all that it may be against. */
static void assert_jansson_takes(const struct tycho_buffer *text) {
    json_error_t error;
    json_t *value = json_loadb((const char *)text->data, text->size,
                               JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &error);

    assert(value != NULL || json_error_code(&error) == json_error_null_byte_in_key ||
           json_error_code(&error) == json_error_null_character);
    json_decref(value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct tycho_buffer first = {0}, second = {0};
    char *copy = malloc(size > 0 ? size : 1); /* ends where the input does */

    if (copy == NULL) return 0;
    memcpy(copy, data, size);
    if (copy_tokens(copy, size, &first)) {
        assert(first.failed == 0);
        assert(copy_tokens((const char *)first.data, first.size, &second));
        assert(first.size == second.size && memcmp(first.data, second.data, first.size) == 0);
        assert_jansson_takes(&first);
    }
    tycho__payload_free(&first);
    tycho__payload_free(&second);
    free(copy);
    return 0;
}
