--- The pattern of the article "Rename stream in Rails Event Store with zero downtime" (Arkency,
--- 2020): a publisher that asks a pointer for the current stream, and a catch-up that links the
--- source into the target in small chunks and moves the pointer, both under one lock.
---
---   local switch = require("tycho.stream_switch").switcher { store = store,
---     source = "order-42", target = "item-42" }
---   switch:publish(event)                                    -- wherever events are published
---
---   local processed, is_switched                             -- in a process or thread of its own
---   repeat processed, is_switched = switch:catchup(processed) until is_switched
---
--- The lock closes both races: nothing is published between the look that finds the source at its
--- end and the move of the pointer, and no publisher writes to where the pointer led before. That
--- holds for those who publish through a switcher with the same lock and pointer, and for nobody
--- else: store:rename needs neither, and everybody follows.
---
--- A catch-up that was killed begins anew with catchup(nil): what is linked already is left out.
local check = require "tycho.check"
local core = require "tycho.core"

core.own()

local CHUNK = 5
local OPTIONS = { "store", "source", "target", "lock", "pointer", "chunk" }

---@class tycho.Switcher
---@field private store tycho.Store
---@field private guard fun(fn: function): any ...   calls a function under the lock
---@field private pointer table   get() and set(stream)
local Switcher = { __name = "tycho.Switcher" }
Switcher.__index = Switcher

--- A pointer that is a route of the store.
local function route_pointer(store, route, source)
  return {
    get = function() return store:route(route) or source end,
    set = function(_, stream) store:set_route(route, stream) end,
  }
end

local function check_methods(object, name, methods)
  for _, method in ipairs(methods) do
    local kind = type(object)
    local found = (kind == "table" or kind == "userdata") and object[method]
    if type(found) ~= "function" then
      core.misuse(("%s must have the method %s"):format(name, method))
    end
  end
  return object
end

--- `lock` is the name of a lock of the store, or an object with with_lock(self, fn). `pointer` is
--- the name of a route, or an object with get(self) and set(self, stream): a file, shared memory.
---@param options { store: tycho.Store, source: string, target: string, lock?: string|table,
---  pointer?: string|table, chunk?: integer }
---@return tycho.Switcher
local function new(options)
  check.options(check.table(options, "options"), OPTIONS)
  local store = check.table(options.store, "store")
  local source = check.name(options.source, "source")
  local target = check.name(options.target, "target")
  if source == target then core.misuse("the target is the source") end
  local lock = options.lock or "tycho.switcher:" .. core.hash(source)
  local pointer = options.pointer or source .. ".current"
  if type(pointer) == "string" then pointer = route_pointer(store, pointer, source) end
  local guard
  if type(lock) == "string" then
    guard = function(fn) return store:with_lock(lock, fn) end
  else
    check_methods(lock, "lock", { "with_lock" })
    guard = function(fn) return lock:with_lock(fn) end
  end
  return setmetatable({
    store = store, source = source, target = target, guard = guard,
    pointer = check_methods(pointer, "pointer", { "get", "set" }),
    chunk = check.integer(options.chunk or CHUNK, "chunk", 1),
  }, Switcher)
end

--- Publishes to the current stream.
---@param event tycho.NewEvent|tycho.NewEvent[]
---@param options? tycho.WriteOptions
---@return tycho.Receipt
function Switcher:publish(event, options)
  check.self(self, Switcher)
  return self.guard(function()
    return self.store:publish(self.pointer:get(), event, options)
  end)
end

--- Links one event of the source into the target, once.
---@param event tycho.Event
function Switcher:link(event)
  check.self(self, Switcher)
  self.store:link(self.target, event.id, { on_duplicate = "skip" })
end

--- One round: links the next chunk behind the event with the id `processed` (nil: from the first
--- one on), or moves the pointer when there is none. Gives the id of the last event that is linked,
--- and whether the switch is done.
---@param processed? string
---@return string? processed, boolean is_switched
function Switcher:catchup(processed)
  check.self(self, Switcher)
  local events = self.guard(function()
    local spec = self.store:read():stream(self.source):limit(self.chunk)
    if processed then spec = spec:from(processed) end
    local found = spec:all()
    if #found == 0 then self.pointer:set(self.target) end
    return found
  end)
  for _, event in ipairs(events) do
    self:link(event)
    processed = event.id
  end
  return processed, #events == 0
end

return { new = new }
