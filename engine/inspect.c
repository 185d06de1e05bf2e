/* inspect.c - proving the pages of a snapshot; see inspect.h. */
#include "inspect.h"

#include <stdio.h>
#include <stdlib.h>

#include "text.h"

/* Of looking at what others may be writing at that moment. */
enum { TRIES = 8, HEADS_SIZE = 2 * 65536 };

static const char *const names[TYCHO__TREES] = {
#define TYCHO__TABLE(name, text) text,
    TYCHO__TABLE_MAP(TYCHO__TABLE)
#undef TYCHO__TABLE
};

const char *tycho__table_name(unsigned table) {
    assert(table < TYCHO__TREES);
    return table == TYCHO__MAIN         ? "(main)"
           : table == TYCHO__FREE_PAGES ? "(free pages)"
                                        : names[table];
}

/* ---------------------------------------------------------------- beginning and end */

static void begin_table(tycho__inspection *inspection, unsigned table) {
    tycho__walk *walk = &inspection->walk;
    memset(walk, 0, sizeof *walk);
    walk->image = inspection->image;
    walk->tree = inspection->trees[table];
    walk->seen = inspection->seen;
    walk->last = inspection->meta.last;
    inspection->table = table;
    inspection->rows = 0;
    inspection->has_fault = false;
}

int tycho__inspect_meta(tycho__inspection *inspection, const tycho__image *image,
                        const tycho__meta *meta) {
    memset(inspection, 0, sizeof *inspection);
    inspection->image = image;
    inspection->meta = *meta;
    inspection->seen = calloc(1, image->count / 8 + 1);
    if (inspection->seen == NULL)
        return tycho__fail(TYCHO_NO_MEMORY, "no memory for an inspection");
    for (int i = 0; i < TYCHO__TREES; i++) inspection->trees[i].root = TYCHO__NO_PAGE;
    inspection->trees[TYCHO__MAIN] = meta->main;
    inspection->trees[TYCHO__FREE_PAGES] = meta->free;
    begin_table(inspection, TYCHO__MAIN);
    return TYCHO_OK;
}

int tycho__inspect_begin(tycho__inspection *inspection, const tycho__image *image,
                         uint64_t commit) {
    tycho__meta meta;
    bool is_meta = tycho__meta_read(image, commit & 1, &meta);
    if (!is_meta || meta.commit != commit) return TYCHO_NOT_FOUND;
    return tycho__inspect_meta(inspection, image, &meta);
}

void tycho__inspect_end(tycho__inspection *inspection) {
    free(inspection->seen);
    inspection->seen = NULL;
}

/* ---------------------------------------------------------------- what is in the pages */

/* Notes the tree of a table that the main table names. */
static const char *take_tree(tycho__inspection *inspection, const tycho__node *node) {
    tycho__tree tree;
    if ((node->flags & TYCHO__NODE_TREE) == 0) return NULL;
    if (!tycho__tree_read(node->value, &tree)) return "it has a damaged root of a table";
    for (int i = TYCHO__MAIN + 1; i < TYCHO__TABLES; i++) {
        if (!tycho__equal(node->key, tycho__bytes(names[i], strlen(names[i])))) continue;
        unsigned flags = i == TYCHO__EVENTS ? TYCHO__TREE_INTEGER : 0;
        if (tree.flags != flags) return "it has a table of another kind";
        inspection->trees[i] = tree;
        inspection->known |= 1u << i;
        return NULL;
    }
    return "it has a table that no store has";
}

/* A row of the free pages: how many they are, and their numbers, falling. None is in use. */
static const char *take_free(tycho__inspection *inspection, const tycho__node *node) {
    const uint8_t *at = node->value.data;
    size_t size = node->value.size;
    if (size < 8 || size % 8 != 0 || tycho__load64(at) > size / 8 - 1) {
        return "it has a damaged row of free pages";
    }
    uint64_t count = tycho__load64(at), above = inspection->meta.last + 1;
    for (uint64_t i = 1; i <= count; i++) {
        uint64_t page = tycho__load64(at + 8 * i);
        if (page < 2 || page >= above) return "it has free pages that are none";
        above = page;
        if (page >= inspection->image->count) continue; /* never written */
        if (tycho__is_seen(inspection->seen, page)) return "it says that a page in use is free";
        tycho__see(inspection->seen, page);
    }
    return NULL;
}

/* All rows are taken, whatever is wrong with some: a salvage goes on with them. */
static const char *take_leaf(tycho__inspection *inspection, uint64_t number) {
    const uint8_t *page = tycho__page(inspection->image, number);
    uint32_t count = tycho__node_count(page);
    const char *fault = NULL;
    inspection->rows += count;
    for (uint32_t i = 0; i < count; i++) {
        tycho__node node = tycho__node_of(inspection->image, page, i);
        const char *own = NULL;
        if (inspection->table == TYCHO__MAIN) {
            own = take_tree(inspection, &node);
        } else if ((node.flags & TYCHO__NODE_TREE) != 0) {
            own = "it has a node of a kind that no table has";
        } else if (inspection->table == TYCHO__FREE_PAGES) {
            own = take_free(inspection, &node);
        }
        if (fault == NULL) fault = own;
    }
    return fault;
}

/* ---------------------------------------------------------------- walking */

/* The fault of a table whose pages are sound, or NULL. */
static const char *table_fault(const tycho__inspection *inspection) {
    bool is_right = inspection->rows == inspection->walk.tree.rows;
    return inspection->has_fault || is_right ? NULL : "it counts other rows than it has";
}

int tycho__inspect_next(tycho__inspection *inspection, tycho__inspected *inspected) {
    for (;;) {
        inspected->table = inspection->table;
        tycho__visited *page = &inspected->page;
        int status = tycho__walk_next(&inspection->walk, page);
        if (status == TYCHO_OK) {
            if (page->fault == NULL && page->is_leaf) {
                page->fault = take_leaf(inspection, page->number);
            }
            if (page->fault != NULL) inspection->has_fault = true;
            return TYCHO_OK;
        }
        const char *fault = table_fault(inspection);
        if (inspection->table == TYCHO__FREE_PAGES && fault == NULL) return TYCHO_END;
        if (fault != NULL) {
            *page = (tycho__visited){.number = TYCHO__NO_PAGE, .fault = fault};
            inspection->has_fault = true; /* told */
            return TYCHO_OK;
        }
        begin_table(inspection, inspection->is_brief ? TYCHO__FREE_PAGES : inspection->table + 1);
    }
}

/* ---------------------------------------------------------------- words */

static void bytes_text(tycho_bytes bytes, char *text, size_t size) {
    bool is_name = bytes.size > 0 && tycho__check_name(bytes, "key") == TYCHO_OK;
    if (is_name) {
        snprintf(text, size, "\"%.*s\"", (int)bytes.size, (const char *)bytes.data);
        return;
    }
    size_t at = 0;
    for (size_t i = 0; i < bytes.size && at + 3 < size; i++, at += 2) {
        snprintf(text + at, size - at, "%02x", ((const uint8_t *)bytes.data)[i]);
    }
    if (bytes.size == 0) snprintf(text, size, "\"\"");
}

static const char *kind_text(uint8_t kind) {
    static const char *const kinds[] = {"list", "stream", "type", "tag", "table", "content type"};
    return kinds[kind < sizeof kinds / sizeof *kinds ? kind : 0];
}

void tycho__key_text(unsigned table, tycho_bytes key, char *text, size_t size) {
    const uint8_t *at = key.data;
    if ((table == TYCHO__EVENTS || table == TYCHO__FREE_PAGES) && key.size == 8) {
        snprintf(text, size, "%s %llu", table == TYCHO__EVENTS ? "position" : "commit",
                 (unsigned long long)tycho__load64(at));
    } else if (table == TYCHO__LISTS && key.size == 5) {
        snprintf(text, size, "%s %u", kind_text(at[0]), tycho__unkey32(at + 1));
    } else if (table == TYCHO__BLOCKS && key.size == 13) {
        snprintf(text, size, "%s %u from %llu", kind_text(at[0]), tycho__unkey32(at + 1),
                 (unsigned long long)tycho__unkey64(at + 5));
    } else if (table == TYCHO__LINKS && (key.size == 12 || key.size == 13)) {
        snprintf(text, size, "position %llu in stream %u", (unsigned long long)tycho__unkey64(at),
                 tycho__unkey32(at + 8));
    } else if (table == TYCHO__PENDING && key.size == 8) {
        snprintf(text, size, "link %llu", (unsigned long long)tycho__unkey64(at));
    } else if ((table == TYCHO__STREAM_METADATA || table == TYCHO__GARBAGE) && key.size == 4) {
        snprintf(text, size, "stream %u", tycho__unkey32(at));
    } else if (table == TYCHO__ROWS && key.size >= 4) {
        int head = snprintf(text, size, "table %u, ", tycho__unkey32(at));
        bytes_text(tycho__bytes(at + 4, key.size - 4), text + head, size - (size_t)head);
    } else if (table == TYCHO__NAMES && key.size > 1) {
        int head = snprintf(text, size, "%s ", kind_text(at[0]));
        bytes_text(tycho__bytes(at + 1, key.size - 1), text + head, size - (size_t)head);
    } else if (table == TYCHO__IDS && key.size == 1 + TYCHO__UUID_BYTES && at[0] == 1) {
        char uuid[TYCHO_UUID_SIZE];
        tycho__uuid_unpack(uuid, at + 1);
        snprintf(text, size, "%.*s", TYCHO_UUID_SIZE, uuid);
    } else if (table == TYCHO__IDS && key.size > 1) {
        bytes_text(tycho__bytes(at + 1, key.size - 1), text, size);
    } else {
        bytes_text(key, text, size);
    }
}

void tycho__inspected_text(const tycho__inspected *inspected, char *text, size_t size) {
    const tycho__visited *page = &inspected->page;
    const char *table = tycho__table_name(inspected->table);
    char low[600] = "the first", high[600] = "the last";
    if (page->number == TYCHO__NO_PAGE) {
        snprintf(text, size, "table %s: %s", table, page->fault);
        return;
    }
    if (page->low.data != NULL) tycho__key_text(inspected->table, page->low, low, sizeof low);
    if (page->high.data != NULL) tycho__key_text(inspected->table, page->high, high, sizeof high);
    snprintf(text, size, "page %llu of table %s, with the keys from %s to %s%s: %s",
             (unsigned long long)page->number, table, low, page->high.data != NULL ? "below " : "",
             high, page->fault);
}

/* ---------------------------------------------------------------- a whole file */

static uint64_t pages_in_trees(const tycho__inspection *inspection) {
    uint64_t pages = 0;
    for (int i = 0; i < TYCHO__TREES; i++) {
        const tycho__tree *tree = &inspection->trees[i];
        uint64_t own = tree->branches + tree->leaves;
        if (own > TYCHO__INSPECT_PAGES || tree->branches > own) return UINT64_MAX;
        pages += own;
    }
    return pages;
}

static int inspect_image(const tycho__image *image, uint64_t commit, bool *is_whole) {
    tycho__inspection inspection = {.seen = NULL};
    tycho__inspected inspected;
    int status = tycho__inspect_begin(&inspection, image, commit);
    while (status == TYCHO_OK) {
        unsigned before = inspection.table;
        status = tycho__inspect_next(&inspection, &inspected);
        if (status != TYCHO_OK || inspected.page.fault != NULL) break;
        if (before == TYCHO__MAIN) { /* what comes next is known now */
            inspection.is_brief = pages_in_trees(&inspection) > TYCHO__INSPECT_PAGES;
            *is_whole = !inspection.is_brief;
        }
    }
    if (status == TYCHO_OK && inspected.page.fault != NULL) {
        char text[1600];
        tycho__inspected_text(&inspected, text, sizeof text);
        status = tycho__fail(TYCHO_CORRUPT, "the store is damaged: %s", text);
    }
    tycho__inspect_end(&inspection);
    return status == TYCHO_END ? TYCHO_OK : status;
}

int tycho__inspect_file(const char *path, uint64_t commit, bool *is_whole) {
    tycho__image image;
    int status = tycho__image_open(&image, path, 0);
    if (status != TYCHO_OK) return status;
    status = inspect_image(&image, commit, is_whole);
    tycho__image_close(&image);
    return status;
}

static int check_heads(const tycho__image *image) {
    tycho__meta metas[2];
    for (uint64_t i = 0; i < 2; i++) {
        if (!tycho__meta_read(image, i, &metas[i])) {
            return tycho__fail(TYCHO_CORRUPT, "the store is damaged: its meta page %u is none",
                               (unsigned)i);
        }
        if (metas[i].last >= image->count + TYCHO__INSPECT_PAGES) {
            return tycho__fail(TYCHO_CORRUPT,
                               "the store is damaged: its meta page %u speaks of %llu pages in a "
                               "file of %llu",
                               (unsigned)i, (unsigned long long)metas[i].last + 1,
                               (unsigned long long)image->count);
        }
    }
    uint64_t a = metas[0].commit, b = metas[1].commit;
    if (a - b <= 1 || b - a <= 1) return TYCHO_OK;
    return tycho__fail(TYCHO_CORRUPT,
                       "the store is damaged: its meta pages are of the commits %llu and %llu, "
                       "which do not follow each other",
                       (unsigned long long)a, (unsigned long long)b);
}

int tycho__inspect_heads(const char *path) {
    tycho__image image;
    int status = tycho__image_open(&image, path, HEADS_SIZE);
    if (status != TYCHO_OK) return status;
    status = TYCHO_CORRUPT;
    for (int i = 0; i < TRIES && status == TYCHO_CORRUPT; i++) status = check_heads(&image);
    tycho__image_close(&image);
    return status;
}
