/* generation_order.c - the lists, ways and ids of a generation in the order of their keys. */
#include <stdlib.h>

#include "generation.h"

enum { NEAR = 4 }; /* positions for each way back */

struct tycho__sorted {
    uint64_t key;
    uint64_t what;
};

void tycho__generation_forget_orders(tycho__generation *g) {
    free(g->sorted_lists);
    free(g->sorted_ids);
    free(g->way_order);
    g->sorted_lists = NULL;
    g->sorted_ids = NULL;
    g->way_order = NULL;
}

/* Sorts by key, byte by byte from the last, and keeps the order of equal ones; bytes that are the
** same in all keys cost nothing. `spare` has as many places. The result is in one of the two. */
static struct tycho__sorted *sort(struct tycho__sorted *from, struct tycho__sorted *spare,
                                  size_t count) {
    uint64_t differ = 0;
    for (size_t i = 1; i < count; i++) differ |= from[i].key ^ from[0].key;
    for (int byte = 0; byte < 8; byte++) {
        uint32_t places[256] = {0}, sum = 0;
        if ((differ >> 8 * byte & 255) == 0) continue;
        for (size_t i = 0; i < count; i++) places[from[i].key >> 8 * byte & 255]++;
        for (int i = 0; i < 256; i++) {
            uint32_t here = places[i];
            places[i] = sum;
            sum += here;
        }
        for (size_t i = 0; i < count; i++) {
            spare[places[from[i].key >> 8 * byte & 255]++] = from[i];
        }
        struct tycho__sorted *sorted = spare;
        spare = from;
        from = sorted;
    }
    return from;
}

/* The order of `count` things, of each of which `fill` made the key; NULL without memory. */
static struct tycho__sorted *sorted_by(const tycho__generation *g, size_t count,
                                       void (*fill)(const tycho__generation *,
                                                    struct tycho__sorted *)) {
    struct tycho__sorted *all = malloc((count + 1) * sizeof *all);
    struct tycho__sorted *spare = malloc((count + 1) * sizeof *spare);
    struct tycho__sorted *sorted = NULL;
    if (all != NULL && spare != NULL) {
        fill(g, all);
        sorted = sort(all, spare, count);
    }
    if (sorted != all) free(all);
    if (sorted != spare) free(spare);
    return sorted;
}

static void fill_lists(const tycho__generation *g, struct tycho__sorted *to) {
    for (size_t i = 0; i < g->list_slot_count; i++) {
        const struct tycho__list_slot *slot = &g->list_slots[i];
        if (slot->list == NULL) continue;
        to->key = slot->key;
        to->what = (uintptr_t)slot->list;
        to++;
    }
}


static void fill_ways(const tycho__generation *g, struct tycho__sorted *to) {
    for (size_t i = 0; i < g->way_count; i++) {
        to[i] = (struct tycho__sorted){g->ways[i].position, i};
    }
}

/* Those of events near each other, as linkers make them: each is counted and put into its place. */
static bool order_near_ways(const tycho__generation *g, uint64_t low, uint64_t high) {
    size_t range = (size_t)(high - low) + 1;
    uint32_t *places = calloc(range + 1, sizeof *places);
    if (places == NULL) return false;
    for (size_t i = 0; i < g->way_count; i++) places[g->ways[i].position - low + 1]++;
    for (size_t i = 1; i < range; i++) places[i] += places[i - 1];
    for (size_t i = 0; i < g->way_count; i++) {
        g->way_order[places[g->ways[i].position - low]++] = (uint32_t)i;
    }
    free(places);
    return true;
}

static bool order_ways(tycho__generation *g) {
    uint64_t low = UINT64_MAX, high = 0;
    for (size_t i = 0; i < g->way_count; i++) {
        if (g->ways[i].position < low) low = g->ways[i].position;
        if (g->ways[i].position > high) high = g->ways[i].position;
    }
    g->way_order = malloc(g->way_count * sizeof *g->way_order);
    if (g->way_order == NULL) return false;
    if (high - low < NEAR * (uint64_t)g->way_count) return order_near_ways(g, low, high);
    struct tycho__sorted *sorted = sorted_by(g, g->way_count, fill_ways);
    for (size_t i = 0; sorted != NULL && i < g->way_count; i++) {
        g->way_order[i] = (uint32_t)sorted[i].what;
    }
    free(sorted);
    return sorted != NULL;
}

/* The first bytes of the id as a number. */
static void fill_ids(const tycho__generation *g, struct tycho__sorted *to) {
    for (size_t i = 0; i < g->id_count; i++) {
        uint8_t key[8] = {0};
        size_t size = g->ids[i][0];
        memcpy(key, g->ids[i] + 1, size < sizeof key ? size : sizeof key);
        to[i] = (struct tycho__sorted){tycho__unkey64(key), i};
    }
}

static bool is_before(const uint8_t *x, const uint8_t *y) {
    int order = memcmp(x + 1, y + 1, x[0] < y[0] ? x[0] : y[0]);
    return order != 0 ? order < 0 : x[0] < y[0];
}

struct id_of {
    const uint8_t *bytes;
    uint64_t what;
};

static int compare_ids(const void *a, const void *b) {
    const uint8_t *x = ((const struct id_of *)a)->bytes, *y = ((const struct id_of *)b)->bytes;
    return is_before(x, y) ? -1 : is_before(y, x);
}

/* Sorts those among each other whose first bytes are the same. False without memory. */
static bool sort_equal_ids(const tycho__generation *g, struct tycho__sorted *ids) {
    for (size_t first = 0, end; first < g->id_count; first = end) {
        end = first + 1;
        while (end < g->id_count && ids[end].key == ids[first].key) end++;
        if (end == first + 1) continue;
        struct id_of *equal = malloc((end - first) * sizeof *equal);
        if (equal == NULL) return false;
        for (size_t i = first; i < end; i++) {
            equal[i - first] = (struct id_of){g->ids[ids[i].what], ids[i].what};
        }
        qsort(equal, end - first, sizeof *equal, compare_ids);
        for (size_t i = first; i < end; i++) ids[i].what = equal[i - first].what;
        free(equal);
    }
    return true;
}

int tycho__generation_sort(tycho__generation *g) {
    if (g->sorted_lists != NULL) return TYCHO_OK;
    size_t i = 1;
    while (i < g->way_count && g->ways[i - 1].position < g->ways[i].position) i++;
    bool are_ways_sorted = i >= g->way_count; /* as those of a range are */
    bool are_ids_sorted = g->id_slots == NULL;
    bool has_ways = are_ways_sorted || order_ways(g);
    if (!are_ids_sorted) g->sorted_ids = sorted_by(g, g->id_count, fill_ids);
    g->sorted_lists = sorted_by(g, g->list_count, fill_lists);
    bool has_all = g->sorted_lists != NULL && has_ways &&
                   (are_ids_sorted || (g->sorted_ids != NULL && sort_equal_ids(g, g->sorted_ids)));
    if (has_all) return TYCHO_OK;
    tycho__generation_forget_orders(g);
    return tycho__fail(TYCHO_NO_MEMORY, "no memory to settle");
}

const tycho__recent_list *tycho__generation_sorted(const tycho__generation *g, size_t i) {
    assert(i < g->list_count);
    return (const tycho__recent_list *)(uintptr_t)g->sorted_lists[i].what;
}

size_t tycho__generation_behind(const tycho__generation *g, uint64_t kind, uint64_t number) {
    uint64_t key = kind << 32 | number;
    size_t low = 0, high = g->list_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (g->sorted_lists[middle].key <= key) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

tycho__sorted_way tycho__generation_sorted_way(const tycho__generation *g, size_t i) {
    assert(i < g->way_count);
    if (g->way_order != NULL) i = g->way_order[i];
    const tycho__recent_way *way = &g->ways[i];
    return (tycho__sorted_way){way->position, way->revision, g->base_links + 1 + i, way->stream};
}

size_t tycho__generation_way_behind(const tycho__generation *g, uint64_t position) {
    size_t low = 0, high = g->way_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (tycho__generation_sorted_way(g, middle).position <= position) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

tycho__sorted_id tycho__generation_sorted_id(const tycho__generation *g, size_t i) {
    assert(i < g->id_count);
    if (g->sorted_ids != NULL) i = (size_t)g->sorted_ids[i].what;
    return (tycho__sorted_id){g->ids[i], g->base_head + 1 + i};
}
