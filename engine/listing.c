/* listing.c - directories: streams, types, tags, routes, checkpoints, rows, streams of an event.
**
** A listing remembers the last key and seeks behind it in a new snapshot for each item, so it holds
** nothing between two calls. The streams of an event are few: they are gathered at opening.
*/
#include <stdlib.h>

#include "apply.h"
#include "store.h"
#include "cursor.h"

struct tycho_listing {
    tycho_store *store;
    tycho_snapshot *snapshot;
    uint32_t list;
    bool is_exact;
    bool is_done;
    bool is_behind; /* go on behind `last`, not at it */
    uint64_t left;
    uint32_t table;                    /* of rows */
    uint8_t prefix[5 + TYCHO_KEY_MAX]; /* what keys must begin with */
    size_t prefix_size, head_size;     /* head: what is before the name in the key */
    uint8_t last[5 + TYCHO_KEY_MAX];   /* key of the last item, or where to begin behind */
    size_t last_size;
    tycho__way *places; /* the home has link 0 */
    size_t place_count, place_at;
    tycho__buffer item; /* what the item views */
};

static const struct {
    uint8_t table;
    uint8_t kind; /* first byte of the keys, when not 0 */
} sources[] = {
    [TYCHO_LIST_STREAMS] = {TYCHO__NAMES, TYCHO__STREAM},
    [TYCHO_LIST_TYPES] = {TYCHO__NAMES, TYCHO__TYPE},
    [TYCHO_LIST_TAGS] = {TYCHO__NAMES, TYCHO__TAG},
    [TYCHO_LIST_ROUTES] = {TYCHO__ROUTES, 0},
    [TYCHO_LIST_CHECKPOINTS] = {TYCHO__CHECKPOINTS, 0},
    [TYCHO_LIST_ROWS] = {TYCHO__ROWS, 0},
};

/* ---------------------------------------------------------------- streams of an event */

static int compare_places(const void *a, const void *b) {
    const tycho__way *x = a, *y = b;
    return x->link < y->link ? -1 : x->link > y->link;
}

static int add_place(tycho_listing *l, const tycho__way *place) {
    if ((l->place_count & (l->place_count - 1)) == 0) { /* grows at powers of 2 */
        size_t capacity = l->place_count == 0 ? 1 : l->place_count * 2;
        tycho__way *places = realloc(l->places, capacity * sizeof *places);
        if (places == NULL) return tycho__fail(TYCHO_NO_MEMORY, "no memory for a listing");
        l->places = places;
    }
    l->places[l->place_count++] = *place;
    return TYCHO_OK;
}

static int add_home(tycho_listing *l, tycho__txn *txn, const tycho__event_view *event) {
    tycho__list stream;
    tycho__entry entry;
    if (event->stream == 0) return TYCHO_OK;
    int status = tycho__list_read(txn, TYCHO__STREAM, event->stream, &stream);
    if (status == TYCHO_NOT_FOUND) return TYCHO_OK;
    if (status != TYCHO_OK) return status;
    if ((stream.flags & TYCHO__LIST_DELETED) != 0) return TYCHO_OK;
    status = tycho__entry_find(txn, &stream, event, &entry);
    if (status == TYCHO_NOT_FOUND || (status == TYCHO_OK && entry.is_link)) return TYCHO_OK;
    if (status != TYCHO_OK) return status;
    tycho__way home = {event->stream, entry.ordinal, 0};
    return add_place(l, &home);
}

static int add_links(tycho_listing *l, tycho__txn *txn, uint64_t position) {
    size_t count = 0, most;
    tycho__way *ways = NULL;
    int status;
    do {
        most = count + 16;
        tycho__way *more = realloc(ways, most * sizeof *more);
        status = more == NULL ? tycho__fail(TYCHO_NO_MEMORY, "no memory for a listing") : TYCHO_OK;
        if (more != NULL) ways = more;
        if (status == TYCHO_OK) status = tycho__ways_back(txn, position, ways, most, &count);
    } while (status == TYCHO_OK && count > most);
    for (size_t i = 0; i < count && status == TYCHO_OK; i++) {
        tycho__list stream;
        status = tycho__list_read(txn, TYCHO__STREAM, ways[i].stream, &stream);
        if (status == TYCHO_OK && (stream.flags & TYCHO__LIST_DELETED) == 0) {
            status = add_place(l, &ways[i]);
        }
    }
    free(ways);
    return status;
}

static int gather_places(tycho_listing *l, tycho__txn *txn, tycho_bytes event_id) {
    tycho__id id;
    tycho__event_view event;
    uint64_t position = 0;
    int status = tycho__check_id(event_id, "event id");
    if (status != TYCHO_OK) return status;
    tycho__id_pack(&id, event_id);
    status = tycho__event_find(txn, &id, &position);
    if (status == TYCHO_OK) status = tycho__event_load(txn, position, &event);
    if (status == TYCHO_OK) status = add_home(l, txn, &event);
    if (status == TYCHO_OK) status = add_links(l, txn, position);
    if (status != TYCHO_OK) return status;
    if (l->place_count > 1) qsort(l->places, l->place_count, sizeof *l->places, compare_places);
    return TYCHO_OK;
}

static int next_place(tycho_listing *l, tycho__txn *txn, tycho_item *item) {
    tycho__list stream;
    if (l->place_at == l->place_count) return TYCHO_END;
    const tycho__way *place = &l->places[l->place_at++];
    int status = tycho__list_read(txn, TYCHO__STREAM, place->stream, &stream);
    if (status != TYCHO_OK) return status;
    l->item.size = 0;
    status = tycho__buffer_append(&l->item, stream.name.data, stream.name.size);
    item->name = tycho__buffer_bytes(&l->item);
    item->revision = (int64_t)place->revision;
    return status;
}

/* ---------------------------------------------------------------- items of a table */

static bool has_prefix(tycho_bytes key, const uint8_t *prefix, size_t size) {
    return key.size >= size && (size == 0 || memcmp(key.data, prefix, size) == 0);
}

/* Fills the item of a name. TYCHO_NOT_FOUND: it has neither entries nor metadata. */
static int fill_named(tycho_listing *l, tycho__txn *txn, tycho_bytes value, tycho_item *item) {
    tycho__list list;
    tycho_bytes metadata = {NULL, 0};
    uint8_t key[4];
    if (value.size != 4) return tycho__fail(TYCHO_CORRUPT, "a name has no number");
    uint32_t number = tycho__load32(value.data);
    int status = tycho__list_read(txn, sources[l->list].kind, number, &list);
    if (status == TYCHO_NOT_FOUND) {
        return tycho__fail(TYCHO_CORRUPT, "list %u has a name but no row", number);
    }
    if (status != TYCHO_OK) return status;
    item->count = list.count;
    if (l->list != TYCHO_LIST_STREAMS) return list.count > 0 ? TYCHO_OK : TYCHO_NOT_FOUND;
    item->revision = (int64_t)list.next - 1;
    tycho__key32(key, number);
    status = tycho__get(txn, TYCHO__STREAM_METADATA, tycho__bytes(key, sizeof key), &metadata);
    if (status == TYCHO_NOT_FOUND) return list.count > 0 ? TYCHO_OK : TYCHO_NOT_FOUND;
    item->value = metadata;
    return status;
}

/* Fills `item` with views into the snapshot. */
static int fill_item(tycho_listing *l, tycho__txn *txn, tycho_bytes key, tycho_bytes value,
                     tycho_item *item) {
    const uint8_t *name = key.data;
    item->name = tycho__bytes(name + l->head_size, key.size - l->head_size);
    switch (l->list) {
    case TYCHO_LIST_ROUTES:
        item->is_closed = tycho__route_parse(value, &item->value);
        return TYCHO_OK;
    case TYCHO_LIST_CHECKPOINTS:
        if (value.size != 8) return tycho__fail(TYCHO_CORRUPT, "a checkpoint is damaged");
        item->position = tycho__load64(value.data);
        return TYCHO_OK;
    case TYCHO_LIST_ROWS:
        return tycho__row_parse(key, value, &item->version, &item->value);
    default:
        return fill_named(l, txn, value, item);
    }
}

/* Copies what the item views, and the key, out of the snapshot. */
static int take_item(tycho_listing *l, tycho_item *item) {
    l->item.size = 0;
    int status = tycho__buffer_reserve(&l->item, item->name.size + item->value.size);
    if (status != TYCHO_OK) return status;
    tycho__write(&l->item, item->name.data, item->name.size);
    tycho__write(&l->item, item->value.data, item->value.size);
    item->name = tycho__bytes(l->item.data, item->name.size);
    item->value = tycho__bytes(l->item.data + item->name.size, item->value.size);
    return TYCHO_OK;
}

static int next_row(tycho_listing *l, tycho__txn *txn, tycho_item *item) {
    uint8_t table = sources[l->list].table;
    tycho_bytes key = {l->last, l->last_size}, value;
    int status = tycho__seek(txn, table, &key, &value);
    if (status == TYCHO_OK && l->is_behind &&
        tycho__equal(key, tycho__bytes(l->last, l->last_size))) {
        status = tycho__next(txn, table, &key, &value);
    }
    while (status == TYCHO_OK) {
        bool is_within = has_prefix(key, l->prefix, l->prefix_size) &&
                         (!l->is_exact || key.size == l->prefix_size);
        if (!is_within) return TYCHO_END;
        assert(key.size <= sizeof l->last);
        memcpy(l->last, key.data, key.size);
        l->last_size = key.size;
        l->is_behind = true;
        status = fill_item(l, txn, key, value, item);
        if (status == TYCHO_OK) return take_item(l, item);
        if (status != TYCHO_NOT_FOUND) return status;
        memset(item, 0, sizeof *item);
        item->revision = -1;
        if (l->is_exact) return TYCHO_END;
        /* fill_item may have moved no cursor of this table: names are walked, lists are read */
        status = tycho__next(txn, table, &key, &value);
    }
    return status == TYCHO_NOT_FOUND ? TYCHO_END : status;
}

/* ---------------------------------------------------------------- public */

static int take_keys(tycho_listing *l, const tycho_list_options *options) {
    uint8_t head[4];
    size_t size = 0;
    if (sources[l->list].kind != 0) head[size++] = sources[l->list].kind;
    if (l->list == TYCHO_LIST_ROWS) {
        tycho__key32(head, l->table);
        size = 4;
    }
    l->head_size = size;
    size_t most = sizeof l->prefix - size;
    if (options->prefix.size > most || options->after.size > most) {
        return tycho__fail(TYCHO_TOO_LARGE, "a prefix has at most %d bytes", TYCHO_KEY_MAX);
    }
    memcpy(l->prefix, head, size);
    tycho__copy(l->prefix + size, options->prefix);
    l->prefix_size = size + options->prefix.size;
    memcpy(l->last, l->prefix, l->prefix_size);
    l->last_size = l->prefix_size;
    if (options->after.data == NULL) return TYCHO_OK;
    uint8_t after[sizeof l->last];
    memcpy(after, head, size);
    tycho__copy(after + size, options->after);
    size_t after_size = size + options->after.size;
    size_t common = after_size < l->last_size ? after_size : l->last_size;
    int order = memcmp(after, l->last, common);
    if (order < 0 || (order == 0 && after_size < l->last_size)) return TYCHO_OK;
    memcpy(l->last, after, after_size);
    l->last_size = after_size;
    l->is_behind = true;
    return TYCHO_OK;
}

static int open_listing(tycho_listing *l, const tycho_list_options *options) {
    tycho__txn *txn = NULL;
    int status = l->snapshot != NULL ? TYCHO_OK : tycho__txn_read(l->store->env, &txn);
    if (status != TYCHO_OK) return status;
    tycho__txn *view = l->snapshot != NULL ? l->snapshot->txn : txn;
    if (l->list == TYCHO_LIST_STREAMS_OF) {
        status = gather_places(l, view, options->subject);
    } else if (l->list == TYCHO_LIST_ROWS) {
        status = tycho__check_name(options->subject, "table");
        if (status == TYCHO_OK) {
            status = tycho__list_find(view, TYCHO__ROW_TABLE, options->subject, &l->table);
        }
        l->is_done = status == TYCHO_NOT_FOUND;
        if (l->is_done) status = TYCHO_OK;
    }
    tycho__txn_done(txn);
    if (status != TYCHO_OK || l->list == TYCHO_LIST_STREAMS_OF) return status;
    return take_keys(l, options);
}

int tycho_listing_open(tycho_store *store, const tycho_list_options *options, tycho_listing **out) {
    if (out == NULL) return tycho__fail(TYCHO_MISUSE, "no place to put the listing");
    *out = NULL;
    int status = tycho__store_check(store);
    if (status != TYCHO_OK) return status;
    if (options == NULL || options->size != sizeof *options) {
        return tycho__fail(TYCHO_MISUSE, "the options have a size that this library does not know");
    }
    if (options->list > TYCHO_LIST_STREAMS_OF) {
        return tycho__fail(TYCHO_MISUSE, "%u is no directory", options->list);
    }
    if (options->snapshot != NULL && options->snapshot->store != store) {
        return tycho__fail(TYCHO_MISUSE, "the snapshot is of another store");
    }
    if (options->prefix.data == NULL && options->prefix.size > 0) {
        return tycho__fail(TYCHO_MISUSE, "the prefix is NULL, and has %zu bytes",
                           options->prefix.size);
    }
    tycho_listing *l = calloc(1, sizeof *l);
    if (l == NULL) return tycho__fail(TYCHO_NO_MEMORY, "no memory for a listing");
    atomic_fetch_add(&store->children, 1);
    l->store = store;
    l->snapshot = options->snapshot;
    l->list = options->list;
    l->is_exact = options->exact != 0;
    l->left = options->limit == 0 ? UINT64_MAX : options->limit;
    status = open_listing(l, options);
    if (status != TYCHO_OK) {
        tycho_listing_close(l);
        return status;
    }
    *out = l;
    return TYCHO_OK;
}

int tycho_listing_next(tycho_listing *l, tycho_item *item) {
    tycho__txn *txn = NULL;
    if (l == NULL || item == NULL) return tycho__fail(TYCHO_MISUSE, "the listing is NULL");
    memset(item, 0, sizeof *item);
    item->revision = -1;
    if (l->is_done || l->left == 0) return TYCHO_END;
    int status = tycho__store_check(l->store);
    if (status == TYCHO_OK && l->snapshot == NULL) status = tycho__txn_read(l->store->env, &txn);
    if (status != TYCHO_OK) return status;
    tycho__txn *view = l->snapshot != NULL ? l->snapshot->txn : txn;
    status = l->list == TYCHO_LIST_STREAMS_OF ? next_place(l, view, item) : next_row(l, view, item);
    tycho__txn_done(txn);
    if (status == TYCHO_OK) l->left--;
    if (status == TYCHO_END || l->is_exact) l->is_done = true;
    return status;
}

void tycho_listing_close(tycho_listing *l) {
    if (l == NULL) return;
    atomic_fetch_sub(&l->store->children, 1);
    tycho__buffer_free(&l->item);
    free(l->places);
    free(l);
}
