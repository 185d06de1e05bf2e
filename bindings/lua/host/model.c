/* model.c - handles on read models: the script that is deployed now, and what is known of its
** instances.
*/
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "model.h"

/* ---------------------------------------------------------------- the present script */

static int not_deployed(const tycho_model *model) {
    return tycho__script_fail(TYCHO_NOT_FOUND, "there is no read_model \"%.*s\"",
                              (int)model->name_size, model->name);
}

static void drop_rules(tycho_model *model) {
    tycho__rules_release(model->rules);
    model->rules = NULL;
    model->definition = NULL;
}

/* Finds the model in rules that were loaded. */
static int find_definition(tycho_model *model) {
    if (model->rules->failure != NULL) return tycho__failure_raise(model->rules->failure);
    for (size_t i = 0; i < model->rules->count; i++) {
        struct tycho__definition *definition = model->rules->definitions[i];
        bool is_it =
            definition->about.kind == TYCHO_READ_MODEL &&
            tycho__same(definition->about.name, tycho__text_of(model->name, model->name_size));
        if (is_it) model->definition = definition;
    }
    return model->definition != NULL ? TYCHO_OK : not_deployed(model);
}

/* The version of the row of the deployment, in the snapshot. */
static int find_deployed(tycho_model *model) {
    const tycho_list_options options = {.size = sizeof options,
                                        .snapshot = model->snapshot,
                                        .list = TYCHO_LIST_ROWS,
                                        .exact = 1,
                                        .subject = tycho__text(TYCHO_SCRIPTS),
                                        .prefix = model->definition->about.key};
    tycho_listing *listing = NULL;
    tycho_item item;
    int status = tycho_listing_open(model->store, &options, &listing);
    if (status == TYCHO_OK) status = tycho_listing_next(listing, &item);
    if (status == TYCHO_OK) model->deployed = item.version;
    tycho_listing_close(listing);
    return status == TYCHO_END ? not_deployed(model) : status;
}

/* Makes the fingerprint: positive, and never 0. */
static void find_fingerprint(tycho_model *model) {
    const tycho_script_about *about = &model->definition->about;
    uint64_t number = XXH3_64bits(&model->deployed, sizeof model->deployed);
    for (size_t i = 0; i < about->type_count; i++) {
        int index = tycho__concern_type(tycho__rules_find(model->rules, about->types[i]));
        if (index < 0) continue;
        const tycho_script_about *type = &model->rules->definitions[index]->about;
        number = XXH3_64bits_withSeed(type->hash.data, type->hash.size, number);
    }
    model->fingerprint = (number & INT64_MAX) | 1;
}

/* Has the rules of the snapshot; END when the store has others by now. */
static int follow_rules(tycho_model *model, uint64_t version) {
    if (model->rules != NULL && model->rules->version == version) return TYCHO_OK;
    drop_rules(model);
    int status = tycho__store_rules(model->store, &model->rules);
    if (status != TYCHO_OK) return status;
    if (model->rules->version != version) {
        drop_rules(model);
        return TYCHO_END;
    }
    status = find_definition(model);
    if (status == TYCHO_OK) status = find_deployed(model);
    if (status == TYCHO_OK) {
        find_fingerprint(model);
    } else {
        drop_rules(model);
    }
    return status;
}

int tycho__model_begin(tycho_model *model) {
    int status;
    do {
        uint64_t version = 0;
        tycho__model_end(model);
        status = tycho_snapshot_open(model->store, &model->snapshot);
        if (status == TYCHO_OK)
            status = tycho_snapshot_get(model->snapshot, &model->head, &version);
        if (status == TYCHO_OK) status = follow_rules(model, version);
    } while (status == TYCHO_END);
    if (status != TYCHO_OK) tycho__model_end(model);
    return status;
}

void tycho__model_end(tycho_model *model) {
    tycho_snapshot_close(model->snapshot);
    model->snapshot = NULL;
}

/* ---------------------------------------------------------------- life */

int tycho_model_open(tycho_store *store, tycho_bytes name, tycho_model **out) {
    if (out == NULL) return tycho__script_fail(TYCHO_MISUSE, "no place to put the model");
    *out = NULL;
    const char *fault = tycho__name_fault(name.data, name.size);
    if (fault != NULL) {
        return tycho__script_fail(TYCHO_MISUSE, "the name of the read model %s", fault);
    }
    tycho_model *model = calloc(1, sizeof *model);
    if (model == NULL) return tycho__script_fail(TYCHO_NO_MEMORY, "no memory for a read model");
    model->store = store;
    model->name_size = name.size;
    memcpy(model->name, name.data, name.size);
    int status = tycho_batch_create(&model->batch);
    if (status == TYCHO_OK) status = tycho__model_begin(model);
    tycho__model_end(model);
    if (status == TYCHO_OK) {
        *out = model;
    } else {
        tycho_model_close(model);
    }
    return status;
}

void tycho_model_close(tycho_model *model) {
    if (model == NULL) return;
    drop_rules(model);
    tycho_batch_destroy(model->batch);
    tycho__payload_free(&model->state);
    tycho__payload_free(&model->row);
    free(model);
}

/* ---------------------------------------------------------------- instances */

int tycho__model_name(const tycho_model *model, tycho_bytes key,
                      struct tycho__instance_name *name) {
    const char *fault = tycho__name_fault(key.data, key.size);
    if (fault == NULL && model->name_size + 1 + key.size > TYCHO_NAME_MAX) {
        fault = "has over 255 bytes with the name of the read model";
    }
    if (fault != NULL) return tycho__script_fail(TYCHO_MISUSE, "the key %s", fault);
    name->size = model->name_size + 1 + key.size;
    memcpy(name->text, model->name, model->name_size);
    name->text[model->name_size] = '$';
    memcpy(name->text + model->name_size + 1, key.data, key.size);
    return TYCHO_OK;
}

/* "tycho.model:NAME$KEY"; a hash instead of what would be too long. */
static tycho_bytes name_lock(const struct tycho__instance_name *name,
                             struct tycho__instance_name *room) {
    static const char prefix[] = "tycho.model:";
    const size_t size = sizeof prefix - 1;
    memcpy(room->text, prefix, size);
    if (size + name->size <= TYCHO_NAME_MAX) {
        memcpy(room->text + size, name->text, name->size);
        room->size = size + name->size;
    } else {
        const uint64_t hash = XXH3_64bits(name->text, name->size);
        room->size = size + (size_t)snprintf(room->text + size, sizeof room->text - size,
                                             "#%016llx", (unsigned long long)hash);
    }
    return tycho__instance_bytes(room);
}

int tycho__model_check_cancelled(const tycho_model *model) {
    bool is_cancelled =
        model->cancelled != NULL && __atomic_load_n(model->cancelled, __ATOMIC_ACQUIRE) != 0;
    if (!is_cancelled) return TYCHO_OK;
    return tycho__script_fail(TYCHO_TIMEOUT, "the call to the read model \"%.*s\" was cancelled",
                              (int)model->name_size, model->name);
}

int tycho__model_lock(tycho_model *model, const struct tycho__instance_name *name,
                      int64_t timeout_ms, tycho_lock **lock) {
    struct tycho__instance_name room;
    int status = tycho_lock_take_unless(model->store, name_lock(name, &room), timeout_ms,
                                        model->cancelled, lock, NULL);
    int cancelled = status == TYCHO_OK ? TYCHO_OK : tycho__model_check_cancelled(model);
    return cancelled == TYCHO_OK ? status : cancelled;
}

int tycho__model_expect_lock(tycho_model *model, const struct tycho__instance_name *name,
                             const tycho_lock *lock) {
    struct tycho__instance_name room;
    return tycho_batch_expect_lock(model->batch, name_lock(name, &room), tycho_lock_token(lock));
}

static int look(tycho_model *model, const struct tycho__instance_name *name,
                tycho_model_instance *instance) {
    struct tycho__model_row row, state;
    struct tycho__model_stream stream;
    int status = tycho__model_stream_get(model, name, &stream);
    instance->entries = stream.entries;
    if (status == TYCHO_OK) status = tycho__model_row_get(model, TYCHO_MODELS, name, &row);
    if (status != TYCHO_OK || row.row_version == 0) return status;
    instance->is_caught_up = 1;
    instance->is_current = tycho__model_is_current(model, &row, &stream);
    instance->version = row.version;
    instance->caught_up_at = row.at;
    instance->position = row.position;
    instance->linked = row.linked;
    instance->behind = instance->entries;
    status = tycho__model_row_get(model, TYCHO_MODEL_STATES, name, &state);
    bool is_usable = state.fingerprint == model->fingerprint && state.caught_up == row.row_version;
    if (status != TYCHO_OK || !is_usable) return status;
    instance->snapshot_events = state.events;
    instance->snapshot_size = state.size;
    instance->behind = (uint64_t)(stream.revision - state.revision);
    return TYCHO_OK;
}

int tycho_model_look(tycho_model *model, tycho_bytes key, tycho_model_instance *instance) {
    struct tycho__instance_name name;
    memset(instance, 0, sizeof *instance);
    int status = tycho__model_name(model, key, &name);
    if (status == TYCHO_OK) status = tycho__model_begin(model);
    if (status == TYCHO_OK) status = look(model, &name, instance);
    tycho__model_end(model);
    return status;
}

/* Counts the rows of all instances in a table, and those that are current. */
static int count_rows(tycho_model *model, const char *table, uint64_t *all, uint64_t *current) {
    const tycho_list_options options = {.size = sizeof options,
                                        .snapshot = model->snapshot,
                                        .list = TYCHO_LIST_ROWS,
                                        .subject = tycho__text(table),
                                        .prefix = model->definition->about.prefix};
    tycho_listing *listing = NULL;
    tycho_item item;
    int status = tycho_listing_open(model->store, &options, &listing);
    while (status == TYCHO_OK) {
        struct tycho__model_row row;
        status = tycho_listing_next(listing, &item);
        if (status == TYCHO_OK) status = tycho__model_row_parse(&item, &row, NULL);
        if (status != TYCHO_OK) break;
        *all += 1;
        *current += row.fingerprint == model->fingerprint;
    }
    tycho_listing_close(listing);
    return status == TYCHO_END ? TYCHO_OK : status;
}

int tycho_model_count(tycho_model *model, tycho_model_totals *totals) {
    uint64_t old_and_new = 0;
    memset(totals, 0, sizeof *totals);
    int status = tycho__model_begin(model);
    if (status != TYCHO_OK) return status;
    totals->version = model->definition->about.version;
    status = count_rows(model, TYCHO_MODELS, &totals->instances, &totals->current);
    if (status == TYCHO_OK) {
        status = count_rows(model, TYCHO_MODEL_STATES, &old_and_new, &totals->snapshots);
    }
    tycho__model_end(model);
    return status;
}

int tycho_model_forget(tycho_model *model, tycho_bytes key) {
    enum { TIMEOUT_MS = 30000 };
    struct tycho__instance_name name;
    tycho_lock *lock = NULL;
    tycho_batch *batch = model->batch;
    int status = tycho__model_name(model, key, &name);
    if (status == TYCHO_OK) status = tycho__model_lock(model, &name, TIMEOUT_MS, &lock);
    if (status != TYCHO_OK) return status;
    const tycho_bytes text = tycho__instance_bytes(&name);
    tycho_batch_clear(batch);
    status = tycho__model_expect_lock(model, &name, lock);
    if (status == TYCHO_OK) status = tycho_batch_delete_stream(batch, text, TYCHO_RAW);
    if (status == TYCHO_OK) {
        status = tycho_batch_delete_row(batch, tycho__text(TYCHO_MODELS), text);
    }
    if (status == TYCHO_OK) {
        status = tycho_batch_delete_row(batch, tycho__text(TYCHO_MODEL_STATES), text);
    }
    if (status == TYCHO_OK) status = tycho_commit(model->store, batch, NULL);
    tycho_lock_release(lock);
    return status;
}
