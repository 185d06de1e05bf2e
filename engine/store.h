/* store.h - the handle that users hold: an environment and this handle's own options. */
#ifndef TYCHO__STORE_H
#define TYCHO__STORE_H

#include "env.h"

struct tycho_store {
    tycho__env *env;
    tycho_options options; /* with the defaults put in */
    tycho_hooks hooks;
    char *temporary;      /* the directory to remove at the end, or NULL */
    atomic_uint children; /* cursors, snapshots, listings, followers, verifications */
};

/* MISUSE for NULL, TYCHO_FORKED for a handle of the parent. */
int tycho__store_check(const tycho_store *store);

#endif
