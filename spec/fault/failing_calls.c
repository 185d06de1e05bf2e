/* failing_calls.c - to be preloaded (LD_PRELOAD): the n-th call of one kind fails, as TYCHO_FAIL
** says: "pwrite 7 28" is the call number 7 (from 0) of pwrite with errno 28. The program says when
** they count by removing files of these names: /tycho/count from here on, /tycho/rest no more (then
** the file /tycho/rest "is removed" when a call failed). At the end of the process the count is
** written to the file that TYCHO_COUNT names.
*/
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

static char wanted[32];
static long failing_call = -1;
static int error;
static atomic_bool is_counting, has_failed;
static atomic_long calls;

__attribute__((constructor)) static void read_wish(void) {
    const char *text = getenv("TYCHO_FAIL");
    if (text != NULL) sscanf(text, "%31s %ld %d", wanted, &failing_call, &error);
}

__attribute__((destructor)) static void tell_count(void) {
    const char *path = getenv("TYCHO_COUNT");
    FILE *file = path != NULL ? fopen(path, "w") : NULL;
    if (file == NULL) return;
    fprintf(file, "%ld", atomic_load(&calls));
    fclose(file);
}

static bool fails(const char *name) {
    if (!atomic_load(&is_counting) || strcmp(name, wanted) != 0) return false;
    if (atomic_fetch_add(&calls, 1) != failing_call) return false;
    atomic_store(&has_failed, true);
    errno = error;
    return true;
}

#define NEXT(function) \
    static __typeof__(function) *next; \
    if (next == NULL) *(void **)&next = dlsym(RTLD_NEXT, #function)

#define FAIL(type, name, parameters, arguments, failure) \
    type name parameters { \
        NEXT(name); \
        return fails(#name) ? failure : next arguments; \
    }

FAIL(ssize_t, pwrite, (int fd, const void *data, size_t size, off_t at), (fd, data, size, at), -1)
FAIL(ssize_t, writev, (int fd, const struct iovec *parts, int count), (fd, parts, count), -1)
FAIL(ssize_t, write, (int fd, const void *data, size_t size), (fd, data, size), -1)
FAIL(int, fdatasync, (int fd), (fd), -1)
FAIL(int, fsync, (int fd), (fd), -1)
FAIL(int, ftruncate, (int fd, off_t size), (fd, size), -1)
FAIL(int, posix_fallocate, (int fd, off_t at, off_t size), (fd, at, size), error)
FAIL(int, rename, (const char *from, const char *to), (from, to), -1)
FAIL(void *, mmap, (void *at, size_t size, int protection, int flags, int fd, off_t offset),
     (at, size, protection, flags, fd, offset), MAP_FAILED)
/* Those of ASan where it is in the process, in front of which this is loaded. Not by way of
** dlsym(), which itself allocates. */
#define ALLOCATE(name, parameters, arguments) \
    void *__libc_##name parameters; \
    __attribute__((weak)) void *__interceptor_##name parameters; \
    void *name parameters { \
        if (fails(#name)) return NULL; \
        return __interceptor_##name != NULL ? __interceptor_##name arguments \
                                            : __libc_##name arguments; \
    }

ALLOCATE(malloc, (size_t size), (size))
ALLOCATE(calloc, (size_t count, size_t size), (count, size))
ALLOCATE(realloc, (void *block, size_t size), (block, size))

int open(const char *path, int flags, ...) {
    NEXT(open);
    va_list arguments;
    va_start(arguments, flags);
    int mode = (flags & O_CREAT) != 0 ? va_arg(arguments, int) : 0;
    va_end(arguments);
    return fails("open") ? -1 : next(path, flags, mode);
}

int openat(int directory, const char *path, int flags, ...) {
    NEXT(openat);
    va_list arguments;
    va_start(arguments, flags);
    int mode = (flags & O_CREAT) != 0 ? va_arg(arguments, int) : 0;
    va_end(arguments);
    return fails("openat") ? -1 : next(directory, path, flags, mode);
}

int remove(const char *path) {
    NEXT(remove);
    if (strcmp(path, "/tycho/count") == 0) {
        atomic_store(&is_counting, true);
        return 0;
    }
    if (strcmp(path, "/tycho/rest") != 0) return next(path);
    atomic_store(&is_counting, false);
    return atomic_load(&has_failed) ? 0 : -1;
}
