/* failure.c - why something was refused: the sentence for tycho_error(), and the facts of
** tycho_scripts_error(), of this thread.
*/
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "script.h"

enum { ID_SHOWN = TYCHO_ID_MAX, KEY_SHOWN = 400 };

struct tycho__failure {
    tycho_scripts_failure facts; /* whose texts are the ones below */
    bool is_set;
    char script[TYCHO_NAME_MAX + 16];
    char path[TYCHO__SCHEMA_PATH];
    char message[512];
    char traceback[2048];
    char event_id[ID_SHOWN + 1];
    char event_type[TYCHO_NAME_MAX + 1];
    char key[KEY_SHOWN + 1];
};

static _Thread_local struct tycho__failure last;

const tycho_scripts_failure *tycho_scripts_error(void) {
    struct tycho__failure *failure = &last;
    if (!failure->is_set) return NULL;
    failure->facts.script = failure->script;
    failure->facts.path = failure->path;
    failure->facts.message = failure->message;
    failure->facts.traceback = failure->traceback;
    failure->facts.event_id = failure->event_id;
    failure->facts.event_type = failure->event_type;
    failure->facts.key = failure->key;
    return &failure->facts;
}

int tycho__script_fail(int status, const char *format, ...) {
    char sentence[400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    last.is_set = false;
    tycho_set_error(sentence);
    return status;
}

/* Makes text of a script's fit for terminals and protocols: control characters but those of `kept`
** become spaces, and bytes that are no UTF-8, as where a text was cut, question marks. */
static void clean(char *text, const char *kept) {
    for (size_t size = 1; *text != '\0'; text += size) {
        unsigned char first = (unsigned char)*text;
        size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0x80 ? 2 : 1;
        if (size > 1 && (strnlen(text, size) < size || !tycho__utf8_check(text, size))) {
            *text = '?';
            size = 1;
        } else if ((first < 0x20 || first == 0x7f) && strchr(kept, *text) == NULL) {
            *text = ' ';
        }
    }
}

static void put(char *to, size_t room, tycho_bytes text) {
    size_t size = text.size < room ? text.size : room - 1;
    if (size > 0) memcpy(to, text.data, size);
    to[size] = '\0';
}

static void begin(tycho_bytes script, int64_t version, const tycho_event *event) {
    memset(&last, 0, sizeof last);
    last.is_set = true;
    put(last.script, sizeof last.script, script);
    clean(last.script, "");
    last.facts.version = version;
    if (event == NULL) return;
    put(last.event_id, sizeof last.event_id, event->id);
    put(last.event_type, sizeof last.event_type, event->type);
    last.facts.position = event->position;
}

struct sentence {
    char text[512];
    size_t used;
};

/* Appends what there is room for. */
__attribute__((format(printf, 2, 3))) static void add(struct sentence *to, const char *format,
                                                      ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(to->text + to->used, sizeof to->text - to->used, format, arguments);
    va_end(arguments);
    to->used += strlen(to->text + to->used);
}

/* Makes the sentence. */
static int reject(void) {
    struct sentence sentence = {.used = 0};
    add(&sentence, "%.120s", last.script);
    if (last.facts.version > 0) add(&sentence, " version %lld", (long long)last.facts.version);
    if (last.facts.line > 0) add(&sentence, ", line %lld", (long long)last.facts.line);
    add(&sentence, ": %.200s", last.message);
    if (last.event_id[0] != '\0') {
        add(&sentence, " (event %s of type %.60s", last.event_id, last.event_type);
        if (last.facts.position > 0) {
            add(&sentence, " at position %llu", (unsigned long long)last.facts.position);
        }
        add(&sentence, ")");
    }
    if (last.key[0] != '\0') add(&sentence, " (key %.60s)", last.key);
    clean(sentence.text, "");
    tycho_set_error(sentence.text);
    return TYCHO_REJECTED;
}

int tycho__script_reject(const struct tycho__definition *definition, const tycho_event *event,
                         const char *path, int64_t line, const char *message) {
    begin(definition->about.key, definition->about.version, event);
    last.facts.line = line;
    snprintf(last.path, sizeof last.path, "%s", path);
    snprintf(last.message, sizeof last.message, "%s", message);
    clean(last.message, "\t\n");
    return reject();
}

/* The message without the "script:12: " that Lua puts in front of it, when the line is known. */
static const char *bare_message(const struct tycho__sandbox_error *error) {
    char place[sizeof error->script + 16];
    int size = snprintf(place, sizeof place, "%s:%d: ", error->script, error->line);
    bool has_place = error->line > 0 && strncmp(error->message, place, (size_t)size) == 0;
    return has_place ? error->message + size : error->message;
}

static int take_error(const struct tycho__sandbox_error *error) {
    snprintf(last.message, sizeof last.message, "%s", bare_message(error));
    snprintf(last.traceback, sizeof last.traceback, "%s", error->traceback);
    clean(last.message, "\t\n");
    clean(last.traceback, "\n");
    if (error->line > 0) last.facts.line = error->line;
    last.facts.is_over_limit = error->kind == TYCHO__SANDBOX_OVER_BUDGET ||
                               error->kind == TYCHO__SANDBOX_OVER_MEMORY ||
                               error->kind == TYCHO__SANDBOX_OVER_TIME;
    return reject();
}

int tycho__script_reject_run(const struct tycho__runner *runner, const tycho_event *event,
                             tycho_bytes key) {
    const struct tycho__sandbox_error *error = tycho__sandbox_last_error(runner->sandbox);
    const tycho_script_about *about = &runner->definition->about;
    if (error->kind == TYCHO__SANDBOX_NO_MEMORY) {
        return tycho__script_fail(TYCHO_NO_MEMORY, "no memory to run %.*s", (int)about->key.size,
                                  (const char *)about->key.data);
    }
    begin(about->key, about->version, event);
    put(last.key, sizeof last.key, key);
    return take_error(error);
}

int tycho__script_reject_source(tycho_bytes label, const struct tycho__sandbox_error *error,
                                int64_t line) {
    if (error->kind == TYCHO__SANDBOX_NO_MEMORY) {
        return tycho__script_fail(TYCHO_NO_MEMORY, "no memory to compile %.*s", (int)label.size,
                                  (const char *)label.data);
    }
    begin(label, 0, NULL);
    last.facts.line = line;
    return take_error(error);
}

int tycho__script_reject_key(int status, tycho_bytes key) {
    if (status != TYCHO_REJECTED || !last.is_set || last.key[0] != '\0') return status;
    put(last.key, sizeof last.key, key);
    return reject();
}

struct tycho__failure *tycho__failure_copy(void) {
    struct tycho__failure *copy = malloc(sizeof *copy);
    if (copy != NULL) *copy = last;
    return copy;
}

int tycho__failure_raise(const struct tycho__failure *failure) {
    last = *failure;
    return reject();
}

void tycho__failure_set_position(uint64_t position) {
    if (!last.is_set) return;
    last.facts.position = position;
    reject();
}

void tycho__failure_free(struct tycho__failure *failure) {
    free(failure);
}
