/* io_test.c - the disk fails: in a life of a store (every_verb.h), the n-th call of one kind
** (writing, flushing, allocating, opening, mapping, renaming) fails, for every kind and every n
** (sampled, unless TYCHO_SWEEP=full): once, from there on, once after it was carried out, or once
** in part (what is written is cut short, and the call says how much of it was).
**
** The step that meets the failure must say so, in a status that fits. Then the handle must go on,
** or say that the store must be opened again, and then that must help. What was acknowledged stays,
** what was refused is not there, an unknown outcome is one of the two. At the end the store is
** verified and tells the same as one whose disk never failed; no file is left open.
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
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "every_verb.h"
#include "store_values.h"

enum { SAMPLES = 12, TRIES = 3 };

/* ---------------------------------------------------------------- calls that fail */

enum call { PWRITE, WRITEV, WRITE, FDATASYNC, FSYNC, FTRUNCATE, FALLOCATE, OPEN, MMAP, RENAME };
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
    {RENAME, ENOSPC, "rename: ENOSPC"},
};
enum { FAULT_COUNT = sizeof FAULTS / sizeof *FAULTS };

static const struct fault *fault;
static enum mode mode;
static atomic_bool is_armed, has_failed;
static atomic_long calls, failing_call;

/* Counts the call. Gives whether it fails, and puts whether it is carried out first. */
static bool fails(enum call call, bool *is_done) {
    *is_done = true;
    if (!atomic_load(&is_armed) || fault->call != call) return false;
    long n = atomic_fetch_add(&calls, 1), wanted = atomic_load(&failing_call);
    if (wanted < 0 || n < wanted || (n > wanted && mode != FROM_ON)) return false;
    atomic_store(&has_failed, true);
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

/* ---------------------------------------------------------------- places */

static int open_files(void) {
    int count = 0;
    DIR *directory = opendir("/proc/self/fd");
    assert_non_null(directory);
    while (readdir(directory) != NULL) count++;
    closedir(directory);
    return count;
}

/* ---------------------------------------------------------------- one life */

static uint64_t told[64]; /* by each step of a life without failures */
static uint64_t told_at_end;

static void fail_step(const life *l, const step *s, int status, const char *what) {
    static const char *const modes[] = {"once", "from there on", "after it was done", "in part"};
    atomic_store(&is_armed, false);
    fail_msg("%s at call %ld %s, step \"%s\": %s (%s: %s, line %d of every_verb.c)", fault->name,
             atomic_load(&failing_call), modes[mode], s->name, what, tycho_status_code(status),
             tycho_error(), l->line);
}

static bool fits(int status, const step *s) {
    if (status == TYCHO_UNKNOWN_OUTCOME) return s->is_commit;
    if (mode == IN_PART) return status == TYCHO_FULL || status == TYCHO_IO;
    if (fault->error == ENOMEM) return status == TYCHO_NO_MEMORY || status == TYCHO_IO;
    if (fault->error == ENOSPC) return status == TYCHO_FULL || status == TYCHO_IO;
    return status == TYCHO_IO;
}

static void open_again(life *l) {
    tycho_options options = {.size = sizeof options, .mode = TYCHO_EXISTING};
    tycho_store_close(l->store);
    assert_int_equal(tycho_store_open(l->path, &options, &l->store), TYCHO_OK);
}

/* Batches that are there; opens the store again when it says that it must be. */
static uint64_t sequence_of(life *l, const step *s) {
    tycho_stats stats = {.size = sizeof stats};
    if (l->store == NULL) return 0;
    int status = tycho_stats_get(l->store, &stats);
    if (status != TYCHO_OK) {
        if (strstr(tycho_error(), "open it again") == NULL) {
            fail_step(l, s, status, "does not say what to do");
        }
        open_again(l);
        status = tycho_stats_get(l->store, &stats);
    }
    if (status != TYCHO_OK) fail_step(l, s, status, "cannot be read any more");
    return stats.sequence;
}

/* A step failed: the disk is whole again, is the store? Gives whether the step is done. */
static bool recover(life *l, const step *s, int status, uint64_t acknowledged) {
    if (!atomic_load(&has_failed)) fail_step(l, s, status, "fails without a reason");
    if (!fits(status, s)) fail_step(l, s, status, "answers wrongly");
    if (mode == FROM_ON) {
        int again = s->run(l);
        if (again != TYCHO_OK && !fits(again, s)) fail_step(l, s, again, "then answers wrongly");
        if (again == TYCHO_OK || again == TYCHO_UNKNOWN_OUTCOME) status = TYCHO_UNKNOWN_OUTCOME;
    }
    bool was_armed = atomic_exchange(&is_armed, false);
    uint64_t sequence = sequence_of(l, s);
    if (l->store != NULL && sequence < acknowledged) fail_step(l, s, status, "loses batches");
    bool is_there = l->store != NULL && s->is_commit && sequence > acknowledged;
    if (is_there && status != TYCHO_UNKNOWN_OUTCOME) {
        fail_step(l, s, status, "was refused, but is there");
    }
    atomic_store(&is_armed, was_armed && mode != FROM_ON);
    return is_there;
}

/* Runs a step until it succeeds; a broken store is opened again. */
static void run_step(life *l, const step *s, uint64_t wanted, uint64_t acknowledged) {
    for (int try = 0; try < TRIES; try++) {
        l->hash = 0;
        int status = s->run(l);
        if (status == TYCHO_OK && l->hash != wanted) fail_step(l, s, status, "tells wrongly");
        if (status == TYCHO_OK || recover(l, s, status, acknowledged)) return;
        if (try > 0 && strstr(tycho_error(), "open it again") != NULL) open_again(l);
    }
    fail_step(l, s, TYCHO_IO, "does not succeed any more");
}

/* Gives the number of calls. */
static long live(const char *path, long n, bool is_first) {
    life l = {.path = path, .sync = TYCHO_SYNC_FULL};
    uint64_t findings = 1, hash = 0, acknowledged = 0;
    int files = open_files();
    atomic_store(&calls, 0);
    atomic_store(&failing_call, n);
    atomic_store(&has_failed, false);
    atomic_store(&is_armed, true);
    for (int i = 0; i < STEP_COUNT; i++) {
        if (is_first) {
            l.hash = 0;
            assert_int_equal(STEPS[i].run(&l), TYCHO_OK);
            told[i] = l.hash;
        } else {
            run_step(&l, &STEPS[i], told[i], acknowledged);
        }
        if (STEPS[i].is_commit) acknowledged++;
    }
    atomic_store(&is_armed, false);
    open_again(&l);
    assert_int_equal(verify_store(l.store, &findings), TYCHO_OK);
    assert_int_equal(findings, 0);
    assert_int_equal(hash_store(l.store, &hash), TYCHO_OK);
    if (is_first) told_at_end = hash;
    if (hash != told_at_end) fail_msg("%s at call %ld: the store is another one", fault->name, n);
    tycho_store_close(l.store);
    if (open_files() != files) fail_msg("%s at call %ld: a file stays open", fault->name, n);
    return atomic_load(&calls);
}

static void sweep(enum mode of) {
    const char *wanted = getenv("TYCHO_SWEEP");
    bool is_full = wanted != NULL && strcmp(wanted, "full") == 0;
    char directory[DIRECTORY_SIZE], path[DIRECTORY_SIZE + 8];
    assert_int_equal(make_directory_in_memory(directory), 0);
    snprintf(path, sizeof path, "%s/store", directory);
    mode = of;
    for (int i = 0; i < FAULT_COUNT; i++) {
        fault = &FAULTS[i];
        bool is_written = fault->call <= WRITE && fault->error != ENOSPC && fault->error != EINTR;
        if (mode == IN_PART && !is_written) continue; /* one of each call */
        if (mode == FROM_ON && fault->error == EINTR) continue; /* who asks again asks for ever */
        long count = live(path, -1, true);
        long stride = is_full || count < SAMPLES ? 1 : count / SAMPLES;
        for (long n = 0; n < count; n += stride) {
            remove_directory(path);
            live(path, n, false);
        }
        remove_directory(path);
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
