/* stream.c - names to streams, ids to events, events to their entries; see stream.h.
**
** An event is in a stream by its home entry, which its record names, or by a link, which has a row
** in table `links`. A home entry counts only while the stream's list has the position at that
** revision: deleting, truncating and unlinking change the list, never the record.
*/
#include "stream.h"

#include "ids.h"
#include "ways.h"

int tycho__follow_routes(tycho__txn *txn, tycho_bytes name, bool raw, tycho__name *stream) {
    assert(name.size <= TYCHO_NAME_MAX);
    uint64_t hops = 0;
    stream->is_closed = false;
    stream->size = (uint8_t)name.size;
    tycho__copy(stream->bytes, name);
    while (!raw && txn->state.routes > 0 && stream->size > 0) {
        tycho_bytes row, target;
        int status = tycho__get(txn, TYCHO__ROUTES, tycho__name_bytes(stream), &row);
        if (status == TYCHO_NOT_FOUND) break;
        if (status != TYCHO_OK) return status;
        if (tycho__route_parse(row, &target)) stream->is_closed = true;
        if (++hops > txn->state.routes) return TYCHO_END;
        if (target.size > TYCHO_NAME_MAX) {
            return tycho__fail(TYCHO_CORRUPT, "a route from \"%.*s\" leads to a name of %zu bytes",
                               (int)name.size, (const char *)name.data, target.size);
        }
        stream->size = (uint8_t)target.size;
        tycho__copy(stream->bytes, target);
    }
    return TYCHO_OK;
}

int tycho__resolve(tycho__txn *txn, tycho_bytes name, bool raw, tycho__name *stream) {
    int status = tycho__follow_routes(txn, name, raw, stream);
    if (status != TYCHO_END) return status;
    return tycho__fail(TYCHO_CORRUPT, "the routes from \"%.*s\" do not end", (int)name.size,
                       (const char *)name.data);
}

int tycho__id_look_up(tycho__txn *txn, tycho_bytes packed, bool is_uuid, uint64_t *position) {
    tycho__recent_prefetch_id(txn, packed, is_uuid); /* for when the table does not have it */
    int status = tycho__ids_find(txn, packed, is_uuid, position);
    if (status != TYCHO_NOT_FOUND) return status;
    status = tycho__recent_need(txn);
    if (status != TYCHO_OK) return status;
    *position = tycho__recent_find_id(txn, packed, is_uuid);
    return *position != 0 ? TYCHO_OK : TYCHO_NOT_FOUND;
}

int tycho__event_find(tycho__txn *txn, const tycho__id *id, uint64_t *position) {
    int status = tycho__id_look_up(txn, tycho__bytes(id->bytes, id->size), id->is_uuid, position);
    if (status == TYCHO_NOT_FOUND) {
        char text[TYCHO_UUID_SIZE];
        if (id->is_uuid) tycho__uuid_unpack(text, id->bytes);
        return tycho__fail(TYCHO_EVENT_NOT_FOUND, "event not found: %.*s",
                           id->is_uuid ? TYCHO_UUID_SIZE : id->size,
                           id->is_uuid ? text : (const char *)id->bytes);
    }
    return status;
}

int tycho__event_load(tycho__txn *txn, uint64_t position, tycho__event_view *view) {
    tycho_bytes record;
    int status = tycho__get_event(txn, position, &record);
    if (status == TYCHO_NOT_FOUND) {
        return tycho__fail(TYCHO_CORRUPT, "the log has no record at position %llu",
                           (unsigned long long)position);
    }
    return status == TYCHO_OK ? tycho__record_read(record, position, view) : status;
}

static int find_home(tycho__txn *txn, const tycho__list *stream, const tycho__event_view *event,
                     tycho__entry *entry) {
    tycho__entries entries;
    tycho__list list;
    if (event->stream != stream->number) return TYCHO_NOT_FOUND;
    int status = tycho__list_read(txn, TYCHO__STREAM, stream->number, &list); /* with its tail */
    if (status != TYCHO_OK) return status;
    tycho__entries_begin(&entries, txn, &list);
    status = tycho__entries_from(&entries, (uint64_t)event->revision, entry);
    if (status == TYCHO_END) return TYCHO_NOT_FOUND;
    if (status != TYCHO_OK) return status;
    bool is_home = entry->ordinal == (uint64_t)event->revision &&
                   entry->position == event->position && !entry->is_link;
    return is_home ? TYCHO_OK : TYCHO_NOT_FOUND;
}

int tycho__ways_back(tycho__txn *txn, uint64_t position, tycho__way *ways, size_t most,
                     size_t *count) {
    int status = tycho__ways_copy(txn, position, ways, most, count);
    if (status == TYCHO_OK) status = tycho__recent_need(txn);
    if (status != TYCHO_OK) return status;
    size_t known = *count < most ? *count : most;
    *count += tycho__recent_ways(txn, position, ways + known, most - known);
    return TYCHO_OK;
}

int tycho__link_find(tycho__txn *txn, uint64_t position, uint32_t stream, uint64_t *revision) {
    tycho__way way;
    int status = tycho__ways_find(txn, position, stream, &way);
    if (status == TYCHO_NOT_FOUND) {
        status = tycho__recent_need(txn);
        if (status != TYCHO_OK) return status;
        if (!tycho__recent_find_way(txn, position, stream, &way)) status = TYCHO_NOT_FOUND;
    }
    if (status == TYCHO_OK) *revision = way.revision;
    return status;
}

int tycho__entry_find(tycho__txn *txn, const tycho__list *stream, const tycho__event_view *event,
                      tycho__entry *entry) {
    if (stream->number == 0 || stream->count == 0) return TYCHO_NOT_FOUND;
    int status = find_home(txn, stream, event, entry);
    if (status != TYCHO_NOT_FOUND) return status;
    if (txn->state.links == 0) return TYCHO_NOT_FOUND;
    status = tycho__link_find(txn, event->position, stream->number, &entry->ordinal);
    if (status != TYCHO_OK) return status;
    entry->position = event->position;
    entry->is_link = true;
    return TYCHO_OK;
}
