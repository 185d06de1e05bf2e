/* status.c - codes, texts and the thread's last sentence; the checksum. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base.h"

static _Thread_local char sentence[512];

const char *tycho_version(void) {
    return TYCHO_VERSION;
}

const char *tycho_status_code(int status) {
    switch (status) {
#define CASE(name, value, code, text)                                                              \
    case value:                                                                                    \
        return code;
        TYCHO_STATUS_MAP(CASE)
#undef CASE
    default:
        return "unknown_status";
    }
}

const char *tycho_status_text(int status) {
    switch (status) {
#define CASE(name, value, code, text)                                                              \
    case value:                                                                                    \
        return text;
        TYCHO_STATUS_MAP(CASE)
#undef CASE
    default:
        return "not a status of Tycho";
    }
}

const char *tycho_error(void) {
    return sentence;
}

void tycho_set_error(const char *text) {
    snprintf(sentence, sizeof sentence, "%s", text);
}

int tycho__fail(int status, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    assert(status != TYCHO_OK);
    return status;
}

static int status_of_error(int error) {
    static const struct {
        int error, status;
    } known[] = {{EEXIST, TYCHO_BUSY},       {ENOTEMPTY, TYCHO_BUSY}, {EACCES, TYCHO_DENIED},
                 {EPERM, TYCHO_DENIED},      {EROFS, TYCHO_DENIED},   {ELOOP, TYCHO_DENIED},
                 {ENOSPC, TYCHO_FULL},       {EDQUOT, TYCHO_FULL},    {ENOENT, TYCHO_NOT_FOUND},
                 {ENOTDIR, TYCHO_NOT_FOUND}, {ENOMEM, TYCHO_NO_MEMORY}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (known[i].error == error) return known[i].status;
    }
    return TYCHO_IO;
}

int tycho__fail_path(const char *doing, const char *path) {
    int error = errno;
    return tycho__fail(status_of_error(error), "%s \"%s\": %s", doing, path, strerror(error));
}

uint64_t tycho__hash(const void *data, size_t size, uint64_t seed) {
    return XXH3_64bits_withSeed(data, size, seed);
}
