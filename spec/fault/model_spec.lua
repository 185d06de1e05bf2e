--- Read models between processes: catch-ups that are killed between any two batches, or asked for
--- by several at once, and models that are deployed anew while others publish and ask.
---
---   KILLS=20   how often (default 12)
---   SEED=n     for the moments

local process = require "support.process"
local random = require "support.random"
local scratch = require "support.scratch"
local tycho = require "tycho"

local KILLS = tonumber(os.getenv("KILLS")) or 12
local SEED = math.tointeger(tonumber(os.getenv("SEED") or os.time()))
local KEYS, EACH = 40, 1000
local SCRIPT = "spec/fault/model_worker.lua"

local function source(version)
  return ([[return read_model { name = "Count", version = %d, types = { "N" },
    keys = function(event) return event.data.key end,
    history = function(key) return { { tags = "of:" .. key } } end,
    init = function() return { count = 0 } end,
    on = { N = function(state) state.count = state.count + 1 end } }]]):format(version)
end

describe(("A read model between processes (SEED=%d)"):format(SEED), function()
  local path, directory, store
  before_each(function()
    path, directory = scratch.path()
    store = tycho.open(path, { sync = "none" })
  end)
  after_each(function()
    process.clean()
    store:close()
    scratch.remove(directory)
  end)

  local function start(role, keys)
    local worker = process.lua(SCRIPT, { path, role, keys })
    assert.equal("working", worker:read())
    return worker
  end

  local function ends_well(worker)
    local status, lines = worker:wait()
    assert.equal(0, status, table.concat(lines, "\n"))
    return tonumber(lines[#lines])
  end

  --- Where all is slow: waits until something is linked.
  local function sees_links()
    local before = store:stats().links
    for _ = 1, 1000 do
      if store:stats().links > before then return end
      process.sleep(0.01)
    end
  end

  local function fill()
    for _ = 1, EACH * KEYS // 1000 do
      store:batch(function(batch)
        for index = 1, 1000 do
          local key = index % KEYS + 1
          batch:append("n", { type = "N", data = { key = key }, tags = { "of:" .. key } })
        end
      end)
    end
    store:deploy { sources = { source(1) } }
  end

  it("whose catch-up is killed goes on, and never calls half of an instance whole", function()
    fill()
    local chance, cut_short = random.new(SEED), 0
    local model <close> = store:model("Count")
    for kill = 1, KILLS * 5 do
      if kill > KILLS and cut_short > 0 then break end
      local worker = start("prepare", KEYS)
      if kill <= KILLS then process.sleep(chance:between(0, 180) / 1000) else sees_links() end
      worker:kill()
      worker:wait()
      local whole = 0
      for key = 1, KEYS do
        local status = model:status(key)
        if status.is_caught_up then
          whole = whole + 1
          assert.equal(EACH, status.entries)
        end
      end
      if whole < KEYS and store:stats().links > 0 then cut_short = cut_short + 1 end
      if whole == KEYS then
        for key = 1, KEYS, chance:between(1, 3) do model:forget(key) end
      end
    end
    assert.is_true(cut_short > 0, "no catch-up was cut short")
    ends_well(start("prepare", KEYS))
    for key = 1, KEYS do
      local state, answer = model:get(key)
      assert.equal(EACH, state.count)
      assert.is_false(answer.was_caught_up)
      assert.equal(EACH, store:read():stream("Count$" .. key):count())
    end
    assert.same({}, store:verify().findings)
  end)

  -- One that is stopped while it has the store to itself keeps others from writing: not this time.
  it("has what came and went while it was caught up", function()
    local chance, events = random.new(SEED), {}
    local event = { type = "N", data = { key = 1 }, tags = { "of:1" } }
    for index = 1, 10000 do events[index] = event end
    store:append("n", events)
    store:deploy { sources = { source(1) } }
    local model <close> = store:model("Count")
    local hasty <close> = tycho.open(path, { sync = "none", write_timeout = 0.05 })
    local disturbed = 0
    for round = 1, 100 do
      if disturbed == 6 then break end
      model:forget(1)
      local worker = start("prepare", 1)
      process.sleep(chance:between(0, 10 + round // 5) / 1000)
      worker:signal("STOP")
      local is_linked = model:status(1).entries > 0
      if pcall(hasty.append, hasty, "n", event) then
        hasty:delete_stream("Count$1")
        if not is_linked then disturbed = disturbed + 1 end
      end
      worker:signal("CONT")
      ends_well(worker)
      assert.equal(store:read():tagged("of:1"):count(), model:get(1).count)
    end
    assert.is_true(disturbed > 0)
  end)

  it("is caught up once, by whichever of those that ask", function()
    fill()
    local workers, caught_up = {}, 0
    for index = 1, 4 do workers[index] = start("race", KEYS) end
    for _, worker in ipairs(workers) do caught_up = caught_up + ends_well(worker) end
    assert.equal(KEYS, caught_up)
    assert.equal(KEYS * EACH, store:stats().links)
    assert.same({}, store:verify().findings)
  end)

  it("has every event while it is deployed anew, removed and forgotten", function()
    local chance, keys, workers, answers = random.new(SEED), 5, {}, 0
    store:deploy { sources = { source(1) } }
    for _ = 1, 2 do workers[#workers + 1] = start("publish", keys) end
    for _ = 1, 2 do workers[#workers + 1] = start("ask", keys) end
    local model <close> = store:model("Count")
    for version = 2, 40 do
      process.sleep(chance:between(5, 50) / 1000)
      store:deploy { sources = { source(version) } }
      local what = chance:between(1, 4)
      if what == 1 then model:forget(chance:between(1, keys)) end
      if what == 2 then model:maintain() end
    end
    store:set_checkpoint("stop", 1)
    for index, worker in ipairs(workers) do
      local count = ends_well(worker)
      if index > 2 then answers = answers + count end
    end
    assert.is_true(answers > 10)
    for key = 1, keys do
      local state = model:get(key)
      assert.equal(store:read():tagged("of:" .. key):count(), state.count)
      assert.same(state, (model:get(key, { fresh = true })))
    end
    assert.same({}, store:verify().findings)
  end)

  local LATE = [[return read_model { name = "Late", version = %d, types = { "N" },
    order = "valid_time", keys = function(event) return event.data.key end,
    history = function(key) return { { tags = "of:" .. key } } end,
    init = function() return { ids = {} } end,
    on = { N = function(state, event) state.ids[#state.ids + 1] = event.id end } }]]

  it("is right in the order of time while processes are killed and its streams deleted", function()
    local chance, keys, workers = random.new(SEED), 4, {}
    store:deploy { sources = { LATE:format(1) } }
    for index = 1, 4 do
      local role = index % 2 == 0 and "ask_late" or "publish_late"
      workers[index] = { role = role, process = start(role, keys) }
    end
    local model <close> = store:model("Late")
    for round = 1, KILLS * 3 do
      process.sleep(chance:between(5, 40) / 1000)
      local what, key = chance:between(1, 5), chance:between(1, keys)
      if what == 1 then
        store:delete_stream("Late$" .. key)
      elseif what == 2 then
        model:forget(key)
      elseif what == 3 then
        store:deploy { sources = { LATE:format(round + 1) } }
      else
        local worker = workers[chance:between(1, #workers)]
        worker.process:kill()
        local status, lines = worker.process:wait()
        assert.equal(137, status, table.concat(lines, "\n"))
        worker.process = start(worker.role, keys)
      end
    end
    store:set_checkpoint("stop", 1)
    for _, worker in ipairs(workers) do ends_well(worker.process) end
    local rows = 0
    for _ in store:rows("tycho.models") do rows = rows + 1 end
    assert.is_true(rows <= keys)
    for key = 1, keys do
      local state = model:get(key)
      assert.equal(store:read():tagged("of:" .. key):count(), #state.ids)
      assert.same(state, (model:get(key, { fresh = true })))
    end
    assert.same({}, store:verify().findings)
  end)
end)
