/* tycho_rpc.h - the host protocol of Tycho in process: JSON in, JSON out.
**
** A host that can build a JSON text and call C needs nothing else: no binding, no pipe. The same
** dispatcher runs `tycho rpc [STORE]`, which reads one request a line and answers one a line; what
** takes time is answered when it is ready, and may say more lines before (LATE ANSWERS).
**
**     {"id":1,"op":"append","stream":"a","records":[{"event_type":"placed","data":{"n":1}}]}
**     {"id":1,"ok":true,"result":{"count":1,"positions":[1],"revisions":[0],"event_ids":["..."]}}
**     {"id":2,"ok":false,"error":"wrong_expected_version","message":"...","actual":0,"stream":"a"}
**
** CONVENTIONS
**   - `id` may be any JSON value and comes back as it is, also with errors; null without one, and
**     when the request is not JSON (then `offset` is the byte where it went wrong).
**   - Unknown ops and fields are refused by name. null counts as absent, except in data, and where
**     it says something ("stream": null is the global log, or the removal of a route).
**   - Times are integer microseconds since the epoch. Integers are exact to 64 bits, floats stay
**     floats (1.0 is not 1). Objects come back with their keys sorted by bytes.
**   - Binary: {"base64":"..."} as the whole data is stored as it is, with the content type
**     application/octet-stream; within data it is MessagePack bin. Data that JSON cannot say (NaN,
**     extensions, integers above 2^63-1, keys that are no strings, an object {"base64":text}, bytes
**     that are no MessagePack) travels as {"base64":"..."} with "content_type":
**     "application/msgpack", and can be sent back so. Other content types are {"base64"} likewise.
**   - Ids of events and keys of rows are strings, or {"base64":"..."} when they are not UTF-8.
**   - An `id` should be the request's own: late lines and `cancel` go by it.
**   - Indexes in answers (`operation`, `condition`) and messages (records[0]) are 0-based.
**
** RECORDS. Requests: {event_id?, event_type, data?, metadata?, timestamp?, valid_at?, tags?,
** correlation_id?, causation_id?, content_type?}; data is {} when absent. Answers: {event_id,
** event_type, data, metadata, timestamp, valid_at, position, stream (home, or null), revision (in
** the stream that is read, else in the home stream; or null)}, and tags, correlation_id,
** causation_id, content_type, is_link where there is something to say.
**
** OPS THAT WRITE, also as operations of a batch. Those that name a stream take `raw`: true means
** that the name is the stream's own, even where a route has that name.
**   append               stream, expected_version, records, idempotent  {count, positions,
**                        revisions, event_ids (when some were generated)}
**   link                 stream, expected_version, event_ids, on_duplicate           {count}
**   link_range           source, first, last, target, expected_version,
**                        on_duplicate, keep_revisions                                {count}
**   link_merged          sources [{stream, first}], target, expected_version,
**                        on_duplicate                                                {count}
**   unlink               stream, event_ids                                           {count}
**   delete_stream        stream, expected_version                                    {count}
**   truncate             stream, before (the first revision that is kept)            {count}
**   set_stream_metadata  stream, metadata (null removes it)                          {count}
**   update               records (events as they are read will do)                   {count}
**   set_route            route, stream (null removes it), expected, closed           {previous}
**   put_row              table, key, value (or bytes: any bytes), version    {count, version}
**   delete_row           table, key, version                                         {count}
**   set_checkpoint       checkpoint, position (0 removes it), expected               {count}
**   batch                conditions, operations, idempotent   {sequence, first_position,
**                        event_count, head, is_replay, results: one a operation, as above}
** Conditions are {stream, expected_version, raw}, {route, stream (null: no such route)}, {row:
** [table, key], version (0: no such row)}, {checkpoint, position}, {none_match: query, after} and
** {lock, token} (the name of a lock that is still held with that token, by whatever process);
** `expected` and `version` of operations are the same. A refusal has the facts `actual` (revision,
** version, position or token found), `event_id`, `stream`, `operation` and `condition`.
** update replaces event_type, data, metadata and, when it is given, valid_at; it leaves all else as
** it is, whatever the record says. Empty records and event_ids commit nothing. expected_version:
** "any", "none", "auto" (which is "any": the engine orders the writers), "exists", or an integer
** from -1 (none) on; the global log knows only "any".
**
** OPS THAT READ
**   ping, open (path, mode, sync), close, head, stats, sync, backup (path)
**   has_event, global_position, streams_of, event        event_id
**   position_in_stream, event_in_stream                  event_id, stream
**   last_stream_event, last_version                      stream
**   read                 spec, page, cursor              {events, next}
**   count                spec                            integer
**   streams, types, tags, routes, checkpoints            prefix, after, limit  {<op>: [..], next}
**   rows                                                 table, prefix, after, limit
**   stream_metadata (stream, raw), route (route), checkpoint (checkpoint), get_row (table, key)
**   wait                 position, timeout_ms            the head, or null when time is over
**   verify                                               {findings, finding_count, checked}
**   model_get            model, key, fresh, snapshot_after, timeout_ms (30000; -1: for ever)
**       {state, position, version, events, folded, linked, is_known, was_caught_up}
**   model_status         model                           {version, instances, current, snapshots}
**                        model, key  {is_caught_up, is_current, entries, and what is known of it}
** The state of an instance of a read model (tycho_scripts.h, section 7); the first time it is asked
** for, its old events are linked. rejected has the facts script, version, line, key, position.
** spec: {stream, raw, dir, start, stop, from_position, to_position, from_revision, to_revision, lt,
** lteq, gt, gteq, sort, limit, ids, types, tags, query, read_as}; query is {types, tags} or an
** array of them. `next` is the cursor of the rest, or null; a page also ends when it reaches
** TYCHO_RPC_ANSWER_SIZE.
**
** LOCKS belong to the session (a connection of `tycho rpc`), and are given back when it ends,
** however it ends. A session that asks for a lock that it holds, or waits for, is answered busy.
**   lock                 name, timeout_ms (30000; 0: at once; -1: for ever)          {token}
**   unlock               name or token                                               true
**   locks                                [{name, token, pid, thread, host, since, waiters}]
** timeout and busy have the fact `owner`: {token, pid, thread, host, since}, when it is known.
** Tokens rise with each grant; the condition {lock, token} keeps out who lost the lock meanwhile.
**
** LATE ANSWERS. A lock that must be waited for, a model_get that must catch up, a follow
** and what the host adds do not hold up the requests behind them: their lines come when there is
** something to say, each whole, with the id of the request. All lines of one request are in their
** order, and its answer or `over` is the last.
**   follow               spec, cursor                                        {follow: n}, first
**       {"id":5,"ok":true,"result":{"follow":1}}
**       {"id":5,"event":{...}}                the history, then what is written, by any process
**       {"id":5,"caught_up":12,"cursor":"..."}
**       {"id":5,"over":"cancelled","cursor":"..."}                or "limit"
**     caught_up: all that there was up to this position of the log has been sent; once after the
**     history, then each time after further events. A cursor goes on behind the last event, also in
**     another process and after a rename. What spec cannot have: tycho.h, section 9. A failure is
**     an answer with ok false and ends the follow (with its `cursor`, where it is good). There may
**     be any number of follows; idle ones cost neither CPU nor a thread each.
**   cancel               request (an id) or follow (its number)     whether there was such work
**     A lock and a model_get are answered `timeout` then. Work that is ending just then may still
**     succeed.
**   wait holds up the connection; follow does not.
** The end of input, or tycho_rpc_session_destroy(), cancels all late work, waits for its last
** lines and gives the locks back. Nothing is queued: a slow reader holds back what it is sent.
**
** OPS OF LUA. `tycho rpc` and the Lua module tycho.rpc also have these; other hosts answer them
** `denied`, unless they add ops of these names with tycho_rpc_extend().
**   rename               source, target, undo, and the fields below
**   merge                sources (an array), target, and the fields below
**     chunk, pause_ms, forward, dry_run, cancel (true: takes the links out again), delete_source,
**     lock_timeout_ms: as the options of that name of store:rename{} and store:merge{} in Lua
**       {"id":6,"progress":{"phase":"linking","linked":5000,"left":1200,"total":6200,...}}
**       {"id":6,"ok":true,"result":{"phase":"switched","linked":6200,...}}
**     The status has kind, sources, target, phase (planned, linking, switched, deleted, cancelled),
**     forward, linked, left, total, routes (that lead there), and rate and eta_ms when they are
**     known. The op `cancel` stops between two batches (`timeout`); asked for again, it goes on.
**   backfill             one of file, source and linker; chunk, pause_ms, dry_run, cancel,
**                        lock_timeout_ms: as the options of that name of store:backfill{}
**     Deploys a linker with its older events (tycho_scripts.h, section 8). Progress and result are
**     its status: name, version, phase (planned, new, linking, preparing, mending, cancelling,
**     done, cancelled), position, head, left, total, linked, unlinked, is_beside, is_deployed.
**     rejected has the facts script, version, line, position, event_id.
*/
#ifndef TYCHO_RPC_H
#define TYCHO_RPC_H

#include "tycho.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes of one request; more is answered too_large. Parsing can take 30 times as much memory. */
#define TYCHO_RPC_REQUEST_MAX (64u << 20)
#define TYCHO_RPC_ANSWER_SIZE (32u << 20) /* bytes of answer at which a page ends */

/* A dispatcher holds one store and may be used by any number of threads, each with a session. A
** session is used by one thread at a time (not by its listener). Functions that fail set
** tycho_error(). */
typedef struct tycho_rpc tycho_rpc;
typedef struct tycho_rpc_session tycho_rpc_session;

/* NO_MEMORY. `*rpc` is NULL on error. */
TYCHO_API int tycho_rpc_create(tycho_rpc **rpc);

/* Opens the store (made when it does not exist), as the op `open` does: it takes the place of the
** one that was open, which is closed when the calls that still use it have ended. The statuses of
** tycho_store_open(). */
TYCHO_API int tycho_rpc_open(tycho_rpc *rpc, const char *path);

/* Closes the store. Its sessions must be destroyed before (asserted). NULL is accepted. */
TYCHO_API void tycho_rpc_destroy(tycho_rpc *rpc);

/* NO_MEMORY. `*session` is NULL on error. */
TYCHO_API int tycho_rpc_session_create(tycho_rpc *rpc, tycho_rpc_session **session);

/* Cancels late work, waits for it, and gives the locks back. NULL is accepted. */
TYCHO_API void tycho_rpc_session_destroy(tycho_rpc_session *session);

/* Gives the session a listener for late answers, before its first call. Without one, follow is
** denied, and lock and the ops of the host keep the caller waiting for their answer.
** `send` gets each late line, a view that is good until it returns, without its line break (which
** is the byte behind it). It is called by threads of the session, one at a time, never by the
** thread that is in tycho_rpc_call(). It may block, which holds back late work alone; it must not
** use the session. Anything but 0 means that nobody listens any more: late work is cancelled. */
TYCHO_API void tycho_rpc_session_listen(tycho_rpc_session *session,
                                        int (*send)(void *context, tycho_bytes line),
                                        void *context);

/* Carries out one request, any bytes. The answer is one JSON object without line breaks, a view
** that is good until the session's next call. Returns TYCHO_OK when the answer is {"ok":true}, else
** the status whose code is its `error`. With a listener also TYCHO_END: the answer is empty, and
** all lines of this request go to the listener; the first may be there before the call returns. */
TYCHO_API int tycho_rpc_call(tycho_rpc_session *session, tycho_bytes request, tycho_bytes *answer);

/* An op that the host adds. `run` carries out one request and returns TYCHO_OK, or a failure whose
** sentence it has set with tycho_set_error(). It is called in a thread of the task's own when the
** session has a listener, else in the caller's; by several threads at once. */
typedef struct tycho_rpc_task tycho_rpc_task;
typedef struct tycho_rpc_op {
    const char *name;
    const char *fields; /* that requests may have beside id and op: words, separated by spaces */
    int (*run)(void *context, tycho_rpc_task *task);
    void *context;
} tycho_rpc_op;

/* Adds an op, before there are sessions; one of the same name is hidden by it. Inputs are copied.
** NO_MEMORY. */
TYCHO_API int tycho_rpc_extend(tycho_rpc *rpc, const tycho_rpc_op *op);

/* The task's op, its request (a JSON object), and the store that is open: its path, and the
** options with which it was opened. Views good while `run` runs. */
TYCHO_API const char *tycho_rpc_task_op(const tycho_rpc_task *task);
TYCHO_API tycho_bytes tycho_rpc_task_request(const tycho_rpc_task *task);
TYCHO_API const char *tycho_rpc_task_path(const tycho_rpc_task *task);
TYCHO_API const tycho_options *tycho_rpc_task_options(const tycho_rpc_task *task);

/* 1 when the request was cancelled, its session ends, or nobody listens: end soon. Any thread. */
TYCHO_API int tycho_rpc_task_is_cancelled(const tycho_rpc_task *task);

/* Each of these takes JSON without line breaks: MISUSE, NO_MEMORY.
** progress sends {"id":..,"progress":json}, waiting until the listener has taken it; END when
** nobody listens. result is what the answer says, null without it. facts, an object, has further
** members of the answer when `run` fails. */
TYCHO_API int tycho_rpc_task_progress(tycho_rpc_task *task, tycho_bytes json);
TYCHO_API int tycho_rpc_task_result(tycho_rpc_task *task, tycho_bytes json);
TYCHO_API int tycho_rpc_task_facts(tycho_rpc_task *task, tycho_bytes json);

/* Answers lines from the descriptor `in` on the descriptor `out` until `in` ends. Blank lines are
** passed over; a line that is too long is skipped and answered too_large. `path` is the store to
** open first, or NULL (the op `open` does it then). TYCHO_OK at the end of input; the statuses of
** tycho_rpc_open(); IO when a descriptor fails; NO_MEMORY. Leaves both descriptors open. */
TYCHO_API int tycho_rpc_serve(int in, int out, const char *path);

/* The same as one of any number of connections of a dispatcher, each in a thread of its own. `in`
** and `out` may be one socket. Whose peer hangs up gets SIGPIPE, unless the host ignores it. */
TYCHO_API int tycho_rpc_serve_connection(tycho_rpc *rpc, int in, int out);

#ifdef __cplusplus
}
#endif

#endif
