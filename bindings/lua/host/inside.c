/* inside.c - what the Lua that is linked into the library has for standard input and output.
**
** Debian's liblua5.4.a is compiled for programs, not for libraries: all that keeps it out of one
** are the three streams of libc that its auxiliary library names for loading and running files,
** which the sandbox does not. The Makefile gives them these names; nobody uses them.
*/
#include <stdio.h>

extern FILE *tycho__no_stdin, *tycho__no_stdout, *tycho__no_stderr;
FILE *tycho__no_stdin, *tycho__no_stdout, *tycho__no_stderr;
