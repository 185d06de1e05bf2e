/* plan.c - from a tycho_read to a cursor: checks, bounds, choice of the source, sorting.
**
** All bounds become ordinals of the source, inclusive on both sides. Reads by ids, reads sorted by
** time, and the last of a limited read become an array of entries here, in one snapshot; then
** nothing is left to filter.
*/
#include <stdlib.h>

#include "cursor.h"
#include "step.h"

static const uint32_t known_flags = (TYCHO_READ_STORED << 1) - 1;

static int check_read(const tycho_read *read) {
    if (read == NULL || read->size != sizeof *read) {
        return tycho__fail(TYCHO_MISUSE, "the read has a size that this library does not know");
    }
    if ((read->flags & ~known_flags) != 0) {
        return tycho__fail(TYCHO_MISUSE, "unknown flags of a read: 0x%x", read->flags);
    }
    if (read->order > TYCHO_AS_OF) {
        return tycho__fail(TYCHO_MISUSE, "%u is no order of reading", read->order);
    }
    if ((read->flags & TYCHO_READ_FIRST) != 0 && (read->flags & TYCHO_READ_LAST) != 0) {
        return tycho__fail(TYCHO_MISUSE, "a read gives its first or its last event, not both");
    }
    bool has_revisions = (read->flags & (TYCHO_READ_FROM_REVISION | TYCHO_READ_TO_REVISION)) != 0;
    if (read->stream.size == 0 && has_revisions) {
        return tycho__fail(TYCHO_MISUSE, "revisions bound the read of a stream, not of the log");
    }
    if (read->from_revision < -1 || read->to_revision < -1) {
        return tycho__fail(
            TYCHO_MISUSE, "a revision of %lld bounds nothing",
            (long long)(read->from_revision < -1 ? read->from_revision : read->to_revision));
    }
    if ((read->flags & TYCHO_READ_BY_IDS) != 0 && read->ids == NULL && read->id_count > 0) {
        return tycho__fail(TYCHO_MISUSE, "the ids are NULL");
    }
    if (read->id_count > TYCHO_BATCH_EVENTS_MAX) {
        return tycho__fail(TYCHO_TOO_LARGE, "%zu ids, at most %d are allowed", read->id_count,
                           TYCHO_BATCH_EVENTS_MAX);
    }
    return read->stream.size == 0 ? TYCHO_OK : tycho__check_name(read->stream, "stream");
}

/* ---------------------------------------------------------------- bounds */

static void keep_above(tycho_cursor *c, uint64_t ordinal) {
    if (ordinal == UINT64_MAX) {
        c->is_done = true;
    } else if (ordinal + 1 > c->low) {
        c->low = ordinal + 1;
    }
}

static void keep_below(tycho_cursor *c, uint64_t ordinal) {
    if (ordinal == 0) {
        c->is_done = true;
    } else if (ordinal - 1 < c->high) {
        c->high = ordinal - 1;
    }
}

/* Narrows by an exclusive bound at the beginning (`is_from`) or the end of the read. */
static void narrow(tycho_cursor *c, bool is_from, uint64_t ordinal) {
    if (is_from == c->forward) {
        keep_above(c, ordinal);
    } else {
        keep_below(c, ordinal);
    }
}

static void narrow_positions(tycho_cursor *c, bool is_from, uint64_t position) {
    if (c->stream_name.size == 0) {
        narrow(c, is_from, position);
    } else if (is_from == c->forward) {
        if (position == UINT64_MAX) c->is_done = true;
        if (position + 1 > c->position_low) c->position_low = position + 1;
    } else {
        if (position == 0) c->is_done = true;
        if (position - 1 < c->position_high) c->position_high = position - 1;
    }
}

static void narrow_revisions(tycho_cursor *c, bool is_from, int64_t revision) {
    if (revision >= 0) {
        narrow(c, is_from, (uint64_t)revision);
    } else if (is_from != c->forward) {
        c->is_done = true; /* nothing is before the first */
    }
}

static void take_time_bounds(tycho_cursor *c, const tycho_read *read) {
    c->time_low = INT64_MIN;
    c->time_high = INT64_MAX;
    if ((read->flags & TYCHO_READ_FROM_TIME) != 0) c->time_low = read->from_time;
    if ((read->flags & TYCHO_READ_UNTIL_TIME) != 0) {
        if (read->until_time == INT64_MIN) c->is_done = true;
        c->time_high = read->until_time - (read->until_time > INT64_MIN ? 1 : 0);
    }
    c->has_time_bounds = (read->flags & (TYCHO_READ_FROM_TIME | TYCHO_READ_UNTIL_TIME)) != 0;
}

/* The place of an event in the order of the read. EVENT_NOT_FOUND when it is not in the stream. */
static int place_of(tycho_cursor *c, tycho__txn *txn, const tycho__list *stream, tycho_bytes id,
                    tycho__item *item) {
    tycho__id packed;
    tycho__event_view event;
    uint64_t position = 0;
    int status = tycho__check_id(id, "event id");
    if (status != TYCHO_OK) return status;
    tycho__id_pack(&packed, id);
    status = tycho__event_find(txn, &packed, &position);
    if (status == TYCHO_OK) status = tycho__event_load(txn, position, &event);
    if (status != TYCHO_OK) return status;
    item->entry.ordinal = item->entry.position = position;
    item->entry.is_link = false;
    item->time = !c->is_sorted ? 0 : c->by_valid_time ? event.valid_time : event.time;
    if (c->stream_name.size == 0) return TYCHO_OK;
    status = tycho__entry_find(txn, stream, &event, &item->entry);
    if (status != TYCHO_NOT_FOUND) return status;
    return tycho__fail(TYCHO_EVENT_NOT_FOUND, "event not found in the stream \"%.*s\": %.*s",
                       c->stream_name.size, c->stream_name.bytes, (int)id.size,
                       (const char *)id.data);
}

/* ---------------------------------------------------------------- arrays */

/* What places an event in a sorted read; INT64_MIN/0 and INT64_MAX/UINT64_MAX are beyond all. */
typedef struct edges {
    tycho__item above, below; /* exclusive; only used when set */
    bool has_above, has_below;
} edges;

static int compare_items(const void *a, const void *b) {
    const tycho__item *x = a, *y = b;
    if (x->time != y->time) return x->time < y->time ? -1 : 1;
    if (x->entry.ordinal == y->entry.ordinal) return 0;
    return x->entry.ordinal < y->entry.ordinal ? -1 : 1;
}

static int add_item(tycho_cursor *c, const tycho__item *item, size_t *capacity) {
    if (c->array_count == *capacity) {
        size_t more = *capacity == 0 ? 256 : *capacity * 2;
        tycho__item *array = realloc(c->array, more * sizeof *array);
        if (array == NULL) {
            return tycho__fail(TYCHO_NO_MEMORY, "no memory to sort %zu events", c->array_count);
        }
        c->array = array;
        *capacity = more;
    }
    c->array[c->array_count++] = *item;
    return TYCHO_OK;
}

/* Reads all that the source gives into the array. */
static int collect(tycho_cursor *c, tycho__txn *txn) {
    size_t capacity = 0;
    if (c->is_done) return TYCHO_OK;
    int status = tycho__cursor_prepare(c, txn);
    while (status == TYCHO_OK) {
        tycho__item item;
        tycho_bytes record;
        uint32_t budget = UINT32_MAX;
        status = tycho__cursor_step(c, txn, &item, &record, &budget);
        if (status == TYCHO_BUSY) {
            status = TYCHO_OK;
        } else if (status == TYCHO_OK) {
            status = add_item(c, &item, &capacity);
        }
    }
    return status == TYCHO_END ? TYCHO_OK : status;
}

/* True when an event found by its id is within all bounds and passes the filter. */
static int is_wanted(tycho_cursor *c, tycho__txn *txn, const tycho__item *item, bool *wanted) {
    tycho__event_view event;
    const tycho__entry *entry = &item->entry;
    *wanted = entry->ordinal >= c->low && entry->ordinal <= c->high &&
              entry->position >= c->position_low && entry->position <= c->position_high;
    if (!*wanted) return TYCHO_OK;
    int status = tycho__event_load(txn, entry->position, &event);
    if (status != TYCHO_OK) return status;
    int64_t time = c->by_valid_time ? event.valid_time : event.time;
    *wanted = (!c->has_time_bounds || (time >= c->time_low && time <= c->time_high)) &&
              (c->query == NULL || tycho__query_matches(c->query, &event));
    return TYCHO_OK;
}

static int collect_ids(tycho_cursor *c, tycho__txn *txn, const tycho__list *stream,
                       const tycho_read *read) {
    size_t capacity = 0;
    for (size_t i = 0; i < read->id_count && !c->is_done; i++) {
        tycho__item item;
        bool wanted = false;
        int status = place_of(c, txn, stream, read->ids[i], &item);
        if (status == TYCHO_EVENT_NOT_FOUND) continue;
        if (status == TYCHO_OK) status = is_wanted(c, txn, &item, &wanted);
        if (status == TYCHO_OK && wanted) status = add_item(c, &item, &capacity);
        if (status != TYCHO_OK) return status;
    }
    return TYCHO_OK;
}

/* Sorts the array into the order of the read, without repetitions, and cuts it at the bounds. */
static void arrange(tycho_cursor *c, const edges *bounds) {
    size_t kept = 0;
    if (c->array_count > 1) qsort(c->array, c->array_count, sizeof *c->array, compare_items);
    for (size_t i = 0; i < c->array_count; i++) {
        tycho__item *item = &c->array[i];
        if (kept > 0 && compare_items(&c->array[kept - 1], item) == 0) continue;
        if (bounds->has_above && compare_items(item, &bounds->above) <= 0) continue;
        if (bounds->has_below && compare_items(item, &bounds->below) >= 0) continue;
        c->array[kept++] = *item;
    }
    c->array_count = kept;
    for (size_t i = 0; !c->forward && i < kept / 2; i++) {
        tycho__item swapped = c->array[i];
        c->array[i] = c->array[kept - 1 - i];
        c->array[kept - 1 - i] = swapped;
    }
    c->source = TYCHO__FROM_ARRAY;
    c->is_done = false;
}

/* ---------------------------------------------------------------- opening */

static int compile_query(tycho_cursor *c, tycho__txn *txn, const tycho_query *query) {
    tycho__buffer encoded = {NULL, 0, 0};
    tycho_query *wider = NULL;
    if (query == NULL) return TYCHO_OK;
    if (c->has_hooks) c->block_rules = txn->state.rules;
    int status = tycho__cursor_widen(c, query, &wider);
    if (status == TYCHO_OK) status = tycho__query_encode(&encoded, wider != NULL ? wider : query);
    if (status == TYCHO_OK) {
        status = tycho__query_compile(txn, tycho__buffer_bytes(&encoded),
                                      (uint32_t)query->item_count, &c->query);
    }
    tycho__buffer_free(&encoded);
    free(wider);
    if (status == TYCHO_OK && tycho__query_is_everything(c->query)) {
        tycho__query_free(c->query);
        c->query = NULL;
    }
    return status;
}

/* Resolves the stream, chooses the source and the widest bounds. */
static int choose_source(tycho_cursor *c, tycho__txn *txn, const tycho_read *read,
                         tycho__list *stream) {
    bool raw = (read->flags & TYCHO_READ_RAW) != 0;
    memset(stream, 0, sizeof *stream);
    c->position_high = UINT64_MAX;
    if (read->stream.size == 0) {
        c->source = c->query != NULL ? TYCHO__FROM_QUERY : TYCHO__FROM_LOG;
        c->low = 1;
        c->high = txn->state.head;
        c->end = txn->state.head + 1;
        return TYCHO_OK;
    }
    int status = tycho__resolve(txn, read->stream, raw, &c->stream_name);
    if (status == TYCHO_OK) {
        status = tycho__list_open(txn, TYCHO__STREAM, tycho__name_bytes(&c->stream_name), stream);
    }
    if (status != TYCHO_OK) return status;
    c->source = TYCHO__FROM_STREAM;
    c->stream = stream->number;
    c->low = stream->first;
    c->high = stream->next - (stream->next > 0 ? 1 : 0);
    c->end = stream->next;
    c->is_empty = stream->number == 0 || stream->count == 0;
    c->is_done = c->is_empty;
    c->walk = malloc(sizeof *c->walk);
    return c->walk != NULL ? TYCHO_OK : tycho__fail(TYCHO_NO_MEMORY, "no memory for a cursor");
}

/* The bounds that events give. */
static int take_id_bounds(tycho_cursor *c, tycho__txn *txn, const tycho__list *stream,
                          const tycho_read *read, edges *bounds) {
    for (int i = 0; i < 2; i++) {
        bool is_from = i == 0;
        tycho_bytes id = is_from ? read->from_id : read->to_id;
        tycho__item item;
        if (id.size == 0) continue;
        int status = place_of(c, txn, stream, id, &item);
        if (status != TYCHO_OK) return status;
        if (!c->is_sorted) {
            narrow(c, is_from, item.entry.ordinal);
        } else if (is_from == c->forward) {
            bounds->above = item;
            bounds->has_above = true;
        } else {
            bounds->below = item;
            bounds->has_below = true;
        }
    }
    return TYCHO_OK;
}

static int fail_key(void) {
    return tycho__fail(TYCHO_CORRUPT, "the key to resume from is not one of this read");
}

/* Goes on behind the event that a key names. */
static int take_key(tycho_cursor *c, tycho_bytes key, edges *bounds) {
    const uint8_t *from = key.data;
    if (key.size != TYCHO__KEY_SIZE || from[0] != TYCHO__CURSOR_KEY || from[1] != c->order) {
        return fail_key();
    }
    tycho__item item = {.entry = {.ordinal = tycho__load64(from + 10)},
                        .time = (int64_t)tycho__load64(from + 18)};
    c->left = tycho__load64(from + 2);
    if (!c->is_sorted) {
        narrow(c, true, item.entry.ordinal);
        return TYCHO_OK;
    }
    tycho__item *bound = c->forward ? &bounds->above : &bounds->below;
    bool *has = c->forward ? &bounds->has_above : &bounds->has_below;
    bool is_nearer = c->forward ? compare_items(&item, bound) > 0 : compare_items(&item, bound) < 0;
    if (!*has || is_nearer) *bound = item;
    *has = true;
    return TYCHO_OK;
}

uint64_t tycho__place_name(const tycho__name *stream) {
    return stream->size == 0 ? 0 : tycho__hash(stream->bytes, stream->size, 0) | 1;
}

tycho_bytes tycho__place_encode(const tycho__place *place, uint8_t to[TYCHO_CURSOR_KEY_MAX]) {
    to[0] = TYCHO__PLACE_KEY;
    to[1] = TYCHO_BY_POSITION;
    tycho__store64(to + 2, place->left);
    tycho__store64(to + 10, place->next);
    tycho__store64(to + 18, place->passed);
    tycho__store64(to + 26, place->floor);
    tycho__store64(to + 34, place->name);
    tycho__store32(to + 42, place->stream);
    return tycho__bytes(to, TYCHO__PLACE_SIZE);
}

bool tycho__place_decode(tycho_bytes key, tycho__place *place) {
    const uint8_t *from = key.data;
    if (key.size != TYCHO__PLACE_SIZE || from == NULL) return false;
    if (from[0] != TYCHO__PLACE_KEY || from[1] != TYCHO_BY_POSITION) return false;
    *place = (tycho__place){.left = tycho__load64(from + 2),
                            .next = tycho__load64(from + 10),
                            .passed = tycho__load64(from + 18),
                            .floor = tycho__load64(from + 26),
                            .name = tycho__load64(from + 34),
                            .stream = tycho__load32(from + 42)};
    return true;
}

/* Whether a stream looks like an image of the one that was passed through: what it has in front of
** the place, or else behind it, that one has at the same revision. */
static int is_image(tycho__txn *txn, const tycho__list *stream, const tycho__place *place,
                    bool *result) {
    tycho__list old;
    tycho__entries walk;
    tycho__entry own, other;
    *result = false;
    int status = tycho__list_read(txn, TYCHO__STREAM, place->stream, &old);
    if (status == TYCHO_NOT_FOUND) return TYCHO_OK;
    if (status != TYCHO_OK || old.count == 0) return status;
    tycho__entries_begin(&walk, txn, stream);
    status = place->next == 0 ? TYCHO_END : tycho__entries_back(&walk, place->next - 1, &own);
    if (status == TYCHO_END) status = tycho__entries_from(&walk, place->next, &own);
    if (status == TYCHO_OK) {
        tycho__entries_begin(&walk, txn, &old);
        status = tycho__entries_from(&walk, own.ordinal, &other);
    }
    *result = status == TYCHO_OK && own.ordinal == other.ordinal && own.position == other.position;
    return status == TYCHO_END ? TYCHO_OK : status;
}

/* Goes on in another stream than the one that was passed through. */
static int move_over(tycho_cursor *c, tycho__txn *txn, const tycho__list *stream,
                     const tycho__place *place) {
    tycho__event_view event;
    tycho__entry entry;
    bool is_same = false;
    if (place->passed == 0) return TYCHO_OK;
    int status = tycho__event_load(txn, place->passed, &event);
    if (status == TYCHO_OK) status = tycho__entry_find(txn, stream, &event, &entry);
    if (status == TYCHO_OK) keep_above(c, entry.ordinal);
    if (status != TYCHO_NOT_FOUND && status != TYCHO_CORRUPT) return status;
    status = is_image(txn, stream, place, &is_same);
    if (is_same && place->next > c->low) c->low = place->next;
    uint64_t floor = is_same ? place->floor : place->passed;
    if (floor > 0) c->position_low = floor + 1;
    return status == TYCHO_CORRUPT ? TYCHO_OK : status;
}

/* Goes on at the place of a follower; see cursor.h. */
static int take_place(tycho_cursor *c, tycho__txn *txn, const tycho__list *stream,
                      const tycho__place *place) {
    uint64_t name = tycho__place_name(&c->stream_name);
    bool is_of_log = place->name == 0, is_in_order = c->order == TYCHO_BY_POSITION && c->forward;
    if (!is_in_order || is_of_log != (name == 0)) return fail_key();
    c->left = place->left;
    c->passed = place->passed;
    if (place->name != name) return move_over(c, txn, stream, place);
    if (place->stream != 0 && place->stream != stream->number) return TYCHO_OK;
    if (place->next > c->low) c->low = place->next;
    if (place->floor > 0) c->position_low = place->floor + 1;
    return TYCHO_OK;
}

/* The bounds that hold at the start of a read alone, or the key to go on from. A place knows them
** already, and where its stream is another now, they mean nothing. */
static int take_start(tycho_cursor *c, tycho__txn *txn, const tycho__list *stream,
                      const tycho_read *read, edges *bounds) {
    tycho_bytes key = read->resume;
    tycho__place place;
    if (key.size > 0 && key.data == NULL) return fail_key();
    if (tycho__place_decode(key, &place)) return take_place(c, txn, stream, &place);
    int status = take_id_bounds(c, txn, stream, read, bounds);
    if (status == TYCHO_OK && key.size > 0) status = take_key(c, key, bounds);
    if ((read->flags & TYCHO_READ_FROM_REVISION) != 0) {
        narrow_revisions(c, true, read->from_revision);
    }
    return status;
}

/* Only the last of a read: of an unlimited one, the first in the other direction. */
static int take_last(tycho_cursor *c) {
    tycho__item last;
    bool found = false;
    int status;
    if (c->left == UINT64_MAX && c->source != TYCHO__FROM_ARRAY) {
        c->forward = !c->forward;
        c->left = 1;
        return TYCHO_OK;
    }
    bool was_counting = c->is_counting;
    c->is_counting = true;
    while ((status = tycho__cursor_advance(c)) == TYCHO_OK) {
        last = c->last;
        found = true;
    }
    if (status != TYCHO_END) return status;
    size_t capacity = 0;
    free(c->array);
    c->array = NULL;
    c->array_count = c->array_at = 0;
    c->slot_count = c->slot_at = 0;
    c->has_last = false;
    c->is_counting = was_counting;
    c->source = TYCHO__FROM_ARRAY;
    c->left = 1;
    c->is_done = !found;
    return found ? add_item(c, &last, &capacity) : TYCHO_OK;
}

static int plan(tycho_cursor *c, tycho__txn *txn, const tycho_read *read) {
    tycho__list stream;
    edges bounds = {.has_above = false};
    int status = compile_query(c, txn, read->query);
    if (status == TYCHO_OK) status = choose_source(c, txn, read, &stream);
    if (status == TYCHO_OK) status = take_start(c, txn, &stream, read, &bounds);
    if (status != TYCHO_OK) return status;
    uint32_t flags = read->flags;
    if ((flags & TYCHO_READ_FROM_POSITION) != 0) narrow_positions(c, true, read->from_position);
    if ((flags & TYCHO_READ_TO_POSITION) != 0) narrow_positions(c, false, read->to_position);
    if ((flags & TYCHO_READ_TO_REVISION) != 0) narrow_revisions(c, false, read->to_revision);
    take_time_bounds(c, read);
    bool by_ids = (flags & TYCHO_READ_BY_IDS) != 0;
    if (by_ids) {
        status = collect_ids(c, txn, &stream, read);
    } else if (c->is_sorted) {
        status = collect(c, txn);
    }
    if (status == TYCHO_OK && (by_ids || c->is_sorted)) arrange(c, &bounds);
    return status;
}

int tycho_cursor_open(tycho_store *store, const tycho_read *read, tycho_cursor **out) {
    tycho__txn *txn;
    if (out == NULL) return tycho__fail(TYCHO_MISUSE, "no place to put the cursor");
    *out = NULL;
    int status = tycho__store_check(store);
    if (status == TYCHO_OK) status = check_read(read);
    if (status != TYCHO_OK) return status;
    if (read->snapshot != NULL && read->snapshot->store != store) {
        return tycho__fail(TYCHO_MISUSE, "the snapshot is of another store");
    }
    tycho_cursor *c = calloc(1, sizeof *c);
    if (c == NULL) return tycho__fail(TYCHO_NO_MEMORY, "no memory for a cursor");
    atomic_fetch_add(&store->children, 1);
    c->store = store;
    c->snapshot = read->snapshot;
    c->forward = (read->flags & TYCHO_READ_BACKWARD) == 0;
    c->order = (uint8_t)read->order;
    c->is_sorted = read->order != TYCHO_BY_POSITION;
    c->by_valid_time = read->order == TYCHO_AS_OF;
    c->left = read->limit == 0 ? UINT64_MAX : read->limit;
    c->has_hooks = store->hooks.hold != NULL && (read->flags & TYCHO_READ_STORED) == 0;
    status = tycho__cursor_begin(c, &txn);
    if (status == TYCHO_OK) {
        status = plan(c, txn, read);
        tycho__cursor_end(c, txn);
    }
    if (status == TYCHO_OK && (read->flags & TYCHO_READ_LAST) != 0) status = take_last(c);
    if (status == TYCHO_OK && (read->flags & TYCHO_READ_FIRST) != 0 && c->left > 1) c->left = 1;
    if (status != TYCHO_OK) {
        tycho_cursor_close(c);
        return status;
    }
    *out = c;
    return TYCHO_OK;
}

/* ---------------------------------------------------------------- counting */

/* How many entries there are without looking at them, where nothing filters or bounds. */
static int count_whole(tycho_cursor *c, uint64_t *count, bool *is_known) {
    tycho__txn *txn;
    tycho__list stream;
    bool is_bounded = c->query != NULL || c->has_time_bounds || c->position_low > 0 ||
                      c->position_high < UINT64_MAX;
    *is_known = true;
    if (c->is_done) {
        *count = 0;
        return TYCHO_OK;
    }
    if (c->source == TYCHO__FROM_ARRAY) {
        *count = c->array_count - c->array_at;
        return TYCHO_OK;
    }
    if (c->source == TYCHO__FROM_LOG && !is_bounded) {
        *count = c->high < c->low ? 0 : c->high - c->low + 1;
        return TYCHO_OK;
    }
    *is_known = false;
    if (c->source != TYCHO__FROM_STREAM || is_bounded) return TYCHO_OK;
    int status = tycho__cursor_begin(c, &txn);
    if (status != TYCHO_OK) return status;
    status = tycho__list_read(txn, TYCHO__STREAM, c->stream, &stream);
    if (status == TYCHO_OK && c->low == stream.first && c->high + 1 == stream.next) {
        *count = stream.count;
        *is_known = true;
    }
    tycho__cursor_end(c, txn);
    return status == TYCHO_NOT_FOUND ? TYCHO_OK : status;
}

static int count_in(tycho_store *store, const tycho_read *read, uint64_t *count) {
    tycho_cursor *c;
    bool is_known = false;
    int status = tycho_cursor_open(store, read, &c);
    if (status != TYCHO_OK) return status;
    c->is_counting = true;
    *count = 0;
    uint64_t limit = c->left;
    status = count_whole(c, count, &is_known);
    if (status == TYCHO_OK && is_known && *count > limit) *count = limit;
    while (status == TYCHO_OK && !is_known) {
        status = tycho__cursor_advance(c);
        if (status == TYCHO_OK) status = tycho__cursor_look(c);
        if (status == TYCHO_OK) ++*count;
    }
    tycho_cursor_close(c);
    return status == TYCHO_END ? TYCHO_OK : status;
}

int tycho_count(tycho_store *store, const tycho_read *read, uint64_t *count) {
    if (count == NULL) return tycho__fail(TYCHO_MISUSE, "no place to put the count");
    bool has_snapshot = read == NULL || read->size != sizeof *read || read->snapshot != NULL;
    if (has_snapshot) return count_in(store, read, count); /* or what it refuses */
    tycho_read at = *read;
    int status = tycho_snapshot_open(store, &at.snapshot);
    if (status == TYCHO_OK) status = count_in(store, &at, count);
    tycho_snapshot_close(at.snapshot);
    return status;
}
