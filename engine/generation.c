/* generation.c - the entries between two settlements, in memory; see generation.h. */
#include "generation.h"

#include <stdlib.h>

enum { FIRST_WAYS = 64 };

static int no_memory(void) {
    return tycho__fail(TYCHO_NO_MEMORY, "no memory for recent entries");
}

tycho__generation *tycho__generation_begin(uint64_t head, uint64_t links, size_t slots,
                                           size_t ways) {
    static _Atomic uint64_t serial;
    tycho__generation *g = calloc(1, sizeof *g);
    if (g == NULL) return NULL;
    assert(slots > 0 && (slots & (slots - 1)) == 0 && (ways & (ways - 1)) == 0);
    atomic_store(&g->shares, 1);
    g->serial = atomic_fetch_add(&serial, 1) + 1;
    pthread_rwlock_init(&g->lock, NULL);
    g->base_head = g->head = head;
    g->base_links = g->links = links;
    g->list_slot_count = g->id_slot_count = slots;
    g->way_capacity_first = ways > FIRST_WAYS ? ways : FIRST_WAYS;
    g->list_slots = tycho__table_make(slots, sizeof *g->list_slots);
    if (g->list_slots != NULL) return g;
    tycho__generation_release(g);
    return NULL;
}

void tycho__generation_release(tycho__generation *g) {
    if (g == NULL || atomic_fetch_sub(&g->shares, 1) > 1) return;
    tycho__arena_free(&g->arena);
    pthread_rwlock_destroy(&g->lock);
    tycho__generation_forget_orders(g);
    tycho__table_free(g->list_slots, g->list_slot_count, sizeof *g->list_slots);
    free(g->ids);
    tycho__table_free(g->id_slots, g->id_slot_count, sizeof *g->id_slots);
    free(g->ways);
    free(g->way_slots);
    free(g->added);
    free(g);
}

/* Room for `more` elements of `size` bytes in an array; NULL when there is no memory. */
static void *grow_array(void *array, size_t count, size_t more, size_t *capacity, size_t size) {
    if (more <= *capacity - count) return array;
    size_t wanted = *capacity == 0 ? 64 : *capacity * 2;
    while (wanted - count < more) wanted *= 2;
    void *grown = realloc(array, wanted * size);
    if (grown != NULL) *capacity = wanted;
    return grown;
}

/* ---------------------------------------------------------------- lists */

static uint64_t list_key(uint8_t kind, uint32_t number) {
    return (uint64_t)kind << 32 | number;
}

static size_t first_slot(uint64_t key, size_t count) {
    return (size_t)(key * 0x9e3779b97f4a7c15u >> 32) & (count - 1);
}

void tycho__generation_prefetch(const tycho__generation *g, uint8_t kind, uint32_t number) {
    __builtin_prefetch(&g->list_slots[first_slot(list_key(kind, number), g->list_slot_count)], 1);
}

/* The slot that has the list, or where it would be. */
static struct tycho__list_slot *list_slot(struct tycho__list_slot *slots, size_t count,
                                          uint64_t key) {
    size_t i = first_slot(key, count);
    while (slots[i].list != NULL && slots[i].key != key) i = (i + 1) & (count - 1);
    return &slots[i];
}

tycho__recent_list *tycho__generation_find(const tycho__generation *g, uint8_t kind,
                                           uint32_t number) {
    return list_slot(g->list_slots, g->list_slot_count, list_key(kind, number))->list;
}

static int grow_lists(tycho__generation *g) {
    if (g->list_count * 2 < g->list_slot_count) return TYCHO_OK;
    size_t count = g->list_slot_count * 2;
    struct tycho__list_slot *slots = tycho__table_make(count, sizeof *slots);
    if (slots == NULL) return no_memory();
    for (size_t i = 0; i < g->list_slot_count; i++) {
        const struct tycho__list_slot *slot = &g->list_slots[i];
        if (slot->list != NULL) *list_slot(slots, count, slot->key) = *slot;
    }
    tycho__table_free(g->list_slots, g->list_slot_count, sizeof *g->list_slots);
    g->list_slots = slots;
    g->list_slot_count = count;
    return TYCHO_OK;
}

int tycho__generation_make(tycho__generation *g, uint8_t kind, uint32_t number,
                           tycho__recent_list **out) {
    int status = grow_lists(g);
    if (status != TYCHO_OK) return status;
    uint64_t key = list_key(kind, number);
    struct tycho__list_slot *slot = list_slot(g->list_slots, g->list_slot_count, key);
    *out = slot->list;
    if (*out != NULL) return TYCHO_OK;
    tycho__recent_list *list = tycho__arena_take(&g->arena, sizeof *list);
    if (list == NULL) return no_memory();
    *list = (tycho__recent_list){.kind = kind, .number = number};
    slot->key = key;
    slot->list = list;
    g->list_count++;
    *out = list;
    return TYCHO_OK;
}

/* Makes room for more entries, with numbers of links when there are or will be any. */
static int grow_list(tycho__generation *g, tycho__recent_list *list, uint32_t more,
                     bool has_links) {
    uint32_t capacity = list->capacity;
    while (capacity - list->count < more) capacity = capacity == 0 ? 2 : capacity * 2;
    uint64_t *values =
        tycho__arena_take(&g->arena, (size_t)capacity * (has_links ? 2 : 1) * sizeof *values);
    if (values == NULL) return no_memory();
    uint64_t *links = has_links ? values + capacity : NULL;
    size_t size = list->count * sizeof *values;
    if (size > 0) memcpy(values, list->values, size);
    if (size > 0 && has_links && list->links == NULL) memset(links, 0, size);
    if (size > 0 && list->links != NULL) memcpy(links, list->links, size);
    list->values = values;
    list->links = links;
    list->capacity = capacity;
    return TYCHO_OK;
}

int tycho__generation_add(tycho__generation *g, tycho__recent_list *list, uint64_t ordinal,
                          uint64_t position) {
    bool has_links = list->links != NULL;
    assert(g->sorted_lists == NULL);
    if (list->count == list->capacity) {
        int status = grow_list(g, list, 1, has_links);
        if (status != TYCHO_OK) return status;
    }
    if (list->count == 0) list->base = ordinal;
    if (position > list->highest) list->highest = position;
    assert(list->kind != TYCHO__STREAM || ordinal == list->base + list->count);
    list->values[list->count] = position << 1;
    if (has_links) list->links[list->count] = 0;
    list->count++;
    g->entry_count++;
    return TYCHO_OK;
}

static bool is_seen(const tycho__recent_list *list, uint32_t i, uint64_t head, uint64_t links) {
    uint64_t link = list->links == NULL ? 0 : list->links[i];
    return link != 0 ? link <= links : list->values[i] >> 1 <= head;
}

uint32_t tycho__generation_visible(const tycho__recent_list *list, uint64_t head, uint64_t links) {
    if (list == NULL || list->count == 0) return 0;
    if (is_seen(list, list->count - 1, head, links)) return list->count;
    uint32_t low = 0, high = list->count - 1;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (is_seen(list, middle, head, links)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

uint32_t tycho__generation_index(const tycho__recent_list *list, uint32_t count, uint64_t ordinal) {
    if (list->kind == TYCHO__STREAM) {
        if (ordinal <= list->base) return 0;
        return ordinal - list->base < count ? (uint32_t)(ordinal - list->base) : count;
    }
    uint32_t low = 0, high = count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (list->values[middle] >> 1 < ordinal) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* ---------------------------------------------------------------- ids */

static uint64_t id_hash(const uint8_t *key, size_t size) {
    return tycho__hash(key + 1, size - 1, key[0]) & ~(uint64_t)UINT32_MAX;
}

/* The upper half of a hash is in the slot, and its upper bits say where that is. */
static size_t id_slot(uint64_t hash, size_t count) {
    return (size_t)(hash >> 32) * count >> 32;
}

/* Enters the ids from `first` on. */
static void enter_ids(tycho__generation *g, size_t first) {
    size_t mask = g->id_slot_count - 1;
    for (size_t i = first; i < g->id_count; i++) {
        uint64_t hash = id_hash(g->ids[i] + 1, g->ids[i][0]);
        size_t at = id_slot(hash, g->id_slot_count);
        while (g->id_slots[at] != 0) at = (at + 1) & mask;
        g->id_slots[at] = hash | (i + 1);
    }
}

/* The order of the key of an id, as it is in `ids`, and another one. */
static int compare_id(const uint8_t *bytes, tycho_bytes packed, bool is_uuid) {
    size_t size = bytes[0] - 1u;
    if (bytes[1] != is_uuid) return bytes[1] < is_uuid ? -1 : 1;
    int order = memcmp(bytes + 2, packed.data, size < packed.size ? size : packed.size);
    if (order != 0 || size == packed.size) return order;
    return size < packed.size ? -1 : 1;
}

/* Makes the slots, or twice as many, with room for one more id. */
static int grow_slots(tycho__generation *g) {
    size_t count = g->id_slots == NULL ? g->id_slot_count : g->id_slot_count * 2;
    assert(g->id_count < UINT32_MAX / 4);
    while (count <= g->id_count * 2) count *= 2;
    uint64_t *slots = tycho__table_make(count, sizeof *slots);
    if (slots == NULL) return no_memory();
    tycho__table_free(g->id_slots, g->id_slot_count, sizeof *g->id_slots);
    g->id_slots = slots;
    g->id_slot_count = count;
    enter_ids(g, 0);
    return TYCHO_OK;
}

int tycho__generation_add_id(tycho__generation *g, tycho_bytes packed, bool is_uuid) {
    const uint8_t **ids = grow_array(g->ids, g->id_count, 1, &g->id_capacity, sizeof *ids);
    assert(packed.size <= TYCHO_ID_MAX && g->head == g->base_head + g->id_count);
    if (ids == NULL) return no_memory();
    g->ids = ids;
    bool is_last = g->id_count == 0 || compare_id(ids[g->id_count - 1], packed, is_uuid) < 0;
    bool has_room = g->id_slots == NULL ? is_last : g->id_count * 2 < g->id_slot_count;
    int status = has_room ? TYCHO_OK : grow_slots(g);
    if (status != TYCHO_OK) return status;
    uint8_t *bytes = tycho__arena_take(&g->arena, 2 + packed.size);
    if (bytes == NULL) return no_memory();
    bytes[0] = (uint8_t)(1 + packed.size);
    bytes[1] = is_uuid ? 1 : 0;
    tycho__copy(bytes + 2, packed);
    g->ids[g->id_count++] = bytes;
    if (g->id_slots != NULL) enter_ids(g, g->id_count - 1);
    g->head++;
    return TYCHO_OK;
}

void tycho__generation_prefetch_id(const tycho__generation *g, tycho_bytes packed, bool is_uuid) {
    if (g->id_slots == NULL) return;
    uint64_t hash = tycho__hash(packed.data, packed.size, is_uuid ? 1 : 0);
    __builtin_prefetch(&g->id_slots[id_slot(hash, g->id_slot_count)], 1);
}

/* Of ids in the order of their keys; a new one is behind all of them. */
static uint64_t find_sorted_id(const tycho__generation *g, tycho_bytes packed, bool is_uuid) {
    size_t low = 0, high = g->id_count;
    if (high == 0 || compare_id(g->ids[high - 1], packed, is_uuid) < 0) return 0;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = compare_id(g->ids[middle], packed, is_uuid);
        if (order == 0) return g->base_head + 1 + middle;
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return 0;
}

uint64_t tycho__generation_find_id(const tycho__generation *g, tycho_bytes packed, bool is_uuid) {
    if (g->id_slots == NULL) return find_sorted_id(g, packed, is_uuid);
    uint64_t hash = tycho__hash(packed.data, packed.size, is_uuid ? 1 : 0);
    size_t mask = g->id_slot_count - 1;
    hash &= ~(uint64_t)UINT32_MAX;
    for (size_t at = id_slot(hash, g->id_slot_count);; at = (at + 1) & mask) {
        uint64_t slot = g->id_slots[at];
        if (slot == 0) return 0;
        if ((slot ^ hash) >> 32 != 0) continue;
        size_t i = (size_t)(slot & UINT32_MAX) - 1;
        if (compare_id(g->ids[i], packed, is_uuid) == 0) return g->base_head + 1 + i;
    }
}

/* ---------------------------------------------------------------- ways */

/* Neighbours in the log are neighbours here, because a range of the log is often linked. */
static size_t way_slot(uint64_t position, size_t count) {
    uint64_t hash = (position >> 4) * 0x9e3779b97f4a7c15u >> 32;
    return (size_t)(hash << 4 | (position & 15)) & (count - 1);
}

void tycho__generation_enter_ways(tycho__generation *g) {
    for (; g->way_entered < g->way_count; g->way_entered++) {
        tycho__recent_way *way = &g->ways[g->way_entered];
        uint32_t *slot = &g->way_slots[way_slot(way->position, g->way_capacity)];
        way->before = *slot;
        *slot = (uint32_t)(g->way_entered + 1);
    }
}

static int grow_ways(tycho__generation *g, size_t more) {
    size_t capacity = g->way_capacity == 0 ? g->way_capacity_first : g->way_capacity;
    while (capacity - g->way_count < more) capacity *= 2;
    if (capacity == g->way_capacity) return TYCHO_OK;
    assert(g->way_count < UINT32_MAX / 2);
    uint32_t *slots = calloc(capacity, sizeof *slots);
    if (slots == NULL) return no_memory();
    tycho__recent_way *ways = realloc(g->ways, capacity * sizeof *ways);
    if (ways == NULL) {
        free(slots);
        return no_memory();
    }
    free(g->way_slots);
    g->ways = ways;
    g->way_slots = slots;
    g->way_capacity = capacity;
    g->way_entered = 0;
    return TYCHO_OK;
}

/* Room in all three that links go to. */
static int make_room(tycho__generation *g, tycho__recent_list *list, uint32_t more) {
    tycho__recent_list **added =
        grow_array(g->added, g->added_count, more, &g->added_capacity, sizeof *added);
    if (added == NULL) return no_memory();
    g->added = added;
    int status = grow_ways(g, more);
    bool is_large = list->links != NULL && more <= list->capacity - list->count;
    return status == TYCHO_OK && !is_large ? grow_list(g, list, more, true) : status;
}

int tycho__generation_add_links(tycho__generation *g, tycho__recent_list *list, uint64_t revision,
                                const uint64_t *positions, uint32_t count, bool is_noted) {
    assert(g->sorted_lists == NULL && g->links == g->base_links + g->way_count);
    assert(list->kind == TYCHO__STREAM);
    int status = make_room(g, list, count);
    if (status != TYCHO_OK) return status;
    if (list->count == 0) list->base = revision;
    assert(revision == list->base + list->count);
    uint64_t *values = list->values + list->count, *links = list->links + list->count;
    for (uint32_t i = 0; i < count; i++) {
        const uint64_t position = positions[i];
        if (position > list->highest) list->highest = position;
        values[i] = position << 1 | 1;
        links[i] = g->links + 1 + i;
        g->ways[g->way_count++] = (tycho__recent_way){position, revision + i, list->number, 0};
    }
    for (uint32_t i = 0; is_noted && i < count; i++) g->added[g->added_count++] = list;
    list->count += count;
    g->links += count;
    g->entry_count += count;
    return TYCHO_OK;
}

const tycho__recent_way *tycho__generation_way(const tycho__generation *g, uint64_t position,
                                               const tycho__recent_way *way) {
    assert(g->way_entered == g->way_count);
    if (g->way_count == 0) return NULL;
    uint32_t at = way == NULL ? g->way_slots[way_slot(position, g->way_capacity)] : way->before;
    while (at != 0 && g->ways[at - 1].position != position) at = g->ways[at - 1].before;
    return at == 0 ? NULL : &g->ways[at - 1];
}

uint64_t tycho__generation_link(const tycho__generation *g, const tycho__recent_way *way) {
    return g->base_links + 1 + (uint64_t)(way - g->ways);
}

/* ---------------------------------------------------------------- taking out again */

void tycho__generation_mark(tycho__generation *g) {
    g->added_count = 0;
    g->mark_head = g->head;
    g->mark_links = g->links;
}

int tycho__generation_note(tycho__generation *g, tycho__recent_list *list) {
    tycho__recent_list **added =
        grow_array(g->added, g->added_count, 1, &g->added_capacity, sizeof *added);
    if (added == NULL) return no_memory();
    g->added = added;
    g->added[g->added_count++] = list;
    return TYCHO_OK;
}

void tycho__generation_undo(tycho__generation *g) {
    tycho__generation_forget_orders(g);
    g->entry_count -= g->added_count;
    while (g->added_count > 0) g->added[--g->added_count]->count--;
    while (g->links > g->mark_links) {
        const tycho__recent_way *way = &g->ways[--g->way_count];
        g->links--;
        if (g->way_entered <= g->way_count) continue;
        g->way_entered--;
        g->way_slots[way_slot(way->position, g->way_capacity)] = way->before;
    }
    if (g->head == g->mark_head) return;
    g->head = g->mark_head;
    g->id_count = (size_t)(g->head - g->base_head);
    if (g->id_slots == NULL) return;
    memset(g->id_slots, 0, g->id_slot_count * sizeof *g->id_slots);
    enter_ids(g, 0);
}
