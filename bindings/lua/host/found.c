/* found.c - a set of events: their places and ids, sorted when all are there. */
#include <stdlib.h>

#include "model.h"

struct entry {
    struct tycho__place place;
    size_t offset; /* of the id */
    size_t size;
};

void tycho__found_clear(struct tycho__found *found) {
    tycho__payload_clear(&found->entries);
    tycho__payload_clear(&found->ids);
}

void tycho__found_free(struct tycho__found *found) {
    tycho__payload_free(&found->entries);
    tycho__payload_free(&found->ids);
    tycho__payload_free(&found->views);
}

static int no_memory(void) {
    return tycho__script_fail(TYCHO_NO_MEMORY, "no memory for the events of an instance");
}

int tycho__found_add(struct tycho__found *found, const tycho_event *event,
                     const struct tycho__place *place) {
    const struct entry entry = {.place = *place, .offset = found->ids.size, .size = event->id.size};
    tycho__payload_put(&found->ids, event->id.data, event->id.size);
    tycho__payload_put(&found->entries, &entry, sizeof entry);
    return found->ids.failed != 0 || found->entries.failed != 0 ? no_memory() : TYCHO_OK;
}

static int by_position(const void *a, const void *b) {
    const struct entry *x = a, *y = b;
    return (x->place.position > y->place.position) - (x->place.position < y->place.position);
}

static int by_place(const void *a, const void *b) {
    const struct entry *x = a, *y = b;
    return tycho__is_before(&y->place, &x->place) - tycho__is_before(&x->place, &y->place);
}

int tycho__found_sort(struct tycho__found *found, bool is_by_position, const tycho_bytes **ids,
                      size_t *out) {
    struct entry *entries = (struct entry *)(void *)found->entries.data;
    size_t given = found->entries.size / sizeof *entries, count = 0;
    if (given > 1) qsort(entries, given, sizeof *entries, is_by_position ? by_position : by_place);
    tycho__payload_clear(&found->views);
    for (size_t i = 0; i < given; i++) {
        if (count > 0 && entries[i].place.position == entries[count - 1].place.position) continue;
        entries[count++] = entries[i];
        const tycho_bytes id = tycho__text_of(found->ids.data + entries[i].offset, entries[i].size);
        tycho__payload_put(&found->views, &id, sizeof id);
    }
    found->entries.size = count * sizeof *entries;
    *ids = (const tycho_bytes *)(const void *)found->views.data;
    *out = count;
    return found->views.failed != 0 ? no_memory() : TYCHO_OK;
}
