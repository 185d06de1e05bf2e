/* verify_test.c - rows that are whole and contradict another: what verify says of each, and that a
** salvage loses no event by it. LMDB is used directly to write them. (Damaged pages and bytes are
** the matter of damage_test.c and salvage_test.c.)
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <fcntl.h>
#include <lmdb.h>
#include <sys/stat.h>

#include "list.h"
#include "store_values.h"

enum { EVENTS = 4, TEXT_SIZE = 4096 };

/* ---------------------------------------------------------------- a store, all in its tables */

/* e1 and e2 in "s" and, linked, in "links"; e3 in "s", e4 in "other", both of the type "u". */
static void build(tycho_batch *batch) {
    const tycho_bytes tags[] = {text("red"), text("blue")}, linked[] = {text("e1"), text("e2")};
    const tycho_new_event events[] = {
        {.id = text("e1"), .type = text("t"), .tag_count = 1, .tags = tags},
        {.id = text("e2"), .type = text("t"), .tag_count = 2, .tags = tags},
        {.id = text("e3"), .type = text("u"), .content_type = text("c")},
        {.id = text("e4"), .type = text("u")}};
    ASSERT_STATUS(tycho_batch_append(batch, text("s"), -1, events, 3, 0), TYCHO_OK);
    ASSERT_STATUS(tycho_batch_append(batch, text("other"), -1, &events[3], 1, 0), TYCHO_OK);
    ASSERT_STATUS(tycho_batch_link(batch, text("links"), -1, linked, 2, 0), TYCHO_OK);
    ASSERT_STATUS(tycho_batch_set_route(batch, text("r"), text("s"), 0), TYCHO_OK);
    ASSERT_STATUS(tycho_batch_put_row(batch, text("rows"), text("k"), text("v")), TYCHO_OK);
}

static void make_store(const char *path) {
    tycho_store *store;
    tycho_lock *lock;
    tycho_batch *batch;
    ASSERT_STATUS(open_store(path, TYCHO_CREATE, &store), TYCHO_OK);
    ASSERT_STATUS(tycho_batch_create(&batch), TYCHO_OK);
    build(batch);
    ASSERT_STATUS(tycho_commit(store, batch, NULL), TYCHO_OK);
    ASSERT_STATUS(tycho_lock_take(store, text("lock"), 0, &lock, NULL), TYCHO_OK);
    tycho_batch_clear(batch);
    ASSERT_STATUS(tycho_batch_expect_lock(batch, text("lock"), tycho_lock_token(lock)), TYCHO_OK);
    ASSERT_STATUS(tycho_batch_truncate(batch, text("s"), 0, 0), TYCHO_OK); /* settles all */
    ASSERT_STATUS(tycho_commit(store, batch, NULL), TYCHO_OK);
    tycho_lock_release(lock);
    tycho_batch_destroy(batch);
    assert_clean(store);
    tycho_store_close(store);
}

/* ---------------------------------------------------------------- what is written into it */

enum how {
    PUT,    /* a row with these bytes */
    CUT,    /* no such row */
    SET,    /* a number in a row, at a place, and the checksum that fits */
    RAISE_1 /* a number in a row is one more, with the checksum that fits */
};

typedef struct bytes {
    const char *data;
    size_t size;
} bytes;

#define BYTES(literal)                                                                             \
    { literal, sizeof(literal) - 1 }
#define STATE(how, field, number)                                                                  \
    {                                                                                              \
        how, TYCHO__MAIN, BYTES("state"), {NULL, 0}, offsetof(tycho__state, field),                \
            sizeof(((tycho__state *)0)->field), number                                             \
    }
#define LIST(kind, number, at, size, value)                                                        \
    { SET, TYCHO__LISTS, BYTES(kind "\0\0\0" number), {NULL, 0}, at, size, value }
#define RECORD(position, at, size, value)                                                          \
    { SET, TYCHO__EVENTS, BYTES(position "\0\0\0\0\0\0\0"), {NULL, 0}, at, size, value }
#define ROW(table, key, value)                                                                     \
    { PUT, table, BYTES(key), BYTES(value), 0, 0, 0 }
#define NO_ROW(table, key)                                                                         \
    { CUT, table, BYTES(key), {NULL, 0}, 0, 0, 0 }

typedef struct edit {
    enum how how;
    tycho__table table;
    bytes key, value;
    size_t at, size; /* of the number */
    uint64_t number;
} edit;

static void fit_checksum(const edit *e, uint8_t *row, size_t size) {
    if (e->table == TYCHO__MAIN) {
        size_t at = offsetof(tycho__state, checksum);
        tycho__store64(row + at, tycho__hash(row, at, 0));
    } else if (e->table == TYCHO__EVENTS) {
        tycho__store64(row, tycho__hash(row + 8, size - 8, 0));
    } else {
        const uint8_t *key = (const uint8_t *)e->key.data;
        uint64_t seed = (uint64_t)key[0] << 32 | tycho__unkey32(key + 1);
        tycho__store32(row, (uint32_t)tycho__hash(row + 4, size - 4, seed));
    }
}

static void set_number(MDB_txn *txn, MDB_dbi dbi, const edit *e, MDB_val key) {
    MDB_val found;
    uint8_t row[1024];
    uint64_t number = e->number;
    assert_int_equal(mdb_get(txn, dbi, &key, &found), 0);
    assert_true(found.mv_size <= sizeof row && e->at + e->size <= found.mv_size);
    memcpy(row, found.mv_data, found.mv_size);
    if (e->how == RAISE_1) number = tycho__load64(row + e->at) + 1;
    memcpy(row + e->at, &number, e->size);
    fit_checksum(e, row, found.mv_size);
    MDB_val changed = {found.mv_size, row};
    assert_int_equal(mdb_put(txn, dbi, &key, &changed, 0), 0);
}

static void apply(MDB_txn *txn, const edit *e) {
    static const char *const names[] = {
#define NAME(name, text) text,
        TYCHO__TABLE_MAP(NAME)
#undef NAME
    };
    MDB_dbi dbi;
    MDB_val key = {e->key.size, (void *)(uintptr_t)e->key.data};
    MDB_val value = {e->value.size, (void *)(uintptr_t)e->value.data};
    assert_int_equal(mdb_dbi_open(txn, names[e->table], 0, &dbi), 0);
    if (e->how == PUT) assert_int_equal(mdb_put(txn, dbi, &key, &value, 0), 0);
    if (e->how == CUT) assert_int_equal(mdb_del(txn, dbi, &key, NULL), 0);
    if (e->how == SET || e->how == RAISE_1) set_number(txn, dbi, e, key);
}

/* LMDB alone writes no seal (disk.h), so that the one of an earlier commit would not fit. */
static void blank_seals(const char *path) {
    static const uint8_t blank[64];
    char file[DIRECTORY_SIZE + 32];
    snprintf(file, sizeof file, "%s/data.mdb", path);
    int fd = open(file, O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, blank, sizeof blank, 256), sizeof blank);
    assert_int_equal(pwrite(fd, blank, sizeof blank, 4096 + 256), sizeof blank);
    close(fd);
}

static void contradict(const char *path, const edit *e) {
    MDB_env *env;
    MDB_txn *txn;
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_maxdbs(env, 32), 0);
    assert_int_equal(mdb_env_open(env, path, MDB_NOTLS, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    apply(txn, e);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
    blank_seals(path);
}

/* ---------------------------------------------------------------- what is said of it */

static void add_line(char all[TEXT_SIZE], tycho_bytes line) {
    size_t used = strlen(all);
    snprintf(all + used, TEXT_SIZE - used, "%.*s\n", (int)line.size, (const char *)line.data);
}

/* All findings of the store, a line each. */
static void verify(const char *path, char found[TEXT_SIZE]) {
    tycho_store *store;
    tycho_verification *verification;
    tycho_finding finding;
    int status;
    found[0] = '\0';
    ASSERT_STATUS(open_store(path, TYCHO_EXISTING, &store), TYCHO_OK);
    ASSERT_STATUS(tycho_verification_open(store, &verification), TYCHO_OK);
    while ((status = tycho_verification_step(verification, &finding)) == TYCHO_OK) {
        if (finding.text.size > 0) add_line(found, finding.text);
    }
    ASSERT_STATUS(status, TYCHO_END);
    tycho_verification_close(verification);
    tycho_store_close(store);
}

/* Every event is in the new store, which has no contradictions. */
static void check_salvage(const char *damaged, const char *path, const char *sentence) {
    static const char *const ids[EVENTS] = {"e1", "e2", "e3", "e4"};
    tycho_salvage *salvage;
    tycho_store *store;
    uint64_t position;
    ASSERT_STATUS(tycho_salvage_open(damaged, path, &salvage), TYCHO_OK);
    tycho_salvage_close(salvage);
    ASSERT_STATUS(open_store(path, TYCHO_EXISTING, &store), TYCHO_OK);
    for (uint64_t i = 0; i < EVENTS; i++) {
        if (tycho_event_position(store, text(ids[i]), &position) != TYCHO_OK || position != i + 1) {
            fail_msg("\"%s\": the salvage loses %s", sentence, ids[i]);
        }
    }
    assert_clean(store);
    tycho_store_close(store);
}

#define E1 "\1\0\0\0\0\0\0\0"

static const struct {
    edit edit;
    const char *sentence;
} cases[] = {
    {STATE(RAISE_1, links, 0), "3 links are counted, but there are 2, and 2 entries"},
    {STATE(RAISE_1, entries, 0), "7 entries in 3 streams are counted, but there are 6 in 3"},
    {STATE(RAISE_1, streams, 0), "6 entries in 4 streams are counted, but there are 6 in 3"},
    {STATE(RAISE_1, rows, 0), "2 rows, 1 routes and 0 deleted streams are counted, but there"},
    {STATE(RAISE_1, routes, 0), "1 rows, 2 routes and 0 deleted streams are counted"},
    {STATE(RAISE_1, garbage, 0), "1 rows, 1 routes and 1 deleted streams are counted"},
    {STATE(RAISE_1, scripts, 0), "1 scripts are counted, with rules of version 0, but there are 0"},
    {STATE(SET, rules, 7), "0 scripts are counted, with rules of version 7, but there are 0"},
    {STATE(SET, tokens, 0), "the lock \"lock\" was demanded with token"},
    {STATE(SET, sequence, 0), "a row has version"},
    {STATE(SET, dictionary, 1), "dictionary 1 compresses of 0"},
    {STATE(SET, dictionaries, 256), "dictionary 0 compresses of 256"},
    {ROW(TYCHO__IDS, "\0e1", "\2\0\0\0\0\0\0\0"), "the id of the event at position 1 leads to 2"},
    {ROW(TYCHO__IDS, "\0e1", "\2"), "an event id has no position"},
    {ROW(TYCHO__IDS, "\0e5", E1), "there are 4 records and 5 ids"},
    {NO_ROW(TYCHO__IDS, "\0e1"), "there are 4 records and 3 ids"},
    {NO_ROW(TYCHO__NAMES, "\2t"), "the name \"t\" (kind 2) does not lead to its list 1"},
    {ROW(TYCHO__NAMES, "\1s", "\2\0\0\0"), "the name \"s\" (kind 1) does not lead to its list 1"},
    {ROW(TYCHO__LISTS, "abc", "x"), "table lists has a key of 3 bytes that is none"},
    {ROW(TYCHO__LISTS, "\0\0\0\0\1", "x"), "table lists has a key of 5 bytes that is none"},
    {ROW(TYCHO__LISTS, "\6\0\0\0\1", "x"), "table lists has a key of 5 bytes that is none"},
    {ROW(TYCHO__LISTS, "\5\0\0\0\1", "x"), "the row of list 1 of kind 5 is damaged"},
    {NO_ROW(TYCHO__LISTS, "\5\0\0\0\1"), "names list 1 of kind 5, which does not exist"},
    {NO_ROW(TYCHO__LISTS, "\2\0\0\0\1"), "names list 1 of kind 2, which does not exist"},
    {NO_ROW(TYCHO__LISTS, "\1\0\0\0\1"), "names list 1 of kind 1, which does not exist"},
    {NO_ROW(TYCHO__LISTS, "\3\0\0\0\1"), "the lists of tags have 1 entries for 3 tags on events"},
    {LIST("\2", "\1", 8, 8, 3), "the list \"t\" (kind 2) counts 3 entries and has 2"},
    {LIST("\3", "\1", 4, 2, 200), "the row of list 1 of kind 3 has a tail of 200"},
    {LIST("\2", "\1", 48, 8, 1), "the list 1 of kind 2 has an entry of position 2, above its"},
    {LIST("\2", "\2", 57, 1, 4 * 1), "\"u\" (kind 2) has the event at position 1, which is not"},
    {LIST("\1", "\2", 61, 1, 4 * 1), "\"other\" (kind 1) has the event at position 1, which is"},
    {LIST("\1", "\2", 61, 1, 4 * 9), "list 2 of kind 1 has an entry of position 9, above its"},
    {LIST("\3", "\2", 60, 1, 4 * 1), "\"blue\" (kind 3) has the event at position 1, which is not"},
    {LIST("\1", "\1", 6, 1, TYCHO__LIST_DELETED), "are counted, but there are 3 in 2"},
    {RECORD("\1", 32, 4, 9), "the event at position 1 names list 9 of kind 1, which does not"},
    {RECORD("\1", 36, 4, 9), "the event at position 1 names list 9 of kind 2, which does not"},
    {RECORD("\1", 24, 8, 5), "\"s\" (kind 1) has the event at position 1, which is not of it"},
    {NO_ROW(TYCHO__LINKS, "\0\0\0\0\0\0\0\1\0\0\0\3\1"),
     "the link at revision 0 of the stream \"links\" has no right way back"},
    {ROW(TYCHO__LINKS, "\0\0\0\0\0\0\0\4\0\0\0\1", "\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0"),
     "the link of the event at position 4 into stream 1 has no entry"},
    {ROW(TYCHO__LINKS, "\0\0\0\0\0\0\0\4\0\0\0\7", "\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0"),
     "the link of the event at position 4 into stream 7 has no entry"},
    {ROW(TYCHO__LINKS, "abc", "x"), "a row of links with 3 and 1 bytes is damaged"},
    {ROW(TYCHO__ROUTES, "r", "r"), "the routes from \"r\" do not end"},
    {ROW(TYCHO__ROWS, "abc", "x"), "a row has a wrong checksum"},
    {ROW(TYCHO__ROWS, "\0\0\0\1k", "xxxxxxxxxxxxxxxxxxxx"), "a row has a wrong checksum"},
    {ROW(TYCHO__FENCES, "lock", "\0\0\0\0\1\0\0\0"), "was demanded with token 4294967296"},
    {ROW(TYCHO__FENCES, "lock", "\1"), "was demanded with token 0, but"},
    {ROW(TYCHO__GARBAGE, "\0\0\0\1", ""), "0 deleted streams are counted, but there are"},
    {ROW(TYCHO__PENDING, "abc", "x"), "a row of table pending has 3 and 1 bytes"},
    {ROW(TYCHO__PENDING, "\0\0\0\0\0\0\0\1", "x"), "a row of table pending has 8 and 1 bytes"},
    {ROW(TYCHO__PENDING, "\0\0\0\0\0\0\0\7", "xxxxxxxxxxxxxxxxxxxxxxxx"),
     "the row of link 7 in table pending is damaged"},
    {ROW(TYCHO__LINKS, "\0\0\0\0\0\0\0\0\0\0\0\1", "\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0"),
     "the link of the event at position 0 into stream 1 has no entry"},
    {ROW(TYCHO__LINKS, "\0\0\0\0\0\0\0\11\0\0\0\1", "\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0"),
     "the link of the event at position 9 into stream 1 has no entry"},
    {ROW(TYCHO__LINKS, "\0\0\0\0\0\0\0\4\0\0\0\1", "\0\0\0\0\1\0\0\0\1\0\0\0\0\0\0\0"),
     "the link of the event at position 4 into stream 1 has no entry"},
    {ROW(TYCHO__LINKS, "\0\0\0\0\0\0\0\4\0\0\0\1", "\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\xff"),
     "the link of the event at position 4 into stream 1 has no entry"},
    {ROW(TYCHO__LINKS, "\0\0\0\0\0\0\0\4\0\0\0\1\1", "\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0"),
     "a row of links with 13 and 16 bytes is damaged"},
    {ROW(TYCHO__LINKS, "\0\0\0\0\0\0\0\1\0\0\0\3", "\1\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0"),
     "the link of the event at position 1 into stream 3 has no entry"},
    {ROW(TYCHO__ROUTES, "\xff", "s"), "1 routes and 0 deleted streams are counted, but there are"},
    {ROW(TYCHO__ROUTES, "q", "\xff"), "1 routes and 0 deleted streams are counted, but there are"},
    {ROW(TYCHO__FENCES, "other", "\0\0\0\0\0\0\0\1"), "token 72057594037927936, but"},
    {ROW(TYCHO__GARBAGE, "abc", ""), "0 deleted streams are counted, but there are 1, 1 and 1"},
    {ROW(TYCHO__NAMES, "\2t", "\1\0"), "a name has no number"},
    {ROW(TYCHO__EVENTS, "\5\0\0\0\0\0\0\0", "x"), "there are 5 records and 4 ids"},
    {ROW(TYCHO__IDS, "\7e1", E1), "there are 4 records and 5 ids"},
    {LIST("\1", "\2", 61, 1, 0), "the list \"other\" (kind 1) counts 1 entries and has 0"},
    {LIST("\1", "\3", 8, 8, 9), "the list \"links\" (kind 1) counts 9 entries and has 2"},
    {RECORD("\1", 24, 8, 9), "\"s\" (kind 1) has the event at position 1, which is not of it"},
    {RECORD("\3", 24, 8, 0), "\"s\" (kind 1) has the event at position 3, which is not of it"},
    {STATE(RAISE_1, links_made, 0), "link 3 is not in table pending"},
    /* Nothing is read of these: a salvage looks at them. */
    {ROW(TYCHO__BLOCKS, "abc", "x"), ""},
    {ROW(TYCHO__BLOCKS, "\0\0\0\0\1\0\0\0\0\0\0\0\1", "x"), ""},
    {ROW(TYCHO__BLOCKS, "\6\0\0\0\1\0\0\0\0\0\0\0\1", "x"), ""},
    {ROW(TYCHO__BLOCKS, "\1\0\0\0\1\0\0\0\0\0\0\0\1", "x"), ""},
    {ROW(TYCHO__CHECKPOINTS, "c", "\1"), ""},
    {ROW(TYCHO__CHECKPOINTS, "c", "\0\0\0\0\0\0\0\1"), ""},
    {ROW(TYCHO__CHECKPOINTS, "\xff", E1), ""},
    {ROW(TYCHO__FENCES, "\xff", E1), ""},
    {ROW(TYCHO__STREAM_METADATA, "abc", "x"), ""},
    {ROW(TYCHO__STREAM_METADATA, "\0\0\0\11", "x"), ""},
    {ROW(TYCHO__STREAM_METADATA, "abcd", "x"), ""},
    {ROW(TYCHO__NAMES, "\2", "\1\0\0\0"), ""},
    {ROW(TYCHO__NAMES, "\0x", "\1\0\0\0"), ""},
    {ROW(TYCHO__NAMES, "\7x", "\1\0\0\0"), ""},
    {ROW(TYCHO__NAMES, "\2\xff", "\1\0\0\0"), ""},
    {ROW(TYCHO__NAMES, "\2x", "\1\0\0\0"), ""},
    {ROW(TYCHO__NAMES, "\2x", "\11\0\0\0"), ""},
};

static void each_contradiction_is_found_and_costs_no_event(void **state) {
    char directory[DIRECTORY_SIZE], path[DIRECTORY_SIZE + 16], saved[DIRECTORY_SIZE + 16];
    char found[TEXT_SIZE];
    (void)state;
    assert_int_equal(make_directory_in_memory(directory), 0);
    snprintf(path, sizeof path, "%s/store", directory);
    snprintf(saved, sizeof saved, "%s/saved", directory);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        make_store(path);
        contradict(path, &cases[i].edit);
        verify(path, found);
        if (strstr(found, cases[i].sentence) == NULL) {
            fail_msg("\"%s\" is not said, but: %s", cases[i].sentence, found);
        }
        check_salvage(path, saved, cases[i].sentence);
        remove_directory(path);
        remove_directory(saved);
    }
    remove_directory(directory);
}

/* It would be refused by an assertion, or worse, when what is settled goes on. */
static void a_state_with_more_settled_than_there_is_is_refused(void **state) {
    static const edit edits[] = {
        STATE(RAISE_1, settled, 0),
        STATE(SET, settling, 1),
        STATE(SET, settling, UINT64_MAX),
        STATE(RAISE_1, links_settled, 0),
        STATE(SET, links_settling, 1),
        STATE(SET, links_settling, UINT64_MAX),
    };
    char directory[DIRECTORY_SIZE], path[DIRECTORY_SIZE + 16], saved[DIRECTORY_SIZE + 16];
    tycho_store *store;
    (void)state;
    assert_int_equal(make_directory_in_memory(directory), 0);
    snprintf(path, sizeof path, "%s/store", directory);
    snprintf(saved, sizeof saved, "%s/saved", directory);
    for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
        make_store(path);
        contradict(path, &edits[i]);
        ASSERT_STATUS(open_store(path, TYCHO_EXISTING, &store), TYCHO_CORRUPT);
        assert_non_null(strstr(tycho_error(), "links settled, of 4 and 2"));
        check_salvage(path, saved, "links settled");
        remove_directory(path);
        remove_directory(saved);
    }
    remove_directory(directory);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_state_with_more_settled_than_there_is_is_refused),
        cmocka_unit_test(each_contradiction_is_found_and_costs_no_event),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
