/* terminal.c - the Lua module `tycho.terminal`: what the command needs of the terminal and the
** process, and Lua does not give.
**
**   is_terminal(fd)    whether the descriptor 0, 1 or 2 is a terminal
**   width()            columns of the terminal on standard output, or nil
**   monotonic()        seconds of a clock that only moves forward
**   default_signals()  SIGINT and SIGPIPE end the process again, whatever was inherited
**
** It holds no state. */
#include <lauxlib.h>
#include <lua.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

__attribute__((visibility("default"))) int luaopen_tycho_terminal(lua_State *L);

static int is_terminal(lua_State *L) {
    lua_Integer descriptor = luaL_checkinteger(L, 1);
    luaL_argcheck(L, descriptor >= 0 && descriptor <= 2, 1, "0, 1 or 2 expected");
    lua_pushboolean(L, isatty((int)descriptor));
    return 1;
}

static int width(lua_State *L) {
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        lua_pushinteger(L, size.ws_col);
    else
        lua_pushnil(L);
    return 1;
}

static int monotonic(lua_State *L) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    lua_pushnumber(L, (lua_Number)now.tv_sec + (lua_Number)now.tv_nsec / 1e9);
    return 1;
}

static int default_signals(lua_State *L) {
    (void)L;
    signal(SIGINT, SIG_DFL);
    signal(SIGPIPE, SIG_DFL);
    return 0;
}

int luaopen_tycho_terminal(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"is_terminal", is_terminal},
        {"width", width},
        {"monotonic", monotonic},
        {"default_signals", default_signals},
        {NULL, NULL},
    };
    luaL_newlib(L, functions);
    return 1;
}
