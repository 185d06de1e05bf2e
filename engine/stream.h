/* stream.h - names to streams, ids to events, events to their entries. */
#ifndef TYCHO__STREAM_H
#define TYCHO__STREAM_H

#include "list.h"
#include "recent.h"

/* A name that was copied, because views die with the next write. */
typedef struct tycho__name {
    bool is_closed; /* resolved over a closed route: nobody may write there by this name */
    uint8_t size;
    char bytes[TYCHO_NAME_MAX];
} tycho__name;

static inline tycho_bytes tycho__name_bytes(const tycho__name *name) {
    return tycho__bytes(name->bytes, name->size);
}

/* The stream that a name leads to over routes; with `raw` the name itself. CORRUPT for a circle, of
** which the first one says TYCHO_END, without a sentence. */
int tycho__follow_routes(tycho__txn *txn, tycho_bytes name, bool raw, tycho__name *stream);
int tycho__resolve(tycho__txn *txn, tycho_bytes name, bool raw, tycho__name *stream);

/* A row of table `routes` is the name it leads to; a closed one has a byte 0 in front of it. */
static inline bool tycho__route_parse(tycho_bytes row, tycho_bytes *target) {
    const uint8_t *name = row.data;
    bool is_closed = row.size > 0 && name[0] == 0;
    *target = is_closed ? tycho__bytes(name + 1, row.size - 1) : row;
    return is_closed;
}

/* The position of a packed id. TYCHO_NOT_FOUND without a sentence. */
int tycho__id_look_up(tycho__txn *txn, tycho_bytes packed, bool is_uuid, uint64_t *position);

/* The position of an event, EVENT_NOT_FOUND (with a sentence) when there is none. */
int tycho__event_find(tycho__txn *txn, const tycho__id *id, uint64_t *position);

/* Reads and verifies the record at a position. CORRUPT when it is not there. */
int tycho__event_load(tycho__txn *txn, uint64_t position, tycho__event_view *view);

/* The entry of an event in a stream. TYCHO_NOT_FOUND without a sentence. */
int tycho__entry_find(tycho__txn *txn, const tycho__list *stream, const tycho__event_view *event,
                      tycho__entry *entry);

/* The links of an event: its streams and revisions there, settled ones first; at most `most`. Gives
** how many there are, which may be more. */
int tycho__ways_back(tycho__txn *txn, uint64_t position, tycho__way *ways, size_t most,
                     size_t *count);

/* The revision of an event that is linked into a stream. TYCHO_NOT_FOUND without a sentence. */
int tycho__link_find(tycho__txn *txn, uint64_t position, uint32_t stream, uint64_t *revision);

#endif
