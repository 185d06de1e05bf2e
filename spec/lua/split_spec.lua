--- store:split: a stream is distributed by a rule while others write to it.

local between = require "support.between"
local plain = require "support.plain"
local refusal = require "support.refusal"
local switching = require "support.switching"

local fill, ids, raw, routes = switching.fill, switching.ids, switching.raw, switching.routes
local TABLES = { "tycho.switches" }

--- Into n0, n1 and n2 by the number; every fifth event into none.
local function rule(event)
  local number = event:field("n")
  if number % 5 ~= 0 then return "n" .. number % 3 end
end

--- What the rule gives for e1 to e<last>.
local function expected(last)
  local streams = { n0 = {}, n1 = {}, n2 = {} }
  for number = 1, last do
    if number % 5 ~= 0 then table.insert(streams["n" .. number % 3], "e" .. number) end
  end
  return streams
end

describe("store:split", function()
  local fresh = require("support.store")()
  local store

  before_each(function()
    store = switching.prepare(fresh())
    fill(store, "a", "e", 20)
    store:set_route("r", "a")
  end)

  local split, refuses, break_off = switching.calls("split",
    { source = "a", rule = rule, chunk = 4 }, function() return store end)

  local function found(here)
    here = here or store
    return { n0 = raw(here, "n0"), n1 = raw(here, "n1"), n2 = raw(here, "n2") }
  end

  it("links each event by the rule, once, in order", function()
    local status = split { default = "later" }
    assert.same({ "switched", 16, "later", "r" },
      { status.phase, status.linked, status.target, status.routes[1] })
    assert.same(expected(20), found())
    assert.same({ a = "later", r = "later" }, routes(store))
    assert.same(ids("e", 20), raw(store, "a"))
    fill(store, "a", "e", 21, 21)
    assert.same({ "e21" }, raw(store, "later"))
  end)

  it("ends when many entries are gone from the end of the source", function()
    fill(store, "a", "f", 2500)
    store:unlink("a", ids("f", 2500))
    split()
    assert.same(expected(20), found())
  end)

  it("closes the names without a default", function()
    split()
    assert.same({ a = "closed a/rest", r = "closed a/rest" }, routes(store))
    refusal.with("denied", store.append, store, "a", { type = "t" })
    refusal.with("denied", store.append, store, "r", { type = "t" })
    assert.same(expected(20), found())
  end)

  it("may link into routes, streams that exist, and the default", function()
    fill(store, "n1", "t", 1)
    store:link("n2", "e2")
    store:set_route("n0", "zero")
    split { default = "n2" }
    local all = expected(20)
    table.insert(all.n1, 1, "t1")
    assert.same(all.n1, raw(store, "n1"))
    assert.same(all.n2, raw(store, "n2"))
    assert.same(all.n0, raw(store, "zero"))
  end)

  it("loses nothing between any two batches", function()
    local count = 20
    local function publish()
      count = count + 1
      fill(store, count % 2 == 0 and "a" or "r", "e", count, count)
    end
    -- The last batch is made anew while a publisher is faster, so these pause at times.
    local remove = between(store, { before = function(number)
      if number % 3 ~= 0 then publish() end
    end, after = publish })
    split { default = "later" }
    remove()
    local last = #raw(store, "a")
    assert.is_true(last > 20)
    assert.same(expected(last), found())
    assert.same(ids("e", count, last + 1), raw(store, "later"))
  end)

  it("links what comes in the moment of the switch into the default, at the worst", function()
    local count = 20
    local remove = between(store, { before = function()
      count = count + 1
      fill(store, "a", "e", count, count)
    end })
    split { default = "later", chunk = 5000 }
    remove()
    assert.equal(count, #raw(store, "a"))
    assert.same(expected(count - 1), found())
    assert.same({ "e" .. count }, raw(store, "later"))
  end)

  it("gives up without a default, when publishers are always faster", function()
    local count = 20
    local remove = between(store, { before = function()
      count = count + 1
      fill(store, "a", "e", count, count)
    end })
    local err = refusal.with("busy", split, { chunk = 5000 })
    assert.truthy(err.what:find("publishers write faster than the split", 1, true))
    remove()
    split()
    assert.same(expected(count), found())
  end)

  it("is continued after an error before or after any batch, with the same rule", function()
    for _, moment in ipairs { "before", "after" } do
      for number = 1, 7 do
        local here = fresh()
        fill(here, "a", "e", 20)
        local function go()
          return here:split { source = "a", rule = rule, default = "later", chunk = 4, pause = 0,
            delete_source = true, rule_version = "1" }
        end
        assert.equal(number <= 6, switching.dies(here, moment, number, go))
        assert.equal("deleted", go().phase)
        assert.same(expected(20), found(here))
        assert.same({}, raw(here, "a"))
        assert.equal(20, here:head())
        switching.check(here)
      end
    end
  end)

  it("names the event at which the rule fails, and goes on with a better one", function()
    local function failing(event)
      if event:field("n") == 7 then error("no seven") end
      return rule(event)
    end
    local err = refusal.with("invalid_argument", split, { rule = failing })
    local place = "the rule failed at the event e7 (position 7, revision 6): "
    assert.truthy(err.what:find(place, 1, true))
    assert.truthy(err.what:find("no seven", 1, true))
    assert.equal(4, #raw(store, "n0") + #raw(store, "n1") + #raw(store, "n2") + 0)
    for answer, text in pairs {
      [5] = "it gave number", [""] = "it gave an empty string", [true] = "it gave boolean",
      a = '"a" is the stream that is split', r = '"r" is the stream that is split',
    } do
      local problem = refusal.with("invalid_argument", split,
        { rule = function() return answer end })
      assert.truthy(problem.what:find(text, 1, true), problem.what)
    end
    refusal.with("invalid_argument", split, { rule = function() return "x\ny" end })
    split()
    assert.same(expected(20), found())
  end)

  it("can be cancelled with the same rule", function()
    local before = plain.dump(store).streams
    break_off(4)
    assert.is_true(#raw(store, "n1") > 0)
    assert.equal("cancelled", split({ cancel = true }).phase)
    assert.same(before, plain.dump(store).streams)
    refuses("not_found", 'no split of "a" is under way', { cancel = true })
    split()
    refuses("condition_failed", "has switched already", { cancel = true })
  end)

  it("does not take an event out of its home when it is cancelled", function()
    fill(store, "n1", "t", 1)
    store:link("a", "t1")
    fill(store, "a", "e", 30, 21)
    break_off(6, { rule = function() return "n1" end, chunk = 5 })
    split { cancel = true, rule = function() return "n1" end }
    assert.same({ "t1" }, raw(store, "n1"))
  end)

  it("leaves what was there, and what others linked, when it is cancelled", function()
    fill(store, "n1", "t", 2)
    store:link("n1", { "e1", "e13" })
    local remove = between(store, { before = function(number)
      if number == 2 then store:link("n2", { "e8", "e14" }) end -- e8 is in that batch
      if number == 3 then store:append("n2", { type = "t", id = "t3" }) end
    end })
    break_off(4)
    remove()
    assert.same({ "t1", "t2", "e1", "e13", "e4", "e7", "e16" }, raw(store, "n1"))
    assert.same({ "e8", "e14", "t3", "e2", "e11" }, raw(store, "n2"))
    split { cancel = true, rule = error }
    assert.same({ "t1", "t2", "e1", "e13" }, raw(store, "n1"))
    assert.same({ "e8", "e14", "t3" }, raw(store, "n2"))
    assert.same({}, raw(store, "n0"))
    store:unlink("n2", { "e8", "e14", "t3" })
    store:unlink("n1", { "t1", "t2", "e1", "e13" })
    split()
    assert.same(expected(20), found())
  end)

  it("goes on from the beginning when its cancel was broken off", function()
    break_off(4)
    local function cancel() split { cancel = true } end
    for number = 1, 3 do assert.is_true(switching.dies(store, "before", number, cancel)) end
    split()
    assert.same(expected(20), found())
  end)

  it("notices that a target was deleted in between", function()
    for count = 2, 5 do
      break_off(count)
      store:delete_stream("n1")
      for _ = 1, 2 do
        refuses("condition_failed", 'the stream "n1" was deleted while it was split into')
        fill(store, "n1", "t" .. count .. store:head(), 30)
      end
      split { cancel = true }
      store:delete_stream("n1")
    end
    split()
    assert.same(expected(20), found())
  end)

  it("changes nothing in a dry run", function()
    local before = plain.dump(store, TABLES)
    local status = split { dry_run = true, default = "later" }
    assert.same({ "planned", 20, "r" }, { status.phase, status.left, status.routes[1] })
    assert.same(before, plain.dump(store, TABLES))
  end)

  it("done once more, does nothing", function()
    split { default = "later" }
    local before = plain.dump(store, TABLES)
    assert.equal("switched", split({ default = "later" }).phase)
    assert.same(before, plain.dump(store, TABLES))
  end)

  it("is refused when it makes no sense", function()
    refuses("not_found", '"nobody" does not exist', { source = "nobody" })
    refuses("invalid_argument", '"r" is a route', { source = "r" })
    refuses("invalid_argument", "the target is the source", { default = "a" })
    refuses("invalid_argument", "rule must be a function", { rule = "x" })
    refuses("invalid_argument", "rule_version must be a string", { rule_version = 5 })
    store:set_route("b", "elsewhere")
    refuses("invalid_argument", '"b" is a route', { default = "b" })
    break_off(2, { rule_version = "1" })
    refuses("condition_failed", 'the split of "a" was begun with another rule',
      { rule_version = "2" })
    store:delete_stream("a")
    fill(store, "a", "n", 1)
    refuses("condition_failed", 'the stream "a" was deleted while it was split',
      { rule_version = "1" })
  end)

  it("notices a route that takes the place of the source in between", function()
    local remove = between(store, { before = function(number)
      if number == 2 then store:set_route("a", "elsewhere") end
    end })
    local err = refusal.with("condition_failed", split, {})
    assert.truthy(err.what:find("routes", 1, true))
    remove()
  end)
end)
