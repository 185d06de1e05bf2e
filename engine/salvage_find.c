/* salvage_find.c - finding rows in a damaged data file; see salvage.h.
**
** First the trees of the newest snapshot are walked. Then every page that they did not reach is
** read, and every page that is damaged: rows of leaf pages whose bounds are right, else whatever
** lies at an even place and proves by its own checksum that it is a row.
*/
#include <stdlib.h>

#include "salvage.h"
#include "ways.h"

static int no_memory(void) {
    return tycho__fail(TYCHO_NO_MEMORY, "no memory to salvage a store");
}

int tycho__salvage_grow(void **array, size_t count, size_t *room, size_t size) {
    if (count < *room) return TYCHO_OK;
    size_t wanted = *room == 0 ? 1024 : *room * 2;
    void *grown = realloc(*array, wanted * size);
    if (grown == NULL) return no_memory();
    *array = grown;
    *room = wanted;
    return TYCHO_OK;
}

/* ---------------------------------------------------------------- what a row is */

static bool is_state(tycho_bytes key, tycho_bytes value) {
    const uint8_t *at = value.data;
    return tycho__equal(key, tycho__bytes("state", 5)) && value.size == sizeof(tycho__state) &&
           tycho__load64(at) - TYCHO__FORMAT_PLAIN <= TYCHO__FORMAT - TYCHO__FORMAT_PLAIN &&
           tycho__load64(at + offsetof(tycho__state, checksum)) ==
               tycho__hash(at, offsetof(tycho__state, checksum), 0);
}

static bool is_event(tycho_bytes key, tycho_bytes value) {
    tycho__event_view view;
    if (key.size != 8 || value.size < TYCHO__RECORD_FIXED) return false;
    uint64_t position = tycho__load64(key.data);
    /* Cheap first: pages without a head are tried at every place. */
    return position > 0 && tycho__load64((const uint8_t *)value.data + 8) == position &&
           tycho__record_read(value, position, &view) == TYCHO_OK;
}

static bool is_list(tycho_bytes key, tycho_bytes value) {
    tycho__list list;
    const uint8_t *at = key.data;
    if (key.size != TYCHO__LIST_KEY || at[0] == 0 || at[0] >= TYCHO__KINDS) return false;
    return tycho__list_parse(&list, at[0], tycho__unkey32(at + 1), value) == TYCHO_OK;
}

static bool is_block(tycho_bytes key, tycho_bytes value) {
    const uint8_t *at = key.data;
    uint64_t values[TYCHO__BLOCK];
    uint32_t count;
    if (key.size != TYCHO__BLOCK_KEY || at[0] == 0 || at[0] > TYCHO__TAG) return false;
    const tycho__list list = {.kind = at[0], .number = tycho__unkey32(at + 1)};
    return tycho__block_read(&list, tycho__unkey64(at + 5), value, values, &count) == TYCHO_OK;
}

static bool is_pending(tycho_bytes key, tycho_bytes value) {
    tycho__pending row;
    return key.size == 8 && tycho__pending_parse(key, value, &row) == TYCHO_OK;
}

static bool is_ways(tycho_bytes key, tycho_bytes value) {
    tycho__ways ways;
    return tycho__ways_parse(key, value, &ways) == TYCHO_OK;
}

static bool is_row(tycho_bytes key, tycho_bytes value) {
    uint64_t version;
    tycho_bytes data;
    return key.size >= 4 && key.size <= TYCHO__ROW_KEY_MAX &&
           tycho__row_parse(key, value, &version, &data) == TYCHO_OK;
}

static bool is_name(tycho_bytes name) {
    return name.size > 0 && tycho__check_name(name, "name") == TYCHO_OK;
}

static bool is_number(tycho_bytes value) {
    return value.size == 8 && tycho__load64(value.data) > 0;
}

static bool is_route(tycho_bytes key, tycho_bytes value) {
    tycho_bytes target;
    tycho__route_parse(value, &target);
    return is_name(key) && is_name(target);
}

/* Whether a row can be one of the table. Those of the first line prove it by a checksum. */
static bool may_be(tycho__table table, tycho_bytes key, tycho_bytes value) {
    const uint8_t *at = key.data;
    if (value.data == NULL && value.size > 0) return false;
    switch (table) {
    case TYCHO__MAIN:
        return is_state(key, value);
    case TYCHO__EVENTS:
        return is_event(key, value);
    case TYCHO__LISTS:
        return is_list(key, value);
    case TYCHO__BLOCKS:
        return is_block(key, value);
    case TYCHO__PENDING:
        return is_pending(key, value);
    case TYCHO__ROWS:
        return is_row(key, value);
    case TYCHO__NAMES:
        return key.size > 1 && at[0] > 0 && at[0] < TYCHO__KINDS && value.size == 4 &&
               is_name(tycho__bytes(at + 1, key.size - 1));
    case TYCHO__LINKS:
        return is_ways(key, value);
    case TYCHO__ROUTES:
        return is_route(key, value);
    case TYCHO__CHECKPOINTS:
        return is_name(key) && is_number(value);
    case TYCHO__FENCES:
        return is_name(key) && is_number(value) && tycho__load64(value.data) >> 48 == 0;
    case TYCHO__STREAM_METADATA:
        return key.size == 4 && !is_name(key) && value.size > 0;
    default:
        return false; /* ids and garbage are made anew */
    }
}

static const tycho__table PROVED[] = {TYCHO__EVENTS,  TYCHO__LISTS, TYCHO__BLOCKS,
                                      TYCHO__PENDING, TYCHO__ROWS,  TYCHO__MAIN};
static const tycho__table LIKELY[] = {TYCHO__NAMES,  TYCHO__LINKS,       TYCHO__ROUTES,
                                      TYCHO__FENCES, TYCHO__CHECKPOINTS, TYCHO__STREAM_METADATA};
enum {
    PROVED_COUNT = sizeof PROVED / sizeof *PROVED,
    LIKELY_COUNT = sizeof LIKELY / sizeof *LIKELY
};

/* ---------------------------------------------------------------- taking rows */

static uint64_t newness(tycho__table table, tycho_bytes value) {
    const uint8_t *at = value.data;
    switch (table) {
    case TYCHO__MAIN:
        return tycho__load64(at + offsetof(tycho__state, sequence));
    case TYCHO__LISTS:
        return tycho__load64(at + 16) + tycho__load64(at + 48); /* next and highest only grow */
    case TYCHO__BLOCKS:
        return tycho__load16(at + 4);
    case TYCHO__ROWS:
        return tycho__load64(at + 8);
    default:
        return 0;
    }
}

static int take(tycho_salvage *s, tycho__table table, const tycho__node *node, uint8_t rank) {
    int status =
        tycho__salvage_grow((void **)&s->found, s->found_count, &s->found_room, sizeof *s->found);
    if (status != TYCHO_OK) return status;
    s->found[s->found_count++] = (tycho__found){.key = node->key.data,
                                                .value = node->value.data,
                                                .newness = newness(table, node->value),
                                                .value_size = (uint32_t)node->value.size,
                                                .key_size = (uint16_t)node->key.size,
                                                .table = (uint8_t)table,
                                                .rank = rank};
    return TYCHO_OK;
}

/* What is outside of the trees counts for tables that were damaged. What is stale, or has no
** checksum, is not believed as long as there is a tree. */
static bool is_wanted(const tycho_salvage *s, tycho__table table, uint8_t rank) {
    if (!s->has_tree || table == TYCHO__EVENTS || table == TYCHO__MAIN) return true;
    if (!s->is_hurt[table]) return false;
    return rank < TYCHO__STALE || table == TYCHO__LISTS || table == TYCHO__BLOCKS;
}

/* A row of a page that no tree vouches for; the first table that it may be of has it. */
static int take_loose(tycho_salvage *s, const tycho__node *node, uint8_t rank, bool has_bounds) {
    for (int i = 0; i < PROVED_COUNT; i++) {
        if (!is_wanted(s, PROVED[i], rank) || !may_be(PROVED[i], node->key, node->value)) continue;
        return take(s, PROVED[i], node, rank);
    }
    for (int i = 0; i < LIKELY_COUNT && has_bounds; i++) {
        if (!is_wanted(s, LIKELY[i], rank) || !may_be(LIKELY[i], node->key, node->value)) continue;
        return take(s, LIKELY[i], node, rank);
    }
    return TYCHO_OK;
}

static void tell_row(tycho_salvage *s, tycho__table table, tycho_bytes key) {
    char text[600];
    tycho__key_text(table, key, text, sizeof text);
    tycho__salvage_tell(s, "table %s: the row of %s is damaged", tycho__table_name(table), text);
}

/* The rows of a sound leaf page of a table. */
static int take_leaf(tycho_salvage *s, tycho__table table, uint64_t number) {
    const uint8_t *page = tycho__page(&s->image, number);
    int status = TYCHO_OK;
    if (table == TYCHO__IDS || table == TYCHO__GARBAGE) return TYCHO_OK; /* made anew */
    for (uint32_t i = 0; i < tycho__node_count(page) && status == TYCHO_OK; i++) {
        tycho__node node = tycho__node_of(&s->image, page, i);
        if ((node.flags & TYCHO__NODE_TREE) != 0) continue;
        if (may_be(table, node.key, node.value)) {
            status = take(s, table, &node, TYCHO__IN_TREE);
        } else {
            tell_row(s, table, node.key);
            s->is_hurt[table] = true;
        }
    }
    return status;
}

static void take_free(tycho_salvage *s, uint64_t number) {
    const uint8_t *page = tycho__page(&s->image, number);
    for (uint32_t i = 0; i < tycho__node_count(page); i++) {
        tycho__node node = tycho__node_of(&s->image, page, i);
        const uint8_t *at = node.value.data;
        for (uint64_t j = tycho__load64(at); j > 0; j--) {
            uint64_t free_page = tycho__load64(at + 8 * j);
            if (free_page < s->image.count) tycho__see(s->is_free, free_page);
        }
    }
}

/* ---------------------------------------------------------------- the trees */

static void note_fault(tycho_salvage *s, const tycho__inspected *at) {
    char text[1600];
    tycho__inspected_text(at, text, sizeof text);
    tycho__salvage_tell(s, "%s", text);
    s->is_hurt[at->table] = true;
    if (at->page.number < s->image.count) tycho__see(s->hurt, at->page.number);
}

/* Which tables are hurt because the main table does not have them any more. */
static void note_lost_tables(tycho_salvage *s, const tycho__inspection *inspection) {
    for (int i = TYCHO__MAIN + 1; i < TYCHO__TABLES; i++) {
        bool may_lack = i >= TYCHO__FENCES, is_there = (inspection->known >> i & 1) != 0;
        if (s->is_hurt[TYCHO__MAIN]) s->is_hurt[i] = true;
        if (is_there || may_lack || !s->is_hurt[TYCHO__MAIN]) continue;
        tycho__salvage_tell(s, "table %s: its root is lost", tycho__table_name((unsigned)i));
    }
}

static int walk_trees(tycho_salvage *s) {
    tycho__inspection inspection;
    tycho__inspected at;
    int status = tycho__inspect_meta(&inspection, &s->image, &s->meta);
    if (status != TYCHO_OK) return status;
    while (status == TYCHO_OK) {
        status = tycho__inspect_next(&inspection, &at);
        if (status != TYCHO_OK) break;
        if (at.page.fault != NULL) {
            note_fault(s, &at);
        } else if (at.page.is_leaf && at.table == TYCHO__FREE_PAGES) {
            take_free(s, at.page.number);
        } else if (at.page.is_leaf) {
            status = take_leaf(s, (tycho__table)at.table, at.page.number);
        }
    }
    note_lost_tables(s, &inspection);
    memcpy(s->in_use, inspection.seen, s->image.count / 8 + 1);
    tycho__inspect_end(&inspection);
    return status == TYCHO_END ? TYCHO_OK : status;
}

/* How new the main table is whose root a meta page names; 0: it cannot be read. The number of a
** commit alone is not believed. */
static uint64_t age_of(const tycho__image *image, const tycho__meta *meta) {
    if (meta->main.depth == 0 || tycho__page_fault(image, meta->main.root, true) != NULL) return 0;
    const uint8_t *page = tycho__page(image, meta->main.root);
    for (uint32_t i = 0; i < tycho__node_count(page); i++) {
        tycho__node node = tycho__node_of(image, page, i);
        bool is_leaf = tycho__load16(page + 10) == TYCHO__LEAF && node.value.data != NULL;
        if (is_leaf && is_state(node.key, node.value)) {
            return 2 + newness(TYCHO__MAIN, node.value);
        }
    }
    return 1; /* without a state */
}

static int find_tree(tycho_salvage *s) {
    tycho__meta metas[2] = {{.last = 0}, {.last = 0}};
    bool is_good[2];
    for (uint64_t i = 0; i < 2; i++) {
        is_good[i] = tycho__meta_read(&s->image, i, &metas[i]);
        if (!is_good[i]) tycho__salvage_tell(s, "meta page %u is damaged", (unsigned)i);
    }
    s->first_page = is_good[0] ? is_good[1] ? 2 : 1 : 0;
    uint64_t ages[2];
    for (int i = 0; i < 2; i++) {
        ages[i] = is_good[i] ? age_of(&s->image, &metas[i]) : 0;
        if (is_good[i] && ages[i] == 0) {
            tycho__salvage_tell(s, "the main table of commit %llu is lost",
                                (unsigned long long)metas[i].commit);
        }
    }
    uint64_t commits[2] = {metas[0].commit, metas[1].commit};
    bool is_sequel = commits[0] - commits[1] == 1 || commits[1] - commits[0] == 1;
    bool is_second = is_sequel ? commits[1] > commits[0] : ages[1] > ages[0];
    if (ages[0] == 0 || ages[1] == 0) is_second = ages[1] > 0;
    int newer = is_second ? 1 : 0;
    s->has_tree = ages[newer] > 0;
    s->is_older = !is_good[1 - newer] || (is_sequel && commits[1 - newer] > commits[newer]);
    if (s->has_tree) s->meta = metas[newer];
    if (s->has_tree && s->is_older) {
        tycho__salvage_tell(s, "commit %llu is the last one that can be read",
                            (unsigned long long)s->meta.commit);
        s->is_hurt[TYCHO__LISTS] = s->is_hurt[TYCHO__BLOCKS] = true;
    }
    if (s->has_tree) return walk_trees(s);
    tycho__salvage_tell(s, "no tree can be read: rows may be older than they were, or removed");
    memset(s->is_hurt, 1, sizeof s->is_hurt);
    return TYCHO_OK;
}

/* ---------------------------------------------------------------- all other pages */

/* Of whose making the content of a page is: a swapped one keeps the number that it had. */
static uint8_t rank_of(const tycho_salvage *s, uint64_t number) {
    uint64_t own = tycho__load64(tycho__page(&s->image, number));
    if (!s->has_tree || s->is_hurt[TYCHO__FREE_PAGES]) return TYCHO__STALE;
    bool is_moved = own >= 2 && own < s->image.count && own != number;
    return tycho__is_seen(s->is_free, is_moved ? own : number) ? TYCHO__STALE : TYCHO__ORPHAN;
}

/* Rows at any even place of a page that prove what they are. */
static int scan_places(tycho_salvage *s, uint64_t number, uint8_t rank, bool is_log) {
    const uint8_t *page = tycho__page(&s->image, number);
    int status = TYCHO_OK;
    for (uint32_t place = 0; place < s->image.page_size && status == TYCHO_OK; place += 2) {
        tycho__node node;
        bool is_node = tycho__node_at(&s->image, page, place, &node) && node.key.size >= 4 &&
                       node.key.size <= TYCHO__KEY_SIZE_MAX && node.value.size > 0 &&
                       node.value.data != NULL && (node.flags & ~TYCHO__NODE_BIG) == 0;
        if (!is_node) continue;
        if (!is_log) status = take_loose(s, &node, rank, false);
        if (is_log && is_event(node.key, node.value)) status = take(s, TYCHO__EVENTS, &node, rank);
    }
    return status;
}

/* The rows of a page that is in no tree; of all that it has, where its bounds are wrong. */
static int scan_page(tycho_salvage *s, uint64_t number) {
    const uint8_t *page = tycho__page(&s->image, number);
    uint8_t rank = rank_of(s, number);
    int status = TYCHO_OK;
    bool is_sound = tycho__page_fault(&s->image, number, false) == NULL;
    if (!is_sound) return scan_places(s, number, rank, false);
    if (tycho__load16(page + 10) == TYCHO__BRANCH) return TYCHO_OK;
    for (uint32_t i = 0; i < tycho__node_count(page) && status == TYCHO_OK; i++) {
        tycho__node node = tycho__node_of(&s->image, page, i);
        if ((node.flags & TYCHO__NODE_TREE) == 0) status = take_loose(s, &node, rank, true);
    }
    return status;
}

static int scan_pages(tycho_salvage *s) {
    bool is_whole = true;
    for (int i = 0; i < TYCHO__TREES; i++) is_whole = is_whole && !s->is_hurt[i];
    if (s->has_tree && is_whole && !s->is_older) return TYCHO_OK;
    for (uint64_t page = s->first_page; page < s->image.count; page++) {
        bool is_hurt = tycho__is_seen(s->hurt, page), is_free = tycho__is_seen(s->is_free, page);
        if (tycho__is_seen(s->in_use, page) && !is_hurt && !is_free) continue;
        int status = scan_page(s, page);
        if (status != TYCHO_OK) return status;
    }
    return TYCHO_OK;
}

/* The last resort for events that are nowhere else: what was left behind in the room of pages. Not
** in overflow pages that are in use, whose bytes are those of events. */
static int scan_remains(tycho_salvage *s) {
    for (uint64_t page = s->first_page; page < s->image.count; page++) {
        uint32_t kind = tycho__load16(tycho__page(&s->image, page) + 10);
        bool has_nodes = kind == TYCHO__LEAF || kind == TYCHO__BRANCH;
        if (tycho__is_seen(s->in_use, page) && !has_nodes) continue;
        int status = scan_places(s, page, TYCHO__REMAINS, true);
        if (status != TYCHO_OK) return status;
    }
    return TYCHO_OK;
}

/* ---------------------------------------------------------------- one row per key */

static int compare_keys(const tycho__found *a, const tycho__found *b) {
    if (a->table != b->table) return a->table < b->table ? -1 : 1;
    if (a->table == TYCHO__EVENTS) {
        uint64_t x = tycho__load64(a->key), y = tycho__load64(b->key);
        return x < y ? -1 : x > y;
    }
    int order = memcmp(a->key, b->key, a->key_size < b->key_size ? a->key_size : b->key_size);
    return order != 0 ? order : (int)a->key_size - (int)b->key_size;
}

static int compare_found(const void *a, const void *b) {
    const tycho__found *x = a, *y = b;
    int order = compare_keys(x, y);
    if (order != 0) return order;
    if (x->rank != y->rank) return (int)x->rank - (int)y->rank;
    return x->newness > y->newness ? -1 : x->newness < y->newness;
}

static void tell_versions(tycho_salvage *s, const tycho__found *kept, const tycho__found *other) {
    if (kept->table != TYCHO__EVENTS || kept->rank == TYCHO__IN_TREE || kept->rank != other->rank) {
        return;
    }
    if (kept->value_size == other->value_size &&
        memcmp(kept->value, other->value, kept->value_size) == 0) {
        return;
    }
    tycho__salvage_tell(s, "position %llu: two versions of it were found, one is taken",
                        (unsigned long long)tycho__load64(kept->key));
}

static void keep_best(tycho_salvage *s) {
    size_t kept = 0;
    if (s->found_count > 1) qsort(s->found, s->found_count, sizeof *s->found, compare_found);
    for (size_t i = 0; i < s->found_count; i++) {
        if (kept > 0 && compare_keys(&s->found[kept - 1], &s->found[i]) == 0) {
            tell_versions(s, &s->found[kept - 1], &s->found[i]);
        } else {
            s->found[kept++] = s->found[i];
        }
    }
    s->found_count = kept;
    size_t at = 0;
    for (unsigned table = 0; table <= TYCHO__TABLES; table++) {
        while (at < kept && s->found[at].table < table) at++;
        s->first[table] = at;
    }
}

const tycho__found *tycho__salvage_row(const tycho_salvage *s, tycho__table table,
                                       tycho_bytes key) {
    size_t low = s->first[table], high = s->first[table + 1];
    const tycho__found wanted = {
        .key = key.data, .key_size = (uint16_t)key.size, .table = (uint8_t)table};
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare_keys(&s->found[middle], &wanted);
        if (order == 0) return &s->found[middle];
        if (order < 0) low = middle + 1;
        if (order > 0) high = middle;
    }
    return NULL;
}

const tycho__found *tycho__salvage_record(const tycho_salvage *s, uint64_t position,
                                          tycho__event_view *event) {
    uint8_t key[8];
    tycho__store64(key, position);
    const tycho__found *row = tycho__salvage_row(s, TYCHO__EVENTS, tycho__bytes(key, sizeof key));
    if (row == NULL || position > s->head) return NULL;
    int status = tycho__record_parse(tycho__bytes(row->value, row->value_size), event);
    assert(status == TYCHO_OK);
    (void)status;
    return row;
}

/* ---------------------------------------------------------------- all of it */

/* The state; without one, or with an older one, the log says how far it goes. */
static void find_head(tycho_salvage *s) {
    const tycho__found *row = tycho__salvage_row(s, TYCHO__MAIN, tycho__bytes("state", 5));
    s->has_state = row != NULL;
    if (row != NULL) memcpy(&s->state, row->value, sizeof s->state);
    s->head = s->state.head;
    bool is_last = row != NULL && row->rank == TYCHO__IN_TREE && !s->is_older;
    size_t end = s->first[TYCHO__EVENTS + 1];
    if (is_last || end == s->first[TYCHO__EVENTS]) return;
    uint64_t last = tycho__load64(s->found[end - 1].key);
    if (last > s->head) s->head = last;
}

static uint64_t count_events(const tycho_salvage *s) {
    uint64_t count = 0;
    for (size_t i = s->first[TYCHO__EVENTS]; i < s->first[TYCHO__EVENTS + 1]; i++) {
        count += tycho__load64(s->found[i].key) <= s->head;
    }
    return count;
}

/* Old copies of pages have old versions of overwritten events, and what was never committed. */
static void tell_old_events(tycho_salvage *s) {
    for (size_t i = s->first[TYCHO__EVENTS]; i < s->first[TYCHO__EVENTS + 1]; i++) {
        uint64_t position = tycho__load64(s->found[i].key);
        if (s->found[i].rank == TYCHO__IN_TREE && position > s->head) {
            tycho__salvage_tell(s, "position %llu: its event is left out, the head is %llu",
                                (unsigned long long)position, (unsigned long long)s->head);
        }
        if (s->found[i].rank < TYCHO__STALE || position > s->head) continue;
        tycho__salvage_tell(s, "position %llu: its event was found in an old copy of a page",
                            (unsigned long long)position);
    }
}

/* Notes which dictionaries there are. Their table is found by its row, or its name, as any list. */
static void find_dictionaries(const tycho_salvage *s, bool has[TYCHO__DICTIONARIES + 1]) {
    uint32_t table = 0;
    for (size_t i = s->first[TYCHO__LISTS]; i < s->first[TYCHO__LISTS + 1]; i++) {
        const tycho__found *row = &s->found[i];
        tycho__list list;
        if (row->key[0] != TYCHO__ROW_TABLE) continue;
        int status = tycho__list_parse(&list, TYCHO__ROW_TABLE, tycho__unkey32(row->key + 1),
                                       tycho__bytes(row->value, row->value_size));
        if (status != TYCHO_OK || !tycho__equal(list.name, tycho__dictionaries())) continue;
        table = list.number;
    }
    uint8_t name[64] = {TYCHO__ROW_TABLE};
    tycho_bytes key = {name, 1 + tycho__dictionaries().size};
    tycho__copy(name + 1, tycho__dictionaries());
    const tycho__found *named = tycho__salvage_row(s, TYCHO__NAMES, key);
    if (table == 0 && named != NULL) table = tycho__load32(named->value);
    for (size_t i = s->first[TYCHO__ROWS]; i < s->first[TYCHO__ROWS + 1] && table != 0; i++) {
        const tycho__found *row = &s->found[i];
        if (tycho__unkey32(row->key) == table && row->key_size == 6) has[row->key[4]] = true;
    }
}

/* An event whose dictionary is lost cannot be read any more: it is taken for lost as a whole. */
static void drop_unreadable(tycho_salvage *s) {
    bool has[TYCHO__DICTIONARIES + 1] = {false};
    uint64_t lost = 0;
    find_dictionaries(s, has);
    size_t end = s->first[TYCHO__EVENTS + 1], kept = s->first[TYCHO__EVENTS];
    for (size_t i = kept; i < end; i++) {
        tycho__event_view event;
        uint32_t number = 0;
        size_t size;
        const tycho__found *row = &s->found[i];
        int status = tycho__record_parse(tycho__bytes(row->value, row->value_size), &event);
        bool is_plain = status == TYCHO_OK && (event.flags & TYCHO__COMPRESSED) == 0;
        if (is_plain || (tycho__compressed_facts(&event, &number, &size) == TYCHO_OK &&
                         has[number])) {
            s->found[kept++] = *row;
        } else {
            lost++;
        }
    }
    if (lost == 0) return;
    memmove(&s->found[kept], &s->found[end], (s->found_count - end) * sizeof *s->found);
    s->found_count -= end - kept;
    for (unsigned table = TYCHO__EVENTS + 1; table <= TYCHO__TABLES; table++) {
        s->first[table] -= end - kept;
    }
    tycho__salvage_tell(s, "%llu events cannot be read, because their dictionaries are lost",
                        (unsigned long long)lost);
}

int tycho__salvage_find(tycho_salvage *s, const char *path) {
    int status = tycho__image_open(&s->image, path, 0);
    if (status != TYCHO_OK) return status;
    size_t size = s->image.count / 8 + 1;
    s->in_use = calloc(1, size);
    s->is_free = calloc(1, size);
    s->hurt = calloc(1, size);
    if (s->in_use == NULL || s->is_free == NULL || s->hurt == NULL) return no_memory();
    status = find_tree(s);
    if (status == TYCHO_OK) status = scan_pages(s);
    if (status != TYCHO_OK) return status;
    keep_best(s);
    find_head(s);
    if (count_events(s) < s->head) {
        status = scan_remains(s);
        if (status != TYCHO_OK) return status;
        keep_best(s);
        find_head(s);
    }
    drop_unreadable(s);
    tell_old_events(s);
    return TYCHO_OK;
}
