/* linkers.c - what linkers need no sandbox for: which events they read, and the ready-made ones. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "script.h"

tycho_bytes tycho__category_of(tycho_bytes stream) {
    const char *dash = stream.size > 0 ? memchr(stream.data, '-', stream.size) : NULL;
    if (dash != NULL) stream.size = (size_t)(dash - (const char *)stream.data);
    return stream;
}

static int stream_of(const struct tycho__shown *shown, tycho_bytes *stream) {
    *stream = shown->stream;
    return shown->cursor == NULL ? TYCHO_OK : tycho_cursor_stream(shown->cursor, stream);
}

static bool has_name(const tycho_bytes *names, size_t count, tycho_bytes wanted) {
    for (size_t i = 0; i < count; i++) {
        if (tycho__same(names[i], wanted)) return true;
    }
    return false;
}

static int find_tag(const struct tycho__shown *shown, tycho_bytes wanted, bool *has) {
    *has = has_name(shown->more_tags, shown->more_tag_count, wanted);
    if (shown->cursor == NULL) *has = *has || has_name(shown->tags, shown->tag_count, wanted);
    for (uint32_t i = 0; shown->cursor != NULL && i < shown->event->tag_count && !*has; i++) {
        tycho_bytes tag;
        int status = tycho_cursor_tag(shown->cursor, i, &tag);
        if (status != TYCHO_OK) return status;
        *has = tycho__same(tag, wanted);
    }
    return TYCHO_OK;
}

static int find_type(const tycho_script_about *about, tycho_bytes type) {
    for (size_t i = 0; i < about->type_count; i++) {
        if (tycho__same(about->types[i], type)) return (int)i;
    }
    return -1;
}

int tycho__type_index(const tycho_script_about *about, const tycho_cursor *cursor,
                      tycho_bytes type) {
    const tycho_bytes *names;
    int index = find_type(about, type);
    size_t count = index < 0 ? tycho_cursor_former(cursor, type, &names) : 0;
    for (size_t i = 0; i < count && index < 0; i++) index = find_type(about, names[i]);
    return index;
}

int tycho__linker_reads(const struct tycho__definition *definition,
                        const struct tycho__shown *shown, bool *is_read) {
    const tycho_script_about *about = &definition->about;
    *is_read = true;
    if (about->category.size > 0) {
        tycho_bytes stream;
        int status = stream_of(shown, &stream);
        if (status != TYCHO_OK) return status;
        *is_read = tycho__same(tycho__category_of(stream), about->category);
    }
    for (size_t i = 0; i < about->tag_count && *is_read; i++) {
        int status = find_tag(shown, about->tags[i], is_read);
        if (status != TYCHO_OK) return status;
    }
    return TYCHO_OK;
}

/* ---------------------------------------------------------------- ready-made */

/* The text of a scalar in `room`; -1 when it is none. */
static int text_of_token(const struct tycho__msgpack_token *token, char room[32],
                         tycho_bytes *text) {
    int size = 0;
    switch (token->kind) {
    case TYCHO__MSGPACK_STRING:
        *text = tycho__text_of(token->data, token->size);
        return 0;
    case TYCHO__MSGPACK_NIL:
        *text = tycho__text_of(NULL, 0);
        return 0;
    case TYCHO__MSGPACK_INTEGER:
        size = snprintf(room, 32, "%" PRId64, token->integer);
        break;
    case TYCHO__MSGPACK_UNSIGNED:
        size = snprintf(room, 32, "%" PRIu64, token->count);
        break;
    case TYCHO__MSGPACK_BOOLEAN:
        size = snprintf(room, 32, "%s", token->boolean ? "true" : "false");
        break;
    default:
        return -1;
    }
    *text = tycho__text_of(room, (size_t)size);
    return 0;
}

/* The value of a key of the metadata, as text; empty when there is none. NULL, or what is wrong. */
static const char *find_metadata(tycho_bytes metadata, tycho_bytes key, char room[32],
                                 tycho_bytes *text) {
    static const char damaged[] = "the metadata is not a MessagePack map";
    struct tycho__msgpack_reader reader = {metadata.data, metadata.size, 0};
    struct tycho__msgpack_token map, name, value;
    *text = tycho__text_of(NULL, 0);
    if (metadata.size == 0) return NULL;
    if (tycho__msgpack_next(&reader, &map) != TYCHO__MSGPACK_OK) return damaged;
    if (map.kind != TYCHO__MSGPACK_MAP) return damaged;
    for (uint64_t i = 0; i < map.count; i++) {
        if (tycho__msgpack_next(&reader, &name) != TYCHO__MSGPACK_OK) return damaged;
        if (name.kind != TYCHO__MSGPACK_STRING) return damaged;
        struct tycho__msgpack_reader at = reader;
        if (tycho__msgpack_skip(&reader) != TYCHO__MSGPACK_OK) return damaged;
        if (!tycho__same(tycho__text_of(name.data, name.size), key)) continue;
        if (tycho__msgpack_next(&at, &value) != TYCHO__MSGPACK_OK) return damaged;
        if (text_of_token(&value, room, text) != 0) {
            return "the value in the metadata is neither text nor an integer nor a boolean";
        }
    }
    return NULL;
}

/* `*fault` is NULL, or what is wrong with the event. */
static int find_value(const struct tycho__definition *definition, const struct tycho__shown *shown,
                      char room[32], tycho_bytes *value, const char **fault) {
    const tycho_event *event = shown->event;
    tycho_bytes stream;
    int status;
    *fault = NULL;
    switch (definition->by) {
    case TYCHO__BY_TYPE:
        *value = event->type;
        return TYCHO_OK;
    case TYCHO__BY_CORRELATION:
        *value = event->correlation_id;
        return TYCHO_OK;
    case TYCHO__BY_CAUSATION:
        *value = event->causation_id;
        return TYCHO_OK;
    case TYCHO__BY_CATEGORY:
        status = stream_of(shown, &stream);
        if (status == TYCHO_OK) *value = tycho__category_of(stream);
        return status;
    default:
        *fault = find_metadata(event->metadata, definition->metadata_key, room, value);
        return TYCHO_OK;
    }
}

int tycho__linker_name(const struct tycho__definition *definition, const struct tycho__shown *shown,
                       char name[TYCHO_NAME_MAX], tycho_bytes *link) {
    char room[32], message[160];
    tycho_bytes value, prefix = definition->about.prefix;
    *link = tycho__text_of(name, 0);
    const char *fault;
    int status = find_value(definition, shown, room, &value, &fault);
    if (status != TYCHO_OK) return status;
    if (fault != NULL) return tycho__script_reject(definition, shown->event, "", 0, fault);
    if (value.size == 0) return TYCHO_OK;
    bool is_name = definition->by == TYCHO__BY_TYPE || definition->by == TYCHO__BY_CATEGORY;
    if (!is_name) fault = tycho__name_fault(value.data, value.size);
    if (fault == NULL && prefix.size + value.size > TYCHO_NAME_MAX) {
        fault = "is too long behind the prefix";
    }
    if (fault != NULL) {
        snprintf(message, sizeof message,
                 "no stream can be named for the event: what follows %.60s %s",
                 (const char *)prefix.data, fault);
        return tycho__script_reject(definition, shown->event, "", 0, message);
    }
    memcpy(name, prefix.data, prefix.size);
    memcpy(name + prefix.size, value.data, value.size);
    link->size = prefix.size + value.size;
    return TYCHO_OK;
}
