/* guard.c - judging pages before LMDB reads them; see guard.h. */
#include "guard.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>

struct tycho__guard {
    const uint8_t *base;
    uint32_t page_size;
    int file;
    _Atomic uint64_t pages;  /* of the file, when it was last asked */
    uint64_t bits;           /* how many pages `marks` has: those behind came later */
    _Atomic uint8_t marks[]; /* of four pages each */
};

/* Two bits for a page: it was judged; so were the leaf pages beside it. */
enum mark { JUDGED = 1, SURROUNDED = 2 };

tycho__guard *tycho__guard_create(const uint8_t *base, uint32_t page_size, int file) {
    struct stat info;
    if (fstat(file, &info) != 0) return NULL;
    uint64_t pages = (uint64_t)info.st_size / page_size;
    tycho__guard *guard = calloc(1, sizeof *guard + pages / 4 + 1);
    if (guard == NULL) return NULL;
    guard->base = base;
    guard->page_size = page_size;
    guard->file = file;
    guard->bits = pages;
    atomic_store(&guard->pages, pages);
    return guard;
}

void tycho__guard_destroy(tycho__guard *guard) {
    free(guard);
}

static bool is_marked(const tycho__guard *guard, uint64_t page, enum mark mark) {
    if (page >= guard->bits) return page < atomic_load(&guard->pages);
    unsigned marks = atomic_load_explicit(&guard->marks[page / 4], memory_order_relaxed);
    return (marks >> 2 * (page % 4) & mark) != 0;
}

static void set_mark(tycho__guard *guard, uint64_t page, enum mark mark) {
    if (page >= guard->bits) return;
    atomic_fetch_or_explicit(&guard->marks[page / 4], (uint8_t)(mark << 2 * (page % 4)),
                             memory_order_relaxed);
}

/* The file as far as a snapshot can use it. */
static tycho__image image_of(tycho__guard *guard, uint64_t last) {
    uint64_t pages = atomic_load(&guard->pages);
    struct stat info;
    if (last >= pages && fstat(guard->file, &info) == 0) {
        pages = (uint64_t)info.st_size / guard->page_size;
        atomic_store(&guard->pages, pages);
    }
    uint64_t size = pages * guard->page_size;
    return (tycho__image){guard->base, size, size, pages, guard->page_size};
}

int tycho__guard_begin(tycho__guard *guard, uint64_t commit, tycho__guarded **guarded) {
    if (*guarded == NULL) *guarded = calloc(1, sizeof **guarded);
    tycho__guarded *g = *guarded;
    if (g == NULL) return tycho__fail(TYCHO_NO_MEMORY, "no memory for a transaction");
    const tycho__image image = image_of(guard, 0);
    memset(g, 0, sizeof *g);
    g->is_on = tycho__meta_read(&image, commit & 1, &g->meta) && g->meta.commit == commit;
    g->trees[TYCHO__MAIN] = g->meta.main;
    g->has_tree[TYCHO__MAIN] = true;
    return TYCHO_OK;
}

static int fail_page(unsigned table, const tycho__visited *page) {
    const tycho__inspected inspected = {.table = table, .page = *page};
    char text[1600];
    tycho__inspected_text(&inspected, text, sizeof text);
    return tycho__fail(TYCHO_CORRUPT, "the store is damaged: %s", text);
}

/* Steps on a page below the path: judged when it is seen for the first time. */
static int step_on(tycho__guard *guard, tycho__walk *walk, unsigned table, uint64_t number,
                   uint32_t level) {
    tycho__visited visited;
    bool is_leaf = level + 1 == walk->tree.depth;
    if (is_marked(guard, number, JUDGED) && number < walk->image->count) {
        bool is_branch = tycho__load16(tycho__page(walk->image, number) + 10) == TYCHO__BRANCH;
        if (is_branch != is_leaf) { /* as it was judged */
            walk->path[level].page = number;
            walk->path[level].next = 0;
            return TYCHO_OK;
        }
    }
    tycho__walk_visit(walk, number, level, &visited);
    if (visited.fault != NULL) return fail_page(table, &visited);
    walk->path[level].page = number;
    walk->path[level].next = 0;
    set_mark(guard, number, JUDGED);
    return TYCHO_OK;
}

/* Where a node of a page begins that was judged. */
static const uint8_t *node_in(const uint8_t *page, uint32_t index) {
    return page + tycho__load16(page + TYCHO__PAGE_HEAD + 2 * index);
}

static uint64_t child_in(const uint8_t *page, uint32_t index) {
    const uint8_t *node = node_in(page, index);
    return (uint64_t)tycho__load16(node + 4) << 32 | tycho__load32(node);
}

/* The child of a branch page that has the key: the last whose key is not above it. */
static uint32_t find_child(const tycho__walk *walk, const uint8_t *page, tycho_bytes key) {
    uint32_t low = 0, high = tycho__node_count(page) - 1;
    while (low < high) {
        uint32_t middle = low + (high - low + 1) / 2;
        const uint8_t *node = node_in(page, middle);
        tycho_bytes found = {node + TYCHO__NODE_HEAD, tycho__load16(node + 6)};
        if (tycho__compare_keys(&walk->tree, found, key) <= 0) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    return low;
}

/* Goes down from a level to a leaf page: to the key, to the first or to the last. */
static int descend(tycho__guard *guard, tycho__walk *walk, unsigned table, uint32_t level,
                   const tycho_bytes *key, enum tycho__guard_to to) {
    int status = TYCHO_OK;
    for (; level + 1 < walk->tree.depth && status == TYCHO_OK; level++) {
        const uint8_t *page = tycho__page(walk->image, walk->path[level].page);
        uint32_t index = to == TYCHO__TO_FIRST  ? 0
                         : to == TYCHO__TO_LAST ? tycho__node_count(page) - 1
                                                : find_child(walk, page, *key);
        walk->path[level].next = index + 1;
        status = step_on(guard, walk, table, child_in(page, index), level + 1);
    }
    return status;
}

/* Judges the leaf page beside the one that the path leads to; `by` is 1 or -1. */
static int look_beside(tycho__guard *guard, const tycho__walk *from, unsigned table, int by) {
    tycho__walk walk = *from;
    for (uint32_t level = walk.tree.depth - 1; level > 0; level--) {
        const uint8_t *page = tycho__page(walk.image, walk.path[level - 1].page);
        int64_t index = (int64_t)walk.path[level - 1].next - 1 + by;
        if (index < 0 || index >= (int64_t)tycho__node_count(page)) continue;
        walk.path[level - 1].next = (uint32_t)index + 1;
        int status = step_on(guard, &walk, table, child_in(page, (uint32_t)index), level);
        if (status != TYCHO_OK) return status;
        return descend(guard, &walk, table, level, NULL, by > 0 ? TYCHO__TO_FIRST : TYCHO__TO_LAST);
    }
    return TYCHO_OK;
}

static int look_in(tycho__guard *guard, tycho__walk *walk, unsigned table, const tycho_bytes *key,
                   enum tycho__guard_to to) {
    if (walk->tree.depth == 0) return TYCHO_OK;
    int status = step_on(guard, walk, table, walk->tree.root, 0);
    if (status == TYCHO_OK) status = descend(guard, walk, table, 0, key, to);
    if (status != TYCHO_OK) return status;
    uint64_t leaf = walk->path[walk->tree.depth - 1].page;
    if (is_marked(guard, leaf, SURROUNDED)) return TYCHO_OK;
    status = look_beside(guard, walk, table, -1);
    if (status == TYCHO_OK) status = look_beside(guard, walk, table, 1);
    if (status == TYCHO_OK) set_mark(guard, leaf, SURROUNDED);
    return status;
}

/* The tree of a table, from the leaf page of the main table that has its root. */
static int find_tree(tycho__guard *guard, tycho__guarded *g, const tycho__image *image,
                     tycho__table table) {
    const char *name = tycho__table_name(table);
    const tycho_bytes key = tycho__bytes(name, strlen(name));
    tycho__walk walk = {.image = image, .tree = g->meta.main, .last = g->meta.last};
    g->has_tree[table] = true;
    g->trees[table].depth = 0; /* of one that is not there */
    int status = look_in(guard, &walk, TYCHO__MAIN, &key, TYCHO__TO_KEY);
    if (status != TYCHO_OK || walk.tree.depth == 0) return status;
    const uint8_t *page = tycho__page(image, walk.path[walk.tree.depth - 1].page);
    for (uint32_t i = 0; i < tycho__node_count(page); i++) {
        tycho__node node = tycho__node_of(image, page, i);
        if (!tycho__equal(node.key, key)) continue;
        if (tycho__tree_read(node.value, &g->trees[table])) return TYCHO_OK;
        return tycho__fail(TYCHO_CORRUPT, "the store is damaged: the root of table %s", name);
    }
    return TYCHO_OK;
}

int tycho__guard_look(tycho__guard *guard, tycho__guarded *g, tycho__table table, tycho_bytes key,
                      enum tycho__guard_to to) {
    if (!g->is_on) return TYCHO_OK;
    const tycho__image image = image_of(guard, g->meta.last);
    int status = TYCHO_OK;
    if (!g->has_tree[table]) status = find_tree(guard, g, &image, table);
    bool is_key = (g->trees[table].flags & TYCHO__TREE_INTEGER) == 0 || key.size == 8;
    if (status != TYCHO_OK || (to == TYCHO__TO_KEY && !is_key)) return status;
    tycho__walk walk; /* its path is filled on the way */
    walk.image = &image;
    walk.tree = g->trees[table];
    walk.last = g->meta.last;
    walk.seen = NULL;
    return look_in(guard, &walk, table, &key, to);
}

int tycho__guard_found(tycho__guard *guard, tycho__guarded *g, tycho__table table,
                       tycho_bytes key) {
    const void *page = (const void *)((uintptr_t)key.data & ~((uintptr_t)guard->page_size - 1));
    if (page == g->page[table]) return TYCHO_OK;
    g->page[table] = page;
    return tycho__guard_look(guard, g, table, key, TYCHO__TO_KEY);
}
