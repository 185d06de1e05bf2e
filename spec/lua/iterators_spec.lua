--- Loops over events and directories.

describe("a loop", function()
  local fresh = require("support.store")()

  local function filled(count)
    local store, events = fresh(), {}
    for i = 1, count do events[i] = { type = "t", data = { n = i } } end
    if count > 0 then store:append("a", events) end
    return store
  end

  it("sees every event once and then ends", function()
    local store, sum = filled(250), 0
    for event in store:read():each() do sum = sum + event.data.n end
    assert.equal(250 * 251 // 2, sum)
  end)

  it("closes its cursor at the end, on break and on an error", function()
    local store = filled(3)
    local function closed_by(body, ...)
      local next_item, state, control, closing = ...
      assert.is_true(closing:is_open())
      pcall(function()
        for _ in next_item, state, control, closing do
          if body == "break" then break end
          if body == "error" then error("stop") end
        end
      end)
      assert.is_false(closing:is_open())
    end
    for _, body in ipairs { "end", "break", "error" } do
      closed_by(body, store:read():each())
      closed_by(body, store:read():each_batch(2))
      closed_by(body, store:streams())
    end
  end)

  it("goes on giving nil after its end", function()
    local next_event = filled(1):read():each()
    assert.equal(1, next_event().position)
    assert.is_nil(next_event())
    assert.is_nil(next_event())
  end)

  it("may yield", function()
    local store, seen = filled(5), {}
    local reader = coroutine.wrap(function()
      for event in store:read():each() do coroutine.yield(event.data.n) end
    end)
    for n in reader do seen[#seen + 1] = n end
    assert.same({ 1, 2, 3, 4, 5 }, seen)
  end)

  it("may be nested, and may write", function()
    local store, pairs_seen = filled(3), 0
    for outer in store:read():each() do
      for inner in store:read():stream("a"):each() do
        pairs_seen = pairs_seen + 1
        store:append("b", { type = "seen", data = { outer.position, inner.position } })
      end
    end
    assert.equal(9, pairs_seen)
    assert.equal(12, store:head())
  end)

  it("gives batches of the size asked for, the last one shorter", function()
    local sizes = {}
    for events in filled(250):read():each_batch() do sizes[#sizes + 1] = #events end
    assert.same({ 100, 100, 50 }, sizes)
    for _ in filled(0):read():each_batch() do error("no batch") end
  end)

  it("over a directory gives a name and what belongs to it", function()
    local store, seen = filled(2), {}
    store:append("b", { type = "u", tags = { "x" } })
    store:put_row("table", "k1", { n = 1 })
    store:put_row("table", "k2", false)
    store:set_checkpoint("c", 2)
    store:set_route("r", "a")
    for name, count, revision in store:streams() do seen[name] = { count, revision } end
    for name, count in store:types() do seen[name] = count end
    for name, count in store:tags() do seen[name] = count end
    for key, value, version in store:rows("table") do seen[key] = { value, version } end
    for name, position in store:checkpoints() do seen[name] = position end
    for name, stream in store:routes() do seen[name] = stream end
    assert.same({
      a = { 2, 1 }, b = { 1, 0 }, t = 2, u = 1, x = 1, k1 = { { n = 1 }, 3 }, k2 = { false, 4 },
      c = 2, r = "a",
    }, seen)
  end)
end)

describe("map, reduce and all", function()
  local fresh = require("support.store")()

  it("go over the same events", function()
    local store = fresh()
    store:append("a", { { type = "t", data = { n = 4 } }, { type = "t", data = { n = 5 } } })
    local read = store:read()
    assert.same({ 4, 5 }, read:map(function(event) return event.data.n end))
    assert.equal(9, read:reduce(function(sum, event) return sum + event.data.n end, 0))
    assert.equal(2, #read:all())
    assert.is_nil(read:reduce(function() return nil end, 7))
  end)

  it("pass on the error of the function unchanged", function()
    local store, mistake = fresh(), {}
    store:append("a", { type = "t" })
    local _, err = pcall(store.read(store).map, store:read(), function() error(mistake) end)
    assert.equal(mistake, err)
  end)
end)

describe("a reading", function()
  local fresh = require("support.store")()

  it("sees what was written since the last one", function()
    local store = fresh()
    for n = 1, 5 do store:append("a", { type = "t", data = { n = n } }) end
    for value = 1, 3 do
      for event in store:read():each() do
        local changed = event:to_table()
        changed.data = { n = -value }
        store:overwrite(changed)
        assert.equal(-value, store:read():from_position(event.position - 1):first().data.n)
        assert.equal(-value, store:event(event.id).data.n)
      end
    end
  end)

  it("reads small and large events in turn, as the snapshot has them", function()
    local store, sizes = fresh(), {}
    for i = 1, 300 do sizes[i] = i % 7 == 0 and 9000 or i * 37 % 600 end
    for i, size in ipairs(sizes) do
      store:append("s", { type = "t", id = ("e%d"):format(i), data = { text = ("x"):rep(size) } })
    end
    local function check(reader, letter)
      local expected = 0
      for event in reader:read():each() do
        expected = expected + 1
        assert.equal(expected, event.position)
        assert.equal(letter:rep(sizes[expected]), event:field("text"))
      end
      assert.equal(#sizes, expected)
      for event in reader:read():backward():each() do
        assert.equal(expected, event.position)
        assert.equal(letter:rep(sizes[expected]), event:field("text"))
        expected = expected - 1
      end
      assert.equal(0, expected)
    end
    local snapshot <close> = store:snapshot()
    check(snapshot, "x")
    for event in snapshot:read():each() do -- where the reader stands, too
      local changed = event:to_table()
      changed.data = { text = ("y"):rep(sizes[event.position]) }
      store:overwrite(changed)
    end
    check(snapshot, "x")
    check(store, "y")
    for _ = 1, 3 do -- two readers of one snapshot, at different places
      local ahead = snapshot:read():from_position(150):each()
      for event in snapshot:read():limit(100):each() do
        assert.equal(event.position + 150, ahead().position)
      end
    end
  end)
end)
