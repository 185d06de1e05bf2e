/* event_state.h - an event in the memory of Lua, for event.c and event_copy.c alone.
**
** It is a userdata with its own copy of the bytes:
**
**     | header | type | content type | stream | tags | packed |
**
** tags are a run of size byte and bytes; `packed` is all the rest, as the engine stores it. An
** event of a loop (is_lazy) is made without stream and tags: see event.c.
*/
#ifndef TYCHO_LUA_EVENT_STATE_H
#define TYCHO_LUA_EVENT_STATE_H

#include "binding.h"

typedef struct tycho__lua_event {
    const void *mark; /* &tycho__lua_event_mark: asked sooner than Lua is */
    tycho__lua_event_class *class;
    uint64_t position, step;
    int64_t revision;
    uint32_t packed_size, tags_size;
    uint8_t type_size, content_type_size, stream_size;
    bool is_link, is_lazy, is_unpacked;
    bool is_compressed; /* this and what follows only when it is unpacked */
    uint8_t tag_count;
    uint32_t payload_at, metadata_size, data_size; /* the first: in `bytes` */
    uint64_t written;
    int64_t time, valid_time;
    unsigned char bytes[];
} tycho__lua_event;

/* Its address is what events begin with. */
extern const char tycho__lua_event_mark;

/* What a cursor knows of the event it stands on, copied: a view may not survive the next. */
typedef struct tycho__lua_detail {
    size_t stream_size, tags_size;
    unsigned char stream[TYCHO_NAME_MAX];
    unsigned char tags[TYCHO_TAGS_MAX * (TYCHO_NAME_MAX + 1)]; /* a run */
} tycho__lua_detail;

int tycho__lua_detail_read(tycho_cursor *cursor, uint32_t tag_count, tycho__lua_detail *to);

#endif
