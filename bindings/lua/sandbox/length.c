/* length.c - the length of a table, `#t`: of Lua's own functions, the one that is replaced.
**
** Where a table has holes, Lua gives any part without holes, and which one depends on where its
** hashes put the other keys: on a seed that each process draws anew. A linker that names a stream
** by it would name another one in another process. Here it follows from what the table holds
** alone: the first of 1, 2, 4, 8, ... that is nil is found, and then, by halving, a key before it
** that is not nil and is followed by one that is. Without holes that is the length, as ever.
**
** The Makefile makes luaH_getn weak in the copy of Lua that the script host has inside, so that
** this one is called for `#`, lua_rawlen() and luaL_len(). It looks at tables through Lua's own
** luaH_getint(), and of a value it knows what each Lua 5.4 has: sixteen bytes, the type behind the
** first eight, nil in its lower half.
*/
#include "state.h"

#if LUA_VERSION_NUM != 504
#error "the values are those of Lua 5.4"
#endif

struct Table;

struct value {
    lua_Integer content;
    unsigned char type;
};

const struct value *luaH_getint(struct Table *table, lua_Integer key);
lua_Unsigned luaH_getn(struct Table *table);

static int is_nil(struct Table *table, lua_Unsigned key) {
    return (luaH_getint(table, (lua_Integer)key)->type & 0x0f) == LUA_TNIL;
}

lua_Unsigned luaH_getn(struct Table *table) {
    lua_Unsigned filled = 0, empty = 1;
    while (!is_nil(table, empty)) {
        filled = empty;
        if (empty > LUA_MAXINTEGER / 2) return filled;
        empty *= 2;
    }
    while (empty - filled > 1) {
        lua_Unsigned middle = filled + (empty - filled) / 2;
        if (is_nil(table, middle)) {
            empty = middle;
        } else {
            filled = middle;
        }
    }
    return filled;
}
