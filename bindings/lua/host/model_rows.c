/* model_rows.c - the rows of instances: MessagePack maps.
**
**     TYCHO_MODELS        at, fingerprint, linked, mark, position, version
**     TYCHO_MODEL_STATES  at, caught_up, events, fingerprint, position, revision, state, time,
**                         version
**
** The metadata of an instance's stream are { mark, version }.
**
** The state goes in as it is, a value within the map, so that a row can be read by anybody.
*/
#include <string.h>

#include "model.h"

/* ---------------------------------------------------------------- reading */

static int damaged(const tycho_item *item) {
    return tycho__script_fail(TYCHO_CORRUPT, "the row \"%.*s\" of a read model is damaged",
                              (int)item->name.size, (const char *)item->name.data);
}

/* Where a field of whole numbers goes; NULL: not known. */
static void *find_field(struct tycho__model_row *row, const struct tycho__msgpack_token *name) {
    const struct {
        const char *name;
        void *place;
    } fields[] = {{"caught_up", &row->caught_up}, {"at", &row->at},
                  {"events", &row->events},       {"fingerprint", &row->fingerprint},
                  {"linked", &row->linked},       {"mark", &row->mark},
                  {"position", &row->position},   {"revision", &row->revision},
                  {"time", &row->time},           {"version", &row->version}};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        size_t size = strlen(fields[i].name);
        if (name->size == size && memcmp(name->data, fields[i].name, size) == 0) {
            return fields[i].place;
        }
    }
    return NULL;
}

/* Reads a field; false when it is not what it must be. */
static bool take_field(struct tycho__msgpack_reader *reader, struct tycho__model_row *row,
                       tycho_bytes *state) {
    struct tycho__msgpack_token token;
    if (tycho__msgpack_next(reader, &token) != 0 || token.kind != TYCHO__MSGPACK_STRING) {
        return false;
    }
    if (token.size == 5 && memcmp(token.data, "state", 5) == 0) {
        size_t from = reader->offset;
        if (tycho__msgpack_skip(reader) != 0) return false;
        row->size = reader->offset - from;
        if (state != NULL) *state = tycho__text_of(reader->data + from, row->size);
        return true;
    }
    void *place = find_field(row, &token);
    if (tycho__msgpack_next(reader, &token) != 0 || place == NULL) return false;
    if (token.kind != TYCHO__MSGPACK_INTEGER) return false;
    memcpy(place, &token.integer, sizeof token.integer);
    return true;
}

int tycho__model_row_parse(const tycho_item *item, struct tycho__model_row *row,
                           tycho_bytes *state) {
    struct tycho__msgpack_reader reader = {.data = item->value.data, .size = item->value.size};
    struct tycho__msgpack_token token;
    memset(row, 0, sizeof *row);
    bool is_good = tycho__msgpack_next(&reader, &token) == 0 && token.kind == TYCHO__MSGPACK_MAP;
    for (uint64_t left = is_good ? token.count : 0; left > 0 && is_good; left--) {
        is_good = take_field(&reader, row, state);
    }
    row->row_version = item->version;
    return is_good && row->fingerprint != 0 ? TYCHO_OK : damaged(item);
}

/* The one line of a listing with this name; END when there is none. */
static int find_line(tycho_model *model, uint32_t list, const char *table,
                     const struct tycho__instance_name *name, tycho_listing **listing,
                     tycho_item *item) {
    const tycho_list_options options = {.size = sizeof options,
                                        .snapshot = model->snapshot,
                                        .list = list,
                                        .exact = 1,
                                        .subject = tycho__text(table),
                                        .prefix = tycho__instance_bytes(name)};
    int status = tycho_listing_open(model->store, &options, listing);
    if (status == TYCHO_OK) status = tycho_listing_next(*listing, item);
    return status;
}

int tycho__model_row_get(tycho_model *model, const char *table,
                         const struct tycho__instance_name *name, struct tycho__model_row *row) {
    tycho_listing *listing = NULL;
    tycho_item item;
    tycho_bytes state = {NULL, 0};
    memset(row, 0, sizeof *row);
    int status = find_line(model, TYCHO_LIST_ROWS, table, name, &listing, &item);
    if (status == TYCHO_OK) {
        status = tycho__model_row_parse(&item, row, &state);
    } else if (status == TYCHO_END) {
        status = TYCHO_OK;
    }
    if (status == TYCHO_OK && state.size > 0) {
        tycho__payload_clear(&model->state);
        tycho__payload_put(&model->state, state.data, state.size);
        if (model->state.failed != 0) {
            status = tycho__script_fail(TYCHO_NO_MEMORY, "no memory for a state");
        }
    }
    tycho_listing_close(listing);
    return status;
}

/* What is no metadata of ours has no mark. */
static void read_mark(tycho_bytes metadata, int64_t *mark) {
    struct tycho__msgpack_reader reader = {.data = metadata.data, .size = metadata.size};
    struct tycho__msgpack_token token;
    struct tycho__model_row row = {.mark = 0};
    bool is_good = tycho__msgpack_next(&reader, &token) == 0 && token.kind == TYCHO__MSGPACK_MAP;
    for (uint64_t left = is_good ? token.count : 0; left > 0 && is_good; left--) {
        is_good = take_field(&reader, &row, NULL);
    }
    *mark = row.mark;
}

int tycho__model_stream_get(tycho_model *model, const struct tycho__instance_name *name,
                            struct tycho__model_stream *stream) {
    tycho_listing *listing = NULL;
    tycho_item item;
    *stream = (struct tycho__model_stream){.revision = -1};
    int status = find_line(model, TYCHO_LIST_STREAMS, "", name, &listing, &item);
    if (status == TYCHO_OK) {
        stream->revision = item.revision;
        stream->entries = item.count;
        read_mark(item.value, &stream->mark);
    }
    tycho_listing_close(listing);
    return status == TYCHO_END ? TYCHO_OK : status;
}

/* ---------------------------------------------------------------- writing */

static void put(struct tycho_buffer *to, const char *name, int64_t value) {
    tycho__msgpack_put_string(to, name, strlen(name));
    tycho__msgpack_put_integer(to, value);
}

static int put_row(tycho_model *model, const char *table, const struct tycho__instance_name *name,
                   uint64_t row_version) {
    const tycho_bytes value = tycho__text_of(model->row.data, model->row.size);
    if (model->row.failed != 0) {
        return tycho__script_fail(TYCHO_NO_MEMORY, "no memory for a row");
    }
    int status = tycho_batch_expect_row(model->batch, tycho__text(table),
                                        tycho__instance_bytes(name), row_version);
    if (status != TYCHO_OK) return status;
    return tycho_batch_put_row(model->batch, tycho__text(table), tycho__instance_bytes(name),
                               value);
}

int tycho__model_row_put(tycho_model *model, const struct tycho__instance_name *name,
                         const struct tycho__model_row *row) {
    struct tycho_buffer *to = &model->row;
    tycho__payload_clear(to);
    tycho__msgpack_put_map(to, 6);
    put(to, "at", row->at);
    put(to, "fingerprint", (int64_t)row->fingerprint);
    put(to, "linked", (int64_t)row->linked);
    put(to, "mark", row->mark);
    put(to, "position", (int64_t)row->position);
    put(to, "version", row->version);
    return put_row(model, TYCHO_MODELS, name, row->row_version);
}

int tycho__model_state_put(tycho_model *model, const struct tycho__instance_name *name,
                           const struct tycho__model_row *row, tycho_bytes state) {
    struct tycho_buffer *to = &model->row;
    tycho__payload_clear(to);
    tycho__msgpack_put_map(to, 9);
    put(to, "at", row->at);
    put(to, "caught_up", (int64_t)row->caught_up);
    put(to, "events", (int64_t)row->events);
    put(to, "fingerprint", (int64_t)row->fingerprint);
    put(to, "position", (int64_t)row->position);
    put(to, "revision", row->revision);
    tycho__msgpack_put_string(to, "state", 5);
    tycho__payload_put(to, state.data, state.size);
    put(to, "time", row->time);
    put(to, "version", row->version);
    return put_row(model, TYCHO_MODEL_STATES, name, row->row_version);
}

int tycho__model_stream_mark(tycho_model *model, const struct tycho__instance_name *name,
                             int64_t mark) {
    struct tycho_buffer *to = &model->row;
    tycho__payload_clear(to);
    tycho__msgpack_put_map(to, 2);
    put(to, "mark", mark);
    put(to, "version", model->definition->about.version);
    if (to->failed != 0) return tycho__script_fail(TYCHO_NO_MEMORY, "no memory for a mark");
    return tycho_batch_set_stream_metadata(model->batch, tycho__instance_bytes(name),
                                           tycho__text_of(to->data, to->size), TYCHO_RAW);
}
