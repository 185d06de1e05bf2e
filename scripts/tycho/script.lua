--- A script that can be run by hand: a deployed one, or one that was only compiled. What it
--- declares are fields of the object.
local check = require "tycho.check"
local core = require "tycho.core"

core.own()

---@class tycho.Script
---@field private box userdata
local Script = { __name = "tycho.Script" }
Script.__index = Script

-- What only a stored event has.
local NOT_NEW = {
  position = true, stream = true, revision = true, is_link = true, written = true,
}
local TRY_SIZE = 1000
local CHECK_OPTIONS = { "since", "limit", "failures_max", "progress" }

local function new(box)
  local self = box:about()
  self.box = box
  return setmetatable(self, Script)
end

--- The deployed script, or nil.
local function open(store, kind, name)
  local box = store:script(check.choice(kind, "kind", { "event_type", "linker", "read_model" }),
    check.name(name, "name"))
  return box and new(box)
end

local function compile(source, label)
  if label ~= nil then check.name(label, "label") end
  return new(core.script(check.string(source, "source"), label))
end

--- An event that was read, or a table of one, as what the box takes: event, stream, position.
local function taken(event)
  if type(event) == "userdata" then event = event:to_table() end
  check.table(event, "event")
  local fields = {}
  for name, value in pairs(event) do
    if not NOT_NEW[name] then fields[name] = value end
  end
  return fields, event.stream, event.position
end

function Script:expand(event)
  return check.self(self, Script).box:expand(taken(event))
end

function Script:check(event)
  local ok, result = pcall(Script.expand, self, event)
  if ok then return true end
  if type(result) ~= "table" or result.code ~= "rejected" then error(result, 0) end
  return nil, result
end

function Script:upcast(event, from)
  local box = check.self(self, Script).box
  from = check.integer(from, "from", 1)
  local fields, stream, position = taken(event)
  return box:upcast(fields, stream, position, from)
end

function Script:close()
  check.self(self, Script).box:close()
end

Script.__close = Script.close

function Script:__tostring()
  return ("tycho.Script: %s/%s version %d"):format(self.kind, self.name, self.version)
end

-- ---------------------------------------------------------------- against history

--- Where versions of the event type begin, as the box takes it; refuses what went back.
local function boundaries_of(self, history)
  local names, boundaries = { [self.name] = true }, {}
  for _, name in ipairs(self.former_names) do names[name] = true end
  for _, entry in ipairs(history) do
    local is_boundary = entry.kind == "event_type" and entry.change == "deployed"
    if is_boundary and names[entry.name] then
      if entry.version > self.version then
        check.refuse("rejected", ("%s/%s version %d: events are stored under version %d already")
          :format(self.kind, self.name, self.version, entry.version),
          ("give it version %d, or a higher one"):format(entry.version + 1))
      end
      table.move({ entry.position, entry.version, entry.name }, 1, 3, #boundaries + 1, boundaries)
    end
  end
  return boundaries
end

--- Tries an event type on the stored events of its names: upcasts and checks each.
local function check_history(self, store, history, options)
  if check.self(self, Script).kind ~= "event_type" then
    core.misuse("only event types can be checked against history, got " .. tostring(self))
  end
  options = check.options(options, CHECK_OPTIONS)
  local failures_max = check.integer(options.failures_max or 10, "failures_max", 0)
  local progress = options.progress
  if progress ~= nil then check.callable(progress, "progress") end
  local limit = options.limit and check.integer(options.limit, "limit", 1)
  local boundaries = boundaries_of(self, history)
  local types = table.move(self.former_names, 1, #self.former_names, 2, { self.name })
  local state = {
    stored = true, query = { { types = types } }, limit = limit, backward = limit ~= nil or nil,
    from_time = options.since and check.time(options.since, "since"),
  }
  local total = progress and store:count(state)
  local found = { events = 0, refused = 0, failures = {} }
  local cursor <close> = store:cursor(state)
  local is_over, err
  repeat
    local tried
    tried, is_over, err = self.box:try(cursor, boundaries, TRY_SIZE)
    found.events = found.events + tried
    if err then
      found.refused = found.refused + 1
      if found.refused <= failures_max then found.failures[found.refused] = err end
    end
    if progress then progress(found.events, total) end
  until is_over
  return found
end

return { open = open, compile = compile, check_history = check_history }
