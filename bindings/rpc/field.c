/* field.c - fields of the request: present or not, of the right kind, within bounds.
**
** Every message names the place ("operations[2].records[0].timestamp"), what was found and what is
** asked for. null counts as absent.
*/
#include <stdio.h>
#include <string.h>

#include "call.h"

size_t tycho__rpc_enter(struct rpc_call *call, const char *name) {
    size_t before = call->place_size;
    int size = snprintf(call->place + before, sizeof call->place - before, "%s.", name);
    if (size > 0 && before + (size_t)size < sizeof call->place) call->place_size += (size_t)size;
    call->place[call->place_size] = '\0';
    return before;
}

size_t tycho__rpc_enter_item(struct rpc_call *call, const char *name, size_t index) {
    char item[64];
    snprintf(item, sizeof item, "%s[%zu]", name, index);
    return tycho__rpc_enter(call, item);
}

void tycho__rpc_leave(struct rpc_call *call, size_t place_size) {
    call->place_size = place_size;
    call->place[place_size] = '\0';
}

const char *tycho__rpc_kind(const json_t *value) {
    if (value == NULL) return "absent";
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
        return "an integer";
    case JSON_REAL:
        return "a float";
    case JSON_NULL:
        return "null";
    default:
        return "a boolean";
    }
}

static int fail_kind(struct rpc_call *call, const char *name, const json_t *value,
                     const char *wanted) {
    return tycho__rpc_fail(call, TYCHO_MISUSE, "%s%s is %s; give %s", call->place, name,
                           tycho__rpc_kind(value), wanted);
}

/* Is `word` one of the space-separated `words`? Its index, or -1. */
static int find_word(const char *words, const char *word, size_t size) {
    int index = 0;
    while (*words != '\0') {
        size_t length = strcspn(words, " ");
        if (length == size && memcmp(words, word, size) == 0) return index;
        words += length;
        words += strspn(words, " ");
        index++;
    }
    return -1;
}

int tycho__rpc_check_fields(struct rpc_call *call, const json_t *object, const char *what,
                            const char *known) {
    const char *key;
    size_t size;
    json_t *value;
    char subject[RPC_PLACE_SIZE + 64];
    int place_size = (int)call->place_size - (what == NULL); /* without its last dot */
    snprintf(subject, sizeof subject, "%.*s%s", place_size, call->place, what == NULL ? "" : what);
    if (!json_is_object(object)) {
        return tycho__rpc_fail(call, TYCHO_MISUSE, "%s is %s; give an object", subject,
                               tycho__rpc_kind(object));
    }
    json_object_keylen_foreach((json_t *)object, key, size, value) {
        if (find_word(known, key, size) >= 0) continue;
        return tycho__rpc_fail(call, TYCHO_MISUSE, "%s has no field \"%.*s\"; it knows: %s",
                               subject, (int)(size > 60 ? 60 : size), key, known);
    }
    return TYCHO_OK;
}

const json_t *tycho__rpc_field(const json_t *object, const char *name) {
    const json_t *value = json_object_get(object, name);
    return json_is_null(value) ? NULL : value;
}

/* Is the field absent? Then *status says whether it may be. */
static bool is_absent(struct rpc_call *call, const json_t *value, const char *name,
                      unsigned flags, int *status) {
    *status = TYCHO_OK;
    if (value != NULL) return false;
    if (flags & RPC_REQUIRED) {
        *status = tycho__rpc_fail(call, TYCHO_MISUSE, "%s%s is required", call->place, name);
    }
    return true;
}

static int take_text(struct rpc_call *call, const json_t *value, const char *name,
                     unsigned flags, tycho_bytes *text) {
    size_t size = json_string_length(value);
    if (size == 0 && !(flags & RPC_EMPTY)) {
        return tycho__rpc_fail(call, TYCHO_MISUSE, "%s%s is empty", call->place, name);
    }
    *text = (tycho_bytes){json_string_value(value), size};
    return TYCHO_OK;
}

int tycho__rpc_text(struct rpc_call *call, const json_t *object, const char *name, unsigned flags,
                    tycho_bytes *value) {
    const json_t *field = tycho__rpc_field(object, name);
    int status;
    if (is_absent(call, field, name, flags, &status)) return status;
    if (!json_is_string(field)) return fail_kind(call, name, field, "a string");
    return take_text(call, field, name, flags, value);
}

static int take_bytes(struct rpc_call *call, const json_t *value, const char *name,
                      unsigned flags, tycho_bytes *bytes) {
    int status;
    if (json_is_string(value)) return take_text(call, value, name, flags, bytes);
    status = tycho__rpc_base64_value(call, value, name, bytes);
    if (status == TYCHO_END) return fail_kind(call, name, value, "a string or {\"base64\":...}");
    if (status == TYCHO_OK && bytes->size == 0 && !(flags & RPC_EMPTY)) {
        return tycho__rpc_fail(call, TYCHO_MISUSE, "%s%s is empty", call->place, name);
    }
    return status;
}

int tycho__rpc_bytes(struct rpc_call *call, const json_t *object, const char *name, unsigned flags,
                     tycho_bytes *value) {
    const json_t *field = tycho__rpc_field(object, name);
    int status;
    if (is_absent(call, field, name, flags, &status)) return status;
    return take_bytes(call, field, name, flags, value);
}

int tycho__rpc_integer(struct rpc_call *call, const json_t *object, const char *name,
                       int64_t least, int64_t *value, bool *is_given) {
    const json_t *field = tycho__rpc_field(object, name);
    if (is_given != NULL) *is_given = field != NULL;
    if (field == NULL) return TYCHO_OK;
    if (!json_is_integer(field)) return fail_kind(call, name, field, "an integer");
    if (json_integer_value(field) < least) {
        return tycho__rpc_fail(call, TYCHO_MISUSE, "%s%s is %lld; the least is %lld", call->place,
                               name, (long long)json_integer_value(field), (long long)least);
    }
    *value = json_integer_value(field);
    return TYCHO_OK;
}

int tycho__rpc_boolean(struct rpc_call *call, const json_t *object, const char *name,
                       bool *value) {
    const json_t *field = tycho__rpc_field(object, name);
    if (field == NULL) return TYCHO_OK;
    if (!json_is_boolean(field)) return fail_kind(call, name, field, "true or false");
    *value = json_is_true(field);
    return TYCHO_OK;
}

int tycho__rpc_choice(struct rpc_call *call, const json_t *object, const char *name,
                      const char *words, uint32_t *index) {
    const json_t *field = tycho__rpc_field(object, name);
    int found;
    if (field == NULL) return TYCHO_OK;
    if (!json_is_string(field)) return fail_kind(call, name, field, words);
    found = find_word(words, json_string_value(field), json_string_length(field));
    if (found < 0) {
        return tycho__rpc_fail(call, TYCHO_MISUSE, "%s%s is \"%.60s\"; give one of: %s",
                               call->place, name, json_string_value(field), words);
    }
    *index = (uint32_t)found;
    return TYCHO_OK;
}

int tycho__rpc_path(struct rpc_call *call, const json_t *object, const char *name,
                    const char **path) {
    tycho_bytes text = {NULL, 0};
    int status = tycho__rpc_text(call, object, name, RPC_REQUIRED, &text);
    if (status != TYCHO_OK) return status;
    if (memchr(text.data, '\0', text.size) != NULL) {
        return tycho__rpc_fail(call, TYCHO_MISUSE, "%s%s has a NUL byte", call->place, name);
    }
    *path = text.data;
    return TYCHO_OK;
}

int tycho__rpc_array(struct rpc_call *call, const json_t *object, const char *name,
                     unsigned flags, const json_t **array) {
    const json_t *field = tycho__rpc_field(object, name);
    int status;
    *array = NULL;
    if (is_absent(call, field, name, flags, &status)) return status;
    if (!json_is_array(field)) return fail_kind(call, name, field, "an array");
    *array = field;
    return TYCHO_OK;
}

/* A list of texts, or (`are_bytes`) of texts or {"base64"}. Absent: nothing is touched. */
static int take_list(struct rpc_call *call, const json_t *object, const char *name,
                     bool are_bytes, const tycho_bytes **values, size_t *count) {
    const json_t *array;
    tycho_bytes *list;
    int status = tycho__rpc_array(call, object, name, 0, &array);
    if (status != TYCHO_OK || array == NULL) return status;
    list = tycho__rpc_alloc(call, json_array_size(array), sizeof *list);
    if (list == NULL) return TYCHO_NO_MEMORY;
    for (size_t i = 0; status == TYCHO_OK && i < json_array_size(array); i++) {
        const json_t *item = json_array_get(array, i);
        char item_name[64];
        snprintf(item_name, sizeof item_name, "%s[%zu]", name, i);
        if (are_bytes) {
            status = take_bytes(call, item, item_name, RPC_EMPTY, &list[i]);
        } else if (json_is_string(item)) {
            status = take_text(call, item, item_name, 0, &list[i]);
        } else {
            status = fail_kind(call, item_name, item, "a string");
        }
    }
    if (status != TYCHO_OK) return status;
    *values = list;
    *count = json_array_size(array);
    return TYCHO_OK;
}

int tycho__rpc_texts(struct rpc_call *call, const json_t *object, const char *name,
                     const tycho_bytes **values, size_t *count) {
    return take_list(call, object, name, false, values, count);
}

int tycho__rpc_ids(struct rpc_call *call, const json_t *object, const char *name,
                   const tycho_bytes **values, size_t *count) {
    return take_list(call, object, name, true, values, count);
}

static int fail_expected(struct rpc_call *call, const char *problem) {
    return tycho__rpc_fail(call, TYCHO_INVALID_EXPECTED_VERSION, "%sexpected_version is %s",
                           call->place, problem);
}

int tycho__rpc_expected(struct rpc_call *call, const json_t *object, tycho_bytes stream,
                        int64_t *expected) {
    static const int64_t named[] = {TYCHO_EXPECT_ANY, TYCHO_EXPECT_NONE, TYCHO_EXPECT_ANY,
                                    TYCHO_EXPECT_EXISTS};
    static const char wanted[] = "any none auto exists";
    const json_t *field = json_object_get(object, "expected_version");
    int word = 0;
    *expected = TYCHO_EXPECT_ANY;
    if (field == NULL) return TYCHO_OK;
    if (json_is_integer(field)) {
        if (json_integer_value(field) < -1) return fail_expected(call, "less than -1");
        *expected = json_integer_value(field);
    } else if (json_is_string(field)) {
        word = find_word(wanted, json_string_value(field), json_string_length(field));
        if (word < 0) return fail_expected(call, "not any, none, auto, exists or an integer");
        *expected = named[word];
    } else {
        return fail_expected(call, "not any, none, auto, exists or an integer");
    }
    if (stream.size == 0 && (word != 0 || json_is_integer(field))) {
        return fail_expected(call, "for a stream; the global log knows only \"any\"");
    }
    return TYCHO_OK;
}

/* Adds one {types, tags} to the query. */
static int take_query_item(struct rpc_call *call, const json_t *object, const char *name,
                           tycho_query_item *item) {
    size_t place;
    int status = tycho__rpc_check_fields(call, object, name, "types tags");
    if (status != TYCHO_OK) return status;
    place = tycho__rpc_enter(call, name);
    *item = (tycho_query_item){NULL, 0, NULL, 0};
    status = tycho__rpc_texts(call, object, "types", &item->types, &item->type_count);
    if (status == TYCHO_OK) {
        status = tycho__rpc_texts(call, object, "tags", &item->tags, &item->tag_count);
    }
    tycho__rpc_leave(call, place);
    return status;
}

int tycho__rpc_query(struct rpc_call *call, const json_t *object, const char *name,
                     tycho_query *query) {
    const json_t *field = tycho__rpc_field(object, name);
    size_t count = json_is_array(field) ? json_array_size(field) : 1;
    tycho_query_item *items;
    int status = TYCHO_OK;
    if (field == NULL) return TYCHO_OK;
    if (count > RPC_QUERY_ITEMS_MAX) {
        return tycho__rpc_fail(call, TYCHO_TOO_LARGE, "%s%s has %zu items; at most %d",
                               call->place, name, count, RPC_QUERY_ITEMS_MAX);
    }
    items = tycho__rpc_alloc(call, count, sizeof *items);
    if (items == NULL) return TYCHO_NO_MEMORY;
    for (size_t i = 0; status == TYCHO_OK && i < count; i++) {
        const json_t *item = json_is_array(field) ? json_array_get(field, i) : field;
        char item_name[64];
        snprintf(item_name, sizeof item_name, "%s[%zu]", name, i);
        if (!json_is_array(field)) snprintf(item_name, sizeof item_name, "%s", name);
        status = take_query_item(call, item, item_name, &items[i]);
    }
    query->items = items;
    query->item_count = count;
    return status;
}
