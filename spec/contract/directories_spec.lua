--- Directories of streams, types, tags, routes and checkpoints, and the counts of a store.

local each_store = require "contract.each_store"
local events = require "support.events"
local plain = require "support.plain"

local lines = plain.lines

each_store("The directory of streams", function(fresh)
  it("has the entries now and the last revision of each", function()
    local store = fresh()
    store:append("b", events.many("b", 3))
    store:append("a", events.many("a", 2))
    store:append(nil, events.new "n")
    store:link("c", { "b1", "a1", "n" })
    assert.same({ { "a", 2, 1 }, { "b", 3, 2 }, { "c", 3, 2 } }, lines(store:streams()))
    store:unlink("c", "a1")
    store:truncate("b", 1)
    store:delete_stream("a")
    assert.same({ { "b", 2, 2 }, { "c", 2, 2 } }, lines(store:streams()))
  end)

  it("is in the order of bytes, by prefix, behind a name, up to a limit", function()
    local store = fresh()
    for _, name in ipairs { "order-2", "order-10", "order", "Order", "ordre", "örder", "p" } do
      store:append(name, { type = "t" })
    end
    local function names(options) return plain.each(lines(store:streams(options)), 1) end
    assert.same({ "Order", "order", "order-10", "order-2", "ordre", "p", "örder" }, names())
    assert.same({ "order", "order-10", "order-2" }, names { prefix = "order" })
    assert.same({ "order-10", "order-2" }, names { prefix = "order-" })
    assert.same({ "order-2" }, names { prefix = "order-", after = "order-10" })
    assert.same({ "order-2" }, names { prefix = "order-", after = "order-11" })
    assert.same({}, names { prefix = "order-", after = "p" })
    assert.same({ "order", "order-10" }, names { after = "Order", limit = 2 })
    assert.same({ "örder" }, names { prefix = "\195" })
    assert.same({}, names { prefix = "zzz" })
    assert.same({}, names { after = "\255" })
  end)

  it("can be paged by the last name, while streams come and go", function()
    local store = fresh()
    for index = 1, 9 do store:append("s" .. index, { type = "t" }) end
    local seen, after = {}, nil
    repeat
      local page = plain.each(lines(store:streams { after = after, limit = 2 }), 1)
      for _, name in ipairs(page) do seen[#seen + 1] = name end
      after = page[#page]
      if after == "s4" then
        store:delete_stream("s4")
        store:append("s45", { type = "t" })
        store:append("s0", { type = "t" })
      end
    until #page == 0
    assert.same({ "s1", "s2", "s3", "s4", "s45", "s5", "s6", "s7", "s8", "s9" }, seen)
  end)

  it("may be left early", function()
    local store = fresh()
    store:append("a", { type = "t" })
    store:append("b", { type = "t" })
    for name in store:streams() do
      if name == "a" then break end
    end
    store:append("c", { type = "t" })
    assert.equal(3, #lines(store:streams()))
  end)
end)

each_store("The directories of types and tags", function(fresh)
  it("count the events of the log that have them", function()
    local store = fresh()
    store:append("a", { { type = "opened", tags = { "x", "y" } }, { type = "closed" } })
    store:append(nil, { { type = "opened", tags = { "y" } } })
    assert.same({ { "closed", 1 }, { "opened", 2 } }, lines(store:types()))
    assert.same({ { "x", 1 }, { "y", 2 } }, lines(store:tags()))
    assert.same({ { "opened", 2 } }, lines(store:types { prefix = "op" }))
    assert.same({ { "y", 2 } }, lines(store:tags { after = "x" }))
    assert.same({ { "closed", 1 } }, lines(store:types { limit = 1 }))
  end)

  it("do not mind what happens to streams and links", function()
    local store = fresh()
    store:append("a", { { id = "e1", type = "t", tags = { "x" } } })
    store:link("b", "e1")
    store:delete_stream("a")
    store:unlink("b", "e1")
    assert.same({ { "t", 1 } }, lines(store:types()))
    assert.same({ { "x", 1 } }, lines(store:tags()))
  end)
end)

each_store("The directories of routes and checkpoints", function(fresh)
  it("list what was set, by prefix and up to a limit", function()
    local store = fresh()
    store:set_route("r2", "a")
    store:set_route("r1", "r2")
    store:set_route("q", "b")
    assert.same({ { "q", "b" }, { "r1", "r2" }, { "r2", "a" } }, lines(store:routes()))
    assert.same({ { "r1", "r2" } }, lines(store:routes { prefix = "r", limit = 1 }))
    assert.same({ { "r2", "a" } }, lines(store:routes { after = "r1" }))
    store:set_checkpoint("m2", 5)
    store:set_checkpoint("m1", 9)
    assert.same({ { "m1", 9 }, { "m2", 5 } }, lines(store:checkpoints()))
    assert.same({ { "m2", 5 } }, lines(store:checkpoints { prefix = "m2" }))
  end)
end)

each_store("The counts of a store", function(fresh)
  it("are those of what it holds", function()
    local store = fresh()
    store:append("a", events.many("a", 3))
    store:append(nil, events.new "n")
    store:link("b", { "a1", "n" })
    store:put_row("t", "k", 1)
    store:put_row("u", "k", 1)
    store:put_row("u", "k", nil)
    store:set_route("r", "a")
    local stats = store:stats()
    assert.equal(4, stats.events)
    assert.equal(2, stats.streams)
    assert.equal(5, stats.entries)
    assert.equal(2, stats.links)
    assert.equal(1, stats.rows)
    assert.equal(1, stats.routes)
    assert.equal(7, stats.sequence)
    assert.equal(4, store:verify().events)
    store:delete_stream("b")
    stats = store:stats()
    assert.equal(1, stats.streams)
    assert.equal(3, stats.entries)
    assert.equal(0, stats.links)
  end)
end)
