/* io_test.c - the system fails: in a life of a store (every_verb.h), the n-th call of one kind
** (reading, writing, flushing, allocating, opening, mapping, renaming, locking, making a thread)
** fails, for every kind and every n
** (sampled, unless TYCHO_SWEEP=full): once, from there on, once after it was carried out, or once
** in part (what is written is cut short, and the call says how much of it was).
**
** What must hold then: failing_life.h.
**
** The system's functions are defined here; the linker exports them, so that LMDB calls them too.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "failing_life.h"

enum { SAMPLES = 12 };

/* ---------------------------------------------------------------- calls that fail */

enum call {
    PWRITE,
    WRITEV,
    WRITE,
    FDATASYNC,
    FSYNC,
    FTRUNCATE,
    FALLOCATE,
    OPEN,
    MMAP,
    RENAME,
    PREAD,
    LOCK, /* not giving it back, which the kernel does whatever happens */
    DUPLICATE,
    THREAD
};
enum mode { ONCE, FROM_ON, AFTER_IT_WAS_DONE, IN_PART, MODES };

static const struct fault {
    enum call call;
    int error;
    const char *name;
} FAULTS[] = {
    {PWRITE, EIO, "pwrite: EIO"},       {PWRITE, ENOSPC, "pwrite: ENOSPC"},
    {WRITEV, EIO, "writev: EIO"},       {WRITEV, ENOSPC, "writev: ENOSPC"},
    {WRITE, ENOSPC, "write: ENOSPC"},   {FDATASYNC, EIO, "fdatasync: EIO"},
    {FSYNC, EIO, "fsync: EIO"},         {FTRUNCATE, ENOSPC, "ftruncate: ENOSPC"},
    {OPEN, EMFILE, "open: EMFILE"},     {FALLOCATE, ENOSPC, "posix_fallocate: ENOSPC"},
    {MMAP, ENOMEM, "mmap: ENOMEM"},     {RENAME, EIO, "rename: EIO"},
    {PWRITE, EINTR, "pwrite: EINTR"},   {WRITEV, EINTR, "writev: EINTR"},
    {WRITE, EIO, "write: EIO"},         {WRITE, EINTR, "write: EINTR"},
    {FDATASYNC, EINTR, "fdatasync: EINTR"}, {FDATASYNC, ENOSPC, "fdatasync: ENOSPC"},
    {FSYNC, ENOSPC, "fsync: ENOSPC"},   {FTRUNCATE, EIO, "ftruncate: EIO"},
    {OPEN, ENOMEM, "open: ENOMEM"},     {OPEN, EIO, "open: EIO"},
    {OPEN, ENOSPC, "open: ENOSPC"},     {FALLOCATE, EIO, "posix_fallocate: EIO"},
    {RENAME, ENOSPC, "rename: ENOSPC"}, {PREAD, EIO, "pread: EIO"},
    {PREAD, EINTR, "pread: EINTR"},     {LOCK, ENOLCK, "fcntl to lock: ENOLCK"},
    {DUPLICATE, EMFILE, "fcntl to duplicate: EMFILE"},
    {THREAD, EAGAIN, "pthread_create: EAGAIN"},
};
enum { FAULT_COUNT = sizeof FAULTS / sizeof *FAULTS };

static const struct fault *fault;
static enum mode mode;

/* Counts the call. Gives whether it fails, and puts whether it is carried out first. */
static bool fails(enum call call, bool *is_done) {
    *is_done = true;
    if (!atomic_load(&is_armed) || fault->call != call || !call_fails()) return false;
    *is_done = mode == AFTER_IT_WAS_DONE || mode == IN_PART;
    return mode != IN_PART;
}

#define EXPORTED __attribute__((visibility("default")))
#define NEXT(function) \
    static __typeof__(function) *next; \
    if (next == NULL) *(void **)&next = dlsym(RTLD_NEXT, #function); \
    bool is_done

/* Calls the real function, unless the call fails; then `failure` is its result. */
#define CALL(kind, type, failure, ...) \
    bool is_failing = fails(kind, &is_done); \
    type result = failure; \
    if (is_done) result = next(__VA_ARGS__); \
    if (is_failing) errno = fault->error; \
    return is_failing ? failure : result

/* Half of what is to be written. */
static size_t half_of(enum call call, size_t size) {
    long n = atomic_load(&calls), wanted = atomic_load(&failing_call);
    bool is_cut = atomic_load(&is_armed) && mode == IN_PART && fault->call == call && n == wanted;
    return is_cut ? size / 2 : size;
}

EXPORTED ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) {
    NEXT(pwrite);
    size = half_of(PWRITE, size);
    CALL(PWRITE, ssize_t, -1, fd, data, size, offset);
}

EXPORTED ssize_t writev(int fd, const struct iovec *parts, int count) {
    NEXT(writev);
    struct iovec first = parts[0];
    if (half_of(WRITEV, 2) == 1) {
        first.iov_len /= 2;
        parts = &first;
        count = 1;
    }
    CALL(WRITEV, ssize_t, -1, fd, parts, count);
}

EXPORTED ssize_t write(int fd, const void *data, size_t size) {
    NEXT(write);
    size = half_of(WRITE, size);
    CALL(WRITE, ssize_t, -1, fd, data, size);
}

EXPORTED int fdatasync(int fd) {
    NEXT(fdatasync);
    CALL(FDATASYNC, int, -1, fd);
}

EXPORTED int fsync(int fd) {
    NEXT(fsync);
    CALL(FSYNC, int, -1, fd);
}

EXPORTED int ftruncate(int fd, off_t size) {
    NEXT(ftruncate);
    CALL(FTRUNCATE, int, -1, fd, size);
}

EXPORTED int posix_fallocate(int fd, off_t offset, off_t size) {
    NEXT(posix_fallocate);
    CALL(FALLOCATE, int, fault->error, fd, offset, size);
}

EXPORTED int rename(const char *from, const char *to) {
    NEXT(rename);
    CALL(RENAME, int, -1, from, to);
}

/* What was opened or mapped nobody would close, so these two never do it before they fail. */
EXPORTED void *mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset) {
    NEXT(mmap);
    if (!fails(MMAP, &is_done)) return next(address, size, protection, flags, fd, offset);
    errno = fault->error;
    return MAP_FAILED;
}

static mode_t mode_of(int flags, va_list arguments) {
    return (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
}

EXPORTED int open(const char *path, int flags, ...) {
    NEXT(open);
    va_list arguments;
    va_start(arguments, flags);
    mode_t permissions = mode_of(flags, arguments);
    va_end(arguments);
    if (!fails(OPEN, &is_done)) return next(path, flags, permissions);
    errno = fault->error;
    return -1;
}

EXPORTED int openat(int directory, const char *path, int flags, ...) {
    NEXT(openat);
    va_list arguments;
    va_start(arguments, flags);
    mode_t permissions = mode_of(flags, arguments);
    va_end(arguments);
    if (!fails(OPEN, &is_done)) return next(directory, path, flags, permissions);
    errno = fault->error;
    return -1;
}

EXPORTED ssize_t pread(int fd, void *data, size_t size, off_t offset) {
    NEXT(pread);
    CALL(PREAD, ssize_t, -1, fd, data, size, offset);
}

/* A lock that was taken nobody would give back, so this never does it before it fails. */
EXPORTED int fcntl(int fd, int command, ...) {
    NEXT(fcntl);
    va_list arguments;
    va_start(arguments, command);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    const struct flock *lock = command == F_OFD_SETLK ? argument : NULL;
    bool is_failing = (lock != NULL && lock->l_type != F_UNLCK && fails(LOCK, &is_done)) ||
                      (command == F_DUPFD_CLOEXEC && fails(DUPLICATE, &is_done));
    if (!is_failing) return next(fd, command, argument);
    errno = fault->error;
    return -1;
}

EXPORTED int pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                            void *(*run)(void *), void *argument) {
    NEXT(pthread_create);
    if (!fails(THREAD, &is_done)) return next(thread, attributes, run, argument);
    return fault->error;
}

/* ---------------------------------------------------------------- what is swept */

static const char *fault_in_words(void) {
    static const char *const modes[] = {"once", "from there on", "after it was done", "in part"};
    static char words[64];
    snprintf(words, sizeof words, "%s %s", fault->name, modes[mode]);
    return words;
}

static bool fits(int status, const step *s) {
    if (status == TYCHO_UNKNOWN_OUTCOME) return s->is_commit;
    if (mode == IN_PART) return status == TYCHO_FULL || status == TYCHO_IO;
    if (fault->error == EAGAIN) return status == TYCHO_NO_MEMORY;
    if (fault->call == LOCK && status == TYCHO_BUSY) return true; /* who only tries a lock */
    if (fault->error == ENOMEM) return status == TYCHO_NO_MEMORY || status == TYCHO_IO;
    if (fault->error == ENOSPC) return status == TYCHO_FULL || status == TYCHO_IO;
    return status == TYCHO_IO;
}

static void sweep(enum mode of) {
    char directory[DIRECTORY_SIZE];
    assert_int_equal(make_directory_in_memory(directory), 0);
    mode = of;
    is_lasting = mode == FROM_ON;
    for (int i = 0; i < FAULT_COUNT; i++) {
        fault = &FAULTS[i];
        bool is_written = fault->call <= WRITE && fault->error != ENOSPC && fault->error != EINTR;
        if (mode == IN_PART && !is_written) continue; /* one of each call */
        if (mode == FROM_ON && fault->error == EINTR) continue; /* who asks again asks for ever */
        sweep_calls(directory, SAMPLES);
    }
    remove_directory(directory);
}

static void one_call_fails(void **state) {
    (void)state;
    sweep(ONCE);
}

static void all_calls_fail_from_one_on(void **state) {
    (void)state;
    sweep(FROM_ON);
}

static void one_call_fails_after_it_was_done(void **state) {
    (void)state;
    sweep(AFTER_IT_WAS_DONE);
}

static void one_call_is_done_in_part(void **state) {
    (void)state;
    sweep(IN_PART);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_call_fails),
        cmocka_unit_test(all_calls_fail_from_one_on),
        cmocka_unit_test(one_call_fails_after_it_was_done),
        cmocka_unit_test(one_call_is_done_in_part),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
