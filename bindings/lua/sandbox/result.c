/* result.c - whether a value that a script returned is plain data of a bounded size. Raw access
** alone: nothing of the script runs.
**
** The walk keeps its path on the Lua stack: for each open table the table and the key that lua_next
** wants. A table that contains itself is deeper than any limit. One that has much room and few
** fields takes long to go through, and may be in 100,000 places: so tables that come again are
** counted. The memory bounds how many of them there are: it is enough to know the last ones.
*/
#include "state.h"

#include <math.h>

enum { LATELY = 64, AGAIN_MAX = 10000 };

struct walk {
    lua_State *L;
    const char *root;
    int base; /* slot before the first open table */
    size_t items;
    size_t size;
    size_t tables;
    size_t again; /* tables that came before */
    const void *lately[LATELY]; /* the last tables, in a ring */
};

static int refuse(struct walk *walk, const char *fault) {
    return tycho__sandbox_bad_result(walk->L, "%s %s", walk->root, fault);
}

/* Refuses the value whose key in the innermost table is at slot `key`. */
static int refuse_at(struct walk *walk, int key, const char *fault) {
    lua_State *L = walk->L;
    if (key <= walk->base) return refuse(walk, fault);
    if (lua_type(L, key) == LUA_TSTRING) {
        return tycho__sandbox_bad_result(L, "%s: field '%s' %s", walk->root, lua_tostring(L, key),
                                         fault);
    }
    return tycho__sandbox_bad_result(L, "%s: item [%I] %s", walk->root,
                                     (LUAI_UACINT)lua_tointeger(L, key), fault);
}

static void check_key(struct walk *walk) {
    lua_State *L = walk->L;
    if (lua_type(L, -2) == LUA_TSTRING) {
        walk->size += lua_rawlen(L, -2);
    } else if (!lua_isinteger(L, -2)) {
        lua_pushfstring(L, "has a key that is a %s", luaL_typename(L, -2));
        refuse(walk, lua_tostring(L, -1));
    }
}

static void count_table(struct walk *walk) {
    const void *table = lua_topointer(walk->L, -1);
    for (size_t i = 0; i < LATELY; i++) {
        if (walk->lately[i] != table) continue;
        if (++walk->again > AGAIN_MAX) refuse(walk, "has the same tables in over 10000 places");
        return;
    }
    walk->lately[walk->tables++ % LATELY] = table;
}

/* Checks the value on top of the stack, and pops it; a table stays, and is open. */
static void check_value(struct walk *walk) {
    lua_State *L = walk->L;
    int key = lua_gettop(L) - 1;
    const struct tycho__sandbox_options *limits = &tycho__host(L)->options;
    if (++walk->items > limits->result_items) refuse(walk, "has too many values");
    switch (lua_type(L, -1)) {
    case LUA_TTABLE:
        if ((lua_gettop(L) - walk->base + 1) / 2 > limits->result_depth) {
            refuse(walk, "has too many tables within each other; it may contain itself");
        }
        luaL_checkstack(L, LUA_MINSTACK, "no room for results");
        count_table(walk);
        lua_pushnil(L);
        return;
    case LUA_TSTRING:
        walk->size += lua_rawlen(L, -1);
        break;
    case LUA_TNUMBER:
        if (!isfinite(lua_tonumber(L, -1))) {
            refuse_at(walk, key, isnan(lua_tonumber(L, -1)) ? "is NaN" : "is infinite");
        }
        break;
    case LUA_TNIL:
    case LUA_TBOOLEAN:
    case LUA_TLIGHTUSERDATA:
        break;
    default:
        lua_pushfstring(L, "is a %s", luaL_typename(L, -1));
        refuse_at(walk, key, lua_tostring(L, -1));
    }
    if (walk->size > limits->result_size) refuse(walk, "is too large");
    lua_pop(L, 1);
}

void tycho__sandbox_check_result(lua_State *L, int index, const char *root) {
    struct walk walk = {.L = L, .root = root};
    index = lua_absindex(L, index);
    luaL_checkstack(L, LUA_MINSTACK, "no room for results");
    walk.base = lua_gettop(L);
    lua_pushvalue(L, index);
    check_value(&walk);
    while (lua_gettop(L) > walk.base) {
        if (lua_next(L, -2) != 0) {
            check_key(&walk);
            check_value(&walk);
        } else {
            lua_pop(L, 1);
        }
    }
}
