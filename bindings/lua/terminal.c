/* terminal.c - the Lua module `tycho.terminal`: what the command needs of the terminal and the
** process, and Lua does not give.
**
**   is_terminal(fd)    whether the descriptor 0, 1 or 2 is a terminal
**   width()            columns of the terminal on standard output, or nil
**   monotonic()        seconds of a clock that only moves forward
**   default_signals()  SIGINT and SIGPIPE end the process again, whatever was inherited
**   run(line)          the exit code of a line of sh, 128 and the signal when one ended it; nil and
**                      why when it cannot be run. Signals that would end this process are passed on
**                      to it meanwhile
**
** It holds no state. */
#include <errno.h>
#include <lauxlib.h>
#include <lua.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
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

/* Starts the line with the signals that this process had; 0, or the error. */
static int start(const char *line, const sigset_t *signals, pid_t *child) {
    extern char **environ;
    char sh[] = "sh", option[] = "-c", *copy = strdup(line);
    char *words[] = {sh, option, copy, NULL};
    posix_spawnattr_t attributes;
    if (copy == NULL) return ENOMEM;
    int error = posix_spawnattr_init(&attributes);
    if (error == 0) {
        posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
        posix_spawnattr_setsigmask(&attributes, signals);
        error = posix_spawn(child, "/bin/sh", NULL, &attributes, words, environ);
        posix_spawnattr_destroy(&attributes);
    }
    free(copy);
    return error;
}

/* Waits for the end of the child, passing on the signals. Those of the terminal it gets itself. */
static int await_end(pid_t child, const sigset_t *signals) {
    int status = 0;
    while (waitpid(child, &status, WNOHANG) == 0) {
        siginfo_t info;
        int signal = sigwaitinfo(signals, &info);
        if (signal > 0 && signal != SIGCHLD && info.si_code != SI_KERNEL) kill(child, signal);
    }
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int run(lua_State *L) {
    const char *line = luaL_checkstring(L, 1);
    const struct sigaction by_default = {.sa_handler = SIG_DFL};
    sigset_t awaited, before;
    pid_t child;
    sigemptyset(&awaited);
    sigaddset(&awaited, SIGCHLD);
    sigaddset(&awaited, SIGHUP);
    sigaddset(&awaited, SIGINT);
    sigaddset(&awaited, SIGQUIT);
    sigaddset(&awaited, SIGTERM);
    sigaction(SIGCHLD, &by_default, NULL); /* ignored, it would take the exit code away */
    sigprocmask(SIG_BLOCK, &awaited, &before);

    const int error = start(line, &before, &child);
    const int code = error == 0 ? await_end(child, &awaited) : 0;

    sigprocmask(SIG_SETMASK, &before, NULL);
    if (error != 0) return lua_pushnil(L), lua_pushstring(L, strerror(error)), 2;
    return lua_pushinteger(L, code), 1;
}

int luaopen_tycho_terminal(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"is_terminal", is_terminal},
        {"width", width},
        {"monotonic", monotonic},
        {"default_signals", default_signals},
        {"run", run},
        {NULL, NULL},
    };
    luaL_newlib(L, functions);
    return 1;
}
