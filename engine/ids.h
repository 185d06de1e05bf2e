/* ids.h - table `ids`: from the ids of events to their positions.
**
** UUIDs that are neighbours in the order of bytes share rows, up to TYCHO__ROW_IDS each: a row for
** each id was 37 bytes an event, more than half of all indexes together, and is 12 so, where ids
** come in the order of time (measured: UUIDv7, 40 M events). Other ids have a row of their own.
**
**   key    u8 is_uuid, packed id; of the first of those that share it
**   value  u64 position: of one id alone. That was all up to format 4.
**          Or, of several: 0 u32 checksum of the rest, seeded with the key
**          4 u8 how many there are besides the first   5 u8 how many bytes all begin with
**          6 the ids besides the first without those, in their order
**          varints: position of the first; of each other zigzag of its position - that before
**
** An id is in the row with the last key that is not behind it, or nowhere.
*/
#ifndef TYCHO__IDS_H
#define TYCHO__IDS_H

#include "env.h"
#include "text.h"

enum { TYCHO__ROW_IDS = 32 };

/* A row, while ids are added to it. All are UUIDs, in their order, each with its position. */
typedef struct tycho__ids {
    uint32_t count;
    bool is_last;   /* it is behind all other rows */
    bool has_limit; /* what is not before `limit` goes to another row */
    uint8_t limit[TYCHO__UUID_BYTES];
    uint8_t ids[TYCHO__ROW_IDS + 1][TYCHO__UUID_BYTES];
    uint64_t positions[TYCHO__ROW_IDS + 1];
} tycho__ids;

/* The position of an id that is settled. TYCHO_NOT_FOUND without a sentence. CORRUPT. */
int tycho__ids_find(tycho__txn *txn, tycho_bytes packed, bool is_uuid, uint64_t *position);

/* Asks for the row that it would be in (place.h), of who writes to a large store. */
void tycho__ids_ask(tycho__txn *txn, tycho_bytes packed, bool is_uuid);

/* Adds an id that is not there (CORRUPT when it is). Those of one row are written together: when
** ids that rise come to another row, and by `end`. New ones have a `count` of 0. The first row of
** several makes the store one of format 5. */
int tycho__ids_add(tycho__txn *txn, tycho__ids *ids, tycho_bytes packed, bool is_uuid,
                   uint64_t position);
int tycho__ids_end(tycho__txn *txn, tycho__ids *ids);

/* How many ids a row has. CORRUPT. */
int tycho__ids_count(tycho_bytes key, tycho_bytes value, uint32_t *count);

#endif
