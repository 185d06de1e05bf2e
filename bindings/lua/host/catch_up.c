/* catch_up.c - the old events of instances are linked into their streams; model.h says why nothing
** is missed.
**
** Of a group of instances all locks are taken first, then one snapshot is opened, and the histories
** are read in it, one after the other. The links go into batches of some thousand, which may begin
** with the last links of one instance and end with the first ones of another. The row of an
** instance is in the batch that has its last link, so who is killed in between leaves links and no
** row, and the next one finds the same again and skips what is there.
*/
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "model.h"

enum { LINKS = 5000, SHORT_LINKS = 1000, REST_MAX = 2000000, ATTEMPTS = 100, TIMEOUT_MS = 30000 };

struct member {
    struct tycho__instance_name name;
    tycho_bytes key;
    tycho_lock *lock;
    bool is_busy; /* somebody else has its lock */
};

struct group {
    tycho_model *model;
    struct member *members;
    size_t count;
    struct tycho__found found;
    size_t links; /* in the batch */
    size_t rows;
    size_t marks;
    struct tycho__catch_up *result;
};

static int no_memory(void) {
    return tycho__script_fail(TYCHO_NO_MEMORY, "no memory to catch up");
}

/* ---------------------------------------------------------------- the history of one */

/* Sees to it that functions of the history get the fold of what was found so far. */
static int fold_found(struct group *group, struct tycho__runner *runner, tycho_bytes key) {
    const tycho_bytes *ids;
    size_t count;
    int status = tycho__found_sort(&group->found, false, &ids, &count);
    if (status == TYCHO_OK) status = tycho__run_init(runner, key);
    if (status == TYCHO_OK) status = tycho__model_fold_ids(group->model, runner, ids, count);
    return status;
}

static int find_events(struct group *group, const tycho_history_read *where) {
    tycho_model *model = group->model;
    const tycho_query_item item = {.types = where->types,
                                   .type_count = where->type_count,
                                   .tags = where->tags,
                                   .tag_count = where->tag_count};
    const tycho_query query = {&item, 1};
    const tycho_read read = {
        .size = sizeof read, .snapshot = model->snapshot, .stream = where->stream, .query = &query};
    tycho_cursor *cursor = NULL;
    tycho_event event;
    int status = tycho_cursor_open(model->store, &read, &cursor);
    while (status == TYCHO_OK) {
        status = tycho_cursor_next(cursor, &event);
        if (status != TYCHO_OK) break;
        const struct tycho__place place = tycho__place_of(&event, model->definition->about.order);
        status = tycho__found_add(&group->found, &event, &place);
        if (status == TYCHO_OK) status = tycho__model_check_cancelled(model);
    }
    tycho_cursor_close(cursor);
    return status == TYCHO_END ? TYCHO_OK : status;
}

static int read_history(struct group *group, struct tycho__runner *runner, tycho_bytes key) {
    tycho_history_read read;
    int status = TYCHO_OK;
    tycho__found_clear(&group->found);
    for (size_t i = 0; status == TYCHO_OK; i++) {
        bool is_function = false;
        status = tycho__run_history_look(runner, key, i, &is_function);
        if (status == TYCHO_OK && is_function) status = fold_found(group, runner, key);
        if (status == TYCHO_OK) status = tycho__run_history(runner, key, i, &read);
        if (status == TYCHO_OK) status = find_events(group, &read);
    }
    return status == TYCHO_END ? TYCHO_OK : status;
}

/* Fills group->found with the events of an instance. */
static int find(struct group *group, tycho_bytes key) {
    struct tycho__runner *runner;
    int status = tycho__runner_borrow(group->model->definition, &runner);
    if (status != TYCHO_OK) return status;
    status = read_history(group, runner, key);
    tycho__run_forget(runner);
    return tycho__script_reject_key(tycho__runner_end(runner, status), key);
}

/* ---------------------------------------------------------------- batches */

static int begin_batch(struct group *group) {
    tycho_model *model = group->model;
    group->links = group->rows = group->marks = 0;
    tycho_batch_clear(model->batch);
    return tycho_batch_expect_row(model->batch, tycho__text(TYCHO_SCRIPTS),
                                  model->definition->about.key, model->deployed);
}

static size_t links_max(const struct group *group) {
    const struct tycho__pace *pace = &group->model->pace;
    return pace->is_on && !pace->is_alone ? SHORT_LINKS : LINKS;
}

/* After a batch: leaves the store to others, when there are any. */
static void rest(struct tycho__pace *pace, uint64_t sequence) {
    if (!pace->is_on) return;
    pace->is_alone = pace->sequence == 0 || sequence == pace->sequence + 1;
    pace->sequence = sequence;
    int64_t took = tycho_now() - pace->since;
    if (took > REST_MAX) took = REST_MAX;
    if (!pace->is_alone && took > 0) {
        const struct timespec time = {took / 1000000, took % 1000000 * 1000};
        nanosleep(&time, NULL);
    }
    pace->since = tycho_now();
}

/* Commits what is in the batch, and begins another. */
static int flush(struct group *group) {
    const tycho_receipt *receipt;
    uint64_t changed = 0;
    if (group->links + group->rows == 0) return TYCHO_OK;
    int status = tycho__model_check_cancelled(group->model);
    if (status != TYCHO_OK) return status;
    status = tycho_commit(group->model->store, group->model->batch, &receipt);
    if (status != TYCHO_OK) return status;
    for (size_t i = 0; i < receipt->result_count; i++) changed += receipt->results[i].count;
    group->result->linked += changed - group->rows - group->marks;
    group->result->done += group->rows;
    if (group->rows > 0) group->result->was_done = true;
    rest(&group->model->pace, receipt->sequence);
    return begin_batch(group);
}

static int64_t mark_of(const struct member *member) {
    return (int64_t)tycho_lock_token(member->lock);
}

/* Adds links, and commits whenever the batch is full; what is left is not committed. */
static int add_links(struct group *group, const struct member *member, const tycho_bytes *ids,
                     size_t count) {
    tycho_model *model = group->model;
    int status = tycho__model_expect_lock(model, &member->name, member->lock);
    if (status == TYCHO_OK && count > 0) {
        status = tycho__model_stream_mark(model, &member->name, mark_of(member));
        group->marks++;
    }
    for (size_t at = 0; at < count && status == TYCHO_OK;) {
        const size_t most = links_max(group);
        size_t room = most > group->links ? most - group->links : 0;
        size_t part = count - at < room ? count - at : room;
        if (part > 0) {
            status = tycho_batch_link(model->batch, tycho__instance_bytes(&member->name),
                                      TYCHO_EXPECT_ANY, ids + at, part,
                                      TYCHO_RAW | TYCHO_SKIP_DUPLICATES);
        }
        at += part;
        group->links += part;
        if (status != TYCHO_OK || at == count) continue;
        status = flush(group);
        if (status == TYCHO_OK) {
            status = tycho__model_expect_lock(model, &member->name, member->lock);
        }
    }
    return status;
}

static int add_row(struct group *group, const struct member *member,
                   const struct tycho__model_row *old, size_t count) {
    tycho_model *model = group->model;
    const struct tycho__model_row row = {.row_version = old->row_version,
                                         .fingerprint = model->fingerprint,
                                         .version = model->definition->about.version,
                                         .at = tycho_now(),
                                         .position = model->head,
                                         .linked = count,
                                         .mark = mark_of(member)};
    int status = tycho__model_row_put(model, &member->name, &row);
    if (status == TYCHO_OK) group->rows++;
    if (status == TYCHO_OK && group->links >= links_max(group)) status = flush(group);
    return status;
}

/* ---------------------------------------------------------------- one of the group */

static int link_found(struct group *group, const struct member *member,
                      const struct tycho__model_row *row) {
    const tycho_bytes *ids;
    struct tycho__model_stream stream;
    size_t count;
    int status = tycho__found_sort(&group->found, true, &ids, &count);
    if (status == TYCHO_OK) status = tycho__model_stream_get(group->model, &member->name, &stream);
    if (status != TYCHO_OK) return status;
    bool is_known = count > 0 || stream.entries > 0 || row->row_version > 0;
    if (!is_known) {
        group->result->is_known = false;
        group->result->done++;
        return TYCHO_OK;
    }
    status = add_links(group, member, ids, count);
    return status == TYCHO_OK ? add_row(group, member, row, count) : status;
}

static int catch_up(struct group *group, const struct member *member) {
    struct tycho__catch_up *result = group->result;
    struct tycho__model_row row;
    struct tycho__model_stream stream;
    int status = tycho__model_row_get(group->model, TYCHO_MODELS, &member->name, &row);
    if (status == TYCHO_OK) status = tycho__model_stream_get(group->model, &member->name, &stream);
    if (status != TYCHO_OK) return status;
    if (tycho__model_is_current(group->model, &row, &stream)) {
        result->done++;
        return TYCHO_OK;
    }
    status = find(group, member->key);
    if (status == TYCHO_OK) return link_found(group, member, &row);
    if (status != TYCHO_REJECTED) return status;
    if (result->failure == NULL) result->failure = tycho__failure_copy();
    if (result->failure == NULL) return no_memory();
    result->failed++;
    result->done++;
    return TYCHO_OK;
}

/* ---------------------------------------------------------------- the group */

static void release(struct group *group) {
    for (size_t i = 0; i < group->count; i++) {
        tycho_lock_release(group->members[i].lock);
        group->members[i].lock = NULL;
    }
}

/* Takes the locks. One that somebody else has is waited for only when it is the only one. */
static int lock(struct group *group, int64_t timeout_ms) {
    for (size_t i = 0; i < group->count; i++) {
        struct member *member = &group->members[i];
        int status = tycho__model_lock(group->model, &member->name,
                                       group->count == 1 ? timeout_ms : 0, &member->lock);
        member->is_busy = status != TYCHO_OK;
        bool is_taken = status == TYCHO_TIMEOUT || status == TYCHO_BUSY ||
                        status == TYCHO_TOO_LARGE; /* TYCHO_LOCKS_MAX */
        if (status != TYCHO_OK && (group->count == 1 || !is_taken)) return status;
    }
    return TYCHO_OK;
}

static int try_group(struct group *group, int64_t timeout_ms) {
    int status = lock(group, timeout_ms);
    if (status == TYCHO_OK) status = tycho__model_begin(group->model);
    if (status == TYCHO_OK) status = begin_batch(group);
    for (size_t i = 0; i < group->count && status == TYCHO_OK; i++) {
        if (!group->members[i].is_busy) status = catch_up(group, &group->members[i]);
    }
    if (status == TYCHO_OK) status = flush(group);
    tycho__model_end(group->model);
    release(group);
    return status;
}

/* Carries a group out. A condition that does not hold says that the model was deployed anew, or the
** lock lost, meanwhile: all begins again, and what is done is current by then. */
static int run_group(struct group *group, int64_t timeout_ms) {
    struct tycho__catch_up *result = group->result;
    const uint64_t done = result->done, failed = result->failed;
    struct tycho__failure *const first = result->failure;
    int status = TYCHO_CONDITION_FAILED;
    for (int i = 0; i < ATTEMPTS && status == TYCHO_CONDITION_FAILED; i++) {
        if (result->failure != first) tycho__failure_free(result->failure);
        result->failure = first;
        result->done = done;
        result->failed = failed;
        result->is_known = true;
        status = try_group(group, timeout_ms);
    }
    return status;
}

int tycho__model_catch_up(tycho_model *model, const tycho_bytes *keys, size_t count,
                          int64_t timeout_ms, struct tycho__catch_up *result) {
    struct group group = {.model = model, .count = count, .result = result};
    int status = TYCHO_OK;
    memset(result, 0, sizeof *result);
    if (count == 0) return TYCHO_OK;
    group.members = calloc(count, sizeof *group.members);
    if (group.members == NULL) return no_memory();
    for (size_t i = 0; i < count && status == TYCHO_OK; i++) {
        group.members[i].key = keys[i];
        status = tycho__model_name(model, keys[i], &group.members[i].name);
    }
    if (status == TYCHO_OK) status = run_group(&group, timeout_ms);
    for (size_t i = 0; count > 1 && i < count && status == TYCHO_OK; i++) {
        struct group single = {.model = model, .count = 1, .result = result};
        if (!group.members[i].is_busy) continue;
        single.members = &group.members[i];
        status = run_group(&single, timeout_ms);
        tycho__found_free(&single.found);
    }
    bool is_alone = count == 1 && result->failure != NULL && status == TYCHO_OK;
    if (is_alone) status = tycho__failure_raise(result->failure);
    if (is_alone || status != TYCHO_OK) {
        tycho__failure_free(result->failure);
        result->failure = NULL;
    }
    tycho__found_free(&group.found);
    free(group.members);
    return status;
}

/* ---------------------------------------------------------------- many */

struct run {
    tycho_model *model;
    tycho_model_progress now;
    struct tycho__failure *failure;
    int (*progress)(void *context, const tycho_model_progress *now);
    void *context;
};

/* Begins a run, which leaves the store to others. */
static void begin_run(struct run *run) {
    run->model->pace = (struct tycho__pace){.is_on = true, .is_alone = true, .since = tycho_now()};
}

static int run_keys(struct run *run, const tycho_bytes *keys, size_t count) {
    struct tycho__catch_up done;
    int status = tycho__model_catch_up(run->model, keys, count, TIMEOUT_MS, &done);
    run->now.linked += done.linked;
    if (status == TYCHO_REJECTED && count == 1) {
        done.failure = tycho__failure_copy();
        status = done.failure != NULL ? TYCHO_OK : no_memory();
    }
    run->now.failed += done.failed;
    run->now.done += done.done;
    if (run->failure == NULL) {
        run->failure = done.failure;
    } else {
        tycho__failure_free(done.failure);
    }
    bool is_told = status == TYCHO_OK && run->progress != NULL;
    return is_told ? run->progress(run->context, &run->now) : status;
}

static int end_run(struct run *run, int status) {
    run->model->pace.is_on = false;
    if (status == TYCHO_OK && run->failure != NULL) status = tycho__failure_raise(run->failure);
    tycho__failure_free(run->failure);
    return status;
}

int tycho_model_prepare(tycho_model *model, const tycho_bytes *keys, size_t count,
                        int (*progress)(void *context, const tycho_model_progress *now),
                        void *context) {
    struct run run = {.model = model, .progress = progress, .context = context};
    struct tycho__instance_name name;
    int status = TYCHO_OK;
    run.now.total = count;
    begin_run(&run);
    for (size_t i = 0; i < count && status == TYCHO_OK; i++) {
        status = tycho__model_name(model, keys[i], &name);
    }
    for (size_t at = 0; at < count && status == TYCHO_OK; at += TYCHO__GROUP_MAX) {
        size_t left = count - at;
        status = run_keys(&run, keys + at, left < TYCHO__GROUP_MAX ? left : TYCHO__GROUP_MAX);
    }
    return end_run(&run, status);
}

/* The instances behind the name `last` that are not current, at most a group. */
struct page {
    struct tycho__instance_name names[TYCHO__GROUP_MAX];
    tycho_bytes keys[TYCHO__GROUP_MAX];
    size_t count;
    struct tycho__instance_name last;
};

static int take_row(const tycho_model *model, const tycho_item *item, struct page *page) {
    struct tycho__model_row row;
    int status = tycho__model_row_parse(item, &row, NULL);
    if (status != TYCHO_OK) return status;
    page->last.size = item->name.size;
    memcpy(page->last.text, item->name.data, item->name.size);
    if (row.fingerprint == model->fingerprint) return TYCHO_OK;
    const size_t prefix = model->name_size + 1;
    struct tycho__instance_name *name = &page->names[page->count];
    *name = page->last;
    page->keys[page->count++] = tycho__text_of(name->text + prefix, name->size - prefix);
    return TYCHO_OK;
}

static int read_page(tycho_model *model, struct page *page) {
    tycho_list_options options = {
        .size = sizeof options, .list = TYCHO_LIST_ROWS, .subject = tycho__text(TYCHO_MODELS)};
    tycho_listing *listing = NULL;
    tycho_item item;
    page->count = 0;
    int status = tycho__model_begin(model);
    if (status != TYCHO_OK) return status;
    options.snapshot = model->snapshot;
    options.prefix = model->definition->about.prefix;
    if (page->last.size > 0) options.after = tycho__instance_bytes(&page->last);
    status = tycho_listing_open(model->store, &options, &listing);
    while (status == TYCHO_OK && page->count < TYCHO__GROUP_MAX) {
        status = tycho_listing_next(listing, &item);
        if (status == TYCHO_OK) status = take_row(model, &item, page);
    }
    tycho_listing_close(listing);
    tycho__model_end(model);
    return status == TYCHO_END ? TYCHO_OK : status;
}

int tycho_model_maintain(tycho_model *model,
                         int (*progress)(void *context, const tycho_model_progress *now),
                         void *context) {
    struct run run = {.model = model, .progress = progress, .context = context};
    tycho_model_totals totals;
    int status = tycho_model_count(model, &totals);
    if (status != TYCHO_OK) return status;
    struct page *page = calloc(1, sizeof *page);
    if (page == NULL) return tycho__script_fail(TYCHO_NO_MEMORY, "no memory to maintain");
    begin_run(&run);
    run.now.total = totals.instances - totals.current;
    do {
        status = read_page(model, page);
        if (status == TYCHO_OK && page->count > 0) status = run_keys(&run, page->keys, page->count);
    } while (status == TYCHO_OK && page->count > 0);
    free(page);
    return end_run(&run, status);
}
