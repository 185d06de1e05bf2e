/* links.c - linking events into further streams: by their ids, a range of a stream, and several
** streams merged.
**
** A link is an entry of the target like any other, and has a way back from the event (recent.h).
** The number of links in a batch is bounded, so the work here is; none of it depends on how long
** the streams are.
*/
#include <stdlib.h>

#include "apply.h"
#include "ids.h"
#include "pending.h"
#include "place.h"
#include "settle.h"

enum { LINKS_AT_ONCE = 64 };

static int refuse_duplicate(tycho_batch *batch, const tycho__list *stream,
                            const tycho__event_view *event) {
    tycho__batch_set_event(batch, event->id, (event->flags & TYCHO__UUID_ID) != 0);
    tycho__batch_set_stream(batch, stream->name);
    return tycho__fail(TYCHO_DUPLICATE_ENTRY, "the stream \"%.*s\" has the event %.*s already",
                       (int)stream->name.size, (const char *)stream->name.data,
                       (int)batch->receipt.event_id.size,
                       (const char *)batch->receipt.event_id.data);
}

/* TYCHO_NOT_FOUND when the event is to be linked; TYCHO_OK when it is there already and that is
** fine. What is behind all that the stream ever had needs no looking. */
static int look_for(tycho__txn *txn, tycho_batch *batch, const tycho__list *stream,
                    uint64_t position, uint8_t flags) {
    tycho__event_view event;
    tycho__entry entry;
    if (position > stream->highest) return TYCHO_NOT_FOUND;
    int status = tycho__event_load(txn, position, &event);
    if (status == TYCHO_OK) status = tycho__entry_find(txn, stream, &event, &entry);
    if (status != TYCHO_OK || (flags & TYCHO_SKIP_DUPLICATES) != 0) return status;
    return refuse_duplicate(batch, stream, &event);
}

/* Links events that the stream does not have behind its last entry. */
static int link_all(tycho__txn *txn, tycho__list *stream, const uint64_t *positions, uint32_t count,
                    tycho_result *result) {
    uint64_t revision = stream->next, highest = 0;
    if (result->count == 0) result->first_revision = (int64_t)revision;
    if (stream->count == 0) txn->state.streams++;
    txn->is_changed = true; /* the list in memory counts the links from here on */
    for (uint32_t i = 0; i < count; i++) {
        if (positions[i] > highest) highest = positions[i];
    }
    int status = tycho__pending_add(txn, stream->number, revision, positions, count);
    tycho__list_extend(stream, count, highest);
    txn->state.links += count;
    txn->state.entries += count;
    result->count += count;
    if (status != TYCHO_OK) return status;
    return tycho__recent_put_links(txn, stream, revision, positions, count);
}

/* Links the event at a position behind the last entry of the stream. */
static int link_event(tycho__txn *txn, tycho_batch *batch, tycho__list *stream, uint64_t position,
                      uint8_t flags, tycho_result *result) {
    int status = look_for(txn, batch, stream, position, flags);
    return status == TYCHO_NOT_FOUND ? link_all(txn, stream, &position, 1, result) : status;
}

/* Where reading waits for the disk (guard.h): asks for what the next ids are looked for in, and
** then for the records and the ways back that they lead to. What is wrong is told when they are
** linked. */
static void ask_ahead(tycho__txn *txn, tycho__reader ids, uint32_t left) {
    uint64_t positions[LINKS_AT_ONCE];
    uint32_t found = 0, count = left < LINKS_AT_ONCE ? left : LINKS_AT_ONCE;
    tycho__id id;
    if (txn->guarded == NULL || !tycho__guard_is_cold(txn->guarded->guard)) return;
    tycho__reader again = ids;
    for (uint32_t i = 0; i < count && tycho__id_read(&ids, &id) == TYCHO_OK; i++) {
        tycho__ids_ask(txn, tycho__bytes(id.bytes, id.size), id.is_uuid);
    }
    for (uint32_t i = 0; i < count && tycho__id_read(&again, &id) == TYCHO_OK; i++) {
        tycho_bytes packed = {id.bytes, id.size};
        int status = tycho__id_look_up(txn, packed, id.is_uuid, &positions[found]);
        found += status == TYCHO_OK;
    }
    for (uint32_t i = 0; i < found; i++) {
        uint8_t key[8];
        tycho__key64(key, positions[i]);
        tycho__place_ask(txn->guarded, TYCHO__EVENTS, tycho__bytes(&positions[i], 8));
        tycho__place_ask(txn->guarded, TYCHO__LINKS, tycho__bytes(key, sizeof key));
    }
}

int tycho__link_apply(tycho__txn *txn, tycho_batch *batch, const tycho__step *step,
                      tycho_result *result) {
    tycho__reader ids = tycho__reader_of(step->list);
    tycho__list *stream;
    int status = tycho__stream_make(txn, batch, step->name, step->flags, &stream);
    for (uint32_t i = 0; i < step->count && status == TYCHO_OK; i++) {
        tycho__id id;
        uint64_t position = 0;
        if (i % LINKS_AT_ONCE == 0) ask_ahead(txn, ids, step->count - i);
        status = tycho__id_read(&ids, &id);
        if (status == TYCHO_OK) status = tycho__event_find(txn, &id, &position);
        if (status == TYCHO_EVENT_NOT_FOUND) {
            tycho__batch_set_event(batch, tycho__bytes(id.bytes, id.size), id.is_uuid);
        }
        if (status == TYCHO_OK) {
            status = link_event(txn, batch, stream, position, step->flags, result);
        }
    }
    return status;
}

/* Events that the same batch appended, by their ordinals. Nearly all are behind what the stream
** has, and in order: those are linked many at a time. */
int tycho__link_new_apply(tycho__txn *txn, tycho_batch *batch, const tycho__step *step,
                          tycho_result *result) {
    tycho__reader ordinals = tycho__reader_of(step->list);
    tycho__list *stream;
    uint64_t positions[LINKS_AT_ONCE];
    uint32_t count = 0;
    int status = tycho__stream_make(txn, batch, step->name, step->flags, &stream);
    for (uint32_t i = 0; i < step->count && status == TYCHO_OK; i++) {
        uint64_t position = batch->head_before + 1 + tycho__read32(&ordinals);
        if (position > txn->state.head) {
            return tycho__fail(TYCHO_MISUSE, "the batch links an event before it appends it");
        }
        uint64_t last = count > 0 ? positions[count - 1] : stream->highest;
        bool is_behind = position > last;
        if (count > 0 && (!is_behind || count == LINKS_AT_ONCE)) {
            status = link_all(txn, stream, positions, count, result);
            count = 0;
        }
        if (is_behind) {
            positions[count++] = position;
        } else if (status == TYCHO_OK) {
            status = link_event(txn, batch, stream, position, TYCHO_SKIP_DUPLICATES, result);
        }
    }
    if (status != TYCHO_OK || count == 0) return status;
    return link_all(txn, stream, positions, count, result);
}

/* ---------------------------------------------------------------- ranges */

/* A stream that is read while another one grows. */
typedef struct origin {
    tycho__list list;
    tycho__entries entries;
    tycho__entry entry; /* the next one to be linked */
    bool is_over;
} origin;

static int open_source(tycho__txn *txn, tycho_bytes name, uint8_t flags, origin *source) {
    tycho__name resolved;
    int status = tycho__resolve(txn, name, (flags & TYCHO_RAW) != 0, &resolved);
    if (status == TYCHO_OK) {
        status = tycho__list_open(txn, TYCHO__STREAM, tycho__name_bytes(&resolved), &source->list);
    }
    if (status == TYCHO_OK) tycho__entries_begin(&source->entries, txn, &source->list);
    return status;
}

/* Moves to the first entry with a revision >= `revision` and <= `last`. */
static int move_source(origin *source, uint64_t revision, uint64_t last) {
    source->is_over = true;
    if (source->list.count == 0 || revision > last) return TYCHO_OK;
    int status = tycho__entries_from(&source->entries, revision, &source->entry);
    if (status == TYCHO_END) return TYCHO_OK;
    source->is_over = status != TYCHO_OK || source->entry.ordinal > last;
    return status;
}

static int refuse_itself(void) {
    return tycho__fail(TYCHO_MISUSE, "a stream cannot be linked into itself");
}

static int refuse_many(void) {
    return tycho__fail(TYCHO_TOO_LARGE, "over %d entries are to be linked: do it in parts",
                       TYCHO_BATCH_EVENTS_MAX);
}

/* Makes `revision` the next one of the target, which needs it to be settled; the source is opened
** again, because its views are gone then. */
static int skip_to(tycho__txn *txn, const tycho__step *step, uint64_t revision, origin *source,
                   tycho__list **target) {
    int status = tycho__settle(txn);
    txn->is_changed = true;
    if (status == TYCHO_OK)
        status = tycho__list_edit(txn, TYCHO__STREAM, (*target)->number, target);
    if (status == TYCHO_OK) status = tycho__list_skip(txn, *target, revision);
    return status == TYCHO_OK ? open_source(txn, step->name, step->flags, source) : status;
}

/* With TYCHO_KEEP_REVISIONS: brings the target to the revision of the next link. */
static int keep_revision(tycho__txn *txn, tycho_batch *batch, const tycho__step *step,
                         origin *source, tycho__list **target) {
    uint64_t revision = source->entry.ordinal, next = (*target)->next;
    if (next == revision) return TYCHO_OK;
    if (next < revision) return skip_to(txn, step, revision, source, target);
    batch->receipt.actual = (int64_t)next - 1;
    tycho__batch_set_stream(batch, (*target)->name);
    return tycho__fail(TYCHO_WRONG_EXPECTED_VERSION,
                       "the stream \"%.*s\" is at revision %llu, which is not before %llu",
                       (int)(*target)->name.size, (const char *)(*target)->name.data,
                       (unsigned long long)next - 1, (unsigned long long)revision);
}

int tycho__link_range_apply(tycho__txn *txn, tycho_batch *batch, const tycho__step *step,
                            tycho_result *result) {
    origin source;
    tycho__list *target;
    bool keeps = (step->flags & TYCHO_KEEP_REVISIONS) != 0;
    int status = open_source(txn, step->name, step->flags, &source);
    if (status == TYCHO_OK) {
        status = tycho__stream_make(txn, batch, step->second, step->flags, &target);
    }
    if (status != TYCHO_OK) return status;
    bool is_itself = source.list.number == target->number;
    if (is_itself && source.list.count > 0) return refuse_itself();
    uint64_t last = step->last < 0 ? UINT64_MAX : (uint64_t)step->last;
    uint64_t end = source.list.next; /* behind all that it ever had */
    uint32_t seen = 0;
    status = move_source(&source, (uint64_t)step->first, last);
    while (status == TYCHO_OK && !source.is_over) {
        tycho__entry entry = source.entry;
        if (++seen > TYCHO_BATCH_EVENTS_MAX) return refuse_many();
        if (keeps) status = keep_revision(txn, batch, step, &source, &target);
        if (status == TYCHO_OK) {
            status = link_event(txn, batch, target, entry.position, step->flags, result);
        }
        if (status == TYCHO_OK) status = move_source(&source, entry.ordinal + 1, last);
    }
    /* Revisions at the end that are used up already are so in an image, too. */
    bool is_short = keeps && step->last < 0 && target->next < end;
    return status == TYCHO_OK && is_short ? skip_to(txn, step, end, &source, &target) : status;
}

/* ---------------------------------------------------------------- merging */

static int open_sources(tycho__txn *txn, const tycho__step *step, const tycho__list *target,
                        origin *sources) {
    tycho__reader list = tycho__reader_of(step->list);
    for (uint32_t i = 0; i < step->count; i++) {
        tycho_source named;
        int status = tycho__source_read(&list, &named);
        if (status == TYCHO_OK) status = open_source(txn, named.stream, step->flags, &sources[i]);
        if (status != TYCHO_OK) return status;
        if (sources[i].list.count == 0) sources[i].list.number = 0;
        if (sources[i].list.number == target->number) return refuse_itself();
        for (uint32_t j = 0; j < i && sources[i].list.number != 0; j++) {
            if (sources[j].list.number != sources[i].list.number) continue;
            return tycho__fail(TYCHO_MISUSE, "two of the streams to be merged are \"%.*s\"",
                               (int)sources[i].list.name.size,
                               (const char *)sources[i].list.name.data);
        }
        status = move_source(&sources[i], (uint64_t)named.first, UINT64_MAX);
        if (status != TYCHO_OK) return status;
    }
    return TYCHO_OK;
}

/* The source whose next entry has the lowest position, or NULL when all are over. */
static origin *next_source(origin *sources, uint32_t count) {
    origin *next = NULL;
    for (uint32_t i = 0; i < count; i++) {
        if (sources[i].is_over) continue;
        if (next == NULL || sources[i].entry.position < next->entry.position) next = &sources[i];
    }
    return next;
}

static int merge(tycho__txn *txn, tycho_batch *batch, const tycho__step *step, origin *sources,
                 tycho__list *target, tycho_result *result) {
    uint32_t seen = 0;
    origin *source;
    while ((source = next_source(sources, step->count)) != NULL) {
        if (++seen > TYCHO_BATCH_EVENTS_MAX) return refuse_many();
        int status = link_event(txn, batch, target, source->entry.position, step->flags, result);
        if (status == TYCHO_OK) {
            status = move_source(source, source->entry.ordinal + 1, UINT64_MAX);
        }
        if (status != TYCHO_OK) return status;
    }
    return TYCHO_OK;
}

int tycho__link_merged_apply(tycho__txn *txn, tycho_batch *batch, const tycho__step *step,
                             tycho_result *result) {
    tycho__list *target;
    int status = tycho__stream_make(txn, batch, step->name, step->flags, &target);
    if (status != TYCHO_OK) return status;
    origin *sources = calloc(step->count, sizeof *sources);
    if (sources == NULL) return tycho__fail(TYCHO_NO_MEMORY, "no memory to merge streams");
    status = open_sources(txn, step, target, sources);
    if (status == TYCHO_OK) status = merge(txn, batch, step, sources, target, result);
    free(sources);
    return status;
}
