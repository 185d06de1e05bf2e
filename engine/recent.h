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
**      position  1 ............ settled | settled + 1 ................ head
**                tables                 | log -> struct tycho__recent
**
** One object stands for one value of `state.settlements` and only grows. A snapshot sees of it what
** its own head allows, so readers of different age share it, and the writer adds to it before it
** commits: nobody sees that yet, and an abort takes it out again. A commit that settles begins a
** new object; readers of older snapshots keep theirs. What other processes committed is read from
** the log when a snapshot is found to know more than the object.
*/
#ifndef TYCHO__RECENT_H
#define TYCHO__RECENT_H

#include "env.h"
#include "record.h"

/* Kinds of lists here: enum tycho__kind, and this one: number = position of an event, ordinal =
** number of the stream it is linked into, value = revision there. */
enum { TYCHO__WAY_BACK = TYCHO__KINDS };

enum { TYCHO__RUN = 128 };

typedef struct tycho__recent tycho__recent;
struct tycho__list;

typedef struct tycho__recent_entry {
    uint64_t ordinal;
    uint64_t value; /* position << 1 | is_link */
    uint64_t link;  /* number of the link, 0: an appended event */
} tycho__recent_entry;

/* The entries of one list, in the order of their commits. */
typedef struct tycho__recent_list {
    uint8_t kind;
    uint64_t number;
    uint32_t count;
    uint32_t capacity;
    tycho__recent_entry *entries;
} tycho__recent_list;

/* The id of an event. */
typedef struct tycho__recent_id {
    uint64_t hash;
    uint64_t position;
    const uint8_t *bytes; /* u8 is_uuid, packed id: the key of table `ids` */
    uint8_t size;
} tycho__recent_id;

/* Gives up one's share of an object; NULL is fine. */
void tycho__recent_release(tycho__recent *recent);

/* The object for a transaction, brought up to its snapshot; NULL in `*recent` when all is settled.
** The transaction keeps it until it ends. */
int tycho__recent_of(tycho__txn *txn, tycho__recent **recent);

/* ---------------------------------------------------------------- looking */

/* How many entries of a list the snapshot sees. */
uint64_t tycho__recent_count(tycho__recent *recent, const tycho__state *state, uint8_t kind,
                             uint64_t number);

/* Copies a run of up to TYCHO__RUN entries of the list that has the kind and number of `wanted`:
** forward, from the first with an ordinal >= the given one; backward, up to the last with an
** ordinal <= it (in rising order, too). Gives how many. In a list of ways back, which has no order,
** `ordinal` is the index of the first. */
uint32_t tycho__recent_run(tycho__recent *recent, const tycho__state *state,
                           const tycho__recent_list *wanted, bool forward, uint64_t ordinal,
                           tycho__recent_entry to[TYCHO__RUN]);

/* The way back of one event from one stream. */
bool tycho__recent_way(tycho__recent *recent, const tycho__state *state, uint64_t position,
                       uint32_t stream, tycho__recent_entry *entry);

/* The position of an id, 0 when it is not here. */
uint64_t tycho__recent_find_id(tycho__recent *recent, const tycho__state *state,
                               tycho_bytes packed, bool is_uuid);

/* ---------------------------------------------------------------- writing */

/* An entry to be added; `list` (may be NULL) is one in memory, which remembers its place here. */
typedef struct tycho__recent_item {
    struct tycho__list *list;
    uint8_t kind;
    uint64_t number;
    tycho__recent_entry entry;
} tycho__recent_item;

/* Adds what one event or link enters. `event` (NULL for a link) is the one whose id is new. */
int tycho__recent_put(tycho__txn *txn, const tycho__recent_item *items, uint32_t count,
                      const tycho__event_view *event);

/* For the beginning and the ends of a write transaction. */
void tycho__recent_begin(tycho__txn *txn);
void tycho__recent_commit(tycho__txn *txn);
void tycho__recent_abort(tycho__txn *txn);

/* For settle.c: all lists in the order of kinds and numbers (NULL without memory), and all ids in
** the order of positions; good until the object changes. Then the transaction goes on without. */
tycho__recent_list **tycho__recent_sorted(tycho__recent *recent, size_t *count);
const tycho__recent_id *tycho__recent_ids(const tycho__recent *recent, size_t *count);
void tycho__recent_settled(tycho__txn *txn);

/* Table `pending`: key u64 number of the link, value of this size: u64 head when it was made, u32
** stream, u64 revision, u64 position. */
enum { TYCHO__PENDING_SIZE = 28 };
int tycho__pending_put(tycho__txn *txn, uint64_t link, uint32_t stream, uint64_t revision,
                       uint64_t position);

#endif
