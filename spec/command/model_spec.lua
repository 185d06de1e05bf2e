--- `tycho model`: asking read models, and looking after them.
local command = require "support.command"

local MODEL = [[
return read_model {
  name = "Orders", version = 1, types = { "OrderPlaced" },
  keys = function(event) return event.data.customer end,
  history = function(key) return { { tags = "customer:" .. key } } end,
  init = function() return { cents = 0 } end,
  on = { OrderPlaced = function(state, event) state.cents = state.cents + event.data.cents end },
}
]]

describe("tycho model", function()
  local tycho

  before_each(function()
    tycho = command.new()
    tycho:must [[publish o OrderPlaced '{"customer":"ann","cents":5}' --tag customer:ann]]
    tycho:must [[publish o OrderPlaced '{"customer":"bob","cents":9}' --tag customer:bob]]
    tycho:file("orders.lua", MODEL)
    tycho:must("deploy " .. tycho:path("orders.lua"))
  end)
  after_each(function()
    tycho:must("verify")
    tycho:close()
  end)

  it("gets the states of instances as JSON", function()
    assert.equal('{"cents":5}\n{"cents":9}\n', tycho:must("model Orders get ann bob"))
    tycho:must [[publish o OrderPlaced '{"customer":"ann","cents":2}']]
    assert.equal('{"cents":7}\n', tycho:must("model Orders get ann"))
    assert.equal('{"cents":7}\n', tycho:must("model Orders get --fresh --timeout 2 ann"))
    local answer = tycho:must("--json model Orders get ann")
    assert.match('"key": ?"ann"', answer)
    assert.match('"events": ?2', answer)
    assert.match('"state": ?{"cents": ?7}', answer)
  end)

  it("says what is kept", function()
    assert.equal("version 1: 0 instances, 0 current, 0 snapshots\n",
      tycho:must("model Orders status"))
    assert.equal("ann: not caught up, 0 events linked\n", tycho:must("model Orders status ann"))
    tycho:must("model Orders get ann")
    assert.equal("version 1: 1 instance, 1 current, 0 snapshots\n",
      tycho:must("model Orders status"))
    assert.equal("ann: version 1, 1 event, 1 behind the snapshot\n",
      tycho:must("model Orders status ann"))
    assert.match('"is_current": ?true', tycho:must("--json model Orders status ann"))
  end)

  it("catches up, maintains and forgets", function()
    assert.equal("2 instances caught up, 2 events linked\n",
      tycho:must("model Orders prepare ann bob"))
    tycho:file("orders.lua", (MODEL:gsub("version = 1", "version = 2")))
    tycho:must("deploy " .. tycho:path("orders.lua"))
    assert.match("%(not current%)", tycho:must("model Orders status ann"))
    assert.equal("2 instances caught up, 0 events linked\n", tycho:must("model Orders maintain"))
    assert.match('"done": ?0', tycho:must("--json model Orders maintain"))
    tycho:must("model Orders forget ann")
    assert.equal("version 2: 1 instance, 1 current, 0 snapshots\n",
      tycho:must("model Orders status"))
  end)

  it("says what is wrong", function()
    local function fails(exit, text, words)
      local result = tycho:run(words)
      assert.equal(exit, result.status, words)
      assert.matches(text, result.err, 1, true)
    end
    fails(4, 'there is no read model "Nobody"', "model Nobody get 1")
    fails(2, "", "model Orders get")
    fails(2, "", "model Orders")
    fails(2, "the key has a control character", "model Orders get 'a\1'")
    tycho:must [[publish o OrderPlaced '{"customer":"ann"}']]
    fails(3, "attempt to perform arithmetic on a nil value", "model Orders get ann")
    assert.equal('{"cents":9}\n', tycho:must("model Orders get bob"))
  end)
end)
