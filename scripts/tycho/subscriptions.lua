--- The subscribers of one store handle, in this process.
---
--- For an event they are called in this order: those of its type, those of all types, then those
--- that are there for a block (of all types, of its type), each in the order of subscription.
local check = require "tycho.check"
local core = require "tycho.core"

core.own()

--- A set of subscribers: by type, and to all.
local function new_set()
  return { typed = {}, global = {} }
end

local function remove(list, entry)
  for i, present in ipairs(list) do
    if present == entry then return table.remove(list, i) end
  end
end

--- Adds a handler; returns what takes it out again, and only it.
local function add(set, handler, types)
  local entry, lists = { handler = handler }, {}
  if not types then lists[1] = set.global end
  for _, name in ipairs(types or {}) do
    set.typed[name] = set.typed[name] or {}
    lists[#lists + 1] = set.typed[name]
  end
  for _, list in ipairs(lists) do list[#list + 1] = entry end
  return function()
    for _, list in ipairs(lists) do remove(list, entry) end
  end
end

local function check_types(types)
  local names, seen = {}, {}
  for _, name in ipairs(check.names(types, "types")) do
    if not seen[name] then names[#names + 1] = name end
    seen[name] = true
  end
  if #names == 0 then core.misuse("types must name at least one type; see subscribe_to_all") end
  return names
end

---@class tycho.Subscriptions
---@field private permanent table
---@field private blocks table<thread, table[]>  sets of the blocks that run, outer first
local Subscriptions = {}
Subscriptions.__index = Subscriptions

local function new()
  return setmetatable({
    permanent = new_set(),
    blocks = setmetatable({}, { __mode = "k" }),
  }, Subscriptions)
end

function Subscriptions:subscribe(handler, types)
  return add(self.permanent, check.callable(handler, "handler"), check_types(types))
end

function Subscriptions:subscribe_to_all(handler)
  return add(self.permanent, check.callable(handler, "handler"))
end

--- The handlers for a type, as they are now.
function Subscriptions:handlers(type_name)
  local found = {}
  local function take(list)
    for _, entry in ipairs(list or {}) do found[#found + 1] = entry.handler end
  end
  local blocks = self.blocks[(coroutine.running())] or {}
  take(self.permanent.typed[type_name])
  take(self.permanent.global)
  for _, set in ipairs(blocks) do take(set.global) end
  for _, set in ipairs(blocks) do take(set.typed[type_name]) end
  return found
end

--- Whether nobody could be called: events need not be read then.
function Subscriptions:is_empty()
  if self.blocks[(coroutine.running())] or #self.permanent.global > 0 then return false end
  for _, list in pairs(self.permanent.typed) do
    if #list > 0 then return false end
  end
  return true
end

--- Runs block() with a further set of subscribers.
local function run(self, set, block)
  local running, blocks = coroutine.running(), self.blocks
  local outer = blocks[running]
  local _ <close> = setmetatable({}, { __close = function() blocks[running] = outer end })
  local sets = table.move(outer or {}, 1, outer and #outer or 0, 1, {})
  sets[#sets + 1] = set
  blocks[running] = sets
  return block()
end

---@class tycho.Within
local Within = { __name = "tycho.Within" }
Within.__index = Within

function Within:subscribe(handler, types)
  check.self(self, Within)
  add(self.set, check.callable(handler, "handler"), check_types(types))
  return self
end

function Within:subscribe_to_all(handler)
  check.self(self, Within)
  add(self.set, check.callable(handler, "handler"))
  return self
end

function Within:call()
  check.self(self, Within)
  return run(self.subscriptions, self.set, self.block)
end

function Subscriptions:within(block)
  check.callable(block, "block")
  return setmetatable({ subscriptions = self, set = new_set(), block = block }, Within)
end

return { new = new }
