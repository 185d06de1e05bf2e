--- The host protocol, following: history and then what is written, by any process, on connections
--- that carry other requests meanwhile.

local connection = require "support.connection"
local process = require "support.process"
local rpc = require "support.rpc"
local scratch = require "support.scratch"
local tycho = require "tycho"

describe("The host protocol", function()
  local path, c
  scratch.each(function(place)
    path = place
    c = connection.open(path)
  end)

  local function append(stream, ...)
    local records = tycho.array {}
    for index, id in ipairs { ... } do records[index] = { event_id = id, event_type = "t" } end
    return c:ask("append", { stream = stream, records = records })
  end

  describe("follow", function()
    it("sends the history, says that it has caught up, then what comes", function()
      append("a", "e1", "e2")
      append("b", "e3")
      local id = c:send("follow", { spec = { stream = "a" } })
      assert.same({ id = id, ok = true, result = { follow = 1 } }, c:line(id))
      local ids, caught_up = c:events(id)
      assert.same({ "e1", "e2" }, ids)
      assert.equal(3, caught_up.caught_up)
      append("a", "e4")
      ids, caught_up = c:events(id)
      assert.same({ "e4" }, ids)
      assert.equal(4, caught_up.caught_up)
      append("b", "e5")
      c:ask("link", { stream = "a", event_ids = { "e5" } })
      local line = c:line(id)
      assert.equal("e5", line.event.event_id)
      assert.is_true(line.event.is_link)
      assert.equal("b", line.event.stream)
      assert.equal(3, line.event.revision)
      c:close()
    end)

    it("takes what read takes, as far as it can be followed", function()
      append("a", "e1", "e2", "e3", "e4")
      local id = c:send("follow", { spec = { stream = "a", from_revision = 1, types = { "t" } } })
      assert.same({ "e3", "e4" }, (c:events(id)))
      id = c:send("follow", { spec = { from_position = 3 } })
      assert.same({ "e4" }, (c:events(id)))
      for field, value in pairs { dir = "backward", stop = "e2", to_position = 5, sort = "as_at",
        ids = { "e1" }, read_as = "last", lt = 5, limit = 0, stream = 5, streem = "a" } do
        local answer = c:refused("follow", { spec = { [field] = value } })
        assert.equal("invalid_argument", answer.error)
        assert.is_nil(answer.cursor)
      end
      assert.equal("event_not_found", c:refused("follow", { spec = { start = "e9" } }).error)
      for _, fields in ipairs { { cursor = "zz" }, { cursor = 5 }, { page = 5 }, { spec = 5 } } do
        assert.equal("invalid_argument", c:refused("follow", fields).error)
      end
      c:close()
    end)

    it("ends with its limit", function()
      append("a", "e1")
      local id = c:send("follow", { spec = { limit = 2 } })
      assert.same({ "e1" }, (c:events(id)))
      append("a", "e2", "e3")
      assert.equal("e2", c:line(id).event.event_id)
      assert.equal("limit", c:line(id).over)
      assert.is_false(c:ask("cancel", { request = id }))
      assert.same({}, c:close()[id] or {})
    end)

    it("is cancelled by the id of its request or by its number", function()
      append("a", "e1")
      local first = c:send("follow")
      local second = c:send("follow", { id = "s" })
      c:events(first)
      c:events("s")
      assert.is_true(c:ask("cancel", { request = first }))
      assert.equal("cancelled", c:line(first).over)
      assert.is_true(c:ask("cancel", { follow = 2 }))
      assert.equal("cancelled", c:line("s").over)
      for _, fields in ipairs { { follow = 2 }, { request = first }, { request = "s" },
        { request = second }, { follow = 99 } } do
        assert.is_false(c:ask("cancel", fields))
      end
      for _, fields in ipairs { {}, { follow = 1, request = 1 }, { follow = 0 }, { follow = "1" },
        { request = tycho.null }, { id_of = 5 } } do
        assert.equal("invalid_argument", c:refused("cancel", fields).error)
      end
      append("a", "e2")
      local rest = c:close()
      assert.same({}, rest[first] or {})
      assert.same({}, rest["s"] or {})
    end)

    it("goes on behind a cursor, in another process", function()
      append("a", "e1", "e2")
      local id = c:send("follow", { spec = { stream = "a" } })
      local _, caught_up = c:events(id)
      append("a", "e3")
      c:events(id)
      assert.is_true(c:ask("cancel", { request = id }))
      local cursor = c:line(id).cursor
      c:close()
      c = connection.open(path)
      append("a", "e4")
      id = c:send("follow", { spec = { stream = "a" }, cursor = cursor })
      assert.same({ "e4" }, (c:events(id)))
      id = c:send("follow", { spec = { stream = "a" }, cursor = caught_up.cursor })
      assert.same({ "e3", "e4" }, (c:events(id)))
      assert.equal("corrupt",
        c:refused("follow", { spec = { stream = "b", limit = 5 }, cursor = "00ff" }).error)
      c:close()
    end)

    it("sees what other processes commit, also when they are killed", function()
      local id = c:send("follow", { spec = { stream = "a" } })
      c:events(id)
      local seen = 0
      for round = 1, 3 do
        local other = connection.open(path)
        for index = 1, 20 do
          other:send("append", { stream = "a",
            records = { { event_id = ("r%d-%d"):format(round, index), event_type = "t" } } })
        end
        other:line(10)
        other:kill()
        local store <close> = tycho.open(path)
        local expected = store:stream_version("a") + 1
        while seen < expected do
          local line = c:line_with(id, "event")
          assert.equal(seen, line.event.revision)
          seen = seen + 1
        end
      end
      assert.is_true(seen >= 30)
      c:close()
    end)

    it("goes with any number of others and of requests", function()
      local ids = {}
      for index = 1, 100 do
        ids[index] = c:send("follow", { spec = { stream = "s" .. index % 10 } })
      end
      for _, id in ipairs(ids) do c:line_with(id, "caught_up") end
      for round = 0, 4 do
        for stream = 0, 9 do append("s" .. stream, ("e%d-%d"):format(round, stream)) end
      end
      for index, id in ipairs(ids) do
        for round = 0, 4 do
          local line = c:line_with(id, "event")
          assert.equal(("e%d-%d"):format(round, index % 10), line.event.event_id)
          assert.equal(round, line.event.revision)
        end
      end
      assert.equal(50, c:ask("head"))
      local rest = c:close()
      for _, id in ipairs(ids) do
        local last = rest[id][#rest[id]]
        assert.equal("cancelled", last.over)
      end
    end)

    it("of a thousand that are idle costs neither CPU nor threads", function()
      local function proc(name)
        local file <close> = assert(io.open(("/proc/%d/%s"):format(c.pid, name)))
        return file:read("a")
      end
      local function ticks()
        local user, system = proc("stat"):match("%) " .. ("%S+ "):rep(11) .. "(%d+) (%d+)")
        return tonumber(user) + tonumber(system)
      end
      local last
      for index = 1, 1000 do last = c:send("follow", { spec = { stream = "s" .. index } }) end
      c:line_with(last, "caught_up")
      assert.is_true(tonumber(proc("status"):match("Threads:%s*(%d+)")) <= 4)
      local before = ticks()
      process.sleep(1)
      assert.is_true(ticks() - before <= 5)
      append("s1000", "e1")
      assert.equal("e1", c:line_with(last, "event").event.event_id)
      c:close()
    end)

    it("of a long history lets other requests through", function()
      local records = tycho.array {}
      for index = 1, 5000 do records[index] = { event_type = "t", data = { n = index } } end
      for _ = 1, 4 do c:ask("append", { stream = "a", records = records }) end
      local id = c:send("follow")
      for _ = 1, 20 do assert.equal(20000, c:ask("head")) end
      for position = 1, 20000 do
        assert.equal(position, c:line_with(id, "event").event.position)
      end
      assert.equal(20000, c:line(id).caught_up)
      c:close()
    end)

    it("of a reader that does not read holds no memory", function()
      local records = tycho.array {}
      for index = 1, 1000 do
        records[index] = { event_type = "t", data = { text = ("x"):rep(10000) } }
      end
      for _ = 1, 8 do c:ask("append", { stream = "a", records = records }) end
      local function resident()
        local file <close> = assert(io.open(("/proc/%d/status"):format(c.pid)))
        return tonumber(file:read("a"):match("RssAnon:%s*(%d+)"))
      end
      local before = resident()
      local id = c:send("follow")
      process.sleep(0.5)
      assert.is_true(resident() - before < 20000)
      for position = 1, 8000 do
        assert.equal(position, c:line_with(id, "event").event.position)
      end
      c:close()
    end)

    it("ends when its session's store is closed by nobody but itself", function()
      append("a", "e1")
      local id = c:send("follow", { spec = { stream = "a" } })
      c:events(id)
      assert.is_true(c:ask("close"))
      assert.equal("invalid_argument", c:refused("head").error)
      local store <close> = tycho.open(path)
      store:append("a", { type = "t", id = "e2" })
      assert.same({ "e2" }, (c:events(id)))
      local rest = c:close()
      assert.equal("cancelled", rest[id][1].over)
    end)

    it("is ended by the end of input, in the middle of everything", function()
      for index = 1, 200 do append("a", "e" .. index) end
      local ids = {}
      for index = 1, 20 do ids[index] = c:send("follow") end
      c:send("append", { stream = "a", records = { { event_type = "t" } } })
      local rest, status = c:close()
      assert.equal(0, status)
      for _, id in ipairs(ids) do
        local lines = rest[id]
        assert.is_true(lines[1].ok)
        assert.equal("cancelled", lines[#lines].over)
        for index = 2, #lines - 1 do
          assert.is_true(lines[index].caught_up ~= nil or lines[index].event ~= nil)
        end
      end
    end)

    it("is denied where nobody listens", function()
      local host = rpc.host()
      local answer = host:refused("follow", {})
      assert.equal("denied", answer.error)
      assert.truthy(answer.message:find("tycho_rpc_session_listen", 1, true))
      assert.is_false(host:ask("cancel", { request = 5 }))
      host:finish()
    end)
  end)
end)
