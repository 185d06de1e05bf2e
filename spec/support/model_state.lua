--- What a store knows, as plain tables, and what each condition and operation means for it.
---
---   sequence      batches committed
---   events        position -> event; an event is never changed, only replaced (overwrite). Its
---                 stream and revision say where it was written, whatever became of that entry;
---                 `written`, where the log ended when it was overwritten under scripts
---   position_of   id -> position
---   streams       name -> { next = revision to give next, metadata = any, entries = list, born =
---                 what tells it from others that had its name }
---                 an entry is { revision =, position =, is_link =, serial = }, oldest first
---   serials       entries ever made: the link order of `streams_of`
---   routes        name -> stream or route
---   closed        name -> true, of routes that refuse writers
---   tables        name -> key -> { value =, version = }
---   checkpoints   name -> position
---   locks         name -> token, of those that are held: not copied, as no batch changes them
---   scripts, deployed, script_count   see model_scripts.lua
---
--- Conditions and operations are applied to a copy that replaces the state when all went well, so
--- a refused batch has changed nothing by construction.

local rules = require "support.model_rules"

local state = {}

function state.empty()
  return {
    sequence = 0, serials = 0, events = {}, position_of = {}, streams = {}, routes = {},
    closed = {}, tables = {}, checkpoints = {}, locks = {}, scripts = {}, deployed = {},
    script_count = 0, births = 0,
  }
end

local function shallow(t)
  local result = {}
  for key, value in pairs(t) do result[key] = value end
  return result
end

function state.copy(s)
  local result = shallow(s)
  for _, name in ipairs { "events", "position_of", "routes", "closed", "checkpoints", "scripts",
    "deployed" } do
    result[name] = shallow(s[name])
  end
  result.streams, result.tables = {}, {}
  for name, stream in pairs(s.streams) do
    result.streams[name] = shallow(stream)
    result.streams[name].entries = shallow(stream.entries)
  end
  for name, rows in pairs(s.tables) do result.tables[name] = shallow(rows) end
  return result
end

--- The stream that a name leads to.
function state.resolve(s, name, raw)
  if raw then return name end
  local seen = {}
  while s.routes[name] do
    if seen[name] then rules.misuse("the routes lead in a circle") end
    seen[name], name = true, s.routes[name]
  end
  return name
end

--- The same for who writes there.
local function resolve_open(s, name, raw)
  local stream, is_closed = state.resolve(s, name, raw), false
  while name ~= stream do is_closed, name = is_closed or s.closed[name], s.routes[name] end
  if is_closed then rules.refuse("denied", "the name is closed", { stream = stream }) end
  return stream
end

function state.entries(s, name)
  local stream = s.streams[name]
  return stream and stream.entries or {}
end

--- The last revision that the stream gave, also when its entry is gone; -1 when it gave none.
function state.version(s, name)
  local stream = s.streams[name]
  return stream and stream.next - 1 or -1
end

function state.find_entry(s, name, position)
  for index, entry in ipairs(state.entries(s, name)) do
    if entry.position == position then return entry, index end
  end
end

--- The names of the streams that have the event, in link order.
function state.streams_of(s, position)
  local found = {}
  for name in pairs(s.streams) do
    local entry = state.find_entry(s, name, position)
    if entry then found[#found + 1] = { name = name, serial = entry.serial } end
  end
  table.sort(found, function(a, b) return a.serial < b.serial end)
  local names = {}
  for index, item in ipairs(found) do names[index] = item.name end
  return names
end

local function open_stream(s, name)
  if not s.streams[name] then
    s.births = s.births + 1
    s.streams[name] = { next = 0, entries = {}, born = s.births }
  end
  return s.streams[name]
end

--- Forgets a stream that nobody could tell from one that was never used.
local function forget_if_unused(s, name)
  local stream = s.streams[name]
  if stream and stream.next == 0 and stream.metadata == nil then s.streams[name] = nil end
end

local function add_entry(s, name, position, is_link)
  local stream = open_stream(s, name)
  local revision = stream.next
  s.serials, stream.next = s.serials + 1, revision + 1
  stream.entries[#stream.entries + 1] =
    { revision = revision, position = position, is_link = is_link, serial = s.serials }
  return revision
end

local function position_of(s, id)
  local position = s.position_of[id]
  if not position then
    rules.refuse("event_not_found", "no event has the id " .. id, { event_id = id })
  end
  return position
end

-- Conditions: raise when they do not hold. ----------------------------------------------------

local conditions = {}
state.conditions = conditions

function conditions.expect(s, c)
  if c.expected == "any" then return end
  local name = state.resolve(s, c.stream, c.raw)
  local actual, has_entries = state.version(s, name), #state.entries(s, name) > 0
  local holds = actual == c.expected
  if c.expected == "none" then holds = not has_entries end
  if c.expected == "exists" then holds = has_entries end
  if not holds then
    rules.refuse("wrong_expected_version",
      ("%s is at %d, not %s"):format(name, actual, c.expected), { actual = actual, stream = name })
  end
end

function conditions.expect_none(s, c)
  for position = c.after + 1, #s.events do
    if rules.query_matches(c.query, s.events[position]) then
      rules.refuse("condition_failed", "an event matches", { actual = position })
    end
  end
end

function conditions.expect_route(s, c)
  if s.routes[c.route] ~= c.stream then
    rules.refuse("condition_failed", "the route points elsewhere", {})
  end
end

function conditions.expect_row(s, c)
  local row = (s.tables[c.table] or {})[c.key]
  local actual = row and row.version or 0
  if actual ~= c.version then
    rules.refuse("condition_failed", "the row has another version", { actual = actual })
  end
end

function conditions.expect_checkpoint(s, c)
  local actual = s.checkpoints[c.name] or 0
  if actual ~= c.position then
    rules.refuse("condition_failed", "the checkpoint is elsewhere", { actual = actual })
  end
end

function conditions.expect_lock(s, c)
  local actual = s.locks[c.name] or 0
  if actual ~= c.token then
    rules.refuse("condition_failed", "the lock has another token", { actual = actual })
  end
end

-- Operations: change the state and give a result. ---------------------------------------------

local operations = {}
state.operations = operations

local function link_event(s, name, position, skip, result)
  if not state.find_entry(s, name, position) then
    local revision = add_entry(s, name, position, true)
    result.first_revision = result.first_revision or revision
    result.count = result.count + 1
  elseif not skip then
    rules.refuse("event_duplicated_in_stream", name .. " has the event already",
      { event_id = s.events[position].id, stream = name })
  end
end

function operations.append(s, o)
  local name = o.stream and resolve_open(s, o.stream, o.raw)
  local result = { count = #o.events }
  for _, event in ipairs(o.events) do
    local known = s.events[s.position_of[event.id]]
    if known then
      rules.refuse("duplicate_event", "the id " .. event.id .. " is taken",
        { event_id = event.id, stream = known.stream })
    end
    local position = #s.events + 1
    local stored = shallow(event)
    stored.position, stored.stream, stored.sequence = position, name, s.sequence
    s.events[position], s.position_of[event.id] = stored, position
    result.first_position = result.first_position or position
    if name then
      stored.revision = add_entry(s, name, position, false)
      result.first_revision = result.first_revision or stored.revision
    end
    for _, target in ipairs(event.links or {}) do
      link_event(s, target, position, true, { count = 0 })
    end
  end
  return result
end

--- Uses up the revisions of a stream below `revision`.
local function skip_to(s, name, revision)
  local stream = open_stream(s, name)
  if stream.next > revision then
    rules.refuse("wrong_expected_version", name .. " is beyond the revision",
      { actual = stream.next - 1, stream = name })
  end
  stream.next = revision
end

function operations.link(s, o)
  local name = resolve_open(s, o.stream, o.raw)
  local result = { count = 0 }
  for _, id in ipairs(o.ids) do link_event(s, name, position_of(s, id), o.skip, result) end
  return result
end

function operations.link_range(s, o)
  local source = state.resolve(s, o.source, o.raw)
  local target = resolve_open(s, o.stream, o.raw)
  local result, seen = { count = 0 }, 0
  if source == target and #state.entries(s, source) > 0 then
    rules.misuse("a stream cannot be linked into itself")
  end
  for _, entry in ipairs(state.entries(s, source)) do
    if entry.revision >= o.first and (o.last == -1 or entry.revision <= o.last) then
      seen = seen + 1
      if seen > rules.EVENTS_MAX then rules.refuse("too_large", "too many entries to link") end
      if o.keep then skip_to(s, target, entry.revision) end
      link_event(s, target, entry.position, o.skip, result)
    end
  end
  local version = state.version(s, source)
  if o.keep and o.last == -1 and version > state.version(s, target) then
    skip_to(s, target, version + 1)
  end
  return result
end

function operations.link_merged(s, o)
  local target, left, result = resolve_open(s, o.stream, o.raw), {}, { count = 0 }
  local seen = { [target] = true }
  for index, source in ipairs(o.sources) do
    local name = state.resolve(s, source[1], o.raw)
    left[index] = {}
    for _, entry in ipairs(state.entries(s, name)) do
      if seen[name] then rules.misuse("a stream is named twice in a merge") end
      if entry.revision >= source[2] then table.insert(left[index], entry.position) end
    end
    seen[name] = #state.entries(s, name) > 0
  end
  for _ = 1, math.huge do
    local lowest
    for _, list in ipairs(left) do
      if list[1] and (not lowest or list[1] < lowest[1]) then lowest = list end
    end
    if not lowest then return result end
    link_event(s, target, table.remove(lowest, 1), o.skip, result)
  end
end

function operations.unlink(s, o)
  local name = resolve_open(s, o.stream, o.raw)
  for _, id in ipairs(o.ids) do
    local _, index = state.find_entry(s, name, position_of(s, id))
    if not index then
      rules.refuse("event_not_found_in_stream", name .. " does not have " .. id,
        { event_id = id, stream = o.stream })
    end
    table.remove(s.streams[name].entries, index)
  end
  return { count = #o.ids }
end

function operations.delete_stream(s, o)
  local name = resolve_open(s, o.stream, o.raw)
  local count = #state.entries(s, name)
  s.streams[name] = nil
  return { count = count }
end

function operations.truncate(s, o)
  local name = resolve_open(s, o.stream, o.raw)
  local kept, removed = {}, 0
  for _, entry in ipairs(state.entries(s, name)) do
    if entry.revision >= o.before then kept[#kept + 1] = entry else removed = removed + 1 end
  end
  if s.streams[name] then s.streams[name].entries = kept end
  return { count = removed }
end

function operations.set_stream_metadata(s, o)
  local name = resolve_open(s, o.stream, o.raw)
  open_stream(s, name).metadata = o.metadata
  forget_if_unused(s, name)
  return {}
end

function operations.set_route(s, o)
  local previous = s.routes[o.route]
  s.routes[o.route], s.closed[o.route] = o.stream, o.closed
  state.resolve(s, o.route)
  return { previous = previous }
end

function operations.put_row(s, o)
  s.tables[o.table] = s.tables[o.table] or {}
  s.tables[o.table][o.key] = { value = o.value, version = s.sequence }
  return { count = 1 }
end

function operations.delete_row(s, o)
  local rows = s.tables[o.table] or {}
  local count = rows[o.key] and 1 or 0
  rows[o.key] = nil
  return { count = count }
end

function operations.set_checkpoint(s, o)
  s.checkpoints[o.name] = o.position > 0 and o.position or nil
  return {}
end

function operations.overwrite(s, o)
  for _, event in ipairs(o.events) do
    local position = position_of(s, event.id)
    local stored = shallow(s.events[position])
    stored.type, stored.data, stored.metadata = event.type, event.data, event.metadata
    stored.content_type = event.content_type
    if event.has_valid_time then stored.valid_time = event.valid_time end
    if next(s.scripts) then stored.written = #s.events + 1 end -- of the present versions
    s.events[position] = stored
  end
  return { count = #o.events }
end

return state
