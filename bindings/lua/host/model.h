/* model.h - what the files of on-demand read models share; see section 7 of tycho_scripts.h.
**
** WHY A CATCH-UP IS EXACT. A batch is committed only under the rules with which it was expanded, so
** from the batch D on that deployed the model, keys() links every event in its own batch. The
** snapshot of a catch-up has the rules that the catch-up has, so it is not older than D. What is in
** it is found by history(); what is not in it was committed after it, and linked. What is both
** found and linked is a duplicate, and skipped. So nothing is missed and nothing comes twice, and
** it does not matter how long the links take, in how many batches, or how often they begin anew.
**
**     no row ---+                      +--(last batch)--> row, current --(deployment)--> row, old
**               +--(lock)--> history --+                      ^                              |
**               +------ links ---------+                      +---------- catch-up ----------+
**
** WHAT IS CURRENT. The fingerprint is a number of all that an answer depends on but events: which
** deployment of the model it is (another one of the same source counts: events came in between),
** and the sources of the event types that it reads. A row or a snapshot with another one is of no
** use. The last batch of a catch-up demands that the model's own deployment is still the same; when
** only an event type changed meanwhile, the row says so itself.
**
** WHY A SNAPSHOT IS EXACT. It has the last revision that was folded, and the place of the last
** event in the model's order. All entries behind that revision are folded in; when one belongs
** before the last event, all is folded anew, sorted. Revisions are never used twice while a stream
** lives. A stream that somebody deleted has lost its mark, a number that no other catch-up gives:
** the row says which mark the stream had in the snapshot of the catch-up, so that one whose stream
** was deleted since that snapshot is done again, with a new version of its row. A snapshot names
** the version under which it was made. A new one replaces only the one that was read, of an
** instance whose row is still the same.
*/
#ifndef TYCHO_MODEL_H
#define TYCHO_MODEL_H

#include "rules.h"

/* How a run over many instances leaves the store to others: when somebody committed since its last
** batch, the next one is short, and a rest follows that is as long as what was done since the last
** one. */
struct tycho__pace {
    bool is_on;
    bool is_alone;     /* nobody committed between the last two batches */
    uint64_t sequence; /* of the last batch; 0: there was none */
    int64_t since;     /* when the last rest ended */
};

struct tycho_model {
    tycho_store *store;
    char name[TYCHO_NAME_MAX];
    size_t name_size;
    struct tycho__rules *rules; /* held, with the definition in it */
    struct tycho__definition *definition;
    uint64_t fingerprint;
    uint64_t deployed;        /* version of its row in TYCHO_SCRIPTS */
    tycho_snapshot *snapshot; /* for the time of a call */
    uint64_t head;            /* of the snapshot */
    const int *cancelled;     /* of the call; or NULL */
    struct tycho__pace pace;  /* of the call */
    tycho_batch *batch;
    struct tycho_buffer state; /* that was answered last */
    struct tycho_buffer row;   /* that is written */
};

/* The name of an instance's stream, and of its rows. */
struct tycho__instance_name {
    size_t size;
    char text[TYCHO_NAME_MAX];
};

/* ---------------------------------------------------------------- calls (model.c) */

/* Opens a snapshot under the present rules, with the definition that these have. */
int tycho__model_begin(tycho_model *model);
void tycho__model_end(tycho_model *model);
/* MISUSE when there can be no such key. */
int tycho__model_name(const tycho_model *model, tycho_bytes key, struct tycho__instance_name *name);
/* TIMEOUT when the call was cancelled. */
int tycho__model_check_cancelled(const tycho_model *model);
/* Takes the lock of an instance. */
int tycho__model_lock(tycho_model *model, const struct tycho__instance_name *name,
                      int64_t timeout_ms, tycho_lock **lock);
/* Adds the condition that the lock is still held. */
int tycho__model_expect_lock(tycho_model *model, const struct tycho__instance_name *name,
                             const tycho_lock *lock);

static inline tycho_bytes tycho__instance_bytes(const struct tycho__instance_name *name) {
    return tycho__text_of(name->text, name->size);
}

/* ---------------------------------------------------------------- rows (model_rows.c) */

/* What an instance's stream is in a snapshot. */
struct tycho__model_stream {
    int64_t revision; /* the last one */
    uint64_t entries;
    int64_t mark; /* in its metadata, which go with it when it is deleted; 0: none */
};

/* A row of TYCHO_MODELS, and the fields before `state` of one of TYCHO_MODEL_STATES. */
struct tycho__model_row {
    uint64_t row_version; /* 0: there is none */
    uint64_t fingerprint;
    int64_t version;
    int64_t at;
    uint64_t position; /* of the catch-up; of the last event that was folded */
    uint64_t linked;
    int64_t mark; /* that the stream had in the snapshot of the catch-up */
    uint64_t events;
    uint64_t caught_up; /* the version of the instance's row, of a state */
    int64_t revision;
    int64_t time; /* of the last event, where the order is one of times */
    size_t size;  /* of the state */
};

/* Reads the row of an instance in the snapshot; all zero when there is none. */
int tycho__model_row_get(tycho_model *model, const char *table,
                         const struct tycho__instance_name *name, struct tycho__model_row *row);
/* Reads a row that a listing gave; the state, if any, goes to `state`, which may be NULL. */
int tycho__model_row_parse(const tycho_item *item, struct tycho__model_row *row,
                           tycho_bytes *state);
/* Adds the row to the model's batch, on the condition that it has its present row_version. */
int tycho__model_row_put(tycho_model *model, const struct tycho__instance_name *name,
                         const struct tycho__model_row *row);
int tycho__model_state_put(tycho_model *model, const struct tycho__instance_name *name,
                           const struct tycho__model_row *row, tycho_bytes state);
int tycho__model_stream_get(tycho_model *model, const struct tycho__instance_name *name,
                            struct tycho__model_stream *stream);
/* Adds the mark of the instance's stream to the model's batch. */
int tycho__model_stream_mark(tycho_model *model, const struct tycho__instance_name *name,
                             int64_t mark);

/* Whether the row is of the present scripts, and the stream has not been deleted since. */
static inline bool tycho__model_is_current(const tycho_model *model,
                                           const struct tycho__model_row *row,
                                           const struct tycho__model_stream *stream) {
    return row->fingerprint == model->fingerprint && row->mark != 0 && stream->mark == row->mark;
}

/* ---------------------------------------------------------------- events by id (found.c) */

/* Events that were found, in any order, to be linked or folded in order. */
struct tycho__found {
    struct tycho_buffer entries;
    struct tycho_buffer ids;
    struct tycho_buffer views; /* tycho_bytes of ids, made by sorting */
};

struct tycho__place {
    int64_t time; /* 0 where the order is that of positions */
    uint64_t position;
};

void tycho__found_clear(struct tycho__found *found);
void tycho__found_free(struct tycho__found *found);
int tycho__found_add(struct tycho__found *found, const tycho_event *event,
                     const struct tycho__place *place);
/* Sorts by place, takes out what is there twice, and makes views of the ids. */
int tycho__found_sort(struct tycho__found *found, bool by_position, const tycho_bytes **ids,
                      size_t *count);

static inline struct tycho__place tycho__place_of(const tycho_event *event, uint32_t order) {
    struct tycho__place place = {.position = event->position};
    if (order == TYCHO_AS_AT) place.time = event->time;
    if (order == TYCHO_AS_OF) place.time = event->valid_time;
    return place;
}

static inline bool tycho__is_before(const struct tycho__place *a, const struct tycho__place *b) {
    return a->time != b->time ? a->time < b->time : a->position < b->position;
}

/* ---------------------------------------------------------------- folding (fold.c) */

/* Folds these events of the snapshot, which are in the model's order, into the runner's state. */
int tycho__model_fold_ids(tycho_model *model, struct tycho__runner *runner, const tycho_bytes *ids,
                          size_t count);

/* ---------------------------------------------------------------- catch-up (catch_up.c) */

struct tycho__catch_up {
    uint64_t done; /* instances that are current now, whoever did it */
    uint64_t linked;
    uint64_t failed;
    bool is_known;                  /* of a single one: there is something in its stream */
    bool was_done;                  /* a row was written */
    struct tycho__failure *failure; /* the first; NULL: none. For free() */
};

enum { TYCHO__GROUP_MAX = 256 };

/* Catches up instances, at most a group, where they are not current. With several, those that
** somebody else catches up now are waited for when all others are done. */
int tycho__model_catch_up(tycho_model *model, const tycho_bytes *keys, size_t count,
                          int64_t timeout_ms, struct tycho__catch_up *result);

#endif
