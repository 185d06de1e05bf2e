/* cursor.h - a read in progress; made by plan.c, moved by cursor.c.
**
** A cursor holds no transaction between two calls. It copies a block of records out of a snapshot,
** lets the snapshot go, and serves the block; the next block goes on behind the last ordinal. So no
** reader, however slow, pins pages of the file. Blocks begin small and grow, so that reading one
** event is cheap and a scan is fast.
**
** Where entries come from:
**   LOG      all positions              ordinal = position
**   STREAM   the list of a stream       ordinal = revision
**   QUERY    lists of types and tags    ordinal = position
**   ARRAY    an array made at opening (by ids, or sorted by time); nothing is left to filter
*/
#ifndef TYCHO__CURSOR_H
#define TYCHO__CURSOR_H

#include "query.h"
#include "store.h"
#include "stream.h"

enum tycho__source { TYCHO__FROM_LOG, TYCHO__FROM_STREAM, TYCHO__FROM_QUERY, TYCHO__FROM_ARRAY };

struct tycho_snapshot {
    tycho_store *store;
    tycho__txn *txn;
    bool has_held; /* its cursors borrow what the hooks hold: */
    void *held;
};

typedef struct tycho__item {
    tycho__entry entry;
    int64_t time; /* what is sorted by; 0 in the order of positions */
} tycho__item;

/* One event of the block. */
typedef struct tycho__slot {
    tycho__item item;
    int status;    /* CORRUPT when the record is */
    size_t offset; /* of the record in the block */
    size_t size;
    size_t
        type_offset; /* of the name of the type, when `type` is NULL; then that of content type */
    uint8_t type_size;
    uint8_t content_type_size;
    const tycho__type_name *type;
} tycho__slot;

struct tycho_cursor {
    tycho_store *store;
    tycho_snapshot *snapshot;
    enum tycho__source source;
    bool forward;
    bool is_sorted;     /* AS_AT or AS_OF */
    bool by_valid_time; /* AS_OF */
    bool is_done;
    bool is_empty; /* the stream has no entries */
    bool is_cut_off; /* the source is damaged where it ended */
    bool is_counting; /* records are neither copied nor, without a filter, read */
    bool has_hooks;   /* that see what is read */
    uint8_t order;
    tycho__name stream_name;
    uint32_t stream;                      /* number; 0: none */
    tycho__query *query;                  /* filter, and source of FROM_QUERY; NULL: none */
    tycho__entries *walk;                 /* of FROM_STREAM */
    uint64_t low, high;                   /* ordinals, inclusive; what is left of them */
    uint64_t end;                         /* the ordinal behind all that was there at opening */
    uint64_t position_low, position_high; /* further bounds in a stream */
    int64_t time_low, time_high;          /* inclusive */
    bool has_time_bounds;
    tycho__item *array;
    size_t array_count, array_at;
    uint64_t left; /* of the limit; UINT64_MAX: no limit */

    tycho__buffer block;
    tycho__slot *slots;
    size_t slot_count, slot_at; /* slot_at: the next to be served */
    tycho__item last;           /* that was served, for the key behind it */
    bool has_last;
    uint64_t passed;            /* of the place that it went on from */
    size_t block_events;        /* how many the next block may have */
    uint32_t ahead_count;       /* positions that were looked for together, */
    uint32_t ahead_at;          /* the first of them that was not read yet, */
    uint64_t ahead[TYCHO__AHEAD];
    const uint8_t *ahead_nodes[TYCHO__AHEAD]; /* and what was found of them, or NULL */
    uint64_t walked;            /* position of the transaction's cursor on events */
    bool is_viewed;             /* what follows is that */
    tycho__event_view view;     /* of the event served last */
    char ids[3][TYCHO_UUID_SIZE];
    tycho__name looked_up;
    uint64_t block_rules, rules; /* of the last block; of `held` (0 without hooks) */
    void *held;                  /* by the hooks for this cursor, or NULL */
    tycho__buffer room;
    tycho__buffer payload; /* of the event served last, decompressed */
    tycho__buffer packed;  /* of the same, where it is not as it is stored */
    uint8_t key[TYCHO_CURSOR_KEY_MAX];
};

enum { TYCHO__BLOCK_EVENTS = 1024, TYCHO__BLOCK_BYTES = 256 << 10 };

/* A transaction for the cursor: its snapshot's, or one to be given back. */
int tycho__cursor_begin(tycho_cursor *cursor, tycho__txn **txn);
void tycho__cursor_end(tycho_cursor *cursor, tycho__txn *txn);

/* The next entry of the source within the bounds, which are narrowed; the filter is applied.
** TYCHO_END. `*budget` counts down the entries looked at; 0: TYCHO_BUSY, go on later. */
int tycho__cursor_step(tycho_cursor *cursor, tycho__txn *txn, tycho__item *item,
                       tycho_bytes *record, uint32_t *budget);
/* Must be called with each new transaction, before stepping. */
int tycho__cursor_prepare(tycho_cursor *cursor, tycho__txn *txn);

/* Moves on without looking at the event: TYCHO_OK, TYCHO_END, or a failure. */
int tycho__cursor_advance(tycho_cursor *cursor);
/* Whether the record that it came to is sound: else CORRUPT. */
int tycho__cursor_look(const tycho_cursor *cursor);

/* Lets the hooks hold what they need for the rules of the last block (translate.c). */
int tycho__cursor_hold(tycho_cursor *cursor);
void tycho__cursor_release(tycho_cursor *cursor);

/* The same for a snapshot; no failure: where it is refused, its cursors are, too. */
void tycho__snapshot_hold(tycho_snapshot *snapshot);
void tycho__snapshot_let_go(tycho_snapshot *snapshot);
/* The items of the query with the former names of their types: `*wider`, to be freed, or NULL when
** there are none. */
int tycho__cursor_widen(tycho_cursor *cursor, const tycho_query *query, tycho_query **wider);

enum { TYCHO__CURSOR_KEY = 1, TYCHO__PLACE_KEY = 2 }; /* what keys begin with */
enum { TYCHO__KEY_SIZE = 26, TYCHO__PLACE_SIZE = 46 };

/* The place of a follower, and its key: 0 u8 2 (version), 1 u8 0 (order), 2 left, 10 next,
** 18 passed, 26 floor, 34 name, 42 u32 stream. A reader who resumes from it where the name leads to
** the same stream goes on at `next`; in another stream behind the event at `passed`, or, where that
** is not in it, at `next` when it looks like an image, else with the entries of higher positions;
** in a stream of the same name that was deleted and written again from its beginning. */
typedef struct tycho__place {
    uint64_t left;   /* of the limit; UINT64_MAX: no limit */
    uint64_t next;   /* the first ordinal that was not looked at */
    uint64_t passed; /* position of the event served last; before that, of the entry in front of
                     ** the first; 0: none */
    uint64_t floor;  /* in a stream, positions up to this one are left out; 0: none are */
    uint64_t name;   /* tycho__place_name(); 0: the log */
    uint32_t stream; /* its number; 0: it was not there */
} tycho__place;

/* What tells one resolved name of a stream from another. */
uint64_t tycho__place_name(const tycho__name *stream);
tycho_bytes tycho__place_encode(const tycho__place *place, uint8_t to[TYCHO_CURSOR_KEY_MAX]);
/* False, and nothing else, when the bytes are not a key of a follower. */
bool tycho__place_decode(tycho_bytes key, tycho__place *place);

#endif
