--- Back-filling under publisher processes, and under kill -9 of them and of the process
--- that back-fills: every stream is what it would be in a store that had the linker from the start.
---
---   ROUNDS=20   how often (default 3)
---   SEED=n      for the moments and victims

local backfilling = require "support.backfilling"
local process = require "support.process"
local random = require "support.random"
local scratch = require "support.scratch"
local tycho = require "tycho"

local ROUNDS = tonumber(os.getenv("ROUNDS")) or 3
local SEED = math.tointeger(tonumber(os.getenv("SEED") or os.time()))
local PUBLISHERS = 3
local REST, QUICK = 0.002, 8000 -- what a publisher writes before it leaves a slow machine the time

describe(("A linker that is back-filled under publishers (SEED=%d)"):format(SEED), function()
  local path, directory, publishers, started
  scratch.each(function(...)
    path, directory = ...
    publishers, started = {}, 0
  end)

  local function write(name, source)
    local file <close> = assert(io.open(directory .. "/" .. name, "wb"))
    file:write(source)
    return directory .. "/" .. name
  end

  local function start_publisher(chance)
    started = started + 1
    local publisher = process.lua("spec/fault/backfill_publisher.lua",
      { path, "p" .. started, chance:one { 1, 5, 60 }, REST, QUICK })
    assert.equal("publishing", publisher:read())
    publishers[#publishers + 1] = publisher
  end

  local function kill_publisher(chance)
    local publisher = table.remove(publishers, chance:between(1, #publishers))
    publisher:kill()
    local status, lines = publisher:wait()
    assert.equal(137, status, table.concat(lines, "\n"))
  end

  --- Runs a back-fill to its end; it is killed some times before.
  local function run_killed(chance, kills, file)
    local arguments = { path, file, chance:between(20, 400) }
    for _ = 1, kills do
      local worker = process.lua("spec/fault/backfiller.lua", arguments)
      worker:read()
      process.sleep(chance:between(0, 40) / 1000)
      worker:kill()
      worker:wait()
      if chance:chance(40) then
        kill_publisher(chance)
        start_publisher(chance)
      end
    end
    local worker = process.lua("spec/fault/backfiller.lua", arguments)
    worker:read()
    local status, lines = worker:wait()
    assert.equal(0, status, table.concat(lines, "\n"))
    assert.equal("done", lines[#lines])
  end

  it("is complete and exact, when new and when changed", function()
    for round = 1, ROUNDS do
      local chance = random.new(SEED + round)
      path, publishers = ("%s/store%d"):format(directory, round), {}
      local store = tycho.open(path, { sync = "none" })
      backfilling.fill(store, 1, chance:between(1, 4000))
      for _ = 1, PUBLISHERS do start_publisher(chance) end
      run_killed(chance, chance:between(0, 4),
        write("v1.lua", backfilling.VERSION_1))
      local head = store:head()
      store:wait(head + 100, 60)
      run_killed(chance, chance:between(0, 4),
        write("v2.lua", backfilling.VERSION_2))
      head = store:head()
      store:wait(head + 100, 60)
      while #publishers > 0 do kill_publisher(chance) end
      assert.same(backfilling.expected(store, backfilling.VERSION_2), backfilling.streams(store))
      backfilling.check_clean(store)
      store:close()
      scratch.remove(path)
    end
  end)

  it("is finished by one of two that begin it at once", function()
    local store <close> = tycho.open(path, { sync = "none" })
    backfilling.fill(store, 1, 3000)
    local file, workers = write("v1.lua", backfilling.VERSION_1), {}
    for index = 1, 2 do
      workers[index] = process.lua("spec/fault/backfiller.lua", { path, file, 200 })
    end
    for _, worker in ipairs(workers) do
      local status, lines = worker:wait()
      assert.equal(0, status, table.concat(lines, "\n"))
      assert.equal("done", lines[#lines])
    end
    assert.same(backfilling.expected(store, backfilling.VERSION_1), backfilling.streams(store))
    backfilling.check_clean(store)
  end)
end)
