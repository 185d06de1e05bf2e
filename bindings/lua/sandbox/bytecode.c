/* bytecode.c - what Lua 5.4.4 compiles wrongly, or cannot tell the errors of, and is refused for
** that.
**
** Over CHAIN_MAX fields or indices in a row, `a.x.y...`: to name in a message what a register
** holds, getobjname() goes back by recursion, one call for each (fixed by 7923dbbf): 40,000 of them
** overflow the stack, and kill the process. `chains` counts how many are behind what a register
** holds.
**
** A comparison as the index of an upvalue, `t[a < b]` (fixed by 782ef85b): the instruction that
** gets the table comes between the comparison and the two that make a value of it, and is jumped
** over. In right code a LFALSESKIP is always behind a JMP.
**
** An integer constant & | ~ something with `and` or `or`, in a function that has too many constants
** for the constant to be an operand (fixed by c764ca71): the same with the instruction that loads
** it. Functions with so many constants may not have these operators.
**
** A chunk shows its instructions when it is dumped. The dump is that of lua_dump() with `strip`, so
** the walk trusts it:
**
**     header  upvalues:1  function
**     function: source  line  last line  3 bytes  code  constants  upvalues  functions  4 sizes
*/
#include "state.h"

#include <assert.h>
#include <string.h>

#if LUA_VERSION_NUM != 504
#error "the instructions are those of Lua 5.4"
#endif

enum { HEADER_SIZE = 31, INSTRUCTION_SIZE = 4, NUMBER_SIZE = 8, UPVALUE_SIZE = 3 };
enum { OPERAND_CONSTANTS = 255, DEPTH_MAX = 256, CHAIN_MAX = 1000, REGISTERS = 256 };
enum {
    OPCODE_MOVE = 0,
    OPCODE_LFALSESKIP = 6,
    OPCODE_LOADNIL = 8,
    OPCODE_SETUPVAL = 10, /* the first of those that set no register */
    OPCODE_GETTABLE = 12,
    OPCODE_GETFIELD = 14,
    OPCODE_SETTABUP = 15,
    OPCODE_SETFIELD = 18,
    OPCODE_SELF = 20,
    OPCODE_BAND = 41,
    OPCODE_BXOR = 43,
    OPCODE_MMBIN = 46,
    OPCODE_MMBINK = 48,
    OPCODE_CLOSE = 54,
    OPCODE_JMP = 56,
    OPCODE_CALL = 68,
    OPCODE_TAILCALL = 69,
    OPCODE_FORLOOP = 73,
    OPCODE_TFORLOOP = 77,
    OPCODE_SETLIST = 78,
    OPCODE_VARARG = 80
};
enum { CONSTANT_INTEGER = 3, CONSTANT_FLOAT = 19, CONSTANT_SHORT = 4, CONSTANT_LONG = 20 };

struct code {
    const unsigned char *at;
    /* of the function that is looked at: */
    int has_operators; /* & | ~ */
    int has_wrong_jump;
    int has_long_chain;
    uint16_t chains[REGISTERS];
};

/* ---------------------------------------------------------------- the dump */

static int count_bytes(lua_State *L, const void *data, size_t size, void *context) {
    (void)L;
    (void)data;
    *(size_t *)context += size;
    return 0;
}

static int copy_bytes(lua_State *L, const void *data, size_t size, void *context) {
    unsigned char **to = context;
    (void)L;
    memcpy(*to, data, size);
    *to += size;
    return 0;
}

/* Pushes a userdata with the dump of the function on top of the stack. */
static const unsigned char *push_dump(lua_State *L) {
    size_t size = 0;
    lua_dump(L, count_bytes, &size, 1);
    unsigned char *dump = lua_newuserdatauv(L, size, 0), *end = dump;
    lua_insert(L, -2);
    lua_dump(L, copy_bytes, &end, 1);
    lua_insert(L, -2);
    assert(end == dump + size);
    return dump;
}

/* ---------------------------------------------------------------- functions */

static size_t read_size(struct code *code) {
    size_t size = 0;
    while (!(*code->at & 0x80)) size = size << 7 | *code->at++;
    return size << 7 | (*code->at++ & 0x7f);
}

static void skip_string(struct code *code) {
    size_t size = read_size(code);
    if (size > 0) code->at += size - 1;
}

/* Register A gets what is behind something that has so many behind it. */
static void set_chain(struct code *code, unsigned a, unsigned behind) {
    code->has_long_chain |= behind >= CHAIN_MAX;
    code->chains[a] = (uint16_t)(behind < CHAIN_MAX ? behind + 1 : CHAIN_MAX);
}

static void follow_chains(struct code *code, int opcode, uint32_t instruction) {
    unsigned a = instruction >> 7 & 0xff, b = instruction >> 16 & 0xff, c = instruction >> 24;
    const uint16_t *chains = code->chains;
    if (opcode == OPCODE_MOVE || opcode == OPCODE_GETFIELD) {
        set_chain(code, a, chains[b]);
    } else if (opcode == OPCODE_GETTABLE) {
        set_chain(code, a, chains[b] > chains[c] ? chains[b] : chains[c]);
    } else if (opcode == OPCODE_SELF) {
        set_chain(code, a, instruction >> 15 & 1 ? 0 : chains[c]);
    } else if (opcode == OPCODE_LOADNIL || opcode == OPCODE_CALL || opcode == OPCODE_VARARG ||
               (opcode >= OPCODE_FORLOOP && opcode <= OPCODE_TFORLOOP)) {
        memset(code->chains + a, 0, (REGISTERS - a) * sizeof *chains); /* nothing is in use above */
    } else if (opcode != OPCODE_SETUPVAL && opcode != OPCODE_SETLIST &&
               (opcode < OPCODE_SETTABUP || opcode > OPCODE_SETFIELD) &&
               (opcode < OPCODE_MMBIN || opcode > OPCODE_MMBINK) &&
               (opcode < OPCODE_CLOSE || opcode > OPCODE_TAILCALL)) {
        code->chains[a] = 0;
    }
}

static void read_instructions(struct code *code) {
    size_t count = read_size(code);
    int before = OPCODE_JMP;
    for (size_t i = 0; i < count; i++) {
        uint32_t instruction;
        memcpy(&instruction, code->at + i * INSTRUCTION_SIZE, sizeof instruction);
        int opcode = (int)(instruction & 0x7f);
        follow_chains(code, opcode, instruction);
        if (opcode >= OPCODE_BAND && opcode <= OPCODE_BXOR) code->has_operators = 1;
        if (opcode == OPCODE_LFALSESKIP && before != OPCODE_JMP) code->has_wrong_jump = 1;
        before = opcode;
    }
    code->at += count * INSTRUCTION_SIZE;
}

static size_t read_constants(struct code *code) {
    size_t count = read_size(code);
    for (size_t i = 0; i < count; i++) {
        int type = *code->at++;
        if (type == CONSTANT_INTEGER || type == CONSTANT_FLOAT) code->at += NUMBER_SIZE;
        if (type == CONSTANT_SHORT || type == CONSTANT_LONG) skip_string(code);
    }
    return count;
}

/* What is wrong with the function that begins here, or NULL; up to the functions in it. */
static const char *read_function(struct code *code, size_t *line, size_t *functions) {
    code->has_operators = code->has_wrong_jump = code->has_long_chain = 0;
    memset(code->chains, 0, sizeof code->chains);
    skip_string(code);
    *line = read_size(code);
    read_size(code);
    code->at += 3;
    read_instructions(code);
    size_t constants = read_constants(code);
    size_t upvalues = read_size(code);
    code->at += upvalues * UPVALUE_SIZE;
    *functions = read_size(code);
    if (code->has_wrong_jump) {
        return "a comparison is the index of a table, as in t[a < b], which Lua 5.4.4 compiles "
               "wrongly in this function: put it into a local first";
    }
    if (code->has_long_chain) {
        return "there are more than 1000 fields or indices in a row, as in a.x.y, in this "
               "function: put what is before them into a local";
    }
    if (code->has_operators && constants > OPERAND_CONSTANTS) {
        return "there are more than 255 constants, with which Lua 5.4.4 may compile & | ~ "
               "wrongly, in this function: make two of it";
    }
    return NULL;
}

int tycho__host_check_code(lua_State *L, const char *name) {
    struct code code = {.at = push_dump(L) + HEADER_SIZE + 1};
    size_t left[DEPTH_MAX], line = 0;
    int depth = 0;
    do {
        assert(depth < DEPTH_MAX);
        const char *fault = read_function(&code, &line, &left[depth]);
        if (fault != NULL) {
            lua_pushfstring(L, "%s:%d: %s", name, line > 0 ? (int)line : 1, fault);
            return 1;
        }
        depth++;
        while (depth > 0 && left[depth - 1] == 0) {
            for (int i = 0; i < 4; i++) read_size(&code); /* debug information: none */
            depth--;
        }
        if (depth > 0) left[depth - 1]--;
    } while (depth > 0);
    lua_pop(L, 1);
    return 0;
}
