/* full_store.h - a store that has everything a store can have, made from a seed, and a list of all
** that it answers: for tests that damage it (spec/fault/damage_test.c, salvage_test.c).
**
** It has streams of all lengths with entries that were unlinked, cut off and deleted, links that
** are settled and links that are not, routes, rows, a deployed script, checkpoints, fences, stream
** metadata, overwritten events, large events in overflow pages, free pages, and tables of more than
** one page.
*/
#ifndef FULL_STORE_H
#define FULL_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tycho.h"

enum {
    FULL_STREAMS = 120,
    FULL_TYPES = 7,
    FULL_TAGS = 40,
    FULL_TABLES = 3,
    FULL_KEYS = 80,
    FULL_NAMES = 60
};

/* Makes a store in `path`, which must not exist. A status. */
int full_store_make(const char *path, uint64_t seed, int batches);

/* Opens it with hooks that do nothing, so that it may be written. */
int full_store_open(const char *path, uint32_t mode, tycho_store **store);

/* Appends one event. */
int full_store_append(tycho_store *store);

/* An answer to one question; the list of questions depends on `head` alone. `status` of an answer
** that was given is TYCHO_OK or one that is no failure (EVENT_NOT_FOUND ...). */
typedef struct answer {
    int32_t status;
    uint32_t count;
    uint64_t hash;
} answer;

size_t full_store_question_count(uint64_t head);
/* What a question is about, in words. */
void full_store_question(uint64_t head, size_t question, char *words, size_t size);
/* The question of what the log has at a position. */
size_t full_store_log_question(uint64_t position);
/* Asks all questions. Puts the number of the question that is being asked in `*at`. */
void full_store_ask(tycho_store *store, uint64_t head, answer *answers, volatile uint64_t *at);

#endif
