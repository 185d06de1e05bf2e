/* disk_test.c - one flush a commit, and what a power cut may leave of it (engine/disk.h).
**
** A process commits and ends without closing; then pages of its last commit get back what they held
** before, as if they had not arrived. The functions that write and flush are defined here; the
** linker exports them, so that the engine calls them.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "disk.h"
#include "store_values.h"

enum { PAGE = 4096, FIELDS = 32, FIELDS_END = 152, SEAL = 256, SEAL_END = 296, KIND = SEAL + 16 };

typedef struct fixture {
    char directory[DIRECTORY_SIZE];
    char path[DIRECTORY_SIZE + 16];
    char file[DIRECTORY_SIZE + 32];
} fixture;

typedef struct image {
    uint8_t *bytes;
    size_t size;
} image;

static long flushes;
static bool is_cut; /* no flush comes back any more: the process ends in it */
static long refused = -1; /* writes of zeros alone, for which the disk has no room; -1: it has */

__attribute__((visibility("default"))) int fdatasync(int fd) {
    if (is_cut) _exit(0);
    flushes++;
    return (int)syscall(SYS_fdatasync, fd);
}

static bool is_zero(const uint8_t *bytes, size_t size) {
    return size > 0 && bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0;
}

__attribute__((visibility("default"))) ssize_t pwrite(int fd, const void *data, size_t size,
                                                      off_t offset) {
    if (refused >= 0 && is_zero(data, size)) {
        refused++;
        errno = ENOSPC;
        return -1;
    }
    return syscall(SYS_pwrite64, fd, data, size, offset);
}

static int append(tycho_store *store, const char *id) {
    return append_event(store, "stream", id);
}

static bool has(tycho_store *store, const char *id) {
    uint64_t position;
    int status = tycho_event_position(store, text(id), &position);
    assert_true(status == TYCHO_OK || status == TYCHO_EVENT_NOT_FOUND);
    return status == TYCHO_OK;
}

static tycho_store *open_synced(const char *path, uint32_t sync) {
    tycho_options options = {.size = sizeof options, .sync = sync};
    tycho_store *store;
    assert_int_equal(tycho_store_open(path, &options, &store), TYCHO_OK);
    return store;
}

static int set_up(void **state) {
    static fixture made;
    if (make_directory(made.directory) != 0) return -1;
    snprintf(made.path, sizeof made.path, "%s/store", made.directory);
    snprintf(made.file, sizeof made.file, "%s/data.mdb", made.path);
    *state = &made;
    return 0;
}

static int tear_down(void **state) {
    fixture *made = *state;
    return remove_directory(made->directory);
}

/* ---------------------------------------------------------------- images */

static image read_image(const fixture *f) {
    struct stat info;
    int fd = open(f->file, O_RDONLY);
    assert_true(fd >= 0 && fstat(fd, &info) == 0);
    image read_one = {malloc((size_t)info.st_size), (size_t)info.st_size};
    assert_non_null(read_one.bytes);
    assert_int_equal(read(fd, read_one.bytes, read_one.size), read_one.size);
    close(fd);
    return read_one;
}

static void write_image(const fixture *f, image written) {
    int fd = open(f->file, O_WRONLY | O_TRUNC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, written.bytes, written.size), written.size);
    close(fd);
}

/* The number of the page, if it is one that the commit between the two images wrote. */
static bool is_written(image before, image after, size_t page) {
    size_t at = page * PAGE;
    if (at >= before.size) return !is_zero(after.bytes + at, PAGE); /* it may have grown ahead */
    return page >= 2 && memcmp(before.bytes + at, after.bytes + at, PAGE) != 0;
}

static void lose_page(image before, image *after, size_t page) {
    size_t at = page * PAGE;
    if (at < before.size) {
        memcpy(after->bytes + at, before.bytes + at, PAGE);
    } else {
        memset(after->bytes + at, 0, PAGE);
    }
}

static size_t last_meta(image read_one) {
    uint64_t first, second;
    memcpy(&first, read_one.bytes + 144, sizeof first);
    memcpy(&second, read_one.bytes + PAGE + 144, sizeof second);
    return first < second ? PAGE : 0;
}

/* Commits events in a process that ends in the flush of the last of them. */
static void commit_and_be_cut(const fixture *f, const char *first, const char *last) {
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        tycho_store *store = open_synced(f->path, TYCHO_SYNC_FULL);
        if (first != NULL && append(store, first) != TYCHO_OK) _exit(1);
        is_cut = true;
        append(store, last);
        _exit(1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* A store with the event "kept", and what its file was before and after a process that was cut off
** while it flushed the event "last". */
static void make_cut(const fixture *f, image *before, image *after) {
    tycho_store *store = open_synced(f->path, TYCHO_SYNC_FULL);
    for (int i = 0; i < 4; i++)
        ASSERT_STATUS(append(store, (const char *[]){"a", "b", "c", "kept"}[i]), TYCHO_OK);
    tycho_store_close(store);
    *before = read_image(f);
    commit_and_be_cut(f, NULL, "last");
    *after = read_image(f);
}

/* ---------------------------------------------------------------- flushes */

static void a_durable_commit_is_flushed_once(void **state) {
    fixture *f = *state;
    tycho_store *store = open_synced(f->path, TYCHO_SYNC_FULL);
    ASSERT_STATUS(append(store, "first"), TYCHO_OK); /* these two give both meta pages a seal */
    ASSERT_STATUS(append(store, "second"), TYCHO_OK);
    flushes = 0;
    ASSERT_STATUS(append(store, "third"), TYCHO_OK);
    ASSERT_STATUS(append(store, "fourth"), TYCHO_OK);
    assert_int_equal(flushes, 2);
    tycho_store_close(store);
}

static void a_commit_behind_an_unflushed_one_is_flushed_pages_first(void **state) {
    fixture *f = *state;
    static const uint32_t syncs[] = {TYCHO_SYNC_BATCHED, TYCHO_SYNC_NONE};
    tycho_store *store = open_synced(f->path, TYCHO_SYNC_FULL);
    ASSERT_STATUS(append(store, "first"), TYCHO_OK);
    ASSERT_STATUS(append(store, "second"), TYCHO_OK);
    for (size_t i = 0; i < sizeof syncs / sizeof *syncs; i++) {
        tycho_store *hasty = open_synced(f->path, syncs[i]);
        ASSERT_STATUS(append(hasty, i == 0 ? "third" : "sixth"), TYCHO_OK);
        tycho_store_close(hasty);
        flushes = 0;
        ASSERT_STATUS(append(store, i == 0 ? "fourth" : "seventh"), TYCHO_OK);
        assert_int_equal(flushes, 2);
        ASSERT_STATUS(append(store, i == 0 ? "fifth" : "eighth"), TYCHO_OK);
        assert_int_equal(flushes, 3);
    }
    assert_clean(store);
    tycho_store_close(store);
}

/* Appends `count` events of that size in one batch. */
static void append_large(tycho_store *store, size_t count, size_t size) {
    static uint8_t data[4096];
    tycho_batch *batch;
    tycho_new_event event = {.type = text("t"), .data = {data, size}};
    assert_true(size <= sizeof data);
    memset(data, 'x', size);
    ASSERT_STATUS(tycho_batch_create(&batch), TYCHO_OK);
    for (size_t i = 0; i < count; i++) {
        ASSERT_STATUS(
            tycho_batch_append(batch, text("large"), TYCHO_EXPECT_ANY, &event, 1, 0), TYCHO_OK);
    }
    ASSERT_STATUS(tycho_commit(store, batch, NULL), TYCHO_OK);
    tycho_batch_destroy(batch);
}

static uint64_t size_of(const fixture *f) {
    struct stat info;
    assert_int_equal(stat(f->file, &info), 0);
    return (uint64_t)info.st_size;
}

/* How much longer the file is than its pages. */
static uint64_t ahead_of(const fixture *f, tycho_store *store) {
    tycho_stats stats = {.size = sizeof stats};
    ASSERT_STATUS(tycho_stats_get(store, &stats), TYCHO_OK);
    assert_true(size_of(f) >= stats.file_size);
    return size_of(f) - stats.file_size;
}

/* Gives how often the file became longer while 400 small commits were made. */
static long count_growths(const fixture *f, tycho_store *store) {
    uint64_t size = size_of(f);
    long growths = 0;
    for (int i = 0; i < 400; i++) {
        append_large(store, 1, 500);
        growths += size_of(f) != size;
        size = size_of(f);
        assert_true(ahead_of(f, store) <= size / 8 + PAGE);
    }
    return growths;
}

static void the_file_grows_ahead_of_small_commits(void **state) {
    fixture *f = *state;
    tycho_store *store = open_synced(f->path, TYCHO_SYNC_FULL);
    for (int i = 0; i < 3; i++) append_large(store, 100, 4000);
    assert_int_equal(ahead_of(f, store), 0); /* a large one is not written twice */
    assert_in_range(count_growths(f, store), 1, 20);
    assert_clean(store);
    tycho_store_close(store);
}

static void a_disk_without_room_to_grow_ahead_has_room_for_commits(void **state) {
    fixture *f = *state;
    tycho_store *store = open_synced(f->path, TYCHO_SYNC_FULL);
    for (int i = 0; i < 3; i++) append_large(store, 100, 4000);
    refused = 0;
    assert_in_range(count_growths(f, store), 40, 400);
    assert_true(refused >= 40);
    assert_int_equal(ahead_of(f, store), 0);
    refused = -1;
    assert_in_range(count_growths(f, store), 1, 20);
    assert_clean(store);
    tycho_store_close(store);
}

ssize_t tycho__lmdb_pwrite(int fd, const void *from, size_t size, off_t offset);
int tycho__lmdb_fdatasync(int fd);

/* How often it is flushed before the meta page when that many single pages were written. */
static long flushes_before_meta(const fixture *f, unsigned pages, bool is_early) {
    static const uint8_t page[PAGE];
    tycho__disk disk = {.fd = open(f->file, O_RDWR), .page_size = PAGE};
    assert_true(disk.fd >= 0);
    tycho__disk_begin(&disk, true);
    if (!is_early) tycho__disk_commit(&disk);
    for (unsigned i = 0; i < pages; i++) {
        off_t offset = (off_t)PAGE * (1000 + 2 * i);
        assert_int_equal(tycho__lmdb_pwrite(disk.fd, page, PAGE, offset), PAGE);
    }
    flushes = 0;
    assert_int_equal(tycho__lmdb_fdatasync(disk.fd), 0);
    tycho__disk_end();
    close(disk.fd);
    return flushes;
}

static void pages_that_no_seal_can_list_are_flushed_first(void **state) {
    fixture *f = *state;
    tycho_store *store = open_synced(f->path, TYCHO_SYNC_FULL);
    ASSERT_STATUS(append(store, "first"), TYCHO_OK);
    ASSERT_STATUS(append(store, "second"), TYCHO_OK);
    tycho_store_close(store);
    assert_int_equal(flushes_before_meta(f, TYCHO__RUNS_MAX, false), 0);
    assert_int_equal(flushes_before_meta(f, TYCHO__RUNS_MAX + 1, false), 1);
    assert_int_equal(flushes_before_meta(f, 1, true), 1); /* written before the commit's end */
}

/* ---------------------------------------------------------------- power cuts */

static void a_commit_that_arrived_counts(void **state) {
    fixture *f = *state;
    image before, after;
    make_cut(f, &before, &after);
    flushes = 0;
    tycho_store *store = open_synced(f->path, TYCHO_SYNC_FULL);
    assert_true(flushes >= 1); /* nobody saw it before it was flushed */
    assert_true(has(store, "kept") && has(store, "last"));
    assert_clean(store);
    tycho_store_close(store);
    free(before.bytes);
    free(after.bytes);
}

static void who_has_the_store_open_flushes_what_a_killed_process_left(void **state) {
    fixture *f = *state;
    tycho_store *store = open_synced(f->path, TYCHO_SYNC_FULL);
    ASSERT_STATUS(append(store, "first"), TYCHO_OK);
    ASSERT_STATUS(append(store, "second"), TYCHO_OK);
    commit_and_be_cut(f, NULL, "read");
    flushes = 0;
    assert_true(has(store, "read"));
    assert_int_equal(flushes, 1);
    commit_and_be_cut(f, NULL, "written behind");
    flushes = 0;
    ASSERT_STATUS(append(store, "third"), TYCHO_OK);
    assert_int_equal(flushes, 2);
    assert_true(has(store, "written behind"));
    assert_clean(store);
    tycho_store_close(store);
}

/* Another process that has bytes of `locks` from `first` to `last`, until it is told to end or for
** so many milliseconds. */
typedef struct holder {
    pid_t pid;
    int pipe;
} holder;

static void hold(const fixture *f, int first, int last, const int there[2], int limit_ms) {
    char path[DIRECTORY_SIZE + 32], byte = 0;
    snprintf(path, sizeof path, "%s/locks", f->path);
    int fd = open(path, O_RDWR);
    struct flock lock = {.l_type = F_WRLCK, .l_start = first, .l_len = last - first + 1};
    struct pollfd end = {.fd = there[0], .events = POLLIN};
    if (fd < 0 || fcntl(fd, F_OFD_SETLK, &lock) != 0 || write(there[0], &byte, 1) != 1) _exit(1);
    poll(&end, 1, limit_ms);
    _exit(0);
}

static holder start_holder(const fixture *f, int first, int last, int limit_ms) {
    int there[2];
    char byte = 1;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, there), 0);
    holder started = {.pid = fork(), .pipe = there[1]};
    assert_true(started.pid >= 0);
    if (started.pid == 0) {
        close(there[1]);
        hold(f, first, last, there, limit_ms);
    }
    close(there[0]);
    assert_int_equal(read(started.pipe, &byte, 1), 1);
    return started;
}

static void end_holder(holder ended) {
    int status;
    close(ended.pipe);
    assert_int_equal(waitpid(ended.pid, &status, 0), ended.pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void who_reads_waits_for_who_is_about_to_write(void **state) {
    fixture *f = *state;
    tycho_store *store = open_synced(f->path, TYCHO_SYNC_FULL);
    ASSERT_STATUS(append(store, "first"), TYCHO_OK);
    ASSERT_STATUS(append(store, "second"), TYCHO_OK);
    commit_and_be_cut(f, NULL, "left");
    holder in_gate = start_holder(f, 1, 1, 100);
    assert_true(has(store, "left"));
    end_holder(in_gate);
    tycho_store_close(store);
}

/* It goes by byte 3 that what was left before is seen; here nothing has made it so. */
static void who_reads_does_not_wait_for_who_commits(void **state) {
    fixture *f = *state;
    tycho_store *store = open_synced(f->path, TYCHO_SYNC_FULL);
    ASSERT_STATUS(append(store, "first"), TYCHO_OK);
    ASSERT_STATUS(append(store, "second"), TYCHO_OK);
    commit_and_be_cut(f, NULL, "being committed");
    holder committing = start_holder(f, 1, 3, -1);
    assert_false(has(store, "being committed"));
    end_holder(committing);
    assert_true(has(store, "being committed"));
    tycho_store_close(store);
}

static void check_taken_back(const fixture *f, image shown) {
    write_image(f, shown);
    tycho_store *store = open_synced(f->path, TYCHO_SYNC_FULL);
    assert_true(has(store, "kept"));
    assert_false(has(store, "last"));
    assert_clean(store);
    ASSERT_STATUS(append(store, "next"), TYCHO_OK);
    tycho_store_close(store);
    store = open_synced(f->path, TYCHO_SYNC_FULL);
    assert_true(has(store, "kept") && has(store, "next"));
    assert_clean(store);
    tycho_store_close(store);
}

static void a_commit_is_taken_back_when_any_page_of_it_is_lost(void **state) {
    fixture *f = *state;
    image before, after;
    unsigned lost = 0;
    make_cut(f, &before, &after);
    image shown = {malloc(after.size), after.size};
    assert_non_null(shown.bytes);
    for (size_t page = 0; page < after.size / PAGE; page++) {
        if (!is_written(before, after, page)) continue;
        memcpy(shown.bytes, after.bytes, after.size);
        lose_page(before, &shown, page);
        check_taken_back(f, shown);
        lost++;
    }
    assert_true(lost >= 3);
    memcpy(shown.bytes, after.bytes, after.size);
    for (size_t page = 0; page < after.size / PAGE; page++) {
        if (is_written(before, after, page)) lose_page(before, &shown, page);
    }
    check_taken_back(f, shown);
    if (after.size > before.size) { /* the file did not grow */
        memcpy(shown.bytes, after.bytes, after.size);
        shown.size = before.size;
        check_taken_back(f, shown);
    }
    free(shown.bytes);
    free(before.bytes);
    free(after.bytes);
}

static void a_commit_that_cannot_be_taken_back_is_told(void **state) {
    fixture *f = *state;
    image before, after;
    make_cut(f, &before, &after);
    for (size_t page = 0; page < after.size / PAGE; page++) {
        if (is_written(before, after, page)) lose_page(before, &after, page);
    }
    write_image(f, after);
    bool is_copy;
    int directory = open(f->path, O_RDONLY | O_DIRECTORY);
    assert_true(directory >= 0);
    ASSERT_STATUS(tycho__disk_recover(directory, false, &is_copy), TYCHO_DENIED);
    close(directory);
    free(before.bytes);
    free(after.bytes);
}

static void two_broken_commits_are_no_power_cut(void **state) {
    fixture *f = *state;
    image before, after;
    make_cut(f, &before, &after);
    commit_and_be_cut(f, "behind it", "behind that");
    free(after.bytes);
    after = read_image(f);
    for (size_t page = 2; page < after.size / PAGE; page++) lose_page(before, &after, page);
    write_image(f, after);
    tycho_store *store;
    ASSERT_STATUS(tycho_store_open(f->path, NULL, &store), TYCHO_CORRUPT);
    assert_non_null(strstr(tycho_error(), "both commits"));
    free(before.bytes);
    free(after.bytes);
}

static void a_damaged_meta_page_is_told(void **state) {
    fixture *f = *state;
    image before, after;
    make_cut(f, &before, &after);
    for (size_t at = FIELDS; at < SEAL_END; at++) {
        if (at == FIELDS_END) at = SEAL;
        for (size_t meta = 0; meta < 2; meta++) {
            tycho_store *store;
            after.bytes[meta * PAGE + at] ^= 0x10;
            write_image(f, after);
            ASSERT_STATUS(tycho_store_open(f->path, NULL, &store), TYCHO_CORRUPT);
            after.bytes[meta * PAGE + at] ^= 0x10;
        }
    }
    free(before.bytes);
    free(after.bytes);
}

static void a_closed_store_has_nothing_to_take_back(void **state) {
    fixture *f = *state;
    image before, after;
    make_cut(f, &before, &after);
    assert_int_equal(after.bytes[last_meta(after) + KIND], TYCHO__LISTED);
    tycho_store *store = open_synced(f->path, TYCHO_SYNC_FULL);
    image opened = read_image(f);
    assert_int_equal(opened.bytes[last_meta(opened) + KIND], TYCHO__FLUSHED);
    ASSERT_STATUS(append(store, "next"), TYCHO_OK);
    tycho_store_close(store);
    image closed = read_image(f);
    assert_int_equal(closed.bytes[last_meta(closed) + KIND], TYCHO__FLUSHED);
    free(before.bytes);
    free(after.bytes);
    free(opened.bytes);
    free(closed.bytes);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_durable_commit_is_flushed_once),
        TEST(a_commit_behind_an_unflushed_one_is_flushed_pages_first),
        TEST(the_file_grows_ahead_of_small_commits),
        TEST(a_disk_without_room_to_grow_ahead_has_room_for_commits),
        TEST(pages_that_no_seal_can_list_are_flushed_first),
        TEST(a_commit_that_arrived_counts),
        TEST(who_has_the_store_open_flushes_what_a_killed_process_left),
        TEST(who_reads_waits_for_who_is_about_to_write),
        TEST(who_reads_does_not_wait_for_who_commits),
        TEST(a_commit_is_taken_back_when_any_page_of_it_is_lost),
        TEST(a_commit_that_cannot_be_taken_back_is_told),
        TEST(two_broken_commits_are_no_power_cut),
        TEST(a_damaged_meta_page_is_told),
        TEST(a_closed_store_has_nothing_to_take_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
