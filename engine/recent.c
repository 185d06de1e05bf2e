/* recent.c - entries that are not settled yet: filled from the log, shared, joined; see recent.h.
**
** A write transaction is the only one that changes generations: while it lasts, nobody else commits
** what a reader could have to catch up with. So it looks without the lock, and takes it to add; it
** keeps it for a few additions, and lets go of it at the end of a batch.
*/
#include "recent.h"

#include <stdlib.h>

#include "pending.h"

enum { FROZEN, NEWEST, LAST_SLOTS = 1 << 18, HELD = 64 };

static int no_memory(void) {
    return tycho__fail(TYCHO_NO_MEMORY, "no memory for recent entries");
}

/* ---------------------------------------------------------------- from the log */

static int add(tycho__generation *g, uint8_t kind, uint32_t number, uint64_t ordinal,
               uint64_t position) {
    tycho__recent_list *list;
    int status = tycho__generation_make(g, kind, number, &list);
    return status == TYCHO_OK ? tycho__generation_add(g, list, ordinal, position) : status;
}

static int add_record(tycho__generation *g, const tycho__event_view *event) {
    uint64_t at = event->position;
    int status = add(g, TYCHO__TYPE, event->type_number, at, at);
    for (uint32_t i = 0; i < event->tag_count && status == TYCHO_OK; i++) {
        status = add(g, TYCHO__TAG, tycho__record_tag(event, i), at, at);
    }
    if (status == TYCHO_OK && event->stream != 0) {
        status = add(g, TYCHO__STREAM, event->stream, (uint64_t)event->revision, at);
    }
    if (status != TYCHO_OK) return status;
    return tycho__generation_add_id(g, event->id, (event->flags & TYCHO__UUID_ID) != 0);
}

static int add_link(tycho__generation *g, const tycho__pending *row, uint32_t i) {
    const tycho__pending_link *made = &row->all[i];
    tycho__recent_list *list;
    int status = tycho__generation_make(g, TYCHO__STREAM, made->stream, &list);
    if (status != TYCHO_OK) return status;
    return tycho__generation_add_links(g, list, made->revision, &made->position, 1, false);
}

static int next_event(tycho__generation *g, tycho__txn *txn, uint64_t end) {
    tycho__event_view event;
    tycho_bytes record;
    uint64_t position = g->head + 1;
    if (position > end) {
        return tycho__fail(TYCHO_CORRUPT, "link %llu was made beyond the head",
                           (unsigned long long)(g->links + 1));
    }
    int status = tycho__get_event(txn, position, &record);
    if (status == TYCHO_NOT_FOUND) {
        return tycho__fail(TYCHO_CORRUPT, "the log has no record at position %llu",
                           (unsigned long long)position);
    }
    if (status == TYCHO_OK) status = tycho__record_read(record, position, &event);
    return status == TYCHO_OK ? add_record(g, &event) : status;
}

/* Reads the log, and links where they were made, up to a position and the number of a link. */
static int catch_up(tycho__generation *g, tycho__txn *txn, uint64_t head, uint64_t links) {
    tycho__pending row;
    int status = TYCHO_OK;
    while (g->links < links && status == TYCHO_OK) {
        status = tycho__pending_read(txn, g->links + 1, &row);
        while (status == TYCHO_OK && g->head < row.head) status = next_event(g, txn, head);
        for (uint32_t i = 0; i < row.count && status == TYCHO_OK; i++) {
            status = add_link(g, &row, i);
        }
    }
    while (g->head < head && status == TYCHO_OK) status = next_event(g, txn, head);
    return status;
}

/* ---------------------------------------------------------------- sharing */

/* Makes the generation one of the two that the environment has, if it is not older than both. The
** one that goes comes back, to be released. */
static tycho__generation *place(tycho__env *env, tycho__generation *g) {
    tycho__generation **all = env->generations, *gone = NULL;
    uint64_t age = tycho__generation_age(g);
    bool is_newest = all[NEWEST] == NULL || tycho__generation_age(all[NEWEST]) <= age;
    if (is_newest && all[NEWEST] != NULL && tycho__generation_age(all[NEWEST]) < age) {
        gone = all[FROZEN];
        all[FROZEN] = all[NEWEST];
        all[NEWEST] = g;
    } else if (is_newest) {
        gone = all[NEWEST];
        all[NEWEST] = g;
    } else if (all[FROZEN] == NULL || tycho__generation_age(all[FROZEN]) <= age) {
        gone = all[FROZEN];
        all[FROZEN] = g;
    } else {
        return NULL;
    }
    atomic_fetch_add(&g->shares, 1);
    return gone;
}

/* The generation that begins behind a position and a link: the shared one, begun when this process
** has none yet; a private one for a snapshot that is older than those. */
static tycho__generation *take(tycho__env *env, uint64_t head, uint64_t links) {
    tycho__generation *found = NULL, *gone = NULL;
    pthread_mutex_lock(&env->recent_mutex);
    for (int i = FROZEN; i <= NEWEST && found == NULL; i++) {
        tycho__generation *g = env->generations[i];
        if (g != NULL && !g->is_broken && tycho__generation_age(g) == head + links) found = g;
    }
    if (found != NULL) {
        atomic_fetch_add(&found->shares, 1);
    } else {
        found = tycho__generation_begin(head, links, atomic_load(&env->recent_slots),
                                        atomic_load(&env->recent_ways));
        if (found != NULL) gone = place(env, found);
    }
    pthread_mutex_unlock(&env->recent_mutex);
    tycho__generation_release(gone);
    return found;
}

/* Brings a generation that was taken up to a position and the number of a link. */
static int need(tycho__txn *txn, tycho__generation *g, uint64_t head, uint64_t links) {
    if (g == NULL) return no_memory();
    pthread_rwlock_rdlock(&g->lock);
    bool is_behind = g->head < head || g->links < links;
    int status = g->is_broken ? no_memory() : TYCHO_OK;
    pthread_rwlock_unlock(&g->lock);
    if (status != TYCHO_OK || !is_behind) return status;
    pthread_rwlock_wrlock(&g->lock);
    status = g->is_broken ? no_memory() : catch_up(g, txn, head, links);
    g->is_broken = status != TYCHO_OK;
    pthread_rwlock_unlock(&g->lock);
    return status;
}

int tycho__recent_need(tycho__txn *txn) {
    const tycho__state *state = &txn->state;
    uint64_t head = state->settled, links = state->links_settled;
    int status = TYCHO_OK;
    if (txn->has_generations) return TYCHO_OK;
    if (state->settling + state->links_settling > 0) {
        txn->generations[FROZEN] = take(txn->env, head, links);
        head += state->settling;
        links += state->links_settling;
        status = need(txn, txn->generations[FROZEN], head, links);
    }
    if (status == TYCHO_OK && (state->head > head || state->links_made > links)) {
        txn->generations[NEWEST] = take(txn->env, head, links);
        status = need(txn, txn->generations[NEWEST], state->head, state->links_made);
    }
    txn->has_generations = true;
    if (status != TYCHO_OK) tycho__recent_drop(txn);
    return status;
}

void tycho__recent_drop(tycho__txn *txn) {
    for (int i = FROZEN; i <= NEWEST; i++) {
        tycho__generation_release(txn->generations[i]);
        txn->generations[i] = NULL;
    }
    txn->has_generations = false;
}

void tycho__recent_forget(tycho__env *env) {
    for (int i = FROZEN; i <= NEWEST; i++) {
        tycho__generation_release(env->generations[i]);
        env->generations[i] = NULL;
    }
}

/* ---------------------------------------------------------------- looking */

static void lock(const tycho__txn *txn, tycho__generation *g) {
    if (!txn->is_write) pthread_rwlock_rdlock(&g->lock);
}

static void unlock(const tycho__txn *txn, tycho__generation *g) {
    if (!txn->is_write) pthread_rwlock_unlock(&g->lock);
}

/* Whether what the frozen generation has of a list, or of the ways back of an event, is settled. */
static bool is_moved(const tycho__txn *txn, uint64_t kind, uint64_t number) {
    const tycho__state *state = &txn->state;
    if (kind != state->moved_kind) return kind < state->moved_kind;
    return number <= state->moved_number;
}

/* The generation, unless the transaction has none, or its part is settled. */
static tycho__generation *part(const tycho__txn *txn, int i, uint64_t kind, uint64_t number) {
    return i == FROZEN && is_moved(txn, kind, number) ? NULL : txn->generations[i];
}

static uint32_t visible(const tycho__txn *txn, const tycho__recent_list *list) {
    return tycho__generation_visible(list, txn->state.head, txn->state.links_made);
}

uint64_t tycho__recent_count(tycho__txn *txn, uint8_t kind, uint32_t number) {
    uint64_t count = 0;
    for (int i = FROZEN; i <= NEWEST; i++) {
        tycho__generation *g = part(txn, i, kind, number);
        if (g == NULL) continue;
        lock(txn, g);
        count += visible(txn, tycho__generation_find(g, kind, number));
        unlock(txn, g);
    }
    return count;
}

uint64_t tycho__recent_highest(tycho__txn *txn, uint8_t kind, uint32_t number) {
    uint64_t highest = 0;
    assert(txn->is_write);
    for (int i = FROZEN; i <= NEWEST; i++) {
        const tycho__generation *g = txn->generations[i];
        const tycho__recent_list *list = g == NULL ? NULL : tycho__generation_find(g, kind, number);
        if (list != NULL && list->highest > highest) highest = list->highest;
    }
    return highest;
}

uint64_t tycho__recent_begin(const tycho__txn *txn, uint8_t kind, uint32_t number) {
    uint64_t settled = txn->state.settled;
    return (is_moved(txn, kind, number) ? settled + txn->state.settling : settled) + 1;
}

static void find_in(tycho__txn *txn, const tycho__generation *g, const tycho__recent_wanted *wanted,
                    tycho__recent_run *run) {
    const tycho__recent_list *list = tycho__generation_find(g, wanted->kind, wanted->number);
    uint32_t first = 0, end = visible(txn, list);
    if (end > 0 && wanted->forward) {
        first = tycho__generation_index(list, end, wanted->ordinal);
        if (end - first > TYCHO__RUN) end = first + TYCHO__RUN;
    } else if (end > 0) {
        if (wanted->ordinal < UINT64_MAX) {
            end = tycho__generation_index(list, end, wanted->ordinal + 1);
        }
        first = end > TYCHO__RUN ? end - TYCHO__RUN : 0;
    }
    run->count = end - first;
    if (run->count == 0) return;
    memcpy(run->values, list->values + first, run->count * sizeof run->values[0]);
    run->base = list->kind == TYCHO__STREAM ? list->base + first : run->values[0] >> 1;
}

void tycho__recent_find(tycho__txn *txn, const tycho__recent_wanted *wanted,
                        tycho__recent_run *run) {
    run->count = 0;
    for (int i = 0; i < 2 && run->count == 0; i++) {
        int which = wanted->forward ? i : 1 - i;
        tycho__generation *g = part(txn, which, wanted->kind, wanted->number);
        if (g == NULL) continue;
        lock(txn, g);
        find_in(txn, g, wanted, run);
        unlock(txn, g);
    }
}

/* The writer locks here, too, unless it has: readers put ways into chains. */
static bool holds(const tycho__txn *txn, const tycho__generation *g) {
    return g == txn->shared && txn->held > 0;
}

static void lock_ways(const tycho__txn *txn, tycho__generation *g) {
    if (!holds(txn, g)) {
        pthread_rwlock_rdlock(&g->lock);
        if (g->way_entered == g->way_count) return;
        pthread_rwlock_unlock(&g->lock);
        pthread_rwlock_wrlock(&g->lock);
    }
    tycho__generation_enter_ways(g);
}

static void unlock_ways(const tycho__txn *txn, tycho__generation *g) {
    if (!holds(txn, g)) pthread_rwlock_unlock(&g->lock);
}

size_t tycho__recent_ways(tycho__txn *txn, uint64_t position, tycho__way *ways, size_t most) {
    size_t count = 0;
    for (int i = FROZEN; i <= NEWEST; i++) {
        tycho__generation *g = part(txn, i, TYCHO__WAYS, position);
        const tycho__recent_way *way = NULL;
        if (g == NULL) continue;
        lock_ways(txn, g);
        while ((way = tycho__generation_way(g, position, way)) != NULL) {
            uint64_t link = tycho__generation_link(g, way);
            if (link > txn->state.links_made) continue;
            if (count < most) ways[count] = (tycho__way){way->stream, way->revision, link};
            count++;
        }
        unlock_ways(txn, g);
    }
    return count;
}

bool tycho__recent_find_way(tycho__txn *txn, uint64_t position, uint32_t stream,
                            tycho__way *found) {
    bool is_found = false;
    for (int i = FROZEN; i <= NEWEST && !is_found; i++) {
        tycho__generation *g = part(txn, i, TYCHO__WAYS, position);
        const tycho__recent_way *way = NULL;
        if (g == NULL) continue;
        lock_ways(txn, g);
        while (!is_found && (way = tycho__generation_way(g, position, way)) != NULL) {
            uint64_t link = tycho__generation_link(g, way);
            is_found = way->stream == stream && link <= txn->state.links_made;
            if (is_found) *found = (tycho__way){stream, way->revision, link};
        }
        unlock_ways(txn, g);
    }
    return is_found;
}

uint64_t tycho__recent_find_id(tycho__txn *txn, tycho_bytes packed, bool is_uuid) {
    uint64_t found = 0;
    for (int i = FROZEN; i <= NEWEST && found == 0; i++) {
        tycho__generation *g = txn->generations[i];
        if (g == NULL) continue;
        lock(txn, g);
        found = tycho__generation_find_id(g, packed, is_uuid);
        unlock(txn, g);
        if (found > txn->state.head) found = 0;
    }
    return found;
}

/* ---------------------------------------------------------------- writing */

void tycho__recent_mark(tycho__txn *txn) {
    tycho__generation *g = txn->generations[NEWEST];
    assert(txn->is_write && txn->shared == NULL);
    if (g == NULL) return;
    atomic_fetch_add(&g->shares, 1);
    txn->shared = g;
    tycho__generation_mark(g);
}

/* The newest generation, begun when there is none. */
static tycho__generation *newest(tycho__txn *txn) {
    const tycho__state *state = &txn->state;
    assert(txn->has_generations);
    if (txn->generations[NEWEST] == NULL) {
        txn->generations[NEWEST] = tycho__generation_begin(
            state->settled + state->settling, state->links_settled + state->links_settling,
            atomic_load(&txn->env->recent_slots), atomic_load(&txn->env->recent_ways));
    }
    return txn->generations[NEWEST];
}

/* Keeps readers out of the generation, for some HELD additions: taking a lock for each would cost
** more than the addition. What the transaction began itself has no readers. */
static void hold(tycho__txn *txn, tycho__generation *g, uint32_t additions) {
    if (g != txn->shared) return;
    if (txn->held >= HELD) tycho__recent_let_go(txn);
    if (txn->held == 0) pthread_rwlock_wrlock(&g->lock);
    txn->held += additions;
}

void tycho__recent_let_go(tycho__txn *txn) {
    if (txn->held > 0) pthread_rwlock_unlock(&txn->shared->lock);
    txn->held = 0;
}

/* Finds where the entries of a list go, and remembers it there. */
static int find_list(tycho__generation *g, tycho__list *list) {
    if (list->recent_serial == g->serial) return TYCHO_OK;
    int status = tycho__generation_make(g, list->kind, list->number, &list->recent_list);
    if (status == TYCHO_OK) list->recent_serial = g->serial;
    return status;
}

static int put_item(tycho__txn *txn, tycho__generation *g, const tycho__recent_item *item) {
    tycho__list *list = item->list;
    int status = find_list(g, list);
    if (status == TYCHO_OK && g == txn->shared)
        status = tycho__generation_note(g, list->recent_list);
    if (status != TYCHO_OK) return status;
    status = tycho__generation_add(g, list->recent_list, item->ordinal, item->position);
    if (status != TYCHO_OK && g == txn->shared) g->added_count--;
    return status;
}

void tycho__recent_prefetch(const tycho__txn *txn, const tycho__list *list, size_t step) {
    const tycho__generation *g = txn->generations[NEWEST];
    if (list == NULL || g == NULL) return;
    bool is_known = list->recent_serial == g->serial;
    if (step == 0 && is_known) {
        __builtin_prefetch(list->recent_list, 1);
    } else if (is_known) {
        __builtin_prefetch(list->recent_list->values + list->recent_list->count, 1);
    } else if (step == 0) {
        tycho__generation_prefetch(g, list->kind, list->number);
    }
}

void tycho__recent_prefetch_id(const tycho__txn *txn, tycho_bytes packed, bool is_uuid) {
    if (!txn->is_write) return; /* the writer may be moving what others would look at */
    for (int i = FROZEN; i <= NEWEST; i++) {
        const tycho__generation *g = txn->generations[i];
        if (g != NULL) tycho__generation_prefetch_id(g, packed, is_uuid);
    }
}

int tycho__recent_put_event(tycho__txn *txn, const tycho__recent_item *items, uint32_t count,
                            const tycho__event_view *event) {
    tycho__generation *g = newest(txn);
    int status = TYCHO_OK;
    txn->is_changed = true;
    if (g == NULL) return no_memory();
    assert(event->position == g->head + 1);
    hold(txn, g, 1);
    for (uint32_t i = 0; i < count && status == TYCHO_OK; i++) {
        status = put_item(txn, g, &items[i]);
    }
    if (status == TYCHO_OK) {
        bool is_uuid = (event->flags & TYCHO__UUID_ID) != 0;
        status = tycho__generation_add_id(g, event->id, is_uuid);
    }
    return status;
}

int tycho__recent_put_links(tycho__txn *txn, tycho__list *stream, uint64_t revision,
                            const uint64_t *positions, uint32_t count) {
    tycho__generation *g = newest(txn);
    txn->is_changed = true;
    if (g == NULL) return no_memory();
    assert(g->links + count == txn->state.links_made);
    hold(txn, g, count);
    int status = find_list(g, stream);
    if (status != TYCHO_OK) return status;
    return tycho__generation_add_links(g, stream->recent_list, revision, positions, count,
                                       g == txn->shared);
}

void tycho__recent_freeze(tycho__txn *txn) {
    assert(txn->is_write && txn->generations[FROZEN] == NULL);
    tycho__recent_let_go(txn);
    txn->generations[FROZEN] = txn->generations[NEWEST];
    txn->generations[NEWEST] = NULL;
}

tycho__generation *tycho__recent_frozen(const tycho__txn *txn) {
    return txn->generations[FROZEN];
}

void tycho__recent_settled(tycho__txn *txn) {
    tycho__generation *g = txn->generations[FROZEN];
    assert(g != NULL);
    if (g->list_slot_count <= LAST_SLOTS) {
        atomic_store(&txn->env->recent_slots, g->list_slot_count);
    }
    if (g->way_capacity <= LAST_SLOTS) atomic_store(&txn->env->recent_ways, g->way_capacity);
    tycho__generation_release(g);
    txn->generations[FROZEN] = NULL;
}

/* A generation that the transaction began is now for everybody, and one that it settled for
** nobody. */
void tycho__recent_commit(tycho__txn *txn) {
    tycho__env *env = txn->env;
    tycho__generation *g = txn->generations[NEWEST], *gone[2] = {NULL, NULL};
    uint64_t settled = txn->state.settled + txn->state.links_settled;
    pthread_mutex_lock(&env->recent_mutex);
    for (int i = FROZEN; i <= NEWEST; i++) {
        tycho__generation *known = env->generations[i];
        if (known == NULL || tycho__generation_age(known) >= settled) continue;
        gone[i] = known;
        env->generations[i] = NULL;
    }
    tycho__generation *known = env->generations[NEWEST], *old = NULL;
    bool is_known = known != NULL && !known->is_broken && g != NULL &&
                    tycho__generation_age(known) >= tycho__generation_age(g);
    if (g != NULL && g != txn->shared && !is_known) old = place(env, g);
    pthread_mutex_unlock(&env->recent_mutex);
    tycho__generation_release(gone[FROZEN]);
    tycho__generation_release(gone[NEWEST]);
    tycho__generation_release(old);
}

void tycho__recent_abort(tycho__txn *txn) {
    tycho__generation *g = txn->shared;
    if (g == NULL) return;
    tycho__recent_let_go(txn);
    pthread_rwlock_wrlock(&g->lock);
    tycho__generation_undo(g);
    pthread_rwlock_unlock(&g->lock);
}
