/* dictionary.h - metadata and data of events, compressed with dictionaries that the store keeps.
**
** A compressed record has one frame of zstd (RFC 8878) in the place of metadata and data; its
** header says the size of both together and the number of the dictionary.
**
** Dictionaries are rows of the table "tycho.dictionaries" whose key is the number, u8, and a copy,
** u8: each is there twice, because without it all its events would be lost. Numbers are 1, 2, 3 ...
** in the order of learning; a dictionary stays, as it is, as long as the store. So what a process
** once read of one holds for all its snapshots, and is kept, digested, with the environment.
**
** The state row has the number of the one that compresses (0: none) and the highest that was given.
** A transaction compresses by the one that was current when it began: what is kept was committed.
*/
#ifndef TYCHO__DICTIONARY_H
#define TYCHO__DICTIONARY_H

#include "base.h"

struct tycho__env;
struct tycho__txn;
struct tycho__buffer;
struct tycho__event_view;

enum {
    TYCHO__DICTIONARIES = 255,        /* of one store, ever */
    TYCHO__DICTIONARY_MAX = 64 << 10, /* bytes of one */
    TYCHO__DICTIONARY_COPIES = 2,
    TYCHO__DIGEST_ROOM = 1 << 20, /* bytes; a digest for writing has 110 KB */
    TYCHO__COMPRESSION_LEVEL = 1  /* measured: 2 and 3 take longer and save nothing */
};
#define TYCHO__DICTIONARY_TABLE "tycho.dictionaries"

/* What an environment keeps of dictionaries. NULL without memory; destroy takes NULL. */
struct tycho__digests *tycho__digests_create(void);
void tycho__digests_destroy(struct tycho__digests *digests);

/* NO_MEMORY unless there is enough for zstd to digest a dictionary: its version 1.5.4 does not look
** whether it got what it asks for (ZSTD_createCDict). Called right before. */
int tycho__digest_room(size_t size);

/* Whether these bytes are a dictionary of this number. */
bool tycho__is_dictionary(tycho_bytes bytes, uint64_t number);

/* The first sound copy, as a view into the transaction. CORRUPT: there is none. */
int tycho__dictionary_read(struct tycho__txn *txn, uint32_t number, tycho_bytes *bytes);

/* Compresses the body of an event that is about to be written, where that makes it smaller: it is
** then a view that is good until the next call. NO_MEMORY. */
int tycho__compress(struct tycho__txn *txn, struct tycho__event_view *event);

/* The number of the dictionary that a compressed record names, and the size of its metadata and
** data. CORRUPT. */
int tycho__compressed_facts(const struct tycho__event_view *event, uint32_t *number, size_t *size);

/* Makes sure that tycho__decompress() will find the dictionary of a record. CORRUPT, NO_MEMORY. */
int tycho__dictionary_need(struct tycho__txn *txn, const struct tycho__event_view *event);

/* Decompresses metadata and data of a record to a place of this size, which must be theirs. CORRUPT
** names the position. */
int tycho__decompress_to(struct tycho__env *env, const struct tycho__event_view *event, size_t size,
                         void *to);

/* Decompresses metadata and data of a record into the buffer, whose bytes they become views of;
** what is not compressed stays as it is. */
int tycho__decompress(struct tycho__env *env, struct tycho__event_view *event,
                      struct tycho__buffer *to);

#endif
