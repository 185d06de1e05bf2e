/* every_verb_follow.c - the steps of every_verb.h that follow and salvage. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "every_verb.h"

#define WRONG(life) ((life)->line = __LINE__, TOLD_WRONG)

static tycho_bytes text(const char *string) {
    return (tycho_bytes){string, strlen(string)};
}

static void note(uint64_t *hash, uint64_t number) {
    *hash = (*hash ^ number) * 0x100000001b3u;
}

/* Serves all there is, and notes the key behind it. It goes on after a failure with the same
** follower, where that could be opened: no event may be missing or come twice. */
static int follow_to_the_end(life *l, const tycho_read *read, char *kept, tycho_bytes *key) {
    tycho_follower *follower = NULL;
    tycho_event event;
    int descriptor;
    int status = tycho_follower_open(l->store, read, &follower);
    if (status == TYCHO_OK) status = tycho_follower_descriptor(follower, &descriptor);
    if (status != TYCHO_OK) {
        tycho_follower_close(follower);
        return status;
    }
    for (int failures = 0; status == TYCHO_OK || (status == TYCHO_NO_MEMORY && failures < 3);) {
        if (status == TYCHO_NO_MEMORY) failures++;
        status = tycho_follower_next(follower, 0, &event);
        if (status == TYCHO_OK) note(&l->hash, event.position);
    }
    if (status == TYCHO_TIMEOUT) status = tycho_follower_key(follower, key);
    if (status == TYCHO_OK) {
        const uint8_t *bytes = key->data;
        for (size_t i = 0; i < key->size; i++) note(&l->hash, bytes[i]);
        memcpy(kept, key->data, key->size);
        key->data = kept;
        tycho_follower_cancel(follower);
        if (tycho_follower_next(follower, -1, &event) != TYCHO_END) status = WRONG(l);
    }
    tycho_follower_close(follower);
    return status;
}

int follow_streams(life *l) {
    const tycho_bytes types[] = {{"began", 5}};
    const tycho_query_item item = {.types = types, .type_count = 1};
    const tycho_query query = {&item, 1};
    tycho_read reads[] = {{.size = sizeof *reads},
                          {.size = sizeof *reads, .stream = text("route")},
                          {.size = sizeof *reads, .query = &query}};
    int status = TYCHO_OK;
    for (size_t i = 0; i < sizeof reads / sizeof *reads && status == TYCHO_OK; i++) {
        char kept[TYCHO_CURSOR_KEY_MAX];
        status = follow_to_the_end(l, &reads[i], kept, &reads[i].resume);
        uint64_t hash = l->hash;
        if (status == TYCHO_OK) status = follow_to_the_end(l, &reads[i], kept, &reads[i].resume);
        if (status == TYCHO_OK && l->hash == hash) status = WRONG(l); /* the key is hashed */
    }
    return status;
}

/* The new store must be as sound as the old one. */
int salvage(life *l) {
    static const char *const files[] = {"data.mdb", "lock.mdb", "locks", "notify", "lock_table"};
    char path[256], file[300];
    tycho_salvage *saved = NULL;
    tycho_salvaged counts = {.findings = 0};
    snprintf(path, sizeof path, "%s.saved", l->path);
    int status = tycho_salvage_open(l->path, path, &saved);
    if (status == TYCHO_OK) status = tycho_salvage_get(saved, &counts);
    note(&l->hash, counts.events);
    note(&l->hash, counts.entries);
    note(&l->hash, counts.rows);
    tycho_salvage_close(saved);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(file, sizeof file, "%s/%s", path, files[i]);
        unlink(file);
    }
    rmdir(path);
    return status == TYCHO_OK && counts.findings != 0 ? WRONG(l) : status;
}
