/* arena.c - chunks and tables; see arena.h. */
#include "arena.h"

#include <stdlib.h>
#include <sys/mman.h>

enum { FIRST_CHUNK = 4 << 10, HUGE = 2 << 20, LARGE_CHUNK = 256 << 10, ROOM_LEAST = 16 << 10 };

struct tycho__chunk {
    struct tycho__chunk *before;
    size_t size; /* with this head */
    size_t used;
    size_t sum; /* of the sizes of this and all before */
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

/* Chunks double up to LARGE_CHUNK; when there is so much that it does not matter, they are huge. */
static struct tycho__chunk *new_chunk(const struct tycho__chunk *last, size_t least) {
    size_t sum = last == NULL ? 0 : last->sum;
    size_t size = last == NULL ? FIRST_CHUNK : last->size * 2;
    if (size > LARGE_CHUNK) size = sum >= 4 * HUGE ? HUGE : LARGE_CHUNK;
    if (size < least) size = least;
    if (size >= HUGE) size = whole_pages(size);
    struct tycho__chunk *chunk = tycho__table_make(1, size);
    if (chunk == NULL) return NULL;
    chunk->size = size;
    chunk->used = sizeof *chunk;
    chunk->sum = sum + size;
    return chunk;
}

void *tycho__arena_take(tycho__arena *arena, size_t size) {
    struct tycho__chunk *chunk = arena->last;
    size = (size + sizeof(void *) - 1) / sizeof(void *) * sizeof(void *);
    if (chunk == NULL || chunk->size - chunk->used < size) {
        chunk = new_chunk(arena->last, sizeof *chunk + size);
        if (chunk == NULL) return NULL;
        chunk->before = arena->last;
        arena->last = chunk;
    }
    void *memory = (uint8_t *)chunk + chunk->used;
    chunk->used += size;
    return memory;
}

void *tycho__arena_room(tycho__arena *arena, size_t size) {
    struct tycho__chunk *last = arena->last;
    size_t whole = sizeof *last + size;
    if (last == NULL || whole < ROOM_LEAST || whole >= HUGE) return tycho__arena_take(arena, size);
    struct tycho__chunk *chunk = malloc(whole); /* behind the last, which has room left */
    if (chunk == NULL) return NULL;
    *chunk = (struct tycho__chunk){.before = last->before, .size = whole, .used = whole};
    last->before = chunk;
    last->sum += whole;
    return chunk + 1;
}

void tycho__arena_free(tycho__arena *arena) {
    while (arena->last != NULL) {
        struct tycho__chunk *before = arena->last->before;
        tycho__table_free(arena->last, 1, arena->last->size);
        arena->last = before;
    }
}
