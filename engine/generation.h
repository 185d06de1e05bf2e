/* generation.h - the entries between two settlements, in memory; see recent.h.
**
** A generation begins behind a position and the number of a link, and has everything from there on:
** the entries of each list, the ids of the events, the ways back of the links. It is filled in the
** order of commits, so that each of its parts is one, too, and a snapshot sees a first part of
** each. It knows neither tables nor transactions: recent.c fills, shares and locks it.
**
**      lists   by kind and number; values of 8 bytes, numbers of links only where there are any
**      ids     the i-th is that of the event at base_head + 1 + i; found by halving as long as they
**              come in the order of their keys, as UUIDv7 of one writer do, and then by slots
**      ways    the i-th is that of the link base_links + 1 + i; chained by position when somebody
**              looks for one, which most never do (measured: 150 instructions for four links)
**
** What the present write transaction
** adds is behind a mark and can be taken out again.
*/
#ifndef TYCHO__GENERATION_H
#define TYCHO__GENERATION_H

#include "arena.h"
#include "env.h"
#include "record.h"

/* The entries of one list. */
typedef struct tycho__recent_list {
    uint8_t kind;
    uint32_t number;
    uint32_t count;
    uint32_t capacity;
    uint64_t base;    /* of a stream: the revision of the first */
    uint64_t highest; /* position; also of what was taken out again */
    uint64_t *values; /* position << 1 | is_link */
    uint64_t *links;  /* numbers of links, 0 for appended events; NULL: all are */
} tycho__recent_list;

/* The way back from an event to a stream that it is linked into. */
typedef struct tycho__recent_way {
    uint64_t position;
    uint64_t revision;
    uint32_t stream;
    uint32_t before; /* 1 + place of another one of the same chain, 0: none */
} tycho__recent_way;

struct tycho__sorted;

/* The key beside the pointer saves visits to lists that are not the one. */
struct tycho__list_slot {
    uint64_t key; /* kind << 32 | number */
    tycho__recent_list *list;
};

typedef struct tycho__generation {
    atomic_uint shares;
    atomic_bool is_broken; /* memory ran out in the middle of an addition: nobody may use it */
    pthread_rwlock_t lock;
    uint64_t serial;                /* never used twice in a process */
    uint64_t base_head, base_links; /* where it begins */
    uint64_t head, links;           /* how far it goes, what is not committed included */
    tycho__arena arena;             /* of lists, entries and ids */
    struct tycho__list_slot *list_slots;
    size_t list_slot_count, list_count;
    uint64_t entry_count; /* of all lists */
    const uint8_t **ids;  /* u8 size, and the key of table `ids`: u8 is_uuid, packed id */
    size_t id_count, id_capacity;
    uint64_t *id_slots; /* hash << 32 | place + 1; NULL while ids come in order */
    size_t id_slot_count;
    tycho__recent_way *ways;
    size_t way_count, way_capacity, way_capacity_first;
    size_t way_entered;  /* how many are in their chains */
    uint32_t *way_slots; /* beginnings of chains */

    tycho__recent_list **added; /* behind the mark */
    size_t added_count, added_capacity;
    uint64_t mark_head, mark_links;

    /* For settle.c, made when it asks. */
    struct tycho__sorted *sorted_lists; /* NULL: not asked for yet */
    struct tycho__sorted *sorted_ids;   /* NULL: as they are */
    uint32_t *way_order;                /* places of ways; NULL: as they are */
} tycho__generation;

/* NULL without memory. `slots` (a power of 2) is what the tables begin with, and `ways` (the same,
** or 0) what those of links do once there is one. */
tycho__generation *tycho__generation_begin(uint64_t head, uint64_t links, size_t slots,
                                           size_t ways);
/* Gives up one's share; NULL is fine. */
void tycho__generation_release(tycho__generation *g);

/* How old it is, to compare: the number of entries before it. */
static inline uint64_t tycho__generation_age(const tycho__generation *g) {
    return g->base_head + g->base_links;
}

/* ---------------------------------------------------------------- looking */

/* NULL when it has no entry of the list. */
tycho__recent_list *tycho__generation_find(const tycho__generation *g, uint8_t kind,
                                           uint32_t number);

/* Fetch where a list or an id is looked for into the caches of the processor. */
void tycho__generation_prefetch(const tycho__generation *g, uint8_t kind, uint32_t number);
void tycho__generation_prefetch_id(const tycho__generation *g, tycho_bytes packed, bool is_uuid);

/* How many entries of a list (may be NULL) a snapshot with this head and so many links sees. */
uint32_t tycho__generation_visible(const tycho__recent_list *list, uint64_t head, uint64_t links);

/* The index of the first of `count` entries with an ordinal >= the given one, or `count`. */
uint32_t tycho__generation_index(const tycho__recent_list *list, uint32_t count, uint64_t ordinal);

/* The position of an id, 0 when it is not here. */
uint64_t tycho__generation_find_id(const tycho__generation *g, tycho_bytes packed, bool is_uuid);

/* Puts the ways into their chains that are in none. Nobody else may use the generation. */
void tycho__generation_enter_ways(tycho__generation *g);

/* The ways back of an event, once all are in chains, the newest first: the one before `way`, which
** is NULL at first. NULL at the end. */
const tycho__recent_way *tycho__generation_way(const tycho__generation *g, uint64_t position,
                                               const tycho__recent_way *way);
uint64_t tycho__generation_link(const tycho__generation *g, const tycho__recent_way *way);

/* ---------------------------------------------------------------- adding */

/* The list, made when it is new. */
int tycho__generation_make(tycho__generation *g, uint8_t kind, uint32_t number,
                           tycho__recent_list **list);
/* The entry of an appended event, behind the last. */
int tycho__generation_add(tycho__generation *g, tycho__recent_list *list, uint64_t ordinal,
                          uint64_t position);
/* Those of the next links, into a stream, and their ways back; without memory none of them. Moves
** `links`. Each is noted when that is asked for. */
int tycho__generation_add_links(tycho__generation *g, tycho__recent_list *list, uint64_t revision,
                                const uint64_t *positions, uint32_t count, bool is_noted);
/* The id of the next event; moves `head`. */
int tycho__generation_add_id(tycho__generation *g, tycho_bytes packed, bool is_uuid);

/* What is added from now on can be taken out again: all of it, noting each list that got one. */
void tycho__generation_mark(tycho__generation *g);
int tycho__generation_note(tycho__generation *g, tycho__recent_list *list);
void tycho__generation_undo(tycho__generation *g);

/* ---------------------------------------------------------------- orders (generation_order.c) */

/* Makes the orders below, for settle.c; nothing may be added any more, only undone. NO_MEMORY. */
int tycho__generation_sort(tycho__generation *g);
void tycho__generation_forget_orders(tycho__generation *g);

/* All lists in the order of kinds and numbers: the i-th, and which one is behind the given one. */
const tycho__recent_list *tycho__generation_sorted(const tycho__generation *g, size_t i);
size_t tycho__generation_behind(const tycho__generation *g, uint64_t kind, uint64_t number);

/* The ways in the order of positions: the i-th, and which one is the first behind a
** position. */
typedef struct tycho__sorted_way {
    uint64_t position;
    uint64_t revision;
    uint64_t link;
    uint32_t stream;
} tycho__sorted_way;
tycho__sorted_way tycho__generation_sorted_way(const tycho__generation *g, size_t i);
size_t tycho__generation_way_behind(const tycho__generation *g, uint64_t position);

/* The ids in the order of their keys: the i-th. */
typedef struct tycho__sorted_id {
    const uint8_t *bytes; /* as in `ids` */
    uint64_t position;
} tycho__sorted_id;
tycho__sorted_id tycho__generation_sorted_id(const tycho__generation *g, size_t i);

#endif
