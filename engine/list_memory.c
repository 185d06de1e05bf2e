/* list_memory.c - the lists that a write transaction has in memory.
**
** They are in one table, open addressing, twice: by (kind, number) and by (kind, name). Lists lie
** in an arena. After a commit the environment keeps them for the next write transaction, which
** takes them over when nobody else has committed in between; so a process that writes alone looks
** up the names and rows of its streams, types and tags once, for up to TYCHO__KEPT_LISTS of them,
** some 230 bytes each; of more it forgets those that it does not use. Nothing outlives an abort.
**
** Looking up one of hundreds of thousands costs two descents into cold pages, ten times what it
** costs to read it among its neighbours. So a process that looks up many reads, in each commit,
** some more in the order of their keys, until it has all (measured: the first 270,000 events to
** 255,000 streams in 0.65 s instead of 1.1 s).
*/
#include <stdlib.h>

#include "arena.h"
#include "list.h"
#include "recent.h"

enum {
    SIZES = TYCHO_NAME_MAX / sizeof(void *) + 2,
    FIRST_SLOTS = 64,
    PREFETCHED_LISTS = TYCHO__KEPT_LISTS / 256 + 1,
    AHEAD = 16, /* lists that are read for each that was looked up */
    LOOKS = 8   /* at lists for each that is forgotten */
};

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
    size_t kept, missed; /* of the present transaction: there at its beginning, looked up since */
    uint8_t ahead_kind;  /* all lists before these are here or not wanted */
    uint32_t ahead_number;
    size_t hand;       /* the next of all that may have to go */
    void *gone[SIZES]; /* memory of lists that went, by its size: the first of a chain */
};

static size_t number_slot(const struct tycho__lists *lists, uint64_t key) {
    return (size_t)((key + 1) * 0x9e3779b97f4a7c15u >> 32) & (lists->slots - 1);
}

/* kind << 32 | number, the key of a list in by_number. */
static uint64_t number_key(uint8_t kind, uint32_t number) {
    return (uint64_t)kind << 32 | number;
}

static uint64_t name_hash(uint8_t kind, tycho_bytes name) {
    return tycho__hash(name.data, name.size, kind);
}

/* The first list with the key among the slots from `i` on, which have the lists of that key. */
static tycho__list *find_key(const struct tycho__lists *lists, const struct slot *slots, size_t i,
                             uint64_t key) {
    while (slots[i].list != NULL && slots[i].key != key) i = (i + 1) & (lists->slots - 1);
    return slots[i].list;
}

static tycho__list *find_number(const struct tycho__lists *lists, uint8_t kind, uint32_t number) {
    uint64_t key = number_key(kind, number);
    if (lists == NULL) return NULL;
    return find_key(lists, lists->by_number, number_slot(lists, key), key);
}

tycho__list *tycho__list_kept(const tycho__txn *txn, uint8_t kind, uint32_t number) {
    return find_number(txn->lists, kind, number);
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

tycho__list *tycho__list_named(const tycho__txn *txn, uint8_t kind, tycho_bytes name) {
    if (txn->lists == NULL) return NULL;
    tycho__list *list = find_hash(txn->lists, kind, name, name_hash(kind, name));
    if (list != NULL) list->is_used = true;
    return list;
}

bool tycho__lists_are_many(const tycho__txn *txn) {
    return txn->lists != NULL && txn->lists->count >= PREFETCHED_LISTS;
}

static void prefetch_list(const tycho__list *list) {
    const uint8_t *from = (const uint8_t *)list, *name = (const uint8_t *)(list + 1);
    __builtin_prefetch(from, 1);
    __builtin_prefetch(from + 64, 1);
    __builtin_prefetch(from + 128, 1);
    __builtin_prefetch(name + 16, 1); /* most are not longer than some more */
}

/* Four steps over all names, so that the processor fetches for all of them at once. */
void tycho__lists_prefetch(const tycho__txn *txn, const tycho__list_name *names, size_t count) {
    const struct tycho__lists *lists = txn->lists;
    const tycho__list *found[TYCHO__PREFETCH];
    uint64_t hashes[TYCHO__PREFETCH];
    const size_t mask = lists->slots - 1;
    assert(count <= TYCHO__PREFETCH && tycho__lists_are_many(txn));
    for (size_t i = 0; i < count; i++) {
        hashes[i] = name_hash(names[i].kind, names[i].name);
        __builtin_prefetch(&lists->by_name[hashes[i] & mask]);
    }
    for (size_t i = 0; i < count; i++) {
        found[i] = find_key(lists, lists->by_name, hashes[i] & mask, hashes[i]);
        if (found[i] != NULL) prefetch_list(found[i]);
    }
    for (size_t step = 0; step < 2; step++) {
        for (size_t i = 0; i < count; i++) tycho__recent_prefetch(txn, found[i], step);
    }
}

void tycho__list_prefetch(const tycho__txn *txn, uint8_t kind, uint32_t number, int step) {
    const struct tycho__lists *lists = txn->lists;
    if (!tycho__lists_are_many(txn)) return;
    if (step == 0) {
        __builtin_prefetch(&lists->by_number[number_slot(lists, number_key(kind, number))]);
        return;
    }
    const tycho__list *list = find_number(lists, kind, number);
    if (list != NULL) prefetch_list(list);
}

/* Where a key belongs in one of the two tables. */
static size_t home_of(const struct tycho__lists *lists, const struct slot *slots, uint64_t key) {
    return slots == lists->by_name ? (size_t)key & (lists->slots - 1) : number_slot(lists, key);
}

static void enter(struct tycho__lists *lists, struct slot *slots, struct slot slot) {
    size_t i = home_of(lists, slots, slot.key);
    while (slots[i].list != NULL) i = (i + 1) & (lists->slots - 1);
    slots[i] = slot;
}

/* There is room for it. */
static void add(struct tycho__lists *lists, tycho__list *list) {
    lists->all[lists->count++] = list;
    enter(lists, lists->by_number, (struct slot){number_key(list->kind, list->number), list});
    enter(lists, lists->by_name, (struct slot){name_hash(list->kind, list->name), list});
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

/* Makes room for one more list. What moves is visited in the order of the tables, and no list is,
** so that it takes some milliseconds for hundreds of thousands. */
static int grow(tycho__txn *txn) {
    struct tycho__lists *lists = txn->lists;
    if (lists != NULL && lists->count * 2 < lists->slots) return TYCHO_OK;
    struct tycho__lists *larger = new_tables(lists == NULL ? FIRST_SLOTS : lists->slots * 2);
    if (larger == NULL) return no_memory();
    if (lists == NULL) {
        txn->lists = larger;
        return TYCHO_OK;
    }
    for (size_t i = 0; i < lists->slots; i++) {
        if (lists->by_number[i].list != NULL) enter(larger, larger->by_number, lists->by_number[i]);
    }
    for (size_t i = 0; i < lists->slots; i++) {
        if (lists->by_name[i].list != NULL) enter(larger, larger->by_name, lists->by_name[i]);
    }
    memcpy(larger->all, lists->all, lists->count * sizeof *lists->all);
    memcpy(larger->dirty, lists->dirty, lists->dirty_count * sizeof *lists->dirty);
    free_tables(lists);
    lists->by_number = larger->by_number;
    lists->by_name = larger->by_name;
    lists->all = larger->all;
    lists->dirty = larger->dirty;
    lists->slots = larger->slots;
    free(larger);
    return TYCHO_OK;
}

/* Lists whose names have the same class can take each other's memory. */
static size_t size_class(size_t name_size) {
    return (name_size + sizeof(void *) - 1) / sizeof(void *);
}

static tycho__list *take_memory(struct tycho__lists *lists, size_t name_size) {
    size_t class = size_class(name_size);
    void **gone = lists->gone[class];
    if (gone == NULL) {
        return tycho__arena_take(&lists->arena, sizeof(tycho__list) + class * sizeof(void *));
    }
    lists->gone[class] = *gone;
    return (tycho__list *)gone;
}

/* A copy of a list, with its name but without its tail. NULL without memory. */
static tycho__list *copy_list(struct tycho__lists *lists, const tycho__list *list) {
    tycho__list *copy = take_memory(lists, list->name.size);
    if (copy == NULL) return NULL;
    *copy = *list;
    tycho__copy(copy + 1, list->name);
    copy->name = tycho__bytes(copy + 1, list->name.size);
    copy->tail = NULL;
    copy->tail_capacity = 0;
    return copy;
}

int tycho__list_keep(tycho__txn *txn, const tycho__list *list, tycho__list **kept) {
    int status = grow(txn);
    if (status != TYCHO_OK) return status;
    struct tycho__lists *lists = txn->lists;
    tycho__list *copy = copy_list(lists, list);
    if (copy == NULL) return no_memory();
    add(lists, copy);
    copy->is_dirty = false;
    if (list->is_dirty) tycho__list_touch(txn, copy);
    *kept = copy;
    return TYCHO_OK;
}

int tycho__list_take(tycho__txn *txn, uint8_t kind, uint32_t number, tycho__list **list) {
    assert(txn->is_write);
    *list = find_number(txn->lists, kind, number);
    if (*list != NULL) return TYCHO_OK;
    tycho__list row;
    int status = tycho__list_read(txn, kind, number, &row);
    if (status == TYCHO_NOT_FOUND) return no_row(kind, number);
    if (status == TYCHO_OK) status = tycho__list_keep(txn, &row, list);
    if (status == TYCHO_OK) txn->lists->missed++;
    return status;
}

/* ---------------------------------------------------------------- tails */

int tycho__list_load_tail(tycho__txn *txn, tycho__list *list) {
    if (list->tail_capacity > 0) return TYCHO_OK;
    tycho__list row = {.tail_size = 0};
    if (tycho__list_lacks_tail(list)) {
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

/* ---------------------------------------------------------------- reading ahead */

/* Keeps the list of a row, unless it is in memory or deleted. That a row is damaged is told to
** those who want its list. */
static int keep_row(tycho__txn *txn, uint8_t kind, uint32_t number, tycho_bytes value) {
    tycho__list row, *list;
    if (find_number(txn->lists, kind, number) != NULL) return TYCHO_OK;
    if (tycho__list_parse(&row, kind, number, value) != TYCHO_OK) return TYCHO_OK;
    if ((row.flags & TYCHO__LIST_DELETED) != 0) return TYCHO_OK;
    tycho__list_count_recent(txn, &row);
    return tycho__list_keep(txn, &row, &list);
}

/* Only what was kept since the last commit allows to read more: where two processes take turns, it
** would be in vain. So the lists double at most from one commit to the next. */
int tycho__lists_read_ahead(tycho__txn *txn) {
    uint8_t bytes[TYCHO__LIST_KEY];
    tycho_bytes key = {bytes, sizeof bytes}, value;
    struct tycho__lists *lists = txn->lists;
    if (lists == NULL || lists->missed == 0 || lists->ahead_kind > TYCHO__TAG) return TYCHO_OK;
    size_t wanted = lists->missed * AHEAD < lists->kept ? lists->missed * AHEAD : lists->kept;
    lists->missed = 0;
    if (wanted == 0) return TYCHO_OK;
    tycho__list_key(bytes, lists->ahead_kind, lists->ahead_number);
    int status = tycho__seek(txn, TYCHO__LISTS, &key, &value);
    for (; status == TYCHO_OK && wanted > 0; wanted--) {
        uint8_t kind = *(const uint8_t *)key.data;
        uint32_t number = tycho__unkey32((const uint8_t *)key.data + 1);
        if (kind > TYCHO__TAG || lists->count >= TYCHO__KEPT_LISTS) break;
        status = keep_row(txn, kind, number, value);
        lists->ahead_kind = kind;
        lists->ahead_number = number;
        if (status == TYCHO_OK) status = tycho__next(txn, TYCHO__LISTS, &key, &value);
    }
    if (status == TYCHO_NOT_FOUND || (status == TYCHO_OK && wanted > 0)) {
        lists->ahead_kind = TYCHO__KINDS;
        return TYCHO_OK;
    }
    return status;
}

/* ---------------------------------------------------------------- forgetting */

/* Frees the slot of a list, and moves those behind it that would not be found any more. */
static void free_slot(struct tycho__lists *lists, struct slot *slots, uint64_t key,
                      const tycho__list *list) {
    size_t mask = lists->slots - 1, free = home_of(lists, slots, key);
    while (slots[free].list != list) free = (free + 1) & mask;
    for (size_t i = (free + 1) & mask; slots[i].list != NULL; i = (i + 1) & mask) {
        size_t home = home_of(lists, slots, slots[i].key);
        if (((i - home) & mask) < ((i - free) & mask)) continue;
        slots[free] = slots[i];
        free = i;
    }
    slots[free].list = NULL;
    slots[free].key = 0;
}

/* Nobody finds the list any more; it has no number then. */
static void hide(struct tycho__lists *lists, tycho__list *list) {
    if (list->number == 0) return;
    free_slot(lists, lists->by_number, number_key(list->kind, list->number), list);
    free_slot(lists, lists->by_name, name_hash(list->kind, list->name), list);
    list->number = 0;
}

/* Forgets a list, of all that at the given place. */
static void forget(struct tycho__lists *lists, size_t place) {
    tycho__list *list = lists->all[place];
    size_t class = size_class(list->name.size);
    assert(!list->is_dirty);
    free((void *)(uintptr_t)list->tail);
    hide(lists, list);
    lists->all[place] = lists->all[--lists->count];
    *(void **)list = lists->gone[class];
    lists->gone[class] = list;
}

int tycho__list_call(tycho__txn *txn, tycho__list *list, tycho_bytes name, tycho__list **called) {
    int status = grow(txn);
    if (status != TYCHO_OK) return status;
    struct tycho__lists *lists = txn->lists;
    tycho__list other = *list;
    other.name = name;
    tycho__list *copy = copy_list(lists, &other);
    if (copy == NULL) return no_memory();
    copy->tail = list->tail;
    copy->tail_capacity = list->tail_capacity;
    list->tail = NULL;
    list->tail_capacity = 0;
    for (size_t i = 0; list->is_dirty && i < lists->dirty_count; i++) {
        if (lists->dirty[i] == list) lists->dirty[i] = copy;
    }
    list->is_dirty = false;
    hide(lists, list);
    add(lists, copy);
    tycho__list_touch(txn, copy);
    *called = copy;
    return TYCHO_OK;
}

/* Forgets lists until there are as few as may be kept: rather those that were not asked for since
** the hand passed them last, but it does not look at many. */
static void forget_some(struct tycho__lists *lists) {
    size_t many = lists->count > TYCHO__KEPT_LISTS ? lists->count - TYCHO__KEPT_LISTS : 0;
    many *= LOOKS;
    while (lists->count > TYCHO__KEPT_LISTS) {
        if (lists->hand >= lists->count) lists->hand = 0;
        tycho__list *list = lists->all[lists->hand];
        if (!list->is_used || many == 0) {
            forget(lists, lists->hand);
        } else {
            list->is_used = false;
            lists->hand++;
            many--;
        }
    }
}

/* ---------------------------------------------------------------- a transaction's end */

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
        assert(!tycho__list_lacks_tail(list));
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
        if (txn->lists != NULL) txn->lists->kept = txn->lists->count;
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
    if (lists != NULL) forget_some(lists);
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
