/* limits.c - what a script may use: instructions (the count hook, and what library functions
** charge), memory (the allocator), and as a backstop time. See BUDGET, TIME, MEMORY in sandbox.h.
**
** Lua never collects by itself, since when it would, and what it had marked by then, followed from
** where its hashes put the keys. It collects everything, between two calls or when the allocator
** answers NULL; so what a sandbox holds at any moment follows from its calls.
**
** The first two are decided by counting alone. When a limit is met `fatal` is set, the hook is
** armed with count 1, and an error is raised: whoever catches it meets the next error at once.
*/
#include "state.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    EXTRA_ARGUMENTS = 256, /* so many for each price of one instruction */
    UNCLOCKED_MAX = 4000,  /* instructions between two looks at the clock */
    TIME_PRICE = 5000,     /* ns that an instruction may take, 500 times what it needs */
    CHECKED_LEVELS = 4,    /* functions in which they are looked for */
    COUNTED_STRING = 256,  /* shorter ones may exist already, which is not the same everywhere */
    GARBAGE = 256 << 10,   /* bytes that may be had before Lua collects */
    RESERVE = 64 << 10     /* bytes that may be had above the limit for telling of the error */
};

/* ---------------------------------------------------------------- instructions */

int tycho__host_raise_fatal(lua_State *L) {
    struct tycho__sandbox *sandbox = tycho__host(L);
    assert(sandbox->fatal != TYCHO__SANDBOX_OK);
    lua_sethook(L, tycho__host_count, LUA_MASKCOUNT, 1);
    lua_sethook(sandbox->L, tycho__host_count, LUA_MASKCOUNT, 1);
    lua_pushlightuserdata(L, sandbox);
    return lua_error(L);
}

static void stop(lua_State *L, enum tycho__sandbox_kind kind) {
    struct tycho__sandbox *sandbox = tycho__host(L);
    if (sandbox->fatal == TYCHO__SANDBOX_OK) {
        sandbox->fatal = kind;
        tycho__host_trace(sandbox, L);
    }
    tycho__host_raise_fatal(L);
}

void tycho__host_exhaust(lua_State *L) {
    stop(L, TYCHO__SANDBOX_OVER_BUDGET);
}

/* ---------------------------------------------------------------- time */

static int64_t time_max(const struct tycho__sandbox *sandbox) {
    if (sandbox->options.time_max_ms != 0) return sandbox->options.time_max_ms * 1000000;
    return TIME_PRICE * (sandbox->budget > 1000000 ? sandbox->budget : 1000000);
}

/* Looks at the clock now and then. The first look starts it, so that short calls need none. */
static int is_over_time(struct tycho__sandbox *sandbox, int slice) {
    struct timespec clock;
    sandbox->unclocked += slice;
    if (sandbox->unclocked < UNCLOCKED_MAX) return 0;
    sandbox->unclocked = 0;
    if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &clock) != 0) return 0;
    int64_t now = (int64_t)clock.tv_sec * 1000000000 + clock.tv_nsec;
    if (sandbox->clock_start == 0) sandbox->clock_start = now;
    return now - sandbox->clock_start > time_max(sandbox);
}

/* ---------------------------------------------------------------- the hook */

/* One instruction may copy all extra arguments of its function: what that makes of one. */
static int64_t argument_weight(lua_State *L) {
    int most = 0;
    for (int level = 0; level < CHECKED_LEVELS; level++) {
        lua_Debug record;
        if (!lua_getstack(L, level, &record)) break;
        int extra = EXTRA_ARGUMENTS;
        while (lua_getlocal(L, &record, -extra) != NULL) {
            lua_pop(L, 1);
            if (extra > most) most = extra;
            extra *= 2;
        }
    }
    return most / EXTRA_ARGUMENTS;
}

/* The last function of the script that returns is the chunk, or what it ends with. */
static void note_return(lua_State *L, lua_Debug *record) {
    lua_getinfo(L, "l", record);
    if (record->currentline > 0) tycho__host(L)->returned_line = record->currentline;
}

void tycho__host_watch_returns(lua_State *L) {
    lua_sethook(L, tycho__host_count, LUA_MASKCOUNT | LUA_MASKRET, tycho__host(L)->slice);
}

void tycho__host_count(lua_State *L, lua_Debug *record) {
    struct tycho__sandbox *sandbox = tycho__host(L);
    int slice = L == sandbox->L ? sandbox->slice : TYCHO__SANDBOX_RESUME;
    if (record->event == LUA_HOOKRET) {
        note_return(L, record);
        return;
    }
    if (sandbox->fatal != TYCHO__SANDBOX_OK) tycho__host_raise_fatal(L);
    sandbox->left -= slice * (sandbox->weight + argument_weight(L));
    if (sandbox->left < 0) tycho__host_exhaust(L);
    if (is_over_time(sandbox, slice)) stop(L, TYCHO__SANDBOX_OVER_TIME);
}

/* ---------------------------------------------------------------- a call begins */

/* Everything was collected, and so much is held: when it is due again. */
static void plan_collection(struct tycho__sandbox *sandbox, size_t held) {
    sandbox->kept = held;
    sandbox->collect_at = held + (held > GARBAGE ? held : GARBAGE);
}

void tycho__host_collect(struct tycho__sandbox *sandbox) {
    lua_gc(sandbox->L, LUA_GCCOLLECT);
    plan_collection(sandbox, sandbox->held);
}

/* Between two calls, so that few calls need to: what Lua does then is cheaper, and gives back the
** room of a deep stack. */
static void begin_memory(struct tycho__sandbox *sandbox) {
    const struct tycho__sandbox_options *limits = &sandbox->options;
    if (sandbox->held > sandbox->kept + (sandbox->collect_at - sandbox->kept) / 2) {
        tycho__host_collect(sandbox);
    }
    sandbox->churn = 0;
    sandbox->emergencies = 0;
    sandbox->memory_max = limits->memory_max;
    sandbox->churn_max = limits->churn_max;
    if (sandbox->is_exact) return;
    if (sandbox->loaded < limits->memory_max) {
        sandbox->memory_max -= (limits->memory_max - sandbox->loaded) / 2;
    }
    sandbox->churn_max -= limits->churn_max / 2;
}

void tycho__host_begin(struct tycho__sandbox *sandbox, int64_t budget) {
    sandbox->budget = budget;
    sandbox->left = budget;
    sandbox->slice = budget < TYCHO__SANDBOX_SLICE ? (int)budget + 1 : TYCHO__SANDBOX_SLICE;
    sandbox->weight = sandbox->module_weight;
    sandbox->clock_start = 0;
    sandbox->unclocked = 0;
    begin_memory(sandbox);
    sandbox->running = sandbox->L;
    sandbox->fields.only = TYCHO__SANDBOX_FIELDS_MANY;
    lua_sethook(sandbox->L, tycho__host_count, LUA_MASKCOUNT, sandbox->slice);
}

void tycho__sandbox_charge(lua_State *L, size_t count) {
    tycho__host_charge(L, count);
}

/* ---------------------------------------------------------------- memory */

/* Refuses for good: the error is not one that a script gets over. `size` is 0 where it depends on
** what was collected, which the message must not. */
static int refuse(struct tycho__sandbox *sandbox, const char *lack, size_t size, size_t most) {
    sandbox->fatal = sandbox->is_exact ? TYCHO__SANDBOX_OVER_MEMORY : TYCHO__SANDBOX_AGAIN;
    sandbox->lack = lack;
    sandbox->lack_size = size;
    sandbox->lack_most = most;
    sandbox->is_retry = 1;
    tycho__host_trace(sandbox, sandbox->running);
    return 0;
}

/* What is above the limit may be garbage: Lua collects and asks again, but not without end. */
static int ask_to_collect(struct tycho__sandbox *sandbox) {
    if (sandbox->collect_at >= sandbox->memory_max) sandbox->emergencies++;
    if (sandbox->emergencies > TYCHO__SANDBOX_EMERGENCIES) {
        return refuse(sandbox, "in all", 0, sandbox->options.memory_max);
    }
    sandbox->is_retry = 1;
    return 0;
}

/* 1 when a block may grow by `extra` bytes to `size`. */
static int may_grow(struct tycho__sandbox *sandbox, size_t extra, size_t size) {
    const struct tycho__sandbox_options *limits = &sandbox->options;
    const size_t held = sandbox->held + extra;
    if (sandbox->fatal != TYCHO__SANDBOX_OK) {
        int is_allowed =
            !sandbox->is_retry && size <= RESERVE && held <= limits->memory_max + RESERVE;
        sandbox->is_retry = 0;
        return is_allowed;
    }
    if (size > limits->allocation_max) {
        return refuse(sandbox, "in one block", size, limits->allocation_max);
    }
    if (size > sandbox->churn_max - sandbox->churn) {
        return refuse(sandbox, "allocated in one call", 0, limits->churn_max);
    }
    if (held > sandbox->collect_at || held > sandbox->memory_max) {
        if (!sandbox->is_retry) return ask_to_collect(sandbox);
        if (held > sandbox->memory_max) return refuse(sandbox, "in all", 0, limits->memory_max);
        plan_collection(sandbox, held);
    }
    sandbox->is_retry = 0;
    return 1;
}

static void weigh(struct tycho__sandbox *sandbox, size_t size) {
    int64_t weight = 1 + (int64_t)(size / TYCHO__SANDBOX_HEAVY);
    if (weight > sandbox->weight) sandbox->weight = weight;
}

void tycho__sandbox_weigh(lua_State *L, size_t size) {
    weigh(tycho__host(L), size);
}

int64_t tycho__sandbox_weight(lua_State *L) {
    return tycho__host(L)->weight;
}

/* Charges for a new string, and makes instructions dearer for a large one; 0: it is refused. */
static int may_have_string(struct tycho__sandbox *sandbox, size_t size) {
    const size_t overhead = 32; /* at most, of a string's header and end */
    if (size <= COUNTED_STRING) return 1;
    if (size > sandbox->options.string_max + overhead) {
        return refuse(sandbox, "in one string", size, sandbox->options.string_max);
    }
    if (!sandbox->is_host) sandbox->left -= (int64_t)(size / TYCHO__SANDBOX_BYTES);
    weigh(sandbox, size);
    if (sandbox->left >= 0 || size <= RESERVE) return 1;
    sandbox->fatal = TYCHO__SANDBOX_OVER_BUDGET;
    sandbox->is_retry = 1;
    tycho__host_trace(sandbox, sandbox->running);
    return 0;
}

/* The lua_Alloc of a sandbox. Never refuses to make a block smaller. */
void *tycho__host_allocate(void *context, void *block, size_t old, size_t size) {
    struct tycho__sandbox *sandbox = context;
    int is_string = block == NULL && old == LUA_TSTRING;
    int is_table = block == NULL && old == LUA_TTABLE;
    assert(!is_table || size == TYCHO__HOST_TABLE);
    if (block == NULL) old = 0;
    if (size == 0) {
        sandbox->held -= old;
        free(block);
        return NULL;
    }
    if (size > old) {
        if (is_string && sandbox->fatal == TYCHO__SANDBOX_OK && !sandbox->is_retry &&
            !may_have_string(sandbox, size)) {
            return NULL;
        }
        if (!may_grow(sandbox, size - old, size)) return NULL;
    }
    void *moved = realloc(block, is_table ? TYCHO__HOST_TABLE_ROOM : size);
    if (moved == NULL) return size <= old ? block : NULL;
    if (is_table) memset(moved, 0, TYCHO__HOST_TABLE_ROOM);
    if (size > old) sandbox->churn += size;
    sandbox->held += size - old;
    return moved;
}
