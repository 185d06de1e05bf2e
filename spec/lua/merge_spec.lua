--- store:merge: several streams become one while others write to them.

local between = require "support.between"
local plain = require "support.plain"
local refusal = require "support.refusal"
local switching = require "support.switching"

local fill, ids, read, raw = switching.fill, switching.ids, switching.read, switching.raw
local routes = switching.routes
local TABLES = { "tycho.switches" }

describe("store:merge", function()
  local fresh = require("support.store")()
  local store

  --- e1 to e20 in the order of positions, in turn in a, b and c.
  before_each(function()
    store = switching.prepare(fresh())
    for index = 1, 20 do fill(store, ({ "a", "b", "c" })[index % 3 + 1], "e", index, index) end
    store:set_route("r", "b")
  end)

  local merge, refuses, break_off = switching.calls("merge",
    { sources = { "a", "b", "c" }, target = "all", chunk = 4 }, function() return store end)

  it("links all sources in the order of positions, and leads all names to the target", function()
    for _, chunk in ipairs { 1, 4, 7, 5000 } do
      local target = "all" .. chunk
      local sources = chunk == 1 and { "a", "b", "c" } or nil
      if not sources then
        for _, name in ipairs { "a", "b", "c" } do store:set_route(name, nil) end
        store:set_route("r", "b")
      end
      local status = merge { sources = sources, target = target, chunk = chunk }
      assert.same({ "switched", 20, 20, 0, "r" },
        { status.phase, status.linked, status.total, status.left, status.routes[1] })
      assert.same(ids("e", 20), raw(store, target))
      assert.same({ a = target, b = target, c = target, r = target }, routes(store))
      assert.same(ids("e", 20), read(store, "r"))
      assert.equal(6, #raw(store, "a"))
    end
  end)

  it("ends when many entries are gone from the end of a source", function()
    fill(store, "a", "f", 2500)
    store:unlink("a", ids("f", 2500))
    merge {}
    assert.same(ids("e", 20), raw(store, "all"))
  end)

  it("keeps the order of what is published while the sources are opened", function()
    for moment = 1, 20 do
      local here, opened = fresh(), 0
      fill(here, "a", "f", 30)
      fill(here, "b", "e", 3)
      here:unlink("a", ids("f", 29, 2))
      function here.read(self)
        opened = opened + 1
        if opened == moment then
          fill(self, "a", "late a", 1)
          fill(self, "b", "late b", 1)
        end
        return store.read(self)
      end
      here:merge { sources = { "a", "b" }, target = "all", chunk = 10, pause = 0 }
      here.read = nil
      local merged, position = raw(here, "all"), 0
      for _, id in ipairs(merged) do
        assert.is_true(here:position(id) > position, id .. " in moment " .. moment)
        position = here:position(id)
      end
      assert.equal(here:head() - 28, #merged)
    end
  end)

  it("links an event that several sources have once", function()
    store:link("a", { "e1", "e2" })
    store:link("c", "e3")
    merge { chunk = 2 }
    assert.same(ids("e", 20), raw(store, "all"))
  end)

  it("keeps the order of each source, where links are out of the order of positions", function()
    fill(store, "x", "x", 3)
    store:link("y", { "x3", "x1" })
    merge { sources = { "y", "a" }, chunk = 2 }
    local order = {}
    for index, id in ipairs(raw(store, "all")) do order[id] = index end
    assert.is_true(order.x3 < order.x1)
    assert.is_true(order.e18 < order.x3)
  end)

  it("appends behind what the target has, and writers of the target go on", function()
    fill(store, "all", "t", 2)
    store:link("all", "e7")
    local count = 2
    merge { progress = function()
      count = count + 1
      store:append("all", { type = "t", id = "t" .. count })
    end }
    local found, own, others = raw(store, "all"), {}, {}
    for _, id in ipairs(found) do
      local list = id:find("^t") and own or others
      list[#list + 1] = id
    end
    assert.same({ "t1", "t2", "e7" }, table.move(found, 1, 3, 1, {}))
    assert.same(ids("t", count), own)
    local expected = ids("e", 20)
    table.remove(expected, 7)
    table.insert(expected, 1, "e7")
    assert.same(expected, others)
  end)

  it("loses nothing between any two batches", function()
    local count = 20
    local names = { "a", "b", "c", "r" }
    local function publish()
      count = count + 1
      fill(store, names[count % 4 + 1], "e", count, count)
    end
    local remove = between(store, { before = publish, after = publish })
    merge { progress = publish }
    remove()
    publish()
    assert.same(ids("e", count), raw(store, "all"))
    assert.same(ids("e", count), read(store, "c"))
  end)

  it("is continued after an error before or after any batch", function()
    for _, moment in ipairs { "before", "after" } do
      for number = 1, 7 do
        local here = fresh()
        for index = 1, 20 do fill(here, ({ "a", "b", "c" })[index % 3 + 1], "e", index, index) end
        local function go(sources)
          return here:merge { sources = sources, target = "all", chunk = 4, pause = 0,
            delete_source = true }
        end
        local died = switching.dies(here, moment, number, function() go { "a", "b", "c" } end)
        assert.equal(number <= 6, died)
        fill(here, "b", "e", 21, 21)
        assert.equal("deleted", go({ "c", "a", "b" }).phase)
        assert.same(ids("e", 21), raw(here, "all"))
        assert.same({ a = "all", b = "all", c = "all" }, routes(here))
        assert.same({}, raw(here, "a"))
        switching.check(here)
      end
    end
  end)

  it("can be cancelled, and takes out nothing that was there", function()
    local before = plain.dump(store).streams
    break_off(4)
    assert.equal(12, #raw(store, "all"))
    assert.equal("cancelled", merge({ cancel = true }).phase)
    assert.same(before, plain.dump(store).streams)
    assert.equal(-1, store:stream_version("all"))

    fill(store, "all", "t", 2)
    store:link("all", { "e3", "e20" })
    break_off(4)
    fill(store, "all", "t", 3, 3)
    store:link("all", "e19")
    merge { cancel = true }
    assert.same({ "t1", "t2", "e3", "e20", "t3", "e19" }, raw(store, "all"))
    assert.equal("switched", merge().phase)
    assert.equal(23, #raw(store, "all"))
    refuses("condition_failed", "has switched already", { cancel = true })
  end)

  it("leaves what others linked meanwhile when it is cancelled", function()
    local remove = between(store, { before = function(number)
      if number == 2 then store:link("all", { "e6", "e13" }) end -- e6 is in that batch
      if number == 3 then fill(store, "all", "t", 1) end
    end })
    break_off(4)
    remove()
    assert.same({ "e1", "e2", "e3", "e4", "e6", "e13", "t1", "e5", "e7", "e8", "e9", "e10", "e11",
      "e12" }, raw(store, "all"))
    merge { cancel = true }
    assert.same({ "e6", "e13", "t1" }, raw(store, "all"))
  end)

  it("takes out what came of a source that is gone when it is cancelled", function()
    break_off(4)
    store:delete_stream("b")
    refuses("not_found", '"b" does not exist', {})
    fill(store, "b", "x", 9)
    refuses("condition_failed", 'the stream "b" was deleted while it was merged', {})
    merge { cancel = true }
    assert.same({}, raw(store, "all"))
    assert.equal("switched", merge().phase)
    assert.equal(13 + 9, #raw(store, "all"))
  end)

  it("goes on from the beginning when its cancel was broken off", function()
    break_off(5)
    local function cancel() merge { cancel = true } end
    for number = 1, 2 do assert.is_true(switching.dies(store, "before", number, cancel)) end
    merge()
    assert.same(ids("e", 20), raw(store, "all"))
  end)

  it("changes nothing in a dry run", function()
    local before = plain.dump(store, TABLES)
    local status = merge { dry_run = true }
    assert.same({ "planned", 20, "r" }, { status.phase, status.left, status.routes[1] })
    assert.same(before, plain.dump(store, TABLES))
  end)

  it("closes the old names without forward", function()
    merge { forward = false }
    assert.same({ a = "closed all", b = "closed all", c = "closed all", r = "all" }, routes(store))
    refusal.with("denied", store.append, store, "c", { type = "t" })
  end)

  it("done once more, does nothing", function()
    merge()
    local before = plain.dump(store, TABLES)
    assert.equal("switched", merge({ sources = { "b", "a", "c" } }).phase)
    assert.same(before, plain.dump(store, TABLES))
  end)

  it("is refused when it makes no sense", function()
    refuses("not_found", '"nobody" does not exist', { sources = { "a", "nobody" } })
    refuses("invalid_argument", '"r" is a route', { sources = { "a", "r" } })
    refuses("invalid_argument", "the target is the source", { target = "b" })
    refuses("invalid_argument", 'sources names "a" twice', { sources = { "a", "b", "a" } })
    refuses("invalid_argument", "sources must be 1 to 64 streams, got 0", { sources = {} })
    refuses("invalid_argument", "sources must be 1 to 64 streams, got 65",
      { sources = ids("s", 65) })
    refuses("invalid_argument", "there is no option", { undo = true })
    store:set_route("all", "elsewhere")
    refuses("invalid_argument", '"all" is a route', {})
    store:set_route("all", nil)
    refuses("not_found", "no merge of", { cancel = true })
    break_off(2)
    refuses("busy", 'a merge of "a" to "all" is under way', { sources = { "a", "b" } })
    local err = refusal.with("busy", store.rename, store, { source = "a", target = "all" })
    assert.truthy(err.what:find('a merge of "a" to "all" is under way', 1, true))
    store:set_route("c", "elsewhere")
    refuses("invalid_argument", '"c" is a route', {})
    store:set_route("c", nil)
    store:delete_stream("a")
    fill(store, "a", "n", 1)
    refuses("condition_failed", 'the stream "a" was deleted while it was merged', {})
    merge { cancel = true }
    assert.equal("switched", merge().phase)
  end)

  it("notices that the target was deleted in between", function()
    for count = 2, 5 do
      break_off(count)
      store:delete_stream("all")
      for _ = 1, count > 2 and 2 or 1 do
        refuses("condition_failed", 'the stream "all" was deleted while it was merged into')
        store:append("all", { type = "t" })
      end
      merge { cancel = true }
      store:delete_stream("all")
    end
    merge {}
    assert.same(ids("e", 20), raw(store, "all"))
  end)

  it("notices a route that takes the place of a source in between", function()
    local is_done = false
    local remove = between(store, { before = function(number)
      if number ~= 2 or is_done then return end
      is_done = true
      store:set_route("c", "elsewhere")
    end })
    local err = refusal.with("condition_failed", merge)
    assert.truthy(err.what:find("routes", 1, true))
    remove()
  end)
end)
