/* place.h - reading the tables of a commit without LMDB.
**
** A read transaction reads here, page by page as guard.h lets it, so that no page is looked at
** twice, and needs of LMDB only that nobody writes over its pages. A write transaction reads with
** LMDB, which has the pages that are not committed yet; in a large store it looks here first, at
** the trees of the commit before it.
**
**      nowhere --seek, first, last--> on a row <--next, previous--> on another
**         ^                              |
**         '------ CORRUPT; a commit -----'      (NOT_FOUND: seek is behind the last row,
**                                                next and previous stay where they are)
*/
#ifndef TYCHO__PLACE_H
#define TYCHO__PLACE_H

#include "guard.h"

/* All: TYCHO_NOT_FOUND, without a sentence; CORRUPT. What is given is good as long as the
** snapshot. From nowhere `next` goes to the first row, and `previous` to the last. */

int tycho__place_get(tycho__guarded *g, tycho__table table, tycho_bytes key, tycho_bytes *value);
/* To the first key that is not less; without bytes to the first of all. */
int tycho__place_seek(tycho__guarded *g, tycho__table table, tycho_bytes *key, tycho_bytes *value);
int tycho__place_next(tycho__guarded *g, tycho__table table, tycho_bytes *key, tycho_bytes *value);
int tycho__place_previous(tycho__guarded *g, tycho__table table, tycho_bytes *key,
                          tycho_bytes *value);
int tycho__place_last(tycho__guarded *g, tycho__table table, tycho_bytes *key, tycho_bytes *value);

/* How many rows a table has. */
int tycho__place_count(tycho__guarded *g, tycho__table table, uint64_t *count);

/* The tree of a table; NULL when it is empty or damaged. */
const tycho__tree *tycho__place_tree(tycho__guarded *g, tycho__table table);

/* Judges the pages on the way to a key, and the leaf pages beside that, before LMDB goes there:
** without bytes to the first key, with NULL to the last. CORRUPT. */
int tycho__place_look(tycho__guarded *g, tycho__table table, const tycho_bytes *key);

#endif
