/* lock_table.c - slots, tickets and tokens in shared memory; see lock_table.h.
**
** All is words, read and written as atomics; the processes may be of different versions, so a
** change of layout takes another MAGIC. The life of a hold slot, by its token:
**
**     0 --(claim)--> token --(clear)--> 0          the owner; `ready` = token once the facts are in
**                      |
**                      +--(claim of the same hash, by who has the byte now)--> its token
**                      +--(sweep: nobody has the byte)--> SWEPT --> 0
**
** A slot whose claimer was killed within the few instructions before its hash was written is lost
** until the table is made anew.
*/
#include "lock_table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_NAME "lock_table"
#define MAGIC 0x314b434f4c594354u /* "TCYLOCK1" */
#define SWEPT UINT64_MAX
#define NO_HASH UINT64_MAX

enum {
    SLOTS = TYCHO_LOCKS_MAX,
    BUCKETS = 64,
    BOOT_SIZE = 40,
    PASSED_OVER_MS = 150,
    GIVEN_UP_MS = 1000,
    HOLD_WORDS = sizeof(tycho__hold) / 8
};
_Static_assert(sizeof(tycho__hold) % 8 == 0, "a hold is whole words");

struct facts {
    _Atomic uint64_t ready; /* the token that the words go with */
    _Atomic uint64_t words[HOLD_WORDS];
};

struct bucket {
    _Atomic uint32_t releases;
    _Atomic uint32_t waiters;
};

struct tycho__lock_pages {
    _Atomic uint64_t magic; /* written last */
    char boot[BOOT_SIZE];
    uint64_t device, inode; /* of this file */
    _Atomic uint64_t next_token, reserved_tokens, next_ticket;
    _Atomic uint32_t holds_end, waits_end; /* slots from here on were never used */
    struct bucket buckets[BUCKETS];
    _Atomic uint64_t hold_token[SLOTS], hold_hash[SLOTS];
    /* A ticket is its number times BUCKETS, plus the bucket: who gives it up must know that. */
    _Atomic uint64_t ticket[SLOTS], wait_hash[SLOTS], heartbeat[SLOTS], wait_owner[SLOTS];
    struct facts facts[SLOTS];
};
typedef struct tycho__lock_pages words;

#define LOAD(place) atomic_load_explicit(&(place), memory_order_acquire)
#define STORE(place, value) atomic_store_explicit(&(place), (value), memory_order_release)

/* ---------------------------------------------------------------- the file */

/* The name that the kernel gave to this run of the machine. */
static int read_boot(char boot[BOOT_SIZE]) {
    static const char *const path = "/proc/sys/kernel/random/boot_id";
    memset(boot, 0, BOOT_SIZE);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : read(fd, boot, BOOT_SIZE - 1);
    int error = errno;
    if (fd >= 0) close(fd);
    if (size > 0) return TYCHO_OK;
    return tycho__fail(TYCHO_IO, "locks need %s: %s", path, size < 0 ? strerror(error) : "empty");
}

static bool is_valid(const words *pages, const char *boot, const struct stat *file) {
    return LOAD(pages->magic) == MAGIC && memcmp(pages->boot, boot, BOOT_SIZE) == 0 &&
           pages->device == file->st_dev && pages->inode == file->st_ino;
}

/* Makes an empty table of whatever was there. The caller has byte 2. */
static int format(tycho__env *env, words *pages, const char *boot, const struct stat *file) {
    tycho__txn *txn;
    int status = tycho__txn_read(env, &txn);
    if (status != TYCHO_OK) return status;
    uint64_t tokens = txn->state.tokens;
    tycho__txn_done(txn);
    memset((void *)pages, 0, sizeof *pages);
    memcpy(pages->boot, boot, BOOT_SIZE);
    pages->device = file->st_dev;
    pages->inode = file->st_ino;
    for (int i = 0; i < SLOTS; i++) STORE(pages->hold_hash[i], NO_HASH);
    STORE(pages->next_token, tokens + 1);
    STORE(pages->reserved_tokens, tokens);
    STORE(pages->magic, MAGIC);
    return TYCHO_OK;
}

/* Maps the file, and puts whether it has to be made anew; NULL when it has, but must not be. */
static int map_file(int fd, bool may_make, struct stat *file, words **pages, bool *is_new) {
    *pages = NULL;
    if (fstat(fd, file) != 0) return tycho__gate_fail(FILE_NAME);
    bool is_short = file->st_size < (off_t)sizeof **pages;
    if (is_short && !may_make) return TYCHO_OK;
    errno = may_make ? posix_fallocate(fd, 0, sizeof **pages) : 0;
    if (errno != 0) return tycho__gate_fail(FILE_NAME);
    void *map = mmap(NULL, sizeof **pages, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) return tycho__gate_fail(FILE_NAME);
    *pages = map;
    *is_new = *is_new || is_short;
    return TYCHO_OK;
}

static int open_in_lock(tycho__env *env, int fd, bool may_make, tycho__lock_table *table) {
    char boot[BOOT_SIZE];
    struct stat file;
    bool is_new = false;
    int status = read_boot(boot);
    if (status == TYCHO_OK) status = map_file(fd, may_make, &file, &table->pages, &is_new);
    if (status != TYCHO_OK || table->pages == NULL) return status;
    table->device = file.st_dev;
    table->inode = file.st_ino;
    is_new = is_new || !is_valid(table->pages, boot, &file);
    if (!is_new) return TYCHO_OK;
    if (may_make) return format(env, table->pages, boot, &file);
    munmap((void *)table->pages, sizeof *table->pages);
    table->pages = NULL;
    return TYCHO_OK;
}

int tycho__lock_table_open(tycho__env *env, bool may_make, tycho__lock_table **out) {
    tycho__gate *gate = &env->gate;
    *out = NULL;
    tycho__lock_table *table = calloc(1, sizeof *table);
    if (table == NULL) return tycho__fail(TYCHO_NO_MEMORY, "no memory for locks");
    int status = tycho__gate_lock_table(gate);
    if (status == TYCHO_OK) {
        int fd = tycho__open_file(gate->directory_fd, FILE_NAME, may_make ? O_CREAT : 0);
        bool is_absent = fd < 0 && errno == ENOENT && !may_make;
        if (fd < 0 && !is_absent) status = tycho__gate_fail(FILE_NAME);
        if (fd >= 0) status = open_in_lock(env, fd, may_make, table);
        if (fd >= 0) close(fd);
        tycho__gate_unlock_table(gate);
    }
    if (status == TYCHO_OK && table->pages != NULL) {
        *out = table;
    } else {
        tycho__lock_table_close(table);
    }
    return status;
}

void tycho__lock_table_close(tycho__lock_table *table) {
    if (table == NULL) return;
    if (table->pages != NULL) munmap((void *)table->pages, sizeof *table->pages);
    free(table);
}

bool tycho__lock_table_is_current(const tycho__lock_table *table, const tycho__env *env) {
    struct stat file;
    return fstatat(env->gate.directory_fd, FILE_NAME, &file, AT_SYMLINK_NOFOLLOW) == 0 &&
           file.st_dev == table->device && file.st_ino == table->inode;
}

/* ---------------------------------------------------------------- tokens */

bool tycho__lock_table_has_tokens(const tycho__lock_table *table) {
    return LOAD(table->pages->next_token) <= LOAD(table->pages->reserved_tokens);
}

uint64_t tycho__lock_table_take_token(tycho__lock_table *table) {
    if (!tycho__lock_table_has_tokens(table)) return 0;
    uint64_t token = atomic_fetch_add(&table->pages->next_token, 1);
    return token <= LOAD(table->pages->reserved_tokens) ? token : 0;
}

uint64_t tycho__lock_table_next_token(const tycho__lock_table *table) {
    return LOAD(table->pages->next_token);
}

static void raise64(_Atomic uint64_t *word, uint64_t value) {
    uint64_t now = atomic_load(word);
    while (now < value && !atomic_compare_exchange_weak(word, &now, value)) continue;
}

static void raise32(_Atomic uint32_t *word, uint32_t value) {
    uint32_t now = atomic_load(word);
    while (now < value && !atomic_compare_exchange_weak(word, &now, value)) continue;
}

void tycho__lock_table_set_reserved(tycho__lock_table *table, uint64_t tokens) {
    raise64(&table->pages->reserved_tokens, tokens);
}

/* ---------------------------------------------------------------- holds */

static void write_facts(struct facts *facts, uint64_t token, const tycho__hold *hold) {
    uint64_t copy[HOLD_WORDS];
    memcpy(copy, hold, sizeof copy);
    for (int i = 0; i < HOLD_WORDS; i++) STORE(facts->words[i], copy[i]);
    STORE(facts->ready, token);
}

/* A slot of the same hash that a dead owner left, or a free one; it has the token then. */
static uint32_t claim_slot(words *pages, uint64_t hash, uint64_t token) {
    uint32_t end = LOAD(pages->holds_end);
    for (uint32_t i = 0; i < end; i++) {
        if (LOAD(pages->hold_hash[i]) != hash) continue;
        uint64_t stale = LOAD(pages->hold_token[i]);
        bool is_left = stale != 0 && stale != SWEPT;
        if (is_left && atomic_compare_exchange_strong(&pages->hold_token[i], &stale, token)) {
            return i;
        }
    }
    for (uint32_t i = 0; i < SLOTS; i++) {
        uint64_t none = 0;
        if (LOAD(pages->hold_token[i]) != 0) continue;
        if (atomic_compare_exchange_strong(&pages->hold_token[i], &none, token)) return i;
    }
    return TYCHO__NO_SLOT;
}

uint32_t tycho__lock_table_claim(tycho__lock_table *table, uint64_t hash, uint64_t token,
                                 const tycho__hold *hold) {
    words *pages = table->pages;
    assert(token != 0 && token != SWEPT && hash != NO_HASH);
    uint32_t slot = claim_slot(pages, hash, token);
    if (slot == TYCHO__NO_SLOT) return slot;
    raise32(&pages->holds_end, slot + 1);
    STORE(pages->hold_hash[slot], hash);
    write_facts(&pages->facts[slot], token, hold);
    return slot;
}

void tycho__lock_table_clear(tycho__lock_table *table, uint32_t slot, uint64_t token) {
    assert(slot < SLOTS);
    words *pages = table->pages;
    if (LOAD(pages->hold_token[slot]) != token) return;
    STORE(pages->hold_hash[slot], NO_HASH); /* before others can claim it, for claim_slot() */
    atomic_compare_exchange_strong(&pages->hold_token[slot], &token, 0);
}

void tycho__lock_table_sweep(tycho__lock_table *table, uint32_t slot, uint64_t token) {
    words *pages = table->pages;
    bool is_mine = atomic_compare_exchange_strong(&pages->hold_token[slot], &token, SWEPT);
    if (!is_mine && token != SWEPT) return;
    uint64_t swept = SWEPT;
    STORE(pages->hold_hash[slot], NO_HASH);
    atomic_compare_exchange_strong(&pages->hold_token[slot], &swept, 0);
}

uint32_t tycho__lock_table_next(const tycho__lock_table *table, uint32_t slot, uint64_t *hash,
                                uint64_t *token) {
    const words *pages = table->pages;
    uint32_t end = LOAD(pages->holds_end);
    for (; slot < end; slot++) {
        *token = LOAD(pages->hold_token[slot]);
        *hash = LOAD(pages->hold_hash[slot]);
        bool is_begun = *hash == NO_HASH && LOAD(pages->facts[slot].ready) != *token;
        if (*token != 0 && !is_begun) return slot;
    }
    return TYCHO__NO_SLOT;
}

bool tycho__lock_table_read(const tycho__lock_table *table, uint32_t slot, uint64_t token,
                            tycho__hold *hold) {
    const struct facts *facts = &table->pages->facts[slot];
    uint64_t copy[HOLD_WORDS];
    if (LOAD(facts->ready) != token) return false;
    for (int i = 0; i < HOLD_WORDS; i++) copy[i] = LOAD(facts->words[i]);
    memcpy(hold, copy, sizeof copy);
    hold->name[TYCHO_NAME_MAX] = hold->host[sizeof hold->host - 1] = '\0';
    return LOAD(table->pages->hold_token[slot]) == token && LOAD(facts->ready) == token;
}

uint32_t tycho__lock_table_find(const tycho__lock_table *table, uint64_t hash, uint64_t *token) {
    const words *pages = table->pages;
    uint32_t end = LOAD(pages->holds_end);
    for (uint32_t i = 0; i < end; i++) {
        if (LOAD(pages->hold_hash[i]) != hash) continue;
        *token = LOAD(pages->hold_token[i]);
        if (*token != 0 && *token != SWEPT) return i;
    }
    return TYCHO__NO_SLOT;
}

/* ---------------------------------------------------------------- waits */

static struct bucket *bucket_of(const tycho__lock_table *table, uint64_t hash) {
    return &table->pages->buckets[hash % BUCKETS];
}

static uint64_t pack_owner(tycho__owner owner) {
    return (uint64_t)owner.pid << 32 | owner.thread;
}

/* How long ago the waiter of a slot said that it lives. A time of the future is none. */
static int64_t silence(const words *pages, uint32_t slot, int64_t now) {
    int64_t heartbeat = (int64_t)LOAD(pages->heartbeat[slot]);
    return heartbeat > now + GIVEN_UP_MS ? GIVEN_UP_MS + 1 : now - heartbeat;
}

/* Gives up a place in the row, unless somebody was faster. */
static void give_up(words *pages, uint32_t slot, uint64_t ticket) {
    uint64_t bucket = ticket % BUCKETS;
    if (!atomic_compare_exchange_strong(&pages->ticket[slot], &ticket, 0)) return;
    atomic_fetch_sub(&pages->buckets[bucket].waiters, 1);
}

uint32_t tycho__lock_table_waiters(const tycho__lock_table *table, uint64_t hash) {
    const words *pages = table->pages;
    if (atomic_load(&bucket_of(table, hash)->waiters) == 0) return 0;
    uint32_t count = 0, end = LOAD(pages->waits_end);
    int64_t now = tycho__monotonic_ms();
    for (uint32_t i = 0; i < end; i++) {
        bool is_live = LOAD(pages->ticket[i]) != 0 && LOAD(pages->wait_hash[i]) == hash &&
                       silence(pages, i, now) <= PASSED_OVER_MS;
        if (is_live) count++;
    }
    return count;
}

bool tycho__lock_table_is_awaited(const tycho__lock_table *table, uint64_t hash) {
    return tycho__lock_table_waiters(table, hash) > 0;
}

/* Frees the slots of all who are given up, whatever they wait for. */
static void sweep_waits(words *pages) {
    int64_t now = tycho__monotonic_ms();
    for (uint32_t i = 0; i < SLOTS; i++) {
        uint64_t ticket = LOAD(pages->ticket[i]);
        if (ticket != 0 && silence(pages, i, now) > GIVEN_UP_MS) give_up(pages, i, ticket);
    }
}

static bool claim_wait(tycho__waiter *waiter) {
    words *pages = waiter->table->pages;
    for (uint32_t i = 0; i < SLOTS; i++) {
        uint64_t none = 0;
        if (LOAD(pages->ticket[i]) != 0) continue;
        if (!atomic_compare_exchange_strong(&pages->ticket[i], &none, waiter->ticket)) continue;
        STORE(pages->heartbeat[i], (uint64_t)tycho__monotonic_ms());
        STORE(pages->wait_hash[i], waiter->hash);
        STORE(pages->wait_owner[i], pack_owner(waiter->owner));
        raise32(&pages->waits_end, i + 1);
        waiter->slot = i;
        return true;
    }
    return false;
}

int tycho__waiter_queue(tycho__waiter *waiter) {
    words *pages = waiter->table->pages;
    struct bucket *bucket = bucket_of(waiter->table, waiter->hash);
    atomic_fetch_add(&bucket->waiters, 1); /* first: one too many costs a call, too few a delay */
    uint64_t number = atomic_fetch_add(&pages->next_ticket, 1) + 1;
    waiter->ticket = number * BUCKETS + waiter->hash % BUCKETS;
    bool is_queued = claim_wait(waiter);
    if (!is_queued) {
        sweep_waits(pages);
        is_queued = claim_wait(waiter);
    }
    if (is_queued) return TYCHO_OK;
    atomic_fetch_sub(&bucket->waiters, 1);
    waiter->ticket = 0;
    return tycho__fail(TYCHO_TOO_LARGE, "%d threads wait for locks already", SLOTS);
}

int tycho__waiter_look(tycho__waiter *waiter, bool *is_first) {
    words *pages = waiter->table->pages;
    *is_first = false;
    if (LOAD(pages->ticket[waiter->slot]) != waiter->ticket) {
        int status = tycho__waiter_queue(waiter);
        if (status != TYCHO_OK) return status;
    }
    int64_t now = tycho__monotonic_ms();
    uint32_t end = LOAD(pages->waits_end);
    STORE(pages->heartbeat[waiter->slot], (uint64_t)now);
    for (uint32_t i = 0; i < end; i++) {
        uint64_t ticket = LOAD(pages->ticket[i]);
        if (ticket == 0 || ticket >= waiter->ticket) continue;
        if (LOAD(pages->wait_hash[i]) != waiter->hash) continue;
        int64_t silent = silence(pages, i, now);
        if (silent <= PASSED_OVER_MS) return TYCHO_OK;
        if (silent > GIVEN_UP_MS) give_up(pages, i, ticket);
    }
    *is_first = true;
    return TYCHO_OK;
}

void tycho__waiter_leave(tycho__waiter *waiter) {
    if (waiter->ticket == 0) return;
    give_up(waiter->table->pages, waiter->slot, waiter->ticket);
    waiter->ticket = 0;
}

uint32_t tycho__waiter_releases(const tycho__waiter *waiter) {
    return atomic_load(&bucket_of(waiter->table, waiter->hash)->releases);
}

void tycho__waiter_sleep(const tycho__waiter *waiter, uint32_t releases, int64_t timeout_ms) {
    struct bucket *bucket = bucket_of(waiter->table, waiter->hash);
    tycho__futex_sleep(&bucket->releases, releases, timeout_ms);
}

void tycho__lock_table_wake(tycho__lock_table *table, uint64_t hash) {
    struct bucket *bucket = bucket_of(table, hash);
    atomic_fetch_add(&bucket->releases, 1);
    tycho__futex_wake_all(&bucket->releases, &bucket->waiters);
}

bool tycho__lock_table_wait_of(const tycho__lock_table *table, tycho__owner owner, uint64_t *hash) {
    const words *pages = table->pages;
    uint32_t end = LOAD(pages->waits_end);
    for (uint32_t i = 0; i < end; i++) {
        if (LOAD(pages->ticket[i]) == 0) continue;
        if (LOAD(pages->wait_owner[i]) != pack_owner(owner)) continue;
        *hash = LOAD(pages->wait_hash[i]);
        return true;
    }
    return false;
}
