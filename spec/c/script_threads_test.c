/* script_threads_test.c - many threads commit and read at once, on two handles, while scripts are
** deployed and taken away: each batch is judged by one set of rules or the other, whole.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <pthread.h>

#include "store_values.h"

#include "script_values.h"

enum { THREADS = 4, BATCHES = 200, EVENTS = 5, DEPLOYMENTS = 12 };

typedef struct worker {
    pthread_t thread;
    tycho_store *store;
    int number;
    int failures;
    int rejected;
    tycho_bytes data;
} worker;

static int append_batch(worker *w, int index) {
    char stream[32];
    tycho_new_event events[EVENTS];
    tycho_batch *batch;
    snprintf(stream, sizeof stream, "cart-%d-%d", w->number, index);
    memset(events, 0, sizeof events);
    for (int i = 0; i < EVENTS; i++) {
        events[i].type = text("Added");
        events[i].data = w->data;
    }
    int status = tycho_batch_create(&batch);
    if (status != TYCHO_OK) return status;
    status = tycho_batch_append(batch, text(stream), TYCHO_EXPECT_ANY, events, EVENTS, 0);
    if (status == TYCHO_OK) status = tycho_commit(w->store, batch, NULL);
    tycho_batch_destroy(batch);
    return status;
}

static int read_some(tycho_store *store) {
    const tycho_read read = {.size = sizeof read, .flags = TYCHO_READ_BACKWARD, .limit = 20};
    tycho_cursor *cursor;
    tycho_event event;
    int status = tycho_cursor_open(store, &read, &cursor);
    if (status != TYCHO_OK) return status;
    while (status == TYCHO_OK) status = tycho_cursor_next(cursor, &event);
    tycho_cursor_close(cursor);
    return status == TYCHO_END ? TYCHO_OK : status;
}

static void *work(void *context) {
    worker *w = context;
    for (int i = 0; i < BATCHES; i++) {
        int status = append_batch(w, i);
        if (status == TYCHO_REJECTED && tycho_scripts_error() != NULL) w->rejected++;
        if (status != TYCHO_OK && status != TYCHO_REJECTED) w->failures++;
        if (read_some(w->store) != TYCHO_OK) w->failures++;
    }
    return NULL;
}

static const char linker[] =
    "return linker { name = 'l', version = %d, from = { types = { 'Added' } },\n"
    "streams = '*', to = function(event) return 'sku-' .. event.data.sku, 'both-' .. %d %% 2 end }";
static const char event_type[] =
    "return event_type { name = 'Added', version = %d, data = { sku = 'string' },\n"
    "upcast = { %s }, tags = function(data) return 'sku:' .. data.sku end }";

/* Deploys linkers and versions of the event type, and takes the linker away now and then. */
static void deploy_all(tycho_store *store) {
    char source[4000], upcasts[3000] = "";
    for (int version = 1; version <= DEPLOYMENTS; version++) {
        snprintf(source, sizeof source, event_type, version, upcasts);
        deploy(store, source);
        size_t used = strlen(upcasts);
        snprintf(upcasts + used, sizeof upcasts - used, "function(data) return data end, ");
        snprintf(source, sizeof source, linker, version, version);
        deploy(store, source);
        if (version % 4 == 0) undeploy(store, TYCHO_LINKER, "l");
    }
}

static void threads_commit_and_read_while_rules_change(void **state) {
    char path[DIRECTORY_SIZE];
    worker workers[THREADS];
    (void)state;
    assert_int_equal(make_directory(path), 0);
    open_values();
    tycho_store *stores[2] = {open_attached(path), open_attached(path)};
    memset(workers, 0, sizeof workers);
    for (int i = 0; i < THREADS; i++) {
        workers[i].store = stores[i % 2];
        workers[i].number = i;
        workers[i].data = packed("{ sku = 'x' }");
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    deploy_all(stores[0]);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        assert_int_equal(workers[i].failures, 0);
        assert_int_equal(workers[i].rejected, 0);
    }
    append(stores[1], "cart-x", "Added", "{ sku = 'y' }");
    assert_int_equal(count_of(stores[0], "", "sku:y"), 1);
    uint64_t both = count_of(stores[0], "both-0", "") + count_of(stores[0], "both-1", "");
    assert_int_equal(both, count_of(stores[0], "sku-x", "") + count_of(stores[0], "sku-y", ""));
    assert_clean(stores[0]);
    for (int i = 0; i < 2; i++) tycho_store_close(stores[i]);
    close_values();
    remove_directory(path);
}

static void *append_wrong(void *context) {
    worker *w = context;
    for (int i = 0; i < BATCHES; i++) {
        int status = append_batch(w, i);
        bool is_right = status == (w->number % 2 == 0 ? TYCHO_OK : TYCHO_REJECTED);
        if (!is_right) w->failures++;
        if (status == TYCHO_REJECTED && tycho_scripts_error()->version != 1) w->failures++;
    }
    return NULL;
}

static void a_refusal_is_that_of_its_thread(void **state) {
    char path[DIRECTORY_SIZE];
    worker workers[THREADS];
    (void)state;
    assert_int_equal(make_directory(path), 0);
    open_values();
    tycho_store *store = open_attached(path);
    deploy(store, "return event_type { name = 'Added', version = 1, check = function(data)\n"
                  "for i = 1, 100 do if data.sku == i then error('no') end end end }");
    memset(workers, 0, sizeof workers);
    for (int i = 0; i < THREADS; i++) {
        workers[i].store = store;
        workers[i].number = i;
        workers[i].data = packed(i % 2 == 0 ? "{ sku = 'x' }" : "{ sku = 50 }");
        assert_int_equal(pthread_create(&workers[i].thread, NULL, append_wrong, &workers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        assert_int_equal(workers[i].failures, 0);
    }
    tycho_store_close(store);
    close_values();
    remove_directory(path);
}

/* Appends one batch in a thread with a stack of this size: the status; the sentence is kept. */
static char told[512];
static void *append_one(void *context) {
    worker *w = context;
    w->failures = append_batch(w, 0);
    snprintf(told, sizeof told, "%s", w->failures == TYCHO_OK ? "" : tycho_error());
    return NULL;
}

static int append_with_stack(tycho_store *store, tycho_bytes data, size_t size) {
    worker w = {.store = store, .data = data};
    pthread_attr_t attributes;
    assert_int_equal(pthread_attr_init(&attributes), 0);
    assert_int_equal(pthread_attr_setstacksize(&attributes, size), 0);
    assert_int_equal(pthread_create(&w.thread, &attributes, append_one, &w), 0);
    assert_int_equal(pthread_join(w.thread, NULL), 0);
    pthread_attr_destroy(&attributes);
    return w.failures;
}

/* Whatever runs a script says so in such a thread; told is what was not refused. */
static void *ask_for_all(void *context) {
    worker *w = context;
    const tycho_event event = {.type = text("ItemAdded"), .data = w->data};
    tycho_additions additions;
    tycho_history_read read;
    tycho_bytes out;
    tycho_script *by_hand = NULL, *links = NULL, *model = NULL, *type = NULL;
    tycho_model *instances = NULL;
    tycho_model_result result;
    const tycho_bytes key = text("k");
    int opened = tycho_script_open(w->store, TYCHO_LINKER, text("l"), &links);
    if (opened == TYCHO_OK)
        opened = tycho_script_open(w->store, TYCHO_READ_MODEL, text("M"), &model);
    if (opened == TYCHO_OK)
        opened = tycho_script_open(w->store, TYCHO_EVENT_TYPE, text("E"), &type);
    if (opened == TYCHO_OK) opened = tycho_model_open(w->store, text("M"), &instances);
    snprintf(told, sizeof told, "opening: %s", tycho_status_code(opened));
    if (opened != TYCHO_OK) return NULL;
    const int answers[] = {
        tycho_script_compile(text("x"), text("return 1"), &by_hand),
        tycho_script_expand_stored(links, NULL, &event, &additions),
        tycho_script_upcast(type, NULL, &event, 1, &out),
        tycho_script_init(model, key),
        tycho_script_set_state(model, key, w->data),
        tycho_script_apply(model, NULL, &event),
        tycho_script_get_state(model, &out),
        tycho_script_history(model, key, 0, &read),
        tycho_model_get(instances, key, NULL, &result),
        tycho_model_prepare(instances, &key, 1, NULL, NULL),
    };
    snprintf(told, sizeof told, "all");
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        if (answers[i] == TYCHO_MISUSE) continue;
        snprintf(told, sizeof told, "%zu: %s", i, tycho_status_code(answers[i]));
        break;
    }
    tycho_script_close(links);
    tycho_script_close(model);
    tycho_script_close(type);
    tycho_model_close(instances);
    return NULL;
}

static void all_that_runs_scripts_is_refused_in_such_a_thread(void **state) {
    char path[DIRECTORY_SIZE];
    pthread_attr_t attributes;
    (void)state;
    assert_int_equal(make_directory(path), 0);
    open_values();
    worker w = {.store = open_attached(path), .data = packed("{ sku = 'x' }")};
    deploy(w.store, "return linker { name = 'l', version = 1, streams = '*',\n"
                    "to = function() return 's' end }");
    deploy(w.store, "return event_type { name = 'E', version = 2,\n"
                    "upcast = { function(data) return data end } }");
    deploy(w.store, "return read_model { name = 'M', version = 1, types = { 'ItemAdded' },\n"
                    "keys = function() end, init = function() return {} end,\n"
                    "history = function() return {} end, on = { _ = function() end } }");
    append(w.store, "s", "Other", "{}"); /* has the rules loaded */
    assert_int_equal(pthread_attr_init(&attributes), 0);
    assert_int_equal(pthread_attr_setstacksize(&attributes, TYCHO_SCRIPTS_STACK / 2), 0);
    assert_int_equal(pthread_create(&w.thread, &attributes, ask_for_all, &w), 0);
    assert_int_equal(pthread_join(w.thread, NULL), 0);
    pthread_attr_destroy(&attributes);
    assert_string_equal(told, "all");
    tycho_store_close(w.store);
    close_values();
    remove_directory(path);
}

static void a_thread_whose_stack_is_too_small_for_scripts_is_refused(void **state) {
    char path[DIRECTORY_SIZE];
    (void)state;
    assert_int_equal(make_directory(path), 0);
    open_values();
    tycho_store *store = open_attached(path);
    tycho_bytes data = packed("{ sku = 'x' }");
    assert_int_equal(append_with_stack(store, data, TYCHO_SCRIPTS_STACK / 2), TYCHO_OK);
    deploy(store, "return linker { name = 'l', version = 1, streams = '*', to = function(event)\n"
                  "local function f(s) return (s:gsub('.', f)) end return f('x') end }");
    uint64_t head = count_of(store, "", "");
    assert_int_equal(append_with_stack(store, data, TYCHO_SCRIPTS_STACK / 2), TYCHO_MISUSE);
    assert_non_null(strstr(told, "KiB of stack left, and scripts need 512 KiB"));
    assert_int_equal(append_with_stack(store, data, 16 * TYCHO_SCRIPTS_STACK), TYCHO_REJECTED);
    assert_non_null(strstr(told, "C stack overflow"));
    assert_int_equal(count_of(store, "", ""), head);
    tycho_store_close(store);
    close_values();
    remove_directory(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_whose_stack_is_too_small_for_scripts_is_refused),
        cmocka_unit_test(all_that_runs_scripts_is_refused_in_such_a_thread),
        cmocka_unit_test(threads_commit_and_read_while_rules_change),
        cmocka_unit_test(a_refusal_is_that_of_its_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
