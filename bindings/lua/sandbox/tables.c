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
** The Makefile renames the functions of ltable.o, in the copy of Lua that the script host has
** inside, so that its other files call these. Of a table they know what each Lua 5.4 has; behind
** it, in each table of a sandbox, is the count, for which tycho__host_allocate() leaves room.
*/
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "state.h"

#if LUA_VERSION_NUM != 504
#error "the tables are those of Lua 5.4"
#endif

enum {
    INTEGER = 0x03,   /* the type of an integer */
    KEY_MAX_LOG2 = 31 /* of the keys that may be in the array */
};

struct value {
    union {
        lua_Integer integer;
        lua_Number number;
    } content;
    unsigned char type;
};

/* A value and its key. */
struct node {
    lua_Integer content;
    unsigned char type, key_type;
    int next;
    lua_Integer key;
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
        if (node->key_type == INTEGER) count_integer(&integers, node->key);
        count++;
    }
    if (key->type == INTEGER) count_integer(&integers, key->content.integer);
    unsigned array_size = choose_array(&integers, &in_array);
    uint32_t needed = all + count - in_array;
    if (count < table->used) needed += needed / 4;
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
