/* env.h - one LMDB environment per store and process, and its transactions.
**
** With env.c and txn.c the only place of the engine that knows LMDB. The registry finds the
** environment of a directory by device and inode, so that no process opens one twice (closing one
** of two wipes the reader slots of the other). After a fork the child's registry is empty and every
** handle of the parent answers TYCHO_FORKED.
**
** Read transactions are pooled: beginning one renews a finished one, which takes no lock; few are
** kept, because each holds one of the reader slots that all processes share. They are
** not bound to threads (MDB_NOTLS). For them LMDB only keeps the pages of their commit, which are
** read by place.h. The one write transaction is begun, used and ended by one
** thread, which holds the writer gate.
*/
#ifndef TYCHO__ENV_H
#define TYCHO__ENV_H

#include <pthread.h>
#include <stdatomic.h>

#include "disk.h"
#include "gate.h"
#include "table.h"

#define TYCHO__NO_TABLE UINT32_MAX /* of an older store that cannot be written */

enum tycho__kind { /* of names and lists; stored */
                   TYCHO__STREAM = 1,
                   TYCHO__TYPE = 2,
                   TYCHO__TAG = 3,
                   TYCHO__ROW_TABLE = 4,
                   TYCHO__CONTENT = 5,
                   TYCHO__KINDS = 6
};

/* The row "state" of the main table: read at the beginning of each transaction, written back by the
** commit. All counts are those of the whole store. */
typedef struct tycho__state {
    uint64_t format;
    uint64_t head;       /* last position */
    uint64_t sequence;   /* batches committed */
    uint64_t links_made; /* ever; numbers links in their order */
    uint64_t links;
    uint64_t entries; /* of streams, links included */
    uint64_t streams; /* with entries */
    uint64_t rows;
    uint64_t routes;
    uint64_t deletions; /* of streams; what is remembered of names holds for one value of it */
    uint64_t names[TYCHO__KINDS]; /* numbers given per kind: 1 .. names[kind] */
    uint64_t garbage;             /* deleted streams that are not swept yet */
    uint64_t rules;               /* version of the deployed scripts; 0: none */
    uint64_t settled;             /* events up to this position are in the indexes (recent.h) */
    uint64_t links_settled;       /* links up to this number are */
    uint64_t settlements;         /* how often any of these was moved */
    uint64_t recent_size;         /* bytes of the records behind what is settled or being settled */
    uint64_t tokens;              /* of locks, reserved so far: none above was ever given */
    uint64_t scripts;             /* deployed */
    uint64_t settling;            /* so many events behind `settled` are being settled */
    uint64_t links_settling;      /* and so many links */
    uint64_t moved_kind;          /* how far that is: they are in the tables up to this kind */
    uint64_t moved_number;        /* and number */
    uint64_t commit;              /* LMDB's number of the transaction that wrote this; 0: unknown */
    uint32_t dictionary;          /* that compresses; 0: none (dictionary.h) */
    uint32_t dictionaries;        /* numbers given to them */
    uint64_t checksum;
} tycho__state;

typedef struct tycho__env tycho__env;
typedef struct tycho__txn tycho__txn;
struct MDB_txn;           /* LMDB */
struct tycho__writer;     /* commit.c */
struct tycho__generation; /* generation.h */
struct tycho__pending;    /* pending.h */
struct tycho__watch;      /* watch.c */
struct tycho__locks;      /* lock.c */
struct tycho__digests;    /* dictionary.c */
struct tycho__guard;      /* guard.h */
struct tycho__guarded;

typedef struct tycho__type_name {
    uint8_t size;
    char bytes[];
} tycho__type_name;

enum { TYCHO__TYPE_CACHE = 4096, TYCHO__POOL = 8 };
#define TYCHO__UNSEEN UINT64_MAX

struct tycho__env {
    struct MDB_env *mdb;
    unsigned tables[TYCHO__TABLES]; /* or TYCHO__NO_TABLE, which reads as an empty one */
    tycho__gate gate;
    tycho__disk disk;       /* of the writer */
    char *path;             /* absolute */
    uint64_t device, inode; /* of data.mdb */
    unsigned handles;
    unsigned fork_count; /* of the process that opened it */
    bool can_write;
    bool is_unsynced;          /* LMDB's own flag, which only the writer sets */
    atomic_bool is_committing; /* this process is at a durable commit */
    atomic_bool is_broken;     /* a commit failed such that LMDB must be reopened */
    uint64_t map_size;
    pthread_mutex_t pool_mutex;
    tycho__txn *pool[TYCHO__POOL];
    unsigned pool_count;
    _Atomic(tycho__type_name *) type_names[TYCHO__TYPE_CACHE];
    struct tycho__writer *writer;
    struct tycho__watch *watch;
    struct tycho__locks *locks;
    _Atomic uint64_t rules;                   /* as last seen; TYCHO__UNSEEN: not yet */
    struct tycho__lists *kept_lists;          /* of the last commit (list_memory.c) */
    uint64_t kept_sequence, kept_settlements; /* of the state that they go with */
    pthread_mutex_t recent_mutex;             /* of the pointers */
    struct tycho__generation *generations[2]; /* recent.c: the one being settled, the newest */
    atomic_size_t recent_slots;               /* of the tables of the next one, a power of 2 */
    atomic_size_t recent_ways;                /* the same of its links; 0: there were none */
    struct tycho__digests *digests;           /* dictionary.c */
    struct tycho__guard *guard;
    struct tycho__guarded *guarded;           /* of who writes, in a large store; else NULL */
    tycho__env *next;                         /* in the registry */
};

/* Finds or opens the environment of a directory; see tycho_store_open(). Each get takes a put. */
int tycho__env_get(const char *path, const tycho_options *options, tycho__env **env);
void tycho__env_put(tycho__env *env);

/* Whether there is one handle of it left. */
bool tycho__env_is_last(tycho__env *env);

/* TYCHO_FORKED unless the environment belongs to this process. */
int tycho__env_check(const tycho__env *env);

int tycho__env_sync(tycho__env *env);
/* Writes a compacted copy into the existing directory `path`. */
int tycho__env_copy(tycho__env *env, const char *path);
/* Fills the fields of `stats` that LMDB knows. */
int tycho__env_stats(tycho__env *env, tycho_stats *stats);
/* Frees the reader slots of dead processes. */
void tycho__env_clear_readers(tycho__env *env);

/* Begins LMDB's write transaction: one that this commits, another that disk.h knows of, so that no
** meta page is written without its seal. The error is LMDB's. */
int tycho__mdb_begin(tycho__env *env, uint32_t sync, struct MDB_txn **txn);
int tycho__mdb_commit(tycho__env *env, struct MDB_txn *txn);
void tycho__mdb_abort(tycho__env *env, struct MDB_txn *txn);

/* ---------------------------------------------------------------- transactions (txn.c) */

struct tycho__lists; /* list_memory.c: those that a write transaction has in memory */

struct tycho__txn {
    tycho__env *env;
    struct MDB_txn *mdb;
    struct MDB_cursor *cursors[TYCHO__TABLES]; /* of who writes; opened when first used */
    bool is_write;
    uint32_t dictionary; /* that compresses what it writes; 0: none */
    bool is_changed; /* something was written: the transaction cannot go on after a refusal */
    tycho__state state;
    struct tycho__lists *lists;
    struct tycho__generation *generations[2]; /* what is not settled (recent.c) */
    bool has_generations;                     /* they were asked for */
    struct tycho__generation *shared; /* of a write transaction: where an abort has to take out */
    uint32_t held;                    /* so many additions since that was locked; 0: it is not */
    struct tycho__pending *pending;   /* links that are not written yet */
    struct tycho__guarded *guarded;   /* what it reads; of who writes: env's, or NULL */
};

/* BUSY when all reader slots are taken. */
int tycho__txn_read(tycho__env *env, tycho__txn **txn);
/* The number of the commit that it sees. */
uint64_t tycho__txn_number(const tycho__txn *txn);
/* Renews a read transaction in place: it then sees the present. */
int tycho__txn_renew(tycho__txn *txn);
/* Ends a read transaction; NULL is fine. */
void tycho__txn_done(tycho__txn *txn);

/* Only commit.c and env.c write. `sync` is enum tycho_sync. After an error of commit the
** transaction is gone, as after abort. */
int tycho__txn_write(tycho__env *env, uint32_t sync, tycho__txn *txn);
int tycho__txn_commit(tycho__txn *txn);
void tycho__txn_abort(tycho__txn *txn);

/* Point operations. Values are views good until the next write or the end. `get` and `remove`
** answer TYCHO_NOT_FOUND without a sentence. `insert` answers TYCHO_DUPLICATE_EVENT, without one,
** when the key is there. */
int tycho__get(tycho__txn *txn, tycho__table table, tycho_bytes key, tycho_bytes *value);
int tycho__put(tycho__txn *txn, tycho__table table, tycho_bytes key, tycho_bytes value);
/* The same, cheaper when the key is behind all others, which it mostly is. */
int tycho__put_behind(tycho__txn *txn, tycho__table table, tycho_bytes key, tycho_bytes value);
int tycho__insert(tycho__txn *txn, tycho__table table, tycho_bytes key, tycho_bytes value);
int tycho__remove(tycho__txn *txn, tycho__table table, tycho_bytes key);
/* Appends an event's record of `size` bytes, to be filled through `to` before the next call. */
int tycho__append(tycho__txn *txn, uint64_t position, size_t size, uint8_t **to);
int tycho__get_event(tycho__txn *txn, uint64_t position, tycho_bytes *record);
/* The same for the position behind the one that was got last, where that costs next to nothing;
** false: it does not, or it is not there. */
bool tycho__event_behind(tycho__txn *txn, uint64_t position, tycho_bytes *record);
int tycho__put_event(tycho__txn *txn, uint64_t position, size_t size, uint8_t **to);

/* Finds the nodes of events that are about to be read, in a read transaction, and asks for their
** memory. NULL where that does not lead to a node: tycho__get_event() says why. */
enum { TYCHO__AHEAD = 64 };
void tycho__events_ahead(tycho__txn *txn, const uint64_t *positions, uint32_t count,
                         const uint8_t **nodes);
/* The record in a node; false when it is not that of the position, or not in the node. */
bool tycho__ahead_record(const uint8_t *node, uint64_t position, tycho_bytes *record);

/* Walking a table, with the transaction's one cursor for it: `seek` goes to the first key that is
** not less, `seek_back` to the last that is not greater, and the others from there. TYCHO_NOT_FOUND
** at either end. */
int tycho__seek(tycho__txn *txn, tycho__table table, tycho_bytes *key, tycho_bytes *value);
int tycho__seek_back(tycho__txn *txn, tycho__table table, tycho_bytes *key, tycho_bytes *value);
int tycho__next(tycho__txn *txn, tycho__table table, tycho_bytes *key, tycho_bytes *value);
int tycho__previous(tycho__txn *txn, tycho__table table, tycho_bytes *key, tycho_bytes *value);
int tycho__last(tycho__txn *txn, tycho__table table, tycho_bytes *key, tycho_bytes *value);

/* How many rows a table has. */
int tycho__row_count(tycho__txn *txn, tycho__table table, uint64_t *count);

/* For env.c: where LMDB has the file. Good as long as the environment. */
int tycho__map_base(tycho__env *env, uint32_t *page_size, const uint8_t **base);

/* For env.c: the read transactions that are not in use. */
void tycho__pool_clear(tycho__env *env);
/* The status of an error of LMDB, with a sentence. */
int tycho__mdb_fail(tycho__env *env, int error, const char *what);
/* For env.c: writes the state row. */
int tycho__state_write(tycho__txn *txn);

#endif
