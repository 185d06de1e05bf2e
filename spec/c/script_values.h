/* script_values.h - what the tests of the script host share: a store that runs scripts, deployments
** that must be accepted or refused, and data written as Lua tables and read as JSON. To be included
** behind store_values.h.
*/
#ifndef TYCHO_SPEC_SCRIPT_VALUES_H
#define TYCHO_SPEC_SCRIPT_VALUES_H

#include <lauxlib.h>
#include <lualib.h>

#include "codec.h"
#include "tycho_scripts.h"

/* An event type that uses all that one can have but upcasters. */
#define ORDER_TYPE                                                                                 \
    "return event_type { name = 'Order', version = 1,\n"                                           \
    "  data = { customer = 'string', cents = 'integer' },\n"                                       \
    "  check = function(data, event)\n"                                                            \
    "    if data.cents < 0 then return 'cents must not be negative' end\n"                         \
    "    if event.stream == nil then return 'an order needs a stream' end\n"                       \
    "  end,\n"                                                                                     \
    "  tags = function(data) return 'customer:' .. data.customer, { 'big', 'small' } end }"

/* A Lua for writing and reading values; nothing of the library under test runs in it. */
static lua_State *values_lua;

static inline void open_values(void) {
    values_lua = luaL_newstate();
    assert_non_null(values_lua);
    luaL_openlibs(values_lua);
    lua_newtable(values_lua);
    tycho__lua_open_codec(values_lua);
    lua_pushnil(values_lua);
    while (lua_next(values_lua, 1) != 0) {
        lua_setglobal(values_lua, lua_tostring(values_lua, -2)); /* null, array, binary */
    }
    lua_settop(values_lua, 0);
}

static inline void close_values(void) {
    lua_close(values_lua);
}

/* MessagePack of a value that is written in Lua; good until close_values(). */
static inline tycho_bytes packed(const char *value) {
    char chunk[2000];
    snprintf(chunk, sizeof chunk, "return %s", value);
    if (luaL_dostring(values_lua, chunk) != LUA_OK) fail_msg("%s", lua_tostring(values_lua, -1));
    struct tycho_buffer *buffer = tycho__lua_new_buffer(values_lua);
    int status = tycho__lua_encode(values_lua, -2, "value", buffer);
    if (status != TYCHO_OK) fail_msg("%s", lua_tostring(values_lua, -1));
    luaL_ref(values_lua, LUA_REGISTRYINDEX); /* keeps the buffer */
    return bytes_of(buffer->data, buffer->size);
}

/* MessagePack as JSON; good until close_values(). */
static inline const char *unpacked(tycho_bytes data) {
    assert_int_equal(tycho__lua_decode(values_lua, data.data, data.size), TYCHO_OK);
    struct tycho_buffer *buffer = tycho__lua_new_buffer(values_lua);
    assert_int_equal(tycho__lua_encode_json(values_lua, -2, "value", buffer), TYCHO_OK);
    lua_pushlstring(values_lua, (const char *)buffer->data, buffer->size);
    const char *json = lua_tostring(values_lua, -1);
    luaL_ref(values_lua, LUA_REGISTRYINDEX);
    lua_settop(values_lua, 0);
    return json;
}

static inline tycho_store *open_attached(const char *path) {
    tycho_store *store;
    ASSERT_STATUS(open_store(path, TYCHO_CREATE, &store), TYCHO_OK);
    ASSERT_STATUS(tycho_scripts_attach(store), TYCHO_OK);
    return store;
}

/* Deploys one source; the answer is that of the first call that does not succeed. */
static inline int try_deploy(tycho_store *store, const char *source) {
    tycho_deployment *deployment;
    tycho_batch *batch;
    ASSERT_STATUS(tycho_batch_create(&batch), TYCHO_OK);
    int status = tycho_deployment_open(store, &deployment);
    if (status == TYCHO_OK)
        status = tycho_deployment_put(deployment, text("test.lua"), text(source), 0);
    if (status == TYCHO_OK) status = tycho_deployment_write(deployment, batch);
    if (status == TYCHO_OK) status = tycho_commit(store, batch, NULL);
    tycho_deployment_close(deployment);
    tycho_batch_destroy(batch);
    return status;
}

static inline void deploy(tycho_store *store, const char *source) {
    ASSERT_STATUS(try_deploy(store, source), TYCHO_OK);
}

static inline void undeploy(tycho_store *store, int kind, const char *name) {
    tycho_deployment *deployment;
    tycho_batch *batch;
    ASSERT_STATUS(tycho_batch_create(&batch), TYCHO_OK);
    ASSERT_STATUS(tycho_deployment_open(store, &deployment), TYCHO_OK);
    ASSERT_STATUS(tycho_deployment_remove(deployment, kind, text(name)), TYCHO_OK);
    ASSERT_STATUS(tycho_deployment_write(deployment, batch), TYCHO_OK);
    ASSERT_STATUS(tycho_commit(store, batch, NULL), TYCHO_OK);
    tycho_deployment_close(deployment);
    tycho_batch_destroy(batch);
}

static inline int try_append_all(tycho_store *store, const char *stream,
                                 const tycho_new_event *events, size_t count) {
    tycho_batch *batch;
    ASSERT_STATUS(tycho_batch_create(&batch), TYCHO_OK);
    ASSERT_STATUS(tycho_batch_append(batch, text(stream), TYCHO_EXPECT_ANY, events, count, 0),
                  TYCHO_OK);
    int status = tycho_commit(store, batch, NULL);
    tycho_batch_destroy(batch);
    return status;
}

/* Appends one event whose data is written in Lua. */
static inline int try_append(tycho_store *store, const char *stream, const char *type,
                             const char *data) {
    const tycho_new_event event = {.type = text(type), .data = packed(data)};
    return try_append_all(store, stream, &event, 1);
}

static inline void append(tycho_store *store, const char *stream, const char *type,
                          const char *data) {
    ASSERT_STATUS(try_append(store, stream, type, data), TYCHO_OK);
}

/* Rejected, with a message that says this. */
static inline void assert_refused(int status, const char *message) {
    ASSERT_STATUS(status, TYCHO_REJECTED);
    const tycho_scripts_failure *failure = tycho_scripts_error();
    assert_non_null(failure);
    if (strstr(failure->message, message) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", failure->message, message);
    }
}

/* How many events a stream, or a tag where `stream` is empty, has. */
static inline uint64_t count_of(tycho_store *store, const char *stream, const char *tag) {
    const tycho_bytes tags = text(tag);
    const tycho_query_item item = {.tags = &tags, .tag_count = 1};
    const tycho_query query = {&item, 1};
    const tycho_read read = {
        .size = sizeof read, .stream = text(stream), .query = tag[0] == '\0' ? NULL : &query};
    uint64_t count;
    ASSERT_STATUS(tycho_count(store, &read, &count), TYCHO_OK);
    return count;
}

#endif
