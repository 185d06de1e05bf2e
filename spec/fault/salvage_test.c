/* salvage_test.c - what tycho_salvage_open() saves of a store whose pages were damaged at random.
**
** Each round damages a copy of a store that has everything in one place (damage_values.h; several
** places in every third round), and lets a child process make a new store of it. Every event whose
** bytes are still somewhere in the file, as the oracle finds by comparing files, must be in the new
** store with all that belongs to it; the new store verifies clean; what is lost is told. Where the
** damage is in a table that can be made anew, all answers are those of the store before.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <sys/wait.h>
#include <unistd.h>

#include "damage_rounds.h"

enum { ROUNDS = 60, POSITIONS_MAX = 4096 };

struct told {
    volatile uint64_t at;
    int salvaged, opened, verified;
    bool is_name_lost; /* of a stream, type or tag */
    uint64_t findings;
    tycho_salvaged counts;
    bool has_versions[POSITIONS_MAX]; /* two were found, or an old one */
    answer answers[];
};

/* Where the bytes of an event are in the file. */
typedef struct place {
    size_t node, node_size; /* with key and, when that is not big, value */
    size_t big, big_size;
} place;

static place *places; /* by position */
static struct told *told;
static unsigned refused, losses;

/* ---------------------------------------------------------------- the oracle */

static void find_places(void) {
    const tycho__image image = {good.bytes, good.size, good.size, good.pages,
                                (uint32_t)good.page_size};
    for (size_t page = 2; page < good.pages; page++) {
        bool is_log = good.facts[page].kind == PAGE_LEAF && good.facts[page].table == TYCHO__EVENTS;
        const uint8_t *at = good.bytes + page * good.page_size;
        for (uint32_t i = 0; is_log && i < tycho__node_count(at); i++) {
            tycho__node node = tycho__node_of(&image, at, i);
            bool is_big = (node.flags & TYCHO__NODE_BIG) != 0;
            place *p = &places[tycho__load64(node.key.data)];
            p->node = (size_t)((const uint8_t *)node.key.data - good.bytes) - TYCHO__NODE_HEAD;
            p->node_size = TYCHO__NODE_HEAD + 8 + (is_big ? 8 : node.value.size);
            p->big_size = is_big ? node.value.size : 0;
            if (is_big) p->big = (size_t)((const uint8_t *)node.value.data - good.bytes);
        }
    }
}

static bool is_same(const fixture *hurt, size_t from, size_t to, size_t size) {
    return to + size <= hurt->pages * hurt->page_size &&
           memcmp(good.bytes + from, hurt->bytes + to, size) == 0;
}

/* Whether all bytes of the event are in the damaged file: where they were, or in another page. */
static bool is_intact(const fixture *hurt, uint64_t position) {
    const place *p = &places[position];
    size_t in_page = p->node % good.page_size;
    bool has_node = is_same(hurt, p->node, p->node, p->node_size);
    for (size_t page = 2; page < hurt->pages && !has_node; page++) {
        if (hurt->facts[page].kind == PAGE_OVERFLOW) continue; /* what is in events is no event */
        has_node = is_same(hurt, p->node, page * good.page_size + in_page, p->node_size);
    }
    return has_node && is_same(hurt, p->big, p->big, p->big_size);
}

/* ---------------------------------------------------------------- the child */

/* What is told that the oracle cannot know. */
static void note_lines(tycho_salvage *salvage) {
    tycho_bytes line;
    while (tycho_salvage_next(salvage, &line) == TYCHO_OK) {
        char words[2000];
        unsigned position;
        snprintf(words, sizeof words, "%.*s", (int)line.size, (const char *)line.data);
        if (getenv("TYCHO_ROUND") != NULL) fprintf(stderr, "salvage: %s\n", words);
        if (strstr(words, "the name of number") != NULL) told->is_name_lost = true;
        bool is_old = strstr(words, "in an old copy") != NULL;
        bool has_versions = (is_old || strstr(words, "two versions") != NULL) &&
                            sscanf(words, "position %u", &position) == 1 &&
                            position < POSITIONS_MAX;
        if (has_versions) told->has_versions[position] = true;
    }
}

static void live(const char *damaged, const char *path) {
    tycho_salvage *salvage;
    tycho_store *store;
    let_signals_end();
    told->salvaged = tycho_salvage_open(damaged, path, &salvage);
    if (told->salvaged != TYCHO_OK) return;
    tycho_salvage_get(salvage, &told->counts);
    note_lines(salvage);
    tycho_salvage_close(salvage);
    told->opened = full_store_open(path, TYCHO_EXISTING, &store);
    if (told->opened != TYCHO_OK) return;
    full_store_ask(store, head, told->answers, &told->at);
    told->verified = verify(store, &told->findings);
    if (told->verified == TYCHO_OK) told->verified = full_store_append(store);
    tycho_store_close(store);
}

static int run_child(const char *damaged, const char *path) {
    int ended;
    memset(told, 0, sizeof *told);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        live(damaged, path);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &ended, 0), child);
    return ended;
}

/* ---------------------------------------------------------------- judging */

/* What is in these can be made anew from other tables, wholly. */
static bool is_made_anew(const damage *d) {
    return d->table == TYCHO__IDS || d->table == TYCHO__NAMES || d->table == TYCHO__GARBAGE ||
           d->kind == PAGE_FREE;
}

static void judge(const damage *d, bool is_single, const fixture *hurt) {
    uint64_t saved = 0;
    for (uint64_t position = 1; position <= head; position++) {
        bool is_saved = is_right(told->answers, full_store_log_question(position));
        saved += is_saved;
        if (is_saved || !is_intact(hurt, position)) continue;
        /* With its name lost, or when it is told that it may be an old version, its id is asked. */
        bool is_excused = told->is_name_lost || told->has_versions[position];
        size_t by_id = full_store_log_question(head) + position;
        if (is_excused && is_right(told->answers, by_id)) continue;
        complain(d, "the event at position %llu is intact and was not saved",
                 (unsigned long long)position);
    }
    losses += (unsigned)(head - saved);
    if (saved < head && told->counts.findings == 0) {
        complain(d, "%llu events are lost, and nothing is told",
                 (unsigned long long)(head - saved));
    }
    if (told->verified != TYCHO_OK || told->findings != 0) {
        complain(d, "the new store has %llu findings (%s)",
                 (unsigned long long)told->findings, tycho_status_code(told->verified));
    }
    if (!is_single || !d->is_alone || !is_made_anew(d)) return;
    for (size_t i = 0; i < questions; i++) {
        char question[128];
        full_store_question(head, i, question, sizeof question);
        if (!is_right(told->answers, i)) complain(d, "%s is told wrong", question);
    }
}

static void run_round(uint64_t seed, unsigned round) {
    char damaged[DIRECTORY_SIZE + 16], path[DIRECTORY_SIZE + 16];
    damage d;
    fixture hurt = fixture_copy(&good);
    unsigned times = round % 3 == 0 ? 5 : 1;
    damage_make(&d, &hurt, seed, round);
    for (unsigned i = 1; i < times && hurt.pages > 2; i++) damage_again(&d, &hurt);
    snprintf(damaged, sizeof damaged, "%s/damaged", scratch);
    snprintf(path, sizeof path, "%s/saved", scratch);
    assert_int_equal(fixture_write(&hurt, damaged), 0);
    int ended = run_child(damaged, path);
    if (WIFSIGNALED(ended)) {
        complain(&d, "salvaging ends by signal %d", WTERMSIG(ended));
    } else if (told->salvaged != TYCHO_OK) {
        refused++;
        if (hurt.pages >= 3) complain(&d, "nothing is saved (%d)", told->salvaged);
    } else if (told->opened != TYCHO_OK) {
        complain(&d, "the new store does not open (%d)", told->opened);
    } else {
        judge(&d, times == 1, &hurt);
    }
    free(hurt.bytes);
    remove_directory(path);
}

/* ---------------------------------------------------------------- tests */

static void every_intact_event_is_saved(void **state) {
    (void)state;
    unsigned rounds = run_rounds(run_round, ROUNDS);
    print_message("# seed %llu: %u rounds of %llu events, %u events lost, %u files refused\n",
                  (unsigned long long)number_from("TYCHO_SEED", 1), rounds,
                  (unsigned long long)head, losses, refused);
    assert_int_equal(failures, 0);
}

static void a_whole_store_is_saved_as_it_is(void **state) {
    char damaged[DIRECTORY_SIZE + 16], path[DIRECTORY_SIZE + 16];
    const damage none = {.words = "nothing is damaged"};
    (void)state;
    snprintf(damaged, sizeof damaged, "%s/damaged", scratch);
    snprintf(path, sizeof path, "%s/saved", scratch);
    assert_int_equal(fixture_write(&good, damaged), 0);
    int ended = run_child(damaged, path);
    assert_true(WIFEXITED(ended));
    assert_int_equal(told->salvaged, TYCHO_OK);
    assert_int_equal(told->opened, TYCHO_OK);
    assert_int_equal(told->verified, TYCHO_OK);
    assert_int_equal(told->findings, 0);
    assert_int_equal(told->counts.findings, 0);
    assert_int_equal(told->counts.events, head);
    for (size_t i = 0; i < questions; i++) {
        char question[128];
        full_store_question(head, i, question, sizeof question);
        if (!is_right(told->answers, i)) complain(&none, "%s is told wrong", question);
    }
    assert_int_equal(failures, 0);
    assert_int_equal(remove_directory(path), 0);
}

static void a_salvage_that_only_looks_writes_nothing(void **state) {
    char damaged[DIRECTORY_SIZE + 16];
    tycho_salvage *salvage;
    tycho_salvaged counts;
    tycho_bytes line;
    (void)state;
    snprintf(damaged, sizeof damaged, "%s/damaged", scratch);
    fixture hurt = fixture_copy(&good);
    for (size_t i = 2; i < hurt.pages; i++) {
        bool is_log = hurt.facts[i].table == TYCHO__EVENTS && hurt.facts[i].kind == PAGE_LEAF;
        if (is_log) memset(hurt.bytes + i * hurt.page_size, 0, hurt.page_size);
    }
    assert_int_equal(fixture_write(&hurt, damaged), 0);
    ASSERT_STATUS(tycho_salvage_open(damaged, NULL, &salvage), TYCHO_OK);
    ASSERT_STATUS(tycho_salvage_get(salvage, &counts), TYCHO_OK);
    assert_int_equal(counts.head, head);
    assert_true(counts.events_lost > 0 && counts.findings > 0);
    assert_int_equal(counts.events + counts.events_lost, head);
    uint64_t lines = 0;
    while (tycho_salvage_next(salvage, &line) == TYCHO_OK) lines += line.size > 0;
    assert_int_equal(lines, counts.findings);
    ASSERT_STATUS(tycho_salvage_get(salvage, NULL), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_salvage_next(salvage, NULL), TYCHO_MISUSE);
    tycho_salvage_close(salvage);
    free(hurt.bytes);
}

static void what_cannot_be_salvaged_is_refused(void **state) {
    char damaged[DIRECTORY_SIZE + 16];
    tycho_salvage *salvage = (tycho_salvage *)(uintptr_t)1;
    (void)state;
    snprintf(damaged, sizeof damaged, "%s/damaged", scratch);
    ASSERT_STATUS(tycho_salvage_open("/nowhere/at/all", NULL, &salvage), TYCHO_NOT_FOUND);
    assert_null(salvage);
    assert_int_equal(fixture_write(&good, damaged), 0);
    ASSERT_STATUS(tycho_salvage_open(damaged, damaged, &salvage), TYCHO_BUSY);
    ASSERT_STATUS(tycho_salvage_open(damaged, "/nowhere/at/all", &salvage), TYCHO_NOT_FOUND);
    ASSERT_STATUS(tycho_salvage_open(damaged, "", &salvage), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_salvage_open(damaged, NULL, NULL), TYCHO_MISUSE);
    salvage = (tycho_salvage *)damaged;
    ASSERT_STATUS(tycho_salvage_open(NULL, NULL, &salvage), TYCHO_MISUSE);
    assert_null(salvage);
    fixture hurt = fixture_copy(&good);
    memset(hurt.bytes, 0xa5, hurt.size);
    assert_int_equal(fixture_write(&hurt, damaged), 0);
    ASSERT_STATUS(tycho_salvage_open(damaged, NULL, &salvage), TYCHO_CORRUPT);
    hurt.size = 100;
    assert_int_equal(fixture_write(&hurt, damaged), 0);
    ASSERT_STATUS(tycho_salvage_open(damaged, NULL, &salvage), TYCHO_CORRUPT);
    ASSERT_STATUS(tycho_salvage_next(NULL, NULL), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_salvage_get(NULL, NULL), TYCHO_MISUSE);
    free(hurt.bytes);
}

static int set_up(void **state) {
    (void)state;
    if (make_good_store() != 0 || head >= POSITIONS_MAX) return -1;
    told = share(sizeof *told);
    places = calloc(head + 1, sizeof *places);
    if (told == NULL || places == NULL) return -1;
    find_places();
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    free(places);
    munmap(told, shared_size(sizeof *told));
    return remove_good_store();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_store_is_saved_as_it_is),
        cmocka_unit_test(a_salvage_that_only_looks_writes_nothing),
        cmocka_unit_test(what_cannot_be_salvaged_is_refused),
        cmocka_unit_test(every_intact_event_is_saved),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
