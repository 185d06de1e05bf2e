/* gate.c - OFD byte locks and shared futexes; see gate.h.
**
** A lock is asked for without blocking; when it is taken, the waiter sleeps on a shared word that
** the holder changes when it leaves, for 1, 2, 4 ... 20 ms at most, and asks again. So a waiter is
** woken at once by a holder that leaves, and at the latest 20 ms after one that was killed.
**
** Who leaves the writer gate and comes again at once would be in it before anybody is awake who
** waits. So those who wait stand in line: the system wakes the sleepers of a word in the order in
** which they came, who leaves wakes one, and who finds others in line goes to sleep before it asks.
**
**   enter ---(nobody is in line, and the lock is free)--> inside
**     |                                                     ^
**     +--> in line, asleep on `turns` ---(woken, the lock)--+
**
** That is but a custom, and the lock decides. One that is killed or suspended when it is woken
** costs the others up to 20 ms, after which they ask all the same. One that was killed in line is
** counted there for good: who got in after it had slept in vain notes that so many as it saw are
** `ghosts`, and from then on one stands in line only behind more than those.
*/
#include "gate.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { OPENING = 0, WRITING = 1, TABLE = 2, COMMITTING = 3 };
enum { PAGE_SIZE = 4096, PROBE_MS = 20, OPEN_MS = 10000 };
#define MAGIC 0x3159464954594354u /* "TCYTIFY1" */

/* A change of layout takes another file name: processes of both versions may be running. */
struct notify_page {
    _Atomic uint64_t magic;
    _Atomic uint32_t commits; /* sequence announced last << 1 | turned by each disturbance */
    _Atomic uint32_t commit_waiters;
    _Atomic uint32_t leavings; /* of the gate */
    _Atomic uint32_t gate_waiters;
    _Atomic uint32_t turns;  /* how often the gate was left while somebody was in line */
    _Atomic uint32_t line;   /* who waits for the gate */
    _Atomic uint32_t ghosts; /* of those in line: who was killed, by a guess */
};
_Static_assert(sizeof(struct notify_page) <= PAGE_SIZE, "one page");

int64_t tycho__monotonic_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---------------------------------------------------------------- files */

int tycho__gate_fail(const char *file) {
    int error = errno;
    int status = error == EACCES || error == EPERM || error == ELOOP ? TYCHO_DENIED
                 : error == ENOSPC || error == EDQUOT                ? TYCHO_FULL
                 : error == ENOMEM                                   ? TYCHO_NO_MEMORY
                                                                     : TYCHO_IO;
    return tycho__fail(status, "the file \"%s\" of the store: %s", file, strerror(error));
}

int tycho__open_file(int directory, const char *name, int flags) {
    struct stat file;
    int fd = openat(directory, name, flags | O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0660);
    if (fd < 0 || (fstat(fd, &file) == 0 && S_ISREG(file.st_mode))) return fd;
    close(fd);
    errno = EINVAL;
    return -1;
}

static int map_page(tycho__gate *gate) {
    int fd = tycho__open_file(gate->directory_fd, "notify", O_CREAT);
    if (fd < 0) return tycho__gate_fail("notify");
    int error = posix_fallocate(fd, 0, PAGE_SIZE);
    void *page = MAP_FAILED;
    if (error == 0) page = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (error == 0 && page == MAP_FAILED) error = errno;
    close(fd);
    errno = error;
    if (error != 0) return tycho__gate_fail("notify");
    gate->page = page;
    struct notify_page *notify = page;
    uint64_t none = 0;
    atomic_compare_exchange_strong(&notify->magic, &none, MAGIC);
    return TYCHO_OK;
}

int tycho__gate_open(tycho__gate *gate, int directory, bool can_write) {
    gate->page = NULL;
    gate->locks_fd = -1;
    gate->directory_fd = fcntl(directory, F_DUPFD_CLOEXEC, 0);
    if (gate->directory_fd < 0) return tycho__gate_fail(".");
    gate->locks_fd = tycho__open_file(directory, "locks", O_CREAT);
    if (gate->locks_fd >= 0) {
        int status = map_page(gate);
        if (status != TYCHO_OK) tycho__gate_close(gate);
        return status;
    }
    int error = errno;
    bool is_refused = error == EACCES || error == EPERM || error == EROFS;
    void *page = MAP_FAILED;
    if (is_refused && !can_write) {
        page = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        error = errno;
    }
    if (page != MAP_FAILED) {
        gate->page = page;
        return TYCHO_OK;
    }
    tycho__gate_close(gate);
    errno = error;
    return tycho__gate_fail("locks");
}

void tycho__gate_close(tycho__gate *gate) {
    if (gate->page != NULL) munmap(gate->page, PAGE_SIZE);
    tycho__gate_drop_after_fork(gate);
    gate->page = NULL;
}

void tycho__gate_drop_after_fork(tycho__gate *gate) {
    if (gate->locks_fd >= 0) close(gate->locks_fd);
    if (gate->directory_fd >= 0) close(gate->directory_fd);
    gate->locks_fd = gate->directory_fd = -1;
}

/* ---------------------------------------------------------------- futexes */

void tycho__futex_sleep(_Atomic uint32_t *word, uint32_t value, int64_t timeout_ms) {
    struct timespec timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000000};
    syscall(SYS_futex, word, FUTEX_WAIT, value, &timeout, NULL, 0);
}

static void futex_wake(_Atomic uint32_t *word, int count) {
    syscall(SYS_futex, word, FUTEX_WAKE, count, NULL, NULL, 0);
}

void tycho__futex_wake_all(_Atomic uint32_t *word, _Atomic uint32_t *waiters) {
    if (atomic_load(waiters) != 0) futex_wake(word, INT32_MAX);
}

/* ---------------------------------------------------------------- locks */

static struct flock lock_of(uint64_t byte, short type) {
    return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)byte, .l_len = 1};
}

static bool set_lock(const tycho__gate *gate, uint64_t byte, short type) {
    struct flock lock = lock_of(byte, type);
    int result;
    do {
        result = fcntl(gate->locks_fd, F_OFD_SETLK, &lock);
    } while (result != 0 && errno == EINTR);
    return result == 0;
}

/* TYCHO_OK, TYCHO_TIMEOUT (no sentence), or a failure. */
static int wait_for_lock(tycho__gate *gate, uint64_t byte, int64_t timeout_ms) {
    if (set_lock(gate, byte, F_WRLCK)) return TYCHO_OK;
    struct notify_page *notify = gate->page;
    int64_t deadline = tycho__monotonic_ms() + timeout_ms;
    int status = TYCHO_TIMEOUT;
    atomic_fetch_add(&notify->gate_waiters, 1);
    for (int64_t pause = 1;; pause = pause < PROBE_MS ? pause * 2 : PROBE_MS) {
        uint32_t leavings = atomic_load(&notify->leavings);
        if (set_lock(gate, byte, F_WRLCK)) {
            status = TYCHO_OK;
            break;
        }
        if (errno != EAGAIN && errno != EACCES) {
            status = tycho__gate_fail("locks");
            break;
        }
        int64_t left = deadline - tycho__monotonic_ms();
        if (left <= 0) break;
        tycho__futex_sleep(&notify->leavings, leavings, left < pause ? left : pause);
    }
    atomic_fetch_sub(&notify->gate_waiters, 1);
    return status;
}

static void unlock(tycho__gate *gate, uint64_t byte) {
    bool done = set_lock(gate, byte, F_UNLCK);
    assert(done);
    struct notify_page *notify = gate->page;
    atomic_fetch_add(&notify->leavings, 1);
    tycho__futex_wake_all(&notify->leavings, &notify->gate_waiters);
}

static int lock_briefly(tycho__gate *gate, uint64_t byte, const char *what) {
    int status = wait_for_lock(gate, byte, OPEN_MS);
    if (status != TYCHO_TIMEOUT) return status;
    return tycho__fail(TYCHO_BUSY, "another process has been opening or closing the %s for %d s",
                       what, OPEN_MS / 1000);
}

int tycho__gate_lock_opening(tycho__gate *gate) {
    return gate->locks_fd < 0 ? TYCHO_OK : lock_briefly(gate, OPENING, "store");
}

void tycho__gate_unlock_opening(tycho__gate *gate) {
    if (gate->locks_fd >= 0) unlock(gate, OPENING);
}

/* TYCHO_OK, TYCHO_TIMEOUT (no sentence), or a failure. The first in line looks more often, so that
** it soon sees that the holder was killed. */
static int stand_in_line(tycho__gate *gate, int64_t deadline) {
    struct notify_page *notify = gate->page;
    uint32_t turns = atomic_load(&notify->turns); /* before the line is seen: no turn is missed */
    uint32_t others = atomic_fetch_add(&notify->line, 1);
    bool may_ask = others <= atomic_load(&notify->ghosts), is_in_vain = false;
    int64_t pause = may_ask ? 1 : PROBE_MS;
    int status = TYCHO_BUSY;
    while (status == TYCHO_BUSY) {
        int64_t left = deadline - tycho__monotonic_ms();
        may_ask = may_ask || left <= 0; /* once in any case */
        if (may_ask && set_lock(gate, WRITING, F_WRLCK)) {
            status = TYCHO_OK;
        } else if (may_ask && errno != EAGAIN && errno != EACCES) {
            status = tycho__gate_fail("locks");
        } else if (left <= 0) {
            status = TYCHO_TIMEOUT;
        } else {
            uint32_t before = turns;
            tycho__futex_sleep(&notify->turns, turns, left < pause ? left : pause);
            turns = atomic_load(&notify->turns);
            is_in_vain = turns == before;
            may_ask = true;
            pause = pause * 2 < PROBE_MS ? pause * 2 : PROBE_MS;
        }
    }
    if (status == TYCHO_OK && is_in_vain) atomic_store(&notify->ghosts, others);
    atomic_fetch_sub(&notify->line, 1);
    return status;
}

int tycho__gate_enter(tycho__gate *gate, uint32_t timeout_ms) {
    assert(gate->locks_fd >= 0);
    struct notify_page *notify = gate->page;
    uint32_t line = atomic_load(&notify->line), ghosts = atomic_load(&notify->ghosts);
    if (line < ghosts) atomic_store(&notify->ghosts, line);
    if (line <= ghosts && set_lock(gate, WRITING, F_WRLCK)) return TYCHO_OK;
    int status = stand_in_line(gate, tycho__monotonic_ms() + timeout_ms);
    if (status != TYCHO_TIMEOUT) return status;
    return tycho__fail(TYCHO_TIMEOUT, "another process has been writing for %u ms", timeout_ms);
}

bool tycho__gate_try_enter(tycho__gate *gate) {
    return gate->locks_fd >= 0 && set_lock(gate, WRITING, F_WRLCK);
}

void tycho__gate_leave(tycho__gate *gate) {
    struct notify_page *notify = gate->page;
    bool done = set_lock(gate, WRITING, F_UNLCK);
    assert(done);
    if (atomic_load(&notify->line) == 0) return;
    atomic_fetch_add(&notify->turns, 1);
    futex_wake(&notify->turns, 1);
}

void tycho__gate_begin_commit(tycho__gate *gate) {
    if (gate->locks_fd >= 0) set_lock(gate, COMMITTING, F_WRLCK);
}

void tycho__gate_end_commit(tycho__gate *gate) {
    if (gate->locks_fd >= 0) set_lock(gate, COMMITTING, F_UNLCK);
}

bool tycho__gate_is_committing(const tycho__gate *gate) {
    return gate->locks_fd >= 0 && tycho__gate_is_taken(gate, COMMITTING);
}

int tycho__gate_lock_table(tycho__gate *gate) {
    return lock_briefly(gate, TABLE, "table of locks");
}

void tycho__gate_unlock_table(tycho__gate *gate) {
    unlock(gate, TABLE);
}

int tycho__gate_check_file(const tycho__gate *gate) {
    struct stat file;
    if (fstat(gate->locks_fd, &file) != 0) return tycho__gate_fail("locks");
    if (file.st_nlink > 0) return TYCHO_OK;
    return tycho__fail(TYCHO_IO, "the file \"locks\" of the store was removed, so that others are "
                                 "not kept out: close all handles of the store in this process "
                                 "and open it again");
}

int tycho__gate_try(const tycho__gate *gate, uint64_t byte) {
    assert(byte >= TYCHO__NAMED_BYTE);
    if (set_lock(gate, byte, F_WRLCK)) return TYCHO_OK;
    return errno == EAGAIN || errno == EACCES ? TYCHO_BUSY : tycho__gate_fail("locks");
}

void tycho__gate_give_back(const tycho__gate *gate, uint64_t byte) {
    bool done = set_lock(gate, byte, F_UNLCK);
    assert(done);
}

bool tycho__gate_is_taken(const tycho__gate *gate, uint64_t byte) {
    struct flock lock = lock_of(byte, F_WRLCK);
    return fcntl(gate->locks_fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

/* ---------------------------------------------------------------- wake-ups */

static uint32_t word_of(uint64_t sequence, uint32_t before) {
    return (uint32_t)sequence << 1 | (before & 1);
}

bool tycho__gate_is_news(uint32_t announced, uint32_t before) {
    return announced >> 1 != before >> 1;
}

/* Committers announce after they left the gate, so in any order: the word never goes back. */
void tycho__gate_announce(tycho__gate *gate, uint64_t sequence) {
    struct notify_page *notify = gate->page;
    uint32_t before = atomic_load(&notify->commits);
    do {
        if ((int32_t)(word_of(sequence, before) - before) <= 0) return; /* a later one was */
    } while (!atomic_compare_exchange_weak(&notify->commits, &before, word_of(sequence, before)));
    tycho__futex_wake_all(&notify->commits, &notify->commit_waiters);
}

uint32_t tycho__gate_announced(const tycho__gate *gate) {
    struct notify_page *notify = gate->page;
    return atomic_load(&notify->commits);
}

void tycho__gate_sleep(tycho__gate *gate, uint32_t announced, int64_t timeout_ms) {
    struct notify_page *notify = gate->page;
    atomic_fetch_add(&notify->commit_waiters, 1);
    tycho__futex_sleep(&notify->commits, announced, timeout_ms);
    atomic_fetch_sub(&notify->commit_waiters, 1);
}

void tycho__gate_disturb(tycho__gate *gate) {
    struct notify_page *notify = gate->page;
    atomic_fetch_xor(&notify->commits, 1);
    tycho__futex_wake_all(&notify->commits, &notify->commit_waiters);
}

/* A word that is ahead of the state belongs to another life of the file, as after a restore. */
void tycho__gate_catch_up(tycho__gate *gate, uint32_t announced, uint64_t sequence) {
    struct notify_page *notify = gate->page;
    uint32_t word = word_of(sequence, announced);
    if (word == announced) return;
    if (!atomic_compare_exchange_strong(&notify->commits, &announced, word)) return;
    tycho__futex_wake_all(&notify->commits, &notify->commit_waiters);
}
