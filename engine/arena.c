/* arena.c - chunks and tables; see arena.h. */
#include "arena.h"

#include <stdlib.h>
#include <sys/mman.h>

enum { FIRST_CHUNK = 4 << 10, HUGE = 2 << 20, LARGE_CHUNK = 256 << 10, ALONE = 16 << 10 };

struct tycho__chunk {
    struct tycho__chunk *before;
    size_t size; /* with this head */
};

/* Whole huge pages, and so aligned. */
static void *map(size_t size) {
    assert(size % HUGE == 0);
    uint8_t *all =
        mmap(NULL, size + HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED) return NULL;
    size_t before = (HUGE - (uintptr_t)all % HUGE) % HUGE;
    if (before > 0) munmap(all, before);
    munmap(all + before + size, HUGE - before);
    madvise(all + before, size, MADV_HUGEPAGE); /* where it is refused, small pages do */
    return all + before;
}

static size_t whole_pages(size_t size) {
    return (size + HUGE - 1) / HUGE * HUGE;
}

void *tycho__table_make(size_t count, size_t size) {
    assert(size > 0);
    if (count > SIZE_MAX / 4 / size) return NULL;
    return count * size < HUGE ? calloc(count, size) : map(whole_pages(count * size));
}

void tycho__table_free(void *table, size_t count, size_t size) {
    if (table != NULL && count * size >= HUGE) {
        munmap(table, whole_pages(count * size));
    } else {
        free(table);
    }
}

/* A chunk of that many bytes, or of whole huge pages. */
static struct tycho__chunk *new_chunk(size_t size) {
    if (size >= HUGE) size = whole_pages(size);
    struct tycho__chunk *chunk = size < HUGE ? malloc(size) : map(size);
    if (chunk != NULL) *chunk = (struct tycho__chunk){.size = size};
    return chunk;
}

/* Chunks double up to LARGE_CHUNK; when there is so much that it does not matter, they are huge. */
static size_t next_size(const tycho__arena *arena) {
    if (arena->last == NULL) return FIRST_CHUNK;
    size_t size = arena->last->size * 2;
    if (size <= LARGE_CHUNK) return size;
    return arena->sum >= 4 * HUGE ? HUGE : LARGE_CHUNK;
}

void *tycho__arena_extend(tycho__arena *arena, size_t size) {
    if (size > SIZE_MAX / 4) return NULL;
    const size_t whole = sizeof(struct tycho__chunk) + size, next = next_size(arena);
    const bool is_alone = arena->last != NULL && whole >= ALONE && whole < HUGE;
    struct tycho__chunk *chunk = new_chunk(is_alone || whole > next ? whole : next);
    if (chunk == NULL) return NULL;
    arena->sum += chunk->size;
    if (is_alone) { /* what is left of the last one stays of use */
        chunk->before = arena->last->before;
        arena->last->before = chunk;
        return chunk + 1;
    }
    chunk->before = arena->last;
    arena->last = chunk;
    arena->at = (uint8_t *)(chunk + 1) + size;
    arena->left = chunk->size - whole;
    return chunk + 1;
}

void tycho__arena_free(tycho__arena *arena) {
    while (arena->last != NULL) {
        struct tycho__chunk *before = arena->last->before;
        tycho__table_free(arena->last, 1, arena->last->size);
        arena->last = before;
    }
    *arena = (tycho__arena){.last = NULL};
}
