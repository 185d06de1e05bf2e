/* translate.c - what hooks do to a read: events under the names and in the versions of the rules.
**
** A cursor asks for what the hooks hold when it first meets rules, and again when a block was read
** under others; in a store without scripts, and where the rules change nothing that is read, that
** is one comparison an event. Types of a query are widened by their former names when it is
** compiled, so that the filter knows numbers alone, as ever.
*/
#include <stdlib.h>

#include "cursor.h"

void tycho__cursor_release(tycho_cursor *c) {
    if (c->held != NULL) c->store->hooks.release(c->store->hooks.context, c->held);
    c->held = NULL;
    c->rules = 0;
}

int tycho__cursor_hold(tycho_cursor *c) {
    const tycho_hooks *hooks = &c->store->hooks;
    tycho__cursor_release(c);
    if (c->block_rules == 0) return TYCHO_OK;
    int status = hooks->hold(hooks->context, c->store, c->block_rules, &c->held);
    if (status == TYCHO_OK) c->rules = c->block_rules;
    return status;
}

/* What cannot be widened is refused when it is encoded. */
static bool has_types(const tycho_query_item *item) {
    return item->types != NULL && item->type_count <= TYCHO_QUERY_MAX;
}

/* Copies the types of an item, with their former names, to `to` unless it is NULL; how many. */
static size_t widen_item(const tycho_cursor *c, const tycho_query_item *item, tycho_bytes *to) {
    size_t count = 0;
    for (size_t i = 0; i < item->type_count; i++) {
        const tycho_bytes *names = NULL;
        size_t former = c->store->hooks.former(c->held, item->types[i], &names);
        if (to != NULL) to[count] = item->types[i];
        if (to != NULL && former > 0) memcpy(to + count + 1, names, former * sizeof *names);
        count += 1 + former;
    }
    return count;
}

int tycho__cursor_widen(tycho_cursor *c, const tycho_query *query, tycho_query **wider) {
    size_t before = 0, count = 0;
    *wider = NULL;
    int status = c->block_rules != c->rules ? tycho__cursor_hold(c) : TYCHO_OK;
    if (status != TYCHO_OK || c->held == NULL) return status;
    if (query->items == NULL || query->item_count > TYCHO_QUERY_MAX) return TYCHO_OK;
    for (size_t i = 0; i < query->item_count; i++) {
        if (!has_types(&query->items[i])) continue;
        before += query->items[i].type_count;
        count += widen_item(c, &query->items[i], NULL);
    }
    if (count == before) return TYCHO_OK;
    tycho_query *made = malloc(sizeof *made + query->item_count * sizeof(tycho_query_item) +
                               count * sizeof(tycho_bytes));
    if (made == NULL) return tycho__fail(TYCHO_NO_MEMORY, "no memory for a query");
    tycho_query_item *items = (tycho_query_item *)(made + 1);
    tycho_bytes *to = (tycho_bytes *)(items + query->item_count);
    for (size_t i = 0; i < query->item_count; i++) {
        items[i] = query->items[i];
        if (!has_types(&items[i])) continue;
        items[i].types = to;
        items[i].type_count = widen_item(c, &query->items[i], to);
        to += items[i].type_count;
    }
    made->items = items;
    made->item_count = query->item_count;
    *wider = made;
    return TYCHO_OK;
}

void *tycho_cursor_room(tycho_cursor *c, size_t size) {
    c->room.size = 0;
    return tycho__buffer_reserve(&c->room, size + 1) == TYCHO_OK ? c->room.data : NULL;
}
