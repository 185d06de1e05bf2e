/* inside_lua_test.c - the Lua of the script host is its own: this program has functions of the
** names of Lua, as a host with another Lua has, and they end it when they are called. The library
** is used as an archive and as a shared object.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <dlfcn.h>
#include <unistd.h>

#include "store_values.h"

#include "tycho_scripts.h"

#define TRAP(name)                                                                                 \
    __attribute__((visibility("default"))) void name(void);                                        \
    void name(void) {                                                                              \
        fprintf(stderr, "the other Lua was called: %s\n", #name);                                  \
        abort();                                                                                   \
    }
TRAP(lua_newstate)
TRAP(lua_close)
TRAP(lua_settop)
TRAP(lua_pcallk)
TRAP(lua_callk)
TRAP(lua_rawgetp)
TRAP(lua_pushlightuserdata)
TRAP(luaL_ref)
TRAP(luaL_loadbufferx)
TRAP(luaL_error)

static const char source[] = "return linker { name = 'l', version = 1, streams = 'to-*',\n"
                             "to = function(event) return 'to-' .. event.type:lower() end }";

static void the_archive_has_a_lua_of_its_own(void **state) {
    (void)state;
    tycho_script *script;
    tycho_additions additions;
    const tycho_event event = {.type = text("ABC")};
    ASSERT_STATUS(tycho_script_compile(text("l"), text(source), &script), TYCHO_OK);
    ASSERT_STATUS(tycho_script_expand_stored(script, NULL, &event, &additions), TYCHO_OK);
    assert_int_equal(additions.link_count, 1);
    assert_bytes(additions.links[0], text("to-abc"));
    tycho_script_close(script);
    ASSERT_STATUS(tycho_script_compile(text("l"), text("x = 1"), &script), TYCHO_REJECTED);
}

/* The shared object beside this program's directory; its functions by their names. */
static void the_library_has_a_lua_of_its_own(void **state) {
    (void)state;
    char path[4200], own[4096];
    ssize_t size = readlink("/proc/self/exe", own, sizeof own - 1);
    assert_true(size > 0);
    own[size] = '\0';
    char *slash = strrchr(own, '/');
    assert_non_null(slash);
    snprintf(path, sizeof path, "%.*s/../libtycho_scripts.so", (int)(slash - own), own);
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        print_message("%s\n", dlerror());
        skip();
    }
    __typeof__(&tycho_script_compile) compile;
    __typeof__(&tycho_script_expand_stored) expand;
    __typeof__(&tycho_script_close) close_script;
    *(void **)&compile = dlsym(library, "tycho_script_compile");
    *(void **)&expand = dlsym(library, "tycho_script_expand_stored");
    *(void **)&close_script = dlsym(library, "tycho_script_close");
    assert_null(dlsym(library, "luaL_checkstack"));
    assert_true(compile != NULL && compile != tycho_script_compile);
    tycho_script *script;
    tycho_additions additions;
    const tycho_event event = {.type = text("ABC")};
    ASSERT_STATUS(compile(text("l"), text(source), &script), TYCHO_OK);
    ASSERT_STATUS(expand(script, NULL, &event, &additions), TYCHO_OK);
    assert_bytes(additions.links[0], text("to-abc"));
    close_script(script);
    dlclose(library);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_archive_has_a_lua_of_its_own),
        cmocka_unit_test(the_library_has_a_lua_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
