/* ahead.c - finding many records that are about to be read one after the other.
**
** Events of one tag or stream lie far from each other in the log, so that each costs some misses of
** the cache in a row: the head of its leaf page, the pointers, and its bytes. Here all that is done
** for many positions, step by step, and asked for a step ahead: their leaf pages, through branch
** pages, which are mostly in the cache; then their nodes (measured: 50 events of a tag are read in
** a third of the time).
**
** In a large store the pages may be on the disk: when they lately were, all are asked for first, so
** that it reads them at once (measured: streams of 1,000 events, cold, in half the time).
**
** Only pages that were judged are gone through (guard.h), and a node counts when it has the key
** that was looked for. Where something is odd, or not judged yet, nothing is found, and place.h
** goes there and says what is wrong.
*/
#include "env.h"
#include "place.h"

enum { LINE = 64, RECORD_MOST = 1024 };

typedef struct leaf {
    uint64_t number; /* 0: unknown */
    uint64_t first;  /* position in it */
} leaf;

static const uint8_t *node_of(const uint8_t *page, uint32_t index) {
    return page + tycho__load16(page + TYCHO__PAGE_HEAD + 2 * index);
}

static uint64_t key_of(const uint8_t *page, uint32_t index) {
    return tycho__load64(node_of(page, index) + TYCHO__NODE_HEAD);
}

/* The node of a branch page that leads to a position. The first has no key, and the keys of the
** others are about as far from each other, because a log is appended: so the search begins where
** the position would be then, and goes on in steps that double. */
static uint32_t find_child(const uint8_t *page, uint64_t position) {
    uint32_t low = 1, high = tycho__node_count(page) - 1;
    if (high < low) return 0;
    uint64_t lowest = key_of(page, low), highest = key_of(page, high);
    if (position < lowest) return 0;
    if (position >= highest) return high;
    uint64_t step = (highest - lowest) / (high - low), far = (position - lowest) / (step + !step);
    uint32_t at = low + (far < high - low ? (uint32_t)far : high - low - 1);
    for (uint32_t by = 1; high - low > 1; by *= 2) {
        bool is_inside = at > low && at < high;
        if (!is_inside) at = low + (high - low) / 2;
        if (key_of(page, at) <= position) {
            low = at;
            at += by;
        } else {
            high = at;
            at -= by < at ? by : at;
        }
    }
    return low;
}

static leaf find_leaf(const tycho__guarded *g, const tycho__tree *tree, uint64_t position) {
    leaf found = {tree->root, 1};
    for (uint32_t level = 1; level < tree->depth; level++) {
        const uint8_t *page = tycho__guard_judged(g, TYCHO__EVENTS, false, found.number);
        if (page == NULL) return (leaf){0, 0};
        uint32_t index = find_child(page, position);
        const uint8_t *node = node_of(page, index);
        found.number = (uint64_t)tycho__load16(node + 4) << 32 | tycho__load32(node);
        if (index > 0) found.first = tycho__load64(node + TYCHO__NODE_HEAD);
    }
    return found;
}

/* The log has no gaps, so that the first position tells which node it is. The nodes of a page lie
** in the order of their coming, from its end down. */
static const uint8_t *ask_for_node(const tycho__image *image, const uint8_t *page, uint64_t index) {
    if (index >= tycho__node_count(page)) return NULL;
    const uint8_t *node = node_of(page, (uint32_t)index);
    const uint8_t *end = index > 0 ? node_of(page, (uint32_t)index - 1) : page + image->page_size;
    if (end > node + RECORD_MOST) end = node + RECORD_MOST;
    __builtin_prefetch(node);
    for (const uint8_t *line = node + LINE; line < end; line += LINE) __builtin_prefetch(line);
    return node;
}

void tycho__events_ahead(tycho__txn *txn, const uint64_t *positions, uint32_t count,
                         const uint8_t **nodes) {
    const tycho__tree *tree = tycho__place_tree(txn->guarded, TYCHO__EVENTS);
    const tycho__image image = tycho__guard_image(txn->guarded);
    leaf leaves[TYCHO__AHEAD];
    assert(count <= TYCHO__AHEAD);
    bool is_cold = tycho__guard_is_cold(txn->guarded->guard);
    for (uint32_t i = 0; i < count; i++) {
        leaves[i] = tree == NULL ? (leaf){0, 0} : find_leaf(txn->guarded, tree, positions[i]);
        if (leaves[i].number >= image.count) leaves[i].number = 0;
        __builtin_prefetch(tycho__page(&image, leaves[i].number));
        if (!is_cold || leaves[i].number == 0) continue;
        tycho__guard_ask(txn->guarded->guard, leaves[i].number, 1);
    }
    for (uint32_t i = 0; i < count; i++) {
        nodes[i] = NULL;
        if (leaves[i].number == 0) continue;
        const uint8_t *page =
            tycho__guard_judged(txn->guarded, TYCHO__EVENTS, true, leaves[i].number);
        if (page != NULL) nodes[i] = ask_for_node(&image, page, positions[i] - leaves[i].first);
    }
}

bool tycho__ahead_record(const uint8_t *node, uint64_t position, tycho_bytes *record) {
    uint32_t key_size = tycho__load16(node + 6), flags = tycho__load16(node + 4);
    if (key_size != 8 || (flags & TYCHO__NODE_BIG) != 0) return false;
    *record = tycho__bytes(node + TYCHO__NODE_HEAD + key_size, tycho__load32(node));
    return tycho__load64(node + TYCHO__NODE_HEAD) == position;
}
