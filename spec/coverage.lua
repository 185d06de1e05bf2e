--- Branch coverage of engine/ and bindings/lua/: `make coverage`.
---
---   lua5.4 spec/coverage.lua BUILD [--missing] [--only PATTERN]
---
--- Runs the C tests and the specs against BUILD, which was built with --coverage, asks gcov, and
--- prints a line for each file and one for all. --missing prints the branches that were not taken;
--- --only runs the suites whose path has the Lua pattern. `rm -r BUILD` forgets what ran before.
---
--- C tests that sweep calls that fail let every one fail (TYCHO_SWEEP=full), unless that takes
--- longer than anybody waits.
---
--- What cannot be taken is not counted: the branches of assert(), which is always compiled in and
--- never fails, the two behind luaL_argerror() in luaL_argcheck() and luaL_argexpected(), which
--- raises, and those that spec/unreachable.lua names with a reason.

local tycho = require "tycho"
local unreachable = require "unreachable"

local SECONDS = 900
local COVERED = { "^engine/", "^bindings/lua/" }
local SAMPLED = { lmdb_calls_test = true, damaged_calls_test = true } -- all takes half an hour
local PROGRAMS = "ls spec/c/*_test.c spec/fault/*_test.c"
local SPECS = "ls spec/contract/*_spec.lua spec/lua/*_spec.lua spec/rpc/*_spec.lua "
  .. "spec/command/*_spec.lua spec/fault/*_spec.lua spec/property/*_spec.lua"

local coverage = {}

local function lines_of(command)
  local pipe <close> = assert(io.popen(command))
  local lines = {}
  for line in pipe:lines() do lines[#lines + 1] = line end
  return lines
end

-- ------------------------------------------------------------------ running

local function commands(build, pattern)
  local list = {}
  local function add(path, command)
    if path:find(pattern) then list[#list + 1] = { path = path, command = command } end
  end
  for _, path in ipairs(lines_of(PROGRAMS)) do
    local name = path:match("([^/]+)%.c$")
    add(path, ("TYCHO_SWEEP=%s %s/spec/%s"):format(SAMPLED[name] and "" or "full", build, name))
  end
  for _, path in ipairs(lines_of(SPECS)) do
    add(path, ("TYCHO_BUILD=$PWD/%s lua5.4 /usr/bin/busted --ignore-lua --output=TAP "
      .. "--cpath='%s/lua/?.so' %s"):format(build, build, path))
  end
  return list
end

--- What a test program or busted says of what failed.
local function print_failures(log)
  for line in io.lines(log) do
    if line:find("^not ok") or line:find("^# ") or line:find("ERROR") or line:find("FAILED") then
      io.stderr:write("\n", line)
    end
  end
end

--- Runs all; the paths of those that failed. What counts may be written by anybody: children of
--- tests become somebody else.
local function run(build, list)
  local failed = {}
  for _, each in ipairs(list) do
    local log = os.tmpname()
    os.execute(("chmod -R a+rwX %s/obj"):format(build))
    local is_good = os.execute(("timeout -k 10 %d sh -c '%s' >%s 2>&1 </dev/null"):format(SECONDS,
      each.command:gsub("'", "'\\''"), log))
    if not is_good then
      failed[#failed + 1] = each.path
      print_failures(log)
    end
    io.stderr:write(is_good and "." or "F")
    os.remove(log)
  end
  io.stderr:write("\n")
  return failed
end

-- ------------------------------------------------------------------ what gcov says

local function source_lines(path)
  local lines = {}
  for line in io.lines(path) do lines[#lines + 1] = line end
  return lines
end

--- Whether a line is one of an assertion, which may go over several.
local function is_assertion(lines, number)
  for index = number, math.max(1, number - 2), -1 do
    local line = lines[index] or ""
    if line:find("^%s*assert%(") then return index == number or not line:find(";%s*$") end
    if index < number and line:find("[;{}]%s*$") then return false end
  end
  return false
end

--- Adds what one object says: files[path][line] = { taken of each branch }.
function coverage.add(files, object)
  for _, file in ipairs(object.files) do
    local path = file.file:gsub("^%./", "")
    local is_wanted = false
    for _, pattern in ipairs(COVERED) do is_wanted = is_wanted or path:find(pattern) ~= nil end
    if is_wanted then
      files[path] = files[path] or {}
      for _, line in ipairs(file.lines) do
        local branches = files[path][line.line_number] or {}
        for index, branch in ipairs(line.branches) do
          branches[index] = (branches[index] or 0) + branch.count
        end
        files[path][line.line_number] = branches
      end
    end
  end
end

local function trimmed(line)
  return (line:gsub("^%s+", ""))
end

--- Entries of spec/unreachable.lua, of one file, that are no line of it.
function coverage.unknown(entries, lines)
  local is_there, unknown = {}, {}
  for _, line in ipairs(lines) do is_there[trimmed(line)] = true end
  for _, entry in ipairs(entries) do
    if not is_there[entry[1]] then unknown[#unknown + 1] = entry[1] end
  end
  return unknown
end

--- Sums of one file: branches that count, how many were taken, how many are left out, lines
--- "NUMBER: TAKEN of BRANCHES" that were not taken whole, and those that were although an entry (of
--- spec/unreachable.lua) says that they cannot.
function coverage.sum(branches_of, lines, entries)
  local sum = { branches = 0, taken = 0, excluded = 0, missing = {}, wrong = {} }
  local reasons = {}
  for _, entry in ipairs(entries or {}) do reasons[entry[1]] = entry[2] end
  local numbers = {}
  for number in pairs(branches_of) do numbers[#numbers + 1] = number end
  table.sort(numbers)
  for _, number in ipairs(numbers) do
    local branches, taken = branches_of[number], 0
    for _, count in ipairs(branches) do taken = taken + (count > 0 and 1 or 0) end
    local line = trimmed(lines[number] or "")
    local told = ("%d: %d of %d: %s"):format(number, taken, #branches, line)
    if is_assertion(lines, number) then
      sum.excluded = sum.excluded + #branches
    elseif line:find("^luaL_argcheck%(") or line:find("^luaL_argexpected%(") then
      local behind = math.min(2, #branches - taken)
      sum.branches, sum.taken = sum.branches + #branches - behind, sum.taken + taken
      sum.excluded = sum.excluded + behind
      if taken + behind < #branches then sum.missing[#sum.missing + 1] = told end
    elseif reasons[line] then
      sum.branches, sum.taken = sum.branches + taken, sum.taken + taken
      sum.excluded = sum.excluded + #branches - taken
      if #branches > 0 and taken == #branches then sum.wrong[#sum.wrong + 1] = told end
    else
      sum.branches, sum.taken = sum.branches + #branches, sum.taken + taken
      if taken < #branches then sum.missing[#sum.missing + 1] = told end
    end
  end
  return sum
end

local function gcov(build)
  local files = {}
  for _, path in ipairs(lines_of(("find %s/obj/engine %s/obj/bindings/lua -name '*.gcda'"):format(
    build, build))) do
    for _, line in ipairs(lines_of(("gcov --json-format --stdout -b %s 2>/dev/null"):format(path)))
    do
      if line:find("^{") then coverage.add(files, tycho.json.decode(line)) end
    end
  end
  return files
end

-- ------------------------------------------------------------------ the table

local function percent(sum)
  return sum.branches > 0 and ("%5.1f"):format(100 * sum.taken / sum.branches) or "    -"
end

--- The table as text.
function coverage.describe(files, is_missing_wanted)
  local paths, lines = {}, {}
  local total = { branches = 0, taken = 0, excluded = 0, wrong = 0 }
  for path in pairs(files) do paths[#paths + 1] = path end
  table.sort(paths)
  local function say(...) lines[#lines + 1] = string.format(...) end
  say("%-40s %9s %7s %9s %6s", "branches of", "reachable", "taken", "left out", "%")
  for _, path in ipairs(paths) do
    local sum = coverage.sum(files[path], source_lines(path), unreachable[path])
    say("%-40s %9d %7d %9d %6s", path, sum.branches, sum.taken, sum.excluded, percent(sum))
    if is_missing_wanted then
      for _, missing in ipairs(sum.missing) do say("  %s:%s", path, missing) end
    end
    for _, wrong in ipairs(sum.wrong) do say("  taken after all: %s:%s", path, wrong) end
    total.wrong = total.wrong + #sum.wrong
    for _, name in ipairs { "branches", "taken", "excluded" } do
      total[name] = total[name] + sum[name]
    end
  end
  say("%-40s %9d %7d %9d %6s", "all", total.branches, total.taken, total.excluded, percent(total))
  return table.concat(lines, "\n"), total
end

local function main(arguments)
  local build, pattern, is_missing_wanted = arguments[1], "", false
  for index = 2, #arguments do
    if arguments[index] == "--missing" then is_missing_wanted = true end
    if arguments[index - 1] == "--only" then pattern = arguments[index] end
  end
  local failed = run(build, commands(build, pattern))
  local text, total = coverage.describe(gcov(build), is_missing_wanted)
  print(text)
  for _, path in ipairs(failed) do print("failed: " .. path) end
  os.exit(#failed == 0 and total.wrong == 0, true)
end

if arg and arg[0]:find("coverage%.lua$") then main(arg) end

return coverage
