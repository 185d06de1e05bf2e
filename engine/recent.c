/* recent.c - entries that are not settled yet; see recent.h. */
#include "recent.h"

#include <stdlib.h>

#include "list.h"

enum { FIRST_SLOTS = 256, FIRST_CHUNK = 4 << 10, LAST_CHUNK = 256 << 10 };

/* Memory of lists and entries, which go all at once. */
struct chunk {
    struct chunk *before;
    size_t size, used;
};

struct id_slot {
    uint64_t hash;
    uint64_t position; /* 0: free */
};

struct tycho__recent {
    atomic_uint shares;
    pthread_rwlock_t lock;
    uint64_t settlements;       /* of the state that it goes with */
    uint64_t head, links;       /* how far it goes */
    struct chunk *chunks;
    tycho__recent_list **lists; /* open addressing */
    size_t list_slots, list_count;
    struct id_slot *ids; /* the same */
    size_t id_slots, id_count;
    tycho__recent_list **sorted;
    atomic_bool is_broken; /* memory ran out in the middle of an addition: nobody may use it */
};

/* What nobody else can see is seen whole. */
const tycho__state tycho__everything = {.head = UINT64_MAX, .links_made = UINT64_MAX};

static int no_memory(void) {
    return tycho__fail(TYCHO_NO_MEMORY, "no memory for recent entries");
}

tycho__recent *tycho__recent_create(void) {
    tycho__recent *recent = calloc(1, sizeof *recent);
    if (recent == NULL) return NULL;
    atomic_store(&recent->shares, 1);
    pthread_rwlock_init(&recent->lock, NULL);
    return recent;
}

void tycho__recent_release(tycho__recent *recent) {
    if (recent == NULL || atomic_fetch_sub(&recent->shares, 1) > 1) return;
    while (recent->chunks != NULL) {
        struct chunk *before = recent->chunks->before;
        free(recent->chunks);
        recent->chunks = before;
    }
    pthread_rwlock_destroy(&recent->lock);
    free(recent->lists);
    free(recent->ids);
    free(recent->sorted);
    free(recent);
}

/* Zeroed memory that lives as long as the object; NULL when there is none. */
static void *take_memory(tycho__recent *recent, size_t size) {
    struct chunk *chunk = recent->chunks;
    assert(size % sizeof(void *) == 0);
    if (chunk == NULL || chunk->size - chunk->used < size) {
        size_t wanted = chunk == NULL ? FIRST_CHUNK : chunk->size * 2;
        if (wanted > LAST_CHUNK) wanted = LAST_CHUNK;
        if (wanted < size) wanted = size;
        chunk = calloc(1, sizeof *chunk + wanted);
        if (chunk == NULL) return NULL;
        chunk->size = wanted;
        chunk->before = recent->chunks;
        recent->chunks = chunk;
    }
    void *memory = (uint8_t *)(chunk + 1) + chunk->used;
    chunk->used += size;
    return memory;
}

/* ---------------------------------------------------------------- lists */

static size_t list_slot(uint8_t kind, uint64_t number, size_t slots) {
    uint64_t hash = (number * 8 + kind + 1) * 0x9e3779b97f4a7c15u;
    return (size_t)(hash >> 20) & (slots - 1);
}

static tycho__recent_list *find_list(const tycho__recent *recent, uint8_t kind, uint64_t number) {
    if (recent->list_slots == 0) return NULL;
    size_t i = list_slot(kind, number, recent->list_slots);
    for (;; i = (i + 1) & (recent->list_slots - 1)) {
        tycho__recent_list *list = recent->lists[i];
        if (list == NULL || (list->number == number && list->kind == kind)) return list;
    }
}

static int grow_lists(tycho__recent *recent) {
    if (recent->list_count * 2 < recent->list_slots) return TYCHO_OK;
    size_t slots = recent->list_slots == 0 ? FIRST_SLOTS : recent->list_slots * 2;
    tycho__recent_list **lists = calloc(slots, sizeof *lists);
    if (lists == NULL) return no_memory();
    for (size_t i = 0; i < recent->list_slots; i++) {
        tycho__recent_list *list = recent->lists[i];
        if (list == NULL) continue;
        size_t at = list_slot(list->kind, list->number, slots);
        while (lists[at] != NULL) at = (at + 1) & (slots - 1);
        lists[at] = list;
    }
    free(recent->lists);
    recent->lists = lists;
    recent->list_slots = slots;
    return TYCHO_OK;
}

static int make_list(tycho__recent *recent, uint8_t kind, uint64_t number,
                     tycho__recent_list **out) {
    *out = find_list(recent, kind, number);
    if (*out != NULL) return TYCHO_OK;
    int status = grow_lists(recent);
    if (status != TYCHO_OK) return status;
    tycho__recent_list *list = take_memory(recent, sizeof *list);
    if (list == NULL) return no_memory();
    list->kind = kind;
    list->number = number;
    size_t i = list_slot(kind, number, recent->list_slots);
    while (recent->lists[i] != NULL) i = (i + 1) & (recent->list_slots - 1);
    recent->lists[i] = list;
    recent->list_count++;
    *out = list;
    return TYCHO_OK;
}

int tycho__recent_add(tycho__recent *recent, uint8_t kind, uint64_t number,
                      const tycho__recent_entry *entry) {
    tycho__recent_list *list;
    int status = make_list(recent, kind, number, &list);
    if (status != TYCHO_OK) return status;
    if (list->count == list->capacity) {
        uint32_t capacity = list->capacity == 0 ? 2 : list->capacity * 2;
        tycho__recent_entry *entries = take_memory(recent, capacity * sizeof *entries);
        if (entries == NULL) return no_memory();
        if (list->count > 0) memcpy(entries, list->entries, list->count * sizeof *entries);
        list->entries = entries;
        list->capacity = capacity;
    }
    list->entries[list->count++] = *entry;
    return TYCHO_OK;
}

/* How many of the list's entries, which are in the order of their commits, the snapshot sees. */
static uint32_t visible(const tycho__recent_list *list, const tycho__state *state) {
    uint32_t low = 0, high = list == NULL ? 0 : list->count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        const tycho__recent_entry *entry = &list->entries[middle];
        bool is_seen =
            entry->link != 0 ? entry->link <= state->links_made : entry->value >> 1 <= state->head;
        if (is_seen) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

uint64_t tycho__recent_count(tycho__recent *recent, const tycho__state *state, uint8_t kind,
                             uint64_t number) {
    if (recent == NULL) return 0;
    pthread_rwlock_rdlock(&recent->lock);
    uint32_t count = visible(find_list(recent, kind, number), state);
    pthread_rwlock_unlock(&recent->lock);
    return count;
}

/* The index of the first of `count` entries with an ordinal >= the given one. */
static uint32_t index_from(const tycho__recent_list *list, uint32_t count, uint64_t ordinal) {
    uint32_t low = 0, high = count;
    if (list->kind == TYCHO__WAY_BACK) return ordinal < count ? (uint32_t)ordinal : count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (list->entries[middle].ordinal < ordinal) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

uint32_t tycho__recent_run(tycho__recent *recent, const tycho__state *state,
                           const tycho__recent_list *wanted, bool forward, uint64_t ordinal,
                           tycho__recent_entry to[TYCHO__RUN]) {
    if (recent == NULL) return 0;
    pthread_rwlock_rdlock(&recent->lock);
    const tycho__recent_list *list = find_list(recent, wanted->kind, wanted->number);
    uint32_t first = 0, end = visible(list, state);
    if (end > 0 && forward) {
        first = index_from(list, end, ordinal);
        if (end - first > TYCHO__RUN) end = first + TYCHO__RUN;
    } else if (end > 0) {
        if (ordinal < UINT64_MAX) end = index_from(list, end, ordinal + 1);
        first = end > TYCHO__RUN ? end - TYCHO__RUN : 0;
    }
    if (end > first) memcpy(to, &list->entries[first], (end - first) * sizeof *to);
    pthread_rwlock_unlock(&recent->lock);
    return end - first;
}

bool tycho__recent_way(tycho__recent *recent, const tycho__state *state, uint64_t position,
                       uint32_t stream, tycho__recent_entry *entry) {
    bool is_found = false;
    if (recent == NULL) return false;
    pthread_rwlock_rdlock(&recent->lock);
    const tycho__recent_list *list = find_list(recent, TYCHO__WAY_BACK, position);
    uint32_t count = visible(list, state);
    for (uint32_t i = 0; i < count && !is_found; i++) {
        is_found = list->entries[i].ordinal == stream;
        if (is_found) *entry = list->entries[i];
    }
    pthread_rwlock_unlock(&recent->lock);
    return is_found;
}

static int compare_lists(const void *a, const void *b) {
    const tycho__recent_list *x = *(tycho__recent_list *const *)a,
                             *y = *(tycho__recent_list *const *)b;
    if (x->kind != y->kind) return x->kind < y->kind ? -1 : 1;
    return x->number < y->number ? -1 : x->number > y->number;
}

tycho__recent_list **tycho__recent_sorted(tycho__recent *recent, size_t *count) {
    *count = 0;
    tycho__recent_list **sorted =
        realloc(recent->sorted, (recent->list_count + 1) * sizeof *sorted);
    if (sorted == NULL) return NULL;
    recent->sorted = sorted;
    for (size_t i = 0; i < recent->list_slots; i++) {
        if (recent->lists[i] != NULL) sorted[(*count)++] = recent->lists[i];
    }
    if (*count > 1) qsort(sorted, *count, sizeof *sorted, compare_lists);
    return sorted;
}

/* ---------------------------------------------------------------- ids */

static uint64_t id_hash(tycho_bytes packed, bool is_uuid) {
    return tycho__hash(packed.data, packed.size, is_uuid ? 1 : 0);
}

static int grow_ids(tycho__recent *recent) {
    if (recent->id_count * 2 < recent->id_slots) return TYCHO_OK;
    size_t slots = recent->id_slots == 0 ? FIRST_SLOTS : recent->id_slots * 2;
    struct id_slot *ids = calloc(slots, sizeof *ids);
    if (ids == NULL) return no_memory();
    for (size_t i = 0; i < recent->id_slots; i++) {
        if (recent->ids[i].position == 0) continue;
        size_t at = (size_t)recent->ids[i].hash & (slots - 1);
        while (ids[at].position != 0) at = (at + 1) & (slots - 1);
        ids[at] = recent->ids[i];
    }
    free(recent->ids);
    recent->ids = ids;
    recent->id_slots = slots;
    return TYCHO_OK;
}

static int add_hash(tycho__recent *recent, uint64_t hash, uint64_t position) {
    int status = grow_ids(recent);
    if (status != TYCHO_OK) return status;
    size_t i = (size_t)hash & (recent->id_slots - 1);
    while (recent->ids[i].position != 0) i = (i + 1) & (recent->id_slots - 1);
    recent->ids[i].hash = hash;
    recent->ids[i].position = position;
    recent->id_count++;
    return TYCHO_OK;
}

int tycho__recent_add_id(tycho__recent *recent, tycho_bytes packed, bool is_uuid,
                         uint64_t position) {
    return add_hash(recent, id_hash(packed, is_uuid), position);
}

uint64_t tycho__recent_id(tycho__recent *recent, const tycho__state *state, tycho_bytes packed,
                          bool is_uuid, uint64_t after) {
    if (recent == NULL) return 0;
    uint64_t hash = id_hash(packed, is_uuid), found = 0;
    pthread_rwlock_rdlock(&recent->lock);
    size_t mask = recent->id_slots - 1;
    for (size_t i = (size_t)hash & mask; recent->id_slots > 0; i = (i + 1) & mask) {
        uint64_t position = recent->ids[i].position;
        if (position == 0) break;
        bool is_next = position > after && (found == 0 || position < found);
        if (recent->ids[i].hash == hash && position <= state->head && is_next) found = position;
    }
    pthread_rwlock_unlock(&recent->lock);
    return found;
}

/* ---------------------------------------------------------------- from the log */

static int add_record(tycho__recent *recent, const tycho__event_view *event) {
    tycho__recent_entry entry = {event->position, event->position << 1, 0};
    int status = tycho__recent_add(recent, TYCHO__TYPE, event->type_number, &entry);
    for (uint32_t i = 0; i < event->tag_count && status == TYCHO_OK; i++) {
        status = tycho__recent_add(recent, TYCHO__TAG, tycho__record_tag(event, i), &entry);
    }
    if (status == TYCHO_OK && event->stream != 0) {
        entry.ordinal = (uint64_t)event->revision;
        status = tycho__recent_add(recent, TYCHO__STREAM, event->stream, &entry);
    }
    if (status != TYCHO_OK) return status;
    bool is_uuid = (event->flags & TYCHO__UUID_ID) != 0;
    return tycho__recent_add_id(recent, event->id, is_uuid, event->position);
}

static int add_link(tycho__recent *recent, uint64_t link, const uint8_t *row) {
    uint32_t stream = tycho__load32(row + 8);
    uint64_t revision = tycho__load64(row + 12), position = tycho__load64(row + 20);
    tycho__recent_entry entry = {revision, position << 1 | 1, link};
    int status = tycho__recent_add(recent, TYCHO__STREAM, stream, &entry);
    if (status != TYCHO_OK) return status;
    tycho__recent_entry back = {stream, revision, link};
    return tycho__recent_add(recent, TYCHO__WAY_BACK, position, &back);
}

/* The row of the link behind recent->links. TYCHO_NOT_FOUND when the snapshot has none. */
static int next_link(tycho__recent *recent, tycho__txn *txn, tycho_bytes *row) {
    uint8_t wanted[8];
    if (recent->links >= txn->state.links_made) return TYCHO_NOT_FOUND;
    tycho__key64(wanted, recent->links + 1);
    int status = tycho__get(txn, TYCHO__PENDING, tycho__bytes(wanted, sizeof wanted), row);
    if (status == TYCHO_NOT_FOUND || (status == TYCHO_OK && row->size != TYCHO__PENDING_SIZE)) {
        return tycho__fail(TYCHO_CORRUPT, "link %llu is not in table pending",
                           (unsigned long long)(recent->links + 1));
    }
    return status;
}

/* Reads the log, and links where they were made, up to the snapshot of the transaction. */
static int catch_up(tycho__recent *recent, tycho__txn *txn) {
    tycho_bytes row, record;
    int link_status = next_link(recent, txn, &row);
    while (recent->head < txn->state.head || link_status == TYCHO_OK) {
        int status;
        if (link_status == TYCHO_OK && tycho__load64(row.data) <= recent->head) {
            status = add_link(recent, recent->links + 1, row.data);
            if (status != TYCHO_OK) return status;
            recent->links++;
            link_status = next_link(recent, txn, &row);
            continue;
        }
        if (link_status != TYCHO_OK && link_status != TYCHO_NOT_FOUND) return link_status;
        tycho__event_view event;
        uint64_t position = recent->head + 1;
        if (position > txn->state.head) {
            return tycho__fail(TYCHO_CORRUPT, "link %llu was made beyond the head",
                               (unsigned long long)(recent->links + 1));
        }
        status = tycho__get_event(txn, position, &record);
        if (status == TYCHO_NOT_FOUND) {
            return tycho__fail(TYCHO_CORRUPT, "the log has no record at position %llu",
                               (unsigned long long)position);
        }
        if (status == TYCHO_OK) status = tycho__record_read(record, position, &event);
        if (status == TYCHO_OK) status = add_record(recent, &event);
        if (status != TYCHO_OK) return status;
        recent->head = position;
    }
    return link_status == TYCHO_NOT_FOUND ? TYCHO_OK : link_status;
}

int tycho__pending_put(tycho__txn *txn, uint64_t link, uint32_t stream, uint64_t revision,
                       uint64_t position) {
    uint8_t key[8], row[TYCHO__PENDING_SIZE];
    tycho__key64(key, link);
    tycho__store64(row, txn->state.head);
    tycho__store32(row + 8, stream);
    tycho__store64(row + 12, revision);
    tycho__store64(row + 20, position);
    return tycho__put(txn, TYCHO__PENDING, tycho__bytes(key, sizeof key),
                      tycho__bytes(row, sizeof row));
}

/* ---------------------------------------------------------------- sharing */

static tycho__recent *begin_at(const tycho__state *state) {
    tycho__recent *recent = tycho__recent_create();
    if (recent == NULL) return NULL;
    recent->settlements = state->settlements;
    recent->head = state->settled;
    recent->links = state->links_settled;
    return recent;
}

/* The shared object for the state, begun when this process has none yet; a private one for a
** snapshot that is older than the shared one. */
static tycho__recent *take(tycho__env *env, const tycho__state *state) {
    tycho__recent *old = NULL, *recent;
    pthread_mutex_lock(&env->recent_mutex);
    recent = env->recent;
    if (recent == NULL || recent->is_broken || recent->settlements < state->settlements) {
        old = recent;
        recent = env->recent = begin_at(state);
    } else if (recent->settlements > state->settlements) {
        pthread_mutex_unlock(&env->recent_mutex);
        return begin_at(state);
    }
    if (recent != NULL) atomic_fetch_add(&recent->shares, 1);
    pthread_mutex_unlock(&env->recent_mutex);
    tycho__recent_release(old);
    return recent;
}

int tycho__recent_of(tycho__txn *txn, tycho__recent **out) {
    const tycho__state *state = &txn->state;
    *out = txn->recent;
    if (txn->recent != NULL) return TYCHO_OK;
    if (txn->is_settled) return TYCHO_OK;
    if (state->head == state->settled && state->links_made == state->links_settled) {
        txn->is_settled = true;
        return TYCHO_OK;
    }
    tycho__recent *recent = take(txn->env, state);
    if (recent == NULL) return no_memory();
    pthread_rwlock_rdlock(&recent->lock);
    bool is_behind = recent->head < state->head || recent->links < state->links_made;
    int status = recent->is_broken ? no_memory() : TYCHO_OK;
    pthread_rwlock_unlock(&recent->lock);
    if (status == TYCHO_OK && is_behind) {
        pthread_rwlock_wrlock(&recent->lock);
        status = recent->is_broken ? no_memory() : catch_up(recent, txn);
        recent->is_broken = status != TYCHO_OK;
        pthread_rwlock_unlock(&recent->lock);
    }
    if (status != TYCHO_OK) {
        tycho__recent_release(recent);
        return status;
    }
    txn->recent = *out = recent;
    return TYCHO_OK;
}

/* Moves all of `fresh` behind what `recent` has. */
static int merge(tycho__recent *recent, const tycho__recent *fresh) {
    for (size_t i = 0; i < fresh->list_slots; i++) {
        const tycho__recent_list *list = fresh->lists[i];
        for (uint32_t j = 0; list != NULL && j < list->count; j++) {
            int status = tycho__recent_add(recent, list->kind, list->number, &list->entries[j]);
            if (status != TYCHO_OK) return status;
        }
    }
    for (size_t i = 0; i < fresh->id_slots; i++) {
        if (fresh->ids[i].position == 0) continue;
        int status = add_hash(recent, fresh->ids[i].hash, fresh->ids[i].position);
        if (status != TYCHO_OK) return status;
    }
    return TYCHO_OK;
}

void tycho__recent_commit(tycho__txn *txn) {
    tycho__env *env = txn->env;
    tycho__recent *fresh = txn->fresh;
    if (fresh == NULL) return;
    tycho__recent *recent = take(env, &txn->state);
    if (recent == NULL) return;
    pthread_rwlock_wrlock(&recent->lock);
    /* A reader may have been faster and have read it from the log. */
    if (recent->settlements == txn->state.settlements && !recent->is_broken &&
        recent->head == txn->fresh_head && recent->links == txn->fresh_links) {
        recent->is_broken = merge(recent, fresh) != TYCHO_OK;
        recent->head = txn->state.head;
        recent->links = txn->state.links_made;
    }
    pthread_rwlock_unlock(&recent->lock);
    tycho__recent_release(recent);
}
