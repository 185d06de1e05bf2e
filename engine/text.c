/* text.c - checks of names, packing of ids, UUIDv7.
**
** A UUIDv7 here is 48 bits of milliseconds, then 12 bits of a counter within the millisecond, then
** 62 random bits (RFC 9562, method 1). One process-wide state keeps them strictly rising, also
** when the clock steps back. The random pool is dropped in a forked child.
*/
#include "text.h"

#include <errno.h>
#include <pthread.h>
#include <sys/random.h>
#include <time.h>

static int hex_value(uint8_t c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
}

static bool is_dash_place(size_t i) {
    return i == 8 || i == 13 || i == 18 || i == 23;
}

static bool pack_uuid(uint8_t *bytes, const uint8_t *text) {
    size_t out = 0;
    for (size_t i = 0; i < TYCHO_UUID_SIZE;) {
        if (is_dash_place(i)) {
            if (text[i] != '-') return false;
            i++;
            continue;
        }
        int high = hex_value(text[i]), low = hex_value(text[i + 1]);
        if (high < 0 || low < 0) return false;
        bytes[out++] = (uint8_t)(high << 4 | low);
        i += 2;
    }
    assert(out == TYCHO__UUID_BYTES);
    return true;
}

void tycho__id_pack(tycho__id *id, tycho_bytes text) {
    assert(text.size <= TYCHO_ID_MAX);
    id->is_uuid = text.size == TYCHO_UUID_SIZE && pack_uuid(id->bytes, text.data);
    if (!id->is_uuid) tycho__copy(id->bytes, text);
    id->size = id->is_uuid ? TYCHO__UUID_BYTES : (uint8_t)text.size;
}

/* The digits of four bytes, all at once: each in a byte of its own, then 0-9 and a-f by whether
** adding 6 carries into its upper half. */
static void put_digits(char digits[8], const uint8_t *bytes) {
    const uint64_t each = 0x0101010101010101;
    uint64_t x = tycho__load32(bytes);
    x = (x << 16 | x) & 0x0000ffff0000ffff;
    x = (x << 8 | x) & 0x00ff00ff00ff00ff;
    x = (x >> 4 | x << 8) & 0x0f0f0f0f0f0f0f0f;
    x += '0' * each + ((x + 6 * each) >> 4 & each) * ('a' - '0' - 10);
    memcpy(digits, &x, sizeof x);
}

void tycho__uuid_unpack(char text[TYCHO_UUID_SIZE], const uint8_t bytes[TYCHO__UUID_BYTES]) {
    char digits[2 * TYCHO__UUID_BYTES];
    for (size_t i = 0; i < TYCHO__UUID_BYTES; i += 4) put_digits(digits + 2 * i, bytes + i);
    memcpy(text, digits, 8);
    memcpy(text + 9, digits + 8, 4);
    memcpy(text + 14, digits + 12, 4);
    memcpy(text + 19, digits + 16, 4);
    memcpy(text + 24, digits + 20, 12);
    text[8] = text[13] = text[18] = text[23] = '-';
}

int64_t tycho_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* ---------------------------------------------------------------- UUIDv7 */

static struct {
    pthread_mutex_t mutex;
    uint64_t last;     /* milliseconds << 12 | counter of the newest id */
    uint8_t pool[512]; /* random bytes not used yet are the last `pool_left` of it */
    size_t pool_left;
} uuid_state = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void uuid_fork_prepare(void) {
    pthread_mutex_lock(&uuid_state.mutex);
}

static void uuid_fork_parent(void) {
    pthread_mutex_unlock(&uuid_state.mutex);
}

static void uuid_fork_child(void) {
    uuid_state.pool_left = 0;
    pthread_mutex_unlock(&uuid_state.mutex);
}

__attribute__((constructor)) static void uuid_watch_fork(void) {
    pthread_atfork(uuid_fork_prepare, uuid_fork_parent, uuid_fork_child);
}

static void fill_pool(void) {
    size_t filled = 0;
    while (filled < sizeof uuid_state.pool) {
        ssize_t n = getrandom(uuid_state.pool + filled, sizeof uuid_state.pool - filled, 0);
        if (n > 0) filled += (size_t)n;
        assert(n > 0 || errno == EINTR);
    }
    uuid_state.pool_left = filled;
}

void tycho__uuid_next(uint8_t bytes[TYCHO__UUID_BYTES]) {
    uint64_t now = (uint64_t)tycho_now() / 1000 << 12;
    pthread_mutex_lock(&uuid_state.mutex);
    uuid_state.last = now > uuid_state.last ? now : uuid_state.last + 1;
    uint64_t stamp = uuid_state.last;
    if (uuid_state.pool_left < 8) fill_pool();
    uuid_state.pool_left -= 8;
    memcpy(bytes + 8, uuid_state.pool + uuid_state.pool_left, 8);
    pthread_mutex_unlock(&uuid_state.mutex);
    uint64_t high = (stamp >> 12) << 16 | 7u << 12 | (stamp & 0xfff);
    tycho__key64(bytes, high);
    bytes[8] = (uint8_t)((bytes[8] & 0x3f) | 0x80);
}

void tycho_uuid(char text[TYCHO_UUID_SIZE]) {
    uint8_t bytes[TYCHO__UUID_BYTES];
    tycho__uuid_next(bytes);
    tycho__uuid_unpack(text, bytes);
}

/* ---------------------------------------------------------------- names */

/* The size of the valid UTF-8 sequence at the start of the bytes, 0 when there is none. */
static size_t utf8_size(const uint8_t *at, size_t left) {
    uint8_t c = at[0];
    if (c < 0x80) return 1;
    size_t size = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
    if (c < 0xc2 || c > 0xf4 || size > left) return 0;
    uint8_t low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
    uint8_t high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    if (at[1] < low || at[1] > high) return 0;
    for (size_t i = 2; i < size; i++) {
        if ((at[i] & 0xc0) != 0x80) return 0;
    }
    return size;
}

/* Whether all of a name is printable ASCII, eight bytes at a time: nearly all names are. */
static bool is_plain(tycho_bytes name) {
    const uint64_t each = 0x0101010101010101, top = each << 7;
    const uint8_t *at = name.data;
    uint64_t odd = 0;
    for (size_t left = name.size; left > 0;) {
        size_t size = left < 8 ? left : 8;
        uint64_t bytes = each * ' ';
        memcpy(&bytes, at, size);
        /* The top bit of a byte from 0x80 on, below 0x20, and of 0x7f. */
        odd |= bytes | (bytes - each * 0x20) | (bytes + each);
        at += size;
        left -= size;
    }
    return (odd & top) == 0;
}

int tycho__check_name(tycho_bytes name, const char *what) {
    if (name.size == 0) return tycho__fail(TYCHO_MISUSE, "the name of a %s is empty", what);
    if (name.size > TYCHO_NAME_MAX) {
        return tycho__fail(TYCHO_TOO_LARGE,
                           "the name of a %s has %zu bytes, at most %d are allowed", what,
                           name.size, TYCHO_NAME_MAX);
    }
    if (name.data == NULL) return tycho__fail(TYCHO_MISUSE, "the name of a %s is NULL", what);
    const uint8_t *at = name.data;
    if (is_plain(name)) return TYCHO_OK;
    for (size_t i = 0; i < name.size;) {
        size_t size = utf8_size(at + i, name.size - i);
        if (size == 0) {
            return tycho__fail(TYCHO_MISUSE, "the name of a %s is not valid UTF-8 at byte %zu",
                               what, i);
        }
        if (at[i] < 0x20 || at[i] == 0x7f) {
            return tycho__fail(TYCHO_MISUSE,
                               "the name of a %s has control character 0x%02x at byte %zu", what,
                               at[i], i);
        }
        i += size;
    }
    return TYCHO_OK;
}

int tycho__check_id(tycho_bytes id, const char *what) {
    if (id.size == 0) return tycho__fail(TYCHO_MISUSE, "the %s is empty", what);
    if (id.size > TYCHO_ID_MAX) {
        return tycho__fail(TYCHO_TOO_LARGE, "the %s has %zu bytes, at most %d are allowed", what,
                           id.size, TYCHO_ID_MAX);
    }
    if (id.data == NULL) return tycho__fail(TYCHO_MISUSE, "the %s is NULL", what);
    return TYCHO_OK;
}

int tycho__trim_path(char *to, size_t size, const char *path) {
    size_t length = path == NULL ? 0 : strlen(path);
    while (length > 1 && path[length - 1] == '/') length--;
    if (length == 0) return tycho__fail(TYCHO_MISUSE, "the path is empty");
    if (length + 64 > size) return tycho__fail(TYCHO_MISUSE, "the path has %zu bytes", length);
    memcpy(to, path, length);
    to[length] = '\0';
    return TYCHO_OK;
}
