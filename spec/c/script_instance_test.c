/* script_instance_test.c - read models run by hand: states that events are folded into, and
** histories.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "script_fixture.h"

static tycho_script *compile(const char *source) {
    tycho_script *script;
    ASSERT_STATUS(tycho_script_compile(text("test"), text(source), &script), TYCHO_OK);
    return script;
}

#define HAND_MODEL(init, handler)                                                                  \
    "return read_model { name = 'M', version = 1, types = { 'T' }, keys = function() end,\n"       \
    "  init = function(key) return " init " end, on = { T = function(state, event) " handler       \
    " end } }"

static int apply(tycho_script *script, const char *type, const char *data) {
    const tycho_event event = {
        .position = 7, .type = text(type), .id = text("e"), .data = packed(data)};
    return tycho_script_apply(script, NULL, &event);
}

static void assert_state(tycho_script *script, const char *expected) {
    tycho_bytes state;
    ASSERT_STATUS(tycho_script_get_state(script, &state), TYCHO_OK);
    assert_string_equal(unpacked(state), expected);
}

static void a_state_is_folded_by_hand(void **state) {
    (void)state;
    tycho_script *script =
        compile(HAND_MODEL("{ n = 0, key = key }", "state.n = state.n + event.data.n"));
    ASSERT_STATUS(apply(script, "T", "{ n = 1 }"), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_script_init(script, text("k")), TYCHO_OK);
    ASSERT_STATUS(apply(script, "T", "{ n = 2 }"), TYCHO_OK);
    ASSERT_STATUS(apply(script, "Other", "{ n = 100 }"), TYCHO_OK);
    assert_state(script, "{\"key\":\"k\",\"n\":2}");
    ASSERT_STATUS(tycho_script_set_state(script, text("k"), packed("{ n = 40 }")), TYCHO_OK);
    ASSERT_STATUS(apply(script, "T", "{ n = 2 }"), TYCHO_OK);
    assert_state(script, "{\"n\":42}");
    ASSERT_STATUS(tycho_script_init(script, text("bad\n")), TYCHO_MISUSE);
    tycho_script_close(script);
}

static void a_handler_may_return_the_new_state(void **state) {
    (void)state;
    tycho_script *script = compile(HAND_MODEL("0", "return state + 1"));
    ASSERT_STATUS(tycho_script_init(script, text("k")), TYCHO_OK);
    ASSERT_STATUS(apply(script, "T", "{}"), TYCHO_OK);
    ASSERT_STATUS(apply(script, "T", "{}"), TYCHO_OK);
    assert_state(script, "2");
    tycho_script_close(script);
    script = compile(HAND_MODEL("0", "return 1, 2"));
    ASSERT_STATUS(tycho_script_init(script, text("k")), TYCHO_OK);
    assert_refused(apply(script, "T", "{}"), "the handler returned 2 values");
    assert_string_equal(tycho_scripts_error()->key, "k");
    assert_int_equal(tycho_scripts_error()->position, 7);
    ASSERT_STATUS(apply(script, "T", "{}"), TYCHO_MISUSE);
    tycho_script_close(script);
}

static void a_state_is_data(void **state) {
    (void)state;
    static const struct {
        const char *init, *handler, *message;
    } cases[] = {
        {"nil", "", "init returned a nil"},
        {"{}", "return function() end", "the handler returned a function"},
        {"{}", "state.f = function() end", "function"},
        {"{}", "state.t = setmetatable({ 1 }, { __len = function() return 5 end })", "metatable"},
        {"setmetatable({}, { __len = function() return 5 end })", "", "metatable"},
        {"{}", "state.self = state", "it may contain itself"},
        {"{}", "state.n = 0/0", "NaN"},
        {"print", "", "there is no global 'print'"},
        {"type", "", "init returned a function"},
        {"'text'", "return coroutine.create(type)", "the handler returned a thread"},
        {"true", "state.x = 1", "attempt to index a boolean value"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char source[600];
        tycho_bytes out;
        snprintf(source, sizeof source, HAND_MODEL("%s", "%s"), cases[i].init, cases[i].handler);
        tycho_script *script = compile(source);
        int status = tycho_script_init(script, text("k"));
        if (status == TYCHO_OK) status = apply(script, "T", "{}");
        if (status == TYCHO_OK) status = tycho_script_get_state(script, &out);
        assert_refused(status, cases[i].message);
        assert_string_equal(tycho_scripts_error()->key, "k");
        tycho_script_close(script);
    }
}

static void what_is_no_instance_is_misuse(void **state) {
    (void)state;
    tycho_script *script = compile("return linker { name = 'l', version = 1, by = 'type' }");
    tycho_bytes out;
    ASSERT_STATUS(tycho_script_init(script, text("k")), TYCHO_MISUSE);
    assert_non_null(strstr(tycho_error(), "linker/l is no read model"));
    ASSERT_STATUS(tycho_script_set_state(script, text("k"), packed("{}")), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_script_get_state(script, &out), TYCHO_MISUSE);
    assert_int_equal(out.size, 0);
    tycho_script_close(script);
    script = compile("return read_model { name = 'M', version = 1, types = { 'T' },\n"
                     "keys = function() end, init = function() end,\n"
                     "on = { T = function() return nil end } }");
    assert_refused(tycho_script_init(script, text("k")), "init returned a nil");
    ASSERT_STATUS(tycho_script_set_state(script, text("k"), text("")), TYCHO_REJECTED);
    ASSERT_STATUS(tycho_script_set_state(script, text("k"), text("\xc1")), TYCHO_REJECTED);
    ASSERT_STATUS(tycho_script_set_state(script, text("k"), packed("5")), TYCHO_OK);
    ASSERT_STATUS(apply(script, "T", "{}"), TYCHO_OK);
    assert_state(script, "5");
    tycho_script_close(script);
}

static void an_empty_table_is_an_empty_map_wherever_it_came_from(void **state) {
    (void)state;
    tycho_script *script = compile(HAND_MODEL(
        "{ list = {} }",
        "if event.data.add then state.list[1] = event.data.add else state.list[1] = nil end"));
    tycho_bytes out;
    ASSERT_STATUS(tycho_script_init(script, text("k")), TYCHO_OK);
    ASSERT_STATUS(apply(script, "T", "{ add = 'x' }"), TYCHO_OK);
    ASSERT_STATUS(tycho_script_get_state(script, &out), TYCHO_OK);
    assert_string_equal(unpacked(out), "{\"list\":[\"x\"]}");
    const tycho_bytes kept = packed("{ list = { 'x' } }");
    ASSERT_STATUS(tycho_script_set_state(script, text("k"), kept), TYCHO_OK);
    ASSERT_STATUS(apply(script, "T", "{}"), TYCHO_OK);
    assert_state(script, "{\"list\":{}}");
    tycho_script_close(script);
}

/* The reads of a history, as "stream|types|tags;". */
static void assert_history(const char *history, const char *expected) {
    char source[900], found[400] = "";
    tycho_history_read read;
    int status;
    snprintf(source, sizeof source,
             "return read_model { name = 'M', version = 1, types = { 'A', 'B' },\n"
             "  keys = function() end, init = function() return {} end,\n"
             "  on = { _ = function() end }, history = function(key) %s end }",
             history);
    tycho_script *script = compile(source);
    for (size_t i = 0; (status = tycho_script_history(script, text("k"), i, &read)) == TYCHO_OK;
         i++) {
        size_t used = strlen(found);
        used += (size_t)snprintf(found + used, sizeof found - used, "%.*s|", (int)read.stream.size,
                                 (const char *)read.stream.data);
        for (size_t k = 0; k < read.type_count; k++) {
            used += (size_t)snprintf(found + used, sizeof found - used, "%.*s",
                                     (int)read.types[k].size, (const char *)read.types[k].data);
        }
        used += (size_t)snprintf(found + used, sizeof found - used, "|");
        for (size_t k = 0; k < read.tag_count; k++) {
            used += (size_t)snprintf(found + used, sizeof found - used, "%.*s",
                                     (int)read.tags[k].size, (const char *)read.tags[k].data);
        }
        snprintf(found + used, sizeof found - used, ";");
    }
    if (status == TYCHO_END) {
        assert_string_equal(found, expected);
    } else {
        assert_refused(status, expected);
        assert_string_equal(tycho_scripts_error()->key, "k");
    }
    tycho_script_close(script);
}

static void a_history_is_a_list_of_reads_and_functions(void **state) {
    (void)state;
    assert_history("return nil", "");
    assert_history("return {}", "");
    assert_history("return { stream = 's-' .. key }", "s-k|AB|;");
    assert_history("return { { types = 'A' }, { tags = { 'x', 'y' }, types = { 'B' } } }",
                   "|A|;|B|xy;");
    assert_history(
        "return { { stream = 'a' }, function(k, state)\n"
        "  return { { stream = 'b' .. k .. tostring(state) }, function() return nil end,\n"
        "    { stream = 'c' } } end, { stream = 'd' } }",
        "a|AB|;bknil|AB|;c|AB|;d|AB|;");
    assert_history("return 5", "history gave a number");
    assert_history("return { { stream = 'a', limit = 5 } }", "has a field 'limit'");
    assert_history("return { { stream = 'a', z = 1, limit = 5, w = 2, [7] = 1 } }",
                   "has a field '?'");
    assert_history("return { { z = 1, limit = 5, w = 2 } }", "has a field 'limit'");
    assert_history("return { [2] = { stream = 'a' } }", "other keys than 1, 2, 3");
    assert_history("return { { stream = 'a' }, x = { stream = 'b' } }", "other keys than 1, 2, 3");
    assert_history("return { { types = { [2] = 'A' } } }", "other keys than 1, 2, 3");
    assert_history("return { {} }", "needs a stream, types or tags");
    assert_history("return { { types = 'C' } }", "'C', which is not among 'types'");
    assert_history("return { { stream = { 'a', 'b' } } }", "has one stream");
    assert_history("local f; f = function() return f end return f", "without end");
    assert_history("error('no history')", "no history");
}

static void reads_of_a_history_come_one_after_the_other(void **state) {
    (void)state;
    tycho_script *script = compile("return read_model { name = 'M', version = 1, types = { 'T' },\n"
                                   "  keys = function() end, init = function() return 0 end,\n"
                                   "  on = { T = function() end },\n"
                                   "  history = function(key) return { { tags = key } } end }");
    tycho_history_read read;
    ASSERT_STATUS(tycho_script_history(script, text("k"), 3, &read), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_script_history(script, text("k"), 0, &read), TYCHO_OK);
    ASSERT_STATUS(tycho_script_history(script, text("k"), 0, &read), TYCHO_OK);
    ASSERT_STATUS(tycho_script_history(script, text("k"), 1, &read), TYCHO_END);
    ASSERT_STATUS(tycho_script_history(script, text("k"), 1, &read), TYCHO_MISUSE);
    tycho_script_close(script);
}

static void the_name_of_a_model_has_no_dollar(void **state) {
    tycho_script *script;
    (void)state;
    assert_refused(tycho_script_compile(text("test"),
                                        text("return read_model { name = 'A$b', version = 1,\n"
                                             "  types = { 'T' }, keys = function() end,\n"
                                             "  init = function() return 0 end,\n"
                                             "  on = { T = function() end } }"),
                                        &script),
                   "has no '$'");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_state_is_folded_by_hand),
        cmocka_unit_test(a_handler_may_return_the_new_state),
        cmocka_unit_test(a_state_is_data),
        cmocka_unit_test(what_is_no_instance_is_misuse),
        cmocka_unit_test(an_empty_table_is_an_empty_map_wherever_it_came_from),
        cmocka_unit_test(a_history_is_a_list_of_reads_and_functions),
        cmocka_unit_test(reads_of_a_history_come_one_after_the_other),
        cmocka_unit_test(the_name_of_a_model_has_no_dollar),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
