--- store:model(name): read models on demand, from Lua.
local fresh = require("support.store")()
local refusal = require "support.refusal"
local tycho = require "tycho"

local function source(version, types, history)
  return ([[return read_model { name = "Names", version = %d, types = { %s }, %s
    keys = function(event) return event.data.keys end,
    init = function(key) return { key = key, names = {} } end,
    on = { _ = function(state, event)
      if event.data.bad then error("bad event") end
      table.insert(state.names, event.data.name)
    end } }]]):format(version, types, history or "")
end

local BY_TAG = "history = function(key) return { { tags = 'of:' .. key } } end,"

local function event(name, keys, tag)
  return { type = "N", data = { name = name, keys = keys }, tags = tag and { tag } or nil }
end

describe("a read model", function()
  local store, model

  local function deploy(...) store:deploy { sources = { source(...) } } end

  before_each(function()
    store = fresh()
    store:append("s", { event("a", nil, "of:1"), event("b", nil, "of:2"), event("c", nil, "of:1") })
    deploy(1, "'N'", BY_TAG)
    model = store:model("Names")
  end)
  after_each(function() model:close() end)

  it("links the old events of an instance when it is first asked for", function()
    local state, answer = model:get("1")
    assert.same({ key = "1", names = { "a", "c" } }, state)
    assert.equal(2, answer.linked)
    assert.is_true(answer.was_caught_up)
    assert.equal(store:head(), answer.position)
    store:append("s", event("d", { 1, 2 }))
    state, answer = model:get(1, { snapshot_after = 1 })
    assert.same({ "a", "c", "d" }, state.names)
    assert.equal("ok", answer.snapshot)
    state, answer = model:get(1)
    assert.same({ "a", "c", "d" }, state.names)
    assert.equal(0, answer.folded)
    assert.is_nil(answer.snapshot)
    assert.equal(3, store:read():stream("Names$1"):count())
    assert.same({ "b", "d" }, model:get("2", { fresh = true }).names)
  end)

  it("is a handle that follows deployments", function()
    assert.equal("Names", model:name())
    assert.equal("tycho.Model: Names", tostring(model))
    assert.equal(1, select(2, model:get(1)).version)
    store:append("s", { type = "O", data = { name = "o" }, tags = { "of:1" } })
    deploy(2, "'N', 'O'", BY_TAG)
    assert.is_false(model:status(1).is_current)
    local seen = {}
    local done = model:maintain { progress = function(now) seen[#seen + 1] = now end }
    assert.same({ done = 1, total = 1, linked = 1, failed = 0 }, done)
    assert.same(done, seen[#seen])
    assert.same({ "a", "c", "o" }, model:get(1).names)
    store:deploy { remove = { "read_model/Names" } }
    local ok, err = pcall(model.get, model, 1)
    assert.is_false(ok)
    assert.equal("not_found", err.code)
  end)

  it("refuses an instance whose handler fails, with the facts", function()
    store:append("s", { type = "N", data = { bad = true, keys = "1" } })
    local ok, err = pcall(model.get, model, 1)
    assert.is_false(ok)
    assert.equal("rejected", err.code)
    assert.equal("1", err.key)
    assert.equal(store:head(), err.position)
    assert.equal("read_model/Names", err.script)
    assert.equal(5, err.line)
    assert.same({ "b" }, model:get("2").names)
  end)

  it("ends a run where the progress function raises, and goes on from there", function()
    local keys = {}
    for i = 1, 600 do keys[i] = i end
    local function stop() error("stop", 0) end
    local ok, err = pcall(model.prepare, model, keys, { progress = stop })
    assert.is_false(ok)
    assert.equal("stop", err)
    assert.equal(600, model:prepare(keys).done)
    assert.equal(2, model:status().instances)
  end)

  it("is maintained in short batches with rests while somebody else writes", function()
    local EACH, KEYS = 10, 1024
    local events, keys = {}, {}
    for key = 1, KEYS do keys[key] = key end
    for index = 1, EACH * KEYS do
      local tag = "of:" .. (index % KEYS + 1)
      events[#events + 1] = { type = "N", data = { name = index }, tags = { tag } }
      if #events == 10000 or index == EACH * KEYS then
        store:append("n", events)
        events = {}
      end
    end
    local function delete_streams()
      for key = 1, KEYS do store:delete_stream("Names$" .. key) end
    end
    model:prepare(keys)
    delete_streams()

    --- Commits and shares of the time of a run over all instances.
    local function run(version, progress)
      deploy(version, "'N'", BY_TAG)
      local before, wall, cpu = store:stats().sequence, tycho.now(), os.clock()
      assert.is_true(model:maintain { progress = progress }.linked >= EACH * KEYS)
      wall, cpu = (tycho.now() - wall) / 1e6, os.clock() - cpu
      local commits = store:stats().sequence - before
      delete_streams()
      return commits, wall / cpu
    end
    local alone = run(2)
    local writes = 0
    local in_company, share = run(3, function()
      store:append("else", { type = "Other" })
      writes = writes + 1
    end)
    assert.equal(KEYS // 256, writes)
    assert.is_true(in_company - writes > alone, ("%d commits, not %d"):format(in_company, alone))
    assert.is_true(share > 1.15, "there was no rest")
  end)

  it("keeps to its streams when their names become routes, and begins anew when they are deleted",
    function()
      assert.same({ "a", "c" }, model:get(1).names)
      store:rename { source = "Names$1", target = "other" }
      store:append("s", event("d", 1, "of:1"))
      assert.same({ "a", "c", "d" }, model:get(1, { snapshot_after = 1 }).names)
      assert.equal(2, store:read():stream("other"):count())
      store:set_route("Names$2", "elsewhere", { closed = true })
      store:append("s", event("e", { 1, 2 }, "of:1"))
      assert.same({ "b", "e" }, model:get(2).names)
      store:delete_stream("Names$1", { raw = true })
      assert.is_false(model:status(1).is_current)
      local state, answer = model:get(1)
      assert.same({ { "a", "c", "d", "e" }, true, 4 },
        { state.names, answer.was_caught_up, answer.linked })
      for index = 1, 5 do store:append("s", event("f" .. index, 1, "of:1")) end
      store:delete_stream("Names$1", { raw = true })
      for index = 6, 20 do store:append("s", event("f" .. index, 1, "of:1")) end
      local again = model:get(1)
      assert.equal(24, #again.names)
      assert.same(again, (model:get(1, { fresh = true })))
    end)

  it("forgets an instance", function()
    model:get(1)
    model:forget(1)
    assert.same({ is_caught_up = false, is_current = false, entries = 0 }, model:status(1))
    assert.same({ "a", "c" }, model:get(1).names)
  end)

  it("is not answered from a row that is damaged, until it is forgotten", function()
    model:get("1", { snapshot_after = 1 })
    for _, name in ipairs { "tycho.models", "tycho.model_states" } do
      local kept = store:row(name, "Names$1")
      local function with(change)
        local copy = {}
        for field, value in pairs(kept) do copy[field] = value end
        change(copy)
        return copy
      end
      for _, damaged in ipairs {
        "text", { 1, 2 }, {}, with(function(row) row.fingerprint = nil end),
        with(function(row) row.position = "1" end), with(function(row) row.unknown = 1 end),
      } do
        store:batch(function(batch) batch:put_row(name, "Names$1", damaged) end)
        local err = refusal.with("corrupt", model.get, model, "1")
        assert.matches('the row "Names$1" of a read model is damaged', err.message, 1, true)
      end
      model:forget("1")
      assert.same({ "a", "c" }, model:get("1", { snapshot_after = 1 }).names)
    end
  end)

  it("is caught up anew when somebody overwrites what its stream says of it", function()
    model:get("1")
    for _, metadata in ipairs { { 1, 2 }, { other = "x" }, { mark = "1" } } do
      store:set_stream_metadata("Names$1", metadata, { raw = true })
      local state, answer = model:get("1")
      assert.same({ "a", "c" }, state.names)
      assert.is_true(answer.was_caught_up)
    end
  end)

  it("raises misuse at the caller's line, and refusals", function()
    local function misuse(text, fn, ...)
      local ok, err = pcall(fn, ...)
      assert.is_false(ok)
      assert.truthy(tostring(err):find(text, 1, true), tostring(err))
    end
    misuse("key must be", model.get, model)
    misuse("key must be", model.get, model, {})
    misuse("keys[2] must be", model.prepare, model, { "1", false })
    misuse("control character", model.get, model, "a\n")
    misuse("no option \"fresg\"", model.get, model, "1", { fresg = true })
    local ok, err = pcall(store.model, store, "Nobody")
    assert.is_false(ok)
    assert.equal("not_found", err.code)
    model:close()
    misuse("read model is closed", model.get, model, "1")
  end)
end)
