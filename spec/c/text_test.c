/* text_test.c - ids packed and unpacked exactly, UUIDv7 that rise whatever the clock does, and
** which names are taken.
**
** clock_gettime() is defined here, in front of the one of the C library, so that the tests can step
** the clock.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "random_values.h"
#include "store_values.h"
#include "text.h"

static int64_t clock_step_s;

int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = (int)syscall(SYS_clock_gettime, clock, now);
    if (clock == CLOCK_REALTIME) now->tv_sec += clock_step_s;
    return result;
}

/* ---------------------------------------------------------------- packing */

/* Whether the text is a UUID as RFC 9562 writes it, in lower case. */
static bool is_canonical(const char *text, size_t size) {
    for (size_t i = 0; i < size; i++) {
        bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;
        bool is_digit = text[i] >= '0' && text[i] <= '9';
        bool is_letter = text[i] >= 'a' && text[i] <= 'f';
        if (is_dash ? text[i] != '-' : !is_digit && !is_letter) return false;
    }
    return size == TYCHO_UUID_SIZE;
}

/* Packs an id; what comes back must be what was given. */
static void check_packing(const char *id, size_t size, bool is_uuid) {
    uint8_t *copy = exact_copy(id, size);
    tycho__id packed;
    memset(&packed, 0xee, sizeof packed);
    tycho__id_pack(&packed, bytes_of(copy, size));
    assert_int_equal(packed.is_uuid, is_uuid);
    if (is_uuid) {
        char back[TYCHO_UUID_SIZE];
        assert_int_equal(packed.size, TYCHO__UUID_BYTES);
        tycho__uuid_unpack(back, packed.bytes);
        assert_memory_equal(back, id, sizeof back);
    } else {
        assert_bytes(bytes_of(packed.bytes, packed.size), bytes_of(id, size));
    }
    free(copy);
}

static void packs_every_canonical_uuid(void **state) {
    (void)state;
    start_random();
    for (int i = 0; i < 2000; i++) {
        uint8_t bytes[TYCHO__UUID_BYTES];
        char id[TYCHO_UUID_SIZE];
        tycho__id packed;
        for (size_t j = 0; j < sizeof bytes; j++) bytes[j] = (uint8_t)next_random();
        tycho__uuid_unpack(id, bytes);
        assert_true(is_canonical(id, sizeof id));
        tycho__id_pack(&packed, bytes_of(id, sizeof id));
        assert_true(packed.is_uuid);
        assert_bytes(bytes_of(packed.bytes, packed.size), bytes_of(bytes, sizeof bytes));
    }
    check_packing("00000000-0000-0000-0000-000000000000", 36, true);
    check_packing("ffffffff-ffff-ffff-ffff-ffffffffffff", 36, true);
    check_packing("01234567-89ab-cdef-0123-456789abcdef", 36, true);
}

/* Each byte of a UUID is replaced by each other byte. */
static void packs_nothing_that_would_come_back_different(void **state) {
    static const char uuid[] = "01982f5e-7a41-7bcd-8ef0-1234567890ab";
    (void)state;
    for (size_t i = 0; i < TYCHO_UUID_SIZE; i++) {
        for (int byte = 0; byte < 256; byte++) {
            char id[TYCHO_UUID_SIZE];
            memcpy(id, uuid, sizeof id);
            id[i] = (char)byte;
            check_packing(id, sizeof id, is_canonical(id, sizeof id));
        }
    }
}

static void keeps_every_other_id_as_it_is(void **state) {
    static const char *const ids[] = {
        "01982F5E-7A41-7BCD-8EF0-1234567890AB", /* upper case */
        "01982f5e-7a41-7bcd-8ef0-1234567890aB",
        "01982f5e-7a41-7bcd-8ef0-1234567890a",   /* too short */
        "01982f5e-7a41-7bcd-8ef0-1234567890abc", /* too long */
        "01982f5e7a417bcd8ef01234567890ab",      /* no dashes */
        "01982f5e7-a41-7bcd-8ef0-1234567890ab",  /* a dash in the wrong place */
        "------------------------------------",
        "{1982f5e-7a41-7bcd-8ef0-1234567890a}",
        "01982f5e-7a41-7bcd-8ef0-1234567890ag",
        "1",
        "sixteen bytes 16",
        "",
    };
    char long_id[TYCHO_ID_MAX];
    (void)state;
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        check_packing(ids[i], strlen(ids[i]), false);
    }
    check_packing("a\0b", 3, false);
    check_packing("\xff\xfe\x00\x80", 4, false);
    for (size_t size = 0; size <= sizeof long_id; size++) {
        memset(long_id, 'f', sizeof long_id);
        check_packing(long_id, size, false);
    }
}

static void packed_uuids_sort_as_their_text(void **state) {
    char ids[2][TYCHO_UUID_SIZE];
    tycho__id packed[2];
    (void)state;
    start_random();
    for (int i = 0; i < 500; i++) {
        for (int j = 0; j < 2; j++) {
            uint8_t bytes[TYCHO__UUID_BYTES] = {0};
            size_t kept = below(sizeof bytes);
            for (size_t k = kept; k < sizeof bytes; k++) bytes[k] = (uint8_t)next_random();
            tycho__uuid_unpack(ids[j], bytes);
            tycho__id_pack(&packed[j], bytes_of(ids[j], sizeof ids[j]));
        }
        int by_text = memcmp(ids[0], ids[1], sizeof ids[0]);
        int by_bytes = memcmp(packed[0].bytes, packed[1].bytes, TYCHO__UUID_BYTES);
        assert_int_equal(by_text > 0, by_bytes > 0);
        assert_int_equal(by_text < 0, by_bytes < 0);
    }
}

/* ---------------------------------------------------------------- UUIDv7 */

static int64_t milliseconds_of(const uint8_t *uuid) {
    return (int64_t)(tycho__unkey64(uuid) >> 16);
}

static void uuids_are_of_version_7_and_of_now(void **state) {
    (void)state;
    int64_t before = tycho_now() / 1000;
    uint8_t uuid[TYCHO__UUID_BYTES];
    char id[TYCHO_UUID_SIZE + 1] = {0};
    for (int i = 0; i < 100; i++) {
        tycho__uuid_next(uuid);
        assert_int_equal(uuid[6] >> 4, 7);
        assert_int_equal(uuid[8] >> 6, 2);
    }
    int64_t after = tycho_now() / 1000;
    assert_true(milliseconds_of(uuid) >= before);
    assert_true(milliseconds_of(uuid) <= after + 1); /* 100 may fall into the next millisecond */
    tycho_uuid(id);
    assert_true(is_canonical(id, TYCHO_UUID_SIZE));
    assert_int_equal(id[14], '7');
    assert_non_null(strchr("89ab", id[19]));
}

/* Makes ids and checks that each is greater than the one before, which is given and comes back. */
static void check_rising(uint8_t last[TYCHO__UUID_BYTES], int count) {
    for (int i = 0; i < count; i++) {
        uint8_t next[TYCHO__UUID_BYTES];
        tycho__uuid_next(next);
        assert_true(memcmp(next, last, sizeof next) > 0);
        memcpy(last, next, sizeof next);
    }
}

static void uuids_rise_also_when_the_clock_steps(void **state) {
    static const int64_t steps[] = {0, 3600, -3600, 1, -1, 86400, -400000, 0};
    uint8_t last[TYCHO__UUID_BYTES] = {0};
    (void)state;
    int64_t now = tycho_now();
    clock_step_s = 3600;
    assert_true(tycho_now() - now >= INT64_C(3000000000)); /* the engine's clock does step */
    clock_step_s = 0;
    check_rising(last, 100000);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        clock_step_s = steps[i];
        check_rising(last, 10000); /* more than the counter of one millisecond holds */
    }
    clock_step_s = 0;
    check_rising(last, 10000);
}

static void uuids_of_a_child_are_not_those_of_its_parent(void **state) {
    uint8_t mine[TYCHO__UUID_BYTES], its[TYCHO__UUID_BYTES];
    int pipe_ends[2], exit_status;
    (void)state;
    tycho__uuid_next(mine); /* now there are random bytes left, which the child must not use */
    assert_int_equal(pipe(pipe_ends), 0);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        tycho__uuid_next(its);
        _exit(write(pipe_ends[1], its, sizeof its) == (ssize_t)sizeof its ? 0 : 1);
    }
    tycho__uuid_next(mine);
    assert_int_equal(read(pipe_ends[0], its, sizeof its), sizeof its);
    assert_int_equal(waitpid(child, &exit_status, 0), child);
    assert_int_equal(exit_status, 0);
    assert_memory_not_equal(mine + 8, its + 8, 8);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
}

/* ---------------------------------------------------------------- names */

static int check_name(const void *name, size_t size) {
    uint8_t *copy = exact_copy(name, size);
    int status = tycho__check_name(bytes_of(copy, size), "stream");
    free(copy);
    return status;
}

static size_t encode_utf8(uint32_t code, uint8_t to[4]) {
    if (code < 0x80) {
        to[0] = (uint8_t)code;
        return 1;
    }
    size_t size = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = size - 1; i > 0; i--, code >>= 6) to[i] = (uint8_t)(0x80 | (code & 0x3f));
    static const uint8_t first[] = {0, 0, 0xc0, 0xe0, 0xf0};
    to[0] = (uint8_t)(first[size] | code);
    return size;
}

static void takes_every_character_but_controls_and_surrogates(void **state) {
    (void)state;
    for (uint32_t code = 0; code < 0x110000; code++) {
        uint8_t name[4];
        size_t size = encode_utf8(code, name);
        bool is_refused = code < 0x20 || code == 0x7f || (code >= 0xd800 && code < 0xe000);
        if (!is_refused && code > 0x11000 && code % 97 != 0) continue;
        int status = tycho__check_name(bytes_of(name, size), "stream");
        if (status != (is_refused ? TYCHO_MISUSE : TYCHO_OK)) fail_msg("U+%04X: %d", code, status);
    }
    assert_int_equal(check_name("\xf4\x8f\xbf\xbf", 4), TYCHO_OK); /* U+10FFFF */
}

/* The code point that a sequence of this size would say, or UINT32_MAX. */
static uint32_t decode_utf8(const uint8_t *at, size_t size) {
    static const uint8_t mask[] = {0, 0x7f, 0x1f, 0x0f, 0x07}, mark[] = {0, 0, 0xc0, 0xe0, 0xf0};
    uint32_t code = at[0] & mask[size];
    if ((at[0] & ~mask[size]) != mark[size]) return UINT32_MAX;
    for (size_t i = 1; i < size; i++) {
        if ((at[i] & 0xc0) != 0x80) return UINT32_MAX;
        code = code << 6 | (at[i] & 0x3f);
    }
    return code;
}

/* Valid: it says a code point, and this is the one encoding of it. */
static bool is_valid_sequence(const uint8_t *at, size_t size) {
    uint8_t again[4];
    uint32_t code = decode_utf8(at, size);
    if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) return false;
    return encode_utf8(code, again) == size && memcmp(again, at, size) == 0;
}

static void takes_exactly_the_valid_sequences_of_utf8(void **state) {
    static const uint8_t others[] = {0x00, 0x7f, 0x80, 0xa0, 0xbf, 0xc0, 0xff};
    (void)state;
    for (unsigned first = 0xc0; first < 0x100; first++) {
        for (unsigned second = 0; second < 0x100; second++) {
            uint8_t name[4] = {(uint8_t)first, (uint8_t)second};
            size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
            size_t count = sizeof others;
            for (size_t i = 0; i < (size > 2 ? count : 1); i++) {
                for (size_t j = 0; j < (size > 3 ? count : 1); j++) {
                    name[2] = others[i];
                    name[3] = others[j];
                    int status = tycho__check_name(bytes_of(name, size), "stream");
                    int expected = is_valid_sequence(name, size) ? TYCHO_OK : TYCHO_MISUSE;
                    if (status == expected) continue;
                    fail_msg("%02x %02x %02x %02x (%zu)", name[0], name[1], name[2], name[3], size);
                }
            }
        }
    }
}

static void refuses_bad_names_and_says_where(void **state) {
    static const struct {
        const char *name, *where;
        size_t size;
    } cases[] = {
        {"\x80", "byte 0", 1},
        {"abc\xc3", "byte 3", 4}, /* cut off */
        {"abc\xe2\x82", "byte 3", 5},
        {"abc\xf0\x9f\x98", "byte 3", 6},
        {"a\xc0\xaf", "byte 1", 3}, /* not the shortest */
        {"a\xe0\x80\xaf", "byte 1", 4},
        {"a\xf0\x80\x80\xaf", "byte 1", 5},
        {"a\xed\xa0\x80", "byte 1", 4},     /* a surrogate */
        {"a\xf4\x90\x80\x80", "byte 1", 5}, /* beyond U+10FFFF */
        {"a\xfe", "byte 1", 2},
        {"caf\xe9", "byte 3", 4}, /* Latin-1 */
        {"a\0b", "0x00 at byte 1", 3},
        {"a\nb", "0x0a at byte 1", 3},
        {"ab\x7f", "0x7f at byte 2", 3},
        {"\x1f", "0x1f at byte 0", 1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(check_name(cases[i].name, cases[i].size), TYCHO_MISUSE);
        if (strstr(tycho_error(), cases[i].where) == NULL) fail_msg("%s", tycho_error());
        assert_non_null(strstr(tycho_error(), "stream"));
    }
}

static void names_have_1_to_255_bytes(void **state) {
    char name[TYCHO_NAME_MAX + 1];
    (void)state;
    memset(name, 'n', sizeof name);
    assert_int_equal(check_name(name, 0), TYCHO_MISUSE);
    for (size_t size = 1; size <= TYCHO_NAME_MAX; size++) {
        assert_int_equal(check_name(name, size), TYCHO_OK);
    }
    assert_int_equal(check_name(name, TYCHO_NAME_MAX + 1), TYCHO_TOO_LARGE);
    assert_non_null(strstr(tycho_error(), "256"));
    memcpy(name + TYCHO_NAME_MAX - 2, "\xe2\x82\xac", 3); /* the euro sign crosses the end */
    assert_int_equal(check_name(name, TYCHO_NAME_MAX), TYCHO_MISUSE);
    assert_int_equal(tycho__check_name(bytes_of(NULL, 0), "tag"), TYCHO_MISUSE);
    assert_int_equal(tycho__check_name(bytes_of(NULL, 5), "tag"), TYCHO_MISUSE);
}

static void ids_are_any_1_to_64_bytes(void **state) {
    char id[TYCHO_ID_MAX + 1] = {0};
    (void)state;
    assert_int_equal(tycho__check_id(bytes_of(id, 0), "event id"), TYCHO_MISUSE);
    assert_int_equal(tycho__check_id(bytes_of(id, 1), "event id"), TYCHO_OK);
    assert_int_equal(tycho__check_id(bytes_of("\xff\x00\n", 3), "event id"), TYCHO_OK);
    assert_int_equal(tycho__check_id(bytes_of(id, TYCHO_ID_MAX), "event id"), TYCHO_OK);
    assert_int_equal(tycho__check_id(bytes_of(id, TYCHO_ID_MAX + 1), "event id"), TYCHO_TOO_LARGE);
    assert_int_equal(tycho__check_id(bytes_of(NULL, 3), "event id"), TYCHO_MISUSE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packs_every_canonical_uuid),
        cmocka_unit_test(packs_nothing_that_would_come_back_different),
        cmocka_unit_test(keeps_every_other_id_as_it_is),
        cmocka_unit_test(packed_uuids_sort_as_their_text),
        cmocka_unit_test(uuids_are_of_version_7_and_of_now),
        cmocka_unit_test(uuids_rise_also_when_the_clock_steps),
        cmocka_unit_test(uuids_of_a_child_are_not_those_of_its_parent),
        cmocka_unit_test(takes_every_character_but_controls_and_surrogates),
        cmocka_unit_test(takes_exactly_the_valid_sequences_of_utf8),
        cmocka_unit_test(refuses_bad_names_and_says_where),
        cmocka_unit_test(names_have_1_to_255_bytes),
        cmocka_unit_test(ids_are_any_1_to_64_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
