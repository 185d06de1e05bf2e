/* known.c - the names that a function gave before, by what it read of the event.
**
** A function is pure, which giving back its runner checks: where it reads the same it gives the
** same, and is not called. Known are the calls that read nothing but the type and one field of the
** data that is no table, which is what most linkers do. The key of an event is
**
**      size, type   if any such call read it; else 0
**      1, value     of the field that such calls read, as MessagePack; or 0: the data has none
**
** and says at least what the call read: one that did not look at the data is known by "0" too, and
** one that did has a value. Data of which any part is wrong has none, and neither has large data
** (fields.c). When a call reads more than the key says, the key becomes longer, and nothing is
** known.
**
** A place is in the set of four that the hash of the key chooses; one that was not used lately is
** taken again. Where fewer than a quarter of the calls are known, as with a value that each event
** has for itself, looking is given up for some time:
**
**      LOOKING --(TRIED calls, of which few were known)--> RESTING --(REST calls)--> LOOKING
*/
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "script.h"

enum {
    PLACES = 2048, /* a power of two: 260 KiB */
    SET = 4,
    TRIED = 2 * PLACES,
    REST = 16 * TRIED,
    NAMES_MAX = 4,
    LINE = 64, /* bytes that the processor fetches at once */
    TEXT_MAX = 2 * LINE - 12,
    PRICE_MAX = 100000 /* of a call: far from the budget, whatever else the data has */
};

/* Most are looked at in one fetch. */
struct place {
    uint8_t key_size; /* 0: nothing is here */
    uint8_t count;    /* of the names */
    bool is_recent;
    uint32_t memo; /* where there is one name: for the batch of this number */
    uint32_t batch;
    char text[TEXT_MAX]; /* the key, then the names, each behind its size in a byte */
};
_Static_assert(sizeof(struct place) == 2 * LINE, "places do not begin with a line");

/* A set is looked through by its marks, upper bits of the hashes, which stay in the first cache. */
struct tycho__known_places {
    struct place all[PLACES];
    uint16_t marks[PLACES];
};

static void add(struct tycho__known_key *key, const void *data, size_t size) {
    if (size > 0) memcpy(key->text + key->size, data, size);
    key->size += size;
}

/* Sets the key of the event. */
static void find_key(struct tycho__runner *runner, const struct tycho__shown *shown) {
    struct tycho__known *known = &runner->known;
    struct tycho__known_key *key = &known->key;
    tycho_bytes type = shown->event->type, value = {NULL, 0};
    key->size = 0;
    if (shown->event->content_type.size == 0 && known->field_size > 0) {
        value.data = tycho__sandbox_find_field(runner->sandbox, shown->data.data, shown->data.size,
                                               known->field, known->field_size, &value.size);
    }
    if (!known->has_type) type.size = 0;
    if (2 + type.size + value.size > sizeof key->text) return;
    const uint8_t type_size = (uint8_t)type.size;
    add(key, &type_size, 1);
    add(key, type.data, type.size);
    add(key, value.size > 0 ? "\1" : "\0", 1);
    add(key, value.data, value.size);
    key->hash = XXH3_64bits(key->text, key->size);
}

static uint16_t mark_of(const struct tycho__known_key *key) {
    return (uint16_t)(key->hash >> 48);
}

/* The first of those in which the key may be. */
static size_t set_of(const struct tycho__known_key *key) {
    return key->hash % (PLACES / SET) * SET;
}

static struct place *find(const struct tycho__known *known) {
    const struct tycho__known_key *key = &known->key;
    const size_t set = set_of(key);
    for (size_t i = set; i < set + SET; i++) {
        if (known->places->marks[i] != mark_of(key)) continue;
        struct place *place = &known->places->all[i];
        bool is_it = place->key_size == key->size && memcmp(place->text, key->text, key->size) == 0;
        if (!is_it) continue;
        place->is_recent = true;
        return place;
    }
    return NULL;
}

/* The place that is taken for the key. */
static struct place *replace(struct tycho__known_places *places,
                             const struct tycho__known_key *key) {
    const size_t set = set_of(key);
    size_t i = 0;
    while (i < SET && places->all[set + i].is_recent) i++;
    for (size_t k = 0; i == SET && k < SET; k++) places->all[set + k].is_recent = false;
    i = set + i % SET;
    places->marks[i] = mark_of(key);
    return &places->all[i];
}

/* Whether it is worth looking. */
static bool is_looking(struct tycho__known *known) {
    if (known->rest > 0) {
        known->rest--;
        return false;
    }
    if (known->tried == TRIED) {
        known->rest = known->found < TRIED / 4 ? REST : 0;
        known->tried = known->found = 0;
    }
    known->tried++;
    return known->rest == 0;
}

bool tycho__known_find(struct tycho__runner *runner, const struct tycho__shown *shown) {
    struct tycho__known *known = &runner->known;
    struct tycho__names *names = &runner->names;
    known->key.size = 0;
    known->is_by_type = false;
    if (known->places == NULL || !is_looking(known)) return false;
    find_key(runner, shown);
    struct place *place = known->key.size == 0 ? NULL : find(known);
    if (place == NULL) return false;
    tycho__names_clear(names);
    uint8_t *room = tycho__payload_reserve(&names->list, NAMES_MAX * sizeof(tycho_bytes));
    if (room == NULL) return false;
    known->found++;
    known->is_by_type = known->field_size == 0;
    tycho_bytes *list = (tycho_bytes *)(void *)room;
    const char *text = place->text + place->key_size;
    for (; names->count < place->count; names->count++) {
        list[names->count] = (tycho_bytes){text + 1, (uint8_t)text[0]};
        text += 1 + (uint8_t)text[0];
    }
    names->list.size = names->count * sizeof(tycho_bytes);
    if (place->batch != known->batch) place->memo = 0;
    place->batch = known->batch;
    names->memo = place->count == 1 ? &place->memo : NULL;
    return true;
}

void tycho__known_begin(struct tycho__known *known) {
    known->batch++;
    for (size_t i = 0; known->batch == 0 && known->places != NULL && i < PLACES; i++) {
        known->places->all[i].memo = 0; /* of a batch of that number, long ago */
    }
}

/* Makes keys say what the call read. False: they cannot. */
static bool widen(struct tycho__runner *runner, bool *is_longer) {
    struct tycho__known *known = &runner->known;
    enum tycho__run_reads reads = tycho__run_reads(runner);
    const void *field = NULL;
    size_t size = 0;
    if (reads & TYCHO__READ_MORE) return false;
    if (reads & TYCHO__READ_DATA) {
        field = tycho__sandbox_field_read(runner->sandbox, &size);
        if (field == NULL || size == 0 || size > sizeof known->field) return false;
    }
    bool is_other =
        size > 0 && (size != known->field_size || memcmp(known->field, field, size) != 0);
    if (is_other && known->field_size > 0) return false;
    *is_longer = is_other || (!known->has_type && (reads & TYCHO__READ_TYPE) != 0);
    if (*is_longer && known->places != NULL) {
        memset(known->places, 0, sizeof *known->places);
    }
    if (is_other) memcpy(known->field, field, size);
    if (is_other) known->field_size = size;
    if (reads & TYCHO__READ_TYPE) known->has_type = true;
    return true;
}

static struct tycho__known_places *new_places(struct tycho__known *known) {
    known->memory = calloc(1, sizeof(struct tycho__known_places) + LINE);
    if (known->memory == NULL) return NULL;
    return (void *)(((uintptr_t)known->memory + LINE - 1) / LINE * LINE);
}

void tycho__known_keep(struct tycho__runner *runner, const struct tycho__shown *shown) {
    struct tycho__known *known = &runner->known;
    const struct tycho__names *names = &runner->names;
    const tycho_bytes *list = tycho__names_list(names);
    bool is_longer;
    if (known->rest > 0 || tycho__sandbox_charged(runner->sandbox) > PRICE_MAX) return;
    if (!widen(runner, &is_longer)) return;
    if (is_longer || known->places == NULL) find_key(runner, shown);
    if (known->places == NULL) known->places = new_places(known);
    if (known->places == NULL) return; /* it is for speed only */
    const struct tycho__known_key *key = &known->key;
    if (key->size == 0 || names->count > NAMES_MAX) return;
    if (key->size + names->count + names->text.size > TEXT_MAX) return;
    struct place *place = replace(known->places, key);
    place->key_size = (uint8_t)key->size;
    place->count = (uint8_t)names->count;
    place->is_recent = true;
    place->memo = 0;
    memcpy(place->text, key->text, key->size);
    char *to = place->text + key->size;
    for (size_t i = 0; i < names->count; i++) {
        *to++ = (char)list[i].size;
        memcpy(to, list[i].data, list[i].size);
        to += list[i].size;
    }
}

void tycho__known_free(struct tycho__known *known) {
    free(known->memory);
}
