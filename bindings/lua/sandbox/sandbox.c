/* sandbox.c - a sandbox: made, loaded with its script, called, and destroyed. See sandbox.h.
**
** All Lua runs in enter(): one protected call of a C function, in the C locale, with the budget of
** this call. The registry holds the module and the functions that are kept.
*/
#include "state.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char tycho__host_module = 0;

static const struct tycho__sandbox_options defaults = {
    .budget = 1000000,
    .memory_max = 16u << 20,
    .allocation_max = 4u << 20,
    .string_max = 1u << 20,
};

#define SET_DEFAULT(field)                                                                         \
    if (options->field == 0) options->field = defaults.field

static void set_defaults(struct tycho__sandbox_options *options) {
    SET_DEFAULT(budget);
    SET_DEFAULT(memory_max);
    SET_DEFAULT(allocation_max);
    SET_DEFAULT(string_max);
    if (options->churn_max == 0) options->churn_max = 16 * options->memory_max;
}

/* ---------------------------------------------------------------- protected calls */

/* Runs `function` with `argument` as light userdata. Allocates nothing by itself. */
static int enter(struct tycho__sandbox *sandbox, int64_t budget, lua_CFunction function,
                 void *argument) {
    lua_State *L = sandbox->L;
    locale_t outer = uselocale(sandbox->locale);
    tycho__host_clear_error(sandbox);
    tycho__host_begin(sandbox, budget);
    lua_pushcfunction(L, tycho__host_handle);
    lua_pushcfunction(L, function);
    lua_pushlightuserdata(L, argument);
    int status = lua_pcall(L, 1, 0, 1);
    lua_settop(L, 0);
    tycho__host_end_views(sandbox);
    uselocale(outer);
    return status;
}

/* Nothing that raises outside of a protected call comes here, but if it did, the process would be
** told where before Lua aborts it. */
static int panic(lua_State *L) {
    const char *message = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "no text";
    fprintf(stderr, "tycho: a script raised outside of a protected call: %s\n", message);
    return 0;
}

static enum tycho__sandbox_kind discarded(struct tycho__sandbox *sandbox) {
    sandbox->error.kind = TYCHO__SANDBOX_DISCARDED;
    return TYCHO__SANDBOX_DISCARDED;
}

/* ---------------------------------------------------------------- life */

static int open_environment(lua_State *L) {
    (void)lua_touserdata(L, 1);
    lua_settop(L, 0);
    lua_pushliteral(L, "message");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &tycho__host_message);
    tycho__host_open(L);
    return 0;
}

/* The state, with its environment. 0 when there is no memory for it. */
static int open_state(struct tycho__sandbox *sandbox) {
    sandbox->collect_at = SIZE_MAX; /* nothing is garbage yet */
    sandbox->memory_max = sandbox->options.memory_max;
    sandbox->churn_max = sandbox->options.churn_max;
    sandbox->L = lua_newstate(tycho__host_allocate, sandbox);
    if (sandbox->L == NULL) return 0;
    *(struct tycho__sandbox **)lua_getextraspace(sandbox->L) = sandbox;
    lua_atpanic(sandbox->L, panic);
    lua_gc(sandbox->L, LUA_GCSTOP); /* limits.c says when */
    return enter(sandbox, defaults.budget, open_environment, sandbox) == LUA_OK;
}

struct tycho__sandbox *tycho__sandbox_create(const struct tycho__sandbox_options *options) {
    struct tycho__sandbox *sandbox = calloc(1, sizeof *sandbox);
    if (sandbox == NULL) return NULL;
    if (options != NULL) sandbox->options = *options;
    set_defaults(&sandbox->options);
    sandbox->module_weight = 1;
    sandbox->is_exact = true;
    sandbox->locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (sandbox->locale == (locale_t)0 || !open_state(sandbox)) {
        tycho__sandbox_destroy(sandbox);
        return NULL;
    }
    return sandbox;
}

void tycho__sandbox_destroy(struct tycho__sandbox *sandbox) {
    if (sandbox == NULL) return;
    if (sandbox->L != NULL) {
        lua_sethook(sandbox->L, NULL, 0, 0);
        lua_close(sandbox->L);
    }
    if (sandbox->locale != (locale_t)0) freelocale(sandbox->locale);
    free(sandbox);
}

const struct tycho__sandbox_error *tycho__sandbox_last_error(const struct tycho__sandbox *sandbox) {
    return &sandbox->error;
}

size_t tycho__sandbox_memory(const struct tycho__sandbox *sandbox) {
    return sandbox->held;
}

void tycho__sandbox_set_exact(struct tycho__sandbox *sandbox, bool is_exact) {
    sandbox->is_exact = is_exact;
}

bool tycho__sandbox_is_exact(const struct tycho__sandbox *sandbox) {
    return sandbox->is_exact;
}

int64_t tycho__sandbox_charged(const struct tycho__sandbox *sandbox) {
    return sandbox->budget - sandbox->left;
}

/* ---------------------------------------------------------------- loading */

struct source {
    const char *name;
    const char *text;
    size_t size;
};

/* Compiles; nothing of the script runs. Leaves the chunk on the stack. */
static void compile(lua_State *L, const struct source *source) {
    char chunk[LUA_IDSIZE + 1];
    if (source->size > TYCHO__SANDBOX_SOURCE_MAX) {
        luaL_error(L, "the source has %I bytes, and a script may have %d",
                   (LUAI_UACINT)source->size, TYCHO__SANDBOX_SOURCE_MAX);
    }
    if (tycho__host_check_source(L, source->name, source->text, source->size)) lua_error(L);
    snprintf(chunk, sizeof chunk, "=%s", source->name);
    if (luaL_loadbufferx(L, source->text, source->size, chunk, "t") != LUA_OK) lua_error(L);
    if (tycho__host_check_code(L, source->name)) lua_error(L);
}

static int compile_only(lua_State *L) {
    compile(L, lua_touserdata(L, 1));
    lua_rawsetp(L, LUA_REGISTRYINDEX, &tycho__host_module);
    return 0;
}

/* Refuses what the script returned, at the line where it did. */
static int refuse_returned(lua_State *L, const char *message) {
    struct tycho__sandbox *sandbox = tycho__host(L);
    sandbox->error.line = sandbox->returned_line;
    return tycho__sandbox_bad_result(L, "%s", message);
}

static int run_chunk(lua_State *L) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &tycho__host_module);
    tycho__host_watch_returns(L);
    lua_call(L, 0, LUA_MULTRET);
    if (lua_gettop(L) > 2) {
        return refuse_returned(L, lua_pushfstring(L, "the script returns %d values: it is one "
                                                     "definition, and others are scripts of their "
                                                     "own",
                                                  lua_gettop(L) - 1));
    }
    lua_settop(L, 2);
    if (!lua_istable(L, -1)) {
        return refuse_returned(L, lua_pushfstring(L, "the script returns a %s, not a table",
                                                  luaL_typename(L, -1)));
    }
    lua_rawsetp(L, LUA_REGISTRYINDEX, &tycho__host_module);
    tycho__host(L)->state = tycho__host_fingerprint(L);
    return 0;
}

enum tycho__sandbox_kind tycho__sandbox_load(struct tycho__sandbox *sandbox, const char *name,
                                             int64_t version, const char *source, size_t size) {
    struct source text = {name, source, size};
    struct tycho__sandbox_error *error = &sandbox->error;
    if (sandbox->fatal != TYCHO__SANDBOX_OK) return discarded(sandbox);
    assert(!sandbox->is_loaded);
    snprintf(error->script, sizeof error->script, "%s", name);
    error->version = version;
    int status = enter(sandbox, sandbox->options.budget, compile_only, &text);
    if (status != LUA_OK) return tycho__host_conclude(sandbox, status, TYCHO__SANDBOX_REFUSED);
    sandbox->module_weight = sandbox->weight; /* of its constants */
    status = enter(sandbox, sandbox->options.budget, run_chunk, NULL);
    if (status == LUA_OK) {
        sandbox->is_loaded = 1;
        sandbox->module_weight = sandbox->weight;
        tycho__host_collect(sandbox);
        sandbox->loaded = sandbox->held;
    }
    return tycho__host_conclude(sandbox, status, TYCHO__SANDBOX_FAILED);
}

/* ---------------------------------------------------------------- calling */

static int run_call(lua_State *L) {
    const struct tycho__sandbox_call *call = lua_touserdata(L, 1);
    struct tycho__sandbox *sandbox = tycho__host(L);
    int first = 2, count = 0;
    if (call->function != 0) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, call->function);
        sandbox->is_host = 1;
        if (call->push != NULL) count = call->push(L, call->context);
        sandbox->is_host = 0;
        lua_call(L, count, LUA_MULTRET);
    } else {
        lua_rawgetp(L, LUA_REGISTRYINDEX, &tycho__host_module);
    }
    if (call->read == NULL) return 0;
    luaL_checkstack(L, LUA_MINSTACK, "no room for results");
    for (int i = first; i <= lua_gettop(L); i++) tycho__host_fill(L, i);
    sandbox->is_host = 1;
    call->read(L, first, call->context);
    tycho__host_clear_above(L);
    return 0;
}

enum tycho__sandbox_kind tycho__sandbox_call(struct tycho__sandbox *sandbox,
                                             const struct tycho__sandbox_call *call) {
    int64_t budget = call->budget > 0 ? call->budget : sandbox->options.budget;
    if (sandbox->fatal != TYCHO__SANDBOX_OK) return discarded(sandbox);
    assert(sandbox->is_loaded);
    sandbox->has_seed = call->seed != NULL;
    if (call->seed != NULL) sandbox->random = *call->seed;
    int status = enter(sandbox, budget, run_call, (void *)(uintptr_t)call);
    return tycho__host_conclude(sandbox, status, TYCHO__SANDBOX_FAILED);
}

static int compare_state(lua_State *L) {
    if (tycho__host_fingerprint(L) != tycho__host(L)->state) {
        return luaL_error(L, "the script keeps something between two calls, in a local or a table "
                             "of the module: a handler must be a pure function");
    }
    return 0;
}

enum tycho__sandbox_kind tycho__sandbox_check_state(struct tycho__sandbox *sandbox) {
    if (sandbox->fatal != TYCHO__SANDBOX_OK) return discarded(sandbox);
    int status = enter(sandbox, sandbox->options.budget, compare_state, NULL);
    return tycho__host_conclude(sandbox, status, TYCHO__SANDBOX_FAILED);
}

/* ---------------------------------------------------------------- helpers */

int tycho__sandbox_returned_line(lua_State *L) {
    return tycho__host(L)->returned_line;
}

int tycho__sandbox_keep(lua_State *L) {
    assert(lua_isfunction(L, -1));
    return luaL_ref(L, LUA_REGISTRYINDEX);
}

int tycho__sandbox_bad_result(lua_State *L, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    lua_pushvfstring(L, format, arguments);
    va_end(arguments);
    tycho__host(L)->is_bad = 1;
    return lua_error(L);
}
