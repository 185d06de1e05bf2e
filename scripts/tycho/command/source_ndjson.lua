--- Events from lines of JSON: what `tycho export` writes, and what other programs do.
---
--- A line is an event (event_line.lua), or one of what only an export has:
---
---   {"link": "resource-7", "event_id": "..."}     an entry of an event in a further stream
---   {"route": "orders", "stream": "orders-2"}     a route; with "closed": true, a closed one
---   {"stream": "orders", "stream_metadata": ...}  metadata of a stream
---
--- An event without an id gets one made of its line, and of how many equal lines came before it in
--- the file (`occurrence.lua`): the same line of the same or of an overlapping file is the same
--- event, two equal lines of one file are two.
local event_line = require "tycho.command.event_line"
local failure = require "tycho.command.failure"
local occurrence = require "tycho.command.occurrence"
local tycho = require "tycho"

local decode, to_event = tycho.json.decode, event_line.to_event

local function is_name(value)
  return type(value) == "string" and value ~= ""
end

-- The operation of a line that is no event; nil, message when it is not right.
local function operation(object)
  if object.link ~= nil then
    if not is_name(object.link) or not is_name(object.event_id) then
      return nil, '"link" needs a stream and an "event_id"'
    end
    return { link = object.link, id = object.event_id }
  elseif object.route ~= nil then
    if not is_name(object.route) or not is_name(object.stream) then
      return nil, '"route" needs two names: {"route": ..., "stream": ...}'
    end
    if object.closed ~= nil and type(object.closed) ~= "boolean" then
      return nil, '"closed" must be true or false'
    end
    return { route = object.route, stream = object.stream, closed = object.closed }
  elseif not is_name(object.stream) then
    return nil, '"stream_metadata" needs a "stream"'
  end
  return { metadata_of = object.stream, metadata = object.stream_metadata }
end

local function is_operation(object)
  return type(object) == "table"
    and (object.link ~= nil or object.route ~= nil or object.stream_metadata ~= nil)
end

--- The parser of lines for `line_source.lua`.
---@param options { stream?: string }   the stream of events that name none
local function parser(options)
  local default_stream = options.stream
  local seed = "ndjson\0" .. (default_stream or "")
  local id_of

  local self = {}

  --- A new file begins.
  function self.start()
    id_of = occurrence.new(seed)
  end

  --- The item of a line; or nil, message, advice.
  function self.item(line)
    local is_json, object = pcall(decode, line)
    if not is_json then
      return nil, "not JSON: " .. failure.text(object), "each line must be one whole JSON object"
    end
    local event, message, advice = to_event(object)
    if not event then
      if is_operation(object) then return operation(object) end
      return nil, message, advice
    end
    local stream = event.stream
    if stream == nil then
      stream = default_stream
      if not stream then
        return nil, 'there is no "stream"', "put it into the line, or pass --stream NAME"
      end
    end
    local overwritten = event.overwritten
    event.stream, event.overwritten = nil, nil
    if not event.id then event.id = id_of(line, event.time) end
    return { event = event, stream = stream or nil, overwritten = overwritten, at = 0 }
  end

  return self
end

return parser
