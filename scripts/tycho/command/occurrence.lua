--- Ids made of content, so that the same content is stored once however often it is imported.
---
--- An id is a UUID of version 8, laid out as one of version 7: 48 bits of milliseconds, so that ids
--- rise with the events of a log and the store writes few pages, then 74 bits of a hash (XXH3-128)
--- of a seed, the content, and the number of equal contents that came before it in the same file.
---
--- That number is exact for equal contents that are at most `distance_max` lines apart; further
--- ones count as the same, which keeps the memory bounded: two tables of up to that many 64-bit
--- hashes, of which the older one is dropped. An entry is the line where the content was last seen,
--- and how often it was by then.
local hash128 = require("tycho").hash128

local format, unpack = string.format, string.unpack

local distance_default = 1 << 18
local count_bits = 24
local count_mask = (1 << count_bits) - 1

--- The ids of one file: a function that gives the id of the next line's content, and one that says
--- how many contents are remembered. `time` (microseconds) is part of the content; without it ids
--- are in no order.
---@param seed string              keeps apart what is equal text but not the same event
---@param distance_max? integer
---@return fun(content: string, time?: integer): string
---@return fun(): integer
local function new(seed, distance_max)
  distance_max = distance_max or distance_default
  local seed_high, seed_low = unpack(">I8I8", hash128(seed))
  local young, old, young_count, old_count, line = {}, {}, 0, 0, 0

  local function id(content, time)
    local high, low = unpack(">I8I8", hash128(content))
    local key, count, entry = high, 0, young[high]
    line = line + 1
    if not entry then
      entry = old[key]
      if young_count == distance_max then
        old, old_count, young, young_count = young, young_count, {}, 0
      end
      young_count = young_count + 1
    end
    if entry and line - (entry >> count_bits) <= distance_max then
      count = (entry & count_mask) + 1
      high, low = unpack(">I8I8", hash128(content .. "\0" .. count))
    end
    young[key] = line << count_bits | count
    local head = time and time // 1000 or high >> 16
    high, low = high ~ seed_high, low ~ seed_low
    return format("%08x-%04x-8%03x-%04x-%012x", head >> 16 & 0xffffffff, head & 0xffff,
      high & 0xfff, low >> 48 & 0x3fff | 0x8000, low & 0xffffffffffff)
  end

  return id, function() return young_count + old_count end
end

return { new = new }
