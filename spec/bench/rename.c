/* rename.c - renaming a stream while processes publish to it (rename.lua).
**
** All of it is measured in Lua: it is a script that renames, and what the publishers wait for is
** the disk. The stores are of their own, 1 k, 100 k and 1 M events in one stream.
*/
#include <stdio.h>
#include <unistd.h>

#include "bench.h"

void rename_bench(const bench *run) {
    char rounds[16], output[600];
    char *arguments[] = {(char *)run->lua, "spec/bench/rename.lua", (char *)run->directory, rounds,
                         NULL};
    const char *name = "publishing, p99 during a rename / alone";
    snprintf(rounds, sizeof rounds, "%u", run->rounds);
    snprintf(output, sizeof output, "%s", bench_path(run, "rename.txt"));
    report_section("RENAMING A STREAM UNDER FOUR PUBLISHER PROCESSES, DURABLE");
    machine_settle(run);
    if (access("build/lua/tycho/core.so", R_OK) != 0) {
        report_skip(name, "build/lua/tycho/core.so is not there");
    } else if (machine_run(arguments, output, NULL) != 0) {
        report_skip(name, "spec/bench/rename.lua failed");
    } else {
        report_samples(output);
    }
    report_ratio(name, "publishing during a rename, p99", "publishing alone, p99");
    report_at_most(name, 2);
    report_at_most("last batch of 1 k, its commit", 20);
    report_at_most("last batch of 100 k, its commit", 20);
    report_at_most("last batch of 1 M, its commit", 20);
    report_at_most("last batch of 1 M, longest gap", 20);
    report_at_least("link_range, 10 k a batch, unsynced", 2e6);
    report_ratio("link_range, second half / first half", "link_range, second half of 1 M",
                 "link_range, first half of 1 M");
    report_at_least("link_range, second half / first half", 0.8);
}
