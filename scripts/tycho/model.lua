--- An on-demand read model: store:model("MatchParticipants"). See tycho_scripts.h, section 7.
local check = require "tycho.check"
local core = require "tycho.core"

core.own()

---@class tycho.Model
---@field private box userdata
---@field private given_name string
local Model = { __name = "tycho.Model" }
Model.__index = Model

local GET_OPTIONS = { "fresh", "snapshot_after", "timeout" }
local LOCK_TIMEOUT = 30
local MOST_EVENTS = 1 << 31

--- Opens a model by the box of its store; nil when it is not deployed.
local function open(store, name)
  local box = store:model(check.name(name, "name"))
  return box and setmetatable({ box = box, given_name = name }, Model)
end

local function box_of(self) return check.self(self, Model).box end

--- Keys are strings; integers are taken for their digits, as keys() in a script does.
local function key_of(value, name)
  if math.type(value) == "integer" then return tostring(value) end
  return check.name(value, name)
end

function Model:name() return check.self(self, Model).given_name end

function Model:get(key, options)
  local box = box_of(self)
  key = key_of(key, "key")
  local fresh, after, timeout = false, 0, LOCK_TIMEOUT * 1000
  if options ~= nil then
    options = check.options(options, GET_OPTIONS)
    fresh = check.boolean(options.fresh, "fresh")
    after = math.min(check.integer(options.snapshot_after or 0, "snapshot_after", 0), MOST_EVENTS)
    if options.timeout then timeout = math.max(check.seconds(options.timeout, "timeout"), 1) end
  end
  local state, position, version, events, folded, linked, is_known, was_caught_up, stored =
    box:get(key, fresh, after, timeout)
  return state, {
    position = position, version = version, events = events, folded = folded, linked = linked,
    is_known = is_known, was_caught_up = was_caught_up,
    snapshot = stored ~= "end" and stored or nil,
  }
end

function Model:status(key)
  local box = box_of(self)
  if key == nil then return box:count() end
  return box:look(key_of(key, "key"))
end

local function progress_of(options, names)
  options = check.options(options, names)
  return options.progress and check.callable(options.progress, "progress")
end

function Model:prepare(keys, options)
  local box = box_of(self)
  check.table(keys, "keys")
  local list = {}
  for i = 1, #keys do list[i] = key_of(keys[i], ("keys[%d]"):format(i)) end
  return box:prepare(list, progress_of(options, { "progress" }))
end

function Model:maintain(options)
  return box_of(self):maintain(nil, progress_of(options, { "progress" }))
end

function Model:forget(key) box_of(self):forget(key_of(key, "key")) end

function Model:close() check.self(self, Model).box:close() end
Model.__close = Model.close

function Model:__tostring() return "tycho.Model: " .. self.given_name end

return { open = open }
