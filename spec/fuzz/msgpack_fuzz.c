/* msgpack_fuzz.c - any bytes to the MessagePack reader. Whatever it takes must be what it says: the
** check, the skip and the tokens agree on where the value ends, and the tokens written again are
** read as the same tokens, in no more bytes.
*/
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "msgpack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put_token(struct tycho_buffer *out, const struct tycho__msgpack_token *token) {
    switch (token->kind) {
    case TYCHO__MSGPACK_NIL: tycho__msgpack_put_nil(out); break;
    case TYCHO__MSGPACK_BOOLEAN: tycho__msgpack_put_boolean(out, token->boolean); break;
    case TYCHO__MSGPACK_INTEGER: tycho__msgpack_put_integer(out, token->integer); break;
    case TYCHO__MSGPACK_UNSIGNED: tycho__msgpack_put_unsigned(out, token->count); break;
    case TYCHO__MSGPACK_FLOAT: tycho__msgpack_put_float(out, token->number); break;
    case TYCHO__MSGPACK_STRING: tycho__msgpack_put_string(out, token->data, token->size); break;
    case TYCHO__MSGPACK_ARRAY: tycho__msgpack_put_array(out, (size_t)token->count); break;
    case TYCHO__MSGPACK_MAP: tycho__msgpack_put_map(out, (size_t)token->count); break;
    default: tycho__msgpack_put_binary(out, token->data, token->size); break;
    }
}

/* Reads tokens to the end or to a failure, and writes them; how many. */
static size_t copy_tokens(const uint8_t *data, size_t size, struct tycho_buffer *out) {
    struct tycho__msgpack_reader reader = {data, size, 0};
    struct tycho__msgpack_token token;
    size_t count = 0;

    while (tycho__msgpack_next(&reader, &token) == TYCHO__MSGPACK_OK) {
        assert(reader.offset <= size && token.offset < reader.offset);
        tycho__utf8_check(token.size > 0 ? token.data : data, token.size);
        put_token(out, &token);
        count++;
    }
    assert(out->failed == 0);
    return count;
}

static void read_all(const uint8_t *data, size_t size) {
    struct tycho__msgpack_reader reader = {data, size, 0};
    struct tycho_buffer first = {0}, second = {0};
    size_t end = 0, count = 0;
    int status = tycho__msgpack_check(data, size, &end);

    assert(end <= size);
    if (status == TYCHO__MSGPACK_OK || status == TYCHO__MSGPACK_TRAILING) {
        assert(tycho__msgpack_skip(&reader) == TYCHO__MSGPACK_OK);
        assert(reader.offset == end);
    }
    if (status == TYCHO__MSGPACK_OK) {
        count = copy_tokens(data, size, &first);
        assert(copy_tokens(first.data, first.size, &second) == count);
        assert(first.size == second.size && memcmp(first.data, second.data, first.size) == 0);
        assert(tycho__msgpack_check(first.data, first.size, NULL) == TYCHO__MSGPACK_OK);
    } else {
        copy_tokens(data, size, &first);
    }
    tycho__payload_free(&first);
    tycho__payload_free(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t *copy = malloc(size > 0 ? size : 1); /* ends where the input does */

    if (copy == NULL) return 0;
    memcpy(copy, data, size);
    read_all(copy, size);
    free(copy);
    return 0;
}
