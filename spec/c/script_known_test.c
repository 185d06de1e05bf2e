/* script_known_test.c - names that a function gave before and is not called for again
** (bindings/lua/host/known.c): they are those that it would give.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "store_values.h"

#include "script.h"
#include "script_values.h"

/* Two runners of a linker: one that knows what it gave, one that forgets it. */
struct linker {
    struct tycho__definition *definition;
    struct tycho__runner *known, *called;
};

static struct linker open_linker(const char *body) {
    char source[1000];
    struct linker linker;
    snprintf(source, sizeof source,
             "return linker { name = 'l', version = 1, streams = '*', "
             "to = function(event) %s end }", body);
    ASSERT_STATUS(tycho__definition_compile(text("l.lua"), text(source), &linker.definition),
                  TYCHO_OK);
    ASSERT_STATUS(tycho__runner_borrow(linker.definition, &linker.known), TYCHO_OK);
    ASSERT_STATUS(tycho__runner_borrow(linker.definition, &linker.called), TYCHO_OK);
    return linker;
}

static void close_linker(struct linker *linker) {
    tycho__runner_drop(linker->known);
    tycho__runner_drop(linker->called);
    tycho__definition_release(linker->definition);
}

static void forget(struct tycho__runner *runner) {
    tycho__known_free(&runner->known);
    memset(&runner->known, 0, sizeof runner->known);
}

/* The names that a runner gives, or what it says instead. */
static void run(struct tycho__runner *runner, const tycho_event *event, char said[1000]) {
    const struct tycho__shown shown = {
        .event = event, .data = event->data, .is_for_names = true, .stream = text("s")};
    int status = tycho__run_names(runner, &shown);
    size_t used = (size_t)snprintf(said, 1000, "%d:", status);
    if (status != TYCHO_OK) {
        snprintf(said + used, 1000 - used, " %s", tycho_scripts_error()->message);
        return;
    }
    for (size_t i = 0; i < runner->names.count; i++) {
        const tycho_bytes *name = &tycho__names_list(&runner->names)[i];
        used += (size_t)snprintf(said + used, 1000 - used, " %.*s", (int)name->size,
                                 (const char *)name->data);
    }
}

static bool is_known(const struct linker *linker, const tycho_event *event) {
    const struct tycho__shown shown = {
        .event = event, .data = event->data, .is_for_names = true, .stream = text("s")};
    return tycho__known_find(linker->known, &shown);
}

static void expect_same(struct linker *linker, const tycho_event *event, const char *what) {
    char known[1000], called[1000];
    run(linker->known, event, known);
    forget(linker->called);
    run(linker->called, event, called);
    if (strcmp(known, called) != 0) {
        fail_msg("%s: it knows \"%s\", and gives \"%s\"", what, known, called);
    }
}

static tycho_event event_of(const char *type, tycho_bytes data) {
    return (tycho_event){.type = text(type), .data = data, .id = text("an-id")};
}

static int open_lua(void **state) {
    (void)state;
    open_values();
    return 0;
}

static int close_lua(void **state) {
    (void)state;
    close_values();
    return 0;
}

/* ---------------------------------------------------------------- the same names */

static const struct {
    const char *body;
    bool is_known; /* for { a = 1, b = 'x' } of type T, the second time */
} bodies[] = {
    {"return 'all', { 'too' }, nil", true},
    {"return", true},
    {"return 'a', 'b', 'c', 'd', 'e'", false},
    {"return ('x'):rep(120)", false},
    {"return 'type-' .. event.type", true},
    {"return 'a-' .. event.data.a", true},
    {"return 'a-' .. event.data.a .. '-' .. event.data.a", true},
    {"return 'a-' .. event.data.a .. event.type", true},
    {"if event.type == 'T' then return 'a-' .. event.data.a end return event.type", true},
    {"if event.type == 'T' then return event.type end return 'a-' .. event.data.a", true},
    {"if event.type == 'U' then return 'a' .. event.data.a end return 'b' .. event.data.b", true},
    {"return event.data.a .. event.data.b", false},
    {"if event.data.a == 1 then return 'one' end return 'b' .. event.data.b", true},
    {"return 'x' .. tostring(event.data.absent)", false},
    {"return event.data and 'yes' or 'no'", false},
    {"return type(event.data)", false},
    {"return type(event.data.a), type(event.data)", true},
    {"return 'x' .. #event.data", false},
    {"local t = {} for k, v in pairs(event.data) do t[#t + 1] = k end return t", false},
    {"return event.data.a .. event.stream", false},
    {"return event.id, event.data.a .. ''", false},
    {"local d = event.data return d.a .. '', rawlen(d) .. ''", false},
    {"local ok = pcall(function() return event.data.a.b.c end) return 'a' .. tostring(ok)", true},
    {"return 'l' .. tostring(event.data.l)", false},
    {"return event.data", false},
    {"local d = event.data d.a = 5 return 'a' .. d.a", false},
    {"local t = setmetatable({}, { __index = event.data }) return 'a' .. t.a", false},
    {"local c = coroutine.wrap(function() return event.data.a end) return 'a' .. c()", true},
};

/* Every event of a type and data, in an order that goes through all pairs of neighbours. */
static void what_is_known_is_what_is_given(void **state) {
    (void)state;
    static const char *const types[] = {"T", "U", ""};
    static const char *const values[] = {"{ a = 1, b = 'x' }",
                                         "{ a = 1, b = 'y' }",
                                         "{ a = 1.5, b = 'x' }",
                                         "{ a = '1', b = 'x' }",
                                         "{ a = 2 }",
                                         "{ b = 'x' }",
                                         "{}",
                                         "{ 'a', 'b' }",
                                         "'a'",
                                         "{ a = { 1 }, b = 'x' }",
                                         "{ a = 'n\\n' }",
                                         "{ a = true, b = null }",
                                         "{ a = ('z'):rep(105) }",
                                         "{ a = ('z'):rep(300) }",
                                         "{ a = 1, l = ('z'):rep(5000) }",
                                         "{ a = 1, l = { { 1 } } }",
                                         "{ l = { b = 1 }, a = 1 }"};
    enum { TYPES = sizeof types / sizeof *types, VALUES = sizeof values / sizeof *values + 3 };
    tycho_event events[TYPES * VALUES];
    for (size_t i = 0; i < TYPES * VALUES; i++) {
        size_t k = i / TYPES;
        tycho_bytes data = k < VALUES - 3 ? packed(values[k]) : packed("{ a = 1, b = 'x' }");
        if (k == VALUES - 3) data.size = 0;
        if (k == VALUES - 2) data.size--; /* cut short */
        events[i] = event_of(types[i % TYPES], data);
        if (k == VALUES - 1) events[i].content_type = text("text/plain");
    }
    for (size_t b = 0; b < sizeof bodies / sizeof *bodies; b++) {
        struct linker linker = open_linker(bodies[b].body);
        for (size_t i = 0; i < TYPES * VALUES; i++) {
            for (size_t k = i % 7; k < TYPES * VALUES; k += 7) {
                expect_same(&linker, &events[i], bodies[b].body);
                expect_same(&linker, &events[k], bodies[b].body);
            }
        }
        expect_same(&linker, &events[0], bodies[b].body);
        if (is_known(&linker, &events[0]) != bodies[b].is_known) {
            fail_msg("%s: %s", bodies[b].body, bodies[b].is_known ? "is called" : "is known");
        }
        close_linker(&linker);
    }
}

/* ---------------------------------------------------------------- limits */

static tycho_event event_with(int customer) {
    char value[40];
    snprintf(value, sizeof value, "{ customer = 'n%d' }", customer);
    return event_of("T", packed(value));
}

static void expect_customer(struct linker *linker, int customer) {
    char expected[40], said[1000];
    const tycho_event event = event_with(customer);
    snprintf(expected, sizeof expected, "0: c-n%d", customer);
    run(linker->known, &event, said);
    assert_string_equal(said, expected);
}

static void the_latest_of_many_are_known(void **state) {
    (void)state;
    enum { EVENTS = 10000, LATEST = 200 };
    struct linker linker = open_linker("return 'c-' .. event.data.customer");
    size_t known = 0;
    for (int i = 0; i < EVENTS; i++) {
        expect_customer(&linker, i);
        expect_customer(&linker, i);
    }
    for (int i = EVENTS - LATEST; i < EVENTS; i++) {
        const tycho_event event = event_with(i);
        if (is_known(&linker, &event)) known++;
    }
    assert_in_range(known, LATEST * 9 / 10, LATEST);
    close_linker(&linker);
}

/* And nothing that is given meanwhile is kept under the key of an event before. */
static void looking_is_given_up_for_some_time(void **state) {
    (void)state;
    enum { GIVEN_UP = 5000, AT_MOST = 200000, AROUND = 300 };
    struct linker linker = open_linker("return 'c-' .. event.data.customer");
    int looked = 0, found = 0, last = 0;
    expect_customer(&linker, 0);
    expect_customer(&linker, 0); /* so that the last call without looking is one that is made */
    for (int i = 0; i < AT_MOST && found < 100; i++) {
        int customer = i < GIVEN_UP ? i : i % 10;
        const tycho_event event = event_with(customer);
        found += is_known(&linker, &event);
        if (linker.known->known.rest == 0) looked++;
        if (linker.known->known.rest == 0 && i < GIVEN_UP) last = i;
        expect_customer(&linker, customer);
    }
    assert_int_equal(found, 100);
    assert_in_range(last, AROUND, GIVEN_UP - AROUND);
    assert_in_range(looked, last, GIVEN_UP);
    for (int i = last + AROUND; i > last - AROUND; i--) expect_customer(&linker, i);
    close_linker(&linker);
}

/* What a call is charged for data depends on its size, so it may fail where another one did not. */
static void a_dear_call_is_made_again(void **state) {
    (void)state;
    struct linker linker =
        open_linker("local n = event.data.n for i = 1, n do end return 'n' .. event.data.n");
    const tycho_event cheap = event_of("T", packed("{ n = 1000 }"));
    const tycho_event dear = event_of("T", packed("{ n = 300000 }"));
    const tycho_event over = event_of("T", packed("{ n = 3000000 }"));
    expect_same(&linker, &cheap, "cheap");
    expect_same(&linker, &dear, "dear");
    assert_true(is_known(&linker, &cheap));
    assert_false(is_known(&linker, &dear));
    expect_same(&linker, &over, "over");
    close_linker(&linker);
}

static void an_error_is_never_known(void **state) {
    (void)state;
    struct linker linker = open_linker("if event.data.bad then error('bad') end return 'good'");
    const tycho_event good = event_of("T", packed("{ bad = false }"));
    const tycho_event bad = event_of("T", packed("{ bad = true }"));
    for (int round = 0; round < 3; round++) {
        expect_same(&linker, &good, "good");
        expect_same(&linker, &bad, "bad");
    }
    assert_true(is_known(&linker, &good));
    assert_false(is_known(&linker, &bad));
    close_linker(&linker);
}

static void a_function_that_keeps_something_is_still_refused(void **state) {
    (void)state;
    struct tycho__definition *definition;
    struct tycho__runner *runner;
    const char *source = "local n = 0\nreturn linker { name = 'l', version = 1, "
                         "streams = 'n*',\n"
                         "to = function(event) n = n + 1 return 'n' .. event.data.a end }";
    const tycho_event event = event_of("T", packed("{ a = 1 }"));
    const struct tycho__shown shown = {
        .event = &event, .data = event.data, .is_for_names = true, .stream = text("s")};
    ASSERT_STATUS(tycho__definition_compile(text("l.lua"), text(source), &definition), TYCHO_OK);
    ASSERT_STATUS(tycho__runner_borrow(definition, &runner), TYCHO_OK);
    ASSERT_STATUS(tycho__run_names(runner, &shown), TYCHO_OK);
    ASSERT_STATUS(tycho__run_names(runner, &shown), TYCHO_OK);
    assert_refused(tycho__runner_return(runner), "keeps something between two calls");
    tycho__definition_release(definition);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_lua, close_lua)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(what_is_known_is_what_is_given),
        TEST(the_latest_of_many_are_known),
        TEST(looking_is_given_up_for_some_time),
        TEST(a_dear_call_is_made_again),
        TEST(an_error_is_never_known),
        TEST(a_function_that_keeps_something_is_still_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
