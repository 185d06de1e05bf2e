/* metatable.c - setmetatable() and getmetatable() of scripts.
**
** The metatable of a table is a hidden copy of what the script gave, with the metamethods that are
** allowed. Never __gc (runs with hooks off), __mode, __close, __concat (bugs of Lua 5.4.4), nor
** __metatable, __name, __pairs. They are functions, since Lua follows a chain of __call values
** within one instruction, for ever where it is a loop. So it does with __index and __newindex, up
** to 2,000 tables: here up to 16, which is the `height` of a table. To know it, chains are built
** from their end: a table that serves as the __index of another is `fixed`.
**
** Fields of the hidden metatable that scripts do not see, by address:
**     original   what the script gave, for getmetatable()
**     height     tables behind this one
**     fixed      true when it serves
*/
#include "state.h"

#include <assert.h>
#include <string.h>

enum { HEIGHT_MAX = 16 };

/* Keys of the registry and of hidden metatables: the addresses of these. */
static const char metamethods = 0, original = 0, chain_height = 0;
const char tycho__host_fixed = 0;

static const char *const allowed[] = {
    "__add",  "__band",  "__bnot", "__bor",      "__bxor", "__call", "__div", "__eq",
    "__idiv", "__index", "__le",   "__len",      "__lt",   "__mod",  "__mul", "__newindex",
    "__shl",  "__shr",   "__sub",  "__tostring", "__unm",
};
enum { ALLOWED = sizeof allowed / sizeof *allowed };
static_assert(ALLOWED <= 32, "each has a bit");

/* Pushes the hidden metatable of the table at `index`: 1; pushes nothing when it has none. A
** metatable that the host made is not one: raises. */
static int push_hidden(lua_State *L, int index) {
    if (!lua_getmetatable(L, index)) return 0;
    if (lua_rawgetp(L, -1, &chain_height) == LUA_TNIL) {
        luaL_error(L, "the metatable of this table is protected");
    }
    lua_pop(L, 1);
    return 1;
}

/* The height of the table at `index`, from now on fixed. */
static int fix(lua_State *L, int index) {
    int height = 1; /* what the host made is at most so high */
    tycho__host_fill(L, index);
    if (!lua_getmetatable(L, index)) {
        lua_createtable(L, 0, 3);
        lua_pushboolean(L, 0);
        lua_setfield(L, -2, "__metatable");
        lua_pushinteger(L, 0);
        lua_rawsetp(L, -2, &chain_height);
        lua_pushvalue(L, -1);
        lua_setmetatable(L, index);
    }
    if (lua_rawgetp(L, -1, &chain_height) != LUA_TNIL) {
        height = (int)lua_tointeger(L, -1);
        lua_pushboolean(L, 1);
        lua_rawsetp(L, -3, &tycho__host_fixed);
    }
    lua_pop(L, 2);
    return height;
}

/* Checks the metamethod `name`, whose value is on top of the stack; returns the height it gives. */
static int check_metamethod(lua_State *L, const char *name) {
    int may_be_table = strcmp(name, "__index") == 0 || strcmp(name, "__newindex") == 0;
    if (lua_isfunction(L, -1)) return 0;
    if (!may_be_table || !lua_istable(L, -1)) {
        luaL_error(L, "setmetatable: %s is a %s, not a function", name, luaL_typename(L, -1));
    }
    if (lua_rawequal(L, -1, 1)) luaL_error(L, "setmetatable: %s is the table itself", name);
    int height = fix(L, lua_gettop(L)) + 1;
    if (height > HEIGHT_MAX) {
        luaL_error(L, "setmetatable: more than %d tables in a chain of %s", HEIGHT_MAX, name);
    }
    return height;
}

static int is_metamethod_name(lua_State *L, int index) {
    size_t size;
    if (lua_type(L, index) != LUA_TSTRING) return 0;
    const char *text = lua_tolstring(L, index, &size);
    return size > 2 && text[0] == '_' && text[1] == '_';
}

/* The metamethods in the table at slot 2, each a bit. Refuses names that scripts may not have: the
** first one in the order of bytes is told, whatever order Lua has them in. */
static uint32_t find_metamethods(lua_State *L) {
    const char *refused = NULL;
    uint32_t found = 0;
    tycho__host_charge(L, TYCHO__SANDBOX_SCAN);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &metamethods);
    int names = lua_gettop(L);
    lua_pushnil(L);
    while (lua_next(L, 2) != 0) {
        tycho__host_charge(L, 1);
        lua_pop(L, 1);
        if (!is_metamethod_name(L, names + 1)) continue;
        lua_pushvalue(L, names + 1);
        if (lua_rawget(L, names) != LUA_TNIL) {
            found |= UINT32_C(1) << lua_tointeger(L, -1);
        } else {
            const char *name = lua_tostring(L, names + 1);
            if (refused == NULL || strcmp(name, refused) < 0) refused = name;
        }
        lua_pop(L, 1);
    }
    if (refused != NULL) luaL_error(L, "setmetatable: there is no %s for scripts", refused);
    lua_settop(L, names - 1);
    tycho__host_clear_above(L);
    return found;
}

/* Copies metamethods from slot 2 to the metatable at slot 3; returns the height. */
static int copy_metamethods(lua_State *L) {
    int height = 0;
    for (uint32_t found = find_metamethods(L); found != 0; found &= found - 1) {
        const char *name = allowed[__builtin_ctz(found)];
        lua_pushstring(L, name);
        lua_pushvalue(L, -1);
        lua_rawget(L, 2);
        int own = check_metamethod(L, name);
        if (own > height) height = own;
        lua_rawset(L, 3);
    }
    return height;
}

int tycho__host_has_metatable(lua_State *L, int index) {
    if (!lua_getmetatable(L, index)) return 0;
    int is_host = lua_rawgetp(L, -1, &chain_height) == LUA_TNIL;
    int is_script = lua_rawgetp(L, -2, &original) != LUA_TNIL;
    lua_pop(L, is_host || is_script ? 2 : 3);
    return is_host || is_script;
}

int tycho__host_setmetatable(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_argexpected(L, lua_isnil(L, 2) || lua_istable(L, 2), 2, "nil or table");
    lua_settop(L, 2);
    tycho__host_fill(L, 1);
    if (push_hidden(L, 1)) {
        if (lua_rawgetp(L, -1, &tycho__host_fixed) != LUA_TNIL) {
            return luaL_error(L, "setmetatable: this table serves as the __index of another "
                                 "already: give it its own metatable first");
        }
        lua_settop(L, 2);
    }
    if (lua_isnil(L, 2)) {
        lua_setmetatable(L, 1);
        return 1;
    }
    tycho__host_check_readable(L, 2);
    lua_createtable(L, 0, 5);
    int height = copy_metamethods(L);
    lua_pushboolean(L, 0);
    lua_setfield(L, 3, "__metatable");
    lua_pushvalue(L, 2);
    lua_rawsetp(L, 3, &original);
    lua_pushinteger(L, height);
    lua_rawsetp(L, 3, &chain_height);
    lua_setmetatable(L, 1);
    lua_settop(L, 1);
    return 1;
}

int tycho__host_getmetatable(lua_State *L) {
    luaL_checkany(L, 1);
    lua_settop(L, 1);
    tycho__host_fill(L, 1);
    if (!lua_getmetatable(L, 1)) {
        lua_pushnil(L);
    } else if (lua_rawgetp(L, 2, &chain_height) == LUA_TNIL) {
        lua_pushboolean(L, 0); /* made by the host */
    } else {
        lua_rawgetp(L, 2, &original);
    }
    return 1;
}

/* Makes the table of allowed names, with their places in the list, once a state. */
void tycho__host_open_metatables(lua_State *L) {
    lua_createtable(L, 0, ALLOWED);
    for (int i = 0; i < ALLOWED; i++) {
        lua_pushinteger(L, i);
        lua_setfield(L, -2, allowed[i]);
    }
    lua_rawsetp(L, LUA_REGISTRYINDEX, &metamethods);
}
