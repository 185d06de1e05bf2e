/* images.h - which disks are tried of those that a power cut may leave (disk.h).
**
** Of the pending writes: none, all, each prefix, each alone, each alone missing; every subset where
** they are few; each torn, with all others and without; and some chosen by chance, by writes and by
** sectors. Where they are many, UNITS_MAX of them are chosen by chance for each kind. Each with a
** size that the file may have; then all with each pending change of a directory missing, and with
** only those before it. No image comes twice.
*/
#ifndef POWER_IMAGES_H
#define POWER_IMAGES_H

#include "disk.h"

enum { UNITS_MAX = 32, EXHAUSTIVE = 4, SEEN_MAX = 1 << 13 };

struct image_source {
    const struct disk *disk;
    uint64_t seed, subsets;
    size_t stage;  /* index of the kind of image */
    uint64_t step; /* of the stage */
    uint64_t seen[SEEN_MAX];
    size_t seen_count;
};

void images_begin(struct image_source *source, const struct disk *disk, uint64_t seed,
                  uint64_t subsets);
/* The next image, to be freed; false when there is none. */
bool images_next(struct image_source *source, struct image *image);

/* All that was written, at its full size: no power cut. */
void image_all(const struct disk *disk, struct image *image);
void image_free(struct image *image);

#endif
