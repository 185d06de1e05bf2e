/* tables.c - of Lua's own functions, those that are replaced: the length of a table, and when it
** gets other room. In stock Lua both follow from where its hashes put the keys, and thereby from a
** seed that each process draws anew, and from addresses; here from what the script did.
**
** LENGTH. Where a table has holes, Lua gives any part without holes. A linker that names a stream
** by `#t` would name another one in another process. Here the first of 1, 2, 4, 8, ... that is nil
** is found, and then, by halving, a key before it that is not nil and is followed by one that is.
** Without holes that is the length, as ever.
**
** ROOM. Lua leaves a key without a value where it is until another key happens to fall on it, and
** makes new room when no node is left that never had a key. How often that is, and how large the
** table is meanwhile, would decide who meets a limit of memory. Here each key that gets a value
** and had none counts as one more node used, and when as many are used as there are, the table gets
** room for what it then holds, and a quarter more if keys had lost their values. Since Lua itself
** never uses more nodes than were counted, it never makes room by itself.
**
** COLLISIONS. Lua has no seed for the hashes of numbers, so that a script, or data, may bring
** thousands that all fall on one node: then each look-up goes through all of them, and so does each
** key for which new room is made, within one instruction. What making room will cost is found out
** first, and charged; and where LINKS keys are in one chain or more, each instruction counts once
** more for every LINKS of the longest, as it does for large strings.
**
** The Makefile renames the functions of ltable.o, in the copy of Lua that the script host has
** inside, so that its other files call these. Of a table they know what each Lua 5.4 has, and of
** hashes those of numbers in 5.4.4 (with others the charge would not be what it costs). Behind each
** table of a sandbox is the count, for which tycho__host_allocate() leaves room.
*/
#include <assert.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "state.h"

#if LUA_VERSION_NUM != 504
#error "the tables are those of Lua 5.4"
#endif

enum {
    INTEGER = 0x03, /* types */
    FLOAT = 0x13,
    KEY_MAX_LOG2 = 31,  /* of the keys that may be in the array */
    LINKS = 64,         /* of a chain, for the price of one instruction */
    NUMBERS_MIN = 256   /* fewer cannot cost much */
};

union content {
    lua_Integer integer;
    lua_Number number;
};

struct value {
    union content content;
    unsigned char type;
};

/* A value and its key; `next` nodes further is the next of the chain, 0: this is the last. */
struct node {
    union content content;
    unsigned char type, key_type;
    int next;
    union content key;
};

struct Table {
    void *next_object;
    unsigned char object_type, marked, flags, log2_nodes;
    unsigned int array_size;
    struct value *array;
    struct node *nodes;
    struct node *last_free; /* NULL: there are no nodes */
    struct Table *metatable;
    void *gray;
    uint32_t used; /* nodes, as counted here */
};

static_assert(offsetof(struct Table, used) == TYCHO__HOST_TABLE, "the size of a table of Lua");
static_assert(sizeof(struct Table) == TYCHO__HOST_TABLE_ROOM, "a table with its count");

/* Of Lua. */
const struct value *luaH_getint(struct Table *table, lua_Integer key);
const struct value *luaH_get(struct Table *table, const struct value *key);
void lua_stock_finishset(lua_State *L, struct Table *table, const struct value *key,
                         const struct value *slot, struct value *value);
void lua_stock_set(lua_State *L, struct Table *table, const struct value *key,
                   struct value *value);
void lua_stock_resize(lua_State *L, struct Table *table, unsigned array_size, unsigned nodes);

/* Replaced. */
lua_Unsigned luaH_getn(struct Table *table);
void luaH_finishset(lua_State *L, struct Table *table, const struct value *key,
                    const struct value *slot, struct value *value);
void luaH_set(lua_State *L, struct Table *table, const struct value *key, struct value *value);
void luaH_setint(lua_State *L, struct Table *table, lua_Integer key, struct value *value);
void luaH_resize(lua_State *L, struct Table *table, unsigned array_size, unsigned nodes);
void luaH_resizearray(lua_State *L, struct Table *table, unsigned array_size);

static int is_nil(unsigned char type) {
    return (type & 0x0f) == LUA_TNIL;
}

/* ---------------------------------------------------------------- length */

static int has_nothing_at(struct Table *table, lua_Unsigned key) {
    return is_nil(luaH_getint(table, (lua_Integer)key)->type);
}

lua_Unsigned luaH_getn(struct Table *table) {
    lua_Unsigned filled = 0, empty = 1;
    while (!has_nothing_at(table, empty)) {
        filled = empty;
        if (empty > LUA_MAXINTEGER / 2) return filled;
        empty *= 2;
    }
    while (empty - filled > 1) {
        lua_Unsigned middle = filled + (empty - filled) / 2;
        if (has_nothing_at(table, middle)) {
            empty = middle;
        } else {
            filled = middle;
        }
    }
    return filled;
}

/* ---------------------------------------------------------------- room */

static uint32_t nodes_of(const struct Table *table) {
    return table->last_free == NULL ? 0 : UINT32_C(1) << table->log2_nodes;
}

static uint32_t count_nodes(const struct Table *table) {
    uint32_t count = 0, room = nodes_of(table);
    for (uint32_t i = 0; i < room; i++) count += !is_nil(table->nodes[i].type);
    return count;
}

/* Integer keys: `counts[i]` are in 2^(i-1)+1 ... 2^i. */
struct integers {
    uint32_t counts[KEY_MAX_LOG2 + 1];
};

static void count_integer(struct integers *integers, lua_Integer key) {
    if (key < 1 || key > (lua_Integer)1 << KEY_MAX_LOG2) return;
    integers->counts[key == 1 ? 0 : 64 - __builtin_clzll((unsigned long long)key - 1)]++;
}

/* As in each Lua: the largest power of two so that more than half of the array is used. Leaves in
** `held` how many keys that are. */
static unsigned choose_array(const struct integers *integers, uint32_t *held) {
    unsigned size = 0;
    uint32_t sum = 0;
    *held = 0;
    for (int log2 = 0; log2 <= KEY_MAX_LOG2; log2++) {
        sum += integers->counts[log2];
        if (sum <= UINT32_C(1) << log2 >> 1) continue;
        size = 1u << log2;
        *held = sum;
    }
    return size;
}

/* ---------------------------------------------------------------- collisions */

/* Whether the node has a value, under a number. */
static bool has_number(const struct node *node) {
    return !is_nil(node->type) && (node->key_type == INTEGER || node->key_type == FLOAT);
}

/* The node, of so many, on which a number falls. */
static uint32_t place_of(unsigned char type, const union content *key, uint32_t nodes) {
    const uint32_t modulus = (nodes - 1) | 1;
    if (type == INTEGER) return (uint32_t)((lua_Unsigned)key->integer % modulus);
    int exponent;
    lua_Number scaled = frexp(key->number, &exponent) * -(lua_Number)INT32_MIN;
    if (!(scaled >= (lua_Number)LUA_MININTEGER && scaled < -(lua_Number)LUA_MININTEGER)) return 0;
    uint32_t hash = (uint32_t)exponent + (uint32_t)(lua_Integer)scaled;
    return (hash <= INT32_MAX ? hash : ~hash) % modulus;
}

/* How the numbers among the keys fall on `nodes` nodes. */
struct chains {
    uint32_t nodes, longest;
    uint64_t steps; /* that putting all of them there takes */
    uint32_t counts[];
};

static void add_to_chain(struct chains *chains, unsigned char type, const union content *key) {
    uint32_t before = chains->counts[place_of(type, key, chains->nodes)]++;
    chains->steps += before;
    if (before + 1 > chains->longest) chains->longest = before + 1;
}

/* NULL: there are few numbers, or no memory to look at them. The keys 1 to `array_size` are left
** out. */
static struct chains *find_chains(const struct Table *table, unsigned array_size, uint32_t nodes) {
    uint32_t room = nodes_of(table), numbers = 0;
    for (uint32_t i = 0; i < room; i++) numbers += has_number(&table->nodes[i]);
    if (table->array_size > array_size) numbers += table->array_size - array_size;
    if (numbers < NUMBERS_MIN) return NULL;
    struct chains *chains = calloc(1, sizeof *chains + nodes * sizeof *chains->counts);
    if (chains == NULL) return NULL;
    chains->nodes = nodes;
    for (uint32_t i = array_size; i < table->array_size; i++) {
        const union content key = {.integer = (lua_Integer)i + 1};
        if (!is_nil(table->array[i].type)) add_to_chain(chains, INTEGER, &key);
    }
    for (uint32_t i = 0; i < room; i++) {
        const struct node *node = &table->nodes[i];
        bool is_left_out = node->key_type == INTEGER && node->key.integer >= 1 &&
                           node->key.integer <= (lua_Integer)array_size;
        if (!has_number(node) || is_left_out) continue;
        add_to_chain(chains, node->key_type, &node->key);
    }
    return chains;
}

static void weigh_chain(lua_State *L, uint32_t links) {
    tycho__sandbox_weigh(L, (size_t)links * (TYCHO__SANDBOX_HEAVY / LINKS));
}

/* Charges for putting the keys into other nodes. */
static void charge_chains(lua_State *L, const struct Table *table, unsigned array_size,
                          uint32_t needed) {
    uint32_t nodes = 1;
    while (nodes < needed) nodes *= 2;
    struct chains *chains = find_chains(table, array_size, nodes);
    if (chains == NULL) return;
    uint32_t longest = chains->longest;
    uint64_t steps = chains->steps;
    free(chains);
    weigh_chain(L, longest);
    tycho__host_charge(L, (size_t)(steps / LINKS));
}

/* How many numbers are in the chain into which the key comes. */
static uint32_t count_chain(const struct Table *table, const struct value *key) {
    uint32_t nodes = nodes_of(table), count = 0;
    uint32_t place = place_of(key->type, &key->content, nodes);
    const struct node *node = &table->nodes[place];
    for (;;) {
        count += has_number(node) && place_of(node->key_type, &node->key, nodes) == place;
        if (node->next == 0) return count;
        node += node->next;
    }
}

size_t tycho__sandbox_chain_weight(lua_State *L, int index) {
    const struct Table *table = lua_topointer(L, index);
    struct chains *chains = find_chains(table, table->array_size, nodes_of(table));
    size_t weight =
        chains == NULL ? 0 : (size_t)chains->longest * (TYCHO__SANDBOX_HEAVY / LINKS);
    free(chains);
    return weight;
}

/* ---------------------------------------------------------------- room is made */

/* Makes room for one more key. */
static void make_room(lua_State *L, struct Table *table, const struct value *key) {
    struct integers integers = {{0}};
    uint32_t room = nodes_of(table), count = 0, all = 1, in_array;
    for (uint32_t i = 0; i < table->array_size; i++) {
        if (is_nil(table->array[i].type)) continue;
        count_integer(&integers, (lua_Integer)i + 1);
        all++;
    }
    for (uint32_t i = 0; i < room; i++) {
        const struct node *node = &table->nodes[i];
        if (is_nil(node->type)) continue;
        if (node->key_type == INTEGER) count_integer(&integers, node->key.integer);
        count++;
    }
    if (key->type == INTEGER) count_integer(&integers, key->content.integer);
    unsigned array_size = choose_array(&integers, &in_array);
    uint32_t needed = all + count - in_array;
    if (count < table->used) needed += needed / 4;
    charge_chains(L, table, array_size, needed);
    lua_stock_resize(L, table, array_size, needed);
}

/* Whether the value is written where none was, and not into the array. */
static int takes_node(const struct Table *table, const struct value *slot,
                      const struct value *value) {
    if (!is_nil(slot->type) || is_nil(value->type)) return 0;
    return (uintptr_t)slot - (uintptr_t)table->array >= table->array_size * sizeof *slot;
}

/* Sandboxes are not the only states of a program that is linked with this copy of Lua. */
static int is_counted(lua_State *L) {
    return lua_getallocf(L, NULL) == tycho__host_allocate;
}

void luaH_finishset(lua_State *L, struct Table *table, const struct value *key,
                    const struct value *slot, struct value *value) {
    if (!takes_node(table, slot, value) || !is_counted(L)) {
        lua_stock_finishset(L, table, key, slot, value);
    } else if (table->used < nodes_of(table)) {
        bool is_number = key->type == INTEGER || key->type == FLOAT;
        if (is_number) weigh_chain(L, count_chain(table, key));
        table->used++;
        lua_stock_finishset(L, table, key, slot, value);
    } else {
        make_room(L, table, key);
        lua_stock_set(L, table, key, value);
        table->used = count_nodes(table);
    }
}

void luaH_set(lua_State *L, struct Table *table, const struct value *key, struct value *value) {
    luaH_finishset(L, table, key, luaH_get(table, key), value);
}

void luaH_setint(lua_State *L, struct Table *table, lua_Integer key, struct value *value) {
    const struct value own = {.content.integer = key, .type = INTEGER};
    luaH_finishset(L, table, &own, luaH_getint(table, key), value);
}

void luaH_resize(lua_State *L, struct Table *table, unsigned array_size, unsigned nodes) {
    lua_stock_resize(L, table, array_size, nodes);
    if (is_counted(L)) table->used = count_nodes(table);
}

void luaH_resizearray(lua_State *L, struct Table *table, unsigned array_size) {
    luaH_resize(L, table, array_size, nodes_of(table));
}
