--- Paging: keys that stay good, whatever is written in between.

local each_store = require "contract.each_store"
local events = require "support.events"
local plain = require "support.plain"

--- Reads page by page, calling between() after each page: ids, and the sizes of the pages.
local function paged(specification, size, between)
  local ids, sizes, read = {}, {}, specification
  while read do
    local page, key = read:page(size)
    sizes[#sizes + 1] = #page
    for _, event in ipairs(page) do ids[#ids + 1] = event.id end
    if between then between(#sizes) end
    read = key and specification:resume(key)
  end
  return ids, sizes
end

each_store("Paging", function(fresh)
  local store
  before_each(function()
    store = fresh()
    local list = {}
    for index = 1, 10 do
      list[index] = { id = "e" .. index, type = index % 2 == 0 and "even" or "odd",
        time = 100 - index // 3, valid_time = index // 4, tags = { "t" .. index % 3 } }
    end
    store:append("a", list)
    store:link("b", { "e9", "e1", "e8", "e2", "e7", "e3" })
  end)

  local function specifications()
    local log, stream = store:read(), store:read():stream("b")
    return { log, stream, log:of_type("odd"), log:tagged("t1"), log:limit(7), stream:limit(5),
      log:as_at(), log:as_of(), stream:as_at(), stream:as_of(), log:from("e2"):to("e9"),
      stream:from("e9"), log:from_position(3), stream:from_revision(1), log:as_of():from("e4"),
      log:with_id { "e5", "e1", "e9" }, log:newer_than(97), log:as_of():limit(8),
      log:matching { { types = { "odd" } }, { tags = { "t2" } } } }
  end

  it("gives the whole result, whatever the size and direction", function()
    for _, specification in ipairs(specifications()) do
      for _, read in ipairs { specification, specification:backward() } do
        local expected = plain.each(read:all())
        for _, size in ipairs { 1, 2, 3, 5, 9, 10, 11, 1000 } do
          local ids, sizes = paged(read, size)
          assert.same(expected, ids)
          for index = 1, #sizes - 1 do assert.equal(size, sizes[index]) end
        end
      end
    end
  end)

  it("gives no empty page but that of an empty result", function()
    local _, sizes = paged(store:read(), 5)
    assert.same({ 5, 5 }, sizes)
    local empty, key = store:read():stream("unknown"):page(5)
    assert.same({}, empty)
    assert.is_nil(key)
  end)

  it("carries the rest of the limit in the key", function()
    local page, key = store:read():limit(5):page(3)
    assert.equal(3, #page)
    local rest, none = store:read():limit(5):resume(key):page(3)
    assert.same({ "e4", "e5" }, plain.each(rest))
    assert.is_nil(none)
    assert.same({ "e4", "e5" }, plain.each(store:read():limit(5):resume(key):all()))
    assert.equal(2, store:read():limit(5):resume(key):count())
  end)

  it("neither skips nor repeats when events are written between the pages", function()
    local ids = paged(store:read(), 4, function(page)
      if page <= 2 then store:append("a", events.new("new" .. page)) end
    end)
    assert.same({ "e1", "e2", "e3", "e4", "e5", "e6", "e7", "e8", "e9", "e10", "new1", "new2" },
      ids)
  end)

  it("backward does not meet what is written between the pages", function()
    local ids = paged(store:read():backward(), 4, function(page)
      store:append("a", events.new("new" .. page))
    end)
    assert.same({ "e10", "e9", "e8", "e7", "e6", "e5", "e4", "e3", "e2", "e1" }, ids)
  end)

  it("goes on when the event at the end of a page was taken out", function()
    local ids = paged(store:read():stream("b"), 2, function(page)
      if page == 1 then store:unlink("b", { "e9", "e1" }) end
    end)
    assert.same({ "e9", "e1", "e8", "e2", "e7", "e3" }, ids)
    ids = paged(store:read():stream("a"), 2, function(page)
      if page == 1 then store:truncate("a", 5) end
    end)
    assert.same({ "e1", "e2", "e6", "e7", "e8", "e9", "e10" }, ids)
  end)

  it("by time goes on at the same place in the order of time", function()
    local read = store:read():as_of()
    local ids = paged(read, 4, function(page)
      if page == 1 then
        store:append("a", { events.new("early", { valid_time = 0 }),
          events.new("late", { valid_time = 1000 }) })
      end
    end)
    assert.same({ "e1", "e2", "e3", "e4", "e5", "e6", "e7", "e8", "e9", "e10", "late" }, ids)
  end)

  it("by time neither skips nor repeats among equal times", function()
    local other = fresh()
    local list = {}
    for index = 1, 9 do list[index] = events.new("e" .. index, { time = 5 }) end
    other:append("a", list)
    local expected = plain.each(list)
    assert.same(expected, (paged(other:read():as_at(), 2)))
    assert.same(expected, (paged(other:read():stream("a"):as_of(), 4)))
    local backward = paged(other:read():as_at():backward(), 2)
    assert.equal("e9", backward[1])
    assert.equal("e1", backward[9])
    assert.equal(9, #backward)
  end)

  it("within a snapshot sees one instant", function()
    local snapshot <close> = store:snapshot()
    local ids = paged(snapshot:read():stream("b"), 2, function(page)
      if page == 1 then store:append("b", events.new "new") end
    end)
    assert.same({ "e9", "e1", "e8", "e2", "e7", "e3" }, ids)
  end)
end)

each_store("Iterating", function(fresh)
  it("may write while it reads, and sees the log up to where it was when it began", function()
    local store = fresh()
    store:append("a", events.many("e", 5))
    local seen = {}
    for event in store:read():each() do
      seen[#seen + 1] = event.id
      store:append("copies", { id = "copy-" .. event.id, type = "t" })
    end
    assert.same({ "e1", "e2", "e3", "e4", "e5" }, seen)
    assert.equal(10, store:head())
  end)

  it("may be left early, and nested", function()
    local store = fresh()
    store:append("a", events.many("e", 5))
    local seen = {}
    for outer in store:read():each() do
      for inner in store:read():backward():each() do
        seen[#seen + 1] = outer.id .. inner.id
        if #seen % 2 == 0 then break end
      end
      if outer.id == "e2" then break end
    end
    assert.same({ "e1e5", "e1e4", "e2e5", "e2e4" }, seen)
    store:append("a", events.new "e6")
    assert.equal(6, store:head())
  end)

  it("reads long streams completely, in both directions", function()
    local store = fresh()
    local count = 2500
    for first = 1, count, 500 do
      local list = {}
      for index = first, first + 499 do
        list[#list + 1] = { id = "e" .. index, type = "t", time = index }
      end
      store:append("a", list)
    end
    local expected = 0
    for event in store:read():stream("a"):each() do
      expected = expected + 1
      assert(event.revision == expected - 1 and event.position == expected)
    end
    assert.equal(count, expected)
    for event in store:read():stream("a"):backward():each() do
      assert(event.position == expected)
      expected = expected - 1
    end
    assert.equal(0, expected)
    assert.equal(count, store:read():count())
    assert.equal(count - 1999, store:read():stream("a"):from_revision(1998):count())
  end)
end)
