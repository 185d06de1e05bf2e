/* backfill.c - the box of a back-fill: a linker that is deployed with its older events. */
#include "binding.h"

static void backfill_close(tycho__lua_box *box) {
    tycho_backfill_close(box->handle);
}

/* store:backfill(source, name, label, timeout_ms, is_plan) */
int tycho__lua_store_backfill(lua_State *L) {
    tycho__lua_box *store = tycho__lua_self_open(L);
    const tycho_backfill_options options = {
        .size = sizeof options,
        .source = tycho__lua_optional_bytes(L, 2, "source"),
        .name = tycho__lua_optional_bytes(L, 3, "name"),
        .label = tycho__lua_optional_bytes(L, 4, "label"),
        .lock_timeout_ms = tycho__lua_integer(L, 5, "lock_timeout"),
        .is_plan = lua_toboolean(L, 6),
    };
    void *handle = NULL;
    tycho__lua_box *self = tycho__lua_box_create(L, sizeof(*self), TYCHO__LUA_BACKFILL);
    tycho__lua_box_attach(L, 1);

    self->noun = "back-fill";
    self->close = backfill_close;
    const int status =
        tycho_backfill_open(store->handle, &options, (tycho_backfill **)(void *)&handle);
    self->handle = handle;

    if (status != TYCHO_OK) return tycho__lua_refuse(L, status, NULL);
    return 1;
}

/* backfill:step(chunk): whether there was something to do; chunk 0 is the usual one */
static int backfill_step(lua_State *L) {
    const tycho__lua_box *self = tycho__lua_self_open(L);
    const int64_t chunk = tycho__lua_integer(L, 2, "chunk");
    if (chunk < 0) return tycho__lua_misuse(L, "chunk must not be negative");

    const int status = tycho_backfill_step(self->handle, (size_t)chunk);

    if (status < TYCHO_OK) return tycho__lua_refuse(L, status, NULL);
    lua_pushboolean(L, status == TYCHO_OK);
    return 1;
}

/* backfill:cancel() */
static int backfill_cancel(lua_State *L) {
    const tycho__lua_box *self = tycho__lua_self_open(L);

    const int status = tycho_backfill_cancel(self->handle);

    if (status != TYCHO_OK) return tycho__lua_refuse(L, status, NULL);
    return 0;
}

/* backfill:status(): a table */
static int backfill_status(lua_State *L) {
    static const char *const phases[] = {"new",  "linking",   "mending",  "cancelling",
                                         "done", "cancelled", "preparing"};
    const tycho__lua_box *self = tycho__lua_self_open(L);
    tycho_backfill_status status;

    tycho_backfill_status_get(self->handle, &status);

    lua_createtable(L, 0, 12);
    lua_pushstring(L, phases[status.phase]);
    lua_setfield(L, -2, "phase");
    tycho__lua_set_boolean(L, "is_beside", status.is_beside != 0);
    tycho__lua_set_boolean(L, "is_deployed", status.is_deployed != 0);
    tycho__lua_set_bytes(L, "name", status.name);
    tycho__lua_set_integer(L, "version", status.version);
    if (status.old_version != 0) tycho__lua_set_integer(L, "old_version", status.old_version);
    tycho__lua_set_integer(L, "position", (int64_t)status.position);
    tycho__lua_set_integer(L, "head", (int64_t)status.head);
    tycho__lua_set_integer(L, "linked", (int64_t)status.linked);
    tycho__lua_set_integer(L, "unlinked", (int64_t)status.unlinked);
    tycho__lua_set_integer(L, "left", (int64_t)status.left);
    tycho__lua_set_integer(L, "sequence", (int64_t)status.sequence);
    return 1;
}

void tycho__lua_backfill_register(lua_State *L) {
    static const luaL_Reg methods[] = {{"step", backfill_step},
                                       {"cancel", backfill_cancel},
                                       {"status", backfill_status},
                                       {NULL, NULL}};
    tycho__lua_class_register(L, TYCHO__LUA_BACKFILL, methods);
}
