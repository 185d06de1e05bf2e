/* math_library.c - the mathematics that gives the same bits on every machine: what IEEE 754
** defines exactly. No sin, exp, log; random numbers (splitmix64) only from a seed of the host.
*/
#include "state.h"

#include <math.h>

/* Pushes a float that has an integral value: as an integer, if one can hold it. */
static void push_integral(lua_State *L, lua_Number number) {
    lua_Integer integer;
    if (lua_numbertointeger(number, &integer)) {
        lua_pushinteger(L, integer);
    } else {
        lua_pushnumber(L, number);
    }
}

static int math_abs(lua_State *L) {
    if (lua_isinteger(L, 1)) {
        lua_Integer value = lua_tointeger(L, 1);
        lua_pushinteger(L, value < 0 ? (lua_Integer)(0u - (lua_Unsigned)value) : value);
    } else {
        lua_pushnumber(L, fabs(tycho__host_number(L, 1)));
    }
    return 1;
}

static int math_ceil(lua_State *L) {
    if (lua_isinteger(L, 1)) {
        lua_settop(L, 1);
    } else {
        push_integral(L, ceil(tycho__host_number(L, 1)));
    }
    return 1;
}

static int math_floor(lua_State *L) {
    if (lua_isinteger(L, 1)) {
        lua_settop(L, 1);
    } else {
        push_integral(L, floor(tycho__host_number(L, 1)));
    }
    return 1;
}

static int math_fmod(lua_State *L) {
    if (!lua_isinteger(L, 1) || !lua_isinteger(L, 2)) {
        lua_pushnumber(L, fmod(tycho__host_number(L, 1), tycho__host_number(L, 2)));
        return 1;
    }
    lua_Integer divisor = lua_tointeger(L, 2);
    luaL_argcheck(L, divisor != 0, 2, "zero");
    /* the smallest integer divided by -1 does not exist */
    lua_pushinteger(L, divisor == -1 ? 0 : lua_tointeger(L, 1) % divisor);
    return 1;
}

/* The argument that is before all others in the order of `<`, from the left or from the right. */
static int push_extreme(lua_State *L, int is_max) {
    int count = lua_gettop(L), best = 1;
    tycho__host_charge(L, (size_t)count / TYCHO__SANDBOX_BYTES);
    luaL_argcheck(L, count >= 1, 1, "value expected");
    for (int i = 1; i <= count; i++) {
        luaL_checktype(L, i, LUA_TNUMBER);
        if (lua_compare(L, is_max ? best : i, is_max ? i : best, LUA_OPLT)) best = i;
    }
    lua_pushvalue(L, best);
    return 1;
}

static int math_max(lua_State *L) {
    return push_extreme(L, 1);
}

static int math_min(lua_State *L) {
    return push_extreme(L, 0);
}

static int math_sqrt(lua_State *L) {
    lua_pushnumber(L, sqrt(tycho__host_number(L, 1)));
    return 1;
}

static int math_tointeger(lua_State *L) {
    int is_integer = 0;
    luaL_checkany(L, 1);
    lua_Integer value = lua_type(L, 1) == LUA_TNUMBER ? lua_tointegerx(L, 1, &is_integer) : 0;
    if (is_integer) {
        lua_pushinteger(L, value);
    } else {
        lua_pushnil(L);
    }
    return 1;
}

static int math_type(lua_State *L) {
    luaL_checkany(L, 1);
    if (lua_type(L, 1) != LUA_TNUMBER) {
        lua_pushnil(L);
    } else {
        lua_pushstring(L, lua_isinteger(L, 1) ? "integer" : "float");
    }
    return 1;
}

static int math_ult(lua_State *L) {
    lua_Unsigned left = (lua_Unsigned)tycho__host_integer(L, 1);
    lua_pushboolean(L, left < (lua_Unsigned)tycho__host_integer(L, 2));
    return 1;
}

/* ---------------------------------------------------------------- random numbers */

static uint64_t next_random(struct tycho__sandbox *sandbox) {
    sandbox->random += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = sandbox->random;
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* A number from 0 to `most`, all equally likely: masked, and drawn again when it is too large. */
static uint64_t random_up_to(struct tycho__sandbox *sandbox, uint64_t most) {
    uint64_t mask = most;
    for (int shift = 1; shift < 64; shift *= 2) mask |= mask >> shift;
    uint64_t value = next_random(sandbox) & mask;
    while (value > most) value = next_random(sandbox) & mask;
    return value;
}

static int math_random(lua_State *L) {
    struct tycho__sandbox *sandbox = tycho__host(L);
    if (!sandbox->has_seed) return luaL_error(L, "there are no random numbers in this call");
    if (lua_gettop(L) == 0) {
        lua_pushnumber(L, (lua_Number)(next_random(sandbox) >> 11) * 0x1p-53);
        return 1;
    }
    lua_Integer low = lua_gettop(L) == 1 ? 1 : tycho__host_integer(L, 1);
    lua_Integer high = tycho__host_integer(L, lua_gettop(L) == 1 ? 1 : 2);
    luaL_argcheck(L, lua_gettop(L) <= 2, 3, "at most two are taken");
    luaL_argcheck(L, low <= high, lua_gettop(L), "interval is empty");
    uint64_t span = (uint64_t)high - (uint64_t)low;
    lua_pushinteger(L, (lua_Integer)((uint64_t)low + random_up_to(sandbox, span)));
    return 1;
}

void tycho__host_open_math(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"abs", math_abs},       {"ceil", math_ceil}, {"floor", math_floor},
        {"fmod", math_fmod},     {"max", math_max},   {"min", math_min},
        {"random", math_random}, {"sqrt", math_sqrt}, {"tointeger", math_tointeger},
        {"type", math_type},     {"ult", math_ult},   {NULL, NULL},
    };
    luaL_newlib(L, functions);
    lua_pushnumber(L, HUGE_VAL);
    lua_setfield(L, -2, "huge");
    lua_pushnumber(L, 3.141592653589793);
    lua_setfield(L, -2, "pi");
    lua_pushinteger(L, LUA_MAXINTEGER);
    lua_setfield(L, -2, "maxinteger");
    lua_pushinteger(L, LUA_MININTEGER);
    lua_setfield(L, -2, "mininteger");
}
