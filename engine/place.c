/* place.c - places in the tables of a commit; see place.h, and pages.h for the format.
**
** Pages are those that guard.h let in, so that their nodes are inside of them and in order. What
** is not known of a page that was judged once is that this way leads to it rightly: a damaged
** number in a branch page may be that of another page of the same table. Then the key is not
** within the page, or the keys go down from one page to the next; both are looked at.
*/
#include "place.h"

/* ---------------------------------------------------------------- nodes */

static uint32_t count_of(const uint8_t *page) {
    return tycho__node_count(page);
}

static const uint8_t *node_in(const uint8_t *page, uint32_t index) {
    return page + tycho__load16(page + TYCHO__PAGE_HEAD + 2 * index);
}

static tycho_bytes key_in(const uint8_t *page, uint32_t index) {
    const uint8_t *node = node_in(page, index);
    return tycho__bytes(node + TYCHO__NODE_HEAD, tycho__load16(node + 6));
}

static uint64_t child_in(const uint8_t *page, uint32_t index) {
    const uint8_t *node = node_in(page, index);
    return (uint64_t)tycho__load16(node + 4) << 32 | tycho__load32(node);
}

/* A key of another size is one of another table. */
static inline int compare_numbers(const uint8_t *node, tycho_bytes key) {
    if (tycho__load16(node + 6) != 8 || key.size != 8) return -1;
    uint64_t found = tycho__load64(node + TYCHO__NODE_HEAD), wanted = tycho__load64(key.data);
    return found < wanted ? -1 : found > wanted;
}

static inline int compare_bytes(const uint8_t *node, tycho_bytes key) {
    size_t size = tycho__load16(node + 6);
    if (size >= 8 && key.size >= 8) { /* which is most, and mostly enough */
        uint64_t found = tycho__unkey64(node + TYCHO__NODE_HEAD), wanted = tycho__unkey64(key.data);
        if (found != wanted) return found < wanted ? -1 : 1;
    }
    int order = memcmp(node + TYCHO__NODE_HEAD, key.data, size < key.size ? size : key.size);
    return order != 0 ? order : size < key.size ? -1 : size > key.size;
}

static int compare(const tycho__tree *tree, const uint8_t *node, tycho_bytes key) {
    bool is_integer = (tree->flags & TYCHO__TREE_INTEGER) != 0;
    return is_integer ? compare_numbers(node, key) : compare_bytes(node, key);
}

__attribute__((always_inline)) static inline uint32_t
search_in(bool is_integer, const uint8_t *page, uint32_t low, tycho_bytes key, bool *is_equal) {
    uint32_t high = count_of(page);
    *is_equal = false;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const uint8_t *node = node_in(page, middle);
        int order = is_integer ? compare_numbers(node, key) : compare_bytes(node, key);
        if (order == 0) {
            *is_equal = true;
            return middle;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Numbers without gaps, as those of events, are where the first on the page says. */
static bool guess(const uint8_t *page, tycho_bytes key, uint32_t *index) {
    const uint8_t *first = node_in(page, 0);
    if (key.size != 8) return false;
    uint64_t behind = tycho__load64(key.data) - tycho__load64(first + TYCHO__NODE_HEAD);
    *index = (uint32_t)behind;
    return behind < count_of(page) && compare_numbers(node_in(page, *index), key) == 0;
}

/* The first node from `low` on whose key is not less, and whether it is equal. */
static uint32_t search(const tycho__tree *tree, const uint8_t *page, uint32_t low, tycho_bytes key,
                       bool *is_equal) {
    uint32_t index;
    if ((tree->flags & TYCHO__TREE_INTEGER) == 0) {
        return search_in(false, page, low, key, is_equal);
    }
    *is_equal = low == 0 && guess(page, key, &index);
    return *is_equal ? index : search_in(true, page, low, key, is_equal);
}

/* ---------------------------------------------------------------- from page to page */

static const uint8_t *leaf_of(const tycho__place *place) {
    return place->path[place->depth - 1].page;
}

static uint32_t *index_of(tycho__place *place) {
    return &place->path[place->depth - 1].index;
}

static bool is_last(const tycho__place *place) {
    for (uint32_t i = 0; i + 1 < place->depth; i++) {
        if (place->path[i].index + 1 < count_of(place->path[i].page)) return false;
    }
    return true;
}

enum to { TO_KEY, TO_FIRST, TO_LAST };

/* Goes down from the page at a level to the leaf page of a key, to the first or to the last. */
static int descend(tycho__guarded *g, tycho__table table, tycho__place *place, uint32_t level,
                   const tycho_bytes *key, enum to to) {
    const tycho__tree *tree = &g->trees[table];
    for (; level + 1 < tree->depth; level++) {
        const uint8_t *page = place->path[level].page;
        uint32_t index = to == TO_LAST ? count_of(page) - 1 : 0;
        bool is_equal = false;
        if (to == TO_KEY) index = search(tree, page, 1, *key, &is_equal);
        if (to == TO_KEY && !is_equal) index--;
        place->path[level].index = index;
        int status = tycho__guard_step(g, table, place, level + 1, child_in(page, index));
        if (status != TYCHO_OK) return status;
    }
    place->depth = tree->depth;
    place->is_last = is_last(place);
    if (to == TO_LAST) *index_of(place) = count_of(leaf_of(place)) - 1;
    return TYCHO_OK;
}

static int descend_from_root(tycho__guarded *g, tycho__table table, const tycho_bytes *key,
                             enum to to) {
    tycho__place *place = &g->places[table];
    place->depth = 0;
    place->crossed = place->asked = 0;
    if (g->trees[table].depth == 0) return TYCHO_NOT_FOUND;
    int status = tycho__guard_step(g, table, place, 0, g->trees[table].root);
    return status == TYCHO_OK ? descend(g, table, place, 0, key, to) : status;
}

static int fail_way(tycho__table table) {
    return tycho__fail(TYCHO_CORRUPT,
                       "the store is damaged: a page of table %s leads to another place of it",
                       tycho__table_name(table));
}

enum { ASKED_MOST = 256 };

/* Asks for the leaf pages behind `asked` ones from an index of their branch page on, as few at once
** as there are runs of them in the file. */
static void ask_for(const tycho__guarded *g, tycho__place *place, int by, uint32_t most) {
    const uint8_t *page = place->path[place->depth - 2].page;
    int64_t index = (int64_t)place->path[place->depth - 2].index, end = count_of(page);
    for (index += by * (int64_t)(place->asked + 1); place->asked < most;) {
        if (index < 0 || index >= end) return;
        uint64_t first = child_in(page, (uint32_t)index), count = 0;
        while (index >= 0 && index < end && place->asked < most) {
            uint64_t wanted = by > 0 ? first + count : first - count;
            if (child_in(page, (uint32_t)index) != wanted) break;
            index += by;
            count++;
            place->asked++;
        }
        tycho__guard_ask(g->guard, by > 0 ? first : first - (count - 1), count);
    }
}

/* In a large store: who has gone some leaf pages on will go on, so twice as many are asked for. */
static void ask_ahead(const tycho__guarded *g, tycho__place *place, int by) {
    if (!tycho__guard_is_large(g->guard) || place->depth < 2) return;
    if (place->crossed <= ASKED_MOST) place->crossed++;
    if (place->asked > 0) place->asked--;
    uint32_t most = place->crossed < ASKED_MOST ? place->crossed : ASKED_MOST;
    if (most > 1 && place->asked <= most / 2) ask_for(g, place, by, most);
}

/* Goes to the nearest row of the next leaf page, or (`by` -1) of the one before. */
static int cross(tycho__guarded *g, tycho__table table, tycho__place *place, int by) {
    uint32_t level = place->depth - 1;
    const uint8_t *from = leaf_of(place), *page;
    int64_t index;
    do {
        if (level == 0) return TYCHO_NOT_FOUND;
        page = place->path[--level].page;
        index = (int64_t)place->path[level].index + by;
    } while (index < 0 || index >= (int64_t)count_of(page));
    place->depth = 0;
    place->path[level].index = (uint32_t)index;
    int status = tycho__guard_step(g, table, place, level + 1, child_in(page, (uint32_t)index));
    if (status != TYCHO_OK) return status;
    bool is_beside = level + 2 == g->trees[table].depth; /* on the same branch page */
    status = descend(g, table, place, level + 1, NULL, by > 0 ? TO_FIRST : TO_LAST);
    if (status != TYCHO_OK) return status;
    if (!is_beside) place->asked = 0;
    ask_ahead(g, place, by);
    tycho_bytes edge = key_in(from, by > 0 ? count_of(from) - 1 : 0);
    int order = compare(&g->trees[table], node_in(leaf_of(place), *index_of(place)), edge);
    if ((by > 0 && order > 0) || (by < 0 && order < 0)) return TYCHO_OK;
    place->depth = 0;
    return fail_way(table);
}

/* Whether a leaf page where a key is before all or behind all is the one that branches tell of. */
static bool is_in_bounds(const tycho__tree *tree, const tycho__place *place) {
    const uint8_t *leaf = leaf_of(place);
    bool has_low = false, has_high = false;
    for (uint32_t i = place->depth - 1; i > 0 && !(has_low && has_high); i--) {
        const uint8_t *page = place->path[i - 1].page;
        uint32_t index = place->path[i - 1].index;
        if (!has_low && index > 0) {
            has_low = true;
            if (compare(tree, node_in(leaf, 0), key_in(page, index)) < 0) return false;
        }
        if (!has_high && index + 1 < count_of(page)) {
            has_high = true;
            const uint8_t *last = node_in(leaf, count_of(leaf) - 1);
            if (compare(tree, last, key_in(page, index + 1)) >= 0) return false;
        }
    }
    return true;
}

/* Whether a key is on the leaf page where the place is, by the branch page above it, which is at
** hand in caches; where that does not tell, no. */
static bool is_here(const tycho__tree *tree, const tycho__place *place, tycho_bytes key) {
    if (place->depth < 2) return place->depth == 1;
    const uint8_t *page = place->path[place->depth - 2].page;
    uint32_t index = place->path[place->depth - 2].index;
    if (index == 0 || compare(tree, node_in(page, index), key) > 0) return false;
    if (index + 1 == count_of(page)) return place->is_last;
    return compare(tree, node_in(page, index + 1), key) > 0;
}

/* Goes to the leaf page beside, when numbers without gaps, as those of events are, go on there. */
static bool go_beside(tycho__guarded *g, tycho__table table, tycho__place *place, tycho_bytes key) {
    if ((g->trees[table].flags & TYCHO__TREE_INTEGER) == 0 || place->depth == 0) return false;
    const uint8_t *leaf = leaf_of(place);
    tycho_bytes first = key_in(leaf, 0), last = key_in(leaf, count_of(leaf) - 1);
    if (key.size != 8 || first.size != 8 || last.size != 8) return false;
    uint64_t number = tycho__load64(key.data);
    int by = number == tycho__load64(last.data) + 1    ? 1
             : number + 1 == tycho__load64(first.data) ? -1
                                                       : 0;
    return by != 0 && cross(g, table, place, by) == TYCHO_OK;
}

/* Goes to where a key is, or would be: on its leaf page, or behind that. */
static int go(tycho__guarded *g, tycho__table table, tycho_bytes key, bool *is_equal) {
    const tycho__tree *tree = &g->trees[table];
    tycho__place *place = &g->places[table];
    *is_equal = false;
    if (!is_here(tree, place, key) && !go_beside(g, table, place, key)) {
        int status = descend_from_root(g, table, &key, TO_KEY);
        if (status != TYCHO_OK) return status;
    }
    uint32_t index = search(tree, leaf_of(place), 0, key, is_equal);
    *index_of(place) = index;
    bool is_inside = *is_equal || (index > 0 && index < count_of(leaf_of(place)));
    if (is_inside || is_in_bounds(tree, place)) return TYCHO_OK;
    place->depth = 0;
    return fail_way(table);
}

/* The row at a place, which is on one. */
static int read_row(const tycho__guarded *g, tycho__table table, tycho_bytes *key,
                    tycho_bytes *value) {
    const tycho__place *place = &g->places[table];
    const uint8_t *node = node_in(leaf_of(place), place->path[place->depth - 1].index);
    uint32_t size = tycho__load32(node), key_size = tycho__load16(node + 6);
    const uint8_t *at = node + TYCHO__NODE_HEAD + key_size;
    if (key != NULL) *key = tycho__bytes(node + TYCHO__NODE_HEAD, key_size);
    *value = tycho__bytes(at, size);
    if ((tycho__load16(node + 4) & TYCHO__NODE_BIG) == 0) return TYCHO_OK;
    return tycho__guard_value(g, table, tycho__load64(at), size, value);
}

/* ---------------------------------------------------------------- trees */

/* Finds the tree of a table in the main table. */
static int find_tree(tycho__guarded *g, tycho__table table) {
    const char *name = tycho__table_name(table);
    tycho_bytes value;
    bool is_there;
    g->trees[table].depth = 0; /* of one that is not there */
    g->trees[table].rows = 0;
    int status = go(g, TYCHO__MAIN, tycho__bytes(name, strlen(name)), &is_there);
    if (status == TYCHO_OK && is_there) {
        status = read_row(g, TYCHO__MAIN, NULL, &value);
        if (status == TYCHO_OK && !tycho__tree_read(value, &g->trees[table])) {
            status = tycho__fail(TYCHO_CORRUPT, "the store is damaged: the root of table %s", name);
        }
    }
    if (status != TYCHO_OK && status != TYCHO_NOT_FOUND) return status;
    g->known |= 1u << table;
    return TYCHO_OK;
}

static inline int know(tycho__guarded *g, tycho__table table) {
    return (g->known >> table & 1) != 0 ? TYCHO_OK : find_tree(g, table);
}

/* ---------------------------------------------------------------- rows */

int tycho__place_get(tycho__guarded *g, tycho__table table, tycho_bytes key, tycho_bytes *value) {
    bool is_there = false;
    int status = know(g, table);
    if (status == TYCHO_OK) status = go(g, table, key, &is_there);
    if (status != TYCHO_OK) return status;
    return is_there ? read_row(g, table, NULL, value) : TYCHO_NOT_FOUND;
}

static int go_to_end(tycho__guarded *g, tycho__table table, enum to to) {
    int status = know(g, table);
    return status == TYCHO_OK ? descend_from_root(g, table, NULL, to) : status;
}

int tycho__place_seek(tycho__guarded *g, tycho__table table, tycho_bytes *key, tycho_bytes *value) {
    tycho__place *place = &g->places[table];
    bool is_there;
    int status;
    if (key->size == 0) {
        status = go_to_end(g, table, TO_FIRST);
    } else {
        status = know(g, table);
        if (status == TYCHO_OK) status = go(g, table, *key, &is_there);
        if (status == TYCHO_OK && *index_of(place) == count_of(leaf_of(place))) {
            status = cross(g, table, place, 1);
        }
    }
    return status == TYCHO_OK ? read_row(g, table, key, value) : status;
}

int tycho__place_seek_back(tycho__guarded *g, tycho__table table, tycho_bytes *key,
                           tycho_bytes *value) {
    tycho__place *place = &g->places[table];
    bool is_there = false;
    int status = know(g, table);
    if (status == TYCHO_OK) status = go(g, table, *key, &is_there);
    if (status == TYCHO_OK && !is_there) {
        if (*index_of(place) == 0) {
            status = cross(g, table, place, -1);
        } else {
            --*index_of(place);
        }
    }
    return status == TYCHO_OK ? read_row(g, table, key, value) : status;
}

int tycho__place_next(tycho__guarded *g, tycho__table table, tycho_bytes *key, tycho_bytes *value) {
    tycho__place *place = &g->places[table];
    int status = TYCHO_OK;
    if (place->depth == 0) {
        status = go_to_end(g, table, TO_FIRST);
    } else if (*index_of(place) + 1 < count_of(leaf_of(place))) {
        ++*index_of(place);
    } else {
        status = cross(g, table, place, 1);
    }
    return status == TYCHO_OK ? read_row(g, table, key, value) : status;
}

int tycho__place_previous(tycho__guarded *g, tycho__table table, tycho_bytes *key,
                          tycho_bytes *value) {
    tycho__place *place = &g->places[table];
    int status = TYCHO_OK;
    if (place->depth == 0) {
        status = go_to_end(g, table, TO_LAST);
    } else if (*index_of(place) > 0) {
        --*index_of(place);
    } else {
        status = cross(g, table, place, -1);
    }
    return status == TYCHO_OK ? read_row(g, table, key, value) : status;
}

int tycho__place_last(tycho__guarded *g, tycho__table table, tycho_bytes *key, tycho_bytes *value) {
    int status = go_to_end(g, table, TO_LAST);
    return status == TYCHO_OK ? read_row(g, table, key, value) : status;
}

int tycho__place_count(tycho__guarded *g, tycho__table table, uint64_t *count) {
    int status = know(g, table);
    *count = g->trees[table].rows;
    return status;
}

void tycho__place_ask(tycho__guarded *g, tycho__table table, tycho_bytes key) {
    tycho__place place;
    if (know(g, table) != TYCHO_OK || g->trees[table].depth < 2) return;
    const tycho__tree *tree = &g->trees[table];
    uint64_t number = tree->root;
    uint32_t index = 0;
    for (uint32_t level = 0; level + 1 < tree->depth; level++) {
        bool is_equal;
        if (tycho__guard_step(g, table, &place, level, number) != TYCHO_OK) return;
        index = search(tree, place.path[level].page, 1, key, &is_equal);
        index -= !is_equal;
        place.path[level].index = index;
        number = child_in(place.path[level].page, index);
    }
    const uint8_t *page = place.path[tree->depth - 2].page;
    uint32_t last = index + 1 < count_of(page) ? index + 1 : index;
    for (index -= index > 0; index <= last; index++) {
        tycho__guard_ask(g->guard, child_in(page, index), 1);
    }
}

const tycho__tree *tycho__place_tree(tycho__guarded *g, tycho__table table) {
    bool is_there = know(g, table) == TYCHO_OK && g->trees[table].depth > 0;
    return is_there ? &g->trees[table] : NULL;
}

/* ---------------------------------------------------------------- for who writes */

static int look_beside(tycho__guarded *g, tycho__table table, int by) {
    tycho__place beside = g->places[table];
    beside.crossed = 0;
    int status = cross(g, table, &beside, by);
    return status == TYCHO_NOT_FOUND ? TYCHO_OK : status;
}

static int surround(tycho__guarded *g, tycho__table table) {
    const uint8_t *leaf = leaf_of(&g->places[table]);
    if (tycho__guard_is_surrounded(g, leaf)) return TYCHO_OK;
    int status = look_beside(g, table, -1);
    if (status == TYCHO_OK) status = look_beside(g, table, 1);
    if (status == TYCHO_OK) tycho__guard_surround(g, leaf);
    return status;
}

/* Goes to a key that is not where the place is. */
static int look_from_root(tycho__guarded *g, tycho__table table, const tycho_bytes *key) {
    bool is_end = key == NULL || key->size == 0, is_there;
    int status = know(g, table);
    if (status == TYCHO_OK && is_end) {
        status = go_to_end(g, table, key == NULL ? TO_LAST : TO_FIRST);
    } else if (status == TYCHO_OK) {
        status = go(g, table, *key, &is_there);
    }
    if (status == TYCHO_OK) status = surround(g, table);
    if (status == TYCHO_OK || status == TYCHO_NOT_FOUND) return TYCHO_OK;
    g->places[table].depth = 0;
    return status;
}

/* The beginning of a key as a number: keys that differ in it are in its order. */
static inline uint64_t rank_of(const tycho__tree *tree, tycho_bytes key) {
    uint8_t bytes[8] = {0};
    if (key.size >= 8) {
        uint64_t number = tycho__load64(key.data);
        return (tree->flags & TYCHO__TREE_INTEGER) != 0 ? number : __builtin_bswap64(number);
    }
    memcpy(bytes, key.data, key.size);
    return tycho__unkey64(bytes);
}

/* Where the place is, all was looked at: who writes goes to other places only here. (And for trees
** in the main table, which was inspected.) */
int tycho__place_look(tycho__guarded *g, tycho__table table, const tycho_bytes *key) {
    const tycho__tree *tree = &g->trees[table];
    tycho__place *place = &g->places[table];
    bool is_end = key == NULL || key->size == 0;
    if (!is_end && place->depth > 0) {
        uint64_t rank = rank_of(tree, *key);
        if (rank > place->low && (place->is_last || rank < place->high)) return TYCHO_OK;
        if (is_here(tree, place, *key)) return TYCHO_OK;
    }
    int status = look_from_root(g, table, key);
    if (status == TYCHO_OK && place->depth > 0) {
        const uint8_t *leaf = leaf_of(place);
        place->low = rank_of(tree, key_in(leaf, 0));
        place->high = rank_of(tree, key_in(leaf, count_of(leaf) - 1));
    }
    return status;
}
