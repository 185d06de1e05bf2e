/* hooks_test.c - what takes part in batches: a hook adds to a batch, which is as it was afterwards,
** or refuses it, and may read the store meanwhile. Batches that are completed when nobody else can
** write.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "store_values.h"

typedef struct fixture {
    tycho_store *store;
    tycho_batch *batch;
    int calls;
    int answer;        /* of the hook, when not TYCHO_OK */
    int64_t seen;      /* version of the stream "orders" when the hook was called */
    bool must_be_none; /* the hook adds a condition, too */
} fixture;

static int set_up(void **state) {
    fixture *f = calloc(1, sizeof *f);
    if (f == NULL || open_store(NULL, TYCHO_TEMPORARY, &f->store) != TYCHO_OK) return -1;
    *state = f;
    return tycho_batch_create(&f->batch);
}

static int tear_down(void **state) {
    fixture *f = *state;
    assert_clean(f->store);
    tycho_batch_destroy(f->batch);
    tycho_store_close(f->store);
    free(f);
    return 0;
}

/* Counts each batch in a row, notes it in a stream, sets a route. */
static int expand(void *context, tycho_store *store, uint64_t rules, tycho_batch *batch) {
    fixture *f = context;
    assert_int_equal(rules, 0);
    char calls[16];
    const tycho_new_event event = {.type = text("noted")};
    f->calls++;
    if (f->answer != TYCHO_OK) {
        tycho_set_error("the hook says no");
        return f->answer;
    }
    int status = tycho_stream_version(store, text("orders"), 0, &f->seen);
    snprintf(calls, sizeof calls, "%d", f->calls);
    if (status == TYCHO_OK) {
        status = tycho_batch_put_row(batch, text("hook"), text("calls"), text(calls));
    }
    if (status == TYCHO_OK) {
        status = tycho_batch_append(batch, text("notes"), TYCHO_EXPECT_ANY, &event, 1, 0);
    }
    if (status == TYCHO_OK) {
        status = tycho_batch_set_route(batch, text("newest"), text("orders"), 0);
    }
    if (status == TYCHO_OK && f->must_be_none) {
        status = tycho_batch_expect(batch, text("orders"), TYCHO_EXPECT_NONE, 0);
    }
    return status;
}

static void set_hook(fixture *f) {
    const tycho_hooks hooks = {.size = sizeof hooks, .context = f, .expand = expand};
    ASSERT_STATUS(tycho_store_set_hooks(f->store, &hooks), TYCHO_OK);
}

static void add_order(fixture *f) {
    const tycho_new_event event = {.type = text("placed")};
    tycho_batch_clear(f->batch);
    ASSERT_STATUS(tycho_batch_append(f->batch, text("orders"), TYCHO_EXPECT_ANY, &event, 1, 0),
                  TYCHO_OK);
}

static void assert_version(fixture *f, const char *stream, int64_t expected) {
    int64_t version = -2;
    ASSERT_STATUS(tycho_stream_version(f->store, text(stream), 0, &version), TYCHO_OK);
    assert_int_equal(version, expected);
}

/* The value of the row that the hook puts; "" when there is none. */
static void assert_row(fixture *f, const char *expected) {
    const tycho_list_options options = {
        .size = sizeof options, .list = TYCHO_LIST_ROWS, .subject = text("hook")};
    tycho_listing *listing;
    tycho_item item;
    ASSERT_STATUS(tycho_listing_open(f->store, &options, &listing), TYCHO_OK);
    if (expected[0] == '\0') {
        ASSERT_STATUS(tycho_listing_next(listing, &item), TYCHO_END);
    } else {
        ASSERT_STATUS(tycho_listing_next(listing, &item), TYCHO_OK);
        assert_bytes(item.value, text(expected));
    }
    tycho_listing_close(listing);
}

static void what_a_hook_adds_is_committed_with_the_batch(void **state) {
    fixture *f = *state;
    const tycho_receipt *receipt;
    set_hook(f);
    add_order(f);
    ASSERT_STATUS(tycho_commit(f->store, f->batch, &receipt), TYCHO_OK);
    assert_int_equal(f->calls, 1);
    assert_int_equal(f->seen, -1); /* it reads what was before */
    assert_version(f, "orders", 0);
    assert_version(f, "notes", 0);
    assert_version(f, "newest", 0); /* the route leads to orders */
    assert_row(f, "1");
    assert_int_equal(receipt->sequence, 1);
    assert_int_equal(receipt->head, 2);
}

static void what_a_hook_adds_is_taken_out_again(void **state) {
    fixture *f = *state;
    const tycho_receipt *receipt;
    tycho_bytes bytes;
    set_hook(f);
    add_order(f);
    ASSERT_STATUS(tycho_batch_expect(f->batch, text("other"), TYCHO_EXPECT_NONE, 0), TYCHO_OK);
    ASSERT_STATUS(tycho_batch_encode(f->batch, &bytes), TYCHO_OK);
    uint8_t *before = exact_copy(bytes.data, bytes.size);
    size_t size = bytes.size;
    ASSERT_STATUS(tycho_commit(f->store, f->batch, &receipt), TYCHO_OK);
    assert_int_equal(receipt->result_count, 1);
    assert_int_equal(receipt->results[0].count, 1);
    assert_int_equal(receipt->results[0].first_position, 1);
    ASSERT_STATUS(tycho_batch_encode(f->batch, &bytes), TYCHO_OK);
    assert_bytes(bytes, bytes_of(before, size));
    ASSERT_STATUS(tycho_commit(f->store, f->batch, NULL), TYCHO_DUPLICATE_EVENT);
    ASSERT_STATUS(tycho_batch_encode(f->batch, &bytes), TYCHO_OK); /* after a refusal, too */
    assert_bytes(bytes, bytes_of(before, size));
    assert_int_equal(f->calls, 2);
    assert_version(f, "notes", 0);
    assert_row(f, "1");
    free(before);
}

static void a_hook_refuses_with_its_own_words(void **state) {
    fixture *f = *state;
    const tycho_receipt *receipt;
    set_hook(f);
    add_order(f);
    f->answer = TYCHO_CONDITION_FAILED;
    ASSERT_STATUS(tycho_commit(f->store, f->batch, &receipt), TYCHO_CONDITION_FAILED);
    assert_string_equal(tycho_error(), "the hook says no");
    assert_int_equal(receipt->sequence, 0);
    assert_true(receipt->operation == -1 && receipt->condition == -1);
    assert_version(f, "orders", -1);
    assert_row(f, "");
    f->answer = TYCHO_OK;
    ASSERT_STATUS(tycho_commit(f->store, f->batch, &receipt), TYCHO_OK);
    assert_version(f, "orders", 0);
}

static void a_condition_of_a_hook_holds_for_the_whole_batch(void **state) {
    fixture *f = *state;
    const tycho_receipt *receipt;
    set_hook(f);
    f->must_be_none = true;
    add_order(f);
    ASSERT_STATUS(tycho_commit(f->store, f->batch, NULL), TYCHO_OK);
    add_order(f);
    ASSERT_STATUS(tycho_commit(f->store, f->batch, &receipt), TYCHO_WRONG_EXPECTED_VERSION);
    assert_int_equal(receipt->actual, 0);
    assert_version(f, "orders", 0);
    assert_version(f, "notes", 0);
}

static void a_hook_belongs_to_its_handle_until_it_is_taken_away(void **state) {
    fixture *f = *state;
    const tycho_hooks none = {.size = sizeof none}, wrong = {.size = sizeof wrong - 1};
    set_hook(f);
    ASSERT_STATUS(tycho_store_set_hooks(f->store, &wrong), TYCHO_MISUSE);
    add_order(f);
    ASSERT_STATUS(tycho_commit(f->store, f->batch, NULL), TYCHO_OK);
    assert_int_equal(f->calls, 1);
    ASSERT_STATUS(tycho_store_set_hooks(f->store, &none), TYCHO_OK);
    add_order(f);
    ASSERT_STATUS(tycho_commit(f->store, f->batch, NULL), TYCHO_OK);
    assert_int_equal(f->calls, 1);
    assert_version(f, "orders", 1);
    assert_version(f, "notes", 0);
}

static void a_hook_is_not_asked_about_an_empty_batch(void **state) {
    fixture *f = *state;
    set_hook(f);
    ASSERT_STATUS(tycho_commit(f->store, f->batch, NULL), TYCHO_MISUSE);
    assert_int_equal(f->calls, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* ---------------------------------------------------------------- completed batches */

typedef struct completing {
    int calls;
    int answer;
} completing;

/* Links what the stream "orders" has by then, as a batch of its own could not know it. */
static int complete(void *context, tycho_store *store, tycho_batch *batch) {
    completing *c = context;
    const tycho_read read = {.size = sizeof read, .stream = text("orders")};
    tycho_cursor *cursor;
    tycho_event event;
    c->calls++;
    if (c->answer != TYCHO_OK) {
        tycho_set_error("it cannot be completed");
        return c->answer;
    }
    int status = tycho_cursor_open(store, &read, &cursor);
    if (status != TYCHO_OK) return status;
    while (status == TYCHO_OK && (status = tycho_cursor_next(cursor, &event)) == TYCHO_OK) {
        status = tycho_batch_link(batch, text("linked"), TYCHO_EXPECT_ANY, &event.id, 1,
                                  TYCHO_SKIP_DUPLICATES);
    }
    tycho_cursor_close(cursor);
    return status == TYCHO_END ? TYCHO_OK : status;
}

static void put_seen(fixture *f) {
    tycho_batch_clear(f->batch);
    ASSERT_STATUS(tycho_batch_put_row(f->batch, text("rows"), text("seen"), text("1")), TYCHO_OK);
}

static void a_completed_batch_sees_all_that_was_written_before(void **state) {
    fixture *f = *state;
    completing c = {.calls = 0};
    const tycho_receipt *receipt;
    for (int i = 0; i < 3; i++) {
        add_order(f);
        ASSERT_STATUS(tycho_commit(f->store, f->batch, NULL), TYCHO_OK);
    }
    put_seen(f);
    for (int i = 0; i < 2; i++) { /* what was added is taken out again */
        ASSERT_STATUS(tycho_commit_completed(f->store, f->batch, complete, &c, &receipt), TYCHO_OK);
        assert_int_equal(receipt->result_count, 1);
        assert_int_equal(c.calls, i + 1);
        assert_version(f, "linked", 2);
    }
    ASSERT_STATUS(tycho_commit(f->store, f->batch, &receipt), TYCHO_OK);
    assert_int_equal(receipt->result_count, 1);
    set_hook(f);
    ASSERT_STATUS(tycho_commit_completed(f->store, f->batch, complete, &c, NULL), TYCHO_OK);
    assert_int_equal(f->calls, 1);
    assert_int_equal(c.calls, 3);
}

static void a_batch_that_cannot_be_completed_is_refused(void **state) {
    fixture *f = *state;
    completing c = {.answer = TYCHO_BUSY};
    const tycho_receipt *receipt;
    put_seen(f);
    ASSERT_STATUS(tycho_commit_completed(f->store, f->batch, complete, &c, &receipt), TYCHO_BUSY);
    assert_string_equal(tycho_error(), "it cannot be completed");
    assert_int_equal(receipt->sequence, 0);
    ASSERT_STATUS(tycho_commit_completed(f->store, f->batch, NULL, &c, &receipt), TYCHO_MISUSE);
    assert_null(receipt);
    tycho_batch_clear(f->batch);
    c.calls = 0;
    ASSERT_STATUS(tycho_commit_completed(f->store, f->batch, complete, &c, NULL), TYCHO_MISUSE);
    assert_int_equal(c.calls, 0);
    add_order(f);
    ASSERT_STATUS(tycho_commit(f->store, f->batch, NULL), TYCHO_OK);
}

/* Two links with numbers of the visitor's and one without; once the engine has numbers, the names
** beside them are not looked at. */
static int give_numbers(void *context, const tycho_appended *appended, tycho_additions *additions) {
    static tycho_bytes links[3];
    static uint32_t *memos[3];
    uint32_t *numbers = context;
    (void)appended;
    for (size_t i = 0; i < 2; i++) {
        links[i] = text(numbers[i] != 0 ? "\n" : i == 0 ? "one" : "two");
        memos[i] = &numbers[i];
    }
    links[2] = text("two");
    additions->links = links;
    additions->link_count = 3;
    additions->raw_count = 1; /* the third is another one than the second */
    additions->memos = memos;
    return TYCHO_OK;
}

static void numbers_of_streams_stand_for_their_names(void **state) {
    fixture *f = *state;
    const tycho_new_event event = {.type = text("t")}, events[3] = {event, event, event};
    uint32_t numbers[2] = {0, 0};
    tycho_batch *decoded;
    tycho_bytes bytes;
    int64_t version;
    ASSERT_STATUS(tycho_batch_append(f->batch, text("s"), TYCHO_EXPECT_ANY, events, 3, 0),
                  TYCHO_OK);
    ASSERT_STATUS(tycho_batch_expand(f->batch, NULL, give_numbers, numbers), TYCHO_OK);
    assert_true(numbers[0] != 0 && numbers[1] != 0 && numbers[0] != numbers[1]);
    ASSERT_STATUS(tycho_batch_encode(f->batch, &bytes), TYCHO_OK);
    ASSERT_STATUS(tycho_batch_create(&decoded), TYCHO_OK);
    ASSERT_STATUS(tycho_batch_decode(decoded, bytes), TYCHO_OK);
    ASSERT_STATUS(tycho_commit(f->store, decoded, NULL), TYCHO_OK);
    tycho_batch_destroy(decoded);
    for (int i = 0; i < 2; i++) {
        tycho_bytes stream = text(i == 0 ? "one" : "two");
        ASSERT_STATUS(tycho_stream_version(f->store, stream, 0, &version), TYCHO_OK);
        assert_int_equal(version, 2);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(what_a_hook_adds_is_committed_with_the_batch),
        TEST(what_a_hook_adds_is_taken_out_again),
        TEST(a_hook_refuses_with_its_own_words),
        TEST(a_condition_of_a_hook_holds_for_the_whole_batch),
        TEST(a_hook_belongs_to_its_handle_until_it_is_taken_away),
        TEST(a_hook_is_not_asked_about_an_empty_batch),
        TEST(a_completed_batch_sees_all_that_was_written_before),
        TEST(a_batch_that_cannot_be_completed_is_refused),
        TEST(numbers_of_streams_stand_for_their_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
