/* peer_redis.c - Redis streams with appendfsync always, through hiredis.
**
** An event goes to the stream "log", which has the global order, and to one of its own name; both
** in one MULTI, sent at once. Redis knows no unique ids and no versions: it does less than the
** others here. Built where libhiredis is there.
*/
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "peers.h"
#include "server.h"

#if __has_include(<hiredis/hiredis.h>)
#include <signal.h>

#include <hiredis/hiredis.h>

enum { PAGE = 1000, FIELDS = 10 };

static server redis;

static const char *start(peer *self, const bench *run) {
    static char program[SERVER_PATH], port[16];
    (void)self;
    if (server_find(program, "redis-server", NULL) == NULL) {
        return "there is no redis-server: apt-get install redis-server";
    }
    server_prepare(&redis, run, "redis");
    snprintf(port, sizeof port, "%d", redis.port);
    char *const serve[] = {program,
                           "--port",
                           port,
                           "--bind",
                           "127.0.0.1",
                           "--dir",
                           redis.directory,
                           "--appendonly",
                           "yes",
                           "--appendfsync",
                           "always",
                           "--save",
                           "",
                           NULL};
    report_setting("Redis", "appendonly yes, appendfsync always");
    return server_start(&redis, serve, SIGTERM) ? NULL : server_complaint(&redis);
}

static void stop(void) {
    server_stop(&redis);
}

static void *connect_to(void) {
    redisContext *to = redisConnect("127.0.0.1", redis.port);
    peer_need(to != NULL && to->err == 0, "Redis", to ? to->errstr : "no memory");
    return to;
}

static void disconnect(void *client) {
    redisFree(client);
}

static void add_event(redisContext *to, const char *stream, size_t stream_size,
                      const tycho_new_event *event, const tycho_bytes *tags) {
    char id[TYCHO_UUID_SIZE];
    tycho_uuid(id);
    const char *words[FIELDS + 3] = {
        "XADD", stream,       "*", "id",         id,     "type",          event->type.data,
        "a",    tags[0].data, "b", tags[1].data, "data", event->data.data};
    const size_t sizes[FIELDS + 3] = {
        4, stream_size,     1, 2, sizeof id, 4, event->type.size, 1, tags[0].size, 1, tags[1].size,
        4, event->data.size};
    peer_need(redisAppendCommandArgv(to, FIELDS + 3, words, sizes) == REDIS_OK, "Redis",
              to->errstr);
}

static void await(redisContext *to, size_t count) {
    for (size_t i = 0; i < count; i++) {
        redisReply *reply = NULL;
        bool is_done = redisGetReply(to, (void **)&reply) == REDIS_OK;
        peer_need(is_done, "Redis", to->errstr);
        peer_need(reply->type != REDIS_REPLY_ERROR, "Redis", reply->str);
        freeReplyObject(reply);
    }
}

static bool append(void *client, const prepared *events, size_t first, size_t count,
                   const char *stream) {
    redisContext *to = client;
    redisAppendCommand(to, "MULTI");
    for (size_t i = first; i < first + count; i++) {
        tycho_bytes name = stream ? workload_text(stream) : events->streams[i];
        add_event(to, name.data, name.size, &events->events[i], events->tags[i]);
        add_event(to, "log", 3, &events->events[i], events->tags[i]);
    }
    redisAppendCommand(to, "EXEC");
    await(to, 2 * count + 2);
    return true;
}

/* All entries in pages, each from behind the last one; the type and the data are looked at. */
static uint64_t read_all(void *client, work_kind kind) {
    redisContext *to = client;
    const char *name = kind == WORK_READ ? "long" : "log";
    char from[64] = "-";
    uint64_t count = 0, seen = 0, page = PAGE;
    while (page == PAGE) {
        redisReply *reply = redisCommand(to, "XRANGE %s %s + COUNT %d", name, from, PAGE);
        peer_need(reply != NULL && reply->type == REDIS_REPLY_ARRAY, "Redis", to->errstr);
        page = reply->elements;
        for (size_t i = 0; i < page; i++) {
            const redisReply *fields = reply->element[i]->element[1];
            seen += (uint64_t)fields->element[3]->str[0];
            seen += (uint64_t)fields->element[FIELDS - 1]->str[DATA_SIZE - 1];
        }
        if (page > 0) snprintf(from, sizeof from, "(%s", reply->element[page - 1]->element[0]->str);
        freeReplyObject(reply);
        count += page;
    }
    peer_need(seen > 0, "Redis", "nothing was read");
    return count;
}

peer peer_redis = {.name = "Redis streams",
                   .is_durable = true,
                   .is_event_store = true,
                   .stop = stop,
                   PEER_FUNCTIONS};

#else

peer peer_redis = {.name = "Redis streams",
                   .absent = "libhiredis-dev was not there at build time"};

#endif
