/* images.c - see images.h. */
#include "images.h"

#include <stdlib.h>
#include <string.h>

void image_free(struct image *image) {
    free(image->kept);
    image->kept = NULL;
}

/* ---------------------------------------------------------------- choosing sectors */

static uint8_t *kept_of(const struct disk *disk, const struct image *image, size_t number) {
    uint8_t *kept = image->kept;
    for (size_t i = 0; i < number; i++) kept += disk->units[i].count;
    return kept;
}

static void begin(const struct disk *disk, struct image *image, bool is_kept) {
    image->sector_count = disk_sectors(disk);
    image->kept = malloc(image->sector_count + 1);
    if (image->kept == NULL) die("no memory for an image");
    memset(image->kept, is_kept, image->sector_count);
    for (int i = 0; i < OPS_MAX; i++) image->ops[i] = is_kept;
}

static void set_unit(const struct disk *disk, struct image *image, size_t number, bool is_kept) {
    memset(kept_of(disk, image, number), is_kept, disk->units[number].count);
}

/* The size that goes with what is kept. */
static uint64_t natural_size(const struct disk *disk, const struct image *image) {
    const uint8_t *kept = image->kept;
    uint64_t size = disk->durable_size;
    for (size_t i = 0; i < disk->unit_count; i++) {
        const struct unit *unit = &disk->units[i];
        for (uint64_t sector = unit->count; sector-- > 0;) {
            if (!kept[sector]) continue;
            uint64_t end = (unit->sector + sector + 1) * SECTOR;
            if (end > unit->size_after) end = unit->size_after;
            if (end > size) size = end;
            break;
        }
        kept += unit->count;
    }
    return size;
}

void image_all(const struct disk *disk, struct image *image) {
    begin(disk, image, true);
    image->size = disk->shown_size;
    image->mapped = 0;
}

/* ---------------------------------------------------------------- kinds of images */

/* Each kind fills in the sectors of its `step`th image, and is false when it has no more. */
typedef bool kind(struct image_source *source, uint64_t step, struct image *image);

/* The unit that a step is about. */
static bool unit_of(struct image_source *source, uint64_t step, size_t *number) {
    size_t count = source->disk->unit_count;
    if (step >= count || step >= UNITS_MAX) return false;
    *number = count <= UNITS_MAX ? step : chance(&source->seed) % count;
    return true;
}

/* Nothing, at the size that the file had and at the one that it would have got; all, likewise. */
static bool ends(struct image_source *source, uint64_t step, struct image *image) {
    if (step >= 4) return false;
    begin(source->disk, image, step >= 2);
    image->size = step % 3 == 0 ? source->disk->durable_size : source->disk->shown_size;
    if (step == 3 && source->disk->shown_size == source->disk->durable_size) return false;
    return true;
}

static bool prefixes(struct image_source *source, uint64_t step, struct image *image) {
    size_t number;
    if (!unit_of(source, step, &number)) return false;
    begin(source->disk, image, true);
    for (size_t i = number; i < source->disk->unit_count; i++) {
        set_unit(source->disk, image, i, false);
    }
    image->size = natural_size(source->disk, image);
    return true;
}

static bool alone(struct image_source *source, uint64_t step, struct image *image) {
    size_t number;
    if (!unit_of(source, step, &number)) return false;
    begin(source->disk, image, false);
    set_unit(source->disk, image, number, true);
    image->size = natural_size(source->disk, image);
    return true;
}

static bool missing(struct image_source *source, uint64_t step, struct image *image) {
    size_t number;
    if (!unit_of(source, step, &number)) return false;
    begin(source->disk, image, true);
    set_unit(source->disk, image, number, false);
    image->size = chance(&source->seed) % 2 == 0 ? source->disk->shown_size
                                                 : natural_size(source->disk, image);
    return true;
}

static bool subsets(struct image_source *source, uint64_t step, struct image *image) {
    size_t count = source->disk->unit_count;
    if (count > EXHAUSTIVE || step >= 1u << count) return false;
    begin(source->disk, image, false);
    for (size_t i = 0; i < count; i++) set_unit(source->disk, image, i, (step >> i & 1) != 0);
    image->size = natural_size(source->disk, image);
    return true;
}

/* A unit torn between two sectors, or with one missing, and all others or none. */
static bool torn(struct image_source *source, uint64_t step, struct image *image) {
    size_t number;
    if (!unit_of(source, step / 3, &number)) return false;
    uint64_t count = source->disk->units[number].count;
    begin(source->disk, image, step % 3 != 1);
    uint8_t *kept = kept_of(source->disk, image, number);
    uint64_t place = count > 0 ? chance(&source->seed) % count : 0;
    for (uint64_t i = 0; i < count; i++) kept[i] = step % 3 == 2 ? i != place : i < place;
    image->size = natural_size(source->disk, image);
    return true;
}

static uint64_t any_size(struct image_source *source) {
    const struct disk *disk = source->disk;
    size_t number = chance(&source->seed) % (disk->unit_count + 2);
    if (number == disk->unit_count) return disk->durable_size;
    if (number > disk->unit_count) return disk->shown_size;
    uint64_t size = disk->units[number].size_after;
    return size > disk->durable_size ? size : disk->durable_size;
}

/* By chance: of whole units, or of sectors; few, half or most of them. */
static bool by_chance(struct image_source *source, uint64_t step, struct image *image) {
    static const uint64_t odds[] = {5, 50, 50, 90, 98};
    const struct disk *disk = source->disk;
    if (step >= source->subsets || disk->unit_count == 0) return false;
    begin(disk, image, true);
    uint64_t odd = odds[chance(&source->seed) % 5];
    bool is_by_sector = chance(&source->seed) % 2 == 0;
    uint8_t *kept = image->kept;
    for (size_t i = 0; i < disk->unit_count; i++) {
        bool is_kept = chance(&source->seed) % 100 < odd;
        for (uint64_t j = 0; j < disk->units[i].count; j++) {
            if (is_by_sector) is_kept = chance(&source->seed) % 100 < odd;
            *kept++ = is_kept;
        }
    }
    for (size_t i = 0; i < disk->op_count; i++) image->ops[i] = chance(&source->seed) % 2 == 0;
    uint64_t natural = natural_size(disk, image);
    image->size = chance(&source->seed) % 2 == 0 ? natural : any_size(source);
    return true;
}

/* All sectors, with the changes of directories before one, or all but one. */
static bool changes(struct image_source *source, uint64_t step, struct image *image) {
    size_t number = step / 2, pending = 0, at = 0;
    for (; at < source->disk->op_count; at++) {
        if (!source->disk->ops[at].is_durable && pending++ == number) break;
    }
    if (at == source->disk->op_count) return false;
    image_all(source->disk, image);
    for (size_t i = at; i < OPS_MAX; i++) image->ops[i] = step % 2 == 0 && i != at;
    return true;
}

static kind *const KINDS[] = {ends, prefixes, alone, missing, subsets, torn, changes, by_chance};
enum { KIND_COUNT = sizeof KINDS / sizeof *KINDS };

/* ---------------------------------------------------------------- the source */

/* Whether an image is new. */
static bool is_new(struct image_source *source, const struct image *image) {
    uint64_t hash = image->size + 1;
    for (size_t i = 0; i < image->sector_count; i++) {
        hash = (hash ^ image->kept[i]) * 0x100000001b3u;
    }
    for (size_t i = 0; i < source->disk->op_count; i++) {
        bool is_there = source->disk->ops[i].is_durable || image->ops[i];
        hash = (hash ^ is_there) * 0x100000001b3u;
    }
    for (size_t i = 0; i < source->seen_count; i++) {
        if (source->seen[i] == hash) return false;
    }
    if (source->seen_count < SEEN_MAX) source->seen[source->seen_count++] = hash;
    return true;
}

void images_begin(struct image_source *source, const struct disk *disk, uint64_t seed,
                  uint64_t subsets) {
    source->disk = disk;
    source->seed = seed;
    source->subsets = subsets;
    source->stage = 0;
    source->step = 0;
    source->seen_count = 0;
}

bool images_next(struct image_source *source, struct image *image) {
    while (source->stage < KIND_COUNT) {
        image->kept = NULL;
        if (!KINDS[source->stage](source, source->step++, image)) {
            image_free(image);
            source->stage++;
            source->step = 0;
            continue;
        }
        image->mapped = chance(&source->seed) % 2 == 0 ? 0 : chance(&source->seed) | 1;
        if (is_new(source, image)) return true;
        image_free(image);
    }
    return false;
}
