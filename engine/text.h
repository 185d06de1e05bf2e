/* text.h - names, event ids and UUIDs.
**
** An id that is a UUID in canonical text (36 characters, lower case) is packed into 16 bytes, so
** that the ids of the common case cost 16 bytes and sort by time. Every other id is kept as it is.
** Which of the two it is travels beside the bytes, so packing is exact in both directions.
*/
#ifndef TYCHO__TEXT_H
#define TYCHO__TEXT_H

#include "base.h"

enum { TYCHO__UUID_BYTES = 16 };

typedef struct tycho__id {
    uint8_t bytes[TYCHO_ID_MAX];
    uint8_t size;
    bool is_uuid;
} tycho__id;

/* Packs 0 to TYCHO_ID_MAX bytes (asserted). */
void tycho__id_pack(tycho__id *id, tycho_bytes text);

/* Writes the text of a packed UUID. */
void tycho__uuid_unpack(char text[TYCHO_UUID_SIZE], const uint8_t bytes[TYCHO__UUID_BYTES]);

/* The next UUIDv7, packed. */
void tycho__uuid_next(uint8_t bytes[TYCHO__UUID_BYTES]);

/* MISUSE or TOO_LARGE unless `name` is 1 to TYCHO_NAME_MAX bytes of valid UTF-8 without control
** characters. `what` is for the sentence ("stream"). */
int tycho__check_name(tycho_bytes name, const char *what);

/* The same for the presence and size of an id. */
int tycho__check_id(tycho_bytes id, const char *what);

/* Copies a path without the slashes at its end, so that other names can be made of it. MISUSE when
** it is empty, or when it does not leave 64 of the `size` bytes free. */
int tycho__trim_path(char *to, size_t size, const char *path);

#endif
