/* script_models_test.c - on-demand read models: catch-up, folds that continue, late events, new
** versions, failures.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "script_fixture.h"

/* A model that keeps the names that its events have, in the order in which it saw them. */
#define NAMES_MODEL(version, types, history, order)                                                \
    "return read_model { name = 'Names', version = " version ", types = " types ",\n"              \
    "  order = '" order "', init = function(key) return { key = key, names = '' } end,\n"          \
    "  keys = function(event) return event.data.keys end, " history "\n"                           \
    "  on = { _ = function(state, event)\n"                                                        \
    "    if event.data.bad then error('bad event') end\n"                                          \
    "    state.names = state.names .. event.data.name end } }"

#define BY_TAG "history = function(key) return { { tags = 'of:' .. key } } end,"

static const char names_model[] = NAMES_MODEL("1", "{ 'N' }", BY_TAG, "position");

/* An event of the model that carries its tag, so that history finds it. */
static void append_tagged(tycho_store *store, const char *type, const char *data, const char *tag,
                          int64_t time) {
    const tycho_bytes tags = text(tag);
    const tycho_new_event event = {.type = text(type),
                                   .flags = time != 0 ? TYCHO_HAS_TIME : 0,
                                   .time = time,
                                   .tags = &tags,
                                   .tag_count = 1,
                                   .data = packed(data)};
    tycho_batch *batch;
    ASSERT_STATUS(tycho_batch_create(&batch), TYCHO_OK);
    ASSERT_STATUS(tycho_batch_append(batch, text(""), TYCHO_EXPECT_ANY, &event, 1, 0), TYCHO_OK);
    ASSERT_STATUS(tycho_commit(store, batch, NULL), TYCHO_OK);
    tycho_batch_destroy(batch);
}

static tycho_model *open_model(tycho_store *store) {
    tycho_model *model;
    ASSERT_STATUS(tycho_model_open(store, text("Names"), &model), TYCHO_OK);
    return model;
}

/* Asks, with a snapshot after each event, and compares with a fresh fold. */
static tycho_model_result ask(tycho_model *model, const char *key, const char *expected) {
    tycho_model_options options = {.size = sizeof options, .snapshot_after = 1};
    tycho_model_result result, fresh;
    ASSERT_STATUS(tycho_model_get(model, text(key), &options, &result), TYCHO_OK);
    assert_string_equal(unpacked(result.state), expected);
    options.flags = TYCHO_MODEL_FRESH;
    ASSERT_STATUS(tycho_model_get(model, text(key), &options, &fresh), TYCHO_OK);
    assert_string_equal(unpacked(fresh.state), expected);
    assert_int_equal(fresh.events, result.events);
    assert_int_equal(fresh.folded, fresh.events);
    return result;
}

static uint64_t head_of(tycho_store *store) {
    uint64_t head;
    ASSERT_STATUS(tycho_head(store, &head), TYCHO_OK);
    return head;
}

static uint64_t rows_of(tycho_store *store) {
    tycho_stats stats = {.size = sizeof stats};
    ASSERT_STATUS(tycho_stats_get(store, &stats), TYCHO_OK);
    return stats.rows;
}

/* ---------------------------------------------------------------- asking */

static void old_events_are_linked_when_an_instance_is_first_asked_for(void **state) {
    fixture *f = *state;
    append_tagged(f->store, "N", "{ name = 'a' }", "of:1", 0);
    append_tagged(f->store, "N", "{ name = 'x' }", "of:2", 0);
    append_tagged(f->store, "N", "{ name = 'b' }", "of:1", 0);
    append_tagged(f->store, "Other", "{ name = 'o' }", "of:1", 0);
    deploy(f->store, names_model);
    tycho_model *model = open_model(f->store);
    assert_int_equal(count_of(f->store, "Names$1", ""), 0);
    tycho_model_result result = ask(model, "1", "{\"key\":\"1\",\"names\":\"ab\"}");
    assert_int_equal(result.linked, 2);
    assert_int_equal(result.was_caught_up, 1);
    assert_int_equal(result.folded, 2);
    assert_int_equal(result.stored, TYCHO_OK);
    assert_int_equal(result.position, head_of(f->store));
    result = ask(model, "1", "{\"key\":\"1\",\"names\":\"ab\"}");
    assert_int_equal(result.was_caught_up, 0);
    assert_int_equal(result.folded, 0);
    assert_int_equal(result.events, 2);
    append(f->store, "", "N", "{ name = 'c', keys = { '1', '2', 3 } }");
    append(f->store, "", "N", "{ name = 'nobody' }");
    result = ask(model, "1", "{\"key\":\"1\",\"names\":\"abc\"}");
    assert_int_equal(result.folded, 1);
    assert_int_equal(count_of(f->store, "Names$1", ""), 3);
    ask(model, "2", "{\"key\":\"2\",\"names\":\"xc\"}");
    ask(model, "3", "{\"key\":\"3\",\"names\":\"c\"}");
    tycho_model_close(model);
}

static void an_instance_of_which_nothing_is_known_leaves_nothing(void **state) {
    fixture *f = *state;
    deploy(f->store, names_model);
    tycho_model *model = open_model(f->store);
    uint64_t rows = rows_of(f->store);
    tycho_model_result result = ask(model, "9", "{\"key\":\"9\",\"names\":\"\"}");
    assert_int_equal(result.is_known, 0);
    assert_int_equal(rows_of(f->store), rows);
    append_tagged(f->store, "N", "{ name = 'late' }", "of:9", 0);
    result = ask(model, "9", "{\"key\":\"9\",\"names\":\"late\"}");
    assert_int_equal(result.is_known, 1);
    ASSERT_STATUS(tycho_model_get(model, text(""), NULL, &result), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_model_get(model, text("a\nb"), NULL, &result), TYCHO_MISUSE);
    tycho_model_close(model);
    ASSERT_STATUS(tycho_model_open(f->store, text("Nobody"), &model), TYCHO_NOT_FOUND);
    assert_null(model);
}

static void what_was_linked_before_the_catch_up_is_sorted_in(void **state) {
    fixture *f = *state;
    append_tagged(f->store, "N", "{ name = 'a' }", "of:1", 0);
    append_tagged(f->store, "N", "{ name = 'b' }", "of:1", 0);
    deploy(f->store, names_model);
    append_tagged(f->store, "N", "{ name = 'c', keys = { '1' } }", "of:1", 0);
    append(f->store, "", "N", "{ name = 'd', keys = { '1' } }");
    tycho_model *model = open_model(f->store);
    tycho_model_result result = ask(model, "1", "{\"key\":\"1\",\"names\":\"abcd\"}");
    assert_int_equal(result.linked, 2);
    tycho_model_close(model);
}

static void a_late_event_is_sorted_in_by_time(void **state) {
    fixture *f = *state;
    deploy(f->store, NAMES_MODEL("1", "{ 'N' }", "", "time"));
    tycho_model *model = open_model(f->store);
    append_tagged(f->store, "N", "{ name = 'b', keys = 'k' }", "t", 2000);
    append_tagged(f->store, "N", "{ name = 'd', keys = 'k' }", "t", 4000);
    ask(model, "k", "{\"key\":\"k\",\"names\":\"bd\"}");
    append_tagged(f->store, "N", "{ name = 'a', keys = 'k' }", "t", 1000);
    tycho_model_result result = ask(model, "k", "{\"key\":\"k\",\"names\":\"abd\"}");
    assert_int_equal(result.folded, 3);
    append_tagged(f->store, "N", "{ name = 'e', keys = 'k' }", "t", 4000);
    result = ask(model, "k", "{\"key\":\"k\",\"names\":\"abde\"}");
    assert_int_equal(result.folded, 1);
    append_tagged(f->store, "N", "{ name = 'c', keys = 'k' }", "t", 3999);
    ask(model, "k", "{\"key\":\"k\",\"names\":\"abcde\"}");
    tycho_model_close(model);
}

static void a_history_goes_on_from_what_it_found(void **state) {
    fixture *f = *state;
    append_tagged(f->store, "Pass", "{ name = 'p' }", "season:26", 0);
    append_tagged(f->store, "Pass", "{ name = 'q' }", "season:25", 0);
    append(f->store, "match-1", "Match", "{ name = 'm', season = 26 }");
    append(f->store, "match-1", "Ticket", "{ name = 't' }");
    deploy(f->store, "return read_model { name = 'Names', version = 1,\n"
                     "  types = { 'Pass', 'Match', 'Ticket' }, keys = function() end,\n"
                     "  history = function(key) return { { stream = 'match-' .. key },\n"
                     "    { stream = 'no-such-stream' }, function(k, state) return {\n"
                     "      { types = 'Pass', tags = 'season:' .. state.season } } end } end,\n"
                     "  init = function() return { names = '' } end, on = {\n"
                     "    _ = function(s, e) s.names = s.names .. e.data.name end,\n"
                     "    Match = function(s, e) s.season = e.data.season end } }");
    tycho_model *model = open_model(f->store);
    ask(model, "1", "{\"names\":\"pt\",\"season\":26}");
    tycho_model_close(model);
}

/* ---------------------------------------------------------------- versions */

static void a_new_version_reads_more_everywhere(void **state) {
    fixture *f = *state;
    tycho_model_totals totals;
    append_tagged(f->store, "N", "{ name = 'a' }", "of:1", 0);
    append_tagged(f->store, "O", "{ name = 'o' }", "of:1", 0);
    append_tagged(f->store, "N", "{ name = 'b' }", "of:1", 0);
    append_tagged(f->store, "N", "{ name = 'c' }", "of:2", 0);
    deploy(f->store, names_model);
    tycho_model *model = open_model(f->store);
    ask(model, "1", "{\"key\":\"1\",\"names\":\"ab\"}");
    ask(model, "2", "{\"key\":\"2\",\"names\":\"c\"}");
    deploy(f->store, NAMES_MODEL("2", "{ 'N', 'O' }", BY_TAG, "position"));
    ASSERT_STATUS(tycho_model_count(model, &totals), TYCHO_OK);
    assert_int_equal(totals.version, 2);
    assert_int_equal(totals.instances, 2);
    assert_int_equal(totals.current, 0);
    assert_int_equal(totals.snapshots, 0);
    ASSERT_STATUS(tycho_model_maintain(model, NULL, NULL), TYCHO_OK);
    ASSERT_STATUS(tycho_model_count(model, &totals), TYCHO_OK);
    assert_int_equal(totals.current, 2);
    assert_int_equal(count_of(f->store, "Names$1", ""), 3);
    tycho_model_result result = ask(model, "1", "{\"key\":\"1\",\"names\":\"aob\"}");
    assert_int_equal(result.was_caught_up, 0);
    assert_int_equal(result.version, 2);
    tycho_model_close(model);
}

static void nothing_is_missed_while_a_model_is_not_deployed(void **state) {
    fixture *f = *state;
    tycho_model_result result;
    deploy(f->store, names_model);
    tycho_model *model = open_model(f->store);
    append_tagged(f->store, "N", "{ name = 'a', keys = '1' }", "of:1", 0);
    ask(model, "1", "{\"key\":\"1\",\"names\":\"a\"}");
    undeploy(f->store, TYCHO_READ_MODEL, "Names");
    ASSERT_STATUS(tycho_model_get(model, text("1"), NULL, &result), TYCHO_NOT_FOUND);
    append_tagged(f->store, "N", "{ name = 'b', keys = '1' }", "of:1", 0);
    deploy(f->store, names_model);
    append_tagged(f->store, "N", "{ name = 'c', keys = '1' }", "of:1", 0);
    ask(model, "1", "{\"key\":\"1\",\"names\":\"abc\"}");
    tycho_model_close(model);
}

static void a_snapshot_ends_with_the_event_type_it_was_made_under(void **state) {
    fixture *f = *state;
    deploy(f->store, names_model);
    tycho_model *model = open_model(f->store);
    append_tagged(f->store, "N", "{ name = 'a', keys = '1' }", "of:1", 0);
    ask(model, "1", "{\"key\":\"1\",\"names\":\"a\"}");
    deploy(f->store, "return event_type { name = 'N', version = 2, upcast = {\n"
                     "  function(data) data.name = data.name .. '!' return data end } }");
    append_tagged(f->store, "N", "{ name = 'b', keys = '1' }", "of:1", 0);
    ask(model, "1", "{\"key\":\"1\",\"names\":\"a!b\"}");
    tycho_model_close(model);
}

/* ---------------------------------------------------------------- failures */

static void a_handler_that_fails_refuses_its_instance_alone(void **state) {
    fixture *f = *state;
    tycho_model_options options = {.size = sizeof options, .snapshot_after = 1};
    tycho_model_result result;
    tycho_model_instance instance;
    deploy(f->store, names_model);
    tycho_model *model = open_model(f->store);
    append(f->store, "", "N", "{ name = 'a', keys = { '1', '2' } }");
    ask(model, "1", "{\"key\":\"1\",\"names\":\"a\"}");
    append(f->store, "", "N", "{ name = 'b', keys = '1' }");
    append(f->store, "", "N", "{ bad = true, keys = '1' }");
    assert_refused(tycho_model_get(model, text("1"), &options, &result), "bad event");
    const tycho_scripts_failure *failure = tycho_scripts_error();
    assert_string_equal(failure->key, "1");
    assert_string_equal(failure->script, "read_model/Names");
    assert_int_equal(failure->position, head_of(f->store));
    assert_int_equal(failure->line, 5);
    assert_non_null(strstr(tycho_error(), "(key 1)"));
    ASSERT_STATUS(tycho_model_look(model, text("1"), &instance), TYCHO_OK);
    assert_int_equal(instance.snapshot_events, 1);
    assert_int_equal(instance.behind, 2);
    ask(model, "2", "{\"key\":\"2\",\"names\":\"a\"}");
    tycho_model_close(model);
}

static int note(void *context, const tycho_model_progress *now) {
    *(tycho_model_progress *)context = *now;
    return TYCHO_OK;
}

static void a_history_that_fails_leaves_the_others_alone(void **state) {
    fixture *f = *state;
    const tycho_bytes keys[] = {text("1"), text("bad"), text("2"), text("1")};
    tycho_model_progress last = {0};
    tycho_model_result result;
    append_tagged(f->store, "N", "{ name = 'a' }", "of:1", 0);
    append_tagged(f->store, "N", "{ name = 'b' }", "of:2", 0);
    deploy(f->store, NAMES_MODEL("1", "{ 'N' }",
                                 "history = function(key) if key == 'bad' then error('no') end\n"
                                 "  return { { tags = 'of:' .. key } } end,",
                                 "position"));
    tycho_model *model = open_model(f->store);
    assert_refused(tycho_model_prepare(model, keys, 4, note, &last), "no");
    assert_string_equal(tycho_scripts_error()->key, "bad");
    assert_int_equal(last.total, 4);
    assert_int_equal(last.done, 4);
    assert_int_equal(last.failed, 1);
    assert_int_equal(last.linked, 2);
    assert_refused(tycho_model_get(model, text("bad"), NULL, &result), "no");
    ask(model, "1", "{\"key\":\"1\",\"names\":\"a\"}");
    result = ask(model, "2", "{\"key\":\"2\",\"names\":\"b\"}");
    assert_int_equal(result.was_caught_up, 0);
    tycho_model_close(model);
}

static int stop(void *context, const tycho_model_progress *now) {
    (void)context;
    (void)now;
    return TYCHO_DENIED;
}

static void many_instances_are_prepared_in_groups(void **state) {
    enum { COUNT = 600, EACH = 30 };
    fixture *f = *state;
    char names[COUNT][8], tag[16];
    tycho_bytes keys[COUNT];
    tycho_model_progress last = {0};
    for (int i = 0; i < COUNT; i++) {
        snprintf(names[i], sizeof names[i], "%d", i);
        keys[i] = text(names[i]);
    }
    tycho_batch *batch;
    ASSERT_STATUS(tycho_batch_create(&batch), TYCHO_OK);
    for (int i = 0; i < EACH; i++) {
        tycho_batch_clear(batch);
        for (int k = 0; k < COUNT; k++) {
            snprintf(tag, sizeof tag, "of:%d", k);
            const tycho_bytes tags = text(tag);
            const tycho_new_event event = {
                .type = text("N"), .tags = &tags, .tag_count = 1, .data = packed("{ name = '.' }")};
            ASSERT_STATUS(tycho_batch_append(batch, text(""), TYCHO_EXPECT_ANY, &event, 1, 0),
                          TYCHO_OK);
        }
        ASSERT_STATUS(tycho_commit(f->store, batch, NULL), TYCHO_OK);
    }
    tycho_batch_destroy(batch);
    deploy(f->store, names_model);
    tycho_model *model = open_model(f->store);
    ASSERT_STATUS(tycho_model_prepare(model, keys, COUNT, stop, NULL), TYCHO_DENIED);
    ASSERT_STATUS(tycho_model_prepare(model, keys, COUNT, note, &last), TYCHO_OK);
    assert_int_equal(last.done, COUNT);
    assert_int_equal(last.linked, (COUNT - 256) * EACH);
    tycho_model_result result =
        ask(model, "599", "{\"key\":\"599\",\"names\":\"..............................\"}");
    assert_int_equal(result.was_caught_up, 0);
    tycho_model_close(model);
}

static void an_instance_is_forgotten(void **state) {
    fixture *f = *state;
    tycho_model_instance instance;
    append_tagged(f->store, "N", "{ name = 'a' }", "of:1", 0);
    deploy(f->store, names_model);
    uint64_t rows = rows_of(f->store);
    tycho_model *model = open_model(f->store);
    ask(model, "1", "{\"key\":\"1\",\"names\":\"a\"}");
    ASSERT_STATUS(tycho_model_look(model, text("1"), &instance), TYCHO_OK);
    assert_int_equal(instance.is_current, 1);
    assert_int_equal(instance.entries, 1);
    assert_int_equal(instance.behind, 0);
    ASSERT_STATUS(tycho_model_forget(model, text("1")), TYCHO_OK);
    assert_int_equal(rows_of(f->store), rows);
    assert_int_equal(count_of(f->store, "Names$1", ""), 0);
    ASSERT_STATUS(tycho_model_look(model, text("1"), &instance), TYCHO_OK);
    assert_int_equal(instance.is_caught_up, 0);
    ask(model, "1", "{\"key\":\"1\",\"names\":\"a\"}");
    tycho_model_close(model);
}

static void a_read_only_handle_answers_what_is_caught_up(void **state) {
    fixture *f = *state;
    tycho_store *reader;
    tycho_model *model;
    tycho_model_options options = {.size = sizeof options, .snapshot_after = 1};
    tycho_model_result result;
    append_tagged(f->store, "N", "{ name = 'a' }", "of:1", 0);
    append_tagged(f->store, "N", "{ name = 'b' }", "of:2", 0);
    deploy(f->store, names_model);
    model = open_model(f->store);
    ask(model, "1", "{\"key\":\"1\",\"names\":\"a\"}");
    tycho_model_close(model);
    append(f->store, "", "N", "{ name = 'c', keys = '1' }");
    ASSERT_STATUS(open_store(f->path, TYCHO_READ_ONLY, &reader), TYCHO_OK);
    ASSERT_STATUS(tycho_scripts_attach(reader), TYCHO_OK);
    ASSERT_STATUS(tycho_model_open(reader, text("Names"), &model), TYCHO_OK);
    ASSERT_STATUS(tycho_model_get(model, text("1"), &options, &result), TYCHO_OK);
    assert_string_equal(unpacked(result.state), "{\"key\":\"1\",\"names\":\"ac\"}");
    assert_int_equal(result.stored, TYCHO_DENIED);
    ASSERT_STATUS(tycho_model_get(model, text("2"), NULL, &result), TYCHO_DENIED);
    tycho_model_close(model);
    tycho_store_close(reader);
}

static void a_model_that_keeps_a_state_of_its_own_is_refused(void **state) {
    fixture *f = *state;
    tycho_model_result result;
    deploy(f->store, "local seen = {}\n"
                     "return read_model { name = 'Names', version = 1, types = { 'N' },\n"
                     "  keys = function(e) return e.data.keys end,\n"
                     "  init = function() return 0 end,\n"
                     "  on = { N = function(s, e) seen[#seen + 1] = e.id return #seen end } }");
    append(f->store, "", "N", "{ keys = '1' }");
    tycho_model *model = open_model(f->store);
    assert_refused(tycho_model_get(model, text("1"), NULL, &result), "keeps something");
    assert_string_equal(tycho_scripts_error()->key, "1");
    tycho_model_close(model);
}

/* Puts the first bytes of a row where it is; all of them make it whole. */
static void put_bytes(tycho_store *store, const char *table, const uint8_t *row, size_t size) {
    tycho_batch *batch;
    ASSERT_STATUS(tycho_batch_create(&batch), TYCHO_OK);
    ASSERT_STATUS(tycho_batch_put_row(batch, text(table), text("Names$1"), bytes_of(row, size)),
                  TYCHO_OK);
    ASSERT_STATUS(tycho_commit(store, batch, NULL), TYCHO_OK);
    tycho_batch_destroy(batch);
}

static size_t copy_row(tycho_store *store, const char *table, uint8_t row[500]) {
    const tycho_list_options options = {
        .size = sizeof options, .list = TYCHO_LIST_ROWS, .subject = text(table)};
    tycho_listing *listing;
    tycho_item item;
    ASSERT_STATUS(tycho_listing_open(store, &options, &listing), TYCHO_OK);
    ASSERT_STATUS(tycho_listing_next(listing, &item), TYCHO_OK);
    assert_in_range(item.value.size, 10, 500);
    const size_t size = item.value.size;
    memcpy(row, item.value.data, size);
    tycho_listing_close(listing);
    return size;
}

/* Cut anywhere, a row of an instance is told as damaged, and the instance is good again when it was
** forgotten. */
static void a_row_that_is_cut_anywhere_is_told_and_forgotten(void **state) {
    fixture *f = *state;
    static const char *const tables[] = {TYCHO_MODELS, TYCHO_MODEL_STATES};
    append_tagged(f->store, "N", "{ name = 'a', keys = '1' }", "of:1", 0);
    deploy(f->store, names_model);
    tycho_model *model = open_model(f->store);
    for (size_t i = 0; i < 2; i++) {
        uint8_t row[500];
        const tycho_bytes key = text("1");
        tycho_model_instance instance;
        tycho_model_totals totals;
        ask(model, "1", "{\"key\":\"1\",\"names\":\"a\"}");
        const size_t size = copy_row(f->store, tables[i], row);
        for (size_t cut = 1; cut < size; cut++) {
            tycho_model_result result;
            put_bytes(f->store, tables[i], row, cut);
            ASSERT_STATUS(tycho_model_count(model, &totals), TYCHO_CORRUPT);
            ASSERT_STATUS(tycho_model_get(model, key, NULL, &result), TYCHO_CORRUPT);
            assert_non_null(strstr(tycho_error(), "\"Names$1\" of a read model is damaged"));
            ASSERT_STATUS(tycho_model_look(model, key, &instance), TYCHO_CORRUPT);
        }
        ASSERT_STATUS(tycho_model_forget(model, key), TYCHO_OK);
        ask(model, "1", "{\"key\":\"1\",\"names\":\"a\"}");
    }
    tycho_model_close(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(old_events_are_linked_when_an_instance_is_first_asked_for),
        TEST(an_instance_of_which_nothing_is_known_leaves_nothing),
        TEST(what_was_linked_before_the_catch_up_is_sorted_in),
        TEST(a_late_event_is_sorted_in_by_time),
        TEST(a_history_goes_on_from_what_it_found),
        TEST(a_new_version_reads_more_everywhere),
        TEST(nothing_is_missed_while_a_model_is_not_deployed),
        TEST(a_snapshot_ends_with_the_event_type_it_was_made_under),
        TEST(a_handler_that_fails_refuses_its_instance_alone),
        TEST(a_history_that_fails_leaves_the_others_alone),
        TEST(many_instances_are_prepared_in_groups),
        TEST(an_instance_is_forgotten),
        TEST(a_row_that_is_cut_anywhere_is_told_and_forgotten),
        TEST(a_read_only_handle_answers_what_is_caught_up),
        TEST(a_model_that_keeps_a_state_of_its_own_is_refused),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
