/* store_files_test.c - the files of a store as SECURITY.md has them: who may read what was made,
** and that nothing is opened through a link that somebody placed in the directory.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base.h"
#include "store_values.h"

enum { PATH_SIZE = DIRECTORY_SIZE + 64, FILES = 5 };

static const char *const files[FILES] = {"data.mdb", "lock.mdb", "locks", "notify", "lock_table"};

typedef struct fixture {
    char directory[DIRECTORY_SIZE];
    char path[DIRECTORY_SIZE + 8];
    mode_t umask;
} fixture;

static int set_up(void **state) {
    fixture *f = calloc(1, sizeof *f);
    if (f == NULL || make_directory(f->directory) != 0) return -1;
    snprintf(f->path, sizeof f->path, "%s/store", f->directory);
    f->umask = umask(022);
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    fixture *f = *state;
    umask(f->umask);
    int result = remove_directory(f->directory);
    free(f);
    return result;
}

/* Takes a lock, so that all files are there. */
static int open_with_lock(const char *path, tycho_store **store) {
    tycho_lock *lock;
    int status = open_store(path, TYCHO_CREATE, store);
    if (status != TYCHO_OK) return status;
    status = tycho_lock_take(*store, text("l"), 0, &lock, NULL);
    if (status == TYCHO_OK) tycho_lock_release(lock);
    return status;
}

static void assert_mode(const char *path, const char *file, unsigned expected) {
    char name[PATH_SIZE];
    struct stat found;
    snprintf(name, sizeof name, "%s/%s", path, file);
    assert_int_equal(lstat(name, &found), 0);
    if ((found.st_mode & 0777) != expected) {
        fail_msg("%s has the mode %o, not %o", name, found.st_mode & 0777, expected);
    }
}

static void files_are_for_the_owner_and_the_group_less_the_umask(void **state) {
    static const mode_t masks[] = {0, 022, 027, 077};
    fixture *f = *state;
    for (size_t i = 0; i < sizeof masks / sizeof *masks; i++) {
        tycho_store *store;
        char path[PATH_SIZE], copy[PATH_SIZE];
        snprintf(path, sizeof path, "%s/%zu", f->directory, i);
        snprintf(copy, sizeof copy, "%s/copy-%zu", f->directory, i);
        umask(masks[i]);
        ASSERT_STATUS(open_with_lock(path, &store), TYCHO_OK);
        ASSERT_STATUS(tycho_backup(store, copy), TYCHO_OK);
        tycho_store_close(store);
        assert_mode(path, ".", 0770 & ~masks[i]);
        for (int file = 0; file < FILES; file++) assert_mode(path, files[file], 0660 & ~masks[i]);
        assert_mode(copy, ".", 0770 & ~masks[i]);
        assert_mode(copy, "data.mdb", 0660 & ~masks[i]);
    }
}

static void an_empty_directory_keeps_its_mode(void **state) {
    fixture *f = *state;
    tycho_store *store;
    assert_int_equal(mkdir(f->path, 0700), 0);
    ASSERT_STATUS(open_store(f->path, TYCHO_CREATE, &store), TYCHO_OK);
    tycho_store_close(store);
    assert_mode(f->path, ".", 0700);
}

static void a_temporary_store_is_for_the_owner_alone(void **state) {
    tycho_store *store;
    (void)state;
    umask(0);
    ASSERT_STATUS(open_store(NULL, TYCHO_TEMPORARY, &store), TYCHO_OK);
    assert_mode(tycho_store_path(store), ".", 0700);
    tycho_store_close(store);
}

/* What may stand in place of a file of a store. */
enum odd { LINK_TO_A_FILE, LINK_TO_AN_EMPTY_FILE, LINK_TO_NOTHING, PIPE, DIRECTORY, ODDITIES };

static const char content[] = "somebody else's";

static void make_odd(const fixture *f, const char *name, enum odd kind, char victim[PATH_SIZE]) {
    snprintf(victim, PATH_SIZE, "%s/victim", f->directory);
    unlink(victim);
    if (kind == LINK_TO_A_FILE || kind == LINK_TO_AN_EMPTY_FILE) {
        int fd = open(victim, O_WRONLY | O_CREAT | O_EXCL, 0600);
        ssize_t size = kind == LINK_TO_A_FILE ? sizeof content : 0;
        assert_true(fd >= 0);
        assert_int_equal(write(fd, content, (size_t)size), size);
        close(fd);
    }
    if (kind <= LINK_TO_NOTHING) assert_int_equal(symlink(victim, name), 0);
    if (kind == PIPE) assert_int_equal(mkfifo(name, 0600), 0);
    if (kind == DIRECTORY) assert_int_equal(mkdir(name, 0700), 0);
}

static void assert_untouched(const char *victim, enum odd kind) {
    struct stat found;
    char read_back[sizeof content + 1];
    if (kind > LINK_TO_AN_EMPTY_FILE) {
        assert_int_not_equal(lstat(victim, &found), 0);
        return;
    }
    ssize_t size = kind == LINK_TO_A_FILE ? sizeof content : 0;
    int fd = open(victim, O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(read(fd, read_back, sizeof read_back), size);
    if (size > 0) assert_memory_equal(read_back, content, sizeof content);
    close(fd);
}

/* Opens the store in each mode, and takes a lock where that can be done. */
static void assert_refused(const fixture *f, bool is_lock_table) {
    static const uint32_t modes[] = {TYCHO_CREATE, TYCHO_EXISTING, TYCHO_READ_ONLY};
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        tycho_store *store;
        tycho_lock *lock;
        bool is_reader = modes[i] == TYCHO_READ_ONLY;
        int status = open_store(f->path, modes[i], &store);
        if (is_lock_table) assert_int_equal(status, TYCHO_OK);
        if (is_lock_table && !is_reader) {
            status = tycho_lock_take(store, text("l"), 0, &lock, NULL);
        }
        if (!is_lock_table || !is_reader) {
            assert_true(status == TYCHO_DENIED || status == TYCHO_IO);
        }
        tycho_store_close(store);
    }
}

static void nothing_is_opened_through_a_link(void **state) {
    fixture *f = *state;
    char name[PATH_SIZE], kept[PATH_SIZE], victim[PATH_SIZE];
    tycho_store *store;
    ASSERT_STATUS(open_with_lock(f->path, &store), TYCHO_OK);
    tycho_store_close(store);
    snprintf(kept, sizeof kept, "%s/kept", f->directory);
    for (int i = 0; i < FILES * ODDITIES; i++) {
        enum odd kind = (enum odd)(i % ODDITIES);
        snprintf(name, sizeof name, "%s/%s", f->path, files[i / ODDITIES]);
        assert_int_equal(rename(name, kept), 0);
        make_odd(f, name, kind, victim);
        print_message("# %s, kind %d\n", files[i / ODDITIES], kind);
        assert_refused(f, i / ODDITIES == FILES - 1);
        assert_untouched(victim, kind);
        assert_int_equal(remove(name), 0);
        assert_int_equal(rename(kept, name), 0);
    }
    ASSERT_STATUS(open_with_lock(f->path, &store), TYCHO_OK);
    assert_clean(store);
    tycho_store_close(store);
}

static void nothing_is_made_through_a_link(void **state) {
    fixture *f = *state;
    char victim[PATH_SIZE];
    tycho_store *store;
    make_odd(f, f->path, LINK_TO_NOTHING, victim);
    ASSERT_STATUS(open_store(f->path, TYCHO_CREATE, &store), TYCHO_DENIED);
    assert_untouched(victim, LINK_TO_NOTHING);
    ASSERT_STATUS(open_store(NULL, TYCHO_TEMPORARY, &store), TYCHO_OK);
    ASSERT_STATUS(tycho_backup(store, f->path), TYCHO_BUSY);
    tycho_store_close(store);
    assert_untouched(victim, LINK_TO_NOTHING);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static void what_the_system_refuses_has_the_status_that_fits(void **state) {
    static const struct {
        int error, status;
        const char *sentence;
    } cases[] = {
        {EEXIST, TYCHO_BUSY, "making \"/p\": File exists"},
        {ENOTEMPTY, TYCHO_BUSY, "making \"/p\": Directory not empty"},
        {EACCES, TYCHO_DENIED, "making \"/p\": Permission denied"},
        {EPERM, TYCHO_DENIED, "making \"/p\": Operation not permitted"},
        {EROFS, TYCHO_DENIED, "making \"/p\": Read-only file system"},
        {ELOOP, TYCHO_DENIED, "making \"/p\": Too many levels of symbolic links"},
        {ENOSPC, TYCHO_FULL, "making \"/p\": No space left on device"},
        {EDQUOT, TYCHO_FULL, "making \"/p\": Disk quota exceeded"},
        {ENOENT, TYCHO_NOT_FOUND, "making \"/p\": No such file or directory"},
        {ENOTDIR, TYCHO_NOT_FOUND, "making \"/p\": Not a directory"},
        {ENOMEM, TYCHO_NO_MEMORY, "making \"/p\": Cannot allocate memory"},
        {EIO, TYCHO_IO, "making \"/p\": Input/output error"},
        {EMFILE, TYCHO_IO, "making \"/p\": Too many open files"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        errno = cases[i].error;
        ASSERT_STATUS(tycho__fail_path("making", "/p"), cases[i].status);
        assert_string_equal(tycho_error(), cases[i].sentence);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_system_refuses_has_the_status_that_fits),
        TEST(files_are_for_the_owner_and_the_group_less_the_umask),
        TEST(an_empty_directory_keeps_its_mode),
        TEST(a_temporary_store_is_for_the_owner_alone),
        TEST(nothing_is_opened_through_a_link),
        TEST(nothing_is_made_through_a_link),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
