/* inside.c - what the Lua that is linked into the library has of libc that is not as elsewhere. The
** Makefile gives these names to what it calls.
**
** Standard input and output: Debian's liblua5.4.a is compiled for programs, not for libraries: all
** that keeps it out of one are the three streams of libc that its auxiliary library names for
** loading and running files, which the sandbox does not. Nobody uses them.
**
** Numbers as text: the sign of NaN is that of the processor, and `..` would tell it.
*/
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

extern FILE *tycho__no_stdin, *tycho__no_stdout, *tycho__no_stderr;
FILE *tycho__no_stdin, *tycho__no_stdout, *tycho__no_stderr;

int tycho__lua_snprintf(char *text, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
int tycho__lua_snprintf_chk(char *text, size_t size, int flag, size_t room, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

__attribute__((format(printf, 3, 0))) static int print(char *text, size_t size, const char *format,
                                                       va_list arguments) {
    static const char odd[] = "-nan";
    int length = vsnprintf(text, size, format, arguments);
    bool is_odd = length == sizeof odd - 1 && size >= sizeof odd && strcmp(text, odd) == 0;
    if (!is_odd) return length;
    memcpy(text, odd + 1, sizeof odd - 1);
    return length - 1;
}

int tycho__lua_snprintf(char *text, size_t size, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int length = print(text, size, format, arguments);
    va_end(arguments);
    return length;
}

/* The same, as a compiler calls it that knows how much room there is. */
int tycho__lua_snprintf_chk(char *text, size_t size, int flag, size_t room, const char *format,
                            ...) {
    va_list arguments;
    (void)flag;
    va_start(arguments, format);
    int length = print(text, size < room ? size : room, format, arguments);
    va_end(arguments);
    return length;
}
