/* sandbox_test.c - the contract of the sandbox (bindings/lua/host/sandbox.h): loading, calling,
** errors, limits, views, what scripts keep, and that the same script says the same in every process.
** The scripts that try to break out are in sandbox_hostile_test.c.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <locale.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox_script.h"

/* ---------------------------------------------------------------- helpers */

static void expect_result(const char *body, const char *result) {
    struct script script;
    int kind = load_body(&script, NULL, body);
    if (kind == TYCHO__SANDBOX_OK) kind = run(&script);
    if (kind != TYCHO__SANDBOX_OK) print_message("# %s\n", script.error->message);
    assert_int_equal(kind, TYCHO__SANDBOX_OK);
    assert_string_equal(script.result, result);
    drop(&script);
}

static void expect_message(const struct script *script, const char *part) {
    if (strstr(script->error->message, part) == NULL) {
        print_message("# %s\n# is not in: %s\n", part, script->error->message);
        fail();
    }
}

static void expect_error(const char *body, enum tycho__sandbox_kind kind, const char *part) {
    struct script script;
    assert_int_equal(load_body(&script, NULL, body), TYCHO__SANDBOX_OK);
    assert_int_equal(run(&script), kind);
    expect_message(&script, part);
    drop(&script);
}

/* ---------------------------------------------------------------- loading */

static void refuses_what_does_not_compile_with_its_line(void **state) {
    struct script script;
    (void)state;
    assert_int_equal(load_module(&script, NULL, "local a = 1\nlocal = 2"), TYCHO__SANDBOX_REFUSED);
    assert_int_equal(script.error->line, 2);
    assert_string_equal(script.error->script, "test");
    assert_int_equal(script.error->version, 7);
    expect_message(&script, "test:2: <name> expected near '='");
    drop(&script);
    assert_int_equal(load_module(&script, NULL, "\n\nreturn { a = 2 ^ 3 }"),
                     TYCHO__SANDBOX_REFUSED);
    assert_int_equal(script.error->line, 3);
    expect_message(&script, "there is no operator '^'");
    drop(&script);
}

static void takes_a_caret_that_is_no_operator(void **state) {
    (void)state;
    expect_result("--^\n --[==[ ^ ]] ^ ]==]\n local a = [[^]] .. '\\'^' .. \"^\\\"\" return a",
                  "^'^^\"");
    expect_result("return (('a^'):match('^a%^'))", "a^");
}

static void refuses_bytecode_and_too_long_sources(void **state) {
    struct script script;
    (void)state;
    assert_int_equal(load_module(&script, NULL, "\x1bLua\x54"), TYCHO__SANDBOX_REFUSED);
    expect_message(&script, "attempt to load a binary chunk");
    drop(&script);
    size_t size = TYCHO__SANDBOX_SOURCE_MAX + 1;
    char *source = malloc(size + 1);
    assert_non_null(source);
    memset(source, ' ', size);
    source[size] = '\0';
    assert_int_equal(load_module(&script, NULL, source), TYCHO__SANDBOX_REFUSED);
    expect_message(&script, "the source has 262145 bytes");
    drop(&script);
    memcpy(source, "return{run=error}", 17);
    source[size - 1] = '\0';
    assert_int_equal(load_module(&script, NULL, source), TYCHO__SANDBOX_OK);
    drop(&script);
    free(source);
}

/* The compiler takes time that is quadratic in these. */
static void refuses_sources_with_too_many_jumps(void **state) {
    static const char *const parts[][3] = {
        {"local a return ", "a or ", "a"},       {"local a return ", "a and ", "a"},
        {"local a if a then ", "elseif a then ", "end"}, {"while true do ", "if a then break end ", "end"},
        {"do ", "goto a ", "end ::a::"},         {"", "::a:: a() ", ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        struct script script;
        char *source = malloc(200000), *end = source;
        assert_non_null(source);
        end += sprintf(end, "\n%s", parts[i][0]);
        for (int j = 0; j < 5001; j++) end += sprintf(end, "%s", parts[i][1]);
        sprintf(end, "%s", parts[i][2]);
        assert_int_equal(load_module(&script, NULL, source), TYCHO__SANDBOX_REFUSED);
        assert_int_equal(script.error->line, 2);
        expect_message(&script, "there are more than 5000 of and, or,");
        drop(&script);
        free(source);
    }
    expect_result("local orange, android, breakfast, s = 1, 2, 3, 'or or or' -- or or\n"
                  "return orange + android + breakfast", "6");
}

static void refuses_a_script_that_returns_no_table(void **state) {
    struct script script;
    (void)state;
    assert_int_equal(load_module(&script, NULL, "return 1"), TYCHO__SANDBOX_BAD_RESULT);
    expect_message(&script, "the script returns a number, not a table");
    drop(&script);
}

static void stops_a_load_that_does_not_end(void **state) {
    struct script script;
    (void)state;
    assert_int_equal(load_module(&script, NULL, "while true do end"),
                     TYCHO__SANDBOX_OVER_BUDGET);
    assert_int_equal(run(&script), TYCHO__SANDBOX_DISCARDED);
    drop(&script);
}

/* ---------------------------------------------------------------- errors */

static void tells_where_an_error_was_raised(void **state) {
    struct script script;
    (void)state;
    assert_int_equal(load_module(&script, NULL,
                                 "local function inner(x)\n  return x.y.z\nend\n"
                                 "return { run = function()\n  local r = inner({})\n"
                                 "  return r\nend }"),
                     TYCHO__SANDBOX_OK);
    assert_int_equal(run(&script), TYCHO__SANDBOX_FAILED);
    assert_int_equal(script.error->kind, TYCHO__SANDBOX_FAILED);
    assert_int_equal(script.error->line, 2);
    assert_string_equal(script.error->message,
                        "test:2: attempt to index a nil value (field 'y')");
    assert_string_equal(script.error->traceback, "test:2: in upvalue 'inner'\n"
                                                 "test:5: in function <test:4>");
    assert_int_equal(run(&script), TYCHO__SANDBOX_FAILED); /* an error is not fatal */
    drop(&script);
}

static void tells_where_a_coroutine_failed(void **state) {
    struct script script;
    (void)state;
    assert_int_equal(load_module(&script, NULL,
                                 "return { run = function()\n"
                                 "  local go = coroutine.wrap(function()\n    error('no')\n  end)\n"
                                 "  go()\nend }"),
                     TYCHO__SANDBOX_OK);
    assert_int_equal(run(&script), TYCHO__SANDBOX_FAILED);
    assert_int_equal(script.error->line, 3);
    assert_string_equal(script.error->message, "test:3: no");
    assert_string_equal(script.error->traceback, "test:3: in function <test:2>\n"
                                                 "test:5: in function <test:1>");
    drop(&script);
}

static void tells_error_values_that_are_no_texts(void **state) {
    (void)state;
    expect_error("error({message = 'as a table'})", TYCHO__SANDBOX_FAILED, "as a table");
    expect_error("error({message = 1})", TYCHO__SANDBOX_FAILED, "(a table as error)");
    expect_error("error(setmetatable({}, {__index = error, __tostring = error}))",
                 TYCHO__SANDBOX_FAILED, "(a table as error)");
    expect_error("error(nil)", TYCHO__SANDBOX_FAILED, "nil");
    expect_error("error(1.5)", TYCHO__SANDBOX_FAILED, "1.5");
    expect_error("error(7)", TYCHO__SANDBOX_FAILED, "7");
    expect_error("error(true)", TYCHO__SANDBOX_FAILED, "true");
    expect_error("error(print)", TYCHO__SANDBOX_FAILED, "there is no global 'print'");
}

static void cuts_long_messages_between_characters(void **state) {
    struct script script;
    (void)state;
    assert_int_equal(load_body(&script, NULL, "error(('\xc3\xa4'):rep(10000), 0)"),
                     TYCHO__SANDBOX_OK);
    assert_int_equal(run(&script), TYCHO__SANDBOX_FAILED);
    assert_int_equal(strlen(script.error->message), 510);
    drop(&script);
    assert_int_equal(load_body(&script, NULL, "local function f() f() error('x') end f()"),
                     TYCHO__SANDBOX_OK);
    assert_int_equal(run(&script), TYCHO__SANDBOX_OVER_MEMORY);
    assert_true(strlen(script.error->traceback) < sizeof script.error->traceback);
    drop(&script);
}

static void forgets_an_error_that_the_script_caught(void **state) {
    struct script script;
    (void)state;
    assert_int_equal(load_body(&script, NULL,
                               "pcall(coroutine.wrap(function() error('one') end)) error('two')"),
                     TYCHO__SANDBOX_OK);
    assert_int_equal(run(&script), TYCHO__SANDBOX_FAILED);
    assert_string_equal(script.error->message, "test:1: two");
    assert_string_equal(script.error->traceback, "test:1: in function <test:1>");
    drop(&script);
    assert_int_equal(load_body(&script, NULL, "return pcall(error, 'x')"), TYCHO__SANDBOX_OK);
    assert_int_equal(run(&script), TYCHO__SANDBOX_OK);
    assert_string_equal(script.result, "false, x");
    assert_int_equal(script.error->kind, TYCHO__SANDBOX_OK);
    assert_string_equal(script.error->message, "");
    drop(&script);
}

/* ---------------------------------------------------------------- limits */

static void counts_the_same_every_time(void **state) {
    static const char body[] =
        "local t = {} for i = 1, 2000 do t['k' .. i % 97] = ('x'):rep(i % 50) end "
        "for k, v in pairs(t) do if v:find('x+y') then t[k] = nil end end "
        "local co = coroutine.wrap(function() for i = 1, 500 do coroutine.yield(i) end end) "
        "for i = 1, 100 do co() end table.sort({5, 3, 1}) return #t";
    int64_t first = 0;
    (void)state;
    for (int i = 0; i < 5; i++) {
        struct script script;
        assert_int_equal(load_body(&script, NULL, body), TYCHO__SANDBOX_OK);
        for (int j = 0; j < 3; j++) {
            assert_int_equal(run(&script), TYCHO__SANDBOX_OK);
            if (first == 0) first = tycho__sandbox_charged(script.sandbox);
            assert_int_equal(tycho__sandbox_charged(script.sandbox), first);
        }
        drop(&script);
    }
    assert_true(first > 20000);
}

/* The smallest budget that suffices is the same in every sandbox, and one less never does. */
static void has_an_exact_budget(void **state) {
    static const char body[] = "local n = 0 for i = 1, 12345 do n = n + i end return n";
    int64_t least[3];
    (void)state;
    for (int i = 0; i < 3; i++) {
        int64_t low = 0, high = 1000000;
        while (high - low > 1) {
            struct tycho__sandbox_options options = {.budget = (low + high) / 2};
            struct script script;
            int kind = load_body(&script, &options, body);
            if (kind == TYCHO__SANDBOX_OK) kind = run(&script);
            *(kind == TYCHO__SANDBOX_OK ? &high : &low) = options.budget;
            assert_true(kind == TYCHO__SANDBOX_OK || kind == TYCHO__SANDBOX_OVER_BUDGET);
            drop(&script);
        }
        least[i] = high;
    }
    assert_int_equal(least[0], least[1]);
    assert_int_equal(least[0], least[2]);
    assert_true(least[0] > 12345);
}

static void discards_what_had_a_fatal_error(void **state) {
    struct script script;
    (void)state;
    assert_int_equal(load_body(&script, NULL, "while true do end"), TYCHO__SANDBOX_OK);
    assert_int_equal(run(&script), TYCHO__SANDBOX_OVER_BUDGET);
    expect_message(&script, "the script used up its 1000000 instructions");
    assert_int_equal(run(&script), TYCHO__SANDBOX_DISCARDED);
    assert_int_equal(script.error->kind, TYCHO__SANDBOX_DISCARDED);
    assert_int_equal(tycho__sandbox_check_state(script.sandbox), TYCHO__SANDBOX_DISCARDED);
    assert_int_equal(tycho__sandbox_load(script.sandbox, "x", 1, "return {}", 9),
                     TYCHO__SANDBOX_DISCARDED);
    drop(&script);
}

static void takes_the_budget_of_a_call(void **state) {
    struct script script;
    (void)state;
    assert_int_equal(load_body(&script, NULL, "for i = 1, 5000 do end"), TYCHO__SANDBOX_OK);
    struct tycho__sandbox_call call = {.function = script.run, .budget = 100000};
    assert_int_equal(tycho__sandbox_call(script.sandbox, &call), TYCHO__SANDBOX_OK);
    call.budget = 100;
    assert_int_equal(tycho__sandbox_call(script.sandbox, &call), TYCHO__SANDBOX_OVER_BUDGET);
    expect_message(&script, "its 100 instructions");
    drop(&script);
}

static void keeps_within_its_memory(void **state) {
    static const char *const bodies[] = {
        "local t = {} for i = 1, 1e7 do t[i] = {} end",
        "local s = 'x' while true do s = s .. s end",
        "local t = {} for i = 1, 1e7 do t[i] = ('x'):rep(1000) .. i end",
    };
    (void)state;
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct tycho__sandbox_options options = {.memory_max = 2 << 20};
        struct script script;
        assert_int_equal(load_body(&script, &options, bodies[i]), TYCHO__SANDBOX_OK);
        int kind = run(&script);
        assert_true(kind == TYCHO__SANDBOX_OVER_MEMORY || kind == TYCHO__SANDBOX_OVER_BUDGET);
        assert_true(script.error->line == 1);
        assert_true(tycho__sandbox_memory(script.sandbox) <= 2 << 20);
        drop(&script);
    }
}

/* What garbage there is, is collected in time: the memory limit is for what is held. */
static void lets_garbage_go(void **state) {
    struct tycho__sandbox_options options = {.budget = 50000000, .memory_max = 1 << 20,
                                             .churn_max = 1 << 30};
    struct script script;
    (void)state;
    assert_int_equal(load_body(&script, &options,
                               "for i = 1, 200000 do local t = {i, ('x'):rep(100)} end return 1"),
                     TYCHO__SANDBOX_OK);
    assert_int_equal(run(&script), TYCHO__SANDBOX_OK);
    drop(&script);
}

static void survives_many_errors_with_the_same_memory(void **state) {
    struct script script;
    size_t after_some = 0;
    (void)state;
    assert_int_equal(load_body(&script, NULL, "local t = {} t.x.y = ('z'):rep(100)"),
                     TYCHO__SANDBOX_OK);
    for (int i = 0; i < 20000; i++) {
        assert_int_equal(run(&script), TYCHO__SANDBOX_FAILED);
        if (i == 1000) after_some = tycho__sandbox_memory(script.sandbox);
    }
    assert_true(tycho__sandbox_memory(script.sandbox) < after_some + 65536);
    drop(&script);
}

/* ---------------------------------------------------------------- results */

static void check_result(lua_State *L, int first, void *context) {
    (void)context;
    tycho__sandbox_check_result(L, first, "the result");
}

static void expect_checked(const char *body, enum tycho__sandbox_kind kind, const char *part) {
    struct script script;
    assert_int_equal(load_body(&script, NULL, body), TYCHO__SANDBOX_OK);
    struct tycho__sandbox_call call = {.function = script.run, .read = check_result};
    assert_int_equal(tycho__sandbox_call(script.sandbox, &call), kind);
    if (part != NULL) {
        expect_message(&script, part);
        assert_int_equal(tycho__sandbox_call(script.sandbox, &call), kind); /* goes on */
    }
    drop(&script);
}

static void checks_results(void **state) {
    (void)state;
    expect_checked("return {1, 2.5, 'x', true, {a = {b = {}}}, [10] = false}", TYCHO__SANDBOX_OK,
                   NULL);
    expect_checked("return nil", TYCHO__SANDBOX_OK, NULL);
    expect_checked("local t = {} t.t = t return t", TYCHO__SANDBOX_BAD_RESULT,
                   "the result has too many tables within each other");
    expect_checked("local t = {} for i = 1, 70 do t = {t} end return t", TYCHO__SANDBOX_BAD_RESULT,
                   "too many tables");
    expect_checked("local t = {} for i = 1, 63 do t = {t} end return t", TYCHO__SANDBOX_OK, NULL);
    expect_checked("local t = {} for i = 1, 40 do t = {t, t} end return t",
                   TYCHO__SANDBOX_BAD_RESULT, "the result has too many values");
    expect_checked("return {a = {f = error}}", TYCHO__SANDBOX_BAD_RESULT,
                   "the result: field 'f' is a function");
    expect_checked("return {{}, {1, 0/0}}", TYCHO__SANDBOX_BAD_RESULT,
                   "the result: item [2] is NaN");
    expect_checked("return 1/0", TYCHO__SANDBOX_BAD_RESULT, "the result is infinite");
    expect_checked("return coroutine.create(error)", TYCHO__SANDBOX_BAD_RESULT,
                   "the result is a thread");
    expect_checked("return {[{}] = 1}", TYCHO__SANDBOX_BAD_RESULT, "has a key that is a table");
    expect_checked("return {[1.5] = 1}", TYCHO__SANDBOX_BAD_RESULT, "has a key that is a number");
    expect_checked("local s = ('x'):rep(1000000) local t = {} for i = 1, 5 do t[i] = s end "
                   "return t", TYCHO__SANDBOX_BAD_RESULT, "the result is too large");
    expect_checked("return setmetatable({}, {__index = error, __len = error, __newindex = error})",
                   TYCHO__SANDBOX_OK, NULL);
}

/* ---------------------------------------------------------------- what is kept between calls */

static void expect_state(const char *source, enum tycho__sandbox_kind kind) {
    struct script script;
    assert_int_equal(load_module(&script, NULL, source), TYCHO__SANDBOX_OK);
    assert_int_equal(tycho__sandbox_check_state(script.sandbox), TYCHO__SANDBOX_OK);
    assert_int_equal(run(&script), TYCHO__SANDBOX_OK);
    assert_int_equal(tycho__sandbox_check_state(script.sandbox), kind);
    if (kind != TYCHO__SANDBOX_OK) expect_message(&script, "keeps something between two calls");
    drop(&script);
}

static void finds_what_a_script_keeps(void **state) {
    (void)state;
    expect_state("local n = 0 return { run = function() n = n + 1 end }", TYCHO__SANDBOX_FAILED);
    expect_state("local t = {} return { run = function() t.x = 1 end }", TYCHO__SANDBOX_FAILED);
    expect_state("local t = {x = {y = 1}} return { run = function() t.x.y = nil end }",
                 TYCHO__SANDBOX_FAILED);
    expect_state("local M = {} function M.run() M.run = function() end end return M",
                 TYCHO__SANDBOX_FAILED);
    expect_state("local function a() local n = 0 return function() n = n + 1 end end "
                 "local b = a() return { run = function() b() end }", TYCHO__SANDBOX_FAILED);
    expect_state("local next = ('a b c'):gmatch('%a') return { run = function() next() end }",
                 TYCHO__SANDBOX_FAILED);
    expect_state("local t = {} return { run = function() setmetatable(t, {}) end }",
                 TYCHO__SANDBOX_FAILED);
    expect_state("local e = {} return { run = function() rawset(e, 1, 's') e[1] = nil end }",
                 TYCHO__SANDBOX_OK);
    expect_state("local LIMIT = 10 local names = {'a', 'b'} local function f(x) return x end "
                 "return { run = function() local n = 0 local function g() n = n + f(LIMIT) end "
                 "g() local t = {} for k, v in ipairs(names) do t[v] = k end return t end }",
                 TYCHO__SANDBOX_OK);
}

static void refuses_coroutines_that_are_kept(void **state) {
    struct script script;
    (void)state;
    assert_int_equal(load_module(&script, NULL,
                                 "local f = coroutine.wrap(function() coroutine.yield(1) end) "
                                 "return { run = f }"),
                     TYCHO__SANDBOX_FAILED);
    expect_message(&script, "the module keeps a coroutine");
    drop(&script);
}

/* ---------------------------------------------------------------- views */

struct thing {
    int64_t number;
    const char *text;
    int gets;
};

static void get_field(lua_State *L, const void *object, int field) {
    struct thing *thing = (struct thing *)(uintptr_t)object;
    thing->gets++;
    if (field == 0) {
        lua_pushinteger(L, thing->number);
    } else if (field == 1) {
        lua_pushstring(L, thing->text);
    } else {
        lua_newtable(L);
        lua_pushinteger(L, thing->number);
        lua_setfield(L, -2, "number");
    }
}

static const char *const field_names[] = {"number", "text", "data", NULL};
static const struct tycho__sandbox_view_type thing_type = {"thing", field_names, get_field};

static int push_thing(lua_State *L, void *context) {
    tycho__sandbox_push_view(L, &thing_type, ((struct script *)context)->result);
    return 1;
}

static enum tycho__sandbox_kind run_with(struct script *script, struct thing *thing) {
    struct tycho__sandbox_call call = {.function = script->run, .push = push_thing,
                                       .read = read_results, .context = script};
    /* the view shows what is in the buffer of the result, which read_results() fills later */
    memcpy(script->result, thing, sizeof *thing);
    enum tycho__sandbox_kind kind = tycho__sandbox_call(script->sandbox, &call);
    return kind;
}

static void shows_an_object_field_by_field(void **state) {
    struct thing one = {1, "one", 0}, two = {2, "two", 0};
    struct script script;
    (void)state;
    assert_int_equal(load_body(&script, NULL,
                               "local t = ... return t.number, t.text, t.data.number, "
                               "t.data == t.data, type(t), tostring(t), getmetatable(t)"),
                     TYCHO__SANDBOX_OK);
    assert_int_equal(run_with(&script, &one), TYCHO__SANDBOX_OK);
    assert_string_equal(script.result, "1, one, 1, true, userdata, userdata, false");
    assert_int_equal(run_with(&script, &two), TYCHO__SANDBOX_OK);
    assert_string_equal(script.result, "2, two, 2, true, userdata, userdata, false");
    assert_int_equal(tycho__sandbox_check_state(script.sandbox), TYCHO__SANDBOX_OK);
    drop(&script);
}

static void refuses_wrong_uses_of_a_view(void **state) {
    static const char *const cases[][2] = {
        {"local t = ... return t.nothing", "thing has no field 'nothing'"},
        {"local t = ... return t[t]", "thing has no field"},
        {"local t = ... t.number = 2", "thing is read-only"},
        {"local t = ... setmetatable(t, {})", "table expected, got userdata"},
        {"local t = ... rawset(t, 'a', 1)", "table expected, got userdata"},
        {"local t = ... return #t", "attempt to get length"},
        {"local t = ... return pairs(t)", "table expected, got userdata"},
    };
    struct thing thing = {1, "one", 0};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct script script;
        assert_int_equal(load_body(&script, NULL, cases[i][0]), TYCHO__SANDBOX_OK);
        assert_int_equal(run_with(&script, &thing), TYCHO__SANDBOX_FAILED);
        expect_message(&script, cases[i][1]);
        drop(&script);
    }
}

static void shows_nothing_of_a_call_that_is_over(void **state) {
    struct thing thing = {1, "one", 0};
    struct script script;
    (void)state;
    assert_int_equal(load_module(&script, NULL,
                                 "local kept return { run = function(t) "
                                 "if kept then return kept.number end kept = t end }"),
                     TYCHO__SANDBOX_OK);
    assert_int_equal(run_with(&script, &thing), TYCHO__SANDBOX_OK);
    assert_int_equal(tycho__sandbox_check_state(script.sandbox), TYCHO__SANDBOX_FAILED);
    assert_int_equal(run(&script), TYCHO__SANDBOX_FAILED);
    expect_message(&script, "this thing was that of a call that is over");
    drop(&script);
}

/* ---------------------------------------------------------------- the host's additions */

static int host_double(lua_State *L) {
    lua_pushinteger(L, 2 * luaL_checkinteger(L, 1));
    tycho__sandbox_charge(L, 100);
    return 1;
}

static void add_host_names(lua_State *L, void *context) {
    (void)context;
    lua_newtable(L);
    lua_pushcfunction(L, host_double);
    lua_setfield(L, -2, "double");
    tycho__sandbox_freeze(L);
    lua_setfield(L, -2, "host");
}

static void has_what_the_host_adds(void **state) {
    struct tycho__sandbox_options options = {.open = add_host_names};
    struct script script;
    (void)state;
    assert_int_equal(load_body(&script, &options,
                               "local names = {} for name in pairs(host) do names[#names + 1] = name "
                               "end return host.double(21), table.concat(names, ' '), "
                               "select(2, pcall(function() host.double = 1 end))"),
                     TYCHO__SANDBOX_OK);
    assert_int_equal(run(&script), TYCHO__SANDBOX_OK);
    assert_string_equal(script.result, "42, double, test:1: this table is read-only: 'double' "
                                       "cannot be set");
    assert_int_equal(load_body(&(struct script){0}, NULL, "return 1"), TYCHO__SANDBOX_OK);
    drop(&script);
}

static void has_random_numbers_only_from_a_seed(void **state) {
    struct script script;
    char first[4096];
    (void)state;
    assert_int_equal(load_body(&script, NULL,
                               "return math.random(), math.random(6), math.random(-3, 3), "
                               "math.random(math.mininteger, math.maxinteger), "
                               "pcall(math.random, 2, 1)"),
                     TYCHO__SANDBOX_OK);
    assert_int_equal(run(&script), TYCHO__SANDBOX_OK);
    memcpy(first, script.result, sizeof first);
    assert_int_equal(run(&script), TYCHO__SANDBOX_OK);
    assert_string_equal(script.result, first);
    struct tycho__sandbox_call call = {.function = script.run};
    assert_int_equal(tycho__sandbox_call(script.sandbox, &call), TYCHO__SANDBOX_FAILED);
    expect_message(&script, "there are no random numbers in this call");
    drop(&script);
    expect_result("for i = 1, 1000 do local a, b, c = math.random(), math.random(6), "
                  "math.random(0, 2) assert(a >= 0 and a < 1 and b >= 1 and b <= 6 and c >= 0 and "
                  "c <= 2) end return 'ok'", "ok");
}

/* ---------------------------------------------------------------- determinism */

static const char order_body[] =
    "local t = {} for i = 1, 50 do t['key' .. i * 7919 % 101] = i t[i * 3] = i t[i / 4] = i end "
    "t[true] = 1 t[false] = 0 t[-0.5] = 'n' t[math.huge] = 'h' "
    "local out = {} for k, v in pairs(t) do out[#out + 1] = tostring(k) .. '=' .. tostring(v) end "
    "out[#out + 1] = tostring({}) .. tostring(print_or_nil) .. tostring(0/0) .. tostring(-(0/0)) "
    "for i = 1, 5 do out[#out + 1] = math.random(1000) .. ' ' .. math.random() end "
    "table.sort(out, function(a, b) return #a < #b end) "
    "out[#out + 1] = select(2, pcall(error, setmetatable({}, {}))) and 'e' "
    "out[#out + 1] = string.format('%5.3f %g %s %s', 1/3, 1e100, {}, tostring) "
    "return table.concat(out, ',')";

/* Runs the script in a new process image, so that addresses and hash seeds differ. */
static void tell_order(void) {
    char body[2048];
    struct script script;
    snprintf(body, sizeof body, "local print_or_nil %s", order_body);
    if (load_body(&script, NULL, body) != TYCHO__SANDBOX_OK || run(&script) != TYCHO__SANDBOX_OK) {
        printf("failed: %s", script.error->message);
    } else {
        printf("%s %lld", script.result, (long long)tycho__sandbox_charged(script.sandbox));
    }
    drop(&script);
}

static void says_the_same_in_every_process(void **state) {
    char first[8192] = "", own[4096];
    (void)state;
    ssize_t size = readlink("/proc/self/exe", own, sizeof own - 1);
    assert_true(size > 0);
    own[size] = '\0';
    for (int i = 0; i < 20; i++) {
        char command[4200], text[8192];
        snprintf(command, sizeof command, "'%s' --tell-order", own);
        FILE *pipe = popen(command, "r");
        assert_non_null(pipe);
        size_t read = fread(text, 1, sizeof text - 1, pipe);
        text[read] = '\0';
        assert_int_equal(pclose(pipe), 0);
        assert_true(read > 500 && strncmp(text, "failed", 6) != 0);
        if (i == 0) memcpy(first, text, sizeof first);
        assert_string_equal(text, first);
    }
}

/* A process whose locale writes 1,5 (if the machine has one) runs scripts as any other. */
static void does_not_know_the_locale(void **state) {
    static const char *const names[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE", NULL};
    (void)state;
    for (const char *const *name = names; *name != NULL; name++) {
        if (setlocale(LC_ALL, *name) != NULL) break;
    }
    expect_result("return 1.5 .. '', tostring(2.5), string.format('%.1f', 0.5), tonumber('0.25'), "
                  "('\xc4'):lower() == '\xc4', ('\xe4'):find('%a'), 'Z' < 'a'",
                  "1.5, 2.5, 0.5, 0.25, true, nil, true");
    struct script script;
    assert_int_equal(load_body(&script, NULL, "return 1.5 .. ''"), TYCHO__SANDBOX_OK);
    assert_int_equal(run(&script), TYCHO__SANDBOX_OK);
    assert_string_equal(script.result, "1.5");
    drop(&script);
    setlocale(LC_ALL, "C");
}

/* ---------------------------------------------------------------- isolation */

static void shares_nothing_between_sandboxes(void **state) {
    struct script one, two;
    (void)state;
    assert_int_equal(load_module(&one, NULL,
                                 "local n = 0 return { run = function() n = n + 1 return n end }"),
                     TYCHO__SANDBOX_OK);
    assert_int_equal(load_module(&two, NULL,
                                 "local n = 0 return { run = function() n = n + 1 return n end }"),
                     TYCHO__SANDBOX_OK);
    for (int i = 0; i < 3; i++) assert_int_equal(run(&one), TYCHO__SANDBOX_OK);
    assert_int_equal(run(&two), TYCHO__SANDBOX_OK);
    assert_string_equal(one.result, "3");
    assert_string_equal(two.result, "1");
    drop(&one);
    drop(&two);
}

static void takes_null_where_nothing_was_made(void **state) {
    struct tycho__sandbox_options options = {.memory_max = 1000};
    (void)state;
    tycho__sandbox_destroy(NULL);
    assert_null(tycho__sandbox_create(&options));
    options.memory_max = 8000; /* the state, but not its environment */
    assert_null(tycho__sandbox_create(&options));
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_what_does_not_compile_with_its_line),
        cmocka_unit_test(takes_a_caret_that_is_no_operator),
        cmocka_unit_test(refuses_bytecode_and_too_long_sources),
        cmocka_unit_test(refuses_sources_with_too_many_jumps),
        cmocka_unit_test(refuses_a_script_that_returns_no_table),
        cmocka_unit_test(stops_a_load_that_does_not_end),
        cmocka_unit_test(tells_where_an_error_was_raised),
        cmocka_unit_test(tells_where_a_coroutine_failed),
        cmocka_unit_test(tells_error_values_that_are_no_texts),
        cmocka_unit_test(cuts_long_messages_between_characters),
        cmocka_unit_test(forgets_an_error_that_the_script_caught),
        cmocka_unit_test(counts_the_same_every_time),
        cmocka_unit_test(has_an_exact_budget),
        cmocka_unit_test(discards_what_had_a_fatal_error),
        cmocka_unit_test(takes_the_budget_of_a_call),
        cmocka_unit_test(keeps_within_its_memory),
        cmocka_unit_test(lets_garbage_go),
        cmocka_unit_test(survives_many_errors_with_the_same_memory),
        cmocka_unit_test(checks_results),
        cmocka_unit_test(finds_what_a_script_keeps),
        cmocka_unit_test(refuses_coroutines_that_are_kept),
        cmocka_unit_test(shows_an_object_field_by_field),
        cmocka_unit_test(refuses_wrong_uses_of_a_view),
        cmocka_unit_test(shows_nothing_of_a_call_that_is_over),
        cmocka_unit_test(has_what_the_host_adds),
        cmocka_unit_test(has_random_numbers_only_from_a_seed),
        cmocka_unit_test(says_the_same_in_every_process),
        cmocka_unit_test(does_not_know_the_locale),
        cmocka_unit_test(shares_nothing_between_sandboxes),
        cmocka_unit_test(takes_null_where_nothing_was_made),
    };
    if (argc == 2 && strcmp(argv[1], "--tell-order") == 0) {
        tell_order();
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
