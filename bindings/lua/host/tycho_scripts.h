/* tycho_scripts.h - runs the scripts that are deployed into a store: event types, linkers and read
** models. For hosts in C, which need not know Lua: link libtycho_scripts, which has a Lua of its
** own inside, and call tycho_scripts_attach() once for each store.
**
** READING ORDER
**   1 attaching     3 a script and what it says     5 running a script by hand
**   2 errors        4 deploying                     6 read models by hand  7 on demand
**                                                   8 back-filling
**
** CONVENTIONS are those of tycho.h: statuses, tycho_error(), bytes with a size, views, sizes of
** option structs. A tycho_script is used by one thread at a time; any number of them, of the same
** script too, may be open. Nothing here may be used after fork() but for stores opened there.
** Threads that append to a store with scripts, read it or call what is here need
** TYCHO_SCRIPTS_STACK bytes of stack: with less they are refused (MISUSE).
**
** WHAT A SCRIPT IS. Lua text that returns one definition, made by event_type{}, linker{} or
** read_model{}. It runs in a sandbox (sandbox.h): no clock, no input and output, no state between
** calls, at most 1,000,000 instructions and 16 MiB a call. Unknown fields, wrong kinds of values
** and handlers for what is not read are refused when it is compiled.
**
**     return event_type { name, version, data = schema, open, check, tags, upcast, former_names }
**     return linker { name, version, from = { types, category, tags }, to = function(event),
**                     streams = { "customer-*", "vip" } }
**     return linker { name, version, from, by = "type" | "correlation" | "causation" | "category" |
**                     "metadata", key, prefix }
**     return read_model { name, version, types, keys, history, order, mode, init, on }
**
** A linker names streams in `to`, and declares in `streams` which they are: by name, or, with a '*'
** at the end, all that begin so ("*" alone: any). Naming another is refused like any failure of a
** script. Ready-made linkers and read models link into streams that begin with their prefix.
**
** A function gets the data of the event (a table; the bytes as a string where the content type is
** not MessagePack) and a read-only view of the event: id, type, data, metadata, time, valid_time,
** tags, stream, position, correlation_id, causation_id. position is nil before it is appended. The
** null of MessagePack is the global `null`, bytes that are no text are binary"..." (field `bytes`).
**
** WHICH EVENTS. All that are appended but those of the stream "$scripts", to which only deployments
** append (MISUSE otherwise). An event type sees the events of its type; tags that it computes are
** seen by linkers and read models. An event whose type is a former name of another is refused: it
** is published under the new name. A script may name a type by any of its names, deployed before
** the renaming or after it, and sees all its events, old ones too, under the present one. Data that
** overwrites that of an event is checked in the same way and is of the present version; tags and
** links stay as they are. Events of "$scripts" are not overwritten (MISUSE).
*/
#ifndef TYCHO_SCRIPTS_H
#define TYCHO_SCRIPTS_H

#include <tycho.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TYCHO_SCRIPTS_STACK (512 << 10)

/* ---------------------------------------------------------------- 1. attaching */

/* Makes the handle run the store's scripts: what it commits is checked, tagged and linked, and what
** it reads is upcast. Right after opening, before the handle is shared; the handle's close ends it.
** Costs nothing until the store has scripts, which are then compiled once per process and version
** of the rules. Errors: MISUSE, NO_MEMORY, FORKED.
**
** From then on tycho_commit() may answer REJECTED: an event does not fit its type, a check refused
** it, or a script failed; nothing was changed, and other batches go on. Reading may answer REJECTED
** where an upcaster fails; the next call goes on behind that event. TYCHO_READ_STORED reads events
** as they are stored. When a deployed script cannot be compiled, all batches are refused that
** append to anything but "$scripts", and all reads but those with TYCHO_READ_STORED. */
TYCHO_API int tycho_scripts_attach(tycho_store *store);

/* ---------------------------------------------------------------- 2. errors */

/* Facts of a refusal. Empty texts and zeros are not known. */
typedef struct tycho_scripts_failure {
    const char *script;    /* "event_type/OrderPlaced" */
    int64_t version;       /* of the script */
    int64_t line;          /* of its source */
    const char *path;      /* "data.lines[2].count": what does not fit the schema */
    const char *message;   /* what is wrong, without all the other facts */
    const char *traceback; /* a line for each function, innermost first */
    const char *event_id;
    const char *event_type;
    const char *key;       /* of the instance of a read model */
    uint64_t position;     /* of the event, when it is stored */
    int is_over_limit;     /* 1: it used up its instructions or its memory */
} tycho_scripts_failure;

/* Facts of the last call of this thread that answered REJECTED, tycho_commit() included. Good until
** the thread's next failing call; NULL when there was none. tycho_error() has them in one
** sentence. */
TYCHO_API const tycho_scripts_failure *tycho_scripts_error(void);

/* ---------------------------------------------------------------- 3. a script and what it says */

enum tycho_script_kind { TYCHO_EVENT_TYPE = 1, TYCHO_LINKER = 2, TYCHO_READ_MODEL = 3 };

/* "event_type", "linker", "read_model"; "" for anything else. Static. */
TYCHO_API const char *tycho_script_kind_name(int kind);

/* What a script declares; views into it. */
typedef struct tycho_script_about {
    uint32_t kind;     /* enum tycho_script_kind */
    int64_t version;   /* 1 and up */
    tycho_bytes name;
    tycho_bytes key;   /* "linker/by_customer": its name in the table TYCHO_SCRIPTS */
    tycho_bytes hash;  /* XXH3 of the source, 16 hexadecimal digits */
    tycho_bytes source;
    const tycho_bytes *types; /* event type: its own; else those that it reads, none: all */
    size_t type_count;
    const tycho_bytes *tags;  /* linker: those that an event must have */
    size_t tag_count;
    tycho_bytes category;     /* linker: of the streams it reads; empty: any */
    const tycho_bytes *former_names; /* event type */
    size_t former_name_count;
    tycho_bytes prefix;       /* ready-made linker; read model: NAME$ */
    const tycho_bytes *streams; /* linker with a function: that it may name; '*' at the end: any */
    size_t stream_count;
    uint32_t order;           /* read model: enum tycho_order */
    uint32_t has_schema;      /* event type */
    uint32_t has_check;
    uint32_t has_tags;
    uint32_t is_ready_made;   /* linker: runs in C */
    uint32_t has_history;     /* read model: section 6 */
    int64_t deployed_at;      /* 0: not deployed */
} tycho_script_about;

typedef struct tycho_script tycho_script;

/* Compiles a source that need not be deployed. `name` is used in messages; empty: "script". Cost:
** some 50 us. Errors: REJECTED with script, line and message; NO_MEMORY. `*script` is NULL on
** error. */
TYCHO_API int tycho_script_compile(tycho_bytes name, tycho_bytes source, tycho_script **script);

/* Opens a deployed script of the store as of now; it stays what it is when another version is
** deployed. The store must be attached (MISUSE) and outlive it. NOT_FOUND, REJECTED, NO_MEMORY. */
TYCHO_API int tycho_script_open(tycho_store *store, int kind, tycho_bytes name,
                                tycho_script **script);
TYCHO_API void tycho_script_close(tycho_script *script);
TYCHO_API void tycho_script_about_get(const tycho_script *script, tycho_script_about *about);

/* ---------------------------------------------------------------- 4. deploying */

/* WHAT A DEPLOYMENT WRITES, which only the calls below do, so that all hosts agree:
**   - the row "KIND/NAME" of TYCHO_SCRIPTS: a MessagePack map { deployed_at, hash, kind, name,
**     source, version };
**   - an event "ScriptDeployed" or "ScriptRemoved" with the data { hash, kind, name, source,
**     version } in the stream "$scripts", on the condition that nothing else was deployed meanwhile
**     (WRONG_EXPECTED_VERSION of "$scripts": plan anew). That stream is the history. Positions of
**     these events in the log, which keeps them whatever is done to the stream, tell under which
**     version an event was written: under the one that was deployed last before its position, or,
**     when it was overwritten, before what `written` says, for the type that it has, which may be
**     a former name; before the first deployment, under version 1. */

enum tycho_change_kind {
    TYCHO_CHANGE_NEW = 1,
    TYCHO_CHANGE_CHANGED = 2,   /* another source, with another version */
    TYCHO_CHANGE_UNCHANGED = 3, /* the same source: nothing is written */
    TYCHO_CHANGE_REMOVED = 4,
    TYCHO_CHANGE_REFUSED = 5    /* `message` says why */
};

/* One line of a plan. Views into the plan. */
typedef struct tycho_change {
    uint32_t change;       /* enum tycho_change_kind */
    uint32_t kind;         /* enum tycho_script_kind; 0: could not be known */
    tycho_bytes name;
    int64_t version;       /* of the source given; of the present script when it is removed */
    int64_t old_version;   /* of the present script; 0: none */
    int64_t line;          /* REFUSED: of the source; 0: not known */
    tycho_bytes message;
    tycho_bytes source;
    tycho_bytes old_source;
} tycho_change;

typedef struct tycho_deployment tycho_deployment;

/* Looks at what is deployed, as of now. The store must be attached; NULL: one that is yet to be
** made. Errors: MISUSE, NO_MEMORY, those of reading. */
TYCHO_API int tycho_deployment_open(tycho_store *store, tycho_deployment **deployment);
TYCHO_API void tycho_deployment_close(tycho_deployment *deployment);

/* Plans a script, or the removal of one. TYCHO_OK also where it is REFUSED: by its compiler;
** another source under the version that is deployed, or a version below one that it had, unless
** `is_rollback` (an event type is never rolled back, since events were written under its version;
** that goes for its former names, too, and for versions that it had before it was removed);
** a name that two scripts have, or two event types, former names included, when the plan is carried
** out whole: lines may come in any order. `label` is used in messages
** ("linkers/by_customer.lua"). */
TYCHO_API int tycho_deployment_put(tycho_deployment *deployment, tycho_bytes label,
                                   tycho_bytes source, int is_rollback);
TYCHO_API int tycho_deployment_remove(tycho_deployment *deployment, int kind, tycho_bytes name);

/* The plan, in the order of the calls. */
TYCHO_API size_t tycho_deployment_count(const tycho_deployment *deployment);
TYCHO_API void tycho_deployment_get(tycho_deployment *deployment, size_t index,
                                    tycho_change *change);

/* Adds the plan to a batch, which the caller commits, or not, or with more in it (back-filled
** links). REJECTED when a line is REFUSED; nothing is added when nothing changes. Events that the
** batch appends before the plan are written under the old rules; events behind it are refused by
** the commit (MISUSE). */
TYCHO_API int tycho_deployment_write(tycho_deployment *deployment, tycho_batch *batch);

/* ---------------------------------------------------------------- 5. running a script by hand */

/* What the script adds to an event, or why it refuses it, as when the event is appended: an event
** type checks it and gives tags, a linker gives links, a read model the streams of the instances
** that it belongs to. Events that the script does not read give nothing. Cost: 1 us and what the
** script does. The additions are good until the next call. Errors: REJECTED, NO_MEMORY. */
TYCHO_API int tycho_script_expand(tycho_script *script, const tycho_appended *event,
                                  tycho_additions *additions);

/* The same for the event on which a cursor stands (for back-filling, and for checking a schema
** against history). The cursor may be NULL: then stream and tags are not known. A linker that looks
** at the types alone does not cost more than 0.2 us. */
TYCHO_API int tycho_script_expand_stored(tycho_script *script, tycho_cursor *cursor,
                                         const tycho_event *event, tycho_additions *additions);

/* Data of an event that was written under the version `from`, brought to the version of the script.
** Good until the next call. Errors: REJECTED, MISUSE (no event type, no such version). */
TYCHO_API int tycho_script_upcast(tycho_script *script, tycho_cursor *cursor,
                                  const tycho_event *event, int64_t from, tycho_bytes *data);

/* ---------------------------------------------------------------- 6. read models by hand */

/* The state of one instance is kept in the sandbox between these calls, and goes in and out as
** MessagePack. It is plain data: nil, booleans, numbers, strings, binary, null and tables of these;
** an empty table is an empty map, and a table that is in two places comes back as two. All errors:
** REJECTED (with `key` in the facts), MISUSE, NO_MEMORY; after one the state is gone. */

/* Begins an instance: state = init(key). */
TYCHO_API int tycho_script_init(tycho_script *script, tycho_bytes key);
/* Begins an instance with a state that was got before. */
TYCHO_API int tycho_script_set_state(tycho_script *script, tycho_bytes key, tycho_bytes state);
/* Folds one event into the state, with the handler of its type or "_", which changes the state and
** returns nothing, or returns the new one. Events of types that it does not read are passed over.
** Cost: 1 us and what the handler does. The cursor may be NULL, as above. */
TYCHO_API int tycho_script_apply(tycho_script *script, tycho_cursor *cursor,
                                 const tycho_event *event);
/* The state; good until the next call. */
TYCHO_API int tycho_script_get_state(tycho_script *script, tycho_bytes *state);

/* One read of history(key): where old events of the instance are. Empty: not given. Without types
** it is a read of all types of the model; others than these are refused. */
typedef struct tycho_history_read {
    tycho_bytes stream;
    const tycho_bytes *types;
    size_t type_count;
    const tycho_bytes *tags;
    size_t tag_count;
} tycho_history_read;

/* The read with this index, asked for from 0 on, one after the other: TYCHO_END behind the last. An
** entry of the list that is a function is called with the key and the present state (nil: there is
** none), and gives one read, a list of reads and functions, or nil: these come in its place. Good
** until the next call. */
TYCHO_API int tycho_script_history(tycho_script *script, tycho_bytes key, size_t index,
                                   tycho_history_read *read);

/* ---------------------------------------------------------------- 7. on-demand read models */

/* A deployed read model has one instance for each key, made when it is first asked for. Its events
** are in the stream NAME$KEY, as links, and that stream is the model's alone:
**   - what is appended under rules that have the model is linked by keys(), in the same batch;
**   - older events are linked once, when the instance is first asked for: those that the reads of
**     history(key) find. That is the catch-up. It is done anew, and adds what is missing, when the
**     model or an event type that it reads was deployed anew.
** The state is the fold over that stream in the model's order (ties by position). It is exact: the
** same as that of a fold over all events that keys() and history() give, up to `position`. An
** instance for which nothing is found is init(key), and leaves nothing behind, so that its history
** is looked for again the next time. Events that are overwritten or unlinked later stay folded as
** they were, until the instance is forgotten. One whose stream was deleted is caught up anew; a
** route of the stream's name is not followed.
**
** In the store are, by the name of the stream, a row of TYCHO_MODELS for each instance that was
** caught up, and one of TYCHO_MODEL_STATES for each snapshot of a state, which the next fold
** continues. A snapshot made under other scripts, or before an event that belongs before its last
** one, is not used. A catch-up holds the lock "tycho.model:NAME$KEY", and some 100 bytes of memory
** for each event that it finds. */
#define TYCHO_MODELS "tycho.models"
#define TYCHO_MODEL_STATES "tycho.model_states"

/* A handle on a deployed model, which follows its deployments; it belongs to one thread at a time,
** and is closed before the store. */
typedef struct tycho_model tycho_model;

/* NOT_FOUND: it is not deployed. MISUSE: the store is not attached. REJECTED, NO_MEMORY. */
TYCHO_API int tycho_model_open(tycho_store *store, tycho_bytes name, tycho_model **model);
TYCHO_API void tycho_model_close(tycho_model *model);

enum { /* tycho_model_options.flags */
    TYCHO_MODEL_FRESH = 1 /* folds all events, neither uses nor makes a snapshot */
};

typedef struct tycho_model_options {
    size_t size; /* sizeof(tycho_model_options) */
    uint32_t flags;
    uint32_t snapshot_after; /* events folded behind the snapshot that make a new one; 0: 100 */
    int64_t timeout_ms;      /* how long to wait for another's catch-up; 0: 30 s, -1: for ever */
    const int *cancelled;    /* another thread may end the call by storing something else than 0
                             ** there, atomically, until it would commit again; NULL: nobody */
} tycho_model_options;

typedef struct tycho_model_result {
    tycho_bytes state;     /* MessagePack; good until the handle's next call */
    uint64_t position;     /* the head of the store for which it holds */
    int64_t version;       /* of the model */
    uint64_t events;       /* folded into the state since init() */
    uint64_t folded;       /* of them by this call; 0: it is the snapshot's */
    uint64_t linked;       /* old events that this call linked */
    uint32_t is_known;     /* 0: nothing was ever found for this key */
    uint32_t was_caught_up; /* 1: this call did the catch-up */
    int32_t stored;        /* the status of storing a new snapshot; TYCHO_END: none was due.
                           ** CONDITION_FAILED: somebody else stored one. Not an error */
} tycho_model_result;

/* The state of one instance. `options` may be NULL. Cost: 10 us with a snapshot that is up to date,
** 1 us and its handler for each event to be folded; a commit for a catch-up and for a snapshot.
** Errors: NOT_FOUND (the model is not deployed any more), REJECTED (with `key`, and `position`
** where it is an event; nothing is stored), MISUSE (key), TIMEOUT (another's catch-up, or it was
** cancelled; what was linked stays), DENIED (a catch-up through a read-only handle), those of
** reading and of a commit. */
TYCHO_API int tycho_model_get(tycho_model *model, tycho_bytes key,
                              const tycho_model_options *options, tycho_model_result *result);

typedef struct tycho_model_progress {
    uint64_t done;   /* instances that are caught up, failed ones included */
    uint64_t total;
    uint64_t linked; /* old events linked */
    uint64_t failed; /* instances whose history could not be read */
} tycho_model_progress;

/* Catches up many instances, in batches of many thousand links: the given ones, or all that were
** caught up before and are not as the present scripts have it, which is what is to be done once
** when a new version reads more. While others write, batches are short, and each is followed by a
** rest as long as it took, reading included. progress() (may be NULL) is called after each 256
** instances; a status other than TYCHO_OK ends it and is returned. May be ended anywhere, also by
** kill -9, and called again. REJECTED: some instances failed, and the facts are those of the first;
** all others are done. */
TYCHO_API int tycho_model_prepare(tycho_model *model, const tycho_bytes *keys, size_t count,
                                  int (*progress)(void *context, const tycho_model_progress *now),
                                  void *context);
TYCHO_API int tycho_model_maintain(tycho_model *model,
                                   int (*progress)(void *context, const tycho_model_progress *now),
                                   void *context);

typedef struct tycho_model_instance {
    uint32_t is_caught_up; /* at some time; 0: all that follows is 0 but `entries` */
    uint32_t is_current;   /* as the present scripts have it */
    int64_t version;       /* of the model that caught it up */
    int64_t caught_up_at;
    uint64_t position;     /* up to which history was read */
    uint64_t linked;       /* old events that were found */
    uint64_t entries;      /* events in its stream */
    uint64_t snapshot_events; /* folded into its snapshot; 0: it has none that can be used */
    uint64_t snapshot_size;   /* bytes */
    uint64_t behind;          /* entries that are not in the snapshot */
} tycho_model_instance;

typedef struct tycho_model_totals {
    int64_t version;
    uint64_t instances; /* caught up at some time */
    uint64_t current;   /* of them as the present scripts have it */
    uint64_t snapshots;
} tycho_model_totals;

/* Costs a few us; the second 1 us for each instance. */
TYCHO_API int tycho_model_look(tycho_model *model, tycho_bytes key, tycho_model_instance *instance);
TYCHO_API int tycho_model_count(tycho_model *model, tycho_model_totals *totals);

/* Deletes the instance's stream, snapshot and row, under its lock; the next get begins with a
** catch-up. What keys() had linked comes back only as far as history() finds it. */
TYCHO_API int tycho_model_forget(tycho_model *model, tycho_bytes key);

/* ---------------------------------------------------------------- 8. back-filling */

/* Deploying a linker in a store that has events already. tycho_deployment_write() alone links what
** is appended from then on; this links the older events, too, and then each stream that is the
** linker's own is what it would be in a store that had the rule from the start: complete, without
** duplicates, in the order of positions, with revisions from 0 on. Writers in all processes go on.
**
** A NEW LINKER is not deployed at first. The events are linked in the order of their positions,
** chunk by chunk, each chunk one batch; one last batch links what was written meanwhile and deploys
** the linker, with nobody else writing (tycho_commit_completed()). So what is appended next is
** linked behind it, and there is no moment at which an event is missed or comes too early.
**
** A CHANGED LINKER, or one that was deployed without being back-filled: its streams are in use, and
** may lack older events. Before the cut-over readers see them as the deployed version makes them.
** What each of them lacks, and what it has too much (links that only the old version gives), is
** gathered chunk by chunk; then each one that differs is made anew beside itself, batch by batch,
** and what comes meanwhile is added. The last batch deploys the new version and exchanges the
** streams: from then on readers see them as the new one makes them. Exchanging one costs the same
** at any size, some 50 us, for which nobody else writes. It has room for some 1,600 streams, and
** for 4,000 links that came since; when more differ, the others, by name, follow at once, as many
** in each batch; until then such a stream has what the old version gave before the deployment and
** what the new one gives since.
**
** OTHER ENTRIES. Where a stream has entries that are not the linker's, they are put into the order
** of positions with all others; a stream with home events is never made anew, since its revisions
** are what writers expect: older events come behind, after the cut-over. Links that another script
** gives are never taken out, nor are those that an event was given before it was overwritten, when
** no version gives them now.
**
** INTERRUPTED, by whatever, it goes on where it was: that is a row of the table "tycho.backfills",
** put in the same batch as the links, under a named lock and its token. Two at once take turns; who
** is late changes nothing. Until it has ended no event type is deployed that renames or upcasts:
** then a part of the events would be linked as they were read before. */
typedef struct tycho_backfill tycho_backfill;

enum tycho_backfill_phase {
    TYCHO_BACKFILL_NEW = 0,       /* nothing was written yet */
    TYCHO_BACKFILL_LINKING = 1,   /* events up to `position` are linked, or gathered */
    TYCHO_BACKFILL_MENDING = 2,   /* the linker is deployed; `left` streams are to be made anew */
    TYCHO_BACKFILL_CANCELLING = 3, /* what was linked is taken out */
    TYCHO_BACKFILL_DONE = 4,
    TYCHO_BACKFILL_CANCELLED = 5,
    TYCHO_BACKFILL_PREPARING = 6 /* `left` streams are to be made anew beside themselves */
};

typedef struct tycho_backfill_options {
    size_t size; /* sizeof(tycho_backfill_options) */
    tycho_bytes label;  /* used in messages */
    tycho_bytes source; /* of the linker; empty: `name` is the one that was begun, or is deployed */
    tycho_bytes name;
    int64_t lock_timeout_ms; /* while another goes on with it; -1: for ever */
    int is_plan;             /* 1: only looks, without the lock */
} tycho_backfill_options;

/* Views into the back-fill, good until its next step. */
typedef struct tycho_backfill_status {
    uint32_t phase;       /* enum tycho_backfill_phase */
    uint32_t is_beside;   /* 1: its streams are in use */
    uint32_t is_deployed; /* 1: this source is that of the deployed linker */
    tycho_bytes name;
    int64_t version;
    int64_t old_version;  /* that is replaced; 0: none */
    uint64_t position;    /* up to which it is done, or, CANCELLING, undone */
    uint64_t head;        /* of the store, when it was last looked at */
    uint64_t linked;      /* links made, or to be made by mending */
    uint64_t unlinked;    /* links of the old version that are taken out */
    uint64_t left;        /* MENDING: streams */
    uint64_t sequence;    /* of the last batch of this handle; 0: none */
} tycho_backfill_status;

/* Takes the lock and looks where it is; writes nothing. Errors: MISUSE (not attached, no linker),
** NOT_FOUND (nothing of that name), REJECTED (the source, as in a deployment), CONDITION_FAILED
** (another source of this linker has been begun), TIMEOUT (another goes on with it), those of
** reading and of locks. */
TYCHO_API int tycho_backfill_open(tycho_store *store, const tycho_backfill_options *options,
                                  tycho_backfill **backfill);

/* One batch: links the next `chunk` events (0: 5,000; at most 10,000), or is the last one, or mends
** (a large stream in several). TYCHO_END: there was nothing left to do. Errors: REJECTED (the
** linker fails at an old event, with its position; or it may not be deployed any more),
** CONDITION_FAILED (another process has gone on with it, or another version was deployed),
** TOO_LARGE, and those of reading and of a commit; it stands where it stood. */
TYCHO_API int tycho_backfill_step(tycho_backfill *backfill, size_t chunk);

/* Gives it up: the steps that follow take out what was linked. (Of an event that somebody else had
** linked into such a stream before, that link, too: it cannot be told from the linker's own.)
** CONDITION_FAILED when the linker is deployed already, NOT_FOUND when nothing was begun. */
TYCHO_API int tycho_backfill_cancel(tycho_backfill *backfill);

TYCHO_API void tycho_backfill_status_get(tycho_backfill *backfill, tycho_backfill_status *status);
TYCHO_API void tycho_backfill_close(tycho_backfill *backfill);

#ifdef __cplusplus
}
#endif

#endif /* TYCHO_SCRIPTS_H */
