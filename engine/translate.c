/* translate.c - what hooks do to a read: events under the names and in the versions of the rules.
**
** A cursor asks for what the hooks hold when it first meets rules, and again when a block was read
** under others; in a store without scripts, and where the rules change nothing that is read, that
** is one comparison an event. A snapshot asks when it is opened, for all its cursors, so that they
** read by the rules of then. Types of a query are widened by their former names when it is
** compiled, so that the filter knows numbers alone, as ever. A condition of a batch gets a second
** one of the same kind for the names that are missing in it, after hooks have expanded the batch.
*/
#include <stdlib.h>

#include "batch.h"
#include "cursor.h"

static bool is_borrowing(const tycho_cursor *c) {
    return c->snapshot != NULL && c->snapshot->has_held;
}

void tycho__cursor_release(tycho_cursor *c) {
    bool is_own = c->held != NULL && !is_borrowing(c);
    if (is_own) c->store->hooks.release(c->store->hooks.context, c->held);
    c->held = NULL;
    c->rules = 0;
}

int tycho__cursor_hold(tycho_cursor *c) {
    const tycho_hooks *hooks = &c->store->hooks;
    tycho__cursor_release(c);
    if (c->block_rules == 0) return TYCHO_OK;
    if (is_borrowing(c)) {
        c->held = c->snapshot->held;
        c->rules = c->block_rules;
        return TYCHO_OK;
    }
    int status = hooks->hold(hooks->context, c->store, c->block_rules, &c->held);
    if (status == TYCHO_OK) c->rules = c->block_rules;
    return status;
}

void tycho__snapshot_hold(tycho_snapshot *snapshot) {
    const tycho_hooks *hooks = &snapshot->store->hooks;
    uint64_t rules = snapshot->txn->state.rules;
    if (hooks->hold == NULL || rules == 0) return;
    int status = hooks->hold(hooks->context, snapshot->store, rules, &snapshot->held);
    snapshot->has_held = status == TYCHO_OK;
}

void tycho__snapshot_let_go(tycho_snapshot *snapshot) {
    const tycho_hooks *hooks = &snapshot->store->hooks;
    if (snapshot->held != NULL) hooks->release(hooks->context, snapshot->held);
    snapshot->held = NULL;
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
        count++;
        for (size_t j = 0; j < former; j++) {
            if (tycho__equal(names[j], item->types[i])) continue;
            if (to != NULL) to[count] = names[j];
            count++;
        }
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

/* ---------------------------------------------------------------- conditions */

/* What a condition lacks: its items whose types have further names, with these alone. */
struct lack {
    tycho_query_item items[TYCHO_QUERY_MAX];
    tycho_bytes names[TYCHO_QUERY_MAX];
    size_t item_count, name_count;
};

static int add_name(struct lack *lack, tycho_bytes name) {
    if (lack->name_count == TYCHO_QUERY_MAX) {
        return tycho__fail(TYCHO_TOO_LARGE,
                           "a condition has, with former names of types, over %d "
                           "names",
                           TYCHO_QUERY_MAX);
    }
    lack->names[lack->name_count++] = name;
    return TYCHO_OK;
}

/* Reads one item of a condition, and adds it if it lacks something. */
static int add_item(const tycho_store *store, void *held, tycho__reader *list, struct lack *lack) {
    uint32_t type_count = tycho__read16(list), tag_count = tycho__read16(list);
    tycho_query_item *item = &lack->items[lack->item_count];
    int status = TYCHO_OK;
    item->types = lack->names + lack->name_count;
    item->type_count = lack->name_count;
    for (uint32_t i = 0; i < type_count && status == TYCHO_OK; i++) {
        const tycho_bytes *names = NULL;
        tycho_bytes type = tycho__read_bytes(list, tycho__read8(list));
        size_t count = store->hooks.former(held, type, &names);
        for (size_t j = 0; j < count && status == TYCHO_OK; j++) {
            if (!tycho__equal(names[j], type)) status = add_name(lack, names[j]);
        }
    }
    item->type_count = lack->name_count - item->type_count;
    item->tags = lack->names + lack->name_count;
    item->tag_count = item->type_count > 0 ? tag_count : 0;
    for (uint32_t i = 0; i < tag_count && status == TYCHO_OK; i++) {
        tycho_bytes tag = tycho__read_bytes(list, tycho__read8(list));
        if (item->type_count > 0) status = add_name(lack, tag);
    }
    if (item->type_count > 0) lack->item_count++;
    return status;
}

static int widen_conditions(const tycho_store *store, void *held, tycho_batch *batch,
                            tycho__reader steps) {
    int status = TYCHO_OK;
    for (uint32_t i = 0; status == TYCHO_OK && tycho__reader_left(&steps) > 0; i++) {
        tycho__step step;
        struct lack lack = {.item_count = 0};
        status = tycho__step_read(&steps, &step, true);
        if (status != TYCHO_OK || step.kind != TYCHO__NONE_MATCH) continue;
        tycho__reader list = tycho__reader_of(step.list);
        for (uint32_t j = 0; j < step.count && status == TYCHO_OK; j++) {
            status = add_item(store, held, &list, &lack);
        }
        const tycho_query query = {lack.items, lack.item_count};
        if (status != TYCHO_OK || lack.item_count == 0) continue;
        status = tycho__buffer_append(&batch->widened, &i, sizeof i);
        if (status == TYCHO_OK) status = tycho_batch_expect_none(batch, &query, step.number);
    }
    return status;
}

int tycho__batch_widen(tycho_store *store, uint64_t rules, tycho_batch *batch, uint32_t count) {
    tycho__buffer copy = {NULL, 0, 0}; /* since the conditions move */
    void *held = NULL;
    batch->widened.size = 0;
    if (batch->query_count == 0 || rules == 0 || store->hooks.former == NULL) return TYCHO_OK;
    tycho__reader steps = tycho__reader_of(tycho__buffer_bytes(&batch->conditions));
    const uint8_t *begin = steps.at;
    int status = TYCHO_OK;
    for (uint32_t i = 0; i < count && status == TYCHO_OK; i++) {
        tycho__step step;
        status = tycho__step_read(&steps, &step, true);
    }
    if (status == TYCHO_OK) status = tycho__buffer_append(&copy, begin, (size_t)(steps.at - begin));
    if (status == TYCHO_OK) status = store->hooks.hold(store->hooks.context, store, rules, &held);
    if (status == TYCHO_OK && held != NULL) {
        steps = tycho__reader_of(tycho__buffer_bytes(&copy));
        status = widen_conditions(store, held, batch, steps);
    }
    if (held != NULL) store->hooks.release(store->hooks.context, held);
    tycho__buffer_free(&copy);
    return status;
}

void tycho__batch_name_condition(tycho_batch *batch, uint32_t count) {
    int32_t first = (int32_t)count, index = batch->receipt.condition - first;
    int32_t widened = (int32_t)(batch->widened.size / sizeof(uint32_t));
    if (index < 0 || index >= widened) return;
    memcpy(&batch->receipt.condition, batch->widened.data + (size_t)index * sizeof(uint32_t),
           sizeof(uint32_t));
}

void *tycho_cursor_room(tycho_cursor *c, size_t size) {
    c->room.size = 0;
    return tycho__buffer_reserve(&c->room, size + 1) == TYCHO_OK ? c->room.data : NULL;
}

size_t tycho_cursor_former(const tycho_cursor *c, tycho_bytes type, const tycho_bytes **names) {
    *names = NULL;
    return c == NULL || c->held == NULL ? 0 : c->store->hooks.former(c->held, type, names);
}
