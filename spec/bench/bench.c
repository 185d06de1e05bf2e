/* bench.c - the program of `make bench`: settings, families, and the directory of the stores.
**
** The stores are on the disk of the build directory, which must be a real one: in memory a flush
** costs nothing. The directory is removed when the program ends, also by a signal.
*/
#include <errno.h>
#include <ftw.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

static const struct family {
    const char *name;
    void (*measure)(const bench *run);
} families[] = {
    {"limits", limits_bench},     {"append", append_bench},   {"commit", commit_bench},
    {"threads", threads_bench},   {"read", read_bench},       {"program", program_bench},
    {"index", index_bench},       {"sizes", sizes_bench},     {"decision", decision_bench},
    {"link", link_bench},         {"follow", follow_bench},   {"lock", lock_bench},
    {"rename", rename_bench},     {"peers", peers_bench},   {"scripts", scripts_bench},
    {"model", model_bench},       {"backfill", backfill_bench}, {"compress", compress_bench},
};
enum { FAMILY_COUNT = sizeof families / sizeof families[0] };

static char directory[512];
static pid_t owner; /* of the directory and of the report: children are none */
static volatile sig_atomic_t interrupted;

static bool is_running; /* its figures are printed when the run fails */

void bench_fail(const char *what, const char *why) {
    if (is_running && getpid() == owner) report_print();
    is_running = false;
    fflush(stdout);
    fprintf(stderr, "bench: %s: %s\n", what, why);
    exit(1);
}

void bench_need(int status, const char *what) {
    if (interrupted) bench_fail(what, "interrupted");
    if (status == TYCHO_OK) return;
    bench_fail(what, status < 0 ? tycho_error() : tycho_status_text(status));
}

void bench_need_lmdb(int status, const char *what) {
    if (status != 0) bench_fail(what, mdb_strerror(status));
}

void bench_need_system(bool is_done, const char *what) {
    if (!is_done) bench_fail(what, strerror(errno));
}

void bench_progress(const char *what) {
    if (interrupted) bench_fail(what, "interrupted");
    fprintf(stderr, "  ... %s\n", what);
}

double bench_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

const char *bench_path(const bench *run, const char *name) {
    static char path[600];
    snprintf(path, sizeof path, "%s/%s", run->directory, name);
    return path;
}

static int remove_one(const char *path, const struct stat *facts, int kind, struct FTW *walk) {
    (void)facts, (void)kind, (void)walk;
    return remove(path);
}

void bench_remove(const char *path) {
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

uint64_t bench_random(uint64_t *state) { /* splitmix64 */
    uint64_t value = *state += 0x9e3779b97f4a7c15u;
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
    return value ^ (value >> 31);
}

static void clean_up(void) {
    if (directory[0] != '\0' && getpid() == owner) bench_remove(directory);
}

static void interrupt(int signal) {
    (void)signal;
    interrupted = 1;
}

static void make_directory(bench *run) {
    enum { IN_MEMORY = 0x01021994 }; /* TMPFS_MAGIC */
    struct statfs facts;
    struct sigaction action = {.sa_handler = interrupt};
    int status = mkdir(run->root, 0777);
    bench_need_system(status == 0 || errno == EEXIST, run->root);
    bench_need_system(statfs(run->root, &facts) == 0, run->root);
    if (facts.f_type == IN_MEMORY) bench_fail(run->root, "is in memory: give a disk with --root");
    snprintf(directory, sizeof directory, "%s/run-%ld", run->root, (long)getpid());
    bench_need_system(mkdir(directory, 0777) == 0, directory);
    run->directory = directory;
    owner = getpid();
    atexit(clean_up);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool bench_has_name(const char *names, const char *name) {
    size_t size = strlen(name);
    for (const char *at = names; at != NULL && (at = strstr(at, name)) != NULL; at += size) {
        bool is_start = at == names || at[-1] == ',';
        if (is_start && (at[size] == ',' || at[size] == '\0')) return true;
    }
    return false;
}

static bool is_wanted(const bench *run, const char *name) {
    return run->only == NULL || bench_has_name(run->only, name);
}

static void check_names(const bench *run) {
    size_t names = 1, known = 0;
    for (const char *at = run->only; at != NULL && *at != '\0'; at++) names += *at == ',';
    for (size_t i = 0; i < FAMILY_COUNT; i++) known += is_wanted(run, families[i].name);
    if (run->only != NULL && names != known) bench_fail("no such family among these", run->only);
}

static void usage(FILE *file) {
    fprintf(file, "usage: bench [--full] [--only FAMILY,...] [--rounds N] [--small N] [--big N]\n"
                  "             [--sizes N,...] [--json FILE] [--base FILE] [--root DIR]\n"
                  "             [--command ./tycho] [--lua lua5.4] [--loans FILE]\n"
                  "             [--peers DIR] [--without PEER,...] [--settle SECONDS]\n"
                  "             [--realtime]\nfamilies:");
    for (size_t i = 0; i < FAMILY_COUNT; i++) fprintf(file, " %s", families[i].name);
    fputc('\n', file);
}

static uint64_t number(const char *name, const char *text, uint64_t min, uint64_t max) {
    char *end;
    unsigned long long value = strtoull(text, &end, 10);
    if (*end != '\0' || end == text || value < min || value > max) bench_fail(name, text);
    return value;
}

static void parse_sizes(bench *run, char *text) {
    char *rest = NULL;
    run->size_count = 0;
    for (char *at = strtok_r(text, ",", &rest); at != NULL; at = strtok_r(NULL, ",", &rest)) {
        if (run->size_count == SIZES_MAX) bench_fail("too many sizes", at);
        run->sizes[run->size_count++] = number("sizes", at, 20000, 1000000000);
    }
    if (run->size_count < 2) bench_fail("sizes", "there must be two of them");
}

static void take_full(bench *run) {
    run->full = true;
    run->small = 1000000;
    run->big = 10000000;
    run->sizes[2] = 100000000;
    run->size_count = 3;
}

static void parse(bench *run, int count, char **arguments) {
    static const struct option options[] = {
        {"full", no_argument, NULL, 'f'},        {"only", required_argument, NULL, 'o'},
        {"rounds", required_argument, NULL, 'r'}, {"json", required_argument, NULL, 'j'},
        {"base", required_argument, NULL, 'b'},  {"root", required_argument, NULL, 'd'},
        {"command", required_argument, NULL, 'c'}, {"lua", required_argument, NULL, 'l'},
        {"loans", required_argument, NULL, 'n'}, {"help", no_argument, NULL, 'h'},
        {"small", required_argument, NULL, 's'}, {"big", required_argument, NULL, 'g'},
        {"settle", required_argument, NULL, 'w'}, {"peers", required_argument, NULL, 'p'},
        {"without", required_argument, NULL, 'x'},
        {"realtime", no_argument, NULL, 't'},     {"sizes", required_argument, NULL, 'z'},
        {NULL, 0, NULL, 0}};
    int option;
    while ((option = getopt_long(count, arguments, "", options, NULL)) != -1) {
        switch (option) {
        case 'f': take_full(run); break;
        case 'z': parse_sizes(run, optarg); break;
        case 'o': run->only = optarg; break;
        case 'r': run->rounds = (uint32_t)number("rounds", optarg, 1, 99); break;
        case 's': run->small = number("small", optarg, 20000, 100000000); break;
        case 'g': run->big = number("big", optarg, 20000, 100000000); break;
        case 'j': run->json = optarg; break;
        case 'b': run->base = optarg[0] == '\0' ? NULL : optarg; break;
        case 'd': run->root = optarg; break;
        case 'c': run->command = optarg; break;
        case 'l': run->lua = optarg; break;
        case 'n': run->loans = optarg; break;
        case 'p': run->peers = optarg; break;
        case 'x': run->without = optarg; break;
        case 'w': run->settle = (uint32_t)number("settle", optarg, 0, 3600); break;
        case 't': run->realtime = true; break;
        case 'h': usage(stdout); exit(0);
        default: usage(stderr); exit(2);
        }
    }
    if (optind != count) usage(stderr), exit(2);
}

static void take_priority(const bench *run) {
    struct sched_param parameters = {.sched_priority = 1};
    if (!run->realtime) return;
    bench_need_system(sched_setscheduler(0, SCHED_RR, &parameters) == 0, "--realtime");
}

int main(int count, char **arguments) {
    bench run = {.root = "build/bench", .json = "build/bench.json", .command = "./tycho",
                 .lua = "lua5.4", .loans = "../shared/data/loans.jsonl.gz",
                 .peers = "build/bench-peers",
                 .settle = 60, .small = 200000, .big = 2000000,
                 .sizes = {1000000, 10000000}, .size_count = 2};
    double start = bench_seconds();
    parse(&run, count, arguments);
    if (run.rounds == 0) run.rounds = run.full ? 5 : 3;
    check_names(&run);
    setenv("LUA_PATH", "scripts/?.lua;scripts/?/init.lua;spec/?.lua;;", 0);
    setenv("LUA_CPATH", "build/lua/?.so;;", 0);
    take_priority(&run);
    if (run.base != NULL) report_load_base(run.base);
    is_running = true;
    make_directory(&run);
    machine_describe(&run);
    for (size_t i = 0; i < FAMILY_COUNT; i++) {
        if (!is_wanted(&run, families[i].name)) continue;
        bench_progress(families[i].name);
        families[i].measure(&run);
    }
    is_running = false;
    machine_load("load at the end");
    report_setting("duration", "%.0f s", bench_seconds() - start);
    report_print();
    report_write(&run);
    return 0;
}
