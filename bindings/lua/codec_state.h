/* codec_state.h - what the files of the codec share with each other and with nobody else.
**
** The codec of a Lua state keeps its memory between calls. Nobody may hold a pointer into it while
** Lua allocates: the collector may then run a finalizer that encodes or decodes something itself.
*/
#ifndef TYCHO_LUA_CODEC_STATE_H
#define TYCHO_LUA_CODEC_STATE_H

#include <lua.h>

#include "../msgpack/json.h"

enum {
    TYCHO__LUA_KEPT_MAX = 1 << 20, /* bytes of a buffer that are kept for the next call */
    TYCHO__LUA_KEYS_MAX = 64       /* keys of an object for which room is made in advance */
};

/* Addresses, hashed by themselves; as many slots as a power of two says, empty ones are NULL. */
struct tycho__lua_set {
    struct tycho_buffer slots;
    size_t count;
};

/* Empties it. */
void tycho__lua_set_clear(struct tycho__lua_set *set);
/* Adds an address: 1 when it was there. 0 also without memory; then the slots have failed. */
int tycho__lua_set_add(struct tycho__lua_set *set, const void *address);

struct tycho__lua_codec {
    struct tycho_buffer output;  /* of json.encode and msgpack.encode */
    struct tycho_buffer entries; /* of the maps that are being encoded */
    struct tycho_buffer scratch; /* of one token, or of one map that is being sorted */
    struct tycho__lua_set tables; /* that the result of a script has had so far */
    /* How many keys the last object of each depth had: JSON does not say it in advance, and the
    ** next line of a file mostly looks like the last. */
    unsigned key_counts[TYCHO__DEPTH_MAX + 1];
};

struct tycho__lua_codec *tycho__lua_codec(lua_State *L);

/* Empties a buffer, and frees it when it has become larger than is worth keeping. */
void tycho__lua_trim_buffer(struct tycho_buffer *buffer);

/* Pushes the metatable of arrays. */
void tycho__lua_push_array_mark(lua_State *L);

/* What the keys of a table make of it. */
enum tycho__lua_shape {
    TYCHO__SHAPE_EMPTY,
    TYCHO__SHAPE_ARRAY,
    TYCHO__SHAPE_MAP,
    TYCHO__SHAPE_HOLES,
    TYCHO__SHAPE_BAD_KEY
};

/* Looks at the keys of the table at `table`, as far as needed: a map is only known by its first.
** Of an array `count` is the number of items, of a table with holes the index of the first. For a
** bad key, the key and its value are left on the stack. */
enum tycho__lua_shape tycho__lua_find_shape(lua_State *L, int table, size_t *count);

/* 1 when the table has the metatable of arrays, which is at slot `array_mark`. */
int tycho__lua_is_marked(lua_State *L, int table, int array_mark);

/* 1 when the value would be written as an array. */
int tycho__lua_is_array(lua_State *L, int index);

#endif
