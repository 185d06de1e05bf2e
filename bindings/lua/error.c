/* error.c - what the binding raises: misuse and refusals.
**
** Misuse is a string that starts with the caller's line. The caller is the first function up the
** stack that is neither C nor part of the library: each file of scripts/tycho/ names itself with
** own(), and registry["tycho.library"] is the set of their sources.
**
** A refusal of the engine is a table {code, message, facts...} with the metatable tycho.Error.
*/
#include "binding.h"
#include "nearest.h"

#include <stdarg.h>
#include <string.h>

#define LIBRARY "tycho.library"

static bool is_library(lua_State *L, lua_Debug *frame) {
    if (frame->what[0] == 'C') return true;
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LIBRARY);
    lua_getfield(L, -1, frame->source);
    const bool found = lua_toboolean(L, -1);
    lua_pop(L, 2);
    return found;
}

/* Pushes "file:line: " of the caller, or "" when there is none. */
static void push_place(lua_State *L) {
    lua_Debug frame;
    int level = 0;

    while (lua_getstack(L, level, &frame)) {
        lua_getinfo(L, "Sl", &frame);
        if (frame.currentline > 0 && !is_library(L, &frame)) {
            lua_pushfstring(L, "%s:%d: ", frame.short_src, frame.currentline);
            return;
        }
        level++;
    }
    lua_pushliteral(L, "");
}

int tycho__lua_misuse(lua_State *L, const char *format, ...) {
    va_list arguments;

    luaL_checkstack(L, 8, NULL);
    push_place(L);
    va_start(arguments, format);
    lua_pushvfstring(L, format, arguments);
    va_end(arguments);
    lua_concat(L, 2);
    return lua_error(L);
}

int tycho__lua_error_misuse(lua_State *L) {
    return tycho__lua_misuse(L, "%s", luaL_checkstring(L, 1));
}

/* refusal{code, message, facts...}: the table itself, as an error of the class tycho.Error. */
int tycho__lua_error_refusal(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    luaL_setmetatable(L, TYCHO__LUA_ERROR);
    return 1;
}

int tycho__lua_error_own(lua_State *L) {
    lua_Debug frame;

    if (!lua_getstack(L, 1, &frame)) return 0;
    lua_getinfo(L, "S", &frame);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LIBRARY);
    tycho__lua_set_boolean(L, frame.source, 1);
    return 0;
}

static void push_error(lua_State *L, int status, const char *sentence) {
    luaL_checkstack(L, 8, NULL);
    lua_createtable(L, 0, 4);
    lua_pushstring(L, tycho_status_code(status));
    lua_setfield(L, -2, "code");
    lua_pushstring(L, sentence);
    lua_setfield(L, -2, "message");
    luaL_setmetatable(L, TYCHO__LUA_ERROR);
}

static void set_text(lua_State *L, const char *name, const char *text) {
    if (text == NULL || text[0] == '\0') return;
    lua_pushstring(L, text);
    lua_setfield(L, -2, name);
}

/* Sets the facts of a refusal by a script; those that are not known stay absent. */
static void set_failure(lua_State *L, const tycho_scripts_failure *failure) {
    set_text(L, "script", failure->script);
    set_text(L, "reason", failure->message);
    set_text(L, "path", failure->path);
    set_text(L, "traceback", failure->traceback);
    set_text(L, "event_id", failure->event_id);
    set_text(L, "event_type", failure->event_type);
    set_text(L, "key", failure->key);
    if (failure->version > 0) tycho__lua_set_integer(L, "version", failure->version);
    if (failure->line > 0) tycho__lua_set_integer(L, "line", failure->line);
    if (failure->position > 0) tycho__lua_set_integer(L, "position", (int64_t)failure->position);
    if (failure->is_over_limit != 0) tycho__lua_set_boolean(L, "is_over_limit", 1);
}

void tycho__lua_error_push(lua_State *L, int status) {
    const tycho_scripts_failure *failure = status == TYCHO_REJECTED ? tycho_scripts_error() : NULL;

    push_error(L, status, tycho_error());
    if (failure != NULL) set_failure(L, failure);
}

int tycho__lua_refuse(lua_State *L, int status, const tycho_receipt *receipt) {
    tycho__lua_error_push(L, status);
    if (receipt != NULL) {
        if (status == TYCHO_WRONG_EXPECTED_VERSION || status == TYCHO_CONDITION_FAILED)
            tycho__lua_set_integer(L, "actual", receipt->actual);
        if (receipt->operation >= 0) tycho__lua_set_integer(L, "operation", receipt->operation + 1);
        if (receipt->condition >= 0) tycho__lua_set_integer(L, "condition", receipt->condition + 1);
        tycho__lua_set_bytes(L, "event_id", receipt->event_id);
        tycho__lua_set_bytes(L, "stream", receipt->stream);
    }
    return lua_error(L);
}

int tycho__lua_refuse_lock(lua_State *L, int status, const tycho_lock_info *owner) {
    push_error(L, status, tycho_error());
    if (owner->token != 0) {
        tycho__lua_lock_info_push(L, owner);
        lua_setfield(L, -2, "owner");
    }
    return lua_error(L);
}

int tycho__lua_refuse_value(lua_State *L, int status) {
    const char *sentence = lua_tostring(L, -1);
    if (status == TYCHO_MISUSE) return tycho__lua_misuse(L, "%s", sentence);
    push_error(L, status, sentence);
    return lua_error(L);
}

static int error_tostring(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_getfield(L, 1, "message");
    luaL_tolstring(L, -1, NULL);
    return 1;
}

void tycho__lua_error_register(lua_State *L) {
    if (luaL_newmetatable(L, TYCHO__LUA_ERROR)) {
        lua_pushcfunction(L, error_tostring);
        lua_setfield(L, -2, "__tostring");
    }
    lua_pop(L, 1);
}

/* nearest(word, names): the nearest name or nil. */
int tycho__lua_error_nearest(lua_State *L) {
    const char *names[64];
    size_t count = 0;
    const char *word = luaL_checkstring(L, 1);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    luaL_checkstack(L, 64 + 8, NULL);
    while (count < 64 && lua_rawgeti(L, 2, (lua_Integer)count + 1) == LUA_TSTRING) {
        names[count] = lua_tostring(L, -1);
        count++;
    }

    const char *found = tycho__nearest(word, names, count);

    lua_pushstring(L, found);
    return 1;
}
