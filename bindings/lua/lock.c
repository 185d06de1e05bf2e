/* lock.c - the box of a named lock, and the list of those that are held.
**
** A lock is a child of its store: closing the store releases it. Taking one blocks the thread, with
** all coroutines of the state; it holds nothing that another state needs.
*/
#include "binding.h"

static void lock_close(tycho__lua_box *box) {
    tycho_lock_release(box->handle);
}

/* store:lock(name, timeout_ms): the lock */
int tycho__lua_store_lock(lua_State *L) {
    tycho__lua_box *store = tycho__lua_self_open(L);
    const tycho_bytes name = tycho__lua_bytes(L, 2, "name");
    const int64_t timeout_ms = tycho__lua_integer(L, 3, "timeout");
    tycho_lock_info owner;
    void *handle = NULL;
    tycho__lua_box *self = tycho__lua_box_create(L, sizeof(*self), TYCHO__LUA_LOCK);
    tycho__lua_box_attach(L, 1);

    self->noun = "lock";
    self->close = lock_close;
    const int status =
        tycho_lock_take(store->handle, name, timeout_ms, (tycho_lock **)(void *)&handle, &owner);
    self->handle = handle;

    if (status != TYCHO_OK) return tycho__lua_refuse_lock(L, status, &owner);
    return 1;
}

static int lock_token(lua_State *L) {
    const tycho__lua_box *self = tycho__lua_self_open(L);
    lua_pushinteger(L, (lua_Integer)tycho_lock_token(self->handle));
    return 1;
}

void tycho__lua_lock_info_push(lua_State *L, const tycho_lock_info *info) {
    lua_createtable(L, 0, 7);
    tycho__lua_set_integer(L, "token", (int64_t)info->token);
    tycho__lua_set_integer(L, "since", info->since);
    tycho__lua_set_integer(L, "pid", info->pid);
    tycho__lua_set_integer(L, "thread", info->thread);
    lua_pushstring(L, info->host);
    lua_setfield(L, -2, "host");
}

/* store:locks(): a list */
int tycho__lua_store_locks(lua_State *L) {
    tycho__lua_box *store = tycho__lua_self_open(L);
    tycho_lock_info *info = lua_newuserdatauv(L, TYCHO_LOCKS_MAX * sizeof(tycho_lock_info), 0);
    size_t count = 0;

    const int status = tycho_lock_list(store->handle, info, TYCHO_LOCKS_MAX, &count);

    if (status != TYCHO_OK) return tycho__lua_refuse(L, status, NULL);
    lua_createtable(L, (int)count, 0);
    for (size_t i = 0; i < count; i++) {
        tycho__lua_lock_info_push(L, &info[i]);
        tycho__lua_set_bytes(L, "name", (tycho_bytes){info[i].name, info[i].name_size});
        tycho__lua_set_integer(L, "waiters", info[i].waiters);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

void tycho__lua_lock_register(lua_State *L) {
    static const luaL_Reg methods[] = {{"token", lock_token}, {NULL, NULL}};
    tycho__lua_class_register(L, TYCHO__LUA_LOCK, methods);
}
