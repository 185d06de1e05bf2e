/* backfill.h - what the files of back-filling share; see section 8 of tycho_scripts.h.
**
**     NEW --step--> LINKING --last batch--> MENDING --> DONE     (MENDING only with streams beside)
**                      |
**                      +--cancel--> CANCELLING --> CANCELLED
**
** The row "linker/NAME" of the table "tycho.backfills" has phase, position and counts; it is gone
** when DONE or CANCELLED. The row "source/NAME" has the source. With streams beside, the table
** "tycho.backfill/HASH" has a row for each stream that is to be mended, and what it lacks and has
** too much is in the streams "$backfill+HASH" and "$backfill-HASH" (of both names).
*/
#ifndef TYCHO_BACKFILL_H
#define TYCHO_BACKFILL_H

#include "rules.h"

#define TYCHO__BACKFILLS "tycho.backfills"

enum {
    TYCHO__BACKFILL_LINKS =
        9900, /* links of a batch: TYCHO_BATCH_EVENTS_MAX, less what else it has */
    TYCHO__BACKFILL_LAST = 1000 /* events of the last batch: a few milliseconds for everybody */
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
    tycho_script **others; /* all other deployed linkers and read models */
    size_t other_count;
    uint64_t rules; /* of which these are */
    struct tycho__progress progress;
    uint64_t row_version; /* 0: there is no row */
    uint64_t head, left, sequence;
    struct tycho__gathered gathered;
    char table[40]; /* of streams to be mended */
    char *memory;   /* of label */
};

/* ---------------------------------------------------------------- backfill.c */

/* Begins a batch: the token of the lock, the row as it was read. */
int tycho__backfill_begin(tycho_backfill *b);
/* Ends it with the row as `progress` (phase DONE, CANCELLED: without a row), and commits it;
** complete() may be NULL. */
int tycho__backfill_commit(tycho_backfill *b, const struct tycho__progress *progress,
                           int (*complete)(void *context, tycho_store *store, tycho_batch *batch),
                           void *context);

/* ---------------------------------------------------------------- backfill_links.c */

/* Adds links of at most `most` events behind progress->position, up to the head, to the batch, and
** says so in `progress`. BUSY: `is_last`, and there are more than that. */
int tycho__backfill_link(tycho_backfill *b, tycho_batch *batch, struct tycho__progress *progress,
                         size_t most, bool is_last);
/* Takes out the links of at most `most` events, from progress->position down. */
int tycho__backfill_unlink(tycho_backfill *b, tycho_batch *batch, struct tycho__progress *progress,
                           size_t most);
void tycho__gathered_free(struct tycho__gathered *gathered);

/* ---------------------------------------------------------------- backfill_mend.c */

enum { TYCHO__BESIDE_NAME = 32 };
/* The stream that has what a stream lacks ('+') or has too much ('-'), or a large part of what it
** will be ('='). */
tycho_bytes tycho__beside_name(const tycho_backfill *b, char sign, tycho_bytes stream,
                               char name[TYCHO__BESIDE_NAME]);
/* Streams that are to be mended; stops counting at `most`. */
int tycho__mend_count(tycho_backfill *b, uint64_t most, uint64_t *count);
/* Makes the next streams anew, in one batch. END: there are none. */
int tycho__mend_step(tycho_backfill *b);
/* Removes the streams beside of the next streams, in one batch. END: there are none. */
int tycho__mend_forget(tycho_backfill *b);

#endif
