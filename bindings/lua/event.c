/* event.c - an event that was read, as Lua sees it. Its own copy of the bytes is in event_state.h.
**
** What is packed is looked into when something of it is asked for the first time, and nothing is
** decoded before it is asked for: data, metadata and tags are then kept in a table, the user value,
** so that asking twice gives the same table. Events have no finalizer. Of an event that is stored
** compressed both data and metadata are decompressed when one is asked for.
**
** The home stream and the tags cost a look-up each, more than all the rest. An event of a loop
** (is_lazy) is made without them and has its cursor as user value, or as CURSOR of the table: the
** first who asks gets them from the cursor while it stands on the event, and from the log at its
** position later. An event does not change its stream and tags, so both give the same; the later
** way needs an open store.
**
** The type of an event, which most loops ask for, is looked for among those asked for before, since
** making a string of Lua costs twice as much as finding it.
*/
#include "event_state.h"

#include <assert.h>
#include <string.h>

typedef tycho__lua_event event;

/* The fields of tycho.Event; a number here is the key in the table of what is known. */
enum field {
    CURSOR, FIELD_ID, FIELD_TYPE, FIELD_STREAM, FIELD_POSITION, FIELD_REVISION, FIELD_IS_LINK,
    FIELD_TIME, FIELD_VALID_TIME, FIELD_DATA, FIELD_METADATA, FIELD_TAGS, FIELD_CORRELATION_ID,
    FIELD_CAUSATION_ID, FIELD_CONTENT_TYPE, FIELD_WRITTEN, FIELDS_END
};
static const char *const field_names[FIELDS_END] = {
    NULL, "id", "type", "stream", "position", "revision", "is_link",
    "time", "valid_time", "data", "metadata", "tags", "correlation_id",
    "causation_id", "content_type", "written",
};

static tycho_bytes part(const event *self, size_t at, size_t size) {
    return (tycho_bytes){self->bytes + at, size};
}

static tycho_bytes type_of(const event *self) {
    return part(self, 0, self->type_size);
}

static tycho_bytes content_type_of(const event *self) {
    return part(self, self->type_size, self->content_type_size);
}

static tycho_bytes stream_of(const event *self) {
    return part(self, (size_t)self->type_size + self->content_type_size, self->stream_size);
}

static tycho_bytes tags_of(const event *self) {
    const tycho_bytes stream = stream_of(self);
    return (tycho_bytes){(const unsigned char *)stream.data + stream.size, self->tags_size};
}

static tycho_bytes packed_of(const event *self) {
    const tycho_bytes tags = tags_of(self);
    return (tycho_bytes){(const unsigned char *)tags.data + tags.size, self->packed_size};
}

/* Looks into what is packed, with the ids unless NULL is given for them. */
static void look_into(lua_State *L, const event *self, char (*ids)[TYCHO_UUID_SIZE],
                      tycho_event *found) {
    found->packed = packed_of(self);
    const int status = tycho_event_unpack(found, ids);
    if (status != TYCHO_OK) tycho__lua_refuse(L, status, NULL);
}

/* Keeps what is found in what is packed, but for ids. */
static void unpack(lua_State *L, event *self) {
    tycho_event found;
    look_into(L, self, NULL, &found);
    const tycho_bytes payload = found.compressed.size > 0 ? found.compressed : found.metadata;
    self->is_compressed = found.compressed.size > 0;
    self->payload_at = (uint32_t)((const unsigned char *)payload.data - self->bytes);
    self->metadata_size = (uint32_t)found.metadata.size;
    self->data_size = (uint32_t)found.data.size;
    self->tag_count = (uint8_t)found.tag_count;
    self->written = found.written;
    self->time = found.time;
    self->valid_time = found.valid_time;
    self->is_unpacked = true;
}

static inline const event *unpacked(lua_State *L, event *self) {
    if (!self->is_unpacked) unpack(L, self);
    return self;
}

/* Pushes bytes, nil when there are none. */
static void push_bytes(lua_State *L, tycho_bytes bytes) {
    if (bytes.size == 0)
        lua_pushnil(L);
    else
        lua_pushlstring(L, bytes.data, bytes.size);
}

static void push_id(lua_State *L, const event *self, enum field field) {
    char ids[3][TYCHO_UUID_SIZE];
    tycho_event found;
    look_into(L, self, ids, &found);
    push_bytes(L, field == FIELD_ID               ? found.id
                  : field == FIELD_CORRELATION_ID ? found.correlation_id
                                                  : found.causation_id);
}

static void push_tags(lua_State *L, const unsigned char *at, size_t size) {
    const unsigned char *end = at + size;

    lua_newtable(L);
    for (lua_Integer i = 1; at < end; i++) {
        lua_pushlstring(L, (const char *)at + 1, at[0]);
        lua_rawseti(L, -2, i);
        at += at[0] + 1;
    }
}

/* Reads the details of an event once more, from the log. */
static int read_again(tycho_store *store, const event *self, tycho__lua_detail *to) {
    const tycho_read read = {.size = sizeof(read),
                             .flags = TYCHO_READ_FROM_POSITION,
                             .from_position = self->position - 1,
                             .limit = 1};
    tycho_cursor *cursor = NULL;
    tycho_event found;

    int status = tycho_cursor_open(store, &read, &cursor);
    if (status == TYCHO_OK) status = tycho_cursor_next(cursor, &found);
    if (status == TYCHO_OK) status = tycho__lua_detail_read(cursor, self->tag_count, to);
    tycho_cursor_close(cursor);
    return status;
}

/* The store of the cursor on top of the stack, which it leaves there with more. */
static tycho_store *store_of(lua_State *L, const char *what) {
    const tycho__lua_box *store = NULL;
    while (lua_getiuservalue(L, -1, 1) == LUA_TUSERDATA) store = lua_touserdata(L, -1);
    assert(store != NULL);
    if (store->handle == NULL)
        tycho__lua_misuse(L, "store is closed: it had %s", what);
    return store->handle;
}

/* Puts home stream (false: none) and tags of a lazy event into the table on top of the stack. */
static void look_up(lua_State *L, event *self) {
    const int kept = lua_gettop(L);
    const uint32_t tag_count = unpacked(L, self)->tag_count;
    tycho__lua_detail found;
    lua_rawgeti(L, kept, CURSOR);
    tycho_cursor *cursor = tycho__lua_cursor_at(L, -1, self->step);
    tycho_store *store =
        cursor != NULL ? NULL : store_of(L, "the stream and the tags of this event");

    const int status = cursor != NULL ? tycho__lua_detail_read(cursor, tag_count, &found)
                                      : read_again(store, self, &found);

    if (status != TYCHO_OK) tycho__lua_refuse(L, status, NULL);
    lua_settop(L, kept);
    if (found.stream_size == 0)
        lua_pushboolean(L, 0);
    else
        lua_pushlstring(L, (const char *)found.stream, found.stream_size);
    lua_rawseti(L, kept, FIELD_STREAM);
    push_tags(L, found.tags, found.tags_size);
    lua_rawseti(L, kept, FIELD_TAGS);
}

/* Pushes the table of what is known, the user value of the event at index 1. */
static void push_known(lua_State *L) {
    if (lua_getiuservalue(L, 1, 1) == LUA_TTABLE) return;
    lua_createtable(L, 0, 2);
    lua_insert(L, -2);
    lua_rawseti(L, -2, CURSOR);
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, 1, 1);
}

static tycho_bytes frame_of(const event *self) {
    const tycho_bytes packed = packed_of(self);
    const size_t end = (size_t)((const unsigned char *)packed.data - self->bytes) + packed.size;
    return part(self, self->payload_at, end - self->payload_at);
}

/* What a compressed event at index 1 has: metadata, then data. It is known from then on. */
static const unsigned char *find_plain(lua_State *L, const event *self) {
    enum { PLAIN = FIELDS_END };
    push_known(L);
    const int known = lua_gettop(L);
    if (lua_rawgeti(L, known, PLAIN) == LUA_TNIL) {
        const tycho_event stored = {.position = self->position,
                                    .metadata = {NULL, self->metadata_size},
                                    .data = {NULL, self->data_size},
                                    .compressed = frame_of(self)};
        void *plain = lua_newuserdatauv(L, (size_t)self->metadata_size + self->data_size, 0);
        lua_rawgeti(L, known, CURSOR);

        const int status = tycho_decompress(store_of(L, "the data of this event"), &stored, plain);

        if (status != TYCHO_OK) tycho__lua_refuse(L, status, NULL);
        lua_settop(L, known + 2);
        lua_pushvalue(L, -1);
        lua_rawseti(L, known, PLAIN);
    }
    const unsigned char *plain = lua_touserdata(L, -1);
    lua_settop(L, known - 1); /* the table keeps it */
    return plain;
}

/* Metadata or data of the event at index 1, good as long as it is. */
static tycho_bytes payload(lua_State *L, event *self, enum field field) {
    const unsigned char *at =
        unpacked(L, self)->is_compressed ? find_plain(L, self) : self->bytes + self->payload_at;
    const tycho_bytes metadata = {at, self->metadata_size};
    const tycho_bytes data = {at + self->metadata_size, self->data_size};
    return field == FIELD_DATA ? data : metadata;
}

static void push_decoded(lua_State *L, event *self, enum field field) {
    const tycho_bytes bytes = payload(L, self, field);
    if (bytes.size == 0 && field == FIELD_DATA)
        lua_pushnil(L);
    else if (bytes.size == 0)
        lua_newtable(L);
    else {
        const int status = tycho__lua_decode(L, bytes.data, bytes.size);
        if (status != TYCHO_OK) tycho__lua_refuse_value(L, status);
    }
}

/* Pushes a field from the table of what is known, the user value of the event at index 1; it is
** put there first when it is not. */
static void push_kept(lua_State *L, event *self, enum field field) {
    push_known(L);
    if (lua_rawgeti(L, -1, field) == LUA_TNIL) {
        lua_pop(L, 1);
        if (field == FIELD_DATA || field == FIELD_METADATA) {
            push_decoded(L, self, field);
            lua_rawseti(L, -2, field);
        } else if (self->is_lazy) {
            look_up(L, self);
        } else {
            const tycho_bytes run = tags_of(self);
            push_tags(L, run.data, run.size);
            lua_rawseti(L, -2, field);
        }
        lua_rawgeti(L, -1, field);
    }
    lua_remove(L, -2);
}

static void push_stream(lua_State *L, event *self) {
    if (!self->is_lazy) {
        push_bytes(L, stream_of(self));
        return;
    }
    push_kept(L, self, FIELD_STREAM);
    if (lua_isboolean(L, -1)) {
        lua_pop(L, 1);
        lua_pushnil(L);
    }
}

static void push_field(lua_State *L, event *self, enum field field) {
    switch (field) {
    case FIELD_ID:
    case FIELD_CORRELATION_ID:
    case FIELD_CAUSATION_ID:
        push_id(L, self, field);
        break;
    case FIELD_TYPE:
        push_bytes(L, type_of(self));
        break;
    case FIELD_STREAM:
        push_stream(L, self);
        break;
    case FIELD_CONTENT_TYPE:
        push_bytes(L, content_type_of(self));
        break;
    case FIELD_POSITION:
        lua_pushinteger(L, (lua_Integer)self->position);
        break;
    case FIELD_WRITTEN:
        if (unpacked(L, self)->written == self->position)
            lua_pushnil(L);
        else
            lua_pushinteger(L, (lua_Integer)self->written);
        break;
    case FIELD_TIME:
        lua_pushinteger(L, unpacked(L, self)->time);
        break;
    case FIELD_VALID_TIME:
        lua_pushinteger(L, unpacked(L, self)->valid_time);
        break;
    case FIELD_IS_LINK:
        lua_pushboolean(L, self->is_link);
        break;
    case FIELD_REVISION:
        if (self->revision < 0)
            lua_pushnil(L);
        else
            lua_pushinteger(L, self->revision);
        break;
    case FIELD_DATA:
        if (self->content_type_size > 0)
            tycho__lua_push_bytes(L, payload(L, self, FIELD_DATA));
        else
            push_kept(L, self, field);
        break;
    case FIELD_METADATA:
    case FIELD_TAGS:
        push_kept(L, self, field);
        break;
    default:
        lua_pushnil(L);
        break;
    }
}

/* What finding a field needs: the strings of their names, as addresses, each at its place or behind
** it, which the table of methods keeps; and the bytes of KNOWN types that were asked for, the
** string of each an upvalue of __index. A type has two places there, and of those that share the
** second whichever comes last is in it. */
enum { NAMES = 64, KNOWN = 64 };
struct tycho__lua_event_class {
    struct {
        const void *name; /* NULL: none */
        enum field field;
    } names[NAMES];
    struct {
        uint8_t size;
        unsigned char bytes[47];
    } types[KNOWN];
};

/* Upvalues of __index, behind the metatable; the last is the first of the types. */
enum { METHODS = 2, CLASS = 3, TYPES = 4 };

/* By the last bytes, in which types differ; there are eight, since the header is in front. */
static size_t place_of(tycho_bytes type) {
    uint64_t tail;
    memcpy(&tail, (const unsigned char *)type.data + type.size - sizeof(tail), sizeof(tail));
    if (type.size < sizeof(tail)) tail >>= 8 * ((sizeof(tail) - type.size) % 8);
    return (size_t)(tail * 0x9e3779b97f4a7c15u >> 58) % KNOWN;
}

static inline bool is_at(const tycho__lua_event_class *with, size_t place, tycho_bytes type) {
    return with->types[place].size == type.size &&
           memcmp(with->types[place].bytes, type.data, type.size) == 0;
}

static void push_type(lua_State *L, const event *self, tycho__lua_event_class *with) {
    const tycho_bytes type = type_of(self);
    size_t place = place_of(type);

    if (!is_at(with, place, type) && with->types[place].size > 0) place ^= KNOWN / 2;
    if (is_at(with, place, type)) {
        lua_pushvalue(L, lua_upvalueindex(TYPES + (int)place));
        return;
    }
    lua_pushlstring(L, type.data, type.size);
    if (type.size > sizeof(with->types[place].bytes)) return;
    lua_pushvalue(L, -1);
    lua_replace(L, lua_upvalueindex(TYPES + (int)place));
    memcpy(with->types[place].bytes, type.data, type.size);
    with->types[place].size = (uint8_t)type.size;
}

/* The event at index 1; NULL when it is none. */
static inline event *find_self(lua_State *L) {
    event *self = lua_touserdata(L, 1);
    if (self == NULL || lua_rawlen(L, 1) < sizeof(*self)) return NULL;
    return self->mark == &tycho__lua_event_mark ? self : NULL;
}

static size_t place_of_name(const void *name) {
    return ((uintptr_t)name >> 4 ^ (uintptr_t)name >> 10) % NAMES;
}

/* The field of a name, 0 when it is none: short strings that are equal have one address. */
static inline enum field find_field(const tycho__lua_event_class *with, const void *name) {
    size_t place = place_of_name(name);
    while (with->names[place].name != name && with->names[place].name != NULL)
        place = (place + 1) % NAMES;
    return with->names[place].field;
}

static int event_index(lua_State *L) {
    event *self = find_self(L);
    tycho__lua_event_class *with =
        self != NULL ? self->class : lua_touserdata(L, lua_upvalueindex(CLASS));
    const enum field field = find_field(with, lua_topointer(L, 2));

    if (field == 0) {
        lua_settop(L, 2);
        lua_rawget(L, lua_upvalueindex(METHODS));
    } else if (self == NULL) {
        tycho__lua_self(L); /* raises */
    } else if (field == FIELD_TYPE) {
        push_type(L, self, with);
    } else {
        push_field(L, self, field);
    }
    return 1;
}

static int event_newindex(lua_State *L) {
    return tycho__lua_misuse(L, "an event is immutable: cannot set '%s'",
                             luaL_tolstring(L, 2, NULL));
}

static int event_field(lua_State *L) {
    const int keys = lua_gettop(L) - 1;
    event *self = find_self(L);
    if (self == NULL) self = tycho__lua_self(L);
    const tycho_bytes data = payload(L, self, FIELD_DATA);
    if (data.size == 0 || self->content_type_size > 0) return 0;

    const int status = tycho__lua_field(L, data.data, data.size, 2, keys);

    if (status != TYCHO_OK) return tycho__lua_refuse_value(L, status);
    return 1;
}

static int event_to_table(lua_State *L) {
    event *self = tycho__lua_self(L);
    lua_settop(L, 1);
    lua_createtable(L, 0, FIELDS_END);

    for (int field = 1; field < FIELDS_END; field++) {
        push_field(L, self, (enum field)field);
        lua_setfield(L, 2, field_names[field]);
    }
    return 1;
}

static int next_pair(lua_State *L) {
    lua_settop(L, 2);
    if (lua_next(L, 1)) return 2;
    lua_pushnil(L);
    return 1;
}

static int event_pairs(lua_State *L) {
    event_to_table(L);
    lua_pushcfunction(L, next_pair);
    lua_insert(L, -2);
    lua_pushnil(L);
    return 3;
}

static int event_equal(lua_State *L) {
    const event *a = luaL_testudata(L, 1, TYCHO__LUA_EVENT);
    const event *b = luaL_testudata(L, 2, TYCHO__LUA_EVENT);
    bool same = false;

    if (a != NULL && b != NULL) {
        char ids_of_a[3][TYCHO_UUID_SIZE], ids_of_b[3][TYCHO_UUID_SIZE];
        tycho_event in_a, in_b;
        look_into(L, a, ids_of_a, &in_a);
        look_into(L, b, ids_of_b, &in_b);
        const tycho_bytes x = in_a.id, y = in_b.id;
        same = x.size == y.size && memcmp(x.data, y.data, x.size) == 0;
    }
    lua_pushboolean(L, same);
    return 1;
}

static int event_tostring(lua_State *L) {
    const event *self = tycho__lua_self(L);
    push_bytes(L, type_of(self));
    push_id(L, self, FIELD_ID);
    lua_pushfstring(L, "tycho.Event: %s (%s)", lua_tostring(L, -2), lua_tostring(L, -1));
    return 1;
}

static void add_name(lua_State *L, tycho__lua_event_class *with, enum field field) {
    lua_pushstring(L, field_names[field]);
    const void *name = lua_topointer(L, -1);
    size_t place = place_of_name(name);
    while (with->names[place].name != NULL) place = (place + 1) % NAMES;
    with->names[place].name = name;
    with->names[place].field = field;
    lua_pushboolean(L, 1);
    lua_rawset(L, -3);
}

/* Pushes the table of methods, for the metatable on top of the stack. */
static void push_methods(lua_State *L) {
    lua_createtable(L, 0, FIELDS_END + 2);
    lua_pushvalue(L, -2);
    lua_pushcclosure(L, event_field, 1);
    lua_setfield(L, -2, "field");
    lua_pushvalue(L, -2);
    lua_pushcclosure(L, event_to_table, 1);
    lua_setfield(L, -2, "to_table");
}

/* Sets __index of the metatable on top of the stack, with the table of methods, which keeps the
** names of fields, too. */
static void register_fields(lua_State *L) {
    lua_pushvalue(L, -1);
    push_methods(L);
    tycho__lua_event_class *with = lua_newuserdatauv(L, sizeof(*with), 0);
    memset(with, 0, sizeof(*with));
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &tycho__lua_event_mark);
    lua_insert(L, -2);
    for (int field = 1; field < FIELDS_END; field++) add_name(L, with, (enum field)field);
    lua_insert(L, -2);
    luaL_checkstack(L, KNOWN, NULL);
    for (int place = 0; place < KNOWN; place++) lua_pushnil(L);
    lua_pushcclosure(L, event_index, TYPES - 1 + KNOWN);
    lua_setfield(L, -2, "__index");
}

tycho__lua_event_class *tycho__lua_event_class_push(lua_State *L) {
    luaL_getmetatable(L, TYCHO__LUA_EVENT);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &tycho__lua_event_mark);
    tycho__lua_event_class *class = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return class;
}

void tycho__lua_event_register(lua_State *L) {
    static const luaL_Reg methods[] = {
        {"__newindex", event_newindex},
        {"__pairs", event_pairs},
        {"__eq", event_equal},
        {"__tostring", event_tostring},
        {NULL, NULL},
    };
    if (luaL_newmetatable(L, TYCHO__LUA_EVENT)) {
        lua_pushvalue(L, -1);
        luaL_setfuncs(L, methods, 1);
        register_fields(L);
    }
    lua_pop(L, 1);
}
