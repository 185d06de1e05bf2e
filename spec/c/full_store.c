/* full_store.c - making a store that has everything, and asking it everything; see full_store.h. */
#include "full_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LARGE = 9000, LOCKS = 5 };

static uint64_t random_state;

static uint64_t below(uint64_t limit) {
    random_state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = random_state;
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (z ^ z >> 31) % limit;
}

/* A name that is good until the fourth call behind it. */
static tycho_bytes numbered(const char *word, uint64_t number) {
    static char names[4][64];
    static unsigned next;
    char *name = names[next++ % 4];
    int size = snprintf(name, sizeof names[0], "%s-%llu", word, (unsigned long long)number);
    return (tycho_bytes){name, (size_t)size};
}

static tycho_bytes text(const char *string) {
    return (tycho_bytes){string, strlen(string)};
}

/* The id of the event at a position: text, or a UUID. */
static tycho_bytes id_of(uint64_t position) {
    static char ids[4][64];
    static unsigned next;
    char *id = ids[next++ % 4];
    int size = snprintf(id, sizeof ids[0],
                        position % 3 == 0 ? "event-%llu" : "0190163d-8694-739b-aea5-%012llx",
                        (unsigned long long)position);
    return (tycho_bytes){id, (size_t)size};
}

/* ---------------------------------------------------------------- making */

static int expand(void *context, tycho_store *store, uint64_t rules, tycho_batch *batch) {
    (void)context, (void)store, (void)rules, (void)batch;
    return TYCHO_OK;
}

int full_store_open(const char *path, uint32_t mode, tycho_store **store) {
    const tycho_options options = {.size = sizeof options,
                                   .mode = mode,
                                   .sync = TYCHO_SYNC_NONE,
                                   .map_size = 1u << 30,
                                   .reserve_size = 1};
    const tycho_hooks hooks = {.size = sizeof hooks, .expand = expand};
    int status = tycho_store_open(path, &options, store);
    if (status == TYCHO_OK) status = tycho_store_set_hooks(*store, &hooks);
    return status;
}

static int add_event(tycho_batch *b, uint64_t position) {
    static char data[LARGE * 3];
    tycho_bytes tags[3];
    uint32_t tag_count = (uint32_t)below(4);
    char tag_names[3][16];
    for (uint32_t i = 0; i < tag_count; i++) {
        int size =
            snprintf(tag_names[i], sizeof tag_names[i], "tag-%u", (unsigned)below(FULL_TAGS));
        tags[i] = (tycho_bytes){tag_names[i], (size_t)size};
    }
    size_t size = below(12) == 0 ? LARGE + below(LARGE) : below(300);
    for (size_t i = 0; i < size; i++) data[i] = (char)below(256);
    tycho_new_event event = {.id = id_of(position),
                             .type = numbered("type", below(FULL_TYPES)),
                             .flags = TYCHO_HAS_TIME,
                             .time = (int64_t)position * 1000,
                             .tag_count = tag_count,
                             .tags = tags,
                             .data = {data, size},
                             .metadata = {data, size / 7}};
    if (below(3) == 0) event.flags |= TYCHO_HAS_VALID_TIME;
    if (below(3) == 0) event.valid_time = (int64_t)below(100000);
    if (below(5) == 0) event.content_type = text("text/plain");
    if (below(4) == 0 && position > 1) event.causation_id = id_of(1 + below(position - 1));
    /* Some streams are long, most are short, some events are in none. */
    uint64_t stream = below(3) == 0 ? below(3) : below(FULL_STREAMS);
    tycho_bytes name = stream == FULL_STREAMS - 1 ? text("") : numbered("stream", stream);
    return tycho_batch_append(b, name, TYCHO_EXPECT_ANY, &event, 1, TYCHO_RAW);
}

static int add_links(tycho_batch *b, uint64_t head) {
    int status = TYCHO_OK;
    tycho_bytes stream = numbered("stream", below(FULL_STREAMS - 1));
    for (uint64_t i = below(8); i > 0 && status == TYCHO_OK && head > 0; i--) {
        tycho_bytes id = id_of(1 + below(head));
        status = tycho_batch_link(b, stream, TYCHO_EXPECT_ANY, &id, 1,
                                  TYCHO_RAW | TYCHO_SKIP_DUPLICATES);
    }
    return status;
}

static int add_rows(tycho_batch *b) {
    char value[600];
    size_t size = below(sizeof value);
    memset(value, (int)below(256), size);
    tycho_bytes table = numbered("table", below(FULL_TABLES)),
                key = numbered("key", below(FULL_KEYS));
    if (below(9) == 0) return tycho_batch_delete_row(b, table, key);
    return tycho_batch_put_row(b, table, key, (tycho_bytes){value, size});
}

static int add_settings(tycho_batch *b, uint64_t head) {
    char metadata[40];
    memset(metadata, 'a' + (int)below(26), sizeof metadata);
    tycho_bytes stream = numbered("stream", below(FULL_STREAMS - 1));
    int status = tycho_batch_set_checkpoint(b, numbered("checkpoint", below(FULL_NAMES)), head);
    if (status == TYCHO_OK) {
        status = tycho_batch_set_route(b, numbered("route", below(FULL_NAMES)), stream,
                                       below(2) == 0 ? TYCHO_CLOSED : 0);
    }
    if (status != TYCHO_OK) return status;
    return tycho_batch_set_stream_metadata(b, stream, (tycho_bytes){metadata, 1 + below(39)},
                                           TYCHO_RAW);
}

static int add_edits(tycho_batch *b, uint64_t head) {
    tycho_bytes stream = numbered("stream", below(FULL_STREAMS - 1));
    tycho_new_event changed = {.id = id_of(1 + below(head)),
                               .type = numbered("type", below(FULL_TYPES)),
                               .data = text("redacted")};
    switch (below(4)) {
    case 0:
        return tycho_batch_overwrite(b, &changed, 1);
    case 1:
        return tycho_batch_truncate(b, stream, (int64_t)below(12), TYCHO_RAW);
    case 2:
        return tycho_batch_delete_stream(b, stream, TYCHO_RAW);
    default:
        return tycho_batch_link_range(b, numbered("stream", below(3)), (int64_t)below(9), -1,
                                      numbered("image", below(FULL_NAMES)), TYCHO_EXPECT_ANY,
                                      TYCHO_RAW | TYCHO_SKIP_DUPLICATES);
    }
}

static int commit_one(tycho_store *store, tycho_batch *b, uint64_t *head) {
    const tycho_receipt *receipt;
    tycho_batch_clear(b);
    uint64_t position = *head;
    int status = TYCHO_OK;
    for (uint64_t i = below(6); i > 0 && status == TYCHO_OK; i--) status = add_event(b, ++position);
    if (status == TYCHO_OK && below(2) == 0) status = add_links(b, position);
    if (status == TYCHO_OK && below(2) == 0) status = add_rows(b);
    if (status == TYCHO_OK && below(2) == 0) status = add_settings(b, *head);
    if (status == TYCHO_OK && below(9) == 0 && *head > 0) status = add_edits(b, *head);
    if (status == TYCHO_OK && position == *head) status = add_rows(b);
    if (status == TYCHO_OK) status = tycho_commit(store, b, &receipt);
    if (status == TYCHO_OK) *head = receipt->head;
    return status;
}

/* Writes under locks, so that there are fences, and deploys a script. */
static int make_rules(tycho_store *store, tycho_batch *b) {
    int status = TYCHO_OK;
    for (uint64_t i = 0; i < LOCKS && status == TYCHO_OK; i++) {
        tycho_lock *lock;
        tycho_bytes name = numbered("lock", i);
        status = tycho_lock_take(store, name, 0, &lock, NULL);
        if (status != TYCHO_OK) return status;
        tycho_batch_clear(b);
        status = tycho_batch_expect_lock(b, name, tycho_lock_token(lock));
        if (status == TYCHO_OK) status = add_rows(b);
        if (status == TYCHO_OK) status = tycho_commit(store, b, NULL);
        tycho_lock_release(lock);
    }
    tycho_batch_clear(b);
    if (status == TYCHO_OK) status = tycho_batch_deploy(b, text("script"), text("the script"));
    return status == TYCHO_OK ? tycho_commit(store, b, NULL) : status;
}

int full_store_make(const char *path, uint64_t seed, int batches) {
    tycho_store *store = NULL;
    tycho_batch *b = NULL;
    uint64_t head = 0;
    random_state = seed;
    int status = full_store_open(path, TYCHO_CREATE, &store);
    if (status == TYCHO_OK) status = tycho_batch_create(&b);
    if (status == TYCHO_OK) status = make_rules(store, b);
    for (int i = 0; i < batches && status == TYCHO_OK; i++) {
        status = commit_one(store, b, &head);
        if (status == TYCHO_DUPLICATE_ENTRY) status = TYCHO_OK;
    }
    tycho_batch_destroy(b);
    tycho_store_close(store);
    return status;
}

int full_store_append(tycho_store *store) {
    tycho_batch *b;
    const tycho_new_event event = {.type = text("new"), .data = text("new")};
    int status = tycho_batch_create(&b);
    if (status != TYCHO_OK) return status;
    status = tycho_batch_append(b, text("new"), TYCHO_EXPECT_ANY, &event, 1, 0);
    if (status == TYCHO_OK) status = tycho_commit(store, b, NULL);
    tycho_batch_destroy(b);
    return status;
}

/* ---------------------------------------------------------------- asking */

static void hash_bytes(answer *a, const void *data, size_t size) {
    const unsigned char *at = data;
    for (size_t i = 0; i < size; i++) a->hash = (a->hash ^ at[i]) * 0x100000001b3u;
    a->hash = (a->hash ^ size) * 0x100000001b3u;
}

static void hash_number(answer *a, uint64_t number) {
    hash_bytes(a, &number, sizeof number);
}

static int hash_event(answer *a, tycho_cursor *cursor, const tycho_event *event) {
    const tycho_bytes parts[] = {event->id,           event->type,     event->correlation_id,
                                 event->causation_id, event->metadata, event->content_type,
                                 event->data};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        hash_bytes(a, parts[i].data, parts[i].size);
    }
    hash_number(a, event->position);
    hash_number(a, (uint64_t)event->revision);
    hash_number(a, (uint64_t)event->time);
    hash_number(a, (uint64_t)event->valid_time);
    hash_number(a, event->is_link);
    tycho_bytes name;
    int status = tycho_cursor_stream(cursor, &name);
    if (status == TYCHO_OK) hash_bytes(a, name.data, name.size);
    for (uint32_t i = 0; i < event->tag_count && status == TYCHO_OK; i++) {
        status = tycho_cursor_tag(cursor, i, &name);
        if (status == TYCHO_OK) hash_bytes(a, name.data, name.size);
    }
    return status;
}

static void ask_read(tycho_store *store, const tycho_read *read, answer *a) {
    tycho_cursor *cursor;
    tycho_event event;
    a->status = tycho_cursor_open(store, read, &cursor);
    if (a->status != TYCHO_OK) return;
    int status;
    do {
        status = tycho_cursor_next(cursor, &event);
        if (status == TYCHO_OK) status = hash_event(a, cursor, &event);
        if (status == TYCHO_OK) a->count++;
    } while (status == TYCHO_OK);
    a->status = status == TYCHO_END ? TYCHO_OK : status;
    tycho_cursor_close(cursor);
}

static void ask_list(tycho_store *store, const tycho_list_options *options, answer *a) {
    tycho_listing *listing;
    tycho_item item;
    a->status = tycho_listing_open(store, options, &listing);
    if (a->status != TYCHO_OK) return;
    int status;
    for (status = tycho_listing_next(listing, &item); status == TYCHO_OK;
         status = tycho_listing_next(listing, &item)) {
        hash_bytes(a, item.name.data, item.name.size);
        hash_bytes(a, item.value.data, item.value.size);
        hash_number(a, item.count);
        hash_number(a, (uint64_t)item.revision);
        hash_number(a, item.version);
        hash_number(a, item.position);
        hash_number(a, item.is_closed);
        a->count++;
    }
    a->status = status == TYCHO_END ? TYCHO_OK : status;
    tycho_listing_close(listing);
}

/* What the questions are about, in their order; how many there are of each. */
enum about {
    LOG,
    POSITION_OF,
    STREAMS_OF,
    STREAM,
    VERSION,
    METADATA,
    IMAGE,
    TYPE,
    TAG,
    ROW,
    ROUTE,
    CHECKPOINT,
    DIRECTORY,
    HEAD,
    ABOUTS
};
static const char *const ABOUT[ABOUTS] = {"the event at position",
                                          "the position of event",
                                          "the streams of event",
                                          "the stream",
                                          "the version of stream",
                                          "the metadata of stream",
                                          "the image",
                                          "the events of type",
                                          "the events with tag",
                                          "the row",
                                          "the route",
                                          "the checkpoint",
                                          "the directory of kind",
                                          "the head"};

static uint64_t how_many(uint64_t head, enum about about) {
    switch (about) {
    case LOG:
    case POSITION_OF:
    case STREAMS_OF:
        return head;
    case STREAM:
    case VERSION:
    case METADATA:
        return FULL_STREAMS;
    case TYPE:
        return FULL_TYPES;
    case TAG:
        return FULL_TAGS;
    case ROW:
        return FULL_TABLES * FULL_KEYS;
    case DIRECTORY:
        return TYCHO_LIST_CHECKPOINTS + 1;
    case HEAD:
        return 1;
    default:
        return FULL_NAMES;
    }
}

static enum about find_about(uint64_t head, size_t question, uint64_t *number) {
    enum about about = LOG;
    *number = question;
    while (*number >= how_many(head, about)) *number -= how_many(head, about++);
    return about;
}

size_t full_store_question_count(uint64_t head) {
    size_t count = 0;
    for (enum about about = LOG; about < ABOUTS; about++) count += how_many(head, about);
    return count;
}

size_t full_store_log_question(uint64_t position) {
    return position - 1;
}

void full_store_question(uint64_t head, size_t question, char *words, size_t size) {
    uint64_t number;
    enum about about = find_about(head, question, &number);
    snprintf(words, size, "%s %llu", ABOUT[about],
             (unsigned long long)(about <= STREAMS_OF ? number + 1 : number));
}

static void ask_query(tycho_store *store, tycho_bytes *type, tycho_bytes *tag, answer *a) {
    const tycho_query_item item = {type, type != NULL, tag, tag != NULL};
    const tycho_query query = {&item, 1};
    const tycho_read read = {.size = sizeof read, .query = &query, .flags = TYCHO_READ_RAW};
    ask_read(store, &read, a);
}

static void ask_position(tycho_store *store, uint64_t number, answer *a) {
    uint64_t position = 0;
    a->status = tycho_event_position(store, id_of(number + 1), &position);
    hash_number(a, position);
}

static void ask_version(tycho_store *store, tycho_bytes stream, answer *a) {
    int64_t revision = -2;
    a->status = tycho_stream_version(store, stream, TYCHO_RAW, &revision);
    hash_number(a, (uint64_t)revision);
}

static void ask(tycho_store *store, enum about about, uint64_t number, answer *a) {
    tycho_read read = {.size = sizeof read, .flags = TYCHO_READ_RAW};
    tycho_list_options list = {.size = sizeof list, .exact = 1};
    tycho_bytes name;
    switch (about) {
    case LOG:
        read.flags |= TYCHO_READ_FROM_POSITION;
        read.from_position = number;
        read.limit = 1;
        ask_read(store, &read, a);
        return;
    case POSITION_OF:
        ask_position(store, number, a);
        return;
    case STREAMS_OF:
        list = (tycho_list_options){
            .size = sizeof list, .list = TYCHO_LIST_STREAMS_OF, .subject = id_of(number + 1)};
        break;
    case STREAM:
    case IMAGE:
        read.stream = numbered(about == STREAM ? "stream" : "image", number);
        ask_read(store, &read, a);
        return;
    case VERSION:
        ask_version(store, numbered("stream", number), a);
        return;
    case METADATA:
        list.list = TYCHO_LIST_STREAMS;
        list.prefix = numbered("stream", number);
        break;
    case TYPE:
    case TAG:
        name = numbered(about == TYPE ? "type" : "tag", number);
        ask_query(store, about == TYPE ? &name : NULL, about == TAG ? &name : NULL, a);
        return;
    case ROW:
        list.list = TYCHO_LIST_ROWS;
        list.subject = numbered("table", number / FULL_KEYS);
        list.prefix = numbered("key", number % FULL_KEYS);
        break;
    case ROUTE:
    case CHECKPOINT:
        list.list = about == ROUTE ? TYCHO_LIST_ROUTES : TYCHO_LIST_CHECKPOINTS;
        list.prefix = numbered(about == ROUTE ? "route" : "checkpoint", number);
        break;
    case DIRECTORY:
        list = (tycho_list_options){.size = sizeof list, .list = (uint32_t)number};
        break;
    default:
        a->status = tycho_head(store, &a->hash);
        return;
    }
    ask_list(store, &list, a);
}

void full_store_ask(tycho_store *store, uint64_t head, answer *answers, volatile uint64_t *at) {
    size_t count = full_store_question_count(head);
    for (size_t i = 0; i < count; i++) {
        uint64_t number;
        enum about about = find_about(head, i, &number);
        *at = i;
        answers[i] = (answer){.hash = 0xcbf29ce484222325u};
        ask(store, about, number, &answers[i]);
    }
}
