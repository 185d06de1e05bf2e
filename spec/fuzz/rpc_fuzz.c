/* rpc_fuzz.c - libFuzzer target: lines of requests, any bytes, to one dispatcher on a real store.
**
** Requests that name a path are left out (they could write anywhere), and so is waiting. Each
** input has a session with a listener, which ends in the middle of what is answered late. The store
** is made anew after a number of inputs, so that verify stays quick; each store is verified whole
** before it goes.
*/
#include <assert.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tycho_rpc.h"

enum { INPUTS_A_STORE = 500 };

static tycho_store *store;
static tycho_rpc *rpc;
static tycho_rpc_session *session;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A line that is whole, and has an id. */
static json_t *check_line(tycho_bytes line) {
    json_t *parsed = json_loadb(line.data, line.size, JSON_ALLOW_NUL, NULL);
    if (!json_is_object(parsed) || memchr(line.data, '\n', line.size) != NULL) abort();
    if (json_object_get(parsed, "id") == NULL) abort();
    return parsed;
}

static int hear(void *context, tycho_bytes line) {
    json_t *parsed = check_line(line);
    (void)context;
    if (json_object_size(parsed) < 2 || ((const char *)line.data)[line.size] != '\n') abort();
    json_decref(parsed);
    return 0;
}

/* An op of the host: its request, as progress and as result. */
static int echo(void *context, tycho_rpc_task *task) {
    int status = tycho_rpc_task_progress(task, tycho_rpc_task_request(task));
    (void)context;
    return status < 0 ? status : tycho_rpc_task_result(task, tycho_rpc_task_request(task));
}

/* Sends one request and checks that the answer is one, to be freed; NULL: it is late. */
static json_t *ask(const void *request, size_t size) {
    tycho_bytes answer;
    int status = tycho_rpc_call(session, (tycho_bytes){request, size}, &answer);
    if ((status == TYCHO_END) != (answer.size == 0)) abort();
    if (status == TYCHO_END) return NULL;
    json_t *parsed = check_line(answer);
    if (json_is_true(json_object_get(parsed, "ok")) != (status == TYCHO_OK)) abort();
    if (status != TYCHO_OK && !json_is_string(json_object_get(parsed, "message"))) abort();
    return parsed;
}

static void open_session(void) {
    if (tycho_rpc_session_create(rpc, &session) != TYCHO_OK) abort();
    tycho_rpc_session_listen(session, hear, NULL);
}

static void open_store(void) {
    static const tycho_rpc_op op = {"echo", "a b", echo, NULL};
    const tycho_options options = {
        .size = sizeof options, .mode = TYCHO_TEMPORARY, .sync = TYCHO_SYNC_NONE,
        .map_size = 1u << 30};
    char request[512];
    if (tycho_store_open(NULL, &options, &store) != TYCHO_OK) abort();
    if (tycho_rpc_create(&rpc) != TYCHO_OK) abort();
    if (tycho_rpc_extend(rpc, &op) != TYCHO_OK) abort();
    open_session();
    snprintf(request, sizeof request, "{\"op\":\"open\",\"sync\":\"none\",\"path\":\"%s\"}",
             tycho_store_path(store));
    json_decref(ask(request, strlen(request)));
    tycho_rpc_session_destroy(session);
}

static void close_store(void) {
    static const char verify[] = "{\"op\":\"verify\"}";
    json_t *answer;
    const json_t *count;
    if (store == NULL) return;
    open_session();
    answer = ask(verify, sizeof verify - 1);
    count = json_object_get(json_object_get(answer, "result"), "finding_count");
    if (count != NULL && json_integer_value(count) != 0) abort();
    json_decref(answer);
    tycho_rpc_session_destroy(session);
    tycho_rpc_destroy(rpc);
    tycho_store_close(store);
    store = NULL;
}

static bool is_left_out(const void *line, size_t size) {
    json_t *request = json_loadb(line, size, JSON_ALLOW_NUL, NULL);
    const char *op = json_string_value(json_object_get(request, "op"));
    bool is_out = json_object_get(request, "path") != NULL ||
                  (op != NULL && (strcmp(op, "wait") == 0 || strcmp(op, "close") == 0));
    json_decref(request);
    return is_out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static unsigned inputs;
    const uint8_t *end = data + size;
    if (inputs == 0) atexit(close_store);
    if (inputs++ % INPUTS_A_STORE == 0) {
        close_store();
        open_store();
    }
    open_session();
    while (size > 0 && data <= end) {
        const uint8_t *line_end = data == end ? end : memchr(data, '\n', (size_t)(end - data));
        if (line_end == NULL) line_end = end;
        if (!is_left_out(data, (size_t)(line_end - data))) {
            json_decref(ask(data, (size_t)(line_end - data)));
        }
        data = line_end + 1;
    }
    tycho_rpc_session_destroy(session);
    return 0;
}
