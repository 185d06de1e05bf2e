/* lua_calls_test.c - what Lua asks of a store while a call fails: each verb of the binding
** (lua_calls.lua) is run again and again, and each time another of its calls of LMDB, or another
** allocation but Lua's own, fails. The binding is in this program, on an LMDB of which the n-th
** call fails (failing_lmdb.h); the linker puts __wrap_malloc() and its like before malloc().
**
** A verb that meets the failure raises an error that says what failed, or gives the right answer
** all the same; and again when all is whole.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <unistd.h>

#include "failing_lmdb.h"

enum { MEMORY = STEP_OTHERWISE + 1 };

static const struct fault NO_MEMORY = {(enum call)MEMORY, ENOMEM, TYCHO_NO_MEMORY, "malloc"};

int luaopen_tycho_core(lua_State *L);

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);

void *__wrap_malloc(size_t size) {
    return fails((enum call)MEMORY) ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size) {
    return fails((enum call)MEMORY) ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *block, size_t size) {
    return fails((enum call)MEMORY) ? NULL : __real_realloc(block, size);
}

static void *allocate(void *context, void *block, size_t old_size, size_t size) {
    (void)context;
    (void)old_size;
    if (size > 0) return __real_realloc(block, size);
    free(block);
    return NULL;
}

/* ---------------------------------------------------------------- for Lua */

/* arm(fault, n): from here on the n-th call fails; -1: none, they are counted. */
static int arm(lua_State *L) {
    lua_Integer index = luaL_checkinteger(L, 1);
    luaL_argcheck(L, index >= 1 && index <= FAULT_COUNT + 1, 1, "no such fault");
    fault = index <= FAULT_COUNT ? &FAULTS[index - 1] : &NO_MEMORY;
    expect_failure((long)luaL_checkinteger(L, 2));
    return 0;
}

/* disarm(): how many calls there were, and whether one failed */
static int disarm(lua_State *L) {
    atomic_store(&is_armed, false);
    lua_pushinteger(L, atomic_load(&calls));
    lua_pushboolean(L, atomic_load(&has_failed));
    return 2;
}

/* Pushes what may fail, as arm() counts it. */
static void push_faults(lua_State *L) {
    lua_newtable(L);
    for (int i = 0; i <= FAULT_COUNT; i++) {
        const struct fault *each = i < FAULT_COUNT ? &FAULTS[i] : &NO_MEMORY;
        lua_newtable(L);
        lua_pushstring(L, each->name);
        lua_setfield(L, -2, "name");
        lua_pushstring(L, tycho_status_code(each->status));
        lua_setfield(L, -2, "code");
        lua_pushboolean(L, each->error == MDB_PANIC);
        lua_setfield(L, -2, "ends_store");
        lua_rawseti(L, -2, i + 1);
    }
}

static void every_verb_says_what_failed(void **state) {
    (void)state;
    if (access("/dev/shm", W_OK) == 0) setenv("TMPDIR", "/dev/shm", 1);
    lua_State *L = lua_newstate(allocate, NULL);
    assert_non_null(L);
    luaL_openlibs(L);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, luaopen_tycho_core);
    lua_setfield(L, -2, "tycho.core");
    lua_settop(L, 0);
    int status = luaL_loadfile(L, "spec/fault/lua_calls.lua");
    if (status != LUA_OK) fail_msg("%s", lua_tostring(L, -1));
    lua_pushcfunction(L, arm);
    lua_pushcfunction(L, disarm);
    push_faults(L);
    lua_pushboolean(L, is_full_sweep());
    status = lua_pcall(L, 4, 0, 0);
    atomic_store(&is_armed, false);
    if (status != LUA_OK) fail_msg("%s", luaL_tolstring(L, -1, NULL));
    lua_close(L);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_verb_says_what_failed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
