/* snapshot.c - snapshots: a read transaction that cursors share; see cursor.h. */
#include "cursor.h"

#include <stdlib.h>

int tycho_snapshot_open(tycho_store *store, tycho_snapshot **out) {
    if (out == NULL) return tycho__fail(TYCHO_MISUSE, "no place to put the snapshot");
    *out = NULL;
    int status = tycho__store_check(store);
    if (status != TYCHO_OK) return status;
    tycho_snapshot *snapshot = calloc(1, sizeof *snapshot);
    if (snapshot == NULL) return tycho__fail(TYCHO_NO_MEMORY, "no memory for a snapshot");
    snapshot->store = store;
    status = tycho__txn_read(store->env, &snapshot->txn);
    if (status != TYCHO_OK) {
        free(snapshot);
        return status;
    }
    atomic_fetch_add(&store->children, 1);
    tycho__snapshot_hold(snapshot);
    *out = snapshot;
    return TYCHO_OK;
}

void tycho_snapshot_close(tycho_snapshot *snapshot) {
    if (snapshot == NULL) return;
    tycho__snapshot_let_go(snapshot);
    if (tycho__store_check(snapshot->store) == TYCHO_OK) tycho__txn_done(snapshot->txn);
    atomic_fetch_sub(&snapshot->store->children, 1);
    free(snapshot);
}

int tycho_snapshot_get(tycho_snapshot *snapshot, uint64_t *head, uint64_t *rules) {
    if (snapshot == NULL || head == NULL || rules == NULL) {
        return tycho__fail(TYCHO_MISUSE, "no snapshot, or no place to put its head and rules");
    }
    int status = tycho__store_check(snapshot->store);
    if (status != TYCHO_OK) return status;
    *head = snapshot->txn->state.head;
    *rules = snapshot->txn->state.rules;
    return TYCHO_OK;
}
