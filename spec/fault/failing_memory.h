/* failing_memory.h - the functions of allocation, of which the n-th call fails. They are defined
** here, and the program exports them, so that they pre-empt those of the C library for all that it
** is linked with. For one source file of a program.
*/
#ifndef TYCHO_SPEC_FAILING_MEMORY_H
#define TYCHO_SPEC_FAILING_MEMORY_H

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__)
#define REAL(name) __interceptor_##name
#else
#define REAL(name) __libc_##name
#endif
#define EXPORTED __attribute__((visibility("default")))

void *REAL(malloc)(size_t size);
void *REAL(calloc)(size_t count, size_t size);
void *REAL(realloc)(void *block, size_t size);
EXPORTED void *malloc(size_t size);
EXPORTED void *calloc(size_t count, size_t size);
EXPORTED void *realloc(void *block, size_t size);

/* Only threads that are armed meet failures: the sanitizers allocate in the start of a thread. */
static _Thread_local bool is_armed;
static atomic_bool is_lasting, has_failed;
static atomic_long calls, failing_call;

static bool must_fail(void) {
    if (!is_armed) return false;
    long call = atomic_fetch_add(&calls, 1), wanted = atomic_load(&failing_call);
    bool fails = wanted >= 0 && (atomic_load(&is_lasting) ? call >= wanted : call == wanted);
    if (!fails) return false;
    atomic_store(&has_failed, true);
    errno = ENOMEM;
    return true;
}

void *malloc(size_t size) {
    return must_fail() ? NULL : REAL(malloc)(size);
}

void *calloc(size_t count, size_t size) {
    return must_fail() ? NULL : REAL(calloc)(count, size);
}

void *realloc(void *block, size_t size) {
    return must_fail() ? NULL : REAL(realloc)(block, size);
}

/* The n-th allocation of armed threads will fail, and all behind it where it is lasting; -1: none,
** they are counted. */
static void fail_allocation(long n, bool lasting) {
    atomic_store(&calls, 0);
    atomic_store(&failing_call, n);
    atomic_store(&is_lasting, lasting);
    atomic_store(&has_failed, false);
}

#endif
