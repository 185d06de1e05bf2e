/* verification.c - the box of a verification, step by step, so that Lua can show progress. */
#include "binding.h"

static void verification_close(tycho__lua_box *box) {
    tycho_verification_close(box->handle);
}

/* store:verification() */
int tycho__lua_store_verification(lua_State *L) {
    tycho__lua_box *store = tycho__lua_self_open(L);
    void *handle = NULL;
    lua_settop(L, 1);
    tycho__lua_box *self = tycho__lua_box_create(L, sizeof(*self), TYCHO__LUA_VERIFICATION);
    tycho__lua_box_attach(L, 1);

    self->noun = "verification";
    self->close = verification_close;
    const int status =
        tycho_verification_open(store->handle, (tycho_verification **)(void *)&handle);
    self->handle = handle;

    if (status != TYCHO_OK) return tycho__lua_refuse(L, status, NULL);
    return 1;
}

/* verification:step(): done, total, findings so far, and what this step found or nil. Nothing but
** nil at the end. */
static int verification_step(lua_State *L) {
    tycho__lua_box *self = tycho__lua_self_open(L);
    tycho_finding finding;

    const int status = tycho_verification_step(self->handle, &finding);

    if (status == TYCHO_END) return lua_pushnil(L), 1;
    if (status != TYCHO_OK) return tycho__lua_refuse(L, status, NULL);
    lua_pushinteger(L, (lua_Integer)finding.done);
    lua_pushinteger(L, (lua_Integer)finding.total);
    lua_pushinteger(L, (lua_Integer)finding.findings);
    if (finding.text.size == 0) return 3;
    tycho__lua_push_bytes(L, finding.text);
    return 4;
}

void tycho__lua_verification_register(lua_State *L) {
    static const luaL_Reg methods[] = {{"step", verification_step}, {NULL, NULL}};
    tycho__lua_class_register(L, TYCHO__LUA_VERIFICATION, methods);
}
