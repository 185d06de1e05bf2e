/* value.c - JSON (jansson) to MessagePack, and MessagePack to the JSON text of the answer.
**
** Both directions walk with a stack of TYCHO__DEPTH_MAX open containers. What is written is what
** msgpack.h calls canonical: map keys sorted by bytes, smallest integers, float64.
**
**     JSON                     MessagePack          back
**     null, true, "text", []   nil, bool, str, array
**     1                        int (64 bits)        1
**     1.0, 1e3                 float64              1.0, 1000.0
**     {...}                    map                  {...}, keys sorted
**     {"base64": "..."}        bin                  {"base64": "..."}
**
** MessagePack that others wrote may hold what JSON cannot say: see tycho__rpc_unpack().
*/
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../msgpack/json.h"
#include "call.h"

/* ---------------------------------------------------------------- JSON to MessagePack */

struct pair {
    const char *key;
    size_t size;
    json_t *value;
};

/* An open container: the next item is `index`. Maps have their pairs, sorted. */
struct packing {
    const json_t *container;
    const struct pair *pairs;
    size_t index;
    size_t count;
};

static int compare_pairs(const void *a, const void *b) {
    const struct pair *left = a;
    const struct pair *right = b;
    size_t size = left->size < right->size ? left->size : right->size;
    int order = memcmp(left->key, right->key, size);
    if (order != 0) return order;
    return left->size < right->size ? -1 : left->size > right->size;
}

static const struct pair *sorted_pairs(struct rpc_call *call, json_t *object) {
    size_t count = json_object_size(object);
    struct pair *pairs = tycho__rpc_alloc(call, count, sizeof *pairs);
    const char *key;
    size_t size;
    json_t *value;
    size_t i = 0;
    if (pairs == NULL) return NULL;
    json_object_keylen_foreach(object, key, size, value) {
        pairs[i++] = (struct pair){key, size, value};
    }
    if (count > 1) qsort(pairs, count, sizeof *pairs, compare_pairs);
    return pairs;
}

/* Fails the call with the way to the value that is being packed: "records[0].data.items[3]". */
static int fail_at(struct rpc_call *call, const char *name, const struct packing *stack,
                   size_t depth, const char *problem) {
    char way[256];
    size_t size = 0;
    way[0] = '\0';
    for (size_t i = 0; i < depth && size < sizeof way - 8; i++) {
        const struct packing *open = &stack[i];
        size_t room = sizeof way - size;
        int added;
        if (open->pairs != NULL) {
            const struct pair *pair = &open->pairs[open->index - 1];
            added = snprintf(way + size, room, ".%.*s", (int)(pair->size > 40 ? 40 : pair->size),
                             pair->key);
        } else {
            added = snprintf(way + size, room, "[%zu]", open->index - 1);
        }
        size += added < 0 ? 0 : (size_t)added;
    }
    return tycho__rpc_fail(call, TYCHO_MISUSE, "%s%s%s %s", call->place, name, way, problem);
}

/* The text of a value of the form {"base64": "..."}, else NULL. */
static const json_t *base64_text(const json_t *value) {
    const json_t *text;
    if (!json_is_object(value) || json_object_size(value) != 1) return NULL;
    text = json_object_get(value, "base64");
    return json_is_string(text) ? text : NULL;
}

/* Decodes into the buffer, which is emptied first. A failure of the buffer tells why. */
static bool decode_text(struct tycho_buffer *buffer, const json_t *text) {
    tycho__payload_clear(buffer);
    return tycho__base64_decode(buffer, json_string_value(text), json_string_length(text)) != 0;
}

/* Refuses a buffer that failed, or holds more than an event may. */
static int check_buffer(struct rpc_call *call, const struct tycho_buffer *buffer,
                        const char *name) {
    if (!buffer->failed && buffer->size <= TYCHO_EVENT_SIZE_MAX) return TYCHO_OK;
    if (buffer->failed != TYCHO__BUFFER_NO_MEMORY) {
        return tycho__rpc_fail(call, TYCHO_TOO_LARGE, "%s%s is larger than %u bytes", call->place,
                               name, TYCHO_EVENT_SIZE_MAX);
    }
    return tycho__rpc_fail(call, TYCHO_NO_MEMORY, "no memory for %s%s", call->place, name);
}

int tycho__rpc_base64_value(struct rpc_call *call, const json_t *value, const char *name,
                            tycho_bytes *bytes) {
    const json_t *text = base64_text(value);
    if (text == NULL) return TYCHO_END;
    bool is_base64 = decode_text(call->binary, text);
    int status = check_buffer(call, call->binary, name);
    if (status != TYCHO_OK) return status;
    if (!is_base64) {
        return tycho__rpc_fail(call, TYCHO_MISUSE, "%s%s.base64 is not base64 with its padding",
                               call->place, name);
    }
    *bytes = tycho__rpc_copy(call, call->binary->data, call->binary->size);
    return bytes->data == NULL ? TYCHO_NO_MEMORY : TYCHO_OK;
}

static void pack_scalar(struct tycho_buffer *out, const json_t *value) {
    switch (json_typeof(value)) {
    case JSON_STRING:
        tycho__msgpack_put_string(out, json_string_value(value), json_string_length(value));
        break;
    case JSON_INTEGER:
        tycho__msgpack_put_integer(out, json_integer_value(value));
        break;
    case JSON_REAL:
        tycho__msgpack_put_float(out, json_real_value(value));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        tycho__msgpack_put_boolean(out, json_is_true(value));
        break;
    default:
        tycho__msgpack_put_nil(out);
    }
}

/* Opens a container: writes its header and fills `open`. */
static int pack_open(struct rpc_call *call, json_t *value, struct packing *open) {
    *open = (struct packing){.container = value};
    if (json_is_array(value)) {
        open->count = json_array_size(value);
        tycho__msgpack_put_array(call->scratch, open->count);
        return TYCHO_OK;
    }
    open->pairs = sorted_pairs(call, value);
    if (open->pairs == NULL) return TYCHO_NO_MEMORY;
    open->count = json_object_size(value);
    tycho__msgpack_put_map(call->scratch, open->count);
    return TYCHO_OK;
}

/* The next item of the innermost container; writes its key. */
static json_t *pack_next(struct rpc_call *call, struct packing *open) {
    const struct pair *pair;
    if (open->pairs == NULL) return json_array_get(open->container, open->index++);
    pair = &open->pairs[open->index++];
    tycho__msgpack_put_string(call->scratch, pair->key, pair->size);
    return pair->value;
}

/* Packs into the scratch buffer. */
static int pack_tree(struct rpc_call *call, json_t *value, const char *name) {
    struct packing stack[TYCHO__DEPTH_MAX];
    size_t depth = 0;
    for (;;) {
        const json_t *text = base64_text(value);
        if (text != NULL) {
            if (!decode_text(call->binary, text)) {
                if (call->binary->failed) return check_buffer(call, call->binary, name);
                return fail_at(call, name, stack, depth, "is not base64 with its padding");
            }
            tycho__msgpack_put_binary(call->scratch, call->binary->data, call->binary->size);
        } else if (json_is_array(value) || json_is_object(value)) {
            if (depth == TYCHO__DEPTH_MAX) {
                return fail_at(call, name, stack, depth, "is nested too deeply");
            }
            int status = pack_open(call, value, &stack[depth]);
            if (status != TYCHO_OK) return status;
            depth++;
        } else {
            pack_scalar(call->scratch, value);
        }
        while (depth > 0 && stack[depth - 1].index == stack[depth - 1].count) depth--;
        if (depth == 0 || call->scratch->failed) return TYCHO_OK;
        if (call->scratch->size > TYCHO_EVENT_SIZE_MAX) return TYCHO_OK; /* refused by the caller */
        value = pack_next(call, &stack[depth - 1]);
    }
}

int tycho__rpc_pack(struct rpc_call *call, const json_t *value, const char *name,
                    tycho_bytes *bytes) {
    int status;
    tycho__payload_clear(call->scratch);
    status = pack_tree(call, (json_t *)value, name);
    if (status == TYCHO_OK) status = check_buffer(call, call->scratch, name);
    if (status != TYCHO_OK) return status;
    *bytes = tycho__rpc_copy(call, call->scratch->data, call->scratch->size);
    return bytes->data == NULL ? TYCHO_NO_MEMORY : TYCHO_OK;
}

/* ---------------------------------------------------------------- MessagePack to JSON */

/* An open container: what is left of it. A map counts keys and values. */
struct unpacking {
    uint64_t left;
    bool is_map;
};

/* Writes a key. False when it is no string, or no UTF-8. */
static bool unpack_key(struct tycho_buffer *out, const struct tycho__msgpack_token *token) {
    if (token->kind != TYCHO__MSGPACK_STRING) return false;
    if (!tycho__utf8_check(token->data, token->size)) return false;
    tycho__rpc_put_string(out, token->data, token->size);
    tycho__payload_put(out, ":", 1);
    return true;
}

/* Writes a value that is no container. */
static bool unpack_scalar(struct tycho_buffer *out, const struct tycho__msgpack_token *token) {
    switch (token->kind) {
    case TYCHO__MSGPACK_NIL:
        tycho__rpc_put_null(out);
        return true;
    case TYCHO__MSGPACK_BOOLEAN:
        tycho__rpc_put_boolean(out, token->boolean != 0);
        return true;
    case TYCHO__MSGPACK_INTEGER:
        tycho__rpc_put_integer(out, token->integer);
        return true;
    case TYCHO__MSGPACK_FLOAT:
        if (!isfinite(token->number)) return false;
        tycho__rpc_put_number(out, token->number);
        return true;
    case TYCHO__MSGPACK_STRING:
        if (!tycho__utf8_check(token->data, token->size)) return false;
        tycho__rpc_put_string(out, token->data, token->size);
        return true;
    case TYCHO__MSGPACK_BINARY:
        tycho__rpc_put_base64(out, (tycho_bytes){token->data, token->size});
        return true;
    default: /* extensions; integers above INT64_MAX, which a request could not say */
        return false;
    }
}

/* Is this the inside of {"base64": text}, which would be read as binary? */
static bool is_like_base64(struct tycho__msgpack_reader reader) {
    struct tycho__msgpack_token key;
    struct tycho__msgpack_token value;
    if (tycho__msgpack_next(&reader, &key) != TYCHO__MSGPACK_OK) return false;
    if (key.kind != TYCHO__MSGPACK_STRING || key.size != 6) return false;
    if (memcmp(key.data, "base64", 6) != 0) return false;
    if (tycho__msgpack_next(&reader, &value) != TYCHO__MSGPACK_OK) return false;
    return value.kind == TYCHO__MSGPACK_STRING;
}

static bool unpack_tree(struct tycho_buffer *out, struct tycho__msgpack_reader *reader) {
    struct unpacking stack[TYCHO__DEPTH_MAX];
    size_t depth = 0;
    do {
        struct tycho__msgpack_token token;
        struct unpacking *open = depth > 0 ? &stack[depth - 1] : NULL;
        if (tycho__msgpack_next(reader, &token) != TYCHO__MSGPACK_OK) return false;
        if (open != NULL && open->is_map && open->left-- % 2 == 0) {
            if (!unpack_key(out, &token)) return false;
            continue;
        }
        if (open != NULL && !open->is_map) open->left--;
        if (token.kind == TYCHO__MSGPACK_ARRAY || token.kind == TYCHO__MSGPACK_MAP) {
            bool is_map = token.kind == TYCHO__MSGPACK_MAP;
            if (depth == TYCHO__DEPTH_MAX) return false;
            if (is_map && token.count == 1 && is_like_base64(*reader)) return false;
            stack[depth++] = (struct unpacking){is_map ? 2 * token.count : token.count, is_map};
            tycho__rpc_put_open(out, is_map ? '{' : '[');
        } else if (!unpack_scalar(out, &token)) {
            return false;
        }
        while (depth > 0 && stack[depth - 1].left == 0) {
            depth--;
            tycho__rpc_put_close(out, stack[depth].is_map ? '}' : ']');
        }
    } while (depth > 0);
    return reader->offset == reader->size;
}

bool tycho__rpc_unpack(struct tycho_buffer *out, tycho_bytes bytes) {
    struct tycho__msgpack_reader reader = {bytes.data, bytes.size, 0};
    size_t size = out->size;
    if (unpack_tree(out, &reader)) return true;
    if (!out->failed) out->size = size;
    return false;
}
