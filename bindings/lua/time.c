/* time.c - RFC 3339 text to microseconds since the epoch, and back.
**
** Strict: YYYY-MM-DD, 'T', 't' or one blank, HH:MM:SS, an optional fraction of 1 to 9 digits (those
** behind microseconds are cut), then 'Z', 'z' or +HH:MM / -HH:MM. Years 0000 to 9999 of the
** Gregorian calendar; leap seconds (:60) are refused, because the epoch has no place for them.
*/
#include "binding.h"

#include <inttypes.h>
#include <stdio.h>

#define SECOND INT64_C(1000000)
#define DAY (86400 * SECOND)
#define TIME_MIN (-719528 * DAY)     /* 0000-01-01T00:00:00Z */
#define TIME_MAX (2932897 * DAY - 1) /* 9999-12-31T23:59:59.999999Z */

typedef struct scanner {
    const char *at, *end;
    const char *error; /* the first thing that is wrong */
} scanner;

/* Reads `digits` digits, a number from `low` to `high`. */
static int scan_number(scanner *text, int digits, int low, int high, const char *what) {
    int value = 0;

    if (text->error != NULL) return low;
    for (int i = 0; i < digits; i++) {
        if (text->at == text->end || *text->at < '0' || *text->at > '9') {
            text->error = what;
            return low;
        }
        value = value * 10 + (*text->at++ - '0');
    }
    if (value < low || value > high) {
        text->error = what;
        return low;
    }
    return value;
}

static bool scan_any(scanner *text, const char *characters) {
    if (text->error != NULL || text->at == text->end) return false;
    for (; *characters != '\0'; characters++)
        if (*text->at == *characters) return text->at++, true;
    return false;
}

static void scan_mark(scanner *text, const char *characters, const char *what) {
    if (!scan_any(text, characters) && text->error == NULL) text->error = what;
}

static bool is_leap(int year) {
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int days_of_month(int year, int month) {
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return month == 2 && is_leap(year) ? 29 : days[month - 1];
}

/* Days from 1970-01-01, counted in years that begin in March, so that a leap day ends its year. */
static int64_t days_of_date(int year, int month, int day) {
    const int y = month <= 2 ? year - 1 : year;
    const int era = (y >= 0 ? y : y - 399) / 400;
    const int of_era = y - era * 400;
    const int of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    return (int64_t)era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static int64_t scan_fraction(scanner *text) {
    int64_t value = 0;
    int digits = 0;

    if (!scan_any(text, ".")) return 0;
    while (text->at < text->end && *text->at >= '0' && *text->at <= '9' && digits < 10) {
        if (digits < 6) value = value * 10 + (*text->at - '0');
        text->at++;
        digits++;
    }
    if (digits == 0 || digits > 9) text->error = "a fraction has 1 to 9 digits";
    for (; digits < 6; digits++) value *= 10;
    return value;
}

/* Microseconds that the zone is ahead of UTC. */
static int64_t scan_zone(scanner *text) {
    if (scan_any(text, "Zz")) return 0;
    const bool is_west = text->at < text->end && *text->at == '-';
    scan_mark(text, "+-", "a zone is needed: Z or +02:00");
    const int hour = scan_number(text, 2, 0, 23, "the zone's hour is not 00 to 23");
    scan_mark(text, ":", "the zone is not like +02:00");
    const int minute = scan_number(text, 2, 0, 59, "the zone's minute is not 00 to 59");
    const int64_t ahead = (hour * 60 + minute) * 60 * SECOND;
    return is_west ? -ahead : ahead;
}

static int64_t scan_time(scanner *text) {
    const int year = scan_number(text, 4, 0, 9999, "the year is not four digits");
    scan_mark(text, "-", "the date is not like 2011-09-30");
    const int month = scan_number(text, 2, 1, 12, "the month is not 01 to 12");
    scan_mark(text, "-", "the date is not like 2011-09-30");
    const int day =
        scan_number(text, 2, 1, days_of_month(year, month), "the month does not have that day");
    scan_mark(text, "Tt ", "no T between date and time");
    const int hour = scan_number(text, 2, 0, 23, "the hour is not 00 to 23");
    scan_mark(text, ":", "the time is not like 22:38:44");
    const int minute = scan_number(text, 2, 0, 59, "the minute is not 00 to 59");
    scan_mark(text, ":", "the time is not like 22:38:44");
    const int second = scan_number(text, 2, 0, 59, "the second is not 00 to 59");
    const int64_t fraction = scan_fraction(text);
    const int64_t ahead = scan_zone(text);
    if (text->error == NULL && text->at != text->end) text->error = "something follows the time";
    return days_of_date(year, month, day) * DAY + ((hour * 60 + minute) * 60 + second) * SECOND +
           fraction - ahead;
}

/* parse_time(text): microseconds, or nil and what is wrong with it. */
int tycho__lua_time_parse(lua_State *L) {
    const tycho_bytes bytes = tycho__lua_bytes(L, 1, "text");
    scanner text = {bytes.data, (const char *)bytes.data + bytes.size, NULL};

    const int64_t time = scan_time(&text);

    if (text.error == NULL) return lua_pushinteger(L, time), 1;
    lua_pushnil(L);
    lua_pushfstring(L, "not a time of RFC 3339: %s", text.error);
    return 2;
}

/* format_time(time) */
int tycho__lua_time_format(lua_State *L) {
    const int64_t time = tycho__lua_integer(L, 1, "time");
    char text[40];
    if (time < TIME_MIN || time > TIME_MAX)
        return tycho__lua_misuse(L, "time must be in the years 0000 to 9999, got %I",
                                 (lua_Integer)time);

    const int64_t days = (time - TIME_MIN) / DAY - 60; /* from 0000-03-01 */
    const int64_t rest = (time - TIME_MIN) % DAY;
    const int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    const int64_t of_era = days - era * 146097;
    const int64_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    const int64_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const int64_t month_from_march = (5 * of_year + 2) / 153;
    const int64_t day = of_year - (153 * month_from_march + 2) / 5 + 1;
    const int64_t month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
    const int64_t year = era * 400 + year_of_era + (month <= 2);
    const int64_t second = rest / SECOND, fraction = rest % SECOND;
    int size =
        snprintf(text, sizeof(text),
                 "%04" PRId64 "-%02" PRId64 "-%02" PRId64 "T%02" PRId64 ":%02" PRId64 ":%02" PRId64,
                 year, month, day, second / 3600, second / 60 % 60, second % 60);
    if (fraction % 1000 != 0)
        size += snprintf(text + size, sizeof(text) - (size_t)size, ".%06" PRId64, fraction);
    else if (fraction != 0)
        size += snprintf(text + size, sizeof(text) - (size_t)size, ".%03" PRId64, fraction / 1000);

    lua_pushfstring(L, "%sZ", text);
    return 1;
}
