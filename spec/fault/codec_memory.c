/* codec_memory.c - the codecs of bindings/lua when memory runs out: each allocation in turn fails,
** Lua's or the codec's own. A failure must raise and leak nothing, and the next call must be right.
** Linked with --wrap=realloc, by which the codec gets all its memory.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <lauxlib.h>
#include <lua.h>

#include "codec.h"

enum { ALLOCATIONS_MAX = 200, NEVER = -1 };

static const char TEXT[] = "{\"a\":[1,{\"base64\":\"/w==\"},0.30000000000000004,\"x\\ny\"],"
                           "\"b\":{\"c\":null,\"e\":{}},\"d\":\"hello\"}";

static long until_lua_fails = NEVER;
static long until_codec_fails = NEVER;

void *__real_realloc(void *block, size_t size);
void *__wrap_realloc(void *block, size_t size);

void *__wrap_realloc(void *block, size_t size) {
    if (until_codec_fails != NEVER && until_codec_fails-- == 0) return NULL;
    return __real_realloc(block, size);
}

static void *allocate(void *context, void *block, size_t old_size, size_t size) {
    (void)context;
    if (size == 0) {
        free(block);
        return NULL;
    }
    if (until_lua_fails == 0 && (block == NULL || size > old_size)) return NULL;
    if (until_lua_fails > 0) until_lua_fails--;
    return __real_realloc(block, size);
}

/* Text to a value, to MessagePack, to a value, to the same text; raises when a step fails. */
static int round_trip(lua_State *L) {
    struct tycho_buffer *bytes = tycho__lua_new_buffer(L);
    struct tycho_buffer *text = tycho__lua_new_buffer(L);

    if (tycho__lua_decode_json(L, TEXT, sizeof TEXT - 1) != 0) return lua_error(L);
    if (tycho__lua_encode(L, -1, "value", bytes) != 0) return lua_error(L);
    if (tycho__lua_decode(L, bytes->data, bytes->size) != 0) return lua_error(L);
    if (tycho__lua_encode_json(L, -1, "value", text) != 0) return lua_error(L);
    lua_pushboolean(L, text->size == sizeof TEXT - 1 &&
                           memcmp(text->data, TEXT, text->size) == 0);
    return 1;
}

/* Calls round_trip with the counters set: 1 when it was right, 0 when it raised. */
static int try_round_trip(lua_State *L, long lua_allocations, long codec_allocations) {
    int status;

    lua_settop(L, 0);
    lua_pushcfunction(L, round_trip);
    until_lua_fails = lua_allocations;
    until_codec_fails = codec_allocations;
    status = lua_pcall(L, 0, 1, 0);
    until_lua_fails = NEVER;
    until_codec_fails = NEVER;
    if (status == LUA_OK) assert_true(lua_toboolean(L, 1));
    return status == LUA_OK;
}

static int count_failures(int lua_fails) {
    int failures = 0;

    for (long i = 0; i < ALLOCATIONS_MAX; i++) {
        lua_State *L = lua_newstate(allocate, NULL);

        assert_non_null(L);
        lua_newtable(L);
        tycho__lua_open_codec(L);
        failures += !try_round_trip(L, lua_fails ? i : NEVER, lua_fails ? NEVER : i);
        assert_true(try_round_trip(L, NEVER, NEVER));
        lua_close(L);
    }
    return failures;
}

static void survives_a_lack_of_memory_in_lua(void **state) {
    int failures = count_failures(1);
    (void)state;

    assert_in_range(failures, 10, ALLOCATIONS_MAX - 1);
}

static void survives_a_lack_of_memory_in_the_codec(void **state) {
    int failures = count_failures(0);
    (void)state;

    assert_in_range(failures, 3, ALLOCATIONS_MAX - 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(survives_a_lack_of_memory_in_lua),
        cmocka_unit_test(survives_a_lack_of_memory_in_the_codec),
    };

    return cmocka_run_group_tests_name("codec memory", tests, NULL, NULL);
}
