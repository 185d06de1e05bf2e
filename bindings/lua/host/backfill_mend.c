/* backfill_mend.c - streams that were in use while they were back-filled are exchanged for what was
** prepared beside them (backfill_prepare.c).
**
** A batch that exchanges streams is completed with nobody else writing: what came behind since is
** linked into the stream '=', which then becomes the stream (tycho_batch_move_stream()), at any
** size in the same time. The first of them is the batch that deploys the linker; its last events
** are in no stream beside yet, but gathered. A stream with home events keeps its entries: links are
** added behind, and taken out, part by part.
*/
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "backfill.h"

enum {
    OPERATIONS_MAX = 9800, /* of a batch that exchanges: six for each stream */
    LINKED_MAX = 4000,     /* entries that came behind, in one batch */
    FORGOTTEN_MAX = 500,
    COUNTED_MAX = 100000 /* streams */
};

tycho_bytes tycho__beside_name(const tycho_backfill *b, char sign, tycho_bytes stream,
                               char name[TYCHO__BESIDE_NAME]) {
    uint64_t seed = XXH3_64bits(b->about.name.data, b->about.name.size);
    uint64_t hash = XXH3_64bits_withSeed(stream.data, stream.size, seed);
    int size = snprintf(name, TYCHO__BESIDE_NAME, "$backfill%c%016" PRIx64, sign, hash);
    return tycho__text_of(name, (size_t)size);
}

static int forget(tycho_backfill *b, tycho_batch *batch, tycho_bytes stream, const char *signs) {
    char name[TYCHO__BESIDE_NAME];
    int status = TYCHO_OK;
    for (const char *sign = signs; *sign != '\0' && status == TYCHO_OK; sign++) {
        status =
            tycho_batch_delete_stream(batch, tycho__beside_name(b, *sign, stream, name), TYCHO_RAW);
    }
    if (status == TYCHO_OK) {
        status = tycho_batch_delete_row(batch, tycho__text(b->prepared), stream);
    }
    return status == TYCHO_OK ? tycho_batch_delete_row(batch, tycho__text(b->table), stream)
                              : status;
}

/* ---------------------------------------------------------------- the exchange */

struct exchange {
    tycho_backfill *b;
    tycho_store *store;
    tycho_batch *batch;
    size_t room;  /* for streams */
    size_t links; /* so far */
};

static tycho_bytes signed_name(char sign, tycho_bytes stream, char name[TYCHO_NAME_MAX + 1]) {
    name[0] = sign;
    memcpy(name + 1, stream.data, stream.size);
    return tycho__text_of(name, stream.size + 1);
}

/* What the last events give the stream, which no stream beside has yet. */
static int add_gathered(struct exchange *x, char sign, tycho_bytes stream,
                        struct tycho__entries_list *list) {
    char name[TYCHO_NAME_MAX + 1];
    const tycho_bytes *ids;
    size_t count;
    tycho__gathered_find(&x->b->gathered, signed_name(sign, stream, name), &ids, &count);
    for (size_t i = 0; i < count; i++) {
        uint64_t position;
        int status = tycho_event_position(x->store, ids[i], &position);
        if (status == TYCHO_OK) status = tycho__entries_put(list, ids[i], position);
        if (status != TYCHO_OK) return status;
    }
    return TYCHO_OK;
}

static void take_gathered(struct exchange *x, tycho_bytes stream) {
    char name[TYCHO_NAME_MAX + 1];
    tycho__gathered_take(&x->b->gathered, signed_name('+', stream, name));
    tycho__gathered_take(&x->b->gathered, signed_name('-', stream, name));
}

/* The batch cannot be completed until the stream is prepared further. */
static int refuse(struct exchange *x, tycho_bytes stream, bool from_start) {
    struct tycho__late *late = &x->b->late;
    memcpy(late->name, stream.data, stream.size);
    late->name_size = stream.size;
    late->from_start = from_start;
    return tycho__script_fail(TYCHO_BUSY, "the stream \"%.*s\" was written to meanwhile",
                              (int)stream.size, (const char *)stream.data);
}

/* A stream that does not fit behind others is left to the next batch; one that does not fit at all
** is prepared further, which leaves no more than the last events: they fit. */
static int exchange_tail(struct exchange *x, tycho_bytes stream, struct tycho__tail *tail) {
    char name[TYCHO__BESIDE_NAME];
    tycho_bytes beside = tycho__beside_name(x->b, '=', stream, name);
    int status = add_gathered(x, '+', stream, &tail->list);
    if (status == TYCHO_OK) status = add_gathered(x, '-', stream, &tail->removed);
    if (status != TYCHO_OK) return status;
    tycho__entries_subtract(&tail->list, &tail->removed);
    const size_t count = tycho__entries_count(&tail->list);
    if (count > LINKED_MAX) return refuse(x, stream, false);
    if (x->links + count > LINKED_MAX) {
        x->room = 0;
        return TYCHO_OK;
    }
    take_gathered(x, stream);
    x->links += count;
    x->room--;
    status = tycho__entries_link(&tail->list, x->batch, beside, 0, count);
    if (status == TYCHO_OK) status = tycho_batch_move_stream(x->batch, beside, stream, 0);
    return status == TYCHO_OK ? forget(x->b, x->batch, stream, "+-") : status;
}

/* One stream, unless it has home events. */
static int exchange(struct exchange *x, tycho_bytes stream) {
    struct tycho__tail tail = {.most = LINKED_MAX};
    tycho_bytes resolved;
    int status = tycho_route_resolve(x->store, stream, &resolved);
    if (status != TYCHO_OK) return status;
    if (!tycho__same(resolved, stream)) return refuse(x, stream, true);
    status = tycho__prepare_tail(x->b, x->store, stream, UINT64_MAX, &tail);
    bool is_late = tail.is_other || tail.is_long;
    if (status == TYCHO_OK && is_late) status = refuse(x, stream, tail.is_other);
    if (status == TYCHO_OK && tail.next.is_home == 0) status = exchange_tail(x, stream, &tail);
    tycho__tail_free(&tail);
    return status;
}

/* Those that are prepared, as far as there is room. */
static int exchange_prepared(struct exchange *x) {
    const tycho_list_options options = {
        .size = sizeof options, .list = TYCHO_LIST_ROWS, .subject = tycho__text(x->b->prepared)};
    tycho_listing *listing;
    tycho_item item;
    int status = tycho_listing_open(x->store, &options, &listing);
    if (status != TYCHO_OK) return status;
    while (status == TYCHO_OK && x->room > 0) {
        status = tycho_listing_next(listing, &item);
        if (status == TYCHO_OK) status = exchange(x, item.name);
    }
    tycho_listing_close(listing);
    return status == TYCHO_END ? TYCHO_OK : status;
}

static struct exchange begin(tycho_backfill *b, tycho_store *store, tycho_batch *batch) {
    /* What is not exchanged takes two operations for each. */
    size_t taken = 2 * tycho__gathered_count(&b->gathered);
    size_t room = taken < OPERATIONS_MAX ? (OPERATIONS_MAX - taken) / 6 : 0;
    return (struct exchange){.b = b, .store = store, .batch = batch, .room = room};
}

static int complete(void *context, tycho_store *store, tycho_batch *batch) {
    tycho_backfill *b = context;
    struct exchange x = begin(b, store, batch);
    return exchange_prepared(&x);
}

int tycho__mend_complete(tycho_backfill *b, tycho_store *store, tycho_batch *batch) {
    struct exchange x = begin(b, store, batch);
    size_t at = 0;
    tycho_bytes stream;
    int status = exchange_prepared(&x);
    /* Streams that only the last events name. */
    while (status == TYCHO_OK && x.room > 0 && tycho__gathered_next(&b->gathered, &at, &stream)) {
        struct tycho__prepared prepared;
        status = tycho__prepared_get(b, stream, &prepared);
        if (status == TYCHO_OK && prepared.is_known == 0) status = exchange(&x, stream);
    }
    return status;
}

int tycho__mend_refused(tycho_backfill *b) {
    const tycho_bytes stream = tycho__text_of(b->late.name, b->late.name_size);
    if (stream.size == 0) return TYCHO_OK;
    int status = tycho__backfill_begin(b);
    if (status == TYCHO_OK) status = tycho__prepare_again(b, stream, b->late.from_start);
    if (status == TYCHO_OK) status = tycho__backfill_commit(b, &b->progress, NULL, NULL);
    if (status == TYCHO_OK) b->late.name_size = 0;
    return status;
}

/* ---------------------------------------------------------------- streams with home events */

/* Moves a part of what is beside into the stream, or into what is beside another one; `*is_over`
** when there was no more. */
static int move_part(tycho_backfill *b, tycho_bytes stream, char sign, tycho_bytes target,
                     bool *is_over) {
    char name[TYCHO__BESIDE_NAME];
    tycho_bytes beside = tycho__beside_name(b, sign, stream, name);
    struct tycho__entries_list list = {.text = {0}};
    int status = tycho__entries_read(b->store, beside, -1, &list);
    size_t all = tycho__entries_count(&list);
    size_t count = all < TYCHO__BACKFILL_PART / 2 ? all : TYCHO__BACKFILL_PART / 2;
    *is_over = count == all;
    if (status == TYCHO_OK && count > 0) {
        const tycho_bytes *ids = tycho__entries_ids(&list, 0, count);
        if (ids == NULL) {
            status = tycho__script_fail(TYCHO_NO_MEMORY, "no memory to mend a stream");
        } else if (target.size > 0) {
            status = tycho_batch_link(b->batch, target, TYCHO_EXPECT_ANY, ids, count,
                                      TYCHO_RAW | TYCHO_SKIP_DUPLICATES);
        } else if (sign == '+') {
            status = tycho_batch_link(b->batch, stream, TYCHO_EXPECT_ANY, ids, count,
                                      TYCHO_SKIP_DUPLICATES);
        } else {
            status = tycho_batch_unlink(b->batch, stream, ids, count, 0);
        }
        if (status == TYCHO_OK) {
            status = tycho_batch_unlink(b->batch, beside, ids, count, TYCHO_RAW);
        }
    }
    tycho__entries_free(&list);
    return status;
}

static int mend_home(tycho_backfill *b, tycho_bytes stream) {
    const tycho_bytes itself = {NULL, 0};
    bool is_linked = false, is_unlinked = false;
    int status = tycho__backfill_begin(b);
    if (status == TYCHO_OK) status = move_part(b, stream, '+', itself, &is_linked);
    if (status == TYCHO_OK) status = move_part(b, stream, '-', itself, &is_unlinked);
    if (status == TYCHO_OK && is_linked && is_unlinked) {
        status = forget(b, b->batch, stream, "+-=");
    }
    return status == TYCHO_OK ? tycho__backfill_commit(b, &b->progress, NULL, NULL) : status;
}

int tycho__mend_renamed(tycho_backfill *b, tycho_bytes stream, tycho_bytes target) {
    char lacking[TYCHO__BESIDE_NAME], removed[TYCHO__BESIDE_NAME];
    bool is_linked = false, is_unlinked = false;
    int status = move_part(b, stream, '+', tycho__beside_name(b, '+', target, lacking), &is_linked);
    if (status == TYCHO_OK) {
        status =
            move_part(b, stream, '-', tycho__beside_name(b, '-', target, removed), &is_unlinked);
    }
    if (status == TYCHO_OK) status = tycho__prepare_again(b, target, true);
    bool is_over = is_linked && is_unlinked;
    return status == TYCHO_OK && is_over ? forget(b, b->batch, stream, "+-=") : status;
}

/* The first stream in a table; END: there is none. */
static int find_first(tycho_backfill *b, const char *table, char name[TYCHO_NAME_MAX],
                      tycho_bytes *stream) {
    const tycho_list_options options = {
        .size = sizeof options, .list = TYCHO_LIST_ROWS, .subject = tycho__text(table), .limit = 1};
    tycho_listing *listing;
    tycho_item item;
    int status = tycho_listing_open(b->store, &options, &listing);
    if (status != TYCHO_OK) return status;
    status = tycho_listing_next(listing, &item);
    if (status == TYCHO_OK) {
        memcpy(name, item.name.data, item.name.size);
        *stream = tycho__text_of(name, item.name.size);
    }
    tycho_listing_close(listing);
    return status;
}

/* ---------------------------------------------------------------- steps */

int tycho__mend_step(tycho_backfill *b, size_t most) {
    char name[TYCHO_NAME_MAX];
    tycho_bytes stream = {NULL, 0};
    struct tycho__prepared prepared;
    struct tycho__tail tail = {.done = 0};
    int status = tycho__mend_refused(b);
    if (status == TYCHO_OK) status = tycho__prepare_step(b, most);
    if (status != TYCHO_END) return status;
    status = find_first(b, b->prepared, name, &stream);
    if (status == TYCHO_OK) status = tycho__prepared_get(b, stream, &prepared);
    if (status == TYCHO_OK && prepared.is_home == 0) { /* one may have come since */
        status = tycho__prepare_tail(b, b->store, stream, UINT64_MAX, &tail);
        prepared.is_home = tail.next.is_home;
        tycho__tail_free(&tail);
    }
    if (status != TYCHO_OK) return status;
    if (prepared.is_home != 0) return mend_home(b, stream);
    tycho__gathered_clear(&b->gathered);
    status = tycho__backfill_begin(b);
    if (status == TYCHO_OK) status = tycho__backfill_commit(b, &b->progress, complete, b);
    return status == TYCHO_OK ? tycho__mend_count(b) : status;
}

static int count_rows(tycho_backfill *b, const char *table) {
    const tycho_list_options options = {.size = sizeof options,
                                        .list = TYCHO_LIST_ROWS,
                                        .subject = tycho__text(table),
                                        .limit = COUNTED_MAX};
    tycho_listing *listing;
    tycho_item item;
    int status = tycho_listing_open(b->store, &options, &listing);
    if (status != TYCHO_OK) return status;
    while ((status = tycho_listing_next(listing, &item)) == TYCHO_OK) b->left++;
    tycho_listing_close(listing);
    return status == TYCHO_END ? TYCHO_OK : status;
}

int tycho__mend_count(tycho_backfill *b) {
    bool is_mending = b->progress.phase == TYCHO_BACKFILL_MENDING;
    b->left = 0;
    int status = count_rows(b, b->table);
    return status == TYCHO_OK && is_mending ? count_rows(b, b->prepared) : status;
}

static int forget_rows(tycho_backfill *b, const char *table, size_t *count) {
    const tycho_list_options options = {.size = sizeof options,
                                        .list = TYCHO_LIST_ROWS,
                                        .subject = tycho__text(table),
                                        .limit = FORGOTTEN_MAX};
    tycho_listing *listing;
    tycho_item item;
    int status = tycho_listing_open(b->store, &options, &listing);
    if (status != TYCHO_OK) return status;
    while ((status = tycho_listing_next(listing, &item)) == TYCHO_OK) {
        ++*count;
        status = forget(b, b->batch, item.name, "+-=");
        if (status != TYCHO_OK) break;
    }
    tycho_listing_close(listing);
    return status == TYCHO_END ? TYCHO_OK : status;
}

int tycho__mend_forget(tycho_backfill *b) {
    size_t count = 0;
    int status = tycho__backfill_begin(b);
    if (status == TYCHO_OK) status = forget_rows(b, b->table, &count);
    if (status == TYCHO_OK) status = forget_rows(b, b->prepared, &count);
    if (status != TYCHO_OK) return status;
    return count == 0 ? TYCHO_END : tycho__backfill_commit(b, &b->progress, NULL, NULL);
}
