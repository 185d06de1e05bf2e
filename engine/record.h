/* record.h - an event as bytes: in a batch (with names) and in the log (with numbers).
**
** Stored record, the value of table `events` (little-endian, no alignment):
**
**      0  u64  checksum: XXH3 of all that follows
**      8  u64  position
**     16  i64  time
**     24  i64  revision in the home stream, -1 without one
**     32  u32  number of the home stream, 0 without one
**     36  u32  number of the type
**     40  u32  size of the metadata
**     44  u16  flags
**     46  u8   sizes of id, correlation id, causation id (packed, see text.h)
**     49  u8   count of tags
**     50  i64  valid_time            only with TYCHO__VALID_TIME
**      .  u32  number of content type  only with TYCHO__CONTENT_TYPE
**      .  u64  position of writing     only with TYCHO__WRITTEN: it was overwritten under scripts
**      .  u32  number of each tag, in byte order of the tags
**      .       id, correlation id, causation id, metadata, data; with TYCHO__COMPRESSED, in the
**              place of the last two, a frame that has both (dictionary.h)
**
** In a batch, all numbers are names:
**
**      0  u16  flags
**      2  u8   sizes of id, correlation id, causation id
**      5  u8   count of tags
**      6  u8   sizes of type and content type
**      8  u32  sizes of metadata and data
**     16  i64  time
**     24  i64  valid_time            only with TYCHO__VALID_TIME
**      .       tags, each u8 size and bytes, strictly rising; type; content type
**      .       id, correlation id, causation id, metadata, data
**
** The last line is the same run of bytes in both (`body`), so that apply copies it once, unless it
** is compressed.
*/
#ifndef TYCHO__RECORD_H
#define TYCHO__RECORD_H

#include "buffer.h"
#include "text.h"

enum tycho__event_flags {
    TYCHO__VALID_TIME = 1,
    TYCHO__CONTENT_TYPE = 2,
    TYCHO__UUID_ID = 4,
    TYCHO__UUID_CORRELATION = 8,
    TYCHO__UUID_CAUSATION = 16,
    TYCHO__EVENT_FLAGS = 31,
    TYCHO__WRITTEN = 32, /* record only */
    TYCHO__COMPRESSED = 64, /* record only */
    TYCHO__RECORD_FLAGS = 127
};

/* Views into either form. */
typedef struct tycho__event_view {
    uint16_t flags;
    uint8_t tag_count;
    uint32_t metadata_size; /* also in a compressed record */
    int64_t time;
    int64_t valid_time;
    tycho_bytes id; /* packed, as the two below */
    tycho_bytes correlation_id;
    tycho_bytes causation_id;
    tycho_bytes metadata; /* empty in a compressed record, as data, until tycho__decompress() */
    tycho_bytes data;
    tycho_bytes body;
    tycho_bytes type;         /* batch only */
    tycho_bytes content_type; /* batch only */
    tycho_bytes tags;         /* the run of tags: names in a batch, numbers in a record */
    tycho_bytes frame;        /* record only, as all below: of a compressed one */
    uint64_t position;
    uint64_t written;         /* the position, unless it was overwritten under scripts */
    int64_t revision;
    uint32_t stream;
    uint32_t type_number;
    uint32_t content_type_number;
} tycho__event_view;

enum { TYCHO__RECORD_FIXED = 50, TYCHO__ENCODED_FIXED = 24 };

/* Appends `event` to a batch. Names and sizes are checked here. `take_defaults` puts a new id and
** the present time where they are left out (append); else they are required (overwrite). */
int tycho__event_encode(tycho__buffer *buffer, const tycho_new_event *event, bool take_defaults);

/* Reads one event of a batch and moves on; checks structure, not names. CORRUPT. */
int tycho__event_decode(tycho__reader *reader, tycho__event_view *view);

/* The same in two halves, for who passes over most events: the first finds the parts, at a third of
** the cost; of the second, who uses some of the view pays for that. */
typedef struct tycho__event_parts {
    const uint8_t *head;
    tycho_bytes tags, type, content_type, body;
} tycho__event_parts;
int tycho__event_pass(tycho__reader *reader, tycho__event_parts *parts);

/* Cuts the common last run into its parts. The sizes add up to no more than the run (checked by
** the callers); data, or the frame of what is compressed, is what is left. */
static inline void tycho__cut_body(tycho__event_view *view, const uint8_t *at,
                                   const uint8_t sizes[3], size_t metadata_size, size_t body_size) {
    view->body = tycho__bytes(at, body_size);
    view->id = tycho__bytes(at, sizes[0]);
    view->correlation_id = tycho__bytes(at + sizes[0], sizes[1]);
    view->causation_id = tycho__bytes(at + sizes[0] + sizes[1], sizes[2]);
    size_t ids = (size_t)sizes[0] + sizes[1] + sizes[2];
    assert(ids <= body_size);
    view->metadata_size = (uint32_t)metadata_size;
    view->frame = tycho__bytes(at + ids, 0);
    if ((view->flags & TYCHO__COMPRESSED) != 0) {
        view->frame = tycho__bytes(at + ids, body_size - ids);
        view->metadata = view->data = tycho__bytes(at + ids, 0);
        return;
    }
    view->metadata = tycho__bytes(at + ids, metadata_size);
    view->data = tycho__bytes(at + ids + metadata_size, body_size - ids - metadata_size);
}

static inline void tycho__event_see(const tycho__event_parts *parts, tycho__event_view *view) {
    const uint8_t *head = parts->head;
    memset(view, 0, sizeof *view);
    view->flags = tycho__load16(head);
    view->tag_count = head[5];
    view->time = (int64_t)tycho__load64(head + 16);
    view->valid_time = view->time;
    if ((view->flags & TYCHO__VALID_TIME) != 0) {
        view->valid_time = (int64_t)tycho__load64(head + TYCHO__ENCODED_FIXED);
    }
    view->tags = parts->tags;
    view->type = parts->type;
    view->content_type = parts->content_type;
    tycho__cut_body(view, parts->body.data, head + 2, tycho__load32(head + 8), parts->body.size);
}

/* Checks what tycho__event_encode() would have: names, tags, limits, flags. CORRUPT. */
int tycho__event_check(const tycho__event_view *view);

/* The next name of a run of tags of a batch. */
tycho_bytes tycho__tag_next(tycho__reader *tags);

/* Size of the record of a batch's event. */
size_t tycho__record_size(const tycho__event_view *view);

/* Writes the record; position, revision, stream and the numbers are those of `view`, the numbers
** of tags are given. `to` has tycho__record_size() bytes. */
void tycho__record_write(uint8_t *to, const tycho__event_view *view, const uint32_t *tags);

/* Reads and verifies a stored record. CORRUPT when the checksum, the position or the structure is
** wrong. Costs one pass over the bytes. */
int tycho__record_read(tycho_bytes record, uint64_t position, tycho__event_view *view);

/* The two halves of it: checksum and position, then structure. */
int tycho__record_check(tycho_bytes record, uint64_t position);
int tycho__record_parse(tycho_bytes record, tycho__event_view *view);

/* CORRUPT unless a record has the structure that the latter asks for, at a third of its cost. */
int tycho__record_look(tycho_bytes record);

/* Puts a record with other metadata and data, that are not compressed, in place of what the buffer
** has. It has no checksum, and is for tycho__record_parse() alone. NO_MEMORY. */
int tycho__record_alter(tycho__buffer *buffer, const tycho__event_view *view, tycho_bytes record,
                        tycho_bytes metadata, tycho_bytes data);

/* Revision in the home stream of a stored record. */
static inline int64_t tycho__record_revision(const uint8_t *record) {
    return (int64_t)tycho__load64(record + 24);
}

/* Number of the i-th tag of a stored record. */
static inline uint32_t tycho__record_tag(const tycho__event_view *view, uint32_t index) {
    assert(index < view->tag_count);
    return tycho__load32((const uint8_t *)view->tags.data + 4 * (size_t)index);
}

#endif
