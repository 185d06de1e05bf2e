/* peers.h - what the files of the peers share.
**
**   peers.c            the work that all of them do, in turns, and what it must come to
**   peer_tycho.c peer_sqlite.c peer_postgres.c peer_redis.c peer_nats.c peer_emmett.c
**   server.c           their servers: on loopback, without privileges, ended with the run
**
** A peer is started once, filled, and measured by connections of its own in each thread. One that
** is not there is skipped, with the reason. Failures after the start end the run.
*/
#ifndef TYCHO_BENCH_PEERS_H
#define TYCHO_BENCH_PEERS_H

#include <sys/types.h>

#include "bench.h"

enum { LONG_STREAM = 10000 }; /* events of the stream "long" */

typedef enum work_kind {
    WORK_ONE,
    WORK_MANY,
    WORK_BATCHES,
    WORK_READ,
    WORK_REPLAY,
    WORK_LINK,
    WORK_COUNT
} work_kind;

typedef struct peer {
    const char *name;
    bool is_durable;     /* what it answers is flushed */
    bool is_event_store; /* not just a table in the process of the reader */
    const char *absent;  /* why it is never there, instead of all below */
    /* Makes it ready. NULL, or why it is not there. It may change the two above that. */
    const char *(*start)(struct peer *self, const bench *run);
    void (*stop)(void); /* only what was started; NULL: nothing */

    void *(*connect)(void);
    void (*disconnect)(void *client);
    /* `count` events, each into its stream; with `stream` all of them into that. One unit, answered
    ** when it is durable. */
    bool (*append)(void *client, const prepared *events, size_t first, size_t count,
                   const char *stream);
    /* How many events: of the stream "long" (WORK_READ), or of the whole log (WORK_REPLAY).
    ** Type and data of each are looked at. */
    uint64_t (*read)(void *client, work_kind kind);
    /* The events of "long" into a new stream, durable; NULL where there are no links. */
    bool (*link_long)(void *client, unsigned number);

    /* Instead of all that, or of replaying alone: does the work and reports it under the name
    ** itself. False: failed. */
    bool (*work)(struct peer *self, const bench *run, work_kind kind, const char *name);
} peer;

/* The functions of a peer with clients, which its file has under these names. */
#define PEER_FUNCTIONS                                                                             \
    .start = start, .connect = connect_to, .disconnect = disconnect, .append = append,             \
    .read = read_all

/* Ends the run with "bench: who: why" unless it was done. */
void peer_need(bool is_done, const char *who, const char *why);

extern peer peer_tycho, peer_sqlite, peer_postgres, peer_redis, peer_nats;
extern peer *const peer_emmett_sqlite, *const peer_emmett_postgres;

/* "host:port" of the server of peer_postgres, while it runs; else NULL. */
const char *peer_postgres_address(void);

#endif
