/* json_test.c - the JSON reader and writer, UTF-8 and base64, against what RFC 8259 and RFC 4648
** say, and against jansson, which knows nothing of Tycho.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>
#include <locale.h>

#include "json.h"
#include "random_values.h"

enum { ROUNDS = 20000 };

/* ---------------------------------------------------------------- reading */

/* A copy that ends where the text does, so that a sanitizer sees a read behind it. */
static char *exact_copy(const char *text, size_t size) {
    char *copy = malloc(size > 0 ? size : 1);

    memcpy(copy, text, size);
    return copy;
}

/* Reads a text and writes its tokens without white space to `out`; 1 when all of it was good. */
static int rewrite(const char *text, size_t size, struct tycho_buffer *out, size_t *offset) {
    struct tycho_buffer scratch = {0};
    struct tycho__json_reader reader;
    struct tycho__json_token token = {.kind = TYCHO__JSON_NULL};
    char *copy = exact_copy(text, size);
    int good = 1;
    char before = '[';

    tycho__payload_clear(out);
    tycho__json_begin(&reader, copy, size, &scratch);
    while (good && token.kind != TYCHO__JSON_END_OF_TEXT) {
        good = tycho__json_next(&reader, &token);
        if (!good || token.kind == TYCHO__JSON_END_OF_TEXT) break;
        if (token.kind != TYCHO__JSON_ARRAY_END && token.kind != TYCHO__JSON_OBJECT_END &&
            before != '[' && before != '{' && before != ':')
            tycho__payload_put(out, ",", 1);
        switch (token.kind) {
        case TYCHO__JSON_NULL: tycho__payload_put(out, "null", 4); break;
        case TYCHO__JSON_BOOLEAN: tycho__payload_put(out, token.boolean ? "yes" : "no", 2); break;
        case TYCHO__JSON_INTEGER: tycho__json_put_integer(out, token.integer); break;
        case TYCHO__JSON_FLOAT: tycho__json_put_float(out, token.number); break;
        case TYCHO__JSON_KEY:
        case TYCHO__JSON_STRING: tycho__json_put_string(out, token.data, token.size); break;
        case TYCHO__JSON_ARRAY_BEGIN: tycho__payload_put(out, "[", 1); break;
        case TYCHO__JSON_ARRAY_END: tycho__payload_put(out, "]", 1); break;
        case TYCHO__JSON_OBJECT_BEGIN: tycho__payload_put(out, "{", 1); break;
        default: tycho__payload_put(out, "}", 1); break;
        }
        if (token.kind == TYCHO__JSON_KEY) tycho__payload_put(out, ":", 1);
        before = (char)out->data[out->size - 1];
        if (token.kind == TYCHO__JSON_STRING) before = '"';
    }
    if (!good) {
        assert_non_null(reader.failure);
        assert_true(reader.offset <= size);
    }
    if (offset != NULL) *offset = reader.offset;
    assert_int_equal(out->failed, 0);
    tycho__payload_put(out, "", 1);
    tycho__payload_free(&scratch);
    free(copy);
    return good;
}

static void reads_every_kind_of_value(void **state) {
    static const struct {
        const char *text, *tokens;
    } cases[] = {
        {"null", "null"},
        {" [true , false]\r\n\t", "[ye,no]"},
        {"{\"a\":1,\"b\":{},\"c\":[]}", "{\"a\":1,\"b\":{},\"c\":[]}"},
        {"[[],[[]],{\"\":[{}]}]", "[[],[[]],{\"\":[{}]}]"},
        {"-0", "0"},
        {"-0.0", "-0.0"},
        {"9007199254740993", "9007199254740993"},
        {"9223372036854775807", "9223372036854775807"},
        {"-9223372036854775808", "-9223372036854775808"},
        {"9223372036854775808", "9.223372036854776e+18"},
        {"-9223372036854775809", "-9.223372036854776e+18"},
        {"123456789012345678901234567890", "1.2345678901234568e+29"},
        {"1.0", "1.0"},
        {"0.1", "0.1"},
        {"1E2", "100.0"},
        {"1e-2", "0.01"},
        {"1e22", "1e+22"},
        {"1e23", "1e+23"},
        {"0.30000000000000004", "0.30000000000000004"},
        {"123456.789e3", "123456789.0"},
        {"1.7976931348623157e308", "1.7976931348623157e+308"},
        {"2.2250738585072014e-308", "2.2250738585072014e-308"},
        {"1e-400", "0.0"},
        {"0e99999999999999999999", "0.0"},
        {"\"\\u00e9\\n\\/\\\\\\\"\\b\\f\\r\\t\"", "\"\303\251\\n/\\\\\\\"\\b\\f\\r\\t\""},
        {"\"\\ud83d\\ude00\"", "\"\360\237\230\200\""},
        {"\"\\u0000x\\u001F\"", "\"\\u0000x\\u001f\""},
        {"\"a\303\251\\u20AC\"", "\"a\303\251\342\202\254\""},
        {"\"\177\"", "\"\177\""},
    };
    struct tycho_buffer out = {0};
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_true(rewrite(cases[i].text, strlen(cases[i].text), &out, NULL));
        assert_string_equal(out.data, cases[i].tokens);
    }
    tycho__payload_free(&out);
}

static void refuses_what_is_not_json_and_says_where(void **state) {
    static const struct {
        const char *text;
        size_t offset;
    } cases[] = {
        {"", 0},           {"  ", 2},          {"[", 1},          {"[1", 2},
        {"[1,", 3},        {"[1,]", 3},        {"[,1]", 1},       {"[1 2]", 3},
        {"[1}", 2},        {"{]", 1},          {"{\"a\"}", 4},    {"{\"a\":}", 5},
        {"{\"a\":1,}", 7}, {"{a:1}", 1},       {"{1:1}", 1},      {"[NaN]", 1},
        {"[Infinity]", 1}, {"[-Infinity]", 2}, {"[01]", 1},       {"-01", 1},
        {"[+1]", 1},       {"[.5]", 1},        {"[1.]", 3},       {"[1e]", 3},
        {"[1e+]", 4},      {"-", 1},           {"1 x", 2},        {"nul", 0},
        {"truE", 0},       {"[1e400]", 1},     {"[-1e400]", 1},   {"\"", 1},
        {"\"a\nb\"", 2},   {"\"\\x\"", 2},     {"\"\\u12g4\"", 3}, {"\"\\ud800\"", 3},
        {"\"\\udc00\"", 3}, {"\"\\ud800\\u0041\"", 3}, {"\"\377\"", 1}, {"\"\300\200\"", 1},
        {"\"\355\240\200\"", 1}, {"\"\364\220\200\200\"", 1}, {"// x\n1", 0}, {"'a'", 0},
        {"\357\273\277[]", 0}, {"\"\\", 2},    {"\"\\u00", 3},    {"[1] ]", 4},
    };
    struct tycho_buffer out = {0};
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t offset = SIZE_MAX;

        if (rewrite(cases[i].text, strlen(cases[i].text), &out, &offset))
            fail_msg("took %s", cases[i].text);
        if (offset != cases[i].offset)
            fail_msg("%s: byte %zu, not %zu", cases[i].text, offset, cases[i].offset);
    }
    assert_false(rewrite("[1\0]", 4, &out, NULL));
    assert_false(rewrite("\"\0\"", 3, &out, NULL));
    tycho__payload_free(&out);
}

static void bounds_the_depth(void **state) {
    char text[2 * TYCHO__DEPTH_MAX + 2];
    struct tycho_buffer out = {0};
    size_t offset;
    (void)state;

    memset(text, '[', TYCHO__DEPTH_MAX);
    memset(text + TYCHO__DEPTH_MAX, ']', TYCHO__DEPTH_MAX);
    assert_true(rewrite(text, 2 * TYCHO__DEPTH_MAX, &out, NULL));
    memset(text, '[', TYCHO__DEPTH_MAX + 1);
    memset(text + TYCHO__DEPTH_MAX + 1, ']', TYCHO__DEPTH_MAX + 1);
    assert_false(rewrite(text, sizeof text, &out, &offset));
    assert_int_equal(offset, TYCHO__DEPTH_MAX);
    tycho__payload_free(&out);
}

/* ---------------------------------------------------------------- numbers */

static void assert_float_survives(double value) {
    struct tycho_buffer out = {0};
    char *end;

    tycho__json_put_float(&out, value);
    tycho__payload_put(&out, "", 1);
    assert_int_equal(out.failed, 0);
    if (strtod((char *)out.data, &end) != value || *end != '\0' ||
        strpbrk((char *)out.data, ".e") == NULL)
        fail_msg("%.17g became %s", value, (char *)out.data);
    tycho__payload_free(&out);
}

/* How many digits count: without zeros before and behind them. */
static size_t significant_digits(const struct tycho_buffer *text) {
    size_t digits = 0, zeros = 0;

    for (size_t i = 0; i < text->size && text->data[i] != 'e'; i++) {
        if (text->data[i] == '0') {
            zeros++;
        } else if (text->data[i] > '0' && text->data[i] <= '9') {
            digits += digits > 0 ? zeros + 1 : 1;
            zeros = 0;
        }
    }
    return digits;
}

static void assert_float_is_short(double value) {
    struct tycho_buffer out = {0};
    size_t needed = 0;
    char text[40];

    do {
        snprintf(text, sizeof text, "%.*e", (int)needed++, value);
    } while (strtod(text, NULL) != value);
    tycho__json_put_float(&out, value);
    if (significant_digits(&out) > needed)
        fail_msg("%.17g: %zu digits, %zu would do", value, significant_digits(&out), needed);
    tycho__payload_free(&out);
}

/* The float after a positive one. */
static double next_float(double value) {
    uint64_t bits;

    memcpy(&bits, &value, sizeof bits);
    bits++;
    memcpy(&value, &bits, sizeof bits);
    return value;
}

static void floats_survive(void **state) {
    (void)state;
    start_random();
    assert_float_survives(5e-324);
    assert_float_survives(2.2250738585072009e-308);
    for (int round = 0; round < ROUNDS; round++) {
        double value = random_double();

        assert_float_survives(value);
        assert_float_survives(next_float((double)below(1000000) / 100));
        assert_float_survives((double)below(UINT64_C(1) << 60));
        if (value > 1e-300 || value < -1e-300) assert_float_is_short(value);
        assert_float_is_short((double)below(1000000) / 1000 + 1);
    }
}

/* Digits with a point and an exponent anywhere: what we read is what strtod reads. */
static void numbers_are_rounded_as_strtod_does(void **state) {
    (void)state;
    start_random();
    for (int round = 0; round < ROUNDS; round++) {
        char text[80];
        struct tycho_buffer scratch = {0};
        struct tycho__json_reader reader;
        struct tycho__json_token token;
        int size = snprintf(text, sizeof text, "%s%llu.%0*llue%d", below(2) == 0 ? "-" : "",
                            (unsigned long long)random_width(), (int)below(20) + 1,
                            (unsigned long long)random_width(), (int)below(600) - 300);

        tycho__json_begin(&reader, text, (size_t)size, &scratch);
        if (isfinite(strtod(text, NULL))) {
            assert_true(tycho__json_next(&reader, &token));
            assert_int_equal(token.kind, TYCHO__JSON_FLOAT);
            assert_true(token.number == strtod(text, NULL));
        } else {
            assert_false(tycho__json_next(&reader, &token));
        }
        tycho__payload_free(&scratch);
    }
}

static void the_locale_has_no_influence(void **state) {
    struct tycho_buffer out = {0};
    const char *names[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE", "C.UTF-8"};
    (void)state;

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        setlocale(LC_ALL, names[i]); /* those that are installed */
        assert_true(rewrite("[0.30000000000000004,1.5,1e-300]", 32, &out, NULL));
        assert_string_equal(out.data, "[0.30000000000000004,1.5,1e-300]");
    }
    setlocale(LC_ALL, "C");
    tycho__payload_free(&out);
}

/* ---------------------------------------------------------------- against jansson */

static const char *const pieces[] = {
    "{", "}", "[", "]", ",", ":", "\"a\"", "\"b\\u00e9\"", "\"\\ud83d\\ude00\"", "1", "-2",
    "0.5", "1e3", "null", "true", "false", " ", "{\"k\":", "[1,2]", "\"\\n\"", "01", "\"", "\\",
    "\303\251", "\377", "1.", "nul", "-", "{\"base64\":\"QQ==\"}", "9223372036854775807",
};

static void agrees_with_jansson_on_what_is_json(void **state) {
    struct tycho_buffer out = {0};
    int accepted = 0;
    (void)state;

    start_random();
    for (int round = 0; round < 10 * ROUNDS; round++) {
        char text[400] = "";
        size_t size = 0;
        uint64_t count = below(8) + 1;
        json_t *value;

        for (uint64_t i = 0; i < count; i++) {
            const char *piece = pieces[below(sizeof pieces / sizeof pieces[0])];

            memcpy(text + size, piece, strlen(piece));
            size += strlen(piece);
        }
        value = json_loadb(text, size, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, NULL);
        if ((value != NULL) != rewrite(text, size, &out, NULL)) fail_msg("%.*s", (int)size, text);
        accepted += value != NULL;
        json_decref(value);
    }
    assert_true(accepted > ROUNDS / 20);
    tycho__payload_free(&out);
}

static void jansson_reads_what_is_written(void **state) {
    (void)state;
    start_random();
    for (int round = 0; round < ROUNDS; round++) {
        char text[40];
        size_t size = below(sizeof text);
        struct tycho_buffer out = {0};
        json_t *value;

        for (size_t i = 0; i < size; i++) text[i] = (char)below(128);
        tycho__json_put_string(&out, text, size);
        value = json_loadb((char *)out.data, out.size, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        assert_non_null(value);
        assert_int_equal(json_string_length(value), size);
        assert_memory_equal(json_string_value(value), text, size);
        json_decref(value);
        tycho__payload_free(&out);
    }
}

/* ---------------------------------------------------------------- text */

static void utf8_is_what_the_rfc_says(void **state) {
    static const char *const good[] = {"",
                                       "abcdefgh\303\251",
                                       "\302\200",
                                       "\337\277",
                                       "\340\240\200",
                                       "\355\237\277",
                                       "\356\200\200",
                                       "\360\220\200\200",
                                       "\364\217\277\277"};
    static const char *const bad[] = {"\200",         "\301\277",         "\340\237\277",
                                      "\355\240\200", "\360\217\277\277", "\364\220\200\200",
                                      "\365\200\200\200", "\303", "abcdefghijk\340\240", "\376"};
    (void)state;

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(tycho__utf8_check(good[i], strlen(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(tycho__utf8_check(bad[i], strlen(bad[i])));
}

static void base64_is_read_as_it_is_written(void **state) {
    static const char *const bad[] = {"A",    "AA",   "AAA",  "A===", "====", "AB==", "AAB=",
                                      "AA=A", "AA-_", "AAAA=", "AA= ", "QQ==QQ=="};
    struct tycho_buffer out = {0};
    (void)state;

    for (size_t size = 0; size < 50; size++) {
        struct tycho_buffer text = {0};
        uint8_t data[50] = {0};

        for (size_t i = 0; i < size; i++) data[i] = (uint8_t)below(256);
        tycho__json_put_binary(&text, data, size);
        assert_memory_equal(text.data, "{\"base64\":\"", 11);
        tycho__payload_clear(&out);
        assert_true(tycho__base64_decode(&out, (char *)text.data + 11, text.size - 13));
        assert_int_equal(out.size, size);
        if (size > 0) assert_memory_equal(out.data, data, size);
        tycho__payload_free(&text);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(tycho__base64_decode(&out, bad[i], strlen(bad[i])));
    tycho__payload_clear(&out);
    tycho__json_put_binary(&out, "light w", 7);
    assert_memory_equal(out.data, "{\"base64\":\"bGlnaHQgdw==\"}", 25);
    tycho__payload_free(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_kind_of_value),
        cmocka_unit_test(refuses_what_is_not_json_and_says_where),
        cmocka_unit_test(bounds_the_depth),
        cmocka_unit_test(floats_survive),
        cmocka_unit_test(numbers_are_rounded_as_strtod_does),
        cmocka_unit_test(the_locale_has_no_influence),
        cmocka_unit_test(agrees_with_jansson_on_what_is_json),
        cmocka_unit_test(jansson_reads_what_is_written),
        cmocka_unit_test(utf8_is_what_the_rfc_says),
        cmocka_unit_test(base64_is_read_as_it_is_written),
    };

    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
