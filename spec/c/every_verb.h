/* every_verb.h - a short life of a store that uses every verb of tycho.h, for tests in which
** something fails on the way: memory (spec/fault/allocation_test.c), the disk (io_test.c).
**
** Each step is one commit, or one kind of read. It can be run again after it failed, gives the same
** hash of all that it was told whenever it succeeds, and frees what it made however it ends. Ids
** and times are given, so two lives are equal to the byte.
*/
#ifndef EVERY_VERB_H
#define EVERY_VERB_H

#include <stdbool.h>
#include <stdint.h>

#include "tycho.h"

typedef struct life {
    const char *path;
    tycho_store *store; /* opened by the first step */
    uint32_t sync;      /* level of the handle, enum tycho_sync */
    uint64_t hash;      /* of what this step was told */
    int line;           /* where a step was told something wrong */
} life;

/* A step was told something wrong: neither a failure nor what it should be told. */
enum { TOLD_WRONG = -1000 };

typedef struct step {
    const char *name;
    int (*run)(life *life);
    bool is_commit;
} step;

extern const step STEPS[];
extern const int STEP_COUNT;

/* The steps that follow, and that salvage the store while nobody writes (every_verb_follow.c). */
int follow_streams(life *l);
int salvage(life *l);

/* A hash of all that the store tells about itself; the store must be healthy. */
int hash_store(tycho_store *store, uint64_t *hash);
/* Findings of a verification; a status when it failed. */
int verify_store(tycho_store *store, uint64_t *findings);

#endif
