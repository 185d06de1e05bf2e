/* program.c - other programs: reading in Lua (scan.lua), and the command importing real
** events.
**
** A script takes turns of its own.
*/
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

static void in_lua(const bench *run) {
    char rounds[16], output[600];
    char *arguments[] = {(char *)run->lua, "spec/bench/scan.lua",
                         (char *)workload_store(run, MIX_RANDOM, STORE_BIG), rounds, NULL};
    snprintf(rounds, sizeof rounds, "%u", run->rounds);
    snprintf(output, sizeof output, "%s", bench_path(run, "scan.txt"));
    report_section("READING IN LUA");
    bench_progress("reading in Lua");
    if (access("build/lua/tycho/core.so", R_OK) != 0) {
        report_skip("Lua, type and one field", "build/lua/tycho/core.so is not there");
    } else if (machine_run(arguments, output, NULL) != 0) {
        report_skip("Lua, type and one field", "spec/bench/scan.lua failed");
    } else {
        report_samples(output);
    }
    report_at_least("Lua, type and one field", 3e6);
    report_ratio("type and one field / empty loop", "Lua, type and one field", "Lua, empty loop");
}

static double import_once(const bench *run, machine_memory *peak) {
    char store[600];
    uint64_t head = 0;
    snprintf(store, sizeof store, "%s", bench_path(run, "import"));
    char *arguments[] = {(char *)run->command, "--store", store, "import", (char *)run->loans,
                         NULL};
    double start = bench_seconds();
    int status = machine_run(arguments, bench_path(run, "import.txt"), peak);
    double seconds = bench_seconds() - start;
    if (status != 0) return 0;
    tycho_store *opened = workload_open(store, TYCHO_SYNC_FULL);
    bench_need(tycho_head(opened, &head), "head");
    tycho_store_close(opened);
    bench_remove(store);
    return (double)head / seconds;
}

static const char imported[] = "tycho import of real events";

static void import_rounds(const bench *run) {
    enum { BATCHES = 100 };
    bench_progress("importing");
    raw_log *raw = raw_open(bench_path(run, "raw-import"), 0);
    for (uint32_t round = 0; round < run->rounds; round++) {
        machine_memory peak = {0, 0};
        machine_settle(run);
        double start = bench_seconds();
        for (int i = 0; i < BATCHES; i++) raw_append(raw, BATCH);
        report_value("batches of 1,000 of LMDB alone", "events/s",
                     BATCHES * BATCH / (bench_seconds() - start));
        double rate = import_once(run, &peak);
        if (!(rate > 0)) break;
        report_value(imported, "events/s", rate);
        report_value("private memory, pages of the map too", "bytes", peak.private_bytes);
        report_value("private memory, heap and stacks", "bytes", peak.anonymous_bytes);
    }
    raw_close(raw);
    report_skip(imported, "the command failed");
}

static void importing(const bench *run) {
    report_section("IMPORT WITH THE COMMAND, DURABLE");
    if (access(run->command, X_OK) != 0) {
        report_skip(imported, "no command (--command)");
    } else if (access(run->loans, R_OK) != 0) {
        report_skip(imported, "no file of events (--loans)");
    } else {
        import_rounds(run);
    }
    report_at_least(imported, 100000);
    report_at_most("private memory, pages of the map too", 100e6);
    report_at_most("private memory, heap and stacks", 100e6);
    report_ratio("import / LMDB alone", imported, "batches of 1,000 of LMDB alone");
}

void program_bench(const bench *run) {
    in_lua(run);
    importing(run);
}
