/* watch.h - sleeping until something is committed, by any process: one watcher per process and
** environment, all others behind it.
**
** The watcher alone sleeps on the word that committers of all processes change (gate.h), and wakes
** the others of its process. It sleeps 250 ms at most and then looks itself: a commit whose
** committer was killed before it announced is announced by it. So a thousand idle sleepers wake up
** four times a second together, and a committer wakes one thread a process.
**
**   no watcher --(a sleeper comes, or is left behind)--> WATCHING --(news, disturbed)--> all leave
**        ^                                                  |
**        +--(the watcher's time is over: it calls another)--+
**
** Bells are descriptors that become readable with each commit. One thread per process and
** environment rings them; it is there while a bell hangs.
*/
#ifndef TYCHO__WATCH_H
#define TYCHO__WATCH_H

#include <stdatomic.h>

#include "env.h"

/* NULL without memory; destroy takes NULL. */
struct tycho__watch *tycho__watch_create(void);
void tycho__watch_destroy(struct tycho__watch *watch);

typedef struct tycho__mark {
    uint32_t announced; /* see tycho__gate_announced() */
    uint32_t disturbed; /* how often this process was */
} tycho__mark;

/* Take a mark, look for what is new, then sleep: whatever came behind the mark wakes up. Sleepers
** wake up without a reason, too. */
tycho__mark tycho__watch_mark(tycho__env *env);
void tycho__watch_sleep(tycho__env *env, tycho__mark mark, int64_t timeout_ms);

/* Wakes all sleepers of this process, and rings all bells. Any thread. */
void tycho__watch_disturb(tycho__env *env);

typedef struct tycho__bell {
    int fd; /* an eventfd */
    atomic_bool is_rung;
    struct tycho__bell *next, *previous;
} tycho__bell;

/* Makes the descriptor, which is readable at once. IO, NO_MEMORY. */
int tycho__bell_hang(tycho__env *env, tycho__bell *bell);
void tycho__bell_take_down(tycho__env *env, tycho__bell *bell);
void tycho__bell_ring(tycho__bell *bell);
/* Makes it quiet; look for what is new afterwards. */
void tycho__bell_quiet(tycho__bell *bell);

#endif
