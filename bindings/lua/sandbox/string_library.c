/* string_library.c - the string functions of scripts, but for patterns (string_patterns.c) and
** format (string_format.c). Letters are those of ASCII, whatever the locale. What a function
** touches is charged before it is touched.
*/
#include "state.h"

#include <string.h>

size_t tycho__host_start(lua_Integer position, size_t size) {
    if (position > 0) return (size_t)position;
    if (position == 0 || position < -(lua_Integer)size) return 1;
    return size + (size_t)position + 1;
}

static size_t last_of(lua_Integer position, size_t size) {
    if (position > (lua_Integer)size) return size;
    if (position >= 0) return (size_t)position;
    if (position < -(lua_Integer)size) return 0;
    return size + (size_t)position + 1;
}

static int string_len(lua_State *L) {
    size_t size;
    luaL_checklstring(L, 1, &size);
    lua_pushinteger(L, (lua_Integer)size);
    return 1;
}

static int string_sub(lua_State *L) {
    size_t size;
    const char *text = luaL_checklstring(L, 1, &size);
    size_t start = tycho__host_start(tycho__host_integer(L, 2), size);
    size_t end = last_of(tycho__host_optional_integer(L, 3, -1), size);
    if (start > end) {
        lua_pushliteral(L, "");
    } else {
        lua_pushlstring(L, text + start - 1, end - start + 1);
    }
    return 1;
}

static int string_byte(lua_State *L) {
    size_t size;
    const char *text = luaL_checklstring(L, 1, &size);
    lua_Integer first = tycho__host_optional_integer(L, 2, 1);
    size_t start = tycho__host_start(first, size);
    size_t end = last_of(tycho__host_optional_integer(L, 3, first), size);
    if (start > end) return 0;
    if (end - start >= TYCHO__SANDBOX_RETURNS_MAX) {
        return luaL_error(L, "byte: more than %d results", TYCHO__SANDBOX_RETURNS_MAX);
    }
    int count = (int)(end - start + 1);
    luaL_checkstack(L, count, "byte: too many results");
    tycho__host_charge(L, (size_t)count);
    for (int i = 0; i < count; i++) {
        lua_pushinteger(L, (unsigned char)text[start - 1 + (size_t)i]);
    }
    return count;
}

static int string_char(lua_State *L) {
    struct tycho__host_text text;
    int count = lua_gettop(L);
    tycho__host_charge(L, (size_t)count);
    tycho__host_text_begin(L, &text, (size_t)count);
    char *bytes = tycho__host_text_reserve(&text, (size_t)count);
    for (int i = 1; i <= count; i++) {
        lua_Integer value = tycho__host_integer(L, i);
        luaL_argcheck(L, value >= 0 && value <= 255, i, "value out of range");
        bytes[i - 1] = (char)(unsigned char)value;
    }
    text.size = (size_t)count;
    tycho__host_text_push(&text);
    return 1;
}

/* Pushes the argument with each byte replaced by what `change` makes of it. */
static int push_changed(lua_State *L, int (*change)(int)) {
    struct tycho__host_text text;
    size_t size;
    const char *bytes = luaL_checklstring(L, 1, &size);
    tycho__host_text_begin(L, &text, size);
    char *changed = tycho__host_text_reserve(&text, size);
    for (size_t i = 0; i < size; i++) changed[i] = (char)change((unsigned char)bytes[i]);
    text.size = size;
    tycho__host_text_push(&text);
    return 1;
}

static int to_lower(int byte) {
    return byte >= 'A' && byte <= 'Z' ? byte + 0x20 : byte;
}

static int to_upper(int byte) {
    return byte >= 'a' && byte <= 'z' ? byte - 0x20 : byte;
}

static int string_lower(lua_State *L) {
    return push_changed(L, to_lower);
}

static int string_upper(lua_State *L) {
    return push_changed(L, to_upper);
}

static int string_reverse(lua_State *L) {
    struct tycho__host_text text;
    size_t size;
    const char *bytes = luaL_checklstring(L, 1, &size);
    tycho__host_text_begin(L, &text, size);
    char *reversed = tycho__host_text_reserve(&text, size);
    for (size_t i = 0; i < size; i++) reversed[i] = bytes[size - 1 - i];
    text.size = size;
    tycho__host_text_push(&text);
    return 1;
}

static int string_rep(lua_State *L) {
    struct tycho__host_text text;
    size_t size, gap_size, most = tycho__host(L)->options.string_max;
    const char *bytes = luaL_checklstring(L, 1, &size);
    lua_Integer count = tycho__host_integer(L, 2);
    const char *gap = luaL_optlstring(L, 3, "", &gap_size);
    if (count <= 0 || size + gap_size == 0) {
        lua_pushliteral(L, "");
        return 1;
    }
    if ((lua_Unsigned)(count - 1) > most / (size + gap_size)) {
        return luaL_error(L, "rep: the result would have more than %I bytes", (LUAI_UACINT)most);
    }
    size_t total = (size_t)(count - 1) * (size + gap_size) + size;
    tycho__host_text_begin(L, &text, total);
    char *filled = tycho__host_text_reserve(&text, total);
    size_t unit = count > 1 ? size + gap_size : size;
    memcpy(filled, bytes, size);
    memcpy(filled + size, gap, unit - size);
    for (text.size = unit; text.size < total; text.size += unit) {
        unit = text.size < total - text.size ? text.size : total - text.size;
        memcpy(filled + text.size, filled, unit);
    }
    tycho__host_text_push(&text);
    return 1;
}

void tycho__host_open_string(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"byte", string_byte},
        {"char", string_char},
        {"find", tycho__host_find},
        {"format", tycho__host_format},
        {"gmatch", tycho__host_gmatch},
        {"gsub", tycho__host_gsub},
        {"len", string_len},
        {"lower", string_lower},
        {"match", tycho__host_match},
        {"rep", string_rep},
        {"reverse", string_reverse},
        {"sub", string_sub},
        {"upper", string_upper},
        {NULL, NULL},
    };
    luaL_newlib(L, functions);
}
