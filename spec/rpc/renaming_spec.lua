--- The host protocol, renaming: rename and merge with their progress, while others publish;
--- stopped, gone on with, undone.

local connection = require "support.connection"
local rpc = require "support.rpc"
local scratch = require "support.scratch"
local tycho = require "tycho"

describe("The host protocol", function()
  local path, c
  scratch.each(function(place)
    path = place
    c = connection.open(path)
  end)

  --- Writes `count` events to the stream, named after it.
  local function fill(stream, count)
    local records = tycho.array {}
    for index = 1, count do
      records[index] = { event_id = ("%s-%d"):format(stream, index), event_type = "t" }
    end
    c:ask("append", { stream = stream, records = records })
  end

  local function ids(stream, raw)
    local list = {}
    local spec = { stream = stream, raw = raw }
    for index, event in ipairs(c:ask("read", { spec = spec }).events) do
      list[index] = event.event_id
    end
    return list
  end

  --- The lines of a request up to its answer: progress, and the answer.
  local function finish(connected, id)
    local progress = {}
    for _ = 1, 1000000 do
      local line = assert(connected:line(id))
      if line.ok ~= nil then return progress, line end
      progress[#progress + 1] = assert(line.progress)
    end
  end

  describe("rename", function()
    it("tells its progress, then what it did", function()
      fill("a", 2500)
      local progress, answer = finish(c, c:send("rename", { source = "a", target = "b",
        chunk = 100, pause_ms = 0 }))
      assert.is_true(answer.ok, answer.message)
      assert.is_true(#progress >= 5)
      local linked = 0
      for _, status in ipairs(progress) do
        assert.equal("rename", status.kind)
        assert.equal("b", status.target)
        assert.same({ "a" }, status.sources)
        assert.is_true(status.linked >= linked)
        linked = status.linked
      end
      assert.equal("switched", answer.result.phase)
      assert.equal(2500, answer.result.linked)
      assert.equal("b", c:ask("route", { route = "a" }))
      assert.equal(2499, c:ask("last_version", { stream = "b" }))
      assert.same({}, c:close()[answer.id] or {})
    end)

    it("goes on while others publish, and loses nothing", function()
      fill("a", 3000)
      local other = connection.open(path)
      local id = c:send("rename", { source = "a", target = "b", chunk = 200, pause_ms = 5 })
      local published, done = 0, false
      repeat
        published = published + 1
        other:ask("append", { stream = "a", expected_version = 2999 + published - 1,
          records = { { event_id = "p" .. published, event_type = "t" } } })
        local line = c:line(id)
        if line.ok ~= nil then
          assert.is_true(line.ok, line.message)
          done = true
        end
      until done
      other:ask("append", { stream = "a", expected_version = "exists",
        records = { { event_id = "last", event_type = "t" } } })
      assert.is_true(published > 5)
      local list = ids("b")
      assert.equal(3000 + published + 1, #list)
      for index = 1, 3000 do assert.equal("a-" .. index, list[index]) end
      for index = 1, published do assert.equal("p" .. index, list[3000 + index]) end
      assert.equal("last", list[#list])
      other:close()
      c:close()
    end)

    it("is stopped by cancel, and goes on when it is asked for again", function()
      fill("a", 5000)
      local id = c:send("rename", { source = "a", target = "b", chunk = 100, pause_ms = 60000 })
      c:line_with(id, "progress")
      assert.is_true(c:ask("cancel", { request = id }))
      local _, answer = finish(c, id)
      assert.equal("timeout", answer.error)
      assert.truthy(answer.message:find("cancelled", 1, true))
      assert.is_false(c:ask("cancel", { request = id }))
      local _, planned = finish(c, c:send("rename", { source = "a", target = "b", dry_run = true }))
      assert.equal("planned", planned.result.phase)
      _, answer = finish(c, c:send("rename", { source = "a", target = "b" }))
      assert.equal("switched", answer.result.phase)
      assert.equal(5000, #ids("b"))
      c:close()
    end)

    it("is stopped by the end of input, and goes on in another process", function()
      fill("a", 5000)
      local id = c:send("rename", { source = "a", target = "b", chunk = 100, pause_ms = 60000 })
      c:line_with(id, "progress")
      local rest, status = c:close()
      assert.equal(0, status)
      assert.equal("timeout", rest[id][#rest[id]].error)
      c = connection.open(path)
      local _, answer = finish(c, c:send("rename", { source = "a", target = "b" }))
      assert.equal("switched", answer.result.phase)
      c:close()
    end)

    it("is gone on with by others when its process was killed", function()
      fill("a", 5000)
      local id = c:send("rename", { source = "a", target = "b", chunk = 100, pause_ms = 5 })
      for _ = 1, 4 do c:line_with(id, "progress") end
      c:kill()
      c = connection.open(path)
      local progress, answer = finish(c, c:send("rename", { source = "a", target = "b" }))
      assert.is_true(progress[1].linked >= 200)
      assert.equal("switched", answer.result.phase)
      assert.equal(5000, #ids("b"))
      c:close()
    end)

    it("is undone, and its links taken out with cancel", function()
      fill("a", 50)
      local _, answer = finish(c, c:send("rename", { source = "a", target = "b" }))
      assert.equal("switched", answer.result.phase)
      _, answer = finish(c, c:send("rename", { source = "a", target = "b", undo = true }))
      assert.is_true(answer.ok, answer.message)
      assert.equal(50, #ids("a", true))
      assert.equal(tycho.null, c:ask("route", { route = "a" }))
      c:close()
    end)

    it("with forward false closes the source's name", function()
      fill("a", 5)
      finish(c, c:send("rename", { source = "a", target = "b", forward = false }))
      local answer = c:refused("append", { stream = "a", records = { { event_type = "t" } } })
      assert.equal("denied", answer.error)
      assert.equal("b", answer.stream)
      local routes = c:ask("routes").routes
      assert.same({ { route = "a", stream = "b", closed = true } }, routes)
      assert.is_true(c:answer("route", { route = "a" }).closed)
      c:close()
    end)

    it("runs beside others", function()
      local requests = {}
      for index = 1, 4 do
        fill("s" .. index, 300)
        requests[index] = c:send("rename", { source = "s" .. index, target = "t" .. index,
          chunk = 50, pause_ms = 1 })
      end
      for index = 1, 4 do
        local _, answer = finish(c, requests[index])
        assert.is_true(answer.ok, answer.message)
        assert.equal(300, answer.result.linked)
      end
      c:close()
    end)

    it("refuses what is not right, by name", function()
      fill("a", 5)
      fill("b", 5)
      for _, fields in ipairs { {}, { source = "a" }, { source = "a", target = "a" },
        { source = 5, target = "b" }, { source = "a", target = "c", chunk = 0 },
        { source = "a", target = "c", pause_ms = -1 }, { source = "a", target = "c", pause = 1 },
        { source = "a", target = "c", forward = 1 }, { source = "a", target = "c", rule = "x" } } do
        local answer = c:refused("rename", fields)
        assert.equal("invalid_argument", answer.error)
        assert.is_nil(answer.message:find(".lua:", 1, true))
      end
      local answer = c:refused("rename", { source = "a", target = "b" })
      assert.is_true(answer.error ~= "invalid_argument" and #answer.message > 10)
      assert.equal(5, c:ask("last_version", { stream = "a" }) + 1)
      c:close()
    end)
  end)

  it("merges streams in the order of their events", function()
    for round = 1, 3 do
      for _, stream in ipairs { "a", "b" } do
        c:ask("append", { stream = stream,
          records = { { event_id = stream .. round, event_type = "t" } } })
      end
    end
    local _, answer = finish(c, c:send("merge", { sources = { "a", "b" }, target = "m" }))
    assert.is_true(answer.ok, answer.message)
    assert.same({ "a1", "b1", "a2", "b2", "a3", "b3" }, ids("m"))
    c:close()
  end)

  it("answers once where nobody listens", function()
    local host = rpc.host()
    host:ask("append", { stream = "a", records = { { event_id = "e1", event_type = "t" } } })
    assert.equal("switched", host:ask("rename", { source = "a", target = "b" }).phase)
    assert.same({ "e1" }, host:ids { stream = "b" })
    host:finish()
    c:close()
  end)

  it("may not change a store that is open for reading", function()
    fill("a", 3)
    c:ask("open", { path = path, mode = "read_only" })
    assert.equal("denied", c:refused("rename", { source = "a", target = "b" }).error)
    c:close()
  end)
end)
