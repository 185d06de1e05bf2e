/* constructors.c - what scripts find in their environment to make a definition: event_type, linker,
** read_model, and the words of schemas: optional, enum, array, map; and null and binary for data.
**
** A definition is the table { kind, what the script gave, line }; a word of a schema the table
** { word, what it was given }. Both are looked at raw when the script has returned (definition.c,
** schema_build.c), so that nothing here checks more than that there is an argument.
*/
#include "script.h"

#include <lauxlib.h>

#include "../codec_state.h"
#include "../codec.h"

/* Pushes the line that calls the running function. */
static void push_line(lua_State *L) {
    lua_Debug record;
    int line = 0;
    if (lua_getstack(L, 1, &record) && lua_getinfo(L, "l", &record)) line = record.currentline;
    lua_pushinteger(L, line > 0 ? line : 0);
}

/* Upvalue: the kind. */
static int make_definition(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lua_createtable(L, 3, 0);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_rawseti(L, 2, 1);
    lua_pushvalue(L, 1);
    lua_rawseti(L, 2, 2);
    push_line(L);
    lua_rawseti(L, 2, 3);
    return 1;
}

/* Upvalue: the word. */
static int make_word(lua_State *L) {
    luaL_checkany(L, 1);
    lua_settop(L, 1);
    lua_createtable(L, 2, 0);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_rawseti(L, 2, 1);
    lua_pushvalue(L, 1);
    lua_rawseti(L, 2, 2);
    return 1;
}

static void add(lua_State *L, int globals, const char *name, lua_CFunction function) {
    lua_pushstring(L, name);
    lua_pushcclosure(L, function, 1);
    lua_setfield(L, globals, name);
}

/* Scripts get no hold of the metatable on top of the stack, which is popped. */
static void hide_metatable(lua_State *L) {
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}

void tycho__script_open_environment(lua_State *L, void *context) {
    static const char *const words[] = {"optional", "enum", "array", "map"};
    int globals = lua_gettop(L);
    (void)context;
    for (int kind = TYCHO_EVENT_TYPE; kind <= TYCHO_READ_MODEL; kind++) {
        add(L, globals, tycho_script_kind_name(kind), make_definition);
    }
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) add(L, globals, words[i], make_word);
    lua_newtable(L);
    tycho__lua_open_codec(L);
    lua_getfield(L, -1, "null");
    lua_setfield(L, globals, "null");
    lua_getfield(L, -1, "binary");
    lua_setfield(L, globals, "binary");
    tycho__lua_push_array_mark(L);
    hide_metatable(L);
    luaL_getmetatable(L, "tycho.Binary");
    hide_metatable(L);
    lua_settop(L, globals);
}
