/* apply.h - one batch onto one write transaction: a pure function of state and bytes.
**
** First all conditions and expected versions are checked against the state before the batch, then
** the operations are carried out in order. No clock, randomness, environment or host language. A
** refusal found late (a duplicate event, say) leaves the transaction changed: its caller gives it
** up and applies the other batches again (commit.c).
*/
#ifndef TYCHO__APPLY_H
#define TYCHO__APPLY_H

#include "batch.h"
#include "stream.h"

/* Applies the batch and fills its receipt. On a refusal, txn->is_changed tells whether the
** transaction may still be used. */
int tycho__apply(tycho__txn *txn, tycho_batch *batch);

/* One operation (operations.c, links.c, events.c). `result` was set to nothing done. */
int tycho__operation_apply(tycho__txn *txn, tycho_batch *batch, const tycho__step *step,
                           tycho_result *result);
int tycho__append_apply(tycho__txn *txn, tycho_batch *batch, const tycho__step *step,
                        tycho_result *result);
int tycho__overwrite_apply(tycho__txn *txn, tycho_batch *batch, const tycho__step *step,
                           tycho_result *result);

int tycho__link_apply(tycho__txn *txn, tycho_batch *batch, const tycho__step *step,
                      tycho_result *result);
int tycho__link_new_apply(tycho__txn *txn, tycho_batch *batch, const tycho__step *step,
                          tycho_result *result);
int tycho__link_range_apply(tycho__txn *txn, tycho_batch *batch, const tycho__step *step,
                            tycho_result *result);
int tycho__link_merged_apply(tycho__txn *txn, tycho_batch *batch, const tycho__step *step,
                             tycho_result *result);

/* The stream that a name of a step leads to, to be written to; made when it is new, deleted or
** not. DENIED over a closed route. */
int tycho__stream_make(tycho__txn *txn, tycho_batch *batch, tycho_bytes name, uint8_t flags,
                       tycho__list **stream);

/* The answer for an idempotent batch whose events are all there: TYCHO_OK when it is one,
** TYCHO_NOT_FOUND when none of its events is there, DUPLICATE_EVENT when some are or differ. */
int tycho__replay(tycho__txn *txn, tycho_batch *batch);

/* Removes up to `limit` entries of deleted streams that are still in `blocks` and `links`. */
int tycho__sweep(tycho__txn *txn, uint32_t limit);

/* A row of table `rows`: its key, writing it to an empty buffer, reading it. CORRUPT;
** TYCHO_NOT_FOUND without a sentence. */
enum { TYCHO__ROW_KEY_MAX = 4 + TYCHO_KEY_MAX, TYCHO__ROW_HEAD = 16 };
size_t tycho__row_key(uint8_t *to, uint32_t table, tycho_bytes key);
int tycho__row_encode(tycho__buffer *row, tycho_bytes key, uint64_t version, tycho_bytes value);
int tycho__row_parse(tycho_bytes key, tycho_bytes row, uint64_t *version, tycho_bytes *value);

#endif
