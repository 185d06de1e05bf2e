/* read.c - from the state of a specification to a tycho_read.
**
** The state is a plain table that scripts/tycho/specification.lua has checked; its strings are
** used where they are. Fields, all optional:
**     stream, raw, stored, backward, limit, from_id, to_id, from_position, to_position,
**     from_revision, to_revision, from_time, until_time, order ("as_at", "as_of"), ids,
**     resume, snapshot, query {{types = {...}, tags = {...}}, ...}
*/
#include "binding.h"

#include <string.h>

/* Pushes the names at `field` of the table on top of the stack onto the end of `read->names`. */
static size_t take_names(lua_State *L, const char *field, tycho__lua_read *read, size_t *used) {
    size_t count = 0;

    if (lua_getfield(L, -1, field) == LUA_TTABLE) {
        while (lua_rawgeti(L, -1, (lua_Integer)count + 1) != LUA_TNIL) {
            if (*used == TYCHO_QUERY_MAX)
                tycho__lua_misuse(L, "a query may have at most %d types and tags", TYCHO_QUERY_MAX);
            read->names[*used] = tycho__lua_bytes(L, -1, "a type or tag of a query");
            lua_pop(L, 1);
            *used += 1;
            count++;
        }
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return count;
}

void tycho__lua_query_fill(lua_State *L, int index, tycho__lua_read *read) {
    size_t count = 0, used = 0;

    luaL_checktype(L, index, LUA_TTABLE);
    while (lua_rawgeti(L, index, (lua_Integer)count + 1) == LUA_TTABLE) {
        if (count == TYCHO_QUERY_MAX)
            tycho__lua_misuse(L, "a query may have at most %d alternatives", TYCHO_QUERY_MAX);
        tycho_query_item *item = &read->items[count];
        item->types = &read->names[used];
        item->type_count = take_names(L, "types", read, &used);
        item->tags = &read->names[used];
        item->tag_count = take_names(L, "tags", read, &used);
        lua_pop(L, 1);
        count++;
    }
    lua_pop(L, 1);
    read->query.items = read->items;
    read->query.item_count = count;
}

static bool take_integer(lua_State *L, int index, const char *field, int64_t *value) {
    const bool given = lua_getfield(L, index, field) != LUA_TNIL;
    if (given) *value = tycho__lua_integer(L, -1, field);
    lua_pop(L, 1);
    return given;
}

static bool take_bytes(lua_State *L, int index, const char *field, tycho_bytes *value) {
    const bool given = lua_getfield(L, index, field) != LUA_TNIL;
    if (given) *value = tycho__lua_bytes(L, -1, field);
    lua_pop(L, 1);
    return given;
}

static bool take_boolean(lua_State *L, int index, const char *field) {
    lua_getfield(L, index, field);
    const bool value = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return value;
}

static void take_bounds(lua_State *L, int index, tycho_read *read) {
    int64_t position = 0;

    take_bytes(L, index, "from_id", &read->from_id);
    take_bytes(L, index, "to_id", &read->to_id);
    if (take_integer(L, index, "from_position", &position)) {
        read->from_position = (uint64_t)position;
        read->flags |= TYCHO_READ_FROM_POSITION;
    }
    if (take_integer(L, index, "to_position", &position)) {
        read->to_position = (uint64_t)position;
        read->flags |= TYCHO_READ_TO_POSITION;
    }
    if (take_integer(L, index, "from_revision", &read->from_revision))
        read->flags |= TYCHO_READ_FROM_REVISION;
    if (take_integer(L, index, "to_revision", &read->to_revision))
        read->flags |= TYCHO_READ_TO_REVISION;
    if (take_integer(L, index, "from_time", &read->from_time)) read->flags |= TYCHO_READ_FROM_TIME;
    if (take_integer(L, index, "until_time", &read->until_time))
        read->flags |= TYCHO_READ_UNTIL_TIME;
}

/* Pushes the memory of the list of ids, or nil. */
static void take_ids(lua_State *L, int index, tycho_read *read) {
    if (lua_getfield(L, index, "ids") != LUA_TTABLE) return;

    const size_t count = (size_t)lua_rawlen(L, -1);
    tycho_bytes *ids = lua_newuserdatauv(L, (count + 1) * sizeof(*ids), 0);
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, -2, (lua_Integer)i + 1);
        ids[i] = tycho__lua_bytes(L, -1, "an event id");
        lua_pop(L, 1);
    }
    lua_remove(L, -2);
    read->ids = ids;
    read->id_count = count;
    read->flags |= TYCHO_READ_BY_IDS;
}

void tycho__lua_read_fill(lua_State *L, int index, tycho__lua_read *read) {
    tycho_read *to = &read->read;
    tycho_bytes order = {NULL, 0};
    int64_t limit = 0;

    luaL_checktype(L, index, LUA_TTABLE);
    memset(to, 0, sizeof(*to));
    to->size = sizeof(*to);
    take_bytes(L, index, "stream", &to->stream);
    take_bytes(L, index, "resume", &to->resume);
    if (take_boolean(L, index, "backward")) to->flags |= TYCHO_READ_BACKWARD;
    if (take_boolean(L, index, "raw")) to->flags |= TYCHO_READ_RAW;
    if (take_boolean(L, index, "stored")) to->flags |= TYCHO_READ_STORED;
    if (take_integer(L, index, "limit", &limit)) to->limit = (uint64_t)limit;
    if (take_bytes(L, index, "order", &order))
        to->order = strcmp(order.data, "as_at") == 0 ? TYCHO_AS_AT : TYCHO_AS_OF;
    take_bounds(L, index, to);
    if (lua_getfield(L, index, "query") == LUA_TTABLE) {
        tycho__lua_query_fill(L, lua_gettop(L), read);
        to->query = &read->query;
    }
    lua_pop(L, 1);
    if (lua_getfield(L, index, "snapshot") != LUA_TNIL) {
        tycho__lua_box *snapshot = tycho__lua_box_check(L, lua_gettop(L), TYCHO__LUA_SNAPSHOT);
        to->snapshot = snapshot->handle;
    }
    lua_pop(L, 1);
    take_ids(L, index, to);
}
