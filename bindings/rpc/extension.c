/* extension.c - ops that the host adds, and what their callbacks may do.
**
** A session without a listener has nobody to send progress to; the op runs all the same, in the
** caller's thread, and only its result is answered.
*/
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "session.h"

struct tycho_rpc_task {
    struct rpc_call *call;
    struct tycho_buffer request;
    bool has_result;
};

/* ---------------------------------------------------------------- the ops */

const struct rpc_op *tycho__rpc_find_extension(const tycho_rpc *rpc, const char *name,
                                               size_t size) {
    for (const struct rpc_extension *each = rpc->extensions; each != NULL; each = each->next) {
        if (strlen(each->op.name) == size && memcmp(each->op.name, name, size) == 0) {
            return &each->op;
        }
    }
    return NULL;
}

int tycho_rpc_extend(tycho_rpc *rpc, const tycho_rpc_op *op) {
    static const char basic[] = "id op ";
    size_t name_size = strlen(op->name) + 1;
    size_t fields_size = sizeof basic + strlen(op->fields);
    struct rpc_extension *extension = calloc(1, sizeof *extension + name_size + fields_size);
    if (extension == NULL) {
        tycho_set_error("no memory for an op");
        return TYCHO_NO_MEMORY;
    }
    char *name = (char *)(extension + 1);
    char *fields = name + name_size;
    memcpy(name, op->name, name_size);
    snprintf(fields, fields_size, "%s%s", basic, op->fields);
    extension->op = (struct rpc_op){name, fields, RPC_STORE, tycho__rpc_extended, NULL};
    extension->run = op->run;
    extension->context = op->context;
    extension->next = rpc->extensions;
    rpc->extensions = extension;
    return TYCHO_OK;
}

void tycho__rpc_free_extensions(tycho_rpc *rpc) {
    while (rpc->extensions != NULL) {
        struct rpc_extension *next = rpc->extensions->next;
        free(rpc->extensions);
        rpc->extensions = next;
    }
}

/* ---------------------------------------------------------------- running one */

static int append_text(const char *text, size_t size, void *out) {
    tycho__payload_put(out, text, size);
    return 0;
}

int tycho__rpc_extended(struct rpc_call *call) {
    const struct rpc_extension *extension = (const struct rpc_extension *)call->op;
    struct tycho_rpc_task task = {.call = call};
    int status;
    if (tycho__rpc_can_be_late(call)) return tycho__rpc_later(call);
    json_dump_callback(call->request, append_text, &task.request, JSON_COMPACT);
    if (task.request.failed) {
        status = tycho__rpc_fail(call, TYCHO_NO_MEMORY, "no memory for the request");
    } else {
        tycho_set_error("");
        status = extension->run(extension->context, &task);
        if (status < 0) tycho__rpc_engine(call, status);
    }
    tycho__payload_free(&task.request);
    if (status < 0) return status;
    if (!task.has_result) tycho__rpc_put_null(call->out);
    return TYCHO_OK;
}

const char *tycho_rpc_task_op(const tycho_rpc_task *task) {
    return task->call->op->name;
}

tycho_bytes tycho_rpc_task_request(const tycho_rpc_task *task) {
    return (tycho_bytes){task->request.data, task->request.size};
}

const char *tycho_rpc_task_path(const tycho_rpc_task *task) {
    return tycho_store_path(task->call->store);
}

const tycho_options *tycho_rpc_task_options(const tycho_rpc_task *task) {
    return &task->call->opened->options;
}

int tycho_rpc_task_is_cancelled(const tycho_rpc_task *task) {
    return tycho__rpc_is_cancelled(task->call);
}

/* JSON that is put into a line as it is must not break the line. */
static int check_json(tycho_bytes json, char first) {
    bool is_good = json.size > 0 && memchr(json.data, '\n', json.size) == NULL;
    if (is_good && (first == '\0' || *(const char *)json.data == first)) return TYCHO_OK;
    tycho_set_error("what an op sends must be JSON without line breaks");
    return TYCHO_MISUSE;
}

int tycho_rpc_task_progress(tycho_rpc_task *task, tycho_bytes json) {
    struct rpc_call *call = task->call;
    struct tycho_buffer *out = call->out;
    struct tycho_buffer line = {.data = NULL};
    int status = check_json(json, '\0');
    if (status != TYCHO_OK || call->job == NULL) return status;
    call->out = &line;
    tycho__rpc_put_id(call);
    tycho__rpc_put_key(call->out, "progress");
    tycho__rpc_put_json(call->out, json);
    tycho_bytes text = tycho__rpc_end_line(call);
    call->out = out;
    if (text.size == 0) {
        tycho_set_error("no memory for a line of progress");
        status = TYCHO_NO_MEMORY;
    } else if (!tycho__rpc_send(call->session, text)) {
        status = TYCHO_END;
    }
    tycho__payload_free(&line);
    return status;
}

int tycho_rpc_task_result(tycho_rpc_task *task, tycho_bytes json) {
    int status = check_json(json, '\0');
    if (status != TYCHO_OK || task->has_result) return status;
    task->has_result = true;
    tycho__rpc_put_json(task->call->out, json);
    return TYCHO_OK;
}

int tycho_rpc_task_facts(tycho_rpc_task *task, tycho_bytes json) {
    int status = check_json(json, '{');
    if (status != TYCHO_OK) return status;
    task->call->failure.facts = tycho__rpc_copy(task->call, json.data, json.size);
    return task->call->failure.facts.data == NULL ? TYCHO_NO_MEMORY : TYCHO_OK;
}
