/* check.c - see check.h. Called in a process of its own, which the store may take down. */
#include "check.h"

#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include "tycho.h"
#include "tycho_scripts.h"

const char *const FINDING_NAMES[FINDINGS] = {"good",    "lost",  "closed", "hurt",
                                             "strange", "stuck", "crashed"};

static tycho_bytes text(const char *string) {
    return (tycho_bytes){string, strlen(string)};
}

static void find(struct verdict *verdict, enum finding finding, const char *what) {
    verdict->finding = finding;
    snprintf(verdict->text, sizeof verdict->text, "%s", what);
}

/* ---------------------------------------------------------------- the state of a store */

struct sum {
    tycho_store *store;
    XXH3_state_t *hash;
};

static void add_number(struct sum *sum, uint64_t number) {
    XXH3_64bits_update(sum->hash, &number, sizeof number);
}

static void add_bytes(struct sum *sum, tycho_bytes bytes) {
    add_number(sum, bytes.size);
    if (bytes.size > 0) XXH3_64bits_update(sum->hash, bytes.data, bytes.size);
}

static void add_event(struct sum *sum, const tycho_event *event) {
    add_number(sum, event->position);
    add_number(sum, (uint64_t)event->revision);
    add_number(sum, (uint64_t)event->time);
    add_number(sum, (uint64_t)event->valid_time);
    add_bytes(sum, event->id);
    add_bytes(sum, event->type);
    add_bytes(sum, event->correlation_id);
    add_bytes(sum, event->metadata);
    add_bytes(sum, event->data);
}

/* The whole log with tags, or the entries of a stream. */
static int add_events(struct sum *sum, tycho_bytes stream) {
    tycho_read read = {
        .size = sizeof read, .stream = stream, .flags = TYCHO_READ_STORED | TYCHO_READ_RAW};
    tycho_cursor *cursor = NULL;
    tycho_event event;
    tycho_bytes tag;
    bool is_log = stream.size == 0;
    int status = tycho_cursor_open(sum->store, &read, &cursor);
    while (status == TYCHO_OK) {
        status = tycho_cursor_next(cursor, &event);
        if (status != TYCHO_OK) break;
        if (is_log)
            add_event(sum, &event);
        else
            add_bytes(sum, event.id), add_number(sum, (uint64_t)event.revision);
        for (uint32_t i = 0; is_log && i < event.tag_count && status == TYCHO_OK; i++) {
            status = tycho_cursor_tag(cursor, i, &tag);
            if (status == TYCHO_OK) add_bytes(sum, tag);
        }
    }
    tycho_cursor_close(cursor);
    return status == TYCHO_END ? TYCHO_OK : status;
}

static int add_list(struct sum *sum, enum tycho_list list, const char *subject) {
    tycho_list_options options = {.size = sizeof options, .list = list, .subject = text(subject)};
    tycho_listing *listing = NULL;
    tycho_item item;
    int status = tycho_listing_open(sum->store, &options, &listing);
    while (status == TYCHO_OK) {
        status = tycho_listing_next(listing, &item);
        if (status != TYCHO_OK) break;
        add_bytes(sum, item.name);
        add_bytes(sum, item.value);
        add_number(sum, item.count);
        add_number(sum, (uint64_t)item.revision);
        add_number(sum, item.version);
        add_number(sum, item.position);
        add_number(sum, item.is_closed);
        if (list == TYCHO_LIST_STREAMS) status = add_events(sum, item.name);
    }
    tycho_listing_close(listing);
    return status == TYCHO_END ? TYCHO_OK : status;
}

/* Everything that the store tells about itself but the size of its file. */
static int add_all(struct sum *sum, const tycho_stats *stats) {
    int status = add_events(sum, text(""));
    for (int list = TYCHO_LIST_STREAMS; list <= TYCHO_LIST_CHECKPOINTS; list++) {
        if (status == TYCHO_OK) status = add_list(sum, (enum tycho_list)list, "");
    }
    if (status == TYCHO_OK) status = add_list(sum, TYCHO_LIST_ROWS, "power");
    if (status == TYCHO_OK) status = add_list(sum, TYCHO_LIST_ROWS, TYCHO_SCRIPTS);
    const uint64_t counts[] = {stats->format, stats->events, stats->sequence, stats->streams,
                               stats->types,  stats->tags,   stats->links,    stats->entries,
                               stats->rows,   stats->routes};
    XXH3_64bits_update(sum->hash, counts, sizeof counts);
    return status;
}

static int read_state(tycho_store *store, struct verdict *verdict) {
    tycho_stats stats = {.size = sizeof stats};
    struct sum sum = {.store = store, .hash = XXH3_createState()};
    if (sum.hash == NULL) return TYCHO_NO_MEMORY;
    XXH3_64bits_reset(sum.hash);
    int status = tycho_stats_get(store, &stats);
    if (status == TYCHO_OK) status = add_all(&sum, &stats);
    verdict->sequence = stats.sequence;
    verdict->hash = XXH3_64bits_digest(sum.hash);
    XXH3_freeState(sum.hash);
    return status;
}

/* TYCHO_CORRUPT, with a sentence, when it complains. */
static int verify(tycho_store *store) {
    tycho_verification *verification = NULL;
    tycho_finding finding = {.findings = 0};
    int status = tycho_verification_open(store, &verification);
    while (status == TYCHO_OK) {
        status = tycho_verification_step(verification, &finding);
        if (finding.text.size > 0) {
            char said[300];
            snprintf(said, sizeof said, "%.*s", (int)finding.text.size,
                     (const char *)finding.text.data);
            tycho_set_error(said);
            status = TYCHO_CORRUPT;
        }
    }
    tycho_verification_close(verification);
    return status == TYCHO_END ? TYCHO_OK : status;
}

static int open_store(const char *path, bool is_there, tycho_store **store) {
    tycho_options options = {.size = sizeof options,
                             .mode = is_there ? TYCHO_EXISTING : TYCHO_CREATE,
                             .reserve_size = 1};
    int status = tycho_store_open(path, &options, store);
    return status == TYCHO_OK ? tycho_scripts_attach(*store) : status;
}

static int open_and_read(const char *path, bool is_there, tycho_store **store,
                         struct verdict *verdict) {
    int status = open_store(path, is_there, store);
    if (status != TYCHO_OK) {
        find(verdict, FOUND_CLOSED, tycho_error());
        return status;
    }
    status = read_state(*store, verdict);
    if (status == TYCHO_OK) status = verify(*store);
    if (status != TYCHO_OK) find(verdict, FOUND_HURT, tycho_error());
    return status;
}

void look(const char *path, struct verdict *verdict) {
    tycho_store *store = NULL;
    open_and_read(path, false, &store, verdict);
    tycho_store_close(store);
}

/* ---------------------------------------------------------------- judging */

static void judge_state(const struct known *known, struct verdict *verdict) {
    uint64_t sequence = verdict->sequence;
    char said[200];
    if (sequence >= known->state_count || known->states[sequence] != verdict->hash) {
        snprintf(said, sizeof said, "it holds %llu batches, but not those that were written",
                 (unsigned long long)sequence);
        find(verdict, FOUND_STRANGE, said);
    } else if (sequence < known->needed) {
        snprintf(said, sizeof said, "it holds %llu batches, and %llu must be there",
                 (unsigned long long)sequence, (unsigned long long)known->needed);
        find(verdict, FOUND_LOST, said);
    }
}

/* Appends an event and takes a lock. */
static int write_on(tycho_store *store, const struct known *known, uint64_t sequence) {
    tycho_new_event event = {
        .id = text("after the power cut"), .type = text("checked"), .data = text("data")};
    const tycho_receipt *receipt = NULL;
    tycho_batch *batch = NULL;
    tycho_lock *lock = NULL;
    int status = tycho_batch_create(&batch);
    if (status == TYCHO_OK) {
        status = tycho_batch_append(batch, text("checked"), TYCHO_EXPECT_NONE, &event, 1, 0);
    }
    if (status == TYCHO_OK) status = tycho_commit(store, batch, &receipt);
    if (status == TYCHO_OK && receipt->sequence != sequence + 1) {
        tycho_set_error("the next batch has not the next number");
        status = TYCHO_CORRUPT;
    }
    tycho_batch_destroy(batch);
    if (status != TYCHO_OK || known->token == 0) return status;
    status = tycho_lock_take(store, text("checked"), 0, &lock, NULL);
    if (status == TYCHO_OK && tycho_lock_token(lock) <= known->token) {
        tycho_set_error("a token of a lock is given twice");
        status = TYCHO_CORRUPT;
    }
    tycho_lock_release(lock);
    return status;
}

void judge(const char *path, const struct known *known, struct verdict *verdict) {
    tycho_store *store = NULL;
    uint64_t position, sequence;
    int status = open_and_read(path, known->is_there, &store, verdict);
    if (status == TYCHO_OK) judge_state(known, verdict);
    if (status != TYCHO_OK || verdict->finding == FOUND_STRANGE) {
        tycho_store_close(store);
        return;
    }
    sequence = verdict->sequence;
    status = write_on(store, known, sequence);
    tycho_store_close(store);
    if (status == TYCHO_OK) status = open_store(path, true, &store);
    if (status == TYCHO_OK) {
        status = tycho_event_position(store, text("after the power cut"), &position);
        if (status == TYCHO_OK && known->is_thorough) status = verify(store);
        tycho_store_close(store);
    }
    if (status != TYCHO_OK) find(verdict, FOUND_STUCK, tycho_error());
}
