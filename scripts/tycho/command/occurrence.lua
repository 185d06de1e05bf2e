--- Ids made of content (`tycho.content_id`), so that the same content is stored once however often
--- it is imported, and equal contents of one file are still several.
---
--- The number of equal contents before is exact for those that are at most `distance_max` lines
--- apart; further ones count as the same, which keeps the memory bounded: two tables of up to that
--- many 64-bit hashes, of which the older one is dropped. An entry is the line where the content
--- was last seen, and how often it was by then.
local tycho = require "tycho"

local content_id, hash = tycho.content_id, tycho.hash

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
  local seed_hash = hash(seed)
  local young, old, young_count, old_count, line = {}, {}, 0, 0, 0

  local function id(content, time)
    local key = hash(content)
    local count, entry = 0, young[key]
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
    end
    young[key] = line << count_bits | count
    return content_id(seed_hash, content, count, time)
  end

  return id, function() return young_count + old_count end
end

return { new = new }
