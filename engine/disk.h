/* disk.h - what LMDB writes, so that a durable commit costs one flush.
**
** LMDB flushes a commit twice: its pages, and then the meta page that makes them the store. Here
** both are written and flushed together, and the meta page says how to find out whether all of it
** arrived: behind LMDB's own fields, in bytes that LMDB leaves unused, stands a seal, with the list
** of the pages of this commit and a checksum of them. After a power cut the newer of the two meta
** pages counts if its pages are what the seal says. Else the other one counts: it was flushed
** before the broken commit began, and LMDB never writes into a page of the commit before.
**
**      meta page: | LMDB's header and fields | 0 ... | seal at byte 256: head, runs of pages |
**
** LMDB is linked into the library with its calls of pwrite(), writev(), fdatasync() and fsync()
** renamed to those of this file. They pass on what they are given unless the calling thread is
** between tycho__disk_begin() and tycho__disk_end().
**
** The file is longer than its pages: it grows ahead of small commits (grow_ahead), because a flush
** that makes it longer takes twice as long.
**
** A commit is flushed as LMDB does it, pages first, when the list has no room for its pages, when
** pages were written before its end, when the commit before was not flushed, and until both meta
** pages have a seal.
*/
#ifndef TYCHO__DISK_H
#define TYCHO__DISK_H

#include <sys/types.h>
#include <sys/uio.h>

#include "base.h"

enum { TYCHO__RUNS_MAX = 400 }; /* of pages in a seal */

/* What has become of the pages of a commit when its meta page is written; stored. */
enum tycho__flushed {
    TYCHO__LISTED = 1,   /* they are flushed with it; the seal tells whether they arrived */
    TYCHO__FLUSHED = 2,  /* they were flushed before */
    TYCHO__UNFLUSHED = 3 /* nothing is promised (TYCHO_SYNC_BATCHED, TYCHO_SYNC_NONE) */
};

/* The pages of the write transaction of one environment. Used by the thread that writes. */
typedef struct tycho__disk {
    int fd; /* of data.mdb */
    size_t page_size;
    uint32_t kind; /* enum tycho__flushed, as things stand */
    bool is_committing;
    uint64_t last_flushed; /* transaction of this process, by the last flush */
    uint64_t room;         /* bytes that the file had when it was last asked */
    uint32_t run_count;
    uint64_t pages_hash;
    uint64_t runs[TYCHO__RUNS_MAX]; /* first page << 16 | number of pages, as they were written */
} tycho__disk;

/* Between these two, what the thread writes through LMDB to the file is that of one transaction,
** which is committed with TYCHO_SYNC_FULL when `is_durable`. */
void tycho__disk_begin(tycho__disk *disk, bool is_durable);
void tycho__disk_end(void);

/* The pages that are written from here on are those of the commit. */
void tycho__disk_commit(tycho__disk *disk);

/* Before LMDB opens the file in this process, and while nobody else writes: finds out whether the
** last commit arrived, takes it back when it did not, and flushes it. CORRUPT when neither of the
** last two is whole, or a meta page is damaged as no power cut does it; DENIED when a commit must
** be taken back and `can_write` is false; IO, FULL, NO_MEMORY. `*is_copy` says whether the file is
** a copy in which nobody committed yet. */
int tycho__disk_recover(int directory, bool can_write, bool *is_copy);

/* Before LMDB closes the file, and while nobody else writes: notes that the last commit, when it is
** of this process, is flushed. */
void tycho__disk_close(const tycho__disk *disk);

/* Whether a commit of this library made the file what it is. */
bool tycho__disk_has_seal(const tycho__disk *disk);

/* fdatasync() of the store's file. */
int tycho__disk_flush(const tycho__disk *disk);

#endif
