/* codec.h - payloads straight to and from the Lua stack: MessagePack (codec_msgpack.c), JSON
** (codec_json.c), and what both share (codec.c).
**
**     Lua                            MessagePack         JSON
**     nil                            refused (absent)
**     tycho.null                     nil                 null
**     boolean, integer, float        bool, int, float64  true, 1, 1.0 (NaN, infinities refused)
**     string, valid UTF-8            str                 "text"
**     string, other bytes            bin                 {"base64": "..."}
**     tycho.Binary                   bin                 {"base64": "..."}
**     table, keys exactly 1..n       array               [...]
**     table, string keys, or empty   map, keys sorted    {...}, keys sorted
**     empty table of tycho.array     array               []
**
** Reading gives the same values back: an array carries one shared metatable, so that it stays an
** array when it becomes empty; bin is always a tycho.Binary. A map that others wrote may have
** integer keys, 16384 in all (Lua has no seed for their hashes: millions could be found one behind
** the other), which writing refuses unless they make an array; no other kinds. An integer above
** 2^63-1 is refused in MessagePack, and becomes a float in JSON, whose numbers have no types. Where
** a key comes twice the last one counts.
**
** Tables are read raw, without metamethods. At most TYCHO__DEPTH_MAX tables within each other,
** which also ends cycles. Nothing here calls Lua code, yields, or recurses; decoding allocates, so
** the collector may run finalizers in it. Every buffer belongs to a userdata: a memory error
** raised by Lua leaks nothing.
**
** Encoders and decoders return TYCHO_OK, or a status of tycho.h with one string pushed: a sentence
** such as "data.items[3] is a function", to be raised as the caller sees fit:
**     if (tycho__lua_encode(L, 2, "data", out) != TYCHO_OK) return lua_error(L);
*/
#ifndef TYCHO_LUA_CODEC_H
#define TYCHO_LUA_CODEC_H

#include <lua.h>

#include "../msgpack/msgpack.h"

/* Merges null, array, is_array, binary, json and msgpack into the module table on top of the
** stack. May run any number of times in a state: marks and metatables are made once. Must have run
** before any other function here. */
void tycho__lua_open_codec(lua_State *L);

/* Pushes a userdata that owns an empty buffer, which lives as long as the userdata does. */
struct tycho_buffer *tycho__lua_new_buffer(lua_State *L);

/* Appends the value at `index` to `out` as MessagePack. `root` names the value in messages
** ("data"). MISUSE: a value that cannot be stored; TOO_LARGE: over TYCHO__MSGPACK_SIZE_MAX;
** NO_MEMORY. On failure `out` is as it was. Does not allocate Lua objects when it succeeds. */
int tycho__lua_encode(lua_State *L, int index, const char *root, struct tycho_buffer *out);

/* The same for what a script of strangers gives: MISUSE, too, when the same tables come over 10,000
** times. */
int tycho__lua_encode_result(lua_State *L, int index, const char *root, struct tycho_buffer *out);

/* Pushes the one value that `data` holds. CORRUPT with the offset when it is not MessagePack that
** Lua can hold. `data` must stay while this runs. */
int tycho__lua_decode(lua_State *L, const void *data, size_t size);

/* Pushes the value found by following `count` keys (strings; 1-based integers into arrays) from
** stack index `first` on, decoding only that; nil when there is none. MISUSE when a key is neither;
** CORRUPT as above, for what had to be looked at. There must be room for 8 values, as a function
** has that Lua called. */
int tycho__lua_field(lua_State *L, const void *data, size_t size, int first, int count);

/* As tycho__lua_encode and tycho__lua_decode, in JSON: one text without line breaks; one text with
** white space around it at most. Limit: TYCHO__JSON_SIZE_MAX. Bad text is MISUSE, with the byte. */
int tycho__lua_encode_json(lua_State *L, int index, const char *root, struct tycho_buffer *out);
int tycho__lua_decode_json(lua_State *L, const char *text, size_t size);

/* Pushes a tycho.Binary of these bytes. */
void tycho__lua_push_binary(lua_State *L, const void *data, size_t size);

/* The bytes of the tycho.Binary at `index`; NULL when it is something else. */
const char *tycho__lua_to_binary(lua_State *L, int index, size_t *size);

/* Pushes tycho.null. */
void tycho__lua_push_null(lua_State *L);

#endif
