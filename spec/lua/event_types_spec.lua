--- Event types that are renamed, merged, removed and deployed anew: whose name is whose, and under
--- which version an event was written.
local refusal = require "support.refusal"
local tycho = require "tycho"
local unchanged = require "support.unchanged"

--- An event type whose version n adds the field vn when it upcasts.
local function event_type(name, version, more)
  local upcasts = {}
  for from = 1, version - 1 do
    upcasts[from] = ("function(data) data.v%d = true return data end"):format(from + 1)
  end
  return ("return event_type {\n  name = %q,\n  version = %d,\n  upcast = { %s },\n  %s }")
    :format(name, version, table.concat(upcasts, ", "), more or "")
end

local function former(...)
  return ('former_names = { "%s" }'):format(table.concat({ ... }, '", "'))
end

local function names(store)
  local list = {}
  for index, script in ipairs(store:scripts()) do
    list[index] = script.name .. " " .. script.version
  end
  return list
end

describe("event types", function()
  local fresh = require("support.store")()

  it("that are deployed later do not change what an open snapshot reads", function()
    local store = fresh()
    store:append("s", { type = "Old", data = { n = 1 } })
    local bare <close> = store:snapshot()
    store:deploy { sources = { event_type("Old", 2) } }
    store:append("s", { type = "Old", data = { n = 2 } })
    local first <close> = store:snapshot()
    store:deploy { sources = { event_type("New", 3, former("Old")) }, remove = "event_type/Old" }
    local second <close> = store:snapshot()
    local function read(from, type)
      local found = {}
      for event in from:read():of_type(type):each() do found[#found + 1] = event:to_table() end
      local list = {}
      for index, event in ipairs(found) do list[index] = { event.type, event.data } end
      return list
    end
    for _ = 1, 2 do
      local new = { { "New", { n = 1, v2 = true, v3 = true } }, { "New", { n = 2, v3 = true } } }
      assert.same(new, read(store, "New"))
      assert.same(new, read(second, "Old"))
      assert.same({}, read(first, "New"))
      assert.same({ { "Old", { n = 1, v2 = true } }, { "Old", { n = 2 } } }, read(first, "Old"))
      assert.same({ { "Old", { n = 1 } } }, read(bare, "Old"))
      store:deploy { sources = { [[return linker { name = "l", version = 1, by = "type" }]] } }
    end
  end)

  it("are renamed in one deployment, in whatever order it is written down", function()
    local store = fresh()
    store:deploy { sources = { event_type("Old", 2), event_type("Zold", 1) } }
    store:append("s", { type = "Old", data = {} })
    local function rename() store:deploy { sources = event_type("New", 2, former("Old")) } end
    local err = unchanged(store, "rejected", rename, { "tycho.scripts" })
    assert.equal(5, err.line)
    assert.matches('is that of another event type: remove the one with the name "Old" in',
      err.reason)
    store:deploy { sources = event_type("New", 2, former("Old")), remove = "event_type/Old" }
    store:deploy { sources = { event_type("Anew", 1, former("Zold")) },
      remove = { "event_type/Zold" } }
    assert.same({ "Anew 1", "New 2" }, names(store))
    assert.equal(1, store:read():of_type("New"):count())
    store:append("s", { type = "New", data = {} })
  end)

  it("give a former name to another in one deployment", function()
    local store = fresh()
    store:deploy { sources = event_type("B", 1, former("A")) }
    local err = refusal.with("rejected", store.deploy, store, { sources = event_type("A", 1) })
    assert.equal("the name is a former name of another event type", err.reason)
    store:deploy { sources = { event_type("A", 1), event_type("B", 2) } }
    assert.same({ "A 1", "B 2" }, names(store))
    store:append("s", { { type = "A", data = {} }, { type = "B", data = {} } })
  end)

  it("of one plan do not share a name", function()
    local store = fresh()
    for _, sources in ipairs {
      { event_type("A", 1, former("Old")), event_type("B", 1, former("Old")) },
      { event_type("A", 1, former("B")), event_type("B", 1) },
      { event_type("B", 1), event_type("A", 1, former("B")) },
      { event_type("A", 1, former("B")), event_type("B", 1, former("A")) },
    } do
      unchanged(store, "rejected", function() store:deploy { sources = sources } end,
        { "tycho.scripts" })
      store:append("s", { type = "Other" })
    end
  end)

  it("have no version below those of their former names", function()
    local store = fresh()
    store:deploy { sources = event_type("Old", 3) }
    local err = unchanged(store, "rejected", function()
      store:deploy { sources = event_type("New", 2, former("Old")), remove = "event_type/Old" }
    end, { "tycho.scripts" })
    assert.equal("version 2 is below version 3, which was deployed", err.reason)
    assert.equal(3, err.line)
  end)

  it("that are merged keep the versions that their events had", function()
    local store = fresh()
    store:deploy { sources = { event_type("Order", 2), event_type("order", 1) } }
    store:append("s", { { type = "order", data = {} }, { type = "Order", data = {} } })
    local merged = event_type("Order", 3, former("order"))
    local script <close> = tycho.script(merged)
    assert.same({ 2, 0 }, { store:check_history(script).events,
      store:check_history(script).refused })
    store:deploy { sources = merged, remove = "event_type/order" }
    assert.same({ { v2 = true, v3 = true }, { v3 = true } },
      store:read():of_type("Order"):map(function(event) return event.data end))
  end)

  it("that were removed come back with the source that they had", function()
    local store = fresh()
    store:deploy { sources = event_type("A", 1) }
    store:deploy { sources = event_type("A", 2) }
    store:deploy { remove = "event_type/A" }
    local err = unchanged(store, "rejected", function()
      store:deploy { sources = event_type("A", 2, "data = { a = 'string' }") }
    end, { "tycho.scripts" })
    assert.same({ 3, "version 2 was deployed with another source" }, { err.line, err.reason })
    assert.equal("new", store:deploy({ sources = event_type("A", 2) })[1].change)
    store:deploy { remove = "event_type/A" }
    assert.equal("new", store:deploy({ rollback = "event_type/A" })[1].change)
    assert.same({ "A 2" }, names(store))
  end)

  it("say what their functions may return, when they return something else", function()
    local store = fresh()
    local new = [[return event_type { name = "T", version = %d, %s }]]
    store:append("s", { id = "old", type = "T", data = { n = 1 } })
    store:append("s", { id = "foreign", type = "T", data = "bytes", content_type = "text/plain" })
    local wrong = { { "", "nothing" }, { "return 5", "number" }, { "return nil", "nil" } }
    for index, case in ipairs(wrong) do
      local upcasts = ("function() %s end, "):format(case[1]):rep(index)
      store:deploy { sources = new:format(index + 1, "upcast = { " .. upcasts .. "}") }
      local err = refusal.with("rejected", function() return store:read():of_type("T"):first() end)
      assert.matches("the upcaster returned a " .. case[2], err.message, 1, true)
      assert.equal("bytes", store:read():of_type("T"):last().data)
    end
    store:deploy { sources = new:format(5, "check = function() return 5 end, upcast = { "
      .. ("function(data) return data end, "):rep(4) .. "}") }
    local err = refusal.with("rejected", store.append, store, "s", { type = "T", data = {} })
    assert.matches("check returned a number", err.message, 1, true)
  end)

  for body, reason in pairs {
    ["return 5"] = "the upcaster returned a number: it returns the new data",
    [""] = "the upcaster returned a nothing: it returns the new data",
    ["return { a = { 0 / 0 } }"] = "data.a[1] is NaN, which cannot be stored",
    ["data.d = data return data"] = "it may contain itself",
    ["while true do end"] = "the script used up its 1000000 instructions",
    ["local empty, list = {}, {} for i = 1, 10002 do list[i] = empty end return { l = list }"]
      = "data.l[10002] is one of the tables that are in over 10000 places",
    ["local t = {} for i = 1, 40 do t = { t, t } end return t"] = "in over 10000 places",
    ["local t = {} for i = 1, 130 do t = { t } end return t"] = "is more than 128 tables deep",
    ["return { a = { f = error } }"] = "data.a.f is a function",
    ["return { a = 1 / 0 }"] = "data.a is infinite",
    ["return { a = coroutine.create(error) }"] = "data.a is a thread",
    ["return { a = { [{}] = 1 } }"] = "keys",
    ["return { [1.5] = 1 }"] = "keys",
  } do
    it("refuse what their upcaster gives: " .. body, function()
      local script <close> = tycho.script(
        ("return event_type { name = 'T', version = 2, upcast = { function(data) %s end } }")
          :format(body))
      local err = refusal.of(script.upcast, script, { type = "T", data = { a = 1 } }, 1)
      assert.matches(reason, err.reason, 1, true)
    end)
  end

  it("count the tables that come again in whatever order Lua has the fields", function()
    local source = [[return event_type { name = "T", version = 2, upcast = { function(data)
      local all, tables = {}, {}
      for i = 1, 200 do tables[i] = { i } end
      for i = 1, data.places do all["k" .. i] = tables[i % 200 + 1] end
      return all
    end } }]]
    for _ = 1, 10 do
      local script <close> = tycho.script(source)
      local event = { type = "T", data = { places = 10200 } }
      assert.same({ 2 }, script:upcast(event, 1).k1)
      event.data.places = 10201
      local err = refusal.of(script.upcast, script, event, 1)
      assert.matches("in over 10000 places", err.reason, 1, true)
    end
  end)
end)
