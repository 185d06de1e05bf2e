--- The host protocol, reading: what a repository of a host expects of read, count, look-ups and
--- pages: bounds, order with ties, limits after filters, cursors that survive writes.

local rpc = require "support.rpc"
local tycho = require "tycho"
local null = tycho.null

describe("The host protocol", function()
  local host
  before_each(function() host = rpc.host() end)
  after_each(function() host:finish() end)

  local function append(stream, ...)
    local list = {}
    for index, record in ipairs { ... } do
      list[index] = type(record) == "table" and record
        or { event_id = record, event_type = "happened" }
      list[index].event_type = list[index].event_type or "happened"
    end
    return host:ask("append", { stream = stream, records = list })
  end

  local function link(stream, ...)
    return host:ask("link", { stream = stream, event_ids = { ... } })
  end

  --- Every kind of read gives the same: whole, by pages of each size, first, last, count.
  local function expect(ids, spec)
    assert.same(ids, host:ids(spec))
    assert.equal(#ids, host:ask("count", { spec = spec }))
    for size = 1, #ids + 1 do
      local found, cursor = {}, nil
      repeat
        local page = host:ask("read", { spec = spec, page = size, cursor = cursor })
        for _, event in ipairs(page.events) do found[#found + 1] = event.event_id end
        assert.is_true(#page.events == size or page.next == null)
        assert.is_true(#page.events > 0 or #ids == 0)
        cursor = page.next
      until cursor == null
      assert.same(ids, found)
    end
    for read_as, id in pairs { first = ids[1] or false, last = ids[#ids] or false } do
      local one = { read_as = read_as }
      for name, value in pairs(spec) do one[name] = value end
      assert.same(id and { id } or {}, host:ids(one))
    end
  end

  it("answers events with all their fields", function()
    append("a", { event_id = "e1", event_type = "t", data = { n = 1 }, metadata = { m = "x" },
      timestamp = 5, valid_at = 6, tags = { "y", "x" }, correlation_id = "c", causation_id = "d" })
    append(nil, { event_id = "e2", timestamp = -7 })
    link("b", "e2", "e1")
    assert.same({ events = {
      { event_id = "e1", event_type = "t", data = { n = 1 }, metadata = { m = "x" }, timestamp = 5,
        valid_at = 6, position = 1, stream = "a", revision = 0, tags = { "x", "y" },
        correlation_id = "c", causation_id = "d" },
      { event_id = "e2", event_type = "happened", data = {}, metadata = {}, timestamp = -7,
        valid_at = -7, position = 2, stream = null, revision = null },
    }, next = null }, host:ask("read"))
    local linked = host:ask("last_stream_event", { stream = "b" })
    assert.equal("e1", linked.event_id)
    assert.equal("a", linked.stream)
    assert.equal(1, linked.revision)
    assert.is_true(linked.is_link)
  end)

  it("finds nothing in an empty store, stream, or list of ids", function()
    expect({}, {})
    expect({}, { stream = "nobody" })
    append("a", "e1")
    expect({}, { ids = tycho.array {} })
    expect({}, { ids = { "nobody" } })
    expect({ "e1" }, { types = tycho.array {} })
  end)

  it("reads a stream and the log, both ways, within bounds", function()
    append("a", "e1", "e2", "e3")
    append("b", "e4", "e5")
    link("a", "e5", "e4")
    expect({ "e1", "e2", "e3", "e4", "e5" }, {})
    expect({ "e5", "e4", "e3", "e2", "e1" }, { dir = "backward" })
    expect({ "e1", "e2", "e3", "e5", "e4" }, { stream = "a" })
    expect({ "e4", "e5", "e3", "e2", "e1" }, { stream = "a", dir = "backward" })
    expect({ "e5", "e4" }, { stream = "a", start = "e3" })
    expect({ "e3", "e2", "e1" }, { stream = "a", start = "e5", dir = "backward" })
    expect({ "e1", "e2" }, { stream = "a", stop = "e3" })
    expect({ "e4", "e5" }, { stream = "a", stop = "e3", dir = "backward" })
    expect({ "e2", "e3" }, { stream = "a", start = "e1", stop = "e5" })
    expect({ "e3" }, { start = "e2", stop = "e4" })
    expect({ "e3" }, { start = "e4", stop = "e2", dir = "backward" })
    expect({}, { start = "e4", stop = "e2" })
    expect({}, { start = "e2", stop = "e2" })
    expect({ "e4", "e5" }, { from_position = 3 })
    expect({ "e2", "e1" }, { from_position = 3, dir = "backward" })
    expect({ "e2" }, { from_position = 1, to_position = 3 })
    expect({ "e5", "e4" }, { stream = "a", from_revision = 2 })
    expect({ "e1" }, { stream = "a", from_revision = -1, to_revision = 1 })
    expect({ "e2", "e3" }, { start = "e1", limit = 2 })
    expect({ "e5" }, { stream = "a", start = "e3", limit = 1 })
  end)

  it("refuses bounds that the stream does not have", function()
    append("a", "e1", "e2")
    append("b", "e3")
    for _, case in ipairs { { { start = "nobody" }, "nobody" }, { { stop = "nobody" }, "nobody" },
      { { stream = "a", start = "e3" }, "e3" },
      { { stream = "a", start = "e1", stop = "e3" }, "e3" },
      { { stream = "nobody", start = "e1" }, "e1" } } do
      for _, dir in ipairs { "forward", "backward" } do
        case[1].dir = dir
        local answer = host:refused("read", { spec = case[1] })
        assert.equal("event_not_found", answer.error)
        assert.equal(case[2], answer.event_id)
        assert.equal("event_not_found", host:refused("count", { spec = case[1] }).error)
      end
    end
  end)

  it("filters by type, tag, id and query, and limits what is left", function()
    append("a", { event_id = "e1", event_type = "t", tags = { "x" } },
      { event_id = "e2", event_type = "u", tags = { "x", "y" } },
      { event_id = "e3", event_type = "t", tags = { "y" } }, { event_id = "e4", event_type = "v" })
    append("b", { event_id = "e5", event_type = "t" })
    expect({ "e1", "e3", "e5" }, { types = { "t" } })
    expect({ "e1", "e3" }, { types = { "t" }, limit = 2 })
    expect({ "e5", "e3" }, { types = { "t" }, limit = 2, dir = "backward" })
    expect({ "e1", "e2", "e3" }, { stream = "a", types = { "t", "u" } })
    expect({ "e2", "e3" }, { tags = { "y" } })
    expect({ "e2" }, { tags = { "x", "y" } })
    expect({ "e3" }, { types = { "t" }, tags = { "y" } })
    expect({ "e2", "e4", "e5" }, { ids = { "e5", "e2", "nobody", "e4" } })
    expect({ "e2" }, { ids = { "e5", "e2" }, stream = "a" })
    expect({ "e5" }, { ids = { "e5", "e2" }, types = { "t" } })
    expect({ "e1", "e4" }, { query = { { types = { "v" } }, { types = { "t" }, tags = { "x" } } } })
    expect({ "e2" }, { query = { types = { "u" } } })
    expect({}, { types = { "nobody" } })
    expect({ "e3", "e5" }, { types = { "t" }, start = "e2" })
  end)

  describe("with times", function()
    local times = { e1 = { 30, 10 }, e2 = { 10, 20 }, e3 = { 20, 20 }, e4 = { 10, 10 },
      e5 = { 30, 30 } }
    before_each(function()
      for id = 1, 5 do
        local pair = times["e" .. id]
        append("a", { event_id = "e" .. id, timestamp = pair[1], valid_at = pair[2] })
      end
      link("b", "e5", "e4", "e3", "e2", "e1")
    end)

    it("sorts by time, ties by position, backward in exact reverse", function()
      local orders = {
        { {}, "e1 e2 e3 e4 e5" }, { { sort = "as_at" }, "e2 e4 e3 e1 e5" },
        { { sort = "as_of" }, "e1 e4 e2 e3 e5" },
        { { sort = "as_at", stream = "b" }, "e4 e2 e3 e5 e1" },
        { { sort = "as_of", stream = "b" }, "e4 e1 e3 e2 e5" },
      }
      for _, case in ipairs(orders) do
        local forward, backward = {}, {}
        for id in case[2]:gmatch("%S+") do
          forward[#forward + 1] = id
          table.insert(backward, 1, id)
        end
        expect(forward, case[1])
        case[1].dir = "backward"
        expect(backward, case[1])
        case[1].limit = 3
        expect({ table.unpack(backward, 1, 3) }, case[1])
      end
      expect({ "e1", "e5" }, { sort = "as_at", start = "e3" })
      expect({ "e2", "e4" }, { sort = "as_at", stop = "e3" })
      expect({ "e4", "e2" }, { sort = "as_at", start = "e3", dir = "backward" })
    end)

    it("bounds times, exclusive and inclusive", function()
      expect({ "e1", "e3", "e5" }, { gt = 10 })
      expect({ "e1", "e2", "e3", "e4", "e5" }, { gteq = 10 })
      expect({ "e2", "e4" }, { lt = 20 })
      expect({ "e2", "e3", "e4" }, { lteq = 20 })
      expect({ "e3" }, { gt = 10, lt = 30 })
      expect({ "e2", "e3", "e4" }, { gteq = 10, lt = 30 })
      expect({ "e1", "e3", "e5" }, { gt = 10, gteq = 5, lteq = 30 })
      expect({ "e1", "e4" }, { sort = "as_of", lt = 20 })
      expect({ "e2", "e3" }, { sort = "as_of", gt = 10, lteq = 20 })
      expect({ "e5" }, { gt = 10, limit = 1, dir = "backward" })
    end)

    it("knows the ends of time", function()
      append("c", { event_id = "last", timestamp = math.maxinteger },
        { event_id = "first", timestamp = math.mininteger })
      expect({ "last" }, { stream = "c", gteq = math.maxinteger })
      expect({}, { stream = "c", gt = math.maxinteger })
      expect({ "last", "first" }, { stream = "c", lteq = math.maxinteger })
      expect({ "first" }, { stream = "c", lt = math.maxinteger })
      expect({ "first" }, { stream = "c", lteq = math.mininteger })
      expect({}, { stream = "c", lt = math.mininteger })
      expect({ "last" }, { stream = "c", gt = math.mininteger })
    end)
  end)

  it("goes on behind a cursor, whatever was written in between", function()
    append("a", "e1", "e2", "e3", "e4")
    for _, spec in ipairs { {}, { stream = "a" }, { sort = "as_at" } } do
      local page = host:ask("read", { spec = spec, page = 2 })
      append("a", { timestamp = tycho.now() + 1000000 })
      local ids = {}
      local rest = host:ask("read", { spec = spec, page = 100, cursor = page.next })
      for index, event in ipairs(rest.events) do ids[index] = event.event_id end
      assert.same({ "e3", "e4" }, { table.unpack(ids, 1, 2) })
      assert.equal(host:ask("count", { spec = spec }), 2 + #ids)
    end
    local page = host:ask("read", { spec = { dir = "backward", stream = "a" }, page = 6 })
    host:ask("unlink", { stream = "a", event_ids = { page.events[6].event_id } })
    local rest = host:ask("read", { spec = { dir = "backward", stream = "a" }, cursor = page.next })
    assert.equal(1, #rest.events)
    assert.equal("e1", rest.events[1].event_id)
  end)

  it("gives a long result in one piece when nobody asks for pages", function()
    for _ = 1, 12 do
      local list = {}
      for index = 1, 1000 do list[index] = { event_type = "t" } end
      host:ask("append", { stream = "a", records = list })
    end
    local answer = host:ask("read", { spec = { stream = "a" } })
    assert.equal(12000, #answer.events)
    assert.equal(null, answer.next)
    assert.equal(11999, answer.events[12000].revision)
  end)

  it("ends a page that grows too large, and gives the rest behind its cursor", function()
    for index = 1, 5 do
      append("a", { event_id = "e" .. index, data = { text = ("x"):rep(9 << 20) } })
    end
    local first = host:ask("read", { spec = { stream = "a" } })
    assert.equal(4, #first.events)
    local rest = host:ask("read", { spec = { stream = "a" }, cursor = first.next })
    assert.equal("e5", rest.events[1].event_id)
    assert.equal(null, rest.next)
  end)

  it("refuses what it does not know", function()
    append("a", "e1")
    local specs = {
      { limit = 0 }, { limit = -1 }, { limit = 1.0 }, { limit = "1" }, { dir = "up" }, { dir = 1 },
      { sort = "as_is" }, { start = "" }, { stop = "" }, { start = 5 }, { stream = "" },
      { stream = 5 }, { lt = 1.5 }, { gt = "now" }, { types = "t" }, { types = { 5 } },
      { ids = "e1" }, { read_as = "middle" }, { from_position = -1 }, { from_revision = 0 },
      { from_revision = -2, stream = "a" }, { query = 5 }, { query = { 5 } },
      { query = { typs = { "t" } } }, { query = { types = { "t" } }, tags = { "x" } }, { of = 1 },
      "all", 5, tycho.array {},
    }
    for _, spec in ipairs(specs) do
      for _, op in ipairs { "read", "count" } do
        assert.equal("invalid_argument", host:refused(op, { spec = spec }).error)
      end
    end
    for _, fields in ipairs { { page = 0 }, { page = "1" }, { page = 1.0 }, { cursor = 5 },
      { cursor = "zz" }, { cursor = "0" }, { cursor = ("00"):rep(65) }, { limit = 5 } } do
      assert.equal("invalid_argument", host:refused("read", fields).error)
    end
    assert.equal("corrupt", host:refused("read", { cursor = "00ff00ff" }).error)
  end)

  it("refuses the cursor of another read", function()
    append("a", "e1", "e2")
    local cursor = host:ask("read", { spec = { stream = "a" }, page = 1 }).next
    assert.is_false(host:answer("read", { spec = { sort = "as_at" }, cursor = cursor }).ok)
  end)

  describe("look-ups", function()
    before_each(function()
      append("a", "e1", "e2")
      append("b", "e3")
      link("b", "e1")
    end)

    it("find events", function()
      assert.is_true(host:ask("has_event", { event_id = "e1" }))
      assert.is_false(host:ask("has_event", { event_id = "nobody" }))
      assert.equal(3, host:ask("global_position", { event_id = "e3" }))
      assert.same({ "a", "b" }, host:ask("streams_of", { event_id = "e1" }))
      assert.same({}, host:ask("streams_of", { event_id = "nobody" }))
      assert.equal("e2", host:ask("event", { event_id = "e2" }).event_id)
      assert.equal(null, host:ask("event", { event_id = "nobody" }))
      local answer = host:refused("global_position", { event_id = "nobody" })
      assert.equal("event_not_found", answer.error)
      assert.equal("nobody", answer.event_id)
    end)

    it("find events in streams", function()
      assert.equal(1, host:ask("position_in_stream", { event_id = "e2", stream = "a" }))
      assert.equal(1, host:ask("position_in_stream", { event_id = "e1", stream = "b" }))
      assert.equal(2, host:ask("position_in_stream", { event_id = "e2" }))
      assert.is_true(host:ask("event_in_stream", { event_id = "e1", stream = "b" }))
      assert.is_false(host:ask("event_in_stream", { event_id = "e2", stream = "b" }))
      assert.is_false(host:ask("event_in_stream", { event_id = "nobody", stream = "b" }))
      assert.is_true(host:ask("event_in_stream", { event_id = "e2", stream = null }))
      assert.is_false(host:ask("event_in_stream", { event_id = "nobody" }))
      for _, id in ipairs { "e2", "nobody" } do
        local answer = host:refused("position_in_stream", { event_id = id, stream = "b" })
        assert.equal("event_not_found_in_stream", answer.error)
        assert.equal(id, answer.event_id)
        assert.equal("b", answer.stream)
      end
    end)

    it("find the end of streams", function()
      assert.equal("e1", host:ask("last_stream_event", { stream = "b" }).event_id)
      assert.equal("e3", host:ask("last_stream_event").event_id)
      assert.equal(null, host:ask("last_stream_event", { stream = "nobody" }))
      assert.equal(1, host:ask("last_version", { stream = "a" }))
      assert.equal(-1, host:ask("last_version", { stream = "nobody" }))
      assert.equal(3, host:ask("last_version"))
      assert.equal(3, host:ask("head"))
    end)

    it("need their arguments", function()
      for _, op in ipairs { "has_event", "global_position", "streams_of", "event",
        "position_in_stream", "event_in_stream" } do
        for _, id in ipairs { null, "", 5, {} } do
          assert.equal("invalid_argument", host:refused(op, { event_id = id }).error)
        end
        assert.equal("invalid_argument", host:refused(op, { event_id = "e1", streem = "a" }).error)
      end
      assert.equal("invalid_argument", host:refused("last_version", { stream = "" }).error)
    end)
  end)

  it("lists streams, types, tags, routes and checkpoints by name", function()
    append("order-2", { event_id = "e1", event_type = "t", tags = { "x" } }, "e2")
    append("order-1", { event_id = "e3", event_type = "t" })
    append("other", "e4")
    host:ask("set_route", { route = "r", stream = "other" })
    host:ask("set_checkpoint", { checkpoint = "p", position = 3 })
    assert.same({ streams = { { stream = "order-1", count = 1, revision = 0 },
      { stream = "order-2", count = 2, revision = 1 } }, next = null },
      host:ask("streams", { prefix = "order-" }))
    assert.same({ streams = { { stream = "order-1", count = 1, revision = 0 } }, next = "order-1" },
      host:ask("streams", { limit = 1 }))
    assert.same({ streams = { { stream = "order-2", count = 2, revision = 1 } }, next = "order-2" },
      host:ask("streams", { limit = 1, after = "order-1" }))
    assert.same({ next = null,
      types = { { event_type = "happened", count = 2 }, { event_type = "t", count = 2 } },
    }, host:ask("types"))
    assert.same({ tags = { { tag = "x", count = 1 } }, next = null }, host:ask("tags"))
    assert.same({ routes = { { route = "r", stream = "other" } }, next = null }, host:ask("routes"))
    assert.same({ checkpoints = { { checkpoint = "p", position = 3 } }, next = null },
      host:ask("checkpoints"))
    assert.equal("invalid_argument", host:refused("streams", { limit = 0 }).error)
    assert.equal("invalid_argument", host:refused("rows", {}).error)
  end)

  it("waits for the head, and verifies, counts and copies the store", function()
    append("a", "e1", "e2")
    assert.equal(2, host:ask("wait", { position = 1, timeout_ms = 0 }))
    assert.equal(null, host:ask("wait", { position = 2, timeout_ms = 1 }))
    assert.same({}, host:ask("verify").findings)
    local stats = host:ask("stats")
    assert.equal(2, stats.events)
    assert.equal(1, stats.streams)
    assert.is_true(host:ask("sync"))
    assert.is_true(host:ask("backup", { path = host.path .. "-copy" }))
    assert.equal("busy", host:refused("backup", { path = host.path .. "-copy" }).error)
    host:ask("open", { path = host.path .. "-copy", mode = "read_only" })
    assert.same({ "e1", "e2" }, host:ids())
    assert.equal("denied", host:refused("append", { records = { { event_type = "t" } } }).error)
    host:ask("open", { path = host.path })
  end)
end)
