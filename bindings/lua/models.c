/* models.c - the box of an on-demand read model: a child of its store. */
#include "binding.h"

static void model_close(tycho__lua_box *box) {
    tycho_model_close(box->handle);
}

/* store:model(name): the model, or nil when it is not deployed */
int tycho__lua_store_model(lua_State *L) {
    tycho__lua_box *store = tycho__lua_self_open(L);
    const tycho_bytes name = tycho__lua_bytes(L, 2, "name");
    void *handle = NULL;
    tycho__lua_box *self = tycho__lua_box_create(L, sizeof(*self), TYCHO__LUA_MODEL);
    tycho__lua_box_attach(L, 1);

    self->noun = "read model";
    self->close = model_close;
    const int status = tycho_model_open(store->handle, name, (tycho_model **)(void *)&handle);
    self->handle = handle;

    if (status == TYCHO_NOT_FOUND) return lua_pushnil(L), 1;
    if (status != TYCHO_OK) return tycho__lua_refuse(L, status, NULL);
    return 1;
}

/* ---------------------------------------------------------------- asking */

/* model:get(key, is_fresh, snapshot_after, timeout_ms): the state, position, version, events,
** folded, linked, is_known, was_caught_up, and how storing a snapshot ended */
static int model_get(lua_State *L) {
    tycho__lua_box *self = tycho__lua_self_open(L);
    const tycho_bytes key = tycho__lua_bytes(L, 2, "key");
    const tycho_model_options options = {
        .size = sizeof(options),
        .flags = lua_toboolean(L, 3) ? TYCHO_MODEL_FRESH : 0,
        .snapshot_after = (uint32_t)tycho__lua_integer(L, 4, "snapshot_after"),
        .timeout_ms = tycho__lua_integer(L, 5, "timeout"),
    };
    tycho_model_result result;

    int status = tycho_model_get(self->handle, key, &options, &result);

    if (status != TYCHO_OK) return tycho__lua_refuse(L, status, NULL);
    status = tycho__lua_decode(L, result.state.data, result.state.size);
    if (status != TYCHO_OK) return tycho__lua_refuse_value(L, status);
    lua_pushinteger(L, (lua_Integer)result.position);
    lua_pushinteger(L, result.version);
    lua_pushinteger(L, (lua_Integer)result.events);
    lua_pushinteger(L, (lua_Integer)result.folded);
    lua_pushinteger(L, (lua_Integer)result.linked);
    lua_pushboolean(L, result.is_known != 0);
    lua_pushboolean(L, result.was_caught_up != 0);
    lua_pushstring(L, tycho_status_code(result.stored));
    return 9;
}

static void set_count(lua_State *L, const char *name, uint64_t value) {
    tycho__lua_set_integer(L, name, (int64_t)value);
}

/* model:look(key): a table */
static int model_look(lua_State *L) {
    tycho__lua_box *self = tycho__lua_self_open(L);
    const tycho_bytes key = tycho__lua_bytes(L, 2, "key");
    tycho_model_instance instance;

    const int status = tycho_model_look(self->handle, key, &instance);

    if (status != TYCHO_OK) return tycho__lua_refuse(L, status, NULL);
    lua_createtable(L, 0, 10);
    tycho__lua_set_boolean(L, "is_caught_up", instance.is_caught_up != 0);
    tycho__lua_set_boolean(L, "is_current", instance.is_current != 0);
    set_count(L, "entries", instance.entries);
    if (instance.is_caught_up == 0) return 1;
    tycho__lua_set_integer(L, "version", instance.version);
    tycho__lua_set_integer(L, "caught_up_at", instance.caught_up_at);
    set_count(L, "position", instance.position);
    set_count(L, "linked", instance.linked);
    set_count(L, "snapshot_events", instance.snapshot_events);
    set_count(L, "snapshot_size", instance.snapshot_size);
    set_count(L, "behind", instance.behind);
    return 1;
}

/* model:count(): a table */
static int model_count(lua_State *L) {
    tycho__lua_box *self = tycho__lua_self_open(L);
    tycho_model_totals totals;

    const int status = tycho_model_count(self->handle, &totals);

    if (status != TYCHO_OK) return tycho__lua_refuse(L, status, NULL);
    lua_createtable(L, 0, 4);
    tycho__lua_set_integer(L, "version", totals.version);
    set_count(L, "instances", totals.instances);
    set_count(L, "current", totals.current);
    set_count(L, "snapshots", totals.snapshots);
    return 1;
}

/* ---------------------------------------------------------------- catching up many */

typedef struct run {
    lua_State *L;
    int progress; /* index of the function, or of nil */
    tycho_model_progress last;
    int is_raised; /* 1: it failed, and its error is on top of the stack */
} run;

static void push_progress(lua_State *L, const tycho_model_progress *now) {
    lua_createtable(L, 0, 4);
    set_count(L, "done", now->done);
    set_count(L, "total", now->total);
    set_count(L, "linked", now->linked);
    set_count(L, "failed", now->failed);
}

/* Pushes a function that makes the table, so that running out of memory is caught, too. */
static int call_progress(lua_State *L) {
    const run *self = lua_touserdata(L, 2);
    lua_settop(L, 1);
    push_progress(L, &self->last);
    lua_call(L, 1, 0);
    return 0;
}

/* The room on the stack is made before the run. */
static int progress(void *context, const tycho_model_progress *now) {
    run *self = context;
    self->last = *now;
    if (lua_isnil(self->L, self->progress)) return TYCHO_OK;
    lua_pushcfunction(self->L, call_progress);
    lua_pushvalue(self->L, self->progress);
    lua_pushlightuserdata(self->L, self);
    self->is_raised = lua_pcall(self->L, 2, 0, 0) != LUA_OK;
    return self->is_raised ? TYCHO_DENIED : TYCHO_OK;
}

/* model:prepare(keys, progress), model:maintain(nil, progress): {done, total, linked, failed} */
static int catch_up(lua_State *L, int is_given) {
    tycho__lua_box *self = tycho__lua_self_open(L);
    tycho_bytes *keys = NULL;
    size_t count = 0;
    run now = {.L = L, .progress = 3};
    lua_settop(L, 3);
    if (is_given) {
        luaL_checktype(L, 2, LUA_TTABLE);
        count = (size_t)lua_rawlen(L, 2);
        keys = lua_newuserdatauv(L, (count + 1) * sizeof(*keys), 0);
        for (size_t i = 0; i < count; i++) {
            lua_rawgeti(L, 2, (lua_Integer)i + 1);
            keys[i] = tycho__lua_bytes(L, -1, "key"); /* which the table keeps */
            lua_pop(L, 1);
        }
    }
    luaL_checkstack(L, LUA_MINSTACK, NULL);

    const int status = is_given ? tycho_model_prepare(self->handle, keys, count, progress, &now)
                                : tycho_model_maintain(self->handle, progress, &now);

    if (now.is_raised) return lua_error(L);
    if (status != TYCHO_OK) return tycho__lua_refuse(L, status, NULL);
    push_progress(L, &now.last);
    return 1;
}

static int model_prepare(lua_State *L) {
    return catch_up(L, 1);
}

static int model_maintain(lua_State *L) {
    return catch_up(L, 0);
}

/* model:forget(key) */
static int model_forget(lua_State *L) {
    tycho__lua_box *self = tycho__lua_self_open(L);
    const tycho_bytes key = tycho__lua_bytes(L, 2, "key");

    const int status = tycho_model_forget(self->handle, key);

    if (status != TYCHO_OK) return tycho__lua_refuse(L, status, NULL);
    return 0;
}

void tycho__lua_model_register(lua_State *L) {
    static const luaL_Reg methods[] = {
        {"get", model_get},         {"look", model_look},         {"count", model_count},
        {"prepare", model_prepare}, {"maintain", model_maintain}, {"forget", model_forget},
        {NULL, NULL},
    };
    tycho__lua_class_register(L, TYCHO__LUA_MODEL, methods);
}
