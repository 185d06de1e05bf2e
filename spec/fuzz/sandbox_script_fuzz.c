/* sandbox_script_fuzz.c - any text as a script: it is loaded, its function `run` is called with a
** view, what it returns is checked. Whatever it is, the verdict comes within the budget, twice the
** same.
*/
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "sandbox.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void get_field(lua_State *L, const void *object, int field) {
    if (field == 0) {
        lua_pushstring(L, object);
    } else {
        lua_createtable(L, 0, 1);
        lua_pushinteger(L, 12);
        lua_setfield(L, -2, "cents");
    }
}

static int push_event(lua_State *L, void *context) {
    static const char *const names[] = {"type", "data", NULL};
    static const struct tycho__sandbox_view_type type = {"event", names, get_field};
    (void)context;
    tycho__sandbox_push_view(L, &type, "Sold");
    return 1;
}

static void find_run(lua_State *L, int first, void *context) {
    lua_pushliteral(L, "run");
    lua_rawget(L, first);
    if (lua_isfunction(L, -1)) *(int *)context = tycho__sandbox_keep(L);
}

static void check_results(lua_State *L, int first, void *context) {
    (void)context;
    for (int i = first, last = lua_gettop(L); i <= last && i < first + 10; i++) {
        tycho__sandbox_check_result(L, i, "the result");
    }
}

static enum tycho__sandbox_kind run_script(const char *source, size_t size, int64_t *charged) {
    struct tycho__sandbox_options options = {.budget = 20000, .memory_max = 2 << 20};
    struct tycho__sandbox *sandbox = tycho__sandbox_create(&options);
    int function = 0;
    assert(sandbox != NULL);
    enum tycho__sandbox_kind kind = tycho__sandbox_load(sandbox, "fuzz", 1, source, size);
    struct tycho__sandbox_call call = {.read = find_run, .context = &function};
    if (kind == TYCHO__SANDBOX_OK) kind = tycho__sandbox_call(sandbox, &call);
    call = (struct tycho__sandbox_call){.function = function, .push = push_event,
                                        .read = check_results};
    if (kind == TYCHO__SANDBOX_OK && function != 0) {
        kind = tycho__sandbox_call(sandbox, &call);
        *charged = tycho__sandbox_charged(sandbox);
        if (kind < TYCHO__SANDBOX_OVER_BUDGET) tycho__sandbox_check_state(sandbox);
    }
    const struct tycho__sandbox_error *error = tycho__sandbox_last_error(sandbox);
    assert(strlen(error->message) < sizeof error->message);
    assert(strlen(error->traceback) < sizeof error->traceback);
    tycho__sandbox_destroy(sandbox);
    return kind;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    int64_t first = 0, second = 0;
    char *source = malloc(size > 0 ? size : 1);
    assert(source != NULL);
    memcpy(source, data, size);
    enum tycho__sandbox_kind kind = run_script(source, size, &first);
    enum tycho__sandbox_kind again = run_script(source, size, &second);
    if (kind != TYCHO__SANDBOX_OVER_MEMORY && again != TYCHO__SANDBOX_OVER_MEMORY) {
        assert(kind == again && first == second);
    }
    free(source);
    return 0;
}
