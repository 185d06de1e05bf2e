/* hash.c - hash128(text): XXH3 of 128 bits as 16 bytes, big-endian (its canonical form), so that
** what is made of it is the same everywhere. For ids of imported content, not for secrets. */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "binding.h"

int tycho__lua_hash128(lua_State *L) {
    const tycho_bytes text = tycho__lua_bytes(L, 1, "text");
    XXH128_canonical_t canonical;

    XXH128_canonicalFromHash(&canonical, XXH3_128bits(text.data, text.size));

    lua_pushlstring(L, (const char *)canonical.digest, sizeof(canonical.digest));
    return 1;
}
