--- Records a workload and looks at the disks that power cuts may leave of it.
---
---   lua5.4 spec/power/power_loss.lua [NAME=value ...]      (make power-loss NAME=value ...)
---
---   BATCHES=200    of each process, of all kinds (workload.lua)
---   SEED=n         for the workload and for what is chosen by chance; default: the time
---   SUBSETS=8      random choices of the pending sectors for each window between two flushes
---   SYNC=full      or batched, or none
---   PROCESSES=1    that write at the same time
---   BUILD=build    where the library is that is recorded
---   REPLAY=build   and the one that looks; default: BUILD
---   JOBS=2         processes that look; default: as many as there are processors
---   POINT=w.i      only the image i of the window w of the recording that was kept of the same
---                  SEED, SYNC, PROCESSES and BATCHES, as a failure says; its store is kept
---   IGNORE_FLUSH=n the n-th flush of the data file is passed over: something must be lost then
---
--- A recording in which something is found is kept in BUILD/power/; so is one of a POINT.

local process = require "support.process"
local scratch = require "support.scratch"
local tree = require "support.tree"

local SECONDS = 3600

local power_loss = {}

local DEFAULTS = { BATCHES = 200, SUBSETS = 8, SYNC = "full", PROCESSES = 1, BUILD = "build" }

--- The libraries to be preloaded: a sanitizer that is preloaded here stays in front.
local function preloaded(build)
  local others = os.getenv("LD_PRELOAD")
  return (others and others .. ":" or "") .. tree.root() .. "/" .. build .. "/power/recorder.so"
end

--- Runs the workload in `directory`: its recording is `directory`/log.
local function record(directory, options)
  local path = directory .. "/store"
  tree.write_file(directory .. "/log", "")
  local commands = {}
  for number = 1, options.PROCESSES do
    local words = { "env", "POWER_STORE=" .. path, "POWER_LOG=" .. directory .. "/log",
      "LD_PRELOAD=" .. preloaded(options.BUILD), "LUA_PATH=" .. package.path,
      ("LUA_CPATH=%s/lua/?.so;%s"):format(options.BUILD, package.cpath),
      "lua5.4", "spec/power/workload.lua", path, options.BATCHES, options.SEED + number,
      options.SYNC, "w" .. number }
    for index, word in ipairs(words) do words[index] = process.quote(tostring(word)) end
    commands[number] = table.concat(words, " ")
  end
  local waits = {}
  for number in ipairs(commands) do waits[number] = ("wait $p%d || exit 1"):format(number) end
  for number, command in ipairs(commands) do
    commands[number] = ("%s & p%d=$!"):format(command, number)
  end
  tree.must(table.concat(commands, "\n") .. "\n" .. table.concat(waits, "\n"))
end

--- Looks at the disks; gives the exit status and what was said.
local function replay(directory, work, options)
  local words = { "env", "-u", "LD_PRELOAD", "timeout", SECONDS,
    (options.REPLAY or options.BUILD) .. "/power/replay", directory .. "/log", work,
    "DATA=" .. directory .. "/store/data.mdb" }
  for _, name in ipairs({ "SYNC", "SEED", "SUBSETS", "JOBS", "POINT", "IGNORE_FLUSH" }) do
    if options[name] then words[#words + 1] = name .. "=" .. options[name] end
  end
  for index, word in ipairs(words) do words[index] = process.quote(tostring(word)) end
  return tree.run(table.concat(words, " "))
end

local function place_of(options)
  return ("%s/power/recording-%s-%s-%s-%s"):format(tree.root() .. "/" .. options.BUILD,
    options.SEED, options.SYNC, options.PROCESSES, options.BATCHES)
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

--- Records and looks: whether all was good, what was said, and its figures.
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
  local is_good, said = replay(place, work .. "/disks", options)
  if options.POINT then
    local kept = place .. "/point-" .. options.POINT
    tree.must(("rm -rf %s && cp -r %s/disks/job*/at/store %s"):format(tree.quoted(kept),
      tree.quoted(work), tree.quoted(kept)))
    said = said .. "the disk, before anybody looked: " .. kept .. "\n"
  end
  scratch.remove(work)
  if is_good and not options.POINT then tree.must("rm -rf " .. tree.quoted(place)) end
  return is_good, said, figures_of(said)
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
    print(("again: make power-loss POINT=... SEED=%s BATCHES=%s SYNC=%s PROCESSES=%s SUBSETS=%s")
      :format(options.SEED, options.BATCHES, options.SYNC, options.PROCESSES, options.SUBSETS))
  end
  os.exit(is_good, true)
end

if arg and arg[0]:find("power_loss%.lua$") then main(arg) end

return power_loss
