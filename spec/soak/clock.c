/* clock.c - a library to be preloaded: the time of day that a process sees jumps when somebody
** says so.
**
**     SOAK_CLOCK   a file of eight bytes, an int64_t: microseconds added to the time of day
**
** The file is mapped, so that writing to it moves the clock of all that run, at once. Without the
** variable, or a file that cannot be mapped, nothing is changed. CLOCK_MONOTONIC and the others go
** on as they are, as they do on a machine whose clock is set.
*/
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SEEN __attribute__((visibility("default")))

enum { MICROSECONDS = 1000000 };

static const _Atomic int64_t *offset;

__attribute__((constructor)) static void map_offset(void) {
    const char *path = getenv("SOAK_CLOCK");
    int error = errno;
    int file = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        errno = error;
        return;
    }
    void *map = mmap(NULL, sizeof *offset, PROT_READ, MAP_SHARED, file, 0);
    if (map != MAP_FAILED) offset = map;
    close(file);
    errno = error;
}

static void jump(int64_t *seconds, int64_t *microseconds) {
    int64_t sum = *microseconds + (offset == NULL ? 0 : atomic_load(offset));
    int64_t left = sum % MICROSECONDS;
    if (left < 0) left += MICROSECONDS;
    *seconds += (sum - left) / MICROSECONDS;
    *microseconds = left;
}

SEEN int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = (int)syscall(SYS_clock_gettime, clock, now);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        int64_t seconds = now->tv_sec, microseconds = now->tv_nsec / 1000;
        jump(&seconds, &microseconds);
        now->tv_sec = (time_t)seconds;
        now->tv_nsec = (long)(microseconds * 1000 + now->tv_nsec % 1000);
    }
    return result;
}

SEEN int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec time;
    (void)zone;
    int result = clock_gettime(CLOCK_REALTIME, &time);
    if (result == 0) *now = (struct timeval){time.tv_sec, time.tv_nsec / 1000};
    return result;
}

SEEN time_t time(time_t *now) {
    struct timespec seen = {0, 0};
    clock_gettime(CLOCK_REALTIME, &seen);
    if (now != NULL) *now = seen.tv_sec;
    return seen.tv_sec;
}
