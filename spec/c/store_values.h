/* store_values.h - what the tests of the engine share: bytes of text, a status that must be, a
** scratch directory, a store that verifies clean. To be included behind cmocka.h.
*/
#ifndef TYCHO_SPEC_STORE_VALUES_H
#define TYCHO_SPEC_STORE_VALUES_H

#include <ftw.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tycho.h"

#define ASSERT_STATUS(call, expected)                                                              \
    do {                                                                                           \
        int got_ = (call);                                                                         \
        if (got_ != (expected)) {                                                                  \
            fail_msg("%s gives %s, not %s: %s", #call, tycho_status_code(got_),                    \
                     tycho_status_code(expected), tycho_error());                                  \
        }                                                                                          \
    } while (0)

static inline tycho_bytes text(const char *string) {
    return (tycho_bytes){string, strlen(string)};
}

static inline tycho_bytes bytes_of(const void *data, size_t size) {
    return (tycho_bytes){data, size};
}

static inline void assert_bytes(tycho_bytes got, tycho_bytes expected) {
    assert_int_equal(got.size, expected.size);
    if (got.size > 0) assert_memory_equal(got.data, expected.data, got.size);
}

/* A copy that ends where the memory ends, so that ASan sees each read beyond it. */
static inline uint8_t *exact_copy(const void *data, size_t size) {
    uint8_t *copy = malloc(size > 0 ? size : 1);
    assert_non_null(copy);
    if (size > 0) memcpy(copy, data, size);
    return copy;
}

enum { DIRECTORY_SIZE = 64 };

static inline int make_directory(char path[DIRECTORY_SIZE]) {
    snprintf(path, DIRECTORY_SIZE, "/tmp/tycho-spec-XXXXXX");
    return mkdtemp(path) == NULL ? -1 : 0;
}

/* In memory where there is such a file system: for what is done a thousand times. */
static inline int make_directory_in_memory(char path[DIRECTORY_SIZE]) {
    const char *parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(path, DIRECTORY_SIZE, "%s/tycho-spec-XXXXXX", parent);
    return mkdtemp(path) == NULL ? -1 : 0;
}

static inline int remove_one(const char *path, const struct stat *info, int flag,
                             struct FTW *place) {
    (void)info;
    (void)flag;
    (void)place;
    return remove(path);
}

static inline int remove_directory(const char *path) {
    return nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static inline int open_store(const char *path, uint32_t mode, tycho_store **store) {
    const tycho_options options = {.size = sizeof options,
                                   .mode = mode,
                                   .sync = TYCHO_SYNC_NONE,
                                   .map_size = 1u << 30,
                                   .reserve_size = 1};
    return tycho_store_open(path, &options, store);
}

static inline int commit_event(tycho_store *store, const char *stream,
                               const tycho_new_event *event) {
    tycho_batch *batch;
    int status = tycho_batch_create(&batch);
    if (status != TYCHO_OK) return status;
    status = tycho_batch_append(batch, text(stream), TYCHO_EXPECT_ANY, event, 1, 0);
    if (status == TYCHO_OK) status = tycho_commit(store, batch, NULL);
    tycho_batch_destroy(batch);
    return status;
}

/* Commits an event of the type "t", with the id as its data; an id that is "" is made. */
static inline int append_event(tycho_store *store, const char *stream, const char *id) {
    const tycho_new_event event = {.id = text(id), .type = text("t"), .data = text(id)};
    return commit_event(store, stream, &event);
}

static inline void assert_clean(tycho_store *store) {
    tycho_verification *verification;
    tycho_finding finding;
    int status = TYCHO_OK;
    ASSERT_STATUS(tycho_verification_open(store, &verification), TYCHO_OK);
    while (status == TYCHO_OK) {
        status = tycho_verification_step(verification, &finding);
        if (finding.text.size > 0) {
            print_error("verify: %.*s\n", (int)finding.text.size, (const char *)finding.text.data);
        }
    }
    tycho_verification_close(verification);
    assert_int_equal(status, TYCHO_END);
    assert_int_equal(finding.findings, 0);
}

#endif
