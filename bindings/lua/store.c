/* store.c - the box of a store, and its look-ups of one value. Reads, listings, snapshots,
** verifications, locks and scripts are in the files of their boxes; batches are committed by
** batch.c. Every store runs the scripts that are deployed into it. */
#include "binding.h"

static void store_close(tycho__lua_box *box) {
    tycho_store_close(box->handle);
}

/* open(path or nil, mode, sync, map_size, readers_max, write_timeout_ms, reserve_size,
** marks_max) */
int tycho__lua_store_open(lua_State *L) {
    static const char *const modes[] = {"create", "existing", "read_only", "temporary", NULL};
    static const char *const syncs[] = {"full", "batched", "none", NULL};
    tycho_options options = {.size = sizeof(options)};
    void *handle = NULL;
    const char *path = luaL_optstring(L, 1, NULL);
    options.mode = (uint32_t)luaL_checkoption(L, 2, "create", modes);
    options.sync = (uint32_t)luaL_checkoption(L, 3, "full", syncs);
    options.map_size = (uint64_t)luaL_optinteger(L, 4, 0);
    options.readers_max = (uint32_t)luaL_optinteger(L, 5, 0);
    options.write_timeout_ms = (uint32_t)luaL_optinteger(L, 6, 0);
    options.reserve_size = (uint64_t)luaL_optinteger(L, 7, 0);
    options.marks_max = (uint64_t)luaL_optinteger(L, 8, 0);
    tycho__lua_box *self = tycho__lua_box_create(L, sizeof(*self), TYCHO__LUA_STORE);

    self->noun = "store";
    self->close = store_close;
    int status = tycho_store_open(path, &options, (tycho_store **)(void *)&handle);
    self->handle = handle;
    if (status == TYCHO_OK) status = tycho_scripts_attach(handle);

    if (status != TYCHO_OK) return tycho__lua_refuse(L, status, NULL);
    return 1;
}

static int store_path(lua_State *L) {
    tycho__lua_box *self = tycho__lua_self_open(L);
    lua_pushstring(L, tycho_store_path(self->handle));
    return 1;
}

static int store_sync(lua_State *L) {
    tycho__lua_box *self = tycho__lua_self_open(L);

    const int status = tycho_store_sync(self->handle);

    if (status != TYCHO_OK) return tycho__lua_refuse(L, status, NULL);
    return 0;
}

static int store_head(lua_State *L) {
    tycho__lua_box *self = tycho__lua_self_open(L);
    uint64_t position = 0;

    const int status = tycho_head(self->handle, &position);

    if (status != TYCHO_OK) return tycho__lua_refuse(L, status, NULL);
    lua_pushinteger(L, (lua_Integer)position);
    return 1;
}

static int store_position(lua_State *L) {
    tycho__lua_box *self = tycho__lua_self_open(L);
    const tycho_bytes id = tycho__lua_bytes(L, 2, "id");
    uint64_t position = 0;

    const int status = tycho_event_position(self->handle, id, &position);

    if (status == TYCHO_EVENT_NOT_FOUND) return lua_pushnil(L), 1;
    if (status != TYCHO_OK) return tycho__lua_refuse(L, status, NULL);
    lua_pushinteger(L, (lua_Integer)position);
    return 1;
}

static int store_revision(lua_State *L) {
    tycho__lua_box *self = tycho__lua_self_open(L);
    const tycho_bytes id = tycho__lua_bytes(L, 2, "id");
    const tycho_bytes stream = tycho__lua_bytes(L, 3, "stream");
    const uint32_t flags = (uint32_t)luaL_optinteger(L, 4, 0);
    int64_t revision = -1;

    const int status = tycho_event_revision(self->handle, id, stream, flags, &revision);

    if (status == TYCHO_EVENT_NOT_FOUND || status == TYCHO_ENTRY_NOT_FOUND)
        return lua_pushnil(L), 1;
    if (status != TYCHO_OK) return tycho__lua_refuse(L, status, NULL);
    lua_pushinteger(L, revision);
    return 1;
}

static int store_stream_version(lua_State *L) {
    tycho__lua_box *self = tycho__lua_self_open(L);
    const tycho_bytes stream = tycho__lua_bytes(L, 2, "stream");
    const uint32_t flags = (uint32_t)luaL_optinteger(L, 3, 0);
    int64_t revision = -1;

    const int status = tycho_stream_version(self->handle, stream, flags, &revision);

    if (status != TYCHO_OK) return tycho__lua_refuse(L, status, NULL);
    lua_pushinteger(L, revision);
    return 1;
}

static int store_resolve(lua_State *L) {
    tycho__lua_box *self = tycho__lua_self_open(L);
    const tycho_bytes name = tycho__lua_bytes(L, 2, "name");
    tycho_bytes stream;

    const int status = tycho_route_resolve(self->handle, name, &stream);

    if (status != TYCHO_OK) return tycho__lua_refuse(L, status, NULL);
    tycho__lua_push_bytes(L, stream);
    return 1;
}

/* store:wait(position, timeout_ms): the head, or nil when the time is over. */
static int store_wait(lua_State *L) {
    tycho__lua_box *self = tycho__lua_self_open(L);
    const int64_t position = tycho__lua_integer(L, 2, "position");
    const int64_t timeout_ms = tycho__lua_integer(L, 3, "timeout");
    uint64_t head = 0;

    const int status = tycho_wait(self->handle, (uint64_t)position, timeout_ms, &head);

    if (status == TYCHO_TIMEOUT) return lua_pushnil(L), 1;
    if (status != TYCHO_OK) return tycho__lua_refuse(L, status, NULL);
    lua_pushinteger(L, (lua_Integer)head);
    return 1;
}

static int store_backup(lua_State *L) {
    tycho__lua_box *self = tycho__lua_self_open(L);
    const char *path = luaL_checkstring(L, 2);

    const int status = tycho_backup(self->handle, path);

    if (status != TYCHO_OK) return tycho__lua_refuse(L, status, NULL);
    return 0;
}

/* store:compress(sample, or nil to end it): percent */
static int store_compress(lua_State *L) {
    tycho__lua_box *self = tycho__lua_self_open(L);
    const bool is_off = lua_isnoneornil(L, 2);
    const uint64_t sample = is_off ? TYCHO_COMPRESS_OFF
                                   : (uint64_t)tycho__lua_integer(L, 2, "sample");
    uint32_t percent = 0;

    const int status = tycho_compress(self->handle, sample, &percent);

    if (status == TYCHO_MISUSE) return tycho__lua_misuse(L, "%s", tycho_error());
    if (status != TYCHO_OK) return tycho__lua_refuse(L, status, NULL);
    lua_pushinteger(L, percent);
    return 1;
}

static int store_stats(lua_State *L) {
    tycho__lua_box *self = tycho__lua_self_open(L);
    tycho_stats stats = {.size = sizeof(stats)};

    const int status = tycho_stats_get(self->handle, &stats);

    if (status != TYCHO_OK) return tycho__lua_refuse(L, status, NULL);
    const struct {
        const char *name;
        uint64_t value;
    } fields[] = {
#define FIELD(name) {#name, stats.name}
        FIELD(format),   FIELD(events),         FIELD(sequence),    FIELD(streams),
        FIELD(types),    FIELD(tags),           FIELD(links),       FIELD(entries),
        FIELD(rows),     FIELD(routes),         FIELD(file_size),   FIELD(free_size),
        FIELD(map_size), FIELD(readers),        FIELD(readers_max), FIELD(reader_lag),
        FIELD(commits),  FIELD(commit_batches), FIELD(dictionary),
#undef FIELD
    };
    const size_t count = sizeof(fields) / sizeof(fields[0]);
    _Static_assert(sizeof(stats) == sizeof(size_t) + sizeof(fields) / 2, "a field is missing");
    lua_createtable(L, 0, (int)count);
    for (size_t i = 0; i < count; i++)
        tycho__lua_set_integer(L, fields[i].name, (int64_t)fields[i].value);
    return 1;
}

void tycho__lua_store_register(lua_State *L) {
    static const luaL_Reg methods[] = {
        {"path", store_path},
        {"sync", store_sync},
        {"head", store_head},
        {"position", store_position},
        {"revision", store_revision},
        {"stream_version", store_stream_version},
        {"resolve", store_resolve},
        {"wait", store_wait},
        {"backup", store_backup},
        {"compress", store_compress},
        {"stats", store_stats},
        {"cursor", tycho__lua_store_cursor},
        {"follower", tycho__lua_store_follower},
        {"count", tycho__lua_store_count},
        {"listing", tycho__lua_store_listing},
        {"snapshot", tycho__lua_store_snapshot},
        {"verification", tycho__lua_store_verification},
        {"lock", tycho__lua_store_lock},
        {"locks", tycho__lua_store_locks},
        {"script", tycho__lua_store_script},
        {"model", tycho__lua_store_model},
        {"deployment", tycho__lua_store_deployment},
        {"backfill", tycho__lua_store_backfill},
        {NULL, NULL},
    };
    tycho__lua_class_register(L, TYCHO__LUA_STORE, methods);
}
