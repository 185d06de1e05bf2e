/* sandbox_script.h - a script in a sandbox, for tests: the body of one function, run, and what it
** returned as one text. To be included behind cmocka.h.
*/
#ifndef TYCHO_SPEC_SANDBOX_SCRIPT_H
#define TYCHO_SPEC_SANDBOX_SCRIPT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "sandbox.h"

struct script {
    struct tycho__sandbox *sandbox;
    const struct tycho__sandbox_error *error;
    int run;           /* the function */
    char result[4096]; /* what it returned, each value as text, with ", " between them */
};

static inline void keep_run(lua_State *L, int first, void *context) {
    struct script *script = context;
    lua_pushliteral(L, "run");
    lua_rawget(L, first);
    if (!lua_isfunction(L, -1)) tycho__sandbox_bad_result(L, "there is no function 'run'");
    script->run = tycho__sandbox_keep(L);
}

static inline void read_results(lua_State *L, int first, void *context) {
    struct script *script = context;
    size_t used = 0, room = sizeof script->result;
    script->result[0] = '\0';
    for (int i = first; i <= lua_gettop(L) && used < room; i++) {
        const char *text = luaL_typename(L, i);
        if (lua_type(L, i) == LUA_TSTRING) text = lua_tostring(L, i);
        if (lua_isboolean(L, i)) text = lua_toboolean(L, i) ? "true" : "false";
        char number[64];
        if (lua_type(L, i) == LUA_TNUMBER) {
            if (lua_isinteger(L, i)) {
                snprintf(number, sizeof number, "%lld", (long long)lua_tointeger(L, i));
            } else {
                snprintf(number, sizeof number, "%.17g", lua_tonumber(L, i));
            }
            text = number;
        }
        int length = snprintf(script->result + used, room - used, "%s%s", i > first ? ", " : "",
                              text);
        used += (size_t)length;
    }
}

/* Loads `source` as it is, and keeps its function `run`. */
static inline enum tycho__sandbox_kind load_module(struct script *script,
                                                   const struct tycho__sandbox_options *options,
                                                   const char *source) {
    memset(script, 0, sizeof *script);
    script->sandbox = tycho__sandbox_create(options);
    assert_non_null(script->sandbox);
    script->error = tycho__sandbox_last_error(script->sandbox);
    enum tycho__sandbox_kind kind =
        tycho__sandbox_load(script->sandbox, "test", 7, source, strlen(source));
    if (kind != TYCHO__SANDBOX_OK) return kind;
    struct tycho__sandbox_call call = {.read = keep_run, .context = script};
    return tycho__sandbox_call(script->sandbox, &call);
}

/* Loads a module whose function `run` has this body. */
static inline enum tycho__sandbox_kind load_body(struct script *script,
                                                 const struct tycho__sandbox_options *options,
                                                 const char *body) {
    size_t size = strlen(body) + 64;
    char *source = malloc(size);
    assert_non_null(source);
    snprintf(source, size, "return { run = function(...) %s\nend }", body);
    enum tycho__sandbox_kind kind = load_module(script, options, source);
    free(source);
    return kind;
}

static inline enum tycho__sandbox_kind run(struct script *script) {
    static const uint64_t seed = 42;
    struct tycho__sandbox_call call = {.function = script->run, .seed = &seed,
                                       .read = read_results, .context = script};
    return tycho__sandbox_call(script->sandbox, &call);
}

static inline void drop(struct script *script) {
    tycho__sandbox_destroy(script->sandbox);
}

static inline void expect_result(const char *body, const char *result) {
    struct script script;
    enum tycho__sandbox_kind kind = load_body(&script, NULL, body);
    if (kind == TYCHO__SANDBOX_OK) kind = run(&script);
    if (kind != TYCHO__SANDBOX_OK) print_message("# %s\n", script.error->message);
    assert_int_equal(kind, TYCHO__SANDBOX_OK);
    assert_string_equal(script.result, result);
    drop(&script);
}

static inline void expect_message(const struct script *script, const char *part) {
    if (strstr(script->error->message, part) == NULL) {
        print_message("# %s\n# is not in: %s\n", part, script->error->message);
        fail();
    }
}

static inline void expect_error(const char *body, enum tycho__sandbox_kind kind, const char *part) {
    struct script script;
    assert_int_equal(load_body(&script, NULL, body), TYCHO__SANDBOX_OK);
    assert_int_equal(run(&script), kind);
    expect_message(&script, part);
    drop(&script);
}

#endif
