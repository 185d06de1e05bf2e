/* rules.c - loading the rules of a store; see rules.h.
**
** The rows and the history are read between two looks at the version, which must be the same: then
** all was read under that version, since each deployment changes it.
*/
#include "rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

/* What is gathered while loading. */
struct loading {
    tycho_store *store;
    const struct tycho__rules *previous;
    struct tycho__rules *rules;
    size_t definition_room, boundary_room;
};

static int no_memory(void) {
    return tycho__script_fail(TYCHO_NO_MEMORY, "no memory for the rules of the store");
}

/* Zeroed memory that lives as long as the rules; NULL when there is none. */
static void *keep(struct tycho__rules *rules, size_t size) {
    struct tycho__block *block = calloc(1, sizeof *block + size);
    if (block == NULL) return NULL;
    block->next = rules->blocks;
    rules->blocks = block;
    return block->memory;
}

/* ---------------------------------------------------------------- life */

void tycho__rules_hold(struct tycho__rules *rules) {
    atomic_fetch_add(&rules->users, 1);
}

void tycho__rules_release(struct tycho__rules *rules) {
    if (rules == NULL || atomic_fetch_sub(&rules->users, 1) > 1) return;
    for (size_t i = 0; i < rules->count; i++) tycho__definition_release(rules->definitions[i]);
    while (rules->blocks != NULL) {
        struct tycho__block *block = rules->blocks;
        rules->blocks = block->next;
        free(block);
    }
    free(rules->definitions);
    free(rules->boundaries);
    free(rules->failure);
    free(rules);
}

/* ---------------------------------------------------------------- what a deployment wrote */

static void take_field(struct tycho__deployed *deployed, tycho_bytes key,
                       const struct tycho__msgpack_token *value) {
    bool is_text = value->kind == TYCHO__MSGPACK_STRING;
    bool is_integer = value->kind == TYCHO__MSGPACK_INTEGER;
    if (is_text && tycho__same(key, tycho__text("kind"))) {
        deployed->kind = tycho__text_of(value->data, value->size);
    } else if (is_text && tycho__same(key, tycho__text("name"))) {
        deployed->name = tycho__text_of(value->data, value->size);
    } else if (is_text && tycho__same(key, tycho__text("source"))) {
        deployed->source = tycho__text_of(value->data, value->size);
    } else if (is_integer && tycho__same(key, tycho__text("version"))) {
        deployed->version = value->integer;
    } else if (is_integer && tycho__same(key, tycho__text("deployed_at"))) {
        deployed->deployed_at = value->integer;
    }
}

int tycho__deployed_parse(tycho_bytes data, struct tycho__deployed *deployed) {
    struct tycho__msgpack_reader reader = {data.data, data.size, 0};
    struct tycho__msgpack_token map, key, value;
    memset(deployed, 0, sizeof *deployed);
    int status = tycho__msgpack_next(&reader, &map);
    if (status == TYCHO__MSGPACK_OK && map.kind != TYCHO__MSGPACK_MAP) {
        status = TYCHO__MSGPACK_INVALID;
    }
    for (uint64_t i = 0; status == TYCHO__MSGPACK_OK && i < map.count; i++) {
        status = tycho__msgpack_next(&reader, &key);
        struct tycho__msgpack_reader at = reader;
        if (status == TYCHO__MSGPACK_OK) status = tycho__msgpack_skip(&reader);
        if (status != TYCHO__MSGPACK_OK || key.kind != TYCHO__MSGPACK_STRING) continue;
        tycho__msgpack_next(&at, &value); /* which was whole: it was skipped */
        take_field(deployed, tycho__text_of(key.data, key.size), &value);
    }
    if (status == TYCHO__MSGPACK_OK && deployed->name.size > 0 && deployed->version > 0) {
        return TYCHO_OK;
    }
    return tycho__script_fail(TYCHO_CORRUPT, "what a deployment wrote is damaged");
}

/* ---------------------------------------------------------------- definitions */

/* The index of a script; -1: it is not among them. */
static int find_index(const struct tycho__rules *rules, tycho_bytes key) {
    for (size_t i = 0; i < rules->count; i++) {
        if (tycho__same(rules->definitions[i]->about.key, key)) return (int)i;
    }
    return -1;
}

/* The definition of the same source, from the rules before. */
static struct tycho__definition *find_same(const struct tycho__rules *previous, tycho_bytes key,
                                           const struct tycho__deployed *deployed) {
    int index = previous != NULL ? find_index(previous, key) : -1;
    if (index < 0) return NULL;
    struct tycho__definition *definition = previous->definitions[index];
    if (!tycho__same(definition->about.source, deployed->source)) return NULL;
    if (definition->about.deployed_at != deployed->deployed_at) return NULL;
    tycho__definition_hold(definition);
    return definition;
}

static int add_definition(struct loading *loading, struct tycho__definition *definition) {
    struct tycho__rules *rules = loading->rules;
    if (rules->count == loading->definition_room) {
        size_t room = rules->count == 0 ? 16 : rules->count * 2;
        void *grown = realloc(rules->definitions, room * sizeof *rules->definitions);
        if (grown == NULL || room > TYCHO__SCRIPTS_MAX * 2) {
            if (grown != NULL) rules->definitions = grown;
            tycho__definition_release(definition);
            return no_memory();
        }
        rules->definitions = grown;
        loading->definition_room = room;
    }
    rules->definitions[rules->count++] = definition;
    return TYCHO_OK;
}

/* Remembers a row, KIND/NAME, whose source cannot be compiled: it can be replaced and removed. */
static int add_broken(struct loading *loading, tycho_bytes key,
                      const struct tycho__deployed *deployed) {
    struct tycho__broken *broken = keep(loading->rules, sizeof *broken);
    char *text = keep(loading->rules, key.size + deployed->source.size + 1);
    if (broken == NULL || text == NULL) return no_memory();
    tycho_script_about *about = &broken->about;
    memcpy(text, key.data, key.size);
    if (deployed->source.size > 0)
        memcpy(text + key.size, deployed->source.data, deployed->source.size);
    const char *slash = memchr(text, '/', key.size);
    size_t kind_size = slash == NULL ? 0 : (size_t)(slash - text);
    about->key = tycho__text_of(text, key.size);
    about->name = slash == NULL ? about->key : tycho__text_of(slash + 1, key.size - kind_size - 1);
    for (int kind = TYCHO_EVENT_TYPE; kind <= TYCHO_READ_MODEL; kind++) {
        const char *name = tycho_script_kind_name(kind);
        bool is_it = strlen(name) == kind_size && memcmp(name, text, kind_size) == 0;
        if (is_it) about->kind = (uint32_t)kind;
    }
    about->version = deployed->version;
    about->source = tycho__text_of(text + key.size, deployed->source.size);
    broken->next = loading->rules->broken;
    loading->rules->broken = broken;
    return TYCHO_OK;
}

static int take_row(struct loading *loading, const tycho_item *row) {
    struct tycho__deployed deployed;
    int status = tycho__deployed_parse(row->value, &deployed);
    if (status != TYCHO_OK) deployed.source = tycho__text("");
    struct tycho__definition *definition = find_same(loading->previous, row->name, &deployed);
    if (definition != NULL) return add_definition(loading, definition);
    status = tycho__definition_compile(row->name, deployed.source, &definition);
    if (status == TYCHO_OK && !tycho__same(definition->about.key, row->name)) {
        status = tycho__script_reject(definition, NULL, "", 0,
                                      "the script is deployed under another name");
        tycho__definition_release(definition);
    }
    if (status == TYCHO_OK) {
        definition->about.deployed_at = deployed.deployed_at;
        return add_definition(loading, definition);
    }
    if (status != TYCHO_REJECTED) return status;
    if (loading->rules->failure == NULL) loading->rules->failure = tycho__failure_copy();
    return loading->rules->failure != NULL ? add_broken(loading, row->name, &deployed)
                                           : no_memory();
}

static int take_rows(struct loading *loading) {
    const tycho_list_options options = {
        .size = sizeof options,
        .list = TYCHO_LIST_ROWS,
        .subject = tycho__text_of(TYCHO_SCRIPTS, sizeof TYCHO_SCRIPTS - 1)};
    tycho_listing *listing;
    tycho_item row;
    int status = tycho_listing_open(loading->store, &options, &listing);
    if (status != TYCHO_OK) return status;
    while ((status = tycho_listing_next(listing, &row)) == TYCHO_OK) {
        status = take_row(loading, &row);
        if (status != TYCHO_OK) break;
    }
    tycho_listing_close(listing);
    return status == TYCHO_END ? TYCHO_OK : status;
}

/* ---------------------------------------------------------------- the history */

static int add_boundary(struct loading *loading, const struct tycho__deployed *deployed,
                        uint64_t position) {
    struct tycho__rules *rules = loading->rules;
    if (rules->boundary_count == loading->boundary_room) {
        size_t room = rules->boundary_count == 0 ? 16 : rules->boundary_count * 2;
        void *grown = realloc(rules->boundaries, room * sizeof *rules->boundaries);
        if (grown == NULL) return no_memory();
        rules->boundaries = grown;
        loading->boundary_room = room;
    }
    char *name = keep(rules, deployed->name.size);
    if (name == NULL) return no_memory();
    memcpy(name, deployed->name.data, deployed->name.size);
    struct tycho__boundary *boundary = &rules->boundaries[rules->boundary_count++];
    boundary->position = position;
    boundary->version = deployed->version;
    boundary->source = XXH3_64bits(deployed->source.data, deployed->source.size);
    boundary->name = tycho__text_of(name, deployed->name.size);
    return TYCHO_OK;
}

/* What no deployment wrote is passed over: it came before there were scripts to refuse it. */
static int take_history_event(struct loading *loading, tycho_cursor *cursor,
                              const tycho_event *event) {
    struct tycho__deployed deployed;
    tycho_bytes stream;
    int status = tycho_cursor_stream(cursor, &stream);
    if (status != TYCHO_OK || !tycho__same(stream, tycho__scripts_stream())) return status;
    if (tycho__deployed_parse(event->data, &deployed) != TYCHO_OK) return TYCHO_OK;
    const char *kind = tycho_script_kind_name(TYCHO_EVENT_TYPE);
    if (!tycho__same(deployed.kind, tycho__text(kind))) return TYCHO_OK;
    return add_boundary(loading, &deployed, event->position);
}

/* From the log, which keeps what is unlinked from the stream or deleted with it. */
static int take_history(struct loading *loading) {
    const tycho_bytes type = tycho__text("ScriptDeployed");
    const tycho_query_item item = {.types = &type, .type_count = 1};
    const tycho_query query = {&item, 1};
    const tycho_read read = {.size = sizeof read, .flags = TYCHO_READ_STORED, .query = &query};
    tycho_cursor *cursor;
    tycho_event event;
    int status = tycho_cursor_open(loading->store, &read, &cursor);
    if (status != TYCHO_OK) return status;
    while ((status = tycho_cursor_next(cursor, &event)) == TYCHO_OK) {
        status = take_history_event(loading, cursor, &event);
        if (status != TYCHO_OK) break;
    }
    tycho_cursor_close(cursor);
    return status == TYCHO_END ? TYCHO_OK : status;
}

int64_t tycho__rules_version_at(const struct tycho__rules *rules, tycho_bytes type,
                                uint64_t written) {
    int64_t version = 1;
    for (size_t i = 0; i < rules->boundary_count; i++) {
        const struct tycho__boundary *boundary = &rules->boundaries[i];
        if (boundary->position >= written) break;
        if (tycho__same(boundary->name, type)) version = boundary->version;
    }
    return version;
}

/* ---------------------------------------------------------------- by type */

static uint32_t *find_slot(const struct tycho__rules *rules, tycho_bytes type) {
    size_t at = (size_t)XXH3_64bits(type.data, type.size) & (rules->slot_count - 1);
    while (rules->slots[at] != 0) {
        if (tycho__same(rules->concerns[rules->slots[at] - 1].type, type)) break;
        at = (at + 1) & (rules->slot_count - 1);
    }
    return &rules->slots[at];
}

const struct tycho__concern *tycho__rules_find(const struct tycho__rules *rules, tycho_bytes type) {
    uint32_t found = *find_slot(rules, type);
    return found == 0 ? &rules->others : &rules->concerns[found - 1];
}

const tycho_script_about *tycho__rules_about(const struct tycho__rules *rules, tycho_bytes key) {
    int index = find_index(rules, key);
    if (index >= 0) return &rules->definitions[index]->about;
    for (const struct tycho__broken *broken = rules->broken; broken != NULL;
         broken = broken->next) {
        if (tycho__same(broken->about.key, key)) return &broken->about;
    }
    return NULL;
}

static struct tycho__concern *get_concern(struct tycho__rules *rules, tycho_bytes type) {
    uint32_t *slot = find_slot(rules, type);
    if (*slot == 0) {
        struct tycho__concern *made = &rules->concerns[rules->concern_count++];
        made->type = type;
        made->event_type = made->renamed = -1;
        *slot = (uint32_t)rules->concern_count;
    }
    return &rules->concerns[*slot - 1];
}

static void set_names(struct tycho__concern *concern, const tycho_bytes *names, size_t count) {
    concern->names = names;
    concern->name_count = count;
}

/* Two event types may not both have a name. Whoever asks for one of its names asks for all. */
static int take_former(struct tycho__rules *rules, size_t index) {
    const tycho_script_about *about = &rules->definitions[index]->about;
    const size_t count = about->former_name_count;
    if (count == 0) return TYCHO_OK;
    tycho_bytes *names = keep(rules, (count + 1) * sizeof *names);
    if (names == NULL) return no_memory();
    names[0] = about->name;
    memcpy(names + 1, about->former_names, count * sizeof *names);
    set_names(get_concern(rules, about->name), names, count + 1);
    for (size_t i = 0; i < about->former_name_count; i++) {
        struct tycho__concern *concern = get_concern(rules, about->former_names[i]);
        if (concern->event_type < 0 && concern->renamed < 0) {
            concern->renamed = (int)index;
            set_names(concern, names, count + 1);
            continue;
        }
        tycho__script_reject(rules->definitions[index], NULL, "", 0,
                             "a former name is the name of another deployed event type");
        if (rules->failure == NULL) rules->failure = tycho__failure_copy();
        if (rules->failure == NULL) return no_memory();
    }
    return TYCHO_OK;
}

/* Whether a linker or read model reads the type, which it may name by any of its names. */
static bool reads(const tycho_script_about *about, const struct tycho__concern *concern) {
    if (about->kind == TYCHO_EVENT_TYPE) return false;
    if (about->type_count == 0) return true;
    bool is_one = concern->type.size > 0 && tycho__type_index(about, NULL, concern->type) >= 0;
    for (size_t i = 0; i < concern->name_count && !is_one; i++) {
        is_one = tycho__type_index(about, NULL, concern->names[i]) >= 0;
    }
    return is_one;
}

static int gather_linkers(struct tycho__rules *rules, struct tycho__concern *concern) {
    concern->linkers = keep(rules, (rules->count + 1) * sizeof *concern->linkers);
    if (concern->linkers == NULL) return no_memory();
    for (size_t i = 0; i < rules->count; i++) {
        if (!reads(&rules->definitions[i]->about, concern)) continue;
        concern->linkers[concern->linker_count++] = (uint16_t)i;
    }
    return TYCHO_OK;
}

static size_t count_names(const struct tycho__rules *rules) {
    size_t names = 0;
    for (size_t i = 0; i < rules->count; i++) {
        const tycho_script_about *about = &rules->definitions[i]->about;
        names += about->type_count + about->former_name_count;
    }
    return names;
}

static int make_concerns(struct tycho__rules *rules) {
    size_t names = count_names(rules), slots = 16;
    while (slots < names * 2 + 1) slots *= 2;
    rules->slot_count = slots;
    rules->slots = keep(rules, slots * sizeof *rules->slots);
    rules->concerns = keep(rules, (names + 1) * sizeof *rules->concerns);
    if (rules->slots == NULL || rules->concerns == NULL) return no_memory();
    rules->others.event_type = rules->others.renamed = -1;
    for (size_t i = 0; i < rules->count; i++) {
        const tycho_script_about *about = &rules->definitions[i]->about;
        bool is_type = about->kind == TYCHO_EVENT_TYPE;
        for (size_t k = 0; k < about->type_count; k++) {
            struct tycho__concern *concern = get_concern(rules, about->types[k]);
            if (is_type) concern->event_type = (int)i;
        }
        if (is_type && (about->version > 1 || about->former_name_count > 0)) {
            rules->changes_reads = true;
        }
    }
    int status = TYCHO_OK;
    for (size_t i = 0; i < rules->count && status == TYCHO_OK; i++) status = take_former(rules, i);
    if (status == TYCHO_OK) status = gather_linkers(rules, &rules->others);
    for (size_t i = 0; i < rules->concern_count && status == TYCHO_OK; i++) {
        status = gather_linkers(rules, &rules->concerns[i]);
    }
    return status;
}

/* ---------------------------------------------------------------- loading */

static int load_once(struct loading *loading, bool *is_torn) {
    uint64_t after = 0;
    struct tycho__rules *rules = loading->rules;
    int status = tycho_rules_version(loading->store, &rules->version);
    if (status == TYCHO_OK && rules->version != 0) status = take_rows(loading);
    if (status == TYCHO_OK) status = take_history(loading);
    if (status == TYCHO_OK) status = tycho_rules_version(loading->store, &after);
    *is_torn = status == TYCHO_OK && after != rules->version;
    return status == TYCHO_OK && !*is_torn ? make_concerns(rules) : status;
}

int tycho__rules_none(struct tycho__rules **out) {
    struct tycho__rules *rules = calloc(1, sizeof *rules);
    if (rules == NULL) return no_memory();
    atomic_init(&rules->users, 1);
    int status = make_concerns(rules);
    if (status != TYCHO_OK) tycho__rules_release(rules);
    *out = status == TYCHO_OK ? rules : NULL;
    return status;
}

int tycho__rules_load(tycho_store *store, const struct tycho__rules *previous,
                      struct tycho__rules **out) {
    for (;;) {
        bool is_torn = false;
        struct loading loading = {.store = store, .previous = previous};
        loading.rules = calloc(1, sizeof *loading.rules);
        if (loading.rules == NULL) return no_memory();
        atomic_init(&loading.rules->users, 1);
        int status = load_once(&loading, &is_torn);
        if (status == TYCHO_OK && !is_torn) {
            *out = loading.rules;
            return TYCHO_OK;
        }
        tycho__rules_release(loading.rules);
        if (status != TYCHO_OK) return status;
    }
}
