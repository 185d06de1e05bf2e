/* cursor.c - moving cursors, and the views they give; see cursor.h. */
#include "cursor.h"

#include <stdlib.h>

#include "dictionary.h"

enum { FIRST_BLOCK = 16, STEPS_MAX = 8192 };

int tycho__cursor_begin(tycho_cursor *cursor, tycho__txn **txn) {
    *txn = NULL;
    int status = tycho__store_check(cursor->store);
    if (status != TYCHO_OK) return status;
    if (cursor->snapshot != NULL) {
        *txn = cursor->snapshot->txn;
        return TYCHO_OK;
    }
    return tycho__txn_read(cursor->store->env, txn);
}

void tycho__cursor_end(tycho_cursor *cursor, tycho__txn *txn) {
    if (cursor->snapshot == NULL) tycho__txn_done(txn);
}

int tycho__cursor_prepare(tycho_cursor *cursor, tycho__txn *txn) {
    cursor->walked = 0;
    cursor->ahead_count = cursor->ahead_at = 0;
    if (cursor->source == TYCHO__FROM_QUERY) return tycho__query_begin(cursor->query, txn);
    if (cursor->source != TYCHO__FROM_STREAM) return TYCHO_OK;
    tycho__list stream;
    int status = tycho__list_read(txn, TYCHO__STREAM, cursor->stream, &stream);
    if (status == TYCHO_NOT_FOUND) {
        return tycho__fail(TYCHO_CORRUPT, "the stream \"%.*s\" has a name but no row",
                           cursor->stream_name.size, cursor->stream_name.bytes);
    }
    if (status != TYCHO_OK) return status;
    if ((stream.flags & TYCHO__LIST_DELETED) != 0) cursor->is_done = true; /* since we began */
    tycho__entries_begin(cursor->walk, txn, &stream);
    return TYCHO_OK;
}

/* ---------------------------------------------------------------- stepping */

/* The next entry of the source, whatever the filter says. */
static int next_entry(tycho_cursor *c, tycho__entry *entry) {
    if (c->low > c->high) return TYCHO_END;
    uint64_t at = c->forward ? c->low : c->high, found = at;
    int status = TYCHO_OK;
    if (c->source == TYCHO__FROM_STREAM) {
        status = c->forward ? tycho__entries_from(c->walk, at, entry)
                            : tycho__entries_back(c->walk, at, entry);
    } else {
        if (c->source == TYCHO__FROM_QUERY && c->ahead_at < c->ahead_count) {
            found = c->ahead[c->ahead_at];
        } else if (c->source == TYCHO__FROM_QUERY) {
            status = c->forward ? tycho__query_from(c->query, at, &found)
                                : tycho__query_back(c->query, at, &found);
        }
        entry->ordinal = entry->position = found;
        entry->is_link = false;
    }
    if (status != TYCHO_OK) return status;
    if (entry->ordinal < c->low || entry->ordinal > c->high) return TYCHO_END;
    if (c->forward) {
        c->low = entry->ordinal + 1;
    } else if (entry->ordinal == 0) {
        c->high = 0;
        c->low = 1; /* nothing is left */
    } else {
        c->high = entry->ordinal - 1;
    }
    return TYCHO_OK;
}

/* Asks for the same place of the next page, which in an appended log has the next records: the
** hardware does not look beyond pages (measured: scans are 1.8 times as fast). */
static void prefetch_behind(const tycho_bytes *record) {
    enum { PAGE = 4096, LINE = 64, MOST = 1024 };
    uintptr_t ahead = (uintptr_t)record->data + PAGE;
    size_t size = record->size < MOST ? record->size : MOST;
    for (size_t i = 0; i < size; i += LINE) __builtin_prefetch((const void *)(ahead + i));
}

/* How many records can be found together: what the block and the limit have room for, and what
** there is room for while all are collected. */
static uint32_t most_ahead(const tycho_cursor *c) {
    uint64_t most = c->block_events - c->slot_count;
    if (c->block_events == 0) return TYCHO__AHEAD;
    if (c->left - c->slot_count < most) most = c->left - c->slot_count;
    return most < TYCHO__AHEAD ? (uint32_t)most : TYCHO__AHEAD;
}

/* Finds the record at `position` together with those that come behind it, unless they lie next to
** each other. */
static void look_ahead(tycho_cursor *c, tycho__txn *txn, uint64_t position) {
    uint64_t from = c->forward ? c->low : c->high;
    uint32_t most = most_ahead(c), count = 1;
    c->ahead[0] = position;
    c->ahead_count = c->ahead_at = 0;
    if (most < 2) return;
    if (c->source == TYCHO__FROM_ARRAY) {
        for (size_t i = c->array_at; i < c->array_count && count < most; i++) {
            c->ahead[count++] = c->array[i].entry.position;
        }
    } else if (c->low <= c->high && c->source == TYCHO__FROM_STREAM) {
        count += tycho__entries_ahead(c->walk, from, c->forward, c->ahead + 1, most - 1);
    } else if (c->low <= c->high && c->source == TYCHO__FROM_QUERY) {
        count += tycho__query_ahead(c->query, c->forward, from, c->ahead + 1, most - 1);
    }
    c->ahead_count = count;
    bool is_run = c->ahead[count - 1] - position == count - 1;
    if (is_run) {
        memset(c->ahead_nodes, 0, count * sizeof c->ahead_nodes[0]);
    } else {
        tycho__events_ahead(txn, c->ahead, count, c->ahead_nodes);
    }
}

static inline int fetch(tycho_cursor *c, tycho__txn *txn, uint64_t position, tycho_bytes *record) {
    bool is_walk = c->walked != 0 && c->walked + 1 == position;
    while (c->ahead_at < c->ahead_count && c->ahead[c->ahead_at] != position) c->ahead_at++;
    if (!is_walk && c->ahead_at == c->ahead_count) look_ahead(c, txn, position);
    if (c->ahead_at < c->ahead_count) {
        const uint8_t *node = c->ahead_nodes[c->ahead_at++];
        if (node != NULL && tycho__ahead_record(node, position, record)) return TYCHO_OK;
    }
    bool is_next = is_walk && tycho__event_behind(txn, position, record);
    int status = is_next ? TYCHO_OK : tycho__get_event(txn, position, record);
    c->walked = status == TYCHO_OK ? position : 0;
    if (status == TYCHO_OK && is_walk) prefetch_behind(record);
    if (status != TYCHO_NOT_FOUND) return status;
    return tycho__fail(TYCHO_CORRUPT, "the log has no record at position %llu",
                       (unsigned long long)position);
}

static bool passes(const tycho_cursor *c, const tycho__event_view *event) {
    int64_t time = c->by_valid_time ? event->valid_time : event->time;
    if (c->has_time_bounds && (time < c->time_low || time > c->time_high)) return false;
    return c->query == NULL || tycho__query_matches(c->query, event);
}

static int step_array(tycho_cursor *c, tycho__txn *txn, tycho__item *item, tycho_bytes *record) {
    if (c->array_at == c->array_count) return TYCHO_END;
    *item = c->array[c->array_at++];
    if (c->is_counting) return TYCHO_OK;
    int status = fetch(c, txn, item->entry.position, record);
    return status == TYCHO_OK ? tycho__record_check(*record, item->entry.position) : status;
}

int tycho__cursor_step(tycho_cursor *c, tycho__txn *txn, tycho__item *item, tycho_bytes *record,
                       uint32_t *budget) {
    if (c->is_done) return TYCHO_END;
    if (c->source == TYCHO__FROM_ARRAY) return step_array(c, txn, item, record);
    bool has_filter = c->query != NULL || c->has_time_bounds || c->is_sorted;
    for (; *budget > 0; --*budget) {
        int status = next_entry(c, &item->entry);
        if (status != TYCHO_OK) return status;
        uint64_t position = item->entry.position;
        if (position < c->position_low || position > c->position_high) continue;
        item->time = 0;
        if (c->is_counting && !has_filter) return TYCHO_OK;
        status = fetch(c, txn, position, record);
        if (status == TYCHO_OK) status = tycho__record_check(*record, position);
        if (status != TYCHO_OK || !has_filter) return status;
        tycho__event_view event;
        status = tycho__record_parse(*record, &event);
        if (status != TYCHO_OK) return status;
        item->time = c->by_valid_time ? event.valid_time : event.time;
        if (passes(c, &event)) return TYCHO_OK;
    }
    return TYCHO_BUSY;
}

/* ---------------------------------------------------------------- blocks */

static int append_name(tycho_cursor *c, tycho__txn *txn, uint8_t kind, uint32_t number,
                       uint8_t *size) {
    tycho__list list;
    int status = tycho__list_read(txn, kind, number, &list);
    if (status == TYCHO_NOT_FOUND) {
        return tycho__fail(TYCHO_CORRUPT, "name %u of kind %u is not there", number, kind);
    }
    if (status != TYCHO_OK) return status;
    *size = (uint8_t)list.name.size;
    return tycho__buffer_append(&c->block, list.name.data, list.name.size);
}

/* The name of a type from the cache of the process, which is filled on the way. */
static const tycho__type_name *cached_type(tycho__txn *txn, uint32_t number) {
    if (number >= TYCHO__TYPE_CACHE) return NULL;
    _Atomic(tycho__type_name *) *place = &txn->env->type_names[number];
    tycho__type_name *name = atomic_load_explicit(place, memory_order_acquire);
    if (name != NULL) return name;
    tycho__list list;
    if (tycho__list_read(txn, TYCHO__TYPE, number, &list) != TYCHO_OK) return NULL;
    name = malloc(sizeof *name + list.name.size);
    if (name == NULL) return NULL;
    name->size = (uint8_t)list.name.size;
    tycho__copy(name->bytes, list.name);
    tycho__type_name *other = NULL;
    if (atomic_compare_exchange_strong(place, &other, name)) return name;
    free(name);
    return other;
}

/* Copies the names of a record in the block, those that are not cached, behind it. */
static int copy_names(tycho_cursor *c, tycho__txn *txn, uint32_t type, tycho__slot *slot) {
    int status = TYCHO_OK;
    if (slot->type == NULL) status = append_name(c, txn, TYCHO__TYPE, type, &slot->type_size);
    tycho_bytes record = {c->block.data + slot->offset, slot->size};
    uint16_t flags = tycho__load16((const uint8_t *)record.data + 44);
    if ((flags & (TYCHO__CONTENT_TYPE | TYCHO__COMPRESSED)) == 0) return status;
    tycho__event_view view;
    if (status == TYCHO_OK) status = tycho__record_parse(record, &view);
    if (status == TYCHO_OK) status = tycho__dictionary_need(txn, &view);
    if (status == TYCHO_OK && (flags & TYCHO__CONTENT_TYPE) != 0) {
        status = append_name(c, txn, TYCHO__CONTENT, view.content_type_number,
                             &slot->content_type_size);
    }
    return status;
}

/* Copies a record, and the names that are not cached, into the block. */
static int copy_record(tycho_cursor *c, tycho__txn *txn, tycho_bytes record, tycho__slot *slot) {
    uint32_t type = tycho__load32((const uint8_t *)record.data + 36);
    uint16_t flags = tycho__load16((const uint8_t *)record.data + 44);
    slot->offset = c->block.size;
    slot->size = record.size;
    int status = tycho__buffer_append(&c->block, record.data, record.size);
    slot->type = cached_type(txn, type);
    slot->type_size = slot->content_type_size = 0;
    slot->type_offset = c->block.size;
    bool has_names = slot->type == NULL || (flags & (TYCHO__CONTENT_TYPE | TYCHO__COMPRESSED)) != 0;
    return status == TYCHO_OK && has_names ? copy_names(c, txn, type, slot) : status;
}

/* Fills one slot. TYCHO_OK also for a damaged record, which the slot then says. What fails for a
** passing reason leaves the cursor before the event; damage that it cannot pass ends the read. */
static int fill_slot(tycho_cursor *c, tycho__txn *txn, tycho__slot *slot, uint32_t *budget) {
    uint64_t low = c->low, high = c->high;
    size_t array_at = c->array_at, size = c->block.size;
    tycho_bytes record = {NULL, 0};
    slot->status = tycho__cursor_step(c, txn, &slot->item, &record, budget);
    if (slot->status == TYCHO_OK && !c->is_counting) {
        slot->status = copy_record(c, txn, record, slot);
    }
    if (slot->status == TYCHO_OK || slot->status == TYCHO_END || slot->status == TYCHO_BUSY) {
        return slot->status;
    }
    c->block.size = size;
    bool has_moved = low != c->low || high != c->high || array_at != c->array_at;
    if (slot->status == TYCHO_CORRUPT && has_moved) return TYCHO_OK;
    if (slot->status == TYCHO_CORRUPT) {
        c->is_cut_off = true;
        return TYCHO_END;
    }
    c->low = low;
    c->high = high;
    c->array_at = array_at;
    return slot->status;
}

static inline bool has_room(const tycho_cursor *c) {
    return c->slot_count < c->block_events && c->slot_count < c->left &&
           c->block.size < TYCHO__BLOCK_BYTES;
}

/* Fills slots with the records that lie behind the last one in its page, for a read of the log that
** asks for nothing else, at half the cost of fill_slot(). What fails is left to that. */
static void fill_run(tycho_cursor *c, tycho__txn *txn) {
    tycho_bytes record;
    while (c->low <= c->high && has_room(c) && tycho__event_behind(txn, c->low, &record)) {
        tycho__slot *slot = &c->slots[c->slot_count];
        size_t size = c->block.size;
        prefetch_behind(&record);
        slot->status = tycho__record_check(record, c->low);
        if (slot->status == TYCHO_OK) slot->status = copy_record(c, txn, record, slot);
        if (slot->status != TYCHO_OK) {
            c->block.size = size;
            c->walked = 0;
            return;
        }
        tycho__item item = {.entry = {.ordinal = c->low, .position = c->low}};
        slot->item = item;
        c->walked = c->low++;
        c->slot_count++;
    }
}

static int fill_block(tycho_cursor *c, tycho__txn *txn) {
    uint32_t budget = STEPS_MAX;
    bool is_plain = c->source == TYCHO__FROM_LOG && c->forward && c->query == NULL &&
                    !c->has_time_bounds && !c->is_sorted && !c->is_counting &&
                    c->position_low == 0 && c->position_high == UINT64_MAX;
    c->slot_count = c->slot_at = 0;
    c->block.size = 0;
    if (c->has_hooks) c->block_rules = txn->state.rules;
    int status = tycho__cursor_prepare(c, txn);
    while (status == TYCHO_OK && has_room(c)) {
        status = fill_slot(c, txn, &c->slots[c->slot_count], &budget);
        if (status == TYCHO_OK) c->slot_count++;
        if (is_plain && c->walked != 0) fill_run(c, txn);
    }
    if (status == TYCHO_END) c->is_done = true;
    if (c->block_events < TYCHO__BLOCK_EVENTS) c->block_events *= 4;
    bool is_served_first = c->slot_count > 0; /* the failure comes again */
    bool is_answer = status == TYCHO_END || status == TYCHO_BUSY || is_served_first;
    return is_answer ? TYCHO_OK : status;
}

static int grow_slots(tycho_cursor *c) {
    if (c->block_events == 0) c->block_events = FIRST_BLOCK;
    if (c->block_events > TYCHO__BLOCK_EVENTS) c->block_events = TYCHO__BLOCK_EVENTS;
    tycho__slot *slots = realloc(c->slots, c->block_events * sizeof *slots);
    if (slots == NULL) return tycho__fail(TYCHO_NO_MEMORY, "no memory for a cursor");
    c->slots = slots;
    return TYCHO_OK;
}

/* Fills blocks until there is one that has something. */
static int go_on(tycho_cursor *c) {
    while (c->slot_at == c->slot_count) {
        tycho__txn *txn;
        if (c->left == 0) return TYCHO_END;
        if (c->is_done && c->is_cut_off) {
            c->is_cut_off = false; /* told once, then it is over */
            return tycho__fail(TYCHO_CORRUPT, "the list of entries that is read is damaged; `tycho "
                                              "verify` tells what is hurt");
        }
        if (c->is_done) return TYCHO_END;
        int status = grow_slots(c);
        if (status == TYCHO_OK) status = tycho__cursor_begin(c, &txn);
        if (status != TYCHO_OK) return status;
        status = fill_block(c, txn);
        tycho__cursor_end(c, txn);
        if (status != TYCHO_OK) return status;
    }
    return TYCHO_OK;
}

static inline int advance(tycho_cursor *c) {
    int status = c->slot_at == c->slot_count ? go_on(c) : TYCHO_OK;
    if (status == TYCHO_OK && c->block_rules != c->rules && !c->is_counting) {
        status = tycho__cursor_hold(c); /* when it fails, the block stays */
    }
    if (status != TYCHO_OK) return status;
    c->last = c->slots[c->slot_at++].item;
    c->has_last = true;
    if (c->left != UINT64_MAX) c->left--;
    return TYCHO_OK;
}

int tycho__cursor_advance(tycho_cursor *c) {
    return advance(c);
}

/* ---------------------------------------------------------------- views */

static tycho_bytes id_text(tycho_bytes packed, bool is_uuid, char *text) {
    if (!is_uuid) return packed;
    tycho__uuid_unpack(text, packed.data);
    return tycho__bytes(text, TYCHO_UUID_SIZE);
}

/* What is in the record, as views of it and of `ids`, unless that is NULL. */
static void give_content(const tycho__event_view *view, char (*ids)[TYCHO_UUID_SIZE],
                         tycho_event *event) {
    event->written = view->written;
    event->time = view->time;
    event->valid_time = view->valid_time;
    event->compressed = tycho__bytes(NULL, 0);
    event->metadata = view->metadata;
    event->data = view->data;
    event->tag_count = view->tag_count;
    if (ids == NULL) return;
    event->id = id_text(view->id, (view->flags & TYCHO__UUID_ID) != 0, ids[0]);
    event->correlation_id =
        id_text(view->correlation_id, (view->flags & TYCHO__UUID_CORRELATION) != 0, ids[1]);
    event->causation_id =
        id_text(view->causation_id, (view->flags & TYCHO__UUID_CAUSATION) != 0, ids[2]);
}

static inline tycho_bytes record_of(const tycho_cursor *c, const tycho__slot *slot) {
    return tycho__bytes(c->block.data + slot->offset, slot->size);
}

/* What is not in it. */
static inline void give_place(const tycho_cursor *c, const tycho__slot *slot, tycho_event *event) {
    const uint8_t *names = c->block.data + slot->type_offset;
    event->position = slot->item.entry.position;
    event->revision = c->stream != 0 ? (int64_t)slot->item.entry.ordinal
                                     : tycho__record_revision(c->block.data + slot->offset);
    event->type = slot->type != NULL ? tycho__bytes(slot->type->bytes, slot->type->size)
                                     : tycho__bytes(names, slot->type_size);
    event->content_type = tycho__bytes(names + slot->type_size, slot->content_type_size);
    event->packed = tycho__bytes(NULL, 0);
    event->is_link = slot->item.entry.is_link ? 1 : 0;
}

int tycho__cursor_look(const tycho_cursor *c) {
    const tycho__slot *slot = &c->slots[c->slot_at - 1];
    if (slot->status == TYCHO_OK) return TYCHO_OK;
    return tycho__fail(slot->status,
                       "the record at position %llu is damaged; `tycho verify` tells what is hurt",
                       (unsigned long long)slot->item.entry.position);
}

/* Moves on, to a sound record. */
static inline int move(tycho_cursor *c, const tycho_event *event) {
    if (c == NULL || event == NULL) return tycho__fail(TYCHO_MISUSE, "the cursor is NULL");
    int status = advance(c);
    c->is_viewed = false;
    if (status != TYCHO_OK) return status;
    return c->slots[c->slot_at - 1].status == TYCHO_OK ? TYCHO_OK : tycho__cursor_look(c);
}

static const tycho__slot *current(const tycho_cursor *c) {
    const tycho__slot *slot = c == NULL || c->slot_at == 0 ? NULL : &c->slots[c->slot_at - 1];
    return slot != NULL && slot->status == TYCHO_OK ? slot : NULL;
}

/* Looks into the current record. */
static int view(tycho_cursor *c) {
    const tycho__slot *slot = current(c);
    if (slot == NULL) return tycho__fail(TYCHO_MISUSE, "the cursor is not on an event");
    if (c->is_viewed) return TYCHO_OK;
    int status = tycho__record_parse(record_of(c, slot), &c->view);
    c->is_viewed = status == TYCHO_OK;
    return status;
}

/* Gives the event to which it was moved. */
static int give(tycho_cursor *c, tycho_event *event) {
    int status = view(c);
    if (status == TYCHO_OK) status = tycho__decompress(c->store->env, &c->view, &c->payload);
    if (status != TYCHO_OK) return status;
    give_place(c, current(c), event);
    give_content(&c->view, c->ids, event);
    return c->held == NULL ? TYCHO_OK : c->store->hooks.read(c->held, c, event);
}

int tycho_cursor_next(tycho_cursor *c, tycho_event *event) {
    int status = move(c, event);
    return status == TYCHO_OK ? give(c, event) : status;
}

int tycho_cursor_next_packed(tycho_cursor *c, tycho_event *event) {
    int status = move(c, event);
    if (status != TYCHO_OK) return status;
    if (c->held != NULL) {
        status = give(c, event);
        return status == TYCHO_OK ? tycho_cursor_pack(c, event) : status;
    }
    const tycho__slot *slot = &c->slots[c->slot_at - 1];
    give_place(c, slot, event);
    event->packed = record_of(c, slot);
    return tycho__record_look(event->packed);
}

int tycho_cursor_pack(tycho_cursor *c, tycho_event *event) {
    int status = event == NULL ? tycho__fail(TYCHO_MISUSE, "the event is NULL") : view(c);
    if (status != TYCHO_OK) return status;
    event->packed = record_of(c, current(c));
    bool is_as_stored = (c->view.flags & TYCHO__COMPRESSED) == 0 &&
                        event->metadata.data == c->view.metadata.data &&
                        event->data.data == c->view.data.data;
    if (is_as_stored) return TYCHO_OK;
    status = tycho__record_alter(&c->packed, &c->view, event->packed, event->metadata, event->data);
    event->packed = tycho__buffer_bytes(&c->packed);
    return status;
}

int tycho_event_unpack(tycho_event *event, char ids[3][TYCHO_UUID_SIZE]) {
    tycho__event_view stored;
    uint32_t number;
    size_t size;
    if (event == NULL || event->packed.size < TYCHO__RECORD_FIXED) {
        return tycho__fail(TYCHO_MISUSE, "no event, or one that is not packed");
    }
    int status = tycho__record_parse(event->packed, &stored);
    if (status != TYCHO_OK) return status;
    give_content(&stored, ids, event);
    if ((stored.flags & TYCHO__COMPRESSED) == 0) return TYCHO_OK;
    status = tycho__compressed_facts(&stored, &number, &size);
    if (status != TYCHO_OK) return status;
    event->compressed = stored.frame;
    event->metadata = tycho__bytes(NULL, stored.metadata_size);
    event->data = tycho__bytes(NULL, size - stored.metadata_size);
    return TYCHO_OK;
}

int tycho_decompress(tycho_store *store, const tycho_event *event, void *to) {
    int status = tycho__store_check(store);
    if (status != TYCHO_OK) return status;
    if (event == NULL || to == NULL || event->compressed.size == 0) {
        return tycho__fail(TYCHO_MISUSE, "no compressed event, or no place to put its data");
    }
    const tycho__event_view view = {.flags = TYCHO__COMPRESSED,
                                    .position = event->position,
                                    .metadata_size = (uint32_t)event->metadata.size,
                                    .frame = event->compressed};
    return tycho__decompress_to(store->env, &view, event->metadata.size + event->data.size, to);
}

static int look_up(tycho_cursor *c, uint8_t kind, uint32_t number, tycho_bytes *name) {
    tycho__txn *txn;
    tycho__list list;
    int status = tycho__cursor_begin(c, &txn);
    if (status != TYCHO_OK) return status;
    status = tycho__list_read(txn, kind, number, &list);
    if (status == TYCHO_OK) {
        c->looked_up.size = (uint8_t)list.name.size;
        tycho__copy(c->looked_up.bytes, list.name);
    } else if (status == TYCHO_NOT_FOUND) {
        status = tycho__fail(TYCHO_CORRUPT, "name %u of kind %u is not there", number, kind);
    }
    tycho__cursor_end(c, txn);
    *name = tycho__name_bytes(&c->looked_up);
    return status;
}

int tycho_cursor_stream(tycho_cursor *c, tycho_bytes *stream) {
    int status = view(c);
    if (status != TYCHO_OK) return status;
    *stream = tycho__bytes(NULL, 0);
    if (c->view.stream == 0) return TYCHO_OK;
    if (c->view.stream == c->stream) {
        *stream = tycho__name_bytes(&c->stream_name);
        return TYCHO_OK;
    }
    return look_up(c, TYCHO__STREAM, c->view.stream, stream);
}

int tycho_cursor_tag(tycho_cursor *c, uint32_t index, tycho_bytes *tag) {
    int status = view(c);
    if (status != TYCHO_OK) return status;
    if (index >= c->view.tag_count) {
        return tycho__fail(TYCHO_MISUSE, "the cursor is not on an event with tag %u", index);
    }
    return look_up(c, TYCHO__TAG, tycho__record_tag(&c->view, index), tag);
}

int tycho_cursor_key(tycho_cursor *c, tycho_bytes *key) {
    if (c == NULL || key == NULL || !c->has_last) {
        return tycho__fail(TYCHO_MISUSE, "the cursor was on no event yet");
    }
    c->key[0] = TYCHO__CURSOR_KEY;
    c->key[1] = c->order;
    tycho__store64(c->key + 2, c->left);
    tycho__store64(c->key + 10, c->last.entry.ordinal);
    tycho__store64(c->key + 18, (uint64_t)c->last.time);
    *key = tycho__bytes(c->key, TYCHO__KEY_SIZE);
    return TYCHO_OK;
}

void tycho_cursor_close(tycho_cursor *c) {
    if (c == NULL) return;
    atomic_fetch_sub(&c->store->children, 1);
    tycho__cursor_release(c);
    tycho__query_free(c->query);
    tycho__buffer_free(&c->block);
    tycho__buffer_free(&c->room);
    tycho__buffer_free(&c->payload);
    tycho__buffer_free(&c->packed);
    free(c->walk);
    free(c->array);
    free(c->slots);
    free(c);
}
