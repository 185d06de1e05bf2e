--- The switcher of the article: publisher and catch-up share a lock and a pointer. Here they are
--- coroutines; in spec/fault/rename_processes_spec.lua they are processes.

local plain = require "support.plain"
local random = require "support.random"
local refusal = require "support.refusal"
local stream_switch = require "tycho.stream_switch"
local switching = require "support.switching"

local ids, read = switching.ids, switching.read

--- A lock for coroutines: who wants it while it is held lets the others run.
local function coroutine_lock()
  local lock = { is_held = false }
  function lock:with_lock(fn)
    while self.is_held do coroutine.yield() end
    self.is_held = true
    local results = table.pack(pcall(fn))
    self.is_held = false
    if not results[1] then error(results[2], 0) end
    return table.unpack(results, 2, results.n)
  end
  return lock
end

--- Memory that coroutines share, and that takes its time: others run between a look at it and
--- what is done with it.
local function memory(stream)
  local pointer = { stream = stream }
  function pointer:get()
    local value = self.stream
    coroutine.yield()
    return value
  end
  function pointer:set(value)
    coroutine.yield()
    self.stream = value
  end
  return pointer
end

describe("A switcher", function()
  local fresh = require("support.store")()
  local store
  before_each(function() store = fresh() end)

  local function new(options)
    options.store, options.source, options.target = store, "source", "target"
    return stream_switch.switcher(options)
  end

  local function catch_up(switch)
    local processed, is_switched
    repeat processed, is_switched = switch:catchup(processed) until is_switched
    return processed
  end

  it("publishes to the source, and after the catch-up to the target", function()
    local switch = new {}
    for index = 1, 12 do switch:publish { type = "foo", id = "e" .. index } end
    assert.same({ "e5", false }, { switch:catchup(nil) })
    assert.equal("e12", catch_up(switch))
    assert.equal("target", store:route("source.current"))
    for index = 13, 15 do switch:publish({ type = "foo", id = "e" .. index },
      { expected_version = index - 2 }) end
    assert.same(ids("e", 12), read(store, "source"))
    assert.same(ids("e", 15), read(store, "target"))
    store:delete_stream("source")
    assert.same(ids("e", 15), read(store, "target"))
    assert.equal(15, store:head())
  end)

  it("links at most a chunk each round, 5 when nobody says how many", function()
    switching.fill(store, "source", "e", 11)
    local switch, seen = new {}, {}
    local processed, is_switched
    repeat
      processed, is_switched = switch:catchup(processed)
      seen[#seen + 1] = ("%s %d"):format(processed, #read(store, "target"))
    until is_switched
    assert.same({ "e5 5", "e10 10", "e11 11", "e11 11" }, seen)
    assert.equal("e3", (new({ chunk = 3 }):catchup(nil)))
  end)

  it("calls subscribers when it publishes", function()
    local seen = {}
    store:subscribe_to_all(function(event) seen[#seen + 1] = event.id end)
    new({}):publish { type = "foo", id = "x" }
    assert.same({ "x" }, seen)
  end)

  it("links an event once, so that a catch-up may begin anew", function()
    switching.fill(store, "source", "e", 7)
    local switch = new {}
    switch:catchup(nil)
    switch:link(store:event("e6"))
    catch_up(switch)
    catch_up(switch)
    assert.same(ids("e", 7), read(store, "target"))
  end)

  it("takes names for the lock and the pointer", function()
    local switch = new { lock = "my lock", pointer = "now" }
    switch:publish { type = "foo", id = "e1" }
    catch_up(switch)
    assert.equal("target", store:route("now"))
    switch:publish { type = "foo", id = "e2" }
    assert.same(ids("e", 2), read(store, "target"))
  end)

  it("gives the lock back when publishing fails", function()
    local switch = new {}
    refusal.with("wrong_expected_version", switch.publish, switch, { type = "t" },
      { expected_version = 5 })
    switch:publish { type = "t" }
    assert.same({}, store:locks())
  end)

  it("refuses what it cannot work with", function()
    local cases = {
      ["store must be a table"] = { source = "a", target = "b" },
      ["the target is the source"] = { store = store, source = "a", target = "a" },
      ["lock must have the method with_lock"] = { store = store, source = "a", target = "b",
        lock = {} },
      ["pointer must have the method set"] = { store = store, source = "a", target = "b",
        pointer = { get = print } },
      ["chunk must be an integer"] = { store = store, source = "a", target = "b", chunk = 0 },
      ["there is no option"] = { store = store, source = "a", target = "b", lok = "x" },
    }
    for text, options in pairs(cases) do
      local err = refusal.with("invalid_argument", stream_switch.switcher, options)
      assert(err.message:find(text, 1, true), err.message)
    end
  end)

  --- One to three publishers and a catch-up, that take turns by chance.
  local function experiment(chance, lock)
    store = fresh()
    local switch = new { lock = lock, pointer = memory("source"), chunk = chance:between(1, 5) }
    local threads = {}
    for _ = 1, chance:between(1, 3) do
      threads[#threads + 1] = coroutine.create(function()
        for _ = 1, 30 do
          switch:publish { type = "foo" }
          for _ = 1, chance:between(0, 3) do coroutine.yield() end
        end
      end)
    end
    threads[#threads + 1] = coroutine.create(function()
      local processed, is_switched
      repeat
        processed, is_switched = switch:catchup(processed)
        coroutine.yield()
      until is_switched
    end)
    while #threads > 0 do
      local index = chance:between(1, #threads)
      local ok, err = coroutine.resume(threads[index])
      assert(ok, err)
      if coroutine.status(threads[index]) == "dead" then table.remove(threads, index) end
    end
    return read(store, "source"), read(store, "target"), plain.each(store:read():all())
  end

  local seed = math.tointeger(tonumber(os.getenv("SEED") or os.time()))

  it("keeps what the article asserts, however publishers and catch-ups take turns", function()
    for round = 1, 60 do
      local source, target, log = experiment(random.new(seed + round), coroutine_lock())
      local place = "seed " .. seed + round
      assert.same(source, table.move(target, 1, #source, 1, {}), place)
      assert.same(log, target, place)
      switching.check(store)
    end
  end)

  it("would not without a lock: both races are there", function()
    local lost = 0
    for round = 1, 60 do
      local nobody = { with_lock = function(_, fn) return fn() end }
      local _, target, log = experiment(random.new(seed + round), nobody)
      if #target < #log then lost = lost + 1 end
    end
    assert.is_true(lost > 0)
  end)
end)
