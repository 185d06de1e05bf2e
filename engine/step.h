/* step.h - one condition or operation of a batch, and how it is encoded.
**
** A batch as bytes (little-endian):
**
**      0  u32  magic "TYB1"
**      4  u8   flags: 1 idempotent
**      5  u8   0, three times
**      8  u32  count of conditions
**     12  u32  count of operations
**     16       the conditions, then the operations
**      .  u64  checksum: XXH3 of all before
**
** A step:
**
**      0  u8   kind
**      1  u8   flags (TYCHO_RAW, TYCHO_SKIP_DUPLICATES ...)
**      2  u32  size of the payload
**      6       payload: the fields that `layout` in step.c lists for the kind, in that order
**
** One table describes all kinds, and both directions walk it, so that they cannot differ. Kinds are
** never reused: 17 and 18 (redact, erase) among the operations are kept free.
*/
#ifndef TYCHO__STEP_H
#define TYCHO__STEP_H

#include "dictionary.h"
#include "record.h"

enum tycho__condition {
    TYCHO__STREAM_IS = 1,
    TYCHO__NONE_MATCH = 2,
    TYCHO__ROUTE_IS = 3,
    TYCHO__ROW_IS = 4,
    TYCHO__CHECKPOINT_IS = 5,
    TYCHO__LOCK_IS = 6,
    TYCHO__RULES_ARE = 7,
    TYCHO__CONDITIONS = 8
};

enum tycho__operation {
    TYCHO__APPEND = 1,
    TYCHO__LINK = 2,
    TYCHO__LINK_RANGE = 3,
    TYCHO__UNLINK = 4,
    TYCHO__DELETE_STREAM = 5,
    TYCHO__TRUNCATE = 6,
    TYCHO__SET_STREAM_METADATA = 7,
    TYCHO__SET_ROUTE = 8,
    TYCHO__PUT_ROW = 9,
    TYCHO__DELETE_ROW = 10,
    TYCHO__SET_CHECKPOINT = 11,
    TYCHO__OVERWRITE = 12,
    TYCHO__RESERVE_TOKENS = 13, /* the engine's own, see lock.c */
    TYCHO__LINK_MERGED = 14,
    TYCHO__DEPLOY = 15,
    TYCHO__LINK_NEW = 16,
    TYCHO__MOVE_STREAM = 19,
    TYCHO__SET_DICTIONARY = 20, /* the engine's own, see compress.c */
    TYCHO__OPERATIONS = 21
};

/* Tokens of locks are 1 to this: what bounds the ones that are reserved by foreign bytes. */
#define TYCHO__TOKEN_MAX ((uint64_t)1 << 62)

/* Fields that a kind does not have are zero, `expected` TYCHO_EXPECT_ANY. */
typedef struct tycho__step {
    uint8_t kind;
    uint8_t flags;
    tycho_bytes name;   /* stream, route, table, checkpoint or lock */
    tycho_bytes second; /* target, or stream of a route */
    tycho_bytes key;
    tycho_bytes value;
    int64_t expected;
    int64_t first;
    int64_t last;
    uint64_t number;  /* position, version, token or number of a dictionary */
    uint32_t count;   /* of the elements in `list` */
    tycho_bytes list; /* events, ids, sources, ordinals or query items */
} tycho__step;

/* The names of the tables of scripts and dictionaries. */
static inline tycho_bytes tycho__scripts(void) {
    return tycho__bytes(TYCHO_SCRIPTS, sizeof TYCHO_SCRIPTS - 1);
}

static inline tycho_bytes tycho__dictionaries(void) {
    return tycho__bytes(TYCHO__DICTIONARY_TABLE, sizeof TYCHO__DICTIONARY_TABLE - 1);
}

/* A step LINK_NEW whose ordinals are 0, to be set; the name was checked. It needs no end. */
int tycho__step_link_new(tycho__buffer *buffer, uint8_t flags, tycho_bytes name, uint32_t count);

/* Appends the step; its list is not copied but written by the caller right behind, between
** tycho__step_begin() and tycho__step_end(). A begun step that fails is taken back by restoring
** buffer->size. */
int tycho__step_begin(tycho__buffer *buffer, const tycho__step *step, bool is_condition);
void tycho__step_end(tycho__buffer *buffer, size_t begin);

/* Reads the next step and moves on; structure only. CORRUPT. */
int tycho__step_read(tycho__reader *reader, tycho__step *step, bool is_condition);

/* Whether an operation has an expected version that can be wrong. */
bool tycho__step_expects(const tycho__step *step);

/* Checks everything the builders check, for steps from foreign bytes. CORRUPT. Adds the elements
** that the step names to `*elements`. */
int tycho__step_check(const tycho__step *step, bool is_condition, size_t *elements);

/* Element lists. Ids are u8 is_uuid, u8 size, bytes. */
int tycho__ids_encode(tycho__buffer *buffer, const tycho_bytes *ids, size_t count);
int tycho__id_read(tycho__reader *reader, tycho__id *id);

/* Sources are u16 size, name, u64 first revision. */
int tycho__source_encode(tycho__buffer *buffer, const tycho_source *source);
int tycho__source_read(tycho__reader *reader, tycho_source *source);

/* Ordinals are u32, rising: the events that the batch appended before, counted from 0. */

/* Query items are u16 counts of types and tags, then the names, each u8 size and bytes. */
int tycho__query_encode(tycho__buffer *buffer, const tycho_query *query);

#endif
