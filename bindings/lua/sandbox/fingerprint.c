/* fingerprint.c - all that a module reaches, as one number: its tables, functions and their
** upvalues, by what they are and hold. A handler that keeps something changes it.
**
** A walk with a queue in a Lua table. What is frozen belongs to the host, and is not looked into.
** The fields of a table, and the objects, are summed up, since the order in which Lua has them
** changes when a field was added and taken out again, and is another one on each machine.
*/
#include "state.h"

#include <stdbool.h>
#include <string.h>

enum { QUEUE = 1, SEEN = 2, OBJECT = 3, TEXT_SAMPLE = 64 };

struct walk {
    uint64_t number; /* of the field or the object that is looked at */
    uint64_t sum;    /* of all objects */
    lua_Integer queued;
};

static void mix(struct walk *walk, uint64_t value) {
    uint64_t z = (walk->number ^ value) * UINT64_C(0x9e3779b97f4a7c15);
    walk->number = z ^ z >> 29;
}

static void mix_bytes(struct walk *walk, const void *data, size_t size) {
    const unsigned char *bytes = data;
    for (size_t i = 0; i < size; i++) mix(walk, bytes[i]);
}

/* Puts the object on top of the stack into the queue, once. */
static void enqueue(lua_State *L, struct walk *walk) {
    const void *object = lua_topointer(L, -1);
    if (lua_rawgetp(L, SEEN, object) == LUA_TNIL) {
        lua_pushboolean(L, 1);
        lua_rawsetp(L, SEEN, object);
        lua_pushvalue(L, -2);
        lua_rawseti(L, QUEUE, ++walk->queued);
    }
    lua_pop(L, 1);
}

/* Mixes the value on top of the stack, and queues what is behind it. */
static void mix_value(lua_State *L, struct walk *walk) {
    int type = lua_type(L, -1);
    const char *text;
    size_t size;
    mix(walk, (uint64_t)type);
    if (type == LUA_TNUMBER && lua_isinteger(L, -1)) {
        mix(walk, (uint64_t)lua_tointeger(L, -1));
    } else if (type == LUA_TNUMBER) {
        lua_Number number = lua_tonumber(L, -1);
        mix_bytes(walk, &number, sizeof number);
    } else if (type == LUA_TBOOLEAN) {
        mix(walk, (uint64_t)lua_toboolean(L, -1));
    } else if (type == LUA_TSTRING) {
        text = lua_tolstring(L, -1, &size);
        mix(walk, size);
        mix_bytes(walk, text, size < TEXT_SAMPLE ? size : TEXT_SAMPLE);
    }
    if (type != LUA_TNIL && type != LUA_TNUMBER && type != LUA_TBOOLEAN) {
        mix(walk, (uint64_t)(uintptr_t)lua_topointer(L, -1));
    }
    if (type == LUA_TTABLE || type == LUA_TFUNCTION) enqueue(L, walk);
    if (type == LUA_TTHREAD) luaL_error(L, "the module keeps a coroutine between two calls");
}

/* Mixes the table at OBJECT. */
static void mix_table(lua_State *L, struct walk *walk) {
    if (tycho__host_contents(L, OBJECT)) return;
    if (tycho__host_has_metatable(L, OBJECT)) mix_value(L, walk);
    lua_settop(L, OBJECT);
    uint64_t own = walk->number, fields = 0;
    lua_pushnil(L);
    while (lua_next(L, OBJECT) != 0) {
        if (lua_touserdata(L, -2) != &tycho__host_fixed) {
            walk->number = 0;
            mix_value(L, walk);
            lua_pushvalue(L, -2);
            mix_value(L, walk);
            lua_pop(L, 1);
            fields += walk->number;
        }
        lua_pop(L, 1);
    }
    walk->number = own;
    mix(walk, fields);
}

/* Mixes the upvalues of the function at OBJECT. A userdata of a function of ours is what an
** iterator keeps. */
static void mix_function(lua_State *L, struct walk *walk) {
    bool is_ours = lua_iscfunction(L, OBJECT);
    for (int i = 1; lua_getupvalue(L, OBJECT, i) != NULL; i++) {
        mix_value(L, walk);
        if (is_ours && lua_type(L, -1) == LUA_TUSERDATA) {
            mix_bytes(walk, lua_touserdata(L, -1), lua_rawlen(L, -1));
        }
        lua_pop(L, 1);
    }
}

uint64_t tycho__host_fingerprint(lua_State *L) {
    struct walk walk = {0, 0, 0};
    lua_settop(L, 0);
    lua_newtable(L);
    lua_newtable(L);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &tycho__host_module);
    mix_value(L, &walk);
    walk.sum = walk.number;
    for (lua_Integer i = 1; i <= walk.queued; i++) {
        lua_settop(L, SEEN);
        lua_rawgeti(L, QUEUE, i);
        walk.number = (uint64_t)(uintptr_t)lua_topointer(L, OBJECT);
        if (lua_istable(L, OBJECT)) {
            mix_table(L, &walk);
        } else {
            mix_function(L, &walk);
        }
        walk.sum += walk.number;
    }
    lua_settop(L, 0);
    return walk.sum;
}
