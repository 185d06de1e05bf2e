/* snapshot_test.c - who begins to read while others commit sees a commit that they were told of
** (engine/txn.c).
**
** LMDB takes the number of the last commit and then looks into a meta page. Here it is stopped
** between the two, by a page that may not be read, while another process commits twice.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store.h"
#include "store_values.h"

enum { META_PAGES = 2 };

/* A process that commits twice for each byte that it is sent, and answers with one. */
typedef struct committer {
    pid_t pid;
    int to, from;
} committer;

static committer other;
static void *metas; /* the pages that may not be read */
static size_t metas_size;
static int stops;

static bool do_commits(void) {
    char byte = 0;
    return write(other.to, &byte, 1) == 1 && read(other.from, &byte, 1) == 1 && byte == 0;
}

static void commit_for(const char *path, int from, int to) {
    const tycho_new_event event = {.type = text("t")};
    tycho_store *store;
    char byte;
    if (open_store(path, 0, &store) != TYCHO_OK) _exit(1);
    while (read(from, &byte, 1) == 1) {
        for (int i = 0; i < 2 && byte == 0; i++) byte = (char)commit_event(store, "s", &event);
        if (write(to, &byte, 1) != 1) _exit(2);
    }
    tycho_store_close(store);
    _exit(0);
}

static void start_other(const char *path) {
    int there[2], back[2];
    assert_true(pipe(there) == 0 && pipe(back) == 0);
    other = (committer){.pid = fork(), .to = there[1], .from = back[0]};
    assert_true(other.pid >= 0);
    if (other.pid == 0) {
        close(there[1]);
        close(back[0]);
        commit_for(path, there[0], back[1]);
    }
    close(there[0]);
    close(back[1]);
}

static void end_other(void) {
    int status;
    close(other.to);
    close(other.from);
    assert_int_equal(waitpid(other.pid, &status, 0), other.pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* LMDB looks into a meta page. */
static void on_fault(int signal) {
    (void)signal;
    stops++;
    if (!do_commits() || mprotect(metas, metas_size, PROT_READ) != 0) _exit(3);
}

static void find_metas(tycho_store *store) {
    const uint8_t *base;
    uint32_t page_size;
    ASSERT_STATUS(tycho__map_base(store->env, &page_size, &base), TYCHO_OK);
    metas = (void *)(uintptr_t)base;
    metas_size = (size_t)META_PAGES * page_size;
}

/* Stops the reader who comes next while another process commits twice; what the two commit before
** that is not known to the reader. */
static void stop_next(bool is_known) {
    if (!is_known) assert_true(do_commits());
    assert_int_equal(mprotect(metas, metas_size, PROT_NONE), 0);
}

static void check_snapshot(const tycho__txn *txn, uint64_t commits, int times) {
    assert_int_equal(txn->state.commit, tycho__txn_number(txn));
    assert_int_equal(txn->state.head, commits);
    assert_int_equal(stops, times);
}

static void a_snapshot_is_of_the_commit_of_its_number(void **state) {
    const char *path = *state;
    start_other(path);
    assert_true(do_commits());
    tycho_store *store;
    ASSERT_STATUS(open_store(path, TYCHO_READ_ONLY, &store), TYCHO_OK);
    find_metas(store);
    store->env->can_write = false; /* as a process that may only read */
    const struct sigaction action = {.sa_handler = on_fault};
    struct sigaction before;
    assert_int_equal(sigaction(SIGSEGV, &action, &before), 0);
    tycho__txn *txn;
    stop_next(false);
    ASSERT_STATUS(tycho__txn_read(store->env, &txn), TYCHO_OK);
    check_snapshot(txn, 6, 1);
    stop_next(false);
    ASSERT_STATUS(tycho__txn_renew(txn), TYCHO_OK);
    check_snapshot(txn, 10, 2);
    stop_next(true); /* the number that LMDB took is that of what is known */
    ASSERT_STATUS(tycho__txn_renew(txn), TYCHO_OK);
    check_snapshot(txn, 10, 3);
    tycho__txn_done(txn);
    sigaction(SIGSEGV, &before, NULL);
    store->env->can_write = true;
    tycho_store_close(store);
    end_other();
}

static int set_up(void **state) {
    static char directory[DIRECTORY_SIZE];
    *state = directory;
    return make_directory(directory);
}

static int tear_down(void **state) {
    return remove_directory(*state);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_snapshot_is_of_the_commit_of_its_number, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
