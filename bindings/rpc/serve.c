/* serve.c - a line in, a line out, and lines that come later.
**
** The buffer holds [start, end); [start, scanned) has no line break. A line that would outgrow
** TYCHO_RPC_REQUEST_MAX is thrown away up to its end while it comes in, so memory stays bounded.
*/
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "session.h"

enum { READ_SIZE = 64 << 10, KEPT_SIZE = 4 << 20 };

struct lines {
    int in;
    char *data;
    size_t capacity;
    size_t start;
    size_t scanned;
    size_t end;
    bool is_over;     /* no more input */
    bool is_skipping; /* within a line that is too long */
};

enum line_kind { LINE, LINE_TOO_LONG, LINE_END, LINE_NO_MEMORY, LINE_IO };

/* Waits until a non-blocking descriptor is ready. */
static void wait_ready(int descriptor, short events) {
    struct pollfd entry = {descriptor, events, 0};
    poll(&entry, 1, -1);
}

/* Room for READ_SIZE more bytes; the line that is being read moves to the front. What a long line
** needed is given back behind it. */
static bool make_room(struct lines *lines) {
    size_t size = lines->end - lines->start;
    if (size == 0 && lines->capacity > KEPT_SIZE) {
        free(lines->data);
        *lines = (struct lines){.in = lines->in, .is_skipping = lines->is_skipping};
    }
    if (lines->start > 0) {
        memmove(lines->data, lines->data + lines->start, size);
        lines->scanned -= lines->start;
        lines->start = 0;
        lines->end = size;
    }
    if (lines->capacity - size >= READ_SIZE) return true;
    size_t capacity = 2 * lines->capacity + 2 * READ_SIZE;
    char *data = realloc(lines->data, capacity);
    if (data == NULL) return false;
    lines->data = data;
    lines->capacity = capacity;
    return true;
}

static bool fill(struct lines *lines) {
    for (;;) {
        ssize_t size = read(lines->in, lines->data + lines->end, READ_SIZE);
        if (size >= 0) {
            lines->end += (size_t)size;
            lines->is_over = size == 0;
            return true;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK) wait_ready(lines->in, POLLIN);
        else if (errno != EINTR) return false;
    }
}

/* The next line without its break, as a view until the next call. The last one needs no break. */
static enum line_kind next_line(struct lines *lines, tycho_bytes *line) {
    for (;;) {
        char *end = NULL;
        if (lines->end > lines->scanned) {
            end = memchr(lines->data + lines->scanned, '\n', lines->end - lines->scanned);
        }
        lines->scanned = end == NULL ? lines->end : (size_t)(end - lines->data);
        size_t size = lines->scanned - lines->start;
        bool is_whole = end != NULL || (lines->is_over && (size > 0 || lines->is_skipping));
        if (size > TYCHO_RPC_REQUEST_MAX) lines->is_skipping = true;
        if (is_whole) {
            bool is_too_long = lines->is_skipping;
            *line = (tycho_bytes){lines->data + lines->start, size};
            lines->start = lines->scanned = lines->scanned + (end != NULL);
            lines->is_skipping = false;
            return is_too_long ? LINE_TOO_LONG : LINE;
        }
        if (lines->is_over) return LINE_END;
        if (lines->is_skipping) lines->start = lines->scanned = lines->end = 0;
        if (!make_room(lines)) return LINE_NO_MEMORY;
        if (!fill(lines)) return LINE_IO;
    }
}

static bool write_all(int out, const char *data, size_t size) {
    while (size > 0) {
        ssize_t written = write(out, data, size);
        if (written >= 0) {
            data += written;
            size -= (size_t)written;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            wait_ready(out, POLLOUT);
        } else if (errno != EINTR) {
            return false;
        }
    }
    return true;
}

static bool is_blank(tycho_bytes line) {
    const char *text = line.data;
    size_t i = 0;
    while (i < line.size && strchr(" \t\r", text[i]) != NULL && text[i] != '\0') i++;
    return i == line.size;
}

/* The listener of a connection: the line break stands behind the line. */
static int send_line(void *context, tycho_bytes line) {
    const int *out = context;
    return write_all(*out, line.data, line.size + 1) ? 0 : errno;
}

static int answer_lines(tycho_rpc_session *session, struct lines *lines) {
    for (;;) {
        tycho_bytes line;
        tycho_bytes answer;
        enum line_kind kind = next_line(lines, &line);
        int status;
        if (kind == LINE_END) return TYCHO_OK;
        if (kind == LINE_NO_MEMORY) {
            tycho_set_error("no memory for a line of input");
            return TYCHO_NO_MEMORY;
        }
        if (kind == LINE_IO) break;
        if (kind == LINE && is_blank(line)) continue;
        if (kind == LINE_TOO_LONG) {
            status = tycho__rpc_refuse(session, TYCHO_TOO_LARGE, "a line has at most 64 MiB",
                                       &answer);
        } else {
            status = tycho_rpc_call(session, line, &answer);
        }
        if (status == TYCHO_END) continue; /* the answer comes late */
        if (!tycho__rpc_send(session, answer)) {
            tycho_set_error("the output takes no more lines");
            return TYCHO_IO;
        }
    }
    tycho_set_error(strerror(errno));
    return TYCHO_IO;
}

int tycho_rpc_serve_connection(tycho_rpc *rpc, int in, int out) {
    struct lines lines = {.in = in};
    tycho_rpc_session *session;
    int status = tycho_rpc_session_create(rpc, &session);
    if (status != TYCHO_OK) return status;
    tycho_rpc_session_listen(session, send_line, &out);
    status = answer_lines(session, &lines);
    tycho_rpc_session_destroy(session);
    free(lines.data);
    return status;
}

int tycho_rpc_serve(int in, int out, const char *path) {
    tycho_rpc *rpc = NULL;
    int status = tycho_rpc_create(&rpc);
    if (status == TYCHO_OK && path != NULL) status = tycho_rpc_open(rpc, path);
    if (status == TYCHO_OK) status = tycho_rpc_serve_connection(rpc, in, out);
    tycho_rpc_destroy(rpc);
    return status;
}
