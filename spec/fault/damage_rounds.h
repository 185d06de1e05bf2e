/* damage_rounds.h - what tests share that damage a store round by round (damage_test.c,
** salvage_test.c): the store while it is whole, what it answers then, the child process that lives
** with the damage, and complaints. To be included behind cmocka.h.
**
** TYCHO_ROUNDS says how many rounds (`make damage ROUNDS=... SEED=...`), TYCHO_SEED from which
** seed, TYCHO_ROUND that it is to be this round alone.
*/
#ifndef TYCHO_SPEC_DAMAGE_ROUNDS_H
#define TYCHO_SPEC_DAMAGE_ROUNDS_H

#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "damage_values.h"
#include "full_store.h"
#include "store_values.h"

enum { BATCHES = 260, HANG_S = 120, REPORTS_MAX = 8 };

static fixture good; /* the store, whole */
static uint64_t head;
static size_t questions;
static answer *answers; /* the right ones */
static char scratch[DIRECTORY_SIZE];
static unsigned failures;

static inline int make_good_store(void) {
    char path[DIRECTORY_SIZE + 16];
    tycho_store *store;
    volatile uint64_t at;
    if (make_directory(scratch) != 0) return -1;
    snprintf(path, sizeof path, "%s/good", scratch);
    int status = full_store_make(path, number_from("TYCHO_SEED", 1), BATCHES);
    if (status == TYCHO_OK) status = full_store_open(path, TYCHO_EXISTING, &store);
    if (status == TYCHO_OK) status = tycho_head(store, &head);
    if (status != TYCHO_OK) {
        print_error("making the store: %s\n", tycho_error());
        return -1;
    }
    questions = full_store_question_count(head);
    answers = calloc(questions, sizeof *answers);
    if (answers == NULL) return -1;
    full_store_ask(store, head, answers, &at);
    tycho_store_close(store);
    return fixture_read(&good, path);
}

static inline int remove_good_store(void) {
    free(answers);
    fixture_free(&good);
    return remove_directory(scratch);
}

/* Memory that parent and child share: so many bytes, then an answer to each question. */
static inline size_t shared_size(size_t size) {
    return size + questions * sizeof(answer);
}

static inline void *share(size_t size) {
    void *memory = mmap(NULL, shared_size(size), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return memory != MAP_FAILED ? memory : NULL;
}

/* A signal ends the child, whatever cmocka would make of it; so does a hang. */
static inline void let_signals_end(void) {
    static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    const struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) signal(signals[i], SIG_DFL);
    alarm(HANG_S);
}

static inline int verify(tycho_store *store, uint64_t *findings) {
    tycho_verification *verification;
    tycho_finding finding = {.findings = 0};
    int status = tycho_verification_open(store, &verification);
    if (status != TYCHO_OK) return status;
    while (status == TYCHO_OK) {
        status = tycho_verification_step(verification, &finding);
        if (finding.text.size > 0) {
            fprintf(stderr, "verify: %.*s\n", (int)finding.text.size,
                    (const char *)finding.text.data);
        }
    }
    tycho_verification_close(verification);
    *findings = finding.findings;
    return status == TYCHO_END ? TYCHO_OK : status;
}

/* Whether the child was told what the whole store answers. */
static inline bool is_right(const answer *told, size_t question) {
    return told[question].status == answers[question].status &&
           told[question].hash == answers[question].hash;
}

__attribute__((format(printf, 2, 3))) static inline void complain(const damage *d,
                                                                  const char *format, ...) {
    char words[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    if (failures++ < REPORTS_MAX) print_error("round %u, %s: %s\n", d->round, d->words, words);
}

/* How many rounds. */
static inline unsigned run_rounds(void (*run)(uint64_t seed, unsigned round), unsigned usual) {
    unsigned rounds = (unsigned)number_from("TYCHO_ROUNDS", usual);
    unsigned only = (unsigned)number_from("TYCHO_ROUND", 0);
    for (unsigned round = 1; round <= rounds; round++) {
        if (only == 0 || only == round) run(number_from("TYCHO_SEED", 1), round);
    }
    return rounds;
}

#endif
