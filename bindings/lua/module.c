/* module.c - the loader of `tycho.core`, which only scripts/tycho/ requires.
**
**     uuid hash content_id now parse_time format_time                           public as they are
**     null array is_array binary json msgpack                                   (codec.h)
**     open batch script salvage                                                 boxes
**     misuse refusal own nearest                                                errors
**     sleep directory                                                           for scripts/tycho/
*/
#include "binding.h"

#include <time.h>

static int module_uuid(lua_State *L) {
    char text[TYCHO_UUID_SIZE];
    tycho_uuid(text);
    lua_pushlstring(L, text, sizeof(text));
    return 1;
}

static int module_now(lua_State *L) {
    lua_pushinteger(L, tycho_now());
    return 1;
}

/* sleep(milliseconds): a signal ends it early. */
static int module_sleep(lua_State *L) {
    const lua_Integer milliseconds = luaL_checkinteger(L, 1);
    luaL_argcheck(L, milliseconds >= 0, 1, "milliseconds from 0 on expected");
    const struct timespec pause = {(time_t)(milliseconds / 1000), milliseconds % 1000 * 1000000};
    nanosleep(&pause, NULL);
    return 0;
}

int luaopen_tycho_core(lua_State *L);

__attribute__((visibility("default"))) int luaopen_tycho_core(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"uuid", module_uuid},
        {"hash", tycho__lua_hash},
        {"content_id", tycho__lua_content_id},
        {"now", module_now},
        {"sleep", module_sleep},
        {"parse_time", tycho__lua_time_parse},
        {"format_time", tycho__lua_time_format},
        {"open", tycho__lua_store_open},
        {"batch", tycho__lua_batch_create},
        {"script", tycho__lua_script_compile},
        {"deployment", tycho__lua_deployment_create},
        {"salvage", tycho__lua_salvage},
        {"directory", tycho__lua_directory},
        {"misuse", tycho__lua_error_misuse},
        {"refusal", tycho__lua_error_refusal},
        {"own", tycho__lua_error_own},
        {"nearest", tycho__lua_error_nearest},
        {NULL, NULL},
    };
    luaL_checkversion(L);
    tycho__lua_error_register(L);
    tycho__lua_event_register(L);
    tycho__lua_cursor_register(L);
    tycho__lua_follower_register(L);
    tycho__lua_listing_register(L);
    tycho__lua_snapshot_register(L);
    tycho__lua_verification_register(L);
    tycho__lua_lock_register(L);
    tycho__lua_directory_register(L);
    tycho__lua_salvage_register(L);
    tycho__lua_script_register(L);
    tycho__lua_deployment_register(L);
    tycho__lua_backfill_register(L);
    tycho__lua_model_register(L);
    tycho__lua_batch_register(L);
    tycho__lua_store_register(L);
    luaL_newlib(L, functions);
    tycho__lua_open_codec(L);
    lua_pushstring(L, tycho_version());
    lua_setfield(L, -2, "version");
    return 1;
}
