/* model.c - read models on demand.
**
** A state that is at hand is answered at once. An instance that must be caught up first, which may
** have to wait for others and read much, becomes a job (late.c), which can be cancelled.
*/
#include <stdio.h>

#include "session.h"
#include "tycho_scripts.h"

static void put_count(struct rpc_call *call, const char *name, uint64_t value) {
    tycho__rpc_put_key(call->out, name);
    tycho__rpc_put_unsigned(call->out, value);
}

static void put_boolean(struct rpc_call *call, const char *name, uint32_t value) {
    tycho__rpc_put_key(call->out, name);
    tycho__rpc_put_boolean(call->out, value != 0);
}

/* The key: a string, or an integer, which stands for its digits. */
static int take_key(struct rpc_call *call, unsigned flags, tycho_bytes *key) {
    const json_t *value = tycho__rpc_field(call->request, "key");
    if (!json_is_integer(value)) {
        return tycho__rpc_text(call, call->request, "key", flags, key);
    }
    enum { DIGITS = 24 };
    char *text = tycho__rpc_alloc(call, DIGITS, 1);
    if (text == NULL) return TYCHO_NO_MEMORY;
    key->size = (size_t)snprintf(text, DIGITS, "%lld", (long long)json_integer_value(value));
    key->data = text;
    return TYCHO_OK;
}

static int open_model(struct rpc_call *call, tycho_model **model) {
    tycho_bytes name = {NULL, 0};
    *model = NULL;
    int status = tycho__rpc_text(call, call->request, "model", RPC_REQUIRED, &name);
    if (status != TYCHO_OK) return status;
    status = tycho_model_open(call->store, name, model);
    return tycho__rpc_engine(call, status);
}

static int take_options(struct rpc_call *call, tycho_model_options *options) {
    bool is_fresh = false;
    int64_t after = 0;
    int status = tycho__rpc_boolean(call, call->request, "fresh", &is_fresh);
    if (status == TYCHO_OK) {
        status = tycho__rpc_integer(call, call->request, "snapshot_after", 0, &after, NULL);
    }
    if (status == TYCHO_OK) {
        status =
            tycho__rpc_integer(call, call->request, "timeout_ms", -1, &options->timeout_ms, NULL);
    }
    options->flags = is_fresh ? TYCHO_MODEL_FRESH : 0;
    options->snapshot_after = after > INT32_MAX ? INT32_MAX : (uint32_t)after;
    return status;
}

static int put_answer(struct rpc_call *call, const tycho_model_result *result) {
    tycho__rpc_put_open(call->out, '{');
    tycho__rpc_put_key(call->out, "state");
    if (!tycho__rpc_unpack(call->out, result->state)) {
        return tycho__rpc_fail(call, TYCHO_CORRUPT, "the state is nothing that JSON can say");
    }
    put_count(call, "position", result->position);
    put_count(call, "version", (uint64_t)result->version);
    put_count(call, "events", result->events);
    put_count(call, "folded", result->folded);
    put_count(call, "linked", result->linked);
    put_boolean(call, "is_known", result->is_known);
    put_boolean(call, "was_caught_up", result->was_caught_up);
    tycho__rpc_put_close(call->out, '}');
    return TYCHO_OK;
}

static int answer(struct rpc_call *call, tycho_model *model, tycho_bytes key,
                  const tycho_model_options *options) {
    tycho_model_instance instance;
    tycho_model_result result;
    if (tycho__rpc_can_be_late(call)) {
        int status = tycho_model_look(model, key, &instance);
        if (status != TYCHO_OK) return tycho__rpc_engine(call, status);
        if (instance.is_current == 0) return tycho__rpc_later(call);
    }
    int status = tycho_model_get(model, key, options, &result);
    return status == TYCHO_OK ? put_answer(call, &result) : tycho__rpc_engine(call, status);
}

int tycho__rpc_model_get(struct rpc_call *call) {
    tycho_model_options options = {.size = sizeof options};
    tycho_bytes key = {NULL, 0};
    if (call->job != NULL) options.cancelled = &call->job->is_cancelled;
    tycho_model *model = NULL;
    int status = take_key(call, RPC_REQUIRED, &key);
    if (status == TYCHO_OK) status = take_options(call, &options);
    if (status == TYCHO_OK) status = open_model(call, &model);
    if (status == TYCHO_OK) status = answer(call, model, key, &options);
    tycho_model_close(model);
    return status;
}

static int put_instance(struct rpc_call *call, tycho_model *model, tycho_bytes key) {
    tycho_model_instance instance;
    int status = tycho_model_look(model, key, &instance);
    if (status != TYCHO_OK) return tycho__rpc_engine(call, status);
    put_boolean(call, "is_caught_up", instance.is_caught_up);
    put_boolean(call, "is_current", instance.is_current);
    put_count(call, "entries", instance.entries);
    if (instance.is_caught_up == 0) return TYCHO_OK;
    put_count(call, "version", (uint64_t)instance.version);
    put_count(call, "caught_up_at", (uint64_t)instance.caught_up_at);
    put_count(call, "position", instance.position);
    put_count(call, "linked", instance.linked);
    put_count(call, "snapshot_events", instance.snapshot_events);
    put_count(call, "snapshot_size", instance.snapshot_size);
    put_count(call, "behind", instance.behind);
    return TYCHO_OK;
}

static int put_totals(struct rpc_call *call, tycho_model *model) {
    tycho_model_totals totals;
    int status = tycho_model_count(model, &totals);
    if (status != TYCHO_OK) return tycho__rpc_engine(call, status);
    put_count(call, "version", (uint64_t)totals.version);
    put_count(call, "instances", totals.instances);
    put_count(call, "current", totals.current);
    put_count(call, "snapshots", totals.snapshots);
    return TYCHO_OK;
}

int tycho__rpc_model_status(struct rpc_call *call) {
    tycho_bytes key = {NULL, 0};
    tycho_model *model = NULL;
    int status = take_key(call, 0, &key);
    if (status == TYCHO_OK) status = open_model(call, &model);
    if (status != TYCHO_OK) return status;
    tycho__rpc_put_open(call->out, '{');
    status = key.size > 0 ? put_instance(call, model, key) : put_totals(call, model);
    tycho__rpc_put_close(call->out, '}');
    tycho_model_close(model);
    return status;
}
