--- A renamed event type: whoever names it, by whichever of its names, means all its events: reads,
--- counts, and the conditions of batches.
local refusal = require "support.refusal"
local unchanged = require "support.unchanged"

local RENAMED = [[return event_type { name = "Placed", version = 1,
  former_names = { "placed", "order_placed" } }]]

describe("The former names of an event type", function()
  local fresh = require("support.store")()
  local store
  before_each(function()
    store = fresh()
    store:append("o", { { id = "old", type = "placed", tags = { "a" } },
      { id = "older", type = "order_placed", tags = { "b" } }, { id = "other", type = "Paid" } })
    store:deploy { sources = RENAMED }
    store:append("o", { id = "new", type = "Placed", tags = { "c" } })
  end)

  it("are one type to reads and counts, which may ask by any of them", function()
    for _, name in ipairs { "Placed", "placed", "order_placed" } do
      local read = store:read():of_type(name)
      assert.same({ "old", "older", "new" }, read:map(function(event) return event.id end))
      assert.equal(3, read:count())
      assert.equal("Placed", read:first().type)
      assert.equal(1, store:read():stored():of_type(name):count())
    end
    local both = store:read():of_type { "Placed", "placed", "Paid" }
    assert.equal(4, both:count())
  end)

  --- The error of a batch that expects no such events behind a position.
  local function refused(query, after)
    return unchanged(store, "condition_failed", function()
      store:batch(function(batch)
        batch:expect("o", "exists"):expect_none(query, after or 0)
        batch:append("s", { type = "Seen" })
      end)
    end)
  end

  local function holds(query, after)
    store:batch(function(batch)
      batch:expect_none(query, after):append("s", { type = "Seen" })
    end)
  end

  it("are one type to the conditions of batches", function()
    local err = refused { types = { "Placed" }, tags = { "a" } }
    assert.same({ 2, 1 }, { err.condition, err.actual })
    err = refused({ types = { "Paid", "placed" }, tags = { "c" } }, 2)
    assert.same({ 2, store:read():stored():of_type("Placed"):first().position },
      { err.condition, err.actual })
    err = refused { { types = { "Nothing" } }, { types = { "Placed" }, tags = { "b" } } }
    assert.equal(2, err.actual)
    err = refused { { types = { "Nothing" } }, { types = { "Paid" } } }
    assert.equal(3, err.actual)
    holds({ types = { "Placed" } }, store:head())
    holds({ types = { "order_placed" }, tags = { "z" } }, 0)
    holds({ { types = { "Placed" }, tags = { "b" } }, { tags = { "z" } } }, 2)
    holds({ types = { "Paid" } }, 3)
  end)

  it("are not part of a condition when the renaming is taken back", function()
    store:deploy { remove = "event_type/Placed" }
    holds({ types = { "Placed" }, tags = { "a" } }, 0)
    refused { types = { "placed" } }
  end)

  it("count as names of the condition", function()
    for _, name in ipairs { "A", "B" } do
      local former = {}
      for index = 1, 200 do former[index] = ("%q"):format(name .. index) end
      store:deploy { sources = ([[return event_type { name = "%s", version = 1,
        former_names = { %s } }]]):format(name, table.concat(former, ", ")) }
    end
    holds({ types = { "A" } }, 0)
    local err = refusal.with("too_large", store.batch, store, function(batch)
      batch:expect_none({ types = { "A", "B" } }, 0):append("s", { type = "Seen" })
    end)
    assert.matches("256", err.message)
  end)
end)

describe("Scripts that read an event type", function()
  local fresh = require("support.store")()
  local store

  local PLACED = [[return event_type { name = "Placed", version = 1, former_names = { "placed" } }]]
  --- A linker of the type, whose stream has the name that it sees in its own.
  local function linker(name, type)
    return ([[return linker { name = %q, version = 1, from = { types = { %q } },
      streams = "%s-*", to = function(event) return "%s-" .. event.type end }]]):format(name, type,
      name, name)
  end
  local BY_TYPE = [[return linker { name = "by_type", version = 1, by = "type" }]]
  local BY_ONE = [[return linker { name = "one", version = 1, by = "type", prefix = "one-",
    from = { types = { "placed" } } }]]
  --- A model with one handler, which keeps the types that it sees and the order of the events.
  local function model(name, type)
    return ([[return read_model { name = %q, version = 1, types = { %q },
      keys = function(event) return event.data.key end,
      history = function(key) return { { stream = "o" } } end,
      init = function() return {} end,
      on = { [%q] = function(state, event) table.insert(state, event.type .. event.id) end } }]])
      :format(name, type, type)
  end

  local function place(id, type)
    store:append("o", { id = id, type = type, data = { key = "k" } })
  end

  local function ids(stream)
    return store:read():stream(stream):map(function(event) return event.id end)
  end

  before_each(function() store = fresh() end)

  it("may name it by any name, deployed before the renaming or after it", function()
    place("1", "placed")
    store:deploy { sources = { linker("early", "placed"), linker("future", "Placed"), BY_ONE } }
    place("2", "placed")
    store:deploy { sources = PLACED }
    store:deploy { sources = linker("late", "placed") }
    place("3", "Placed")
    assert.same({ "2" }, ids "early-placed")
    assert.same({ "3" }, ids "early-Placed")
    assert.same({ "3" }, ids "future-Placed")
    assert.same({ "3" }, ids "late-Placed")
    assert.same({ { "2" }, { "3" } }, { ids "one-placed", ids "one-Placed" })
  end)

  it("get its older events under its present name, by any name", function()
    place("1", "placed")
    place("2", "placed")
    store:deploy { sources = PLACED }
    place("3", "Placed")
    for _, source in ipairs { linker("old", "placed"), linker("new", "Placed"), BY_TYPE, BY_ONE } do
      store:backfill { source = source }
    end
    place("4", "Placed")
    for _, stream in ipairs { "old-Placed", "new-Placed", "$by_type_Placed", "one-Placed" } do
      assert.same({ "1", "2", "3", "4" }, ids(stream))
    end
    assert.same({}, ids "$by_type_placed")
  end)

  it("are made whole by back-filling what was deployed before the renaming", function()
    place("1", "placed")
    store:deploy { sources = { linker("early", "placed"), BY_TYPE } }
    place("2", "Placed")
    store:deploy { sources = PLACED }
    place("3", "Placed")
    store:backfill { linker = "early" }
    store:backfill { linker = "by_type" }
    place("4", "Placed")
    assert.same({ "1", "2", "3", "4" }, ids "early-Placed")
    assert.same({ "1", "2", "3", "4" }, ids "$by_type_Placed")
  end)

  it("call the handler of a read model that has one of its names", function()
    place("1", "placed")
    store:deploy { sources = { model("Early", "placed"), model("Future", "Placed") } }
    place("2", "placed")
    assert.same({ "placed1", "placed2" }, store:model("Early"):get("k"))
    store:deploy { sources = PLACED }
    store:deploy { sources = model("Late", "placed") }
    place("3", "Placed")
    for _, name in ipairs { "Early", "Future", "Late" } do
      assert.same({ "Placed1", "Placed2", "Placed3" }, store:model(name):get("k"))
      assert.same({ "Placed1", "Placed2", "Placed3" },
        store:model(name):get("k", { fresh = true }))
    end
  end)

  it("catch up with what came under the present name before the renaming", function()
    store:deploy { sources = model("Early", "placed") }
    place("1", "placed")
    place("2", "Placed")
    assert.same({ "placed1" }, store:model("Early"):get("k"))
    store:deploy { sources = PLACED }
    assert.same({ "Placed1", "Placed2" }, store:model("Early"):get("k"))
  end)

  it("have the handler of its present name called, where they have several", function()
    store:deploy { sources = { PLACED, [[return read_model { name = "Two", version = 1,
      types = { "placed", "Placed" }, keys = function(event) return event.data.key end,
      init = function() return {} end,
      on = { placed = function(state) state.former = true end,
             Placed = function(state) state.present = true end } }]] } }
    place("1", "Placed")
    assert.same({ present = true }, store:model("Two"):get("k"))
  end)
end)
