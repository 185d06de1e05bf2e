/* pending.h - table `pending`: the links that are not settled (recent.h).
**
** Links are not in the log, so what other processes and the next ones need to know of them is here
** until they are settled. Links that were made at the same head, one after the other, share rows,
** as many as go into half a page; a batch whose links scatter over a thousand streams writes some.
**
**   key    u64 number of the first
**   value  0 u32 checksum of the rest, seeded with the number   4 u16 count of links | 0x8000
**          6 u64 head when they were made   14 runs of links of one stream with rising revisions:
**          varints of the stream, the revision of the first, how many, and for each the zigzag of
**          its position - that of the link before it in the row
**
** In format 1 a row had one run: 4 u16 count   6 u32 stream   10 u64 head   18 u64 revision
** 26 positions, as entries of a block (list.h). Those rows are read, too.
**
** A write transaction gathers a row until another one begins; no row has links of two transactions.
*/
#ifndef TYCHO__PENDING_H
#define TYCHO__PENDING_H

#include "list.h"

typedef struct tycho__pending_link {
    uint64_t position;
    uint64_t revision;
    uint32_t stream;
} tycho__pending_link;

enum { TYCHO__PENDING_MOST = 512 }; /* links in a row */

typedef struct tycho__pending {
    uint64_t link; /* number of the first */
    uint64_t head;
    uint32_t count;
    uint32_t left; /* of the bytes that a row should have, while it is being gathered */
    tycho__pending_link all[TYCHO__PENDING_MOST];
} tycho__pending;

/* Makes links of events into a stream, from this revision on: the next numbers are theirs. */
int tycho__pending_add(tycho__txn *txn, uint32_t stream, uint64_t revision,
                       const uint64_t *positions, uint32_t count);

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
