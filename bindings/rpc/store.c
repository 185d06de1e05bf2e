/* store.c - the ops about the store as a whole: open, close, waiting, upkeep. */
#include <string.h>

#include "call.h"

enum { WAIT_DEFAULT_MS = 10000, FINDINGS_MAX = 100 };

int tycho__rpc_ping(struct rpc_call *call) {
    tycho__rpc_put_string(call->out, "pong", 4);
    return TYCHO_OK;
}

int tycho__rpc_open_op(struct rpc_call *call) {
    tycho_options options = {.size = sizeof options};
    const char *path = NULL;
    int status = tycho__rpc_path(call, call->request, "path", &path);
    if (status == TYCHO_OK) {
        status = tycho__rpc_choice(call, call->request, "mode", "create existing read_only",
                                   &options.mode);
    }
    if (status == TYCHO_OK) {
        status = tycho__rpc_choice(call, call->request, "sync", "full batched none",
                                   &options.sync);
    }
    if (status != TYCHO_OK) return status;
    status = tycho__rpc_open(call->rpc, path, &options);
    if (status != TYCHO_OK) return tycho__rpc_engine(call, status);
    tycho__rpc_put_boolean(call->out, true);
    return TYCHO_OK;
}

int tycho__rpc_close_op(struct rpc_call *call) {
    tycho__rpc_put_boolean(call->out, tycho__rpc_close(call->rpc));
    return TYCHO_OK;
}

int tycho__rpc_sync(struct rpc_call *call) {
    int status = tycho_store_sync(call->store);
    if (status != TYCHO_OK) return tycho__rpc_engine(call, status);
    tycho__rpc_put_boolean(call->out, true);
    return TYCHO_OK;
}

int tycho__rpc_backup(struct rpc_call *call) {
    const char *path = NULL;
    int status = tycho__rpc_path(call, call->request, "path", &path);
    if (status != TYCHO_OK) return status;
    status = tycho_backup(call->store, path);
    if (status != TYCHO_OK) return tycho__rpc_engine(call, status);
    tycho__rpc_put_boolean(call->out, true);
    return TYCHO_OK;
}

int tycho__rpc_wait(struct rpc_call *call) {
    int64_t position = 0;
    int64_t timeout_ms = WAIT_DEFAULT_MS;
    uint64_t head = 0;
    int status = tycho__rpc_integer(call, call->request, "position", 0, &position, NULL);
    if (status == TYCHO_OK) {
        status = tycho__rpc_integer(call, call->request, "timeout_ms", -1, &timeout_ms, NULL);
    }
    if (status != TYCHO_OK) return status;
    status = tycho_wait(call->store, (uint64_t)position, timeout_ms, &head);
    if (status == TYCHO_OK) {
        tycho__rpc_put_unsigned(call->out, head);
    } else if (status == TYCHO_TIMEOUT) {
        tycho__rpc_put_null(call->out);
    } else {
        return tycho__rpc_engine(call, status);
    }
    return TYCHO_OK;
}

/* Steps to the end; the first findings are written as they come. */
static int put_findings(struct rpc_call *call, tycho_verification *verification,
                        tycho_finding *finding) {
    int status = tycho_verification_step(verification, finding);
    int written = 0;
    while (status == TYCHO_OK) {
        if (finding->text.size > 0 && written < FINDINGS_MAX) {
            tycho__rpc_put_bytes(call->out, finding->text);
            written++;
        }
        status = tycho_verification_step(verification, finding);
    }
    return status == TYCHO_END ? TYCHO_OK : tycho__rpc_engine(call, status);
}

int tycho__rpc_verify(struct rpc_call *call) {
    tycho_verification *verification = NULL;
    tycho_finding finding = {{NULL, 0}, 0, 0, 0};
    int status = tycho_verification_open(call->store, &verification);
    if (status != TYCHO_OK) return tycho__rpc_engine(call, status);
    tycho__rpc_put_open(call->out, '{');
    tycho__rpc_put_key(call->out, "findings");
    tycho__rpc_put_open(call->out, '[');
    status = put_findings(call, verification, &finding);
    tycho__rpc_put_close(call->out, ']');
    tycho__rpc_put_key(call->out, "finding_count");
    tycho__rpc_put_unsigned(call->out, finding.findings);
    tycho__rpc_put_key(call->out, "checked");
    tycho__rpc_put_unsigned(call->out, finding.done);
    tycho__rpc_put_close(call->out, '}');
    tycho_verification_close(verification);
    return status;
}

int tycho__rpc_stats(struct rpc_call *call) {
    tycho_stats stats = {.size = sizeof stats};
    int status = tycho_stats_get(call->store, &stats);
    const struct {
        const char *name;
        uint64_t value;
    } fields[] = {
        {"format", stats.format},         {"events", stats.events},
        {"sequence", stats.sequence},     {"streams", stats.streams},
        {"types", stats.types},           {"tags", stats.tags},
        {"links", stats.links},           {"entries", stats.entries},
        {"rows", stats.rows},             {"routes", stats.routes},
        {"file_size", stats.file_size},   {"free_size", stats.free_size},
        {"map_size", stats.map_size},     {"readers", stats.readers},
        {"readers_max", stats.readers_max}, {"reader_lag", stats.reader_lag},
        {"commits", stats.commits},       {"commit_batches", stats.commit_batches},
        {"dictionary", stats.dictionary},
    };
    if (status != TYCHO_OK) return tycho__rpc_engine(call, status);
    tycho__rpc_put_open(call->out, '{');
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        tycho__rpc_put_key(call->out, fields[i].name);
        tycho__rpc_put_unsigned(call->out, fields[i].value);
    }
    tycho__rpc_put_close(call->out, '}');
    return TYCHO_OK;
}
