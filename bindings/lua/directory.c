/* directory.c - the names in a directory. */
#include <dirent.h>
#include <errno.h>
#include <string.h>

#include "binding.h"

#define CLASS "tycho.core.Directory"

static void directory_close(tycho__lua_box *box) {
    closedir(box->handle);
}

/* directory(path): its names in no order, without those that begin with a dot; or
** nil and a message. What is no directory gives nil alone. */
int tycho__lua_directory(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    const struct dirent *entry;
    lua_Integer count = 0;
    tycho__lua_box *self = tycho__lua_box_create(L, sizeof(*self), CLASS);

    self->noun = "directory";
    self->close = directory_close;
    self->handle = opendir(path);

    if (self->handle == NULL) {
        const int error = errno;
        lua_pushnil(L);
        if (error == ENOTDIR) return 1;
        lua_pushstring(L, strerror(error));
        return 2;
    }
    lua_newtable(L);
    while ((entry = readdir(self->handle)) != NULL) {
        if (entry->d_name[0] == '.') continue;
        lua_pushstring(L, entry->d_name);
        lua_rawseti(L, -2, ++count);
    }
    tycho__lua_box_close(self);
    return 1;
}

void tycho__lua_directory_register(lua_State *L) {
    static const luaL_Reg methods[] = {{NULL, NULL}};
    tycho__lua_class_register(L, CLASS, methods);
}
