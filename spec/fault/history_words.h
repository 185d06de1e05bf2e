/* history_words.h - what history_client.c is made of: lines of text, random choices, and the one
** state of the program.
*/
#ifndef TYCHO_SPEC_HISTORY_WORDS_H
#define TYCHO_SPEC_HISTORY_WORDS_H

#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <pthread.h>
#include <unistd.h>

#include "tycho.h"

enum { STREAMS = 4, ROUTES = 2, TYPES = 3, TAGS = 3, ROWS = 3, LOCKS = 2, TEXT_SIZE = 1 << 16 };
enum { KNOWN = 16, ID_SIZE = 80 };

struct text {
    char bytes[TEXT_SIZE];
    size_t size;
};

struct client {
    pthread_t thread;
    char name[48];
    uint64_t random;
    int file;
    long number;
    int events; /* of the batch that is made */
    tycho_batch *batch;
    struct text conditions, operations, line;
    char known[KNOWN][ID_SIZE]; /* ids of events that were seen */
    unsigned known_count;
};

static struct {
    tycho_store *store;
    const char *directory, *name;
    long operations;
    uint64_t seed;
    atomic_int writers_left;
} run;

/* ---------------------------------------------------------------- words */

static inline void die(const char *what) {
    fprintf(stderr, "history_client: %s: %s\n", what, tycho_error());
    exit(1);
}

static inline void must(int status, const char *what) {
    if (status != TYCHO_OK) die(what);
}

static inline tycho_bytes text(const char *string) {
    return (tycho_bytes){string, strlen(string)};
}

__attribute__((format(printf, 2, 3))) static inline void say(struct text *to, const char *format,
                                                             ...) {
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(to->bytes + to->size, sizeof to->bytes - to->size, format, arguments);
    va_end(arguments);
    if (size < 0 || (size_t)size >= sizeof to->bytes - to->size) die("a line is too long");
    to->size += (size_t)size;
}

static inline void put_line(struct client *c) {
    say(&c->line, "\n");
    ssize_t size = write(c->file, c->line.bytes, c->line.size);
    if (size != (ssize_t)c->line.size) die("writing the history");
    c->line.size = 0;
}

static inline int64_t clock_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static inline unsigned below(struct client *c, unsigned limit) {
    c->random += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = c->random;
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (unsigned)((z ^ z >> 31) % limit);
}

static inline bool chance(struct client *c, unsigned percent) {
    return below(c, 100) < percent;
}

static inline void begin_line(struct client *c, const char *kind) {
    say(&c->line, "{\"%s\",%ld,%" PRId64 ",", kind, c->number, clock_ns());
}

/* s1 ... or, one time in six, r1 ... */
static inline void pick_stream(struct client *c, char name[8]) {
    bool is_route = below(c, 6) == 0;
    snprintf(name, 8, "%c%u", is_route ? 'r' : 's', 1 + below(c, is_route ? ROUTES : STREAMS));
}

static inline void pick(struct client *c, char name[8], char prefix, unsigned count) {
    snprintf(name, 8, "%c%u", prefix, 1 + below(c, count));
}

static inline void know(struct client *c, tycho_bytes id) {
    snprintf(c->known[c->known_count++ % KNOWN], ID_SIZE, "%.*s", (int)id.size,
             (const char *)id.data);
}

/* Mostly an event that was seen lately, now and then one that does not exist. */
static inline void pick_event(struct client *c, char id[ID_SIZE]) {
    unsigned count = c->known_count < KNOWN ? c->known_count : KNOWN;
    if (count == 0 || below(c, 12) == 0) {
        snprintf(id, ID_SIZE, "%s-%ld-9", c->name, c->number);
    } else {
        memcpy(id, c->known[below(c, count)], ID_SIZE);
    }
}

#endif
