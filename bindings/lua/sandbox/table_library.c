/* table_library.c - the table functions of scripts. They work on the tables themselves, without
** metamethods, which could lie about a size; and on at most TYCHO__SANDBOX_RANGE_MAX items.
*/
#include "state.h"

#include <string.h>

/* How many items are from `first` to `last`; raises when they are too many. */
static lua_Integer check_range(lua_State *L, lua_Integer first, lua_Integer last,
                               lua_Integer most) {
    if (first > last) return 0;
    lua_Unsigned span = (lua_Unsigned)last - (lua_Unsigned)first;
    if (span >= (lua_Unsigned)most) {
        luaL_error(L, "more than %I items", (LUAI_UACINT)most);
    }
    tycho__host_charge(L, (size_t)span + 1);
    return (lua_Integer)span + 1;
}

static lua_Integer size_of(lua_State *L, int index) {
    return (lua_Integer)lua_rawlen(L, index);
}

/* ---------------------------------------------------------------- insert, remove, move */

static int table_insert(lua_State *L) {
    tycho__host_check_writable(L, 1);
    lua_Integer end = size_of(L, 1) + 1;
    if (lua_gettop(L) == 2) {
        lua_rawseti(L, 1, end);
        return 0;
    }
    if (lua_gettop(L) != 3) return luaL_error(L, "wrong number of arguments to 'insert'");
    lua_Integer place = tycho__host_integer(L, 2);
    luaL_argcheck(L, place >= 1 && place <= end, 2, "position out of bounds");
    check_range(L, place, end, TYCHO__SANDBOX_RANGE_MAX);
    for (lua_Integer i = end; i > place; i--) {
        lua_rawgeti(L, 1, i - 1);
        lua_rawseti(L, 1, i);
    }
    lua_rawseti(L, 1, place);
    return 0;
}

static int table_remove(lua_State *L) {
    tycho__host_check_writable(L, 1);
    lua_Integer size = size_of(L, 1), place = tycho__host_optional_integer(L, 2, size);
    if (lua_gettop(L) >= 2) {
        int is_end = place == size + 1 || (size == 0 && place == 0);
        luaL_argcheck(L, is_end || (place >= 1 && place <= size), 2, "position out of bounds");
    }
    lua_rawgeti(L, 1, place);
    check_range(L, place, size, TYCHO__SANDBOX_RANGE_MAX);
    for (; place < size; place++) {
        lua_rawgeti(L, 1, place + 1);
        lua_rawseti(L, 1, place);
    }
    lua_pushnil(L);
    lua_rawseti(L, 1, place);
    return 1;
}

static int table_move(lua_State *L) {
    int target = lua_isnoneornil(L, 5) ? 1 : 5;
    lua_Integer first = tycho__host_integer(L, 2), last = tycho__host_integer(L, 3);
    lua_Integer place = tycho__host_integer(L, 4);
    tycho__host_check_writable(L, target);
    int is_same = target == 1 || lua_rawequal(L, 1, 5);
    if (!is_same) tycho__host_check_readable(L, 1);
    lua_Integer count = check_range(L, first, last, TYCHO__SANDBOX_RANGE_MAX);
    luaL_argcheck(L, place <= LUA_MAXINTEGER - count, 4, "too large");
    int is_backward = is_same && place > first && place <= last;
    for (lua_Integer i = 0; i < count; i++) {
        lua_Integer at = is_backward ? count - 1 - i : i;
        lua_rawgeti(L, 1, first + at);
        lua_rawseti(L, target, place + at);
    }
    lua_pushvalue(L, target);
    return 1;
}

/* ---------------------------------------------------------------- pack, unpack, concat */

static int table_pack(lua_State *L) {
    int count = lua_gettop(L);
    tycho__host_charge(L, (size_t)count);
    lua_createtable(L, count, 1);
    lua_insert(L, 1);
    for (int i = count; i >= 1; i--) lua_rawseti(L, 1, i);
    lua_pushinteger(L, count);
    lua_setfield(L, 1, "n");
    return 1;
}

static int table_unpack(lua_State *L) {
    tycho__host_check_readable(L, 1);
    lua_Integer first = tycho__host_optional_integer(L, 2, 1);
    lua_Integer last = tycho__host_optional_integer(L, 3, size_of(L, 1));
    lua_Integer count = check_range(L, first, last, TYCHO__SANDBOX_RETURNS_MAX);
    luaL_checkstack(L, (int)count, "too many results to unpack");
    for (lua_Integer i = 0; i < count; i++) lua_rawgeti(L, 1, first + i);
    return (int)count;
}

/* Appends item `index` of the table at slot 1, which is a string or a number. */
static void put_item(lua_State *L, struct tycho__host_text *text, lua_Integer index) {
    size_t size;
    lua_rawgeti(L, 1, index);
    if (!lua_isstring(L, -1)) {
        luaL_error(L, "concat: item %I is a %s", (LUAI_UACINT)index, luaL_typename(L, -1));
    }
    const char *item = tycho__host_tostring(L, -1, &size);
    tycho__host_text_put(text, item, size);
    lua_pop(L, 2);
}

static int table_concat(lua_State *L) {
    struct tycho__host_text text;
    size_t gap_size;
    tycho__host_check_readable(L, 1);
    const char *gap = luaL_optlstring(L, 2, "", &gap_size);
    lua_Integer first = tycho__host_optional_integer(L, 3, 1);
    lua_Integer last = tycho__host_optional_integer(L, 4, size_of(L, 1));
    lua_Integer count = check_range(L, first, last, TYCHO__SANDBOX_RANGE_MAX);
    tycho__host_text_begin(L, &text, 0);
    for (lua_Integer i = 0; i < count; i++) {
        if (i > 0) tycho__host_text_put(&text, gap, gap_size);
        put_item(L, &text, first + i);
    }
    tycho__host_text_push(&text);
    return 1;
}

/* ---------------------------------------------------------------- sort */

enum { SOURCE = 3, TARGET = 4, LEFT = 5, RIGHT = 6 };

/* What two texts may have in common is looked through to compare them. */
static void charge_compare(lua_State *L) {
    tycho__host_charge(L, 4);
    if (lua_type(L, LEFT) != LUA_TSTRING || lua_type(L, RIGHT) != LUA_TSTRING) return;
    size_t left = lua_rawlen(L, LEFT), right = lua_rawlen(L, RIGHT);
    tycho__host_charge_bytes(L, left < right ? left : right);
}

/* 1 when the value at RIGHT must come before the one at LEFT. */
static int is_right_first(lua_State *L) {
    charge_compare(L);
    if (lua_isnil(L, 2)) return lua_compare(L, RIGHT, LEFT, LUA_OPLT);
    lua_pushvalue(L, 2);
    lua_pushvalue(L, RIGHT);
    lua_pushvalue(L, LEFT);
    lua_call(L, 2, 1);
    int is_first = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return is_first;
}

/* Merges the sorted items of SOURCE from `left` to before `right`, and from there to before `end`,
** into TARGET at the same places. */
static void merge(lua_State *L, lua_Integer left, lua_Integer right, lua_Integer end) {
    lua_Integer middle = right;
    for (lua_Integer place = left; place < end; place++) {
        int takes_right = left >= middle;
        lua_settop(L, TARGET);
        lua_rawgeti(L, SOURCE, left);
        lua_rawgeti(L, SOURCE, right);
        if (left < middle && right < end) takes_right = is_right_first(L);
        lua_pushvalue(L, takes_right ? RIGHT : LEFT);
        lua_rawseti(L, TARGET, place);
        *(takes_right ? &right : &left) += 1;
    }
    lua_settop(L, TARGET);
}

static void copy_items(lua_State *L, int from, int to, lua_Integer count) {
    for (lua_Integer i = 1; i <= count; i++) {
        lua_rawgeti(L, from, i);
        lua_rawseti(L, to, i);
    }
}

/* A merge sort from the bottom up, on copies: it ends whatever the comparison says, always in the
** same order, and the table is as it was when the comparison raises. */
static int table_sort(lua_State *L) {
    tycho__host_check_writable(L, 1);
    if (!lua_isnoneornil(L, 2)) luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    lua_Integer size = check_range(L, 1, size_of(L, 1), TYCHO__SANDBOX_RANGE_MAX);
    lua_createtable(L, (int)size, 0);
    lua_createtable(L, (int)size, 0);
    copy_items(L, 1, SOURCE, size);
    for (lua_Integer width = 1; width < size; width *= 2) {
        for (lua_Integer left = 1; left <= size; left += 2 * width) {
            lua_Integer right = left + width <= size ? left + width : size + 1;
            lua_Integer end = right + width <= size ? right + width : size + 1;
            merge(L, left, right, end);
        }
        lua_insert(L, SOURCE);
    }
    copy_items(L, SOURCE, 1, size);
    return 0;
}

void tycho__host_open_table(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"concat", table_concat}, {"insert", table_insert},
        {"move", table_move},     {"pack", table_pack},
        {"remove", table_remove}, {"sort", table_sort},
        {"unpack", table_unpack}, {NULL, NULL},
    };
    luaL_newlib(L, functions);
}
