/* settle.c - moving what is recent into the indexes, in the order of their keys; see recent.h.
**
** The entries of each list go behind its row's tail, ids go into theirs, links get rows.
** Lists that the transaction has in memory are changed there; all others are read, changed and
** written one after the other, so that memory does not grow with their number.
**
**      idle ----(enough is recent: freeze)----> settling ----(slice after slice: finish)----> idle
**
** Each commit settles a slice in proportion to what it adds, so that the frozen generation is done
** before the next one is due. Where that does not come out, the rest is settled at once.
*/
#include "settle.h"

#include <stdlib.h>

#include "guard.h"
#include "ids.h"
#include "pending.h"
#include "stream.h"
#include "ways.h"

#if !defined(TYCHO__DUE_ENTRIES) /* test builds settle all the time */
#define TYCHO__DUE_ENTRIES 65536
#endif

enum {
    DUE_ENTRIES = TYCHO__DUE_ENTRIES, /* events, or links by their weight */
    DUE_ENTRIES_MOST = 4 * TYCHO__DUE_ENTRIES,
    DUE_SIZE = 128 << 20, /* bytes of records: what a process reads to know what is recent */
    WORTH_ENTRIES = 4096,
    SLICE = 2, /* of the weight that a commit adds, so many times is settled */
    SLICE_LEAST = TYCHO__EVENT_WEIGHT * TYCHO__DUE_ENTRIES / 128
};

/* The weight of what is behind what is settled or being settled. */
static uint64_t newest_weight(const tycho__state *state) {
    uint64_t begin = state->settled + state->settling;
    uint64_t begin_links = state->links_settled + state->links_settling;
    return tycho__weight(state->head - begin, state->links_made - begin_links);
}

static int no_memory(void) {
    return tycho__fail(TYCHO_NO_MEMORY, "no memory to settle");
}

/* ---------------------------------------------------------------- lists */

/* Reads the row of a list that is not in memory, with a tail that may be changed. */
static int read_scratch(tycho__txn *txn, const tycho__recent_list *from, tycho__list *scratch) {
    uint8_t *tail = (uint8_t *)(uintptr_t)scratch->tail;
    size_t capacity = scratch->tail_capacity;
    int status = tycho__list_row(txn, from->kind, from->number, scratch);
    if (status == TYCHO_NOT_FOUND) {
        status =
            tycho__fail(TYCHO_CORRUPT, "there is no list %u of kind %u", from->number, from->kind);
    }
    if (status == TYCHO_OK && scratch->tail_size > capacity) {
        status = tycho__fail(TYCHO_CORRUPT, "list %u of kind %u has a tail of %zu bytes",
                             from->number, from->kind, scratch->tail_size);
    }
    if (status == TYCHO_OK) tycho__copy(tail, tycho__bytes(scratch->tail, scratch->tail_size));
    scratch->tail = tail;
    scratch->tail_capacity = capacity;
    if (status != TYCHO_OK) return status;
    scratch->recent = from->count; /* counted in, as in a list in memory */
    scratch->count += from->count;
    if (scratch->kind == TYCHO__STREAM) scratch->next += from->count;
    return TYCHO_OK;
}

/* Adds the entries to the row of their list. One that is to be written at commit anyway stays in
** memory until then. */
static int settle_list(tycho__txn *txn, const tycho__recent_list *from, tycho__list *scratch) {
    if (from->count == 0) return TYCHO_OK;
    tycho__list *kept = tycho__list_kept(txn, from->kind, from->number);
    tycho__list *list = kept != NULL ? kept : scratch;
    int status = kept != NULL ? tycho__list_load_tail(txn, kept) : read_scratch(txn, from, scratch);
    bool is_written_later = list->is_dirty;
    list->is_scratch = !is_written_later;
    uint64_t first = list->kind == TYCHO__STREAM ? from->base : from->values[0] >> 1;
    if (status == TYCHO_OK) {
        status = tycho__list_settle(txn, list, first, from->values, from->count);
    }
    list->is_scratch = false;
    if (status != TYCHO_OK) return status;
    assert(list->recent >= from->count);
    list->recent -= from->count;
    if (is_written_later) return TYCHO_OK;
    status = tycho__list_write(txn, list);
    if (kept != NULL) tycho__list_drop_tail(kept);
    return status;
}

/* How much of a generation is settled at once, and how much of that is left: LIST for each list,
** ROW for each way back and id, 1 for each entry. */
enum { LIST = 64, ROW = 16 };

enum { AHEAD = 4 };

static void spend(uint64_t *budget, uint64_t cost) {
    *budget -= cost < *budget ? cost : *budget;
}

/* Fetches what the next lists need from memory, some of them ahead. */
static void prefetch(const tycho__txn *txn, const tycho__generation *g, size_t i) {
    if (i + 3 * AHEAD >= g->list_count) return;
    const tycho__recent_list *list = tycho__generation_sorted(g, i + 3 * AHEAD);
    __builtin_prefetch(list);
    list = tycho__generation_sorted(g, i + 2 * AHEAD);
    __builtin_prefetch(list->values);
    tycho__list_prefetch(txn, list->kind, list->number, 0);
    list = tycho__generation_sorted(g, i + AHEAD);
    tycho__list_prefetch(txn, list->kind, list->number, 1);
}

enum { ASKED = 64 };

/* Where reading waits for the disk: asks for the rows of lists, and for the blocks of those before
** them, whose rows are there by then. The n-th list of those that are settled at once is at i. */
static void ask_ahead(tycho__txn *txn, const tycho__generation *g, size_t i, size_t n) {
    if (n % ASKED != 0 || txn->guarded == NULL) return;
    if (!tycho__guard_is_cold(txn->guarded->guard)) return;
    for (size_t at = i + (n > 0 ? ASKED : 0); at < i + 2 * ASKED && at < g->list_count; at++) {
        const tycho__recent_list *list = tycho__generation_sorted(g, at);
        tycho__list_ask(txn, list->kind, list->number);
    }
    for (size_t at = i; at < i + ASKED && at < g->list_count; at++) {
        const tycho__recent_list *list = tycho__generation_sorted(g, at);
        tycho__list_ask_block(txn, list->kind, list->number, list->count);
    }
}

static int settle_lists(tycho__txn *txn, const tycho__generation *g, uint64_t *budget) {
    tycho__state *state = &txn->state;
    size_t i = tycho__generation_behind(g, state->moved_kind, state->moved_number);
    tycho__list scratch = {.tail_capacity = TYCHO__BLOCK_SIZE_MAX + 64};
    uint8_t *tail = malloc(scratch.tail_capacity);
    if (tail == NULL) return no_memory();
    scratch.tail = tail;
    int status = TYCHO_OK;
    for (size_t n = 0; i < g->list_count && status == TYCHO_OK; i++, n++) {
        if (*budget == 0) break;
        ask_ahead(txn, g, i, n);
        prefetch(txn, g, i);
        const tycho__recent_list *list = tycho__generation_sorted(g, i);
        status = settle_list(txn, list, &scratch);
        state->moved_kind = list->kind;
        state->moved_number = list->number;
        spend(budget, LIST + list->count);
    }
    free((void *)(uintptr_t)scratch.tail);
    if (status != TYCHO_OK || i < g->list_count) return status;
    state->moved_kind = TYCHO__WAYS;
    state->moved_number = 0;
    return TYCHO_OK;
}

/* The ways back of a group of events, from the i-th on; `*i` becomes that of the next group. */
static int settle_group(tycho__txn *txn, const tycho__generation *g, size_t *i) {
    tycho__sorted_way way = tycho__generation_sorted_way(g, *i);
    const uint64_t first = way.position;
    tycho__ways ways;
    int status = TYCHO_OK;
    ways.count = 0;
    while (status == TYCHO_OK && tycho__is_group(way.position, first)) {
        ways.positions[ways.count] = way.position;
        ways.all[ways.count++] = (tycho__way){way.stream, way.revision, way.link};
        if (++*i == g->way_count) break;
        way = tycho__generation_sorted_way(g, *i);
        if (ways.count < TYCHO__ROW_WAYS) continue;
        status = tycho__ways_put(txn, &ways);
        ways.count = 0;
    }
    return status == TYCHO_OK && ways.count > 0 ? tycho__ways_put(txn, &ways) : status;
}

static int settle_ways(tycho__txn *txn, const tycho__generation *g, uint64_t *budget) {
    tycho__state *state = &txn->state;
    size_t i = tycho__generation_way_behind(g, state->moved_number);
    while (i < g->way_count) {
        size_t first = i;
        if (*budget == 0) return TYCHO_OK;
        int status = settle_group(txn, g, &i);
        if (status != TYCHO_OK) return status;
        state->moved_number = tycho__generation_sorted_way(g, i - 1).position;
        spend(budget, ROW * (i - first));
    }
    state->moved_kind = TYCHO__MOVED_IDS;
    state->moved_number = 0;
    return TYCHO_OK;
}

static int settle_ids(tycho__txn *txn, const tycho__generation *g, uint64_t *budget) {
    tycho__state *state = &txn->state;
    tycho__ids ids;
    int status = TYCHO_OK;
    ids.count = 0;
    while (status == TYCHO_OK && *budget > 0 && state->moved_number < g->id_count) {
        tycho__sorted_id id = tycho__generation_sorted_id(g, state->moved_number);
        tycho_bytes packed = {id.bytes + 2, id.bytes[0] - 1u};
        status = tycho__ids_add(txn, &ids, packed, id.bytes[1] != 0, id.position);
        state->moved_number++;
        spend(budget, ROW);
    }
    return status == TYCHO_OK ? tycho__ids_end(txn, &ids) : status;
}

/* ---------------------------------------------------------------- all of it */

/* The newest generation, which is not empty, is to be settled from now on. */
static void freeze(tycho__txn *txn) {
    tycho__state *state = &txn->state;
    assert(state->settling + state->links_settling == 0 && newest_weight(state) > 0);
    state->settling = state->head - state->settled;
    state->links_settling = state->links_made - state->links_settled;
    state->moved_kind = 0;
    state->moved_number = 0;
    state->recent_size = 0;
    state->settlements++;
    txn->is_changed = true;
    tycho__guard_see_size(txn->env->guard);
    tycho__recent_freeze(txn);
}

static int finish(tycho__txn *txn) {
    tycho__state *state = &txn->state;
    int status = tycho__pending_remove(txn, state->links_settled + 1, state->links_settling);
    if (status != TYCHO_OK) return status;
    state->settled += state->settling;
    state->links_settled += state->links_settling;
    state->settling = 0;
    state->links_settling = 0;
    state->moved_kind = 0;
    state->moved_number = 0;
    tycho__recent_settled(txn);
    return TYCHO_OK;
}

/* Settles the frozen generation until the budget is used up or it is done. */
static int settle_frozen(tycho__txn *txn, uint64_t budget) {
    tycho__state *state = &txn->state;
    tycho__generation *g = tycho__recent_frozen(txn);
    txn->is_changed = true;
    state->settlements++;
    int status = tycho__generation_sort(g);
    if (status == TYCHO_OK && state->moved_kind < TYCHO__WAYS) {
        status = settle_lists(txn, g, &budget);
    }
    if (status == TYCHO_OK && state->moved_kind == TYCHO__WAYS) {
        status = settle_ways(txn, g, &budget);
    }
    if (status != TYCHO_OK || state->moved_kind != TYCHO__MOVED_IDS) return status;
    status = settle_ids(txn, g, &budget);
    return status == TYCHO_OK && state->moved_number == g->id_count ? finish(txn) : status;
}

static bool is_settling(const tycho__state *state) {
    return state->settling + state->links_settling > 0;
}

int tycho__settle_begin(tycho__txn *txn) {
    int status = TYCHO_OK;
    assert(txn->is_write);
    tycho__recent_let_go(txn);
    if (is_settling(&txn->state)) status = settle_frozen(txn, UINT64_MAX);
    if (status == TYCHO_OK) status = tycho__pending_write(txn);
    if (status == TYCHO_OK && newest_weight(&txn->state) > 0) freeze(txn);
    return status;
}

int tycho__settle(tycho__txn *txn) {
    int status = tycho__settle_begin(txn);
    if (status != TYCHO_OK || !is_settling(&txn->state)) return status;
    return settle_frozen(txn, UINT64_MAX);
}

/* A settlement visits the row of every list that is touched. Where there are more streams than
** entries, it waits for more entries, so that a page of rows is still written for several of them
** (measured: 3,000,000 events over 300,000 random streams in 17 s instead of 42). */
static uint64_t due_entries(const tycho__state *state) {
    uint64_t streams = state->names[TYCHO__STREAM];
    if (streams <= DUE_ENTRIES) return DUE_ENTRIES;
    return streams < DUE_ENTRIES_MOST ? streams : DUE_ENTRIES_MOST;
}

int tycho__settle_begin_when_due(tycho__txn *txn) {
    const tycho__state *state = &txn->state;
    bool is_due = newest_weight(state) >= tycho__weight(due_entries(state), 0) ||
                  state->recent_size >= DUE_SIZE;
    return is_due ? tycho__settle_begin(txn) : TYCHO_OK;
}

int tycho__settle_slice(tycho__txn *txn, uint64_t wanted) {
    const tycho__generation *g = tycho__recent_frozen(txn);
    if (!is_settling(&txn->state) || wanted == 0) return TYCHO_OK;
    uint64_t weight = tycho__weight(g->id_count, g->way_count);
    uint64_t rows = g->id_count + g->way_count;
    uint64_t all = g->list_count * LIST + g->entry_count + rows * ROW;
    assert(weight > 0);
    if (wanted > weight) wanted = weight;
    return settle_frozen(txn, all / weight * wanted);
}

int tycho__settle_along(tycho__txn *txn, uint64_t added) {
    return tycho__settle_slice(txn, SLICE * added + SLICE_LEAST);
}

bool tycho__is_worth_settling(const tycho__state *state) {
    uint64_t weight = tycho__weight(state->settling, state->links_settling);
    return newest_weight(state) + weight >= tycho__weight(WORTH_ENTRIES, 0);
}
