/* rules.h - all scripts of one version of a store's rules, ready to be asked by type.
**
** Compiled once per process and version, and shared by all handles and threads; never changed. A
** definition whose source is the same under two versions is the same object.
*/
#ifndef TYCHO_RULES_H
#define TYCHO_RULES_H

#include "script.h"

/* What concerns events of one type; indices into `definitions`. */
struct tycho__concern {
    tycho_bytes type;
    int event_type;           /* -1: none */
    int renamed;              /* the event type that has this as a former name; -1: none */
    const tycho_bytes *names; /* all names of that event type, when it has former ones */
    size_t name_count;
    uint16_t *linkers; /* and read models */
    size_t linker_count;
};

/* The event type that has the name, as its own or as a former one; -1: none. */
static inline int tycho__concern_type(const struct tycho__concern *concern) {
    return concern->renamed >= 0 ? concern->renamed : concern->event_type;
}

/* Which version an event type had from a position on. */
struct tycho__boundary {
    uint64_t position; /* of the deployment */
    int64_t version;
    uint64_t source; /* hash of it */
    tycho_bytes name;
};

/* A script that is deployed and cannot be compiled here: what its row says. */
struct tycho__broken {
    struct tycho__broken *next;
    tycho_script_about about;
};

enum { TYCHO__SCRIPTS_MAX = 10000 }; /* of a store */

struct tycho__rules {
    atomic_uint users;
    uint64_t version;
    struct tycho__definition **definitions; /* by their keys */
    size_t count;
    struct tycho__concern *concerns;
    size_t concern_count;
    uint32_t *slots; /* open addressing: index in `concerns` + 1 */
    size_t slot_count;
    struct tycho__concern others;       /* types that no script names */
    struct tycho__boundary *boundaries; /* by position */
    size_t boundary_count;
    bool changes_reads;             /* has former names, or versions above 1 */
    struct tycho__failure *failure; /* why a script cannot be compiled; NULL: all can */
    struct tycho__broken *broken;   /* those that cannot */
    struct tycho__block *blocks;    /* memory of all the above */
};

/* Those of a store without scripts. NO_MEMORY. */
int tycho__rules_none(struct tycho__rules **rules);
/* The rules as of now; `previous` (may be NULL) lends definitions that are the same. */
int tycho__rules_load(tycho_store *store, const struct tycho__rules *previous,
                      struct tycho__rules **rules);
void tycho__rules_hold(struct tycho__rules *rules);
void tycho__rules_release(struct tycho__rules *rules);

const struct tycho__concern *tycho__rules_find(const struct tycho__rules *rules, tycho_bytes type);

/* What a deployed script declares, a broken one too; NULL: it is not deployed. */
const tycho_script_about *tycho__rules_about(const struct tycho__rules *rules, tycho_bytes key);

/* The version under which an event of the stored type was written: its `written`. */
int64_t tycho__rules_version_at(const struct tycho__rules *rules, tycho_bytes type,
                                uint64_t written);

/* What a row of TYCHO_SCRIPTS, or the data of an event of "$scripts", says. */
struct tycho__deployed {
    tycho_bytes kind, name, source;
    int64_t version, deployed_at;
};
/* TYCHO_CORRUPT when it is not what a deployment writes. */
int tycho__deployed_parse(tycho_bytes data, struct tycho__deployed *deployed);

/* The name of the stream that has the history. */
static inline tycho_bytes tycho__scripts_stream(void) {
    return tycho__text("$scripts");
}

/* The rules of an attached store as of now, held. MISUSE when it is not attached. */
int tycho__store_rules(tycho_store *store, struct tycho__rules **rules);

/* Makes the caller's use of the definition the script's. */
int tycho__script_create(struct tycho__definition *definition, tycho_script **script);

#endif
