/* peer_emmett.c - Emmett, an event store for Node.js, on SQLite and on PostgreSQL (emmett.cjs).
**
** Each turn is a process that measures itself, so that its start does not count. Its 16 clients are
** 16 calls that one process waits for, which is how it is used; on SQLite, where it can do one
** thing at a time, they queue. On PostgreSQL it has its tables in the server of peer_postgres.c,
** which is started before and stopped after it.
*/
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "peers.h"
#include "server.h"

typedef struct emmett {
    peer base;
    const char *kind; /* the end of the package's name */
    char store[SERVER_PATH];
    char modules[SERVER_PATH];
} emmett;

static bool run_script(const emmett *self, const bench *run, const char *work, const char *name) {
    const char *amount = run->full ? "2" : "0.5";
    char output[SERVER_PATH];
    if (strcmp(work, "fill") == 0) amount = report_name("%d", run->full ? 160000 : 40000);
    char *arguments[] = {"node",
                         "spec/bench/emmett.cjs",
                         (char *)self->kind,
                         (char *)self->modules,
                         (char *)self->store,
                         (char *)work,
                         (char *)name,
                         (char *)amount,
                         NULL};
    snprintf(output, sizeof output, "%s", bench_path(run, "emmett.txt"));
    if (machine_run(arguments, output, NULL) != 0) return false;
    report_samples(output);
    return true;
}

static const char *start(peer *base, const bench *run) {
    emmett *self = (emmett *)base;
    char node[SERVER_PATH];
    const char *address = peer_postgres_address();
    bool is_server = strcmp(self->kind, "postgresql") == 0;
    if (server_find(node, "node", NULL) == NULL) return "there is no node: apt-get install nodejs";
    snprintf(self->modules, sizeof self->modules, "%s/%s", run->peers, self->kind);
    if (access(report_name("%s/node_modules/@event-driven-io", self->modules), R_OK) != 0) {
        return report_name("its packages are not there: .ci/peers");
    }
    if (is_server && address == NULL) return "there is no PostgreSQL to use";
    if (is_server) {
        snprintf(self->store, sizeof self->store, "postgresql://bench@%s/postgres", address);
    } else {
        snprintf(self->store, sizeof self->store, "%s", bench_path(run, "emmett.sqlite"));
    }
    return run_script(self, run, "fill", "-") ? NULL : "spec/bench/emmett.cjs failed to fill it";
}

static bool work(peer *base, const bench *run, work_kind kind, const char *name) {
    static const char *const works[WORK_COUNT] = {"one", "many", "batches", "read", "replay", ""};
    return run_script((emmett *)base, run, works[kind], name);
}

static emmett on_sqlite = {.base = {.name = "Emmett on SQLite",
                                    .is_durable = true,
                                    .is_event_store = true,
                                    .start = start,
                                    .work = work},
                           .kind = "sqlite"};
static emmett on_postgres = {.base = {.name = "Emmett on PostgreSQL",
                                      .is_durable = true,
                                      .is_event_store = true,
                                      .start = start,
                                      .work = work},
                             .kind = "postgresql"};

peer *const peer_emmett_sqlite = &on_sqlite.base, *const peer_emmett_postgres = &on_postgres.base;
