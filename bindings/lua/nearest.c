/* nearest.c - the word that somebody may have meant. */
#include "nearest.h"

#include <string.h>

enum { WORD_MAX = 32 };

/* Levenshtein's distance of two words of at most WORD_MAX bytes; 1 when a word of three or more
** letters begins the other. */
static size_t distance(const char *a, const char *b) {
    size_t row[WORD_MAX + 1];
    const size_t height = strlen(a), width = strlen(b), least = height < width ? height : width;

    if (least >= 3 && memcmp(a, b, least) == 0) return height == width ? 0 : 1;
    for (size_t j = 0; j <= width; j++) row[j] = j;
    for (size_t i = 0; i < height; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < width; j++) {
            const size_t replace = diagonal + (a[i] != b[j]);
            const size_t shift = (row[j] < row[j + 1] ? row[j] : row[j + 1]) + 1;
            diagonal = row[j + 1];
            row[j + 1] = replace < shift ? replace : shift;
        }
    }
    return row[width];
}

const char *tycho__nearest(const char *word, const char *const *names, size_t count) {
    const char *best = NULL;
    size_t best_distance = 3;

    if (strlen(word) > WORD_MAX) return NULL;
    for (size_t i = 0; i < count; i++) {
        if (strlen(names[i]) > WORD_MAX) continue;
        const size_t found = distance(word, names[i]);
        if (found < best_distance && found < strlen(names[i])) {
            best = names[i];
            best_distance = found;
        }
    }
    return best;
}
