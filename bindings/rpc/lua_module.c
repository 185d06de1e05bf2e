/* lua_module.c - require "tycho.rpc": the dispatcher for Lua; `tycho rpc` is made of it.
**
**     rpc.serve(path or nil)   answers lines from stdin on stdout until stdin ends; raises a string
**     rpc.dispatch(json)       answers one request; a Lua state has one dispatcher, which the op
**                              "open" gives a store
**
** Ops that are Lua (scripts/tycho/host_ops.lua) run in a state of their own, each: it is made with
** the package paths of the state that loaded this module, in whatever thread the task has, and
** closed with the task. All such states share the environment of the store, which the engine keeps
** by its path.
*/
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tycho_rpc.h"

#define DISPATCHER "tycho.rpc.Dispatcher"
#define PATHS "tycho.rpc.Paths"

/* Where modules are found. */
struct paths {
    char *path;
    char *cpath;
};

struct dispatcher {
    tycho_rpc *rpc;
    tycho_rpc_session *session;
};

/* ---------------------------------------------------------------- ops that are Lua */

struct run {
    const struct paths *paths;
    tycho_rpc_task *task;
    int status;
};

static int send_progress(lua_State *L) {
    tycho_bytes json;
    json.data = luaL_checklstring(L, 1, &json.size);
    lua_pushboolean(L, tycho_rpc_task_progress(lua_touserdata(L, lua_upvalueindex(1)), json) == 0);
    return 1;
}

static int ask_cancelled(lua_State *L) {
    lua_pushboolean(L, tycho_rpc_task_is_cancelled(lua_touserdata(L, lua_upvalueindex(1))));
    return 1;
}

static int status_of(const char *code) {
#define STATUS_OF(name, value, text, meaning)                                                      \
    if (strcmp(code, text) == 0) return value;
    TYCHO_STATUS_MAP(STATUS_OF)
#undef STATUS_OF
    return TYCHO_MISUSE;
}

static void set_path(lua_State *L, const char *name, const char *value) {
    lua_getglobal(L, LUA_LOADLIBNAME);
    lua_pushstring(L, value);
    lua_setfield(L, -2, name);
    lua_pop(L, 1);
}

/* The task as a table: what host_ops.run() takes. */
static void push_task(lua_State *L, tycho_rpc_task *task) {
    static const char *const syncs[] = {"full", "batched", "none"};
    const tycho_options *options = tycho_rpc_task_options(task);
    tycho_bytes request = tycho_rpc_task_request(task);
    lua_createtable(L, 0, 7);
    lua_pushstring(L, tycho_rpc_task_op(task));
    lua_setfield(L, -2, "op");
    lua_pushlstring(L, request.data, request.size);
    lua_setfield(L, -2, "request");
    lua_pushstring(L, tycho_rpc_task_path(task));
    lua_setfield(L, -2, "path");
    lua_pushstring(L, options->mode == TYCHO_READ_ONLY ? "read_only" : "existing");
    lua_setfield(L, -2, "mode");
    lua_pushstring(L, syncs[options->sync <= TYCHO_SYNC_NONE ? options->sync : 0]);
    lua_setfield(L, -2, "sync");
    lua_pushlightuserdata(L, task);
    lua_pushcclosure(L, send_progress, 1);
    lua_setfield(L, -2, "progress");
    lua_pushlightuserdata(L, task);
    lua_pushcclosure(L, ask_cancelled, 1);
    lua_setfield(L, -2, "is_cancelled");
}

/* host_ops.run(task) gives the result as JSON, or nil, a code, a sentence and facts as JSON. */
static int run_protected(lua_State *L) {
    struct run *run = lua_touserdata(L, 1);
    tycho_bytes json;
    luaL_openlibs(L);
    set_path(L, "path", run->paths->path);
    set_path(L, "cpath", run->paths->cpath);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "tycho.host_ops");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "run");
    push_task(L, run->task);
    lua_call(L, 1, 4);
    if (!lua_isnil(L, -4)) {
        json.data = luaL_checklstring(L, -4, &json.size);
        run->status = tycho_rpc_task_result(run->task, json);
        return 0;
    }
    json.data = luaL_checklstring(L, -1, &json.size);
    run->status = tycho_rpc_task_facts(run->task, json);
    if (run->status != TYCHO_OK) return 0;
    run->status = status_of(luaL_checkstring(L, -3));
    tycho_set_error(luaL_checkstring(L, -2));
    return 0;
}

static int run_op(void *context, tycho_rpc_task *task) {
    struct run run = {context, task, TYCHO_NO_MEMORY};
    lua_State *L = luaL_newstate();
    if (L == NULL) {
        tycho_set_error("no memory for a Lua state");
        return TYCHO_NO_MEMORY;
    }
    lua_pushcfunction(L, run_protected);
    lua_pushlightuserdata(L, &run);
    int failure = lua_pcall(L, 1, 0, 0);
    if (failure != LUA_OK) {
        const char *sentence = lua_tostring(L, -1);
        run.status = failure == LUA_ERRMEM ? TYCHO_NO_MEMORY : TYCHO_DENIED;
        tycho_set_error(sentence == NULL ? "a Lua error without a text" : sentence);
    }
    lua_close(L);
    return run.status;
}

/* A dispatcher with the ops of Lua. */
static int create(struct paths *paths, tycho_rpc **rpc) {
    static const tycho_rpc_op ops[] = {
        {"rename",
         "source target chunk pause_ms forward dry_run undo cancel delete_source lock_timeout_ms",
         run_op, NULL},
        {"merge",
         "sources target chunk pause_ms forward dry_run cancel delete_source lock_timeout_ms",
         run_op, NULL},
        {"backfill", "file source linker chunk pause_ms dry_run cancel lock_timeout_ms", run_op,
         NULL},
    };
    int status = tycho_rpc_create(rpc);
    for (size_t i = 0; status == TYCHO_OK && i < sizeof ops / sizeof ops[0]; i++) {
        tycho_rpc_op op = ops[i];
        op.context = paths;
        status = tycho_rpc_extend(*rpc, &op);
    }
    if (status == TYCHO_OK) return TYCHO_OK;
    tycho_rpc_destroy(*rpc);
    *rpc = NULL;
    return status;
}

/* ---------------------------------------------------------------- the module */

static int free_paths(lua_State *L) {
    struct paths *paths = luaL_checkudata(L, 1, PATHS);
    free(paths->path);
    free(paths->cpath);
    *paths = (struct paths){NULL, NULL};
    return 0;
}

/* A copy that lives outside of the state, whose threads would not be its own. */
static char *copy_path(lua_State *L, const char *name) {
    lua_getglobal(L, LUA_LOADLIBNAME);
    lua_getfield(L, -1, name);
    char *copy = strdup(luaL_checkstring(L, -1));
    lua_pop(L, 2);
    if (copy == NULL) luaL_error(L, "no memory for package.%s", name);
    return copy;
}

/* Pushes them. */
static struct paths *push_paths(lua_State *L) {
    struct paths *paths = lua_newuserdatauv(L, sizeof *paths, 0);
    *paths = (struct paths){NULL, NULL};
    if (luaL_newmetatable(L, PATHS)) {
        lua_pushcfunction(L, free_paths);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    paths->path = copy_path(L, "path");
    paths->cpath = copy_path(L, "cpath");
    return paths;
}

static int close_dispatcher(lua_State *L) {
    struct dispatcher *dispatcher = luaL_checkudata(L, 1, DISPATCHER);
    tycho_rpc_session_destroy(dispatcher->session);
    tycho_rpc_destroy(dispatcher->rpc);
    dispatcher->session = NULL;
    dispatcher->rpc = NULL;
    return 0;
}

/* Each follow has a descriptor: as many as the system lets us have. */
static void allow_descriptors(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static int serve_path(struct paths *paths, const char *path) {
    tycho_rpc *rpc;
    int status = create(paths, &rpc);
    if (status == TYCHO_OK && path != NULL) status = tycho_rpc_open(rpc, path);
    if (status == TYCHO_OK) {
        status = tycho_rpc_serve_connection(rpc, STDIN_FILENO, STDOUT_FILENO);
    }
    tycho_rpc_destroy(rpc);
    return status;
}

static int serve(lua_State *L) {
    struct paths *paths = lua_touserdata(L, lua_upvalueindex(1));
    const char *path = luaL_optstring(L, 1, NULL);
    /* The interpreter's handler would only set a hook, which nothing here runs. */
    const struct sigaction by_default = {.sa_handler = SIG_DFL};
    struct sigaction before;
    int status;
    allow_descriptors();
    sigaction(SIGINT, &by_default, &before);
    status = serve_path(paths, path);
    sigaction(SIGINT, &before, NULL);
    if (status != TYCHO_OK) return luaL_error(L, "%s", tycho_error());
    return 0;
}

static int dispatch(lua_State *L) {
    struct dispatcher *dispatcher = lua_touserdata(L, lua_upvalueindex(1));
    struct paths *paths = lua_touserdata(L, lua_upvalueindex(2));
    tycho_bytes request;
    tycho_bytes answer;
    int status = TYCHO_OK;
    request.data = luaL_checklstring(L, 1, &request.size);
    if (dispatcher->rpc == NULL) status = create(paths, &dispatcher->rpc);
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
    push_paths(L);
    lua_pushvalue(L, -1);
    lua_pushcclosure(L, serve, 1);
    lua_setfield(L, -3, "serve");
    dispatcher = lua_newuserdatauv(L, sizeof *dispatcher, 0);
    *dispatcher = (struct dispatcher){NULL, NULL};
    if (luaL_newmetatable(L, DISPATCHER)) {
        lua_pushcfunction(L, close_dispatcher);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    lua_insert(L, -2);
    lua_pushcclosure(L, dispatch, 2);
    lua_setfield(L, -2, "dispatch");
    return 1;
}
