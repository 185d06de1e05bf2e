/* settle.c - moving what is recent into the indexes, in the order of their keys; see recent.h.
**
** The entries of each list go behind its row's tail, the ids are sorted and inserted, links get
** their rows. Lists that the transaction has in memory are changed there; all others are read,
** changed and written one after the other, so that memory does not grow with their number.
*/
#include "settle.h"

#include <stdlib.h>

#include "list.h"
#include "stream.h"

#if !defined(TYCHO__DUE_ENTRIES) /* test builds settle all the time */
#define TYCHO__DUE_ENTRIES 65536
#endif

enum {
    DUE_ENTRIES = TYCHO__DUE_ENTRIES, /* events and links */
    DUE_SIZE = 64 << 20, /* bytes of records: what a process reads to know what is recent */
    WORTH_ENTRIES = 4096
};

static uint64_t recent_entries(const tycho__state *state) {
    return state->head - state->settled + state->links_made - state->links_settled;
}

/* ---------------------------------------------------------------- lists */

static int settle_entries(tycho__txn *txn, tycho__list *list, const tycho__recent_list *from) {
    for (uint32_t i = 0; from != NULL && i < from->count; i++) {
        const tycho__recent_entry *entry = &from->entries[i];
        int status = tycho__list_settle(txn, list, entry->ordinal, entry->value);
        if (status != TYCHO_OK) return status;
    }
    return TYCHO_OK;
}

/* Settles one list: first what was there, then what this transaction added. */
static int settle_list(tycho__txn *txn, const tycho__recent_list *old,
                       const tycho__recent_list *fresh, tycho__list *scratch) {
    const tycho__recent_list *any = old != NULL ? old : fresh;
    uint32_t number = (uint32_t)any->number;
    tycho__list *list = tycho__list_kept(txn, any->kind, number);
    bool is_kept = list != NULL;
    if (!is_kept) {
        tycho__list row;
        int status = tycho__list_row(txn, any->kind, number, &row);
        if (status == TYCHO_NOT_FOUND) {
            return tycho__fail(TYCHO_CORRUPT, "there is no list %u of kind %u", number, any->kind);
        }
        if (status != TYCHO_OK) return status;
        uint8_t *tail = (uint8_t *)(uintptr_t)scratch->tail;
        size_t capacity = scratch->tail_capacity;
        assert(row.tail_size <= capacity);
        memcpy(tail, row.tail, row.tail_size);
        *scratch = row;
        scratch->tail = tail;
        scratch->tail_capacity = capacity;
        scratch->is_scratch = true;
        list = scratch;
    }
    int status = settle_entries(txn, list, old);
    if (status == TYCHO_OK) status = settle_entries(txn, list, fresh);
    if (status != TYCHO_OK || is_kept) {
        if (status == TYCHO_OK) list->recent = 0;
        return status;
    }
    uint64_t count = (old != NULL ? old->count : 0) + (fresh != NULL ? fresh->count : 0);
    list->count += count;
    if (list->kind == TYCHO__STREAM) list->next += count;
    return tycho__list_write(txn, list);
}

static int settle_ways(tycho__txn *txn, const tycho__recent_list *from) {
    for (uint32_t i = 0; from != NULL && i < from->count; i++) {
        const tycho__recent_entry *entry = &from->entries[i];
        uint8_t key[TYCHO__LINK_KEY], value[16];
        tycho__link_key(key, from->number, (uint32_t)entry->ordinal);
        tycho__store64(value, entry->value);
        tycho__store64(value + 8, entry->link);
        int status = tycho__put(txn, TYCHO__LINKS, tycho__bytes(key, sizeof key),
                                tycho__bytes(value, sizeof value));
        if (status != TYCHO_OK) return status;
    }
    return TYCHO_OK;
}

static int order_of(const tycho__recent_list *a, const tycho__recent_list *b) {
    if (a->kind != b->kind) return a->kind < b->kind ? -1 : 1;
    return a->number < b->number ? -1 : a->number > b->number;
}

/* Walks both objects' lists in the order of their keys, together. */
static int settle_lists(tycho__txn *txn, tycho__list *scratch) {
    size_t old_count = 0, fresh_count = 0, i = 0, j = 0;
    tycho__recent_list **old = NULL, **fresh;
    if (txn->recent != NULL) old = tycho__recent_sorted(txn->recent, &old_count);
    fresh = tycho__recent_sorted(txn->fresh, &fresh_count);
    if (fresh == NULL || (txn->recent != NULL && old == NULL)) {
        return tycho__fail(TYCHO_NO_MEMORY, "no memory to settle");
    }
    while (i < old_count || j < fresh_count) {
        int order = i == old_count ? 1 : j == fresh_count ? -1 : order_of(old[i], fresh[j]);
        const tycho__recent_list *a = order <= 0 ? old[i++] : NULL;
        const tycho__recent_list *b = order >= 0 ? fresh[j++] : NULL;
        int status;
        if ((a != NULL ? a : b)->kind == TYCHO__WAY_BACK) {
            status = settle_ways(txn, a);
            if (status == TYCHO_OK) status = settle_ways(txn, b);
        } else {
            status = settle_list(txn, a, b, scratch);
        }
        if (status != TYCHO_OK) return status;
    }
    return TYCHO_OK;
}

/* ---------------------------------------------------------------- ids */

struct id_key {
    uint64_t position;
    uint8_t size;
    uint8_t bytes[1 + TYCHO_ID_MAX];
};

static int compare_ids(const void *a, const void *b) {
    const struct id_key *x = *(struct id_key *const *)a, *y = *(struct id_key *const *)b;
    int order = memcmp(x->bytes, y->bytes, x->size < y->size ? x->size : y->size);
    return order != 0 ? order : x->size - y->size;
}

/* Reads the ids of the records from `first` on. */
static int read_ids(tycho__txn *txn, uint64_t first, struct id_key *keys, struct id_key **sorted,
                    size_t count) {
    for (size_t i = 0; i < count; i++) {
        tycho__event_view event;
        int status = tycho__event_load(txn, first + i, &event);
        if (status != TYCHO_OK) return status;
        keys[i].position = first + i;
        keys[i].size = (uint8_t)(1 + event.id.size);
        keys[i].bytes[0] = (event.flags & TYCHO__UUID_ID) != 0;
        tycho__copy(keys[i].bytes + 1, event.id);
        sorted[i] = &keys[i];
    }
    return TYCHO_OK;
}

static int settle_ids(tycho__txn *txn) {
    size_t count = txn->state.head - txn->state.settled;
    if (count == 0) return TYCHO_OK;
    struct id_key *keys = malloc(count * sizeof *keys);
    struct id_key **sorted = malloc(count * sizeof *sorted);
    int status = TYCHO_OK;
    if (keys == NULL || sorted == NULL) {
        status = tycho__fail(TYCHO_NO_MEMORY, "no memory to settle");
    } else {
        status = read_ids(txn, txn->state.settled + 1, keys, sorted, count);
    }
    if (status == TYCHO_OK) qsort(sorted, count, sizeof *sorted, compare_ids);
    for (size_t i = 0; i < count && status == TYCHO_OK; i++) {
        status = tycho__insert(txn, TYCHO__IDS, tycho__bytes(sorted[i]->bytes, sorted[i]->size),
                               tycho__bytes(&sorted[i]->position, 8));
        if (status == TYCHO_DUPLICATE_EVENT) {
            status =
                tycho__fail(TYCHO_CORRUPT, "the event at position %llu has an id that is taken",
                            (unsigned long long)sorted[i]->position);
        }
    }
    free(keys);
    free(sorted);
    return status;
}

/* ---------------------------------------------------------------- all of it */

static int remove_pending(tycho__txn *txn) {
    for (uint64_t link = txn->state.links_settled + 1; link <= txn->state.links_made; link++) {
        uint8_t key[8];
        tycho__key64(key, link);
        int status = tycho__remove(txn, TYCHO__PENDING, tycho__bytes(key, sizeof key));
        if (status == TYCHO_NOT_FOUND) {
            status = tycho__fail(TYCHO_CORRUPT, "link %llu is not in table pending",
                                 (unsigned long long)link);
        }
        if (status != TYCHO_OK) return status;
    }
    return TYCHO_OK;
}

/* From here on the transaction adds to an empty object. */
static int begin_again(tycho__txn *txn) {
    tycho__recent *fresh = tycho__recent_create();
    if (fresh == NULL) return tycho__fail(TYCHO_NO_MEMORY, "no memory to settle");
    tycho__recent_release(txn->fresh);
    tycho__recent_release(txn->recent);
    txn->fresh = fresh;
    txn->recent = NULL;
    txn->is_settled = true;
    txn->state.settled = txn->fresh_head = txn->state.head;
    txn->state.links_settled = txn->fresh_links = txn->state.links_made;
    txn->state.settlements++;
    txn->state.recent_size = 0;
    return TYCHO_OK;
}

int tycho__settle(tycho__txn *txn) {
    assert(txn->is_write);
    if (recent_entries(&txn->state) == 0) return TYCHO_OK;
    txn->is_changed = true;
    tycho__list scratch = {.tail_capacity = TYCHO__BLOCK_SIZE_MAX + 64};
    uint8_t *tail = malloc(scratch.tail_capacity);
    if (tail == NULL) return tycho__fail(TYCHO_NO_MEMORY, "no memory to settle");
    scratch.tail = tail;
    int status = settle_lists(txn, &scratch);
    free((void *)(uintptr_t)scratch.tail);
    if (status == TYCHO_OK) status = settle_ids(txn);
    if (status == TYCHO_OK) status = remove_pending(txn);
    return status == TYCHO_OK ? begin_again(txn) : status;
}

int tycho__settle_when_due(tycho__txn *txn) {
    bool is_due = recent_entries(&txn->state) >= DUE_ENTRIES || txn->state.recent_size >= DUE_SIZE;
    return is_due ? tycho__settle(txn) : TYCHO_OK;
}

bool tycho__is_worth_settling(const tycho__state *state) {
    return recent_entries(state) >= WORTH_ENTRIES;
}
