/* script_models_threads_test.c - threads ask for instances of a read model, on two handles of a
** store, while others publish and the model is deployed anew: each answer has exactly the events up
** to its position.
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

enum { PUBLISHERS = 2, ASKERS = 3, BATCHES = 150, QUESTIONS = 150, KEYS = 4, VERSIONS = 10 };

typedef struct worker {
    pthread_t thread;
    tycho_store *store;
    int number;
    int failures;
    const tycho_bytes *data; /* by key */
} worker;

static const char model[] =
    "return read_model { name = 'Count', version = %d, types = { 'N' }, order = 'time',\n"
    "  keys = function(event) return event.data.key end,\n"
    "  history = function(key) return { { tags = 'of:' .. key } } end,\n"
    "  init = function() return 0 end, on = { N = function(state) return state + 1 end } }";

static int publish(worker *w, int key) {
    char name[16];
    snprintf(name, sizeof name, "of:%d", key);
    const tycho_bytes tag = text(name);
    const tycho_new_event event = {
        .type = text("N"), .tags = &tag, .tag_count = 1, .data = w->data[key]};
    tycho_batch *batch;
    int status = tycho_batch_create(&batch);
    if (status != TYCHO_OK) return status;
    status = tycho_batch_append(batch, text("n"), TYCHO_EXPECT_ANY, &event, 1, 0);
    if (status == TYCHO_OK) status = tycho_commit(w->store, batch, NULL);
    tycho_batch_destroy(batch);
    return status;
}

static void *publish_all(void *context) {
    worker *w = context;
    for (int i = 0; i < BATCHES; i++) {
        if (publish(w, (i + w->number) % KEYS) != TYCHO_OK) w->failures++;
    }
    return NULL;
}

/* Asks, and counts the events of the key up to the position of the answer. */
static int ask(worker *w, tycho_model *opened, int key) {
    char digits[16], name[16];
    const tycho_model_options options = {.size = sizeof options, .snapshot_after = 3};
    tycho_model_result result;
    uint64_t count;
    snprintf(digits, sizeof digits, "%d", key);
    snprintf(name, sizeof name, "of:%d", key);
    const tycho_bytes tag = text(name);
    const tycho_query_item item = {.tags = &tag, .tag_count = 1};
    const tycho_query query = {&item, 1};
    int status = tycho_model_get(opened, text(digits), &options, &result);
    if (status != TYCHO_OK) return status;
    const tycho_read read = {.size = sizeof read,
                             .flags = TYCHO_READ_TO_POSITION,
                             .to_position = result.position + 1,
                             .query = &query};
    status = tycho_count(w->store, &read, &count);
    if (status != TYCHO_OK) return status;
    return count == result.events ? TYCHO_OK : TYCHO_CORRUPT;
}

static void *ask_all(void *context) {
    worker *w = context;
    tycho_model *opened;
    if (tycho_model_open(w->store, text("Count"), &opened) != TYCHO_OK) {
        w->failures++;
        return NULL;
    }
    for (int i = 0; i < QUESTIONS; i++) {
        if (ask(w, opened, (i + w->number) % KEYS) != TYCHO_OK) w->failures++;
    }
    tycho_model_close(opened);
    return NULL;
}

static void deploy_version(tycho_store *store, int version) {
    char source[600];
    snprintf(source, sizeof source, model, version);
    deploy(store, source);
}

static void each_answer_has_the_events_up_to_its_position(void **state) {
    char path[DIRECTORY_SIZE], value[32];
    worker workers[PUBLISHERS + ASKERS];
    tycho_bytes data[KEYS];
    (void)state;
    assert_int_equal(make_directory(path), 0);
    open_values();
    for (int key = 0; key < KEYS; key++) {
        snprintf(value, sizeof value, "{ key = %d }", key);
        data[key] = packed(value);
    }
    tycho_store *stores[2] = {open_attached(path), open_attached(path)};
    memset(workers, 0, sizeof workers);
    worker first = {.store = stores[0], .data = data};
    for (int i = 0; i < 3 * KEYS; i++) ASSERT_STATUS(publish(&first, i % KEYS), TYCHO_OK);
    deploy_version(stores[0], 1);
    for (int i = 0; i < PUBLISHERS + ASKERS; i++) {
        workers[i].store = stores[i % 2];
        workers[i].number = i;
        workers[i].data = data;
        assert_int_equal(pthread_create(&workers[i].thread, NULL,
                                        i < PUBLISHERS ? publish_all : ask_all, &workers[i]),
                         0);
    }
    for (int version = 2; version <= VERSIONS; version++) deploy_version(stores[1], version);
    for (int i = 0; i < PUBLISHERS + ASKERS; i++) {
        pthread_join(workers[i].thread, NULL);
        assert_int_equal(workers[i].failures, 0);
    }
    assert_clean(stores[0]);
    for (int i = 0; i < 2; i++) tycho_store_close(stores[i]);
    close_values();
    remove_directory(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_answer_has_the_events_up_to_its_position),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
