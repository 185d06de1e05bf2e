--- Power cuts: the disks that they may leave, of recordings of all kinds of batches.
---
---   SEED=n   of the workloads

local power_loss = require "power.power_loss"

local SEED = math.tointeger(tonumber(os.getenv("SEED") or os.time()))
local BUILD = (os.getenv("TYCHO_BUILD") or "build"):gsub("^.*/build", "build")

describe(("A power cut (SEED=%d)"):format(SEED), function()
  local function run(options)
    options.SEED, options.BUILD, options.REPLAY = SEED, BUILD, "build"
    return power_loss.run(options)
  end

  --- Nothing must be found; gives the figures.
  local function assert_good(options)
    local is_good, said, figures = run(options)
    assert.is_true(is_good, said)
    assert.equal(figures.images, figures.good, said)
    assert.equal(options.AGAIN, figures.again or 0)
    return figures
  end

  -- Those that are #slow take minutes with ASan; each does what a shorter one does there.
  it("takes nothing that was acknowledged, wherever it comes in 200 batches #slow", function()
    local figures = assert_good({ BATCHES = 200, SUBSETS = 2, AGAIN = 3 })
    assert.is_true(figures.states > 200 and figures.windows >= 200)
    assert.is_true(figures.images > 20 * figures.windows)
  end)

  it("takes nothing that one of several processes was told, nor does a second one", function()
    local figures = assert_good({ BATCHES = 8, PROCESSES = 3, SUBSETS = 2, AGAIN = 2 })
    assert.is_true(figures.states > 24 and figures.images_again > 100)
  end)

  it("takes nothing that was seen behind a process that was killed #slow", function()
    for number = 3, 36 do
      assert_good({ BATCHES = 2, KILL = number, SUBSETS = 1, AGAIN = 0 })
    end
  end)

  it("takes nothing that was seen by a process that was there already #slow", function()
    for number = 9, 18 do
      assert_good({ BATCHES = 2, KILL = number, KEEPER = 1, SUBSETS = 1, AGAIN = 0 })
    end
  end)

  it("takes no backup of which somebody was told", function()
    local figures = assert_good({ BATCHES = 100, WORKLOAD = "backup", SUBSETS = 20, AGAIN = 0 })
    assert.is_true(figures.images > 20)
  end)

  it("is noticed to take a batch whenever one of the flushes was left out", function()
    local all = assert_good({ BATCHES = 5, SUBSETS = 2, AGAIN = 0 })
    local missed = 0
    for number = 1, all.flushes do
      local is_good, said = run({ BATCHES = 5, SUBSETS = 2, AGAIN = 0, IGNORE_FLUSH = number,
        is_forgotten = true })
      if not is_good then
        missed = missed + 1
        assert.matches("POINT=%d+%.%d+ SEED=" .. SEED, said)
      end
    end
    assert.is_true(missed >= 5, ("%d of %d flushes were missed"):format(missed, all.flushes))
  end)

  it("takes the last commit at most where commits are flushed with the next one", function()
    local batched = assert_good({ BATCHES = 25, SUBSETS = 2, AGAIN = 1, SYNC = "batched" })
    assert.equal(1, batched.most)
    assert.is_true(batched.flushes < 1.5 * batched.states) -- one for each commit
  end)

  it("may take the store where nothing is flushed, as is said", function()
    local is_good, said, figures = run({ BATCHES = 25, SUBSETS = 8, AGAIN = 0, SYNC = "none",
      is_forgotten = true })
    assert.is_false(is_good, said)
    assert.is_true(figures.good > 0 and figures.good < figures.images)
  end)

  describe("that is asked for wrongly", function()
    local function refused(options, message)
      options.BATCHES, options.AGAIN, options.is_forgotten = 2, 0, true
      local is_good, said = run(options)
      assert.is_false(is_good)
      assert.matches(message, said, 1, true)
    end

    it("says what is wrong", function()
      refused({ SUBSETS = "many" }, "SUBSETS=many is not a number")
      refused({ JOBS = 0 }, "JOBS=0")
      refused({ IGNORE_FLUSH = "1x" }, "IGNORE_FLUSH=1x is not a number")
    end)
  end)
end)
