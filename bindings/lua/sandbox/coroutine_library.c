/* coroutine_library.c - coroutines of scripts: all but close().
**
** A coroutine has its own count hook, set anew at each resume, so that what it is charged does not
** depend on what it did before: TYCHO__SANDBOX_RESUME at once, and as much for each further slice.
** What is fatal goes through to whoever resumed it.
*/
#include "state.h"

static lua_State *check_thread(lua_State *L) {
    lua_State *thread = lua_tothread(L, 1);
    luaL_argexpected(L, thread != NULL, 1, "coroutine");
    return thread;
}

static const char *status_of(lua_State *L, lua_State *thread) {
    lua_Debug record;
    if (L == thread) return "running";
    if (lua_status(thread) == LUA_YIELD) return "suspended";
    if (lua_status(thread) != LUA_OK) return "dead";
    if (lua_getstack(thread, 0, &record)) return "normal";
    return lua_gettop(thread) == 0 ? "dead" : "suspended";
}

/* Resumes with the `count` values on top of the stack. Pushes what it yields or returns, and
** returns how many; or pushes the error, and returns -1. */
static int resume(lua_State *L, lua_State *thread, int count) {
    struct tycho__sandbox *sandbox = tycho__host(L);
    int results = 0;
    const char *state = status_of(L, thread);
    tycho__host_charge(L, TYCHO__SANDBOX_RESUME * (size_t)sandbox->weight);
    if (*state != 's') { /* its hook must stay as it is, too */
        lua_pushfstring(L, "cannot resume %s coroutine", *state == 'd' ? "dead" : "non-suspended");
        return -1;
    }
    if (!lua_checkstack(thread, count)) {
        lua_pushliteral(L, "too many arguments to resume");
        return -1;
    }
    lua_xmove(L, thread, count);
    lua_sethook(thread, tycho__host_count, LUA_MASKCOUNT, TYCHO__SANDBOX_RESUME);
    sandbox->running = thread;
    int status = lua_resume(thread, L, count, &results);
    sandbox->running = L;
    if (status == LUA_ERRMEM && sandbox->fatal == TYCHO__SANDBOX_OK) {
        sandbox->fatal = TYCHO__SANDBOX_NO_MEMORY;
    }
    if (sandbox->fatal != TYCHO__SANDBOX_OK) tycho__host_raise_fatal(L);
    if (status != LUA_OK && status != LUA_YIELD) {
        tycho__host_charge(L, TYCHO__SANDBOX_ERROR);
        lua_xmove(thread, L, 1);
        return -1;
    }
    if (!lua_checkstack(L, results + 1)) {
        lua_pop(thread, results);
        lua_pushliteral(L, "too many results to resume");
        return -1;
    }
    lua_xmove(thread, L, results);
    return results;
}

static int coroutine_create(lua_State *L) {
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_State *thread = lua_newthread(L);
    lua_pushvalue(L, 1);
    lua_xmove(L, thread, 1);
    return 1;
}

static int coroutine_resume(lua_State *L) {
    lua_State *thread = check_thread(L);
    int results = resume(L, thread, lua_gettop(L) - 1);
    int has_failed = results < 0;
    if (has_failed) results = 1;
    lua_pushboolean(L, !has_failed);
    lua_insert(L, -(results + 1));
    return results + 1;
}

/* Upvalue: the coroutine. */
static int resume_wrapped(lua_State *L) {
    lua_State *thread = lua_tothread(L, lua_upvalueindex(1));
    int results = resume(L, thread, lua_gettop(L));
    if (results >= 0) return results;
    tycho__host_trace(tycho__host(L), thread);
    return lua_error(L);
}

static int coroutine_wrap(lua_State *L) {
    coroutine_create(L);
    lua_pushcclosure(L, resume_wrapped, 1);
    return 1;
}

static int coroutine_yield(lua_State *L) {
    return lua_yield(L, lua_gettop(L));
}

static int coroutine_status(lua_State *L) {
    lua_pushstring(L, status_of(L, check_thread(L)));
    return 1;
}

static int coroutine_isyieldable(lua_State *L) {
    lua_pushboolean(L, lua_isyieldable(lua_isnone(L, 1) ? L : check_thread(L)));
    return 1;
}

static int coroutine_running(lua_State *L) {
    lua_pushboolean(L, lua_pushthread(L));
    return 2;
}

void tycho__host_open_coroutine(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"create", coroutine_create}, {"isyieldable", coroutine_isyieldable},
        {"resume", coroutine_resume}, {"running", coroutine_running},
        {"status", coroutine_status}, {"wrap", coroutine_wrap},
        {"yield", coroutine_yield},   {NULL, NULL},
    };
    luaL_newlib(L, functions);
}
