/* recent.h - what the log has and the indexes do not have yet.
**
** A commit appends to the log and nothing else: entries of streams, types and tags, ids and the
** ways back of links are settled into their tables later, many at a time and in order of their
** keys (settle.c), which costs a tenth of doing it event by event (measured: 30 k against 400 k
** durable events/s over 20,000 streams and 1,000 tags, in batches of 1,000). Until then they are
** here, in memory, and every look-up joins the two, so that an index is never stale.
**
** Nothing of it is on disk but what it is made from: the records behind `state.settled`, and table
** `pending` for links, which are not in the log. So it survives no crash and needs none.
**
**      position  1 ............ settled | settled + 1 ................ head
**                tables                 | log -> struct tycho__recent
**
** One object stands for one value of `state.settlements` and only grows. A snapshot sees of it
** what its own head allows, so readers of different age share it; when a commit settles, it begins
** a new object, and readers of older snapshots keep theirs. Other processes' commits are read from
** the log when a snapshot is found to know more than the object.
*/
#ifndef TYCHO__RECENT_H
#define TYCHO__RECENT_H

#include "env.h"
#include "record.h"

/* Kinds of lists here: enum tycho__kind, and this one: number = position of an event, ordinal =
** number of the stream it is linked into, value = revision there. */
enum { TYCHO__WAY_BACK = TYCHO__KINDS };

typedef struct tycho__recent tycho__recent;

/* The state under which all entries are seen: for what a write transaction adds itself. */
extern const tycho__state tycho__everything;

typedef struct tycho__recent_entry {
    uint64_t ordinal;
    uint64_t value; /* position << 1 | is_link */
    uint64_t link;  /* number of the link, 0: an appended event */
} tycho__recent_entry;

/* The entries of one list, for settle.c. */
typedef struct tycho__recent_list {
    uint8_t kind;
    uint64_t number;
    uint32_t count;
    uint32_t capacity;
    tycho__recent_entry *entries;
} tycho__recent_list;

tycho__recent *tycho__recent_create(void);
/* Gives up one's share of it; NULL is fine. */
void tycho__recent_release(tycho__recent *recent);

/* The object for a transaction, brought up to its snapshot; NULL in `*recent` when all is settled.
** The transaction keeps it until it ends. */
int tycho__recent_of(tycho__txn *txn, tycho__recent **recent);

/* Adding; of an object that nobody shares. NO_MEMORY. */
int tycho__recent_add(tycho__recent *recent, uint8_t kind, uint64_t number,
                      const tycho__recent_entry *entry);
int tycho__recent_add_id(tycho__recent *recent, tycho_bytes packed, bool is_uuid,
                         uint64_t position);

/* Takes what a transaction committed, so that it need not be read from the log again; or, when it
** settled, begins with that. Best effort: without memory the log will be read. */
void tycho__recent_commit(tycho__txn *txn);

/* How many entries of a list the snapshot sees. */
uint64_t tycho__recent_count(tycho__recent *recent, const tycho__state *state, uint8_t kind,
                             uint64_t number);

enum { TYCHO__RUN = 128 };

/* Copies a run of up to TYCHO__RUN entries of the list that has the kind and number of `wanted`:
** forward, from the first with an ordinal >= the given one; backward, up to the last with an
** ordinal <= it (in rising order, too). Gives how many. In a list of ways back, which has no
** order, `ordinal` is the index of the first. */
uint32_t tycho__recent_run(tycho__recent *recent, const tycho__state *state,
                           const tycho__recent_list *wanted, bool forward, uint64_t ordinal,
                           tycho__recent_entry to[TYCHO__RUN]);

/* The way back of one event from one stream. */
bool tycho__recent_way(tycho__recent *recent, const tycho__state *state, uint64_t position,
                       uint32_t stream, tycho__recent_entry *entry);

/* The next position that may have the id; start with 0. 0: no more. Its record must be asked. */
uint64_t tycho__recent_id(tycho__recent *recent, const tycho__state *state, tycho_bytes packed,
                          bool is_uuid, uint64_t after);

/* All lists, in the order of kinds and numbers; for settle.c, which alone holds the object then.
** The array is good until the object changes. NULL without memory. */
tycho__recent_list **tycho__recent_sorted(tycho__recent *recent, size_t *count);

/* Table `pending`: key u64 number of the link, value of this size: u64 head when it was made, u32
** stream, u64 revision, u64 position. */
enum { TYCHO__PENDING_SIZE = 28 };
int tycho__pending_put(tycho__txn *txn, uint64_t link, uint32_t stream, uint64_t revision,
                       uint64_t position);

#endif
