/* pairs.c - pairs() in the order of the keys: numbers, then strings by their bytes, then false and
** true. What order Lua has them in depends on addresses and on the history of the table.
**
** The keys are taken when the loop begins: a field that is deleted meanwhile is not shown, a field
** that is added neither. A sequence needs no list of keys. Otherwise they are in a Lua table, and
** sorted as entries in a userdata, which ends with how far the loop is.
*/
#include "state.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { KEYS_MAX = 150000 };

enum rank { RANK_INTEGER, RANK_FLOAT, RANK_STRING, RANK_FALSE, RANK_TRUE };

struct entry {
    union {
        lua_Integer integer;
        lua_Number number;
        const char *text; /* of a string that is in the list of keys */
    };
    size_t size;    /* of the string */
    uint32_t index; /* in the list of keys */
    uint32_t rank;
};

struct loop {
    uint32_t count;
    uint32_t at;
    struct entry entries[];
};

/* ---------------------------------------------------------------- order */

/* A float key is not integral, or out of the range of integers. */
static int is_integer_less(lua_Integer integer, lua_Number number) {
    if (number >= 0x1p63) return 1;
    if (number < -0x1p63) return 0;
    return integer <= (lua_Integer)floor(number);
}

static int compare_numbers(const struct entry *a, const struct entry *b) {
    if (a->rank == b->rank) {
        if (a->rank == RANK_INTEGER) return a->integer < b->integer ? -1 : a->integer > b->integer;
        return a->number < b->number ? -1 : a->number > b->number;
    }
    if (a->rank == RANK_INTEGER) return is_integer_less(a->integer, b->number) ? -1 : 1;
    return is_integer_less(b->integer, a->number) ? 1 : -1;
}

static int compare_entries(const void *left, const void *right) {
    const struct entry *a = left, *b = right;
    if (a->rank <= RANK_FLOAT && b->rank <= RANK_FLOAT) return compare_numbers(a, b);
    if (a->rank != b->rank) return a->rank < b->rank ? -1 : 1;
    size_t size = a->size < b->size ? a->size : b->size;
    int order = memcmp(a->text, b->text, size);
    if (order != 0) return order;
    return a->size < b->size ? -1 : a->size > b->size;
}

/* ---------------------------------------------------------------- keys */

static void set_entry(lua_State *L, int key, struct entry *entry) {
    switch (lua_type(L, key)) {
    case LUA_TNUMBER:
        if (lua_isinteger(L, key)) {
            entry->rank = RANK_INTEGER;
            entry->integer = lua_tointeger(L, key);
        } else {
            entry->rank = RANK_FLOAT;
            entry->number = lua_tonumber(L, key);
        }
        return;
    case LUA_TSTRING:
        entry->rank = RANK_STRING;
        entry->text = lua_tolstring(L, key, &entry->size);
        return;
    case LUA_TBOOLEAN:
        entry->rank = lua_toboolean(L, key) ? RANK_TRUE : RANK_FALSE;
        return;
    default:
        luaL_error(L, "pairs: a key is a %s, and keys of that type have no order",
                   luaL_typename(L, key));
    }
}

/* How many fields the table at `index` has; `is_sequence` when their keys are 1 to n, in whatever
** order Lua has them. */
static size_t count_keys(lua_State *L, int index, int *is_sequence) {
    size_t count = 0;
    lua_Integer largest = 0;
    *is_sequence = 1;
    lua_pushnil(L);
    while (lua_next(L, index) != 0) {
        lua_pop(L, 1);
        count++;
        lua_Integer key = lua_isinteger(L, -1) ? lua_tointeger(L, -1) : 0;
        if (key < 1) *is_sequence = 0;
        if (key > largest) largest = key;
    }
    if (largest != (lua_Integer)count) *is_sequence = 0;
    tycho__host_clear_above(L);
    tycho__host_charge(L, TYCHO__SANDBOX_SCAN + count);
    return count;
}

/* What sorting so many keys of so many bytes costs. */
static void charge_sort(lua_State *L, size_t count, size_t size) {
    size_t rounds = 1;
    while (count >> rounds != 0) rounds++;
    tycho__host_charge(L, rounds * (count + size / TYCHO__SANDBOX_BYTES));
}

/* Pushes the list of keys of the table at `index`, and the sorted loop. */
static void push_keys(lua_State *L, int index, size_t count) {
    lua_createtable(L, (int)count, 0);
    int keys = lua_gettop(L);
    struct loop *loop = lua_newuserdatauv(L, sizeof *loop + count * sizeof *loop->entries, 0);
    size_t size = 0;
    loop->count = (uint32_t)count;
    loop->at = 0;
    memset(loop->entries, 0, count * sizeof *loop->entries);
    lua_pushnil(L);
    for (uint32_t i = 0; i < count && lua_next(L, index) != 0; i++) {
        lua_pop(L, 1);
        set_entry(L, lua_gettop(L), &loop->entries[i]);
        loop->entries[i].index = i + 1;
        size += loop->entries[i].size;
        lua_pushvalue(L, -1);
        lua_rawseti(L, keys, (lua_Integer)i + 1);
    }
    lua_settop(L, keys + 1);
    tycho__host_clear_above(L);
    charge_sort(L, count, size);
    qsort(loop->entries, count, sizeof *loop->entries, compare_entries);
}

/* ---------------------------------------------------------------- the loop */

/* Upvalues: the table, the list of keys, the loop. */
static int next_of_keys(lua_State *L) {
    struct loop *loop = lua_touserdata(L, lua_upvalueindex(3));
    lua_settop(L, 0);
    while (loop->at < loop->count) {
        lua_rawgeti(L, lua_upvalueindex(2), loop->entries[loop->at++].index);
        lua_pushvalue(L, 1);
        if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL) return 2;
        tycho__host_charge(L, 1);
        lua_settop(L, 0);
    }
    lua_pushnil(L);
    return 1;
}

/* Upvalues: the table, its size; the control variable tells how far it is. */
static int next_of_sequence(lua_State *L) {
    lua_Integer count = lua_tointeger(L, lua_upvalueindex(2));
    lua_Integer at = luaL_optinteger(L, 2, 0);
    lua_settop(L, 0);
    while (at >= 0 && at < count) {
        lua_pushinteger(L, ++at);
        if (lua_rawgeti(L, lua_upvalueindex(1), at) != LUA_TNIL) return 2;
        tycho__host_charge(L, 1);
        lua_settop(L, 0);
    }
    lua_pushnil(L);
    return 1;
}

int tycho__host_pairs(lua_State *L) {
    int is_sequence;
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lua_pushvalue(L, 1);
    tycho__host_check_readable(L, 2);
    size_t count = count_keys(L, 2, &is_sequence);
    lua_pushvalue(L, 2);
    if (is_sequence) {
        lua_pushinteger(L, (lua_Integer)count);
        lua_pushcclosure(L, next_of_sequence, 2);
    } else {
        if (count > KEYS_MAX) luaL_error(L, "pairs: a table has more than %d keys", KEYS_MAX);
        push_keys(L, 2, count);
        lua_pushcclosure(L, next_of_keys, 3);
    }
    lua_pushvalue(L, 1);
    lua_pushnil(L);
    return 3;
}
