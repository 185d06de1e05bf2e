/* text.c - texts that library functions build. luaL_Buffer would do, but for its to-be-closed slot,
** which Lua 5.4.4 has a bug with (196bb94d), and its limits, which are not ours.
**
** The bytes are in a userdata at a slot of the Lua stack; when it is too small, a larger one takes
** its place. Users may have anything above that slot.
*/
#include "state.h"

#include <string.h>

/* Raises when a string of this size is not allowed. */
static void check_size(lua_State *L, size_t size) {
    size_t most = tycho__host(L)->options.string_max;
    if (size > most) {
        luaL_error(L, "the result would have %I bytes, and a string may have %I",
                   size <= LUA_MAXINTEGER ? (LUAI_UACINT)size : LUA_MAXINTEGER, (LUAI_UACINT)most);
    }
}

void tycho__host_text_begin(lua_State *L, struct tycho__host_text *text, size_t capacity) {
    check_size(L, capacity);
    luaL_checkstack(L, 4, "no room for a text");
    text->L = L;
    text->size = 0;
    text->capacity = capacity < 64 ? 64 : capacity;
    text->data = lua_newuserdatauv(L, text->capacity, 0);
    text->slot = lua_gettop(L);
}

char *tycho__host_text_reserve(struct tycho__host_text *text, size_t extra) {
    lua_State *L = text->L;
    tycho__host_charge_bytes(L, extra);
    if (extra > text->capacity - text->size) {
        size_t capacity = text->capacity * 2;
        size_t most = tycho__host(L)->options.string_max;
        check_size(L, extra <= most ? text->size + extra : extra);
        if (capacity > most) capacity = most;
        if (capacity < text->size + extra) capacity = text->size + extra;
        char *data = lua_newuserdatauv(L, capacity, 0);
        memcpy(data, text->data, text->size);
        lua_replace(L, text->slot);
        text->data = data;
        text->capacity = capacity;
    }
    return text->data + text->size;
}

void tycho__host_text_put(struct tycho__host_text *text, const char *data, size_t size) {
    char *place = tycho__host_text_reserve(text, size);
    if (size > 0) memcpy(place, data, size);
    text->size += size;
}

void tycho__host_text_push(struct tycho__host_text *text) {
    lua_pushlstring(text->L, text->data, text->size);
}
