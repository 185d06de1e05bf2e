/* script.h - scripts as the files of the script host see them, and nobody else.
**
**     definition    what a script declares; never changes; shared by all that count as its users
**     runner        one sandbox that has run the script, and the numbers of its functions; used by
**                   one thread at a time, kept with its definition while nobody needs it
**     tycho_script  a definition and a runner, for hosts that run a script by hand
**
** Rules (rules.h) are the definitions of one version of a store's rules.
**
** WHAT IS WHERE in this folder, each part on those above it; below all is ../sandbox (sandbox.h):
**     script        script.h, schema.h: script, definition, constructors, schema*, run, failure,
**                   known, linkers; of read models: instance, history
**     rules         rules.h: rules, attach (the hooks of a store), deployment
**     read models   model.h: model, model_rows, fold, catch_up, found
**     back-filling  backfill.h: backfill, backfill_*
*/
#ifndef TYCHO_SCRIPT_H
#define TYCHO_SCRIPT_H

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "../../msgpack/msgpack.h"
#include "sandbox.h"
#include "schema.h"
#include "tycho_scripts.h"

enum {
    TYCHO__FUNCTIONS_MAX = 8,  /* enum tycho__function */
    TYCHO__UPCASTS_MAX = 1000, /* versions of an event type */
    TYCHO__IDLE_MAX = 8        /* runners of a definition that wait */
};

enum tycho__function {
    TYCHO__CHECK,
    TYCHO__TAGS,
    TYCHO__TO,
    TYCHO__KEYS,
    TYCHO__INIT,
    TYCHO__HISTORY,
    TYCHO__OTHERWISE /* the handler "_" */
};

enum tycho__by {
    TYCHO__BY_FUNCTION,
    TYCHO__BY_TYPE,
    TYCHO__BY_CORRELATION,
    TYCHO__BY_CAUSATION,
    TYCHO__BY_CATEGORY,
    TYCHO__BY_METADATA
};

struct tycho__runner;

/* Memory of a definition. */
struct tycho__block {
    struct tycho__block *next;
    max_align_t memory[];
};

struct tycho__definition {
    atomic_uint users;
    tycho_script_about about;
    int64_t line; /* of the constructor */
    struct tycho__block *blocks;
    size_t text_size;             /* bytes of the names and values in them */
    bool lacks_memory;            /* where it was being read */
    struct tycho__schema *schema; /* or NULL */
    enum tycho__by by;
    tycho_bytes metadata_key;
    bool has_function[TYCHO__FUNCTIONS_MAX];
    pthread_mutex_t mutex;
    struct tycho__runner *idle;
    int idle_count;
};

/* Names that a function gave; the views are made when all are there. */
struct tycho__names {
    struct tycho_buffer text;
    struct tycho_buffer list; /* tycho_bytes, whose data is an offset until then */
    size_t count;
    uint32_t *memo; /* of the one name, as in tycho_additions; NULL: none */
};

/* The instance of a read model on which a runner works; its state, and the rest of its history, are
** in the sandbox's registry (instance.c, history.c). */
struct tycho__instance {
    bool has_state;
    int slot;            /* number of the function of the history that is called; 0: none yet */
    size_t heaviest;     /* bytes of the largest string in the state (find_heaviest()) */
    size_t history_next; /* index of the read that is asked for next */
    bool has_history;    /* the list is there, and nothing was taken of it */
    size_t key_size;
    char key[TYCHO_NAME_MAX];
    struct tycho__names names; /* of a read: stream, types, tags */
};

/* Names that the function of a runner gave before (known.c). */
struct tycho__known_places;
struct tycho__known_key {
    uint64_t hash;
    size_t size; /* 0: it is too long, or was not looked for */
    char text[112];
};
struct tycho__known {
    struct tycho__known_places *places; /* NULL: nothing was kept yet */
    void *memory;                      /* that they are in */
    bool has_type;                     /* the key has the type */
    size_t field_size;                 /* of the field that the key has; 0: none */
    char field[64];
    uint32_t rest, tried, found; /* calls: whether it is worth looking */
    uint32_t batch;              /* number of the batch that borrowed the runner, for memos */
    bool is_by_type;             /* what was found is so for each event of the type */
    struct tycho__known_key key; /* of the present event */
};

struct tycho__runner {
    struct tycho__definition *definition; /* no user by itself: the borrower is one */
    struct tycho__sandbox *sandbox;
    struct tycho__runner *next;
    int functions[TYCHO__FUNCTIONS_MAX];
    int *upcasts;  /* from version i + 1 */
    int *handlers; /* by the index of the type */
    struct tycho__names names;
    struct tycho__known known;
    struct tycho_buffer data; /* MessagePack of a result */
    struct tycho__instance instance;
};

struct tycho_script {
    struct tycho__definition *definition;
    struct tycho__runner *runner;
    char link[TYCHO_NAME_MAX]; /* of a ready-made linker */
    tycho_bytes link_bytes;
};

/* An event as a script sees it. */
struct tycho__shown {
    const tycho_event *event;
    bool is_for_names;    /* what is called gives names, and nothing of the event itself */
    tycho_bytes data;     /* that of the event, or as it was upcast so far */
    tycho_cursor *cursor; /* asked for stream and tags; NULL: they are below */
    tycho_bytes stream;
    const tycho_bytes *tags;
    size_t tag_count;
    const tycho_bytes *more_tags; /* that scripts gave */
    size_t more_tag_count;
};

/* An event that is appended, to what gives names. */
static inline struct tycho__shown tycho__shown_of(const tycho_appended *appended) {
    return (struct tycho__shown){.event = &appended->event,
                                 .is_for_names = true,
                                 .data = appended->event.data,
                                 .stream = appended->stream,
                                 .tags = appended->tags,
                                 .tag_count = appended->event.tag_count};
}

/* ---------------------------------------------------------------- failures (failure.c) */

/* A failure that is no script's: sets the sentence and returns the status. */
int tycho__script_fail(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* REJECTED by what C found: `path` may be empty, `event` NULL, `line` 0. */
int tycho__script_reject(const struct tycho__definition *definition, const tycho_event *event,
                         const char *path, int64_t line, const char *message);

/* REJECTED by the sandbox, or NO_MEMORY when that is why. */
int tycho__script_reject_run(const struct tycho__runner *runner, const tycho_event *event,
                             tycho_bytes key);

/* The same before there is a definition: `label` names the script. */
int tycho__script_reject_source(tycho_bytes label, const struct tycho__sandbox_error *error,
                                int64_t line);

/* Says where the event is, of which this thread's failure is. */
void tycho__failure_set_position(uint64_t position);

/* Puts the key into the failure of this thread, where it is REJECTED and has none. The status. */
int tycho__script_reject_key(int status, tycho_bytes key);

/* Keeps the failure of this thread, and makes a kept one that of this thread again. */
struct tycho__failure;
struct tycho__failure *tycho__failure_copy(void);
int tycho__failure_raise(const struct tycho__failure *failure);
void tycho__failure_free(struct tycho__failure *failure);

/* ---------------------------------------------------------------- definitions (definition.c) */

/* What constructors make (constructors.c). */
void tycho__script_open_environment(lua_State *L, void *context);

/* Reads the module, which is at `first`, into the definition and the runner's functions. Raises. */
struct tycho__reading {
    struct tycho__definition *definition;
    struct tycho__runner *runner;
    int64_t line; /* of what is refused */
};
void tycho__definition_read(lua_State *L, int first, void *reading);

/* Raises what is wrong with a field, at its line, where that can be found. */
int tycho__definition_refuse(lua_State *L, struct tycho__reading *reading, const char *field,
                             const char *format, ...);

/* The first line, from the constructor's on, that sets a field of this name; 0: none. */
int64_t tycho__definition_line(const struct tycho__definition *definition, const char *field);

/* Memory that lives as long as the definition, zeroed. Raises in Lua when there is none. */
void *tycho__definition_keep(lua_State *L, struct tycho__definition *definition, size_t size);
tycho_bytes tycho__definition_text(lua_State *L, struct tycho__definition *definition, int index);

/* ---------------------------------------------------------------- runners (script.c) */

/* Compiles; `label` is used in messages. The caller is the one user. REJECTED, NO_MEMORY. */
int tycho__definition_compile(tycho_bytes label, tycho_bytes source,
                              struct tycho__definition **definition);
void tycho__definition_hold(struct tycho__definition *definition);
void tycho__definition_release(struct tycho__definition *definition);

int tycho__runner_borrow(struct tycho__definition *definition, struct tycho__runner **runner);
/* Gives the runner a fresh sandbox, which has the last word about memory. REJECTED, NO_MEMORY. */
int tycho__runner_renew(struct tycho__runner *runner);
/* A runner for work that is one whole, in several calls, from init on: the answer to AGAIN. */
int tycho__runner_borrow_fresh(struct tycho__definition *definition,
                               struct tycho__runner **runner);
/* Gives it back. REJECTED (with the facts) when the script kept a state; then it is not used again,
** nor when it had a fatal error. */
int tycho__runner_return(struct tycho__runner *runner);
/* The same when something failed before, which stays what this thread's failure is. */
void tycho__runner_drop(struct tycho__runner *runner);
/* One of these, by the status, which is kept unless giving back fails. */
int tycho__runner_end(struct tycho__runner *runner, int status);

/* ---------------------------------------------------------------- running (run.c) */

extern const struct tycho__sandbox_view_type tycho__event_view;

/* Checks the event and gathers tags in runner->names. */
int tycho__run_event_type(struct tycho__runner *runner, const struct tycho__shown *shown);
/* Gathers the names of streams in runner->names: of `to`, or the instances of `keys`. Good until
** the next run. */
int tycho__run_names(struct tycho__runner *runner, const struct tycho__shown *shown);
/* What the last call read of the event. */
enum tycho__run_reads { TYCHO__READ_TYPE = 1, TYCHO__READ_DATA = 2, TYCHO__READ_MORE = 4 };
enum tycho__run_reads tycho__run_reads(const struct tycho__runner *runner);
/* Brings `shown->data`, written under version `from`, to the version of the definition: a view into
** runner->data. */
int tycho__run_upcast(struct tycho__runner *runner, struct tycho__shown *shown, int64_t from);
const tycho_bytes *tycho__names_list(const struct tycho__names *names);
/* Whether the names could be gathered. */
int tycho__names_finish(struct tycho__names *names);
void tycho__names_clear(struct tycho__names *names);
/* Takes the results at `first` to the top: strings, lists of strings, nil; with integers where
** `takes_integers`; each behind the prefix. Raises. */
void tycho__names_take(lua_State *L, int first, struct tycho__names *names, tycho_bytes prefix,
                       bool takes_integers);
/* What is wrong with a name of a stream or tag; NULL: nothing. */
const char *tycho__name_fault(const void *data, size_t size);

/* ---------------------------------------------------------------- known names (known.c) */

/* Puts the names that the function is known to give for the event into runner->names. False: it is
** to be called, and tycho__known_keep() then, when the call was good. */
bool tycho__known_find(struct tycho__runner *runner, const struct tycho__shown *shown);
void tycho__known_keep(struct tycho__runner *runner, const struct tycho__shown *shown);
/* The runner works for another batch from now on: memos are 0. */
void tycho__known_begin(struct tycho__known *known);
void tycho__known_free(struct tycho__known *known);

/* ---------------------------------------------------------------- instances (instance.c) */

/* As tycho_script_init() and so on, on a runner of a read model; also TYCHO__AGAIN, unless the
** runner is fresh: nothing is said yet, all is to be done again with a fresh one. */
enum { TYCHO__AGAIN = -1 };
int tycho__run_init(struct tycho__runner *runner, tycho_bytes key);
int tycho__run_set_state(struct tycho__runner *runner, tycho_bytes key, tycho_bytes state);
int tycho__run_apply(struct tycho__runner *runner, const struct tycho__shown *shown);
int tycho__run_get_state(struct tycho__runner *runner, struct tycho_buffer *out);
/* Lets go of the state and the history; before the runner is given back. */
void tycho__run_forget(struct tycho__runner *runner);
/* The handler of a type, by any of its names; 0: it is not read. */
int tycho__runner_handler(const struct tycho__runner *runner, const tycho_cursor *cursor,
                          tycho_bytes type);
/* Pushes the state, or nil. */
void tycho__push_state(lua_State *L, const struct tycho__runner *runner);

/* history.c */
int tycho__run_history(struct tycho__runner *runner, tycho_bytes key, size_t index,
                       tycho_history_read *read);
/* Whether a function is called for the read with this index, which gets the state. */
int tycho__run_history_look(struct tycho__runner *runner, tycho_bytes key, size_t index,
                            bool *is_function);
/* Drops what is left of a history. */
void tycho__drop_history(lua_State *L);

/* The runner of a script opened by hand, made when it is needed, and after a fatal error: for
** single calls, or, where `is_whole`, for what was and will be done with it together. */
int tycho__script_runner(tycho_script *script, bool is_whole, struct tycho__runner **runner);

/* ---------------------------------------------------------------- linkers (linkers.c) */

/* The index among the types that a script reads of one that the event's type has as a name, its own
** first; the cursor, which knows the others, may be NULL. -1: it is not read. */
int tycho__type_index(const tycho_script_about *about, const tycho_cursor *cursor,
                      tycho_bytes type);
/* The name of a stream up to its first "-". */
tycho_bytes tycho__category_of(tycho_bytes stream);
/* Whether a linker reads the event: category and tags, not the type. */
int tycho__linker_reads(const struct tycho__definition *definition,
                        const struct tycho__shown *shown, bool *is_read);
/* The stream into which a ready-made linker links the event, written to `name`; empty: none. */
int tycho__linker_name(const struct tycho__definition *definition, const struct tycho__shown *shown,
                       char name[TYCHO_NAME_MAX], tycho_bytes *link);

/* ---------------------------------------------------------------- small ones */

static inline bool tycho__same(tycho_bytes a, tycho_bytes b) {
    return a.size == b.size && (a.size == 0 || __builtin_memcmp(a.data, b.data, a.size) == 0);
}

#endif
