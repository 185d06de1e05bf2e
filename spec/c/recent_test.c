/* recent_test.c - what is not settled yet, seen through snapshots of different age: each sees its
** own past and nothing else, while commits go on, batches are refused, the object is made anew
** from the log, and everything is settled. (Builds with sanitizers settle every few events by
** themselves, so each snapshot has its own beginning, too.)
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "list.h"
#include "random_values.h"
#include "settle.h"
#include "store.h"
#include "store_values.h"

enum { STREAMS = 3, TYPES = 2, TAGS = 2, LISTS = STREAMS + TYPES + TAGS };
enum { COMMITS = 300, EVENTS_MAX = 3 * COMMITS, ENTRIES_MAX = 2 * EVENTS_MAX, SNAPSHOTS = 12 };

typedef struct model_entry {
    uint64_t ordinal, value;
    uint64_t link; /* 0: an appended event */
} model_entry;

typedef struct model_list {
    uint8_t kind;
    const char *name;
    uint32_t count;
    model_entry entries[ENTRIES_MAX];
} model_list;

typedef struct model_link {
    uint64_t position, revision;
    int stream;
} model_link;

/* What a snapshot must see for ever: so many of everything. */
typedef struct view {
    tycho__txn *txn;
    uint32_t counts[LISTS];
    uint64_t head, links;
} view;

typedef struct fixture {
    tycho_store *store;
    tycho_batch *batch;
    model_list lists[LISTS];
    model_link links[EVENTS_MAX + 1];
    uint64_t head, link_count;
    bool is_linked[EVENTS_MAX + 1][STREAMS];
    view views[SNAPSHOTS];
    size_t view_count;
} fixture;

static int set_up(void **state) {
    static const model_list lists[LISTS] = {
        {.kind = TYCHO__STREAM, .name = "s0"}, {.kind = TYCHO__STREAM, .name = "s1"},
        {.kind = TYCHO__STREAM, .name = "s2"}, {.kind = TYCHO__TYPE, .name = "t0"},
        {.kind = TYCHO__TYPE, .name = "t1"},   {.kind = TYCHO__TAG, .name = "g0"},
        {.kind = TYCHO__TAG, .name = "g1"},
    };
    fixture *f = calloc(1, sizeof *f);
    if (f == NULL || open_store(NULL, TYCHO_TEMPORARY, &f->store) != TYCHO_OK) return -1;
    memcpy(f->lists, lists, sizeof lists);
    *state = f;
    return tycho_batch_create(&f->batch);
}

static int tear_down(void **state) {
    fixture *f = *state;
    for (size_t i = 0; i < f->view_count; i++) tycho__txn_done(f->views[i].txn);
    assert_clean(f->store);
    tycho_batch_destroy(f->batch);
    tycho_store_close(f->store);
    free(f);
    return 0;
}

/* ---------------------------------------------------------------- writing, with the model */

/* Every third id is a UUID. */
static tycho_bytes id_of(uint64_t position, char to[TYCHO_UUID_SIZE + 1]) {
    const char *format = position % 3 == 0 ? "00000000-0000-7000-8000-%012llu" : "event-%llu";
    snprintf(to, TYCHO_UUID_SIZE + 1, format, (unsigned long long)position);
    return text(to);
}

static void note(fixture *f, int list, uint64_t ordinal, uint64_t value, uint64_t link) {
    model_list *to = &f->lists[list];
    to->entries[to->count++] = (model_entry){ordinal, value, link};
}

static void add_event(fixture *f) {
    char id[TYCHO_UUID_SIZE + 1];
    uint64_t position = ++f->head;
    int stream = (int)below(STREAMS), type = STREAMS + (int)below(TYPES);
    int tag = STREAMS + TYPES + (int)below(TAGS);
    const tycho_bytes tags[] = {text(f->lists[tag].name)};
    const tycho_new_event event = {.id = id_of(position, id),
                                   .type = text(f->lists[type].name),
                                   .tags = tags,
                                   .tag_count = position % 4 == 0 ? 0 : 1};
    ASSERT_STATUS(
        tycho_batch_append(f->batch, text(f->lists[stream].name), TYCHO_EXPECT_ANY, &event, 1, 0),
        TYCHO_OK);
    note(f, stream, f->lists[stream].count, position << 1, 0);
    note(f, type, position, position << 1, 0);
    if (event.tag_count > 0) note(f, tag, position, position << 1, 0);
    f->is_linked[position][stream] = true;
}

/* Links some older event, or one of this very batch, where it is not yet. */
static void add_link(fixture *f) {
    char text_of_id[TYCHO_UUID_SIZE + 1];
    uint64_t position = 1 + below(f->head);
    int stream = (int)below(STREAMS);
    if (f->is_linked[position][stream] || f->link_count == EVENTS_MAX) return;
    tycho_bytes id = id_of(position, text_of_id);
    ASSERT_STATUS(
        tycho_batch_link(f->batch, text(f->lists[stream].name), TYCHO_EXPECT_ANY, &id, 1, 0),
        TYCHO_OK);
    uint64_t revision = f->lists[stream].count;
    f->links[++f->link_count] = (model_link){position, revision, stream};
    note(f, stream, revision, position << 1 | 1, f->link_count);
    f->is_linked[position][stream] = true;
}

static void commit_some(fixture *f) {
    tycho_batch_clear(f->batch);
    for (uint64_t i = below(3); i < 3; i++) {
        add_event(f);
        if (below(2) == 0) add_link(f);
    }
    ASSERT_STATUS(tycho_commit(f->store, f->batch, NULL), TYCHO_OK);
}

/* A batch that adds entries and is refused by its last operation. */
static void commit_refused(fixture *f) {
    const tycho_bytes unknown = text("unknown");
    const tycho_new_event event = {.id = text("refused"), .type = text("t0")};
    tycho_batch_clear(f->batch);
    ASSERT_STATUS(tycho_batch_append(f->batch, text("s0"), TYCHO_EXPECT_ANY, &event, 1, 0), 0);
    ASSERT_STATUS(tycho_batch_link(f->batch, text("s1"), TYCHO_EXPECT_ANY, &event.id, 1, 0), 0);
    ASSERT_STATUS(tycho_batch_link(f->batch, text("s1"), TYCHO_EXPECT_ANY, &unknown, 1, 0), 0);
    ASSERT_STATUS(tycho_commit(f->store, f->batch, NULL), TYCHO_EVENT_NOT_FOUND);
}

static bool is_recent(const view *v) {
    return v->txn->generations[0] != NULL || v->txn->generations[1] != NULL;
}

static bool is_other(const view *v, const view *w) {
    return v->txn->generations[0] != w->txn->generations[0] ||
           v->txn->generations[1] != w->txn->generations[1];
}

static view *take_view(fixture *f) {
    assert_true(f->view_count < SNAPSHOTS);
    view *v = &f->views[f->view_count++];
    ASSERT_STATUS(tycho__txn_read(f->store->env, &v->txn), TYCHO_OK);
    ASSERT_STATUS(tycho__recent_need(v->txn), TYCHO_OK);
    for (int i = 0; i < LISTS; i++) v->counts[i] = f->lists[i].count;
    v->head = f->head;
    v->links = f->link_count;
    return v;
}

/* ---------------------------------------------------------------- looking */

static uint32_t number_of(const view *v, const model_list *list) {
    uint32_t number = 0;
    int status = tycho__list_find(v->txn, list->kind, text(list->name), &number);
    assert_true(status == TYCHO_OK || status == TYCHO_NOT_FOUND);
    return number;
}

/* What is settled, when that is being settled too which is `moved`. */
static uint64_t settled_links(const view *v, bool is_moved) {
    return v->txn->state.links_settled + (is_moved ? v->txn->state.links_settling : 0);
}

static uint64_t settled_events(const view *v, bool is_moved) {
    return v->txn->state.settled + (is_moved ? v->txn->state.settling : 0);
}

static bool is_moved(const view *v, uint64_t kind, uint64_t number) {
    const tycho__state *state = &v->txn->state;
    return kind < state->moved_kind || (kind == state->moved_kind && number <= state->moved_number);
}

/* How many entries of a list were settled when the snapshot was taken: those are not recent. */
static uint32_t settled_of(const view *v, const model_list *list) {
    bool moved = is_moved(v, list->kind, number_of(v, list));
    uint32_t count = 0;
    for (; count < list->count; count++) {
        const model_entry *entry = &list->entries[count];
        bool is_settled = entry->link != 0 ? entry->link <= settled_links(v, moved)
                                           : entry->value >> 1 <= settled_events(v, moved);
        if (!is_settled) break;
    }
    return count;
}

/* The first entry behind `first` that is in the newest generation. */
static uint32_t frozen_until(const view *v, const model_list *list, uint32_t first, uint32_t end) {
    uint32_t frozen = first;
    for (; frozen < end; frozen++) {
        const model_entry *entry = &list->entries[frozen];
        bool is_frozen = entry->link != 0 ? entry->link <= settled_links(v, true)
                                          : entry->value >> 1 <= settled_events(v, true);
        if (!is_frozen) break;
    }
    return frozen;
}

static void check_run(const view *v, const model_list *list, uint32_t number, uint32_t visible,
                      uint64_t ordinal) {
    tycho__recent_run run;
    uint32_t settled = settled_of(v, list);
    for (int forward = 0; forward < 2; forward++) {
        uint32_t first = settled, end = visible;
        if (forward) {
            while (first < end && list->entries[first].ordinal < ordinal) first++;
            uint32_t frozen = frozen_until(v, list, settled, visible);
            if (first < frozen) end = frozen;
            if (end - first > TYCHO__RUN) end = first + TYCHO__RUN;
        } else {
            while (end > first && list->entries[end - 1].ordinal > ordinal) end--;
            uint32_t frozen = frozen_until(v, list, settled, visible);
            if (end > frozen) first = frozen;
            if (end - first > TYCHO__RUN) first = end - TYCHO__RUN;
        }
        const tycho__recent_wanted wanted = {list->kind, number, forward, ordinal};
        tycho__recent_find(v->txn, &wanted, &run);
        assert_int_equal(run.count, end - first);
        if (run.count > 0) assert_int_equal(run.base, list->entries[first].ordinal);
        for (uint32_t i = 0; i < run.count; i++) {
            assert_int_equal(run.values[i], list->entries[first + i].value);
        }
    }
}

static void check_lists(const fixture *f, const view *v) {
    for (int i = 0; i < LISTS; i++) {
        const model_list *list = &f->lists[i];
        uint32_t number = number_of(v, list), visible = v->counts[i];
        assert_int_equal(tycho__recent_count(v->txn, list->kind, number),
                         visible - settled_of(v, list));
        check_run(v, list, number, visible, 0);
        check_run(v, list, number, visible, UINT64_MAX);
        for (int j = 0; j < 40; j++) {
            check_run(v, list, number, visible, below(f->head + f->link_count + 3));
        }
    }
}

static void check_ids(const fixture *f, const view *v) {
    for (uint64_t position = 1; position <= f->head; position++) {
        char id_text[TYCHO_UUID_SIZE + 1];
        tycho__id id;
        tycho__id_pack(&id, id_of(position, id_text));
        tycho_bytes packed = bytes_of(id.bytes, id.size);
        uint64_t found = tycho__recent_find_id(v->txn, packed, id.is_uuid);
        bool is_recent = position <= v->head && position > v->txn->state.settled;
        assert_int_equal(found, is_recent ? position : 0);
        found = tycho__recent_find_id(v->txn, packed, !id.is_uuid);
        assert_int_equal(found, 0); /* the same bytes as an id of the other form */
    }
    tycho_bytes refused = text("refused");
    assert_int_equal(tycho__recent_find_id(v->txn, refused, false), 0);
}

static void check_ways_back(const fixture *f, const view *v) {
    for (uint64_t link = 1; link <= f->link_count; link++) {
        const model_link *expected = &f->links[link];
        uint32_t stream = number_of(v, &f->lists[expected->stream]);
        bool moved = is_moved(v, TYCHO__WAYS, expected->position);
        tycho__way way;
        bool is_found =
            stream != 0 && tycho__recent_find_way(v->txn, expected->position, stream, &way);
        assert_int_equal(is_found, link <= v->links && link > settled_links(v, moved));
        if (!is_found) continue;
        assert_int_equal(way.stream, stream);
        assert_int_equal(way.revision, expected->revision);
        assert_int_equal(way.link, link);
        assert_false(tycho__recent_find_way(v->txn, expected->position, stream + 99, &way));
    }
}

static void check_views(const fixture *f) {
    for (size_t i = 0; i < f->view_count; i++) {
        const view *v = &f->views[i];
        if (!is_recent(v)) continue;
        check_lists(f, v);
        check_ids(f, v);
        check_ways_back(f, v);
    }
}

/* What the entries of a list are, wherever they lie. */
static void check_entries(const fixture *f, const view *v) {
    for (int i = 0; i < LISTS; i++) {
        tycho__entries entries;
        tycho__list list;
        tycho__entry entry;
        uint64_t at = 0;
        ASSERT_STATUS(tycho__list_open(v->txn, f->lists[i].kind, text(f->lists[i].name), &list),
                      TYCHO_OK);
        assert_int_equal(list.count, v->counts[i]);
        tycho__entries_begin(&entries, v->txn, &list);
        for (uint32_t j = 0; j < v->counts[i]; j++, at = entry.ordinal + 1) {
            ASSERT_STATUS(tycho__entries_from(&entries, at, &entry), TYCHO_OK);
            assert_int_equal(entry.ordinal, f->lists[i].entries[j].ordinal);
            assert_int_equal(entry.position, f->lists[i].entries[j].value >> 1);
            assert_int_equal(entry.is_link, f->lists[i].entries[j].value & 1);
        }
        ASSERT_STATUS(tycho__entries_from(&entries, at, &entry), TYCHO_END);
    }
}

/* ---------------------------------------------------------------- the tests */

static void every_snapshot_sees_its_own_past(void **state) {
    fixture *f = *state;
    start_random();
    take_view(f);
    for (int i = 0; i < COMMITS; i++) {
        commit_some(f);
        if (i % 30 == 7) take_view(f);
        if (i % 100 == 50) check_views(f);
    }
    check_views(f);
    for (size_t i = 0; i < f->view_count; i++) check_entries(f, &f->views[i]);
}

static void refused_batches_leave_no_trace(void **state) {
    fixture *f = *state;
    start_random();
    for (int i = 0; i < 60; i++) {
        commit_some(f);
        if (i % 12 == 3) take_view(f);
        commit_refused(f);
        if (i % 12 == 3) take_view(f);
    }
    check_views(f);
}

/* As another process does, which has not seen the commits: from the log and from `pending`. */
static void an_object_made_from_the_log_is_the_same(void **state) {
    fixture *f = *state;
    tycho__env *env = f->store->env;
    start_random();
    for (int i = 0; i < 60; i++) {
        commit_some(f);
        if (i % 12 != 3) continue;
        take_view(f);
        tycho__recent_forget(env);
        take_view(f);
        const view *last = &f->views[f->view_count - 1], *before = last - 1;
        assert_true(!is_recent(last) || is_other(last, before));
    }
    check_views(f);
    for (size_t i = 0; i < f->view_count; i++) check_entries(f, &f->views[i]);
}

static void settle(fixture *f) {
    tycho__env *env = f->store->env;
    tycho__txn txn;
    ASSERT_STATUS(tycho__gate_enter(&env->gate, 1000), TYCHO_OK);
    ASSERT_STATUS(tycho__txn_write(env, TYCHO_SYNC_NONE, &txn), TYCHO_OK);
    ASSERT_STATUS(tycho__settle(&txn), TYCHO_OK);
    ASSERT_STATUS(tycho__txn_commit(&txn), TYCHO_OK);
    tycho__gate_leave(&env->gate);
}

static void settling_changes_nothing_for_anybody(void **state) {
    fixture *f = *state;
    start_random();
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < 40; i++) commit_some(f);
        take_view(f);
        settle(f);
        view *v = take_view(f);
        assert_false(is_recent(v));
        commit_some(f);
        take_view(f);
        for (size_t i = 0; i < f->view_count; i++) check_entries(f, &f->views[i]);
        assert_clean(f->store);
    }
}

static bool settle_slice(fixture *f, bool is_first) {
    tycho__env *env = f->store->env;
    tycho__txn txn;
    int status = TYCHO_OK;
    ASSERT_STATUS(tycho__gate_enter(&env->gate, 1000), TYCHO_OK);
    ASSERT_STATUS(tycho__txn_write(env, TYCHO_SYNC_NONE, &txn), TYCHO_OK);
    if (is_first) status = tycho__settle_begin(&txn);
    if (status == TYCHO_OK) status = tycho__settle_slice(&txn, 1 + below(2 * TYCHO__EVENT_WEIGHT));
    ASSERT_STATUS(status, TYCHO_OK);
    bool is_settling = txn.state.settling + txn.state.links_settling > 0;
    ASSERT_STATUS(tycho__txn_commit(&txn), TYCHO_OK);
    tycho__gate_leave(&env->gate);
    return is_settling;
}

/* Snapshots from the middle of a settlement, of this process and of others. */
static void a_slice_of_a_settlement_changes_nothing_for_anybody(void **state) {
    fixture *f = *state;
    uint64_t slices = 0;
    start_random();
    for (int round = 0; round < 8; round++) {
        for (int i = 0; i < 30; i++) commit_some(f);
        for (bool goes_on = settle_slice(f, true); goes_on; slices++) {
            bool is_looked_at = below(4) == 0 && f->view_count + 2 <= SNAPSHOTS;
            if (is_looked_at) take_view(f);
            if (below(4) == 0) tycho__recent_forget(f->store->env);
            if (is_looked_at) take_view(f);
            if (below(9) == 0) commit_some(f);
            if (below(9) == 0) commit_refused(f);
            if (below(9) == 0) assert_clean(f->store);
            goes_on = settle_slice(f, false);
        }
        check_views(f);
        for (size_t i = 0; i < f->view_count; i++) check_entries(f, &f->views[i]);
        assert_clean(f->store);
        while (f->view_count > 3) tycho__txn_done(f->views[--f->view_count].txn);
    }
    assert_in_range(slices, 8, 1000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(every_snapshot_sees_its_own_past),
        TEST(refused_batches_leave_no_trace),
        TEST(an_object_made_from_the_log_is_the_same),
        TEST(settling_changes_nothing_for_anybody),
        TEST(a_slice_of_a_settlement_changes_nothing_for_anybody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
