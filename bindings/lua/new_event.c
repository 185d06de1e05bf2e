/* new_event.c - from Lua tables to tycho_new_event.
**
** Strings are used where Lua has them: the tables anchor them while the batch copies them. What is
** encoded or listed goes to the scratch memory of the batch, which moves as it grows, so that
** pointers into it are set at the end, by walking the sizes:
**
**     events  [0] metadata, data, tags    [1] metadata, data, tags   ...
**     bytes   |metadata|data|metadata|data|...         names  |tag|tag|tag|...
*/
#include "binding.h"
#include "nearest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEEP_MAX = 1 << 20, PLACE_MAX = 80 };

/* The fields of tycho.NewEvent, and those that only a read event has. */
enum field {
    FIELD_TYPE = 1, FIELD_DATA, FIELD_METADATA, FIELD_ID, FIELD_TIME, FIELD_VALID_TIME, FIELD_TAGS,
    FIELD_CORRELATION_ID, FIELD_CAUSATION_ID, FIELD_CONTENT_TYPE, FIELD_NAMES,
    FIELD_POSITION = FIELD_NAMES, FIELD_REVISION, FIELD_STREAM, FIELD_IS_LINK, FIELD_WRITTEN,
    FIELDS_END
};
static const char *const field_names[FIELDS_END] = {
    "", "type", "data", "metadata", "id", "time", "valid_time", "tags", "correlation_id",
    "causation_id", "content_type", "position", "revision", "stream", "is_link", "written",
};

/* Where things are while a list of events is laid out. */
typedef struct layout {
    tycho__lua_scratch *scratch;
    int names;   /* index of the table from the name of a field to its number */
    int ids;     /* index of the list of ids, 0: events without one get none (overwrite) */
    int context; /* index of {metadata, correlation_id, causation_id}, or 0 */
    lua_Integer id_count;
    lua_Integer number;    /* of the event in the list, 0 when there is no list */
    char place[PLACE_MAX]; /* what where() gave last */
} layout;

/* A field for a message: "events[3].tags", or "tags" where there is no list. */
static const char *where(layout *to, const char *field) {
    if (to->number == 0) return field;
    snprintf(to->place, sizeof(to->place), "events[%lld].%.32s", (long long)to->number, field);
    return to->place;
}

/* ---------------------------------------------------------------- the scratch memory */

void tycho__lua_scratch_free(tycho__lua_scratch *scratch) {
    free(scratch->events);
    free(scratch->names);
    tycho__payload_free(&scratch->bytes);
    memset(scratch, 0, sizeof(*scratch));
}

void tycho__lua_scratch_clear(tycho__lua_scratch *scratch) {
    const size_t kept = scratch->bytes.capacity + scratch->events_max * sizeof(*scratch->events) +
                        scratch->names_max * sizeof(*scratch->names);
    if (kept > KEEP_MAX) tycho__lua_scratch_free(scratch);
    scratch->event_count = 0;
    scratch->name_count = 0;
    tycho__payload_clear(&scratch->bytes);
}

/* Room for one more item of `size` bytes in a vector. */
static void *grow(lua_State *L, void *items, size_t count, size_t *max, size_t size) {
    if (count < *max) return items;
    const size_t new_max = *max == 0 ? 16 : *max * 2;
    void *grown = realloc(items, new_max * size);
    if (grown == NULL)
        luaL_error(L, "not enough memory");
    else
        *max = new_max;
    return grown;
}

static tycho_new_event *add_event(lua_State *L, tycho__lua_scratch *scratch) {
    scratch->events = grow(L, scratch->events, scratch->event_count, &scratch->events_max,
                           sizeof(*scratch->events));
    tycho_new_event *event = &scratch->events[scratch->event_count++];
    memset(event, 0, sizeof(*event));
    return event;
}

static void add_name(lua_State *L, tycho__lua_scratch *scratch, tycho_bytes name) {
    scratch->names =
        grow(L, scratch->names, scratch->name_count, &scratch->names_max, sizeof(*scratch->names));
    scratch->names[scratch->name_count++] = name;
}

static void set_pointers(tycho__lua_scratch *scratch) {
    const unsigned char *bytes = scratch->bytes.data;
    const tycho_bytes *names = scratch->names;

    for (size_t i = 0; i < scratch->event_count; i++) {
        tycho_new_event *event = &scratch->events[i];
        event->metadata.data = bytes;
        if (bytes != NULL) bytes += event->metadata.size;
        event->data.data = bytes;
        if (bytes != NULL) bytes += event->data.size;
        event->tags = names;
        if (names != NULL) names += event->tag_count;
    }
}

/* ---------------------------------------------------------------- names */

/* Adds the strings of the list at `index`; gives their number. */
static size_t add_names(lua_State *L, tycho__lua_scratch *scratch, int index, const char *what) {
    char place[PLACE_MAX + 32];
    const size_t count = (size_t)lua_rawlen(L, index);

    for (size_t i = 1; i <= count; i++) {
        if (lua_rawgeti(L, index, (lua_Integer)i) != LUA_TSTRING)
            snprintf(place, sizeof(place), "%s[%zu]", what, i);
        add_name(L, scratch, tycho__lua_bytes(L, -1, place));
        lua_pop(L, 1);
    }
    return count;
}

void tycho__lua_names(lua_State *L, tycho__lua_scratch *scratch, int index, const char *what) {
    tycho__lua_scratch_clear(scratch);
    if (lua_type(L, index) == LUA_TTABLE)
        add_names(L, scratch, index, what);
    else if (lua_type(L, index) == LUA_TSTRING)
        add_name(L, scratch, tycho__lua_bytes(L, index, what));
    else
        tycho__lua_misuse(L, "%s must be a string or a list of strings, got %s", what,
                          luaL_typename(L, index));
}

/* ---------------------------------------------------------------- the fields of an event */

/* Pushes a field of the event on top of the stack, raw. */
static int push_field(lua_State *L, const char *name) {
    lua_pushstring(L, name);
    return lua_rawget(L, -2);
}

/* Refuses the key on top of the stack. */
static void refuse_field(lua_State *L, layout *to) {
    const char *key = luaL_tolstring(L, -1, NULL);
    const char *near = tycho__nearest(key, field_names + 1, FIELD_NAMES - 1);
    if (near != NULL)
        tycho__lua_misuse(L, "%s is no field of an event (did you mean '%s'?)", where(to, key),
                          near);
    tycho__lua_misuse(L, "%s is no field of an event", where(to, key));
}

/* The value on top of the stack, a string that is not empty. */
static tycho_bytes text_of(lua_State *L, layout *to, const char *field) {
    tycho_bytes bytes = {NULL, 0};
    if (lua_type(L, -1) == LUA_TSTRING) bytes.data = lua_tolstring(L, -1, &bytes.size);
    if (bytes.size == 0) return tycho__lua_optional_bytes(L, -1, where(to, field));
    return bytes;
}

static int64_t integer_of(lua_State *L, layout *to, const char *field) {
    if (lua_isinteger(L, -1)) return lua_tointeger(L, -1);
    return tycho__lua_integer(L, -1, where(to, field));
}

/* Takes the value on top of the stack for the field; data, metadata and tags come later. */
static void take_field(lua_State *L, layout *to, tycho_new_event *event, enum field field) {
    const char *name = field_names[field];

    switch (field) {
    case FIELD_TYPE:
        event->type = text_of(L, to, name);
        break;
    case FIELD_ID:
        event->id = text_of(L, to, name);
        break;
    case FIELD_CORRELATION_ID:
        event->correlation_id = text_of(L, to, name);
        break;
    case FIELD_CAUSATION_ID:
        event->causation_id = text_of(L, to, name);
        break;
    case FIELD_CONTENT_TYPE:
        event->content_type = tycho__lua_bytes(L, -1, where(to, name));
        break;
    case FIELD_TIME:
        event->time = integer_of(L, to, name);
        event->flags |= TYCHO_HAS_TIME;
        break;
    case FIELD_VALID_TIME:
        event->valid_time = integer_of(L, to, name);
        event->flags |= TYCHO_HAS_VALID_TIME;
        break;
    case FIELD_POSITION:
    case FIELD_REVISION:
    case FIELD_STREAM:
    case FIELD_IS_LINK:
    case FIELD_WRITTEN:
        if (to->ids != 0)
            tycho__lua_misuse(L, "%s cannot be given: the store sets it", where(to, name));
        break;
    default:
        break;
    }
}

static void take_fields(lua_State *L, layout *to, tycho_new_event *event) {
    lua_pushnil(L);
    while (lua_next(L, -2)) {
        lua_pushvalue(L, -2);
        lua_rawget(L, to->names);
        const enum field field = (enum field)lua_tointeger(L, -1);
        lua_pop(L, 1);
        if (field == 0) {
            lua_pop(L, 1);
            refuse_field(L, to);
        }
        take_field(L, to, event, field);
        lua_pop(L, 1);
    }
}

/* Encodes the value on top of the stack and pops it; gives its size. */
static size_t encode(lua_State *L, layout *to, const char *field) {
    const size_t before = to->scratch->bytes.size;

    const int status = tycho__lua_encode(L, lua_gettop(L), where(to, field), &to->scratch->bytes);
    if (status != TYCHO_OK) tycho__lua_refuse_value(L, status);
    lua_pop(L, 1);
    return to->scratch->bytes.size - before;
}

/* Copies the pairs of the table on top of the stack into the one below, and pops it. */
static void merge(lua_State *L) {
    lua_pushnil(L);
    while (lua_next(L, -2)) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, -5);
    }
    lua_pop(L, 1);
}

/* The event is on top of the stack. Its own metadata win over those of the context. */
static void take_metadata(lua_State *L, layout *to, tycho_new_event *event) {
    struct tycho_buffer *bytes = &to->scratch->bytes;
    const int own = push_field(L, "metadata");
    const int inherited = to->context == 0 ? LUA_TNIL : lua_getfield(L, to->context, "metadata");

    if (own != LUA_TNIL && own != LUA_TTABLE)
        tycho__lua_misuse(L, "%s must be a table, got %s", where(to, "metadata"),
                          lua_typename(L, own));
    if (inherited == LUA_TTABLE && own == LUA_TTABLE) {
        lua_newtable(L);
        lua_insert(L, -2);
        merge(L);
        lua_insert(L, -2);
        merge(L);
    } else if (to->context != 0) {
        lua_remove(L, inherited == LUA_TTABLE ? -2 : -1);
    }
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        return;
    }
    const size_t start = bytes->size;
    event->metadata.size = encode(L, to, "metadata");
    const unsigned first = bytes->data[start];
    if ((first & 0xf0) != 0x80 && first != 0xde && first != 0xdf)
        tycho__lua_misuse(L, "%s must be a map with names as keys, got a list",
                          where(to, "metadata"));
    if (first == 0x80) {
        bytes->size = start;
        event->metadata.size = 0;
    }
}

/* The event is on top of the stack. */
static void take_data(lua_State *L, layout *to, tycho_new_event *event) {
    struct tycho_buffer *bytes = &to->scratch->bytes;
    const int type = push_field(L, "data");

    if (event->content_type.size > 0) {
        tycho_bytes data = {NULL, 0};
        if (type != LUA_TNIL) data = tycho__lua_bytes(L, -1, where(to, "data with a content_type"));
        tycho__payload_put(bytes, data.data, data.size);
        event->data.size = data.size;
        lua_pop(L, 1);
    } else if (type == LUA_TNIL) {
        tycho__msgpack_put_map(bytes, 0);
        event->data.size = 1;
        lua_pop(L, 1);
    } else {
        event->data.size = encode(L, to, "data");
    }
    if (bytes->failed) luaL_error(L, "not enough memory");
}

/* The event is on top of the stack. */
static void take_tags(lua_State *L, layout *to, tycho_new_event *event) {
    const int type = push_field(L, "tags");

    if (type != LUA_TNIL) {
        if (type != LUA_TTABLE)
            tycho__lua_misuse(L, "%s must be a list of strings, got %s", where(to, "tags"),
                              lua_typename(L, type));
        event->tag_count = (uint32_t)add_names(L, to->scratch, lua_gettop(L), where(to, "tags"));
    }
    lua_pop(L, 1);
}

/* Takes from the context what the event does not have itself. */
static void take_context(lua_State *L, layout *to, tycho_new_event *event) {
    if (to->context == 0) return;
    lua_getfield(L, to->context, "correlation_id");
    if (event->correlation_id.size == 0)
        event->correlation_id = tycho__lua_optional_bytes(L, -1, "correlation_id");
    lua_getfield(L, to->context, "causation_id");
    if (event->causation_id.size == 0)
        event->causation_id = tycho__lua_optional_bytes(L, -1, "causation_id");
    lua_pop(L, 2);
}

/* Puts the id, made when there is none, onto the list that anchors it. */
static void take_id(lua_State *L, layout *to, tycho_new_event *event) {
    char id[TYCHO_UUID_SIZE];

    if (to->ids == 0) return;
    if (event->id.size == 0) {
        tycho_uuid(id);
        event->id.data = lua_pushlstring(L, id, sizeof(id));
        event->id.size = sizeof(id);
    } else {
        tycho__lua_push_bytes(L, event->id);
    }
    to->id_count++;
    lua_rawseti(L, to->ids, to->id_count);
}

/* Lays out the event on top of the stack. */
static void take_event(lua_State *L, layout *to) {
    tycho_new_event event = {0};

    take_fields(L, to, &event);
    if (event.type.size == 0)
        tycho__lua_misuse(L, "%s is missing: an event needs a type", where(to, "type"));
    take_metadata(L, to, &event);
    take_data(L, to, &event);
    take_tags(L, to, &event);
    take_context(L, to, &event);
    take_id(L, to, &event);
    *add_event(L, to->scratch) = event;
}

void tycho__lua_new_events(lua_State *L, tycho__lua_scratch *scratch, int events, int ids,
                           int context) {
    layout to = {.scratch = scratch, .ids = ids, .context = context};

    if (lua_type(L, events) != LUA_TTABLE)
        tycho__lua_misuse(L, "an event or a list of events must be a table, got %s",
                          luaL_typename(L, events));
    luaL_checkstack(L, 20, NULL);
    tycho__lua_scratch_clear(scratch);
    if (luaL_getsubtable(L, LUA_REGISTRYINDEX, "tycho.new_event") == 0)
        for (int i = 1; i < FIELDS_END; i++) tycho__lua_set_integer(L, field_names[i], i);
    to.names = lua_gettop(L);
    if (ids != 0) to.id_count = (lua_Integer)lua_rawlen(L, ids);
    lua_pushvalue(L, events);
    const lua_Integer count = (lua_Integer)lua_rawlen(L, events);
    lua_pushnil(L);
    const bool is_list = count > 0 || lua_next(L, -2) == 0;
    lua_settop(L, to.names + 1);
    if (count > TYCHO_BATCH_EVENTS_MAX) {
        lua_pushfstring(L, "a batch may have at most %d events, got %I", TYCHO_BATCH_EVENTS_MAX,
                        count);
        tycho__lua_refuse_value(L, TYCHO_TOO_LARGE);
    }
    if (!is_list) take_event(L, &to);
    for (lua_Integer i = 1; i <= count; i++) {
        to.number = i;
        if (lua_rawgeti(L, events, i) != LUA_TTABLE)
            tycho__lua_misuse(L, "events[%I] must be a table, got %s", i, luaL_typename(L, -1));
        take_event(L, &to);
        lua_pop(L, 1);
    }
    lua_settop(L, to.names - 1);
    set_pointers(scratch);
}
