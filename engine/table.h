/* table.h - the tables of a store, the only list of them.
**
** Keys are big-endian where they are numbers, so that order of bytes is order. Values are
** little-endian. No table uses duplicate keys (they lose rows on LMDB 0.9.24).
**
**   (main)           "state" -> struct tycho__state (env.h); in LMDB's own table, beside the
**                    roots of the others, whose page every commit writes anyway
**   events           position (native u64) -> record (record.h); always appended
**   ids              u8 is_uuid, packed id -> the positions of that and of some ids behind it
**                    (ids.h). UUIDv7 go to the right edge.
**   names            u8 kind, name -> u32 number
**   lists            u8 kind, u32 number -> the list's row (list.h)
**   blocks           u8 kind, u32 number, u64 first ordinal -> packed entries (list.h)
**   links            u64 position, u32 stream, u8 1 -> the ways back from this and neighbouring
**                    events to streams that they are linked into (ways.h)
**   stream_metadata  u32 stream -> bytes
**   routes           name -> name of the stream; behind a byte 0 when the route is closed
**   rows             u32 table, key -> u64 checksum of all else, u64 version, value
**   checkpoints      name -> u64 position
**   pending          u64 number of a link -> that and some more links, not settled (pending.h)
**   fences           name of a lock -> u64, the highest token that a committed batch demanded
**   garbage          u32 stream: deleted, its blocks and links are still being swept (sweep.c)
*/
#ifndef TYCHO__TABLE_H
#define TYCHO__TABLE_H

#define TYCHO__TABLE_MAP(X)                                                                        \
    X(MAIN, NULL)                                                                                  \
    X(EVENTS, "events")                                                                            \
    X(IDS, "ids")                                                                                  \
    X(NAMES, "names")                                                                              \
    X(LISTS, "lists")                                                                              \
    X(BLOCKS, "blocks")                                                                            \
    X(LINKS, "links")                                                                              \
    X(STREAM_METADATA, "stream_metadata")                                                          \
    X(ROUTES, "routes")                                                                            \
    X(ROWS, "rows")                                                                                \
    X(CHECKPOINTS, "checkpoints")                                                                  \
    X(PENDING, "pending")                                                                          \
    X(GARBAGE, "garbage")                                                                          \
    X(FENCES, "fences")

typedef enum tycho__table {
#define TYCHO__TABLE(name, text) TYCHO__##name,
    TYCHO__TABLE_MAP(TYCHO__TABLE)
#undef TYCHO__TABLE
        TYCHO__TABLES
} tycho__table;

/* Version of everything above and in the files it names. Format 1 had one way in each row of
** `links`; it is read as it is, and the first commit makes the store one of format 2. Format 3 has
** compressed records; the first dictionary makes the store one of it. Format 4 has ways of several
** events in a row of `links`, format 5 several ids in a row of `ids`; the first such row makes the
** store one of it, compressed or not. */
enum {
    TYCHO__FORMAT_PLAIN = 2,
    TYCHO__FORMAT_COMPRESSED = 3,
    TYCHO__FORMAT_WAYS = 4,
    TYCHO__FORMAT_IDS = 5,
    TYCHO__FORMAT = TYCHO__FORMAT_IDS
};

#endif
