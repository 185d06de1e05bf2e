/* list.h - lists of entries: the one structure behind streams, types and tags.
**
** A list has a kind, a number, a name that is interned, and entries in the order of their
** ordinals. In a stream the ordinal is the revision; ordinals follow each other, and an entry that
** was removed leaves a hole. In the list of a type or a tag the ordinal is the position of the
** event itself. Row tables and content types are names only.
**
** The last settled entries (up to TYCHO__BLOCK) lie in the row of the list; when they are full they
** move to a row of their own in table `blocks`. Newer entries are in no row yet (recent.h): what
** this file gives counts them in, and only settle.c moves them.
**
**   row of `lists`   0 u32 checksum of the rest, seeded with kind and number
**                    4 u16 count of entries in the tail   6 u8 flags   7 u8 size of the name
**                    8 u64 count    16 u64 next ordinal   24 u64 first ordinal that was not cut off
**                   32 u64 ordinal of the tail's first entry   40 u64 last position in the tail
**                   48 name, tail
**   row of `blocks`  0 u32 checksum of the rest, seeded with kind, number and ordinal
**                    4 u16 count of entries   6 entries
**
** Entries are varints of ((zigzag of position - position of the entry before) << 1 | is a link). A
** hole is 0, which no entry can be, because no event is twice in a stream.
**
** A write transaction keeps the lists that it touches in memory and writes those that it changed
** once, at commit. Changes in the middle need a list that is wholly settled.
*/
#ifndef TYCHO__LIST_H
#define TYCHO__LIST_H

#include "buffer.h"
#include "env.h"

enum { TYCHO__BLOCK = 128, TYCHO__LIST_DELETED = 1 };

typedef struct tycho__list {
    uint8_t kind;
    uint8_t flags;
    uint32_t number;
    uint64_t count;
    uint64_t next;   /* of a stream: the next revision */
    uint64_t recent; /* how many of the entries are not settled */
    uint64_t first;
    uint64_t tail_base;
    uint64_t tail_last;
    uint64_t highest; /* no entry has or had a higher position */
    uint32_t tail_count;
    tycho_bytes name;
    const uint8_t *tail;
    size_t tail_size;
    size_t tail_capacity; /* of a tail that may be changed; 0: a view, or not loaded (in memory) */
    bool is_dirty;        /* in memory: to be written at commit */
    bool is_scratch;      /* not in memory: its changer writes it */
    bool is_used;         /* in memory: asked for again since that was noted last */
    struct tycho__recent_list *recent_list; /* in memory: where its newest entries are, in */
    uint64_t recent_serial;                 /* the generation of this number */
} tycho__list;

typedef struct tycho__entry {
    uint64_t ordinal;
    uint64_t position;
    bool is_link;
} tycho__entry;

/* The number of a name. TYCHO_NOT_FOUND without a sentence. */
int tycho__list_find(tycho__txn *txn, uint8_t kind, tycho_bytes name, uint32_t *number);

/* The list as it is now; views good until the next write or the end of the transaction.
** TYCHO_NOT_FOUND without a sentence. */
int tycho__list_read(tycho__txn *txn, uint8_t kind, uint32_t number, tycho__list *list);

/* Both at once; an unknown or deleted name gives an empty list with number 0. */
int tycho__list_open(tycho__txn *txn, uint8_t kind, tycho_bytes name, tycho__list *list);

/* The list in the memory of a write transaction, to be changed by the functions below. `make`
** interns the name when it is new; `edit` takes a number that exists (CORRUPT otherwise). */
int tycho__list_make(tycho__txn *txn, uint8_t kind, tycho_bytes name, tycho__list **list);
int tycho__list_edit(tycho__txn *txn, uint8_t kind, uint32_t number, tycho__list **list);

/* Describes and counts an entry behind the last, which the caller then puts (recent.h); and the
** same for links into a stream, of which the highest position is given. */
struct tycho__recent_item;
void tycho__list_append(tycho__list *list, uint64_t position, struct tycho__recent_item *item);
void tycho__list_extend(tycho__list *list, uint32_t count, uint64_t highest);

/* Adds entries to the row, of which the first has the ordinal; for settle.c. */
int tycho__list_settle(tycho__txn *txn, tycho__list *list, uint64_t ordinal, const uint64_t *values,
                       uint32_t count);
int tycho__list_write(tycho__txn *txn, const tycho__list *list);
/* The row alone, without what is recent. TYCHO_NOT_FOUND without a sentence. */
int tycho__list_row(tycho__txn *txn, uint8_t kind, uint32_t number, tycho__list *list);

/* Lets the next entry of a stream, which is edited and wholly settled, have the revision `next`,
** a later one: those between are used up, as if their entries had been removed. */
int tycho__list_skip(tycho__txn *txn, tycho__list *list, uint64_t next);

/* Makes a hole of the entry of a stream. The entry is there (asserted by CORRUPT). */
int tycho__list_hole(tycho__txn *txn, tycho__list *list, uint64_t ordinal);

/* Cuts off all entries of a stream below `before`. */
int tycho__list_cut(tycho__txn *txn, tycho__list *list, uint64_t before);

/* Takes a position out of, or puts it into, the middle of the list of a type. */
int tycho__list_remove(tycho__txn *txn, tycho__list *list, uint64_t position);
int tycho__list_insert(tycho__txn *txn, tycho__list *list, uint64_t position);

/* Gives up a stream: its name is free, its row stays, marked, for the events that name it. */
int tycho__list_delete(tycho__txn *txn, tycho__list *list);

/* Gives a stream, which is edited and wholly settled, another name, which is free. The list in
** memory is another one from then on. */
int tycho__list_rename(tycho__txn *txn, tycho__list *list, tycho_bytes name);

/* Adds what is not settled to what the row of a list says. */
void tycho__list_count_recent(tycho__txn *txn, tycho__list *list);

/* ---------------------------------------------------------------- in memory (list_memory.c) */

#if !defined(TYCHO__KEPT_LISTS) /* test builds forget all the time */
#define TYCHO__KEPT_LISTS 262144
#endif

/* The list in memory, or NULL. */
tycho__list *tycho__list_kept(const tycho__txn *txn, uint8_t kind, uint32_t number);
tycho__list *tycho__list_named(const tycho__txn *txn, uint8_t kind, tycho_bytes name);

/* Takes a copy of a list, with its name but without its tail, into the memory. */
int tycho__list_keep(tycho__txn *txn, const tycho__list *list, tycho__list **kept);

/* Puts a copy with another name, to be written, in the place of a list in memory. */
int tycho__list_call(tycho__txn *txn, tycho__list *list, tycho_bytes name, tycho__list **called);

/* The list of a number, which exists (CORRUPT otherwise), in memory, with or without a tail. */
int tycho__list_take(tycho__txn *txn, uint8_t kind, uint32_t number, tycho__list **list);

/* Whether a list in memory lacks the tail that its row has. */
static inline bool tycho__list_lacks_tail(const tycho__list *list) {
    return list->tail == NULL && list->tail_count > 0;
}

/* Gives a list in memory a tail of its own, to be changed; and takes it away when it is written. */
int tycho__list_load_tail(tycho__txn *txn, tycho__list *list);
void tycho__list_drop_tail(tycho__list *list);

/* Fetches the lists of these names, and where their next entries go, into the caches of the
** processor, when there are so many that they are not. */
enum { TYCHO__PREFETCH = 64 };
typedef struct tycho__list_name {
    uint8_t kind;
    tycho_bytes name;
} tycho__list_name;
bool tycho__lists_are_many(const tycho__txn *txn);
void tycho__lists_prefetch(const tycho__txn *txn, const tycho__list_name *names, size_t count);

/* The same for one list by its number, in two steps, 0 and 1. */
void tycho__list_prefetch(const tycho__txn *txn, uint8_t kind, uint32_t number, int step);

/* Where looking up waits for the disk (guard.h): asks for what is to be read of lists that are not
** in memory, so that it is read at once. By their names; or the row of a number, and then, when the
** row is full with so many further entries, the place of its next block. */
void tycho__lists_ask(tycho__txn *txn, const tycho__list_name *names, size_t count);
void tycho__list_ask(tycho__txn *txn, uint8_t kind, uint32_t number);
void tycho__list_ask_block(tycho__txn *txn, uint8_t kind, uint32_t number, uint32_t more);

/* Notes that a list was changed. */
void tycho__list_touch(tycho__txn *txn, tycho__list *list);

/* For the beginning and the end of a write transaction. */
void tycho__lists_take(tycho__txn *txn);
/* Takes more lists into the memory, where the transaction had to look up many. */
int tycho__lists_read_ahead(tycho__txn *txn);
int tycho__lists_write(tycho__txn *txn);
void tycho__lists_keep(tycho__txn *txn);
void tycho__lists_free(struct tycho__lists *lists);

/* ---------------------------------------------------------------- reading entries (entries.c) */

/* Finds entries of one list, keeping the block it read last. */
typedef struct tycho__entries {
    tycho__txn *txn;
    tycho__list list;
    uint64_t values[TYCHO__BLOCK]; /* position << 1 | is_link; 0: a hole */
    uint64_t boundary;             /* ordinals from here on are recent */
    uint32_t count;                /* 0: no block is loaded */
    uint64_t base;
} tycho__entries;

/* `list` must stay unchanged while the entries are read. */
void tycho__entries_begin(tycho__entries *entries, tycho__txn *txn, const tycho__list *list);
/* The first entry with an ordinal >= (<=) the given one. TYCHO_END. */
int tycho__entries_from(tycho__entries *entries, uint64_t ordinal, tycho__entry *entry);
int tycho__entries_back(tycho__entries *entries, uint64_t ordinal, tycho__entry *entry);

/* The positions of the entries from an ordinal on, or from it back, as far as they are at hand.
** Gives how many there are. */
uint32_t tycho__entries_ahead(const tycho__entries *entries, uint64_t ordinal, bool forward,
                              uint64_t *positions, uint32_t most);

/* Blocks as bytes, for list.c and entries.c. */
enum { TYCHO__BLOCK_HEAD = 6, TYCHO__BLOCK_SIZE_MAX = 10 * TYCHO__BLOCK };
/* Gives where the next one goes. */
static inline uint8_t *tycho__entry_encode(uint8_t *to, uint64_t value, uint64_t before) {
    uint64_t zigzag = tycho__zigzag((value >> 1) - before);
    if (value == 0) {
        *to = 0;
        return to + 1;
    }
    assert(zigzag != 0 && zigzag >> 63 == 0);
    return tycho__put_varint(to, zigzag << 1 | (value & 1));
}
size_t tycho__block_encode(uint8_t *to, const uint64_t *values, uint32_t count);
int tycho__block_decode(tycho_bytes bytes, uint64_t *values, uint32_t count);
/* Reads the block row whose first ordinal is `base`; `value` is its row. */
int tycho__block_read(const tycho__list *list, uint64_t base, tycho_bytes value, uint64_t *values,
                      uint32_t *count);
int tycho__block_write(tycho__txn *txn, const tycho__list *list, uint64_t base,
                       const uint64_t *values, uint32_t count);
/* The same for entries that are encoded, as those of a tail are. */
int tycho__block_put(tycho__txn *txn, const tycho__list *list, uint64_t base, tycho_bytes entries,
                     uint32_t count);
/* Moves to the block that may have the ordinal: the last one whose base is <= it. The base comes
** back. TYCHO_NOT_FOUND when there is none. */
int tycho__block_seek(tycho__txn *txn, const tycho__list *list, uint64_t ordinal, uint64_t *base,
                      tycho_bytes *value);

enum { TYCHO__BLOCK_KEY = 13, TYCHO__LIST_KEY = 5 };
static inline void tycho__list_key(uint8_t key[TYCHO__LIST_KEY], uint8_t kind, uint32_t number) {
    key[0] = kind;
    tycho__key32(key + 1, number);
}

static inline void tycho__block_key(uint8_t key[TYCHO__BLOCK_KEY], const tycho__list *list,
                                    uint64_t ordinal) {
    tycho__list_key(key, list->kind, list->number);
    tycho__key64(key + 5, ordinal);
}

/* True when the key of a row of `blocks` belongs to the list. */
bool tycho__is_block_of(const tycho__list *list, tycho_bytes key);

/* Parses a row of `lists`. CORRUPT. */
int tycho__list_parse(tycho__list *list, uint8_t kind, uint32_t number, tycho_bytes row);

#endif
