/* log.h - the recording of what a store asked of the disk, as recorder.c writes it.
**
** A file of records in the order in which things happened, by all processes that were recorded:
**
**     struct power_record | name_size bytes of name | size bytes of content | zeros to 8 bytes
**
** Names are what follows the path of the store: "" is its directory, "/data.mdb" a file in it,
** ".new-12-0/data.mdb" one in the directory in which it is being made. Files and directories are
** known by their inode numbers, as names change.
*/
#ifndef POWER_LOG_H
#define POWER_LOG_H

#include <stdint.h>

enum power_kind {
    POWER_WRITE = 1,  /* content, at `offset` of `file` */
    POWER_SIZE = 2,   /* `file` was given the size `offset` */
    POWER_FLUSH = 3,  /* what was recorded of `file` before byte `until` of the log is durable;
                      ** with `extent`, only so many bytes from `offset` on */
    POWER_CREATE = 4, /* `file` was made, in the directory `parent` */
    POWER_MKDIR = 5,  /* the directory `file` was made in `parent` */
    POWER_RENAME = 6, /* from `name` in `parent` to the content, a name, in the directory `until` */
    POWER_REMOVE = 7, /* file or empty directory, from `parent` */
    POWER_MARK = 8,   /* the content is what the workload says */
    POWER_MAPPED = 9  /* the content is that of a file that is written through memory */
};

typedef struct power_record {
    uint32_t kind; /* enum power_kind */
    uint32_t name_size;
    uint64_t file, parent;
    uint64_t offset, extent;
    uint64_t until;
    uint64_t size;
} power_record;

/* What a workload says, it says by removing a file whose name begins so: any language can. */
#define POWER_MARK_PREFIX "power-mark:"

static inline uint64_t power_record_size(const power_record *record) {
    return (sizeof *record + record->name_size + record->size + 7) & ~(uint64_t)7;
}

#endif
