/* gate.h - the lock files of a store: open lock, writer gate, wake-ups across processes.
**
**   <store>/locks    never read or written, only byte ranges of it are locked, with locks that
**                    belong to the open file (OFD): the kernel releases them with the process.
**                    byte 0: somebody opens or closes the store; byte 1: the writer gate; byte
**                    2: somebody makes or opens `lock_table`; byte 3: who has the gate
**                    is at a durable commit of its own; bytes 4 to 15 are kept free; the
**                    others are named locks (lock.c).
**   <store>/notify   one mapped page of counters (struct notify_page in gate.c). Disposable: it is
**                    made anew when it is missing. Threads of other processes sleep on its words.
**                    Who cannot write it has a page of its own, on which nobody announces: its
**                    watcher (watch.h) finds out what is new by looking.
**
** The gate stands in front of LMDB's own write lock, which strands its waiters when one of them is
** killed. Only one thread of a process asks for it at a time (the leader of the commit group), so
** that OFD locks, which do not exclude threads of one process, are enough.
*/
#ifndef TYCHO__GATE_H
#define TYCHO__GATE_H

#include <stdatomic.h>

#include "base.h"

typedef struct tycho__gate {
    int directory_fd; /* of the store, however it is renamed */
    int locks_fd;     /* -1 when the directory cannot be written: then nobody writes here either */
    void *page;       /* mapped `notify`; memory of this process alone when it cannot be written */
} tycho__gate;

/* Opens (making them when `can_write`) the two files in the directory. IO, DENIED, FULL. */
int tycho__gate_open(tycho__gate *gate, int directory, bool can_write);
void tycho__gate_close(tycho__gate *gate);

/* In the child of a fork: gives up the locks that the parent's file holds. */
void tycho__gate_drop_after_fork(tycho__gate *gate);

/* Byte 0, waiting up to 10 s. BUSY. */
int tycho__gate_lock_opening(tycho__gate *gate);
void tycho__gate_unlock_opening(tycho__gate *gate);

/* Byte 1. TIMEOUT. */
int tycho__gate_enter(tycho__gate *gate, uint32_t timeout_ms);
void tycho__gate_leave(tycho__gate *gate);

/* Byte 1 without waiting: false when another process has it, and after a failure, too. */
bool tycho__gate_try_enter(tycho__gate *gate);

/* Byte 3, in the gate: from when all earlier commits are seen by readers until this one is. It is
** free as soon as its process is dead. `is_committing` tells of other processes. */
void tycho__gate_begin_commit(tycho__gate *gate);
void tycho__gate_end_commit(tycho__gate *gate);
bool tycho__gate_is_committing(const tycho__gate *gate);

/* Byte 2, waiting up to 10 s. BUSY. */
int tycho__gate_lock_table(tycho__gate *gate);
void tycho__gate_unlock_table(tycho__gate *gate);

/* That the file of the locks is still there, so that others are excluded by it. IO. */
int tycho__gate_check_file(const tycho__gate *gate);
/* The bytes of named locks. `try` answers TYCHO_BUSY without a sentence when another process has
** the byte, and TYCHO_OK, too, when this one has it. `is_taken` tells of other processes. */
#define TYCHO__NAMED_BYTE ((uint64_t)16)
int tycho__gate_try(const tycho__gate *gate, uint64_t byte);
void tycho__gate_give_back(const tycho__gate *gate, uint64_t byte);
bool tycho__gate_is_taken(const tycho__gate *gate, uint64_t byte);

/* Tells all processes that the batch with this sequence is committed. No system call when nobody
** waits. */
void tycho__gate_announce(tycho__gate *gate, uint64_t sequence);

/* What was announced last: the low bits of a sequence, and one bit that tycho__gate_disturb()
** turns. Ask for it, then look for what is new, then sleep until it is another or the time is over.
** Wakes up without a reason, too. */
uint32_t tycho__gate_announced(const tycho__gate *gate);
void tycho__gate_sleep(tycho__gate *gate, uint32_t announced, int64_t timeout_ms);

/* Wakes all sleepers of all processes, though there is nothing new. */
void tycho__gate_disturb(tycho__gate *gate);

/* Makes up for a committer that was killed before it announced: `sequence` is that of a state that
** was read after `announced`. */
void tycho__gate_catch_up(tycho__gate *gate, uint32_t announced, uint64_t sequence);

/* Whether what was announced is another sequence. */
bool tycho__gate_is_news(uint32_t announced, uint32_t before);

/* Words in shared memory. Sleeps until the word is no longer `value`, somebody wakes it or the time
** is over; wakes all who sleep on a word that was changed, which costs nothing without waiters. */
void tycho__futex_sleep(_Atomic uint32_t *word, uint32_t value, int64_t timeout_ms);
void tycho__futex_wake_all(_Atomic uint32_t *word, _Atomic uint32_t *waiters);

/* Opens a file of the store for reading and writing; `flags` may have O_CREAT. Links are not
** followed, and what is no file is refused. A descriptor, or -1 and errno. */
int tycho__open_file(int directory, const char *name, int flags);
/* The failure of a file of the store, by errno. */
int tycho__gate_fail(const char *file);

/* CLOCK_MONOTONIC in milliseconds. */
int64_t tycho__monotonic_ms(void);

#endif
