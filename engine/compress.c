/* compress.c - learning a dictionary from the log; what it is for is in dictionary.h.
**
**      sample -> what is common -> content -> entropy -> tried on others -> one batch
**
** A dictionary is clear text that stays. So it is learnt only from what COMMON_MIN events of the
** sample have in common, byte for byte: what one person's events alone say is not in it. Strings
** are counted by hashes, in two tables, so that a rare one passes only if it meets frequent ones in
** both. The entropy tables behind the magic number are of the sample as it is.
*/
#include <stdlib.h>
#include <zdict.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "apply.h"
#include "commit.h"
#include "store.h"

enum {
    SAMPLE_DEFAULT = 10000,
    SAMPLE_MAX = 100000,
    SAMPLE_LEAST = 100,    /* events with data, below which nothing is common */
    EVENT_BYTES = 8 << 10, /* that are looked at of one event */
    SAMPLE_BYTES = 16 << 20,
    EVENTS_EACH = 256, /* of one transaction */
    TRIED = 10,        /* one event of so many is not learnt from, but tried on */
    GRAM = 8,          /* bytes */
    COMMON_MIN = 10,
    SLOT_BITS = 20,
    LEARN_ROOM = 64 << 20, /* what zstd takes at most to learn from such a sample */
    TRIES = 5
};

/* Events, one behind the other. */
typedef struct sample {
    tycho__buffer bytes;
    size_t *sizes;
    size_t count, room;
} sample;

typedef struct learning {
    tycho_store *store;
    sample learnt, common, tried;
    uint32_t number;
    tycho__buffer dictionary;
} learning;

static int no_memory(void) {
    return tycho__fail(TYCHO_NO_MEMORY, "no memory to learn a dictionary");
}

/* ---------------------------------------------------------------- the sample */

static int sample_open(sample *to, size_t most) {
    to->room = most;
    to->sizes = calloc(most, sizeof *to->sizes);
    return to->sizes == NULL ? no_memory() : TYCHO_OK;
}

static void sample_free(sample *gone) {
    tycho__buffer_free(&gone->bytes);
    free(gone->sizes);
}

static int add(sample *to, const void *data, size_t size) {
    assert(to->count < to->room);
    int status = tycho__buffer_append(&to->bytes, data, size);
    if (status == TYCHO_OK) to->sizes[to->count++] = size;
    return status;
}

/* Metadata and data of the event at a position. One that is damaged is told by others. */
static int add_event(learning *l, tycho__txn *txn, uint64_t position, tycho__buffer *room) {
    tycho__event_view event;
    sample *to = (l->learnt.count + l->tried.count) % TRIED == TRIED - 1 ? &l->tried : &l->learnt;
    int status = tycho__event_load(txn, position, &event);
    if (status == TYCHO_OK) status = tycho__dictionary_need(txn, &event);
    if (status == TYCHO_OK) status = tycho__decompress(txn->env, &event, room);
    if (status == TYCHO_CORRUPT) return TYCHO_OK;
    if (status != TYCHO_OK) return status;
    size_t size = event.metadata.size + event.data.size; /* they lie behind each other */
    if (size > EVENT_BYTES) size = EVENT_BYTES;
    return size < GRAM ? TYCHO_OK : add(to, event.metadata.data, size);
}

/* Takes events at even distances, in many short transactions. */
static int take_sample(learning *l, uint64_t wanted) {
    tycho__buffer room = {NULL, 0, 0};
    tycho__txn *txn;
    int status = tycho__txn_read(l->store->env, &txn);
    if (status != TYCHO_OK) return status;
    uint64_t head = txn->state.head, count = wanted < head ? wanted : head;
    for (uint64_t i = 0; i < count && status == TYCHO_OK; i++) {
        if (l->learnt.bytes.size > SAMPLE_BYTES) break;
        if (i % EVENTS_EACH == EVENTS_EACH - 1) status = tycho__txn_renew(txn);
        uint64_t position = 1 + head / count * i + head % count * i / count;
        if (status == TYCHO_OK) status = add_event(l, txn, position, &room);
    }
    l->number = txn->state.dictionaries + 1;
    tycho__txn_done(txn);
    tycho__buffer_free(&room);
    if (status != TYCHO_OK) return status;
    if (l->number > TYCHO__DICTIONARIES) {
        return tycho__fail(TYCHO_TOO_LARGE, "the store has %d dictionaries, which is the most",
                           TYCHO__DICTIONARIES);
    }
    size_t taken = l->learnt.count + l->tried.count;
    if (taken >= SAMPLE_LEAST) return TYCHO_OK;
    return tycho__fail(TYCHO_NOT_FOUND,
                       "a dictionary is learnt from %d events with data or more, here are %zu",
                       SAMPLE_LEAST, taken);
}

/* ---------------------------------------------------------------- what is common */

/* In how many events a string was; `last` is the last of them, from 1. */
typedef struct slot {
    uint32_t last, count;
} slot;

static slot *slot_of(slot *slots, const uint8_t *gram, int table) {
    uint64_t hash = tycho__hash(gram, GRAM, 0) >> (table * SLOT_BITS);
    return &slots[((size_t)table << SLOT_BITS) + (hash & ((1u << SLOT_BITS) - 1))];
}

static void count_grams(slot *slots, const uint8_t *at, size_t size, uint32_t event) {
    for (size_t i = 0; i + GRAM <= size; i++) {
        for (int table = 0; table < 2; table++) {
            slot *found = slot_of(slots, at + i, table);
            found->count += found->last != event;
            found->last = event;
        }
    }
}

static bool is_common(slot *slots, const uint8_t *gram) {
    return slot_of(slots, gram, 0)->count >= COMMON_MIN &&
           slot_of(slots, gram, 1)->count >= COMMON_MIN;
}

/* The parts of one event that are in common strings. */
static int add_common(sample *to, slot *slots, const uint8_t *at, size_t size) {
    uint8_t kept[EVENT_BYTES];
    size_t count = 0, end = 0; /* of the last common string */
    for (size_t i = 0; i < size; i++) {
        if (i + GRAM <= size && is_common(slots, at + i)) end = i + GRAM;
        if (i < end) kept[count++] = at[i];
    }
    return count == 0 ? TYCHO_OK : add(to, kept, count);
}

static int find_common(learning *l) {
    const uint8_t *at = l->learnt.bytes.data;
    int status = TYCHO_OK;
    slot *slots = tycho__table_make((size_t)2 << SLOT_BITS, sizeof *slots);
    if (slots == NULL) return no_memory();
    for (size_t i = 0; i < l->learnt.count; at += l->learnt.sizes[i++]) {
        count_grams(slots, at, l->learnt.sizes[i], (uint32_t)i + 1);
    }
    at = l->learnt.bytes.data;
    for (size_t i = 0; i < l->learnt.count && status == TYCHO_OK; at += l->learnt.sizes[i++]) {
        status = add_common(&l->common, slots, at, l->learnt.sizes[i]);
    }
    tycho__table_free(slots, (size_t)2 << SLOT_BITS, sizeof *slots);
    return status;
}

/* ---------------------------------------------------------------- the dictionary */

/* What zstd answers when too little is common. Without memory it has no other word for it than that
** something failed. */
static int refuse(const learning *l, size_t result) {
    ZSTD_ErrorCode code = ZSTD_getErrorCode(result);
    bool is_verdict =
        code == ZSTD_error_srcSize_wrong || code == ZSTD_error_dictionaryCreation_failed;
    if (!is_verdict) return no_memory();
    return tycho__fail(TYCHO_NOT_FOUND,
                       "no dictionary can be learnt from %zu events that are too different: %s",
                       l->learnt.count, ZDICT_getErrorName(result));
}

static int learn(learning *l) {
    const ZDICT_params_t parameters = {.compressionLevel = TYCHO__COMPRESSION_LEVEL,
                                       .dictID = l->number};
    tycho__buffer content = {NULL, 0, 0};
    int status = tycho__digest_room(LEARN_ROOM);
    if (status == TYCHO_OK) status = tycho__buffer_reserve(&content, TYCHO__DICTIONARY_MAX);
    if (status == TYCHO_OK) {
        status = tycho__buffer_reserve(&l->dictionary, TYCHO__DICTIONARY_MAX);
    }
    if (status != TYCHO_OK) {
        tycho__buffer_free(&content);
        return status;
    }
    size_t size = ZDICT_trainFromBuffer(content.data, TYCHO__DICTIONARY_MAX, l->common.bytes.data,
                                        l->common.sizes, (unsigned)l->common.count);
    size_t head = ZDICT_isError(size) ? size : ZDICT_getDictHeaderSize(content.data, size);
    if (!ZDICT_isError(head)) {
        size = ZDICT_finalizeDictionary(l->dictionary.data, TYCHO__DICTIONARY_MAX,
                                        content.data + head, size - head, l->learnt.bytes.data,
                                        l->learnt.sizes, (unsigned)l->learnt.count, parameters);
        head = size;
    }
    tycho__buffer_free(&content);
    if (ZDICT_isError(head)) return refuse(l, head);
    l->dictionary.size = size;
    return TYCHO_OK;
}

/* To how many percent of their size the events shrink that it was not learnt from. */
static int try_on_others(const learning *l, uint32_t *percent) {
    size_t compressed = 0;
    const uint8_t *at = l->tried.bytes.data;
    uint8_t to[EVENT_BYTES];
    int status = tycho__digest_room(TYCHO__DIGEST_ROOM);
    if (status != TYCHO_OK) return status;
    ZSTD_CDict *dictionary =
        ZSTD_createCDict(l->dictionary.data, l->dictionary.size, TYCHO__COMPRESSION_LEVEL);
    ZSTD_CCtx *context = ZSTD_createCCtx();
    bool has_memory = dictionary != NULL && context != NULL;
    for (size_t i = 0; i < l->tried.count && has_memory; at += l->tried.sizes[i++]) {
        size_t plain = l->tried.sizes[i];
        size_t size = ZSTD_compress_usingCDict(context, to, plain - 1, at, plain, dictionary);
        compressed += ZSTD_isError(size) ? plain : size;
    }
    *percent = (uint32_t)((compressed * 100 + l->tried.bytes.size / 2) / l->tried.bytes.size);
    ZSTD_freeCDict(dictionary);
    ZSTD_freeCCtx(context);
    return has_memory ? TYCHO_OK : no_memory();
}

/* ---------------------------------------------------------------- the verb */

static int make_current(tycho_store *store, uint32_t number, tycho_bytes dictionary) {
    tycho_batch *batch;
    int status = tycho_batch_create(&batch);
    if (status != TYCHO_OK) return status;
    status = tycho__batch_set_dictionary(batch, number, dictionary);
    if (status == TYCHO_OK) status = tycho__commit_own(store, batch);
    tycho_batch_destroy(batch);
    return status;
}

static int learn_once(tycho_store *store, uint64_t wanted, uint32_t *percent) {
    learning l = {.store = store};
    int status = sample_open(&l.learnt, wanted);
    if (status == TYCHO_OK) status = sample_open(&l.common, wanted);
    if (status == TYCHO_OK) status = sample_open(&l.tried, wanted);
    if (status == TYCHO_OK) status = take_sample(&l, wanted);
    if (status == TYCHO_OK) status = find_common(&l);
    if (status == TYCHO_OK) status = learn(&l);
    if (status == TYCHO_OK) status = try_on_others(&l, percent);
    if (status == TYCHO_OK) {
        status = make_current(store, l.number, tycho__buffer_bytes(&l.dictionary));
    }
    sample_free(&l.learnt);
    sample_free(&l.common);
    sample_free(&l.tried);
    tycho__buffer_free(&l.dictionary);
    return status;
}

int tycho_compress(tycho_store *store, uint64_t sampled, uint32_t *percent) {
    int status = tycho__store_check(store);
    if (status != TYCHO_OK) return status;
    if (percent == NULL) return tycho__fail(TYCHO_MISUSE, "no place to put the percentage");
    *percent = 100;
    if (store->options.mode == TYCHO_READ_ONLY) {
        return tycho__fail(TYCHO_DENIED, "the store was opened read-only");
    }
    if (sampled == TYCHO_COMPRESS_OFF) return make_current(store, 0, tycho__bytes(NULL, 0));
    if (sampled > SAMPLE_MAX) {
        return tycho__fail(TYCHO_MISUSE, "a sample of %llu events, at most %d are allowed",
                           (unsigned long long)sampled, SAMPLE_MAX);
    }
    if (sampled == 0) sampled = SAMPLE_DEFAULT;
    status = TYCHO_CONDITION_FAILED; /* as when somebody else made the same number in between */
    for (int i = 0; i < TRIES && status == TYCHO_CONDITION_FAILED; i++) {
        status = learn_once(store, sampled, percent);
    }
    return status;
}
