/* definition.c - from the module that a script returned to what it declares.
**
** One table of fields for each kind of script; a field that is in none is refused. All is read raw,
** so that nothing of the script runs. The functions are kept for the runner that was loaded, in the
** same order each time, and what is declared is the same each time, since scripts are pure.
*/
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "../nearest.h"
#include "script.h"

enum { NAMES_MAX = TYCHO_QUERY_MAX, FIELDS_MAX = 16 };

struct field {
    const char *name;
    /* Reads the value on top of the stack, which stays. */
    void (*read)(lua_State *L, struct tycho__reading *reading, const struct field *field);
    int number; /* of the function */
    bool is_required;
};

/* ---------------------------------------------------------------- memory */

void *tycho__definition_keep(lua_State *L, struct tycho__definition *definition, size_t size) {
    struct tycho__block *block = calloc(1, sizeof *block + size);
    if (block == NULL) {
        definition->lacks_memory = true;
        luaL_error(L, "there is no memory left for the definition");
    }
    block->next = definition->blocks;
    definition->blocks = block;
    return block->memory;
}

tycho_bytes tycho__definition_text(lua_State *L, struct tycho__definition *definition, int index) {
    size_t size;
    const char *text = lua_tolstring(L, index, &size);
    definition->text_size += size;
    if (definition->text_size > TYCHO__SANDBOX_SOURCE_MAX) {
        tycho__sandbox_bad_result(L, "the definition has over %d bytes of names and values",
                                  TYCHO__SANDBOX_SOURCE_MAX);
    }
    char *copy = tycho__definition_keep(L, definition, size + 1);
    memcpy(copy, text, size);
    return tycho__text_of(copy, size);
}

/* ---------------------------------------------------------------- refusing */

static bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c >= '0' && c <= '9');
}

int64_t tycho__definition_line(const struct tycho__definition *definition, const char *field) {
    tycho_bytes source = definition->about.source;
    const char *text = source.data, *end = text + source.size, *at = text;
    size_t size = strlen(field);
    for (int64_t line = 1; at < end; at++) {
        if (*at == '\n') line++;
        if (line < definition->line || (size_t)(end - at) < size) continue;
        if (memcmp(at, field, size) != 0 || (at > text && is_letter(at[-1]))) continue;
        const char *behind = at + size;
        while (behind < end && (*behind == ' ' || *behind == '\t')) behind++;
        bool is_set = end - behind >= 2 && behind[0] == '=' && behind[1] != '=';
        if (is_set) return line;
    }
    return 0;
}

int tycho__definition_refuse(lua_State *L, struct tycho__reading *reading, const char *field,
                             const char *format, ...) {
    va_list arguments;
    int64_t line = field != NULL ? tycho__definition_line(reading->definition, field) : 0;
    reading->line = line != 0 ? line : reading->definition->line;
    va_start(arguments, format);
    lua_pushvfstring(L, format, arguments);
    va_end(arguments);
    return tycho__sandbox_bad_result(L, "%s", lua_tostring(L, -1));
}

static int refuse_type(lua_State *L, struct tycho__reading *reading, const char *field,
                       const char *wanted) {
    return tycho__definition_refuse(L, reading, field, "the field '%s' is a %s, must be %s", field,
                                    luaL_typename(L, -1), wanted);
}

/* ---------------------------------------------------------------- reading values */

static tycho_bytes read_name(lua_State *L, struct tycho__reading *reading, const char *field) {
    if (lua_type(L, -1) != LUA_TSTRING) refuse_type(L, reading, field, "a string");
    tycho_bytes name = tycho__definition_text(L, reading->definition, -1);
    const char *fault = tycho__name_fault(name.data, name.size);
    if (fault != NULL) {
        tycho__definition_refuse(L, reading, field, "the field '%s' %s", field, fault);
    }
    return name;
}

/* A list of names; one name alone is a list, too. */
static const tycho_bytes *read_names(lua_State *L, struct tycho__reading *reading,
                                     const char *field, size_t *count) {
    int at = lua_gettop(L);
    if (lua_type(L, at) == LUA_TSTRING) {
        tycho_bytes *one = tycho__definition_keep(L, reading->definition, sizeof *one);
        *one = read_name(L, reading, field);
        *count = 1;
        return one;
    }
    if (!lua_istable(L, at)) refuse_type(L, reading, field, "a list of strings");
    size_t size = (size_t)lua_rawlen(L, at), found = 0;
    for (lua_pushnil(L); lua_next(L, at) != 0; lua_pop(L, 1)) found++;
    if (found != size || size == 0 || size > NAMES_MAX) {
        tycho__definition_refuse(L, reading, field,
                                 "the field '%s' must be a list of 1 to %d strings", field,
                                 NAMES_MAX);
    }
    tycho_bytes *names = tycho__definition_keep(L, reading->definition, size * sizeof *names);
    for (size_t i = 0; i < size; i++) {
        lua_rawgeti(L, at, (lua_Integer)i + 1);
        names[i] = read_name(L, reading, field);
        lua_pop(L, 1);
    }
    *count = size;
    return names;
}

static void keep_function(lua_State *L, struct tycho__reading *reading, const struct field *field) {
    if (!lua_isfunction(L, -1)) refuse_type(L, reading, field->name, "a function");
    lua_pushvalue(L, -1);
    reading->runner->functions[field->number] = tycho__sandbox_keep(L);
    reading->definition->has_function[field->number] = true;
}

/* Room for the numbers of functions. */
static int *create_numbers(lua_State *L, struct tycho__reading *reading, size_t count) {
    int *numbers = calloc(count, sizeof *numbers);
    if (numbers != NULL) return numbers;
    reading->definition->lacks_memory = true;
    luaL_error(L, "there is no memory left for functions");
    return NULL;
}

static void read_own_name(lua_State *L, struct tycho__reading *reading, const struct field *field) {
    reading->definition->about.name = read_name(L, reading, field->name);
}

static void read_version(lua_State *L, struct tycho__reading *reading, const struct field *field) {
    int64_t version = lua_isinteger(L, -1) ? lua_tointeger(L, -1) : 0;
    if (version < 1 || version > TYCHO__UPCASTS_MAX) {
        tycho__definition_refuse(L, reading, field->name,
                                 "the field 'version' must be an integer from 1 to %d",
                                 TYCHO__UPCASTS_MAX);
    }
    reading->definition->about.version = version;
}

/* ---------------------------------------------------------------- event types */

static void read_schema(lua_State *L, struct tycho__reading *reading, const struct field *field) {
    (void)field;
    reading->definition->schema = tycho__schema_build(L, reading);
    reading->definition->about.has_schema = 1;
}

static void read_open(lua_State *L, struct tycho__reading *reading, const struct field *field) {
    if (!lua_isboolean(L, -1)) refuse_type(L, reading, field->name, "a boolean");
    if (reading->definition->schema == NULL) {
        tycho__definition_refuse(L, reading, field->name, "'open' says nothing without 'data'");
    }
    reading->definition->schema->is_open = lua_toboolean(L, -1);
}

/* The chain is whole: [1] to [version - 1], and no others. */
static void read_upcasts(lua_State *L, struct tycho__reading *reading, const struct field *field) {
    int at = lua_gettop(L);
    int64_t version = reading->definition->about.version, count = 0;
    if (!lua_istable(L, at)) refuse_type(L, reading, field->name, "a table of functions");
    for (lua_pushnil(L); lua_next(L, at) != 0; lua_pop(L, 1)) count++;
    reading->runner->upcasts = create_numbers(L, reading, (size_t)version);
    for (int64_t i = 1; i < version; i++) {
        if (lua_rawgeti(L, at, i) != LUA_TFUNCTION) {
            tycho__definition_refuse(L, reading, field->name,
                                     "upcast[%d] is a %s: each version below %d needs a function",
                                     (int)i, luaL_typename(L, -1), (int)version);
        }
        reading->runner->upcasts[i - 1] = tycho__sandbox_keep(L);
    }
    if (count != version - 1) {
        tycho__definition_refuse(L, reading, field->name,
                                 "'upcast' has %d functions, and version %d has %d before it",
                                 (int)count, (int)version, (int)version - 1);
    }
}

static void read_former(lua_State *L, struct tycho__reading *reading, const struct field *field) {
    tycho_script_about *about = &reading->definition->about;
    about->former_names = read_names(L, reading, field->name, &about->former_name_count);
    for (size_t i = 0; i < about->former_name_count; i++) {
        if (!tycho__same(about->former_names[i], about->name)) continue;
        tycho__definition_refuse(L, reading, field->name, "a former name is the name itself");
    }
}

static void finish_event_type(lua_State *L, struct tycho__reading *reading) {
    struct tycho__definition *definition = reading->definition;
    tycho_script_about *about = &definition->about;
    tycho_bytes *own = tycho__definition_keep(L, definition, sizeof *own);
    *own = about->name;
    about->types = own;
    about->type_count = 1;
    about->has_check = definition->has_function[TYCHO__CHECK];
    about->has_tags = definition->has_function[TYCHO__TAGS];
    if (about->version > 1 && reading->runner->upcasts == NULL) {
        tycho__definition_refuse(L, reading, "version",
                                 "version %d needs 'upcast', a function for each version before it",
                                 (int)about->version);
    }
}

/* ---------------------------------------------------------------- linkers */

static void read_types(lua_State *L, struct tycho__reading *reading, const struct field *field) {
    tycho_script_about *about = &reading->definition->about;
    about->types = read_names(L, reading, field->name, &about->type_count);
}

static void read_tags(lua_State *L, struct tycho__reading *reading, const struct field *field) {
    tycho_script_about *about = &reading->definition->about;
    about->tags = read_names(L, reading, field->name, &about->tag_count);
}

static void read_category(lua_State *L, struct tycho__reading *reading, const struct field *field) {
    tycho_bytes category = read_name(L, reading, field->name);
    if (memchr(category.data, '-', category.size) != NULL) {
        tycho__definition_refuse(L, reading, field->name,
                                 "a category is the part of a name before the first '-'");
    }
    reading->definition->about.category = category;
}

static void read_fields(lua_State *L, struct tycho__reading *reading, const struct field *fields,
                        const char *where);

static void read_from(lua_State *L, struct tycho__reading *reading, const struct field *field) {
    static const struct field fields[] = {{"types", read_types, 0, false},
                                          {"category", read_category, 0, false},
                                          {"tags", read_tags, 0, false},
                                          {NULL, NULL, 0, false}};
    if (!lua_istable(L, -1)) refuse_type(L, reading, field->name, "a table");
    read_fields(L, reading, fields, " in 'from'");
}

static void read_by(lua_State *L, struct tycho__reading *reading, const struct field *field) {
    static const char *const ways[] = {"type", "correlation", "causation", "category", "metadata"};
    static const char *const prefixes[] = {"$by_type_", "$by_correlation_id_", "$by_causation_id_",
                                           "$by_category_", ""};
    const char *way = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        if (strcmp(ways[i], way) != 0) continue;
        reading->definition->by = (enum tycho__by)(i + TYCHO__BY_TYPE);
        reading->definition->about.is_ready_made = 1;
        reading->definition->about.prefix = tycho__text(prefixes[i]);
        return;
    }
    tycho__definition_refuse(L, reading, field->name,
                             "the field 'by' must be \"type\", \"correlation\", \"causation\", "
                             "\"category\" or \"metadata\"");
}

/* The metadata key, whose name is in the streams' too. */
static void read_key(lua_State *L, struct tycho__reading *reading, const struct field *field) {
    struct tycho__definition *definition = reading->definition;
    if (definition->by != TYCHO__BY_METADATA) {
        tycho__definition_refuse(L, reading, field->name, "'key' belongs to by = \"metadata\"");
    }
    definition->metadata_key = read_name(L, reading, field->name);
    size_t size = definition->metadata_key.size + 5;
    char *prefix = tycho__definition_keep(L, definition, size + 1);
    snprintf(prefix, size + 1, "$by_%.*s_", (int)definition->metadata_key.size,
             (const char *)definition->metadata_key.data);
    definition->about.prefix = tycho__text_of(prefix, size);
}

static void read_prefix(lua_State *L, struct tycho__reading *reading, const struct field *field) {
    if (reading->definition->by == TYCHO__BY_FUNCTION) {
        tycho__definition_refuse(L, reading, field->name, "'prefix' belongs to 'by'");
    }
    reading->definition->about.prefix = read_name(L, reading, field->name);
}

static void read_streams(lua_State *L, struct tycho__reading *reading, const struct field *field) {
    tycho_script_about *about = &reading->definition->about;
    about->streams = read_names(L, reading, field->name, &about->stream_count);
    for (size_t i = 0; i < about->stream_count; i++) {
        const char *name = about->streams[i].data;
        if (memchr(name, '*', about->streams[i].size - 1) == NULL) continue;
        tycho__definition_refuse(L, reading, field->name,
                                 "'%s' in 'streams': '*' stands at the end, for all that begin so",
                                 name);
    }
}

static void finish_linker(lua_State *L, struct tycho__reading *reading) {
    struct tycho__definition *definition = reading->definition;
    bool has_to = definition->has_function[TYCHO__TO];
    if (has_to == (definition->by != TYCHO__BY_FUNCTION)) {
        tycho__definition_refuse(L, reading, NULL, "a linker has either 'to' or 'by'");
    }
    if (has_to && definition->about.stream_count == 0) {
        tycho__definition_refuse(L, reading, "to",
                                 "'to' needs 'streams', the names that it gives: \"city-*\" stands "
                                 "for all that begin so");
    }
    if (!has_to && definition->about.stream_count > 0) {
        tycho__definition_refuse(L, reading, "streams", "'streams' belongs to 'to'");
    }
    if (definition->by == TYCHO__BY_METADATA && definition->metadata_key.size == 0) {
        tycho__definition_refuse(L, reading, "by", "by = \"metadata\" needs a 'key'");
    }
}

/* ---------------------------------------------------------------- read models */

static void read_order(lua_State *L, struct tycho__reading *reading, const struct field *field) {
    static const char *const orders[] = {"position", "time", "valid_time"};
    const char *order = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
    for (uint32_t i = 0; i < 3; i++) {
        if (strcmp(orders[i], order) != 0) continue;
        reading->definition->about.order = i;
        return;
    }
    tycho__definition_refuse(L, reading, field->name,
                             "the field 'order' must be \"position\", \"time\" or \"valid_time\"");
}

static void read_mode(lua_State *L, struct tycho__reading *reading, const struct field *field) {
    const char *mode = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
    if (strcmp(mode, "on_demand") == 0) return;
    tycho__definition_refuse(L, reading, field->name, "the field 'mode' must be \"on_demand\"");
}

/* "A$b" with the key "c" and "A" with the key "b$c" would share a stream. */
static void finish_read_model(lua_State *L, struct tycho__reading *reading) {
    tycho_bytes name = reading->definition->about.name;
    if (memchr(name.data, '$', name.size) == NULL) return;
    tycho__definition_refuse(L, reading, "name", "the name of a read model has no '$'");
}

/* The one that is told where several are wrong: Lua has them in another order in each process. */
static const char *first_of(const char *a, const char *b) {
    return a == NULL || strcmp(b, a) < 0 ? b : a;
}

static int index_of_type(const tycho_script_about *about, tycho_bytes type) {
    for (size_t i = 0; i < about->type_count; i++) {
        if (tycho__same(about->types[i], type)) return (int)i;
    }
    return -1;
}

/* The line where the function on top of the stack begins. */
static int64_t line_of_function(lua_State *L) {
    lua_Debug record;
    lua_pushvalue(L, -1);
    lua_getinfo(L, ">S", &record);
    return record.linedefined;
}

static void read_handler(lua_State *L, struct tycho__reading *reading) {
    tycho_script_about *about = &reading->definition->about;
    size_t size;
    const char *name = lua_tolstring(L, -2, &size);
    int index = index_of_type(about, tycho__text_of(name, size));
    int number = tycho__sandbox_keep(L);
    lua_pushnil(L); /* for the function that was popped */
    if (index < 0) {
        reading->runner->functions[TYCHO__OTHERWISE] = number;
        reading->definition->has_function[TYCHO__OTHERWISE] = true;
    } else {
        reading->runner->handlers[index] = number;
    }
}

static void check_handlers(lua_State *L, struct tycho__reading *reading, int at) {
    const char *unknown = NULL;
    for (lua_pushnil(L); lua_next(L, at) != 0; lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING || !lua_isfunction(L, -1)) {
            tycho__definition_refuse(L, reading, "on", "'on' has functions by the names of types");
        }
        const char *name = lua_tostring(L, -2);
        bool is_known =
            strcmp(name, "_") == 0 || index_of_type(&reading->definition->about,
                                                    tycho__text_of(name, lua_rawlen(L, -2))) >= 0;
        if (!is_known) unknown = first_of(unknown, name);
    }
    if (unknown == NULL) return;
    lua_pushstring(L, unknown);
    lua_rawget(L, at);
    reading->line = line_of_function(L);
    tycho__sandbox_bad_result(L, "there is a handler for '%s', which is not among 'types'",
                              unknown);
}

static void read_handlers(lua_State *L, struct tycho__reading *reading, const struct field *field) {
    const tycho_script_about *about = &reading->definition->about;
    struct tycho__runner *runner = reading->runner;
    int at = lua_gettop(L);
    if (!lua_istable(L, at)) refuse_type(L, reading, field->name, "a table of functions");
    check_handlers(L, reading, at);
    runner->handlers = create_numbers(L, reading, about->type_count + 1);
    for (lua_pushnil(L); lua_next(L, at) != 0; lua_pop(L, 1)) read_handler(L, reading);
    for (size_t i = 0; i < about->type_count; i++) {
        if (runner->handlers[i] != 0 || runner->functions[TYCHO__OTHERWISE] != 0) continue;
        lua_pushlstring(L, about->types[i].data, about->types[i].size);
        tycho__definition_refuse(L, reading, "types",
                                 "there is no handler for '%s', which is among 'types'",
                                 lua_tostring(L, -1));
    }
}

/* A function, or a list of reads and functions; the reads are looked at when they are asked for. */
static void read_history(lua_State *L, struct tycho__reading *reading, const struct field *field) {
    reading->definition->about.has_history = 1;
    keep_function(L, reading, field);
}

/* ---------------------------------------------------------------- the module */

static const struct field event_type_fields[] = {{"name", read_own_name, 0, true},
                                                 {"version", read_version, 0, true},
                                                 {"data", read_schema, 0, false},
                                                 {"open", read_open, 0, false},
                                                 {"check", keep_function, TYCHO__CHECK, false},
                                                 {"tags", keep_function, TYCHO__TAGS, false},
                                                 {"upcast", read_upcasts, 0, false},
                                                 {"former_names", read_former, 0, false},
                                                 {NULL, NULL, 0, false}};

static const struct field linker_fields[] = {
    {"name", read_own_name, 0, true},  {"version", read_version, 0, true},
    {"from", read_from, 0, false},     {"to", keep_function, TYCHO__TO, false},
    {"by", read_by, 0, false},         {"key", read_key, 0, false},
    {"prefix", read_prefix, 0, false}, {"streams", read_streams, 0, false},
    {NULL, NULL, 0, false}};

static const struct field read_model_fields[] = {{"name", read_own_name, 0, true},
                                                 {"version", read_version, 0, true},
                                                 {"mode", read_mode, 0, false},
                                                 {"types", read_types, 0, true},
                                                 {"keys", keep_function, TYCHO__KEYS, true},
                                                 {"history", read_history, TYCHO__HISTORY, false},
                                                 {"order", read_order, 0, false},
                                                 {"init", keep_function, TYCHO__INIT, true},
                                                 {"on", read_handlers, 0, true},
                                                 {NULL, NULL, 0, false}};

static const struct field *const fields_of[] = {NULL, event_type_fields, linker_fields,
                                                read_model_fields};

static bool is_field(const struct field *fields, const char *name) {
    for (; fields->name != NULL; fields++) {
        if (strcmp(fields->name, name) == 0) return true;
    }
    return false;
}

static void refuse_unknown(lua_State *L, struct tycho__reading *reading, const struct field *fields,
                           const char *name, const char *where) {
    const char *names[FIELDS_MAX];
    size_t count = 0;
    for (; fields->name != NULL; fields++) {
        assert(count < FIELDS_MAX);
        names[count++] = fields->name;
    }
    const char *near = tycho__nearest(name, names, count);
    if (near != NULL) {
        tycho__definition_refuse(L, reading, name, "there is no field '%s'%s (did you mean '%s'?)",
                                 name, where, near);
    }
    tycho__definition_refuse(L, reading, name, "there is no field '%s'%s", name, where);
}

/* Reads the table on top of the stack, which stays. */
static void read_fields(lua_State *L, struct tycho__reading *reading, const struct field *fields,
                        const char *where) {
    int at = lua_gettop(L);
    const char *unknown = NULL;
    for (lua_pushnil(L); lua_next(L, at) != 0; lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING) {
            tycho__definition_refuse(L, reading, NULL, "there is a field%s whose name is no string",
                                     where);
        }
        const char *name = lua_tostring(L, -2);
        if (!is_field(fields, name)) unknown = first_of(unknown, name);
    }
    if (unknown != NULL) refuse_unknown(L, reading, fields, unknown, where);
    for (const struct field *field = fields; field->name != NULL; field++) {
        lua_pushstring(L, field->name);
        lua_rawget(L, at);
        if (!lua_isnil(L, -1)) {
            field->read(L, reading, field);
        } else if (field->is_required) {
            tycho__definition_refuse(L, reading, NULL, "the field '%s' is missing", field->name);
        }
        lua_settop(L, at);
    }
}

/* The kind in the first item of the module; 0: it was not made by a constructor. */
static int kind_of_module(lua_State *L, int module) {
    lua_rawgeti(L, module, 1);
    const char *given = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
    int kind = TYCHO_READ_MODEL;
    while (kind > 0 && strcmp(tycho_script_kind_name(kind), given) != 0) kind--;
    lua_pop(L, 1);
    return kind;
}

static void set_key(lua_State *L, struct tycho__reading *reading) {
    struct tycho__definition *definition = reading->definition;
    tycho_script_about *about = &definition->about;
    const char *kind = tycho_script_kind_name((int)about->kind);
    size_t size = strlen(kind) + 1 + about->name.size;
    if (size > TYCHO_NAME_MAX) {
        tycho__definition_refuse(L, reading, "name", "the name has over 255 bytes with '%s/'",
                                 kind);
    }
    char *key = tycho__definition_keep(L, definition, size + 1);
    snprintf(key, size + 1, "%s/%.*s", kind, (int)about->name.size, (const char *)about->name.data);
    about->key = tycho__text_of(key, size);
    if (about->kind != TYCHO_READ_MODEL) return;
    char *prefix = tycho__definition_keep(L, definition, about->name.size + 2);
    snprintf(prefix, about->name.size + 2, "%.*s$", (int)about->name.size,
             (const char *)about->name.data);
    about->prefix = tycho__text_of(prefix, about->name.size + 1);
}

void tycho__definition_read(lua_State *L, int first, void *context) {
    struct tycho__reading *reading = context;
    struct tycho__definition *definition = reading->definition;
    int kind = kind_of_module(L, first);
    luaL_checkstack(L, LUA_MINSTACK, "no room for a definition");
    if (kind == 0 || lua_rawgeti(L, first, 2) != LUA_TTABLE) {
        reading->line = tycho__sandbox_returned_line(L);
        tycho__sandbox_bad_result(L, "the script must return an event_type, a linker or a "
                                     "read_model");
    }
    lua_rawgeti(L, first, 3);
    definition->line = lua_tointeger(L, -1);
    lua_pop(L, 1);
    definition->about.kind = (uint32_t)kind;
    read_fields(L, reading, fields_of[kind], "");
    set_key(L, reading);
    if (kind == TYCHO_EVENT_TYPE) finish_event_type(L, reading);
    if (kind == TYCHO_LINKER) finish_linker(L, reading);
    if (kind == TYCHO_READ_MODEL) finish_read_model(L, reading);
}
