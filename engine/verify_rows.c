/* verify_rows.c - what a verification says of rows of read models, routes, checkpoints, metadata
** and fences, of the main table, and of what the state row counts; see verify.h.
*/
#include "pending.h"
#include "verify.h"

enum { TEXT = 600 };

static bool is_name(tycho_bytes name) {
    return tycho__check_name(name, "name") == TYCHO_OK;
}

/* Whether a list has a row. */
static int find_list(tycho_verification *v, uint8_t kind, uint32_t number, tycho__list *list) {
    int status = tycho__list_row(v->txn, kind, number, list);
    return tycho__verify_is_damage(v, status) ? TYCHO_END : status;
}

/* ---------------------------------------------------------------- rows */

/* That the table of a row is there; rows of one table are together. */
static int check_table(tycho_verification *v, tycho_bytes key, const char *text) {
    tycho__list list;
    uint32_t number = tycho__unkey32(key.data);
    if (number == v->row_table) return TYCHO_OK;
    int status = find_list(v, TYCHO__ROW_TABLE, number, &list);
    if (status == TYCHO_NOT_FOUND) {
        tycho__verify_tell(v, "the row of %s is of no table: none has this number", text);
        return TYCHO_OK;
    }
    if (status == TYCHO_OK) v->row_table = number;
    return status == TYCHO_END ? TYCHO_OK : status;
}

int tycho__verify_row(tycho_verification *v, tycho_bytes key, tycho_bytes value) {
    char text[TEXT];
    uint64_t version;
    tycho_bytes data;
    v->rows++;
    bool is_key = key.size >= 4 && key.size <= TYCHO__ROW_KEY_MAX;
    if (is_key && v->scripts_table != 0 && tycho__unkey32(key.data) == v->scripts_table) {
        v->scripts++;
    }
    int status = tycho__row_parse(key, value, &version, &data);
    if (status == TYCHO_OK && version <= v->txn->state.sequence && is_key &&
        tycho__unkey32(key.data) == v->row_table) {
        return TYCHO_OK;
    }
    tycho__key_text(TYCHO__ROWS, key, text, sizeof text);
    if (status != TYCHO_OK) {
        tycho__verify_tell(v, "the row of %s is damaged: %s", text, tycho_error());
    } else if (!is_key) {
        tycho__verify_tell(v, "table rows has a key of %zu bytes that is none", key.size);
    } else if (version > v->txn->state.sequence) {
        tycho__verify_tell(v, "the row of %s has version %llu, which is in the future", text,
                           (unsigned long long)version);
    } else {
        return check_table(v, key, text);
    }
    return TYCHO_OK;
}

/* ---------------------------------------------------------------- routes, checkpoints, metadata */

int tycho__verify_route(tycho_verification *v, tycho_bytes key, tycho_bytes value) {
    char from[TEXT], to[TEXT];
    tycho__name end;
    tycho_bytes target;
    v->routes++;
    tycho__route_parse(value, &target);
    if (!is_name(key) || !is_name(target)) {
        tycho__key_text(TYCHO__ROUTES, key, from, sizeof from);
        tycho__key_text(TYCHO__ROUTES, target, to, sizeof to);
        tycho__verify_tell(v, "the route %s leads to %s, and %s is no name", from, to,
                           is_name(key) ? "that" : "it");
        return TYCHO_OK;
    }
    int status = tycho__resolve(v->txn, key, false, &end);
    return tycho__verify_is_damage(v, status) ? TYCHO_OK : status;
}

int tycho__verify_checkpoint(tycho_verification *v, tycho_bytes key, tycho_bytes value) {
    char name[TEXT];
    bool has_position = value.size == 8 && tycho__load64(value.data) > 0;
    if (has_position && is_name(key)) return TYCHO_OK;
    tycho__key_text(TYCHO__CHECKPOINTS, key, name, sizeof name);
    if (!is_name(key)) {
        tycho__verify_tell(v, "the checkpoint %s has a name that is none", name);
    } else if (value.size != 8) {
        tycho__verify_tell(v, "the checkpoint %s has %zu bytes instead of a position", name,
                           value.size);
    } else {
        tycho__verify_tell(v, "the checkpoint %s is at position 0, as none is", name);
    }
    return TYCHO_OK;
}

int tycho__verify_metadata(tycho_verification *v, tycho_bytes key, tycho_bytes value) {
    tycho__list list;
    if (key.size != 4) {
        tycho__verify_tell(v, "table stream_metadata has a key of %zu bytes that is none",
                           key.size);
        return TYCHO_OK;
    }
    uint32_t number = tycho__unkey32(key.data);
    int status = find_list(v, TYCHO__STREAM, number, &list);
    if (status == TYCHO_NOT_FOUND) {
        tycho__verify_tell(v, "there are metadata of stream %u, which does not exist", number);
        return TYCHO_OK;
    }
    if (status == TYCHO_OK && (list.flags & TYCHO__LIST_DELETED) != 0) {
        tycho__verify_tell(v, "there are metadata of stream %u, which is deleted", number);
    } else if (value.size == 0) {
        tycho__verify_tell(v, "the metadata of stream %u are empty, which are not kept", number);
    }
    return status == TYCHO_END ? TYCHO_OK : status;
}

/* ---------------------------------------------------------------- fences, the main table */

int tycho__verify_fence(tycho_verification *v, tycho_bytes key, tycho_bytes value) {
    char name[TEXT];
    uint64_t token = value.size == 8 ? tycho__load64(value.data) : 0;
    bool was_given = token > 0 && token <= v->txn->state.tokens;
    if (was_given && is_name(key)) return TYCHO_OK;
    tycho__key_text(TYCHO__FENCES, key, name, sizeof name);
    if (was_given) {
        tycho__verify_tell(v,
                           "the lock %s, which was demanded with token %llu, has a name that is "
                           "none",
                           name, (unsigned long long)token);
    } else {
        tycho__verify_tell(v,
                           "the lock %s was demanded with token %llu, but %llu are the most that "
                           "were given",
                           name, (unsigned long long)token,
                           (unsigned long long)v->txn->state.tokens);
    }
    return TYCHO_OK;
}

int tycho__verify_main(tycho_verification *v, tycho_bytes key, tycho_bytes value) {
    char name[TEXT];
    bool is_known = tycho__equal(key, tycho__bytes("state", 5));
    for (unsigned i = TYCHO__MAIN + 1; i < TYCHO__TABLES && !is_known; i++) {
        const char *table = tycho__table_name(i);
        is_known = tycho__equal(key, tycho__bytes(table, strlen(table)));
    }
    if (is_known) return TYCHO_OK;
    tycho__key_text(TYCHO__MAIN, key, name, sizeof name);
    tycho__verify_tell(v, "the main table has a row %s of %zu bytes, which no store has", name,
                       value.size);
    return TYCHO_OK;
}

/* ---------------------------------------------------------------- what the state row counts */

static int count_lists(tycho_verification *v) {
    const uint64_t *given = v->txn->state.names;
    for (unsigned kind = TYCHO__STREAM; kind < TYCHO__KINDS; kind++) {
        if (v->lists[kind] == given[kind]) continue;
        tycho__verify_tell(v, "%llu lists of kind %u were given a number, but there are %llu",
                           (unsigned long long)given[kind], kind,
                           (unsigned long long)v->lists[kind]);
    }
    return TYCHO_OK;
}

static int count_links(tycho_verification *v) {
    const tycho__state *state = &v->txn->state;
    uint64_t pending, unsettled = state->links_made - state->links_settled;
    int status = tycho__pending_count(v->txn, &pending);
    if (tycho__verify_is_damage(v, status)) return TYCHO_OK;
    if (status != TYCHO_OK) return status;
    v->links += pending - v->moved_links; /* each was found as an entry with its way back */
    if (pending != unsettled) {
        tycho__verify_tell(v, "%llu links are not settled, but table pending has %llu",
                           (unsigned long long)unsettled, (unsigned long long)pending);
    } else if (v->links != state->links || v->link_entries + v->garbage_links != v->links) {
        tycho__verify_tell(
            v, "%llu links are counted, but there are %llu, and %llu entries that are links",
            (unsigned long long)state->links, (unsigned long long)v->links,
            (unsigned long long)v->link_entries);
    }
    return TYCHO_OK;
}

static int count_rows(tycho_verification *v) {
    const tycho__state *state = &v->txn->state;
    uint64_t garbage;
    int status = tycho__row_count(v->txn, TYCHO__GARBAGE, &garbage);
    if (status != TYCHO_OK) return status;
    if (v->rows != state->rows || v->routes != state->routes || garbage != state->garbage) {
        tycho__verify_tell(v,
                           "%llu rows, %llu routes and %llu deleted streams are counted, but there "
                           "are %llu, %llu and %llu",
                           (unsigned long long)state->rows, (unsigned long long)state->routes,
                           (unsigned long long)state->garbage, (unsigned long long)v->rows,
                           (unsigned long long)v->routes, (unsigned long long)garbage);
    }
    return TYCHO_OK;
}

static int count_scripts(tycho_verification *v) {
    const tycho__state *state = &v->txn->state;
    bool has_rules = state->rules != 0;
    if (v->scripts != state->scripts || (state->scripts != 0) != has_rules) {
        tycho__verify_tell(v,
                           "%llu scripts are counted, with rules of version %llu, but there are "
                           "%llu",
                           (unsigned long long)state->scripts, (unsigned long long)state->rules,
                           (unsigned long long)v->scripts);
    } else if (state->rules > state->sequence) {
        tycho__verify_tell(v, "the rules have version %llu, which is in the future",
                           (unsigned long long)state->rules);
    }
    return TYCHO_OK;
}

/* That they were found for the records may be because this process has them in memory. */
static int check_dictionaries(tycho_verification *v) {
    const tycho__state *state = &v->txn->state;
    tycho_bytes bytes;
    if (state->dictionary > state->dictionaries || state->dictionaries > TYCHO__DICTIONARIES) {
        tycho__verify_tell(v, "dictionary %u compresses of %u", state->dictionary,
                           state->dictionaries);
        return TYCHO_OK;
    }
    v->has_named[state->dictionary] = true;
    for (uint32_t number = 1; number <= state->dictionaries; number++) {
        if (!v->has_named[number]) continue;
        int status = tycho__dictionary_read(v->txn, number, &bytes);
        if (status != TYCHO_OK && !tycho__verify_is_damage(v, status)) return status;
    }
    return TYCHO_OK;
}

int tycho__verify_counts(tycho_verification *v, bool *is_over) {
    static int (*const checks[])(tycho_verification *) = {count_lists, count_links, count_rows,
                                                          count_scripts, check_dictionaries};
    int status = checks[v->counts++](v);
    *is_over = v->counts == sizeof checks / sizeof *checks;
    return status;
}
