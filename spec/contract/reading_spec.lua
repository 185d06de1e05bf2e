--- Reading: direction, limits, bounds, filters, orders, terminals.

local each_store = require "contract.each_store"
local events = require "support.events"
local plain = require "support.plain"
local refusal = require "support.refusal"

local function ids(specification) return plain.each(specification:all()) end

--- What every read must agree on, whatever it asks for; gives the ids.
local function agreed(specification)
  local found, walked, batched = specification:all(), {}, {}
  for event in specification:each() do walked[#walked + 1] = event.id end
  for batch in specification:each_batch(3) do
    assert.is_true(#batch >= 1 and #batch <= 3)
    for _, event in ipairs(batch) do batched[#batched + 1] = event.id end
  end
  local expected = plain.each(found)
  assert.same(expected, walked)
  assert.same(expected, batched)
  assert.equal(#expected, specification:count())
  local first, last = specification:first(), specification:last()
  assert.equal(expected[1], first and first.id)
  assert.equal(expected[#expected], last and last.id)
  return expected
end

--- The same read without a limit backward must be the exact reverse; gives the ids forward.
local function both_ways(specification)
  local forward, backward = agreed(specification:forward()), agreed(specification:backward())
  local reversed = {}
  for index = #backward, 1, -1 do reversed[#reversed + 1] = backward[index] end
  assert.same(forward, reversed)
  return forward
end

each_store("Reading the log and streams", function(fresh)
  local store
  before_each(function()
    store = fresh()
    store:append("a", events.many("a", 4))
    store:append("b", events.many("b", 2))
    store:append(nil, events.new "n1")
    store:link("b", { "a4", "a2" })
  end)

  it("gives the log in the order of positions, once each, links left out", function()
    assert.same({ "a1", "a2", "a3", "a4", "b1", "b2", "n1" }, both_ways(store:read()))
    assert.same({ 1, 2, 3, 4, 5, 6, 7 }, plain.each(store:read():all(), "position"))
  end)

  it("gives a stream in the order of revisions, links included", function()
    assert.same({ "b1", "b2", "a4", "a2" }, both_ways(store:read():stream("b")))
    assert.same({ 0, 1, 2, 3 }, plain.each(store:read():stream("b"):all(), "revision"))
  end)

  it("gives nothing for a stream that does not exist", function()
    assert.same({}, both_ways(store:read():stream("unknown")))
    assert.is_nil(store:read():stream("unknown"):first())
    assert.is_nil(store:last_event("unknown"))
  end)

  it("gives nothing from an empty store", function()
    assert.same({}, both_ways(fresh():read()))
    assert.equal(0, fresh():head())
  end)

  it("gives up to a limit, in the direction of reading", function()
    assert.same({ "a1", "a2" }, agreed(store:read():limit(2)))
    assert.same({ "n1", "b2" }, agreed(store:read():backward():limit(2)))
    assert.same({ "a2", "a4" }, agreed(store:read():stream("b"):limit(2):backward()))
    assert.equal(7, #agreed(store:read():limit(1000)))
  end)

  it("gives the last of what the limit leaves", function()
    assert.equal("a2", store:read():limit(2):last().id)
    assert.equal("b2", store:read():backward():limit(2):last().id)
    assert.equal("b2", store:read():stream("b"):limit(2):last().id)
  end)

  it("folds and maps", function()
    assert.same({ "b1", "b2", "a4", "a2" },
      store:read():stream("b"):map(function(event) return event.id end))
    assert.equal("n1b2", store:read():backward():limit(2):reduce(function(state, event)
      return state .. event.id
    end, ""))
    assert.equal(5, store:read():stream("unknown"):reduce(function() return 6 end, 5))
  end)

  it("finds an event by id within what is read", function()
    assert.equal("a2", store:read():event("a2").id)
    assert.equal(3, store:read():stream("b"):event("a2").revision)
    assert.is_nil(store:read():stream("b"):event("a1"))
    assert.is_nil(store:read():event("unknown"))
    assert.same({ "a4", "a2" },
      plain.each(store:read():stream("b"):events { "a2", "unknown", "a1", "a4" }))
  end)

  it("leaves a description as it is when a step is added to it", function()
    local all = store:read()
    local limited = all:limit(1)
    local backward = limited:backward()
    assert.equal(7, all:count())
    assert.same({ "a1" }, ids(limited))
    assert.same({ "n1" }, ids(backward))
    assert.same({ "a1" }, ids(limited))
  end)

  it("lets a later step of a kind replace the earlier one", function()
    assert.same({ "b1", "b2", "a4", "a2" }, ids(store:read():stream("a"):stream("b")))
    assert.same({ "a1", "a2", "a3" }, ids(store:read():limit(1):limit(3)))
    assert.same({ "a1" }, ids(store:read():backward():forward():limit(1)))
    assert.same({ "b2", "n1" }, ids(store:read():from("a1"):from("b1")))
  end)

  it("sees what was written since the description was made", function()
    local all = store:read():stream("a")
    store:append("a", events.new "a5")
    assert.equal(5, all:count())
  end)

  it("refuses steps that mean nothing", function()
    local read = store:read()
    for step, bad in pairs { limit = { -1, 1.5, "x" }, from = { "", 5, ("x"):rep(65) },
      to = { "" }, stream = { "", 7, ("x"):rep(256) }, from_position = { -1, "1" },
      to_position = { -1 }, older_than = { "now" }, newer_than = { 1.5 }, resume = { 7, "junk" },
      of_type = { 7, "" }, tagged = { 7, "" }, with_id = { "" }, matching = { 7 } } do
      for _, value in ipairs(bad) do
        local err = refusal.of(function() return read[step](read, value):all() end)
        assert.is_true(({ invalid_argument = true, too_large = true, corrupt = true })[err.code],
          step .. " " .. tostring(value) .. ": " .. err.code)
      end
    end
    refusal.with("invalid_argument", read.page, read, 0)
    refusal.with("invalid_argument", read.page, read, -1)
  end)
end)

each_store("Bounds", function(fresh)
  local store
  before_each(function()
    store = fresh()
    store:append("a", events.many("e", 6))
    store:link("b", { "e5", "e1", "e6", "e3" })
  end)

  it("by event id are exclusive, in the direction of reading", function()
    local read = store:read()
    assert.same({ "e4", "e5", "e6" }, agreed(read:from("e3")))
    assert.same({ "e1", "e2" }, agreed(read:to("e3")))
    assert.same({ "e3", "e4" }, agreed(read:from("e2"):to("e5")))
    assert.same({ "e2", "e1" }, agreed(read:backward():from("e3")))
    assert.same({ "e6", "e5", "e4" }, agreed(read:backward():to("e3")))
    assert.same({}, agreed(read:from("e6")))
    assert.same({}, agreed(read:to("e1")))
  end)

  it("that leave nothing between them give nothing", function()
    local read = store:read()
    assert.same({}, agreed(read:from("e3"):to("e4")))
    assert.same({}, agreed(read:from("e4"):to("e2")))
    assert.same({}, agreed(read:from("e4"):to("e4")))
    assert.same({}, agreed(read:backward():from("e2"):to("e4")))
    assert.same({}, agreed(read:from_position(4):to_position(2)))
    assert.same({}, agreed(read:stream("b"):from_revision(2):to_revision(1)))
  end)

  it("by event id follow the order of the stream", function()
    local read = store:read():stream("b")
    assert.same({ "e6", "e3" }, agreed(read:from("e1")))
    assert.same({ "e5", "e1" }, agreed(read:to("e6")))
    assert.same({ "e1", "e5" }, agreed(read:backward():from("e6")))
    assert.same({ "e3", "e6" }, agreed(read:backward():to("e1")))
  end)

  it("by an event that is not there are refused by its id", function()
    for _, specification in ipairs { store:read():from("x"), store:read():to("x"),
      store:read():stream("b"):from("x"), store:read():stream("b"):to("x") } do
      local err = refusal.with("event_not_found", specification.all, specification)
      assert.equal("x", err.event_id or err.message:match("x"))
    end
    local elsewhere = store:read():stream("b"):from("e2")
    refusal.with("event_not_found", elsewhere.all, elsewhere)
    refusal.with("event_not_found", elsewhere.count, elsewhere)
    refusal.with("event_not_found", elsewhere.first, elsewhere)
  end)

  it("by position are exclusive, and filter a stream too", function()
    local read = store:read()
    assert.same({ "e3", "e4", "e5", "e6" }, agreed(read:from_position(2)))
    assert.same({ "e1" }, agreed(read:to_position(2)))
    assert.same({ "e3", "e4" }, agreed(read:from_position(2):to_position(5)))
    assert.same({ "e4", "e3" }, agreed(read:backward():from_position(5):to_position(2)))
    assert.equal(6, #agreed(read:from_position(0)))
    assert.equal(6, #agreed(read:backward():from_position(7)))
    assert.same({}, agreed(read:from_position(6)))
    assert.same({}, agreed(read:from_position(1000)))
    assert.same({ "e5", "e6" }, agreed(read:stream("b"):from_position(3)))
    assert.same({ "e3", "e1" }, agreed(read:stream("b"):backward():from_position(5)))
  end)

  it("by revision are exclusive", function()
    local read = store:read():stream("b")
    assert.same({ "e6", "e3" }, agreed(read:from_revision(1)))
    assert.same({ "e5" }, agreed(read:to_revision(1)))
    assert.same({ "e1", "e6" }, agreed(read:from_revision(0):to_revision(3)))
    assert.same({ "e1", "e5" }, agreed(read:backward():from_revision(2)))
    assert.equal(4, #agreed(read:from_revision(-1)))
    assert.same({ "e3", "e6", "e1", "e5" }, agreed(read:backward():to_revision(-1)))
    assert.same({}, agreed(read:from_revision(3)))
  end)

  it("by revision count holes left by unlinking", function()
    store:unlink("b", { "e1", "e6" })
    local read = store:read():stream("b")
    assert.same({ "e3" }, agreed(read:from_revision(0)))
    assert.same({ "e3" }, agreed(read:from_revision(1)))
    assert.same({ "e5" }, agreed(read:backward():from_revision(3)))
    assert.same({ "e5" }, agreed(read:to_revision(2)))
  end)

  it("work together: all of them must hold", function()
    local read = store:read():stream("b")
    assert.same({ "e6" }, agreed(read:from("e5"):from_position(3)))
    assert.same({ "e3" }, agreed(read:from("e5"):from_revision(2)))
    assert.same({ "e4" }, agreed(store:read():from("e2"):from_position(3):to("e6"):to_position(5)))
  end)

  it("are applied before the limit", function()
    assert.same({ "e3" }, agreed(store:read():from("e2"):limit(1)))
    assert.same({ "e4" }, agreed(store:read():backward():from_position(5):limit(1)))
  end)
end)

each_store("Filters", function(fresh)
  local store
  before_each(function()
    store = fresh()
    local function append(stream, id, kind, time, tags)
      store:append(stream, { id = id, type = kind, time = time, tags = tags })
    end
    append("a", "e1", "opened", 10, { "x" })
    append("a", "e2", "closed", 20, { "x", "y" })
    append("b", "e3", "opened", 30, { "y" })
    append(nil, "e4", "moved", 40)
    append("b", "e5", "closed", 50, { "x", "y", "z" })
    store:link("a", { "e5", "e3" })
  end)

  it("by type give any of them", function()
    assert.same({ "e1", "e3" }, both_ways(store:read():of_type("opened")))
    assert.same({ "e1", "e3", "e4" }, both_ways(store:read():of_type("opened", "moved")))
    assert.same({ "e1", "e3", "e4" }, both_ways(store:read():of_type { "opened", "moved" }))
    assert.same({}, both_ways(store:read():of_type("unknown")))
    assert.equal(5, #both_ways(store:read():of_type()))
    assert.equal(5, #both_ways(store:read():of_type("opened"):of_type()))
    assert.same({ "e1", "e3" }, both_ways(store:read():of_type("opened", "opened")))
    assert.same({ "e2", "e5" }, both_ways(store:read():stream("a"):of_type("closed")))
  end)

  it("by tag give those that have all of them", function()
    assert.same({ "e1", "e2", "e5" }, both_ways(store:read():tagged("x")))
    assert.same({ "e2", "e5" }, both_ways(store:read():tagged("x", "y")))
    assert.same({ "e2", "e5" }, both_ways(store:read():tagged { "y", "x" }))
    assert.same({}, both_ways(store:read():tagged("x", "unknown")))
    assert.same({ "e2", "e5", "e3" }, both_ways(store:read():stream("a"):tagged("y")))
    assert.same({ "e2", "e5" }, both_ways(store:read():of_type("closed"):tagged("x")))
    assert.equal(5, #both_ways(store:read():tagged()))
  end)

  it("by query give what one of its alternatives gives", function()
    local read = store:read()
    assert.same({ "e1", "e3", "e5" }, both_ways(read:matching {
      { types = { "opened" } }, { tags = { "z" } },
    }))
    assert.same({ "e1", "e4" }, both_ways(read:matching {
      { types = { "opened" }, tags = { "x" } }, { types = { "moved" } },
    }))
    assert.same({ "e2", "e5" }, both_ways(read:matching { tags = { "x", "y" } }))
    assert.same({ "e2", "e3", "e5" }, both_ways(read:matching {
      { tags = { "y" } }, { tags = { "y", "x" } }, { types = { "closed" } },
    }))
    assert.equal(5, #both_ways(read:matching {}))
    assert.same({ "e5", "e3" }, both_ways(read:stream("a"):matching {
      { types = { "opened" }, tags = { "y" } }, { tags = { "z" } },
    }))
  end)

  it("by id give the order of the store, not of the call, and leave out the unknown", function()
    assert.same({ "e1", "e3", "e5" }, both_ways(store:read():with_id { "e5", "e1", "x", "e3" }))
    assert.same({ "e5", "e3" }, both_ways(store:read():stream("a"):with_id { "e3", "e5", "e4" }))
    assert.same({ "e2" }, both_ways(store:read():with_id("e2")))
    assert.same({ "e2" }, both_ways(store:read():with_id { "e2", "e2" }))
    assert.same({}, both_ways(store:read():with_id {}))
    assert.same({}, both_ways(store:read():with_id { "x" }))
    assert.same({ "e5" }, both_ways(store:read():with_id { "e1", "e5" }:of_type("closed")))
  end)

  it("by time", function()
    local read = store:read()
    assert.same({ "e1", "e2" }, both_ways(read:older_than(30)))
    assert.same({ "e1", "e2", "e3" }, both_ways(read:older_than_or_equal(30)))
    assert.same({ "e4", "e5" }, both_ways(read:newer_than(30)))
    assert.same({ "e3", "e4", "e5" }, both_ways(read:newer_than_or_equal(30)))
    assert.same({ "e2", "e3" }, both_ways(read:between(20, 40)))
    assert.same({ "e3" }, both_ways(read:newer_than(20):older_than(40)))
    assert.same({}, both_ways(read:between(40, 20)))
    assert.same({}, both_ways(read:older_than(10)))
    assert.same({ "e2", "e3" }, both_ways(read:stream("a"):between(20, 50)))
  end)

  it("all together, and the limit behind them", function()
    local read = store:read():tagged("y"):newer_than(10):of_type("closed", "opened"):from("e1")
    assert.same({ "e2", "e3", "e5" }, agreed(read))
    assert.same({ "e2", "e3" }, agreed(read:limit(2)))
    assert.same({ "e5" }, agreed(store:read():backward():tagged("y"):limit(1)))
    assert.same({ "e3" }, agreed(store:read():of_type("opened"):backward():limit(1)))
  end)
end)

each_store("The order of time", function(fresh)
  local store
  before_each(function()
    store = fresh()
    local function append(stream, id, time, valid_time)
      store:append(stream, { id = id, type = "t", time = time, valid_time = valid_time })
    end
    append("a", "e1", 300, 100)
    append("a", "e2", 100, 300)
    append("b", "e3", 200, 100)
    append("a", "e4", 100, 200)
    append("b", "e5", 300, 100)
    store:link("a", { "e5", "e3" })
  end)

  it("as_at is by time, and ties keep the order of the log", function()
    assert.same({ "e2", "e4", "e3", "e1", "e5" }, both_ways(store:read():as_at()))
  end)

  it("as_of is by valid time, and ties keep the order of the log", function()
    assert.same({ "e1", "e3", "e5", "e4", "e2" }, both_ways(store:read():as_of()))
  end)

  it("in a stream lets ties keep the order of the stream", function()
    assert.same({ "e2", "e4", "e3", "e1", "e5" }, both_ways(store:read():stream("a"):as_at()))
    assert.same({ "e1", "e5", "e3", "e4", "e2" }, both_ways(store:read():stream("a"):as_of()))
  end)

  it("is the order in which limit, first and last count", function()
    assert.same({ "e2", "e4" }, agreed(store:read():as_at():limit(2)))
    assert.same({ "e5", "e1" }, agreed(store:read():as_at():backward():limit(2)))
    assert.equal("e2", store:read():as_of():last().id)
  end)

  it("is the order in which bounds by event are met", function()
    local read = store:read():as_at()
    assert.same({ "e1", "e5" }, agreed(read:from("e3")))
    assert.same({ "e2", "e4" }, agreed(read:to("e3")))
    assert.same({ "e3", "e1" }, agreed(read:from("e4"):to("e5")))
    assert.same({ "e4", "e2" }, agreed(read:backward():from("e3")))
    assert.same({ "e5", "e3" }, agreed(store:read():stream("a"):as_of():from("e1"):to("e4")))
  end)

  it("as_of gives time bounds the meaning of valid time", function()
    assert.same({ "e1", "e3", "e5" }, both_ways(store:read():as_of():older_than(200)))
    assert.same({ "e4" }, both_ways(store:read():as_of():between(150, 300)))
    assert.same({ "e3", "e1", "e5" }, both_ways(store:read():as_at():newer_than(100)))
  end)

  it("goes with filters and other bounds", function()
    assert.same({ "e2", "e4", "e3" }, both_ways(store:read():as_at():with_id { "e4", "e3", "e2" }))
    assert.same({ "e4", "e3", "e5" }, agreed(store:read():as_at():from_position(2)))
    assert.same({ "e1", "e4" }, agreed(store:read():stream("a"):as_of():to_revision(3)
      :with_id { "e1", "e4" }))
  end)
end)

each_store("A snapshot", function(fresh)
  it("makes several reads see one instant", function()
    local store = fresh()
    store:append("a", events.many("a", 3))
    store:append("b", events.new "b1")
    do
      local snapshot <close> = store:snapshot()
      assert.equal(4, snapshot:read():count())
      store:append("a", events.new "a4")
      store:delete_stream("b")
      store:unlink("a", "a1")
      store:overwrite { id = "a2", type = "changed" }
      assert.same({ "a1", "a2", "a3" }, agreed(snapshot:read():stream("a")))
      assert.same({ "b1" }, agreed(snapshot:read():stream("b")))
      assert.same({ "a1", "a2", "a3", "b1" }, agreed(snapshot:read()))
      assert.equal("happened", snapshot:read():event("a2").type)
      assert.same({ "a2", "a3", "a4" }, agreed(store:read():stream("a")))
    end
    assert.same({}, agreed(store:read():stream("b")))
  end)

  it("is one of many", function()
    local store = fresh()
    local snapshots = {}
    for index = 1, 5 do
      snapshots[index] = store:snapshot()
      store:append("a", events.new("e" .. index))
    end
    for index = 1, 5 do
      assert.equal(index - 1, snapshots[index]:read():count())
      snapshots[index]:close()
    end
  end)
end)
