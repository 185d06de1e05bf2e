/* view.c - what a script sees of an object of the host: one userdata for each type of object, which
** is made once, shows another object in each call, and nothing between calls.
**
** Names of fields are short strings, of which Lua has each once: the address tells which one is
** asked for. A value that is a table, or a string that is not short, is kept in the user value of
** the field's number, from 1, so that it is made once.
*/
#include "state.h"

#include <assert.h>

enum { SHORT_STRING = 40 };

/* Pushes the value of a field, which the script is not charged for. */
static void get_field(lua_State *L, const struct tycho__host_view *view, int field) {
    struct tycho__sandbox *sandbox = tycho__host(L);
    sandbox->is_host = 1;
    view->type->get(L, view->object, field);
    sandbox->is_host = 0;
    if (lua_type(L, -1) == LUA_TSTRING) tycho__sandbox_weigh(L, lua_rawlen(L, -1));
}

static int view_index(lua_State *L) {
    struct tycho__host_view *view = lua_touserdata(L, 1);
    const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "(no name)";
    int field = view->count;
    while (field > 0 && view->names[field - 1] != name) field--;
    if (field == 0) return luaL_error(L, "%s has no field '%s'", view->type->name, name);
    view->reads |= 1u << (field - 1);
    if (view->object == NULL) {
        return luaL_error(L, "this %s was that of a call that is over", view->type->name);
    }
    if (view->kept & 1u << field) {
        lua_getiuservalue(L, 1, field);
        return 1;
    }
    get_field(L, view, field - 1);
    if (lua_istable(L, -1) ||
        (lua_type(L, -1) == LUA_TSTRING && lua_rawlen(L, -1) > SHORT_STRING)) {
        lua_pushvalue(L, -1);
        lua_setiuservalue(L, 1, field);
        view->kept |= 1u << field;
    }
    return 1;
}

static int view_newindex(lua_State *L) {
    const struct tycho__host_view *view = lua_touserdata(L, 1);
    return luaL_error(L, "%s is read-only", view->type->name);
}

/* Pushes a new view. */
static struct tycho__host_view *create(lua_State *L, const struct tycho__sandbox_view_type *type) {
    struct tycho__sandbox *sandbox = tycho__host(L);
    int count = 0;
    assert(sandbox->view_count < TYCHO__SANDBOX_VIEWS_MAX);
    while (type->names[count] != NULL) count++;
    assert(count <= TYCHO__SANDBOX_VIEW_FIELDS);
    lua_createtable(L, count, 0); /* keeps the names */
    struct tycho__host_view *view = lua_newuserdatauv(L, sizeof *view, count);
    *view = (struct tycho__host_view){.type = type, .count = count};
    for (int i = 0; i < count; i++) {
        view->names[i] = lua_pushstring(L, type->names[i]);
        lua_rawseti(L, -3, i + 1);
    }
    lua_createtable(L, 0, 3);
    lua_pushvalue(L, -3);
    lua_pushcclosure(L, view_index, 1);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, view_newindex);
    lua_setfield(L, -2, "__newindex");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
    lua_remove(L, -2);
    lua_pushvalue(L, -1);
    view->slot = luaL_ref(L, LUA_REGISTRYINDEX);
    sandbox->views[sandbox->view_count++] = view;
    return view;
}

void tycho__sandbox_push_view(lua_State *L, const struct tycho__sandbox_view_type *type,
                              const void *object) {
    assert(object != NULL);
    luaL_checkstack(L, 6, "no room for a view");
    const struct tycho__sandbox *sandbox = tycho__host(L);
    struct tycho__host_view *view = NULL;
    for (int i = 0; i < sandbox->view_count && view == NULL; i++) {
        if (sandbox->views[i]->type == type) view = sandbox->views[i];
    }
    if (view == NULL) {
        view = create(L, type);
    } else {
        lua_rawgeti(L, LUA_REGISTRYINDEX, view->slot);
    }
    for (int field = 1; view->kept != 0; field++) {
        if (!(view->kept & 1u << field)) continue;
        lua_pushnil(L);
        lua_setiuservalue(L, -2, field);
        view->kept &= ~(1u << field);
    }
    view->object = object;
    view->reads = 0;
}

uint32_t tycho__sandbox_view_reads(const struct tycho__sandbox *sandbox,
                                   const struct tycho__sandbox_view_type *type) {
    for (int i = 0; i < sandbox->view_count; i++) {
        if (sandbox->views[i]->type == type) return sandbox->views[i]->reads;
    }
    return 0;
}

void tycho__host_end_views(struct tycho__sandbox *sandbox) {
    for (int i = 0; i < sandbox->view_count; i++) sandbox->views[i]->object = NULL;
    sandbox->fields.data = NULL;
}
