/* scripts_test.c - deployed scripts as the engine sees them: rows that give the rules a version,
** batches that are expanded under that version, and what hooks add to the events of a batch.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "batch.h"
#include "store_values.h"

/* What the hook does for events of each type; `deploy` is done once, in the middle of a call. */
typedef struct fixture {
    char path[DIRECTORY_SIZE];
    tycho_store *store, *other; /* the second handle has no hooks */
    tycho_batch *batch;
    int calls, visits;
    uint64_t rules;
    bool deploys;
    bool tags_more;
    bool wants; /* events of the stream "s" alone */
    int answer;
} fixture;

static void commit_deployment(tycho_store *store, const char *name, const char *script) {
    tycho_batch *batch;
    ASSERT_STATUS(tycho_batch_create(&batch), TYCHO_OK);
    ASSERT_STATUS(tycho_batch_deploy(batch, text(name), text(script)), TYCHO_OK);
    ASSERT_STATUS(tycho_commit(store, batch, NULL), TYCHO_OK);
    tycho_batch_destroy(batch);
}

/* Events of type "plain" get nothing, all others a tag and a link by their type, "twice" two. */
static int visit(void *context, const tycho_appended *appended, tycho_additions *additions) {
    static tycho_bytes tags[2], links[3];
    fixture *f = context;
    const tycho_event *event = &appended->event;
    f->visits++;
    if (f->answer != TYCHO_OK) {
        tycho_set_error("the script says no");
        return f->answer;
    }
    if (event->type.size == 5 && memcmp(event->type.data, "plain", 5) == 0) return TYCHO_OK;
    bool is_twice = f->tags_more || memcmp(event->type.data, "twice", 5) == 0;
    tags[0] = event->type;
    tags[1] = text("more");
    links[0] = event->type;
    links[1] = text("all");
    links[2] = event->type; /* named twice, linked once */
    additions->tags = tags;
    additions->tag_count = is_twice ? 2 : 1;
    additions->links = links;
    additions->link_count = is_twice ? 3 : 1;
    return TYCHO_OK;
}

static int wants(void *context, tycho_bytes stream, tycho_bytes type) {
    (void)context;
    assert_true(type.size > 0);
    return stream.size == 1 && memcmp(stream.data, "s", 1) == 0;
}

static int expand(void *context, tycho_store *store, uint64_t rules, tycho_batch *batch) {
    fixture *f = context;
    (void)store;
    f->calls++;
    f->rules = rules;
    f->visits = 0;
    if (f->deploys) {
        f->deploys = false;
        tycho_hooks none = {.size = sizeof none};
        ASSERT_STATUS(tycho_store_set_hooks(f->other, &none), TYCHO_OK);
        commit_deployment(f->other, "late", "x");
    }
    return rules == 0 ? TYCHO_OK : tycho_batch_expand(batch, f->wants ? wants : NULL, visit, f);
}

static void set_hooks(tycho_store *store, fixture *f) {
    const tycho_hooks hooks = {.size = sizeof hooks, .context = f, .expand = expand};
    ASSERT_STATUS(tycho_store_set_hooks(store, &hooks), TYCHO_OK);
}

static int set_up(void **state) {
    fixture *f = calloc(1, sizeof *f);
    if (f == NULL || make_directory(f->path) != 0) return -1;
    if (open_store(f->path, TYCHO_CREATE, &f->store) != TYCHO_OK) return -1;
    if (open_store(f->path, TYCHO_CREATE, &f->other) != TYCHO_OK) return -1;
    set_hooks(f->store, f);
    *state = f;
    return tycho_batch_create(&f->batch);
}

static int tear_down(void **state) {
    fixture *f = *state;
    assert_clean(f->store);
    tycho_batch_destroy(f->batch);
    tycho_store_close(f->store);
    tycho_store_close(f->other);
    remove_directory(f->path);
    free(f);
    return 0;
}

static void add(fixture *f, const char *stream, const char *type, const char *id) {
    const tycho_bytes tag = text("given");
    const tycho_new_event event = {.id = text(id),
                                   .type = text(type),
                                   .tag_count = 1,
                                   .tags = &tag,
                                   .data = text("data"),
                                   .correlation_id = text("01982f5e-7a41-7bcd-8ef0-1234567890ab")};
    ASSERT_STATUS(tycho_batch_append(f->batch, text(stream), TYCHO_EXPECT_ANY, &event, 1, 0),
                  TYCHO_OK);
}

/* The ids of a stream, or of a tag, joined by commas. */
static void assert_ids(fixture *f, const char *stream, const char *tag, const char *expected) {
    char found[256] = "";
    const tycho_bytes tags = text(tag);
    const tycho_query_item item = {.tags = &tags, .tag_count = 1};
    const tycho_query query = {&item, 1};
    const tycho_read read = {
        .size = sizeof read, .stream = text(stream), .query = tag[0] == '\0' ? NULL : &query};
    tycho_cursor *cursor;
    tycho_event event;
    ASSERT_STATUS(tycho_cursor_open(f->store, &read, &cursor), TYCHO_OK);
    while (tycho_cursor_next(cursor, &event) == TYCHO_OK) {
        size_t size = strlen(found);
        snprintf(found + size, sizeof found - size, "%s%.*s", size == 0 ? "" : ",",
                 (int)event.id.size, (const char *)event.id.data);
    }
    tycho_cursor_close(cursor);
    assert_string_equal(found, expected);
}

static uint64_t rules_of(fixture *f) {
    uint64_t version;
    ASSERT_STATUS(tycho_rules_version(f->store, &version), TYCHO_OK);
    return version;
}

/* ---------------------------------------------------------------- deploying */

static void each_deployment_gives_the_rules_a_version(void **state) {
    fixture *f = *state;
    assert_int_equal(rules_of(f), 0);
    commit_deployment(f->store, "a", "one");
    assert_int_equal(rules_of(f), 1);
    commit_deployment(f->store, "b", "two");
    commit_deployment(f->store, "a", "three");
    assert_int_equal(rules_of(f), 3);
    commit_deployment(f->store, "a", "");
    assert_int_equal(rules_of(f), 4);
    commit_deployment(f->store, "a", ""); /* is not there any more */
    commit_deployment(f->store, "b", "");
    assert_int_equal(rules_of(f), 0);
}

static void scripts_are_rows_that_only_deploying_writes(void **state) {
    fixture *f = *state;
    const tycho_list_options options = {
        .size = sizeof options, .list = TYCHO_LIST_ROWS, .subject = text(TYCHO_SCRIPTS)};
    tycho_listing *listing;
    tycho_item item;
    commit_deployment(f->store, "a", "one");
    ASSERT_STATUS(tycho_listing_open(f->store, &options, &listing), TYCHO_OK);
    ASSERT_STATUS(tycho_listing_next(listing, &item), TYCHO_OK);
    assert_bytes(item.name, text("a"));
    assert_bytes(item.value, text("one"));
    assert_int_equal(item.version, 1);
    ASSERT_STATUS(tycho_listing_next(listing, &item), TYCHO_END);
    tycho_listing_close(listing);
    const tycho_bytes table = text(TYCHO_SCRIPTS), key = text("a");
    ASSERT_STATUS(tycho_batch_put_row(f->batch, table, key, key), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_batch_delete_row(f->batch, table, key), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_batch_expect_row(f->batch, table, key, 1), TYCHO_OK);
    ASSERT_STATUS(tycho_batch_deploy(f->batch, text(""), key), TYCHO_MISUSE);
}

static void rules_are_not_bypassed(void **state) {
    fixture *f = *state;
    uint64_t head = 9;
    commit_deployment(f->other, "a", "one"); /* the first may come from anybody */
    add(f, "s", "plain", "p");
    ASSERT_STATUS(tycho_commit(f->other, f->batch, NULL), TYCHO_DENIED);
    assert_non_null(strstr(tycho_error(), "scripts"));
    ASSERT_STATUS(tycho_head(f->other, &head), TYCHO_OK); /* but anybody may read */
    assert_int_equal(head, 0);
    ASSERT_STATUS(tycho_commit(f->store, f->batch, NULL), TYCHO_OK);
    commit_deployment(f->store, "a", "");
    tycho_batch_clear(f->batch);
    add(f, "s", "plain", "q");
    ASSERT_STATUS(tycho_commit(f->other, f->batch, NULL), TYCHO_OK);
}

static void a_batch_is_expanded_again_when_the_rules_change(void **state) {
    fixture *f = *state;
    const tycho_receipt *receipt;
    f->deploys = true;
    add(f, "s", "typed", "e");
    ASSERT_STATUS(tycho_commit(f->store, f->batch, &receipt), TYCHO_OK);
    assert_int_equal(f->calls, 2);
    assert_int_equal(f->rules, 1);
    assert_int_equal(receipt->sequence, 2);
    assert_ids(f, "typed", "", "e");
}

/* ---------------------------------------------------------------- what is added */

static void events_get_tags_and_links(void **state) {
    fixture *f = *state;
    const tycho_receipt *receipt;
    tycho_bytes bytes;
    commit_deployment(f->store, "a", "one");
    add(f, "s", "plain", "p1");
    add(f, "s", "typed", "t1");
    ASSERT_STATUS(tycho_batch_put_row(f->batch, text("t"), text("k"), text("v")), TYCHO_OK);
    add(f, "s", "plain", "p2");
    add(f, "", "twice", "w1");
    add(f, "typed", "typed", "t2"); /* is there already */
    ASSERT_STATUS(tycho_batch_encode(f->batch, &bytes), TYCHO_OK);
    uint8_t *before = exact_copy(bytes.data, bytes.size);
    size_t size = bytes.size;
    ASSERT_STATUS(tycho_commit(f->store, f->batch, &receipt), TYCHO_OK);
    assert_int_equal(f->visits, 5);
    assert_int_equal(receipt->result_count, 6);
    assert_int_equal(receipt->event_count, 5);
    assert_int_equal(receipt->results[5].first_revision, 0);
    ASSERT_STATUS(tycho_batch_encode(f->batch, &bytes), TYCHO_OK); /* the batch is as it was */
    assert_bytes(bytes, bytes_of(before, size));
    free(before);
    assert_ids(f, "s", "", "p1,t1,p2");
    assert_ids(f, "typed", "", "t2,t1");
    assert_ids(f, "twice", "", "w1");
    assert_ids(f, "all", "", "w1");
    assert_ids(f, "", "typed", "t1,t2");
    assert_ids(f, "", "more", "w1");
    assert_ids(f, "", "given", "p1,t1,p2,w1,t2");
}

static void events_that_are_not_wanted_are_passed_over(void **state) {
    fixture *f = *state;
    commit_deployment(f->store, "a", "one");
    f->wants = true;
    add(f, "r", "typed", "t1");
    add(f, "s", "typed", "t2");
    add(f, "r", "twice", "t3");
    add(f, "s", "typed", "t4");
    ASSERT_STATUS(tycho_commit(f->store, f->batch, NULL), TYCHO_OK);
    assert_int_equal(f->visits, 2);
    assert_ids(f, "typed", "", "t2,t4");
    assert_ids(f, "", "typed", "t2,t4");
    assert_ids(f, "r", "", "t1,t3");
    assert_ids(f, "", "given", "t1,t2,t3,t4");
}

static void a_visitor_sees_what_will_be_stored(void **state) {
    fixture *f = *state;
    tycho_cursor *cursor;
    tycho_event event;
    const tycho_read read = {.size = sizeof read};
    commit_deployment(f->store, "a", "one");
    add(f, "s", "typed", "0190163d-8694-739b-aea5-966c26f8ad91");
    ASSERT_STATUS(tycho_commit(f->store, f->batch, NULL), TYCHO_OK);
    ASSERT_STATUS(tycho_cursor_open(f->store, &read, &cursor), TYCHO_OK);
    ASSERT_STATUS(tycho_cursor_next(cursor, &event), TYCHO_OK);
    assert_bytes(event.id, text("0190163d-8694-739b-aea5-966c26f8ad91"));
    assert_bytes(event.correlation_id, text("01982f5e-7a41-7bcd-8ef0-1234567890ab"));
    assert_bytes(event.data, text("data"));
    assert_int_equal(event.tag_count, 2);
    tycho_cursor_close(cursor);
}

static void a_visitor_refuses_the_batch_and_leaves_it_as_it_was(void **state) {
    fixture *f = *state;
    const tycho_receipt *receipt;
    uint64_t head = 9;
    commit_deployment(f->store, "a", "one");
    add(f, "s", "typed", "t");
    f->answer = TYCHO_CONDITION_FAILED;
    ASSERT_STATUS(tycho_commit(f->store, f->batch, &receipt), TYCHO_CONDITION_FAILED);
    assert_string_equal(tycho_error(), "the script says no");
    assert_int_equal(f->calls, 2); /* the deployment, and this batch once */
    ASSERT_STATUS(tycho_head(f->store, &head), TYCHO_OK);
    assert_int_equal(head, 0);
    f->answer = TYCHO_OK;
    ASSERT_STATUS(tycho_commit(f->store, f->batch, NULL), TYCHO_OK);
    assert_ids(f, "typed", "t", "");
    assert_ids(f, "typed", "typed", "t");
}

static void a_resubmitted_batch_is_recognised_with_its_tags(void **state) {
    fixture *f = *state;
    const tycho_receipt *receipt;
    commit_deployment(f->store, "a", "one");
    add(f, "s", "typed", "t");
    tycho_batch_set_idempotent(f->batch, 1);
    ASSERT_STATUS(tycho_commit(f->store, f->batch, NULL), TYCHO_OK);
    ASSERT_STATUS(tycho_commit(f->store, f->batch, &receipt), TYCHO_OK);
    assert_int_equal(receipt->is_replay, 1);
    assert_int_equal(receipt->results[0].first_position, 1);
    commit_deployment(f->store, "b", "other tags");
    f->tags_more = true;
    ASSERT_STATUS(tycho_commit(f->store, f->batch, &receipt), TYCHO_OK);
    assert_int_equal(receipt->is_replay, 1);
}

static void a_resubmitted_batch_is_answered_though_scripts_refuse_it_now(void **state) {
    fixture *f = *state;
    const tycho_receipt *receipt;
    commit_deployment(f->store, "a", "one");
    add(f, "s", "typed", "t");
    tycho_batch_set_idempotent(f->batch, 1);
    f->answer = TYCHO_REJECTED;
    ASSERT_STATUS(tycho_commit(f->store, f->batch, &receipt), TYCHO_REJECTED);
    assert_string_equal(tycho_error(), "the script says no");
    assert_int_equal(receipt->result_count, 0);
    f->answer = TYCHO_OK;
    ASSERT_STATUS(tycho_commit(f->store, f->batch, NULL), TYCHO_OK);
    f->answer = TYCHO_REJECTED;
    ASSERT_STATUS(tycho_commit(f->store, f->batch, &receipt), TYCHO_OK);
    assert_int_equal(receipt->is_replay, 1);
    assert_int_equal(receipt->results[0].first_position, 1);
}

/* ---------------------------------------------------------------- reading */

/* What the hooks of a read hold: for rules 1 nothing, for others `changes`, and 3 is refused. */
typedef struct changes {
    int held, released, reads, closed;
    int answer;
} changes;

static int hold(void *context, tycho_store *store, uint64_t rules, void **held) {
    changes *c = context;
    (void)store;
    *held = rules == 1 ? NULL : c;
    if (*held != NULL) c->held++;
    tycho_set_error("the rules cannot be held");
    return rules == 3 ? TYCHO_REJECTED : TYCHO_OK;
}

static void release(void *context, void *held) {
    changes *c = context;
    assert_ptr_equal(held, c);
    c->released++;
}

static size_t former(void *held, tycho_bytes type, const tycho_bytes **names) {
    static tycho_bytes name;
    (void)held;
    name = text("old");
    *names = &name;
    return type.size == 3 && memcmp(type.data, "new", 3) == 0 ? 1 : 0;
}

/* Old events are new ones, with their data written twice. */
static int read_event(void *held, tycho_cursor *cursor, tycho_event *event) {
    changes *c = held;
    c->reads++;
    if (c->answer != TYCHO_OK) return c->answer;
    if (memcmp(event->type.data, "old", 3) != 0) return TYCHO_OK;
    char *room = tycho_cursor_room(cursor, 2 * event->data.size);
    assert_non_null(room);
    memcpy(room, event->data.data, event->data.size);
    memcpy(room + event->data.size, event->data.data, event->data.size);
    event->data = bytes_of(room, 2 * event->data.size);
    event->type = text("new");
    return TYCHO_OK;
}

static void close_changes(void *context) {
    ((changes *)context)->closed++;
}

static int next_unpacked(tycho_cursor *cursor, tycho_event *event) {
    int status = tycho_cursor_next_packed(cursor, event);
    return status == TYCHO_OK ? tycho_event_unpack(event, NULL) : status;
}

/* What is read, and `next` says how. */
static void assert_read(tycho_store *store, uint32_t flags, const char *type, const char *expected,
                        int (*next)(tycho_cursor *, tycho_event *)) {
    char found[256] = "";
    const tycho_bytes types = text(type);
    const tycho_query_item item = {.types = &types, .type_count = 1};
    const tycho_query query = {&item, 1};
    const tycho_read read = {
        .size = sizeof read, .flags = flags, .query = type[0] == '\0' ? NULL : &query};
    tycho_cursor *cursor;
    tycho_event event;
    ASSERT_STATUS(tycho_cursor_open(store, &read, &cursor), TYCHO_OK);
    while (next(cursor, &event) == TYCHO_OK) {
        size_t used = strlen(found);
        snprintf(found + used, sizeof found - used, "%.*s %.*s;", (int)event.type.size,
                 (const char *)event.type.data, (int)event.data.size,
                 (const char *)event.data.data);
    }
    tycho_cursor_close(cursor);
    assert_string_equal(found, expected);
}

static void assert_served(tycho_store *store, uint32_t flags, const char *type,
                          const char *expected) {
    assert_read(store, flags, type, expected, tycho_cursor_next);
    assert_read(store, flags, type, expected, next_unpacked);
}

static void hooks_change_what_is_read_while_there_are_rules(void **state) {
    fixture *f = *state;
    changes c = {.held = 0};
    tycho_store *reader;
    tycho_hooks hooks = {.size = sizeof hooks, .context = &c, .hold = hold};
    uint64_t count;
    ASSERT_STATUS(open_store(f->path, TYCHO_EXISTING, &reader), TYCHO_OK);
    ASSERT_STATUS(tycho_store_set_hooks(reader, &hooks), TYCHO_MISUSE);
    hooks =
        (tycho_hooks){sizeof hooks, &c, expand, hold, release, former, read_event, close_changes};
    ASSERT_STATUS(tycho_store_set_hooks(reader, &hooks), TYCHO_OK);
    assert_ptr_equal(tycho_store_hook_context(reader, expand), &c);
    assert_null(tycho_store_hook_context(f->other, expand));
    commit_deployment(f->store, "a", "one"); /* rules 1 change nothing */
    add(f, "s", "old", "o");
    add(f, "s", "new", "n");
    f->answer = TYCHO_OK;
    ASSERT_STATUS(tycho_commit(f->store, f->batch, NULL), TYCHO_OK);
    assert_served(reader, 0, "", "old data;new data;");
    assert_served(reader, 0, "new", "new data;");
    assert_int_equal(c.reads, 0);
    commit_deployment(f->store, "none", ""); /* no change */
    commit_deployment(f->store, "b", "two");
    uint64_t rules = rules_of(f);
    assert_true(rules > 3);
    assert_served(reader, 0, "", "new datadata;new data;");
    assert_served(reader, 0, "new", "new datadata;new data;");
    assert_served(reader, TYCHO_READ_LAST, "new", "new data;");
    assert_served(reader, TYCHO_READ_STORED, "new", "new data;");
    assert_served(f->other, 0, "new", "new data;");
    const tycho_bytes type = text("new");
    const tycho_query_item item = {.types = &type, .type_count = 1};
    const tycho_query query = {&item, 1};
    const tycho_read read = {.size = sizeof read, .query = &query};
    ASSERT_STATUS(tycho_count(reader, &read, &count), TYCHO_OK);
    assert_int_equal(count, 2);
    c.answer = TYCHO_REJECTED;
    assert_served(reader, 0, "new", "");
    assert_int_equal(c.held, c.released);
    tycho_store_close(reader);
    assert_int_equal(c.closed, 1);
}

/* The rules are those of the third batch: a read that cannot hold them serves nothing, and goes on
** where it was when they are others. */
static void a_read_waits_for_rules_that_can_be_held(void **state) {
    fixture *f = *state;
    changes c = {.held = 0};
    tycho_store *reader;
    tycho_cursor *cursor;
    tycho_event event;
    const tycho_hooks hooks = {sizeof hooks, &c,     NULL,       hold,
                               release,      former, read_event, close_changes};
    const tycho_read read = {.size = sizeof read};
    ASSERT_STATUS(open_store(f->path, TYCHO_EXISTING, &reader), TYCHO_OK);
    ASSERT_STATUS(tycho_store_set_hooks(reader, &hooks), TYCHO_OK);
    add(f, "s", "old", "o");
    ASSERT_STATUS(tycho_commit(f->store, f->batch, NULL), TYCHO_OK);
    commit_deployment(f->store, "a", "one");
    commit_deployment(f->store, "b", "two");
    assert_int_equal(rules_of(f), 3);
    ASSERT_STATUS(tycho_cursor_open(reader, &read, &cursor), TYCHO_OK);
    ASSERT_STATUS(tycho_cursor_next(cursor, &event), TYCHO_REJECTED);
    assert_string_equal(tycho_error(), "the rules cannot be held");
    ASSERT_STATUS(tycho_cursor_next(cursor, &event), TYCHO_REJECTED);
    assert_int_equal(c.reads, 0);
    tycho_cursor_close(cursor);
    commit_deployment(f->store, "c", "three");
    assert_served(reader, 0, "", "new datadata;");
    tycho_store_close(reader);
}

/* ---------------------------------------------------------------- limits */

static int add_many(void *context, const tycho_appended *appended, tycho_additions *additions) {
    static char names[TYCHO_TAGS_MAX + 20][8];
    static tycho_bytes list[TYCHO_TAGS_MAX + 20];
    const size_t *counts = context; /* of tags, of links */
    for (size_t i = 0; i < TYCHO_TAGS_MAX + 20; i++) {
        snprintf(names[i], sizeof names[i], "n%zu", i);
        list[i] = text(names[i]);
    }
    (void)appended;
    additions->tags = additions->links = list;
    additions->tag_count = counts[0];
    additions->link_count = counts[1];
    return TYCHO_OK;
}

static void what_is_added_is_bounded(void **state) {
    fixture *f = *state;
    size_t counts[2] = {TYCHO_TAGS_MAX, 0};
    tycho_bytes before, after;
    for (int i = 0; i < 2000; i++) add(f, "s", "typed", "");
    ASSERT_STATUS(tycho_batch_encode(f->batch, &before), TYCHO_OK);
    uint8_t *copy = exact_copy(before.data, before.size);
    ASSERT_STATUS(tycho_batch_expand(f->batch, NULL, add_many, counts), TYCHO_TOO_LARGE);
    counts[0] = 0;
    counts[1] = 51; /* 102,000 links */
    ASSERT_STATUS(tycho_batch_expand(f->batch, NULL, add_many, counts), TYCHO_TOO_LARGE);
    ASSERT_STATUS(tycho_batch_expand(NULL, NULL, add_many, counts), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_batch_expand(f->batch, NULL, NULL, counts), TYCHO_MISUSE);
    size_t size = before.size;
    ASSERT_STATUS(tycho_batch_encode(f->batch, &after), TYCHO_OK);
    assert_bytes(after, bytes_of(copy, size));
    free(copy);
    counts[1] = 50;
    ASSERT_STATUS(tycho_batch_expand(f->batch, NULL, add_many, counts), TYCHO_OK);
    ASSERT_STATUS(tycho_batch_encode(f->batch, &after), TYCHO_OK);
    tycho_batch *decoded;
    ASSERT_STATUS(tycho_batch_create(&decoded), TYCHO_OK);
    ASSERT_STATUS(tycho_batch_decode(decoded, after), TYCHO_OK);
    ASSERT_STATUS(tycho_commit(f->other, decoded, NULL), TYCHO_OK);
    tycho_batch_destroy(decoded);
    int64_t version;
    ASSERT_STATUS(tycho_stream_version(f->store, text("n49"), 0, &version), TYCHO_OK);
    assert_int_equal(version, 1999);
}

static void links_of_events_that_come_later_are_refused(void **state) {
    fixture *f = *state;
    size_t counts[2] = {0, 1};
    tycho_bytes bytes;
    add(f, "s", "typed", "t");
    ASSERT_STATUS(tycho_batch_expand(f->batch, NULL, add_many, counts), TYCHO_OK);
    ASSERT_STATUS(tycho_batch_encode(f->batch, &bytes), TYCHO_OK);
    uint8_t *copy = exact_copy(bytes.data, bytes.size);
    tycho__store32(copy + bytes.size - 12, 1); /* the ordinal, in front of the checksum */
    tycho__store64(copy + bytes.size - 8, tycho__hash(copy, bytes.size - 8, 0));
    ASSERT_STATUS(tycho_batch_decode(f->batch, bytes_of(copy, bytes.size)), TYCHO_OK);
    ASSERT_STATUS(tycho_commit(f->other, f->batch, NULL), TYCHO_MISUSE);
    free(copy);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(each_deployment_gives_the_rules_a_version),
        TEST(scripts_are_rows_that_only_deploying_writes),
        TEST(rules_are_not_bypassed),
        TEST(a_batch_is_expanded_again_when_the_rules_change),
        TEST(events_get_tags_and_links),
        TEST(events_that_are_not_wanted_are_passed_over),
        TEST(a_visitor_sees_what_will_be_stored),
        TEST(a_visitor_refuses_the_batch_and_leaves_it_as_it_was),
        TEST(a_resubmitted_batch_is_recognised_with_its_tags),
        TEST(a_resubmitted_batch_is_answered_though_scripts_refuse_it_now),
        TEST(hooks_change_what_is_read_while_there_are_rules),
        TEST(a_read_waits_for_rules_that_can_be_held),
        TEST(what_is_added_is_bounded),
        TEST(links_of_events_that_come_later_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
