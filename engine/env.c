/* env.c - opening and closing environments; see env.h.
**
** Opening: canonical path -> registry -> file system check -> made elsewhere and renamed when it
** does not exist -> lock files -> open lock (byte 0) -> lock.mdb allocated, so that a full disk
** cannot fault in it -> mdb_env_open -> dead readers cleared -> tables -> format checked.
*/
#include "env.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "commit.h"
#include "dictionary.h"
#include "guard.h"
#include "inspect.h"
#include "list.h"
#include "lock.h"
#include "recent.h"
#include "text.h"
#include "watch.h"

enum {
    FIRST_SLOTS = 256,
    DEFAULT_READERS = 1022,
    LOCK_SLOT = 64,
    LOCK_HEAD = 128,
    MAKE_TABLES_MS = 10000
};
#define DEFAULT_MAP ((uint64_t)1 << 40)
#define SMALLEST_MAP ((uint64_t)1 << 26)

static struct {
    pthread_mutex_t mutex;
    tycho__env *first;
    unsigned fork_count; /* how often this process was born by fork since the library was loaded */
} registry = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void fork_prepare(void) {
    pthread_mutex_lock(&registry.mutex);
}

static void fork_parent(void) {
    pthread_mutex_unlock(&registry.mutex);
}

/* The parent's environments are left alone, but for the locks that their files would keep alive. */
static void fork_child(void) {
    for (tycho__env *env = registry.first; env != NULL; env = env->next) {
        tycho__gate_drop_after_fork(&env->gate);
    }
    registry.first = NULL;
    registry.fork_count++;
    pthread_mutex_unlock(&registry.mutex);
}

__attribute__((constructor)) static void watch_fork(void) {
    pthread_atfork(fork_prepare, fork_parent, fork_child);
}

bool tycho__env_is_last(tycho__env *env) {
    pthread_mutex_lock(&registry.mutex);
    bool is_last = env->handles == 1;
    pthread_mutex_unlock(&registry.mutex);
    return is_last;
}

int tycho__env_check(const tycho__env *env) {
    if (env->fork_count == registry.fork_count) return TYCHO_OK;
    return tycho__fail(TYCHO_FORKED, "the store \"%s\" was opened before a fork: open it again",
                       env->path);
}

/* ---------------------------------------------------------------- LMDB */

static int know_disk(tycho__env *env) {
    MDB_stat facts;
    mdb_env_stat(env->mdb, &facts);
    mdb_env_get_fd(env->mdb, &env->disk.fd);
    env->disk.page_size = facts.ms_psize;
    return TYCHO_OK;
}

/* Opens LMDB with as much address space as there is, up to what is asked for. */
static int open_mdb(tycho__env *env, const char *path, const tycho_options *options) {
    unsigned flags = MDB_NOTLS | (env->can_write ? 0u : MDB_RDONLY);
    uint64_t size = options->map_size != 0 ? options->map_size : DEFAULT_MAP;
    if (size < SMALLEST_MAP) size = SMALLEST_MAP;
    for (;; size /= 2) {
        int error = mdb_env_create(&env->mdb);
        if (error != 0) return tycho__mdb_fail(env, error, "opening");
        env->map_size = size;
        mdb_env_set_maxdbs(env->mdb, TYCHO__TABLES);
        mdb_env_set_maxreaders(env->mdb,
                               options->readers_max ? options->readers_max : DEFAULT_READERS);
        mdb_env_set_mapsize(env->mdb, size);
        error = mdb_env_open(env->mdb, path, flags, 0660);
        if (error == 0) return know_disk(env);
        mdb_env_close(env->mdb);
        env->mdb = NULL;
        if (error != ENOMEM || size / 2 < SMALLEST_MAP) {
            return tycho__mdb_fail(env, error, "opening");
        }
    }
}

/* Commits unless there was an error, so that the handles of the tables stay. */
static int end_tables(tycho__env *env, MDB_txn *txn, bool is_write, int error) {
    if (error == 0) return is_write ? tycho__mdb_commit(env, txn) : mdb_txn_commit(txn);
    if (is_write) {
        tycho__mdb_abort(env, txn);
    } else {
        mdb_txn_abort(txn);
    }
    return error;
}

/* Opens all tables. Those that came later (FENCES and what is behind it) may be missing: then they
** are made when `may_make`, else marked, and `*is_whole` is false. */
static int open_tables(tycho__env *env, bool may_make, bool *is_whole) {
    static const char *const names[] = {
#define TYCHO__TABLE(name, text) text,
        TYCHO__TABLE_MAP(TYCHO__TABLE)
#undef TYCHO__TABLE
    };
    MDB_txn *txn;
    int error = may_make ? tycho__mdb_begin(env, TYCHO_SYNC_FULL, &txn)
                         : mdb_txn_begin(env->mdb, NULL, MDB_RDONLY, &txn);
    if (error != 0) return tycho__mdb_fail(env, error, "opening");
    *is_whole = true;
    for (int i = 0; i < TYCHO__TABLES && error == 0; i++) {
        unsigned flags = (may_make ? MDB_CREATE : 0u) | (i == TYCHO__EVENTS ? MDB_INTEGERKEY : 0u);
        error = mdb_dbi_open(txn, names[i], flags, &env->tables[i]);
        if (error == MDB_NOTFOUND && i >= TYCHO__FENCES) {
            env->tables[i] = TYCHO__NO_TABLE;
            *is_whole = false;
            error = 0;
        }
    }
    error = end_tables(env, txn, may_make, error);
    bool is_foreign = error == MDB_NOTFOUND || error == MDB_INCOMPATIBLE;
    if (is_foreign && tycho__disk_has_seal(&env->disk)) {
        return tycho__fail(TYCHO_CORRUPT, "tables of the store \"%s\" are lost", env->path);
    }
    if (is_foreign) {
        return tycho__fail(TYCHO_DENIED, "\"%s\" is an LMDB environment, but no store of Tycho",
                           env->path);
    }
    return error == 0 ? TYCHO_OK : tycho__mdb_fail(env, error, "opening");
}

/* The same for a store that is there. An older one gets what it lacks, by a commit of its own. */
static int open_all_tables(tycho__env *env) {
    bool is_whole;
    int status = open_tables(env, false, &is_whole);
    if (status != TYCHO_OK || is_whole || !env->can_write) return status;
    status = tycho__gate_enter(&env->gate, MAKE_TABLES_MS);
    if (status != TYCHO_OK) return status;
    status = open_tables(env, true, &is_whole);
    tycho__gate_leave(&env->gate);
    return status;
}

static void free_env(tycho__env *env) {
    tycho__pool_clear(env);
    tycho__locks_destroy(env->locks);
    tycho__digests_destroy(env->digests);
    tycho__writer_destroy(env->writer);
    tycho__watch_destroy(env->watch);
    if (env->mdb != NULL) mdb_env_close(env->mdb);
    tycho__guard_destroy(env->guard);
    free(env->guarded);
    for (int i = 0; i < TYCHO__TYPE_CACHE; i++) free(atomic_load(&env->type_names[i]));
    tycho__lists_free(env->kept_lists);
    tycho__recent_forget(env);
    pthread_mutex_destroy(&env->recent_mutex);
    pthread_mutex_destroy(&env->pool_mutex);
    free(env->path);
    free(env);
}

static int new_env(const char *path, bool can_write, tycho__env **out) {
    tycho__env *env = calloc(1, sizeof *env);
    if (env == NULL) return tycho__fail(TYCHO_NO_MEMORY, "no memory for a store");
    env->gate.locks_fd = env->gate.directory_fd = -1;
    env->can_write = can_write;
    atomic_store(&env->recent_slots, FIRST_SLOTS);
    atomic_store(&env->recent_ways, 0);
    atomic_store(&env->rules, TYCHO__UNSEEN);
    env->fork_count = registry.fork_count;
    pthread_mutex_init(&env->pool_mutex, NULL);
    pthread_mutex_init(&env->recent_mutex, NULL);
    env->path = strdup(path);
    env->writer = tycho__writer_create();
    env->watch = tycho__watch_create();
    env->locks = tycho__locks_create();
    env->digests = tycho__digests_create();
    if (env->path == NULL || env->writer == NULL || env->watch == NULL || env->locks == NULL ||
        env->digests == NULL) {
        free_env(env);
        return tycho__fail(TYCHO_NO_MEMORY, "no memory for a store");
    }
    *out = env;
    return TYCHO_OK;
}

/* ---------------------------------------------------------------- making a store */

static int sync_directory(const char *path) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return tycho__fail_path("opening", path);
    int result = fsync(fd);
    close(fd);
    return result == 0 ? TYCHO_OK : tycho__fail_path("flushing", path);
}

static void remove_made(const char *path) {
    static const char *const files[] = {"data.mdb", "lock.mdb"};
    char file[PATH_MAX + 80];
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        if (snprintf(file, sizeof file, "%s/%s", path, files[i]) < (int)sizeof file) unlink(file);
    }
    rmdir(path);
}

/* Makes an empty store in the existing, empty directory `path`, wholly flushed. */
static int fill_store(const char *path, const tycho_options *options) {
    tycho__env *env = NULL;
    int status = new_env(path, true, &env);
    if (status != TYCHO_OK) return status;
    bool is_whole;
    status = open_mdb(env, path, options);
    if (status == TYCHO_OK) status = open_tables(env, true, &is_whole);
    if (status == TYCHO_OK) {
        tycho__txn txn = {.env = env, .is_write = true, .state = {.format = TYCHO__FORMAT_PLAIN}};
        int error = tycho__mdb_begin(env, TYCHO_SYNC_FULL, &txn.mdb);
        status = error == 0 ? tycho__state_write(&txn) : tycho__mdb_fail(env, error, "creating");
        if (status == TYCHO_OK) {
            error = tycho__mdb_commit(env, txn.mdb);
            if (error != 0) status = tycho__mdb_fail(env, error, "creating");
        } else if (error == 0) {
            tycho__mdb_abort(env, txn.mdb);
        }
    }
    free_env(env);
    return status == TYCHO_OK ? sync_directory(path) : status;
}

/* Makes the store beside its place and renames it there, so that it is whole or not there. That it
** is there is made durable by who opens it. An empty directory that was there leaves its mode. */
static int make_store(const char *path, const tycho_options *options) {
    static atomic_uint counter;
    char made[PATH_MAX + 64];
    struct stat place;
    int size = snprintf(made, sizeof made, "%s.new-%ld-%u", path, (long)getpid(),
                        atomic_fetch_add(&counter, 1));
    if (size >= (int)sizeof made) return tycho__fail(TYCHO_MISUSE, "the path is too long");
    if (mkdir(made, 0770) != 0) return tycho__fail_path("making", made);
    bool is_kept = stat(path, &place) != 0 || chmod(made, place.st_mode & 07777) == 0;
    int status = is_kept ? fill_store(made, options) : tycho__fail_path("making", made);
    if (status == TYCHO_OK && rename(made, path) != 0) {
        /* Somebody else was faster, or there is something that is no store; the opening says. */
        bool is_odd = errno == EBUSY || errno == ENOTDIR;
        if (errno != EEXIST && errno != ENOTEMPTY) status = tycho__fail_path("making", path);
        if (is_odd) {
            status = tycho__fail(TYCHO_DENIED,
                                 "no store can be made at \"%s\": give the path of a directory "
                                 "that does not exist yet",
                                 path);
        }
        remove_made(made);
        return status;
    }
    if (status != TYCHO_OK) remove_made(made);
    return status;
}

/* ---------------------------------------------------------------- opening a store */

static int check_file_system(int directory, const char *path) {
    static const struct {
        long magic;
        const char *name;
    } refused[] = {{0x6969, "NFS"}, {0xff534d42, "CIFS"}, {0xfe534d42, "SMB2"},
                   {0x517b, "SMB"}, {0x5346414f, "AFS"},  {0x00c36400, "CephFS"}};
    struct statfs fs;
    if (fstatfs(directory, &fs) != 0) return tycho__fail_path("opening", path);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        if ((long)fs.f_type != refused[i].magic) continue;
        return tycho__fail(TYCHO_DENIED,
                           "\"%s\" is on a network file system (%s), which keeps "
                           "neither locks nor memory maps: put the store on a local disk",
                           path, refused[i].name);
    }
    return TYCHO_OK;
}

/* Gives lock.mdb its blocks now: it is written through a map, where a full disk is a signal. A file
** that is there keeps its size, because other processes have it mapped. */
static int allocate_lock_file(int directory, const tycho_options *options, const char *path) {
    int fd = tycho__open_file(directory, "lock.mdb", O_CREAT);
    if (fd < 0) return tycho__fail_path("opening lock.mdb in", path);
    struct stat file;
    int error = fstat(fd, &file) == 0 ? 0 : errno;
    uint64_t readers = options->readers_max ? options->readers_max : DEFAULT_READERS;
    off_t wanted = file.st_size > 0 ? file.st_size : (off_t)(LOCK_HEAD + LOCK_SLOT * readers);
    if (error == 0) error = posix_fallocate(fd, 0, wanted);
    close(fd);
    errno = error;
    return error == 0 ? TYCHO_OK : tycho__fail_path("allocating lock.mdb in", path);
}

/* While another process writes, the store is open there, and was looked at when that opened it. */
static int recover(tycho__env *env, int directory, bool *is_copy) {
    if (env->can_write && !tycho__gate_try_enter(&env->gate)) return TYCHO_OK;
    int status = tycho__disk_recover(directory, env->can_write, is_copy);
    if (env->can_write) tycho__gate_leave(&env->gate);
    return status;
}

/* Makes the name of the store durable before anybody is told of a commit in it: its maker may be
** about to do so, or have died before. Where there was a commit, that was done: it may take
** seconds, as ext4 flushes what others wrote, too, and keeps all others from opening. */
static int flush_name(int directory, const char *path) {
    int parent = openat(directory, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    /* A parent that may not be read is flushed with the whole file system. */
    int result = parent >= 0 ? fsync(parent) : syncfs(directory);
    int status = result == 0 ? TYCHO_OK : tycho__fail_path("flushing the directory of", path);
    if (parent >= 0) close(parent);
    return status;
}

/* LMDB trusts what it maps, so that damaged pages end the process: they are looked at before it
** reads any, in a snapshot, whose pages nobody writes over. A meta page may be written over while
** it is read, after two commits of others: then it is looked at again. */
static int inspect(tycho__env *env, const char *file, bool *is_whole) {
    enum { TRIES = 8 };
    int status = TYCHO_NOT_FOUND;
    for (int i = 0; i < TRIES && (status == TYCHO_NOT_FOUND || status == TYCHO_CORRUPT); i++) {
        MDB_txn *txn;
        int error = mdb_txn_begin(env->mdb, NULL, MDB_RDONLY, &txn);
        if (error != 0) return tycho__mdb_fail(env, error, "opening");
        status = tycho__inspect_file(file, mdb_txn_id(txn), is_whole);
        mdb_txn_abort(txn);
    }
    /* Without memory for a second map of the file there is no looking. */
    return status == TYCHO_NOT_FOUND || status == TYCHO_NO_MEMORY ? TYCHO_OK : status;
}

static int make_guard(tycho__env *env, bool is_whole, uint64_t marks_max) {
    const uint8_t *base;
    uint32_t page_size;
    int file;
    int status = tycho__map_base(env, &page_size, &base);
    if (status != TYCHO_OK) return status;
    mdb_env_get_fd(env->mdb, &file);
    env->guard = tycho__guard_create(base, env->map_size, page_size, file, is_whole,
                                     marks_max);
    return env->guard != NULL ? TYCHO_OK : tycho__fail(TYCHO_NO_MEMORY, "no memory for a store");
}

static int open_in_lock(tycho__env *env, int directory, const tycho_options *options) {
    char file[PATH_MAX + 16];
    bool is_whole = false, is_copy = false;
    int status = TYCHO_OK;
    snprintf(file, sizeof file, "%s/data.mdb", env->path);
    if (env->can_write) status = allocate_lock_file(directory, options, env->path);
    if (status == TYCHO_OK) status = recover(env, directory, &is_copy);
    if (status == TYCHO_OK) status = tycho__inspect_heads(file);
    if (status == TYCHO_OK) status = open_mdb(env, env->path, options);
    if (status == TYCHO_OK) tycho__env_clear_readers(env);
    if (status == TYCHO_OK) status = inspect(env, file, &is_whole);
    if (status == TYCHO_OK) status = open_all_tables(env);
    if (status == TYCHO_OK) status = make_guard(env, is_whole, options->marks_max);
    tycho__txn *txn = NULL;
    if (status == TYCHO_OK) status = tycho__txn_read(env, &txn); /* checks the format */
    bool is_new = status == TYCHO_OK && (is_copy || txn->state.sequence == 0);
    tycho__txn_done(txn);
    return is_new && env->can_write ? flush_name(directory, env->path) : status;
}

static int open_env(const char *path, int directory, const tycho_options *options,
                    tycho__env **out) {
    bool can_write =
        faccessat(directory, "data.mdb", W_OK, 0) == 0 && faccessat(directory, ".", W_OK, 0) == 0;
    if (!can_write && options->mode != TYCHO_READ_ONLY) {
        return tycho__fail(TYCHO_DENIED, "\"%s\" may not be written; open it read-only", path);
    }
    tycho__env *env = NULL;
    int status = new_env(path, can_write, &env);
    if (status != TYCHO_OK) return status;
    status = tycho__gate_open(&env->gate, directory, can_write);
    if (status == TYCHO_OK) status = tycho__gate_lock_opening(&env->gate);
    if (status != TYCHO_OK) {
        tycho__gate_close(&env->gate);
        free_env(env);
        return status;
    }
    tycho__gate gate = env->gate;
    status = open_in_lock(env, directory, options);
    if (status != TYCHO_OK) free_env(env);
    tycho__gate_unlock_opening(&gate);
    if (status != TYCHO_OK) {
        tycho__gate_close(&gate);
        return status;
    }
    *out = env;
    return TYCHO_OK;
}

/* Opens the directory, making the store first where that is asked for. */
static int open_directory(const char *path, const tycho_options *options, int *directory) {
    struct stat data;
    char file[PATH_MAX];
    if (snprintf(file, sizeof file, "%s/data.mdb", path) >= (int)sizeof file) {
        return tycho__fail(TYCHO_MISUSE, "the path is too long");
    }
    if (options->mode == TYCHO_CREATE && stat(file, &data) != 0 && errno == ENOENT) {
        int status = make_store(path, options);
        if (status != TYCHO_OK) return status;
    }
    *directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *directory >= 0 ? TYCHO_OK : tycho__fail_path("opening the store", path);
}

/* LMDB would follow links to files of somebody else, and write to them. Gives data.mdb. */
static int check_files(int directory, const char *path, struct stat *data) {
    static const char *const files[] = {"lock.mdb", "data.mdb"};
    bool is_there = false;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        is_there = fstatat(directory, files[i], data, AT_SYMLINK_NOFOLLOW) == 0;
        if (!is_there || S_ISREG(data->st_mode)) continue;
        return tycho__fail(TYCHO_DENIED,
                           "\"%s\" in \"%s\" is no file, but a link or something else", files[i],
                           path);
    }
    if (is_there) return TYCHO_OK;
    return tycho__fail(TYCHO_DENIED, "\"%s\" is a directory, but no store", path);
}

static int get_in_registry(const char *path, const tycho_options *options, tycho__env **out) {
    int directory = -1;
    struct stat place; /* of the file: the number of a removed directory comes again */
    int status = open_directory(path, options, &directory);
    if (status != TYCHO_OK) return status;
    status = check_file_system(directory, path);
    if (status == TYCHO_OK) status = check_files(directory, path, &place);
    tycho__env *env = status == TYCHO_OK ? registry.first : NULL;
    while (env != NULL && (env->device != place.st_dev || env->inode != place.st_ino)) {
        env = env->next;
    }
    if (env != NULL && !env->can_write && options->mode != TYCHO_READ_ONLY) {
        status = tycho__fail(TYCHO_DENIED, "\"%s\" is open read-only in this process", path);
    } else if (status == TYCHO_OK && env == NULL) {
        char *real = realpath(path, NULL);
        status = open_env(real != NULL ? real : path, directory, options, &env);
        free(real);
        if (status == TYCHO_OK) {
            env->device = place.st_dev;
            env->inode = place.st_ino;
            env->next = registry.first;
            registry.first = env;
        }
    }
    close(directory);
    if (status == TYCHO_OK) env->handles++;
    *out = status == TYCHO_OK ? env : NULL;
    return status;
}

int tycho__env_get(const char *given, const tycho_options *options, tycho__env **env) {
    char path[PATH_MAX];
    int status = tycho__trim_path(path, sizeof path, given);
    if (status != TYCHO_OK) return status;
    pthread_mutex_lock(&registry.mutex);
    status = get_in_registry(path, options, env);
    pthread_mutex_unlock(&registry.mutex);
    return status;
}

static void close_env(tycho__env *env) {
    tycho__gate gate = env->gate;
    int status = tycho__gate_lock_opening(&gate);
    if (env->can_write && tycho__gate_try_enter(&gate)) {
        tycho__disk_close(&env->disk);
        tycho__gate_leave(&gate);
    }
    free_env(env);
    if (status == TYCHO_OK) tycho__gate_unlock_opening(&gate);
    tycho__gate_close(&gate);
}

void tycho__env_put(tycho__env *env) {
    if (tycho__env_check(env) != TYCHO_OK) return; /* the parent's: left as it is */
    pthread_mutex_lock(&registry.mutex);
    assert(env->handles > 0);
    if (--env->handles == 0) {
        tycho__env **link = &registry.first;
        while (*link != env) link = &(*link)->next;
        *link = env->next;
        close_env(env);
    }
    pthread_mutex_unlock(&registry.mutex);
}

/* ---------------------------------------------------------------- the rest of LMDB */

int tycho__env_sync(tycho__env *env) {
    int error = mdb_env_sync(env->mdb, 1);
    return error == 0 ? TYCHO_OK : tycho__mdb_fail(env, error, "flushing");
}

int tycho__env_copy(tycho__env *env, const char *path) {
    tycho__guard_read_around(env->guard, true);
    int error = mdb_env_copy2(env->mdb, path, MDB_CP_COMPACT);
    tycho__guard_read_around(env->guard, false);
    if (error == EAGAIN) { /* LMDB writes in a thread of its own */
        return tycho__fail(TYCHO_NO_MEMORY, "copying: no thread can be made: %s", strerror(error));
    }
    return error == 0 ? TYCHO_OK : tycho__mdb_fail(env, error, "copying");
}

void tycho__env_clear_readers(tycho__env *env) {
    int cleared;
    mdb_reader_check(env->mdb, &cleared);
}

static int oldest_reader(const char *line, void *context) {
    unsigned long long pid, thread, transaction;
    uint64_t *oldest = context;
    bool is_row = sscanf(line, "%llu %llx %llu", &pid, &thread, &transaction) == 3;
    if (is_row && transaction < *oldest) *oldest = transaction;
    return 0;
}

int tycho__env_stats(tycho__env *env, tycho_stats *stats) {
    MDB_envinfo info;
    MDB_stat page;
    uint64_t oldest = UINT64_MAX;
    mdb_env_info(env->mdb, &info);
    mdb_env_stat(env->mdb, &page);
    stats->map_size = info.me_mapsize;
    stats->file_size = ((uint64_t)info.me_last_pgno + 1) * page.ms_psize;
    stats->readers = info.me_numreaders;
    stats->readers_max = info.me_maxreaders;
    mdb_reader_list(env->mdb, oldest_reader, &oldest);
    stats->reader_lag = oldest < info.me_last_txnid ? info.me_last_txnid - oldest : 0;
    MDB_txn *txn;
    MDB_cursor *cursor = NULL;
    MDB_val key, value;
    int error = mdb_txn_begin(env->mdb, NULL, MDB_RDONLY, &txn);
    if (error != 0) return tycho__mdb_fail(env, error, "reading statistics");
    error = mdb_cursor_open(txn, 0, &cursor); /* table 0 lists the free pages */
    while (error == 0) {
        error = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
        if (error == 0) stats->free_size += *(size_t *)value.mv_data * page.ms_psize;
    }
    mdb_cursor_close(cursor);
    mdb_txn_abort(txn);
    return error == MDB_NOTFOUND ? TYCHO_OK : tycho__mdb_fail(env, error, "reading statistics");
}
