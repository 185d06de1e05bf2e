/* raw.c - LMDB alone with one table: what an event store on LMDB cannot be faster than.
**
** The record, RECORD_SIZE bytes, has no more than any event must have:
**
**   0 checksum (XXH3 of the rest)  8 position  16 time  24 valid time  32 type, stream, revision
**   64 id (36 bytes of text)  100 data (156 bytes)
**
** Records are made outside of the measured time; keys are native integers, always appended.
*/
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <xxhash.h>

#include "bench.h"

enum { ID_AT = 64, DATA_AT = ID_AT + TYCHO_UUID_SIZE };
_Static_assert(DATA_AT + DATA_SIZE == RECORD_SIZE, "the record is full");

MDB_env *raw_open_map(const char *path, unsigned flags) {
    size_t map_size = (size_t)1 << 40;
    MDB_env *env = NULL;
    int status = ENOMEM;
    while (status == ENOMEM && map_size >= (size_t)1 << 30) {
        bench_need_lmdb(mdb_env_create(&env), "LMDB");
        bench_need_lmdb(mdb_env_set_maxdbs(env, 64), "LMDB");
        bench_need_lmdb(mdb_env_set_mapsize(env, map_size), "LMDB");
        status = mdb_env_open(env, path, MDB_NOTLS | flags, 0666);
        if (status == ENOMEM) mdb_env_close(env);
        map_size /= 2;
    }
    bench_need_lmdb(status, path);
    return env;
}

static void make_records(raw_log *log) {
    workload work = {.streams = MIX_RANDOM, .size = 100000, .random = 2};
    prepared *events = malloc(sizeof *events);
    bench_need_system(events != NULL, "memory");
    workload_prepare(&work, events);
    for (size_t i = 0; i < BATCH; i++) {
        uint8_t *record = log->records[i];
        int64_t header[7] = {(int64_t)i, tycho_now(), tycho_now(), (int64_t)i % TYPES, 1, 2, 3};
        memcpy(record + 8, header, sizeof header);
        tycho_uuid((char *)record + ID_AT);
        memcpy(record + DATA_AT, events->data[i], DATA_SIZE);
        uint64_t checksum = XXH3_64bits(record + 8, RECORD_SIZE - 8);
        memcpy(record, &checksum, sizeof checksum);
    }
    free(events);
}

raw_log *raw_open(const char *path, unsigned flags) {
    raw_log *log = calloc(1, sizeof *log);
    MDB_txn *txn;
    MDB_stat facts;
    bench_need_system(log != NULL, "memory");
    bench_need_system(mkdir(path, 0777) == 0 || errno == EEXIST, path);
    log->env = raw_open_map(path, flags);
    bench_need_lmdb(mdb_txn_begin(log->env, NULL, 0, &txn), "LMDB");
    bench_need_lmdb(mdb_dbi_open(txn, "events", MDB_CREATE | MDB_INTEGERKEY, &log->table), "LMDB");
    bench_need_lmdb(mdb_stat(txn, log->table, &facts), "LMDB");
    bench_need_lmdb(mdb_txn_commit(txn), "LMDB");
    log->head = facts.ms_entries;
    make_records(log);
    return log;
}

void raw_append(raw_log *log, size_t count) {
    MDB_txn *txn;
    bench_need_lmdb(mdb_txn_begin(log->env, NULL, 0, &txn), "raw append");
    for (size_t i = 0; i < count; i++) {
        uint64_t position = ++log->head;
        MDB_val key = {sizeof position, &position};
        MDB_val value = {RECORD_SIZE, log->records[position % BATCH]};
        bench_need_lmdb(mdb_put(txn, log->table, &key, &value, MDB_APPEND), "raw append");
    }
    bench_need_lmdb(mdb_txn_commit(txn), "raw append");
}

/* A waiter looks at the turn before it asks who is done, so that no end of a turn is missed. */
void raw_group_append(raw_group *group) {
    uint64_t mine = atomic_fetch_add(&group->asked, 1) + 1;
    while (atomic_load(&group->done) < mine) {
        unsigned turn = atomic_load(&group->turn);
        if (atomic_load(&group->done) >= mine) break;
        if (atomic_exchange(&group->is_led, true)) {
            syscall(SYS_futex, &group->turn, FUTEX_WAIT_PRIVATE, turn, NULL, NULL, 0);
            continue;
        }
        uint64_t asked = atomic_load(&group->asked), done = atomic_load(&group->done);
        if (asked > done) raw_append(group->log, asked - done);
        atomic_store(&group->done, asked);
        atomic_store(&group->is_led, false);
        atomic_fetch_add(&group->turn, 1);
        syscall(SYS_futex, &group->turn, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
    }
}

uint64_t raw_scan(raw_log *log) {
    MDB_txn *txn;
    MDB_cursor *cursor;
    MDB_val key, value;
    uint64_t count = 0, wrong = 0;
    bench_need_lmdb(mdb_txn_begin(log->env, NULL, MDB_RDONLY, &txn), "raw scan");
    bench_need_lmdb(mdb_cursor_open(txn, log->table, &cursor), "raw scan");
    while (mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0) {
        const uint8_t *record = value.mv_data;
        uint64_t checksum;
        memcpy(&checksum, record, sizeof checksum);
        wrong += checksum != XXH3_64bits(record + 8, value.mv_size - 8);
        count++;
    }
    mdb_cursor_close(cursor);
    mdb_txn_abort(txn);
    bench_need_lmdb(wrong == 0 ? 0 : MDB_CORRUPTED, "raw scan");
    return count;
}

uint64_t raw_get(raw_log *log, uint64_t *random, uint64_t count) {
    MDB_txn *txn;
    uint64_t sum = 0;
    bench_need_lmdb(mdb_txn_begin(log->env, NULL, MDB_RDONLY, &txn), "raw get");
    for (uint64_t i = 0; i < count; i++) {
        uint64_t position = bench_random(random) % log->head + 1;
        MDB_val key = {sizeof position, &position};
        MDB_val value;
        bench_need_lmdb(mdb_get(txn, log->table, &key, &value), "raw get");
        sum += XXH3_64bits((const uint8_t *)value.mv_data + 8, value.mv_size - 8);
    }
    mdb_txn_abort(txn);
    return sum;
}

void raw_close(raw_log *log) {
    mdb_env_close(log->env);
    free(log);
}
