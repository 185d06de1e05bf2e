/* query.c - queries over types and tags; see query.h. */
#include "query.h"

#include <stdlib.h>

#include "buffer.h"

/* One alternative. Its names are a run of the query's `numbers` and `walks`: types, then tags. */
typedef struct alternative {
    uint32_t first;
    uint32_t type_count;
    uint32_t tag_count;
} alternative;

struct tycho__query {
    alternative items[TYCHO_QUERY_MAX];
    uint32_t item_count;
    bool is_everything;
    uint32_t numbers[TYCHO_QUERY_MAX];
    uint32_t name_count;
    tycho__entries *walks; /* one a name, made by the first begin */
};

/* ---------------------------------------------------------------- compiling */

/* Reads `count` names of one kind. Unknown ones are left out and make `*is_complete` false. */
static int compile_names(tycho__txn *txn, tycho__query *query, tycho__reader *list, uint8_t kind,
                         uint32_t count, bool *is_complete) {
    *is_complete = true;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t number;
        tycho_bytes name = tycho__read_bytes(list, tycho__read8(list));
        int status = tycho__list_find(txn, kind, name, &number);
        if (status == TYCHO_NOT_FOUND) {
            *is_complete = false;
            continue;
        }
        if (status != TYCHO_OK) return status;
        if (query->name_count == TYCHO_QUERY_MAX) {
            return tycho__fail(TYCHO_TOO_LARGE, "a query has over %d names", TYCHO_QUERY_MAX);
        }
        query->numbers[query->name_count++] = number;
    }
    return TYCHO_OK;
}

static int compile_item(tycho__txn *txn, tycho__query *query, tycho__reader *list) {
    bool has_all_types, has_all_tags;
    alternative item = {.first = query->name_count};
    uint32_t type_count = tycho__read16(list), tag_count = tycho__read16(list);
    int status = compile_names(txn, query, list, TYCHO__TYPE, type_count, &has_all_types);
    item.type_count = query->name_count - item.first;
    if (status == TYCHO_OK) {
        status = compile_names(txn, query, list, TYCHO__TAG, tag_count, &has_all_tags);
    }
    item.tag_count = query->name_count - item.first - item.type_count;
    if (status != TYCHO_OK) return status;
    if (list->bad) return tycho__fail(TYCHO_CORRUPT, "a query is cut off");
    if (type_count == 0 && tag_count == 0) query->is_everything = true;
    bool can_match = has_all_tags && (type_count == 0 || item.type_count > 0);
    if (can_match) {
        query->items[query->item_count++] = item;
    } else {
        query->name_count = item.first;
    }
    return TYCHO_OK;
}

int tycho__query_compile(tycho__txn *txn, tycho_bytes list, uint32_t count, tycho__query **out) {
    assert(count <= TYCHO_QUERY_MAX);
    tycho__query *query = calloc(1, sizeof *query);
    if (query == NULL) return tycho__fail(TYCHO_NO_MEMORY, "no memory for a query");
    query->is_everything = count == 0;
    tycho__reader reader = tycho__reader_of(list);
    for (uint32_t i = 0; i < count; i++) {
        int status = compile_item(txn, query, &reader);
        if (status != TYCHO_OK) {
            tycho__query_free(query);
            return status;
        }
    }
    *out = query;
    return TYCHO_OK;
}

void tycho__query_free(tycho__query *query) {
    if (query == NULL) return;
    free(query->walks);
    free(query);
}

bool tycho__query_is_everything(const tycho__query *query) {
    return query->is_everything;
}

/* ---------------------------------------------------------------- matching */

static bool has_tag(const tycho__event_view *event, uint32_t number) {
    for (uint32_t i = 0; i < event->tag_count; i++) {
        if (tycho__record_tag(event, i) == number) return true;
    }
    return false;
}

static bool item_matches(const tycho__query *query, const alternative *item,
                         const tycho__event_view *event) {
    const uint32_t *types = query->numbers + item->first, *tags = types + item->type_count;
    bool has_type = item->type_count == 0;
    for (uint32_t i = 0; i < item->type_count && !has_type; i++) {
        has_type = types[i] == event->type_number;
    }
    if (!has_type) return false;
    for (uint32_t i = 0; i < item->tag_count; i++) {
        if (!has_tag(event, tags[i])) return false;
    }
    return true;
}

bool tycho__query_matches(const tycho__query *query, const tycho__event_view *event) {
    if (query->is_everything) return true;
    for (uint32_t i = 0; i < query->item_count; i++) {
        if (item_matches(query, &query->items[i], event)) return true;
    }
    return false;
}

/* ---------------------------------------------------------------- walking */

int tycho__query_begin(tycho__query *query, tycho__txn *txn) {
    if (query->walks == NULL && query->name_count > 0) {
        query->walks = malloc(query->name_count * sizeof *query->walks);
        if (query->walks == NULL) return tycho__fail(TYCHO_NO_MEMORY, "no memory for a query");
    }
    for (uint32_t i = 0; i < query->item_count; i++) {
        const alternative *item = &query->items[i];
        for (uint32_t j = 0; j < item->type_count + item->tag_count; j++) {
            uint32_t index = item->first + j;
            tycho__list list;
            uint8_t kind = j < item->type_count ? TYCHO__TYPE : TYCHO__TAG;
            int status = tycho__list_read(txn, kind, query->numbers[index], &list);
            if (status == TYCHO_NOT_FOUND) {
                return tycho__fail(TYCHO_CORRUPT, "list %u of kind %u has a name but no row",
                                   query->numbers[index], kind);
            }
            if (status != TYCHO_OK) return status;
            tycho__entries_begin(&query->walks[index], txn, &list);
        }
    }
    return TYCHO_OK;
}

static int step(tycho__entries *walk, bool forward, uint64_t position, uint64_t *found) {
    tycho__entry entry;
    int status = forward ? tycho__entries_from(walk, position, &entry)
                         : tycho__entries_back(walk, position, &entry);
    if (status == TYCHO_OK) *found = entry.position;
    return status;
}

static bool is_nearer(bool forward, uint64_t a, uint64_t b) {
    return forward ? a < b : a > b;
}

/* The nearest position that all lists have: each list in turn moves to the candidate; one that
** goes beyond makes the new candidate. */
static int all_of(tycho__entries *walks, uint32_t count, bool forward, uint64_t position,
                  uint64_t *found) {
    uint32_t agreed = 0;
    for (uint32_t i = 0; agreed < count; i = (i + 1) % count) {
        uint64_t at;
        int status = step(&walks[i], forward, position, &at);
        if (status != TYCHO_OK) return status;
        agreed = at == position ? agreed + 1 : 1;
        position = at;
    }
    *found = position;
    return TYCHO_OK;
}

static int any_of(tycho__entries *walks, uint32_t count, bool forward, uint64_t position,
                  uint64_t *found) {
    bool is_found = false;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t at;
        int status = step(&walks[i], forward, position, &at);
        if (status == TYCHO_END) continue;
        if (status != TYCHO_OK) return status;
        if (!is_found || is_nearer(forward, at, *found)) *found = at;
        is_found = true;
    }
    return is_found ? TYCHO_OK : TYCHO_END;
}

static int walk(tycho__query *query, bool forward, uint64_t position, uint64_t *found) {
    bool is_found = false;
    assert(!query->is_everything);
    for (uint32_t i = 0; i < query->item_count; i++) {
        const alternative *item = &query->items[i];
        tycho__entries *walks = query->walks + item->first;
        uint64_t at = 0;
        int status = item->tag_count > 0
                         ? all_of(walks + item->type_count, item->tag_count, forward, position, &at)
                         : any_of(walks, item->type_count, forward, position, &at);
        if (status == TYCHO_END) continue;
        if (status != TYCHO_OK) return status;
        if (!is_found || is_nearer(forward, at, *found)) *found = at;
        is_found = true;
    }
    return is_found ? TYCHO_OK : TYCHO_END;
}

int tycho__query_from(tycho__query *query, uint64_t position, uint64_t *found) {
    return walk(query, true, position, found);
}

int tycho__query_back(tycho__query *query, uint64_t position, uint64_t *found) {
    return walk(query, false, position, found);
}

uint32_t tycho__query_ahead(const tycho__query *query, bool forward, uint64_t position,
                            uint64_t *positions, uint32_t most) {
    if (query->name_count != 1 || query->is_everything) return 0;
    return tycho__entries_ahead(&query->walks[0], position, forward, positions, most);
}
