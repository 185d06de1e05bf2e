/* ways.h - table `links`: the ways back from events to the streams that they are linked into.
**
** The ways of neighbouring events that are settled at the same time share rows, up to
** TYCHO__ROW_WAYS each (measured: with four linkers, a row for each event was a quarter of what
** linking costs). Neighbours are the events of a group, which are TYCHO__GROUP positions from a
** multiple of it on, so that who looks for an event goes through the rows of its group. A row has
** its ways in the order of positions and is named by the first, and an event has one way from a
** stream at most, so no two rows can have the same name.
**
**   key    u64 position of the first   8 u32 stream of the same   12 u8 1
**   value  0 u32 checksum of the rest, seeded with the name   4 u8 last position - the first
**          5 varints: of the first way the revision, the number of the link; of each further one
**          its position - that before, stream, revision, zigzag of its link - that before
**
** Up to format 3 a row had the ways of one event, and no last byte of the key:
**
**   value  0 u64 revision   8 u64 number of the link; that was all in format 1
**          16 further ways: u32 stream, u64 revision, u64 number of the link
**
** Those rows are read, too; a row that loses a way is written anew as above.
*/
#ifndef TYCHO__WAYS_H
#define TYCHO__WAYS_H

#include "recent.h"

enum { TYCHO__ROW_WAYS = 32, TYCHO__GROUP = 8 };

typedef struct tycho__ways {
    uint32_t count;
    uint64_t positions[TYCHO__ROW_WAYS]; /* of one group, in rising order */
    tycho__way all[TYCHO__ROW_WAYS];
} tycho__ways;

/* Whether events are neighbours. */
static inline bool tycho__is_group(uint64_t a, uint64_t b) {
    return a / TYCHO__GROUP == b / TYCHO__GROUP;
}

/* Writes a row; there is at least one way. Makes the store one of format 4. */
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
