/* deployment.c - what is deployed and what shall be: a plan, and the batch that carries it out. See
** section 4 of tycho_scripts.h for what it writes.
*/
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "backfill.h"
#include "rules.h"

struct entry {
    tycho_change change;
    struct tycho__definition *definition; /* of the new script, or NULL */
    const tycho_script_about *about;      /* of the new script, or of the one to remove; or NULL */
    uint32_t planned;                     /* the change that settle() refused; or 0 */
    char name[TYCHO_NAME_MAX + 1];        /* where there is no definition: the label */
    char message[512];
};

struct tycho_deployment {
    struct tycho__rules *rules;
    int64_t history; /* the last revision of "$scripts" under these rules */
    struct entry **entries;
    size_t count;
    bool is_settled; /* the lines were checked against each other */
    size_t filling_size;
    char filling[TYCHO_NAME_MAX]; /* a linker that is being back-filled; no size: none is */
};

static int no_memory(void) {
    return tycho__script_fail(TYCHO_NO_MEMORY, "no memory for a deployment");
}

/* The rules, and what is expected of the history: each deployment changes both. */
static int look(tycho_store *store, tycho_deployment *deployment) {
    uint64_t version = 0;
    deployment->history = -1;
    if (store == NULL) return tycho__rules_none(&deployment->rules);
    for (;;) {
        int status = tycho__store_rules(store, &deployment->rules);
        if (status != TYCHO_OK) return status;
        status =
            tycho_stream_version(store, tycho__scripts_stream(), TYCHO_RAW, &deployment->history);
        if (status == TYCHO_OK) status = tycho_rules_version(store, &version);
        if (status == TYCHO_OK && version == deployment->rules->version) return TYCHO_OK;
        tycho__rules_release(deployment->rules);
        deployment->rules = NULL;
        if (status != TYCHO_OK) return status;
    }
}

/* Looks for a linker that is being back-filled: one with a row "linker/NAME". */
static int look_for_filling(tycho_store *store, tycho_deployment *deployment) {
    static const char prefix[] = "linker/";
    const tycho_list_options options = {.size = sizeof options,
                                        .list = TYCHO_LIST_ROWS,
                                        .subject = tycho__text(TYCHO__BACKFILLS),
                                        .prefix = tycho__text(prefix)};
    tycho_listing *listing;
    tycho_item item;
    if (store == NULL) return TYCHO_OK;
    int status = tycho_listing_open(store, &options, &listing);
    if (status != TYCHO_OK) return status;
    status = tycho_listing_next(listing, &item);
    if (status == TYCHO_OK && item.name.size < sizeof prefix - 1 + TYCHO_NAME_MAX) {
        deployment->filling_size = item.name.size - (sizeof prefix - 1);
        memcpy(deployment->filling, (const char *)item.name.data + sizeof prefix - 1,
               deployment->filling_size);
    }
    tycho_listing_close(listing);
    return status == TYCHO_END ? TYCHO_OK : status;
}

int tycho_deployment_open(tycho_store *store, tycho_deployment **out) {
    if (out == NULL) return tycho__script_fail(TYCHO_MISUSE, "no place to put the deployment");
    *out = NULL;
    tycho_deployment *deployment = calloc(1, sizeof *deployment);
    if (deployment == NULL) return no_memory();
    int status = look(store, deployment);
    if (status == TYCHO_OK) status = look_for_filling(store, deployment);
    if (status == TYCHO_OK) {
        *out = deployment;
    } else {
        tycho_deployment_close(deployment);
    }
    return status;
}

void tycho_deployment_close(tycho_deployment *deployment) {
    if (deployment == NULL) return;
    for (size_t i = 0; i < deployment->count; i++) {
        tycho__definition_release(deployment->entries[i]->definition);
        free(deployment->entries[i]);
    }
    tycho__rules_release(deployment->rules);
    free(deployment->entries);
    free(deployment);
}

static struct entry *add_entry(tycho_deployment *deployment) {
    struct entry **grown =
        realloc(deployment->entries, (deployment->count + 1) * sizeof *deployment->entries);
    if (grown == NULL) return NULL;
    deployment->entries = grown;
    struct entry *entry = calloc(1, sizeof *entry);
    if (entry != NULL) grown[deployment->count++] = entry;
    deployment->is_settled = false;
    return entry;
}

/* Without a line it is that where the definition begins. */
static void refuse(struct entry *entry, int64_t line, const char *message) {
    if (line == 0 && entry->definition != NULL) line = entry->definition->line;
    snprintf(entry->message, sizeof entry->message, "%s", message);
    entry->change.change = TYCHO_CHANGE_REFUSED;
    entry->change.line = line;
}

/* ---------------------------------------------------------------- planning */

/* Whether an event type has the name, as its own or as a former one. */
static bool has_name(const tycho_script_about *about, tycho_bytes name) {
    if (tycho__same(about->name, name)) return true;
    for (size_t i = 0; i < about->former_name_count; i++) {
        if (tycho__same(about->former_names[i], name)) return true;
    }
    return false;
}

static bool has_two(const tycho_deployment *deployment, const struct entry *entry) {
    for (size_t i = 0; i < deployment->count; i++) {
        const struct entry *other = deployment->entries[i];
        if (other == entry || other->about == NULL) continue;
        if (tycho__same(other->about->key, entry->about->key)) return true;
    }
    return false;
}

/* The highest version under which events of the type were written, or could be; its former names
** are its own. */
static int64_t highest_version(const tycho_deployment *deployment,
                               const tycho_script_about *about) {
    int64_t highest = 0;
    for (size_t i = 0; i < deployment->rules->boundary_count; i++) {
        const struct tycho__boundary *boundary = &deployment->rules->boundaries[i];
        if (boundary->version > highest && has_name(about, boundary->name)) {
            highest = boundary->version;
        }
    }
    return highest;
}

/* Whether this version of the event type was deployed, before it was removed, with another
** source. */
static bool had_another_source(const tycho_deployment *deployment,
                               const tycho_script_about *about) {
    uint64_t source = XXH3_64bits(about->source.data, about->source.size);
    for (size_t i = deployment->rules->boundary_count; i-- > 0;) {
        const struct tycho__boundary *boundary = &deployment->rules->boundaries[i];
        if (boundary->version != about->version) continue;
        if (tycho__same(boundary->name, about->name)) return boundary->source != source;
    }
    return false;
}

static void check_version(const tycho_deployment *deployment, struct entry *entry,
                          bool is_rollback) {
    char message[200];
    const tycho_change *change = &entry->change;
    int64_t highest = change->old_version;
    int64_t line = tycho__definition_line(entry->definition, "version");
    bool is_type = change->kind == TYCHO_EVENT_TYPE;
    if (is_type) highest = highest_version(deployment, entry->about);
    if (change->old_version == change->version) {
        snprintf(message, sizeof message, "the source has changed and the version is still %lld",
                 (long long)change->version);
        refuse(entry, line, message);
        return;
    }
    if (is_type && had_another_source(deployment, entry->about)) {
        snprintf(message, sizeof message, "version %lld was deployed with another source",
                 (long long)change->version);
        refuse(entry, line, message);
        return;
    }
    if (change->version >= highest) return;
    if (is_rollback && !is_type) return;
    snprintf(message, sizeof message, "version %lld is below version %lld, which was deployed",
             (long long)change->version, (long long)highest);
    refuse(entry, line, message);
}

/* The first line that is not UTF-8; 0: all are. */
static int64_t find_odd_line(tycho_bytes source) {
    const char *at = source.data, *end = at + source.size;
    if (tycho__utf8_check(source.data, source.size)) return 0;
    for (int64_t line = 1;; line++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        if (stop == NULL || !tycho__utf8_check(at, (size_t)(stop - at))) return line;
        at = stop + 1;
    }
}

static void compare(const tycho_deployment *deployment, struct entry *entry, bool is_rollback) {
    const tycho_script_about *about = &entry->definition->about;
    const tycho_script_about *old = tycho__rules_about(deployment->rules, about->key);
    tycho_change *change = &entry->change;
    entry->about = about;
    change->kind = about->kind;
    change->name = about->name;
    change->version = about->version;
    change->source = about->source;
    change->change = old == NULL ? TYCHO_CHANGE_NEW : TYCHO_CHANGE_CHANGED;
    if (old != NULL) {
        change->old_version = old->version;
        change->old_source = old->source;
    }
    if (old != NULL && tycho__same(old->source, about->source)) {
        change->change = TYCHO_CHANGE_UNCHANGED;
    } else {
        check_version(deployment, entry, is_rollback);
    }
    if (has_two(deployment, entry)) {
        refuse(entry, tycho__definition_line(entry->definition, "name"),
               "two scripts of the plan have this name");
    }
    int64_t odd_line = find_odd_line(about->source);
    if (odd_line > 0) refuse(entry, odd_line, "the source is not UTF-8");
}

int tycho_deployment_put(tycho_deployment *deployment, tycho_bytes label, tycho_bytes source,
                         int is_rollback) {
    if (deployment == NULL || (source.data == NULL && source.size > 0)) {
        return tycho__script_fail(TYCHO_MISUSE, "the deployment or the source is NULL");
    }
    struct entry *entry = add_entry(deployment);
    if (entry == NULL) return no_memory();
    if (label.size == 0) label = tycho__text("script");
    if (label.size > TYCHO_NAME_MAX) label.size = TYCHO_NAME_MAX;
    int status = tycho__definition_compile(label, source, &entry->definition);
    if (status == TYCHO_OK) {
        compare(deployment, entry, is_rollback != 0);
        return TYCHO_OK;
    }
    if (status != TYCHO_REJECTED) {
        deployment->count--;
        free(entry);
        return status;
    }
    memcpy(entry->name, label.data, label.size);
    entry->change.name = tycho__text_of(entry->name, label.size);
    refuse(entry, tycho_scripts_error()->line, tycho_scripts_error()->message);
    return TYCHO_OK;
}

int tycho_deployment_remove(tycho_deployment *deployment, int kind, tycho_bytes name) {
    if (deployment == NULL || name.size > TYCHO_NAME_MAX) {
        return tycho__script_fail(TYCHO_MISUSE, "the deployment is NULL or the name too long");
    }
    char key[TYCHO_NAME_MAX + 32];
    int size = snprintf(key, sizeof key, "%s/%.*s", tycho_script_kind_name(kind), (int)name.size,
                        (const char *)name.data);
    const tycho_script_about *old =
        tycho__rules_about(deployment->rules, tycho__text_of(key, (size_t)size));
    struct entry *entry = add_entry(deployment);
    if (entry == NULL) return no_memory();
    if (name.size > 0) memcpy(entry->name, name.data, name.size);
    entry->change.kind = (uint32_t)kind;
    entry->change.name = tycho__text_of(entry->name, name.size);
    if (old == NULL) {
        refuse(entry, 0, "there is no such script");
        return TYCHO_OK;
    }
    entry->about = old;
    entry->change.change = TYCHO_CHANGE_REMOVED;
    entry->change.version = entry->change.old_version = old->version;
    entry->change.old_source = old->source;
    if (has_two(deployment, entry)) refuse(entry, 0, "the plan has another line for this script");
    return TYCHO_OK;
}

/* ---------------------------------------------------------------- names of event types */

static bool has_line_for(const tycho_deployment *deployment, tycho_bytes key) {
    for (size_t i = 0; i < deployment->count; i++) {
        const tycho_script_about *about = deployment->entries[i]->about;
        if (about != NULL && tycho__same(about->key, key)) return true;
    }
    return false;
}

/* Whether another event type has the name, or had it, when the plan is carried out: one that is
** deployed and is not in the plan, or one of the plan. */
static bool is_taken(const tycho_deployment *deployment, const tycho_script_about *own,
                     tycho_bytes name) {
    int index = tycho__concern_type(tycho__rules_find(deployment->rules, name));
    if (index >= 0 && !has_line_for(deployment, deployment->rules->definitions[index]->about.key)) {
        return true;
    }
    for (size_t i = 0; i < deployment->count; i++) {
        const struct entry *other = deployment->entries[i];
        if (other->definition == NULL || other->change.change == TYCHO_CHANGE_REFUSED) continue;
        if (other->about->kind != TYCHO_EVENT_TYPE || tycho__same(other->about->key, own->key)) {
            continue;
        }
        if (has_name(other->about, name)) return true;
    }
    return false;
}

static void refuse_later(struct entry *entry, int64_t line, const char *message) {
    entry->planned = entry->change.change;
    refuse(entry, line, message);
}

static void check_names(const tycho_deployment *deployment, struct entry *entry) {
    const tycho_script_about *own = entry->about;
    for (size_t i = 0; i < own->former_name_count; i++) {
        const tycho_bytes name = own->former_names[i];
        char message[TYCHO_NAME_MAX + 120];
        if (!is_taken(deployment, own, name)) continue;
        snprintf(message, sizeof message,
                 "a former name is that of another event type: remove the one with the name "
                 "\"%.*s\" in the same deployment",
                 (int)name.size, (const char *)name.data);
        refuse_later(entry, tycho__definition_line(entry->definition, "former_names"), message);
        return;
    }
    if (is_taken(deployment, own, own->name)) {
        refuse_later(entry, entry->definition->line,
                     "the name is a former name of another event type");
    }
}

/* Whether events that are stored are read in another way with it than without. */
static bool changes_reads(const tycho_script_about *about) {
    return about != NULL && (about->version > 1 || about->former_name_count > 0);
}

/* A back-fill that reads some events by their old names and data, and the others by new ones, would
** link into the streams of both. */
static void check_filling(const tycho_deployment *deployment, struct entry *entry) {
    const tycho_script_about *old = tycho__rules_about(deployment->rules, entry->about->key);
    char message[TYCHO_NAME_MAX + 120];
    if (deployment->filling_size == 0) return;
    if (!changes_reads(entry->about) && !changes_reads(old)) return;
    snprintf(message, sizeof message,
             "it changes how events are read, and the linker \"%.*s\" is being back-filled: finish "
             "or cancel that first",
             (int)deployment->filling_size, deployment->filling);
    refuse_later(entry, 0, message);
}

/* Refuses the new scripts that are too many. */
static void check_count(tycho_deployment *deployment) {
    size_t count = deployment->rules->count;
    for (size_t i = 0; i < deployment->count; i++) {
        count -= deployment->entries[i]->change.change == TYCHO_CHANGE_REMOVED && count > 0;
    }
    for (size_t i = 0; i < deployment->count; i++) {
        struct entry *entry = deployment->entries[i];
        bool is_new = entry->change.change == TYCHO_CHANGE_NEW;
        if (is_new && ++count > TYCHO__SCRIPTS_MAX) {
            refuse_later(entry, 0, "a store has at most 10,000 scripts");
        }
    }
}

/* Checks the names of the event types against each other, and how many scripts there will be, when
** the plan has all its lines: in whatever order these came. */
static void settle(tycho_deployment *deployment) {
    if (deployment->is_settled) return;
    deployment->is_settled = true;
    for (size_t i = 0; i < deployment->count; i++) {
        struct entry *entry = deployment->entries[i];
        if (entry->planned == 0) continue;
        refuse(entry, 0, "");
        entry->change.change = entry->planned;
        entry->planned = 0;
    }
    for (size_t i = 0; i < deployment->count; i++) {
        struct entry *entry = deployment->entries[i];
        bool is_type = entry->change.kind == TYCHO_EVENT_TYPE;
        bool is_written = entry->change.change == TYCHO_CHANGE_NEW ||
                          entry->change.change == TYCHO_CHANGE_CHANGED;
        if (is_type && is_written) check_names(deployment, entry);
        bool is_removed = entry->change.change == TYCHO_CHANGE_REMOVED;
        if (is_type && (is_written || is_removed)) check_filling(deployment, entry);
    }
    check_count(deployment);
}

size_t tycho_deployment_count(const tycho_deployment *deployment) {
    return deployment->count;
}

void tycho_deployment_get(tycho_deployment *deployment, size_t index, tycho_change *change) {
    settle(deployment);
    const struct entry *entry = deployment->entries[index];
    *change = entry->change;
    change->message = tycho__text(entry->message);
}

/* ---------------------------------------------------------------- writing */

static void put_text(struct tycho_buffer *to, const char *key, tycho_bytes value) {
    tycho__msgpack_put_string(to, key, strlen(key));
    tycho__msgpack_put_string(to, value.data, value.size);
}

/* What is written of a script; the row also says when. */
static void encode(struct tycho_buffer *to, const tycho_script_about *about, int64_t deployed_at) {
    const char *kind = tycho_script_kind_name((int)about->kind);
    tycho__payload_clear(to);
    tycho__msgpack_put_map(to, deployed_at != 0 ? 6 : 5);
    if (deployed_at != 0) {
        tycho__msgpack_put_string(to, "deployed_at", 11);
        tycho__msgpack_put_integer(to, deployed_at);
    }
    put_text(to, "hash", about->hash);
    put_text(to, "kind", tycho__text(kind));
    put_text(to, "name", about->name);
    put_text(to, "source", about->source);
    tycho__msgpack_put_string(to, "version", 7);
    tycho__msgpack_put_integer(to, about->version);
}

static int write_entry(const struct entry *entry, struct tycho_buffer *buffer, tycho_batch *batch,
                       int64_t expected) {
    const tycho_script_about *about = entry->about;
    bool is_removed = entry->change.change == TYCHO_CHANGE_REMOVED;
    tycho_bytes row = tycho__text_of(NULL, 0);
    int64_t now = tycho_now();
    encode(buffer, about, now);
    if (!is_removed) row = tycho__text_of(buffer->data, buffer->size);
    if (buffer->failed != 0) return no_memory();
    int status = tycho_batch_deploy(batch, about->key, row);
    if (status != TYCHO_OK) return status;
    encode(buffer, about, 0);
    if (buffer->failed != 0) return no_memory();
    const char *type = is_removed ? "ScriptRemoved" : "ScriptDeployed";
    const tycho_new_event event = {.type = tycho__text(type),
                                   .flags = TYCHO_HAS_TIME,
                                   .time = now,
                                   .data = tycho__text_of(buffer->data, buffer->size)};
    return tycho_batch_append(batch, tycho__scripts_stream(), expected, &event, 1, TYCHO_RAW);
}

int tycho_deployment_write(tycho_deployment *deployment, tycho_batch *batch) {
    struct tycho_buffer buffer = {NULL, 0, 0, 0};
    int64_t expected = deployment->history; /* -1 is TYCHO_EXPECT_NONE, too */
    int status = TYCHO_OK;
    settle(deployment);
    for (size_t i = 0; i < deployment->count; i++) {
        const struct entry *entry = deployment->entries[i];
        if (entry->change.change != TYCHO_CHANGE_REFUSED) continue;
        return tycho__script_fail(TYCHO_REJECTED, "%.*s: %s", (int)entry->change.name.size,
                                  (const char *)entry->change.name.data, entry->message);
    }
    for (size_t i = 0; i < deployment->count && status == TYCHO_OK; i++) {
        const struct entry *entry = deployment->entries[i];
        if (entry->change.change == TYCHO_CHANGE_UNCHANGED) continue;
        status = write_entry(entry, &buffer, batch, expected);
    }
    tycho__payload_free(&buffer);
    return status;
}
