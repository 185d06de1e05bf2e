/* step.c - encoding of conditions and operations; the layout is in step.h. */
#include "step.h"

enum { HEAD = 6 };

/* Fields: a name, A name or empty, b second name, B the same or empty, k key, v value, e expected,
** i first, j last, n number, c count with the list behind it (always last). */
static const char *const condition_layout[TYCHO__CONDITIONS] = {
    [TYCHO__STREAM_IS] = "ae", [TYCHO__NONE_MATCH] = "nc",    [TYCHO__ROUTE_IS] = "aB",
    [TYCHO__ROW_IS] = "akn",   [TYCHO__CHECKPOINT_IS] = "an", [TYCHO__LOCK_IS] = "an",
    [TYCHO__RULES_ARE] = "n",
};

static const char *const operation_layout[TYCHO__OPERATIONS] = {
    [TYCHO__APPEND] = "Aec",
    [TYCHO__LINK] = "aec",
    [TYCHO__LINK_RANGE] = "abeij",
    [TYCHO__UNLINK] = "ac",
    [TYCHO__DELETE_STREAM] = "a",
    [TYCHO__TRUNCATE] = "ai",
    [TYCHO__SET_STREAM_METADATA] = "av",
    [TYCHO__SET_ROUTE] = "aB",
    [TYCHO__PUT_ROW] = "akv",
    [TYCHO__DELETE_ROW] = "ak",
    [TYCHO__SET_CHECKPOINT] = "an",
    [TYCHO__OVERWRITE] = "c",
    [TYCHO__RESERVE_TOKENS] = "n",
    [TYCHO__LINK_MERGED] = "aec",
    [TYCHO__DEPLOY] = "av",
    [TYCHO__LINK_NEW] = "ac",
    [TYCHO__MOVE_STREAM] = "ab",
    [TYCHO__SET_DICTIONARY] = "nv",
};

static const uint8_t operation_flags[TYCHO__OPERATIONS] = {
    [TYCHO__APPEND] = TYCHO_RAW,
    [TYCHO__LINK] = TYCHO_RAW | TYCHO_SKIP_DUPLICATES,
    [TYCHO__LINK_NEW] = TYCHO_RAW,
    [TYCHO__LINK_RANGE] = TYCHO_RAW | TYCHO_SKIP_DUPLICATES | TYCHO_KEEP_REVISIONS,
    [TYCHO__LINK_MERGED] = TYCHO_RAW | TYCHO_SKIP_DUPLICATES,
    [TYCHO__SET_ROUTE] = TYCHO_CLOSED,
    [TYCHO__UNLINK] = TYCHO_RAW,
    [TYCHO__DELETE_STREAM] = TYCHO_RAW,
    [TYCHO__TRUNCATE] = TYCHO_RAW,
    [TYCHO__MOVE_STREAM] = TYCHO_RAW,
    [TYCHO__SET_STREAM_METADATA] = TYCHO_RAW,
};

static const char *layout_of(uint8_t kind, bool is_condition) {
    if (kind >= (is_condition ? TYCHO__CONDITIONS : TYCHO__OPERATIONS)) return NULL;
    return is_condition ? condition_layout[kind] : operation_layout[kind];
}

bool tycho__step_expects(const tycho__step *step) {
    if (step->expected == TYCHO_EXPECT_ANY) return false;
    return strchr(operation_layout[step->kind], 'e') != NULL;
}

static uint8_t flags_of(uint8_t kind, bool is_condition) {
    if (is_condition) return kind == TYCHO__STREAM_IS ? TYCHO_RAW : 0;
    return operation_flags[kind];
}

/* ---------------------------------------------------------------- writing */

static void write_name(tycho__buffer *buffer, tycho_bytes name) {
    tycho__write16(buffer, (uint16_t)name.size);
    tycho__write(buffer, name.data, name.size);
}

static void write_field(tycho__buffer *buffer, char field, const tycho__step *step) {
    switch (field) {
    case 'a':
    case 'A':
        write_name(buffer, step->name);
        break;
    case 'b':
    case 'B':
        write_name(buffer, step->second);
        break;
    case 'k':
        write_name(buffer, step->key);
        break;
    case 'v':
        tycho__write32(buffer, (uint32_t)step->value.size);
        tycho__write(buffer, step->value.data, step->value.size);
        break;
    case 'c':
        tycho__write32(buffer, step->count);
        break;
    default: {
        uint64_t scalar = field == 'e'   ? (uint64_t)step->expected
                          : field == 'i' ? (uint64_t)step->first
                          : field == 'j' ? (uint64_t)step->last
                                         : step->number;
        tycho__write64(buffer, scalar);
    }
    }
}

static int null_bytes(const char *what) {
    return tycho__fail(TYCHO_MISUSE, "the %s is NULL, but has a size", what);
}

static int check_field(char field, const tycho__step *step) {
    switch (field) {
    case 'A':
        if (step->name.size == 0) return TYCHO_OK;
        /* fall through */
    case 'a':
        return tycho__check_name(step->name, "stream, route, table, checkpoint or lock");
    case 'B':
        if (step->second.size == 0) return TYCHO_OK;
        /* fall through */
    case 'b':
        return tycho__check_name(step->second, "stream");
    case 'k':
        if (step->key.size > 0 && step->key.data == NULL) return null_bytes("key");
        if (step->key.size <= TYCHO_KEY_MAX) return TYCHO_OK;
        return tycho__fail(TYCHO_TOO_LARGE, "a key has %zu bytes, at most %d are allowed",
                           step->key.size, TYCHO_KEY_MAX);
    case 'v':
        if (step->value.size > 0 && step->value.data == NULL) return null_bytes("value");
        if (step->value.size <= TYCHO_EVENT_SIZE_MAX) return TYCHO_OK;
        return tycho__fail(TYCHO_TOO_LARGE, "a value has %zu bytes, at most %u are allowed",
                           step->value.size, TYCHO_EVENT_SIZE_MAX);
    case 'e':
        if (step->expected >= TYCHO_EXPECT_EXISTS) return TYCHO_OK;
        return tycho__fail(TYCHO_INVALID_EXPECTED_VERSION, "%lld is no expected version",
                           (long long)step->expected);
    default:
        return TYCHO_OK;
    }
}

/* Hooks are told the name that a batch has: over a route to the history of scripts, or by moving a
** stream there, what only deployments may append would come from anybody. */
static int check_names(const tycho__step *step) {
    static const char name[] = "$scripts";
    const tycho_bytes history = tycho__bytes(name, sizeof name - 1);
    bool is_move = step->kind == TYCHO__MOVE_STREAM;
    if (tycho__equal(step->second, history) || (is_move && tycho__equal(step->name, history))) {
        return tycho__fail(TYCHO_MISUSE, "the stream \"%s\" is the history of scripts: no route "
                                         "leads to it, and it is not moved",
                           name);
    }
    if (is_move) return TYCHO_OK;
    if ((step->flags & TYCHO_CLOSED) != 0 && step->second.size == 0) {
        return tycho__fail(TYCHO_MISUSE, "a closed route needs a stream that it leads to");
    }
    return TYCHO_OK;
}

/* What the fields of one step must have in common. */
static int check_whole(const tycho__step *step, bool is_condition) {
    const char *layout = layout_of(step->kind, is_condition);
    uint8_t unknown = (uint8_t)(step->flags & ~flags_of(step->kind, is_condition));
    if (unknown != 0) {
        return tycho__fail(TYCHO_MISUSE, "this operation does not know flag 0x%x", unknown);
    }
    for (const char *field = layout; *field != '\0'; field++) {
        int status = check_field(*field, step);
        if (status != TYCHO_OK) return status;
    }
    bool is_token = step->kind == (is_condition ? (int)TYCHO__LOCK_IS : (int)TYCHO__RESERVE_TOKENS);
    if (is_token && (step->number == 0 || step->number > TYCHO__TOKEN_MAX)) {
        return tycho__fail(TYCHO_MISUSE, "%llu is no token of a lock",
                           (unsigned long long)step->number);
    }
    if (is_condition) return TYCHO_OK;
    if (step->kind == TYCHO__APPEND && step->name.size == 0 && step->expected != TYCHO_EXPECT_ANY) {
        return tycho__fail(TYCHO_INVALID_EXPECTED_VERSION,
                           "the global log has no version to expect (%lld given)",
                           (long long)step->expected);
    }
    if (step->kind == TYCHO__LINK_RANGE && (step->first < 0 || step->last < -1)) {
        return tycho__fail(TYCHO_MISUSE, "a range from revision %lld to %lld",
                           (long long)step->first, (long long)step->last);
    }
    bool is_row = step->kind == TYCHO__PUT_ROW || step->kind == TYCHO__DELETE_ROW;
    if (is_row && tycho__equal(step->name, tycho__scripts())) {
        return tycho__fail(TYCHO_MISUSE, "the table \"" TYCHO_SCRIPTS "\" is written by deploying");
    }
    if (is_row && tycho__equal(step->name, tycho__dictionaries())) {
        return tycho__fail(TYCHO_MISUSE, "the table \"%s\" is written by compressing",
                           TYCHO__DICTIONARY_TABLE);
    }
    bool is_off = step->number == 0 && step->value.size == 0;
    if (step->kind == TYCHO__SET_DICTIONARY && !is_off &&
        !tycho__is_dictionary(step->value, step->number)) {
        return tycho__fail(TYCHO_MISUSE, "%zu bytes that are no dictionary %llu", step->value.size,
                           (unsigned long long)step->number);
    }
    if (step->kind == TYCHO__SET_ROUTE || step->kind == TYCHO__MOVE_STREAM) {
        return check_names(step);
    }
    if (step->kind == TYCHO__LINK_MERGED && step->count > TYCHO_SOURCES_MAX) {
        return tycho__fail(TYCHO_TOO_LARGE, "%u streams to be merged, at most %d are allowed",
                           step->count, TYCHO_SOURCES_MAX);
    }
    if (step->kind == TYCHO__TRUNCATE && step->first < 0) {
        return tycho__fail(TYCHO_MISUSE, "a stream cannot be truncated before revision %lld",
                           (long long)step->first);
    }
    return TYCHO_OK;
}

int tycho__step_begin(tycho__buffer *buffer, const tycho__step *step, bool is_condition) {
    int status = check_whole(step, is_condition);
    if (status != TYCHO_OK) return status;
    status = tycho__buffer_reserve(buffer, HEAD + 64 + step->name.size + step->second.size +
                                               step->key.size + step->value.size);
    if (status != TYCHO_OK) return status;
    tycho__write8(buffer, step->kind);
    tycho__write8(buffer, step->flags);
    tycho__write32(buffer, 0);
    for (const char *field = layout_of(step->kind, is_condition); *field != '\0'; field++) {
        write_field(buffer, *field, step);
    }
    return TYCHO_OK;
}

int tycho__step_link_new(tycho__buffer *buffer, uint8_t flags, tycho_bytes name, uint32_t count) {
    size_t size = 2 + name.size + 4 + 4 * (size_t)count;
    int status = tycho__buffer_reserve(buffer, HEAD + size);
    if (status != TYCHO_OK) return status;
    tycho__write8(buffer, TYCHO__LINK_NEW);
    tycho__write8(buffer, flags);
    tycho__write32(buffer, (uint32_t)size);
    write_name(buffer, name);
    tycho__write32(buffer, count);
    memset(buffer->data + buffer->size, 0, 4 * (size_t)count);
    buffer->size += 4 * (size_t)count;
    return TYCHO_OK;
}

void tycho__step_end(tycho__buffer *buffer, size_t begin) {
    size_t size = buffer->size - begin - HEAD;
    assert(buffer->size <= TYCHO_BATCH_SIZE_MAX);
    tycho__store32(buffer->data + begin + 2, (uint32_t)size);
}

/* ---------------------------------------------------------------- reading */

static void read_field(tycho__reader *reader, char field, tycho__step *step) {
    switch (field) {
    case 'a':
    case 'A':
        step->name = tycho__read_bytes(reader, tycho__read16(reader));
        break;
    case 'b':
    case 'B':
        step->second = tycho__read_bytes(reader, tycho__read16(reader));
        break;
    case 'k':
        step->key = tycho__read_bytes(reader, tycho__read16(reader));
        break;
    case 'v':
        step->value = tycho__read_bytes(reader, tycho__read32(reader));
        break;
    case 'e':
        step->expected = (int64_t)tycho__read64(reader);
        break;
    case 'i':
        step->first = (int64_t)tycho__read64(reader);
        break;
    case 'j':
        step->last = (int64_t)tycho__read64(reader);
        break;
    case 'n':
        step->number = tycho__read64(reader);
        break;
    default:
        assert(field == 'c');
        step->count = tycho__read32(reader);
        step->list = tycho__read_bytes(reader, tycho__reader_left(reader));
    }
}

/* The fields "Aec" of an append, or "ac" of a link of events of the batch: of those nearly all
** batches are made. False: too few bytes. */
static inline bool read_often(tycho_bytes payload, bool has_version, tycho__step *step) {
    const size_t name = 2, rest = has_version ? 12 : 4;
    const uint8_t *from = payload.data;
    if (payload.size < name + rest) return false;
    size_t size = tycho__load16(from);
    if (payload.size - name - rest < size) return false;
    step->name = tycho__bytes(from + name, size);
    from += name + size;
    if (has_version) step->expected = (int64_t)tycho__load64(from);
    step->count = tycho__load32(from + rest - 4);
    step->list = tycho__bytes(from + rest, payload.size - name - size - rest);
    return true;
}

int tycho__step_read(tycho__reader *reader, tycho__step *step, bool is_condition) {
    memset(step, 0, sizeof *step);
    step->expected = TYCHO_EXPECT_ANY;
    const uint8_t *head = tycho__read_bytes(reader, HEAD).data;
    tycho_bytes payload = {NULL, 0};
    if (!reader->bad) payload = tycho__read_bytes(reader, tycho__load32(head + 2));
    if (reader->bad) return tycho__fail(TYCHO_CORRUPT, "a step of the batch is cut off");
    step->kind = head[0];
    step->flags = head[1];
    bool is_append = step->kind == TYCHO__APPEND;
    bool is_often = !is_condition && (is_append || step->kind == TYCHO__LINK_NEW);
    if (is_often && read_often(payload, is_append, step)) return TYCHO_OK;
    const char *layout = layout_of(step->kind, is_condition);
    if (layout == NULL) {
        return tycho__fail(TYCHO_NEWER_FORMAT, "the batch has an unknown %s, number %u",
                           is_condition ? "condition" : "operation", step->kind);
    }
    tycho__reader fields = tycho__reader_of(payload);
    for (; *layout != '\0'; layout++) read_field(&fields, *layout, step);
    if (fields.bad || tycho__reader_left(&fields) > 0) {
        return tycho__fail(TYCHO_CORRUPT, "a step of the batch has a wrong size");
    }
    return TYCHO_OK;
}

static int corrupt_list(void) {
    return tycho__fail(TYCHO_CORRUPT, "a step of the batch has a damaged list");
}

static int check_query_item(tycho__reader *list, size_t *names) {
    size_t count = (size_t)tycho__read16(list) + tycho__read16(list);
    for (size_t i = 0; i < count && !list->bad; i++) {
        tycho_bytes name = tycho__read_bytes(list, tycho__read8(list));
        if (tycho__check_name(name, "type or tag") != TYCHO_OK) return corrupt_list();
    }
    *names += count;
    return *names > TYCHO_QUERY_MAX ? corrupt_list() : TYCHO_OK;
}

static int check_element(const tycho__step *step, bool is_condition, tycho__reader *list,
                         size_t *names) {
    if (is_condition) return check_query_item(list, names);
    if (step->kind == TYCHO__APPEND || step->kind == TYCHO__OVERWRITE) {
        tycho__event_view view;
        int status = tycho__event_decode(list, &view);
        return status == TYCHO_OK ? tycho__event_check(&view) : status;
    }
    if (step->kind == TYCHO__LINK_MERGED) {
        tycho_source source;
        return tycho__source_read(list, &source);
    }
    if (step->kind == TYCHO__LINK_NEW) {
        uint32_t ordinal = tycho__read32(list);
        bool is_rising = ordinal >= *names; /* the lowest that may follow */
        *names = (size_t)ordinal + 1;
        return is_rising ? TYCHO_OK : corrupt_list();
    }
    tycho__id id;
    return tycho__id_read(list, &id);
}

int tycho__step_check(const tycho__step *step, bool is_condition, size_t *elements) {
    int status = check_whole(step, is_condition);
    if (status != TYCHO_OK) return TYCHO_CORRUPT;
    tycho__reader list = tycho__reader_of(step->list);
    size_t names = 0;
    bool has_list = strchr(layout_of(step->kind, is_condition), 'c') != NULL;
    if (is_condition && step->count > TYCHO_QUERY_MAX) return corrupt_list();
    if (!is_condition && has_list && step->count == 0) return corrupt_list();
    for (uint32_t i = 0; i < step->count; i++) {
        status = check_element(step, is_condition, &list, &names);
        if (status != TYCHO_OK) return status;
        if (list.bad) return corrupt_list();
    }
    if (tycho__reader_left(&list) > 0) return corrupt_list();
    if (!is_condition && step->kind != TYCHO__LINK_NEW) *elements += step->count;
    return TYCHO_OK;
}

/* ---------------------------------------------------------------- lists */

int tycho__ids_encode(tycho__buffer *buffer, const tycho_bytes *ids, size_t count) {
    for (size_t i = 0; i < count; i++) {
        tycho__id id;
        int status = tycho__check_id(ids[i], "event id");
        if (status == TYCHO_OK) status = tycho__buffer_reserve(buffer, 2 + TYCHO_ID_MAX);
        if (status != TYCHO_OK) return status;
        tycho__id_pack(&id, ids[i]);
        tycho__write8(buffer, id.is_uuid);
        tycho__write8(buffer, id.size);
        tycho__write(buffer, id.bytes, id.size);
    }
    return TYCHO_OK;
}

int tycho__id_read(tycho__reader *reader, tycho__id *id) {
    uint8_t is_uuid = tycho__read8(reader);
    uint8_t size = tycho__read8(reader);
    tycho_bytes bytes = tycho__read_bytes(reader, size);
    bool is_sized = is_uuid == 1 ? size == TYCHO__UUID_BYTES : size > 0 && size <= TYCHO_ID_MAX;
    if (reader->bad || is_uuid > 1 || !is_sized) {
        return tycho__fail(TYCHO_CORRUPT, "the batch has a bad event id");
    }
    if (is_uuid == 0) {
        tycho__id_pack(id, bytes);
        if (id->is_uuid) return tycho__fail(TYCHO_CORRUPT, "the batch has an unpacked UUID");
        return TYCHO_OK;
    }
    tycho__copy(id->bytes, bytes);
    id->size = size;
    id->is_uuid = true;
    return TYCHO_OK;
}

int tycho__source_encode(tycho__buffer *buffer, const tycho_source *source) {
    int status = tycho__check_name(source->stream, "stream");
    if (status == TYCHO_OK && source->first < 0) {
        status = tycho__fail(TYCHO_MISUSE, "a range from revision %lld", (long long)source->first);
    }
    if (status == TYCHO_OK) status = tycho__buffer_reserve(buffer, 10 + source->stream.size);
    if (status != TYCHO_OK) return status;
    write_name(buffer, source->stream);
    tycho__write64(buffer, (uint64_t)source->first);
    return TYCHO_OK;
}

int tycho__source_read(tycho__reader *reader, tycho_source *source) {
    source->stream = tycho__read_bytes(reader, tycho__read16(reader));
    source->first = (int64_t)tycho__read64(reader);
    bool is_bad = reader->bad || source->first < 0;
    if (is_bad || tycho__check_name(source->stream, "stream") != TYCHO_OK) {
        return tycho__fail(TYCHO_CORRUPT, "the batch has a bad stream to be merged");
    }
    return TYCHO_OK;
}

static int encode_names(tycho__buffer *buffer, const tycho_bytes *names, size_t count,
                        const char *what) {
    if (count > 0 && names == NULL) return null_bytes("list of names");
    for (size_t i = 0; i < count; i++) {
        int status = tycho__check_name(names[i], what);
        if (status == TYCHO_OK) status = tycho__buffer_reserve(buffer, 1 + names[i].size);
        if (status != TYCHO_OK) return status;
        tycho__write8(buffer, (uint8_t)names[i].size);
        tycho__write(buffer, names[i].data, names[i].size);
    }
    return TYCHO_OK;
}

int tycho__query_encode(tycho__buffer *buffer, const tycho_query *query) {
    size_t names = 0;
    if (query->item_count > TYCHO_QUERY_MAX) names = query->item_count;
    if (query->item_count > 0 && query->items == NULL) return null_bytes("list of query items");
    for (size_t i = 0; i < query->item_count && names <= TYCHO_QUERY_MAX; i++) {
        const tycho_query_item *item = &query->items[i];
        names += item->type_count > TYCHO_QUERY_MAX ? TYCHO_QUERY_MAX + 1 : item->type_count;
        names += item->tag_count > TYCHO_QUERY_MAX ? TYCHO_QUERY_MAX + 1 : item->tag_count;
    }
    if (names > TYCHO_QUERY_MAX) {
        return tycho__fail(TYCHO_TOO_LARGE, "a query has over %d items or names", TYCHO_QUERY_MAX);
    }
    for (size_t i = 0; i < query->item_count; i++) {
        const tycho_query_item *item = &query->items[i];
        int status = tycho__buffer_reserve(buffer, 4);
        if (status != TYCHO_OK) return status;
        tycho__write16(buffer, (uint16_t)item->type_count);
        tycho__write16(buffer, (uint16_t)item->tag_count);
        status = encode_names(buffer, item->types, item->type_count, "type");
        if (status == TYCHO_OK) status = encode_names(buffer, item->tags, item->tag_count, "tag");
        if (status != TYCHO_OK) return status;
    }
    return TYCHO_OK;
}
