/* expand.c - what hooks add to the events of a batch: tags, and links that are made as the events
** are appended.
**
** One walk over the appends, and over what is overwritten, which gets nothing. As long as no event
** gets tags, the operations stay where they are; from the first one on, they are written anew in
** the same order, and the two runs are exchanged at the end (and back by
** tycho__batch_mark_restore). Links are gathered by stream and become one operation for each,
** behind all others: its list names the events by their ordinals, so that applying it looks up no
** ids.
*/
#include <stdlib.h>

#include "arena.h"
#include "batch.h"

enum { FIRST_SLOTS = 64, FIRST_LINKS = 256 };

/* An event that is linked, by its ordinal, and the number of the target. */
typedef struct new_link {
    uint32_t ordinal;
    uint32_t target;
} new_link;

/* A stream that events are linked into; its name follows. */
typedef struct link_target {
    uint64_t hash;
    uint32_t name_size;
    uint8_t flags;
    uint32_t count;
    uint32_t last; /* ordinal + 1 of the last event */
    size_t at;     /* in the operations: where its next ordinal goes */
} link_target;

typedef struct expansion {
    tycho_batch *batch;
    int (*wants)(void *context, tycho_bytes stream, tycho_bytes type);
    int (*visit)(void *context, const tycho_appended *appended, tycho_additions *additions);
    void *context;
    tycho__buffer *to; /* the operations written anew, if is_rewriting */
    bool is_rewriting;
    size_t step_begin;          /* in `to`: of the append that is being written */
    const uint8_t *step_source; /* of the same, in the batch */
    uint32_t operation;
    uint32_t ordinal; /* of the event that is visited */
    new_link *links;  /* in the order in which they were made */
    uint32_t link_count, link_room;
    tycho__arena arena;    /* of targets */
    link_target **targets; /* in the order in which they were named */
    size_t target_count;
    uint32_t *slots; /* open addressing: index in `targets` + 1 */
    size_t slot_count;
} expansion;

static int no_memory(void) {
    return tycho__fail(TYCHO_NO_MEMORY, "no memory for what hooks add to a batch");
}

/* ---------------------------------------------------------------- links */

static tycho_bytes name_of(const link_target *target) {
    return tycho__bytes(target + 1, target->name_size);
}

static int grow_targets(expansion *x) {
    if (x->target_count * 2 < x->slot_count) return TYCHO_OK;
    size_t slots = x->slot_count == 0 ? FIRST_SLOTS : x->slot_count * 2;
    link_target **targets = realloc(x->targets, (slots / 2 + 1) * sizeof(link_target *));
    if (targets == NULL) return no_memory();
    x->targets = targets;
    uint32_t *table = calloc(slots, sizeof *table);
    if (table == NULL) return no_memory();
    for (size_t i = 0; i < x->target_count; i++) {
        size_t at = (size_t)targets[i]->hash & (slots - 1);
        while (table[at] != 0) at = (at + 1) & (slots - 1);
        table[at] = (uint32_t)i + 1;
    }
    free(x->slots);
    x->slots = table;
    x->slot_count = slots;
    return TYCHO_OK;
}

/* What is known needs no check of its name. `*number` is that of the target, from 1. */
static int find_target(expansion *x, tycho_bytes name, uint8_t flags, uint32_t *number) {
    int status = grow_targets(x);
    if (status != TYCHO_OK) return status;
    uint64_t hash = tycho__hash(name.data, name.size, flags);
    size_t at = (size_t)hash & (x->slot_count - 1);
    for (; x->slots[at] != 0; at = (at + 1) & (x->slot_count - 1)) {
        const link_target *known = x->targets[x->slots[at] - 1];
        *number = x->slots[at];
        if (known->flags == flags && tycho__equal(name_of(known), name)) return TYCHO_OK;
    }
    status = tycho__check_name(name, "stream to link into");
    if (status != TYCHO_OK) return status;
    link_target *made = tycho__arena_take(&x->arena, sizeof *made + name.size);
    if (made == NULL) return no_memory();
    *made = (link_target){.hash = hash, .flags = flags, .name_size = (uint32_t)name.size};
    tycho__copy(made + 1, name);
    x->targets[x->target_count++] = made;
    *number = x->slots[at] = (uint32_t)x->target_count;
    return TYCHO_OK;
}

static int grow_links(expansion *x) {
    if (x->link_count < x->link_room) return TYCHO_OK;
    uint32_t room = x->link_room == 0 ? FIRST_LINKS : x->link_room * 2;
    new_link *links = realloc(x->links, room * sizeof *links);
    if (links == NULL) return no_memory();
    x->links = links;
    x->link_room = room;
    return TYCHO_OK;
}

/* Links the event into the target of a number. */
static int add_link(expansion *x, uint32_t number) {
    if (x->link_count == TYCHO_BATCH_LINKS_MAX) {
        return tycho__fail(TYCHO_TOO_LARGE, "hooks link the events of the batch over %d times",
                           TYCHO_BATCH_LINKS_MAX);
    }
    int status = grow_links(x);
    if (status != TYCHO_OK) return status;
    assert(number > 0 && number <= x->target_count);
    link_target *target = x->targets[number - 1];
    if (target->last == x->ordinal + 1) return TYCHO_OK;
    x->links[x->link_count++] = (new_link){x->ordinal, number};
    target->last = x->ordinal + 1;
    target->count++;
    return TYCHO_OK;
}

static int add_links(expansion *x, const tycho_additions *additions) {
    for (size_t i = 0; i < additions->link_count; i++) {
        bool is_raw = i + additions->raw_count >= additions->link_count;
        uint32_t *memo = additions->memos != NULL ? additions->memos[i] : NULL;
        uint32_t number = memo != NULL ? *memo : 0;
        int status = TYCHO_OK;
        if (number == 0) {
            status = find_target(x, additions->links[i], is_raw ? TYCHO_RAW : 0, &number);
        }
        if (status == TYCHO_OK) status = add_link(x, number);
        if (status != TYCHO_OK) return status;
        if (memo != NULL) *memo = number;
    }
    return TYCHO_OK;
}

/* A step for each target, and then the links, each where its target's step has room for it. */
static int write_links(expansion *x, tycho__buffer *to) {
    for (size_t i = 0; i < x->target_count; i++) {
        link_target *target = x->targets[i];
        int status = tycho__step_link_new(to, target->flags, name_of(target), target->count);
        if (status != TYCHO_OK) return status;
        target->at = to->size - 4 * (size_t)target->count;
    }
    for (uint32_t i = 0; i < x->link_count; i++) {
        link_target *target = x->targets[x->links[i].target - 1];
        tycho__store32(to->data + target->at, x->links[i].ordinal);
        target->at += 4;
    }
    return TYCHO_OK;
}

/* ---------------------------------------------------------------- tags */

/* From the event at `event` of the present append on, the operations are written anew. */
static int begin_rewriting(expansion *x, const tycho__step *step, const uint8_t *event) {
    const uint8_t *operations = x->batch->operations.data, *list = step->list.data;
    x->is_rewriting = true;
    x->to->size = 0;
    int status = tycho__buffer_append(x->to, operations, (size_t)(x->step_source - operations));
    x->step_begin = x->to->size;
    if (status == TYCHO_OK) status = tycho__step_begin(x->to, step, false);
    return status == TYCHO_OK ? tycho__buffer_append(x->to, list, (size_t)(event - list)) : status;
}

static bool has_tag(const tycho_bytes *tags, uint32_t count, tycho_bytes tag) {
    for (uint32_t i = 0; i < count; i++) {
        if (tycho__equal(tags[i], tag)) return true;
    }
    return false;
}

/* Writes the event with its tags and the further ones. */
static int write_tagged(expansion *x, const tycho_appended *appended,
                        const tycho_additions *additions) {
    const tycho_event *event = &appended->event;
    tycho_bytes tags[TYCHO_TAGS_MAX];
    uint32_t count = event->tag_count;
    for (uint32_t i = 0; i < count; i++) tags[i] = appended->tags[i];
    for (size_t i = 0; i < additions->tag_count; i++) {
        if (has_tag(tags, count, additions->tags[i])) continue;
        if (count == TYCHO_TAGS_MAX) {
            return tycho__fail(TYCHO_TOO_LARGE, "the event %.*s gets over %d tags",
                               (int)event->id.size, (const char *)event->id.data, TYCHO_TAGS_MAX);
        }
        tags[count++] = additions->tags[i];
    }
    tycho_new_event made = {.id = event->id,
                            .type = event->type,
                            .flags = TYCHO_HAS_TIME,
                            .tag_count = count,
                            .time = event->time,
                            .valid_time = event->valid_time,
                            .correlation_id = event->correlation_id,
                            .causation_id = event->causation_id,
                            .tags = tags,
                            .content_type = event->content_type,
                            .metadata = event->metadata,
                            .data = event->data};
    if (event->valid_time != event->time) made.flags |= TYCHO_HAS_VALID_TIME;
    return tycho__event_encode(x->to, &made, false);
}

/* ---------------------------------------------------------------- the walk */

/* Ids as they are read, with room for the text of UUIDs. */
typedef struct id_texts {
    char id[TYCHO_UUID_SIZE], correlation_id[TYCHO_UUID_SIZE], causation_id[TYCHO_UUID_SIZE];
} id_texts;

static tycho_bytes id_text(tycho_bytes packed, bool is_uuid, char text[TYCHO_UUID_SIZE]) {
    if (!is_uuid) return packed;
    tycho__uuid_unpack(text, packed.data);
    return tycho__bytes(text, TYCHO_UUID_SIZE);
}

static inline void fill(tycho_appended *appended, const tycho__event_view *view, id_texts *texts,
                 tycho_bytes *tags) {
    tycho_event *event = &appended->event;
    tycho__reader list = tycho__reader_of(view->tags);
    memset(event, 0, sizeof *event);
    event->revision = -1;
    event->time = view->time;
    event->valid_time = view->valid_time;
    event->id = id_text(view->id, (view->flags & TYCHO__UUID_ID) != 0, texts->id);
    event->type = view->type;
    event->correlation_id = id_text(
        view->correlation_id, (view->flags & TYCHO__UUID_CORRELATION) != 0, texts->correlation_id);
    event->causation_id = id_text(view->causation_id, (view->flags & TYCHO__UUID_CAUSATION) != 0,
                                  texts->causation_id);
    event->content_type = view->content_type;
    event->metadata = view->metadata;
    event->data = view->data;
    event->tag_count = view->tag_count;
    for (uint8_t i = 0; i < view->tag_count; i++) tags[i] = tycho__tag_next(&list);
    appended->tags = tags;
}

/* Gives the event to the hook; `from` are its bytes in the batch. */
static int visit_event(expansion *x, const tycho__step *step, const tycho__event_parts *parts,
                       tycho_bytes from) {
    id_texts texts;
    tycho_bytes tags[TYCHO_TAGS_MAX];
    tycho__event_view view;
    tycho_appended appended = {.stream = step->name, .operation = x->operation};
    tycho_additions additions = {.tag_count = 0};
    tycho__event_see(parts, &view);
    fill(&appended, &view, &texts, tags);
    int status = x->visit(x->context, &appended, &additions);
    if (status == TYCHO_OK) status = add_links(x, &additions);
    if (status == TYCHO_OK && additions.tag_count > 0 && !x->is_rewriting) {
        status = begin_rewriting(x, step, from.data);
    }
    if (status != TYCHO_OK || !x->is_rewriting) return status;
    if (additions.tag_count > 0) return write_tagged(x, &appended, &additions);
    return tycho__buffer_append(x->to, from.data, from.size);
}

static int visit_append(expansion *x, const tycho__step *step) {
    tycho__reader events = tycho__reader_of(step->list);
    int status = TYCHO_OK;
    if (x->is_rewriting) {
        x->step_begin = x->to->size;
        status = tycho__step_begin(x->to, step, false);
    }
    for (uint32_t i = 0; i < step->count && status == TYCHO_OK; i++, x->ordinal++) {
        tycho__event_parts parts;
        const uint8_t *begin = events.at;
        status = tycho__event_pass(&events, &parts);
        if (status != TYCHO_OK) break;
        tycho_bytes from = tycho__bytes(begin, (size_t)(events.at - begin));
        if (x->wants == NULL || x->wants(x->context, step->name, parts.type) != 0) {
            status = visit_event(x, step, &parts, from);
        } else if (x->is_rewriting) {
            status = tycho__buffer_append(x->to, from.data, from.size);
        }
    }
    if (status == TYCHO_OK && x->is_rewriting) tycho__step_end(x->to, x->step_begin);
    return status;
}

/* What is overwritten keeps its tags and links, so that nothing can be added. */
static int visit_overwrite(expansion *x, const tycho__step *step) {
    tycho__reader events = tycho__reader_of(step->list);
    int status = TYCHO_OK;
    for (uint32_t i = 0; i < step->count && status == TYCHO_OK; i++) {
        tycho__event_view view;
        id_texts texts;
        tycho_bytes tags[TYCHO_TAGS_MAX];
        tycho_appended appended = {.operation = x->operation, .is_overwrite = 1};
        tycho_additions additions = {.tag_count = 0};
        status = tycho__event_decode(&events, &view);
        if (status != TYCHO_OK) break;
        fill(&appended, &view, &texts, tags);
        appended.event.tag_count = 0;
        status = x->visit(x->context, &appended, &additions);
    }
    return status;
}

static int visit_all(expansion *x) {
    tycho__reader steps = tycho__reader_of(tycho__buffer_bytes(&x->batch->operations));
    for (x->operation = 0; x->operation < x->batch->operation_count; x->operation++) {
        tycho__step step;
        x->step_source = steps.at;
        int status = tycho__step_read(&steps, &step, false);
        if (status == TYCHO_OK && step.kind == TYCHO__APPEND) {
            status = visit_append(x, &step);
        } else if (status == TYCHO_OK && step.kind == TYCHO__OVERWRITE) {
            status = visit_overwrite(x, &step);
        }
        bool is_copied = x->is_rewriting && step.kind != TYCHO__APPEND;
        if (status == TYCHO_OK && is_copied) {
            status =
                tycho__buffer_append(x->to, x->step_source, (size_t)(steps.at - x->step_source));
        }
        if (status != TYCHO_OK) return status;
    }
    return TYCHO_OK;
}

/* Puts what was added into the batch. */
static int finish(expansion *x) {
    tycho_batch *batch = x->batch;
    tycho__buffer *operations = x->is_rewriting ? x->to : &batch->operations;
    size_t before = operations->size;
    int status = TYCHO_OK;
    if (batch->operation_count + x->target_count > TYCHO_BATCH_LINKS_MAX) {
        status = tycho__fail(TYCHO_TOO_LARGE, "hooks link the events of the batch into %zu streams",
                             x->target_count);
    }
    if (status == TYCHO_OK) status = write_links(x, operations);
    if (status == TYCHO_OK && operations->size + batch->conditions.size > TYCHO_BATCH_SIZE_MAX) {
        status = tycho__fail(TYCHO_TOO_LARGE, "with what hooks add, the batch has %zu bytes",
                             operations->size);
    }
    if (status != TYCHO_OK) {
        operations->size = before;
        return status;
    }
    batch->operation_count += (uint32_t)x->target_count;
    batch->link_count += x->link_count;
    if (x->is_rewriting) tycho__batch_exchange(batch);
    return TYCHO_OK;
}

int tycho_batch_expand(tycho_batch *batch,
                       int (*wants)(void *context, tycho_bytes stream, tycho_bytes type),
                       int (*visit)(void *context, const tycho_appended *appended,
                                    tycho_additions *additions),
                       void *context) {
    if (batch == NULL) return tycho__fail(TYCHO_MISUSE, "the batch is NULL");
    if (visit == NULL) return tycho__fail(TYCHO_MISUSE, "there is no visitor");
    if (batch->is_exchanged) return tycho__fail(TYCHO_MISUSE, "the batch was expanded before");
    expansion x = {
        .batch = batch, .wants = wants, .visit = visit, .context = context, .to = &batch->other};
    int status = visit_all(&x);
    if (status == TYCHO_OK) status = finish(&x);
    tycho__arena_free(&x.arena);
    free(x.links);
    free(x.targets);
    free(x.slots);
    return status;
}
