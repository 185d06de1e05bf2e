/* ahead.c - asking for the memory of records that are about to be read one after the other.
**
** Events of one tag or stream lie far from each other in the log, so that each costs LMDB some six
** misses of the cache in a row: in its leaf page the pointers, the keys on the way to its node, and
** its bytes. Here the leaf pages of many positions are found first, through branch pages, which are
** mostly in the cache; then all these lines are asked for, many at a time (measured: 50 events of a
** tag are read in half of the time).
**
** It is but a hint: whatever is odd about a page ends it, and LMDB says what is wrong. Pages are
** those of the transaction's snapshot and not trusted further than their bounds.
*/
#include "env.h"
#include "guard.h"

enum { LINE = 64, RECORD_LINES = 5 };

static void ask(const uint8_t *page, uint32_t page_size, uint32_t offset, uint32_t lines) {
    for (uint32_t i = 0; i < lines && offset + i * LINE < page_size; i++) {
        __builtin_prefetch(page + offset + i * LINE);
    }
}

/* Where a node of a page begins; 0: nowhere. */
static uint32_t node_at(const tycho__image *image, const uint8_t *page, uint32_t index) {
    uint32_t offset = tycho__load16(page + TYCHO__PAGE_HEAD + 2 * index);
    bool is_inside = offset + TYCHO__NODE_HEAD + sizeof(uint64_t) <= image->page_size;
    return is_inside ? offset : 0;
}

/* How many nodes a page has; 0 when it cannot be. */
static uint32_t count_nodes(const tycho__image *image, const uint8_t *page) {
    uint32_t end = tycho__load16(page + 12);
    bool is_inside = end >= TYCHO__PAGE_HEAD && end <= image->page_size;
    return is_inside ? (end - TYCHO__PAGE_HEAD) / 2 : 0;
}

/* ---------------------------------------------------------------- the table of events */

/* The tree of the events, from the leaf page of the main table that has it. */
static bool find_tree(const tycho__image *image, const tycho__tree *main, tycho__tree *events) {
    const char *name = tycho__table_name(TYCHO__EVENTS);
    const tycho_bytes key = tycho__bytes(name, strlen(name));
    uint64_t number = main->root;
    for (uint32_t level = 0; level < main->depth; level++) {
        if (number >= image->count || tycho__page_fault(image, number, false) != NULL) return false;
        const uint8_t *page = tycho__page(image, number);
        bool is_leaf = level + 1 == main->depth;
        tycho__node found = tycho__node_of(image, page, 0);
        for (uint32_t i = 1; i < tycho__node_count(page); i++) {
            tycho__node node = tycho__node_of(image, page, i);
            if (tycho__compare_keys(main, node.key, key) > 0) break;
            found = node;
        }
        if (is_leaf) return tycho__equal(found.key, key) && tycho__tree_read(found.value, events);
        number = found.child;
    }
    return false;
}

/* Once for each snapshot. */
static bool begin(tycho__txn *txn, tycho__image *image) {
    tycho__ahead *ahead = &txn->ahead;
    uint64_t commit = tycho__txn_number(txn);
    uint32_t page_size = txn->env->page_size;
    *image = (tycho__image){.bytes = txn->env->base, .count = 2, .page_size = page_size};
    if (ahead->commit != commit) {
        tycho__meta meta;
        tycho__tree events;
        ahead->commit = commit;
        ahead->depth = 0;
        if (!tycho__meta_read(image, commit & 1, &meta) || meta.commit != commit) return false;
        image->count = ahead->pages = meta.last + 1;
        if (!find_tree(image, &meta.main, &events)) return false;
        ahead->root = events.root;
        ahead->depth = events.depth;
    }
    image->count = ahead->pages;
    return ahead->depth > 0;
}

/* ---------------------------------------------------------------- positions */

typedef struct place {
    const uint8_t *page; /* leaf, or NULL */
    uint64_t first;      /* position in it */
} place;

static place find_leaf(const tycho__image *image, const tycho__ahead *ahead, uint64_t position) {
    place leaf = {NULL, 1};
    uint64_t number = ahead->root;
    for (uint32_t level = 1; level < ahead->depth; level++) {
        if (number >= image->count) return leaf;
        const uint8_t *page = tycho__page(image, number);
        uint32_t count = count_nodes(image, page), low = 0, high = count - 1;
        if (count == 0) return leaf;
        while (low < high) {
            uint32_t middle = low + (high - low + 1) / 2;
            const uint8_t *node = page + node_at(image, page, middle);
            if (tycho__load64(node + TYCHO__NODE_HEAD) <= position) {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        const uint8_t *node = page + node_at(image, page, low);
        number = (uint64_t)tycho__load16(node + 4) << 32 | tycho__load32(node);
        if (low > 0) leaf.first = tycho__load64(node + TYCHO__NODE_HEAD); /* the first has none */
    }
    if (number < image->count) leaf.page = tycho__page(image, number);
    return leaf;
}

/* The nodes that LMDB looks at on its way to one: the outer ones, and those of its search. The log
** has no gaps, so that the first position tells which node it is. */
static void ask_for_nodes(const tycho__image *image, const place *leaf, uint64_t position) {
    int64_t count = count_nodes(image, leaf->page);
    int64_t wanted = (int64_t)(position - leaf->first), low = 0, high = count - 1;
    if (wanted < 0 || wanted >= count) return;
    ask(leaf->page, image->page_size, node_at(image, leaf->page, 0), 1);
    ask(leaf->page, image->page_size, node_at(image, leaf->page, (uint32_t)count - 1), 1);
    while (low <= high) {
        int64_t middle = (low + high) / 2;
        uint32_t offset = node_at(image, leaf->page, (uint32_t)middle);
        ask(leaf->page, image->page_size, offset, middle == wanted ? RECORD_LINES : 1);
        if (middle == wanted) break;
        if (middle < wanted) {
            low = middle + 1;
        } else {
            high = middle - 1;
        }
    }
}

void tycho__events_ahead(tycho__txn *txn, const uint64_t *positions, uint32_t count) {
    tycho__image image;
    place places[TYCHO__AHEAD];
    assert(count <= TYCHO__AHEAD);
    if (!begin(txn, &image)) return;
    for (uint32_t i = 0; i < count; i++) {
        places[i] = find_leaf(&image, &txn->ahead, positions[i]);
        if (places[i].page != NULL) __builtin_prefetch(places[i].page);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (places[i].page != NULL) ask_for_nodes(&image, &places[i], positions[i]);
    }
}
