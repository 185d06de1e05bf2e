/* text_threads_test.c - UUIDv7 made by many threads: no two are equal, and one that was made after
** another, by whichever thread, is greater.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>

#include "text.h"

enum { THREADS = 8, IDS = 5000 };

static uint8_t ids[THREADS * IDS][TYCHO__UUID_BYTES];

static struct {
    pthread_mutex_t mutex;
    uint8_t last[TYCHO__UUID_BYTES];
    int falls;
} shared = {.mutex = PTHREAD_MUTEX_INITIALIZER};

/* Half of them under a lock, where the order between threads is known. */
static void *make_ids(void *context) {
    uint8_t(*own)[TYCHO__UUID_BYTES] = context;
    for (int i = 0; i < IDS; i += 2) {
        tycho__uuid_next(own[i]);
        pthread_mutex_lock(&shared.mutex);
        tycho__uuid_next(own[i + 1]);
        if (memcmp(own[i + 1], shared.last, TYCHO__UUID_BYTES) <= 0) shared.falls++;
        memcpy(shared.last, own[i + 1], TYCHO__UUID_BYTES);
        pthread_mutex_unlock(&shared.mutex);
    }
    return NULL;
}

static int compare_ids(const void *a, const void *b) {
    return memcmp(a, b, TYCHO__UUID_BYTES);
}

static void rise_in_all_threads_together(void **state) {
    pthread_t threads[THREADS];
    (void)state;
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, make_ids, &ids[i * IDS]), 0);
    }
    for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(shared.falls, 0);
    for (int i = 0; i < THREADS * IDS; i++) {
        if (i % IDS > 0) assert_true(compare_ids(ids[i - 1], ids[i]) < 0);
    }
    qsort(ids, THREADS * IDS, sizeof *ids, compare_ids);
    for (int i = 1; i < THREADS * IDS; i++) {
        /* the random half alone would differ, too: the stamps must */
        assert_true(memcmp(ids[i - 1], ids[i], 8) < 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rise_in_all_threads_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
