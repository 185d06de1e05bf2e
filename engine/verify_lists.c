/* verify_lists.c - what a verification says of names, lists, blocks and ways back; see verify.h.
*/
#include "verify.h"
#include "ways.h"

/* The row of a list, without what is recent. TYCHO_NOT_FOUND; TYCHO_END: it is damaged, which is
** told with the lists. */
static int look_up(tycho_verification *v, uint8_t kind, uint32_t number, tycho__list *list) {
    uint8_t key[TYCHO__LIST_KEY];
    tycho_bytes row;
    tycho__list_key(key, kind, number);
    int status = tycho__get(v->txn, TYCHO__LISTS, tycho__bytes(key, sizeof key), &row);
    if (status != TYCHO_OK) return status;
    return tycho__list_parse(list, kind, number, row) == TYCHO_OK ? TYCHO_OK : TYCHO_END;
}

/* Whether a deleted stream is still to be swept. */
static int find_garbage(tycho_verification *v, uint32_t stream, bool *is_garbage) {
    uint8_t key[4];
    tycho_bytes value;
    tycho__key32(key, stream);
    int status = tycho__get(v->txn, TYCHO__GARBAGE, tycho__bytes(key, sizeof key), &value);
    *is_garbage = status == TYCHO_OK;
    return status == TYCHO_NOT_FOUND ? TYCHO_OK : status;
}

/* ---------------------------------------------------------------- names */

/* What is wrong with the list that a name leads to. */
static void check_named(tycho_verification *v, const char *name, tycho_bytes key,
                        const tycho__list *list) {
    tycho_bytes own = {(const uint8_t *)key.data + 1, key.size - 1};
    if ((list->flags & TYCHO__LIST_DELETED) != 0) {
        tycho__verify_tell(v, "the name of %s leads to list %u, which is deleted", name,
                           list->number);
    } else if (!tycho__equal(list->name, own)) {
        tycho__verify_tell(v, "the name of %s leads to list %u, which has the name \"%.*s\"", name,
                           list->number, (int)list->name.size, (const char *)list->name.data);
    }
}

int tycho__verify_name(tycho_verification *v, tycho_bytes key, tycho_bytes value) {
    char name[600];
    tycho__list list;
    const uint8_t *at = key.data;
    tycho_bytes own = {at + 1, key.size - 1};
    tycho__key_text(TYCHO__NAMES, key, name, sizeof name);
    if (at[0] == 0 || at[0] >= TYCHO__KINDS || tycho__check_name(own, "name") != TYCHO_OK) {
        tycho__verify_tell(v, "table names has the key %s (kind %u), which is no name", name,
                           at[0]);
        return TYCHO_OK;
    }
    if (value.size != 4) {
        tycho__verify_tell(v, "the name of %s has %zu bytes instead of a number", name, value.size);
        return TYCHO_OK;
    }
    uint32_t number = tycho__load32(value.data);
    int status = look_up(v, at[0], number, &list);
    if (status == TYCHO_OK) check_named(v, name, key, &list);
    if (status == TYCHO_NOT_FOUND) {
        tycho__verify_tell(v, "the name of %s leads to list %u, which does not exist", name,
                           number);
    }
    bool is_answer = status == TYCHO_OK || status == TYCHO_NOT_FOUND || status == TYCHO_END;
    return is_answer ? TYCHO_OK : status;
}

/* ---------------------------------------------------------------- lists */

/* Whether the record at an entry belongs to the list. */
static bool belongs(const tycho__list *list, const tycho__event_view *event,
                    const tycho__entry *entry) {
    if (list->kind == TYCHO__TYPE) return event->type_number == list->number;
    if (list->kind == TYCHO__STREAM) {
        return event->stream == list->number && event->revision == (int64_t)entry->ordinal;
    }
    for (uint32_t i = 0; i < event->tag_count; i++) {
        if (tycho__record_tag(event, i) == list->number) return true;
    }
    return false;
}

static int check_way_back(tycho_verification *v, const tycho__list *list,
                          const tycho__entry *entry) {
    uint64_t revision;
    int status = tycho__link_find(v->txn, entry->position, list->number, &revision);
    if (status != TYCHO_OK && status != TYCHO_NOT_FOUND) return status;
    if (status == TYCHO_NOT_FOUND || revision != entry->ordinal) {
        tycho__verify_tell(v,
                           "the link at revision %llu of the stream \"%.*s\" has no right way back",
                           (unsigned long long)entry->ordinal, (int)list->name.size,
                           (const char *)list->name.data);
    }
    v->link_entries++;
    return TYCHO_OK;
}

static int check_entry(tycho_verification *v, const tycho__entry *entry) {
    const tycho__list *list = &v->entries.list;
    tycho__event_view event;
    if (entry->position == 0 || entry->position > v->txn->state.head) {
        tycho__verify_tell(
            v, "list \"%.*s\" has an entry with position %llu, which is beyond the head",
            (int)list->name.size, (const char *)list->name.data,
            (unsigned long long)entry->position);
        return TYCHO_OK;
    }
    if (entry->is_link) return check_way_back(v, list, entry);
    int status = tycho__event_load(v->txn, entry->position, &event);
    bool is_told = status == TYCHO_CORRUPT && v->findings > 0; /* with the events */
    if (is_told || tycho__verify_is_damage(v, status)) return TYCHO_OK;
    if (status != TYCHO_OK) return status;
    if (!belongs(list, &event, entry)) {
        tycho__verify_tell(
            v, "the list \"%.*s\" (kind %u) has the event at position %llu, which is not of it",
            (int)list->name.size, (const char *)list->name.data, list->kind,
            (unsigned long long)entry->position);
    }
    return TYCHO_OK;
}

static void end_list(tycho_verification *v) {
    const tycho__list *list = &v->entries.list;
    v->is_walking = false;
    if (v->walked != list->count) {
        tycho__verify_tell(v, "the list \"%.*s\" (kind %u) counts %llu entries and has %llu",
                           (int)list->name.size, (const char *)list->name.data, list->kind,
                           (unsigned long long)list->count, (unsigned long long)v->walked);
    }
    if (list->kind == TYCHO__TYPE) v->type_entries += v->walked;
    if (list->kind == TYCHO__TAG) v->tag_entries += v->walked;
    if (list->kind == TYCHO__STREAM) v->stream_entries += v->walked;
    if (list->kind == TYCHO__STREAM && v->walked > 0) v->streams++;
}

static int walk_list(tycho_verification *v, int *budget) {
    tycho__entry entry;
    while (*budget > 0 && !v->has_text) {
        --*budget;
        int status = tycho__entries_from(&v->entries, v->ordinal, &entry);
        if (status == TYCHO_OK && entry.ordinal < v->ordinal) {
            tycho__verify_tell(v, "a block of entries is out of order");
            status = TYCHO_END;
        }
        if (status == TYCHO_CORRUPT) {
            const tycho__list *list = &v->entries.list;
            tycho__verify_tell(v,
                               "the list \"%.*s\" (kind %u) cannot be read from entry %llu on: %s",
                               (int)list->name.size, (const char *)list->name.data, list->kind,
                               (unsigned long long)v->ordinal, tycho_error());
            status = TYCHO_END;
        }
        if (status == TYCHO_END) {
            end_list(v);
            return TYCHO_OK;
        }
        bool is_settled = status == TYCHO_OK && entry.ordinal < v->entries.boundary;
        if (is_settled && entry.position > v->entries.list.highest) {
            tycho__verify_tell(
                v, "the list %u of kind %u has an entry of position %llu, above its highest",
                v->entries.list.number, v->entries.list.kind, (unsigned long long)entry.position);
        }
        if (status == TYCHO_OK && entry.ordinal < v->entries.list.first) {
            tycho__verify_tell(
                v, "the list %u of kind %u has the entry %llu, but is cut off up to %llu",
                v->entries.list.number, v->entries.list.kind, (unsigned long long)entry.ordinal,
                (unsigned long long)v->entries.list.first);
        }
        if (status == TYCHO_OK) status = check_entry(v, &entry);
        if (status != TYCHO_OK) return status;
        v->ordinal = entry.ordinal + 1;
        v->walked++;
        v->done++;
    }
    return TYCHO_OK;
}

/* The stream, which is deleted, has nothing any more, or is to be swept. */
static int check_deleted(tycho_verification *v, const tycho__list *list) {
    bool is_garbage;
    if (list->kind != TYCHO__STREAM) {
        tycho__verify_tell(v, "the list \"%.*s\" (kind %u) is deleted, as only streams are",
                           (int)list->name.size, (const char *)list->name.data, list->kind);
        return TYCHO_OK;
    }
    int status = find_garbage(v, list->number, &is_garbage);
    if (status == TYCHO_OK && !is_garbage && (list->count > 0 || list->tail_count > 0)) {
        tycho__verify_tell(v, "stream %u is deleted and has %llu entries, but is not to be swept",
                           list->number, (unsigned long long)list->count);
    }
    return status;
}

/* That the row of a list describes its tail, behind which the next entries are put. */
static void check_tail(tycho_verification *v, const tycho__list *list) {
    uint64_t values[TYCHO__BLOCK], last = 0;
    tycho_bytes tail = {list->tail, list->tail_size};
    if (tycho__block_decode(tail, values, list->tail_count) != TYCHO_OK) return; /* found later */
    for (uint32_t i = 0; i < list->tail_count; i++) {
        if (values[i] != 0) last = values[i] >> 1;
    }
    if (last != list->tail_last) {
        tycho__verify_tell(v,
                           "the list \"%.*s\" (kind %u) says that position %llu is its last, and "
                           "it is %llu",
                           (int)list->name.size, (const char *)list->name.data, list->kind,
                           (unsigned long long)list->tail_last, (unsigned long long)last);
    }
    bool is_end = list->kind != TYCHO__STREAM || list->tail_count == 0 ||
                  list->next - list->tail_base == list->tail_count;
    if (is_end && list->first <= list->next) return;
    tycho__verify_tell(v,
                       "the list \"%.*s\" (kind %u) begins with entry %llu and goes on with %llu, "
                       "but its last %u begin with %llu",
                       (int)list->name.size, (const char *)list->name.data, list->kind,
                       (unsigned long long)list->first, (unsigned long long)list->next,
                       list->tail_count, (unsigned long long)list->tail_base);
}

/* That the list has its name, and a number of those that were given. */
static int check_names(tycho_verification *v, const tycho__list *list) {
    uint32_t number;
    uint64_t given = v->txn->state.names[list->kind];
    if (list->number > given) {
        tycho__verify_tell(v, "list %u of kind %u has a number that was not given: %llu were",
                           list->number, list->kind, (unsigned long long)given);
    }
    int status = tycho__list_find(v->txn, list->kind, list->name, &number);
    if (status == TYCHO_NOT_FOUND || (status == TYCHO_OK && number != list->number)) {
        tycho__verify_tell(v, "the name \"%.*s\" (kind %u) does not lead to its list %u",
                           (int)list->name.size, (const char *)list->name.data, list->kind,
                           list->number);
    }
    if (status == TYCHO_NOT_FOUND) return TYCHO_OK;
    return tycho__verify_is_damage(v, status) ? TYCHO_OK : status;
}

/* Checks the row of a list and begins to walk it. */
static int begin_list(tycho_verification *v, tycho_bytes key, tycho_bytes value) {
    tycho__list list;
    const uint8_t *at = key.data;
    bool is_key = key.size == TYCHO__LIST_KEY && at[0] > 0 && at[0] < TYCHO__KINDS &&
                  tycho__unkey32(at + 1) > 0;
    if (!is_key) {
        tycho__verify_tell(v, "table lists has a key of %zu bytes that is none", key.size);
        return TYCHO_OK;
    }
    v->lists[at[0]]++;
    int status = tycho__list_parse(&list, at[0], tycho__unkey32(at + 1), value);
    if (tycho__verify_is_damage(v, status)) return TYCHO_OK;
    if ((list.flags & TYCHO__LIST_DELETED) != 0) return check_deleted(v, &list);
    status = check_names(v, &list);
    if (status != TYCHO_OK || list.kind > TYCHO__TAG) return status;
    check_tail(v, &list);
    status = tycho__list_read(v->txn, list.kind, list.number, &list); /* with what is recent */
    if (status != TYCHO_OK) return status;
    tycho__entries_begin(&v->entries, v->txn, &list);
    v->is_walking = true;
    v->ordinal = v->walked = 0;
    return TYCHO_OK;
}

static void end_lists(tycho_verification *v) {
    const tycho__state *state = &v->txn->state;
    if (v->type_entries != state->head) {
        tycho__verify_tell(v, "the lists of types have %llu entries for %llu events",
                           (unsigned long long)v->type_entries, (unsigned long long)state->head);
    } else if (v->tag_entries != v->tags) {
        tycho__verify_tell(v, "the lists of tags have %llu entries for %llu tags on events",
                           (unsigned long long)v->tag_entries, (unsigned long long)v->tags);
    } else if (v->stream_entries != state->entries || v->streams != state->streams) {
        tycho__verify_tell(v,
                           "%llu entries in %llu streams are counted, but there are %llu in %llu",
                           (unsigned long long)state->entries, (unsigned long long)state->streams,
                           (unsigned long long)v->stream_entries, (unsigned long long)v->streams);
    }
}

int tycho__verify_lists(tycho_verification *v, bool *is_over) {
    int budget = TYCHO__VERIFY_EACH;
    while (budget-- > 0 && !v->has_text) {
        tycho_bytes key, value;
        int status;
        if (v->is_walking) {
            status = walk_list(v, &budget);
        } else {
            status = tycho__verify_next(v, TYCHO__LISTS, &key, &value);
            if (status == TYCHO_NOT_FOUND) {
                end_lists(v);
                *is_over = true;
                return TYCHO_OK;
            }
            if (status == TYCHO_OK) status = begin_list(v, key, value);
        }
        if (status != TYCHO_OK) return status;
    }
    return TYCHO_OK;
}

/* ---------------------------------------------------------------- blocks */

/* Finds the list of the blocks that come next. */
static int begin_blocks(tycho_verification *v, uint8_t kind, uint32_t number) {
    tycho__block_walk *walk = &v->blocks;
    int status = look_up(v, kind, number, &walk->list);
    walk->list.kind = kind;
    walk->list.number = number;
    walk->is_there = status == TYCHO_OK;
    walk->is_damaged = status == TYCHO_END;
    walk->end = 0;
    if (status == TYCHO_OK && (walk->list.flags & TYCHO__LIST_DELETED) != 0) {
        return find_garbage(v, number, &walk->is_there);
    }
    bool is_answer = status == TYCHO_OK || status == TYCHO_NOT_FOUND || status == TYCHO_END;
    return is_answer ? TYCHO_OK : status;
}

/* That the ordinals from `base` on, below `end`, are those of no other block, nor of the tail. */
static void check_extent(tycho_verification *v, uint64_t base, uint64_t first, uint64_t end) {
    tycho__block_walk *walk = &v->blocks;
    const tycho__list *list = &walk->list;
    uint64_t limit = list->kind == TYCHO__STREAM ? list->next : list->highest + 1;
    if (list->tail_count > 0) limit = list->tail_base;
    if (base < walk->end || first < base || end < base || end > limit) {
        tycho__verify_tell(v,
                           "the block from %llu on of the list \"%.*s\" (kind %u) ends at %llu, "
                           "which does not fit between %llu and %llu",
                           (unsigned long long)base, (int)list->name.size,
                           (const char *)list->name.data, list->kind, (unsigned long long)end,
                           (unsigned long long)walk->end, (unsigned long long)limit);
    }
    walk->end = end;
}

int tycho__verify_block(tycho_verification *v, tycho_bytes key, tycho_bytes value) {
    const uint8_t *at = key.data;
    uint64_t values[TYCHO__BLOCK];
    uint32_t count;
    tycho__block_walk *walk = &v->blocks;
    if (key.size != TYCHO__BLOCK_KEY || at[0] == 0 || at[0] > TYCHO__TAG) {
        tycho__verify_tell(v, "table blocks has a key of %zu bytes that is none", key.size);
        return TYCHO_OK;
    }
    uint8_t kind = at[0];
    uint32_t number = tycho__unkey32(at + 1);
    uint64_t base = tycho__unkey64(at + TYCHO__LIST_KEY);
    bool is_next = walk->list.kind == kind && walk->list.number == number;
    int status = is_next ? TYCHO_OK : begin_blocks(v, kind, number);
    if (status != TYCHO_OK) return status;
    if (!walk->is_there && !walk->is_damaged) {
        tycho__verify_tell(v, "the block from %llu on is of list %u of kind %u, which %s",
                           (unsigned long long)base, number, kind,
                           walk->list.flags != 0 ? "is deleted and swept" : "does not exist");
        return TYCHO_OK;
    }
    if (tycho__block_read(&walk->list, base, value, values, &count) != TYCHO_OK) {
        tycho__verify_tell(v, "the block from %llu on of list %u of kind %u is damaged",
                           (unsigned long long)base, number, kind);
    } else if (walk->is_there && kind == TYCHO__STREAM) {
        check_extent(v, base, base, base + count);
    } else if (walk->is_there) {
        check_extent(v, base, values[0] >> 1, (values[count - 1] >> 1) + 1);
    }
    return TYCHO_OK;
}

/* ---------------------------------------------------------------- ways back, deleted streams */

static int check_way(tycho_verification *v, uint64_t position, const tycho__way *way) {
    tycho__list stream;
    tycho__entry entry;
    v->links++;
    v->done++;
    if (way->link > v->txn->state.links_settled) v->moved_links++;
    int status = tycho__list_read(v->txn, TYCHO__STREAM, way->stream, &stream);
    if (status == TYCHO_OK && (stream.flags & TYCHO__LIST_DELETED) != 0) {
        v->garbage_links++;
        return TYCHO_OK;
    }
    if (status == TYCHO_OK) {
        tycho__entries entries;
        tycho__entries_begin(&entries, v->txn, &stream);
        status = tycho__entries_from(&entries, way->revision, &entry);
    }
    bool is_right = status == TYCHO_OK && entry.ordinal == way->revision && entry.is_link &&
                    entry.position == position;
    bool is_answer = status == TYCHO_OK || status == TYCHO_NOT_FOUND || status == TYCHO_END;
    if (is_right && way->link - 1 >= v->txn->state.links_made) {
        tycho__verify_tell(
            v, "the link of the event at position %llu into stream %u has number %llu, of %llu",
            (unsigned long long)position, way->stream, (unsigned long long)way->link,
            (unsigned long long)v->txn->state.links_made);
    }
    if (is_answer && !is_right) {
        tycho__verify_tell(v, "the link of the event at position %llu into stream %u has no entry",
                           (unsigned long long)position, way->stream);
    }
    return is_answer || tycho__verify_is_damage(v, status) ? TYCHO_OK : status;
}

int tycho__verify_ways(tycho_verification *v, tycho_bytes key, tycho_bytes value) {
    tycho__ways ways;
    int status = tycho__ways_parse(key, value, &ways);
    if (tycho__verify_is_damage(v, status)) return TYCHO_OK;
    for (uint32_t i = 0; i < ways.count && status == TYCHO_OK; i++) {
        status = check_way(v, ways.positions[i], &ways.all[i]);
    }
    return status;
}

int tycho__verify_garbage(tycho_verification *v, tycho_bytes key, tycho_bytes value) {
    tycho__list list;
    if (key.size != 4) {
        tycho__verify_tell(v, "table garbage has a key of %zu bytes that is none", key.size);
        return TYCHO_OK;
    }
    uint32_t number = tycho__unkey32(key.data);
    int status = look_up(v, TYCHO__STREAM, number, &list);
    bool is_deleted = status == TYCHO_OK && (list.flags & TYCHO__LIST_DELETED) != 0;
    uint64_t count = value.size == 8 ? tycho__load64(value.data) : UINT64_MAX;
    if (status == TYCHO_NOT_FOUND || (status == TYCHO_OK && !is_deleted)) {
        tycho__verify_tell(v, "stream %u is to be swept, which %s", number,
                           status == TYCHO_OK ? "is not deleted" : "does not exist");
        return TYCHO_OK;
    }
    if (is_deleted && count != list.count) {
        tycho__verify_tell(v, "stream %u is to be swept of %lld entries, but has %llu", number,
                           (long long)count, (unsigned long long)list.count);
    }
    return status == TYCHO_END ? TYCHO_OK : status;
}
