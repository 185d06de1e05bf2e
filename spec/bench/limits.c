/* limits.c - the limits of the machine: a flush, a copy, LMDB with one table.
**
** LMDB with one table is measured again, in turns, by each family that is compared to it.
*/
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

enum { PAGE = 4096, FLUSHES = 200, COPY = 64 << 20, BATCHES = 50 };

static double flush_once(int file, const uint8_t *page, off_t offset) {
    double start = bench_seconds();
    bench_need_system(pwrite(file, page, PAGE, offset) == PAGE, "write");
    bench_need_system(fdatasync(file) == 0, "flush");
    return (bench_seconds() - start) * 1e6;
}

static void flushes(const bench *run) {
    uint8_t page[PAGE];
    double times[FLUSHES];
    off_t end = (off_t)FLUSHES * PAGE;
    int file = open(bench_path(run, "flush"), O_RDWR | O_CREAT, 0666);
    bench_need_system(file >= 0, "flush");
    memset(page, 1, sizeof page);
    for (int i = 0; i < FLUSHES; i++) flush_once(file, page, (off_t)i * PAGE);
    for (uint32_t round = 0; round < run->rounds; round++) {
        machine_settle(run);
        for (int i = 0; i < FLUSHES; i++) times[i] = flush_once(file, page, (off_t)i * PAGE);
        report_value("overwrite 4 KiB and fdatasync", "us", report_quantile(times, FLUSHES, 0.5));
        for (int i = 0; i < FLUSHES; i++) times[i] = flush_once(file, page, end += PAGE);
        report_value("append 4 KiB and fdatasync", "us", report_quantile(times, FLUSHES, 0.5));
    }
    close(file);
}

static void copies(const bench *run) {
    uint8_t *from = malloc(COPY), *to = malloc(COPY);
    bench_need_system(from != NULL && to != NULL, "memory");
    memset(from, 1, COPY);
    memset(to, 2, COPY);
    for (uint32_t round = 0; round < run->rounds; round++) {
        double start = bench_seconds();
        for (int i = 0; i < 4; i++) {
            memcpy(to, from, COPY);
            __asm__ volatile("" : : "r"(to) : "memory"); /* the copy is needed, says this */
        }
        report_value("memcpy of 64 MiB", "bytes/s", 4.0 * COPY / (bench_seconds() - start));
    }
    free(from);
    free(to);
}

static void lmdb(const bench *run) {
    char path[600];
    snprintf(path, sizeof path, "%s", bench_path(run, "limits"));
    raw_log *log = raw_open(path, 0);
    for (uint32_t round = 0; round < run->rounds; round++) {
        machine_settle(run);
        double start = bench_seconds();
        for (int i = 0; i < BATCHES; i++) raw_append(log, BATCH);
        report_value("LMDB, one table, durable batches of 1,000", "events/s",
                     BATCHES * BATCH / (bench_seconds() - start));
    }
    raw_close(log);
    bench_remove(path);
}

void limits_bench(const bench *run) {
    report_section("LIMITS OF THE MACHINE AND OF LMDB ALONE");
    flushes(run);
    copies(run);
    lmdb(run);
}
