--- The host protocol, read models: asked in the process, and over a connection, where a catch-up is
--- answered late.

local connection = require "support.connection"
local rpc = require "support.rpc"
local scratch = require "support.scratch"
local tycho = require "tycho"

local MODEL = [[return read_model { name = "Count", version = 1, types = { "N" },
  keys = function(event) return event.data.key end,
  history = function(key) return { { tags = "of:" .. key } } end,
  init = function(key) return { key = key, count = 0 } end,
  on = { N = function(state, event)
    if event.data.bad then error("bad event") end
    state.count = state.count + 1
  end } }]]

describe("The host protocol, read models", function()
  local path, directory, store
  before_each(function()
    path, directory = scratch.path()
    store = tycho.open(path)
    store:append("n", { { type = "N", data = { key = 1 }, tags = { "of:1" } },
      { type = "N", data = { key = 2 }, tags = { "of:2" } } })
    store:deploy { sources = MODEL }
  end)
  after_each(function()
    assert.same({}, store:verify().findings)
    store:close()
    scratch.remove(directory)
  end)

  it("answers a state, and says what is kept", function()
    local host = rpc.host()
    host:ask("open", { path = path })
    local first = host:ask("model_get", { model = "Count", key = "1" })
    assert.same({ key = "1", count = 1 }, first.state)
    assert.equal(1, first.linked)
    assert.is_true(first.was_caught_up)
    assert.equal(store:head(), first.position)
    store:append("n", { type = "N", data = { key = 1 } })
    local second = host:ask("model_get", { model = "Count", key = 1, snapshot_after = 1 })
    assert.equal(2, second.state.count)
    assert.equal(2, host:ask("model_get", { model = "Count", key = 1, fresh = true }).folded)
    assert.equal(0, host:ask("model_get", { model = "Count", key = 1, timeout_ms = -1 }).folded)
    assert.same({ version = 1, instances = 1, current = 1, snapshots = 1 },
      host:ask("model_status", { model = "Count" }))
    assert.equal(2, host:ask("model_status", { model = "Count", key = 1 }).snapshot_events)
    assert.same({ is_caught_up = false, is_current = false, entries = 0 },
      host:ask("model_status", { model = "Count", key = "2" }))
    host:finish()
  end)

  it("refuses with the facts", function()
    local host = rpc.host()
    host:ask("open", { path = path })
    store:append("n", { type = "N", data = { key = 1, bad = true } })
    local refused = host:refused("model_get", { model = "Count", key = 1 })
    assert.equal("rejected", refused.error)
    assert.equal("1", refused.key)
    assert.equal(store:head(), refused.position)
    assert.equal("read_model/Count", refused.script)
    assert.equal("not_found", host:refused("model_get", { model = "No", key = 1 }).error)
    assert.equal("invalid_argument", host:refused("model_get", { model = "Count" }).error)
    assert.equal("invalid_argument", host:refused("model_get", { key = "1" }).error)
    assert.equal("invalid_argument",
      host:refused("model_get", { model = "Count", key = "a\n" }).error)
    host:finish()
  end)

  it("answers a catch-up late, and goes on meanwhile", function()
    local c = connection.open(path)
    local held <close> = store:lock("tycho.model:Count$2")
    local id = c:send("model_get", { model = "Count", key = "2" })
    assert.is_true(c:ask("head") > 0)
    held:release()
    assert.equal(1, c:line(id).result.state.count)
    assert.equal(1, c:ask("model_get", { model = "Count", key = "2" }).events)
    c:close()
  end)

  it("gives up a catch-up that is cancelled, or whose connection ends", function()
    local c = connection.open(path)
    local held <close> = store:lock("tycho.model:Count$2")
    local id = c:send("model_get", { model = "Count", key = "2", timeout_ms = -1 })
    assert.is_true(c:ask("cancel", { request = id }))
    local answer = c:line(id)
    assert.same({ false, "timeout" }, { answer.ok, answer.error })
    assert.matches("cancelled", answer.message)
    assert.is_false(c:ask("cancel", { request = id }))
    c:send("model_get", { model = "Count", key = "2", timeout_ms = -1 })
    c:close()
    held:release()
    assert.equal(1, (store:model("Count"):get("2").count))
  end)
end)
