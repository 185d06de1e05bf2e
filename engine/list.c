/* list.c - names, rows of lists, and the lists that a write transaction has in memory.
**
** The memory is one table, open addressing, twice: by (kind, number) and by (kind, name). Lists lie
** in an arena. After a commit the environment keeps them for the next write transaction, which
** takes them over when nobody else has committed in between; so a process that writes alone looks
** up the names and rows of its streams, types and tags once (for up to KEPT_LISTS of them, some 260
** bytes each). Nothing outlives an abort.
*/
#include "list.h"

#include <stdlib.h>

#include "arena.h"
#include "recent.h"

enum { HEAD = 56, FIRST_SLOTS = 64, KEPT_LISTS = 262144, PREFETCHED_LISTS = 16384 };

/* What is beside the pointer saves visits to lists that are not the one: the hash of the name, or
** kind << 32 | number. */
struct slot {
    uint64_t key;
    tycho__list *list;
};

struct tycho__lists {
    struct slot *by_number;
    struct slot *by_name;
    tycho__list **all;   /* in no order */
    tycho__list **dirty; /* to be written; has room for all */
    size_t dirty_count;
    tycho__arena arena; /* of lists and their names; tails have memory of their own */
    size_t slots;       /* of each table, a power of 2 */
    size_t count;
    unsigned halvings;
};

/* ---------------------------------------------------------------- rows */

static uint64_t row_seed(uint8_t kind, uint32_t number) {
    return (uint64_t)kind << 32 | number;
}

int tycho__list_parse(tycho__list *list, uint8_t kind, uint32_t number, tycho_bytes row) {
    const uint8_t *from = row.data;
    if (row.size < HEAD || row.size < HEAD + (size_t)from[7] ||
        tycho__load32(from) !=
            (uint32_t)tycho__hash(from + 4, row.size - 4, row_seed(kind, number))) {
        return tycho__fail(TYCHO_CORRUPT, "the row of list %u of kind %u is damaged", number, kind);
    }
    memset(list, 0, sizeof *list);
    list->kind = kind;
    list->number = number;
    list->tail_count = tycho__load16(from + 4);
    list->flags = from[6];
    list->count = tycho__load64(from + 8);
    list->next = tycho__load64(from + 16);
    list->first = tycho__load64(from + 24);
    list->tail_base = tycho__load64(from + 32);
    list->tail_last = tycho__load64(from + 40);
    list->highest = tycho__load64(from + 48);
    list->name = tycho__bytes(from + HEAD, from[7]);
    list->tail = from + HEAD + from[7];
    list->tail_size = row.size - HEAD - from[7];
    if (list->tail_count > TYCHO__BLOCK) {
        return tycho__fail(TYCHO_CORRUPT, "the row of list %u of kind %u has a tail of %u", number,
                           kind, list->tail_count);
    }
    return TYCHO_OK;
}

/* What is recent is not in the row. */
int tycho__list_write(tycho__txn *txn, const tycho__list *list) {
    uint8_t row[HEAD + TYCHO_NAME_MAX + TYCHO__BLOCK_SIZE_MAX], key[TYCHO__LIST_KEY];
    size_t size = HEAD + list->name.size + list->tail_size;
    assert(size <= sizeof row);
    tycho__store16(row + 4, (uint16_t)list->tail_count);
    row[6] = list->flags;
    row[7] = (uint8_t)list->name.size;
    bool is_stream = list->kind == TYCHO__STREAM;
    tycho__store64(row + 8, list->count - list->recent);
    tycho__store64(row + 16, is_stream ? list->next - list->recent : 0);
    tycho__store64(row + 24, list->first);
    tycho__store64(row + 32, list->tail_base);
    tycho__store64(row + 40, list->tail_last);
    tycho__store64(row + 48, list->highest);
    tycho__copy(row + HEAD, list->name);
    tycho__copy(row + HEAD + list->name.size, tycho__bytes(list->tail, list->tail_size));
    tycho__store32(row,
                   (uint32_t)tycho__hash(row + 4, size - 4, row_seed(list->kind, list->number)));
    tycho__list_key(key, list->kind, list->number);
    return tycho__put(txn, TYCHO__LISTS, tycho__bytes(key, sizeof key), tycho__bytes(row, size));
}

/* ---------------------------------------------------------------- memory */

static size_t number_slot(const struct tycho__lists *lists, uint64_t key) {
    return (size_t)((key + 1) * 0x9e3779b97f4a7c15u >> 32) & (lists->slots - 1);
}

static uint64_t name_hash(uint8_t kind, tycho_bytes name) {
    return tycho__hash(name.data, name.size, kind);
}

static tycho__list *find_number(const struct tycho__lists *lists, uint8_t kind, uint32_t number) {
    uint64_t key = row_seed(kind, number);
    if (lists == NULL) return NULL;
    for (size_t i = number_slot(lists, key);; i = (i + 1) & (lists->slots - 1)) {
        const struct slot *slot = &lists->by_number[i];
        if (slot->list == NULL || slot->key == key) return slot->list;
    }
}

/* The list among those of a hash that has the name; NULL when there is none. */
static tycho__list *find_hash(const struct tycho__lists *lists, uint8_t kind, tycho_bytes name,
                              uint64_t hash) {
    size_t mask = lists->slots - 1;
    for (size_t i = (size_t)hash & mask;; i = (i + 1) & mask) {
        tycho__list *list = lists->by_name[i].list;
        if (list == NULL) return NULL;
        if (lists->by_name[i].key != hash) continue;
        bool is_live = (list->flags & TYCHO__LIST_DELETED) == 0;
        if (is_live && list->kind == kind && tycho__equal(list->name, name)) return list;
    }
}

static tycho__list *find_name(const struct tycho__lists *lists, uint8_t kind, tycho_bytes name) {
    return lists == NULL ? NULL : find_hash(lists, kind, name, name_hash(kind, name));
}

static void prefetch(const tycho__list *list) {
    __builtin_prefetch(list, 1);
    __builtin_prefetch((const uint8_t *)list + 64, 1);
    __builtin_prefetch((const uint8_t *)list + 128, 1);
}

/* Four steps over all names, so that the processor fetches for all of them at once. */
void tycho__lists_prefetch(const tycho__txn *txn, const tycho_bytes *names, size_t count) {
    const struct tycho__lists *lists = txn->lists;
    const struct slot *slots[TYCHO__PREFETCH];
    uint64_t hashes[TYCHO__PREFETCH];
    assert(count <= TYCHO__PREFETCH);
    if (lists == NULL || lists->count < PREFETCHED_LISTS) return;
    for (size_t i = 0; i < count; i++) {
        hashes[i] = name_hash(TYCHO__STREAM, names[i]);
        slots[i] = &lists->by_name[hashes[i] & (lists->slots - 1)];
        __builtin_prefetch(slots[i]);
    }
    for (size_t i = 0; i < count; i++) {
        if (slots[i]->key != hashes[i]) slots[i] = NULL;
        if (slots[i] == NULL || slots[i]->list == NULL) continue;
        prefetch(slots[i]->list);
    }
    for (size_t step = 0; step < 2; step++) {
        for (size_t i = 0; i < count; i++) {
            if (slots[i] != NULL) tycho__recent_prefetch(txn, slots[i]->list, step);
        }
    }
}

void tycho__list_prefetch(const tycho__txn *txn, uint8_t kind, uint32_t number, int step) {
    const struct tycho__lists *lists = txn->lists;
    if (lists == NULL || lists->count < PREFETCHED_LISTS) return;
    const struct slot *slot = &lists->by_number[number_slot(lists, row_seed(kind, number))];
    if (step == 0) {
        __builtin_prefetch(slot);
    } else if (slot->list != NULL) {
        prefetch(slot->list);
    }
}

static void enter(struct tycho__lists *lists, tycho__list *list, uint64_t hash) {
    size_t mask = lists->slots - 1;
    uint64_t key = row_seed(list->kind, list->number);
    size_t i = number_slot(lists, key);
    while (lists->by_number[i].list != NULL) i = (i + 1) & mask;
    lists->by_number[i] = (struct slot){key, list};
    i = (size_t)hash & mask;
    while (lists->by_name[i].list != NULL) i = (i + 1) & mask;
    lists->by_name[i] = (struct slot){hash, list};
}

static void free_tables(struct tycho__lists *lists) {
    tycho__table_free(lists->by_number, lists->slots, sizeof *lists->by_number);
    tycho__table_free(lists->by_name, lists->slots, sizeof *lists->by_name);
    free(lists->all);
    free(lists->dirty);
}

static int no_memory(void) {
    return tycho__fail(TYCHO_NO_MEMORY, "no memory for the lists of a batch");
}

static int no_row(uint8_t kind, uint32_t number) {
    return tycho__fail(TYCHO_CORRUPT, "there is no list %u of kind %u", number, kind);
}

/* Empty tables for lists of up to half the slots. NULL without memory. */
static struct tycho__lists *new_tables(size_t slots) {
    struct tycho__lists *lists = calloc(1, sizeof *lists);
    if (lists == NULL) return NULL;
    lists->slots = slots;
    lists->by_number = tycho__table_make(slots, sizeof *lists->by_number);
    lists->by_name = tycho__table_make(slots, sizeof *lists->by_name);
    lists->all = calloc(slots / 2 + 1, sizeof *lists->all);
    lists->dirty = calloc(slots / 2 + 1, sizeof *lists->dirty);
    if (lists->by_number != NULL && lists->by_name != NULL && lists->all != NULL &&
        lists->dirty != NULL) {
        return lists;
    }
    free_tables(lists);
    free(lists);
    return NULL;
}

static void move_list(struct tycho__lists *to, const struct slot *slot) {
    to->all[to->count++] = slot->list;
    enter(to, slot->list, slot->key);
}

/* Makes room for one more list. */
static int grow(tycho__txn *txn) {
    struct tycho__lists *old = txn->lists;
    if (old != NULL && old->count * 2 < old->slots) return TYCHO_OK;
    struct tycho__lists *lists = new_tables(old == NULL ? FIRST_SLOTS : old->slots * 2);
    if (lists == NULL) return no_memory();
    for (size_t i = 0; old != NULL && i < old->slots; i++) {
        if (old->by_name[i].list != NULL) move_list(lists, &old->by_name[i]);
    }
    for (size_t i = 0; old != NULL && i < old->dirty_count; i++) {
        lists->dirty[lists->dirty_count++] = old->dirty[i];
    }
    if (old != NULL) {
        lists->arena = old->arena;
        lists->halvings = old->halvings;
        free_tables(old);
        free(old);
    }
    txn->lists = lists;
    return TYCHO_OK;
}

/* A copy of a list, with its name but without its tail. NULL without memory. */
static tycho__list *copy_list(struct tycho__lists *lists, const tycho__list *list) {
    tycho__list *copy = tycho__arena_take(&lists->arena, sizeof *copy + list->name.size);
    if (copy == NULL) return NULL;
    *copy = *list;
    tycho__copy(copy + 1, list->name);
    copy->name = tycho__bytes(copy + 1, list->name.size);
    copy->tail = NULL;
    copy->tail_capacity = 0;
    return copy;
}

/* Keeps every second list, another half each time; none of them without memory. */
static struct tycho__lists *halve(struct tycho__lists *old) {
    struct tycho__lists *lists = new_tables(old->slots);
    bool has_memory = lists != NULL;
    if (has_memory) lists->halvings = old->halvings + 1;
    for (size_t i = 0; i < old->slots && has_memory; i++) {
        struct slot slot = old->by_name[i];
        if (slot.list == NULL || (slot.key >> (24 + old->halvings % 32) & 1) == 0) continue;
        slot.list = copy_list(lists, slot.list);
        has_memory = slot.list != NULL;
        if (has_memory) move_list(lists, &slot);
    }
    tycho__lists_free(old);
    if (has_memory) return lists;
    tycho__lists_free(lists);
    return NULL;
}

/* Takes a copy of `list`, with its name but without its tail, into the memory. */
static int keep(tycho__txn *txn, const tycho__list *list, tycho__list **kept) {
    int status = grow(txn);
    if (status != TYCHO_OK) return status;
    tycho__list *copy = copy_list(txn->lists, list);
    if (copy == NULL) return no_memory();
    txn->lists->all[txn->lists->count++] = copy;
    enter(txn->lists, copy, name_hash(copy->kind, copy->name));
    copy->is_dirty = false;
    if (list->is_dirty) tycho__list_touch(txn, copy);
    *kept = copy;
    return TYCHO_OK;
}

/* Whether a list in memory lacks the tail that its row has. */
static bool lacks_tail(const tycho__list *list) {
    return list->tail == NULL && list->tail_count > 0;
}

int tycho__list_load_tail(tycho__txn *txn, tycho__list *list) {
    if (list->tail_capacity > 0) return TYCHO_OK;
    tycho__list row = {.tail_size = 0};
    if (lacks_tail(list)) {
        int status = tycho__list_row(txn, list->kind, list->number, &row);
        if (status == TYCHO_NOT_FOUND) return no_row(list->kind, list->number);
        if (status != TYCHO_OK) return status;
    }
    uint8_t *tail = malloc(row.tail_size + 64);
    if (tail == NULL) return no_memory();
    tycho__copy(tail, tycho__bytes(row.tail, row.tail_size));
    list->tail = tail;
    list->tail_capacity = row.tail_size + 64;
    return TYCHO_OK;
}

void tycho__list_drop_tail(tycho__list *list) {
    assert(list->tail_capacity > 0 || list->tail_count == 0);
    free((void *)(uintptr_t)list->tail);
    list->tail = NULL;
    list->tail_capacity = 0;
}

void tycho__list_touch(tycho__txn *txn, tycho__list *list) {
    txn->is_changed = true;
    if (list->is_dirty || list->is_scratch) return;
    list->is_dirty = true;
    assert(txn->lists->dirty_count < txn->lists->count);
    txn->lists->dirty[txn->lists->dirty_count++] = list;
}

static int compare_lists(const void *a, const void *b) {
    const tycho__list *x = *(tycho__list *const *)a, *y = *(tycho__list *const *)b;
    if (x->kind != y->kind) return x->kind < y->kind ? -1 : 1;
    return x->number < y->number ? -1 : x->number > y->number;
}

int tycho__lists_write(tycho__txn *txn) {
    struct tycho__lists *lists = txn->lists;
    if (lists == NULL) return TYCHO_OK;
    if (lists->dirty_count > 1) { /* in order of their keys: fewer visits to pages */
        qsort(lists->dirty, lists->dirty_count, sizeof *lists->dirty, compare_lists);
    }
    for (size_t i = 0; i < lists->dirty_count; i++) {
        tycho__list *list = lists->dirty[i];
        assert(!lacks_tail(list));
        int status = tycho__list_write(txn, list);
        if (status != TYCHO_OK) return status;
        list->is_dirty = false;
        tycho__list_drop_tail(list);
    }
    lists->dirty_count = 0;
    return TYCHO_OK;
}

void tycho__lists_take(tycho__txn *txn) {
    tycho__env *env = txn->env;
    bool is_ours = env->kept_sequence == txn->state.sequence &&
                   env->kept_settlements == txn->state.settlements;
    if (is_ours) {
        txn->lists = env->kept_lists;
    } else {
        tycho__lists_free(env->kept_lists);
    }
    env->kept_lists = NULL;
}

void tycho__lists_keep(tycho__txn *txn) {
    tycho__env *env = txn->env;
    struct tycho__lists *lists = txn->lists;
    assert(env->kept_lists == NULL);
    txn->lists = NULL;
    if (lists != NULL && lists->dirty_count > 0) {
        tycho__lists_free(lists);
        lists = NULL;
    }
    if (lists != NULL && lists->count > KEPT_LISTS) lists = halve(lists);
    env->kept_lists = lists;
    env->kept_sequence = txn->state.sequence;
    env->kept_settlements = txn->state.settlements;
}

void tycho__lists_free(struct tycho__lists *lists) {
    if (lists == NULL) return;
    for (size_t i = 0; i < lists->count; i++) free((void *)(uintptr_t)lists->all[i]->tail);
    free_tables(lists);
    tycho__arena_free(&lists->arena);
    free(lists);
}

/* ---------------------------------------------------------------- finding */

static tycho_bytes name_key(uint8_t key[1 + TYCHO_NAME_MAX], uint8_t kind, tycho_bytes name) {
    key[0] = kind;
    tycho__copy(key + 1, name);
    return tycho__bytes(key, 1 + name.size);
}

int tycho__list_find(tycho__txn *txn, uint8_t kind, tycho_bytes name, uint32_t *number) {
    uint8_t key[1 + TYCHO_NAME_MAX];
    tycho_bytes value;
    *number = 0;
    if (name.size == 0 || name.size > TYCHO_NAME_MAX) return TYCHO_NOT_FOUND;
    tycho__list *list = find_name(txn->lists, kind, name);
    if (list != NULL) return *number = list->number, TYCHO_OK;
    int status = tycho__get(txn, TYCHO__NAMES, name_key(key, kind, name), &value);
    if (status != TYCHO_OK) return status;
    if (value.size != 4) return tycho__fail(TYCHO_CORRUPT, "a name has no number");
    return *number = tycho__load32(value.data), TYCHO_OK;
}

tycho__list *tycho__list_kept(tycho__txn *txn, uint8_t kind, uint32_t number) {
    return find_number(txn->lists, kind, number);
}

int tycho__list_row(tycho__txn *txn, uint8_t kind, uint32_t number, tycho__list *list) {
    uint8_t key[TYCHO__LIST_KEY];
    tycho_bytes row;
    tycho__list_key(key, kind, number);
    int status = tycho__get(txn, TYCHO__LISTS, tycho__bytes(key, sizeof key), &row);
    return status == TYCHO_OK ? tycho__list_parse(list, kind, number, row) : status;
}

int tycho__list_read(tycho__txn *txn, uint8_t kind, uint32_t number, tycho__list *list) {
    tycho__list *kept = find_number(txn->lists, kind, number);
    if (kept != NULL && !lacks_tail(kept)) {
        *list = *kept;
        return TYCHO_OK;
    }
    int status = tycho__list_row(txn, kind, number, list);
    if (status != TYCHO_OK || kind > TYCHO__TAG) return status;
    status = tycho__recent_need(txn);
    if (status != TYCHO_OK) return status;
    list->recent = tycho__recent_count(txn, kind, number);
    if (txn->is_write) {
        uint64_t highest = tycho__recent_highest(txn, kind, number);
        if (highest > list->highest) list->highest = highest;
    }
    list->count += list->recent;
    if (kind == TYCHO__STREAM) list->next += list->recent;
    return TYCHO_OK;
}

int tycho__list_open(tycho__txn *txn, uint8_t kind, tycho_bytes name, tycho__list *list) {
    uint32_t number;
    memset(list, 0, sizeof *list);
    list->kind = kind;
    int status = tycho__list_find(txn, kind, name, &number);
    if (status == TYCHO_NOT_FOUND) return TYCHO_OK;
    if (status == TYCHO_OK) status = tycho__list_read(txn, kind, number, list);
    if (status != TYCHO_NOT_FOUND) return status;
    return tycho__fail(TYCHO_CORRUPT, "list %u of kind %u has a name but no row", number, kind);
}

/* ---------------------------------------------------------------- changing */

/* The list of a number in memory, with or without a tail. */
static int take_list(tycho__txn *txn, uint8_t kind, uint32_t number, tycho__list **list) {
    assert(txn->is_write);
    *list = find_number(txn->lists, kind, number);
    if (*list != NULL) return TYCHO_OK;
    tycho__list row;
    int status = tycho__list_read(txn, kind, number, &row);
    if (status == TYCHO_NOT_FOUND) return no_row(kind, number);
    return status == TYCHO_OK ? keep(txn, &row, list) : status;
}

int tycho__list_edit(tycho__txn *txn, uint8_t kind, uint32_t number, tycho__list **list) {
    int status = take_list(txn, kind, number, list);
    return status == TYCHO_OK ? tycho__list_load_tail(txn, *list) : status;
}

static int put_name(tycho__txn *txn, const tycho__list *list) {
    uint8_t key[1 + TYCHO_NAME_MAX], value[4];
    tycho__store32(value, list->number);
    return tycho__put(txn, TYCHO__NAMES, name_key(key, list->kind, list->name),
                      tycho__bytes(value, sizeof value));
}

static int remove_name(tycho__txn *txn, const tycho__list *list) {
    uint8_t key[1 + TYCHO_NAME_MAX];
    int status = tycho__remove(txn, TYCHO__NAMES, name_key(key, list->kind, list->name));
    if (status != TYCHO_NOT_FOUND) return status;
    return tycho__fail(TYCHO_CORRUPT, "a stream has a row but no name");
}

static int new_list(tycho__txn *txn, uint8_t kind, tycho_bytes name, tycho__list **out) {
    if (txn->state.names[kind] >= UINT32_MAX) {
        return tycho__fail(TYCHO_TOO_LARGE, "the store has 2^32 names of one kind");
    }
    tycho__list list = {.kind = kind, .name = name, .is_dirty = true};
    list.number = (uint32_t)++txn->state.names[kind];
    int status = put_name(txn, &list);
    return status == TYCHO_OK ? keep(txn, &list, out) : status;
}

int tycho__list_make(tycho__txn *txn, uint8_t kind, tycho_bytes name, tycho__list **list) {
    uint32_t number;
    assert(name.size > 0 && name.size <= TYCHO_NAME_MAX);
    *list = find_name(txn->lists, kind, name);
    if (*list != NULL) return TYCHO_OK;
    int status = tycho__list_find(txn, kind, name, &number);
    if (status == TYCHO_NOT_FOUND) return new_list(txn, kind, name, list);
    return status == TYCHO_OK ? take_list(txn, kind, number, list) : status;
}

/* The tail of a list in memory, with room for one more entry. */
static uint8_t *tail_room(tycho__list *list) {
    assert(list->tail_capacity > 0);
    if (list->tail_capacity - list->tail_size < 10) {
        size_t capacity = list->tail_capacity * 2;
        uint8_t *tail = realloc((void *)(uintptr_t)list->tail, capacity);
        if (tail == NULL) return NULL;
        list->tail = tail;
        list->tail_capacity = capacity;
    }
    return (uint8_t *)(uintptr_t)list->tail;
}

/* Moves the full tail to a row of its own. */
static int spill_tail(tycho__txn *txn, tycho__list *list) {
    uint64_t values[TYCHO__BLOCK];
    tycho_bytes tail = {list->tail, list->tail_size};
    int status = tycho__block_decode(tail, values, list->tail_count);
    if (status != TYCHO_OK) return status;
    status = tycho__block_write(txn, list, list->tail_base, values, list->tail_count);
    if (status != TYCHO_OK) return status;
    list->tail_count = 0;
    list->tail_size = 0;
    list->tail_last = 0;
    return TYCHO_OK;
}

void tycho__list_append(tycho__list *list, uint64_t position, tycho__recent_item *item) {
    bool is_stream = list->kind == TYCHO__STREAM;
    item->list = list;
    item->ordinal = is_stream ? list->next : position;
    item->position = position;
    if (is_stream) list->next++;
    if (position > list->highest) list->highest = position;
    list->count++;
    list->recent++;
}

int tycho__list_settle(tycho__txn *txn, tycho__list *list, uint64_t ordinal, uint64_t value) {
    if (list->tail_count == TYCHO__BLOCK) {
        int status = spill_tail(txn, list);
        if (status != TYCHO_OK) return status;
    }
    uint8_t *tail = tail_room(list);
    if (tail == NULL) return no_memory();
    if (list->tail_count == 0) list->tail_base = ordinal;
    list->tail_size += tycho__entry_encode(tail + list->tail_size, value, list->tail_last);
    list->tail_last = value >> 1;
    if (list->tail_last > list->highest) list->highest = list->tail_last;
    list->tail_count++;
    tycho__list_touch(txn, list);
    return TYCHO_OK;
}

int tycho__list_skip(tycho__txn *txn, tycho__list *list, uint64_t next) {
    assert(list->kind == TYCHO__STREAM && list->recent == 0 && next > list->next);
    if (list->tail_count > 0) {
        int status = spill_tail(txn, list);
        if (status != TYCHO_OK) return status;
    }
    list->next = next;
    tycho__list_touch(txn, list);
    return TYCHO_OK;
}

int tycho__list_delete(tycho__txn *txn, tycho__list *list) {
    assert(list->kind == TYCHO__STREAM && (list->flags & TYCHO__LIST_DELETED) == 0);
    int status = remove_name(txn, list);
    if (status != TYCHO_OK) return status;
    list->flags |= TYCHO__LIST_DELETED;
    tycho__list_touch(txn, list);
    return TYCHO_OK;
}

/* The tables know a list by its old name: a copy takes its place; a deleted one is left there. */
static void replace(struct tycho__lists *lists, tycho__list *list, tycho__list *copy) {
    size_t i = number_slot(lists, row_seed(list->kind, list->number));
    while (lists->by_number[i].list != list) i = (i + 1) & (lists->slots - 1);
    lists->by_number[i].key = row_seed(list->kind, 0);
    for (size_t k = 0; list->is_dirty && k < lists->dirty_count; k++) {
        if (lists->dirty[k] == list) lists->dirty[k] = copy;
    }
    copy->tail = list->tail;
    copy->tail_capacity = list->tail_capacity;
    *list = (tycho__list){.kind = list->kind, .flags = TYCHO__LIST_DELETED, .name = list->name};
    lists->all[lists->count++] = copy;
    enter(lists, copy, name_hash(copy->kind, copy->name));
}

int tycho__list_rename(tycho__txn *txn, tycho__list *list, tycho_bytes name) {
    tycho__list renamed = *list;
    assert(list->kind == TYCHO__STREAM && list->recent == 0 && list->number != 0);
    int status = grow(txn);
    if (status == TYCHO_OK) status = remove_name(txn, list);
    renamed.name = name;
    if (status == TYCHO_OK) status = put_name(txn, &renamed);
    if (status != TYCHO_OK) return status;
    tycho__list *copy = copy_list(txn->lists, &renamed);
    if (copy == NULL) return no_memory();
    replace(txn->lists, list, copy);
    tycho__list_touch(txn, copy);
    return TYCHO_OK;
}
