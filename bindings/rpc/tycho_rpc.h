/* tycho_rpc.h - the host protocol of Tycho in process: JSON in, JSON out.
**
** A host that can build a JSON text and call C needs nothing else: no binding, no pipe. The same
** dispatcher runs `tycho rpc [STORE]`, which reads one request a line and answers one a line.
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
**   link_range           source, first, last, target, expected_version, on_duplicate {count}
**   unlink               stream, event_ids                                           {count}
**   delete_stream        stream, expected_version                                    {count}
**   truncate             stream, before (the first revision that is kept)            {count}
**   set_stream_metadata  stream, metadata (null removes it)                          {count}
**   update               records (events as they are read will do)                   {count}
**   set_route            route, stream (null removes it), expected                   {previous}
**   put_row              table, key, value (or bytes: any bytes), version    {count, version}
**   delete_row           table, key, version                                         {count}
**   set_checkpoint       checkpoint, position (0 removes it), expected               {count}
**   batch                conditions, operations, idempotent   {sequence, first_position,
**                        event_count, head, is_replay, results: one a operation, as above}
** Conditions are {stream, expected_version, raw}, {route, stream (null: no such route)}, {row:
** [table, key], version (0: no such row)}, {checkpoint, position} and {none_match: query, after};
** `expected` and `version` of operations are the same. A refusal has the facts `actual` (revision,
** version or position found), `event_id`, `stream`, `operation` and `condition`.
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
** spec: {stream, raw, dir, start, stop, from_position, to_position, from_revision, to_revision, lt,
** lteq, gt, gteq, sort, limit, ids, types, tags, query, read_as}; query is {types, tags} or an
** array of them. `next` is the cursor of the rest, or null; a page also ends when it reaches
** TYCHO_RPC_ANSWER_SIZE.
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
** session is used by one thread at a time. Functions that fail set tycho_error(). */
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
TYCHO_API void tycho_rpc_session_destroy(tycho_rpc_session *session);

/* Carries out one request, any bytes. There is always an answer: one JSON object without line
** breaks, a view that is good until the session's next call. Returns TYCHO_OK when the answer is
** {"ok":true}, else the status whose code is its `error`. */
TYCHO_API int tycho_rpc_call(tycho_rpc_session *session, tycho_bytes request, tycho_bytes *answer);

/* Answers lines from the descriptor `in` on the descriptor `out` until `in` ends. Blank lines are
** passed over; a line that is too long is skipped and answered too_large. `path` is the store to
** open first, or NULL (the op `open` does it then). TYCHO_OK at the end of input; the statuses of
** tycho_rpc_open(); IO when a descriptor fails; NO_MEMORY. Leaves both descriptors open. */
TYCHO_API int tycho_rpc_serve(int in, int out, const char *path);

#ifdef __cplusplus
}
#endif

#endif
