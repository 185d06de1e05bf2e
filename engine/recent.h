/* recent.h - what the log has and the indexes do not have yet.
**
** A commit appends to the log and nothing else: entries of streams, types and tags, ids and the
** ways back of links are settled into their tables later, many at a time and in the order of their
** keys (settle.c). That dirties each page once for many entries instead of once for each (measured:
** batches of 1,000 over 20,000 streams and 1,000 tags write 400 to 540 pages with every index in
** the commit, and 80 so). Until then they are here, in memory, and every look-up joins the two, so
** that an index is never stale.
**
** Nothing of it is on disk but what it is made from: the records behind `state.settled`, and table
** `pending` for links, which are not in the log. So it survives no crash and needs none.
**
** It has up to two generations (generation.h). When enough is recent, the generation is frozen: it
** gets no more entries, a new one begins behind it, and the commits that follow settle a slice of
** the frozen one each, in the order of kinds (streams, types, tags, ways back of links, ids) and
** keys, and note in the state how far they are. So no commit has to settle all of it.
**
**      position  1 ...... settled | settled + 1 .. + settling | ............... head
**                tables           | the frozen generation     | the newest one
**                                 | up to moved_kind and moved_number it is in the tables, too:
**                                 | that part of it is not looked at any more
**
** A generation only grows while it is the newest. A snapshot sees of it what its own head allows,
** so readers of different age share it, and the writer adds to it before it commits: nobody sees
** that yet, and an abort takes it out again. What other processes committed is read from the log
** when a snapshot is found to know more than the generation.
*/
#ifndef TYCHO__RECENT_H
#define TYCHO__RECENT_H

#include "env.h"
#include "generation.h"

/* In `moved_kind`, behind the kinds of lists (enum tycho__kind). */
enum { TYCHO__WAYS = TYCHO__KINDS, TYCHO__MOVED_IDS };

enum { TYCHO__RUN = 128 };

struct tycho__list;

/* Makes sure that the transaction has its generations, brought up to its snapshot. It keeps them
** until it ends. */
int tycho__recent_need(tycho__txn *txn);
void tycho__recent_drop(tycho__txn *txn);

/* ---------------------------------------------------------------- looking, after that */

/* How many entries of a list the snapshot sees here. */
uint64_t tycho__recent_count(tycho__txn *txn, uint8_t kind, uint32_t number);

/* No entry of a list that is here has a higher position. */
uint64_t tycho__recent_highest(tycho__txn *txn, uint8_t kind, uint32_t number);

/* The first position whose entry in the list of a type or tag is not settled. */
uint64_t tycho__recent_begin(const tycho__txn *txn, uint8_t kind, uint32_t number);

/* Entries of a list that follow each other, in rising order. */
typedef struct tycho__recent_run {
    uint64_t base; /* ordinal of the first */
    uint32_t count;
    uint64_t values[TYCHO__RUN];
} tycho__recent_run;

/* Finds a run of the list that `run` names: forward, from the first entry with an ordinal >= the
** given one; backward, up to the last with an ordinal <= it. Nothing found: a count of 0. */
typedef struct tycho__recent_wanted {
    uint8_t kind;
    uint32_t number;
    bool forward;
    uint64_t ordinal;
} tycho__recent_wanted;
void tycho__recent_find(tycho__txn *txn, const tycho__recent_wanted *wanted,
                        tycho__recent_run *run);

/* The ways back of an event that are not settled, in no order: copies up to `most`, gives how many
** there are. */
typedef struct tycho__way {
    uint32_t stream;
    uint64_t revision;
    uint64_t link; /* number, in the order of linking */
} tycho__way;
size_t tycho__recent_ways(tycho__txn *txn, uint64_t position, tycho__way *ways, size_t most);

/* The way back of one event from one stream. */
bool tycho__recent_find_way(tycho__txn *txn, uint64_t position, uint32_t stream, tycho__way *way);

/* The position of an id, 0 when it is not here. */
uint64_t tycho__recent_find_id(tycho__txn *txn, tycho_bytes packed, bool is_uuid);

/* ---------------------------------------------------------------- writing */

/* An entry to be added behind the last of its list, which remembers its place here. */
typedef struct tycho__recent_item {
    struct tycho__list *list;
    uint64_t ordinal;
    uint64_t position;
} tycho__recent_item;

/* Fetches where the next entry of a list goes, in two steps, 0 and 1. */
void tycho__recent_prefetch(const tycho__txn *txn, const struct tycho__list *list, size_t step);
/* Fetches where the writer looks for an id. */
void tycho__recent_prefetch_id(const tycho__txn *txn, tycho_bytes packed, bool is_uuid);

/* Adds what the next event enters; and the last `count` of the links made, into a stream. */
int tycho__recent_put_event(tycho__txn *txn, const tycho__recent_item *items, uint32_t count,
                            const tycho__event_view *event);
int tycho__recent_put_links(tycho__txn *txn, struct tycho__list *stream, uint64_t revision,
                            const uint64_t *positions, uint32_t count);

/* Lets readers look again at what is added to: at the end of a batch, and before this thread reads
** with another transaction, which would wait for ever. */
void tycho__recent_let_go(tycho__txn *txn);

/* For the beginning and the ends of a write transaction. */
void tycho__recent_mark(tycho__txn *txn);
void tycho__recent_commit(tycho__txn *txn);
void tycho__recent_abort(tycho__txn *txn);

/* For settle.c: the newest generation becomes the frozen one; the frozen one is settled. */
void tycho__recent_freeze(tycho__txn *txn);
tycho__generation *tycho__recent_frozen(const tycho__txn *txn);
void tycho__recent_settled(tycho__txn *txn);

/* The generations of the environment, for env.c; nobody uses it any more. */
void tycho__recent_forget(tycho__env *env);

#endif
