/* events.c - appending and overwriting event records, and recognising a batch that was applied
** before. Where an event goes is said in record.h; what it enters: ids, its stream's list, the list
** of its type, and the list of each of its tags (all but the log by way of recent.h).
*/
#include "apply.h"
#include "settle.h"

static int refuse_known(tycho__txn *txn, tycho_batch *batch, const tycho__event_view *event) {
    tycho__id id = {.size = (uint8_t)event->id.size,
                    .is_uuid = (event->flags & TYCHO__UUID_ID) != 0};
    tycho__event_view known;
    tycho__list home;
    uint64_t position = 0;
    tycho__copy(id.bytes, event->id);
    tycho__batch_set_event(batch, event->id, id.is_uuid);
    int status = tycho__event_find(txn, &id, &position);
    if (status == TYCHO_OK) status = tycho__event_load(txn, position, &known);
    if (status == TYCHO_OK && known.stream != 0) {
        status = tycho__list_read(txn, TYCHO__STREAM, known.stream, &home);
        if (status == TYCHO_OK) tycho__batch_set_stream(batch, home.name);
    }
    if (status != TYCHO_OK && status != TYCHO_NOT_FOUND) return status;
    batch->receipt.actual = (int64_t)position;
    return tycho__fail(TYCHO_DUPLICATE_EVENT,
                       "the event %.*s is there already, at position %llu of "
                       "the log and in the stream \"%.*s\"",
                       (int)batch->receipt.event_id.size,
                       (const char *)batch->receipt.event_id.data, (unsigned long long)position,
                       (int)batch->receipt.stream.size, (const char *)batch->receipt.stream.data);
}

/* TYCHO_DUPLICATE_EVENT, without a sentence, when the id is known. */
static int check_id(tycho__txn *txn, const tycho__event_view *event) {
    uint64_t position;
    bool is_uuid = (event->flags & TYCHO__UUID_ID) != 0;
    int status = tycho__id_look_up(txn, event->id, is_uuid, &position);
    if (status == TYCHO_OK) return TYCHO_DUPLICATE_EVENT;
    return status == TYCHO_NOT_FOUND ? TYCHO_OK : status;
}

/* Counts the event in the list of a type or tag. */
static int count_in(tycho__txn *txn, uint8_t kind, tycho_bytes name, uint64_t position,
                    tycho__recent_item *item) {
    tycho__list *list;
    int status = tycho__list_make(txn, kind, name, &list);
    if (status == TYCHO_OK) tycho__list_append(list, position, item);
    return status;
}

static int intern_content_type(tycho__txn *txn, tycho__event_view *event) {
    tycho__list *name;
    event->content_type_number = 0;
    if (event->content_type.size == 0) return TYCHO_OK;
    int status = tycho__list_make(txn, TYCHO__CONTENT, event->content_type, &name);
    if (status == TYCHO_OK) event->content_type_number = name->number;
    return status;
}

/* Enters the event into its lists and its id, and gives it its numbers. */
static int enter_lists(tycho__txn *txn, tycho__list *stream, tycho__event_view *event,
                       uint32_t *tags) {
    tycho__recent_item items[TYCHO_TAGS_MAX + 2];
    uint32_t count = 0;
    txn->is_changed = true; /* lists in memory count the event from here on */
    int status = count_in(txn, TYCHO__TYPE, event->type, event->position, &items[count++]);
    if (status == TYCHO_OK) status = intern_content_type(txn, event);
    tycho__reader names = tycho__reader_of(event->tags);
    for (uint8_t i = 0; i < event->tag_count && status == TYCHO_OK; i++) {
        tycho_bytes tag = tycho__tag_next(&names);
        status = count_in(txn, TYCHO__TAG, tag, event->position, &items[count++]);
        if (status == TYCHO_OK) tags[i] = items[count - 1].list->number;
    }
    if (status != TYCHO_OK) return status;
    event->type_number = items[0].list->number;
    if (stream != NULL) {
        if (stream->count == 0) txn->state.streams++;
        txn->state.entries++;
        tycho__list_append(stream, event->position, &items[count++]);
    }
    return tycho__recent_put_event(txn, items, count, event);
}

static int append_event(tycho__txn *txn, tycho_batch *batch, tycho__list *stream,
                        tycho__event_view *event) {
    uint32_t tags[TYCHO_TAGS_MAX];
    uint8_t *to;
    event->position = txn->state.head + 1;
    event->stream = stream == NULL ? 0 : stream->number;
    event->revision = stream == NULL ? -1 : (int64_t)stream->next;
    int status = check_id(txn, event);
    if (status == TYCHO_DUPLICATE_EVENT) return refuse_known(txn, batch, event);
    if (status == TYCHO_OK) status = enter_lists(txn, stream, event, tags);
    if (status == TYCHO_OK) status = tycho__compress(txn, event);
    if (status == TYCHO_OK) {
        status = tycho__append(txn, event->position, tycho__record_size(event), &to);
    }
    if (status != TYCHO_OK) return status;
    tycho__record_write(to, event, tags);
    txn->state.recent_size += tycho__record_size(event);
    txn->state.head++;
    return TYCHO_OK;
}

int tycho__append_apply(tycho__txn *txn, tycho_batch *batch, const tycho__step *step,
                        tycho_result *result) {
    tycho__reader events = tycho__reader_of(step->list);
    tycho__list *stream = NULL;
    int status = TYCHO_OK;
    if (step->name.size > 0) {
        status = tycho__stream_make(txn, batch, step->name, step->flags, &stream);
    }
    if (status != TYCHO_OK) return status;
    result->first_position = txn->state.head + 1;
    if (stream != NULL) result->first_revision = (int64_t)stream->next;
    for (uint32_t i = 0; i < step->count && status == TYCHO_OK; i++) {
        tycho__event_view event;
        status = tycho__event_decode(&events, &event);
        if (status == TYCHO_OK) status = append_event(txn, batch, stream, &event);
    }
    result->count = step->count;
    return status;
}

/* ---------------------------------------------------------------- overwriting */

/* What the old record keeps moves into the new event; its tags are copied out. */
static void keep_fields(tycho__event_view *event, const tycho__event_view *old, uint32_t *tags) {
    const uint16_t replaced = TYCHO__VALID_TIME | TYCHO__CONTENT_TYPE | TYCHO__COMPRESSED;
    event->position = old->position;
    event->written = old->written;
    event->revision = old->revision;
    event->stream = old->stream;
    event->time = old->time;
    bool has_valid_time = (event->flags & TYCHO__VALID_TIME) != 0;
    if (!has_valid_time) event->valid_time = old->valid_time;
    event->flags = (uint16_t)((event->flags & replaced) | (old->flags & ~replaced));
    if (!has_valid_time) event->flags |= old->flags & TYCHO__VALID_TIME;
    event->tag_count = old->tag_count;
    for (uint32_t i = 0; i < old->tag_count; i++) tags[i] = tycho__record_tag(old, i);
}

/* Scripts must know under which of their versions the data was written: those of an event that is
** appended now. A store without scripts has one version of everything. */
static void note_written(const tycho__txn *txn, tycho__event_view *event) {
    if (txn->state.rules == 0) return;
    event->flags |= TYCHO__WRITTEN;
    event->written = txn->state.head + 1;
}

/* The body of the new record: ids of the old one, metadata and data of the new event. */
static int join_body(tycho__event_view *event, const tycho__event_view *old, tycho__buffer *body) {
    size_t ids = old->id.size + old->correlation_id.size + old->causation_id.size;
    size_t payload = event->metadata.size + event->data.size;
    body->size = 0;
    int status = tycho__buffer_reserve(body, ids + payload);
    if (status != TYCHO_OK) return status;
    tycho__write(body, old->id.data, ids); /* the three lie behind each other */
    tycho__write(body, event->metadata.data, payload);
    event->id.size = old->id.size;
    event->correlation_id.size = old->correlation_id.size;
    event->causation_id.size = old->causation_id.size;
    event->body = tycho__buffer_bytes(body);
    return TYCHO_OK;
}

/* Moves the event from the list of its old type to that of its new one. */
static int change_type(tycho__txn *txn, tycho__event_view *event, uint32_t old_type) {
    tycho__list *from, *to;
    int status = tycho__list_make(txn, TYCHO__TYPE, event->type, &to);
    if (status != TYCHO_OK) return status;
    event->type_number = to->number;
    if (to->number == old_type) return TYCHO_OK;
    status = tycho__settle(txn);
    if (status == TYCHO_OK) status = tycho__list_edit(txn, TYCHO__TYPE, to->number, &to);
    if (status == TYCHO_OK) status = tycho__list_edit(txn, TYCHO__TYPE, old_type, &from);
    if (status == TYCHO_OK) status = tycho__list_remove(txn, from, event->position);
    return status == TYCHO_OK ? tycho__list_insert(txn, to, event->position) : status;
}

static int overwrite_event(tycho__txn *txn, tycho_batch *batch, tycho__event_view *event,
                           tycho__buffer *body) {
    tycho__id id = {.size = (uint8_t)event->id.size,
                    .is_uuid = (event->flags & TYCHO__UUID_ID) != 0};
    tycho__event_view old;
    uint32_t tags[TYCHO_TAGS_MAX];
    uint64_t position = 0;
    uint8_t *to;
    tycho__copy(id.bytes, event->id);
    int status = tycho__event_find(txn, &id, &position);
    if (status == TYCHO_EVENT_NOT_FOUND) tycho__batch_set_event(batch, event->id, id.is_uuid);
    if (status == TYCHO_OK) status = tycho__event_load(txn, position, &old);
    if (status != TYCHO_OK) return status;
    keep_fields(event, &old, tags);
    note_written(txn, event);
    uint32_t old_type = old.type_number;
    status = join_body(event, &old, body); /* the last use of the old record */
    if (status == TYCHO_OK) status = change_type(txn, event, old_type);
    if (status == TYCHO_OK) status = intern_content_type(txn, event);
    if (status == TYCHO_OK) status = tycho__compress(txn, event);
    if (status == TYCHO_OK) {
        status = tycho__put_event(txn, position, tycho__record_size(event), &to);
    }
    if (status == TYCHO_OK) tycho__record_write(to, event, tags);
    return status;
}

int tycho__overwrite_apply(tycho__txn *txn, tycho_batch *batch, const tycho__step *step,
                           tycho_result *result) {
    tycho__reader events = tycho__reader_of(step->list);
    tycho__buffer body = {NULL, 0, 0};
    int status = TYCHO_OK;
    for (uint32_t i = 0; i < step->count && status == TYCHO_OK; i++) {
        tycho__event_view event;
        status = tycho__event_decode(&events, &event);
        if (status == TYCHO_OK) status = overwrite_event(txn, batch, &event, &body);
    }
    tycho__buffer_free(&body);
    result->count = step->count;
    return status;
}

/* ---------------------------------------------------------------- idempotence */

static int is_named(tycho__txn *txn, uint8_t kind, uint32_t number, tycho_bytes name) {
    tycho__list list;
    if (number == 0) return name.size == 0 ? TYCHO_OK : TYCHO_NOT_FOUND;
    int status = tycho__list_read(txn, kind, number, &list);
    if (status != TYCHO_OK) return status;
    return tycho__equal(list.name, name) ? TYCHO_OK : TYCHO_NOT_FOUND;
}

/* Whether ids, metadata and data are the same. */
static int compare_body(tycho__txn *txn, const tycho__event_view *stored,
                        const tycho__event_view *event) {
    tycho__event_view plain = *stored;
    tycho__buffer room = {NULL, 0, 0};
    if (stored->metadata_size != event->metadata_size) return TYCHO_NOT_FOUND;
    if ((stored->flags & TYCHO__COMPRESSED) == 0) {
        return tycho__equal(stored->body, event->body) ? TYCHO_OK : TYCHO_NOT_FOUND;
    }
    int status = tycho__dictionary_need(txn, stored);
    if (status == TYCHO_OK) status = tycho__decompress(txn->env, &plain, &room);
    bool is_same = status == TYCHO_OK && tycho__equal(plain.id, event->id) &&
                   tycho__equal(plain.correlation_id, event->correlation_id) &&
                   tycho__equal(plain.causation_id, event->causation_id) &&
                   tycho__equal(plain.metadata, event->metadata) &&
                   tycho__equal(plain.data, event->data);
    tycho__buffer_free(&room);
    return status != TYCHO_OK || is_same ? status : TYCHO_NOT_FOUND;
}

/* TYCHO_OK when the stored event has the same content, TYCHO_NOT_FOUND when it differs. Times are
** not compared, because they are put in where they are left out; nor are tags in a store that has
** scripts, because other scripts than now may have added them. */
static int compare_event(tycho__txn *txn, const tycho__event_view *stored,
                         const tycho__event_view *event) {
    bool has_rules = txn->state.rules != 0;
    if (stored->tag_count != event->tag_count && !has_rules) return TYCHO_NOT_FOUND;
    int status = compare_body(txn, stored, event);
    if (status == TYCHO_OK) status = is_named(txn, TYCHO__TYPE, stored->type_number, event->type);
    if (status == TYCHO_OK) {
        status = is_named(txn, TYCHO__CONTENT, stored->content_type_number, event->content_type);
    }
    if (has_rules) return status;
    tycho__reader tags = tycho__reader_of(event->tags);
    for (uint8_t i = 0; i < event->tag_count && status == TYCHO_OK; i++) {
        tycho_bytes tag = tycho__tag_next(&tags);
        status = is_named(txn, TYCHO__TAG, tycho__record_tag(stored, i), tag);
    }
    return status;
}

/* TYCHO_OK when the name of the stream that the event was appended to leads to this one now. */
static int leads_to(tycho__txn *txn, const tycho__event_view *stored, const tycho__name *name) {
    tycho__list home;
    tycho__name end;
    if (stored->stream == 0) return TYCHO_NOT_FOUND;
    int status = tycho__list_read(txn, TYCHO__STREAM, stored->stream, &home);
    if (status == TYCHO_OK) status = tycho__resolve(txn, home.name, false, &end);
    if (status != TYCHO_OK) return status;
    bool is_there = tycho__equal(tycho__name_bytes(&end), tycho__name_bytes(name));
    return is_there ? TYCHO_OK : TYCHO_NOT_FOUND;
}

/* TYCHO_OK when the stored event was appended to the stream of this name, or to one that was
** renamed, merged or split since: its name leads here, or its events are here. TYCHO_NOT_FOUND. */
static int is_in(tycho__txn *txn, const tycho__event_view *stored, const tycho__name *name) {
    tycho__list stream;
    tycho__entry entry;
    int status = is_named(txn, TYCHO__STREAM, stored->stream, tycho__name_bytes(name));
    if (status == TYCHO_NOT_FOUND) status = leads_to(txn, stored, name);
    if (status != TYCHO_NOT_FOUND) return status;
    status = tycho__list_open(txn, TYCHO__STREAM, tycho__name_bytes(name), &stream);
    return status == TYCHO_OK ? tycho__entry_find(txn, &stream, stored, &entry) : status;
}

/* What one append operation did when it was applied first. */
static int replay_append(tycho__txn *txn, tycho_batch *batch, const tycho__step *step,
                         tycho_result *result, uint64_t *next, uint32_t *missing) {
    tycho__reader events = tycho__reader_of(step->list);
    tycho__name name;
    int status = tycho__resolve(txn, step->name, (step->flags & TYCHO_RAW) != 0, &name);
    for (uint32_t i = 0; i < step->count && status == TYCHO_OK; i++) {
        tycho__event_view event, stored;
        tycho__id id;
        uint64_t position = 0;
        status = tycho__event_decode(&events, &event);
        if (status != TYCHO_OK) return status;
        id.size = (uint8_t)event.id.size;
        id.is_uuid = (event.flags & TYCHO__UUID_ID) != 0;
        tycho__copy(id.bytes, event.id);
        status = tycho__event_find(txn, &id, &position);
        if (status == TYCHO_EVENT_NOT_FOUND) {
            ++*missing;
            status = TYCHO_OK;
            continue;
        }
        if (status == TYCHO_OK) status = tycho__event_load(txn, position, &stored);
        if (status != TYCHO_OK) return status;
        if (i == 0) result->first_position = position;
        if (i == 0) result->first_revision = stored.revision;
        bool is_in_order = *next == 0 || position == *next;
        int64_t revision = result->first_revision + (stored.revision < 0 ? 0 : (int64_t)i);
        *next = position + 1;
        status = is_in_order && stored.revision == revision ? TYCHO_OK : TYCHO_NOT_FOUND;
        if (status == TYCHO_OK) status = compare_event(txn, &stored, &event);
        if (status == TYCHO_OK) status = is_in(txn, &stored, &name);
        if (status == TYCHO_NOT_FOUND) return refuse_known(txn, batch, &event);
    }
    result->count = step->count;
    return status;
}

int tycho__replay(tycho__txn *txn, tycho_batch *batch) {
    tycho__reader steps = tycho__reader_of(tycho__buffer_bytes(&batch->operations));
    tycho_receipt *receipt = &batch->receipt;
    uint32_t missing = 0, named = 0, operation = 0;
    uint64_t next = 0; /* position that the next event has, if this was applied as one batch */
    tycho__step step, partly = {.count = 0};
    for (uint32_t i = 0; i < batch->operation_count; i++) {
        tycho_result *result = &batch->results[i];
        memset(result, 0, sizeof *result);
        result->first_revision = -1;
        int status = tycho__step_read(&steps, &step, false);
        if (status != TYCHO_OK) return status;
        if (step.kind != TYCHO__APPEND) continue;
        uint32_t before = missing;
        status = replay_append(txn, batch, &step, result, &next, &missing);
        receipt->operation = status == TYCHO_OK ? -1 : (int32_t)i;
        if (status != TYCHO_OK) return status;
        if (named == 0) receipt->first_position = result->first_position;
        named += step.count;
        if (missing - before < step.count) {
            partly = step;
            operation = i;
        }
    }
    receipt->event_count = named;
    if (missing == 0 && named > 0) return TYCHO_OK;
    receipt->event_count = 0;
    receipt->first_position = 0;
    if (missing == named) return TYCHO_NOT_FOUND;
    /* A part is there: the first event of it that is known is the one to name. */
    tycho__reader events = tycho__reader_of(partly.list);
    receipt->operation = (int32_t)operation;
    for (uint32_t i = 0; i < partly.count; i++) {
        tycho__event_view event;
        int status = tycho__event_decode(&events, &event);
        if (status == TYCHO_OK) status = refuse_known(txn, batch, &event);
        if (status != TYCHO_EVENT_NOT_FOUND) return status;
    }
    return TYCHO_NOT_FOUND;
}
