--- store:rename: a stream gets another name while others write to it.

local between = require "support.between"
local plain = require "support.plain"
local random = require "support.random"
local refusal = require "support.refusal"
local switching = require "support.switching"
local tycho = require "tycho"
local unchanged = require "support.unchanged"

local fill, ids, read, raw = switching.fill, switching.ids, switching.read, switching.raw
local routes, entries = switching.routes, switching.entries
local TABLES = { "tycho.switches" }

describe("store:rename", function()
  local fresh = require("support.store")()
  local store

  before_each(function()
    store = switching.prepare(fresh())
    fill(store, "a", "e", 12)
  end)

  local rename, refuses, break_off = switching.calls("rename",
    { source = "a", target = "b", chunk = 3 }, function() return store end)

  describe("when nobody writes", function()
    it("gives the target all entries, and leads all names to it", function()
      store:set_route("r", "a")
      store:set_route("rr", "r")
      store:set_route("other", "elsewhere")
      local status = rename {}
      assert.same({
        kind = "rename", sources = { "a" }, target = "b", phase = "switched", forward = true,
        linked = 12, total = 12, left = 0, routes = { "r", "rr" },
      }, status)
      assert.same({ a = "b", r = "b", rr = "b", other = "elsewhere" }, routes(store))
      assert.same(ids("e", 12), raw(store, "b"))
      for _, name in ipairs { "a", "b", "r", "rr" } do
        assert.same(ids("e", 12), read(store, name))
      end
      assert.same(ids("e", 12), raw(store, "a"))
    end)

    it("carries revisions over, with their gaps, at the beginning and the end too", function()
      store:unlink("a", { "e5", "e6", "e9", "e12" })
      store:truncate("a", 2)
      local before = entries(store, "a")
      rename { chunk = 2 }
      assert.same(before, entries(store, "b"))
      assert.equal(11, store:stream_version("b"))
      assert.equal(12, store:append("a", { type = "t" }, { expected_version = 11 })
        .results[1].first_revision)
    end)

    it("does so when more entries than a chunk has are gone from the end", function()
      store:unlink("a", { "e9", "e10", "e11", "e12" })
      local before = entries(store, "a")
      rename { chunk = 2 }
      assert.same(before, entries(store, "b"))
      assert.equal(11, store:stream_version("b"))
    end)

    it("does so when only one entry is left", function()
      store:truncate("a", 11)
      rename {}
      assert.same({ "11 e12" }, entries(store, "b"))
    end)

    it("takes links over like other entries; an event's home keeps its name", function()
      fill(store, "home", "h", 2)
      store:link("a", { "h2", "h1" })
      rename {}
      assert.same({ "e12", "h2", "h1" }, table.move(raw(store, "b"), 12, 14, 1, {}))
      assert.equal("home", store:event("h1").stream)
      assert.equal("a", store:event("e1").stream)
      assert.same({ "a", "b" }, store:streams_of("e1"))
      assert.same(ids("e", 12), plain.each(store:read():stream(store:event("e1").stream)
        :limit(12):all()))
    end)

    it("puts the metadata of the source on the target", function()
      store:set_stream_metadata("a", { keep = 3 })
      store:set_stream_metadata("b", "prepared")
      rename {}
      assert.same({ keep = 3 }, store:stream_metadata("b"))
      assert.same({ keep = 3 }, store:stream_metadata("a", { raw = true }))
    end)

    it("works in one step, in steps of one entry, and from a name that is a route", function()
      store:set_route("b", "a")
      store:set_route("r", "b")
      rename { chunk = 1 }
      assert.same({ a = "b", r = "b" }, routes(store))
      assert.same(ids("e", 12), raw(store, "b"))
      rename { source = "b", target = "c", chunk = 10000 }
      assert.same({ a = "c", b = "c", r = "c" }, routes(store))
    end)

    it("re-points many routes, straight and over others, and keeps closed ones closed", function()
      local expected = { a = "b" }
      store:batch(function(batch)
        for index = 1, 400 do
          local name = "r" .. index
          batch:set_route(name, index % 7 == 0 and "r" .. index - 1 or "a",
            { closed = index % 5 == 0 })
          expected[name] = (index % 5 == 0 and "closed " or "") .. "b"
        end
      end)
      assert.equal(400, #rename({}).routes)
      assert.same(expected, routes(store))
    end)

    it("reports where it is", function()
      local seen = {}
      rename { progress = function(status)
        seen[#seen + 1] = ("%s %d/%d"):format(status.phase, status.linked, status.total)
        if status.linked > 0 and status.phase == "linking" then
          assert.is_true(status.rate > 0 and status.eta >= 0)
        end
      end }
      assert.same({ "linking 0/12", "linking 3/12", "linking 6/12", "linking 9/12",
        "switched 12/12" }, seen)
    end)

    it("done once more, does nothing", function()
      rename {}
      local before = plain.dump(store, TABLES)
      assert.equal("switched", rename({}).phase)
      assert.same(before, plain.dump(store, TABLES))
    end)

    it("can be driven step by step", function()
      local stream_switch = require "tycho.stream_switch"
      local switch <close> = stream_switch.prepare(store, "rename",
        { source = "a", target = "b", chunk = 5 })
      assert.equal("linking", switch:status().phase)
      local steps = 0
      repeat
        switch:step()
        steps = steps + 1
        fill(store, "a", "x", steps, steps)
      until switch:is_done()
      assert.equal("switched", switch:step().phase)
      assert.equal(12 + steps, store:read():stream("b"):count())
    end)

    it("changes nothing in a dry run, and says what it would do", function()
      store:set_route("r", "a")
      local before = plain.dump(store, TABLES)
      local status = rename { dry_run = true }
      assert.same({ "planned", 0, 12, 12, "r" },
        { status.phase, status.linked, status.total, status.left, status.routes[1] })
      rename { dry_run = true, delete_source = true }
      assert.same(before, plain.dump(store, TABLES))
      break_off(3)
      before = plain.dump(store, TABLES)
      assert.equal(6, rename({ dry_run = true }).left)
      rename { dry_run = true, cancel = true }
      assert.same(before, plain.dump(store, TABLES))
    end)
  end)

  describe("while others write", function()
    it("loses nothing between any two batches, whatever name they use", function()
      store:set_route("r", "a")
      local names, count = { "a", "r", "a", "b" }, 12
      local function publish(number)
        local name = names[number % 4 + 1]
        -- Before the switch the target's own name is not theirs.
        if name == "b" and not store:route("a") then name = "a" end
        count = count + 1
        store:append(name, { type = "t", id = "e" .. count }, { expected_version = count - 2 })
      end
      local remove = between(store, { before = publish, after = publish })
      rename { progress = function() publish(#raw(store, "a")) end }
      remove()
      for number = 1, 4 do publish(number) end
      assert.same(ids("e", count), read(store, "a"))
      assert.same(ids("e", count), raw(store, "b"))
      assert.equal(count - 1, store:stream_version("r"))
    end)

    it("refuses a publisher of an old version the same before and after", function()
      local function fails()
        local err = refusal.with("wrong_expected_version", store.append, store, "a", { type = "t" },
          { expected_version = 5 })
        assert.equal(11, err.actual)
      end
      fails()
      rename { progress = fails }
      fails()
      assert.equal(12, store:read():stream("b"):count())
    end)

    it("takes larger chunks when they are faster than it", function()
      local count, steps = 12, 0
      rename { chunk = 1, progress = function(status)
        if status.phase ~= "linking" or steps >= 12 then return end
        steps = steps + 1
        fill(store, "a", "e", count + 20, count + 1)
        count = count + 20
      end }
      assert.equal(12, steps)
      assert.same(ids("e", count), raw(store, "b"))
    end)

    it("links on when too much came before the last batch", function()
      local list, is_done = {}, false
      for index = 1, 10001 do list[index] = { type = "t", id = "x" .. index } end
      local remove = between(store, { before = function()
        if is_done or store:read():stream("b"):raw():count() < 9 then return end
        is_done = true
        store:append("a", table.move(list, 1, 10000, 1, {}))
        store:append("a", list[10001])
      end })
      rename {}
      remove()
      assert.is_true(is_done)
      assert.equal(10013, store:read():stream("b"):count())
      assert.equal(10012, store:revision("x10001", "b"))
    end)

    it("gives up when they are faster again and again, and goes on later", function()
      local number = 0
      local function publish()
        number = number + 1
        store:set_route("r" .. number % 2, "a")
        store:set_route("r" .. (number + 1) % 2, nil)
      end
      publish()
      local remove = between(store, { before = function()
        if #raw(store, "b") >= 9 then publish() end
      end })
      local err = refusal.with("busy", rename, {})
      remove()
      assert.truthy(err.what:find("faster", 1, true))
      assert.is_nil(store:route("a"))
      assert.equal("switched", rename({}).phase)
    end)

    it("takes routes along that are re-pointed in the moment of the switch", function()
      store:set_route("r", "a")
      store:set_route("s", "elsewhere")
      local is_done = false
      local remove = between(store, { before = function()
        if is_done or #raw(store, "b") < 9 then return end
        is_done = true
        store:set_route("r", "elsewhere")
        store:set_route("s", "a")
      end })
      rename {}
      remove()
      assert.same({ a = "b", r = "elsewhere", s = "b" }, routes(store))
    end)

    it("keeps what it promises in random histories", function()
      local seed = math.tointeger(tonumber(os.getenv("SEED") or os.time()))
      for round = 1, 40 do
        local chance, count = random.new(seed + round), 0
        local here = fresh()
        here:set_route("r", "a")
        local function publish()
          for _ = 1, chance:between(0, 4) do
            count = count + 1
            here:append(chance:one { "a", "r" }, { type = "t", id = "e" .. count },
              { expected_version = count == 1 and "none" or count - 2 })
          end
        end
        local function maybe_die()
          publish()
          if chance:between(1, 12) == 1 then error("died", 0) end
        end
        while count == 0 do publish() end
        local remove = between(here, { before = maybe_die, after = maybe_die })
        local source, target = "a", "b"
        for _ = 1, 3 do
          local ok, status
          repeat
            ok, status = pcall(here.rename, here, { source = source, target = target,
              chunk = chance:between(1, 5), pause = 0, progress = maybe_die })
            if not ok then assert.equal("died", status, "seed " .. seed + round) end
          until ok
          source, target = target, source
        end
        remove()
        publish()
        assert.same(ids("e", count), read(here, "a"), "seed " .. seed + round)
        assert.same(ids("e", count), raw(here, "b"), "seed " .. seed + round)
        assert.same({ a = "b", r = "b" }, routes(here))
        switching.check(here)
      end
    end)
  end)

  describe("is refused", function()
    it("when the source is not a stream with entries", function()
      refuses("not_found", '"nobody" does not exist', { source = "nobody" })
      store:truncate("a", 12)
      refuses("not_found", '"a" has no entries', {})
    end)

    it("when a name is a route to something else", function()
      store:set_route("r", "a")
      refuses("invalid_argument", '"r" is a route: it leads to the stream "a"', { source = "r" })
      store:set_route("b", "elsewhere")
      refuses("invalid_argument", '"b" is a route: it leads to the stream "elsewhere"', {})
    end)

    it("when more routes lead to the source than one batch can re-point", function()
      for part = 0, 1 do
        store:batch(function(batch)
          for index = 1, 4951 do batch:set_route("r" .. part .. "." .. index, "a") end
        end)
      end
      refuses("too_large", '9902 routes lead to "a", and one batch re-points at most 9900')
      store:batch(function(batch) batch:set_route("r0.1", nil):set_route("r1.1", nil) end)
      assert.equal(9900, #rename({ chunk = 10 }).routes)
    end)

    it("when the target has entries, or had some", function()
      fill(store, "b", "x", 1)
      refuses("wrong_expected_version", 'the stream "b" has 1 entries of its own', {})
      store:unlink("b", "x1")
      refuses("wrong_expected_version", '"b" has been written to before', {})
      store:delete_stream("b")
      assert.equal("switched", rename({}).phase)
    end)

    it("when it makes no sense", function()
      local cases = {
        [{ target = "a" }] = "the target is the source",
        [{ target = "" }] = "target must be a string that is not empty",
        [{ source = 5 }] = "source must be a string",
        [{ target = "x\ny" }] = "name",
        [{ target = ("x"):rep(256) }] = "name",
        [{ chunk = 0 }] = "chunk must be an integer of at least 1",
        [{ chunk = 10001 }] = "chunk must be at most 10000, got 10001",
        [{ pause = -1 }] = "pause must be a number of seconds",
        [{ lock_timeout = "x" }] = "lock_timeout must be a number of seconds",
        [{ progress = 1 }] = "progress must be a function",
        [{ forward = 1 }] = "forward must be true or false",
        [{ undo = true, cancel = true }] = "exclude each other",
        [{ undo = true, delete_source = true }] = "exclude each other",
        [{ keep = true }] = "there is no option",
      }
      for options, text in pairs(cases) do
        local given = { source = "a", target = "b" }
        for name, value in pairs(options) do given[name] = value end
        local err = unchanged(store, options.target and #options.target > 255 and "too_large"
          or "invalid_argument", function() store:rename(given) end, TABLES)
        assert(tostring(err.message):find(text, 1, true), tostring(err.message))
      end
      local stream_switch = require "tycho.stream_switch"
      refusal.with("invalid_argument", stream_switch.prepare, store, "rename",
        { source = "a", target = "b", cancel = true })
    end)

    it("when another one to the same target is under way", function()
      break_off(2)
      fill(store, "c", "c", 1)
      refuses("busy", 'a rename of "a" to "b" is under way', { source = "c" })
      refuses("busy", 'a rename of "a" to "b" is under way', { source = "c" })
      rename {}
    end)

    it("when somebody else writes to the target, or takes something out of it", function()
      break_off(3)
      fill(store, "b", "x", 1)
      refuses("wrong_expected_version", 'somebody else has written to "b"', {})
      refuses("wrong_expected_version", 'somebody else has written to "b"', { dry_run = true })
      rename { cancel = true }
      assert.same({ "6 x1" }, entries(store, "b"))
      store:delete_stream("b")
      local is_done = false
      local remove = between(store, { before = function(number)
        if number ~= 3 or is_done then return end
        is_done = true
        store:append("b", { type = "t", id = "x2" })
      end })
      refusal.with("wrong_expected_version", rename, {})
      remove()
      assert.is_nil(store:route("a"))
      rename { cancel = true }
      assert.same({ "6 x2" }, entries(store, "b"))
      store:delete_stream("b")
      remove = between(store, { before = function(number)
        if number == 3 then store:delete_stream("b") end
      end })
      refusal.with("wrong_expected_version", rename, {})
      remove()
      assert.same({}, raw(store, "b"))
    end)

    it("when what was linked is taken out of the source", function()
      break_off(3)
      store:unlink("a", "e2")
      local err = refusal.with("condition_failed", rename, {})
      assert.truthy(err.what:find('entries were taken out of "a"', 1, true))
      rename { cancel = true }
      rename {}
      assert.equal(11, store:read():stream("b"):count())
    end)

    it("when the source is deleted and written to anew", function()
      break_off(3)
      store:delete_stream("a")
      refuses("not_found", '"a" does not exist', {})
      fill(store, "a", "n", 12)
      refusal.with("condition_failed", rename, {})
      assert.is_nil(store:route("a"))
      rename { cancel = true }
      rename {}
      assert.same(ids("n", 12), read(store, "b"))
    end)

    it("when one of the names becomes a route meanwhile", function()
      local number = 0
      local remove = between(store, { before = function()
        number = number + 1
        if number == 2 then store:set_route("b", "elsewhere") end
      end })
      local err = refusal.with("condition_failed", rename, {})
      assert.truthy(err.what:find("routes", 1, true))
      remove()
      refuses("invalid_argument", '"b" is a route', {})
      store:set_route("b", nil)
      assert.equal("switched", rename({}).phase)
    end)

    it("when another process holds its lock, and when it lost it", function()
      local stream_switch = require "tycho.stream_switch"
      local late = stream_switch.prepare(store, "rename",
        { source = "a", target = "b", chunk = 3 })
      late:step()
      refusal.with("busy", store.rename, store, { source = "a", target = "b", lock_timeout = 0 })
      late:close()
      local err = refusal.with("condition_failed", late.step, late)
      assert.truthy(err.what:find("another process", 1, true))
      assert.equal(3, #raw(store, "b"))
      rename {}
    end)

    it("in its last step too, when another process has gone on with it", function()
      local stream_switch = require "tycho.stream_switch"
      local late = stream_switch.prepare(store, "rename", { source = "a", target = "b" })
      late:close()
      rename {}
      local before = plain.dump(store, TABLES)
      refusal.with("condition_failed", late.step, late)
      assert.same(before, plain.dump(store, TABLES))
    end)
  end)

  it("works with names of any length and kind", function()
    local long, other = ("n"):rep(255), ("m"):rep(254) .. "%"
    rename { target = long }
    rename { source = long, target = other }
    rename { source = other, target = "ü %s \"quoted\"" }
    assert.same(ids("e", 12), read(store, long))
  end)

  it("is refused in a store that is closed or only read", function()
    local path, directory = require("support.scratch").path()
    local writable = tycho.open(path, { sync = "none" })
    fill(writable, "a", "e", 2)
    local reader = tycho.open(path, { mode = "read_only" })
    assert.equal("planned",
      reader:rename({ source = "a", target = "b", dry_run = true }).phase)
    refusal.with("denied", reader.rename, reader, { source = "a", target = "b" })
    reader:close()
    writable:close()
    refusal.with("invalid_argument", writable.rename, writable, { source = "a", target = "b" })
    require("support.scratch").remove(directory)
  end)
end)
