/* schema_fuzz.c - any bytes as the data of an event, against a schema with everything in it. The
** verdict is given without reading outside of the bytes; what fits is MessagePack, and fits again
** under a schema that leaves all its fields open; what does not has a path that begins with "data".
*/
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "msgpack.h"
#include "tycho_scripts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char strict[] =
    "return event_type { name = 'T', version = 1, data = { s = 'string', i = 'integer',\n"
    "n = optional 'number', b = optional 'boolean', r = optional 'binary', a = optional 'any',\n"
    "e = optional(enum { 'x', 'y' }), l = optional(array { k = optional 'string' }),\n"
    "m = optional(map(array 'integer')), d = optional { f = { g = optional 'any' } } } }";
static const char open_one[] =
    "return event_type { name = 'T', version = 1, open = true, data = {} }";

static tycho_script *compile(const char *source) {
    const tycho_bytes name = {"fuzz", 4}, text = {source, strlen(source)};
    tycho_script *script = NULL;
    int status = tycho_script_compile(name, text, &script);
    assert(status == TYCHO_OK);
    return script;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static tycho_script *script, *open_script;
    const tycho_event event = {.type = {"T", 1}, .data = {data, size}};
    tycho_additions additions;
    if (script == NULL) {
        script = compile(strict);
        open_script = compile(open_one);
    }
    int status = tycho_script_expand_stored(script, NULL, &event, &additions);
    assert(status == TYCHO_OK || status == TYCHO_REJECTED);
    if (status == TYCHO_OK) {
        assert(tycho__msgpack_check(data, size, NULL) == TYCHO__MSGPACK_OK);
        status = tycho_script_expand_stored(open_script, NULL, &event, &additions);
        assert(status == TYCHO_OK);
    } else {
        assert(strncmp(tycho_scripts_error()->path, "data", 4) == 0);
    }
    return 0;
}
