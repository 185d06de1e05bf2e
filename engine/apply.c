/* apply.c - conditions, and the order of a batch; see apply.h. */
#include "apply.h"

#include "guard.h"
#include "query.h"

enum { AHEAD = 16 }; /* operations that are prepared at once */

/* ---------------------------------------------------------------- stream expectations */

static int check_version(tycho_batch *batch, const tycho__list *stream, const tycho__name *name,
                         int64_t expected) {
    /* The last revision that was given counts, also when its entry was unlinked since. */
    int64_t actual = (int64_t)stream->next - 1;
    bool is_met = expected == TYCHO_EXPECT_ANY ||
                  (expected == TYCHO_EXPECT_NONE && stream->count == 0) ||
                  (expected == TYCHO_EXPECT_EXISTS && stream->count > 0) ||
                  (expected >= 0 && expected == actual);
    if (is_met) return TYCHO_OK;
    batch->receipt.actual = actual;
    tycho__batch_set_stream(batch, tycho__name_bytes(name));
    if (expected >= 0) {
        return tycho__fail(TYCHO_WRONG_EXPECTED_VERSION,
                           "the stream \"%.*s\" is at revision %lld, not at %lld", name->size,
                           name->bytes, (long long)actual, (long long)expected);
    }
    return tycho__fail(TYCHO_WRONG_EXPECTED_VERSION, "the stream \"%.*s\" %s", name->size,
                       name->bytes,
                       expected == TYCHO_EXPECT_NONE ? "has entries already" : "has no entries");
}

static int check_stream(tycho__txn *txn, tycho_batch *batch, tycho_bytes stream, uint8_t flags,
                        int64_t expected) {
    tycho__name name;
    tycho__list list;
    if (expected == TYCHO_EXPECT_ANY) return TYCHO_OK;
    int status = tycho__resolve(txn, stream, (flags & TYCHO_RAW) != 0, &name);
    if (status == TYCHO_OK) {
        status = tycho__list_open(txn, TYCHO__STREAM, tycho__name_bytes(&name), &list);
    }
    return status == TYCHO_OK ? check_version(batch, &list, &name, expected) : status;
}

/* ---------------------------------------------------------------- the other conditions */

/* The first event behind `after` that matches, or TYCHO_END. */
static int find_match(tycho__txn *txn, tycho__query *query, uint64_t after, uint64_t *found) {
    bool is_everything = tycho__query_is_everything(query);
    int status = tycho__query_begin(query, txn);
    for (uint64_t at = after; status == TYCHO_OK && at < txn->state.head;) {
        *found = at + 1;
        if (is_everything) return TYCHO_OK;
        status = tycho__query_from(query, at + 1, found);
        if (status != TYCHO_OK) return status;
        tycho__event_view event;
        status = tycho__event_load(txn, *found, &event);
        if (status == TYCHO_OK && tycho__query_matches(query, &event)) return TYCHO_OK;
        at = *found;
    }
    return status == TYCHO_OK ? TYCHO_END : status;
}

static int check_none_match(tycho__txn *txn, tycho_batch *batch, const tycho__step *step) {
    tycho__query *query = NULL;
    uint64_t found = 0;
    int status = tycho__query_compile(txn, step->list, step->count, &query);
    if (status != TYCHO_OK) return status;
    status = find_match(txn, query, step->number, &found);
    tycho__query_free(query);
    if (status == TYCHO_END) return TYCHO_OK;
    if (status != TYCHO_OK) return status;
    batch->receipt.actual = (int64_t)found;
    return tycho__fail(TYCHO_CONDITION_FAILED,
                       "the event at position %llu, which is behind %llu, matches the query",
                       (unsigned long long)found, (unsigned long long)step->number);
}

static int check_route(tycho__txn *txn, tycho_batch *batch, const tycho__step *step) {
    tycho_bytes row, target = {NULL, 0};
    int status = tycho__get(txn, TYCHO__ROUTES, step->name, &row);
    if (status == TYCHO_OK) tycho__route_parse(row, &target);
    if (status == TYCHO_NOT_FOUND) status = TYCHO_OK;
    if (status != TYCHO_OK || tycho__equal(target, step->second)) return status;
    tycho__batch_set_stream(batch, target);
    batch->receipt.actual = -1;
    if (target.size == 0) {
        return tycho__fail(TYCHO_CONDITION_FAILED, "there is no route \"%.*s\"",
                           (int)step->name.size, (const char *)step->name.data);
    }
    return tycho__fail(TYCHO_CONDITION_FAILED, "the route \"%.*s\" points to \"%.*s\"",
                       (int)step->name.size, (const char *)step->name.data, (int)target.size,
                       (const char *)target.data);
}

static int check_number(tycho_batch *batch, const char *what, tycho_bytes name, uint64_t actual,
                        uint64_t expected) {
    if (actual == expected) return TYCHO_OK;
    batch->receipt.actual = (int64_t)actual;
    return tycho__fail(TYCHO_CONDITION_FAILED, "%s of \"%.*s\" is %llu, not %llu", what,
                       (int)name.size, (const char *)name.data, (unsigned long long)actual,
                       (unsigned long long)expected);
}

static int check_row(tycho__txn *txn, tycho_batch *batch, const tycho__step *step) {
    uint8_t key[TYCHO__ROW_KEY_MAX];
    uint32_t table;
    uint64_t version = 0;
    tycho_bytes row, value;
    int status = tycho__list_find(txn, TYCHO__ROW_TABLE, step->name, &table);
    if (status == TYCHO_OK) {
        tycho_bytes whole = {key, tycho__row_key(key, table, step->key)};
        status = tycho__get(txn, TYCHO__ROWS, whole, &row);
        if (status == TYCHO_OK) status = tycho__row_parse(whole, row, &version, &value);
    }
    if (status != TYCHO_OK && status != TYCHO_NOT_FOUND) return status;
    return check_number(batch, "the version of a row", step->name, version, step->number);
}

static int check_checkpoint(tycho__txn *txn, tycho_batch *batch, const tycho__step *step) {
    tycho_bytes value;
    uint64_t position = 0;
    int status = tycho__get(txn, TYCHO__CHECKPOINTS, step->name, &value);
    if (status == TYCHO_OK && value.size == 8) position = tycho__load64(value.data);
    if (status != TYCHO_OK && status != TYCHO_NOT_FOUND) return status;
    return check_number(batch, "the checkpoint", step->name, position, step->number);
}

/* The highest token of a lock that a committed batch demanded; 0: none did. */
static int read_fence(tycho__txn *txn, tycho_bytes name, uint64_t *token) {
    tycho_bytes value;
    *token = 0;
    int status = tycho__get(txn, TYCHO__FENCES, name, &value);
    if (status == TYCHO_OK && value.size == 8) *token = tycho__load64(value.data);
    return status == TYCHO_NOT_FOUND ? TYCHO_OK : status;
}

/* That the lock is held with this token was seen by who commits (commit.c); here, that nobody wrote
** under a later one. */
static int check_fence(tycho__txn *txn, tycho_batch *batch, const tycho__step *step) {
    uint64_t highest;
    int status = read_fence(txn, step->name, &highest);
    if (status != TYCHO_OK || step->number >= highest) return status;
    return check_number(batch, "the token", step->name, highest, step->number);
}

static int raise_fence(tycho__txn *txn, const tycho__step *step) {
    uint64_t highest;
    int status = read_fence(txn, step->name, &highest);
    if (status != TYCHO_OK || step->number <= highest) return status;
    return tycho__put(txn, TYCHO__FENCES, step->name,
                      tycho__bytes(&step->number, sizeof step->number));
}

/* Once all else of the batch is done. */
static int raise_fences(tycho__txn *txn, const tycho_batch *batch) {
    tycho__reader steps = tycho__reader_of(tycho__buffer_bytes(&batch->conditions));
    int status = TYCHO_OK;
    if (batch->lock_count == 0) return TYCHO_OK;
    for (uint32_t i = 0; i < batch->condition_count && status == TYCHO_OK; i++) {
        tycho__step step;
        status = tycho__step_read(&steps, &step, true);
        if (status == TYCHO_OK && step.kind == TYCHO__LOCK_IS) status = raise_fence(txn, &step);
    }
    return status;
}

static int check_rules(const tycho__txn *txn, tycho_batch *batch, uint64_t version) {
    if (txn->state.rules == version) return TYCHO_OK;
    batch->receipt.actual = (int64_t)txn->state.rules;
    return tycho__fail(TYCHO_CONDITION_FAILED, "the rules have version %llu, not %llu",
                       (unsigned long long)txn->state.rules, (unsigned long long)version);
}

static int check_condition(tycho__txn *txn, tycho_batch *batch, const tycho__step *step) {
    switch (step->kind) {
    case TYCHO__STREAM_IS:
        return check_stream(txn, batch, step->name, step->flags, step->expected);
    case TYCHO__NONE_MATCH:
        return check_none_match(txn, batch, step);
    case TYCHO__ROUTE_IS:
        return check_route(txn, batch, step);
    case TYCHO__ROW_IS:
        return check_row(txn, batch, step);
    case TYCHO__LOCK_IS:
        return check_fence(txn, batch, step);
    case TYCHO__RULES_ARE:
        return check_rules(txn, batch, step->number);
    default:
        assert(step->kind == TYCHO__CHECKPOINT_IS);
        return check_checkpoint(txn, batch, step);
    }
}

static int check_conditions(tycho__txn *txn, tycho_batch *batch) {
    tycho__reader steps = tycho__reader_of(tycho__buffer_bytes(&batch->conditions));
    for (uint32_t i = 0; i < batch->condition_count; i++) {
        tycho__step step;
        int status = tycho__step_read(&steps, &step, true);
        if (status == TYCHO_OK) status = check_condition(txn, batch, &step);
        if (status != TYCHO_OK) {
            batch->receipt.condition = (int32_t)i;
            return status;
        }
    }
    return TYCHO_OK;
}

/* The expected versions that operations carry; of link_range, that of the target. */
static int check_expectations(tycho__txn *txn, tycho_batch *batch) {
    tycho__reader steps = tycho__reader_of(tycho__buffer_bytes(&batch->operations));
    for (uint32_t i = 0; i < batch->operation_count && batch->has_expectations; i++) {
        tycho__step step;
        int status = tycho__step_read(&steps, &step, false);
        if (status == TYCHO_OK) {
            tycho_bytes stream = step.kind == TYCHO__LINK_RANGE ? step.second : step.name;
            status = check_stream(txn, batch, stream, step.flags, step.expected);
        }
        if (status != TYCHO_OK) {
            batch->receipt.operation = (int32_t)i;
            return status;
        }
    }
    return TYCHO_OK;
}

/* ---------------------------------------------------------------- the batch */

/* Adds the names of the lists that an append enters, as far as there is room; how many there are
** then. */
static size_t add_names(tycho__list_name *names, size_t count, const tycho__step *step) {
    tycho__reader events = tycho__reader_of(step->list);
    if (step->name.size > 0 && count < TYCHO__PREFETCH) {
        names[count++] = (tycho__list_name){TYCHO__STREAM, step->name};
    }
    for (uint32_t i = 0; i < step->count && count < TYCHO__PREFETCH; i++) {
        tycho__event_view event;
        if (tycho__event_decode(&events, &event) != TYCHO_OK) return count;
        tycho__reader tags = tycho__reader_of(event.tags);
        for (uint8_t k = 0; k < event.tag_count && count < TYCHO__PREFETCH; k++) {
            names[count++] = (tycho__list_name){TYCHO__TAG, tycho__tag_next(&tags)};
        }
    }
    return count;
}

/* Fetches what the next operations need from memory or from the disk, before the first of them
** needs it: with hundreds of thousands of lists that takes longer than all else. What is wrong with
** an operation is told when it is applied. */
static void prefetch(tycho__txn *txn, tycho__reader steps, uint32_t count) {
    tycho__list_name names[TYCHO__PREFETCH];
    size_t found = 0;
    bool is_cold = txn->guarded != NULL && tycho__guard_is_cold(txn->guarded->guard);
    if (!is_cold && !tycho__lists_are_many(txn)) return;
    for (uint32_t i = 0; i < count; i++) {
        tycho__step step;
        if (tycho__step_read(&steps, &step, false) != TYCHO_OK) return;
        if (step.kind == TYCHO__APPEND) found = add_names(names, found, &step);
        if (step.kind == TYCHO__LINK_NEW && found < TYCHO__PREFETCH) {
            names[found++] = (tycho__list_name){TYCHO__STREAM, step.name};
        }
    }
    if (is_cold) tycho__lists_ask(txn, names, found);
    if (tycho__lists_are_many(txn)) tycho__lists_prefetch(txn, names, found);
}

static int apply_operations(tycho__txn *txn, tycho_batch *batch) {
    tycho__reader steps = tycho__reader_of(tycho__buffer_bytes(&batch->operations));
    uint64_t before = batch->head_before = txn->state.head;
    for (uint32_t i = 0; i < batch->operation_count; i++) {
        tycho__step step;
        tycho_result *result = &batch->results[i];
        if (i % AHEAD == 0 && i + 1 < batch->operation_count) {
            uint32_t left = batch->operation_count - i;
            prefetch(txn, steps, left < AHEAD ? left : AHEAD);
        }
        memset(result, 0, sizeof *result);
        result->first_revision = -1;
        int status = tycho__step_read(&steps, &step, false);
        if (status == TYCHO_OK) status = tycho__operation_apply(txn, batch, &step, result);
        if (status != TYCHO_OK) {
            batch->receipt.operation = (int32_t)i;
            return status;
        }
    }
    batch->receipt.event_count = txn->state.head - before;
    batch->receipt.first_position = txn->state.head > before ? before + 1 : 0;
    return TYCHO_OK;
}

/* A refusal that an operation decides on before it changes anything that is not noted. */
static bool is_verdict(int status) {
    switch (status) {
    case TYCHO_MISUSE:
    case TYCHO_WRONG_EXPECTED_VERSION:
    case TYCHO_CONDITION_FAILED:
    case TYCHO_DUPLICATE_EVENT:
    case TYCHO_DUPLICATE_ENTRY:
    case TYCHO_EVENT_NOT_FOUND:
    case TYCHO_ENTRY_NOT_FOUND:
    case TYCHO_TOO_LARGE:
    case TYCHO_DENIED:
        return true;
    default:
        return false;
    }
}

int tycho__apply(tycho__txn *txn, tycho_batch *batch) {
    int status = tycho__batch_begin_receipt(batch);
    if (status != TYCHO_OK) return status;
    tycho_receipt *receipt = &batch->receipt;
    if (batch->is_idempotent) {
        status = tycho__replay(txn, batch);
        receipt->is_replay = status == TYCHO_OK;
    }
    if (!receipt->is_replay) {
        if (batch->is_idempotent && status != TYCHO_NOT_FOUND) return status;
        /* Whatever happens from here, the sequence names this batch, in its rows too. */
        txn->state.sequence++;
        status = check_conditions(txn, batch);
        if (status == TYCHO_OK) status = check_expectations(txn, batch);
        if (status == TYCHO_OK) status = apply_operations(txn, batch);
        if (status == TYCHO_OK) status = raise_fences(txn, batch);
        if (status != TYCHO_OK) {
            if (!is_verdict(status)) txn->is_changed = true; /* half of something was done */
            txn->state.sequence--;
            return status;
        }
        receipt->sequence = txn->state.sequence;
        txn->is_changed = true;
    }
    receipt->head = txn->state.head;
    receipt->results = batch->results;
    receipt->result_count = batch->operation_count;
    return TYCHO_OK;
}
