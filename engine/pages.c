/* pages.c - reading LMDB's pages without LMDB; the format is in pages.h. */
#include "pages.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "meta_page.h"

enum { PAGE_SIZE_LEAST = 512, PAGE_SIZE_MOST = 65536 };

/* ---------------------------------------------------------------- the file */

static uint32_t page_size_of(const uint8_t *page) {
    uint32_t size = tycho__load32(page + TYCHO__META_PAGE_SIZE);
    bool is_size = size >= PAGE_SIZE_LEAST && size <= PAGE_SIZE_MOST && (size & (size - 1)) == 0;
    bool is_meta = tycho__load32(page + TYCHO__META_MAGIC) == TYCHO__LMDB_MAGIC;
    return is_meta && is_size ? size : 0;
}

/* What the first meta page says, else the second one, which is where a page ends, else what this
** machine has. */
static uint32_t find_page_size(const uint8_t *bytes, uint64_t size) {
    uint32_t found = page_size_of(bytes);
    uint32_t usual = (uint32_t)sysconf(_SC_PAGESIZE);
    for (uint32_t at = PAGE_SIZE_LEAST; found == 0 && at <= PAGE_SIZE_MOST; at *= 2) {
        if (at + TYCHO__META_END <= size && page_size_of(bytes + at) == at) found = at;
    }
    return found != 0 ? found : usual;
}

int tycho__image_open(tycho__image *image, const char *path, uint64_t most) {
    struct stat file;
    memset(image, 0, sizeof *image);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    int error = fd < 0 || fstat(fd, &file) != 0 ? errno : 0;
    if (error == 0 && S_ISREG(file.st_mode) && file.st_size > 0) {
        image->size = (uint64_t)file.st_size;
        image->mapped = most != 0 && most < image->size ? most : image->size;
        void *bytes = mmap(NULL, image->mapped, PROT_READ, MAP_SHARED, fd, 0);
        if (bytes == MAP_FAILED) error = errno;
        if (error == 0) image->bytes = bytes;
    }
    if (fd >= 0) close(fd);
    if (error != 0) {
        errno = error;
        return tycho__fail_path("reading", path);
    }
    if (image->size >= 2 * PAGE_SIZE_LEAST) {
        image->page_size = find_page_size(image->bytes, image->mapped);
        image->count = image->size / image->page_size;
    }
    if (image->count >= 2) return TYCHO_OK;
    uint64_t size = image->size;
    tycho__image_close(image);
    return tycho__fail(TYCHO_CORRUPT,
                       "\"%s\" has %llu bytes, less than the two pages of every store", path,
                       (unsigned long long)size);
}

void tycho__image_close(tycho__image *image) {
    if (image->bytes != NULL) munmap((void *)(uintptr_t)image->bytes, image->mapped);
    memset(image, 0, sizeof *image);
}

static tycho__tree parse_tree(const uint8_t *at) {
    return (tycho__tree){.flags = tycho__load16(at + 4),
                         .depth = tycho__load16(at + 6),
                         .branches = tycho__load64(at + 8),
                         .leaves = tycho__load64(at + 16),
                         .overflows = tycho__load64(at + 24),
                         .rows = tycho__load64(at + 32),
                         .root = tycho__load64(at + 40)};
}

static bool is_tree(const tycho__tree *tree) {
    bool is_known = (tree->flags & ~(unsigned)TYCHO__TREE_INTEGER) == 0;
    bool is_empty = tree->depth == 0 && tree->rows == 0 && tree->root == TYCHO__NO_PAGE;
    bool is_filled = tree->depth > 0 && tree->depth <= TYCHO__TREE_DEPTH_MAX && tree->rows > 0 &&
                     tree->root >= 2 && tree->root != TYCHO__NO_PAGE;
    return is_known && (is_empty || is_filled);
}

bool tycho__tree_read(tycho_bytes value, tycho__tree *tree) {
    if (value.size != TYCHO__TREE_SIZE || value.data == NULL) return false;
    *tree = parse_tree(value.data);
    return is_tree(tree);
}

bool tycho__meta_read(const tycho__image *image, uint64_t number, tycho__meta *meta) {
    const uint8_t *at = tycho__page(image, number);
    if (image->page_size < TYCHO__META_END) return false;
    meta->free = parse_tree(at + TYCHO__META_FREE_TREE);
    meta->main = parse_tree(at + TYCHO__META_MAIN_TREE);
    meta->last = tycho__load64(at + TYCHO__META_LAST_PAGE);
    meta->commit = tycho__load64(at + TYCHO__META_COMMIT);
    return tycho__load32(at + TYCHO__META_MAGIC) == TYCHO__LMDB_MAGIC &&
           tycho__load32(at + TYCHO__META_VERSION) == TYCHO__LMDB_VERSION &&
           tycho__load32(at + TYCHO__META_PAGE_SIZE) == image->page_size &&
           is_tree(&meta->free) && is_tree(&meta->main) &&
           (meta->commit == 0 || (meta->commit & 1) == number) && meta->last >= 1;
}

/* ---------------------------------------------------------------- pages and nodes */

static bool is_branch(const uint8_t *page) {
    return (tycho__load16(page + 10) & TYCHO__BRANCH) != 0;
}

/* The value of a node in overflow pages, or no data. */
static tycho_bytes big_value(const tycho__image *image, uint64_t first, uint64_t size) {
    uint64_t count = tycho__overflow_count(image, size);
    tycho_bytes nothing = {NULL, size};
    if (first < 2 || first >= image->count || count > image->count - first) return nothing;
    return tycho__bytes(tycho__page(image, first) + TYCHO__PAGE_HEAD, size);
}

/* Whether a node with its key, and on a leaf page with its value, is in the page. */
static inline bool fits(const tycho__image *image, const uint8_t *page, uint32_t place,
                        bool has_value) {
    if (place % 2 != 0 || place + TYCHO__NODE_HEAD > image->page_size) return false;
    const uint8_t *at = page + place;
    bool is_big = (tycho__load16(at + 4) & TYCHO__NODE_BIG) != 0;
    uint64_t size = !has_value ? 0 : is_big ? 8 : tycho__load32(at);
    return place + (uint64_t)TYCHO__NODE_HEAD + tycho__load16(at + 6) + size <= image->page_size;
}

/* The head and key of a node that fits. */
static void read_node(const uint8_t *page, uint32_t place, tycho__node *node) {
    const uint8_t *at = page + place;
    node->flags = tycho__load16(at + 4);
    node->key = tycho__bytes(at + TYCHO__NODE_HEAD, tycho__load16(at + 6));
    node->child = (uint64_t)node->flags << 32 | tycho__load32(at);
    node->value = tycho__bytes(NULL, 0);
}

bool tycho__node_at(const tycho__image *image, const uint8_t *page, uint32_t place,
                    tycho__node *node) {
    if (!fits(image, page, place, true)) return false;
    read_node(page, place, node);
    uint32_t size = tycho__load32(page + place);
    const uint8_t *value = (const uint8_t *)node->key.data + node->key.size;
    bool is_big = (node->flags & TYCHO__NODE_BIG) != 0;
    node->child = is_big ? tycho__load64(value) : TYCHO__NO_PAGE;
    node->value = is_big ? big_value(image, node->child, size) : tycho__bytes(value, size);
    return true;
}

tycho__node tycho__node_of(const tycho__image *image, const uint8_t *page, uint32_t index) {
    tycho__node node;
    assert(index < tycho__node_count(page));
    uint32_t place = tycho__load16(page + TYCHO__PAGE_HEAD + 2 * index);
    if (is_branch(page)) {
        assert(fits(image, page, place, false));
        read_node(page, place, &node);
    } else {
        bool is_node = tycho__node_at(image, page, place, &node);
        assert(is_node);
        (void)is_node;
    }
    return node;
}

const char *tycho__page_fault(const tycho__image *image, uint64_t number, bool is_placed) {
    if (number < 2 || number >= image->count) return "it is not in the file";
    const uint8_t *page = tycho__page(image, number);
    uint32_t kind = tycho__load16(page + 10), lower = tycho__load16(page + 12);
    uint32_t upper = tycho__load16(page + 14);
    if (is_placed && tycho__load64(page) != number) return "it has the number of another page";
    if (kind != TYCHO__BRANCH && kind != TYCHO__LEAF) return "it is neither branch nor leaf";
    if (lower < TYCHO__PAGE_HEAD || lower % 2 != 0 || lower > upper || upper > image->page_size) {
        return "its bounds are wrong";
    }
    uint32_t count = tycho__node_count(page);
    if (count < (kind == TYCHO__BRANCH ? 2u : 1u)) return "it has too few nodes";
    for (uint32_t i = 0; i < count; i++) {
        uint32_t place = tycho__load16(page + TYCHO__PAGE_HEAD + 2 * i);
        if (place < upper || !fits(image, page, place, kind == TYCHO__LEAF)) {
            return "it has a node outside of it";
        }
        uint32_t key_size = tycho__load16(page + place + 6);
        bool has_key = key_size > 0 || (kind == TYCHO__BRANCH && i == 0);
        if (!has_key || key_size > TYCHO__KEY_SIZE_MAX) return "it has a key of a wrong size";
        if (kind == TYCHO__BRANCH) continue;
        if ((tycho__load16(page + place + 4) & ~(TYCHO__NODE_BIG | TYCHO__NODE_TREE)) != 0) {
            return "it has a node of a kind that no table has";
        }
    }
    return NULL;
}

/* ---------------------------------------------------------------- walking */

static inline int compare_keys(bool is_integer, tycho_bytes a, tycho_bytes b) {
    if (is_integer) {
        uint64_t x = tycho__load64(a.data), y = tycho__load64(b.data);
        return x < y ? -1 : x > y;
    }
    if (a.size >= 8 && b.size >= 8) { /* which is most, and mostly enough */
        uint64_t x = tycho__unkey64(a.data), y = tycho__unkey64(b.data);
        if (x != y) return x < y ? -1 : 1;
    }
    int order = memcmp(a.data, b.data, a.size < b.size ? a.size : b.size);
    return order != 0 ? order : a.size < b.size ? -1 : a.size > b.size;
}

int tycho__compare_keys(const tycho__tree *tree, tycho_bytes a, tycho_bytes b) {
    return compare_keys((tree->flags & TYCHO__TREE_INTEGER) != 0, a, b);
}

/* Overflow pages of a value: their first one says how many they are, and nobody else has them. */
static const char *check_big(tycho__walk *walk, const tycho__node *node) {
    const tycho__image *image = walk->image;
    uint64_t needed = tycho__overflow_count(image, node->value.size);
    if (node->value.data == NULL || node->child + needed - 1 > walk->last) {
        return "it has a value outside of the file";
    }
    uint64_t count = tycho__overflow_pages(tycho__page(image, node->child), node->child);
    if (count < needed || node->child + count - 1 > walk->last) {
        return "it has a value whose pages are others";
    }
    uint64_t end = node->child + count; /* those behind the file were never written */
    if (end > image->count) end = image->count;
    for (uint64_t i = node->child; walk->seen != NULL && i < end; i++) {
        if (tycho__is_seen(walk->seen, i)) return "it has a value whose pages are used twice";
        tycho__see(walk->seen, i);
    }
    return NULL;
}

/* The order of the keys of a page, and its big values. */
static const char *check_nodes(tycho__walk *walk, const tycho__visited *visited) {
    const uint8_t *page = tycho__page(walk->image, visited->number);
    uint32_t count = tycho__node_count(page);
    tycho_bytes before = visited->low;
    bool is_integer = (walk->tree.flags & TYCHO__TREE_INTEGER) != 0;
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *node = page + tycho__load16(page + TYCHO__PAGE_HEAD + 2 * i);
        tycho_bytes key = {node + TYCHO__NODE_HEAD, tycho__load16(node + 6)};
        bool is_first = i == 0;
        if (!visited->is_leaf && is_first) continue; /* stands for whatever is below the next */
        if (is_integer && key.size != 8) return "it has a key of a wrong size";
        if (before.data != NULL) {
            int order = compare_keys(is_integer, before, key);
            bool may_equal = visited->is_leaf && is_first;
            if (order > 0 || (order == 0 && !may_equal)) return "its keys are out of order";
        }
        before = key;
        if (visited->is_leaf && (tycho__load16(node + 4) & TYCHO__NODE_BIG) != 0) {
            tycho__node big = tycho__node_of(walk->image, page, i);
            const char *fault = check_big(walk, &big);
            if (fault != NULL) return fault;
        }
    }
    if (visited->high.data != NULL &&
        tycho__compare_keys(&walk->tree, before, visited->high) >= 0) {
        return "its keys are those of another page";
    }
    return NULL;
}

/* What the branch pages above say of the keys of the child that is being visited. */
static void find_bounds(const tycho__walk *walk, uint32_t level, tycho__visited *visited) {
    visited->low = visited->high = tycho__bytes(NULL, 0);
    for (uint32_t i = 0; i < level; i++) {
        const uint8_t *page = tycho__page(walk->image, walk->path[i].page);
        uint32_t index = walk->path[i].next - 1;
        if (index > 0) visited->low = tycho__node_of(walk->image, page, index).key;
        if (index + 1 < tycho__node_count(page)) {
            visited->high = tycho__node_of(walk->image, page, index + 1).key;
        }
    }
}

void tycho__walk_visit(tycho__walk *walk, uint64_t number, uint32_t level,
                       tycho__visited *visited) {
    visited->number = number;
    visited->is_leaf = level + 1 == walk->tree.depth;
    find_bounds(walk, level, visited);
    visited->fault = number > walk->last ? "it is behind the last page"
                                         : tycho__page_fault(walk->image, number, true);
    if (visited->fault != NULL) return;
    if (walk->seen != NULL && tycho__is_seen(walk->seen, number)) {
        visited->fault = "it is used twice";
        return;
    }
    if (walk->seen != NULL) tycho__see(walk->seen, number);
    if (is_branch(tycho__page(walk->image, number)) == visited->is_leaf) {
        visited->fault = visited->is_leaf ? "it is a branch in place of a leaf"
                                          : "it is a leaf in place of a branch";
        return;
    }
    visited->fault = check_nodes(walk, visited);
    if (visited->fault != NULL || visited->is_leaf) return;
    walk->path[level].page = number;
    walk->path[level].next = 0;
    walk->level = level + 1;
}

int tycho__walk_next(tycho__walk *walk, tycho__visited *visited) {
    if (!walk->is_begun) {
        walk->is_begun = true;
        walk->level = 0;
        if (walk->tree.depth == 0) return TYCHO_END;
        tycho__walk_visit(walk, walk->tree.root, 0, visited);
        return TYCHO_OK;
    }
    while (walk->level > 0) {
        uint32_t level = walk->level - 1;
        const uint8_t *page = tycho__page(walk->image, walk->path[level].page);
        if (walk->path[level].next == tycho__node_count(page)) {
            walk->level--;
            continue;
        }
        uint64_t child = tycho__node_of(walk->image, page, walk->path[level].next++).child;
        tycho__walk_visit(walk, child, level + 1, visited);
        return TYCHO_OK;
    }
    return TYCHO_END;
}
