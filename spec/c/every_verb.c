/* every_verb.c - the steps of every_verb.h. */
#include "every_verb.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { MANY = 150 }; /* events of the large batch: more than a block of entries */

#define WRONG(life) ((life)->line = __LINE__, TOLD_WRONG)

static tycho_bytes text(const char *string) {
    return (tycho_bytes){string, strlen(string)};
}

/* ---------------------------------------------------------------- hashing what is told */

static void hash_bytes(uint64_t *hash, tycho_bytes bytes) {
    const unsigned char *at = bytes.data;
    for (size_t i = 0; i < bytes.size; i++) *hash = (*hash ^ at[i]) * 0x100000001b3u;
    *hash = (*hash ^ bytes.size) * 0x100000001b3u;
}

static void hash_number(uint64_t *hash, uint64_t number) {
    hash_bytes(hash, (tycho_bytes){&number, sizeof number});
}

static void hash_event(uint64_t *hash, const tycho_event *event) {
    hash_number(hash, event->position);
    hash_number(hash, (uint64_t)event->revision);
    hash_number(hash, (uint64_t)event->time);
    hash_number(hash, (uint64_t)event->valid_time);
    hash_bytes(hash, event->id);
    hash_bytes(hash, event->type);
    hash_bytes(hash, event->correlation_id);
    hash_bytes(hash, event->causation_id);
    hash_bytes(hash, event->content_type);
    hash_bytes(hash, event->metadata);
    hash_bytes(hash, event->data);
    hash_number(hash, event->tag_count);
    hash_number(hash, event->is_link);
}

static void hash_item(uint64_t *hash, const tycho_item *item) {
    hash_bytes(hash, item->name);
    hash_bytes(hash, item->value);
    hash_number(hash, item->count);
    hash_number(hash, (uint64_t)item->revision);
    hash_number(hash, item->version);
    hash_number(hash, item->position);
}

static void hash_receipt(uint64_t *hash, const tycho_receipt *receipt) {
    hash_number(hash, receipt->sequence);
    hash_number(hash, receipt->first_position);
    hash_number(hash, receipt->event_count);
    hash_number(hash, receipt->head);
    for (size_t i = 0; i < receipt->result_count; i++) {
        const tycho_result *result = &receipt->results[i];
        hash_number(hash, result->count);
        hash_number(hash, result->first_position);
        hash_number(hash, (uint64_t)result->first_revision);
        hash_bytes(hash, result->previous);
    }
}

/* ---------------------------------------------------------------- commits */

/* Builds a batch, sends it through its encoding, and commits what comes out. */
static int commit(life *l, int (*build)(tycho_batch *batch), int expected) {
    tycho_batch *built = NULL, *sent = NULL;
    tycho_bytes bytes;
    const tycho_receipt *receipt = NULL;
    int status = tycho_batch_create(&built);
    if (status == TYCHO_OK) status = tycho_batch_create(&sent);
    if (status == TYCHO_OK) status = build(built);
    if (status == TYCHO_OK) status = tycho_batch_encode(built, &bytes);
    if (status == TYCHO_OK) status = tycho_batch_decode(sent, bytes);
    if (status == TYCHO_OK) {
        status = tycho_commit(l->store, sent, &receipt);
        if (status == TYCHO_OK) hash_receipt(&l->hash, receipt);
        if (status == TYCHO_OK && expected != TYCHO_OK) {
            status = WRONG(l);
        } else if (status == expected) {
            status = TYCHO_OK;
        }
    }
    tycho_batch_destroy(built);
    tycho_batch_destroy(sent);
    return status;
}

static int build_append(tycho_batch *b) {
    const tycho_bytes tags[] = {{"red", 3}, {"blue", 4}};
    tycho_new_event events[3] = {
        {.id = text("a1"), .type = text("began"), .flags = TYCHO_HAS_TIME, .time = 30,
         .tag_count = 2, .tags = tags, .data = text("one"), .metadata = text("meta")},
        {.id = text("0190163d-8694-739b-aea5-966c26f8ad91"), .type = text("went on"),
         .flags = TYCHO_HAS_TIME | TYCHO_HAS_VALID_TIME, .time = 20, .valid_time = 90,
         .correlation_id = text("a1"), .causation_id = text("a1"), .data = text("two")},
        {.id = text("a3"), .type = text("ended"), .flags = TYCHO_HAS_TIME, .time = 10,
         .content_type = text("text/plain"), .tag_count = 1, .tags = tags, .data = text("three")}};
    return tycho_batch_append(b, text("a"), TYCHO_EXPECT_NONE, events, 3, 0);
}

static int append(life *l) {
    return commit(l, build_append, TYCHO_OK);
}

static int build_append_many(tycho_batch *b) {
    int status = TYCHO_OK;
    for (int i = 0; i < MANY && status == TYCHO_OK; i++) {
        char id[24], stream[24], tag[24];
        snprintf(id, sizeof id, "many-%d", i);
        snprintf(stream, sizeof stream, i % 2 == 0 ? "many" : "one-%d", i);
        snprintf(tag, sizeof tag, "tag-%d", i % 50);
        tycho_bytes tags = text(tag);
        tycho_new_event event = {.id = text(id), .type = text("went on"), .flags = TYCHO_HAS_TIME,
                                 .time = i, .tag_count = 1, .tags = &tags, .data = text("x")};
        status = tycho_batch_append(b, text(stream), TYCHO_EXPECT_ANY, &event, 1, 0);
    }
    tycho_new_event logged = {.id = text("logged"), .type = text("logged"),
                              .flags = TYCHO_HAS_TIME, .time = 5};
    tycho_bytes none = {NULL, 0};
    if (status != TYCHO_OK) return status;
    return tycho_batch_append(b, none, TYCHO_EXPECT_ANY, &logged, 1, 0);
}

static int append_many(life *l) {
    return commit(l, build_append_many, TYCHO_OK);
}

static int build_link(tycho_batch *b) {
    const tycho_bytes ids[] = {{"a3", 2}, {"a1", 2}, {"many-1", 6}};
    int status = tycho_batch_link(b, text("linked"), TYCHO_EXPECT_NONE, ids, 3, 0);
    if (status != TYCHO_OK) return status;
    return tycho_batch_link_range(b, text("many"), 0, -1, text("linked"), TYCHO_EXPECT_ANY, 0);
}

static int link_events(life *l) {
    return commit(l, build_link, TYCHO_OK);
}

/* An image that has a gap, as its source has since it was edited, and a merge. */
static int build_images(tycho_batch *b) {
    const tycho_source sources[] = {{text("a"), 0}, {text("many"), 60}};
    int status = tycho_batch_link_range(b, text("a"), 0, -1, text("image"), TYCHO_EXPECT_NONE,
                                        TYCHO_KEEP_REVISIONS);
    if (status != TYCHO_OK) return status;
    status = tycho_batch_link_merged(b, sources, 2, text("merged"), TYCHO_EXPECT_NONE, 0);
    if (status != TYCHO_OK) return status;
    return tycho_batch_set_route(b, text("closed"), text("image"), TYCHO_CLOSED);
}

static int link_images(life *l) {
    return commit(l, build_images, TYCHO_OK);
}

static int build_to_closed(tycho_batch *b) {
    const tycho_bytes ids[] = {{"a3", 2}};
    return tycho_batch_link(b, text("closed"), TYCHO_EXPECT_ANY, ids, 1, 0);
}

static int write_to_closed(life *l) {
    return commit(l, build_to_closed, TYCHO_DENIED);
}

static int build_settings(tycho_batch *b) {
    int status = tycho_batch_set_route(b, text("route"), text("a"), 0);
    if (status == TYCHO_OK) status = tycho_batch_put_row(b, text("t"), text("k1"), text("v1"));
    if (status == TYCHO_OK) status = tycho_batch_put_row(b, text("t"), text("k2"), text("v2"));
    if (status == TYCHO_OK) status = tycho_batch_set_checkpoint(b, text("c"), 2);
    if (status != TYCHO_OK) return status;
    return tycho_batch_set_stream_metadata(b, text("a"), text("about a"), 0);
}

static int set_all(life *l) {
    return commit(l, build_settings, TYCHO_OK);
}

/* All conditions, all of which hold. */
static int build_conditions(tycho_batch *b) {
    const tycho_bytes types[] = {{"ended", 5}}, tags[] = {{"red", 3}};
    tycho_query_item item = {types, 1, tags, 1};
    tycho_query query = {&item, 1};
    int status = tycho_batch_expect(b, text("a"), 2, 0);
    if (status == TYCHO_OK) status = tycho_batch_expect(b, text("route"), TYCHO_EXPECT_EXISTS, 0);
    if (status == TYCHO_OK) status = tycho_batch_expect(b, text("nowhere"), TYCHO_EXPECT_NONE, 0);
    if (status == TYCHO_OK) status = tycho_batch_expect_none(b, &query, 3);
    if (status == TYCHO_OK) status = tycho_batch_expect_route(b, text("route"), text("a"));
    if (status == TYCHO_OK) status = tycho_batch_expect_row(b, text("t"), text("k3"), 0);
    if (status == TYCHO_OK) status = tycho_batch_expect_checkpoint(b, text("c"), 2);
    if (status != TYCHO_OK) return status;
    tycho_new_event event = {.id = text("a4"), .type = text("ended"), .flags = TYCHO_HAS_TIME,
                             .time = 40, .data = text("four")};
    return tycho_batch_append(b, text("route"), 2, &event, 1, 0);
}

static int append_on_conditions(life *l) {
    return commit(l, build_conditions, TYCHO_OK);
}

static int build_edits(tycho_batch *b) {
    const tycho_bytes ids[] = {{"a1", 2}, {"many-1", 6}};
    tycho_new_event changed = {.id = text("a3"), .type = text("redacted"),
                               .content_type = text("none"), .metadata = text("why")};
    int status = tycho_batch_unlink(b, text("linked"), ids, 2, 0);
    if (status == TYCHO_OK) status = tycho_batch_overwrite(b, &changed, 1);
    if (status == TYCHO_OK) status = tycho_batch_truncate(b, text("many"), 70, 0);
    if (status == TYCHO_OK) status = tycho_batch_unlink(b, text("a"), ids, 1, 0);
    if (status == TYCHO_OK) status = tycho_batch_delete_row(b, text("t"), text("k1"));
    if (status == TYCHO_OK) status = tycho_batch_set_checkpoint(b, text("c"), 4);
    if (status != TYCHO_OK) return status;
    return tycho_batch_link(b, text("linked"), TYCHO_EXPECT_EXISTS, ids, 2, 0);
}

static int edit(life *l) {
    return commit(l, build_edits, TYCHO_OK);
}

static int build_deletions(tycho_batch *b) {
    tycho_new_event event = {.id = text("again"), .type = text("began"), .flags = TYCHO_HAS_TIME,
                             .time = 50};
    int status = tycho_batch_delete_stream(b, text("linked"), 0);
    if (status == TYCHO_OK) status = tycho_batch_delete_stream(b, text("one-1"), 0);
    if (status == TYCHO_OK) status = tycho_batch_append(b, text("linked"), -1, &event, 1, 0);
    if (status == TYCHO_OK) status = tycho_batch_set_route(b, text("one-1"), text("linked"), 0);
    if (status != TYCHO_OK) return status;
    return tycho_batch_set_route(b, text("route"), text("one-1"), 0);
}

/* The condition that the stream has no entries holds before the batch only for a new one. */
static int build_deletion(tycho_batch *b) {
    return tycho_batch_delete_stream(b, text("linked"), 0);
}

static int delete_streams(life *l) {
    return commit(l, build_deletion, TYCHO_OK);
}

static int make_again(life *l) {
    return commit(l, build_deletions, TYCHO_OK);
}

/* ---------------------------------------------------------------- locks */

/* The first lock of a store commits that there are tokens. */
static int take_lock(life *l) {
    tycho_lock *lock = NULL;
    tycho_lock_info info[2];
    size_t count = 0;
    int status = tycho_lock_take(l->store, text("lock"), 0, &lock, info);
    if (status != TYCHO_OK && lock != NULL) status = WRONG(l);
    if (status == TYCHO_OK) status = tycho_lock_list(l->store, info, 2, &count);
    tycho_lock_release(lock);
    hash_number(&l->hash, count);
    if (count == 1) hash_bytes(&l->hash, text(info[0].name));
    return status;
}

static uint64_t token; /* for the batch below */

static int build_under_lock(tycho_batch *b) {
    tycho_new_event event = {.id = text("locked"), .type = text("locked"),
                             .flags = TYCHO_HAS_TIME, .time = 60};
    int status = tycho_batch_expect_lock(b, text("lock"), token);
    if (status != TYCHO_OK) return status;
    return tycho_batch_append(b, text("locked"), TYCHO_EXPECT_ANY, &event, 1, 0);
}

static int append_under_lock(life *l) {
    tycho_lock *lock = NULL;
    int status = tycho_lock_take(l->store, text("lock"), 0, &lock, NULL);
    token = tycho_lock_token(lock);
    if (status == TYCHO_OK) status = commit(l, build_under_lock, TYCHO_OK);
    tycho_lock_release(lock);
    return status;
}

/* ---------------------------------------------------------------- refusals, replay */

static int build_late_refusal(tycho_batch *b) {
    tycho_new_event events[2] = {{.id = text("new"), .type = text("a new type")},
                                 {.id = text("a3"), .type = text("ended")}};
    return tycho_batch_append(b, text("refused"), TYCHO_EXPECT_ANY, events, 2, 0);
}

static int be_refused(life *l) {
    return commit(l, build_late_refusal, TYCHO_DUPLICATE_EVENT);
}

static int build_replay(tycho_batch *b) {
    tycho_batch_set_idempotent(b, 1);
    return build_append(b);
}

static int replay(life *l) {
    return commit(l, build_replay, TYCHO_OK);
}

/* ---------------------------------------------------------------- reads */

static int read_all(life *l, const tycho_read *read) {
    tycho_cursor *cursor = NULL;
    tycho_event event;
    int status = tycho_cursor_open(l->store, read, &cursor);
    while (status == TYCHO_OK) {
        status = tycho_cursor_next(cursor, &event);
        if (status != TYCHO_OK) break;
        tycho_bytes name;
        hash_event(&l->hash, &event);
        status = tycho_cursor_stream(cursor, &name);
        if (status == TYCHO_OK) hash_bytes(&l->hash, name);
        for (uint32_t i = 0; i < event.tag_count && status == TYCHO_OK; i++) {
            status = tycho_cursor_tag(cursor, i, &name);
            if (status == TYCHO_OK) hash_bytes(&l->hash, name);
        }
    }
    tycho_cursor_close(cursor);
    if (status != TYCHO_END) return status;
    uint64_t count;
    status = tycho_count(l->store, read, &count);
    if (status == TYCHO_OK) hash_number(&l->hash, count);
    return status;
}

static int read_log(life *l) {
    tycho_read read = {.size = sizeof read};
    int status = read_all(l, &read);
    read.flags = TYCHO_READ_BACKWARD | TYCHO_READ_FROM_POSITION;
    read.from_position = 40;
    return status == TYCHO_OK ? read_all(l, &read) : status;
}

/* A read goes on after a failure, with the same cursor: no event may be missing. */
static int read_on(life *l) {
    tycho_read read = {.size = sizeof read};
    tycho_cursor *cursor = NULL;
    tycho_event event;
    uint64_t last = 0, head = 0;
    int status = tycho_head(l->store, &head), failures = 0;
    if (status == TYCHO_OK) status = tycho_cursor_open(l->store, &read, &cursor);
    while (status == TYCHO_OK || (status == TYCHO_NO_MEMORY && cursor != NULL && failures < 3)) {
        if (status == TYCHO_NO_MEMORY) failures++;
        status = tycho_cursor_next(cursor, &event);
        if (status == TYCHO_OK && event.position != ++last) status = WRONG(l);
    }
    tycho_cursor_close(cursor);
    if (status == TYCHO_END && last != head) status = WRONG(l);
    return status == TYCHO_END ? TYCHO_OK : status;
}

static int read_streams(life *l) {
    static const char *const names[] = {"a", "many", "linked", "route", "one-1", "image",
                                        "merged", "closed", "nowhere"};
    int status = TYCHO_OK;
    for (size_t i = 0; i < sizeof names / sizeof *names && status == TYCHO_OK; i++) {
        tycho_read read = {.size = sizeof read, .stream = text(names[i])};
        status = read_all(l, &read);
        read.flags = TYCHO_READ_BACKWARD | TYCHO_READ_TO_REVISION;
        if (status == TYCHO_OK) status = read_all(l, &read);
        read.flags = TYCHO_READ_LAST;
        read.limit = 30;
        if (status == TYCHO_OK) status = read_all(l, &read);
    }
    return status;
}

static int read_sorted(life *l) {
    const tycho_bytes ids[] = {{"many-3", 6}, {"a3", 2}, {"unknown", 7}, {"a3", 2}};
    tycho_read read = {.size = sizeof read, .order = TYCHO_AS_OF, .limit = 20};
    int status = read_all(l, &read);
    read.order = TYCHO_AS_AT;
    read.flags = TYCHO_READ_BACKWARD | TYCHO_READ_UNTIL_TIME;
    read.until_time = 35;
    read.to_id = text("a3");
    if (status == TYCHO_OK) status = read_all(l, &read);
    tycho_read few = {.size = sizeof few, .flags = TYCHO_READ_BY_IDS, .ids = ids, .id_count = 4};
    return status == TYCHO_OK ? read_all(l, &few) : status;
}

static int read_queries(life *l) {
    const tycho_bytes types[] = {{"began", 5}, {"ended", 5}}, tags[] = {{"tag-3", 5}};
    tycho_query_item items[] = {{types, 2, NULL, 0}, {NULL, 0, tags, 1}};
    tycho_query query = {items, 2};
    tycho_read read = {.size = sizeof read, .query = &query};
    int status = read_all(l, &read);
    read.flags = TYCHO_READ_BACKWARD;
    read.stream = text("many");
    return status == TYCHO_OK ? read_all(l, &read) : status;
}

/* The first part of a read, its key, and the rest from there. */
static int read_in_parts(life *l) {
    tycho_read read = {.size = sizeof read, .stream = text("many"), .order = TYCHO_AS_AT,
                       .limit = 50};
    unsigned char kept[TYCHO_CURSOR_KEY_MAX];
    tycho_cursor *cursor = NULL;
    tycho_event event;
    tycho_bytes key = {NULL, 0};
    int status = tycho_cursor_open(l->store, &read, &cursor);
    for (int i = 0; i < 3 && status == TYCHO_OK; i++) {
        status = tycho_cursor_next(cursor, &event);
        if (status == TYCHO_OK) hash_event(&l->hash, &event);
    }
    if (status == TYCHO_END) status = TYCHO_OK;
    if (status == TYCHO_OK) status = tycho_cursor_key(cursor, &key);
    if (status == TYCHO_OK) memcpy(kept, key.data, key.size);
    tycho_cursor_close(cursor);
    read.resume = (tycho_bytes){kept, key.size};
    return status == TYCHO_OK ? read_all(l, &read) : status;
}

static int look_up(life *l) {
    uint64_t number = 0;
    int64_t revision = 0;
    tycho_bytes name;
    int status = tycho_event_position(l->store, text("a3"), &number);
    hash_number(&l->hash, number);
    if (status == TYCHO_OK) {
        status = tycho_event_revision(l->store, text("a3"), text("a"), 0, &revision);
    }
    hash_number(&l->hash, (uint64_t)revision);
    if (status == TYCHO_OK) status = tycho_stream_version(l->store, text("linked"), 0, &revision);
    hash_number(&l->hash, (uint64_t)revision);
    if (status == TYCHO_OK) status = tycho_route_resolve(l->store, text("route"), &name);
    if (status == TYCHO_OK) hash_bytes(&l->hash, name);
    if (status == TYCHO_OK) status = tycho_wait(l->store, 1, 0, &number);
    return status;
}

/* ---------------------------------------------------------------- directories, snapshots */

static int list_all(life *l, tycho_list_options options) {
    tycho_listing *listing = NULL;
    tycho_item item;
    options.size = sizeof options;
    int status = tycho_listing_open(l->store, &options, &listing);
    while (status == TYCHO_OK) {
        status = tycho_listing_next(listing, &item);
        if (status == TYCHO_OK) hash_item(&l->hash, &item);
    }
    tycho_listing_close(listing);
    return status == TYCHO_END ? TYCHO_OK : status;
}

static int list_directories(life *l) {
    tycho_list_options options = {.list = 0};
    int status = TYCHO_OK;
    for (uint32_t i = TYCHO_LIST_STREAMS; i <= TYCHO_LIST_ROWS && status == TYCHO_OK; i++) {
        options.list = i;
        options.subject = i == TYCHO_LIST_ROWS ? text("t") : text("");
        status = list_all(l, options);
    }
    options.list = TYCHO_LIST_STREAMS_OF;
    options.subject = text("a3");
    if (status == TYCHO_OK) status = list_all(l, options);
    options = (tycho_list_options){.list = TYCHO_LIST_STREAMS, .prefix = text("one-"),
                                   .after = text("one-1"), .limit = 3};
    return status == TYCHO_OK ? list_all(l, options) : status;
}

static int read_snapshot(life *l) {
    tycho_snapshot *snapshot = NULL;
    tycho_cursor *first = NULL, *second = NULL;
    int status = tycho_snapshot_open(l->store, &snapshot);
    tycho_read read = {.size = sizeof read, .snapshot = snapshot};
    tycho_read back = {.size = sizeof back, .snapshot = snapshot, .stream = text("many"),
                       .flags = TYCHO_READ_BACKWARD};
    if (status == TYCHO_OK) status = tycho_cursor_open(l->store, &read, &first);
    if (status == TYCHO_OK) status = tycho_cursor_open(l->store, &back, &second);
    for (int i = 0; i < 40 && status == TYCHO_OK; i++) {
        tycho_event event;
        status = tycho_cursor_next(i % 2 == 0 ? first : second, &event);
        if (status == TYCHO_OK) hash_event(&l->hash, &event);
        if (status == TYCHO_END) status = TYCHO_OK;
    }
    tycho_cursor_close(first);
    tycho_cursor_close(second);
    if (status == TYCHO_OK) {
        status = list_all(l, (tycho_list_options){.snapshot = snapshot, .list = TYCHO_LIST_TAGS});
    }
    tycho_snapshot_close(snapshot);
    return status;
}

/* ---------------------------------------------------------------- the whole store */

int verify_store(tycho_store *store, uint64_t *findings) {
    tycho_verification *verification;
    tycho_finding finding = {.findings = 0};
    int status = tycho_verification_open(store, &verification);
    if (status != TYCHO_OK) return status;
    while ((status = tycho_verification_step(verification, &finding)) == TYCHO_OK) {
        if (finding.text.size == 0) continue;
        fprintf(stderr, "# found: %.*s\n", (int)finding.text.size,
                (const char *)finding.text.data);
    }
    *findings = finding.findings;
    tycho_verification_close(verification);
    return status == TYCHO_END ? TYCHO_OK : status;
}

static int verify(life *l) {
    uint64_t findings = 0;
    int status = verify_store(l->store, &findings);
    if (status == TYCHO_OK && findings != 0) return WRONG(l);
    return status;
}

static int get_stats(life *l) {
    tycho_stats stats = {.size = sizeof stats};
    int status = tycho_stats_get(l->store, &stats);
    hash_number(&l->hash, stats.events);
    hash_number(&l->hash, stats.sequence);
    hash_number(&l->hash, stats.streams);
    hash_number(&l->hash, stats.entries);
    hash_number(&l->hash, stats.rows);
    hash_number(&l->hash, stats.routes);
    return status;
}

static int sync_store(life *l) {
    return tycho_store_sync(l->store);
}

static int back_up(life *l) {
    static const char *const files[] = {"data.mdb", "lock.mdb", "locks", "notify",
                                         "lock_table"};
    char path[256], file[300];
    snprintf(path, sizeof path, "%s.copy", l->path);
    int status = tycho_backup(l->store, path);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(file, sizeof file, "%s/%s", path, files[i]);
        unlink(file);
    }
    rmdir(path);
    return status;
}

static int open_store(life *l) {
    tycho_options options = {.size = sizeof options, .sync = l->sync};
    if (l->store != NULL) return TYCHO_OK;
    int status = tycho_store_open(l->path, &options, &l->store);
    if (status != TYCHO_OK && l->store != NULL) return WRONG(l);
    return status;
}

static int open_again(life *l) {
    tycho_store_close(l->store);
    l->store = NULL;
    return open_store(l);
}

const step STEPS[] = {
    {"open", open_store, false},
    {"append", append, true},
    {"append many", append_many, true},
    {"link", link_events, true},
    {"read the log", read_log, false},
    {"set", set_all, true},
    {"read streams", read_streams, false},
    {"append on conditions", append_on_conditions, true},
    {"replay", replay, false},
    {"take a lock", take_lock, true},
    {"append under a lock", append_under_lock, true},
    {"read sorted", read_sorted, false},
    {"read in parts", read_in_parts, false},
    {"edit", edit, true},
    {"link images", link_images, true},
    {"write to a closed name", write_to_closed, false},
    {"be refused", be_refused, false},
    {"list", list_directories, false},
    {"open again", open_again, false},
    {"read on", read_on, false},
    {"delete streams", delete_streams, true},
    {"make streams again", make_again, true},
    {"read by queries", read_queries, false},
    {"look up", look_up, false},
    {"follow", follow_streams, false},
    {"read a snapshot", read_snapshot, false},
    {"back up", back_up, false},
    {"salvage", salvage, false},
    {"statistics", get_stats, false},
    {"flush", sync_store, false},
    {"verify", verify, false},
};
const int STEP_COUNT = sizeof STEPS / sizeof *STEPS;

int hash_store(tycho_store *store, uint64_t *hash) {
    static int (*const all[])(life *) = {read_log, read_streams, read_queries, list_directories,
                                         look_up, get_stats};
    life l = {.store = store};
    int status = TYCHO_OK;
    for (size_t i = 0; i < sizeof all / sizeof *all && status == TYCHO_OK; i++) status = all[i](&l);
    *hash = l.hash;
    return status;
}
