/* pages_test.c - pages of a data file that a damaged disk could give, written by hand: what
** engine/pages.h and engine/inspect.h say of each. (Whole stores: damage_test.c, salvage_test.c.)
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <fcntl.h>
#include <unistd.h>

#include "inspect.h"
#include "meta_page.h"
#include "store_values.h"

enum { SIZE = 1024, PAGES = 8, LAST = PAGES - 1, MAIN = 2, FREE = 3, VALUE = 4 };

static uint8_t file[PAGES * SIZE];
static const tycho__image image = {file, sizeof file, sizeof file, PAGES, SIZE};

static uint8_t *page_at(uint64_t number) {
    return file + number * SIZE;
}

/* ---------------------------------------------------------------- writing pages */

static void put_tree(uint8_t *at, uint16_t flags, uint16_t depth, uint64_t rows, uint64_t root) {
    memset(at + 4, 0, TYCHO__TREE_SIZE - 4);
    tycho__store16(at + 4, flags);
    tycho__store16(at + 6, depth);
    tycho__store64(at + 32, rows);
    tycho__store64(at + 40, root);
}

static void put_meta(uint64_t number) {
    uint8_t *at = page_at(number);
    memset(at, 0, SIZE);
    tycho__store32(at + TYCHO__META_MAGIC, TYCHO__LMDB_MAGIC);
    tycho__store32(at + TYCHO__META_VERSION, TYCHO__LMDB_VERSION);
    tycho__store32(at + TYCHO__META_PAGE_SIZE, SIZE);
    put_tree(at + TYCHO__META_FREE_TREE, TYCHO__TREE_INTEGER, 0, 0, TYCHO__NO_PAGE);
    put_tree(at + TYCHO__META_MAIN_TREE, 0, 1, 1, MAIN);
    tycho__store64(at + TYCHO__META_LAST_PAGE, LAST);
    tycho__store64(at + TYCHO__META_COMMIT, 2 + number);
}

static void put_leaf(uint64_t number) {
    uint8_t *at = page_at(number);
    memset(at, 0, SIZE);
    tycho__store64(at, number);
    tycho__store16(at + 10, TYCHO__LEAF);
    tycho__store16(at + 12, TYCHO__PAGE_HEAD);
    tycho__store16(at + 14, SIZE);
}

/* A node behind those of a leaf page; `size` is that of the value, which may be elsewhere. */
static void add_node(uint64_t number, uint16_t flags, tycho_bytes key, tycho_bytes value,
                     uint32_t size) {
    uint8_t *at = page_at(number);
    uint32_t lower = tycho__load16(at + 12), upper = tycho__load16(at + 14);
    upper -= (uint32_t)(TYCHO__NODE_HEAD + key.size + value.size + 1) & ~1u;
    tycho__store16(at + lower, (uint16_t)upper);
    tycho__store16(at + 12, (uint16_t)(lower + 2));
    tycho__store16(at + 14, (uint16_t)upper);
    tycho__store32(at + upper, size);
    tycho__store16(at + upper + 4, flags);
    tycho__store16(at + upper + 6, (uint16_t)key.size);
    memcpy(at + upper + TYCHO__NODE_HEAD, key.data, key.size);
    memcpy(at + upper + TYCHO__NODE_HEAD + key.size, value.data, value.size);
}

static void add_table(const char *name, uint16_t flags, uint64_t root) {
    uint8_t tree[TYCHO__TREE_SIZE] = {0};
    put_tree(tree, flags, 0, 0, root);
    add_node(MAIN, TYCHO__NODE_TREE, text(name), tycho__bytes(tree, sizeof tree), sizeof tree);
}

static void add_big(const char *key, uint64_t first, uint32_t size) {
    uint8_t number[8];
    tycho__store64(number, first);
    add_node(MAIN, TYCHO__NODE_BIG, text(key), tycho__bytes(number, 8), size);
}

static void put_value(uint64_t number, uint32_t count) {
    memset(page_at(number), 0, SIZE);
    tycho__store64(page_at(number), number);
    tycho__store16(page_at(number) + 10, TYCHO__OVERFLOW);
    tycho__store32(page_at(number) + 12, count);
}

/* The row of free pages of a commit. */
static void add_free(uint64_t commit, const uint64_t *numbers, uint32_t size) {
    uint8_t key[8], value[64];
    tycho__store64(key, commit);
    for (uint32_t i = 0; i < size / 8; i++) tycho__store64(value + 8 * i, numbers[i]);
    add_node(FREE, 0, tycho__bytes(key, 8), tycho__bytes(value, size), size);
    put_tree(page_at(0) + TYCHO__META_FREE_TREE, TYCHO__TREE_INTEGER, 1, 1, FREE);
    tycho__store32(page_at(0) + TYCHO__META_PAGE_SIZE, SIZE);
}

static void put_file(void) {
    memset(file, 0, sizeof file);
    for (uint64_t i = 0; i < 2; i++) put_meta(i);
    put_leaf(MAIN);
    put_leaf(FREE);
}

/* ---------------------------------------------------------------- meta pages and trees */

static void each_number_of_a_meta_page_is_looked_at(void **state) {
    static const struct {
        size_t at, size;
        uint64_t number;
        bool is_good;
    } cases[] = {
        {TYCHO__META_MAGIC, 4, 0, false},
        {TYCHO__META_VERSION, 4, 2, false},
        {TYCHO__META_PAGE_SIZE, 4, 2 * SIZE, false},
        {TYCHO__META_LAST_PAGE, 8, 0, false},
        {TYCHO__META_LAST_PAGE, 8, 1, true},
        {TYCHO__META_COMMIT, 8, 0, true},
        {TYCHO__META_COMMIT, 8, 5, false},
        {TYCHO__META_FREE_TREE + 4, 2, 4, false},
        {TYCHO__META_FREE_TREE + 6, 2, 1, false},
        {TYCHO__META_FREE_TREE + 32, 8, 1, false},
        {TYCHO__META_FREE_TREE + 40, 8, 5, false},
        {TYCHO__META_MAIN_TREE + 4, 2, TYCHO__TREE_INTEGER, true},
        {TYCHO__META_MAIN_TREE + 6, 2, 0, false},
        {TYCHO__META_MAIN_TREE + 6, 2, TYCHO__TREE_DEPTH_MAX, true},
        {TYCHO__META_MAIN_TREE + 6, 2, TYCHO__TREE_DEPTH_MAX + 1, false},
        {TYCHO__META_MAIN_TREE + 32, 8, 0, false},
        {TYCHO__META_MAIN_TREE + 40, 8, 1, false},
        {TYCHO__META_MAIN_TREE + 40, 8, TYCHO__NO_PAGE, false},
    };
    tycho__meta meta;
    (void)state;
    put_file();
    for (uint64_t i = 0; i < 2; i++) {
        assert_true(tycho__meta_read(&image, i, &meta));
        assert_int_equal(meta.commit, 2 + i);
        assert_int_equal(meta.main.root, MAIN);
    }
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put_meta(0);
        memcpy(page_at(0) + cases[i].at, &cases[i].number, cases[i].size);
        if (tycho__meta_read(&image, 0, &meta) != cases[i].is_good) fail_msg("case %zu", i);
    }
    const tycho__image narrow = {file, sizeof file, sizeof file, sizeof file / 128, 128};
    assert_false(tycho__meta_read(&narrow, 0, &meta));
}

static void a_tree_is_of_its_size(void **state) {
    uint8_t tree[TYCHO__TREE_SIZE + 1] = {0};
    tycho__tree read;
    (void)state;
    put_tree(tree, 0, 0, 0, TYCHO__NO_PAGE);
    assert_true(tycho__tree_read(tycho__bytes(tree, TYCHO__TREE_SIZE), &read));
    assert_int_equal(read.root, TYCHO__NO_PAGE);
    assert_false(tycho__tree_read(tycho__bytes(tree, TYCHO__TREE_SIZE - 1), &read));
    assert_false(tycho__tree_read(tycho__bytes(tree, TYCHO__TREE_SIZE + 1), &read));
    assert_false(tycho__tree_read(tycho__bytes(NULL, TYCHO__TREE_SIZE), &read));
}

/* ---------------------------------------------------------------- one page */

static void each_bound_of_a_page_is_looked_at(void **state) {
    enum { NODE = SIZE - 12 };
    static const struct {
        size_t at;
        uint16_t number;
        const char *fault;
    } cases[] = {
        {0, 9, "it has the number of another page"},
        {10, 0, "it is neither branch nor leaf"},
        {10, TYCHO__BRANCH, "it has too few nodes"},
        {12, TYCHO__PAGE_HEAD - 2, "its bounds are wrong"},
        {12, TYCHO__PAGE_HEAD + 1, "its bounds are wrong"},
        {12, SIZE, "its bounds are wrong"},
        {14, SIZE + 2, "its bounds are wrong"},
        {12, TYCHO__PAGE_HEAD, "it has too few nodes"},
        {TYCHO__PAGE_HEAD, NODE - 2, "it has a node outside of it"},
        {TYCHO__PAGE_HEAD, NODE + 1, "it has a node outside of it"},
        {TYCHO__PAGE_HEAD, SIZE - 4, "it has a node outside of it"},
        {NODE, 2, "it has a node outside of it"},
        {NODE + 6, 0, "it has a key of a wrong size"},
        {NODE + 4, 4, "it has a node of a kind that no table has"},
    };
    (void)state;
    put_file();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put_leaf(MAIN);
        add_node(MAIN, 0, text("abc"), text("v"), 1);
        assert_null(tycho__page_fault(&image, MAIN, true));
        tycho__store16(page_at(MAIN) + cases[i].at, cases[i].number);
        const char *fault = tycho__page_fault(&image, MAIN, true);
        if (fault == NULL || strcmp(fault, cases[i].fault) != 0) {
            fail_msg("case %zu: %s", i, fault != NULL ? fault : "no fault");
        }
    }
    static const uint8_t key[TYCHO__KEY_SIZE_MAX + 1] = {1};
    put_leaf(MAIN);
    add_node(MAIN, 0, tycho__bytes(key, TYCHO__KEY_SIZE_MAX), text("v"), 1);
    assert_null(tycho__page_fault(&image, MAIN, true));
    put_leaf(MAIN);
    add_node(MAIN, 0, tycho__bytes(key, sizeof key), text("v"), 1);
    assert_string_equal(tycho__page_fault(&image, MAIN, true), "it has a key of a wrong size");
    assert_string_equal(tycho__page_fault(&image, 1, true), "it is not in the file");
    assert_string_equal(tycho__page_fault(&image, PAGES, true), "it is not in the file");
}

/* ---------------------------------------------------------------- all pages of a commit */

static void nothing_else(void) {
}
static void other_kind(void) {
    add_table("events", 0, TYCHO__NO_PAGE);
}
static void other_name(void) {
    add_table("nonsense", 0, TYCHO__NO_PAGE);
}
static void other_root(void) {
    add_table("events", TYCHO__TREE_INTEGER, MAIN);
}
static void same_key(void) {
    add_node(MAIN, 0, text("a"), text("v"), 1);
}
static void a_value(void) {
    add_big("b", VALUE, SIZE);
    put_value(VALUE, 2);
}
static void value_behind_file(void) {
    add_big("b", PAGES, SIZE);
}
static void value_over_the_end(void) {
    add_big("b", LAST, SIZE);
    put_value(LAST, 2);
}
static void value_behind_commit(void) {
    add_big("b", VALUE, SIZE);
    put_value(VALUE, 2);
    tycho__store64(page_at(0) + TYCHO__META_LAST_PAGE, VALUE);
}
static void value_of_few_pages(void) {
    add_big("b", VALUE, SIZE);
    put_value(VALUE, 1);
}
static void value_of_many_pages(void) {
    add_big("b", VALUE, SIZE);
    put_value(VALUE, PAGES);
}
static void value_twice(void) {
    add_big("b", VALUE, SIZE);
    add_big("c", VALUE + 1, 10);
    put_value(VALUE, 2);
    put_value(VALUE + 1, 1);
}
/* The meta page counts pages that the file does not have: so it may be, for the end of a file is
** written when there is something in it. */
static void value_longer_than_the_file(void) {
    add_big("b", VALUE, SIZE);
    put_value(VALUE, 1u << 20);
    tycho__store64(page_at(0) + TYCHO__META_LAST_PAGE, 1u << 21);
}
static void free_pages(void) {
    add_free(1, (const uint64_t[]){2, 6, 5}, 24);
}
static void free_pages_behind_the_file(void) {
    add_free(1, (const uint64_t[]){2, PAGES + 1, 5}, 24);
    tycho__store64(page_at(0) + TYCHO__META_LAST_PAGE, PAGES + 1);
}
static void free_row_without_count(void) {
    add_free(1, NULL, 0);
}
static void free_row_of_odd_size(void) {
    add_free(1, (const uint64_t[]){0}, 12);
}
static void free_row_too_short(void) {
    add_free(1, (const uint64_t[]){2, 6}, 16);
}
static void free_meta_page(void) {
    add_free(1, (const uint64_t[]){1, 1}, 16);
}
static void free_page_behind_all(void) {
    add_free(1, (const uint64_t[]){1, PAGES}, 16);
}
static void free_pages_that_rise(void) {
    add_free(1, (const uint64_t[]){2, 5, 6}, 24);
}
static void free_page_in_use(void) {
    add_free(1, (const uint64_t[]){1, MAIN}, 16);
}
static void free_tree(void) {
    add_free(1, (const uint64_t[]){1, 5}, 16);
    tycho__store16(page_at(FREE) + tycho__load16(page_at(FREE) + 16) + 4, TYCHO__NODE_TREE);
}
static void free_key_short(void) {
    free_pages();
    add_node(FREE, 0, text("key"), text("v"), 1);
}

/* What is wrong first, in words; "" when all is right. */
static void inspect(char *words, size_t size) {
    tycho__inspection inspection;
    tycho__inspected inspected;
    uint32_t count = tycho__node_count(page_at(MAIN));
    int status = TYCHO_OK;
    words[0] = '\0';
    tycho__store64(page_at(0) + TYCHO__META_MAIN_TREE + 32, count);
    ASSERT_STATUS(tycho__inspect_begin(&inspection, &image, 2), TYCHO_OK);
    while (status == TYCHO_OK && words[0] == '\0') {
        status = tycho__inspect_next(&inspection, &inspected);
        if (status != TYCHO_OK || inspected.page.fault == NULL) continue;
        tycho__inspected_text(&inspected, words, size);
    }
    assert_true(status == TYCHO_OK || status == TYCHO_END);
    tycho__inspect_end(&inspection);
}

static void each_contradiction_of_pages_is_told(void **state) {
    static const struct {
        void (*make)(void);
        const char *fault;
    } cases[] = {
        {nothing_else, ""},
        {other_kind, "table (main), with the keys from the first to the last: it has a table of "
                     "another kind"},
        {other_name, "it has a table that no store has"},
        {other_root, "it has a damaged root of a table"},
        {same_key, "its keys are out of order"},
        {a_value, ""},
        {value_behind_file, "it has a value outside of the file"},
        {value_over_the_end, "it has a value outside of the file"},
        {value_behind_commit, "it has a value outside of the file"},
        {value_of_few_pages, "it has a value whose pages are others"},
        {value_of_many_pages, "it has a value whose pages are others"},
        {value_twice, "it has a value whose pages are used twice"},
        {value_longer_than_the_file, ""},
        {free_pages, ""},
        {free_pages_behind_the_file, ""},
        {free_row_without_count, "table (free pages), with the keys from the first to the last: it "
                                 "has a damaged row of free pages"},
        {free_row_of_odd_size, "it has a damaged row of free pages"},
        {free_row_too_short, "it has a damaged row of free pages"},
        {free_meta_page, "it has free pages that are none"},
        {free_page_behind_all, "it has free pages that are none"},
        {free_pages_that_rise, "it has free pages that are none"},
        {free_page_in_use, "it says that a page in use is free"},
        {free_tree, "it has a node of a kind that no table has"},
        {free_key_short, "it has a key of a wrong size"},
    };
    char words[1600];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put_file();
        add_node(MAIN, 0, text("a"), text("v"), 1);
        cases[i].make();
        inspect(words, sizeof words);
        bool is_right =
            cases[i].fault[0] == '\0' ? words[0] == '\0' : strstr(words, cases[i].fault) != NULL;
        if (!is_right) fail_msg("\"%s\" is not said, but \"%s\"", cases[i].fault, words);
    }
}

static void rows_that_are_not_there_are_told(void **state) {
    char words[1600];
    (void)state;
    put_file();
    add_node(MAIN, 0, text("a"), text("v"), 1);
    free_pages();
    tycho__store64(page_at(0) + TYCHO__META_FREE_TREE + 32, 2);
    inspect(words, sizeof words);
    assert_string_equal(words, "table (free pages): it counts other rows than it has");
}

static void a_commit_that_was_written_over_is_not_found(void **state) {
    tycho__inspection inspection = {.seen = NULL};
    (void)state;
    put_file();
    assert_int_equal(tycho__inspect_begin(&inspection, &image, 4), TYCHO_NOT_FOUND);
    tycho__store32(page_at(0) + TYCHO__META_MAGIC, 0);
    assert_int_equal(tycho__inspect_begin(&inspection, &image, 2), TYCHO_NOT_FOUND);
    assert_null(inspection.seen);
}

/* ---------------------------------------------------------------- keys in words */

#define KEY(literal)                                                                               \
    { literal, sizeof(literal) - 1 }

static void keys_are_told_as_what_they_are(void **state) {
    static const struct {
        unsigned table;
        tycho_bytes key;
        const char *words;
    } cases[] = {
        {TYCHO__EVENTS, KEY("\7\0\0\0\0\0\0\0"), "position 7"},
        {TYCHO__EVENTS, KEY("\7\1"), "0701"},
        {TYCHO__FREE_PAGES, KEY("\7\0\0\0\0\0\0\0"), "commit 7"},
        {TYCHO__FREE_PAGES, KEY("\7"), "07"},
        {TYCHO__LISTS, KEY("\1\0\0\0\5"), "stream 5"},
        {TYCHO__LISTS, KEY("\5\0\0\0\5"), "content type 5"},
        {TYCHO__LISTS, KEY("\6\0\0\0\5"), "list 5"},
        {TYCHO__LISTS, KEY("\1"), "01"},
        {TYCHO__BLOCKS, KEY("\2\0\0\0\5\0\0\0\0\0\0\0\11"), "type 5 from 9"},
        {TYCHO__BLOCKS, KEY("\2\0"), "0200"},
        {TYCHO__LINKS, KEY("\0\0\0\0\0\0\0\3\0\0\0\4"), "position 3 in stream 4"},
        {TYCHO__LINKS, KEY("\0\0\0\0\0\0\0\3\0\0\0\4\1"), "position 3 in stream 4"},
        {TYCHO__LINKS, KEY("\0\1\2"), "000102"},
        {TYCHO__PENDING, KEY("\0\0\0\0\0\0\0\3"), "link 3"},
        {TYCHO__PENDING, KEY("\0"), "00"},
        {TYCHO__STREAM_METADATA, KEY("\0\0\0\3"), "stream 3"},
        {TYCHO__GARBAGE, KEY("\0\0\0\3"), "stream 3"},
        {TYCHO__GARBAGE, KEY("\0\0\3"), "000003"},
        {TYCHO__ROWS, KEY("\0\0\0\3k"), "table 3, \"k\""},
        {TYCHO__ROWS, KEY("\0\0\0\3"), "table 3, \"\""},
        {TYCHO__ROWS, KEY("\0\0\0\3\xff"), "table 3, ff"},
        {TYCHO__ROWS, KEY("\0\0\3"), "000003"},
        {TYCHO__NAMES, KEY("\3red"), "tag \"red\""},
        {TYCHO__NAMES, KEY("\3"), "03"},
        {TYCHO__IDS, KEY("\1\0\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17"),
         "00010203-0405-0607-0809-0a0b0c0d0e0f"},
        {TYCHO__IDS, KEY("\0abcdefghijklmnop"), "\"abcdefghijklmnop\""},
        {TYCHO__IDS, KEY("\0e1"), "\"e1\""},
        {TYCHO__IDS, KEY("\0"), "00"},
        {TYCHO__ROUTES, KEY("r"), "\"r\""},
        {TYCHO__ROUTES, KEY(""), "\"\""},
    };
    char words[600], few[8];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tycho__key_text(cases[i].table, cases[i].key, words, sizeof words);
        assert_string_equal(words, cases[i].words);
    }
    const tycho_bytes hex = KEY("\1\2\3\4\5\6\7\10");
    tycho__key_text(TYCHO__ROUTES, hex, few, sizeof few);
    assert_string_equal(few, "010203");
}

/* ---------------------------------------------------------------- files */

static void write_file(const char *path, size_t size) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, file, size), size);
    close(fd);
}

static void what_is_no_file_of_pages_is_refused(void **state) {
    char directory[DIRECTORY_SIZE], path[DIRECTORY_SIZE + 16];
    tycho__image opened;
    (void)state;
    assert_int_equal(make_directory_in_memory(directory), 0);
    snprintf(path, sizeof path, "%s/data.mdb", directory);
    ASSERT_STATUS(tycho__image_open(&opened, path, 0), TYCHO_NOT_FOUND);
    ASSERT_STATUS(tycho__image_open(&opened, directory, 0), TYCHO_CORRUPT);
    put_file();
    static const size_t sizes[] = {0, 1, 2 * 512 - 1};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        write_file(path, sizes[i]);
        ASSERT_STATUS(tycho__image_open(&opened, path, 0), TYCHO_CORRUPT);
        ASSERT_STATUS(tycho__inspect_heads(path), TYCHO_CORRUPT);
        assert_null(opened.bytes);
    }
    remove_directory(directory);
}

/* When the first meta page does not tell the size of a page, the second one does by its place. */
static void the_size_of_a_page_is_found(void **state) {
    static const uint32_t wrong[] = {0, 256, 768, 1 << 17, UINT32_MAX};
    char directory[DIRECTORY_SIZE], path[DIRECTORY_SIZE + 16];
    tycho__image opened;
    (void)state;
    assert_int_equal(make_directory_in_memory(directory), 0);
    snprintf(path, sizeof path, "%s/data.mdb", directory);
    for (size_t i = 0; i < 2 + sizeof wrong / sizeof *wrong; i++) {
        put_file();
        if (i >= 2) tycho__store32(file + TYCHO__META_PAGE_SIZE, wrong[i - 2]);
        if (i == 1) tycho__store32(file + TYCHO__META_MAGIC, 0);
        write_file(path, sizeof file);
        ASSERT_STATUS(tycho__image_open(&opened, path, 0), TYCHO_OK);
        assert_int_equal(opened.page_size, SIZE);
        assert_int_equal(opened.count, PAGES);
        tycho__image_close(&opened);
        ASSERT_STATUS(tycho__inspect_heads(path), i == 0 ? TYCHO_OK : TYCHO_CORRUPT);
    }
    remove_directory(directory);
}

static void meta_pages_that_contradict_are_told(void **state) {
    static const struct {
        size_t at;
        uint64_t number;
        const char *sentence;
    } cases[] = {
        {TYCHO__META_COMMIT, 4, NULL},
        {TYCHO__META_COMMIT, 6, "the commits 6 and 3, which do not follow each other"},
        {TYCHO__META_LAST_PAGE, PAGES, NULL},
        {TYCHO__META_LAST_PAGE, PAGES + TYCHO__INSPECT_PAGES, "in a file of 8"},
        {TYCHO__META_LAST_PAGE, UINT64_MAX, "in a file of 8"},
        {TYCHO__META_LAST_PAGE, 0, "its meta page 0 is none"},
    };
    char directory[DIRECTORY_SIZE], path[DIRECTORY_SIZE + 16];
    (void)state;
    assert_int_equal(make_directory_in_memory(directory), 0);
    snprintf(path, sizeof path, "%s/data.mdb", directory);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put_file();
        tycho__store64(file + cases[i].at, cases[i].number);
        write_file(path, sizeof file);
        bool is_good = cases[i].sentence == NULL;
        ASSERT_STATUS(tycho__inspect_heads(path), is_good ? TYCHO_OK : TYCHO_CORRUPT);
        if (!is_good) assert_non_null(strstr(tycho_error(), cases[i].sentence));
    }
    remove_directory(directory);
}

/* By what the trees count: that of the pages of a large store is left to guard.h. */
static void a_store_of_many_pages_is_inspected_in_brief(void **state) {
    static const struct {
        uint64_t branches, leaves;
        bool is_whole;
    } cases[] = {
        {0, 1, true},
        {1, TYCHO__INSPECT_PAGES, false},
        {UINT64_MAX, 2, false},
        {TYCHO__INSPECT_PAGES, 0, true},
    };
    char directory[DIRECTORY_SIZE], path[DIRECTORY_SIZE + 16];
    bool is_whole;
    (void)state;
    assert_int_equal(make_directory_in_memory(directory), 0);
    snprintf(path, sizeof path, "%s/data.mdb", directory);
    ASSERT_STATUS(tycho__inspect_file(path, 2, &is_whole), TYCHO_NOT_FOUND);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put_file();
        add_table("events", TYCHO__TREE_INTEGER, TYCHO__NO_PAGE);
        uint8_t *tree = page_at(MAIN) + tycho__load16(page_at(MAIN) + 14) + TYCHO__NODE_HEAD + 6;
        tycho__store64(tree + 8, cases[i].branches);
        tycho__store64(tree + 16, cases[i].leaves);
        write_file(path, sizeof file);
        ASSERT_STATUS(tycho__inspect_file(path, 2, &is_whole), TYCHO_OK);
        assert_int_equal(is_whole, cases[i].is_whole);
    }
    assert_int_equal(tycho__inspect_file(path, 4, &is_whole), TYCHO_NOT_FOUND);
    other_kind();
    write_file(path, sizeof file);
    ASSERT_STATUS(tycho__inspect_file(path, 2, &is_whole), TYCHO_CORRUPT);
    remove_directory(directory);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_number_of_a_meta_page_is_looked_at),
        cmocka_unit_test(a_tree_is_of_its_size),
        cmocka_unit_test(each_bound_of_a_page_is_looked_at),
        cmocka_unit_test(each_contradiction_of_pages_is_told),
        cmocka_unit_test(rows_that_are_not_there_are_told),
        cmocka_unit_test(a_commit_that_was_written_over_is_not_found),
        cmocka_unit_test(keys_are_told_as_what_they_are),
        cmocka_unit_test(what_is_no_file_of_pages_is_refused),
        cmocka_unit_test(the_size_of_a_page_is_found),
        cmocka_unit_test(meta_pages_that_contradict_are_told),
        cmocka_unit_test(a_store_of_many_pages_is_inspected_in_brief),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
