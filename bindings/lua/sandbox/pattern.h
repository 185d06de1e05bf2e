/* pattern.h - Lua patterns, matched with a bound on the work. Pure C: knows no Lua state.
**
** Items of a pattern do not nest, so a path through it visits each at most once, and what is left
** to try is one frame an item that has more than one way. The matcher is a loop over such frames:
** it does not recurse, and allocates nothing.
**
**     frame      ways left
**     OPTIONAL   go on behind the item without it
**     GREEDY     one repetition less, down to `low`
**     LAZY       one repetition more
**     OPEN       none: the capture is taken back
**     CLOSE      none: the end of the capture is taken back
*/
#ifndef TYCHO_SANDBOX_PATTERN_H
#define TYCHO_SANDBOX_PATTERN_H

#include <stddef.h>
#include <stdint.h>

enum {
    TYCHO__PATTERN_CAPTURES_MAX = 32,
    TYCHO__PATTERN_FRAMES_MAX = 200,
    TYCHO__PATTERN_OPEN = -1,    /* size of a capture whose end is not there yet */
    TYCHO__PATTERN_POSITION = -2 /* size of a capture that is a position */
};

struct tycho__pattern_frame {
    int kind;
    int capture;         /* CLOSE: which one */
    const char *item;    /* LAZY: what is repeated */
    const char *next;    /* where the pattern goes on */
    const char *low;     /* GREEDY: where the subject may go on at the least */
    const char *current; /* where the subject went on last */
};

struct tycho__pattern {
    const char *subject, *subject_end;
    const char *text, *text_end; /* of the pattern, behind its anchor */
    uint64_t steps;              /* taken so far, in all matches */
    uint64_t steps_max;          /* then the match ends with `is_exhausted` */
    int is_exhausted;
    const char *fault; /* what is wrong with the pattern: a sentence, or NULL */
    int capture_count;
    struct {
        const char *start;
        ptrdiff_t size;
    } captures[TYCHO__PATTERN_CAPTURES_MAX];
    int frame_count;
    struct tycho__pattern_frame *frames;
};

/* Sets all but subject and text, which the caller does. `frames` are TYCHO__PATTERN_FRAMES_MAX,
** used within each match alone. */
void tycho__pattern_begin(struct tycho__pattern *pattern, struct tycho__pattern_frame *frames,
                          uint64_t steps_max);

/* Matches at `at` in the subject. Returns where the match ends, or NULL: none, or exhausted, or a
** fault. */
const char *tycho__pattern_match(struct tycho__pattern *pattern, const char *at);

#endif
