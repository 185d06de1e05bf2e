/* utf8_library.c - the utf8 functions of scripts, for UTF-8 as RFC 3629 has it: no surrogates,
** nothing above U+10FFFF, shortest forms alone.
*/
#include "state.h"

#include <string.h>

static inline int is_continuation(int byte) {
    return (byte & 0xc0) == 0x80;
}

/* The character at `at`, and its size; -1 when the bytes are none. */
static lua_Integer decode(const char *at, const char *end, size_t *size) {
    static const lua_Integer least[] = {0, 0, 0x80, 0x800, 0x10000};
    int first = (unsigned char)*at;
    if (first < 0x80) {
        *size = 1;
        return first;
    }
    size_t count = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || (size_t)(end - at) < count) return -1;
    lua_Integer character = first & (0x7f >> count);
    for (size_t i = 1; i < count; i++) {
        if (!is_continuation((unsigned char)at[i])) return -1;
        character = character << 6 | (at[i] & 0x3f);
    }
    *size = count;
    if (character < least[count] || character > 0x10ffff) return -1;
    return character >= 0xd800 && character <= 0xdfff ? -1 : character;
}

static void put_character(lua_State *L, struct tycho__host_text *text, int index) {
    lua_Integer value = tycho__host_integer(L, index);
    luaL_argcheck(L, value >= 0 && value <= 0x10ffff && !(value >= 0xd800 && value <= 0xdfff),
                  index, "value out of range");
    char bytes[4];
    size_t count = value < 0x80 ? 1 : value < 0x800 ? 2 : value < 0x10000 ? 3 : 4;
    static const unsigned char heads[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = count; i-- > 1; value >>= 6) bytes[i] = (char)(0x80 | (value & 0x3f));
    bytes[0] = (char)(heads[count] | value);
    tycho__host_text_put(text, bytes, count);
}

static int utf8_char(lua_State *L) {
    struct tycho__host_text text;
    int count = lua_gettop(L);
    tycho__host_charge(L, (size_t)count);
    tycho__host_text_begin(L, &text, (size_t)count);
    for (int i = 1; i <= count; i++) put_character(L, &text, i);
    tycho__host_text_push(&text);
    return 1;
}

/* Argument `index`: a position, from the end when it is negative; 0 when it is before the text. */
static lua_Integer check_position(lua_State *L, int index, lua_Integer otherwise,
                                  lua_Integer size) {
    lua_Integer position = tycho__host_optional_integer(L, index, otherwise);
    if (position >= 0) return position;
    return position < -size ? 0 : size + position + 1;
}

static int utf8_codepoint(lua_State *L) {
    size_t size, step;
    const char *text = luaL_checklstring(L, 1, &size);
    lua_Integer start = check_position(L, 2, 1, (lua_Integer)size);
    lua_Integer end = check_position(L, 3, start, (lua_Integer)size);
    luaL_argcheck(L, start >= 1, 2, "out of bounds");
    luaL_argcheck(L, end <= (lua_Integer)size, 3, "out of bounds");
    if (start > end) return 0;
    luaL_checkstack(L, TYCHO__SANDBOX_RETURNS_MAX, "codepoint: too many results");
    int count = 0;
    for (const char *at = text + start - 1; at < text + end; at += step) {
        lua_Integer character = decode(at, text + size, &step);
        if (character < 0) return luaL_error(L, "invalid UTF-8");
        if (count++ == TYCHO__SANDBOX_RETURNS_MAX) {
            return luaL_error(L, "codepoint: more than %d results", TYCHO__SANDBOX_RETURNS_MAX);
        }
        lua_pushinteger(L, character);
    }
    tycho__host_charge(L, (size_t)count);
    return count;
}

static int utf8_len(lua_State *L) {
    size_t size, step;
    const char *text = luaL_checklstring(L, 1, &size);
    lua_Integer start = check_position(L, 2, 1, (lua_Integer)size);
    lua_Integer end = check_position(L, 3, -1, (lua_Integer)size), count = 0;
    luaL_argcheck(L, start >= 1 && start <= (lua_Integer)size + 1, 2, "out of bounds");
    luaL_argcheck(L, end <= (lua_Integer)size, 3, "out of bounds");
    if (end >= start) tycho__host_charge(L, (size_t)(end - start + 1) / 4);
    for (const char *at = text + start - 1; at < text + end; at += step, count++) {
        if (decode(at, text + size, &step) < 0) {
            lua_pushnil(L);
            lua_pushinteger(L, at - text + 1);
            return 2;
        }
    }
    lua_pushinteger(L, count);
    return 1;
}

/* Moves `count` characters on from `at`, or back; -1 when there are not so many. */
static lua_Integer move_by(const char *text, lua_Integer size, lua_Integer at, lua_Integer count) {
    for (; count > 0 && at < size; count--) {
        do at++;
        while (at < size && is_continuation(text[at]));
    }
    for (; count < 0 && at > 0; count++) {
        do at--;
        while (at > 0 && is_continuation(text[at]));
    }
    return count == 0 ? at : -1;
}

static int utf8_offset(lua_State *L) {
    size_t length;
    const char *text = luaL_checklstring(L, 1, &length);
    lua_Integer size = (lua_Integer)length, count = tycho__host_integer(L, 2);
    lua_Integer at = check_position(L, 3, count >= 0 ? 1 : size + 1, size) - 1;
    luaL_argcheck(L, at >= 0 && at <= size, 3, "position out of bounds");
    tycho__host_charge(L, length / 4);
    if (count == 0) {
        while (at > 0 && at < size && is_continuation(text[at])) at--;
    } else {
        if (at < size && is_continuation(text[at])) {
            return luaL_error(L, "initial position is a continuation byte");
        }
        at = move_by(text, size, at, count > 0 ? count - 1 : count);
    }
    if (at < 0) {
        lua_pushnil(L);
    } else {
        lua_pushinteger(L, at + 1);
    }
    return 1;
}

/* Arguments: the text, and where the last character began; 0 before the first. */
static int next_of_codes(lua_State *L) {
    size_t size, step;
    const char *text = luaL_checklstring(L, 1, &size);
    lua_Integer at = tycho__host_integer(L, 2);
    luaL_argcheck(L, at >= 0 && at <= (lua_Integer)size, 2, "out of bounds");
    if (at > 0) {
        if (decode(text + at - 1, text + size, &step) < 0) return luaL_error(L, "invalid UTF-8");
        at += (lua_Integer)step - 1;
    }
    if (at >= (lua_Integer)size) return 0;
    lua_Integer character = decode(text + at, text + size, &step);
    if (character < 0) return luaL_error(L, "invalid UTF-8");
    lua_pushinteger(L, at + 1);
    lua_pushinteger(L, character);
    return 2;
}

static int utf8_codes(lua_State *L) {
    luaL_checkstring(L, 1);
    lua_pushcfunction(L, next_of_codes);
    lua_pushvalue(L, 1);
    lua_pushinteger(L, 0);
    return 3;
}

void tycho__host_open_utf8(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"char", utf8_char}, {"codepoint", utf8_codepoint}, {"codes", utf8_codes},
        {"len", utf8_len},   {"offset", utf8_offset},       {NULL, NULL},
    };
    luaL_newlib(L, functions);
    lua_pushlstring(L, "[\0-\x7F\xC2-\xFD][\x80-\xBF]*", 14);
    lua_setfield(L, -2, "charpattern");
}
