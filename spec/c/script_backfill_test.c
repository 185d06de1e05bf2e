/* script_backfill_test.c - back-filling from C: what it takes, what its status says, what it
** refuses. (Its streams, in all cases: spec/lua/backfill_spec.lua; under kill -9: spec/fault.)
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store_values.h"

#include "script_values.h"

static const char *const linker = "return linker { name = 'by_n', version = 1, streams = 'n-*', "
                                  "to = function(event) return 'n-' .. event.data.n end }";

static tycho_store *open_attached_temporary(void) {
    tycho_store *store;
    ASSERT_STATUS(open_store(NULL, TYCHO_TEMPORARY, &store), TYCHO_OK);
    ASSERT_STATUS(tycho_scripts_attach(store), TYCHO_OK);
    return store;
}

static int open_backfill(tycho_store *store, const char *source, int is_plan, tycho_backfill **b) {
    const tycho_backfill_options options = {
        .size = sizeof options, .source = text(source), .is_plan = is_plan};
    return tycho_backfill_open(store, &options, b);
}

static void fill(tycho_store *store, int count) {
    for (int i = 0; i < count; i++) append(store, "numbers", "Counted", "{ n = 1 }");
}

static void a_linker_is_deployed_with_its_older_events(void **state) {
    tycho_store *store = open_attached_temporary();
    tycho_backfill_status status;
    tycho_backfill *b;
    (void)state;
    fill(store, 5);
    ASSERT_STATUS(open_backfill(store, linker, 0, &b), TYCHO_OK);
    tycho_backfill_status_get(b, &status);
    assert_int_equal(status.phase, TYCHO_BACKFILL_NEW);
    assert_bytes(status.name, text("by_n"));
    ASSERT_STATUS(tycho_backfill_step(b, 2), TYCHO_OK);
    tycho_backfill_status_get(b, &status);
    assert_int_equal(status.phase, TYCHO_BACKFILL_LINKING);
    assert_int_equal(status.position, 2);
    assert_int_equal(status.linked, 2);
    assert_int_equal(status.head, 5);
    assert_int_equal(status.is_deployed, 0);
    assert_true(status.sequence > 0);
    fill(store, 1);
    ASSERT_STATUS(tycho_backfill_step(b, 0), TYCHO_OK);
    tycho_backfill_status_get(b, &status);
    assert_int_equal(status.phase, TYCHO_BACKFILL_DONE);
    assert_int_equal(status.linked, 6);
    assert_int_equal(status.is_deployed, 1);
    ASSERT_STATUS(tycho_backfill_step(b, 0), TYCHO_END);
    tycho_backfill_close(b);
    fill(store, 1);
    assert_int_equal(count_of(store, "n-1", ""), 7);
    assert_clean(store);
    tycho_store_close(store);
}

static void a_plan_only_looks(void **state) {
    tycho_store *store = open_attached_temporary();
    tycho_backfill *b, *other;
    uint64_t before, after;
    tycho_stats stats = {.size = sizeof stats};
    (void)state;
    fill(store, 1);
    ASSERT_STATUS(tycho_stats_get(store, &stats), TYCHO_OK);
    before = stats.sequence;
    ASSERT_STATUS(open_backfill(store, linker, 1, &b), TYCHO_OK);
    ASSERT_STATUS(tycho_backfill_step(b, 1), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_backfill_cancel(b), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_stats_get(store, &stats), TYCHO_OK);
    after = stats.sequence;
    assert_int_equal(before, after);
    ASSERT_STATUS(open_backfill(store, linker, 0, &other), TYCHO_OK); /* a plan holds no lock */
    tycho_backfill_close(other);
    tycho_backfill_close(b);
    tycho_store_close(store);
}

static void misuse_is_refused(void **state) {
    tycho_store *store = open_attached_temporary(), *bare;
    tycho_backfill *b, *other;
    const tycho_backfill_options unnamed = {.size = sizeof unnamed}, unsized = {.name = text("x")};
    (void)state;
    ASSERT_STATUS(tycho_backfill_open(store, &unnamed, NULL), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_backfill_open(store, NULL, &b), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_backfill_open(store, &unsized, &b), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_backfill_open(store, &unnamed, &b), TYCHO_MISUSE);
    assert_null(b);
    ASSERT_STATUS(open_backfill(store, "return event_type { name = 'A', version = 1 }", 0, &b),
                  TYCHO_MISUSE);
    ASSERT_STATUS(open_backfill(store, "nonsense", 0, &b), TYCHO_REJECTED);
    ASSERT_STATUS(open_backfill(store, linker, 0, &b), TYCHO_OK);
    ASSERT_STATUS(open_backfill(store, linker, 0, &other), TYCHO_BUSY); /* this thread has it */
    ASSERT_STATUS(tycho_backfill_step(b, 10001), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_backfill_step(NULL, 1), TYCHO_MISUSE);
    ASSERT_STATUS(tycho_backfill_cancel(b), TYCHO_NOT_FOUND);
    tycho_backfill_close(b);
    tycho_backfill_close(NULL);
    ASSERT_STATUS(open_store(NULL, TYCHO_TEMPORARY, &bare), TYCHO_OK);
    ASSERT_STATUS(open_backfill(bare, linker, 0, &b), TYCHO_MISUSE); /* no script host */
    tycho_store_close(bare);
    tycho_store_close(store);
}

static void who_is_late_changes_nothing(void **state) {
    tycho_store *store = open_attached_temporary();
    tycho_backfill *b;
    tycho_batch *batch;
    (void)state;
    fill(store, 5);
    ASSERT_STATUS(open_backfill(store, linker, 0, &b), TYCHO_OK);
    ASSERT_STATUS(tycho_backfill_step(b, 2), TYCHO_OK);
    ASSERT_STATUS(tycho_batch_create(&batch), TYCHO_OK); /* as if another had gone on */
    ASSERT_STATUS(
        tycho_batch_put_row(batch, text("tycho.backfills"), text("linker/by_n"), packed("{}")),
        TYCHO_OK);
    ASSERT_STATUS(tycho_commit(store, batch, NULL), TYCHO_OK);
    tycho_batch_destroy(batch);
    ASSERT_STATUS(tycho_backfill_step(b, 2), TYCHO_CONDITION_FAILED);
    assert_non_null(strstr(tycho_error(), "another process has gone on"));
    assert_int_equal(count_of(store, "n-1", ""), 2);
    tycho_backfill_close(b);
    ASSERT_STATUS(open_backfill(store, linker, 0, &b), TYCHO_CORRUPT);
    tycho_store_close(store);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_linker_is_deployed_with_its_older_events),
        cmocka_unit_test(a_plan_only_looks),
        cmocka_unit_test(misuse_is_refused),
        cmocka_unit_test(who_is_late_changes_nothing),
    };
    open_values();
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    close_values();
    return failures;
}
