/* check.h - what a store must be after a power cut. */
#ifndef POWER_CHECK_H
#define POWER_CHECK_H

#include <stdbool.h>
#include <stdint.h>

/* What a disk was found to hold. */
enum finding {
    FOUND_GOOD = 0, /* a state that was, with all that must be there */
    FOUND_LOST,     /* a state that was, before the last that must be there */
    FOUND_CLOSED,   /* the store does not open */
    FOUND_HURT,     /* it cannot be read, or verify complains */
    FOUND_STRANGE,  /* a state that never was */
    FOUND_STUCK,    /* it cannot be written any more */
    FOUND_CRASHED,  /* who looks at it is killed by a signal */
    FINDINGS
};
extern const char *const FINDING_NAMES[FINDINGS];

/* What is known of the store at a moment; `states` gives the hash of the state after each batch. */
struct known {
    uint64_t acknowledged; /* the last batch of which somebody was told */
    uint64_t needed;       /* the last batch that must be there */
    uint64_t token;        /* the highest token of a lock that somebody was given */
    bool is_there;         /* somebody had the store open */
    bool is_thorough;      /* verify it again when it was written to */
    const uint64_t *states;
    uint64_t state_count;
};

struct verdict {
    enum finding finding;
    uint64_t sequence, hash;
    char text[300];
};

/* Opens the store at `path` and tells its state, which must be healthy. */
void look(const char *path, struct verdict *verdict);
/* Judges the store at `path`, and goes on to write to it. */
void judge(const char *path, const struct known *known, struct verdict *verdict);

#endif
