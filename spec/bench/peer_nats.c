/* peer_nats.c - NATS JetStream, through its C library.
**
** One JetStream stream has all events; the stream of an event is its subject, which readers filter
** by; the message id makes it unique for a while. A batch is published at once and answered for
** each event: it is no unit. Servers before 2.10 cannot flush before they answer (`sync_interval:
** always`): with one of those NATS counts as not durable. Built where libnats is there.
*/
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "peers.h"
#include "server.h"

#if __has_include(<nats/nats.h>)
#include <signal.h>

#include <nats/nats.h>

enum { WAIT_MS = 20000 };

static server nats;

typedef struct connection {
    natsConnection *session;
    jsCtx *stream;
} connection;

static void need(natsStatus status) {
    peer_need(status == NATS_OK, "NATS", natsStatus_GetText(status));
}

static void write_settings(const char *path, bool is_synced) {
    FILE *file = fopen(path, "w");
    bench_need_system(file != NULL, path);
    fprintf(file, "listen: \"127.0.0.1:%d\"\njetstream {\n store_dir: \"%s\"\n%s}\n", nats.port,
            nats.directory, is_synced ? " sync_interval: always\n" : "");
    fclose(file);
}

static void *connect_to(void) {
    connection *to = calloc(1, sizeof *to);
    char address[64];
    jsOptions options;
    bench_need_system(to != NULL, "memory");
    snprintf(address, sizeof address, "nats://127.0.0.1:%d", nats.port);
    need(natsConnection_ConnectTo(&to->session, address));
    need(jsOptions_Init(&options));
    options.Wait = WAIT_MS;
    need(natsConnection_JetStream(&to->stream, to->session, &options));
    return to;
}

static void disconnect(void *client) {
    connection *to = client;
    jsCtx_Destroy(to->stream);
    natsConnection_Destroy(to->session);
    free(to);
}

static void make_stream(void) {
    const char *subjects[] = {"e.>"};
    jsStreamConfig settings;
    connection *to = connect_to();
    need(jsStreamConfig_Init(&settings));
    settings.Name = "EVENTS";
    settings.Subjects = subjects;
    settings.SubjectsLen = 1;
    settings.Storage = js_FileStorage;
    need(js_AddStream(NULL, to->stream, &settings, NULL, NULL));
    disconnect(to);
}

static const char *start(peer *self, const bench *run) {
    static char program[SERVER_PATH], settings[SERVER_PATH + 16];
    if (server_find(program, "nats-server", "/usr/sbin/nats-server") == NULL) {
        return "there is no nats-server: apt-get install nats-server";
    }
    server_prepare(&nats, run, "nats");
    snprintf(settings, sizeof settings, "%s.conf", nats.directory);
    char *const check[] = {program, "-t", "-c", settings, NULL};
    char *const serve[] = {program, "-c", settings, NULL};
    write_settings(settings, true);
    self->is_durable = server_run(&nats, check);
    if (!self->is_durable) write_settings(settings, false);
    if (!self->is_durable) self->name = "NATS JetStream (not flushed)";
    report_setting("NATS", self->is_durable ? "sync_interval: always"
                                            : "this server cannot flush before it answers");
    if (!server_start(&nats, serve, SIGTERM)) return server_complaint(&nats);
    make_stream();
    return NULL;
}

static void stop(void) {
    server_stop(&nats);
    nats_Close();
}

static bool append(void *client, const prepared *events, size_t first, size_t count,
                   const char *stream) {
    connection *to = client;
    jsPubOptions options;
    need(jsPubOptions_Init(&options));
    for (size_t i = first; i < first + count; i++) {
        char subject[64], id[TYCHO_UUID_SIZE + 1] = "";
        tycho_bytes name = stream ? workload_text(stream) : events->streams[i];
        natsMsg *message = NULL;
        tycho_uuid(id);
        snprintf(subject, sizeof subject, "e.%.*s", (int)name.size, (const char *)name.data);
        need(natsMsg_Create(&message, subject, NULL, (const char *)events->data[i], DATA_SIZE));
        need(natsMsgHeader_Set(message, "type", events->events[i].type.data));
        options.MsgId = id;
        if (count == 1) {
            need(js_PublishMsg(NULL, to->stream, message, &options, NULL));
            natsMsg_Destroy(message);
        } else {
            need(js_PublishMsgAsync(to->stream, &message, &options));
        }
    }
    if (count == 1) return true;
    need(jsPubOptions_Init(&options));
    options.MaxWait = WAIT_MS;
    need(js_PublishAsyncComplete(to->stream, &options));
    return true;
}

/* An ordered consumer of its own, until it has what there was. */
static uint64_t read_subject(connection *to, const char *subject, uint64_t count) {
    natsSubscription *messages = NULL;
    jsSubOptions options;
    uint64_t seen = 0;
    need(jsSubOptions_Init(&options));
    options.Stream = "EVENTS";
    options.Ordered = true;
    need(js_SubscribeSync(&messages, to->stream, subject, NULL, &options, NULL));
    natsSubscription_SetPendingLimits(messages, -1, -1);
    for (uint64_t i = 0; i < count; i++) {
        natsMsg *message = NULL;
        const char *type = NULL;
        need(natsSubscription_NextMsg(&message, messages, WAIT_MS));
        need(natsMsgHeader_Get(message, "type", &type));
        seen += (uint64_t)natsMsg_GetData(message)[DATA_SIZE - 1] + (uint64_t)type[0];
        natsMsg_Destroy(message);
    }
    natsSubscription_Destroy(messages);
    peer_need(seen > 0, "NATS", "nothing was read");
    return count;
}

static uint64_t read_all(void *client, work_kind kind) {
    connection *to = client;
    jsStreamInfo *info = NULL;
    if (kind == WORK_READ) return read_subject(to, "e.long", LONG_STREAM);
    need(js_GetStreamInfo(&info, to->stream, "EVENTS", NULL, NULL));
    uint64_t count = info->State.Msgs;
    jsStreamInfo_Destroy(info);
    return read_subject(to, "e.>", count);
}

peer peer_nats = {.name = "NATS JetStream",
                  .is_event_store = true,
                  .stop = stop,
                  PEER_FUNCTIONS};

#else

peer peer_nats = {.name = "NATS JetStream",
                  .absent = "libnats-dev was not there at build time"};

#endif
