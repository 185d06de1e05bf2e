--- Clients in several processes with several threads do random things to one store; what they saw
--- must have an order (fault/serial.lua), whoever of them is killed.
---
---   KILLS=140   how often in all (default 140)
---   SEED=n      begin with this seed (default: from the clock); a failure prints the seed

local process = require "support.process"
local rounds = require "fault.history_rounds"

local KILLS = tonumber(os.getenv("KILLS")) or 140
local SEED = math.tointeger(tonumber(os.getenv("SEED") or os.time()))

describe(("Clients of one store (SEED=%d)"):format(SEED), function()
  after_each(process.clean)

  it("see what one order of all batches explains", function()
    local counts = rounds.round(SEED, { processes = 4, threads = 3, operations = 100,
      sync = "none" })
    assert.is_true(counts.committed > 300 and counts.reads > 200 and counts.refused > 20)
    assert.equal(0, counts.unknown)
  end)

  it("see that, too, when they wait for the disk together", function()
    local counts = rounds.round(SEED + 1, { processes = 2, threads = 6, operations = 40,
      sync = "full" })
    assert.is_true(counts.committed > 100 and counts.reads > 50)
  end)

  it("see that when some of them are killed", function()
    local counts = rounds.crash(SEED)
    assert.is_true(counts.kills > 0 and counts.committed > 0)
  end)

  it(("see that in %d kills #slow"):format(KILLS), function()
    local kills, unknown, seed = 0, 0, SEED
    while kills < KILLS do
      seed = seed + 1
      local counts = rounds.crash(seed)
      kills, unknown = kills + counts.kills, unknown + counts.unknown
    end
    assert.is_true(unknown > KILLS // 4, "too few were killed while they waited for an answer")
  end)
end)
