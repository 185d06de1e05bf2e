/* listing.c - directories: streams, types, tags, routes, checkpoints, rows, streams of an event.
**
** store:listing(kind, options) gives the four values of a generic for. Each kind has a function
** that pushes what its loop sees; the first value is never nil.
*/
#include "binding.h"

#include <string.h>

typedef struct kind {
    const char *name;
    uint32_t list;
    int (*push)(lua_State *L, const tycho_item *item);
} kind;

typedef struct listing {
    tycho__lua_box box;
    const kind *kind;
    bool is_over;
} listing;

static int push_stream(lua_State *L, const tycho_item *item) {
    tycho__lua_push_bytes(L, item->name);
    lua_pushinteger(L, (lua_Integer)item->count);
    lua_pushinteger(L, item->revision);
    return 3;
}

static int push_count(lua_State *L, const tycho_item *item) {
    tycho__lua_push_bytes(L, item->name);
    lua_pushinteger(L, (lua_Integer)item->count);
    return 2;
}

static int push_route(lua_State *L, const tycho_item *item) {
    tycho__lua_push_bytes(L, item->name);
    tycho__lua_push_bytes(L, item->value);
    if (item->is_closed == 0) return 2;
    lua_pushboolean(L, 1);
    return 3;
}

static int push_checkpoint(lua_State *L, const tycho_item *item) {
    tycho__lua_push_bytes(L, item->name);
    lua_pushinteger(L, (lua_Integer)item->position);
    return 2;
}

static int push_name(lua_State *L, const tycho_item *item) {
    tycho__lua_push_bytes(L, item->name);
    return 1;
}

/* Pushes the value of a row or the metadata of a stream; nil when there is none. */
static void push_value(lua_State *L, const tycho_item *item) {
    if (item->value.size == 0) {
        lua_pushnil(L);
        return;
    }
    const int status = tycho__lua_decode(L, item->value.data, item->value.size);
    if (status != TYCHO_OK) tycho__lua_refuse_value(L, status);
}

static int push_row(lua_State *L, const tycho_item *item) {
    tycho__lua_push_bytes(L, item->name);
    push_value(L, item);
    lua_pushinteger(L, (lua_Integer)item->version);
    return 3;
}

static int push_metadata(lua_State *L, const tycho_item *item) {
    tycho__lua_push_bytes(L, item->name);
    push_value(L, item);
    return 2;
}

static const kind kinds[] = {
    {"streams", TYCHO_LIST_STREAMS, push_stream},
    {"types", TYCHO_LIST_TYPES, push_count},
    {"tags", TYCHO_LIST_TAGS, push_count},
    {"routes", TYCHO_LIST_ROUTES, push_route},
    {"checkpoints", TYCHO_LIST_CHECKPOINTS, push_checkpoint},
    {"rows", TYCHO_LIST_ROWS, push_row},
    {"streams_of", TYCHO_LIST_STREAMS_OF, push_name},
    {"stream_metadata", TYCHO_LIST_STREAMS, push_metadata},
};

static const kind *check_kind(lua_State *L, int index) {
    const char *name = luaL_checkstring(L, index);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strcmp(kinds[i].name, name) == 0) return &kinds[i];
    tycho__lua_misuse(L, "there is no list of '%s'", name);
    return NULL;
}

static tycho_bytes option(lua_State *L, const char *name) {
    lua_getfield(L, 3, name);
    tycho_bytes bytes = {NULL, 0};
    if (!lua_isnil(L, -1)) bytes = tycho__lua_bytes(L, -1, name);
    lua_pop(L, 1);
    return bytes;
}

static void listing_close(tycho__lua_box *box) {
    tycho_listing_close(box->handle);
}

/* Upvalue 1 is the listing. */
static int iterate(lua_State *L) {
    listing *self = lua_touserdata(L, lua_upvalueindex(1));
    tycho_item item;
    if (self->is_over) return lua_pushnil(L), 1;
    if (self->box.handle == NULL) return tycho__lua_misuse(L, "listing is closed");

    const int status = tycho_listing_next(self->box.handle, &item);

    if (status == TYCHO_OK) return self->kind->push(L, &item);
    if (status != TYCHO_END) return tycho__lua_refuse(L, status, NULL);
    self->is_over = true;
    tycho__lua_box_close(&self->box);
    lua_pushnil(L);
    return 1;
}

/* store:listing(kind, {subject, prefix, after, limit, exact}) */
int tycho__lua_store_listing(lua_State *L) {
    tycho__lua_box *store = tycho__lua_self_open(L);
    tycho_list_options options = {.size = sizeof(options)};
    void *handle = NULL;
    const kind *chosen = check_kind(L, 2);
    luaL_checktype(L, 3, LUA_TTABLE);
    options.list = chosen->list;
    options.subject = option(L, "subject");
    options.prefix = option(L, "prefix");
    options.after = option(L, "after");
    lua_getfield(L, 3, "limit");
    options.limit = lua_isnil(L, -1) ? 0 : (uint64_t)tycho__lua_integer(L, -1, "limit");
    lua_getfield(L, 3, "exact");
    options.exact = lua_toboolean(L, -1) ? 1 : 0;
    listing *self = tycho__lua_box_create(L, sizeof(*self), TYCHO__LUA_LISTING);
    tycho__lua_box_attach(L, 1);

    self->kind = chosen;
    self->box.noun = "listing";
    self->box.close = listing_close;
    const int status =
        tycho_listing_open(store->handle, &options, (tycho_listing **)(void *)&handle);
    self->box.handle = handle;

    if (status != TYCHO_OK) return tycho__lua_refuse(L, status, NULL);
    lua_pushvalue(L, -1);
    lua_pushcclosure(L, iterate, 1);
    lua_insert(L, -2);
    lua_pushnil(L);
    lua_insert(L, -2);
    lua_pushnil(L);
    lua_insert(L, -2);
    return 4;
}

void tycho__lua_listing_register(lua_State *L) {
    static const luaL_Reg methods[] = {{NULL, NULL}};
    tycho__lua_class_register(L, TYCHO__LUA_LISTING, methods);
}
