--- Rounds of clients (history_client.c) that do random things to one store, in several processes
--- with several threads, some of them killed; what they saw is judged by fault/serial.lua.
---
---   lua5.4 spec/fault/history_rounds.lua [ROUNDS] [SEED]     (make crash ROUNDS=1000)
---
--- Round n of the seed s is round 1 of the seed s + n - 1: what is random in it (numbers, victims,
--- moments) is made of that number; only the processes take their turns as they like. A round that
--- fails keeps its directory, and ends the run.

local lfs = require "lfs"
local process = require "support.process"
local random = require "support.random"
local scratch = require "support.scratch"
local serial = require "fault.serial"
local tycho = require "tycho"

local BUILD = os.getenv("TYCHO_BUILD") or "build"
local LOCKS = { "l1", "l2" }
local ENDLESS = 1000000000

local rounds = {}

--- The clients of a round so far; each gets a name of its own, as its ids are made of that.
local function start(plan, follows)
  plan.started = plan.started + 1
  local words = { BUILD .. "/spec/history_client", plan.path, plan.directory,
    "c" .. plan.started, plan.threads, plan.operations, plan.seed * 1000 + plan.started, plan.sync,
    follows and "follow" or "alone" }
  for index, word in ipairs(words) do words[index] = process.quote(tostring(word)) end
  local client = process.start(table.concat(words, " "))
  assert(client:read() == "working", "a client did not begin")
  client.follows = follows
  return client
end

local function ends(client, expected)
  local status, lines = client:wait()
  assert(status == expected, ("a client ended with %s: %s"):format(status,
    table.concat(lines, "\n")))
end

--- Kills clients at random moments, and starts others in their places, until there were enough.
local function kill_some(plan, chance, clients)
  for kill = 1, plan.kills do
    process.sleep(chance:between(0, 40) / 1000)
    local index = chance:between(1, #clients)
    local victim = clients[index]
    victim:kill()
    ends(victim, 137)
    if plan.kills - kill >= #clients then
      clients[index] = start(plan, victim.follows)
    else
      table.remove(clients, index)
    end
  end
end

local function read_file(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read("a")
end

--- What all clients wrote down, and what the follower was served.
local function collect(directory)
  local history, served = {}, {}
  for entry in lfs.dir(directory) do
    local client = entry:match("^(.*)%.history$")
    if client == "follower" then
      for line in read_file(directory .. "/" .. entry):gmatch("([^\n]*)\n") do
        local event = assert(load("return " .. line))()
        served[#served + 1] = { event[3], event[4], event[5] }
      end
    elseif client then
      local operations = serial.parse(client, read_file(directory .. "/" .. entry))
      table.move(operations, 1, #operations, #history + 1, history)
    end
  end
  return history, served
end

local function final_of(store, base)
  local final = { base = base, sequence = store:stats().sequence, ops = {}, log = {}, streams = {} }
  for id, _, version in store:rows("ops") do final.ops[id] = version end
  for event in store:read():each() do final.log[event.position] = event.id end
  for index = 1, 4 do final.streams[index] = "s" .. index end
  function final.entries(name)
    return store:read():stream(name):raw():map(function(event)
      return ("%s@%d"):format(event.id, event.revision)
    end)
  end
  return final
end

--- The first lock reserves tokens, by a batch: it is taken before the history begins.
local function prepare(path)
  local store <close> = tycho.open(path, { sync = "none" })
  store:lock(LOCKS[1]):release()
  return store:stats().sequence
end

--- What must hold when all have ended, by kill or not: the locks are free, the store is sound, and
--- a follower goes on where the last one was.
local function check(plan, base)
  local store <close> = tycho.open(plan.path, { mode = "existing", sync = "none" })
  for _, name in ipairs(LOCKS) do store:lock(name, { timeout = 5 }):release() end
  local findings = store:verify().findings
  assert(#findings == 0, "the store is damaged: " .. table.concat(findings, "; "))
  local final, history, served = final_of(store, base), collect(plan.directory)
  local last = served[#served] and served[#served][2] or 0
  local follower <close> = store:follow { from_position = last }
  local event = follower:next(0)
  while event do
    served[#served + 1] = { ENDLESS << 32, event.position, event.id }
    event = follower:next(0)
  end
  local counts = serial.check(history, final)
  counts.served = serial.check_follower(served, history, final)
  assert(counts.served == #final.log, "the follower was not served all events")
  if plan.look then plan.look(history, final) end
  return counts
end

--- One round. `options`: processes, threads, operations of each thread (then they are not killed),
--- kills, sync, look = function(history, final), called with what was judged. Gives what
--- serial.check counts.
function rounds.round(seed, options)
  local path, directory = scratch.path()
  local chance = random.new(seed)
  local plan = { path = path, directory = directory, seed = seed, started = 0,
    kills = options.kills or 0, threads = options.threads, sync = options.sync,
    look = options.look,
    operations = options.kills and ENDLESS or options.operations }
  local ok, counts = pcall(function()
    local base, clients = prepare(path), {}
    for index = 1, options.processes do clients[index] = start(plan, index == 1) end
    kill_some(plan, chance, clients)
    for _, client in ipairs(clients) do ends(client, 0) end
    return check(plan, base)
  end)
  process.clean()
  if not ok then error(("SEED=%d, in %s: %s"):format(seed, directory, tostring(counts)), 0) end
  scratch.remove(directory)
  counts.kills = plan.kills
  return counts
end

--- A round with kills, of which the seed says everything.
function rounds.crash(seed)
  local chance = random.new(seed)
  local processes = chance:between(1, 3)
  return rounds.round(seed, { processes = processes, threads = chance:between(1, 3),
    kills = processes + chance:between(0, 4), sync = "full" })
end

local function main(count, first)
  local sums = { rounds = 0 }
  for seed = first, first + count - 1 do
    for name, value in pairs(rounds.crash(seed)) do sums[name] = (sums[name] or 0) + value end
    sums.rounds = sums.rounds + 1
    if sums.rounds % 20 == 0 or sums.rounds == count then
      print(("%d rounds, %d kills: %d operations, %d committed, %d refused, %d reads, "
        .. "%d without an answer; %d events followed; nothing lost"):format(sums.rounds, sums.kills,
        sums.operations, sums.committed, sums.refused, sums.reads, sums.unknown, sums.served))
    end
  end
end

if arg and arg[0] and arg[0]:find("history_rounds%.lua$") then
  io.stdout:setvbuf("line")
  main(math.tointeger(tonumber(arg[1] or 1000)),
    math.tointeger(tonumber(arg[2] or os.time())))
end

return rounds
