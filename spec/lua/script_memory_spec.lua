--- How much memory a script may need: the same for an event, whatever its process ran before.
local tycho = require "tycho"

--- Keeps as much as the event says, to the byte, and leaves it behind.
local WORK = [[
local function deep(n) if n > 0 then return 1 + deep(n - 1) end return 0 end
local function pieces(list, bytes) -- no string is so large that it makes instructions dearer
  for i = 1, bytes // 4000 do list[#list + 1] = ("x"):rep(4000) end
  list[#list + 1] = ("x"):rep(bytes % 4000)
end
local function work(data)
  local kept, strings = {}, {}
  pieces(strings, data.bytes or 0)
  for i = 1, data.tables or 0 do
    kept[i] = { a = 1, b = 2, c = 3, d = 4, e = 5, f = 6, g = 7, h = 8, i = 9, j = i }
  end
  for i = 1, data.short or 0 do kept[i] = "short" .. i end
  return deep(data.deep or 0)
end
]]
local LINKER = WORK .. [[
return linker { name = "l", version = 1, from = { types = { "T" } }, streams = "out",
  to = function(event) work(event.data) return "out" end }]]
local MODEL = WORK .. [[
return read_model { name = "m", version = 1, types = { "T" },
  keys = function(event) return event.data.key end,
  init = function() return { count = 0, kept = {} } end,
  on = { T = function(state, event)
    work(event.data)
    state.count = state.count + 1
    pieces(state.kept, event.data.keep or 0)
  end } }]]

--- What leaves strings, other room, and a deep stack behind.
local LITTER = {}
for i = 1, 24 do
  LITTER[i] = { tables = i % 7 * 900, short = i % 5 * 4000, deep = i % 3 * 60, bytes = i * 1000 }
end

local TABLES = 35000 -- with so many, the bytes decide

--- The most bytes with which it is good.
local function find_most(is_good)
  local low, high = 0, 1000000
  assert.is_true(is_good(low))
  assert.is_false(is_good(high))
  while high - low > 1 do
    local middle = (low + high) // 2
    if is_good(middle) then low = middle else high = middle end
  end
  return low
end

--- True, or false when it was refused for its memory.
local function is_good(act, ...)
  local ok, err = pcall(act, ...)
  if not ok then
    assert.matches("the script needs too much memory: over 16777216 bytes in all", tostring(err), 1,
      true)
  end
  return ok
end

describe("the memory of a script", function()
  local function expand(script, data)
    return script:expand { id = "e", type = "T", stream = "s", data = data }
  end

  it("is enough for the same events in a script that had many before", function()
    local most = find_most(function(bytes)
      local script <close> = tycho.script(LINKER, "l")
      return is_good(expand, script, { tables = TABLES, bytes = bytes })
    end)
    local used <close> = tycho.script(LINKER, "l")
    for _, litter in ipairs(LITTER) do
      assert.same({ "out" }, expand(used, litter).links)
      assert.is_true(is_good(expand, used, { tables = TABLES, bytes = most }))
      assert.same({ "out" }, expand(used, litter).links)
      assert.is_false(is_good(expand, used, { tables = TABLES, bytes = most + 1 }))
    end
  end)

  it("is enough for the same events in batches of all sizes", function()
    local store <close> = tycho.temporary { sync = "none" }
    store:deploy { sources = LINKER }
    local function publish(bytes, first, last)
      local events = {}
      for i = first, last do events[#events + 1] = { type = "T", data = LITTER[i] } end
      events[#events + 1] = { type = "T", data = { tables = TABLES, bytes = bytes } }
      store:append("s", events)
    end
    local most = find_most(function(bytes)
      local script <close> = tycho.script(LINKER, "l")
      return is_good(expand, script, { tables = TABLES, bytes = bytes })
    end)
    for last = 0, 24, 4 do
      assert.is_true(is_good(publish, most, 1, last))
      assert.is_false(is_good(publish, most + 1, last // 2, last))
    end
  end)

  it("is enough for the same events in a fold that goes on from a snapshot", function()
    local keys = 0
    local function open()
      local store = tycho.temporary { sync = "none" }
      store:deploy { sources = MODEL }
      return store
    end
    local function folds(store, model, bytes, options)
      keys = keys + 1
      local function publish(data)
        data.key = keys
        store:append("s", { type = "T", data = data })
      end
      for i = 1, 6 do publish { keep = i * 80000, tables = i * 100 } end
      if options.snapshot_after then assert.equal(6, model:get(keys, options).count) end
      publish { tables = TABLES - 3500, bytes = bytes }
      return is_good(model.get, model, keys, options)
    end
    local most = find_most(function(bytes)
      local store <close> = open()
      local model <close> = store:model "m"
      return folds(store, model, bytes, { fresh = true })
    end)
    local store <close> = open()
    local model <close> = store:model "m"
    for _ = 1, 3 do
      assert.is_true(folds(store, model, most, { fresh = true }))
      assert.is_false(folds(store, model, most + 1, { fresh = true }))
      assert.is_true(folds(store, model, most, { snapshot_after = 1 }))
      assert.is_false(folds(store, model, most + 1, { snapshot_after = 1 }))
    end
  end)
end)

describe("the instructions of a fold", function()
  --- Folds events by a handler; the time is bounded by the instructions, so they decide.
  local function fold(handler, count, options)
    local store <close> = tycho.temporary { sync = "none" }
    store:deploy { sources = ([[return read_model { name = "m", version = 1, types = { "T" },
      keys = function(event) return "k" end,
      init = function() return { sum = 0 } end,
      on = { T = function(state, event) local n = event.data.n %s end } }]]):format(handler) }
    local model <close> = store:model "m"
    for n = 1, count do
      store:append("s", { type = "T", data = { n = n } })
      if options.snapshot_after then
        local ok, err = pcall(model.get, model, "k", options)
        if not ok then return tostring(err) end
      end
    end
    local ok, answer = pcall(model.get, model, "k", options)
    return ok and answer.sum or tostring(answer)
  end

  for what, handler in pairs {
    ["strings that earlier events left"] = [[
      if n <= 2 then state["s" .. n] = ("x"):rep(1000000) else
        for i = 1, 200000 do if state.s1 == state.s2 then state.sum = i end end
      end]],
    ["strings in tables, and as keys"] = [[
      if n == 1 then state.t = { a = { [("x"):rep(900000)] = 1 } }
      elseif n == 2 then state.t.b = { [("x"):rep(900000)] = 1 } else
        local a, b
        for key in pairs(state.t.a) do a = key end
        for key in pairs(state.t.b) do b = key end
        for i = 1, 200000 do if a == b then state.sum = i end end
      end]],
  } do
    it("count more for " .. what, function()
      for _, options in ipairs { { fresh = true }, { snapshot_after = 1 } } do
        local err = fold(handler, 3, options)
        assert.matches("the script used up its 1000000 instructions", err, 1, true)
      end
    end)
  end

  it("count more for numbers that collide, which earlier events left", function()
    local err = fold([[
      if n <= 60 then
        state.t = state.t or {}
        for i = 1, 50 do state.t[((n - 1) * 50 + i) * 4095] = i end
      else
        for i = 1, 90000 do state.sum = state.t[-i * 4095] or i end
        state.t = nil
      end]], 61, { fresh = true })
    assert.matches("the script used up its 1000000 instructions", err, 1, true)
  end)

  it("are what they were for all else", function()
    assert.equal(150000, fold([[
      local t = {}
      for i = 1, 50000 do t[i % 100 * 4096] = i state.sum = state.sum + 1 end
      state.text = ("y"):rep(7000)]], 3, { fresh = true }))
  end)
end)
