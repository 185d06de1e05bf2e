/* nth_call.h - the n-th call of one kind fails, once or all from there on: for one source file of a
** program, which defines the calls, and asks call_fails() in each.
*/
#ifndef TYCHO_SPEC_NTH_CALL_H
#define TYCHO_SPEC_NTH_CALL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static bool is_lasting; /* all calls fail from the n-th on */
static atomic_bool is_armed, has_failed;
static atomic_long calls, failing_call;

/* Counts a call of the kind that fails. Gives whether this one does. */
static bool call_fails(void) {
    if (!atomic_load(&is_armed)) return false;
    long n = atomic_fetch_add(&calls, 1), wanted = atomic_load(&failing_call);
    if (wanted < 0 || n < wanted || (n > wanted && !is_lasting)) return false;
    atomic_store(&has_failed, true);
    return true;
}

/* The n-th call from here on will fail; -1: none, they are counted. */
static void expect_failure(long n) {
    atomic_store(&calls, 0);
    atomic_store(&failing_call, n);
    atomic_store(&has_failed, false);
    atomic_store(&is_armed, true);
}

/* Where a sweep begins that takes every `stride`-th call: each at another, so that what the same
** life does at even distances is met by one of them. */
static inline long first_of_sweep(long stride) {
    static long sweeps;
    return 7 * sweeps++ % stride;
}

static bool is_full_sweep(void) {
    const char *wanted = getenv("TYCHO_SWEEP");
    return wanted != NULL && strcmp(wanted, "full") == 0;
}

#endif
