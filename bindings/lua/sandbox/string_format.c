/* string_format.c - string.format of scripts: %c %d %i %e %E %f %g %G %o %s %x %X %%, with flags
** and up to two digits of width and of precision. Neither addresses nor what depends on the
** machine.
*/
#include "state.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { SPEC_MAX = 16, NUMBER_MAX = 512 }; /* "%99.99f" of the largest float has 409 */

/* The flags that each letter has a meaning for. */
static const struct {
    const char *letters, *flags;
} allowed[] = {{"di", "-+0 "}, {"oxX", "-#0"}, {"eEfgG", "-+#0 "}, {"cs", "-"}};

struct spec {
    char text[SPEC_MAX]; /* "%-5.2" and room for a length and the letter */
    size_t size;
    int letter;
    int has_precision;
    int width, precision;
};

static const char *take_digits(lua_State *L, const char *at, const char *end, int *value) {
    int count = 0;
    *value = 0;
    for (; at < end && *at >= '0' && *at <= '9'; at++) {
        if (++count > 2) luaL_error(L, "format: a width or precision has more than two digits");
        *value = *value * 10 + *at - '0';
    }
    return at;
}

/* Reads the specification behind a '%'; returns where the text goes on. */
static const char *take_spec(lua_State *L, const char *at, const char *end, struct spec *spec) {
    const char *start = at;
    memset(spec, 0, sizeof *spec);
    while (at < end && memchr("-+ #0", *at, 5) != NULL) at++;
    if (at - start > 5) luaL_error(L, "format: too many flags");
    at = take_digits(L, at, end, &spec->width);
    if (at < end && *at == '.') {
        spec->has_precision = 1;
        at = take_digits(L, at + 1, end, &spec->precision);
    }
    if (at == end) luaL_error(L, "format: '%%' without a letter");
    spec->letter = (unsigned char)*at;
    spec->text[0] = '%';
    memcpy(spec->text + 1, start, (size_t)(at - start));
    spec->size = (size_t)(at - start) + 1;
    return at + 1;
}

static void check_flags(lua_State *L, const struct spec *spec) {
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++) {
        if (strchr(allowed[i].letters, spec->letter) == NULL) continue;
        size_t flags = strspn(spec->text + 1, allowed[i].flags);
        if (spec->text[1 + flags] == '\0' || strchr("-+ #0", spec->text[1 + flags]) == NULL) return;
        luaL_error(L, "format: invalid flag in '%s%c'", spec->text, spec->letter);
    }
    luaL_error(L, "format: there is no '%%%c' for scripts", spec->letter);
}

static void put_integer(lua_State *L, int index, struct spec *spec, struct tycho__host_text *text) {
    lua_Integer value = tycho__host_integer(L, index);
    char *place = tycho__host_text_reserve(text, NUMBER_MAX);
    memcpy(spec->text + spec->size, "ll", 2);
    spec->text[spec->size + 2] = (char)spec->letter;
    text->size += (size_t)snprintf(place, NUMBER_MAX, spec->text, (long long)value);
}

static void put_float(lua_State *L, int index, struct spec *spec, struct tycho__host_text *text) {
    lua_Number value = tycho__host_number(L, index);
    char *place = tycho__host_text_reserve(text, NUMBER_MAX);
    spec->text[spec->size] = (char)spec->letter;
    if (isnan(value)) value = fabs(value); /* the sign of NaN depends on the processor */
    text->size += (size_t)snprintf(place, NUMBER_MAX, spec->text, value);
}

static void put_padding(struct tycho__host_text *text, size_t size) {
    char *place = tycho__host_text_reserve(text, size);
    memset(place, ' ', size);
    text->size += size;
}

static void put_string(const char *bytes, size_t size, const struct spec *spec,
                       struct tycho__host_text *text) {
    if (spec->has_precision && size > (size_t)spec->precision) size = (size_t)spec->precision;
    size_t padding = size < (size_t)spec->width ? (size_t)spec->width - size : 0;
    int is_left = memchr(spec->text, '-', spec->size) != NULL;
    if (!is_left) put_padding(text, padding);
    tycho__host_text_put(text, bytes, size);
    if (is_left) put_padding(text, padding);
}

static void put_argument(lua_State *L, int index, struct spec *spec,
                         struct tycho__host_text *text) {
    size_t size;
    char letter;
    check_flags(L, spec);
    switch (spec->letter) {
    case 'd':
    case 'i':
    case 'o':
    case 'x':
    case 'X':
        put_integer(L, index, spec, text);
        return;
    case 'e':
    case 'E':
    case 'f':
    case 'g':
    case 'G':
        put_float(L, index, spec, text);
        return;
    case 'c':
        letter = (char)(unsigned char)tycho__host_integer(L, index);
        put_string(&letter, 1, spec, text);
        return;
    default: {
        const char *bytes = tycho__host_tostring(L, index, &size);
        put_string(bytes, size, spec, text);
        lua_pop(L, 1);
    }
    }
}

int tycho__host_format(lua_State *L) {
    struct tycho__host_text text;
    struct spec spec;
    size_t size;
    int count = lua_gettop(L), index = 1;
    const char *at = luaL_checklstring(L, 1, &size), *end = at + size;
    tycho__host_text_begin(L, &text, 0);
    while (at < end) {
        const char *next = memchr(at, '%', (size_t)(end - at));
        if (next == NULL) next = end;
        tycho__host_text_put(&text, at, (size_t)(next - at));
        if (next == end) break;
        if (next + 1 < end && next[1] == '%') {
            tycho__host_text_put(&text, "%", 1);
            at = next + 2;
            continue;
        }
        at = take_spec(L, next + 1, end, &spec);
        if (++index > count) return luaL_error(L, "format: no value for argument %d", index);
        put_argument(L, index, &spec, &text);
        tycho__host_charge(L, 4);
    }
    tycho__host_text_push(&text);
    return 1;
}
