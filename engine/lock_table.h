/* lock_table.h - what processes tell each other about named locks: <store>/lock_table.
**
** A mapped file of words, made lazily by the first lock of a store. It gives the tokens, says who
** holds what, and puts waiters in a row. Whether a lock is free is not its business: the kernel
** knows that (gate.h). So nothing in it can break the exclusion, and it may be deleted at any time.
** It is made anew when it is missing or too short, when it is from an earlier boot of the machine,
** and when it is a copy of another file. Tokens then begin behind the highest one that the state
** row of the store has reserved (`tokens`), so that they go on rising.
**
**   header    magic, boot, device, inode, next token, highest token that is reserved
**   buckets   for the locks whose hash has the same last bits: a word that changes with each
**             release, on which the waiters sleep, and how many they are
**   holds     token (0: the slot is free), hash, facts of the owner
**   waits     ticket (0: free), hash, heartbeat, owner
**
** A slot of the holds is claimed, with its token, by who has the lock's byte; so what it finds
** there for the same hash was left by somebody who died. A waiter tells every few milliseconds that
** it lives; the others pass over one that was silent for PASSED_OVER_MS and give up its place after
** GIVEN_UP_MS (a stopped process; when it goes on, it queues up again).
*/
#ifndef TYCHO__LOCK_TABLE_H
#define TYCHO__LOCK_TABLE_H

#include "env.h"

typedef struct tycho__lock_table {
    struct tycho__lock_pages *pages;
    uint64_t device, inode;
    struct tycho__lock_table *older; /* one that was deleted, but may still be in use */
} tycho__lock_table;

/* Opens the table, making it where that is needed and asked for; else `*table` is NULL when there
** is none. BUSY, DENIED, FULL, IO, NO_MEMORY, and those of reading. */
int tycho__lock_table_open(tycho__env *env, bool may_make, tycho__lock_table **table);
void tycho__lock_table_close(tycho__lock_table *table);

/* Whether it is still the one that others would open. */
bool tycho__lock_table_is_current(const tycho__lock_table *table, const tycho__env *env);

/* ---------------------------------------------------------------- tokens */

/* A token, or 0 when more must be reserved: committed first, then told here. `next` is the one that
** would come now. */
uint64_t tycho__lock_table_take_token(tycho__lock_table *table);
uint64_t tycho__lock_table_next_token(const tycho__lock_table *table);
bool tycho__lock_table_has_tokens(const tycho__lock_table *table);
void tycho__lock_table_set_reserved(tycho__lock_table *table, uint64_t tokens);

/* ---------------------------------------------------------------- holds */

typedef struct tycho__owner { /* a thread: process and thread number */
    uint32_t pid, thread;
} tycho__owner;

typedef struct tycho__hold {
    int64_t since;
    tycho__owner owner;
    char name[TYCHO_NAME_MAX + 1]; /* NUL at the end */
    char host[72];
} tycho__hold;

enum { TYCHO__NO_SLOT = TYCHO_LOCKS_MAX };

/* Claims a slot. The caller has the byte of the lock. TYCHO__NO_SLOT when all are taken. */
uint32_t tycho__lock_table_claim(tycho__lock_table *table, uint64_t hash, uint64_t token,
                                 const tycho__hold *hold);
void tycho__lock_table_clear(tycho__lock_table *table, uint32_t slot, uint64_t token);

/* The slots from `slot` on: the first that is in use, or TYCHO__NO_SLOT. */
uint32_t tycho__lock_table_next(const tycho__lock_table *table, uint32_t slot, uint64_t *hash,
                                uint64_t *token);
/* What the slot says, if it is still of this token and wholly written. */
bool tycho__lock_table_read(const tycho__lock_table *table, uint32_t slot, uint64_t token,
                            tycho__hold *hold);
/* The slot of a hash, or TYCHO__NO_SLOT. */
uint32_t tycho__lock_table_find(const tycho__lock_table *table, uint64_t hash, uint64_t *token);
/* Frees a slot that was left behind by a dead owner. */
void tycho__lock_table_sweep(tycho__lock_table *table, uint32_t slot, uint64_t token);

/* ---------------------------------------------------------------- waits */

typedef struct tycho__waiter {
    tycho__lock_table *table;
    uint64_t hash;
    uint64_t ticket; /* 0: not in the row */
    uint32_t slot;
    tycho__owner owner;
} tycho__waiter;

/* Whether anybody waits for the lock, and how many do. */
bool tycho__lock_table_is_awaited(const tycho__lock_table *table, uint64_t hash);
uint32_t tycho__lock_table_waiters(const tycho__lock_table *table, uint64_t hash);

/* Queues up. TOO_LARGE when all slots are taken. */
int tycho__waiter_queue(tycho__waiter *waiter);
/* Tells that the waiter lives, queueing up again when it was given up, and whether it is the
** first of those that do. TOO_LARGE. */
int tycho__waiter_look(tycho__waiter *waiter, bool *is_first);
void tycho__waiter_leave(tycho__waiter *waiter);

/* What changes with each release: ask for it, then look, then sleep until it is another value. */
uint32_t tycho__waiter_releases(const tycho__waiter *waiter);
void tycho__waiter_sleep(const tycho__waiter *waiter, uint32_t releases, int64_t timeout_ms);
/* Wakes the waiters of a lock (and of those in its bucket). */
void tycho__lock_table_wake(tycho__lock_table *table, uint64_t hash);

/* The hash that a thread waits for. */
bool tycho__lock_table_wait_of(const tycho__lock_table *table, tycho__owner owner, uint64_t *hash);

#endif
