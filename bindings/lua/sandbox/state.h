/* state.h - what the files of the sandbox share with each other and with nobody else.
**
** A call of the sandbox:
**
**     FRESH --load()--> READY --call()--> READY
**       |                 |
**       +--- fatal -------+----------> DISCARDED (only destroy is left)
**
** WHAT IS WHERE in this folder: sandbox, environment, limits, error, source, bytecode; what scripts
** see: *_library, string_*, pattern, pairs, tables, metatable, text, fields, view; and whether they
** keep something: fingerprint.
**
** `fatal` is set once, by the hook, the allocator, or whoever charges; from then on the count hook
** fires at every instruction, and pcall and coroutines raise again what they catch.
*/
#ifndef TYCHO_SANDBOX_STATE_H
#define TYCHO_SANDBOX_STATE_H

#include <locale.h>
#include <stdbool.h>

#include <lauxlib.h>

#include "pattern.h"
#include "sandbox.h"

enum {
    TYCHO__SANDBOX_RANGE_MAX = 200000, /* items that one table function may touch */
    TYCHO__SANDBOX_RETURNS_MAX = 250,  /* values that one library function may return */
    TYCHO__SANDBOX_BYTES = 16,         /* bytes for the price of one instruction */
    TYCHO__SANDBOX_STEPS = 4,          /* steps of the matcher for the price of one instruction */
    TYCHO__SANDBOX_SCAN = 100, /* going through a table, which may have much room and no fields */
    TYCHO__SANDBOX_HEAVY = 8 << 10,    /* strings from this size on make instructions dearer */
    TYCHO__HOST_TABLE = 56,      /* bytes of a table of Lua, without what is in it */
    TYCHO__HOST_TABLE_ROOM = 64, /* what it gets: see tables.c */
    TYCHO__SANDBOX_VIEWS_MAX = 4,
    TYCHO__SANDBOX_FIELDS_MAX = 32,
    TYCHO__SANDBOX_FIELDS_MANY = -2
};

struct tycho__host_view {
    const struct tycho__sandbox_view_type *type;
    const void *object; /* NULL when the call is over */
    int slot;           /* in the registry */
    uint32_t kept;      /* fields whose values are in the user values */
    uint32_t reads;     /* fields that this call read, or the last one */
    int count;
    const char *names[TYCHO__SANDBOX_VIEW_FIELDS]; /* as this Lua has them, each once */
};

/* Data that is read field by field (fields.c). */
struct tycho__host_field {
    const uint8_t *name;
    uint32_t size;
    uint32_t value; /* its offset */
};
struct tycho__host_fields {
    const void *data; /* NULL when the call is over */
    size_t size;
    const void *table; /* of Lua; NULL: there is none, or it was filled */
    int slot;          /* of the same in the registry */
    int reads;
    int only; /* the index of the one field that the call read; -1: none; MANY: others, or all */
    int count;
    struct tycho__host_field all[TYCHO__SANDBOX_FIELDS_MAX];
};

struct tycho__sandbox {
    lua_State *L; /* the main thread */
    lua_State *running;
    struct tycho__sandbox_options options;
    locale_t locale; /* "C" */

    int64_t budget; /* of this call */
    int64_t left;
    int slice;  /* of the main thread */
    int is_bad; /* the error that is being raised is BAD_RESULT */
    int is_loaded;
    int returned_line; /* of the script, when it was loaded */
    int is_host; /* a callback of the host runs: the script is not charged for its strings */
    enum tycho__sandbox_kind fatal;
    int64_t weight;        /* what one instruction costs: see BUDGET in sandbox.h */
    int64_t clock_start;   /* processor time at the first look of this call, in ns; 0: none yet */
    int unclocked;         /* instructions since the last look */
    int64_t module_weight; /* due to strings that the module has */

    size_t held;
    size_t kept;       /* of it, when all was collected the last time */
    size_t collect_at; /* held then: Lua collects */
    size_t loaded;     /* held when the script had been loaded */
    size_t churn;      /* allocated in this call */
    size_t memory_max, churn_max; /* of this call */
    bool is_exact;
    int emergencies;
    int is_retry;     /* Lua has collected everything and asks again */
    const char *lack; /* which memory limit was met */
    size_t lack_size, lack_most;

    int has_seed;
    uint64_t random;
    uint64_t state; /* fingerprint of the module */
    int view_count;
    struct tycho__host_view *views[TYCHO__SANDBOX_VIEWS_MAX];
    struct tycho__host_fields fields;
    struct tycho__pattern_frame frames[TYCHO__PATTERN_FRAMES_MAX]; /* of the running match */
    lua_State *traced; /* the last thread whose stack is in the traceback */
    struct tycho__sandbox_error error;
};

/* Keys of the registry: the addresses of these. */
extern const char tycho__host_module, tycho__host_message, tycho__host_frozen, tycho__host_fixed;

static inline struct tycho__sandbox *tycho__host(lua_State *L) {
    return *(struct tycho__sandbox **)lua_getextraspace(L);
}

/* ---------------------------------------------------------------- budget, memory (limits.c) */

/* The hook of every thread: it counts. */
void tycho__host_count(lua_State *L, lua_Debug *record);
/* In this call it also notes the line where a function returns. */
void tycho__host_watch_returns(lua_State *L);
/* Starts a call with this many instructions. */
void tycho__host_begin(struct tycho__sandbox *sandbox, int64_t budget);
/* Raises what is fatal. Does not return. */
int tycho__host_raise_fatal(lua_State *L);
/* The budget is used up. Does not return. */
void tycho__host_exhaust(lua_State *L);

static inline void tycho__host_charge(lua_State *L, size_t count) {
    struct tycho__sandbox *sandbox = tycho__host(L);
    sandbox->left -= count < INT32_MAX ? (int64_t)count : INT32_MAX;
    if (sandbox->left < 0) tycho__host_exhaust(L);
}

static inline void tycho__host_charge_bytes(lua_State *L, size_t size) {
    tycho__host_charge(L, size / TYCHO__SANDBOX_BYTES);
}

/* Arguments that are numbers, or texts of one: these are charged for their size. */
static inline void tycho__host_charge_digits(lua_State *L, int index) {
    if (lua_type(L, index) == LUA_TSTRING) tycho__host_charge_bytes(L, lua_rawlen(L, index));
}

static inline lua_Integer tycho__host_integer(lua_State *L, int index) {
    tycho__host_charge_digits(L, index);
    return luaL_checkinteger(L, index);
}

static inline lua_Integer tycho__host_optional_integer(lua_State *L, int index,
                                                       lua_Integer otherwise) {
    tycho__host_charge_digits(L, index);
    return luaL_optinteger(L, index, otherwise);
}

static inline lua_Number tycho__host_number(lua_State *L, int index) {
    tycho__host_charge_digits(L, index);
    return luaL_checknumber(L, index);
}

/* Collects all garbage. */
void tycho__host_collect(struct tycho__sandbox *sandbox);

void *tycho__host_allocate(void *context, void *block, size_t old, size_t size);

/* After a walk with lua_next(): lets go of what it left above the top of the stack. Lua may keep
** that, as if it were a value of the function that is called next, and which it is follows from the
** order of the walk. */
static inline void tycho__host_clear_above(lua_State *L) {
    enum { SLOTS = 8 };
    int top = lua_gettop(L);
    if (!lua_checkstack(L, SLOTS)) return;
    lua_settop(L, top + SLOTS);
    lua_settop(L, top);
}

/* ---------------------------------------------------------------- errors (error.c) */

/* The message handler of every protected call of the host. */
int tycho__host_handle(lua_State *L);
/* Appends where L is to the traceback, once. Allocates nothing. */
void tycho__host_trace(struct tycho__sandbox *sandbox, lua_State *L);
void tycho__host_clear_error(struct tycho__sandbox *sandbox);
/* Completes the error for a protected call that ended with `status`. */
enum tycho__sandbox_kind tycho__host_conclude(struct tycho__sandbox *sandbox, int status,
                                              enum tycho__sandbox_kind kind);

/* ---------------------------------------------------------------- text buffers (text.c) */

/* Bytes in a userdata at a slot of the stack, so that an error leaks nothing. */
struct tycho__host_text {
    lua_State *L;
    int slot;
    char *data;
    size_t size;
    size_t capacity;
};

/* Pushes the userdata. */
void tycho__host_text_begin(lua_State *L, struct tycho__host_text *text, size_t capacity);
/* Raises when the text would be larger than a string may be; charges what is added. */
char *tycho__host_text_reserve(struct tycho__host_text *text, size_t extra);
void tycho__host_text_put(struct tycho__host_text *text, const char *data, size_t size);
/* Pushes the text as a string. */
void tycho__host_text_push(struct tycho__host_text *text);

/* ---------------------------------------------------------------- shared by libraries */

/* Makes the table at `index`, if it is read field by field, an ordinary one (fields.c). */
void tycho__host_fill(lua_State *L, int index);
/* Checks that argument `index` is a table; when it is frozen, puts its contents in its place. */
void tycho__host_check_readable(lua_State *L, int index);
/* Checks that argument `index` is a table that may be changed. */
void tycho__host_check_writable(lua_State *L, int index);
/* Pushes the contents of the frozen table at `index`, or nothing: then 0. */
int tycho__host_contents(lua_State *L, int index);
/* As string.sub has it: a position from the end becomes one from the start, 1 for the first. */
size_t tycho__host_start(lua_Integer position, size_t size);
/* Pushes the text of any value, calling __tostring (at most once). */
const char *tycho__host_tostring(lua_State *L, int index, size_t *size);
/* What the module reaches, as one number. May raise. */
uint64_t tycho__host_fingerprint(lua_State *L);
/* What is wrong with the source that the compiler would take, pushed as a message: 1; else 0. */
int tycho__host_check_source(lua_State *L, const char *name, const char *source, size_t size);
/* The same of the function on top of the stack, which stays. */
int tycho__host_check_code(lua_State *L, const char *name);
void tycho__host_open_metatables(lua_State *L);
/* Pushes the metatable of the table at `index` that script or host have given it: 1; or nothing: 0.
** What only serves as an __index has none, but for a mark. */
int tycho__host_has_metatable(lua_State *L, int index);
int tycho__host_setmetatable(lua_State *L);
int tycho__host_getmetatable(lua_State *L);
int tycho__host_pairs(lua_State *L);
void tycho__host_end_views(struct tycho__sandbox *sandbox);

/* Each pushes the table of a library; the string library also sets the metatable of strings. */
void tycho__host_open_base(lua_State *L);
void tycho__host_open_coroutine(lua_State *L);
void tycho__host_open_math(lua_State *L);
void tycho__host_open_string(lua_State *L);
void tycho__host_open_table(lua_State *L);
void tycho__host_open_utf8(lua_State *L);
/* Builds the environment and makes it that of all chunks. */
void tycho__host_open(lua_State *L);

int tycho__host_find(lua_State *L);
int tycho__host_match(lua_State *L);
int tycho__host_gmatch(lua_State *L);
int tycho__host_gsub(lua_State *L);
int tycho__host_format(lua_State *L);

#endif
