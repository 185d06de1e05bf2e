/* settle.h - moving what is recent (recent.h) into the indexes. */
#ifndef TYCHO__SETTLE_H
#define TYCHO__SETTLE_H

#include "recent.h"

/* Settles everything, also what this transaction added. What changes lists in the middle calls it
** first. Costs nothing when all is settled. */
int tycho__settle(tycho__txn *txn);

/* Begins to settle what is recent; what has begun to be settled before is then finished. The second
** does so when there is enough to make it cheap per entry. */
int tycho__settle_begin(tycho__txn *txn);
int tycho__settle_begin_when_due(tycho__txn *txn);

/* What events and links weigh against each other. A settlement visits the row of each list, however
** few entries it gets; where every event has four links, counting them as events would visit the
** rows of types and tags five times as often. */
enum { TYCHO__EVENT_WEIGHT = 4 };
static inline uint64_t tycho__weight(uint64_t events, uint64_t links) {
    return TYCHO__EVENT_WEIGHT * events + links;
}

/* Goes on to settle what has begun to be: the share that has this weight; or in proportion to the
** weight that the transaction added. */
int tycho__settle_slice(tycho__txn *txn, uint64_t wanted);
int tycho__settle_along(tycho__txn *txn, uint64_t added);

/* How many ids are in table `ids`. */
static inline uint64_t tycho__settled_ids(const tycho__state *state) {
    return state->settled + (state->moved_kind == TYCHO__MOVED_IDS ? state->moved_number : 0);
}

/* Whether a process that goes away should settle, so that the next need not read the log. */
bool tycho__is_worth_settling(const tycho__state *state);

#endif
