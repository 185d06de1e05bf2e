/* server.h - servers of peers; see server.c.
*/
#ifndef TYCHO_BENCH_SERVER_H
#define TYCHO_BENCH_SERVER_H

#include <sys/types.h>

#include "bench.h"

enum { SERVER_PATH = 512 };

typedef struct server {
    const char *name;
    int port;                    /* of 127.0.0.1 */
    char directory[SERVER_PATH]; /* its own, absolute, with nothing in it */
    char log[SERVER_PATH];       /* what it prints */
    pid_t process, owner;
    int signal; /* which ends it */
} server;

/* The program in $PATH, or the last of those that match the pattern (may be NULL); else NULL. */
const char *server_find(char path[SERVER_PATH], const char *program, const char *pattern);
/* A free port, and a directory that the server may write to. */
void server_prepare(server *self, const bench *run, const char *name);
/* Runs a program as the server would be run, to its end. True: it did well. */
bool server_run(const server *self, char *const arguments[]);
/* True: it accepts connections. */
bool server_start(server *self, char *const arguments[], int signal);
void server_stop(server *self);
/* Why it did not start, by the last line that it printed. */
const char *server_complaint(const server *self);

#endif
