/* disk.c - the calls of LMDB that write, and the seals of meta pages; see disk.h. */
#include "disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "meta_page.h"

/* In a meta page: where the seal is, and how much of it a commit writes. */
enum { SEAL = 256, FIELDS_SIZE = TYCHO__META_END - TYCHO__META_FIELDS };
#define SEAL_MAGIC 0x6c6165732e637974ull /* "tyc.seal" */
enum { PAGE_SIZE_MIN = 4096, PAGE_SIZE_MAX = 65536, READ_PAGES = 64 };

/* How far the file grows ahead: bytes at most, and a share of the file; and after how large a
** commit at most, because what is large is written twice at the cost of one flush saved. */
enum { GROWTH = 128 << 10, GROWTH_SHARE = 8, GROWTH_PAGES = 64 };

/* With the fields in the first sector of the page, which is written as a whole or not at all. */
typedef struct seal {
    uint64_t magic;
    uint64_t transaction;
    uint32_t kind; /* enum tycho__flushed */
    uint32_t run_count;
    uint64_t pages_hash; /* of the runs and of the pages that they name */
    uint64_t checksum;   /* of the meta page's fields and of what is before */
} seal;

_Static_assert(SEAL + sizeof(seal) <= 512, "a seal is in the sector of the fields");
_Static_assert(SEAL + sizeof(seal) + sizeof(uint64_t) * TYCHO__RUNS_MAX <= PAGE_SIZE_MIN,
               "the runs fit into any page");

/* What there is to say of a meta page. */
enum condition {
    WHOLE,  /* its pages are there: as the seal says, or because there is no seal to say other */
    BROKEN, /* they did not all arrive */
    DAMAGED /* no power cut leaves it so */
};

static _Thread_local tycho__disk *writing; /* the transaction of this thread, or NULL */

/* ---------------------------------------------------------------- reading and writing */

/* Reads exactly that much; false at the end of the file or after a failure. */
static bool read_all(int fd, void *to, size_t size, uint64_t offset) {
    size_t done = 0;
    while (done < size) {
        ssize_t n = pread(fd, (uint8_t *)to + done, size - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        done += (size_t)n;
    }
    return true;
}

static bool write_all(int fd, const void *from, size_t size, uint64_t offset) {
    size_t done = 0;
    while (done < size) {
        ssize_t n = pwrite(fd, (const uint8_t *)from + done, size - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR) continue;
        if (n == 0) errno = ENOSPC;
        if (n <= 0) return false;
        done += (size_t)n;
    }
    return true;
}

/* ---------------------------------------------------------------- seals */

static bool is_marked(const uint8_t *meta) {
    return tycho__load32(meta + TYCHO__META_MAGIC) == TYCHO__LMDB_MAGIC;
}

static uint64_t commit_of(const uint8_t *meta) {
    return tycho__load64(meta + TYCHO__META_COMMIT);
}

static uint64_t seal_checksum(const uint8_t *meta, const seal *head) {
    uint64_t hash = tycho__hash(meta + TYCHO__META_FIELDS, FIELDS_SIZE, 0);
    return tycho__hash(head, offsetof(seal, checksum), hash);
}

/* Puts the head of a seal into the meta page, whose fields are final. */
static void put_seal(uint8_t *meta, seal head) {
    head.magic = SEAL_MAGIC;
    head.transaction = commit_of(meta);
    head.checksum = seal_checksum(meta, &head);
    memcpy(meta + SEAL, &head, sizeof head);
}

static seal seal_of(const uint8_t *meta) {
    seal head;
    memcpy(&head, meta + SEAL, sizeof head);
    return head;
}

/* Whether there is a seal and it is of this meta page. */
static bool is_sealed(const uint8_t *meta) {
    seal head = seal_of(meta);
    return head.magic == SEAL_MAGIC && head.run_count <= TYCHO__RUNS_MAX &&
           head.transaction == commit_of(meta) &&
           head.checksum == seal_checksum(meta, &head);
}

static uint64_t hash_pages(const uint8_t *pages, size_t count, size_t page_size, uint64_t hash) {
    for (size_t i = 0; i < count; i++) hash = tycho__hash(pages + i * page_size, page_size, hash);
    return hash;
}

/* ---------------------------------------------------------------- a transaction */

static bool read_metas(int fd, size_t page_size, uint8_t metas[TYCHO__META_PAGES][PAGE_SIZE_MIN]) {
    return read_all(fd, metas[0], PAGE_SIZE_MIN, 0) &&
           read_all(fd, metas[1], PAGE_SIZE_MIN, page_size);
}

static size_t last_of(uint8_t metas[TYCHO__META_PAGES][PAGE_SIZE_MIN]) {
    return commit_of(metas[0]) < commit_of(metas[1]);
}

/* Whether the pages of the next commit may be flushed together with its meta page. */
static bool may_list(const tycho__disk *disk) {
    uint8_t metas[TYCHO__META_PAGES][PAGE_SIZE_MIN];
    return read_metas(disk->fd, disk->page_size, metas) && is_sealed(metas[0]) &&
           is_sealed(metas[1]) && seal_of(metas[last_of(metas)]).kind != TYCHO__UNFLUSHED;
}

void tycho__disk_begin(tycho__disk *disk, bool is_durable) {
    assert(writing == NULL);
    disk->kind = !is_durable ? TYCHO__UNFLUSHED : may_list(disk) ? TYCHO__LISTED : TYCHO__FLUSHED;
    disk->is_committing = false;
    disk->run_count = 0;
    disk->pages_hash = 0;
    writing = disk;
}

void tycho__disk_end(void) {
    writing = NULL;
}

void tycho__disk_commit(tycho__disk *disk) {
    disk->is_committing = true;
}

int tycho__disk_flush(const tycho__disk *disk) {
    return fdatasync(disk->fd);
}

/* Lists pages that were written, or decides that they are flushed before the meta page is. */
static void list_pages(tycho__disk *disk, const uint8_t *pages, size_t size, uint64_t offset) {
    uint64_t first = offset / disk->page_size, count = size / disk->page_size;
    if (disk->kind != TYCHO__LISTED) return;
    disk->pages_hash = hash_pages(pages, count, disk->page_size, disk->pages_hash);
    uint64_t *last = disk->run_count > 0 ? &disk->runs[disk->run_count - 1] : NULL;
    bool is_next = last != NULL && (*last >> 16) + (*last & UINT16_MAX) == first;
    if (is_next && (*last & UINT16_MAX) + count <= UINT16_MAX) {
        *last += count;
    } else if (disk->is_committing && count <= UINT16_MAX && disk->run_count < TYCHO__RUNS_MAX) {
        disk->runs[disk->run_count++] = first << 16 | count;
    } else {
        disk->kind = TYCHO__FLUSHED;
    }
}

/* Where the pages of the commit end that end last, and how many there are. */
static uint64_t end_of_pages(const tycho__disk *disk, uint64_t *count) {
    uint64_t end = 0;
    *count = 0;
    for (uint32_t i = 0; i < disk->run_count; i++) {
        uint64_t pages = disk->runs[i] & UINT16_MAX, behind = (disk->runs[i] >> 16) + pages;
        *count += pages;
        if (behind > end) end = behind;
    }
    return end * disk->page_size;
}

/* A flush that makes the file longer writes the journal of the file system, too, and takes twice as
** long. So small commits that reach its end let it grow ahead, by zeros, which the next ones write
** over. When that fails, nothing is lost: a full disk is found by who needs it. */
static void grow_ahead(tycho__disk *disk) {
    static uint8_t zeros[GROWTH];
    struct stat file;
    uint64_t count, end = end_of_pages(disk, &count);
    if (count > GROWTH_PAGES || end <= disk->room || fstat(disk->fd, &file) != 0) return;
    disk->room = (uint64_t)file.st_size;
    uint64_t growth = end / GROWTH_SHARE / disk->page_size * disk->page_size;
    if (growth > GROWTH) growth = GROWTH;
    if (disk->room > end || growth == 0) return;
    ssize_t grown = pwrite(disk->fd, zeros, growth, (off_t)end);
    if (grown > 0) disk->room = end + (uint64_t)grown;
}

/* Writes the meta page with its seal, and flushes it and all before, when that was asked for. */
static bool write_meta(tycho__disk *disk, const void *fields, uint64_t offset) {
    uint8_t meta[PAGE_SIZE_MIN] = {0};
    uint32_t run_count = disk->kind == TYCHO__LISTED ? disk->run_count : 0;
    size_t runs_size = sizeof *disk->runs * run_count;
    seal head = {.kind = disk->kind, .run_count = run_count};
    head.pages_hash = tycho__hash(disk->runs, runs_size, disk->pages_hash);
    memcpy(meta + TYCHO__META_FIELDS, fields, FIELDS_SIZE);
    put_seal(meta, head);
    memcpy(meta + SEAL + sizeof head, disk->runs, runs_size);
    if (disk->kind == TYCHO__LISTED) grow_ahead(disk);
    size_t size = SEAL + sizeof head + runs_size - TYCHO__META_FIELDS;
    const uint8_t *from = meta + TYCHO__META_FIELDS;
    if (!write_all(disk->fd, from, size, offset + TYCHO__META_FIELDS)) return false;
    if (disk->kind == TYCHO__UNFLUSHED) return true;
    if (fdatasync(disk->fd) != 0) return false;
    disk->last_flushed = commit_of(meta);
    return true;
}

/* ---------------------------------------------------------------- what LMDB calls */

FILE *tycho__lmdb_stderr; /* where its failed assertions are printed */

__attribute__((constructor)) static void know_stderr(void) {
    tycho__lmdb_stderr = stderr;
}

ssize_t tycho__lmdb_pwrite(int fd, const void *from, size_t size, off_t offset);
ssize_t tycho__lmdb_writev(int fd, const struct iovec *parts, int count);
int tycho__lmdb_fdatasync(int fd);
int tycho__lmdb_fsync(int fd);

ssize_t tycho__lmdb_pwrite(int fd, const void *from, size_t size, off_t offset) {
    tycho__disk *disk = writing;
    bool is_meta = disk != NULL && (uint64_t)offset < TYCHO__META_PAGES * disk->page_size;
    if (is_meta && size == FIELDS_SIZE) {
        bool is_written = write_meta(disk, from, (uint64_t)offset - TYCHO__META_FIELDS);
        disk->kind = TYCHO__UNFLUSHED; /* after a failure LMDB puts back what was there */
        return is_written ? (ssize_t)size : -1;
    }
    ssize_t result = pwrite(fd, from, size, offset);
    if (disk != NULL && !is_meta && result == (ssize_t)size) {
        list_pages(disk, from, size, (uint64_t)offset);
    }
    return result;
}

ssize_t tycho__lmdb_writev(int fd, const struct iovec *parts, int count) {
    off_t offset = writing != NULL ? lseek(fd, 0, SEEK_CUR) : 0;
    ssize_t result = writev(fd, parts, count), size = 0;
    for (int i = 0; i < count; i++) size += (ssize_t)parts[i].iov_len;
    if (writing == NULL || result != size) return result;
    for (int i = 0; i < count; i++) {
        list_pages(writing, parts[i].iov_base, parts[i].iov_len, (uint64_t)offset);
        offset += (off_t)parts[i].iov_len;
    }
    return result;
}

int tycho__lmdb_fdatasync(int fd) {
    return writing != NULL && writing->kind == TYCHO__LISTED ? 0 : fdatasync(fd);
}

int tycho__lmdb_fsync(int fd) {
    return writing != NULL && writing->kind == TYCHO__LISTED ? 0 : fsync(fd);
}

/* ---------------------------------------------------------------- after a power cut */

/* Whether the pages of the commit are what its seal says. `pages` has room for READ_PAGES. */
static bool is_arrived(int fd, const uint8_t *meta, size_t page_size, uint8_t *pages) {
    seal head = seal_of(meta);
    uint64_t runs[TYCHO__RUNS_MAX], hash = 0;
    memcpy(runs, meta + SEAL + sizeof head, sizeof *runs * head.run_count);
    for (uint32_t i = 0; i < head.run_count; i++) {
        uint64_t page = runs[i] >> 16, end = page + (runs[i] & UINT16_MAX);
        for (uint64_t count; page < end; page += count) {
            count = end - page < READ_PAGES ? end - page : READ_PAGES;
            if (!read_all(fd, pages, count * page_size, page * page_size)) return false;
            hash = hash_pages(pages, count, page_size, hash);
        }
    }
    return tycho__hash(runs, sizeof *runs * head.run_count, hash) == head.pages_hash;
}

/* A meta page without a seal is that of a new store or of a copy, flushed by who made it. */
static enum condition condition_of(int fd, const uint8_t *meta, size_t page_size, uint8_t *pages) {
    if (!is_marked(meta)) return DAMAGED;
    if (seal_of(meta).magic == 0) return WHOLE;
    if (!is_sealed(meta)) return DAMAGED;
    bool is_listed = seal_of(meta).kind == TYCHO__LISTED;
    return is_listed && !is_arrived(fd, meta, page_size, pages) ? BROKEN : WHOLE;
}

/* Makes the meta page `bad` an older one of what `good` says. */
static bool take_back(int fd, const uint8_t *good, size_t bad, size_t page_size) {
    uint8_t meta[PAGE_SIZE_MIN] = {0};
    uint64_t transaction = commit_of(good);
    memcpy(meta, good, TYCHO__META_END);
    tycho__store64(meta + TYCHO__META_NUMBER, bad);
    tycho__store64(meta + TYCHO__META_COMMIT, transaction > 0 ? transaction - 1 : 0);
    put_seal(meta, (seal){.kind = TYCHO__FLUSHED});
    return write_all(fd, meta, sizeof meta, bad * page_size) && fdatasync(fd) == 0;
}

/* Notes that the pages of this commit are flushed, so that they are not looked at again: what
** becomes of them later is no power cut's doing. */
static bool mark_flushed(int fd, uint8_t *meta, size_t number, size_t page_size) {
    seal head = seal_of(meta);
    if (!is_sealed(meta) || head.kind != TYCHO__LISTED) return true;
    put_seal(meta, (seal){.kind = TYCHO__FLUSHED});
    return write_all(fd, meta + SEAL, sizeof head, number * page_size + SEAL);
}

static int fail_write(void) {
    return tycho__fail(errno == ENOSPC ? TYCHO_FULL : TYCHO_IO,
                       "settling what the last commit left: %s", strerror(errno));
}

static int recover(int fd, bool can_write, size_t page_size, uint8_t *pages, bool *is_copy) {
    uint8_t metas[TYCHO__META_PAGES][PAGE_SIZE_MIN];
    enum condition conditions[TYCHO__META_PAGES];
    if (!read_metas(fd, page_size, metas)) return TYCHO_OK; /* LMDB finds the file too short */
    size_t last = last_of(metas);
    uint64_t transaction = commit_of(metas[last]);
    *is_copy = seal_of(metas[last]).magic == 0;
    for (size_t i = 0; i < TYCHO__META_PAGES; i++) {
        conditions[i] = condition_of(fd, metas[i], page_size, pages);
        if (conditions[i] != DAMAGED) continue;
        return tycho__fail(TYCHO_CORRUPT, "meta page %zu of data.mdb is damaged", i);
    }
    if (conditions[last] == WHOLE) {
        /* Its process may have been killed before the flush. */
        bool is_flushed = seal_of(metas[last]).kind == TYCHO__UNFLUSHED || fdatasync(fd) == 0;
        if (!is_flushed) return fail_write();
        bool is_done = !can_write || mark_flushed(fd, metas[last], last, page_size);
        return is_done ? TYCHO_OK : fail_write();
    }
    if (conditions[1 - last] == BROKEN) {
        return tycho__fail(TYCHO_CORRUPT,
                           "pages of both commits, %llu and the one before, are lost",
                           (unsigned long long)transaction);
    }
    if (!can_write) {
        return tycho__fail(TYCHO_DENIED,
                           "a power cut broke commit %llu, which nobody was told of: open the "
                           "store where it can be written, so that it is taken back",
                           (unsigned long long)transaction);
    }
    return take_back(fd, metas[1 - last], last, page_size) ? TYCHO_OK : fail_write();
}

int tycho__disk_recover(int directory, bool can_write, bool *is_copy) {
    uint8_t head[TYCHO__META_PAGE_SIZE + 4];
    int fd = openat(directory, "data.mdb", (can_write ? O_RDWR : O_RDONLY) | O_CLOEXEC);
    if (fd < 0) return tycho__fail(TYCHO_IO, "opening data.mdb: %s", strerror(errno));
    int status = TYCHO_OK;
    uint8_t *pages = NULL;
    /* Where this is not LMDB's file, LMDB says so. */
    bool is_lmdb = read_all(fd, head, sizeof head, 0) && is_marked(head);
    uint32_t page_size = is_lmdb ? tycho__load32(head + TYCHO__META_PAGE_SIZE) : 0;
    bool is_odd = page_size < PAGE_SIZE_MIN || page_size > PAGE_SIZE_MAX ||
                  (page_size & (page_size - 1)) != 0;
    if (is_lmdb && is_odd) {
        status = tycho__fail(TYCHO_CORRUPT, "data.mdb has pages of %u bytes", page_size);
    } else if (is_lmdb) {
        pages = malloc((size_t)READ_PAGES * page_size);
        status = pages != NULL
                     ? recover(fd, can_write, page_size, pages, is_copy)
                     : tycho__fail(TYCHO_NO_MEMORY, "no memory for looking at the last commit");
    }
    free(pages);
    close(fd);
    return status;
}

void tycho__disk_close(const tycho__disk *disk) {
    uint8_t metas[TYCHO__META_PAGES][PAGE_SIZE_MIN];
    if (disk->last_flushed == 0 || !read_metas(disk->fd, disk->page_size, metas)) return;
    size_t last = last_of(metas);
    if (commit_of(metas[last]) != disk->last_flushed) return;
    mark_flushed(disk->fd, metas[last], last, disk->page_size);
}

bool tycho__disk_has_seal(const tycho__disk *disk) {
    uint8_t metas[TYCHO__META_PAGES][PAGE_SIZE_MIN];
    return read_metas(disk->fd, disk->page_size, metas) &&
           (seal_of(metas[0]).magic == SEAL_MAGIC || seal_of(metas[1]).magic == SEAL_MAGIC);
}
