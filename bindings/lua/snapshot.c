/* snapshot.c - the box of a snapshot: cursors are opened in it through the state of their read. */
#include "binding.h"

static void snapshot_close(tycho__lua_box *box) {
    tycho_snapshot_close(box->handle);
}

/* store:snapshot() */
int tycho__lua_store_snapshot(lua_State *L) {
    tycho__lua_box *store = tycho__lua_self_open(L);
    void *handle = NULL;
    lua_settop(L, 1);
    tycho__lua_box *self = tycho__lua_box_create(L, sizeof(*self), TYCHO__LUA_SNAPSHOT);
    tycho__lua_box_attach(L, 1);

    self->noun = "snapshot";
    self->close = snapshot_close;
    const int status = tycho_snapshot_open(store->handle, (tycho_snapshot **)(void *)&handle);
    self->handle = handle;

    if (status != TYCHO_OK) return tycho__lua_refuse(L, status, NULL);
    return 1;
}

void tycho__lua_snapshot_register(lua_State *L) {
    static const luaL_Reg methods[] = {{NULL, NULL}};
    tycho__lua_class_register(L, TYCHO__LUA_SNAPSHOT, methods);
}
