/* guard.h - the trees of a commit, and their pages, judged before they are read the first time.
**
** Small stores are inspected whole when they are opened (inspect.h). In a larger one a byte per
** page says whether it was judged, and as which kind of page of which table. What processes write
** later is not judged: damage is what happened on the disk before. So the first visit of a page
** costs about a microsecond, and each later one a look at its head, which is read anyway. There are
** at most `marks_max` of these bytes (16 Mi, for 64 GiB): a page behind them that was there at
** opening is judged at each visit.
**
** The system reads much around a page that is not in memory, 128 KiB mostly, up to megabytes. Where
** the file does not fit into memory, that costs more than it brings, and drives out pages that are
** needed (measured: durable batches into random streams of a cold store of 40 M events read 140 MB
** a batch so, and 2.5 MB without). So in a store larger than half of the memory it reads what is
** asked for, and who goes from leaf to leaf asks for some ahead (place.c).
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
    uint32_t crossed; /* how often it went from leaf to leaf since it came from the root, */
    uint32_t asked;   /* and how many leaf pages ahead were asked for */
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

/* `base` is where LMDB has mapped the file, `map_size` the address space that it took for it,
** `is_whole` that it was inspected. 0 marks at most: the default. NULL without memory. */
tycho__guard *tycho__guard_create(const uint8_t *base, uint64_t map_size, uint32_t page_size,
                                  int file, bool is_whole, uint64_t marks_max);

/* Looks whether the file has become large; who reads does so by itself when it grows. And whether
** it was, and reading pages that will be needed soon, without waiting for them. */
void tycho__guard_see_size(tycho__guard *guard);
bool tycho__guard_is_large(const tycho__guard *guard);
void tycho__guard_read_around(tycho__guard *guard, bool is_wanted); /* while all is read */
/* Whether this thread had to wait for pages lately. Who has many keys to look for then asks for the
** pages of all of them first, so that the disk reads them at once; else that is a waste of time. */
bool tycho__guard_is_cold(const tycho__guard *guard);
void tycho__guard_ask(const tycho__guard *guard, uint64_t number, uint64_t count);
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
