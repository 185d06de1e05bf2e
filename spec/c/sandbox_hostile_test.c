/* sandbox_hostile_test.c - scripts that try to break out of the sandbox, or to hang it: the cases
** of spec/sandbox/hangs.lua and escapes.lua. A case is
**
**     --- [module] over budget | over memory | refused 'TEXT' | fails 'TEXT' | returns 'TEXT' [:
**     why] lines of Lua, the body of a function; with `module` a whole module
**
** and each is run twice, in two sandboxes, with the same verdict at the same cost.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ctype.h>
#include <pthread.h>
#include <time.h>

#include "sandbox_script.h"

enum { CASES_MAX = 400 };

struct hostile_case {
    char title[256]; /* file:line and what the case says of itself */
    char *source;
    enum tycho__sandbox_kind kind;
    int is_module;
    char text[256];
};

static struct hostile_case cases[CASES_MAX];
static int case_count;
static struct CMUnitTest tests[CASES_MAX + 1];

/* ---------------------------------------------------------------- reading the cases */

static const struct {
    const char *words;
    enum tycho__sandbox_kind kind;
} verdicts[] = {
    {"over budget", TYCHO__SANDBOX_OVER_BUDGET},
    {"over memory", TYCHO__SANDBOX_OVER_MEMORY},
    {"refused '", TYCHO__SANDBOX_REFUSED},
    {"fails '", TYCHO__SANDBOX_FAILED},
    {"returns '", TYCHO__SANDBOX_OK},
};

static void fail_reading(const char *path, int line, const char *why) {
    fprintf(stderr, "%s:%d: %s\n", path, line, why);
    exit(1);
}

/* Reads what follows "--- ". The text ends with the quote before ':' or the end of the line. */
static void read_head(const char *path, int line, const char *head, struct hostile_case *one) {
    snprintf(one->title, sizeof one->title, "%s:%d %.150s", path, line, head);
    one->is_module = strncmp(head, "module ", 7) == 0;
    if (one->is_module) head += 7;
    for (size_t i = 0; i < sizeof verdicts / sizeof *verdicts; i++) {
        size_t size = strlen(verdicts[i].words);
        if (strncmp(head, verdicts[i].words, size) != 0) continue;
        one->kind = verdicts[i].kind;
        if (head[size - 1] != '\'') return;
        const char *end = strstr(head + size, "': ");
        if (end == NULL) end = strrchr(head, '\'');
        if (end < head + size) fail_reading(path, line, "the text does not end");
        snprintf(one->text, sizeof one->text, "%.*s", (int)(end - head - (long)size), head + size);
        return;
    }
    fail_reading(path, line, "no verdict");
}

static void read_cases(const char *path) {
    char text[1024];
    FILE *file = fopen(path, "r");
    struct hostile_case *one = NULL;
    if (file == NULL) fail_reading(path, 0, "cannot be opened: run this in the root of the tree");
    for (int line = 1; fgets(text, sizeof text, file) != NULL; line++) {
        text[strcspn(text, "\n")] = '\0';
        if (strncmp(text, "--- ", 4) == 0 && line > 2 && islower((unsigned char)text[4])) {
            if (case_count == CASES_MAX) fail_reading(path, line, "too many cases");
            one = &cases[case_count++];
            one->source = calloc(1, 8192);
            if (one->source == NULL) fail_reading(path, line, "no memory");
            read_head(path, line, text + 4, one);
        } else if (one != NULL) {
            if (strlen(one->source) + strlen(text) > 8000) fail_reading(path, line, "too long");
            strcat(one->source, "\n");
            strcat(one->source, text);
        }
    }
    fclose(file);
}

/* ---------------------------------------------------------------- running them */

static int64_t run_case(const struct hostile_case *one) {
    struct script script;
    enum tycho__sandbox_kind kind = one->is_module
                                        ? load_module(&script, NULL, one->source + 1)
                                        : load_body(&script, NULL, one->source);
    if (kind == TYCHO__SANDBOX_OK) kind = run(&script);
    const char *said = kind == TYCHO__SANDBOX_OK ? script.result : script.error->message;
    int is_equal = kind != TYCHO__SANDBOX_OK ? strstr(said, one->text) != NULL
                                             : strcmp(said, one->text) == 0;
    if (kind != one->kind || !is_equal) {
        print_message("# %s\n# kind %d: %s\n# %s\n", one->title, kind, said,
                      script.error->traceback);
        fail();
    }
    int64_t charged = tycho__sandbox_charged(script.sandbox);
    drop(&script);
    return charged;
}

static void gives_the_verdict(void **state) {
    const struct hostile_case *one = *state;
    int64_t charged = run_case(one);
    if (one->kind != TYCHO__SANDBOX_OVER_MEMORY) assert_int_equal(run_case(one), charged);
}

/* All of them once more, in a thread whose stack is as small as may be: deep recursion in Lua must
** not need more. Sanitizers make frames several times as large. */
static void *run_all(void *context) {
    for (int i = 0; i < case_count; i++) run_case(&cases[i]);
    return context;
}

static void gives_all_verdicts_in_a_small_stack(void **state) {
#if defined(__SANITIZE_ADDRESS__)
    size_t size = 8u * TYCHO__SANDBOX_STACK_MIN;
#else
    size_t size = TYCHO__SANDBOX_STACK_MIN;
#endif
    pthread_attr_t attributes;
    pthread_t thread;
    (void)state;
    assert_int_equal(pthread_attr_init(&attributes), 0);
    assert_int_equal(pthread_attr_setstacksize(&attributes, size), 0);
    assert_int_equal(pthread_create(&thread, &attributes, run_all, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    pthread_attr_destroy(&attributes);
}

/* `--times` tells how long each case takes instead. */
static int tell_times(void) {
    for (int i = 0; i < case_count; i++) {
        struct timespec start, end;
        clock_gettime(CLOCK_MONOTONIC, &start);
        run_case(&cases[i]);
        clock_gettime(CLOCK_MONOTONIC, &end);
        printf("%8.1f ms  %s\n", (double)(end.tv_sec - start.tv_sec) * 1e3 +
                                     (double)(end.tv_nsec - start.tv_nsec) / 1e6,
               cases[i].title);
    }
    return 0;
}

int main(int argc, char **argv) {
    read_cases("spec/sandbox/hangs.lua");
    read_cases("spec/sandbox/escapes.lua");
    if (argc == 2 && strcmp(argv[1], "--times") == 0) return tell_times();
    for (int i = 0; i < case_count; i++) {
        tests[i].name = cases[i].title;
        tests[i].test_func = gives_the_verdict;
        tests[i].initial_state = &cases[i];
    }
    tests[case_count].name = "gives_all_verdicts_in_a_small_stack";
    tests[case_count].test_func = gives_all_verdicts_in_a_small_stack;
    size_t count = (size_t)case_count + 1;
    int failed = _cmocka_run_group_tests("hostile scripts", tests, count, NULL, NULL);
    for (int i = 0; i < case_count; i++) free(cases[i].source);
    return failed;
}
