/* pending.h - table `pending`: the links that are not settled (recent.h).
**
** Links are not in the log, so what other processes and the next ones need to know of them is here
** until they are settled. Links of one stream that follow each other, made at the same head, share
** a row:
**
**   key    u64 number of the first
**   value  0 u32 checksum of the rest, seeded with the number   4 u16 count of links
**          6 u32 stream   10 u64 head when they were made   18 u64 revision of the first
**          26 their positions, as entries of a block (list.h)
**
** A write transaction gathers a row until another one begins; no row has links of two transactions.
*/
#ifndef TYCHO__PENDING_H
#define TYCHO__PENDING_H

#include "list.h"

typedef struct tycho__pending {
    uint64_t link; /* number of the first */
    uint64_t head;
    uint64_t revision;
    uint32_t stream;
    uint32_t count;
    uint64_t values[TYCHO__BLOCK]; /* position << 1 | 1 */
} tycho__pending;

/* Adds the link number state.links_made. */
int tycho__pending_add(tycho__txn *txn, uint32_t stream, uint64_t revision, uint64_t position);

/* Writes the row that is being gathered; before the end of a transaction, and before settling. */
int tycho__pending_write(tycho__txn *txn);

/* The row that begins with a link. CORRUPT when it is not there. */
int tycho__pending_read(tycho__txn *txn, uint64_t link, tycho__pending *row);

/* Parses a row. CORRUPT. */
int tycho__pending_parse(tycho_bytes key, tycho_bytes value, tycho__pending *row);

/* Removes the rows of `count` links from `link` on. */
int tycho__pending_remove(tycho__txn *txn, uint64_t link, uint64_t count);

/* How many links the table has. */
int tycho__pending_count(tycho__txn *txn, uint64_t *count);

#endif
