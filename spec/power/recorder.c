/* recorder.c - a library to be preloaded: writes down what a process asks of the disk for the files
** of one store, in order, for replay.c.
**
**     POWER_STORE   the path of the store, absolute and without links
**     POWER_LOG     the file that is written: log.h says what is in it. It must exist.
**     POWER_KILL    n: the process is killed behind its n-th record
**
** Any number of processes and threads may write to one log. A write and its record are one step
** under a lock, so that the order in the log is the order on the file. A flush is recorded when it
** has returned, with how long the log was when it began: what was written meanwhile may be missed
** by it. sync_file_range() is no flush.
**
** Files that are mapped and written through memory (lock.mdb, notify, lock_table) leave no writes:
** what is in them is recorded with each mark. They are never opened here: closing them would give
** up the locks that the process has on them. To map the data file itself for writing ends the
** process, as nobody would see what is written.
*/
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define SEEN __attribute__((visibility("default")))
#define ALSO(name) __attribute__((visibility("default"), alias(name)))

enum { PATH_SIZE = 4200, MAPS = 16, PARTS_MAX = 1024 };

static struct {
    pthread_mutex_t mutex;
    const char *store;
    size_t store_size;
    int log_fd;
    long left; /* records until the process is killed; 0: it is not */
    pid_t pid; /* that opened the log: a child must open it itself, or would share the lock */
} recorder = {.mutex = PTHREAD_MUTEX_INITIALIZER, .log_fd = -1};

static struct map {
    const unsigned char *at;
    size_t size;
    uint64_t hash; /* of the content recorded last */
    char name[64];
} maps[MAPS];

__attribute__((constructor)) static void start(void) {
    recorder.store = getenv("POWER_STORE");
    if (recorder.store != NULL && getenv("POWER_LOG") == NULL) recorder.store = NULL;
    if (recorder.store != NULL) recorder.store_size = strlen(recorder.store);
    if (getenv("POWER_KILL") != NULL) recorder.left = strtol(getenv("POWER_KILL"), NULL, 10);
}

__attribute__((noreturn)) static void give_up(const char *what) {
    dprintf(2, "recorder: %s: %s\n", what, strerror(errno));
    _exit(99);
}

/* ---------------------------------------------------------------- names */

/* What follows the store's path in `path`; NULL when it is not of the store. */
static const char *name_of(const char *path) {
    if (recorder.store == NULL || strncmp(path, recorder.store, recorder.store_size) != 0) {
        return NULL;
    }
    const char *rest = path + recorder.store_size;
    bool is_of_store = *rest == '\0' || *rest == '/' || strncmp(rest, ".new-", 5) == 0;
    return is_of_store ? rest : NULL;
}

static bool is_parent(const char *path) {
    size_t size = strlen(path);
    return recorder.store != NULL && strncmp(path, recorder.store, size) == 0 &&
           recorder.store[size] == '/' && strchr(recorder.store + size + 1, '/') == NULL;
}

/* The path of a descriptor; empty when it has none. */
static void path_of(int fd, char *path) {
    char link[64];
    path[0] = '\0';
    if (recorder.store == NULL) return;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, PATH_SIZE - 1);
    path[size > 0 ? size : 0] = '\0';
    char *end = size > 10 ? path + size - 10 : path;
    if (strcmp(end, " (deleted)") == 0) *end = '\0';
}

/* An absolute path of a name that is relative to a directory's descriptor. */
static const char *absolute(int directory, const char *given, char *path) {
    if (given[0] == '/') return given;
    if (directory == AT_FDCWD) {
        if (getcwd(path, PATH_SIZE) == NULL) return given;
    } else {
        path_of(directory, path);
    }
    size_t size = strlen(path);
    snprintf(path + size, PATH_SIZE - size, "/%s", given);
    return path;
}

static uint64_t inode_of(const char *path) {
    struct stat info;
    return lstat(path, &info) == 0 ? info.st_ino : 0;
}

static uint64_t parent_inode(const char *path) {
    char parent[PATH_SIZE];
    snprintf(parent, sizeof parent, "%s", path);
    char *slash = strrchr(parent, '/');
    if (slash != NULL) *slash = '\0';
    return inode_of(parent);
}

static uint64_t inode(int fd) {
    struct stat info;
    return fstat(fd, &info) == 0 ? info.st_ino : 0;
}

/* ---------------------------------------------------------------- the log */

/* Takes the log for this thread of all processes; gives its size. */
static uint64_t lock(void) {
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    pthread_mutex_lock(&recorder.mutex);
    if (recorder.pid != getpid()) {
        recorder.log_fd = (int)syscall(SYS_openat, AT_FDCWD, getenv("POWER_LOG"),
                                       O_WRONLY | O_APPEND | O_CLOEXEC, 0);
        if (recorder.log_fd < 0) give_up("opening the log");
        recorder.pid = getpid();
    }
    while (fcntl(recorder.log_fd, F_OFD_SETLKW, &whole) != 0) {
        if (errno != EINTR) give_up("locking the log");
    }
    return (uint64_t)lseek(recorder.log_fd, 0, SEEK_END);
}

static void unlock(void) {
    struct flock whole = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
    fcntl(recorder.log_fd, F_OFD_SETLK, &whole);
    pthread_mutex_unlock(&recorder.mutex);
}

/* Adds a record, under the lock. `content` are `count` parts of record.size bytes together. */
static void put(power_record record, const char *name, const struct iovec *content, int count) {
    static const char zeros[8];
    struct iovec parts[PARTS_MAX + 3];
    record.name_size = (uint32_t)strlen(name);
    uint64_t size = sizeof record + record.name_size + record.size;
    parts[0] = (struct iovec){&record, sizeof record};
    parts[1] = (struct iovec){(void *)(uintptr_t)name, record.name_size};
    uint64_t left = record.size;
    int used = 2;
    for (int i = 0; i < count && left > 0; i++) {
        size_t part = content[i].iov_len < left ? content[i].iov_len : left;
        parts[used++] = (struct iovec){content[i].iov_base, part};
        left -= part;
    }
    parts[used++] = (struct iovec){(void *)(uintptr_t)zeros, power_record_size(&record) - size};
    uint64_t written = (uint64_t)syscall(SYS_writev, recorder.log_fd, parts, used);
    if (written != power_record_size(&record)) give_up("writing the log");
    if (recorder.left > 0 && --recorder.left == 0) kill(getpid(), SIGKILL);
}

static void put_mapped(void) {
    for (struct map *map = maps; map < maps + MAPS; map++) {
        if (map->at == NULL) continue;
        uint64_t hash = 0;
        for (size_t i = 0; i + 8 <= map->size; i += 8) {
            uint64_t word;
            memcpy(&word, map->at + i, sizeof word);
            hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
        }
        if (hash == map->hash) continue;
        map->hash = hash;
        struct iovec content = {(void *)(uintptr_t)map->at, map->size};
        put((power_record){.kind = POWER_MAPPED, .size = map->size}, map->name, &content, 1);
    }
}

/* ---------------------------------------------------------------- writing */

/* Adds what a write did, under the lock. */
static void put_write(int fd, const char *name, const struct iovec *parts, int count,
                      power_record record) {
    bool is_flushed = record.kind == POWER_FLUSH || (fcntl(fd, F_GETFL) & (O_DSYNC | O_SYNC)) != 0;
    record.kind = POWER_WRITE;
    record.file = inode(fd);
    put(record, name, parts, count);
    if (!is_flushed) return;
    record.kind = POWER_FLUSH;
    record.extent = record.size;
    record.size = 0;
    record.until = (uint64_t)lseek(recorder.log_fd, 0, SEEK_END);
    put(record, name, NULL, 0);
}

/* Any write: `offset` is -1 for one at the descriptor's own place. */
static ssize_t write_parts(int fd, const struct iovec *parts, int count, off_t offset, int flags) {
    char path[PATH_SIZE];
    path_of(fd, path);
    const char *name = name_of(path);
    if (name == NULL) return syscall(SYS_pwritev2, fd, parts, count, offset, 0, flags);
    if (count > PARTS_MAX) give_up("a write of too many parts");
    lock();
    ssize_t result = syscall(SYS_pwritev2, fd, parts, count, offset, 0, flags);
    int error = errno;
    if (result > 0) {
        off_t place = offset >= 0 ? offset : lseek(fd, 0, SEEK_CUR) - result;
        bool is_flushed = (flags & (RWF_DSYNC | RWF_SYNC)) != 0;
        put_write(fd, name, parts, count,
                  (power_record){.kind = is_flushed ? POWER_FLUSH : POWER_WRITE,
                                 .offset = (uint64_t)place,
                                 .size = (uint64_t)result});
    }
    unlock();
    errno = error;
    return result;
}

SEEN ssize_t write(int fd, const void *data, size_t size) {
    char path[PATH_SIZE];
    path_of(fd, path);
    if (name_of(path) == NULL) return syscall(SYS_write, fd, data, size);
    struct iovec part = {(void *)(uintptr_t)data, size};
    return write_parts(fd, &part, 1, -1, 0);
}

SEEN ssize_t writev(int fd, const struct iovec *parts, int count) {
    return write_parts(fd, parts, count, -1, 0);
}

SEEN ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) {
    struct iovec part = {(void *)(uintptr_t)data, size};
    return write_parts(fd, &part, 1, offset, 0);
}

SEEN ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
    return write_parts(fd, parts, count, offset, 0);
}

SEEN ssize_t pwritev2(int fd, const struct iovec *parts, int count, off_t offset, int flags) {
    return write_parts(fd, parts, count, offset, flags);
}

ALSO("pwrite") ssize_t pwrite64(int, const void *, size_t, off_t);
ALSO("pwritev") ssize_t pwritev64(int, const struct iovec *, int, off_t);
ALSO("pwritev2") ssize_t pwritev64v2(int, const struct iovec *, int, off_t, int);

/* Records the size that a call has given a file; gives the call's result. */
static long size_after(int fd, long number, long first, long second, long third) {
    char path[PATH_SIZE];
    struct stat info;
    path_of(fd, path);
    const char *name = name_of(path);
    if (name != NULL) lock();
    long result = syscall(number, fd, first, second, third);
    int error = errno;
    if (name != NULL) {
        if (result == 0 && fstat(fd, &info) == 0) {
            put((power_record){.kind = POWER_SIZE,
                               .file = info.st_ino,
                               .offset = (uint64_t)info.st_size},
                name, NULL, 0);
        }
        unlock();
    }
    errno = error;
    return result;
}

SEEN int ftruncate(int fd, off_t size) {
    return (int)size_after(fd, SYS_ftruncate, size, 0, 0);
}

SEEN int fallocate(int fd, int mode, off_t offset, off_t size) {
    char path[PATH_SIZE];
    path_of(fd, path);
    if (mode != 0 && name_of(path) != NULL) give_up("a hole is made");
    return (int)size_after(fd, SYS_fallocate, mode, offset, size);
}

SEEN int posix_fallocate(int fd, off_t offset, off_t size) {
    return fallocate(fd, 0, offset, size) == 0 ? 0 : errno;
}

ALSO("ftruncate") int ftruncate64(int, off_t);
ALSO("fallocate") int fallocate64(int, int, off_t, off_t);
ALSO("posix_fallocate") int posix_fallocate64(int, off_t, off_t);

/* ---------------------------------------------------------------- flushing */

static int flush(int fd, long number) {
    char path[PATH_SIZE];
    path_of(fd, path);
    const char *name = name_of(path);
    if (name == NULL && !is_parent(path)) return (int)syscall(number, fd);
    uint64_t until = lock();
    unlock();
    int result = (int)syscall(number, fd);
    int error = errno;
    if (result == 0) {
        lock();
        put((power_record){.kind = POWER_FLUSH, .file = inode(fd), .until = until},
            name != NULL ? name : "..", NULL, 0);
        unlock();
    }
    errno = error;
    return result;
}

SEEN int fsync(int fd) {
    return flush(fd, SYS_fsync);
}

SEEN int fdatasync(int fd) {
    return flush(fd, SYS_fdatasync);
}

/* ---------------------------------------------------------------- names of files */

static int open_path(int directory, const char *given, int flags, mode_t mode) {
    char path[PATH_SIZE], full[PATH_SIZE];
    const char *place = (flags & O_CREAT) != 0 ? absolute(directory, given, path) : given;
    const char *name = (flags & O_CREAT) != 0 ? name_of(place) : NULL;
    if ((flags & O_TRUNC) != 0 && name_of(place) != NULL) give_up("a file is truncated by open");
    if (name == NULL) return (int)syscall(SYS_openat, directory, given, flags, mode);
    lock();
    bool is_new = faccessat(directory, given, F_OK, AT_SYMLINK_NOFOLLOW) != 0;
    int fd = (int)syscall(SYS_openat, directory, given, flags, mode);
    int error = errno;
    if (fd >= 0 && is_new) {
        path_of(fd, full);
        put((power_record){.kind = POWER_CREATE, .file = inode(fd), .parent = parent_inode(full)},
            name_of(full) != NULL ? name_of(full) : name, NULL, 0);
    }
    unlock();
    errno = error;
    return fd;
}

#define MODE(flags, mode)                                                                          \
    do {                                                                                           \
        va_list rest;                                                                              \
        va_start(rest, flags);                                                                     \
        if (((flags) & (O_CREAT | O_TMPFILE)) != 0) (mode) = va_arg(rest, mode_t);                 \
        va_end(rest);                                                                              \
    } while (0)

SEEN int open(const char *path, int flags, ...) {
    mode_t mode = 0;
    MODE(flags, mode);
    return open_path(AT_FDCWD, path, flags, mode);
}

SEEN int openat(int directory, const char *path, int flags, ...) {
    mode_t mode = 0;
    MODE(flags, mode);
    return open_path(directory, path, flags, mode);
}

ALSO("open") int open64(const char *, int, ...);
ALSO("openat") int openat64(int, const char *, int, ...);

/* Records a change of a directory that is made by a system call. */
static int change(power_record record, const char *path, const char *to, long number, int flags) {
    const char *name = name_of(path);
    if (name == NULL) return (int)syscall(number, AT_FDCWD, path, AT_FDCWD, to, flags);
    lock();
    record.file = inode_of(path);
    record.parent = parent_inode(path);
    record.until = to != NULL ? parent_inode(to) : 0;
    long result = to != NULL ? syscall(SYS_renameat2, AT_FDCWD, path, AT_FDCWD, to, flags)
                             : syscall(number, AT_FDCWD, path, flags);
    int error = errno;
    if (record.file == 0) record.file = inode_of(path);
    if (result == 0) {
        const char *target = to != NULL ? name_of(to) : NULL;
        if (to != NULL && target == NULL) give_up("a file is moved out of the store");
        struct iovec content = {(void *)(uintptr_t)target, to != NULL ? strlen(target) : 0};
        record.size = content.iov_len;
        put(record, name, &content, 1);
    }
    unlock();
    errno = error;
    return (int)result;
}

static int remove_path(int directory, const char *given, int flags) {
    char path[PATH_SIZE];
    const char *place = absolute(directory, given, path);
    if (name_of(place) == NULL) return (int)syscall(SYS_unlinkat, directory, given, flags);
    return change((power_record){.kind = POWER_REMOVE}, place, NULL, SYS_unlinkat, flags);
}

SEEN int unlinkat(int directory, const char *path, int flags) {
    return remove_path(directory, path, flags);
}

SEEN int unlink(const char *path) {
    return remove_path(AT_FDCWD, path, 0);
}

SEEN int rmdir(const char *path) {
    return remove_path(AT_FDCWD, path, AT_REMOVEDIR);
}

SEEN int remove(const char *path) {
    if (strncmp(path, POWER_MARK_PREFIX, sizeof POWER_MARK_PREFIX - 1) == 0) {
        struct iovec said = {(void *)(uintptr_t)(path + sizeof POWER_MARK_PREFIX - 1), 0};
        said.iov_len = strlen(said.iov_base);
        if (recorder.store == NULL) return 0;
        lock();
        put_mapped();
        put((power_record){.kind = POWER_MARK, .size = said.iov_len}, "", &said, 1);
        unlock();
        return 0;
    }
    int result = remove_path(AT_FDCWD, path, 0);
    return result != 0 && errno == EISDIR ? rmdir(path) : result;
}

SEEN int mkdir(const char *given, mode_t mode) {
    char path[PATH_SIZE];
    const char *place = absolute(AT_FDCWD, given, path);
    if (name_of(place) == NULL) return (int)syscall(SYS_mkdirat, AT_FDCWD, given, mode);
    return change((power_record){.kind = POWER_MKDIR}, place, NULL, SYS_mkdirat, (int)mode);
}

SEEN int rename(const char *from, const char *to) {
    char from_path[PATH_SIZE], to_path[PATH_SIZE];
    const char *source = absolute(AT_FDCWD, from, from_path);
    const char *target = absolute(AT_FDCWD, to, to_path);
    return change((power_record){.kind = POWER_RENAME}, source, target, SYS_renameat2, 0);
}

/* ---------------------------------------------------------------- mapped files */

SEEN void *mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset) {
    void *map = (void *)syscall(SYS_mmap, at, size, protection, flags, fd, offset);
    bool is_written = (protection & PROT_WRITE) != 0 && (flags & MAP_SHARED) != 0 && fd >= 0;
    if (!is_written || map == MAP_FAILED || recorder.store == NULL) return map;
    int error = errno;
    char path[PATH_SIZE];
    path_of(fd, path);
    const char *name = name_of(path);
    if (name != NULL && strstr(name, "data.mdb") != NULL) give_up("the data file is mapped");
    pthread_mutex_lock(&recorder.mutex);
    for (struct map *each = maps; name != NULL && each < maps + MAPS; each++) {
        if (each->at != NULL) continue;
        *each = (struct map){.at = map, .size = size};
        snprintf(each->name, sizeof each->name, "%s", name);
        break;
    }
    pthread_mutex_unlock(&recorder.mutex);
    errno = error;
    return map;
}

SEEN int munmap(void *at, size_t size) {
    if (recorder.store != NULL) {
        pthread_mutex_lock(&recorder.mutex);
        for (struct map *each = maps; each < maps + MAPS; each++) {
            if (each->at == at) each->at = NULL;
        }
        pthread_mutex_unlock(&recorder.mutex);
    }
    return (int)syscall(SYS_munmap, at, size);
}

ALSO("mmap") void *mmap64(void *, size_t, int, int, int, off_t);
