/* binding.h - what the files of the Lua module `tycho.core` share.
**
** The module is thin: scripts/tycho/ has the API, this has what must be C. Each function that Lua
** calls has three paragraphs: check all arguments (may raise), call the engine (cannot raise),
** push the results (may raise, when memory is out).
**
** BOXES. An engine handle lives in a box, a userdata that starts with a tycho__lua_box:
**
**     store --+-- snapshot --+-- cursor          batch (stands alone)
**             |              +-- listing
**             +-- cursor, follower, listing, verification, lock, script, deployment,
**                 back-fill, model
**
**   - The empty box is created first and the engine fills it then, so that running out of memory
**     in between leaves a harmless object.
**   - The child anchors its parent (user value 1); the parent lists its children and closes them
**     before itself. So any order of collection is safe, and a box whose parent was closed is
**     closed: using it raises "cursor is closed".
**   - close, __close and __gc are one function, which may run any number of times.
**   - A box takes itself off its parent's list when it is closed, and __gc runs before its memory
**     goes. The lists therefore never have a dangling entry.
**
** Methods have the metatable of their class as upvalue 1. luaopen may run twice in one state:
** metatables are found in the registry by name.
*/
#ifndef TYCHO_LUA_BINDING_H
#define TYCHO_LUA_BINDING_H

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

#include "../../engine/tycho.h"
#include "host/tycho_scripts.h"
#include "codec.h"

/* ---------------------------------------------------------------- errors (error.c) */

#define TYCHO__LUA_ERROR "tycho.Error"

/* Raises a string that starts with the line of the first caller outside of the library. */
int tycho__lua_misuse(lua_State *L, const char *format, ...);

/* Pushes the tycho.Error of a status other than TYCHO_OK: the sentence is tycho_error(). The facts
** of REJECTED are those of tycho_scripts_error(). */
void tycho__lua_error_push(lua_State *L, int status);

/* Raises it, with the facts of the receipt (may be NULL). */
int tycho__lua_refuse(lua_State *L, int status, const tycho_receipt *receipt);

/* The same for a lock; a fact of TIMEOUT and BUSY is its owner. */
int tycho__lua_refuse_lock(lua_State *L, int status, const tycho_lock_info *owner);

/* Raises what the codec reported: `status`, with the sentence on top of the stack. */
int tycho__lua_refuse_value(lua_State *L, int status);

/* Functions for Lua: misuse(message), own(), nearest(word, names). */
int tycho__lua_error_misuse(lua_State *L);
int tycho__lua_error_refusal(lua_State *L);
int tycho__lua_error_own(lua_State *L);
int tycho__lua_error_nearest(lua_State *L);
void tycho__lua_error_register(lua_State *L);

/* ---------------------------------------------------------------- boxes (box.c) */

typedef struct tycho__lua_box {
    void *handle; /* NULL: closed */
    void (*close)(struct tycho__lua_box *box); /* frees the handle, which is not NULL */
    const char *noun;                    /* "cursor" */
    struct tycho__lua_box *parent, *children, *next, *previous;
} tycho__lua_box;

/* Pushes a new, closed box of `size` bytes, all zero, of the class `name`. */
void *tycho__lua_box_create(lua_State *L, size_t size, const char *name);

/* Anchors and lists the box on top of the stack with the parent at `index`. */
void tycho__lua_box_attach(lua_State *L, int index);

/* Closes the box and what depends on it. */
void tycho__lua_box_close(tycho__lua_box *box);

/* Argument 1 of a method: the box, open or closed; the second raises when it is closed. */
void *tycho__lua_self(lua_State *L);
void *tycho__lua_self_open(lua_State *L);

/* The open box of the class `name` at `index`; raises otherwise. */
void *tycho__lua_box_check(lua_State *L, int index, const char *name);

/* Makes the metatable of a class: methods with the metatable as upvalue 1, __index, __gc, __close
** and __tostring. Leaves the stack as it was. */
void tycho__lua_class_register(lua_State *L, const char *name, const luaL_Reg *methods);

/* ---------------------------------------------------------------- values (value.c) */

/* The string at `index` as bytes, good while Lua has it; raises when it is no string. */
tycho_bytes tycho__lua_bytes(lua_State *L, int index, const char *what);
/* The same for what may be left out: nil or none gives empty bytes, "" is refused. */
tycho_bytes tycho__lua_optional_bytes(lua_State *L, int index, const char *what);
int64_t tycho__lua_integer(lua_State *L, int index, const char *what);
void tycho__lua_push_bytes(lua_State *L, tycho_bytes bytes);
/* Sets a field of the table on top of the stack; empty bytes set nothing. */
void tycho__lua_set_bytes(lua_State *L, const char *name, tycho_bytes bytes);
void tycho__lua_set_integer(lua_State *L, const char *name, int64_t value);
void tycho__lua_set_boolean(lua_State *L, const char *name, int value);

/* ---------------------------------------------------------------- classes */

#define TYCHO__LUA_STORE "tycho.core.Store"
#define TYCHO__LUA_SNAPSHOT "tycho.core.Snapshot"
#define TYCHO__LUA_CURSOR "tycho.core.Cursor"
#define TYCHO__LUA_FOLLOWER "tycho.core.Follower"
#define TYCHO__LUA_LISTING "tycho.core.Listing"
#define TYCHO__LUA_VERIFICATION "tycho.core.Verification"
#define TYCHO__LUA_LOCK "tycho.core.Lock"
#define TYCHO__LUA_BACKFILL "tycho.core.Backfill"
#define TYCHO__LUA_BATCH "tycho.core.Batch"
#define TYCHO__LUA_SCRIPT "tycho.core.Script"
#define TYCHO__LUA_DEPLOYMENT "tycho.core.Deployment"
#define TYCHO__LUA_MODEL "tycho.core.Model"
#define TYCHO__LUA_EVENT "tycho.Event"

void tycho__lua_store_register(lua_State *L);
void tycho__lua_snapshot_register(lua_State *L);
void tycho__lua_cursor_register(lua_State *L);
void tycho__lua_follower_register(lua_State *L);
void tycho__lua_listing_register(lua_State *L);
void tycho__lua_verification_register(lua_State *L);
void tycho__lua_lock_register(lua_State *L);
void tycho__lua_script_register(lua_State *L);
void tycho__lua_deployment_register(lua_State *L);
void tycho__lua_backfill_register(lua_State *L);
void tycho__lua_model_register(lua_State *L);
void tycho__lua_batch_register(lua_State *L);
void tycho__lua_event_register(lua_State *L);
void tycho__lua_salvage_register(lua_State *L);

int tycho__lua_store_open(lua_State *L);
int tycho__lua_salvage(lua_State *L);
int tycho__lua_store_snapshot(lua_State *L);
int tycho__lua_store_cursor(lua_State *L);
int tycho__lua_store_follower(lua_State *L);
int tycho__lua_store_count(lua_State *L);
int tycho__lua_store_listing(lua_State *L);
int tycho__lua_store_verification(lua_State *L);
int tycho__lua_store_lock(lua_State *L);
int tycho__lua_store_locks(lua_State *L);
int tycho__lua_store_script(lua_State *L);
int tycho__lua_store_deployment(lua_State *L);
int tycho__lua_deployment_create(lua_State *L);
int tycho__lua_store_backfill(lua_State *L);
int tycho__lua_store_model(lua_State *L);
int tycho__lua_script_compile(lua_State *L);
int tycho__lua_batch_create(lua_State *L);

/* Pushes {token, since, pid, thread, host}. */
void tycho__lua_lock_info_push(lua_State *L, const tycho_lock_info *info);

/* directory.c, time.c, hash.c */
int tycho__lua_directory(lua_State *L);
void tycho__lua_directory_register(lua_State *L);
int tycho__lua_hash(lua_State *L);
int tycho__lua_content_id(lua_State *L);
int tycho__lua_time_parse(lua_State *L);
int tycho__lua_time_format(lua_State *L);

/* ---------------------------------------------------------------- reads (read.c) */

/* A read with the memory it points to; too large for nothing but the C stack of its caller. */
typedef struct tycho__lua_read {
    tycho_read read;
    tycho_query query;
    tycho_query_item items[TYCHO_QUERY_MAX];
    tycho_bytes names[TYCHO_QUERY_MAX];
} tycho__lua_read;

/* Fills a read from the state of a specification (see scripts/tycho/specification.lua) at `index`;
** views into that table. Pushes one value that must stay on the stack as long. */
void tycho__lua_read_fill(lua_State *L, int index, tycho__lua_read *read);

/* The same for a query alone: {{types = {...}, tags = {...}}, ...}. */
void tycho__lua_query_fill(lua_State *L, int index, tycho__lua_read *read);

/* ---------------------------------------------------------------- events (event.c) */

/* What all events of a Lua state share, beside their metatable. */
typedef struct tycho__lua_event_class tycho__lua_event_class;

/* What gives events: the box of a cursor or a follower. */
typedef struct tycho__lua_reader {
    tycho__lua_box box;
    uint64_t step;        /* how often it was moved */
    tycho_cursor *cursor; /* that gave the last event */
    tycho__lua_event_class *class; /* of an iterator's events */
} tycho__lua_reader;

/* Where an event comes from: the last step of a reader. */
typedef struct tycho__lua_origin {
    const tycho__lua_reader *reader;
    int cursor, metatable; /* places on the stack of the reader and of the metatable of events */
    tycho__lua_event_class *class;
} tycho__lua_origin;

/* Pushes the metatable of events. */
tycho__lua_event_class *tycho__lua_event_class_push(lua_State *L);

/* Pushes the event. A status other than TYCHO_OK pushes nothing. */
int tycho__lua_event_push(lua_State *L, const tycho_event *event,
                          const tycho__lua_origin *origin);

/* Pushes an event whose home stream and tags are looked up when they are asked for. */
void tycho__lua_event_push_lazy(lua_State *L, const tycho_event *event,
                                const tycho__lua_origin *origin);

/* The cursor of the reader at `index` when it still stands where `step` took it, else NULL. */
tycho_cursor *tycho__lua_cursor_at(lua_State *L, int index, uint64_t step);

/* ---------------------------------------------------------------- new events (new_event.c) */

/* Memory in which arguments for the batch are laid out; it belongs to the batch box. */
typedef struct tycho__lua_scratch {
    tycho_new_event *events;
    size_t event_count, events_max;
    tycho_bytes *names; /* tags or event ids */
    size_t name_count, names_max;
    struct tycho_buffer bytes; /* encoded data and metadata, end to end */
} tycho__lua_scratch;

void tycho__lua_scratch_clear(tycho__lua_scratch *scratch); /* gives large memory back */
void tycho__lua_scratch_free(tycho__lua_scratch *scratch);

/* Lays out the event or events at `events`. Absent ids are made and pushed onto the table at
** `ids` together with the given ones. `context` is the index of {metadata, correlation_id,
** causation_id}, or 0. Raises with the place of what is wrong ("events[3].data.items[2]"). */
void tycho__lua_new_events(lua_State *L, tycho__lua_scratch *scratch, int events, int ids,
                           int context);

/* Lays out a string or a list of strings as names. */
void tycho__lua_names(lua_State *L, tycho__lua_scratch *scratch, int index, const char *what);

/* ---------------------------------------------------------------- receipts (receipt.c) */

/* Pushes a receipt as a table; `ids` is the index of its list of event ids. */
void tycho__lua_receipt_push(lua_State *L, const tycho_receipt *receipt, int ids);

#endif
