--- The jobs of a soak: each is a function of the soak, run as a coroutine that goes on where
--- soak:pause() returns. A job starts workers, which may be killed or suspended at any moment, and
--- starts again those that were; it raises when something is not as it must be.

local backfilling = require "support.backfilling"
local checks = require "soak.checks"
local lfs = require "lfs"

local jobs = {}

local LEVELS = { "none", "none", "batched", "full" }
local KEYS, ORDERS_MAX, VERSIONS_MAX = checks.KEYS, 20000, 200

--- Keeps `count` workers going for ever. `arguments(index)` is asked each time that one is started.
local function keep(soak, kind, script, count, arguments)
  local workers = {}
  while true do
    for index = 1, count do
      if not workers[index] or workers[index].status then
        workers[index] = soak:start(kind, script, arguments(index))
      end
    end
    soak:pause(0.05)
  end
end

function jobs.write(soak)
  keep(soak, "writers", "spec/fault/writer.lua", #checks.WRITERS, function(index)
    return { soak.path, soak.directory, checks.WRITERS[index], math.maxinteger // 2,
      soak.chance:one(LEVELS), soak.rest * 4 }
  end)
end

function jobs.hold_snapshots(soak)
  keep(soak, "readers with snapshots", "spec/fault/reader.lua", 1, function()
    return { soak.path, 3 }
  end)
end

-- ---------------------------------------------------------------- renaming

--- Publishers to one stream, each with a name of its own, that are started again.
local function publishers(soak, prefix, count, stream, directory)
  local self = { names = {}, workers = {} }
  function self.keep()
    for index = 1, count do
      if not self.workers[index] or self.workers[index].status then
        local name = ("%s%d"):format(prefix, #self.names + 1)
        table.insert(self.names, name)
        self.workers[index] = soak:start("publishers", "spec/fault/publisher.lua",
          { soak.path, directory, name, stream, soak.rest * 4 })
      end
    end
  end
  function self.stop()
    for _, worker in ipairs(self.workers) do soak:stop(worker) end
  end
  return self
end

--- Runs a worker to its end while there are publishers.
local function run_under(soak, crowd, kind, script, arguments)
  local worker
  repeat
    crowd.keep()
    if not worker or worker.status then worker = soak:start(kind, script, arguments) end
    soak:pause(0.02)
  until worker.status == 0
  return worker.lines[#worker.lines]
end

local function wait_under(soak, crowd, seconds)
  for _ = 1, math.ceil(seconds / 0.05) do
    crowd.keep()
    soak:pause(0.05)
  end
end

--- One stream after the other is renamed, and some are renamed back, under publishers.
function jobs.rename(soak)
  local number = 0
  while true do
    number = number + 1
    local source, target = "source-" .. number, "target-" .. number
    local crowd = publishers(soak, ("n%dp"):format(number), 2, source, soak.directory)
    repeat wait_under(soak, crowd, 0.5) until soak.store:stream_version(source) >= 0
    local arguments = { soak.path, source, target, soak.chance:between(5, 400) }
    local last = run_under(soak, crowd, "renamers", "spec/fault/renamer.lua", arguments)
    assert(last == "switched", last)
    soak.ledger:did("streams renamed")
    wait_under(soak, crowd, 0.2)
    if number % 3 == 0 then
      arguments[#arguments + 1] = "undo"
      last = run_under(soak, crowd, "renamers", "spec/fault/renamer.lua", arguments)
      assert(last == "switched", last)
      soak.ledger:did("streams renamed back")
      target = source
    end
    crowd.stop()
    local there = checks.published(soak.store, soak.directory, target, crowd.names)
    soak.ledger:did("events of renamed streams checked", there)
    soak:pause(soak.rest * 20)
  end
end

--- The pattern with a lock and a pointer in a file, once.
function jobs.switch(soak)
  local directory = soak.directory .. "/switch"
  assert(lfs.mkdir(directory))
  local crowd = publishers(soak, "x", 2, "switcher", directory)
  repeat wait_under(soak, crowd, 0.5) until soak.store:stream_version("source") >= 0
  local last = run_under(soak, crowd, "switchers", "spec/fault/switcher.lua",
    { soak.path, directory })
  assert(last == "switched", last)
  crowd.stop()
  checks.published(soak.store, directory, "target", crowd.names)
  soak.ledger:did("streams switched with a pointer")
end

-- ---------------------------------------------------------------- deploying

--- A linker is back-filled, each time in another version, while its events are published.
function jobs.backfill(soak)
  local workers, started = {}, 0
  local function publish()
    local orders = soak.store:read():of_type(table.unpack(backfilling.TYPES)):count()
    for index = 1, 2 do
      if orders >= ORDERS_MAX then
        soak:stop(workers[index])
      elseif not workers[index] or workers[index].status then
        started = started + 1
        workers[index] = soak:start("publishers of orders", "spec/fault/backfill_publisher.lua",
          { soak.path, "b" .. started, 5, soak.rest * 20 })
      end
    end
  end
  local crowd = { keep = publish }
  for version = 1, math.maxinteger do
    wait_under(soak, crowd, 0.5 + soak.rest * 20)
    local source = version % 2 == 1 and backfilling.VERSION_1 or backfilling.VERSION_2
    source = source:gsub("version = %d", "version = " .. version)
    local path = soak.directory .. "/" .. checks.LINKER
    local file <close> = assert(io.open(path, "w"))
    file:write(source)
    file:close()
    local last = run_under(soak, crowd, "back-fillers", "spec/fault/backfiller.lua",
      { soak.path, path, soak.chance:between(20, 400) })
    assert(last == "done", last)
    soak.ledger:did("linkers back-filled")
  end
end

--- Event types and linkers are deployed by two at once, under those who publish.
function jobs.deploy(soak)
  while true do
    local workers = {}
    for index = 1, 4 do
      local is_low = checks.version(soak.store) < VERSIONS_MAX
      local role = index <= 2 and is_low and "deploy" or "publish"
      workers[index] = soak:start("deployers", "spec/fault/deployer.lua",
        { soak.path, role, role == "deploy" and 4 or 100 })
    end
    for _, worker in ipairs(workers) do
      while not worker.status do soak:pause(0.02) end
    end
    soak:pause(0.2 + soak.rest * 100)
  end
end

local MODEL = [[return read_model { name = "Count", version = %d, types = { "N" },
  keys = function(event) return event.data.key end,
  history = function(key) return { { tags = "of:" .. key } } end,
  init = function() return { count = 0 } end,
  on = { N = function(state) state.count = state.count + 1 end } }]]

--- A read model is asked, published to, deployed anew, forgotten and maintained.
function jobs.model(soak)
  local store, version = soak.store, 1
  store:deploy { sources = MODEL:format(version) }
  soak:spawn(function()
    keep(soak, "askers of models", "spec/fault/model_worker.lua", 2, function()
      return { soak.path, "ask", KEYS }
    end)
  end)
  soak:spawn(function()
    keep(soak, "publishers to models", "spec/fault/model_worker.lua", 1, function()
      return { soak.path, "publish", KEYS, soak.rest * 4 }
    end)
  end)
  while true do
    soak:pause(0.5 + soak.rest * 100)
    local model <close> = soak.store:model("Count")
    local what = soak.chance:between(1, 3)
    if what == 1 and version < VERSIONS_MAX then
      version = version + 1
      soak.store:deploy { sources = MODEL:format(version) }
      soak.ledger:did("models deployed anew")
    elseif what == 2 then
      model:forget(soak.chance:between(1, KEYS))
      soak.ledger:did("instances forgotten")
    else
      model:maintain()
      soak.ledger:did("models maintained")
    end
  end
end

-- ---------------------------------------------------------------- locks

--- Holders of one lock are killed one after the other; each grant has a higher token.
function jobs.hold_lock(soak)
  local workers, token = {}, 0
  while true do
    local pids = {}
    for index = 1, 3 do
      if not workers[index] or workers[index].status then
        workers[index] = soak:start("lock holders", "spec/fault/lock_holder.lua",
          { soak.path, "soak" })
      end
      pids[workers[index].process.pid] = workers[index]
    end
    soak:pause(0.1)
    for _, lock in ipairs(soak.store:locks()) do
      if lock.name == "soak" and lock.token ~= token then
        assert(lock.token > token, "a token came twice")
        token = lock.token
        soak.ledger:did("locks passed on by a death")
        if pids[lock.pid] then soak:stop(pids[lock.pid]) end
      end
    end
  end
end

jobs.ALL = { jobs.model, jobs.write, jobs.rename, jobs.switch, jobs.backfill, jobs.deploy,
  jobs.hold_lock, jobs.hold_snapshots }

return jobs
