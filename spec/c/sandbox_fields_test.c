/* sandbox_fields_test.c - data that is read field by field (bindings/lua/sandbox/fields.c):
** whatever a script does with it, it says the same as with data that was decoded, at the same
** price.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "codec.h"
#include "sandbox_script.h"
#include "tycho.h"

static void add_null(lua_State *L, void *context) {
    (void)context;
    lua_newtable(L);
    tycho__lua_open_codec(L);
    lua_pop(L, 1);
    tycho__lua_push_null(L);
    lua_setfield(L, -2, "null");
}

static const struct tycho__sandbox_options options = {.open = add_null};

/* A call: what is pushed, how, and where the results go. */
struct given {
    struct script script; /* first: it is what read_results() takes */
    struct tycho_buffer data;
    bool by_fields;
    bool was_by_fields;
};

static int push_data(lua_State *L, void *context) {
    struct given *given = context;
    given->was_by_fields =
        given->by_fields && tycho__sandbox_push_fields(L, given->data.data, given->data.size);
    if (!given->was_by_fields &&
        tycho__lua_decode(L, given->data.data, given->data.size) != TYCHO_OK) {
        lua_error(L);
    }
    return 1;
}

static enum tycho__sandbox_kind run_with(struct given *given) {
    struct tycho__sandbox_call call = {
        .function = given->script.run, .push = push_data, .read = read_results, .context = given};
    return tycho__sandbox_call(given->script.sandbox, &call);
}

static void put_text(struct tycho_buffer *data, const char *text) {
    tycho__msgpack_put_string(data, text, strlen(text));
}

/* { text, number, float, yes, none, bytes, list = {1, {a = 2}}, map = {1 -> "one", k -> {}},
**   twice, message }, with a key that comes twice. */
static struct tycho_buffer make_data(void) {
    struct tycho_buffer data = {0};
    tycho__msgpack_put_map(&data, 11);
    put_text(&data, "twice");
    tycho__msgpack_put_integer(&data, 1);
    put_text(&data, "text");
    put_text(&data, "a text");
    put_text(&data, "number");
    tycho__msgpack_put_integer(&data, -7000);
    put_text(&data, "float");
    tycho__msgpack_put_float(&data, 0.5);
    put_text(&data, "yes");
    tycho__msgpack_put_boolean(&data, 1);
    put_text(&data, "none");
    tycho__msgpack_put_nil(&data);
    put_text(&data, "bytes");
    tycho__msgpack_put_binary(&data, "\xff\x00", 2);
    put_text(&data, "list");
    tycho__msgpack_put_array(&data, 2);
    tycho__msgpack_put_integer(&data, 1);
    tycho__msgpack_put_map(&data, 1);
    put_text(&data, "a");
    tycho__msgpack_put_integer(&data, 2);
    put_text(&data, "map");
    tycho__msgpack_put_map(&data, 2);
    tycho__msgpack_put_integer(&data, 1);
    put_text(&data, "one");
    put_text(&data, "k");
    tycho__msgpack_put_map(&data, 0);
    put_text(&data, "message");
    put_text(&data, "what went wrong");
    put_text(&data, "twice");
    tycho__msgpack_put_integer(&data, 2);
    return data;
}

/* Runs the body with data of both kinds, twice each, and compares all that can be seen. */
static void expect_same(const char *body) {
    struct given decoded = {.data = make_data()}, by_fields = {.by_fields = true};
    const struct script *a = &decoded.script, *b = &by_fields.script;
    by_fields.data = decoded.data;
    assert_int_equal(load_body(&decoded.script, &options, body), TYCHO__SANDBOX_OK);
    assert_int_equal(load_body(&by_fields.script, &options, body), TYCHO__SANDBOX_OK);
    for (int round = 0; round < 2; round++) {
        enum tycho__sandbox_kind kind = run_with(&decoded), other = run_with(&by_fields);
        if (kind != other || strcmp(a->result, b->result) != 0 ||
            strcmp(a->error->message, b->error->message) != 0) {
            print_message("# %s\n# decoded: %s %s\n# by fields: %s %s\n", body, a->result,
                          a->error->message, b->result, b->error->message);
            fail();
        }
        if (kind >= TYCHO__SANDBOX_OVER_BUDGET) break;
        assert_true(by_fields.was_by_fields);
        assert_int_equal(tycho__sandbox_charged(a->sandbox), tycho__sandbox_charged(b->sandbox));
        assert_int_equal(tycho__sandbox_check_state(b->sandbox), TYCHO__SANDBOX_OK);
    }
    drop(&decoded.script);
    drop(&by_fields.script);
    tycho__payload_free(&decoded.data);
}

static void scripts_see_no_difference(void **state) {
    static const char *const bodies[] = {
        "local d = ... return d.text, d.number, d.float, d.yes, d.none == null, d.absent, d[1]",
        "local d = ... return d.twice, d.text, d.text, d['text'], d[true], d[0.5]",
        "local d = ... return type(d), d == d, not d, tostring(d), #d, getmetatable(d)",
        "local d = ... local s = 0 for i = 1, 100 do s = s + d.number end return s",
        "local d = ... return d.list[1], d.list[2].a, #d.list, d.list == d.list",
        "local d = ... return d.map[1], d.map.k, d.bytes == d.bytes, getmetatable(d.list)",
        "local d = ... local t = {} for k in pairs(d) do t[#t + 1] = k end "
        "return table.concat(t, ' ')",
        "local d = ... local n = d.number d.x = 1 local t = {} "
        "for k, v in pairs(d) do t[#t + 1] = k .. type(v) end return n, table.concat(t, ' ')",
        "local d = ... d.text = nil return d.text, d.number, rawget(d, 'text')",
        "local d = ... d.list[3] = 'x' return #d.list, d.list[3]",
        "local d = ... d.list = nil return d.list, d.twice",
        "local d = ... d[1] = 'a' d[2] = 'b' return #d, d[1], rawlen(d), table.concat(d, ',')",
        "local d = ... return rawget(d, 'text'), rawlen(d), rawequal(d, d), d.text",
        "local d = ... rawset(d, 'text', 'new') return d.text, d.number",
        "local d = ... for i, v in ipairs(d) do return i end return 'none'",
        "local d = ... table.insert(d, 'x') return d[1], d.text, table.unpack(d)",
        "local d = ... table.sort(d) return d.text",
        "local d = ... local t = setmetatable({}, {__index = d}) return t.text, t.absent, "
        "t.list[1]",
        "local d = ... setmetatable(d, {__index = function(_, k) return k .. '!' end}) "
        "return d.text, d.absent",
        "local d = ... local t = setmetatable({}, d) return getmetatable(t) == d, "
        "getmetatable(t).text",
        "local d = ... local t = setmetatable({}, {__index = d}) "
        "local ok, e = pcall(setmetatable, d, {}) return ok, e, t.text, d.text",
        "local d = ... setmetatable(d, nil) return d.text, getmetatable(d)",
        "local d = ... local ok, e = pcall(error, d) return ok, e == d, rawget(e, 'text')",
        "error((...))",
        "assert(false, (...))",
        "local d = ... error(d.text)",
        "local d = ... return d .. 'x'",
        "local d = ... return d + 1",
        "local d = ... return d < d",
        "local d = ... return d()",
        "local d = ... return d.absent.x",
        "local d = ... local x <close> = d",
        "local d = ... return string.rep(d, 2)",
        "local d = ... return ('%s'):format(d)",
        "local d = ... return next(d)",
        "local d = ... return coroutine.wrap(function() local t = d.text "
        "coroutine.yield(t) end)(), d.text",
        "local d = ... local w = coroutine.wrap(function() error(d) end) "
        "local ok, e = pcall(w) return ok, e.message, e == d",
        "local d = ... local t = {[d] = 'key'} local x = t[d] d.y = 1 return x, t[d]",
        "local d = ... local a = d.text for k, v in pairs(d) do if k == 'text' then "
        "return a == v end end",
        "local d = ... return d",
        "local d = ... return {d}",
        "local d = ... return table.move(d, 1, 0, 1) == d, select('#', d), d.yes",
        "local d = ... while true do local x = d.text end",
    };
    (void)state;
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) expect_same(bodies[i]);
}

static void what_is_kept_from_an_earlier_call_cannot_be_read(void **state) {
    static const char *const sources[] = {
        "local kept return { run = function(d) local k = kept kept = d "
        "if k then return pcall(function() return k.text end) end end }",
        "local kept return { run = function(d) local k = kept kept = d "
        "if k then return pcall(pairs, k) end end }"};
    struct given given = {.data = make_data()};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(load_module(&given.script, &options, sources[i]), TYCHO__SANDBOX_OK);
        given.by_fields = true;
        assert_int_equal(run_with(&given), TYCHO__SANDBOX_OK);
        given.by_fields = false;
        assert_int_equal(run_with(&given), TYCHO__SANDBOX_OK);
        assert_non_null(strstr(given.script.result, "this data was that of a call that is over"));
        assert_int_equal(tycho__sandbox_check_state(given.script.sandbox), TYCHO__SANDBOX_FAILED);
        drop(&given.script);
    }
    tycho__payload_free(&given.data);
}

/* That the data is decoded as a whole, which says what is wrong with it; NULL: nothing is. */
static void expect_whole(struct tycho_buffer data, const char *fault) {
    struct given given = {.data = data, .by_fields = true};
    assert_int_equal(load_body(&given.script, &options, "return type((...))"), TYCHO__SANDBOX_OK);
    enum tycho__sandbox_kind kind = run_with(&given);
    assert_false(given.was_by_fields);
    assert_int_equal(kind, fault == NULL ? TYCHO__SANDBOX_OK : TYCHO__SANDBOX_FAILED);
    if (fault != NULL) expect_message(&given.script, fault);
    drop(&given.script);
}

static void what_decoding_may_refuse_is_decoded(void **state) {
    struct tycho_buffer data = make_data();
    (void)state;
    for (size_t size = 0; size < data.size; size++) {
        expect_whole((struct tycho_buffer){data.data, size, size, 0}, "ends within");
    }
    put_text(&data, "more");
    expect_whole(data, "bytes behind");
    static const struct {
        const char *bytes;
        size_t size;
        const char *fault;
    } wrong[] = {
        {"\x81\x01\x02", 3, NULL}, /* an integer as key */
        {"\x81\xc0\x02", 3, "a key that is neither"},
        {"\x81\xa1"
         "a\x81\xc3\x02",
         6, "a key that is neither"},
        {"\x81\xa1"
         "a\x81\x01\xc1",
         6, "MessagePack"},
        {"\x81\xa1"
         "a\xd4\x01\x02",
         6, "extension"},
        {"\x81\xa1"
         "a\x91\xd4\x01\x02",
         7, "extension"},
        {"\x81\xa1"
         "a\xcf\xff\xff\xff\xff\xff\xff\xff\xff",
         12, "2^63-1"},
        {"\x92\x01\x02", 3, NULL},
        {"\xa1"
         "a",
         2, NULL},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct tycho_buffer bytes = {0};
        tycho__payload_put(&bytes, wrong[i].bytes, wrong[i].size);
        expect_whole(bytes, wrong[i].fault);
        tycho__payload_free(&bytes);
    }
    tycho__payload_free(&data);
}

static void what_is_large_or_deep_or_has_many_fields_is_decoded(void **state) {
    static char text[4096];
    struct tycho_buffer data = {0};
    (void)state;
    memset(text, 'x', sizeof text);
    tycho__msgpack_put_map(&data, 1);
    put_text(&data, "large");
    tycho__msgpack_put_string(&data, text, sizeof text);
    expect_whole(data, NULL);
    tycho__payload_clear(&data);
    tycho__msgpack_put_map(&data, 1);
    put_text(&data, "deep");
    for (int i = 0; i < 20; i++) tycho__msgpack_put_array(&data, 1);
    tycho__msgpack_put_array(&data, 0);
    expect_whole(data, NULL);
    tycho__payload_clear(&data);
    tycho__msgpack_put_map(&data, 40);
    for (int i = 0; i < 40; i++) {
        snprintf(text, sizeof text, "field_%d", i);
        put_text(&data, text);
        tycho__msgpack_put_integer(&data, i);
    }
    expect_whole(data, NULL);
    tycho__payload_free(&data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scripts_see_no_difference),
        cmocka_unit_test(what_is_kept_from_an_earlier_call_cannot_be_read),
        cmocka_unit_test(what_decoding_may_refuse_is_decoded),
        cmocka_unit_test(what_is_large_or_deep_or_has_many_fields_is_decoded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
