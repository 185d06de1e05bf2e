/* codec_msgpack.c - MessagePack to the Lua stack: a whole value, or one field of it. See codec.h.
**
** The decoder keeps its own stack of frames, one for each container that is open; on the Lua stack
** an open array is one slot (the table), an open map two while its value is read (table, key).
*/
#include "codec.h"

#include <string.h>

#include <lauxlib.h>

#include "codec_state.h"
#include "tycho.h"

enum {
    PREALLOCATE_MAX = 4096,  /* a count is only a promise, until its items are there */
    INTEGER_KEYS_MAX = 16384 /* a table finds them by their remainders, which may all be the same */
};

struct frame {
    uint64_t left; /* items or pairs still to come */
    lua_Integer index;
    int is_map;
};

struct decoder {
    lua_State *L;
    struct tycho__msgpack_reader reader;
    int integer_keys;
    int depth;
    struct frame frames[TYCHO__DEPTH_MAX];
};

/* Fails: pushes "MessagePack <fault> (byte <n>)". */
static int corrupt(struct decoder *decoder, const char *fault, size_t offset) {
    lua_pushfstring(decoder->L, "MessagePack %s (byte %I)", fault,
                    (lua_Integer)offset + 1);
    return TYCHO_CORRUPT;
}

static int malformed(struct decoder *decoder, int status) {
    return corrupt(decoder, tycho__msgpack_status_text(status), decoder->reader.offset);
}

/* Pushes the table of a container and makes it the innermost frame. */
static int open_table(struct decoder *decoder, const struct tycho__msgpack_token *token) {
    lua_State *L = decoder->L;
    int room = token->count < PREALLOCATE_MAX ? (int)token->count : PREALLOCATE_MAX;
    struct frame *frame;

    if (decoder->depth == TYCHO__DEPTH_MAX) {
        return corrupt(decoder, tycho__msgpack_status_text(TYCHO__MSGPACK_DEEP), token->offset);
    }
    luaL_checkstack(L, 8, "no room to decode");
    frame = &decoder->frames[decoder->depth++];
    frame->left = token->count;
    frame->index = 0;
    frame->is_map = token->kind == TYCHO__MSGPACK_MAP;
    if (frame->is_map) {
        lua_createtable(L, 0, room);
    } else {
        lua_createtable(L, room, 0);
        tycho__lua_push_array_mark(L);
        lua_setmetatable(L, -2);
    }
    return TYCHO_OK;
}

/* Pushes what the token says; of a container, the empty table. */
static int push_token(struct decoder *decoder, const struct tycho__msgpack_token *token) {
    lua_State *L = decoder->L;

    switch (token->kind) {
    case TYCHO__MSGPACK_NIL: tycho__lua_push_null(L); break;
    case TYCHO__MSGPACK_BOOLEAN: lua_pushboolean(L, token->boolean); break;
    case TYCHO__MSGPACK_INTEGER: lua_pushinteger(L, token->integer); break;
    case TYCHO__MSGPACK_FLOAT: lua_pushnumber(L, token->number); break;
    case TYCHO__MSGPACK_STRING:
        lua_pushlstring(L, (const char *)token->data, token->size);
        break;
    case TYCHO__MSGPACK_BINARY: tycho__lua_push_binary(L, token->data, token->size); break;
    case TYCHO__MSGPACK_ARRAY:
    case TYCHO__MSGPACK_MAP: return open_table(decoder, token);
    case TYCHO__MSGPACK_UNSIGNED:
        return corrupt(decoder, "has an integer above 2^63-1", token->offset);
    case TYCHO__MSGPACK_EXTENSION:
        return corrupt(decoder, "has an extension type", token->offset);
    }
    return TYCHO_OK;
}

/* Reads a key, which must be one that decoding takes. */
static int read_key(struct decoder *decoder, struct tycho__msgpack_token *token) {
    int status = tycho__msgpack_next(&decoder->reader, token);

    if (status != TYCHO__MSGPACK_OK) {
        return malformed(decoder, status);
    }
    if (token->kind != TYCHO__MSGPACK_STRING && token->kind != TYCHO__MSGPACK_INTEGER) {
        return corrupt(decoder, "has a key that is neither a string nor an integer",
                       token->offset);
    }
    return TYCHO_OK;
}

/* Pushes the key of the next pair. */
static int push_key(struct decoder *decoder) {
    struct tycho__msgpack_token token;
    int status = read_key(decoder, &token);

    if (status == TYCHO_OK && token.kind == TYCHO__MSGPACK_INTEGER &&
        ++decoder->integer_keys > INTEGER_KEYS_MAX) {
        return corrupt(decoder, "has over 16384 integer keys", token.offset);
    }
    return status == TYCHO_OK ? push_token(decoder, &token) : status;
}

/* Moves the complete value on top of the stack into the table that waits for it, if one does. */
static void store_value(struct decoder *decoder) {
    struct frame *frame;

    if (decoder->depth == 0) {
        return;
    }
    frame = &decoder->frames[decoder->depth - 1];
    if (frame->is_map) {
        lua_rawset(decoder->L, -3);
    } else {
        lua_rawseti(decoder->L, -2, ++frame->index);
    }
}

/* Reads one token: a value that is stored, or a container that is opened. */
static int read_value(struct decoder *decoder) {
    struct tycho__msgpack_token token;
    int status = tycho__msgpack_next(&decoder->reader, &token);

    if (status != TYCHO__MSGPACK_OK) {
        return malformed(decoder, status);
    }
    status = push_token(decoder, &token);
    if (status == TYCHO_OK && token.kind != TYCHO__MSGPACK_ARRAY &&
        token.kind != TYCHO__MSGPACK_MAP) {
        store_value(decoder);
    }
    return status;
}

/* Takes one step in the innermost open container: its next item, or its end. */
static int step(struct decoder *decoder) {
    struct frame *frame = &decoder->frames[decoder->depth - 1];
    int status = TYCHO_OK;

    if (frame->left == 0) {
        decoder->depth--;
        store_value(decoder);
        return TYCHO_OK;
    }
    frame->left--;
    if (frame->is_map) {
        status = push_key(decoder);
    }
    return status == TYCHO_OK ? read_value(decoder) : status;
}

/* Pushes the value at the reader's offset, and moves behind it. */
static int decode_value(struct decoder *decoder) {
    int status;

    decoder->depth = 0;
    decoder->integer_keys = 0;
    status = read_value(decoder);
    while (status == TYCHO_OK && decoder->depth > 0) {
        status = step(decoder);
    }
    return status;
}

/* Leaves one value above `top`: what was decoded, or the message. */
static int finish(struct decoder *decoder, int top, int status) {
    if (status != TYCHO_OK) {
        lua_insert(decoder->L, top + 1);
        lua_settop(decoder->L, top + 1);
    }
    return status;
}

int tycho__lua_decode(lua_State *L, const void *data, size_t size) {
    struct decoder decoder;
    int top = lua_gettop(L);
    int status;

    luaL_checkstack(L, 8, "no room to decode");
    decoder.L = L;
    decoder.reader = (struct tycho__msgpack_reader){data, size, 0};
    status = decode_value(&decoder);
    if (status == TYCHO_OK && decoder.reader.offset != size) {
        status = malformed(&decoder, TYCHO__MSGPACK_TRAILING);
    }
    return finish(&decoder, top, status);
}

/* ---------------------------------------------------------------- one field */

#define NO_NAME SIZE_MAX /* no string is so long */

/* A key to be followed. */
struct step {
    const char *name;
    size_t name_size; /* NO_NAME for an integer */
    lua_Integer index;
};

static int is_key(const struct tycho__msgpack_token *token, const struct step *wanted) {
    if (token->kind == TYCHO__MSGPACK_STRING) {
        return token->size == wanted->name_size &&
               memcmp(token->data, wanted->name, token->size) == 0;
    }
    return wanted->name_size == NO_NAME && token->integer == wanted->index;
}

static int skip_value(struct decoder *decoder) {
    int status = tycho__msgpack_skip(&decoder->reader);

    return status == TYCHO__MSGPACK_OK ? TYCHO_OK : malformed(decoder, status);
}

/* Moves to the value of the wanted key among `count` pairs: of the last such, as decoding has it.
** `found` says whether there is one. */
static int seek_key(struct decoder *decoder, uint64_t count, const struct step *wanted,
                    int *found) {
    size_t value = 0;

    count -= tycho__msgpack_pass(&decoder->reader, count, wanted->name, wanted->name_size, &value);
    while (count > 0) {
        struct tycho__msgpack_token key;
        int status = read_key(decoder, &key);

        if (status == TYCHO_OK) {
            if (is_key(&key, wanted)) {
                value = decoder->reader.offset;
            }
            status = skip_value(decoder);
        }
        if (status != TYCHO_OK) {
            return status;
        }
        count--;
        count -= tycho__msgpack_pass(&decoder->reader, count, wanted->name, wanted->name_size,
                                     &value);
    }
    *found = value > 0;
    decoder->reader.offset = value;
    return TYCHO_OK;
}

/* Moves to the item `index`, from 1 on, of an array of `count`. */
static int seek_item(struct decoder *decoder, uint64_t count, lua_Integer index, int *found) {
    if (index < 1 || (uint64_t)index > count) {
        return TYCHO_OK;
    }
    for (; index > 1; index--) {
        int status = skip_value(decoder);

        if (status != TYCHO_OK) {
            return status;
        }
    }
    *found = 1;
    return TYCHO_OK;
}

/* Follows one key into the value at the reader's offset. */
static int seek(struct decoder *decoder, const struct step *wanted, int *found) {
    struct tycho__msgpack_token token;
    int status = tycho__msgpack_next(&decoder->reader, &token);

    *found = 0;
    if (status != TYCHO__MSGPACK_OK) {
        return malformed(decoder, status);
    }
    if (token.kind == TYCHO__MSGPACK_MAP) {
        return seek_key(decoder, token.count, wanted, found);
    }
    if (token.kind == TYCHO__MSGPACK_ARRAY && wanted->name_size == NO_NAME) {
        return seek_item(decoder, token.count, wanted->index, found);
    }
    return TYCHO_OK;
}

/* Reads the key at a slot of the Lua stack; 0 when it is neither a string nor an integer. */
static int to_step(lua_State *L, int index, struct step *wanted) {
    if (lua_type(L, index) == LUA_TSTRING) {
        wanted->name = lua_tolstring(L, index, &wanted->name_size);
        return 1;
    }
    wanted->name = NULL;
    wanted->name_size = NO_NAME;
    wanted->index = lua_tointeger(L, index);
    return lua_isinteger(L, index);
}

int tycho__lua_field(lua_State *L, const void *data, size_t size, int first, int count) {
    struct decoder decoder;
    int top = lua_gettop(L);
    int found = 1;
    int i;

    decoder.L = L;
    decoder.reader = (struct tycho__msgpack_reader){data, size, 0};
    for (i = 0; i < count && found; i++) {
        struct step wanted;
        int status;

        if (!to_step(L, first + i, &wanted)) {
            lua_pushfstring(L, "key %d must be a string or an integer, got %s", i + 1,
                            luaL_typename(L, first + i));
            return TYCHO_MISUSE;
        }
        status = seek(&decoder, &wanted, &found);
        if (status != TYCHO_OK) {
            return status;
        }
    }
    if (!found) {
        lua_pushnil(L);
        return TYCHO_OK;
    }
    return finish(&decoder, top, decode_value(&decoder));
}
