--- Events as the JSON objects that the command prints and reads: the names of the host protocol.
---
---   {"event_id": "...", "event_type": "Paid", "data": {...}, "metadata": {...},
---    "timestamp": 1317422324546000, "valid_at": 1317422324546000,
---    "position": 1, "stream": "order-1", "revision": 0}
---
--- and, where an event has them, "tags", "correlation_id", "causation_id", "content_type", and
--- "is_link". Times are microseconds since the epoch.
local tycho = require "tycho"

local event_line = {}

--- The object for an event that was read.
---@param event tycho.Event
---@return table
function event_line.from_event(event)
  local tags = event.tags
  return {
    event_id = event.id,
    event_type = event.type,
    data = event.data,
    metadata = event.metadata,
    timestamp = event.time,
    valid_at = event.valid_time,
    position = event.position,
    stream = event.stream or tycho.null,
    revision = event.revision or tycho.null,
    tags = tags and #tags > 0 and tycho.array(tags) or nil,
    correlation_id = event.correlation_id,
    causation_id = event.causation_id,
    content_type = event.content_type,
    is_link = event.is_link or nil,
  }
end

--- Time as a person writes it: RFC 3339, a date alone (midnight UTC), or microseconds.
---@param value string|number
---@return integer? time, string? message
function event_line.time(value)
  if type(value) == "number" then
    local time = math.tointeger(value)
    if time then return time end
    return nil, ("%s is not a whole number of microseconds"):format(value)
  elseif type(value) ~= "string" then
    return nil, "it is neither RFC 3339 text nor a number of microseconds"
  end
  local time = tycho.parse_time(value)
  if time then return time end
  if value:find("^%-?%d+$") then time = math.tointeger(tonumber(value)) end
  if not time and value:find("^%d%d%d%d%-%d%d%-%d%d$") then
    time = tycho.parse_time(value .. "T00:00:00Z")
  end
  if time then return time end
  return nil, ("%q is not a time such as 2011-09-30T22:38:44.546Z"):format(value)
end

local null, parse_time = tycho.null, tycho.parse_time

-- The fields that a line may have, and the field of an event that each is.
local fields = {
  event_type = "type", timestamp = "time", valid_at = "valid_time", event_id = "id",
  -- Facts of the store that it was read from, which do not travel.
  position = false, revision = false, is_link = false,
}
for _, name in ipairs {
  "type", "time", "valid_time", "id", "stream", "data", "metadata", "tags", "correlation_id",
  "causation_id", "content_type", "overwritten",
} do
  fields[name] = name
end

local function bad(field, value, wanted)
  local kind = type(value)
  local shown = (kind == "string" or kind == "number") and (" %q"):format(value) or ""
  return ('"%s" is %s%s, not %s'):format(field, kind, #shown < 80 and shown or "", wanted)
end

-- Gives all fields their name in an event, and takes out those that are null, which means the same
-- as not to be there, except for data. nil, message, advice.
local function rename(object)
  local event = {}
  for name, value in next, object do
    local field = fields[name]
    if field == nil then
      return nil, ('unknown field "%s"'):format(name),
        "leave it out, or put it into data or metadata"
    elseif field and event[field] ~= nil then
      return nil, ('"%s" is given twice under two names'):format(field), "leave one of them out"
    end
    if field and (value ~= null or field == "data") then event[field] = value end
  end
  return event
end

local function check_tags(tags)
  if type(tags) ~= "table" then return bad("tags", tags, "an array of strings") end
  for key, tag in pairs(tags) do
    if math.type(key) ~= "integer" then return bad("tags", tags, "an array of strings") end
    if type(tag) ~= "string" then return bad("tags", tag, "a string") end
  end
end

-- The message that says what is wrong with a field that few lines have; nil when nothing is.
local checks = { tags = check_tags }

for _, name in ipairs { "correlation_id", "causation_id", "content_type" } do
  checks[name] = function(value)
    if type(value) ~= "string" then return bad(name, value, "a string") end
  end
end

function checks.metadata(value)
  if type(value) ~= "table" or tycho.is_array(value) then
    return bad("metadata", value, "an object")
  end
end

function checks.overwritten(value)
  if type(value) ~= "boolean" then return bad("overwritten", value, "true or false") end
end

function checks.valid_time(value, event)
  local message
  event.valid_time, message = event_line.time(value)
  return message and '"valid_at": ' .. message
end

-- Gives an object with fields that few lines have the form of one with plain fields. nil, message,
-- advice when it is no event.
local function normalise(object)
  local event, message, advice = rename(object)
  if not event then return nil, message, advice end
  if object.stream == null then event.stream = false end
  for name, value in next, event do
    local check = checks[name]
    message = check and check(value, event)
    if message then return nil, message end
  end
  local data = event.data
  if event.content_type and type(data) == "userdata" and data ~= null then
    event.data = data.bytes -- what was written as {"base64": ...}
  end
  return event
end

-- Fields whose values are checked below; most lines have no others.
local plain = { stream = true, type = true, time = true, data = true, id = true }

--- Turns a decoded line into the event that it describes. Its stream stays in it: a name; false for
--- `"stream": null`, the log alone; or nil when the line does not say. nil, message, advice when
--- the line is no event.
---@param object any
---@return tycho.NewEvent? event, string? message, string? advice
function event_line.to_event(object)
  if type(object) ~= "table" or object[1] ~= nil then
    return nil, "the line is not a JSON object", 'write {"stream": ..., "type": ..., "data": {...}}'
  end
  local event = object
  for name, value in next, object do
    if not plain[name] or value == null then
      local message, advice
      event, message, advice = normalise(object)
      if not event then return nil, message, advice end
      break
    end
  end
  local kind, id, time, stream = event.type, event.id, event.time, event.stream
  if type(kind) ~= "string" then
    if kind ~= nil then return nil, bad("type", kind, "a string") end
    return nil, 'there is no "type"', 'each line needs "type", the kind of event'
  elseif id and type(id) ~= "string" then
    return nil, bad("id", id, "a string")
  elseif stream and type(stream) ~= "string" then
    return nil, bad("stream", stream, "a string")
  elseif time ~= nil then
    local parsed = type(time) == "string" and parse_time(time)
    if not parsed then
      local message
      parsed, message = event_line.time(time)
      if message then return nil, '"time": ' .. message end
    end
    event.time = parsed
  end
  return event
end

return event_line
