/* format_test.c - the bytes of format 5, written down: a record, a batch, a block, a row of a list,
** the state row. What is read by another version, or sent to another machine, must be these.
**
** When a test fails here, the format has changed: stores and encoded batches that exist could no
** longer be read. Then it needs a new number, and code that reads the old one.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "batch.h"
#include "ids.h"
#include "pending.h"
#include "store.h"
#include "store_values.h"
#include "ways.h"

/* Compares with bytes in hex; blanks in it are for the reader. */
static void assert_hex(tycho_bytes got, const char *expected) {
    const uint8_t *at = got.data;
    char *hex = malloc(2 * got.size + 1);
    size_t digits = 0;
    bool is_same = true;
    assert_non_null(hex);
    for (size_t i = 0; i < got.size; i++) snprintf(hex + 2 * i, 3, "%02x", at[i]);
    for (const char *next = expected; *next != '\0' && is_same; next++) {
        if (*next == ' ') continue;
        is_same = digits < 2 * got.size && hex[digits] == *next;
        digits++;
    }
    if (!is_same || digits != 2 * got.size) {
        fail_msg("\n  is        %s\n  should be %s (digit %zu)", hex, expected, digits);
    }
    free(hex);
}

static tycho_new_event full_event(const tycho_bytes *tags) {
    return (tycho_new_event){.id = text("01982f5e-7a41-7bcd-8ef0-1234567890ab"),
                             .type = text("paid"),
                             .flags = TYCHO_HAS_TIME | TYCHO_HAS_VALID_TIME,
                             .tag_count = 2,
                             .time = 0x0102030405060708,
                             .valid_time = -2,
                             .correlation_id = text("c-1"),
                             .causation_id = text("ffffffff-ffff-ffff-ffff-ffffffffffff"),
                             .tags = tags,
                             .content_type = text("text"),
                             .metadata = text("meta"),
                             .data = text("data")};
}

static void a_batch(void **state) {
    const tycho_bytes tags[] = {text("b"), text("a")}, ids[] = {text("i"), full_event(tags).id};
    const tycho_new_event event = full_event(tags);
    const tycho_query_item item = {tags, 1, tags, 2};
    const tycho_query query = {&item, 1};
    tycho_batch *batch;
    tycho_bytes bytes;
    (void)state;
    ASSERT_STATUS(tycho_batch_create(&batch), TYCHO_OK);
    tycho_batch_set_idempotent(batch, 1);
    ASSERT_STATUS(tycho_batch_append(batch, text("s"), 5, &event, 1, TYCHO_RAW), TYCHO_OK);
    ASSERT_STATUS(tycho_batch_link(batch, text("l"), TYCHO_EXPECT_NONE, ids, 2, 2), TYCHO_OK);
    ASSERT_STATUS(tycho_batch_link_range(batch, text("s"), 1, -1, text("t"), -2, 0), TYCHO_OK);
    ASSERT_STATUS(tycho_batch_unlink(batch, text("l"), ids, 1, 0), TYCHO_OK);
    ASSERT_STATUS(tycho_batch_delete_stream(batch, text("s"), 0), TYCHO_OK);
    ASSERT_STATUS(tycho_batch_truncate(batch, text("s"), 3, 0), TYCHO_OK);
    ASSERT_STATUS(tycho_batch_set_stream_metadata(batch, text("s"), text("m"), 0), TYCHO_OK);
    ASSERT_STATUS(tycho_batch_set_route(batch, text("r"), text("s"), 0), TYCHO_OK);
    ASSERT_STATUS(tycho_batch_put_row(batch, text("t"), text("k"), text("v")), TYCHO_OK);
    ASSERT_STATUS(tycho_batch_delete_row(batch, text("t"), text("k")), TYCHO_OK);
    ASSERT_STATUS(tycho_batch_set_checkpoint(batch, text("c"), 9), TYCHO_OK);
    ASSERT_STATUS(
        tycho_batch_overwrite(batch, &(tycho_new_event){.id = text("i"), .type = text("t")}, 1), 0);
    ASSERT_STATUS(tycho_batch_expect(batch, text("s"), TYCHO_EXPECT_EXISTS, 0), TYCHO_OK);
    ASSERT_STATUS(tycho_batch_expect_none(batch, &query, 7), TYCHO_OK);
    ASSERT_STATUS(tycho_batch_expect_route(batch, text("r"), text("s")), TYCHO_OK);
    ASSERT_STATUS(tycho_batch_expect_row(batch, text("t"), text("k"), 4), TYCHO_OK);
    ASSERT_STATUS(tycho_batch_expect_checkpoint(batch, text("c"), 6), TYCHO_OK);
    ASSERT_STATUS(tycho_batch_expect_lock(batch, text("k"), 8), TYCHO_OK);
    ASSERT_STATUS(tycho__batch_reserve_tokens(batch, 0x100000), TYCHO_OK);
    ASSERT_STATUS(tycho_batch_encode(batch, &bytes), TYCHO_OK);
    assert_hex(bytes,
               "5459423101000000060000000d000000 "
               "01000b000000010073fdffffffffffffff "
               "02001600000007000000000000000100000001000200016201620161 "
               "030006000000010072010073 "
               "04000e00000001007401006b0400000000000000 "
               "05000b0000000100630600000000000000 "
               "06000b00000001006b0800000000000000 "
               "0101660000000100730500000000000000010000001700100310020404040000000400000008 "
               "07060504030201feffffffffffffff01610162706169647465787401982f5e7a417bcd8ef012 "
               "34567890ab632d31ffffffffffffffffffffffffffffffff6d65746164617461 "
               "02022400000001006cffffffffffffffff02000000000169011001982f5e7a417bcd8ef01234 "
               "567890ab "
               "03001e000000010073010074feffffffffffffff0100000000000000ffffffffffffffff "
               "04000a00000001006c01000000000169 "
               "050003000000010073 "
               "06000b0000000100730300000000000000 "
               "070008000000010073010000006d "
               "080006000000010072010073 "
               "09000b00000001007401006b0100000076 "
               "0a000600000001007401006b "
               "0b000b0000000100630900000000000000 "
               "0c001e000000010000000000010000000100000000000000000000000000000000007469 "
               "0d00080000000000100000000000 "
               "6970d2abf6958255");
    tycho_batch_destroy(batch);
}

static void a_record(void **state) {
    static const uint32_t numbers[] = {3, 4};
    const tycho_bytes tags[] = {text("b"), text("a")};
    const tycho_new_event event = full_event(tags);
    tycho__buffer encoded = {NULL, 0, 0};
    tycho__event_view view;
    uint8_t record[256];
    (void)state;
    ASSERT_STATUS(tycho__event_encode(&encoded, &event, true), TYCHO_OK);
    tycho__reader reader = tycho__reader_of(tycho__buffer_bytes(&encoded));
    ASSERT_STATUS(tycho__event_decode(&reader, &view), TYCHO_OK);
    view.position = 0x11;
    view.revision = 0x12;
    view.stream = 0x13;
    view.type_number = 0x14;
    view.content_type_number = 0x15;
    tycho__record_write(record, &view, numbers);
    assert_hex(bytes_of(record, tycho__record_size(&view)),
               "9462a36058625cf2 1100000000000000 0807060504030201 1200000000000000 "
               "13000000 14000000 04000000 1700 100310 02 "
               "feffffffffffffff 15000000 0300000004000000 "
               "01982f5e7a417bcd8ef01234567890ab 632d31 "
               "ffffffffffffffffffffffffffffffff6d65746164617461");
    tycho__buffer_free(&encoded);
}

/* The frame is in the place of metadata and data, and the size of the former stays. */
static void a_compressed_record(void **state) {
    static const uint8_t body[] = {0xe1, 0xe2, 0x28, 0xb5, 0x2f, 0xfd, 0x21, 7, 9, 0x77};
    const tycho__event_view view = {.flags = TYCHO__COMPRESSED,
                                    .time = 1,
                                    .id = bytes_of(body, 2),
                                    .body = bytes_of(body, sizeof body),
                                    .metadata_size = 4,
                                    .position = 0x11,
                                    .written = 0x11,
                                    .revision = -1,
                                    .type_number = 0x14};
    uint8_t record[64];
    tycho__event_view back;
    uint32_t number;
    size_t size;
    (void)state;
    tycho__record_write(record, &view, NULL);
    assert_hex(bytes_of(record + 8, tycho__record_size(&view) - 8),
               "1100000000000000 0100000000000000 ffffffffffffffff 00000000 14000000 04000000 "
               "4000 020000 00 e1e2 28b52ffd210709 77");
    ASSERT_STATUS(tycho__record_read(bytes_of(record, tycho__record_size(&view)), 0x11, &back),
                  TYCHO_OK);
    assert_hex(back.frame, "28b52ffd210709 77");
    assert_int_equal(back.metadata.size + back.data.size, 0);
    ASSERT_STATUS(tycho__compressed_facts(&back, &number, &size), TYCHO_OK);
    assert_int_equal(number, 7);
    assert_int_equal(size, 9);
}

/* ---------------------------------------------------------------- rows */

static int set_up(void **state) {
    return open_store(NULL, TYCHO_TEMPORARY, (tycho_store **)state);
}

static int tear_down(void **state) {
    tycho_store_close(*state);
    return 0;
}

static void the_state_of_a_new_store(void **state) {
    tycho_store *store = *state;
    tycho__txn *txn;
    tycho_bytes row;
    ASSERT_STATUS(tycho__txn_read(store->env, &txn), TYCHO_OK);
    ASSERT_STATUS(tycho__get(txn, TYCHO__MAIN, text("state"), &row), TYCHO_OK);
    const uint8_t *at = row.data;
    assert_int_equal(row.size, 248);
    assert_hex(bytes_of(at, 16), "0200000000000000 0000000000000000");
    assert_memory_equal(at + 8, at + 16, 224 - 16); /* zeros */
    assert_hex(bytes_of(at + 224, 16), "0200000000000000 0000000000000000");
    assert_hex(bytes_of(at + row.size - 8, 8), "6ec14afb364a43ef");
    tycho__txn_done(txn);
}

static void the_first_commit_makes_a_store_of_format_1_one_of_this(void **state) {
    tycho_store *store = *state;
    tycho_stats stats = {.size = sizeof stats};
    tycho__txn txn;
    ASSERT_STATUS(tycho__txn_write(store->env, TYCHO_SYNC_NONE, &txn), TYCHO_OK);
    txn.state.format = 1;
    txn.is_changed = true;
    ASSERT_STATUS(tycho__txn_commit(&txn), TYCHO_OK);
    ASSERT_STATUS(tycho_stats_get(store, &stats), TYCHO_OK);
    assert_int_equal(stats.format, 1);
    const tycho_new_event event = {.type = text("paid")};
    tycho_batch *batch;
    ASSERT_STATUS(tycho_batch_create(&batch), TYCHO_OK);
    ASSERT_STATUS(tycho_batch_append(batch, text("s"), TYCHO_EXPECT_ANY, &event, 1, 0), TYCHO_OK);
    ASSERT_STATUS(tycho_commit(store, batch, NULL), TYCHO_OK);
    tycho_batch_destroy(batch);
    ASSERT_STATUS(tycho_stats_get(store, &stats), TYCHO_OK);
    assert_int_equal(stats.format, TYCHO__FORMAT_PLAIN);
}

static void the_places_of_the_fields_of_the_state(void **state) {
    (void)state;
    assert_int_equal(offsetof(tycho__state, format), 0);
    assert_int_equal(offsetof(tycho__state, head), 8);
    assert_int_equal(offsetof(tycho__state, sequence), 16);
    assert_int_equal(offsetof(tycho__state, links_made), 24);
    assert_int_equal(offsetof(tycho__state, links), 32);
    assert_int_equal(offsetof(tycho__state, entries), 40);
    assert_int_equal(offsetof(tycho__state, streams), 48);
    assert_int_equal(offsetof(tycho__state, rows), 56);
    assert_int_equal(offsetof(tycho__state, routes), 64);
    assert_int_equal(offsetof(tycho__state, deletions), 72);
    assert_int_equal(offsetof(tycho__state, names), 80);
    assert_int_equal(TYCHO__KINDS, 6);
    assert_int_equal(offsetof(tycho__state, garbage), 128);
    assert_int_equal(offsetof(tycho__state, rules), 136);
    assert_int_equal(offsetof(tycho__state, settled), 144);
    assert_int_equal(offsetof(tycho__state, links_settled), 152);
    assert_int_equal(offsetof(tycho__state, settlements), 160);
    assert_int_equal(offsetof(tycho__state, recent_size), 168);
    assert_int_equal(offsetof(tycho__state, tokens), 176);
    assert_int_equal(offsetof(tycho__state, scripts), 184);
    assert_int_equal(offsetof(tycho__state, settling), 192);
    assert_int_equal(offsetof(tycho__state, links_settling), 200);
    assert_int_equal(offsetof(tycho__state, moved_kind), 208);
    assert_int_equal(offsetof(tycho__state, moved_number), 216);
    assert_int_equal(offsetof(tycho__state, commit), 224);
    assert_int_equal(offsetof(tycho__state, dictionary), 232);
    assert_int_equal(offsetof(tycho__state, dictionaries), 236);
    assert_int_equal(offsetof(tycho__state, checksum), 240);
}

static void rows_of_lists_and_blocks(void **state) {
    static const uint64_t values[] = {5 << 1, 6 << 1 | 1, 0, 300 << 1, 2 << 1};
    tycho_store *store = *state;
    uint8_t list_key[TYCHO__LIST_KEY], block_key[TYCHO__BLOCK_KEY];
    tycho__txn txn;
    tycho__list *list;
    tycho_bytes row;
    ASSERT_STATUS(tycho__txn_write(store->env, TYCHO_SYNC_NONE, &txn), TYCHO_OK);
    ASSERT_STATUS(tycho__list_make(&txn, TYCHO__STREAM, text("st"), &list), TYCHO_OK);
    ASSERT_STATUS(tycho__list_edit(&txn, TYCHO__STREAM, list->number, &list), TYCHO_OK);
    for (uint64_t i = 0; i < 5; i++) {
        uint64_t value = values[i] == 0 ? 9 << 1 : values[i]; /* what becomes a hole below */
        ASSERT_STATUS(tycho__list_settle(&txn, list, 7 + i, &value, 1), TYCHO_OK);
        list->count++;
    }
    list->next = 12;
    ASSERT_STATUS(tycho__list_hole(&txn, list, 9), TYCHO_OK);
    ASSERT_STATUS(tycho__block_write(&txn, list, 0x0102, values, 5), TYCHO_OK);
    ASSERT_STATUS(tycho__list_write(&txn, list), TYCHO_OK);
    tycho__list_key(list_key, TYCHO__STREAM, list->number);
    tycho__block_key(block_key, list, 0x0102);
    tycho_bytes key = bytes_of(list_key, sizeof list_key);
    assert_hex(key, "0100000001");
    ASSERT_STATUS(tycho__get(&txn, TYCHO__LISTS, key, &row), TYCHO_OK);
    assert_hex(row, "3ff9c0cb 0500 00 02 0400000000000000 0c00000000000000 "
                    "0000000000000000 0700000000000000 0200000000000000 "
                    "2c01000000000000 7374 1405009809a609");
    key = bytes_of(block_key, sizeof block_key);
    assert_hex(key, "0100000001 0000000000000102");
    ASSERT_STATUS(tycho__get(&txn, TYCHO__BLOCKS, key, &row), TYCHO_OK);
    assert_hex(row, "9d8ef2d6 0500 1405009809a609");
    tycho__txn_abort(&txn);
}

static void a_row_of_links_that_are_pending(void **state) {
    tycho_store *store = *state;
    tycho__txn txn;
    tycho_bytes row;
    ASSERT_STATUS(tycho__txn_write(store->env, TYCHO_SYNC_NONE, &txn), TYCHO_OK);
    txn.state.head = 0x0203;
    for (uint64_t i = 0; i < 3; i++) {
        const uint64_t position = i == 2 ? 300 : 5 + i;
        txn.state.links_made = 0x0101 + i;
        ASSERT_STATUS(tycho__pending_add(&txn, 0x0405, 7 + i, &position, 1), TYCHO_OK);
    }
    ASSERT_STATUS(tycho__pending_write(&txn), TYCHO_OK);
    const tycho_bytes key = bytes_of("\0\0\0\0\0\0\x01\x02", 8);
    ASSERT_STATUS(tycho__get(&txn, TYCHO__PENDING, key, &row), TYCHO_OK);
    assert_hex(row, "94056b92 0380 0302000000000000 85080703 0a02cc04");
    tycho__txn_abort(&txn);
}

static void a_row_of_ways_back(void **state) {
    tycho_store *store = *state;
    tycho__txn txn;
    tycho_bytes row;
    const tycho__ways ways = {.count = 2,
                              .positions = {0x0102, 0x0104},
                              .all = {{0x0304, 0x0506, 0x0708}, {0x0109, 10, 11}}};
    ASSERT_STATUS(tycho__txn_write(store->env, TYCHO_SYNC_NONE, &txn), TYCHO_OK);
    ASSERT_STATUS(tycho__ways_put(&txn, &ways), TYCHO_OK);
    const tycho_bytes key = bytes_of("\0\0\0\0\0\0\x01\x02\0\0\x03\x04\1", 13);
    ASSERT_STATUS(tycho__get(&txn, TYCHO__LINKS, key, &row), TYCHO_OK);
    assert_hex(row, "b6caf8d4 02 860a 880e 02 8902 0a f91b");
    tycho__txn_abort(&txn);
}

static void a_row_of_ids(void **state) {
    static const uint8_t first[] = "0123456789abcdef", second[] = "0123456789abcxyz";
    tycho_store *store = *state;
    tycho__txn txn;
    tycho__ids ids = {.count = 0};
    tycho_bytes row;
    ASSERT_STATUS(tycho__txn_write(store->env, TYCHO_SYNC_NONE, &txn), TYCHO_OK);
    ASSERT_STATUS(tycho__ids_add(&txn, &ids, bytes_of(first, 16), true, 0x0102), TYCHO_OK);
    ASSERT_STATUS(tycho__ids_add(&txn, &ids, bytes_of(second, 16), true, 0x0101), TYCHO_OK);
    ASSERT_STATUS(tycho__ids_end(&txn, &ids), TYCHO_OK);
    ASSERT_STATUS(tycho__ids_add(&txn, &ids, bytes_of("a", 1), false, 0x0102), TYCHO_OK);
    const tycho_bytes key = bytes_of("\1" "0123456789abcdef", 17);
    ASSERT_STATUS(tycho__get(&txn, TYCHO__IDS, key, &row), TYCHO_OK);
    assert_hex(row, "8b707ae0 01 0d 78797a 8202 01");
    ASSERT_STATUS(tycho__get(&txn, TYCHO__IDS, bytes_of("\0" "a", 2), &row), TYCHO_OK);
    assert_hex(row, "0201000000000000");
    tycho__txn_abort(&txn);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch),
        cmocka_unit_test(a_record),
        cmocka_unit_test(a_compressed_record),
        TEST(the_state_of_a_new_store),
        cmocka_unit_test(the_places_of_the_fields_of_the_state),
        TEST(the_first_commit_makes_a_store_of_format_1_one_of_this),
        TEST(rows_of_lists_and_blocks),
        TEST(a_row_of_links_that_are_pending),
        TEST(a_row_of_ways_back),
        TEST(a_row_of_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
