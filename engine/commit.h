/* commit.h - the group of batches that share one flush; see commit.c. */
#ifndef TYCHO__COMMIT_H
#define TYCHO__COMMIT_H

#include <stdbool.h>

#include "base.h"

struct tycho__env;

/* The queue of one environment. NULL without memory; destroy takes NULL. */
struct tycho__writer *tycho__writer_create(void);
void tycho__writer_destroy(struct tycho__writer *writer);

struct tycho_store;
/* When a process goes away: settles what is recent, if that is much, so that the next opening is
** quick. Best effort: nothing depends on it. */
void tycho__commit_settle(struct tycho_store *store);

/* The write path for something that is no batch, without waiting: false when anybody is there. */
bool tycho__commit_try_enter(struct tycho__env *env);
void tycho__commit_leave(struct tycho__env *env);

/* Commits a batch of the engine's own: with a flush, past hooks and deployed scripts. */
struct tycho_batch;
int tycho__commit_own(struct tycho_store *store, struct tycho_batch *batch);

/* Commits of this process so far, and the batches in them. */
void tycho__writer_counts(struct tycho__writer *writer, uint64_t *commits, uint64_t *batches);

#endif
