/* compress_test.c - what tycho_compress() promises: later events are stored smaller, and whoever
** reads, overwrites, copies or repeats them sees no difference. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "compress_values.h"

static void later_events_take_less_than_half(void **state) {
    fixture *f = *state;
    fill(f->store, 1, FILLED);
    assert_int_equal(stats_of(f->store).format, TYCHO__FORMAT_PLAIN);
    learn(f->store);
    assert_int_equal(stats_of(f->store).dictionary, 1);
    assert_int_equal(stats_of(f->store).format, TYCHO__FORMAT_COMPRESSED);
    fill(f->store, FILLED + 1, 2 * FILLED);
    stored counts = count_stored(f->store);
    assert_int_equal(counts.plain, FILLED); /* nothing is stored anew */
    assert_int_equal(counts.compressed, FILLED);
    assert_true(counts.compressed_size * 2 < counts.plain_size);
    assert_log(f->store, NULL, 2 * FILLED);
    reopen(f);
    assert_log(f->store, NULL, 2 * FILLED);
}

static void a_store_is_as_it_was_before_it_is_asked_for(void **state) {
    fixture *f = *state;
    fill(f->store, 1, FILLED);
    assert_int_equal(count_stored(f->store).compressed, 0);
    assert_int_equal(stats_of(f->store).dictionary, 0);
    assert_int_equal(stats_of(f->store).rows, 0);
}

static void it_can_be_ended_and_begun_anew(void **state) {
    fixture *f = *state;
    uint32_t percent = 0;
    fill(f->store, 1, FILLED);
    learn(f->store);
    fill(f->store, FILLED + 1, FILLED + 100);
    ASSERT_STATUS(tycho_compress(f->store, TYCHO_COMPRESS_OFF, &percent), TYCHO_OK);
    assert_int_equal(percent, 100);
    assert_int_equal(stats_of(f->store).dictionary, 0);
    assert_int_equal(stats_of(f->store).format, TYCHO__FORMAT_COMPRESSED); /* records need it */
    fill(f->store, FILLED + 101, FILLED + 200);
    assert_int_equal(count_stored(f->store).compressed, 100);
    learn(f->store);
    assert_int_equal(stats_of(f->store).dictionary, 2);
    fill(f->store, FILLED + 201, FILLED + 300);
    assert_int_equal(count_stored(f->store).compressed, 200);
    reopen(f);
    assert_log(f->store, NULL, FILLED + 300);
}

static void a_snapshot_reads_what_it_saw(void **state) {
    fixture *f = *state;
    tycho_snapshot *before, *after;
    fill(f->store, 1, FILLED);
    ASSERT_STATUS(tycho_snapshot_open(f->store, &before), TYCHO_OK);
    learn(f->store);
    fill(f->store, FILLED + 1, FILLED + 10);
    ASSERT_STATUS(tycho_snapshot_open(f->store, &after), TYCHO_OK);
    learn(f->store);
    fill(f->store, FILLED + 11, FILLED + 20);
    assert_log(f->store, before, FILLED);
    assert_log(f->store, after, FILLED + 10);
    tycho_snapshot_close(before);
    tycho_snapshot_close(after);
}

/* A view is good until the cursor moves, whatever else is read meanwhile. */
static void a_view_stays_while_its_cursor_does(void **state) {
    fixture *f = *state;
    const tycho_read forward = {.size = sizeof forward, .stream = text("orders")};
    const tycho_read backward = {.size = sizeof backward, .flags = TYCHO_READ_BACKWARD};
    tycho_cursor *up, *down;
    tycho_event first, last;
    fill(f->store, 1, FILLED);
    learn(f->store);
    fill(f->store, FILLED + 1, 3 * FILLED);
    ASSERT_STATUS(tycho_cursor_open(f->store, &forward, &up), TYCHO_OK);
    ASSERT_STATUS(tycho_cursor_open(f->store, &backward, &down), TYCHO_OK);
    for (unsigned n = 1; n <= 3 * FILLED; n++) {
        ASSERT_STATUS(tycho_cursor_next(up, &first), TYCHO_OK);
        ASSERT_STATUS(tycho_cursor_next(down, &last), TYCHO_OK);
        assert_is(&first, n);
        assert_is(&last, 3 * FILLED + 1 - n);
    }
    tycho_cursor_close(up);
    tycho_cursor_close(down);
}

/* Who may not need the data decompresses them when it does, from a copy, the cursor being gone. */
static void data_can_be_decompressed_later(void **state) {
    fixture *f = *state;
    const tycho_read read = {.size = sizeof read};
    tycho_cursor *cursor;
    tycho_event event, kept = {.position = 0};
    uint8_t frame[1024];
    fill(f->store, 1, FILLED);
    learn(f->store);
    fill(f->store, FILLED + 1, FILLED + 50);
    ASSERT_STATUS(tycho_cursor_open(f->store, &read, &cursor), TYCHO_OK);
    for (unsigned n = 1; n <= FILLED + 50; n++) {
        memset(&event, 0xff, sizeof event); /* nothing may be left as it was */
        ASSERT_STATUS(tycho_cursor_next_packed(cursor, &event), TYCHO_OK);
        ASSERT_STATUS(tycho_event_unpack(&event, NULL), TYCHO_OK);
        if (n <= FILLED) assert_is(&event, n);
        assert_int_equal(event.compressed.size > 0, n > FILLED);
        if (n != FILLED + 7) continue;
        assert_null(event.data.data);
        assert_in_range(event.compressed.size, 1, sizeof frame);
        kept = event;
        memcpy(frame, event.compressed.data, event.compressed.size);
        kept.compressed.data = frame;
    }
    ASSERT_STATUS(tycho_cursor_next_packed(cursor, &event), TYCHO_END);
    tycho_cursor_close(cursor);
    uint8_t *bytes = malloc(kept.metadata.size + kept.data.size); /* not one more */
    assert_non_null(bytes);
    ASSERT_STATUS(tycho_decompress(f->store, &kept, bytes), TYCHO_OK);
    tycho_event plain = kept;
    plain.metadata.data = bytes;
    plain.data.data = bytes + kept.metadata.size;
    assert_is(&plain, FILLED + 7);
    kept.data.size--; /* a size that is not the frame's */
    ASSERT_STATUS(tycho_decompress(f->store, &kept, bytes), TYCHO_CORRUPT);
    assert_non_null(strstr(tycho_error(), "position 407"));
    kept.data.size++;
    frame[kept.compressed.size - 3] ^= 0xff;
    int status = tycho_decompress(f->store, &kept, bytes);
    assert_true(status == TYCHO_OK || status == TYCHO_CORRUPT);
    ASSERT_STATUS(tycho_decompress(f->store, &plain, NULL), TYCHO_MISUSE);
    plain.compressed.size = 0;
    ASSERT_STATUS(tycho_decompress(f->store, &plain, bytes), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_decompress(NULL, &kept, bytes), TYCHO_MISUSE);
    free(bytes);
}

static void events_are_overwritten_compressed_and_plain(void **state) {
    fixture *f = *state;
    char data[512];
    tycho_event event;
    tycho_cursor *cursor;
    fill(f->store, 1, FILLED);
    learn(f->store);
    fill(f->store, FILLED + 1, FILLED + 1);
    const tycho_bytes ids[] = {text("event-3"), text("event-401")};
    const tycho_new_event long_data = {
        .id = ids[0], .type = text("order.placed"), .data = bytes_of(data, data_of(7, data))};
    const tycho_new_event short_data = {.id = ids[1], .type = text("erased"), .data = text("-")};
    ASSERT_STATUS(tycho_batch_overwrite(f->batch, &long_data, 1), TYCHO_OK);
    ASSERT_STATUS(tycho_batch_overwrite(f->batch, &short_data, 1), TYCHO_OK);
    ASSERT_STATUS(tycho_commit(f->store, f->batch, NULL), TYCHO_OK);
    assert_int_equal(count_stored(f->store).compressed, 1);
    const tycho_read read = {
        .size = sizeof read, .flags = TYCHO_READ_BY_IDS, .ids = ids, .id_count = 2};
    ASSERT_STATUS(tycho_cursor_open(f->store, &read, &cursor), TYCHO_OK);
    ASSERT_STATUS(tycho_cursor_next(cursor, &event), TYCHO_OK);
    assert_bytes(event.data, long_data.data);
    assert_int_equal(event.metadata.size, 0);
    ASSERT_STATUS(tycho_cursor_next(cursor, &event), TYCHO_OK);
    assert_bytes(event.data, short_data.data);
    tycho_cursor_close(cursor);
}

static int repeat(fixture *f, const char *data) {
    const tycho_receipt *receipt;
    const tycho_new_event event = {
        .id = text("once"), .type = text("order.placed"), .data = text(data)};
    tycho_batch_clear(f->batch);
    tycho_batch_set_idempotent(f->batch, 1);
    ASSERT_STATUS(tycho_batch_append(f->batch, text("orders"), TYCHO_EXPECT_ANY, &event, 1, 0),
                  TYCHO_OK);
    int status = tycho_commit(f->store, f->batch, &receipt);
    return status == TYCHO_OK && receipt->is_replay ? TYCHO_END : status;
}

static void a_batch_that_comes_again_is_known_by_its_data(void **state) {
    fixture *f = *state;
    char data[512], other[512];
    fill(f->store, 1, FILLED);
    learn(f->store);
    data[data_of(9, data)] = '\0';
    memcpy(other, data, sizeof other);
    other[20] ^= 1;
    ASSERT_STATUS(repeat(f, data), TYCHO_OK);
    assert_int_equal(count_stored(f->store).compressed, 1);
    ASSERT_STATUS(repeat(f, data), TYCHO_END);
    ASSERT_STATUS(repeat(f, other), TYCHO_DUPLICATE_EVENT);
    reopen(f);
    ASSERT_STATUS(repeat(f, data), TYCHO_END);
}

static void check_large(fixture *f, const uint8_t *data, size_t size, bool is_compressed) {
    const tycho_new_event event = {.type = text("large"), .data = bytes_of(data, size)};
    const tycho_read last = {.size = sizeof last, .flags = TYCHO_READ_LAST};
    tycho_cursor *cursor;
    tycho_event found;
    unsigned before = count_stored(f->store).compressed;
    ASSERT_STATUS(commit_event(f->store, "s", &event), TYCHO_OK);
    assert_int_equal(count_stored(f->store).compressed, before + (is_compressed ? 1 : 0));
    ASSERT_STATUS(tycho_cursor_open(f->store, &last, &cursor), TYCHO_OK);
    ASSERT_STATUS(tycho_cursor_next(cursor, &found), TYCHO_OK);
    assert_bytes(found.data, event.data);
    tycho_cursor_close(cursor);
}

static void what_would_not_be_smaller_is_stored_as_it_is(void **state) {
    fixture *f = *state;
    uint64_t seed = 88172645463325252u;
    uint8_t *data = calloc(1, TYCHO_EVENT_SIZE_MAX);
    assert_non_null(data);
    fill(f->store, 1, FILLED);
    learn(f->store);
    check_large(f, data, TYCHO_EVENT_SIZE_MAX, true); /* zeros, the most that are allowed */
    for (size_t i = 0; i < TYCHO_EVENT_SIZE_MAX; i++) {
        seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
        data[i] = (uint8_t)seed;
    }
    check_large(f, data, TYCHO_EVENT_SIZE_MAX, false);
    check_large(f, data, 100, false);
    check_large(f, data, 1, false);
    check_large(f, data, 0, false);
    free(data);
}

static void a_copy_has_its_dictionaries(void **state) {
    fixture *f = *state;
    char path[DIRECTORY_SIZE + 16];
    tycho_store *copy;
    fill(f->store, 1, FILLED);
    learn(f->store);
    fill(f->store, FILLED + 1, 2 * FILLED);
    snprintf(path, sizeof path, "%s/copy", f->directory);
    ASSERT_STATUS(tycho_backup(f->store, path), TYCHO_OK);
    ASSERT_STATUS(open_store(path, TYCHO_EXISTING, &copy), TYCHO_OK);
    assert_log(copy, NULL, 2 * FILLED);
    fill(copy, 2 * FILLED + 1, 2 * FILLED + 10);
    assert_int_equal(count_stored(copy).compressed, FILLED + 10);
    assert_clean(copy);
    tycho_store_close(copy);
}

/* Whether dictionary 1 has the string. */
static bool dictionary_has(tycho_store *store, const char *string) {
    tycho__txn *txn;
    tycho_bytes bytes;
    ASSERT_STATUS(tycho__txn_read(store->env, &txn), TYCHO_OK);
    ASSERT_STATUS(tycho__dictionary_read(txn, 1, &bytes), TYCHO_OK);
    bool is_there = memmem(bytes.data, bytes.size, string, strlen(string)) != NULL;
    tycho__txn_done(txn);
    return is_there;
}

static void a_dictionary_has_only_what_events_have_in_common(void **state) {
    fixture *f = *state;
    unsigned told = 0;
    fill(f->store, 1, FILLED);
    learn(f->store);
    assert_true(dictionary_has(f->store, "\"customer\":"));
    for (unsigned n = 1; n <= FILLED; n++) {
        char data[512];
        data[data_of(n, data)] = '\0';
        char *secret = strstr(data, "\"secret\":\"") + 10;
        secret[16] = '\0';
        told += dictionary_has(f->store, secret);
        secret[12] = '\0';
        told += dictionary_has(f->store, secret);
    }
    assert_int_equal(told, 0);
}

static void what_cannot_be_learnt_from_is_refused(void **state) {
    fixture *f = *state;
    uint32_t percent;
    tycho_store *reader;
    ASSERT_STATUS(tycho_compress(f->store, 0, &percent), TYCHO_NOT_FOUND);
    fill(f->store, 1, 8);
    ASSERT_STATUS(tycho_compress(f->store, 0, &percent), TYCHO_NOT_FOUND);
    assert_non_null(strstr(tycho_error(), "100 events"));
    for (int i = 0; i < 200; i++) ASSERT_STATUS(append_event(f->store, "s", ""), TYCHO_OK);
    ASSERT_STATUS(tycho_compress(f->store, 0, &percent), TYCHO_NOT_FOUND);
    for (int i = 0; i < 200; i++) {
        char id[32];
        uint64_t numbers[2] = {tycho__hash(&i, sizeof i, 1), tycho__hash(&i, sizeof i, 2)};
        snprintf(id, sizeof id, "%016llx", (unsigned long long)numbers[0]);
        const tycho_new_event event = {
            .id = text(id), .type = text("t"), .data = bytes_of(numbers, sizeof numbers)};
        ASSERT_STATUS(commit_event(f->store, "s", &event), TYCHO_OK);
    }
    ASSERT_STATUS(tycho_compress(f->store, 0, &percent), TYCHO_NOT_FOUND);
    assert_non_null(strstr(tycho_error(), "different"));
    ASSERT_STATUS(tycho_compress(f->store, 100001, &percent), TYCHO_MISUSE);
    assert_non_null(strstr(tycho_error(), "100001"));
    ASSERT_STATUS(tycho_compress(f->store, 0, NULL), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_compress(NULL, 0, &percent), TYCHO_MISUSE);
    assert_int_equal(stats_of(f->store).dictionary, 0);
    ASSERT_STATUS(open_store(f->path, TYCHO_READ_ONLY, &reader), TYCHO_OK);
    ASSERT_STATUS(tycho_compress(reader, 0, &percent), TYCHO_DENIED);
    ASSERT_STATUS(tycho_compress(reader, TYCHO_COMPRESS_OFF, &percent), TYCHO_DENIED);
    tycho_store_close(reader);
}

static void set_dictionaries(tycho_store *store, uint32_t count) {
    tycho__txn txn;
    ASSERT_STATUS(tycho__txn_write(store->env, TYCHO_SYNC_NONE, &txn), TYCHO_OK);
    txn.state.dictionaries = count;
    txn.is_changed = true;
    ASSERT_STATUS(tycho__txn_commit(&txn), TYCHO_OK);
}

static void the_256th_dictionary_is_refused(void **state) {
    fixture *f = *state;
    uint32_t percent;
    fill(f->store, 1, FILLED);
    set_dictionaries(f->store, TYCHO__DICTIONARIES - 1);
    learn(f->store);
    assert_int_equal(stats_of(f->store).dictionary, TYCHO__DICTIONARIES);
    fill(f->store, FILLED + 1, FILLED + 10);
    assert_int_equal(count_stored(f->store).compressed, 10);
    ASSERT_STATUS(tycho_compress(f->store, 0, &percent), TYCHO_TOO_LARGE);
    assert_log(f->store, NULL, FILLED + 10);
}

static void nobody_else_writes_dictionaries(void **state) {
    fixture *f = *state;
    const tycho_bytes table = tycho__dictionaries();
    ASSERT_STATUS(tycho_batch_put_row(f->batch, table, text("1"), text("x")), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_batch_delete_row(f->batch, table, text("1")), TYCHO_MISUSE);
    ASSERT_STATUS(tycho__batch_set_dictionary(f->batch, 1, text("no dictionary")), TYCHO_MISUSE);
    ASSERT_STATUS(tycho__batch_set_dictionary(f->batch, 1, text("")), TYCHO_MISUSE);
    ASSERT_STATUS(tycho__batch_set_dictionary(f->batch, 0, text("x")), TYCHO_MISUSE);
}

/* What a batch from elsewhere brings is checked like what is made here. */
static void a_dictionary_in_a_foreign_batch_is_checked(void **state) {
    fixture *f = *state;
    tycho__txn *txn;
    tycho_bytes dictionary, encoded;
    fill(f->store, 1, FILLED);
    learn(f->store);
    ASSERT_STATUS(tycho__txn_read(f->store->env, &txn), TYCHO_OK);
    ASSERT_STATUS(tycho__dictionary_read(txn, 1, &dictionary), TYCHO_OK);
    ASSERT_STATUS(tycho__batch_set_dictionary(f->batch, 1, dictionary), TYCHO_OK);
    ASSERT_STATUS(tycho__batch_set_dictionary(f->batch, 2, dictionary), TYCHO_MISUSE);
    tycho__txn_done(txn);
    ASSERT_STATUS(tycho_commit(f->store, f->batch, NULL), TYCHO_CONDITION_FAILED);
    ASSERT_STATUS(tycho_batch_encode(f->batch, &encoded), TYCHO_OK);
    uint8_t *copy = exact_copy(encoded.data, encoded.size);
    tycho_batch *other;
    ASSERT_STATUS(tycho_batch_create(&other), TYCHO_OK);
    ASSERT_STATUS(tycho_batch_decode(other, bytes_of(copy, encoded.size)), TYCHO_OK);
    uint8_t *magic = memmem(copy, encoded.size, "\x37\xa4\x30\xec", 4);
    assert_non_null(magic);
    memset(magic + 8, 0xff, 64); /* the entropy tables */
    tycho__store64(copy + encoded.size - 8, tycho__hash(copy, encoded.size - 8, 0));
    ASSERT_STATUS(tycho_batch_decode(other, bytes_of(copy, encoded.size)), TYCHO_CORRUPT);
    tycho_batch_destroy(other);
    free(copy);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(later_events_take_less_than_half),
        TEST(a_store_is_as_it_was_before_it_is_asked_for),
        TEST(it_can_be_ended_and_begun_anew),
        TEST(a_snapshot_reads_what_it_saw),
        TEST(a_view_stays_while_its_cursor_does),
        TEST(data_can_be_decompressed_later),
        TEST(events_are_overwritten_compressed_and_plain),
        TEST(a_batch_that_comes_again_is_known_by_its_data),
        TEST(what_would_not_be_smaller_is_stored_as_it_is),
        TEST(a_copy_has_its_dictionaries),
        TEST(a_dictionary_has_only_what_events_have_in_common),
        TEST(what_cannot_be_learnt_from_is_refused),
        TEST(the_256th_dictionary_is_refused),
        TEST(nobody_else_writes_dictionaries),
        TEST(a_dictionary_in_a_foreign_batch_is_checked),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
