/* script_fixture.h - the fixture of tests with one store that runs deployed scripts. To be included
** behind cmocka.h.
*/
#ifndef TYCHO_SPEC_SCRIPT_FIXTURE_H
#define TYCHO_SPEC_SCRIPT_FIXTURE_H

#include "store_values.h"

#include "script_values.h"

typedef struct fixture {
    char path[DIRECTORY_SIZE];
    tycho_store *store;
} fixture;

static inline int set_up(void **state) {
    fixture *f = calloc(1, sizeof *f);
    if (f == NULL || make_directory(f->path) != 0) return -1;
    open_values();
    f->store = open_attached(f->path);
    *state = f;
    return 0;
}

static inline int tear_down(void **state) {
    fixture *f = *state;
    assert_clean(f->store);
    tycho_store_close(f->store);
    remove_directory(f->path);
    close_values();
    free(f);
    return 0;
}

#endif
