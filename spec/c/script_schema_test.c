/* script_schema_test.c - schemas over MessagePack: what fits, what does not and where, and bytes
** that are no MessagePack at all.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "script_fixture.h"

static tycho_script *compile(const char *schema) {
    char source[2000];
    tycho_script *script;
    snprintf(source, sizeof source, "return event_type { name = \"T\", version = 1, data = %s }",
             schema);
    ASSERT_STATUS(tycho_script_compile(text("t.lua"), text(source), &script), TYCHO_OK);
    return script;
}

/* Checks the bytes; the message is "" when they fit. */
static const char *verdict(tycho_script *script, tycho_bytes data, const char **path) {
    tycho_additions additions;
    void *copy = exact_copy(data.data, data.size);
    const tycho_appended appended = {
        .event = {.id = text("e1"), .type = text("T"), .data = bytes_of(copy, data.size)}};
    int status = tycho_script_expand(script, &appended, &additions);
    free(copy);
    if (path != NULL) *path = status == TYCHO_OK ? "" : tycho_scripts_error()->path;
    if (status == TYCHO_OK) return "";
    assert_int_equal(status, TYCHO_REJECTED);
    return tycho_scripts_error()->message;
}

static const char order[] =
    "{ customer = \"string\", cents = \"integer\", note = optional \"string\", "
    "  state = enum { \"new\", \"paid\", \"sent\" }, rate = optional \"number\", "
    "  done = optional \"boolean\", raw = optional \"binary\", "
    "  lines = array { sku = \"string\", count = \"integer\" }, "
    "  address = { city = \"string\", zip = optional \"string\" }, "
    "  stock = optional(map \"integer\"), extra = optional \"any\", "
    "  [\"odd key\"] = optional \"integer\" }";

#define BASE "customer = 'a', state = 'new', lines = {}, address = { city = 'x' }"

static const struct {
    const char *data, *path, *message;
} cases[] = {
    {"{ cents = 1, " BASE " }", "", ""},
    {"{ cents = 1, " BASE ", note = null, raw = binary 'x', done = true, rate = 2, stock = {} }",
     "", ""},
    {"{ cents = 1, " BASE ", rate = 1.5, stock = { a = 1, b = 2 }, extra = { { 1 } } }", "", ""},
    {"{ cents = 1, customer = '', state = 'sent', address = { city = 'x', zip = '1' },"
     "  lines = { { sku = 's', count = 1 }, { sku = 't', count = 2 } } }",
     "", ""},
    {"{ " BASE " }", "data.cents", "data.cents is missing"},
    {"{ cents = 1.5, " BASE " }", "data.cents", "data.cents is 1.5, must be an integer"},
    {"{ cents = -3.0, " BASE " }", "data.cents", "data.cents is -3.0, must be an integer"},
    {"{ cents = '1', " BASE " }", "data.cents", "data.cents is a string, must be an integer"},
    {"{ cents = null, " BASE " }", "data.cents", "data.cents is nil, must be an integer"},
    {"{ cents = true, " BASE " }", "data.cents", "data.cents is a boolean, must be an integer"},
    {"{ cents = 1, " BASE ", more = 1 }", "data.more", "data.more is not in the schema"},
    {"{ cents = 1, " BASE ", ['odd key'] = 'x' }", "data[\"odd key\"]",
     "data[\"odd key\"] is a string, must be an integer"},
    {"{ cents = 1, " BASE ", done = 0 }", "data.done", "data.done is 0, must be a boolean"},
    {"{ cents = 1, " BASE ", raw = 'text' }", "data.raw", "data.raw is a string, must be binary"},
    {"{ cents = 1, " BASE ", rate = 'x' }", "data.rate", "data.rate is a string, must be a number"},
    {"{ cents = 1, " BASE ", stock = { a = 1, b = 'x' } }", "data.stock.b",
     "data.stock.b is a string, must be an integer"},
    {"{ cents = 1, " BASE ", stock = { 1 } }", "data.stock",
     "data.stock is an array, must be a table"},
    {"{ cents = 1, customer = 'a', state = 'lost', lines = {}, address = { city = 'x' } }",
     "data.state", "data.state is \"lost\", must be \"new\", \"paid\" or \"sent\""},
    {"{ cents = 1, customer = 'a', state = 'new', address = { city = 'x' },"
     "  lines = { { sku = 's', count = 1 }, { sku = 't', count = 'two' } } }",
     "data.lines[2].count", "data.lines[2].count is a string, must be an integer"},
    {"{ cents = 1, customer = 'a', state = 'new', lines = { 1 }, address = { city = 'x' } }",
     "data.lines[1]", "data.lines[1] is 1, must be a table"},
    {"{ cents = 1, customer = 'a', state = 'new', lines = { a = 1 }, address = { city = 'x' } }",
     "data.lines", "data.lines is a table, must be an array"},
    {"{ cents = 1, customer = 'a', state = 'new', lines = {}, address = {} }", "data.address.city",
     "data.address.city is missing"},
    {"{ cents = 1, customer = binary 'a', state = 'new', lines = {}, address = { city = 'x' } }",
     "data.customer", "data.customer is binary, must be a string"},
    {"'text'", "data", "data is a string, must be a table"},
    {"null", "data", "data is nil, must be a table"},
    {"{ 1 }", "data", "data is an array, must be a table"},
};

static void data_fits_or_is_refused_with_its_path(void **state) {
    (void)state;
    tycho_script *script = compile(order);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *path;
        assert_string_equal(verdict(script, packed(cases[i].data), &path), cases[i].message);
        assert_string_equal(path, cases[i].path);
    }
    assert_string_equal(verdict(script, bytes_of(NULL, 0), NULL), "data is missing");
    tycho_script_close(script);
}

/* MessagePack that no binding of ours writes, against { n = "integer", s = optional "string" }. */
static const struct {
    const char *bytes;
    size_t size;
    const char *message;
} hostile[] = {
#define BYTES(literal) literal, sizeof literal - 1
    {BYTES("\x81\xa1n\x01"), ""},
    {BYTES("\x81\xa1n\xcf\xff\xff\xff\xff\xff\xff\xff\xff"),
     "data.n is 18446744073709551615, must be an integer"},
    {BYTES("\x82\xa1n\x01\xa1n\x02"), "data.n is there twice"},
    {BYTES("\x81\x01\x01"), "data has a key that is not a string"},
    {BYTES("\x81\xa1n"), "data.n is not MessagePack: it ends within a value (byte 4)"},
    {BYTES("\x81\xa1"), "data is not MessagePack: it ends within a value (byte 1)"},
    {BYTES("\xdf\xff\xff\xff\xff\xa1n"),
     "data is not MessagePack: it ends within a value (byte 1)"},
    {BYTES("\x81\xa1n\xc1"),
     "data.n is not MessagePack: it has the byte 0xc1, which begins nothing (byte 4)"},
    {BYTES("\x81\xa1n\x01\x00"), "data is not MessagePack: it has bytes behind the value (byte 5)"},
    {BYTES("\x82\xa1n\x01\xa1s\xa2\xff\xfe"), "data.s is a string that is not UTF-8"},
    {BYTES("\x81\xa1n\xc7\x00\x05"), "data.n is an extension type, must be an integer"},
    {BYTES("\x81\xa2\xff\xfe\x01"), "data[\"??\"] is not in the schema"},
    {BYTES("\xc1"), "data is not MessagePack: it has the byte 0xc1, which begins nothing (byte 1)"},
#undef BYTES
};

static void hostile_bytes_are_refused(void **state) {
    (void)state;
    tycho_script *script = compile("{ n = \"integer\", s = optional \"string\" }");
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        tycho_bytes data = bytes_of(hostile[i].bytes, hostile[i].size);
        assert_string_equal(verdict(script, data, NULL), hostile[i].message);
    }
    tycho_script_close(script);
}

static void every_cut_and_every_changed_byte_gets_a_verdict(void **state) {
    (void)state;
    tycho_script *script = compile(order);
    tycho_bytes whole = packed(cases[3].data);
    uint8_t *copy = exact_copy(whole.data, whole.size);
    for (size_t size = 0; size < whole.size; size++) {
        assert_string_not_equal(verdict(script, bytes_of(copy, size), NULL), "");
    }
    for (size_t at = 0; at < whole.size; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            copy[at] ^= (uint8_t)(1u << bit);
            assert_non_null(verdict(script, bytes_of(copy, whole.size), NULL));
            copy[at] ^= (uint8_t)(1u << bit);
        }
    }
    free(copy);
    tycho_script_close(script);
}

static void what_any_holds_must_be_well_formed(void **state) {
    (void)state;
    uint8_t deep[300];
    tycho_script *script = compile("{ x = \"any\" }");
    assert_string_equal(verdict(script, packed("{ x = { { a = { 1, 2 } } } }"), NULL), "");
    assert_string_equal(verdict(script, bytes_of("\x81\xa1x\x92\x01", 5), NULL),
                        "data is not MessagePack: it ends within a value (byte 4)");
    memcpy(deep, "\x81\xa1x", 3);
    memset(deep + 3, 0x91, sizeof deep - 4);
    deep[sizeof deep - 1] = 0xc0;
    assert_string_not_equal(verdict(script, bytes_of(deep, sizeof deep), NULL), "");
    tycho_script_close(script);
}

static void an_open_schema_takes_further_fields(void **state) {
    (void)state;
    tycho_script *script;
    const char *source = "return event_type { name = 'T', version = 1, open = true, "
                         "data = { n = 'integer', deep = { s = 'string' } } }";
    ASSERT_STATUS(tycho_script_compile(text(""), text(source), &script), TYCHO_OK);
    const char *data = "{ a = { 1 }, n = 1, deep = { s = 'x', more = 1 }, z = 2 }";
    assert_string_equal(verdict(script, packed(data), NULL), "");
    assert_string_equal(verdict(script, packed("{ n = '1', deep = { s = 'x' } }"), NULL),
                        "data.n is a string, must be an integer");
    tycho_script_close(script);
}

static const struct {
    const char *schema, *message;
} wrong_schemas[] = {
    {"{ a = 'text' }", "'a' in the schema is \"text\", which is no kind: string, integer, number, "
                       "boolean, binary, any"},
    {"{ a = 1 }", "'a' in the schema is neither a kind nor a table"},
    {"{ a = enum {} }", "'a' in the schema is an enum without a list of strings"},
    {"{ a = enum { 1 } }", "'a' in the schema is an enum with a value that is no string"},
    {"{ a = { 'text', 1 } }", "'a' in the schema has a word that is no word of schemas"},
    {"{ [1] = 1, a = 'string' }", "'data' in the schema has a key that is no name of a field"},
    {"7", "'data' in the schema is neither a kind nor a table"},
};

static void wrong_schemas_are_refused_with_their_line(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof wrong_schemas / sizeof *wrong_schemas; i++) {
        char source[500];
        tycho_script *script;
        snprintf(source, sizeof source,
                 "return event_type {\n name = 'T',\n version = 1,\n data = %s }",
                 wrong_schemas[i].schema);
        ASSERT_STATUS(tycho_script_compile(text("t"), text(source), &script), TYCHO_REJECTED);
        assert_null(script);
        assert_string_equal(tycho_scripts_error()->message, wrong_schemas[i].message);
        assert_int_equal(tycho_scripts_error()->line, 4);
    }
}

static void a_schema_that_contains_itself_is_too_deep(void **state) {
    (void)state;
    tycho_script *script;
    const char *source = "local t = {}\nt.a = t\n"
                         "return event_type { name = 'T', version = 1, data = t }";
    ASSERT_STATUS(tycho_script_compile(text("t"), text(source), &script), TYCHO_REJECTED);
    assert_non_null(strstr(tycho_error(), "too many tables within each other"));
}

/* What is kept of a schema is not in the sandbox, whose limits do not count it. */
static void a_schema_is_not_larger_than_a_script(void **state) {
    (void)state;
    tycho_script *script;
    const char *source = "local list, long = {}, ('x'):rep(2000)\n"
                         "for i = 1, 900 do list[i] = long end\n"
                         "return event_type { name = 'T', version = 1, data = enum(list) }";
    ASSERT_STATUS(tycho_script_compile(text("t"), text(source), &script), TYCHO_REJECTED);
    assert_null(script);
    assert_non_null(strstr(tycho_error(), "over 262144 bytes of names and values"));
}

/* Data that is cut anywhere is refused, whatever the schema looks at, and with a path. */
static void data_that_is_cut_anywhere_is_refused(void **state) {
    (void)state;
    const tycho_bytes whole = packed("{ cents = 1, " BASE ", rate = 1.5, stock = { a = 1, b = 2 },"
                                     "  extra = { { 1 } }, note = 'n', raw = binary 'x' }");
    static const char *const schemas[] = {order, "{ customer = 'string', cents = 'integer' }",
                                          "map 'any'", "'any'"};
    for (size_t i = 0; i < sizeof schemas / sizeof *schemas; i++) {
        tycho_script *script = compile(schemas[i]);
        for (size_t size = 0; size < whole.size; size++) {
            const char *path;
            assert_true(strlen(verdict(script, bytes_of(whole.data, size), &path)) > 0);
            assert_int_equal(strncmp(path, "data", 4), 0);
        }
        tycho_script_close(script);
    }
    tycho_script *script = compile("{ a = optional 'integer' }");
    const char *said = verdict(script, text("\x81\x05\x06"), NULL);
    assert_string_equal(said, "data has a key that is not a string");
    tycho_script_close(script);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(data_fits_or_is_refused_with_its_path),
        cmocka_unit_test(hostile_bytes_are_refused),
        cmocka_unit_test(every_cut_and_every_changed_byte_gets_a_verdict),
        cmocka_unit_test(what_any_holds_must_be_well_formed),
        cmocka_unit_test(an_open_schema_takes_further_fields),
        cmocka_unit_test(wrong_schemas_are_refused_with_their_line),
        cmocka_unit_test(a_schema_that_contains_itself_is_too_deep),
        cmocka_unit_test(a_schema_is_not_larger_than_a_script),
        cmocka_unit_test(data_that_is_cut_anywhere_is_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
