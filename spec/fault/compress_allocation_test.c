/* compress_allocation_test.c - every allocation fails once, or from there on, while a dictionary is
** about to be learnt and while events are compressed and decompressed: the answer is NO_MEMORY or
** right, and the store stays whole. (While zstd digests a dictionary to compress with, none may
** fail: see tycho__digest_room().) */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <dlfcn.h>
#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>

#include "compress_values.h"
#include "failing_memory.h"

enum { EVENTS = 130, ROUNDS = 60 };

/* Pre-empts that of zstd, also for its own calls, which does not look whether it got what it asks
** for: in it, memory does not lack. */
EXPORTED ZSTD_CDict *ZSTD_createCDict_advanced2(const void *bytes, size_t size,
                                                ZSTD_dictLoadMethod_e load,
                                                ZSTD_dictContentType_e type,
                                                const ZSTD_CCtx_params *parameters,
                                                ZSTD_customMem memory) {
    static __typeof__(ZSTD_createCDict_advanced2) *next;
    bool was_armed = is_armed;
    is_armed = false;
    if (next == NULL) *(void **)&next = dlsym(RTLD_NEXT, "ZSTD_createCDict_advanced2");
    ZSTD_CDict *made = next(bytes, size, load, type, parameters, memory);
    is_armed = was_armed;
    return made;
}

/* Fails, or does what it is for. */
typedef int step(fixture *f);

static int learn_step(fixture *f) {
    uint32_t percent;
    int status = tycho_compress(f->store, 0, &percent);
    return status == TYCHO_NOT_FOUND ? TYCHO_OK : status; /* too few events */
}

static int write_step(fixture *f) {
    static unsigned n;
    char data[512], id[32];
    snprintf(id, sizeof id, "more-%u", n++);
    const tycho_new_event event = {
        .id = text(id), .type = text("order.placed"), .data = bytes_of(data, data_of(n, data))};
    return commit_event(f->store, "more", &event);
}

static int overwrite_step(fixture *f) {
    char data[512];
    const tycho_new_event event = {.id = text("event-5"),
                                   .type = text("order.placed"),
                                   .data = bytes_of(data, data_of(5, data))};
    tycho_batch_clear(f->batch);
    int status = tycho_batch_overwrite(f->batch, &event, 1);
    return status == TYCHO_OK ? tycho_commit(f->store, f->batch, NULL) : status;
}

static int read_step(fixture *f) {
    const tycho_read read = {.size = sizeof read, .flags = TYCHO_READ_BACKWARD, .limit = 20};
    tycho_cursor *cursor;
    tycho_event event;
    int status = tycho_cursor_open(f->store, &read, &cursor);
    while (status == TYCHO_OK) status = tycho_cursor_next(cursor, &event);
    tycho_cursor_close(cursor);
    return status == TYCHO_END ? TYCHO_OK : status;
}

static int pack_step(fixture *f) {
    const tycho_read read = {.size = sizeof read, .flags = TYCHO_READ_LAST};
    tycho_cursor *cursor;
    tycho_event event;
    int status = tycho_cursor_open(f->store, &read, &cursor);
    if (status == TYCHO_OK) status = tycho_cursor_next(cursor, &event);
    if (status == TYCHO_OK) status = tycho_cursor_pack(cursor, &event);
    if (status == TYCHO_OK) status = tycho_event_unpack(&event, NULL);
    if (status == TYCHO_OK) assert_is(&event, EVENTS + 20);
    tycho_cursor_close(cursor);
    return status;
}

/* Runs the step with the n-th allocation failing; gives how many there were. */
static long run(fixture *f, step *what, long n, bool lasting, bool is_fresh) {
    if (is_fresh) reopen(f); /* nothing is known of dictionaries */
    fail_allocation(n, lasting);
    is_armed = true;
    int status = what(f);
    is_armed = false;
    bool was_hurt = atomic_load(&has_failed);
    assert_true(status == TYCHO_OK || (was_hurt && status == TYCHO_NO_MEMORY));
    return atomic_load(&calls);
}

/* All allocations of a step, or as many as there are rounds, evenly. */
static void fail_each(fixture *f, step *what, bool is_fresh) {
    long count = run(f, what, -1, false, is_fresh);
    long stride = count / ROUNDS + 1;
    assert_true(count > 0);
    for (long n = 0; n < count; n += stride) {
        run(f, what, n, false, is_fresh);
        run(f, what, n, true, is_fresh);
    }
    ASSERT_STATUS(what(f), TYCHO_OK);
}

static void nothing_is_learnt_without_memory(void **state) {
    fixture *f = *state;
    fill(f->store, 1, 90);
    fail_each(f, learn_step, false);
    assert_int_equal(stats_of(f->store).dictionary, 0);
    assert_log(f->store, NULL, 90);
}

static void a_dictionary_is_learnt_or_not(void **state) {
    fixture *f = *state;
    fill(f->store, 1, EVENTS);
    fail_each(f, learn_step, false);
    assert_true(stats_of(f->store).dictionary > 0);
    fill(f->store, EVENTS + 1, EVENTS + 20);
    assert_log(f->store, NULL, EVENTS + 20);
}

static void zstd_is_not_begun_without_memory(void **state) {
    fixture *f = *state;
    uint32_t percent;
    fill(f->store, 1, EVENTS);
    ASSERT_STATUS(tycho__digest_room(1 << 20), TYCHO_OK);
    fail_allocation(0, true);
    is_armed = true;
    int status = tycho__digest_room(1 << 20);
    is_armed = false;
    ASSERT_STATUS(status, TYCHO_NO_MEMORY);
    ASSERT_STATUS(tycho_compress(f->store, 0, &percent), TYCHO_OK);
}

static void events_are_written_compressed_or_not_at_all(void **state) {
    fixture *f = *state;
    fill(f->store, 1, EVENTS);
    learn(f->store);
    ASSERT_STATUS(write_step(f), TYCHO_OK); /* the dictionary is digested */
    fail_each(f, write_step, false);
    fail_each(f, overwrite_step, false);
    stored counts = count_stored(f->store);
    assert_int_equal(counts.plain, EVENTS - 1);
    assert_true(counts.compressed > 2);
}

static void events_are_read_or_not(void **state) {
    fixture *f = *state;
    fill(f->store, 1, EVENTS);
    learn(f->store);
    fill(f->store, EVENTS + 1, EVENTS + 20);
    fail_each(f, read_step, true);
    fail_each(f, pack_step, true);
    assert_log(f->store, NULL, EVENTS + 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_is_learnt_without_memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_dictionary_is_learnt_or_not, set_up, tear_down),
        cmocka_unit_test_setup_teardown(zstd_is_not_begun_without_memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(events_are_written_compressed_or_not_at_all, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(events_are_read_or_not, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
