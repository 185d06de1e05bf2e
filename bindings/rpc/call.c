/* call.c - one call: its memory, its failure, its answer.
**
**     parse -> find op -> check fields -> run -> {"id":..,"ok":true,"result":..}
**        \________\___________\___________\---> {"id":..,"ok":false,"error":..,"message":..,facts}
** What a run has written when it fails, or when it answers late, is cut off.
*/
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../msgpack/json.h"
#include "session.h"
#include "tycho_scripts.h"

enum {
    CHUNK_SIZE = 64 << 10, /* of the arena */
    KEPT_SIZE = 4 << 20,   /* larger buffers are freed after their call */
    ALIGNMENT = 16
};

struct rpc_chunk {
    struct rpc_chunk *next;
    size_t used;
    size_t size;
    _Alignas(ALIGNMENT) uint8_t bytes[];
};

/* ---------------------------------------------------------------- memory and failures */

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
    if (status == TYCHO_OK) return TYCHO_OK;
    const char *sentence = tycho_error();
    if (sentence[0] == '\0') sentence = tycho_status_text(status);
    if (call->place_size == 0) return tycho__rpc_fail(call, status, "%s", sentence);
    return tycho__rpc_fail(call, status, "%.*s: %s", (int)call->place_size - 1, call->place,
                           sentence);
}

void tycho__rpc_begin(struct rpc_call *call, tycho_rpc_session *session,
                      struct rpc_memory *memory) {
    struct tycho_buffer *buffers[] = {&memory->out, &memory->scratch, &memory->binary, &memory->id};
    for (size_t i = 0; i < sizeof buffers / sizeof buffers[0]; i++) {
        if (buffers[i]->capacity > KEPT_SIZE) tycho__payload_free(buffers[i]);
        tycho__payload_clear(buffers[i]);
    }
    free_chunks(&memory->chunks);
    *call = (struct rpc_call){.rpc = session->rpc,
                              .session = session,
                              .out = &memory->out,
                              .scratch = &memory->scratch,
                              .binary = &memory->binary,
                              .id = &memory->id,
                              .chunks = &memory->chunks};
    call->failure.operation = call->failure.condition = call->failure.offset = -1;
}

void tycho__rpc_free_memory(struct rpc_memory *memory) {
    tycho__payload_free(&memory->out);
    tycho__payload_free(&memory->scratch);
    tycho__payload_free(&memory->binary);
    tycho__payload_free(&memory->id);
    free_chunks(&memory->chunks);
}

/* ---------------------------------------------------------------- answers */

static int append_text(const char *text, size_t size, void *out) {
    tycho__payload_put(out, text, size);
    return 0;
}

void tycho__rpc_take_id(struct tycho_buffer *out, const json_t *id) {
    if (id == NULL) return;
    if (json_is_real(id)) {
        tycho__rpc_put_number(out, json_real_value(id)); /* shorter than jansson's 17 digits */
    } else {
        json_dump_callback(id, append_text, out, JSON_ENCODE_ANY | JSON_COMPACT);
    }
}

void tycho__rpc_put_id(struct rpc_call *call) {
    tycho__rpc_put_open(call->out, '{');
    tycho__rpc_put_key(call->out, "id");
    if (call->id->failed) call->out->failed = call->id->failed;
    if (call->id->size == 0) {
        tycho__rpc_put_null(call->out);
    } else {
        tycho__rpc_put_json(call->out, (tycho_bytes){call->id->data, call->id->size});
    }
}

tycho_bytes tycho__rpc_end_line(struct rpc_call *call) {
    tycho__payload_put(call->out, "}\n", 2);
    return (tycho_bytes){call->out->data, call->out->failed ? 0 : call->out->size - 1};
}

static void put_fact(struct tycho_buffer *out, const char *name, int64_t value) {
    if (value < 0) return;
    tycho__rpc_put_key(out, name);
    tycho__rpc_put_integer(out, value);
}

static void put_name_fact(struct tycho_buffer *out, const char *name, tycho_bytes value) {
    if (value.size == 0) return;
    tycho__rpc_put_key(out, name);
    tycho__rpc_put_bytes(out, value);
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

static void put_failure(struct rpc_call *call) {
    struct tycho_buffer *out = call->out;
    const struct rpc_failure *failure = &call->failure;
    const char *code = tycho_status_code(failure->status);
    tycho__payload_clear(out);
    tycho__rpc_put_id(call);
    tycho__rpc_put_key(out, "ok");
    tycho__rpc_put_boolean(out, false);
    tycho__rpc_put_key(out, "error");
    tycho__rpc_put_string(out, code, strlen(code));
    tycho__rpc_put_key(out, "message");
    tycho__rpc_put_sentence(out, failure->message);
    if (failure->has_actual) {
        tycho__rpc_put_key(out, "actual");
        tycho__rpc_put_integer(out, failure->actual);
    }
    put_name_fact(out, "event_id", failure->event_id);
    put_name_fact(out, "stream", failure->stream);
    if (failure->status == TYCHO_REJECTED) put_script_facts(out);
    put_fact(out, "operation", failure->operation);
    put_fact(out, "condition", failure->condition);
    put_fact(out, "offset", failure->offset);
    if (failure->owner.token != 0) {
        tycho__rpc_put_key(out, "owner");
        tycho__rpc_put_open(out, '{');
        tycho__rpc_put_lock(out, &failure->owner);
        tycho__rpc_put_close(out, '}');
    }
    if (failure->facts.size > 2) { /* the members of an object */
        tycho_bytes members = {(const char *)failure->facts.data + 1, failure->facts.size - 2};
        tycho__rpc_put_json(out, members);
    }
}

int tycho__rpc_end(struct rpc_call *call, int status, tycho_bytes *answer) {
    static const char no_memory[] = "{\"id\":null,\"ok\":false,\"error\":\"no_memory\","
                                    "\"message\":\"no memory for the answer\"}\n";
    *answer = (tycho_bytes){no_memory, 0};
    if (status == TYCHO_END) return status;
    if (status == TYCHO_OK && call->out->failed) {
        status = tycho__rpc_fail(call, TYCHO_NO_MEMORY, "no memory for the answer");
    }
    if (status != TYCHO_OK) put_failure(call);
    *answer = tycho__rpc_end_line(call);
    if (!call->out->failed) return status;
    *answer = (tycho_bytes){no_memory, sizeof no_memory - 2};
    return TYCHO_NO_MEMORY;
}

/* ---------------------------------------------------------------- requests */

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

/* Finds call->op, and checks that it can be run with the fields that the request has. */
static int find_op(struct rpc_call *call) {
    const json_t *name;
    if (!json_is_object(call->request)) {
        return tycho__rpc_fail(call, TYCHO_MISUSE, "a request is %s; give an object",
                               tycho__rpc_kind(call->request));
    }
    name = json_object_get(call->request, "op");
    if (json_is_string(name)) {
        const char *text = json_string_value(name);
        size_t size = json_string_length(name);
        call->op = tycho__rpc_find_extension(call->rpc, text, size);
        if (call->op == NULL) call->op = tycho__rpc_find_op(text, size);
    }
    if (call->op == NULL) return fail_unknown_op(call, name);
    if (call->op->flags & RPC_HOST) {
        return tycho__rpc_fail(call, TYCHO_DENIED,
                               "%s is not in this host, which has no Lua: ask "
                               "\"tycho rpc\" or the Lua module tycho.rpc, or add the op "
                               "(tycho_rpc_extend)",
                               call->op->name);
    }
    int status = tycho__rpc_check_fields(call, call->request, call->op->name, call->op->fields);
    if (status == TYCHO_OK && (call->op->flags & RPC_STORE) && call->store == NULL) {
        status = tycho__rpc_fail(call, TYCHO_MISUSE, "%s needs a store: open a store first",
                                 call->op->name);
    }
    return status;
}

int tycho__rpc_run(struct rpc_call *call) {
    tycho__rpc_put_id(call);
    tycho__rpc_put_key(call->out, "ok");
    tycho__rpc_put_boolean(call->out, true);
    tycho__rpc_put_key(call->out, "result");
    return call->op->run != NULL ? call->op->run(call) : tycho__rpc_write(call, call->op);
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

/* Parses the request and takes its id: also of one that fails, when it can still be said. */
static json_t *parse(struct rpc_call *call, tycho_bytes text) {
    json_error_t error;
    enum json_error_code code;
    json_t *id = NULL;
    json_t *request = json_loadb(text.data == NULL ? "" : text.data, text.size,
                                 JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_ANY, &error);
    if (request != NULL) {
        tycho__rpc_take_id(call->id, json_object_get(request, "id"));
        return request;
    }
    code = json_error_code(&error);
    if (code == json_error_out_of_memory) {
        tycho__rpc_fail(call, TYCHO_NO_MEMORY, "no memory for a request of %zu bytes", text.size);
        return NULL;
    }
    if (is_beyond_limits(code)) id = find_id(call, text);
    tycho__rpc_take_id(call->id, id);
    json_decref(id);
    call->failure.offset = error.position;
    tycho__rpc_fail(call, TYCHO_MISUSE, "%s: %s",
                    is_beyond_limits(code) ? "JSON beyond limits" : "malformed JSON", error.text);
    return NULL;
}

int tycho__rpc_perform(struct rpc_call *call, tycho_bytes request, tycho_bytes *answer) {
    json_t *parsed = parse(call, request);
    int status;
    if (parsed == NULL) return tycho__rpc_end(call, call->failure.status, answer);
    call->request = parsed;
    status = find_op(call);
    if (status == TYCHO_OK) status = tycho__rpc_run(call);
    status = tycho__rpc_end(call, status, answer);
    json_decref((json_t *)call->request);
    return status;
}
