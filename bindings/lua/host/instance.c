/* instance.c - the state of one instance of a read model, while events are folded into it.
**
**     NONE --init, set_state--> STATE --apply--> STATE
**       ^------- a failure, forget ------|
**
** The state is a value in the sandbox's registry, which no script can reach, so that it need not be
** carried in and out with each event. It goes out as MessagePack and must come in again as the same
** value, since a fold that continues from a snapshot must be the same as one from the start: so
** metatables are refused, and an empty table is an empty map, wherever it came from.
*/
#include <string.h>

#include <lauxlib.h>

#include "../codec.h"
#include "../codec_state.h"
#include "script.h"

static const char state_slot;

struct call {
    struct tycho__runner *runner;
    const struct tycho__shown *shown;
    tycho_bytes state; /* that comes in */
    struct tycho_buffer *out;
    int64_t weight;    /* of an instruction, before the script or the decoder ran */
    bool lacks_memory; /* to encode, which says nothing about the script */
};

/* ---------------------------------------------------------------- the registry */

void tycho__push_state(lua_State *L, const struct tycho__runner *runner) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &state_slot);
    if (runner->instance.heaviest > 0) tycho__sandbox_weigh(L, runner->instance.heaviest);
}

/* Keeps the value at `index` as the state. */
static void keep_state(lua_State *L, int index, const char *giver) {
    int type = lua_type(L, index);
    if (type != LUA_TTABLE && type != LUA_TSTRING && type != LUA_TNUMBER && type != LUA_TBOOLEAN) {
        tycho__sandbox_bad_result(L, "%s returned a %s: a state is data", giver,
                                  luaL_typename(L, index));
    }
    lua_pushvalue(L, index);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &state_slot);
}

static void weigh_string(lua_State *L, int index, size_t *heaviest) {
    if (lua_type(L, index) != LUA_TSTRING) return;
    size_t size = lua_rawlen(L, index);
    if (size > *heaviest) *heaviest = size;
}

/* The size of the largest string in the value on top of the stack; numbers that collide as keys
** count as such. The tables are in a queue, each once. */
static size_t find_heaviest(lua_State *L) {
    struct tycho__lua_set *seen = &tycho__lua_codec(L)->tables;
    int value = lua_gettop(L), queue = value + 1;
    lua_Integer count = 0;
    size_t heaviest = 0;
    tycho__lua_set_clear(seen);
    lua_newtable(L);
    weigh_string(L, value, &heaviest);
    lua_pushvalue(L, value);
    if (lua_istable(L, value)) lua_rawseti(L, queue, ++count);
    for (lua_Integer i = 1; i <= count; i++) {
        lua_settop(L, queue);
        lua_rawgeti(L, queue, i);
        size_t chain = tycho__sandbox_chain_weight(L, queue + 1);
        if (chain > heaviest) heaviest = chain;
        for (lua_pushnil(L); lua_next(L, queue + 1) != 0; lua_pop(L, 1)) {
            weigh_string(L, -2, &heaviest);
            weigh_string(L, -1, &heaviest);
            if (!lua_istable(L, -1) || tycho__lua_set_add(seen, lua_topointer(L, -1))) continue;
            if (seen->slots.failed != 0) luaL_error(L, "no memory to look at the state");
            lua_pushvalue(L, -1);
            lua_rawseti(L, queue, ++count);
        }
    }
    lua_settop(L, value);
    return heaviest;
}

/* Finds out how dear the state makes instructions from now on, when this call made them dearer. */
static void weigh_state(lua_State *L, const struct call *call) {
    if (tycho__sandbox_weight(L) <= call->weight) return;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &state_slot);
    call->runner->instance.heaviest = find_heaviest(L);
    lua_pop(L, 1);
}

static void drop_state(lua_State *L, int first, void *context) {
    (void)first;
    (void)context;
    lua_pushnil(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &state_slot);
    tycho__drop_history(L);
}

void tycho__run_forget(struct tycho__runner *runner) {
    const struct tycho__sandbox_call call = {.read = drop_state};
    const struct tycho__sandbox_error *error = tycho__sandbox_last_error(runner->sandbox);
    runner->instance.has_state = false;
    runner->instance.heaviest = 0;
    runner->instance.history_next = 0;
    runner->instance.has_history = false;
    if (error->kind < TYCHO__SANDBOX_OVER_BUDGET) tycho__sandbox_call(runner->sandbox, &call);
}

/* ---------------------------------------------------------------- beginning */

static tycho_bytes key_of(const struct tycho__runner *runner) {
    return tycho__text_of(runner->instance.key, runner->instance.key_size);
}

/* Runs a call; after a failure there is no state. */
static int run(struct call *context, const struct tycho__sandbox_call *call) {
    struct tycho__runner *runner = context->runner;
    enum tycho__sandbox_kind kind = tycho__sandbox_call(runner->sandbox, call);
    if (kind == TYCHO__SANDBOX_OK) return TYCHO_OK;
    const tycho_event *event = context->shown != NULL ? context->shown->event : NULL;
    runner->instance.has_state = false;
    if (kind == TYCHO__SANDBOX_AGAIN) return TYCHO__AGAIN;
    return tycho__script_reject_run(runner, event, key_of(runner));
}

static int begin(struct tycho__runner *runner, tycho_bytes key) {
    if (runner->definition->about.kind != TYCHO_READ_MODEL) {
        return tycho__script_fail(TYCHO_MISUSE, "%.*s is no read model",
                                  (int)runner->definition->about.key.size,
                                  (const char *)runner->definition->about.key.data);
    }
    const char *fault = tycho__name_fault(key.data, key.size);
    if (fault != NULL) return tycho__script_fail(TYCHO_MISUSE, "the key %s", fault);
    runner->instance.has_state = false;
    runner->instance.heaviest = 0;
    runner->instance.key_size = key.size;
    memcpy(runner->instance.key, key.data, key.size);
    return TYCHO_OK;
}

static int push_key(lua_State *L, void *context) {
    struct call *call = context;
    call->weight = tycho__sandbox_weight(L);
    lua_pushlstring(L, call->runner->instance.key, call->runner->instance.key_size);
    return 1;
}

static void take_first(lua_State *L, int first, void *context) {
    if (lua_gettop(L) < first) lua_pushnil(L);
    keep_state(L, first, "init");
    weigh_state(L, context);
}

int tycho__run_init(struct tycho__runner *runner, tycho_bytes key) {
    struct call context = {.runner = runner};
    int status = begin(runner, key);
    if (status != TYCHO_OK) return status;
    const struct tycho__sandbox_call call = {.function = runner->functions[TYCHO__INIT],
                                             .push = push_key,
                                             .read = take_first,
                                             .context = &context};
    status = run(&context, &call);
    runner->instance.has_state = status == TYCHO_OK;
    return status;
}

static void take_in(lua_State *L, int first, void *context) {
    struct call *call = context;
    (void)first;
    call->weight = tycho__sandbox_weight(L);
    if (tycho__lua_decode(L, call->state.data, call->state.size) != TYCHO_OK) {
        luaL_error(L, "the state: %s", lua_tostring(L, -1));
    }
    keep_state(L, lua_gettop(L), "a snapshot");
    weigh_state(L, call);
}

int tycho__run_set_state(struct tycho__runner *runner, tycho_bytes key, tycho_bytes state) {
    struct call context = {.runner = runner, .state = state};
    const struct tycho__sandbox_call call = {.read = take_in, .context = &context};
    int status = begin(runner, key);
    if (status == TYCHO_OK) status = run(&context, &call);
    if (status != TYCHO_OK) return status;
    runner->instance.has_state = true;
    return TYCHO_OK;
}

/* ---------------------------------------------------------------- events */

int tycho__runner_handler(const struct tycho__runner *runner, const tycho_cursor *cursor,
                          tycho_bytes type) {
    int index = tycho__type_index(&runner->definition->about, cursor, type);
    if (index < 0) return 0;
    int own = runner->handlers[index];
    return own != 0 ? own : runner->functions[TYCHO__OTHERWISE];
}

static int push_state_and_event(lua_State *L, void *context) {
    struct call *call = context;
    tycho__push_state(L, call->runner);
    call->weight = tycho__sandbox_weight(L);
    tycho__sandbox_push_view(L, &tycho__event_view, call->shown);
    return 2;
}

static void take_next(lua_State *L, int first, void *context) {
    int count = lua_gettop(L) - first + 1;
    if (count > 1) {
        tycho__sandbox_bad_result(L,
                                  "the handler returned %d values: it changes the state, or "
                                  "returns the new one",
                                  count);
    }
    if (count == 1 && !lua_isnil(L, first)) keep_state(L, first, "the handler");
    weigh_state(L, context);
}

static int no_state(void) {
    return tycho__script_fail(TYCHO_MISUSE, "there is no state: call init or set_state first");
}

int tycho__run_apply(struct tycho__runner *runner, const struct tycho__shown *shown) {
    struct call context = {.runner = runner, .shown = shown};
    if (!runner->instance.has_state) return no_state();
    int handler = tycho__runner_handler(runner, shown->cursor, shown->event->type);
    const struct tycho__sandbox_call call = {
        .function = handler, .push = push_state_and_event, .read = take_next, .context = &context};
    return call.function == 0 ? TYCHO_OK : run(&context, &call);
}

/* ---------------------------------------------------------------- the state goes out */

/* Refuses metatables other than those of data. The value at `index` was encoded, so it is a tree of
** bounded depth. The walk keeps its path on the stack: tables, and the keys that lua_next wants. */
static void refuse_metatables(lua_State *L, int index) {
    int base = lua_gettop(L) + 1;
    tycho__lua_push_array_mark(L);
    lua_pushvalue(L, index);
    lua_pushnil(L);
    while (lua_gettop(L) > base) {
        if (lua_next(L, -2) == 0) {
            lua_pop(L, 1);
            continue;
        }
        if (!lua_istable(L, -1)) {
            lua_pop(L, 1);
            continue;
        }
        luaL_checkstack(L, LUA_MINSTACK, "no room for the state");
        if (lua_getmetatable(L, -1) != 0) {
            if (!lua_rawequal(L, -1, base)) {
                tycho__sandbox_bad_result(L, "the state has a table with a metatable: a state is "
                                             "data");
            }
            lua_pop(L, 1);
        }
        lua_pushnil(L);
    }
    lua_settop(L, base - 1);
}

static void level_empty_tables(struct tycho_buffer *out) {
    enum { EMPTY_MAP = 0x80 };
    struct tycho__msgpack_reader reader = {.data = out->data, .size = out->size};
    struct tycho__msgpack_token token;
    while (tycho__msgpack_next(&reader, &token) == TYCHO__MSGPACK_OK) {
        bool is_empty = token.kind == TYCHO__MSGPACK_ARRAY && token.count == 0;
        if (is_empty) out->data[token.offset] = EMPTY_MAP;
    }
}

static void take_out(lua_State *L, int first, void *context) {
    struct call *call = context;
    enum { ENCODE_PRICE = 8 }; /* bytes that cost what an instruction costs */
    lua_settop(L, first - 1);
    tycho__push_state(L, call->runner);
    int status = tycho__lua_encode_result(L, first, "state", call->out);
    call->lacks_memory = status == TYCHO_NO_MEMORY;
    if (call->lacks_memory) return;
    if (status != TYCHO_OK) {
        tycho__sandbox_bad_result(L, "%s", lua_tostring(L, -1));
    }
    tycho__sandbox_charge(L, call->out->size / ENCODE_PRICE);
    if (lua_istable(L, first)) {
        if (lua_getmetatable(L, first) != 0) {
            tycho__lua_push_array_mark(L);
            if (!lua_rawequal(L, -1, -2)) {
                tycho__sandbox_bad_result(L, "the state has a metatable: a state is data");
            }
        }
        lua_settop(L, first);
        refuse_metatables(L, first);
    }
    level_empty_tables(call->out);
}

int tycho__run_get_state(struct tycho__runner *runner, struct tycho_buffer *out) {
    struct call context = {.runner = runner, .out = out};
    const struct tycho__sandbox_call call = {.read = take_out, .context = &context};
    tycho__payload_clear(out);
    if (!runner->instance.has_state) return no_state();
    int status = run(&context, &call);
    if (status == TYCHO_OK && context.lacks_memory) {
        status = tycho__script_fail(TYCHO_NO_MEMORY, "no memory for a state");
    }
    return status;
}

/* ---------------------------------------------------------------- for hosts */

int tycho_script_init(tycho_script *script, tycho_bytes key) {
    struct tycho__runner *runner;
    int status = tycho__script_runner(script, true, &runner);
    return status == TYCHO_OK ? tycho__run_init(runner, key) : status;
}

int tycho_script_set_state(tycho_script *script, tycho_bytes key, tycho_bytes state) {
    struct tycho__runner *runner;
    int status = tycho__script_runner(script, true, &runner);
    return status == TYCHO_OK ? tycho__run_set_state(runner, key, state) : status;
}

int tycho_script_apply(tycho_script *script, tycho_cursor *cursor, const tycho_event *event) {
    const struct tycho__shown shown = {.event = event, .data = event->data, .cursor = cursor};
    struct tycho__runner *runner;
    int status = tycho__script_runner(script, true, &runner);
    return status == TYCHO_OK ? tycho__run_apply(runner, &shown) : status;
}

int tycho_script_get_state(tycho_script *script, tycho_bytes *state) {
    struct tycho__runner *runner;
    *state = tycho__text_of(NULL, 0);
    int status = tycho__script_runner(script, true, &runner);
    if (status == TYCHO_OK) status = tycho__run_get_state(runner, &runner->data);
    if (status == TYCHO_OK) *state = tycho__text_of(runner->data.data, runner->data.size);
    return status;
}

int tycho_script_history(tycho_script *script, tycho_bytes key, size_t index,
                         tycho_history_read *read) {
    struct tycho__runner *runner;
    memset(read, 0, sizeof *read);
    int status = tycho__script_runner(script, true, &runner);
    return status == TYCHO_OK ? tycho__run_history(runner, key, index, read) : status;
}
