/* batch.c - the box of a batch. scripts/tycho/batch.lua gives it the methods that people use; here
** options have become integers already: `expected` is that of tycho.h, `flags` are TYCHO_RAW and
** TYCHO_SKIP_DUPLICATES, payloads are encoded.
**
** User value 1 is the list of ids of the events appended so far. A receipt gets that very list, and
** the batch a copy-on-next-write: clear() starts a new one, and so does the next append.
*/
#include "binding.h"

#include <string.h>

enum { KEEP_MAX = 4 << 20 };

typedef struct batch {
    tycho__lua_box box;
    tycho__lua_scratch scratch;
    size_t steps;       /* conditions and operations */
    size_t bytes;       /* of payload since it was emptied */
    bool ids_are_given; /* a receipt has the list of ids: copy it before adding */
} batch;

static void batch_close(tycho__lua_box *box) {
    batch *self = (batch *)(void *)box;
    tycho__lua_scratch_free(&self->scratch);
    tycho_batch_destroy(box->handle);
}

/* batch() */
int tycho__lua_batch_create(lua_State *L) {
    void *handle = NULL;
    batch *self = tycho__lua_box_create(L, sizeof(*self), TYCHO__LUA_BATCH);
    lua_newtable(L);
    lua_setiuservalue(L, -2, 1);

    self->box.noun = "batch";
    self->box.close = batch_close;
    const int status = tycho_batch_create((tycho_batch **)(void *)&handle);
    self->box.handle = handle;

    if (status != TYCHO_OK) return tycho__lua_refuse(L, status, NULL);
    return 1;
}

/* Ends a builder: counts the step, or raises. */
static int done(lua_State *L, batch *self, int status) {
    if (status != TYCHO_OK) return tycho__lua_refuse(L, status, NULL);
    self->steps++;
    return 0;
}

static uint32_t flags_at(lua_State *L, int index) {
    return (uint32_t)luaL_optinteger(L, index, 0);
}

/* ---------------------------------------------------------------- conditions */

static int batch_expect(lua_State *L) {
    batch *self = tycho__lua_self_open(L);
    const tycho_bytes stream = tycho__lua_bytes(L, 2, "stream");
    const int64_t expected = tycho__lua_integer(L, 3, "expected_version");
    const uint32_t flags = flags_at(L, 4);

    return done(L, self, tycho_batch_expect(self->box.handle, stream, expected, flags));
}

static int batch_expect_none(lua_State *L) {
    batch *self = tycho__lua_self_open(L);
    const int64_t after = tycho__lua_integer(L, 3, "after");
    tycho__lua_read read;
    tycho__lua_query_fill(L, 2, &read);

    return done(L, self, tycho_batch_expect_none(self->box.handle, &read.query, (uint64_t)after));
}

static int batch_expect_route(lua_State *L) {
    batch *self = tycho__lua_self_open(L);
    const tycho_bytes route = tycho__lua_bytes(L, 2, "route");
    const tycho_bytes stream = tycho__lua_optional_bytes(L, 3, "stream");

    return done(L, self, tycho_batch_expect_route(self->box.handle, route, stream));
}

static int batch_expect_row(lua_State *L) {
    batch *self = tycho__lua_self_open(L);
    const tycho_bytes table = tycho__lua_bytes(L, 2, "table_name");
    const tycho_bytes key = tycho__lua_bytes(L, 3, "key");
    const uint64_t version = (uint64_t)tycho__lua_integer(L, 4, "version");

    return done(L, self, tycho_batch_expect_row(self->box.handle, table, key, version));
}

static int batch_expect_checkpoint(lua_State *L) {
    batch *self = tycho__lua_self_open(L);
    const tycho_bytes name = tycho__lua_bytes(L, 2, "name");
    const uint64_t position = (uint64_t)tycho__lua_integer(L, 3, "position");

    return done(L, self, tycho_batch_expect_checkpoint(self->box.handle, name, position));
}

static int batch_expect_lock(lua_State *L) {
    batch *self = tycho__lua_self_open(L);
    const tycho_bytes name = tycho__lua_bytes(L, 2, "name");
    const uint64_t token = (uint64_t)tycho__lua_integer(L, 3, "token");

    return done(L, self, tycho_batch_expect_lock(self->box.handle, name, token));
}

/* ---------------------------------------------------------------- operations */

/* Pushes the list of ids that may be added to. */
static int push_ids(lua_State *L, batch *self) {
    lua_getiuservalue(L, 1, 1);
    if (self->ids_are_given) {
        const lua_Integer count = (lua_Integer)lua_rawlen(L, -1);
        lua_createtable(L, (int)count, 0);
        for (lua_Integer i = 1; i <= count; i++) {
            lua_rawgeti(L, -2, i);
            lua_rawseti(L, -2, i);
        }
        lua_pushvalue(L, -1);
        lua_setiuservalue(L, 1, 1);
        lua_remove(L, -2);
        self->ids_are_given = false;
    }
    return lua_gettop(L);
}

/* Takes the ids behind the first `count` off the list. */
static void drop_ids(lua_State *L, int ids, lua_Integer count) {
    for (lua_Integer i = (lua_Integer)lua_rawlen(L, ids); i > count; i--) {
        lua_pushnil(L);
        lua_rawseti(L, ids, i);
    }
}

/* The part of an append that may raise: batch, stream, expected, events, flags, context, ids. */
static int lay_out(lua_State *L) {
    batch *self = lua_touserdata(L, 1);
    tycho__lua_new_events(L, &self->scratch, 4, 7, lua_isnil(L, 6) ? 0 : 6);
    return 0;
}

/* batch:append(stream or nil, expected, events, flags, context or nil). When the events are
** refused, the ids that were listed already are taken back. */
static int batch_append(lua_State *L) {
    batch *self = tycho__lua_self_open(L);
    const tycho_bytes stream = tycho__lua_optional_bytes(L, 2, "stream");
    const int64_t expected = tycho__lua_integer(L, 3, "expected_version");
    const uint32_t flags = flags_at(L, 5);
    lua_settop(L, 6);
    const int ids = push_ids(L, self);
    const lua_Integer id_count = (lua_Integer)lua_rawlen(L, ids);
    lua_pushcfunction(L, lay_out);
    for (int i = 1; i <= ids; i++) lua_pushvalue(L, i);
    if (lua_pcall(L, ids, 0, 0) != LUA_OK) {
        drop_ids(L, ids, id_count);
        return lua_error(L);
    }

    const int status = tycho_batch_append(self->box.handle, stream, expected, self->scratch.events,
                                          self->scratch.event_count, flags);

    if (status != TYCHO_OK) drop_ids(L, ids, id_count);
    self->bytes += self->scratch.bytes.size;
    return done(L, self, status);
}

/* batch:overwrite(events) */
static int batch_overwrite(lua_State *L) {
    batch *self = tycho__lua_self_open(L);
    lua_settop(L, 2);
    tycho__lua_new_events(L, &self->scratch, 2, 0, 0);

    const int status =
        tycho_batch_overwrite(self->box.handle, self->scratch.events, self->scratch.event_count);

    self->bytes += self->scratch.bytes.size;
    return done(L, self, status);
}

static int batch_link(lua_State *L) {
    batch *self = tycho__lua_self_open(L);
    const tycho_bytes stream = tycho__lua_bytes(L, 2, "stream");
    const int64_t expected = tycho__lua_integer(L, 3, "expected_version");
    const uint32_t flags = flags_at(L, 5);
    tycho__lua_names(L, &self->scratch, 4, "event_ids");

    return done(L, self,
                tycho_batch_link(self->box.handle, stream, expected, self->scratch.names,
                                 self->scratch.name_count, flags));
}

/* batch:link_range(source, first, last, target, expected, flags) */
static int batch_link_range(lua_State *L) {
    batch *self = tycho__lua_self_open(L);
    const tycho_bytes source = tycho__lua_bytes(L, 2, "source");
    const int64_t first = tycho__lua_integer(L, 3, "first");
    const int64_t last = tycho__lua_integer(L, 4, "last");
    const tycho_bytes target = tycho__lua_bytes(L, 5, "target");
    const int64_t expected = tycho__lua_integer(L, 6, "expected_version");
    const uint32_t flags = flags_at(L, 7);

    return done(
        L, self,
        tycho_batch_link_range(self->box.handle, source, first, last, target, expected, flags));
}

/* batch:link_merged(names, first, target, expected, flags) */
static int batch_link_merged(lua_State *L) {
    batch *self = tycho__lua_self_open(L);
    tycho_source sources[TYCHO_SOURCES_MAX];
    tycho__lua_names(L, &self->scratch, 2, "sources");
    luaL_checktype(L, 3, LUA_TTABLE);
    const tycho_bytes target = tycho__lua_bytes(L, 4, "target");
    const int64_t expected = tycho__lua_integer(L, 5, "expected_version");
    const uint32_t flags = flags_at(L, 6);
    const size_t count = self->scratch.name_count;
    for (size_t i = 0; i < count && i < TYCHO_SOURCES_MAX; i++) {
        lua_rawgeti(L, 3, (lua_Integer)i + 1);
        sources[i].stream = self->scratch.names[i];
        sources[i].first = tycho__lua_integer(L, -1, "first");
        lua_pop(L, 1);
    }

    return done(
        L, self,
        tycho_batch_link_merged(self->box.handle, sources, count, target, expected, flags));
}

static int batch_unlink(lua_State *L) {
    batch *self = tycho__lua_self_open(L);
    const tycho_bytes stream = tycho__lua_bytes(L, 2, "stream");
    const uint32_t flags = flags_at(L, 4);
    tycho__lua_names(L, &self->scratch, 3, "event_ids");

    return done(L, self,
                tycho_batch_unlink(self->box.handle, stream, self->scratch.names,
                                   self->scratch.name_count, flags));
}

static int batch_delete_stream(lua_State *L) {
    batch *self = tycho__lua_self_open(L);
    const tycho_bytes stream = tycho__lua_bytes(L, 2, "stream");
    const uint32_t flags = flags_at(L, 3);

    return done(L, self, tycho_batch_delete_stream(self->box.handle, stream, flags));
}

static int batch_truncate(lua_State *L) {
    batch *self = tycho__lua_self_open(L);
    const tycho_bytes stream = tycho__lua_bytes(L, 2, "stream");
    const int64_t before = tycho__lua_integer(L, 3, "before");
    const uint32_t flags = flags_at(L, 4);

    return done(L, self, tycho_batch_truncate(self->box.handle, stream, before, flags));
}

/* Encodes the value at `index`; nil gives empty bytes. */
static tycho_bytes encode(lua_State *L, batch *self, int index, const char *root) {
    tycho_bytes bytes = {NULL, 0};
    tycho__lua_scratch_clear(&self->scratch);
    if (!lua_isnoneornil(L, index)) {
        const int status = tycho__lua_encode(L, index, root, &self->scratch.bytes);
        if (status != TYCHO_OK) tycho__lua_refuse_value(L, status);
    }
    bytes.data = self->scratch.bytes.data;
    bytes.size = self->scratch.bytes.size;
    self->bytes += bytes.size;
    return bytes;
}

/* batch:set_stream_metadata(stream, value, flags) */
static int batch_set_stream_metadata(lua_State *L) {
    batch *self = tycho__lua_self_open(L);
    const tycho_bytes stream = tycho__lua_bytes(L, 2, "stream");
    const uint32_t flags = flags_at(L, 4);
    const tycho_bytes value = encode(L, self, 3, "metadata");

    return done(L, self, tycho_batch_set_stream_metadata(self->box.handle, stream, value, flags));
}

static int batch_set_route(lua_State *L) {
    batch *self = tycho__lua_self_open(L);
    const tycho_bytes route = tycho__lua_bytes(L, 2, "route");
    const tycho_bytes stream = tycho__lua_optional_bytes(L, 3, "stream");
    const uint32_t flags = flags_at(L, 4);

    return done(L, self, tycho_batch_set_route(self->box.handle, route, stream, flags));
}

/* batch:put_row(table_name, key, value) */
static int batch_put_row(lua_State *L) {
    batch *self = tycho__lua_self_open(L);
    const tycho_bytes table = tycho__lua_bytes(L, 2, "table_name");
    const tycho_bytes key = tycho__lua_bytes(L, 3, "key");
    const tycho_bytes value = encode(L, self, 4, "value");

    return done(L, self, tycho_batch_put_row(self->box.handle, table, key, value));
}

static int batch_delete_row(lua_State *L) {
    batch *self = tycho__lua_self_open(L);
    const tycho_bytes table = tycho__lua_bytes(L, 2, "table_name");
    const tycho_bytes key = tycho__lua_bytes(L, 3, "key");

    return done(L, self, tycho_batch_delete_row(self->box.handle, table, key));
}

static int batch_set_checkpoint(lua_State *L) {
    batch *self = tycho__lua_self_open(L);
    const tycho_bytes name = tycho__lua_bytes(L, 2, "name");
    const uint64_t position = (uint64_t)tycho__lua_integer(L, 3, "position");

    return done(L, self, tycho_batch_set_checkpoint(self->box.handle, name, position));
}

/* batch:deploy(deployment) adds a plan. */
static int batch_deploy(lua_State *L) {
    batch *self = tycho__lua_self_open(L);
    tycho__lua_box *deployment = tycho__lua_box_check(L, 2, TYCHO__LUA_DEPLOYMENT);

    return done(L, self, tycho_deployment_write(deployment->handle, self->box.handle));
}

/* batch:deploy_row(name, value) writes what is deployed, and nothing into the history. */
static int batch_deploy_row(lua_State *L) {
    batch *self = tycho__lua_self_open(L);
    const tycho_bytes name = tycho__lua_bytes(L, 2, "name");
    const tycho_bytes value = encode(L, self, 3, "value");

    return done(L, self, tycho_batch_deploy(self->box.handle, name, value));
}

/* ---------------------------------------------------------------- the whole batch */

static int batch_set_idempotent(lua_State *L) {
    batch *self = tycho__lua_self_open(L);
    tycho_batch_set_idempotent(self->box.handle, lua_toboolean(L, 2));
    return 0;
}

static int batch_is_empty(lua_State *L) {
    const batch *self = tycho__lua_self_open(L);
    lua_pushboolean(L, self->steps == 0);
    return 1;
}

/* Empties it; memory that a large batch took is given back. */
static int batch_clear(lua_State *L) {
    batch *self = tycho__lua_self_open(L);
    tycho_batch *fresh = NULL;
    lua_newtable(L);
    lua_setiuservalue(L, 1, 1);

    if (self->bytes > KEEP_MAX && tycho_batch_create(&fresh) == TYCHO_OK) {
        tycho_batch_destroy(self->box.handle);
        self->box.handle = fresh;
    } else {
        tycho_batch_clear(self->box.handle);
        tycho_batch_set_idempotent(self->box.handle, 0);
    }
    tycho__lua_scratch_clear(&self->scratch);
    self->steps = 0;
    self->bytes = 0;
    self->ids_are_given = false;
    return 0;
}

static int batch_encode(lua_State *L) {
    batch *self = tycho__lua_self_open(L);
    tycho_bytes bytes;

    const int status = tycho_batch_encode(self->box.handle, &bytes);

    if (status != TYCHO_OK) return tycho__lua_refuse(L, status, NULL);
    tycho__lua_push_bytes(L, bytes);
    return 1;
}

/* batch:decode(bytes). The ids of its events are not known here; see store.lua. */
static int batch_decode(lua_State *L) {
    batch *self = tycho__lua_self_open(L);
    const tycho_bytes bytes = tycho__lua_bytes(L, 2, "bytes");
    lua_newtable(L);
    lua_setiuservalue(L, 1, 1);

    const int status = tycho_batch_decode(self->box.handle, bytes);

    self->ids_are_given = false;
    self->bytes = bytes.size;
    return done(L, self, status);
}

/* batch:commit(store): the receipt */
static int batch_commit(lua_State *L) {
    batch *self = tycho__lua_self_open(L);
    tycho__lua_box *store = tycho__lua_box_check(L, 2, TYCHO__LUA_STORE);
    const tycho_receipt *receipt = NULL;

    const int status = tycho_commit(store->handle, self->box.handle, &receipt);

    if (status != TYCHO_OK) return tycho__lua_refuse(L, status, receipt);
    self->ids_are_given = true;
    lua_getiuservalue(L, 1, 1);
    tycho__lua_receipt_push(L, receipt, lua_gettop(L));
    return 1;
}

void tycho__lua_batch_register(lua_State *L) {
    static const luaL_Reg methods[] = {
        {"expect", batch_expect},
        {"expect_none", batch_expect_none},
        {"expect_route", batch_expect_route},
        {"expect_row", batch_expect_row},
        {"expect_checkpoint", batch_expect_checkpoint},
        {"expect_lock", batch_expect_lock},
        {"append", batch_append},
        {"overwrite", batch_overwrite},
        {"link", batch_link},
        {"link_range", batch_link_range},
        {"link_merged", batch_link_merged},
        {"unlink", batch_unlink},
        {"delete_stream", batch_delete_stream},
        {"truncate", batch_truncate},
        {"set_stream_metadata", batch_set_stream_metadata},
        {"set_route", batch_set_route},
        {"put_row", batch_put_row},
        {"delete_row", batch_delete_row},
        {"set_checkpoint", batch_set_checkpoint},
        {"deploy", batch_deploy},
        {"deploy_row", batch_deploy_row},
        {"set_idempotent", batch_set_idempotent},
        {"is_empty", batch_is_empty},
        {"clear", batch_clear},
        {"encode", batch_encode},
        {"decode", batch_decode},
        {"commit", batch_commit},
        {NULL, NULL},
    };
    tycho__lua_class_register(L, TYCHO__LUA_BATCH, methods);
}
