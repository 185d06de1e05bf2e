/* backfill.c - back-filling a linker over a million events (backfill.lua): alone, and while
** processes publish.
*/
#include <stdio.h>
#include <unistd.h>

#include "bench.h"

void backfill_bench(const bench *run) {
    char rounds[16], output[600];
    char *arguments[] = {(char *)run->lua, "spec/bench/backfill.lua", (char *)run->directory,
                         rounds, NULL};
    const char *name = "publishing, p99 during a back-fill / alone";
    snprintf(rounds, sizeof rounds, "%u", run->rounds);
    snprintf(output, sizeof output, "%s", bench_path(run, "backfill.txt"));
    report_section("BACK-FILLING A LINKER OVER 1 M EVENTS, DURABLE");
    machine_settle(run);
    if (access("build/lua/tycho/core.so", R_OK) != 0) {
        report_skip(name, "build/lua/tycho/core.so is not there");
    } else if (machine_run(arguments, output, NULL) != 0) {
        report_skip(name, "spec/bench/backfill.lua failed");
    } else {
        report_samples(output);
    }
    report_at_least("back-fill, function, 10,000 streams", 200e3);
    report_at_least("back-fill, by type, 1 stream", 200e3);
    report_ratio(name, "publishing during a back-fill, p99", "publishing alone, p99");
    report_at_most(name, 2);
}
