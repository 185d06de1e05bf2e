/* server.c - servers of peers: found, started on a free port of loopback, without privileges, and
** ended with the run, however it ends.
**
** A server is started through setpriv, so that the kernel ends it when this process is killed, and
** so that it is nobody when this process is root: some refuse to be root, and none needs it.
*/
#include <arpa/inet.h>
#include <errno.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "server.h"

enum { NOBODY = 65534, SERVERS_MAX = 8, WORDS_MAX = 32, START_SECONDS = 30 };

static server *running[SERVERS_MAX];

const char *server_find(char path[SERVER_PATH], const char *program, const char *pattern) {
    char places[2048];
    char *rest = NULL;
    snprintf(places, sizeof places, "%s", getenv("PATH") ? getenv("PATH") : "");
    for (char *at = strtok_r(places, ":", &rest); at != NULL; at = strtok_r(NULL, ":", &rest)) {
        snprintf(path, SERVER_PATH, "%s/%s", at, program);
        if (access(path, X_OK) == 0) return path;
    }
    glob_t found = {0};
    bool is_found = pattern != NULL && glob(pattern, 0, NULL, &found) == 0;
    if (is_found) snprintf(path, SERVER_PATH, "%s", found.gl_pathv[found.gl_pathc - 1]);
    globfree(&found);
    return is_found ? path : NULL;
}

static int free_port(void) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;
    int socket_file = socket(AF_INET, SOCK_STREAM, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bench_need_system(socket_file >= 0, "socket");
    bench_need_system(bind(socket_file, (struct sockaddr *)&address, size) == 0, "bind");
    bench_need_system(getsockname(socket_file, (struct sockaddr *)&address, &size) == 0, "port");
    close(socket_file);
    return ntohs(address.sin_port);
}

void server_prepare(server *self, const bench *run, const char *name) {
    char real[SERVER_PATH];
    self->name = name;
    self->port = free_port();
    bench_need_system(realpath(run->directory, real) != NULL, run->directory);
    snprintf(self->directory, sizeof self->directory, "%.400s/%s", real, name);
    snprintf(self->log, sizeof self->log, "%.400s/%s.log", real, name);
    bench_need_system(mkdir(self->directory, 0700) == 0, self->directory);
    if (geteuid() != 0) return;
    bench_need_system(chown(self->directory, NOBODY, NOBODY) == 0, self->directory);
}

/* setpriv and what it is to do, in front of the words. */
static void add_setpriv(char *words[WORDS_MAX], char *const arguments[]) {
    static char *const as_nobody[] = {"--reuid=65534", "--regid=65534", "--clear-groups"};
    size_t count = 0;
    words[count++] = "setpriv";
    words[count++] = "--pdeathsig=SIGQUIT";
    for (size_t i = 0; i < 3 && geteuid() == 0; i++) words[count++] = as_nobody[i];
    for (size_t i = 0; arguments[i] != NULL && count < WORDS_MAX - 1; i++) {
        words[count++] = arguments[i];
    }
    words[count] = NULL;
}

bool server_run(const server *self, char *const arguments[]) {
    char *words[WORDS_MAX];
    int status = -1;
    add_setpriv(words, arguments);
    pid_t process = machine_start(words, self->log);
    bench_need_system(waitpid(process, &status, 0) == process, arguments[0]);
    return status == 0;
}

static bool is_listening(const server *self) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)self->port)};
    int socket_file = socket(AF_INET, SOCK_STREAM, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bench_need_system(socket_file >= 0, "socket");
    bool is_open = connect(socket_file, (struct sockaddr *)&address, sizeof address) == 0;
    close(socket_file);
    return is_open;
}

static void stop_all(void) {
    for (size_t i = 0; i < SERVERS_MAX; i++) {
        if (running[i] != NULL) server_stop(running[i]);
    }
}

static void note(server *self) {
    static bool is_registered;
    size_t i = 0;
    if (!is_registered) atexit(stop_all);
    is_registered = true;
    while (i < SERVERS_MAX - 1 && running[i] != NULL) i++;
    running[i] = self;
    self->owner = getpid();
}

bool server_start(server *self, char *const arguments[], int signal) {
    const struct timespec pause = {0, 50000000};
    char *words[WORDS_MAX];
    add_setpriv(words, arguments);
    self->signal = signal;
    self->process = machine_start(words, self->log);
    note(self);
    for (int i = 0; i < START_SECONDS * 20; i++) {
        if (is_listening(self)) return true;
        if (waitpid(self->process, NULL, WNOHANG) == self->process) break;
        nanosleep(&pause, NULL);
    }
    server_stop(self);
    return false;
}

void server_stop(server *self) {
    if (self->process == 0 || self->owner != getpid()) return;
    kill(self->process, self->signal);
    waitpid(self->process, NULL, 0);
    self->process = 0;
    for (size_t i = 0; i < SERVERS_MAX; i++) {
        if (running[i] == self) running[i] = NULL;
    }
}

const char *server_complaint(const server *self) {
    static char text[SERVER_PATH + 300];
    char line[256] = "", last[256] = "it said nothing";
    FILE *file = fopen(self->log, "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (line[0] != '\0') snprintf(last, sizeof last, "%s", line);
    }
    if (file != NULL) fclose(file);
    snprintf(text, sizeof text, "%s did not start: %s", self->name, last);
    return text;
}
