--- The short form of the soak, and its ledger.
---
---   SEED=n   for the moments and victims

local ledger = require "soak.ledger"
local soak = require "soak.soak"

local SEED = math.tointeger(tonumber(os.getenv("SEED") or os.time()))
local SECONDS = os.getenv("TYCHO_BUILD") and 30 or 15
local MUST_HAPPEN = { "events of renamed streams checked", "linkers back-filled",
  "locks passed on by a death", "suspended and resumed", "clock jumps", "kill -9 of writers" }

describe(("Everything at once, with faults (SEED=%d)"):format(SEED), function()
  it("loses nothing", function()
    local is_good, text, kept = soak.run { SECONDS = SECONDS, SECONDS_MAX = 300, SEED = SEED,
      BUILD = "build", MUST_HAPPEN = MUST_HAPPEN }
    assert.is_true(is_good, text)
    for _, what in ipairs { "rounds of writers there", "events followed", "backups verified",
      table.unpack(MUST_HAPPEN) } do
      assert.is_true((kept.done[what] or kept.faults[what] or 0) > 0, what .. ": none\n" .. text)
    end
    assert.equal(4, kept.done["stores checked whole"], text)
  end)
end)

describe("The ledger of a soak", function()
  local STATS = { file_size = 1 << 20, free_size = 0, events = 900, links = 100, reader_lag = 3 }

  local function filled(seconds, value)
    local kept = ledger.new()
    for index = 1, 40 do
      kept.now = seconds * index / 40
      kept:note("worker: memory", "memory", value(index) * 1048576)
    end
    kept:judge(seconds)
    return kept
  end

  it("says what grows in a long run", function()
    local kept = filled(3600, function(index) return index end)
    assert.same({
      "worker: memory grew from 16252928 in the second quarter to 37224448 in the last",
    }, kept.wrong)
    assert.matches("losses +1\n  worker: memory grew", kept:describe())
    assert.matches("worker: memory +5632 +15872 +26112 +36352 +40960 KiB", kept:describe())
  end)

  it("says nothing of what is filled in the beginning, nor of a short run", function()
    assert.same({}, filled(3600, function(index) return index < 8 and index or 30 end).wrong)
    assert.same({}, filled(60, function(index) return index end).wrong)
  end)

  it("counts what was done and survived, and samples processes", function()
    local kept = ledger.new()
    local file <close> = assert(io.open("/proc/self/stat"))
    local pid = file:read("n")
    kept:did("reads", 3)
    kept:did("reads")
    kept:survived("kills")
    for second = 1, 8 do kept:sample(second, STATS, { me = pid, gone = 0 }) end
    local text = kept:describe()
    assert.matches("reads +4\n", text)
    assert.matches("kills +1\n", text)
    assert.matches("file: bytes per event +1049 ", text)
    assert.matches("me: descriptors +%d", text)
    assert.is_nil(text:find("gone", 1, true))
    assert.is_true(kept.series["me: memory"].values[1] > 1 << 20)
    assert.is_true(kept.series["me: descriptors"].values[1] >= 3)
  end)
end)
