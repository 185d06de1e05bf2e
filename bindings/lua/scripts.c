/* scripts.c - the boxes of deployed scripts: a script, which can be run by hand, and a deployment,
** which is a plan until batch.c writes it.
**
** A script from store:script() is a child of its store; one that was only compiled stands alone.
*/
#include <string.h>

#include "binding.h"

typedef struct script {
    tycho__lua_box box;
    tycho__lua_scratch scratch; /* the event that is laid out for it */
} script;

/* ---------------------------------------------------------------- opening */

static void script_close(tycho__lua_box *box) {
    script *self = (script *)(void *)box;
    tycho__lua_scratch_free(&self->scratch);
    tycho_script_close(box->handle);
}

static script *create_script(lua_State *L) {
    script *self = tycho__lua_box_create(L, sizeof(*self), TYCHO__LUA_SCRIPT);
    self->box.noun = "script";
    self->box.close = script_close;
    return self;
}

/* The kind with the name at `index`; 0: there is none. */
static int kind_at(lua_State *L, int index) {
    const char *name = luaL_checkstring(L, index);
    int kind = TYCHO_READ_MODEL;
    while (kind > 0 && strcmp(tycho_script_kind_name(kind), name) != 0) kind--;
    return kind;
}

/* store:script(kind, name): the script, or nil */
int tycho__lua_store_script(lua_State *L) {
    tycho__lua_box *store = tycho__lua_self_open(L);
    const int kind = kind_at(L, 2);
    const tycho_bytes name = tycho__lua_bytes(L, 3, "name");
    void *handle = NULL;
    script *self = create_script(L);
    tycho__lua_box_attach(L, 1);

    const int status =
        tycho_script_open(store->handle, kind, name, (tycho_script **)(void *)&handle);
    self->box.handle = handle;

    if (status == TYCHO_NOT_FOUND) return lua_pushnil(L), 1;
    if (status != TYCHO_OK) return tycho__lua_refuse(L, status, NULL);
    return 1;
}

/* script(source, label): a script that need not be deployed */
int tycho__lua_script_compile(lua_State *L) {
    const tycho_bytes source = tycho__lua_bytes(L, 1, "source");
    const tycho_bytes label = tycho__lua_optional_bytes(L, 2, "label");
    void *handle = NULL;
    script *self = create_script(L);

    const int status = tycho_script_compile(label, source, (tycho_script **)(void *)&handle);
    self->box.handle = handle;

    if (status != TYCHO_OK) return tycho__lua_refuse(L, status, NULL);
    return 1;
}

/* ---------------------------------------------------------------- what it declares */

static void set_names(lua_State *L, const char *field, const tycho_bytes *names, size_t count) {
    lua_createtable(L, (int)count, 0);
    for (size_t i = 0; i < count; i++) {
        tycho__lua_push_bytes(L, names[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_setfield(L, -2, field);
}

/* Fields that only some kinds have are absent in the others. */
static void set_own(lua_State *L, const tycho_script_about *about) {
    if (about->kind == TYCHO_EVENT_TYPE) {
        set_names(L, "former_names", about->former_names, about->former_name_count);
        tycho__lua_set_boolean(L, "has_schema", about->has_schema != 0);
        tycho__lua_set_boolean(L, "has_check", about->has_check != 0);
        tycho__lua_set_boolean(L, "has_tags", about->has_tags != 0);
    } else if (about->kind == TYCHO_LINKER) {
        set_names(L, "tags", about->tags, about->tag_count);
        set_names(L, "streams", about->streams, about->stream_count);
        tycho__lua_set_boolean(L, "is_ready_made", about->is_ready_made != 0);
        tycho__lua_set_bytes(L, "category", about->category);
        tycho__lua_set_bytes(L, "prefix", about->prefix);
    } else {
        static const char *const orders[] = {"position", "time", "valid_time"};
        lua_pushstring(L, orders[about->order]);
        lua_setfield(L, -2, "order");
        tycho__lua_set_boolean(L, "has_history", about->has_history != 0);
        tycho__lua_set_bytes(L, "prefix", about->prefix);
    }
}

/* script:about(): a table */
static int script_about(lua_State *L) {
    tycho__lua_box *self = tycho__lua_self_open(L);
    tycho_script_about about;

    tycho_script_about_get(self->handle, &about);

    lua_createtable(L, 0, 16);
    lua_pushstring(L, tycho_script_kind_name((int)about.kind));
    lua_setfield(L, -2, "kind");
    tycho__lua_set_bytes(L, "name", about.name);
    tycho__lua_set_integer(L, "version", about.version);
    tycho__lua_set_bytes(L, "hash", about.hash);
    tycho__lua_set_bytes(L, "source", about.source);
    set_names(L, "types", about.types, about.type_count);
    if (about.deployed_at != 0) tycho__lua_set_integer(L, "deployed_at", about.deployed_at);
    set_own(L, &about);
    return 1;
}

/* ---------------------------------------------------------------- running it */

/* Lays out the event at `index`, with the stream and position behind it, as if it were appended. */
static tycho_appended appended_at(lua_State *L, script *self, int index) {
    tycho_appended appended = {0};
    tycho_event *event = &appended.event;
    const int64_t now = tycho_now();
    appended.stream = tycho__lua_optional_bytes(L, index + 1, "stream");
    event->position = (uint64_t)luaL_optinteger(L, index + 2, 0);
    lua_newtable(L);
    tycho__lua_new_events(L, &self->scratch, index, lua_gettop(L), 0);
    if (self->scratch.event_count != 1) tycho__lua_misuse(L, "one event is expected");
    const tycho_new_event *given = &self->scratch.events[0];
    event->revision = -1;
    event->time = (given->flags & TYCHO_HAS_TIME) != 0 ? given->time : now;
    event->valid_time =
        (given->flags & TYCHO_HAS_VALID_TIME) != 0 ? given->valid_time : event->time;
    event->id = given->id;
    event->type = given->type;
    event->correlation_id = given->correlation_id;
    event->causation_id = given->causation_id;
    event->content_type = given->content_type;
    event->metadata = given->metadata;
    event->data = given->data;
    event->tag_count = given->tag_count;
    appended.tags = given->tags;
    return appended;
}

/* script:expand(event, stream, position): {tags = {...}, links = {...}} */
static int script_expand(lua_State *L) {
    script *self = tycho__lua_self_open(L);
    tycho_additions additions = {0};
    lua_settop(L, 4);
    const tycho_appended appended = appended_at(L, self, 2);

    const int status = tycho_script_expand(self->box.handle, &appended, &additions);

    if (status != TYCHO_OK) return tycho__lua_refuse(L, status, NULL);
    lua_createtable(L, 0, 2);
    set_names(L, "tags", additions.tags, additions.tag_count);
    set_names(L, "links", additions.links, additions.link_count);
    return 1;
}

/* script:upcast(event, stream, position, from): the data */
static int script_upcast(lua_State *L) {
    script *self = tycho__lua_self_open(L);
    const int64_t from = tycho__lua_integer(L, 5, "from");
    tycho_bytes data = {NULL, 0};
    lua_settop(L, 4);
    const tycho_appended appended = appended_at(L, self, 2);

    int status = tycho_script_upcast(self->box.handle, NULL, &appended.event, from, &data);

    if (status == TYCHO_MISUSE) return tycho__lua_misuse(L, "%s", tycho_error());
    if (status != TYCHO_OK) return tycho__lua_refuse(L, status, NULL);
    if (data.size == 0) return lua_pushnil(L), 1;
    status = tycho__lua_decode(L, data.data, data.size);
    if (status != TYCHO_OK) return tycho__lua_refuse_value(L, status);
    return 1;
}

/* ---------------------------------------------------------------- trying it on history */

static bool is_text_at(lua_State *L, int index, tycho_bytes bytes) {
    size_t size;
    const char *text = lua_tolstring(L, index, &size);
    return text != NULL && size == bytes.size && memcmp(text, bytes.data, size) == 0;
}

/* The version under which an event was written: that of the last of the boundaries before it, which
** are three values each at `index`: position, version, name of the type. */
static int64_t version_of(lua_State *L, int index, const tycho_event *event) {
    int64_t version = 1;

    for (lua_Integer i = 1; lua_rawgeti(L, index, i) == LUA_TNUMBER; i += 3) {
        if ((uint64_t)lua_tointeger(L, -1) >= event->written) break;
        lua_rawgeti(L, index, i + 1);
        lua_rawgeti(L, index, i + 2);
        if (is_text_at(L, -1, event->type)) version = lua_tointeger(L, -2);
        lua_pop(L, 3);
    }
    lua_pop(L, 1);
    return version;
}

/* Upcasts the event, and checks it as if it were appended now. `room` takes its data. */
static int try_event(tycho_script *handle, tycho_cursor *cursor, tycho_event *event, int64_t from,
                     struct tycho_buffer *room) {
    tycho_script_about about;
    tycho_additions additions;
    tycho_bytes data = {NULL, 0};

    int status = tycho_script_upcast(handle, cursor, event, from, &data);
    if (status != TYCHO_OK) return status;
    tycho__payload_clear(room);
    tycho__payload_put(room, data.data, data.size);
    if (room->failed != 0) return TYCHO_NO_MEMORY;
    event->data = (tycho_bytes){room->data, room->size};
    tycho_script_about_get(handle, &about);
    event->type = about.name;
    return tycho_script_expand_stored(handle, cursor, event, &additions);
}

/* script:try(cursor, boundaries, count): tries up to `count` events of the cursor. How many were
** tried, whether the cursor is at its end, and the error of the last one or nil. */
static int script_try(lua_State *L) {
    script *self = tycho__lua_self_open(L);
    tycho__lua_reader *reader = tycho__lua_box_check(L, 2, TYCHO__LUA_CURSOR);
    luaL_checktype(L, 3, LUA_TTABLE);
    const int64_t count = tycho__lua_integer(L, 4, "count");
    struct tycho_buffer *room = tycho__lua_new_buffer(L);
    tycho_event event;
    int64_t tried = 0;
    int status = TYCHO_OK;

    while (tried < count && status == TYCHO_OK) {
        reader->step++;
        status = tycho_cursor_next(reader->cursor, &event);
        if (status != TYCHO_OK) break;
        tried++;
        const int64_t from = version_of(L, 3, &event);
        status = try_event(self->box.handle, reader->cursor, &event, from, room);
    }

    if (status != TYCHO_OK && status != TYCHO_END && status != TYCHO_REJECTED)
        return tycho__lua_refuse(L, status, NULL);
    lua_pushinteger(L, tried);
    lua_pushboolean(L, status == TYCHO_END);
    if (status != TYCHO_REJECTED) return 2;
    tycho__lua_error_push(L, status);
    return 3;
}

void tycho__lua_script_register(lua_State *L) {
    static const luaL_Reg methods[] = {
        {"about", script_about},
        {"expand", script_expand},
        {"upcast", script_upcast},
        {"try", script_try},
        {NULL, NULL},
    };
    tycho__lua_class_register(L, TYCHO__LUA_SCRIPT, methods);
}

/* ---------------------------------------------------------------- deployments */

static void deployment_close(tycho__lua_box *box) {
    tycho_deployment_close(box->handle);
}

/* Opens the deployment of the box on top of the stack; the store may be NULL. */
static int open_deployment(lua_State *L, tycho__lua_box *self, tycho_store *store) {
    void *handle = NULL;

    self->noun = "deployment";
    self->close = deployment_close;
    const int status = tycho_deployment_open(store, (tycho_deployment **)(void *)&handle);
    self->handle = handle;

    if (status != TYCHO_OK) return tycho__lua_refuse(L, status, NULL);
    return 1;
}

/* store:deployment() */
int tycho__lua_store_deployment(lua_State *L) {
    tycho__lua_box *store = tycho__lua_self_open(L);
    tycho__lua_box *self = tycho__lua_box_create(L, sizeof(*self), TYCHO__LUA_DEPLOYMENT);
    tycho__lua_box_attach(L, 1);
    return open_deployment(L, self, store->handle);
}

/* deployment(): of a store that is yet to be made */
int tycho__lua_deployment_create(lua_State *L) {
    tycho__lua_box *self = tycho__lua_box_create(L, sizeof(*self), TYCHO__LUA_DEPLOYMENT);
    return open_deployment(L, self, NULL);
}

/* deployment:put(label, source, is_rollback) */
static int deployment_put(lua_State *L) {
    tycho__lua_box *self = tycho__lua_self_open(L);
    const tycho_bytes label = tycho__lua_bytes(L, 2, "label");
    const tycho_bytes source = tycho__lua_bytes(L, 3, "source");
    const int is_rollback = lua_toboolean(L, 4);

    const int status = tycho_deployment_put(self->handle, label, source, is_rollback);

    if (status != TYCHO_OK) return tycho__lua_refuse(L, status, NULL);
    return 0;
}

/* deployment:remove(kind, name) */
static int deployment_remove(lua_State *L) {
    tycho__lua_box *self = tycho__lua_self_open(L);
    const int kind = kind_at(L, 2);
    const tycho_bytes name = tycho__lua_bytes(L, 3, "name");

    const int status = tycho_deployment_remove(self->handle, kind, name);

    if (status != TYCHO_OK) return tycho__lua_refuse(L, status, NULL);
    return 0;
}

static void push_change(lua_State *L, const tycho_change *change) {
    static const char *const names[] = {"", "new", "changed", "unchanged", "removed", "refused"};

    lua_createtable(L, 0, 9);
    lua_pushstring(L, names[change->change]);
    lua_setfield(L, -2, "change");
    if (change->kind != 0) {
        lua_pushstring(L, tycho_script_kind_name((int)change->kind));
        lua_setfield(L, -2, "kind");
        tycho__lua_set_bytes(L, "name", change->name);
    }
    if (change->version > 0) tycho__lua_set_integer(L, "version", change->version);
    if (change->old_version > 0) tycho__lua_set_integer(L, "old_version", change->old_version);
    if (change->line > 0) tycho__lua_set_integer(L, "line", change->line);
    tycho__lua_set_bytes(L, "message", change->message);
}

/* deployment:plan(): a list, in the order of the calls */
static int deployment_plan(lua_State *L) {
    tycho__lua_box *self = tycho__lua_self_open(L);
    const size_t count = tycho_deployment_count(self->handle);

    lua_createtable(L, (int)count, 0);
    for (size_t i = 0; i < count; i++) {
        tycho_change change;
        tycho_deployment_get(self->handle, i, &change);
        push_change(L, &change);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

void tycho__lua_deployment_register(lua_State *L) {
    static const luaL_Reg methods[] = {
        {"put", deployment_put},
        {"remove", deployment_remove},
        {"plan", deployment_plan},
        {NULL, NULL},
    };
    tycho__lua_class_register(L, TYCHO__LUA_DEPLOYMENT, methods);
}
