/* damaged_calls_test.c - calls fail while a damaged store is verified or salvaged: the n-th call of
** LMDB, step to a page, allocation or call of the system, once and from there on, for every n
** (sampled, unless TYCHO_SWEEP=full).
**
** Then it answers in a status that tells of the failure, or as it does without one, and again when
** all is whole. No verification ends clean of what is not, or goes on behind a step that failed; no
** salvage leaves anything behind, or a store that is not what it would have been.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "damage_values.h"
#include "failing_lmdb.h"
#include "full_store.h"
#include "store_values.h"

enum { BATCHES = 40, SHOWN = 2000 };

/* ---------------------------------------------------------------- further calls that fail */

enum own { MEMORY = STEP_OTHERWISE + 1, OPEN, MAP, RENAME, FSYNC, FDATASYNC, PWRITE };

static const struct fault OWN[] = {
    {(enum call)MEMORY, ENOMEM, TYCHO_NO_MEMORY, "malloc"},
    {(enum call)OPEN, EIO, TYCHO_IO, "open: EIO"},
    {(enum call)OPEN, ENOMEM, TYCHO_NO_MEMORY, "open: ENOMEM"},
    {(enum call)MAP, ENOMEM, TYCHO_NO_MEMORY, "mmap: ENOMEM"},
    {(enum call)RENAME, ENOSPC, TYCHO_FULL, "rename: ENOSPC"},
    {(enum call)FSYNC, EIO, TYCHO_IO, "fsync: EIO"},
    {(enum call)FDATASYNC, EIO, TYCHO_IO, "fdatasync: EIO"},
    {(enum call)PWRITE, ENOSPC, TYCHO_FULL, "pwrite: ENOSPC"},
    {(enum call)PWRITE, EIO, TYCHO_IO, "pwrite: EIO"},
};
enum { OWN_COUNT = sizeof OWN / sizeof *OWN };

/* The linker puts those of the first line before those of the second. */
#define WRAPPED(type, name, ...)                                                                   \
    type __wrap_##name(__VA_ARGS__);                                                               \
    type __real_##name(__VA_ARGS__);                                                               \
    type __wrap_##name(__VA_ARGS__)

static bool fails_own(enum own call) {
    if (!fails((enum call)call)) return false;
    errno = fault->error;
    return true;
}

WRAPPED(void *, malloc, size_t size) {
    return fails_own(MEMORY) ? NULL : __real_malloc(size);
}

WRAPPED(void *, calloc, size_t count, size_t size) {
    return fails_own(MEMORY) ? NULL : __real_calloc(count, size);
}

WRAPPED(void *, realloc, void *block, size_t size) {
    return fails_own(MEMORY) ? NULL : __real_realloc(block, size);
}

WRAPPED(int, open, const char *path, int flags, mode_t mode) {
    return fails_own(OPEN) ? -1 : __real_open(path, flags, mode);
}

void *__real_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset);

void *__wrap_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset) {
    return fails_own(MAP) ? MAP_FAILED : __real_mmap(at, size, protection, flags, fd, offset);
}

WRAPPED(int, rename, const char *from, const char *to) {
    return fails_own(RENAME) ? -1 : __real_rename(from, to);
}

WRAPPED(int, fsync, int fd) {
    return fails_own(FSYNC) ? -1 : __real_fsync(fd);
}

WRAPPED(int, fdatasync, int fd) {
    return fails_own(FDATASYNC) ? -1 : __real_fdatasync(fd);
}

WRAPPED(ssize_t, pwrite, int fd, const void *from, size_t size, off_t offset) {
    return fails_own(PWRITE) ? -1 : __real_pwrite(fd, from, size, offset);
}

/* ---------------------------------------------------------------- stores, and what hurts them */

static char scratch[DIRECTORY_SIZE], path[DIRECTORY_SIZE + 16], saved[DIRECTORY_SIZE + 16];
static fixture full, compressed;

static void make_compressed(void) {
    tycho_store *store;
    tycho_batch *batch;
    uint32_t percent;
    ASSERT_STATUS(full_store_open(path, TYCHO_CREATE, &store), TYCHO_OK);
    ASSERT_STATUS(tycho_batch_create(&batch), TYCHO_OK);
    for (int round = 0; round < 2; round++) {
        tycho_batch_clear(batch);
        for (int i = 0; i < 150; i++) {
            char data[64];
            snprintf(data, sizeof data, "{\"name\": \"somebody\", \"number\": %d}", i * 7919);
            const tycho_new_event event = {.type = text("t"), .data = text(data)};
            ASSERT_STATUS(tycho_batch_append(batch, text("s"), TYCHO_EXPECT_ANY, &event, 1, 0),
                          TYCHO_OK);
        }
        ASSERT_STATUS(tycho_batch_truncate(batch, text("s"), 0, 0), TYCHO_OK); /* settles all */
        ASSERT_STATUS(tycho_commit(store, batch, NULL), TYCHO_OK);
        if (round == 0) ASSERT_STATUS(tycho_compress(store, 0, &percent), TYCHO_OK);
    }
    tycho_batch_destroy(batch);
    tycho_store_close(store);
}

/* Flips a bit in the last byte of a row of each table, in the middle of its last page. */
static void hurt_rows(fixture *f) {
    const tycho__image image = {f->bytes, f->size, f->size, f->pages, (uint32_t)f->page_size};
    bool is_done[TYCHO__TREES] = {[TYCHO__MAIN] = true, [TYCHO__FREE_PAGES] = true};
    for (size_t page = f->pages - 1; page >= 2; page--) {
        unsigned table = f->facts[page].table;
        uint8_t *at = f->bytes + page * f->page_size;
        if (f->facts[page].kind != PAGE_LEAF || is_done[table]) continue;
        uint32_t count = tycho__node_count(at);
        tycho__node node = tycho__node_of(&image, at, count / 2);
        if ((node.flags & TYCHO__NODE_BIG) != 0) node = tycho__node_of(&image, at, 0);
        uint8_t *last = (uint8_t *)(uintptr_t)node.value.data + node.value.size - 1;
        *last ^= 0x80;
        is_done[table] = true;
    }
}

/* Zeroes the last leaf page of each table. */
static void hurt_pages(fixture *f) {
    bool is_done[TYCHO__TREES] = {[TYCHO__MAIN] = true, [TYCHO__FREE_PAGES] = true};
    for (size_t page = f->pages - 1; page >= 2; page--) {
        unsigned table = f->facts[page].table;
        if (f->facts[page].kind != PAGE_LEAF || is_done[table]) continue;
        memset(f->bytes + page * f->page_size, 0, f->page_size);
        is_done[table] = true;
    }
}

/* Takes the main table away, and with it the way to all others. */
static void hurt_roots(fixture *f) {
    for (size_t page = 2; page < f->pages; page++) {
        if (f->facts[page].table != TYCHO__MAIN) continue;
        memset(f->bytes + page * f->page_size, 0, f->page_size);
    }
    memset(f->bytes, 0, f->page_size);
}

/* Takes the rows of dictionaries away with all others of their page. */
static void hurt_tables(fixture *f) {
    for (size_t page = 2; page < f->pages; page++) {
        bool is_it = f->facts[page].table == TYCHO__ROWS || f->facts[page].table == TYCHO__LISTS;
        if (is_it) f->bytes[page * f->page_size + 20] ^= 0xff;
    }
}

static const struct hurt {
    const char *name;
    const fixture *whole;
    void (*make)(fixture *f); /* NULL: nothing is hurt */
    bool opens;
} HURTS[] = {
    {"nothing", &full, NULL, true},
    {"rows", &full, hurt_rows, true},
    {"pages", &full, hurt_pages, false},
    {"roots", &full, hurt_roots, false},
    {"nothing of a compressed store", &compressed, NULL, true},
    {"rows of a compressed store", &compressed, hurt_rows, true},
    {"dictionaries", &compressed, hurt_tables, false},
};
enum { HURT_COUNT = sizeof HURTS / sizeof *HURTS };

static const struct hurt *hurt;
static fixture file; /* as it is hurt */

/* ---------------------------------------------------------------- what is told */

typedef struct outcome {
    int status, again; /* `again`: of a step behind one that failed */
    uint64_t findings;
    tycho_salvaged counts;
    tycho_stats stats; /* of the new store */
    uint64_t hash;     /* the same; 0 where events are lost, whose ids are made */
    uint64_t lines;    /* a hash of all lines */
    size_t shown_size;
    char error[256], shown[SHOWN]; /* the first of them */
} outcome;

static outcome right, told;

static void fail_call(const char *what) {
    atomic_store(&is_armed, false);
    fail_msg("%s hurt, %s at call %ld: %s (%s: %s)\n%s", hurt->name, fault_in_words(),
             atomic_load(&failing_call), what, tycho_status_code(told.status), told.error,
             told.shown);
}

static void add_line(outcome *o, tycho_bytes line) {
    o->lines = tycho__hash(line.data, line.size, o->lines + 1);
    if (o->shown_size + line.size + 2 > SHOWN) return;
    memcpy(o->shown + o->shown_size, line.data, line.size);
    o->shown_size += line.size + 1;
    o->shown[o->shown_size - 1] = '\n';
}

static void take_status(outcome *o, int status) {
    o->status = status;
    snprintf(o->error, sizeof o->error, "%s", tycho_error());
}

static int entries_of(const char *directory) {
    int count = 0;
    DIR *entries = opendir(directory);
    assert_non_null(entries);
    while (readdir(entries) != NULL) count++;
    closedir(entries);
    return count;
}

/* ---------------------------------------------------------------- verifying */

static void step_to_end(tycho_verification *verification, outcome *o) {
    tycho_finding finding = {.findings = 0};
    int status;
    do {
        status = tycho_verification_step(verification, &finding);
        if (status == TYCHO_OK && finding.text.size > 0) add_line(o, finding.text);
    } while (status == TYCHO_OK);
    o->findings = finding.findings;
    take_status(o, status);
    o->again = tycho_verification_step(verification, &finding);
}

/* Of a store that was opened before it was hurt: a page that is damaged refuses opening. */
static void run_verify(outcome *o, long n) {
    tycho_store *store;
    tycho_verification *verification;
    memset(o, 0, sizeof *o);
    assert_int_equal(fixture_write(hurt->opens ? &file : hurt->whole, path), 0);
    ASSERT_STATUS(full_store_open(path, TYCHO_EXISTING, &store), TYCHO_OK);
    if (!hurt->opens) {
        char name[DIRECTORY_SIZE + 32];
        snprintf(name, sizeof name, "%s/data.mdb", path);
        int fd = open(name, O_WRONLY | O_CLOEXEC);
        size_t size = file.pages * file.page_size, head = 2 * file.page_size;
        assert_int_equal(pwrite(fd, file.bytes + head, size - head, (off_t)head), size - head);
        close(fd);
    }
    expect_failure(n);
    take_status(o, tycho_verification_open(store, &verification));
    if (o->status == TYCHO_OK) step_to_end(verification, o);
    tycho_verification_close(verification);
    atomic_store(&is_armed, false);
    tycho_store_close(store);
}

static bool tells(int status) {
    if (status == TYCHO_IO && fault->call == (enum call)FDATASYNC) return true;
    return tells_of_fault(status);
}

static void judge_verify(void) {
    bool is_damage = fault->status == TYCHO_CORRUPT;
    bool has_copy = hurt->whole == &compressed && !is_lasting; /* of each dictionary */
    if (told.status == right.status && told.findings == right.findings &&
        told.lines == right.lines) {
        bool is_bad = is_damage && atomic_load(&has_failed) && right.findings == 0;
        if (is_bad && !has_copy && !was_reached) fail_call("ends clean");
        return;
    }
    if (!atomic_load(&has_failed)) fail_call("tells otherwise without a reason");
    if (told.status == TYCHO_END) {
        if (!is_damage) fail_call("tells otherwise");
        if (told.findings == 0) fail_call("ends clean");
        return;
    }
    if (!tells(told.status)) fail_call("answers wrongly");
    if (told.error[0] == '\0') fail_call("says nothing");
    if (told.again != told.status && told.again != 0) fail_call("goes on");
}

/* ---------------------------------------------------------------- salvaging */

/* Of all that the store answers. */
static uint64_t hash_answers(tycho_store *store, uint64_t head) {
    volatile uint64_t at;
    size_t count = full_store_question_count(head);
    answer *answers = calloc(count, sizeof *answers);
    assert_non_null(answers);
    full_store_ask(store, head, answers, &at);
    uint64_t hash = tycho__hash(answers, count * sizeof *answers, 0);
    free(answers);
    return hash;
}

static void look_at_saved(outcome *o) {
    tycho_store *store;
    o->stats.size = sizeof o->stats;
    ASSERT_STATUS(full_store_open(saved, TYCHO_EXISTING, &store), TYCHO_OK);
    ASSERT_STATUS(tycho_stats_get(store, &o->stats), TYCHO_OK);
    if (o->counts.events_lost == 0) o->hash = hash_answers(store, o->counts.head);
    assert_clean(store);
    tycho_store_close(store);
    o->stats.file_size = o->stats.free_size = o->stats.map_size = 0;
    o->stats.commits = o->stats.commit_batches = 0;
    assert_int_equal(remove_directory(saved), 0);
}

static void run_salvage(outcome *o, long n) {
    tycho_salvage *salvage;
    tycho_bytes line;
    memset(o, 0, sizeof *o);
    expect_failure(n);
    take_status(o, tycho_salvage_open(path, saved, &salvage));
    atomic_store(&is_armed, false);
    if (o->status != TYCHO_OK) {
        if (access(saved, F_OK) == 0) fail_call("fails and leaves a store");
        if (entries_of(scratch) != 3) fail_call("leaves something behind");
        return;
    }
    ASSERT_STATUS(tycho_salvage_get(salvage, &o->counts), TYCHO_OK);
    while (tycho_salvage_next(salvage, &line) == TYCHO_OK) add_line(o, line);
    tycho_salvage_close(salvage);
    look_at_saved(o);
}

static void judge_salvage(void) {
    bool is_same = told.status == right.status &&
                   memcmp(&told.counts, &right.counts, sizeof told.counts) == 0 &&
                   memcmp(&told.stats, &right.stats, sizeof told.stats) == 0 &&
                   told.hash == right.hash;
    bool has_lines = fault->call == (enum call)MEMORY || told.lines == right.lines;
    if (is_same && has_lines) return;
    if (!atomic_load(&has_failed)) fail_call("saves otherwise without a reason");
    if (told.status == TYCHO_OK) fail_call("saves otherwise");
    if (!tells(told.status)) fail_call("answers wrongly");
    if (told.error[0] == '\0') fail_call("says nothing");
}

/* ---------------------------------------------------------------- the sweep */

typedef struct verb {
    void (*run)(outcome *o, long n);
    void (*judge)(void);
    int status; /* when nothing fails */
    long samples;
} verb;

static int open_files(void) {
    return entries_of("/proc/self/fd");
}

static long sweep_fault(const verb *v) {
    v->run(&told, -1);
    long count = atomic_load(&calls), taken = 0;
    long stride = is_full_sweep() || count < v->samples ? 1 : count / v->samples;
    for (long n = first_of_sweep(stride); n < count; n += stride) {
        int files = open_files();
        v->run(&told, n);
        v->judge();
        if (open_files() != files) fail_call("a file stays open");
        taken++;
    }
    return taken;
}

static void sweep(const verb *v) {
    static outcome before;
    long taken = 0;
    for (size_t i = 0; i < HURT_COUNT; i++) {
        hurt = &HURTS[i];
        file = fixture_copy(hurt->whole);
        if (hurt->make != NULL) hurt->make(&file);
        assert_int_equal(fixture_write(&file, path), 0);
        v->run(&right, -1);
        assert_int_equal(right.status, v->status);
        for (int k = 0; k < 2 * (FAULT_COUNT + OWN_COUNT); k++) {
            int which = k / 2;
            fault = which < FAULT_COUNT ? &FAULTS[which] : &OWN[which - FAULT_COUNT];
            is_lasting = k % 2 == 1;
            taken += sweep_fault(v);
        }
        v->run(&before, -1);
        assert_memory_equal(&before.counts, &right.counts, sizeof right.counts);
        assert_int_equal(before.lines, right.lines);
        assert_int_equal(before.status, right.status);
        free(file.bytes);
    }
    print_message("# %ld calls failed\n", taken);
}

static void a_verification_tells_of_what_fails(void **state) {
    static const verb verify = {run_verify, judge_verify, TYCHO_END, 25};
    (void)state;
    sweep(&verify);
}

static void a_salvage_tells_of_what_fails(void **state) {
    static const verb salvaging = {run_salvage, judge_salvage, TYCHO_OK, 2};
    (void)state;
    sweep(&salvaging);
}

static int set_up(void **state) {
    (void)state;
    if (make_directory_in_memory(scratch) != 0) return -1;
    snprintf(path, sizeof path, "%s/store", scratch);
    snprintf(saved, sizeof saved, "%s/saved", scratch);
    make_compressed();
    if (fixture_read(&compressed, path) != 0 || remove_directory(path) != 0) return -1;
    if (full_store_make(path, 3, BATCHES) != TYCHO_OK) return -1;
    return fixture_read(&full, path);
}

static int tear_down(void **state) {
    (void)state;
    fixture_free(&full);
    fixture_free(&compressed);
    return remove_directory(scratch);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_verification_tells_of_what_fails),
        cmocka_unit_test(a_salvage_tells_of_what_fails),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
