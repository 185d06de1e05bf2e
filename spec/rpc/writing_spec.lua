--- The host protocol, writing: what a repository of a host expects of append, link, unlink, update,
--- batches, routes and rows, and of their refusals.

local rpc = require "support.rpc"
local tycho = require "tycho"
local null = tycho.null

--- Records with these ids; a table is a record of its own.
local function records(...)
  local list = {}
  for index, id in ipairs { ... } do
    list[index] = type(id) == "table" and id or { event_id = id, event_type = "happened" }
  end
  return tycho.array(list)
end

describe("The host protocol", function()
  local host
  before_each(function() host = rpc.host() end)
  after_each(function() host:finish() end)

  local function append(stream, expected, ...)
    return host:ask("append",
      { stream = stream, expected_version = expected, records = records(...) })
  end

  local function refused_append(stream, expected, ...)
    return host:refused("append",
      { stream = stream, expected_version = expected, records = records(...) })
  end

  local function link(stream, ids, expected)
    return host:ask("link", { stream = stream, event_ids = tycho.array(ids),
      expected_version = expected })
  end

  describe("append", function()
    it("answers positions and revisions", function()
      assert.same({ count = 2, positions = { 1, 2 }, revisions = { 0, 1 } },
        append("a", "none", "e1", "e2"))
      assert.same({ count = 1, positions = { 3 }, revisions = { 0 } }, append("b", "any", "e3"))
      assert.same({ count = 1, positions = { 4 }, revisions = { 2 } }, append("a", 1, "e4"))
    end)

    it("to the global log gives no revisions", function()
      assert.same({ count = 1, positions = { 1 }, revisions = { null } }, append(nil, "any", "e1"))
      assert.same({ count = 1, positions = { 2 }, revisions = { null } }, append(null, nil, "e2"))
      assert.same({}, host:ask("streams_of", { event_id = "e1" }))
    end)

    it("gives ids to records that have none, and answers them", function()
      local result = append("a", "any", { event_type = "happened" }, "mine")
      assert.equal(36, #result.event_ids[1])
      assert.equal("mine", result.event_ids[2])
      assert.same(result.event_ids, host:ids { stream = "a" })
    end)

    it("of nothing is nothing", function()
      assert.same({ count = 0, positions = {}, revisions = {} }, append("a", "none"))
      assert.equal(0, host:ask("head"))
      assert.equal(0, host:ask("stats").sequence)
    end)

    it("checks what the writer expects", function()
      append("a", "none", "e1", "e2")
      for _, case in ipairs { { "none", 1 }, { 0, 1 }, { 2, 1 }, { -1, 1 } } do
        local answer = refused_append("a", case[1], "e3")
        assert.equal("wrong_expected_version", answer.error)
        assert.equal(case[2], answer.actual)
        assert.equal("a", answer.stream)
      end
      assert.equal(-1, refused_append("new", "exists", "e3").actual)
      assert.equal("wrong_expected_version", refused_append("new", 0, "e3").error)
      append("new", -1, "e3")
      append("new", "exists", "e4")
      append("a", "auto", "e5")
      append("a", 2, "e6")
      assert.same({ "e1", "e2", "e5", "e6" }, host:ids { stream = "a" })
    end)

    it("refuses expectations that cannot be", function()
      local wrong = { "latest", "", -2, 1.0, true, null, {}, "ANY", math.mininteger }
      for _, expected in ipairs(wrong) do
        local answer = refused_append("a", expected, "e1")
        assert.equal("invalid_expected_version", answer.error)
      end
      for _, expected in ipairs { "none", "auto", "exists", 0, -1, 5 } do
        assert.equal("invalid_expected_version", refused_append(nil, expected, "e1").error)
        assert.equal("invalid_expected_version", refused_append(null, expected, "e1").error)
      end
      assert.equal(0, host:ask("head"))
    end)

    it("refuses an id that the store has, and changes nothing", function()
      append("a", "none", "e1")
      for _, stream in ipairs { "a", "b" } do
        local answer = refused_append(stream, "any", "e2", "e1")
        assert.equal("duplicate_event", answer.error)
        assert.equal("e1", answer.event_id)
        assert.equal("a", answer.stream)
      end
      assert.equal("duplicate_event", refused_append("b", "any", "e2", "e2").error)
      assert.same({ "e1" }, host:ids())
      assert.is_false(host:ask("has_event", { event_id = "e2" }))
      assert.equal(-1, host:ask("last_version", { stream = "b" }))
    end)

    it("answers the same again when it is idempotent", function()
      local fields = { stream = "a", expected_version = "none", idempotent = true,
        records = records("e1", "e2") }
      fields.records[1].timestamp, fields.records[2].timestamp = 1, 2
      local first = host:ask("append", fields)
      append("a", 1, "e3")
      assert.same(first, host:ask("append", fields))
      fields.records[2].event_type = "other"
      assert.equal("duplicate_event", host:refused("append", fields).error)
    end)

    it("refuses records that are not", function()
      local cases = {
        { {}, "records[0].event_type is required" },
        { { event_type = "" }, "records[0].event_type is empty" },
        { { event_type = 5 }, "records[0].event_type is an integer" },
        { { event_type = "t", event_id = "" }, "records[0].event_id is empty" },
        { { event_type = "t", event_id = 7 }, "records[0].event_id is an integer" },
        { { event_type = "t", timestamp = 1.5 }, "records[0].timestamp is a float" },
        { { event_type = "t", timestamp = 1.0 }, "records[0].timestamp is a float" },
        { { event_type = "t", timestamp = "1" }, "records[0].timestamp is a string" },
        { { event_type = "t", valid_at = true }, "records[0].valid_at is a boolean" },
        { { event_type = "t", metadata = "m" }, "records[0].metadata is a string" },
        { { event_type = "t", metadata = tycho.array {} }, "records[0].metadata is an array" },
        { { event_type = "t", metadata = tycho.binary "m" }, "records[0].metadata is binary" },
        { { event_type = "t", tags = "x" }, "records[0].tags is a string" },
        { { event_type = "t", tags = { "x", 5 } }, "records[0].tags[1] is an integer" },
        { { event_type = "t", position = 5 }, "records[0] has no field \"position\"" },
        { { event_type = "t", data = { base64 = "?" } }, "records[0].data.base64 is not base64" },
        { { event_type = "t", data = { a = { { b = { base64 = "AB" } } } } },
          "records[0].data.a[0].b is not base64" },
        { { event_type = "t", data = 5, content_type = "text/plain" }, "records[0].data is" },
        { 5, "records[0] is an integer" },
      }
      for _, case in ipairs(cases) do
        local answer = host:refused("append", { stream = "a", records = { case[1] } })
        assert.equal("invalid_argument", answer.error)
        assert.equal(case[2], answer.message:sub(1, #case[2]))
      end
      assert.equal("invalid_argument", host:refused("append", { stream = "a" }).error)
      assert.equal("invalid_argument", host:refused("append", { records = "x" }).error)
      for _, stream in ipairs { "", 5, "a\nb", ("x"):rep(300) } do
        local answer = refused_append(stream, "any", "e1")
        assert.is_true(answer.error == "invalid_argument" or answer.error == "too_large")
      end
      assert.equal(0, host:ask("head"))
    end)
  end)

  describe("link", function()
    before_each(function() append("a", "none", "e1", "e2", "e3") end)

    it("adds events to a further stream, in order", function()
      assert.same({ count = 2 }, link("b", { "e3", "e1" }, "none"))
      assert.same({ "e3", "e1" }, host:ids { stream = "b" })
      assert.same({ count = 1 }, link("b", { "e2" }, 1))
      assert.same({ "a", "b" }, host:ask("streams_of", { event_id = "e1" }))
      assert.same({ "e1", "e2", "e3" }, host:ids())
      assert.equal(1, host:ask("position_in_stream", { event_id = "e1", stream = "b" }))
    end)

    it("of nothing is nothing", function()
      assert.same({ count = 0 }, link("b", {}))
      assert.equal(1, host:ask("stats").sequence)
    end)

    it("refuses an event that the stream has, or skips it", function()
      link("b", { "e1" })
      local cases = { { "b", { "e2", "e1" } }, { "a", { "e2" } }, { "c", { "e1", "e1" } } }
      for _, case in ipairs(cases) do
        local answer = host:refused("link", { stream = case[1], event_ids = case[2] })
        assert.equal("event_duplicated_in_stream", answer.error)
        assert.equal(case[2][#case[2]], answer.event_id)
        assert.equal(case[1], answer.stream)
      end
      assert.same({ "e1" }, host:ids { stream = "b" })
      assert.same({ count = 2 }, host:ask("link",
        { stream = "b", event_ids = { "e2", "e1", "e3" }, on_duplicate = "skip" }))
      assert.same({ "e1", "e2", "e3" }, host:ids { stream = "b" })
    end)

    it("refuses an unknown event, and links none", function()
      local answer = host:refused("link", { stream = "b", event_ids = { "e1", "nobody" } })
      assert.equal("event_not_found", answer.error)
      assert.equal("nobody", answer.event_id)
      assert.same({}, host:ids { stream = "b" })
    end)

    it("checks the expected version and the fields", function()
      local answer = host:refused("link",
        { stream = "a", event_ids = { "e1" }, expected_version = "none" })
      assert.equal("wrong_expected_version", answer.error)
      assert.equal(2, answer.actual)
      for _, fields in ipairs {
        { event_ids = { "e1" } }, { stream = null, event_ids = { "e1" } }, { stream = "b" },
        { stream = "b", event_ids = "e1" }, { stream = "b", event_ids = { 1 } },
        { stream = "b", event_ids = { "" } }, { stream = "", event_ids = { "e1" } },
        { stream = "b", event_ids = { "e1" }, on_duplicate = "perhaps" },
      } do
        assert.equal("invalid_argument", host:refused("link", fields).error)
      end
    end)

    it("links a range", function()
      assert.same({ count = 2 }, host:ask("link_range", { source = "a", target = "b", first = 1 }))
      assert.same({ "e2", "e3" }, host:ids { stream = "b" })
    end)
  end)

  describe("unlink, delete_stream and truncate", function()
    before_each(function()
      append("a", "none", "e1", "e2", "e3")
      link("b", { "e1", "e2" })
    end)

    it("remove entries, never events", function()
      assert.same({ count = 1 }, host:ask("unlink", { stream = "b", event_ids = { "e1" } }))
      assert.same({ "e2" }, host:ids { stream = "b" })
      assert.same({ count = 3 }, host:ask("delete_stream", { stream = "a" }))
      assert.same({}, host:ids { stream = "a" })
      assert.equal(-1, host:ask("last_version", { stream = "a" }))
      assert.equal(null, host:ask("last_stream_event", { stream = "a" }))
      assert.same({ "e1", "e2", "e3" }, host:ids())
      assert.is_true(host:ask("has_event", { event_id = "e1" }))
      assert.same({ "b" }, host:ask("streams_of", { event_id = "e2" }))
      append("a", "none", "e4")
      assert.same({ count = 2 }, link("a", { "e1", "e2" }, 0))
    end)

    it("delete a stream that does not exist", function()
      assert.same({ count = 0 }, host:ask("delete_stream", { stream = "nobody" }))
    end)

    it("check what is expected of the stream", function()
      local answer = host:refused("delete_stream", { stream = "a", expected_version = 5 })
      assert.equal("wrong_expected_version", answer.error)
      assert.equal(2, answer.actual)
      assert.is_nil(answer.condition)
    end)

    it("refuse what is not there", function()
      local answer = host:refused("unlink", { stream = "b", event_ids = { "e3" } })
      assert.equal("event_not_found_in_stream", answer.error)
      assert.equal("e3", answer.event_id)
      answer = host:refused("unlink", { stream = "b", event_ids = { "nobody" } })
      assert.equal("event_not_found", answer.error)
    end)

    it("truncate keeps the revisions", function()
      assert.same({ count = 2 }, host:ask("truncate", { stream = "a", before = 2 }))
      assert.same({ "e3" }, host:ids { stream = "a" })
      assert.equal(2, host:ask("last_version", { stream = "a" }))
      assert.equal("invalid_argument", host:refused("truncate", { stream = "a" }).error)
    end)
  end)

  describe("update", function()
    it("replaces type, data, metadata and valid_at, nothing else", function()
      append("a", "none",
        { event_id = "e1", event_type = "t", timestamp = 5, valid_at = 6, tags = { "x" } })
      local record = { event_id = "e1", event_type = "u", data = { a = 1 }, metadata = { b = 2 },
        timestamp = 9, valid_at = 7 }
      assert.same({ count = 1 }, host:ask("update", { records = { record } }))
      local event = host:ask("event", { event_id = "e1" })
      assert.same({ event_id = "e1", event_type = "u", data = { a = 1 }, metadata = { b = 2 },
        timestamp = 5, valid_at = 7, position = 1, stream = "a", revision = 0, tags = { "x" } },
        event)
      host:ask("update", { records = { { event_id = "e1", event_type = "v" } } })
      event = host:ask("event", { event_id = "e1" })
      assert.equal("v", event.event_type)
      assert.equal(7, event.valid_at)
    end)

    it("takes an event as it was read", function()
      append("a", "none", { event_id = "e1", event_type = "t", timestamp = 5, tags = { "x" },
        correlation_id = "c" })
      link("b", { "e1" })
      local event = host:ask("last_stream_event", { stream = "b" })
      event.data = { n = 2 }
      host:ask("update", { records = { event } })
      assert.same(event, host:ask("last_stream_event", { stream = "b" }))
    end)

    it("refuses unknown events, and records that are not", function()
      append("a", "none", "e1")
      local answer = host:refused("update", { records = records("e1", "nobody") })
      assert.equal("event_not_found", answer.error)
      assert.equal("nobody", answer.event_id)
      for _, record in ipairs { { event_type = "t" }, { event_id = "e1" },
        { event_id = "e1", event_type = "t", tagz = { "x" } } } do
        assert.equal("invalid_argument", host:refused("update", { records = { record } }).error)
      end
    end)
  end)

  describe("batch", function()
    it("commits all its operations, and answers each", function()
      local receipt = host:ask("batch", { operations = {
        { op = "append", stream = "a", expected_version = "none", records = records("e1", "e2") },
        { op = "append", stream = "b", records = tycho.array {} },
        { op = "link", stream = "c", event_ids = { "e2" } },
        { op = "set_route", route = "r", stream = "a" },
        { op = "put_row", table = "t", key = "k", value = { n = 1 } },
        { op = "set_checkpoint", checkpoint = "p", position = 2 },
      } })
      assert.same({ sequence = 1, first_position = 1, event_count = 2, head = 2, is_replay = false,
        results = { { count = 2, positions = { 1, 2 }, revisions = { 0, 1 } },
          { count = 0, positions = {}, revisions = {} }, { count = 1 }, { previous = null },
          { count = 1, version = 1 }, { count = 1 } } }, receipt)
      assert.same({ "e2" }, host:ids { stream = "c" })
      assert.same({ value = { n = 1 }, version = 1 },
        host:ask("get_row", { table = "t", key = "k" }))
      assert.equal(2, host:ask("checkpoint", { checkpoint = "p" }))
      assert.equal("a", host:ask("route", { route = "r" }))
    end)

    it("refuses all when one operation is refused, and says which", function()
      append("a", "none", "e1")
      local answer = host:refused("batch", { operations = {
        { op = "append", stream = "a", records = records("e2") },
        { op = "append", stream = "b", records = tycho.array {} },
        { op = "link", stream = "a", event_ids = { "e1" } },
      } })
      assert.equal("event_duplicated_in_stream", answer.error)
      assert.equal(2, answer.operation)
      assert.equal("e1", answer.event_id)
      assert.is_false(host:ask("has_event", { event_id = "e2" }))
    end)

    it("checks every kind of condition, and says which", function()
      append("a", "none", { event_id = "e1", event_type = "t", tags = { "x", "y" } })
      host:ask("set_route", { route = "r", stream = "a" })
      host:ask("put_row", { table = "t", key = "k", value = 1 })
      host:ask("set_checkpoint", { checkpoint = "p", position = 1 })
      local version = host:ask("get_row", { table = "t", key = "k" }).version
      local good = {
        { stream = "a", expected_version = 0 }, { stream = "new", expected_version = "none" },
        { route = "r", stream = "a" }, { route = "s", stream = null },
        { row = { "t", "k" }, version = version }, { row = { "t", "" }, version = 0 },
        { checkpoint = "p", position = 1 },
        { none_match = { types = { "t" }, tags = { "z" } } },
        { none_match = { { types = { "u" } }, { tags = { "x", "z" } } } },
        { none_match = { types = { "t" } }, after = 1 },
      }
      local bad = {
        { { stream = "a", expected_version = "none" }, "wrong_expected_version", 0 },
        { { stream = "new", expected_version = "exists" }, "wrong_expected_version", -1 },
        { { route = "r", stream = "b" }, "condition_failed" },
        { { route = "r", stream = null }, "condition_failed" },
        { { row = { "t", "k" }, version = 0 }, "condition_failed", version },
        { { checkpoint = "p", position = 0 }, "condition_failed", 1 },
        { { none_match = { tags = { "y", "x" } } }, "condition_failed", 1 },
        { { none_match = { { types = { "u" } }, { types = { "t" } } } }, "condition_failed", 1 },
      }
      for _, case in ipairs(bad) do
        local conditions = table.move(good, 1, #good, 1, {})
        conditions[#conditions + 1] = case[1]
        local answer = host:refused("batch", { conditions = conditions,
          operations = { { op = "append", stream = "a", records = records("e2") } } })
        assert.equal(case[2], answer.error)
        assert.equal(#good, answer.condition)
        if case[3] then assert.equal(case[3], answer.actual) end
      end
      host:ask("batch", { conditions = good,
        operations = { { op = "append", stream = "a", records = records("e2") } } })
    end)

    it("refuses what it does not know", function()
      for _, operation in ipairs { { op = "read" }, { op = "ping" }, { op = "nobody" }, {}, 5,
        { op = "append", records = records("e1"), id = 5 }, { op = 5 },
        { op = "append", records = records("e1"), idempotent = true } } do
        local answer = host:refused("batch", { operations = { operation } })
        assert.equal("invalid_argument", answer.error)
      end
      for _, condition in ipairs { {}, 5, "a", { streem = "a" }, { lock = "l" },
        { stream = "a", version = 5 }, { row = "t", version = 5 }, { row = { "t" }, version = 5 },
        { row = { "t", "k" } }, { checkpoint = "p" }, { route = "r" }, { none_match = 5 } } do
        local answer = host:refused("batch", { conditions = { condition },
          operations = { { op = "append", records = records("e1") } } })
        assert.equal("invalid_argument", answer.error)
      end
      assert.equal("invalid_argument", host:refused("batch", { operations = {} }).error)
      assert.equal("invalid_argument", host:refused("batch", {}).error)
      assert.equal(0, host:ask("head"))
    end)

    it("is answered again when it is idempotent", function()
      local fields = { idempotent = true, operations = {
        { op = "append", stream = "a", expected_version = "none",
          records = { { event_id = "e1", event_type = "t", timestamp = 1 } } },
        { op = "append", stream = "b",
          records = { { event_id = "e2", event_type = "t", timestamp = 1 } } } } }
      local first = host:ask("batch", fields)
      local again = host:ask("batch", fields)
      assert.is_false(first.is_replay)
      assert.is_true(again.is_replay)
      assert.same(first.results, again.results)
      assert.equal(2, host:ask("head"))
    end)
  end)

  describe("routes", function()
    it("lead writers and readers to their stream", function()
      assert.same({ previous = null }, host:ask("set_route", { route = "r", stream = "a" }))
      append("r", "none", "e1")
      assert.same({ "e1" }, host:ids { stream = "a" })
      assert.same({ "e1" }, host:ids { stream = "r" })
      assert.same({}, host:ids { stream = "r", raw = true })
      assert.same({ previous = "a" },
        host:ask("set_route", { route = "r", stream = "b", expected = "a" }))
      assert.same({ previous = "b" }, host:ask("set_route", { route = "r", stream = null }))
      assert.same({}, host:ids { stream = "r" })
    end)

    it("are set only from where they are expected", function()
      local answer = host:refused("set_route", { route = "r", stream = "a", expected = "b" })
      assert.equal("condition_failed", answer.error)
      assert.is_nil(answer.condition)
      host:ask("set_route", { route = "r", stream = "a", expected = null })
      answer = host:refused("set_route", { route = "r", stream = "b", expected = null })
      assert.equal("condition_failed", answer.error)
      assert.equal("invalid_argument", host:refused("set_route", { route = "r" }).error)
      assert.equal("invalid_argument", host:refused("set_route", { stream = "a" }).error)
    end)
  end)

  it("closes routes to writers, not to readers", function()
    append("a", "any", "e1")
    host:ask("set_route", { route = "r", stream = "a", closed = true })
    local answer = refused_append("r", "any", "e2")
    assert.equal("denied", answer.error)
    assert.equal("a", answer.stream)
    assert.same({ "e1" }, host:ids { stream = "r" })
    answer = host:answer("route", { route = "r" })
    assert.equal("a", answer.result)
    assert.is_true(answer.closed)
    assert.same({ { route = "r", stream = "a", closed = true } }, host:ask("routes").routes)
    host:ask("set_route", { route = "r", stream = "a", closed = false })
    assert.is_nil(host:answer("route", { route = "r" }).closed)
    assert.same({ { route = "r", stream = "a" } }, host:ask("routes").routes)
    append("r", 0, "e2")
    assert.equal("invalid_argument",
      host:refused("set_route", { route = "r", stream = "a", closed = 1 }).error)
  end)

  it("links a range with the revisions of its source", function()
    append("a", "any", "e1", "e2", "e3", "e4")
    host:ask("unlink", { stream = "a", event_ids = { "e2" } })
    assert.same({ count = 3 },
      host:ask("link_range", { source = "a", target = "b", keep_revisions = true }))
    local revisions = {}
    for index, event in ipairs(host:ask("read", { spec = { stream = "b" } }).events) do
      revisions[index] = event.revision
    end
    assert.same({ 0, 2, 3 }, revisions)
    assert.equal("wrong_expected_version",
      host:refused("link_range", { source = "a", target = "b", keep_revisions = true }).error)
    assert.equal("invalid_argument",
      host:refused("link_range", { source = "a", target = "c", keep_revisions = 1 }).error)
  end)

  it("links several streams merged, in the order of their events", function()
    append("a", "any", "e1")
    append("b", "any", "e2")
    append("a", "any", "e3")
    append("c", "any", "e4")
    local function sources(...)
      local list = tycho.array {}
      for index, name in ipairs { ... } do list[index] = { stream = name } end
      return list
    end
    assert.same({ count = 4 },
      host:ask("link_merged", { sources = sources("c", "b", "a"), target = "m" }))
    assert.same({ "e1", "e2", "e3", "e4" }, host:ids { stream = "m" })
    local result = host:ask("batch", { operations = { { op = "link_merged", target = "n",
      sources = { { stream = "a", first = 1 }, { stream = "b" } }, expected_version = "none" } } })
    assert.same({ { count = 2 } }, result.results)
    assert.same({ "e2", "e3" }, host:ids { stream = "n" })
    assert.equal("event_duplicated_in_stream",
      host:refused("link_merged", { sources = sources("a"), target = "m" }).error)
    assert.same({ count = 0 }, host:ask("link_merged",
      { sources = sources("a"), target = "m", on_duplicate = "skip" }))
    for _, fields in ipairs { {}, { target = "x" }, { sources = sources("a") },
      { sources = {}, target = "x" }, { sources = { "a" }, target = "x" },
      { sources = { { stream = "a", last = 1 } }, target = "x" },
      { sources = { { stream = "a", first = -1 } }, target = "x" },
      { sources = sources("a", "a"), target = "x" }, { sources = sources("a"), target = "a" } } do
      assert.equal("invalid_argument", host:refused("link_merged", fields).error)
    end
  end)

  describe("rows and checkpoints", function()
    it("are put, got, listed and deleted", function()
      local version = host:ask("put_row", { table = "t", key = "k1", value = { 1, 2.0 } }).version
      host:ask("put_row", { table = "t", key = "", value = null })
      host:ask("put_row", { table = "t", key = tycho.binary "\xff", bytes = tycho.binary "\xc1" })
      assert.same({ value = { 1, 2.0 }, version = version },
        host:ask("get_row", { table = "t", key = "k1" }))
      assert.equal(null, host:ask("get_row", { table = "t", key = "" }).value)
      local row = host:ask("get_row", { table = "t", key = tycho.binary "\xff" })
      assert.equal("\xc1", row.bytes.bytes)
      local rows, after = {}, nil
      repeat
        local page = host:ask("rows", { table = "t", limit = 1, after = after })
        for _, each in ipairs(page.rows) do rows[#rows + 1] = each.key end
        after = page.next
      until after == null
      assert.same({ "", "k1" }, { rows[1], rows[2] })
      assert.equal("\xff", rows[3].bytes)
      assert.same({ count = 1 }, host:ask("delete_row", { table = "t", key = "k1" }))
      assert.same({ count = 0 }, host:ask("delete_row", { table = "t", key = "k1" }))
      assert.equal(null, host:ask("get_row", { table = "t", key = "k1" }))
    end)

    it("are conditional on their version and position", function()
      local version = host:ask("put_row",
        { table = "t", key = "k", value = 1, version = 0 }).version
      local answer = host:refused("put_row", { table = "t", key = "k", value = 2, version = 0 })
      assert.equal("condition_failed", answer.error)
      assert.equal(version, answer.actual)
      host:ask("put_row", { table = "t", key = "k", value = 2, version = version })
      host:ask("set_checkpoint", { checkpoint = "p", position = 5, expected = 0 })
      answer = host:refused("set_checkpoint", { checkpoint = "p", position = 6, expected = 4 })
      assert.equal("condition_failed", answer.error)
      assert.equal(5, answer.actual)
      assert.equal(5, host:ask("checkpoint", { checkpoint = "p" }))
      assert.equal(0, host:ask("checkpoint", { checkpoint = "nobody" }))
      assert.equal("invalid_argument", host:refused("put_row", { table = "t", key = "k" }).error)
    end)
  end)

  it("keeps metadata of streams", function()
    assert.equal(null, host:ask("stream_metadata", { stream = "a" }))
    host:ask("set_stream_metadata", { stream = "a", metadata = { owner = "me", n = 1 } })
    host:ask("set_route", { route = "r", stream = "a" })
    assert.same({ owner = "me", n = 1 }, host:ask("stream_metadata", { stream = "r" }))
    assert.equal(null, host:ask("stream_metadata", { stream = "r", raw = true }))
    host:ask("set_stream_metadata", { stream = "a", metadata = null })
    assert.equal(null, host:ask("stream_metadata", { stream = "a" }))
    assert.equal("invalid_argument", host:refused("set_stream_metadata", { stream = "a" }).error)
  end)
end)
