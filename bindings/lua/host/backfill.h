/* backfill.h - what the files of back-filling share; see section 8 of tycho_scripts.h.
**
**     NEW --> LINKING --last batch--> DONE                     a new linker
**
**     NEW --> LINKING <--> preparing                           with streams beside
**                |
**                +--last batch--> MENDING --> DONE             (MENDING: what did not fit into it)
**
**             LINKING --cancel--> CANCELLING --> CANCELLED     both
**
** The row "linker/NAME" of the table "tycho.backfills" has phase, position and counts; it is gone
** when DONE or CANCELLED. The row "source/NAME" has the source. With streams beside, what a stream
** lacks and has too much is in the streams "$backfill+HASH" and "$backfill-HASH" (of both names),
** and what it will be in "$backfill=HASH". The table "tycho.backfill/HASH" has a row for each one
** that is to be prepared, "tycho.prepared/HASH" for each that is (backfill_prepare.c).
*/
#ifndef TYCHO_BACKFILL_H
#define TYCHO_BACKFILL_H

#include "rules.h"

#define TYCHO__BACKFILLS "tycho.backfills"

enum {
    TYCHO__BACKFILL_LINKS =
        9900, /* links of a batch: TYCHO_BATCH_EVENTS_MAX, less what else it has */
    TYCHO__BACKFILL_PART = 4000, /* links of a batch that prepares */
    TYCHO__BACKFILL_LAST = 1000  /* events of the last batch: a few milliseconds for everybody */
};

/* What the row "linker/NAME" says. */
struct tycho__progress {
    int64_t phase;
    int64_t is_beside;
    int64_t position;
    int64_t linked, unlinked;
    char hash[17], old_hash[17]; /* of the sources; empty: none */
};

/* Events that are to be linked, by stream. */
struct tycho__gathered {
    struct tycho_buffer text;    /* ids and names, end to end */
    struct tycho_buffer links;   /* struct link: in the order of positions */
    struct tycho_buffer targets; /* struct target: in the order in which they were named */
    struct tycho_buffer slots;   /* uint32_t, open addressing: index in `targets` + 1 */
    struct tycho_buffer ids;     /* tycho_bytes, of one target after the other */
    size_t slot_count;
};

struct tycho__list_entry {
    uint64_t position;
    size_t id; /* offset in the text */
    size_t id_size;
};

/* Entries of a stream. */
struct tycho__entries_list {
    struct tycho_buffer text, entries, ids;
};

/* How far a stream is prepared; numbers of its row. */
struct tycho__prepared {
    int64_t copied;           /* entries of the stream '=' */
    int64_t revision;         /* up to which the stream itself is in it; -1: nothing */
    int64_t entries;          /* so many it had up to there */
    int64_t last;             /* the position of the last one */
    int64_t lacking, removed; /* the same of '+' and '-' */
    int64_t is_home;          /* it has home events, and is not made anew */
    int64_t is_known;         /* there is a row */
};

/* What is to be added to '=', once the removed ones are subtracted. */
struct tycho__tail {
    struct tycho__entries_list list, removed;
    struct tycho__prepared next; /* how far it is then */
    size_t done;                 /* entries of the list that are in '=' already */
    size_t most;                 /* refuses to read more entries; 0: reads all */
    bool is_long;                /* it has more */
    bool is_other;               /* entries were taken out, or it was deleted: it begins anew */
};

struct tycho_backfill {
    tycho_store *store;
    tycho_batch *batch;
    tycho_lock *lock; /* NULL: only looks */
    char lock_name[TYCHO_NAME_MAX];
    tycho_bytes lock_bytes;
    tycho_bytes label;
    tycho_script *script;
    tycho_script_about about;
    tycho_script *old; /* the version that is replaced, or NULL */
    tycho_script_about old_about;
    bool is_deployed;      /* the source is that of the deployed linker */
    int64_t history;       /* the last revision of "$scripts" when that was looked at */
    tycho_script **others; /* all other deployed linkers and read models */
    size_t other_count;
    uint64_t rules; /* of which these are */
    struct tycho__progress progress;
    uint64_t row_version; /* 0: there is no row */
    uint64_t head, left, sequence;
    struct tycho__gathered gathered;
    char table[40]; /* of streams to be prepared */
    char prepared[40];
    bool is_preparing;
    struct tycho__current { /* the stream that did not fit into one batch; no name: none */
        size_t name_size;
        char name[TYCHO_NAME_MAX];
        struct tycho__tail tail;
    } current;
    struct tycho__late { /* the stream that could not be exchanged; no name: none */
        size_t name_size;
        char name[TYCHO_NAME_MAX];
        bool from_start;
    } late;
    char *memory; /* of label */
};

/* ---------------------------------------------------------------- backfill.c */

/* Begins a batch: the token of the lock, the row as it was read. */
int tycho__backfill_begin(tycho_backfill *b);
/* Ends it with the row as `progress` (phase DONE, CANCELLED: without a row), and commits it;
** complete() may be NULL. */
int tycho__backfill_commit(tycho_backfill *b, const struct tycho__progress *progress,
                           int (*complete)(void *context, tycho_store *store, tycho_batch *batch),
                           void *context);
/* Looks for one row: NOT_FOUND without a sentence when there is none. `value` is copied to a new
** buffer. */
int tycho__backfill_row(tycho_store *store, const char *table, tycho_bytes key,
                        struct tycho_buffer *value, uint64_t *version);

/* ---------------------------------------------------------------- backfill_links.c */

/* Opens all other deployed linkers and read models, as of now. */
int tycho__backfill_open_others(tycho_backfill *b);
void tycho__backfill_close_others(tycho_backfill *b);
/* Gathers the links of at most `most` events behind progress->position, up to the head, and says so
** in `progress`. BUSY: `is_last`, and there are more than that. */
int tycho__backfill_gather(tycho_backfill *b, struct tycho__progress *progress, size_t most,
                           bool is_last);
/* Adds what was gathered, and not taken, to the batch. */
int tycho__backfill_write(tycho_backfill *b, tycho_batch *batch, bool is_beside);
/* Takes out the links of at most `most` events, from progress->position down. */
int tycho__backfill_unlink(tycho_backfill *b, tycho_batch *batch, struct tycho__progress *progress,
                           size_t most);
void tycho__gathered_clear(struct tycho__gathered *gathered);
void tycho__gathered_free(struct tycho__gathered *gathered);
/* Names with a sign that are not taken. */
size_t tycho__gathered_count(const struct tycho__gathered *gathered);
/* What was gathered under a name with its sign; good until the next event is gathered. */
void tycho__gathered_find(const struct tycho__gathered *gathered, tycho_bytes signed_name,
                          const tycho_bytes **ids, size_t *count);
void tycho__gathered_take(struct tycho__gathered *gathered, tycho_bytes signed_name);
/* The streams of names that are not taken, one after the other; `*at` begins at 0. */
bool tycho__gathered_next(const struct tycho__gathered *gathered, size_t *at, tycho_bytes *stream);

/* ---------------------------------------------------------------- backfill_lists.c */

static inline size_t tycho__entries_count(const struct tycho__entries_list *list) {
    return list->entries.size / sizeof(struct tycho__list_entry);
}

static inline struct tycho__list_entry *tycho__entries_of(const struct tycho__entries_list *list) {
    return (struct tycho__list_entry *)(void *)list->entries.data;
}

int tycho__entries_put(struct tycho__entries_list *list, tycho_bytes id, uint64_t position);
/* Adds the entries of a stream (its own name) behind the revision. */
int tycho__entries_read(tycho_store *store, tycho_bytes stream, int64_t behind,
                        struct tycho__entries_list *list);
/* Puts them in the order of positions, and takes out those of `removed` and what comes twice. */
void tycho__entries_subtract(struct tycho__entries_list *list, struct tycho__entries_list *removed);
/* Views of ids, good until others are asked for. NULL: no memory. */
const tycho_bytes *tycho__entries_ids(struct tycho__entries_list *list, size_t first, size_t count);
/* Adds links of some of them into the stream of this name. */
int tycho__entries_link(struct tycho__entries_list *list, tycho_batch *batch, tycho_bytes stream,
                        size_t first, size_t count);
void tycho__entries_free(struct tycho__entries_list *list);

/* ---------------------------------------------------------------- backfill_prepare.c */

/* The row of a stream; without one, nothing is prepared. */
int tycho__prepared_get(tycho_backfill *b, tycho_bytes stream, struct tycho__prepared *prepared);
/* Reads what came since, of events up to the position `limit`; not when it has home events. */
int tycho__prepare_tail(tycho_backfill *b, tycho_store *store, tycho_bytes stream, uint64_t limit,
                        struct tycho__tail *tail);
void tycho__tail_free(struct tycho__tail *tail);
/* Prepares the next streams, in one batch of at most `most` links. END: there are none. */
int tycho__prepare_step(tycho_backfill *b, size_t most);
/* Sees to it, in the batch, that the stream is prepared further, or from the start. */
int tycho__prepare_again(tycho_backfill *b, tycho_bytes stream, bool from_start);
void tycho__current_drop(tycho_backfill *b);

/* ---------------------------------------------------------------- backfill_mend.c */

enum { TYCHO__BESIDE_NAME = 32 };
/* The stream that has what a stream lacks ('+') or has too much ('-'), or what it will be ('='). */
tycho_bytes tycho__beside_name(const tycho_backfill *b, char sign, tycho_bytes stream,
                               char name[TYCHO__BESIDE_NAME]);
/* Sets b->left: the streams that are to be prepared, and, MENDING, exchanged. */
int tycho__mend_count(tycho_backfill *b);
/* A part of what is beside a stream goes, in the batch, to what is beside the one that has its name
** now. */
int tycho__mend_renamed(tycho_backfill *b, tycho_bytes stream, tycho_bytes target);
/* Completes the last batch: exchanges what was prepared, with what was gathered. BUSY: one of them
** must be prepared further, which tycho__mend_refused() sees to, in a batch. */
int tycho__mend_complete(tycho_backfill *b, tycho_store *store, tycho_batch *batch);
int tycho__mend_refused(tycho_backfill *b);
/* Exchanges the next streams, in one batch. END: there are none. */
int tycho__mend_step(tycho_backfill *b, size_t most);
/* Removes the streams beside of the next streams, in one batch. END: there are none. */
int tycho__mend_forget(tycho_backfill *b);

#endif
