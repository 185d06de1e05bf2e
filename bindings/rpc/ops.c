/* ops.c - the table of ops: name, known fields, what it needs, and who does it. "id" and "op" are
** known to all.
*/
#include <stdio.h>
#include <string.h>

#include "call.h"

#define BASIC "id op"

static const struct rpc_op ops[] = {
    {"ping", BASIC, 0, tycho__rpc_ping, NULL},
    {"open", BASIC " path mode sync", 0, tycho__rpc_open_op, NULL},
    {"close", BASIC, 0, tycho__rpc_close_op, NULL},
    {"append", BASIC " stream expected_version records raw idempotent", RPC_STORE | RPC_WRITE, NULL,
     tycho__rpc_build_append},
    {"link", BASIC " stream expected_version event_ids on_duplicate raw", RPC_STORE | RPC_WRITE,
     NULL, tycho__rpc_build_link},
    {"link_range",
     BASIC " source first last target expected_version on_duplicate keep_revisions raw",
     RPC_STORE | RPC_WRITE, NULL, tycho__rpc_build_link_range},
    {"link_merged", BASIC " sources target expected_version on_duplicate raw",
     RPC_STORE | RPC_WRITE, NULL, tycho__rpc_build_link_merged},
    {"unlink", BASIC " stream event_ids raw", RPC_STORE | RPC_WRITE, NULL,
     tycho__rpc_build_unlink},
    {"delete_stream", BASIC " stream expected_version raw", RPC_STORE | RPC_WRITE, NULL,
     tycho__rpc_build_delete_stream},
    {"truncate", BASIC " stream before raw", RPC_STORE | RPC_WRITE, NULL,
     tycho__rpc_build_truncate},
    {"set_stream_metadata", BASIC " stream metadata raw", RPC_STORE | RPC_WRITE, NULL,
     tycho__rpc_build_set_stream_metadata},
    {"update", BASIC " records", RPC_STORE | RPC_WRITE, NULL, tycho__rpc_build_update},
    {"set_route", BASIC " route stream expected closed", RPC_STORE | RPC_WRITE, NULL,
     tycho__rpc_build_set_route},
    {"put_row", BASIC " table key value bytes version", RPC_STORE | RPC_WRITE, NULL,
     tycho__rpc_build_put_row},
    {"delete_row", BASIC " table key version", RPC_STORE | RPC_WRITE, NULL,
     tycho__rpc_build_delete_row},
    {"set_checkpoint", BASIC " checkpoint position expected", RPC_STORE | RPC_WRITE, NULL,
     tycho__rpc_build_set_checkpoint},
    {"batch", BASIC " conditions operations idempotent", RPC_STORE, tycho__rpc_batch, NULL},
    {"read", BASIC " spec page cursor", RPC_STORE, tycho__rpc_read, NULL},
    {"count", BASIC " spec", RPC_STORE, tycho__rpc_count, NULL},
    {"has_event", BASIC " event_id", RPC_STORE, tycho__rpc_has_event, NULL},
    {"global_position", BASIC " event_id", RPC_STORE, tycho__rpc_global_position, NULL},
    {"streams_of", BASIC " event_id", RPC_STORE, tycho__rpc_streams_of, NULL},
    {"event", BASIC " event_id", RPC_STORE, tycho__rpc_event, NULL},
    {"position_in_stream", BASIC " event_id stream", RPC_STORE, tycho__rpc_position_in_stream,
     NULL},
    {"event_in_stream", BASIC " event_id stream", RPC_STORE, tycho__rpc_event_in_stream, NULL},
    {"last_stream_event", BASIC " stream", RPC_STORE, tycho__rpc_last_stream_event, NULL},
    {"last_version", BASIC " stream", RPC_STORE, tycho__rpc_last_version, NULL},
    {"head", BASIC, RPC_STORE, tycho__rpc_head, NULL},
    {"streams", BASIC " prefix after limit", RPC_STORE, tycho__rpc_streams, NULL},
    {"types", BASIC " prefix after limit", RPC_STORE, tycho__rpc_types, NULL},
    {"tags", BASIC " prefix after limit", RPC_STORE, tycho__rpc_tags, NULL},
    {"routes", BASIC " prefix after limit", RPC_STORE, tycho__rpc_routes, NULL},
    {"checkpoints", BASIC " prefix after limit", RPC_STORE, tycho__rpc_checkpoints, NULL},
    {"rows", BASIC " table prefix after limit", RPC_STORE, tycho__rpc_rows, NULL},
    {"stream_metadata", BASIC " stream raw", RPC_STORE, tycho__rpc_stream_metadata, NULL},
    {"route", BASIC " route", RPC_STORE, tycho__rpc_route, NULL},
    {"checkpoint", BASIC " checkpoint", RPC_STORE, tycho__rpc_checkpoint, NULL},
    {"get_row", BASIC " table key", RPC_STORE, tycho__rpc_get_row, NULL},
    {"model_get", BASIC " model key fresh snapshot_after timeout_ms", RPC_STORE,
     tycho__rpc_model_get, NULL},
    {"model_status", BASIC " model key", RPC_STORE, tycho__rpc_model_status, NULL},
    {"lock", BASIC " name timeout_ms", RPC_STORE, tycho__rpc_lock, NULL},
    {"unlock", BASIC " name token", 0, tycho__rpc_unlock, NULL},
    {"locks", BASIC, RPC_STORE, tycho__rpc_locks, NULL},
    {"follow", BASIC " spec cursor", RPC_STORE, tycho__rpc_follow, NULL},
    {"cancel", BASIC " request follow", 0, tycho__rpc_cancel, NULL},
    {"rename", "", RPC_HOST, NULL, NULL},
    {"merge", "", RPC_HOST, NULL, NULL},
    {"backfill", "", RPC_HOST, NULL, NULL},
    {"wait", BASIC " position timeout_ms", RPC_STORE, tycho__rpc_wait, NULL},
    {"verify", BASIC, RPC_STORE, tycho__rpc_verify, NULL},
    {"stats", BASIC, RPC_STORE, tycho__rpc_stats, NULL},
    {"sync", BASIC, RPC_STORE, tycho__rpc_sync, NULL},
    {"backup", BASIC " path", RPC_STORE, tycho__rpc_backup, NULL},
};
enum { OP_COUNT = sizeof ops / sizeof ops[0] };

const struct rpc_op *tycho__rpc_find_op(const char *name, size_t size) {
    for (size_t i = 0; i < OP_COUNT; i++) {
        if (strlen(ops[i].name) == size && memcmp(ops[i].name, name, size) == 0) return &ops[i];
    }
    return NULL;
}

void tycho__rpc_op_names(unsigned flags, char *names, size_t size) {
    size_t used = 0;
    names[0] = '\0';
    for (size_t i = 0; i < OP_COUNT && used < size; i++) {
        if ((ops[i].flags & flags) != flags) continue;
        int added = snprintf(names + used, size - used, "%s%s", used > 0 ? ", " : "", ops[i].name);
        used += added < 0 ? 0 : (size_t)added;
    }
}
