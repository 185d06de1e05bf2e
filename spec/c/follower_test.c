/* follower_test.c - what a follower serves, step by step and from one thread: histories, links,
** filters, bounds, limits, renamed and deleted streams, keys, damage.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <fcntl.h>
#include <unistd.h>

#include "follower_values.h"

/* A second follower that goes on from the key of the first, which it replaces. */
static void resume(fixture *f, const char *stream) {
    char kept[TYCHO_CURSOR_KEY_MAX];
    tycho_bytes key;
    tycho_read read = reading(stream);
    ASSERT_STATUS(tycho_follower_key(f->follower, &key), TYCHO_OK);
    assert_true(key.size <= sizeof kept);
    memcpy(kept, key.data, key.size);
    read.resume = bytes_of(kept, key.size);
    tycho_follower_close(f->follower);
    f->follower = follow(f->store, &read);
}

/* ---------------------------------------------------------------- what is served */

static void the_log_is_served_and_then_what_comes(void **state) {
    fixture *f = *state;
    tycho_read read = reading("");
    write_three(f, "s");
    f->follower = follow(f->store, &read);
    assert_serves(f->follower, "a b c ");
    assert_serves(f->follower, "");
    ASSERT_STATUS(append(f->store, "", "d", "t", NULL), TYCHO_OK);
    ASSERT_STATUS(append(f->store, "r", "e", "t", NULL), TYCHO_OK);
    assert_serves(f->follower, "d e ");
    ASSERT_STATUS(change(f->store, LINK, "links", "a"), TYCHO_OK);
    assert_serves(f->follower, "");
}

static void an_empty_store_and_an_unknown_stream_can_be_followed(void **state) {
    fixture *f = *state;
    tycho_read log = reading(""), stream = reading("s");
    f->follower = follow(f->store, &log);
    f->other = follow(f->store, &stream);
    assert_serves(f->follower, "");
    assert_serves(f->other, "");
    write_three(f, "s");
    assert_serves(f->follower, "a b c ");
    assert_serves(f->other, "a b c ");
}

static void links_are_served_like_events(void **state) {
    fixture *f = *state;
    tycho_read read = reading("links");
    tycho_event event;
    write_three(f, "s");
    ASSERT_STATUS(change(f->store, LINK, "links", "c"), TYCHO_OK);
    f->follower = follow(f->store, &read);
    assert_serves(f->follower, "c ");
    ASSERT_STATUS(change(f->store, LINK, "links", "a"), TYCHO_OK);
    ASSERT_STATUS(tycho_follower_next(f->follower, 1000, &event), TYCHO_OK);
    assert_bytes(event.id, text("a"));
    assert_int_equal(event.revision, 1);
    assert_int_equal(event.is_link, 1);
    tycho_bytes home;
    ASSERT_STATUS(tycho_cursor_stream(tycho_follower_cursor(f->follower), &home), TYCHO_OK);
    assert_bytes(home, text("s"));
    ASSERT_STATUS(append(f->store, "links", "d", "t", NULL), TYCHO_OK);
    assert_serves(f->follower, "d ");
}

static void a_query_filters_also_by_names_that_come_later(void **state) {
    fixture *f = *state;
    char type[] = "t", tag[] = "later", stream[] = "s"; /* copied by the follower */
    const tycho_bytes types[] = {text(type)}, tags[] = {text(tag)};
    tycho_query_item items[] = {{.types = types, .type_count = 1}, {.tags = tags, .tag_count = 1}};
    tycho_query query = {items, 2};
    tycho_read log = {.size = sizeof log, .query = &query};
    tycho_read of_stream = {.size = sizeof of_stream, .stream = text(stream), .query = &query};
    write_three(f, "s");
    f->follower = follow(f->store, &log);
    f->other = follow(f->store, &of_stream);
    memset(type, '-', sizeof type - 1);
    memset(tag, '-', sizeof tag - 1);
    memset(stream, '-', sizeof stream - 1);
    memset(items, 0, sizeof items);
    query.item_count = 0;
    assert_serves(f->follower, "a c ");
    assert_serves(f->other, "a c ");
    ASSERT_STATUS(append(f->store, "s", "d", "u", NULL), TYCHO_OK);
    assert_serves(f->follower, "");
    assert_serves(f->other, "");
    ASSERT_STATUS(append(f->store, "r", "e", "u", "later"), TYCHO_OK);
    ASSERT_STATUS(append(f->store, "s", "f", "u", "later"), TYCHO_OK);
    assert_serves(f->follower, "e f ");
    assert_serves(f->other, "f ");
}

static void more_than_a_block_is_served_whole(void **state) {
    fixture *f = *state;
    enum { COUNT = 5000 };
    static tycho_new_event events[COUNT];
    tycho_batch *batch;
    tycho_event event;
    tycho_read log = reading(""), stream = reading("s");
    for (int i = 0; i < COUNT; i++) events[i].type = text("t");
    ASSERT_STATUS(tycho_batch_create(&batch), TYCHO_OK);
    f->follower = follow(f->store, &log);
    f->other = follow(f->store, &stream);
    for (uint64_t round = 0; round < 2; round++) {
        tycho_batch_clear(batch);
        ASSERT_STATUS(tycho_batch_append(batch, text("s"), TYCHO_EXPECT_ANY, events, COUNT, 0),
                      TYCHO_OK);
        ASSERT_STATUS(tycho_commit(f->store, batch, NULL), TYCHO_OK);
        for (uint64_t i = 1; i <= COUNT; i++) {
            ASSERT_STATUS(tycho_follower_next(f->follower, 0, &event), TYCHO_OK);
            assert_int_equal(event.position, round * COUNT + i);
            ASSERT_STATUS(tycho_follower_next(f->other, 0, &event), TYCHO_OK);
            assert_int_equal(event.revision, round * COUNT + i - 1);
        }
        ASSERT_STATUS(tycho_follower_next(f->follower, 0, &event), TYCHO_TIMEOUT);
        ASSERT_STATUS(tycho_follower_next(f->other, 0, &event), TYCHO_TIMEOUT);
    }
    tycho_batch_destroy(batch);
}

static void what_is_removed_before_it_was_served_is_not(void **state) {
    fixture *f = *state;
    tycho_read read = reading("s");
    write_three(f, "s");
    f->follower = follow(f->store, &read);
    ASSERT_STATUS(change(f->store, UNLINK, "s", "b"), TYCHO_OK);
    assert_serves(f->follower, "a c ");
    ASSERT_STATUS(append(f->store, "s", "d", "t", NULL), TYCHO_OK);
    ASSERT_STATUS(append(f->store, "s", "e", "t", NULL), TYCHO_OK);
    ASSERT_STATUS(change(f->store, UNLINK, "s", "d"), TYCHO_OK);
    assert_serves(f->follower, "e ");
    ASSERT_STATUS(append(f->store, "s", "f", "t", NULL), TYCHO_OK);
    ASSERT_STATUS(change(f->store, UNLINK, "s", "f"), TYCHO_OK);
    assert_serves(f->follower, "");
}

/* ---------------------------------------------------------------- bounds and limits */

static void a_stream_that_is_all_gone_is_followed_again(void **state) {
    fixture *f = *state;
    tycho_read read = reading("s");
    ASSERT_STATUS(append(f->store, "s", "a", "t", NULL), TYCHO_OK);
    f->follower = follow(f->store, &read);
    assert_serves(f->follower, "a ");
    ASSERT_STATUS(change(f->store, UNLINK, "s", "a"), TYCHO_OK);
    assert_serves(f->follower, "");
    resume(f, "s");
    ASSERT_STATUS(append(f->store, "s", "b", "t", NULL), TYCHO_OK);
    assert_serves(f->follower, "b ");
}

static void a_stream_that_came_and_was_emptied_before_it_was_served_is_waited_for(void **state) {
    fixture *f = *state;
    tycho_read read = reading("s");
    f->follower = follow(f->store, &read);
    write_three(f, "s");
    ASSERT_STATUS(change(f->store, UNLINK, "s", "a"), TYCHO_OK);
    ASSERT_STATUS(change(f->store, UNLINK, "s", "b"), TYCHO_OK);
    ASSERT_STATUS(change(f->store, UNLINK, "s", "c"), TYCHO_OK);
    assert_serves(f->follower, "");
    resume(f, "s");
    assert_serves(f->follower, "");
    ASSERT_STATUS(append(f->store, "s", "d", "t", NULL), TYCHO_OK);
    assert_serves(f->follower, "d ");
}

static void bounds_hold_at_the_start(void **state) {
    fixture *f = *state;
    tycho_read read = reading("s");
    write_three(f, "s");
    read.from_id = text("a");
    f->follower = follow(f->store, &read);
    assert_serves(f->follower, "b c ");
    tycho_follower_close(f->follower);
    read = reading("s");
    read.flags = TYCHO_READ_FROM_REVISION;
    read.from_revision = 4; /* two are still to come in front of what is wanted */
    f->follower = follow(f->store, &read);
    read.from_revision = 0;
    f->other = follow(f->store, &read);
    assert_serves(f->other, "b c ");
    assert_serves(f->follower, "");
    static const char *const ids[] = {"d", "e", "f"};
    for (int i = 0; i < 3; i++) {
        ASSERT_STATUS(append(f->store, "s", ids[i], "t", NULL), TYCHO_OK);
    }
    assert_serves(f->follower, "f ");
    tycho_follower_close(f->follower);
    read = reading("");
    read.flags = TYCHO_READ_FROM_POSITION;
    read.from_position = 7;
    f->follower = follow(f->store, &read);
    assert_serves(f->follower, "");
    ASSERT_STATUS(append(f->store, "s", "g", "t", NULL), TYCHO_OK);
    assert_serves(f->follower, "");
    ASSERT_STATUS(append(f->store, "s", "h", "t", NULL), TYCHO_OK);
    assert_serves(f->follower, "h ");
}

static void times_and_positions_bound_for_ever(void **state) {
    fixture *f = *state;
    tycho_read read = reading("s");
    write_three(f, "s");
    read.flags = TYCHO_READ_FROM_TIME | TYCHO_READ_FROM_POSITION;
    read.from_time = INT64_MAX;
    f->other = follow(f->store, &read);
    read.from_time = 0;
    read.from_position = 2;
    f->follower = follow(f->store, &read);
    ASSERT_STATUS(append(f->store, "s", "d", "t", NULL), TYCHO_OK);
    assert_serves(f->follower, "c d ");
    assert_serves(f->other, "");
    ASSERT_STATUS(change(f->store, DELETE, "s", ""), TYCHO_OK);
    ASSERT_STATUS(change(f->store, LINK, "s", "a"), TYCHO_OK);
    ASSERT_STATUS(change(f->store, LINK, "s", "c"), TYCHO_OK);
    assert_serves(f->follower, "c ");
}

static void a_limit_ends_it(void **state) {
    fixture *f = *state;
    tycho_read read = reading("s");
    tycho_event event;
    read.limit = 4;
    write_three(f, "s");
    f->follower = follow(f->store, &read);
    assert_next(f->follower, 0, "a");
    resume(f, "s"); /* what is left of the limit is in the key */
    assert_serves(f->follower, "b c ");
    ASSERT_STATUS(append(f->store, "s", "d", "t", NULL), TYCHO_OK);
    ASSERT_STATUS(append(f->store, "s", "e", "t", NULL), TYCHO_OK);
    assert_next(f->follower, -1, "d");
    ASSERT_STATUS(tycho_follower_next(f->follower, -1, &event), TYCHO_END);
    ASSERT_STATUS(tycho_follower_next(f->follower, 0, &event), TYCHO_END);
    resume(f, "s");
    ASSERT_STATUS(tycho_follower_next(f->follower, -1, &event), TYCHO_END);
}

static void what_has_an_end_or_another_order_is_refused(void **state) {
    fixture *f = *state;
    static const uint32_t flags[] = {
        TYCHO_READ_BACKWARD,    TYCHO_READ_FIRST,       TYCHO_READ_LAST,      TYCHO_READ_BY_IDS,
        TYCHO_READ_TO_POSITION, TYCHO_READ_TO_REVISION, TYCHO_READ_UNTIL_TIME};
    tycho_follower *follower = (tycho_follower *)(uintptr_t)1;
    tycho_snapshot *snapshot;
    tycho_event event;
    tycho_bytes key;
    int descriptor;
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        tycho_read read = reading("s");
        read.flags = flags[i];
        ASSERT_STATUS(tycho_follower_open(f->store, &read, &follower), TYCHO_MISUSE);
        assert_null(follower);
        assert_non_null(strstr(tycho_error(), "does not fit"));
    }
    tycho_read read = reading("s");
    read.order = TYCHO_AS_AT;
    ASSERT_STATUS(tycho_follower_open(f->store, &read, &follower), TYCHO_MISUSE);
    read = reading("s");
    read.to_id = text("a");
    ASSERT_STATUS(tycho_follower_open(f->store, &read, &follower), TYCHO_MISUSE);
    read = reading("s");
    ASSERT_STATUS(tycho_snapshot_open(f->store, &snapshot), TYCHO_OK);
    read.snapshot = snapshot;
    ASSERT_STATUS(tycho_follower_open(f->store, &read, &follower), TYCHO_MISUSE);
    tycho_snapshot_close(snapshot);
    read = reading("s");
    read.from_id = text("nobody");
    ASSERT_STATUS(tycho_follower_open(f->store, &read, &follower), TYCHO_EVENT_NOT_FOUND);
    ASSERT_STATUS(tycho_follower_open(f->store, NULL, &follower), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_follower_open(NULL, &read, &follower), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_follower_open(f->store, &read, NULL), TYCHO_MISUSE);
    read = reading("");
    f->follower = follow(f->store, &read);
    ASSERT_STATUS(tycho_follower_next(f->follower, 0, NULL), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_follower_key(f->follower, NULL), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_follower_descriptor(f->follower, NULL), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_follower_next(NULL, 0, &event), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_follower_key(NULL, &key), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_follower_descriptor(NULL, &descriptor), TYCHO_MISUSE);
    assert_null(tycho_follower_cursor(NULL));
    assert_int_equal(tycho_follower_is_caught_up(NULL), 0);
    tycho_follower_cancel(NULL);
    tycho_follower_close(NULL);
}

static void it_knows_when_it_has_caught_up(void **state) {
    fixture *f = *state;
    tycho_read read = reading("");
    tycho_event event;
    write_three(f, "s");
    f->follower = follow(f->store, &read);
    assert_int_equal(tycho_follower_is_caught_up(f->follower), 0);
    for (int i = 0; i < 3; i++) {
        ASSERT_STATUS(tycho_follower_next(f->follower, 0, &event), TYCHO_OK);
        assert_int_equal(tycho_follower_is_caught_up(f->follower), 0);
    }
    ASSERT_STATUS(tycho_follower_next(f->follower, 0, &event), TYCHO_TIMEOUT);
    assert_int_equal(tycho_follower_is_caught_up(f->follower), 1);
    ASSERT_STATUS(append(f->store, "s", "d", "t", NULL), TYCHO_OK);
    assert_next(f->follower, 1000, "d");
    assert_int_equal(tycho_follower_is_caught_up(f->follower), 0);
    ASSERT_STATUS(tycho_follower_next(f->follower, 5, &event), TYCHO_TIMEOUT);
    assert_int_equal(tycho_follower_is_caught_up(f->follower), 1);
}

/* ---------------------------------------------------------------- other streams */

static void a_renamed_stream_is_followed_behind_the_last_event(void **state) {
    fixture *f = *state;
    tycho_read read = reading("old");
    write_three(f, "old");
    f->follower = follow(f->store, &read);
    f->other = follow(f->store, &read);
    assert_serves(f->follower, "a b c ");
    assert_next(f->other, 0, "a");
    tycho_read raw = read;
    raw.flags = TYCHO_READ_RAW;
    tycho_follower *own = follow(f->store, &raw);
    ASSERT_STATUS(append(f->store, "old", "d", "t", NULL), TYCHO_OK);
    ASSERT_STATUS(rename_stream(f->store, "old", "new"), TYCHO_OK);
    ASSERT_STATUS(append(f->store, "old", "e", "t", NULL), TYCHO_OK);
    assert_serves(f->follower, "d e ");
    assert_serves(f->other, "b c d e ");
    assert_serves(own, "a b c d "); /* a raw name is the stream's own */
    tycho_follower_close(own);
    ASSERT_STATUS(rename_stream(f->store, "new", "newest"), TYCHO_OK);
    resume(f, "old");
    ASSERT_STATUS(append(f->store, "newest", "f", "t", NULL), TYCHO_OK);
    assert_serves(f->follower, "f ");
    ASSERT_STATUS(change(f->store, ROUTE, "old", ""), TYCHO_OK); /* undone: "old" is itself again */
    ASSERT_STATUS(append(f->store, "old", "g", "t", NULL), TYCHO_OK);
    assert_serves(f->follower, "g ");
}

static void where_the_target_lacks_the_last_event_higher_positions_follow(void **state) {
    fixture *f = *state;
    tycho_read read = reading("route");
    ASSERT_STATUS(change(f->store, ROUTE, "route", "one"), TYCHO_OK);
    ASSERT_STATUS(append(f->store, "", "v", "t", NULL), TYCHO_OK);
    ASSERT_STATUS(append(f->store, "two", "w", "t", NULL), TYCHO_OK);
    ASSERT_STATUS(append(f->store, "route", "a", "t", NULL), TYCHO_OK);
    ASSERT_STATUS(append(f->store, "two", "x", "t", NULL), TYCHO_OK);
    ASSERT_STATUS(change(f->store, LINK, "two", "v"), TYCHO_OK); /* of a lower position */
    f->follower = follow(f->store, &read);
    assert_serves(f->follower, "a ");
    ASSERT_STATUS(change(f->store, ROUTE, "route", "nowhere"), TYCHO_OK);
    assert_serves(f->follower, ""); /* nothing is there: the place is kept */
    ASSERT_STATUS(change(f->store, ROUTE, "route", "two"), TYCHO_OK);
    ASSERT_STATUS(append(f->store, "two", "y", "t", NULL), TYCHO_OK);
    assert_next(f->follower, 0, "x");
    resume(f, "route"); /* in the middle of it */
    assert_serves(f->follower, "y ");
    ASSERT_STATUS(change(f->store, LINK, "two", "a"), TYCHO_OK);
    assert_serves(f->follower, "a "); /* now a link like others */
}

static void a_key_keeps_its_place_where_the_target_has_nothing(void **state) {
    fixture *f = *state;
    tycho_read read = reading("old");
    write_three(f, "old");
    f->follower = follow(f->store, &read);
    assert_serves(f->follower, "a b c ");
    ASSERT_STATUS(change(f->store, ROUTE, "old", "new"), TYCHO_OK);
    resume(f, "old"); /* there is no such stream */
    assert_serves(f->follower, "");
    ASSERT_STATUS(change(f->store, LINK, "new", "c"), TYCHO_OK);
    assert_serves(f->follower, "");
    ASSERT_STATUS(change(f->store, ROUTE, "old", "newer"), TYCHO_OK);
    ASSERT_STATUS(change(f->store, LINK, "newer", "b"), TYCHO_OK);
    ASSERT_STATUS(change(f->store, UNLINK, "newer", "b"), TYCHO_OK);
    resume(f, "old"); /* there it is, without entries */
    assert_serves(f->follower, "");
    ASSERT_STATUS(change(f->store, LINK, "newer", "c"), TYCHO_OK);
    assert_serves(f->follower, "");
    ASSERT_STATUS(append(f->store, "old", "d", "t", NULL), TYCHO_OK);
    assert_serves(f->follower, "d ");
}

static void what_was_passed_over_at_the_start_is_not_served_by_a_target(void **state) {
    fixture *f = *state;
    tycho_read read = reading("old");
    write_three(f, "old");
    read.flags = TYCHO_READ_FROM_REVISION;
    read.from_revision = 1;
    f->follower = follow(f->store, &read);
    ASSERT_STATUS(rename_stream(f->store, "old", "new"), TYCHO_OK);
    assert_next(f->follower, 0, "c");
    tycho_follower_close(f->follower);
    ASSERT_STATUS(change(f->store, ROUTE, "old", ""), TYCHO_OK);
    read.from_revision = 5;
    f->follower = follow(f->store, &read); /* served nothing; "c" is what it passed */
    ASSERT_STATUS(change(f->store, ROUTE, "old", "new"), TYCHO_OK);
    ASSERT_STATUS(append(f->store, "new", "d", "t", NULL), TYCHO_OK);
    assert_serves(f->follower, "d ");
}

static void a_stream_that_is_written_again_is_served_from_its_beginning(void **state) {
    fixture *f = *state;
    tycho_read read = reading("s");
    write_three(f, "s");
    read.flags = TYCHO_READ_FROM_REVISION;
    read.from_revision = 0;
    f->follower = follow(f->store, &read);
    assert_serves(f->follower, "b c ");
    ASSERT_STATUS(change(f->store, DELETE, "s", ""), TYCHO_OK);
    assert_serves(f->follower, "");
    ASSERT_STATUS(append(f->store, "s", "d", "t", NULL), TYCHO_OK);
    ASSERT_STATUS(change(f->store, LINK, "s", "b"), TYCHO_OK);
    resume(f, "s");
    assert_serves(f->follower, "d b ");
    ASSERT_STATUS(change(f->store, DELETE, "s", ""), TYCHO_OK);
    ASSERT_STATUS(append(f->store, "s", "e", "t", NULL), TYCHO_OK);
    assert_serves(f->follower, "e ");
}

/* ---------------------------------------------------------------- keys */

static void a_key_is_good_before_the_first_event(void **state) {
    fixture *f = *state;
    tycho_read read = reading("s");
    f->follower = follow(f->store, &read);
    resume(f, "s");
    write_three(f, "s");
    resume(f, "s");
    assert_serves(f->follower, "a b c ");
    resume(f, "s");
    assert_serves(f->follower, "");
}

static void a_cursor_takes_the_key_of_a_follower_and_the_other_way(void **state) {
    fixture *f = *state;
    tycho_read read = reading("old");
    tycho_cursor *cursor;
    tycho_event event;
    tycho_bytes key;
    write_three(f, "old");
    f->follower = follow(f->store, &read);
    assert_next(f->follower, 0, "a");
    ASSERT_STATUS(append(f->store, "new", "z", "t", NULL), TYCHO_OK);
    ASSERT_STATUS(rename_stream(f->store, "old", "new"), TYCHO_OK);
    ASSERT_STATUS(tycho_follower_key(f->follower, &key), TYCHO_OK);
    read.resume = key;
    ASSERT_STATUS(tycho_cursor_open(f->store, &read, &cursor), TYCHO_OK);
    ASSERT_STATUS(tycho_cursor_next(cursor, &event), TYCHO_OK);
    assert_bytes(event.id, text("b"));
    ASSERT_STATUS(tycho_cursor_key(cursor, &key), TYCHO_OK);
    read.resume = key;
    tycho_follower *other = follow(f->store, &read);
    tycho_cursor_close(cursor);
    assert_serves(other, "c ");
    tycho_follower_close(other);
}

static void a_key_of_another_read_is_refused(void **state) {
    fixture *f = *state;
    tycho_read read = reading("s");
    tycho_bytes key;
    tycho_follower *other;
    char spoilt[TYCHO_CURSOR_KEY_MAX];
    write_three(f, "s");
    f->follower = follow(f->store, &read);
    ASSERT_STATUS(tycho_follower_key(f->follower, &key), TYCHO_OK);
    read.resume = key;
    read.stream = text("");
    ASSERT_STATUS(tycho_follower_open(f->store, &read, &other), TYCHO_CORRUPT);
    read.stream = text("s");
    memcpy(spoilt, key.data, key.size);
    spoilt[0] = 3;
    read.resume = bytes_of(spoilt, key.size);
    ASSERT_STATUS(tycho_follower_open(f->store, &read, &other), TYCHO_CORRUPT);
    read.resume = bytes_of(key.data, key.size - 1);
    ASSERT_STATUS(tycho_follower_open(f->store, &read, &other), TYCHO_CORRUPT);
    read.resume = bytes_of(NULL, key.size);
    ASSERT_STATUS(tycho_follower_open(f->store, &read, &other), TYCHO_CORRUPT);
    memset(spoilt, 0xff, sizeof spoilt); /* numbers that nobody gave out */
    spoilt[0] = 2;
    spoilt[1] = 0;
    read.resume = bytes_of(spoilt, key.size);
    other = follow(f->store, &read);
    tycho_follower_close(other);
}

/* ---------------------------------------------------------------- damage */

static void a_damaged_record_is_told_and_passed(void **state) {
    fixture *f = *state;
    tycho_read read = reading("s");
    tycho_event event;
    ASSERT_STATUS(append(f->store, "s", "a", "t", NULL), TYCHO_OK);
    ASSERT_STATUS(append(f->store, "s", "the-damaged-one", "t", NULL), TYCHO_OK);
    ASSERT_STATUS(append(f->store, "s", "c", "t", NULL), TYCHO_OK);
    damage(f, "the-damaged-onethe-damaged-one");
    f->follower = follow(f->store, &read);
    assert_next(f->follower, 0, "a");
    ASSERT_STATUS(tycho_follower_next(f->follower, 0, &event), TYCHO_CORRUPT);
    assert_non_null(strstr(tycho_error(), "position 2"));
    resume(f, "s");
    assert_serves(f->follower, "c ");
    damage(f, "uhe-damaged-onethe-damaged-one"); /* the same bit: whole again */
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(the_log_is_served_and_then_what_comes),
        TEST(an_empty_store_and_an_unknown_stream_can_be_followed),
        TEST(links_are_served_like_events),
        TEST(a_query_filters_also_by_names_that_come_later),
        TEST(more_than_a_block_is_served_whole),
        TEST(what_is_removed_before_it_was_served_is_not),
        TEST(a_stream_that_is_all_gone_is_followed_again),
        TEST(a_stream_that_came_and_was_emptied_before_it_was_served_is_waited_for),
        TEST(bounds_hold_at_the_start),
        TEST(times_and_positions_bound_for_ever),
        TEST(a_limit_ends_it),
        TEST(what_has_an_end_or_another_order_is_refused),
        TEST(it_knows_when_it_has_caught_up),
        TEST(a_renamed_stream_is_followed_behind_the_last_event),
        TEST(where_the_target_lacks_the_last_event_higher_positions_follow),
        TEST(a_key_keeps_its_place_where_the_target_has_nothing),
        TEST(what_was_passed_over_at_the_start_is_not_served_by_a_target),
        TEST(a_stream_that_is_written_again_is_served_from_its_beginning),
        TEST(a_key_is_good_before_the_first_event),
        TEST(a_cursor_takes_the_key_of_a_follower_and_the_other_way),
        TEST(a_key_of_another_read_is_refused),
        TEST(a_damaged_record_is_told_and_passed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
