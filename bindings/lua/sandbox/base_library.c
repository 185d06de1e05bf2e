/* base_library.c - the global functions of scripts, but for those on metatables and pairs().
*/
#include "state.h"

#include <math.h>
#include <string.h>

static int base_assert(lua_State *L) {
    luaL_checkany(L, 1);
    if (lua_toboolean(L, 1)) return lua_gettop(L);
    if (lua_gettop(L) == 1) return luaL_error(L, "assertion failed!");
    lua_settop(L, 2);
    tycho__host_fill(L, 2);
    return lua_error(L);
}

static int base_error(lua_State *L) {
    lua_Integer level = tycho__host_optional_integer(L, 2, 1);
    lua_settop(L, 1);
    if (lua_type(L, 1) == LUA_TSTRING && level > 0 && level < 200) {
        luaL_where(L, (int)level);
        lua_pushvalue(L, 1);
        lua_concat(L, 2);
    }
    tycho__host_fill(L, 1); /* who looks for its message looks raw */
    return lua_error(L);
}

/* What the function returned, or what it raised; what is fatal is raised again. */
static int finish_pcall(lua_State *L, int status, lua_KContext context) {
    struct tycho__sandbox *sandbox = tycho__host(L);
    (void)context;
    if (status == LUA_ERRMEM && sandbox->fatal == TYCHO__SANDBOX_OK) {
        sandbox->fatal = TYCHO__SANDBOX_NO_MEMORY;
    }
    if (sandbox->fatal != TYCHO__SANDBOX_OK) return tycho__host_raise_fatal(L);
    if (status == LUA_OK || status == LUA_YIELD) return lua_gettop(L);
    tycho__host_charge(L, TYCHO__SANDBOX_ERROR);
    tycho__host_clear_error(sandbox);
    lua_pushboolean(L, 0);
    lua_insert(L, -2);
    return 2;
}

static int base_pcall(lua_State *L) {
    luaL_checkany(L, 1);
    tycho__host_charge(L, 1 + (size_t)lua_gettop(L) / TYCHO__SANDBOX_BYTES);
    lua_pushboolean(L, 1);
    lua_insert(L, 1);
    int status = lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, 0, finish_pcall);
    return finish_pcall(L, status, 0);
}

static int next_of_ipairs(lua_State *L) {
    lua_Integer index = tycho__host_integer(L, 2);
    if (index == LUA_MAXINTEGER) return luaL_error(L, "ipairs: no more integers");
    lua_pushinteger(L, ++index);
    return lua_geti(L, 1, index) == LUA_TNIL ? 1 : 2;
}

static int base_ipairs(lua_State *L) {
    luaL_checkany(L, 1);
    lua_pushcfunction(L, next_of_ipairs);
    lua_pushvalue(L, 1);
    lua_pushinteger(L, 0);
    return 3;
}

static int base_rawequal(lua_State *L) {
    luaL_checkany(L, 1);
    luaL_checkany(L, 2);
    lua_pushboolean(L, lua_rawequal(L, 1, 2));
    return 1;
}

static int base_rawget(lua_State *L) {
    tycho__host_check_readable(L, 1);
    luaL_checkany(L, 2);
    lua_settop(L, 2);
    lua_rawget(L, 1);
    return 1;
}

static int base_rawlen(lua_State *L) {
    if (lua_type(L, 1) != LUA_TSTRING) tycho__host_check_readable(L, 1);
    lua_pushinteger(L, (lua_Integer)lua_rawlen(L, 1));
    return 1;
}

static int base_rawset(lua_State *L) {
    tycho__host_check_writable(L, 1);
    luaL_checkany(L, 2);
    luaL_checkany(L, 3);
    lua_settop(L, 3);
    lua_rawset(L, 1);
    return 1;
}

static int base_select(lua_State *L) {
    int count = lua_gettop(L) - 1;
    tycho__host_charge(L, (size_t)count / TYCHO__SANDBOX_BYTES);
    if (lua_type(L, 1) == LUA_TSTRING && strcmp(lua_tostring(L, 1), "#") == 0) {
        lua_pushinteger(L, count);
        return 1;
    }
    lua_Integer from = tycho__host_integer(L, 1);
    luaL_argcheck(L, from != 0 && from >= -count, 1, "index out of range");
    if (from < 0) return (int)-from;
    return from > count ? 0 : count - (int)from + 1;
}

/* ---------------------------------------------------------------- text and numbers */

/* The value of an integer of the script in `base`; 0 when the text is none. */
static int parse_integer(const char *text, size_t size, lua_Integer base, lua_Integer *value) {
    static const char spaces[] = " \f\n\r\t\v";
    lua_Unsigned number = 0;
    size_t at = 0;
    int is_negative = 0, digits = 0;
    while (at < size && memchr(spaces, text[at], sizeof spaces - 1) != NULL) at++;
    if (at < size && (text[at] == '-' || text[at] == '+')) is_negative = text[at++] == '-';
    for (; at < size; at++, digits++) {
        int letter = (unsigned char)text[at] | 0x20, digit;
        if (text[at] >= '0' && text[at] <= '9') {
            digit = text[at] - '0';
        } else if (letter >= 'a' && letter <= 'z') {
            digit = letter - 'a' + 10;
        } else {
            break;
        }
        if (digit >= base) return 0;
        number = number * (lua_Unsigned)base + (lua_Unsigned)digit;
    }
    while (at < size && memchr(spaces, text[at], sizeof spaces - 1) != NULL) at++;
    *value = (lua_Integer)(is_negative ? 0u - number : number);
    return digits > 0 && at == size;
}

static int base_tonumber(lua_State *L) {
    size_t size;
    if (lua_isnoneornil(L, 2)) {
        luaL_checkany(L, 1);
        if (lua_type(L, 1) == LUA_TNUMBER) {
            lua_settop(L, 1);
            return 1;
        }
        if (lua_type(L, 1) == LUA_TSTRING) {
            const char *text = lua_tolstring(L, 1, &size);
            tycho__host_charge_bytes(L, size);
            if (lua_stringtonumber(L, text) == size + 1) return 1;
        }
        lua_pushnil(L);
        return 1;
    }
    lua_Integer base = tycho__host_integer(L, 2), value;
    luaL_checktype(L, 1, LUA_TSTRING);
    luaL_argcheck(L, base >= 2 && base <= 36, 2, "base out of range");
    const char *text = lua_tolstring(L, 1, &size);
    tycho__host_charge_bytes(L, size);
    if (parse_integer(text, size, base, &value)) {
        lua_pushinteger(L, value);
    } else {
        lua_pushnil(L);
    }
    return 1;
}

/* Pushes the value of the metamethod __tostring: 1, or nothing: 0. */
static int call_tostring(lua_State *L, int index) {
    if (luaL_getmetafield(L, index, "__tostring") == LUA_TNIL) return 0;
    lua_pushvalue(L, index);
    lua_call(L, 1, 1);
    if (lua_type(L, -1) != LUA_TSTRING) luaL_error(L, "'__tostring' must return a string");
    return 1;
}

const char *tycho__host_tostring(lua_State *L, int index, size_t *size) {
    index = lua_absindex(L, index);
    luaL_checkstack(L, 4, "no room for a text");
    switch (lua_type(L, index)) {
    case LUA_TSTRING:
        lua_pushvalue(L, index);
        break;
    case LUA_TNIL:
        lua_pushliteral(L, "nil");
        break;
    case LUA_TBOOLEAN:
        lua_pushstring(L, lua_toboolean(L, index) ? "true" : "false");
        break;
    case LUA_TNUMBER:
        if (isnan(lua_tonumber(L, index))) {
            lua_pushliteral(L, "nan"); /* its sign depends on the processor */
        } else {
            lua_pushvalue(L, index);
        }
        break;
    default:
        if (!call_tostring(L, index)) lua_pushstring(L, luaL_typename(L, index));
    }
    return lua_tolstring(L, -1, size);
}

static int base_tostring(lua_State *L) {
    luaL_checkany(L, 1);
    tycho__host_tostring(L, 1, NULL);
    return 1;
}

static int base_type(lua_State *L) {
    luaL_checkany(L, 1);
    lua_pushstring(L, luaL_typename(L, 1));
    return 1;
}

void tycho__host_open_base(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"assert", base_assert},
        {"error", base_error},
        {"getmetatable", tycho__host_getmetatable},
        {"ipairs", base_ipairs},
        {"pairs", tycho__host_pairs},
        {"pcall", base_pcall},
        {"rawequal", base_rawequal},
        {"rawget", base_rawget},
        {"rawlen", base_rawlen},
        {"rawset", base_rawset},
        {"select", base_select},
        {"setmetatable", tycho__host_setmetatable},
        {"tonumber", base_tonumber},
        {"tostring", base_tostring},
        {"type", base_type},
        {NULL, NULL},
    };
    tycho__host_open_metatables(L);
    luaL_newlib(L, functions);
}
