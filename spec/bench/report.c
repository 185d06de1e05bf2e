/* report.c - figures, their targets, the table, JSON, and the change against an older run.
**
** A figure is "met" or "missed" by the median of its samples. The change against an older run is
** that of the medians; ratios move less from machine to machine than figures do.
*/
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

enum { FIGURES_MAX = 1024, SAMPLES_MAX = 100, SETTINGS_MAX = 32, NAMES_MAX = 2048, NAME_SIZE = 64 };

typedef struct figure {
    char name[NAME_SIZE];
    char unit[16];
    const char *section;
    const char *skipped; /* why there are no samples, or NULL */
    double samples[SAMPLES_MAX];
    size_t count;
    int target_kind; /* 0: none, 1: at least, -1: at most */
    double target;
} figure;

static figure figures[FIGURES_MAX];
static size_t figure_count;
static const char *section = "";
static struct setting { char name[32]; char value[160]; } settings[SETTINGS_MAX];
static size_t setting_count;
static json_t *base; /* the results of an older run, or NULL */

static figure *find(const char *name) {
    for (size_t i = 0; i < figure_count; i++) {
        if (strcmp(figures[i].name, name) == 0) return &figures[i];
    }
    return NULL;
}

static figure *get(const char *name) {
    figure *found = find(name);
    if (found != NULL) return found;
    if (figure_count == FIGURES_MAX || strlen(name) >= NAME_SIZE) {
        fprintf(stderr, "bench: too many figures or too long a name: %s\n", name);
        exit(1);
    }
    found = &figures[figure_count++];
    strcpy(found->name, name);
    found->section = section;
    return found;
}

const char *report_section(const char *title) {
    const char *before = section;
    section = title;
    return before;
}

const char *report_name(const char *format, ...) {
    static char names[NAMES_MAX][NAME_SIZE];
    static size_t count;
    va_list arguments;
    if (count == NAMES_MAX) return names[NAMES_MAX - 1];
    va_start(arguments, format);
    vsnprintf(names[count], NAME_SIZE, format, arguments);
    va_end(arguments);
    size_t found = 0;
    while (strcmp(names[found], names[count]) != 0) found++;
    count += found == count;
    return names[found];
}

void report_value(const char *name, const char *unit, double value) {
    figure *to = get(name);
    snprintf(to->unit, sizeof to->unit, "%s", unit);
    if (to->count < SAMPLES_MAX) to->samples[to->count++] = value;
}

void report_ratio(const char *name, const char *over, const char *under) {
    const figure *a = get(over), *b = get(under);
    for (size_t i = 0; i < a->count && i < b->count; i++) {
        report_value(name, "x", a->samples[i] / b->samples[i]);
    }
}

void report_best(const char *name, const char *const *others) {
    for (size_t i = 0; i < SAMPLES_MAX; i++) {
        double best = 0;
        const figure *of = NULL;
        for (size_t k = 0; others[k] != NULL; k++) {
            const figure *other = get(others[k]);
            if (i < other->count && other->samples[i] > best) {
                best = other->samples[i];
                of = other;
            }
        }
        if (of == NULL) break;
        report_value(name, of->unit, best);
    }
}

void report_samples(const char *path) {
    char line[256], name[64], unit[16];
    double value;
    FILE *file = fopen(path, "r");
    bench_need_system(file != NULL, path);
    while (fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "%63[^\t]\t%15[^\t]\t%lf", name, unit, &value) == 3) {
            report_value(name, unit, value);
        }
    }
    fclose(file);
}

static void set_target(const char *name, int kind, double target) {
    figure *of = get(name);
    of->target_kind = kind;
    of->target = target;
}

void report_at_least(const char *name, double target) { set_target(name, 1, target); }
void report_at_most(const char *name, double target) { set_target(name, -1, target); }
void report_skip(const char *name, const char *reason) { get(name)->skipped = reason; }

void report_setting(const char *name, const char *format, ...) {
    va_list arguments;
    size_t at = 0;
    while (at < setting_count && strcmp(settings[at].name, name) != 0) at++;
    if (at == SETTINGS_MAX) return;
    if (at == setting_count) setting_count++;
    struct setting *to = &settings[at];
    snprintf(to->name, sizeof to->name, "%s", name);
    va_start(arguments, format);
    vsnprintf(to->value, sizeof to->value, format, arguments);
    va_end(arguments);
}

static int compare(const void *a, const void *b) {
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

double report_quantile(double *values, size_t count, double share) {
    if (count == 0) return 0;
    qsort(values, count, sizeof *values, compare);
    double at = share * (double)(count - 1);
    size_t below = (size_t)at;
    size_t above = below + 1 < count ? below + 1 : below;
    return values[below] + (values[above] - values[below]) * (at - (double)below);
}

typedef struct summary {
    double min, median, max;
} summary;

static summary summarize(const figure *of) {
    double sorted[SAMPLES_MAX];
    memcpy(sorted, of->samples, sizeof sorted);
    summary result = {report_quantile(sorted, of->count, 0),
                      report_quantile(sorted, of->count, 0.5),
                      report_quantile(sorted, of->count, 1)};
    return result;
}

static bool is_met(const figure *of) {
    double median = summarize(of).median;
    return of->target_kind > 0 ? median >= of->target : median <= of->target;
}

static const char *short_number(char text[16], double value) {
    if (value >= 1e9) snprintf(text, 16, "%.2f G", value / 1e9);
    else if (value >= 1e6) snprintf(text, 16, "%.2f M", value / 1e6);
    else if (value >= 1e4) snprintf(text, 16, "%.1f k", value / 1e3);
    else if (value >= 100) snprintf(text, 16, "%.0f", value);
    else if (value >= 1) snprintf(text, 16, "%.2f", value);
    else snprintf(text, 16, "%.3f", value);
    return text;
}

/* The median that an older run has for the figure, or 0. */
static double older(const char *name) {
    size_t index;
    const json_t *entry;
    json_array_foreach(json_object_get(base, "figures"), index, entry) {
        const char *other = json_string_value(json_object_get(entry, "name"));
        if (other == NULL || strcmp(other, name) != 0) continue;
        return json_number_value(json_object_get(entry, "median"));
    }
    return 0;
}

static void print_figure(const figure *of) {
    char min[16], median[16], max[16], target[16];
    const char *sign = of->target_kind > 0 ? ">=" : "<=";
    if (of->count == 0) {
        printf("  %-43s skipped: %s", of->name, of->skipped ? of->skipped : "not measured");
        if (of->target_kind != 0) {
            printf(" (%s %s, not known)", sign, short_number(target, of->target));
        }
        putchar('\n');
        return;
    }
    summary values = summarize(of);
    printf("  %-43s %9s %9s %9s %-9s", of->name, short_number(min, values.min),
           short_number(median, values.median), short_number(max, values.max), of->unit);
    if (of->target_kind != 0) {
        printf(" %s %s %s", sign, short_number(target, of->target), is_met(of) ? "met" : "MISSED");
    }
    double before = older(of->name);
    if (before > 0) printf(" (%+.0f %%)", (values.median / before - 1) * 100);
    putchar('\n');
}

void report_load_base(const char *path) {
    json_error_t error;
    base = json_load_file(path, 0, &error);
    if (json_is_array(json_object_get(base, "figures"))) return;
    fprintf(stderr, "bench: base %s: %s\n", path, base ? "no figures in it" : error.text);
    exit(1);
}

static bool is_first_of_section(size_t index) {
    for (size_t i = 0; i < index; i++) {
        if (strcmp(figures[i].section, figures[index].section) == 0) return false;
    }
    return true;
}

static void print_section(size_t number, const char *title) {
    printf("%zu. %s\n", number, title);
    for (size_t i = 0; i < figure_count; i++) {
        if (strcmp(figures[i].section, title) == 0) print_figure(&figures[i]);
    }
}

void report_print(void) {
    size_t targets = 0, met = 0, unknown = 0, sections = 0;
    puts("");
    for (size_t i = 0; i < setting_count; i++) {
        printf("%-18s %s\n", settings[i].name, settings[i].value);
    }
    printf("\n  %-43s %9s %9s %9s unit      target\n", "", "min", "median", "max");
    for (size_t i = 0; i < figure_count; i++) {
        if (is_first_of_section(i)) print_section(++sections, figures[i].section);
        if (figures[i].target_kind == 0) continue;
        targets++;
        unknown += figures[i].count == 0;
        met += figures[i].count > 0 && is_met(&figures[i]);
    }
    printf("\n%zu of %zu targets met, %zu not measured%s\n", met, targets, unknown,
           base ? "; in brackets: the change of the median against the base" : "");
}

static json_t *encode_values(const figure *of) {
    summary values = summarize(of);
    json_t *samples = json_array();
    for (size_t i = 0; i < of->count; i++) {
        json_array_append_new(samples, json_real(of->samples[i]));
    }
    return json_pack("{ss ss ss sf sf sf so}", "name", of->name, "section", of->section, "unit",
                     of->unit, "min", values.min, "median", values.median, "max", values.max,
                     "samples", samples);
}

static json_t *encode(const figure *of) {
    json_t *entry = of->count > 0
                        ? encode_values(of)
                        : json_pack("{ss ss ss}", "name", of->name, "section", of->section,
                                    "skipped", of->skipped ? of->skipped : "not measured");
    if (of->target_kind == 0) return entry;
    json_object_set_new(entry, of->target_kind > 0 ? "at_least" : "at_most",
                        json_real(of->target));
    if (of->count > 0) json_object_set_new(entry, "met", json_boolean(is_met(of)));
    return entry;
}

void report_write(const bench *run) {
    json_t *about = json_object(), *list = json_array();
    for (size_t i = 0; i < setting_count; i++) {
        json_object_set_new(about, settings[i].name, json_string(settings[i].value));
    }
    for (size_t i = 0; i < figure_count; i++) json_array_append_new(list, encode(&figures[i]));
    json_t *root = json_pack("{so so}", "run", about, "figures", list);
    int status = json_dump_file(root, run->json, JSON_INDENT(1) | JSON_REAL_PRECISION(6));
    json_decref(root);
    bench_need_system(status == 0, run->json);
}
