--- Closing: twice, early, in any order, by the collector, and at the end of the state.

local tycho = require "tycho"

local function refused(pattern, fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  assert.matches(pattern, tostring(err))
end

local function filled(store, count)
  local events = {}
  for i = 1, count do events[i] = { type = "t", data = { n = i } } end
  store:append("a", events)
  return store
end

describe("a closed handle", function()
  local fresh = require("support.store")()

  it("may be closed again, and says that it is closed", function()
    local store = filled(fresh(), 3)
    local batch, snapshot, specification = store:batch(), store:snapshot(), store:read()
    local next_event, _, _, cursor = specification:each()
    for _ = 1, 2 do
      batch:close()
      snapshot:close()
      cursor:close()
    end
    refused("batch is closed", batch.append, batch, "a", { type = "t" })
    refused("snapshot is closed", snapshot.read, snapshot)
    refused("cursor is closed", next_event)
    store:close()
    store:close()
    refused("store is closed", store.head, store)
    refused("store is closed", store.append, store, "a", { type = "t" })
    refused("store is closed", specification.all, specification)
    assert.matches("closed", tostring(store) .. tostring(batch) .. tostring(snapshot))
  end)

  it("closes what was opened from it", function()
    local store = filled(fresh(), 3)
    local snapshot = store:snapshot()
    local inside = snapshot:read()
    local next_inside = inside:each()
    local next_outside, next_stream = store:read():each(), store:streams()
    assert.equal(1, next_inside().position)
    snapshot:close()
    refused("cursor is closed", next_inside)
    refused("snapshot is closed", inside.count, inside)
    assert.equal(1, next_outside().position)
    store:close()
    refused("cursor is closed", next_outside)
    refused("listing is closed", next_stream)
  end)

  it("closes with its block", function()
    local kept
    do
      local store <close> = tycho.temporary()
      local batch <close> = store:batch()
      local snapshot <close> = store:snapshot()
      kept = { store = store, batch = batch, snapshot = snapshot }
    end
    refused("store is closed", kept.store.head, kept.store)
    refused("batch is closed", kept.batch.clear, kept.batch)
    refused("snapshot is closed", kept.snapshot.read, kept.snapshot)
  end)

  it("leaves events, which are values", function()
    local store = filled(fresh(), 2)
    local event = store:read():last()
    store:close()
    assert.equal("a", event.stream)
    assert.equal(2, event.data.n)
    assert.equal(1, event.revision)
  end)

  it("leaves events of a loop, but for a stream that nobody has asked for", function()
    local store, asked, other = filled(fresh(), 3), nil, nil
    for event in store:read():each() do
      if event.position == 1 then asked = event
      else other = event end
    end
    assert.equal("a", asked.stream)
    store:close()
    assert.equal("a", asked.stream)
    assert.same({}, asked.tags)
    assert.equal(3, other.data.n)
    refused("store is closed", function() return other.stream end)
  end)

  it("closes inside the loop that uses it without harm", function()
    local store = filled(fresh(), 3)
    refused("cursor is closed", function()
      for _ in store:read():each() do store:close() end
    end)
  end)

  it("may be what a subscriber closes", function()
    local store = filled(fresh(), 1)
    store:subscribe_to_all(function() store:close() end)
    assert.equal(1, store:publish("a", { type = "t" }).event_count)
    refused("store is closed", store.head, store)
  end)
end)

describe("the collector", function()
  it("closes what nobody holds, children first or parents first", function()
    for _ = 1, 20 do
      local store = filled(tycho.temporary { sync = "none" }, 2)
      local snapshot = store:snapshot()
      local next_event = snapshot:read():each()
      next_event()
      store, snapshot, next_event = nil, nil, nil -- luacheck: ignore
      collectgarbage()
    end
    local store <close> = tycho.temporary { sync = "none" }
    assert.equal(0, store:head())
  end)

  it("keeps a store open for a cursor that reads from it", function()
    local next_event = filled(tycho.temporary { sync = "none" }, 500):read():each()
    local sum = 0
    for event in next_event do
      collectgarbage("step")
      sum = sum + event.data.n
    end
    collectgarbage()
    assert.equal(500 * 501 // 2, sum)
  end)

  it("lets an iterator be dropped in the middle", function()
    local store <close> = filled(tycho.temporary { sync = "none" }, 5)
    for _ = 1, 2000 do -- more than there are slots for readers
      local next_event = store:read():each()
      next_event()
    end
    collectgarbage()
    assert.equal(5, store:read():count())
  end)
end)

describe("the end of the state", function()
  local PARTS = {
    [[local store = tycho.temporary { sync = "none" }
      store:append("a", { { type = "t" }, { type = "t" } })]],
    [[local snapshot = store:snapshot()]],
    [[local next_inside = snapshot:read():each(); next_inside()]],
    [[local next_event = store:read():each(); next_event()]],
    [[local next_stream = store:streams(); next_stream()]],
    [[local batch = store:batch():append("a", { type = "t" })]],
  }
  local HOLD = [[keep = { %s }]]

  local function run(script)
    local name = os.tmpname()
    local file <close> = assert(io.open(name, "w"))
    file:write(('package.path, package.cpath = %q, %q\nlocal tycho = require "tycho"\n')
      :format(package.path, package.cpath), script)
    file:close()
    local ok, how, code = os.execute(("lua5.4 -W %s"):format(name))
    os.remove(name)
    assert.same({ true, "exit", 0 }, { ok, how, code })
  end

  it("may come with everything open, held in any order", function()
    local names = { "store", "snapshot", "next_inside", "next_event", "next_stream", "batch" }
    for shift = 1, #names do
      table.insert(names, table.remove(names, 1))
      local order = table.concat(names, ", ")
      local leave = shift % 2 == 0 and "\nos.exit(true, true)" or ""
      run(table.concat(PARTS, "\n") .. "\n" .. HOLD:format(order) .. leave)
    end
  end)

  it("may come while a coroutine stands in a loop", function()
    run(PARTS[1] .. [[
      keep = coroutine.wrap(function()
        for event in store:read():each() do coroutine.yield(event) end
      end)
      assert(keep().type == "t")]])
  end)

  it("may come with two loads of the module in one state", function()
    run([[
      local store = tycho.temporary { sync = "none" }
      store:append("a", { type = "t" })
      local event = store:read():first()
      for name in pairs(package.loaded) do
        if name:find("^tycho") then package.loaded[name] = nil end
      end
      local again = require "tycho"
      assert(again ~= tycho and again.null == tycho.null)
      local other = again.temporary { sync = "none" }
      other:append("a", { type = "t", id = event.id })
      assert(other:read():first() == event)
      assert(store:read():first() == event)]])
  end)
end)
