/* follower.c - following: cursors one behind the other, and sleep where there is nothing to read.
**
** A follower has a place (cursor.h) and, while there is something to read from there, a cursor,
** which it opens with the place as key: what the name of the stream leads to is found out then, in
** the same snapshot as what to read.
**
**      no cursor --(there is news)--> READING --(the cursor is at its end)--> SPENT
**          ^                             ^                                      |
**          |                             +-----------(there is news)------------+
**          +------------------------------------------(there is none)-----------+
**
** Whether there is news is asked of the state and of the row of the stream alone, so that a wake-up
** for what others wait for costs a few microseconds. Links do not move the head: a follower looks
** after each commit. A spent cursor is kept until the next call, for the views of the last event;
** an idle follower has none and holds nothing of the store.
*/
#include <stdlib.h>
#include <unistd.h>

#include "cursor.h"
#include "watch.h"

struct tycho_follower {
    tycho_store *store;
    tycho_read read; /* as given, without what holds at the start alone */
    void *copied;    /* what it points to */
    tycho_cursor *cursor;
    bool is_spent;
    bool is_caught_up;
    bool has_bell;
    atomic_bool is_cancelled;
    tycho__place place;
    tycho__bell bell;
    uint8_t key[TYCHO_CURSOR_KEY_MAX];
};

static int check(const tycho_follower *f) {
    if (f == NULL) return tycho__fail(TYCHO_MISUSE, "the follower is NULL");
    return tycho__store_check(f->store);
}

/* ---------------------------------------------------------------- opening */

static int refuse(const char *what) {
    return tycho__fail(TYCHO_MISUSE,
                       "a follower reads forward, by position or revision, without an end: %s does "
                       "not fit",
                       what);
}

static int check_follow(const tycho_read *read) {
    static const struct {
        uint32_t flag;
        const char *name;
    } refused[] = {
        {TYCHO_READ_BACKWARD, "reading backward"},   {TYCHO_READ_FIRST, "only the first event"},
        {TYCHO_READ_LAST, "only the last event"},    {TYCHO_READ_BY_IDS, "a list of ids"},
        {TYCHO_READ_TO_POSITION, "a last position"}, {TYCHO_READ_TO_REVISION, "a last revision"},
        {TYCHO_READ_UNTIL_TIME, "a last time"}};
    if (read == NULL || read->size != sizeof *read) return TYCHO_OK; /* the cursor says */
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        if ((read->flags & refused[i].flag) != 0) return refuse(refused[i].name);
    }
    if (read->order != TYCHO_BY_POSITION) return refuse("an order by time");
    if (read->to_id.size > 0) return refuse("a last event");
    return read->snapshot == NULL ? TYCHO_OK : refuse("a snapshot");
}

static tycho_bytes copy_bytes(uint8_t **at, tycho_bytes from) {
    tycho_bytes copy = {*at, from.size};
    tycho__copy(*at, from);
    *at += from.size;
    return copy;
}

static tycho_bytes *copy_names(tycho_bytes **names, uint8_t **at, const tycho_bytes *from,
                               size_t count) {
    tycho_bytes *copy = *names;
    for (size_t i = 0; i < count; i++) copy[i] = copy_bytes(at, from[i]);
    *names += count;
    return copy;
}

static size_t size_of_names(const tycho_bytes *names, size_t count) {
    size_t size = count * sizeof *names;
    for (size_t i = 0; i < count; i++) size += names[i].size;
    return size;
}

/* Keeps the read, which a cursor was opened with, beyond this call: the query, then its items, the
** lists of their names, and all bytes. */
static int copy_read(tycho_follower *f, const tycho_read *read) {
    size_t items = read->query != NULL ? read->query->item_count : 0, name_count = 0;
    size_t size = sizeof(tycho_query) + items * sizeof(tycho_query_item) + read->stream.size;
    for (size_t i = 0; i < items; i++) {
        const tycho_query_item *item = &read->query->items[i];
        name_count += item->type_count + item->tag_count;
        size += size_of_names(item->types, item->type_count);
        size += size_of_names(item->tags, item->tag_count);
    }
    tycho_query *query = f->copied = malloc(size);
    if (query == NULL) return tycho__fail(TYCHO_NO_MEMORY, "no memory for a follower");
    tycho_query_item *copies = (tycho_query_item *)(query + 1);
    tycho_bytes *names = (tycho_bytes *)(copies + items);
    uint8_t *at = (uint8_t *)(names + name_count);
    for (size_t i = 0; i < items; i++) {
        const tycho_query_item *item = &read->query->items[i];
        copies[i] = *item;
        copies[i].types = copy_names(&names, &at, item->types, item->type_count);
        copies[i].tags = copy_names(&names, &at, item->tags, item->tag_count);
    }
    f->read = *read;
    f->read.stream = copy_bytes(&at, read->stream);
    query->items = copies;
    query->item_count = items;
    if (read->query != NULL) f->read.query = query;
    f->read.flags &= ~(uint32_t)TYCHO_READ_FROM_REVISION;
    f->read.from_id = f->read.resume = tycho__bytes(NULL, 0);
    return TYCHO_OK;
}

/* The place where a cursor that was just opened stands. A stream that has nothing is none: there
** the one that the cursor goes on from, if any, is kept. */
static void take_place(tycho_follower *f, tycho_bytes key) {
    const tycho_cursor *c = f->cursor;
    if (c->is_empty && tycho__place_decode(key, &f->place)) return;
    f->place.left = c->left;
    f->place.next = c->low;
    f->place.floor = c->position_low > 0 ? c->position_low - 1 : 0;
    f->place.name = tycho__place_name(&c->stream_name);
    f->place.stream = c->stream;
}

/* Bounds may lie in the middle of a stream: the entry in front of them is what was passed. */
static int find_passed(tycho_follower *f) {
    tycho_cursor *c = f->cursor;
    tycho__txn *txn;
    tycho__entry entry;
    f->place.passed = c->passed;
    if (c->passed != 0 || c->stream == 0 || c->low == 0) return TYCHO_OK;
    int status = tycho__cursor_begin(c, &txn);
    if (status != TYCHO_OK) return status;
    status = tycho__cursor_prepare(c, txn);
    if (status == TYCHO_OK) status = tycho__entries_back(c->walk, c->low - 1, &entry);
    if (status == TYCHO_OK) f->place.passed = entry.position;
    tycho__cursor_end(c, txn);
    return status == TYCHO_END ? TYCHO_OK : status;
}

int tycho_follower_open(tycho_store *store, const tycho_read *read, tycho_follower **out) {
    tycho_cursor *cursor;
    if (out == NULL) return tycho__fail(TYCHO_MISUSE, "no place to put the follower");
    *out = NULL;
    int status = check_follow(read);
    if (status == TYCHO_OK) status = tycho_cursor_open(store, read, &cursor);
    if (status != TYCHO_OK) return status;
    tycho_follower *f = calloc(1, sizeof *f);
    if (f == NULL) {
        tycho_cursor_close(cursor);
        return tycho__fail(TYCHO_NO_MEMORY, "no memory for a follower");
    }
    atomic_fetch_add(&store->children, 1);
    f->store = store;
    f->cursor = cursor;
    take_place(f, read->resume);
    status = copy_read(f, read);
    if (status == TYCHO_OK) status = find_passed(f);
    if (status != TYCHO_OK) {
        tycho_follower_close(f);
        return status;
    }
    *out = f;
    return TYCHO_OK;
}

/* ---------------------------------------------------------------- reading on */

/* Whether a stream has what was not looked at. Where the name leads to a stream that has nothing
** yet, the old place is kept. */
static int has_stream_news(const tycho_follower *f, tycho__txn *txn, bool *news) {
    tycho__name name;
    tycho__list list;
    int status = tycho__resolve(txn, f->read.stream, (f->read.flags & TYCHO_READ_RAW) != 0, &name);
    if (status == TYCHO_OK) {
        status = tycho__list_open(txn, TYCHO__STREAM, tycho__name_bytes(&name), &list);
    }
    if (status != TYCHO_OK) return status;
    bool is_same_name = tycho__place_name(&name) == f->place.name;
    bool is_known = is_same_name && f->place.stream == list.number;
    bool was_none = is_same_name && f->place.stream == 0;
    *news = is_known || list.count > 0;
    if (is_known || was_none) *news = *news && list.next > f->place.next;
    return TYCHO_OK;
}

static int has_news(const tycho_follower *f, bool *news) {
    tycho__txn *txn;
    int status = tycho__txn_read(f->store->env, &txn);
    if (status != TYCHO_OK) return status;
    if (f->place.name == 0) {
        *news = txn->state.head >= f->place.next;
    } else {
        status = has_stream_news(f, txn, news);
    }
    tycho__txn_done(txn);
    return status;
}

static void drop_cursor(tycho_follower *f) {
    tycho_cursor_close(f->cursor);
    f->cursor = NULL;
    f->is_spent = false;
}

static int read_on(tycho_follower *f) {
    tycho_read read = f->read;
    drop_cursor(f);
    read.resume = tycho__place_encode(&f->place, f->key);
    int status = tycho_cursor_open(f->store, &read, &f->cursor);
    if (status != TYCHO_OK) return status;
    take_place(f, read.resume);
    return TYCHO_OK;
}

/* Notes what the cursor served, damaged or not. */
static void pass(tycho_follower *f) {
    const tycho_cursor *c = f->cursor;
    if (!c->has_last) return;
    f->place.left = c->left;
    f->place.next = c->last.entry.ordinal + 1;
    f->place.passed = c->last.entry.position;
}

/* Notes that the cursor has served all that there was when it was opened. */
static void spend(tycho_follower *f) {
    f->is_spent = true;
    if (f->cursor->stream != f->place.stream ||
        tycho__place_name(&f->cursor->stream_name) != f->place.name) {
        return;
    }
    if (f->cursor->end > f->place.next) f->place.next = f->cursor->end;
    f->place.floor = 0;
}

/* The next event without waiting. TYCHO_TIMEOUT, without a sentence: there is none. */
static int look(tycho_follower *f, tycho_event *event) {
    for (;;) {
        bool news = false;
        int status = TYCHO_OK;
        if (f->place.left == 0) return TYCHO_END;
        if (f->cursor != NULL && !f->is_spent) {
            status = tycho_cursor_next(f->cursor, event);
            pass(f);
            if (status != TYCHO_END) return status;
            spend(f);
        }
        status = has_news(f, &news);
        if (status != TYCHO_OK) return status;
        if (!news) {
            drop_cursor(f);
            return TYCHO_TIMEOUT;
        }
        status = read_on(f);
        if (status != TYCHO_OK) return status;
    }
}

/* Once more, with the descriptor quiet: what came before that has been looked for then. */
static int look_quietly(tycho_follower *f, tycho_event *event) {
    if (!f->has_bell) return TYCHO_TIMEOUT;
    tycho__bell_quiet(&f->bell);
    int status = atomic_load(&f->is_cancelled) ? TYCHO_END : look(f, event);
    if (status != TYCHO_TIMEOUT) tycho__bell_ring(&f->bell);
    return status;
}

int tycho_follower_next(tycho_follower *f, int64_t timeout_ms, tycho_event *event) {
    int status = check(f);
    if (status != TYCHO_OK) return status;
    if (event == NULL) return tycho__fail(TYCHO_MISUSE, "no place to put the event");
    tycho__env *env = f->store->env;
    bool is_endless = timeout_ms < 0 || timeout_ms > INT64_MAX / 2;
    int64_t deadline = is_endless ? INT64_MAX : tycho__monotonic_ms() + timeout_ms;
    for (bool is_first = true;; is_first = false) {
        tycho__mark mark = tycho__watch_mark(env);
        if (atomic_load(&f->is_cancelled)) return TYCHO_END;
        status = look(f, event);
        bool is_told = status == TYCHO_OK || status == TYCHO_CORRUPT || status == TYCHO_TIMEOUT;
        if (is_first && is_told) f->is_caught_up = status == TYCHO_TIMEOUT;
        if (status != TYCHO_TIMEOUT) return status;
        int64_t left = deadline - (is_endless ? 0 : tycho__monotonic_ms());
        if (left <= 0) break;
        tycho__watch_sleep(env, mark, left);
    }
    status = look_quietly(f, event);
    if (status != TYCHO_TIMEOUT) return status;
    return tycho__fail(TYCHO_TIMEOUT, "no event to follow in %lld ms", (long long)timeout_ms);
}

/* ---------------------------------------------------------------- the rest */

tycho_cursor *tycho_follower_cursor(tycho_follower *f) {
    return f == NULL ? NULL : f->cursor;
}

int tycho_follower_is_caught_up(const tycho_follower *f) {
    return f != NULL && f->is_caught_up;
}

int tycho_follower_key(tycho_follower *f, tycho_bytes *key) {
    if (key == NULL) return tycho__fail(TYCHO_MISUSE, "no place to put the key");
    int status = check(f);
    if (status == TYCHO_OK) *key = tycho__place_encode(&f->place, f->key);
    return status;
}

int tycho_follower_descriptor(tycho_follower *f, int *descriptor) {
    if (descriptor == NULL) return tycho__fail(TYCHO_MISUSE, "no place to put the descriptor");
    *descriptor = -1;
    int status = check(f);
    if (status == TYCHO_OK && !f->has_bell) status = tycho__bell_hang(f->store->env, &f->bell);
    if (status != TYCHO_OK) return status;
    f->has_bell = true;
    *descriptor = f->bell.fd;
    return TYCHO_OK;
}

void tycho_follower_cancel(tycho_follower *f) {
    if (f == NULL || tycho__store_check(f->store) != TYCHO_OK) return;
    atomic_store(&f->is_cancelled, true);
    tycho__watch_disturb(f->store->env);
}

void tycho_follower_close(tycho_follower *f) {
    if (f == NULL) return;
    bool is_ours = tycho__env_check(f->store->env) == TYCHO_OK;
    if (f->has_bell && is_ours) tycho__bell_take_down(f->store->env, &f->bell);
    if (f->has_bell && !is_ours) close(f->bell.fd); /* the child's copy; there is no thread */
    tycho_cursor_close(f->cursor);
    atomic_fetch_sub(&f->store->children, 1);
    free(f->copied);
    free(f);
}
