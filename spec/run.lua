--- `make check`: builds everything in every way it is tested, runs every suite with a time limit,
--- adds up what they say, and ends with one line, "N passed, N failed".
---
---   lua5.4 spec/run.lua                  all of it
---   lua5.4 spec/run.lua --only PATTERN   the suites whose name has the Lua pattern
---   lua5.4 spec/run.lua --fuzz SECONDS   the fuzz targets only, each for so long
---   lua5.4 spec/run.lua --afl SECONDS    the same targets, by AFL++
---   lua5.4 spec/run.lua --sweep          those in which calls fail, for as long as they take
---
--- A suite is a command. Its verdict is the TAP it prints (cmocka, busted) or its exit code. One
--- that runs no test, ends before its plan, runs out of time or exits badly counts as failed. Two
--- phases: builds, one after the other, as make needs the cores; then suites, as many at a time as
--- there are cores. What they print is kept in build/check/, and shown when they fail.

local DIRECTORY = "build/check"
local FUZZ_SECONDS = 10
local LEAK_FREE = { contract = true, lua = true, property = true }
local LINT = "warnings of clang and luacheck"
local FAILURE_LINES = 60

local SANITIZER_OPTIONS = "ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1"
  .. " UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1"
local TSAN_OPTIONS = "TSAN_OPTIONS=halt_on_error=1"

local function output_of(command)
  local pipe <close> = assert(io.popen(command))
  return (pipe:read("a"):gsub("%s+$", ""))
end

local function lines_of(command)
  local lines = {}
  for line in output_of(command):gmatch("[^\n]+") do lines[#lines + 1] = line end
  return lines
end

local function write_file(path, text)
  local file <close> = assert(io.open(path, "w"))
  file:write(text)
end

local function read_file(path)
  local file <close> = io.open(path, "rb")
  return file and file:read("a") or ""
end

local function base_name(path)
  return (path:match("([^/]+)$"):gsub("%.%w+$", ""))
end

local function is_file(path)
  local file = io.open(path)
  if file then file:close() end
  return file ~= nil
end

-- ------------------------------------------------------------------ what there is to do

local cores = math.tointeger(tonumber(output_of("nproc"))) or 1

--- name, command, how it is judged ("exit" or "tap"), seconds it may take.
local function suite(name, command, kind, seconds)
  return { name = name, command = command, kind = kind, seconds = seconds }
end

local function make(goal)
  return ("make --no-print-directory -j%d %s"):format(cores, goal)
end

local FUZZ_BUILD = "BUILD=build/fuzz CC=clang SANITIZE=fuzzer-no-link,address,undefined"
  .. " CPPFLAGS=-DFUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION"

local AFL_BUILD = "BUILD=build/afl CC=afl-clang-fast SANITIZE=address,undefined WERROR="
  .. " CPPFLAGS=-DFUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION"

local function builds()
  return {
    suite("build with gcc",
      make("all spec-programs power-programs soak-programs build/tycho-bench"), "exit", 300),
    suite(LINT, make("lint"), "exit", 300),
    suite("build with ASan and UBSan", make("asan"), "exit", 400),
    suite("build with TSan", make("tsan"), "exit", 400),
    suite("build with libFuzzer", make(FUZZ_BUILD .. " fuzz-programs"), "exit", 400),
  }
end

local function header_suites()
  local check = "%s -fsyntax-only -Wall -Wextra -Wpedantic -Werror -Iengine -x %s %s"
  local list = {}
  for _, header in ipairs({ "engine/tycho.h", "bindings/rpc/tycho_rpc.h" }) do
    local c99 = check:format("gcc -std=c99", "c", header)
    local cxx = check:format("g++ -std=c++11", "c++", header)
    list[#list + 1] = suite(header .. " as C99", c99, "exit", 60)
    list[#list + 1] = suite(header .. " as C++", cxx, "exit", 60)
  end
  return list
end

local function c_suites()
  local list = {}
  local function add(build, environment, seconds, path)
    local name = ("%s (%s)"):format(path, build)
    local command = ("%s CMOCKA_MESSAGE_OUTPUT=TAP %s/spec/%s")
      :format(environment, build, base_name(path))
    list[#list + 1] = suite(name, command, "tap", seconds)
  end
  for _, path in ipairs(lines_of("ls spec/c/*_test.c spec/fault/*_test.c 2>/dev/null")) do
    add("build", "", 180, path)
    add("build/asan", SANITIZER_OPTIONS, 300, path)
    if path:find("_threads_test.c", 1, true) then
      add("build/tsan", TSAN_OPTIONS, 300, path)
    end
  end
  return list
end

--- Specs right in spec/ are about the tree, not about code that a sanitizer could watch. Of others
--- only examples that are tagged #slow do not run under ASan. Those that start other programs
--- cannot look for leaks, which the shell has too.
local function busted_suites()
  local list = {}
  local busted = "lua5.4 /usr/bin/busted --ignore-lua --output=TAP "
  local sanitized = ("TYCHO_BUILD=$PWD/build/asan %s LD_PRELOAD=%s %s "
    .. "--exclude-tags=slow --cpath='build/asan/lua/?.so' "):format(SANITIZER_OPTIONS,
    output_of("gcc -print-file-name=libasan.so"), busted)
  for _, path in ipairs(lines_of("find spec -name '*_spec.lua' | sort")) do
    list[#list + 1] = suite(path, busted .. path, "tap", 300)
    if path:find("^spec/[^/]+/") then
      local again = suite(path .. " (build/asan)", sanitized .. path, "tap", 400)
      if not LEAK_FREE[path:match("^spec/([^/]+)/")] then
        again.command = again.command:gsub("detect_leaks=1", "detect_leaks=0")
      end
      again.may_be_empty = read_file(path):find("#slow", 1, true) ~= nil
      list[#list + 1] = again
    end
  end
  local threads = "spec/fault/histories_spec.lua" -- its clients are programs
  list[#list + 1] = suite(threads .. " (build/tsan)", TSAN_OPTIONS
    .. " TYCHO_BUILD=$PWD/build/tsan " .. busted .. "--exclude-tags=slow " .. threads, "tap", 400)
  return list
end

local function fuzz_suites(seconds)
  local list = {}
  for _, path in ipairs(lines_of("ls spec/fuzz/*_fuzz.c 2>/dev/null")) do
    local name = base_name(path)
    local target = name:gsub("_fuzz$", "")
    local corpus, found = "spec/fuzz/corpus/" .. target, "build/fuzz/corpus/" .. target
    local dictionary = ("spec/fuzz/%s.dict"):format(target)
    local command = ("%s build/fuzz/fuzz/%s -max_total_time=%d -timeout=10 -rss_limit_mb=1024"
      .. " -verbosity=0 -print_final_stats=1 -artifact_prefix=%s/%s- %s %s %s")
      :format(SANITIZER_OPTIONS, name, seconds, DIRECTORY, target,
        is_file(dictionary) and "-dict=" .. dictionary or "", found, corpus)
    list[#list + 1] = suite(("%s for %d s"):format(path, seconds),
      ("mkdir -p %s %s && %s"):format(found, corpus, command), "exit", seconds + 60)
  end
  return list
end

--- AFL++ brings the options of the sanitizers that it needs, and ends well when it found a crash.
local AFL = "mkdir -p %s && AFL_NO_UI=1 AFL_SKIP_CPUFREQ=1 AFL_NO_AFFINITY=1"
  .. " AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1 AFL_BENCH_UNTIL_CRASH=1"
  .. " afl-fuzz -V %d -m none -t 10000 -i spec/fuzz/corpus/%s -o %s %s -- build/afl/fuzz/%s"
  .. " && grep -E \"^(execs_done|execs_per_sec|corpus_count|saved_)\" %s/default/fuzzer_stats"
  .. " && ! ls %s/default/crashes/id* %s/default/hangs/id* 2>/dev/null"

local function afl_suites(seconds)
  local list = {}
  for _, path in ipairs(lines_of("ls spec/fuzz/*_fuzz.c")) do
    local name = base_name(path)
    local target = name:gsub("_fuzz$", "")
    local found, dictionary = "build/afl/found/" .. target, ("spec/fuzz/%s.dict"):format(target)
    list[#list + 1] = suite(("%s by AFL++ for %d s"):format(path, seconds), AFL:format(found,
      seconds, target, found, is_file(dictionary) and "-x " .. dictionary or "", name, found, found,
      found), "exit", seconds + 120)
  end
  return list
end

--- With TYCHO_SWEEP=full.
local function sweep_suites()
  local list = {}
  for _, name in ipairs { "allocation", "io", "lmdb_calls", "script_allocation",
    "script_lmdb_calls", "sandbox_allocation" } do
    list[#list + 1] = suite(("every call in %s_test"):format(name),
      ("CMOCKA_MESSAGE_OUTPUT=TAP build/spec/%s_test"):format(name), "tap", 24 * 3600)
  end
  list[#list + 1] = suite("every call in failing_calls_spec.lua", "lua5.4 /usr/bin/busted"
    .. " --ignore-lua --output=TAP spec/fault/failing_calls_spec.lua", "tap", 24 * 3600)
  return list
end

-- ------------------------------------------------------------------ running

local SCRIPT = [[
exec </dev/null
start=$(date +%%s)
timeout --kill-after=10 %d sh -c '%s' >%s.out 2>&1
code=$?
echo $code >%s.code
mark=done
[ $code = 0 ] || mark=FAILED
printf '%%-6s %%4d s  %%s\n' $mark $(($(date +%%s) - start)) '%s'
]]

local started = 0

--- Runs suites, `at_once` of them at a time, and puts `output` and `code` into each.
local function run(suites, at_once)
  local paths = {}
  for _, each in ipairs(suites) do
    started = started + 1
    each.path = ("%s/%03d"):format(DIRECTORY, started)
    write_file(each.path .. ".sh", SCRIPT:format(each.seconds, each.command:gsub("'", "'\\''"),
      each.path, each.path, each.name))
    paths[#paths + 1] = each.path .. ".sh"
  end
  if #paths == 0 then return end
  local list = DIRECTORY .. "/list"
  write_file(list, table.concat(paths, "\n") .. "\n")
  os.execute(("xargs -P %d -n 1 sh <%s"):format(at_once, list))
  for _, each in ipairs(suites) do
    each.output = read_file(each.path .. ".out")
    each.code = math.tointeger(tonumber(read_file(each.path .. ".code"))) or 255
  end
end

-- ------------------------------------------------------------------ judging

local function tail(text, count)
  local lines = {}
  for line in text:gmatch("[^\n]*") do lines[#lines + 1] = line end
  return table.concat(lines, "\n", math.max(1, #lines - count))
end

--- Adds up TAP: passed, failed, what was skipped, and the lines that tell of failures.
local function judge_tap(each)
  local passed, failed, planned, skipped, failures = 0, 0, nil, {}, {}
  local telling = false
  for line in each.output:gmatch("[^\n]+") do
    local reason = line:match("^ok %d+.*# SKIP%s*(.*)")
    if reason then
      skipped[#skipped + 1] = reason
    elseif line:find("^ok %d+") then
      passed = passed + 1
    elseif line:find("^not ok %d+") then
      failed = failed + 1
    end
    planned = math.tointeger(tonumber(line:match("^1%.%.(%d+)"))) or planned
    telling = line:find("^not ok") ~= nil or (telling and not line:find("^ok"))
    if telling then failures[#failures + 1] = line end
  end
  local done = passed + failed + #skipped
  local trouble
  if each.code == 124 then
    trouble = ("ran out of its %d seconds"):format(each.seconds)
  elseif done == 0 and not each.may_be_empty then
    trouble = "ran no test"
  elseif planned ~= done then
    trouble = ("planned %s tests, ran %d"):format(planned, done)
  elseif each.code ~= 0 and failed == 0 then
    trouble = ("exited with %d"):format(each.code)
  end
  if trouble then
    failed = failed + 1
    failures[#failures + 1] = trouble .. "; its last lines:\n" .. tail(each.output, FAILURE_LINES)
  end
  return passed, failed, skipped, table.concat(failures, "\n")
end

local function judge_exit(each)
  if each.code == 0 then return 1, 0, {}, "" end
  local why = each.code == 124 and ("ran out of its %d seconds"):format(each.seconds)
    or ("exited with %d"):format(each.code)
  return 0, 1, {}, why .. "; its last lines:\n" .. tail(each.output, FAILURE_LINES)
end

local function report(suites)
  local passed, failed, skipped = 0, 0, {}
  for _, each in ipairs(suites) do
    local judge = each.kind == "tap" and judge_tap or judge_exit
    local good, bad, left_out, failures = judge(each)
    passed, failed = passed + good, failed + bad
    for _, reason in ipairs(left_out) do
      skipped[#skipped + 1] = ("skipped in %s: %s"):format(each.name, reason)
    end
    if bad > 0 then print(("\n==== %s\n%s"):format(each.name, failures)) end
  end
  if #skipped > 0 then
    print("\n" .. table.concat(skipped, "\n") .. ("\n%d skipped"):format(#skipped))
  end
  print(("%d passed, %d failed"):format(passed, failed))
  return failed == 0 and passed > 0
end

-- ------------------------------------------------------------------ the command line

local function append_all(target, list)
  for _, each in ipairs(list) do target[#target + 1] = each end
end

local function selected(suites, pattern)
  local chosen = {}
  for _, each in ipairs(suites) do
    if not pattern or each.name:find(pattern) then chosen[#chosen + 1] = each end
  end
  return chosen
end

local function main(arguments)
  io.stdout:setvbuf("line")
  local option, value = arguments[1], arguments[2]
  os.execute(("rm -rf %s && mkdir -p %s"):format(DIRECTORY, DIRECTORY))
  local build, tests = builds(), {}
  if option == "--fuzz" then
    build = { build[#build] }
    append_all(tests, fuzz_suites(assert(math.tointeger(tonumber(value)), "--fuzz SECONDS")))
  elseif option == "--afl" then
    build = { suite("build with AFL++", make(AFL_BUILD .. " fuzz-programs"), "exit", 600) }
    append_all(tests, afl_suites(assert(math.tointeger(tonumber(value)), "--afl SECONDS")))
  elseif option == "--sweep" then
    build = {}
    append_all(tests, sweep_suites())
  else
    append_all(tests, busted_suites())
    append_all(tests, c_suites())
    append_all(tests, header_suites())
    append_all(tests, fuzz_suites(FUZZ_SECONDS))
  end
  if option == "--only" then
    build, tests = selected(build, value), selected(tests, value)
  end
  run(build, 1)
  for _, each in ipairs(build) do
    if each.code ~= 0 and each.name ~= LINT then
      print("\nnot built: no suite was run")
      return report(build)
    end
  end
  run(tests, cores)
  append_all(build, tests)
  return report(build)
end

os.exit(main(arg), true)
