/* replay.c - plays a recording of recorder.c and looks at the disks that power cuts may leave.
**
**     replay LOG WORK [NAME=value ...]
**
**     SYNC=full      the level of the workload: full, batched or none; what may be lost
**     SEED=1         for what is chosen by chance
**     SUBSETS=4      random choices of the pending sectors for each window
**     JOBS=2         processes
**     POINT=w.i      only image i of window w, told whatever comes out; its files are made once
**                    more in WORK/jobN/at, where nobody has looked at them
**     BUILD_ONLY=1   of that image the files are made, and that is all
**     BASE=file      the data file as it was at the beginning, of a store that was there already
**     DATA=file      the data file at the end, which must be what the recording gives
**     IGNORE_FLUSH=n the n-th flush of the data file is passed over, as if nobody had asked for it
**
** Between two flushes is a window: what was written since the one before is pending. A power cut at
** any moment of it leaves what was durable and any part of what is pending, so the images of the
** window's end are those of all its moments; and what was acknowledged by then must be there.
**
** First the states that the store really had are found, without power cuts: the hash of all that it
** tells, after each batch. A disk that a power cut left must be in one of them. Windows are shared
** out to the processes, each of which plays the whole recording. Exit: 0 when all is good, else 1.
*/
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "images.h"

enum { STATES_MAX = 1 << 20, TOLD_MAX = 20, SECONDS_MAX = 60, THOROUGH = 8 };

struct options {
    const char *log, *work, *sync, *data, *base;
    uint64_t seed, subsets, jobs, ignored_flush;
    uint64_t window, image; /* the point */
    bool has_point, is_build_only;
};

/* What all processes add to. */
struct ledger {
    uint64_t windows, images, states, flushes, writes, marks;
    uint64_t found[FINDINGS];
    uint64_t lost_most; /* batches that were acknowledged, in one image */
    uint64_t told;
    struct verdict verdict; /* of the process that looks; one for each job, behind it */
};

struct replay {
    struct options options;
    struct disk disk;
    struct known known;
    uint64_t *states;
    struct ledger *ledger;
    struct verdict *verdict;
    uint64_t job;
};

static void add(uint64_t *number, uint64_t more) {
    __atomic_add_fetch(number, more, __ATOMIC_RELAXED);
}

static void raise_to(uint64_t *number, uint64_t value) {
    uint64_t now = __atomic_load_n(number, __ATOMIC_RELAXED);
    while (now < value && !__atomic_compare_exchange_n(number, &now, value, true, __ATOMIC_RELAXED,
                                                       __ATOMIC_RELAXED)) {}
}

/* ---------------------------------------------------------------- looking at one disk */

/* Does it in a child, which may crash. */
static void run_check(struct replay *replay, bool is_look) {
    int status;
    memset(replay->verdict, 0, sizeof *replay->verdict);
    pid_t child = fork();
    if (child < 0) die("fork: %s", strerror(errno));
    if (child == 0) {
        int null = open("/dev/null", O_WRONLY);
        if (!replay->options.has_point) dup2(null, 2);
        alarm(SECONDS_MAX);
        if (is_look)
            look(replay->disk.path, replay->verdict);
        else
            judge(replay->disk.path, &replay->known, replay->verdict);
        _exit(0);
    }
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR) die("waitpid: %s", strerror(errno));
    }
    if (WIFSIGNALED(status)) {
        replay->verdict->finding = FOUND_CRASHED;
        snprintf(replay->verdict->text, sizeof replay->verdict->text, "killed by %s",
                 strsignal(WTERMSIG(status)));
    }
}

/* ---------------------------------------------------------------- the states that were */

/* Without a power cut: everything that was written is there. */
static void note_state(struct replay *replay) {
    struct verdict *verdict = replay->verdict;
    struct image image = {.size = 0};
    image_all(&replay->disk, &image);
    disk_build(&replay->disk, &image);
    image_free(&image);
    run_check(replay, true);
    if (verdict->finding != FOUND_GOOD) {
        die("at byte %llu of the recording, without a power cut: %s",
            (unsigned long long)replay->disk.at, verdict->text);
    }
    if (verdict->sequence >= STATES_MAX) die("the recording has too many batches");
    uint64_t *state = &replay->states[verdict->sequence];
    uint64_t old = __atomic_exchange_n(state, verdict->hash, __ATOMIC_RELAXED);
    if (old != 0 && old != verdict->hash) {
        die("batch %llu has two states", (unsigned long long)verdict->sequence);
    }
    if (old == 0) add(&replay->ledger->states, 1);
}

/* ---------------------------------------------------------------- windows */

static void tell(struct replay *replay, uint64_t window, uint64_t number) {
    const struct verdict *verdict = replay->verdict;
    uint64_t told = __atomic_fetch_add(&replay->ledger->told, 1, __ATOMIC_RELAXED);
    if (told >= TOLD_MAX && !replay->options.has_point) return;
    printf("POINT=%llu.%llu SEED=%llu: %s: %s\n", (unsigned long long)window,
           (unsigned long long)number, (unsigned long long)replay->options.seed,
           FINDING_NAMES[verdict->finding], verdict->text);
    fflush(stdout);
}

static void judge_image(struct replay *replay, const struct image *image, uint64_t window,
                        uint64_t number) {
    const struct verdict *verdict = replay->verdict;
    struct ledger *ledger = replay->ledger;
    disk_build(&replay->disk, image);
    add(&ledger->images, 1);
    if (replay->options.is_build_only) return;
    replay->known.is_thorough = number % THOROUGH == 0;
    run_check(replay, false);
    add(&ledger->found[verdict->finding], 1);
    bool has_state = verdict->finding == FOUND_GOOD || verdict->finding == FOUND_LOST;
    if (has_state && verdict->sequence < replay->known.acknowledged) {
        raise_to(&ledger->lost_most, replay->known.acknowledged - verdict->sequence);
    }
    if (verdict->finding != FOUND_GOOD || replay->options.has_point) tell(replay, window, number);
    if (replay->options.has_point) disk_build(&replay->disk, image);
}

static void judge_window(struct replay *replay, uint64_t window) {
    struct image_source source;
    struct image image;
    const struct options *options = &replay->options;
    if (options->has_point && window != options->window) return;
    images_begin(&source, &replay->disk, options->seed + window * 1000003, options->subsets);
    for (uint64_t number = 0; images_next(&source, &image); number++) {
        if (!options->has_point || number == options->image) {
            judge_image(replay, &image, window, number);
        }
        bool is_over = options->has_point && number == options->image;
        image_free(&image);
        if (is_over) break;
    }
    add(&replay->ledger->windows, 1);
}

/* ---------------------------------------------------------------- playing */

/* What the workload says: "opened", "acknowledged SEQUENCE", "synced SEQUENCE", "token TOKEN". */
static void hear(struct replay *replay, const power_record *record) {
    char said[64] = "", word[24] = "";
    unsigned long long number = 0;
    struct known *known = &replay->known;
    size_t size = record->size < sizeof said ? record->size : sizeof said - 1;
    memcpy(said, record_content(record), size);
    bool is_full = strcmp(replay->options.sync, "full") == 0;
    int parts = sscanf(said, "%23s %llu", word, &number);
    if (strcmp(word, "opened") == 0) {
        known->is_there = true;
    } else if (parts == 2 && strcmp(word, "acknowledged") == 0) {
        if (number > known->acknowledged) known->acknowledged = number;
        if (is_full && number > known->needed) known->needed = number;
    } else if (parts == 2 && strcmp(word, "synced") == 0) {
        if (number > known->needed) known->needed = number;
    } else if (parts == 2 && strcmp(word, "token") == 0) {
        if (number > known->token) known->token = number;
    } else {
        die("the workload says \"%s\"", said);
    }
}

static bool is_flush_of_data(const struct replay *replay, const power_record *record) {
    return record->kind == POWER_FLUSH && record->file == replay->disk.data_inode;
}

/* Plays the recording; at the end of each window of this job calls `end`, and at each mark too when
** `is_finding` states. */
static void play(struct replay *replay, bool is_finding) {
    struct disk *disk = &replay->disk;
    const power_record *record;
    uint64_t window = 0, flushes = 0;
    bool is_new = false; /* something happened since the last end */
    do {
        record = disk_peek(disk);
        bool is_mark = record != NULL && record->kind == POWER_MARK;
        bool is_end = record == NULL || record->kind == POWER_FLUSH || (is_finding && is_mark);
        if (is_end && is_new) {
            bool is_own = window % replay->options.jobs == replay->job;
            if (is_own && is_finding) note_state(replay);
            if (is_own && !is_finding) judge_window(replay, window);
            window++;
            is_new = false;
        }
        if (record == NULL) break;
        if (is_mark) hear(replay, record);
        if (is_flush_of_data(replay, record)) flushes++;
        if (replay->job == 0 && is_finding) {
            if (is_mark) add(&replay->ledger->marks, 1);
            if (record->kind == POWER_WRITE) add(&replay->ledger->writes, 1);
            if (is_flush_of_data(replay, record)) add(&replay->ledger->flushes, 1);
        }
        is_new = is_new || record->kind != POWER_FLUSH;
        if (is_flush_of_data(replay, record) && flushes == replay->options.ignored_flush) {
            disk->at += power_record_size(record);
        } else {
            disk_play(disk);
        }
    } while (true);
}

/* The recording must be whole: what it gives is the file that there really is. */
static void compare_data(const struct replay *replay) {
    struct stat info;
    const char *data = replay->options.data;
    int fd = open(data, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &info) != 0) die("%s: %s", data, strerror(errno));
    uint64_t size = (uint64_t)info.st_size;
    if (size != replay->disk.shown_size) die("%s has not the size that was recorded", data);
    const uint8_t *map = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) die("%s: %s", data, strerror(errno));
    if (memcmp(map, replay->disk.shown, size) != 0) die("%s is not what was recorded", data);
    close(fd);
}

/* ---------------------------------------------------------------- the program */

static void run_job(struct replay *replay, uint64_t job, bool is_finding) {
    char work[160];
    replay->job = job;
    replay->verdict = &replay->ledger->verdict + job;
    snprintf(work, sizeof work, "%s/%s%llu", replay->options.work, is_finding ? "states" : "job",
             (unsigned long long)job);
    disk_open(&replay->disk, replay->options.log, work, replay->options.base);
    replay->known.is_there = replay->options.base != NULL;
    play(replay, is_finding);
    if (job == 0 && replay->options.data != NULL) compare_data(replay);
    exit(0);
}

/* Runs all jobs, each in a process. */
static void run_jobs(struct replay *replay, bool is_finding) {
    bool is_good = true;
    fflush(stdout);
    for (uint64_t job = 0; job < replay->options.jobs; job++) {
        pid_t child = fork();
        if (child < 0) die("fork: %s", strerror(errno));
        if (child == 0) run_job(replay, job, is_finding);
    }
    for (uint64_t job = 0; job < replay->options.jobs; job++) {
        int status;
        if (wait(&status) < 0) die("wait: %s", strerror(errno));
        is_good = is_good && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    }
    if (!is_good) exit(2);
}

static uint64_t number_of(const char *word, const char *text, const char **rest) {
    char *end;
    uint64_t number = strtoull(text, &end, 10);
    if (end == text || (rest == NULL && *end != '\0')) die("%s is not a number", word);
    if (rest != NULL) *rest = end;
    return number;
}

static void read_option(struct options *options, const char *word) {
    const char *value = strchr(word, '=');
    if (value == NULL) die("%s: expected NAME=value", word);
    size_t size = (size_t)(++value - word);
    if (strncmp(word, "SYNC=", size) == 0) {
        options->sync = value;
    } else if (strncmp(word, "DATA=", size) == 0) {
        options->data = value;
    } else if (strncmp(word, "BASE=", size) == 0) {
        options->base = value;
    } else if (strncmp(word, "BUILD_ONLY=", size) == 0) {
        options->is_build_only = number_of(word, value, NULL) != 0;
    } else if (strncmp(word, "SEED=", size) == 0) {
        options->seed = number_of(word, value, NULL);
    } else if (strncmp(word, "SUBSETS=", size) == 0) {
        options->subsets = number_of(word, value, NULL);
    } else if (strncmp(word, "JOBS=", size) == 0) {
        options->jobs = number_of(word, value, NULL);
    } else if (strncmp(word, "IGNORE_FLUSH=", size) == 0) {
        options->ignored_flush = number_of(word, value, NULL);
    } else if (strncmp(word, "POINT=", size) == 0) {
        options->window = number_of(word, value, &value);
        if (*value != '.') die("%s: expected window.image", word);
        options->image = number_of(word, value + 1, NULL);
        options->has_point = true;
    } else {
        die("%s: there is no such option", word);
    }
}

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void report(const struct replay *replay, double started) {
    const struct ledger *ledger = replay->ledger;
    printf("states %llu, marks %llu, writes %llu, flushes %llu, windows %llu, images %llu:",
           (unsigned long long)ledger->states, (unsigned long long)ledger->marks,
           (unsigned long long)ledger->writes, (unsigned long long)ledger->flushes,
           (unsigned long long)ledger->windows, (unsigned long long)ledger->images);
    for (int i = 0; i < FINDINGS; i++) {
        if (ledger->found[i] == 0 && i != FOUND_GOOD) continue;
        printf(" %llu %s", (unsigned long long)ledger->found[i], FINDING_NAMES[i]);
    }
    printf("; acknowledged batches lost: at most %llu; %.1f s\n",
           (unsigned long long)ledger->lost_most, seconds() - started);
}

int main(int count, char **words) {
    double started = seconds();
    struct replay replay = {.options = {.sync = "full", .seed = 1, .subsets = 4, .jobs = 2}};
    if (count < 3) die("replay LOG WORK [NAME=value ...]");
    replay.options.log = words[1];
    replay.options.work = words[2];
    for (int i = 3; i < count; i++) read_option(&replay.options, words[i]);
    if (replay.options.jobs == 0) die("JOBS=0");
    size_t size = sizeof(struct ledger) + replay.options.jobs * sizeof(struct verdict);
    replay.ledger = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    replay.states = mmap(NULL, STATES_MAX * sizeof(uint64_t), PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (replay.ledger == MAP_FAILED || replay.states == MAP_FAILED) die("no memory");
    replay.known.states = replay.states;
    replay.known.state_count = STATES_MAX;
    if (mkdir(replay.options.work, 0700) != 0) die("%s: %s", words[2], strerror(errno));
    if (!replay.options.is_build_only) run_jobs(&replay, true);
    run_jobs(&replay, false);
    if (replay.ledger->images == 0) die("there is no such image");
    if (replay.options.is_build_only) return 0;
    report(&replay, started);
    return replay.ledger->found[FOUND_GOOD] == replay.ledger->images ? 0 : 1;
}
