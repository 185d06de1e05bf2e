/* session.c - the dispatcher, its sessions, and one call.
**
** Threads. The dispatcher's store is counted: one reference is the dispatcher's own, each call in
** progress has one. `open` swaps the store under the lock; whoever gives back the last reference
** closes it, outside the lock. Everything else of a call belongs to its session.
**
** A call
**     parse -> find op -> check fields -> run -> {"id":..,"ok":true,"result":..}
**        \________\___________\___________\---> {"id":..,"ok":false,"error":..,"message":..,facts}
** What a run has written when it fails is cut off.
*/
#include <assert.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../msgpack/json.h"
#include "call.h"
#include "tycho_scripts.h"

enum {
    CHUNK_SIZE = 64 << 10, /* of the arena */
    KEPT_SIZE = 4 << 20,   /* larger buffers are freed after their call */
    ALIGNMENT = 16
};

struct rpc_store {
    tycho_store *store;
    size_t users; /* the dispatcher's own, and calls in progress */
};

struct tycho_rpc {
    pthread_mutex_t lock;    /* of all that follows */
    struct rpc_store *store; /* NULL when none is open */
    size_t sessions;
};

struct rpc_chunk {
    struct rpc_chunk *next;
    size_t used;
    size_t size;
    _Alignas(ALIGNMENT) uint8_t bytes[];
};

struct tycho_rpc_session {
    tycho_rpc *rpc;
    tycho_batch *batch;
    struct tycho_buffer out;
    struct tycho_buffer scratch;
    struct tycho_buffer binary;
    struct rpc_chunk *chunks; /* the newest first */
};

/* ---------------------------------------------------------------- memory and failures of a call */

static void free_chunks(struct rpc_chunk **chunks) {
    while (*chunks != NULL) {
        struct rpc_chunk *next = (*chunks)->next;
        free(*chunks);
        *chunks = next;
    }
}

void *tycho__rpc_alloc(struct rpc_call *call, size_t count, size_t size) {
    struct rpc_chunk *chunk = *call->chunks;
    size_t wanted;
    void *memory;
    if (__builtin_mul_overflow(count, size, &wanted) || wanted > SIZE_MAX / 2) {
        tycho__rpc_fail(call, TYCHO_NO_MEMORY, "no memory for %zu items", count);
        return NULL;
    }
    wanted = (wanted + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (chunk == NULL || chunk->size - chunk->used < wanted) {
        size_t room = wanted > CHUNK_SIZE ? wanted : CHUNK_SIZE;
        chunk = malloc(sizeof *chunk + room);
        if (chunk == NULL) {
            tycho__rpc_fail(call, TYCHO_NO_MEMORY, "no memory for %zu bytes", wanted);
            return NULL;
        }
        chunk->next = *call->chunks;
        chunk->used = 0;
        chunk->size = room;
        *call->chunks = chunk;
    }
    memory = chunk->bytes + chunk->used;
    chunk->used += wanted;
    return memory;
}

tycho_bytes tycho__rpc_copy(struct rpc_call *call, const void *data, size_t size) {
    void *memory = tycho__rpc_alloc(call, size > 0 ? size : 1, 1);
    if (memory != NULL && size > 0) memcpy(memory, data, size);
    return (tycho_bytes){memory, memory == NULL ? 0 : size};
}

int tycho__rpc_fail(struct rpc_call *call, int status, const char *format, ...) {
    va_list arguments;
    assert(status < 0);
    call->failure.status = status;
    va_start(arguments, format);
    vsnprintf(call->failure.message, sizeof call->failure.message, format, arguments);
    va_end(arguments);
    return status;
}

int tycho__rpc_engine(struct rpc_call *call, int status) {
    const char *sentence = tycho_error();
    if (sentence[0] == '\0') sentence = tycho_status_text(status);
    if (call->place_size == 0) return tycho__rpc_fail(call, status, "%s", sentence);
    return tycho__rpc_fail(call, status, "%.*s: %s", (int)call->place_size - 1, call->place,
                           sentence);
}

/* ---------------------------------------------------------------- the dispatcher */

int tycho_rpc_create(tycho_rpc **rpc) {
    *rpc = calloc(1, sizeof **rpc);
    if (*rpc == NULL || pthread_mutex_init(&(*rpc)->lock, NULL) != 0) {
        free(*rpc);
        *rpc = NULL;
        tycho_set_error("no memory for a dispatcher");
        return TYCHO_NO_MEMORY;
    }
    return TYCHO_OK;
}

static struct rpc_store *acquire_store(tycho_rpc *rpc) {
    struct rpc_store *store;
    pthread_mutex_lock(&rpc->lock);
    store = rpc->store;
    if (store != NULL) store->users++;
    pthread_mutex_unlock(&rpc->lock);
    return store;
}

static void release_store(tycho_rpc *rpc, struct rpc_store *store) {
    bool is_last;
    if (store == NULL) return;
    pthread_mutex_lock(&rpc->lock);
    is_last = --store->users == 0;
    pthread_mutex_unlock(&rpc->lock);
    if (!is_last) return;
    tycho_store_close(store->store);
    free(store);
}

/* Puts a store, or NULL, in the place of the one there is: true when there was one. */
static bool swap_store(tycho_rpc *rpc, struct rpc_store *store) {
    struct rpc_store *before;
    pthread_mutex_lock(&rpc->lock);
    before = rpc->store;
    rpc->store = store;
    pthread_mutex_unlock(&rpc->lock);
    release_store(rpc, before);
    return before != NULL;
}

int tycho__rpc_open(tycho_rpc *rpc, const char *path, const tycho_options *options) {
    struct rpc_store *store = calloc(1, sizeof *store);
    int status;
    if (store == NULL) {
        tycho_set_error("no memory for a store");
        return TYCHO_NO_MEMORY;
    }
    status = tycho_store_open(path, options, &store->store);
    if (status == TYCHO_OK) status = tycho_scripts_attach(store->store);
    if (status != TYCHO_OK) {
        tycho_store_close(store->store);
        free(store);
        return status;
    }
    store->users = 1;
    swap_store(rpc, store);
    return TYCHO_OK;
}

bool tycho__rpc_close(tycho_rpc *rpc) {
    return swap_store(rpc, NULL);
}

int tycho_rpc_open(tycho_rpc *rpc, const char *path) {
    return tycho__rpc_open(rpc, path, NULL);
}

void tycho_rpc_destroy(tycho_rpc *rpc) {
    if (rpc == NULL) return;
    assert(rpc->sessions == 0);
    swap_store(rpc, NULL);
    pthread_mutex_destroy(&rpc->lock);
    free(rpc);
}

/* ---------------------------------------------------------------- sessions */

static void count_session(tycho_rpc *rpc, bool is_new) {
    pthread_mutex_lock(&rpc->lock);
    if (is_new) rpc->sessions++;
    else rpc->sessions--;
    pthread_mutex_unlock(&rpc->lock);
}

int tycho_rpc_session_create(tycho_rpc *rpc, tycho_rpc_session **session) {
    int status = TYCHO_NO_MEMORY;
    *session = calloc(1, sizeof **session);
    if (*session != NULL) status = tycho_batch_create(&(*session)->batch);
    if (status != TYCHO_OK) {
        free(*session);
        *session = NULL;
        tycho_set_error("no memory for a session");
        return status;
    }
    (*session)->rpc = rpc;
    count_session(rpc, true);
    return TYCHO_OK;
}

void tycho_rpc_session_destroy(tycho_rpc_session *session) {
    if (session == NULL) return;
    count_session(session->rpc, false);
    tycho_batch_destroy(session->batch);
    tycho__payload_free(&session->out);
    tycho__payload_free(&session->scratch);
    tycho__payload_free(&session->binary);
    free_chunks(&session->chunks);
    free(session);
}

/* ---------------------------------------------------------------- one call */

static int append_text(const char *text, size_t size, void *out) {
    tycho__payload_put(out, text, size);
    return 0;
}

static void put_id(struct tycho_buffer *out, const json_t *id) {
    tycho__rpc_put_key(out, "id");
    if (id == NULL) {
        tycho__rpc_put_null(out);
    } else if (json_is_real(id)) {
        tycho__rpc_put_number(out, json_real_value(id)); /* shorter than jansson's 17 digits */
    } else {
        json_dump_callback(id, append_text, out, JSON_ENCODE_ANY | JSON_COMPACT);
    }
    tycho__rpc_put_key(out, "ok");
}

static void put_fact(struct tycho_buffer *out, const char *name, int64_t value) {
    if (value < 0) return;
    tycho__rpc_put_key(out, name);
    tycho__rpc_put_integer(out, value);
}

static void put_text(struct tycho_buffer *out, const char *name, const char *text) {
    if (text[0] == '\0') return;
    tycho__rpc_put_key(out, name);
    tycho__rpc_put_sentence(out, text);
}

/* What a script refused, and where: the failure of this thread. */
static void put_script_facts(struct tycho_buffer *out) {
    const tycho_scripts_failure *failure = tycho_scripts_error();
    if (failure == NULL) return;
    put_text(out, "script", failure->script);
    put_fact(out, "version", failure->version > 0 ? failure->version : -1);
    put_fact(out, "line", failure->line > 0 ? failure->line : -1);
    put_text(out, "path", failure->path);
    put_text(out, "reason", failure->message);
    put_text(out, "traceback", failure->traceback);
    put_text(out, "event_id", failure->event_id);
    put_text(out, "event_type", failure->event_type);
    put_text(out, "key", failure->key);
    put_fact(out, "position", failure->position > 0 ? (int64_t)failure->position : -1);
}

static void put_failure(struct tycho_buffer *out, const json_t *id,
                        const struct rpc_failure *failure) {
    const char *code = tycho_status_code(failure->status);
    tycho__payload_clear(out);
    tycho__rpc_put_open(out, '{');
    put_id(out, id);
    tycho__rpc_put_boolean(out, false);
    tycho__rpc_put_key(out, "error");
    tycho__rpc_put_string(out, code, strlen(code));
    tycho__rpc_put_key(out, "message");
    tycho__rpc_put_sentence(out, failure->message);
    if (failure->has_actual) {
        tycho__rpc_put_key(out, "actual");
        tycho__rpc_put_integer(out, failure->actual);
    }
    if (failure->event_id.size > 0) {
        tycho__rpc_put_key(out, "event_id");
        tycho__rpc_put_bytes(out, failure->event_id);
    }
    if (failure->stream.size > 0) {
        tycho__rpc_put_key(out, "stream");
        tycho__rpc_put_bytes(out, failure->stream);
    }
    if (failure->status == TYCHO_REJECTED) put_script_facts(out);
    put_fact(out, "operation", failure->operation);
    put_fact(out, "condition", failure->condition);
    put_fact(out, "offset", failure->offset);
    tycho__rpc_put_close(out, '}');
}

static int fail_unknown_op(struct rpc_call *call, const json_t *name) {
    char names[RPC_MESSAGE_SIZE];
    tycho__rpc_op_names(0, names, sizeof names);
    if (!json_is_string(name)) {
        return tycho__rpc_fail(call, TYCHO_MISUSE, "op is %s; give one of: %s",
                               tycho__rpc_kind(name), names);
    }
    return tycho__rpc_fail(call, TYCHO_MISUSE, "there is no op \"%.40s\"; give one of: %s",
                           json_string_value(name), names);
}

/* Runs the request, and writes its answer when it succeeds. */
static int run_request(struct rpc_call *call) {
    const json_t *name;
    const struct rpc_op *op = NULL;
    int status;
    if (!json_is_object(call->request)) {
        return tycho__rpc_fail(call, TYCHO_MISUSE, "a request is %s; give an object",
                               tycho__rpc_kind(call->request));
    }
    name = json_object_get(call->request, "op");
    if (json_is_string(name)) {
        op = tycho__rpc_find_op(json_string_value(name), json_string_length(name));
    }
    if (op == NULL) return fail_unknown_op(call, name);
    status = tycho__rpc_check_fields(call, call->request, op->name, op->fields);
    if (status != TYCHO_OK) return status;
    if ((op->flags & RPC_STORE) && call->store == NULL) {
        return tycho__rpc_fail(call, TYCHO_MISUSE, "%s needs a store: open a store first",
                               op->name);
    }
    tycho__rpc_put_open(call->out, '{');
    put_id(call->out, json_object_get(call->request, "id"));
    tycho__rpc_put_boolean(call->out, true);
    tycho__rpc_put_key(call->out, "result");
    status = op->run != NULL ? op->run(call) : tycho__rpc_write(call, op);
    tycho__rpc_put_close(call->out, '}');
    return status;
}

/* The top-level "id" of a text that is JSON by its grammar, but that jansson refuses. NULL when it
** is not found. */
static json_t *find_id(struct rpc_call *call, tycho_bytes text) {
    struct tycho__json_reader reader;
    struct tycho__json_token token;
    size_t start = 0;
    bool is_id = false;
    tycho__json_begin(&reader, text.data, text.size, call->scratch);
    while (tycho__json_next(&reader, &token)) {
        if (token.kind == TYCHO__JSON_END_OF_TEXT) break;
        if (token.kind == TYCHO__JSON_KEY && reader.depth == 1) {
            is_id = token.size == 2 && memcmp(token.data, "id", 2) == 0;
            start = reader.offset; /* behind the colon */
        } else if (is_id && reader.depth == 1) {
            return json_loadb((const char *)text.data + start, reader.offset - start,
                              JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        }
    }
    return NULL;
}

/* Is the text JSON, but more than can be taken? */
static bool is_beyond_limits(enum json_error_code code) {
    return code == json_error_numeric_overflow || code == json_error_stack_overflow ||
           code == json_error_duplicate_key || code == json_error_null_byte_in_key;
}

/* Parses the request. When it fails, `*id` is what can still be said. */
static json_t *parse(struct rpc_call *call, tycho_bytes text, json_t **id) {
    json_error_t error;
    enum json_error_code code;
    json_t *request = json_loadb(text.data == NULL ? "" : text.data, text.size,
                                 JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_ANY,
                                 &error);
    if (request != NULL) return request;
    code = json_error_code(&error);
    if (code == json_error_out_of_memory) {
        tycho__rpc_fail(call, TYCHO_NO_MEMORY, "no memory for a request of %zu bytes", text.size);
        return NULL;
    }
    if (is_beyond_limits(code)) *id = find_id(call, text);
    call->failure.offset = error.position;
    tycho__rpc_fail(call, TYCHO_MISUSE, "%s: %s",
                    is_beyond_limits(code) ? "JSON beyond limits" : "malformed JSON", error.text);
    return NULL;
}

/* Forgets the call before this one. */
static void begin_call(tycho_rpc_session *session, struct rpc_call *call) {
    struct tycho_buffer *buffers[] = {&session->out, &session->scratch, &session->binary};
    for (size_t i = 0; i < sizeof buffers / sizeof buffers[0]; i++) {
        if (buffers[i]->capacity > KEPT_SIZE) tycho__payload_free(buffers[i]);
        tycho__payload_clear(buffers[i]);
    }
    tycho_batch_clear(session->batch);
    *call = (struct rpc_call){.rpc = session->rpc,
                              .batch = session->batch,
                              .out = &session->out,
                              .scratch = &session->scratch,
                              .binary = &session->binary,
                              .chunks = &session->chunks};
    call->failure.operation = call->failure.condition = call->failure.offset = -1;
}

/* Makes the answer from what was written, and a line break behind it that serve.c sends along. */
static int end_call(struct rpc_call *call, const json_t *id, int status, tycho_bytes *answer) {
    static const char no_memory[] = "{\"id\":null,\"ok\":false,\"error\":\"no_memory\","
                                    "\"message\":\"no memory for the answer\"}\n";
    struct tycho_buffer *out = call->out;
    if (status == TYCHO_OK && out->failed) {
        status = tycho__rpc_fail(call, TYCHO_NO_MEMORY, "no memory for the answer");
    }
    if (status != TYCHO_OK) put_failure(out, id, &call->failure);
    tycho__payload_put(out, "\n", 1);
    *answer = (tycho_bytes){no_memory, sizeof no_memory - 2};
    if (out->failed) return TYCHO_NO_MEMORY;
    *answer = (tycho_bytes){out->data, out->size - 1};
    return status;
}

int tycho__rpc_refuse(tycho_rpc_session *session, int status, const char *message,
                      tycho_bytes *answer) {
    struct rpc_call call;
    begin_call(session, &call);
    tycho__rpc_fail(&call, status, "%s", message);
    return end_call(&call, NULL, status, answer);
}

int tycho_rpc_call(tycho_rpc_session *session, tycho_bytes request, tycho_bytes *answer) {
    struct rpc_call call;
    struct rpc_store *store;
    json_t *parsed;
    json_t *id = NULL;
    int status;
    if (request.size > TYCHO_RPC_REQUEST_MAX) {
        return tycho__rpc_refuse(session, TYCHO_TOO_LARGE, "a request has at most 64 MiB", answer);
    }
    begin_call(session, &call);
    parsed = parse(&call, request, &id);
    if (parsed == NULL) {
        status = end_call(&call, id, call.failure.status, answer);
    } else {
        store = acquire_store(session->rpc);
        call.request = parsed;
        call.store = store == NULL ? NULL : store->store;
        status = run_request(&call);
        status = end_call(&call, json_object_get(parsed, "id"), status, answer);
        release_store(session->rpc, store);
    }
    free_chunks(&session->chunks);
    json_decref(parsed);
    json_decref(id);
    return status;
}
