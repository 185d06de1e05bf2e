/* commit.c - committing batches in groups.
**
** Threads that submit at the same time share one transaction and one flush. The first becomes the
** leader; the others wait. Without a timer: a lone writer never waits, and while a leader flushes,
** the next group gathers.
**
**      submit ----> QUEUED ----(taken by a leader)----> DONE   the leader has its verdict
**                     |
**                     +--(the leader has finished, and this is the first of the queue)--> LEADING
**
** Whom a commit releases, mostly comes back at once. If the first of them led at once, groups of
** one and of all the others would take turns. So a leader gathers: while fewer are queued than were
** released and queued at the end of the last commit, it waits for them, but not beyond a fraction
** of the time of that commit, counted from its end; and it does so more and more rarely while they
** do not come.
**
** The leader enters the writer gate, takes what is queued by then, applies batch after batch, each
** with its own verdict, commits, leaves the gate, and wakes all with their receipts. A batch that
** is refused after it changed something spoils the transaction: it is given up and begun again
** without that batch. That is rare (conditions are checked first) and needs no undo of anything.
** A batch that is completed under the gate is alone in its group: it reads what is committed.
*/
#include "commit.h"

#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <time.h>

#include "apply.h"
#include "lock.h"
#include "settle.h"
#include "store.h"

enum {
    GROUP_EVENTS = 10000, /* events of a group, unless one batch alone has more */
    GROUP_SIZE = 16 << 20,
    SWEEP_ENTRIES = 4096, /* of deleted streams, per commit */
    SETTLE_WAIT_MS = 1000,
    SPACE_CHECKS = 64,       /* commits between two looks at space and dead readers */
    GATHER_SHARE = 3,        /* of the time of a commit, at most, for gathering the next group */
    GATHER_LEAST_NS = 20000, /* less is not worth going to sleep */
    GATHER_REST = 63,        /* commits between two attempts at gathering, at most */
    NS = 1000000000          /* of a second */
};

enum request_state { QUEUED, LEADING, DONE };

/* What finishes a batch when nobody else can write. */
struct completion {
    int (*complete)(void *context, tycho_store *store, tycho_batch *batch);
    void *context;
};

struct request {
    tycho_batch *batch;
    tycho_store *store;
    bool is_own;                         /* of the engine: flushed, and no rule is asked */
    int refusal;                         /* of hooks, with `sentence`: the answer unless a replay */
    const struct completion *completion; /* or NULL; it is alone in its group */
    enum request_state state;
    int status;
    char sentence[512]; /* of the failure: sentences belong to threads */
    sem_t wake;         /* posted once, after the last look of others at the request */
    struct request *next;
};

struct tycho__writer {
    pthread_mutex_t mutex;
    struct request *first, **last; /* the queue */
    bool has_leader;
    size_t queued;           /* in the queue */
    size_t expected;         /* in it, once those whom the last commit released are back */
    int64_t gather_end;      /* CLOCK_MONOTONIC, ns */
    uint32_t rest, rested;   /* commits without gathering: how many, how many of them were */
    bool is_gathering;       /* a leader waits for `gathered` */
    pthread_cond_t gathered; /* `expected` are queued */
    uint64_t commits, batches;
    uint64_t space;             /* free bytes of the disk, by a cautious guess */
    uint32_t until_space_check; /* commits until it is asked again */
};

struct tycho__writer *tycho__writer_create(void) {
    struct tycho__writer *writer = calloc(1, sizeof *writer);
    if (writer == NULL) return NULL;
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&writer->mutex, NULL);
    pthread_cond_init(&writer->gathered, &attributes);
    pthread_condattr_destroy(&attributes);
    writer->last = &writer->first;
    return writer;
}

void tycho__writer_destroy(struct tycho__writer *writer) {
    if (writer == NULL) return;
    assert(writer->first == NULL);
    pthread_cond_destroy(&writer->gathered);
    pthread_mutex_destroy(&writer->mutex);
    free(writer);
}

void tycho__writer_counts(struct tycho__writer *writer, uint64_t *commits, uint64_t *batches) {
    pthread_mutex_lock(&writer->mutex);
    *commits = writer->commits;
    *batches = writer->batches;
    pthread_mutex_unlock(&writer->mutex);
}

/* ---------------------------------------------------------------- the group */

/* Keeps the sentence of what has just failed. */
static void set_sentence(struct request *request) {
    size_t size = strnlen(tycho_error(), sizeof request->sentence - 1);
    memcpy(request->sentence, tycho_error(), size);
    request->sentence[size] = '\0';
}

static void set_verdict(struct request *request, int status) {
    request->status = status;
    if (status != TYCHO_OK) set_sentence(request);
}

/* A refused batch leaves no results. */
static void clear_results(tycho_batch *batch) {
    batch->receipt.sequence = 0;
    batch->receipt.first_position = 0;
    batch->receipt.event_count = 0;
    batch->receipt.results = NULL;
    batch->receipt.result_count = 0;
}

/* Gives all batches of the group that had no verdict of their own this one. */
static void refuse_group(struct request *group, int status) {
    for (struct request *request = group; request != NULL; request = request->next) {
        if (request->status != TYCHO_OK) continue;
        set_verdict(request, status);
        clear_results(request->batch);
    }
}

static uint32_t strictest_sync(const struct request *group) {
    uint32_t sync = TYCHO_SYNC_NONE;
    for (const struct request *request = group; request != NULL; request = request->next) {
        uint32_t wanted = request->is_own ? TYCHO_SYNC_FULL : request->store->options.sync;
        if (wanted < sync) sync = wanted; /* refused ones too: a settlement may go with them */
    }
    return sync;
}

/* The largest reserve that a handle of the group asks for. */
static uint64_t largest_reserve(const struct request *group) {
    uint64_t reserve = 0;
    for (const struct request *request = group; request != NULL; request = request->next) {
        uint64_t wanted = request->store->options.reserve_size;
        if (wanted > reserve) reserve = wanted;
    }
    return reserve;
}

/* Refuses those whose reserve the disk does not have any more. */
static int check_space(struct tycho__writer *writer, tycho__env *env, struct request *group) {
    struct statvfs disk;
    uint64_t reserve = largest_reserve(group);
    bool is_plenty = writer->space > GROUP_SIZE && writer->space - GROUP_SIZE > reserve;
    if (is_plenty && writer->until_space_check > 0) {
        writer->until_space_check--;
        writer->space -= GROUP_SIZE;
        return TYCHO_OK;
    }
    if (fstatvfs(env->gate.directory_fd, &disk) != 0) {
        return tycho__fail(TYCHO_IO, "the disk of the store: %s", strerror(errno));
    }
    writer->space = (uint64_t)disk.f_bavail * disk.f_frsize;
    writer->until_space_check = SPACE_CHECKS;
    tycho__env_clear_readers(env); /* killed ones keep pages from being used again */
    for (struct request *request = group; request != NULL; request = request->next) {
        uint64_t wanted = request->store->options.reserve_size;
        if (writer->space >= wanted) continue;
        tycho__fail(TYCHO_FULL,
                    "the disk has %llu bytes left, and %llu are kept in reserve: free some, or "
                    "open the store with a smaller reserve_size",
                    (unsigned long long)writer->space, (unsigned long long)wanted);
        set_verdict(request, TYCHO_FULL);
    }
    return TYCHO_OK;
}

static int check_rules(const tycho__txn *txn, const struct request *request) {
    if (txn->state.rules == 0 || request->store->hooks.expand != NULL) return TYCHO_OK;
    if (request->is_own) return TYCHO_OK;
    return tycho__fail(TYCHO_DENIED,
                       "the store has deployed scripts and this host cannot run them: "
                       "link the script host, or only read");
}

/* Hooks judge by the rules of today what may have been committed under those of yesterday. */
static int check_refusal(tycho__txn *txn, const struct request *request) {
    tycho_batch *batch = request->batch;
    if (request->refusal == TYCHO_OK) return TYCHO_OK;
    int status = tycho__batch_begin_receipt(batch);
    if (status == TYCHO_OK) status = tycho__replay(txn, batch);
    if (status == TYCHO_NOT_FOUND) {
        tycho_set_error(request->sentence);
        status = request->refusal;
    }
    return status;
}

/* The locks that a batch demands are looked at here and not in apply, whose result depends on state
** and bytes alone. A replay is answered without. */
static int check_locks(tycho__txn *txn, tycho_batch *batch) {
    if (batch->lock_count == 0) return TYCHO_OK;
    int status = tycho__batch_begin_receipt(batch);
    if (status != TYCHO_OK) return status;
    if (batch->is_idempotent && tycho__replay(txn, batch) == TYCHO_OK) return TYCHO_OK;
    return tycho__locks_check(txn->env, batch);
}

/* Applies the batches that have no verdict yet. TYCHO_OK: the transaction can be committed, with
** `*applied` batches in it. TYCHO_BUSY (no sentence): one batch got a verdict and spoilt it. */
static int apply_group(tycho__txn *txn, struct request *group, uint64_t *applied) {
    *applied = 0;
    for (struct request *request = group; request != NULL; request = request->next) {
        if (request->status != TYCHO_OK) continue;
        bool was_changed = txn->is_changed;
        txn->is_changed = false;
        int status = check_rules(txn, request);
        if (status == TYCHO_OK) status = check_refusal(txn, request);
        if (status == TYCHO_OK) status = check_locks(txn, request->batch);
        if (status == TYCHO_OK) status = tycho__apply(txn, request->batch);
        tycho__recent_let_go(txn);
        if (status != TYCHO_OK) {
            set_verdict(request, status);
            clear_results(request->batch);
            if (txn->is_changed) return TYCHO_BUSY;
        } else {
            ++*applied;
        }
        txn->is_changed = txn->is_changed || was_changed;
    }
    return TYCHO_OK;
}

/* After a failed commit: did it happen? LMDB may report an error of the very last write although
** the commit is there. */
static int judge_commit(tycho__env *env, uint64_t sequence, int status) {
    char why[256];
    snprintf(why, sizeof why, "%s", tycho_error());
    tycho__txn *txn = NULL;
    int read_status = tycho__txn_read(env, &txn);
    bool is_there = read_status == TYCHO_OK && txn->state.sequence >= sequence;
    tycho__txn_done(txn);
    if (read_status == TYCHO_OK && !is_there) {
        tycho_set_error(why);
        return status;
    }
    return tycho__fail(TYCHO_UNKNOWN_OUTCOME,
                       "%s; the batch may be there or not, now or after a "
                       "power cut",
                       why);
}

/* Of the events and links ever made. */
static uint64_t weight_made(const tycho__txn *txn) {
    return tycho__weight(txn->state.head, txn->state.links_made);
}

/* `*sequence` is that of the last batch when something was committed, else 0. */
static int commit_group(tycho__env *env, struct request *group, uint64_t *applied,
                        uint64_t *sequence) {
    tycho__txn txn;
    uint64_t added;
    int status;
    *sequence = 0;
    do {
        status = tycho__txn_write(env, strictest_sync(group), &txn);
        if (status != TYCHO_OK) return status;
        added = weight_made(&txn);
        status = tycho__settle_begin_when_due(&txn);
        if (status == TYCHO_OK) status = apply_group(&txn, group, applied);
        if (status == TYCHO_BUSY) tycho__txn_abort(&txn);
    } while (status == TYCHO_BUSY);
    if (status == TYCHO_OK && txn.is_changed && txn.state.garbage > 0) {
        status = tycho__sweep(&txn, SWEEP_ENTRIES);
    }
    if (status == TYCHO_OK && txn.is_changed) status = tycho__lists_read_ahead(&txn);
    if (status == TYCHO_OK && txn.is_changed) {
        status = tycho__settle_along(&txn, weight_made(&txn) - added);
    }
    if (status != TYCHO_OK || !txn.is_changed) {
        tycho__txn_abort(&txn);
        /* Replays alone: what they promise may have been committed by somebody who flushes less. */
        bool is_replay = status == TYCHO_OK && *applied > 0;
        bool must_flush = is_replay && strictest_sync(group) == TYCHO_SYNC_FULL;
        return must_flush ? tycho__env_sync(env) : status;
    }
    uint64_t last = txn.state.sequence;
    status = tycho__txn_commit(&txn);
    if (status != TYCHO_OK) return judge_commit(env, last, status);
    *sequence = last;
    return TYCHO_OK;
}

/* ---------------------------------------------------------------- the queue */

static int64_t monotonic_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * NS + now.tv_nsec;
}

/* With the mutex: waits for those whom the last commit released. */
static void gather(struct tycho__writer *writer) {
    size_t before = writer->queued;
    int64_t end = writer->gather_end;
    struct timespec until = {.tv_sec = (time_t)(end / NS), .tv_nsec = (long)(end % NS)};
    if (before >= writer->expected) return;
    if (writer->rested < writer->rest) {
        writer->rested++;
        return;
    }
    if (end - monotonic_ns() < GATHER_LEAST_NS) return;
    int error = 0;
    writer->is_gathering = true;
    while (error == 0 && writer->queued < writer->expected) {
        error = pthread_cond_timedwait(&writer->gathered, &writer->mutex, &until);
    }
    writer->is_gathering = false;
    writer->rested = 0;
    if (writer->queued + (writer->queued - before) >= writer->expected) { /* half of them came */
        writer->rest = 0;
    } else if (writer->rest < GATHER_REST) {
        writer->rest = writer->rest * 2 + 1;
    }
}

/* Takes a group off the queue: the leader's own request first, then, unless it is to be alone, what
** there is room for. */
static struct request *take_group(struct tycho__writer *writer, bool is_alone, size_t *count) {
    struct request *group = writer->first, *end = group;
    size_t events = group->batch->element_count, size = group->batch->operations.size;
    is_alone = is_alone || group->completion != NULL;
    *count = 1;
    while (end->next != NULL && !is_alone) {
        if (end->next->completion != NULL) break;
        events += end->next->batch->element_count;
        size += end->next->batch->operations.size;
        if (events > GROUP_EVENTS || size > GROUP_SIZE) break;
        end = end->next;
        ++*count;
    }
    writer->first = end->next;
    if (writer->first == NULL) writer->last = &writer->first;
    end->next = NULL;
    writer->queued -= *count;
    return group;
}

/* With the mutex: makes the first of the queue the next leader. */
static struct request *pass_lead(struct tycho__writer *writer) {
    writer->has_leader = writer->first != NULL;
    if (writer->has_leader) writer->first->state = LEADING;
    return writer->first;
}

/* Wakes the group's other threads. */
static void wake_group(struct request *group, const struct request *own) {
    while (group != NULL) {
        struct request *next = group->next; /* a woken request is gone */
        group->state = DONE;
        if (group != own) sem_post(&group->wake);
        group = next;
    }
}

/* Nobody else can write: what is read now is what the batch will find. A request with its own
** verdict has been refused already. */
static int complete_batch(const struct request *own) {
    if (own->status != TYCHO_OK) return TYCHO_OK;
    const struct completion *completion = own->completion;
    return completion->complete(completion->context, own->store, own->batch);
}

static void lead(struct tycho__writer *writer, struct request *own) {
    tycho__env *env = own->store->env;
    uint64_t applied = 0, sequence = 0;
    size_t count;
    if (own->completion == NULL) {
        pthread_mutex_lock(&writer->mutex);
        gather(writer);
        pthread_mutex_unlock(&writer->mutex);
    }
    int status = tycho__gate_enter(&env->gate, own->store->options.write_timeout_ms);
    bool is_inside = status == TYCHO_OK;
    int64_t began = monotonic_ns();
    pthread_mutex_lock(&writer->mutex);
    assert(writer->first == own);
    /* When its own time is over, the others still have theirs: the next one leads. */
    struct request *group = take_group(writer, !is_inside, &count);
    pthread_mutex_unlock(&writer->mutex);
    if (is_inside) status = check_space(writer, env, group);
    if (status == TYCHO_OK && own->completion != NULL) status = complete_batch(own);
    if (status == TYCHO_OK) status = commit_group(env, group, &applied, &sequence);
    if (is_inside) tycho__gate_leave(&env->gate);
    if (status != TYCHO_OK) refuse_group(group, status);
    if (sequence > 0) tycho__gate_announce(&env->gate, sequence);
    int64_t ended = monotonic_ns();
    pthread_mutex_lock(&writer->mutex);
    if (status == TYCHO_OK && applied > 0) writer->commits++;
    if (status == TYCHO_OK) writer->batches += applied;
    writer->expected = count + writer->queued;
    writer->gather_end = ended + (ended - began) / GATHER_SHARE;
    struct request *next = pass_lead(writer);
    pthread_mutex_unlock(&writer->mutex);
    if (next != NULL) sem_post(&next->wake);
    wake_group(group, own);
}

/* `refusal` is that of hooks, which has just failed, or TYCHO_OK. */
static int submit(tycho_store *store, tycho_batch *batch, const struct completion *completion,
                  bool is_own, int refusal) {
    struct tycho__writer *writer = store->env->writer;
    struct request request = {.batch = batch,
                              .store = store,
                              .is_own = is_own,
                              .refusal = refusal,
                              .completion = completion,
                              .state = QUEUED};
    if (refusal != TYCHO_OK) set_sentence(&request);
    sem_init(&request.wake, 0, 0);
    pthread_mutex_lock(&writer->mutex);
    *writer->last = &request;
    writer->last = &request.next;
    writer->queued++;
    bool is_first = !writer->has_leader, is_last = writer->queued == writer->expected;
    if (is_first) pass_lead(writer);
    if (is_last && writer->is_gathering) pthread_cond_signal(&writer->gathered);
    pthread_mutex_unlock(&writer->mutex);
    while (!is_first && sem_wait(&request.wake) != 0) continue; /* a signal */
    if (request.state == LEADING) lead(writer, &request);
    sem_destroy(&request.wake);
    if (request.status != TYCHO_OK) tycho_set_error(request.sentence);
    return request.status;
}

/* Leads without a batch; false when another thread leads. */
static bool take_lead(struct tycho__writer *writer) {
    pthread_mutex_lock(&writer->mutex);
    bool is_leader = !writer->has_leader;
    writer->has_leader = true;
    pthread_mutex_unlock(&writer->mutex);
    return is_leader;
}

static void give_lead(struct tycho__writer *writer) {
    pthread_mutex_lock(&writer->mutex);
    struct request *next = pass_lead(writer);
    pthread_mutex_unlock(&writer->mutex);
    if (next != NULL) sem_post(&next->wake);
}

bool tycho__commit_try_enter(tycho__env *env) {
    if (!env->can_write || !take_lead(env->writer)) return false;
    if (tycho__gate_try_enter(&env->gate)) return true;
    give_lead(env->writer);
    return false;
}

void tycho__commit_leave(tycho__env *env) {
    tycho__gate_leave(&env->gate);
    give_lead(env->writer);
}

static void settle_alone(tycho_store *store) {
    tycho__txn txn;
    if (tycho__txn_write(store->env, store->options.sync, &txn) != TYCHO_OK) return;
    if (tycho__settle(&txn) == TYCHO_OK) {
        tycho__txn_commit(&txn);
    } else {
        tycho__txn_abort(&txn);
    }
}

void tycho__commit_settle(tycho_store *store) {
    tycho__env *env = store->env;
    tycho__txn *reading = NULL;
    if (!env->can_write || atomic_load(&env->is_broken)) return;
    if (tycho__txn_read(env, &reading) != TYCHO_OK) return;
    bool is_worth = tycho__is_worth_settling(&reading->state);
    tycho__txn_done(reading);
    if (!is_worth) return;
    if (!take_lead(env->writer)) return;
    if (tycho__gate_enter(&env->gate, SETTLE_WAIT_MS) == TYCHO_OK) {
        settle_alone(store);
        tycho__gate_leave(&env->gate);
    }
    give_lead(env->writer);
}

/* ---------------------------------------------------------------- public */

static int check_commit(tycho_store *store, const tycho_batch *batch) {
    int status = tycho__store_check(store);
    if (status != TYCHO_OK) return status;
    if (batch == NULL) return tycho__fail(TYCHO_MISUSE, "the batch is NULL");
    if (store->options.mode == TYCHO_READ_ONLY) {
        return tycho__fail(TYCHO_DENIED, "the store was opened read-only");
    }
    if (atomic_load(&store->env->is_broken)) {
        return tycho__fail(TYCHO_IO, "an earlier write failed; close all handles of the store in "
                                     "this process and open it again");
    }
    if (batch->operation_count == 0 && batch->condition_count == 0) {
        return tycho__fail(TYCHO_MISUSE, "the batch is empty");
    }
    return TYCHO_OK;
}

int tycho__commit_own(tycho_store *store, tycho_batch *batch) {
    int status = check_commit(store, batch);
    return status == TYCHO_OK ? submit(store, batch, NULL, true, TYCHO_OK) : status;
}

/* Expands the batch under the rules that were seen last, on the condition that they still hold.
** Stale: they do not, and the present ones are known now. */
static int submit_expanded(tycho_store *store, tycho_batch *batch,
                           const struct completion *completion, bool *is_stale) {
    uint64_t rules = atomic_load(&store->env->rules);
    int status = TYCHO_OK;
    *is_stale = false;
    if (rules == TYCHO__UNSEEN) status = tycho_rules_version(store, &rules);
    if (status == TYCHO_OK) {
        status = store->hooks.expand(store->hooks.context, store, rules, batch);
    }
    if (status != TYCHO_OK) {
        uint64_t present = rules;
        int seen = tycho_rules_version(store, &present);
        if (seen != TYCHO_OK) return seen; /* whether the refusal holds is not known */
        *is_stale = present != rules;
        bool may_be_replay = batch->is_idempotent && !*is_stale;
        return may_be_replay ? submit(store, batch, NULL, false, status) : status;
    }
    uint32_t own = batch->condition_count;
    status = tycho__batch_expect_rules(batch, rules);
    if (status == TYCHO_OK) status = tycho__batch_widen(store, rules, batch, own);
    if (status != TYCHO_OK) return status;
    status = submit(store, batch, completion, false, TYCHO_OK);
    *is_stale = status == TYCHO_CONDITION_FAILED && batch->receipt.condition == (int32_t)own;
    if (*is_stale) atomic_store(&store->env->rules, (uint64_t)batch->receipt.actual);
    tycho__batch_name_condition(batch, own + 1);
    return status;
}

static int commit(tycho_store *store, tycho_batch *batch, const struct completion *completion,
                  const tycho_receipt **receipt) {
    if (receipt != NULL) *receipt = NULL;
    int status = check_commit(store, batch);
    if (status != TYCHO_OK) return status;
    tycho__batch_mark mark = tycho__batch_mark_get(batch);
    memset(&batch->receipt, 0, sizeof batch->receipt);
    batch->receipt.operation = -1;
    batch->receipt.condition = -1;
    if (receipt != NULL) *receipt = &batch->receipt;
    if (store->hooks.expand == NULL && completion == NULL) {
        return submit(store, batch, NULL, false, TYCHO_OK);
    }
    bool is_stale = false;
    do {
        status = store->hooks.expand == NULL ? submit(store, batch, completion, false, TYCHO_OK)
                                             : submit_expanded(store, batch, completion, &is_stale);
        tycho__batch_mark_restore(batch, &mark);
    } while (is_stale);
    if (batch->receipt.result_count > mark.operation_count) {
        batch->receipt.result_count = mark.operation_count;
    }
    return status;
}

int tycho_commit(tycho_store *store, tycho_batch *batch, const tycho_receipt **receipt) {
    return commit(store, batch, NULL, receipt);
}

int tycho_commit_completed(tycho_store *store, tycho_batch *batch,
                           int (*complete)(void *context, tycho_store *store, tycho_batch *batch),
                           void *context, const tycho_receipt **receipt) {
    const struct completion completion = {complete, context};
    if (receipt != NULL) *receipt = NULL;
    if (complete == NULL) return tycho__fail(TYCHO_MISUSE, "there is nothing to complete it");
    return commit(store, batch, &completion, receipt);
}
