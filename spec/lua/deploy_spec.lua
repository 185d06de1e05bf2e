--- Deployed scripts from Lua: plans, what they do to writers and readers, history, rollback, and
--- two who deploy at once.
local lfs = require "lfs"
local refusal = require "support.refusal"
local scratch = require "support.scratch"
local tycho = require "tycho"
local unchanged = require "support.unchanged"

local ORDER_1 = [[
return event_type {
  name = "OrderPlaced", version = 1,
  data = { customer = "string", total = "integer", lines = optional(array { sku = "string" }) },
  check = function(data)
    if data.total < 0 then return "total must not be negative" end
  end,
}]]

local ORDER_2 = [[
return event_type {
  name = "OrderPlaced", version = 2,
  data = { customer = "string", cents = "integer" },
  tags = function(data) return "customer:" .. data.customer end,
  upcast = {
    [1] = function(data)
      data.cents = data.total * 100
      data.total = nil
      return data
    end,
  },
  former_names = { "order_placed" },
}]]

local function linker(version, prefix)
  return ([[
return linker {
  name = "by_customer", version = %d,
  from = { types = { "OrderPlaced" } },
  streams = "%s*", to = function(event) return "%s" .. event.data.customer end,
}]]):format(version, prefix, prefix)
end

local function order(customer, total)
  return { type = "OrderPlaced", data = { customer = customer, total = total } }
end

--- A plan in short: "new linker/x 1", "refused a.lua:3".
local function short(plan)
  local lines = {}
  for index, line in ipairs(plan) do
    if line.change == "refused" then
      lines[index] = ("refused %s:%s"):format(line.file, line.line or "?")
    else
      lines[index] = ("%s %s/%s %d"):format(line.change, line.kind, line.name, line.version)
    end
  end
  return lines
end

describe("deploying", function()
  local fresh = require("support.store")()

  it("plans, carries out, and leaves alone what is the same", function()
    local store = fresh()
    local plan = store:deploy { sources = { ["a.lua"] = ORDER_1, ["b.lua"] = linker(1, "c-") } }
    assert.same({ "new event_type/OrderPlaced 1", "new linker/by_customer 1" }, short(plan))
    assert.equal("a.lua", plan[1].file)
    local head = store:head()
    assert.same({ "unchanged linker/by_customer 1" },
      short(store:deploy { sources = linker(1, "c-") }))
    assert.equal(head, store:head())
    plan = store:deploy { sources = { linker(2, "k-") }, remove = "event_type/OrderPlaced" }
    assert.same({ "changed linker/by_customer 2", "removed event_type/OrderPlaced 1" }, short(plan))
    assert.equal(1, plan[1].old_version)
  end)

  it("changes nothing in a dry run, and says there what is refused", function()
    local store = fresh()
    local before = store:head()
    local plan = store:deploy {
      sources = { ["a.lua"] = ORDER_1, ["b.lua"] = "return 1" }, dry_run = true,
    }
    assert.same({ "new event_type/OrderPlaced 1", "refused b.lua:1" }, short(plan))
    assert.equal(before, store:head())
    assert.same({}, store:scripts())
  end)

  it("refuses all when one is refused, with file and line", function()
    local store = fresh()
    store:deploy { sources = linker(1, "c-") }
    local cases = {
      { "return linker {\n  name = 'x', version = 1\n  to = 1 }", 3, "'}' expected" },
      { "return linker {\n name = 'x',\n version = 1, form = {},\n to = function() end }", 3,
        "'form'" },
      { "\n\nerror('no')", 3, "no" },
      { "\nreturn 7", 2, "the script returns a number" },
      { "return {}", 1, "must return an event_type, a linker or a read_model" },
      { "hello there", 1, "syntax error" },
      { "\27Lua", 1, "this is bytecode" },
      { (" "):rep(300000), nil, "the source has 300000 bytes" },
      { linker(1, "other-"), 2, "the source has changed and the version is still 1" },
      { "return read_model { name = 'm', version = 1, types = { 'A' },\n keys = function() end,\n"
        .. " init = function() return {} end,\n on = { B = function() end } }", 4, "'B'" },
    }
    for _, case in ipairs(cases) do
      local err = unchanged(store, "rejected", function()
        store:deploy { sources = { ["a.lua"] = ORDER_1, ["b.lua"] = case[1] } }
      end, { "tycho.scripts" })
      assert.equal("b.lua", err.file, case[1])
      assert.equal(case[2], err.line, case[1])
      assert.truthy(err.reason:find(case[3], 1, true), err.reason)
      local place = case[2] and ("b.lua:%d: "):format(case[2]) or "b.lua: "
      assert.equal(place .. err.reason, err.what)
      assert.same("new event_type/OrderPlaced 1", short(err.plan)[1])
      assert.equal("refused", err.plan[2].change)
    end
  end)

  it("names the nearest field where one is not known", function()
    local store = fresh()
    local err = refusal.with("rejected", store.deploy, store,
      { sources = "return linker { name = 'x', version = 1, form = {}, to = function() end }" })
    assert.truthy(err.reason:find("did you mean 'from'?", 1, true), err.reason)
  end)

  it("refuses two scripts of one name, and says how many are refused", function()
    local store = fresh()
    local err = refusal.with("rejected", store.deploy, store,
      { sources = { linker(1, "a-"), linker(1, "b-"), "return 1" } })
    assert.matches("%(and 1 more%)$", err.what)
    assert.equal(3, #err.plan)
  end)

  it("plans sources in the order of their list", function()
    local store, sources = fresh(), {}
    for index = 1, 12 do
      sources[index] = ("return linker { name = 'l%d', version = 1, by = 'type' }"):format(index)
    end
    for index, line in ipairs(store:deploy { sources = sources }) do
      assert.same({ "l" .. index, ("sources[%d]"):format(index) }, { line.name, line.file })
    end
  end)

  -- Holds under ASan, too, but takes minutes there.
  it("takes 10,000 scripts, and no more #slow", function()
    local store = fresh()
    local function deploy(first, last)
      local sources = {}
      for index = first, last do
        sources[#sources + 1] = ("return linker { name = 'l%d', version = 1, by = 'type', "
          .. "from = { types = 'T%d' } }"):format(index, index)
      end
      return store:deploy { sources = sources, remove = first == last and { "linker/l1" } or nil }
    end
    deploy(1, 4500)
    deploy(4501, 9000)
    local err = refusal.with("rejected", deploy, 9001, 10002)
    assert.equal("sources[1001]:1: a store has at most 10,000 scripts (and 1 more)", err.what)
    deploy(9001, 10000)
    assert.equal(2, #deploy(10001, 10001))
    store:append("s", { type = "T10001" })
    assert.equal(10000, #store:scripts())
  end)

  it("refuses wrong options at the caller's line", function()
    local store = fresh()
    for _, options in ipairs {
      {}, { files = {} }, { source = "x" }, { remove = "by_customer" }, { remove = "table/x" },
      { sources = 7 }, { sources = { 7 } }, { restore = true, sources = "x" }, { dry_run = 1 },
      { rollback = 7 }, { rollback = { ["linker/x"] = "1" } },
    } do
      local err = refusal.with("invalid_argument", function() store:deploy(options) end)
      assert.matches("deploy_spec.lua:%d+: ", err.message)
    end
  end)

  it("reads a project: its three folders, and nothing else", function()
    local path, directory = scratch.path()
    for _, name in ipairs { "", "/events", "/linkers", "/spec" } do
      assert(lfs.mkdir(path .. name))
    end
    local function put(name, text)
      local file <close> = assert(io.open(path .. name, "w"))
      file:write(text)
    end
    put("/events/order.lua", ORDER_1)
    put("/events/.hidden.lua", "broken")
    put("/events/notes.txt", "broken")
    put("/linkers/l.lua", linker(1, "c-"))
    put("/spec/order_spec.lua", "broken")
    put("/other.lua", linker(1, "broken"):gsub("by_customer", "other"))
    local store = fresh()
    assert.same({ "new event_type/OrderPlaced 1", "new linker/by_customer 1" },
      short(store:deploy { files = path .. "/" }))
    assert.same({ "new linker/other 1" }, short(store:deploy { files = { path .. "/other.lua" } }))
    assert.same({ "unchanged linker/by_customer 1" },
      short(store:deploy { files = path .. "/linkers" }))
    put("/linkers/l.lua", linker(1, "d-"))
    local err = refusal.with("rejected", store.deploy, store, { files = path })
    assert.equal(path .. "/linkers/l.lua", err.file)
    refusal.with("not_found", store.deploy, store, { files = path .. "/spec/nothing.lua" })
    assert(lfs.mkdir(path .. "/empty"))
    refusal.with("not_found", store.deploy, store, { files = path .. "/empty" })
    scratch.remove(directory)
  end)

  it("is refused where the store is read only", function()
    local path, directory = scratch.path()
    tycho.open(path, { sync = "none" }):close()
    local store <close> = tycho.open(path, { mode = "read_only" })
    assert.same({ "new linker/by_customer 1" },
      short(store:deploy { sources = linker(1, "c-"), dry_run = true }))
    refusal.with("denied", store.deploy, store, { sources = linker(1, "c-") })
    store:close()
    scratch.remove(directory)
  end)

  it("plans anew when somebody else deployed in between", function()
    local path, directory = scratch.path()
    local one <close> = tycho.open(path, { sync = "none" })
    local two <close> = tycho.open(path, { sync = "none" })
    local commit = getmetatable(one:batch()).commit
    local rounds = 0
    getmetatable(one:batch()).commit = function(batch)
      rounds = rounds + 1
      getmetatable(batch).commit = commit
      two:deploy { sources = linker(1, "c-") }
      return batch:commit()
    end
    local plan = one:deploy { sources = { ORDER_1, linker(1, "c-") } }
    assert.equal(1, rounds)
    assert.same({ "new event_type/OrderPlaced 1", "unchanged linker/by_customer 1" }, short(plan))
    assert.equal(2, #one:script_history())
    one:close()
    two:close()
    scratch.remove(directory)
  end)

  it("lists what is deployed, and its history", function()
    local store = fresh()
    store:deploy { sources = { ORDER_1, linker(1, "c-") } }
    store:deploy { sources = linker(2, "k-") }
    store:deploy { remove = { "event_type/OrderPlaced" } }
    local list = store:scripts()
    assert.equal(1, #list)
    assert.same({ "linker", "by_customer", 2 }, { list[1].kind, list[1].name, list[1].version })
    local found = {}
    for index, entry in ipairs(store:script_history()) do
      found[index] = ("%s %s %d"):format(entry.change, entry.name, entry.version)
    end
    assert.same({
      "deployed OrderPlaced 1", "deployed by_customer 1", "deployed by_customer 2",
      "removed OrderPlaced 1",
    }, found)
    local history = store:script_history("linker", "by_customer")
    assert.same({ linker(1, "c-"), linker(2, "k-") }, { history[1].source, history[2].source })
    assert.equal(list[1].hash, history[2].hash)
  end)

  it("rolls a linker back, to the version before or to any", function()
    local store = fresh()
    for version = 1, 3 do store:deploy { sources = linker(version, "v" .. version .. "-") } end
    assert.same({ "changed linker/by_customer 2" },
      short(store:deploy { rollback = "linker/by_customer" }))
    assert.same({ "changed linker/by_customer 1" },
      short(store:deploy { rollback = { "linker/by_customer" } }))
    assert.same({ "changed linker/by_customer 3" },
      short(store:deploy { rollback = { ["linker/by_customer"] = 3 } }))
    assert.equal(linker(3, "v3-"), store:script("linker", "by_customer").source)
    refusal.with("not_found", store.deploy, store, { rollback = { ["linker/by_customer"] = 4 } })
    refusal.with("not_found", store.deploy, store, { rollback = "linker/other" })
    store:deploy { remove = "linker/by_customer" }
    assert.same({ "new linker/by_customer 3" },
      short(store:deploy { rollback = "linker/by_customer" }))
  end)

  it("never rolls an event type back", function()
    local store = fresh()
    store:deploy { sources = ORDER_1 }
    store:deploy { sources = ORDER_2 }
    local err = unchanged(store, "rejected", function()
      store:deploy { rollback = "event_type/OrderPlaced" }
    end, { "tycho.scripts" })
    assert.matches("version 1 is below version 2", err.reason)
  end)
end)

describe("a store with scripts", function()
  local fresh = require("support.store")()

  it("refuses an event that does not fit, with the facts, and goes on", function()
    local store = fresh()
    store:deploy { sources = { ORDER_1, linker(1, "c-") } }
    local bad = order("ann", 1)
    bad.id, bad.data.lines = "bad", { { sku = "a" }, { sku = 7 } }
    local err = unchanged(store, "rejected", function()
      store:publish("o", { order("ann", 1), bad })
    end)
    assert.same({ "event_type/OrderPlaced", 1, "data.lines[2].sku", "bad", "OrderPlaced" },
      { err.script, err.version, err.path, err.event_id, err.event_type })
    assert.equal("data.lines[2].sku is 7, must be a string", err.reason)
    err = unchanged(store, "rejected", function() store:publish("o", order("ann", -1)) end)
    assert.equal("total must not be negative", err.reason)
    store:publish("o", order("ann", 2))
    assert.same({ 2 }, store:read():stream("c-ann"):map(function(e) return e.data.total end))
  end)

  it("says where a script failed, and lets others through", function()
    local store = fresh()
    store:deploy { sources = { [[
return linker {
  name = "broken", version = 1, from = { types = { "A", "B" } },
  streams = "*", to = function(event)
    local function inner() return event.data.missing.field end
    if event.type == "A" then return inner() .. "" end
    while true do end
  end,
}]] } }
    local err = unchanged(store, "rejected", function() store:append("s", { type = "A" }) end)
    assert.same({ "linker/broken", 1, 4 }, { err.script, err.version, err.line })
    assert.truthy(err.traceback:find("inner", 1, true), err.traceback)
    err = unchanged(store, "rejected", function() store:append("s", { type = "B" }) end)
    assert.is_true(err.is_over_limit)
    store:append("s", { type = "C" })
  end)

  it("lets a linker name the streams that it declares, and no others", function()
    local store = fresh()
    local source = [[return linker { name = "l", version = 1, streams = { "city-*", "vip" },
      -- names what it is told

      to = function(event) return event.data.names end }]]
    local undeclared = { "town-1", "vip-1", "city", "a", "City-1" }
    for _, name in ipairs(undeclared) do
      local plain = source:gsub('streams = %b{},', "")
      local err = unchanged(store, "rejected", function() store:deploy { sources = plain } end)
      assert.equal(4, err.line)
      assert.matches("'to' needs 'streams'", err.reason)
      local script <close> = tycho.script(source)
      err = refusal.with("rejected", script.expand, script, { type = "T", data = { names = name } })
      assert.equal(('the stream "%s" is not among its \'streams\''):format(name), err.reason)
      assert.equal(4, err.line)
    end
    store:deploy { sources = source }
    assert.same({ "city-*", "vip" }, store:script("linker", "l").streams)
    store:append("s", { type = "T", data = { names = { "city-1", "vip", "city-" } } })
    for _, name in ipairs(undeclared) do
      unchanged(store, "rejected", function()
        store:append("s", { type = "T", data = { names = { "city-2", name } } })
      end)
    end
    for _, name in ipairs { "city-1", "city-", "vip" } do
      assert.equal(1, store:read():stream(name):count())
    end
    store:deploy { sources = { [[return linker { name = "any", version = 1, streams = "*",
      to = function(event) return "x" .. event.type end }]] } }
    store:append("s", { type = "T", data = { names = "vip" } })
    assert.equal(1, store:read():stream("xT"):count())
  end)

  it("lets no script link into the history of scripts", function()
    local store = fresh()
    local makers = {
      [[return linker { name = "l", version = 1, streams = "*",
        to = function() return { "a", "$scripts" } end }]],
      [[return linker { name = "l", version = 2, by = "metadata", key = "to", prefix = "$" }]],
    }
    for _, source in ipairs(makers) do
      store:deploy { sources = source }
      local err = unchanged(store, "rejected", function()
        store:append("s", { type = "T", metadata = { to = "scripts" } })
      end)
      assert.matches("history of scripts", err.message)
      assert.equal("linker/l", err.script)
    end
    store:append("s", { type = "T", metadata = { to = "others" } })
    assert.equal(1, store:read():stream("$others"):count())
  end)

  it("reads old events as the present version, under old names too", function()
    local store = fresh()
    store:append("o", { type = "order_placed", data = { customer = "old", total = 1 } })
    store:deploy { sources = ORDER_1 }
    store:append("o", order("ann", 2))
    store:deploy { sources = ORDER_2 }
    store:append("o", { type = "OrderPlaced", data = { customer = "bob", cents = 3 } })
    local read = store:read():of_type("OrderPlaced")
    local function cents(event) return { event.type, event.data.cents } end
    local present = { { "OrderPlaced", 100 }, { "OrderPlaced", 200 }, { "OrderPlaced", 3 } }
    assert.same(present, read:map(cents))
    assert.same({ present[3], present[2], present[1] }, read:backward():map(cents))
    assert.equal(3, read:count())
    assert.same({ "customer:bob" }, store:last_event("o").tags)
    assert.same({ 1, 2 }, { store:read():stored():first().data.total,
      store:read():stored():of_type("OrderPlaced"):first().data.total })
    assert.equal("order_placed", store:read():stored():first().type)
    local follower <close> = store:follow { types = "OrderPlaced" }
    assert.equal(100, follower:next(0).data.cents)
    local err = refusal.with("rejected", store.append, store, "o", { type = "order_placed" })
    assert.matches("publish it under that", err.reason)
  end)

  it("is run by a handle that was open before the deployment", function()
    local path, directory = scratch.path()
    local one <close> = tycho.open(path, { sync = "none" })
    local two <close> = tycho.open(path, { sync = "none" })
    two:append("o", order("ann", -1))
    one:deploy { sources = ORDER_1 }
    refusal.with("rejected", two.append, two, "o", order("ann", -1))
    one:deploy { remove = "event_type/OrderPlaced" }
    two:append("o", order("ann", -1))
    one:close()
    two:close()
    scratch.remove(directory)
  end)

  it("with a script that cannot be compiled takes no events until that is replaced", function()
    for _, way in ipairs { { remove = "linker/by_customer" }, { sources = linker(2, "c-") } } do
      local store = fresh()
      store:append("o", { type = "T" })
      local batch <close> = store:batch()
      batch.box:deploy_row("linker/by_customer", {
        deployed_at = 1, hash = "0", kind = "linker", name = "by_customer", version = 1,
        source = linker(1, "c-"):gsub("from", "future"),
      })
      batch:commit()
      local err = refusal.with("rejected", store.append, store, "o", { type = "T" })
      assert.same({ "linker/by_customer", 3 }, { err.script, err.line })
      refusal.with("rejected", function() store:read():first() end)
      assert.equal(1, #store:read():stored():all())
      refusal.with("rejected", store.deploy, store, { sources = linker(1, "c-") })
      store:deploy { sources = ORDER_1 }
      refusal.with("rejected", store.append, store, "o", { type = "T" })
      local plan = store:deploy(way)
      assert.equal(way.remove and "removed" or "changed", plan[1].change)
      assert.equal(1, plan[1].old_version)
      store:append("o", { type = "T" })
      assert.equal(2, store:read():of_type("T"):count())
    end
  end)

  it("has a history to which only deployments append", function()
    local store = fresh()
    store:append("$scripts", { type = "ScriptDeployed", data = { name = "OrderPlaced" } })
    store:append("o", order("ann", 1))
    store:deploy { sources = ORDER_2 }
    unchanged(store, "invalid_argument", function()
      store:append("$scripts", { type = "ScriptDeployed", data = { version = 1 } })
    end)
    unchanged(store, "invalid_argument", function() store:append("$scripts", { type = "Note" }) end)
    unchanged(store, "invalid_argument", function()
      store:append("$scripts", { type = "ScriptDeployed", data = {
        hash = "0", kind = "event_type", name = "OrderPlaced", source = "", version = 9,
      } })
    end)
    unchanged(store, "invalid_argument", function() store:set_route("other", "$scripts") end)
    store:append("elsewhere", { type = "ScriptDeployed", data = store:last_event("$scripts").data })
    assert.equal(1, #store:script_history())
    store:delete_stream("$scripts")
    assert.equal(1, #store:script_history())
    assert.equal(100, store:last_event("o").data.cents)
  end)

  it("gets its scripts back from the history", function()
    local store = fresh()
    store:deploy { sources = { ORDER_1, linker(1, "c-") } }
    store:deploy { remove = "event_type/OrderPlaced" }
    assert.same({}, store:deploy { restore = true })
    local copy = fresh()
    for event in store:read():raw():stored():stream("$scripts"):each() do
      copy:append("$scripts", { type = event.type, data = event.data, time = event.time })
    end
    copy:append("o", order("ann", -1))
    assert.same({ "new linker/by_customer 1" },
      short(copy:deploy { restore = true, dry_run = true }))
    assert.same({}, copy:scripts())
    assert.same({ "new linker/by_customer 1" }, short(copy:deploy { restore = true }))
    copy:append("o", order("bob", 1))
    assert.equal(1, copy:read():stream("c-bob"):count())
    assert.equal(store:script("linker", "by_customer").hash, copy:scripts()[1].hash)
    assert.same({}, copy:deploy { restore = true })
  end)
end)

describe("a script by hand", function()
  local fresh = require("support.store")()

  it("says what it declares", function()
    local event_type <close> = tycho.script(ORDER_2, "order.lua")
    assert.same({ "event_type", "OrderPlaced", 2, { "OrderPlaced" }, { "order_placed" }, true,
      false, true }, { event_type.kind, event_type.name, event_type.version, event_type.types,
      event_type.former_names, event_type.has_schema, event_type.has_check, event_type.has_tags })
    local ready <close> = tycho.script('return linker { name = "t", version = 1, by = "type" }')
    assert.same({ true, "$by_type_", {} }, { ready.is_ready_made, ready.prefix, ready.types })
    assert.equal("tycho.Script: linker/t version 1", tostring(ready))
    assert.is_nil(ready.deployed_at)
  end)

  it("checks, tags and links events, written down or read", function()
    local store = fresh()
    store:deploy { sources = { ORDER_1, linker(1, "c-") } }
    local event_type = store:script("event_type", "OrderPlaced")
    assert.is_true(event_type:check(order("ann", 1)))
    local fits, err = event_type:check(order("ann", "1"))
    assert.is_nil(fits)
    assert.equal("data.total", err.path)
    store:append("o", order("ann", 1))
    local by = store:script("linker", "by_customer")
    assert.same({ tags = {}, links = { "c-ann" } }, by:expand(store:last_event("o")))
    assert.same({ tags = {}, links = {} }, by:expand { type = "Other" })
    assert.is_number(by.deployed_at)
    assert.is_nil(store:script("linker", "nobody"))
    by:close()
    assert.matches("script is closed", refusal.of(by.expand, by, order("a", 1)).message)
    refusal.with("invalid_argument", store.script, store, "route", "x")
    local new <close> = tycho.script(ORDER_2)
    assert.same({ cents = 700, customer = "x" }, new:upcast(order("x", 7), 1))
    refusal.with("invalid_argument", new.upcast, new, order("x", 7), 3)
    refusal.with("rejected", new.upcast, new, { type = "OrderPlaced" }, 1)
  end)

  it("raises what is wrong with its source", function()
    local err = refusal.with("rejected", tycho.script, "\nreturn linker { name = 1 }", "x.lua")
    assert.same({ "x.lua", 2 }, { err.script, err.line })
  end)
end)

describe("checking an event type against history", function()
  local fresh = require("support.store")()

  local function filled()
    local store = fresh()
    store:append("o", { type = "order_placed", data = { customer = "a", total = 1 }, time = 10 })
    store:append("o", { type = "OrderPlaced", data = { customer = "b" }, time = 20 })
    store:append("o", { type = "Other", data = {}, time = 30 })
    for i = 1, 2500 do
      store:append("o", { type = "OrderPlaced", data = { customer = "c", total = i }, time = 40 })
    end
    store:append("o", { type = "OrderPlaced", data = { customer = 5, total = 1 }, time = 50 })
    return store
  end

  it("tries every event under the version it has", function()
    local store, seen = filled(), {}
    local script <close> = tycho.script(ORDER_2)
    local found = store:check_history(script, { progress = function(done, total)
      seen[#seen + 1] = { done, total }
    end })
    assert.same({ 2503, 2 }, { found.events, found.refused })
    assert.same({ 2, 2504 }, { found.failures[1].position, found.failures[2].position })
    assert.equal("data.customer", found.failures[2].path)
    assert.same({ 2503, 2503 }, seen[#seen])
    store:deploy { sources = ORDER_2 }
    store:append("o", { type = "OrderPlaced", data = { customer = "z", cents = 1 } })
    assert.equal(2, store:check_history(script).refused)
    assert.equal(2504, store:check_history(store:script("event_type", "OrderPlaced")).events)
  end)

  it("tries only the last, or those since a time", function()
    local store = filled()
    local script <close> = tycho.script(ORDER_2)
    local last = store:check_history(script, { limit = 3 })
    assert.same({ 3, 1 }, { last.events, last.refused })
    local since = store:check_history(script, { since = 50, failures_max = 0 })
    assert.same({ 1, 1, {} }, { since.events, since.refused, since.failures })
  end)

  it("refuses what cannot be checked", function()
    local store = filled()
    local by <close> = tycho.script(linker(1, "c-"))
    refusal.with("invalid_argument", store.check_history, store, by)
    store:deploy { sources = ORDER_2 }
    local old <close> = tycho.script(ORDER_1)
    local err = refusal.with("rejected", store.check_history, store, old)
    assert.matches("give it version 3", err.message)
  end)
end)
