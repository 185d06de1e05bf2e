/* hash.c - hash(text), and ids made of content: content_id(seed, text, occurrence, time).
**
** Both are made with XXH3, the same everywhere and for ever. For recognising content again, not for
** secrets. A content id is a UUID of version 8, laid out as one of version 7: 48 bits of
** milliseconds, then 74 bits of the 128-bit hash of the text, whose seed is made of `seed` and
** `occurrence`. Without a time, the 48 bits are of the hash, too.
*/
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "binding.h"

int tycho__lua_hash(lua_State *L) {
    const tycho_bytes text = tycho__lua_bytes(L, 1, "text");
    lua_pushinteger(L, (lua_Integer)XXH3_64bits(text.data, text.size));
    return 1;
}

static void write_hex(char *to, uint64_t value, int digits) {
    static const char digit[] = "0123456789abcdef";
    for (int i = digits - 1; i >= 0; i--, value >>= 4) to[i] = digit[value & 15];
}

/* Milliseconds, rounded down, also before 1970. */
static uint64_t milliseconds(int64_t time) {
    return (uint64_t)(time / 1000 - (time % 1000 < 0 ? 1 : 0));
}

int tycho__lua_content_id(lua_State *L) {
    lua_Integer seed = luaL_checkinteger(L, 1);
    const tycho_bytes text = tycho__lua_bytes(L, 2, "text");
    lua_Integer occurrence = luaL_optinteger(L, 3, 0);
    bool has_time = !lua_isnoneornil(L, 4);
    lua_Integer time = has_time ? luaL_checkinteger(L, 4) : 0;

    uint64_t mixed = (uint64_t)seed ^ (uint64_t)occurrence * 0x9e3779b97f4a7c15u;
    XXH128_hash_t hash = XXH3_128bits_withSeed(text.data, text.size, mixed);
    uint64_t head = has_time ? milliseconds(time) : hash.high64 >> 16;
    char id[TYCHO_UUID_SIZE];
    write_hex(id, head >> 16 & 0xffffffff, 8);
    write_hex(id + 9, head & 0xffff, 4);
    write_hex(id + 14, 0x8000 | (hash.high64 & 0xfff), 4);
    write_hex(id + 19, 0x8000 | (hash.low64 >> 48 & 0x3fff), 4);
    write_hex(id + 24, hash.low64 & 0xffffffffffff, 12);
    id[8] = id[13] = id[18] = id[23] = '-';

    lua_pushlstring(L, id, sizeof(id));
    return 1;
}
