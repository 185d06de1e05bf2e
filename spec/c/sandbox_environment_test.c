/* sandbox_environment_test.c - all that a script can get at, compared with a list: the object graph
** from the environment and from the metatables of each type, through tables, metatables and
** upvalues. A name that comes in by a mistake, of ours or of a distribution's Lua, is told here.
**
** TYCHO_GOLDEN=write writes the list anew.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sandbox_script.h"

#define GOLDEN "spec/c/sandbox_environment.txt"

enum { LINES_MAX = 300, SEEN = 2, QUEUE = 3, PATHS = 4 };

static struct {
    char lines[LINES_MAX][120];
    int count;
    lua_Integer queued;
} walk;

static void add_line(const char *path, const char *what) {
    assert_true(walk.count < LINES_MAX);
    snprintf(walk.lines[walk.count++], sizeof *walk.lines, "%s: %s", path, what);
}

/* Tells of the value on top of the stack, which is at `path`, and queues it if it leads on. Pops.
** */
static void meet(lua_State *L, const char *path) {
    int type = lua_type(L, -1);
    const char *what = luaL_typename(L, -1);
    if (type == LUA_TTABLE || type == LUA_TFUNCTION || type == LUA_TUSERDATA ||
        type == LUA_TTHREAD) {
        int is_new = lua_rawgetp(L, SEEN, lua_topointer(L, -1)) == LUA_TNIL;
        lua_pop(L, 1);
        if (is_new) {
            lua_pushstring(L, path);
            lua_rawsetp(L, SEEN, lua_topointer(L, -2));
            lua_pushvalue(L, -1);
            lua_rawseti(L, QUEUE, ++walk.queued);
            lua_pushstring(L, path);
            lua_rawseti(L, PATHS, walk.queued);
        } else {
            lua_rawgetp(L, SEEN, lua_topointer(L, -1));
            what = "(known)";
            lua_pop(L, 1);
        }
    }
    add_line(path, what);
    lua_pop(L, 1);
}

static void describe_key(lua_State *L, int key, char *text, size_t size) {
    if (lua_type(L, key) == LUA_TSTRING) {
        snprintf(text, size, "%s", lua_tostring(L, key));
    } else if (lua_isinteger(L, key)) {
        snprintf(text, size, "%lld", (long long)lua_tointeger(L, key));
    } else {
        snprintf(text, size, "(%s)", luaL_typename(L, key));
    }
}

static void look_into(lua_State *L, const char *path) {
    char next[100], key[40];
    int object = lua_gettop(L);
    if (lua_istable(L, object)) {
        for (lua_pushnil(L); lua_next(L, object) != 0;) {
            if (lua_islightuserdata(L, -2)) { /* what is frozen, which is __index, too */
                lua_pop(L, 1);
                continue;
            }
            describe_key(L, -2, key, sizeof key);
            snprintf(next, sizeof next, "%.55s.%s", path, key);
            meet(L, next);
        }
    }
    if (lua_isfunction(L, object)) {
        for (int i = 1; lua_getupvalue(L, object, i) != NULL; i++) {
            snprintf(next, sizeof next, "%.55s(upvalue %d)", path, i);
            meet(L, next);
        }
    }
    if (lua_getmetatable(L, object)) {
        snprintf(next, sizeof next, "%.55s(metatable)", path);
        meet(L, next);
    }
}

/* Begins at the values that any script has. */
static void walk_all(lua_State *L, int first, void *context) {
    (void)context;
    assert_int_equal(first, SEEN);
    lua_settop(L, 1);
    lua_newtable(L);
    lua_newtable(L);
    lua_newtable(L);
    lua_pushglobaltable(L);
    meet(L, "_ENV");
    lua_pushliteral(L, "");
    look_into(L, "string");
    lua_pushinteger(L, 1);
    look_into(L, "number");
    lua_pushboolean(L, 1);
    look_into(L, "boolean");
    lua_pushnil(L);
    look_into(L, "nil");
    lua_pushcfunction(L, lua_error);
    look_into(L, "function");
    lua_newthread(L);
    look_into(L, "thread");
    lua_pushlightuserdata(L, NULL);
    look_into(L, "lightuserdata");
    for (lua_Integer i = 1; i <= walk.queued; i++) {
        lua_settop(L, PATHS);
        lua_rawgeti(L, PATHS, i);
        const char *path = lua_tostring(L, -1);
        lua_rawgeti(L, QUEUE, i);
        look_into(L, path);
    }
}

static int compare_lines(const void *a, const void *b) {
    return strcmp(a, b);
}

static void holds_what_the_list_says(void **state) {
    struct script script;
    char line[200];
    (void)state;
    walk.count = 0;
    walk.queued = 0;
    assert_int_equal(load_body(&script, NULL, ""), TYCHO__SANDBOX_OK);
    struct tycho__sandbox_call call = {.function = script.run, .read = walk_all};
    assert_int_equal(tycho__sandbox_call(script.sandbox, &call), TYCHO__SANDBOX_OK);
    drop(&script);
    qsort(walk.lines, (size_t)walk.count, sizeof *walk.lines, compare_lines);
    const char *mode = getenv("TYCHO_GOLDEN");
    FILE *file = fopen(GOLDEN, mode != NULL ? "w" : "r");
    assert_non_null(file);
    for (int i = 0; i < walk.count; i++) {
        if (mode != NULL) {
            fprintf(file, "%s\n", walk.lines[i]);
            continue;
        }
        assert_non_null(fgets(line, sizeof line, file));
        line[strcspn(line, "\n")] = '\0';
        assert_string_equal(walk.lines[i], line);
    }
    if (mode == NULL) assert_null(fgets(line, sizeof line, file));
    fclose(file);
    assert_true(walk.count > 80);
}

/* What a script itself sees by pairs() is the same, and all of it is documented in sandbox.h. */
static void shows_scripts_their_names(void **state) {
    struct script script;
    (void)state;
    assert_int_equal(load_body(&script, NULL,
                               "local names = {} for name, value in pairs(_ENV) do "
                               "names[#names + 1] = name end return table.concat(names, ' ')"),
                     TYCHO__SANDBOX_OK);
    assert_int_equal(run(&script), TYCHO__SANDBOX_OK);
    assert_string_equal(script.result,
                        "assert coroutine error getmetatable ipairs math pairs pcall rawequal "
                        "rawget rawlen rawset select setmetatable string table tonumber tostring "
                        "type utf8");
    drop(&script);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holds_what_the_list_says),
        cmocka_unit_test(shows_scripts_their_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
