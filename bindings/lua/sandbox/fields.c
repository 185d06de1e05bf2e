/* fields.c - the data of an event as a table whose fields are decoded when they are read.
**
** Most linkers read one field of many, and decoding all of them took over half of a call: 5,200 of
** 9,200 instructions, with four fields in 156 bytes. Now a call takes 5,100. The table is empty in
** front of the MessagePack, which is gone over once for where its fields
** are; a field that is no table is decoded when it is read. Before anything else is done with the
** table it is filled, and is then what decoding makes:
**
**     EMPTY --(a table among the fields is read; any field too often; it is written to, gone
**       |      through, measured, thrown, given a metatable)--> FILLED: of no concern here
**       +--(the next call)--> EMPTY, with other data
**
** Whoever looks at a table of a script raw calls tycho__host_fill() before. What decoding would
** refuse is left to decoding, and so is what is large: so errors and prices are the same.
*/
#include "state.h"

#include <string.h>

#include "../../msgpack/msgpack.h"
#include "../codec.h"

enum {
    SIZE_MAX_HERE = 4096,
    READS_MAX = 16,
    DEPTH = 16 /* of tables within the fields */
};

/* Key of the registry: its address. */
static const char fields_metatable = 0;

/* ---------------------------------------------------------------- finding the fields */

/* Moves behind a value. False when decoding may refuse it. */
static bool pass_value(struct tycho__msgpack_reader *reader) {
    uint64_t left[DEPTH];
    bool is_map[DEPTH], is_key = false;
    int depth = 0;
    for (;;) {
        struct tycho__msgpack_token token;
        if (tycho__msgpack_next(reader, &token) != TYCHO__MSGPACK_OK) return false;
        bool is_table = token.kind == TYCHO__MSGPACK_ARRAY || token.kind == TYCHO__MSGPACK_MAP;
        bool may_be_key =
            token.kind == TYCHO__MSGPACK_STRING || token.kind == TYCHO__MSGPACK_INTEGER;
        if (is_key && !may_be_key) return false;
        if (token.kind == TYCHO__MSGPACK_UNSIGNED) return false;
        if (token.kind == TYCHO__MSGPACK_EXTENSION) return false;
        if (is_table && depth == DEPTH) return false;
        if (is_table) {
            is_map[depth] = token.kind == TYCHO__MSGPACK_MAP;
            left[depth] = is_map[depth] ? 2 * token.count : token.count;
            depth++;
        }
        while (depth > 0 && left[depth - 1] == 0) depth--;
        if (depth == 0) return true;
        is_key = is_map[depth - 1] && left[depth - 1] % 2 == 0;
        left[depth - 1]--;
    }
}

/* The size of a number, boolean, null or string, by its first bytes; 0: it is something else, too
** large a number maybe, or cut short. */
static inline size_t plain_size(const uint8_t *bytes, size_t left) {
    size_t size = 0;
    if (left < 2) return 0;
    if (bytes[0] < 0x80 || bytes[0] >= 0xe0) {
        size = 1;
    } else if ((bytes[0] & 0xe0) == 0xa0) {
        size = 1 + (bytes[0] & 0x1fu);
    } else if (bytes[0] == 0xd9) {
        size = 2 + bytes[1];
    } else if (bytes[0] >= 0xcc && bytes[0] <= 0xce) {
        size = 1 + (1u << (bytes[0] - 0xcc));
    }
    return size <= left ? size : 0;
}

/* Reads a key. False: it is no string. */
static inline bool read_key(struct tycho__msgpack_reader *reader, struct tycho__host_field *field) {
    const uint8_t *from = reader->data + reader->offset;
    size_t left = reader->size - reader->offset;
    struct tycho__msgpack_token key;
    if (left > 0 && (from[0] & 0xe0) == 0xa0 && (from[0] & 0x1fu) < left) { /* a short one */
        field->name = from + 1;
        field->size = from[0] & 0x1fu;
        reader->offset += 1 + field->size;
        return true;
    }
    if (tycho__msgpack_next(reader, &key) != TYCHO__MSGPACK_OK) return false;
    if (key.kind != TYCHO__MSGPACK_STRING) return false;
    field->name = key.data;
    field->size = (uint32_t)key.size;
    return true;
}

/* How many fields the data has; -1 when it is to be decoded as a whole. */
static inline int count_of(struct tycho__msgpack_reader *reader) {
    struct tycho__msgpack_token map;
    if (reader->size == 0 || reader->size > SIZE_MAX_HERE) return -1;
    if ((reader->data[0] & 0xf0) == 0x80) { /* a short map */
        reader->offset = 1;
        return reader->data[0] & 0x0f;
    }
    if (tycho__msgpack_next(reader, &map) != TYCHO__MSGPACK_OK) return -1;
    if (map.kind != TYCHO__MSGPACK_MAP || map.count > TYCHO__SANDBOX_FIELDS_MAX) return -1;
    return (int)map.count;
}

/* Finds the next field and moves behind it. False when the data is to be decoded as a whole. */
static inline bool find_next(struct tycho__msgpack_reader *reader,
                             struct tycho__host_field *field) {
    if (!read_key(reader, field)) return false;
    field->value = (uint32_t)reader->offset;
    size_t plain = plain_size(reader->data + reader->offset, reader->size - reader->offset);
    reader->offset += plain;
    return plain > 0 || pass_value(reader);
}

/* Finds the fields. False when the data is to be decoded as a whole. */
static bool find_fields(struct tycho__host_fields *fields, const void *data, size_t size) {
    struct tycho__msgpack_reader reader = {data, size, 0};
    fields->count = count_of(&reader);
    for (int i = 0; i < fields->count; i++) {
        if (!find_next(&reader, &fields->all[i])) return false;
    }
    return fields->count >= 0 && reader.offset == size;
}

/* The index of a field, -1 when there is none. Where a key comes twice the last one counts. */
static int find(const struct tycho__host_fields *fields, const char *name, size_t size) {
    int i = fields->count - 1;
    while (i >= 0 &&
           (fields->all[i].size != size || memcmp(fields->all[i].name, name, size) != 0)) {
        i--;
    }
    return i;
}

/* ---------------------------------------------------------------- the table */

static const void *data_of(lua_State *L, const struct tycho__host_fields *fields) {
    if (fields->data == NULL) luaL_error(L, "this data was that of a call that is over");
    return fields->data;
}

void tycho__host_fill(lua_State *L, int index) {
    struct tycho__sandbox *sandbox = tycho__host(L);
    struct tycho__host_fields *fields = &sandbox->fields;
    if (fields->table == NULL || lua_topointer(L, index) != fields->table) return;
    int was_host = sandbox->is_host, top = lua_gettop(L);
    fields->only = TYCHO__SANDBOX_FIELDS_MANY;
    index = lua_absindex(L, index);
    luaL_checkstack(L, 8, "no room for data");
    sandbox->is_host = 1;
    if (tycho__lua_decode(L, data_of(L, fields), fields->size) != 0) lua_error(L);
    lua_pushnil(L);
    lua_setmetatable(L, index);
    fields->table = NULL;
    luaL_unref(L, LUA_REGISTRYINDEX, fields->slot);
    lua_pushnil(L);
    while (lua_next(L, top + 1) != 0) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, index);
    }
    lua_settop(L, top);
    tycho__host_clear_above(L);
    sandbox->is_host = was_host;
}

/* Pushes a field. False: nothing, because it is a table or bytes, of which there is one. */
static bool push_field(lua_State *L, const struct tycho__host_fields *fields, int i) {
    struct tycho__msgpack_reader reader = {fields->data, fields->size, fields->all[i].value};
    struct tycho__msgpack_token token;
    if (tycho__msgpack_next(&reader, &token) != TYCHO__MSGPACK_OK) return false;
    switch (token.kind) {
    case TYCHO__MSGPACK_NIL:
        tycho__lua_push_null(L);
        return true;
    case TYCHO__MSGPACK_BOOLEAN:
        lua_pushboolean(L, token.boolean);
        return true;
    case TYCHO__MSGPACK_INTEGER:
        lua_pushinteger(L, token.integer);
        return true;
    case TYCHO__MSGPACK_FLOAT:
        lua_pushnumber(L, token.number);
        return true;
    case TYCHO__MSGPACK_STRING:
        lua_pushlstring(L, (const char *)token.data, token.size);
        return true;
    default:
        return false;
    }
}

static int index_field(lua_State *L) {
    struct tycho__sandbox *sandbox = tycho__host(L);
    struct tycho__host_fields *fields = &sandbox->fields;
    size_t size;
    data_of(L, fields);
    const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tolstring(L, 2, &size) : NULL;
    int i = name == NULL ? -1 : find(fields, name, size);
    bool is_one = i >= 0 && (fields->only == -1 || fields->only == i);
    fields->only = is_one ? i : TYCHO__SANDBOX_FIELDS_MANY;
    if (i < 0) {
        lua_pushnil(L);
        return 1;
    }
    sandbox->is_host = 1;
    bool is_pushed = fields->reads++ < READS_MAX && push_field(L, fields, i);
    sandbox->is_host = 0;
    if (is_pushed) return 1;
    tycho__host_fill(L, 1);
    lua_rawget(L, 1);
    return 1;
}

static int set_field(lua_State *L) {
    tycho__host_fill(L, 1);
    lua_rawset(L, 1);
    return 0;
}

static int count_fields(lua_State *L) {
    tycho__host_fill(L, 1);
    lua_pushinteger(L, (lua_Integer)lua_rawlen(L, 1));
    return 1;
}

static void push_metatable(lua_State *L) {
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &fields_metatable) == LUA_TTABLE) return;
    lua_pop(L, 1);
    lua_createtable(L, 0, 3);
    lua_pushcfunction(L, index_field);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, set_field);
    lua_setfield(L, -2, "__newindex");
    lua_pushcfunction(L, count_fields);
    lua_setfield(L, -2, "__len");
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &fields_metatable);
}

int tycho__sandbox_push_fields(lua_State *L, const void *data, size_t size) {
    struct tycho__host_fields *fields = &tycho__host(L)->fields;
    fields->data = NULL;
    fields->only = TYCHO__SANDBOX_FIELDS_MANY;
    if (!find_fields(fields, data, size)) return 0;
    fields->only = -1;
    fields->data = data;
    fields->size = size;
    fields->reads = 0;
    luaL_checkstack(L, 4, "no room for data");
    if (fields->table != NULL) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, fields->slot);
        return 1;
    }
    lua_newtable(L);
    push_metatable(L);
    lua_setmetatable(L, -2);
    lua_pushvalue(L, -1);
    fields->slot = luaL_ref(L, LUA_REGISTRYINDEX);
    fields->table = lua_topointer(L, -1);
    return 1;
}

/* ---------------------------------------------------------------- what a call read */

const void *tycho__sandbox_field_read(const struct tycho__sandbox *sandbox, size_t *size) {
    const struct tycho__host_fields *fields = &sandbox->fields;
    *size = 0;
    if (fields->only < 0) return NULL;
    *size = fields->all[fields->only].size;
    return fields->all[fields->only].name;
}

const void *tycho__sandbox_find_field(struct tycho__sandbox *sandbox, const void *data, size_t size,
                                      const char *name, size_t name_size, size_t *value_size) {
    struct tycho__msgpack_reader reader = {data, size, 0};
    struct tycho__host_field field;
    const uint8_t *value = NULL;
    size_t found = 0;
    *value_size = 0;
    sandbox->fields.only = TYCHO__SANDBOX_FIELDS_MANY;
    int count = count_of(&reader);
    for (int i = 0; i < count; i++) {
        if (!find_next(&reader, &field)) return NULL;
        if (field.size != name_size || memcmp(field.name, name, name_size) != 0) continue;
        value = (const uint8_t *)data + field.value; /* where it comes twice the last one counts */
        found = reader.offset - field.value;
    }
    if (count < 0 || reader.offset != size) return NULL;
    *value_size = found;
    return value;
}
