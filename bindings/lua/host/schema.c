/* schema.c - checks MessagePack against a schema; see schema.h.
**
** One walk over the tokens. The stack has a frame for each container that is open; what the schema
** calls `any` is skipped whole, so that no data is deeper for it than the schema. A node is in the
** stack once at most, so which fields were seen is remembered by node.
*/
#include "schema.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "../../msgpack/msgpack.h"

enum { TEXT_SHOWN = 40, FRAMES = TYCHO__SCHEMA_DEPTH_MAX + 1 };

struct frame {
    uint16_t node;
    uint16_t expected; /* of a record: the field that most likely comes next */
    bool is_map;       /* in the data */
    uint64_t left;     /* items or pairs */
    uint64_t index;    /* of the item, from 1 */
    tycho_bytes key;   /* of the pair */
};

struct walk {
    const struct tycho__schema *schema;
    struct tycho__schema_fault *fault;
    struct tycho__msgpack_reader reader;
    int depth;
    struct frame frames[FRAMES];
    bool seen[TYCHO__SCHEMA_NODES_MAX];
};

/* ---------------------------------------------------------------- faults */

static bool is_word(tycho_bytes key) {
    const unsigned char *text = key.data;
    for (size_t i = 0; i < key.size; i++) {
        unsigned char c = text[i] | 0x20;
        bool is_letter = (c >= 'a' && c <= 'z') || text[i] == '_';
        if (!is_letter && (i == 0 || text[i] < '0' || text[i] > '9')) return false;
    }
    return key.size > 0;
}

/* Writes text in quotes; what is not plain ASCII becomes "?". */
static void quote(char *to, size_t room, tycho_bytes text) {
    const char *from = text.data;
    size_t size = text.size < TEXT_SHOWN ? text.size : TEXT_SHOWN, at = 0;
    char shown[TEXT_SHOWN + 1];
    for (; at < size; at++) shown[at] = from[at] >= ' ' && from[at] <= '~' ? from[at] : '?';
    shown[at] = '\0';
    snprintf(to, room, "\"%s%s\"", shown, text.size > size ? "..." : "");
}

static void put_step(char *path, size_t room, const struct frame *frame) {
    char quoted[TEXT_SHOWN + 8];
    size_t used = strlen(path);
    char *end = path + used;
    room -= used;
    if (!frame->is_map) {
        snprintf(end, room, "[%" PRIu64 "]", frame->index);
    } else if (is_word(frame->key) && frame->key.size <= TEXT_SHOWN) {
        snprintf(end, room, ".%.*s", (int)frame->key.size, (const char *)frame->key.data);
    } else {
        quote(quoted, sizeof quoted, frame->key);
        snprintf(end, room, "[%s]", quoted);
    }
}

/* The path of what the frames lead to, and behind it what is wrong. */
static int refuse(struct walk *walk, const char *what) {
    struct tycho__schema_fault *fault = walk->fault;
    snprintf(fault->path, sizeof fault->path, "data");
    for (int i = 0; i < walk->depth; i++) {
        put_step(fault->path, sizeof fault->path, &walk->frames[i]);
    }
    snprintf(fault->message, sizeof fault->message, "%s %.90s", fault->path, what);
    return -1;
}

static int refuse_bytes(struct walk *walk, int status) {
    char what[80];
    snprintf(what, sizeof what, "is not MessagePack: it %s (byte %zu)",
             tycho__msgpack_status_text(status), walk->reader.offset + 1);
    return refuse(walk, what);
}

/* `room` is for the longest number, with ".0" behind it. */
static void describe(const struct tycho__msgpack_token *token, char *to, size_t room) {
    int used;
    switch (token->kind) {
    case TYCHO__MSGPACK_NIL:
        snprintf(to, room, "nil");
        break;
    case TYCHO__MSGPACK_BOOLEAN:
        snprintf(to, room, "a boolean");
        break;
    case TYCHO__MSGPACK_INTEGER:
        snprintf(to, room, "%" PRId64, token->integer);
        break;
    case TYCHO__MSGPACK_UNSIGNED:
        snprintf(to, room, "%" PRIu64, token->count);
        break;
    case TYCHO__MSGPACK_FLOAT:
        used = snprintf(to, room, "%.14g", token->number);
        if (strspn(to, "-0123456789") == (size_t)used) snprintf(to + used, 3, ".0");
        break;
    case TYCHO__MSGPACK_STRING:
        snprintf(to, room, "a string");
        break;
    case TYCHO__MSGPACK_BINARY:
        snprintf(to, room, "binary");
        break;
    case TYCHO__MSGPACK_ARRAY:
        snprintf(to, room, "an array");
        break;
    case TYCHO__MSGPACK_MAP:
        snprintf(to, room, "a table");
        break;
    case TYCHO__MSGPACK_EXTENSION:
        snprintf(to, room, "an extension type");
        break;
    }
}

static int refuse_kind(struct walk *walk, const struct tycho__msgpack_token *token,
                       const struct tycho__schema_node *node) {
    static const char *const wanted[] = {"anything",  "a string", "an integer", "a number",
                                         "a boolean", "binary",   "a table",    "an array",
                                         "a table",   "a string"};
    char found[32], what[90];
    describe(token, found, sizeof found);
    snprintf(what, sizeof what, "is %s, must be %s", found, wanted[node->kind]);
    return refuse(walk, what);
}

static int refuse_value(struct walk *walk, const struct tycho__msgpack_token *token,
                        const struct tycho__schema_node *node) {
    char found[TEXT_SHOWN + 8], what[160];
    quote(found, sizeof found, tycho__text_of(token->data, token->size));
    int used = snprintf(what, sizeof what, "is %s, must be", found);
    for (uint16_t i = 0; i < node->count && used < 80; i++) {
        quote(found, sizeof found, walk->schema->nodes[node->first + i].name);
        used += snprintf(what + used, sizeof what - (size_t)used, "%s %s",
                         i == 0                 ? ""
                         : i + 1 == node->count ? " or"
                                                : ",",
                         found);
    }
    return refuse(walk, what);
}

/* ---------------------------------------------------------------- values */

/* Opens a container; its kind has been checked. */
static void open_frame(struct walk *walk, uint16_t index,
                       const struct tycho__msgpack_token *token) {
    const struct tycho__schema_node *node = &walk->schema->nodes[index];
    struct frame *frame = &walk->frames[walk->depth++];
    memset(frame, 0, sizeof *frame);
    frame->node = index;
    frame->expected = node->first;
    frame->is_map = node->kind != TYCHO__KIND_ARRAY;
    frame->left = token->count;
    if (node->kind == TYCHO__KIND_RECORD) memset(walk->seen + node->first, 0, node->count);
}

static int check_text(struct walk *walk, const struct tycho__msgpack_token *token,
                      const struct tycho__schema_node *node) {
    if (node->kind == TYCHO__KIND_STRING) {
        if (tycho__utf8_check(token->data, token->size)) return 0;
        return refuse(walk, "is a string that is not UTF-8");
    }
    for (uint16_t i = 0; i < node->count; i++) {
        tycho_bytes value = walk->schema->nodes[node->first + i].name;
        if (value.size == token->size && memcmp(value.data, token->data, value.size) == 0) {
            return 0;
        }
    }
    return refuse_value(walk, token, node);
}

/* Lua writes an empty table as a map, whatever it stands for. */
static bool is_container(const struct tycho__msgpack_token *token, bool wants_array) {
    bool is_array = token->kind == TYCHO__MSGPACK_ARRAY;
    if (!is_array && token->kind != TYCHO__MSGPACK_MAP) return false;
    return is_array == wants_array || token->count == 0;
}

static int check_token(struct walk *walk, uint16_t index,
                       const struct tycho__msgpack_token *token) {
    const struct tycho__schema_node *node = &walk->schema->nodes[index];
    bool fits = false;
    if (token->kind == TYCHO__MSGPACK_NIL && node->is_optional) return 0;
    switch (node->kind) {
    case TYCHO__KIND_STRING:
    case TYCHO__KIND_ENUM:
        if (token->kind == TYCHO__MSGPACK_STRING) return check_text(walk, token, node);
        break;
    case TYCHO__KIND_INTEGER:
        fits = token->kind == TYCHO__MSGPACK_INTEGER;
        break;
    case TYCHO__KIND_NUMBER: /* x - x is 0 but for NaN and infinities */
        fits = token->kind == TYCHO__MSGPACK_INTEGER ||
               (token->kind == TYCHO__MSGPACK_FLOAT && token->number - token->number == 0);
        break;
    case TYCHO__KIND_BOOLEAN:
        fits = token->kind == TYCHO__MSGPACK_BOOLEAN;
        break;
    case TYCHO__KIND_BINARY:
        fits = token->kind == TYCHO__MSGPACK_BINARY;
        break;
    default:
        fits = is_container(token, node->kind == TYCHO__KIND_ARRAY);
        if (fits) open_frame(walk, index, token);
    }
    return fits ? 0 : refuse_kind(walk, token, node);
}

/* Reads the value that this node describes. */
static int check_value(struct walk *walk, uint16_t index) {
    struct tycho__msgpack_token token;
    int status;
    if (walk->schema->nodes[index].kind == TYCHO__KIND_ANY) {
        status = tycho__msgpack_skip(&walk->reader);
    } else {
        status = tycho__msgpack_next(&walk->reader, &token);
        if (status == TYCHO__MSGPACK_OK) return check_token(walk, index, &token);
    }
    return status == TYCHO__MSGPACK_OK ? 0 : refuse_bytes(walk, status);
}

/* ---------------------------------------------------------------- records */

static int compare(tycho_bytes a, tycho_bytes b) {
    int order = memcmp(a.data, b.data, a.size < b.size ? a.size : b.size);
    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

/* The node of the field with this name; -1 when there is none. */
static int find_field(const struct tycho__schema *schema, struct frame *frame) {
    const struct tycho__schema_node *node = &schema->nodes[frame->node];
    int low = node->first, high = node->first + node->count - 1;
    if (frame->expected <= high && compare(schema->nodes[frame->expected].name, frame->key) == 0) {
        return frame->expected++;
    }
    while (low <= high) {
        int middle = low + (high - low) / 2;
        int order = compare(schema->nodes[middle].name, frame->key);
        if (order == 0) {
            frame->expected = (uint16_t)(middle + 1);
            return middle;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle - 1;
        }
    }
    return -1;
}

static int check_pair(struct walk *walk, struct frame *frame) {
    struct tycho__msgpack_token key;
    const struct tycho__schema_node *node = &walk->schema->nodes[frame->node];
    int status = tycho__msgpack_next(&walk->reader, &key), field;
    if (status != TYCHO__MSGPACK_OK || key.kind != TYCHO__MSGPACK_STRING) {
        walk->depth--; /* the map itself is at fault */
        if (status != TYCHO__MSGPACK_OK) return refuse_bytes(walk, status);
        return refuse(walk, "has a key that is not a string");
    }
    frame->key = tycho__text_of(key.data, key.size);
    if (node->kind == TYCHO__KIND_MAP) return check_value(walk, node->first);
    field = find_field(walk->schema, frame);
    if (field < 0 && !walk->schema->is_open) return refuse(walk, "is not in the schema");
    if (field < 0) {
        status = tycho__msgpack_skip(&walk->reader);
        return status == TYCHO__MSGPACK_OK ? 0 : refuse_bytes(walk, status);
    }
    if (walk->seen[field]) return refuse(walk, "is there twice");
    walk->seen[field] = true;
    return check_value(walk, (uint16_t)field);
}

/* The container is complete: whether all fields of a record were there. */
static int close_frame(struct walk *walk, struct frame *frame) {
    const struct tycho__schema_node *node = &walk->schema->nodes[frame->node];
    for (uint16_t i = 0; node->kind == TYCHO__KIND_RECORD && i < node->count; i++) {
        const struct tycho__schema_node *field = &walk->schema->nodes[node->first + i];
        if (walk->seen[node->first + i] || field->is_optional) continue;
        frame->key = field->name;
        frame->is_map = true;
        return refuse(walk, "is missing");
    }
    walk->depth--;
    return 0;
}

static int step(struct walk *walk) {
    struct frame *frame = &walk->frames[walk->depth - 1];
    if (frame->left == 0) return close_frame(walk, frame);
    frame->left--;
    if (walk->schema->nodes[frame->node].kind != TYCHO__KIND_ARRAY) return check_pair(walk, frame);
    frame->index++;
    return check_value(walk, walk->schema->nodes[frame->node].first);
}

int tycho__schema_check(const struct tycho__schema *schema, tycho_bytes data,
                        struct tycho__schema_fault *fault) {
    struct walk walk;
    walk.schema = schema;
    walk.fault = fault;
    walk.reader = (struct tycho__msgpack_reader){data.data, data.size, 0};
    walk.depth = 0;
    if (data.size == 0) return schema->nodes[0].is_optional ? 0 : refuse(&walk, "is missing");
    if (schema->has_any || schema->is_open) {
        int status = tycho__msgpack_check(data.data, data.size, &walk.reader.offset);
        if (status != TYCHO__MSGPACK_OK) return refuse_bytes(&walk, status);
        walk.reader.offset = 0;
    }
    int result = check_value(&walk, 0);
    while (result == 0 && walk.depth > 0) result = step(&walk);
    if (result == 0 && walk.reader.offset != data.size) {
        return refuse_bytes(&walk, TYCHO__MSGPACK_TRAILING);
    }
    return result;
}
