/* name_flush_test.c - when opening flushes the directory that names the store: until somebody
** committed in it, and never again, because it may take long and keeps others from opening.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "store_fixture.h"

static struct stat flushed; /* the directory that counts */
static int flushes;

/* Takes the place of libc's in this program. */
__attribute__((visibility("default"))) int fsync(int fd) {
    struct stat file;
    if (fstat(fd, &file) == 0 && file.st_ino == flushed.st_ino && file.st_dev == flushed.st_dev) {
        flushes++;
    }
    return (int)syscall(SYS_fsync, fd);
}

static void close_store(fixture *f) {
    tycho_store_close(f->store);
    f->store = NULL;
}

/* Opens the store at the path anew; how often its directory was flushed for it. */
static int flushes_of_opening(fixture *f, const char *path, uint32_t mode) {
    close_store(f);
    flushes = 0;
    ASSERT_STATUS(open_store(path, mode, &f->store), TYCHO_OK);
    return flushes;
}

static void count_from_now(const fixture *f) {
    assert_int_equal(stat(f->directory, &flushed), 0);
}

static void a_name_is_flushed_until_there_is_a_commit(void **state) {
    fixture *f = *state;
    count_from_now(f);
    assert_int_equal(flushes_of_opening(f, f->path, TYCHO_CREATE), 1);
    assert_int_equal(flushes_of_opening(f, f->path, TYCHO_EXISTING), 1);
    ASSERT_STATUS(append_event(f->store, "s", "e1"), TYCHO_OK);
    assert_int_equal(flushes_of_opening(f, f->path, TYCHO_EXISTING), 0);
}

static void a_name_of_a_backup_too(void **state) {
    fixture *f = *state;
    char copy[DIRECTORY_SIZE + 8];
    snprintf(copy, sizeof copy, "%s/copy", f->directory);
    ASSERT_STATUS(append_event(f->store, "s", "e1"), TYCHO_OK);
    ASSERT_STATUS(tycho_backup(f->store, copy), TYCHO_OK);
    count_from_now(f);
    assert_int_equal(flushes_of_opening(f, copy, TYCHO_EXISTING), 1);
    assert_int_equal(flushes_of_opening(f, copy, TYCHO_EXISTING), 1);
    ASSERT_STATUS(append_event(f->store, "s", "e2"), TYCHO_OK);
    assert_int_equal(flushes_of_opening(f, copy, TYCHO_EXISTING), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_name_is_flushed_until_there_is_a_commit),
        TEST(a_name_of_a_backup_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
