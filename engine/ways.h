/* ways.h - table `links`: the ways back from events to the streams that they are linked into.
**
** The ways of one event that are settled at the same time share rows, up to TYCHO__ROW_WAYS each:
** an event that four linkers link costs one row, not four (measured: a row each was 35 % of the
** instructions of a link). A row is named by its first way, and an event has one way from a stream
** at most, so no two rows can have the same name.
**
**   key    u64 position of the event   8 u32 stream of the first way
**   value  0 u64 revision   8 u64 number of the link; that was all in format 1
**          16 further ways: u32 stream, u64 revision, u64 number of the link
*/
#ifndef TYCHO__WAYS_H
#define TYCHO__WAYS_H

#include "recent.h"

enum { TYCHO__ROW_WAYS = 32 };

typedef struct tycho__ways {
    uint64_t position;
    uint32_t count;
    tycho__way all[TYCHO__ROW_WAYS];
} tycho__ways;

/* Writes a row; there is at least one way. */
int tycho__ways_put(tycho__txn *txn, const tycho__ways *ways);

/* Reads a row. CORRUPT. */
int tycho__ways_parse(tycho_bytes key, tycho_bytes value, tycho__ways *ways);

/* Copies up to `most` settled ways of an event, and gives how many there are. */
int tycho__ways_copy(tycho__txn *txn, uint64_t position, tycho__way *ways, size_t most,
                     size_t *count);

/* The settled way from one stream; and its removal. TYCHO_NOT_FOUND without a sentence. */
int tycho__ways_find(tycho__txn *txn, uint64_t position, uint32_t stream, tycho__way *way);
int tycho__ways_remove(tycho__txn *txn, uint64_t position, uint32_t stream);

#endif
