/* codec_encode.c - a Lua value to MessagePack or JSON: one walk, two formats. See codec.h.
**
** The walk keeps its own stack of frames, one for each table that is open; on the Lua stack an open
** array is one slot (the table), an open map two (the table, the key that lua_next wants).
**
** A map's items are written in the order in which Lua has them, each remembered as an entry: the
** key and where its bytes begin and end. When the map is complete its items are put in the order of
** their keys. Keys are compared where Lua has them, which is safe because the tables that hold them
** are on the stack and no Lua code runs meanwhile:
**
**     output   ... | "b" 2 | "c" 3 | "a" 1          entries  b: 0-3  c: 3-6  a: 6-9
**                  ^ frame.start
**     output   ... | {3} "a" 1 "b" 2 "c" 3
*/
#include "codec.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "codec_state.h"
#include "tycho.h"

struct format {
    void (*put_null)(struct tycho_buffer *);
    void (*put_boolean)(struct tycho_buffer *, int);
    void (*put_integer)(struct tycho_buffer *, int64_t);
    void (*put_float)(struct tycho_buffer *, double);
    void (*put_string)(struct tycho_buffer *, const void *, size_t);
    void (*put_binary)(struct tycho_buffer *, const void *, size_t);
    void (*put_array)(struct tycho_buffer *, size_t);
    void (*put_map)(struct tycho_buffer *, size_t);
    const char *comma; /* between two items; "" for none */
    const char *colon; /* between key and value */
    const char *array_end;
    const char *map_end;
    size_t size_max;
    size_t again_max; /* how many tables may come again; 0: any number */
};

struct frame {
    int table; /* slot of the table on the Lua stack; of a map, the key is in the next */
    int is_map;
    size_t count;         /* items of an array */
    size_t index;         /* items of an array that were written */
    size_t start;         /* of a map: offset in the output where it begins */
    size_t entries_start; /* of a map: offset in the entries where its own begin */
};

struct entry {
    const char *key;
    size_t key_size;
    size_t start;
    size_t end;
};

struct encoder {
    lua_State *L;
    const struct format *format;
    const char *root;
    struct tycho_buffer *output;
    struct tycho_buffer *entries;
    struct tycho_buffer *scratch;
    size_t size_max; /* of the output, with what was in it before */
    int array_mark; /* slot of the metatable of arrays */
    int depth;
    struct tycho__lua_set *tables; /* that there were so far, where the format has a limit */
    size_t again;
    struct frame frames[TYCHO__DEPTH_MAX];
};

static inline void put_text(struct tycho_buffer *buffer, const char *text) {
    if (text[0] != '\0') {
        tycho__payload_put(buffer, text, strlen(text));
    }
}

/* ---------------------------------------------------------------- messages */

enum { PATH_MAX_SIZE = 100, KEY_SHOWN_MAX = 40 };

static int is_word(const char *key, size_t size) {
    size_t i;

    for (i = 0; i < size; i++) {
        int c = (unsigned char)key[i] | 0x20;

        if (!(c >= 'a' && c <= 'z') && key[i] != '_' &&
            !(i > 0 && key[i] >= '0' && key[i] <= '9')) {
            return 0;
        }
    }
    return size > 0 && size <= KEY_SHOWN_MAX;
}

/* Appends a key in quotes; what is not plain ASCII becomes "?". */
static void put_quoted(struct tycho_buffer *path, const char *key, size_t size) {
    size_t i;

    tycho__payload_put(path, "\"", 1);
    for (i = 0; i < size && i < KEY_SHOWN_MAX; i++) {
        tycho__payload_put(path, key[i] >= ' ' && key[i] <= '~' ? &key[i] : "?", 1);
    }
    tycho__payload_put(path, size > KEY_SHOWN_MAX ? "...\"" : "\"", size > KEY_SHOWN_MAX ? 4 : 1);
}

/* Appends one step of a path: ".key", ["other key"] or [3]. */
static void put_step(struct encoder *encoder, const struct frame *frame,
                     struct tycho_buffer *path) {
    lua_State *L = encoder->L;
    size_t size;
    const char *key;

    if (!frame->is_map) {
        put_text(path, "[");
        tycho__json_put_integer(path, (int64_t)frame->index);
        put_text(path, "]");
        return;
    }
    key = lua_tolstring(L, frame->table + 1, &size);
    if (is_word(key, size)) {
        put_text(path, ".");
        tycho__payload_put(path, key, size);
    } else {
        put_text(path, "[");
        put_quoted(path, key, size);
        put_text(path, "]");
    }
}

/* Pushes "data.items[3]": the root and the steps of the first `depth` frames. */
static void push_path(struct encoder *encoder, int depth) {
    struct tycho_buffer *path = encoder->scratch;
    int i;

    tycho__payload_clear(path);
    put_text(path, encoder->root);
    for (i = 0; i < depth && path->size < PATH_MAX_SIZE; i++) {
        put_step(encoder, &encoder->frames[i], path);
    }
    if (i < depth) {
        put_text(path, "...");
    }
    if (path->failed != 0) {
        lua_pushstring(encoder->L, encoder->root);
    } else {
        lua_pushlstring(encoder->L, (const char *)path->data, path->size);
    }
}

/* Fails: leaves "<path> <fault>" on the stack, where the fault is the string on top of it. */
static int refuse_pushed(struct encoder *encoder, int depth) {
    lua_State *L = encoder->L;

    push_path(encoder, depth);
    lua_insert(L, -2);
    lua_pushliteral(L, " ");
    lua_insert(L, -2);
    lua_concat(L, 3);
    return TYCHO_MISUSE;
}

static int refuse(struct encoder *encoder, const char *fault) {
    lua_pushstring(encoder->L, fault);
    return refuse_pushed(encoder, encoder->depth);
}

/* Fails for the key at slot `key`, which the table that is `depth` frames deep cannot have. */
static int refuse_key(struct encoder *encoder, int depth, int key, const char *rule) {
    lua_State *L = encoder->L;
    struct tycho_buffer *text = encoder->scratch;

    tycho__payload_clear(text);
    if (lua_type(L, key) == LUA_TSTRING) {
        size_t size;
        const char *bytes = lua_tolstring(L, key, &size);

        put_quoted(text, bytes, size);
        lua_pushlstring(L, (const char *)text->data, text->size);
    } else if (lua_type(L, key) == LUA_TNUMBER) {
        lua_pushvalue(L, key);
        lua_tostring(L, -1);
    } else if (lua_type(L, key) == LUA_TBOOLEAN) {
        lua_pushstring(L, lua_toboolean(L, key) ? "true" : "false");
    } else {
        lua_pushfstring(L, "(a %s)", luaL_typename(L, key));
    }
    lua_pushfstring(L, "has the key %s: %s", lua_tostring(L, -1), rule);
    return refuse_pushed(encoder, depth);
}

/* ---------------------------------------------------------------- tables */

static const char KEYS_RULE[] = "the keys of a table are all strings, or the integers 1 to n";

static void open_frame(struct encoder *encoder, int table, int is_map, size_t count) {
    struct frame *frame = &encoder->frames[encoder->depth++];

    frame->table = table;
    frame->is_map = is_map;
    frame->count = count;
    frame->index = 0;
    frame->start = encoder->output->size;
    frame->entries_start = encoder->entries->size;
    if (is_map) {
        lua_pushnil(encoder->L);
    } else {
        encoder->format->put_array(encoder->output, count);
    }
}

/* Writes an empty table, which is on top of the stack, and pops it. */
static int put_empty(struct encoder *encoder, int is_array) {
    const struct format *format = encoder->format;

    if (is_array) {
        format->put_array(encoder->output, 0);
        put_text(encoder->output, format->array_end);
    } else {
        format->put_map(encoder->output, 0);
        put_text(encoder->output, format->map_end);
    }
    lua_pop(encoder->L, 1);
    return TYCHO_OK;
}

/* Whether the table on top of the stack is one of those that came again too often. One that has
** much room and no fields takes long to go through, and may be in millions of places. All are
** known, so that it does not matter in which order Lua has the fields. */
static int is_too_often(struct encoder *encoder) {
    encoder->again += (size_t)tycho__lua_set_add(encoder->tables, lua_topointer(encoder->L, -1));
    if (encoder->tables->slots.failed != 0) {
        encoder->entries->failed = encoder->tables->slots.failed;
    }
    return encoder->again > encoder->format->again_max;
}

/* Begins the table on top of the stack. */
static int open_table(struct encoder *encoder) {
    lua_State *L = encoder->L;
    int table = lua_gettop(L);
    int marked;
    size_t count = 0;

    if (encoder->format->again_max != 0 && is_too_often(encoder)) {
        return refuse(encoder, "is one of the tables that are in over 10000 places");
    }

    if (encoder->depth == TYCHO__DEPTH_MAX) {
        return refuse(encoder, "is more than 128 tables deep; it may contain itself");
    }
    if (!lua_checkstack(L, 8)) {
        return refuse(encoder, "needs more stack than Lua has");
    }
    marked = tycho__lua_is_marked(L, table, encoder->array_mark);
    switch (tycho__lua_find_shape(L, table, &count)) {
    case TYCHO__SHAPE_EMPTY: return put_empty(encoder, marked);
    case TYCHO__SHAPE_ARRAY: open_frame(encoder, table, 0, count); return TYCHO_OK;
    case TYCHO__SHAPE_HOLES:
        lua_pushfstring(L, "has no item [%I], but later ones: arrays have no holes (tycho.null "
                        "fills them), and other keys must be strings", (lua_Integer)count);
        return refuse_pushed(encoder, encoder->depth);
    case TYCHO__SHAPE_MAP:
        if (marked) {
            lua_pushnil(L);
            lua_next(L, table);
            return refuse_key(encoder, encoder->depth, table + 1, "tycho.array marks the table");
        }
        open_frame(encoder, table, 1, 0);
        return TYCHO_OK;
    default: return refuse_key(encoder, encoder->depth, table + 1, KEYS_RULE);
    }
}

static int compare_entries(const void *a, const void *b) {
    const struct entry *left = a;
    const struct entry *right = b;
    size_t size = left->key_size < right->key_size ? left->key_size : right->key_size;
    int order = memcmp(left->key, right->key, size);

    if (order != 0) {
        return order;
    }
    return left->key_size < right->key_size ? -1 : left->key_size > right->key_size;
}

/* Few entries, as in nearly all events, are sorted faster by insertion. */
static void sort_entries(struct entry *entries, size_t count) {
    size_t i;

    if (count > 24) {
        qsort(entries, count, sizeof(*entries), compare_entries);
        return;
    }
    for (i = 1; i < count; i++) {
        struct entry moved = entries[i];
        size_t at = i;

        while (at > 0 && compare_entries(&moved, &entries[at - 1]) < 0) {
            entries[at] = entries[at - 1];
            at--;
        }
        entries[at] = moved;
    }
}

static struct entry *last_entry(struct encoder *encoder) {
    return (struct entry *)(void *)(encoder->entries->data + encoder->entries->size) - 1;
}

/* Puts the items of a complete map in order, behind its head. */
static void close_map(struct encoder *encoder, struct frame *frame) {
    const struct format *format = encoder->format;
    struct tycho_buffer *output = encoder->output;
    struct tycho_buffer *sorted = encoder->scratch;
    uint8_t *first = encoder->entries->data + frame->entries_start;
    struct entry *entries = (struct entry *)(void *)first;
    size_t count = (encoder->entries->size - frame->entries_start) / sizeof(*entries);
    size_t i;

    if (output->failed != 0 || encoder->entries->failed != 0) {
        return;
    }
    last_entry(encoder)->end = output->size;
    sort_entries(entries, count);
    tycho__payload_clear(sorted);
    format->put_map(sorted, count);
    for (i = 0; i < count; i++) {
        if (i > 0) {
            put_text(sorted, format->comma);
        }
        tycho__payload_put(sorted, output->data + entries[i].start,
                           entries[i].end - entries[i].start);
    }
    put_text(sorted, format->map_end);
    output->size = frame->start;
    if (sorted->failed != 0) {
        output->failed = sorted->failed; /* `sorted` serves the next map too */
        return;
    }
    tycho__payload_put(output, sorted->data, sorted->size);
    encoder->entries->size = frame->entries_start;
}

static void close_frame(struct encoder *encoder, struct frame *frame) {
    if (frame->is_map) {
        close_map(encoder, frame);
    } else {
        put_text(encoder->output, encoder->format->array_end);
    }
    lua_settop(encoder->L, frame->table - 1);
    encoder->depth--;
}

/* ---------------------------------------------------------------- values */

static int put_number(struct encoder *encoder) {
    lua_State *L = encoder->L;
    lua_Number number;

    if (lua_isinteger(L, -1)) {
        encoder->format->put_integer(encoder->output, lua_tointeger(L, -1));
        return TYCHO_OK;
    }
    number = lua_tonumber(L, -1);
    if (!isfinite(number)) {
        return refuse(encoder, isnan(number) ? "is NaN, which cannot be stored"
                                             : "is infinite, which cannot be stored");
    }
    encoder->format->put_float(encoder->output, number);
    return TYCHO_OK;
}

static void put_lua_string(struct encoder *encoder) {
    size_t size;
    const char *bytes = lua_tolstring(encoder->L, -1, &size);

    if (tycho__utf8_check(bytes, size)) {
        encoder->format->put_string(encoder->output, bytes, size);
    } else {
        encoder->format->put_binary(encoder->output, bytes, size);
    }
}

static int put_userdata(struct encoder *encoder) {
    size_t size;
    const char *bytes = tycho__lua_to_binary(encoder->L, -1, &size);

    if (bytes == NULL) {
        return refuse(encoder, "is a userdata, which cannot be stored");
    }
    encoder->format->put_binary(encoder->output, bytes, size);
    return TYCHO_OK;
}

static int refuse_type(struct encoder *encoder) {
    lua_pushfstring(encoder->L, "is a %s, which cannot be stored", luaL_typename(encoder->L, -1));
    return refuse_pushed(encoder, encoder->depth);
}

/* Writes the value on top of the stack and pops it; a table stays and becomes a frame. */
static int put_value(struct encoder *encoder) {
    lua_State *L = encoder->L;
    int status = TYCHO_OK;

    switch (lua_type(L, -1)) {
    case LUA_TTABLE: return open_table(encoder);
    case LUA_TSTRING: put_lua_string(encoder); break;
    case LUA_TNUMBER: status = put_number(encoder); break;
    case LUA_TBOOLEAN:
        encoder->format->put_boolean(encoder->output, lua_toboolean(L, -1));
        break;
    case LUA_TLIGHTUSERDATA:
        if (lua_touserdata(L, -1) != NULL) {
            return refuse(encoder, "is a light userdata other than tycho.null");
        }
        encoder->format->put_null(encoder->output);
        break;
    case LUA_TUSERDATA: status = put_userdata(encoder); break;
    case LUA_TNIL: return refuse(encoder, "is nil (tycho.null is the null that can be stored)");
    default: return refuse_type(encoder);
    }
    if (status == TYCHO_OK) {
        lua_pop(L, 1);
    }
    return status;
}

static int put_next_item(struct encoder *encoder, struct frame *frame) {
    if (frame->index > 0) {
        put_text(encoder->output, encoder->format->comma);
    }
    lua_rawgeti(encoder->L, frame->table, (lua_Integer)++frame->index);
    return put_value(encoder);
}

/* Writes the pair on top of the stack: the key, and the value, which is popped. */
static int put_pair(struct encoder *encoder, struct frame *frame) {
    lua_State *L = encoder->L;
    struct tycho_buffer *entries = encoder->entries;
    struct entry *entry;

    if (lua_type(L, -2) != LUA_TSTRING) {
        return refuse_key(encoder, encoder->depth - 1, frame->table + 1, KEYS_RULE);
    }
    if (entries->size > frame->entries_start) {
        last_entry(encoder)->end = encoder->output->size;
    }
    entry = (struct entry *)(void *)tycho__payload_reserve(entries, sizeof(*entry));
    if (entry == NULL) {
        return TYCHO_OK;
    }
    entries->size += sizeof(*entry);
    entry->key = lua_tolstring(L, -2, &entry->key_size);
    entry->start = encoder->output->size;
    if (!tycho__utf8_check(entry->key, entry->key_size)) {
        return refuse_key(encoder, encoder->depth - 1, frame->table + 1, "keys are valid UTF-8");
    }
    encoder->format->put_string(encoder->output, entry->key, entry->key_size);
    put_text(encoder->output, encoder->format->colon);
    return put_value(encoder);
}

/* Takes one step in the innermost open table: its next item, or its end. */
static int step(struct encoder *encoder) {
    struct frame *frame = &encoder->frames[encoder->depth - 1];

    if (frame->is_map && lua_next(encoder->L, frame->table)) {
        return put_pair(encoder, frame);
    }
    if (!frame->is_map && frame->index < frame->count) {
        return put_next_item(encoder, frame);
    }
    close_frame(encoder, frame);
    return TYCHO_OK;
}

/* ---------------------------------------------------------------- the whole */

/* What the buffers say; pushes the sentence when it is bad. */
static int buffers_status(struct encoder *encoder) {
    const struct tycho_buffer *output = encoder->output;

    if (output->failed == TYCHO__BUFFER_FULL || output->size > encoder->size_max) {
        lua_pushfstring(encoder->L, "%s is larger than %d MiB when encoded", encoder->root,
                        (int)(encoder->format->size_max >> 20));
        return TYCHO_TOO_LARGE;
    }
    if (output->failed == 0 && encoder->entries->failed == 0) {
        return TYCHO_OK;
    }
    lua_pushfstring(encoder->L, "no memory to encode %s", encoder->root);
    return TYCHO_NO_MEMORY;
}

static int run(struct encoder *encoder) {
    int status = put_value(encoder);

    while (status == TYCHO_OK && encoder->depth > 0 && encoder->output->failed == 0 &&
           encoder->entries->failed == 0 && encoder->output->size <= encoder->size_max) {
        status = step(encoder);
    }
    return status == TYCHO_OK ? buffers_status(encoder) : status;
}

static int encode(lua_State *L, int index, const char *root, struct tycho_buffer *output,
                  const struct format *format) {
    struct tycho__lua_codec *codec = tycho__lua_codec(L);
    struct encoder encoder;
    size_t start = output->size;
    int top = lua_gettop(L);
    int status;

    index = lua_absindex(L, index);
    luaL_checkstack(L, 10, "no room to encode");
    encoder.L = L;
    encoder.format = format;
    encoder.root = root;
    encoder.output = output;
    encoder.entries = &codec->entries;
    encoder.scratch = &codec->scratch;
    encoder.array_mark = top + 1;
    encoder.size_max = start + format->size_max;
    encoder.depth = 0;
    encoder.tables = &codec->tables;
    encoder.again = 0;
    if (format->again_max != 0) tycho__lua_set_clear(encoder.tables);
    tycho__lua_trim_buffer(encoder.entries);
    tycho__lua_trim_buffer(encoder.scratch);
    tycho__lua_push_array_mark(L);
    lua_pushvalue(L, index);
    status = run(&encoder);
    if (status != TYCHO_OK) {
        output->size = start;
        output->failed = 0;
        lua_replace(L, top + 1);
        lua_settop(L, top + 1);
        return status;
    }
    lua_settop(L, top);
    return TYCHO_OK;
}

static void json_put_null(struct tycho_buffer *output) {
    tycho__payload_put(output, "null", 4);
}

static void json_put_boolean(struct tycho_buffer *output, int value) {
    put_text(output, value ? "true" : "false");
}

static void json_put_array(struct tycho_buffer *output, size_t count) {
    (void)count;
    tycho__payload_put(output, "[", 1);
}

static void json_put_map(struct tycho_buffer *output, size_t count) {
    (void)count;
    tycho__payload_put(output, "{", 1);
}

#define MSGPACK_FORMAT(again_max)                                                                  \
    {tycho__msgpack_put_nil,    tycho__msgpack_put_boolean, tycho__msgpack_put_integer,            \
     tycho__msgpack_put_float,  tycho__msgpack_put_string,  tycho__msgpack_put_binary,             \
     tycho__msgpack_put_array,  tycho__msgpack_put_map,     "",                                    \
     "",                        "",                         "",                                    \
     TYCHO__MSGPACK_SIZE_MAX,   again_max}

int tycho__lua_encode(lua_State *L, int index, const char *root, struct tycho_buffer *out) {
    static const struct format msgpack = MSGPACK_FORMAT(0);

    return encode(L, index, root, out, &msgpack);
}

int tycho__lua_encode_result(lua_State *L, int index, const char *root, struct tycho_buffer *out) {
    enum { AGAIN_MAX = 10000 };
    static const struct format msgpack = MSGPACK_FORMAT(AGAIN_MAX);

    return encode(L, index, root, out, &msgpack);
}

int tycho__lua_encode_json(lua_State *L, int index, const char *root, struct tycho_buffer *out) {
    static const struct format json = {
        json_put_null,         json_put_boolean,       tycho__json_put_integer,
        tycho__json_put_float, tycho__json_put_string, tycho__json_put_binary,
        json_put_array,        json_put_map,           ",",
        ":",                   "]",                    "}",
        TYCHO__JSON_SIZE_MAX,  0,
    };

    return encode(L, index, root, out, &json);
}
