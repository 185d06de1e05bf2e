/* list_memory_test.c - the lists that a writer has in memory: those it did not look up yet are read
** ahead, with what is recent of them, and never where that would be wrong or in vain; of too many,
** some are forgotten. (Only builds with sanitizers keep so few that they forget some here.)
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "list.h"
#include "random_values.h"
#include "settle.h"
#include "store.h"
#include "store_values.h"

enum { STREAMS = 1500, DELETED = 5, BATCH = 50, BATCHES = 20, STRIDE = 29 };
enum { MANY = 17000 }; /* so many that they are fetched into the caches of the processor ahead */
_Static_assert(BATCH *BATCHES < STREAMS - DELETED, "not all streams are looked up");

typedef struct fixture {
    char path[DIRECTORY_SIZE];
    tycho_store *store;
    tycho_batch *batch;
    int64_t versions[STREAMS];
} fixture;

static void append(fixture *f, int stream, int64_t expected) {
    char name[32];
    const tycho_new_event event = {.type = text("t")};
    snprintf(name, sizeof name, "s-%d", stream);
    ASSERT_STATUS(tycho_batch_append(f->batch, text(name), expected, &event, 1, 0), TYCHO_OK);
}

/* A store with so few events that none is settled when it is closed, opened again. */
static int set_up(void **state) {
    fixture *f = calloc(1, sizeof *f);
    if (f == NULL || make_directory(f->path) != 0) return -1;
    *state = f;
    ASSERT_STATUS(open_store(f->path, TYCHO_CREATE, &f->store), TYCHO_OK);
    ASSERT_STATUS(tycho_batch_create(&f->batch), TYCHO_OK);
    for (int i = 0; i < DELETED; i++) {
        char name[32];
        snprintf(name, sizeof name, "s-%d", i);
        append(f, i, TYCHO_EXPECT_NONE);
        ASSERT_STATUS(tycho_batch_delete_stream(f->batch, text(name), 0), TYCHO_OK);
    }
    ASSERT_STATUS(tycho_commit(f->store, f->batch, NULL), TYCHO_OK);
    tycho_batch_clear(f->batch);
    for (int i = DELETED; i < STREAMS; i++) {
        append(f, i, TYCHO_EXPECT_NONE);
        append(f, i, TYCHO_EXPECT_ANY);
        f->versions[i] = 1;
    }
    ASSERT_STATUS(tycho_commit(f->store, f->batch, NULL), TYCHO_OK);
    tycho_store_close(f->store);
    return open_store(f->path, TYCHO_CREATE, &f->store);
}

static int tear_down(void **state) {
    fixture *f = *state;
    tycho_batch_destroy(f->batch);
    tycho_store_close(f->store);
    int status = remove_directory(f->path);
    free(f);
    return status;
}

/* Appends to BATCH streams that were not deleted, each at the version that it must have. */
static void append_anywhere(fixture *f) {
    int from = (int)below(STREAMS);
    tycho_batch_clear(f->batch);
    for (int i = 0; i < BATCH; i++) {
        int stream = DELETED + (from + i * STRIDE) % (STREAMS - DELETED);
        append(f, stream, f->versions[stream]++);
    }
    ASSERT_STATUS(tycho_commit(f->store, f->batch, NULL), TYCHO_OK);
}

static size_t kept_streams(fixture *f, bool deleted) {
    tycho__txn txn;
    size_t count = 0;
    ASSERT_STATUS(tycho__txn_write(f->store->env, TYCHO_SYNC_NONE, &txn), TYCHO_OK);
    for (uint32_t i = deleted ? 0 : DELETED; i < (deleted ? DELETED : STREAMS); i++) {
        count += tycho__list_kept(&txn, TYCHO__STREAM, i + 1) != NULL;
    }
    tycho__txn_abort(&txn);
    return count;
}

/* Test builds forget most of them. */
static void assert_kept(fixture *f, size_t expected) {
    size_t kept = kept_streams(f, false);
    if (TYCHO__KEPT_LISTS > STREAMS) {
        assert_int_equal(kept, expected);
    } else {
        assert_true(kept <= TYCHO__KEPT_LISTS);
    }
}

static void one_who_looks_up_many_soon_has_all(void **state) {
    fixture *f = *state;
    for (int i = 0; i < BATCHES; i++) append_anywhere(f);
    assert_kept(f, STREAMS - DELETED);
    assert_int_equal(kept_streams(f, true), 0);
    for (int i = 0; i < BATCHES; i++) append_anywhere(f);
    assert_clean(f->store);
}

static void nothing_is_read_ahead_where_others_write_in_between(void **state) {
    fixture *f = *state;
    for (int i = 0; i < BATCHES; i++) {
        append_anywhere(f);
        assert_true(kept_streams(f, false) <= BATCH);
        f->store->env->kept_sequence--; /* as if the last commit were that of another process */
    }
    assert_clean(f->store);
}

static void a_damaged_row_is_told_to_those_who_want_it(void **state) {
    fixture *f = *state;
    tycho__txn txn;
    uint8_t key[TYCHO__LIST_KEY];
    int stream = STREAMS / 2;
    ASSERT_STATUS(tycho__txn_write(f->store->env, TYCHO_SYNC_NONE, &txn), TYCHO_OK);
    ASSERT_STATUS(tycho__settle(&txn), TYCHO_OK); /* which wants it, too */
    tycho__list_key(key, TYCHO__STREAM, (uint32_t)stream + 1);
    ASSERT_STATUS(tycho__put(&txn, TYCHO__LISTS, tycho__bytes(key, sizeof key), text("damage")),
                  TYCHO_OK);
    ASSERT_STATUS(tycho__txn_commit(&txn), TYCHO_OK);
    for (int i = 0; i < BATCHES; i++) {
        tycho_batch_clear(f->batch);
        for (int k = 0; k < BATCH; k++) {
            append(f, STREAMS - 1 - (i * BATCH + k) % (STREAMS / 3), TYCHO_EXPECT_ANY);
        }
        ASSERT_STATUS(tycho_commit(f->store, f->batch, NULL), TYCHO_OK);
    }
    assert_kept(f, STREAMS - DELETED - 1);
    tycho_batch_clear(f->batch);
    append(f, stream, TYCHO_EXPECT_ANY);
    ASSERT_STATUS(tycho_commit(f->store, f->batch, NULL), TYCHO_CORRUPT);
}

/* A version of each of the streams whose names have 1, 2, 3 ... bytes. */
static void append_by_size(fixture *f, int64_t versions[TYCHO_NAME_MAX]) {
    char name[TYCHO_NAME_MAX];
    const tycho_new_event event = {.type = text("t")};
    size_t from = below(TYCHO_NAME_MAX);
    memset(name, 'n', sizeof name);
    tycho_batch_clear(f->batch);
    for (size_t i = 0; i < BATCH; i++) {
        size_t size = 1 + (from + i * STRIDE) % TYCHO_NAME_MAX;
        int64_t *version = &versions[size - 1];
        ASSERT_STATUS(tycho_batch_append(f->batch, bytes_of(name, size), *version, &event, 1, 0),
                      TYCHO_OK);
        *version = *version == TYCHO_EXPECT_NONE ? 0 : *version + 1;
    }
    ASSERT_STATUS(tycho_commit(f->store, f->batch, NULL), TYCHO_OK);
}

static void what_was_forgotten_is_looked_up_again(void **state) {
    fixture *f = *state;
    int64_t versions[TYCHO_NAME_MAX];
    for (size_t i = 0; i < TYCHO_NAME_MAX; i++) versions[i] = TYCHO_EXPECT_NONE;
    for (int i = 0; i < 3 * BATCHES; i++) {
        append_by_size(f, versions);
        append_anywhere(f);
    }
    assert_clean(f->store);
}

/* One operation with up to three events of up to three tags, in a stream or in none. */
static void append_some(fixture *f) {
    static const char *const names[] = {"red", "green", "blue"};
    tycho_bytes tags[3];
    tycho_new_event events[3];
    char name[32];
    size_t count = 1 + below(3);
    for (size_t i = 0; i < 3; i++) {
        tags[i] = text(names[i]);
        events[i] =
            (tycho_new_event){.type = text("t"), .tags = tags, .tag_count = (uint32_t)below(4)};
    }
    snprintf(name, sizeof name, "many-%d", (int)below(MANY));
    tycho_bytes stream = below(4) == 0 ? bytes_of(NULL, 0) : text(name);
    ASSERT_STATUS(tycho_batch_append(f->batch, stream, TYCHO_EXPECT_ANY, events, count, 0),
                  TYCHO_OK);
}

static void among_many_lists_each_event_enters_its_own(void **state) {
    fixture *f = *state;
    const tycho_new_event event = {.type = text("t")};
    for (int i = 0; i < MANY; i++) {
        char name[32];
        if (i % (MANY / 2) == 0) tycho_batch_clear(f->batch);
        snprintf(name, sizeof name, "many-%d", i);
        ASSERT_STATUS(tycho_batch_append(f->batch, text(name), TYCHO_EXPECT_NONE, &event, 1, 0),
                      TYCHO_OK);
        if ((i + 1) % (MANY / 2) > 0) continue;
        ASSERT_STATUS(tycho_commit(f->store, f->batch, NULL), TYCHO_OK);
    }
    for (int i = 0; i < BATCHES; i++) {
        tycho_batch_clear(f->batch);
        for (int k = 0; k < BATCH; k++) append_some(f);
        ASSERT_STATUS(tycho_commit(f->store, f->batch, NULL), TYCHO_OK);
        append_anywhere(f);
    }
    assert_clean(f->store);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(one_who_looks_up_many_soon_has_all),
        TEST(nothing_is_read_ahead_where_others_write_in_between),
        TEST(what_was_forgotten_is_looked_up_again),
        TEST(among_many_lists_each_event_enters_its_own),
        TEST(a_damaged_row_is_told_to_those_who_want_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
