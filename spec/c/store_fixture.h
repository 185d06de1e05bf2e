/* store_fixture.h - the fixture of tests with one store in a directory of its own, which verifies
** clean when a test is over. To be included behind cmocka.h.
*/
#ifndef TYCHO_SPEC_STORE_FIXTURE_H
#define TYCHO_SPEC_STORE_FIXTURE_H

#include <fcntl.h>
#include <unistd.h>

#include "store_values.h"

typedef struct fixture {
    char directory[DIRECTORY_SIZE];
    char path[DIRECTORY_SIZE + 8];        /* of the store */
    char lock_table[DIRECTORY_SIZE + 24]; /* the file of its named locks */
    tycho_store *store;
    tycho_batch *batch;
    tycho_follower *follower, *other; /* NULL until a test opens them */
} fixture;

static inline int set_up(void **state) {
    fixture *f = calloc(1, sizeof *f);
    if (f == NULL || make_directory(f->directory) != 0) return -1;
    snprintf(f->path, sizeof f->path, "%s/store", f->directory);
    snprintf(f->lock_table, sizeof f->lock_table, "%s/lock_table", f->path);
    *state = f;
    if (open_store(f->path, TYCHO_CREATE, &f->store) != TYCHO_OK) return -1;
    return tycho_batch_create(&f->batch);
}

static inline int tear_down(void **state) {
    fixture *f = *state;
    tycho_follower_close(f->follower);
    tycho_follower_close(f->other);
    tycho_batch_destroy(f->batch);
    if (f->store != NULL) assert_clean(f->store);
    tycho_store_close(f->store);
    int result = remove_directory(f->directory);
    free(f);
    return result;
}

/* Turns a bit of the first place of the data file that has these bytes. */
static inline void damage(fixture *f, const char *bytes) {
    char file[DIRECTORY_SIZE + 32];
    snprintf(file, sizeof file, "%s/data.mdb", f->path);
    int fd = open(file, O_RDWR);
    off_t size = lseek(fd, 0, SEEK_END);
    char *content = malloc((size_t)size);
    assert_non_null(content);
    assert_int_equal(pread(fd, content, (size_t)size, 0), size);
    char *at = memmem(content, (size_t)size, bytes, strlen(bytes));
    assert_non_null(at);
    char turned = (char)(*at ^ 1);
    assert_int_equal(pwrite(fd, &turned, 1, at - content), 1);
    turned = *at;
    free(content);
    close(fd);
}

#endif
