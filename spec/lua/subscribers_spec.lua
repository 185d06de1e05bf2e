--- Subscribers in the process, for good and for a block.

describe("subscribers", function()
  local fresh = require("support.store")()

  local function recorder(log, name)
    return function(event) log[#log + 1] = name .. ":" .. event.type end
  end

  it("are called by publish, after all events are stored, event by event", function()
    local store, seen = fresh(), {}
    store:subscribe_to_all(function(event)
      seen[#seen + 1] = { event.type, event.stream, event.position, store:head() }
    end)
    store:publish("s", { { type = "a" }, { type = "b" } })
    assert.same({ { "a", "s", 1, 2 }, { "b", "s", 2, 2 } }, seen)
  end)

  it("are not called by append, link or a batch", function()
    local store, log = fresh(), {}
    store:subscribe_to_all(recorder(log, "all"))
    local id = store:append("s", { type = "a" }).event_ids[1]
    store:link("t", id)
    store:batch(function(batch) batch:append("s", { type = "b" }) end)
    assert.same({}, log)
  end)

  it("come in order: typed, to all, then those of the block", function()
    local store, log = fresh(), {}
    store:subscribe_to_all(recorder(log, "all"))
    store:subscribe(recorder(log, "typed"), "a")
    store:within(function() store:publish("s", { { type = "a" }, { type = "b" } }) end)
      :subscribe(recorder(log, "block typed"), { "a", "b" })
      :subscribe_to_all(recorder(log, "block all")):call()
    assert.same({
      "typed:a", "all:a", "block all:a", "block typed:a", "all:b", "block all:b", "block typed:b",
    }, log)
  end)

  it("match types exactly, and are called as often as they were added", function()
    local store, log = fresh(), {}
    local handler = recorder(log, "h")
    store:subscribe(handler, { "a", "a" })
    local unsubscribe = store:subscribe(handler, "a")
    store:publish("s", { { type = "a" }, { type = "ab" }, { type = "A" } })
    assert.same({ "h:a", "h:a" }, log)
    unsubscribe()
    unsubscribe()
    store:publish("s", { type = "a" })
    assert.equal(3, #log)
  end)

  it("that raise end the calls; the events stay", function()
    local store, log, mistake = fresh(), {}, {}
    store:subscribe(function() error(mistake) end, "a")
    store:subscribe_to_all(recorder(log, "all"))
    local ok, err = pcall(store.publish, store, "s", { { type = "a" }, { type = "b" } })
    assert.is_false(ok)
    assert.equal(mistake, err)
    assert.same({}, log)
    assert.equal(2, store:head())
    assert.same({}, store:metadata())
  end)

  it("may publish: the inner events come first, and know their cause", function()
    local store, order = fresh(), {}
    store:subscribe(function(event)
      order[#order + 1] = event.type
      store:publish("s", { type = "child" })
    end, "parent")
    store:subscribe(function(event)
      order[#order + 1] = event.type
      store:append("s", { type = "grandchild", causation_id = "mine" })
    end, "child")
    store:publish("s", { { type = "parent", correlation_id = "c" }, { type = "parent" } })
    assert.same({ "parent", "child", "parent", "child" }, order)
    local first, second, child, grandchild, other = table.unpack(store:read():all())
    assert.is_nil(first.causation_id)
    assert.equal("c", child.correlation_id)
    assert.equal(first.id, child.causation_id)
    assert.equal("c", grandchild.correlation_id)
    assert.equal("mine", grandchild.causation_id)
    assert.equal(second.id, other.correlation_id)
    assert.equal(second.id, other.causation_id)
  end)

  it("that come or go while an event is handled count from the next event on", function()
    local store, log = fresh(), {}
    local unsubscribe
    store:subscribe(function()
      unsubscribe()
      store:subscribe_to_all(recorder(log, "new"))
    end, "a")
    unsubscribe = store:subscribe_to_all(recorder(log, "old"))
    store:publish("s", { { type = "a" }, { type = "b" } })
    assert.same({ "old:a", "new:b" }, log)
  end)

  it("are not called for what was stored before", function()
    local store, log = fresh(), {}
    store:subscribe_to_all(recorder(log, "all"))
    store:publish("s", { type = "a", id = "one" }, { idempotent = true })
    local again = store:publish("s", { type = "a", id = "one" }, { idempotent = true })
    assert.is_true(again.is_replay)
    assert.same({ "all:a" }, log)
  end)

  it("are refused when they cannot be called, or name no type", function()
    local store = fresh()
    assert.has_error(function() store:subscribe(nil, "a") end)
    assert.has_error(function() store:subscribe(print) end)
    assert.has_error(function() store:subscribe(print, {}) end)
    assert.has_error(function() store:subscribe(print, { 7 }) end)
    assert.has_error(function() store:subscribe_to_all("print") end)
    assert.has_error(function() store:within() end)
    local called
    store:subscribe(setmetatable({}, { __call = function(_, event) called = event.type end }), "a")
    store:publish(nil, { type = "a" })
    assert.equal("a", called)
  end)
end)

describe("a block", function()
  local fresh = require("support.store")()

  it("gives its values, and its subscribers end with it, also by an error", function()
    local store, count = fresh(), 0
    local function handler() count = count + 1 end
    local block = store:within(function()
      store:publish("s", { type = "a" })
      return 1, nil, 3
    end):subscribe_to_all(handler)
    assert.same({ 1, nil, 3, n = 3 }, table.pack(block:call()))
    store:publish("s", { type = "a" })
    assert.equal(1, count)
    pcall(function()
      store:within(function() error("stop") end):subscribe_to_all(handler):call()
    end)
    store:publish("s", { type = "a" })
    assert.equal(1, count)
  end)

  it("nests, outer subscribers first", function()
    local store, log = fresh(), {}
    store:within(function()
      store:within(function() store:publish("s", { type = "a" }) end)
        :subscribe_to_all(function() log[#log + 1] = "inner" end):call()
      store:publish("s", { type = "a" })
    end):subscribe_to_all(function() log[#log + 1] = "outer" end):call()
    assert.same({ "outer", "inner", "outer" }, log)
  end)

  it("is that of its coroutine", function()
    local store, log = fresh(), {}
    local task = coroutine.wrap(function()
      store:within(coroutine.yield):subscribe_to_all(function() log[1] = "called" end):call()
    end)
    task()
    store:publish("s", { type = "a" })
    task()
    assert.same({}, log)
  end)
end)
