/* run.c - calls of a script's functions with an event, and what they give back.
**
** Each call is one protected call of the sandbox. What a function returns is checked by the reader,
** inside of the call, so that a wrong result is refused with the script's name and version. A call
** that needs much memory is made again in a fresh sandbox, so that its verdict does not depend on
** events before.
*/
#include <stdio.h>
#include <string.h>

#include <lauxlib.h>

#include "../codec.h"
#include "script.h"

enum {
    DECODE_PRICE = 8, /* bytes that cost what an instruction costs */
    NAME_SHOWN = 60,  /* bytes, in messages */
    NAME_PRICE = 8    /* what taking a name costs, and more by its size */
};

/* ---------------------------------------------------------------- the event */

enum view_field {
    FIELD_ID,
    FIELD_TYPE,
    FIELD_DATA,
    FIELD_METADATA,
    FIELD_TIME,
    FIELD_VALID_TIME,
    FIELD_TAGS,
    FIELD_STREAM,
    FIELD_POSITION,
    FIELD_CORRELATION_ID,
    FIELD_CAUSATION_ID
};

static const char *const view_names[] = {"id",       "type",           "data",         "metadata",
                                         "time",     "valid_time",     "tags",         "stream",
                                         "position", "correlation_id", "causation_id", NULL};

static void push_text(lua_State *L, tycho_bytes text) {
    if (text.size > 0) {
        lua_pushlstring(L, text.data, text.size);
    } else {
        lua_pushnil(L);
    }
}

/* Pushes MessagePack as a value, which may be read field by field; nil for no bytes. */
static void push_decoded(lua_State *L, tycho_bytes data, const char *what, bool by_fields) {
    if (data.size == 0) {
        lua_pushnil(L);
        return;
    }
    tycho__sandbox_charge(L, data.size / DECODE_PRICE);
    if (by_fields && tycho__sandbox_push_fields(L, data.data, data.size)) return;
    if (tycho__lua_decode(L, data.data, data.size) != TYCHO_OK) {
        luaL_error(L, "the %s of the event: %s", what, lua_tostring(L, -1));
    }
}

static void push_data(lua_State *L, const struct tycho__shown *shown, bool by_fields) {
    if (shown->event->content_type.size == 0) {
        push_decoded(L, shown->data, "data", by_fields);
    } else {
        lua_pushlstring(L, shown->data.data, shown->data.size);
    }
}

static void push_tags(lua_State *L, const struct tycho__shown *shown) {
    lua_Integer count = 0;
    size_t given = shown->cursor == NULL ? shown->tag_count : 0;
    lua_newtable(L);
    for (uint32_t i = 0; shown->cursor != NULL && i < shown->event->tag_count; i++) {
        tycho_bytes tag;
        if (tycho_cursor_tag(shown->cursor, i, &tag) != TYCHO_OK) {
            luaL_error(L, "the tags of the event: %s", tycho_error());
        }
        lua_pushlstring(L, tag.data, tag.size);
        lua_rawseti(L, -2, ++count);
    }
    for (size_t i = 0; i < given + shown->more_tag_count; i++) {
        const tycho_bytes *tag = i < given ? &shown->tags[i] : &shown->more_tags[i - given];
        lua_pushlstring(L, tag->data, tag->size);
        lua_rawseti(L, -2, ++count);
    }
}

static void push_stream(lua_State *L, const struct tycho__shown *shown) {
    tycho_bytes stream = shown->stream;
    if (shown->cursor != NULL && tycho_cursor_stream(shown->cursor, &stream) != TYCHO_OK) {
        luaL_error(L, "the stream of the event: %s", tycho_error());
    }
    push_text(L, stream);
}

static void get_field(lua_State *L, const void *object, int field) {
    const struct tycho__shown *shown = object;
    const tycho_event *event = shown->event;
    switch ((enum view_field)field) {
    case FIELD_ID:
        push_text(L, event->id);
        break;
    case FIELD_TYPE:
        push_text(L, event->type);
        break;
    case FIELD_DATA:
        push_data(L, shown, shown->is_for_names);
        break;
    case FIELD_METADATA:
        push_decoded(L, event->metadata, "metadata", false);
        break;
    case FIELD_TIME:
        lua_pushinteger(L, event->time);
        break;
    case FIELD_VALID_TIME:
        lua_pushinteger(L, event->valid_time);
        break;
    case FIELD_TAGS:
        push_tags(L, shown);
        break;
    case FIELD_STREAM:
        push_stream(L, shown);
        break;
    case FIELD_POSITION:
        if (event->position > 0) {
            lua_pushinteger(L, (lua_Integer)event->position);
        } else {
            lua_pushnil(L);
        }
        break;
    case FIELD_CORRELATION_ID:
        push_text(L, event->correlation_id);
        break;
    case FIELD_CAUSATION_ID:
        push_text(L, event->causation_id);
        break;
    }
}

const struct tycho__sandbox_view_type tycho__event_view = {"event", view_names, get_field};

/* ---------------------------------------------------------------- names that a function gives */

const char *tycho__name_fault(const void *data, size_t size) {
    const unsigned char *text = data;
    if (size == 0) return "is empty";
    if (size > TYCHO_NAME_MAX) return "has over 255 bytes";
    bool is_odd = false; /* nearly no name is */
    for (size_t i = 0; i < size; i++) is_odd |= (unsigned char)(text[i] - 0x20) > 0x7e - 0x20;
    for (size_t i = 0; i < size && is_odd; i++) {
        if (text[i] < 0x20 || text[i] == 0x7f) return "has a control character";
    }
    return !is_odd || tycho__utf8_check(data, size) ? NULL : "is not UTF-8";
}

void tycho__names_clear(struct tycho__names *names) {
    tycho__payload_clear(&names->text);
    tycho__payload_clear(&names->list);
    names->count = 0;
    names->memo = NULL;
}

int tycho__names_finish(struct tycho__names *names) {
    tycho_bytes *list = (tycho_bytes *)(void *)names->list.data;
    if (names->text.failed != 0 || names->list.failed != 0) {
        tycho__names_clear(names);
        return tycho__script_fail(TYCHO_NO_MEMORY, "no memory for the names that a script gives");
    }
    for (size_t i = 0; i < names->count; i++) {
        list[i].data = names->text.data + (uintptr_t)list[i].data;
    }
    return TYCHO_OK;
}

const tycho_bytes *tycho__names_list(const struct tycho__names *names) {
    return (const tycho_bytes *)(const void *)names->list.data;
}

/* Adds the value on top of the stack. */
static void add_name(lua_State *L, struct tycho__names *names, tycho_bytes prefix,
                     bool takes_integers) {
    size_t size;
    if (lua_isinteger(L, -1) && takes_integers) {
        lua_tostring(L, -1);
    } else if (lua_type(L, -1) != LUA_TSTRING) {
        tycho__sandbox_bad_result(L, "a %s was returned, where names are expected",
                                  luaL_typename(L, -1));
    }
    const char *text = lua_tolstring(L, -1, &size);
    tycho__sandbox_charge(L, NAME_PRICE + (prefix.size + size) / DECODE_PRICE);
    const char *fault = tycho__name_fault(text, size);
    if (fault == NULL && prefix.size + size > TYCHO_NAME_MAX) {
        fault = "has over 255 bytes with its prefix";
    }
    if (fault != NULL) {
        if (size > NAME_SHOWN) {
            lua_pushlstring(L, text, NAME_SHOWN);
            text = lua_pushfstring(L, "%s...", lua_tostring(L, -1));
        }
        tycho__sandbox_bad_result(L, "the name \"%s\" that was returned %s", text, fault);
    }
    tycho_bytes name = {(const void *)names->text.size, prefix.size + size};
    if (prefix.size > 0) tycho__payload_put(&names->text, prefix.data, prefix.size);
    tycho__payload_put(&names->text, text, size);
    tycho__payload_put(&names->list, &name, sizeof name);
    names->count++;
}

void tycho__names_take(lua_State *L, int first, struct tycho__names *names, tycho_bytes prefix,
                       bool takes_integers) {
    int last = lua_gettop(L);
    for (int i = first; i <= last; i++) {
        if (lua_isnil(L, i)) continue;
        if (!lua_istable(L, i)) {
            lua_pushvalue(L, i);
            add_name(L, names, prefix, takes_integers);
            lua_pop(L, 1);
            continue;
        }
        lua_Integer size = (lua_Integer)lua_rawlen(L, i), found = 0;
        for (lua_Integer k = 1; k <= size; k++) {
            lua_rawgeti(L, i, k);
            add_name(L, names, prefix, takes_integers);
            lua_pop(L, 1);
        }
        for (lua_pushnil(L); lua_next(L, i) != 0; lua_pop(L, 1)) found++;
        if (found > size) {
            tycho__sandbox_bad_result(L, "a table with other keys than 1, 2, 3 ... was returned, "
                                         "where names are expected");
        }
    }
}

/* ---------------------------------------------------------------- calls */

struct call {
    struct tycho__runner *runner;
    const struct tycho__shown *shown;
    tycho_bytes prefix;
    bool takes_integers;
    bool has_refused;
    bool lacks_memory;
    struct refusal *refusal; /* of a check */
};

struct refusal {
    char text[300];
};

static int push_data_and_event(lua_State *L, void *context) {
    struct call *call = context;
    push_data(L, call->shown, false);
    tycho__sandbox_push_view(L, &tycho__event_view, call->shown);
    return 2;
}

static int push_event(lua_State *L, void *context) {
    struct call *call = context;
    tycho__sandbox_push_view(L, &tycho__event_view, call->shown);
    return 1;
}

static void take_names(lua_State *L, int first, void *context) {
    struct call *call = context;
    tycho__names_clear(&call->runner->names);
    tycho__names_take(L, first, &call->runner->names, call->prefix, call->takes_integers);
}

static void take_verdict(lua_State *L, int first, void *context) {
    struct call *call = context;
    if (lua_gettop(L) < first || lua_isnil(L, first)) return;
    if (lua_type(L, first) != LUA_TSTRING) {
        tycho__sandbox_bad_result(L, "check returned a %s: it returns nothing, or a sentence",
                                  luaL_typename(L, first));
    }
    call->has_refused = true;
    struct refusal *refusal = call->refusal;
    snprintf(refusal->text, sizeof refusal->text, "%s", lua_tostring(L, first));
}

static void take_data(lua_State *L, int first, void *context) {
    struct call *call = context;
    if (lua_gettop(L) < first || !lua_istable(L, first)) {
        tycho__sandbox_bad_result(L, "the upcaster returned a %s: it returns the new data",
                                  lua_gettop(L) < first ? "nothing" : luaL_typename(L, first));
    }
    tycho__payload_clear(&call->runner->data);
    lua_settop(L, first);
    int status = tycho__lua_encode_result(L, first, "data", &call->runner->data);
    call->lacks_memory = status == TYCHO_NO_MEMORY;
    if (status != TYCHO_OK) {
        tycho__sandbox_bad_result(L, "%s", lua_tostring(L, -1));
    }
    tycho__sandbox_charge(L, call->runner->data.size / DECODE_PRICE);
}

static int run(struct call *context, int function, int (*push)(lua_State *, void *),
               void (*read)(lua_State *, int, void *)) {
    const struct tycho__sandbox_call call = {
        .function = function, .push = push, .read = read, .context = context};
    struct tycho__runner *runner = context->runner;
    tycho__sandbox_set_exact(runner->sandbox, false);
    enum tycho__sandbox_kind kind = tycho__sandbox_call(runner->sandbox, &call);
    if (kind == TYCHO__SANDBOX_AGAIN) {
        int status = tycho__runner_renew(runner);
        if (status != TYCHO_OK) return status;
        kind = tycho__sandbox_call(runner->sandbox, &call);
    }
    if (kind == TYCHO__SANDBOX_OK) return TYCHO_OK;
    if (context->lacks_memory) {
        return tycho__script_fail(TYCHO_NO_MEMORY, "no memory for what a script returns");
    }
    return tycho__script_reject_run(runner, context->shown->event, tycho__text_of(NULL, 0));
}

static int check_schema(const struct tycho__definition *definition,
                        const struct tycho__shown *shown) {
    struct tycho__schema_fault fault;
    const tycho_event *event = shown->event;
    if (event->content_type.size > 0) {
        return tycho__script_reject(definition, event, "data", 0,
                                    "data has a content type, must be MessagePack");
    }
    if (tycho__schema_check(definition->schema, shown->data, &fault) == 0) return TYCHO_OK;
    return tycho__script_reject(definition, event, fault.path, 0, fault.message);
}

int tycho__run_event_type(struct tycho__runner *runner, const struct tycho__shown *shown) {
    const struct tycho__definition *definition = runner->definition;
    struct refusal refusal;
    struct call call = {.runner = runner, .shown = shown, .refusal = &refusal};
    int status = TYCHO_OK;
    tycho__names_clear(&runner->names);
    if (definition->schema != NULL) status = check_schema(definition, shown);
    if (status == TYCHO_OK && definition->has_function[TYCHO__CHECK]) {
        status = run(&call, runner->functions[TYCHO__CHECK], push_data_and_event, take_verdict);
        if (status == TYCHO_OK && call.has_refused) {
            status = tycho__script_reject(definition, shown->event, "", 0, refusal.text);
        }
    }
    if (status == TYCHO_OK && definition->has_function[TYCHO__TAGS]) {
        status = run(&call, runner->functions[TYCHO__TAGS], push_data_and_event, take_names);
        if (status == TYCHO_OK) status = tycho__names_finish(&runner->names);
    }
    if (status != TYCHO_OK) tycho__names_clear(&runner->names);
    return status;
}

static bool is_declared(const tycho_script_about *about, tycho_bytes name) {
    for (size_t i = 0; i < about->stream_count; i++) {
        tycho_bytes declared = about->streams[i];
        const char *text = declared.data;
        if (text[declared.size - 1] == '*') {
            size_t size = declared.size - 1;
            if (name.size >= size && memcmp(name.data, text, size) == 0) return true;
        } else if (tycho__same(name, declared)) {
            return true;
        }
    }
    return false;
}

/* Refuses names that the linker does not declare, at the line of the function that gave them. */
static int check_declared(const struct tycho__runner *runner, const tycho_event *event) {
    const struct tycho__definition *definition = runner->definition;
    const tycho_bytes *list = tycho__names_list(&runner->names);
    char message[NAME_SHOWN + 80];
    for (size_t i = 0; i < runner->names.count; i++) {
        if (is_declared(&definition->about, list[i])) continue;
        snprintf(message, sizeof message, "the stream \"%.*s\" is not among its 'streams'",
                 (int)(list[i].size < NAME_SHOWN ? list[i].size : NAME_SHOWN),
                 (const char *)list[i].data);
        return tycho__script_reject(definition, event, "",
                                    tycho__definition_line(definition, "to"), message);
    }
    return TYCHO_OK;
}

int tycho__run_names(struct tycho__runner *runner, const struct tycho__shown *shown) {
    const tycho_script_about *about = &runner->definition->about;
    bool is_model = about->kind == TYCHO_READ_MODEL;
    struct call call = {.runner = runner,
                        .shown = shown,
                        .prefix = is_model ? about->prefix : tycho__text(""),
                        .takes_integers = is_model};
    if (tycho__known_find(runner, shown)) return TYCHO_OK;
    tycho__names_clear(&runner->names);
    int function = runner->functions[is_model ? TYCHO__KEYS : TYCHO__TO];
    int status = run(&call, function, push_event, take_names);
    if (status == TYCHO_OK) status = tycho__names_finish(&runner->names);
    if (status == TYCHO_OK && !is_model) status = check_declared(runner, shown->event);
    if (status == TYCHO_OK) {
        tycho__known_keep(runner, shown);
    } else {
        tycho__names_clear(&runner->names);
    }
    return status;
}

enum tycho__run_reads tycho__run_reads(const struct tycho__runner *runner) {
    const uint32_t type = 1u << FIELD_TYPE, data = 1u << FIELD_DATA;
    uint32_t fields = tycho__sandbox_view_reads(runner->sandbox, &tycho__event_view);
    unsigned reads = (fields & ~(type | data)) != 0 ? TYCHO__READ_MORE : 0;
    if (fields & type) reads |= TYCHO__READ_TYPE;
    if (fields & data) reads |= TYCHO__READ_DATA;
    return (enum tycho__run_reads)reads;
}

int tycho__run_upcast(struct tycho__runner *runner, struct tycho__shown *shown, int64_t from) {
    const struct tycho__definition *definition = runner->definition;
    struct call call = {.runner = runner, .shown = shown};
    if (shown->event->content_type.size > 0) return TYCHO_OK;
    for (int64_t version = from; version < definition->about.version; version++) {
        int status = run(&call, runner->upcasts[version - 1], push_data_and_event, take_data);
        if (status != TYCHO_OK) return status;
        shown->data = tycho__text_of(runner->data.data, runner->data.size);
    }
    return TYCHO_OK;
}
