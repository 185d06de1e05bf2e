--- kill -9 while writing: what was acknowledged is there, the rest is there whole or not at all.
---
---   KILLS=50   how often (default 50)
---   SEED=n     for the moments and victims

local checker = require "fault.checker"
local process = require "support.process"
local random = require "support.random"
local scratch = require "support.scratch"
local tycho = require "tycho"

local KILLS = tonumber(os.getenv("KILLS")) or 50
local SEED = math.tointeger(tonumber(os.getenv("SEED") or os.time()))
local LEVELS = { "none", "none", "batched", "full" }

describe(("A writer that is killed (SEED=%d)"):format(SEED), function()
  local path, directory
  scratch.each(function(...) path, directory = ... end)

  local function start(name, sync)
    local writer = process.lua("spec/fault/writer.lua",
      { path, directory, name, 1000000, sync })
    assert.equal("writing", writer:read())
    return writer
  end

  it("takes nothing with it that was acknowledged, and does not stop the others", function()
    local chance, names, kills, before = random.new(SEED), { "w1", "w2", "w3" }, 0, 0
    while kills < KILLS do
      local writers = {}
      for index, name in ipairs(names) do writers[index] = start(name, chance:one(LEVELS)) end
      while #writers > 0 do
        process.sleep(chance:between(0, 30) / 1000)
        local victim = table.remove(writers, chance:between(1, #writers))
        victim:kill()
        local status, lines = victim:wait()
        assert.equal(137, status, table.concat(lines, "\n"))
        kills = kills + 1
      end
      local store <close> = tycho.open(path, { mode = "existing", sync = "none" })
      local rounds = checker.check(store, directory, names)
      assert.is_true(rounds >= before)
      before = rounds
      store:append("checked", { type = "checked" })
    end
    assert.is_true(before > 0)
  end)

  it("while it makes the store leaves none, or one that can be used", function()
    local chance = random.new(SEED)
    for round = 1, math.max(5, KILLS // 5) do
      local place = ("%s/new%d"):format(directory, round)
      local maker = process.lua("spec/fault/writer.lua", { place, directory, "m" .. round, 50,
        "none" })
      process.sleep(chance:between(0, 20) / 1000)
      maker:kill()
      maker:wait()
      local store <close> = tycho.open(place, { sync = "none" })
      checker.check(store, directory, { "m" .. round })
      store:append("a", { type = "t" })
    end
  end)

  it("while a store is open here does not keep this process from writing", function()
    local store <close> = tycho.open(path, { sync = "none", write_timeout = 60 })
    for round = 1, 10 do
      local writer = start("w1", "none")
      for _ = 1, 20 do store:append("mine", { type = "t" }) end
      writer:kill()
      writer:wait()
      store:append("mine", { type = "t" })
      assert.equal(21 * round, store:read():stream("mine"):count())
    end
    checker.check(store, directory, { "w1" })
  end)
end)
