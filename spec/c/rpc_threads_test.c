/* rpc_threads_test.c - one dispatcher, many threads, each with its session: nothing is lost or
** answered to the wrong caller, also while the store is opened anew under the calls.
*/
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "tycho_rpc.h"

enum { WRITERS = 4, ROUNDS = 40, REOPENS = 30 };

struct worker {
    tycho_rpc *rpc;
    const char *path;
    int number;
    int failures; /* what went wrong; asserted by the main thread */
};

/* Sends a request; the answer, with its id checked. NULL when it was refused. */
static json_t *ask(tycho_rpc_session *session, const char *request, int id) {
    tycho_bytes answer;
    tycho_bytes text = {request, strlen(request)};
    int status = tycho_rpc_call(session, text, &answer);
    json_t *parsed = json_loadb(answer.data, answer.size, 0, NULL);
    int is_good = parsed != NULL && json_integer_value(json_object_get(parsed, "id")) == id &&
                  json_is_true(json_object_get(parsed, "ok")) == (status == TYCHO_OK);
    if (is_good && status == TYCHO_OK) return parsed;
    fprintf(stderr, "%s\n -> %.*s\n", request, (int)answer.size, (const char *)answer.data);
    json_decref(parsed);
    return NULL;
}

/* The first revision that an append got, or -1. */
static json_int_t first_revision(json_t *answer) {
    const json_t *result = json_object_get(answer, "result");
    json_int_t revision = -1;
    if (answer != NULL) {
        revision = json_integer_value(json_array_get(json_object_get(result, "revisions"), 0));
    }
    json_decref(answer);
    return revision;
}

static void *write_events(void *context) {
    struct worker *worker = context;
    tycho_rpc_session *session;
    if (tycho_rpc_session_create(worker->rpc, &session) != TYCHO_OK) abort();
    for (int i = 0; i < ROUNDS; i++) {
        char request[256];
        int id = worker->number * 1000 + i;
        snprintf(request, sizeof request,
                 "{\"id\":%d,\"op\":\"append\",\"stream\":\"own-%d\",\"expected_version\":%d,"
                 "\"records\":[{\"event_type\":\"t\",\"data\":{\"by\":%d}}]}",
                 id, worker->number, i - 1, worker->number);
        worker->failures += first_revision(ask(session, request, id)) != i;
        snprintf(request, sizeof request,
                 "{\"id\":%d,\"op\":\"append\",\"stream\":\"shared\",\"expected_version\":\"auto\","
                 "\"records\":[{\"event_type\":\"t\"}]}",
                 id);
        worker->failures += first_revision(ask(session, request, id)) < 0;
    }
    tycho_rpc_session_destroy(session);
    return NULL;
}

static void *reopen_store(void *context) {
    struct worker *worker = context;
    tycho_rpc_session *session;
    if (tycho_rpc_session_create(worker->rpc, &session) != TYCHO_OK) abort();
    for (int i = 0; i < REOPENS; i++) {
        char request[256];
        json_t *answer;
        snprintf(request, sizeof request,
                 "{\"id\":%d,\"op\":\"open\",\"path\":\"%s\",\"sync\":\"none\"}", i, worker->path);
        answer = ask(session, request, i);
        worker->failures += answer == NULL;
        json_decref(answer);
    }
    tycho_rpc_session_destroy(session);
    return NULL;
}

/* Reads the log in pages as it grows: positions rise without a gap. */
static void *read_events(void *context) {
    struct worker *worker = context;
    tycho_rpc_session *session;
    json_int_t position = 0;
    if (tycho_rpc_session_create(worker->rpc, &session) != TYCHO_OK) abort();
    while (position < WRITERS * ROUNDS * 2 && worker->failures == 0) {
        char request[256];
        json_t *answer;
        size_t index;
        json_t *event;
        snprintf(request, sizeof request,
                 "{\"id\":%d,\"op\":\"wait\",\"position\":%lld,\"timeout_ms\":100}", worker->number,
                 (long long)position);
        answer = ask(session, request, worker->number);
        worker->failures += answer == NULL;
        json_decref(answer);
        snprintf(request, sizeof request,
                 "{\"id\":%d,\"op\":\"read\",\"page\":7,\"spec\":{\"from_position\":%lld}}",
                 worker->number, (long long)position);
        answer = ask(session, request, worker->number);
        worker->failures += answer == NULL;
        json_array_foreach(json_object_get(json_object_get(answer, "result"), "events"), index,
                           event) {
            json_int_t found = json_integer_value(json_object_get(event, "position"));
            worker->failures += found != position + 1;
            position = found;
        }
        json_decref(answer);
    }
    tycho_rpc_session_destroy(session);
    return NULL;
}

static void check_store(tycho_rpc *rpc) {
    tycho_rpc_session *session;
    json_t *answer;
    assert_int_equal(tycho_rpc_session_create(rpc, &session), TYCHO_OK);
    answer = ask(session, "{\"id\":1,\"op\":\"last_version\",\"stream\":\"shared\"}", 1);
    assert_int_equal(json_integer_value(json_object_get(answer, "result")), WRITERS * ROUNDS - 1);
    json_decref(answer);
    answer = ask(session, "{\"id\":2,\"op\":\"verify\"}", 2);
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(answer, "result"), "finding_count")), 0);
    json_decref(answer);
    tycho_rpc_session_destroy(session);
}

static void serves_many_threads(void **state) {
    void *(*const jobs[])(void *) = {write_events, write_events, write_events, write_events,
                                     reopen_store, read_events, read_events};
    enum { JOBS = sizeof jobs / sizeof jobs[0] };
    pthread_t threads[JOBS];
    struct worker workers[JOBS];
    const tycho_options options = {.size = sizeof options, .mode = TYCHO_TEMPORARY};
    tycho_store *store;
    const char *path;
    tycho_rpc *rpc;
    (void)state;
    assert_int_equal(tycho_store_open(NULL, &options, &store), TYCHO_OK);
    path = tycho_store_path(store);
    assert_int_equal(tycho_rpc_create(&rpc), TYCHO_OK);
    assert_int_equal(tycho_rpc_open(rpc, path), TYCHO_OK);
    for (int i = 0; i < JOBS; i++) {
        workers[i] = (struct worker){rpc, path, i, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, jobs[i], &workers[i]), 0);
    }
    for (int i = 0; i < JOBS; i++) pthread_join(threads[i], NULL);
    for (int i = 0; i < JOBS; i++) assert_int_equal(workers[i].failures, 0);
    check_store(rpc);
    tycho_rpc_destroy(rpc);
    tycho_store_close(store);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(serves_many_threads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
