/* codec.c - what both payload codecs share: tycho.null, arrays, binaries, buffers, and the tables
** that Lua sees. See codec.h for how values are mapped.
**
** All that must be one per Lua state is kept in the registry under the addresses below, because
** luaopen may run several times in one state: the codec's own memory (CODEC), the metatable of
** arrays (ARRAY). The metatable of binaries has a name there, as luaL_checkudata wants it.
*/
#include "codec.h"

#include <string.h>

#include <lauxlib.h>

#include "codec_state.h"
#include "tycho.h"

static const char CODEC[] = "tycho codec";
static const char ARRAY[] = "tycho array";
static const char BINARY_NAME[] = "tycho.Binary";
static const char BUFFER_NAME[] = "tycho.buffer";

/* ---------------------------------------------------------------- memory */

static int free_buffer(lua_State *L) {
    tycho__payload_free(lua_touserdata(L, 1));
    return 0;
}

/* Pushes a metatable, made when it is missing, whose __gc is `collect`. */
static void push_metatable(lua_State *L, const char *name, lua_CFunction collect) {
    if (luaL_newmetatable(L, name)) {
        lua_pushcfunction(L, collect);
        lua_setfield(L, -2, "__gc");
    }
}

struct tycho_buffer *tycho__lua_new_buffer(lua_State *L) {
    struct tycho_buffer *buffer = lua_newuserdatauv(L, sizeof(*buffer), 0);

    memset(buffer, 0, sizeof(*buffer));
    push_metatable(L, BUFFER_NAME, free_buffer);
    lua_setmetatable(L, -2);
    return buffer;
}

static int free_codec(lua_State *L) {
    struct tycho__lua_codec *codec = lua_touserdata(L, 1);

    tycho__payload_free(&codec->output);
    tycho__payload_free(&codec->entries);
    tycho__payload_free(&codec->scratch);
    tycho__payload_free(&codec->tables.slots);
    return 0;
}

static void create_codec(lua_State *L) {
    struct tycho__lua_codec *codec = lua_newuserdatauv(L, sizeof(*codec), 0);

    memset(codec, 0, sizeof(*codec));
    push_metatable(L, CODEC, free_codec);
    lua_setmetatable(L, -2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, CODEC);
}

struct tycho__lua_codec *tycho__lua_codec(lua_State *L) {
    struct tycho__lua_codec *codec;

    lua_rawgetp(L, LUA_REGISTRYINDEX, CODEC);
    codec = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return codec;
}

void tycho__lua_trim_buffer(struct tycho_buffer *buffer) {
    if (buffer->capacity > TYCHO__LUA_KEPT_MAX) {
        tycho__payload_free(buffer);
    }
    tycho__payload_clear(buffer);
}

/* ---------------------------------------------------------------- sets */

enum { SET_ROOM = 64 };

/* The slot where an address is, or would be: there is always one more than there are addresses. */
static size_t find_slot(const void *const *slots, size_t room, const void *address) {
    size_t at = (size_t)(((uint64_t)(uintptr_t)address >> 4) * UINT64_C(0x9e3779b97f4a7c15) >> 32);

    for (at &= room - 1; slots[at] != NULL && slots[at] != address; at = (at + 1) & (room - 1)) {
    }
    return at;
}

/* Doubles the slots. */
static int grow_set(struct tycho__lua_set *set) {
    const void **old = (const void **)(void *)set->slots.data, **slots;
    size_t room = set->slots.size / sizeof(*old), new_room = room > 0 ? 2 * room : SET_ROOM, i;
    struct tycho_buffer buffer = {0};

    slots = (const void **)(void *)tycho__payload_reserve(&buffer, new_room * sizeof(*slots));
    if (slots == NULL) {
        set->slots.failed = buffer.failed;
        return 0;
    }
    buffer.size = new_room * sizeof(*slots);
    memset(slots, 0, buffer.size);
    for (i = 0; i < room; i++) {
        if (old[i] != NULL) slots[find_slot(slots, new_room, old[i])] = old[i];
    }
    tycho__payload_free(&set->slots);
    set->slots = buffer;
    return 1;
}

void tycho__lua_set_clear(struct tycho__lua_set *set) {
    set->count = 0;
    set->slots.failed = 0;
    if (set->slots.size > SET_ROOM * sizeof(void *)) tycho__payload_free(&set->slots);
    if (set->slots.size > 0) memset(set->slots.data, 0, set->slots.size);
}

int tycho__lua_set_add(struct tycho__lua_set *set, const void *address) {
    const void **slots;
    size_t room = set->slots.size / sizeof(*slots), at;

    if (2 * (set->count + 1) > room) {
        if (!grow_set(set)) return 0;
        room = set->slots.size / sizeof(*slots);
    }
    slots = (const void **)(void *)set->slots.data;
    at = find_slot(slots, room, address);
    if (slots[at] != NULL) return 1;
    slots[at] = address;
    set->count++;
    return 0;
}

/* ---------------------------------------------------------------- null, arrays */

void tycho__lua_push_null(lua_State *L) {
    lua_pushlightuserdata(L, NULL);
}

void tycho__lua_push_array_mark(lua_State *L) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, ARRAY);
}

static void create_array_mark(lua_State *L) {
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "tycho.array");
    lua_setfield(L, -2, "__name");
    lua_rawsetp(L, LUA_REGISTRYINDEX, ARRAY);
}

enum tycho__lua_shape tycho__lua_find_shape(lua_State *L, int table, size_t *count) {
    lua_Unsigned border = lua_rawlen(L, table);
    lua_Unsigned items = 0;
    int is_array = 1;

    lua_pushnil(L);
    while (lua_next(L, table)) {
        lua_Integer key = lua_isinteger(L, -2) ? lua_tointeger(L, -2) : 0;

        if (items == 0 && lua_type(L, -2) == LUA_TSTRING) {
            lua_pop(L, 2);
            return TYCHO__SHAPE_MAP;
        }
        if (key < 1) {
            return TYCHO__SHAPE_BAD_KEY;
        }
        is_array = is_array && (lua_Unsigned)key <= border;
        items++;
        lua_pop(L, 1);
    }
    *count = (size_t)items;
    if (is_array && items == border) {
        return items == 0 ? TYCHO__SHAPE_EMPTY : TYCHO__SHAPE_ARRAY;
    }
    for (*count = 1; lua_rawgeti(L, table, (lua_Integer)*count) != LUA_TNIL; (*count)++) {
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return TYCHO__SHAPE_HOLES;
}

int tycho__lua_is_marked(lua_State *L, int table, int array_mark) {
    int marked = 0;

    if (lua_getmetatable(L, table)) {
        marked = lua_rawequal(L, -1, array_mark);
        lua_pop(L, 1);
    }
    return marked;
}

int tycho__lua_is_array(lua_State *L, int index) {
    int top = lua_gettop(L);
    size_t count;
    enum tycho__lua_shape shape;

    if (lua_type(L, index) != LUA_TTABLE) {
        return 0;
    }
    index = lua_absindex(L, index);
    tycho__lua_push_array_mark(L);
    shape = tycho__lua_find_shape(L, index, &count);
    lua_settop(L, top + 1);
    if (shape == TYCHO__SHAPE_EMPTY && !tycho__lua_is_marked(L, index, top + 1)) {
        shape = TYCHO__SHAPE_MAP;
    }
    lua_settop(L, top);
    return shape == TYCHO__SHAPE_EMPTY || shape == TYCHO__SHAPE_ARRAY;
}

/* tycho.array(t?): marks a table as an array. */
static int lua_array(lua_State *L) {
    if (lua_isnoneornil(L, 1)) {
        lua_settop(L, 0);
        lua_newtable(L);
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    tycho__lua_push_array_mark(L);
    if (lua_getmetatable(L, 1)) {
        luaL_argcheck(L, lua_rawequal(L, -1, -2), 1, "the table has a metatable already");
        lua_pop(L, 1);
    }
    lua_setmetatable(L, 1);
    return 1;
}

/* tycho.is_array(v): marked, or a table that is written as an array for its keys 1 to n. */
static int lua_is_array(lua_State *L) {
    luaL_checkany(L, 1);
    lua_pushboolean(L, tycho__lua_is_array(L, 1));
    return 1;
}

/* ---------------------------------------------------------------- binaries */

void tycho__lua_push_binary(lua_State *L, const void *data, size_t size) {
    void *bytes = lua_newuserdatauv(L, size, 0);

    if (size > 0) {
        memcpy(bytes, data, size);
    }
    luaL_setmetatable(L, BINARY_NAME);
}

const char *tycho__lua_to_binary(lua_State *L, int index, size_t *size) {
    const char *bytes = luaL_testudata(L, index, BINARY_NAME);

    *size = bytes == NULL ? 0 : (size_t)lua_rawlen(L, index);
    return bytes;
}

static const char *check_binary(lua_State *L, int index, size_t *size) {
    luaL_checkudata(L, index, BINARY_NAME);
    return tycho__lua_to_binary(L, index, size);
}

/* tycho.binary(bytes) */
static int lua_binary(lua_State *L) {
    size_t size;
    const char *bytes;

    luaL_checktype(L, 1, LUA_TSTRING);
    bytes = lua_tolstring(L, 1, &size);
    tycho__lua_push_binary(L, bytes, size);
    return 1;
}

static int binary_tostring(lua_State *L) {
    size_t size;
    const char *bytes = check_binary(L, 1, &size);

    lua_pushlstring(L, bytes, size);
    return 1;
}

static int binary_index(lua_State *L) {
    if (lua_type(L, 2) == LUA_TSTRING && strcmp(lua_tostring(L, 2), "bytes") == 0) {
        return binary_tostring(L);
    }
    return luaL_error(L, "a tycho.Binary has no field '%s'", luaL_tolstring(L, 2, NULL));
}

static int binary_len(lua_State *L) {
    size_t size;

    check_binary(L, 1, &size);
    lua_pushinteger(L, (lua_Integer)size);
    return 1;
}

static int binary_eq(lua_State *L) {
    size_t size;
    size_t other_size = 0;
    const char *bytes = tycho__lua_to_binary(L, 1, &size);
    const char *other = tycho__lua_to_binary(L, 2, &other_size);

    lua_pushboolean(L, bytes != NULL && other != NULL && size == other_size &&
                           memcmp(bytes, other, size) == 0);
    return 1;
}

static void create_binary_metatable(lua_State *L) {
    static const luaL_Reg methods[] = {
        {"__tostring", binary_tostring}, {"__index", binary_index}, {"__len", binary_len},
        {"__eq", binary_eq},             {NULL, NULL},
    };

    luaL_newmetatable(L, BINARY_NAME);
    luaL_setfuncs(L, methods, 0);
    lua_pop(L, 1);
}

/* ---------------------------------------------------------------- the tables json and msgpack */

/* Raises the message on top of the stack at the caller's line. */
static int raise_message(lua_State *L) {
    luaL_where(L, 1);
    lua_insert(L, -2);
    lua_concat(L, 2);
    return lua_error(L);
}

/* Pushes what `encode` writes for the first argument. */
static int push_encoded(lua_State *L,
                        int (*encode)(lua_State *, int, const char *, struct tycho_buffer *)) {
    struct tycho_buffer *output = &tycho__lua_codec(L)->output;

    luaL_checkany(L, 1);
    tycho__lua_trim_buffer(output);
    if (encode(L, 1, "value", output) != TYCHO_OK) {
        return raise_message(L);
    }
    lua_pushlstring(L, (const char *)output->data, output->size);
    return 1;
}

static int msgpack_encode(lua_State *L) {
    return push_encoded(L, tycho__lua_encode);
}

static int json_encode(lua_State *L) {
    return push_encoded(L, tycho__lua_encode_json);
}

static int msgpack_decode(lua_State *L) {
    size_t size;
    const char *data = luaL_checklstring(L, 1, &size);

    return tycho__lua_decode(L, data, size) == TYCHO_OK ? 1 : raise_message(L);
}

static int json_decode(lua_State *L) {
    size_t size;
    const char *text = luaL_checklstring(L, 1, &size);

    return tycho__lua_decode_json(L, text, size) == TYCHO_OK ? 1 : raise_message(L);
}

void tycho__lua_open_codec(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"array", lua_array}, {"is_array", lua_is_array}, {"binary", lua_binary}, {NULL, NULL}};
    static const luaL_Reg msgpack[] = {
        {"encode", msgpack_encode}, {"decode", msgpack_decode}, {NULL, NULL}};
    static const luaL_Reg json[] = {
        {"encode", json_encode}, {"decode", json_decode}, {NULL, NULL}};

    if (lua_rawgetp(L, LUA_REGISTRYINDEX, CODEC) == LUA_TNIL) {
        create_array_mark(L);
        create_binary_metatable(L);
        create_codec(L);
    }
    lua_pop(L, 1);
    luaL_setfuncs(L, functions, 0);
    tycho__lua_push_null(L);
    lua_setfield(L, -2, "null");
    luaL_newlib(L, msgpack);
    lua_setfield(L, -2, "msgpack");
    luaL_newlib(L, json);
    lua_setfield(L, -2, "json");
}
