--- Events: lazy, immutable, comparable.

local tycho = require "tycho"

describe("an event", function()
  local fresh = require("support.store")()

  local function stored(event)
    local store = fresh()
    store:append("a", event)
    return store:read():first()
  end

  it("has what was written", function()
    local event = stored {
      type = "placed", id = "one", time = 5, valid_time = 4, data = { total = 1.5 },
      metadata = { by = "me" }, tags = { "b", "a", "b" }, correlation_id = "c", causation_id = "d",
    }
    assert.same({
      type = "placed", id = "one", time = 5, valid_time = 4, data = { total = 1.5 },
      metadata = { by = "me" }, tags = { "a", "b" }, correlation_id = "c", causation_id = "d",
      stream = "a", position = 1, revision = 0, is_link = false,
    }, event:to_table())
  end)

  it("has defaults for what was not", function()
    local before = tycho.now()
    local event = stored { type = "t" }
    assert.equal(36, #event.id)
    assert.is_true(before <= event.time and event.time <= tycho.now())
    assert.equal(event.time, event.valid_time)
    assert.same({}, event.data)
    assert.same({}, event.metadata)
    assert.same({}, event.tags)
    assert.is_nil(event.correlation_id)
    assert.is_nil(event.content_type)
    assert.is_nil(event.no_such_field)
  end)

  it("decodes once: the same table each time", function()
    local event = stored { type = "t", data = { n = 1 }, tags = { "x" } }
    assert.equal(event.data, event.data)
    assert.equal(event.metadata, event.metadata)
    assert.equal(event.tags, event.tags)
  end)

  it("gives one field without decoding the rest", function()
    local event = stored {
      type = "t",
      data = {
        customer = { name = "Ada", tags = { "x", "y" } }, n = 2 ^ 53 | 0, none = tycho.null,
      },
    }
    assert.equal("Ada", event:field("customer", "name"))
    assert.equal("y", event:field("customer", "tags", 2))
    assert.equal(2 ^ 53 | 0, event:field("n"))
    assert.equal(tycho.null, event:field("none"))
    assert.same({ "x", "y" }, event:field("customer", "tags"))
    assert.is_nil(event:field("customer", "age"))
    assert.is_nil(event:field("n", "deeper"))
    assert.is_nil(event:field("customer", "tags", 3))
    assert.has_error(function() event:field({}) end)
  end)

  it("keeps data that are not MessagePack as bytes", function()
    local event = stored { type = "t", data = "\0\xff<a/>", content_type = "text/xml" }
    assert.equal("\0\xff<a/>", event.data)
    assert.equal("text/xml", event.content_type)
    assert.is_nil(event:field("a"))
    assert.has_error(function() stored { type = "t", data = {}, content_type = "text/xml" } end)
    local empty = stored { type = "t", content_type = "text/xml" }
    assert.equal("", empty.data)
    assert.is_nil(empty:field("a"))
    assert.is_nil(event:field("a"))
  end)

  it("may have anything as data that the codec has", function()
    for _, data in ipairs { 7, "text", true, tycho.null, tycho.array {}, { { 1 }, { 2 } } } do
      assert.same(data, stored({ type = "t", data = data }).data)
    end
    assert.is_false(stored({ type = "t", data = false }).data)
  end)

  it("of a loop knows its stream and tags at once and later", function()
    local store, events = fresh(), {}
    store:append("a", { type = "t", tags = { "x", "y" } })
    store:append(nil, { type = "t", tags = { "y" } })
    store:append("b", { type = "t" })
    for event in store:read():each() do
      if event.position < 3 then assert.equal(event.position == 1 and "a" or nil, event.stream) end
      events[#events + 1] = event
    end
    local snapshot <close> = store:snapshot()
    for event in snapshot:read():each() do events[#events + 1] = event end
    for i, event in ipairs(events) do
      local at = (i - 1) % 3 + 1
      assert.equal(({ "a", nil, "b" })[at], event.stream)
      assert.same(({ { "x", "y" }, { "y" }, {} })[at], event.tags)
      assert.equal(event.tags, event.tags)
    end
    store:link("c", events[1].id)
    for event in store:read():stream("c"):each() do
      assert.equal("a", event.stream)
      assert.is_true(event.is_link)
    end
  end)

  it("has its type whatever other types were asked for", function()
    local store, types = fresh(), {}
    for i = 1, 300 do types[i] = ("%d"):format(i) end
    for size = 1, 60 do
      types[#types + 1] = ("a"):rep(size)
      types[#types + 1] = ("b"):rep(size) .. "_with_the_same_end"
    end
    for i, kind in ipairs(types) do store:append("a", { type = kind, id = ("i%d"):format(i) }) end
    for _ = 1, 2 do
      for event in store:read():each() do
        assert.equal(types[event.position], event.type)
        assert.equal(types[event.position], event.type)
      end
    end
    local events = store:read():all()
    for i = #events, 1, -1 do assert.equal(types[i], events[i].type) end
  end)

  it("is told from everything else", function()
    local index = getmetatable(stored { type = "t" }).__index
    local batch <close> = fresh():batch()
    for _, other in ipairs { io.stdout, {}, 5, "text", fresh(), batch.box } do
      assert.error_matches(function() index(other, "type") end, "tycho.Event expected, got ")
      assert.error_matches(function() index(other, "field")(other, "a") end,
        "tycho.Event expected, got ")
    end
    assert.has_error(function() index(nil, "type") end)
    assert.has_error(function() index(nil, "field")() end)
    assert.is_nil(index())
    assert.equal("t", index(stored { type = "t" }, "type", "stream"))
  end)

  it("is equal to another reading of itself, and to nothing else", function()
    local store = fresh()
    store:append("a", { { type = "t" }, { type = "t" } })
    local first, second = store:read():first(), store:read():last()
    assert.is_true(first == store:event(first.id))
    assert.is_false(first == second)
    assert.is_false(first == first.id)
    assert.is_false(first == io.stdout)
    assert.is_false(io.stdout == first)
    store:append("a", { { type = "t", id = "a" }, { type = "t", id = "bc" } })
    assert.is_false(store:event("a") == store:event("bc"))
    assert.is_true(first ~= first:to_table())
  end)

  it("has metadata of its own, of the context, of both, and of many fields", function()
    local store, many = fresh(), {}
    for number = 1, 20 do many["k" .. number] = number end
    local function append(metadata)
      store:append("a", { type = "t", metadata = metadata })
      return store:last_event("a").metadata
    end
    assert.same(many, append(many))
    store:with_metadata({ correlation_id = "c" }, function()
      assert.same({ a = 1 }, append { a = 1 })
      assert.same({}, append())
    end)
    store:with_metadata({ b = 2 }, function()
      assert.same({ a = 1, b = 2 }, append { a = 1 })
      assert.same({ b = 2 }, append())
    end)
    for number = 21, 70000 do many["k" .. number] = number end
    assert.same(many, append(many))
  end)

  it("is immutable, and is walked by pairs", function()
    local event = stored { type = "t", id = "one" }
    assert.has_error(function() event.type = "u" end)
    assert.has_error(function() event.new_field = 1 end)
    local seen = {}
    for name, value in pairs(event) do seen[name] = value end
    assert.same(event:to_table(), seen)
    assert.equal("tycho.Event: t (one)", tostring(event))
  end)

  it("may be large", function()
    local text = ("x"):rep(1 << 20)
    local event = stored { type = "t", data = { text, text }, metadata = { text = text } }
    assert.equal(text, event:field(2))
    assert.equal(text, event.metadata.text)
  end)

  it("has up to 64 tags of up to 255 bytes", function()
    local tags = {}
    for i = 1, 64 do tags[i] = ("%03d"):format(i) .. ("x"):rep(252) end
    assert.same(tags, stored({ type = "t", tags = tags }).tags)
  end)

  it("can be written again with other data", function()
    local store = fresh()
    store:append("a", { type = "t", data = { secret = 1 }, tags = { "x" }, time = 9 })
    local changed = store:read():first():to_table()
    changed.data = { secret = "gone" }
    store:overwrite(changed)
    local event = store:read():first()
    assert.equal("gone", event.data.secret)
    assert.same({ "x" }, event.tags)
    assert.equal(9, event.time)
  end)
end)
