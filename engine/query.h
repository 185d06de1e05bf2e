/* query.h - queries over types and tags: which events match, and the next one that does.
**
** A compiled query has numbers for names. Items with a name that the store has never seen cannot
** match an event that is there already and are left out, so a query holds for events up to the head
** at which it was compiled.
**
** As a source, it walks the lists of its tags (all must have the position) or of its types (any),
** for each item, and gives the nearest position over all items. What it gives must still be tested
** with tycho__query_matches(): an item with tags and types walks the tags alone.
*/
#ifndef TYCHO__QUERY_H
#define TYCHO__QUERY_H

#include "list.h"
#include "record.h"

typedef struct tycho__query tycho__query;

/* `list` has `count` items as step.h encodes them. */
int tycho__query_compile(tycho__txn *txn, tycho_bytes list, uint32_t count, tycho__query **query);
void tycho__query_free(tycho__query *query);

bool tycho__query_matches(const tycho__query *query, const tycho__event_view *event);

/* An item without names (or no items) matches every event: walk the log instead. */
bool tycho__query_is_everything(const tycho__query *query);

/* Must be called before the next two, and again when the transaction was renewed. */
int tycho__query_begin(tycho__query *query, tycho__txn *txn);
/* The first position >= (<=) the given one that may match. TYCHO_END. */
int tycho__query_from(tycho__query *query, uint64_t position, uint64_t *found);
int tycho__query_back(tycho__query *query, uint64_t position, uint64_t *found);
/* The positions from the given one on, or back, that are at hand: none when there is more than one
** name. Gives how many there are. */
uint32_t tycho__query_ahead(const tycho__query *query, bool forward, uint64_t position,
                            uint64_t *positions, uint32_t most);

#endif
