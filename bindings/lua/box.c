/* box.c - boxes: userdata that own an engine handle (the rules are in binding.h).
**
** The tree of boxes is three deep, and every box is in at most one list:
**
**     parent.children -> newest <-> ... <-> oldest
*/
#include "binding.h"

#include <assert.h>
#include <string.h>

void *tycho__lua_box_create(lua_State *L, size_t size, const char *name) {
    assert(size >= sizeof(tycho__lua_box));
    void *box = lua_newuserdatauv(L, size, 1);
    memset(box, 0, size);
    luaL_setmetatable(L, name);
    return box;
}

void tycho__lua_box_attach(lua_State *L, int index) {
    tycho__lua_box *box = lua_touserdata(L, -1);
    tycho__lua_box *parent = lua_touserdata(L, index);
    assert(box != NULL && box->parent == NULL);
    assert(parent != NULL && parent->handle != NULL);

    lua_pushvalue(L, index);
    lua_setiuservalue(L, -2, 1);
    box->parent = parent;
    box->next = parent->children;
    if (box->next != NULL) box->next->previous = box;
    parent->children = box;
}

static void detach(tycho__lua_box *box) {
    if (box->parent == NULL) return;
    if (box->previous != NULL)
        box->previous->next = box->next;
    else
        box->parent->children = box->next;
    if (box->next != NULL) box->next->previous = box->previous;
    box->parent = box->next = box->previous = NULL;
}

/* Closes a box that has no children. */
static void close_leaf(tycho__lua_box *box) {
    assert(box->children == NULL);
    detach(box);
    if (box->handle != NULL) box->close(box);
    box->handle = NULL;
}

void tycho__lua_box_close(tycho__lua_box *box) {
    while (box->children != NULL) {
        tycho__lua_box *leaf = box->children;
        while (leaf->children != NULL) leaf = leaf->children;
        close_leaf(leaf);
    }
    close_leaf(box);
}

void *tycho__lua_self(lua_State *L) {
    void *self = lua_touserdata(L, 1);
    if (self != NULL && lua_getmetatable(L, 1)) {
        const bool same = lua_topointer(L, -1) == lua_topointer(L, lua_upvalueindex(1));
        lua_pop(L, 1);
        if (same) return self;
    }
    lua_getfield(L, lua_upvalueindex(1), "__name");
    tycho__lua_misuse(L, "%s expected, got %s (call methods with ':')", lua_tostring(L, -1),
                      luaL_typename(L, 1));
    return NULL;
}

static void check_open(lua_State *L, const tycho__lua_box *box) {
    assert(box->noun != NULL);
    if (box->handle == NULL) tycho__lua_misuse(L, "%s is closed", box->noun);
}

void *tycho__lua_self_open(lua_State *L) {
    void *box = tycho__lua_self(L);
    check_open(L, box);
    return box;
}

void *tycho__lua_box_check(lua_State *L, int index, const char *name) {
    void *box = luaL_testudata(L, index, name);
    if (box == NULL) tycho__lua_misuse(L, "%s expected, got %s", name, luaL_typename(L, index));
    check_open(L, box);
    return box;
}

static int box_close(lua_State *L) {
    tycho__lua_box *box = tycho__lua_self(L);

    tycho__lua_box_close(box);

    return 0;
}

static int box_is_open(lua_State *L) {
    const tycho__lua_box *box = tycho__lua_self(L);
    lua_pushboolean(L, box->handle != NULL);
    return 1;
}

static int box_tostring(lua_State *L) {
    const tycho__lua_box *box = tycho__lua_self(L);
    lua_getfield(L, lua_upvalueindex(1), "__name");
    lua_pushfstring(L, "%s: %p%s", lua_tostring(L, -1), lua_topointer(L, 1),
                    box->handle == NULL ? " (closed)" : "");
    return 1;
}

void tycho__lua_class_register(lua_State *L, const char *name, const luaL_Reg *methods) {
    static const luaL_Reg common[] = {
        {"close", box_close}, {"is_open", box_is_open},     {"__close", box_close},
        {"__gc", box_close},  {"__tostring", box_tostring}, {NULL, NULL},
    };
    if (luaL_newmetatable(L, name)) {
        lua_pushvalue(L, -1);
        lua_setfield(L, -2, "__index");
        lua_pushvalue(L, -1);
        luaL_setfuncs(L, common, 1);
        lua_pushvalue(L, -1);
        luaL_setfuncs(L, methods, 1);
    }
    lua_pop(L, 1);
}
