/* compress_damage_test.c - frames that are damaged, though their records have right checksums, and
** dictionaries that are lost: what can be read is read, the rest is told, and nothing ends the
** process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "compress_values.h"

enum { VALUES = 6, HURT = FILLED + 5, LAST = FILLED + 20 };

/* A store with some compressed events behind those that were learnt from. */
static void make(fixture *f) {
    fill(f->store, 1, FILLED);
    learn(f->store);
    fill(f->store, FILLED + 1, LAST);
}

static uint8_t *copy_record(tycho_store *store, uint64_t position, size_t *size) {
    tycho__txn *txn;
    tycho_bytes record;
    ASSERT_STATUS(tycho__txn_read(store->env, &txn), TYCHO_OK);
    ASSERT_STATUS(tycho__get_event(txn, position, &record), TYCHO_OK);
    uint8_t *copy = exact_copy(record.data, record.size);
    *size = record.size;
    tycho__txn_done(txn);
    return copy;
}

static void seal(uint8_t *record, size_t size) {
    tycho__store64(record, tycho__hash(record + 8, size - 8, 0));
}

static void touch(tycho_bytes bytes) {
    if (bytes.size > 0) assert_int_not_equal(tycho__hash(bytes.data, bytes.size, 0), 0);
}

/* Reads a record as cursors do; what it has is touched to its last byte. */
static int read_record(tycho_store *store, tycho__txn *txn, tycho_bytes record) {
    tycho__event_view event;
    tycho__buffer room = {NULL, 0, 0};
    int status = tycho__record_read(record, HURT, &event);
    if (status == TYCHO_OK) status = tycho__dictionary_need(txn, &event);
    if (status == TYCHO_OK) status = tycho__decompress(store->env, &event, &room);
    if (status == TYCHO_OK) touch(event.metadata);
    if (status == TYCHO_OK) touch(event.data);
    tycho__buffer_free(&room);
    return status;
}

static void no_byte_of_a_record_ends_the_process(void **state) {
    fixture *f = *state;
    tycho__txn *txn;
    size_t size;
    unsigned refused = 0, told = 0;
    make(f);
    uint8_t *good = copy_record(f->store, HURT, &size);
    ASSERT_STATUS(tycho__txn_read(f->store->env, &txn), TYCHO_OK);
    ASSERT_STATUS(read_record(f->store, txn, bytes_of(good, size)), TYCHO_OK);
    for (size_t at = 40; at < size; at++) {
        for (unsigned i = 0; i < VALUES; i++) {
            uint8_t *hurt = exact_copy(good, size);
            hurt[at] = i == 0 ? 0xff : i == 1 ? 0 : (uint8_t)(hurt[at] ^ 1u << (i + at) % 8);
            seal(hurt, size);
            int status = read_record(f->store, txn, bytes_of(hurt, size));
            assert_true(status == TYCHO_OK || status == TYCHO_CORRUPT);
            refused += status == TYCHO_CORRUPT;
            told += status == TYCHO_CORRUPT && strstr(tycho_error(), "position 405") != NULL;
            free(hurt);
        }
    }
    for (size_t cut = TYCHO__RECORD_FIXED; cut < size; cut++) {
        uint8_t *hurt = exact_copy(good, cut);
        seal(hurt, cut);
        ASSERT_STATUS(read_record(f->store, txn, bytes_of(hurt, cut)), TYCHO_CORRUPT);
        free(hurt);
    }
    assert_true(refused > 100);
    assert_true(told > 100);
    tycho__txn_done(txn);
    free(good);
}

/* The header of the frame claims more than an event may have, or another dictionary. */
static void a_frame_cannot_claim_what_it_likes(void **state) {
    static const uint8_t huge[] = {0x28, 0xb5, 0x2f, 0xfd, 0xa1, 1, 0xff, 0xff, 0xff, 0x7f};
    static const uint8_t other[] = {0x28, 0xb5, 0x2f, 0xfd, 0x21, 9, 60, 0xff, 0xff, 0x7f};
    static const uint8_t none[] = {0x28, 0xb5, 0x2f, 0xfd, 0x20, 60, 0x03, 0, 0, 0};
    const uint8_t *const heads[] = {huge, other, none};
    fixture *f = *state;
    tycho__txn *txn;
    size_t size;
    make(f);
    uint8_t *record = copy_record(f->store, HURT, &size);
    ASSERT_STATUS(tycho__txn_read(f->store->env, &txn), TYCHO_OK);
    uint8_t *frame = memmem(record, size, "\x28\xb5\x2f\xfd", 4);
    assert_non_null(frame);
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        memcpy(frame, heads[i], sizeof huge);
        seal(record, size);
        ASSERT_STATUS(read_record(f->store, txn, bytes_of(record, size)), TYCHO_CORRUPT);
    }
    tycho__txn_done(txn);
    free(record);
}

static void a_damaged_event_is_told_and_passed(void **state) {
    fixture *f = *state;
    const tycho_read read = {.size = sizeof read};
    tycho_cursor *cursor;
    tycho_event event;
    tycho__txn txn;
    size_t size;
    uint8_t *to;
    unsigned bad = 0;
    make(f);
    uint8_t *good = copy_record(f->store, HURT, &size);
    uint8_t *hurt = exact_copy(good, size);
    memset(hurt + size - 20, 0x55, 20);
    seal(hurt, size);
    for (int i = 0; i < 2; i++) {
        ASSERT_STATUS(tycho__txn_write(f->store->env, TYCHO_SYNC_NONE, &txn), TYCHO_OK);
        ASSERT_STATUS(tycho__put_event(&txn, HURT, size, &to), TYCHO_OK);
        memcpy(to, i == 0 ? hurt : good, size);
        ASSERT_STATUS(tycho__txn_commit(&txn), TYCHO_OK);
        if (i == 1) break;
        ASSERT_STATUS(tycho_cursor_open(f->store, &read, &cursor), TYCHO_OK);
        for (unsigned n = 1; n <= LAST; n++) {
            int status = tycho_cursor_next(cursor, &event);
            bad += status != TYCHO_OK;
            if (status == TYCHO_OK) assert_is(&event, n);
            if (status != TYCHO_OK) assert_non_null(strstr(tycho_error(), "position 405"));
        }
        ASSERT_STATUS(tycho_cursor_next(cursor, &event), TYCHO_END);
        tycho_cursor_close(cursor);
        assert_int_equal(bad, 1);
        assert_int_equal(count_findings(f->store), 1);
    }
    free(good);
    free(hurt);
}

/* ---------------------------------------------------------------- lost dictionaries */

static uint32_t dictionary_table(tycho__txn *txn) {
    uint32_t table;
    ASSERT_STATUS(tycho__list_find(txn, TYCHO__ROW_TABLE, tycho__dictionaries(), &table), TYCHO_OK);
    return table;
}

static void one_copy_is_enough(void **state) {
    fixture *f = *state;
    make(f);
    remove_copy(f->store, 0);
    reopen(f);
    assert_log(f->store, NULL, LAST);
    fill(f->store, LAST + 1, LAST + 10);
    assert_int_equal(count_stored(f->store).compressed, LAST + 10 - FILLED);
    assert_log(f->store, NULL, LAST + 10);
}

/* A copy whose row has a right checksum, but is no dictionary. */
static void a_copy_that_is_none_is_passed(void **state) {
    fixture *f = *state;
    const uint8_t rest[2] = {1, 0};
    uint8_t bytes[TYCHO__ROW_KEY_MAX];
    tycho__buffer row = {NULL, 0, 0};
    tycho__txn txn;
    make(f);
    ASSERT_STATUS(tycho__txn_write(f->store->env, TYCHO_SYNC_NONE, &txn), TYCHO_OK);
    tycho_bytes key = {bytes, tycho__row_key(bytes, dictionary_table(&txn), bytes_of(rest, 2))};
    ASSERT_STATUS(tycho__row_encode(&row, key, 1, text("none")), TYCHO_OK);
    ASSERT_STATUS(tycho__put(&txn, TYCHO__ROWS, key, tycho__buffer_bytes(&row)), TYCHO_OK);
    ASSERT_STATUS(tycho__txn_commit(&txn), TYCHO_OK);
    tycho__buffer_free(&row);
    reopen(f);
    assert_log(f->store, NULL, LAST);
}

static void without_its_dictionary_an_event_is_told_and_new_ones_are_plain(void **state) {
    fixture *f = *state;
    const tycho_read read = {.size = sizeof read, .limit = FILLED + 1};
    tycho_cursor *cursor;
    tycho_event event;
    uint64_t version;
    make(f);
    remove_copy(f->store, 0);
    remove_copy(f->store, 1);
    assert_log(f->store, NULL, LAST);           /* this process has it in memory */
    assert_true(count_findings(f->store) >= 1); /* but says so */
    reopen(f);
    ASSERT_STATUS(tycho_cursor_open(f->store, &read, &cursor), TYCHO_OK);
    for (unsigned n = 1; n <= FILLED; n++) {
        ASSERT_STATUS(tycho_cursor_next(cursor, &event), TYCHO_OK);
        assert_is(&event, n);
    }
    ASSERT_STATUS(tycho_cursor_next(cursor, &event), TYCHO_CORRUPT);
    tycho_cursor_close(cursor);
    assert_true(count_findings(f->store) >= LAST - FILLED);
    version = count_stored(f->store).plain;
    fill(f->store, LAST + 1, LAST + 10);
    assert_int_equal(count_stored(f->store).plain, version + 10);
    tycho_store_close(f->store); /* it does not verify clean */
    f->store = NULL;
}

/* ---------------------------------------------------------------- salvage */

static void salvage(fixture *f, const char *path, tycho_salvaged *salvaged) {
    tycho_salvage *salvage;
    tycho_store_close(f->store);
    f->store = NULL;
    ASSERT_STATUS(tycho_salvage_open(f->path, path, &salvage), TYCHO_OK);
    ASSERT_STATUS(tycho_salvage_get(salvage, salvaged), TYCHO_OK);
    tycho_salvage_close(salvage);
}

/* Salvages the store, and opens what was saved in its place. */
static void salvage_and_open(fixture *f, tycho_salvaged *salvaged) {
    char path[DIRECTORY_SIZE + 16];
    snprintf(path, sizeof path, "%s/saved", f->directory);
    salvage(f, path, salvaged);
    ASSERT_STATUS(open_store(path, TYCHO_EXISTING, &f->store), TYCHO_OK);
}

static void salvage_saves_dictionaries_and_what_they_compressed(void **state) {
    fixture *f = *state;
    tycho_salvaged salvaged;
    make(f);
    learn(f->store);
    fill(f->store, LAST + 1, LAST + 10);
    remove_copy(f->store, 1);
    salvage_and_open(f, &salvaged);
    assert_int_equal(salvaged.events, LAST + 10);
    assert_int_equal(stats_of(f->store).dictionary, 2);
    assert_int_equal(stats_of(f->store).format, TYCHO__FORMAT_COMPRESSED);
    assert_log(f->store, NULL, LAST + 10);
    fill(f->store, LAST + 11, LAST + 20);
    assert_int_equal(count_stored(f->store).compressed, LAST + 20 - FILLED);
    learn(f->store);
    assert_int_equal(stats_of(f->store).dictionary, 3);
}

/* Damages all that looks like dictionary 1 in the file, also where nothing leads to it any more.
** How many places there were. */
static unsigned damage_dictionaries(const char *path) {
    static const uint8_t head[] = {0x37, 0xa4, 0x30, 0xec, 1, 0, 0, 0};
    char file[DIRECTORY_SIZE + 32];
    struct stat facts;
    unsigned count = 0;
    snprintf(file, sizeof file, "%s/data.mdb", path);
    int fd = open(file, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0 && fstat(fd, &facts) == 0);
    size_t size = (size_t)facts.st_size;
    uint8_t *image = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_true(image != MAP_FAILED);
    for (uint8_t *at = image; at != NULL; count += at != NULL) {
        at = memmem(at, size - (size_t)(at - image), head, sizeof head);
        if (at != NULL) memset(at + 4, 0x55, 60);
    }
    assert_int_equal(munmap(image, size), 0);
    close(fd);
    return count;
}

static void salvage_takes_an_event_without_dictionary_for_lost(void **state) {
    fixture *f = *state;
    tycho_salvaged salvaged;
    make(f);
    fill(f->store, LAST + 1, LAST + 200);
    tycho_store_close(f->store);
    assert_true(damage_dictionaries(f->path) >= TYCHO__DICTIONARY_COPIES);
    ASSERT_STATUS(open_store(f->path, TYCHO_EXISTING, &f->store), TYCHO_OK);
    assert_true(count_findings(f->store) > 200);
    salvage_and_open(f, &salvaged);
    assert_int_equal(salvaged.events_lost, 220);
    assert_int_equal(salvaged.events, FILLED);
    assert_true(salvaged.findings > 0);
    assert_int_equal(stats_of(f->store).dictionary, 0);
    assert_int_equal(stats_of(f->store).format, TYCHO__FORMAT_IDS);
    assert_int_equal(count_stored(f->store).compressed, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(no_byte_of_a_record_ends_the_process),
        TEST(a_frame_cannot_claim_what_it_likes),
        TEST(a_damaged_event_is_told_and_passed),
        TEST(one_copy_is_enough),
        TEST(a_copy_that_is_none_is_passed),
        TEST(without_its_dictionary_an_event_is_told_and_new_ones_are_plain),
        TEST(salvage_saves_dictionaries_and_what_they_compressed),
        TEST(salvage_takes_an_event_without_dictionary_for_lost),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
