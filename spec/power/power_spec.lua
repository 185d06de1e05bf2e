--- Power cuts: the disks that they may leave, of recordings of all kinds of batches.
---
---   SEED=n   of the workload

local power_loss = require "power.power_loss"

local SEED = math.tointeger(tonumber(os.getenv("SEED") or os.time()))
local BUILD = os.getenv("TYCHO_BUILD") or "build"
BUILD = BUILD:gsub("^.*/(build)", "%1")

describe(("A power cut (SEED=%d)"):format(SEED), function()
  local function run(options)
    options.SEED = options.SEED or SEED
    options.BUILD, options.REPLAY = BUILD, "build"
    return power_loss.run(options)
  end

  local function assert_good(options)
    local is_good, said, figures = run(options)
    assert.is_true(is_good, said)
    assert.equal(figures.images, figures.good, said)
    return figures
  end

  it("takes nothing that was acknowledged, wherever it comes in 200 batches #slow", function()
    local figures = assert_good({ BATCHES = 200, SUBSETS = 2 })
    assert.is_true(figures.marks > 200 and figures.images > 5000)
  end)

  it("takes nothing that several processes were told", function()
    local figures = assert_good({ BATCHES = 10, PROCESSES = 3, SUBSETS = 2 })
    assert.is_true(figures.marks > 30)
  end)
end)
