/* guard.c - judging pages before they are read; see guard.h. */
#include "guard.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

struct tycho__guard {
    const uint8_t *base;
    uint32_t page_size;
    int file;
    bool is_whole;
    uint64_t map_size;
    _Atomic bool is_large;
    _Atomic uint64_t pages;  /* of the file, when it was last asked */
    uint64_t old;            /* how many pages there were: those behind came later */
    uint64_t marked;         /* how many of them have a mark: others are judged at each visit */
    _Atomic uint8_t marks[]; /* 0: not judged */
};

#if !defined(TYCHO__MARKS_MOST) /* test builds have a few */
#define TYCHO__MARKS_MOST (1u << 24)
#endif

/* What a page was judged as, in its mark: a number for the table, and these bits. */
enum { TABLE = 0x1f, LEAF = 0x20, SURROUNDED = 0x40 };
_Static_assert((int)TYCHO__TABLES < (int)TABLE, "a mark has room for the number of a table");

tycho__guard *tycho__guard_create(const uint8_t *base, uint64_t map_size, uint32_t page_size,
                                  int file, bool is_whole, uint64_t marks_max) {
    struct stat info;
    if (fstat(file, &info) != 0) return NULL;
    uint64_t pages = (uint64_t)info.st_size / page_size, old = is_whole ? 0 : pages;
    uint64_t most = marks_max != 0 ? marks_max : TYCHO__MARKS_MOST;
    uint64_t marked = old < most ? old : most;
    tycho__guard *guard = calloc(1, sizeof *guard + marked);
    if (guard == NULL) return NULL;
    guard->base = base;
    guard->map_size = map_size;
    guard->page_size = page_size;
    guard->file = file;
    guard->is_whole = is_whole;
    guard->old = old;
    guard->marked = marked;
    tycho__guard_see_size(guard);
    return guard;
}

void tycho__guard_destroy(tycho__guard *guard) {
    free(guard);
}

bool tycho__guard_is_whole(const tycho__guard *guard) {
    return guard->is_whole;
}

/* ---------------------------------------------------------------- what is read of the file */

#if !defined(TYCHO__LARGE_PAGES)
/* Bytes of the file: half of the memory. */
static uint64_t large_size(void) {
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    return pages > 0 && size > 0 ? (uint64_t)pages / 2 * (uint64_t)size : UINT64_MAX;
}

/* Pages that this thread waited for; -1: unknown. */
static long count_faults(void) {
    struct rusage usage;
    return getrusage(RUSAGE_THREAD, &usage) == 0 ? usage.ru_majflt : -1;
}
#else /* test builds take small stores for large ones, and wait all the time */
static uint64_t large_size(void) {
    return TYCHO__LARGE_PAGES * (uint64_t)4096;
}

static long count_faults(void) {
    static _Thread_local long faults;
    return ++faults;
}
#endif

void tycho__guard_see_size(tycho__guard *guard) {
    struct stat info;
    if (fstat(guard->file, &info) != 0) return;
    uint64_t pages = (uint64_t)info.st_size / guard->page_size;
    atomic_store(&guard->pages, pages);
    if ((uint64_t)info.st_size < large_size() || atomic_exchange(&guard->is_large, true)) return;
    tycho__guard_read_around(guard, false);
}

/* To the end of the address space that LMDB has: what is behind the file will be of it. */
void tycho__guard_read_around(tycho__guard *guard, bool is_wanted) {
    if (!tycho__guard_is_large(guard)) return;
    int how = is_wanted ? MADV_NORMAL : MADV_RANDOM;
    (void)madvise((void *)(uintptr_t)guard->base, guard->map_size, how);
}

bool tycho__guard_is_large(const tycho__guard *guard) {
    return atomic_load_explicit(&guard->is_large, memory_order_relaxed);
}

bool tycho__guard_is_cold(const tycho__guard *guard) {
    enum { COLD = 16 }; /* so many times nothing was waited for until it is warm */
    static _Thread_local long faults;
    static _Thread_local uint32_t left;
    if (!tycho__guard_is_large(guard)) return false;
    long now = count_faults();
    if (now != faults) left = COLD;
    left -= left > 0;
    faults = now;
    return left > 0;
}

void tycho__guard_ask(const tycho__guard *guard, uint64_t number, uint64_t count) {
    uint64_t pages = atomic_load(&guard->pages);
    if (number >= pages) return;
    if (count > pages - number) count = pages - number;
    void *at = (void *)(uintptr_t)(guard->base + number * guard->page_size);
    (void)madvise(at, count * guard->page_size, MADV_WILLNEED);
}

/* ---------------------------------------------------------------- a commit */

/* The file as far as a snapshot with this last page can use it. */
static tycho__image image_of(tycho__guard *guard, uint64_t last) {
    if (last >= atomic_load(&guard->pages)) tycho__guard_see_size(guard);
    uint64_t pages = atomic_load(&guard->pages);
    uint64_t size = pages * guard->page_size;
    return (tycho__image){guard->base, size, size, pages, guard->page_size};
}

int tycho__guard_begin(tycho__guard *guard, uint64_t commit, tycho__guarded **guarded) {
    if (*guarded == NULL) *guarded = calloc(1, sizeof **guarded);
    tycho__guarded *g = *guarded;
    if (g == NULL) return tycho__fail(TYCHO_NO_MEMORY, "no memory for a transaction");
    const tycho__image metas = image_of(guard, 0);
    g->guard = guard;
    g->is_on = tycho__meta_read(&metas, commit & 1, &g->meta) && g->meta.commit == commit;
    if (!g->is_on) {
        return tycho__fail(TYCHO_CORRUPT, "the store is damaged: the meta page of commit %llu",
                           (unsigned long long)commit);
    }
    const tycho__image image = image_of(guard, g->meta.last);
    g->end = g->meta.last < image.count ? g->meta.last + 1 : image.count;
    g->known = 1u << TYCHO__MAIN;
    g->trees[TYCHO__MAIN] = g->meta.main;
    for (int i = 0; i < TYCHO__TABLES; i++) g->places[i].depth = 0;
    return TYCHO_OK;
}

tycho__image tycho__guard_image(const tycho__guarded *g) {
    uint64_t size = g->end * g->guard->page_size;
    return (tycho__image){g->guard->base, size, size, g->end, g->guard->page_size};
}

/* ---------------------------------------------------------------- judging */

static int fail_page(unsigned table, const tycho__visited *page) {
    const tycho__inspected inspected = {.table = table, .page = *page};
    char text[1600];
    tycho__inspected_text(&inspected, text, sizeof text);
    return tycho__fail(TYCHO_CORRUPT, "the store is damaged: %s", text);
}

static uint64_t number_of(const tycho__guard *guard, const uint8_t *page) {
    return (uint64_t)(page - guard->base) / guard->page_size;
}

/* Judges a page that the path leads to, against what the pages above it say. */
static int judge(const tycho__guarded *g, tycho__table table, const tycho__place *place,
                 uint32_t level, uint64_t number) {
    const tycho__image image = image_of(g->guard, g->meta.last);
    tycho__visited visited;
    tycho__walk walk; /* its path is filled as far as it goes */
    walk.image = &image;
    walk.tree = g->trees[table];
    walk.last = g->meta.last;
    walk.seen = NULL;
    for (uint32_t i = 0; i < level; i++) {
        walk.path[i].page = number_of(g->guard, place->path[i].page);
        walk.path[i].next = place->path[i].index + 1;
    }
    tycho__walk_visit(&walk, number, level, &visited);
    return visited.fault == NULL ? TYCHO_OK : fail_page(table, &visited);
}

static uint8_t mark_of(tycho__table table, bool is_leaf) {
    return (uint8_t)(table + 1 + (is_leaf ? LEAF : 0));
}

/* The head of a page is asked for its kind although the mark says so: since it was judged, it may
** have become another by a commit, and a page that is not judged may lead there by mistake. */
const uint8_t *tycho__guard_judged(const tycho__guarded *g, tycho__table table, bool is_leaf,
                                   uint64_t number) {
    const tycho__guard *guard = g->guard;
    const uint8_t *page = guard->base + number * guard->page_size;
    bool is_head = number < g->end && tycho__load64(page) == number &&
                   tycho__load16(page + 10) == (is_leaf ? TYCHO__LEAF : TYCHO__BRANCH);
    if (!is_head) return NULL;
    if (number >= guard->marked) return number >= guard->old ? page : NULL;
    unsigned known = atomic_load_explicit(&guard->marks[number], memory_order_relaxed);
    return (known & (TABLE | LEAF)) == mark_of(table, is_leaf) ? page : NULL;
}

int tycho__guard_step(tycho__guarded *g, tycho__table table, tycho__place *place, uint32_t level,
                      uint64_t number) {
    tycho__guard *guard = g->guard;
    bool is_leaf = level + 1 == g->trees[table].depth;
    if (tycho__guard_judged(g, table, is_leaf, number) == NULL) {
        int status = judge(g, table, place, level, number);
        if (status != TYCHO_OK) return status;
        if (number < guard->marked) {
            atomic_store_explicit(&guard->marks[number], mark_of(table, is_leaf),
                                  memory_order_relaxed);
        }
    }
    place->path[level].page = guard->base + number * guard->page_size;
    place->path[level].index = 0;
    return TYCHO_OK;
}

int tycho__guard_value(const tycho__guarded *g, tycho__table table, uint64_t number, uint32_t size,
                       tycho_bytes *value) {
    const tycho__image image = {.page_size = g->guard->page_size};
    uint64_t needed = tycho__overflow_count(&image, size);
    if (number >= 2 && number < g->end) {
        const uint8_t *page = g->guard->base + number * g->guard->page_size;
        uint64_t count = tycho__overflow_pages(page, number);
        *value = tycho__bytes(page + TYCHO__PAGE_HEAD, size);
        if (count >= needed && count <= g->end - number) return TYCHO_OK;
    }
    return tycho__fail(TYCHO_CORRUPT,
                       "the store is damaged: page %llu of table %s: it is no page of a value of "
                       "%u bytes",
                       (unsigned long long)number, tycho__table_name(table), size);
}

/* ---------------------------------------------------------------- what is beside a page */

bool tycho__guard_is_surrounded(const tycho__guarded *g, const uint8_t *leaf) {
    uint64_t number = number_of(g->guard, leaf);
    if (number >= g->guard->marked) return number >= g->guard->old;
    return (atomic_load_explicit(&g->guard->marks[number], memory_order_relaxed) & SURROUNDED) != 0;
}

void tycho__guard_surround(tycho__guarded *g, const uint8_t *leaf) {
    uint64_t number = number_of(g->guard, leaf);
    if (number >= g->guard->marked) return;
    atomic_fetch_or_explicit(&g->guard->marks[number], SURROUNDED, memory_order_relaxed);
}
