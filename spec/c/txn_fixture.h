/* txn_fixture.h - the fixture of tests of tables: a write transaction on a new store. To be
** included behind cmocka.h.
*/
#ifndef TYCHO_SPEC_TXN_FIXTURE_H
#define TYCHO_SPEC_TXN_FIXTURE_H

#include "store.h"
#include "store_values.h"

typedef struct fixture {
    tycho_store *store;
    tycho__txn txn; /* never committed */
} fixture;

static inline int set_up(void **state) {
    fixture *f = calloc(1, sizeof *f);
    if (f == NULL || open_store(NULL, TYCHO_TEMPORARY, &f->store) != TYCHO_OK) return -1;
    *state = f;
    return tycho__txn_write(f->store->env, TYCHO_SYNC_NONE, &f->txn) == TYCHO_OK ? 0 : -1;
}

static inline int tear_down(void **state) {
    fixture *f = *state;
    tycho__txn_abort(&f->txn);
    tycho_store_close(f->store);
    free(f);
    return 0;
}

#endif
