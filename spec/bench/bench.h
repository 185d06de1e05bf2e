/* bench.h - what the files of the bench share.
**
**   bench.c     the program: settings, the list of families, the directory of the stores
**   report.c    figures, their targets, the table, JSON, the comparison with an older run
**   machine.c   what the run ran on; running other programs and watching their memory
**   workload.c  the events that are written, and stores filled with them
**   raw.c       LMDB alone: the limit that everything is compared to
**   crowd.c     many clients at once
**   limits.c append.c commit.c threads.c decision.c read.c sizes.c program.c index.c link.c
**   follow.c lock.c rename.c scripts.c model.c backfill.c compress.c   the families
**   peers.h     the family of the peers, which has files of its own
**
** A figure is a list of samples, one a round. What is compared is measured in turns (A, B, A, B
** ...), so that a busy machine slows both; a ratio is taken round by round, and its median is what
** a target is held against. Whatever goes wrong ends the run with one line.
*/
#ifndef TYCHO_BENCH_H
#define TYCHO_BENCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <lmdb.h>

#include "tycho.h"

enum { SIZES_MAX = 4 };

typedef struct bench {
    const char *root;     /* build/bench: the stores are below it */
    const char *directory; /* root/run-PID, removed at the end */
    const char *json;     /* the results go there */
    const char *base;     /* results of an older run, or NULL */
    const char *only;     /* names of families with commas, or NULL for all */
    const char *command;  /* ./tycho */
    const char *lua;      /* the interpreter of the scripts */
    const char *loans;    /* real events to import */
    const char *peers;    /* packages of peers, as .ci/peers installs them */
    const char *without;  /* names of peers with commas, or NULL */
    bool full;
    bool realtime; /* other programs do not delay what is measured */
    uint32_t rounds;
    uint32_t settle; /* seconds to wait for the disk, in all */
    uint64_t small; /* events in the small stores */
    uint64_t big;   /* ... and in the big ones */
    uint64_t sizes[SIZES_MAX]; /* ... and in those that show how it goes with the size */
    size_t size_count;
} bench;

/* Ends the run with "bench: what: why"; the others unless `status` is 0. */
_Noreturn void bench_fail(const char *what, const char *why);
void bench_need(int status, const char *what);          /* a status of Tycho */
void bench_need_lmdb(int status, const char *what);     /* a status of LMDB */
void bench_need_system(bool is_done, const char *what); /* else errno */
/* Whether the list, with commas (or NULL: empty), has the name. */
bool bench_has_name(const char *names, const char *name);
void bench_progress(const char *what);
double bench_seconds(void); /* of a clock that only rises */
/* root/run-PID/name, good until the next call. */
const char *bench_path(const bench *run, const char *name);
void bench_remove(const char *path); /* with all that is below */
/* Numbers that look random and are the same in every run. */
uint64_t bench_random(uint64_t *state);

/* ---- report.c: figures are found by their name and made by their first sample */

/* Figures made from now on are below this title; gives the one before. */
const char *report_section(const char *title);
void report_value(const char *name, const char *unit, double value);
/* A name that is made from parts, good for the run. */
const char *report_name(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A figure that is `over` / `under`, sample by sample. */
void report_ratio(const char *name, const char *over, const char *under);
/* A figure that is the most of these, sample by sample; the list ends with NULL. */
void report_best(const char *name, const char *const *others);
/* The samples that a script printed to a file, as lines "name <tab> unit <tab> value". */
void report_samples(const char *path);
void report_at_least(const char *name, double target);
void report_at_most(const char *name, double target);
/* Says why there is nothing, where there is nothing. */
void report_skip(const char *name, const char *reason);
/* Reads the results of an older run; the run ends when there are none. */
void report_load_base(const char *path);
void report_print(void);
void report_write(const bench *run);
void report_setting(const char *name, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The median, and the value that `share` of them are below; both sort `values`. */
double report_quantile(double *values, size_t count, double share);

/* ---- machine.c */

void machine_describe(const bench *run);
void machine_load(const char *name);
/* Waits while a flush takes much longer than it did, run->settle seconds in a run at most: where
** other programs keep the processors busy, whoever waits for the disk is woken milliseconds late,
** and then all that is durable looks the same. Called before each round of durable work;
** --realtime avoids it. */
void machine_settle(const bench *run);
typedef struct machine_memory {
    double private_bytes;   /* Private_* of smaps_rollup: clean pages of the map count, too */
    double anonymous_bytes; /* heap and stacks: what the system could not drop */
} machine_memory;
/* Runs a program to its end, its output going to `output` (NULL: nowhere). Gives its exit code, and
** the most memory it was seen with where `peak` is not NULL. */
int machine_run(char *const arguments[], const char *output, machine_memory *peak);
/* Starts a program; all that it says goes to `output`. */
pid_t machine_start(char *const arguments[], const char *output);

/* What this process did to its files since it began. */
typedef struct machine_io {
    uint64_t syncs; /* calls of fdatasync, and writes that are synced themselves */
    uint64_t writes; /* calls of pwrite and writev */
    uint64_t bytes;
} machine_io;
machine_io machine_io_now(void);
machine_io machine_io_since(machine_io before);

/* ---- crowd.c */

enum { CROWD_MAX = 256 };

typedef struct crowd {
    const char *name; /* of its figures: "16 threads" */
    size_t count;     /* of clients */
    bool is_processes;
    bool is_brief; /* without p99 and p99.9 */
    double seconds;
    void *context;
    void (*join)(void *context, size_t client); /* before the clock runs; may be NULL */
    /* The client's n-th request, in its thread or process. False: it failed, which was told. */
    bool (*request)(void *context, size_t client, size_t number);
} crowd;

typedef struct crowd_result {
    uint64_t requests;
    machine_io io; /* of this process and of those of the crowd */
} crowd_result;

/* Reports NAME (requests a second), "NAME, p50", "NAME, p99" and "NAME, p99.9". */
crowd_result crowd_run(const crowd *of);

/* ---- workload.c: streams of about 20 and of about 1,000 events, half of the events each; 8 types;
** two tags, one of 20 and one of 1,000; 156 bytes of MessagePack */

enum { BATCH = 1000, DATA_SIZE = 156, HOT_TAGS = 20, TAGS = 1000, TYPES = 8 };

typedef enum mix {
    MIX_RANDOM, /* any stream of the store */
    MIX_RECENT, /* one of the 100 short and 10 long streams opened last */
    MIX_SAME    /* any of as many streams as the small store has */
} mix;

typedef struct workload {
    mix streams;
    uint64_t size;  /* events of the store it is for */
    uint64_t count; /* events made so far */
    uint64_t random;
} workload;

typedef struct prepared { /* the events of one batch, made before the clock runs */
    tycho_bytes streams[BATCH];
    tycho_new_event events[BATCH];
    tycho_bytes tags[BATCH][2];
    char names[BATCH][3][24];
    uint8_t data[BATCH][DATA_SIZE];
} prepared;

void workload_prepare(workload *work, prepared *batch);
/* One batch of all events, each into its stream. */
int workload_append(tycho_store *store, tycho_batch *batch, const prepared *events);
/* The same of `count` events from `first` on. */
int workload_append_part(tycho_store *store, tycho_batch *batch, const prepared *events,
                         size_t first, size_t count);
tycho_bytes workload_text(const char *text);

/* Stores, filled when they are first asked for and kept for the run: the path, good for the run. */
typedef enum which {
    STORE_SMALL,
    STORE_BIG,
    STORE_SIZES /* and the next ones: those of sizes.c */
} which;
const char *workload_store(const bench *run, mix streams, which size);
tycho_store *workload_open(const char *path, uint32_t sync);
uint64_t workload_size(const bench *run, which size);
/* The size of the store whose streams are written to. */
uint64_t workload_spread(const bench *run, mix streams, which size);

/* ---- raw.c: one table, integer keys, always appended; records of the same size */

enum { RECORD_SIZE = 256 }; /* checksum, 56 bytes of header, id, data */

typedef struct raw_log {
    MDB_env *env;
    MDB_dbi table;
    uint64_t head;
    uint8_t records[BATCH][RECORD_SIZE];
} raw_log;

MDB_env *raw_open_map(const char *path, unsigned flags);
raw_log *raw_open(const char *path, unsigned flags);
void raw_append(raw_log *log, size_t count); /* one transaction */
uint64_t raw_scan(raw_log *log);             /* checks every record; how many there are */
uint64_t raw_get(raw_log *log, uint64_t *random, uint64_t count); /* sums random records */
void raw_close(raw_log *log);

/* One record a request, from any number of threads that share transactions: the first that comes
** commits for all who asked meanwhile. Returns when the caller's is durable. */
typedef struct raw_group {
    raw_log *log;
    atomic_uint turn; /* a futex: how many commits there were */
    atomic_bool is_led;
    atomic_uint_fast64_t asked, done; /* requests */
} raw_group;
void raw_group_append(raw_group *group);

/* ---- families */

/* Reports what the tables take on the disk; `each`: every table. The store must be closed. */
void index_sizes(const char *path, const char *what, uint64_t events, bool each);

void limits_bench(const bench *run);
void append_bench(const bench *run);
void commit_bench(const bench *run);
void threads_bench(const bench *run);
void decision_bench(const bench *run);
void sizes_bench(const bench *run);
void read_bench(const bench *run);
void index_bench(const bench *run);
void follow_bench(const bench *run);
void program_bench(const bench *run);
void lock_bench(const bench *run);
void peers_bench(const bench *run);
void rename_bench(const bench *run);
void backfill_bench(const bench *run);
void link_bench(const bench *run);
void scripts_bench(const bench *run);
void model_bench(const bench *run);
void compress_bench(const bench *run);

#endif
