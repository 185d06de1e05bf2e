/* moving_test.c - tycho_batch_move_stream(): a stream gets the entries of another, whatever both
** were before, in batches with other operations on them, and after others have read and written.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "store_values.h"

#include "random_values.h"

enum { NAMES = 5, EVENTS = 400, ENTRIES_MAX = 4000 };

static const char *const names[NAMES] = {"a", "b", "c", "d", "home"};

typedef struct fixture {
    char path[DIRECTORY_SIZE];
    tycho_store *store;
    size_t count[NAMES];
    int events[NAMES][ENTRIES_MAX];
    int64_t next[NAMES];
} fixture;

static int set_up(void **state) {
    fixture *f = calloc(1, sizeof *f);
    if (f == NULL || make_directory(f->path) != 0) return -1;
    *state = f;
    return open_store(f->path, TYCHO_CREATE, &f->store);
}

static int tear_down(void **state) {
    fixture *f = *state;
    assert_clean(f->store);
    tycho_store_close(f->store);
    remove_directory(f->path);
    free(f);
    return 0;
}

static tycho_bytes id_of(int event, char id[16]) {
    snprintf(id, 16, "e%d", event);
    return text(id);
}

static void append_all(fixture *f) {
    tycho_batch *batch;
    ASSERT_STATUS(tycho_batch_create(&batch), TYCHO_OK);
    for (int i = 0; i < EVENTS; i++) {
        char id[16];
        const tycho_new_event event = {.id = id_of(i, id), .type = text("t")};
        ASSERT_STATUS(tycho_batch_append(batch, text("home"), TYCHO_EXPECT_ANY, &event, 1, 0),
                      TYCHO_OK);
        f->events[4][f->count[4]++] = i;
    }
    f->next[4] = EVENTS;
    ASSERT_STATUS(tycho_commit(f->store, batch, NULL), TYCHO_OK);
    tycho_batch_destroy(batch);
}

/* The streams are as the fixture has them. */
static void assert_streams(fixture *f) {
    for (int n = 0; n < NAMES; n++) {
        const tycho_read read = {.size = sizeof read, .stream = text(names[n])};
        tycho_cursor *cursor;
        tycho_event event;
        char id[16];
        int64_t version;
        ASSERT_STATUS(tycho_stream_version(f->store, text(names[n]), 0, &version), TYCHO_OK);
        assert_int_equal(version, f->next[n] - 1);
        ASSERT_STATUS(tycho_cursor_open(f->store, &read, &cursor), TYCHO_OK);
        for (size_t i = 0; i < f->count[n]; i++) {
            ASSERT_STATUS(tycho_cursor_next(cursor, &event), TYCHO_OK);
            assert_bytes(event.id, id_of(f->events[n][i], id));
            assert_int_equal(event.revision, (int64_t)i);
        }
        ASSERT_STATUS(tycho_cursor_next(cursor, &event), TYCHO_END);
        tycho_cursor_close(cursor);
    }
}

static void add_link(fixture *f, tycho_batch *batch, int n, int event) {
    char id[16];
    const tycho_bytes bytes = id_of(event, id);
    for (size_t i = 0; i < f->count[n]; i++) {
        if (f->events[n][i] == event) return;
    }
    ASSERT_STATUS(tycho_batch_link(batch, text(names[n]), TYCHO_EXPECT_ANY, &bytes, 1, 0),
                  TYCHO_OK);
    f->events[n][f->count[n]++] = event;
    f->next[n]++;
}

static void empty(fixture *f, int n) {
    f->count[n] = 0;
    f->next[n] = 0;
}

static void add_move(fixture *f, tycho_batch *batch, int from, int to) {
    ASSERT_STATUS(tycho_batch_move_stream(batch, text(names[from]), text(names[to]), 0), TYCHO_OK);
    memcpy(f->events[to], f->events[from], sizeof f->events[to]);
    f->count[to] = f->count[from];
    f->next[to] = f->next[from];
    empty(f, from);
}

static void a_stream_gets_the_entries_of_another(void **state) {
    fixture *f = *state;
    tycho_batch *batch;
    start_random();
    append_all(f);
    ASSERT_STATUS(tycho_batch_create(&batch), TYCHO_OK);
    for (int round = 0; round < 300; round++) {
        tycho_batch_clear(batch);
        for (uint64_t steps = below(12) + 1; steps > 0; steps--) {
            int a = (int)below(NAMES - 1), b = (int)below(NAMES - 1);
            uint64_t what = below(10);
            if (what == 0) {
                ASSERT_STATUS(tycho_batch_delete_stream(batch, text(names[a]), 0), TYCHO_OK);
                empty(f, a);
            } else if (what < 4 && a != b) {
                add_move(f, batch, a, b);
            } else {
                for (uint64_t i = below(60) + 1; i > 0; i--) {
                    add_link(f, batch, a, (int)below(EVENTS));
                }
            }
        }
        int status = tycho_commit(f->store, batch, NULL);
        ASSERT_STATUS(status == TYCHO_MISUSE ? TYCHO_OK : status, TYCHO_OK); /* empty batches */
        assert_streams(f);
        if (round % 50 != 49) continue;
        assert_clean(f->store);
        tycho_store_close(f->store);
        ASSERT_STATUS(open_store(f->path, TYCHO_EXISTING, &f->store), TYCHO_OK);
        assert_streams(f);
    }
    tycho_batch_destroy(batch);
}

static void assert_home(fixture *f, const char *id, const char *home) {
    const tycho_bytes ids[] = {text(id)};
    const tycho_read read = {
        .size = sizeof read, .flags = TYCHO_READ_BY_IDS, .ids = ids, .id_count = 1};
    tycho_cursor *cursor;
    tycho_event event;
    tycho_bytes stream;
    ASSERT_STATUS(tycho_cursor_open(f->store, &read, &cursor), TYCHO_OK);
    ASSERT_STATUS(tycho_cursor_next(cursor, &event), TYCHO_OK);
    ASSERT_STATUS(tycho_cursor_stream(cursor, &stream), TYCHO_OK);
    assert_bytes(stream, text(home));
    tycho_cursor_close(cursor);
}

static void assert_metadata(fixture *f, const char *stream, const char *metadata) {
    const tycho_list_options options = {.size = sizeof options, .prefix = text(stream), .exact = 1};
    tycho_listing *listing;
    tycho_item item;
    ASSERT_STATUS(tycho_listing_open(f->store, &options, &listing), TYCHO_OK);
    ASSERT_STATUS(tycho_listing_next(listing, &item), TYCHO_OK);
    assert_bytes(item.value, text(metadata));
    tycho_listing_close(listing);
}

static void metadata_stays_and_home_events_go_along(void **state) {
    fixture *f = *state;
    tycho_batch *batch;
    append_all(f);
    ASSERT_STATUS(tycho_batch_create(&batch), TYCHO_OK);
    ASSERT_STATUS(tycho_batch_set_stream_metadata(batch, text("a"), text("of a"), 0), TYCHO_OK);
    ASSERT_STATUS(tycho_batch_set_stream_metadata(batch, text("home"), text("gone"), 0), TYCHO_OK);
    add_link(f, batch, 0, 7);
    add_move(f, batch, 4, 0);
    ASSERT_STATUS(tycho_commit(f->store, batch, NULL), TYCHO_OK);
    assert_streams(f);
    assert_home(f, "e7", "a");
    assert_metadata(f, "a", "of a");
    tycho_batch_destroy(batch);
}

static void nothing_is_moved_from_nowhere_or_to_itself(void **state) {
    fixture *f = *state;
    tycho_batch *batch;
    append_all(f);
    ASSERT_STATUS(tycho_batch_create(&batch), TYCHO_OK);
    ASSERT_STATUS(tycho_batch_move_stream(batch, text("home"), text("home"), 0), TYCHO_OK);
    ASSERT_STATUS(tycho_commit(f->store, batch, NULL), TYCHO_MISUSE);
    assert_streams(f);
    tycho_batch_clear(batch);
    ASSERT_STATUS(tycho_batch_set_route(batch, text("r"), text("home"), 0), TYCHO_OK);
    ASSERT_STATUS(tycho_commit(f->store, batch, NULL), TYCHO_OK);
    tycho_batch_clear(batch);
    ASSERT_STATUS(tycho_batch_move_stream(batch, text("home"), text("r"), 0), TYCHO_OK);
    ASSERT_STATUS(tycho_commit(f->store, batch, NULL), TYCHO_MISUSE);
    tycho_batch_clear(batch);
    add_link(f, batch, 1, 3);
    ASSERT_STATUS(tycho_batch_set_stream_metadata(batch, text("b"), text("kept"), 0), TYCHO_OK);
    add_move(f, batch, 2, 1); /* there is no "c": "b" is empty then */
    add_move(f, batch, 2, 3); /* nor a "d" */
    ASSERT_STATUS(tycho_commit(f->store, batch, NULL), TYCHO_OK);
    assert_streams(f);
    assert_metadata(f, "b", "kept");
    assert_int_equal(tycho_batch_move_stream(batch, text("a"), text("b"), 64), TYCHO_MISUSE);
    assert_int_equal(tycho_batch_move_stream(batch, text(""), text("b"), 0), TYCHO_MISUSE);
    assert_int_equal(tycho_batch_move_stream(batch, text("a"), text("$scripts"), 0), TYCHO_MISUSE);
    assert_int_equal(tycho_batch_move_stream(batch, text("$scripts"), text("b"), 0), TYCHO_MISUSE);
    tycho_batch_destroy(batch);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_stream_gets_the_entries_of_another, set_up, tear_down),
        cmocka_unit_test_setup_teardown(metadata_stays_and_home_events_go_along, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nothing_is_moved_from_nowhere_or_to_itself, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
