/* sandbox.h - where deployed scripts run: one Lua state per script, which can neither reach out,
** nor go on for ever, nor take the memory, nor answer differently on another machine.
**
** Knows nothing of stores and events: the host pushes arguments and reads results. Read in this
** order: limits, errors, life, calling, helpers for callbacks, views.
**
** WHAT A SCRIPT IS. Text of at most TYCHO__SANDBOX_SOURCE_MAX bytes that returns a table: the
** module. Bytecode is refused, and so is the operator `^`, whose last bit differs between
** machines (source.c). The host looks at the module and keeps its functions under numbers.
**
** WHAT IT SEES. The names of spec/c/sandbox_environment.txt and no others (environment.c).
** Libraries, the string metatable and the environment are read-only; reading or writing a global
** that does not exist is an error that names it. Different from stock Lua:
**   - pairs() goes in the order of the keys: numbers, strings by their bytes, false, true; other
**     keys are refused. There is no next().
**   - tostring() shows no addresses, and NaN has no sign. Strings are not converted by arithmetic.
**   - setmetatable() copies the metamethods (later changes of the metatable have no effect), takes
**     only those of metatable.c, each a function (__index and __newindex may be tables, at most 16
**     in a chain, and a table that serves as one keeps its own metatable).
**   - table.* works on the table itself, without metamethods; table.sort is stable.
**   - The length `#` of a table with holes follows from what is in it (tables.c).
**   - string.format has no %a, %p, %q; there is no string.pack, no string.dump. math has what is
**     exact everywhere, and math.random only where the host gives a seed. Float `//` and `%` are
**     exact; a float is written with "%.14g" in the C locale, whatever the process has set.
**   - pcall() and coroutines pass on what is fatal. There is no xpcall and no coroutine.close.
**
** BUDGET. A call may execute so many VM instructions, counted on every coroutine in steps of
** TYCHO__SANDBOX_SLICE; a coroutine costs TYCHO__SANDBOX_RESUME for each resume, and an error that
** is caught TYCHO__SANDBOX_ERROR, since Lua looks through its function for names. Library functions
** are charged for what they touch, strings of over 256 bytes for their size, and once a string has
** 8 KiB or more, each instruction counts once more for every 8 KiB of the largest string, since
** one instruction may compare all of it. So the verdict is the same on every machine that has the
** same Lua. Compiling is not counted: source.c bounds what it costs. Nor
** is what callbacks of the host do; but large strings that they push make instructions dearer, too.
**
** TIME. Numbers that collide as keys of a table are counted, too (tables.c). In case that there are
** things that one instruction may take long for and that nobody knows of, there is a far backstop,
** the one verdict that looks at a clock: OVER_TIME, when the thread has used `time_max_ms` of
** processor time within a call. By default that is 500 times what so many instructions need: no
** script that is known meets it.
**
** MEMORY. Limits for what the state holds, for one block, and for all that one call allocates. A
** collection of everything that the limit forces upon Lua may happen TYCHO__SANDBOX_EMERGENCIES
** times a call. What is held and allocated follows from the calls of the sandbox alone (tables.c,
** limits.c): not from hashes, addresses, or the machine. It does follow from earlier calls, as
** they leave strings and a deep stack. So where these are not what the verdict may depend on, the
** host says that the sandbox is not exact: a call has half of the room, and when that is not
** enough it ends with AGAIN, and is made anew in a sandbox of its own, whose word is the last.
**
** FATAL. After OVER_BUDGET, OVER_MEMORY, OVER_TIME, AGAIN or NO_MEMORY the state is not used again:
** every call answers DISCARDED, and the host destroys the sandbox and makes another one.
**
** STATE. A handler must be a pure function, but a module can keep state in locals and tables.
** tycho__sandbox_check_state() tells whether it did: the host asks after each event of a dry run,
** and at the end of each batch.
**
** THREADS. A sandbox is used by one thread at a time, and may move between threads. The thread
** needs TYCHO__SANDBOX_STACK_MIN bytes of stack. Sandboxes share nothing.
**
** WRONG CODE. What Debian's Lua 5.4.4 is known to compile wrongly is refused (bytecode.c):
** `t[a < b]` where t is an upvalue, and the operators & | ~ in a function with more than 255
** constants. So is a.x.y... of over 1,000 fields, whose errors would overflow the stack.
*/
#ifndef TYCHO_SANDBOX_H
#define TYCHO_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <lua.h>

/* ---------------------------------------------------------------- limits */

enum {
    TYCHO__SANDBOX_SOURCE_MAX = 256 << 10, /* bytes of a script */
    TYCHO__SANDBOX_SLICE = 1000,           /* instructions between two looks at the budget */
    TYCHO__SANDBOX_RESUME = 100,           /* what one resume costs; the slice of a coroutine */
    TYCHO__SANDBOX_ERROR = 500,
    TYCHO__SANDBOX_EMERGENCIES = 16,
    TYCHO__SANDBOX_STACK_MIN = 512 << 10, /* TYCHO_SCRIPTS_STACK */
    TYCHO__SANDBOX_NAME_MAX = 255 /* bytes of a script's name */
};

/* Zero fields mean the default. */
struct tycho__sandbox_options {
    int64_t budget;        /* instructions of a call: 1,000,000 */
    size_t memory_max;     /* bytes held by the state: 16 MiB */
    size_t allocation_max; /* bytes of one block: 4 MiB */
    size_t string_max;     /* bytes of one string, the host's included: 1 MiB */
    size_t churn_max;      /* bytes allocated in one call: 16 times memory_max */
    int64_t time_max_ms; /* of processor time in one call: 5 for 1,000 instructions, 5 s at least */
    /* Called with the environment's table of globals on top of the stack, which it may add to
    ** (frozen tables and C functions; see helpers). May be NULL; may raise. */
    void (*open)(lua_State *L, void *context);
    void *open_context;
};

/* ---------------------------------------------------------------- errors */

enum tycho__sandbox_kind {
    TYCHO__SANDBOX_OK = 0,
    TYCHO__SANDBOX_REFUSED,     /* the source does not compile */
    TYCHO__SANDBOX_FAILED,      /* the script raised an error */
    TYCHO__SANDBOX_BAD_RESULT,  /* what it returned is not what the host takes; no module */
    TYCHO__SANDBOX_OVER_BUDGET, /* fatal, and those behind it too */
    TYCHO__SANDBOX_OVER_MEMORY,
    TYCHO__SANDBOX_OVER_TIME,
    TYCHO__SANDBOX_AGAIN,     /* the call is to be made again, in a fresh sandbox */
    TYCHO__SANDBOX_NO_MEMORY, /* the machine has none: says nothing about the script */
    TYCHO__SANDBOX_DISCARDED  /* it had a fatal error before */
};

/* The last failure. Texts are UTF-8 as far as the script's are, and cut where they are too long. */
struct tycho__sandbox_error {
    enum tycho__sandbox_kind kind;
    char script[TYCHO__SANDBOX_NAME_MAX + 1];
    int64_t version;
    int line; /* of the script; 0 when not known */
    char message[512];
    char traceback[2048]; /* "script:12: in function 'name'" a line, innermost first */
};

/* ---------------------------------------------------------------- life */

struct tycho__sandbox;

/* NULL when there is not enough memory, or when `open` raised. Costs about 12 microseconds and
** 25 KB. */
struct tycho__sandbox *tycho__sandbox_create(const struct tycho__sandbox_options *options);
/* Runs no code of the script. NULL is accepted. */
void tycho__sandbox_destroy(struct tycho__sandbox *sandbox);

/* Compiles and runs the script, within one call's budget, and keeps the table it returns. Once a
** sandbox. `name` is used in messages. OK, or what tycho__sandbox_last_error() says. */
enum tycho__sandbox_kind tycho__sandbox_load(struct tycho__sandbox *sandbox, const char *name,
                                             int64_t version, const char *source, size_t size);

/* Why the last call failed; kind OK when it did not. Good until the next call. */
const struct tycho__sandbox_error *tycho__sandbox_last_error(const struct tycho__sandbox *sandbox);

/* Whether its word about memory is the last, as it is when the sandbox is made: see MEMORY. */
void tycho__sandbox_set_exact(struct tycho__sandbox *sandbox, bool is_exact);
bool tycho__sandbox_is_exact(const struct tycho__sandbox *sandbox);

/* Bytes that the state holds. */
size_t tycho__sandbox_memory(const struct tycho__sandbox *sandbox);
/* Instructions that the last call was charged, to the slice. */
int64_t tycho__sandbox_charged(const struct tycho__sandbox *sandbox);

/* ---------------------------------------------------------------- calling */

struct tycho__sandbox_call {
    int function;   /* from tycho__sandbox_keep(); 0: none is called, read() gets the module */
    int64_t budget; /* 0: that of the options */
    const uint64_t *seed; /* of math.random; NULL: the script may not use it */
    /* Pushes the arguments and returns how many (up to 16). NULL: none. */
    int (*push)(lua_State *L, void *context);
    /* Gets the results at stack slots `first` to the top. NULL: they are dropped. */
    void (*read)(lua_State *L, int first, void *context);
    void *context;
};

/* Runs one call. push() and read() run protected, so they may use any function of Lua's C API and
** may raise, tycho__sandbox_bad_result() included; they hold nothing meanwhile that an error would
** leak, and read with raw access alone. OK, or what tycho__sandbox_last_error() says. */
enum tycho__sandbox_kind tycho__sandbox_call(struct tycho__sandbox *sandbox,
                                             const struct tycho__sandbox_call *call);

/* OK when what is reachable from the module is what it was after the load; else FAILED, with a
** message that says so. Costs about 50 ns for each table, function and field of the module. */
enum tycho__sandbox_kind tycho__sandbox_check_state(struct tycho__sandbox *sandbox);

/* ---------------------------------------------------------------- helpers for callbacks */

/* Pops the function on top of the stack and keeps it; returns its number, which is never 0. */
int tycho__sandbox_keep(lua_State *L);

/* The line where the script returned the module. */
int tycho__sandbox_returned_line(lua_State *L);

/* Raises BAD_RESULT with a message as lua_pushfstring() makes it. Does not return. */
int tycho__sandbox_bad_result(lua_State *L, const char *format, ...);

/* Pops the table on top of the stack and pushes a read-only one with its contents. */
void tycho__sandbox_freeze(lua_State *L);

/* Charges the running call `count` instructions: for library functions of the host. May raise. */
void tycho__sandbox_charge(lua_State *L, size_t count);

/* Says that a string of this size, which was made before this call, is now within reach of the
** script: for callbacks that push tables and strings which they keep. See BUDGET. */
void tycho__sandbox_weigh(lua_State *L, size_t size);
/* What one instruction of the running call costs by now. */
int64_t tycho__sandbox_weight(lua_State *L);
/* The size of the string that makes instructions as dear as the numbers among the keys of the table
** at `index` that collide. */
size_t tycho__sandbox_chain_weight(lua_State *L, int index);

/* ---------------------------------------------------------------- views */

enum { TYCHO__SANDBOX_VIEW_FIELDS = 24 };

/* What the script sees of an object of the host: fields that are fetched when they are read.
** `names` ends with NULL. get() pushes one value, and may raise; it is called once for a table or
** long string, which is kept until the view moves on, and for each read of anything else. */
struct tycho__sandbox_view_type {
    const char *name; /* "event", for messages */
    const char *const *names;
    void (*get)(lua_State *L, const void *object, int field);
};

/* Pushes the sandbox's view of this type, now of `object`; for push(). The one userdata serves all
** calls: when the call is over it shows nothing, and reading it is an error. */
void tycho__sandbox_push_view(lua_State *L, const struct tycho__sandbox_view_type *type,
                              const void *object);

/* Fields that the script read in the last call that got a view of this type; bit 0 is the first. */
uint32_t tycho__sandbox_view_reads(const struct tycho__sandbox *sandbox,
                                   const struct tycho__sandbox_view_type *type);

/* Pushes the map that `data` holds as MessagePack: a table whose fields are decoded when they are
** read; a script cannot tell it from one that was decoded. For data of which the host keeps nothing
** when the call is over: it stays until then, and reading it later is an error. 0, with nothing
** pushed: the data is to be decoded as a whole. One in each call. */
int tycho__sandbox_push_fields(lua_State *L, const void *data, size_t size);

/* The name of the field that the last call read, when that is all that it did with the table that
** tycho__sandbox_push_fields() gave it, once or more often, and it is no table; else NULL. A view
** into that data. */
const void *tycho__sandbox_field_read(const struct tycho__sandbox *sandbox, size_t *size);

/* The MessagePack of the field that a call would find in such a table; NULL when there is none. A
** view into the data. */
const void *tycho__sandbox_find_field(struct tycho__sandbox *sandbox, const void *data, size_t size,
                                      const char *name, size_t name_size, size_t *value_size);

#endif
