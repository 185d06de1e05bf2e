/* schema_build.c - from what a script gives as `data` to the program of schema.h.
**
** The walk goes by levels: a queue of nodes whose Lua values wait in a table at the same index, so
** that the fields of one record are next to each other. It reads raw, and a schema that contains
** itself is deeper than any schema may be.
*/
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "script.h"

struct build {
    lua_State *L;
    struct tycho__reading *reading;
    struct tycho__schema *schema;
    int waiting; /* slot of the table of values by node + 1 */
    uint8_t depths[TYCHO__SCHEMA_NODES_MAX];
};

static int refuse(struct build *build, const struct tycho__schema_node *node, const char *what) {
    char field[64] = "data";
    if (node->name.size > 0) {
        snprintf(field, sizeof field, "%.*s", (int)node->name.size, (const char *)node->name.data);
    }
    return tycho__definition_refuse(build->L, build->reading, field, "'%s' in the schema %s", field,
                                    what);
}

/* A further node, whose value is on top of the stack and is popped. */
static struct tycho__schema_node *add_node(struct build *build, uint16_t parent) {
    struct tycho__schema *schema = build->schema;
    if (schema->count == TYCHO__SCHEMA_NODES_MAX) {
        refuse(build, &schema->nodes[0], "has over 1,000 fields and values");
    }
    size_t depth = schema->count == 0 ? 0 : build->depths[parent] + 1u;
    if (depth > TYCHO__SCHEMA_DEPTH_MAX) {
        refuse(build, &schema->nodes[parent], "has too many tables within each other");
    }
    build->depths[schema->count] = (uint8_t)depth;
    lua_rawseti(build->L, build->waiting, (lua_Integer)schema->count + 1);
    struct tycho__schema_node *node = &schema->nodes[schema->count++];
    memset(node, 0, sizeof *node);
    return node;
}

/* Whether the table on top of the stack was made by a word: then the word is given, and what it was
** given is pushed. */
static const char *find_word(lua_State *L) {
    if (lua_rawgeti(L, -1, 1) != LUA_TSTRING) {
        lua_pop(L, 1);
        return NULL;
    }
    const char *word = lua_tostring(L, -1); /* the table has it, too */
    lua_pop(L, 1);
    lua_rawgeti(L, -1, 2);
    return word;
}

static int compare_names(const void *a, const void *b) {
    const tycho_bytes *x = a, *y = b;
    int order = memcmp(x->data, y->data, x->size < y->size ? x->size : y->size);
    return order != 0 ? order : (x->size > y->size) - (x->size < y->size);
}

/* The fields of the table on top of the stack become nodes. */
static void build_record(struct build *build, uint16_t index) {
    lua_State *L = build->L;
    struct tycho__schema *schema = build->schema;
    struct tycho__definition *definition = build->reading->definition;
    int table = lua_gettop(L);
    size_t count = 0;
    for (lua_pushnil(L); lua_next(L, table) != 0; lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING) {
            refuse(build, &schema->nodes[index], "has a key that is no name of a field");
        }
        count++;
    }
    tycho_bytes *names = tycho__definition_keep(L, definition, (count + 1) * sizeof *names);
    size_t at = 0;
    for (lua_pushnil(L); lua_next(L, table) != 0; lua_pop(L, 1)) {
        names[at++] = tycho__definition_text(L, definition, -2);
    }
    qsort(names, count, sizeof *names, compare_names);
    schema->nodes[index].kind = TYCHO__KIND_RECORD;
    schema->nodes[index].first = (uint16_t)schema->count;
    schema->nodes[index].count = (uint16_t)count;
    for (size_t i = 0; i < count; i++) {
        lua_pushlstring(L, names[i].data, names[i].size);
        lua_rawget(L, table);
        add_node(build, index)->name = names[i];
    }
}

static void build_enum(struct build *build, uint16_t index) {
    lua_State *L = build->L;
    struct tycho__schema *schema = build->schema;
    int list = lua_gettop(L);
    size_t count = lua_istable(L, list) ? (size_t)lua_rawlen(L, list) : 0;
    if (count == 0) refuse(build, &schema->nodes[index], "is an enum without a list of strings");
    schema->nodes[index].kind = TYCHO__KIND_ENUM;
    schema->nodes[index].first = (uint16_t)schema->count;
    schema->nodes[index].count = (uint16_t)count;
    for (size_t i = 1; i <= count; i++) {
        if (lua_rawgeti(L, list, (lua_Integer)i) != LUA_TSTRING) {
            refuse(build, &schema->nodes[index], "is an enum with a value that is no string");
        }
        tycho_bytes value = tycho__definition_text(L, build->reading->definition, -1);
        struct tycho__schema_node *node = add_node(build, index);
        node->name = value;
        node->kind = TYCHO__KIND_ENUM + 1; /* a value, not a kind: nothing to build */
    }
}

static void build_kind(struct build *build, uint16_t index) {
    static const char *const kinds[] = {"any", "string", "integer", "number", "boolean", "binary"};
    struct tycho__schema_node *node = &build->schema->nodes[index];
    const char *name = lua_tostring(build->L, -1);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(kinds[i], name) != 0) continue;
        node->kind = (uint8_t)i;
        if (i == TYCHO__KIND_ANY) build->schema->has_any = 1;
        return;
    }
    char what[160];
    snprintf(what, sizeof what,
             "is \"%.40s\", which is no kind: string, integer, number, boolean, "
             "binary, any",
             name);
    refuse(build, node, what);
}

/* Builds the node whose value is on top of the stack, after `optional` was taken off. */
static void build_value(struct build *build, uint16_t index) {
    lua_State *L = build->L;
    struct tycho__schema *schema = build->schema;
    if (lua_type(L, -1) == LUA_TSTRING) {
        build_kind(build, index);
        return;
    }
    if (!lua_istable(L, -1)) refuse(build, &schema->nodes[index], "is neither a kind nor a table");
    const char *word = find_word(L);
    if (word == NULL) {
        build_record(build, index);
    } else if (strcmp(word, "enum") == 0) {
        build_enum(build, index);
    } else if (strcmp(word, "array") == 0 || strcmp(word, "map") == 0) {
        bool is_array = word[0] == 'a';
        schema->nodes[index].kind = is_array ? TYCHO__KIND_ARRAY : TYCHO__KIND_MAP;
        schema->nodes[index].first = (uint16_t)schema->count;
        schema->nodes[index].count = 1;
        lua_pushvalue(L, -1);
        add_node(build, index);
    } else {
        refuse(build, &schema->nodes[index], "has a word that is no word of schemas");
    }
}

static void build_node(struct build *build, uint16_t index) {
    lua_State *L = build->L;
    int top = lua_gettop(L);
    lua_rawgeti(L, build->waiting, (lua_Integer)index + 1);
    if (lua_istable(L, -1)) {
        const char *word = find_word(L);
        if (word != NULL && strcmp(word, "optional") == 0) {
            build->schema->nodes[index].is_optional = 1;
        } else {
            lua_settop(L, top + 1);
        }
    }
    build_value(build, index);
    lua_settop(L, top);
}

struct tycho__schema *tycho__schema_build(lua_State *L, struct tycho__reading *reading) {
    struct tycho__definition *definition = reading->definition;
    struct tycho__schema *schema = tycho__definition_keep(L, definition, sizeof *schema);
    size_t size = TYCHO__SCHEMA_NODES_MAX * sizeof *schema->nodes;
    struct build build = {.L = L, .reading = reading, .schema = schema};
    luaL_checkstack(L, LUA_MINSTACK, "no room for a schema");
    int top = lua_gettop(L);
    schema->nodes = tycho__definition_keep(L, definition, size);
    lua_newtable(L);
    build.waiting = lua_gettop(L);
    lua_pushvalue(L, top);
    add_node(&build, 0);
    for (size_t i = 0; i < schema->count; i++) {
        if (schema->nodes[i].kind <= TYCHO__KIND_ENUM) build_node(&build, (uint16_t)i);
    }
    lua_settop(L, top);
    return schema;
}
