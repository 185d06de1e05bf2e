/* tycho.h - Tycho, an embeddable event store.
**
** READING ORDER
**   1 version and limits    5 the batch: conditions      9 waiting and following
**   2 statuses              6 the batch: operations     10 locks
**   3 bytes and events      7 commit and receipt        11 verify, salvage, stats
**   4 the store             8 reading                   12 scripts and hooks
**
** CONVENTIONS
**   - Every fallible function returns a status: TYCHO_OK (0), TYCHO_END (1) where a sequence is
**     over, or a negative code of TYCHO_STATUS_MAP. tycho_error() then gives a sentence with the
**     surprising value. Facts that a program needs are out parameters, never to be parsed.
**   - Strings are bytes with a size, never NUL-terminated, unless the type is `const char *`.
**     Stream, type, tag, route, table, checkpoint and lock names are valid UTF-8 without ASCII
**     control characters, 1 to TYCHO_NAME_MAX bytes. Event ids are any 1 to TYCHO_ID_MAX bytes.
**   - Inputs are copied before return. Outputs are values, handles, or views into a handle that
**     are good until that handle moves, is cleared or is closed. Nothing needs to be freed. A call
**     that opens something and fails sets the handle to NULL.
**   - Option structs start with their own size; all other zero fields mean the default.
**   - Times are microseconds since 1970-01-01T00:00:00Z, as int64_t.
**   - `position` is the place of an event in the store: 1, 2, 3, gapless, in commit order; 0 means
**     "before the first". `revision` is the place of an entry in a stream: 0, 1, 2, never used
**     twice while the stream exists; -1 means "before the first".
**   - A tycho_store may be used by any number of threads at once. A batch, cursor, listing,
**     snapshot, follower, lock or verification is used by one thread at a time; cursors and
**     listings that read in one snapshot count as one handle with it.
**   - After fork() the child may not use any handle of the parent: every call answers
**     TYCHO_FORKED. It may open the store itself. Closers accept NULL and never fail.
**   - The library never prints, exits or installs a signal handler, and starts no thread, but one
**     of LMDB's in tycho_backup(), and one a store while there are followers with a descriptor.
*/
#ifndef TYCHO_H
#define TYCHO_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define TYCHO_API __attribute__((visibility("default")))
#else
#define TYCHO_API
#endif

/* ---------------------------------------------------------------- 1. version and limits */

#define TYCHO_VERSION "0.1.0"

enum {
    TYCHO_NAME_MAX = 255,               /* bytes of a stream, type, tag, route or table name */
    TYCHO_ID_MAX = 64,                  /* bytes of an event, correlation or causation id */
    TYCHO_KEY_MAX = 400,                /* bytes of a row's key */
    TYCHO_TAGS_MAX = 64,                /* tags of one event */
    TYCHO_QUERY_MAX = 256,              /* names in one query, all items together */
    TYCHO_BATCH_EVENTS_MAX = 10000,     /* events and links named in one batch */
    TYCHO_BATCH_STEPS_MAX = 10000,      /* conditions, and operations, of one batch */
    TYCHO_BATCH_LINKS_MAX = 100000,     /* links that hooks add to one batch */
    TYCHO_SOURCES_MAX = 64,             /* streams that one operation merges */
    TYCHO_LOCKS_MAX = 1024              /* locks held at one time by all processes */
};
#define TYCHO_EVENT_SIZE_MAX (16u << 20) /* bytes of data + metadata of one event */
#define TYCHO_BATCH_SIZE_MAX (64u << 20) /* bytes of one encoded batch */

/* The version of the library that runs ("0.1.0"); TYCHO_VERSION is the one compiled against. */
TYCHO_API const char *tycho_version(void);

/* ---------------------------------------------------------------- 2. statuses */

/* X(NAME, value, "code", "what it means"): the one list from which the enum, the texts, the names
** in the bindings and in the host protocol are made. */
#define TYCHO_STATUS_MAP(X)                                                                        \
    X(OK, 0, "ok", "done")                                                                         \
    X(END, 1, "end", "there is no more")                                                           \
    X(MISUSE, -1, "invalid_argument", "an argument is not valid")                                  \
    X(INVALID_EXPECTED_VERSION, -2, "invalid_expected_version", "this stream cannot expect that")  \
    X(WRONG_EXPECTED_VERSION, -3, "wrong_expected_version", "the stream is at another version")    \
    X(CONDITION_FAILED, -4, "condition_failed", "a condition of the batch does not hold")          \
    X(DUPLICATE_EVENT, -5, "duplicate_event", "an event with this id is in the store already")     \
    X(DUPLICATE_ENTRY, -6, "event_duplicated_in_stream", "the stream has this event already")      \
    X(EVENT_NOT_FOUND, -7, "event_not_found", "no event has this id")                              \
    X(ENTRY_NOT_FOUND, -8, "event_not_found_in_stream", "the stream does not have this event")     \
    X(NOT_FOUND, -9, "not_found", "there is no such thing")                                        \
    X(TOO_LARGE, -10, "too_large", "a limit is exceeded")                                          \
    X(CORRUPT, -11, "corrupt", "stored or given bytes are damaged")                                \
    X(FULL, -12, "full", "the disk or the map is full; nothing was changed")                       \
    X(BUSY, -13, "busy", "somebody else holds what is needed")                                     \
    X(TIMEOUT, -14, "timeout", "it did not happen in time")                                        \
    X(DENIED, -15, "denied", "this handle or host may not do that")                                \
    X(NO_MEMORY, -16, "no_memory", "memory could not be had; nothing was changed")                 \
    X(IO, -17, "io", "the operating system refused a read or write")                               \
    X(UNKNOWN_OUTCOME, -18, "unknown_outcome", "the commit failed late: re-read before retrying")  \
    X(FORKED, -19, "forked", "the handle belongs to the parent process")                           \
    X(NEWER_FORMAT, -20, "newer_format", "it was written by a newer Tycho")                        \
    X(REJECTED, -21, "rejected", "a script refused it")

enum tycho_status {
#define TYCHO__STATUS(name, value, code, text) TYCHO_##name = value,
    TYCHO_STATUS_MAP(TYCHO__STATUS)
#undef TYCHO__STATUS
};

/* The code of a status ("wrong_expected_version") and what it means; static, never NULL. */
TYCHO_API const char *tycho_status_code(int status);
TYCHO_API const char *tycho_status_text(int status);

/* The sentence of the last call of this thread that failed: one line, lower case, with the
** surprising value. Good until the thread's next failing call. Never NULL. */
TYCHO_API const char *tycho_error(void);

/* ---------------------------------------------------------------- 3. bytes and events */

typedef struct tycho_bytes {
    const void *data; /* may be NULL when size is 0 */
    size_t size;
} tycho_bytes;

enum { TYCHO_HAS_TIME = 1, TYCHO_HAS_VALID_TIME = 2 }; /* tycho_new_event.flags */

/* An event to be written. Zero fields mean: a new UUIDv7 as id, now as time, time as valid_time,
** MessagePack as content type, no ids, no tags, no metadata, no data. `type` is required.
** `metadata` is opaque to the engine; bindings write a MessagePack map. */
typedef struct tycho_new_event {
    tycho_bytes id, type;
    uint32_t flags;     /* TYCHO_HAS_TIME, TYCHO_HAS_VALID_TIME: the times below are given */
    uint32_t tag_count; /* up to TYCHO_TAGS_MAX; a tag given twice is kept once */
    int64_t time;       /* when it was recorded */
    int64_t valid_time; /* since when it holds in the domain */
    tycho_bytes correlation_id, causation_id;
    const tycho_bytes *tags;
    tycho_bytes content_type; /* of data, 0 to TYCHO_NAME_MAX bytes; empty: MessagePack */
    tycho_bytes metadata, data;
} tycho_new_event;

/* An event as it is read: a view into a cursor. The home stream and the tags are looked up on
** demand with tycho_cursor_stream() and tycho_cursor_tag(). */
typedef struct tycho_event {
    uint64_t position;
    int64_t revision; /* in the stream that is read, else in the home stream; -1: not in one */
    int64_t time, valid_time;
    tycho_bytes id, type, correlation_id, causation_id;
    tycho_bytes content_type; /* empty: MessagePack */
    tycho_bytes metadata, data;
    tycho_bytes packed, compressed; /* of tycho_cursor_next_packed() and what belongs to it */
    uint32_t tag_count;
    uint32_t is_link; /* 1 when the stream that is read has it as a link */
    uint64_t written; /* says under which scripts it was written: its position, or, when it was
                      ** overwritten under scripts, the position that was next at that time */
} tycho_event;

enum { TYCHO_UUID_SIZE = 36 };
/* Writes a new UUIDv7 as 36 characters (no NUL). Ids of one process rise strictly. 0.1 us. */
TYCHO_API void tycho_uuid(char text[TYCHO_UUID_SIZE]);
/* Now, by CLOCK_REALTIME. */
TYCHO_API int64_t tycho_now(void);

/* ---------------------------------------------------------------- 4. the store */

typedef struct tycho_store tycho_store;

enum tycho_mode {
    TYCHO_CREATE = 0,    /* open for reading and writing, create when it does not exist */
    TYCHO_EXISTING = 1,  /* open for reading and writing; TYCHO_NOT_FOUND when it does not exist */
    TYCHO_READ_ONLY = 2, /* never write events; TYCHO_NOT_FOUND when it does not exist. Readers
                         ** enter themselves in lock.mdb: where that may not be written it is
                         ** DENIED, unless the whole file system is read-only */
    TYCHO_TEMPORARY = 3  /* a new store below $TMPDIR (or /tmp), removed when it is closed */
};

/* What a crash may take. A "process crash" is any end of the process, kill -9 included; a "power
** cut" is any end of the machine.
**   FULL     a receipt is returned after the flush. Neither takes anything acknowledged.
**   BATCHED  data is flushed at each commit, the commit record with the next one or with
**            tycho_store_sync(): no fewer flushes than FULL. A process crash takes nothing; a power
**            cut may take the last commit, with all that shared it, and never damages the store.
**   NONE     nothing is flushed before tycho_store_sync(). A process crash takes nothing; a power
**            cut after a later commit may destroy the store, with all that was synced, or mix old
**            and new, which verification may miss. Only for what can be made again.
** Each handle has its own level; a commit that serves several handles takes the strictest. */
enum tycho_sync { TYCHO_SYNC_FULL = 0, TYCHO_SYNC_BATCHED = 1, TYCHO_SYNC_NONE = 2 };

typedef struct tycho_options {
    size_t size;               /* sizeof(tycho_options) */
    uint32_t mode;             /* enum tycho_mode */
    uint32_t sync;             /* enum tycho_sync */
    uint64_t map_size;         /* address space, from 64 MiB; 0: 1 TiB, halved while refused */
    uint32_t readers_max;      /* concurrent readers of all processes; 0: 1022 */
    uint32_t write_timeout_ms; /* how long a commit waits for another process; 0: 30 s */
    uint64_t reserve_size;     /* free bytes of the disk below which it refuses writes; 0: 64 MiB */
    uint64_t marks_max;        /* memory for what is known of pages, a byte each; 0: 16 MiB */
} tycho_options;

/* Opens the store in the directory `path` (NUL-terminated). `options` may be NULL. A second open
** of the same directory in one process shares everything but the handle's own options: map_size,
** readers_max and marks_max are those of the first. Sizes are in bytes. Temporary stores take
** `path` NULL. Costs milliseconds; take it once per process. Files are for owner and group, less
** the umask. Errors: MISUSE (options, path), NOT_FOUND, DENIED (permissions, not a store, a link, a
** network file system), NEWER_FORMAT, CORRUPT, BUSY (another process is opening it for over 10 s),
** FULL, NO_MEMORY, IO. */
TYCHO_API int tycho_store_open(const char *path, const tycho_options *options, tycho_store **store);

/* Closes the handle. Cursors, snapshots, listings, followers and verifications of it must be closed
** before (asserted). The environment goes with the last handle of the process. */
TYCHO_API void tycho_store_close(tycho_store *store);
/* The absolute path of the store; good until it is closed. */
TYCHO_API const char *tycho_store_path(const tycho_store *store);
/* Makes everything committed so far durable; for BATCHED and NONE. */
TYCHO_API int tycho_store_sync(tycho_store *store);

/* ---------------------------------------------------------------- 5. the batch: conditions */

/* A batch is the only way to change a store: conditions and operations that are committed together
** or not at all. It is built in memory, in a canonical encoding, and checked as it is built; a
** failing call leaves it as it was. All conditions are checked against the state before the batch:
** locks, others as they were called, versions of operations. Routes are followed in the commit. */
typedef struct tycho_batch tycho_batch;

/* Expected versions: a revision (>= 0: the stream's last), or one of these. */
enum {
    TYCHO_EXPECT_NONE = -1,  /* the stream has no entries */
    TYCHO_EXPECT_ANY = -2,   /* whatever it has */
    TYCHO_EXPECT_EXISTS = -3 /* the stream has at least one entry */
};

enum { /* flags of operations */
    TYCHO_RAW = 1,             /* the name is a stream's own, even where a route has that name */
    TYCHO_SKIP_DUPLICATES = 2, /* an event that the stream has already is left out, no error */
    TYCHO_KEEP_REVISIONS = 4,  /* link_range: each link has the revision of its source */
    TYCHO_CLOSED = 8           /* set_route: who writes to the route is refused (DENIED) */
};

/* One alternative of a query: the event has one of the types (any type when there are none) and
** all of the tags. A query matches when one of its items does; one without items matches all. */
typedef struct tycho_query_item {
    const tycho_bytes *types;
    size_t type_count;
    const tycho_bytes *tags;
    size_t tag_count;
} tycho_query_item;
typedef struct tycho_query {
    const tycho_query_item *items;
    size_t item_count;
} tycho_query;

TYCHO_API int tycho_batch_create(tycho_batch **batch); /* NO_MEMORY */
TYCHO_API void tycho_batch_destroy(tycho_batch *batch);
/* Empties it, keeping its memory; its receipt is gone. */
TYCHO_API void tycho_batch_clear(tycho_batch *batch);

/* A batch whose events are all in the store already, with the same content and streams, gets the
** original positions and revisions again, without its conditions being checked (the answer to "was
** my request carried out?" after a lost connection); the receipt says is_replay, with sequence 0.
** Two things are not compared: times, because those left out are put in anew, and, where there are
** scripts, tags, because scripts add some. */
TYCHO_API void tycho_batch_set_idempotent(tycho_batch *batch, int idempotent);

/* The stream (or route) is at `expected`. Broken: WRONG_EXPECTED_VERSION, with `actual`. Errors of
** all builders: MISUSE, INVALID_EXPECTED_VERSION, TOO_LARGE, NO_MEMORY. */
TYCHO_API int tycho_batch_expect(tycho_batch *batch, tycho_bytes stream, int64_t expected,
                                 uint32_t flags);
/* No event after position `after` matches the query: the append condition of a dynamic
** consistency boundary (dcb.events). Broken: CONDITION_FAILED, `actual` is the position found. */
TYCHO_API int tycho_batch_expect_none(tycho_batch *batch, const tycho_query *query, uint64_t after);
/* The route points to the stream; an empty stream: there is no such route. */
TYCHO_API int tycho_batch_expect_route(tycho_batch *batch, tycho_bytes route, tycho_bytes stream);
/* The row has this version; 0: there is no such row. `actual` is the version found. */
TYCHO_API int tycho_batch_expect_row(tycho_batch *batch, tycho_bytes table, tycho_bytes key,
                                     uint64_t version);
/* The lock is still held with this token (section 10), by whatever process, and no batch was
** committed with a later one: a paused or late owner cannot write. Broken: CONDITION_FAILED,
** `actual` is the token that is current, 0 when nobody holds the lock. */
TYCHO_API int tycho_batch_expect_lock(tycho_batch *batch, tycho_bytes name, uint64_t token);
/* The checkpoint is at this position; 0: never set. `actual` is the position found. */
TYCHO_API int tycho_batch_expect_checkpoint(tycho_batch *batch, tycho_bytes name,
                                            uint64_t position);

/* ---------------------------------------------------------------- 6. the batch: operations */

/* Appends events to a stream; an empty `stream` appends to the global log alone, which knows only
** TYCHO_EXPECT_ANY. Ids and times left out are put in here, not at commit. `expected` is checked
** with the conditions. At commit: WRONG_EXPECTED_VERSION, DUPLICATE_EVENT (`event_id` is the one,
** `stream` its home), also when the batch itself names an id twice. */
TYCHO_API int tycho_batch_append(tycho_batch *batch, tycho_bytes stream, int64_t expected,
                                 const tycho_new_event *events, size_t count, uint32_t flags);

/* Links events, which may be appended by the same batch, into a further stream, in this order.
** At commit: EVENT_NOT_FOUND, DUPLICATE_ENTRY (unless SKIP_DUPLICATES). */
TYCHO_API int tycho_batch_link(tycho_batch *batch, tycho_bytes stream, int64_t expected,
                               const tycho_bytes *event_ids, size_t count, uint32_t flags);

/* Links the entries of `source` with revisions from `first` to `last` (inclusive; -1: the last
** there is) into `target`, in order. At most TYCHO_BATCH_EVENTS_MAX entries (TOO_LARGE at commit),
** and not into itself (MISUSE). RAW applies to both names. KEEP_REVISIONS makes the target an image
** of the source: revisions that the source does not have any more are skipped in the target too. A
** target that is beyond the first of the revisions is refused with WRONG_EXPECTED_VERSION. */
TYCHO_API int tycho_batch_link_range(tycho_batch *batch, tycho_bytes source, int64_t first,
                                     int64_t last, tycho_bytes target, int64_t expected,
                                     uint32_t flags);

/* What is linked from one stream: its entries from the revision `first` on. */
typedef struct tycho_source {
    tycho_bytes stream;
    int64_t first;
} tycho_source;

/* Links all that the sources have into `target`, in the order of their positions. At most
** TYCHO_SOURCES_MAX sources, each named once, none of them the target (MISUSE), and as many entries
** as above. An event that several of them have is a duplicate. RAW applies to all names. */
TYCHO_API int tycho_batch_link_merged(tycho_batch *batch, const tycho_source *sources, size_t count,
                                      tycho_bytes target, int64_t expected, uint32_t flags);

/* Removes entries from a stream, its home events too: their revisions stay unused, the events
** stay in the log and in other streams. At commit: EVENT_NOT_FOUND, ENTRY_NOT_FOUND. */
TYCHO_API int tycho_batch_unlink(tycho_batch *batch, tycho_bytes stream,
                                 const tycho_bytes *event_ids, size_t count, uint32_t flags);

/* Removes the stream: all entries and its metadata, never events. Its name is then as if it had
** never been used: revisions begin at 0 again. A stream that does not exist is no error. */
TYCHO_API int tycho_batch_delete_stream(tycho_batch *batch, tycho_bytes stream, uint32_t flags);

/* The entries of `source` become those of `target`, which loses its own and keeps its metadata, in
** the same time at any size. Then there is no `source`; its home events have their home in target.
** RAW applies to both names. MISUSE ("$scripts"). At commit: MISUSE (both are one stream). */
TYCHO_API int tycho_batch_move_stream(tycho_batch *batch, tycho_bytes source, tycho_bytes target,
                                      uint32_t flags);

/* Removes the entries with revisions below `before`; the revisions stay used. */
TYCHO_API int tycho_batch_truncate(tycho_batch *batch, tycho_bytes stream, int64_t before,
                                   uint32_t flags);
/* Sets the metadata of a stream, which need not have entries; empty bytes remove it. */
TYCHO_API int tycho_batch_set_stream_metadata(tycho_batch *batch, tycho_bytes stream,
                                              tycho_bytes metadata, uint32_t flags);

/* Makes `route` forward to `stream`, which may be a route (MISUSE: a circle; "$scripts"); an
** empty stream removes the route. The result has the previous stream. With TYCHO_CLOSED, readers
** follow it, and who writes is refused (DENIED; `stream` is where it leads), unless with RAW. */
TYCHO_API int tycho_batch_set_route(tycho_batch *batch, tycho_bytes route, tycho_bytes stream,
                                    uint32_t flags);

/* Rows of a table: key 0 to TYCHO_KEY_MAX bytes, value any bytes. The version of a row is the
** sequence of the batch that put it: a row never has the same one again, not even after it was
** deleted. Deleting a row that is not there is no error. */
TYCHO_API int tycho_batch_put_row(tycho_batch *batch, tycho_bytes table, tycho_bytes key,
                                  tycho_bytes value);
TYCHO_API int tycho_batch_delete_row(tycho_batch *batch, tycho_bytes table, tycho_bytes key);
/* Sets a checkpoint; position 0 removes it. */
TYCHO_API int tycho_batch_set_checkpoint(tycho_batch *batch, tycho_bytes name, uint64_t position);

/* Replaces type, valid_time (only with TYCHO_HAS_VALID_TIME), content type, metadata and data of
** stored events, found by id; position, streams, time, tags, correlation and causation stay. `id`
** and `type` are required. Hooks see them, too. At commit: EVENT_NOT_FOUND. */
TYCHO_API int tycho_batch_overwrite(tycho_batch *batch, const tycho_new_event *events,
                                    size_t count);

/* The canonical encoding of the batch: versioned, bounded, checksummed; a view good until the
** batch changes. Same calls, ids and times: same bytes. */
TYCHO_API int tycho_batch_encode(tycho_batch *batch, tycho_bytes *bytes);
/* Replaces the batch by one that was encoded. Takes any bytes: CORRUPT, NEWER_FORMAT, TOO_LARGE. */
TYCHO_API int tycho_batch_decode(tycho_batch *batch, tycho_bytes bytes);

/* ---------------------------------------------------------------- 7. commit and receipt */

/* What an operation did; in the order of the calls that added operations. */
typedef struct tycho_result {
    uint64_t count;          /* events appended, entries linked or removed, rows put or deleted */
    uint64_t first_position; /* append: of its first event, the others follow; else 0 */
    int64_t first_revision;  /* append, link: of its first new entry, the others follow; else -1 */
    tycho_bytes previous;    /* set_route: the stream it pointed to, or empty */
} tycho_result;

/* The answer to a commit. The facts are set where a status names them. */
typedef struct tycho_receipt {
    uint64_t sequence;       /* number of the batch in the store, 1, 2, 3 ...; 0: not committed */
    uint64_t first_position; /* events of the batch: first .. first + event_count - 1 */
    uint64_t event_count;
    uint64_t head;           /* last position of the store after the batch */
    const tycho_result *results;
    size_t result_count;
    int is_replay;           /* 1: idempotent, and all was there already */
    /* facts of a refusal */
    int32_t operation, condition; /* index of the one that was refused, or -1 */
    int64_t actual;               /* what was found instead: revision, version or position */
    tycho_bytes event_id, stream; /* the event, and the stream or route, in question */
} tycho_receipt;

/* Commits the batch and waits for its durability as the handle's sync level says. Threads that
** commit at the same time share one flush; processes take turns. An empty batch is MISUSE.
** `receipt` (may be NULL) is also filled on refusal; it is a view into the batch. The batch stays
** as it is and can be committed again. Errors: those of its conditions and operations; TIMEOUT
** (another process writes for longer than write_timeout_ms), FULL, NO_MEMORY, IO, DENIED (read-only
** handle, or deployed scripts and no script host), CORRUPT, UNKNOWN_OUTCOME. All but the last mean:
** nothing was changed. Cost with FULL: that one flush. */
TYCHO_API int tycho_commit(tycho_store *store, tycho_batch *batch, const tycho_receipt **receipt);

/* The same for a batch that must see all that was written before it: complete() is called, in the
** caller's thread, when nobody else can write any more. It reads the store, which is as the batch
** will find it, and adds to the batch; what it added is taken out again after the commit. A status
** other than TYCHO_OK refuses the batch with it; it sets the sentence with tycho_set_error(). Such
** a batch shares its flush with nobody, and all writers wait for complete(): let it take a
** millisecond. It may neither commit nor take locks, and may be called again when rules change. */
TYCHO_API int tycho_commit_completed(tycho_store *store, tycho_batch *batch,
                                     int (*complete)(void *context, tycho_store *store,
                                                     tycho_batch *batch),
                                     void *context, const tycho_receipt **receipt);

/* ---------------------------------------------------------------- 8. reading */

/* A snapshot makes several reads see one instant, by the scripts of then. It pins pages of the
** file: close it soon (tycho_stats has the age of the oldest). Cursors without one see, each on its
** own, the log up to the head at their opening, page by page; a long read then pins nothing. */
typedef struct tycho_snapshot tycho_snapshot;
TYCHO_API int tycho_snapshot_open(tycho_store *store, tycho_snapshot **snapshot);
TYCHO_API void tycho_snapshot_close(tycho_snapshot *snapshot);
/* The head and the version of the rules (section 12) in the snapshot. Cost: nothing. */
TYCHO_API int tycho_snapshot_get(tycho_snapshot *snapshot, uint64_t *head, uint64_t *rules);

enum { /* tycho_read.flags */
    TYCHO_READ_BACKWARD = 1 << 0, /* the exact reverse of forward */
    TYCHO_READ_RAW = 1 << 1,      /* `stream` is not resolved through routes */
    TYCHO_READ_FIRST = 1 << 2,    /* only the first event of the result */
    TYCHO_READ_LAST = 1 << 3,     /* only the last event of the (limited) result */
    TYCHO_READ_BY_IDS = 1 << 4,   /* `ids` is given (none of them: an empty result) */
    /* The field of the same name is given. */
    TYCHO_READ_FROM_POSITION = 1 << 5, TYCHO_READ_TO_POSITION = 1 << 6,
    TYCHO_READ_FROM_REVISION = 1 << 7, TYCHO_READ_TO_REVISION = 1 << 8,
    TYCHO_READ_FROM_TIME = 1 << 9, TYCHO_READ_UNTIL_TIME = 1 << 10,
    TYCHO_READ_STORED = 1 << 11 /* events and types as they are stored, whatever hooks do to them */
};

enum tycho_order {
    TYCHO_BY_POSITION = 0, /* of the log, or by revision in a stream */
    TYCHO_AS_AT = 1,       /* by time; ties by position (in a stream: by revision) */
    TYCHO_AS_OF = 2        /* by valid_time; ties likewise. Time bounds then mean valid_time. */
};

/* What to read. All bounds are exclusive and in the direction of reading: backward from 10 gives
** 9, 8, 7. `from_time` alone is inclusive (time >= from_time, time < until_time, in both
** directions). Bounds, ids and the query filter; the limit applies after them. */
typedef struct tycho_read {
    size_t size; /* sizeof(tycho_read) */
    tycho_snapshot *snapshot; /* NULL: the cursor's own */
    tycho_bytes stream;       /* empty: the global log */
    uint32_t flags;
    uint32_t order;         /* enum tycho_order */
    tycho_bytes from_id;    /* events after (backward: before) this one in the order read */
    tycho_bytes to_id;      /* ... and before (backward: after) this one */
    uint64_t from_position, to_position; /* 0: before the first */
    int64_t from_revision, to_revision;  /* only with `stream`; -1: before the first */
    int64_t from_time, until_time;
    const tycho_query *query; /* NULL: everything */
    const tycho_bytes *ids;   /* with TYCHO_READ_BY_IDS: only these, in the order of the store */
    size_t id_count;
    uint64_t limit;      /* 0: no limit */
    tycho_bytes resume;  /* a key that tycho_cursor_key() gave for the same read: go on behind it */
} tycho_read;

typedef struct tycho_cursor tycho_cursor;
/* Starts a read. Errors: MISUSE, EVENT_NOT_FOUND (from_id or to_id is not in that stream, or not
** in the log), CORRUPT (resume), NO_MEMORY, BUSY (no reader slot). A stream that does not exist
** is empty. Cost: a few microseconds; AS_AT and AS_OF read all that match first, 32 bytes each. */
TYCHO_API int tycho_cursor_open(tycho_store *store, const tycho_read *read, tycho_cursor **cursor);

/* The next event, or END. Each record's checksum is verified: CORRUPT names the position, and the
** next call goes on behind it. */
TYCHO_API int tycho_cursor_next(tycho_cursor *cursor, tycho_event *event);
/* The same at half the cost, for who keeps events, or looks into few: it gives only position,
** revision, is_link, type, content_type, and the rest as the bytes `packed`. */
TYCHO_API int tycho_cursor_next_packed(tycho_cursor *cursor, tycho_event *event);
/* Packs the event that tycho_cursor_next() gave last. NO_MEMORY. */
TYCHO_API int tycho_cursor_pack(tycho_cursor *cursor, tycho_event *event);
/* Gives the rest, as views of `packed`, which may be a copy, and, unless it is NULL, of `ids`. Of
** compressed metadata and data there are only the sizes: tycho_decompress() writes the first, then
** the second. CORRUPT, NO_MEMORY. */
TYCHO_API int tycho_event_unpack(tycho_event *event, char ids[3][TYCHO_UUID_SIZE]);
TYCHO_API int tycho_decompress(tycho_store *store, const tycho_event *event, void *to);
/* The home stream of the current event (empty: none), and one of its tags (index < tag_count, in
** byte order). Views good until the next call of either, or until the cursor moves. */
TYCHO_API int tycho_cursor_stream(tycho_cursor *cursor, tycho_bytes *stream);
TYCHO_API int tycho_cursor_tag(tycho_cursor *cursor, uint32_t index, tycho_bytes *tag);

/* The key behind the event that was served last: opaque bytes, at most TYCHO_CURSOR_KEY_MAX, that
** stay good for ever, whatever is written in between. What is left of the limit is in it. */
enum { TYCHO_CURSOR_KEY_MAX = 64 };
TYCHO_API int tycho_cursor_key(tycho_cursor *cursor, tycho_bytes *key);
TYCHO_API void tycho_cursor_close(tycho_cursor *cursor);

/* How many events the read would give, at one instant. O(1) for the log or a whole stream, else
** O(result), and its snapshot is held for so long. */
TYCHO_API int tycho_count(tycho_store *store, const tycho_read *read, uint64_t *count);
/* The last position of the store; 0 when it is empty. */
TYCHO_API int tycho_head(tycho_store *store, uint64_t *position);
/* Position of an event: EVENT_NOT_FOUND when there is none. */
TYCHO_API int tycho_event_position(tycho_store *store, tycho_bytes event_id, uint64_t *position);
/* Revision of an event in a stream (resolved through routes unless `flags` has TYCHO_RAW):
** ENTRY_NOT_FOUND when the stream does not have it, EVENT_NOT_FOUND when nobody does. */
TYCHO_API int tycho_event_revision(tycho_store *store, tycho_bytes event_id, tycho_bytes stream,
                                   uint32_t flags, int64_t *revision);
/* The last revision that the stream ever gave, also when that entry is gone; -1: it never gave any
** (a stream that was deleted begins anew). */
TYCHO_API int tycho_stream_version(tycho_store *store, tycho_bytes stream, uint32_t flags,
                                   int64_t *revision);
/* The stream that a name leads to, itself without a route. Good until the thread's next call. */
TYCHO_API int tycho_route_resolve(tycho_store *store, tycho_bytes name, tycho_bytes *stream);

enum tycho_list {
    TYCHO_LIST_STREAMS = 0,    /* with entries or metadata, by name: count, revision, value */
    TYCHO_LIST_TYPES = 1,      /* with events, by name: count */
    TYCHO_LIST_TAGS = 2,       /* with events, by name: count */
    TYCHO_LIST_ROUTES = 3,     /* by name: value is the stream; is_closed */
    TYCHO_LIST_CHECKPOINTS = 4, /* by name: position */
    TYCHO_LIST_ROWS = 5,       /* of `subject`, a table, by key: value, version */
    TYCHO_LIST_STREAMS_OF = 6  /* of `subject`, an event id, in link order: name, revision */
};

/* One line of a directory, a view; fields that its kind does not name above are zero. */
typedef struct tycho_item {
    tycho_bytes name;   /* or the key of a row */
    tycho_bytes value;  /* of a row, metadata of a stream, target of a route */
    uint64_t count;     /* entries now */
    int64_t revision;   /* last of the stream, or of the event in that stream; else -1 */
    uint64_t version;   /* of a row */
    uint64_t position;  /* of a checkpoint */
    uint32_t is_closed; /* of a route: 1 when writers are refused */
} tycho_item;

typedef struct tycho_list_options {
    size_t size; /* sizeof(tycho_list_options) */
    tycho_snapshot *snapshot;
    uint32_t list;       /* enum tycho_list */
    uint32_t exact;      /* 1: only the name that equals `prefix` */
    tycho_bytes subject; /* ROWS: table; STREAMS_OF: event id (EVENT_NOT_FOUND when unknown) */
    tycho_bytes prefix;  /* only names that begin with it */
    tycho_bytes after;   /* only names behind this one, unless its data is NULL: keyset paging */
    uint64_t limit;      /* 0: no limit */
} tycho_list_options;
typedef struct tycho_listing tycho_listing;
TYCHO_API int tycho_listing_open(tycho_store *store, const tycho_list_options *options,
                                 tycho_listing **listing);
TYCHO_API int tycho_listing_next(tycho_listing *listing, tycho_item *item);
TYCHO_API void tycho_listing_close(tycho_listing *listing);

/* ---------------------------------------------------------------- 9. waiting and following */

/* Waits until the head is beyond `position` and gives it: TYCHO_OK, or TIMEOUT after timeout_ms
** (-1: for ever). Commits of other processes wake it too, late by 250 ms at most where the
** committer was killed before it told. No CPU while waiting. Holds no snapshot. */
TYCHO_API int tycho_wait(tycho_store *store, uint64_t position, int64_t timeout_ms, uint64_t *head);

/* A follower is a catch-up subscription: it serves the history that a read describes and then what
** is written, by any process, without a gap and in order. Links that are made in a followed stream
** are served like events that are written to it.
**   - `read` is as for a cursor, forward, by position or (in a stream) by revision. What has an end
**     or another order is MISUSE: BACKWARD, FIRST, LAST, BY_IDS, `to` bounds, until_time, AS_AT,
**     AS_OF, a snapshot. `limit` is good: after so many events comes END. from_id and from_revision
**     say where it starts; from_position and from_time hold all the time.
**   - The name of a stream is resolved anew each time, so that a renamed stream is followed to its
**     target: behind the event that was served last. Where the target does not have that, it goes
**     on behind its revision when the entry in front of it (or, without one, behind it) is at the
**     same revision in both streams, as after a rename; else, and when the old stream is deleted,
**     with the events of higher positions. A stream that is deleted and written to again is served
**     from its new beginning. Events that are unlinked or truncated before they were read are not
**     served; it reads up to 1,024 ahead.
**   - It holds no snapshot and no lock between two calls; closing it costs nothing. */
typedef struct tycho_follower tycho_follower;
TYCHO_API int tycho_follower_open(tycho_store *store, const tycho_read *read,
                                  tycho_follower **follower); /* as tycho_cursor_open() */

/* The next event, waiting up to timeout_ms for one (0: looks, without waiting; -1: for ever).
** TIMEOUT: there was none. END: the limit was served, or the follower was cancelled. CORRUPT as for
** a cursor. Wake-up: some 10 us after the commit, in any process; no CPU meanwhile. */
TYCHO_API int tycho_follower_next(tycho_follower *follower, int64_t timeout_ms, tycho_event *event);

/* The cursor at the event served last, for tycho_cursor_stream() and _tag(); NULL: none was. */
TYCHO_API tycho_cursor *tycho_follower_cursor(tycho_follower *follower);
/* 1 when all that there was has been served: known after a call that waited or answered TIMEOUT,
** and 0 again from the next event on that was there already when it was looked for. */
TYCHO_API int tycho_follower_is_caught_up(const tycho_follower *follower);
/* A key behind the event that was served last, or, before that, where it starts. Good for
** tycho_read.resume of the same read, of a follower or a cursor, also in another process and after
** the followed stream was renamed (TYCHO_CURSOR_KEY_MAX bytes at most). */
TYCHO_API int tycho_follower_key(tycho_follower *follower, tycho_bytes *key);
/* A descriptor that is readable when tycho_follower_next(follower, 0, ...) may have something: for
** poll() and its like, which a host may use on any number of them. Never read from it; it is quiet
** again once next() answered TIMEOUT. The first one of a process starts a thread, which ends with
** the last one. IO, NO_MEMORY. Good until the follower is closed. */
TYCHO_API int tycho_follower_descriptor(tycho_follower *follower, int *descriptor);
/* From another thread: ends the wait, and all later ones, with END. Never after the close. */
TYCHO_API void tycho_follower_cancel(tycho_follower *follower);
TYCHO_API void tycho_follower_close(tycho_follower *follower);

/* ---------------------------------------------------------------- 10. locks */

/* A named exclusive right, across the threads and processes of one machine. Its name has nothing to
** do with streams. The kernel takes it back when the process that holds it ends, however it ends,
** kill -9 included. Waiters are served in the order of their coming; one that is killed or stopped
** loses its turn (it may count for 150 ms).
**
** Each grant has a token, higher than all before in the store. What a lock protects outside of the
** store must check the token; in the store tycho_batch_expect_lock() does.
**
** A lock belongs to its handle, not to a thread: any thread may release it. It cannot be taken
** twice: the thread that took it is answered BUSY at once when it asks again, any other waits. Two
** that wait for each other wait until the first time-out, which says what the owner waits for. */
typedef struct tycho_lock tycho_lock;
typedef struct tycho_lock_info {
    uint64_t token;
    int64_t since;       /* the time of the grant */
    int64_t pid, thread; /* of the owner, and the thread that took it (gettid) */
    uint32_t waiters;
    uint32_t name_size;
    char name[TYCHO_NAME_MAX + 1]; /* NUL at the end */
    char host[65];                 /* name of the owner's machine or container */
} tycho_lock_info;

/* Takes the lock, waiting up to timeout_ms (0: not at all, -1: for ever). Errors: MISUSE, TIMEOUT
** and BUSY with the owner in `*owner` (may be NULL; token 0 when it is not known), TOO_LARGE (over
** TYCHO_LOCKS_MAX are held or waited for), DENIED (read-only handle), FULL, IO (also when the file
** `locks` of the store was removed since it was opened), NO_MEMORY, and those of a commit, which
** the first lock of a store needs and one in a million later. Cost: 2 to 4 us with the release. */
TYCHO_API int tycho_lock_take(tycho_store *store, tycho_bytes name, int64_t timeout_ms,
                              tycho_lock **lock, tycho_lock_info *owner);
/* The same; an atomic store of non-zero to `*cancelled` ends the wait: TIMEOUT within 50 ms. */
TYCHO_API int tycho_lock_take_unless(tycho_store *store, tycho_bytes name, int64_t timeout_ms,
                                     const int *cancelled, tycho_lock **lock,
                                     tycho_lock_info *owner);
TYCHO_API uint64_t tycho_lock_token(const tycho_lock *lock);
/* Gives it to the next waiter; due before its store is closed (asserted). */
TYCHO_API void tycho_lock_release(tycho_lock *lock);
/* The locks that are held now, by name, at most `most` of them; `*count` is how many there are. */
TYCHO_API int tycho_lock_list(tycho_store *store, tycho_lock_info *locks, size_t most,
                              size_t *count);

/* ---------------------------------------------------------------- 11. verify, salvage, stats */

/* Proves every page, row and index against every record, all counts and checksums, in a snapshot.
** Open, then step until it is not TYCHO_OK; a step has a bounded piece of work (1,000 events). Of
** damaged pages it tells alone. Names of routes, what they lead to, checkpoints and stream metadata
** have no checksums: what is changed in one, and may be right, or is gone, is not found. */
typedef struct tycho_verification tycho_verification;
typedef struct tycho_finding {
    tycho_bytes text;  /* what is wrong, one line; empty: this step found nothing */
    uint64_t findings; /* so far */
    uint64_t done;     /* events and entries checked so far */
    uint64_t total;    /* of how many */
} tycho_finding;

TYCHO_API int tycho_verification_open(tycho_store *store, tycho_verification **verification);
TYCHO_API int tycho_verification_step(tycho_verification *verification, tycho_finding *finding);
TYCHO_API void tycho_verification_close(tycho_verification *verification);

/* Writes a compacted copy of the store, as of now, to the directory `path`, which is made and must
** not exist (BUSY); it appears whole or not at all. Writers go on meanwhile. */
TYCHO_API int tycho_backup(tycho_store *store, const char *path);

/* Saves what is intact of a store that is damaged, so that it does not open or does not verify. The
** file is read without LMDB, and nothing in it is believed that does not prove itself: events by
** their checksums, also where no tree leads to them any more. Nobody may write to it meanwhile.
**
** Every intact event is in the new store, with its id, position, stream, revision, tags, metadata
** and times; the entries of streams, links, rows with their versions, routes, checkpoints, deployed
** scripts and stream metadata are as they were, as far as they are intact; all indexes are made
** anew. Positions that are lost have an event of the type TYCHO_LOST, in no stream, with a new id.
**
** `path` is made and must not exist (BUSY); NULL: it only looks, and tells what is hurt. CORRUPT
** (nothing there is of a store), NOT_FOUND, DENIED, FULL, NO_MEMORY, IO. Costs some 32 bytes of
** memory for each row of the store. */
#define TYCHO_LOST "$lost"
typedef struct tycho_salvage tycho_salvage;
typedef struct tycho_salvaged {
    uint64_t head;         /* last position */
    uint64_t events;       /* saved; with those lost they are as many as the head says */
    uint64_t events_lost;
    uint64_t entries;      /* of streams, links included */
    uint64_t entries_lost; /* as far as is known */
    uint64_t rows, rows_lost; /* the same */
    uint64_t findings;     /* things that are hurt or lost; 0: the file is sound */
} tycho_salvaged;

TYCHO_API int tycho_salvage_open(const char *damaged, const char *path, tycho_salvage **salvage);
TYCHO_API int tycho_salvage_get(tycho_salvage *salvage, tycho_salvaged *salvaged);
/* The next thing that is hurt or lost, one line, good until it is closed; or TYCHO_END. */
TYCHO_API int tycho_salvage_next(tycho_salvage *salvage, tycho_bytes *text);
TYCHO_API void tycho_salvage_close(tycho_salvage *salvage);

/* Stores later metadata and data compressed where that is smaller, by a dictionary learnt from
** `sampled` events of all the log (0: 10,000; at most 100,000), or no more (COMPRESS_OFF), in
** all processes, from their next commit on. Readers see no difference; older libraries refuse the
** store (NEWER_FORMAT). What 10 sampled events share may be in the dictionary, in clear, for ever.
** `*percent` is what is left of such events. NOT_FOUND (under 100 events with data, or too
** different), TOO_LARGE (255 were learnt), and as a commit. Cost: a second; events: see README. */
#define TYCHO_COMPRESS_OFF UINT64_MAX
TYCHO_API int tycho_compress(tycho_store *store, uint64_t sampled, uint32_t *percent);

typedef struct tycho_stats {
    size_t size;              /* sizeof(tycho_stats), set by the caller */
    uint64_t format;          /* version of the file format */
    uint64_t events;          /* = the head */
    uint64_t sequence;        /* batches ever committed */
    uint64_t streams, types, tags; /* streams with entries */
    uint64_t links, entries;  /* entries that are links; those of streams, links included */
    uint64_t rows, routes, dictionary; /* the last: number of the one that compresses; 0: none */
    uint64_t file_size, free_size; /* bytes: of the file, up to 128 KiB less; in it, free again */
    uint64_t map_size;        /* bytes of address space reserved */
    uint64_t readers, readers_max; /* reader slots in use, and all, of all processes */
    uint64_t reader_lag;      /* commits since the oldest snapshot still open */
    uint64_t commits;         /* of this process */
    uint64_t commit_batches;  /* batches in them: their ratio is the group size */
} tycho_stats;
TYCHO_API int tycho_stats_get(tycho_store *store, tycho_stats *stats);

/* ---------------------------------------------------------------- 12. scripts and hooks */

/* Scripts are deployed into the store, so that all who write to it keep the same rules. To the
** engine a script is a name and bytes: a row of the table TYCHO_SCRIPTS, which anybody may list and
** only tycho_batch_deploy() writes; empty bytes take it away. The rules have a version, which is
** the sequence of the last batch that deployed; 0: there are no scripts. What that batch itself
** appends is still expanded under the rules before it: tycho_batch_first_deploy() says which of
** its operations is the first that deploys, -1: none does. Through a handle without hooks a store
** that has rules can only be read (DENIED). */
#define TYCHO_SCRIPTS "tycho.scripts"
TYCHO_API int tycho_batch_deploy(tycho_batch *batch, tycho_bytes name, tycho_bytes script);
TYCHO_API int tycho_rules_version(tycho_store *store, uint64_t *version);
TYCHO_API int64_t tycho_batch_first_deploy(const tycho_batch *batch);

/* What takes part in every batch of a handle: deployed scripts. tycho_commit() calls `expand` in
** the caller's thread, before any lock is taken. It may read the store, add to the batch and refuse
** it (REJECTED, mostly), all as complete() of tycho_commit_completed(). The batch is committed on
** the condition that the rules still have the version `rules`; when they have not, or had not when
** it was refused, it is expanded again. Set hooks before the handle is shared.
**
** The others take part in reads while the store has scripts, unless those have TYCHO_READ_STORED,
** and are set together or not at all; hold, former and release also in queries of conditions.
**   hold     gives what is held for reading under rules of this version or later ones; NULL: they
**            change nothing, and nothing is asked until the rules change
**   release  ends that
**   former   the names that a type of a query also has; it may be one of them
**   read     may give an event another type, content type, metadata and data, as views good until
**            the cursor moves; a status other than TYCHO_OK is the answer for this event
** Each is called in the thread of the reader, by any number of threads at once; `close` (may be
** NULL) when the handle is closed. */
typedef struct tycho_hooks {
    size_t size; /* sizeof(tycho_hooks) */
    void *context;
    int (*expand)(void *context, tycho_store *store, uint64_t rules, tycho_batch *batch);
    int (*hold)(void *context, tycho_store *store, uint64_t rules, void **held);
    void (*release)(void *context, void *held);
    size_t (*former)(void *held, tycho_bytes type, const tycho_bytes **names);
    int (*read)(void *held, tycho_cursor *cursor, tycho_event *event);
    void (*close)(void *context);
} tycho_hooks;
TYCHO_API int tycho_store_set_hooks(tycho_store *store, const tycho_hooks *hooks);
TYCHO_API void tycho_set_error(const char *sentence);
/* The context of the handle's hooks where `expand` is this function; else NULL. */
TYCHO_API void *tycho_store_hook_context(const tycho_store *store,
                                         int (*expand)(void *context, tycho_store *store,
                                                       uint64_t rules, tycho_batch *batch));
/* Memory for what `read` gives, until the cursor moves, or NULL. */
TYCHO_API void *tycho_cursor_room(tycho_cursor *cursor, size_t size);
/* What `former` gives for a type where the cursor (may be NULL) stands; good until it moves. */
TYCHO_API size_t tycho_cursor_former(const tycho_cursor *cursor, tycho_bytes type,
                                     const tycho_bytes **names);

/* An event that a batch appends, as a view; id and times are as they will be stored. */
typedef struct tycho_appended {
    tycho_event event; /* position 0, revision -1 */
    tycho_bytes stream; /* as the batch names it; empty: the log alone */
    const tycho_bytes *tags;
    uint32_t operation;    /* index in the batch */
    uint32_t is_overwrite; /* 1: it is overwritten; its stream, tags and time are not given here */
} tycho_appended;

/* What a hook adds to an event: tags, and streams that it is linked into as it is appended, where
** it is not there anyway. Good until the next call of the visitor. A memo, 0 at first and set by
** the engine, stands in one tycho_batch_expand() for the one name with which it is given. */
typedef struct tycho_additions {
    const tycho_bytes *tags;
    size_t tag_count;
    const tycho_bytes *links;
    size_t link_count, raw_count; /* the last raw_count of them are names of streams, not routes */
    uint32_t *const *memos; /* NULL, or for each link NULL or a number of the hook's */
} tycho_additions;

/* Calls visit() for each event that the batch appends or overwrites, in order, with additions that
** are nothing, and stay so for the latter; it must not change the batch. Appends for which wants()
** (may be NULL) gives 0 are passed over, at a fraction of the cost. The status of visit(), if not
** TYCHO_OK, ends the walk and is returned, and the batch stays as it was. Errors: those of visit(),
** MISUSE (names), TOO_LARGE (TYCHO_TAGS_MAX of an event, TYCHO_BATCH_LINKS_MAX), NO_MEMORY. */
TYCHO_API int tycho_batch_expand(tycho_batch *batch,
                                 int (*wants)(void *context, tycho_bytes stream, tycho_bytes type),
                                 int (*visit)(void *context, const tycho_appended *appended,
                                              tycho_additions *additions),
                                 void *context);

#ifdef __cplusplus
}
#endif

#endif /* TYCHO_H */
