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
