/* follower_values.h - what the tests of followers share: writing in one line, and what a follower
** must answer. To be included behind cmocka.h.
*/
#ifndef TYCHO_SPEC_FOLLOWER_VALUES_H
#define TYCHO_SPEC_FOLLOWER_VALUES_H

#include <inttypes.h>

#include "store_fixture.h"

/* Commits an event with the id, type and up to one tag; an empty stream: the log alone. */
static inline int append(tycho_store *store, const char *stream, const char *id, const char *type,
                         const char *tag) {
    const tycho_bytes tags[] = {tag != NULL ? text(tag) : text("")};
    const tycho_new_event event = {.id = text(id),
                                   .type = text(type),
                                   .data = text(id),
                                   .tags = tags,
                                   .tag_count = tag != NULL ? 1 : 0};
    return commit_event(store, stream, &event);
}

static inline void write_three(fixture *f, const char *stream) {
    ASSERT_STATUS(append(f->store, stream, "a", "t", NULL), TYCHO_OK);
    ASSERT_STATUS(append(f->store, stream, "b", "u", "x"), TYCHO_OK);
    ASSERT_STATUS(append(f->store, stream, "c", "t", "x"), TYCHO_OK);
}

enum change { LINK, UNLINK, DELETE, ROUTE };

/* Commits one operation on the stream; `what` is an event's id or the target of a route. */
static inline int change(tycho_store *store, enum change kind, const char *stream,
                         const char *what) {
    const tycho_bytes id = text(what);
    tycho_batch *batch;
    int status = tycho_batch_create(&batch);
    if (status != TYCHO_OK) return status;
    switch (kind) {
    case LINK:
        status = tycho_batch_link(batch, text(stream), TYCHO_EXPECT_ANY, &id, 1, 0);
        break;
    case UNLINK:
        status = tycho_batch_unlink(batch, text(stream), &id, 1, 0);
        break;
    case DELETE:
        status = tycho_batch_delete_stream(batch, text(stream), TYCHO_RAW);
        break;
    case ROUTE:
        status = tycho_batch_set_route(batch, text(stream), id, 0);
        break;
    }
    if (status == TYCHO_OK) status = tycho_commit(store, batch, NULL);
    tycho_batch_destroy(batch);
    return status;
}

/* As a stream switch does it: the target has all that the source has, and the old name leads to
** it. */
static inline int rename_stream(tycho_store *store, const char *from, const char *to) {
    tycho_batch *batch;
    int status = tycho_batch_create(&batch);
    if (status != TYCHO_OK) return status;
    status = tycho_batch_link_range(batch, text(from), 0, -1, text(to), TYCHO_EXPECT_ANY,
                                    TYCHO_SKIP_DUPLICATES);
    if (status == TYCHO_OK) status = tycho_batch_set_route(batch, text(from), text(to), 0);
    if (status == TYCHO_OK) status = tycho_commit(store, batch, NULL);
    tycho_batch_destroy(batch);
    return status;
}

static inline tycho_read reading(const char *stream) {
    tycho_read read = {.size = sizeof read, .stream = text(stream)};
    return read;
}

static inline tycho_follower *follow(tycho_store *store, const tycho_read *read) {
    tycho_follower *follower;
    ASSERT_STATUS(tycho_follower_open(store, read, &follower), TYCHO_OK);
    return follower;
}

/* The ids that are there now, with a space behind each, must be these. */
static inline void assert_serves(tycho_follower *follower, const char *expected) {
    char got[512] = "";
    size_t size = 0;
    tycho_event event;
    int status;
    while ((status = tycho_follower_next(follower, 0, &event)) == TYCHO_OK) {
        assert_true(size + event.id.size + 2 < sizeof got);
        size += (size_t)snprintf(got + size, sizeof got - size, "%.*s ", (int)event.id.size,
                                 (const char *)event.id.data);
    }
    if (status != TYCHO_TIMEOUT && status != TYCHO_END) {
        fail_msg("next() gives %s: %s", tycho_status_code(status), tycho_error());
    }
    assert_string_equal(got, expected);
}

/* The next event must be this one. */
static inline void assert_next(tycho_follower *follower, int64_t timeout_ms, const char *id) {
    tycho_event event;
    ASSERT_STATUS(tycho_follower_next(follower, timeout_ms, &event), TYCHO_OK);
    assert_bytes(event.id, text(id));
}

#endif
