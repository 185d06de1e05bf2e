/* pages.h - the pages of LMDB's data file, read without LMDB and without trust in any of them.
**
** LMDB believes its pages: a damaged one makes it assert, read outside of the file, or find nothing
** (it has no checksums of pages). So they are looked at here before it is let loose on them: when a
** store is opened (inspect.c), when it is read first (guard.c), when it is verified (verify.c), and
** when it is salvaged (salvage.c), which reads with nothing but this.
**
** Format of LMDB 0.9 on machines of 64 bits, little-endian; pages of 4,096 bytes mostly:
**
**   page    0 u64 its number   8 u16 unused   10 u16 flags (enum below)
**          12 u16 end of the pointers   14 u16 begin of the nodes   (overflow: 12 u32 pages)
**          16 u16 per node: where it begins; then room; then the nodes, at even places
**   node    0 u32 size of the value (branch: u48 number of the child)   4 u16 flags
**           6 u16 size of the key   8 key, value (BIG: u64 number of the first overflow page)
**   meta   pages 0 and 1: meta_page.h
**   tree    0 u32 -  4 u16 flags   6 u16 depth   8 u64 branch pages   16 u64 leaf pages
**          24 u64 overflow pages   32 u64 rows   40 u64 number of the root
**
** The main table has the tree of every other table in a node with the flag TREE.
*/
#ifndef TYCHO__PAGES_H
#define TYCHO__PAGES_H

#include "base.h"

enum { /* flags of pages, of nodes, of trees */
       TYCHO__BRANCH = 1,
       TYCHO__LEAF = 2,
       TYCHO__OVERFLOW = 4,
       TYCHO__NODE_BIG = 1,
       TYCHO__NODE_TREE = 2,
       TYCHO__TREE_INTEGER = 8
};

enum {
    TYCHO__PAGE_HEAD = 16,
    TYCHO__NODE_HEAD = 8,
    TYCHO__KEY_SIZE_MAX = 511,
    TYCHO__TREE_SIZE = 48,
    TYCHO__TREE_DEPTH_MAX = 32
};
#define TYCHO__NO_PAGE UINT64_MAX

/* The data file of a store, mapped for reading. */
typedef struct tycho__image {
    const uint8_t *bytes;
    uint64_t size;   /* of the file */
    uint64_t mapped; /* bytes of it */
    uint64_t count;  /* of whole pages of the file */
    uint32_t page_size;
} tycho__image;

typedef struct tycho__tree {
    uint16_t flags;
    uint16_t depth;
    uint64_t branches;
    uint64_t leaves;
    uint64_t overflows;
    uint64_t rows;
    uint64_t root; /* or TYCHO__NO_PAGE */
} tycho__tree;

typedef struct tycho__meta {
    tycho__tree free;
    tycho__tree main;
    uint64_t last; /* page */
    uint64_t commit;
} tycho__meta;

typedef struct tycho__node {
    tycho_bytes key;
    tycho_bytes value;
    uint16_t flags;
    uint64_t child; /* of a branch; or the first overflow page; else TYCHO__NO_PAGE */
} tycho__node;

/* Maps the file, or its first `most` bytes alone (0: all), which is then all that may be looked at.
** NO_MEMORY, IO, NOT_FOUND, DENIED; CORRUPT when it is shorter than two pages. */
int tycho__image_open(tycho__image *image, const char *path, uint64_t most);
void tycho__image_close(tycho__image *image);

static inline const uint8_t *tycho__page(const tycho__image *image, uint64_t number) {
    assert(number < image->count);
    return image->bytes + number * image->page_size;
}

/* Reads a meta page (0 or 1). False when it is none. */
bool tycho__meta_read(const tycho__image *image, uint64_t number, tycho__meta *meta);

/* Reads the tree that a node of the main table has. False when it is none. */
bool tycho__tree_read(tycho_bytes value, tycho__tree *tree);

/* Why a page is no sound branch or leaf page, or NULL: flags, bounds of all nodes. That the page
** has its own number is asked for only with `is_placed`. */
const char *tycho__page_fault(const tycho__image *image, uint64_t number, bool is_placed);

/* How many nodes a sound page has, and one of them. A big value is `value` without data when its
** overflow pages are not sound. */
static inline uint32_t tycho__node_count(const uint8_t *page) {
    return (tycho__load16(page + 12) - (uint32_t)TYCHO__PAGE_HEAD) / 2;
}
tycho__node tycho__node_of(const tycho__image *image, const uint8_t *page, uint32_t index);

/* The node at a place of a leaf page that need not be sound. False when none can be there. */
bool tycho__node_at(const tycho__image *image, const uint8_t *page, uint32_t place,
                    tycho__node *node);

/* How many overflow pages a value takes. */
static inline uint64_t tycho__overflow_count(const tycho__image *image, uint64_t size) {
    return (TYCHO__PAGE_HEAD + size + image->page_size - 1) / image->page_size;
}

/* How many pages begin with this one, which ought to be the first of a value: more than the value
** needs where the same commit wrote a longer one first; LMDB keeps those. 0: it is no such page. */
static inline uint64_t tycho__overflow_pages(const uint8_t *page, uint64_t number) {
    bool is_first = tycho__load64(page) == number && tycho__load16(page + 10) == TYCHO__OVERFLOW;
    return is_first ? tycho__load32(page + 12) : 0;
}

/* ---------------------------------------------------------------- walking a tree */

typedef struct tycho__walk {
    const tycho__image *image;
    tycho__tree tree;
    uint8_t *seen; /* a bit per page that a walk came to; walks may share it; or NULL */
    uint64_t last; /* no page behind this one belongs to the snapshot */
    bool is_begun;
    uint32_t level;
    struct {
        uint64_t page;
        uint32_t next; /* child to be visited */
    } path[TYCHO__TREE_DEPTH_MAX];
} tycho__walk;

/* A page that a walk came to: `fault` says why its nodes cannot be trusted (and what is below it is
** not visited), NULL that they can: bounds, order of keys, and overflow pages. The keys of a sound
** tree there are from `low` on and below `high` (no data: no bound). */
typedef struct tycho__visited {
    uint64_t number;
    bool is_leaf;
    const char *fault;
    tycho_bytes low;
    tycho_bytes high;
} tycho__visited;

/* The next page, parents first. TYCHO_END. */
int tycho__walk_next(tycho__walk *walk, tycho__visited *visited);

/* Judges the page at a level below those of the path, and puts it there when it is a sound
** branch. */
void tycho__walk_visit(tycho__walk *walk, uint64_t number, uint32_t level, tycho__visited *visited);

/* <0, 0 or >0, as keys of the tree are ordered. */
int tycho__compare_keys(const tycho__tree *tree, tycho_bytes a, tycho_bytes b);

static inline bool tycho__is_seen(const uint8_t *seen, uint64_t page) {
    return (seen[page / 8] >> page % 8 & 1) != 0;
}

static inline void tycho__see(uint8_t *seen, uint64_t page) {
    seen[page / 8] = (uint8_t)(seen[page / 8] | 1u << page % 8);
}

#endif
