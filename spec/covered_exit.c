/* covered_exit.c - in the build of `make coverage`: a process that ends with _exit(), as children
** of tests do, says what it ran like any other.
*/
#include <unistd.h>

void __gcov_dump(void);
_Noreturn void __real__exit(int code);
_Noreturn void __wrap__exit(int code);

_Noreturn void __wrap__exit(int code) {
    __gcov_dump();
    __real__exit(code);
}
