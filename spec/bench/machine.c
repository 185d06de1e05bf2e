/* machine.c - what the run ran on, other programs that it runs, and the calls that write files.
**
** pwrite, writev and fdatasync are defined here, in front of those of the C library, so that the
** calls of LMDB and of the engine can be counted: what a commit costs is how often it flushes and
** how much it writes. They count and call the system, nothing else. A write to a file that was
** opened with O_DSYNC, as LMDB writes its commit record, is a flush, too.
*/
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

#define IN_FRONT __attribute__((visibility("default")))

static atomic_ullong sync_calls, write_calls, write_bytes;

IN_FRONT int fdatasync(int file) {
    atomic_fetch_add_explicit(&sync_calls, 1, memory_order_relaxed);
    return (int)syscall(SYS_fdatasync, file);
}

static ssize_t count_write(ssize_t size) {
    atomic_fetch_add_explicit(&write_calls, 1, memory_order_relaxed);
    if (size > 0) {
        atomic_fetch_add_explicit(&write_bytes, (unsigned long long)size, memory_order_relaxed);
    }
    return size;
}

IN_FRONT ssize_t pwrite(int file, const void *bytes, size_t size, off_t offset) {
    if ((fcntl(file, F_GETFL) & O_DSYNC) != 0) {
        atomic_fetch_add_explicit(&sync_calls, 1, memory_order_relaxed);
    }
    return count_write(syscall(SYS_pwrite64, file, bytes, size, offset));
}

IN_FRONT ssize_t writev(int file, const struct iovec *parts, int count) {
    return count_write(syscall(SYS_writev, file, parts, count));
}

machine_io machine_io_now(void) {
    machine_io io = {atomic_load(&sync_calls), atomic_load(&write_calls),
                     atomic_load(&write_bytes)};
    return io;
}

machine_io machine_io_since(machine_io before) {
    machine_io now = machine_io_now();
    machine_io io = {now.syncs - before.syncs, now.writes - before.writes,
                     now.bytes - before.bytes};
    return io;
}

/* ---- the machine */

static void read_processor(char *name, size_t size) {
    char line[256];
    FILE *file = fopen("/proc/cpuinfo", "r");
    snprintf(name, size, "unknown");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || colon == NULL) continue;
        line[strcspn(line, "\n")] = '\0';
        snprintf(name, size, "%s", colon + 2);
        break;
    }
    if (file != NULL) fclose(file);
}

void machine_load(const char *name) {
    double load[3] = {0, 0, 0};
    if (getloadavg(load, 3) != 3) return;
    report_setting(name, "%.2f %.2f %.2f", load[0], load[1], load[2]);
}

void machine_describe(const bench *run) {
    struct utsname system;
    struct sysinfo memory;
    struct statfs disk;
    char processor[128], date[32];
    time_t now = time(NULL);
    read_processor(processor, sizeof processor);
    bench_need_system(uname(&system) == 0 && sysinfo(&memory) == 0, "machine");
    bench_need_system(statfs(run->root, &disk) == 0, run->root);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", gmtime(&now));
    report_setting("date", "%s", date);
    report_setting("tycho", "%s, LMDB %s, %s %s", tycho_version(), mdb_version(NULL, NULL, NULL),
#ifdef __clang__
                   "clang", __clang_version__);
#else
                   "gcc", __VERSION__);
#endif
    report_setting("machine", "%ld x %s, %llu MiB, Linux %s", sysconf(_SC_NPROCESSORS_ONLN),
                   processor, (unsigned long long)memory.totalram * memory.mem_unit >> 20,
                   system.release);
    report_setting("disk", "file system 0x%lx, %llu MiB free", (unsigned long)disk.f_type,
                   (unsigned long long)disk.f_bavail * (unsigned long long)disk.f_bsize >> 20);
    machine_load("load at the start");
    report_setting("stores",
                   "%llu and %llu events of %d bytes of data, %d types, 2 of %d + %d tags",
                   (unsigned long long)run->small, (unsigned long long)run->big, DATA_SIZE, TYPES,
                   HOT_TAGS, TAGS);
    report_setting("streams", "of ~20 and ~1,000 events, half of the events each");
    report_setting("rounds", "%u, compared figures in turns%s", run->rounds,
                   run->realtime ? ", at real-time priority" : "");
}

/* ---- the disk */

static double flush_time(int file) {
    enum { FLUSHES = 9 };
    double times[FLUSHES];
    char page[4096];
    memset(page, 1, sizeof page);
    for (int i = 0; i < FLUSHES; i++) {
        double start = bench_seconds();
        bench_need_system(pwrite(file, page, sizeof page, 0) == (ssize_t)sizeof page, "write");
        bench_need_system(fdatasync(file) == 0, "flush");
        times[i] = bench_seconds() - start;
    }
    return report_quantile(times, FLUSHES, 0.5);
}

void machine_settle(const bench *run) {
    static double best = 1, waited = 0;
    const struct timespec pause = {1, 0};
    int file = open(bench_path(run, "settle"), O_RDWR | O_CREAT, 0666);
    bench_need_system(file >= 0, "settle");
    for (;;) {
        double now = flush_time(file);
        if (now < best) best = now;
        if (now < 4 * best || waited >= run->settle) break;
        bench_progress("waiting for the disk");
        nanosleep(&pause, NULL);
        waited++;
    }
    close(file);
    report_setting("waited for disk", "%.0f s", waited);
}

/* ---- other programs */

static void look(pid_t child, machine_memory *peak) {
    char path[64], line[256];
    double sum = 0, anonymous = 0, value;
    snprintf(path, sizeof path, "/proc/%ld/smaps_rollup", (long)child);
    FILE *file = fopen(path, "r");
    if (file == NULL) return;
    while (fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "Private_%*[a-zA-Z]: %lf kB", &value) == 1) sum += value * 1024;
        if (sscanf(line, "Anonymous: %lf kB", &value) == 1) anonymous = value * 1024;
    }
    fclose(file);
    if (sum > peak->private_bytes) peak->private_bytes = sum;
    if (anonymous > peak->anonymous_bytes) peak->anonymous_bytes = anonymous;
}

/* Unlike fork(), gives no child that still has the memory of this process. */
static pid_t start(char *const arguments[], const char *output, bool has_all) {
    posix_spawn_file_actions_t actions;
    pid_t child = 0;
    bench_need_system(posix_spawn_file_actions_init(&actions) == 0, arguments[0]);
    posix_spawn_file_actions_addopen(&actions, 1, output ? output : "/dev/null",
                                     O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (has_all) posix_spawn_file_actions_adddup2(&actions, 1, 2);
    errno = posix_spawnp(&child, arguments[0], &actions, NULL, arguments, environ);
    bench_need_system(errno == 0, arguments[0]);
    posix_spawn_file_actions_destroy(&actions);
    return child;
}

pid_t machine_start(char *const arguments[], const char *output) {
    return start(arguments, output, true);
}

int machine_run(char *const arguments[], const char *output, machine_memory *peak) {
    const struct timespec pause = {0, 20000000};
    int status = 0;
    pid_t child = start(arguments, output, false);
    for (;;) {
        pid_t ended = waitpid(child, &status, peak ? WNOHANG : 0);
        if (ended < 0 && errno == EINTR) continue;
        bench_need_system(ended >= 0, arguments[0]);
        if (ended == child) break;
        look(child, peak);
        nanosleep(&pause, NULL);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
