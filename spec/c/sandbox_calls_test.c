/* sandbox_calls_test.c - the contract of the sandbox (bindings/lua/sandbox/sandbox.h), further:
** what a script keeps between calls, views, what the host adds, and that the same script says the
** same in every process, whatever its locale.
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
    expect_state("local next = pairs({a = 1, b = 2}) return { run = function() next() end }",
                 TYCHO__SANDBOX_FAILED);
    expect_state("local t = {} return { run = function() setmetatable(t, {}) end }",
                 TYCHO__SANDBOX_FAILED);
    expect_state("local C = {} C.__index = C local D = setmetatable({}, C) D.__index = D "
                 "return { run = function() return setmetatable({}, D).x end }",
                 TYCHO__SANDBOX_OK);
    expect_state("local C = {} C.__index = C local t = setmetatable({}, C) "
                 "return { run = function() setmetatable(t, nil) end }", TYCHO__SANDBOX_FAILED);
    expect_state("local e = {} return { run = function() rawset(e, 1, 's') e[1] = nil end }",
                 TYCHO__SANDBOX_OK);
    expect_state("local LIMIT = 10 local names = {'a', 'b'} local function f(x) return x end "
                 "return { run = function() local n = 0 local function g() n = n + f(LIMIT) end "
                 "g() local t = {} for k, v in ipairs(names) do t[v] = k end return t end }",
                 TYCHO__SANDBOX_OK);
}

/* In which order Lua has the fields of a table is another one in each sandbox, and changes when the
** table grows. */
static void does_not_mind_the_order_of_fields(void **state) {
    (void)state;
    for (int i = 0; i < 50; i++) {
        expect_state("local t = {one = 1, two = 2, three = {}, four = 4, [1.5] = 5, [{}] = 6} "
                     "return { run = function() for i = 1, 50 do t['k' .. i] = i end "
                     "for i = 1, 50 do t['k' .. i] = nil end end }", TYCHO__SANDBOX_OK);
        expect_state("local t = {one = 1, two = 2, three = {}, four = 4} "
                     "return { run = function() t.one, t.two = t.two, t.one end }",
                     TYCHO__SANDBOX_FAILED);
    }
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
        if (thing->text == NULL) luaL_error(L, "this thing has no text");
        lua_pushstring(L, thing->text);
    } else {
        lua_newtable(L);
        lua_pushinteger(L, thing->number);
        lua_setfield(L, -2, "number");
    }
}

static const char *const field_names[] = {"number", "text", "data", NULL};
static const struct tycho__sandbox_view_type thing_type = {"thing", field_names, get_field};

static struct thing *shown;

static int push_thing(lua_State *L, void *context) {
    (void)context;
    tycho__sandbox_push_view(L, &thing_type, shown);
    return 1;
}

static enum tycho__sandbox_kind run_with(struct script *script, struct thing *thing) {
    struct tycho__sandbox_call call = {.function = script->run, .push = push_thing,
                                       .read = read_results, .context = script};
    shown = thing;
    return tycho__sandbox_call(script->sandbox, &call);
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
    assert_int_equal(one.gets, 3); /* data was made once, though it was read three times */
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

/* What the host pushes costs no instructions, but a text of 1 MB makes each 123 times as dear. */
static void does_not_charge_for_what_the_host_pushes(void **state) {
    enum { SIZE = 1000000 };
    char *text = malloc(SIZE + 1);
    struct thing thing = {.text = text};
    struct script script;
    (void)state;
    assert_non_null(text);
    memset(text, 'x', SIZE);
    text[SIZE] = '\0';
    assert_int_equal(load_body(&script, NULL,
                               "local t = ... for i = 1, 10 do local s = t.text end "
                               "for i = 1, (tonumber(t.number) or 0) do end return #t.text"),
                     TYCHO__SANDBOX_OK);
    assert_int_equal(run_with(&script, &thing), TYCHO__SANDBOX_OK);
    assert_string_equal(script.result, "1000000");
    assert_int_equal(thing.gets, 2); /* the text once, and the number */
    assert_int_equal(tycho__sandbox_charged(script.sandbox), 0);
    thing.number = 4000;
    assert_int_equal(run_with(&script, &thing), TYCHO__SANDBOX_OK);
    assert_int_equal(tycho__sandbox_charged(script.sandbox), 4 * 1000 * (1 + SIZE / 8192));
    thing.number = 10000;
    assert_int_equal(run_with(&script, &thing), TYCHO__SANDBOX_OVER_BUDGET);
    drop(&script);
    free(text);
}

static void charges_again_after_an_error_of_the_host(void **state) {
    struct thing thing = {.text = NULL};
    struct script script;
    (void)state;
    assert_int_equal(load_body(&script, NULL,
                               "local t = ... local ok, message = pcall(function() "
                               "return t.text end) local s = ('x'):rep(64000) return message"),
                     TYCHO__SANDBOX_OK);
    assert_int_equal(run_with(&script, &thing), TYCHO__SANDBOX_OK);
    assert_string_equal(script.result, "test:1: this thing has no text");
    assert_true(tycho__sandbox_charged(script.sandbox) >= 2 * 64000 / 16); /* made and copied */
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
                               "local names = {} for name in pairs(host) do "
                               "names[#names + 1] = name end "
                               "return host.double(21), table.concat(names, ' '), "
                               "select(2, pcall(function() host.double = 1 end))"),
                     TYCHO__SANDBOX_OK);
    assert_int_equal(run(&script), TYCHO__SANDBOX_OK);
    assert_string_equal(script.result, "42, double, test:1: this table is read-only: 'double' "
                                       "cannot be set");
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

/* ---------------------------------------------------------------- limits that a host gives */

static void every_limit_may_be_given(void **state) {
    static const struct {
        struct tycho__sandbox_options options;
        const char *body, *message;
    } cases[] = {
        {{.string_max = 100}, "return ('x'):rep(101)", "a string may have 100"},
        {{.allocation_max = 5000}, "local t = {} for i = 1, 1000 do t[i] = i end", ""},
        {{.memory_max = 100000}, "local t = {} for i = 1, 100000 do t[i] = i end", ""},
        {{.budget = 1000}, "while true do end", ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct script script;
        assert_int_equal(load_body(&script, &cases[i].options, "return 1"), TYCHO__SANDBOX_OK);
        assert_int_equal(run(&script), TYCHO__SANDBOX_OK);
        drop(&script);
        assert_int_equal(load_body(&script, &cases[i].options, cases[i].body), TYCHO__SANDBOX_OK);
        assert_int_not_equal(run(&script), TYCHO__SANDBOX_OK);
        expect_message(&script, cases[i].message);
        drop(&script);
    }
}

/* ---------------------------------------------------------------- ends that come early */

static void a_source_may_end_anywhere(void **state) {
    static const char *const sources[] = {
        "--[", "--[=", "--[==", "--[[", "--[[ ]", "--[=[ ]=", "--[=[ ]]", "[[", "[=[ ]==]",
        "[==[a]=]",
        "x = 'a", "x = 'a\\", "x = \"", "x = 'a\\'", "end end", "until x", "x = [", "x = [=",
        "x = [=x"};
    (void)state;
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++) {
        struct script script;
        enum tycho__sandbox_kind kind = load_module(&script, NULL, sources[i]);
        if (kind == TYCHO__SANDBOX_OK) fail_msg("%s is compiled", sources[i]);
        assert_true(strlen(script.error->message) > 0);
        drop(&script);
    }
    for (int blocks = 100; blocks < 400; blocks += 50) {
        char source[400 * 3 + 1] = "";
        for (int i = 0; i < blocks; i++) memcpy(source + 3 * (size_t)i, "do ", 4);
        struct script script;
        assert_int_not_equal(load_module(&script, NULL, source), TYCHO__SANDBOX_OK);
        drop(&script);
    }
    struct script script;
    assert_int_equal(load_module(&script, NULL, "-- a\r-- b\rreturn { run = function() end } --"),
                     TYCHO__SANDBOX_OK);
    drop(&script);
}

/* Whatever item of a pattern meets the end of the budget or of its frames, the match is refused. */
static void a_match_may_end_anywhere(void **state) {
    static const char *const items[] = {"(a)", "()",     "a*b",  "a-b",
                                        "a?b", "%f[%z]", "%bxy", "(a)%1"};
    (void)state;
    for (size_t i = 0; i < sizeof items / sizeof *items; i++) {
        for (int before = 190; before < 203; before++) {
            char body[200];
            snprintf(body, sizeof body,
                     "local ok, m = pcall(string.find, ('a'):rep(400), ('a?'):rep(%d) .. '%s')"
                     " return ok or m:find('too complex', 1, true) ~= nil",
                     before, items[i]);
            struct script script;
            assert_int_equal(load_body(&script, NULL, body), TYCHO__SANDBOX_OK);
            enum tycho__sandbox_kind kind = run(&script);
            if (kind == TYCHO__SANDBOX_OK) assert_string_equal(script.result, "true");
            if (kind != TYCHO__SANDBOX_OK) assert_int_equal(kind, TYCHO__SANDBOX_OVER_BUDGET);
            drop(&script);
        }
        for (int64_t budget = 10; budget < 600; budget += 7) {
            const struct tycho__sandbox_options options = {.budget = budget};
            char body[200];
            struct script script;
            snprintf(body, sizeof body, "return ('aaaaxaay'):rep(9):find('%s%s')", items[i], "z");
            enum tycho__sandbox_kind kind = load_body(&script, &options, body);
            if (kind == TYCHO__SANDBOX_OK) kind = run(&script);
            assert_true(kind == TYCHO__SANDBOX_OK || kind == TYCHO__SANDBOX_OVER_BUDGET);
            drop(&script);
        }
    }
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_a_script_keeps),
        cmocka_unit_test(does_not_mind_the_order_of_fields),
        cmocka_unit_test(refuses_coroutines_that_are_kept),
        cmocka_unit_test(shows_an_object_field_by_field),
        cmocka_unit_test(refuses_wrong_uses_of_a_view),
        cmocka_unit_test(shows_nothing_of_a_call_that_is_over),
        cmocka_unit_test(does_not_charge_for_what_the_host_pushes),
        cmocka_unit_test(charges_again_after_an_error_of_the_host),
        cmocka_unit_test(has_what_the_host_adds),
        cmocka_unit_test(has_random_numbers_only_from_a_seed),
        cmocka_unit_test(says_the_same_in_every_process),
        cmocka_unit_test(does_not_know_the_locale),
        cmocka_unit_test(shares_nothing_between_sandboxes),
        cmocka_unit_test(takes_null_where_nothing_was_made),
        cmocka_unit_test(every_limit_may_be_given),
        cmocka_unit_test(a_source_may_end_anywhere),
        cmocka_unit_test(a_match_may_end_anywhere),
    };
    if (argc == 2 && strcmp(argv[1], "--tell-order") == 0) {
        tell_order();
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
