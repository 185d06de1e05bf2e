/* line_editor.c - the Lua module `tycho.line_editor`: line editing and history for `tycho repl`,
** on libedit's readline interface.
**
**   read(prompt)         a line without its newline, or nil at the end of input
**   remember(text)       adds a line to the history
**   load(path)           reads a history file; false when there is none
**   save(path, count)    writes the last `count` lines; nil, message when it cannot
**
** The history is one per process: that of libedit. */
#include <editline/readline.h>
#include <errno.h>
#include <lauxlib.h>
#include <lua.h>
#include <stdlib.h>
#include <string.h>

__attribute__((visibility("default"))) int luaopen_tycho_line_editor(lua_State *L);

static int read_line(lua_State *L) {
    const char *prompt = luaL_checkstring(L, 1);
    char *line = readline(prompt);
    lua_pushstring(L, line); /* NULL: nil */
    free(line);
    return 1;
}

static int remember(lua_State *L) {
    const char *text = luaL_checkstring(L, 1);
    add_history(text);
    return 0;
}

static int load_history(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    lua_pushboolean(L, read_history(path) == 0);
    return 1;
}

static int save_history(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    lua_Integer count = luaL_checkinteger(L, 2);
    luaL_argcheck(L, count >= 0 && count <= 1000000, 2, "0 to 1000000 expected");
    stifle_history((int)count);
    int error = write_history(path);
    if (error != 0) {
        lua_pushnil(L);
        lua_pushstring(L, strerror(error));
        return 2;
    }
    lua_pushboolean(L, 1);
    return 1;
}

int luaopen_tycho_line_editor(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"read", read_line},    {"remember", remember}, {"load", load_history},
        {"save", save_history}, {NULL, NULL},
    };
    using_history();
    rl_readline_name = "tycho";
    luaL_newlib(L, functions);
    return 1;
}
