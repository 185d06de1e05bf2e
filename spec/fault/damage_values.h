/* damage_values.h - a store's data file in memory, what each of its pages is, and damaging it in
** one place. To be included behind cmocka.h.
*/
#ifndef TYCHO_SPEC_DAMAGE_VALUES_H
#define TYCHO_SPEC_DAMAGE_VALUES_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "inspect.h"

enum page_kind { PAGE_META, PAGE_BRANCH, PAGE_LEAF, PAGE_OVERFLOW, PAGE_FREE, PAGE_KINDS };
static const char *const PAGE_WORDS[PAGE_KINDS] = {"meta", "branch", "leaf", "overflow", "free"};

typedef struct page_facts {
    uint8_t kind;
    uint8_t table;
} page_facts;

typedef struct fixture {
    uint8_t *bytes;
    size_t size;
    size_t page_size;
    size_t pages;
    page_facts *facts; /* shared by copies */
} fixture;

/* What was done, where. */
typedef struct damage {
    unsigned round;
    unsigned table;
    enum page_kind kind;
    uint64_t page;
    bool is_alone; /* no other page was touched */
    bool is_older; /* perhaps an older copy of the page is in its place, as after a lost write */
    char words[200];
} damage;

static inline uint64_t number_from(const char *variable, uint64_t otherwise) {
    const char *text = getenv(variable);
    return text != NULL && *text != 0 ? strtoull(text, NULL, 10) : otherwise;
}

/* ---------------------------------------------------------------- the file */

/* Notes what all pages are. */
static inline int fixture_classify(fixture *f) {
    tycho__image image = {f->bytes, f->size, f->size, f->pages, (uint32_t)f->page_size};
    tycho__inspection inspection;
    tycho__inspected at;
    tycho__meta metas[2];
    f->facts = calloc(f->pages, sizeof *f->facts);
    if (f->facts == NULL) return -1;
    for (uint64_t i = 0; i < 2; i++) {
        if (!tycho__meta_read(&image, i, &metas[i])) return -1;
    }
    for (size_t i = 2; i < f->pages; i++) f->facts[i] = (page_facts){PAGE_FREE, TYCHO__FREE_PAGES};
    uint64_t last = metas[0].commit > metas[1].commit ? metas[0].commit : metas[1].commit;
    if (tycho__inspect_begin(&inspection, &image, last) != TYCHO_OK) return -1;
    int status;
    while ((status = tycho__inspect_next(&inspection, &at)) == TYCHO_OK) {
        if (at.page.fault != NULL) return -1;
        const uint8_t *page = f->bytes + at.page.number * f->page_size;
        f->facts[at.page.number].kind = at.page.is_leaf ? PAGE_LEAF : PAGE_BRANCH;
        f->facts[at.page.number].table = (uint8_t)at.table;
        for (uint32_t i = 0; at.page.is_leaf && i < tycho__node_count(page); i++) {
            tycho__node node = tycho__node_of(&image, page, i);
            if ((node.flags & TYCHO__NODE_BIG) == 0) continue;
            const uint8_t *first = f->bytes + node.child * f->page_size;
            uint64_t count = tycho__overflow_pages(first, node.child);
            for (uint64_t j = node.child; j < node.child + count; j++) {
                f->facts[j] = (page_facts){PAGE_OVERFLOW, (uint8_t)at.table};
            }
        }
    }
    tycho__inspect_end(&inspection);
    return status == TYCHO_END ? 0 : -1;
}

static inline int fixture_read(fixture *f, const char *store) {
    char path[256];
    struct stat info;
    snprintf(path, sizeof path, "%s/data.mdb", store);
    FILE *file = fopen(path, "rb");
    if (file == NULL || fstat(fileno(file), &info) != 0) return -1;
    f->size = (size_t)info.st_size;
    f->bytes = malloc(f->size);
    bool is_read = f->bytes != NULL && fread(f->bytes, 1, f->size, file) == f->size;
    fclose(file);
    f->page_size = (size_t)sysconf(_SC_PAGESIZE);
    f->pages = f->size / f->page_size;
    return is_read ? fixture_classify(f) : -1;
}

static inline fixture fixture_copy(const fixture *f) {
    fixture copy = *f;
    copy.bytes = malloc(f->size);
    assert_non_null(copy.bytes);
    memcpy(copy.bytes, f->bytes, f->size);
    return copy;
}

static inline void fixture_free(fixture *f) {
    free(f->bytes);
    free(f->facts);
}

/* Makes the directory a store of this file and nothing else. */
static inline int fixture_write(const fixture *f, const char *store) {
    static const char *const others[] = {"lock.mdb", "locks"};
    char path[256];
    mkdir(store, 0700);
    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", store, others[i]);
        remove(path);
    }
    snprintf(path, sizeof path, "%s/data.mdb", store);
    FILE *file = fopen(path, "wb");
    if (file == NULL) return -1;
    bool is_written = fwrite(f->bytes, 1, f->size, file) == f->size;
    return fclose(file) == 0 && is_written ? 0 : -1;
}

/* ---------------------------------------------------------------- damage */

static uint64_t damage_state;

static inline uint64_t damage_below(uint64_t limit) {
    damage_state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = damage_state;
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (z ^ z >> 31) % limit;
}

/* A page of a kind and table that are drawn first, so that rare ones have their turn. */
static inline uint64_t pick_page(const fixture *f, damage *d) {
    for (;;) { /* there is a page left: at least a meta page */
        unsigned kind = (unsigned)damage_below(PAGE_KINDS);
        unsigned table = (unsigned)damage_below(TYCHO__TREES);
        uint64_t from = damage_below(f->pages);
        for (uint64_t i = 0; i < f->pages; i++) {
            uint64_t page = (from + i) % f->pages;
            bool is_it =
                f->facts[page].kind == kind && (kind == PAGE_META || f->facts[page].table == table);
            if (!is_it) continue;
            d->kind = kind;
            d->table = kind == PAGE_META ? (unsigned)TYCHO__MAIN : table;
            return page;
        }
    }
}

static inline void flip(uint8_t *page, uint64_t from, uint64_t size, unsigned bits) {
    for (unsigned i = 0; i < bits; i++) {
        uint64_t bit = damage_below(8 * size);
        page[from + bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

/* Damages bytes of the page. */
static inline const char *damage_bytes(uint8_t *page, size_t size, unsigned how) {
    uint64_t at = damage_below(size - 64);
    switch (how) {
    case 0:
        flip(page, 0, size, 1);
        return "a bit flipped";
    case 1:
        flip(page, 0, TYCHO__PAGE_HEAD + 32, 1);
        return "a bit of the head flipped";
    case 2:
        flip(page, 0, size, 2 + (unsigned)damage_below(30));
        return "bits flipped";
    case 3:
        memset(page, 0, size);
        return "zeroed";
    case 4:
        memset(page + at / 512 * 512, 0, 512);
        return "a sector zeroed";
    case 5:
        for (uint64_t i = damage_below(64); i > 0; i--) page[at + i] = (uint8_t)damage_below(256);
        return "bytes overwritten";
    case 6:
        for (size_t i = 0; i < size; i++) page[i] = (uint8_t)damage_below(256);
        return "overwritten";
    default:
        for (size_t i = 8; i < 40; i++) page[i] = (uint8_t)damage_below(256);
        return "the head overwritten";
    }
}

static inline const char *swap_pages(damage *d, uint8_t *page, uint8_t *second, size_t size) {
    uint8_t kept[65536];
    assert_true(size <= sizeof kept);
    memcpy(kept, page, size);
    memmove(page, second, size);
    memcpy(second, kept, size);
    d->is_alone = false;
    return "swapped";
}

/* Puts a copy of another page in its place; `is_own` with its own number, as a page that a lost
** write left behind. */
static inline const char *copy_page(damage *d, fixture *f, uint64_t other, bool is_own) {
    uint8_t *page = f->bytes + d->page * f->page_size;
    memmove(page, f->bytes + other * f->page_size, f->page_size);
    if (!is_own || d->kind == PAGE_META) return "overwritten by another";
    memcpy(page, &d->page, sizeof d->page);
    bool is_like = d->table == f->facts[other].table || f->facts[other].kind == PAGE_FREE;
    d->is_older = d->kind == PAGE_LEAF && is_like;
    return "overwritten by another, with its own number";
}

static inline const char *cut_off(damage *d, fixture *f) {
    f->size = d->page * f->page_size + damage_below(f->page_size);
    if (f->size == 0) f->size = 1;
    f->pages = f->size / f->page_size;
    d->is_alone = false;
    return "the file cut off in it";
}

/* Damages one more place. */
static inline void damage_again(damage *d, fixture *f) {
    d->page = pick_page(f, d);
    d->is_alone = true;
    d->is_older = false;
    size_t size = f->page_size;
    uint8_t *page = f->bytes + d->page * size;
    uint64_t other = damage_below(f->pages);
    unsigned how = (unsigned)damage_below(12);
    const char *what = how == 8                ? swap_pages(d, page, f->bytes + other * size, size)
                       : how == 9 || how == 10 ? copy_page(d, f, other, how == 10)
                       : how == 11             ? cut_off(d, f)
                                               : damage_bytes(page, size, how);
    snprintf(d->words, sizeof d->words, "page %llu (%s of %s; the other is %llu): %s",
             (unsigned long long)d->page, PAGE_WORDS[d->kind], tycho__table_name(d->table),
             (unsigned long long)other, what);
}

/* Damages one place; the same for the same seed and round. */
static inline void damage_make(damage *d, fixture *f, uint64_t seed, unsigned round) {
    damage_state = seed * 1000003 + round;
    d->round = round;
    damage_again(d, f);
}

#endif
