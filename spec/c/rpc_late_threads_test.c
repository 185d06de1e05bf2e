/* rpc_late_threads_test.c - late answers in process: what a listener gets from follows, locks and
** ops that the host added, from many sessions at once, cut off at any moment.
*/
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "tycho_rpc.h"

enum { SESSIONS = 4, EVENTS = 60, STEPS = 20, IDS = 16 };

/* What a listener has heard, by the id of the request, which is 0 to IDS - 1. */
struct listener {
    atomic_int is_within; /* send() is called by one thread at a time */
    atomic_bool is_gone;
    atomic_int lines;
    pthread_mutex_t lock;
    pthread_cond_t heard;
    int failures;
    int begun[IDS];
    int events[IDS];
    int caught_up[IDS];
    int progress[IDS];
    int ended[IDS]; /* 1: with ok true or over, 2: with ok false */
    char last[IDS][256];
};

static void note(struct listener *heard, int id, const json_t *line) {
    const json_t *event = json_object_get(line, "event");
    const json_t *progress = json_object_get(line, "progress");
    const json_t *ok = json_object_get(line, "ok");
    bool is_follow = json_object_get(json_object_get(line, "result"), "follow") != NULL;
    heard->failures += heard->ended[id] != 0; /* nothing behind the last line */
    if (event != NULL) {
        json_int_t position = json_integer_value(json_object_get(event, "position"));
        heard->failures += position != ++heard->events[id] || heard->begun[id] != 1;
    } else if (progress != NULL) {
        heard->failures += json_integer_value(progress) != ++heard->progress[id];
    } else if (json_object_get(line, "caught_up") != NULL) {
        heard->caught_up[id]++;
    } else if (is_follow) {
        heard->begun[id]++;
    } else {
        bool is_over = json_object_get(line, "over") != NULL;
        heard->failures += !is_over && ok == NULL;
        heard->ended[id] = is_over || json_is_true(ok) ? 1 : 2;
    }
}

static int hear(void *context, tycho_bytes line) {
    struct listener *heard = context;
    int failures = atomic_fetch_add(&heard->is_within, 1) != 0;
    json_t *parsed = json_loadb(line.data, line.size, 0, NULL);
    int id = (int)json_integer_value(json_object_get(parsed, "id"));
    failures += parsed == NULL || memchr(line.data, '\n', line.size) != NULL;
    failures += ((const char *)line.data)[line.size] != '\n';
    failures += id < 0 || id >= IDS;
    pthread_mutex_lock(&heard->lock);
    if (failures == 0) {
        note(heard, id, parsed);
        snprintf(heard->last[id], sizeof heard->last[id], "%.*s", (int)line.size,
                 (const char *)line.data);
    }
    heard->failures += failures;
    pthread_cond_broadcast(&heard->heard);
    pthread_mutex_unlock(&heard->lock);
    json_decref(parsed);
    atomic_fetch_add(&heard->lines, 1);
    atomic_fetch_sub(&heard->is_within, 1);
    return atomic_load(&heard->is_gone);
}

static void wait_until(struct listener *heard, const int *count, int least) {
    pthread_mutex_lock(&heard->lock);
    while (*count < least) pthread_cond_wait(&heard->heard, &heard->lock);
    pthread_mutex_unlock(&heard->lock);
}

static tycho_rpc_session *listen_to(tycho_rpc *rpc, struct listener *heard) {
    tycho_rpc_session *session;
    memset(heard, 0, sizeof *heard);
    pthread_mutex_init(&heard->lock, NULL);
    pthread_cond_init(&heard->heard, NULL);
    if (tycho_rpc_session_create(rpc, &session) != TYCHO_OK) abort();
    tycho_rpc_session_listen(session, hear, heard);
    return session;
}

/* The listener's failures, when nothing calls it any more. */
static int forget(struct listener *heard) {
    pthread_cond_destroy(&heard->heard);
    pthread_mutex_destroy(&heard->lock);
    return heard->failures;
}

static int ask(tycho_rpc_session *session, const char *request) {
    tycho_bytes answer;
    int status = tycho_rpc_call(session, (tycho_bytes){request, strlen(request)}, &answer);
    if ((status == TYCHO_END) != (answer.size == 0)) abort();
    if (status < 0) fprintf(stderr, "# %.*s\n", (int)answer.size, (const char *)answer.data);
    return status;
}

/* ---------------------------------------------------------------- an op of the host */

static int count_steps(void *context, tycho_rpc_task *task) {
    atomic_int *running = context;
    char text[32];
    int status = TYCHO_OK;
    atomic_fetch_add(running, 1);
    for (int i = 1; i <= STEPS && status == TYCHO_OK; i++) {
        snprintf(text, sizeof text, "%d", i);
        status = tycho_rpc_task_progress(task, (tycho_bytes){text, strlen(text)});
    }
    atomic_fetch_sub(running, 1);
    return tycho_rpc_task_result(task, (tycho_bytes){text, strlen(text)});
}

static int run_for_ever(void *context, tycho_rpc_task *task) {
    atomic_int *running = context;
    atomic_fetch_add(running, 1);
    while (!tycho_rpc_task_is_cancelled(task)) usleep(1000);
    atomic_fetch_sub(running, 1);
    tycho_rpc_task_facts(task, (tycho_bytes){"{\"left\":5}", 10});
    tycho_set_error("it was cancelled");
    return TYCHO_TIMEOUT;
}

static int tell_all(void *context, tycho_rpc_task *task) {
    char text[600];
    tycho_bytes request = tycho_rpc_task_request(task);
    (void)context;
    snprintf(text, sizeof text, "[\"%s\",\"%s\",%u,%.*s]", tycho_rpc_task_op(task),
             tycho_rpc_task_path(task), tycho_rpc_task_options(task)->sync, (int)request.size,
             (const char *)request.data);
    if (tycho_rpc_task_result(task, (tycho_bytes){"1\n", 2}) != TYCHO_MISUSE) return TYCHO_MISUSE;
    if (tycho_rpc_task_facts(task, (tycho_bytes){"1", 1}) != TYCHO_MISUSE) return TYCHO_MISUSE;
    if (tycho_rpc_task_is_cancelled(task)) return TYCHO_MISUSE;
    return tycho_rpc_task_result(task, (tycho_bytes){text, strlen(text)});
}

static int say_nothing(void *context, tycho_rpc_task *task) {
    (void)context;
    (void)task;
    return TYCHO_OK;
}

struct place {
    tycho_store *store;
    tycho_rpc *rpc;
    atomic_int running;
};

static void open_place(struct place *place) {
    const tycho_options options = {.size = sizeof options, .mode = TYCHO_TEMPORARY};
    const tycho_rpc_op ops[] = {{"count_steps", "by", count_steps, &place->running},
                                {"run_for_ever", "", run_for_ever, &place->running},
                                {"rename", "source target", tell_all, NULL},
                                {"ping", "", say_nothing, NULL}};
    char request[512];
    tycho_rpc_session *session;
    atomic_init(&place->running, 0);
    assert_int_equal(tycho_store_open(NULL, &options, &place->store), TYCHO_OK);
    assert_int_equal(tycho_rpc_create(&place->rpc), TYCHO_OK);
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        assert_int_equal(tycho_rpc_extend(place->rpc, &ops[i]), TYCHO_OK);
    }
    assert_int_equal(tycho_rpc_session_create(place->rpc, &session), TYCHO_OK);
    snprintf(request, sizeof request, "{\"op\":\"open\",\"sync\":\"none\",\"path\":\"%s\"}",
             tycho_store_path(place->store));
    assert_int_equal(ask(session, request), TYCHO_OK);
    tycho_rpc_session_destroy(session);
}

static void close_place(struct place *place) {
    assert_int_equal(atomic_load(&place->running), 0);
    tycho_rpc_destroy(place->rpc);
    tycho_store_close(place->store);
}

/* ---------------------------------------------------------------- tests */

static void runs_ops_of_the_host_without_a_listener(void **state) {
    static const char rename_request[] = "{\"id\":[1],\"op\":\"rename\",\"source\":\"a\"}";
    struct place place;
    tycho_rpc_session *session;
    tycho_bytes answer;
    char wanted[700];
    (void)state;
    open_place(&place);
    assert_int_equal(tycho_rpc_session_create(place.rpc, &session), TYCHO_OK);
    tycho_bytes request = {rename_request, sizeof rename_request - 1};
    assert_int_equal(tycho_rpc_call(session, request, &answer), TYCHO_OK);
    snprintf(wanted, sizeof wanted, "{\"id\":[1],\"ok\":true,\"result\":[\"rename\",\"%s\",2,%s]}",
             tycho_store_path(place.store), rename_request);
    assert_string_equal(strndupa(answer.data, answer.size), wanted);
    request = (tycho_bytes){"{\"op\":\"count_steps\"}", 20};
    assert_int_equal(tycho_rpc_call(session, request, &answer), TYCHO_OK);
    assert_string_equal(strndupa(answer.data, answer.size),
                        "{\"id\":null,\"ok\":true,\"result\":20}");
    assert_int_equal(ask(session, "{\"op\":\"ping\"}"), TYCHO_OK);
    assert_int_equal(ask(session, "{\"op\":\"count_steps\",\"of\":1}"), TYCHO_MISUSE);
    assert_int_equal(ask(session, "{\"op\":\"merge\"}"), TYCHO_DENIED);
    assert_int_equal(ask(session, "{\"op\":\"follow\"}"), TYCHO_DENIED);
    assert_int_equal(ask(session, "{\"op\":\"close\"}"), TYCHO_OK);
    assert_int_equal(ask(session, "{\"op\":\"count_steps\"}"), TYCHO_MISUSE);
    tycho_rpc_session_destroy(session);
    close_place(&place);
}

static void *write_and_follow(void *context) {
    struct place *place = context;
    struct listener heard;
    tycho_rpc_session *session = listen_to(place->rpc, &heard);
    intptr_t failures = 0;
    failures += ask(session, "{\"id\":1,\"op\":\"follow\"}") != TYCHO_END;
    failures += ask(session, "{\"id\":2,\"op\":\"follow\",\"spec\":{\"limit\":5}}") != TYCHO_END;
    failures += ask(session, "{\"id\":3,\"op\":\"count_steps\"}") != TYCHO_END;
    for (int i = 0; i < EVENTS; i++) {
        int status = ask(session, "{\"id\":4,\"op\":\"lock\",\"name\":\"l\",\"timeout_ms\":-1}");
        failures += status < 0;
        if (status == TYCHO_END) wait_until(&heard, &heard.ended[4], 1);
        heard.ended[4] = 0;
        failures += ask(session, "{\"op\":\"append\",\"records\":[{\"event_type\":\"t\"}]}") != 0;
        failures += ask(session, "{\"op\":\"unlock\",\"name\":\"l\"}") != TYCHO_OK;
    }
    wait_until(&heard, &heard.events[1], SESSIONS * EVENTS);
    wait_until(&heard, &heard.ended[2], 1);
    wait_until(&heard, &heard.ended[3], 1);
    failures += heard.progress[3] != STEPS || heard.events[2] != 5 || heard.ended[1] != 0;
    failures += ask(session, "{\"op\":\"cancel\",\"request\":1}") != TYCHO_OK;
    wait_until(&heard, &heard.ended[1], 1);
    tycho_rpc_session_destroy(session);
    failures += heard.events[1] != SESSIONS * EVENTS;
    failures += forget(&heard);
    return (void *)failures;
}

static void serves_many_listeners_at_once(void **state) {
    pthread_t threads[SESSIONS];
    struct place place;
    void *failures;
    (void)state;
    open_place(&place);
    for (int i = 0; i < SESSIONS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, write_and_follow, &place), 0);
    }
    for (int i = 0; i < SESSIONS; i++) {
        pthread_join(threads[i], &failures);
        assert_null(failures);
    }
    close_place(&place);
}

static void ends_all_late_work_with_its_session(void **state) {
    struct place place;
    (void)state;
    open_place(&place);
    for (int round = 0; round < 20; round++) {
        struct listener heard;
        struct listener other;
        tycho_rpc_session *session = listen_to(place.rpc, &heard);
        tycho_rpc_session *owner = listen_to(place.rpc, &other);
        assert_int_equal(ask(owner, "{\"id\":1,\"op\":\"lock\",\"name\":\"l\"}"), TYCHO_OK);
        assert_int_equal(ask(session, "{\"id\":1,\"op\":\"follow\"}"), TYCHO_END);
        assert_int_equal(ask(session, "{\"id\":2,\"op\":\"lock\",\"name\":\"l\"}"), TYCHO_END);
        assert_int_equal(ask(session, "{\"id\":3,\"op\":\"run_for_ever\"}"), TYCHO_END);
        assert_int_equal(ask(session, "{\"id\":4,\"op\":\"count_steps\"}"), TYCHO_END);
        assert_int_equal(ask(session, "{\"op\":\"append\",\"records\":[{\"event_type\":\"t\"}]}"),
                         TYCHO_OK);
        if (round % 2 == 0) wait_until(&heard, &heard.caught_up[1], 1);
        tycho_rpc_session_destroy(session);
        assert_int_equal(heard.ended[1], 1);
        assert_int_equal(heard.ended[2], 2);
        assert_int_equal(heard.ended[3], 2);
        assert_int_equal(heard.ended[4], 1);
        assert_string_equal(heard.last[3], "{\"id\":3,\"ok\":false,\"error\":\"timeout\","
                                           "\"message\":\"it was cancelled\",\"left\":5}");
        assert_int_equal(ask(owner, "{\"op\":\"unlock\",\"name\":\"l\"}"), TYCHO_OK);
        assert_int_equal(ask(owner, "{\"op\":\"lock\",\"name\":\"l\"}"), TYCHO_OK);
        tycho_rpc_session_destroy(owner);
        assert_int_equal(forget(&heard) + forget(&other), 0);
    }
    close_place(&place);
}

/* At the instant when the session ends its thread may have looked for what was cancelled, and not
** yet whether the session ends. */
static void ends_a_follow_of_a_session_that_ends_at_any_instant(void **state) {
    enum { ROUNDS = 1000 };
    struct place place;
    (void)state;
    open_place(&place);
    for (int round = 0; round < ROUNDS; round++) {
        struct listener heard;
        tycho_rpc_session *session = listen_to(place.rpc, &heard);
        assert_int_equal(ask(session, "{\"id\":1,\"op\":\"follow\"}"), TYCHO_END);
        if (round % 2 == 0) wait_until(&heard, &heard.caught_up[1], 1);
            tycho_rpc_session_destroy(session);
        assert_int_equal(heard.ended[1], 1);
        assert_int_equal(forget(&heard), 0);
    }
    close_place(&place);
}

static void ends_late_work_when_nobody_listens(void **state) {
    struct place place;
    struct listener heard;
    (void)state;
    open_place(&place);
    tycho_rpc_session *session = listen_to(place.rpc, &heard);
    assert_int_equal(ask(session, "{\"id\":3,\"op\":\"run_for_ever\"}"), TYCHO_END);
    assert_int_equal(ask(session, "{\"id\":1,\"op\":\"follow\"}"), TYCHO_END);
    wait_until(&heard, &heard.caught_up[1], 1);
    atomic_store(&heard.is_gone, true);
    int before = atomic_load(&heard.lines);
    assert_int_equal(ask(session, "{\"op\":\"append\",\"records\":[{\"event_type\":\"t\"}]}"),
                     TYCHO_OK);
    while (atomic_load(&place.running) != 0) usleep(1000);
    tycho_rpc_session_destroy(session);
    assert_int_equal(atomic_load(&heard.lines), before + 1);
    assert_int_equal(forget(&heard), 0);
    close_place(&place);
}

static void refuses_more_late_work_than_a_session_may_have(void **state) {
    enum { MOST = 256 };
    struct place place;
    struct listener heard;
    (void)state;
    open_place(&place);
    tycho_rpc_session *session = listen_to(place.rpc, &heard);
    for (int i = 0; i < MOST; i++) {
        assert_int_equal(ask(session, "{\"id\":3,\"op\":\"run_for_ever\"}"), TYCHO_END);
    }
    assert_int_equal(ask(session, "{\"id\":4,\"op\":\"run_for_ever\"}"), TYCHO_BUSY);
    assert_int_equal(ask(session, "{\"op\":\"cancel\",\"request\":3}"), TYCHO_OK);
    while (atomic_load(&place.running) != 0 || atomic_load(&heard.lines) < MOST) usleep(1000);
    tycho_rpc_session_destroy(session);
    assert_int_equal(atomic_load(&heard.lines), MOST);
    forget(&heard); /* they all had one id */
    close_place(&place);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_ops_of_the_host_without_a_listener),
        cmocka_unit_test(serves_many_listeners_at_once),
        cmocka_unit_test(ends_all_late_work_with_its_session),
        cmocka_unit_test(ends_a_follow_of_a_session_that_ends_at_any_instant),
        cmocka_unit_test(ends_late_work_when_nobody_listens),
        cmocka_unit_test(refuses_more_late_work_than_a_session_may_have),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
