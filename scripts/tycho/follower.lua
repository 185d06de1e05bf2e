--- A follower: the history that a specification describes, and then what comes.
---
--- `box` is the engine's handle (bindings/lua/follower.c). It closes itself when it is collected.
local check = require "tycho.check"
local core = require "tycho.core"
local specification = require "tycho.specification"

core.own()

---@class tycho.Follower
---@field private box userdata
---@field private caught_up fun(follower: tycho.Follower)|nil
---@field private is_told boolean  caught_up was called since the last event
local Follower = { __name = "tycho.Follower" }
Follower.__index = Follower

local OPTIONS = { "read", "stream", "types", "tags", "from_position", "resume", "caught_up" }
local SLICE_MS = 500

local function box_of(self)
  return check.self(self, Follower).box
end

--- Only what comes. A link may come of an event that has been there for long, so that in a stream
--- revisions say what is new.
local function from_end(spec, store)
  local state = specification.state(spec, store)
  if not state.stream then return spec:from_position(store:head()) end
  local last = specification.new(store, { stream = state.stream, raw = state.raw }):last()
  return last and spec:from_revision(last.revision) or spec
end

local function describe(store, options)
  local spec = options.read or specification.new(store)
  specification.state(spec, store)
  if options.stream then spec = spec:stream(options.stream) end
  if options.types then spec = spec:of_type(options.types) end
  if options.tags then spec = spec:tagged(options.tags) end
  if options.from_position == "end" then
    spec = from_end(spec, store)
  elseif options.from_position then
    spec = spec:from_position(options.from_position)
  end
  if options.resume then spec = spec:resume(options.resume) end
  return specification.state(spec, store)
end

local function new(store, options)
  options = check.options(options, OPTIONS)
  if options.caught_up then check.callable(options.caught_up, "caught_up") end
  local state = describe(store, options)
  local self = { box = store:follower(state), caught_up = options.caught_up, is_told = false }
  return setmetatable(self, Follower)
end

--- Looks, and tells that all there was has been served.
local function look(self)
  local event = self.box:next(0)
  if event == nil and not self.is_told then
    self.is_told = true
    self.caught_up(self)
  end
  return event
end

--- Waits in slices, so that an interrupt from the keyboard is noticed. False: there is no more.
local function wait(self, left_ms)
  repeat
    local slice_ms = math.min(left_ms or SLICE_MS, SLICE_MS)
    local event = self.box:next(slice_ms)
    if event ~= nil then return event end
    left_ms = left_ms and left_ms - slice_ms
  until left_ms == 0
end

function Follower:next(timeout)
  check.self(self, Follower)
  local left_ms = timeout and check.seconds(timeout, "timeout")
  local event
  if self.caught_up then event = look(self) end
  if event == nil and (left_ms ~= 0 or not self.caught_up) then event = wait(self, left_ms) end
  if event then self.is_told = false end
  return event or nil
end

function Follower:each(timeout)
  check.self(self, Follower)
  if timeout then check.seconds(timeout, "timeout") end
  return function() return self:next(timeout) end
end

function Follower:is_caught_up() return box_of(self):is_caught_up() end
function Follower:key() return box_of(self):key() end
function Follower:descriptor() return box_of(self):descriptor() end
function Follower:cancel() box_of(self):cancel() end
function Follower:close() box_of(self):close() end

Follower.__close = Follower.close

function Follower:__tostring()
  return ("tycho.Follower: %p%s"):format(self.box, self.box:is_open() and "" or " (closed)")
end

return { new = new }
