/* verify.h - a verification that goes on, for the three files of it.
**
**   verify.c        its steps: the pages, the records, the ids; then table after table; the counts
**   verify_lists.c  names, lists and their entries, blocks, ways back, deleted streams
**   verify_rows.c   all other rows
*/
#ifndef TYCHO__VERIFY_H
#define TYCHO__VERIFY_H

#include "apply.h"
#include "cursor.h"
#include "inspect.h"

/* Where a walk of the table `blocks` is. */
typedef struct tycho__block_walk {
    tycho__list list; /* of the row before; number 0: of none */
    bool is_there, is_damaged;
    uint64_t end; /* ordinals below it are taken by the blocks before */
} tycho__block_walk;

struct tycho_verification {
    tycho_store *store;
    tycho__txn *txn;
    int phase;
    int failed;         /* the status of a step that did not succeed */
    tycho__image image; /* of the pages, with the two below */
    tycho__inspection inspection;
    uint64_t position;                /* the last event checked */
    uint8_t key[TYCHO__KEY_SIZE_MAX]; /* walking a table: the last key checked */
    size_t key_size;
    tycho__entries entries; /* of the list that is being walked */
    bool is_walking;
    uint64_t ordinal; /* where its walk goes on */
    uint64_t walked;  /* entries of it so far */
    tycho__block_walk blocks;
    uint64_t ids, tags; /* ids in their table, tags on all records */
    uint64_t lists[TYCHO__KINDS];
    uint64_t type_entries, tag_entries, stream_entries, link_entries, streams, garbage_links;
    uint64_t rows, links, routes, scripts;
    uint32_t scripts_table; /* 0: there is none */
    uint32_t row_table;     /* of the row before, which is there; 0: none was */
    uint32_t counts;        /* of the state row that were looked at */
    uint64_t moved_links;   /* those that have their row and are pending all the same */
    tycho__buffer payload;  /* what is decompressed */
    bool has_named[TYCHO__DICTIONARIES + 1]; /* dictionaries, by records */
    uint64_t findings, done, total;
    char text[1600];
    bool has_text;
};

enum { TYCHO__VERIFY_EACH = 1000 }; /* events, entries, rows of a step */

/* Notes one finding; the first of a step is told. */
__attribute__((format(printf, 2, 3))) void tycho__verify_tell(tycho_verification *v,
                                                              const char *format, ...);

/* True when the status is one that tells of damage, which is then noted. */
bool tycho__verify_is_damage(tycho_verification *v, int status);

/* The next row behind the last key. TYCHO_NOT_FOUND at the end. */
int tycho__verify_next(tycho_verification *v, tycho__table table, tycho_bytes *key,
                       tycho_bytes *value);

/* Goes on with the lists, as far as one step goes; `*is_over`: to the end. */
int tycho__verify_lists(tycho_verification *v, bool *is_over);

/* Each checks one row of a table. */
int tycho__verify_name(tycho_verification *v, tycho_bytes key, tycho_bytes value);
int tycho__verify_block(tycho_verification *v, tycho_bytes key, tycho_bytes value);
int tycho__verify_ways(tycho_verification *v, tycho_bytes key, tycho_bytes value);
int tycho__verify_garbage(tycho_verification *v, tycho_bytes key, tycho_bytes value);
int tycho__verify_row(tycho_verification *v, tycho_bytes key, tycho_bytes value);
int tycho__verify_route(tycho_verification *v, tycho_bytes key, tycho_bytes value);
int tycho__verify_checkpoint(tycho_verification *v, tycho_bytes key, tycho_bytes value);
int tycho__verify_metadata(tycho_verification *v, tycho_bytes key, tycho_bytes value);
int tycho__verify_fence(tycho_verification *v, tycho_bytes key, tycho_bytes value);
int tycho__verify_main(tycho_verification *v, tycho_bytes key, tycho_bytes value);

/* That the store counts what was found, and has its dictionaries: one thing each step. */
int tycho__verify_counts(tycho_verification *v, bool *is_over);

#endif
