--- Streams: linking, unlinking, deleting, truncating, linking a range, metadata.

local each_store = require "contract.each_store"
local events = require "support.events"
local plain = require "support.plain"
local unchanged = require "support.unchanged"

local function ids(store, stream) return plain.each(store:read():stream(stream):all()) end

local function revisions(store, stream)
  return plain.each(store:read():stream(stream):all(), "revision")
end

each_store("A link", function(fresh)
  local store
  before_each(function()
    store = fresh()
    store:append("a", events.many("e", 5))
  end)

  it("puts an event into a further stream, in the order of the call", function()
    local receipt = store:link("b", { "e3", "e1", "e5" })
    assert.equal(3, receipt.results[1].count)
    assert.equal(0, receipt.results[1].first_revision)
    assert.is_nil(receipt.first_position)
    assert.equal(0, receipt.event_count)
    assert.same({ "e3", "e1", "e5" }, ids(store, "b"))
    assert.same({ 3, 1, 5 }, plain.each(store:read():stream("b"):all(), "position"))
    assert.same({ 0, 1, 2 }, revisions(store, "b"))
    assert.equal(5, store:head())
  end)

  it("is told apart from the home entry", function()
    store:link("b", "e2")
    local linked, home = store:read():stream("b"):first(), store:event("e2")
    assert.is_true(linked.is_link)
    assert.equal(0, linked.revision)
    assert.equal("a", linked.stream)
    assert.is_false(home.is_link)
    assert.equal(1, home.revision)
    assert.equal("a", home.stream)
  end)

  it("of an unknown event is refused with its id, and nothing is linked", function()
    local err = unchanged(store, "event_not_found", function()
      store:link("b", { "e1", "unknown", "e2" })
    end)
    assert.equal("unknown", err.event_id)
    assert.equal(1, err.operation)
  end)

  it("that is there already is refused with event and stream, and nothing is linked", function()
    store:link("b", "e1")
    local err = unchanged(store, "event_duplicated_in_stream", function()
      store:link("b", { "e2", "e1" })
    end)
    assert.equal("e1", err.event_id)
    assert.equal("b", err.stream)
    unchanged(store, "event_duplicated_in_stream", function() store:link("a", "e1") end)
    unchanged(store, "event_duplicated_in_stream", function() store:link("c", { "e1", "e1" }) end)
  end)

  it("that is there already is left out when asked for", function()
    store:link("b", "e1")
    local receipt = store:link("b", { "e2", "e1", "e2", "e3" }, { on_duplicate = "skip" })
    assert.equal(2, receipt.results[1].count)
    assert.equal(1, receipt.results[1].first_revision)
    assert.same({ "e1", "e2", "e3" }, ids(store, "b"))
    local nothing = store:link("b", "e1", { on_duplicate = "skip" })
    assert.equal(0, nothing.results[1].count)
    assert.is_nil(nothing.results[1].first_revision)
  end)

  it("can be to an event of the same batch", function()
    store:batch(function(batch)
      batch:append("a", events.new "new")
      batch:link("b", { "new", "e1" })
      batch:append("b", events.new "newer")
    end)
    assert.same({ "new", "e1", "newer" }, ids(store, "b"))
    assert.same({ true, true, false }, plain.each(store:read():stream("b"):all(), "is_link"))
  end)

  it("to an event that a later operation appends is refused", function()
    unchanged(store, "event_not_found", function()
      store:batch(function(batch) batch:link("b", "new"):append("a", events.new "new") end)
    end)
  end)

  it("is listed with the others of its event, in link order", function()
    store:link("z", "e1")
    store:link("b", "e1")
    store:link("m", { "e2", "e1" })
    assert.same({ "a", "z", "b", "m" }, store:streams_of("e1"))
    assert.same({ "a", "m" }, store:streams_of("e2"))
    assert.same({}, store:streams_of("unknown"))
    assert.equal(0, store:revision("e1", "a"))
    assert.equal(1, store:revision("e1", "m"))
    assert.is_nil(store:revision("e3", "m"))
    assert.is_nil(store:revision("unknown", "a"))
  end)
end)

each_store("A range of a stream", function(fresh)
  local store
  before_each(function()
    store = fresh()
    store:append("a", events.many("e", 6))
  end)

  local function link_range(...)
    local arguments = table.pack(...)
    return store:batch(function(batch)
      batch:link_range(table.unpack(arguments, 1, arguments.n))
    end)
  end

  it("is linked from the first to the last revision, both included", function()
    local receipt = link_range("a", 1, 3, "b")
    assert.equal(3, receipt.results[1].count)
    assert.equal(0, receipt.results[1].first_revision)
    assert.same({ "e2", "e3", "e4" }, ids(store, "b"))
  end)

  it("goes to the end when the last is left out", function()
    assert.equal(2, link_range("a", 4, nil, "b").results[1].count)
    assert.same({ "e5", "e6" }, ids(store, "b"))
    assert.equal(0, link_range("a", 6, nil, "c").results[1].count)
    assert.equal(0, link_range("unknown", 0, nil, "c").results[1].count)
    assert.same({}, ids(store, "c"))
  end)

  it("keeps the order of links, and leaves out what was unlinked", function()
    store:link("b", { "e6", "e2", "e4" })
    store:unlink("b", "e2")
    link_range("b", 0, nil, "c")
    assert.same({ "e6", "e4" }, ids(store, "c"))
    assert.same({ 0, 1 }, revisions(store, "c"))
  end)

  it("sees what the same batch appended", function()
    store:batch(function(batch)
      batch:append("a", events.new "new"):link_range("a", 5, nil, "b")
    end)
    assert.same({ "e6", "new" }, ids(store, "b"))
  end)

  it("refuses duplicates, or leaves them out", function()
    store:link("b", "e2")
    local err = unchanged(store, "event_duplicated_in_stream", function()
      link_range("a", 0, nil, "b")
    end)
    assert.equal("e2", err.event_id)
    assert.equal("b", err.stream)
    local result = link_range("a", 0, nil, "b", { on_duplicate = "skip" }).results[1]
    assert.equal(5, result.count)
    assert.equal(1, result.first_revision)
    assert.same({ "e2", "e1", "e3", "e4", "e5", "e6" }, ids(store, "b"))
  end)

  it("is never linked into its own stream", function()
    unchanged(store, "invalid_argument", function()
      link_range("a", 0, nil, "a", { on_duplicate = "skip" })
    end)
  end)

  it("has an expected version for the target", function()
    unchanged(store, "wrong_expected_version", function()
      link_range("a", 0, nil, "b", { expected_version = 0 })
    end)
    link_range("a", 0, nil, "b", { expected_version = "none" })
    assert.equal(5, store:stream_version("b"))
  end)
end)

each_store("An image of a stream (keep_revisions)", function(fresh)
  local store
  local function image(options)
    options = options or {}
    options.keep_revisions = true
    return store:batch(function(batch)
      batch:link_range("a", options.first or 0, options.last, "b", {
        keep_revisions = true, expected_version = options.expected_version,
        on_duplicate = options.on_duplicate })
    end)
  end

  before_each(function()
    store = fresh()
    store:append("a", events.many("e", 6))
  end)

  it("has each event at its revision, and no event where the source has none", function()
    store:unlink("a", { "e1", "e3", "e6" })
    assert.equal(3, image().results[1].count)
    assert.same({ "e2", "e4", "e5" }, ids(store, "b"))
    assert.same({ 1, 3, 4 }, revisions(store, "b"))
  end)

  it("takes the version of the source, so that the next event goes on behind it", function()
    store:unlink("a", { "e5", "e6" })
    image()
    assert.equal(5, store:stream_version("b"))
    store:append("b", events.new "new", { expected_version = 5 })
    assert.same({ 0, 1, 2, 3, 6 }, revisions(store, "b"))
    assert.same({ "e1", "e2", "e3", "e4", "new" }, ids(store, "b"))
    assert.same({ "new", "e4", "e3", "e2", "e1" },
      store:read():stream("b"):backward():map(function(event) return event.id end))
  end)

  it("begins where a truncated source begins", function()
    store:truncate("a", 4)
    image()
    assert.same({ 4, 5 }, revisions(store, "b"))
    assert.equal(1, store:revision("e6", "b") - store:revision("e5", "b"))
  end)

  it("grows in parts", function()
    image { last = 1 }
    image { first = 2, last = 3, expected_version = 1 }
    image { first = 4, expected_version = 3 }
    assert.same({ 0, 1, 2, 3, 4, 5 }, revisions(store, "b"))
  end)

  it("is refused by a target that is beyond it, with its version", function()
    store:append("b", events.many("b", 3))
    local err = unchanged(store, "wrong_expected_version", function() image { first = 1 } end)
    assert.equal(2, err.actual)
    assert.equal("b", err.stream)
    image { first = 3 }
    assert.same({ 0, 1, 2, 3, 4, 5 }, revisions(store, "b"))
  end)

  it("has wide gaps too, which take no room", function()
    local million = {}
    for i = 1, 3 do
      million[i] = "m" .. i
      store:append("long", events.new(million[i]))
    end
    for _ = 1, 400 do store:append("long", events.many("x" .. _ .. "-", 5)) end
    store:truncate("long", 2000)
    store:link("c", "e1")
    store:batch(function(batch)
      batch:link_range("long", 0, nil, "c", { keep_revisions = true })
    end)
    assert.same({ 0, 2000, 2001, 2002 }, revisions(store, "c"))
    assert.equal(1, #store:read():stream("c"):from_revision(2001):all())
    assert.equal(4, store:read():stream("c"):count())
    assert.equal(2002, store:stream_version("c"))
  end)
end)

each_store("Merging streams", function(fresh)
  local store
  local function merge(sources, target, options)
    return store:batch(function(batch) batch:link_merged(sources, target, options) end)
  end

  before_each(function()
    store = fresh()
    for i = 1, 3 do
      store:append("a", events.new("a" .. i))
      store:append("b", events.new("b" .. i))
    end
  end)

  it("links all of them in the order of their positions", function()
    local result = merge({ { "b", 0 }, { "a", 0 }, { "unknown", 0 } }, "all").results[1]
    assert.equal(6, result.count)
    assert.equal(0, result.first_revision)
    assert.same({ "a1", "b1", "a2", "b2", "a3", "b3" }, ids(store, "all"))
  end)

  it("begins at a revision of each", function()
    merge({ { "a", 2 }, { "b", 1 }, { "b2", 5 } }, "all")
    assert.same({ "b2", "a3", "b3" }, ids(store, "all"))
  end)

  it("goes behind what the target has", function()
    store:append("all", events.new "first")
    merge({ { "a", 1 }, { "b", 2 } }, "all", { expected_version = 0 })
    assert.same({ "first", "a2", "a3", "b3" }, ids(store, "all"))
  end)

  it("sees what the same batch appended", function()
    store:batch(function(batch)
      batch:append("a", events.new "new"):link_merged({ { "a", 3 }, { "b", 2 } }, "all")
    end)
    assert.same({ "b3", "new" }, ids(store, "all"))
  end)

  it("refuses an event that two have, or links it once", function()
    store:link("b", "a1")
    local err = unchanged(store, "event_duplicated_in_stream", function()
      merge({ { "a", 0 }, { "b", 0 } }, "all")
    end)
    assert.equal("a1", err.event_id)
    merge({ { "a", 0 }, { "b", 0 } }, "all", { on_duplicate = "skip" })
    assert.same({ "a1", "b1", "a2", "b2", "a3", "b3" }, ids(store, "all"))
  end)

  it("refuses a stream that is named twice, also over a route, and the target", function()
    store:set_route("other", "a")
    for _, sources in ipairs { { { "a", 0 }, { "a", 1 } }, { { "all", 0 } },
      { { "a", 0 }, { "other", 0 } } } do
      unchanged(store, "invalid_argument", function()
        merge(sources, sources[1][1] == "all" and "all" or "c")
      end)
    end
    unchanged(store, "invalid_argument", function() merge({ { "other", 0 } }, "a") end)
  end)
end)

each_store("Unlinking", function(fresh)
  local store
  before_each(function()
    store = fresh()
    store:append("a", events.many("e", 4))
    store:link("b", { "e4", "e2", "e1" })
  end)

  it("takes an entry out and leaves its revision unused", function()
    local receipt = store:unlink("b", "e2")
    assert.equal(1, receipt.results[1].count)
    assert.same({ "e4", "e1" }, ids(store, "b"))
    assert.same({ 0, 2 }, revisions(store, "b"))
    assert.equal(2, store:stream_version("b"))
    assert.same({ "a" }, store:streams_of("e2"))
    assert.is_nil(store:revision("e2", "b"))
    assert.equal(2, store:read():stream("b"):count())
  end)

  it("of the last entry does not give its revision to another", function()
    store:unlink("b", "e1")
    assert.equal(3, store:link("b", "e1").results[1].first_revision)
    assert.same({ 0, 1, 3 }, revisions(store, "b"))
  end)

  it("of a home entry leaves the event in the log and in other streams", function()
    store:unlink("a", { "e2", "e1" })
    assert.same({ "e3", "e4" }, ids(store, "a"))
    assert.is_true(store:has_event("e2"))
    assert.same({ "b" }, store:streams_of("e2"))
    assert.equal(4, store:read():count())
    assert.equal("a", store:event("e2").stream)
    assert.equal(1, store:event("e2").revision)
    assert.same({ "e4", "e2", "e1" }, ids(store, "b"))
  end)

  it("of what is not there is refused by name, and nothing is taken out", function()
    local err = unchanged(store, "event_not_found_in_stream", function()
      store:unlink("b", { "e4", "e3" })
    end)
    assert.equal("e3", err.event_id)
    assert.equal("b", err.stream)
    err = unchanged(store, "event_not_found", function() store:unlink("b", { "e4", "x" }) end)
    assert.equal("x", err.event_id)
    unchanged(store, "event_not_found_in_stream", function() store:unlink("b", { "e4", "e4" }) end)
    unchanged(store, "event_not_found_in_stream", function() store:unlink("unknown", "e4") end)
  end)

  it("can be undone by a link", function()
    store:unlink("a", "e1")
    store:link("a", "e1")
    assert.same({ "e2", "e3", "e4", "e1" }, ids(store, "a"))
    assert.equal(4, store:revision("e1", "a"))
    assert.is_true(store:read():stream("a"):last().is_link)
  end)
end)

each_store("Deleting a stream", function(fresh)
  local store
  before_each(function()
    store = fresh()
    store:append("a", events.many("e", 3))
    store:append("b", events.new "b1")
    store:link("b", { "e2", "e3" })
    store:set_stream_metadata("b", { owner = "kepler" })
  end)

  it("removes entries and metadata, never events", function()
    assert.equal(3, store:delete_stream("b").results[1].count)
    assert.same({}, ids(store, "b"))
    assert.equal(-1, store:stream_version("b"))
    assert.is_nil(store:last_event("b"))
    assert.is_nil(store:stream_metadata("b"))
    assert.equal(4, store:read():count())
    assert.is_true(store:has_event("b1"))
    assert.same({ "a" }, store:streams_of("e2"))
    assert.same({}, store:streams_of("b1"))
    assert.same({ { "a", 3, 2 } }, plain.lines(store:streams()))
  end)

  it("lets revisions begin at 0 again, and events be linked again", function()
    store:delete_stream("b")
    local receipt = store:link("b", { "e3", "b1" }, { expected_version = "none" })
    assert.equal(0, receipt.results[1].first_revision)
    assert.same({ "e3", "b1" }, ids(store, "b"))
    assert.same({ true, true }, plain.each(store:read():stream("b"):all(), "is_link"))
    assert.equal(2, store:append("b", events.new "b2").results[1].first_revision)
  end)

  it("and writing to it again can be one batch", function()
    store:batch(function(batch)
      batch:delete_stream("b"):append("b", events.new "b2"):link("b", "b1")
    end)
    assert.same({ "b2", "b1" }, ids(store, "b"))
    assert.same({ 0, 1 }, revisions(store, "b"))
  end)

  it("that does not exist is no error", function()
    assert.equal(0, store:delete_stream("unknown").results[1].count)
    assert.same({}, ids(store, "unknown"))
  end)

  it("can expect a version", function()
    unchanged(store, "wrong_expected_version", function()
      store:delete_stream("b", { expected_version = 1 })
    end)
    store:delete_stream("b", { expected_version = 2 })
    assert.equal(-1, store:stream_version("b"))
  end)
end)

each_store("Truncating a stream", function(fresh)
  local store
  before_each(function()
    store = fresh()
    store:append("a", events.many("e", 5))
  end)

  it("removes what is below a revision and keeps the other revisions", function()
    assert.equal(2, store:truncate("a", 2).results[1].count)
    assert.same({ "e3", "e4", "e5" }, ids(store, "a"))
    assert.same({ 2, 3, 4 }, revisions(store, "a"))
    assert.equal(4, store:stream_version("a"))
    assert.equal(5, store:read():count())
    assert.same({}, store:streams_of("e1"))
    assert.equal(0, store:truncate("a", 2).results[1].count)
    assert.equal(0, store:truncate("a", 0).results[1].count)
    assert.equal(5, store:append("a", events.new "new",
      { expected_version = 4 }).results[1].first_revision)
  end)

  it("beyond its end leaves no entry, and the revisions stay used", function()
    store:truncate("a", 1000)
    assert.same({}, ids(store, "a"))
    assert.equal(0, store:read():stream("a"):count())
    assert.equal(4, store:stream_version("a"))
    assert.is_nil(store:last_event("a"))
    assert.equal(5, store:append("a", events.new "new").results[1].first_revision)
    assert.equal(5, store:stream_version("a"))
  end)

  it("beyond its end lets a writer expect no entries, or the last revision that was given",
    function()
      store:truncate("a", 1000)
      local function append(version)
        return store:append("a", events.new("new" .. version), { expected_version = version })
      end
      unchanged(store, "wrong_expected_version", function() append("exists") end)
      unchanged(store, "wrong_expected_version", function() append(0) end)
      assert.equal(5, append("none").results[1].first_revision)
      store:unlink("a", "newnone")
      assert.equal(6, append(5).results[1].first_revision)
    end)

  it("that does not exist removes nothing", function()
    assert.equal(0, store:truncate("unknown", 3).results[1].count)
    assert.equal(0, store:append("unknown", events.new "new").results[1].first_revision)
  end)

  it("below 0 is misuse", function()
    unchanged(store, "invalid_argument", function() store:truncate("a", -1) end)
  end)
end)

each_store("The metadata of a stream", function(fresh)
  it("is set, replaced and removed, with or without entries", function()
    local store = fresh()
    assert.is_nil(store:stream_metadata("a"))
    store:set_stream_metadata("a", { keep = 10, tags = { "x" } })
    assert.same({ keep = 10, tags = { "x" } }, store:stream_metadata("a"))
    assert.same({ { "a", 0, -1 } }, plain.lines(store:streams()))
    assert.equal(-1, store:stream_version("a"))
    store:append("a", events.new "e1", { expected_version = "none" })
    store:set_stream_metadata("a", "text")
    assert.equal("text", store:stream_metadata("a"))
    store:set_stream_metadata("a", nil)
    assert.is_nil(store:stream_metadata("a"))
    assert.same({ "e1" }, ids(store, "a"))
  end)

  it("that is removed from a stream without entries leaves nothing", function()
    local store = fresh()
    store:set_stream_metadata("a", { keep = 10 })
    store:set_stream_metadata("a", nil)
    assert.same({}, plain.lines(store:streams()))
  end)

  it("can be false", function()
    local store = fresh()
    store:set_stream_metadata("a", false)
    assert.is_false(store:stream_metadata("a"))
  end)
end)

each_store("Overwriting", function(fresh)
  local store
  before_each(function()
    store = fresh()
    store:append("a", { events.new("e1", { tags = { "t" }, valid_time = 5, metadata = { m = 1 },
      correlation_id = "c", causation_id = "d" }), events.new "e2" })
    store:link("b", "e1")
  end)

  it("replaces type, data and metadata; place, time, tags and causes stay", function()
    store:overwrite { id = "e1", type = "redacted", data = { gone = true }, metadata = { m = 2 },
      time = 77, tags = { "other" }, correlation_id = "x", causation_id = "y" }
    assert.same({ id = "e1", type = "redacted", stream = "a", position = 1, revision = 0,
      is_link = false, time = 1000, valid_time = 5, data = { gone = true }, metadata = { m = 2 },
      tags = { "t" }, correlation_id = "c", causation_id = "d" }, plain.event(store:event("e1")))
    assert.equal("redacted", store:read():stream("b"):first().type)
    assert.equal(2, store:head())
  end)

  it("changes the valid time only when it is given", function()
    store:overwrite { id = "e1", type = "happened", valid_time = 2000 }
    assert.equal(2000, store:event("e1").valid_time)
    assert.same({ "e2", "e1" }, plain.each(store:read():as_of():all()))
    store:overwrite { id = "e1", type = "happened" }
    assert.equal(2000, store:event("e1").valid_time)
    assert.same({ "e1", "e2" }, plain.each(store:read():as_at():all()))
  end)

  it("is seen by filters and directories at once", function()
    store:overwrite { { id = "e1", type = "redacted" } }
    assert.same({ "e1" }, plain.each(store:read():of_type("redacted"):all()))
    assert.same({ "e2" }, plain.each(store:read():of_type("happened"):all()))
    assert.same({ { "happened", 1 }, { "redacted", 1 } }, plain.lines(store:types()))
    store:overwrite { { id = "e2", type = "redacted" } }
    assert.same({ { "redacted", 2 } }, plain.lines(store:types()))
  end)

  it("changes the content type", function()
    store:overwrite { id = "e1", type = "t", content_type = "text/plain", data = "gone" }
    assert.equal("text/plain", store:event("e1").content_type)
    assert.equal("gone", store:event("e1").data)
    store:overwrite { id = "e1", type = "t", data = { 1 } }
    assert.is_nil(store:event("e1").content_type)
    assert.same({ 1 }, store:event("e1").data)
  end)

  it("of an unknown event is refused with its id, and nothing is replaced", function()
    local err = unchanged(store, "event_not_found", function()
      store:overwrite { { id = "e1", type = "t" }, { id = "x", type = "t" } }
    end)
    assert.equal("x", err.event_id)
  end)

  it("reaches events of the same batch", function()
    store:batch(function(batch)
      batch:append("a", events.new "new"):overwrite { id = "new", type = "changed" }
    end)
    assert.equal("changed", store:event("new").type)
    assert.same({ "new" }, plain.each(store:read():of_type("changed"):all()))
  end)
end)
