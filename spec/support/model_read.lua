--- Reading the model: an immutable description of a read, and `select`, which says what a read
--- means by listing everything and crossing out what does not belong.
---
--- A plan is a plain table of what the steps set: stream, raw, backward, limit, from_id, to_id,
--- from_position, to_position, from_revision, to_revision, from_time, until_time, order ("time" or
--- "valid_time"), query, ids, resume, which ("first" or "last").

local rules = require "support.model_rules"
local scripts = require "support.model_scripts"
local state = require "support.model_state"

local read = {}

--- An event as a reader sees it: found by an entry of a stream, or (no entry) in the log.
function read.view(s, position, entry)
  local event = {}
  for key, value in pairs(s.events[position]) do event[key] = value end
  event.is_link = entry ~= nil and entry.is_link
  if entry then event.revision = entry.revision end
  return event
end

--- The same as the deployed scripts read it.
read.present = scripts.present

local function candidates(s, plan)
  local list = {}
  if plan.stream then
    for _, entry in ipairs(state.entries(s, state.resolve(s, plan.stream, plan.raw))) do
      local event = read.view(s, entry.position, entry)
      list[#list + 1] = { event = event, place = entry.revision }
    end
  else
    for position = 1, #s.events do
      list[position] = { event = read.view(s, position), place = position }
    end
  end
  for _, item in ipairs(list) do item.time = plan.order and item.event[plan.order] or 0 end
  table.sort(list, function(a, b)
    if a.time ~= b.time then return a.time < b.time end
    return a.place < b.place
  end)
  if not plan.backward then return list end
  local reversed = {}
  for index = #list, 1, -1 do reversed[#reversed + 1] = list[index] end
  return reversed
end

local function index_of(list, id)
  if not id then return nil end
  for index, item in ipairs(list) do
    if item.event.id == id then return index end
  end
  return rules.refuse("event_not_found", "the read has no event " .. id, { event_id = id })
end

--- Is `value` behind `from` and before `to`, in the direction of reading?
local function within(plan, value, from, to)
  if plan.backward then
    return (not from or value < from) and (not to or value > to)
  end
  return (not from or value > from) and (not to or value < to)
end

local function is_behind(plan, item, key)
  if item.time ~= key.time then return within(plan, item.time, key.time) end
  return within(plan, item.place, key.place)
end

local function matches(plan, query, event)
  local time = event[plan.order or "time"]
  if not within(plan, event.position, plan.from_position, plan.to_position) then return false end
  if plan.stream and not within(plan, event.revision, plan.from_revision, plan.to_revision) then
    return false
  end
  if plan.from_time and time < plan.from_time then return false end
  if plan.until_time and time >= plan.until_time then return false end
  if plan.ids and not plan.ids[event.id] then return false end
  return not query or rules.query_matches(query, event)
end

--- The items of a read, in order: { event =, place =, time = }.
function read.select(s, plan)
  local list = candidates(s, plan)
  local from, to = index_of(list, plan.from_id), index_of(list, plan.to_id)
  local result = {}
  local query = plan.query and (plan.stored and plan.query or scripts.widen(s, plan.query))
  for index, item in ipairs(list) do
    local wanted = (not from or index > from) and (not to or index < to)
      and (not plan.resume or is_behind(plan, item, plan.resume))
      and matches(plan, query, item.event)
    if wanted and (not plan.limit or #result < plan.limit) then
      if not plan.stored then scripts.present(s, item.event) end
      result[#result + 1] = item
    end
  end
  return result
end

-- The fluent description ----------------------------------------------------------------------

local Specification = { __name = "model.Specification" }
Specification.__index = Specification

--- A read of the state that `current()` gives when the read is made.
function read.specification(current)
  return setmetatable({ current = current, plan = {} }, Specification)
end

local function with(self, changes)
  local plan = {}
  for key, value in pairs(self.plan) do plan[key] = value end
  for key, value in pairs(changes) do plan[key] = value end
  return setmetatable({ current = self.current, plan = plan }, Specification)
end

local function without(self, ...)
  local copy = with(self, {})
  for _, key in ipairs { ... } do copy.plan[key] = nil end
  return copy
end

local function names(what, ...)
  local list = {}
  for _, group in ipairs { ... } do
    for _, name in ipairs(rules.as_list(group)) do
      list[#list + 1] = rules.check_name(name, what)
    end
  end
  return list
end

--- of_type and tagged are two halves of a query of one item.
local function with_item(self, half, list)
  local item = self.plan.item or {}
  item = { types = item.types or {}, tags = item.tags or {}, [half] = list }
  return with(self, { item = item, query = { item } })
end

function Specification:stream(name)
  return with(self, { stream = rules.check_name(name, "stream") })
end
function Specification:raw() return with(self, { raw = true }) end
function Specification:stored() return with(self, { stored = true }) end
function Specification:forward() return with(self, { backward = false }) end
function Specification:backward() return with(self, { backward = true }) end
function Specification:limit(count)
  return with(self, { limit = rules.check_integer(count, "limit", 1) })
end
function Specification:from(id) return with(self, { from_id = rules.check_id(id) }) end
function Specification:to(id) return with(self, { to_id = rules.check_id(id) }) end
function Specification:of_type(...) return with_item(self, "types", names("type", ...)) end
function Specification:tagged(...) return with_item(self, "tags", names("tag", ...)) end
function Specification:matching(query)
  return with(without(self, "item"), { query = rules.check_query(query) })
end

for step, least in pairs { from_position = 0, to_position = 0, from_revision = -1,
  to_revision = -1 } do
  Specification[step] = function(self, value)
    return with(self, { [step] = rules.check_integer(value, step, least) })
  end
end

function Specification:with_id(ids)
  local set = {}
  for _, id in ipairs(rules.as_list(ids)) do set[rules.check_id(id)] = true end
  return with(self, { ids = set })
end

for step, effect in pairs {
  older_than = { "until_time", 0 }, older_than_or_equal = { "until_time", 1 },
  newer_than = { "from_time", 1 }, newer_than_or_equal = { "from_time", 0 },
} do
  local field, added = effect[1], effect[2]
  Specification[step] = function(self, time)
    return with(self, { [field] = rules.check_integer(time, "time") + added })
  end
end

function Specification:between(first, before)
  rules.check_integer(first, "time")
  return with(self, { from_time = first, until_time = rules.check_integer(before, "time") })
end
function Specification:as_at() return with(self, { order = "time" }) end
function Specification:as_of() return with(self, { order = "valid_time" }) end

--- The key is readable here; the engine's is opaque. What is left of the limit is in it.
function Specification:resume(key)
  local time, place, left = string.unpack("<jjj", key)
  local changes = { resume = { time = time, place = place } }
  if left >= 0 then changes.limit = left end
  return with(self, changes)
end

-- Terminals -----------------------------------------------------------------------------------

function Specification:all()
  local events = {}
  for index, item in ipairs(read.select(self.current(), self.plan)) do
    events[index] = item.event
  end
  return events
end

function Specification:each()
  local events, index = self:all(), 0
  return function()
    index = index + 1
    return events[index]
  end
end

function Specification:each_batch(size)
  rules.check_integer(size or 100, "size", 1)
  local events, index = self:all(), 0
  return function()
    local batch = table.move(events, index + 1, math.min(index + (size or 100), #events), 1, {})
    index = index + #batch
    return #batch > 0 and batch or nil
  end
end

function Specification:map(fn)
  local result = {}
  for index, event in ipairs(self:all()) do result[index] = fn(event) end
  return result
end

function Specification:reduce(fn, initial)
  for _, event in ipairs(self:all()) do initial = fn(initial, event) end
  return initial
end

function Specification:page(size)
  rules.check_integer(size, "size", 1)
  local items = read.select(self.current(), self.plan)
  local events = {}
  for index = 1, math.min(size, #items) do events[index] = items[index].event end
  if #items <= size then return events, nil end
  local last, left = items[size], self.plan.limit and self.plan.limit - size or -1
  return events, string.pack("<jjj", last.time, last.place, left)
end

function Specification:count() return #self:all() end
function Specification:first() return self:all()[1] end
function Specification:last()
  local events = self:all()
  return events[#events]
end

function Specification:event(id)
  rules.check_id(id)
  for event in self:each() do
    if event.id == id then return event end
  end
end

function Specification:events(ids)
  local wanted, result = {}, {}
  for _, id in ipairs(ids) do wanted[rules.check_id(id)] = true end
  for event in self:each() do
    if wanted[event.id] then result[#result + 1] = event end
  end
  return result
end

return read
