/* sandbox_pattern_fuzz.c - any pattern and any subject to the matcher of the sandbox: it stays
** within its bytes and its steps. Where it needs few steps, so does Lua's own, which must say the
** same.
**
** The input: the size of the pattern in a byte, the pattern, the subject.
*/
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>
#include <lualib.h>

#include "pattern.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STEPS_MAX = 20000 };

static struct tycho__pattern pattern;
static struct tycho__pattern_frame frames[TYCHO__PATTERN_FRAMES_MAX];

static void check_captures(const char *start, const char *end) {
    assert(start >= pattern.subject && end >= start && end <= pattern.subject_end);
    assert(pattern.capture_count >= 0 && pattern.capture_count <= TYCHO__PATTERN_CAPTURES_MAX);
    for (int i = 0; i < pattern.capture_count; i++) {
        const char *from = pattern.captures[i].start;
        ptrdiff_t length = pattern.captures[i].size;
        assert(from >= start && from <= end);
        assert(length >= TYCHO__PATTERN_POSITION && length <= end - from);
    }
}

/* As string.find does without an anchor. */
static const char *find(const char **end) {
    for (const char *at = pattern.subject; at <= pattern.subject_end; at++) {
        *end = tycho__pattern_match(&pattern, at);
        if (*end != NULL) {
            check_captures(at, *end);
            return at;
        }
        if (pattern.is_exhausted || pattern.fault != NULL) return NULL;
    }
    return NULL;
}

/* Ends the process when Lua says something else than (start, end), or than a fault. */
static void compare_with_lua(const char *start, const char *end) {
    static lua_State *L;
    if (L == NULL) {
        L = luaL_newstate();
        luaL_openlibs(L);
    }
    lua_settop(L, 0);
    lua_getglobal(L, "string");
    lua_getfield(L, -1, "find");
    lua_pushlstring(L, pattern.subject, (size_t)(pattern.subject_end - pattern.subject));
    lua_pushlstring(L, pattern.text, (size_t)(pattern.text_end - pattern.text));
    int status = lua_pcall(L, 2, LUA_MULTRET, 0);
    if (status != LUA_OK) {
        const char *message = lua_tostring(L, -1);
        /* captures that are not closed are refused when they are pushed, not by the matcher */
        assert(pattern.fault != NULL || strstr(message, "too complex") != NULL ||
               strstr(message, "unfinished capture") != NULL);
        return;
    }
    if (pattern.fault != NULL) {
        assert(strstr(pattern.fault, "too complex") != NULL);
    } else if (start == NULL) {
        assert(lua_isnil(L, 2));
    } else {
        assert(lua_tointeger(L, 2) == start - pattern.subject + 1);
        assert(lua_tointeger(L, 3) == end - pattern.subject);
    }
}

/* Lua has an anchor where a pattern begins with '^', and plain search where it has no special. */
static int is_comparable(const char *text, size_t length) {
    if (length > 0 && text[0] == '^') return 0;
    for (size_t i = 0; i < length; i++) {
        if (memchr("$*+?.([%-^", text[i], 10) != NULL) return 1;
    }
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *start, *end = NULL;
    if (size < 1 || size > 400) return 0;
    size_t length = data[0] < size ? data[0] : size - 1;
    /* each ends where its bytes do, so that ASan sees the next one */
    char *text = malloc(length + 1), *subject = malloc(size - length);
    assert(text != NULL && subject != NULL);
    memcpy(text, data + 1, length);
    memcpy(subject, data + 1 + length, size - 1 - length);
    tycho__pattern_begin(&pattern, frames, STEPS_MAX);
    pattern.text = text;
    pattern.text_end = text + length;
    pattern.subject = subject;
    pattern.subject_end = subject + size - 1 - length;
    start = find(&end);
    assert(pattern.is_exhausted || pattern.steps <= STEPS_MAX);
    assert(pattern.steps <= STEPS_MAX + 1000);
    if (!pattern.is_exhausted && is_comparable(text, length)) compare_with_lua(start, end);
    free(text);
    free(subject);
    return 0;
}
