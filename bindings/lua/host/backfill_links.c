/* backfill_links.c - what a linker gives for stored events, gathered by stream for a batch.
**
** An event is shown to the linker as when it was appended: without its position.
*/
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "backfill.h"

enum { FIRST_SLOTS = 1024 };

struct link {
    uint32_t target;
    uint32_t id_size;
    size_t id; /* offset in the text */
};

struct target {
    uint64_t hash;
    size_t name; /* offset in the text */
    size_t name_size;
    uint32_t count;
    uint32_t filled;
    bool is_taken;
};

static int no_memory(void) {
    return tycho__script_fail(TYCHO_NO_MEMORY, "no memory to back-fill a linker");
}

static struct target *targets_of(const struct tycho__gathered *gathered) {
    return (struct target *)(void *)gathered->targets.data;
}

static size_t target_count(const struct tycho__gathered *gathered) {
    return gathered->targets.size / sizeof(struct target);
}

static size_t link_count(const struct tycho__gathered *gathered) {
    return gathered->links.size / sizeof(struct link);
}

void tycho__gathered_free(struct tycho__gathered *gathered) {
    tycho__payload_free(&gathered->text);
    tycho__payload_free(&gathered->links);
    tycho__payload_free(&gathered->targets);
    tycho__payload_free(&gathered->slots);
    tycho__payload_free(&gathered->ids);
}

void tycho__gathered_clear(struct tycho__gathered *gathered) {
    tycho__payload_clear(&gathered->text);
    tycho__payload_clear(&gathered->links);
    tycho__payload_clear(&gathered->targets);
    tycho__payload_clear(&gathered->slots);
    gathered->slot_count = 0;
}

/* ---------------------------------------------------------------- gathering */

static int grow_slots(struct tycho__gathered *gathered) {
    if (target_count(gathered) * 2 < gathered->slot_count) return TYCHO_OK;
    size_t count = gathered->slot_count == 0 ? FIRST_SLOTS : gathered->slot_count * 2;
    tycho__payload_clear(&gathered->slots);
    uint32_t *slots =
        (uint32_t *)(void *)tycho__payload_reserve(&gathered->slots, count * sizeof *slots);
    if (slots == NULL) return no_memory();
    memset(slots, 0, count * sizeof *slots);
    gathered->slots.size = count * sizeof *slots;
    gathered->slot_count = count;
    for (size_t i = 0; i < target_count(gathered); i++) {
        size_t at = (size_t)targets_of(gathered)[i].hash & (count - 1);
        while (slots[at] != 0) at = (at + 1) & (count - 1);
        slots[at] = (uint32_t)i + 1;
    }
    return TYCHO_OK;
}

static tycho_bytes target_name(const struct tycho__gathered *gathered,
                               const struct target *target) {
    return tycho__text_of(gathered->text.data + target->name, target->name_size);
}

/* The slot of a name: that of its target, or the one where it belongs. */
static uint32_t *find_slot(const struct tycho__gathered *gathered, tycho_bytes name,
                           uint64_t hash) {
    uint32_t *slots = (uint32_t *)(void *)gathered->slots.data;
    size_t at = (size_t)hash & (gathered->slot_count - 1);
    while (slots[at] != 0) {
        if (tycho__same(target_name(gathered, &targets_of(gathered)[slots[at] - 1]), name)) break;
        at = (at + 1) & (gathered->slot_count - 1);
    }
    return &slots[at];
}

/* The index of a stream among the targets. */
static int find_target(struct tycho__gathered *gathered, tycho_bytes name, uint32_t *index) {
    int status = grow_slots(gathered);
    if (status != TYCHO_OK) return status;
    const struct target made = {.hash = XXH3_64bits(name.data, name.size),
                                .name = gathered->text.size,
                                .name_size = name.size};
    uint32_t *slot = find_slot(gathered, name, made.hash);
    *index = *slot - 1;
    if (*slot != 0) return TYCHO_OK;
    *index = (uint32_t)target_count(gathered);
    tycho__payload_put(&gathered->text, name.data, name.size);
    tycho__payload_put(&gathered->targets, &made, sizeof made);
    if (gathered->text.failed != 0 || gathered->targets.failed != 0) return no_memory();
    *slot = *index + 1;
    return TYCHO_OK;
}

static int add_link(struct tycho__gathered *gathered, tycho_bytes stream, tycho_bytes id) {
    struct link link = {.id_size = (uint32_t)id.size};
    int status = find_target(gathered, stream, &link.target);
    if (status != TYCHO_OK) return status;
    link.id = gathered->text.size;
    tycho__payload_put(&gathered->text, id.data, id.size);
    tycho__payload_put(&gathered->links, &link, sizeof link);
    if (gathered->text.failed != 0 || gathered->links.failed != 0) return no_memory();
    targets_of(gathered)[link.target].count++;
    return TYCHO_OK;
}

/* Lays the ids out, those of one target after the other. NULL: no memory. */
static const tycho_bytes *sort_ids(struct tycho__gathered *gathered) {
    size_t count = link_count(gathered), at = 0;
    struct target *targets = targets_of(gathered);
    const struct link *links = (const struct link *)(const void *)gathered->links.data;
    tycho__payload_clear(&gathered->ids);
    tycho_bytes *ids =
        (tycho_bytes *)(void *)tycho__payload_reserve(&gathered->ids, count * sizeof *ids);
    if (ids == NULL) return NULL;
    for (size_t i = 0; i < target_count(gathered); i++) {
        targets[i].filled = (uint32_t)at;
        at += targets[i].count;
    }
    for (size_t i = 0; i < count; i++) {
        ids[targets[links[i].target].filled++] =
            tycho__text_of(gathered->text.data + links[i].id, links[i].id_size);
    }
    return ids;
}

size_t tycho__gathered_count(const struct tycho__gathered *gathered) {
    return target_count(gathered);
}

/* NULL: nothing was gathered under the name. */
static struct target *get_target(const struct tycho__gathered *gathered, tycho_bytes signed_name) {
    if (gathered->slot_count == 0) return NULL;
    uint64_t hash = XXH3_64bits(signed_name.data, signed_name.size);
    uint32_t found = *find_slot(gathered, signed_name, hash);
    return found == 0 ? NULL : &targets_of(gathered)[found - 1];
}

void tycho__gathered_find(const struct tycho__gathered *gathered, tycho_bytes signed_name,
                          const tycho_bytes **ids, size_t *count) {
    const struct target *target = get_target(gathered, signed_name);
    *count = target == NULL ? 0 : target->count;
    if (target == NULL) return;
    *ids = (const tycho_bytes *)(const void *)gathered->ids.data + target->filled - target->count;
}

void tycho__gathered_take(struct tycho__gathered *gathered, tycho_bytes signed_name) {
    struct target *target = get_target(gathered, signed_name);
    if (target != NULL) target->is_taken = true;
}

bool tycho__gathered_next(const struct tycho__gathered *gathered, size_t *at, tycho_bytes *stream) {
    for (; *at < target_count(gathered); ++*at) {
        const struct target *target = &targets_of(gathered)[*at];
        if (target->is_taken) continue;
        tycho_bytes name = target_name(gathered, target);
        *stream = tycho__text_of((const char *)name.data + 1, name.size - 1);
        ++*at;
        return true;
    }
    return false;
}

/* ---------------------------------------------------------------- other scripts */

void tycho__backfill_close_others(tycho_backfill *b) {
    for (size_t i = 0; i < b->other_count; i++) tycho_script_close(b->others[i]);
    free(b->others);
    b->others = NULL;
    b->other_count = 0;
}

int tycho__backfill_open_others(tycho_backfill *b) {
    struct tycho__rules *rules;
    int status = tycho__store_rules(b->store, &rules);
    if (status != TYCHO_OK) return status;
    if (rules->version != b->rules || b->others == NULL) {
        tycho__backfill_close_others(b);
        b->others = calloc(rules->count + 1, sizeof(tycho_script *));
        if (b->others == NULL) status = no_memory();
    }
    for (size_t i = 0; i < rules->count && status == TYCHO_OK && rules->version != b->rules; i++) {
        const tycho_script_about *about = &rules->definitions[i]->about;
        bool is_own = tycho__same(about->key, b->about.key);
        if (about->kind == TYCHO_EVENT_TYPE || is_own) continue;
        status =
            tycho_script_open(b->store, (int)about->kind, about->name, &b->others[b->other_count]);
        if (status == TYCHO_OK) b->other_count++;
    }
    if (status == TYCHO_OK) b->rules = rules->version;
    tycho__rules_release(rules);
    return status;
}

/* ---------------------------------------------------------------- events */

/* What is done with the streams that a linker names for one event. */
struct pass {
    tycho_backfill *b;
    struct tycho__progress *progress;
    tycho_cursor *cursor;
    tycho_event event; /* as it is shown: position 0 */
    bool has_home;     /* it was looked up; what the cursor gives, scripts overwrite by asking it */
    size_t home_size;
    char home[TYCHO_NAME_MAX];
    bool is_undoing;
    size_t found_size;
    char found[TYCHO_NAME_MAX]; /* the name of the stream that was looked for, resolved */
};

/* The home stream, looked up once an event. */
static int home_of(struct pass *pass, tycho_bytes *stream) {
    if (!pass->has_home) {
        int status = tycho_cursor_stream(pass->cursor, stream);
        if (status != TYCHO_OK) return status;
        if (stream->size > 0) memcpy(pass->home, stream->data, stream->size);
        pass->home_size = stream->size;
        pass->has_home = true;
    }
    *stream = tycho__text_of(pass->home, pass->home_size);
    return TYCHO_OK;
}

/* Whether the stream has the event: 0 no, 1 as a link, 2 as a home event. */
static int look_for(struct pass *pass, tycho_bytes stream, int *has) {
    int64_t revision;
    tycho_bytes home, resolved;
    *has = 0;
    int status = tycho_route_resolve(pass->b->store, stream, &resolved);
    if (status != TYCHO_OK) return status;
    memcpy(pass->found, resolved.data, resolved.size);
    pass->found_size = resolved.size;
    status = tycho_event_revision(pass->b->store, pass->event.id, stream, 0, &revision);
    if (status == TYCHO_ENTRY_NOT_FOUND) return TYCHO_OK;
    if (status == TYCHO_OK) status = home_of(pass, &home);
    if (status != TYCHO_OK) return status;
    *has = tycho__same(home, tycho__text_of(pass->found, pass->found_size)) ? 2 : 1;
    return TYCHO_OK;
}

static bool has_name(const tycho_additions *additions, tycho_bytes name) {
    for (size_t i = 0; i < additions->link_count; i++) {
        if (tycho__same(additions->links[i], name)) return true;
    }
    return false;
}

/* Whether another deployed script links the event into the stream, too. */
static int is_given_by_others(struct pass *pass, tycho_bytes stream, bool *is_given) {
    tycho_additions additions;
    *is_given = false;
    for (size_t i = 0; i < pass->b->other_count && !*is_given; i++) {
        int status =
            tycho_script_expand_stored(pass->b->others[i], pass->cursor, &pass->event, &additions);
        if (status != TYCHO_OK) return status;
        *is_given = has_name(&additions, stream);
    }
    return TYCHO_OK;
}

/* What the stream that was looked for lacks, or has too much. */
static int gather_beside(struct pass *pass, char sign) {
    /* The sign stands in front of the name, which is what the streams beside are named after. */
    char name[TYCHO_NAME_MAX + 1];
    name[0] = sign;
    memcpy(name + 1, pass->found, pass->found_size);
    return add_link(&pass->b->gathered, tycho__text_of(name, pass->found_size + 1), pass->event.id);
}

static int gather_new(struct pass *pass, const tycho_additions *additions) {
    int status = TYCHO_OK;
    for (size_t i = 0; i < additions->link_count && status == TYCHO_OK; i++) {
        tycho_bytes stream = additions->links[i];
        int has = 0;
        if (!pass->progress->is_beside) {
            status = add_link(&pass->b->gathered, stream, pass->event.id);
            continue;
        }
        status = look_for(pass, stream, &has);
        if (status == TYCHO_OK && has == 0) {
            status = gather_beside(pass, '+');
            pass->progress->linked++;
        }
    }
    return status;
}

/* Whether one of the names leads to the stream that was looked for, over a route. */
static int leads_there(struct pass *pass, const tycho_additions *additions, bool *is_given) {
    const tycho_bytes found = tycho__text_of(pass->found, pass->found_size);
    for (size_t i = 0; additions != NULL && i < additions->link_count && !*is_given; i++) {
        tycho_bytes resolved;
        int status = tycho_route_resolve(pass->b->store, additions->links[i], &resolved);
        if (status != TYCHO_OK) return status;
        *is_given = tycho__same(resolved, found);
    }
    return TYCHO_OK;
}

/* Links that are to be taken out: not what another script gives, nor home events. `kept` are those
** that the new version gives. */
static int gather_old(struct pass *pass, const tycho_additions *additions,
                      const tycho_additions *kept) {
    for (size_t i = 0; i < additions->link_count; i++) {
        tycho_bytes stream = additions->links[i];
        bool is_given = kept != NULL && has_name(kept, stream);
        int has = 0, status = TYCHO_OK;
        if (!is_given) status = is_given_by_others(pass, stream, &is_given);
        if (status == TYCHO_OK && !is_given) status = look_for(pass, stream, &has);
        if (status == TYCHO_OK && has == 1) status = leads_there(pass, kept, &is_given);
        if (status == TYCHO_OK && has == 1 && !is_given) {
            status = pass->is_undoing ? add_link(&pass->b->gathered, stream, pass->event.id)
                                      : gather_beside(pass, '-');
            pass->progress->unlinked++;
        }
        if (status != TYCHO_OK) return status;
    }
    return TYCHO_OK;
}

/* Events of the history of deployments are seen by no script. */
static int is_of_scripts(struct pass *pass, bool *is_own) {
    static const char begin[] = "Script";
    tycho_bytes type = pass->event.type, stream;
    *is_own = false;
    if (type.size < sizeof begin || memcmp(type.data, begin, sizeof begin - 1) != 0) {
        return TYCHO_OK;
    }
    int status = home_of(pass, &stream);
    *is_own = status == TYCHO_OK && tycho__same(stream, tycho__scripts_stream());
    return status;
}

static int visit(struct pass *pass, const tycho_event *event) {
    tycho_backfill *b = pass->b;
    tycho_additions additions, old;
    bool is_own;
    pass->event = *event;
    pass->event.position = 0;
    pass->has_home = false;
    int status = is_of_scripts(pass, &is_own);
    if (status != TYCHO_OK || is_own) return status;
    status = tycho_script_expand_stored(b->script, pass->cursor, &pass->event, &additions);
    if (status != TYCHO_OK) return status;
    if (pass->is_undoing) return gather_old(pass, &additions, NULL);
    status = gather_new(pass, &additions);
    if (status != TYCHO_OK || b->old == NULL) return status;
    status = tycho_script_expand_stored(b->old, pass->cursor, &pass->event, &old);
    return status == TYCHO_OK ? gather_old(pass, &old, &additions) : status;
}

/* ---------------------------------------------------------------- reads */

/* Both versions' types; all, when one of them reads all. */
static size_t gather_types(const tycho_backfill *b, tycho_bytes types[TYCHO_QUERY_MAX]) {
    size_t count = b->about.type_count;
    size_t old_count = b->old != NULL ? b->old_about.type_count : 0;
    bool is_all = count == 0 || (b->old != NULL && old_count == 0);
    if (is_all || count + old_count > TYCHO_QUERY_MAX) return 0;
    memcpy(types, b->about.types, count * sizeof *types);
    if (old_count > 0) memcpy(types + count, b->old_about.types, old_count * sizeof *types);
    return count + old_count;
}

/* Goes through the events of a read. `*last` becomes the position of the last one, `*is_over`
** whether there are no more. */
static int walk(struct pass *pass, const tycho_read *read, size_t most, uint64_t *last,
                bool *is_over) {
    size_t seen = 0;
    /* A row for each stream beside comes to its links. */
    size_t links_max =
        pass->progress->is_beside ? TYCHO__BACKFILL_LINKS / 2 : TYCHO__BACKFILL_LINKS;
    size_t enough = links_max / 2;
    tycho_event event;
    *is_over = false;
    int status = tycho_cursor_open(pass->b->store, read, &pass->cursor);
    if (status != TYCHO_OK) return status;
    while (status == TYCHO_OK) {
        bool is_full = seen == most || link_count(&pass->b->gathered) >= enough;
        status = tycho_cursor_next(pass->cursor, &event);
        if (status != TYCHO_OK || is_full) break;
        size_t before = link_count(&pass->b->gathered);
        status = visit(pass, &event);
        if (status == TYCHO_REJECTED) tycho__failure_set_position(event.position);
        if (status == TYCHO_OK && link_count(&pass->b->gathered) > links_max) {
            status = tycho__script_fail(TYCHO_TOO_LARGE,
                                        "the linker links the event at position %llu into %zu "
                                        "streams, and at most %zu are back-filled",
                                        (unsigned long long)event.position,
                                        link_count(&pass->b->gathered) - before, enough);
        }
        *last = event.position;
        seen++;
    }
    *is_over = status == TYCHO_END;
    if (status == TYCHO_END) status = TYCHO_OK;
    tycho_cursor_close(pass->cursor);
    return status;
}

/* From `*last` on; backward when it undoes. */
static int walk_log(struct pass *pass, uint64_t to, size_t most, uint64_t *last, bool *is_over) {
    const uint32_t direction = pass->is_undoing ? TYCHO_READ_BACKWARD : 0;
    tycho_bytes types[TYCHO_QUERY_MAX];
    tycho_query_item item = {.types = types};
    const tycho_query query = {&item, 1};
    item.type_count = gather_types(pass->b, types);
    const tycho_read read = {.size = sizeof read,
                             .flags = direction | TYCHO_READ_FROM_POSITION | TYCHO_READ_TO_POSITION,
                             .from_position = *last,
                             .to_position = to,
                             .query = item.type_count > 0 ? &query : NULL};
    tycho__gathered_clear(&pass->b->gathered);
    return walk(pass, &read, most, last, is_over);
}

/* ---------------------------------------------------------------- into the batch */

/* Links into streams beside, whose names are gathered with a sign, and the row that names the
** stream. */
static int write_beside(tycho_backfill *b, tycho_batch *batch, tycho_bytes signed_name,
                        const tycho_bytes *ids, size_t count) {
    char name[TYCHO__BESIDE_NAME];
    const char *text = signed_name.data;
    const tycho_bytes stream = tycho__text_of(text + 1, signed_name.size - 1);
    const tycho_bytes table = tycho__text(b->table);
    int status = tycho_batch_put_row(batch, table, stream, tycho__text_of(NULL, 0));
    if (status != TYCHO_OK) return status;
    return tycho_batch_link(batch, tycho__beside_name(b, text[0], stream, name), TYCHO_EXPECT_ANY,
                            ids, count, TYCHO_RAW | TYCHO_SKIP_DUPLICATES);
}

int tycho__backfill_write(tycho_backfill *b, tycho_batch *batch, bool is_beside) {
    const struct target *targets = targets_of(&b->gathered);
    const tycho_bytes *ids = (const tycho_bytes *)(const void *)b->gathered.ids.data;
    int status = TYCHO_OK;
    for (size_t i = 0; i < target_count(&b->gathered) && status == TYCHO_OK; i++) {
        const tycho_bytes name = target_name(&b->gathered, &targets[i]);
        if (targets[i].is_taken) continue;
        const tycho_bytes *first = ids + targets[i].filled - targets[i].count;
        status = is_beside ? write_beside(b, batch, name, first, targets[i].count)
                           : tycho_batch_link(batch, name, TYCHO_EXPECT_ANY, first,
                                              targets[i].count, TYCHO_SKIP_DUPLICATES);
    }
    return status;
}

int tycho__backfill_gather(tycho_backfill *b, struct tycho__progress *progress, size_t most,
                           bool is_last) {
    struct pass pass = {.b = b, .progress = progress};
    uint64_t last = (uint64_t)progress->position;
    bool is_over;
    int status = tycho_head(b->store, &b->head);
    if (status != TYCHO_OK) return status;
    status = walk_log(&pass, b->head + 1, most, &last, &is_over);
    if (status != TYCHO_OK) return status;
    if (is_last && !is_over) {
        return tycho__script_fail(TYCHO_BUSY, "too much was written before the last batch");
    }
    progress->position = (int64_t)(is_over ? b->head : last);
    if (!progress->is_beside) progress->linked += (int64_t)link_count(&b->gathered);
    return sort_ids(&b->gathered) == NULL ? no_memory() : TYCHO_OK;
}

/* ---------------------------------------------------------------- undoing */

/* Takes entries out of one stream. A stream that has no others is deleted, so that its revisions
** begin at 0 again. */
static int write_unlink(tycho_backfill *b, tycho_batch *batch, tycho_bytes stream,
                        const tycho_bytes *ids, size_t count) {
    int64_t version;
    uint64_t entries;
    const tycho_read all = {.size = sizeof all, .stream = stream};
    int status = tycho_stream_version(b->store, stream, 0, &version);
    if (status == TYCHO_OK) status = tycho_count(b->store, &all, &entries);
    if (status == TYCHO_OK) status = tycho_batch_expect(batch, stream, version, 0);
    if (status != TYCHO_OK) return status;
    if (entries == count) return tycho_batch_delete_stream(batch, stream, 0);
    return tycho_batch_unlink(batch, stream, ids, count, 0);
}

int tycho__backfill_unlink(tycho_backfill *b, tycho_batch *batch, struct tycho__progress *progress,
                           size_t most) {
    struct pass pass = {.b = b, .progress = progress, .is_undoing = true};
    uint64_t last = (uint64_t)progress->position + 1;
    bool is_over;
    int status = walk_log(&pass, 0, most, &last, &is_over);
    if (status != TYCHO_OK) return status;
    progress->position = is_over ? 0 : (int64_t)last - 1;
    progress->linked -= (int64_t)link_count(&b->gathered);
    const struct target *targets = targets_of(&b->gathered);
    const tycho_bytes *ids = sort_ids(&b->gathered);
    if (ids == NULL) return no_memory();
    for (size_t i = 0; i < target_count(&b->gathered) && status == TYCHO_OK; i++) {
        const tycho_bytes name = target_name(&b->gathered, &targets[i]);
        status = write_unlink(b, batch, name, ids + targets[i].filled - targets[i].count,
                              targets[i].count);
    }
    return status;
}
