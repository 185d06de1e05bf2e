/* pages.c - which pages of the data file were written, by this process or one that it forked. The
** functions that write are defined here: the linker exports them, so that LMDB calls them. */
#include "disk.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define SEEN __attribute__((visibility("default")))

static struct {
    uint64_t *bits; /* shared memory */
    uint64_t count; /* pages */
    uint64_t inode;
    uint64_t *highest; /* the last page that was noted, and one more: shared too */
} pages;

void pages_init(uint64_t capacity, uint64_t inode) {
    pages.count = capacity / PAGE;
    pages.inode = inode;
    pages.bits =
        mmap(NULL, pages.count / 8 + 16, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (pages.bits == MAP_FAILED) die("no memory for pages");
    pages.highest = pages.bits++;
}

void pages_note(uint64_t offset, uint64_t size) {
    uint64_t first = offset / PAGE, end = (offset + size + PAGE - 1) / PAGE;
    if (end > pages.count) die("the data file grows to %llu pages", (unsigned long long)end);
    for (uint64_t page = first; page < end; page++) pages.bits[page / 64] |= 1ull << page % 64;
    if (end > *pages.highest) *pages.highest = end;
}

bool pages_take(uint64_t *page) {
    for (; *page < *pages.highest; ++*page) {
        uint64_t *word = &pages.bits[*page / 64], bit = 1ull << *page % 64;
        if (*word == 0) {
            *page |= 63;
        } else if ((*word & bit) != 0) {
            *word &= ~bit;
            return true;
        }
    }
    *pages.highest = 0;
    return false;
}

static void note(int fd, off_t offset, ssize_t size) {
    struct stat info;
    if (size <= 0 || pages.bits == NULL || fstat(fd, &info) != 0) return;
    if (info.st_ino != pages.inode) return;
    off_t place = offset >= 0 ? offset : lseek(fd, 0, SEEK_CUR) - size;
    pages_note((uint64_t)place, (uint64_t)size);
}

SEEN ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) {
    ssize_t result = syscall(SYS_pwrite64, fd, data, size, offset);
    note(fd, offset, result);
    return result;
}

SEEN ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
    ssize_t result = syscall(SYS_pwritev, fd, parts, count, offset, 0);
    note(fd, offset, result);
    return result;
}

SEEN ssize_t writev(int fd, const struct iovec *parts, int count) {
    ssize_t result = syscall(SYS_writev, fd, parts, count);
    note(fd, -1, result);
    return result;
}

SEEN ssize_t write(int fd, const void *data, size_t size) {
    ssize_t result = syscall(SYS_write, fd, data, size);
    note(fd, -1, result);
    return result;
}

/* What is built here need not outlive the machine. */
SEEN int fdatasync(int fd) {
    (void)fd;
    return 0;
}

SEEN int fsync(int fd) {
    (void)fd;
    return 0;
}
