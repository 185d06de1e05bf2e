/* event_copy.c - events become those of Lua: their bytes are copied (event_state.h).
**
** A loop over millions of events is as fast as this file and event.c let it be, and Lua counts the
** bytes: an event is one block of memory. (Blocks that several events share were tried: a small
** userdata for each, and pages of 2 to 60 KiB for their bytes, take 3 to 10 % more instructions, as
** the C library frees small blocks to merge them when a page is asked for.)
*/
#include "event_state.h"

#include <string.h>

const char tycho__lua_event_mark = 0;

int tycho__lua_detail_read(tycho_cursor *cursor, uint32_t tag_count, tycho__lua_detail *to) {
    tycho_bytes name;

    int status = tycho_cursor_stream(cursor, &name);
    if (status != TYCHO_OK) return status;
    if (name.size > 0) memcpy(to->stream, name.data, name.size);
    to->stream_size = name.size;
    to->tags_size = 0;
    for (uint32_t i = 0; i < tag_count; i++) {
        status = tycho_cursor_tag(cursor, i, &name);
        if (status != TYCHO_OK) return status;
        to->tags[to->tags_size] = (unsigned char)name.size;
        memcpy(to->tags + to->tags_size + 1, name.data, name.size);
        to->tags_size += name.size + 1;
    }
    return TYCHO_OK;
}

static unsigned char *put(unsigned char *at, tycho_bytes from) {
    if (from.size > 0) memcpy(at, from.data, from.size);
    return at + from.size;
}

/* Pushes an event, without its metatable, that has room for its bytes and for `more`. */
static inline tycho__lua_event *push_event(lua_State *L, const tycho_event *from,
                                           const tycho__lua_origin *origin, size_t more) {
    const size_t size = from->type.size + from->content_type.size + more + from->packed.size;
    tycho__lua_event *to = lua_newuserdatauv(L, sizeof(*to) + size, 1);
    to->mark = &tycho__lua_event_mark;
    to->class = origin->class;
    to->position = from->position;
    to->step = origin->reader->step;
    to->revision = from->revision;
    to->packed_size = (uint32_t)from->packed.size;
    to->tags_size = 0;
    to->type_size = (uint8_t)from->type.size;
    to->content_type_size = (uint8_t)from->content_type.size;
    to->stream_size = 0;
    to->is_link = from->is_link != 0;
    to->is_lazy = to->is_unpacked = false;
    return to;
}

static inline void set_class(lua_State *L, const tycho__lua_origin *origin) {
    lua_pushvalue(L, origin->metatable);
    lua_setmetatable(L, -2);
}

void tycho__lua_event_push_lazy(lua_State *L, const tycho_event *from,
                                const tycho__lua_origin *origin) {
    tycho__lua_event *to = push_event(L, from, origin, 0);
    to->is_lazy = true;
    put(put(put(to->bytes, from->type), from->content_type), from->packed);
    lua_pushvalue(L, origin->cursor);
    lua_setiuservalue(L, -2, 1);
    set_class(L, origin);
}

int tycho__lua_event_push(lua_State *L, const tycho_event *from, const tycho__lua_origin *origin) {
    tycho__lua_detail known;
    const int status = tycho__lua_detail_read(origin->reader->cursor, from->tag_count, &known);
    if (status != TYCHO_OK) return status;
    const tycho_bytes stream = {known.stream, known.stream_size};
    const tycho_bytes tags = {known.tags, known.tags_size};

    tycho__lua_event *to = push_event(L, from, origin, stream.size + tags.size);
    to->stream_size = (uint8_t)stream.size;
    to->tags_size = (uint32_t)tags.size;
    put(put(put(put(put(to->bytes, from->type), from->content_type), stream), tags), from->packed);
    set_class(L, origin);
    return TYCHO_OK;
}
