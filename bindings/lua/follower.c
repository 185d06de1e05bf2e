/* follower.c - the box of a follower: next, key, descriptor, cancel. scripts/tycho/follower.lua
** waits in slices, so that an interrupt from the keyboard is noticed.
**
** Events are lazy: the follower stands in for its cursor (tycho__lua_cursor_at).
*/
#include "binding.h"

static void follower_close(tycho__lua_box *box) {
    tycho_follower_close(box->handle);
}

/* store:follower(state) */
int tycho__lua_store_follower(lua_State *L) {
    tycho__lua_box *store = tycho__lua_self_open(L);
    tycho__lua_read read;
    void *handle = NULL;
    lua_settop(L, 2);
    tycho__lua_read_fill(L, 2, &read);
    tycho__lua_reader *self = tycho__lua_box_create(L, sizeof(*self), TYCHO__LUA_FOLLOWER);
    tycho__lua_box_attach(L, 1);

    self->box.noun = "follower";
    self->box.close = follower_close;
    const int status =
        tycho_follower_open(store->handle, &read.read, (tycho_follower **)(void *)&handle);
    self->box.handle = handle;

    if (status != TYCHO_OK) return tycho__lua_refuse(L, status, NULL);
    return 1;
}

/* follower:next(timeout_ms): the event, nil when the time is over, false when there is no more. */
static int follower_next(lua_State *L) {
    tycho__lua_reader *self = tycho__lua_self_open(L);
    const int64_t timeout_ms = tycho__lua_integer(L, 2, "timeout");
    tycho_event event;
    lua_settop(L, 1);
    tycho__lua_event_class *class = tycho__lua_event_class_push(L);
    const tycho__lua_origin origin = {self, 1, 2, class};

    self->step++;
    int status = tycho_follower_next(self->box.handle, timeout_ms, &event);
    self->cursor = tycho_follower_cursor(self->box.handle);
    if (status == TYCHO_OK) status = tycho_cursor_pack(self->cursor, &event);

    if (status == TYCHO_OK) return tycho__lua_event_push_lazy(L, &event, &origin), 1;
    if (status == TYCHO_TIMEOUT) return lua_pushnil(L), 1;
    if (status == TYCHO_END) return lua_pushboolean(L, 0), 1;
    return tycho__lua_refuse(L, status, NULL);
}

static int follower_is_caught_up(lua_State *L) {
    tycho__lua_box *self = tycho__lua_self_open(L);
    lua_pushboolean(L, tycho_follower_is_caught_up(self->handle));
    return 1;
}

static int follower_key(lua_State *L) {
    tycho__lua_box *self = tycho__lua_self_open(L);
    tycho_bytes key;

    const int status = tycho_follower_key(self->handle, &key);

    if (status != TYCHO_OK) return tycho__lua_refuse(L, status, NULL);
    tycho__lua_push_bytes(L, key);
    return 1;
}

static int follower_descriptor(lua_State *L) {
    tycho__lua_box *self = tycho__lua_self_open(L);
    int descriptor = -1;

    const int status = tycho_follower_descriptor(self->handle, &descriptor);

    if (status != TYCHO_OK) return tycho__lua_refuse(L, status, NULL);
    lua_pushinteger(L, descriptor);
    return 1;
}

static int follower_cancel(lua_State *L) {
    tycho__lua_box *self = tycho__lua_self_open(L);
    tycho_follower_cancel(self->handle);
    return 0;
}

void tycho__lua_follower_register(lua_State *L) {
    static const luaL_Reg methods[] = {
        {"next", follower_next},
        {"is_caught_up", follower_is_caught_up},
        {"key", follower_key},
        {"descriptor", follower_descriptor},
        {"cancel", follower_cancel},
        {NULL, NULL},
    };
    tycho__lua_class_register(L, TYCHO__LUA_FOLLOWER, methods);
}
