/* sandbox_test.c - the contract of the sandbox (bindings/lua/sandbox/sandbox.h): loading, errors,
** limits and results. Calls, and what is kept between them: sandbox_calls_test.c. The scripts that
** try to break out: sandbox_hostile_test.c.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sandbox_script.h"

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

/* To Lua a carriage return ends a line, and a comment with it. */
static void sees_what_is_behind_a_comment_that_a_carriage_return_ends(void **state) {
    struct script script;
    (void)state;
    assert_int_equal(load_module(&script, NULL, "--\rreturn { run = 2 ^ 0.5 }"),
                     TYCHO__SANDBOX_REFUSED);
    expect_message(&script, "no operator '^'");
    drop(&script);
    expect_result("-- ^\r return 1", "1");
}

static void refuses_bytecode_and_too_long_sources(void **state) {
    struct script script;
    (void)state;
    assert_int_equal(load_module(&script, NULL, "\x1bLua\x54"), TYCHO__SANDBOX_REFUSED);
    expect_message(&script, "test:1: this is bytecode");
    assert_int_equal(script.error->line, 1);
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
        {"local a return ", "a or ", "a"},
        {"local a return ", "a and ", "a"},
        {"local a if a then ", "elseif a then ", "end"},
        {"while true do ", "if a then break end ", "end"},
        {"do ", "goto a ", "end ::a::"},
        {"", "::a:: a() ", ""},
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
                  "return orange + android + breakfast",
                  "6");
}

/* The compiler looks for each name in all functions around it. */
static void refuses_sources_with_too_many_names_in_deep_functions(void **state) {
    enum { DEPTH = 100, ROOM = 250000 };
    struct script script;
    char *source = malloc(ROOM + 1000), *end = source;
    (void)state;
    assert_non_null(source);
    for (int i = 0; i < DEPTH; i++) {
        end += sprintf(end, "local a");
        for (int j = 1; j < 199; j++) end += sprintf(end, ",a");
        end += sprintf(end, " local function f() if a then end\n");
    }
    while (end < source + ROOM) end += sprintf(end, "b=b ");
    for (int i = 0; i < DEPTH; i++) end += sprintf(end, "end ");
    assert_int_equal(load_module(&script, NULL, source), TYCHO__SANDBOX_REFUSED);
    expect_message(&script, "too many names in functions within functions");
    assert_in_range(script.error->line, 2, DEPTH + 1);
    drop(&script);
    end = source + sprintf(source, "local M = {}\n");
    for (int i = 0; end < source + ROOM; i++) {
        end += sprintf(end,
                       "function M.f%d(a, b) for i = a, b do if i > 0 then repeat a = b until "
                       "a end end return function() return a, b, M end end\n",
                       i);
    }
    sprintf(end, "M.run = M.f1 return M");
    assert_int_equal(load_module(&script, NULL, source), TYCHO__SANDBOX_OK);
    drop(&script);
    free(source);
}

/* 782ef85b: the table was not loaded when the comparison was true. */
static void refuses_comparisons_as_indices_that_lua_compiles_wrongly(void **state) {
    static const char *const wrong[] = {"up[a < b]", "up[a == 1]", "up[not (a < b)]",
                                        "up[(a ~= b)]", "up[1 < 2]"};
    struct script script;
    char source[300];
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        snprintf(source, sizeof source,
                 "local up = {}\nreturn {\nrun = function()\n"
                 "return function(a, b) return %s end end }",
                 wrong[i]);
        assert_int_equal(load_module(&script, NULL, source), TYCHO__SANDBOX_REFUSED);
        assert_int_equal(script.error->line, 4);
        expect_message(&script, "put it into a local first");
        drop(&script);
    }
    expect_result("local up = {[true] = 'yes', [false] = 'no'} local function f(a, b) "
                  "local l, is = up, a < b return l[a < b], up[is], up[a < b and true or false], "
                  "a < b == true, (a < b and up) == up end return f(1, 2)",
                  "yes, yes, yes, true, true");
}

/* c764ca71: the constant was not loaded when the other side jumped. */
static void refuses_bitwise_operators_among_too_many_constants(void **state) {
    struct script script;
    char source[8000], *end = source;
    (void)state;
    for (int many = 0; many < 2; many++) {
        end = source + sprintf(source, "return { run = function() local t = {");
        for (int i = 0; i < 253 + many * 10; i++) end += sprintf(end, "%d.5,", i);
        sprintf(end, "} return 4 & (3.0 or 3) end }");
        assert_int_equal(load_module(&script, NULL, source),
                         many ? TYCHO__SANDBOX_REFUSED : TYCHO__SANDBOX_OK);
        if (many) expect_message(&script, "more than 255 constants");
        if (!many) assert_int_equal(run(&script), TYCHO__SANDBOX_OK);
        if (!many) assert_string_equal(script.result, "0");
        drop(&script);
    }
}

/* 7923dbbf: telling what is nil there took a call of C for each field. */
static void refuses_rows_of_fields_that_overflow_the_stack(void **state) {
    static const char *const parts[][3] = {{"t", ".x", ".none.x"},    {"t", ".x", "()"},
                                           {"t", "['x']", ":none()"}, {"t", "[k]", ".none()"},
                                           {"t", ".x", " .. nil"},    {"(t and t)", ".x", " < 1"}};
    struct script script;
    char *source = malloc(250000);
    (void)state;
    assert_non_null(source);
    for (size_t i = 0; i < 2 * sizeof parts / sizeof *parts; i++) {
        int many = i % 2 == 0 ? 40000 : 980;
        char *end = source + sprintf(source,
                                     "local t, k = {}, 'x' t.x = t\nreturn { run = function() "
                                     "return %s",
                                     parts[i / 2][0]);
        for (int j = 0; j < many; j++) end += sprintf(end, "%s", parts[i / 2][1]);
        sprintf(end, "%s end }", parts[i / 2][2]);
        enum tycho__sandbox_kind kind = load_module(&script, NULL, source);
        assert_int_equal(kind, many > 1000 ? TYCHO__SANDBOX_REFUSED : TYCHO__SANDBOX_OK);
        if (many > 1000) expect_message(&script, "more than 1000 fields or indices in a row");
        if (many < 1000) assert_int_equal(run(&script), TYCHO__SANDBOX_FAILED);
        drop(&script);
    }
    char *end = source + sprintf(source, "return { run = function(n) local t = {}\n");
    for (int j = 0; j < 900; j++) {
        end += sprintf(end, "t.a = {b = {c = %d}} n = t.a.b.c + n if n then t = t.a end\n", j);
    }
    sprintf(end, "end }");
    assert_int_equal(load_module(&script, NULL, source), TYCHO__SANDBOX_OK);
    drop(&script);
    free(source);
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
    assert_int_equal(load_module(&script, NULL, "while true do end"), TYCHO__SANDBOX_OVER_BUDGET);
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
    assert_string_equal(script.error->message, "test:2: attempt to index a nil value (field 'y')");
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
    assert_int_equal(
        load_body(&script, NULL, "pcall(coroutine.wrap(function() error('one') end)) error('two')"),
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
            enum tycho__sandbox_kind kind = load_body(&script, &options, body);
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
        enum tycho__sandbox_kind kind = run(&script);
        assert_true(kind == TYCHO__SANDBOX_OVER_MEMORY || kind == TYCHO__SANDBOX_OVER_BUDGET);
        assert_true(script.error->line == 1);
        assert_true(tycho__sandbox_memory(script.sandbox) <= 2 << 20);
        drop(&script);
    }
}

/* When nearly all that a script may have is in use, Lua collects again and again. */
static void stops_a_script_that_only_collects(void **state) {
    struct tycho__sandbox_options options = {.memory_max = 2 << 20};
    struct script script;
    (void)state;
    assert_int_equal(load_body(&script, &options,
                               "local t = {} for i = 1, 19 do t[i] = ('x'):rep(100000) .. i end "
                               "for i = 1, 10000 do local s = ('y'):rep(2000) .. i end"),
                     TYCHO__SANDBOX_OK);
    assert_int_equal(run(&script), TYCHO__SANDBOX_OVER_MEMORY);
    expect_message(&script, "too much memory: over 2097152 bytes in all");
    drop(&script);
    assert_int_equal(load_body(&script, NULL, "local s = 'x' while true do s = s .. s end"),
                     TYCHO__SANDBOX_OK);
    assert_int_equal(run(&script), TYCHO__SANDBOX_OVER_MEMORY);
    expect_message(&script, "bytes in one string, and at most 1048576 are allowed");
    drop(&script);
}

/* Asking for who runs does not begin its slice anew. */
static void counts_on_when_who_runs_is_resumed(void **state) {
    struct script script;
    (void)state;
    assert_int_equal(load_body(&script, NULL,
                               "local main, resume = coroutine.running(), coroutine.resume "
                               "for j = 1, 100 do for i = 1, 800 do end resume(main) end"),
                     TYCHO__SANDBOX_OK);
    assert_int_equal(run(&script), TYCHO__SANDBOX_OK);
    int64_t charged = tycho__sandbox_charged(script.sandbox);
    assert_true(charged >= 100 * (800 + TYCHO__SANDBOX_RESUME) - TYCHO__SANDBOX_SLICE);
    assert_true(charged < 100 * (850 + TYCHO__SANDBOX_RESUME));
    drop(&script);
}

/* In place of those that take too long, of which none is known: more than a call may have. */
static void stops_instructions_that_take_too_long(void **state) {
    struct tycho__sandbox_options options = {.time_max_ms = 50, .budget = INT64_C(1) << 50};
    struct script script;
    (void)state;
    assert_int_equal(load_body(&script, &options, "while true do local x = 7 end"),
                     TYCHO__SANDBOX_OK);
    assert_int_equal(run(&script), TYCHO__SANDBOX_OVER_TIME);
    assert_int_equal(script.error->line, 1);
    expect_message(&script, "the script takes too long for its instructions");
    assert_int_equal(run(&script), TYCHO__SANDBOX_DISCARDED);
    drop(&script);
    options.time_max_ms = 0;
    options.budget = 3000000;
    assert_int_equal(load_body(&script, &options,
                               "local function f() for i = 1, 1000 do end end "
                               "for i = 1, 300 do pcall(coroutine.wrap(f)) end"),
                     TYCHO__SANDBOX_OK);
    assert_int_equal(run(&script), TYCHO__SANDBOX_OK);
    drop(&script);
}

/* What garbage there is, is collected in time: the memory limit is for what is held. */
/* To name what is nil, Lua looks through the function: not for 50,000 errors. */
static void charges_errors_that_are_caught(void **state) {
    struct script script;
    char *source = malloc(300000), *end = source;
    (void)state;
    assert_non_null(source);
    end += sprintf(end, "local t = {} local function f(x) if x then goto skip end do local a ");
    for (int i = 0; i < 60000; i++) end += sprintf(end, "a=1 ");
    sprintf(end, "end ::skip:: return x.none.y end return { run = function(n)\n"
                 "for i = 1, 1000 do pcall(f, t) end for i = 1, 1e9 do\n"
                 "coroutine.resume(coroutine.create(f), t) end end }");
    assert_int_equal(load_module(&script, NULL, source), TYCHO__SANDBOX_OK);
    assert_int_equal(run(&script), TYCHO__SANDBOX_OVER_BUDGET);
    assert_int_equal(script.error->line, 3);
    drop(&script);
    free(source);
    expect_error("for i = 1, 2100 do pcall(error) end", TYCHO__SANDBOX_OVER_BUDGET, "1000000");
}

static void lets_garbage_go(void **state) {
    struct tycho__sandbox_options options = {
        .budget = 50000000, .memory_max = 1 << 20, .churn_max = 1 << 30};
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_what_does_not_compile_with_its_line),
        cmocka_unit_test(takes_a_caret_that_is_no_operator),
        cmocka_unit_test(sees_what_is_behind_a_comment_that_a_carriage_return_ends),
        cmocka_unit_test(refuses_bytecode_and_too_long_sources),
        cmocka_unit_test(refuses_sources_with_too_many_jumps),
        cmocka_unit_test(refuses_sources_with_too_many_names_in_deep_functions),
        cmocka_unit_test(refuses_comparisons_as_indices_that_lua_compiles_wrongly),
        cmocka_unit_test(refuses_bitwise_operators_among_too_many_constants),
        cmocka_unit_test(refuses_rows_of_fields_that_overflow_the_stack),
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
        cmocka_unit_test(stops_a_script_that_only_collects),
        cmocka_unit_test(counts_on_when_who_runs_is_resumed),
        cmocka_unit_test(stops_instructions_that_take_too_long),
        cmocka_unit_test(charges_errors_that_are_caught),
        cmocka_unit_test(lets_garbage_go),
        cmocka_unit_test(survives_many_errors_with_the_same_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
