/* dictionary.c - compressing and decompressing records; see dictionary.h.
**
** With compress.c the only place that knows zstd. What it needs to compress is the writer's, of
** whom there is one at a time. Contexts to decompress, 160 KB each, are in places from which a
** thread takes one by an exchange: who finds none makes one, which goes where there is room.
*/
#include "dictionary.h"

#include <stdlib.h>
#include <zdict.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "apply.h"

enum { CONTEXTS = 64, LEAST = 16 /* bytes that are worth a try */ };

typedef struct digest {
    ZSTD_DDict *reading;
    ZSTD_CDict *writing; /* the writer's; NULL: not needed yet */
} digest;

struct tycho__digests {
    _Atomic(digest *) all[TYCHO__DICTIONARIES + 1];
    _Atomic(ZSTD_DCtx *) contexts[CONTEXTS];
    ZSTD_CCtx *writer;
    tycho__buffer body; /* the last one that was compressed */
};

struct tycho__digests *tycho__digests_create(void) {
    return calloc(1, sizeof(struct tycho__digests));
}

static void free_digest(digest *gone) {
    if (gone == NULL) return;
    ZSTD_freeDDict(gone->reading);
    ZSTD_freeCDict(gone->writing);
    free(gone);
}

void tycho__digests_destroy(struct tycho__digests *digests) {
    if (digests == NULL) return;
    for (int i = 0; i <= TYCHO__DICTIONARIES; i++) free_digest(atomic_load(&digests->all[i]));
    for (int i = 0; i < CONTEXTS; i++) ZSTD_freeDCtx(atomic_load(&digests->contexts[i]));
    ZSTD_freeCCtx(digests->writer);
    tycho__buffer_free(&digests->body);
    free(digests);
}

static int no_memory(void) {
    return tycho__fail(TYCHO_NO_MEMORY, "no memory for a dictionary");
}

int tycho__digest_room(size_t size) {
    void *volatile room = malloc(size); /* or it is optimized away */
    if (room == NULL) return no_memory();
    free(room);
    return TYCHO_OK;
}

/* ---------------------------------------------------------------- dictionaries */

bool tycho__is_dictionary(tycho_bytes bytes, uint64_t number) {
    if (bytes.size > TYCHO__DICTIONARY_MAX || number == 0 || number > TYCHO__DICTIONARIES ||
        ZDICT_getDictID(bytes.data, bytes.size) != number) {
        return false;
    }
    size_t head = ZDICT_getDictHeaderSize(bytes.data, bytes.size);
    /* Without memory nobody can say; then the next who needs some says that. */
    return !ZDICT_isError(head) || ZSTD_getErrorCode(head) == ZSTD_error_memory_allocation;
}

int tycho__dictionary_read(tycho__txn *txn, uint32_t number, tycho_bytes *bytes) {
    uint8_t key[TYCHO__ROW_KEY_MAX];
    uint32_t table;
    uint64_t version;
    tycho_bytes name = tycho__dictionaries(), row;
    int status = tycho__list_find(txn, TYCHO__ROW_TABLE, name, &table);
    for (int copy = 0; copy < TYCHO__DICTIONARY_COPIES && status == TYCHO_OK; copy++) {
        const uint8_t rest[2] = {(uint8_t)number, (uint8_t)copy};
        tycho_bytes whole = {key, tycho__row_key(key, table, tycho__bytes(rest, sizeof rest))};
        status = tycho__get(txn, TYCHO__ROWS, whole, &row);
        if (status == TYCHO_OK) status = tycho__row_parse(whole, row, &version, bytes);
        if (status == TYCHO_OK && tycho__is_dictionary(*bytes, number)) return TYCHO_OK;
        if (status == TYCHO_CORRUPT || status == TYCHO_NOT_FOUND) status = TYCHO_OK;
    }
    if (status != TYCHO_OK && status != TYCHO_NOT_FOUND) return status;
    return tycho__fail(TYCHO_CORRUPT, "the dictionary %u is lost, which events need", number);
}

/* The digest of a dictionary, made when this environment sees it for the first time. */
static int find_digest(tycho__txn *txn, uint32_t number, digest **out) {
    _Atomic(digest *) *place = &txn->env->digests->all[number];
    tycho_bytes bytes;
    *out = atomic_load_explicit(place, memory_order_acquire);
    if (*out != NULL) return TYCHO_OK;
    int status = tycho__dictionary_read(txn, number, &bytes);
    if (status != TYCHO_OK) return status;
    digest *made = calloc(1, sizeof *made), *other = NULL;
    if (made != NULL) made->reading = ZSTD_createDDict(bytes.data, bytes.size);
    if (made == NULL || made->reading == NULL) {
        free_digest(made);
        return no_memory();
    }
    if (atomic_compare_exchange_strong(place, &other, made)) {
        *out = made;
    } else {
        free_digest(made);
        *out = other;
    }
    return TYCHO_OK;
}

/* ---------------------------------------------------------------- writing */

/* Makes what compresses. TYCHO_CORRUPT: the dictionary is lost. */
static int prepare_writer(tycho__txn *txn, digest **out) {
    struct tycho__digests *digests = txn->env->digests;
    tycho_bytes bytes;
    int status = find_digest(txn, txn->dictionary, out);
    if (status == TYCHO_OK && (*out)->writing == NULL) {
        status = tycho__dictionary_read(txn, txn->dictionary, &bytes);
        if (status == TYCHO_OK) status = tycho__digest_room(TYCHO__DIGEST_ROOM);
        if (status != TYCHO_OK) return status;
        (*out)->writing = ZSTD_createCDict(bytes.data, bytes.size, TYCHO__COMPRESSION_LEVEL);
        if ((*out)->writing == NULL) status = no_memory();
    }
    if (status != TYCHO_OK) return status;
    if (digests->writer == NULL) digests->writer = ZSTD_createCCtx();
    return digests->writer != NULL ? TYCHO_OK : no_memory();
}

static size_t ids_size(const tycho__event_view *event) {
    return event->id.size + event->correlation_id.size + event->causation_id.size;
}

/* Events stay readable, and can be written, also when the current dictionary is lost. */
int tycho__compress(tycho__txn *txn, tycho__event_view *event) {
    size_t ids = ids_size(event), size = event->body.size - ids;
    tycho__buffer *body = &txn->env->digests->body;
    digest *current;
    if (txn->dictionary == 0 || size < LEAST) return TYCHO_OK;
    int status = prepare_writer(txn, &current);
    if (status == TYCHO_CORRUPT) return TYCHO_OK;
    body->size = 0;
    if (status == TYCHO_OK) status = tycho__buffer_reserve(body, event->body.size);
    if (status != TYCHO_OK) return status;
    tycho__write(body, event->body.data, ids);
    const uint8_t *from = (const uint8_t *)event->body.data + ids;
    size_t made = ZSTD_compress_usingCDict(txn->env->digests->writer, body->data + ids, size - 1,
                                           from, size, current->writing);
    if (ZSTD_isError(made)) {
        bool is_larger = ZSTD_getErrorCode(made) == ZSTD_error_dstSize_tooSmall;
        return is_larger ? TYCHO_OK : no_memory();
    }
    body->size += made;
    event->flags |= TYCHO__COMPRESSED;
    event->body = tycho__buffer_bytes(body);
    return TYCHO_OK;
}

/* ---------------------------------------------------------------- reading */

static int corrupt(const tycho__event_view *event, const char *what) {
    return tycho__fail(TYCHO_CORRUPT, "the record at position %llu has %s",
                       (unsigned long long)event->position, what);
}

int tycho__compressed_facts(const tycho__event_view *event, uint32_t *number, size_t *size) {
    tycho_bytes frame = event->frame;
    unsigned long long wanted = ZSTD_getFrameContentSize(frame.data, frame.size);
    *number = ZSTD_getDictID_fromFrame(frame.data, frame.size);
    *size = (size_t)wanted;
    if (wanted > TYCHO_EVENT_SIZE_MAX || wanted < event->metadata_size) { /* or an error of zstd */
        return corrupt(event, "compressed data without a right size");
    }
    bool is_known = *number > 0 && *number <= TYCHO__DICTIONARIES;
    return is_known ? TYCHO_OK : corrupt(event, "compressed data without a dictionary");
}

int tycho__dictionary_need(tycho__txn *txn, const tycho__event_view *event) {
    uint32_t number;
    size_t size;
    digest *found;
    if ((event->flags & TYCHO__COMPRESSED) == 0) return TYCHO_OK;
    int status = tycho__compressed_facts(event, &number, &size);
    return status == TYCHO_OK ? find_digest(txn, number, &found) : status;
}

static size_t first_place(void) {
    static _Thread_local char here;
    return (uintptr_t)&here / 64 % CONTEXTS;
}

static ZSTD_DCtx *take_context(struct tycho__digests *digests) {
    size_t first = first_place();
    for (size_t i = 0; i < CONTEXTS; i++) {
        _Atomic(ZSTD_DCtx *) *place = &digests->contexts[(first + i) % CONTEXTS];
        if (atomic_load_explicit(place, memory_order_relaxed) == NULL) continue;
        ZSTD_DCtx *taken = atomic_exchange(place, NULL);
        if (taken != NULL) return taken;
    }
    return ZSTD_createDCtx();
}

static void give_context(struct tycho__digests *digests, ZSTD_DCtx *context) {
    size_t first = first_place();
    for (size_t i = 0; i < CONTEXTS; i++) {
        ZSTD_DCtx *none = NULL;
        _Atomic(ZSTD_DCtx *) *place = &digests->contexts[(first + i) % CONTEXTS];
        if (atomic_compare_exchange_strong(place, &none, context)) return;
    }
    ZSTD_freeDCtx(context);
}

int tycho__decompress_to(tycho__env *env, const tycho__event_view *event, size_t size, void *to) {
    uint32_t number;
    size_t wanted;
    int status = tycho__compressed_facts(event, &number, &wanted);
    if (status != TYCHO_OK) return status;
    if (wanted != size) return corrupt(event, "compressed data of another size");
    const digest *found = atomic_load_explicit(&env->digests->all[number], memory_order_acquire);
    if (found == NULL) return corrupt(event, "compressed data whose dictionary is lost");
    ZSTD_DCtx *context = take_context(env->digests);
    if (context == NULL) return no_memory();
    size_t made = ZSTD_decompress_usingDDict(context, to, size, event->frame.data,
                                             event->frame.size, found->reading);
    give_context(env->digests, context);
    if (!ZSTD_isError(made) && made == size) return TYCHO_OK;
    return corrupt(event, "compressed data that are damaged");
}

int tycho__decompress(tycho__env *env, tycho__event_view *event, tycho__buffer *to) {
    uint32_t number;
    size_t size;
    if ((event->flags & TYCHO__COMPRESSED) == 0) return TYCHO_OK;
    int status = tycho__compressed_facts(event, &number, &size);
    to->size = 0;
    if (status == TYCHO_OK) status = tycho__buffer_reserve(to, size + 1);
    if (status == TYCHO_OK) status = tycho__decompress_to(env, event, size, to->data);
    if (status != TYCHO_OK) return status;
    to->size = size;
    event->metadata = tycho__bytes(to->data, event->metadata_size);
    event->data = tycho__bytes(to->data + event->metadata_size, size - event->metadata_size);
    return TYCHO_OK;
}
