/* schema.h - the schema of an event type: compiled to a flat program, and checked over MessagePack
** without decoding it.
**
** A schema is nodes; node 0 is the data. The fields of a record are nodes next to each other, in
** the order of their names, so that a map that Tycho wrote is checked by walking both at once.
**
**     kind        first                  count
**     RECORD      its first field        how many
**     ARRAY, MAP  the node of all items  1
**     ENUM        its first value        how many
*/
#ifndef TYCHO_SCHEMA_H
#define TYCHO_SCHEMA_H

#include <lua.h>

#include <tycho.h>

enum tycho__schema_kind {
    TYCHO__KIND_ANY,
    TYCHO__KIND_STRING,
    TYCHO__KIND_INTEGER,
    TYCHO__KIND_NUMBER,
    TYCHO__KIND_BOOLEAN,
    TYCHO__KIND_BINARY,
    TYCHO__KIND_RECORD,
    TYCHO__KIND_ARRAY,
    TYCHO__KIND_MAP,
    TYCHO__KIND_ENUM
};

enum {
    TYCHO__SCHEMA_NODES_MAX = 1000,
    TYCHO__SCHEMA_DEPTH_MAX = 32, /* records and arrays within each other, in the schema */
    TYCHO__SCHEMA_PATH = 200,
    TYCHO__SCHEMA_MESSAGE = 300
};

struct tycho__schema_node {
    uint8_t kind; /* enum tycho__schema_kind */
    uint8_t is_optional;
    uint16_t first;
    uint16_t count;
    tycho_bytes name; /* of a field; of a value of an enumeration, the value */
};

struct tycho__schema {
    struct tycho__schema_node *nodes;
    size_t count;
    int is_open; /* fields that are not named are allowed */
    int has_any; /* bytes that the schema does not look into are checked to be well-formed */
};

struct tycho__schema_fault {
    char path[TYCHO__SCHEMA_PATH];
    char message[TYCHO__SCHEMA_MESSAGE]; /* with the path in front */
};

/* 0 when the bytes are one well-formed value that fits; else -1, and the fault is filled in. */
int tycho__schema_check(const struct tycho__schema *schema, tycho_bytes data,
                        struct tycho__schema_fault *fault);

static inline tycho_bytes tycho__text_of(const void *data, size_t size) {
    tycho_bytes bytes = {data, size};
    return bytes;
}

static inline tycho_bytes tycho__text(const char *text) {
    return tycho__text_of(text, __builtin_strlen(text));
}

struct tycho__reading;
/* Builds the schema from the value on top of the Lua stack, which stays. Raises. */
struct tycho__schema *tycho__schema_build(lua_State *L, struct tycho__reading *reading);

#endif
