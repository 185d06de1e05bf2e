/* value.c - strings and integers between Lua and the engine. */
#include "binding.h"

/* A value for a message: strings in quotes, numbers as they are, else the type. */
static const char *describe(lua_State *L, int index) {
    switch (lua_type(L, index)) {
    case LUA_TNUMBER:
    case LUA_TBOOLEAN:
        return luaL_tolstring(L, index, NULL);
    case LUA_TNONE:
    case LUA_TNIL:
        return "nil";
    default:
        return luaL_typename(L, index);
    }
}

tycho_bytes tycho__lua_bytes(lua_State *L, int index, const char *what) {
    tycho_bytes bytes = {NULL, 0};
    if (lua_type(L, index) != LUA_TSTRING)
        tycho__lua_misuse(L, "%s must be a string, got %s", what, describe(L, index));
    bytes.data = lua_tolstring(L, index, &bytes.size);
    return bytes;
}

tycho_bytes tycho__lua_optional_bytes(lua_State *L, int index, const char *what) {
    const tycho_bytes none = {NULL, 0};
    if (lua_isnoneornil(L, index)) return none;
    const tycho_bytes bytes = tycho__lua_bytes(L, index, what);
    if (bytes.size == 0) tycho__lua_misuse(L, "%s must not be empty", what);
    return bytes;
}

int64_t tycho__lua_integer(lua_State *L, int index, const char *what) {
    int is_integer = 0;
    const lua_Integer value = lua_tointegerx(L, index, &is_integer);
    if (!is_integer || lua_type(L, index) != LUA_TNUMBER)
        tycho__lua_misuse(L, "%s must be an integer, got %s", what, describe(L, index));
    return value;
}

void tycho__lua_push_bytes(lua_State *L, tycho_bytes bytes) {
    lua_pushlstring(L, bytes.size == 0 ? "" : bytes.data, bytes.size);
}

void tycho__lua_set_bytes(lua_State *L, const char *name, tycho_bytes bytes) {
    if (bytes.size == 0) return;
    tycho__lua_push_bytes(L, bytes);
    lua_setfield(L, -2, name);
}

void tycho__lua_set_integer(lua_State *L, const char *name, int64_t value) {
    lua_pushinteger(L, value);
    lua_setfield(L, -2, name);
}

void tycho__lua_set_boolean(lua_State *L, const char *name, int value) {
    lua_pushboolean(L, value);
    lua_setfield(L, -2, name);
}
