/* error.c - what went wrong, as a struct of plain texts. Filled where the error is raised, by the
** message handler or the allocator, when the stack is still there; so nothing here allocates,
** calls a metamethod, or can fail.
*/
#include "state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TRACE_LEVELS = 12, NAME_SHOWN = 60 };

/* Copies text and cuts it, at the beginning of a UTF-8 sequence, where it does not fit. */
static void copy_text(char *target, size_t capacity, const char *text, size_t size) {
    if (size >= capacity) {
        size = capacity - 1;
        while (size > 0 && ((unsigned char)text[size] & 0xc0) == 0x80) size--;
    }
    memcpy(target, text, size);
    target[size] = '\0';
}

static void copy_value(lua_State *L, int index, char *target, size_t capacity) {
    size_t size;
    const char *text;
    switch (lua_type(L, index)) {
    case LUA_TSTRING:
        text = lua_tolstring(L, index, &size);
        copy_text(target, capacity, text, size);
        break;
    case LUA_TNUMBER:
        if (lua_isinteger(L, index)) {
            snprintf(target, capacity, "%lld", (long long)lua_tointeger(L, index));
        } else {
            snprintf(target, capacity, "%.14g", lua_tonumber(L, index));
        }
        break;
    case LUA_TNIL:
        snprintf(target, capacity, "nil");
        break;
    case LUA_TBOOLEAN:
        snprintf(target, capacity, "%s", lua_toboolean(L, index) ? "true" : "false");
        break;
    default:
        snprintf(target, capacity, "(a %s as error)", lua_typename(L, lua_type(L, index)));
    }
}

void tycho__host_clear_error(struct tycho__sandbox *sandbox) {
    sandbox->error.kind = TYCHO__SANDBOX_OK;
    sandbox->error.line = 0;
    sandbox->error.message[0] = '\0';
    sandbox->error.traceback[0] = '\0';
    sandbox->is_bad = 0;
    sandbox->is_host = 0;
    sandbox->traced = NULL;
}

/* Appends "script:12: in function 'name'" for a function of the script. */
static void trace_level(struct tycho__sandbox *sandbox, const lua_Debug *record) {
    struct tycho__sandbox_error *error = &sandbox->error;
    size_t used = strlen(error->traceback);
    char *end = error->traceback + used;
    size_t room = sizeof error->traceback - used;
    if (error->line == 0) error->line = record->currentline;
    if (room <= 2 * NAME_SHOWN + 48) return;
    int length = snprintf(end, room, "%s%s:%d: in ", used > 0 ? "\n" : "", record->short_src,
                          record->currentline);
    end += length;
    room -= (size_t)length;
    if (strcmp(record->what, "main") == 0) {
        snprintf(end, room, "main chunk");
    } else if (record->name != NULL) {
        snprintf(end, room, "%s '%.*s'", *record->namewhat ? record->namewhat : "function",
                 NAME_SHOWN, record->name);
    } else {
        snprintf(end, room, "function <%s:%d>", record->short_src, record->linedefined);
    }
}

void tycho__host_trace(struct tycho__sandbox *sandbox, lua_State *L) {
    lua_Debug record;
    if (L == sandbox->traced) return;
    sandbox->traced = L;
    for (int level = 0, shown = 0; shown < TRACE_LEVELS; level++) {
        if (!lua_getstack(L, level, &record)) return;
        lua_getinfo(L, "Sln", &record);
        if (record.currentline <= 0) continue;
        trace_level(sandbox, &record);
        shown++;
    }
}

/* The error value is at slot 1: a text, or a table with a text in `message`. */
int tycho__host_handle(lua_State *L) {
    struct tycho__sandbox *sandbox = tycho__host(L);
    struct tycho__sandbox_error *error = &sandbox->error;
    if (sandbox->fatal == TYCHO__SANDBOX_OK) {
        lua_settop(L, 1);
        if (lua_istable(L, 1)) {
            lua_rawgetp(L, LUA_REGISTRYINDEX, &tycho__host_message);
            lua_rawget(L, 1);
            if (lua_type(L, 2) != LUA_TSTRING) lua_settop(L, 1);
        }
        copy_value(L, -1, error->message, sizeof error->message);
    }
    tycho__host_trace(sandbox, L);
    lua_settop(L, 1);
    return 1;
}

/* A message of the compiler has its line in front: "script:12: ...". */
static int line_in_message(const struct tycho__sandbox_error *error) {
    const char *colon = error->message;
    size_t shown = strlen(error->script);
    if (shown > LUA_IDSIZE - 1) shown = LUA_IDSIZE - 1;
    if (strncmp(colon, error->script, shown) != 0 || colon[shown] != ':') return 0;
    return (int)strtol(colon + shown + 1, NULL, 10);
}

static void tell_fatal(struct tycho__sandbox *sandbox) {
    struct tycho__sandbox_error *error = &sandbox->error;
    size_t room = sizeof error->message;
    switch (sandbox->fatal) {
    case TYCHO__SANDBOX_OVER_BUDGET:
        snprintf(error->message, room, "the script used up its %lld instructions",
                 (long long)sandbox->budget);
        break;
    case TYCHO__SANDBOX_OVER_MEMORY:
        if (sandbox->lack_size == 0) {
            snprintf(error->message, room, "the script needs too much memory: over %zu bytes %s",
                     sandbox->lack_most, sandbox->lack);
        } else {
            snprintf(error->message, room,
                     "the script needs too much memory: %zu bytes %s, and at most %zu are allowed",
                     sandbox->lack_size, sandbox->lack, sandbox->lack_most);
        }
        break;
    case TYCHO__SANDBOX_AGAIN:
        snprintf(error->message, room, "the script is to be called again, by itself");
        break;
    case TYCHO__SANDBOX_OVER_TIME:
        snprintf(error->message, room, "the script takes too long for its instructions");
        break;
    default:
        snprintf(error->message, room, "there is no memory left for the script");
    }
}

enum tycho__sandbox_kind tycho__host_conclude(struct tycho__sandbox *sandbox, int status,
                                              enum tycho__sandbox_kind kind) {
    struct tycho__sandbox_error *error = &sandbox->error;
    if (status == LUA_ERRMEM && sandbox->fatal == TYCHO__SANDBOX_OK) {
        sandbox->fatal = TYCHO__SANDBOX_NO_MEMORY;
    }
    if (sandbox->fatal != TYCHO__SANDBOX_OK) {
        error->kind = sandbox->fatal;
        tell_fatal(sandbox);
        return error->kind;
    }
    if (status == LUA_OK) {
        tycho__host_clear_error(sandbox);
        return TYCHO__SANDBOX_OK;
    }
    error->kind = sandbox->is_bad ? TYCHO__SANDBOX_BAD_RESULT : kind;
    if (status == LUA_ERRERR) snprintf(error->message, sizeof error->message, "C stack overflow");
    if (error->line == 0) error->line = line_in_message(error);
    return error->kind;
}
