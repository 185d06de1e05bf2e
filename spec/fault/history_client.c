/* history_client.c - a process whose threads do random things to a store and write down what they
** asked for and what they were answered, for spec/fault/serial.lua to judge.
**
**     history_client STORE DIRECTORY NAME THREADS OPERATIONS SEED SYNC follow|alone
**
** Each thread appends to DIRECTORY/NAME-THREAD.history, one write(2) a line, lines of Lua:
**
**     {"i",number,time,{kind="batch",id=...,conditions={...},operations={...}}}   before it asks
**     {"r",number,time,{status="ok",...}}                                          with the answer
**
** Times are nanoseconds of the machine's monotonic clock. A line that was cut off is none; what has
** no answer has an unknown outcome. Conditions and operations are calls of a batch of the Lua API.
** Each batch puts a row "ops"/ID, whose version tells in the end which batch of the store it was.
** With `follow` one more thread follows the log, from where DIRECTORY/follower.history ends, and
** writes {"f",0,time,position,"id"} there.
*/
#include <fcntl.h>

#include "history_words.h"

/* ---------------------------------------------------------------- conditions */

static void expect(struct client *c, const char *stream) {
    int64_t version;
    must(tycho_stream_version(run.store, text(stream), 0, &version), "a version");
    if (chance(c, 10)) version++;
    must(tycho_batch_expect(c->batch, text(stream), version, 0), "expect");
    if (version < 0) {
        say(&c->conditions, "{\"expect\",\"%s\",\"none\"},", stream);
    } else {
        say(&c->conditions, "{\"expect\",\"%s\",%" PRId64 "},", stream, version);
    }
}

/* The append condition of a dynamic consistency boundary. */
static void expect_none(struct client *c) {
    char type[8], tag[8];
    uint64_t head;
    pick(c, type, 't', TYPES);
    pick(c, tag, 'g', TAGS);
    const tycho_bytes types[] = {text(type)}, tags[] = {text(tag)};
    const tycho_query_item item = {types, 1, tags, 1};
    const tycho_query query = {&item, 1};
    must(tycho_head(run.store, &head), "the head");
    if (chance(c, 20) && head > 0) head--;
    must(tycho_batch_expect_none(c->batch, &query, head), "expect_none");
    say(&c->conditions, "{\"expect_none\",{types={\"%s\"},tags={\"%s\"}},%" PRIu64 "},", type, tag,
        head);
}

static void expect_checkpoint(struct client *c) {
    uint64_t position = below(c, 3);
    must(tycho_batch_expect_checkpoint(c->batch, text("c1"), position), "expect_checkpoint");
    say(&c->conditions, "{\"expect_checkpoint\",\"c1\",%" PRIu64 "},", position);
}

/* ---------------------------------------------------------------- operations */

static void add_append(struct client *c) {
    char stream[8], ids[3][ID_SIZE], types[3][8], tags[3][8];
    tycho_new_event events[3];
    tycho_bytes tag_bytes[3];
    unsigned count = 1 + below(c, 3);
    pick_stream(c, stream);
    if (chance(c, 50)) expect(c, stream);
    say(&c->operations, "{\"append\",\"%s\",{", stream);
    memset(events, 0, sizeof events);
    for (unsigned i = 0; i < count; i++) {
        snprintf(ids[i], sizeof ids[i], "%s-%ld-%d", c->name, c->number, c->events++);
        if (below(c, 60) == 0) pick_event(c, ids[i]);
        pick(c, types[i], 't', TYPES);
        pick(c, tags[i], 'g', TAGS);
        tag_bytes[i] = text(tags[i]);
        events[i].id = text(ids[i]);
        events[i].type = text(types[i]);
        events[i].tags = &tag_bytes[i];
        events[i].tag_count = 1;
        say(&c->operations, "{id=\"%s\",type=\"%s\",tags={\"%s\"}},", ids[i], types[i], tags[i]);
    }
    must(tycho_batch_append(c->batch, text(stream), TYCHO_EXPECT_ANY, events, count, 0), "append");
    say(&c->operations, "}},");
}

static void add_link(struct client *c) {
    char stream[8], id[ID_SIZE];
    pick_stream(c, stream);
    pick_event(c, id);
    tycho_bytes ids[] = {text(id)};
    bool skips = chance(c, 60);
    must(tycho_batch_link(c->batch, text(stream), TYCHO_EXPECT_ANY, ids, 1,
                          skips ? TYCHO_SKIP_DUPLICATES : 0),
         "link");
    say(&c->operations, "{\"link\",\"%s\",{\"%s\"},{on_duplicate=\"%s\"}},", stream, id,
        skips ? "skip" : "error");
}

static void add_removal(struct client *c) {
    char stream[8], id[ID_SIZE];
    int64_t version;
    pick_stream(c, stream);
    unsigned what = below(c, 4);
    if (what == 0) {
        must(tycho_batch_delete_stream(c->batch, text(stream), 0), "delete_stream");
        say(&c->operations, "{\"delete_stream\",\"%s\"},", stream);
    } else if (what == 1) {
        must(tycho_stream_version(run.store, text(stream), 0, &version), "a version");
        version = version < 5 ? 0 : version - 5;
        must(tycho_batch_truncate(c->batch, text(stream), version, 0), "truncate");
        say(&c->operations, "{\"truncate\",\"%s\",%" PRId64 "},", stream, version);
    } else {
        pick_event(c, id);
        tycho_bytes ids[] = {text(id)};
        must(tycho_batch_unlink(c->batch, text(stream), ids, 1, 0), "unlink");
        say(&c->operations, "{\"unlink\",\"%s\",{\"%s\"}},", stream, id);
    }
}

/* Points a route to another stream, one time in two with links to what another has: a switch. */
static void add_switch(struct client *c) {
    char route[8], stream[8], source[8];
    pick(c, route, 'r', ROUTES);
    pick(c, stream, 's', STREAMS);
    pick(c, source, 's', STREAMS);
    bool is_closed = chance(c, 15), keeps = chance(c, 20);
    if (chance(c, 50) && strcmp(stream, source) != 0) {
        uint32_t flags = TYCHO_SKIP_DUPLICATES | (keeps ? TYCHO_KEEP_REVISIONS : 0u);
        must(tycho_batch_link_range(c->batch, text(source), 0, -1, text(stream), TYCHO_EXPECT_ANY,
                                    flags),
             "link_range");
        say(&c->operations,
            "{\"link_range\",\"%s\",0,-1,\"%s\",{on_duplicate=\"skip\",keep_revisions=%s}},",
            source, stream, keeps ? "true" : "false");
    }
    must(tycho_batch_set_route(c->batch, text(route), text(stream), is_closed ? TYCHO_CLOSED : 0),
         "set_route");
    say(&c->operations, "{\"set_route\",\"%s\",\"%s\",{closed=%s}},", route, stream,
        is_closed ? "true" : "false");
}

/* Where a row is, and its version; 0 when it is not there. */
static uint64_t row_version(tycho_snapshot *snapshot, const char *key) {
    tycho_list_options options = {.size = sizeof options,
                                  .snapshot = snapshot,
                                  .list = TYCHO_LIST_ROWS,
                                  .exact = 1,
                                  .subject = text("rows"),
                                  .prefix = text(key)};
    tycho_listing *listing;
    tycho_item item;
    must(tycho_listing_open(run.store, &options, &listing), "a row");
    uint64_t version = tycho_listing_next(listing, &item) == TYCHO_OK ? item.version : 0;
    tycho_listing_close(listing);
    return version;
}

static void add_row(struct client *c) {
    char key[8];
    pick(c, key, 'k', ROWS);
    if (chance(c, 70)) {
        uint64_t version = row_version(NULL, key);
        must(tycho_batch_expect_row(c->batch, text("rows"), text(key), version), "expect_row");
        say(&c->conditions, "{\"expect_row\",\"rows\",\"%s\",%" PRIu64 "},", key, version);
    }
    if (chance(c, 15)) {
        must(tycho_batch_delete_row(c->batch, text("rows"), text(key)), "delete_row");
        say(&c->operations, "{\"delete_row\",\"rows\",\"%s\"},", key);
    } else {
        must(tycho_batch_put_row(c->batch, text("rows"), text(key), text("\1")), "put_row");
        say(&c->operations, "{\"put_row\",\"rows\",\"%s\",1},", key);
    }
}

static void add_checkpoint(struct client *c) {
    uint64_t position = below(c, 3);
    if (chance(c, 60)) expect_checkpoint(c);
    must(tycho_batch_set_checkpoint(c->batch, text("c1"), position), "set_checkpoint");
    say(&c->operations, "{\"set_checkpoint\",\"c1\",%" PRIu64 "},", position);
}

/* ---------------------------------------------------------------- writing */

static void say_receipt(struct client *c, int status, const tycho_receipt *receipt) {
    say(&c->line, "{status=\"%s\"", tycho_status_code(status));
    if (status == TYCHO_WRONG_EXPECTED_VERSION || status == TYCHO_CONDITION_FAILED) {
        say(&c->line, ",actual=%" PRId64, receipt->actual);
    }
    if (status == TYCHO_OK) {
        say(&c->line, ",sequence=%" PRIu64 ",head=%" PRIu64 ",results={", receipt->sequence,
            receipt->head);
        for (size_t i = 0; i < receipt->result_count; i++) {
            const tycho_result *result = &receipt->results[i];
            say(&c->line, "{%" PRIu64 ",%" PRIu64 ",%" PRId64 "},", result->count,
                result->first_position, result->first_revision);
        }
        say(&c->line, "}");
    }
    say(&c->line, "}}");
}

/* Commits what was added; `token` is that of a lock that the batch demands, or 0. */
static void commit(struct client *c, const char *lock, uint64_t token) {
    char id[ID_SIZE];
    const tycho_receipt *receipt = NULL;
    snprintf(id, sizeof id, "%s-%ld", c->name, c->number);
    must(tycho_batch_put_row(c->batch, text("ops"), text(id), text("\1")), "put_row");
    if (token != 0) {
        must(tycho_batch_expect_lock(c->batch, text(lock), token), "expect_lock");
    }
    begin_line(c, "i");
    say(&c->line, "{kind=\"batch\",id=\"%s\",", id);
    if (token != 0) say(&c->line, "lock=\"%s\",token=%" PRIu64 ",", lock, token);
    say(&c->line, "conditions={%s},operations={%s{\"put_row\",\"ops\",\"%s\",1}}}}",
        c->conditions.bytes, c->operations.bytes, id);
    put_line(c);
    int status = tycho_commit(run.store, c->batch, &receipt);
    begin_line(c, "r");
    say_receipt(c, status, receipt);
    put_line(c);
    snprintf(id, sizeof id, "%s-%ld-0", c->name, c->number);
    if (status == TYCHO_OK && c->events > 0) know(c, text(id));
}

static void begin_batch(struct client *c) {
    tycho_batch_clear(c->batch);
    c->conditions.size = c->operations.size = 0;
    c->conditions.bytes[0] = c->operations.bytes[0] = '\0';
    c->number++;
    c->events = 0;
}

static void write_something(struct client *c) {
    begin_batch(c);
    unsigned count = chance(c, 60) ? 1 : 2 + below(c, 2);
    if (chance(c, 15)) expect_none(c);
    for (unsigned i = 0; i < count; i++) {
        unsigned what = below(c, 100);
        if (what < 50) {
            add_append(c);
        } else if (what < 68) {
            add_link(c);
        } else if (what < 74) {
            add_removal(c);
        } else if (what < 80) {
            add_switch(c);
        } else if (what < 93) {
            add_row(c);
        } else {
            add_checkpoint(c);
        }
    }
    commit(c, NULL, 0);
}

/* ---------------------------------------------------------------- locks */

static void say_lock(struct client *c, const char *kind, const char *name) {
    begin_line(c, "i");
    say(&c->line, "{kind=\"%s\",name=\"%s\"}}", kind, name);
    put_line(c);
}

/* Takes a lock, writes under it, releases it, and sometimes writes too late. */
static void write_locked(struct client *c) {
    char name[8];
    tycho_lock *lock;
    pick(c, name, 'l', LOCKS);
    c->number++;
    say_lock(c, "lock", name);
    int status = tycho_lock_take(run.store, text(name), (int64_t)below(c, 20), &lock, NULL);
    uint64_t token = status == TYCHO_OK ? tycho_lock_token(lock) : 0;
    begin_line(c, "r");
    say(&c->line, "{status=\"%s\",token=%" PRIu64 "}}", tycho_status_code(status), token);
    put_line(c);
    if (status == TYCHO_TIMEOUT) return;
    must(status, "a lock");
    for (unsigned i = below(c, 3); i > 0; i--) {
        begin_batch(c);
        add_row(c);
        commit(c, name, token);
    }
    c->number++;
    say_lock(c, "release", name);
    tycho_lock_release(lock);
    begin_line(c, "r");
    say(&c->line, "{status=\"ok\"}}");
    put_line(c);
    if (chance(c, 20)) {
        begin_batch(c);
        add_row(c);
        commit(c, name, token);
    }
}

/* ---------------------------------------------------------------- reading */

/* What is asked for is said in `parts` before, and the answer in the line after it. */
static void read_events(struct client *c, tycho_snapshot *snapshot, const char *stream,
                        uint64_t after, const tycho_query *query) {
    tycho_read read = {.size = sizeof read, .snapshot = snapshot, .query = query};
    tycho_cursor *cursor;
    tycho_event event;
    if (stream != NULL) read.stream = text(stream);
    if (after > 0) {
        read.flags = TYCHO_READ_FROM_POSITION;
        read.from_position = after;
    }
    if (stream == NULL) read.limit = 20;
    must(tycho_cursor_open(run.store, &read, &cursor), "a read");
    say(&c->line, "\"");
    while (tycho_cursor_next(cursor, &event) == TYCHO_OK) {
        say(&c->line, "%.*s@%" PRId64 " ", (int)event.id.size, (const char *)event.id.data,
            stream != NULL ? event.revision : (int64_t)event.position);
        if (below(c, 8) == 0) know(c, event.id);
    }
    say(&c->line, "\",");
    tycho_cursor_close(cursor);
}

struct part {
    unsigned kind; /* 0 stream, 1 log, 2 query, 3 row, 4 count of a stream */
    char name[8], tag[8];
    uint64_t after;
};

static void choose_part(struct client *c, struct part *part) {
    part->kind = below(c, 5);
    part->after = 0;
    if (part->kind == 1) {
        must(tycho_head(run.store, &part->after), "the head");
        unsigned back = below(c, 12);
        part->after = part->after > back ? part->after - back : 0;
        say(&c->line, "{\"log\",%" PRIu64 "},", part->after);
    } else if (part->kind == 2) {
        pick(c, part->name, 't', TYPES);
        pick(c, part->tag, 'g', TAGS);
        must(tycho_head(run.store, &part->after), "the head");
        part->after = part->after > 30 ? part->after - 30 : 0;
        say(&c->line, "{\"query\",\"%s\",\"%s\",%" PRIu64 "},", part->name, part->tag, part->after);
    } else if (part->kind == 3) {
        pick(c, part->name, 'k', ROWS);
        say(&c->line, "{\"row\",\"%s\"},", part->name);
    } else {
        pick_stream(c, part->name);
        say(&c->line, "{\"%s\",\"%s\"},", part->kind == 0 ? "stream" : "count", part->name);
    }
}

static void answer_part(struct client *c, tycho_snapshot *snapshot, const struct part *part) {
    const tycho_bytes types[] = {text(part->name)}, tags[] = {text(part->tag)};
    const tycho_query_item item = {types, 1, tags, 1};
    const tycho_query query = {&item, 1};
    tycho_read read = {.size = sizeof read, .snapshot = snapshot, .stream = text(part->name)};
    uint64_t count;
    switch (part->kind) {
    case 0:
        read_events(c, snapshot, part->name, 0, NULL);
        break;
    case 1:
        read_events(c, snapshot, NULL, part->after, NULL);
        break;
    case 2:
        read_events(c, snapshot, NULL, part->after, &query);
        break;
    case 3:
        say(&c->line, "%" PRIu64 ",", row_version(snapshot, part->name));
        break;
    default:
        must(tycho_count(run.store, &read, &count), "a count");
        say(&c->line, "%" PRIu64 ",", count);
    }
}

/* One read, or several in one snapshot. */
static void read_something(struct client *c) {
    struct part parts[3];
    tycho_snapshot *snapshot = NULL;
    memset(parts, 0, sizeof parts);
    unsigned count = chance(c, 60) ? 1 : 2 + below(c, 2);
    c->number++;
    begin_line(c, "i");
    say(&c->line, "{kind=\"read\",parts={");
    for (unsigned i = 0; i < count; i++) choose_part(c, &parts[i]);
    say(&c->line, "}}}");
    /* what chose the parts may have looked at a later store than the beginning of the line says,
    ** which only makes the time of the read longer than it was */
    put_line(c);
    /* a stream is read in pages, each at its own instant, unless there is a snapshot */
    if (count > 1 || parts[0].kind == 0) must(tycho_snapshot_open(run.store, &snapshot), "open");
    say(&c->line, "{status=\"ok\",answers={");
    for (unsigned i = 0; i < count; i++) answer_part(c, snapshot, &parts[i]);
    say(&c->line, "}}}");
    tycho_snapshot_close(snapshot);
    struct text answer = c->line;
    c->line.size = 0;
    begin_line(c, "r");
    say(&c->line, "%.*s", (int)answer.size, answer.bytes);
    put_line(c);
}

/* ---------------------------------------------------------------- following */

/* The position of the last whole line that an earlier process wrote. */
static uint64_t followed_position(const char *path) {
    char line[256];
    uint64_t last = 0, position;
    FILE *file = fopen(path, "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        bool is_whole = strchr(line, '\n') != NULL;
        if (is_whole && sscanf(line, "{\"f\",0,%*d,%" SCNu64, &position) == 1) last = position;
    }
    if (file != NULL) fclose(file);
    return last;
}

static void *follow(void *context) {
    struct client *c = context;
    char path[512];
    tycho_follower *follower;
    tycho_event event;
    tycho_read read = {.size = sizeof read, .flags = TYCHO_READ_FROM_POSITION};
    snprintf(path, sizeof path, "%s/follower.history", run.directory);
    read.from_position = followed_position(path);
    c->file = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (c->file < 0) die(path);
    must(tycho_follower_open(run.store, &read, &follower), "a follower");
    for (;;) {
        bool is_last = atomic_load(&run.writers_left) == 0;
        int status = tycho_follower_next(follower, is_last ? 0 : 20, &event);
        if (status == TYCHO_TIMEOUT && is_last) break;
        if (status == TYCHO_TIMEOUT) continue;
        must(status, "following");
        begin_line(c, "f");
        say(&c->line, "%" PRIu64 ",\"%.*s\"}", event.position, (int)event.id.size,
            (const char *)event.id.data);
        put_line(c);
    }
    tycho_follower_close(follower);
    close(c->file);
    return NULL;
}

/* ---------------------------------------------------------------- the threads */

static void *work(void *context) {
    struct client *c = context;
    char path[512];
    snprintf(path, sizeof path, "%s/%s.history", run.directory, c->name);
    c->file = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (c->file < 0) die(path);
    must(tycho_batch_create(&c->batch), "a batch");
    while (c->number < run.operations) {
        unsigned what = below(c, 100);
        if (what < 55) {
            write_something(c);
        } else if (what < 63) {
            write_locked(c);
        } else {
            read_something(c);
        }
    }
    tycho_batch_destroy(c->batch);
    close(c->file);
    atomic_fetch_sub(&run.writers_left, 1);
    return NULL;
}

static void run_threads(int count, bool follows) {
    struct client *clients = calloc((size_t)count + 1, sizeof *clients);
    if (clients == NULL) die("no memory");
    atomic_store(&run.writers_left, count);
    int all = count + (follows ? 1 : 0);
    for (int i = 0; i < all; i++) {
        struct client *c = &clients[i];
        snprintf(c->name, sizeof c->name, "%s-%d", run.name, i + 1);
        c->random = run.seed * 1000003 + (uint64_t)i;
        if (pthread_create(&c->thread, NULL, i < count ? work : follow, c) != 0) die("a thread");
    }
    for (int i = 0; i < all; i++) pthread_join(clients[i].thread, NULL);
    free(clients);
}

int main(int argc, char **argv) {
    tycho_options options = {.size = sizeof options, .mode = TYCHO_EXISTING};
    if (argc != 9) {
        fprintf(stderr,
                "history_client STORE DIRECTORY NAME THREADS OPERATIONS SEED SYNC FOLLOW\n");
        return 2;
    }
    run.directory = argv[2];
    run.name = argv[3];
    run.operations = atol(argv[5]);
    run.seed = strtoull(argv[6], NULL, 10);
    options.sync = strcmp(argv[7], "full") == 0      ? TYCHO_SYNC_FULL
                   : strcmp(argv[7], "batched") == 0 ? TYCHO_SYNC_BATCHED
                                                     : TYCHO_SYNC_NONE;
    must(tycho_store_open(argv[1], &options, &run.store), "opening");
    printf("working\n");
    fflush(stdout);
    run_threads(atoi(argv[4]), strcmp(argv[8], "follow") == 0);
    tycho_store_close(run.store);
    return 0;
}
