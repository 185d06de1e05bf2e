/* stream.h - names to streams, ids to events, events to their entries. */
#ifndef TYCHO__STREAM_H
#define TYCHO__STREAM_H

#include "list.h"
#include "record.h"

enum { TYCHO__ROUTES_DEEP = 8, TYCHO__LINK_KEY = 12 };

/* A name that was copied, because views die with the next write. */
typedef struct tycho__name {
    uint8_t size;
    char bytes[TYCHO_NAME_MAX];
} tycho__name;

static inline tycho_bytes tycho__name_bytes(const tycho__name *name) {
    return tycho__bytes(name->bytes, name->size);
}

/* The stream that a name leads to, over up to TYCHO__ROUTES_DEEP routes; with `raw` the name
** itself. `*hops` (may be NULL) is how many routes that took. CORRUPT for a circle. */
int tycho__resolve(tycho__txn *txn, tycho_bytes name, bool raw, tycho__name *stream,
                   unsigned *hops);

/* The position of an event, EVENT_NOT_FOUND (with a sentence) when there is none. */
int tycho__event_find(tycho__txn *txn, const tycho__id *id, uint64_t *position);

/* Reads and verifies the record at a position. CORRUPT when it is not there. */
int tycho__event_load(tycho__txn *txn, uint64_t position, tycho__event_view *view);

/* The entry of an event in a stream. TYCHO_NOT_FOUND without a sentence. */
int tycho__entry_find(tycho__txn *txn, const tycho__list *stream, const tycho__event_view *event,
                      tycho__entry *entry);

/* The row of table `links` for an event in a stream. */
void tycho__link_key(uint8_t key[TYCHO__LINK_KEY], uint64_t position, uint32_t stream);

#endif
