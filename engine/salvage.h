/* salvage.h - what was found in a damaged data file, for salvage.c and its two readers.
**
**   salvage_find.c     rows of all tables, from the tree and from pages that no tree reaches
**   salvage_streams.c  names of lists, and the entries of all streams, from rows and records
**   salvage.c          a new store of them
**
** A row is as good as where it was found (its `rank`):
**
**   0  in a sound leaf page that the newest snapshot reaches
**   1  in a page that is damaged, or that is in nobody's use, though it is not free: what was below
**      a damaged branch page
**   2  in a free page, or where nobody can say what is free: an older copy, perhaps of something
**      that was removed since
**   3  in the room of a page, where no pointer leads: events only, when all else fails
**
** Of several rows with one key the one of the best rank is taken, and the newest of these.
*/
#ifndef TYCHO__SALVAGE_H
#define TYCHO__SALVAGE_H

#include "apply.h"
#include "inspect.h"
#include "pending.h"

enum { TYCHO__IN_TREE, TYCHO__ORPHAN, TYCHO__STALE, TYCHO__REMAINS };

typedef struct tycho__found {
    const uint8_t *key; /* in the image, as all that is found */
    const uint8_t *value;
    uint64_t newness; /* of two with one key and rank */
    uint32_t value_size;
    uint16_t key_size;
    uint8_t table;
    uint8_t rank;
} tycho__found;

/* A list of the damaged store. */
typedef struct tycho__old_list {
    uint8_t kind;
    bool is_row; /* its row is there; else only its name, and that may be made up */
    bool is_deleted;
    uint32_t number;
    uint32_t name_size;
    uint32_t new_number; /* 0: not made yet */
    const uint8_t *name; /* NULL: lost */
    uint64_t first, next, count;
} tycho__old_list;

/* An entry of a stream: `position` 0 is a hole. The source is better the lower it is. */
typedef struct tycho__old_entry {
    uint32_t stream;
    uint8_t source;
    bool is_link;
    uint64_t revision;
    uint64_t position;
    uint64_t link; /* its number in the order of linking; 0: lost */
} tycho__old_entry;

struct tycho_salvage {
    tycho__image image;
    tycho__meta meta;
    bool has_tree;                    /* a meta page and the main table were readable */
    bool is_hurt[TYCHO__TREES];       /* the table has damaged pages, or its root is lost */
    bool is_older;                    /* the tree is that of the commit before the last */
    uint8_t *in_use, *is_free, *hurt; /* bits by page */
    uint64_t first_page;              /* behind the sound meta pages */
    tycho__found *found;              /* sorted by table, key, rank, newness; then one per key */
    size_t found_count, found_room;
    size_t first[TYCHO__TABLES + 1]; /* of each table in `found` */
    tycho__state state;
    bool has_state;
    uint64_t head;
    tycho__old_list *lists; /* sorted by kind and number */
    size_t list_count, list_room;
    tycho__old_entry *entries; /* sorted by stream, revision */
    size_t entry_count, entry_room;
    tycho__buffer texts; /* u16 size, text, ... */
    size_t text_at;      /* of the next one to be given */
    tycho_salvaged salvaged;
};

/* Notes something that is hurt or lost. Without memory it is counted only. */
__attribute__((format(printf, 2, 3))) void tycho__salvage_tell(tycho_salvage *salvage,
                                                               const char *format, ...);

/* Makes room for one more element of an array. */
int tycho__salvage_grow(void **array, size_t count, size_t *room, size_t size);

/* Reads the file: fills `found`, the state and the head. */
int tycho__salvage_find(tycho_salvage *salvage, const char *path);
/* The row of a key, or NULL. */
const tycho__found *tycho__salvage_row(const tycho_salvage *salvage, tycho__table table,
                                       tycho_bytes key);
/* The sound record at a position, or NULL. */
const tycho__found *tycho__salvage_record(const tycho_salvage *salvage, uint64_t position,
                                          tycho__event_view *event);

/* Fills `lists` and `entries` from what was found. */
int tycho__salvage_streams(tycho_salvage *salvage);
/* The name of an old list; where it is lost, one that says so. */
tycho_bytes tycho__salvage_name(const tycho__old_list *old, char made[64]);
/* The list, or NULL. */
tycho__old_list *tycho__salvage_list(tycho_salvage *salvage, uint8_t kind, uint32_t number);

#endif
