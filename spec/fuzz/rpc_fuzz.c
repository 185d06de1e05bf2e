/* rpc_fuzz.c - libFuzzer target: lines of requests, any bytes, to one dispatcher on a real store.
**
** Requests that name a path are left out (they could write anywhere), and so is waiting. The store
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

/* Sends one request and checks that the answer is one. Its result, to be freed. */
static json_t *ask(const void *request, size_t size) {
    tycho_bytes answer;
    int status = tycho_rpc_call(session, (tycho_bytes){request, size}, &answer);
    json_t *parsed = json_loadb(answer.data, answer.size, JSON_ALLOW_NUL, NULL);
    if (!json_is_object(parsed) || memchr(answer.data, '\n', answer.size) != NULL) abort();
    if (json_object_get(parsed, "id") == NULL) abort();
    if (json_is_true(json_object_get(parsed, "ok")) != (status == TYCHO_OK)) abort();
    if (status != TYCHO_OK && !json_is_string(json_object_get(parsed, "message"))) abort();
    return parsed;
}

static void open_store(void) {
    const tycho_options options = {
        .size = sizeof options, .mode = TYCHO_TEMPORARY, .sync = TYCHO_SYNC_NONE,
        .map_size = 1u << 30};
    char request[512];
    if (tycho_store_open(NULL, &options, &store) != TYCHO_OK) abort();
    if (tycho_rpc_create(&rpc) != TYCHO_OK) abort();
    if (tycho_rpc_session_create(rpc, &session) != TYCHO_OK) abort();
    snprintf(request, sizeof request, "{\"op\":\"open\",\"sync\":\"none\",\"path\":\"%s\"}",
             tycho_store_path(store));
    json_decref(ask(request, strlen(request)));
}

static void close_store(void) {
    static const char verify[] = "{\"op\":\"verify\"}";
    json_t *answer;
    const json_t *count;
    if (store == NULL) return;
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
    while (size > 0 && data <= end) {
        const uint8_t *line_end = data == end ? end : memchr(data, '\n', (size_t)(end - data));
        if (line_end == NULL) line_end = end;
        if (!is_left_out(data, (size_t)(line_end - data))) {
            json_decref(ask(data, (size_t)(line_end - data)));
        }
        data = line_end + 1;
    }
    return 0;
}
