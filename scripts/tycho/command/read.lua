--- The verbs `read` (events of a stream or of the log, also as they come) and `event` (one event).
local event_line = require "tycho.command.event_line"
local failure = require "tycho.command.failure"
local shared = require "tycho.command.shared"
local terminal = require "tycho.terminal"
local tycho = require "tycho"

local read = { name = "read" }

function read.define(command)
  command:summary "Show events of a stream, or of the log"
  command:argument("stream", "Stream or route; none: the log"):args "?"
  command:flag("-b --backward", "Last ones first")
  command:option("-n --limit", "At most so many"):argname "COUNT"
    :convert(shared.integer("--limit", 1))
  command:option("-t --type", "Only of this type (several: any of them)"):count "*":argname "TYPE"
  command:option("--tag", "Only with this tag (several: all of them)"):count "*":argname "TAG"
  command:option("--from", "Behind the event with this id"):argname "ID"
  command:option("--to", "Before the event with this id"):argname "ID"
  command:option("--after-position", "Behind this position (backward: before it)")
    :argname "POSITION":convert(shared.integer("--after-position", 0))
  command:mutex(
    command:flag("--as-at", "In the order of their times"),
    command:flag("--as-of", "In the order of the times since when they hold"))
  command:option("--since", "From this time on (RFC 3339, a date, or microseconds)")
    :argname "TIME":convert(shared.time("--since"))
  command:option("--until", "Before this time"):argname "TIME":convert(shared.time("--until"))
  command:flag("--raw", "Take the name as the stream's own, even where a route has it")
  command:flag("-f --follow", "Go on with events as they are written; end with Ctrl-C")
  command:option("--timeout", "With --follow: end when nothing came for so long")
    :argname "SECONDS":convert(shared.seconds("--timeout"))
end

local function data_text(data)
  return tycho.json.encode(data)
end

local function time_text(time, _, output)
  return output:time(time)
end

local function columns(stream)
  local list = {
    { key = "position", right = true },
    { key = "timestamp", text = time_text },
    { key = "revision", right = true },
    { key = "event_type" },
    { key = "data", text = data_text },
  }
  if not stream then list[3] = { key = "stream" } end
  return list
end

local function check_follow(arguments)
  if not arguments.follow then
    if arguments.timeout then
      failure.usage("--timeout is for --follow: other reads do not wait", "add --follow")
    end
    return
  end
  for _, name in ipairs { "backward", "as_at", "as_of", "to", "until" } do
    if arguments[name] then
      failure.usage(("--follow goes forward without end: --%s does not fit")
        :format(name:gsub("_", "-")), "leave one of them out")
    end
  end
end

-- The read that the arguments describe.
local function specification(store, arguments)
  local spec = store:read()
  if arguments.stream then spec = spec:stream(arguments.stream) end
  if arguments.raw then spec = spec:raw() end
  if #arguments.type > 0 then spec = spec:of_type(arguments.type) end
  if #arguments.tag > 0 then spec = spec:tagged(arguments.tag) end
  if arguments.backward then spec = spec:backward() end
  if arguments.as_at then spec = spec:as_at() end
  if arguments.as_of then spec = spec:as_of() end
  if arguments.since then spec = spec:newer_than_or_equal(arguments.since) end
  if arguments["until"] then spec = spec:older_than(arguments["until"]) end
  if arguments.from then spec = spec:from(arguments.from) end
  if arguments.to then spec = spec:to(arguments.to) end
  if arguments.after_position then spec = spec:from_position(arguments.after_position) end
  return spec
end

-- What is held back for its columns is shown each time nothing more is there.
local function follow(store, spec, arguments, rows)
  local is_told = not terminal.is_terminal(2)
  local function caught_up()
    rows:flush()
    if is_told then return end
    is_told = true
    io.stderr:write("tycho: this is all there is; what comes is shown as it is written "
      .. "(Ctrl-C ends it)\n")
  end
  local follower <close> = store:follow { read = spec, caught_up = caught_up }
  for event in follower:each(arguments.timeout) do rows:add(event_line.from_event(event)) end
end

function read.run(arguments, output)
  check_follow(arguments)
  if arguments.raw and not arguments.stream then
    failure.usage("--raw needs a stream", "name the stream whose own entries are wanted")
  end
  local store <close> = shared.open(arguments, "read_only")
  local rows = output:rows(columns(arguments.stream))
  local spec = specification(store, arguments)
  if arguments.limit then spec = spec:limit(arguments.limit) end
  if arguments.follow then
    follow(store, spec, arguments, rows)
  else
    for event in spec:each() do rows:add(event_line.from_event(event)) end
  end
  rows:flush()
end

local event = { name = "event" }

function event.define(command)
  command:summary "Show one event, and the streams it is in"
  command:argument("id", "Its id"):argname "ID"
end

function event.run(arguments, output)
  local store <close> = shared.open(arguments, "read_only")
  local found = store:event(arguments.id)
  if not found then
    failure.raise(4, ("no event has the id %q"):format(arguments.id),
      "look for it with: tycho read")
  end
  local object = event_line.from_event(found)
  object.streams = tycho.array(store:streams_of(arguments.id))
  output:facts(object, {
    "event_id", "event_type", "position", "stream", "revision", "timestamp", "valid_at", "tags",
    "correlation_id", "causation_id", "content_type", "streams", "metadata", "data",
  }, {
    timestamp = function(time) return output:time(time) end,
    valid_at = function(time) return output:time(time) end,
    tags = function(tags) return table.concat(tags, " ") end,
    streams = function(streams) return table.concat(streams, " ") end,
    metadata = data_text,
    data = data_text,
  })
end

return { read, event }
