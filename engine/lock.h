/* lock.h - named locks; see lock.c. */
#ifndef TYCHO__LOCK_H
#define TYCHO__LOCK_H

#include "base.h"

struct tycho__env;
struct tycho_batch;

/* What a process knows of the locks of one store. NULL without memory; destroy takes NULL. */
struct tycho__locks *tycho__locks_create(void);
void tycho__locks_destroy(struct tycho__locks *locks);

/* Whether the locks that the batch demands are held now with the tokens that it names. Sets the
** facts of its receipt. CONDITION_FAILED, and those of looking. */
int tycho__locks_check(struct tycho__env *env, struct tycho_batch *batch);

#endif
