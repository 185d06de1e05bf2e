/* msgpack_test.c - the MessagePack reader and writer, against what the format says and against
** libmsgpackc, which knows nothing of Tycho.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <math.h>
/* Piece by piece: <msgpack.h> would be the one of bindings/msgpack. */
#include <msgpack/pack.h>
#include <msgpack/sbuffer.h>
#include <msgpack/unpack.h>

#include "msgpack.h"
#include "random_values.h"

enum { ROUNDS = 2000 };

/* ---------------------------------------------------------------- writer and reader */

static const uint8_t *bytes_of(struct tycho_buffer *buffer, const char *expected, size_t size) {
    assert_int_equal(buffer->failed, 0);
    assert_int_equal(buffer->size, size);
    assert_memory_equal(buffer->data, expected, size);
    tycho__payload_clear(buffer);
    return buffer->data;
}

#define ASSERT_BYTES(buffer, literal) bytes_of(buffer, literal, sizeof(literal) - 1)

static void writes_the_smallest_encoding(void **state) {
    struct tycho_buffer buffer = {0};
    (void)state;

    tycho__msgpack_put_nil(&buffer);
    tycho__msgpack_put_boolean(&buffer, 0);
    tycho__msgpack_put_boolean(&buffer, 1);
    ASSERT_BYTES(&buffer, "\xc0\xc2\xc3");
    tycho__msgpack_put_integer(&buffer, 0);
    tycho__msgpack_put_integer(&buffer, 127);
    tycho__msgpack_put_integer(&buffer, 128);
    tycho__msgpack_put_integer(&buffer, 256);
    tycho__msgpack_put_integer(&buffer, 65536);
    ASSERT_BYTES(&buffer, "\x00\x7f\xcc\x80\xcd\x01\x00\xce\x00\x01\x00\x00");
    tycho__msgpack_put_integer(&buffer, INT64_C(1) << 32);
    tycho__msgpack_put_unsigned(&buffer, UINT64_MAX);
    ASSERT_BYTES(&buffer, "\xcf\0\0\0\1\0\0\0\0\xcf\xff\xff\xff\xff\xff\xff\xff\xff");
    tycho__msgpack_put_integer(&buffer, -1);
    tycho__msgpack_put_integer(&buffer, -32);
    tycho__msgpack_put_integer(&buffer, -33);
    tycho__msgpack_put_integer(&buffer, -129);
    tycho__msgpack_put_integer(&buffer, -32769);
    ASSERT_BYTES(&buffer, "\xff\xe0\xd0\xdf\xd1\xff\x7f\xd2\xff\xff\x7f\xff");
    tycho__msgpack_put_integer(&buffer, INT64_MIN);
    ASSERT_BYTES(&buffer, "\xd3\x80\0\0\0\0\0\0\0");
    tycho__msgpack_put_float(&buffer, 1.5);
    ASSERT_BYTES(&buffer, "\xcb\x3f\xf8\0\0\0\0\0\0");
    tycho__msgpack_put_string(&buffer, "ab", 2);
    tycho__msgpack_put_binary(&buffer, "ab", 2);
    tycho__msgpack_put_array(&buffer, 15);
    tycho__msgpack_put_array(&buffer, 16);
    tycho__msgpack_put_map(&buffer, 15);
    tycho__msgpack_put_map(&buffer, 65536);
    ASSERT_BYTES(&buffer, "\xa2" "ab\xc4\x02" "ab\x9f\xdc\x00\x10\x8f\xdf\x00\x01\x00\x00");
    tycho__payload_free(&buffer);
}

static void writes_each_size_of_string(void **state) {
    static const struct {
        size_t size;
        const char *string, *binary;
        size_t string_size, binary_size;
    } cases[] = {
        {31, "\xbf", "\xc4\x1f", 1, 2},
        {32, "\xd9\x20", "\xc4\x20", 2, 2},
        {255, "\xd9\xff", "\xc4\xff", 2, 2},
        {256, "\xda\x01\x00", "\xc5\x01\x00", 3, 3},
        {65536, "\xdb\x00\x01\x00\x00", "\xc6\x00\x01\x00\x00", 5, 5},
    };
    char *text = calloc(1, 65536);
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tycho_buffer buffer = {0};

        tycho__msgpack_put_string(&buffer, text, cases[i].size);
        assert_memory_equal(buffer.data, cases[i].string, cases[i].string_size);
        assert_int_equal(buffer.size, cases[i].string_size + cases[i].size);
        tycho__payload_clear(&buffer);
        tycho__msgpack_put_binary(&buffer, text, cases[i].size);
        assert_memory_equal(buffer.data, cases[i].binary, cases[i].binary_size);
        assert_int_equal(buffer.size, cases[i].binary_size + cases[i].size);
        tycho__payload_free(&buffer);
    }
    free(text);
}

static void a_failure_is_sticky(void **state) {
    struct tycho_buffer buffer = {0};
    (void)state;

    tycho__msgpack_put_nil(&buffer);
    tycho__msgpack_put_array(&buffer, (size_t)UINT32_MAX + 1);
    assert_int_equal(buffer.failed, TYCHO__BUFFER_FULL);
    tycho__msgpack_put_nil(&buffer);
    assert_int_equal(buffer.size, 1);
    assert_null(tycho__payload_reserve(&buffer, 0));
    tycho__payload_clear(&buffer);
    assert_null(tycho__payload_reserve(&buffer, SIZE_MAX));
    assert_int_equal(buffer.failed, TYCHO__BUFFER_FULL);
    tycho__payload_free(&buffer);
    assert_int_equal(buffer.failed, 0);
}

static struct tycho__msgpack_token read_one(const char *data, size_t size) {
    struct tycho__msgpack_reader reader = {(const uint8_t *)data, size, 0};
    struct tycho__msgpack_token token;

    assert_int_equal(tycho__msgpack_next(&reader, &token), TYCHO__MSGPACK_OK);
    assert_int_equal(token.offset, 0);
    assert_int_equal(reader.offset, size);
    assert_int_equal(tycho__msgpack_check(data, size, NULL), TYCHO__MSGPACK_OK);
    return token;
}

#define READ(literal) read_one(literal, sizeof(literal) - 1)

static void reads_what_others_may_write(void **state) {
    (void)state;
    assert_int_equal(READ("\xd3\0\0\0\0\0\0\0\1").integer, 1);
    assert_int_equal(READ("\xd0\xff").integer, -1);
    assert_int_equal(READ("\xcc\x05").integer, 5);
    assert_int_equal(READ("\xcf\x7f\xff\xff\xff\xff\xff\xff\xff").integer, INT64_MAX);
    assert_int_equal(READ("\xcf\x80\0\0\0\0\0\0\0").kind, TYCHO__MSGPACK_UNSIGNED);
    assert_true(READ("\xcf\x80\0\0\0\0\0\0\0").count == UINT64_C(1) << 63);
    assert_true(READ("\xca\x3f\xc0\0\0").number == 1.5);
    assert_int_equal(READ("\xdb\0\0\0\1a").size, 1);
    assert_int_equal(READ("\xd6\xff" "abcd").kind, TYCHO__MSGPACK_EXTENSION);
    assert_int_equal(READ("\xd6\xff" "abcd").extension, -1);
    assert_int_equal(READ("\xd8\x05" "0123456789abcdef").size, 16);
    assert_int_equal(READ("\xc7\x02\x07" "xy").extension, 7);
    assert_memory_equal(READ("\xc7\x02\x07" "xy").data, "xy", 2);
}

static int check_at(const char *data, size_t size, size_t offset) {
    size_t found = SIZE_MAX;
    int status = tycho__msgpack_check(data, size, &found);

    assert_int_equal(found, offset);
    return status;
}

static void refuses_what_is_malformed_and_says_where(void **state) {
    (void)state;
    assert_int_equal(check_at("", 0, 0), TYCHO__MSGPACK_TRUNCATED);
    assert_int_equal(check_at("\x91\xc1", 2, 1), TYCHO__MSGPACK_INVALID);
    assert_int_equal(check_at("\x01\x02", 2, 1), TYCHO__MSGPACK_TRAILING);
    assert_int_equal(check_at("\x92\x01", 2, 0), TYCHO__MSGPACK_TRUNCATED);
    assert_int_equal(check_at("\x92\x01\xa2" "a", 4, 2), TYCHO__MSGPACK_TRUNCATED);
    assert_int_equal(check_at("\xdf\xff\xff\xff\xff\x01\x02", 7, 0), TYCHO__MSGPACK_TRUNCATED);
    assert_int_equal(check_at("\xdb\xff\xff\xff\xff", 5, 0), TYCHO__MSGPACK_TRUNCATED);
    assert_int_equal(check_at("\xd8\x01", 2, 0), TYCHO__MSGPACK_TRUNCATED);
    for (int status = TYCHO__MSGPACK_OK; status <= TYCHO__MSGPACK_TRAILING; status++)
        assert_true(strlen(tycho__msgpack_status_text(status)) > 10);
}

static void bounds_the_depth(void **state) {
    uint8_t data[TYCHO__DEPTH_MAX + 2];
    struct tycho__msgpack_reader reader = {data, sizeof data, 0};
    (void)state;

    memset(data, 0x91, sizeof data);
    data[TYCHO__DEPTH_MAX] = 0xc0;
    assert_int_equal(check_at((char *)data, TYCHO__DEPTH_MAX + 1, TYCHO__DEPTH_MAX + 1),
                     TYCHO__MSGPACK_OK);
    data[TYCHO__DEPTH_MAX] = 0x90;
    data[TYCHO__DEPTH_MAX + 1] = 0xc0;
    assert_int_equal(check_at((char *)data, TYCHO__DEPTH_MAX + 1, TYCHO__DEPTH_MAX),
                     TYCHO__MSGPACK_DEEP);
    assert_int_equal(tycho__msgpack_skip(&reader), TYCHO__MSGPACK_OK);
    assert_int_equal(reader.offset, TYCHO__DEPTH_MAX + 1);
}

/* ---------------------------------------------------------------- against libmsgpackc */

static void put_random_scalar(struct tycho_buffer *buffer, msgpack_packer *pk) {
    int64_t integer = (int64_t)random_width();
    double number = random_double();

    switch (below(5)) {
    case 0: tycho__msgpack_put_nil(buffer); msgpack_pack_nil(pk); break;
    case 1: tycho__msgpack_put_boolean(buffer, 1); msgpack_pack_true(pk); break;
    case 2: tycho__msgpack_put_integer(buffer, integer); msgpack_pack_int64(pk, integer); break;
    case 3:
        tycho__msgpack_put_unsigned(buffer, (uint64_t)integer);
        msgpack_pack_uint64(pk, (uint64_t)integer);
        break;
    default: tycho__msgpack_put_float(buffer, number); msgpack_pack_double(pk, number); break;
    }
}

static void put_random_bytes(struct tycho_buffer *buffer, msgpack_packer *pk) {
    size_t size = below(50) == 0 ? below(70000) : below(300);
    char *text = calloc(1, size + 1);

    memset(text, 'a' + (int)below(20), size);
    if (below(2) == 0) {
        tycho__msgpack_put_string(buffer, text, size);
        msgpack_pack_str(pk, size);
        msgpack_pack_str_body(pk, text, size);
    } else {
        tycho__msgpack_put_binary(buffer, text, size);
        msgpack_pack_bin(pk, size);
        msgpack_pack_bin_body(pk, text, size);
    }
    free(text);
}

/* A random value of up to a few hundred pieces, written by both. */
static void put_random(struct tycho_buffer *buffer, msgpack_packer *pk) {
    uint64_t room = below(300); /* pieces that containers may still promise */
    uint64_t left = 1;          /* pieces that were promised */

    while (left > 0) {
        uint64_t kind = below(room > 0 ? 4 : 2);
        size_t count = below(room / 2 + 1);

        left--;
        if (kind == 0) {
            put_random_scalar(buffer, pk);
        } else if (kind == 1) {
            put_random_bytes(buffer, pk);
        } else if (kind == 2) {
            tycho__msgpack_put_array(buffer, count);
            msgpack_pack_array(pk, count);
            left += count;
            room -= count;
        } else {
            tycho__msgpack_put_map(buffer, count);
            msgpack_pack_map(pk, count);
            left += 2 * count;
            room -= 2 * count;
        }
    }
}

static void writes_what_libmsgpackc_writes(void **state) {
    (void)state;
    start_random();
    for (int round = 0; round < ROUNDS; round++) {
        struct tycho_buffer buffer = {0};
        msgpack_sbuffer other;
        msgpack_packer pk;
        struct tycho__msgpack_reader reader;

        msgpack_sbuffer_init(&other);
        msgpack_packer_init(&pk, &other, msgpack_sbuffer_write);
        put_random(&buffer, &pk);
        assert_int_equal(buffer.failed, 0);
        assert_int_equal(buffer.size, other.size);
        assert_memory_equal(buffer.data, other.data, other.size);
        reader = (struct tycho__msgpack_reader){buffer.data, buffer.size, 0};
        assert_int_equal(tycho__msgpack_skip(&reader), TYCHO__MSGPACK_OK);
        assert_int_equal(reader.offset, buffer.size);
        reader = (struct tycho__msgpack_reader){buffer.data, buffer.size - 1, 0};
        assert_int_equal(tycho__msgpack_skip(&reader), TYCHO__MSGPACK_TRUNCATED);
        msgpack_sbuffer_destroy(&other);
        tycho__payload_free(&buffer);
    }
}

/* What libmsgpackc makes of one scalar must be what the token says. */
static void assert_same_scalar(const struct tycho__msgpack_token *token,
                               const msgpack_object *other) {
    switch (other->type) {
    case MSGPACK_OBJECT_NIL: assert_int_equal(token->kind, TYCHO__MSGPACK_NIL); break;
    case MSGPACK_OBJECT_BOOLEAN:
        assert_int_equal(token->kind, TYCHO__MSGPACK_BOOLEAN);
        assert_int_equal(token->boolean, other->via.boolean);
        break;
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        assert_int_equal(token->kind, other->via.u64 > INT64_MAX ? TYCHO__MSGPACK_UNSIGNED
                                                                  : TYCHO__MSGPACK_INTEGER);
        assert_true(token->count == other->via.u64);
        break;
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        assert_int_equal(token->kind, TYCHO__MSGPACK_INTEGER);
        assert_true(token->integer == other->via.i64);
        break;
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64:
        assert_int_equal(token->kind, TYCHO__MSGPACK_FLOAT);
        assert_true(token->number == other->via.f64 || isnan(other->via.f64));
        break;
    case MSGPACK_OBJECT_STR:
    case MSGPACK_OBJECT_BIN: assert_int_equal(token->size, other->via.str.size); break;
    case MSGPACK_OBJECT_EXT:
        assert_int_equal(token->extension, other->via.ext.type);
        assert_int_equal(token->size, other->via.ext.size);
        break;
    case MSGPACK_OBJECT_ARRAY:
        assert_int_equal(token->kind, TYCHO__MSGPACK_ARRAY);
        assert_true(token->count == other->via.array.size);
        break;
    case MSGPACK_OBJECT_MAP:
        assert_int_equal(token->kind, TYCHO__MSGPACK_MAP);
        assert_true(token->count == other->via.map.size);
        break;
    }
}

/* Bytes that look like MessagePack. No heads with wide counts: libmsgpackc allocates at once what
** these promise. */
static void put_plausible_bytes(char *data, size_t size) {
    for (size_t i = 0; i < size; i++) {
        uint64_t byte = below(3) == 0 ? below(256) : 0x80 | below(96);

        data[i] = (char)(byte >= 0xdc && byte <= 0xdf ? byte - 0x50 : byte);
    }
}

/* Both agree on what is one value, where it ends, and what its first token is. */
static void reads_what_libmsgpackc_reads(void **state) {
    int accepted = 0;
    (void)state;

    start_random();
    for (int round = 0; round < 100 * ROUNDS; round++) {
        char data[24];
        size_t size = below(sizeof data);
        size_t end = 0;
        msgpack_unpacked result;
        struct tycho__msgpack_reader reader = {(uint8_t *)data, size, 0};
        struct tycho__msgpack_token token;

        put_plausible_bytes(data, size);
        msgpack_unpacked_init(&result);
        if (msgpack_unpack_next(&result, data, size, &end) == MSGPACK_UNPACK_SUCCESS) {
            accepted++;
            assert_int_equal(tycho__msgpack_skip(&reader), TYCHO__MSGPACK_OK);
            assert_int_equal(reader.offset, end);
            assert_int_equal(tycho__msgpack_check(data, size, NULL),
                             end == size ? TYCHO__MSGPACK_OK : TYCHO__MSGPACK_TRAILING);
            reader.offset = 0;
            assert_int_equal(tycho__msgpack_next(&reader, &token), TYCHO__MSGPACK_OK);
            assert_same_scalar(&token, &result.data);
        } else {
            assert_int_not_equal(tycho__msgpack_skip(&reader), TYCHO__MSGPACK_OK);
        }
        msgpack_unpacked_destroy(&result);
    }
    assert_true(accepted > ROUNDS);
}

/* What tycho__msgpack_pass() promises, by the functions it is quicker than. */
static uint64_t pass_slowly(struct tycho__msgpack_reader *reader, uint64_t count, const char *name,
                            size_t *value) {
    for (uint64_t passed = 0; passed < count; passed++) {
        struct tycho__msgpack_reader at = *reader;
        struct tycho__msgpack_token key;
        size_t offset;

        if (tycho__msgpack_next(&at, &key) != TYCHO__MSGPACK_OK ||
            key.kind != TYCHO__MSGPACK_STRING) {
            return passed;
        }
        offset = at.offset;
        if (tycho__msgpack_skip(&at) != TYCHO__MSGPACK_OK) {
            return passed;
        }
        if (key.size == strlen(name) && memcmp(key.data, name, key.size) == 0) {
            *value = offset;
        }
        *reader = at;
    }
    return count;
}

static void passes_pairs_of_a_map_as_one_by_one(void **state) {
    uint64_t all = 0, found = 0;
    (void)state;

    start_random();
    for (int round = 0; round < 100 * ROUNDS; round++) {
        char bytes[40];
        size_t size = below(sizeof bytes + 1), quick_value = 0, slow_value = 0;
        uint8_t *data = malloc(size + 1); /* not a byte more, for ASan */
        struct tycho__msgpack_reader quick = {data, size, 0}, slow = quick;
        uint64_t passed;

        for (size_t at = 0; at < sizeof bytes; at += 8) {
            static const char *const pairs[] = {
                "\xa1" "a\x07\xa1" "b\xc0\xc3", "\xa2" "ab\xd9\1x\xa1" "a",
                "\xa1" "a\xcd\1\2\xa0\x91", "\xa1" "b\xca\0\0\0\0"};
            memcpy(bytes + at, pairs[below(4)], 8);
        }
        if (below(4) == 0) {
            put_plausible_bytes(bytes + below(20), 20);
        }
        memcpy(data, bytes, size);
        passed = tycho__msgpack_pass(&quick, 6, "a", 1, &quick_value);
        assert_true(passed <= 6);
        assert_int_equal(pass_slowly(&slow, passed, "a", &slow_value), passed);
        assert_int_equal(quick.offset, slow.offset);
        assert_int_equal(quick_value, slow_value);
        all += passed;
        found += quick_value > 0;
        free(data);
    }
    assert_true(all > 100 * ROUNDS && found > 10 * ROUNDS);
}

static void passes_every_value_that_says_its_size(void **state) {
    static const char data[] = "\xa1" "a\x01" "\xa1" "b\xff" "\xa1" "c\xa1x" "\xa1" "d\xc0"
                               "\xa1" "e\xc2" "\xa1" "f\xc3" "\xa1" "g\xcb\0\0\0\0\0\0\0\0"
                               "\xa1" "h\xd3\0\0\0\0\0\0\0\1" "\xa1" "i\xd9\1x" "\xa1" "a\x02"
                               "\xa1" "j\x90";
    struct tycho__msgpack_reader reader = {(const uint8_t *)data, sizeof data - 1, 0};
    size_t value = 0;
    (void)state;

    assert_int_equal(tycho__msgpack_pass(&reader, 11, "a", 1, &value), 10);
    assert_int_equal(data[value], 2); /* the last counts */
    assert_memory_equal(data + reader.offset, "\xa1" "j\x90", 3);
    reader.offset = 0;
    assert_int_equal(tycho__msgpack_pass(&reader, 2, "a", 1, &value), 2);
    assert_int_equal(reader.offset, 6);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_the_smallest_encoding),
        cmocka_unit_test(writes_each_size_of_string),
        cmocka_unit_test(a_failure_is_sticky),
        cmocka_unit_test(reads_what_others_may_write),
        cmocka_unit_test(refuses_what_is_malformed_and_says_where),
        cmocka_unit_test(bounds_the_depth),
        cmocka_unit_test(writes_what_libmsgpackc_writes),
        cmocka_unit_test(reads_what_libmsgpackc_reads),
        cmocka_unit_test(passes_pairs_of_a_map_as_one_by_one),
        cmocka_unit_test(passes_every_value_that_says_its_size),
    };

    return cmocka_run_group_tests_name("msgpack", tests, NULL, NULL);
}
