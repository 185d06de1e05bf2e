/* batch.h - the batch handle, as its builder, its codec and apply see it. */
#ifndef TYCHO__BATCH_H
#define TYCHO__BATCH_H

#include "step.h"

struct tycho_batch {
    tycho__buffer conditions; /* encoded steps */
    tycho__buffer operations;
    tycho__buffer other;   /* operations without what hooks added, if is_exchanged */
    tycho__buffer encoded; /* the whole, made on demand */
    tycho__buffer widened; /* uint32_t: the conditions that those for former names belong to */
    bool is_exchanged;
    uint32_t condition_count;
    uint32_t operation_count;
    uint32_t route_count;  /* operations that set a route: each answers with a name */
    uint32_t lock_count;   /* conditions on locks, which commit.c checks, too */
    uint32_t first_deploy; /* operation that deploys, from 1; 0: none does */
    uint32_t query_count;  /* conditions that have a query */
    size_t element_count;  /* events and ids named */
    size_t link_count;     /* links that hooks added */
    bool is_idempotent;
    bool has_expectations; /* operations may carry expected versions */

    uint64_t head_before; /* while it is applied */
    tycho_receipt receipt;
    tycho_result *results;
    size_t results_capacity;
    tycho__buffer names; /* what `previous` of the results views */
    char event_id[TYCHO_ID_MAX];
    char stream[TYCHO_NAME_MAX];
};

/* What a batch was before a hook added to it. */
typedef struct tycho__batch_mark {
    size_t conditions_size, operations_size, element_count, link_count;
    uint32_t condition_count, operation_count, route_count, lock_count, first_deploy, query_count;
} tycho__batch_mark;

tycho__batch_mark tycho__batch_mark_get(const tycho_batch *batch);
void tycho__batch_mark_restore(tycho_batch *batch, const tycho__batch_mark *mark);

/* The operations written anew become the batch's, or the first ones again. */
void tycho__batch_exchange(tycho_batch *batch);

/* The rules have this version; for commit.c. */
int tycho__batch_expect_rules(tycho_batch *batch, uint64_t version);

/* Adds to the first `count` conditions what their queries lack: the further names of types, under
** these rules (translate.c). */
int tycho__batch_widen(tycho_store *store, uint64_t rules, tycho_batch *batch, uint32_t count);

/* A condition that the above added behind `count` others is told as the one it belongs to. */
void tycho__batch_name_condition(tycho_batch *batch, uint32_t count);

/* Empties the receipt and makes room for it, so that apply itself cannot run out of memory. */
int tycho__batch_begin_receipt(tycho_batch *batch);

/* The operation by which tokens of locks up to this one may be given. */
int tycho__batch_reserve_tokens(tycho_batch *batch, uint64_t tokens);

/* The operation by which a dictionary becomes the one that compresses; 0 and empty bytes: none. At
** commit: CONDITION_FAILED when the number is not the next one, `actual` being the last. */
int tycho__batch_set_dictionary(tycho_batch *batch, uint32_t number, tycho_bytes dictionary);

/* Put a fact into the receipt. */
void tycho__batch_set_event(tycho_batch *batch, tycho_bytes packed, bool is_uuid);
void tycho__batch_set_stream(tycho_batch *batch, tycho_bytes stream);

#endif
