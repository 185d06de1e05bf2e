/* pattern.c - the matcher of Lua patterns, as the Lua manual describes them. See pattern.h.
*/
#include "pattern.h"

#include <string.h>

enum { OPTIONAL, GREEDY, LAZY, OPEN, CLOSE };

static inline int is_between(int character, int low, int high) {
    return character >= low && character <= high;
}

/* 1 when the character is in the class of this letter ('a', 'd', ...; upper case: is not). ASCII
** alone, whatever the locale. */
static int is_in_class(int character, int letter) {
    int c = character, is_lower = is_between(c, 'a', 'z'), is_upper = is_between(c, 'A', 'Z');
    int is_digit = is_between(c, '0', '9'), is_in;
    switch (letter | 0x20) {
    case 'a':
        is_in = is_lower || is_upper;
        break;
    case 'c':
        is_in = c < 0x20 || c == 0x7f;
        break;
    case 'd':
        is_in = is_digit;
        break;
    case 'g':
        is_in = is_between(c, 0x21, 0x7e);
        break;
    case 'l':
        is_in = is_lower;
        break;
    case 'p':
        is_in = is_between(c, 0x21, 0x7e) && !is_lower && !is_upper && !is_digit;
        break;
    case 's':
        is_in = c == ' ' || is_between(c, '\t', '\r');
        break;
    case 'u':
        is_in = is_upper;
        break;
    case 'w':
        is_in = is_lower || is_upper || is_digit;
        break;
    case 'x':
        is_in = is_digit || is_between(c | 0x20, 'a', 'f');
        break;
    case 'z':
        is_in = c == 0;
        break; /* not in the manual any more */
    default:
        return c == letter;
    }
    return is_between(letter, 'A', 'Z') ? !is_in : is_in;
}

/* Sets the first fault; always NULL. */
static const char *fail(struct tycho__pattern *pattern, const char *fault) {
    if (pattern->fault == NULL) pattern->fault = fault;
    return NULL;
}

/* 0 when there are no steps left for this many more. */
static int step(struct tycho__pattern *pattern, size_t count) {
    pattern->steps += count;
    if (pattern->steps <= pattern->steps_max) return 1;
    pattern->is_exhausted = 1;
    return 0;
}

/* ---------------------------------------------------------------- one character */

/* Where the item for one character at `item` ends, before its repetition; NULL for a fault. */
static const char *item_end(struct tycho__pattern *pattern, const char *item) {
    const char *end = pattern->text_end, *at = item + 1;
    if (*item == '%') {
        if (at == end) return fail(pattern, "malformed pattern (ends with '%')");
        return at + 1;
    }
    if (*item != '[') return at;
    if (at < end && *at == '^') at++;
    do { /* a bracket that comes first is one of the set */
        if (at == end) return fail(pattern, "malformed pattern (missing ']')");
        if (*at++ == '%' && at < end) at++;
    } while (at == end || *at != ']');
    return at + 1;
}

/* 1 when the character is in the set from `set`, at its '[', to `last`, at its ']'. */
static int is_in_set(struct tycho__pattern *pattern, int c, const char *set, const char *last) {
    const char *at = set + 1;
    int is_positive = *at != '^';
    if (!is_positive) at++;
    if (!step(pattern, (size_t)(last - set) / 4)) return 0;
    while (at < last) {
        if (*at == '%') {
            if (is_in_class(c, (unsigned char)at[1])) return is_positive;
            at += 2;
        } else if (last - at > 2 && at[1] == '-') {
            if (is_between(c, (unsigned char)at[0], (unsigned char)at[2])) return is_positive;
            at += 3;
        } else {
            if (c == (unsigned char)*at) return is_positive;
            at++;
        }
    }
    return !is_positive;
}

/* 1 when the item matches the character at `at`, which may be the end of the subject. */
static int is_match(struct tycho__pattern *pattern, const char *at, const char *item,
                    const char *end) {
    if (at >= pattern->subject_end || !step(pattern, 1)) return 0;
    int c = (unsigned char)*at;
    switch (*item) {
    case '.':
        return 1;
    case '%':
        return is_in_class(c, (unsigned char)item[1]);
    case '[':
        return is_in_set(pattern, c, item, end - 1);
    default:
        return c == (unsigned char)*item;
    }
}

/* ---------------------------------------------------------------- frames and captures */

/* A new frame on top, or NULL: too many. */
static struct tycho__pattern_frame *push(struct tycho__pattern *pattern, int kind, const char *next,
                                         const char *current) {
    if (pattern->frame_count == TYCHO__PATTERN_FRAMES_MAX) {
        fail(pattern, "pattern too complex");
        return NULL;
    }
    struct tycho__pattern_frame *frame = &pattern->frames[pattern->frame_count++];
    frame->kind = kind;
    frame->next = next;
    frame->current = current;
    return frame;
}

static int open_capture(struct tycho__pattern *pattern, const char *at, ptrdiff_t size) {
    if (pattern->capture_count == TYCHO__PATTERN_CAPTURES_MAX) {
        fail(pattern, "too many captures");
        return 0;
    }
    if (push(pattern, OPEN, NULL, at) == NULL) return 0;
    pattern->captures[pattern->capture_count].start = at;
    pattern->captures[pattern->capture_count].size = size;
    pattern->capture_count++;
    return 1;
}

static int close_capture(struct tycho__pattern *pattern, const char *at) {
    int capture = pattern->capture_count - 1;
    while (capture >= 0 && pattern->captures[capture].size != TYCHO__PATTERN_OPEN) capture--;
    if (capture < 0) {
        fail(pattern, "invalid pattern capture");
        return 0;
    }
    struct tycho__pattern_frame *frame = push(pattern, CLOSE, NULL, at);
    if (frame == NULL) return 0;
    frame->capture = capture;
    pattern->captures[capture].size = at - pattern->captures[capture].start;
    return 1;
}

/* ---------------------------------------------------------------- items that are not repeated
** Each returns where the subject goes on, or NULL. */

/* %bxy at `item`. */
static const char *match_balance(struct tycho__pattern *pattern, const char *at, const char *item) {
    if (pattern->text_end - item < 4) {
        return fail(pattern, "malformed pattern (missing arguments to '%b')");
    }
    if (at >= pattern->subject_end || *at != item[2]) return NULL;
    int64_t depth = 1;
    for (const char *scan = at + 1; scan < pattern->subject_end; scan++) {
        if (!step(pattern, 1)) return NULL;
        if (*scan == item[3]) {
            if (--depth == 0) return scan + 1;
        } else if (*scan == item[2]) {
            depth++;
        }
    }
    return NULL;
}

/* %f[set], whose set is from `set` to before `end`: between a character that is not in it and one
** that is; before and behind the subject is a zero. */
static const char *match_frontier(struct tycho__pattern *pattern, const char *at, const char *set,
                                  const char *end) {
    int before = at == pattern->subject ? 0 : (unsigned char)at[-1];
    int here = at == pattern->subject_end ? 0 : (unsigned char)*at;
    if (!step(pattern, 2) || is_in_set(pattern, before, set, end - 1)) return NULL;
    return is_in_set(pattern, here, set, end - 1) ? at : NULL;
}

/* %1 to %9. */
static const char *match_capture(struct tycho__pattern *pattern, const char *at, int digit) {
    int capture = digit - '1';
    if (capture < 0 || capture >= pattern->capture_count ||
        pattern->captures[capture].size == TYCHO__PATTERN_OPEN) {
        return fail(pattern, "invalid capture index in pattern");
    }
    if (pattern->captures[capture].size == TYCHO__PATTERN_POSITION) return NULL;
    size_t size = (size_t)pattern->captures[capture].size;
    if ((size_t)(pattern->subject_end - at) < size) return NULL;
    if (!step(pattern, 1 + size / 4)) return NULL;
    return memcmp(pattern->captures[capture].start, at, size) == 0 ? at + size : NULL;
}

/* ---------------------------------------------------------------- the loop */

/* Takes one item at *item, with the subject at `at`: where the subject goes on, and *item then is
** the next item; or NULL. */
static const char *take_single(struct tycho__pattern *pattern, const char *at, const char **item) {
    const char *single = *item, *end = item_end(pattern, single);
    if (end == NULL || !step(pattern, 1 + (size_t)(end - single) / 4)) return NULL;
    int repetition = end < pattern->text_end ? *end : '\0';
    const char *low = at;
    switch (repetition) {
    case '?':
        *item = end + 1;
        if (!is_match(pattern, at, single, end)) return at;
        return push(pattern, OPTIONAL, end + 1, at) != NULL ? at + 1 : NULL;
    case '+':
        if (!is_match(pattern, at, single, end)) return NULL;
        low = ++at;
        /* fall through */
    case '*':
        *item = end + 1;
        while (is_match(pattern, at, single, end)) at++;
        if (at == low) return at;
        struct tycho__pattern_frame *frame = push(pattern, GREEDY, end + 1, at);
        if (frame == NULL) return NULL;
        frame->low = low;
        return at;
    case '-':
        *item = end + 1;
        frame = push(pattern, LAZY, end + 1, at);
        if (frame == NULL) return NULL;
        frame->item = single;
        return at;
    default:
        *item = end;
        return is_match(pattern, at, single, end) ? at + 1 : NULL;
    }
}

static const char *take_escape(struct tycho__pattern *pattern, const char *at, const char **item) {
    const char *start = *item, *end = pattern->text_end;
    int letter = start + 1 < end ? (unsigned char)start[1] : 0;
    if (letter == 'b') {
        *item = start + 4;
        return match_balance(pattern, at, start);
    }
    if (letter == 'f') {
        if (start + 2 >= end || start[2] != '[') {
            return fail(pattern, "missing '[' after '%f' in pattern");
        }
        *item = item_end(pattern, start + 2);
        return *item != NULL ? match_frontier(pattern, at, start + 2, *item) : NULL;
    }
    if (is_between(letter, '0', '9')) {
        *item = start + 2;
        return match_capture(pattern, at, letter);
    }
    return take_single(pattern, at, item);
}

static const char *take(struct tycho__pattern *pattern, const char *at, const char **item) {
    const char *start = *item;
    switch (*start) {
    case '(':
        if (start + 1 < pattern->text_end && start[1] == ')') {
            *item = start + 2;
            return open_capture(pattern, at, TYCHO__PATTERN_POSITION) ? at : NULL;
        }
        *item = start + 1;
        return open_capture(pattern, at, TYCHO__PATTERN_OPEN) ? at : NULL;
    case ')':
        *item = start + 1;
        return close_capture(pattern, at) ? at : NULL;
    case '$':
        if (start + 1 != pattern->text_end) return take_single(pattern, at, item);
        *item = start + 1;
        return at == pattern->subject_end ? at : NULL;
    case '%':
        return take_escape(pattern, at, item);
    default:
        return take_single(pattern, at, item);
    }
}

/* Goes back to the last item that has another way: where the subject goes on, and *item is the next
** item; NULL when there is none. */
static const char *take_back(struct tycho__pattern *pattern, const char **item) {
    while (pattern->frame_count > 0 && pattern->fault == NULL && step(pattern, 1)) {
        struct tycho__pattern_frame *frame = &pattern->frames[pattern->frame_count - 1];
        *item = frame->next;
        switch (frame->kind) {
        case OPEN:
            pattern->capture_count--;
            break;
        case CLOSE:
            pattern->captures[frame->capture].size = TYCHO__PATTERN_OPEN;
            break;
        case OPTIONAL:
            pattern->frame_count--;
            return frame->current;
        case GREEDY:
            if (frame->current > frame->low) return --frame->current;
            break;
        default:
            if (is_match(pattern, frame->current, frame->item, frame->next - 1)) {
                return ++frame->current;
            }
        }
        pattern->frame_count--;
    }
    return NULL;
}

void tycho__pattern_begin(struct tycho__pattern *pattern, struct tycho__pattern_frame *frames,
                          uint64_t steps_max) {
    pattern->frames = frames;
    pattern->steps = 0;
    pattern->steps_max = steps_max;
    pattern->is_exhausted = 0;
    pattern->fault = NULL;
    pattern->capture_count = 0;
    pattern->frame_count = 0;
}

const char *tycho__pattern_match(struct tycho__pattern *pattern, const char *at) {
    const char *item = pattern->text;
    pattern->capture_count = 0;
    pattern->frame_count = 0;
    while (at != NULL && item != pattern->text_end) {
        at = take(pattern, at, &item);
        if (at == NULL) at = take_back(pattern, &item);
    }
    return pattern->is_exhausted || pattern->fault != NULL ? NULL : at;
}
