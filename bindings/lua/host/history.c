/* history.c - what a read model's history(key) gives: reads, one after the other.
**
** What is left of the list is a stack in the sandbox's registry, the next entry on top. An entry
** that is a function is called when it comes on top, and what it gives is put in its place:
**
**     history(key) -> [ read, f, read ] -> read -> f(key, state) -> [ read, read ] -> ... -> END
*/
#include <stdio.h>
#include <string.h>

#include <lauxlib.h>

#include "script.h"

enum { ENTRIES_MAX = 10000, FUNCTIONS_MAX = 1000 };

static const char list_slot;

enum entry { ENTRY_NONE, ENTRY_READ, ENTRY_FUNCTION };

struct call {
    struct tycho__runner *runner;
    tycho_bytes key;
    bool has_state;
    enum entry entry;
    tycho_history_read *read;
};

void tycho__drop_history(lua_State *L) {
    lua_pushnil(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &list_slot);
}

/* ---------------------------------------------------------------- lists of entries */

static bool is_read(lua_State *L, int index) {
    lua_pushnil(L);
    if (lua_next(L, index) == 0) return false;
    bool has_names = lua_type(L, -2) == LUA_TSTRING;
    lua_pop(L, 2);
    return has_names;
}

/* Puts the value at `value` on top of the stack at `list`. */
static void put_entry(lua_State *L, int list, int value) {
    lua_Integer count = (lua_Integer)lua_rawlen(L, list);
    if (!lua_istable(L, value) && !lua_isfunction(L, value)) {
        tycho__sandbox_bad_result(L,
                                  "history gave a %s: it gives reads, {stream = ..., types = "
                                  "{...}, tags = {...}}, and functions that give reads",
                                  luaL_typename(L, value));
    }
    if (count >= ENTRIES_MAX) {
        tycho__sandbox_bad_result(L, "history has over %d entries", ENTRIES_MAX);
    }
    lua_pushvalue(L, value);
    lua_rawseti(L, list, count + 1);
}

/* Takes the result at `first`: nil, a read, a function, or a list of reads and functions. */
static void put_entries(lua_State *L, int first) {
    if (lua_gettop(L) > first) {
        tycho__sandbox_bad_result(L, "history returned more than one value: it returns a list");
    }
    if (lua_gettop(L) < first || lua_isnil(L, first)) return;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &list_slot);
    int list = lua_gettop(L);
    if (!lua_istable(L, first) || is_read(L, first)) {
        put_entry(L, list, first);
        return;
    }
    lua_Integer size = (lua_Integer)lua_rawlen(L, first), found = 0;
    for (lua_pushnil(L); lua_next(L, first) != 0; lua_pop(L, 1)) found++;
    if (found > size) {
        tycho__sandbox_bad_result(L, "history returned a table with other keys than 1, 2, 3 ...");
    }
    for (lua_Integer i = size; i > 0; i--) {
        lua_rawgeti(L, first, i);
        put_entry(L, list, lua_gettop(L));
        lua_pop(L, 1);
    }
}

static void take_list(lua_State *L, int first, void *context) {
    (void)context;
    lua_newtable(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &list_slot);
    put_entries(L, first);
}

static void take_more(lua_State *L, int first, void *context) {
    (void)context;
    put_entries(L, first);
}

/* ---------------------------------------------------------------- a read */

/* Refuses other fields; of several the first by name, since tables have no order. */
static void refuse_unknown(lua_State *L, int index) {
    static const char *const known[] = {"stream", "types", "tags"};
    const char *first = NULL;
    for (lua_pushnil(L); lua_next(L, index) != 0; lua_pop(L, 1)) {
        const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
        size_t i = 0;
        while (i < 3 && strcmp(known[i], name) != 0) i++;
        if (i == 3 && (first == NULL || strcmp(name, first) < 0)) first = name;
    }
    if (first == NULL) return;
    tycho__sandbox_bad_result(
        L, "a read of history has a field '%s': there are stream, types and tags", first);
}

/* Adds the field's names, and says how many there are. */
static size_t take_field(lua_State *L, int index, const char *field, struct tycho__names *names) {
    size_t before = names->count;
    lua_pushstring(L, field);
    lua_rawget(L, index);
    tycho__names_take(L, lua_gettop(L), names, tycho__text(""), false);
    lua_pop(L, 1);
    return names->count - before;
}

static void take_read(lua_State *L, int index, struct call *call) {
    struct tycho__names *names = &call->runner->instance.names;
    tycho__names_clear(names);
    refuse_unknown(L, index);
    size_t streams = take_field(L, index, "stream", names);
    if (streams > 1) tycho__sandbox_bad_result(L, "a read of history has one stream");
    call->read->stream.size = streams; /* until the names are finished */
    call->read->type_count = take_field(L, index, "types", names);
    call->read->tag_count = take_field(L, index, "tags", names);
    if (names->count == 0) {
        tycho__sandbox_bad_result(L, "a read of history needs a stream, types or tags");
    }
    if (call->read->type_count + call->read->tag_count > TYCHO_QUERY_MAX) {
        tycho__sandbox_bad_result(L, "a read of history has over %d types and tags",
                                  TYCHO_QUERY_MAX);
    }
}

/* Takes the entry on top of the list away. */
static void take_entry(lua_State *L, int first, void *context) {
    struct call *call = context;
    struct tycho__instance *instance = &call->runner->instance;
    lua_settop(L, first - 1);
    call->entry = ENTRY_NONE;
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &list_slot) != LUA_TTABLE) return;
    lua_Integer count = (lua_Integer)lua_rawlen(L, first);
    if (count == 0) return;
    lua_rawgeti(L, first, count);
    lua_pushnil(L);
    lua_rawseti(L, first, count);
    if (lua_isfunction(L, -1)) {
        call->entry = ENTRY_FUNCTION;
        if (instance->slot == 0) {
            instance->slot = tycho__sandbox_keep(L);
        } else {
            lua_rawseti(L, LUA_REGISTRYINDEX, instance->slot);
        }
        return;
    }
    take_read(L, lua_gettop(L), call);
    call->entry = ENTRY_READ;
}

static void look_at_entry(lua_State *L, int first, void *context) {
    struct call *call = context;
    lua_settop(L, first - 1);
    call->entry = ENTRY_NONE;
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &list_slot) != LUA_TTABLE) return;
    lua_rawgeti(L, first, (lua_Integer)lua_rawlen(L, first));
    if (lua_isfunction(L, -1)) call->entry = ENTRY_FUNCTION;
}

/* ---------------------------------------------------------------- the next read */

static int push_key_and_state(lua_State *L, void *context) {
    struct call *call = context;
    lua_pushlstring(L, call->key.data, call->key.size);
    if (!call->has_state) return 1;
    tycho__push_state(L, call->runner);
    return 2;
}

static int run(struct call *context, int function, void (*read)(lua_State *, int, void *)) {
    const struct tycho__sandbox_call call = {
        .function = function, .push = push_key_and_state, .read = read, .context = context};
    enum tycho__sandbox_kind kind = tycho__sandbox_call(context->runner->sandbox, &call);
    if (kind == TYCHO__SANDBOX_OK) return TYCHO_OK;
    context->runner->instance.has_state = false;
    if (kind == TYCHO__SANDBOX_AGAIN) return TYCHO__AGAIN;
    return tycho__script_reject_run(context->runner, NULL, context->key);
}

/* Makes views of the names, and sees that the types are some of the model's. */
static int finish(struct call *call) {
    struct tycho__names *names = &call->runner->instance.names;
    const tycho_script_about *about = &call->runner->definition->about;
    tycho_history_read *read = call->read;
    int status = tycho__names_finish(names);
    if (status != TYCHO_OK) return status;
    const tycho_bytes *list = tycho__names_list(names);
    size_t streams = read->stream.size;
    read->stream = streams > 0 ? list[0] : tycho__text_of(NULL, 0);
    read->types = list + streams;
    read->tags = read->types + read->type_count;
    for (size_t i = 0; i < read->type_count; i++) {
        char message[TYCHO_NAME_MAX + 60];
        if (tycho__runner_handler(call->runner, NULL, read->types[i]) != 0) continue;
        snprintf(message, sizeof message,
                 "history reads the type '%.*s', which is not among 'types'",
                 (int)read->types[i].size, (const char *)read->types[i].data);
        tycho__script_reject(call->runner->definition, NULL, "", 0, message);
        return tycho__script_reject_key(TYCHO_REJECTED, call->key);
    }
    if (read->type_count == 0) {
        read->types = about->types;
        read->type_count = about->type_count;
    }
    return TYCHO_OK;
}

static int next_read(struct call *call) {
    struct tycho__instance *instance = &call->runner->instance;
    int status = run(call, 0, take_entry);
    for (int i = 0; status == TYCHO_OK && call->entry == ENTRY_FUNCTION; i++) {
        if (i == FUNCTIONS_MAX) {
            tycho__script_reject(call->runner->definition, NULL, "", 0,
                                 "history gives functions without end");
            return tycho__script_reject_key(TYCHO_REJECTED, call->key);
        }
        status = run(call, instance->slot, take_more);
        if (status == TYCHO_OK) status = run(call, 0, take_entry);
    }
    if (status != TYCHO_OK) return status;
    if (call->entry == ENTRY_NONE) return TYCHO_END;
    return finish(call);
}

/* Begins with the list when that is asked for. */
static int begin(struct call *call, size_t index) {
    struct tycho__runner *runner = call->runner;
    struct tycho__instance *instance = &runner->instance;
    const tycho_script_about *about = &runner->definition->about;
    if (about->kind != TYCHO_READ_MODEL || (index != 0 && index != instance->history_next)) {
        return tycho__script_fail(TYCHO_MISUSE, "%.*s has no read %zu of a history here",
                                  (int)about->key.size, (const char *)about->key.data, index);
    }
    if (!about->has_history) return TYCHO_END;
    if (index > 0 || instance->has_history) return TYCHO_OK;
    call->has_state = false;
    int status = run(call, runner->functions[TYCHO__HISTORY], take_list);
    call->has_state = instance->has_state;
    instance->has_history = status == TYCHO_OK;
    return status;
}

int tycho__run_history(struct tycho__runner *runner, tycho_bytes key, size_t index,
                       tycho_history_read *read) {
    struct tycho__instance *instance = &runner->instance;
    struct call call = {
        .runner = runner, .key = key, .has_state = instance->has_state, .read = read};
    memset(read, 0, sizeof *read);
    int status = begin(&call, index);
    if (status == TYCHO_OK) status = next_read(&call);
    instance->has_history = false;
    instance->history_next = status == TYCHO_OK ? index + 1 : 0;
    return status;
}

int tycho__run_history_look(struct tycho__runner *runner, tycho_bytes key, size_t index,
                            bool *is_function) {
    struct call call = {.runner = runner, .key = key, .has_state = runner->instance.has_state};
    int status = begin(&call, index);
    if (status == TYCHO_OK) status = run(&call, 0, look_at_entry);
    *is_function = status == TYCHO_OK && call.entry == ENTRY_FUNCTION;
    return status;
}
