/* damage_test.c - pages of a store are damaged on the disk: bits flipped, bytes, sectors and pages
** overwritten, zeroed, copied over each other and swapped, the file cut off, in pages of every kind
** of every table. Each round damages a copy of a store that has everything (full_store.h) in one
** place, and lets a child process open it, ask it everything, verify it, append to it, and open it
** again.
**
** The child must end by itself, and soon: no signal, no assertion. What it is told is right, or an
** error, or else `verify` must have found something; an event of the log is never told wrong. What
** tables hold without a checksum of their own (UNPROVED) may be told wrong and is counted apart.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <sys/wait.h>
#include <unistd.h>

#include "damage_rounds.h"

enum { ROUNDS = 200 };

/* What the child tells, in memory that it shares with its parent. */
struct told {
    volatile uint64_t at; /* the question that it asks */
    volatile int step;    /* what it does */
    int opened, asked_again, verified, appended;
    uint64_t findings;
    answer answers[];
};
static const char *const STEPS[] = {"opening",   "asking",        "verifying",
                                    "appending", "opening again", "the end"};

static struct told *told;

/* ---------------------------------------------------------------- the child */

static void live(const char *path) {
    tycho_store *store;
    uint64_t now;
    let_signals_end();
    told->step = 0;
    told->opened = full_store_open(path, TYCHO_EXISTING, &store);
    if (told->opened != TYCHO_OK) return;
    told->step = 1;
    full_store_ask(store, head, told->answers, &told->at);
    told->step = 2;
    told->verified = verify(store, &told->findings);
    told->step = 3;
    told->appended = full_store_append(store);
    if (told->appended == TYCHO_OK) told->appended = tycho_head(store, &now);
    tycho_store_close(store);
    told->step = 4;
    told->asked_again = full_store_open(path, TYCHO_EXISTING, &store);
    if (told->asked_again == TYCHO_OK) tycho_store_close(store);
    told->step = 5;
}

/* ---------------------------------------------------------------- judging */

static struct { unsigned rounds, refused, clean, told, found, unproved; } counts;

static bool is_error(int status) {
    return status == TYCHO_CORRUPT || status == TYCHO_NEWER_FORMAT;
}

/* Tables that hold something without a checksum: what they tell cannot be proved by `verify`. Nor
** can it be known that the main table is that of an earlier commit, when its page is. */
static bool is_unproved(const damage *d) {
    if (d->is_older && d->table == TYCHO__MAIN) return true;
    return d->table == TYCHO__ROUTES || d->table == TYCHO__CHECKPOINTS ||
           d->table == TYCHO__STREAM_METADATA || d->table == TYCHO__FENCES;
}

/* Looks at all answers: what is told wrong without an error must have been found. */
static void judge_answers(const damage *d) {
    unsigned errors = 0, wrong = 0;
    size_t first = 0;
    bool is_found = told->findings > 0 || is_error(told->verified);
    for (size_t i = 0; i < questions; i++) {
        const answer *a = &told->answers[i];
        if (is_right(told->answers, i)) continue;
        if (is_error(a->status)) {
            errors++;
            continue;
        }
        char question[128];
        full_store_question(head, i, question, sizeof question);
        bool is_log = i <= full_store_log_question(head);
        if (is_log && !(d->is_older && d->table == TYCHO__MAIN)) {
            complain(d, "%s is told wrong (%s)", question, tycho_status_code(a->status));
        }
        if (wrong++ == 0) first = i;
    }
    if (wrong > 0 && !is_found && !is_unproved(d)) {
        char question[128];
        full_store_question(head, first, question, sizeof question);
        complain(d, "%u answers are wrong, nobody says so; the first is %s (%s)", wrong, question,
                 tycho_status_code(told->answers[first].status));
    }
    counts.unproved += wrong > 0 && !is_found && is_unproved(d);
    counts.told += errors > 0;
    counts.found += is_found;
    counts.clean += errors == 0 && wrong == 0 && !is_found;
}

static void judge(const damage *d, int ended) {
    counts.rounds++;
    if (WIFSIGNALED(ended)) {
        char question[128] = "";
        if (told->step == 1) full_store_question(head, told->at, question, sizeof question);
        complain(d, "%s ends by signal %d (%s)", STEPS[told->step], WTERMSIG(ended), question);
    } else if (WEXITSTATUS(ended) != 0) {
        complain(d, "%s ends with %d", STEPS[told->step], WEXITSTATUS(ended));
    } else if (told->opened != TYCHO_OK) {
        counts.refused++;
        if (!is_error(told->opened)) {
            complain(d, "opening gives %s", tycho_status_code(told->opened));
        }
    } else {
        judge_answers(d);
        if (told->verified != TYCHO_OK && !is_error(told->verified)) {
            complain(d, "verifying gives %s", tycho_status_code(told->verified));
        }
        if (told->appended != TYCHO_OK && !is_error(told->appended)) {
            complain(d, "appending gives %s", tycho_status_code(told->appended));
        }
        if (told->asked_again != TYCHO_OK && !is_error(told->asked_again)) {
            complain(d, "opening again gives %s", tycho_status_code(told->asked_again));
        }
    }
}

/* ---------------------------------------------------------------- rounds */

static void run_round(uint64_t seed, unsigned round) {
    char path[DIRECTORY_SIZE + 16];
    damage d;
    int ended;
    snprintf(path, sizeof path, "%s/store", scratch);
    fixture hurt = fixture_copy(&good);
    damage_make(&d, &hurt, seed, round);
    assert_int_equal(fixture_write(&hurt, path), 0);
    free(hurt.bytes);
    told->step = 0;
    told->verified = 0;
    told->findings = 0;
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (freopen("/dev/null", "w", stderr) == NULL) _exit(99); /* assertions of LMDB */
        live(path);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &ended, 0), child);
    judge(&d, ended);
}

static void damaged_pages_are_told_or_do_no_harm(void **state) {
    (void)state;
    run_rounds(run_round, ROUNDS);
    print_message("# seed %llu: %u rounds, %u stores refused, %u answered with errors, %u found by "
                  "verify, %u answered all right, %u told wrong from tables without checksums\n",
                  (unsigned long long)number_from("TYCHO_SEED", 1), counts.rounds, counts.refused,
                  counts.told, counts.found, counts.clean, counts.unproved);
    assert_int_equal(failures, 0);
}

static int set_up(void **state) {
    (void)state;
    if (make_good_store() != 0) return -1;
    told = share(sizeof *told);
    return told != NULL ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    munmap(told, shared_size(sizeof *told));
    return remove_good_store();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damaged_pages_are_told_or_do_no_harm),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
