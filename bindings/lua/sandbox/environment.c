/* environment.c - the environment of scripts: an allow-list, read-only.
**
**     _ENV (empty) --metatable--> __index --> globals --metatable--> __index raises
**                                 __newindex raises
**
** A frozen table is an empty one in front of its contents, which nobody can get at; the metatable
** is hidden. The libraries are frozen; so is what the host adds. The registry's globals are the
** environment, so that every chunk gets it.
*/
#include "state.h"

#include <assert.h>

const char tycho__host_message = 0, tycho__host_frozen = 0;

/* ---------------------------------------------------------------- frozen tables */

static const char *shown_key(lua_State *L, int index) {
    return lua_type(L, index) == LUA_TSTRING ? lua_tostring(L, index) : luaL_typename(L, index);
}

static int refuse_change(lua_State *L) {
    return luaL_error(L, "this table is read-only: '%s' cannot be set", shown_key(L, 2));
}

static int contents_size(lua_State *L) {
    lua_pushinteger(L, tycho__host_contents(L, 1) ? (lua_Integer)lua_rawlen(L, -1) : 0);
    return 1;
}

/* Replaces the contents on top of the stack by a table in front of them. */
static void freeze(lua_State *L, lua_CFunction newindex) {
    luaL_checkstack(L, 5, "no room to freeze a table");
    lua_newtable(L);
    lua_createtable(L, 0, 5);
    lua_pushvalue(L, -3);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, newindex);
    lua_setfield(L, -2, "__newindex");
    lua_pushcfunction(L, contents_size);
    lua_setfield(L, -2, "__len");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pushvalue(L, -3);
    lua_rawsetp(L, -2, &tycho__host_frozen);
    lua_setmetatable(L, -2);
    lua_remove(L, -2);
}

void tycho__sandbox_freeze(lua_State *L) {
    assert(lua_istable(L, -1));
    freeze(L, refuse_change);
}

int tycho__host_contents(lua_State *L, int index) {
    if (!lua_getmetatable(L, index)) return 0;
    lua_rawgetp(L, -1, &tycho__host_frozen);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 2);
        return 0;
    }
    lua_remove(L, -2);
    return 1;
}

void tycho__host_check_readable(lua_State *L, int index) {
    luaL_checktype(L, index, LUA_TTABLE);
    tycho__host_fill(L, index);
    if (tycho__host_contents(L, index)) lua_replace(L, index);
}

void tycho__host_check_writable(lua_State *L, int index) {
    luaL_checktype(L, index, LUA_TTABLE);
    tycho__host_fill(L, index);
    if (tycho__host_contents(L, index)) luaL_argerror(L, index, "this table is read-only");
}

/* ---------------------------------------------------------------- globals */

static int refuse_global(lua_State *L) {
    return luaL_error(L, "the global '%s' cannot be set: declare it with 'local'", shown_key(L, 2));
}

static int refuse_unknown(lua_State *L) {
    return luaL_error(L, "there is no global '%s'", shown_key(L, 2));
}

static void add_library(lua_State *L, const char *name, void (*open)(lua_State *)) {
    open(L);
    tycho__sandbox_freeze(L);
    lua_setfield(L, -2, name);
}

/* The table of globals, with what the host adds. */
static void push_globals(lua_State *L) {
    const struct tycho__sandbox_options *options = &tycho__host(L)->options;
    tycho__host_open_base(L);
    add_library(L, "coroutine", tycho__host_open_coroutine);
    add_library(L, "math", tycho__host_open_math);
    add_library(L, "string", tycho__host_open_string);
    add_library(L, "table", tycho__host_open_table);
    add_library(L, "utf8", tycho__host_open_utf8);
    if (options->open != NULL) {
        options->open(L, options->open_context);
        assert(lua_gettop(L) == 1);
    }
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, refuse_unknown);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, -2);
}

/* Strings find their methods in the library; there is nothing else in their metatable. */
static void set_string_metatable(lua_State *L) {
    lua_pushliteral(L, "");
    lua_createtable(L, 0, 2);
    lua_getfield(L, 1, "string");
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
    lua_pop(L, 1);
}

void tycho__host_open(lua_State *L) {
    assert(lua_gettop(L) == 0);
    push_globals(L);
    set_string_metatable(L);
    freeze(L, refuse_global);
    lua_rawseti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
}
