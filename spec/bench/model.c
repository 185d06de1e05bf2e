/* model.c - on-demand read models (model.lua): catching up many instances, and asking for one.
**
** All of it is measured in Lua, so that the figures have what the binding costs. The store is of
** its own, with as many old events as the big stores have, 1 M at most.
*/
#include <stdio.h>
#include <unistd.h>

#include "bench.h"

enum { EVENTS_MAX = 1000000 };

void model_bench(const bench *run) {
    char rounds[16], events[24], output[600];
    char *arguments[] = {
        (char *)run->lua, "spec/bench/model.lua", (char *)run->directory, rounds, events, NULL};
    const char *name = "catch-up, 100 old events an instance";
    snprintf(rounds, sizeof rounds, "%u", run->rounds);
    snprintf(events, sizeof events, "%llu",
             (unsigned long long)(run->big < EVENTS_MAX ? run->big : EVENTS_MAX));
    snprintf(output, sizeof output, "%s", bench_path(run, "model.txt"));
    report_section("READ MODELS ON DEMAND, FROM LUA, DURABLE");
    machine_settle(run);
    if (access("build/lua/tycho/core.so", R_OK) != 0) {
        report_skip(name, "build/lua/tycho/core.so is not there");
    } else if (machine_run(arguments, output, NULL) != 0) {
        report_skip(name, "spec/bench/model.lua failed");
    } else {
        report_samples(output);
    }
    report_at_least(name, 50000);
    report_at_most("unchanged, from the snapshot", 20);
}
