--- Renaming a stream while several processes publish to it: an experiment, and its proof.
---
---   lua5.4 examples/rename_stream/rename_stream.lua [UNIT]
---
--- The experiment is that of "Rename stream in Rails Event Store with zero downtime" (Arkency,
--- 2020), with processes in the place of threads: publishers write with random pauses of up to UNIT
--- milliseconds (default 2; 0: as fast as they can), while a catch-up process renames their stream.
--- Then the target must start with all events of the source, in order, and go on with the new ones:
--- none lost, doubled or out of order. publisher.lua and catchup.lua are the processes, round.lua
--- runs them, proof.lua says what must hold.
---
--- The catch-up of the article links one event at a time and must be faster than its publishers, so
--- there they pause longer, and never not at all.

local here = arg[0]:match("^(.*)/") or "."
package.path = here .. "/?.lua;" .. package.path
local round = require "round"
local proof = require "proof"

local unit = tonumber(arg[1] or 2)
if not unit or unit < 0 then
  io.stderr:write("usage: lua5.4 rename_stream.lua [UNIT]\n")
  os.exit(2)
end

local LONGER = 20

local function kills_of(count, publishers)
  local plan = {}
  for index = 1, count do
    plan[index] = { pause = math.random(1, 20) / 1000, victim = math.random(0, publishers) }
  end
  return plan
end

local variants = {
  { title = "publishers use a route", styles = { "route", "route", "route", "route" } },
  { title = "publishers use the stream's own name", styles = { "name", "name", "name", "name" } },
  { title = "publishers expect versions", styles = { "version", "version", "version", "version" } },
  { title = "any of them and the catch-up process are killed, and started again",
    styles = { "route", "name", "version", "version" }, kills = kills_of(12, 4) },
  { title = "the article's own pattern: a lock, and a pointer in a file", catchup = "switcher",
    styles = { "switcher", "switcher", "switcher", "switcher" }, chunk = 5 },
  { title = "that pattern, when they are killed", catchup = "switcher",
    styles = { "switcher", "switcher", "switcher", "switcher" }, chunk = 5,
    kills = kills_of(12, 4) },
}

local function directory_for(index)
  local directory = ("rename_stream.%d"):format(index)
  assert(os.execute(("rm -rf %s && mkdir %s"):format(directory, directory)))
  return directory
end

local function killed(kills)
  local count = kills.publishers + kills.new + kills.linking + kills.switched
  return count > 0 and (", %d killed"):format(count) or ""
end

local function run(index, variant)
  local directory = directory_for(index)
  print(variant.title)
  local facts = round.run {
    directory = directory, styles = variant.styles, catchup = variant.catchup or "rename",
    unit = variant.catchup and math.max(unit, 1) * LONGER or unit,
    rest = variant.catchup and 0 or unit, history = 200, chunk = variant.chunk or 20,
    kills = variant.kills or {}, before = 20, after = 20,
  }
  local faults = facts.faults
  print(("  %d events acknowledged to %d processes%s; %d were in the source, %d came after")
    :format(facts.acknowledged, #variant.styles, killed(facts.kills), facts.linked,
      facts.events - facts.linked))
  if variant.styles[#variant.styles] == "version" then
    print(("  %d conflicts of versions, %d of them false"):format(facts.conflicts,
      faults.false_conflicts))
  end
  print(("  lost %d, doubled %d, out of order %d"):format(faults.lost, faults.doubled,
    faults.disordered))
  for _, sentence in ipairs(faults.said) do print("  " .. sentence) end
  assert(facts.linked > 200 and facts.events > facts.linked, "nobody published meanwhile")
  os.execute("rm -rf " .. directory)
  return proof.is_clean(faults)
end

local is_proved = true
for index, variant in ipairs(variants) do is_proved = run(index, variant) and is_proved end
print(is_proved
  and "proved: the target starts with the source's events, in order, then has the new ones"
  or "NOT proved")
os.exit(is_proved and 0 or 1, true)
