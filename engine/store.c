/* store.c - the handle: opening, closing, point queries, waiting, statistics, backup. */
#include "store.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <errno.h>

#include "commit.h"
#include "stream.h"
#include "watch.h"

enum { WRITE_TIMEOUT_MS = 30000 };
#define RESERVE_SIZE ((uint64_t)64 << 20)

int tycho__store_check(const tycho_store *store) {
    if (store == NULL) return tycho__fail(TYCHO_MISUSE, "the store is NULL");
    return tycho__env_check(store->env);
}

/* ---------------------------------------------------------------- opening */

static int take_options(const tycho_options *given, tycho_options *options) {
    memset(options, 0, sizeof *options);
    options->size = sizeof *options;
    if (given != NULL) {
        if (given->size != sizeof *options) {
            return tycho__fail(TYCHO_MISUSE, "options of %zu bytes, this library knows %zu",
                               given->size, sizeof *options);
        }
        *options = *given;
    }
    if (options->mode > TYCHO_TEMPORARY) {
        return tycho__fail(TYCHO_MISUSE, "%u is no mode of opening", options->mode);
    }
    if (options->sync > TYCHO_SYNC_NONE) {
        return tycho__fail(TYCHO_MISUSE, "%u is no level of sync", options->sync);
    }
    if (options->readers_max > 1u << 20) {
        return tycho__fail(TYCHO_MISUSE, "%u readers are too many", options->readers_max);
    }
    if (options->write_timeout_ms == 0) options->write_timeout_ms = WRITE_TIMEOUT_MS;
    if (options->reserve_size == 0) options->reserve_size = RESERVE_SIZE;
    return TYCHO_OK;
}

static int make_temporary(char **directory) {
    const char *parent = getenv("TMPDIR");
    if (parent == NULL || parent[0] == '\0') parent = "/tmp";
    size_t size = strlen(parent) + sizeof "/tycho-XXXXXX";
    char *path = malloc(size);
    if (path == NULL) return tycho__fail(TYCHO_NO_MEMORY, "no memory for a path");
    snprintf(path, size, "%s/tycho-XXXXXX", parent);
    if (mkdtemp(path) == NULL) {
        int status = tycho__fail_path("making", path);
        free(path);
        return status;
    }
    *directory = path;
    return TYCHO_OK;
}

static void remove_temporary(char *directory) {
    static const char *const files[] = {"data.mdb", "lock.mdb", "locks", "notify", "lock_table"};
    char file[PATH_MAX];
    if (directory == NULL) return;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(file, sizeof file, "%s/%s", directory, files[i]);
        unlink(file);
    }
    rmdir(directory);
    free(directory);
}

int tycho_store_open(const char *path, const tycho_options *options, tycho_store **out) {
    tycho_options taken;
    char *temporary = NULL;
    if (out == NULL) return tycho__fail(TYCHO_MISUSE, "no place to put the store");
    *out = NULL;
    int status = take_options(options, &taken);
    if (status != TYCHO_OK) return status;
    bool is_temporary = taken.mode == TYCHO_TEMPORARY;
    if (is_temporary != (path == NULL) || (path != NULL && path[0] == '\0')) {
        return tycho__fail(TYCHO_MISUSE, is_temporary ? "a temporary store takes no path"
                                                      : "the path of the store is empty");
    }
    tycho_store *store = calloc(1, sizeof *store);
    if (store == NULL) return tycho__fail(TYCHO_NO_MEMORY, "no memory for a store");
    if (is_temporary) {
        taken.mode = TYCHO_CREATE;
        status = make_temporary(&temporary);
    }
    if (status == TYCHO_OK) {
        status = tycho__env_get(is_temporary ? temporary : path, &taken, &store->env);
    }
    if (status != TYCHO_OK) {
        remove_temporary(temporary);
        free(store);
        return status;
    }
    store->options = taken;
    store->temporary = temporary;
    *out = store;
    return TYCHO_OK;
}

void tycho_store_close(tycho_store *store) {
    if (store == NULL) return;
    bool is_ours = tycho__env_check(store->env) == TYCHO_OK;
    assert(!is_ours || atomic_load(&store->children) == 0);
    bool is_last = is_ours && tycho__env_is_last(store->env);
    bool is_writer = store->options.mode != TYCHO_READ_ONLY && store->temporary == NULL;
    if (is_last && is_writer) tycho__commit_settle(store);
    tycho__env_put(store->env);
    if (is_ours) remove_temporary(store->temporary);
    if (store->hooks.close != NULL) store->hooks.close(store->hooks.context);
    free(store);
}

const char *tycho_store_path(const tycho_store *store) {
    return store == NULL ? "" : store->env->path;
}

int tycho_store_sync(tycho_store *store) {
    int status = tycho__store_check(store);
    if (status != TYCHO_OK || !store->env->can_write) return status;
    return tycho__env_sync(store->env);
}

int tycho_rules_version(tycho_store *store, uint64_t *version) {
    tycho__txn *txn;
    if (version == NULL) return tycho__fail(TYCHO_MISUSE, "no place to put the version");
    *version = 0;
    int status = tycho__store_check(store);
    if (status == TYCHO_OK) status = tycho__txn_read(store->env, &txn);
    if (status != TYCHO_OK) return status;
    *version = txn->state.rules;
    atomic_store(&store->env->rules, *version);
    tycho__txn_done(txn);
    return TYCHO_OK;
}

int tycho_store_set_hooks(tycho_store *store, const tycho_hooks *hooks) {
    int status = tycho__store_check(store);
    if (status != TYCHO_OK) return status;
    if (hooks == NULL || hooks->size != sizeof *hooks) {
        return tycho__fail(TYCHO_MISUSE, "the hooks have a size that this library does not know");
    }
    bool reads = hooks->hold != NULL;
    if ((hooks->release != NULL) != reads || (hooks->former != NULL) != reads ||
        (hooks->read != NULL) != reads) {
        return tycho__fail(TYCHO_MISUSE, "hooks for reading are set together or not at all");
    }
    store->hooks = *hooks;
    return TYCHO_OK;
}

void *tycho_store_hook_context(const tycho_store *store,
                               int (*expand)(void *context, tycho_store *store, uint64_t rules,
                                             tycho_batch *batch)) {
    bool is_it = store != NULL && expand != NULL && store->hooks.expand == expand;
    return is_it ? store->hooks.context : NULL;
}

/* ---------------------------------------------------------------- point queries */

/* Begins to read for a public function. */
static int begin(tycho_store *store, tycho__txn **txn) {
    *txn = NULL;
    int status = tycho__store_check(store);
    return status == TYCHO_OK ? tycho__txn_read(store->env, txn) : status;
}

static int no_place(void) {
    return tycho__fail(TYCHO_MISUSE, "no place to put the result");
}

int tycho_head(tycho_store *store, uint64_t *position) {
    tycho__txn *txn;
    if (position == NULL) return no_place();
    int status = begin(store, &txn);
    if (status == TYCHO_OK) *position = txn->state.head;
    tycho__txn_done(txn);
    return status;
}

static int find_event(tycho__txn *txn, tycho_bytes event_id, uint64_t *position) {
    tycho__id id;
    int status = tycho__check_id(event_id, "event id");
    if (status != TYCHO_OK) return status;
    tycho__id_pack(&id, event_id);
    return tycho__event_find(txn, &id, position);
}

int tycho_event_position(tycho_store *store, tycho_bytes event_id, uint64_t *position) {
    tycho__txn *txn;
    if (position == NULL) return no_place();
    int status = begin(store, &txn);
    if (status == TYCHO_OK) status = find_event(txn, event_id, position);
    tycho__txn_done(txn);
    return status;
}

/* The stream that a name leads to, as a list; empty when there is none. */
static int open_stream(tycho__txn *txn, tycho_bytes name, uint32_t flags, tycho__list *stream) {
    tycho__name resolved;
    if ((flags & ~(uint32_t)TYCHO_RAW) != 0) {
        return tycho__fail(TYCHO_MISUSE, "a look-up does not know flag 0x%x", flags);
    }
    int status = tycho__check_name(name, "stream");
    if (status == TYCHO_OK) {
        status = tycho__resolve(txn, name, (flags & TYCHO_RAW) != 0, &resolved);
    }
    if (status != TYCHO_OK) return status;
    return tycho__list_open(txn, TYCHO__STREAM, tycho__name_bytes(&resolved), stream);
}

int tycho_event_revision(tycho_store *store, tycho_bytes event_id, tycho_bytes stream,
                         uint32_t flags, int64_t *revision) {
    tycho__txn *txn;
    tycho__list list;
    tycho__event_view event;
    tycho__entry entry;
    uint64_t position = 0;
    if (revision == NULL) return no_place();
    int status = begin(store, &txn);
    if (status == TYCHO_OK) status = open_stream(txn, stream, flags, &list);
    if (status == TYCHO_OK) status = find_event(txn, event_id, &position);
    if (status == TYCHO_OK) status = tycho__event_load(txn, position, &event);
    if (status == TYCHO_OK) status = tycho__entry_find(txn, &list, &event, &entry);
    if (status == TYCHO_OK) *revision = (int64_t)entry.ordinal;
    tycho__txn_done(txn);
    if (status != TYCHO_NOT_FOUND) return status;
    return tycho__fail(TYCHO_ENTRY_NOT_FOUND, "the stream \"%.*s\" does not have the event %.*s",
                       (int)stream.size, (const char *)stream.data, (int)event_id.size,
                       (const char *)event_id.data);
}

int tycho_stream_version(tycho_store *store, tycho_bytes stream, uint32_t flags,
                         int64_t *revision) {
    tycho__txn *txn;
    tycho__list list;
    if (revision == NULL) return no_place();
    int status = begin(store, &txn);
    if (status == TYCHO_OK) status = open_stream(txn, stream, flags, &list);
    if (status == TYCHO_OK) *revision = (int64_t)list.next - 1;
    tycho__txn_done(txn);
    return status;
}

int tycho_route_resolve(tycho_store *store, tycho_bytes name, tycho_bytes *stream) {
    static _Thread_local tycho__name resolved;
    tycho__txn *txn;
    if (stream == NULL) return no_place();
    int status = begin(store, &txn);
    if (status == TYCHO_OK) status = tycho__check_name(name, "stream or route");
    if (status == TYCHO_OK) status = tycho__resolve(txn, name, false, &resolved);
    if (status == TYCHO_OK) *stream = tycho__name_bytes(&resolved);
    tycho__txn_done(txn);
    return status;
}

/* ---------------------------------------------------------------- waiting */

int tycho_wait(tycho_store *store, uint64_t position, int64_t timeout_ms, uint64_t *head) {
    bool is_endless = timeout_ms < 0 || timeout_ms > INT64_MAX / 2;
    int64_t deadline = is_endless ? INT64_MAX : tycho__monotonic_ms() + timeout_ms;
    if (head == NULL) return no_place();
    for (;;) {
        int status = tycho__store_check(store);
        if (status != TYCHO_OK) return status;
        tycho__mark mark = tycho__watch_mark(store->env);
        status = tycho_head(store, head);
        if (status != TYCHO_OK || *head > position) return status;
        int64_t left = deadline - tycho__monotonic_ms();
        if (left <= 0) {
            return tycho__fail(TYCHO_TIMEOUT, "no event beyond position %llu in %lld ms",
                               (unsigned long long)position, (long long)timeout_ms);
        }
        tycho__watch_sleep(store->env, mark, left);
    }
}

/* ---------------------------------------------------------------- statistics and backup */

int tycho_stats_get(tycho_store *store, tycho_stats *stats) {
    tycho__txn *txn;
    if (stats == NULL || stats->size != sizeof *stats) {
        return tycho__fail(TYCHO_MISUSE, "the statistics have a size that this library does not "
                                         "know");
    }
    int status = begin(store, &txn);
    if (status != TYCHO_OK) return status;
    const tycho__state *state = &txn->state;
    memset(stats, 0, sizeof *stats);
    stats->size = sizeof *stats;
    stats->format = state->format;
    stats->events = state->head;
    stats->sequence = state->sequence;
    stats->streams = state->streams;
    stats->types = state->names[TYCHO__TYPE];
    stats->tags = state->names[TYCHO__TAG];
    stats->links = state->links;
    stats->entries = state->entries;
    stats->rows = state->rows;
    stats->routes = state->routes;
    stats->dictionary = state->dictionary;
    tycho__txn_done(txn);
    tycho__writer_counts(store->env->writer, &stats->commits, &stats->commit_batches);
    return tycho__env_stats(store->env, stats);
}

static int fail_backup(const char *path) {
    return tycho__fail_path("the backup", path);
}

static int flush(const char *path, int flags) {
    int fd = open(path, flags | O_CLOEXEC);
    if (fd < 0) return fail_backup(path);
    int result = fsync(fd);
    int status = result == 0 ? TYCHO_OK : fail_backup(path);
    close(fd);
    return status;
}

/* LMDB makes the copy for everybody, as far as the umask lets it. A file system without modes, such
** as that of a memory stick, refuses, and has nothing to protect. */
static void withdraw_from_others(const char *file) {
    struct stat place;
    if (stat(file, &place) == 0) (void)!chmod(file, place.st_mode & 0660);
}

static int copy_flushed(tycho_store *store, const char *made, const char *file, const char *path) {
    int status = tycho__env_copy(store->env, made);
    withdraw_from_others(file);
    if (status == TYCHO_OK) status = flush(file, O_RDONLY);
    if (status == TYCHO_OK) status = flush(made, O_RDONLY | O_DIRECTORY);
    if (status == TYCHO_OK && rename(made, path) != 0) status = fail_backup(path);
    return status;
}

int tycho_backup(tycho_store *store, const char *given) {
    char path[PATH_MAX], made[PATH_MAX + 64], file[PATH_MAX + 80], parent[PATH_MAX + 4];
    struct stat place;
    int status = tycho__store_check(store);
    if (status == TYCHO_OK) status = tycho__trim_path(path, sizeof path, given);
    if (status != TYCHO_OK) return status;
    if (lstat(path, &place) == 0) {
        errno = EEXIST;
        return fail_backup(path);
    }
    snprintf(made, sizeof made, "%s.new-%ld", path, (long)getpid());
    snprintf(file, sizeof file, "%s/data.mdb", made);
    snprintf(parent, sizeof parent, "%s/..", path);
    if (mkdir(made, 0770) != 0) return fail_backup(made);
    status = copy_flushed(store, made, file, path);
    if (status != TYCHO_OK) {
        unlink(file);
        rmdir(made);
        return status;
    }
    return flush(parent, O_RDONLY | O_DIRECTORY);
}
