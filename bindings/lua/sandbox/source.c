/* source.c - what the compiler would take, but scripts may not have.
**
** Bytecode.
**
** The operator `^`: pow() is not exact, and its last bit differs between versions of the C library
** and between processors; there is no other way to take the operator out of the language.
**
** More than JUMPS_MAX of the words and, or, elseif, break, goto, and of labels: the compiler
** follows the list of jumps to one place for each jump that it adds. A source of 256 KiB that is
** nothing but "a or a or a ..." keeps it busy for ten seconds; with this limit, for a tenth of one.
**
** More than LOOKUPS_MAX searches for names: each word is looked for in the function where it is and
** in all those around it, each of which may have 200 locals and 255 upvalues. A word counts once
** for each of these functions. 60,000 globals within 180 functions keep the compiler busy for six
** seconds; with this limit no source does for half of one.
**
** Walks over the text as Lua's lexer does: comments and strings hide what is in them.
*/
#include "state.h"

#include <string.h>

enum { JUMPS_MAX = 5000, LOOKUPS_MAX = 500000, BLOCKS_MAX = 256 };

/* The walk. The compiler refuses blocks within each other long before there are BLOCKS_MAX. */
struct scan {
    const char *at;
    const char *end;
    int jumps;
    int lookups;
    int blocks;    /* that are open here */
    int functions; /* among them */
    char is_function[BLOCKS_MAX];
};

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

/* Behind the comment at `at`, which is at its "--". To Lua a carriage return ends a line, too. */
static const char *skip_comment(const char *at, const char *end) {
    int level = long_bracket(at + 2, end);
    if (level >= 0) return skip_long(at + 2 + level + 2, end, level);
    while (at < end && *at != '\n' && *at != '\r') at++;
    return at;
}

static int is_word_byte(char byte) {
    int letter = byte | 0x20;
    return (letter >= 'a' && letter <= 'z') || (byte >= '0' && byte <= '9') || byte == '_';
}

static int is_word(const char *text, size_t size, const char *const *words) {
    for (; *words != NULL; words++) {
        if (strlen(*words) == size && memcmp(text, *words, size) == 0) return 1;
    }
    return 0;
}

static void open_block(struct scan *scan, int is_function) {
    if (scan->blocks == BLOCKS_MAX) return;
    scan->is_function[scan->blocks++] = (char)is_function;
    scan->functions += is_function;
}

static void close_block(struct scan *scan) {
    if (scan->blocks > 0) scan->functions -= scan->is_function[--scan->blocks];
}

static void skip_word(struct scan *scan) {
    static const char *const jumps[] = {"and", "or", "elseif", "break", "goto", NULL};
    static const char *const opening[] = {"do", "if", "repeat", "function", NULL};
    static const char *const closing[] = {"end", "until", NULL};
    const char *start = scan->at;
    while (scan->at < scan->end && is_word_byte(*scan->at)) scan->at++;
    size_t size = (size_t)(scan->at - start);
    scan->lookups += scan->functions + 1;
    scan->jumps += is_word(start, size, jumps);
    if (is_word(start, size, opening)) open_block(scan, *start == 'f');
    if (is_word(start, size, closing)) close_block(scan);
}

/* Goes behind what is at `at`, which is not a '^'. */
static void skip_item(struct scan *scan) {
    const char *at = scan->at, *end = scan->end;
    int level = long_bracket(at, end);
    if (level >= 0) {
        scan->at = skip_long(at + level + 2, end, level);
    } else if (*at == '"' || *at == '\'') {
        scan->at = skip_quoted(at, end);
    } else if (end - at > 1 && at[0] == '-' && at[1] == '-') {
        scan->at = skip_comment(at, end);
    } else if (is_word_byte(*at)) {
        skip_word(scan);
    } else {
        scan->jumps += end - at > 1 && at[0] == ':' && at[1] == ':';
        scan->at++;
    }
}

int tycho__host_check_source(lua_State *L, const char *name, const char *source, size_t size) {
    struct scan scan = {.at = source, .end = source + size};
    const char *what = NULL;
    if (size > 0 && *source == *LUA_SIGNATURE) what = "this is bytecode: a script is its source";
    while (scan.at < scan.end && what == NULL) {
        if (*scan.at == '^') {
            what = "there is no operator '^' for scripts: its last bit differs between machines; "
                   "multiply instead";
            break;
        }
        skip_item(&scan);
        if (scan.jumps > JUMPS_MAX) {
            what = "there are more than 5000 of and, or, elseif, break, goto and labels up to here";
        } else if (scan.lookups > LOOKUPS_MAX) {
            what = "there are too many names in functions within functions up to here";
        }
    }
    if (what == NULL) return 0;
    int line = 1;
    for (; source < scan.at; source++) line += *source == '\n';
    lua_pushfstring(L, "%s:%d: %s", name, line, what);
    return 1;
}
