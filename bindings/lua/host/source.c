/* source.c - what the compiler would take, but scripts may not have.
**
** The operator `^`: pow() is not exact, and its last bit differs between versions of the C library
** and between processors; there is no other way to take the operator out of the language.
**
** More than JUMPS_MAX of the words and, or, elseif, break, goto, and of labels: the compiler
** follows the list of jumps to one place for each jump that it adds. A source of 256 KiB that is
** nothing but "a or a or a ..." keeps it busy for ten seconds; with this limit, for a tenth of one.
**
** Walks over the text as Lua's lexer does: comments and strings hide what is in them.
*/
#include "state.h"

#include <string.h>

enum { JUMPS_MAX = 5000 };

/* The level of a long bracket that opens at `at` ("[==[" has 2), or -1. */
static int long_bracket(const char *at, const char *end) {
    int level = 0;
    if (at == end || *at != '[') return -1;
    for (at++; at < end && *at == '='; at++) level++;
    return at < end && *at == '[' ? level : -1;
}

/* Behind the long bracket of this level that closes; the end when there is none. */
static const char *skip_long(const char *at, const char *end, int level) {
    for (; at < end; at++) {
        if (*at != ']' || end - at < level + 2) continue;
        int equals = 0;
        while (equals < level && at[1 + equals] == '=') equals++;
        if (equals == level && at[1 + level] == ']') return at + level + 2;
    }
    return end;
}

/* Behind the quoted string at `at`; an escape hides the character behind it. */
static const char *skip_quoted(const char *at, const char *end) {
    char quote = *at++;
    while (at < end && *at != quote) at += *at == '\\' && end - at > 1 ? 2 : 1;
    return at < end ? at + 1 : end;
}

/* Behind the comment at `at`, which is at its "--". */
static const char *skip_comment(const char *at, const char *end) {
    int level = long_bracket(at + 2, end);
    if (level >= 0) return skip_long(at + 2 + level + 2, end, level);
    const char *line = memchr(at, '\n', (size_t)(end - at));
    return line != NULL ? line : end;
}

static int is_word_byte(char byte) {
    int letter = byte | 0x20;
    return (letter >= 'a' && letter <= 'z') || (byte >= '0' && byte <= '9') || byte == '_';
}

/* Behind the word at `at`; counts it when it jumps. */
static const char *skip_word(const char *at, const char *end, int *jumps) {
    static const char *const words[] = {"and", "or", "elseif", "break", "goto"};
    const char *start = at;
    while (at < end && is_word_byte(*at)) at++;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t size = strlen(words[i]);
        *jumps += (size_t)(at - start) == size && memcmp(start, words[i], size) == 0;
    }
    return at;
}

/* Behind what is at `at`, which is not a '^'. */
static const char *skip_item(const char *at, const char *end, int *jumps) {
    int level = long_bracket(at, end);
    if (level >= 0) return skip_long(at + level + 2, end, level);
    if (*at == '"' || *at == '\'') return skip_quoted(at, end);
    if (end - at > 1 && at[0] == '-' && at[1] == '-') return skip_comment(at, end);
    if (is_word_byte(*at)) return skip_word(at, end, jumps);
    *jumps += end - at > 1 && at[0] == ':' && at[1] == ':';
    return at + 1;
}

int tycho__host_check_source(lua_State *L, const char *name, const char *source, size_t size) {
    const char *at = source, *end = source + size;
    int jumps = 0;
    while (at < end && *at != '^' && jumps <= JUMPS_MAX) at = skip_item(at, end, &jumps);
    if (at == end && jumps <= JUMPS_MAX) return 0;
    int line = 1;
    for (; source < at; source++) line += *source == '\n';
    if (jumps > JUMPS_MAX) {
        lua_pushfstring(L,
                        "%s:%d: there are more than %d of and, or, elseif, break, goto and "
                        "labels up to here",
                        name, line, JUMPS_MAX);
    } else {
        lua_pushfstring(L,
                        "%s:%d: there is no operator '^' for scripts: its last bit differs "
                        "between machines; multiply instead",
                        name, line);
    }
    return 1;
}
