--- Everything at once on one store, with faults, for as long as one likes: `make soak HOURS=n`.
---
---   lua5.4 spec/soak/soak.lua [HOURS=n] [MINUTES=n] [SECONDS=n] [SEED=n]
---
--- Jobs (soak/jobs.lua) write, publish to streams that are renamed, deploy, back-fill, ask read
--- models, hold locks and snapshots, in processes that are killed, suspended and resumed at moments
--- of chance, and whose clock jumps. Residents (soak/resident.lua) follow, read, back up and open
--- anew all the time; what grows in them and in the file is sampled. A few times all workers are
--- killed at once, and then the store must hold what it acknowledged. The end is a ledger
--- (soak/ledger.lua). What is random is made of SEED; the processes take their turns as they like.

local jobs = require "soak.jobs"
local ledger = require "soak.ledger"
local process = require "support.process"
local random = require "support.random"
local scratch = require "support.scratch"
local tycho = require "tycho"

local LAPS, SAMPLES, STRIKERS, TICK = 4, 120, 3, 0.01
local RESIDENTS = { follow = "follower", read = "reader", copy = "keeper of backups" }
local KILLED, DAY = 137, 86400

local Soak = {}
Soak.__index = Soak

local soak = {}

--- Seconds since the machine was started.
local function now()
  local file <close> = assert(io.open("/proc/uptime"))
  return file:read("n")
end

-- ---------------------------------------------------------------- workers

--- Starts a worker whose clock jumps; it is one that a fault may strike.
function Soak:start(kind, script, arguments)
  local worker = { kind = kind, lines = {}, process = self:launch(script, arguments) }
  table.insert(self.workers, worker)
  self.ledger:did("processes started")
  return worker
end

function Soak:launch(script, arguments)
  return process.lua(script, arguments,
    ("exec 2>&1; export SOAK_CLOCK=%s LD_PRELOAD=\"$LD_PRELOAD \"%s"):format(
    process.quote(self.clock), process.quote(self.shim)), self.limit)
end

--- Takes note of the end of a worker: a fault, or its own, which must be a good one.
function Soak:reap(worker)
  worker.status, worker.lines = worker.process:wait()
  for index, each in ipairs(self.workers) do
    if each == worker then table.remove(self.workers, index) end
  end
  if worker.status ~= 0 and not (worker.status == KILLED and worker.is_struck) then
    self.ledger:found(("one of the %s ended with status %d: %s"):format(worker.kind,
      worker.status, table.concat(worker.lines, "\n    ")))
  end
end

function Soak:strike(worker)
  worker.is_struck = true
  worker.process:kill()
  self:reap(worker)
end

--- Ends a worker that is not needed any more, if it has not ended: a kill like any other.
function Soak:stop(worker)
  if not worker or worker.status then return end
  self.ledger:survived("kill -9 of " .. worker.kind)
  self:strike(worker)
end

-- ---------------------------------------------------------------- faults

local faults = {}

--- A worker of a kind of chance, so that rare kinds are struck too.
local function victim_of(self)
  local kinds, by_kind = {}, {}
  for _, worker in ipairs(self.workers) do
    if not by_kind[worker.kind] then
      by_kind[worker.kind] = {}
      table.insert(kinds, worker.kind)
    end
    table.insert(by_kind[worker.kind], worker)
  end
  return self.chance:one(by_kind[self.chance:one(kinds)] or {})
end

function faults.kill(self)
  local victim = victim_of(self)
  if victim then self:stop(victim) end
end

--- Suspends a worker, wherever it is, with whatever it holds. It is resumed by somebody else, as
--- this process may have to wait for it.
function faults.suspend(self)
  local victim = victim_of(self)
  if not victim then return end
  local pid = victim.process.pid
  os.execute(("{ kill -STOP %d; sleep %.3f; kill -CONT %d; } 2>/dev/null &"):format(pid,
    self.chance:between(1, 300) / 1000, pid))
  self.ledger:survived("suspended and resumed")
end

--- Sets the clock of all workers and residents, to what is up to a day off.
function faults.jump(self)
  local scale = self.chance:one { 0.01, 1, 60, DAY }
  local file <close> = assert(io.open(self.clock, "r+b"))
  file:write(string.pack("<i8", math.floor(self.chance:between(-1000, 1000) * 1000 * scale)))
  self.ledger:survived("clock jumps")
end

local WEIGHTS = { kill = 3, suspend = 3, jump = 1 }

--- Strikes all the time; several strike at once.
local function strike_on(self)
  while true do
    self:pause(self.chance:between(0, 200) / 1000)
    faults[self.chance:weighted(WEIGHTS)](self)
  end
end

-- ---------------------------------------------------------------- coroutines

--- Lets the others go on for so many seconds.
function Soak.pause(_, seconds)
  local until_time = now() + seconds
  repeat coroutine.yield() until now() >= until_time
end

--- Starts a coroutine.
function Soak:spawn(fn, ...)
  local arguments = table.pack(...)
  table.insert(self.jobs, coroutine.create(function() fn(table.unpack(arguments)) end))
end

--- Lets each job go on once, and takes note of the workers that ended.
function Soak:turn()
  for index = #self.workers, 1, -1 do
    local worker = self.workers[index]
    if not worker.process:is_running() then self:reap(worker) end
  end
  for index = #self.jobs, 1, -1 do
    local ok, err = coroutine.resume(self.jobs[index])
    if not ok then self.ledger:found(debug.traceback(self.jobs[index], tostring(err))) end
    if coroutine.status(self.jobs[index]) == "dead" then table.remove(self.jobs, index) end
  end
  self.store:wait(math.maxinteger, TICK)
end

-- ---------------------------------------------------------------- the run

function Soak:sample()
  local pids = { driver = self.pid }
  for role, resident in pairs(self.residents) do
    pids[RESIDENTS[role]] = resident.pid
    if not resident:is_running() then
      local status, lines = resident:wait()
      self.ledger:found(("the %s ended with status %d: %s"):format(RESIDENTS[role], status,
        table.concat(lines, "\n    ")))
      self.residents[role] = nil
    end
  end
  collectgarbage()
  self.ledger:sample(now() - self.started, self.store:stats(), pids)
  self.ledger:note("driver: memory of Lua", "memory", collectgarbage("count") * 1024 // 1)
end

--- Kills all workers at once, opens the store anew, and checks it.
function Soak:check()
  local pids = {}
  for index, worker in ipairs(self.workers) do
    pids[index], worker.is_struck = worker.process.pid, true
  end
  if #pids > 0 then
    os.execute("kill -9 " .. table.concat(pids, " ") .. " 2>/dev/null")
    self.ledger:survived("kill -9 of all workers at once")
  end
  while #self.workers > 0 do self:reap(self.workers[#self.workers]) end
  self.store:close()
  self.store = tycho.open(self.path, { mode = "existing", sync = "none" })
  local check = process.lua("spec/soak/checks.lua", { self.path, self.directory }, "exec 2>&1",
    self.limit)
  local status, lines = check:wait()
  local rounds = (table.remove(lines) or ""):match("^rounds (%d+)$")
  if status ~= 0 or not rounds then
    self.ledger:found("the check of the store ended with status " .. status)
  end
  for _, what in ipairs(lines) do self.ledger:found(what) end
  self.ledger.done["rounds of writers there"] = math.tointeger(tonumber(rounds)) or 0
  self.ledger:did("stores checked whole")
end

--- Tells the residents to end, and adds up what they did.
function Soak:dismiss()
  self.store:set_checkpoint("stop", 1)
  for role, resident in pairs(self.residents) do
    local status, lines = resident:wait()
    if status ~= 0 then
      self.ledger:found(("the %s ended with status %d: %s"):format(RESIDENTS[role], status,
        table.concat(lines, "\n    ")))
    end
  end
  for role in pairs(RESIDENTS) do
    local file <close> = io.open(("%s/%s.did"):format(self.directory, role))
    for line in file and file:lines() or function() end do
      local number, what = line:match("^(%d+) (.*)$")
      self.ledger:did(what, math.tointeger(tonumber(number)))
    end
  end
  for name, count in self.store:types() do self.ledger:did("events of type " .. name, count) end
  self.ledger:did("links there at the end", self.store:stats().links)
end

local function begin(options)
  local path, directory = scratch.path()
  local self = setmetatable({
    path = path, directory = directory, clock = directory .. "/clock",
    limit = math.ceil(options.SECONDS) + 600,
    shim = options.BUILD .. "/soak/clock.so", chance = random.new(options.SEED),
    rest = options.SECONDS > 120 and 0.01 or 0.001, ledger = ledger.new(), workers = {}, jobs = {},
    residents = {}, started = now(),
    store = tycho.open(path, { sync = "none" }),
  }, Soak)
  local file <close> = assert(io.open("/proc/self/stat"))
  self.pid = file:read("n")
  local clock <close> = assert(io.open(self.clock, "wb"))
  clock:write(string.pack("<i8", 0))
  clock:close()
  for role in pairs(RESIDENTS) do
    self.residents[role] = self:launch("spec/soak/resident.lua", { path, directory, role, role })
    assert(self.residents[role]:read() == "resident", "a resident did not start")
  end
  for _, job in ipairs(jobs.ALL) do self:spawn(job, self) end
  for _ = 1, STRIKERS do self:spawn(strike_on, self) end
  return self
end

--- Whether it is time to end: on a busy machine, not before each of what must happen did.
local function is_over(self, options)
  local passed = now() - self.started
  if passed < options.SECONDS then return false end
  for _, what in ipairs(passed < (options.SECONDS_MAX or 0) and options.MUST_HAPPEN or {}) do
    if (self.ledger.done[what] or self.ledger.faults[what] or 0) == 0 then return false end
  end
  return true
end

--- Runs a soak: whether nothing was lost, the ledger as text, and the ledger. It goes on until
--- each of MUST_HAPPEN is in the ledger, for SECONDS_MAX at most.
---@param options { SECONDS: number, SEED: integer, BUILD: string, SECONDS_MAX: number?,
---  MUST_HAPPEN: string[]? }
function soak.run(options)
  local self = begin(options)
  local lap, sample = options.SECONDS / LAPS, options.SECONDS / SAMPLES
  local next_lap, next_sample = lap, 0
  while not is_over(self, options) do
    self:turn()
    if now() - self.started >= next_sample then
      self:sample()
      next_sample = math.max(next_sample + sample, now() - self.started)
    end
    if now() - self.started >= next_lap and next_lap < options.SECONDS then
      self:check()
      next_lap = next_lap + lap
    end
  end
  self:check()
  self:dismiss()
  self.store:close()
  self.ledger:judge(options.SECONDS)
  local is_good = #self.ledger.wrong == 0
  local text = self.ledger:describe()
  if is_good then
    scratch.remove(self.directory)
  else
    text = text .. "\nthe store is kept in " .. self.directory
  end
  process.clean()
  return is_good, text, self.ledger
end

local function main(words)
  local options = { SEED = os.time(), BUILD = "build" }
  for _, word in ipairs(words) do
    local name, value = word:match("^([%u_]+)=(.*)$")
    if not name then error(word .. ": expected NAME=value", 0) end
    options[name] = tonumber(value) or value
  end
  options.SECONDS = (options.SECONDS or 0) + 60 * (options.MINUTES or 0)
    + 3600 * (options.HOURS or 0)
  if options.SECONDS <= 0 then options.SECONDS = 60 end
  print(("a soak of %d s, SEED=%d"):format(options.SECONDS, options.SEED))
  local is_good, text = soak.run(options)
  print(text)
  os.exit(is_good, true)
end

if arg and arg[0]:find("soak%.lua$") then main(arg) end

return soak
