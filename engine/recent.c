/* recent.c - entries that are not settled yet; see recent.h. */
#include "recent.h"

#include <stdlib.h>

#include "list.h"

enum { LAST_SLOTS = 1 << 18, FIRST_CHUNK = 4 << 10, LAST_CHUNK = 256 << 10 };

/* Memory of lists and entries, which go all at once. */
struct chunk {
    struct chunk *before;
    size_t size, used;
};

struct tycho__recent {
    atomic_uint shares;
    uint64_t serial; /* never used twice in a process */
    pthread_rwlock_t lock;
    uint64_t settlements; /* of the state that it goes with */
    uint64_t head, links; /* how far it goes, what is not committed included */
    struct chunk *chunks;
    tycho__recent_list **lists; /* open addressing */
    size_t list_slots, list_count;
    tycho__recent_id *ids; /* in the order of positions */
    size_t id_count, id_capacity;
    uint32_t *id_index; /* open addressing: place in `ids` + 1 */
    size_t id_slots;
    tycho__recent_list **sorted;
    atomic_bool is_broken; /* memory ran out in the middle of an addition: nobody may use it */

    /* What the present write transaction added, to be taken out again when it is aborted. */
    tycho__recent_list **added;
    size_t added_count, added_capacity;
    uint64_t mark_head, mark_links;
    size_t mark_ids;
};

static int no_memory(void) {
    return tycho__fail(TYCHO_NO_MEMORY, "no memory for recent entries");
}

/* Begins an object at what is settled; its tables begin as large as the last ones became. */
static tycho__recent *begin_at(const tycho__env *env, const tycho__state *state) {
    static _Atomic uint64_t serial;
    tycho__recent *recent = calloc(1, sizeof *recent);
    if (recent == NULL) return NULL;
    atomic_store(&recent->shares, 1);
    recent->serial = atomic_fetch_add(&serial, 1) + 1;
    pthread_rwlock_init(&recent->lock, NULL);
    recent->settlements = state->settlements;
    recent->head = state->settled;
    recent->links = state->links_settled;
    recent->list_slots = recent->id_slots = atomic_load(&env->recent_slots);
    recent->lists = calloc(recent->list_slots, sizeof *recent->lists);
    recent->id_index = calloc(recent->id_slots, sizeof *recent->id_index);
    if (recent->lists != NULL && recent->id_index != NULL) return recent;
    tycho__recent_release(recent);
    return NULL;
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
    free(recent->id_index);
    free(recent->added);
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
    size_t i = list_slot(kind, number, recent->list_slots);
    for (;; i = (i + 1) & (recent->list_slots - 1)) {
        tycho__recent_list *list = recent->lists[i];
        if (list == NULL || (list->number == number && list->kind == kind)) return list;
    }
}

static int grow_lists(tycho__recent *recent) {
    if (recent->list_count * 2 < recent->list_slots) return TYCHO_OK;
    size_t slots = recent->list_slots * 2;
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

static int add_entry(tycho__recent *recent, tycho__recent_list *list,
                     const tycho__recent_entry *entry) {
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

static int add(tycho__recent *recent, uint8_t kind, uint64_t number,
               const tycho__recent_entry *entry) {
    tycho__recent_list *list;
    int status = make_list(recent, kind, number, &list);
    return status == TYCHO_OK ? add_entry(recent, list, entry) : status;
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

/* Enters the ids from `first` on into the index. */
static void index_ids(tycho__recent *recent, size_t first) {
    size_t mask = recent->id_slots - 1;
    for (size_t i = first; i < recent->id_count; i++) {
        size_t at = (size_t)recent->ids[i].hash & mask;
        while (recent->id_index[at] != 0) at = (at + 1) & mask;
        recent->id_index[at] = (uint32_t)(i + 1);
    }
}

static int grow_ids(tycho__recent *recent) {
    if (recent->id_count == recent->id_capacity) {
        size_t capacity = recent->id_capacity == 0 ? 64 : recent->id_capacity * 2;
        tycho__recent_id *ids = realloc(recent->ids, capacity * sizeof *ids);
        if (ids == NULL) return no_memory();
        recent->ids = ids;
        recent->id_capacity = capacity;
    }
    if (recent->id_count * 2 < recent->id_slots) return TYCHO_OK;
    uint32_t *index = calloc(recent->id_slots * 2, sizeof *index);
    if (index == NULL) return no_memory();
    free(recent->id_index);
    recent->id_index = index;
    recent->id_slots *= 2;
    index_ids(recent, 0);
    return TYCHO_OK;
}

static int add_id(tycho__recent *recent, const tycho__event_view *event) {
    bool is_uuid = (event->flags & TYCHO__UUID_ID) != 0;
    size_t size = 1 + event->id.size;
    int status = grow_ids(recent);
    if (status != TYCHO_OK) return status;
    uint8_t *bytes = take_memory(recent, (size + 7) & ~(size_t)7);
    if (bytes == NULL) return no_memory();
    bytes[0] = is_uuid ? 1 : 0;
    tycho__copy(bytes + 1, event->id);
    tycho__recent_id id = {id_hash(event->id, is_uuid), event->position, bytes, (uint8_t)size};
    recent->ids[recent->id_count++] = id;
    index_ids(recent, recent->id_count - 1);
    return TYCHO_OK;
}

uint64_t tycho__recent_find_id(tycho__recent *recent, const tycho__state *state, tycho_bytes packed,
                               bool is_uuid) {
    if (recent == NULL) return 0;
    uint64_t hash = id_hash(packed, is_uuid), found = 0;
    pthread_rwlock_rdlock(&recent->lock);
    size_t mask = recent->id_slots - 1;
    for (size_t at = (size_t)hash & mask; found == 0; at = (at + 1) & mask) {
        if (recent->id_index[at] == 0) break;
        const tycho__recent_id *id = &recent->ids[recent->id_index[at] - 1];
        bool is_same = id->hash == hash && id->bytes[0] == is_uuid &&
                       tycho__equal(tycho__bytes(id->bytes + 1, id->size - 1u), packed);
        if (is_same && id->position <= state->head) found = id->position;
    }
    pthread_rwlock_unlock(&recent->lock);
    return found;
}

const tycho__recent_id *tycho__recent_ids(const tycho__recent *recent, size_t *count) {
    *count = recent->id_count;
    return recent->ids;
}

/* ---------------------------------------------------------------- from the log */

static int add_record(tycho__recent *recent, const tycho__event_view *event) {
    tycho__recent_entry entry = {event->position, event->position << 1, 0};
    int status = add(recent, TYCHO__TYPE, event->type_number, &entry);
    for (uint32_t i = 0; i < event->tag_count && status == TYCHO_OK; i++) {
        status = add(recent, TYCHO__TAG, tycho__record_tag(event, i), &entry);
    }
    if (status == TYCHO_OK && event->stream != 0) {
        entry.ordinal = (uint64_t)event->revision;
        status = add(recent, TYCHO__STREAM, event->stream, &entry);
    }
    if (status != TYCHO_OK) return status;
    return add_id(recent, event);
}

static int add_link(tycho__recent *recent, uint64_t link, const uint8_t *row) {
    uint32_t stream = tycho__load32(row + 8);
    uint64_t revision = tycho__load64(row + 12), position = tycho__load64(row + 20);
    tycho__recent_entry entry = {revision, position << 1 | 1, link};
    int status = add(recent, TYCHO__STREAM, stream, &entry);
    if (status != TYCHO_OK) return status;
    tycho__recent_entry back = {stream, revision, link};
    return add(recent, TYCHO__WAY_BACK, position, &back);
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

/* The shared object for the state, begun when this process has none yet; a private one for a
** snapshot that is older than the shared one. */
static tycho__recent *take(tycho__env *env, const tycho__state *state) {
    tycho__recent *old = NULL, *recent;
    pthread_mutex_lock(&env->recent_mutex);
    recent = env->recent;
    if (recent == NULL || recent->is_broken || recent->settlements < state->settlements) {
        old = recent;
        recent = env->recent = begin_at(env, state);
    } else if (recent->settlements > state->settlements) {
        pthread_mutex_unlock(&env->recent_mutex);
        return begin_at(env, state);
    }
    if (recent != NULL) atomic_fetch_add(&recent->shares, 1);
    pthread_mutex_unlock(&env->recent_mutex);
    tycho__recent_release(old);
    return recent;
}

int tycho__recent_of(tycho__txn *txn, tycho__recent **out) {
    const tycho__state *state = &txn->state;
    *out = txn->recent;
    if (txn->recent != NULL || txn->is_settled) return TYCHO_OK;
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

/* ---------------------------------------------------------------- writing */

void tycho__recent_begin(tycho__txn *txn) {
    tycho__recent *recent = txn->recent;
    assert(txn->is_write && txn->shared == NULL);
    if (recent == NULL) return;
    atomic_fetch_add(&recent->shares, 1);
    txn->shared = recent;
    recent->added_count = 0;
    recent->mark_head = recent->head;
    recent->mark_links = recent->links;
    recent->mark_ids = recent->id_count;
}

/* Remembers that an entry of the list is to be taken out by an abort. */
static int remember(tycho__recent *recent, tycho__recent_list *list) {
    if (recent->added_count == recent->added_capacity) {
        size_t capacity = recent->added_capacity == 0 ? 64 : recent->added_capacity * 2;
        tycho__recent_list **added = realloc(recent->added, capacity * sizeof *added);
        if (added == NULL) return no_memory();
        recent->added = added;
        recent->added_capacity = capacity;
    }
    recent->added[recent->added_count++] = list;
    return TYCHO_OK;
}

static int put_item(tycho__txn *txn, tycho__recent *recent, const tycho__recent_item *item) {
    tycho__list *list = item->list;
    tycho__recent_list *place = NULL;
    int status = TYCHO_OK;
    if (list != NULL && list->recent_serial == recent->serial) place = list->recent_list;
    if (place == NULL) status = make_list(recent, item->kind, item->number, &place);
    if (status == TYCHO_OK && list != NULL) {
        list->recent_list = place;
        list->recent_serial = recent->serial;
    }
    if (status == TYCHO_OK && recent == txn->shared) status = remember(recent, place);
    if (status != TYCHO_OK) return status;
    status = add_entry(recent, place, &item->entry);
    if (status != TYCHO_OK && recent == txn->shared) recent->added_count--;
    return status;
}

int tycho__recent_put(tycho__txn *txn, const tycho__recent_item *items, uint32_t count,
                      const tycho__event_view *event) {
    txn->is_changed = true;
    if (txn->recent == NULL) txn->recent = begin_at(txn->env, &txn->state);
    if (txn->recent == NULL) return no_memory();
    tycho__recent *recent = txn->recent;
    int status = TYCHO_OK;
    pthread_rwlock_wrlock(&recent->lock);
    for (uint32_t i = 0; i < count && status == TYCHO_OK; i++) {
        status = put_item(txn, recent, &items[i]);
    }
    if (status == TYCHO_OK && event != NULL) status = add_id(recent, event);
    if (event != NULL) {
        recent->head = event->position;
    } else {
        recent->links = txn->state.links_made;
    }
    pthread_rwlock_unlock(&recent->lock);
    return status;
}

void tycho__recent_settled(tycho__txn *txn) {
    tycho__recent *recent = txn->recent;
    if (recent != NULL && recent->id_slots <= LAST_SLOTS) {
        atomic_store(&txn->env->recent_slots, recent->id_slots);
    }
    tycho__recent_release(recent);
    txn->recent = NULL;
    txn->is_settled = true;
}

/* An object that the transaction began itself is now for everybody. */
void tycho__recent_commit(tycho__txn *txn) {
    tycho__env *env = txn->env;
    tycho__recent *recent = txn->recent, *old = NULL;
    if (recent == NULL || recent == txn->shared) return;
    pthread_mutex_lock(&env->recent_mutex);
    if (env->recent == NULL || env->recent->settlements < recent->settlements) {
        old = env->recent;
        env->recent = recent;
        atomic_fetch_add(&recent->shares, 1);
    }
    pthread_mutex_unlock(&env->recent_mutex);
    tycho__recent_release(old);
}

void tycho__recent_abort(tycho__txn *txn) {
    tycho__recent *recent = txn->shared;
    if (recent == NULL) return;
    pthread_rwlock_wrlock(&recent->lock);
    while (recent->added_count > 0) recent->added[--recent->added_count]->count--;
    recent->head = recent->mark_head;
    recent->links = recent->mark_links;
    if (recent->id_count > recent->mark_ids) {
        recent->id_count = recent->mark_ids;
        memset(recent->id_index, 0, recent->id_slots * sizeof *recent->id_index);
        index_ids(recent, 0);
    }
    pthread_rwlock_unlock(&recent->lock);
}
