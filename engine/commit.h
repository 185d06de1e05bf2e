/* commit.h - the group of batches that share one flush; see commit.c. */
#ifndef TYCHO__COMMIT_H
#define TYCHO__COMMIT_H

#include "base.h"

struct tycho__env;

/* The queue of one environment. NULL without memory; destroy takes NULL. */
struct tycho__writer *tycho__writer_create(void);
void tycho__writer_destroy(struct tycho__writer *writer);

/* Commits of this process so far, and the batches in them. */
void tycho__writer_counts(struct tycho__writer *writer, uint64_t *commits, uint64_t *batches);

#endif
