--- Random numbers that are the same everywhere for the same seed (SplitMix64).

local Random = {}
Random.__index = Random

local random = {}

function random.new(seed) return setmetatable({ state = seed }, Random) end

--- The next 64 bits.
function Random:bits()
  self.state = self.state + 0x9E3779B97F4A7C15
  local z = self.state
  z = (z ~ (z >> 30)) * 0xBF58476D1CE4E5B9
  z = (z ~ (z >> 27)) * 0x94D049BB133111EB
  return z ~ (z >> 31)
end

--- An integer from first to last, both included.
function Random:between(first, last)
  return first + (self:bits() >> 1) % (last - first + 1)
end

--- True in `percent` of 100 cases.
function Random:chance(percent) return self:between(1, 100) <= percent end

--- One member of a list; nil when it is empty.
function Random:one(list) return #list > 0 and list[self:between(1, #list)] or nil end

--- A key of a table of weights { key = weight }. Keys are taken in order, so that a seed repeats.
function Random:weighted(weights)
  local keys, total = {}, 0
  for key, weight in pairs(weights) do
    keys[#keys + 1] = key
    total = total + weight
  end
  table.sort(keys)
  local left = self:between(1, total)
  for _, key in ipairs(keys) do
    left = left - weights[key]
    if left <= 0 then return key end
  end
end

return random
