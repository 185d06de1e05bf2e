--- Names, ids and sizes: what is allowed at the limit, and refused beyond it.

local each_store = require "contract.each_store"
local events = require "support.events"
local plain = require "support.plain"
local refusal = require "support.refusal"

--- Beyond a limit is an invalid argument, or too large; nothing else.
local function refused(fn, ...)
  local err = refusal.of(fn, ...)
  assert.is_true(err.code == "invalid_argument" or err.code == "too_large", err.code)
end

local BAD_NAMES = {
  "", ("x"):rep(256), "a\0b", "a\nb", "\127", "\255", "a\195", "\192\128", "\237\160\128",
  "\244\144\128\128", "\128", ("ö"):rep(128),
}
local GOOD_NAMES = {
  "x", ("x"):rep(255), " ", "ö", ("ö"):rep(127) .. "x", "日本語", "\u{10FFFF}", "\u{1F52D}",
  "$all", "a/b:c-d", "'\"\\", "%s",
}

each_store("A name", function(fresh)
  it("is 1 to 255 bytes of UTF-8 without control characters, wherever it is used", function()
    local store = fresh()
    store:append("s", events.new "e1")
    local uses = {
      function(name) store:append(name, { type = "t" }) end,
      function(name) store:append("s", { type = name }) end,
      function(name) store:append("s", { type = "t", tags = { "ok", name } }) end,
      function(name) store:link(name, "e1") end,
      function(name) store:set_route(name, "target") end,
      function(name) store:set_route("route", name) end,
      function(name) store:set_checkpoint(name, 1) end,
      function(name) store:put_row(name, "k", 1) end,
      function(name) store:delete_stream(name) end,
      function(name) store:truncate(name, 0) end,
      function(name) store:set_stream_metadata(name, 1) end,
      function(name) store:batch(function(b) b:expect(name, "any"):put_row("t", "k", 1) end) end,
      function(name) store:overwrite { id = "e1", type = name } end,
      function(name)
        store:batch(function(b) b:expect_none({ tags = { name } }, 10):put_row("t", "k", 1) end)
      end,
    }
    local before = plain.dump(store, { "t" })
    for index, use in ipairs(uses) do
      for _, name in ipairs(BAD_NAMES) do
        local ok, err = pcall(refused, use, name)
        assert.is_true(ok, ("use %d of %q: %s"):format(index, name, tostring(err)))
      end
    end
    assert.same(before, plain.dump(store, { "t" }))
  end)

  it("comes back as it was given, in the order of bytes", function()
    local store = fresh()
    for index, name in ipairs(GOOD_NAMES) do
      store:append(name, { id = "e" .. index, type = name, tags = { name } })
      store:set_checkpoint(name, index)
      store:put_row(name, "k", name)
    end
    local sorted = table.move(GOOD_NAMES, 1, #GOOD_NAMES, 1, {})
    table.sort(sorted)
    assert.same(sorted, plain.each(plain.lines(store:streams()), 1))
    assert.same(sorted, plain.each(plain.lines(store:types()), 1))
    assert.same(sorted, plain.each(plain.lines(store:tags()), 1))
    assert.same(sorted, plain.each(plain.lines(store:checkpoints()), 1))
    for index, name in ipairs(GOOD_NAMES) do
      local event = store:read():stream(name):of_type(name):tagged(name):first()
      assert.equal("e" .. index, event.id)
      assert.equal(name, event.stream)
      assert.equal(name, (store:row(name, "k")))
    end
  end)

  it("that another begins with is another name", function()
    local store = fresh()
    local long = ("x"):rep(254)
    store:append(long, events.new "e1")
    store:append(long .. "y", events.new "e2")
    store:append(long .. "z", events.new "e3")
    assert.equal("e1", store:last_event(long).id)
    assert.equal("e2", store:last_event(long .. "y").id)
    assert.equal(0, store:stream_version(long .. "z"))
    assert.equal(-1, store:stream_version(long:sub(2)))
  end)
end)

each_store("An id", function(fresh)
  it("is any 1 to 64 bytes", function()
    local store = fresh()
    local ids = { "x", "\0", "\0\0", "\255", "a\nb", ("i"):rep(64), ("i"):rep(63),
      ("i"):rep(63) .. "j", ("\255"):rep(64), "日本" }
    for index, id in ipairs(ids) do
      store:append("a", { id = id, type = "t", correlation_id = id, causation_id = id })
      assert.equal(index, store:position(id))
    end
    store:link("b", ids)
    assert.same(ids, plain.each(store:read():stream("b"):all()))
    for index, id in ipairs(ids) do
      local event = store:event(id)
      assert.equal(id, event.correlation_id)
      assert.equal(id, event.causation_id)
      assert.equal(index - 1, store:revision(id, "b"))
      assert.same({ "a", "b" }, store:streams_of(id))
      assert.same({ id }, plain.each(store:read():with_id(id):all()))
    end
    assert.same({ ids[7], ids[8] }, plain.each(store:read():from(ids[6]):to(ids[9]):all()))
  end)

  it("of 0 or 65 bytes is refused", function()
    local store = fresh()
    store:append("a", events.new "e1")
    for _, id in ipairs { "", ("i"):rep(65), ("i"):rep(1000) } do
      refused(function() store:append("a", { id = id, type = "t" }) end)
      refused(function() store:append("a", { type = "t", correlation_id = id }) end)
      refused(function() store:append("a", { type = "t", causation_id = id }) end)
      refused(function() store:link("b", { "e1", id }) end)
      refused(function() store:unlink("a", id) end)
      refused(function() store:overwrite { id = id, type = "t" } end)
    end
    assert.equal(1, store:head())
  end)
end)

each_store("A key of a row", function(fresh)
  it("has up to 400 bytes", function()
    local store = fresh()
    local long = ("\255"):rep(400)
    store:put_row(("t"):rep(255), long, "value")
    assert.equal("value", (store:row(("t"):rep(255), long)))
    assert.same({ long }, plain.each(plain.lines(store:rows(("t"):rep(255))), 1))
    refused(function() store:put_row("t", ("k"):rep(401), 1) end)
    refused(function()
      store:batch(function(batch) batch:expect_row("t", ("k"):rep(401), 0):put_row("t", "k", 1) end)
    end)
    assert.is_nil(store:row("t", "k"))
  end)
end)

each_store("An event", function(fresh)
  it("has up to 64 tags", function()
    local store, tags = fresh(), {}
    for index = 1, 64 do tags[index] = ("t%03d"):format(index) .. ("x"):rep(251) end
    store:append("a", events.new("e1", { tags = tags }))
    assert.same(tags, store:event("e1").tags)
    assert.same({ "e1" }, plain.each(store:read():tagged(tags):all()))
    refused(function()
      local more = table.move(tags, 1, 64, 1, { [65] = "one more" })
      store:append("a", events.new("e2", { tags = more }))
    end)
    assert.equal(1, store:head())
  end)

  it("has up to 16 MiB of data and metadata", function()
    local store = fresh()
    local limit = 16 << 20
    local sizes = { 0, 1, 2021, 2022, 2023, 4080, 4081, 65536, 1 << 20, limit - 256 }
    for index, size in ipairs(sizes) do
      store:append("a", { id = "e" .. index, type = "t", content_type = "text/plain",
        data = string.char(64 + index):rep(size) })
    end
    for index, size in ipairs(sizes) do
      local data = store:event("e" .. index).data
      assert.is_true(#data == size and data == string.char(64 + index):rep(size))
    end
    refusal.with("too_large", store.append, store, "a", { type = "t",
      content_type = "text/plain", data = ("x"):rep(limit + 1) })
    assert.equal(#sizes, store:head())
  end)
end)

each_store("A batch", function(fresh)
  it("names up to 10,000 events", function()
    local store, list = fresh(), {}
    for index = 1, 10000 do list[index] = { id = "e" .. index, type = "t", time = index } end
    local receipt = store:append("a", list)
    assert.equal(10000, receipt.event_count)
    assert.equal(10000, store:head())
    assert.equal(9999, store:stream_version("a"))
    for index = 1, 10001 do list[index] = { id = "f" .. index, type = "t" } end
    refusal.with("too_large", store.append, store, "a", list)
    local batch = store:batch()
    batch:append("a", table.move(list, 1, 6000, 1, {}))
    refusal.with("too_large", batch.append, batch, "b", table.move(list, 6001, 10001, 1, {}))
    batch:append("b", table.move(list, 6001, 10000, 1, {}))
    assert.equal(10000, batch:commit().event_count)
    batch:close()
    assert.equal(20000, store:head())
    assert.equal(3999, store:stream_version("b"))
  end)

  it("has up to 64 MiB", function()
    local store, list = fresh(), {}
    for index = 1, 5 do
      list[index] = { type = "t", content_type = "x", data = ("x"):rep(15 << 20) }
    end
    refusal.with("too_large", store.append, store, "a", list)
    assert.equal(0, store:head())
    list[5] = nil
    store:append("a", list)
    assert.equal(4, store:read():stream("a"):count())
  end)

  it("has up to 10,000 conditions and 10,000 operations", function()
    local store = fresh()
    local batch = store:batch()
    for _ = 1, 10000 do batch:expect("a", "none"):set_checkpoint("c", 1) end
    refusal.with("too_large", batch.expect, batch, "a", "none")
    refusal.with("too_large", batch.set_checkpoint, batch, "c", 1)
    assert.equal(10000, #batch:commit().results)
    batch:close()
  end)
end)

each_store("A query", function(fresh)
  it("has up to 256 names, all its alternatives together", function()
    local store = fresh()
    store:append("a", events.new("e1", { tags = { "x" } }))
    local items = {}
    for index = 1, 128 do items[index] = { types = { "t" .. index }, tags = { "x" } } end
    assert.equal(0, store:read():matching(items):count())
    items[128] = { types = { "happened" }, tags = { "x" } }
    assert.equal(1, store:read():matching(items):count())
    store:batch(function(batch) batch:expect_none(items, 1):append("a", { type = "t" }) end)
    items[129] = { tags = { "y" } }
    refused(function() store:read():matching(items):count() end)
    refused(function()
      store:batch(function(batch) batch:expect_none(items, 1):append("a", { type = "t" }) end)
    end)
    assert.equal(2, store:head())
  end)
end)
