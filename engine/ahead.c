/* ahead.c - asking for the memory of records that are about to be read one after the other.
**
** Events of one tag or stream lie far from each other in the log, so that each costs some misses of
** the cache in a row: the head of its leaf page, the pointers, the first key, and its bytes. Here
** the leaf pages of many positions are found first, through branch pages, which are mostly in the
** cache; then all these lines are asked for, many at a time (measured: 50 events of a tag are read
** in half of the time).
**
** It is but a hint: whatever is odd about a page ends it, and place.h says what is wrong. Pages are
** those of the transaction's snapshot and not trusted further than their bounds.
*/
#include "env.h"
#include "place.h"

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

/* ---------------------------------------------------------------- positions */

typedef struct place {
    const uint8_t *page; /* leaf, or NULL */
    uint64_t first;      /* position in it */
} place;

static place find_leaf(const tycho__image *image, const tycho__tree *tree, uint64_t position) {
    place leaf = {NULL, 1};
    uint64_t number = tree->root;
    for (uint32_t level = 1; level < tree->depth; level++) {
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

/* The log has no gaps, so that the first position tells which node it is. */
static void ask_for_node(const tycho__image *image, const place *leaf, uint64_t position) {
    uint64_t index = position - leaf->first;
    if (index >= count_nodes(image, leaf->page)) return;
    ask(leaf->page, image->page_size, node_at(image, leaf->page, 0), 1);
    ask(leaf->page, image->page_size, node_at(image, leaf->page, (uint32_t)index), RECORD_LINES);
}

void tycho__events_ahead(tycho__txn *txn, const uint64_t *positions, uint32_t count) {
    const tycho__tree *tree = tycho__place_tree(txn->guarded, TYCHO__EVENTS);
    place places[TYCHO__AHEAD];
    assert(count <= TYCHO__AHEAD);
    if (tree == NULL) return;
    const tycho__image image = tycho__guard_image(txn->guarded);
    for (uint32_t i = 0; i < count; i++) {
        places[i] = find_leaf(&image, tree, positions[i]);
        if (places[i].page != NULL) __builtin_prefetch(places[i].page);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (places[i].page != NULL) ask_for_node(&image, &places[i], positions[i]);
    }
}
