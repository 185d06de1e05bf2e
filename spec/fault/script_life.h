/* script_life.h - a life in which scripts are deployed, check, tag, link, upcast, are asked for a
** state, maintained and back-filled, also in vain, for tests in which something fails on the way. A
** step that failed can be run again. To be included behind cmocka.h.
*/
#ifndef TYCHO_SPEC_SCRIPT_LIFE_H
#define TYCHO_SPEC_SCRIPT_LIFE_H

#include "store_values.h"

#include "script_values.h"

enum { STEPS = 18 };

typedef struct life {
    const char *path;
    tycho_store *store;
    tycho_bytes old_data, new_data;
} life;

static int attach(life *l) {
    if (l->store == NULL) {
        int status = open_store(l->path, TYCHO_CREATE, &l->store);
        if (status != TYCHO_OK) return status;
    }
    return tycho_scripts_attach(l->store);
}

/* Deploys without asserting anything. */
static int deploy_one(tycho_store *store, const char *source) {
    tycho_deployment *deployment = NULL;
    tycho_batch *batch = NULL;
    int status = tycho_batch_create(&batch);
    if (status == TYCHO_OK) status = tycho_deployment_open(store, &deployment);
    if (status == TYCHO_OK) status = tycho_deployment_put(deployment, text("t"), text(source), 0);
    if (status == TYCHO_OK) status = tycho_deployment_write(deployment, batch);
    bool is_there = status == TYCHO_OK && tycho_deployment_count(deployment) == 1;
    tycho_change change;
    if (is_there) tycho_deployment_get(deployment, 0, &change);
    if (is_there && change.change != TYCHO_CHANGE_UNCHANGED) {
        status = tycho_commit(store, batch, NULL);
    }
    tycho_deployment_close(deployment);
    tycho_batch_destroy(batch);
    return status;
}

static int deploy_type(life *l) {
    return deploy_one(l->store,
                      "return event_type { name = 'T', version = 2, former_names = { 't' },\n"
                      "data = { n = 'integer', list = array { s = optional 'string' } },\n"
                      "check = function(data) if data.n < 0 then return 'no' end end,\n"
                      "tags = function(data) return 'n:' .. data.n end,\n"
                      "upcast = { function(data) return { n = data.m, list = {} } end } }");
}

static int deploy_linker(life *l) {
    return deploy_one(l->store, "return linker { name = 'l', version = 1, from = { types = { 'T' "
                                "} }, streams = 'n-*',\n"
                                "to = function(event) return 'n-' .. event.data.n end }");
}

static int append_one(life *l, const char *stream, const char *id, const char *type,
                      tycho_bytes data) {
    const tycho_new_event event = {.id = text(id), .type = text(type), .data = data};
    tycho_batch *batch = NULL;
    int status = tycho_batch_create(&batch);
    if (status == TYCHO_OK) {
        status = tycho_batch_append(batch, text(stream), TYCHO_EXPECT_ANY, &event, 1, 0);
    }
    if (status == TYCHO_OK) status = tycho_commit(l->store, batch, NULL);
    tycho_batch_destroy(batch);
    return status;
}

static int append_old(life *l) {
    return append_one(l, "s", "one", "t", l->old_data);
}

static int append_new(life *l) {
    return append_one(l, "s", "two", "T", l->new_data);
}

/* Both events are served as T, the first one upcast. */
static int read_all(life *l) {
    const tycho_bytes types = text("T");
    const tycho_query_item item = {.types = &types, .type_count = 1};
    const tycho_query query = {&item, 1};
    const tycho_read read = {.size = sizeof read, .query = &query};
    tycho_cursor *cursor = NULL;
    tycho_event event;
    int count = 0, status = tycho_cursor_open(l->store, &read, &cursor);
    while (status == TYCHO_OK && (status = tycho_cursor_next(cursor, &event)) == TYCHO_OK) {
        count += event.type.size == 1 && memcmp(event.type.data, "T", 1) == 0 ? 1 : 100;
    }
    tycho_cursor_close(cursor);
    if (status != TYCHO_END) return status;
    return count == 2 ? TYCHO_OK : TYCHO_CORRUPT;
}

static int run_by_hand(life *l) {
    const tycho_event event = {.type = text("T"), .data = l->new_data};
    tycho_script *script = NULL;
    tycho_additions additions;
    int status = tycho_script_open(l->store, TYCHO_LINKER, text("l"), &script);
    if (status == TYCHO_OK) status = tycho_script_expand_stored(script, NULL, &event, &additions);
    if (status == TYCHO_OK && additions.link_count != 1) status = TYCHO_CORRUPT;
    tycho_script_close(script);
    return status;
}

static int deploy_model(life *l) {
    return deploy_one(l->store, "return read_model { name = 'M', version = 1, types = { 'T' },\n"
                                "keys = function(event) return event.data.n end,\n"
                                "history = function(key) return { { tags = 'n:' .. key },\n"
                                "  function(_, found) return { stream = found.stream } end } end,\n"
                                "init = function() return { stream = 's', count = 0 } end,\n"
                                "on = { T = function(state, event)\n"
                                "  state.count = state.count + 1 end } }");
}

/* Both events are in the stream `s`, so its function finds the other one, too. */
static int ask(life *l) {
    const tycho_model_options options = {.size = sizeof options, .snapshot_after = 1};
    tycho_model *model = NULL;
    tycho_model_result result = {.events = 2};
    int status = tycho_model_open(l->store, text("M"), &model);
    if (status == TYCHO_OK) status = tycho_model_get(model, text("5"), &options, &result);
    if (status == TYCHO_OK && result.events != 2) status = TYCHO_CORRUPT;
    tycho_model_close(model);
    return status;
}

/* From where it is to its end. */
static int back_fill(life *l, const char *source) {
    const tycho_backfill_options options = {.size = sizeof options, .source = text(source)};
    tycho_backfill *backfill = NULL;
    int status = tycho_backfill_open(l->store, &options, &backfill);
    while (status == TYCHO_OK) status = tycho_backfill_step(backfill, 1);
    tycho_backfill_close(backfill);
    return status == TYCHO_END ? TYCHO_OK : status;
}

static int back_fill_new(life *l) {
    return back_fill(l, "return linker { name = 'b', version = 1, streams = 'b-*',\n"
                        "to = function(event)\n"
                        "return event.data.n == 5 and 'b-x' or { 'b-y', 'b-z' } end }");
}

/* What is older comes to "b-x", which is made anew; "b-y" ends. */
static int back_fill_changed(life *l) {
    return back_fill(l, "return linker { name = 'b', version = 2, streams = 'b-*',\n"
                        "to = function() return { 'b-x', 'b-z' } end }");
}

/* A stream that somebody writes to, and a linker that links into it, without its older events. */
static int append_to_linked(life *l) {
    int status = append_one(l, "h", "three", "X", l->new_data);
    if (status == TYCHO_DUPLICATE_EVENT) status = TYCHO_OK; /* this step failed behind it */
    if (status != TYCHO_OK) return status;
    return deploy_one(l->store, "return linker { name = 'h', version = 1, from = { types = { 'T' "
                                "} }, streams = 'h', to = function() return 'h' end }");
}

/* Both older events come into it, behind the one that was appended. */
static int back_fill_linked(life *l) {
    return back_fill(l, "return linker { name = 'h', version = 1, from = { types = { 'T' "
                        "} }, streams = 'h', to = function() return 'h' end }");
}

/* And one of them goes. */
static int back_fill_less(life *l) {
    return back_fill(l, "return linker { name = 'h', version = 2, from = { types = { 'T' "
                        "} }, streams = 'h',\n"
                        "to = function(event) return event.data.n == 4 and 'h' or {} end }");
}

/* Begins, unless that was done, and gives it up. */
static int give_up(life *l, const char *source) {
    const tycho_backfill_options options = {.size = sizeof options, .source = text(source)};
    tycho_backfill *backfill = NULL;
    tycho_backfill_status now = {.phase = TYCHO_BACKFILL_NEW};
    int status = tycho_backfill_open(l->store, &options, &backfill);
    if (status == TYCHO_OK) tycho_backfill_status_get(backfill, &now);
    if (status == TYCHO_OK && now.phase == TYCHO_BACKFILL_NEW) {
        status = tycho_backfill_step(backfill, 2);
    }
    if (status == TYCHO_OK) status = tycho_backfill_cancel(backfill);
    while (status == TYCHO_OK) status = tycho_backfill_step(backfill, 1);
    tycho_backfill_close(backfill);
    return status == TYCHO_END ? TYCHO_OK : status;
}

static int give_up_both(life *l) {
    int status = give_up(l, "return linker { name = 'g', version = 1, streams = 'g-*',\n"
                            "to = function() return { 'g-x', 'g-y' } end }");
    if (status != TYCHO_OK) return status;
    return give_up(l, "return linker { name = 'b', version = 3, streams = 'b-*',\n"
                      "to = function() return { 'b-x', 'b-q' } end }");
}

static int deploy_model_anew(life *l) {
    return deploy_one(l->store, "return read_model { name = 'M', version = 2, types = { 'T' },\n"
                                "keys = function(event) return event.data.n end,\n"
                                "history = function(key) return { { tags = 'n:' .. key },\n"
                                "  { stream = 's' } } end,\n"
                                "init = function() return { count = 0 } end,\n"
                                "on = { T = function(state, event)\n"
                                "  state.count = state.count + 1 end } }");
}

/* Two instances are there and made current; one is forgotten. */
static int maintain(life *l) {
    const tycho_bytes keys[] = {text("5"), text("6")};
    tycho_model *model = NULL;
    tycho_model_instance instance = {.is_current = 0};
    tycho_model_totals totals = {.instances = 0};
    int status = tycho_model_open(l->store, text("M"), &model);
    if (status == TYCHO_OK) status = tycho_model_prepare(model, keys, 2, NULL, NULL);
    if (status == TYCHO_OK) status = tycho_model_maintain(model, NULL, NULL);
    if (status == TYCHO_OK) status = tycho_model_look(model, text("5"), &instance);
    if (status == TYCHO_OK && !instance.is_current) status = TYCHO_CORRUPT;
    if (status == TYCHO_OK) status = tycho_model_count(model, &totals);
    if (status == TYCHO_OK && totals.current != 2) status = TYCHO_CORRUPT;
    if (status == TYCHO_OK) status = tycho_model_forget(model, text("6"));
    tycho_model_close(model);
    return status;
}

static int (*const steps[STEPS])(life *) = {
    attach,      append_old,        deploy_type,      deploy_linker,    append_new,     read_all,
    run_by_hand, deploy_model,      ask,              back_fill_new,    back_fill_changed,
    append_to_linked, back_fill_linked, back_fill_less, give_up_both,   deploy_model_anew,
    maintain,    ask};

/* A back-fill leaves no stream of its own. */
static void assert_nothing_beside(tycho_store *store) {
    const tycho_list_options options = {.size = sizeof options, .prefix = text("$backfill")};
    tycho_listing *listing;
    tycho_item item;
    ASSERT_STATUS(tycho_listing_open(store, &options, &listing), TYCHO_OK);
    ASSERT_STATUS(tycho_listing_next(listing, &item), TYCHO_END);
    tycho_listing_close(listing);
}

/* The end of a life in which each step succeeded at last. */
static void check_and_close(life *l) {
    assert_int_equal(count_of(l->store, "n-5", ""), 1);
    assert_int_equal(count_of(l->store, "", "n:5"), 1);
    assert_int_equal(count_of(l->store, "s", ""), 2);
    assert_int_equal(count_of(l->store, "M$5", ""), 2);
    assert_int_equal(count_of(l->store, "b-x", ""), 3);
    assert_int_equal(count_of(l->store, "b-y", ""), 0);
    assert_int_equal(count_of(l->store, "b-z", ""), 3);
    assert_int_equal(count_of(l->store, "b-q", ""), 0);
    assert_int_equal(count_of(l->store, "g-x", ""), 0);
    assert_int_equal(count_of(l->store, "h", ""), 2);
    assert_int_equal(count_of(l->store, "M$6", ""), 0);
    assert_nothing_beside(l->store);
    assert_clean(l->store);
    tycho_store_close(l->store);
    remove_directory(l->path);
}

#endif
