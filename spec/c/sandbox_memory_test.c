/* sandbox_memory_test.c - memory: what a call holds and allocates is the same to the byte in every
** sandbox, whatever seed and addresses Lua has there, so that the limits are met by the same
** scripts everywhere; and a sandbox that had other calls does not have the last word. And what is
** charged, and told, does not follow from the order in which Lua has the fields of a table.
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sandbox_script.h"
#include "state.h"

enum { STATES = 12 };

static const char random_number[] =
    "local seed = ...\n"
    "local function random(most)\n"
    "  seed = (seed * 1103515245 + 12345) % 2147483648\n"
    "  return (seed >> 8) % most + 1\n"
    "end\n";

/* Tables whose keys of all kinds come and go, as large as they like. */
static const char come_and_go[] =
    "local kept = {}\n"
    "for i = 1, 40 do kept[i] = { {}, function() return i end, string.rep } end\n"
    "local function key()\n"
    "  local n, kind = random(40), random(8)\n"
    "  if kind == 1 then return n end\n"
    "  if kind == 2 then return 'k' .. n end\n"
    "  if kind == 3 then return n + 0.5 end\n"
    "  if kind == 4 then return n % 2 == 0 end\n"
    "  if kind == 5 then return kept[n][1] end\n"
    "  if kind == 6 then return kept[n][random(2) + 1] end\n"
    "  if kind == 7 then return ('long'):rep(20) .. n end\n"
    "  return -n\n"
    "end\n"
    "local tables = {}\n"
    "for round = 1, 300 do\n"
    "  local t = { a = 1, random(3), b = 2, random(3), nil, random(3) }\n"
    "  for i = 1, random(60) do\n"
    "    if random(3) == 1 then t[key()] = nil else t[key()] = { round } end\n"
    "    if random(20) == 1 then rawset(t, key(), i) end\n"
    "    if random(30) == 1 then t[#t + 1] = i end\n"
    "    if random(40) == 1 then table.insert(t, random(#t + 1), ('s'):rep(random(90))) end\n"
    "  end\n"
    "  tables[random(50)] = t\n"
    "end\n"
    "return seed";

/* Garbage of many kinds, a deep stack, errors that are caught, coroutines. */
static const char litter[] =
    "local kept, text = {}, ''\n"
    "local function deep(n) if n > 0 then return 1 + deep(n - 1) end return 0 end\n"
    "for round = 1, 400 do\n"
    "  local t = {}\n"
    "  for i = 1, random(40) do t['key' .. random(500)] = ('v'):rep(random(60)) .. i end\n"
    "  for k, v in pairs(t) do if #v > 30 then t[k] = nil end end\n"
    "  local here, there = 's' .. random(60), 's' .. random(60)\n"
    "  kept[here], kept[there] = t, kept[here]\n"
    "  if round % 50 == 0 then deep(random(150)) end\n"
    "  if round % 20 == 0 then pcall(error, { 'no ' .. round }) end\n"
    "  if round % 25 == 0 then\n"
    "    local co = coroutine.wrap(function() for i = 1, 9 do coroutine.yield({ i, t }) end end)\n"
    "    for i = 1, random(8) do kept['s' .. i] = co() end\n"
    "  end\n"
    "  text = text .. string.format('%d,%s', round, tostring(t.key7))\n"
    "  if #text > 3000 then text = text:gsub('%d', ''):sub(1, 100) end\n"
    "  if round % 7 == 0 then kept['s' .. random(60)] = nil end\n"
    "end\n"
    "return #text";

/* One string goes, another comes, in a table that is nearly full. */
static const char replace_keys[] =
    "local t = {}\n"
    "for i = 1, 8150 do t['k' .. i] = i end\n"
    "for i = 1, 30000 do t['k' .. i] = nil t['k' .. i + 8150] = i end\n"
    "return t.k30001";

static const char *const bodies[] = {come_and_go, litter, replace_keys};
enum { BODIES = sizeof bodies / sizeof bodies[0], SEEDS = 8 };

static int64_t seed_of_call;

static int push_seed(lua_State *L, void *context) {
    (void)context;
    lua_pushinteger(L, seed_of_call);
    return 1;
}

/* Loads a body, behind the random numbers. */
static void load(struct script *script, const struct tycho__sandbox_options *options,
                 const char *body) {
    static char text[8192];
    snprintf(text, sizeof text, "%s%s", random_number, body);
    assert_int_equal(load_body(script, options, text), TYCHO__SANDBOX_OK);
}

static enum tycho__sandbox_kind call(struct script *script, int64_t seed) {
    const struct tycho__sandbox_call one = {
        .function = script->run, .push = push_seed, .read = read_results, .context = script};
    seed_of_call = seed;
    enum tycho__sandbox_kind kind = tycho__sandbox_call(script->sandbox, &one);
    if (kind == TYCHO__SANDBOX_FAILED) print_message("# %s\n", script->error->message);
    return kind;
}

static void needs_the_same_memory_in_each_state(void **state) {
    const struct tycho__sandbox_options options = {.budget = INT64_C(1) << 40};
    (void)state;
    for (size_t body = 0; body < BODIES; body++) {
        for (int64_t seed = 1; seed <= (body == BODIES - 1 ? 1 : SEEDS); seed++) {
            size_t held = 0, churn = 0;
            int64_t charged = 0;
            char result[sizeof((struct script *)0)->result] = "";
            for (int i = 0; i < STATES; i++) {
                struct script script;
                load(&script, &options, bodies[body]);
                assert_int_equal(call(&script, seed), TYCHO__SANDBOX_OK);
                const struct tycho__sandbox *sandbox = script.sandbox;
                if (i == 0) {
                    held = sandbox->held;
                    churn = sandbox->churn;
                    charged = tycho__sandbox_charged(sandbox);
                    snprintf(result, sizeof result, "%s", script.result);
                }
                assert_int_equal(sandbox->held, held);
                assert_int_equal(sandbox->churn, churn);
                assert_int_equal(tycho__sandbox_charged(sandbox), charged);
                assert_string_equal(script.result, result);
                drop(&script);
            }
        }
    }
}

static enum tycho__sandbox_kind verdict(const struct tycho__sandbox_options *options,
                                        const char *body) {
    struct script script;
    load(&script, options, body);
    enum tycho__sandbox_kind kind = call(&script, 1);
    drop(&script);
    return kind;
}

/* The least limit under which the call is good in one state is the least one in each. */
static void meets_a_limit_to_the_byte(void **state) {
    (void)state;
    for (size_t body = 0; body < BODIES; body++) {
        for (int is_churn = 0; is_churn <= 1; is_churn++) {
            struct tycho__sandbox_options options = {.budget = INT64_C(1) << 40};
            size_t *limit = is_churn ? &options.churn_max : &options.memory_max;
            size_t low = 60000, high = is_churn ? 1 << 28 : 1 << 24;
            if (!is_churn) options.churn_max = 1 << 28;
            while (high - low > 1) {
                *limit = low + (high - low) / 2;
                bool is_enough = verdict(&options, bodies[body]) == TYCHO__SANDBOX_OK;
                *(is_enough ? &high : &low) = *limit;
            }
            for (int i = 0; i < STATES; i++) {
                *limit = high;
                assert_int_equal(verdict(&options, bodies[body]), TYCHO__SANDBOX_OK);
                *limit = low;
                assert_int_equal(verdict(&options, bodies[body]), TYCHO__SANDBOX_OVER_MEMORY);
            }
        }
    }
}

/* A table has what a list of its keys and values has. */
static const char shadow[] =
    "local kept, n = {}, 0\n"
    "for i = 1, 12 do kept[i] = {} end\n"
    "local function key()\n"
    "  local kind, n = random(6), random(12)\n"
    "  return kind == 1 and n or kind == 2 and 'k' .. n or kind == 3 and n / 2\n"
    "    or kind == 4 and kept[n] or kind == 5 and ('long'):rep(12) .. n or n > 6\n"
    "end\n"
    "for round = 1, 60 do\n"
    "  local t, keys, values = {}, {}, {}\n"
    "  for step = 1, 80 do\n"
    "    local k, v, at = key(), random(1000), nil\n"
    "    if random(3) == 1 then v = nil end\n"
    "    for i = 1, #keys do if keys[i] == k then at = i end end\n"
    "    if not at then at = #keys + 1 keys[at] = k end\n"
    "    values[at] = v or false\n"
    "    t[k] = v\n"
    "    for i = 1, #keys do\n"
    "      if (t[keys[i]] or false) ~= values[i] then return round, step, i end\n"
    "      n = n + 1\n"
    "    end\n"
    "  end\n"
    "end\n"
    "return 'same', n > 50000";

static void a_table_has_what_was_put_into_it(void **state) {
    const struct tycho__sandbox_options options = {.budget = INT64_C(1) << 40};
    (void)state;
    for (int64_t seed = 1; seed <= 40; seed++) {
        struct script script;
        load(&script, &options, shadow);
        assert_int_equal(call(&script, seed), TYCHO__SANDBOX_OK);
        assert_string_equal(script.result, "same, true");
        drop(&script);
    }
}

/* The price of taking a key out and putting another one in does not grow with the table. */
static void changing_keys_costs_little(void **state) {
    const struct tycho__sandbox_options options = {.budget = INT64_C(1) << 40};
    static const char text[] = "local t = {}\n"
                               "for i = 1, seed do t['k' .. i] = i end\n"
                               "for i = 1, 20000 do t['k' .. i] = nil t['k' .. i + seed] = i end\n"
                               "return 1";
    (void)state;
    for (int64_t size = 1; size <= 4096; size *= 2) {
        struct script script;
        load(&script, &options, text);
        assert_int_equal(call(&script, size - (size > 8)), TYCHO__SANDBOX_OK);
        assert_in_range(script.sandbox->churn, 20000, 20000 * 400);
        drop(&script);
    }
}

static void one_that_is_not_exact_has_half_and_no_last_word(void **state) {
    const struct tycho__sandbox_options options = {.memory_max = 4 << 20, .budget = 100000000};
    static const char text[] = "local t = {} for i = 1, seed do t[i] = ('x'):rep(1000) .. i end "
                               "return #t";
    const struct {
        int64_t strings;
        enum tycho__sandbox_kind kinds[2]; /* not exact, exact */
    } cases[] = {{1700, {TYCHO__SANDBOX_OK, TYCHO__SANDBOX_OK}},
                 {2300, {TYCHO__SANDBOX_AGAIN, TYCHO__SANDBOX_OK}},
                 {3600, {TYCHO__SANDBOX_AGAIN, TYCHO__SANDBOX_OK}},
                 {4300, {TYCHO__SANDBOX_AGAIN, TYCHO__SANDBOX_OVER_MEMORY}}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int is_exact = 0; is_exact <= 1; is_exact++) {
            struct script script;
            load(&script, &options, text);
            assert_true(tycho__sandbox_is_exact(script.sandbox));
            tycho__sandbox_set_exact(script.sandbox, is_exact);
            assert_int_equal(call(&script, cases[i].strings), cases[i].kinds[is_exact]);
            bool is_fatal = cases[i].kinds[is_exact] != TYCHO__SANDBOX_OK;
            assert_int_equal(call(&script, 1),
                             is_fatal ? TYCHO__SANDBOX_DISCARDED : TYCHO__SANDBOX_OK);
            drop(&script);
        }
    }
}

static void tells_the_same_fault_of_a_metatable(void **state) {
    static const struct {
        const char *metatable, *fault;
    } cases[] = {
        {"__index = 5, __adD = 1, __tableing = 2, __add = 7, x = 1", "there is no __adD"},
        {"__newindex = 7, __index = 5, __sub = error, __add = 7, __len = 8", "__add is a number"},
        {"__index = next, __newindex = 5, __call = error, __le = '', __lt = 2", "__le is a string"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t charged = 0;
        char result[sizeof((struct script *)0)->result] = "";
        for (int again = 0; again < 20; again++) {
            struct script script;
            char body[300];
            snprintf(body, sizeof body, "local next = {} local P = {%s} "
                     "local _, fault = pcall(setmetatable, {}, P) "
                     "return fault, (pcall(setmetatable, next, {}))", cases[i].metatable);
            assert_int_equal(load_body(&script, NULL, body), TYCHO__SANDBOX_OK);
            assert_int_equal(run(&script), TYCHO__SANDBOX_OK);
            assert_non_null(strstr(script.result, cases[i].fault));
            if (again == 0) charged = tycho__sandbox_charged(script.sandbox);
            if (again == 0) snprintf(result, sizeof result, "%s", script.result);
            assert_int_equal(tycho__sandbox_charged(script.sandbox), charged);
            assert_string_equal(script.result, result);
            drop(&script);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(needs_the_same_memory_in_each_state),
        cmocka_unit_test(meets_a_limit_to_the_byte),
        cmocka_unit_test(a_table_has_what_was_put_into_it),
        cmocka_unit_test(changing_keys_costs_little),
        cmocka_unit_test(one_that_is_not_exact_has_half_and_no_last_word),
        cmocka_unit_test(tells_the_same_fault_of_a_metatable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
