/* receipt.c - what a commit answered, as a table. Zero and -1 stand for "none" in the engine; in
** Lua the field is absent then. */
#include "binding.h"

static void push_result(lua_State *L, const tycho_result *result) {
    lua_createtable(L, 0, 4);
    tycho__lua_set_integer(L, "count", (int64_t)result->count);
    if (result->first_position > 0)
        tycho__lua_set_integer(L, "first_position", (int64_t)result->first_position);
    if (result->first_revision >= 0)
        tycho__lua_set_integer(L, "first_revision", result->first_revision);
    tycho__lua_set_bytes(L, "previous", result->previous);
}

void tycho__lua_receipt_push(lua_State *L, const tycho_receipt *receipt, int ids) {
    lua_createtable(L, 0, 8);
    tycho__lua_set_integer(L, "sequence", (int64_t)receipt->sequence);
    if (receipt->first_position > 0)
        tycho__lua_set_integer(L, "first_position", (int64_t)receipt->first_position);
    tycho__lua_set_integer(L, "event_count", (int64_t)receipt->event_count);
    tycho__lua_set_integer(L, "head", (int64_t)receipt->head);
    lua_pushboolean(L, receipt->is_replay);
    lua_setfield(L, -2, "is_replay");
    lua_pushvalue(L, ids);
    lua_setfield(L, -2, "event_ids");
    lua_createtable(L, (int)receipt->result_count, 0);
    for (size_t i = 0; i < receipt->result_count; i++) {
        push_result(L, &receipt->results[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_setfield(L, -2, "results");
}
