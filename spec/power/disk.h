/* disk.h - a disk on which a recording is played, and what it may look like after a power cut.
**
** For the data file there are two contents: what is durable, and what the system would show without
** a power cut. Between them are the writes that were not flushed, in order, in whole sectors of 512
** bytes: a disk writes those whole or not at all, in any order. So each choice of sectors of these
** writes, written in order over what is durable, is a disk that may be found; and with it each size
** that the file had since. What is in a file beyond what was written reads as zeros.
**
** Changes of directories are durable when the directory was flushed, else there or not, each.
** Files that are written through memory are there or not, with any content that each of their
** pages ever had.
*/
#ifndef POWER_DISK_H
#define POWER_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "log.h"

enum { SECTOR = 512, PAGE = 4096, NAME_SIZE = 80, OPS_MAX = 64, VERSIONS_MAX = 4096 };

/* A write of which nothing is durable yet, or a change of size (no sectors). */
struct unit {
    uint64_t order; /* its place in the log */
    uint64_t sector, count;
    const uint8_t *data; /* whole sectors */
    uint8_t *owned;      /* `data` where it is not in the log */
    uint64_t size_after; /* of the file */
};

/* A change of a directory. */
struct op {
    uint64_t order, file, parents[2];
    uint32_t kind; /* enum power_kind */
    bool is_durable;
    char name[NAME_SIZE], target[NAME_SIZE];
};

/* What a mapped file was found to have. */
struct version {
    char name[NAME_SIZE];
    const uint8_t *data;
    uint64_t size;
};

struct disk {
    const uint8_t *log;
    uint64_t log_size, at;
    uint64_t data_inode, capacity;
    uint8_t *durable, *shown; /* contents of the data file */
    uint64_t durable_size, shown_size;
    struct unit *units;
    size_t unit_count, unit_room;
    struct op ops[OPS_MAX];
    size_t op_count;
    struct version versions[VERSIONS_MAX];
    size_t version_count;
    char work[200]; /* a directory for files */
    char path[220]; /* in which the store is */
    int data_fd;    /* of the data file as it is built */
};

/* One disk that may be found: which sectors of the pending units are there, one byte for each;
** which pending changes of directories; the size of the data file; how mapped files are chosen. */
struct image {
    uint8_t *kept;
    size_t sector_count;
    uint64_t size;
    bool ops[OPS_MAX];
    uint64_t mapped; /* 0: they are absent; else a seed */
};

/* Begins a recording, with files in the directory `work`. With `base`, a file, the store was there
** before, with that data file; else it is made. Ends the program when it cannot. */
void disk_open(struct disk *disk, const char *log, const char *work, const char *base);

/* The next record, which is not played yet; NULL at the end. */
const power_record *disk_peek(const struct disk *disk);
void disk_play(struct disk *disk);
const char *record_name(const power_record *record);
const uint8_t *record_content(const power_record *record);

/* Sectors of all pending units together. */
size_t disk_sectors(const struct disk *disk);

/* Makes the files of an image below disk->path, which is then no longer what it was. */
void disk_build(struct disk *disk, const struct image *image);

/* Pages of the data file that differ from what is durable; shared with the processes that use it
** (pages.c notes what they write). */
void pages_init(uint64_t capacity, uint64_t inode);
void pages_note(uint64_t offset, uint64_t size);
/* Gives the next page from `*page` on that was noted, and forgets it; false when there is none. */
bool pages_take(uint64_t *page);

__attribute__((noreturn, format(printf, 1, 2))) void die(const char *format, ...);

/* splitmix64: the next number of a seed. */
static inline uint64_t chance(uint64_t *seed) {
    uint64_t z = *seed += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

#endif
