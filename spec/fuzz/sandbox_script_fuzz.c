/* sandbox_script_fuzz.c - any text as a script: it is loaded, its function `run` is called with a
** view, what it returns is encoded. Whatever it is, the verdict comes within the budget, twice the
** same, with the same message and the same memory.
*/
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "../../bindings/lua/codec.h"
#include "sandbox.h"
#include "tycho.h"

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

/* As data that an upcaster returned. */
static void encode_results(lua_State *L, int first, void *context) {
    static struct tycho_buffer buffer;
    (void)context;
    for (int i = first, last = lua_gettop(L); i <= last && i < first + 10; i++) {
        tycho__payload_clear(&buffer);
        if (tycho__lua_encode_result(L, i, "the result", &buffer) != TYCHO_OK) {
            tycho__sandbox_bad_result(L, "%s", lua_tostring(L, -1));
        }
    }
}

static void open_codec(lua_State *L, void *context) {
    (void)context;
    lua_newtable(L);
    tycho__lua_open_codec(L);
    lua_pop(L, 1);
}

struct outcome {
    int64_t charged;
    size_t memory; /* held when it ended */
    char message[sizeof((struct tycho__sandbox_error *)0)->message];
};

static enum tycho__sandbox_kind run_script(const char *source, size_t size,
                                           struct outcome *outcome) {
    struct tycho__sandbox_options options = {
        .budget = 20000, .memory_max = 2 << 20, .open = open_codec};
    struct tycho__sandbox *sandbox = tycho__sandbox_create(&options);
    int function = 0;
    assert(sandbox != NULL);
    enum tycho__sandbox_kind kind = tycho__sandbox_load(sandbox, "fuzz", 1, source, size);
    struct tycho__sandbox_call call = {.read = find_run, .context = &function};
    if (kind == TYCHO__SANDBOX_OK) kind = tycho__sandbox_call(sandbox, &call);
    call = (struct tycho__sandbox_call){.function = function, .push = push_event,
                                        .read = encode_results};
    if (kind == TYCHO__SANDBOX_OK && function != 0) {
        kind = tycho__sandbox_call(sandbox, &call);
        outcome->charged = tycho__sandbox_charged(sandbox);
        outcome->memory = tycho__sandbox_memory(sandbox);
    }
    const struct tycho__sandbox_error *error = tycho__sandbox_last_error(sandbox);
    assert(strlen(error->message) < sizeof error->message);
    snprintf(outcome->message, sizeof outcome->message, "%s", error->message);
    assert(strlen(error->traceback) < sizeof error->traceback);
    if (kind < TYCHO__SANDBOX_OVER_BUDGET && function != 0) tycho__sandbox_check_state(sandbox);
    tycho__sandbox_destroy(sandbox);
    return kind;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct outcome first = {0}, second = {0};
    char *source = malloc(size > 0 ? size : 1);
    assert(source != NULL);
    memcpy(source, data, size);
    enum tycho__sandbox_kind kind = run_script(source, size, &first);
    enum tycho__sandbox_kind again = run_script(source, size, &second);
    assert(kind == again && first.charged == second.charged);
    if (kind != TYCHO__SANDBOX_BAD_RESULT) { /* of which any fault may be told */
        assert(first.memory == second.memory && strcmp(first.message, second.message) == 0);
    }
    free(source);
    return 0;
}
