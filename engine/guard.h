/* guard.h - the trees of a commit, and their pages, judged before they are read the first time.
**
** Small stores are inspected whole when they are opened (inspect.h). In a larger one a byte per
** page says whether it was judged, and as which kind of page of which table. What processes write
** later is not judged: damage is what happened on the disk before. So the first visit of a page
** costs about a microsecond, and each later one a look at its head, which is read anyway. The bytes
** are 16 MiB at most: a page behind 64 GiB is judged at each visit, when it was there at opening.
*/
#ifndef TYCHO__GUARD_H
#define TYCHO__GUARD_H

#include "inspect.h"

typedef struct tycho__guard tycho__guard;

/* A row's place in the tree of a table: the pages on the way to it, and the node in each. */
typedef struct tycho__place {
    uint32_t depth; /* pages; 0: it is nowhere */
    bool is_last;   /* it is on the last leaf page */
    uint64_t low;   /* of who writes: the beginnings of the first and the last key there */
    uint64_t high;
    struct {
        const uint8_t *page;
        uint32_t index; /* on a leaf page also that behind its last node */
    } path[TYCHO__TREE_DEPTH_MAX];
} tycho__place;

/* What a transaction reads: the trees of one commit, and a place in each (place.h). */
typedef struct tycho__guarded {
    tycho__guard *guard;
    bool is_on; /* the rest is that of the commit in `meta` */
    tycho__meta meta;
    uint64_t end;   /* no page from here on can be read */
    uint32_t known; /* bits: `trees` has the tree of the table */
    tycho__tree trees[TYCHO__TABLES];
    tycho__place places[TYCHO__TABLES];
} tycho__guarded;

/* `base` is where LMDB has mapped the file, `is_whole` that it was inspected. NULL without
** memory. */
tycho__guard *tycho__guard_create(const uint8_t *base, uint32_t page_size, int file, bool is_whole);
void tycho__guard_destroy(tycho__guard *guard);
bool tycho__guard_is_whole(const tycho__guard *guard);

static inline bool tycho__guard_is_at(const tycho__guarded *guarded, uint64_t commit) {
    return guarded != NULL && guarded->is_on && guarded->meta.commit == commit;
}

/* Begins with a commit; makes `*guarded` when it is NULL. NO_MEMORY. CORRUPT when the meta page of
** that commit is none, which is also so when others write over it meanwhile: whether they may have
** is for the caller to find out, and `is_on` to be set to false then. */
int tycho__guard_begin(tycho__guard *guard, uint64_t commit, tycho__guarded **guarded);

/* Puts a page at a level of the path, whose levels above it lead there. CORRUPT. */
int tycho__guard_step(tycho__guarded *guarded, tycho__table table, tycho__place *place,
                      uint32_t level, uint64_t number);

/* A page, when it was judged as one of this kind of the table; else NULL. */
const uint8_t *tycho__guard_judged(const tycho__guarded *guarded, tycho__table table, bool is_leaf,
                                   uint64_t number);

/* The file as far as this commit goes, pages that are not judged too. */
tycho__image tycho__guard_image(const tycho__guarded *guarded);

/* The value of a leaf page's node in overflow pages of that number. CORRUPT. */
int tycho__guard_value(const tycho__guarded *guarded, tycho__table table, uint64_t number,
                       uint32_t size, tycho_bytes *value);

/* Whether the leaf pages beside one were judged, too. */
bool tycho__guard_is_surrounded(const tycho__guarded *guarded, const uint8_t *leaf);
void tycho__guard_surround(tycho__guarded *guarded, const uint8_t *leaf);

#endif
