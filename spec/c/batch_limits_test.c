/* batch_limits_test.c - builders of batches: what each refuses, that a refusal leaves the batch as
** it was, and the limits at 0, most and one more.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "batch.h"
#include "store_values.h"

#define EXPECT_NONE_MATCH(batch, ...) tycho_batch_expect_none(batch, &(tycho_query){__VA_ARGS__}, 0)

static const int64_t any = TYCHO_EXPECT_ANY;

static int set_up(void **state) {
    tycho_batch *batch;
    if (tycho_batch_create(&batch) != TYCHO_OK) return -1;
    *state = batch;
    return 0;
}

static int tear_down(void **state) {
    tycho_batch_destroy(*state);
    return 0;
}

/* Checks that a builder that gave `status` refused so, and left the batch empty. */
static void check_refused(tycho_batch *batch, const char *call, int status, int expected) {
    if (status != expected) {
        fail_msg("%s gives %s: %s", call, tycho_status_code(status), tycho_error());
    }
    assert_true(tycho_error()[0] != '\0' && strchr(tycho_error(), '\n') == NULL);
    assert_true(batch->conditions.size == 0 && batch->condition_count == 0);
    assert_true(batch->operations.size == 0 && batch->operation_count == 0);
    assert_true(batch->element_count == 0 && batch->route_count == 0);
}

#define REFUSED(batch, call, expected) check_refused(batch, #call, call, expected)

static void names_are_checked_by_every_builder(void **state) {
    tycho_batch *b = *state;
    static char long_name[TYCHO_NAME_MAX + 1];
    const tycho_new_event event = {.id = text("1"), .type = text("t")};
    const tycho_bytes id = text("1");
    memset(long_name, 'n', sizeof long_name);
    const struct {
        tycho_bytes name;
        int status;
    } bad[] = {{text(""), TYCHO_MISUSE},
               {text("\xff"), TYCHO_MISUSE},
               {text("a\nb"), TYCHO_MISUSE},
               {bytes_of(NULL, 4), TYCHO_MISUSE},
               {bytes_of(long_name, sizeof long_name), TYCHO_TOO_LARGE}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        tycho_bytes name = bad[i].name, good = text("good");
        int status = bad[i].status;
        REFUSED(b, tycho_batch_expect(b, name, any, 0), status);
        REFUSED(b, tycho_batch_expect_route(b, name, good), status);
        REFUSED(b, tycho_batch_expect_row(b, name, good, 0), status);
        REFUSED(b, tycho_batch_expect_checkpoint(b, name, 0), status);
        REFUSED(b, tycho_batch_link(b, name, any, &id, 1, 0), status);
        REFUSED(b, tycho_batch_link_range(b, name, 0, -1, good, any, 0), status);
        REFUSED(b, tycho_batch_link_range(b, good, 0, -1, name, any, 0), status);
        REFUSED(b, tycho_batch_unlink(b, name, &id, 1, 0), status);
        REFUSED(b, tycho_batch_delete_stream(b, name, 0), status);
        REFUSED(b, tycho_batch_truncate(b, name, 0, 0), status);
        REFUSED(b, tycho_batch_set_stream_metadata(b, name, good, 0), status);
        REFUSED(b, tycho_batch_set_route(b, name, good, 0), status);
        REFUSED(b, tycho_batch_put_row(b, name, good, good), status);
        REFUSED(b, tycho_batch_delete_row(b, name, good), status);
        REFUSED(b, tycho_batch_set_checkpoint(b, name, 1), status);
        tycho_query_item item = {.types = &name, .type_count = 1};
        REFUSED(b, EXPECT_NONE_MATCH(b, &item, 1), status);
        item = (tycho_query_item){.tags = &name, .tag_count = 1};
        REFUSED(b, EXPECT_NONE_MATCH(b, &item, 1), status);
        if (name.size == 0) continue; /* these know what an empty one means */
        REFUSED(b, tycho_batch_append(b, name, any, &event, 1, 0), status);
        REFUSED(b, tycho_batch_expect_route(b, good, name), status);
        REFUSED(b, tycho_batch_set_route(b, good, name, 0), status);
    }
}

static void the_longest_names_are_taken(void **state) {
    tycho_batch *b = *state;
    char longest[TYCHO_NAME_MAX], longest_key[TYCHO_KEY_MAX + 1], longest_id[TYCHO_ID_MAX + 1];
    memset(longest, 'n', sizeof longest);
    memset(longest_key, 'k', sizeof longest_key);
    memset(longest_id, 'i', sizeof longest_id);
    tycho_bytes name = bytes_of(longest, sizeof longest);
    tycho_bytes key = bytes_of(longest_key, TYCHO_KEY_MAX), id = bytes_of(longest_id, TYCHO_ID_MAX);
    tycho_bytes long_key = bytes_of(longest_key, sizeof longest_key),
                long_id = bytes_of(longest_id, sizeof longest_id), no_id = text("");
    REFUSED(b, tycho_batch_put_row(b, name, long_key, key), TYCHO_TOO_LARGE);
    REFUSED(b, tycho_batch_delete_row(b, name, long_key), TYCHO_TOO_LARGE);
    REFUSED(b, tycho_batch_expect_row(b, name, long_key, 1), TYCHO_TOO_LARGE);
    REFUSED(b, tycho_batch_link(b, name, any, &long_id, 1, 0), TYCHO_TOO_LARGE);
    REFUSED(b, tycho_batch_unlink(b, name, &no_id, 1, 0), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_batch_put_row(b, name, key, text("")), TYCHO_OK);
    ASSERT_STATUS(tycho_batch_put_row(b, name, text(""), key), TYCHO_OK);
    ASSERT_STATUS(tycho_batch_link(b, name, any, &id, 1, 0), TYCHO_OK);
    ASSERT_STATUS(tycho_batch_set_route(b, name, name, 0), TYCHO_OK);
    ASSERT_STATUS(tycho_batch_expect(b, name, 0, 0), TYCHO_OK);
}

static void versions_ranges_and_flags_are_checked(void **state) {
    tycho_batch *b = *state;
    const tycho_new_event event = {.type = text("t")};
    const tycho_bytes s = text("s"), t = text("t"), none = text("");
    const tycho_source source = {s, 0};
    int invalid = TYCHO_INVALID_EXPECTED_VERSION;
    REFUSED(b, tycho_batch_expect(b, s, -4, 0), invalid);
    REFUSED(b, tycho_batch_expect(b, s, INT64_MIN, 0), invalid);
    REFUSED(b, tycho_batch_append(b, s, -4, &event, 1, 0), invalid);
    REFUSED(b, tycho_batch_append(b, none, 0, &event, 1, 0), invalid);
    REFUSED(b, tycho_batch_append(b, none, TYCHO_EXPECT_NONE, &event, 1, 0), invalid);
    REFUSED(b, tycho_batch_append(b, none, TYCHO_EXPECT_EXISTS, &event, 1, 0), invalid);
    REFUSED(b, tycho_batch_link(b, s, -9, &s, 1, 0), invalid);
    REFUSED(b, tycho_batch_link_range(b, s, 0, 0, t, -9, 0), invalid);
    REFUSED(b, tycho_batch_link_range(b, s, -1, 0, t, any, 0), TYCHO_MISUSE);
    REFUSED(b, tycho_batch_link_range(b, s, 0, -2, t, any, 0), TYCHO_MISUSE);
    REFUSED(b, tycho_batch_truncate(b, s, -1, 0), TYCHO_MISUSE);
    for (uint32_t flag = 2; flag != 0; flag <<= 1) {
        REFUSED(b, tycho_batch_expect(b, s, any, flag), TYCHO_MISUSE);
        REFUSED(b, tycho_batch_append(b, s, any, &event, 1, flag), TYCHO_MISUSE);
        REFUSED(b, tycho_batch_unlink(b, s, &s, 1, flag), TYCHO_MISUSE);
        REFUSED(b, tycho_batch_delete_stream(b, s, flag), TYCHO_MISUSE);
        REFUSED(b, tycho_batch_truncate(b, s, 0, flag), TYCHO_MISUSE);
        REFUSED(b, tycho_batch_set_stream_metadata(b, s, s, flag), TYCHO_MISUSE);
        if (flag != TYCHO_CLOSED) {
            REFUSED(b, tycho_batch_set_route(b, s, t, flag), TYCHO_MISUSE);
        }
        if (flag == TYCHO_SKIP_DUPLICATES) continue;
        REFUSED(b, tycho_batch_link(b, s, any, &s, 1, flag), TYCHO_MISUSE);
        REFUSED(b, tycho_batch_link_merged(b, &source, 1, t, any, flag), TYCHO_MISUSE);
        if (flag == TYCHO_KEEP_REVISIONS) continue;
        REFUSED(b, tycho_batch_link_range(b, s, 0, 0, t, any, flag), TYCHO_MISUSE);
    }
}

static void streams_to_be_merged_are_checked(void **state) {
    tycho_batch *b = *state;
    tycho_source sources[TYCHO_SOURCES_MAX + 1];
    char names[TYCHO_SOURCES_MAX + 1][8];
    for (size_t i = 0; i <= TYCHO_SOURCES_MAX; i++) {
        snprintf(names[i], sizeof names[i], "s%zu", i);
        sources[i].stream = text(names[i]);
        sources[i].first = 0;
    }
    REFUSED(b, tycho_batch_link_merged(b, sources, TYCHO_SOURCES_MAX + 1, text("t"), any, 0),
            TYCHO_TOO_LARGE);
    REFUSED(b, tycho_batch_link_merged(b, sources, 0, text("t"), any, 0), TYCHO_MISUSE);
    REFUSED(b, tycho_batch_link_merged(b, NULL, 1, text("t"), any, 0), TYCHO_MISUSE);
    REFUSED(b, tycho_batch_link_merged(b, sources, 3, text("s2"), any, 0), TYCHO_MISUSE);
    REFUSED(b, tycho_batch_link_merged(b, sources, 3, text("t"), -9, 0),
            TYCHO_INVALID_EXPECTED_VERSION);
    REFUSED(b, tycho_batch_link_merged(b, sources, 3, text(""), any, 0), TYCHO_MISUSE);
    sources[1].first = -1;
    REFUSED(b, tycho_batch_link_merged(b, sources, 3, text("t"), any, 0), TYCHO_MISUSE);
    sources[1] = sources[0];
    REFUSED(b, tycho_batch_link_merged(b, sources, 3, text("t"), any, 0), TYCHO_MISUSE);
    sources[1].stream = text("");
    REFUSED(b, tycho_batch_link_merged(b, sources, 3, text("t"), any, 0), TYCHO_MISUSE);
    sources[1].stream = text(names[1]);
    ASSERT_STATUS(tycho_batch_link_merged(b, sources, TYCHO_SOURCES_MAX, text("t"), any, 0),
                  TYCHO_OK);
}

static void null_is_refused(void **state) {
    tycho_batch *b = *state;
    const tycho_bytes s = text("s");
    const tycho_new_event event = {.type = text("t")};
    tycho_bytes bytes;
    REFUSED(b, tycho_batch_create(NULL), TYCHO_MISUSE);
    REFUSED(b, tycho_batch_expect(NULL, s, any, 0), TYCHO_MISUSE);
    REFUSED(b, tycho_batch_delete_stream(NULL, s, 0), TYCHO_MISUSE);
    REFUSED(b, tycho_batch_encode(NULL, &bytes), TYCHO_MISUSE);
    REFUSED(b, tycho_batch_encode(b, NULL), TYCHO_MISUSE);
    REFUSED(b, tycho_batch_decode(NULL, s), TYCHO_MISUSE);
    REFUSED(b, tycho_batch_decode(b, bytes_of(NULL, 0)), TYCHO_CORRUPT);
    REFUSED(b, tycho_batch_expect_none(b, NULL, 0), TYCHO_MISUSE);
    REFUSED(b, tycho_batch_append(b, s, any, NULL, 1, 0), TYCHO_MISUSE);
    REFUSED(b, tycho_batch_append(b, s, any, &event, 0, 0), TYCHO_MISUSE);
    REFUSED(b, tycho_batch_link(b, s, any, NULL, 1, 0), TYCHO_MISUSE);
    REFUSED(b, tycho_batch_unlink(b, s, &s, 0, 0), TYCHO_MISUSE);
    REFUSED(b, tycho_batch_overwrite(b, NULL, 1), TYCHO_MISUSE);
    tycho_batch_set_idempotent(NULL, 1);
    tycho_batch_clear(NULL);
    tycho_batch_destroy(NULL);
}

static void null_with_a_size_is_refused(void **state) {
    tycho_batch *b = *state;
    const tycho_bytes s = text("s"), nothing = {NULL, 5};
    tycho_new_event event = {.type = text("t"), .tag_count = 1};
    tycho_query_item item = {.type_count = 1};
    REFUSED(b, tycho_batch_append(b, s, any, &event, 1, 0), TYCHO_MISUSE);
    event = (tycho_new_event){.type = text("t"), .data = nothing};
    REFUSED(b, tycho_batch_append(b, s, any, &event, 1, 0), TYCHO_MISUSE);
    event = (tycho_new_event){.type = text("t"), .metadata = nothing};
    REFUSED(b, tycho_batch_append(b, s, any, &event, 1, 0), TYCHO_MISUSE);
    REFUSED(b, EXPECT_NONE_MATCH(b, NULL, 1), TYCHO_MISUSE);
    REFUSED(b, EXPECT_NONE_MATCH(b, &item, 1), TYCHO_MISUSE);
    item = (tycho_query_item){.tag_count = 1};
    REFUSED(b, EXPECT_NONE_MATCH(b, &item, 1), TYCHO_MISUSE);
    REFUSED(b, tycho_batch_put_row(b, s, nothing, s), TYCHO_MISUSE);
    REFUSED(b, tycho_batch_put_row(b, s, s, nothing), TYCHO_MISUSE);
    REFUSED(b, tycho_batch_set_stream_metadata(b, s, nothing, 0), TYCHO_MISUSE);
}

/* The encoding before and after a builder that fails at its last element. */
static void a_failure_in_the_middle_leaves_the_batch_as_it_was(void **state) {
    tycho_batch *b = *state;
    const tycho_new_event events[] = {{.id = text("1"), .type = text("t")},
                                      {.id = text("2"), .type = text("t"), .data = text("data")},
                                      {.id = text("3"), .type = text("")}};
    const tycho_bytes ids[] = {text("1"), text("2"), text("")};
    const tycho_query_item items[] = {{.types = ids, .type_count = 2},
                                      {.types = ids, .type_count = 3}};
    ASSERT_STATUS(tycho_batch_append(b, text("s"), any, events, 2, 0), TYCHO_OK);
    ASSERT_STATUS(tycho_batch_expect(b, text("s"), 0, 0), TYCHO_OK);
    tycho_bytes view;
    ASSERT_STATUS(tycho_batch_encode(b, &view), TYCHO_OK);
    uint8_t *before = exact_copy(view.data, view.size);
    size_t size = view.size;
    ASSERT_STATUS(tycho_batch_append(b, text("s"), any, events, 3, 0), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_batch_overwrite(b, events, 3), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_batch_link(b, text("l"), any, ids, 3, 0), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_batch_unlink(b, text("l"), ids, 3, 0), TYCHO_MISUSE);
    ASSERT_STATUS(EXPECT_NONE_MATCH(b, items, 2), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_batch_encode(b, &view), TYCHO_OK);
    assert_bytes(view, bytes_of(before, size));
    free(before);
}

/* ---------------------------------------------------------------- how much */

static void a_query_has_at_most_256_names_and_items(void **state) {
    tycho_batch *b = *state;
    tycho_bytes names[TYCHO_QUERY_MAX + 1];
    tycho_query_item items[TYCHO_QUERY_MAX + 1];
    for (size_t i = 0; i <= TYCHO_QUERY_MAX; i++) {
        names[i] = text("n");
        items[i] = (tycho_query_item){.types = names, .type_count = 1};
    }
    tycho_query_item item = {names, 1, names, TYCHO_QUERY_MAX};
    REFUSED(b, EXPECT_NONE_MATCH(b, &item, 1), TYCHO_TOO_LARGE);
    item.type_count = SIZE_MAX;
    REFUSED(b, EXPECT_NONE_MATCH(b, &item, 1), TYCHO_TOO_LARGE);
    REFUSED(b, EXPECT_NONE_MATCH(b, items, TYCHO_QUERY_MAX + 1), TYCHO_TOO_LARGE);
    REFUSED(b, EXPECT_NONE_MATCH(b, items, SIZE_MAX), TYCHO_TOO_LARGE);
    ASSERT_STATUS(EXPECT_NONE_MATCH(b, items, TYCHO_QUERY_MAX), TYCHO_OK);
    item = (tycho_query_item){names, 1, names, TYCHO_QUERY_MAX - 1};
    ASSERT_STATUS(EXPECT_NONE_MATCH(b, &item, 1), TYCHO_OK);
    tycho_bytes bytes;
    ASSERT_STATUS(tycho_batch_encode(b, &bytes), TYCHO_OK);
    uint8_t *copy = exact_copy(bytes.data, bytes.size);
    ASSERT_STATUS(tycho_batch_decode(b, bytes_of(copy, bytes.size)), TYCHO_OK);
    free(copy);
}

static void a_batch_names_at_most_10000_events(void **state) {
    enum { MOST = TYCHO_BATCH_EVENTS_MAX };
    tycho_batch *b = *state;
    static char names[MOST + 1][8];
    static tycho_bytes ids[MOST + 1];
    tycho_bytes one = text("one"), bytes;
    for (int i = 0; i <= MOST; i++) {
        snprintf(names[i], sizeof names[i], "%d", i);
        ids[i] = text(names[i]);
    }
    REFUSED(b, tycho_batch_link(b, text("s"), any, ids, MOST + 1, 0), TYCHO_TOO_LARGE);
    REFUSED(b, tycho_batch_link(b, text("s"), any, ids, SIZE_MAX, 0), TYCHO_TOO_LARGE);
    ASSERT_STATUS(tycho_batch_link(b, text("s"), any, ids, MOST, 0), TYCHO_OK);
    ASSERT_STATUS(tycho_batch_unlink(b, text("s"), &one, 1, 0), TYCHO_TOO_LARGE);
    assert_int_equal(b->operation_count, 1);
    ASSERT_STATUS(tycho_batch_encode(b, &bytes), TYCHO_OK);
    uint8_t *copy = exact_copy(bytes.data, bytes.size);
    ASSERT_STATUS(tycho_batch_decode(b, bytes_of(copy, bytes.size)), TYCHO_OK);
    assert_int_equal(b->element_count, MOST);
    ASSERT_STATUS(tycho_batch_link(b, text("s"), any, &one, 1, 0), TYCHO_TOO_LARGE);
    tycho_batch_clear(b);
    ASSERT_STATUS(tycho_batch_link(b, text("s"), any, &one, 1, 0), TYCHO_OK);
    free(copy);
}

static void a_batch_has_at_most_10000_steps_of_each_sort(void **state) {
    enum { MOST = TYCHO_BATCH_STEPS_MAX };
    tycho_batch *b = *state;
    tycho_bytes s = text("s"), bytes;
    for (int i = 0; i < MOST; i++) {
        ASSERT_STATUS(tycho_batch_expect(b, s, any, 0), TYCHO_OK);
        ASSERT_STATUS(tycho_batch_set_checkpoint(b, s, 1), TYCHO_OK);
    }
    ASSERT_STATUS(tycho_batch_expect(b, s, any, 0), TYCHO_TOO_LARGE);
    ASSERT_STATUS(tycho_batch_set_checkpoint(b, s, 1), TYCHO_TOO_LARGE);
    assert_true(b->condition_count == MOST && b->operation_count == MOST);
    ASSERT_STATUS(tycho_batch_encode(b, &bytes), TYCHO_OK);
    enum { STEP = 6 + 2 + 1 + 8 }; /* bytes of the last one */
    size_t size = bytes.size;
    uint8_t *copy = malloc(size + STEP);
    assert_non_null(copy);
    memcpy(copy, bytes.data, size);
    ASSERT_STATUS(tycho_batch_decode(b, bytes_of(copy, size)), TYCHO_OK);
    memcpy(copy + size - 8, copy + size - 8 - STEP, STEP);
    tycho__store32(copy + 12, MOST + 1);
    size += STEP;
    tycho__store64(copy + size - 8, tycho__hash(copy, size - 8, 0));
    ASSERT_STATUS(tycho_batch_decode(b, bytes_of(copy, size)), TYCHO_TOO_LARGE);
    free(copy);
}

static void a_batch_has_at_most_64_mib(void **state) {
    tycho_batch *b = *state, *again;
    size_t size = TYCHO_EVENT_SIZE_MAX;
    uint8_t *value = calloc(1, size + 1);
    assert_non_null(value);
    tycho_bytes s = text("s"), bytes;
    REFUSED(b, tycho_batch_put_row(b, s, s, bytes_of(value, size + 1)), TYCHO_TOO_LARGE);
    for (int i = 0; i < 3; i++) {
        ASSERT_STATUS(tycho_batch_put_row(b, s, s, bytes_of(value, size)), TYCHO_OK);
    }
    size_t before = b->operations.size;
    ASSERT_STATUS(tycho_batch_put_row(b, s, s, bytes_of(value, size)), TYCHO_TOO_LARGE);
    assert_int_equal(b->operations.size, before);
    size = TYCHO_BATCH_SIZE_MAX - before - (16 + 8) - (6 + 3 + 3 + 4); /* the last byte is used */
    ASSERT_STATUS(tycho_batch_put_row(b, s, s, bytes_of(value, size + 1)), TYCHO_TOO_LARGE);
    ASSERT_STATUS(tycho_batch_put_row(b, s, s, bytes_of(value, size)), TYCHO_OK);
    ASSERT_STATUS(tycho_batch_expect(b, s, any, 0), TYCHO_TOO_LARGE);
    ASSERT_STATUS(tycho_batch_encode(b, &bytes), TYCHO_OK);
    assert_int_equal(bytes.size, TYCHO_BATCH_SIZE_MAX);
    ASSERT_STATUS(tycho_batch_create(&again), TYCHO_OK);
    ASSERT_STATUS(tycho_batch_decode(again, bytes), TYCHO_OK);
    assert_int_equal(again->operation_count, 4);
    tycho_batch_destroy(again);
    free(value);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(names_are_checked_by_every_builder, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_longest_names_are_taken, set_up, tear_down),
        cmocka_unit_test_setup_teardown(versions_ranges_and_flags_are_checked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(streams_to_be_merged_are_checked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(null_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(null_with_a_size_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_failure_in_the_middle_leaves_the_batch_as_it_was, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_query_has_at_most_256_names_and_items, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_batch_names_at_most_10000_events, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_batch_has_at_most_10000_steps_of_each_sort, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_batch_has_at_most_64_mib, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
