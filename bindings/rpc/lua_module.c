/* lua_module.c - require "tycho.rpc": the dispatcher for Lua; `tycho rpc` is made of it.
**
**     rpc.serve(path or nil)   answers lines from stdin on stdout until stdin ends; raises a string
**     rpc.dispatch(json)       answers one request; a Lua state has one dispatcher, which the op
**                              "open" gives a store
*/
#include <lauxlib.h>
#include <lua.h>
#include <signal.h>
#include <unistd.h>

#include "tycho_rpc.h"

#define DISPATCHER "tycho.rpc.Dispatcher"

struct dispatcher {
    tycho_rpc *rpc;
    tycho_rpc_session *session;
};

static int close_dispatcher(lua_State *L) {
    struct dispatcher *dispatcher = luaL_checkudata(L, 1, DISPATCHER);
    tycho_rpc_session_destroy(dispatcher->session);
    tycho_rpc_destroy(dispatcher->rpc);
    dispatcher->session = NULL;
    dispatcher->rpc = NULL;
    return 0;
}

static int serve(lua_State *L) {
    const char *path = luaL_optstring(L, 1, NULL);
    /* The interpreter's handler would only set a hook, which nothing here runs. */
    const struct sigaction by_default = {.sa_handler = SIG_DFL};
    struct sigaction before;
    int status;
    sigaction(SIGINT, &by_default, &before);
    status = tycho_rpc_serve(STDIN_FILENO, STDOUT_FILENO, path);
    sigaction(SIGINT, &before, NULL);
    if (status != TYCHO_OK) return luaL_error(L, "%s", tycho_error());
    return 0;
}

static int dispatch(lua_State *L) {
    struct dispatcher *dispatcher = lua_touserdata(L, lua_upvalueindex(1));
    tycho_bytes request;
    tycho_bytes answer;
    int status = TYCHO_OK;
    request.data = luaL_checklstring(L, 1, &request.size);
    if (dispatcher->rpc == NULL) status = tycho_rpc_create(&dispatcher->rpc);
    if (status == TYCHO_OK && dispatcher->session == NULL) {
        status = tycho_rpc_session_create(dispatcher->rpc, &dispatcher->session);
    }
    if (status != TYCHO_OK) return luaL_error(L, "%s", tycho_error());
    tycho_rpc_call(dispatcher->session, request, &answer);
    lua_pushlstring(L, answer.data, answer.size);
    return 1;
}

TYCHO_API int luaopen_tycho_rpc(lua_State *L);

TYCHO_API int luaopen_tycho_rpc(lua_State *L) {
    struct dispatcher *dispatcher;
    lua_createtable(L, 0, 2);
    lua_pushcfunction(L, serve);
    lua_setfield(L, -2, "serve");
    dispatcher = lua_newuserdatauv(L, sizeof *dispatcher, 0);
    *dispatcher = (struct dispatcher){NULL, NULL};
    if (luaL_newmetatable(L, DISPATCHER)) {
        lua_pushcfunction(L, close_dispatcher);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    lua_pushcclosure(L, dispatch, 1);
    lua_setfield(L, -2, "dispatch");
    return 1;
}
