/* backfill_lists.c - entries of streams in memory, to be put in order. */
#include <stdlib.h>
#include <string.h>

#include "backfill.h"

static int no_memory(void) {
    return tycho__script_fail(TYCHO_NO_MEMORY, "no memory to make a stream anew");
}

void tycho__entries_free(struct tycho__entries_list *list) {
    tycho__payload_free(&list->text);
    tycho__payload_free(&list->entries);
    tycho__payload_free(&list->ids);
}

int tycho__entries_put(struct tycho__entries_list *list, tycho_bytes id, uint64_t position) {
    const struct tycho__list_entry entry = {position, list->text.size, id.size};
    tycho__payload_put(&list->text, id.data, id.size);
    tycho__payload_put(&list->entries, &entry, sizeof entry);
    return list->text.failed != 0 || list->entries.failed != 0 ? no_memory() : TYCHO_OK;
}

int tycho__entries_read(tycho_store *store, tycho_bytes stream, int64_t behind,
                        struct tycho__entries_list *list) {
    const tycho_read read = {.size = sizeof read,
                             .stream = stream,
                             .flags = TYCHO_READ_RAW | TYCHO_READ_STORED | TYCHO_READ_FROM_REVISION,
                             .from_revision = behind};
    tycho_cursor *cursor;
    tycho_event event;
    int status = tycho_cursor_open(store, &read, &cursor);
    if (status != TYCHO_OK) return status;
    while (status == TYCHO_OK) {
        status = tycho_cursor_next(cursor, &event);
        if (status == TYCHO_OK) status = tycho__entries_put(list, event.id, event.position);
    }
    tycho_cursor_close(cursor);
    return status == TYCHO_END ? TYCHO_OK : status;
}

static int compare(const void *a, const void *b) {
    const struct tycho__list_entry *left = a, *right = b;
    return left->position < right->position ? -1 : left->position > right->position;
}

static void sort(struct tycho__entries_list *list) {
    struct tycho__list_entry *entries = tycho__entries_of(list);
    size_t count = tycho__entries_count(list), sorted = 1;
    while (sorted < count && compare(&entries[sorted - 1], &entries[sorted]) < 0) sorted++;
    if (sorted < count) qsort(entries, count, sizeof *entries, compare);
}

void tycho__entries_subtract(struct tycho__entries_list *list,
                             struct tycho__entries_list *removed) {
    sort(list);
    sort(removed);
    struct tycho__list_entry *entries = tycho__entries_of(list);
    const size_t removed_count = tycho__entries_count(removed);
    size_t kept = 0;
    for (size_t i = 0; i < tycho__entries_count(list); i++) {
        bool is_twice = kept > 0 && entries[kept - 1].position == entries[i].position;
        bool is_removed =
            removed_count > 0 && bsearch(&entries[i], tycho__entries_of(removed), removed_count,
                                         sizeof *entries, compare) != NULL;
        if (!is_twice && !is_removed) entries[kept++] = entries[i];
    }
    list->entries.size = kept * sizeof *entries;
}

const tycho_bytes *tycho__entries_ids(struct tycho__entries_list *list, size_t first,
                                      size_t count) {
    tycho__payload_clear(&list->ids);
    for (size_t i = first; i < first + count; i++) {
        const struct tycho__list_entry *entry = &tycho__entries_of(list)[i];
        const tycho_bytes id = tycho__text_of(list->text.data + entry->id, entry->id_size);
        tycho__payload_put(&list->ids, &id, sizeof id);
    }
    return list->ids.failed != 0 ? NULL : (const tycho_bytes *)(const void *)list->ids.data;
}

int tycho__entries_link(struct tycho__entries_list *list, tycho_batch *batch, tycho_bytes stream,
                        size_t first, size_t count) {
    if (count == 0) return TYCHO_OK;
    const tycho_bytes *ids = tycho__entries_ids(list, first, count);
    if (ids == NULL) return no_memory();
    return tycho_batch_link(batch, stream, TYCHO_EXPECT_ANY, ids, count,
                            TYCHO_RAW | TYCHO_SKIP_DUPLICATES);
}
