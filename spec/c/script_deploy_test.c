/* script_deploy_test.c - sources that are compiled or refused, plans, deployments, and scripts that
** a host runs by hand.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "script_fixture.h"

/* ---------------------------------------------------------------- definitions */

static const struct {
    const char *source, *message;
    int line;
} wrong_sources[] = {
    {"return 5", "the script returns a number, not a table", 1},
    {"local function f()\n return 5\n end\n\n return f()", "the script returns a number", 2},
    {"local x = 5\n -- no more\n", "the script returns a nil, not a table", 1},
    {"local a = linker{name='a', version=1, by='type'}\n local b = ('x'):rep(3)\n"
     "return a, linker{name='b', version=1, by='type'}",
     "the script returns 2 values: it is one definition", 3},
    {"\x1bLua", "this is bytecode: a script is its source", 1},
    {"\n return {}", "must return an event_type, a linker or a read_model", 2},
    {"x = 1", "the global 'x' cannot be set", 1},
    {"return event_type {", "expected", 1},
    {"return event_type {\n name = 'T' }", "the field 'version' is missing", 1},
    {"return event_type { version = 1 }", "the field 'name' is missing", 1},
    {"return event_type { name = 'T', version = 0 }", "'version' must be an integer", 1},
    {"return event_type { name = 'T', version = 1.0 }", "'version' must be an integer", 1},
    {"return event_type { name = 'T',\n version = 1,\n chek = 1 }", "there is no field 'chek'", 3},
    {"return event_type { name = 'T',\n version = 1,\n check = 1 }",
     "the field 'check' is a number, must be a function", 3},
    {"return event_type { name = 'T',\n version = 2 }", "version 2 needs 'upcast'", 2},
    {"return event_type { name = 'T', version = 3,\n upcast = { function() end } }",
     "upcast[2] is a nil: each version below 3 needs a function", 2},
    {"return event_type { name = 'T', version = 1,\n upcast = { function() end } }",
     "'upcast' has 1 functions, and version 1 has 0 before it", 2},
    {"return event_type { name = 'T', version = 1, former_names = { 'T' } }",
     "a former name is the name itself", 1},
    {"return event_type { name = 'T', version = 1, open = true }", "'open' says nothing", 1},
    {"return linker { name = ('n'):rep(249),\n version = 1, by = 'type' }",
     "the name has over 255 bytes with 'linker/'", 1},
    {"return linker { name = 'l', version = 1 }", "a linker has either 'to' or 'by'", 1},
    {"return linker { name = 'l', version = 1, by = 'type', to = print }", "'print'", 1},
    {"return linker { name = 'l', version = 1,\n to = function() return 'a' end }",
     "'to' needs 'streams', the names that it gives", 2},
    {"return linker { name = 'l', version = 1, by = 'type',\n streams = 'a' }",
     "'streams' belongs to 'to'", 2},
    {"return linker { name = 'l', version = 1, to = function() end,\n streams = 'a*b' }",
     "'a*b' in 'streams': '*' stands at the end", 2},
    {"return linker { name = 'l', version = 1, to = function() end,\n streams = { 'a', '**' } }",
     "'**' in 'streams': '*' stands at the end", 2},
    {"return linker { name = 'l', version = 1, to = function() end,\n streams = {} }",
     "'streams' must be a list of 1 to 256 strings", 2},
    {"return linker { name = 'l', version = 1, to = function() end,\n streams = { 5 } }",
     "the field 'streams' is a number, must be a string", 2},
    {"return linker { name = 'l', version = 1, by = 'colour' }", "the field 'by' must be", 1},
    {"return linker { name = 'l', version = 1, by = 'metadata' }", "needs a 'key'", 1},
    {"return linker { name = 'l', version = 1,\n from = {\n typs = 'x' }, by = 'type' }",
     "there is no field 'typs' in 'from'", 3},
    {"return linker { name = 'l', version = 1, from = { types = {} }, by = 'type' }",
     "'types' must be a list of 1 to 256 strings", 1},
    {"return linker { name = 'l', version = 1, from = { category = 'a-b' }, by = 'type' }",
     "a category is", 1},
    {"return read_model { name = 'm', version = 1, types = { 'A' }, keys = function() end,\n"
     " init = function() end,\n on = {\n A = function() end,\n B = function() end } }",
     "there is a handler for 'B', which is not among 'types'", 5},
    {"return read_model { name = 'm', version = 1,\n types = { 'A', 'B' }, keys = function() end,"
     " init = function() end, on = { A = function() end } }",
     "there is no handler for 'B'", 2},
    {"return read_model { name = 'm', version = 1, types = { 'A' }, keys = function() end,"
     " init = function() end, on = { _ = function() end }, mode = 'now' }",
     "'mode' must be \"on_demand\"", 1},
    {"return { 'nothing', {} }", "must return an event_type, a linker or a read_model", 1},
    {"return { 7, {} }", "must return an event_type, a linker or a read_model", 1},
    {"return { 'linker', 5 }", "must return an event_type, a linker or a read_model", 1},
    {"return linker { 5, name = 'l', version = 1, by = 'type' }",
     "there is a field whose name is no string", 1},
    {"return linker { name = 5, version = 1, by = 'type' }",
     "the field 'name' is a number, must be a string", 1},
    {"return linker { name = '', version = 1, by = 'type' }", "the field 'name'", 1},
    {"return linker { name = 'a\tb', version = 1, by = 'type' }", "the field 'name'", 1},
    {"return event_type { name = 'T', version = 1 << 40 }", "'version' must be an integer", 1},
    {"return event_type { name = 'T', version = 1, data = { a = 'integer' }, open = 1 }",
     "the field 'open' is a number, must be a boolean", 1},
    {"return event_type { name = 'T', version = 2, upcast = 5 }",
     "the field 'upcast' is a number, must be a table of functions", 1},
    {"return event_type { name = 'T', version = 1, former_names = 7 }",
     "the field 'former_names' is a number, must be a list of strings", 1},
    {"return event_type { name = 'T', version = 1, former_names = { 'a', 7 } }",
     "the field 'former_names' is a number, must be a string", 1},
    {"return event_type { name = 'T', version = 1, former_names = { 'a', b = 'c' } }",
     "must be a list of 1 to 256 strings", 1},
    {"local t = {} for i = 1, 257 do t[i] = 'n' .. i end\n"
     "return event_type { name = 'T', version = 1, former_names = t }",
     "must be a list of 1 to 256 strings", 2},
    {"return linker { name = 'l', version = 1, from = 5, by = 'type' }",
     "the field 'from' is a number, must be a table", 1},
    {"return linker { name = 'l', version = 1, by = 5 }", "the field 'by' must be", 1},
    {"return linker { name = 'l', version = 1, by = 'type', key = 'k' }",
     "'key' belongs to by = \"metadata\"", 1},
    {"return linker { name = 'l', version = 1, to = function() end, prefix = 'p' }",
     "'prefix' belongs to 'by'", 1},
    {"return read_model { name = 'm', version = 1, types = { 'A' }, keys = function() end,\n"
     " init = function() end, on = { _ = function() end }, mode = 5 }",
     "'mode' must be \"on_demand\"", 2},
    {"return read_model { name = 'm', version = 1, types = { 'A' }, keys = function() end,\n"
     " init = function() end, on = { _ = function() end }, order = 'random' }",
     "the field 'order' must be", 2},
    {"return read_model { name = 'm', version = 1, types = { 'A' }, keys = function() end,\n"
     " init = function() end, on = { _ = function() end }, order = 5 }",
     "the field 'order' must be", 2},
    {"return read_model { name = 'm', version = 1, types = { 'A' }, keys = function() end,\n"
     " init = function() end, on = 5 }",
     "the field 'on' is a number, must be a table of functions", 2},
    {"return read_model { name = 'm', version = 1, types = { 'A' }, keys = function() end,\n"
     " init = function() end, on = { function() end } }",
     "'on' has functions by the names of types", 2},
    {"return read_model { name = 'm', version = 1, types = { 'A' }, keys = function() end,\n"
     " init = function() end, on = { A = 5 } }",
     "'on' has functions by the names of types", 2},
    {"return read_model { name = 'm$', version = 1, types = { 'A' }, keys = function() end,\n"
     " init = function() end, on = { A = function() end } }",
     "the name of a read model has no '$'", 1},
    /* The line of a field is where it is set, not where its name is only said. */
    {"return linker { name = 'by == by', version = 1, -- 'by' and by\n nearby = 1,\n by\t= 5 }",
     "there is no field 'nearby'", 2},
    {"return linker { name = 'by == by', version = 1, -- Xby=, 9by = and by\n\n by\t= 5 }",
     "the field 'by' must be", 3},
};

/* Lua has the fields of a table in another order in each sandbox. */
static void the_first_of_many_faults_is_told(void **state) {
    static const char *const sources[][2] = {
        {"return linker { name = 'l', version = 1, by = 'type', q = 1, bar = 2, x = 3, foo = 4 }",
         "there is no field 'bar'"},
        {"return read_model { name = 'm', version = 1, types = { 'A' }, keys = function() end,\n"
         " init = function() end, on = { A = function() end, X = function() end,\n"
         " C = function() end, B = function() end, Y = function() end } }",
         "there is a handler for 'B'"},
    };
    (void)state;
    for (size_t i = 0; i < 40; i++) {
        tycho_script *script;
        assert_refused(tycho_script_compile(text("w"), text(sources[i % 2][0]), &script),
                       sources[i % 2][1]);
    }
}

static void wrong_definitions_are_refused_with_their_line(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof wrong_sources / sizeof *wrong_sources; i++) {
        tycho_script *script;
        assert_refused(tycho_script_compile(text("w.lua"), text(wrong_sources[i].source), &script),
                       wrong_sources[i].message);
        assert_null(script);
        assert_int_equal(tycho_scripts_error()->line, wrong_sources[i].line);
        assert_string_equal(tycho_scripts_error()->script, "w.lua");
    }
}

/* ---------------------------------------------------------------- deploying, and by hand */

static void assert_plan(tycho_store *store, const char *source, int is_rollback, uint32_t change,
                        const char *message) {
    tycho_deployment *deployment;
    tycho_change got;
    ASSERT_STATUS(tycho_deployment_open(store, &deployment), TYCHO_OK);
    ASSERT_STATUS(tycho_deployment_put(deployment, text("a.lua"), text(source), is_rollback),
                  TYCHO_OK);
    assert_int_equal(tycho_deployment_count(deployment), 1);
    tycho_deployment_get(deployment, 0, &got);
    assert_int_equal(got.change, change);
    assert_non_null(memmem(got.message.data, got.message.size + 1, message, strlen(message)));
    tycho_deployment_close(deployment);
}

static void a_plan_says_what_is_new_changed_and_refused(void **state) {
    fixture *f = *state;
    const char *one = "return linker { name = 'l', version = 1, by = 'type' }";
    const char *two = "return linker { name = 'l', version = 2, by = 'category' }";
    assert_plan(f->store, one, 0, TYCHO_CHANGE_NEW, "");
    deploy(f->store, one);
    assert_plan(f->store, one, 0, TYCHO_CHANGE_UNCHANGED, "");
    assert_plan(f->store, two, 0, TYCHO_CHANGE_CHANGED, "");
    assert_plan(f->store, "return linker { name = 'l', version = 1, by = 'category' }", 0,
                TYCHO_CHANGE_REFUSED, "the source has changed and the version is still 1");
    deploy(f->store, two);
    assert_plan(f->store, one, 0, TYCHO_CHANGE_REFUSED, "version 1 is below version 2");
    assert_plan(f->store, one, 1, TYCHO_CHANGE_CHANGED, "");
    assert_plan(f->store, "return linker {", 0, TYCHO_CHANGE_REFUSED, "expected");
    deploy(f->store, "return event_type { name = 'T', version = 1, former_names = { 'old' } }");
    assert_plan(f->store, "return event_type { name = 'old', version = 1 }", 0,
                TYCHO_CHANGE_REFUSED, "a former name of another");
    assert_plan(f->store, "return event_type { name = 'N', version = 1, former_names = 'T' }", 0,
                TYCHO_CHANGE_REFUSED, "a former name is that of another");
    ASSERT_STATUS(try_deploy(f->store, "return 1"), TYCHO_REJECTED);
    assert_int_equal(count_of(f->store, "$scripts", ""), 3);
}

static void what_hosts_give_wrongly_is_misuse(void **state) {
    fixture *f = *state;
    const tycho_bytes nothing = {NULL, 5}, linker = text("return linker { name = 'l', version = 1, "
                                                         "by = 'type' }");
    const tycho_event event = {.type = text("T"), .data = packed("{}")};
    char long_name[300];
    tycho_deployment *deployment;
    tycho_script *script;
    tycho_change change;
    tycho_bytes data;
    memset(long_name, 'n', sizeof long_name);
    ASSERT_STATUS(tycho_deployment_open(f->store, NULL), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_script_compile(text("w"), linker, NULL), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_script_compile(text("w"), nothing, &script), TYCHO_MISUSE);
    assert_null(script);
    ASSERT_STATUS(tycho_deployment_open(f->store, &deployment), TYCHO_OK);
    ASSERT_STATUS(tycho_deployment_put(NULL, text(""), linker, 0), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_deployment_put(deployment, text(""), nothing, 0), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_deployment_remove(NULL, TYCHO_LINKER, text("l")), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_deployment_remove(deployment, TYCHO_LINKER, bytes_of(long_name, 300)),
                  TYCHO_MISUSE);
    assert_int_equal(tycho_deployment_count(deployment), 0);
    /* A label of any length: it is cut. */
    ASSERT_STATUS(tycho_deployment_put(deployment, bytes_of(long_name, 300), text("x"), 0),
                  TYCHO_OK);
    tycho_deployment_get(deployment, 0, &change);
    assert_int_equal(change.change, TYCHO_CHANGE_REFUSED);
    assert_bytes(change.name, bytes_of(long_name, TYCHO_NAME_MAX));
    tycho_deployment_close(deployment);
    ASSERT_STATUS(tycho_script_compile(bytes_of(long_name, 300), linker, &script), TYCHO_OK);
    ASSERT_STATUS(tycho_script_upcast(script, NULL, &event, 1, &data), TYCHO_MISUSE);
    tycho_script_close(script);
    script = NULL;
    ASSERT_STATUS(tycho_script_compile(text(""), text("return event_type { name = 'T', version = 2,"
                                                      "\n upcast = { function(data) data.a = 1\n"
                                                      " return data end } }"),
                                       &script),
                  TYCHO_OK);
    ASSERT_STATUS(tycho_script_upcast(script, NULL, &event, 0, &data), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_script_upcast(script, NULL, &event, 3, &data), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_script_upcast(script, NULL, &event, 1, &data), TYCHO_OK);
    assert_string_equal(unpacked(data), "{\"a\":1}");
    tycho_script_close(script);
    tycho_script_close(NULL);
}

static void a_source_that_is_not_utf8_is_refused_with_its_line(void **state) {
    fixture *f = *state;
    tycho_deployment *deployment;
    tycho_change change;
    ASSERT_STATUS(tycho_deployment_open(f->store, &deployment), TYCHO_OK);
    ASSERT_STATUS(tycho_deployment_put(deployment, text("a"),
                                       text("return linker {\n -- \xc3\xa9\n -- \xe9\n"
                                            "name = 'l', version = 2, by = 'type' }"),
                                       0),
                  TYCHO_OK);
    ASSERT_STATUS(tycho_deployment_put(deployment, text("b"),
                                       text("return linker { name = 'm', version = 1, "
                                            "by = 'type' } -- \xc3"),
                                       0),
                  TYCHO_OK);
    for (size_t i = 0; i < 2; i++) {
        tycho_deployment_get(deployment, i, &change);
        assert_int_equal(change.change, TYCHO_CHANGE_REFUSED);
        assert_bytes(change.message, text("the source is not UTF-8"));
        assert_int_equal(change.line, i == 0 ? 3 : 1);
    }
    tycho_deployment_close(deployment);
}

static void one_script_has_one_line_in_a_plan(void **state) {
    fixture *f = *state;
    tycho_deployment *deployment;
    tycho_change change;
    deploy(f->store, "return linker { name = 'l', version = 1, by = 'type' }");
    ASSERT_STATUS(tycho_deployment_open(f->store, &deployment), TYCHO_OK);
    ASSERT_STATUS(tycho_deployment_remove(deployment, TYCHO_LINKER, text("l")), TYCHO_OK);
    ASSERT_STATUS(tycho_deployment_remove(deployment, TYCHO_LINKER, text("l")), TYCHO_OK);
    ASSERT_STATUS(tycho_deployment_remove(deployment, TYCHO_LINKER, text("")), TYCHO_OK);
    ASSERT_STATUS(tycho_deployment_put(deployment, text("a"), text("return linker { name = 'l',\n"
                                                                   "version = 2, by = 'type' }"),
                                       0),
                  TYCHO_OK);
    tycho_deployment_get(deployment, 0, &change);
    assert_int_equal(change.change, TYCHO_CHANGE_REMOVED);
    tycho_deployment_get(deployment, 1, &change);
    assert_int_equal(change.change, TYCHO_CHANGE_REFUSED);
    assert_bytes(change.message, text("the plan has another line for this script"));
    tycho_deployment_get(deployment, 2, &change);
    assert_bytes(change.message, text("there is no such script"));
    tycho_deployment_get(deployment, 3, &change);
    assert_bytes(change.message, text("two scripts of the plan have this name"));
    assert_int_equal(change.line, 1);
    tycho_deployment_close(deployment);
}

/* A script that used up its budget has lost its sandbox, and gets another. */
static void a_script_that_went_over_its_budget_goes_on(void **state) {
    tycho_additions additions;
    tycho_script *script;
    const tycho_event good = {.type = text("T"), .data = packed("{ n = 1 }")},
                      bad = {.type = text("T"), .data = packed("{ n = 2 }")};
    (void)state;
    ASSERT_STATUS(tycho_script_compile(text("w"), text("return linker { name = 'l', version = 1,\n"
                                                       "streams = '*', to = function(event)\n"
                                                       "  while event.data.n == 2 do end\n"
                                                       "  return 's' end }"),
                                       &script),
                  TYCHO_OK);
    for (int i = 0; i < 3; i++) {
        assert_refused(tycho_script_expand_stored(script, NULL, &bad, &additions), "used up");
        ASSERT_STATUS(tycho_script_expand_stored(script, NULL, &good, &additions), TYCHO_OK);
        assert_int_equal(additions.link_count, 1);
    }
    tycho_script_close(script);
}

static void two_deployments_at_once_are_planned_anew(void **state) {
    fixture *f = *state;
    tycho_deployment *deployment;
    tycho_batch *batch;
    ASSERT_STATUS(tycho_deployment_open(f->store, &deployment), TYCHO_OK);
    ASSERT_STATUS(tycho_deployment_put(deployment, text(""), text(ORDER_TYPE), 0), TYCHO_OK);
    deploy(f->store, "return linker { name = 'l', version = 1, by = 'type' }");
    ASSERT_STATUS(tycho_batch_create(&batch), TYCHO_OK);
    ASSERT_STATUS(tycho_deployment_write(deployment, batch), TYCHO_OK);
    ASSERT_STATUS(tycho_commit(f->store, batch, NULL), TYCHO_WRONG_EXPECTED_VERSION);
    tycho_batch_destroy(batch);
    tycho_deployment_close(deployment);
}

static int add_append(tycho_batch *batch, const tycho_new_event *event) {
    return tycho_batch_append(batch, text("s"), TYCHO_EXPECT_ANY, event, 1, 0);
}

static int add_overwrite(tycho_batch *batch, const tycho_new_event *event) {
    return tycho_batch_overwrite(batch, event, 1);
}

/* Commits a batch that deploys a source, with an event before or behind that. */
static int deploy_and_write(tycho_store *store, const char *source, bool is_behind,
                            int (*write)(tycho_batch *batch, const tycho_new_event *event)) {
    tycho_deployment *deployment;
    tycho_batch *batch;
    const tycho_new_event event = {
        .id = text("a"), .type = text("A"), .data = packed("{ n = 'text' }")};
    ASSERT_STATUS(tycho_batch_create(&batch), TYCHO_OK);
    ASSERT_STATUS(tycho_deployment_open(store, &deployment), TYCHO_OK);
    ASSERT_STATUS(tycho_deployment_put(deployment, text("a.lua"), text(source), 0), TYCHO_OK);
    if (is_behind) ASSERT_STATUS(tycho_deployment_write(deployment, batch), TYCHO_OK);
    ASSERT_STATUS(write(batch, &event), TYCHO_OK);
    if (!is_behind) ASSERT_STATUS(tycho_deployment_write(deployment, batch), TYCHO_OK);
    int status = tycho_commit(store, batch, NULL);
    if (is_behind) { /* the batch is a batch as before */
        assert_int_equal(tycho_batch_first_deploy(batch), 0);
        tycho_batch_clear(batch);
        assert_int_equal(tycho_batch_first_deploy(batch), -1);
    }
    tycho_deployment_close(deployment);
    tycho_batch_destroy(batch);
    return status;
}

/* They would have the new version, and nobody would have checked them under it. */
static void events_behind_a_deployment_in_its_batch_are_refused(void **state) {
    fixture *f = *state;
    const char *first = "return event_type { name = 'A', version = 1, data = { n = 'integer' } }";
    const char *second = "return event_type { name = 'A', version = 2, data = { n = 'integer' }, "
                         "upcast = { function() return { n = 1 } end } }";
    uint64_t head;
    ASSERT_STATUS(deploy_and_write(f->store, first, true, add_append), TYCHO_MISUSE);
    assert_non_null(strstr(tycho_error(), "behind a deployment of its batch"));
    ASSERT_STATUS(tycho_head(f->store, &head), TYCHO_OK);
    assert_int_equal(head, 0);
    ASSERT_STATUS(deploy_and_write(f->store, first, false, add_append), TYCHO_OK);
    ASSERT_STATUS(deploy_and_write(f->store, second, true, add_append), TYCHO_MISUSE);
    ASSERT_STATUS(deploy_and_write(f->store, second, true, add_overwrite), TYCHO_MISUSE);
    assert_non_null(strstr(tycho_error(), "behind a deployment of its batch"));
    assert_refused(deploy_and_write(f->store, second, false, add_overwrite), "data.n is a string");
    assert_refused(deploy_and_write(f->store, second, false, add_append), "data.n is a string");
    deploy(f->store, second);
}

static void a_script_is_run_by_hand_for_stored_events(void **state) {
    fixture *f = *state;
    tycho_script *script;
    tycho_script_about about;
    tycho_cursor *cursor;
    tycho_event event;
    tycho_additions additions;
    tycho_bytes data;
    const tycho_read read = {.size = sizeof read, .stream = text("order-1")};
    append(f->store, "order-1", "Order", "{ customer = 'ann', cents = 5 }");
    append(f->store, "order-1", "Other", "{}");
    const char *source = "return linker { name = 'c', version = 4, from = { types = 'Order', "
                         "category = 'order' }, streams = 'order-*', "
                         "to = function(e) return e.stream .. e.position end }";
    ASSERT_STATUS(tycho_script_compile(text("c"), text(source), &script), TYCHO_OK);
    tycho_script_about_get(script, &about);
    assert_bytes(about.key, text("linker/c"));
    assert_int_equal(about.version, 4);
    assert_int_equal(about.type_count, 1);
    assert_bytes(about.category, text("order"));
    ASSERT_STATUS(tycho_cursor_open(f->store, &read, &cursor), TYCHO_OK);
    ASSERT_STATUS(tycho_cursor_next(cursor, &event), TYCHO_OK);
    ASSERT_STATUS(tycho_script_expand_stored(script, cursor, &event, &additions), TYCHO_OK);
    assert_int_equal(additions.link_count, 1);
    assert_bytes(additions.links[0], text("order-11"));
    ASSERT_STATUS(tycho_script_upcast(script, cursor, &event, 1, &data), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_cursor_next(cursor, &event), TYCHO_OK);
    ASSERT_STATUS(tycho_script_expand_stored(script, cursor, &event, &additions), TYCHO_OK);
    assert_int_equal(additions.link_count, 0);
    tycho_script_close(script);
    ASSERT_STATUS(tycho_script_open(f->store, TYCHO_LINKER, text("c"), &script), TYCHO_NOT_FOUND);
    deploy(f->store, source);
    ASSERT_STATUS(tycho_script_open(f->store, TYCHO_LINKER, text("c"), &script), TYCHO_OK);
    tycho_script_about_get(script, &about);
    assert_true(about.deployed_at > 0);
    assert_bytes(about.source, text(source));
    tycho_script_close(script);
    tycho_cursor_close(cursor);
}

/* ---------------------------------------------------------------- rows that no deployment wrote */

static void put_script(tycho_store *store, const char *name, tycho_bytes row) {
    tycho_batch *batch;
    ASSERT_STATUS(tycho_batch_create(&batch), TYCHO_OK);
    ASSERT_STATUS(tycho_batch_deploy(batch, text(name), row), TYCHO_OK);
    ASSERT_STATUS(tycho_commit(store, batch, NULL), TYCHO_OK);
    tycho_batch_destroy(batch);
}

/* Whatever the row is, it stops appending until it is replaced. */
static void assert_stands(tycho_store *store, const char *name, tycho_bytes row) {
    const char *source = "return linker { name = 'l', version = 9, by = 'type' }";
    put_script(store, name, row);
    ASSERT_STATUS(try_append(store, "s", "T", "{}"), TYCHO_REJECTED);
    assert_true(strlen(tycho_scripts_error()->message) > 0);
    ASSERT_STATUS(try_append(store, "s", "T", "{}"), TYCHO_REJECTED);
    deploy(store, source);
    put_script(store, name, text(""));
    append(store, "s", "T", "{}");
    if (strcmp(name, "linker/l") != 0) undeploy(store, TYCHO_LINKER, "l");
}

static void a_row_that_is_damaged_in_any_way_stops_until_it_is_replaced(void **state) {
    fixture *f = *state;
    const tycho_bytes whole =
        packed("{ kind = 'linker', name = 'l', version = 1, deployed_at = 5, "
               "source = 'return linker { name = [[l]], version = 1, by = [[type]] }' }");
    static const char *const others[] = {
        "{}", "5", "{ 1, 2 }", "{ name = 'l' }", "{ version = 1 }", "{ name = 'l', version = 'x' }",
        "{ name = 5, version = 1, kind = 5, source = 5, deployed_at = 'x' }",
        "{ name = 'l', version = 0, source = '' }", "{ name = 'm', version = 1, source = 'x' }"};
    for (size_t size = 1; size < whole.size; size += 3) {
        assert_stands(f->store, "linker/l", bytes_of(whole.data, size));
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        assert_stands(f->store, "linker/l", packed(others[i]));
        assert_stands(f->store, "odd", packed(others[i]));
        assert_stands(f->store, "other/x", packed(others[i]));
    }
    assert_stands(f->store, "linker/l", text("\x82\x05\x06\xa4name\xa1l"));
    assert_stands(f->store, "linker/another", whole);
}

static void a_sentence_tells_long_names_and_messages_in_short(void **state) {
    fixture *f = *state;
    char name[201], id[65], type[256], source[1000];
    memset(name, 'n', sizeof name - 1);
    memset(id, 'i', sizeof id - 1);
    memset(type, 't', sizeof type - 1);
    name[sizeof name - 1] = id[sizeof id - 1] = type[sizeof type - 1] = '\0';
    snprintf(source, sizeof source,
             "return linker { name = '%s', version = 1, streams = '*',\n"
             "to = function() error(('m'):rep(300)) end }", name);
    deploy(f->store, source);
    const tycho_new_event event = {.id = text(id), .type = text(type), .data = packed("{}")};
    assert_refused(try_append_all(f->store, "s", &event, 1), "mmm");
    assert_in_range(strlen(tycho_error()), 460, 511);
    assert_non_null(strstr(tycho_error(), "(event iii"));
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(wrong_definitions_are_refused_with_their_line),
        TEST(the_first_of_many_faults_is_told),
        TEST(a_plan_says_what_is_new_changed_and_refused),
        TEST(what_hosts_give_wrongly_is_misuse),
        TEST(a_source_that_is_not_utf8_is_refused_with_its_line),
        TEST(one_script_has_one_line_in_a_plan),
        TEST(a_script_that_went_over_its_budget_goes_on),
        TEST(two_deployments_at_once_are_planned_anew),
        TEST(events_behind_a_deployment_in_its_batch_are_refused),
        TEST(a_script_is_run_by_hand_for_stored_events),
        TEST(a_row_that_is_damaged_in_any_way_stops_until_it_is_replaced),
        TEST(a_sentence_tells_long_names_and_messages_in_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
