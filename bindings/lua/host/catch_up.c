/* catch_up.c - the old events of instances are linked into their streams; model.h says why nothing
** is missed.
**
** Of a group of instances all locks are taken first. The streams of those that have something get
** a mark, where they have none, in a batch of its own. Then one snapshot is opened, and the
** histories are read in it, one after the other: a stream that is deleted from then on has lost its
** mark, and what was linked into it meanwhile is found by the next catch-up. The links go into
** batches of some thousand, which may begin with the last links of one instance and end with the
** first ones of another. The row of an instance is in the batch that has its last link, so who is
** killed in between leaves links and no row, and the next one finds the same again and skips what
** is there.
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

/* What the snapshot has of one. */
struct seen {
    struct tycho__model_row row;
    struct tycho__model_stream stream;
    bool is_current;
};

struct group {
    tycho_model *model;
    struct member *members;
    size_t count;
    struct tycho__found found;
    size_t marks; /* in the batch */
    size_t links;
    size_t rows;
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

static int find_events(struct group *group, const tycho_history_read *where, uint64_t limit) {
    tycho_model *model = group->model;
    const tycho_query_item item = {.types = where->types,
                                   .type_count = where->type_count,
                                   .tags = where->tags,
                                   .tag_count = where->tag_count};
    const tycho_query query = {&item, 1};
    const tycho_read read = {.size = sizeof read,
                             .snapshot = model->snapshot,
                             .stream = where->stream,
                             .query = &query,
                             .limit = limit};
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

static int read_history(struct group *group, struct tycho__runner *runner, tycho_bytes key,
                        uint64_t limit) {
    tycho_history_read read;
    int status = TYCHO_OK;
    tycho__found_clear(&group->found);
    for (size_t i = 0; status == TYCHO_OK; i++) {
        if (limit > 0 && group->found.entries.size > 0) break;
        bool is_function = false;
        status = tycho__run_history_look(runner, key, i, &is_function);
        if (status == TYCHO_OK && is_function) status = fold_found(group, runner, key);
        if (status == TYCHO_OK) status = tycho__run_history(runner, key, i, &read);
        if (status == TYCHO_OK) status = find_events(group, &read, limit);
    }
    return status == TYCHO_END ? TYCHO_OK : status;
}

static int find_with(struct group *group, struct tycho__runner *runner, tycho_bytes key,
                     uint64_t limit) {
    int status = read_history(group, runner, key, limit);
    tycho__run_forget(runner);
    return tycho__runner_end(runner, status);
}

/* Fills group->found with the events of an instance: all, or as many as say that there are any. */
static int find(struct group *group, tycho_bytes key, uint64_t limit) {
    struct tycho__runner *runner;
    int status = tycho__runner_borrow(group->model->definition, &runner);
    if (status == TYCHO_OK) tycho__sandbox_set_exact(runner->sandbox, false);
    if (status == TYCHO_OK) status = find_with(group, runner, key, limit);
    if (status == TYCHO__AGAIN) {
        status = tycho__runner_borrow_fresh(group->model->definition, &runner);
        if (status == TYCHO_OK) status = find_with(group, runner, key, limit);
    }
    return tycho__script_reject_key(status, key);
}

/* ---------------------------------------------------------------- batches */

static int begin_batch(struct group *group) {
    tycho_model *model = group->model;
    group->marks = group->links = group->rows = 0;
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

static int commit(struct group *group, const tycho_receipt **receipt) {
    tycho_model *model = group->model;
    int status = tycho__model_check_cancelled(model);
    if (status == TYCHO_OK) status = tycho_commit(model->store, model->batch, receipt);
    return status;
}

/* Commits what is in the batch, and begins another. */
static int flush(struct group *group) {
    const tycho_receipt *receipt;
    uint64_t changed = 0;
    if (group->links + group->rows == 0) return TYCHO_OK;
    int status = commit(group, &receipt);
    if (status != TYCHO_OK) return status;
    for (size_t i = 0; i < receipt->result_count; i++) changed += receipt->results[i].count;
    group->result->linked += changed - group->rows;
    group->result->done += group->rows;
    if (group->rows > 0) group->result->was_done = true;
    rest(&group->model->pace, receipt->sequence);
    return begin_batch(group);
}

/* Adds links, and commits whenever the batch is full; what is left is not committed. */
static int add_links(struct group *group, const struct member *member, const tycho_bytes *ids,
                     size_t count) {
    tycho_model *model = group->model;
    int status = tycho__model_expect_lock(model, &member->name, member->lock);
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

static int add_row(struct group *group, const struct member *member, const struct seen *seen,
                   size_t count) {
    tycho_model *model = group->model;
    const struct tycho__model_row row = {.row_version = seen->row.row_version,
                                         .fingerprint = model->fingerprint,
                                         .version = model->definition->about.version,
                                         .at = tycho_now(),
                                         .position = model->head,
                                         .linked = count,
                                         .mark = seen->stream.mark};
    int status = tycho__model_row_put(model, &member->name, &row);
    if (status == TYCHO_OK) group->rows++;
    if (status == TYCHO_OK && group->links >= links_max(group)) status = flush(group);
    return status;
}

/* ---------------------------------------------------------------- one of the group */

static int look(struct group *group, const struct member *member, struct seen *seen) {
    tycho_model *model = group->model;
    int status = tycho__model_row_get(model, TYCHO_MODELS, &member->name, &seen->row);
    if (status == TYCHO_OK) status = tycho__model_stream_get(model, &member->name, &seen->stream);
    seen->is_current = tycho__model_is_current(model, &seen->row, &seen->stream);
    return status;
}

/* Adds the mark of a stream that needs one. A history that fails is told of later. */
static int mark_stream(struct group *group, const struct member *member) {
    tycho_model *model = group->model;
    struct seen seen;
    int status = look(group, member, &seen);
    if (status != TYCHO_OK || seen.is_current || seen.stream.mark != 0) return status;
    if (seen.stream.entries == 0) {
        status = find(group, member->key, 1);
        bool is_known = status == TYCHO_OK && group->found.entries.size > 0;
        if (!is_known) return status == TYCHO_REJECTED ? TYCHO_OK : status;
    }
    status = tycho__model_expect_lock(model, &member->name, member->lock);
    if (status != TYCHO_OK) return status;
    group->marks++;
    return tycho__model_stream_mark(model, &member->name,
                                    (int64_t)tycho_lock_token(member->lock));
}

static int link_found(struct group *group, const struct member *member, const struct seen *seen) {
    const tycho_bytes *ids;
    size_t count;
    int status = tycho__found_sort(&group->found, true, &ids, &count);
    if (status != TYCHO_OK) return status;
    if (count == 0 && seen->stream.entries == 0) {
        group->result->is_known = false;
        group->result->done++;
        return TYCHO_OK;
    }
    if (seen->stream.mark == 0) {
        return tycho__script_fail(TYCHO_CONDITION_FAILED, "the stream \"%.*s\" was deleted",
                                  (int)member->name.size, member->name.text);
    }
    status = add_links(group, member, ids, count);
    return status == TYCHO_OK ? add_row(group, member, seen, count) : status;
}

static int catch_up(struct group *group, const struct member *member) {
    struct tycho__catch_up *result = group->result;
    struct seen seen;
    int status = look(group, member, &seen);
    if (status != TYCHO_OK) return status;
    if (seen.is_current) {
        result->done++;
        return TYCHO_OK;
    }
    status = find(group, member->key, 0);
    if (status == TYCHO_OK) return link_found(group, member, &seen);
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

/* Marks the streams, and opens another snapshot behind that. */
static int mark_streams(struct group *group) {
    tycho_model *model = group->model;
    int status = begin_batch(group);
    for (size_t i = 0; i < group->count && status == TYCHO_OK; i++) {
        if (!group->members[i].is_busy) status = mark_stream(group, &group->members[i]);
    }
    if (status != TYCHO_OK || group->marks == 0) return status;
    const tycho_receipt *receipt;
    status = commit(group, &receipt);
    if (status != TYCHO_OK) return status;
    rest(&model->pace, receipt->sequence);
    return tycho__model_begin(model);
}

static int try_group(struct group *group, int64_t timeout_ms) {
    int status = lock(group, timeout_ms);
    if (status == TYCHO_OK) status = tycho__model_begin(group->model);
    if (status == TYCHO_OK) status = mark_streams(group);
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
