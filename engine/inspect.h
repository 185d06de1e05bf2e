/* inspect.h - the pages of all tables of one snapshot, proved before LMDB reads them.
**
** An inspection walks the tables one after the other, the free pages last. Proved are: that each
** page is what the page above it says, with nodes inside of it and keys in order; that none is used
** twice or is free as well; that the tables have as many rows as they count. What is not: bytes of
** keys that keep their order, and of values (their own checksums and `tycho verify` are for that).
*/
#ifndef TYCHO__INSPECT_H
#define TYCHO__INSPECT_H

#include "pages.h"
#include "table.h"

#if !defined(TYCHO__INSPECT_PAGES) /* of a store that is inspected whole when it is opened */
#define TYCHO__INSPECT_PAGES 16384
#endif

enum { TYCHO__FREE_PAGES = TYCHO__TABLES, TYCHO__TREES = TYCHO__TABLES + 1 };

typedef struct tycho__inspection {
    const tycho__image *image;
    tycho__meta meta;
    tycho__tree trees[TYCHO__TREES]; /* by table; of one that is not there, depth is 0 */
    uint32_t known;                  /* a bit for each table that is there, empty or not */
    uint8_t *seen;                   /* pages in use */
    tycho__walk walk;
    unsigned table; /* that is being walked */
    uint64_t rows;  /* of it so far */
    bool is_brief;  /* only the main table and the free pages */
    bool has_fault;
} tycho__inspection;

/* What an inspection came to: a page, or (page TYCHO__NO_PAGE) a fault of the whole table. */
typedef struct tycho__inspected {
    unsigned table;
    tycho__visited page;
} tycho__inspected;

/* Begins with the commit of this number. TYCHO_NOT_FOUND, without a sentence, when its meta page
** was written over; NO_MEMORY. `end` takes one that was zeroed. */
int tycho__inspect_begin(tycho__inspection *inspection, const tycho__image *image, uint64_t commit);
/* The same with a meta page that the caller chose. */
int tycho__inspect_meta(tycho__inspection *inspection, const tycho__image *image,
                        const tycho__meta *meta);
void tycho__inspect_end(tycho__inspection *inspection);

/* The next page. TYCHO_END. */
int tycho__inspect_next(tycho__inspection *inspection, tycho__inspected *inspected);

/* Writes what is wrong and with which keys: "page 17 of table events (positions 30 to 55): ...". */
void tycho__inspected_text(const tycho__inspected *inspected, char *text, size_t size);
const char *tycho__table_name(unsigned table);
/* Writes a key of a table so that people can read it. */
void tycho__key_text(unsigned table, tycho_bytes key, char *text, size_t size);

/* Inspects the store in this file as of a commit, before it is used: whole when it has no more than
** TYCHO__INSPECT_PAGES pages, else the main table and the free pages (guard.h sees to the rest).
** CORRUPT. */
int tycho__inspect_file(const char *path, uint64_t commit, bool *is_whole);

/* Both meta pages of a data file, before LMDB maps it by what they say. CORRUPT. */
int tycho__inspect_heads(const char *path);

#endif
