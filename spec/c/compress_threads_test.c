/* compress_threads_test.c - threads that write and read while another learns dictionaries and ends
** compression: each event is as it was written, whichever dictionary it met. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <pthread.h>

#include "compress_values.h"

enum { WRITERS = 2, READERS = 3, ROUNDS = 60, EACH = 5, LESSONS = 3 };

typedef struct job {
    tycho_store *store;
    unsigned number;
    int status; /* of the first call that failed */
    atomic_uint *writing;
} job;

/* The data says by its number what it must be. */
static bool is_right(const tycho_event *event) {
    char data[512], id[TYCHO_ID_MAX + 1];
    unsigned n;
    snprintf(id, sizeof id, "%.*s", (int)event->id.size, (const char *)event->id.data);
    if (sscanf(id, "event-%u", &n) != 1 && sscanf(id, "w%*u-%u", &n) != 1) return false;
    size_t size = data_of(n, data);
    return size == event->data.size && memcmp(data, event->data.data, size) == 0;
}

static void *write_events(void *context) {
    job *own = context;
    char data[512], id[32];
    for (unsigned n = 0; n < ROUNDS * EACH && own->status == TYCHO_OK; n++) {
        snprintf(id, sizeof id, "w%u-%u", own->number, n);
        const tycho_new_event event = {
            .id = text(id), .type = text("order.placed"), .data = bytes_of(data, data_of(n, data))};
        own->status = commit_event(own->store, "orders", &event);
    }
    atomic_fetch_sub(own->writing, 1);
    return NULL;
}

static void *read_events(void *context) {
    job *own = context;
    const tycho_read read = {.size = sizeof read,
                             .flags = own->number % 2 == 0 ? TYCHO_READ_BACKWARD : 0u};
    bool is_last = false;
    while (!is_last && own->status == TYCHO_OK) {
        tycho_cursor *cursor;
        tycho_event event;
        is_last = atomic_load(own->writing) == 0;
        int status = tycho_cursor_open(own->store, &read, &cursor);
        while (status == TYCHO_OK) {
            status = tycho_cursor_next(cursor, &event);
            if (status == TYCHO_OK && !is_right(&event)) status = TYCHO_CORRUPT;
        }
        tycho_cursor_close(cursor);
        if (status != TYCHO_END) own->status = status;
    }
    return NULL;
}

static void *learn_dictionaries(void *context) {
    job *own = context;
    uint32_t percent;
    for (int i = 0; i < LESSONS && own->status == TYCHO_OK; i++) {
        own->status = tycho_compress(own->store, 500, &percent);
        if (own->status == TYCHO_OK && i == 1) {
            own->status = tycho_compress(own->store, TYCHO_COMPRESS_OFF, &percent);
        }
    }
    return NULL;
}

static void events_are_right_whichever_dictionary_they_meet(void **state) {
    fixture *f = *state;
    pthread_t threads[WRITERS + READERS + 1];
    job jobs[WRITERS + READERS + 1];
    atomic_uint writing = WRITERS;
    const size_t count = sizeof threads / sizeof *threads;
    fill(f->store, 1, FILLED);
    learn(f->store);
    for (unsigned i = 0; i < count; i++) {
        jobs[i] = (job){.store = f->store, .number = i, .status = TYCHO_OK, .writing = &writing};
        void *(*run)(void *) = i < WRITERS             ? write_events
                               : i < WRITERS + READERS ? read_events
                                                       : learn_dictionaries;
        assert_int_equal(pthread_create(&threads[i], NULL, run, &jobs[i]), 0);
    }
    for (size_t i = 0; i < count; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (size_t i = 0; i < count; i++) ASSERT_STATUS(jobs[i].status, TYCHO_OK);
    assert_int_equal(stats_of(f->store).events, FILLED + WRITERS * ROUNDS * EACH);
    assert_int_equal(stats_of(f->store).dictionary, 1 + LESSONS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(events_are_right_whichever_dictionary_they_meet, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
