/* guard.h - pages of a large store, looked at before LMDB reads them for the first time.
**
** Small stores are inspected whole when they are opened (inspect.h). In larger ones the way to a
** key is gone here first, down to its leaf page and the two beside it, and each page on it is
** judged once: two bits per page say that it was. What processes write later is not looked at;
** damage is what happened on the disk before. So the first visit of a page costs about a
** microsecond, and each later look-up some 100 ns; in small stores it is one test of a pointer.
*/
#ifndef TYCHO__GUARD_H
#define TYCHO__GUARD_H

#include "inspect.h"

struct tycho__env;
struct tycho__txn;

typedef struct tycho__guard tycho__guard;

/* Where a transaction's snapshot begins. */
typedef struct tycho__guarded {
    bool is_on; /* its meta page was not written over before it was read */
    tycho__meta meta;
    tycho__tree trees[TYCHO__TABLES];
    bool has_tree[TYCHO__TABLES];
    const void *page[TYCHO__TABLES]; /* of the key that was found last */
} tycho__guarded;

/* `base` is where LMDB has mapped the file. NULL without memory. */
tycho__guard *tycho__guard_create(const uint8_t *base, uint32_t page_size, int file);
void tycho__guard_destroy(tycho__guard *guard);

/* Begins with the snapshot of a commit; makes `*guarded` when it is NULL. NO_MEMORY. */
int tycho__guard_begin(tycho__guard *guard, uint64_t commit, tycho__guarded **guarded);

/* Judges the pages around a key, before LMDB goes there. CORRUPT. */
enum tycho__guard_to { TYCHO__TO_KEY, TYCHO__TO_FIRST, TYCHO__TO_LAST };
int tycho__guard_look(tycho__guard *guard, tycho__guarded *guarded, tycho__table table,
                      tycho_bytes key, enum tycho__guard_to to);

/* The same for the key that LMDB found, when its page is not that of the one found before. */
int tycho__guard_found(tycho__guard *guard, tycho__guarded *guarded, tycho__table table,
                       tycho_bytes key);

#endif
