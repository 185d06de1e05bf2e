/* failing_life.h - a life of a store (every_verb.h) in which the n-th call of one kind fails, for
** one source file of a program: that defines the calls, which ask call_fails(), and says what is
** failing.
**
** The step that meets the failure must say so, in a status that fits. Then the handle must go on,
** or say that the store must be opened again, and then that must help. What was acknowledged stays,
** what was refused is not there, an unknown outcome is one of the two. At the end the store is
** verified and tells the same as one without failures; no file is left open.
*/
#ifndef TYCHO_SPEC_FAILING_LIFE_H
#define TYCHO_SPEC_FAILING_LIFE_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "every_verb.h"
#include "nth_call.h"
#include "store_values.h"

enum { TRIES = 3 };

/* Of the program: what fails, in words; and whether a status tells of it. */
static const char *fault_in_words(void);
static bool fits(int status, const step *s);

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
    atomic_store(&is_armed, false);
    fail_msg("%s at call %ld, step \"%s\": %s (%s: %s, line %d of every_verb.c)", fault_in_words(),
             atomic_load(&failing_call), s->name, what, tycho_status_code(status), tycho_error(),
             l->line);
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

/* A step failed: all is whole again, is the store? Gives whether the step is done. */
static bool recover(life *l, const step *s, int status, uint64_t acknowledged) {
    if (!atomic_load(&has_failed)) fail_step(l, s, status, "fails without a reason");
    if (!fits(status, s)) fail_step(l, s, status, "answers wrongly");
    if (strlen(tycho_error()) == 0) fail_step(l, s, status, "says nothing");
    if (is_lasting) {
        int again = s->run(l);
        if (again != TYCHO_OK && !fits(again, s)) fail_step(l, s, again, "then answers wrongly");
        if (again == TYCHO_OK || again == TYCHO_UNKNOWN_OUTCOME) status = TYCHO_UNKNOWN_OUTCOME;
    }
    bool was_armed = atomic_exchange(&is_armed, false);
    uint64_t sequence = sequence_of(l, s);
    if (l->store != NULL && sequence < acknowledged) fail_step(l, s, status, "loses batches");
    bool is_there = l->store != NULL && s->is_commit && sequence > acknowledged;
    /* Tokens are reserved by a commit of the store's own, whatever becomes of the lock. */
    bool is_own = strcmp(s->name, "take a lock") == 0 && status != TYCHO_UNKNOWN_OUTCOME;
    if (is_there && !is_own && status != TYCHO_UNKNOWN_OUTCOME) {
        fail_step(l, s, status, "was refused, but is there");
    }
    atomic_store(&is_armed, was_armed && !is_lasting);
    return is_there && !is_own;
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

/* Lives once, with the n-th call failing; -1: none, and what is told then is kept. Gives the number
** of calls. */
static long live(const char *path, long n) {
    life l = {.path = path, .sync = TYCHO_SYNC_FULL};
    uint64_t findings = 1, hash = 0, acknowledged = 0;
    int files = open_files();
    expect_failure(n);
    for (int i = 0; i < STEP_COUNT; i++) {
        if (n < 0) {
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
    if (n < 0) told_at_end = hash;
    if (hash != told_at_end) fail_msg("%s at call %ld: another store", fault_in_words(), n);
    tycho_store_close(l.store);
    if (open_files() != files) fail_msg("%s at call %ld: a file stays open", fault_in_words(), n);
    remove_directory(path);
    return atomic_load(&calls);
}

/* A life for every n, or for `samples` of them unless the sweep is to be full. */
static void sweep_calls(const char *directory, long samples) {
    char path[DIRECTORY_SIZE + 8];
    snprintf(path, sizeof path, "%s/store", directory);
    long count = live(path, -1);
    long stride = is_full_sweep() || count < samples ? 1 : count / samples;
    for (long n = first_of_sweep(stride); n < count; n += stride) live(path, n);
}

#endif
