--- What becomes of a rename: interrupted and continued, cancelled, done, and undone.

local between = require "support.between"
local plain = require "support.plain"
local refusal = require "support.refusal"
local stream_switch = require "tycho.stream_switch"
local switching = require "support.switching"

local fill, ids, read, raw = switching.fill, switching.ids, switching.read, switching.raw
local routes, entries = switching.routes, switching.entries
local TABLES = { "tycho.switches" }

describe("A rename", function()
  local fresh = require("support.store")()
  local store

  before_each(function()
    store = switching.prepare(fresh())
    fill(store, "a", "e", 12)
  end)

  local rename, refuses, break_off = switching.calls("rename",
    { source = "a", target = "b", chunk = 3 }, function() return store end)

  describe("when it is interrupted", function()
    it("is continued after an error before or after any batch", function()
      for _, moment in ipairs { "before", "after" } do
        for number = 1, 6 do
          local here = fresh()
          fill(here, "a", "e", 12)
          here:set_route("r", "a")
          local function go()
            return here:rename { source = "a", target = "b", chunk = 3, pause = 0,
              delete_source = true }
          end
          assert.equal(number <= 5, switching.dies(here, moment, number, go))
          fill(here, "r", "e", 13, 13)
          assert.equal("deleted", go().phase)
          assert.same(ids("e", 13), read(here, "a"))
          assert.same(ids("e", 13), raw(here, "b"))
          assert.same({}, raw(here, "a"))
          assert.same({ a = "b", r = "b" }, routes(here))
          switching.check(here)
        end
      end
    end)

    it("is continued when what was left is taken out of the source", function()
      break_off(3)
      store:unlink("a", ids("e", 12, 7))
      rename {}
      assert.same(ids("e", 6), raw(store, "b"))
      assert.equal(11, store:stream_version("b"))
    end)

    it("is continued with another chunk, and with the options of the last call", function()
      break_off(2)
      rename { chunk = 5000, forward = false }
      assert.same({ a = "closed b" }, routes(store))
    end)

    it("can be cancelled at any moment before the switch", function()
      local before = { plain.dump(store), routes(store) }
      for count = 2, 4 do
        break_off(count)
        local status = rename { cancel = true }
        assert.equal("cancelled", status.phase)
        local after = plain.dump(store)
        before[1].counts, after.counts = nil, nil
        assert.same(before[1].streams, after.streams)
        assert.same(before[1].directory, after.directory)
        assert.equal(-1, store:stream_version("b"))
        assert.is_nil(store:row("tycho.switches", "b"))
      end
      rename {}
      refuses("condition_failed", "has switched already; undo it instead", { cancel = true })
    end)

    it("keeps the metadata of the target when it is cancelled", function()
      store:set_stream_metadata("b", { prepared = true })
      break_off(2)
      rename { cancel = true }
      assert.same({ prepared = true }, store:stream_metadata("b"))
      assert.same({}, raw(store, "b"))
    end)

    it("can be cancelled when the target was deleted", function()
      break_off(2)
      store:delete_stream("b")
      refuses("wrong_expected_version", 'or taken something out of it', {})
      rename { cancel = true }
      assert.equal("switched", rename({}).phase)
    end)

    it("can only be cancelled where there is something", function()
      refuses("not_found", 'no rename of "a" to "b" is under way', { cancel = true })
      break_off(2)
      refuses("not_found", 'no rename of "c" to "b" is under way', { source = "c", cancel = true })
    end)
  end)

  describe("after the switch", function()
    it("refuses writers to the old name without forward, and leads readers on", function()
      store:set_route("r", "a")
      assert.is_false(rename({ forward = false }).forward)
      local err = refusal.with("denied", store.append, store, "a", { type = "t" })
      assert.equal("b", err.stream)
      fill(store, "r", "e", 13, 13)
      assert.same(ids("e", 13), read(store, "a"))
      assert.same({ a = "closed b", r = "b" }, routes(store))
    end)

    it("deletes the source's entries when it is asked to, never events", function()
      rename {}
      assert.equal("deleted", rename({ delete_source = true }).phase)
      assert.same({}, raw(store, "a"))
      assert.same(ids("e", 12), read(store, "a"))
      assert.same(ids("e", 12), plain.each(store:read():all()))
      assert.equal("deleted", rename({}).phase)
      assert.equal("deleted", rename({ delete_source = true }).phase)
      refuses("not_found", "cannot be undone: the source's old entries are deleted; "
        .. 'rename "b" to "a" instead', { undo = true })
      rename { source = "b", target = "a" }
      assert.same({ b = "a" }, routes(store))
      assert.same(ids("e", 12), raw(store, "a"))
    end)

    it("keeps the source's entries when it was undone before it deletes", function()
      rename {}
      local switch <close> = stream_switch.prepare(store, "rename",
        { source = "a", target = "b", delete_source = true })
      store:rename { source = "a", target = "b", undo = true }
      fill(store, "b", "e", 13, 13)
      local err = refusal.with("condition_failed", switch.step, switch)
      assert.equal('"a" does not lead to "b" any more', err.what)
      assert.same(ids("e", 13), raw(store, "a"))
      switch:close()
    end)

    it("does not delete the entries of a name that was taken back in that moment", function()
      local remove = between(store, { before = function()
        if store:route("a") then store:set_route("a", nil) end
      end })
      refusal.with("condition_failed", rename, { delete_source = true })
      remove()
      assert.same(ids("e", 12), read(store, "a"))
    end)

    it("leaves no chains behind when it is done again", function()
      store:set_route("r", "a")
      rename {}
      rename { source = "b", target = "c" }
      rename { source = "c", target = "d", delete_source = true }
      assert.same({ a = "d", b = "d", c = "d", r = "d" }, routes(store))
      fill(store, "r", "e", 15, 13)
      rename { source = "d", target = "a" }
      assert.same({ b = "a", c = "a", d = "a", r = "a" }, routes(store))
      assert.same(ids("e", 15), raw(store, "a"))
    end)

    it("takes the target for a new stream again when everything of it is gone", function()
      rename { delete_source = true }
      store:set_route("a", nil)
      store:delete_stream("b")
      fill(store, "a", "n", 4)
      rename {}
      assert.same(ids("n", 4), read(store, "b"))
    end)
  end)

  describe("undone", function()
    local function undo(options)
      options = options or {}
      options.undo = true
      return rename(options)
    end

    it("brings back what was written since, and all names", function()
      store:set_route("r", "a")
      rename {}
      fill(store, "a", "e", 20, 13)
      fill(store, "b", "e", 22, 21)
      store:set_stream_metadata("b", { since = 1 })
      local status = undo()
      assert.same({ "switched", "b", "a" }, { status.phase, status.sources[1], status.target })
      assert.same({ b = "a", r = "a" }, routes(store))
      assert.same(ids("e", 22), raw(store, "a"))
      assert.same({ since = 1 }, store:stream_metadata("a"))
      fill(store, "b", "e", 23, 23)
      assert.same(ids("e", 23), read(store, "r"))
      assert.equal(22, store:stream_version("a"))
    end)

    it("takes away the metadata that was taken away since", function()
      store:set_stream_metadata("a", "old")
      rename {}
      store:set_stream_metadata("a", nil)
      undo()
      assert.is_nil(store:stream_metadata("a"))
    end)

    it("is done once, and can itself be undone", function()
      rename {}
      undo()
      local before = plain.dump(store, TABLES)
      undo()
      assert.same(before, plain.dump(store, TABLES))
      fill(store, "a", "e", 15, 13)
      assert.equal("switched", rename({}).phase)
      assert.same({ a = "b" }, routes(store))
      assert.same(ids("e", 15), raw(store, "b"))
      rename { source = "b", target = "a" }
      assert.same({ b = "a" }, routes(store))
    end)

    it("closes the new name without forward", function()
      rename {}
      undo { forward = false }
      assert.same({ b = "closed a" }, routes(store))
    end)

    it("is continued when it was interrupted, and can be cancelled", function()
      rename {}
      fill(store, "a", "e", 30, 13)
      break_off(3, { undo = true })
      assert.same({ a = "b" }, routes(store))
      rename { cancel = true }
      assert.same(ids("e", 30), read(store, "a"))
      assert.is_true(#raw(store, "a") > 12)
      break_off(2, { undo = true })
      fill(store, "a", "e", 31, 31)
      undo()
      assert.same({ b = "a" }, routes(store))
      assert.same(ids("e", 31), raw(store, "a"))
    end)

    it("loses nothing while others write", function()
      rename {}
      local count = 12
      local function publish()
        count = count + 1
        store:append(count % 2 == 0 and "a" or "b", { type = "t", id = "e" .. count },
          { expected_version = count - 2 })
      end
      for _ = 1, 10 do publish() end
      local remove = between(store, { before = publish, after = publish })
      undo()
      remove()
      publish()
      assert.same(ids("e", count), raw(store, "a"))
    end)

    it("is refused when there is nothing to undo", function()
      refuses("not_found", 'the rename of "a" to "b" is not known', { undo = true })
      break_off(2)
      refuses("condition_failed", "has not switched yet; cancel it instead", { undo = true })
    end)

    it("is refused when one of the two lost entries that the other has", function()
      rename {}
      store:unlink("b", "e3")
      refuses("wrong_expected_version", "are not those with which", { undo = true })
      store:delete_stream("a", { raw = true })
      undo()
      assert.same(entries(store, "b"), entries(store, "a"))
      assert.equal(11, #raw(store, "a"))
    end)

    it("is refused when the old entries lost their last one since", function()
      rename {}
      store:unlink("a", "e12", { raw = true })
      refuses("wrong_expected_version", "are not those with which", { undo = true })
      fill(store, "b", "e", 20, 13)
      refuses("wrong_expected_version", "are not those with which", { undo = true, chunk = 3 })
      assert.same(ids("e", 20), raw(store, "b"))
    end)

    it("goes back to entries that had lost their last one before", function()
      store:unlink("a", "e12")
      rename {}
      fill(store, "b", "e", 20, 13)
      undo { chunk = 3 }
      assert.same(entries(store, "b"), entries(store, "a"))
      assert.equal(19, #raw(store, "a"))
    end)

    it("is refused when they lost as many, but others", function()
      rename {}
      store:unlink("b", "e3")
      store:unlink("a", "e4", { raw = true })
      refuses("wrong_expected_version", "are not those with which", { undo = true })
    end)

    it("is refused when somebody wrote to the old entries", function()
      rename {}
      store:append("a", { type = "t", id = "x" }, { raw = true })
      refuses("wrong_expected_version", "are not those with which", { undo = true })
    end)

    it("is refused when the old revisions went on beyond those of the target", function()
      store:unlink("a", { "e11", "e12" })
      store:merge { sources = { "a" }, target = "b", pause = 0 }
      refuses("wrong_expected_version",
        'the revisions of "a" went on to 11, those of "b" only to 9; delete them', { undo = true })
      assert.same({ a = "b" }, routes(store))
    end)

    it("is refused when the target was renamed on", function()
      rename {}
      rename { source = "b", target = "c" }
      refuses("invalid_argument", '"b" is a route: it leads to the stream "c"', { undo = true })
      rename { source = "b", target = "c", undo = true }
      undo()
      assert.same({ b = "a", c = "a" }, routes(store))
    end)
  end)

  describe("for who reads the source", function()
    --- The ids that a follower gives without waiting.
    local function served(follower)
      local list = {}
      for event in function() return follower:next(0) end do list[#list + 1] = event.id end
      return list
    end

    it("leads followers on, behind the event that they served last", function()
      store:set_route("r", "a")
      local followers = {}
      for index, stream in ipairs { "a", "r" } do
        followers[index] = store:follow { stream = stream }
        assert.same(ids("e", 12), served(followers[index]))
      end
      local key = followers[1]:key()
      fill(store, "a", "e", 14, 13)
      rename { progress = function(status)
        if status.phase == "switched" then return end
        local count = store:stream_version("a") + 2
        fill(store, "a", "e", count, count)
      end }
      local count = store:stream_version("b") + 2
      fill(store, "a", "e", count, count)
      local later = store:follow { stream = "a", resume = key }
      followers[#followers + 1] = later
      for _, follower in ipairs(followers) do
        assert.same(ids("e", count, 13), served(follower))
        count = count + 1
        fill(store, "b", "e", count, count)
        assert.same({ "e" .. count }, served(follower))
        follower:close()
      end
    end)

    it("shows nothing to who follows the log, and leaves checkpoints right", function()
      local follower <close> = store:follow {}
      served(follower)
      store:set_checkpoint("reader", store:head())
      rename { delete_source = true }
      assert.same({}, served(follower))
      fill(store, "a", "e", 13, 13)
      assert.same({ "e13" }, served(follower))
      assert.same({ "e13" },
        plain.each(store:read():from_position(store:checkpoint("reader")):all()))
    end)
  end)
end)
