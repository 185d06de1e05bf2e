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

/* The value of the number behind the one where the place is, for who walks numbers without gaps:
** one test a row. False, and the place stays, when it is not behind it on the same page, or not on
** the page as a whole; tycho__place_get() then knows. */
static inline bool tycho__place_follow(tycho__guarded *g, tycho__table table, uint64_t number,
                                       tycho_bytes *value) {
    tycho__place *place = &g->places[table];
    if (place->depth == 0) return false;
    const uint8_t *page = place->path[place->depth - 1].page;
    uint32_t index = place->path[place->depth - 1].index + 1;
    if (index >= tycho__node_count(page)) return false;
    const uint8_t *node = page + tycho__load16(page + TYCHO__PAGE_HEAD + 2 * index);
    bool is_whole = tycho__load16(node + 4) == 0 && tycho__load16(node + 6) == sizeof number;
    if (!is_whole || tycho__load64(node + TYCHO__NODE_HEAD) != number) return false;
    place->path[place->depth - 1].index = index;
    *value = tycho__bytes(node + TYCHO__NODE_HEAD + sizeof number, tycho__load32(node));
    return true;
}

/* All: TYCHO_NOT_FOUND, without a sentence; CORRUPT. What is given is good as long as the
** snapshot. From nowhere `next` goes to the first row, and `previous` to the last. */

int tycho__place_get(tycho__guarded *g, tycho__table table, tycho_bytes key, tycho_bytes *value);
/* To the first key that is not less; without bytes to the first of all. */
int tycho__place_seek(tycho__guarded *g, tycho__table table, tycho_bytes *key, tycho_bytes *value);
/* To the last key that is not greater. */
int tycho__place_seek_back(tycho__guarded *g, tycho__table table, tycho_bytes *key,
                           tycho_bytes *value);
int tycho__place_next(tycho__guarded *g, tycho__table table, tycho_bytes *key, tycho_bytes *value);
int tycho__place_previous(tycho__guarded *g, tycho__table table, tycho_bytes *key,
                          tycho_bytes *value);
int tycho__place_last(tycho__guarded *g, tycho__table table, tycho_bytes *key, tycho_bytes *value);

/* How many rows a table has. */
int tycho__place_count(tycho__guarded *g, tycho__table table, uint64_t *count);

/* Asks for the leaf page of a key, so that it is being read when somebody goes there, and for those
** beside it, as who writes looks at them, too. What is damaged is told then. */
void tycho__place_ask(tycho__guarded *g, tycho__table table, tycho_bytes key);

/* The tree of a table; NULL when it is empty or damaged. */
const tycho__tree *tycho__place_tree(tycho__guarded *g, tycho__table table);

/* Judges the pages on the way to a key, and the leaf pages beside that, before LMDB goes there:
** without bytes to the first key, with NULL to the last. CORRUPT. */
int tycho__place_look(tycho__guarded *g, tycho__table table, const tycho_bytes *key);

#endif
