--- Routes: names that forward writers and readers to a stream.

local each_store = require "contract.each_store"
local events = require "support.events"
local plain = require "support.plain"
local unchanged = require "support.unchanged"

local function ids(store, stream) return plain.each(store:read():stream(stream):all()) end

each_store("A route", function(fresh)
  local store
  before_each(function()
    store = fresh()
    store:append("a", events.many("a", 2))
    store:append("b", events.new "b1")
    store:set_route("r", "a")
  end)

  it("leads every write to its stream", function()
    store:append("r", events.new "a3", { expected_version = 1 })
    store:link("r", "b1", { expected_version = "exists" })
    assert.same({ "a1", "a2", "a3", "b1" }, ids(store, "a"))
    assert.equal("a", store:event("a3").stream)
    store:unlink("r", "b1")
    store:truncate("r", 1)
    assert.same({ "a2", "a3" }, ids(store, "a"))
    store:set_stream_metadata("r", { x = 1 })
    assert.same({ x = 1 }, store:stream_metadata("a"))
    store:delete_stream("r")
    assert.same({}, ids(store, "a"))
    assert.equal("a", store:route("r"))
  end)

  it("leads every read to its stream", function()
    assert.same({ "a1", "a2" }, ids(store, "r"))
    assert.equal(1, store:stream_version("r"))
    assert.equal("a2", store:last_event("r").id)
    assert.equal(1, store:revision("a2", "r"))
    assert.equal(2, store:read():stream("r"):count())
    assert.is_nil(store:revision("b1", "r"))
    assert.same({ "a" }, store:streams_of("a1"))
  end)

  it("names the stream in errors", function()
    local err = unchanged(store, "wrong_expected_version", function()
      store:append("r", events.new "x", { expected_version = "none" })
    end)
    assert.equal(1, err.actual)
  end)

  it("is passed by when the name is taken raw", function()
    store:append("r", events.new "own", { raw = true, expected_version = "none" })
    assert.same({ "a1", "a2" }, ids(store, "r"))
    assert.same({ "own" }, plain.each(store:read():stream("r"):raw():all()))
    store:link("r", "b1", { raw = true })
    store:unlink("r", "own", { raw = true })
    store:truncate("r", 1, { raw = true })
    store:set_stream_metadata("r", 5, { raw = true })
    assert.same({ "b1" }, plain.each(store:read():stream("r"):raw():all()))
    assert.is_nil(store:stream_metadata("a"))
    store:delete_stream("r", { raw = true })
    assert.same({ "a1", "a2" }, ids(store, "a"))
    assert.same({}, plain.each(store:read():stream("r"):raw():all()))
  end)

  it("can take the place of a stream that has entries, which stay", function()
    store:set_route("b", "a")
    assert.same({ "a1", "a2" }, ids(store, "b"))
    assert.same({ "b1" }, plain.each(store:read():stream("b"):raw():all()))
    assert.same({ "b" }, store:streams_of("b1"))
    store:set_route("b", nil)
    assert.same({ "b1" }, ids(store, "b"))
  end)

  it("may lead to a stream that does not exist yet", function()
    store:set_route("n", "new")
    assert.equal(-1, store:stream_version("n"))
    store:append("n", events.new "n1", { expected_version = "none" })
    assert.same({ "n1" }, ids(store, "new"))
  end)

  it("is re-pointed, and tells where it led before", function()
    assert.is_nil(store:set_route("s", "a").results[1].previous)
    assert.equal("a", store:set_route("s", "b").results[1].previous)
    assert.equal("b", store:route("s"))
    assert.equal("b", store:set_route("s", nil).results[1].previous)
    assert.is_nil(store:route("s"))
    assert.is_nil(store:route("a"))
  end)

  it("can be expected to lead somewhere", function()
    unchanged(store, "condition_failed", function()
      store:set_route("r", "b", { expected = "b" })
    end)
    unchanged(store, "condition_failed", function()
      store:set_route("r", "b", { expected = false })
    end)
    unchanged(store, "condition_failed", function()
      store:set_route("s", "b", { expected = "a" })
    end)
    store:set_route("r", "b", { expected = "a" })
    store:set_route("s", "a", { expected = false })
    local err = unchanged(store, "condition_failed", function()
      store:batch(function(batch)
        batch:expect_route("s", "a"):expect_route("r", "a"):append("r", events.new "x")
      end)
    end)
    assert.equal(2, err.condition)
    store:batch(function(batch)
      batch:expect_route("r", "b"):expect_route("none", nil):append("r", events.new "x")
    end)
    assert.same({ "b1", "x" }, ids(store, "b"))
  end)

  it("is followed at once by the operations behind it in its batch", function()
    store:batch(function(batch)
      batch:append("r", events.new "before"):set_route("r", "b"):append("r", events.new "after")
    end)
    assert.same({ "a1", "a2", "before" }, ids(store, "a"))
    assert.same({ "b1", "after" }, ids(store, "b"))
  end)

  it("moves a stream in one batch: the rest is linked and the names switched", function()
    store:batch(function(batch)
      batch:link_range("a", 0, nil, "new"):set_route("r", "new"):set_route("a", "new")
    end)
    store:append("a", events.new "a3", { expected_version = 1 })
    store:append("r", events.new "a4", { expected_version = 2 })
    assert.same({ "a1", "a2", "a3", "a4" }, ids(store, "new"))
    store:delete_stream("a", { raw = true })
    assert.same({ "a1", "a2", "a3", "a4" }, ids(store, "a"))
  end)
end)

each_store("A chain of routes", function(fresh)
  local function chain(store, length)
    for index = length, 1, -1 do
      store:set_route("r" .. index, index == length and "end" or "r" .. index + 1)
    end
  end

  it("is followed to its end, however long it is", function()
    local store = fresh()
    chain(store, 30)
    store:append("r1", events.new "e1")
    assert.same({ "end" }, store:streams_of("e1"))
    assert.same({ "e1" }, ids(store, "r1"))
    assert.same({ "e1" }, ids(store, "r17"))
    store:set_route("end", "later")
    store:append("r1", events.new "e2")
    assert.same({ "later" }, store:streams_of("e2"))
    assert.same({ "e2" }, ids(store, "r2"))
    unchanged(store, "invalid_argument", function() store:set_route("later", "r9") end)
  end)

  it("that bites its own tail is refused", function()
    local store = fresh()
    unchanged(store, "invalid_argument", function() store:set_route("a", "a") end)
    store:set_route("a", "b")
    unchanged(store, "invalid_argument", function() store:set_route("b", "a") end)
    store:set_route("b", "c")
    unchanged(store, "invalid_argument", function() store:set_route("c", "a") end)
    assert.same({ { "a", "b" }, { "b", "c" } }, plain.lines(store:routes()))
  end)

  it("may be re-tied within one batch", function()
    local store = fresh()
    store:set_route("a", "b")
    store:batch(function(batch) batch:set_route("a", nil):set_route("b", "a") end)
    assert.same({ { "b", "a" } }, plain.lines(store:routes()))
  end)
end)

each_store("A closed route", function(fresh)
  local store
  before_each(function()
    store = fresh()
    store:append("new", events.many("e", 2))
    store:append("old", events.new "left")
    store:set_route("old", "new", { closed = true })
  end)

  it("leads readers on", function()
    assert.same({ "e1", "e2" }, ids(store, "old"))
    assert.equal(1, store:stream_version("old"))
    assert.equal(0, store:stream_version("old", { raw = true }))
    local target, closed = store:route("old")
    assert.equal("new", target)
    assert.is_true(closed)
    for name, stream, is_closed in store:routes() do
      assert.same({ "old", "new", true }, { name, stream, is_closed })
    end
  end)

  it("refuses every writer, and names where the stream is now", function()
    local writers = {
      function() store:append("old", events.new "e3") end,
      function() store:link("old", "left") end,
      function() store:unlink("old", "e1") end,
      function() store:truncate("old", 1) end,
      function() store:delete_stream("old") end,
      function() store:set_stream_metadata("old", { n = 1 }) end,
      function() store:batch(function(batch) batch:link_range("new", 0, nil, "old") end) end,
      function() store:batch(function(batch) batch:link_merged({ { "x", 0 } }, "old") end) end,
    }
    for _, writer in ipairs(writers) do
      assert.equal("new", unchanged(store, "denied", writer).stream)
    end
  end)

  it("refuses also those who come over a further route", function()
    store:set_route("oldest", "old")
    unchanged(store, "denied", function() store:append("oldest", events.new "e3") end)
  end)

  it("is passed by raw writers, and opened by a plain route", function()
    store:append("old", events.new "raw", { raw = true })
    store:append("new", events.new "e3")
    store:set_route("old", "new")
    store:append("old", events.new "e4")
    assert.same({ "e1", "e2", "e3", "e4" }, ids(store, "new"))
  end)

  it("is a route for conditions and results", function()
    local receipt = store:set_route("old", "other", { expected = "new" })
    assert.equal("new", receipt.results[1].previous)
  end)

  it("needs a stream", function()
    unchanged(store, "invalid_argument", function()
      store:set_route("old", nil, { closed = true })
    end)
  end)

  it("answers a resubmission from before the stream was renamed", function()
    local again = { events.new "again" }
    store:append("first", again, { idempotent = true })
    store:batch(function(batch)
      batch:link_range("first", 0, nil, "second", { keep_revisions = true })
      batch:set_route("first", "second", { closed = true })
    end)
    local receipt = store:append("first", again, { idempotent = true })
    assert.is_true(receipt.is_replay)
    assert.equal(0, receipt.results[1].first_revision)
    assert.same({ "again" }, ids(store, "second"))
  end)

  it("answers one from before its stream led elsewhere, where the event is not", function()
    local again = { events.new "again" }
    store:set_route("route", "first")
    store:append("route", again, { idempotent = true })
    store:batch(function(batch)
      batch:set_route("first", "second", { closed = true }):set_route("route", "second")
    end)
    assert.is_true(store:append("first", again, { idempotent = true }).is_replay)
    assert.is_true(store:append("route", again, { idempotent = true }).is_replay)
    assert.same({}, ids(store, "second"))
    unchanged(store, "duplicate_event", function()
      store:append("third", again, { idempotent = true })
    end)
  end)
end)
