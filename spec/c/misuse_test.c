/* misuse_test.c - what the bindings never do: reads, directories, look-ups, waits and locks with
** arguments that no caller may give. Each is refused with a sentence, and harms nothing. (Builders
** of batches: batch_limits_test.c; NULL handles and places: store_test.c.)
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store_fixture.h"

static const tycho_bytes no_data = {NULL, 5};

static int set_up_events(void **state) {
    if (set_up(state) != 0) return -1;
    fixture *f = *state;
    return append_event(f->store, "s", "e1") | append_event(f->store, "s", "e2");
}

/* A second store, for what belongs to another one. */
static tycho_store *open_other(const fixture *f, tycho_snapshot **snapshot) {
    char path[DIRECTORY_SIZE + 8];
    tycho_store *other;
    snprintf(path, sizeof path, "%s/other", f->directory);
    ASSERT_STATUS(open_store(path, TYCHO_CREATE, &other), TYCHO_OK);
    ASSERT_STATUS(tycho_snapshot_open(other, snapshot), TYCHO_OK);
    return other;
}

/* ---------------------------------------------------------------- statuses */

static void every_status_has_a_code_and_a_text(void **state) {
    (void)state;
#define SAYS(name, value, code, text)                                                              \
    assert_string_equal(tycho_status_code(value), code);                                           \
    assert_string_equal(tycho_status_text(value), text);
    TYCHO_STATUS_MAP(SAYS)
#undef SAYS
    static const int unknown[] = {2, 100, -100, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        assert_string_equal(tycho_status_code(unknown[i]), "unknown_status");
        assert_string_equal(tycho_status_text(unknown[i]), "not a status of Tycho");
    }
}

/* ---------------------------------------------------------------- reads */

static void refuse_read(const fixture *f, tycho_read read, int expected, const char *sentence) {
    tycho_cursor *cursor;
    uint64_t count;
    if (read.size == 0) read.size = sizeof read;
    ASSERT_STATUS(tycho_cursor_open(f->store, &read, &cursor), expected);
    assert_null(cursor);
    if (strstr(tycho_error(), sentence) == NULL) fail_msg("%s", tycho_error());
    ASSERT_STATUS(tycho_count(f->store, &read, &count), expected);
}

static void reads_are_checked(void **state) {
    const fixture *f = *state;
    tycho_snapshot *snapshot;
    tycho_store *other = open_other(f, &snapshot);
    static tycho_bytes ids[TYCHO_BATCH_EVENTS_MAX + 1];
    const uint32_t ends = TYCHO_READ_FIRST | TYCHO_READ_LAST, by_ids = TYCHO_READ_BY_IDS;
    const tycho_bytes s = text("s");
    refuse_read(f, (tycho_read){.size = 1}, TYCHO_MISUSE, "a size that this library");
    refuse_read(f, (tycho_read){.flags = 1u << 31}, TYCHO_MISUSE, "0x80000000");
    refuse_read(f, (tycho_read){.order = 3}, TYCHO_MISUSE, "3 is no order");
    refuse_read(f, (tycho_read){.order = UINT32_MAX}, TYCHO_MISUSE, "4294967295 is no order");
    refuse_read(f, (tycho_read){.flags = ends}, TYCHO_MISUSE, "not both");
    refuse_read(f, (tycho_read){.flags = TYCHO_READ_FROM_REVISION}, TYCHO_MISUSE, "revisions");
    refuse_read(f, (tycho_read){.flags = TYCHO_READ_TO_REVISION}, TYCHO_MISUSE, "revisions");
    refuse_read(f, (tycho_read){.stream = s, .from_revision = -2}, TYCHO_MISUSE, "of -2");
    refuse_read(f, (tycho_read){.stream = s, .to_revision = INT64_MIN}, TYCHO_MISUSE, "of -92");
    refuse_read(f, (tycho_read){.flags = by_ids, .id_count = 1}, TYCHO_MISUSE, "ids are NULL");
    refuse_read(f,
                (tycho_read){.flags = by_ids, .ids = ids, .id_count = TYCHO_BATCH_EVENTS_MAX + 1},
                TYCHO_TOO_LARGE, "10001 ids");
    refuse_read(f, (tycho_read){.flags = by_ids, .ids = ids, .id_count = SIZE_MAX}, TYCHO_TOO_LARGE,
                "18446744073709551615 ids");
    refuse_read(f, (tycho_read){.stream = no_data}, TYCHO_MISUSE, "");
    refuse_read(f, (tycho_read){.snapshot = snapshot}, TYCHO_MISUSE, "of another store");
    refuse_read(f, (tycho_read){.resume = {"?", 1}}, TYCHO_CORRUPT, "key to resume");
    refuse_read(f, (tycho_read){.resume = no_data}, TYCHO_CORRUPT, "key to resume");
    tycho_snapshot_close(snapshot);
    tycho_store_close(other);
}

static void queries_are_checked(void **state) {
    const fixture *f = *state;
    tycho_bytes name = text("t"), names[TYCHO_QUERY_MAX + 1], bad = no_data;
    for (size_t i = 0; i <= TYCHO_QUERY_MAX; i++) names[i] = name;
    const tycho_query_item items[] = {
        {names, TYCHO_QUERY_MAX + 1, NULL, 0},
        {NULL, 1, NULL, 0},
        {NULL, 0, NULL, 1},
        {names, SIZE_MAX, NULL, 0},
        {&bad, 1, NULL, 0},
        {NULL, 0, &bad, 1},
    };
    for (size_t i = 0; i < sizeof items / sizeof *items; i++) {
        const tycho_query query = {&items[i], 1};
        tycho_read read = {.size = sizeof read, .query = &query};
        tycho_cursor *cursor = NULL;
        int status = tycho_cursor_open(f->store, &read, &cursor);
        if (status != TYCHO_MISUSE && status != TYCHO_TOO_LARGE) {
            fail_msg("query %zu: %s", i, tycho_status_code(status));
        }
        assert_null(cursor);
    }
    const tycho_query many = {items, SIZE_MAX}, none = {NULL, 1};
    tycho_read read = {.size = sizeof read, .query = &many};
    tycho_cursor *cursor;
    ASSERT_STATUS(tycho_cursor_open(f->store, &read, &cursor), TYCHO_TOO_LARGE);
    read.query = &none;
    ASSERT_STATUS(tycho_cursor_open(f->store, &read, &cursor), TYCHO_MISUSE);
}

static void what_has_no_place_is_refused(void **state) {
    const fixture *f = *state;
    const tycho_read read = {.size = sizeof read};
    tycho_snapshot *snapshot;
    tycho_verification *verification;
    tycho_finding finding;
    tycho_cursor *cursor;
    tycho_event event;
    tycho_bytes key;
    uint64_t head, rules;
    ASSERT_STATUS(tycho_snapshot_open(f->store, &snapshot), TYCHO_OK);
    ASSERT_STATUS(tycho_snapshot_get(NULL, &head, &rules), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_snapshot_get(snapshot, NULL, &rules), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_snapshot_get(snapshot, &head, NULL), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_snapshot_get(snapshot, &head, &rules), TYCHO_OK);
    assert_int_equal(head, 2);
    tycho_snapshot_close(snapshot);
    ASSERT_STATUS(tycho_verification_open(f->store, &verification), TYCHO_OK);
    ASSERT_STATUS(tycho_verification_step(NULL, &finding), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_verification_step(verification, NULL), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_verification_step(verification, &finding), TYCHO_OK);
    tycho_verification_close(verification);
    ASSERT_STATUS(tycho_cursor_open(f->store, &read, &cursor), TYCHO_OK);
    ASSERT_STATUS(tycho_cursor_key(cursor, &key), TYCHO_MISUSE); /* it is on no event */
    ASSERT_STATUS(tycho_cursor_next(cursor, &event), TYCHO_OK);
    ASSERT_STATUS(tycho_cursor_key(NULL, &key), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_cursor_key(cursor, NULL), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_cursor_key(cursor, &key), TYCHO_OK);
    ASSERT_STATUS(tycho_decompress(f->store, NULL, &head), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_decompress(f->store, &event, NULL), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_decompress(f->store, &event, &head), TYCHO_MISUSE); /* it is plain */
    tycho_cursor_close(cursor);
}

/* ---------------------------------------------------------------- directories, look-ups, waits */

static void directories_are_checked(void **state) {
    const fixture *f = *state;
    tycho_snapshot *snapshot;
    tycho_store *other = open_other(f, &snapshot);
    static char long_key[TYCHO_KEY_MAX + 10];
    const tycho_bytes too_long = {long_key, sizeof long_key};
    const struct {
        tycho_list_options options;
        int expected;
    } cases[] = {
        {{.size = 1}, TYCHO_MISUSE},
        {{.list = TYCHO_LIST_STREAMS_OF + 1}, TYCHO_MISUSE},
        {{.list = UINT32_MAX}, TYCHO_MISUSE},
        {{.snapshot = snapshot}, TYCHO_MISUSE},
        {{.prefix = too_long}, TYCHO_TOO_LARGE},
        {{.after = too_long}, TYCHO_TOO_LARGE},
        {{.prefix = {long_key, SIZE_MAX}}, TYCHO_TOO_LARGE},
        {{.list = TYCHO_LIST_ROWS}, TYCHO_MISUSE},
        {{.list = TYCHO_LIST_ROWS, .subject = no_data}, TYCHO_MISUSE},
        {{.list = TYCHO_LIST_STREAMS_OF}, TYCHO_MISUSE},
        {{.list = TYCHO_LIST_STREAMS_OF, .subject = no_data}, TYCHO_MISUSE},
        {{.prefix = no_data}, TYCHO_MISUSE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tycho_list_options options = cases[i].options;
        tycho_listing *listing;
        if (options.size == 0) options.size = sizeof options;
        int status = tycho_listing_open(f->store, &options, &listing);
        if (status != cases[i].expected) {
            tycho_listing_close(listing);
            print_error("case %zu: %s\n", i, tycho_status_code(status));
        }
        assert_null(listing);
    }
    tycho_snapshot_close(snapshot);
    tycho_store_close(other);
}

static void look_ups_are_checked(void **state) {
    const fixture *f = *state;
    int64_t revision;
    uint64_t position, head;
    static char long_id[TYCHO_ID_MAX + 1];
    const tycho_bytes too_long = {long_id, sizeof long_id}, empty = {"", 0};
    ASSERT_STATUS(tycho_stream_version(f->store, text("s"), 1u << 9, &revision), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_stream_version(f->store, empty, 0, &revision), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_stream_version(f->store, no_data, 0, &revision), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_event_position(f->store, no_data, &position), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_event_position(f->store, empty, &position), TYCHO_MISUSE);
    int status = tycho_event_position(f->store, too_long, &position);
    assert_true(status == TYCHO_MISUSE || status == TYCHO_TOO_LARGE);
    ASSERT_STATUS(tycho_wait(f->store, UINT64_MAX, 0, &head), TYCHO_TIMEOUT);
    ASSERT_STATUS(tycho_wait(f->store, 0, INT64_MIN, &head), TYCHO_OK);
    ASSERT_STATUS(tycho_wait(f->store, 0, INT64_MAX, &head), TYCHO_OK);
    assert_int_equal(head, 2);
}

static void locks_are_checked(void **state) {
    const fixture *f = *state;
    tycho_lock *lock;
    static char long_name[TYCHO_NAME_MAX + 1];
    memset(long_name, 'x', sizeof long_name);
    const tycho_bytes names[] = {
        {"", 0}, {"a\0b", 3}, {"\xff", 1}, no_data, {long_name, sizeof long_name}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        int status = tycho_lock_take(f->store, names[i], 0, &lock, NULL);
        if (status != TYCHO_MISUSE && status != TYCHO_TOO_LARGE) {
            fail_msg("name %zu: %s", i, tycho_status_code(status));
        }
        assert_null(lock);
    }
    ASSERT_STATUS(
        tycho_lock_take(f->store, bytes_of(long_name, TYCHO_NAME_MAX), INT64_MAX, &lock, NULL),
        TYCHO_OK);
    tycho_lock_release(lock);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_events, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(every_status_has_a_code_and_a_text),
        TEST(reads_are_checked),
        TEST(queries_are_checked),
        TEST(what_has_no_place_is_refused),
        TEST(directories_are_checked),
        TEST(look_ups_are_checked),
        TEST(locks_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
