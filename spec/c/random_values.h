/* random_values.h - random values for tests of codecs: splitmix64 from a fixed seed, or from
** $TYCHO_SEED. To be included behind cmocka.h.
*/
#ifndef TYCHO_SPEC_RANDOM_VALUES_H
#define TYCHO_SPEC_RANDOM_VALUES_H

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static uint64_t random_state;

static inline void start_random(void) {
    const char *text = getenv("TYCHO_SEED");

    random_state = text != NULL ? strtoull(text, NULL, 10) : 20260731;
    print_message("# TYCHO_SEED=%llu\n", (unsigned long long)random_state);
}

static inline uint64_t next_random(void) {
    uint64_t z;

    random_state += UINT64_C(0x9e3779b97f4a7c15);
    z = random_state;
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static inline uint64_t below(uint64_t limit) {
    return next_random() % limit;
}

/* Any width is as likely as any other. */
static inline uint64_t random_width(void) {
    return next_random() >> below(64);
}

static inline double random_double(void) {
    double value;

    do {
        uint64_t bits = next_random();
        memcpy(&value, &bits, sizeof value);
    } while (!isfinite(value));
    return below(2) == 0 ? value : (double)(int64_t)random_width() / 1000.0;
}

#endif
