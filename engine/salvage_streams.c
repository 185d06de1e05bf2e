/* salvage_streams.c - names of lists, and the entries of all streams; see salvage.h.
**
** Rows of lists and blocks say what is in a stream, holes too. Where some of them are lost (the
** list counts more entries than were found) the records say which events were appended to it, and
** the ways back what was linked. Entries that had been taken out come back then: nothing says that
** they were.
*/
#include <stdio.h>
#include <stdlib.h>

#include "salvage.h"
#include "ways.h"

enum source { ROW, PENDING, STALE_ROW, RECORD, WAY_BACK };

enum {
    UNSORTED = 1024, /* lists that are added before they are sorted */
    PROVED_WAYS = 13 /* size of the key of rows of links that have a checksum */
};

/* ---------------------------------------------------------------- lists */

static const char *kind_word(uint8_t kind) {
    static const char *const words[TYCHO__KINDS] = {"",    "stream", "type",
                                                    "tag", "table",  "content"};
    return words[kind];
}

tycho_bytes tycho__salvage_name(const tycho__old_list *old, char made[64]) {
    if (old->name != NULL) return tycho__bytes(old->name, old->name_size);
    int size = snprintf(made, 64, "%s-%s-%u", TYCHO_LOST, kind_word(old->kind), old->number);
    return tycho__bytes(made, (size_t)size);
}

static int compare_lists(const void *a, const void *b) {
    const tycho__old_list *x = a, *y = b;
    if (x->kind != y->kind) return x->kind < y->kind ? -1 : 1;
    if (x->number != y->number) return x->number < y->number ? -1 : 1;
    if (x->is_row != y->is_row) return x->is_row ? -1 : 1;
    if (x->is_deleted != y->is_deleted) return x->is_deleted ? -1 : 1;
    return (x->name == NULL) - (y->name == NULL);
}

static void sort_lists(tycho_salvage *s) {
    size_t kept = 0;
    if (s->list_count > 1) qsort(s->lists, s->list_count, sizeof *s->lists, compare_lists);
    for (size_t i = 0; i < s->list_count; i++) {
        const tycho__old_list *last = kept > 0 ? &s->lists[kept - 1] : NULL;
        bool is_known =
            last != NULL && last->kind == s->lists[i].kind && last->number == s->lists[i].number;
        if (!is_known) s->lists[kept++] = s->lists[i];
    }
    s->list_count = kept;
}

static int add_list(tycho_salvage *s, const tycho__old_list *list) {
    int status =
        tycho__salvage_grow((void **)&s->lists, s->list_count, &s->list_room, sizeof *s->lists);
    if (status == TYCHO_OK) s->lists[s->list_count++] = *list;
    return status;
}

/* Among the first `count` lists, which are sorted. */
static tycho__old_list *find_list(tycho_salvage *s, size_t count, uint8_t kind, uint32_t number) {
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const tycho__old_list *list = &s->lists[middle];
        bool is_less = list->kind < kind || (list->kind == kind && list->number < number);
        if (is_less) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    bool is_found = low < count && s->lists[low].kind == kind && s->lists[low].number == number;
    return is_found ? &s->lists[low] : NULL;
}

tycho__old_list *tycho__salvage_list(tycho_salvage *s, uint8_t kind, uint32_t number) {
    return find_list(s, s->list_count, kind, number);
}

/* The list of a row of table `lists`, which was found to be sound. */
static tycho__list parse_row(const tycho__found *row) {
    tycho__list list;
    int status = tycho__list_parse(&list, row->key[0], tycho__unkey32(row->key + 1),
                                   tycho__bytes(row->value, row->value_size));
    assert(status == TYCHO_OK);
    (void)status;
    return list;
}

static void parse_ways(const tycho__found *row, tycho__ways *ways) {
    int status = tycho__ways_parse(tycho__bytes(row->key, row->key_size),
                                   tycho__bytes(row->value, row->value_size), ways);
    assert(status == TYCHO_OK);
    (void)status;
}

/* False for an older copy, of what is settled. */
static bool parse_pending(const tycho_salvage *s, const tycho__found *found, tycho__pending *row) {
    int status = tycho__pending_parse(tycho__bytes(found->key, found->key_size),
                                      tycho__bytes(found->value, found->value_size), row);
    assert(status == TYCHO_OK);
    (void)status;
    return !s->has_state || row->link > s->state.links_settled;
}

static int take_lists(tycho_salvage *s) {
    int status = TYCHO_OK;
    for (size_t i = s->first[TYCHO__LISTS]; i < s->first[TYCHO__LISTS + 1] && status == TYCHO_OK;
         i++) {
        tycho__list list = parse_row(&s->found[i]);
        bool is_deleted = (list.flags & TYCHO__LIST_DELETED) != 0;
        const tycho__old_list old = {.kind = list.kind,
                                     .number = list.number,
                                     .is_row = s->found[i].rank != TYCHO__STALE,
                                     .is_deleted = is_deleted && list.kind == TYCHO__STREAM,
                                     .name = list.name.data,
                                     .name_size = (uint32_t)list.name.size,
                                     .first = list.first,
                                     .next = list.next,
                                     .count = list.count};
        status = add_list(s, &old);
    }
    for (size_t i = s->first[TYCHO__NAMES]; i < s->first[TYCHO__NAMES + 1] && status == TYCHO_OK;
         i++) {
        const tycho__found *row = &s->found[i];
        const tycho__old_list old = {.kind = row->key[0],
                                     .number = tycho__load32(row->value),
                                     .name = row->key + 1,
                                     .name_size = row->key_size - 1u};
        if (old.number != 0) status = add_list(s, &old);
    }
    sort_lists(s);
    return status;
}

/* What names a list that is not there: a list without a name is made. */
typedef struct needs {
    tycho_salvage *s;
    size_t sorted; /* of its lists */
    int status;
} needs;

static void need_list(needs *n, uint8_t kind, uint32_t number) {
    const tycho__old_list lost = {.kind = kind, .number = number};
    tycho_salvage *s = n->s;
    if (n->status != TYCHO_OK || number == 0) return;
    if (find_list(s, n->sorted, kind, number) != NULL) return;
    n->status = add_list(s, &lost);
    if (s->list_count - n->sorted <= UNSORTED + n->sorted / 2) return;
    sort_lists(s);
    n->sorted = s->list_count;
}

static void need_lists_of_events(needs *n) {
    tycho_salvage *s = n->s;
    for (size_t i = s->first[TYCHO__EVENTS]; i < s->first[TYCHO__EVENTS + 1]; i++) {
        tycho__event_view event;
        if (tycho__salvage_record(s, tycho__load64(s->found[i].key), &event) == NULL) break;
        need_list(n, TYCHO__TYPE, event.type_number);
        need_list(n, TYCHO__STREAM, event.stream);
        need_list(n, TYCHO__CONTENT, event.content_type_number);
        for (uint32_t j = 0; j < event.tag_count; j++) {
            need_list(n, TYCHO__TAG, tycho__record_tag(&event, j));
        }
    }
}

/* Blocks, links and what is pending, as far as a checksum proves them and they are no old copy. */
static void need_lists_of_entries(needs *n) {
    tycho_salvage *s = n->s;
    for (size_t i = s->first[TYCHO__BLOCKS]; i < s->first[TYCHO__BLOCKS + 1]; i++) {
        const tycho__found *row = &s->found[i];
        if (row->rank >= TYCHO__STALE || row->key[0] != TYCHO__STREAM) continue;
        need_list(n, TYCHO__STREAM, tycho__unkey32(row->key + 1));
    }
    for (size_t i = s->first[TYCHO__LINKS]; i < s->first[TYCHO__LINKS + 1]; i++) {
        tycho__ways ways;
        const tycho__found *row = &s->found[i];
        parse_ways(row, &ways);
        bool is_proved = row->rank < TYCHO__STALE && row->key_size == PROVED_WAYS;
        for (uint32_t k = 0; is_proved && k < ways.count; k++) {
            need_list(n, TYCHO__STREAM, ways.all[k].stream);
        }
    }
    for (size_t i = s->first[TYCHO__PENDING]; i < s->first[TYCHO__PENDING + 1]; i++) {
        tycho__pending row;
        bool is_old = !parse_pending(s, &s->found[i], &row);
        for (uint32_t k = 0; !is_old && s->found[i].rank < TYCHO__STALE && k < row.count; k++) {
            need_list(n, TYCHO__STREAM, row.all[k].stream);
        }
    }
}

static int need_lists(tycho_salvage *s) {
    needs n = {.s = s, .sorted = s->list_count};
    need_lists_of_events(&n);
    need_lists_of_entries(&n);
    for (size_t i = s->first[TYCHO__ROWS]; i < s->first[TYCHO__ROWS + 1]; i++) {
        need_list(&n, TYCHO__ROW_TABLE, tycho__unkey32(s->found[i].key));
    }
    sort_lists(s);
    for (size_t i = 0; i < s->list_count; i++) {
        if (s->lists[i].name != NULL) continue;
        tycho__salvage_tell(s, "the name of number %u of kind %u is lost", s->lists[i].number,
                            s->lists[i].kind);
    }
    return n.status;
}

/* ---------------------------------------------------------------- what leads nowhere */

/* A name whose list has another one, or has no row any more. */
static void tell_name(tycho_salvage *s, const tycho__found *row) {
    char text[600];
    uint32_t number = tycho__load32(row->value);
    const tycho__old_list *list = tycho__salvage_list(s, row->key[0], number);
    tycho_bytes name = {row->key + 1, row->key_size - 1u};
    tycho__key_text(TYCHO__NAMES, tycho__bytes(row->key, row->key_size), text, sizeof text);
    if (list == NULL || !list->is_row) {
        tycho__salvage_tell(s, "the name of %s leads to list %u, whose row is lost", text, number);
    } else if (list->is_deleted) {
        tycho__salvage_tell(s, "the name of %s led to list %u, which is deleted", text, number);
    } else if (!tycho__equal(name, tycho__bytes(list->name, list->name_size))) {
        tycho__salvage_tell(s, "the name of %s led to list %u, which has another name", text,
                            number);
    }
}

static void tell_block(tycho_salvage *s, const tycho__found *row) {
    uint32_t number = tycho__unkey32(row->key + 1);
    if (tycho__salvage_list(s, row->key[0], number) != NULL) return;
    tycho__salvage_tell(s, "the block from %llu on is of list %u of kind %u, which is lost",
                        (unsigned long long)tycho__unkey64(row->key + TYCHO__LIST_KEY), number,
                        row->key[0]);
}

static void tell_metadata(tycho_salvage *s, const tycho__found *row) {
    uint32_t number = tycho__unkey32(row->key);
    const tycho__old_list *list = tycho__salvage_list(s, TYCHO__STREAM, number);
    if (list != NULL && !list->is_deleted) return;
    tycho__salvage_tell(s, "the metadata of stream %u are left out: it is %s", number,
                        list == NULL ? "lost" : "deleted");
}

/* What is in the trees and is left out, or not as it was, because it contradicts what is there. */
static void tell_strays(tycho_salvage *s) {
    static const struct {
        tycho__table table;
        void (*tell)(tycho_salvage *s, const tycho__found *row);
    } tables[] = {{TYCHO__NAMES, tell_name},
                  {TYCHO__BLOCKS, tell_block},
                  {TYCHO__STREAM_METADATA, tell_metadata}};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        tycho__table table = tables[i].table;
        for (size_t k = s->first[table]; k < s->first[table + 1]; k++) {
            if (s->found[k].rank == TYCHO__IN_TREE) tables[i].tell(s, &s->found[k]);
        }
    }
}

/* ---------------------------------------------------------------- candidates */

static int add_entry(tycho_salvage *s, const tycho__old_list *list, const tycho__old_entry *entry) {
    if (list == NULL || list->is_deleted) return TYCHO_OK;
    if (entry->revision < list->first && entry->source != ROW) return TYCHO_OK; /* it is cut off */
    int status = tycho__salvage_grow((void **)&s->entries, s->entry_count, &s->entry_room,
                                     sizeof *s->entries);
    if (status == TYCHO_OK) s->entries[s->entry_count++] = *entry;
    return status;
}

static int add_values(tycho_salvage *s, const tycho__old_list *list, tycho__old_entry entry,
                      const uint64_t *values, uint32_t count) {
    int status = TYCHO_OK;
    for (uint32_t i = 0; i < count && status == TYCHO_OK; i++, entry.revision++) {
        entry.position = values[i] >> 1;
        entry.is_link = (values[i] & 1) != 0;
        status = add_entry(s, list, &entry);
    }
    return status;
}

static int take_tails(tycho_salvage *s) {
    for (size_t i = s->first[TYCHO__LISTS]; i < s->first[TYCHO__LISTS + 1]; i++) {
        uint64_t values[TYCHO__BLOCK];
        const tycho__found *row = &s->found[i];
        if (row->key[0] != TYCHO__STREAM) continue;
        tycho__list list = parse_row(row);
        const tycho__old_entry entry = {.stream = list.number,
                                        .revision = list.tail_base,
                                        .source = row->rank == TYCHO__STALE ? STALE_ROW : ROW};
        int status =
            tycho__block_decode(tycho__bytes(list.tail, list.tail_size), values, list.tail_count);
        if (status != TYCHO_OK) continue;
        const tycho__old_list *old = tycho__salvage_list(s, TYCHO__STREAM, list.number);
        status = add_values(s, old, entry, values, list.tail_count);
        if (status != TYCHO_OK) return status;
    }
    return TYCHO_OK;
}

static int take_blocks(tycho_salvage *s) {
    for (size_t i = s->first[TYCHO__BLOCKS]; i < s->first[TYCHO__BLOCKS + 1]; i++) {
        uint64_t values[TYCHO__BLOCK];
        uint32_t count;
        const tycho__found *row = &s->found[i];
        const tycho__list list = {.kind = row->key[0], .number = tycho__unkey32(row->key + 1)};
        const tycho__old_entry entry = {.stream = list.number,
                                        .revision = tycho__unkey64(row->key + 5),
                                        .source = row->rank == TYCHO__STALE ? STALE_ROW : ROW};
        if (list.kind != TYCHO__STREAM) continue;
        int status = tycho__block_read(&list, entry.revision,
                                       tycho__bytes(row->value, row->value_size), values, &count);
        assert(status == TYCHO_OK);
        const tycho__old_list *old = tycho__salvage_list(s, TYCHO__STREAM, list.number);
        status = add_values(s, old, entry, values, count);
        if (status != TYCHO_OK) return status;
    }
    return TYCHO_OK;
}

static int take_pending(tycho_salvage *s) {
    uint64_t found = 0, made = s->state.links_made, settled = s->state.links_settled;
    for (size_t i = s->first[TYCHO__PENDING]; i < s->first[TYCHO__PENDING + 1]; i++) {
        tycho__pending row;
        int status = TYCHO_OK;
        if (!parse_pending(s, &s->found[i], &row)) continue;
        found += row.count;
        for (uint32_t k = 0; k < row.count && status == TYCHO_OK; k++) {
            const tycho__old_entry entry = {.stream = row.all[k].stream,
                                            .is_link = true,
                                            .position = row.all[k].position,
                                            .revision = row.all[k].revision,
                                            .link = row.link + k,
                                            .source = PENDING};
            status = add_entry(s, tycho__salvage_list(s, TYCHO__STREAM, entry.stream), &entry);
        }
        if (status != TYCHO_OK) return status;
    }
    if (!s->has_state || made <= settled || found >= made - settled) return TYCHO_OK;
    s->salvaged.entries_lost += made - settled - found;
    tycho__salvage_tell(s, "%llu links that were not settled are lost",
                        (unsigned long long)(made - settled - found));
    return TYCHO_OK;
}

static int take_homes(tycho_salvage *s) {
    for (size_t i = s->first[TYCHO__EVENTS]; i < s->first[TYCHO__EVENTS + 1]; i++) {
        tycho__event_view event;
        if (tycho__salvage_record(s, tycho__load64(s->found[i].key), &event) == NULL) break;
        if (event.stream == 0) continue;
        const tycho__old_entry entry = {.stream = event.stream,
                                        .source = RECORD,
                                        .revision = (uint64_t)event.revision,
                                        .position = event.position};
        const tycho__old_list *old = tycho__salvage_list(s, TYCHO__STREAM, event.stream);
        int status = add_entry(s, old, &entry);
        if (status != TYCHO_OK) return status;
    }
    return TYCHO_OK;
}

static int take_way_back(tycho_salvage *s, uint64_t position, const tycho__way *way, uint8_t rank) {
    const tycho__old_entry entry = {.stream = way->stream,
                                    .is_link = true,
                                    .position = position,
                                    .source = WAY_BACK,
                                    .revision = way->revision,
                                    .link = way->link};
    bool is_likely = position > 0 && position <= s->head && way->revision < UINT32_MAX &&
                     way->link < UINT64_MAX / 2;
    const tycho__old_list *stream = tycho__salvage_list(s, TYCHO__STREAM, way->stream);
    if (is_likely && stream != NULL) return add_entry(s, stream, &entry);
    if (rank != TYCHO__IN_TREE) return TYCHO_OK;
    s->salvaged.entries_lost++;
    tycho__salvage_tell(s, "the link of the event at position %llu into stream %u is left out",
                        (unsigned long long)position, way->stream);
    return TYCHO_OK;
}

static int take_ways_back(tycho_salvage *s) {
    int status = TYCHO_OK;
    for (size_t i = s->first[TYCHO__LINKS]; i < s->first[TYCHO__LINKS + 1]; i++) {
        tycho__ways ways;
        parse_ways(&s->found[i], &ways);
        for (uint32_t k = 0; k < ways.count && status == TYCHO_OK; k++) {
            status = take_way_back(s, ways.positions[k], &ways.all[k], s->found[i].rank);
        }
        if (status != TYCHO_OK) return status;
    }
    return TYCHO_OK;
}

/* ---------------------------------------------------------------- choosing */

static int compare_by(const tycho__old_entry *x, const tycho__old_entry *y, uint64_t a,
                      uint64_t b) {
    if (x->stream != y->stream) return x->stream < y->stream ? -1 : 1;
    if (a != b) return a < b ? -1 : 1;
    return (int)x->source - (int)y->source;
}

static int by_revision(const void *a, const void *b) {
    const tycho__old_entry *x = a, *y = b;
    return compare_by(x, y, x->revision, y->revision);
}

static int by_position(const void *a, const void *b) {
    const tycho__old_entry *x = a, *y = b;
    return compare_by(x, y, x->position, y->position);
}

static void sort_entries(tycho_salvage *s, int (*compare)(const void *, const void *)) {
    if (s->entry_count > 1) qsort(s->entries, s->entry_count, sizeof *s->entries, compare);
}

/* Whether the event of an entry is there and fits. */
static bool has_event(const tycho_salvage *s, const tycho__old_entry *entry) {
    tycho__event_view event;
    if (tycho__salvage_record(s, entry->position, &event) == NULL) return false;
    bool is_home = event.stream == entry->stream && event.revision == (int64_t)entry->revision;
    return entry->is_link || is_home;
}

/* How many settled entries of a stream its rows have; `end` is behind its candidates. */
static uint64_t count_rows(const tycho_salvage *s, size_t begin, size_t end, uint64_t next) {
    uint64_t count = 0;
    for (size_t i = begin; i < end; i++) {
        const tycho__old_entry *entry = &s->entries[i];
        count += entry->source == ROW && entry->position != 0 && entry->revision < next;
    }
    return count;
}

/* Puts the best of the candidates of one revision in front: of those of the best source, which are
** first, one whose event fits. */
static void put_best_first(const tycho_salvage *s, tycho__old_entry *from, size_t count) {
    size_t best = 0, end = 1;
    while (end < count && from[end].source == from[0].source) end++;
    while (best < end && !has_event(s, &from[best])) best++;
    if (best == end) return;
    tycho__old_entry entry = from[best];
    from[best] = from[0];
    from[0] = entry;
}

/* The candidates of one revision: what is known of the first, the number of the link, becomes
** complete. False when the stream has nothing there. */
static bool choose(tycho__old_entry *from, size_t count, uint64_t settled, bool is_whole) {
    for (size_t i = 1; i < count; i++) {
        bool is_same = from[i].position == from[0].position && from[i].is_link == from[0].is_link;
        if (is_same && from[0].link == 0) from[0].link = from[i].link;
    }
    if (from[0].position == 0) return false;
    return from[0].source == ROW || from[0].revision >= settled || !is_whole;
}

static void tell_entry(tycho_salvage *s, const tycho__old_list *list,
                       const tycho__old_entry *entry) {
    char made[64];
    tycho__event_view event;
    tycho_bytes name = tycho__salvage_name(list, made);
    bool is_there = tycho__salvage_record(s, entry->position, &event) != NULL;
    s->salvaged.entries_lost++;
    tycho__salvage_tell(s, "stream \"%.*s\" loses revision %llu: the event at position %llu is %s",
                        (int)name.size, (const char *)name.data,
                        (unsigned long long)entry->revision, (unsigned long long)entry->position,
                        is_there ? "not of it" : "lost");
}

/* Of the candidates of one revision, the ways back that lead to another entry than the chosen one,
** or to none; in a stream of which all entries are known. */
static void tell_ways(tycho_salvage *s, const tycho__old_list *list, size_t begin, size_t end,
                      bool is_chosen) {
    for (size_t i = begin; i < end; i++) {
        const tycho__old_entry *entry = &s->entries[i], *chosen = &s->entries[begin];
        bool is_right = is_chosen && chosen->is_link && chosen->position == entry->position;
        if (entry->source != WAY_BACK || is_right) continue;
        tell_entry(s, list, entry);
    }
}

/* Keeps one entry for each revision of the stream whose candidates these are. */
static size_t choose_stream(tycho_salvage *s, size_t begin, size_t end, size_t kept) {
    const tycho__old_list *list = tycho__salvage_list(s, TYCHO__STREAM, s->entries[begin].stream);
    uint64_t settled = list->is_row ? list->next : 0;
    const size_t kept_before = kept;
    bool is_whole = list->is_row && count_rows(s, begin, end, settled) == list->count;
    if (!is_whole) {
        char made[64];
        tycho_bytes name = tycho__salvage_name(list, made);
        tycho__salvage_tell(s,
                            "stream \"%.*s\": its entries are lost in part, and made anew from "
                            "its events; what was taken out of it may be back",
                            (int)name.size, (const char *)name.data);
    }
    for (size_t i = begin; i < end;) {
        size_t next = i + 1;
        while (next < end && s->entries[next].revision == s->entries[i].revision) next++;
        put_best_first(s, &s->entries[i], next - i);
        bool is_chosen = choose(&s->entries[i], next - i, settled, is_whole);
        if (is_whole) tell_ways(s, list, i, next, is_chosen);
        if (is_chosen && has_event(s, &s->entries[i])) {
            s->entries[kept++] = s->entries[i];
        } else if (is_chosen) {
            tell_entry(s, list, &s->entries[i]);
        }
        i = next;
    }
    if (kept > kept_before && s->entries[kept_before].revision < list->first) {
        tycho__salvage_tell(s, "stream \"%.*s\" has revision %llu, but is cut off up to %llu",
                            (int)list->name_size, (const char *)list->name,
                            (unsigned long long)s->entries[kept_before].revision,
                            (unsigned long long)list->first);
    }
    return kept;
}

/* No event is twice in a stream: of two entries the one of the better source stays. */
static void drop_doubles(tycho_salvage *s) {
    size_t kept = 0;
    sort_entries(s, by_position);
    for (size_t i = 0; i < s->entry_count; i++) {
        const tycho__old_entry *last = kept > 0 ? &s->entries[kept - 1] : NULL;
        bool is_double = last != NULL && last->stream == s->entries[i].stream &&
                         last->position == s->entries[i].position;
        if (!is_double) s->entries[kept++] = s->entries[i];
    }
    s->entry_count = kept;
    sort_entries(s, by_revision);
}

int tycho__salvage_streams(tycho_salvage *s) {
    int status = take_lists(s);
    if (status == TYCHO_OK) status = need_lists(s);
    if (status == TYCHO_OK) tell_strays(s);
    if (status == TYCHO_OK) status = take_tails(s);
    if (status == TYCHO_OK) status = take_blocks(s);
    if (status == TYCHO_OK) status = take_pending(s);
    if (status == TYCHO_OK) status = take_homes(s);
    if (status == TYCHO_OK) status = take_ways_back(s);
    if (status != TYCHO_OK) return status;
    sort_entries(s, by_revision);
    size_t kept = 0;
    for (size_t begin = 0; begin < s->entry_count;) {
        size_t end = begin + 1;
        while (end < s->entry_count && s->entries[end].stream == s->entries[begin].stream) end++;
        kept = choose_stream(s, begin, end, kept);
        begin = end;
    }
    s->entry_count = kept;
    drop_doubles(s);
    return TYCHO_OK;
}
