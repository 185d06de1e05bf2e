/* nearest.h - the word that somebody may have meant: for the Lua module and the script host. */
#ifndef TYCHO_LUA_NEAREST_H
#define TYCHO_LUA_NEAREST_H

#include <stddef.h>

/* The name of `count` that is nearest to `word`, or NULL when none is near. Ties: the first. */
const char *tycho__nearest(const char *word, const char *const *names, size_t count);

#endif
