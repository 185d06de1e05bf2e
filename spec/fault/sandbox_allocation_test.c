/* sandbox_allocation_test.c - memory runs out in the life of a sandbox: the n-th allocation fails,
** for every n, once and from there on. What meets it answers NO_MEMORY, or goes on without that
** memory; never anything else. What leaks is told by the build with ASan.
**
** The functions of allocation are those of failing_memory.h.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "failing_memory.h"
#include "sandbox_script.h"

/* ---------------------------------------------------------------- one life */

static const char source[] =
    "local Point = {} Point.__index = Point Point.__tostring = function(p) return 'p' .. p.x end\n"
    "local function sum(t) local n = 0 for k, v in pairs(t) do n = n + v end return n end\n"
    "return { run = function(thing)\n"
    "  local t = {a = 1, b = 2, c = 3, 4, 5}\n"
    "  for i = 1, 100 do t['k' .. i] = i end\n"
    "  local s = ('abc'):rep(50):gsub('b', function(x) return x:upper() end)\n"
    "  local words = {} for w in s:gmatch('%u') do words[#words + 1] = w end\n"
    "  table.sort(words, function(a, b) return a > b end)\n"
    "  local co = coroutine.wrap(function(a) while true do a = coroutine.yield(a .. 'x') end end)\n"
    "  for i = 1, 5 do s = s .. co(i) end\n"
    "  local ok, message = pcall(function() local x = nil + 1 end)\n"
    "  local p = setmetatable({x = thing.number}, Point)\n"
    "  return sum(t), #s, #table.concat(words), tostring(p), ok, message,\n"
    "    ('%5d %s %.3f'):format(7, p, 1.5), thing.data.x, utf8.char(228, 8364)\n"
    "end, fail = function() error({message = ('x'):rep(100)}) end }";

static void get_field(lua_State *L, const void *object, int field) {
    if (field == 0) {
        lua_pushinteger(L, *(const int *)object);
    } else {
        lua_newtable(L);
        lua_pushstring(L, "value");
        lua_setfield(L, -2, "x");
    }
}

static int push_thing(lua_State *L, void *context) {
    static const char *const names[] = {"number", "data", NULL};
    static const struct tycho__sandbox_view_type type = {"thing", names, get_field};
    static const int number = 12;
    (void)context;
    tycho__sandbox_push_view(L, &type, &number);
    return 1;
}

static int keep_fail;

static void keep_functions(lua_State *L, int first, void *context) {
    keep_run(L, first, context);
    lua_pushliteral(L, "fail");
    lua_rawget(L, first);
    keep_fail = tycho__sandbox_keep(L);
}

/* 1 when the call went well, 0 when there was no memory. */
static int is_fine(struct script *script, enum tycho__sandbox_kind kind) {
    if (kind != TYCHO__SANDBOX_OK && kind != TYCHO__SANDBOX_NO_MEMORY) {
        is_armed = false;
        print_message("# %ld: %s\n", atomic_load(&failing_call), script->error->message);
        fail();
    }
    return kind == TYCHO__SANDBOX_OK;
}

static void call_all(struct script *script) {
    struct tycho__sandbox_call call = {.read = keep_functions, .context = script};
    enum tycho__sandbox_kind kind =
        tycho__sandbox_load(script->sandbox, "test", 1, source, sizeof source - 1);
    if (!is_fine(script, kind)) return;
    if (!is_fine(script, tycho__sandbox_call(script->sandbox, &call))) return;
    call.function = script->run;
    call.push = push_thing;
    call.read = read_results;
    for (int i = 0; i < 3; i++) {
        if (!is_fine(script, tycho__sandbox_call(script->sandbox, &call))) return;
        assert_string_equal(script->result,
                            "5065, 160, 50, p12, false, test:11: attempt to perform arithmetic on "
                            "a nil value,     7 p12 1.500, value, \xc3\xa4\xe2\x82\xac");
    }
    if (!is_fine(script, tycho__sandbox_check_state(script->sandbox))) return;
    call.function = keep_fail;
    kind = tycho__sandbox_call(script->sandbox, &call);
    if (kind != TYCHO__SANDBOX_NO_MEMORY) assert_int_equal(kind, TYCHO__SANDBOX_FAILED);
    if (kind == TYCHO__SANDBOX_FAILED) assert_int_equal(strlen(script->error->message), 100);
}

/* Returns how many allocations there were. */
static long live(long n, bool lasting) {
    struct script script = {0};
    fail_allocation(n, lasting);
    is_armed = true;
    script.sandbox = tycho__sandbox_create(NULL);
    if (script.sandbox != NULL) {
        script.error = tycho__sandbox_last_error(script.sandbox);
        call_all(&script);
        tycho__sandbox_destroy(script.sandbox);
    }
    is_armed = false;
    return calls;
}

static void survives_one_failure_anywhere(void **state) {
    long total = live(-1, false);
    (void)state;
    assert_true(total > 500);
    for (long i = 0; i < total; i++) live(i, false);
}

static void survives_that_memory_ends_anywhere(void **state) {
    long total = live(-1, false);
    (void)state;
    for (long i = 0; i < total; i++) live(i, true);
}

/* The same by the limit of the sandbox itself, for each size up to what is enough. */
static void survives_any_memory_limit(void **state) {
    (void)state;
    for (size_t limit = 9000; limit < 60000; limit += 37) {
        struct tycho__sandbox_options options = {.memory_max = limit, .churn_max = 1 << 20};
        struct script script = {0};
        script.sandbox = tycho__sandbox_create(&options);
        if (script.sandbox == NULL) continue;
        script.error = tycho__sandbox_last_error(script.sandbox);
        enum tycho__sandbox_kind kind =
            tycho__sandbox_load(script.sandbox, "test", 1, source, sizeof source - 1);
        struct tycho__sandbox_call call = {.read = keep_functions, .context = &script};
        if (kind == TYCHO__SANDBOX_OK) kind = tycho__sandbox_call(script.sandbox, &call);
        call = (struct tycho__sandbox_call){.function = script.run, .push = push_thing,
                                            .read = read_results, .context = &script};
        if (kind == TYCHO__SANDBOX_OK) kind = tycho__sandbox_call(script.sandbox, &call);
        assert_true(kind == TYCHO__SANDBOX_OK || kind == TYCHO__SANDBOX_OVER_MEMORY);
        /* there is a reserve for telling of the error */
        assert_true(tycho__sandbox_memory(script.sandbox) <= limit + 65536);
        if (limit > 50000) assert_int_equal(kind, TYCHO__SANDBOX_OK);
        tycho__sandbox_destroy(script.sandbox);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(survives_one_failure_anywhere),
        cmocka_unit_test(survives_that_memory_ends_anywhere),
        cmocka_unit_test(survives_any_memory_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
