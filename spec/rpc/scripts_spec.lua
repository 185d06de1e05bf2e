--- The host protocol in a store with scripts: what they refuse, link and bring up to date.

local rpc = require "support.rpc"
local tycho = require "tycho"

local EVENT_2 = [[
return event_type {
  name = "Paid", version = 2, data = { cents = "integer" },
  upcast = { [1] = function(data) return { cents = data.total * 100 } end },
}]]

describe("The host protocol, with scripts", function()
  local host
  before_each(function() host = rpc.host() end)
  after_each(function() host:finish() end)

  local function deploy(...)
    local store <close> = tycho.open(host.path)
    store:deploy { sources = { ... } }
  end

  local function paid(data, id)
    return { stream = "s", records = { { event_id = id, event_type = "Paid", data = data } } }
  end

  it("answers what was refused with the facts, and goes on", function()
    deploy([[return event_type { name = "Paid", version = 1, data = { total = "integer" } }]],
      [[return linker { name = "totals", version = 1,
  streams = "*", to = function(event) return "total-" .. event.data.total end }]])
    local answer = host:refused("append", paid({ total = "3" }, "bad"))
    assert.same({ "rejected", "event_type/Paid", 1, "data.total", "bad", "Paid" }, { answer.error,
      answer.script, answer.version, answer.path, answer.event_id, answer.event_type })
    assert.equal("data.total is a string, must be an integer", answer.reason)
    host:ask("append", paid({ total = 3 }, "good"))
    assert.same({ "good" }, host:ids { stream = "total-3" })
    answer = host:refused("append", { stream = "s", records = { { event_type = "Other" } } })
    assert.same({ "linker/totals", 2 }, { answer.script, answer.line })
    assert.matches("in function", answer.traceback)
  end)

  it("reads old events as the present version, by a handle that was open before", function()
    host:ask("append", paid({ total = 3 }, "old"))
    deploy(EVENT_2)
    assert.same({ cents = 300 }, host:ask("read", { spec = { stream = "s" } }).events[1].data)
    assert.equal("data.total", host:refused("append", paid({ total = 3 })).path)
  end)

  it("checks what overwrites an event, which is of the present version then", function()
    local function change(data)
      return { records = { { event_id = "old", event_type = "Paid", data = data } } }
    end
    host:ask("append", paid({ total = 3 }, "old"))
    deploy(EVENT_2)
    assert.equal("data.total", host:refused("update", change { total = 3 }).path)
    host:ask("update", change { cents = 7 })
    assert.same({ cents = 7 }, host:ask("read", { spec = { stream = "s" } }).events[1].data)
  end)

  it("keeps the history of scripts for deployments", function()
    deploy(EVENT_2)
    local answer = host:refused("append",
      { stream = "$scripts", records = { { event_type = "Note" } } })
    assert.equal("invalid_argument", answer.error)
  end)
end)
