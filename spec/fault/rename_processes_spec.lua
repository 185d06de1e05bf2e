--- Renaming a stream that processes publish to at full speed, under kill -9 of publishers and of
--- the process that renames: no event is lost, doubled or out of order.
---
---   ROUNDS=20   how often (default 4)
---   SEED=n      for the moments and victims

local plain = require "support.plain"
local process = require "support.process"
local random = require "support.random"
local scratch = require "support.scratch"
local switching = require "support.switching"
local tycho = require "tycho"

local ROUNDS = tonumber(os.getenv("ROUNDS")) or 4
local SEED = math.tointeger(tonumber(os.getenv("SEED") or os.time()))

describe(("A stream that is renamed under publishers (SEED=%d)"):format(SEED), function()
  local path, directory, publishers, names, started
  scratch.each(function(...)
    path, directory = ...
    publishers, names, started = {}, {}, 0
  end)

  local function start_publisher(stream)
    started = started + 1
    local name = "p" .. started
    local publisher = process.lua("spec/fault/publisher.lua", { path, directory, name, stream })
    assert.equal("publishing", publisher:read())
    names[#names + 1] = name
    publishers[#publishers + 1] = { process = publisher, stream = stream }
  end

  local function kill_publisher(index)
    local publisher = table.remove(publishers, index)
    publisher.process:kill()
    local status, lines = publisher.process:wait()
    assert.equal(137, status, table.concat(lines, "\n"))
    return publisher.stream
  end

  local function acknowledged(name)
    local last = 0
    for line in io.lines(directory .. "/" .. name .. ".ack") do
      if #line == 15 then last = math.tointeger(tonumber(line)) end
    end
    return last
  end

  --- The target has all events of the store, in the order of the log, and those are all that were
  --- acknowledged, and of each publisher at most the one on which it was killed besides.
  local function check_nothing_lost(store, target)
    local counts, position = {}, 0
    for event in store:read():stream(target):raw():each() do
      local name, number = event.id:match("^(p%d+)%-(%d+)$")
      if name then
        assert.equal((counts[name] or 0) + 1, math.tointeger(tonumber(number)), event.id)
        counts[name] = math.tointeger(tonumber(number))
      end
      assert.is_true(event.position > position, event.id)
      position = event.position
    end
    assert.equal(store:head(), store:read():stream(target):raw():count())
    for _, name in ipairs(names) do
      local more = (counts[name] or 0) - acknowledged(name)
      assert.is_true(more == 0 or more == 1, name)
    end
  end

  --- Runs a worker to its end; it is killed `kills` times before, at moments of chance.
  local function run_killed(chance, kills, script, arguments, last_line)
    for _ = 1, kills do
      local worker = process.lua(script, arguments)
      worker:read()
      process.sleep(chance:between(0, 25) / 1000)
      worker:kill()
      worker:wait()
      if chance:between(1, 2) == 1 then
        start_publisher(kill_publisher(chance:between(1, #publishers)))
      end
    end
    local worker = process.lua(script, arguments)
    worker:read()
    local status, lines = worker:wait()
    assert.equal(0, status, table.concat(lines, "\n"))
    assert.equal(last_line, lines[#lines])
  end

  it("loses no event, and can be renamed back", function()
    for round = 1, ROUNDS do
      local chance = random.new(SEED + round)
      local source, target = "s" .. round, "t" .. round
      names, path = {}, ("%s/store%d"):format(directory, round)
      local store = tycho.open(path, { sync = "none" })
      switching.fill(store, source, "e", 3000)
      store:set_route("r" .. round, source)
      for _, name in ipairs { source, "r" .. round, source } do start_publisher(name) end
      run_killed(chance, chance:between(1, 5), "spec/fault/renamer.lua",
        { path, source, target, chance:between(50, 400) }, "switched")
      assert.same({ [source] = target, ["r" .. round] = target }, switching.routes(store))
      start_publisher(target)
      run_killed(chance, chance:between(0, 2), "spec/fault/renamer.lua",
        { path, source, target, 200, "undo" }, "switched")
      assert.same({ [target] = source, ["r" .. round] = source }, switching.routes(store))
      process.sleep(0.02)
      while #publishers > 0 do kill_publisher(1) end
      check_nothing_lost(store, source)
      local old = switching.entries(store, target)
      assert.same(old, table.move(switching.entries(store, source), 1, #old, 1, {}))
      switching.check(store)
      store:close()
    end
  end)

  it("is switched by the article's switcher, with a lock and a file as pointer", function()
    local chance = random.new(SEED)
    local store <close> = tycho.open(path, { sync = "none" })
    for _ = 1, 3 do start_publisher("switcher") end
    process.sleep(0.02)
    run_killed(chance, 3, "spec/fault/switcher.lua", { path, directory }, "switched")
    local source = switching.raw(store, "source")
    process.sleep(0.05)
    while #publishers > 0 do kill_publisher(1) end
    assert.same(source, switching.raw(store, "source"))
    local target = switching.raw(store, "target")
    assert.same(source, table.move(target, 1, #source, 1, {}))
    assert.is_true(#target > #source)
    assert.same(plain.each(store:read():all()), target)
    check_nothing_lost(store, "target")
    switching.check(store)
  end)
end)
