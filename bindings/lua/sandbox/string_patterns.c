/* string_patterns.c - find, match, gmatch and gsub of scripts, on the matcher of pattern.c. Its
** steps are charged; when the budget does not suffice the match ends, and with it the call.
*/
#include "state.h"

#include <string.h>

enum { PATTERN_MAX = 16 << 10 }; /* bytes of a pattern */

/* ---------------------------------------------------------------- one match */

/* Sets the matcher to the subject and pattern at these slots. The budget that is left is what it
** may use. */
static void begin(lua_State *L, struct tycho__pattern *pattern, int subject, int text) {
    size_t size;
    struct tycho__sandbox *sandbox = tycho__host(L);
    int64_t left = sandbox->left;
    tycho__pattern_begin(pattern, sandbox->frames,
                         left > 0 ? (uint64_t)left * TYCHO__SANDBOX_STEPS : 0);
    pattern->subject = lua_tolstring(L, subject, &size);
    pattern->subject_end = pattern->subject + size;
    pattern->text = lua_tolstring(L, text, &size);
    pattern->text_end = pattern->text + size;
    if (size > PATTERN_MAX) {
        luaL_error(L, "a pattern has more than %d bytes", PATTERN_MAX);
    }
}

/* 1 when the pattern has an anchor, which is then behind us. */
static int skip_anchor(struct tycho__pattern *pattern) {
    int is_anchored = pattern->text < pattern->text_end && *pattern->text == '^';
    if (is_anchored) pattern->text++;
    return is_anchored;
}

/* Charges for the steps so far, and raises a fault. What is left is what callbacks leave. */
static void settle(lua_State *L, struct tycho__pattern *pattern) {
    tycho__host_charge(L, pattern->steps / TYCHO__SANDBOX_STEPS + (size_t)pattern->is_exhausted);
    if (pattern->fault != NULL) luaL_error(L, "%s", pattern->fault);
    pattern->steps = 0;
    pattern->steps_max = (uint64_t)tycho__host(L)->left * TYCHO__SANDBOX_STEPS;
}

/* Finds the first match from `at` on: its start, and *end. NULL: none. */
static const char *search(struct tycho__pattern *pattern, const char *at, int is_anchored,
                          const char **end) {
    for (;; at++) {
        *end = tycho__pattern_match(pattern, at);
        if (*end != NULL) return at;
        if (is_anchored || at >= pattern->subject_end) return NULL;
        if (pattern->is_exhausted || pattern->fault != NULL) return NULL;
        pattern->steps++;
    }
}

/* ---------------------------------------------------------------- captures */

/* Pushes capture `index` of the match from `start` to `end`, which is capture 0 of a pattern
** without captures. */
static void push_capture(lua_State *L, const struct tycho__pattern *pattern, int index,
                         const char *start, const char *end) {
    if (index >= pattern->capture_count) {
        if (index != 0) luaL_error(L, "invalid capture index %%%d", index + 1);
        lua_pushlstring(L, start, (size_t)(end - start));
        return;
    }
    ptrdiff_t size = pattern->captures[index].size;
    const char *from = pattern->captures[index].start;
    if (size == TYCHO__PATTERN_OPEN) luaL_error(L, "unfinished capture");
    if (size == TYCHO__PATTERN_POSITION) {
        lua_pushinteger(L, from - pattern->subject + 1);
    } else {
        lua_pushlstring(L, from, (size_t)size);
    }
}

/* Pushes all captures; the whole match when there is none and `start` is given. */
static int push_captures(lua_State *L, const struct tycho__pattern *pattern, const char *start,
                         const char *end) {
    int count = pattern->capture_count == 0 && start != NULL ? 1 : pattern->capture_count;
    luaL_checkstack(L, count, "too many captures");
    for (int i = 0; i < count; i++) push_capture(L, pattern, i, start, end);
    return count;
}

/* ---------------------------------------------------------------- find, match */

static int has_no_specials(const char *text, size_t size) {
    for (size_t i = 0; i < size; i++) {
        if (memchr("^$*+?.([%-", text[i], 10) != NULL) return 0;
    }
    return 1;
}

static int push_plain(lua_State *L, const char *subject, const char *at, const char *text) {
    size_t subject_size = lua_rawlen(L, 1), size = lua_rawlen(L, 2);
    size_t left = subject_size - (size_t)(at - subject);
    tycho__host_charge_bytes(L, left);
    const char *found = memmem(at, left, text, size);
    if (found == NULL) {
        lua_pushnil(L);
        return 1;
    }
    lua_pushinteger(L, found - subject + 1);
    lua_pushinteger(L, found - subject + (lua_Integer)size);
    return 2;
}

static int find_or_match(lua_State *L, int is_find) {
    struct tycho__pattern pattern;
    const char *end, *subject = luaL_checkstring(L, 1), *text = luaL_checkstring(L, 2);
    size_t size = lua_rawlen(L, 1);
    size_t start = tycho__host_start(tycho__host_optional_integer(L, 3, 1), size);
    if (start > size + 1) {
        lua_pushnil(L);
        return 1;
    }
    tycho__host_charge_bytes(L, lua_rawlen(L, 2));
    if (is_find && (lua_toboolean(L, 4) || has_no_specials(text, lua_rawlen(L, 2)))) {
        return push_plain(L, subject, subject + start - 1, text);
    }
    begin(L, &pattern, 1, 2);
    int is_anchored = skip_anchor(&pattern);
    const char *found = search(&pattern, subject + start - 1, is_anchored, &end);
    settle(L, &pattern);
    if (found == NULL) {
        lua_pushnil(L);
        return 1;
    }
    if (!is_find) return push_captures(L, &pattern, found, end);
    lua_pushinteger(L, found - subject + 1);
    lua_pushinteger(L, end - subject);
    return 2 + push_captures(L, &pattern, NULL, NULL);
}

int tycho__host_find(lua_State *L) {
    return find_or_match(L, 1);
}

int tycho__host_match(lua_State *L) {
    return find_or_match(L, 0);
}

/* ---------------------------------------------------------------- gmatch */

/* Finds the next match that does not end where the last one did (`last`, or NULL). */
static const char *search_next(struct tycho__pattern *pattern, const char *at, const char *last,
                               const char **end) {
    for (; at <= pattern->subject_end; at++) {
        *end = tycho__pattern_match(pattern, at);
        if (*end != NULL && *end != last) return at;
        if (pattern->is_exhausted || pattern->fault != NULL) return NULL;
        pattern->steps++;
    }
    return NULL;
}

/* Upvalues: subject, pattern, where to go on, where the last match ended (-1: there was none). */
static int next_of_gmatch(lua_State *L) {
    struct tycho__pattern pattern;
    const char *end;
    begin(L, &pattern, lua_upvalueindex(1), lua_upvalueindex(2));
    lua_Integer at = lua_tointeger(L, lua_upvalueindex(3));
    lua_Integer last = lua_tointeger(L, lua_upvalueindex(4));
    const char *found =
        search_next(&pattern, pattern.subject + at, last < 0 ? NULL : pattern.subject + last, &end);
    settle(L, &pattern);
    if (found == NULL) return 0;
    lua_pushinteger(L, end - pattern.subject);
    lua_pushvalue(L, -1);
    lua_replace(L, lua_upvalueindex(3));
    lua_replace(L, lua_upvalueindex(4));
    return push_captures(L, &pattern, found, end);
}

int tycho__host_gmatch(lua_State *L) {
    luaL_checkstring(L, 1);
    luaL_checkstring(L, 2);
    size_t size = lua_rawlen(L, 1);
    size_t start = tycho__host_start(tycho__host_optional_integer(L, 3, 1), size);
    if (start > size + 1) start = size + 2;
    lua_settop(L, 2);
    lua_pushinteger(L, (lua_Integer)start - 1);
    lua_pushinteger(L, -1);
    lua_pushcclosure(L, next_of_gmatch, 4);
    return 1;
}

/* ---------------------------------------------------------------- gsub */

struct substitution {
    lua_State *L;
    struct tycho__pattern pattern;
    struct tycho__host_text text;
    int kind; /* type of the replacement, at slot 3 */
};

/* Appends the replacement string, with its %0 to %9. */
static void put_string(struct substitution *job, const char *start, const char *end) {
    lua_State *L = job->L;
    size_t size, item_size;
    const char *text = lua_tolstring(L, 3, &size), *text_end = text + size;
    while (text < text_end) {
        tycho__host_charge(L, 1);
        const char *escape = memchr(text, '%', (size_t)(text_end - text));
        if (escape == NULL) escape = text_end;
        tycho__host_text_put(&job->text, text, (size_t)(escape - text));
        if (escape == text_end) return;
        int letter = escape + 1 < text_end ? escape[1] : 0;
        text = escape + 2;
        if (letter == '%') {
            tycho__host_text_put(&job->text, "%", 1);
        } else if (letter == '0') {
            tycho__host_text_put(&job->text, start, (size_t)(end - start));
        } else if (letter >= '1' && letter <= '9') {
            push_capture(L, &job->pattern, letter - '1', start, end);
            const char *item = tycho__host_tostring(L, -1, &item_size);
            tycho__host_text_put(&job->text, item, item_size);
            lua_pop(L, 2);
        } else {
            luaL_error(L, "invalid use of '%%' in replacement string");
        }
    }
}

/* Appends what the table or function says of the match; 0 when it leaves it as it is. */
static int put_value(struct substitution *job, const char *start, const char *end) {
    lua_State *L = job->L;
    size_t size;
    if (job->kind == LUA_TTABLE) {
        push_capture(L, &job->pattern, 0, start, end);
        lua_gettable(L, 3);
    } else {
        lua_pushvalue(L, 3);
        lua_call(L, push_captures(L, &job->pattern, start, end), 1);
    }
    int is_kept = !lua_toboolean(L, -1);
    if (is_kept) {
        tycho__host_text_put(&job->text, start, (size_t)(end - start));
    } else {
        if (!lua_isstring(L, -1)) {
            luaL_error(L, "invalid replacement value (a %s)", luaL_typename(L, -1));
        }
        const char *value = tycho__host_tostring(L, -1, &size);
        tycho__host_text_put(&job->text, value, size);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return !is_kept;
}

static int put_replacement(struct substitution *job, const char *start, const char *end) {
    tycho__host_charge(job->L, 4);
    if (job->kind == LUA_TTABLE || job->kind == LUA_TFUNCTION) {
        settle(job->L, &job->pattern);
        int is_changed = put_value(job, start, end);
        settle(job->L, &job->pattern);
        return is_changed;
    }
    put_string(job, start, end);
    return 1;
}

/* Replaces up to `most` matches; returns how many there were. */
static lua_Integer substitute(struct substitution *job, lua_Integer most, int is_anchored,
                              int *is_changed) {
    struct tycho__pattern *pattern = &job->pattern;
    const char *at = pattern->subject, *last = NULL;
    lua_Integer count = 0;
    while (count < most) {
        const char *end = tycho__pattern_match(pattern, at);
        if (pattern->fault != NULL || pattern->is_exhausted) settle(job->L, pattern);
        if (end != NULL && end != last) {
            count++;
            *is_changed |= put_replacement(job, at, end);
            at = last = end;
        } else if (at < pattern->subject_end) {
            tycho__host_text_put(&job->text, at++, 1);
            pattern->steps++;
        } else {
            break;
        }
        if (is_anchored) break;
    }
    tycho__host_text_put(&job->text, at, (size_t)(pattern->subject_end - at));
    return count;
}

int tycho__host_gsub(lua_State *L) {
    struct substitution job = {.L = L};
    int is_changed = 0;
    luaL_checkstring(L, 1);
    luaL_checkstring(L, 2);
    job.kind = lua_type(L, 3);
    luaL_argexpected(L,
                     job.kind == LUA_TNUMBER || job.kind == LUA_TSTRING || job.kind == LUA_TTABLE ||
                         job.kind == LUA_TFUNCTION,
                     3, "string/function/table");
    lua_Integer most = tycho__host_optional_integer(L, 4, LUA_MAXINTEGER);
    lua_settop(L, 3);
    begin(L, &job.pattern, 1, 2);
    int is_anchored = skip_anchor(&job.pattern);
    tycho__host_text_begin(L, &job.text, 0);
    lua_Integer count = substitute(&job, most, is_anchored, &is_changed);
    settle(L, &job.pattern);
    if (is_changed) {
        tycho__host_text_push(&job.text);
    } else {
        lua_pushvalue(L, 1);
    }
    lua_pushinteger(L, count);
    return 2;
}
