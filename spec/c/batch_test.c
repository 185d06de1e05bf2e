/* batch_test.c - batches as bytes: one encoding for the same calls, read back exactly, and nothing
** else taken; builders that fail leave the batch as it was; limits.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "batch.h"
#include "random_values.h"
#include "store_values.h"

#define UUID "01982f5e-7a41-7bcd-8ef0-1234567890ab"

enum { HEAD = 16, CHECKSUM = 8 };

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

/* ---------------------------------------------------------------- one step of each kind */

static const tycho_bytes ids[] = {{"id-1", 4}, {UUID, 36}, {"\0", 1}};
static const tycho_bytes types[] = {{"placed", 6}, {"paid", 4}};
static const tycho_bytes tags[] = {{"b", 1}, {"a", 1}};
static const tycho_query_item items[] = {
    {types, 2, tags, 1}, {NULL, 0, tags, 2}, {types, 1, NULL, 0}};

static tycho_new_event full_event(void) {
    return (tycho_new_event){.id = text(UUID),
                             .type = text("placed"),
                             .flags = TYCHO_HAS_TIME | TYCHO_HAS_VALID_TIME,
                             .tag_count = 2,
                             .time = 1,
                             .valid_time = -2,
                             .correlation_id = text("c"),
                             .causation_id = text(UUID),
                             .tags = tags,
                             .content_type = text("text/plain"),
                             .metadata = text("m"),
                             .data = text("data")};
}

static tycho_new_event small_event(void) {
    return (tycho_new_event){.id = text("id-2"), .type = text("paid"), .flags = TYCHO_HAS_TIME};
}

static int add_stream(tycho_batch *batch) {
    return tycho_batch_expect(batch, text("orders"), 41, TYCHO_RAW);
}
static int add_none_match(tycho_batch *batch) {
    const tycho_query query = {items, 3};
    return tycho_batch_expect_none(batch, &query, 7);
}
static int add_none_at_all(tycho_batch *batch) {
    const tycho_query query = {NULL, 0};
    return tycho_batch_expect_none(batch, &query, UINT64_MAX);
}
static int add_route(tycho_batch *batch) {
    return tycho_batch_expect_route(batch, text("route"), text("orders"));
}
static int add_no_route(tycho_batch *batch) {
    return tycho_batch_expect_route(batch, text("route"), text(""));
}
static int add_row(tycho_batch *batch) {
    return tycho_batch_expect_row(batch, text("table"), text(""), 3);
}
static int add_checkpoint(tycho_batch *batch) {
    return tycho_batch_expect_checkpoint(batch, text("model"), 0);
}
static int add_lock(tycho_batch *batch) {
    return tycho_batch_expect_lock(batch, text("orders"), TYCHO__TOKEN_MAX);
}
static int add_append(tycho_batch *batch) {
    const tycho_new_event events[] = {full_event(), small_event()};
    return tycho_batch_append(batch, text("orders"), TYCHO_EXPECT_EXISTS, events, 2, TYCHO_RAW);
}
static int add_append_to_log(tycho_batch *batch) {
    const tycho_new_event event = small_event();
    return tycho_batch_append(batch, text(""), TYCHO_EXPECT_ANY, &event, 1, 0);
}
static int add_link(tycho_batch *batch) {
    return tycho_batch_link(batch, text("links"), TYCHO_EXPECT_NONE, ids, 3,
                            TYCHO_SKIP_DUPLICATES | TYCHO_RAW);
}
static int add_link_range(tycho_batch *batch) {
    return tycho_batch_link_range(batch, text("a"), 0, -1, text("b"), INT64_MAX, 0);
}
static int add_image(tycho_batch *batch) {
    return tycho_batch_link_range(batch, text("a"), 7, 9, text("b"), 6,
                                  TYCHO_RAW | TYCHO_KEEP_REVISIONS);
}
static int add_link_merged(tycho_batch *batch) {
    const tycho_source sources[] = {{text("a"), 0}, {text("b"), INT64_MAX}};
    return tycho_batch_link_merged(batch, sources, 2, text("c"), -1, TYCHO_SKIP_DUPLICATES);
}
static int add_unlink(tycho_batch *batch) {
    return tycho_batch_unlink(batch, text("links"), ids, 2, 0);
}
static int add_delete(tycho_batch *batch) {
    return tycho_batch_delete_stream(batch, text("orders"), TYCHO_RAW);
}
static int add_truncate(tycho_batch *batch) {
    return tycho_batch_truncate(batch, text("orders"), INT64_MAX, 0);
}
static int add_metadata(tycho_batch *batch) {
    return tycho_batch_set_stream_metadata(batch, text("orders"), text("{}"), 0);
}
static int add_set_route(tycho_batch *batch) {
    return tycho_batch_set_route(batch, text("route"), text("orders"), 0);
}
static int add_closed_route(tycho_batch *batch) {
    return tycho_batch_set_route(batch, text("route"), text("orders"), TYCHO_CLOSED);
}
static int add_remove_route(tycho_batch *batch) {
    return tycho_batch_set_route(batch, text("route"), text(""), 0);
}
static int add_put_row(tycho_batch *batch) {
    return tycho_batch_put_row(batch, text("table"), text("key"), text("value"));
}
static int add_delete_row(tycho_batch *batch) {
    return tycho_batch_delete_row(batch, text("table"), text("key"));
}
static int add_set_checkpoint(tycho_batch *batch) {
    return tycho_batch_set_checkpoint(batch, text("model"), 9);
}
static int add_overwrite(tycho_batch *batch) {
    const tycho_new_event events[] = {full_event(), small_event()};
    return tycho_batch_overwrite(batch, events, 2);
}

static int add_tokens(tycho_batch *batch) {
    return tycho__batch_reserve_tokens(batch, 1);
}

static int (*const steps[])(tycho_batch *) = {
    add_stream,         add_none_match,    add_none_at_all, add_route,
    add_no_route,       add_row,           add_checkpoint,  add_lock,
    add_append,         add_append_to_log, add_link,        add_link_range,
    add_unlink,         add_delete,        add_truncate,    add_metadata,
    add_set_route,      add_remove_route,  add_put_row,     add_delete_row,
    add_set_checkpoint, add_overwrite,     add_tokens,      add_image,
    add_link_merged,    add_closed_route,
};
enum { STEPS = sizeof steps / sizeof *steps };

static void add_all(tycho_batch *batch) {
    for (size_t i = 0; i < STEPS; i++) ASSERT_STATUS(steps[i](batch), TYCHO_OK);
    tycho_batch_set_idempotent(batch, 1);
}

/* A copy of the encoding, to be freed. */
static tycho_bytes encoding_of(tycho_batch *batch) {
    tycho_bytes bytes;
    ASSERT_STATUS(tycho_batch_encode(batch, &bytes), TYCHO_OK);
    return bytes_of(exact_copy(bytes.data, bytes.size), bytes.size);
}

static void free_bytes(tycho_bytes bytes) {
    free((void *)(uintptr_t)bytes.data);
}

static void assert_encodes_to(tycho_batch *batch, tycho_bytes expected) {
    tycho_bytes bytes;
    ASSERT_STATUS(tycho_batch_encode(batch, &bytes), TYCHO_OK);
    assert_bytes(bytes, expected);
}

static void repair_checksum(uint8_t *bytes, size_t size) {
    assert_true(size >= CHECKSUM);
    tycho__store64(bytes + size - CHECKSUM, tycho__hash(bytes, size - CHECKSUM, 0));
}

/* Decodes; what is taken must encode to the very bytes, what is not leaves nothing. */
static int check_decoding(tycho_batch *batch, const uint8_t *bytes, size_t size) {
    uint8_t *copy = exact_copy(bytes, size);
    int status = tycho_batch_decode(batch, bytes_of(copy, size));
    if (status == TYCHO_OK) assert_encodes_to(batch, bytes_of(copy, size));
    free(copy);
    return status;
}

/* ---------------------------------------------------------------- round trips */

static void the_same_calls_give_the_same_bytes(void **state) {
    tycho_batch *batch = *state;
    add_all(batch);
    tycho_bytes first = encoding_of(batch);
    assert_encodes_to(batch, first);
    tycho_batch_clear(batch);
    add_all(batch);
    assert_encodes_to(batch, first);
    tycho_batch_set_idempotent(batch, 0);
    tycho_bytes other;
    ASSERT_STATUS(tycho_batch_encode(batch, &other), TYCHO_OK);
    assert_int_equal(other.size, first.size);
    assert_memory_not_equal(other.data, first.data, other.size);
    free_bytes(first);
}

static void order_of_conditions_against_operations_does_not_count(void **state) {
    tycho_batch *batch = *state;
    add_all(batch);
    tycho_bytes first = encoding_of(batch);
    tycho_batch_clear(batch);
    tycho_batch_set_idempotent(batch, 7);
    for (size_t i = 8; i < STEPS; i++) ASSERT_STATUS(steps[i](batch), TYCHO_OK);
    for (size_t i = 0; i < 8; i++) ASSERT_STATUS(steps[i](batch), TYCHO_OK);
    assert_encodes_to(batch, first);
    free_bytes(first);
}

static void every_kind_of_step_comes_back(void **state) {
    tycho_batch *batch = *state, *other;
    ASSERT_STATUS(tycho_batch_create(&other), TYCHO_OK);
    for (size_t i = 0; i <= STEPS; i++) {
        tycho_batch_clear(batch);
        if (i < STEPS) ASSERT_STATUS(steps[i](batch), TYCHO_OK);
        if (i == STEPS) add_all(batch);
        tycho_bytes bytes = encoding_of(batch);
        ASSERT_STATUS(tycho_batch_decode(other, bytes), TYCHO_OK);
        assert_encodes_to(other, bytes);
        assert_int_equal(other->condition_count, batch->condition_count);
        assert_int_equal(other->operation_count, batch->operation_count);
        assert_int_equal(other->element_count, batch->element_count);
        assert_int_equal(other->route_count, batch->route_count);
        assert_int_equal(other->is_idempotent, batch->is_idempotent);
        free_bytes(bytes);
    }
    tycho_batch_destroy(other);
}

static void an_empty_batch_comes_back(void **state) {
    tycho_bytes empty = encoding_of(*state);
    assert_int_equal(empty.size, HEAD + CHECKSUM);
    add_all(*state);
    ASSERT_STATUS(tycho_batch_decode(*state, empty), TYCHO_OK);
    assert_encodes_to(*state, empty);
    free_bytes(empty);
}

static tycho_bytes any_name(char to[8]) {
    snprintf(to, 8, "%c%u", (char)('a' + below(3)), (unsigned)below(5));
    return text(to);
}

static void random_batches_come_back(void **state) {
    start_random();
    for (int round = 0; round < 300; round++) {
        tycho_batch_clear(*state);
        for (uint64_t i = below(12); i > 0; i--) {
            char name[8];
            int64_t number = (int64_t)random_width();
            tycho_new_event event = full_event();
            if (below(2) == 0) event = small_event();
            event.time = number;
            if (below(2) == 0) {
                ASSERT_STATUS(steps[below(STEPS)](*state), TYCHO_OK);
            } else {
                ASSERT_STATUS(
                    tycho_batch_append(*state, any_name(name), TYCHO_EXPECT_ANY, &event, 1, 0),
                    TYCHO_OK);
            }
        }
        tycho_bytes bytes = encoding_of(*state);
        ASSERT_STATUS(check_decoding(*state, bytes.data, bytes.size), TYCHO_OK);
        free_bytes(bytes);
    }
}

static void what_is_left_out_is_in_the_bytes(void **state) {
    const tycho_new_event event = {.type = text("t")};
    ASSERT_STATUS(tycho_batch_append(*state, text("s"), TYCHO_EXPECT_ANY, &event, 1, 0), TYCHO_OK);
    tycho_bytes bytes = encoding_of(*state);
    ASSERT_STATUS(check_decoding(*state, bytes.data, bytes.size), TYCHO_OK);
    assert_encodes_to(*state, bytes); /* the same id and time, not new ones */
    free_bytes(bytes);
}

/* ---------------------------------------------------------------- damage */

static void bytes_that_are_cut_off_are_corrupt(void **state) {
    add_all(*state);
    tycho_bytes bytes = encoding_of(*state);
    for (size_t size = 0; size < bytes.size; size++) {
        uint8_t *copy = exact_copy(bytes.data, size);
        ASSERT_STATUS(check_decoding(*state, copy, size), TYCHO_CORRUPT);
        if (size >= HEAD + CHECKSUM) {
            repair_checksum(copy, size);
            ASSERT_STATUS(check_decoding(*state, copy, size), TYCHO_CORRUPT);
        }
        free(copy);
    }
    free_bytes(bytes);
}

static void any_changed_byte_is_found_by_the_checksum(void **state) {
    add_all(*state);
    tycho_bytes bytes = encoding_of(*state);
    uint8_t *copy = exact_copy(bytes.data, bytes.size);
    for (size_t i = 0; i < bytes.size; i++) {
        for (unsigned bit = 1; bit < 256; bit <<= 1) {
            copy[i] ^= (uint8_t)bit;
            ASSERT_STATUS(check_decoding(*state, copy, bytes.size), TYCHO_CORRUPT);
            copy[i] ^= (uint8_t)bit;
        }
    }
    free(copy);
    free_bytes(bytes);
}

static void any_changed_byte_with_a_right_checksum_is_read_as_it_is_or_refused(void **state) {
    size_t taken = 0, refused = 0;
    add_all(*state);
    tycho_bytes bytes = encoding_of(*state);
    uint8_t *copy = exact_copy(bytes.data, bytes.size);
    for (size_t i = 0; i < bytes.size - CHECKSUM; i++) {
        for (unsigned change = 1; change < 256; change += 2) {
            copy[i] ^= (uint8_t)change;
            repair_checksum(copy, bytes.size);
            int status = check_decoding(*state, copy, bytes.size);
            if (status == TYCHO_OK) {
                taken++;
            } else {
                refused++;
                assert_true(status == TYCHO_CORRUPT || status == TYCHO_NEWER_FORMAT ||
                            status == TYCHO_TOO_LARGE);
            }
            copy[i] ^= (uint8_t)change;
        }
    }
    assert_true(taken > 0 && refused > taken);
    free(copy);
    free_bytes(bytes);
}

static void a_refused_decoding_keeps_or_empties_but_never_mixes(void **state) {
    add_all(*state);
    tycho_bytes bytes = encoding_of(*state);
    uint8_t *copy = exact_copy(bytes.data, bytes.size);
    copy[bytes.size - CHECKSUM - 1] ^= 1; /* in the last step: all others are read before */
    ASSERT_STATUS(tycho_batch_decode(*state, bytes_of(copy, bytes.size)), TYCHO_CORRUPT);
    assert_encodes_to(*state, bytes); /* the checksum is looked at first */
    copy[12]++;                       /* one operation more than there are */
    repair_checksum(copy, bytes.size);
    ASSERT_STATUS(tycho_batch_decode(*state, bytes_of(copy, bytes.size)), TYCHO_CORRUPT);
    tycho_batch *batch = *state;
    assert_true(batch->operation_count == 0 && batch->operations.size == 0);
    assert_true(batch->condition_count == 0 && batch->conditions.size == 0);
    assert_true(batch->element_count == 0 && !batch->is_idempotent);
    add_all(batch);
    assert_encodes_to(batch, bytes);
    free(copy);
    free_bytes(bytes);
}

/* ---------------------------------------------------------------- what is unknown */

/* Changes one byte of a batch of one step; gives what decoding then says. */
static int decode_changed(tycho_batch *batch, int (*add)(tycho_batch *), size_t offset,
                          uint8_t byte) {
    tycho_batch_clear(batch);
    ASSERT_STATUS(add(batch), TYCHO_OK);
    tycho_bytes bytes = encoding_of(batch);
    uint8_t *copy = exact_copy(bytes.data, bytes.size);
    copy[offset] = byte;
    repair_checksum(copy, bytes.size);
    int status = check_decoding(batch, copy, bytes.size);
    free(copy);
    free_bytes(bytes);
    return status;
}

static void what_is_unknown_is_of_a_newer_format(void **state) {
    tycho_batch *batch = *state;
    static const uint8_t conditions[] = {0, 8, 9, 255}, operations[] = {0, 17, 18, 255};
    for (size_t i = 0; i < sizeof conditions; i++) {
        ASSERT_STATUS(decode_changed(batch, add_stream, HEAD, conditions[i]), TYCHO_NEWER_FORMAT);
        ASSERT_STATUS(decode_changed(batch, add_delete, HEAD, operations[i]), TYCHO_NEWER_FORMAT);
    }
    for (uint8_t flag = 2; flag != 0; flag = (uint8_t)(flag << 1)) {
        ASSERT_STATUS(decode_changed(batch, add_delete, 4, flag), TYCHO_NEWER_FORMAT);
    }
    for (size_t i = 5; i < 8; i++) {
        ASSERT_STATUS(decode_changed(batch, add_delete, i, 1), TYCHO_NEWER_FORMAT);
    }
    ASSERT_STATUS(decode_changed(batch, add_delete, 0, 't'), TYCHO_CORRUPT);
    ASSERT_STATUS(decode_changed(batch, add_delete, 3, '2'), TYCHO_CORRUPT);
}

static void flags_that_a_step_does_not_know_are_corrupt(void **state) {
    tycho_batch *batch = *state;
    for (size_t i = 0; i < STEPS; i++) {
        ASSERT_STATUS(decode_changed(batch, steps[i], HEAD + 1, 0x10), TYCHO_CORRUPT);
        ASSERT_STATUS(decode_changed(batch, steps[i], HEAD + 1, 0x81), TYCHO_CORRUPT);
    }
    ASSERT_STATUS(decode_changed(batch, add_append, HEAD + 1, TYCHO_SKIP_DUPLICATES),
                  TYCHO_CORRUPT);
    ASSERT_STATUS(decode_changed(batch, add_set_route, HEAD + 1, TYCHO_RAW), TYCHO_CORRUPT);
    ASSERT_STATUS(decode_changed(batch, add_remove_route, HEAD + 1, TYCHO_CLOSED), TYCHO_CORRUPT);
    ASSERT_STATUS(decode_changed(batch, add_link, HEAD + 1, TYCHO_KEEP_REVISIONS), TYCHO_CORRUPT);
    ASSERT_STATUS(decode_changed(batch, add_link_merged, HEAD + 1, TYCHO_KEEP_REVISIONS),
                  TYCHO_CORRUPT);
    ASSERT_STATUS(decode_changed(batch, add_route, HEAD + 1, TYCHO_RAW), TYCHO_CORRUPT);
}

static void values_that_a_builder_refuses_are_corrupt(void **state) {
    enum { NAME = HEAD + 6 + 2, AFTER_NAME = NAME + 6 /* "orders" */ };
    tycho_batch *batch = *state;
    /* the highest byte of an expected version, of a revision; the lowest of -2 */
    ASSERT_STATUS(decode_changed(batch, add_stream, AFTER_NAME + 7, 0x80), TYCHO_CORRUPT);
    ASSERT_STATUS(decode_changed(batch, add_append, AFTER_NAME, 0xfc), TYCHO_CORRUPT);
    ASSERT_STATUS(decode_changed(batch, add_append_to_log, NAME, 0xff), TYCHO_CORRUPT);
    ASSERT_STATUS(decode_changed(batch, add_truncate, AFTER_NAME + 7, 0xff), TYCHO_CORRUPT);
    ASSERT_STATUS(decode_changed(batch, add_link_range, NAME + 1 + 3 + 8 + 7, 0xff), TYCHO_CORRUPT);
    ASSERT_STATUS(decode_changed(batch, add_link_range, NAME + 1 + 3 + 8 + 8, 0xfe), TYCHO_CORRUPT);
    ASSERT_STATUS(decode_changed(batch, add_lock, AFTER_NAME + 7, 0x41), TYCHO_CORRUPT);
    ASSERT_STATUS(decode_changed(batch, add_tokens, HEAD + 6, 0), TYCHO_CORRUPT);
    ASSERT_STATUS(decode_changed(batch, add_delete, NAME, '\n'), TYCHO_CORRUPT);
    ASSERT_STATUS(decode_changed(batch, add_set_route, NAME, 0xff), TYCHO_CORRUPT);
    ASSERT_STATUS(decode_changed(batch, add_delete, NAME, 'j'), TYCHO_OK);
}

/* The operations whose list is the last field; no builder writes an empty one. */
static void a_step_without_elements_is_corrupt(void **state) {
    static const struct {
        uint8_t kind;
        bool has_name, has_expected;
    } kinds[] = {{TYCHO__APPEND, true, true},
                 {TYCHO__LINK, true, true},
                 {TYCHO__UNLINK, true, false},
                 {TYCHO__OVERWRITE, false, false}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        tycho__buffer out = {NULL, 0, 0};
        assert_int_equal(tycho__buffer_reserve(&out, 128), TYCHO_OK);
        tycho__write(&out, "TYB1\0\0\0\0\0\0\0\0\1\0\0\0", HEAD);
        tycho__write8(&out, kinds[i].kind);
        tycho__write8(&out, 0);
        uint32_t size = (kinds[i].has_name ? 3u : 0u) + (kinds[i].has_expected ? 8u : 0u) + 4u;
        tycho__write32(&out, size);
        if (kinds[i].has_name) tycho__write(&out, "\1\0s", 3);
        if (kinds[i].has_expected) tycho__write64(&out, (uint64_t)TYCHO_EXPECT_ANY);
        tycho__write32(&out, 0);
        tycho__write64(&out, tycho__hash(out.data, out.size, 0));
        int status = check_decoding(*state, out.data, out.size);
        if (status != TYCHO_CORRUPT) fail_msg("kind %u: %d", kinds[i].kind, status);
        tycho__buffer_free(&out);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_same_calls_give_the_same_bytes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(order_of_conditions_against_operations_does_not_count,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_kind_of_step_comes_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_empty_batch_comes_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(random_batches_come_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_left_out_is_in_the_bytes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bytes_that_are_cut_off_are_corrupt, set_up, tear_down),
        cmocka_unit_test_setup_teardown(any_changed_byte_is_found_by_the_checksum, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(
            any_changed_byte_with_a_right_checksum_is_read_as_it_is_or_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_refused_decoding_keeps_or_empties_but_never_mixes, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_is_unknown_is_of_a_newer_format, set_up, tear_down),
        cmocka_unit_test_setup_teardown(flags_that_a_step_does_not_know_are_corrupt, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(values_that_a_builder_refuses_are_corrupt, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_step_without_elements_is_corrupt, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
