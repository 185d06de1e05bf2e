/* place_test.c - reading the tables of a commit without LMDB (engine/place.h): what is read is what
** LMDB reads, and no damaged page leads to anything but an error (engine/guard.h).
**
** The data file of a store that has everything is read from a copy in memory, in which pages are
** damaged, before they are judged or when the way to them is new.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <fcntl.h>
#include <lmdb.h>
#include <sys/mman.h>
#include <unistd.h>

#include "damage_values.h"
#include "full_store.h"
#include "place.h"
#include "store_values.h"

enum { BATCHES = 260, RANDOM_ROUNDS = 150, DAMAGES = 6 };

static fixture good;
static char scratch[DIRECTORY_SIZE], path[DIRECTORY_SIZE + 16];

/* The file in memory, and a reader of its last commit. */
typedef struct reading {
    fixture f;
    int file;
    uint64_t commit;
    tycho__guard *guard;
    tycho__guarded *g;
} reading;

static reading open_reading_of(int file, bool is_whole, uint64_t marks_max) {
    reading r = {.f = fixture_copy(&good)};
    tycho__meta metas[2];
    const tycho__image image = {r.f.bytes, r.f.size, r.f.size, r.f.pages, (uint32_t)r.f.page_size};
    r.file = file;
    assert_true(r.file >= 0);
    for (uint64_t i = 0; i < 2; i++) assert_true(tycho__meta_read(&image, i, &metas[i]));
    r.commit = metas[metas[1].commit > metas[0].commit].commit;
    r.guard = tycho__guard_create(r.f.bytes, r.f.size, (uint32_t)r.f.page_size, r.file, is_whole,
                                  marks_max);
    assert_non_null(r.guard);
    ASSERT_STATUS(tycho__guard_begin(r.guard, r.commit, &r.g), TYCHO_OK);
    return r;
}

static reading open_marked(bool is_whole, uint64_t marks_max) {
    char name[DIRECTORY_SIZE + 32];
    snprintf(name, sizeof name, "%s/data.mdb", path);
    return open_reading_of(open(name, O_RDONLY), is_whole, marks_max);
}

static reading open_reading(bool is_whole) {
    return open_marked(is_whole, 0);
}

/* One of a file of the size of the memory, nearly all of it behind the last commit. */
static reading open_large_reading(void) {
    int file = memfd_create("large", MFD_CLOEXEC);
    assert_true(file >= 0);
    assert_int_equal(ftruncate(file, sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE)), 0);
    return open_reading_of(file, false, 0);
}

static void close_reading(reading *r) {
    free(r->g);
    tycho__guard_destroy(r->guard);
    close(r->file);
    free(r->f.bytes);
}

/* What a page in the copy is, to be damaged. */
static uint8_t *page_of(const reading *r, uint64_t number) {
    return r->f.bytes + number * r->f.page_size;
}

static uint8_t *node_of(uint8_t *page, uint32_t index) {
    return page + tycho__load16(page + TYCHO__PAGE_HEAD + 2 * index);
}

static uint64_t child_of(uint8_t *page, uint32_t index) {
    return tycho__load32(node_of(page, index));
}

/* A key of the child; that of the first child of a root stands for nothing. */
static tycho_bytes first_key_below(const reading *r, uint64_t root, uint32_t index) {
    uint8_t *node = node_of(page_of(r, child_of(page_of(r, root), index)), 0);
    return tycho__bytes(node + TYCHO__NODE_HEAD, tycho__load16(node + 6));
}

/* The root of a table whose leaf pages are right below it. */
static uint64_t root_of(reading *r, tycho__table table) {
    uint64_t rows;
    ASSERT_STATUS(tycho__place_count(r->g, table, &rows), TYCHO_OK);
    assert_int_equal(r->g->trees[table].depth, 2);
    uint64_t root = r->g->trees[table].root;
    assert_true(tycho__node_count(page_of(r, root)) >= 6);
    return root;
}

static void set_child(const reading *r, uint64_t page, uint32_t index, uint64_t child) {
    uint8_t *node = node_of(page_of(r, page), index);
    tycho__store32(node, (uint32_t)child);
    tycho__store16(node + 4, (uint16_t)(child >> 32));
}

static volatile uint64_t touched; /* so that all bytes are read */

/* All rows forward, or backward. Touches every byte. The status that ended it. */
static int walk_all(reading *r, tycho__table table, bool is_forward) {
    tycho_bytes key = {NULL, 0}, value;
    size_t rows = 0;
    int status = is_forward ? tycho__place_seek(r->g, table, &key, &value)
                            : tycho__place_last(r->g, table, &key, &value);
    for (; status == TYCHO_OK; rows++) {
        touched ^= tycho__hash(key.data, key.size, tycho__hash(value.data, value.size, 0));
        assert_true(rows < r->f.size); /* it ends */
        status = is_forward ? tycho__place_next(r->g, table, &key, &value)
                            : tycho__place_previous(r->g, table, &key, &value);
    }
    return status;
}

/* ---------------------------------------------------------------- against LMDB */

typedef struct lmdb {
    MDB_env *env;
    MDB_txn *txn;
    MDB_cursor *cursor;
} lmdb;

static void check_row(int error, MDB_val key, MDB_val value, int status, tycho_bytes got_key,
                      tycho_bytes got_value) {
    assert_int_equal(status, error == MDB_NOTFOUND ? TYCHO_NOT_FOUND : TYCHO_OK);
    if (error == MDB_NOTFOUND) return;
    assert_int_equal(error, 0);
    assert_bytes(got_key, tycho__bytes(key.mv_data, key.mv_size));
    assert_bytes(got_value, tycho__bytes(value.mv_data, value.mv_size));
}

/* A key of each row is sought, and one right behind it. */
static void check_seeks(reading *r, lmdb *l, tycho__table table, MDB_val found) {
    uint8_t wanted[600] = {0};
    memcpy(wanted, found.mv_data, found.mv_size);
    bool is_number = table == TYCHO__EVENTS;
    for (size_t i = 0; i < 2; i++) {
        MDB_val key = {found.mv_size + (is_number ? 0 : i), wanted}, value;
        if (is_number) tycho__store64(wanted, tycho__load64(wanted) + i);
        tycho_bytes got_key = tycho__bytes(key.mv_data, key.mv_size), got_value = {NULL, 0};
        int error = mdb_cursor_get(l->cursor, &key, &value, MDB_SET_KEY);
        check_row(error, key, value, tycho__place_get(r->g, table, got_key, &got_value), got_key,
                  got_value);
        error = mdb_cursor_get(l->cursor, &key, &value, MDB_SET_RANGE);
        int status = tycho__place_seek(r->g, table, &got_key, &got_value);
        check_row(error, key, value, status, got_key, got_value);
        ASSERT_STATUS(tycho__place_look(r->g, table, &got_key), TYCHO_OK);
        got_key = tycho__bytes(wanted, found.mv_size + (is_number ? 0 : i));
        tycho__place_ask(r->g, table, got_key);
        ASSERT_STATUS(tycho__place_seek_back(r->g, table, &got_key, &got_value), TYCHO_OK);
        if (is_number && i == 1) continue; /* it is on another row, or behind all */
        assert_bytes(got_key, tycho__bytes(found.mv_data, found.mv_size));
    }
}

static void check_table(reading *r, lmdb *l, tycho__table table) {
    MDB_val key = {0, NULL}, value = {0, NULL};
    tycho_bytes got_key = {NULL, 0}, got_value = {NULL, 0};
    uint64_t rows = 0, count;
    int status = tycho__place_seek(r->g, table, &got_key, &got_value);
    int error = mdb_cursor_get(l->cursor, &key, &value, MDB_FIRST);
    for (; error == 0; rows++) {
        check_row(error, key, value, status, got_key, got_value);
        MDB_val found = key;
        check_seeks(r, l, table, found);
        got_key = tycho__bytes(found.mv_data, found.mv_size);
        ASSERT_STATUS(tycho__place_seek(r->g, table, &got_key, &got_value), TYCHO_OK);
        assert_int_equal(mdb_cursor_get(l->cursor, &found, &value, MDB_SET_KEY), 0);
        status = tycho__place_next(r->g, table, &got_key, &got_value);
        error = mdb_cursor_get(l->cursor, &key, &value, MDB_NEXT);
    }
    check_row(error, key, value, status, got_key, got_value);
    status = tycho__place_last(r->g, table, &got_key, &got_value);
    for (error = mdb_cursor_get(l->cursor, &key, &value, MDB_LAST); error == 0;
         error = mdb_cursor_get(l->cursor, &key, &value, MDB_PREV)) {
        check_row(error, key, value, status, got_key, got_value);
        status = tycho__place_previous(r->g, table, &got_key, &got_value);
    }
    check_row(error, key, value, status, got_key, got_value);
    ASSERT_STATUS(tycho__place_count(r->g, table, &count), TYCHO_OK);
    if (table != TYCHO__MAIN) assert_int_equal(count, rows);
}

static void what_is_read_is_what_lmdb_reads(void **state) {
    (void)state;
    lmdb l;
    assert_int_equal(mdb_env_create(&l.env), 0);
    assert_int_equal(mdb_env_set_maxdbs(l.env, 32), 0);
    assert_int_equal(mdb_env_open(l.env, path, MDB_NOTLS | MDB_RDONLY, 0600), 0);
    assert_int_equal(mdb_txn_begin(l.env, NULL, MDB_RDONLY, &l.txn), 0);
    for (int how = 0; how < 3; how++) {
        reading r = how == 2 ? open_large_reading() : open_reading(how == 1);
        assert_true(how < 2 || tycho__guard_is_large(r.guard));
        for (int i = 0; i < TYCHO__TABLES; i++) {
            MDB_dbi table;
            const char *name = i == TYCHO__MAIN ? NULL : tycho__table_name((unsigned)i);
            assert_int_equal(mdb_dbi_open(l.txn, name, 0, &table), 0);
            assert_int_equal(mdb_cursor_open(l.txn, table, &l.cursor), 0);
            check_table(&r, &l, (tycho__table)i);
            mdb_cursor_close(l.cursor);
        }
        close_reading(&r);
    }
    mdb_txn_abort(l.txn);
    mdb_env_close(l.env);
}

/* Stores of this size are large in builds for tests alone; asking is for no more than there is. */
static void a_large_file_is_read_as_it_is_asked_for(void **state) {
    (void)state;
    reading r = open_reading(false);
    bool is_large = false;
#if defined(TYCHO__LARGE_PAGES)
    is_large = r.f.pages >= TYCHO__LARGE_PAGES;
#endif
    assert_int_equal(tycho__guard_is_large(r.guard), is_large);
    assert_int_equal(tycho__guard_is_cold(r.guard), is_large);
    tycho__guard_read_around(r.guard, true);
    tycho__guard_read_around(r.guard, false);
    tycho__guard_ask(r.guard, r.f.pages - 1, 100);
    tycho__guard_ask(r.guard, r.f.pages + 5, 1);
    ASSERT_STATUS(walk_all(&r, TYCHO__EVENTS, true), TYCHO_NOT_FOUND);
    ASSERT_STATUS(walk_all(&r, TYCHO__EVENTS, false), TYCHO_NOT_FOUND);
    close_reading(&r);
}

/* ---------------------------------------------------------------- damage */

/* Every way to a key gives CORRUPT, again and again. */
static void check_corrupt(reading *r, tycho__table table, tycho_bytes key) {
    tycho_bytes value, found = key;
    for (int i = 0; i < 2; i++) {
        tycho__place_ask(r->g, table, key); /* says nothing */
        ASSERT_STATUS(tycho__place_get(r->g, table, key, &value), TYCHO_CORRUPT);
        ASSERT_STATUS(tycho__place_seek_back(r->g, table, &found, &value), TYCHO_CORRUPT);
        ASSERT_STATUS(tycho__place_seek(r->g, table, &found, &value), TYCHO_CORRUPT);
        ASSERT_STATUS(walk_all(r, table, true), TYCHO_CORRUPT);
        ASSERT_STATUS(walk_all(r, table, false), TYCHO_CORRUPT);
        assert_non_null(strstr(tycho_error(), tycho__table_name(table)));
    }
}

static void a_damaged_leaf_page_is_told_and_the_others_are_read(void **state) {
    (void)state;
    static const tycho__table tables[] = {TYCHO__EVENTS, TYCHO__ROWS};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        reading r = open_reading(false);
        uint64_t root = root_of(&r, tables[i]);
        tycho_bytes key = first_key_below(&r, root, 2), other = first_key_below(&r, root, 4), value;
        uint8_t *leaf = page_of(&r, child_of(page_of(&r, root), 2));
        tycho__store16(leaf + TYCHO__PAGE_HEAD + 2, 0xfffe); /* where the second node begins */
        check_corrupt(&r, tables[i], key);
        ASSERT_STATUS(tycho__place_get(r.g, tables[i], other, &value), TYCHO_OK);
        ASSERT_STATUS(tycho__place_look(r.g, tables[i], &key), TYCHO_CORRUPT);
        ASSERT_STATUS(tycho__place_look(r.g, tables[i], &key), TYCHO_CORRUPT);
        close_reading(&r);
    }
}

/* The page that it leads to was judged, by the way that is right. */
static void check_wrong_child(tycho__table table, uint64_t (*wrong)(reading *r, uint64_t root)) {
    reading r = open_reading(false);
    uint64_t root = root_of(&r, table);
    tycho_bytes key = first_key_below(&r, root, 2), other = first_key_below(&r, root, 4), value;
    ASSERT_STATUS(walk_all(&r, TYCHO__ROWS, true), TYCHO_NOT_FOUND);
    ASSERT_STATUS(walk_all(&r, TYCHO__EVENTS, true), TYCHO_NOT_FOUND);
    set_child(&r, root, 2, wrong(&r, root));
    check_corrupt(&r, table, key);
    ASSERT_STATUS(tycho__place_get(r.g, table, other, &value), TYCHO_OK);
    ASSERT_STATUS(tycho__place_look(r.g, table, &key), TYCHO_CORRUPT);
    close_reading(&r);
}

static uint64_t later_sister(reading *r, uint64_t root) {
    return child_of(page_of(r, root), 4);
}
static uint64_t earlier_sister(reading *r, uint64_t root) {
    return child_of(page_of(r, root), 1);
}
static uint64_t itself(reading *r, uint64_t root) {
    return (void)r, root;
}
static uint64_t head_page(reading *r, uint64_t root) {
    return (void)r, root & 1;
}
static uint64_t behind_file(reading *r, uint64_t root) {
    return (void)root, r->f.pages + 7;
}
static uint64_t far_away(reading *r, uint64_t root) {
    return (void)r, root | 1ull << 47;
}
static uint64_t other_table(reading *r, uint64_t root) {
    uint64_t rows = r->g->trees[TYCHO__ROWS].root, events = r->g->trees[TYCHO__EVENTS].root;
    return child_of(page_of(r, root == rows ? events : rows), 1);
}

static void a_branch_page_that_leads_elsewhere_is_told(void **state) {
    (void)state;
    static uint64_t (*const wrong[])(reading * r, uint64_t root) = {
        later_sister, earlier_sister, itself, head_page, behind_file, far_away, other_table};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        check_wrong_child(TYCHO__EVENTS, wrong[i]);
        check_wrong_child(TYCHO__ROWS, wrong[i]);
    }
}

/* A page that was good at its first visit, and is not at the next one. */
static void check_again(uint64_t marks_max, int expected) {
    reading r = open_marked(false, marks_max);
    ASSERT_STATUS(walk_all(&r, TYCHO__EVENTS, true), TYCHO_NOT_FOUND); /* the end */
    const tycho__place *place = &r.g->places[TYCHO__EVENTS];
    uint8_t *leaf = (uint8_t *)(uintptr_t)place->path[place->depth - 1].page;
    tycho__store16(leaf + 14, (uint16_t)r.f.page_size + 1); /* where its nodes begin */
    ASSERT_STATUS(walk_all(&r, TYCHO__EVENTS, true), expected);
    close_reading(&r);
}

static void pages_behind_the_marks_are_judged_at_each_visit(void **state) {
    (void)state;
    check_again(1 << 20, TYCHO_NOT_FOUND);
    check_again(1, TYCHO_CORRUPT);
}

/* The first event whose record is in overflow pages: its leaf's node. */
static uint8_t *find_big(reading *r, tycho_bytes *key) {
    tycho_bytes value;
    *key = tycho__bytes(NULL, 0);
    int status = tycho__place_seek(r->g, TYCHO__EVENTS, key, &value);
    for (; status == TYCHO_OK; status = tycho__place_next(r->g, TYCHO__EVENTS, key, &value)) {
        uint8_t *node = (uint8_t *)(uintptr_t)key->data - TYCHO__NODE_HEAD;
        if ((tycho__load16(node + 4) & TYCHO__NODE_BIG) != 0) return node;
    }
    fail_msg("no event is in overflow pages");
    return NULL;
}

static void check_value(void (*damage_it)(uint8_t *first, uint8_t *node), bool is_judged) {
    reading r = open_reading(false);
    tycho_bytes key, value;
    uint8_t *node = find_big(&r, &key);
    if (!is_judged) {
        tycho__guard_destroy(r.guard);
        r.guard =
            tycho__guard_create(r.f.bytes, r.f.size, (uint32_t)r.f.page_size, r.file, false, 0);
        ASSERT_STATUS(tycho__guard_begin(r.guard, r.commit, &r.g), TYCHO_OK);
    }
    uint64_t first = tycho__load64(node + TYCHO__NODE_HEAD + 8);
    damage_it(page_of(&r, first), node);
    ASSERT_STATUS(tycho__place_get(r.g, TYCHO__EVENTS, key, &value), TYCHO_CORRUPT);
    ASSERT_STATUS(walk_all(&r, TYCHO__EVENTS, true), TYCHO_CORRUPT);
    ASSERT_STATUS(walk_all(&r, TYCHO__EVENTS, false), TYCHO_CORRUPT);
    if (!is_judged) ASSERT_STATUS(tycho__place_look(r.g, TYCHO__EVENTS, &key), TYCHO_CORRUPT);
    close_reading(&r);
}

static void other_kind(uint8_t *first, uint8_t *node) {
    (void)node, tycho__store16(first + 10, 2);
}
static void other_page(uint8_t *first, uint8_t *node) {
    (void)node, first[0] ^= 1;
}
static void too_few(uint8_t *first, uint8_t *node) {
    (void)node, first[12]--;
}
static void too_many(uint8_t *first, uint8_t *node) {
    (void)node, memset(first + 12, 0xff, 4);
}
static void other_size(uint8_t *first, uint8_t *node) {
    (void)first, node[2]++;
}
static void no_page(uint8_t *first, uint8_t *node) {
    (void)first, memset(node + 16, 0xff, 8);
}
static void first_page(uint8_t *first, uint8_t *node) {
    (void)first, memset(node + 16, 0, 8);
}

static void overflow_pages_that_are_others_are_told(void **state) {
    (void)state;
    static void (*const ways[])(uint8_t * first, uint8_t * node) = {
        other_kind, other_page, too_few, too_many, other_size, no_page, first_page};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        check_value(ways[i], false);
        check_value(ways[i], true);
    }
}

static void who_writes_is_told_of_the_pages_beside_his(void **state) {
    (void)state;
    for (uint32_t beside = 1; beside <= 3; beside += 2) {
        reading r = open_reading(false);
        uint64_t root = root_of(&r, TYCHO__ROWS);
        tycho_bytes key = first_key_below(&r, root, 2), far = first_key_below(&r, root, 5), value;
        page_of(&r, child_of(page_of(&r, root), beside))[10] = 7;
        for (int i = 0; i < 2; i++) {
            ASSERT_STATUS(tycho__place_get(r.g, TYCHO__ROWS, key, &value), TYCHO_OK);
            r.g->places[TYCHO__ROWS].depth = 0; /* who writes does not read so */
            ASSERT_STATUS(tycho__place_look(r.g, TYCHO__ROWS, &key), TYCHO_CORRUPT);
            ASSERT_STATUS(tycho__place_look(r.g, TYCHO__ROWS, &key), TYCHO_CORRUPT);
            ASSERT_STATUS(tycho__place_look(r.g, TYCHO__ROWS, &far), TYCHO_OK);
        }
        close_reading(&r);
    }
}

/* All keys in their order, and before each one of another leaf page when `is_apart`. */
static void check_looks(tycho__table table, bool is_apart) {
    enum { DAMAGED = 3 };
    reading r = open_reading(false);
    uint64_t root = root_of(&r, table);
    const tycho_bytes far = first_key_below(&r, root, 0);
    page_of(&r, child_of(page_of(&r, root), DAMAGED))[12] ^= 1;
    for (uint32_t i = 0; i < tycho__node_count(page_of(&r, root)); i++) {
        uint8_t *leaf = good.bytes + child_of(page_of(&r, root), i) * good.page_size;
        bool is_beside = i + 1 >= DAMAGED && i <= DAMAGED + 1;
        for (uint32_t j = 0; j < tycho__node_count(leaf); j++) {
            uint8_t *node = node_of(leaf, j);
            tycho_bytes key = {node + TYCHO__NODE_HEAD, tycho__load16(node + 6)};
            if (is_apart) ASSERT_STATUS(tycho__place_look(r.g, table, &far), TYCHO_OK);
            ASSERT_STATUS(tycho__place_look(r.g, table, &key),
                          is_beside ? TYCHO_CORRUPT : TYCHO_OK);
        }
    }
    close_reading(&r);
}

static void who_writes_is_told_at_each_key_of_three_pages_and_no_other(void **state) {
    (void)state;
    check_looks(TYCHO__EVENTS, false);
    check_looks(TYCHO__EVENTS, true);
    check_looks(TYCHO__ROWS, false);
    check_looks(TYCHO__ROWS, true);
}

static void who_writes_is_told_of_both_ends(void **state) {
    (void)state;
    const tycho_bytes first = {NULL, 0};
    for (int is_last = 0; is_last < 2; is_last++) {
        reading r = open_reading(false);
        uint64_t root = root_of(&r, TYCHO__ROWS);
        uint32_t index = is_last ? tycho__node_count(page_of(&r, root)) - 1 : 0;
        page_of(&r, child_of(page_of(&r, root), index))[10] = 7;
        ASSERT_STATUS(tycho__place_look(r.g, TYCHO__ROWS, &first),
                      is_last ? TYCHO_OK : TYCHO_CORRUPT);
        ASSERT_STATUS(tycho__place_look(r.g, TYCHO__ROWS, NULL),
                      is_last ? TYCHO_CORRUPT : TYCHO_OK);
        close_reading(&r);
    }
}

static void damaged_roots_and_meta_pages_are_told(void **state) {
    (void)state;
    reading r = open_reading(false);
    tycho_bytes value, key = {NULL, 0};
    ASSERT_STATUS(tycho__place_get(r.g, TYCHO__MAIN, text("rows"), &value), TYCHO_OK);
    ((uint8_t *)(uintptr_t)value.data)[6] = 99; /* the depth */
    ASSERT_STATUS(tycho__place_seek(r.g, TYCHO__ROWS, &key, &value), TYCHO_CORRUPT);
    ASSERT_STATUS(tycho__place_last(r.g, TYCHO__ROWS, &key, &value), TYCHO_CORRUPT);
    ASSERT_STATUS(tycho__place_look(r.g, TYCHO__ROWS, NULL), TYCHO_CORRUPT);
    ASSERT_STATUS(tycho__place_last(r.g, TYCHO__EVENTS, &key, &value), TYCHO_OK);
    assert_true(tycho__guard_is_at(r.g, r.commit));
    ASSERT_STATUS(tycho__guard_begin(r.guard, r.commit + 2, &r.g), TYCHO_CORRUPT);
    assert_false(tycho__guard_is_at(r.g, r.commit));
    page_of(&r, r.commit & 1)[TYCHO__PAGE_HEAD] ^= 1;
    ASSERT_STATUS(tycho__guard_begin(r.guard, r.commit, &r.g), TYCHO_CORRUPT);
    close_reading(&r);
}

/* Bytes anywhere in branch, leaf and overflow pages: ASan sees what is read outside of the file. */
static void nothing_leads_out_of_the_file(void **state) {
    (void)state;
    uint64_t random = number_from("TYCHO_SEED", 1), corrupt = 0;
    for (int round = 0; round < RANDOM_ROUNDS; round++) {
        reading r = open_reading(false);
        for (int i = 0; i < DAMAGES;) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            uint64_t page = (random >> 33) % r.f.pages;
            if (r.f.facts[page].kind == PAGE_META || r.f.facts[page].kind == PAGE_FREE) continue;
            size_t place = (random >> 20) % (i % 2 == 0 ? 64 : r.f.page_size);
            page_of(&r, page)[place] = (uint8_t)(random >> 12);
            i++;
        }
        for (int i = 0; i < TYCHO__TABLES; i++) {
            int forward = walk_all(&r, (tycho__table)i, true);
            int backward = walk_all(&r, (tycho__table)i, false);
            assert_true(forward == TYCHO_NOT_FOUND || forward == TYCHO_CORRUPT);
            assert_true(backward == TYCHO_NOT_FOUND || backward == TYCHO_CORRUPT);
            corrupt += forward == TYCHO_CORRUPT;
        }
        close_reading(&r);
    }
    assert_true(corrupt > RANDOM_ROUNDS / 2);
}

/* The main table has the roots of the others. */
static void no_table_is_found_when_the_main_one_is_damaged(void **state) {
    (void)state;
    uint8_t number[8] = {1};
    const tycho_bytes first = tycho__bytes(number, sizeof number);
    reading r = open_reading(false);
    page_of(&r, r.g->trees[TYCHO__MAIN].root)[10] = 0; /* neither branch nor leaf */
    for (int i = 0; i < 2; i++) {
        tycho_bytes key = first, value;
        uint64_t count = 1;
        tycho__place_ask(r.g, TYCHO__EVENTS, first); /* says nothing */
        ASSERT_STATUS(tycho__place_get(r.g, TYCHO__EVENTS, first, &value), TYCHO_CORRUPT);
        ASSERT_STATUS(tycho__place_seek(r.g, TYCHO__EVENTS, &key, &value), TYCHO_CORRUPT);
        ASSERT_STATUS(tycho__place_seek_back(r.g, TYCHO__EVENTS, &key, &value), TYCHO_CORRUPT);
        ASSERT_STATUS(tycho__place_last(r.g, TYCHO__EVENTS, &key, &value), TYCHO_CORRUPT);
        ASSERT_STATUS(tycho__place_look(r.g, TYCHO__EVENTS, &key), TYCHO_CORRUPT);
        ASSERT_STATUS(tycho__place_count(r.g, TYCHO__EVENTS, &count), TYCHO_CORRUPT);
        assert_null(tycho__place_tree(r.g, TYCHO__EVENTS));
        assert_int_equal(count, 0);
    }
    close_reading(&r);
}

/* Whoever went nowhere yet goes to an end. */
static void going_on_from_nowhere_is_going_to_an_end(void **state) {
    (void)state;
    for (int is_forward = 0; is_forward < 2; is_forward++) {
        reading r = open_reading(false);
        tycho_bytes key, value, end, other;
        ASSERT_STATUS(is_forward ? tycho__place_next(r.g, TYCHO__ROWS, &key, &value)
                                 : tycho__place_previous(r.g, TYCHO__ROWS, &key, &value),
                      TYCHO_OK);
        end = tycho__bytes(NULL, 0);
        ASSERT_STATUS(is_forward ? tycho__place_seek(r.g, TYCHO__ROWS, &end, &other)
                                 : tycho__place_last(r.g, TYCHO__ROWS, &end, &other),
                      TYCHO_OK);
        assert_bytes(key, end);
        assert_bytes(value, other);
        close_reading(&r);
    }
}

static int make_good(void **state) {
    (void)state;
    if (make_directory(scratch) != 0) return -1;
    snprintf(path, sizeof path, "%s/store", scratch);
    if (full_store_make(path, number_from("TYCHO_SEED", 1), BATCHES) != TYCHO_OK) return -1;
    return fixture_read(&good, path);
}

static int remove_good(void **state) {
    (void)state;
    fixture_free(&good);
    return remove_directory(scratch);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_behind_the_marks_are_judged_at_each_visit),
        cmocka_unit_test(what_is_read_is_what_lmdb_reads),
        cmocka_unit_test(a_large_file_is_read_as_it_is_asked_for),
        cmocka_unit_test(a_damaged_leaf_page_is_told_and_the_others_are_read),
        cmocka_unit_test(a_branch_page_that_leads_elsewhere_is_told),
        cmocka_unit_test(overflow_pages_that_are_others_are_told),
        cmocka_unit_test(who_writes_is_told_of_the_pages_beside_his),
        cmocka_unit_test(who_writes_is_told_at_each_key_of_three_pages_and_no_other),
        cmocka_unit_test(who_writes_is_told_of_both_ends),
        cmocka_unit_test(damaged_roots_and_meta_pages_are_told),
        cmocka_unit_test(no_table_is_found_when_the_main_one_is_damaged),
        cmocka_unit_test(going_on_from_nowhere_is_going_to_an_end),
        cmocka_unit_test(nothing_leads_out_of_the_file),
    };
    return cmocka_run_group_tests(tests, make_good, remove_good);
}
