/* settle.h - moving what is recent (recent.h) into the indexes. */
#ifndef TYCHO__SETTLE_H
#define TYCHO__SETTLE_H

#include "recent.h"

/* Settles everything, also what this transaction added. What changes lists in the middle calls it
** first. Costs nothing when all is settled. */
int tycho__settle(tycho__txn *txn);

/* Settles when there is enough to make it cheap per entry. */
int tycho__settle_when_due(tycho__txn *txn);

/* Whether a process that goes away should settle, so that the next need not read the log. */
bool tycho__is_worth_settling(const tycho__state *state);

#endif
