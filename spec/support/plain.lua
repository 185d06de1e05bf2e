--- Events, receipts and whole stores as plain tables, so that they can be compared and printed.

local plain = {}

local EVENT_FIELDS = {
  "id", "type", "stream", "position", "revision", "is_link", "time", "valid_time", "data",
  "metadata", "tags", "correlation_id", "causation_id", "content_type",
}

--- All fields of an event; nil stays nil. Of what a deployment writes, only that it is there.
function plain.event(event)
  if event == nil then return nil end
  local result = {}
  if event.stream == "$scripts" then
    return { type = event.type, position = event.position, stream = event.stream }
  end
  for _, field in ipairs(EVENT_FIELDS) do result[field] = event[field] end
  return result
end

function plain.events(events)
  local result = {}
  for index, event in ipairs(events) do result[index] = plain.event(event) end
  return result
end

--- One field of each event of a list ("id" when it is not named).
function plain.each(events, field)
  local result = {}
  for index, event in ipairs(events) do result[index] = event[field or "id"] end
  return result
end

--- The lines of a directory, each a list.
function plain.lines(iterator)
  local lines = {}
  local line = table.pack(iterator())
  while line[1] ~= nil do
    line.n = nil
    lines[#lines + 1] = line
    line = table.pack(iterator())
  end
  return lines
end

--- Streams that the library keeps for itself.
local function is_inner(name) return name:find("$", 1, true) ~= nil end

--- Names in link order, without the library's own. Streams of linkers, which may be made anew at
--- any time, come last.
function plain.places(names)
  local result, linked = {}, {}
  for _, name in ipairs(names) do
    if name:sub(1, 2) == "x-" then
      linked[#linked + 1] = name
    elseif not is_inner(name) then
      result[#result + 1] = name
    end
  end
  table.sort(linked)
  return table.move(linked, 1, #linked, #result + 1, result)
end

local INNER_TABLES = { "tycho.scripts", "tycho.switches", "tycho.backfills", "tycho.models",
  "tycho.model_states" }

--- Streams that are not the library's own, and the counts without what those have.
local function outer(store)
  local lines, stats = {}, store:stats()
  for _, line in ipairs(plain.lines(store:streams())) do
    if not is_inner(line[1]) then
      lines[#lines + 1] = line
    elseif line[2] > 0 then
      stats.streams, stats.entries = stats.streams - 1, stats.entries - line[2]
      for event in store:read():stream(line[1]):raw():stored():each() do
        if event.is_link then stats.links = stats.links - 1 end
      end
    end
  end
  for _, name in ipairs(INNER_TABLES) do
    for _ in store:rows(name) do stats.rows = stats.rows - 1 end
  end
  return lines, stats
end

--- All that can be asked of a store: two stores with equal dumps hold the same. `tables` names the
--- tables of rows to look at.
function plain.dump(store, tables)
  local directory, stats = outer(store)
  local dump = {
    log = plain.events(store:read():all()), streams = {}, rows = {}, places = {}, metadata = {},
    head = store:head(), directory = directory,
    types = plain.lines(store:types()), tags = plain.lines(store:tags()),
    routes = plain.lines(store:routes()), checkpoints = plain.lines(store:checkpoints()),
  }
  for _, line in ipairs(dump.directory) do
    local name = line[1]
    dump.streams[name] = plain.events(store:read():stream(name):raw():all())
  end
  for _, event in ipairs(dump.log) do
    if event.id then dump.places[event.id] = plain.places(store:streams_of(event.id)) end
  end
  for _, name in ipairs(tables or {}) do dump.rows[name] = plain.lines(store:rows(name)) end
  for _, field in ipairs { "events", "sequence", "streams", "entries", "links", "rows",
    "routes" } do
    dump["stats_" .. field] = stats[field]
  end
  return dump
end

return plain
