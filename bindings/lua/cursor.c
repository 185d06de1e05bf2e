/* cursor.c - a read in progress: next, take, key, and the iterator of a generic for.
**
** At its end a cursor closes itself and goes on giving nil. One that was closed before its end
** raises when it is used.
*/
#include "binding.h"

typedef struct cursor {
    tycho__lua_reader reader;
    bool is_over;
} cursor;

static void cursor_close(tycho__lua_box *box) {
    tycho_cursor_close(box->handle);
}

/* store:cursor(state [, "first" | "last"]) */
int tycho__lua_store_cursor(lua_State *L) {
    static const char *const parts[] = {"all", "first", "last", NULL};
    static const uint32_t flags[] = {0, TYCHO_READ_FIRST, TYCHO_READ_LAST};
    tycho__lua_box *store = tycho__lua_self_open(L);
    tycho__lua_read read;
    void *handle = NULL;
    const int part = luaL_checkoption(L, 3, "all", parts);
    lua_settop(L, 2);
    tycho__lua_read_fill(L, 2, &read);
    read.read.flags |= flags[part];
    lua_getfield(L, 2, "snapshot");
    const int parent = lua_isnil(L, -1) ? 1 : lua_gettop(L);
    cursor *self = tycho__lua_box_create(L, sizeof(*self), TYCHO__LUA_CURSOR);
    tycho__lua_box_attach(L, parent);

    tycho__lua_box *box = &self->reader.box;
    box->noun = "cursor";
    box->close = cursor_close;
    const int status =
        tycho_cursor_open(store->handle, &read.read, (tycho_cursor **)(void *)&handle);
    box->handle = self->reader.cursor = handle;

    if (status != TYCHO_OK) return tycho__lua_refuse(L, status, NULL);
    return 1;
}

/* store:count(state) */
int tycho__lua_store_count(lua_State *L) {
    tycho__lua_box *store = tycho__lua_self_open(L);
    tycho__lua_read read;
    uint64_t count = 0;
    tycho__lua_read_fill(L, 2, &read);

    const int status = tycho_count(store->handle, &read.read, &count);

    if (status != TYCHO_OK) return tycho__lua_refuse(L, status, NULL);
    lua_pushinteger(L, (lua_Integer)count);
    return 1;
}

/* Whether there may be a next event, to which the cursor is to be moved then. */
static inline bool goes_on(lua_State *L, cursor *self) {
    if (self->is_over) return false;
    if (self->reader.box.handle == NULL) tycho__lua_misuse(L, "cursor is closed");
    self->reader.step++;
    return true;
}

/* Pushes nil at the end, and raises everything else that is no event. */
static int push_end(lua_State *L, cursor *self, int status) {
    if (status != TYCHO_END) return tycho__lua_refuse(L, status, NULL);
    self->is_over = true;
    tycho__lua_box_close(&self->reader.box);
    lua_pushnil(L);
    return 1;
}

/* Pushes the next event, or nil at the end. The cursor is at index 1. */
static int push_next(lua_State *L, cursor *self, int metatable, tycho__lua_event_class *class) {
    const tycho__lua_origin origin = {&self->reader, 1, metatable, class};
    tycho_cursor *handle = self->reader.cursor;
    tycho_event event;
    if (!goes_on(L, self)) return lua_pushnil(L), 1;

    int status = tycho_cursor_next(handle, &event);
    if (status == TYCHO_OK) status = tycho_cursor_pack(handle, &event);
    if (status == TYCHO_OK) status = tycho__lua_event_push(L, &event, &origin);

    return status == TYCHO_OK ? 1 : push_end(L, self, status);
}

static int cursor_next(lua_State *L) {
    cursor *self = tycho__lua_self(L);
    lua_settop(L, 1);
    return push_next(L, self, 2, tycho__lua_event_class_push(L));
}

/* The function of a generic for: upvalues are the cursor and the metatable of events. */
static int iterate(lua_State *L) {
    cursor *self = lua_touserdata(L, lua_upvalueindex(1));
    const tycho__lua_origin origin = {&self->reader, lua_upvalueindex(1), lua_upvalueindex(2),
                                      self->reader.class};
    tycho_event event;
    if (!goes_on(L, self)) return lua_pushnil(L), 1;

    const int status = tycho_cursor_next_packed(self->reader.cursor, &event);

    if (status != TYCHO_OK) return push_end(L, self, status);
    tycho__lua_event_push_lazy(L, &event, &origin);
    return 1;
}

tycho_cursor *tycho__lua_cursor_at(lua_State *L, int index, uint64_t step) {
    const tycho__lua_reader *self = lua_touserdata(L, index);
    return self->box.handle != NULL && self->step == step ? self->cursor : NULL;
}

/* cursor:iterator(): the four values of a generic for. */
static int cursor_iterator(lua_State *L) {
    cursor *self = tycho__lua_self_open(L);
    lua_settop(L, 1);
    lua_pushvalue(L, 1);
    self->reader.class = tycho__lua_event_class_push(L);
    lua_pushcclosure(L, iterate, 2);
    lua_pushnil(L);
    lua_pushnil(L);
    lua_pushvalue(L, 1);
    return 4;
}

/* cursor:take(count): a list of up to that many events, shorter only at the end. */
static int cursor_take(lua_State *L) {
    cursor *self = tycho__lua_self(L);
    const int64_t count = tycho__lua_integer(L, 2, "count");
    lua_settop(L, 2);
    tycho__lua_event_class *class = tycho__lua_event_class_push(L);
    lua_newtable(L);

    for (lua_Integer i = 1; i <= count; i++) {
        push_next(L, self, 3, class);
        if (lua_isnil(L, -1)) {
            lua_pop(L, 1);
            break;
        }
        lua_rawseti(L, 4, i);
    }
    return 1;
}

static int cursor_key(lua_State *L) {
    tycho__lua_box *self = tycho__lua_self_open(L);
    tycho_bytes key;

    const int status = tycho_cursor_key(self->handle, &key);

    if (status != TYCHO_OK) return tycho__lua_refuse(L, status, NULL);
    tycho__lua_push_bytes(L, key);
    return 1;
}

void tycho__lua_cursor_register(lua_State *L) {
    static const luaL_Reg methods[] = {
        {"next", cursor_next}, {"iterator", cursor_iterator},
        {"take", cursor_take}, {"key", cursor_key},
        {NULL, NULL},
    };
    tycho__lua_class_register(L, TYCHO__LUA_CURSOR, methods);
}
