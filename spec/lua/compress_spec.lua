--- Stores whose events are compressed: nothing that reads or writes sees it.
local orders = require "support.orders"
local process = require "support.process"
local refusal = require "support.refusal"
local scratch = require "support.scratch"
local tycho = require "tycho"

describe("A compressed store", function()
  local fresh = require("support.store")()
  local store
  before_each(function()
    store = fresh()
    orders.compress(store)
    orders.fill(store, 201, 300)
  end)

  it("says so in its statistics", function()
    local stats = store:stats()
    assert.same({ 1, 3 }, { stats.dictionary, stats.format })
    assert.is_nil(store:compress { off = true })
    assert.equal(0, store:stats().dictionary)
  end)

  it("gives its events as they were, in every way of reading", function()
    local count = 0
    for event in store:read():each() do
      count = count + 1
      orders.check(event, count)
    end
    assert.equal(300, count)
    for n, event in ipairs(store:read():stream("orders"):backward():limit(200):all()) do
      orders.check(event, 301 - n)
    end
    orders.check(store:event("order-250"), 250)
    orders.check(store:last_event("orders"), 300)
    for _, event in ipairs(store:read():tagged("customer:3"):all()) do
      orders.check(event, event.position)
    end
    assert.equal(300, store:read():count())
  end)

  it("gives data late, also when the loop has gone on", function()
    local kept = {}
    for event in store:read():each() do kept[#kept + 1] = event end
    for n = #kept, 1, -1 do orders.check(kept[n], n) end
    for n = 1, #kept do assert.equal(kept[n].data, kept[n].data) end
  end)

  it("gives bytes of another content type, and single fields", function()
    local text = ("leave at the door, Copenhagen, Prague, "):rep(5)
    store:append("texts", { type = "text", content_type = "text/plain", data = text })
    for event in store:read():from_position(299):each() do
      if event.type == "text" then
        assert.equal(text, event.data)
        assert.equal(text, event:to_table().data)
      else
        assert.equal("placed", event:field("status"))
        assert.equal("DKK", event:field("lines", 1, "price", "currency"))
      end
    end
  end)

  it("has the data of a loop's events while it is open, as it has their tags", function()
    local kept, known
    local other = fresh()
    orders.compress(other)
    orders.fill(other, 201, 210)
    for event in other:read():from_position(208):each() do known, kept = kept, event end
    assert.equal("placed", known.data.status)
    other:close()
    assert.equal("placed", known.data.status)
    local err = refusal.of(function() return kept.data end)
    assert.matches("store is closed: it had the data of this event", err.message)
    assert.equal("order-210", kept.id)
  end)

  it("gives metadata without data, and the table of an event", function()
    for event in store:read():from_position(199):each() do
      assert.equal("u" .. event.position % 50, event.metadata.user)
      assert.same(orders.event(event.position).data, event:to_table().data)
    end
  end)

  it("takes changed events back", function()
    local event = store:event("order-222"):to_table()
    event.data.status = "cancelled"
    store:overwrite(event)
    assert.equal("cancelled", store:event("order-222").data.status)
    orders.check(store:event("order-223"), 223)
  end)

  it("knows a batch that comes again", function()
    local again = orders.event(299)
    assert.is_true(store:append("orders", again, { idempotent = true }).is_replay)
    again.data.status = "paid"
    refusal.with("duplicate_event", store.append, store, "orders", again, { idempotent = true })
  end)

  it("is followed", function()
    local follower <close> = store:follow { from_position = 200 }
    for n = 201, 300 do orders.check(follower:next(0), n) end
    orders.fill(store, 301, 301)
    orders.check(follower:next(0), 301)
  end)

  it("shows its events to scripts", function()
    store:deploy { sources = [[return event_type { name = "order.placed", version = 1 }]] }
    store:deploy { sources = [[return event_type { name = "order.placed", version = 2,
      upcast = { function(data) data.version = 2 return data end } }]] }
    for event in store:read():stream("orders"):from_position(150):each() do
      local wanted = orders.event(event.revision + 1).data
      wanted.version = 2
      assert.same(wanted, event.data)
    end
    orders.fill(store, 301, 310)
    assert.is_nil(store:event("order-305").data.version)
  end)
end)

describe("store:compress", function()
  local fresh = require("support.store")()

  it("refuses a store that has too little to learn from", function()
    local store = fresh()
    orders.fill(store, 1, 99)
    local err = refusal.with("not_found", store.compress, store)
    assert.matches("100 events.+ here are 99", err.message)
    assert.equal(2, store:stats().format)
    orders.fill(store, 100, 100)
    assert.is_true(store:compress() < 100)
  end)

  it("refuses arguments that make no sense", function()
    local store = fresh()
    for _, options in ipairs { { sample = -1 }, { sample = "all" }, { sample = 100001 },
      { off = 1 }, { off = true, sample = 5 }, { level = 3 } } do
      refusal.with("invalid_argument", store.compress, store, options)
    end
  end)

  it("learns from a sample", function()
    local store = fresh()
    orders.fill(store, 1, 1000)
    assert.is_true(store:compress { sample = 300 } <= 50)
  end)
end)

describe("A process that has the store open", function()
  local path
  scratch.each(function(made) path = made end)

  it("reads and writes compressed events from its next batch on", function()
    local store <close> = tycho.open(path, { sync = "none" })
    orders.fill(store, 1, 200)
    local other = process.lua("spec/fault/compress_writer.lua", { path })
    assert.equal("open", other:read())
    store:compress()
    orders.fill(store, 201, 400)
    local status, lines = other:wait()
    assert.equal(0, status, table.concat(lines, "\n"))
    assert.equal(450, store:head())
    for event in store:read():each() do orders.check(event, event.position) end
    assert.same({}, store:verify().findings)
  end)
end)
