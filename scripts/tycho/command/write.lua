--- The verbs that change streams: `publish`, `link`, `unlink`, `delete`, `route`.
local event_line = require "tycho.command.event_line"
local failure = require "tycho.command.failure"
local input = require "tycho.command.input"
local shared = require "tycho.command.shared"
local terminal = require "tycho.terminal"
local tycho = require "tycho"

local function expected_option(command)
  command:option("--expected-version",
    "Write only if the stream is there now: none, exists, any, or its last revision")
    :argname "VERSION":default "any":convert(shared.expected_version)
end

local publish = { name = "publish" }

function publish.define(command)
  command:summary "Write an event to a stream"
  command:description [[
Writes an event: tycho publish order-1 Paid '{"cents": 500}'. Without a type it reads events as
lines of JSON from standard input ({"type": ..., "data": ...}) and writes them all or none.]]
  command:argument("stream", "Stream or route"):argname "STREAM"
  command:argument("type", "Kind of event"):args "?"
  command:argument("data", "JSON; - reads it from standard input; default {}"):args "?"
  expected_option(command)
  command:option("--id", "Id; default: a new one"):argname "ID"
  command:option("--tag", "A tag (may be given several times)"):count "*":argname "TAG"
  command:option("--metadata", "JSON object"):argname "JSON":convert(shared.json("--metadata"))
  command:option("--time", "When it was recorded; default: now"):argname "TIME"
    :convert(shared.time("--time"))
  command:option("--valid-at", "Since when it holds; default: the time"):argname "TIME"
    :convert(shared.time("--valid-at"))
end

local function one_event(arguments)
  local text = arguments.data or "{}"
  if text == "-" then text = io.stdin:read("a") end
  local data, message = shared.json("the data")(text)
  if not data then
    failure.usage(message, [[quote it for the shell: '{"cents": 500}']])
  end
  local metadata = arguments.metadata and arguments.metadata.value
  if metadata ~= nil and (type(metadata) ~= "table" or tycho.is_array(metadata)) then
    failure.usage("--metadata is not a JSON object", [[such as: --metadata '{"user": "ada"}']])
  end
  return {
    {
      type = arguments.type,
      data = data.value,
      metadata = metadata,
      id = arguments.id,
      tags = #arguments.tag > 0 and arguments.tag or nil,
      time = arguments.time,
      valid_time = arguments.valid_at,
    },
  }
end

-- Events of standard input; a line may name no other stream than the one that is written.
local function events_of_input(arguments)
  for _, name in ipairs { "id", "metadata", "time", "valid_at" } do
    if arguments[name] then
      failure.usage(("--%s needs a type: the lines have their own"):format(name:gsub("_", "-")))
    end
  end
  local file <close> = input.open("-")
  local events = {}
  for line in function() return file:line() end do
    if line:find("%S") then
      local place = "standard input:" .. file.line_number
      local ok, object = pcall(tycho.json.decode, line)
      if not ok then
        failure.raise(1, ("%s: not JSON: %s"):format(place, failure.text(object)),
          "each line must be one whole JSON object; nothing was written")
      end
      local event, message, advice = event_line.to_event(object)
      if not event then failure.raise(1, ("%s: %s"):format(place, message), advice) end
      if event.stream ~= nil and event.stream ~= arguments.stream then
        failure.raise(1, ("%s: the line is of stream %q"):format(place, event.stream or "null"),
          "to write to the streams that lines name: tycho import")
      end
      event.stream, event.overwritten = nil, nil
      if #arguments.tag > 0 then event.tags = event.tags or arguments.tag end
      events[#events + 1] = event
    end
  end
  return events
end

local written_columns = {
  { key = "position", right = true },
  { key = "stream" },
  { key = "revision", right = true },
  { key = "event_type" },
  { key = "event_id" },
}

function publish.run(arguments, output)
  local events = arguments.type and one_event(arguments) or events_of_input(arguments)
  if #events == 0 then
    failure.usage("there is no event on standard input", "give a type, or lines of JSON")
  end
  local store <close> = shared.open(arguments, "create")
  local receipt = store:publish(arguments.stream, events,
    { expected_version = arguments.expected_version })
  local result = receipt.results[1]
  local rows = output:rows(written_columns)
  for index, event in ipairs(events) do
    rows:add {
      event_id = receipt.event_ids[index],
      event_type = event.type,
      stream = arguments.stream,
      position = result.first_position + index - 1,
      revision = result.first_revision + index - 1,
    }
  end
  rows:flush()
end

local link = { name = "link" }

function link.define(command)
  command:summary "Put events into a further stream"
  command:argument("stream", "Stream or route"):argname "STREAM"
  command:argument("id", "Ids of events"):args "+":argname "ID"
  command:flag("--skip-duplicates", "Leave out events that the stream has already")
  expected_option(command)
end

-- "1 event linked into x", or with --json the object of the host protocol.
local function say_count(output, count, what, stream)
  if output.json then return output:object { count = count, stream = stream } end
  output:write(("%s %s %s\n"):format(shared.counted(count, "event"), what, stream))
end

function link.run(arguments, output)
  local store <close> = shared.open(arguments, "existing")
  local receipt = store:link(arguments.stream, arguments.id, {
    expected_version = arguments.expected_version,
    on_duplicate = arguments.skip_duplicates and "skip" or "error",
  })
  say_count(output, receipt.results[1].count, "linked into", arguments.stream)
end

local unlink = { name = "unlink" }

function unlink.define(command)
  command:summary "Take events out of a stream; they stay in the log"
  command:argument("stream", "Stream or route"):argname "STREAM"
  command:argument("id", "Ids of events"):args "+":argname "ID"
end

function unlink.run(arguments, output)
  local store <close> = shared.open(arguments, "existing")
  local receipt = store:unlink(arguments.stream, arguments.id)
  say_count(output, receipt.results[1].count, "taken out of", arguments.stream)
end

local delete = { name = "delete" }

function delete.define(command)
  command:summary "Remove a stream; its events stay in the log"
  command:description [[
Removes a stream: its entries, links among them, and its metadata, never the events. On a
terminal it asks first.]]
  command:argument("stream", "The stream"):argname "STREAM"
  command:flag("--raw", "Take the name as the stream's own, even where a route has it")
  command:flag("-y --yes", "Do not ask")
end

function delete.run(arguments, output)
  local store <close> = shared.open(arguments, "existing")
  local stream = arguments.stream
  local leads_to = store:route(stream)
  if leads_to and not arguments.raw then
    failure.raise(1, ("%q is a route: it leads to %q"):format(stream, leads_to),
      "name the stream itself; the own entries of the old name go with --raw")
  end
  if stream == "$scripts" and #store:scripts() > 0 then
    failure.raise(1, "the stream $scripts is the history of deployed scripts",
      "take scripts away with: tycho deploy --remove KIND/NAME")
  end
  local count = store:read():stream(stream):raw():count()
  if count == 0 and (leads_to or store:stream_metadata(stream) == nil) then
    failure.raise(4, ("there is no stream %q"):format(stream), "see: tycho streams")
  end
  local entries = count == 1 and "1 entry" or output.count(count) .. " entries"
  if not arguments.yes and terminal.is_terminal(0) then
    io.stderr:write(("Remove the stream %s with %s? [y/N] ")
      :format(stream, entries))
    local answer = io.stdin:read("l") or ""
    if not answer:lower():find("^%s*y") then failure.raise(1, "nothing was removed") end
  end
  store:delete_stream(stream, { raw = true })
  if output.json then return output:object { count = count, stream = stream } end
  output:write(("%s removed, with %s\n"):format(stream, entries))
end

local route = { name = "route" }

function route.define(command)
  command:summary "List, set and remove routes: names that lead to streams"
  command:command_target "action"
  command:require_command(false)
  command:command("list", "Show the routes (default)")
  local set = command:command("set", "Let a name lead to a stream")
  set:argument("route", "The name"):argname "ROUTE"
  set:argument("stream", "Where it leads"):argname "STREAM"
  set:option("--expected", "Only if it leads to this stream now"):argname "STREAM"
  set:flag("--closed", "Lead readers on, and refuse writers")
  command:command("remove", "Remove a route; its stream stays")
    :argument("route", "The name"):argname "ROUTE"
end

local function list_routes(arguments, output)
  local store <close> = shared.open(arguments, "read_only")
  local rows = output:rows {
    { key = "route" },
    { key = "stream" },
    { key = "closed", text = function(closed) return closed and "closed" or "open" end },
  }
  for name, stream, closed in store:routes() do
    rows:add { route = name, stream = stream, closed = closed }
  end
  rows:flush()
end

function route.run(arguments, output)
  if arguments.action == "set" then
    local store <close> = shared.open(arguments, "create")
    local receipt = store:set_route(arguments.route, arguments.stream,
      { expected = arguments.expected, closed = arguments.closed })
    if output.json then
      output:object {
        route = arguments.route, stream = arguments.stream,
        previous = receipt.results[1].previous or tycho.null, closed = arguments.closed,
      }
    else
      output:write(("%s leads to %s%s\n"):format(arguments.route, arguments.stream,
        arguments.closed and ", and refuses writers" or ""))
    end
  elseif arguments.action == "remove" then
    local store <close> = shared.open(arguments, "existing")
    local previous = store:route(arguments.route)
    if not previous then
      failure.raise(4, ("there is no route %q"):format(arguments.route), "see: tycho route list")
    end
    store:set_route(arguments.route, nil)
    if output.json then
      output:object { route = arguments.route, stream = tycho.null, previous = previous }
    else
      output:write(("%s is no route any more\n"):format(arguments.route))
    end
  else
    list_routes(arguments, output)
  end
end

return { publish, link, unlink, delete, route }
