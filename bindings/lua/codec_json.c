/* codec_json.c - JSON text to the Lua stack. See codec.h.
**
** Frames as in codec_msgpack.c. JSON has no binary: an object whose only key is "base64", with the
** text that json_write.c would write, is one. Anything else with that key stays an object, so that
** text which is read and written again stays the same.
*/
#include "codec.h"

#include <string.h>

#include <lauxlib.h>

#include "codec_state.h"
#include "tycho.h"

struct frame {
    lua_Integer index; /* items or pairs so far */
    int is_object;
    int is_base64; /* the last key was "base64" */
};

struct decoder {
    lua_State *L;
    struct tycho__lua_codec *codec;
    struct tycho__json_reader reader;
    int depth;
    struct frame frames[TYCHO__DEPTH_MAX];
};

/* Moves the complete value on top of the stack into the table that waits for it, if one does. */
static void store_value(struct decoder *decoder) {
    struct frame *frame;

    if (decoder->depth == 0) {
        return;
    }
    frame = &decoder->frames[decoder->depth - 1];
    frame->index++;
    if (frame->is_object) {
        lua_rawset(decoder->L, -3);
    } else {
        lua_rawseti(decoder->L, -2, frame->index);
    }
}

static void open_table(struct decoder *decoder, int is_object) {
    lua_State *L = decoder->L;
    unsigned room = decoder->codec->key_counts[decoder->depth];
    struct frame *frame = &decoder->frames[decoder->depth++];

    luaL_checkstack(L, 8, "no room to decode");
    frame->index = 0;
    frame->is_object = is_object;
    frame->is_base64 = 0;
    if (is_object) {
        lua_createtable(L, 0, (int)room);
    } else {
        lua_newtable(L);
        tycho__lua_push_array_mark(L);
        lua_setmetatable(L, -2);
    }
}

static void push_key(struct decoder *decoder, const struct tycho__json_token *token) {
    decoder->frames[decoder->depth - 1].is_base64 =
        token->size == 6 && memcmp(token->data, "base64", 6) == 0;
    lua_pushlstring(decoder->L, token->data, token->size);
}

/* Replaces {"base64": text}, which is on top of the stack, by its bytes, if that is what it is. */
static void convert_binary(struct decoder *decoder) {
    lua_State *L = decoder->L;
    struct tycho_buffer *bytes = &decoder->codec->scratch;
    const char *text;
    size_t size;

    lua_pushliteral(L, "base64");
    lua_rawget(L, -2);
    tycho__payload_clear(bytes);
    if (lua_type(L, -1) == LUA_TSTRING) {
        text = lua_tolstring(L, -1, &size);
        if (tycho__base64_decode(bytes, text, size)) {
            /* By way of a string: Lua copies it before the collector can run. */
            text = lua_pushlstring(L, (const char *)bytes->data, bytes->size);
            tycho__lua_push_binary(L, text, (size_t)lua_rawlen(L, -1));
            lua_replace(L, -4);
            lua_pop(L, 1);
        } else if (bytes->failed != 0) {
            luaL_error(L, "no memory to decode %d bytes of base64", (int)size);
        }
    }
    lua_pop(L, 1);
}

static void close_table(struct decoder *decoder) {
    struct frame *frame = &decoder->frames[--decoder->depth];

    if (frame->is_object) {
        decoder->codec->key_counts[decoder->depth] =
            frame->index < TYCHO__LUA_KEYS_MAX ? (unsigned)frame->index : TYCHO__LUA_KEYS_MAX;
    }
    if (frame->is_base64 && frame->index == 1) {
        convert_binary(decoder);
    }
    store_value(decoder);
}

/* Does what the token says. */
static void take_token(struct decoder *decoder, const struct tycho__json_token *token) {
    lua_State *L = decoder->L;

    switch (token->kind) {
    case TYCHO__JSON_NULL: tycho__lua_push_null(L); break;
    case TYCHO__JSON_BOOLEAN: lua_pushboolean(L, token->boolean); break;
    case TYCHO__JSON_INTEGER: lua_pushinteger(L, token->integer); break;
    case TYCHO__JSON_FLOAT: lua_pushnumber(L, token->number); break;
    case TYCHO__JSON_STRING: lua_pushlstring(L, token->data, token->size); break;
    case TYCHO__JSON_KEY: push_key(decoder, token); return;
    case TYCHO__JSON_ARRAY_BEGIN: open_table(decoder, 0); return;
    case TYCHO__JSON_OBJECT_BEGIN: open_table(decoder, 1); return;
    case TYCHO__JSON_ARRAY_END:
    case TYCHO__JSON_OBJECT_END: close_table(decoder); return;
    case TYCHO__JSON_END_OF_TEXT: return;
    }
    store_value(decoder);
}

int tycho__lua_decode_json(lua_State *L, const char *text, size_t size) {
    struct tycho__json_token token = {.kind = TYCHO__JSON_NULL};
    struct decoder decoder;
    int top = lua_gettop(L);

    luaL_checkstack(L, 8, "no room to decode");
    if (size > TYCHO__JSON_SIZE_MAX) {
        lua_pushfstring(L, "JSON text is larger than %d MiB", (int)(TYCHO__JSON_SIZE_MAX >> 20));
        return TYCHO_TOO_LARGE;
    }
    decoder.L = L;
    decoder.codec = tycho__lua_codec(L);
    decoder.depth = 0;
    tycho__lua_trim_buffer(&decoder.codec->scratch);
    tycho__json_begin(&decoder.reader, text, size, &decoder.codec->scratch);
    while (token.kind != TYCHO__JSON_END_OF_TEXT) {
        if (!tycho__json_next(&decoder.reader, &token)) {
            lua_settop(L, top);
            lua_pushfstring(L, "JSON: %s (byte %I)", decoder.reader.failure,
                            (lua_Integer)decoder.reader.offset + 1);
            return TYCHO_MISUSE;
        }
        take_token(&decoder, &token);
    }
    return TYCHO_OK;
}
