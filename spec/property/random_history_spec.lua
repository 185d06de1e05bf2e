--- Random histories: the engine must do what the model does, step by step.
---
---   STEPS=100000   how many steps in all (default 20,000; 3,000 with sanitizers)
---   SEED=123       begin with this seed (default: from the clock); a failure prints the seed
---   PROFILE=name   only this profile of property/profiles.lua

local boxes = require "property.boxes"
local history = require "property.history"
local profiles = require "property.profiles"
local random = require "support.random"
local steps = require "property.steps"

local HISTORY = 150
local STEPS = tonumber(os.getenv("STEPS")) or (os.getenv("TYCHO_BUILD") and 3000 or 20000)
local SEED = math.tointeger(tonumber(os.getenv("SEED") or os.time()))

--- Runs one history; gives its steps and the difference when there is one.
local function run(profile, seed)
  local model_box, box = boxes.model()(), boxes.engine()
  local maker = steps.maker(random.new(seed), profile, model_box.store)
  local taken, found = {}, nil
  for index = 1, HISTORY do
    taken[index] = maker:next(index)
    found = history.step(model_box, box, taken[index])
    if found then break end
  end
  if not found then
    taken[#taken + 1] = { kind = "dump" }
    found = history.step(model_box, box, taken[#taken])
  end
  local damage = history.close(box)
  return taken, found or damage
end

local function report(name, seed, taken, difference)
  local small, shown = history.shrink(boxes.model(), boxes.engine, taken)
  return ("SEED=%d PROFILE=%s STEPS=%d shows it again:\n%s\n%s\n-- %s"):format(seed, name, HISTORY,
    difference, history.print(small), shown or "(differs only in the long history)")
end

local names = {}
for name in pairs(profiles) do
  if (os.getenv("PROFILE") or name) == name then names[#names + 1] = name end
end
table.sort(names)

describe(("The engine does what the model does (SEED=%d)"):format(SEED), function()
  for _, name in ipairs(names) do
    it("in histories of " .. name:gsub("_", " "), function()
      local rounds = math.max(1, STEPS // (HISTORY * #names))
      for round = 1, rounds do
        local taken, difference = run(profiles[name], SEED + round - 1)
        if difference then error(report(name, SEED + round - 1, taken, difference), 0) end
      end
    end)
  end
end)
