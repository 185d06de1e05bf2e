--- Records a workload and looks at the disks that power cuts may leave of it.
---
---   lua5.4 spec/power/power_loss.lua [NAME=value ...]      (make power-loss NAME=value ...)
---
---   BATCHES=200    of each process, of all kinds (workload.lua)
---   SEED=n         for the workload and for what is chosen by chance; default: the time
---   SUBSETS=8      random choices of the pending sectors for each window between two flushes
---   SYNC=full      or batched, or none
---   PROCESSES=1    that write at the same time
---   WORKLOAD=workload  or backup, which is of its own (AGAIN=0)
---   BUILD=build    where the library is that is recorded
---   REPLAY=build   and the one that looks; default: BUILD
---   JOBS=2         processes that look; default: as many as there are processors
---   POINT=w.i      only the image i of the window w of the recording that was kept of the same
---                  SEED, SYNC, PROCESSES, BATCHES, KILL, as a failure says; its store is kept
---   AGAIN=2        so many of the disks are written to, and the power is cut again
---   KILL=n         a process comes first that is killed behind the n-th thing that it asks for
---   KEEPER=1       another process has the store open when that one is killed
---   IGNORE_FLUSH=n the n-th flush of the data file is passed over: something must be lost then
---
--- A recording in which something is found is kept in BUILD/power/; so is one of a POINT.

local process = require "support.process"
local random = require "support.random"
local scratch = require "support.scratch"
local tree = require "support.tree"

local SECONDS, AGAIN_BATCHES = 3600, 5

local power_loss = {}

local DEFAULTS = { BATCHES = 200, SUBSETS = 8, SYNC = "full", PROCESSES = 1, BUILD = "build",
  AGAIN = 2, WORKLOAD = "workload" }

--- The libraries to be preloaded: a sanitizer that is preloaded here stays in front.
local function preloaded(build)
  local others = os.getenv("LD_PRELOAD")
  return (others and others .. ":" or "") .. tree.root() .. "/" .. build .. "/power/recorder.so"
end

local function command_of(words)
  for index, word in ipairs(words) do words[index] = process.quote(tostring(word)) end
  return table.concat(words, " ")
end

--- The command that runs a workload on `directory`/store and records it in `directory`/log.
local function workload(directory, name, batches, options, kill)
  local path = directory .. "/store"
  return command_of({ "env", "POWER_STORE=" .. path, "POWER_LOG=" .. directory .. "/log",
    "POWER_KILL=" .. (kill or 0), "LD_PRELOAD=" .. preloaded(options.BUILD),
    "LUA_PATH=" .. package.path, ("LUA_CPATH=%s/lua/?.so;%s"):format(options.BUILD, package.cpath),
    "timeout", SECONDS, "lua5.4", "spec/power/" .. options.WORKLOAD .. ".lua", path, batches,
    options.SEED + tonumber(name:match("%d+$")), options.SYNC, name })
end

--- Runs the workloads: one that is killed, when that is asked for, then the others at once. A
--- keeper has the store open all the while, and looks when somebody was killed.
local function record(directory, options)
  tree.write_file(directory .. "/log", "")
  local lines, file = {}, tree.quoted(directory .. "/go")
  if options.KEEPER == 1 then
    lines = { ("%s %s & keeper=$!"):format(workload(directory, "keeper9", 2, options), file),
      ("while ! test -e %s.open && kill -0 $keeper; do sleep 0.02; done"):format(file) }
  end
  if options.KILL then
    local command = workload(directory, "w0", options.BATCHES, options, options.KILL)
    lines[#lines + 1] = ("( %s ) 2>/dev/null; test $? = 137 || status=1; >%s"):format(command, file)
  end
  if options.KEEPER == 1 then lines[#lines + 1] = "wait $keeper || exit 1" end
  lines[#lines + 1] = "test -z \"$status\" || exit 1"
  for number = 1, options.PROCESSES do
    lines[#lines + 1] = ("%s & p%d=$!"):format(
      workload(directory, "w" .. number, options.BATCHES, options), number)
  end
  for number = 1, options.PROCESSES do
    lines[#lines + 1] = ("wait $p%d || exit 1"):format(number)
  end
  tree.must(table.concat(lines, "\n"))
end

--- Looks at the disks; gives the exit status and what was said.
local function replay(directory, work, options, more)
  local words = { "env", "-u", "LD_PRELOAD", "timeout", SECONDS,
    (options.REPLAY or options.BUILD) .. "/power/replay", directory .. "/log", work }
  for _, name in ipairs({ "SYNC", "SEED", "SUBSETS", "JOBS", "POINT", "IGNORE_FLUSH" }) do
    if options[name] then words[#words + 1] = name .. "=" .. options[name] end
  end
  return tree.run(command_of(table.move(more, 1, #more, #words + 1, words)))
end

local function place_of(options)
  return ("%s/%s/power/recording-%s-%s-%s-%s-%s"):format(tree.root(), options.BUILD, options.SEED,
    options.SYNC, options.PROCESSES, options.BATCHES, options.KILL or 0)
end

--- The numbers of the last line.
local function figures_of(said)
  local figures = {}
  local line = said:match("([^\n]*)\n?$")
  for name, number in line:gmatch("(%a+) (%d+)") do figures[name] = tonumber(number) end
  for number, name in line:gmatch("(%d+) (%a+)") do
    figures[name] = figures[name] or tonumber(number)
  end
  return figures
end

--- Makes the disk of a point in `place`; false when there is no such point.
local function build_point(place, point, work, options)
  local disks, kept = work .. "/point", place .. "/point-" .. point
  local given = setmetatable({ POINT = point, JOBS = 1 }, { __index = options })
  local is_there = replay(place, disks, given, { "BUILD_ONLY=1" })
  if is_there then
    tree.must(("rm -rf %s && cp -r %s/job0/at %s"):format(tree.quoted(kept), tree.quoted(disks),
      tree.quoted(kept)))
  end
  tree.must("rm -rf " .. tree.quoted(disks))
  return is_there and kept
end

--- A second power cut: on a disk that the first one left somebody goes on to write, and all disks
--- are looked at that a power cut then may leave. False when there is no such disk.
local function cut_again(place, point, work, options)
  local kept = build_point(place, point, work, options)
  if not kept then return false end
  if not tree.run("test -f " .. tree.quoted(kept .. "/store/data.mdb")) then return false end
  local base = kept .. "/base"
  tree.must(("cp %s/store/data.mdb %s"):format(tree.quoted(kept), tree.quoted(base)))
  tree.write_file(kept .. "/log", "")
  tree.must(workload(kept, "again0", AGAIN_BATCHES, options))
  local is_good, said = replay(kept, work .. "/again", options,
    { "BASE=" .. base, "DATA=" .. kept .. "/store/data.mdb" })
  tree.must("rm -rf " .. tree.quoted(work .. "/again"))
  if is_good then tree.must("rm -rf " .. tree.quoted(kept)) end
  return true, is_good, ("second cut behind POINT=%s: %s"):format(point, said)
end

--- Looks again, behind AGAIN points that are chosen by chance.
local function cut_some_again(place, work, options, figures)
  local chosen, all_good, all_said = random.new(options.SEED), true, ""
  local left = options.AGAIN
  for _ = 1, 20 * left do
    if left == 0 then break end
    local point = ("%d.%d"):format(chosen:between(8, math.max(8, figures.windows - 1)),
      chosen:between(0, 12))
    local is_there, is_good, said = cut_again(place, point, work, options)
    if is_there then
      left, all_good, all_said = left - 1, all_good and is_good, all_said .. said
      local more = figures_of(said)
      figures.again, figures.images_again = (figures.again or 0) + 1,
        (figures.images_again or 0) + (more.images or 0)
    end
  end
  assert(left == 0, "there are too few points for AGAIN")
  return all_good, all_said
end

--- Records and looks: whether all was good, what was said, and its figures. With `is_forgotten` the
--- recording is not kept, whatever is found.
function power_loss.run(given)
  local options = setmetatable(given, { __index = DEFAULTS })
  options.SEED = options.SEED or os.time()
  options.JOBS = options.JOBS or tonumber((tree.must("nproc")))
  local place = place_of(options)
  local memory = tree.run("test -d /dev/shm -a -w /dev/shm") and "/dev/shm" or "/tmp"
  local work = tree.must("mktemp -d " .. memory .. "/tycho-power-XXXXXX"):gsub("\n", "")
  if not options.POINT then
    tree.must("rm -rf " .. tree.quoted(place) .. " && mkdir -p " .. tree.quoted(place))
    record(place, options)
  end
  local is_good, said = replay(place, work .. "/disks", options,
    { "DATA=" .. place .. "/store/data.mdb" })
  local figures = figures_of(said)
  if options.POINT then
    said = ("%sthe disk, before anybody looked: %s\n"):format(said,
      build_point(place, options.POINT, work, options))
  elseif is_good and options.AGAIN > 0 then
    local more
    is_good, more = cut_some_again(place, work, options, figures)
    said = said .. more
  end
  scratch.remove(work)
  local is_kept = options.POINT or not (is_good or given.is_forgotten)
  if not is_kept then tree.must("rm -rf " .. tree.quoted(place)) end
  return is_good, said, figures
end

local function main(words)
  local options = {}
  for _, word in ipairs(words) do
    local name, value = word:match("^([%u_]+)=(.*)$")
    if not name then error(("%s: expected NAME=value"):format(word), 0) end
    options[name] = tonumber(value) and name ~= "POINT" and math.tointeger(tonumber(value)) or value
  end
  local is_good, said = power_loss.run(options)
  io.write(said)
  if not is_good then
    local again = { "again: make power-loss POINT=..." }
    for _, name in ipairs({ "SEED", "BATCHES", "SYNC", "PROCESSES", "BUILD", "SUBSETS", "KILL",
      "KEEPER", "WORKLOAD", "IGNORE_FLUSH" }) do
      if options[name] then again[#again + 1] = name .. "=" .. options[name] end
    end
    print(table.concat(again, " "))
  end
  os.exit(is_good, true)
end

if arg and arg[0]:find("power_loss%.lua$") then main(arg) end

return power_loss
