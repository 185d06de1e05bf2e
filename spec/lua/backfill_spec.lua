--- store:backfill: a linker is deployed with its older events, and its streams are those of a store
--- that had it from the start.
local backfilling = require "support.backfilling"
local plain = require "support.plain"
local refusal = require "support.refusal"
local unchanged = require "support.unchanged"

local fill, streams, expected = backfilling.fill, backfilling.streams, backfilling.expected
local break_off = backfilling.break_off
local V1, V2 = backfilling.VERSION_1, backfilling.VERSION_2

local BY_TYPE = [[return linker { name = "by_type", version = 1, by = "type" }]]
local TO_BIG = [[
return linker { name = "big", version = %d, streams = "*", to = function(event)
  if event.data.number %% %d ~= 0 then return "big" end
end }]]

describe("store:backfill", function()
  local fresh = require("support.store")()
  local store
  before_each(function() store = fresh() end)

  local function check(...) backfilling.check(store, ...) end

  it("links the older events of a new linker, and then those that are appended", function()
    fill(store, 1, 2500)
    local status = store:backfill { source = V1, chunk = 100 }
    assert.same({ "done", "by_customer", 1, false },
      { status.phase, status.name, status.version, status.is_beside })
    fill(store, 2501, 2600)
    check(V1)
    local total = 0
    for name in store:streams { prefix = "customer-" } do
      total = total + store:read():stream(name):count()
    end
    total = total + store:read():stream("paid"):count()
    assert.is_true(status.linked > 1000 and total > status.linked)
    assert.equal(1, store:script("linker", "by_customer").version)
  end)

  it("deploys into an empty store", function()
    assert.equal("done", store:backfill { source = V1 }.phase)
    fill(store, 1, 50)
    check(V1)
  end)

  it("links what is appended between two of its batches", function()
    fill(store, 1, 1500)
    local next_number = 1501
    store:backfill { source = V1, chunk = 200, pause = 0, progress = function()
      fill(store, next_number, next_number + 49)
      next_number = next_number + 50
    end }
    fill(store, next_number, next_number + 10)
    check(V1)
  end)

  it("goes on where it was broken off", function()
    fill(store, 1, 3000)
    break_off(store, { source = V1, chunk = 300 }, 3)
    assert.is_nil(store:script("linker", "by_customer"))
    fill(store, 3001, 3100)
    local before = store:backfill { source = V1, dry_run = true }
    assert.equal("planned", before.phase)
    assert.is_true(before.position >= 900 and before.left < 3100 - 900)
    assert.equal("done", store:backfill { linker = "by_customer" }.phase)
    check(V1)
  end)

  it("runs ready-made linkers", function()
    fill(store, 1, 1200)
    store:backfill { source = BY_TYPE }
    check(BY_TYPE)
    assert.equal(store:read():of_type("OrderSent"):count(),
      store:read():stream("$by_type_OrderSent"):count())
  end)

  it("makes the streams of a changed linker anew, and takes out what it does not give any more",
    function()
      fill(store, 1, 2500)
      store:backfill { source = V1 }
      fill(store, 2501, 2800)
      local status = store:backfill { source = V2, chunk = 500 }
      assert.same({ "done", true, 2 }, { status.phase, status.is_beside, status.version })
      assert.is_true(status.unlinked > 0 and status.linked > 0)
      fill(store, 2801, 2900)
      check(V2)
    end)

  it("leaves the streams of the old version alone until the new one is deployed", function()
    fill(store, 1, 1500)
    store:backfill { source = V1 }
    local before = expected(store, V1)
    break_off(store, { source = V2, chunk = 500 }, 2)
    local now = streams(store)
    for name in pairs(now) do if name:find("^%$backfill") then now[name] = nil end end
    assert.same(before, now)
    fill(store, 1501, 1600)
    store:backfill { linker = "by_customer" }
    check(V2)
  end)

  it("back-fills a linker that was deployed without", function()
    fill(store, 1, 1500)
    store:deploy { sources = V1 }
    fill(store, 1501, 2000)
    assert.equal("done", store:backfill { linker = "by_customer" }.phase)
    check(V1)
    local again = store:backfill { source = V1 }
    assert.same({ "done", 0, 0 }, { again.phase, again.linked, again.unlinked })
    check(V1)
  end)

  --- The streams that readers know.
  local function known_streams()
    local known = streams(store)
    for name in pairs(known) do if name:find("^%$backfill") then known[name] = nil end end
    return known
  end

  --- Streams are those of the deployed version, whichever that is.
  local function check_deployed()
    local version = store:script("linker", "by_customer").version
    assert.same(expected(store, version == 1 and V1 or V2), known_streams())
    return version
  end

  it("shows the streams of the old version up to its last batch, and of the new one from it on",
    function()
      fill(store, 1, 900)
      store:backfill { source = V1 }
      local next_number, seen, phases = 901, {}, {}
      store:backfill { source = V2, chunk = 150, pause = 0, progress = function(status)
        if next_number < 1300 then fill(store, next_number, next_number + 19) end
        next_number = next_number + 20
        seen[check_deployed()] = true
        phases[status.phase] = true
      end }
      assert.same({ true, true }, seen)
      assert.is_true(phases.linking and phases.preparing and phases.done)
      check(V2)
    end)

  it("goes on where it was broken off, after whichever of its batches", function()
    fill(store, 1, 1800)
    store:backfill { source = V1 }
    local is_over, steps, number = false, 0, 1801
    while not is_over do
      local left = 2
      is_over = pcall(store.backfill, store, { source = V2, chunk = 100, progress = function()
        left = left - 1
        if left < 0 then error("stopped here", 0) end
      end })
      check_deployed()
      steps = steps + 1
      fill(store, number, number)
      number = number + 1
    end
    assert.is_true(steps > 5)
    check(V2)
  end)

  --- Linkers to more streams than one batch exchanges.
  local function to_many(version, prefix)
    return ([[return linker { name = "many", version = %d, streams = "*", to = function(event)
      if event.data.number %% %d ~= 0 then return "m-" .. event.data.number %% 3000 end
    end }]]):format(version, prefix)
  end

  it("exchanges the streams that do not fit into its last batch behind it", function()
    local V1_MANY, V2_MANY = to_many(1, 7), to_many(2, 2)
    fill(store, 1, 6000)
    store:backfill { source = V1_MANY }
    local mended, number = 0, 6001
    local ok = pcall(store.backfill, store, { source = V2_MANY, progress = function(status)
      if status.phase ~= "mending" then return end
      fill(store, number, number + 50)
      number = number + 51
      mended = mended + 1
      assert.is_true(status.left > 0 and status.left < 3000)
      error("stopped here", 0)
    end })
    assert.same({ false, 1 }, { ok, mended })
    assert.equal(2, store:script("linker", "many").version)
    refusal.with("condition_failed", store.backfill, store, { linker = "many", cancel = true })
    fill(store, number, number + 99)
    store:backfill { linker = "many" }
    check(V2_MANY)
  end)

  --- "prepared": all streams are, and the next batch is the last one.
  local function is_time(status, when)
    if when ~= "prepared" then return status.phase == when and status.position >= 200 end
    return status.phase == "preparing" and status.left == 0
  end

  it("notices what is done to its streams while they are made anew", function()
    local done_to = {
      function(name) store:delete_stream(name) end,
      function(name) store:truncate(name, 3) end,
      function(name)
        store:unlink(name, store:read():stream(name):of_type("OrderPlaced"):first().id)
      end,
      function(name)
        store:delete_stream(name)
        store:link(name, { "e1", "e2", "e3" })
      end,
    }
    for index, act in ipairs(done_to) do
      for _, when in ipairs { "linking", "preparing", "prepared" } do
        store = fresh()
        fill(store, 1, 1800)
        store:backfill { source = V1 }
        local kept, count
        store:backfill { source = V2, chunk = 100, progress = function(status)
          if kept or not is_time(status, when) then return end
          act("customer-3")
          kept, count = true, store:read():stream("customer-3"):count()
        end }
        assert.is_true(kept, when)
        --- What is left of it, and what it lacked; nothing that was taken out comes back.
        local now = store:read():stream("customer-3"):count()
        assert.is_true(now < #expected(store, V2)["customer-3"], ("%d in %s"):format(index, when))
        assert.is_true(now >= 0 and count >= 0)
        local all = expected(store, V2)
        local others = streams(store)
        all["customer-3"], others["customer-3"] = nil, nil
        if when ~= "linking" then assert.same(all, others) end
        backfilling.check_clean(store)
      end
    end
  end)

  --- Exchanges the linker in a new store, acts once in each phase of that, and then judges.
  local function disturb_each_phase(act, judge)
    for _, when in ipairs { "linking", "preparing", "prepared" } do
      store = fresh()
      fill(store, 1, 1800)
      store:backfill { source = V1 }
      local is_done = false
      store:backfill { source = V2, chunk = 100, progress = function(status)
        if is_done or not is_time(status, when) then return end
        act()
        is_done = true
      end }
      assert.is_true(is_done)
      judge()
      backfilling.check_clean(store)
    end
  end

  it("leaves a stream alone to which somebody appends while it is made anew", function()
    disturb_each_phase(function()
      store:append("customer-3", { id = "home", type = "Noted" })
    end, function()
      local found, wanted = {}, {}
      for _, id in ipairs(backfilling.ids(store, "customer-3")) do found[id] = true end
      for _, entry in ipairs(expected(store, V2)["customer-3"]) do
        wanted[entry:match("^[^@]*")] = true
      end
      assert.same(wanted, found)
    end)
  end)

  it("follows a stream that is renamed while it is made anew", function()
    disturb_each_phase(function()
      store:rename { source = "customer-3", target = "three", delete_source = true }
    end, function()
      local wanted = expected(store, V2)
      wanted["three"], wanted["customer-3"] = wanted["customer-3"], nil
      local found = streams(store)
      assert.same(wanted["three"], found["three"])
      assert.same(wanted, found)
    end)
  end)

  it("makes a stream anew that has more entries than a batch", function()
    fill(store, 1, 14000)
    store:backfill { source = TO_BIG:format(1, 3) }
    local big = TO_BIG:format(2, 5)
    store:set_stream_metadata("big", { kept = true })
    local status = store:backfill { source = big }
    assert.same({ 14000 // 3 - 14000 // 15, 14000 // 5 - 14000 // 15 },
      { status.linked, status.unlinked })
    assert.same({ kept = true }, store:stream_metadata("big"))
    fill(store, 14001, 14020)
    check(big)
  end)

  it("takes out nothing that another linker gives", function()
    local other = V1:gsub("by_customer", "other")
    fill(store, 1, 1200)
    store:backfill { source = V1 }
    store:backfill { source = other }
    store:backfill { source = V2 }
    local all = streams(store)
    assert.same(expected(store, other, V2), all)
    backfilling.check_clean(store)
  end)

  it("keeps the entries of a stream that has home events, and links older ones behind", function()
    fill(store, 1, 1100)
    store:append("customer-3", { id = "home", type = "Noted" })
    store:deploy { sources = V1 }
    local before = expected(store, V1)["customer-3"]
    store:backfill { linker = "by_customer" }
    local found = backfilling.ids(store, "customer-3")
    assert.equal("home", found[1])
    assert.equal(#before, #found)
    local stream = store:read():stream("customer-3"):raw()
    assert.equal(0, stream:first().revision)
  end)

  it("takes no event out of the stream that it was appended to", function()
    local source = [[return linker { name = "l", version = %d, streams = "*", to = function(event)
      local tags = event.tags
      return #tags > 0 and %s or {}
    end }]]
    store:append("s-1", { id = "a", type = "T", tags = { "tag", "x-1" } })
    store:backfill { source = source:format(1, '{ "s-1", "other", "third" }') }
    store:backfill { source = source:format(2, '{ "other" }') }
    assert.same({ other = { "a@0" }, ["s-1"] = { "a@0" } }, streams(store))
    backfilling.check_clean(store)
  end)

  it("reads events by tags and category as when they were appended", function()
    local source = [[return linker { name = "l", version = 1,
      from = { category = "orders", tags = { "vip", "eu" } },
      streams = "given", to = function() return "given" end }]]
    store:append("orders-1", { id = "a", type = "T", tags = { "eu", "vip" } })
    store:append("orders-1", { id = "b", type = "T", tags = { "eu", "viper" } })
    store:append("others-1", { id = "c", type = "T", tags = { "eu", "vip" } })
    store:append("orders-2", { id = "d", type = "T", tags = { "a", "eu", "vip" } })
    store:append("orders-2", { id = "e", type = "T" })
    store:backfill { source = source }
    assert.same({ "a@0", "d@1" }, streams(store).given)
    backfilling.check_clean(store)
  end)

  it("follows routes as writers do", function()
    fill(store, 1, 1200)
    store:set_route("customer-5", "five")
    store:backfill { source = V1 }
    local wanted = expected(store, V1)
    assert.same(wanted["customer-5"], streams(store)["five"])
    store:backfill { source = V2 }
    assert.same(expected(store, V2)["customer-5"], streams(store)["five"])
    backfilling.check_clean(store)
  end)

  it("takes out nothing that the new version gives by another name of the stream", function()
    local by_route = V1:gsub("version = 1", "version = 2"):gsub('"customer%-" %.%.', '"c-" ..')
      :gsub('"customer%-%*"', '"c-*"')
    fill(store, 1, 1200)
    for number = 0, 10 do store:set_route("c-" .. number, "customer-" .. number) end
    store:backfill { source = V1 }
    local before = streams(store)
    assert.same({ 0, 0 }, { store:backfill { source = by_route }.unlinked,
      store:backfill { linker = "by_customer" }.linked })
    assert.same(before, streams(store))
    backfilling.check_clean(store)
  end)

  it("is cancelled, and takes out what it had linked", function()
    fill(store, 1, 3000)
    local before = streams(store)
    break_off(store, { source = V1, chunk = 400 }, 4)
    fill(store, 3001, 3010)
    assert.equal("cancelled", store:backfill { linker = "by_customer", cancel = true }.phase)
    assert.same(expected(store), streams(store))
    assert.is_nil(store:script("linker", "by_customer"))
    assert.not_same(before, streams(store))
    store:backfill { source = V1 }
    check(V1)
  end)

  it("is cancelled beside streams that are in use, which stay as they are", function()
    fill(store, 1, 2000)
    store:backfill { source = V1 }
    break_off(store, { source = V2, chunk = 400 }, 3)
    assert.equal("cancelled", store:backfill { source = V2, cancel = true }.phase)
    check(V1)
    unchanged(store, "not_found", function()
      store:backfill { linker = "by_customer", cancel = true }
    end)
  end)

  it("says what would be done, and changes nothing", function()
    fill(store, 1, 100)
    local before = plain.dump(store, { "tycho.backfills" })
    local status = store:backfill { source = V1, dry_run = true }
    assert.same({ "planned", 0, 100, "by_customer" },
      { status.phase, status.position, status.left, status.name })
    assert.same(before, plain.dump(store, { "tycho.backfills" }))
  end)
end)
