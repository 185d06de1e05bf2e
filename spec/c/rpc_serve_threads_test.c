/* rpc_serve_threads_test.c - connections of one dispatcher over sockets: each has its lines, and
** the end of one, however it comes, is nothing to the others.
*/
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "tycho_rpc.h"

enum { HISTORY = 3000 };

struct connection {
    tycho_rpc *rpc;
    int ours;
    int theirs;
    FILE *lines; /* reads from ours */
    pthread_t thread;
    int status;
    char *line; /* the last one read */
    size_t size;
};

static void *serve(void *context) {
    struct connection *connection = context;
    connection->status =
        tycho_rpc_serve_connection(connection->rpc, connection->theirs, connection->theirs);
    close(connection->theirs);
    return NULL;
}

static void connect_to(tycho_rpc *rpc, struct connection *connection) {
    int sockets[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
    *connection = (struct connection){.rpc = rpc, .ours = sockets[0], .theirs = sockets[1]};
    connection->lines = fdopen(sockets[0], "r");
    assert_non_null(connection->lines);
    assert_int_equal(pthread_create(&connection->thread, NULL, serve, connection), 0);
}

static void tell(const struct connection *connection, const char *text) {
    assert_int_equal(write(connection->ours, text, strlen(text)), strlen(text));
}

/* Reads until a line has the text in it. */
static void await(struct connection *connection, const char *text) {
    do {
        assert_true(getline(&connection->line, &connection->size, connection->lines) > 0);
    } while (strstr(connection->line, text) == NULL);
}

/* Hangs up without reading what is there, and waits until it was noticed. */
static int hang_up(struct connection *connection) {
    fclose(connection->lines);
    pthread_join(connection->thread, NULL);
    free(connection->line);
    return connection->status;
}

static void add_history(tycho_store *store) {
    tycho_batch *batch;
    tycho_new_event event = {.type = {"t", 1}};
    assert_int_equal(tycho_batch_create(&batch), TYCHO_OK);
    for (int i = 0; i < HISTORY; i++) {
        tycho_bytes none = {NULL, 0};
        assert_int_equal(tycho_batch_append(batch, none, TYCHO_EXPECT_ANY, &event, 1, 0), TYCHO_OK);
    }
    assert_int_equal(tycho_commit(store, batch, NULL), TYCHO_OK);
    tycho_batch_destroy(batch);
}

static void serves_connections_until_each_hangs_up(void **state) {
    const tycho_options options = {.size = sizeof options, .mode = TYCHO_TEMPORARY};
    struct connection a;
    struct connection b;
    tycho_store *store;
    tycho_rpc *rpc;
    (void)state;
    signal(SIGPIPE, SIG_IGN); /* what a host with sockets does */
    assert_int_equal(tycho_store_open(NULL, &options, &store), TYCHO_OK);
    assert_int_equal(tycho_rpc_create(&rpc), TYCHO_OK);
    assert_int_equal(tycho_rpc_open(rpc, tycho_store_path(store)), TYCHO_OK);
    add_history(store);
    connect_to(rpc, &b);
    for (int round = 0; round < 5; round++) {
        connect_to(rpc, &a);
        tell(&a, "{\"id\":1,\"op\":\"lock\",\"name\":\"l\"}\n");
        await(&a, "\"token\"");
        tell(&b, "{\"id\":2,\"op\":\"lock\",\"name\":\"l\"}\n{\"id\":3,\"op\":\"head\"}\n");
        await(&b, "{\"id\":3,\"ok\":true,\"result\":3000}");
        tell(&a, "{\"id\":4,\"op\":\"follow\"}\n{\"id\":5,\"op\":\"follow\"}\n");
        await(&a, "\"position\":100,");
        int status = hang_up(&a); /* in the middle of a line, with a full socket */
        assert_true(status == TYCHO_OK || status == TYCHO_IO);
        await(&b, "\"token\"");
        tell(&b, "{\"op\":\"unlock\",\"name\":\"l\"}\n");
        await(&b, "true");
    }
    assert_int_equal(shutdown(b.ours, SHUT_WR), 0);
    assert_int_equal(hang_up(&b), TYCHO_OK);
    tycho_rpc_destroy(rpc);
    tycho_store_close(store);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(serves_connections_until_each_hangs_up)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
