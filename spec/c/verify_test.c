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

/* Events 1 to 300 are in "long", the first 200 in "linked", too. 5,000 more were in "gone". */
static void make_long_store(const char *path) {
    tycho_store *store;
    tycho_batch *batch;
    char id[8];
    const tycho_bytes tag = text("x");
    ASSERT_STATUS(open_store(path, TYCHO_CREATE, &store), TYCHO_OK);
    ASSERT_STATUS(tycho_batch_create(&batch), TYCHO_OK);
    for (int i = 1; i <= 5300; i++) {
        snprintf(id, sizeof id, "e%d", i);
        const tycho_new_event event = {.id = text(id),
                                       .type = i <= 300 ? text("l") : text("g"),
                                       .tag_count = i <= 300,
                                       .tags = &tag};
        tycho_bytes stream = i <= 300 ? text("long") : text("gone"), linked = text(id);
        ASSERT_STATUS(tycho_batch_append(batch, stream, -1, &event, 1, 0), TYCHO_OK);
        if (i > 200) continue;
        ASSERT_STATUS(tycho_batch_link(batch, text("linked"), -1, &linked, 1, 0), TYCHO_OK);
    }
    ASSERT_STATUS(tycho_commit(store, batch, NULL), TYCHO_OK);
    tycho_batch_clear(batch);
    ASSERT_STATUS(tycho_batch_delete_stream(batch, text("gone"), 0), TYCHO_OK);
    ASSERT_STATUS(tycho_commit(store, batch, NULL), TYCHO_OK);
    tycho_batch_destroy(batch);
    assert_clean(store);
    tycho_store_close(store);
}

/* ---------------------------------------------------------------- what is written into it */

enum how {
    PUT,    /* a row with these bytes */
    SEAL,   /* the same, with the checksum that fits in the room for it */
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
#define BLOCK(kind, number, base, entries)                                                         \
    {                                                                                              \
        SEAL, TYCHO__BLOCKS, BYTES(kind "\0\0\0" number "\0\0\0\0\0\0\0" base),                   \
            BYTES("....\1\0" entries), 0, 0, 0                                                     \
    }
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
        if (e->table == TYCHO__BLOCKS) seed ^= tycho__unkey64(key + TYCHO__LIST_KEY) << 8;
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

static void put_sealed(MDB_txn *txn, MDB_dbi dbi, const edit *e, MDB_val key) {
    uint8_t row[1024];
    assert_true(e->value.size <= sizeof row);
    memcpy(row, e->value.data, e->value.size);
    fit_checksum(e, row, e->value.size);
    MDB_val value = {e->value.size, row};
    assert_int_equal(mdb_put(txn, dbi, &key, &value, 0), 0);
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
    if (e->how == SEAL) put_sealed(txn, dbi, e, key);
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

/* Every event is in the new store, which has no contradictions. What is told of it comes back. */
static void salvage_all(const char *damaged, const char *path, const char *sentence,
                        char lines[TEXT_SIZE]) {
    static const char *const ids[EVENTS] = {"e1", "e2", "e3", "e4"};
    tycho_salvage *salvage;
    tycho_store *store;
    uint64_t position;
    tycho_bytes line;
    lines[0] = '\0';
    ASSERT_STATUS(tycho_salvage_open(damaged, path, &salvage), TYCHO_OK);
    while (tycho_salvage_next(salvage, &line) == TYCHO_OK) add_line(lines, line);
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

typedef struct contradiction {
    edit edit;
    const char *sentence; /* of verify */
    const char *told;     /* by a salvage; NULL: nothing, as nothing is lost by it */
} contradiction;

static const contradiction cases[] = {
    {STATE(RAISE_1, links, 0), "3 links are counted, but there are 2, and 2 entries", NULL},
    {STATE(RAISE_1, entries, 0), "7 entries in 3 streams are counted, but there are 6 in 3", NULL},
    {STATE(RAISE_1, streams, 0), "6 entries in 4 streams are counted, but there are 6 in 3", NULL},
    {STATE(RAISE_1, rows, 0), "2 rows, 1 routes and 0 deleted streams are counted, but there",
     "1 rows are lost"},
    {STATE(RAISE_1, routes, 0), "1 rows, 2 routes and 0 deleted streams are counted",
     "1 routes are lost"},
    {STATE(RAISE_1, garbage, 0), "1 rows, 1 routes and 1 deleted streams are counted", NULL},
    {STATE(RAISE_1, scripts, 0), "1 scripts are counted, with rules of version 0, but there are 0",
     NULL},
    {STATE(SET, rules, 7), "0 scripts are counted, with rules of version 7, but there are 0", NULL},
    {STATE(SET, tokens, 0), "the lock \"lock\" was demanded with token", NULL},
    {STATE(SET, sequence, 0), "the row of table 1, \"k\" has version 1, which is in the future",
     NULL},
    {STATE(SET, dictionary, 1), "dictionary 1 compresses of 0", NULL},
    {STATE(SET, dictionaries, 256), "dictionary 0 compresses of 256", NULL},
    {ROW(TYCHO__IDS, "\0e1", "\2\0\0\0\0\0\0\0"), "the id of the event at position 1 leads to 2",
     NULL},
    {ROW(TYCHO__IDS, "\0e1", "\2"), "an event id has no position", NULL},
    {ROW(TYCHO__IDS, "\0e5", E1), "there are 4 records and 5 ids", NULL},
    {NO_ROW(TYCHO__IDS, "\0e1"), "there are 4 records and 3 ids", NULL},
    {NO_ROW(TYCHO__NAMES, "\2t"), "the name \"t\" (kind 2) does not lead to its list 1", NULL},
    {ROW(TYCHO__NAMES, "\1s", "\2\0\0\0"), "the name \"s\" (kind 1) does not lead to its list 1",
     "the name of stream \"s\" led to list 2, which has another name"},
    {ROW(TYCHO__LISTS, "abc", "x"), "table lists has a key of 3 bytes that is none",
     "table lists: the row of \"abc\" is damaged"},
    {ROW(TYCHO__LISTS, "\0\0\0\0\1", "x"), "table lists has a key of 5 bytes that is none",
     "table lists: the row of list 1 is damaged"},
    {ROW(TYCHO__LISTS, "\6\0\0\0\1", "x"), "table lists has a key of 5 bytes that is none",
     "table lists: the row of list 1 is damaged"},
    {ROW(TYCHO__LISTS, "\5\0\0\0\1", "x"), "the row of list 1 of kind 5 is damaged",
     "table lists: the row of content type 1 is damaged"},
    {NO_ROW(TYCHO__LISTS, "\5\0\0\0\1"), "names list 1 of kind 5, which does not exist",
     "the name of content type \"c\" leads to list 1, whose row is lost"},
    {NO_ROW(TYCHO__LISTS, "\2\0\0\0\1"), "names list 1 of kind 2, which does not exist",
     "the name of type \"t\" leads to list 1, whose row is lost"},
    {NO_ROW(TYCHO__LISTS, "\1\0\0\0\1"), "names list 1 of kind 1, which does not exist",
     "the name of stream \"s\" leads to list 1, whose row is lost"},
    {NO_ROW(TYCHO__LISTS, "\3\0\0\0\1"), "the lists of tags have 1 entries for 3 tags on events",
     "the name of tag \"red\" leads to list 1, whose row is lost"},
    {LIST("\2", "\1", 8, 8, 3), "the list \"t\" (kind 2) counts 3 entries and has 2", NULL},
    {LIST("\3", "\1", 4, 2, 200), "the row of list 1 of kind 3 has a tail of 200",
     "table lists: the row of tag 1 is damaged"},
    {LIST("\2", "\1", 48, 8, 1), "the list 1 of kind 2 has an entry of position 2, above its",
     NULL},
    {LIST("\2", "\2", 57, 1, 4 * 1), "\"u\" (kind 2) has the event at position 1, which is not",
     NULL},
    {LIST("\1", "\2", 61, 1, 4 * 1), "\"other\" (kind 1) has the event at position 1, which is",
     "stream \"other\" loses revision 0: the event at position 1 is not of it"},
    {LIST("\1", "\2", 61, 1, 4 * 9), "list 2 of kind 1 has an entry of position 9, above its",
     "stream \"other\" loses revision 0: the event at position 9 is lost"},
    {LIST("\3", "\2", 60, 1, 4 * 1), "\"blue\" (kind 3) has the event at position 1, which is not",
     NULL},
    {LIST("\1", "\1", 6, 1, TYCHO__LIST_DELETED), "are counted, but there are 3 in 2",
     "the name of stream \"s\" led to list 1, which is deleted"},
    {RECORD("\1", 32, 4, 9), "the event at position 1 names list 9 of kind 1, which does not",
     "the name of number 9 of kind 1 is lost"},
    {RECORD("\1", 36, 4, 9), "the event at position 1 names list 9 of kind 2, which does not",
     "the name of number 9 of kind 2 is lost"},
    {RECORD("\1", 24, 8, 5), "\"s\" (kind 1) has the event at position 1, which is not of it",
     "stream \"s\" loses revision 0: the event at position 1 is not of it"},
    {NO_ROW(TYCHO__LINKS, "\0\0\0\0\0\0\0\1\0\0\0\3\1"),
     "the link at revision 0 of the stream \"links\" has no right way back", NULL},
    {ROW(TYCHO__LINKS, "\0\0\0\0\0\0\0\4\0\0\0\1", "\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0"),
     "the link of the event at position 4 into stream 1 has no entry",
     "stream \"s\" loses revision 0: the event at position 4 is not of it"},
    {ROW(TYCHO__LINKS, "\0\0\0\0\0\0\0\4\0\0\0\7", "\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0"),
     "the link of the event at position 4 into stream 7 has no entry",
     "the link of the event at position 4 into stream 7 is left out"},
    {ROW(TYCHO__LINKS, "abc", "x"), "a row of links with 3 and 1 bytes is damaged",
     "table links: the row of \"abc\" is damaged"},
    {ROW(TYCHO__ROUTES, "r", "r"), "the routes from \"r\" do not end",
     "the route \"r\" led in a circle"},
    {ROW(TYCHO__ROWS, "abc", "x"), "a row has a wrong checksum",
     "table rows: the row of \"abc\" is damaged"},
    {ROW(TYCHO__ROWS, "\0\0\0\1k", "xxxxxxxxxxxxxxxxxxxx"), "a row has a wrong checksum",
     "table rows: the row of table 1, \"k\" is damaged"},
    {ROW(TYCHO__FENCES, "lock", "\0\0\0\0\1\0\0\0"), "was demanded with token 4294967296", NULL},
    {ROW(TYCHO__FENCES, "lock", "\1"), "was demanded with token 0, but",
     "table fences: the row of \"lock\" is damaged"},
    {ROW(TYCHO__GARBAGE, "\0\0\0\1", ""), "0 deleted streams are counted, but there are", NULL},
    {ROW(TYCHO__PENDING, "abc", "x"), "a row of table pending has 3 and 1 bytes",
     "table pending: the row of \"abc\" is damaged"},
    {ROW(TYCHO__PENDING, "\0\0\0\0\0\0\0\1", "x"), "a row of table pending has 8 and 1 bytes",
     "table pending: the row of link 1 is damaged"},
    {ROW(TYCHO__PENDING, "\0\0\0\0\0\0\0\7", "xxxxxxxxxxxxxxxxxxxxxxxx"),
     "the row of link 7 in table pending is damaged",
     "table pending: the row of link 7 is damaged"},
    {ROW(TYCHO__LINKS, "\0\0\0\0\0\0\0\0\0\0\0\1", "\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0"),
     "the link of the event at position 0 into stream 1 has no entry",
     "the link of the event at position 0 into stream 1 is left out"},
    {ROW(TYCHO__LINKS, "\0\0\0\0\0\0\0\11\0\0\0\1", "\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0"),
     "the link of the event at position 9 into stream 1 has no entry",
     "the link of the event at position 9 into stream 1 is left out"},
    {ROW(TYCHO__LINKS, "\0\0\0\0\0\0\0\4\0\0\0\1", "\0\0\0\0\1\0\0\0\1\0\0\0\0\0\0\0"),
     "the link of the event at position 4 into stream 1 has no entry",
     "the link of the event at position 4 into stream 1 is left out"},
    {ROW(TYCHO__LINKS, "\0\0\0\0\0\0\0\4\0\0\0\1", "\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\xff"),
     "the link of the event at position 4 into stream 1 has no entry",
     "the link of the event at position 4 into stream 1 is left out"},
    {ROW(TYCHO__LINKS, "\0\0\0\0\0\0\0\4\0\0\0\1\1", "\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0"),
     "a row of links with 13 and 16 bytes is damaged",
     "table links: the row of position 4 in stream 1 is damaged"},
    {ROW(TYCHO__LINKS, "\0\0\0\0\0\0\0\1\0\0\0\3", "\1\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0"),
     "the link of the event at position 1 into stream 3 has no entry",
     "stream \"links\" loses revision 1: the event at position 1 is not of it"},
    {ROW(TYCHO__ROUTES, "q", "s"), "1 routes and 0 deleted streams are counted, but there are",
     NULL},
    {ROW(TYCHO__FENCES, "other", "\0\0\0\0\0\0\0\1"), "token 72057594037927936, but",
     "table fences: the row of \"other\" is damaged"},
    {ROW(TYCHO__GARBAGE, "abc", ""), "0 deleted streams are counted, but there are 1, 1 and 1",
     NULL},
    {ROW(TYCHO__EVENTS, "\5\0\0\0\0\0\0\0", "x"), "there are 5 records and 4 ids",
     "table events: the row of position 5 is damaged"},
    {ROW(TYCHO__IDS, "\7e1", E1), "there are 4 records and 5 ids", NULL},
    {LIST("\1", "\2", 61, 1, 0), "the list \"other\" (kind 1) counts 1 entries and has 0",
     "stream \"other\": its entries are lost in part, and made anew from its events; what wa"},
    {LIST("\1", "\3", 8, 8, 9), "the list \"links\" (kind 1) counts 9 entries and has 2",
     "stream \"links\": its entries are lost in part, and made anew from its events; what wa"},
    {RECORD("\1", 24, 8, 9), "\"s\" (kind 1) has the event at position 1, which is not of it",
     "stream \"s\" loses revision 0: the event at position 1 is not of it"},
    {RECORD("\3", 24, 8, 0), "\"s\" (kind 1) has the event at position 3, which is not of it",
     "stream \"s\" loses revision 2: the event at position 3 is not of it"},
    {STATE(RAISE_1, links_made, 0), "link 3 is not in table pending",
     "1 links that were not settled are lost"},
    {ROW(TYCHO__BLOCKS, "abc", "x"), "table blocks has a key of 3 bytes that is none",
     "table blocks: the row of \"abc\" is damaged"},
    {ROW(TYCHO__BLOCKS, "\0\0\0\0\1\0\0\0\0\0\0\0\1", "x"), "a key of 13 bytes that is none",
     "table blocks: the row of list 1 from 1 is damaged"},
    {ROW(TYCHO__BLOCKS, "\6\0\0\0\1\0\0\0\0\0\0\0\1", "x"), "a key of 13 bytes that is none",
     "table blocks: the row of list 1 from 1 is damaged"},
    {ROW(TYCHO__BLOCKS, "\4\0\0\0\1\0\0\0\0\0\0\0\1", "x"), "a key of 13 bytes that is none",
     "table blocks: the row of table 1 from 1 is damaged"},
    {ROW(TYCHO__BLOCKS, "\1\0\0\0\1\0\0\0\0\0\0\0\1", "x"),
     "the block from 1 on of list 1 of kind 1 is damaged",
     "table blocks: the row of stream 1 from 1 is damaged"},
    {BLOCK("\1", "\11", "\2", "\4"),
     "the block from 2 on is of list 9 of kind 1, which does not exist",
     "the name of number 9 of kind 1 is lost"},
    {BLOCK("\2", "\11", "\1", "\4"),
     "the block from 1 on is of list 9 of kind 2, which does not exist",
     "the block from 1 on is of list 9 of kind 2, which is lost"},
    {BLOCK("\1", "\1", "\0", "\4"),
     "the block from 0 on of the list \"s\" (kind 1) ends at 1, which does not fit between 0 and 0",
     "stream \"s\": its entries are lost in part, and made anew from its events; what was ta"},
    {BLOCK("\1", "\1", "\7", "\4"), "(kind 1) ends at 8, which does not fit between 0 and 0",
     "stream \"s\" loses revision 7: the event at position 1 is not of it"},
    {BLOCK("\2", "\1", "\2", "\4"), "\"t\" (kind 2) ends at 2, which does not fit between 0 and 1",
     NULL},
    {ROW(TYCHO__CHECKPOINTS, "c", "\1"),
     "the checkpoint \"c\" has 1 bytes instead of a position",
     "table checkpoints: the row of \"c\" is damaged"},
    {ROW(TYCHO__CHECKPOINTS, "c", "\0\0\0\0\0\0\0\0"), "the checkpoint \"c\" is at position 0",
     "table checkpoints: the row of \"c\" is damaged"},
    {ROW(TYCHO__CHECKPOINTS, "\xff", E1), "the checkpoint ff has a name that is none",
     "table checkpoints: the row of ff is damaged"},
    {ROW(TYCHO__FENCES, "\xff", E1), "the lock ff, which was demanded with token 1, has a name",
     "table fences: the row of ff is damaged"},
    {ROW(TYCHO__STREAM_METADATA, "abc", "x"), "stream_metadata has a key of 3 bytes that is none",
     "table stream_metadata: the row of \"abc\" is damaged"},
    {ROW(TYCHO__STREAM_METADATA, "\0\0\0\11", "x"), "of stream 9, which does not exist",
     "the metadata of stream 9 are left out: it is lost"},
    {ROW(TYCHO__STREAM_METADATA, "abcd", "x"), "of stream 1633837924, which does not exist",
     "table stream_metadata: the row of stream 1633837924 is damaged"},
    {ROW(TYCHO__STREAM_METADATA, "\0\0\0\1", ""), "the metadata of stream 1 are empty",
     "table stream_metadata: the row of stream 1 is damaged"},
    {ROW(TYCHO__ROUTES, "\xff", "s"), "the route ff leads to \"s\", and it is no name",
     "table routes: the row of ff is damaged"},
    {ROW(TYCHO__ROUTES, "q", "\xff"), "the route \"q\" leads to ff, and that is no name",
     "table routes: the row of \"q\" is damaged"},
    {ROW(TYCHO__ROUTES, "q", "\0"), "the route \"q\" leads to \"\", and that is no name",
     "table routes: the row of \"q\" is damaged"},
    {ROW(TYCHO__NAMES, "\2", "\1\0\0\0"), "table names has the key 02 (kind 2), which is no name",
     "table names: the row of 02 is damaged"},
    {ROW(TYCHO__NAMES, "\0x", "\1\0\0\0"), "the key list \"x\" (kind 0), which is no name",
     "table names: the row of list \"x\" is damaged"},
    {ROW(TYCHO__NAMES, "\7x", "\1\0\0\0"), "the key list \"x\" (kind 7), which is no name",
     "table names: the row of list \"x\" is damaged"},
    {ROW(TYCHO__NAMES, "\2\xff", "\1\0\0\0"), "the key type ff (kind 2), which is no name",
     "table names: the row of type ff is damaged"},
    {ROW(TYCHO__NAMES, "\2t", "\1\0"), "the name of type \"t\" has 2 bytes instead of a number",
     "table names: the row of type \"t\" is damaged"},
    {ROW(TYCHO__NAMES, "\2x", "\1\0\0\0"),
     "the name of type \"x\" leads to list 1, which has the name \"t\"",
     "the name of type \"x\" led to list 1, which has another name"},
    {ROW(TYCHO__NAMES, "\2x", "\11\0\0\0"),
     "the name of type \"x\" leads to list 9, which does not exist",
     "the name of type \"x\" leads to list 9, whose row is lost"},
    {ROW(TYCHO__NAMES, "\2x", "\0\0\0\0"), "\"x\" leads to list 0, which does not exist",
     "the name of type \"x\" leads to list 0, whose row is lost"},
    {NO_ROW(TYCHO__LISTS, "\4\0\0\0\1"), "1 lists of kind 4 were given a number, but there are 0",
     "the name of table \"rows\" leads to list 1, whose row is lost"},
    {NO_ROW(TYCHO__LISTS, "\4\0\0\0\1"), "the row of table 1, \"k\" is of no table",
     "the name of table \"rows\" leads to list 1, whose row is lost"},
    {STATE(RAISE_1, names[TYCHO__CONTENT], 0), "2 lists of kind 5 were given a number, but there",
     NULL},
    {STATE(SET, names[TYCHO__STREAM], 2), "list 3 of kind 1 has a number that was not given: 2",
     NULL},
    {ROW(TYCHO__LISTS, "\2\0\0\0\0", "x"), "table lists has a key of 5 bytes that is none",
     "table lists: the row of type 0 is damaged"},
    {LIST("\2", "\1", 6, 1, TYCHO__LIST_DELETED), "\"t\" (kind 2) is deleted, as only streams are",
     NULL},
    {LIST("\1", "\1", 6, 1, TYCHO__LIST_DELETED),
     "stream 1 is deleted and has 3 entries, but is not to be swept",
     "the name of stream \"s\" led to list 1, which is deleted"},
    {LIST("\1", "\1", 6, 1, TYCHO__LIST_DELETED),
     "the name of stream \"s\" leads to list 1, which is deleted",
     "the name of stream \"s\" led to list 1, which is deleted"},
    {LIST("\1", "\1", 40, 8, 7), "\"s\" (kind 1) says that position 7 is its last, and it is 3",
     NULL},
    {LIST("\1", "\1", 16, 8, 9), "begins with entry 0 and goes on with 9, but its last 3 begin",
     NULL},
    {LIST("\1", "\1", 24, 8, 4), "begins with entry 4 and goes on with 3, but its last 3 begin",
     "stream \"s\" has revision 0, but is cut off up to 4"},
    {LIST("\1", "\1", 24, 8, 1), "list 1 of kind 1 has the entry 0, but is cut off up to 1",
     "stream \"s\" has revision 0, but is cut off up to 1"},
    {LIST("\3", "\1", 40, 8, 7), "\"red\" (kind 3) says that position 7 is its last, and it is 2",
     NULL},
    {ROW(TYCHO__LINKS, "\0\0\0\0\0\0\0\1\0\0\0\3\1", ""), "is damaged",
     "table links: the row of position 1 in stream 3 is damaged"},
    {ROW(TYCHO__GARBAGE, "abc", ""), "table garbage has a key of 3 bytes that is none", NULL},
    {ROW(TYCHO__GARBAGE, "\0\0\0\11", E1), "stream 9 is to be swept, which does not exist", NULL},
    {ROW(TYCHO__GARBAGE, "\0\0\0\1", E1), "stream 1 is to be swept, which is not deleted", NULL},
    {ROW(TYCHO__MAIN, "stat", "x"), "the main table has a row \"stat\" of 1 bytes",
     "table (main): the row of \"stat\" is damaged"},
    {ROW(TYCHO__ROWS, "\0\0\0\1k", "xxxxxxxxxxxxxxxxxxxx"),
     "the row of table 1, \"k\" is damaged: a row has a wrong checksum",
     "table rows: the row of table 1, \"k\" is damaged"},
};

/* What long lists, and a deleted stream that is not swept, can have besides. */
static const contradiction long_cases[] = {
    {BLOCK("\1", "\1", "\100", "\4"),
     "\"long\" (kind 1) ends at 65, which does not fit between 128 and 256",
     "stream \"long\": its entries are lost in part"},
    {BLOCK("\2", "\1", "\100", "\200\2"),
     "\"l\" (kind 2) ends at 65, which does not fit between 129 and 257", NULL},
    {NO_ROW(TYCHO__BLOCKS, "\1\0\0\0\1\0\0\0\0\0\0\0\200"),
     "\"long\" (kind 1) counts 300 entries and has 172",
     "stream \"long\": its entries are lost in part"},
    {ROW(TYCHO__BLOCKS, "\1\0\0\0\1\0\0\0\0\0\0\0\200", "x"),
     "the list \"long\" (kind 1) cannot be read from entry 128 on: a block of stream entries is",
     "table blocks: the row of stream 1 from 128 is damaged"},
    {ROW(TYCHO__BLOCKS, "\1\0\0\0\1\0\0\0\0\0\0\0\200", "x"),
     "the block from 128 on of list 1 of kind 1 is damaged",
     "stream \"long\": its entries are lost in part"},
    {NO_ROW(TYCHO__GARBAGE, "\0\0\0\3"),
     "the block from 4224 on is of list 3 of kind 1, which is deleted and swept", NULL},
    {NO_ROW(TYCHO__GARBAGE, "\0\0\0\3"),
     "stream 3 is deleted and has 5000 entries, but is not to be swept", NULL},
    {ROW(TYCHO__GARBAGE, "\0\0\0\3", E1), "stream 3 is to be swept of 1 entries, but has 5000",
     NULL},
    {ROW(TYCHO__STREAM_METADATA, "\0\0\0\3", "x"), "metadata of stream 3, which is deleted",
     "the metadata of stream 3 are left out: it is deleted"},
    {ROW(TYCHO__LINKS, "\0\0\0\0\0\0\0\1\0\0\0\2", "\0\0\0\0\0\0\0\0\311\0\0\0\0\0\0\0"),
     "the link of the event at position 1 into stream 2 has number 201, of 200", NULL},
};

static int check_case(const contradiction *c, void (*make)(const char *path), const char *path,
                      const char *saved) {
    char found[TEXT_SIZE], told[TEXT_SIZE];
    int failures = 0;
    make(path);
    contradict(path, &c->edit);
    verify(path, found);
    if (strstr(found, c->sentence) == NULL) {
        print_error("\"%s\" is not said, but: %s\n", c->sentence, found);
        failures++;
    }
    salvage_all(path, saved, c->sentence, told);
    if (c->told != NULL ? strstr(told, c->told) == NULL : told[0] != '\0') {
        print_error("\"%s\": the salvage does not say \"%s\", but: %s\n", c->sentence,
                    c->told != NULL ? c->told : "", told);
        failures++;
    }
    remove_directory(path);
    remove_directory(saved);
    return failures;
}

static void each_contradiction_is_found_and_costs_no_event(void **state) {
    char directory[DIRECTORY_SIZE], path[DIRECTORY_SIZE + 16], saved[DIRECTORY_SIZE + 16];
    int failures = 0;
    (void)state;
    assert_int_equal(make_directory_in_memory(directory), 0);
    snprintf(path, sizeof path, "%s/store", directory);
    snprintf(saved, sizeof saved, "%s/saved", directory);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        failures += check_case(&cases[i], make_store, path, saved);
    }
    for (size_t i = 0; i < sizeof long_cases / sizeof *long_cases; i++) {
        failures += check_case(&long_cases[i], make_long_store, path, saved);
    }
    remove_directory(directory);
    assert_int_equal(failures, 0);
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
    char told[TEXT_SIZE];
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
        salvage_all(path, saved, "links settled", told);
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
