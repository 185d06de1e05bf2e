/* batch.c - conditions, operations, commit, receipt.
**
** The engine numbers the conditions and the operations in the order they were added. Operations
** without content add none, so each step remembers its own number; conditions of operations come
** behind those that the request names.
*/
#include <string.h>

#include "call.h"

/* ---------------------------------------------------------------- conditions */

/* The kinds: the field that marks one, and what goes with it. */
static const struct {
    const char *mark;
    const char *fields;
} condition_kinds[] = {
    {"route", "route stream"},       {"row", "row version"},
    {"checkpoint", "checkpoint position"}, {"none_match", "none_match after"},
    {"lock", "lock token"},
    {"stream", "stream expected_version raw"},
};
enum { CONDITION_KINDS = sizeof condition_kinds / sizeof condition_kinds[0] };

static int required_integer(struct rpc_call *call, const json_t *object, const char *name,
                            int64_t *value) {
    bool is_given = false;
    int status = tycho__rpc_integer(call, object, name, 0, value, &is_given);
    if (status == TYCHO_OK && !is_given) {
        status = tycho__rpc_fail(call, TYCHO_MISUSE, "%s%s is required", call->place, name);
    }
    return status;
}

static int add_stream(struct rpc_call *call, const json_t *object) {
    tycho_bytes stream = {NULL, 0};
    int64_t expected = TYCHO_EXPECT_ANY;
    bool is_raw = false;
    int status = tycho__rpc_text(call, object, "stream", RPC_REQUIRED, &stream);
    if (status == TYCHO_OK) status = tycho__rpc_boolean(call, object, "raw", &is_raw);
    if (status == TYCHO_OK) status = tycho__rpc_expected(call, object, stream, &expected);
    if (status != TYCHO_OK) return status;
    status = tycho_batch_expect(call->batch, stream, expected, is_raw ? TYCHO_RAW : 0);
    return tycho__rpc_engine(call, status);
}

static int add_route(struct rpc_call *call, const json_t *object) {
    tycho_bytes route = {NULL, 0};
    tycho_bytes stream = {NULL, 0};
    int status = tycho__rpc_text(call, object, "route", RPC_REQUIRED, &route);
    if (status == TYCHO_OK && json_object_get(object, "stream") == NULL) {
        status = tycho__rpc_fail(call, TYCHO_MISUSE, "%sstream is required; null: no such route",
                                 call->place);
    }
    if (status == TYCHO_OK) status = tycho__rpc_text(call, object, "stream", 0, &stream);
    if (status != TYCHO_OK) return status;
    status = tycho_batch_expect_route(call->batch, route, stream);
    return tycho__rpc_engine(call, status);
}

static int add_row(struct rpc_call *call, const json_t *object) {
    const json_t *row;
    const tycho_bytes *names = NULL;
    size_t count = 0;
    int64_t version = 0;
    int status = tycho__rpc_array(call, object, "row", RPC_REQUIRED, &row);
    if (status != TYCHO_OK) return status;
    status = tycho__rpc_ids(call, object, "row", &names, &count);
    if (status == TYCHO_OK && count != 2) {
        status = tycho__rpc_fail(call, TYCHO_MISUSE, "%srow has %zu items; give [table, key]",
                                 call->place, count);
    }
    if (status == TYCHO_OK) status = required_integer(call, object, "version", &version);
    if (status != TYCHO_OK) return status;
    status = tycho_batch_expect_row(call->batch, names[0], names[1], (uint64_t)version);
    return tycho__rpc_engine(call, status);
}

static int add_checkpoint(struct rpc_call *call, const json_t *object) {
    tycho_bytes name = {NULL, 0};
    int64_t position = 0;
    int status = tycho__rpc_text(call, object, "checkpoint", RPC_REQUIRED, &name);
    if (status == TYCHO_OK) status = required_integer(call, object, "position", &position);
    if (status != TYCHO_OK) return status;
    status = tycho_batch_expect_checkpoint(call->batch, name, (uint64_t)position);
    return tycho__rpc_engine(call, status);
}

static int add_none_match(struct rpc_call *call, const json_t *object) {
    tycho_query query = {NULL, 0};
    int64_t after = 0;
    int status = tycho__rpc_query(call, object, "none_match", &query);
    if (status == TYCHO_OK) status = tycho__rpc_integer(call, object, "after", 0, &after, NULL);
    if (status != TYCHO_OK) return status;
    status = tycho_batch_expect_none(call->batch, &query, (uint64_t)after);
    return tycho__rpc_engine(call, status);
}

static int add_lock(struct rpc_call *call, const json_t *object) {
    tycho_bytes name = {NULL, 0};
    int64_t token = 0;
    int status = tycho__rpc_text(call, object, "lock", RPC_REQUIRED, &name);
    if (status == TYCHO_OK) status = required_integer(call, object, "token", &token);
    if (status != TYCHO_OK) return status;
    status = tycho_batch_expect_lock(call->batch, name, (uint64_t)token);
    return tycho__rpc_engine(call, status);
}

static int add_condition(struct rpc_call *call, const json_t *object) {
    static int (*const adders[CONDITION_KINDS])(struct rpc_call *, const json_t *) = {
        add_route, add_row, add_checkpoint, add_none_match, add_lock, add_stream};
    for (size_t i = 0; i < CONDITION_KINDS; i++) {
        if (tycho__rpc_field(object, condition_kinds[i].mark) == NULL) continue;
        int status = tycho__rpc_check_fields(call, object, NULL, condition_kinds[i].fields);
        return status == TYCHO_OK ? adders[i](call, object) : status;
    }
    return tycho__rpc_fail(call, TYCHO_MISUSE, "%.*s is %s without one of: stream, route, row, "
                           "checkpoint, none_match, lock", (int)call->place_size - 1, call->place,
                           tycho__rpc_kind(object));
}

static int add_conditions(struct rpc_call *call, const json_t *conditions) {
    int status = TYCHO_OK;
    for (size_t i = 0; status == TYCHO_OK && i < json_array_size(conditions); i++) {
        size_t place = tycho__rpc_enter_item(call, "conditions", i);
        status = add_condition(call, json_array_get(conditions, i));
        tycho__rpc_leave(call, place);
    }
    return status;
}

/* ---------------------------------------------------------------- operations */

static int add_operation(struct rpc_call *call, const json_t *object, struct rpc_step *step) {
    char names[256];
    const json_t *name = json_object_get(object, "op");
    const struct rpc_op *op = NULL;
    if (json_is_string(name)) {
        op = tycho__rpc_find_op(json_string_value(name), json_string_length(name));
    }
    if (op == NULL || op->build == NULL) {
        tycho__rpc_op_names(RPC_WRITE, names, sizeof names);
        return tycho__rpc_fail(call, TYCHO_MISUSE, "%sop is %s%.40s; give one of: %s",
                               call->place, json_is_string(name) ? "" : tycho__rpc_kind(name),
                               json_is_string(name) ? json_string_value(name) : "", names);
    }
    step->op = op;
    /* What belongs to the request as a whole is no field of one operation. */
    if (json_object_get(object, "id") != NULL || json_object_get(object, "idempotent") != NULL) {
        return tycho__rpc_fail(call, TYCHO_MISUSE, "%sid and %sidempotent belong to the batch",
                               call->place, call->place);
    }
    int status = tycho__rpc_check_fields(call, object, NULL, op->fields);
    return status == TYCHO_OK ? op->build(call, object, step) : status;
}

/* The steps of the operations, each with its number among those of the engine. */
static int add_operations(struct rpc_call *call, const json_t *operations,
                          struct rpc_step *steps, int *results) {
    int status = TYCHO_OK;
    for (size_t i = 0; status == TYCHO_OK && i < json_array_size(operations); i++) {
        size_t place = tycho__rpc_enter_item(call, "operations", i);
        steps[i] = (struct rpc_step){.result = -1};
        status = add_operation(call, json_array_get(operations, i), &steps[i]);
        tycho__rpc_leave(call, place);
        if (steps[i].result >= 0) steps[i].result = (*results)++;
    }
    return status;
}

/* ---------------------------------------------------------------- answers */

static void put_range(struct tycho_buffer *out, const char *name, int64_t first, size_t count) {
    tycho__rpc_put_key(out, name);
    tycho__rpc_put_open(out, '[');
    for (size_t i = 0; i < count; i++) {
        if (first < 0) {
            tycho__rpc_put_null(out);
        } else {
            tycho__rpc_put_integer(out, first + (int64_t)i);
        }
    }
    tycho__rpc_put_close(out, ']');
}

static void put_append(struct tycho_buffer *out, const struct rpc_step *step,
                       const tycho_result *result) {
    put_range(out, "positions", (int64_t)result->first_position, step->count);
    put_range(out, "revisions", result->first_revision, step->count);
    if (!step->is_generated) return;
    tycho__rpc_put_key(out, "event_ids");
    tycho__rpc_put_open(out, '[');
    for (size_t i = 0; i < step->count; i++) tycho__rpc_put_bytes(out, step->events[i].id);
    tycho__rpc_put_close(out, ']');
}

/* The result of one step, an object. */
static void put_result(struct tycho_buffer *out, const struct rpc_step *step,
                       const tycho_receipt *receipt) {
    static const tycho_result nothing = {0, 0, -1, {NULL, 0}};
    const tycho_result *result = &nothing;
    if (receipt != NULL && step->result >= 0 && (size_t)step->result < receipt->result_count) {
        result = &receipt->results[step->result];
    }
    tycho__rpc_put_open(out, '{');
    if (step->op->build == tycho__rpc_build_set_route) {
        tycho__rpc_put_key(out, "previous");
        tycho__rpc_put_name(out, result->previous);
    } else {
        tycho__rpc_put_key(out, "count");
        tycho__rpc_put_unsigned(out, result->count);
    }
    if (step->op->build == tycho__rpc_build_append) put_append(out, step, result);
    if (step->op->build == tycho__rpc_build_put_row && receipt != NULL) {
        tycho__rpc_put_key(out, "version");
        tycho__rpc_put_unsigned(out, receipt->sequence);
    }
    tycho__rpc_put_close(out, '}');
}

static void put_receipt(struct tycho_buffer *out, const tycho_receipt *receipt) {
    tycho__rpc_put_key(out, "sequence");
    tycho__rpc_put_unsigned(out, receipt->sequence);
    tycho__rpc_put_key(out, "first_position");
    if (receipt->event_count == 0) {
        tycho__rpc_put_null(out);
    } else {
        tycho__rpc_put_unsigned(out, receipt->first_position);
    }
    tycho__rpc_put_key(out, "event_count");
    tycho__rpc_put_unsigned(out, receipt->event_count);
    tycho__rpc_put_key(out, "head");
    tycho__rpc_put_unsigned(out, receipt->head);
    tycho__rpc_put_key(out, "is_replay");
    tycho__rpc_put_boolean(out, receipt->is_replay != 0);
}

/* ---------------------------------------------------------------- commit */

/* The facts of a refusal, where the receipt has them. */
static int fail_commit(struct rpc_call *call, int status, const tycho_receipt *receipt) {
    if (receipt != NULL) {
        /* A condition on a route is answered with its stream, the others with a number. */
        call->failure.has_actual =
            status == TYCHO_WRONG_EXPECTED_VERSION ||
            (status == TYCHO_CONDITION_FAILED && receipt->stream.size == 0 && receipt->actual >= 0);
        call->failure.actual = receipt->actual;
        call->failure.event_id = receipt->event_id;
        call->failure.stream = receipt->stream;
    }
    return tycho__rpc_engine(call, status);
}

int tycho__rpc_write(struct rpc_call *call, const struct rpc_op *op) {
    struct rpc_step step = {.op = op, .result = -1};
    const tycho_receipt *receipt = NULL;
    bool is_idempotent = false;
    int status = tycho__rpc_boolean(call, call->request, "idempotent", &is_idempotent);
    if (status == TYCHO_OK) status = op->build(call, call->request, &step);
    if (status != TYCHO_OK) return status;
    if (step.result >= 0) {
        tycho_batch_set_idempotent(call->batch, is_idempotent);
        status = tycho_commit(call->store, call->batch, &receipt);
        if (status != TYCHO_OK) return fail_commit(call, status, receipt);
    }
    put_result(call->out, &step, receipt);
    return TYCHO_OK;
}

/* Finds the operation and the condition of the request that the receipt names. */
static void number_refusal(struct rpc_call *call, const tycho_receipt *receipt,
                           const struct rpc_step *steps, size_t step_count) {
    int64_t named = (int64_t)json_array_size(tycho__rpc_field(call->request, "conditions"));
    if (receipt->condition >= 0 && receipt->condition < named) {
        call->failure.condition = receipt->condition;
    }
    for (size_t i = 0; receipt->operation >= 0 && i < step_count; i++) {
        if (steps[i].result == receipt->operation) call->failure.operation = (int64_t)i;
    }
}

/* Commits what was added, unless there is nothing. */
static int commit_steps(struct rpc_call *call, const struct rpc_step *steps, size_t step_count) {
    const tycho_receipt *receipt = NULL;
    bool is_idempotent = false;
    int status = tycho__rpc_boolean(call, call->request, "idempotent", &is_idempotent);
    if (status != TYCHO_OK) return status;
    tycho_batch_set_idempotent(call->batch, is_idempotent);
    status = tycho_commit(call->store, call->batch, &receipt);
    if (status != TYCHO_OK) {
        if (receipt != NULL) number_refusal(call, receipt, steps, step_count);
        return fail_commit(call, status, receipt);
    }
    tycho__rpc_put_open(call->out, '{');
    put_receipt(call->out, receipt);
    tycho__rpc_put_key(call->out, "results");
    tycho__rpc_put_open(call->out, '[');
    for (size_t i = 0; i < step_count; i++) put_result(call->out, &steps[i], receipt);
    tycho__rpc_put_close(call->out, ']');
    tycho__rpc_put_close(call->out, '}');
    return TYCHO_OK;
}

int tycho__rpc_batch(struct rpc_call *call) {
    const json_t *conditions;
    const json_t *operations;
    struct rpc_step *steps;
    int results = 0;
    int status = tycho__rpc_array(call, call->request, "conditions", 0, &conditions);
    if (status == TYCHO_OK) {
        status = tycho__rpc_array(call, call->request, "operations", RPC_REQUIRED, &operations);
    }
    if (status != TYCHO_OK) return status;
    steps = tycho__rpc_alloc(call, json_array_size(operations), sizeof *steps);
    if (steps == NULL) return TYCHO_NO_MEMORY;
    status = add_conditions(call, conditions);
    if (status == TYCHO_OK) status = add_operations(call, operations, steps, &results);
    if (status != TYCHO_OK) return status;
    return commit_steps(call, steps, json_array_size(operations));
}
