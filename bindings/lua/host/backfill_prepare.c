/* backfill_prepare.c - streams that are in use are made anew beside themselves.
**
** What a stream will be are its entries and those it lacks ('+'), less those it has too much ('-'),
** in the order of positions. They are linked into the stream '=', batch by batch, up to some entry
** of the stream; what came behind that is added when others have written to it since, again and
** again, so that little is left in the end (backfill_mend.c).
**
**     named in `table` --(its last links)--> in `prepared` --(another link is lacking)--> in both
**
** A stream that is in `table` is to be prepared, or prepared further. Its row in `prepared` says
** how far it is: MessagePack, an array of the numbers of struct tycho__prepared. Entries that were
** taken out of the stream since, or its deletion, are noticed by these, and it begins anew. A
** stream with home events is not made anew.
*/
#include <string.h>

#include "backfill.h"

enum { GROUP_MAX = 500, FIELDS = 8 };

/* ---------------------------------------------------------------- rows */

static void forget_prepared(struct tycho__prepared *prepared) {
    *prepared = (struct tycho__prepared){.revision = -1, .lacking = -1, .removed = -1};
}

static void list_fields(struct tycho__prepared *p, int64_t *fields[FIELDS]) {
    int64_t *const list[FIELDS] = {&p->copied,  &p->revision, &p->entries, &p->last,
                                   &p->lacking, &p->removed,  &p->is_home, &p->is_known};
    memcpy(fields, list, sizeof list);
}

static int parse(tycho_bytes value, struct tycho__prepared *prepared) {
    struct tycho__msgpack_reader reader = {value.data, value.size, 0};
    struct tycho__msgpack_token token;
    int64_t *fields[FIELDS];
    list_fields(prepared, fields);
    bool is_good = tycho__msgpack_next(&reader, &token) == TYCHO__MSGPACK_OK &&
                   token.kind == TYCHO__MSGPACK_ARRAY && token.count == FIELDS;
    for (size_t i = 0; i < FIELDS && is_good; i++) {
        is_good = tycho__msgpack_next(&reader, &token) == TYCHO__MSGPACK_OK &&
                  token.kind == TYCHO__MSGPACK_INTEGER;
        if (is_good) *fields[i] = token.integer;
    }
    if (is_good) return TYCHO_OK;
    return tycho__script_fail(TYCHO_CORRUPT, "a row of a stream that is made anew is damaged");
}

int tycho__prepared_get(tycho_backfill *b, tycho_bytes stream, struct tycho__prepared *prepared) {
    struct tycho_buffer value = {NULL, 0, 0, 0};
    uint64_t version;
    forget_prepared(prepared);
    int status = tycho__backfill_row(b->store, b->prepared, stream, &value, &version);
    if (status == TYCHO_OK) {
        status = parse(tycho__text_of(value.data, value.size), prepared);
    }
    tycho__payload_free(&value);
    return status == TYCHO_NOT_FOUND ? TYCHO_OK : status;
}

static int put_prepared(tycho_backfill *b, tycho_bytes stream, struct tycho__prepared *prepared) {
    struct tycho_buffer value = {NULL, 0, 0, 0};
    int64_t *fields[FIELDS];
    prepared->is_known = 1;
    list_fields(prepared, fields);
    tycho__msgpack_put_array(&value, FIELDS);
    for (size_t i = 0; i < FIELDS; i++) tycho__msgpack_put_integer(&value, *fields[i]);
    int status = tycho_batch_put_row(b->batch, tycho__text(b->prepared), stream,
                                     tycho__text_of(value.data, value.size));
    if (value.failed != 0) status = tycho__script_fail(TYCHO_NO_MEMORY, "no memory for a row");
    tycho__payload_free(&value);
    if (status != TYCHO_OK) return status;
    return tycho_batch_delete_row(b->batch, tycho__text(b->table), stream);
}

int tycho__prepare_again(tycho_backfill *b, tycho_bytes stream, bool from_start) {
    char name[TYCHO__BESIDE_NAME];
    int status = tycho_batch_put_row(b->batch, tycho__text(b->table), stream, tycho__text(""));
    if (status != TYCHO_OK || !from_start) return status;
    status =
        tycho_batch_delete_stream(b->batch, tycho__beside_name(b, '=', stream, name), TYCHO_RAW);
    if (status != TYCHO_OK) return status;
    return tycho_batch_delete_row(b->batch, tycho__text(b->prepared), stream);
}

/* ---------------------------------------------------------------- what came since */

/* Goes through the entries behind what was prepared, up to the first event that is younger than
** `limit`; `*behind` is how many there are in all. */
static int walk_tail(tycho_cursor *cursor, const struct tycho__prepared *before, uint64_t limit,
                     struct tycho__tail *tail, int64_t *behind) {
    struct tycho__prepared *next = &tail->next;
    bool is_over = false, is_first_there = before->revision < 0;
    tycho_event event;
    int status;
    while ((status = tycho_cursor_next(cursor, &event)) == TYCHO_OK) {
        if (event.revision == before->revision) {
            is_first_there = event.position == (uint64_t)before->last;
        }
        if (event.revision <= before->revision) continue;
        ++*behind;
        if (event.is_link == 0) next->is_home = 1;
        is_over = is_over || event.position > limit;
        if (is_over) continue;
        next->revision = event.revision;
        next->entries++;
        next->last = (int64_t)event.position;
        status = tycho__entries_put(&tail->list, event.id, event.position);
        if (status != TYCHO_OK) return status;
    }
    tail->is_other = !is_first_there;
    return status == TYCHO_END ? TYCHO_OK : status;
}

/* Reads what the stream has behind what was prepared; the count tells whether entries in front of
** that are gone. */
static int read_tail(tycho_store *store, tycho_bytes stream, const struct tycho__prepared *before,
                     uint64_t limit, struct tycho__tail *tail) {
    tycho_read all = {.size = sizeof all, .stream = stream}, read;
    uint64_t entries = 0;
    int64_t behind = 0;
    tycho_cursor *cursor = NULL;
    int status = tycho_snapshot_open(store, &all.snapshot);
    if (status != TYCHO_OK) return status;
    read = all;
    read.flags = TYCHO_READ_STORED | TYCHO_READ_FROM_REVISION;
    read.from_revision = before->revision > 0 ? before->revision - 1 : -1;
    status = tycho_count(store, &all, &entries);
    int64_t more = (int64_t)entries - before->entries;
    tail->is_long = tail->most > 0 && more > (int64_t)tail->most;
    if (status == TYCHO_OK && !tail->is_long) {
        status = tycho_cursor_open(store, &read, &cursor);
        if (status == TYCHO_OK) status = walk_tail(cursor, before, limit, tail, &behind);
        tycho_cursor_close(cursor);
        if (behind != more) tail->is_other = true;
    }
    tycho_snapshot_close(all.snapshot);
    return status;
}

/* Reads a stream beside, behind what was used of it. */
static int read_beside(tycho_backfill *b, tycho_store *store, char sign, tycho_bytes stream,
                       int64_t *used, struct tycho__entries_list *list) {
    char name[TYCHO__BESIDE_NAME];
    tycho_bytes beside = tycho__beside_name(b, sign, stream, name);
    int status = tycho__entries_read(store, beside, *used, list);
    return status == TYCHO_OK ? tycho_stream_version(store, beside, TYCHO_RAW, used) : status;
}

int tycho__prepare_tail(tycho_backfill *b, tycho_store *store, tycho_bytes stream, uint64_t limit,
                        struct tycho__tail *tail) {
    struct tycho__prepared before;
    int status = tycho__prepared_get(b, stream, &before);
    tail->next = before;
    if (status == TYCHO_OK && before.is_home == 0) {
        status = read_tail(store, stream, &before, limit, tail);
    }
    bool is_wanted = tail->next.is_home == 0 && !tail->is_other && !tail->is_long;
    if (status != TYCHO_OK || !is_wanted) return status;
    status = read_beside(b, store, '+', stream, &tail->next.lacking, &tail->list);
    if (status != TYCHO_OK) return status;
    return read_beside(b, store, '-', stream, &tail->next.removed, &tail->removed);
}

void tycho__tail_free(struct tycho__tail *tail) {
    tycho__entries_free(&tail->list);
    tycho__entries_free(&tail->removed);
    memset(tail, 0, sizeof *tail);
}

/* ---------------------------------------------------------------- a large stream */

/* How much of the list the stream '=' has already, because a process was ended in between. It must
** be the beginning of the list: others may have taken entries out of it, or put them there. */
static int find_done(tycho_backfill *b, tycho_bytes stream, struct tycho__tail *tail) {
    char name[TYCHO__BESIDE_NAME];
    struct tycho__entries_list there = {.text = {0}};
    tycho_bytes beside = tycho__beside_name(b, '=', stream, name);
    int64_t version;
    int status = tycho_stream_version(b->store, beside, TYCHO_RAW, &version);
    if (status == TYCHO_OK) {
        status = tycho__entries_read(b->store, beside, tail->next.copied - 1, &there);
    }
    if (status != TYCHO_OK) version = -1;
    const struct tycho__list_entry *wanted = tycho__entries_of(&tail->list);
    const size_t count = tycho__entries_count(&tail->list);
    tail->done = tycho__entries_count(&there);
    tail->is_other = version + 1 < tail->next.copied || tail->done > count;
    for (size_t i = 0; i < tail->done && !tail->is_other; i++) {
        tail->is_other = tycho__entries_of(&there)[i].position != wanted[i].position;
    }
    tycho__entries_free(&there);
    return status;
}

/* Adds as much of the tail as there is room; with all of it, its row. */
static int add_part(tycho_backfill *b, tycho_bytes stream, struct tycho__tail *tail, size_t room) {
    char name[TYCHO__BESIDE_NAME];
    size_t left = tycho__entries_count(&tail->list) - tail->done;
    size_t part = left < room ? left : room;
    int status = tycho__entries_link(&tail->list, b->batch,
                                     tycho__beside_name(b, '=', stream, name), tail->done, part);
    if (status != TYCHO_OK || part < left) return status;
    tail->next.copied += (int64_t)tycho__entries_count(&tail->list);
    return put_prepared(b, stream, &tail->next);
}

/* Goes on with the stream that did not fit into one batch. */
static int go_on(tycho_backfill *b, size_t room) {
    struct tycho__current *current = &b->current;
    size_t left = tycho__entries_count(&current->tail.list) - current->tail.done;
    int status = tycho__backfill_begin(b);
    if (status == TYCHO_OK) {
        status =
            add_part(b, tycho__text_of(current->name, current->name_size), &current->tail, room);
    }
    if (status == TYCHO_OK) status = tycho__backfill_commit(b, &b->progress, NULL, NULL);
    if (status == TYCHO_OK && left > room) {
        current->tail.done += room;
    } else {
        tycho__current_drop(b);
    }
    return status;
}

void tycho__current_drop(tycho_backfill *b) {
    tycho__tail_free(&b->current.tail);
    b->current.name_size = 0;
}

/* ---------------------------------------------------------------- many streams */

/* What is beside a stream that has another name by now goes to that one, in a batch of its own: END
** otherwise. */
static int follow_name(tycho_backfill *b, tycho_bytes stream, bool is_first, size_t *room,
                       bool *is_renamed) {
    char name[TYCHO_NAME_MAX];
    tycho_bytes resolved;
    int status = tycho_route_resolve(b->store, stream, &resolved);
    if (status != TYCHO_OK) return status;
    *is_renamed = !tycho__same(resolved, stream);
    if (!*is_renamed) return TYCHO_OK;
    if (!is_first) return TYCHO_END;
    memcpy(name, resolved.data, resolved.size);
    *room = 0;
    return tycho__mend_renamed(b, stream, tycho__text_of(name, resolved.size));
}

/* Adds one stream to the batch; `*room` is what is left of it. END: it does not fit. */
static int add_stream(tycho_backfill *b, tycho_bytes stream, uint64_t limit, bool is_first,
                      size_t *room) {
    struct tycho__tail tail = {.done = 0};
    bool is_renamed = false;
    int status = follow_name(b, stream, is_first, room, &is_renamed);
    if (status != TYCHO_OK || is_renamed) return status;
    status = tycho__prepare_tail(b, b->store, stream, limit, &tail);
    bool is_home = tail.next.is_home != 0;
    if (status == TYCHO_OK && !is_home && !tail.is_other) {
        tycho__entries_subtract(&tail.list, &tail.removed);
        status = find_done(b, stream, &tail);
    }
    size_t left = tycho__entries_count(&tail.list) - tail.done;
    if (status != TYCHO_OK) {
        tycho__tail_free(&tail);
    } else if (tail.is_other) {
        status = tycho__prepare_again(b, stream, true);
    } else if (is_home) {
        status = put_prepared(b, stream, &tail.next);
    } else if (left <= *room) {
        status = add_part(b, stream, &tail, *room);
        *room -= left;
    } else if (is_first) {
        status = add_part(b, stream, &tail, *room);
        memcpy(b->current.name, stream.data, stream.size);
        b->current.name_size = stream.size;
        tail.done += *room;
        *room = 0;
        b->current.tail = tail;
        return status;
    } else {
        status = TYCHO_END;
    }
    tycho__tail_free(&tail);
    return status;
}

int tycho__prepare_step(tycho_backfill *b, size_t most) {
    const tycho_list_options options = {.size = sizeof options,
                                        .list = TYCHO_LIST_ROWS,
                                        .subject = tycho__text(b->table),
                                        .limit = GROUP_MAX};
    uint64_t limit =
        b->progress.phase == TYCHO_BACKFILL_MENDING ? UINT64_MAX : (uint64_t)b->progress.position;
    size_t room = most / 2 + 1, count = 0; /* a link costs more than an event that is read */
    tycho_listing *listing;
    tycho_item item;
    if (b->current.name_size > 0) return go_on(b, room);
    int status = tycho_listing_open(b->store, &options, &listing);
    if (status != TYCHO_OK) return status;
    status = tycho__backfill_begin(b);
    while (status == TYCHO_OK && room > 0) {
        status = tycho_listing_next(listing, &item);
        if (status == TYCHO_OK) status = add_stream(b, item.name, limit, count == 0, &room);
        if (status == TYCHO_OK) count++;
    }
    tycho_listing_close(listing);
    if (status == TYCHO_END && count == 0) return status;
    b->left -= count < b->left ? count : b->left;
    if (status == TYCHO_END || status == TYCHO_OK) {
        status = tycho__backfill_commit(b, &b->progress, NULL, NULL);
    }
    if (status != TYCHO_OK) tycho__current_drop(b);
    return status;
}
