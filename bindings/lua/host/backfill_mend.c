/* backfill_mend.c - streams that were in use while they were back-filled are made anew.
**
** What a stream will be is its links and those beside it, less those that are taken out, in the
** order of positions. It is put together while others write to the stream; the batch that exchanges
** it is completed, with nobody else writing, by what came behind. When it has more entries than fit
** into a batch, the first ones are linked into a further stream beside, and from there, in C, into
** the new one. A stream with home events keeps its entries: links are added behind, and taken out.
*/
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "backfill.h"

enum {
    PART = 4000,    /* ids of a batch that only prepares, or of a stream with home events */
    SMALL = 2000,   /* entries of streams that are exchanged in one batch */
    GROUP_MAX = 500 /* streams in one batch */
};

struct entry {
    uint64_t position;
    size_t id; /* offset in the text */
    size_t id_size;
};

struct stream_list {
    struct tycho_buffer text, entries;
};

/* A stream on its way to be exchanged. */
struct mending {
    char name[TYCHO_NAME_MAX];
    size_t name_size;
    int64_t version; /* as it was read */
    bool has_home_events;
    struct stream_list content;
    size_t prepared; /* entries of the content that are in the stream beside '=' */
};

struct group {
    tycho_backfill *b;
    struct mending *list;
    size_t count;
    struct tycho_buffer ids; /* tycho_bytes */
};

static int no_memory(void) {
    return tycho__script_fail(TYCHO_NO_MEMORY, "no memory to mend a stream");
}

tycho_bytes tycho__beside_name(const tycho_backfill *b, char sign, tycho_bytes stream,
                               char name[TYCHO__BESIDE_NAME]) {
    uint64_t seed = XXH3_64bits(b->about.name.data, b->about.name.size);
    uint64_t hash = XXH3_64bits_withSeed(stream.data, stream.size, seed);
    int size = snprintf(name, TYCHO__BESIDE_NAME, "$backfill%c%016" PRIx64, sign, hash);
    return tycho__text_of(name, (size_t)size);
}

static tycho_bytes name_of(const struct mending *mending) {
    return tycho__text_of(mending->name, mending->name_size);
}

/* ---------------------------------------------------------------- lists */

static size_t count_of(const struct stream_list *list) {
    return list->entries.size / sizeof(struct entry);
}

static struct entry *entries_of(const struct stream_list *list) {
    return (struct entry *)(void *)list->entries.data;
}

static void free_list(struct stream_list *list) {
    tycho__payload_free(&list->text);
    tycho__payload_free(&list->entries);
}

/* Adds the entries of a stream behind the revision. */
static int read_stream(tycho_store *store, tycho_bytes stream, int64_t behind,
                       struct stream_list *list, bool *has_home_events) {
    const tycho_read read = {.size = sizeof read,
                             .stream = stream,
                             .flags = TYCHO_READ_STORED | TYCHO_READ_FROM_REVISION,
                             .from_revision = behind};
    tycho_cursor *cursor;
    tycho_event event;
    int status = tycho_cursor_open(store, &read, &cursor);
    if (status != TYCHO_OK) return status;
    while ((status = tycho_cursor_next(cursor, &event)) == TYCHO_OK) {
        const struct entry entry = {event.position, list->text.size, event.id.size};
        tycho__payload_put(&list->text, event.id.data, event.id.size);
        tycho__payload_put(&list->entries, &entry, sizeof entry);
        if (event.is_link == 0) *has_home_events = true;
    }
    tycho_cursor_close(cursor);
    if (status == TYCHO_END) status = TYCHO_OK;
    bool is_full = list->text.failed != 0 || list->entries.failed != 0;
    return status == TYCHO_OK && is_full ? no_memory() : status;
}

static int compare(const void *a, const void *b) {
    const struct entry *left = a, *right = b;
    return left->position < right->position ? -1 : left->position > right->position;
}

static void sort(struct stream_list *list) {
    if (count_of(list) > 1) qsort(entries_of(list), count_of(list), sizeof(struct entry), compare);
}

/* Takes out the entries that `removed` has, and those that come twice. Both are sorted. */
static void subtract(struct stream_list *list, const struct stream_list *removed) {
    struct entry *entries = entries_of(list);
    size_t kept = 0;
    for (size_t i = 0; i < count_of(list); i++) {
        bool is_twice = kept > 0 && entries[kept - 1].position == entries[i].position;
        bool is_removed =
            count_of(removed) > 0 && bsearch(&entries[i], entries_of(removed), count_of(removed),
                                             sizeof *entries, compare) != NULL;
        if (!is_twice && !is_removed) entries[kept++] = entries[i];
    }
    list->entries.size = kept * sizeof *entries;
}

/* Views of ids of the list, from `first` on; good until the group needs others. */
static const tycho_bytes *ids_of(struct group *group, const struct stream_list *list, size_t first,
                                 size_t count) {
    tycho__payload_clear(&group->ids);
    for (size_t i = first; i < first + count; i++) {
        const struct entry *entry = &entries_of(list)[i];
        const tycho_bytes id = tycho__text_of(list->text.data + entry->id, entry->id_size);
        tycho__payload_put(&group->ids, &id, sizeof id);
    }
    if (group->ids.failed != 0) return NULL;
    return (const tycho_bytes *)(const void *)group->ids.data;
}

static int link_part(struct group *group, tycho_batch *batch, tycho_bytes stream,
                     const struct stream_list *list, size_t first, size_t count) {
    if (count == 0) return TYCHO_OK;
    const tycho_bytes *ids = ids_of(group, list, first, count);
    if (ids == NULL) return no_memory();
    return tycho_batch_link(batch, stream, TYCHO_EXPECT_ANY, ids, count, TYCHO_SKIP_DUPLICATES);
}

/* ---------------------------------------------------------------- putting together */

static int put_together(tycho_backfill *b, struct mending *mending) {
    char name[TYCHO__BESIDE_NAME];
    struct stream_list removed = {.text = {0}};
    bool is_home = false;
    tycho_bytes stream = name_of(mending);
    int status = tycho_stream_version(b->store, stream, 0, &mending->version);
    if (status == TYCHO_OK) {
        status = read_stream(b->store, stream, -1, &mending->content, &mending->has_home_events);
    }
    if (status == TYCHO_OK && mending->has_home_events) return status;
    if (status == TYCHO_OK) {
        status = read_stream(b->store, tycho__beside_name(b, '+', stream, name), -1,
                             &mending->content, &is_home);
    }
    if (status == TYCHO_OK) {
        status =
            read_stream(b->store, tycho__beside_name(b, '-', stream, name), -1, &removed, &is_home);
    }
    if (status == TYCHO_OK) {
        sort(&mending->content);
        sort(&removed);
        subtract(&mending->content, &removed);
    }
    free_list(&removed);
    return status;
}

/* The streams that are to be made anew, at most so many. */
static int open_list(tycho_backfill *b, uint64_t most, tycho_listing **listing) {
    const tycho_list_options options = {.size = sizeof options,
                                        .list = TYCHO_LIST_ROWS,
                                        .subject = tycho__text_of(b->table, strlen(b->table)),
                                        .limit = most};
    return tycho_listing_open(b->store, &options, listing);
}

/* The next streams that fit into a batch; at least one, if there is one. */
static int take_group(struct group *group) {
    tycho_backfill *b = group->b;
    tycho_listing *listing;
    tycho_item item;
    size_t entries = 0;
    int status = open_list(b, GROUP_MAX, &listing);
    if (status != TYCHO_OK) return status;
    while (status == TYCHO_OK && (status = tycho_listing_next(listing, &item)) == TYCHO_OK) {
        struct mending *mending = &group->list[group->count];
        memcpy(mending->name, item.name.data, item.name.size);
        mending->name_size = item.name.size;
        group->count++;
        status = put_together(b, mending);
        entries += count_of(&mending->content);
        bool is_alone = mending->has_home_events || entries > SMALL;
        if (!is_alone) continue;
        if (group->count > 1) free_list(&group->list[--group->count].content);
        break;
    }
    tycho_listing_close(listing);
    if (status == TYCHO_END) status = TYCHO_OK;
    return status == TYCHO_OK && group->count == 0 ? TYCHO_END : status;
}

static void free_group(struct group *group) {
    for (size_t i = 0; i < group->count; i++) free_list(&group->list[i].content);
    tycho__payload_free(&group->ids);
    free(group->list);
}

static int begin_group(tycho_backfill *b, struct group *group) {
    memset(group, 0, sizeof *group);
    group->b = b;
    group->list = calloc(GROUP_MAX, sizeof *group->list);
    return group->list == NULL ? no_memory() : TYCHO_OK;
}

/* ---------------------------------------------------------------- large streams */

/* Links what does not fit into the last batch into the stream beside, which is begun anew. */
static int prepare(struct group *group, struct mending *mending) {
    tycho_backfill *b = group->b;
    char name[TYCHO__BESIDE_NAME];
    tycho_bytes beside = tycho__beside_name(b, '=', name_of(mending), name);
    size_t count = count_of(&mending->content);
    int status = TYCHO_OK;
    while (count - mending->prepared > PART && status == TYCHO_OK) {
        status = tycho__backfill_begin(b);
        if (status == TYCHO_OK && mending->prepared == 0) {
            status = tycho_batch_delete_stream(b->batch, beside, TYCHO_RAW);
        }
        if (status == TYCHO_OK) {
            status = link_part(group, b->batch, beside, &mending->content, mending->prepared, PART);
        }
        if (status == TYCHO_OK) status = tycho__backfill_commit(b, &b->progress, NULL, NULL);
        if (status == TYCHO_OK) mending->prepared += PART;
    }
    return status;
}

/* ---------------------------------------------------------------- the exchange */

static int forget(tycho_backfill *b, tycho_batch *batch, tycho_bytes stream) {
    char name[TYCHO__BESIDE_NAME];
    int status = TYCHO_OK;
    for (const char *sign = "+-="; *sign != '\0' && status == TYCHO_OK; sign++) {
        status =
            tycho_batch_delete_stream(batch, tycho__beside_name(b, *sign, stream, name), TYCHO_RAW);
    }
    if (status != TYCHO_OK) return status;
    return tycho_batch_delete_row(batch, tycho__text_of(b->table, strlen(b->table)), stream);
}

/* Deletes the stream, but for its metadata. */
static int empty_stream(tycho_store *store, tycho_batch *batch, tycho_bytes stream) {
    tycho_bytes resolved;
    int status = tycho_route_resolve(store, stream, &resolved);
    if (status != TYCHO_OK) return status;
    const tycho_list_options options = {.size = sizeof options, .prefix = resolved, .exact = 1};
    tycho_listing *listing;
    tycho_item item;
    status = tycho_listing_open(store, &options, &listing);
    if (status != TYCHO_OK) return status;
    status = tycho_batch_delete_stream(batch, stream, 0);
    int found = tycho_listing_next(listing, &item);
    if (status == TYCHO_OK && found == TYCHO_OK && item.value.size > 0) {
        status = tycho_batch_set_stream_metadata(batch, stream, item.value, 0);
    }
    tycho_listing_close(listing);
    return status == TYCHO_OK && found < TYCHO_OK ? found : status;
}

/* Nobody else writes: what came behind since the stream was read is added. */
static int exchange(struct group *group, tycho_store *store, tycho_batch *batch,
                    const struct mending *mending) {
    char name[TYCHO__BESIDE_NAME];
    const tycho_bytes stream = name_of(mending);
    const tycho_bytes beside = tycho__beside_name(group->b, '=', stream, name);
    struct stream_list tail = {.text = {0}};
    bool has_home_events = false;
    int64_t version;
    int status = tycho_stream_version(store, stream, 0, &version);
    if (status == TYCHO_OK && version < mending->version) {
        return tycho__script_fail(TYCHO_BUSY, "the stream \"%.*s\" was deleted meanwhile",
                                  (int)stream.size, (const char *)stream.data);
    }
    if (status == TYCHO_OK) {
        status = read_stream(store, stream, mending->version, &tail, &has_home_events);
    }
    if (status == TYCHO_OK && (has_home_events || count_of(&tail) > TYCHO__BACKFILL_LAST)) {
        status = tycho__script_fail(TYCHO_BUSY, "the stream \"%.*s\" was written to meanwhile",
                                    (int)stream.size, (const char *)stream.data);
    }
    if (status == TYCHO_OK) status = empty_stream(store, batch, stream);
    for (size_t first = 0; first < mending->prepared && status == TYCHO_OK; first += PART) {
        status = tycho_batch_link_range(batch, beside, (int64_t)first, (int64_t)(first + PART) - 1,
                                        stream, TYCHO_EXPECT_ANY, 0);
    }
    if (status == TYCHO_OK) {
        status = link_part(group, batch, stream, &mending->content, mending->prepared,
                           count_of(&mending->content) - mending->prepared);
    }
    if (status == TYCHO_OK) {
        status = link_part(group, batch, stream, &tail, 0, count_of(&tail));
    }
    free_list(&tail);
    return status == TYCHO_OK ? forget(group->b, batch, stream) : status;
}

static int exchange_all(void *context, tycho_store *store, tycho_batch *batch) {
    struct group *group = context;
    int status = TYCHO_OK;
    for (size_t i = 0; i < group->count && status == TYCHO_OK; i++) {
        status = exchange(group, store, batch, &group->list[i]);
    }
    return status;
}

/* ---------------------------------------------------------------- streams with home events */

/* Moves a part of what is beside; `*is_over` when there was no more. */
static int move_part(struct group *group, tycho_bytes stream, char sign, bool *is_over) {
    tycho_backfill *b = group->b;
    char name[TYCHO__BESIDE_NAME];
    tycho_bytes beside = tycho__beside_name(b, sign, stream, name);
    struct stream_list list = {.text = {0}};
    bool is_home;
    int status = read_stream(b->store, beside, -1, &list, &is_home);
    size_t count = count_of(&list) < PART / 2 ? count_of(&list) : PART / 2;
    *is_over = count == count_of(&list);
    if (status == TYCHO_OK && count > 0) {
        const tycho_bytes *ids = ids_of(group, &list, 0, count);
        if (ids == NULL) {
            status = no_memory();
        } else if (sign == '+') {
            status = tycho_batch_link(b->batch, stream, TYCHO_EXPECT_ANY, ids, count,
                                      TYCHO_SKIP_DUPLICATES);
        } else {
            status = tycho_batch_unlink(b->batch, stream, ids, count, 0);
        }
        if (status == TYCHO_OK)
            status = tycho_batch_unlink(b->batch, beside, ids, count, TYCHO_RAW);
    }
    free_list(&list);
    return status;
}

static int mend_home(struct group *group, struct mending *mending) {
    tycho_backfill *b = group->b;
    bool is_linked = false, is_unlinked = false;
    int status = tycho__backfill_begin(b);
    if (status == TYCHO_OK) status = move_part(group, name_of(mending), '+', &is_linked);
    if (status == TYCHO_OK) status = move_part(group, name_of(mending), '-', &is_unlinked);
    if (status == TYCHO_OK && is_linked && is_unlinked) {
        status = forget(b, b->batch, name_of(mending));
    }
    return status == TYCHO_OK ? tycho__backfill_commit(b, &b->progress, NULL, NULL) : status;
}

/* ---------------------------------------------------------------- steps */

int tycho__mend_step(tycho_backfill *b) {
    struct group group;
    int status = begin_group(b, &group);
    if (status == TYCHO_OK) status = take_group(&group);
    if (status == TYCHO_OK && group.list[0].has_home_events) {
        status = mend_home(&group, &group.list[0]);
    } else if (status == TYCHO_OK) {
        status = prepare(&group, &group.list[0]);
        if (status == TYCHO_OK) status = tycho__backfill_begin(b);
        if (status == TYCHO_OK) {
            status = tycho__backfill_commit(b, &b->progress, exchange_all, &group);
        }
    }
    free_group(&group);
    return status;
}

int tycho__mend_count(tycho_backfill *b, uint64_t most, uint64_t *count) {
    tycho_listing *listing;
    tycho_item item;
    *count = 0;
    int status = open_list(b, most, &listing);
    if (status != TYCHO_OK) return status;
    while ((status = tycho_listing_next(listing, &item)) == TYCHO_OK) ++*count;
    tycho_listing_close(listing);
    return status == TYCHO_END ? TYCHO_OK : status;
}

int tycho__mend_forget(tycho_backfill *b) {
    tycho_listing *listing;
    tycho_item item;
    size_t count = 0;
    int status = tycho__backfill_begin(b);
    if (status == TYCHO_OK) status = open_list(b, GROUP_MAX, &listing);
    if (status != TYCHO_OK) return status;
    while (status == TYCHO_OK && (status = tycho_listing_next(listing, &item)) == TYCHO_OK) {
        count++;
        status = forget(b, b->batch, item.name);
    }
    tycho_listing_close(listing);
    if (status != TYCHO_END) return status;
    return count == 0 ? TYCHO_END : tycho__backfill_commit(b, &b->progress, NULL, NULL);
}
