--- The description of a read, as a value: each step gives a new one, and nothing is read before
--- each, each_batch, all, map, reduce, page, count, first, last, event or events.
---
--- `state` is what bindings/lua/read.c takes. It is never changed after it was made, and holds
--- copies of all lists, so that the tables of the caller may change.
local check = require "tycho.check"
local core = require "tycho.core"

core.own()

---@class tycho.Specification
---@field private store userdata  the box of the store
---@field private state table
local Specification = { __name = "tycho.Specification" }
Specification.__index = Specification

local BATCH_SIZE = 100
local NONE = {} -- stands for "remove this field" in a step

local function new(store, state)
  return setmetatable({ store = store, state = state or {} }, Specification)
end

--- A copy with the fields of `step` set.
local function derive(self, step)
  check.self(self, Specification)
  local state = {}
  for key, value in pairs(self.state) do state[key] = value end
  for key, value in pairs(step) do
    if value == NONE then value = nil end
    state[key] = value
  end
  return new(self.store, state)
end

function Specification:stream(name) return derive(self, { stream = check.name(name, "stream") }) end
function Specification:raw() return derive(self, { raw = true }) end
function Specification:stored() return derive(self, { stored = true }) end
function Specification:forward() return derive(self, { backward = NONE }) end
function Specification:backward() return derive(self, { backward = true }) end
function Specification:limit(count)
  return derive(self, { limit = check.integer(count, "limit", 1) })
end

function Specification:from(event_id)
  return derive(self, { from_id = check.name(event_id, "from") })
end

function Specification:to(event_id)
  return derive(self, { to_id = check.name(event_id, "to") })
end

function Specification:from_position(position)
  return derive(self, { from_position = check.integer(position, "from_position", 0) })
end

function Specification:to_position(position)
  return derive(self, { to_position = check.integer(position, "to_position", 0) })
end

function Specification:from_revision(revision)
  return derive(self, { from_revision = check.integer(revision, "from_revision", -1) })
end

function Specification:to_revision(revision)
  return derive(self, { to_revision = check.integer(revision, "to_revision", -1) })
end

--- Types and tags are one alternative of a query; matching() takes their place, and they its.
local function filter(self, step)
  check.self(self, Specification)
  local types = step.types or self.state.types
  local tags = step.tags or self.state.tags
  step.query = { { types = types, tags = tags } }
  if #(types or {}) + #(tags or {}) == 0 then step.query = NONE end
  return derive(self, step)
end

function Specification:of_type(...)
  return filter(self, { types = check.arguments("of_type", ...) })
end

function Specification:tagged(...)
  return filter(self, { tags = check.arguments("tagged", ...) })
end

function Specification:matching(query)
  return derive(self, { query = check.query(query), types = NONE, tags = NONE })
end

function Specification:with_id(ids)
  return derive(self, { ids = check.names(ids, "with_id") })
end

function Specification:older_than(time)
  return derive(self, { until_time = check.time(time, "older_than") })
end

function Specification:older_than_or_equal(time)
  return derive(self, { until_time = check.time(time, "older_than_or_equal") + 1 })
end

function Specification:newer_than(time)
  return derive(self, { from_time = check.time(time, "newer_than") + 1 })
end

function Specification:newer_than_or_equal(time)
  return derive(self, { from_time = check.time(time, "newer_than_or_equal") })
end

function Specification:between(first, before)
  return derive(self, {
    from_time = check.time(first, "first"),
    until_time = check.time(before, "before"),
  })
end

function Specification:as_at() return derive(self, { order = "as_at" }) end
function Specification:as_of() return derive(self, { order = "as_of" }) end
function Specification:resume(key) return derive(self, { resume = check.name(key, "resume") }) end

local function open(self, part)
  check.self(self, Specification)
  return self.store:cursor(self.state, part)
end

function Specification:each()
  return open(self):iterator()
end

function Specification:each_batch(size)
  size = check.integer(size or BATCH_SIZE, "size", 1)
  local cursor = open(self)
  local function next_batch()
    local events = cursor:take(size)
    if #events > 0 then return events end
  end
  return next_batch, nil, nil, cursor
end

function Specification:all()
  local cursor <close> = open(self)
  return cursor:take(math.maxinteger)
end

function Specification:map(fn)
  check.callable(fn, "fn")
  local results = {}
  for event in self:each() do results[#results + 1] = fn(event) end
  return results
end

function Specification:reduce(fn, initial)
  check.callable(fn, "fn")
  local state = initial
  for event in self:each() do state = fn(state, event) end
  return state
end

function Specification:page(size)
  size = check.integer(size, "size", 1)
  local cursor <close> = open(self)
  local events = cursor:take(size)
  if #events < size then return events end
  local key = cursor:key()
  if cursor:next() == nil then return events end
  return events, key
end

function Specification:count()
  check.self(self, Specification)
  return self.store:count(self.state)
end

function Specification:first()
  local cursor <close> = open(self, "first")
  return cursor:next()
end

function Specification:last()
  local cursor <close> = open(self, "last")
  return cursor:next()
end

--- The ids that with_id() asks for and `ids` has too.
local function narrow(self, ids)
  check.self(self, Specification)
  local wanted = self.state.ids
  if not wanted then return ids end
  local is_wanted, both = {}, {}
  for _, id in ipairs(wanted) do is_wanted[id] = true end
  for _, id in ipairs(ids) do
    if is_wanted[id] then both[#both + 1] = id end
  end
  return both
end

function Specification:event(id)
  return self:with_id(narrow(self, { check.name(id, "id") })):first()
end

function Specification:events(ids)
  return self:with_id(narrow(self, check.names(ids, "ids"))):all()
end

function Specification:__tostring()
  return ("tycho.Specification: %s"):format(self.state.stream or "all events")
end

--- The state of a specification of this very store.
local function state_of(spec, store)
  if check.self(spec, Specification).store ~= store then
    core.misuse("the specification is of another store")
  end
  return spec.state
end

return { new = new, state = state_of }
