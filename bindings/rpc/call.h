/* call.h - what the files of the dispatcher share: one call, its failure, its memory.
**
**     serve.c     lines in, lines out            read.c      read, count: spec to cursor
**     session.c   dispatcher and sessions        lookup.c    one question about one event or stream
**     call.c      one call                       listing.c   directories, in pages
**     ops.c       the table of ops               event.c     records in, events out
**     write.c     operations to a batch          field.c     fields of the request, checked
**     batch.c     conditions, commit, receipt    text.c      the JSON of the answer
**     value.c     JSON to and from MessagePack   store.c     open, wait, verify, stats ...
**     model.c     read models on demand
**     session.h names the files of what is answered late: late.c, lock.c, follow.c, extension.c.
**
** A call reads a parsed request (jansson) and writes its answer as text, straight into a buffer. A
** function that can fail returns a status and has put the sentence and the facts into
** call->failure; tycho__rpc_fail() is the only way to do so. What a call allocates comes from its
** arena and goes at its end; what it takes from the request are views into it. No JSON value of the
** request is walked by recursion.
*/
#ifndef TYCHO_RPC_CALL_H
#define TYCHO_RPC_CALL_H

#include <jansson.h>
#include <stdbool.h>

#include "../msgpack/msgpack.h"
#include "tycho_rpc.h"

enum {
    RPC_MESSAGE_SIZE = 800, /* of a sentence; longer ones are cut */
    RPC_PLACE_SIZE = 128,   /* of "operations[9999].records[9999]." */
    RPC_QUERY_ITEMS_MAX = TYCHO_QUERY_MAX
};

struct rpc_failure {
    int status;
    bool has_actual;
    int64_t actual;
    int64_t operation; /* this and the next two: -1 when there is none */
    int64_t condition;
    int64_t offset;
    tycho_bytes event_id; /* empty when there is none */
    tycho_bytes stream;
    tycho_lock_info owner; /* of a lock; token 0: none */
    tycho_bytes facts;     /* of an op of the host: a JSON object; empty: none */
    char message[RPC_MESSAGE_SIZE];
};

struct rpc_chunk; /* of the arena */

/* The memory of one call at a time. */
struct rpc_memory {
    struct tycho_buffer out;
    struct tycho_buffer scratch;
    struct tycho_buffer binary;
    struct tycho_buffer id;
    struct rpc_chunk *chunks; /* the newest first */
};

struct rpc_work;
struct rpc_store;
struct rpc_op;

struct rpc_call {
    tycho_rpc *rpc;
    tycho_rpc_session *session;
    struct rpc_work *job;      /* in whose thread it runs; NULL: in the caller's */
    struct rpc_store *opened;  /* counted while the call runs; NULL when none is open */
    tycho_store *store;        /* its handle */
    tycho_batch *batch;        /* of the session; empty when the call begins; NULL in a job */
    struct tycho_buffer *out;
    struct tycho_buffer *scratch; /* for one value at a time, and... */
    struct tycho_buffer *binary;  /* ...for one base64 text in it */
    struct tycho_buffer *id;      /* of the request, as JSON; empty: null */
    struct rpc_chunk **chunks;
    const struct rpc_op *op;
    const json_t *request; /* NULL when a job has taken it */
    size_t place_size;
    char place[RPC_PLACE_SIZE]; /* where in the request: "" or "records[3]." */
    struct rpc_failure failure;
};

/* ---------------------------------------------------------------- call.c */

/* Puts the sentence into call->failure; returns `status`. */
__attribute__((format(printf, 3, 4))) int tycho__rpc_fail(struct rpc_call *call, int status,
                                                          const char *format, ...);

/* The same with the sentence of the engine, whose answer is `status`; TYCHO_OK is no failure. */
int tycho__rpc_engine(struct rpc_call *call, int status);

/* Memory until the end of the call, aligned for anything, not cleared; NULL fails the call with
** NO_MEMORY. `count` * `size` is checked for overflow. */
void *tycho__rpc_alloc(struct rpc_call *call, size_t count, size_t size);

/* A copy in the arena; its data is NULL when memory is out (the call has failed then). */
tycho_bytes tycho__rpc_copy(struct rpc_call *call, const void *data, size_t size);

/* Begins a call, or a line, in this memory, and forgets what it held. */
void tycho__rpc_begin(struct rpc_call *call, tycho_rpc_session *session,
                      struct rpc_memory *memory);
void tycho__rpc_free_memory(struct rpc_memory *memory);

/* The id of a request, as the JSON that comes back; NULL: nothing. */
void tycho__rpc_take_id(struct tycho_buffer *out, const json_t *id);
/* Begins {"id":... in call->out. */
void tycho__rpc_put_id(struct rpc_call *call);
/* Closes it; a line break stands behind the line. */
tycho_bytes tycho__rpc_end_line(struct rpc_call *call);

/* Runs call->op on call->request: OK, a failure, or END: it answers late. */
int tycho__rpc_run(struct rpc_call *call);

/* Makes the answer of what was written, or failed. */
int tycho__rpc_end(struct rpc_call *call, int status, tycho_bytes *answer);

/* Parses a request and runs it: the status and the answer of tycho_rpc_call(). */
int tycho__rpc_perform(struct rpc_call *call, tycho_bytes request, tycho_bytes *answer);

/* ---------------------------------------------------------------- session.c */

/* Opens a store and makes it the dispatcher's; NULL options are the defaults. */
int tycho__rpc_open(tycho_rpc *rpc, const char *path, const tycho_options *options);
/* Takes the store away; false when none was open. */
bool tycho__rpc_close(tycho_rpc *rpc);

/* Answers a request that cannot be looked at with a failure. */
int tycho__rpc_refuse(tycho_rpc_session *session, int status, const char *message,
                      tycho_bytes *answer);

/* ---------------------------------------------------------------- late.c */

/* May this call be answered late? */
bool tycho__rpc_can_be_late(const struct rpc_call *call);

/* Runs the op of this call anew, in a thread of its own, with call->job set: END, or a failure. */
int tycho__rpc_later(struct rpc_call *call);

bool tycho__rpc_is_cancelled(const struct rpc_call *call);

/* ---------------------------------------------------------------- ops.c */

enum {
    RPC_STORE = 1, /* needs an open store */
    RPC_WRITE = 2, /* `build` may be an operation of a batch */
    RPC_HOST = 4   /* only a host can add it: see tycho_rpc_extend() */
};

/* An operation that was added to the batch: what its answer needs. */
struct rpc_step {
    const struct rpc_op *op;
    int result;  /* index among the engine's results; -1: nothing was added, count is 0 */
    size_t count; /* append: of records */
    const tycho_new_event *events; /* append: with ids */
    bool is_generated;             /* append: at least one id is ours */
};

struct rpc_op {
    const char *name;
    const char *fields; /* known ones, separated by spaces */
    unsigned flags;
    /* Writes the result into call->out. NULL for RPC_WRITE: build, commit, answer. */
    int (*run)(struct rpc_call *call);
    /* Adds conditions and at most one operation of `object` to call->batch. */
    int (*build)(struct rpc_call *call, const json_t *object, struct rpc_step *step);
};

/* NULL when there is none. */
const struct rpc_op *tycho__rpc_find_op(const char *name, size_t size);
/* The names of all ops with these flags, separated by ", ". */
void tycho__rpc_op_names(unsigned flags, char *names, size_t size);

/* ---------------------------------------------------------------- field.c */

enum { RPC_REQUIRED = 1, RPC_EMPTY = 2 /* "" is allowed */ };

/* Where the fields of `name` or name[index] are: for messages. Returns what leave() takes. */
size_t tycho__rpc_enter(struct rpc_call *call, const char *name);
size_t tycho__rpc_enter_item(struct rpc_call *call, const char *name, size_t index);
void tycho__rpc_leave(struct rpc_call *call, size_t place_size);

/* The kind of a value, for messages: "an integer". Static. */
const char *tycho__rpc_kind(const json_t *value);

/* Refuses a value that is no object, and fields that are not in `known`. `what` names the value
** within the place; NULL: it is the place. */
int tycho__rpc_check_fields(struct rpc_call *call, const json_t *object, const char *what,
                            const char *known);

/* The field, NULL when it is absent or null. */
const json_t *tycho__rpc_field(const json_t *object, const char *name);

/* Each of the following reads one field; absent: *value stays as it is, MISUSE with REQUIRED. */
int tycho__rpc_text(struct rpc_call *call, const json_t *object, const char *name, unsigned flags,
                    tycho_bytes *value);
/* A string or {"base64": "..."}. */
int tycho__rpc_bytes(struct rpc_call *call, const json_t *object, const char *name, unsigned flags,
                     tycho_bytes *value);
/* From `least` to INT64_MAX. `is_given` may be NULL. */
int tycho__rpc_integer(struct rpc_call *call, const json_t *object, const char *name,
                       int64_t least, int64_t *value, bool *is_given);
int tycho__rpc_boolean(struct rpc_call *call, const json_t *object, const char *name, bool *value);
/* One of the words of `words`: its index. */
int tycho__rpc_choice(struct rpc_call *call, const json_t *object, const char *name,
                      const char *words, uint32_t *index);
/* An array of nonempty strings; of ids or keys, whose sizes the engine checks. */
int tycho__rpc_texts(struct rpc_call *call, const json_t *object, const char *name,
                     const tycho_bytes **values, size_t *count);
int tycho__rpc_ids(struct rpc_call *call, const json_t *object, const char *name,
                   const tycho_bytes **values, size_t *count);
/* A path for the system: NUL-terminated. */
int tycho__rpc_path(struct rpc_call *call, const json_t *object, const char *name,
                    const char **path);
/* An array; NULL when it is absent. */
int tycho__rpc_array(struct rpc_call *call, const json_t *object, const char *name,
                     unsigned flags, const json_t **array);
/* expected_version; the global log (an empty stream) knows only "any". Absent: EXPECT_ANY. */
int tycho__rpc_expected(struct rpc_call *call, const json_t *object, tycho_bytes stream,
                        int64_t *expected);
/* {types, tags} or an array of them. */
int tycho__rpc_query(struct rpc_call *call, const json_t *object, const char *name,
                     tycho_query *query);

/* ---------------------------------------------------------------- value.c */

/* The bytes of {"base64": "..."}: TYCHO_END when the value is not of that form. */
int tycho__rpc_base64_value(struct rpc_call *call, const json_t *value, const char *name,
                            tycho_bytes *bytes);
/* The value as MessagePack, in the arena. `name` is its field, for messages. */
int tycho__rpc_pack(struct rpc_call *call, const json_t *value, const char *name,
                    tycho_bytes *bytes);
/* Writes one MessagePack value as JSON. False, with nothing written, when JSON cannot say it. */
bool tycho__rpc_unpack(struct tycho_buffer *out, tycho_bytes bytes);

/* ---------------------------------------------------------------- event.c */

/* The field `records` as new events with ids; `for_update`: what an update leaves is not taken. */
int tycho__rpc_records(struct rpc_call *call, const json_t *object, bool for_update,
                       struct rpc_step *step);
/* The current event of a cursor, as JSON. */
int tycho__rpc_put_event(struct rpc_call *call, tycho_cursor *cursor, const tycho_event *event);
/* Metadata: an object, {} for no bytes, {"base64"} when JSON cannot say it. */
void tycho__rpc_put_metadata(struct tycho_buffer *out, tycho_bytes metadata);

/* ---------------------------------------------------------------- text.c */

/* The answer is text in a buffer. A value or key that follows another one gets its comma by
** itself: only {, [ and : can stand before the first of a run. */
void tycho__rpc_put_open(struct tycho_buffer *out, char bracket);
void tycho__rpc_put_close(struct tycho_buffer *out, char bracket);
void tycho__rpc_put_key(struct tycho_buffer *out, const char *name);
void tycho__rpc_put_null(struct tycho_buffer *out);
void tycho__rpc_put_boolean(struct tycho_buffer *out, bool value);
void tycho__rpc_put_integer(struct tycho_buffer *out, int64_t value);
void tycho__rpc_put_unsigned(struct tycho_buffer *out, uint64_t value);
/* Finite; always with a fraction or an exponent. */
void tycho__rpc_put_number(struct tycho_buffer *out, double value);
/* Valid UTF-8. */
void tycho__rpc_put_string(struct tycho_buffer *out, const void *data, size_t size);
/* Any bytes; what is not UTF-8 becomes '?'. For messages. */
void tycho__rpc_put_sentence(struct tycho_buffer *out, const char *text);
/* Any bytes: a string when they are UTF-8, else {"base64": "..."}. */
void tycho__rpc_put_bytes(struct tycho_buffer *out, tycho_bytes bytes);
/* The same, null for none. */
void tycho__rpc_put_name(struct tycho_buffer *out, tycho_bytes bytes);
void tycho__rpc_put_base64(struct tycho_buffer *out, tycho_bytes bytes);
/* JSON text, as it is. */
void tycho__rpc_put_json(struct tycho_buffer *out, tycho_bytes text);
/* token, pid, thread, host and since of a lock's owner. */
void tycho__rpc_put_lock(struct tycho_buffer *out, const tycho_lock_info *lock);
/* A cursor's key as text, and back: false when the text is not one. */
void tycho__rpc_put_cursor(struct tycho_buffer *out, tycho_bytes key);
bool tycho__rpc_parse_cursor(tycho_bytes text, uint8_t key[TYCHO_CURSOR_KEY_MAX], size_t *size);

/* ---------------------------------------------------------------- batch.c, write.c, and ops */

/* Commits call->batch and writes the results of its steps, one after another, inside what the
** caller opened. */
int tycho__rpc_write(struct rpc_call *call, const struct rpc_op *op);
int tycho__rpc_batch(struct rpc_call *call);

int tycho__rpc_build_append(struct rpc_call *call, const json_t *object, struct rpc_step *step);
int tycho__rpc_build_link(struct rpc_call *call, const json_t *object, struct rpc_step *step);
int tycho__rpc_build_link_range(struct rpc_call *call, const json_t *object, struct rpc_step *step);
int tycho__rpc_build_link_merged(struct rpc_call *call, const json_t *object,
                                 struct rpc_step *step);
int tycho__rpc_build_unlink(struct rpc_call *call, const json_t *object, struct rpc_step *step);
int tycho__rpc_build_delete_stream(struct rpc_call *call, const json_t *object,
                                   struct rpc_step *step);
int tycho__rpc_build_truncate(struct rpc_call *call, const json_t *object, struct rpc_step *step);
int tycho__rpc_build_set_stream_metadata(struct rpc_call *call, const json_t *object,
                                         struct rpc_step *step);
int tycho__rpc_build_update(struct rpc_call *call, const json_t *object, struct rpc_step *step);
int tycho__rpc_build_set_route(struct rpc_call *call, const json_t *object, struct rpc_step *step);
int tycho__rpc_build_put_row(struct rpc_call *call, const json_t *object, struct rpc_step *step);
int tycho__rpc_build_delete_row(struct rpc_call *call, const json_t *object,
                                struct rpc_step *step);
int tycho__rpc_build_set_checkpoint(struct rpc_call *call, const json_t *object,
                                    struct rpc_step *step);

int tycho__rpc_ping(struct rpc_call *call);
int tycho__rpc_open_op(struct rpc_call *call);
int tycho__rpc_close_op(struct rpc_call *call);
int tycho__rpc_sync(struct rpc_call *call);
int tycho__rpc_backup(struct rpc_call *call);
int tycho__rpc_wait(struct rpc_call *call);
int tycho__rpc_verify(struct rpc_call *call);
int tycho__rpc_stats(struct rpc_call *call);

int tycho__rpc_model_get(struct rpc_call *call);
int tycho__rpc_model_status(struct rpc_call *call);

int tycho__rpc_lock(struct rpc_call *call);
int tycho__rpc_unlock(struct rpc_call *call);
int tycho__rpc_locks(struct rpc_call *call);
int tycho__rpc_cancel(struct rpc_call *call);
int tycho__rpc_follow(struct rpc_call *call);
int tycho__rpc_extended(struct rpc_call *call);

int tycho__rpc_read(struct rpc_call *call);
int tycho__rpc_count(struct rpc_call *call);
/* Opens a follower as `spec` and `cursor` of the request say. */
int tycho__rpc_open_follower(struct rpc_call *call, tycho_follower **follower);
/* The one event of a read as JSON, or null. */
int tycho__rpc_put_first(struct rpc_call *call, const tycho_read *read);

int tycho__rpc_has_event(struct rpc_call *call);
int tycho__rpc_global_position(struct rpc_call *call);
int tycho__rpc_streams_of(struct rpc_call *call);
int tycho__rpc_event(struct rpc_call *call);
int tycho__rpc_position_in_stream(struct rpc_call *call);
int tycho__rpc_event_in_stream(struct rpc_call *call);
int tycho__rpc_last_stream_event(struct rpc_call *call);
int tycho__rpc_last_version(struct rpc_call *call);
int tycho__rpc_head(struct rpc_call *call);

int tycho__rpc_streams(struct rpc_call *call);
int tycho__rpc_types(struct rpc_call *call);
int tycho__rpc_tags(struct rpc_call *call);
int tycho__rpc_routes(struct rpc_call *call);
int tycho__rpc_checkpoints(struct rpc_call *call);
int tycho__rpc_rows(struct rpc_call *call);
int tycho__rpc_stream_metadata(struct rpc_call *call);
int tycho__rpc_route(struct rpc_call *call);
int tycho__rpc_checkpoint(struct rpc_call *call);
int tycho__rpc_get_row(struct rpc_call *call);

#endif
