--- Rounds of renaming a stream under four publisher processes at full speed and random kills, and
--- the ledger of them. The processes and the proof are those of examples/rename_stream.
---
---   lua5.4 spec/fault/rename_rounds.lua [ROUNDS] [SEED]     (make rename-rounds ROUNDS=1000)
---
--- One round in ten is the pattern of the article, whose catch-up needs publishers that pause.
---
--- Round n of the seed s is round 1 of the seed s + n - 1: what is random in it (styles of the
--- publishers, sizes, victims, moments) is made of that number. Only the processes take their turns
--- as they like. A round that fails keeps its directory, and ends the run.

package.path = "examples/rename_stream/?.lua;" .. package.path
local random = require "support.random"
local round = require "round"
local scratch = require "support.scratch"

local PUBLISHERS, KILLS_MAX = 4, 5
local STYLES = { "route", "name", "version" }
local CHUNKS = { 5, 20, 20, 50, 200, 1000 }

local rounds = {}

--- What the round of a seed is.
local function plan_of(seed, directory)
  local chance = random.new(seed)
  local is_switcher = chance:chance(10)
  local plan = {
    directory = directory, catchup = is_switcher and "switcher" or "rename",
    history = chance:between(1, 400), chunk = is_switcher and 5 or chance:one(CHUNKS),
    unit = is_switcher and 40 or 0, rest = is_switcher and 0 or chance:between(0, 3),
    styles = {}, kills = {}, before = chance:between(0, 40), after = chance:between(0, 40),
  }
  for number = 1, PUBLISHERS do
    plan.styles[number] = is_switcher and "switcher" or chance:one(STYLES)
  end
  for index = 1, chance:between(1, KILLS_MAX) do
    plan.kills[index] = { pause = chance:between(0, 30) / 1000,
      victim = chance:chance(50) and 0 or chance:between(1, PUBLISHERS) }
  end
  return plan
end

local function add(ledger, facts)
  for name, value in pairs(facts) do
    if type(value) == "table" then
      ledger[name] = ledger[name] or {}
      add(ledger[name], value)
    elseif type(value) == "number" then
      ledger[name] = (ledger[name] or 0) + value
    end
  end
end

--- Runs rounds, and gives the sums of what round.run gives. `say` is called after each round.
function rounds.run(count, seed, say)
  local ledger = { rounds = 0 }
  for number = seed, seed + count - 1 do
    local _, directory = scratch.path()
    local ok, facts = pcall(round.run, plan_of(number, directory))
    if not ok then error(("round of seed %d, in %s: %s"):format(number, directory, facts), 0) end
    add(ledger, facts)
    ledger.rounds = ledger.rounds + 1
    if say then say(ledger) end
    if #facts.faults.said > 0 then
      error(("round of seed %d, in %s:\n  %s"):format(number, directory,
        table.concat(facts.faults.said, "\n  ")), 0)
    end
    scratch.remove(directory)
  end
  return ledger
end

--- The ledger as text.
function rounds.describe(ledger)
  local kills, faults = ledger.kills, ledger.faults
  local lines = {
    ("rounds                %8d"):format(ledger.rounds),
    ("events published      %8d  %d of them acknowledged"):format(
      ledger.events - ledger.history, ledger.acknowledged),
    ("  before the switch   %8d"):format(ledger.linked - ledger.history),
    ("  after it            %8d"):format(ledger.events - ledger.linked),
    ("publishers killed     %8d"):format(kills.publishers),
    ("catch-ups killed      %8d  %d before the first link, %d while linking, %d after the switch")
      :format(kills.new + kills.linking + kills.switched, kills.new, kills.linking, kills.switched),
    ("version conflicts     %8d  %d false"):format(ledger.conflicts, faults.false_conflicts),
    ("lost                  %8d"):format(faults.lost),
    ("doubled               %8d"):format(faults.doubled),
    ("out of order          %8d"):format(faults.disordered),
    ("damaged               %8d"):format(faults.damaged),
  }
  return table.concat(lines, "\n")
end

local function main(count, seed)
  local started = os.time()
  print(("%d rounds from seed %d"):format(count, seed))
  local ok, result = pcall(rounds.run, count, seed, function(ledger)
    if ledger.rounds % 50 == 0 then
      io.stderr:write(("  ... %d rounds, %d s\n"):format(ledger.rounds, os.time() - started))
    end
  end)
  print(ok and rounds.describe(result) or result)
  os.exit(ok and 0 or 1, true)
end

if arg and arg[0]:find("rename_rounds%.lua$") then
  main(assert(math.tointeger(tonumber(arg[1] or 20)), "ROUNDS must be a number"),
    assert(math.tointeger(tonumber(arg[2] or os.time())), "SEED must be a number"))
end

return rounds
