/* script_host_test.c - deployed scripts at work: event types that check, tag and upcast, linkers,
** read models' links, refusals with their facts, and rules that change under a writer.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <sys/wait.h>
#include <unistd.h>

#include "script_fixture.h"
#include "tycho_rpc.h"

/* What a read gives: "TYPE DATA" for each event, joined by "; ". */
static void assert_read(tycho_store *store, const char *type, uint32_t flags,
                        const char *expected) {
    char found[1000] = "";
    const tycho_bytes types = text(type);
    const tycho_query_item item = {.types = &types, .type_count = 1};
    const tycho_query query = {&item, 1};
    const tycho_read read = {
        .size = sizeof read, .flags = flags, .query = type[0] == '\0' ? NULL : &query};
    tycho_cursor *cursor;
    tycho_event event;
    int status;
    ASSERT_STATUS(tycho_cursor_open(store, &read, &cursor), TYCHO_OK);
    while ((status = tycho_cursor_next(cursor, &event)) == TYCHO_OK) {
        size_t used = strlen(found);
        if (memmem(event.type.data, event.type.size, "Script", 6) != NULL) continue;
        snprintf(found + used, sizeof found - used, "%s%.*s %s", used == 0 ? "" : "; ",
                 (int)event.type.size, (const char *)event.type.data, unpacked(event.data));
    }
    ASSERT_STATUS(status, TYCHO_END);
    tycho_cursor_close(cursor);
    assert_string_equal(found, expected);
}

typedef struct stream_count {
    const char *stream;
    uint64_t count;
} stream_count;

static void assert_counts(tycho_store *store, const stream_count *counts, size_t size) {
    for (size_t i = 0; i < size; i++) {
        if (count_of(store, counts[i].stream, "") != counts[i].count) {
            fail_msg("%s has %d events", counts[i].stream,
                     (int)count_of(store, counts[i].stream, ""));
        }
    }
}

/* ---------------------------------------------------------------- event types */

static void an_event_type_checks_and_tags(void **state) {
    fixture *f = *state;
    deploy(f->store, ORDER_TYPE);
    append(f->store, "order-1", "Order", "{ customer = 'ann', cents = 5 }");
    append(f->store, "order-1", "Other", "{ anything = 1 }");
    assert_int_equal(count_of(f->store, "", "customer:ann"), 1);
    assert_int_equal(count_of(f->store, "", "small"), 1);
    assert_refused(try_append(f->store, "order-1", "Order", "{ customer = 'ann', cents = -5 }"),
                   "cents must not be negative");
    assert_refused(try_append(f->store, "order-1", "Order", "{ customer = 'ann' }"),
                   "data.cents is missing");
    assert_string_equal(tycho_scripts_error()->path, "data.cents");
    assert_refused(try_append(f->store, "", "Order", "{ customer = 'ann', cents = 1 }"),
                   "an order needs a stream");
    assert_int_equal(count_of(f->store, "order-1", ""), 2);
}

static void a_refusal_has_its_facts(void **state) {
    fixture *f = *state;
    deploy(f->store, "return event_type { name = 'T', version = 3, upcast = {\n"
                     "  [1] = function(d) return d end, [2] = function(d) return d end },\n"
                     "  check = function(data)\n"
                     "    local t = data.missing\n"
                     "    return t.field\n"
                     "  end }");
    const tycho_new_event event = {.id = text("the-id"), .type = text("T"), .data = packed("{}")};
    assert_refused(try_append_all(f->store, "s", &event, 1), "attempt to index a nil value");
    const tycho_scripts_failure *failure = tycho_scripts_error();
    assert_string_equal(failure->script, "event_type/T");
    assert_string_equal(failure->event_id, "the-id");
    assert_string_equal(failure->event_type, "T");
    assert_int_equal(failure->version, 3);
    assert_int_equal(failure->line, 5);
    assert_non_null(strstr(failure->traceback, ":5: in "));
    assert_non_null(strstr(tycho_error(), "event_type/T version 3, line 5: "));
    assert_non_null(strstr(tycho_error(), "(event the-id of type T)"));
}

/* Whatever a script says, tycho_error() is one line of UTF-8 that does nothing to a terminal. */
static void what_a_script_says_is_plain_text(void **state) {
    fixture *f = *state;
    deploy(f->store, "return event_type { name = 'T', version = 1, check = function(data)\n"
                     "if data.n == 1 then return '\\27[2Jno\\r\\n\\7 \\xff\\xc3' end\n"
                     "error('x' .. ('\xe2\x82\xac'):rep(400)) end }");
    assert_refused(try_append(f->store, "s", "T", "{ n = 1 }"), " [2Jno \n  ??");
    assert_non_null(strstr(tycho_error(), ":  [2Jno    ?? (event"));
    assert_refused(try_append(f->store, "s", "T", "{ n = 2 }"), "x\xe2\x82\xac");
    assert_true(tycho__utf8_check(tycho_error(), strlen(tycho_error())));
    assert_non_null(strstr(tycho_error(), "\x82\xac? (event"));
}

static void old_events_are_upcast_when_they_are_read(void **state) {
    fixture *f = *state;
    append(f->store, "s", "price_set", "{ amount = 2 }");
    deploy(f->store, "return event_type { name = 'PriceSet', version = 2,\n"
                     "  former_names = { 'price_set' }, data = { cents = 'integer' },\n"
                     "  upcast = { [1] = function(data) return { cents = data.amount * 100 } end }"
                     "}");
    append(f->store, "s", "PriceSet", "{ cents = 7 }");
    assert_read(f->store, "PriceSet", 0, "PriceSet {\"cents\":200}; PriceSet {\"cents\":7}");
    deploy(f->store, "return event_type { name = 'PriceSet', version = 3,\n"
                     "  former_names = { 'price_set' },\n"
                     "  upcast = { function(data) return { cents = data.amount * 100 } end,\n"
                     "    function(data, event) data.currency = 'EUR'; data.of = event.stream\n"
                     "      return data end } }");
    append(f->store, "s", "PriceSet", "{ cents = 8, currency = 'USD' }");
    assert_read(f->store, "PriceSet", 0,
                "PriceSet {\"cents\":200,\"currency\":\"EUR\",\"of\":\"s\"}; "
                "PriceSet {\"cents\":7,\"currency\":\"EUR\",\"of\":\"s\"}; "
                "PriceSet {\"cents\":8,\"currency\":\"USD\"}");
    assert_read(f->store, "", TYCHO_READ_STORED,
                "price_set {\"amount\":2}; PriceSet {\"cents\":7}; "
                "PriceSet {\"cents\":8,\"currency\":\"USD\"}");
    assert_read(f->store, "PriceSet", TYCHO_READ_STORED,
                "PriceSet {\"cents\":7}; PriceSet {\"cents\":8,\"currency\":\"USD\"}");
    assert_read(f->store, "", TYCHO_READ_BACKWARD | TYCHO_READ_FIRST,
                "PriceSet {\"cents\":8,\"currency\":\"USD\"}");
    assert_refused(try_append(f->store, "s", "price_set", "{ amount = 3 }"),
                   "the type has this name now");
}

static void versions_are_known_though_the_history_was_deleted(void **state) {
    fixture *f = *state;
    tycho_batch *batch;
    append(f->store, "$scripts", "ScriptDeployed", "'before there were scripts'");
    append(f->store, "s", "T", "{ n = 1 }");
    deploy(f->store, "return event_type { name = 'T', version = 2,\n"
                     "upcast = { function(data) return { n = data.n + 1 } end } }");
    append(f->store, "s", "T", "{ n = 5 }");
    ASSERT_STATUS(tycho_batch_create(&batch), TYCHO_OK);
    ASSERT_STATUS(tycho_batch_delete_stream(batch, text("$scripts"), 0), TYCHO_OK);
    ASSERT_STATUS(tycho_commit(f->store, batch, NULL), TYCHO_OK);
    tycho_batch_destroy(batch);
    append(f->store, "other", "ScriptDeployed", "'not one of ours'");
    ASSERT_STATUS(try_append(f->store, "$scripts", "ScriptDeployed", "'nor this'"), TYCHO_MISUSE);
    deploy(f->store, "return event_type { name = 'T', version = 3, upcast = {\n"
                     "function(data) return { n = data.n + 1 } end,\n"
                     "function(data) return { n = data.n * 10 } end } }");
    assert_read(f->store, "T", 0, "T {\"n\":20}; T {\"n\":50}");
}

static void an_upcaster_that_fails_is_told_with_the_position(void **state) {
    fixture *f = *state;
    tycho_cursor *cursor;
    tycho_event event;
    const tycho_read read = {.size = sizeof read, .stream = text("s")};
    append(f->store, "s", "T", "{ n = 1 }");
    append(f->store, "s", "U", "{}");
    deploy(f->store, "return event_type { name = 'T', version = 2,\n"
                     "upcast = { function(data) return data.n.m end } }");
    ASSERT_STATUS(tycho_cursor_open(f->store, &read, &cursor), TYCHO_OK);
    assert_refused(tycho_cursor_next(cursor, &event), "attempt to index a number value");
    assert_int_equal(tycho_scripts_error()->position, 1);
    ASSERT_STATUS(tycho_cursor_next(cursor, &event), TYCHO_OK);
    assert_int_equal(event.position, 2);
    tycho_cursor_close(cursor);
}

static void followers_are_served_upcast_events(void **state) {
    fixture *f = *state;
    tycho_follower *follower;
    tycho_event event;
    const tycho_bytes type = text("T");
    const tycho_query_item item = {.types = &type, .type_count = 1};
    const tycho_query query = {&item, 1};
    const tycho_read read = {.size = sizeof read, .query = &query};
    append(f->store, "s", "t", "{ n = 1 }");
    ASSERT_STATUS(tycho_follower_open(f->store, &read, &follower), TYCHO_OK);
    ASSERT_STATUS(tycho_follower_next(follower, 0, &event), TYCHO_TIMEOUT);
    deploy(f->store, "return event_type { name = 'T', version = 2, former_names = 't',\n"
                     "upcast = { function(data) return { m = data.n } end } }");
    tycho_follower_close(follower);
    ASSERT_STATUS(tycho_follower_open(f->store, &read, &follower), TYCHO_OK);
    ASSERT_STATUS(tycho_follower_next(follower, 0, &event), TYCHO_OK);
    assert_string_equal(unpacked(event.data), "{\"m\":1}");
    append(f->store, "s", "T", "{ m = 2 }");
    ASSERT_STATUS(tycho_follower_next(follower, 0, &event), TYCHO_OK);
    assert_string_equal(unpacked(event.data), "{\"m\":2}");
    tycho_follower_close(follower);
}

/* ---------------------------------------------------------------- linkers */

static void linkers_link_what_they_read(void **state) {
    fixture *f = *state;
    deploy(f->store, ORDER_TYPE);
    deploy(f->store, "return linker { name = 'by_customer', version = 1, from = { types = "
                     "{ 'Order' } }, streams = { 'customer-*', 'all' }, "
                     "to = function(event)\n"
                     "return 'customer-' .. event.data.customer, { 'all', 'all' } end }");
    deploy(f->store, "return linker { name = 'tagged', version = 1,\n"
                     "  from = { category = 'order', tags = { 'big' } },\n"
                     "  streams = '*',\n"
                     "  to = function(event) return #event.tags .. event.type end }");
    append(f->store, "order-1", "Order", "{ customer = 'ann', cents = 5 }");
    append(f->store, "order", "Order", "{ customer = 'ann', cents = 5 }");
    append(f->store, "orders-1", "Order", "{ customer = 'bob', cents = 5 }");
    append(f->store, "order-1", "Other", "{}");
    assert_int_equal(count_of(f->store, "customer-ann", ""), 2);
    assert_int_equal(count_of(f->store, "customer-bob", ""), 1);
    assert_int_equal(count_of(f->store, "all", ""), 3);
    assert_int_equal(count_of(f->store, "3Order", ""), 2);
    undeploy(f->store, TYCHO_LINKER, "by_customer");
    append(f->store, "order-2", "Order", "{ customer = 'ann', cents = 5 }");
    assert_int_equal(count_of(f->store, "customer-ann", ""), 2);
    assert_int_equal(count_of(f->store, "3Order", ""), 3);
}

/* A function that read the type alone is not called again for that type in the same batch. */
static void linkers_link_each_event_of_a_batch_by_itself(void **state) {
    fixture *f = *state;
    static const char *const sources[] = {
        "return linker { name = 'a', version = 1, from = { types = { 'A', 'B' } }, "
        "streams = { 'a-*', 'b' }, to = function(event) if event.type == 'A' then "
        "return 'a-' .. event.data.k end return 'b' end }",
        "return linker { name = 'b', version = 1, "
        "streams = '*', to = function(event) return 'type-' .. event.type end }",
        "return linker { name = 'c', version = 1, from = { types = { 'A', 'B' } }, "
        "streams = 'all*', to = function() return 'all', { 'all-too' }, nil end }",
        "return linker { name = 'd', version = 1, from = { types = { 'A' }, tags = { 'big' } }, "
        "streams = '*', to = function(event) return 'big-' .. event.type end }",
        "return linker { name = 'e', version = 1, from = { types = { 'A', 'B' } }, "
        "streams = 'of-*', "
        "to = function(event) return event.type == 'B' and 'of-' .. event.stream or {} end }"};
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++) deploy(f->store, sources[i]);
    const tycho_bytes big = text("big");
    const tycho_new_event events[] = {
        {.type = text("A"), .data = packed("{ k = 1 }")},
        {.type = text("B")},
        {.type = text("A"), .data = packed("{ k = 2 }"), .tags = &big, .tag_count = 1},
        {.type = text("B")},
        {.type = text("C")},
        {.type = text("A"), .data = packed("{ k = 1 }"), .tags = &big, .tag_count = 1}};
    tycho_batch *batch;
    ASSERT_STATUS(tycho_batch_create(&batch), TYCHO_OK);
    ASSERT_STATUS(tycho_batch_append(batch, text("s"), TYCHO_EXPECT_ANY, events, 3, 0), TYCHO_OK);
    ASSERT_STATUS(tycho_batch_append(batch, text("t"), TYCHO_EXPECT_ANY, events + 3, 3, 0),
                  TYCHO_OK);
    ASSERT_STATUS(tycho_commit(f->store, batch, NULL), TYCHO_OK);
    tycho_batch_destroy(batch);
    const stream_count counts[] = {{"a-1", 2}, {"a-2", 1}, {"b", 2}, {"type-A", 3}, {"type-B", 2},
                                   {"type-C", 1}, {"all", 5}, {"all-too", 5}, {"big-A", 2},
                                   {"of-s", 1}, {"of-t", 1}};
    assert_counts(f->store, counts, sizeof counts / sizeof *counts);
}

static void ready_made_linkers_link_by_what_events_have(void **state) {
    fixture *f = *state;
    static const char *const sources[] = {
        "return linker { name = 'a', version = 1, by = 'type' }",
        "return linker { name = 'b', version = 1, by = 'correlation' }",
        "return linker { name = 'c', version = 1, by = 'causation', prefix = 'cause-' }",
        "return linker { name = 'd', version = 1, by = 'category' }",
        "return linker { name = 'e', version = 1, by = 'metadata', key = 'tenant' }"};
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++) deploy(f->store, sources[i]);
    const tycho_new_event events[] = {{.type = text("A"),
                                       .correlation_id = text("c1"),
                                       .causation_id = text("c2"),
                                       .metadata = packed("{ a = 1, tenant = 'x' }")},
                                      {.type = text("B"), .metadata = packed("{ tenant = 7 }")},
                                      {.type = text("B"), .metadata = packed("{ tenant = null }")}};
    ASSERT_STATUS(try_append_all(f->store, "cat-1", events, 3), TYCHO_OK);
    const stream_count counts[] = {{"$by_type_A", 1}, {"$by_type_B", 2},
                                   {"$by_correlation_id_c1", 1}, {"cause-c2", 1},
                                   {"$by_category_cat", 3}, {"$by_tenant_x", 1},
                                   {"$by_tenant_7", 1}};
    assert_counts(f->store, counts, sizeof counts / sizeof *counts);
    const tycho_new_event wrong = {.type = text("A"), .metadata = packed("{ tenant = { 1 } }")};
    assert_refused(try_append_all(f->store, "s", &wrong, 1), "neither text nor an integer");
}

/* Bytes of a host that writes its metadata itself: MessagePack of any kind, or none. */
static void linkers_by_metadata_take_what_any_host_writes(void **state) {
    fixture *f = *state;
    deploy(f->store, "return linker { name = 'e', version = 1, by = 'metadata', key = 'k' }");
    static const struct {
        const char *bytes;
        size_t size;
        const char *stream;  /* NULL: refused */
        const char *message; /* which says so */
    } cases[] = {
        {"", 0, "", ""},
        {"\x80", 1, "", ""},
        {"\x81\xa1j\x01", 4, "", ""},
        {"\x81\xa1k\xc0", 4, "", ""},
        {"\x81\xa1k\xc3", 4, "$by_k_true", ""},
        {"\x82\xa1j\x93\x01\x02\x03\xa1k\xc2", 10, "$by_k_false", ""},
        {"\x81\xa1k\xd3\xff\xff\xff\xff\xff\xff\xff\xfe", 12, "$by_k_-2", ""},
        {"\x81\xa1k\xcf\xff\xff\xff\xff\xff\xff\xff\xff", 12, "$by_k_18446744073709551615", ""},
        {"\x81\xa1k\xa0", 4, "", ""},
        {"\x81\xa1k\xa1\n", 5, NULL, "no stream can be named"},
        {"\x81\xa1k\xcb\0\0\0\0\0\0\0\0", 12, NULL, "the metadata"},
        {"\xc1", 1, NULL, "the metadata"},
        {"\x90", 1, NULL, "the metadata"},
        {"\x81", 1, NULL, "the metadata"},
        {"\x81\x01\x02", 3, NULL, "the metadata"},
        {"\x81\xa1k", 3, NULL, "the metadata"},
        {"\x82\xa1j\x01", 4, NULL, "the metadata"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const tycho_new_event event = {.type = text("A"),
                                       .metadata = bytes_of(cases[i].bytes, cases[i].size)};
        const char *stream = cases[i].stream;
        if (stream == NULL) {
            assert_refused(try_append_all(f->store, "s", &event, 1), cases[i].message);
            continue;
        }
        ASSERT_STATUS(try_append_all(f->store, "s", &event, 1), TYCHO_OK);
        if (stream[0] != '\0') assert_int_equal(count_of(f->store, stream, ""), 1);
    }
    assert_int_equal(count_of(f->store, "s", ""), 9);
    char word[303] = "\x81\xa1k\xda\x01\x28"; /* a string of 296 bytes */
    memset(word + 6, 'x', sizeof word - 6);
    const tycho_new_event large = {.type = text("A"), .metadata = bytes_of(word, 302)};
    assert_refused(try_append_all(f->store, "s", &large, 1), "255 bytes");
    word[4] = 0;
    word[5] = (char)250; /* a name by itself, but not behind the prefix */
    const tycho_new_event long_one = {.type = text("A"), .metadata = bytes_of(word, 256)};
    assert_refused(try_append_all(f->store, "s", &long_one, 1), "too long behind the prefix");
}

static void a_read_model_links_into_the_streams_of_its_instances(void **state) {
    fixture *f = *state;
    deploy(f->store, "return read_model { name = 'Seats', version = 1, types = { 'Sold' },\n"
                     "  keys = function(event) return event.data.match end,\n"
                     "  init = function() return {} end,\n"
                     "  on = { Sold = function(state, event) state.n = 1 end } }");
    append(f->store, "s", "Sold", "{ match = 12 }");
    append(f->store, "s", "Sold", "{ match = { 'a', 'b' } }");
    append(f->store, "s", "Other", "{}");
    assert_int_equal(count_of(f->store, "Seats$12", ""), 1);
    assert_int_equal(count_of(f->store, "Seats$a", ""), 1);
    assert_int_equal(count_of(f->store, "Seats$b", ""), 1);
}

static void a_list_with_holes_of_a_read_model_is_refused(void **state) {
    static const char *const lists[] = {"{ [2] = 'a' }", "{ [3] = 'a', [5] = 'b' }",
                                        "{ 'a', nil, 'b' }", "{ key = 'a' }"};
    fixture *f = *state;
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        char source[300];
        snprintf(source, sizeof source,
                 "return read_model { name = 'Holes', version = %zu, types = { 'Sold' },\n"
                 "  keys = function(event) return %s end,\n"
                 "  init = function() return {} end, on = { _ = function() end } }",
                 i + 1, lists[i]);
        deploy(f->store, source);
        assert_refused(try_append(f->store, "s", "Sold", "{}"), "where names are expected");
    }
}

/* ---------------------------------------------------------------- scripts that misbehave */

static const struct {
    const char *body, *message;
} wrong_linkers[] = {
    {"while true do end", "used up its 1000000 instructions"},
    {"local s = 'x' while true do s = s .. s end", "memory"},
    {"return 5", "a number was returned, where names are expected"},
    {"return { {} }", "a table was returned, where names are expected"},
    {"return { stream = 's' }", "a table with other keys than 1, 2, 3 ... was returned"},
    {"return event.data", "a table with other keys than 1, 2, 3 ... was returned"},
    {"return { 's', x = 's' }", "a table with other keys than 1, 2, 3 ... was returned"},
    {"return 'a\\nb'", "has a control character"},
    {"return ('x'):rep(256)", "xxx...\" that was returned has over 255 bytes"},
    {"return ''", "is empty"},
    {"return '\\xff'", "is not UTF-8"},
    {"event.type = 'x'", "event is read-only"},
    {"return event.no_such", "event has no field 'no_such'"},
    {"return getmetatable(event.data.list).x", "attempt to index a boolean value"},
    {"setmetatable(event.data.list, {})", ""},
    {"seen = 1", "cannot be set"},
    {"local t = {} for i = 1, 20000 do t[i] = ('s'):rep(200) end local u = {}\n"
     "for i = 1, 200 do u[i] = t end return table.unpack(u)",
     "used up its 1000000 instructions"},
    {"kept[#kept + 1] = 1; return 's'", "keeps something between two calls"},
    {"error({ code = 1 })", "as error"},
};

static void a_script_that_fails_refuses_its_batch_only(void **state) {
    fixture *f = *state;
    for (size_t i = 0; i < sizeof wrong_linkers / sizeof *wrong_linkers; i++) {
        char source[500];
        snprintf(source, sizeof source,
                 "local kept = {}\nreturn linker { name = 'wrong', version = %zu, "
                 "from = { types = { 'T' } }, streams = '*',\n"
                 "to = function(event) if event.data.bad then %s end end, }",
                 i + 1, wrong_linkers[i].body);
        deploy(f->store, source);
        assert_refused(try_append(f->store, "s", "T", "{ bad = true, list = { 1 } }"),
                       wrong_linkers[i].message);
        assert_string_equal(tycho_scripts_error()->script, "linker/wrong");
        bool is_over = i == 1 || strstr(wrong_linkers[i].message, "used up") != NULL;
        assert_int_equal(tycho_scripts_error()->is_over_limit, is_over);
        append(f->store, "s", "T", "{ good = 1 }");
        append(f->store, "s", "U", "{ bad = true }");
    }
    uint64_t cases = sizeof wrong_linkers / sizeof *wrong_linkers;
    assert_int_equal(count_of(f->store, "s", ""), 2 * cases);
}

/* ---------------------------------------------------------------- rules that change */

static void rules_of_another_process_hold_for_the_next_batch(void **state) {
    fixture *f = *state;
    append(f->store, "s", "Order", "{ customer = 1 }");
    pid_t child = fork();
    if (child == 0) {
        tycho_store *store;
        bool is_done = open_store(f->path, TYCHO_EXISTING, &store) == TYCHO_OK &&
                       tycho_scripts_attach(store) == TYCHO_OK &&
                       try_deploy(store, ORDER_TYPE) == TYCHO_OK;
        tycho_store_close(store);
        _exit(is_done ? 0 : 1);
    }
    int result;
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_int_equal(result, 0);
    assert_refused(try_append(f->store, "s", "Order", "{ customer = 1 }"),
                   "data.customer is 1, must be a string");
    append(f->store, "s", "Order", "{ customer = 'ann', cents = 1 }");
    assert_int_equal(count_of(f->store, "", "customer:ann"), 1);
}

static void a_refusal_under_rules_that_are_gone_is_no_answer(void **state) {
    fixture *f = *state;
    tycho_store *other = open_attached(f->path);
    deploy(f->store, ORDER_TYPE);
    assert_refused(try_append(f->store, "s", "Order", "{}"), "is missing");
    pid_t child = fork();
    if (child == 0) {
        tycho_store *store;
        bool is_open = open_store(f->path, TYCHO_EXISTING, &store) == TYCHO_OK &&
                       tycho_scripts_attach(store) == TYCHO_OK;
        if (is_open) undeploy(store, TYCHO_EVENT_TYPE, "Order");
        tycho_store_close(store);
        _exit(is_open ? 0 : 1);
    }
    int result;
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_int_equal(result, 0);
    append(f->store, "s", "Order", "{}");
    tycho_store_close(other);
}

static void a_host_without_scripts_is_refused_and_may_read(void **state) {
    fixture *f = *state;
    tycho_store *plain;
    append(f->store, "s", "price_set", "{ amount = 2 }");
    deploy(f->store, "return event_type { name = 'PriceSet', version = 2,\n"
                     "  former_names = 'price_set', upcast = { function() return {} end } }");
    ASSERT_STATUS(open_store(f->path, TYCHO_EXISTING, &plain), TYCHO_OK);
    ASSERT_STATUS(try_append(plain, "s", "T", "{}"), TYCHO_DENIED);
    assert_read(plain, "", 0, "price_set {\"amount\":2}");
    ASSERT_STATUS(tycho_scripts_attach(plain), TYCHO_OK);
    append(plain, "s", "T", "{}");
    tycho_store_close(plain);
}

/* A row that no deployment wrote: the newer script of another library, say. */
static void a_script_that_cannot_be_compiled_stops_all_but_its_removal(void **state) {
    fixture *f = *state;
    tycho_batch *batch;
    tycho_cursor *cursor;
    tycho_event event;
    const tycho_read read = {.size = sizeof read, .stream = text("s")};
    append(f->store, "s", "T", "{}");
    ASSERT_STATUS(tycho_batch_create(&batch), TYCHO_OK);
    tycho_bytes row = packed("{ kind = 'linker', name = 'new', version = 1, "
                             "source = 'return projection {}' }");
    ASSERT_STATUS(tycho_batch_deploy(batch, text("linker/new"), row), TYCHO_OK);
    ASSERT_STATUS(tycho_commit(f->store, batch, NULL), TYCHO_OK);
    assert_refused(try_append(f->store, "s", "T", "{}"), "there is no global 'projection'");
    ASSERT_STATUS(tycho_cursor_open(f->store, &read, &cursor), TYCHO_OK);
    assert_refused(tycho_cursor_next(cursor, &event), "there is no global 'projection'");
    assert_refused(tycho_cursor_next(cursor, &event), "there is no global 'projection'");
    tycho_batch_clear(batch);
    ASSERT_STATUS(tycho_batch_deploy(batch, text("linker/new"), text("")), TYCHO_OK);
    ASSERT_STATUS(tycho_commit(f->store, batch, NULL), TYCHO_OK);
    tycho_batch_destroy(batch);
    append(f->store, "s", "T", "{}");
    tycho_cursor_close(cursor);
    assert_read(f->store, "", 0, "T {}; T {}");
}

/* ---------------------------------------------------------------- through the protocol */

static void assert_answer(tycho_rpc_session *session, const char *request, const char *expected) {
    tycho_bytes answer;
    tycho_rpc_call(session, text(request), &answer);
    if (memmem(answer.data, answer.size, expected, strlen(expected)) == NULL) {
        fail_msg("%.*s does not have %s", (int)answer.size, (const char *)answer.data, expected);
    }
}

static void the_protocol_runs_scripts_and_answers_with_their_facts(void **state) {
    fixture *f = *state;
    tycho_rpc *rpc;
    tycho_rpc_session *session;
    deploy(f->store, ORDER_TYPE);
    ASSERT_STATUS(tycho_rpc_create(&rpc), TYCHO_OK);
    ASSERT_STATUS(tycho_rpc_open(rpc, f->path), TYCHO_OK);
    ASSERT_STATUS(tycho_rpc_session_create(rpc, &session), TYCHO_OK);
    assert_answer(session,
                  "{\"op\":\"append\",\"stream\":\"s\",\"records\":[{\"event_type\":\"Order\","
                  "\"data\":{\"customer\":\"ann\",\"cents\":1}}]}",
                  "\"ok\":true");
    assert_int_equal(count_of(f->store, "", "customer:ann"), 1);
    const char *wrong = "{\"op\":\"append\",\"stream\":\"s\",\"records\":[{\"event_id\":\"e\","
                        "\"event_type\":\"Order\",\"data\":{\"customer\":1}}]}";
    assert_answer(session, wrong, "\"error\":\"rejected\"");
    assert_answer(session, wrong,
                  "\"script\":\"event_type/Order\",\"version\":1,\"path\":\"data.customer\","
                  "\"reason\":\"data.customer is 1, must be a string\",\"event_id\":\"e\","
                  "\"event_type\":\"Order\"");
    tycho_rpc_session_destroy(session);
    tycho_rpc_destroy(rpc);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(an_event_type_checks_and_tags),
        TEST(a_refusal_has_its_facts),
        TEST(what_a_script_says_is_plain_text),
        TEST(old_events_are_upcast_when_they_are_read),
        TEST(versions_are_known_though_the_history_was_deleted),
        TEST(an_upcaster_that_fails_is_told_with_the_position),
        TEST(followers_are_served_upcast_events),
        TEST(linkers_link_what_they_read),
        TEST(linkers_link_each_event_of_a_batch_by_itself),
        TEST(ready_made_linkers_link_by_what_events_have),
        TEST(linkers_by_metadata_take_what_any_host_writes),
        TEST(a_read_model_links_into_the_streams_of_its_instances),
        TEST(a_list_with_holes_of_a_read_model_is_refused),
        TEST(a_script_that_fails_refuses_its_batch_only),
        TEST(rules_of_another_process_hold_for_the_next_batch),
        TEST(a_refusal_under_rules_that_are_gone_is_no_answer),
        TEST(a_host_without_scripts_is_refused_and_may_read),
        TEST(a_script_that_cannot_be_compiled_stops_all_but_its_removal),
        TEST(the_protocol_runs_scripts_and_answers_with_their_facts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
