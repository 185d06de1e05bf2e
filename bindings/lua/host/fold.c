/* fold.c - the state of an instance: a snapshot, or a fold that continues one.
**
**     row current? --no--> catch-up --> (again)
**         | yes
**     snapshot at the stream's end? --yes--> its state
**         | no
**     fold what is behind it --an event belongs before the last one--> fold all, sorted
**         |                                                              |
**     state <------------------------------------------------------------+
*/
#include <string.h>

#include "model.h"

enum { SNAPSHOT_AFTER = 100, TIMEOUT_MS = 30000 };

struct fold {
    tycho_model *model;
    const struct tycho__instance_name *name;
    tycho_bytes key;
    struct tycho__runner *runner;
    struct tycho__model_row *row; /* of the snapshot that is continued; then of the new state */
    uint64_t folded;
    bool is_unsorted; /* an event belongs before one that was folded */
};

/* ---------------------------------------------------------------- events */

static int apply(struct tycho__runner *runner, tycho_cursor *cursor, const tycho_event *event) {
    const struct tycho__shown shown = {.event = event, .data = event->data, .cursor = cursor};
    return tycho__run_apply(runner, &shown);
}

int tycho__model_fold_ids(tycho_model *model, struct tycho__runner *runner, const tycho_bytes *ids,
                          size_t count) {
    int status = TYCHO_OK;
    for (size_t at = 0; at < count && status == TYCHO_OK; at += TYCHO_BATCH_EVENTS_MAX) {
        size_t left = count - at;
        const tycho_read read = {.size = sizeof read,
                                 .snapshot = model->snapshot,
                                 .flags = TYCHO_READ_BY_IDS,
                                 .order = model->definition->about.order,
                                 .ids = ids + at,
                                 .id_count =
                                     left < TYCHO_BATCH_EVENTS_MAX ? left : TYCHO_BATCH_EVENTS_MAX};
        tycho_cursor *cursor = NULL;
        tycho_event event;
        status = tycho_cursor_open(model->store, &read, &cursor);
        while (status == TYCHO_OK) {
            status = tycho_cursor_next(cursor, &event);
            if (status == TYCHO_OK) status = apply(runner, cursor, &event);
        }
        tycho_cursor_close(cursor);
        if (status == TYCHO_END) status = TYCHO_OK;
    }
    return status;
}

static int open_stream(const struct fold *fold, int64_t revision, tycho_cursor **cursor) {
    const tycho_read read = {.size = sizeof read,
                             .snapshot = fold->model->snapshot,
                             .stream = tycho__instance_bytes(fold->name),
                             .flags = TYCHO_READ_RAW | TYCHO_READ_FROM_REVISION,
                             .from_revision = revision};
    return tycho_cursor_open(fold->model->store, &read, cursor);
}

static void note_last(struct fold *fold, const struct tycho__place *place) {
    fold->row->position = place->position;
    fold->row->time = place->time;
    fold->row->events++;
    fold->folded++;
}

/* Folds what is behind the row's revision, as long as it is in order. */
static int fold_on(struct fold *fold) {
    struct tycho__model_row *row = fold->row;
    uint32_t order = fold->model->definition->about.order;
    tycho_cursor *cursor;
    tycho_event event;
    int status = open_stream(fold, row->revision, &cursor);
    if (status != TYCHO_OK) return status;
    while (status == TYCHO_OK) {
        status = tycho_cursor_next(cursor, &event);
        if (status != TYCHO_OK) break;
        row->revision = event.revision;
        if (tycho__runner_handler(fold->runner, cursor, event.type) == 0) continue;
        const struct tycho__place place = tycho__place_of(&event, order);
        const struct tycho__place last = {.time = row->time, .position = row->position};
        fold->is_unsorted = row->events > 0 && tycho__is_before(&place, &last);
        if (fold->is_unsorted) break;
        status = apply(fold->runner, cursor, &event);
        note_last(fold, &place);
    }
    tycho_cursor_close(cursor);
    return status == TYCHO_END ? TYCHO_OK : status;
}

/* Folds all events of the stream in the model's order. */
static int fold_sorted(struct fold *fold) {
    struct tycho__found found = {{0}, {0}, {0}};
    struct tycho__model_row *row = fold->row;
    uint32_t order = fold->model->definition->about.order;
    struct tycho__place last = {0};
    const tycho_bytes *ids;
    size_t count = 0;
    tycho_cursor *cursor = NULL;
    tycho_event event;
    int status = open_stream(fold, -1, &cursor);
    while (status == TYCHO_OK) {
        status = tycho_cursor_next(cursor, &event);
        if (status != TYCHO_OK) break;
        row->revision = event.revision;
        if (tycho__runner_handler(fold->runner, cursor, event.type) == 0) continue;
        const struct tycho__place place = tycho__place_of(&event, order);
        if (count++ == 0 || tycho__is_before(&last, &place)) last = place;
        status = tycho__found_add(&found, &event, &place);
    }
    tycho_cursor_close(cursor);
    if (status == TYCHO_END) status = tycho__found_sort(&found, false, &ids, &count);
    if (status == TYCHO_OK) status = tycho__model_fold_ids(fold->model, fold->runner, ids, count);
    row->position = last.position;
    row->time = last.time;
    row->events = fold->folded = count;
    tycho__found_free(&found);
    return status;
}

static void begin_anew(struct tycho__model_row *row) {
    const uint64_t row_version = row->row_version;
    memset(row, 0, sizeof *row);
    row->row_version = row_version;
    row->revision = -1;
}

static int fold_all(struct fold *fold) {
    const tycho_model *model = fold->model;
    const tycho_bytes state = tycho__text_of(model->state.data, model->state.size);
    int status = fold->row->revision >= 0 ? tycho__run_set_state(fold->runner, fold->key, state)
                                          : tycho__run_init(fold->runner, fold->key);
    if (status == TYCHO_OK) status = fold_on(fold);
    if (status == TYCHO_OK && fold->is_unsorted) {
        begin_anew(fold->row);
        status = tycho__run_init(fold->runner, fold->key);
        if (status == TYCHO_OK) status = fold_sorted(fold);
    }
    if (status == TYCHO_OK) status = tycho__run_get_state(fold->runner, &fold->model->state);
    return status;
}

static int fold_and_return(struct fold *fold) {
    int status = fold_all(fold);
    tycho__run_forget(fold->runner);
    return tycho__runner_end(fold->runner, status);
}

/* Continues the row, and puts the new state into the model. When that needs much memory, all is
** folded by a fresh runner: then what it may need does not depend on who folded what before. */
static int fold_instance(struct fold *fold) {
    int status = tycho__runner_borrow(fold->model->definition, &fold->runner);
    if (status == TYCHO_OK) tycho__sandbox_set_exact(fold->runner->sandbox, false);
    if (status == TYCHO_OK) status = fold_and_return(fold);
    if (status == TYCHO__AGAIN) {
        begin_anew(fold->row);
        fold->folded = 0;
        fold->is_unsorted = false;
        status = tycho__runner_borrow_fresh(fold->model->definition, &fold->runner);
        if (status == TYCHO_OK) status = fold_and_return(fold);
    }
    return tycho__script_reject_key(status, fold->key);
}

/* ---------------------------------------------------------------- snapshots */

/* Stores the state that was folded; not a failure of the answer when it cannot be. */
static int store_state(struct fold *fold, uint64_t caught_up) {
    tycho_model *model = fold->model;
    struct tycho__model_row *row = fold->row;
    row->at = tycho_now();
    row->caught_up = caught_up;
    row->fingerprint = model->fingerprint;
    row->version = model->definition->about.version;
    tycho_batch_clear(model->batch);
    int status = tycho_batch_expect_row(model->batch, tycho__text(TYCHO_MODELS),
                                        tycho__instance_bytes(fold->name), caught_up);
    if (status == TYCHO_OK) {
        status = tycho__model_state_put(model, fold->name, row,
                                        tycho__text_of(model->state.data, model->state.size));
    }
    return status == TYCHO_OK ? tycho_commit(model->store, model->batch, NULL) : status;
}

/* What the snapshot has of an instance. */
struct instance {
    struct tycho__instance_name name;
    struct tycho__model_stream stream;
    uint64_t caught_up; /* the version of its row; 0: it has none */
};

/* Answers in the snapshot. */
static int answer(tycho_model *model, const struct instance *instance, tycho_bytes key,
                  const tycho_model_options *options, tycho_model_result *result) {
    const struct tycho__instance_name *name = &instance->name;
    const uint64_t caught_up = instance->caught_up;
    struct tycho__model_row row = {0};
    struct fold fold = {.model = model, .name = name, .key = key, .row = &row};
    const uint64_t after = options->snapshot_after > 0 ? options->snapshot_after : SNAPSHOT_AFTER;
    const int64_t revision = instance->stream.revision;
    bool is_fresh = (options->flags & TYCHO_MODEL_FRESH) != 0;
    int status = TYCHO_OK;
    if (!is_fresh) status = tycho__model_row_get(model, TYCHO_MODEL_STATES, name, &row);
    if (status != TYCHO_OK) return status;
    bool is_usable = row.fingerprint == model->fingerprint && row.caught_up == caught_up &&
                     row.revision <= revision;
    if (!is_usable) begin_anew(&row);
    if (!is_usable || row.revision != revision) status = fold_instance(&fold);
    if (status != TYCHO_OK) return status;
    result->position = model->head;
    result->version = model->definition->about.version;
    result->events = row.events;
    result->folded = fold.folded;
    result->is_known = instance->stream.entries > 0 || caught_up > 0;
    result->stored = TYCHO_END;
    tycho__model_end(model);
    bool is_due = !is_fresh && caught_up > 0 && fold.folded >= after;
    if (is_due) result->stored = store_state(&fold, caught_up);
    result->state = tycho__text_of(model->state.data, model->state.size);
    return TYCHO_OK;
}

/* ---------------------------------------------------------------- asking */

/* Opens a snapshot in which the instance is current, or in which there is nothing of it. */
static int make_current(tycho_model *model, struct instance *instance, tycho_bytes key,
                        int64_t timeout_ms, tycho_model_result *result) {
    uint64_t unknown_under = 0; /* the fingerprint under which nothing was found */
    for (;;) {
        struct tycho__catch_up done;
        struct tycho__model_row row;
        int status = tycho__model_begin(model);
        if (status == TYCHO_OK) {
            status = tycho__model_row_get(model, TYCHO_MODELS, &instance->name, &row);
        }
        if (status == TYCHO_OK) {
            status = tycho__model_stream_get(model, &instance->name, &instance->stream);
        }
        if (status != TYCHO_OK) return status;
        bool is_current = tycho__model_is_current(model, &row, &instance->stream);
        instance->caught_up = is_current ? row.row_version : 0;
        if (is_current || unknown_under == model->fingerprint) return TYCHO_OK;
        tycho__model_end(model);
        status = tycho__model_catch_up(model, &key, 1, timeout_ms, &done);
        if (status != TYCHO_OK) return status;
        result->linked += done.linked;
        if (done.was_done) result->was_caught_up = 1;
        unknown_under = done.is_known ? 0 : model->fingerprint;
    }
}

int tycho_model_get(tycho_model *model, tycho_bytes key, const tycho_model_options *given,
                    tycho_model_result *result) {
    tycho_model_options options = {.size = sizeof options};
    struct instance instance = {.caught_up = 0};
    if (result == NULL) return tycho__script_fail(TYCHO_MISUSE, "no place to put the state");
    memset(result, 0, sizeof *result);
    if (given != NULL && given->size != sizeof options) {
        return tycho__script_fail(TYCHO_MISUSE, "options of a read model have %zu bytes, not %zu",
                                  given->size, sizeof options);
    }
    if (given != NULL) options = *given;
    model->cancelled = options.cancelled;
    int64_t timeout_ms = options.timeout_ms != 0 ? options.timeout_ms : TIMEOUT_MS;
    int status = tycho__model_name(model, key, &instance.name);
    if (status == TYCHO_OK) status = make_current(model, &instance, key, timeout_ms, result);
    if (status == TYCHO_OK) status = answer(model, &instance, key, &options, result);
    tycho__model_end(model);
    model->cancelled = NULL;
    return status;
}
