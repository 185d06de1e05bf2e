--- What events get while with_metadata() runs, or a subscriber: metadata and the two ids.
---
--- There is one context per coroutine, so that two requests which take turns in one process do not
--- see each other's. A context is never changed: entering makes a new one, leaving puts the outer
--- one back, however the function ends.
local check = require "tycho.check"
local core = require "tycho.core"

core.own()

---@class tycho.Context
---@field private active table<thread, table>
local Context = {}
Context.__index = Context

local IDS = { "correlation_id", "causation_id" }

local function new()
  return setmetatable({ active = setmetatable({}, { __mode = "k" }) }, Context)
end

--- {metadata, correlation_id, causation_id} of the running coroutine, or nil.
function Context:current()
  return self.active[(coroutine.running())]
end

local function extend(outer, metadata)
  local inner = { metadata = {} }
  for key, value in pairs(outer and outer.metadata or {}) do inner.metadata[key] = value end
  for key, value in pairs(metadata) do inner.metadata[key] = value end
  for _, id in ipairs(IDS) do
    inner[id] = inner.metadata[id] or outer and outer[id]
    inner.metadata[id] = nil
  end
  return inner
end

--- Runs fn(...) with these metadata added to what is there.
function Context:run(metadata, fn, ...)
  local running, active = coroutine.running(), self.active
  local outer = active[running]
  local _ <close> = setmetatable({}, { __close = function() active[running] = outer end })
  active[running] = extend(outer, metadata)
  return fn(...)
end

--- Everything that run() would give an event, as one new table.
function Context:metadata()
  local all, current = {}, self:current()
  if current then
    for key, value in pairs(current.metadata) do all[key] = value end
    for _, id in ipairs(IDS) do all[id] = current[id] end
  end
  return all
end

--- Refuses what could not be written later.
local function check_metadata(metadata)
  check.table(metadata, "metadata")
  for key in pairs(metadata) do check.string(key, "a name in metadata") end
  for _, id in ipairs(IDS) do
    if metadata[id] ~= nil then check.name(metadata[id], id) end
  end
  return metadata
end

return { new = new, check = check_metadata }
