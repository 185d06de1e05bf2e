--- Events that are overwritten in a store with scripts: checked as if they were appended, and of
--- the present version from then on.
local plain = require "support.plain"
local unchanged = require "support.unchanged"

local V1 = [[return event_type { name = "Paid", version = 1, data = { amount = "integer" } }]]
local V2 = [[return event_type { name = "Paid", version = 2,
  data = { cents = "integer", by = "string" },
  check = function(data, event)
    if data.cents < 0 then return "negative in " .. event.stream .. " at " .. event.position end
  end,
  tags = function(data) return "by:" .. data.by end,
  upcast = { function(data) return { cents = data.amount * 100, by = "?" } end } }]]
local V3 = [[return event_type { name = "Payment", version = 3, former_names = { "Paid" },
  data = { cents = "integer", by = "string", note = "string" },
  upcast = { function(data) return { cents = data.amount * 100, by = "?" } end,
    function(data) data.note = "v2: " .. data.by return data end } }]]

describe("An event that is overwritten", function()
  local fresh = require("support.store")()
  local store
  before_each(function()
    store = fresh()
    store:deploy { sources = V1 }
    store:append("s", { { id = "a", type = "Paid", data = { amount = 1 }, tags = { "t" } },
      { id = "b", type = "Paid", data = { amount = 2 } } })
  end)

  --- Writes back what was read, with other data.
  local function change(id, data)
    local event = store:event(id):to_table()
    for name, value in pairs(data) do event.data[name] = value end
    return store:overwrite(event)
  end

  it("is of the present version, and may be written back as it was read", function()
    store:deploy { sources = V2 }
    change("a", { by = "me" })
    assert.same({ cents = 100, by = "me" }, store:event("a").data)
    assert.same({ cents = 200, by = "?" }, store:event("b").data)
    change("a", { cents = 5 })
    assert.same({ cents = 5, by = "me" }, store:event("a").data)
    store:deploy { sources = V3, remove = "event_type/Paid" }
    assert.same({ cents = 5, by = "me", note = "v2: me" }, store:event("a").data)
    assert.same({ cents = 200, by = "?", note = "v2: ?" }, store:event("b").data)
    change("b", { note = "mine" })
    assert.same({ cents = 200, by = "?", note = "mine" }, store:event("b").data)
    assert.equal("Payment", store:event("b").type)
    local payment <close> = store:script("event_type", "Payment")
    assert.same({ events = 2, refused = 0, failures = {} }, store:check_history(payment))
  end)

  it("is checked against the schema", function()
    store:deploy { sources = V2 }
    local err = unchanged(store, "rejected", function()
      store:overwrite { id = "a", type = "Paid", data = { amount = 1 } }
    end)
    assert.same({ "event_type/Paid", "a", "Paid" }, { err.script, err.event_id, err.event_type })
    assert.matches("^data%.", err.path)
    err = unchanged(store, "rejected", function()
      store:batch(function(batch)
        batch:append("s", { type = "Other" }):overwrite { id = "a", type = "Paid",
          content_type = "text", data = "x" }
      end)
    end)
    assert.equal("data", err.path)
  end)

  it("is checked by the function, which sees what stays of it", function()
    store:deploy { sources = V2 }
    local err = unchanged(store, "rejected", function() change("a", { cents = -1 }) end)
    assert.equal(("negative in s at %d"):format(store:event("a").position), err.reason)
  end)

  it("keeps its tags and links", function()
    store:deploy { sources = V2 }
    store:deploy { sources = [[return linker { name = "l", version = 1,
      streams = "*", to = function(event) return "by-" .. event.data.by end }]] }
    store:append("s", { id = "c", type = "Paid", data = { cents = 1, by = "me" } })
    change("c", { by = "you" })
    assert.same({ "by:me" }, store:event("c").tags)
    assert.same({ "c" }, plain.each(store:read():stream("by-me"):all()))
    assert.equal(0, store:read():stream("by-you"):count())
  end)

  it("keeps a link that no version gives now, when the linker is back-filled", function()
    local function linker(version, prefix)
      return ([[return linker { name = "l", version = %d,
        streams = "%s-*",
        to = function(event) return "%s-" .. event.data.by end }]]):format(version, prefix, prefix)
    end
    local function ids(stream) return plain.each(store:read():stream(stream):all()) end
    store:deploy { sources = V2 }
    store:backfill { source = linker(1, "by"), pause = 0 }
    assert.same({ "a", "b" }, ids("by-?"))
    change("b", { by = "you" })
    store:backfill { source = linker(2, "for"), pause = 0 }
    assert.same({ { "b" }, { "a" }, { "b" } }, { ids("by-?"), ids("for-?"), ids("for-you") })
  end)

  it("is refused under a former name of its type", function()
    store:deploy { sources = V3, remove = "event_type/Paid" }
    local err = unchanged(store, "rejected", function()
      store:overwrite { id = "a", type = "Paid", data = { amount = 1 } }
    end)
    assert.matches("the type has this name now", err.reason)
  end)

  it("may be one of the same batch", function()
    store:deploy { sources = V2 }
    store:batch(function(batch)
      batch:append("s", { id = "new", type = "Paid", data = { cents = 1, by = "me" } })
      batch:overwrite { id = "new", type = "Paid", data = { cents = 2, by = "me" } }
    end)
    assert.same({ cents = 2, by = "me" }, store:event("new").data)
  end)

  it("is none of the history of scripts", function()
    local first = store:read():stored():stream("$scripts"):first():to_table()
    local err = unchanged(store, "invalid_argument", function()
      store:overwrite { id = first.id, type = "Other" }
    end)
    assert.matches("history of scripts", err.message)
  end)

  it("is passed by without an event type, and where no script is deployed", function()
    store:append("s", { id = "x", type = "Other", data = { 1 } })
    store:overwrite { id = "x", type = "Other", data = { 2 } }
    assert.same({ 2 }, store:event("x").data)
    store:deploy { remove = "event_type/Paid" }
    store:overwrite { id = "a", type = "Paid", data = { any = 1 } }
    assert.same({ any = 1 }, store:event("a").data)
  end)
end)
