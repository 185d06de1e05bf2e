/* salvage.c - saving what is intact of a damaged store. */
#include <string.h>

#include "binding.h"

#define CLASS "tycho.core.Salvage"

static void salvage_close(tycho__lua_box *box) {
    tycho_salvage_close(box->handle);
}

static const char *check_path(lua_State *L, int index) {
    size_t size;
    const char *path = luaL_checklstring(L, index, &size);
    luaL_argcheck(L, strlen(path) == size, index, "a path without a NUL expected");
    return path;
}

static void push_counts(lua_State *L, const tycho_salvaged *counts) {
    lua_newtable(L);
    tycho__lua_set_integer(L, "head", (int64_t)counts->head);
    tycho__lua_set_integer(L, "events", (int64_t)counts->events);
    tycho__lua_set_integer(L, "events_lost", (int64_t)counts->events_lost);
    tycho__lua_set_integer(L, "entries", (int64_t)counts->entries);
    tycho__lua_set_integer(L, "entries_lost", (int64_t)counts->entries_lost);
    tycho__lua_set_integer(L, "rows", (int64_t)counts->rows);
    tycho__lua_set_integer(L, "rows_lost", (int64_t)counts->rows_lost);
}

/* salvage(damaged, path or nil): a table of counts, with `findings`, and how many there were. */
int tycho__lua_salvage(lua_State *L) {
    const char *damaged = check_path(L, 1);
    const char *path = lua_isnoneornil(L, 2) ? NULL : check_path(L, 2);
    void *handle = NULL;
    tycho_salvaged counts;
    tycho_bytes text;
    lua_Integer count = 0;
    tycho__lua_box *self = tycho__lua_box_create(L, sizeof(*self), CLASS);

    self->noun = "salvage";
    self->close = salvage_close;
    int status = tycho_salvage_open(damaged, path, (tycho_salvage **)(void *)&handle);
    self->handle = handle;
    if (status == TYCHO_OK) status = tycho_salvage_get(handle, &counts);

    if (status != TYCHO_OK) return tycho__lua_refuse(L, status, NULL);
    push_counts(L, &counts);
    lua_newtable(L);
    while (tycho_salvage_next(handle, &text) == TYCHO_OK) {
        tycho__lua_push_bytes(L, text);
        lua_rawseti(L, -2, ++count);
    }
    lua_setfield(L, -2, "findings");
    lua_pushinteger(L, (lua_Integer)counts.findings);
    tycho__lua_box_close(self);
    return 2;
}

void tycho__lua_salvage_register(lua_State *L) {
    static const luaL_Reg methods[] = {{NULL, NULL}};
    tycho__lua_class_register(L, CLASS, methods);
}
