--- The verb `export`: the whole store as lines that `tycho import` reads.
---
--- Events go out in the order of the log, up to its head when the command starts. An entry of an
--- event in a further stream is a line {"link": STREAM, "event_id": ID}, placed so that each stream
--- gets its entries in its own order: before the home event that has a higher revision. Routes and
--- metadata of streams come last. An event that is no longer in its stream goes to the log alone
--- ("stream": null), and revisions that are unused (unlinked, truncated) are not kept.
---
--- Events go out as they are stored. Deployed scripts are events, too, of the stream "$scripts",
--- which say under which version of its type the data of an event was written. One that was
--- overwritten since goes out as it is read, "overwritten": true, to be overwritten again. Where
--- no script can read it, it goes out as it is stored, with a warning.
local event_line = require "tycho.command.event_line"
local progress = require "tycho.command.progress"
local shared = require "tycho.command.shared"
local tycho = require "tycho"

local verb = { name = "export" }

function verb.define(command)
  command:summary "Write all events as NDJSON, for import"
  command:description [[
Writes the events as lines of JSON, in the order of the log, and with them links, routes and
metadata of streams: `tycho export | tycho -s OTHER import` makes the same store.]]
  command:argument("stream", "Only the events of this stream, without links and routes"):args "?"
  command:option("--after-position", "Only events behind this position"):argname "POSITION"
    :convert(shared.integer("--after-position", 0))
end

---@class tycho.command.Links
---@field due table<string, integer>   for each stream that has links to come, where the next one is
local Links = {}
Links.__index = Links

-- Finds the streams that have links: one pass over their entries, only if there are any.
local function find_links(store, output, head, link_count)
  local due = {}
  if link_count > 0 then
    for stream in store:streams() do
      for event in store:read():raw():stored():stream(stream):each() do
        if event.is_link then
          due[stream] = event.revision
          break
        end
      end
    end
  end
  return setmetatable({ store = store, output = output, due = due, head = head }, Links)
end

-- Writes the links of a stream from the one that is due on, up to its next home event.
function Links:write(stream)
  local first = self.due[stream]
  self.due[stream] = nil
  local is_at_home = false
  local read = self.store:read():raw():stored():stream(stream):from_revision(first - 1)
  for event in read:each() do
    if not event.is_link then
      is_at_home = true
    elseif is_at_home then
      self.due[stream] = event.revision
      return
    elseif event.position <= self.head then
      self.output:object { link = stream, event_id = event.id }
    end
  end
end

-- To be called before a home event is written.
function Links:before(event)
  local stream = event.stream
  local due = stream and self.due[stream]
  if due and due < event.revision then self:write(stream) end
end

function Links:rest()
  while next(self.due) do
    local names = {}
    for stream in pairs(self.due) do names[#names + 1] = stream end
    table.sort(names)
    for _, stream in ipairs(names) do self:write(stream) end
  end
end

-- Whether the event is still in the stream that it was appended to. An event names that stream for
-- ever, also after it was unlinked or the stream was deleted.
local function is_at_home(store, event)
  if not event.stream then return false end
  local entry = store:read():raw():stored():stream(event.stream):with_id(event.id):first()
  return entry ~= nil and not entry.is_link
end

-- The line of an event that was overwritten; nil, and a warning, when no script can read it.
local function overwritten_line(store, event)
  local ok, read = pcall(store.event, store, event.id)
  if not ok and read.code ~= "rejected" then error(read, 0) end
  if ok then
    local object = event_line.from_event(read)
    object.overwritten = true
    return object
  end
  shared.warn(("the event %s at position %d was overwritten, and goes out as it is stored: %s")
    :format(event.id, event.position, read.message),
    "imported, it counts as written when it was appended; deploy a version that can read it")
end

local function write_directory(store, output)
  for stream in store:streams() do
    local metadata = store:stream_metadata(stream, { raw = true })
    if metadata ~= nil then output:object { stream = stream, stream_metadata = metadata } end
  end
  for route, stream, closed in store:routes() do
    output:object { route = route, stream = stream, closed = closed }
  end
end

function verb.run(arguments, output)
  local store <close> = shared.open(arguments, "read_only")
  local head = store:head()
  local read = store:read():stored():to_position(head + 1)
  local is_whole = not arguments.stream and not arguments.after_position
  if arguments.stream then read = read:stream(arguments.stream) end
  if arguments.after_position then read = read:from_position(arguments.after_position) end
  local stats = store:stats()
  local all_at_home = stats.entries - stats.links == stats.events
  local links = is_whole and find_links(store, output, head, stats.links)
  local shown, done = progress.new("events"), 0
  for event in read:each() do
    local object = event.written and overwritten_line(store, event) or event_line.from_event(event)
    if is_whole and not all_at_home and not is_at_home(store, event) then
      object.stream, object.revision = tycho.null, tycho.null
    elseif links then
      links:before(event)
    end
    output:object(object)
    done = done + 1
    if done % 1000 == 0 then shown:update(done, event.position / head) end
  end
  if links then
    links:rest()
    write_directory(store, output)
  end
  output:flush()
  shown:finish()
end

return verb
