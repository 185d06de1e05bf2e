/* disk.c - see disk.h. */
#include "disk.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { ROOM_TO_GROW = 64 << 20 }; /* for what is written to a disk that was built */

struct entry {
    char name[NAME_SIZE];
    bool is_directory, is_data;
};

void die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(2);
}

const char *record_name(const power_record *record) {
    return (const char *)(record + 1);
}

const uint8_t *record_content(const power_record *record) {
    return (const uint8_t *)(record + 1) + record->name_size;
}

static void copy_name(char *to, const char *name, uint64_t size) {
    if (size >= NAME_SIZE) die("a name of %llu bytes in the recording", (unsigned long long)size);
    memcpy(to, name, size);
    to[size] = '\0';
}

static const power_record *record_at(const struct disk *disk, uint64_t at) {
    const power_record *record = (const power_record *)(disk->log + at);
    if (at == disk->log_size) return NULL;
    if (disk->log_size - at < sizeof *record || disk->log_size - at < power_record_size(record)) {
        die("the recording ends within a record at byte %llu", (unsigned long long)at);
    }
    return record;
}

const power_record *disk_peek(const struct disk *disk) {
    return record_at(disk, disk->at);
}

static void *shared_memory(uint64_t size) {
    void *at =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) die("no memory for %llu bytes", (unsigned long long)size);
    return at;
}

/* The store is made beside its place and renamed, by several processes at once perhaps: the data
** file is that of the directory whose renaming is recorded. */
static uint64_t find_data(const struct disk *disk) {
    const power_record *record;
    char renamed[NAME_SIZE], name[NAME_SIZE] = "?";
    uint64_t inode = 0;
    for (uint64_t at = 0; (record = record_at(disk, at)) != NULL; at += power_record_size(record)) {
        if (record->kind == POWER_RENAME && record->size == 0) {
            copy_name(renamed, record_name(record), record->name_size);
            snprintf(name, sizeof name, "%.60s/data.mdb", renamed);
        }
    }
    for (uint64_t at = 0; (record = record_at(disk, at)) != NULL; at += power_record_size(record)) {
        bool is_data = record->kind == POWER_CREATE && record->name_size == strlen(name) &&
                       memcmp(record_name(record), name, record->name_size) == 0;
        if (is_data) inode = record->file;
    }
    if (inode == 0) die("the recording has no data file");
    return inode;
}

/* The same of a store that was there before. */
static uint64_t find_written(const struct disk *disk) {
    static const char name[] = "/data.mdb";
    const power_record *record;
    for (uint64_t at = 0; (record = record_at(disk, at)) != NULL; at += power_record_size(record)) {
        bool is_data = record->kind == POWER_WRITE && record->name_size == sizeof name - 1 &&
                       memcmp(record_name(record), name, sizeof name - 1) == 0;
        if (is_data) return record->file;
    }
    die("nothing is written to the data file");
}

/* How large the data file becomes. */
static uint64_t find_capacity(const struct disk *disk) {
    const power_record *record;
    uint64_t end = 0;
    for (uint64_t at = 0; (record = record_at(disk, at)) != NULL; at += power_record_size(record)) {
        bool has_place = record->kind == POWER_WRITE || record->kind == POWER_SIZE;
        if (!has_place || record->file != disk->data_inode) continue;
        if (record->offset + record->size > end) end = record->offset + record->size;
    }
    return (end / PAGE + 1) * PAGE;
}

static const uint8_t *map_file(const char *path, uint64_t *size) {
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &info) != 0) die("%s: %s", path, strerror(errno));
    *size = (uint64_t)info.st_size;
    const uint8_t *at = mmap(NULL, *size + 1, PROT_READ, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) die("%s: %s", path, strerror(errno));
    close(fd);
    return at;
}

/* The store is there, with this data file. */
static void begin_with(struct disk *disk, const uint8_t *base, uint64_t size) {
    memcpy(disk->durable, base, size);
    memcpy(disk->shown, base, size);
    disk->durable_size = disk->shown_size = size;
    pages_note(0, size);
    disk->ops[0] = (struct op){.kind = POWER_MKDIR, .is_durable = true};
    disk->ops[1] = (struct op){.kind = POWER_CREATE, .is_durable = true, .name = "/data.mdb"};
    disk->ops[1].file = disk->data_inode;
    disk->op_count = 2;
}

void disk_open(struct disk *disk, const char *log, const char *work, const char *base) {
    struct stat info;
    char file[240];
    uint64_t base_size = 0;
    const uint8_t *before = base != NULL ? map_file(base, &base_size) : NULL;
    disk->log = map_file(log, &disk->log_size);
    disk->data_inode = base != NULL ? find_written(disk) : find_data(disk);
    disk->capacity = find_capacity(disk);
    if (disk->capacity < base_size) disk->capacity = (base_size / PAGE + 1) * PAGE;
    disk->durable = shared_memory(disk->capacity);
    disk->shown = shared_memory(disk->capacity);
    snprintf(disk->work, sizeof disk->work, "%s", work);
    snprintf(disk->path, sizeof disk->path, "%s/at/store", work);
    snprintf(file, sizeof file, "%s/data", work);
    if (mkdir(work, 0700) != 0) die("%s: %s", work, strerror(errno));
    disk->data_fd = open(file, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0660);
    if (disk->data_fd < 0 || fstat(disk->data_fd, &info) != 0) die("%s: %s", file, strerror(errno));
    pages_init(disk->capacity + ROOM_TO_GROW, info.st_ino);
    if (before != NULL) begin_with(disk, before, base_size);
}

/* ---------------------------------------------------------------- playing */

static void add_unit(struct disk *disk, const struct unit *added) {
    if (disk->unit_count == disk->unit_room) {
        disk->unit_room = disk->unit_room * 2 + 64;
        disk->units = realloc(disk->units, disk->unit_room * sizeof *disk->units);
        if (disk->units == NULL) die("no memory for writes");
    }
    disk->units[disk->unit_count++] = *added;
}

/* A write: the sectors that it touches as a whole, with what is around it. */
static void play_write(struct disk *disk, const power_record *record) {
    uint64_t end = record->offset + record->size;
    struct unit added = {.order = disk->at, .sector = record->offset / SECTOR};
    added.count = (end + SECTOR - 1) / SECTOR - added.sector;
    memcpy(disk->shown + record->offset, record_content(record), record->size);
    if (end > disk->shown_size) disk->shown_size = end;
    added.size_after = disk->shown_size;
    added.data = record_content(record);
    if (record->offset % SECTOR != 0 || end % SECTOR != 0) {
        added.owned = malloc(added.count * SECTOR);
        if (added.owned == NULL) die("no memory for a write");
        memcpy(added.owned, disk->shown + added.sector * SECTOR, added.count * SECTOR);
        added.data = added.owned;
    }
    add_unit(disk, &added);
}

static void play_size(struct disk *disk, const power_record *record) {
    if (record->offset < disk->shown_size) die("the data file is made shorter");
    disk->shown_size = record->offset;
    struct unit added = {.order = disk->at, .size_after = record->offset};
    add_unit(disk, &added);
}

static void make_durable(struct disk *disk, const struct unit *unit, uint64_t first, uint64_t end) {
    if (first >= end) return;
    uint64_t at = first * SECTOR, size = (end - first) * SECTOR;
    memcpy(disk->durable + at, unit->data + (first - unit->sector) * SECTOR, size);
    pages_note(at, size);
}

static struct unit part_of(const struct unit *whole, uint64_t first, uint64_t end) {
    struct unit part = *whole;
    part.sector = first;
    part.count = end - first;
    part.data = whole->data + (first - whole->sector) * SECTOR;
    part.owned = NULL; /* what is owned is never freed in parts */
    return part;
}

/* Makes durable what was written before, in the sectors from `from` to `to`. What is left of a unit
** stays pending. */
static void flush_data(struct disk *disk, const power_record *record) {
    bool is_range = record->extent > 0;
    uint64_t from = is_range ? record->offset / SECTOR : 0;
    uint64_t to = is_range ? (record->offset + record->extent + SECTOR - 1) / SECTOR : UINT64_MAX;
    struct unit *old = disk->units;
    size_t count = disk->unit_count;
    disk->units = NULL;
    disk->unit_count = disk->unit_room = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t end = old[i].sector + old[i].count;
        uint64_t first = old[i].sector > from ? old[i].sector : from, last = end < to ? end : to;
        bool is_flushed = old[i].order < record->until && (!is_range || first < last);
        if (!is_flushed) {
            add_unit(disk, &old[i]);
            continue;
        }
        make_durable(disk, &old[i], first, last);
        uint64_t size =
            is_range && last * SECTOR < old[i].size_after ? last * SECTOR : old[i].size_after;
        if (size > disk->durable_size) disk->durable_size = size;
        struct unit before = part_of(&old[i], old[i].sector, first);
        struct unit after = part_of(&old[i], last, end);
        if (first > old[i].sector) add_unit(disk, &before);
        if (last < end) add_unit(disk, &after);
        if (first == old[i].sector && last == end) free(old[i].owned);
    }
    free(old);
}

static void play_op(struct disk *disk, const power_record *record) {
    if (disk->op_count == OPS_MAX) die("the recording has over %d changes of names", OPS_MAX);
    struct op *added = &disk->ops[disk->op_count++];
    *added = (struct op){.order = disk->at,
                         .file = record->file,
                         .kind = record->kind,
                         .parents = {record->parent, record->until}};
    copy_name(added->name, record_name(record), record->name_size);
    copy_name(added->target, (const char *)record_content(record), record->size);
    if (record->kind != POWER_RENAME) added->parents[1] = record->parent;
}

static void play_mapped(struct disk *disk, const power_record *record) {
    if (disk->version_count == VERSIONS_MAX) {
        memmove(disk->versions, disk->versions + VERSIONS_MAX / 2,
                VERSIONS_MAX / 2 * sizeof *disk->versions);
        disk->version_count = VERSIONS_MAX / 2;
    }
    struct version *added = &disk->versions[disk->version_count++];
    copy_name(added->name, record_name(record), record->name_size);
    added->data = record_content(record);
    added->size = record->size;
}

static void play_flush(struct disk *disk, const power_record *record) {
    for (size_t i = 0; i < disk->op_count; i++) {
        struct op *op = &disk->ops[i];
        if (op->order >= record->until) continue;
        /* A rename between two directories takes both. */
        for (int j = 0; j < 2; j++) {
            if (op->parents[j] == record->file) op->parents[j] = 0;
        }
        op->is_durable = op->parents[0] == 0 && op->parents[1] == 0;
    }
    if (record->file == disk->data_inode) flush_data(disk, record);
}

void disk_play(struct disk *disk) {
    const power_record *record = disk_peek(disk);
    bool is_data = record->file == disk->data_inode;
    switch (record->kind) {
    case POWER_WRITE:
        if (is_data) play_write(disk, record);
        break;
    case POWER_SIZE:
        if (is_data) play_size(disk, record);
        break;
    case POWER_FLUSH:
        play_flush(disk, record);
        break;
    case POWER_MAPPED:
        play_mapped(disk, record);
        break;
    case POWER_MARK:
        break;
    default:
        play_op(disk, record);
    }
    disk->at += power_record_size(record);
}

size_t disk_sectors(const struct disk *disk) {
    size_t count = 0;
    for (size_t i = 0; i < disk->unit_count; i++) count += disk->units[i].count;
    return count;
}

/* ---------------------------------------------------------------- building: names */

/* Whether the entry is `name` or below it. */
static bool is_at(const char *entry, const char *name) {
    size_t size = strlen(name);
    return strncmp(entry, name, size) == 0 && (entry[size] == '\0' || entry[size] == '/');
}

static bool has_parent(const struct entry *entries, size_t count, const char *name) {
    const char *slash = strrchr(name, '/');
    if (slash == NULL) return true;
    for (size_t i = 0; i < count; i++) {
        if (strlen(entries[i].name) == (size_t)(slash - name) && is_at(name, entries[i].name)) {
            return true;
        }
    }
    return false;
}

static void rename_entries(struct entry *entries, size_t count, const struct op *op) {
    for (size_t i = 0; i < count; i++) {
        char rest[NAME_SIZE];
        if (!is_at(entries[i].name, op->name)) continue;
        snprintf(rest, sizeof rest, "%s", entries[i].name + strlen(op->name));
        int size = snprintf(entries[i].name, NAME_SIZE, "%s%s", op->target, rest);
        if (size >= NAME_SIZE) die("a name is too long");
    }
}

/* The names that there are when the chosen changes were made, in order; gives how many. */
static size_t list_entries(const struct disk *disk, const struct image *image,
                           struct entry *entries) {
    size_t count = 0;
    for (size_t i = 0; i < disk->op_count; i++) {
        const struct op *op = &disk->ops[i];
        if (!op->is_durable && !image->ops[i]) continue;
        if (op->kind == POWER_RENAME) {
            rename_entries(entries, count, op);
        } else if (op->kind == POWER_REMOVE) {
            for (size_t j = count; j-- > 0;) {
                if (is_at(entries[j].name, op->name)) entries[j] = entries[--count];
            }
        } else if (has_parent(entries, count, op->name)) {
            struct entry *added = &entries[count++];
            *added = (struct entry){.is_directory = op->kind == POWER_MKDIR,
                                    .is_data = op->file == disk->data_inode};
            memcpy(added->name, op->name, NAME_SIZE);
        }
    }
    return count;
}

static int remove_one(const char *path, const struct stat *info, int flag, struct FTW *place) {
    (void)info, (void)flag, (void)place;
    return remove(path);
}

/* The name of a file in its directory, wherever that was. */
static bool is_same_file(const char *name, const char *other) {
    const char *file = strrchr(name, '/'), *other_file = strrchr(other, '/');
    return file != NULL && other_file != NULL && strcmp(file, other_file) == 0;
}

/* One of the contents that the file had, by chance; NULL: none. */
static const struct version *choose_version(const struct disk *disk, const char *name,
                                            uint64_t *random) {
    const struct version *chosen = NULL;
    uint64_t seen = 0;
    for (size_t i = disk->version_count; i-- > 0 && seen < 8;) {
        if (!is_same_file(disk->versions[i].name, name)) continue;
        seen++;
        if (chosen == NULL || chance(random) % seen == 0) chosen = &disk->versions[i];
    }
    return chosen;
}

/* A mapped file as the system may have left it: each page from any time, or never written. */
static void build_mapped(const struct disk *disk, const char *path, const char *name,
                         uint64_t seed) {
    static const uint8_t zeros[PAGE];
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0660);
    if (fd < 0) die("%s: %s", path, strerror(errno));
    const struct version *first = choose_version(disk, name, &seed);
    for (uint64_t at = 0; first != NULL && at < first->size; at += PAGE) {
        const struct version *version = seed % 3 == 0 ? first : choose_version(disk, name, &seed);
        uint64_t size = first->size - at < PAGE ? first->size - at : PAGE;
        bool is_there = at < version->size && chance(&seed) % 16 != 0;
        uint64_t most = is_there ? version->size - at : size;
        if (size > most) size = most;
        if (pwrite(fd, is_there ? version->data + at : zeros, size, (off_t)at) != (ssize_t)size) {
            die("%s: %s", path, strerror(errno));
        }
    }
    close(fd);
}

static void build_names(struct disk *disk, const struct image *image) {
    struct entry entries[OPS_MAX];
    char path[sizeof disk->path + NAME_SIZE * 2], data[sizeof disk->work + 8];
    snprintf(path, sizeof path, "%s/at", disk->work);
    snprintf(data, sizeof data, "%s/data", disk->work);
    nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    if (mkdir(path, 0700) != 0) die("%s: %s", path, strerror(errno));
    size_t count = list_entries(disk, image, entries);
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < count; i++) {
            const struct entry *entry = &entries[i];
            if (entry->is_directory != (pass == 0)) continue;
            snprintf(path, sizeof path, "%s%.*s", disk->path, NAME_SIZE - 1, entry->name);
            int result = 0;
            if (entry->is_directory)
                result = mkdir(path, 0770);
            else if (entry->is_data)
                result = link(data, path);
            else if (image->mapped != 0)
                build_mapped(disk, path, entry->name, image->mapped);
            if (result != 0) die("%s: %s", path, strerror(errno));
        }
    }
}

/* ---------------------------------------------------------------- building: the data file */

static void write_data(struct disk *disk, const uint8_t *data, uint64_t offset, uint64_t size) {
    if (size > 0 && pwrite(disk->data_fd, data, size, (off_t)offset) != (ssize_t)size) {
        die("writing the data file: %s", strerror(errno));
    }
}

/* Makes the data file what is durable again; not by pwrite(), which would note the pages. */
static void restore_data(struct disk *disk) {
    for (uint64_t page = 0; pages_take(&page); page++) {
        uint64_t at = page * PAGE;
        if (at >= disk->durable_size) continue;
        uint64_t size = disk->durable_size - at < PAGE ? disk->durable_size - at : PAGE;
        if (syscall(SYS_pwrite64, disk->data_fd, disk->durable + at, size, at) != (long)size) {
            die("writing the data file: %s", strerror(errno));
        }
    }
}

void disk_build(struct disk *disk, const struct image *image) {
    const uint8_t *kept = image->kept;
    build_names(disk, image);
    restore_data(disk);
    if (ftruncate(disk->data_fd, (off_t)disk->durable_size) != 0) die("%s", strerror(errno));
    for (size_t i = 0; i < disk->unit_count; i++) {
        const struct unit *unit = &disk->units[i];
        for (uint64_t first = 0, end; first < unit->count; first = end) {
            for (end = first + 1; end < unit->count && kept[end] == kept[first]; end++) {}
            if (!kept[first]) continue;
            write_data(disk, unit->data + first * SECTOR, (unit->sector + first) * SECTOR,
                       (end - first) * SECTOR);
        }
        kept += unit->count;
    }
    if (ftruncate(disk->data_fd, (off_t)image->size) != 0) die("%s", strerror(errno));
}
