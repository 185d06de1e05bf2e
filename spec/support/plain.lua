--- Events, receipts and whole stores as plain tables, so that they can be compared and printed.

local plain = {}

local EVENT_FIELDS = {
  "id", "type", "stream", "position", "revision", "is_link", "time", "valid_time", "data",
  "metadata", "tags", "correlation_id", "causation_id", "content_type",
}

--- All fields of an event; nil stays nil.
function plain.event(event)
  if event == nil then return nil end
  local result = {}
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

--- All that can be asked of a store: two stores with equal dumps hold the same. `tables` names the
--- tables of rows to look at.
function plain.dump(store, tables)
  local dump = {
    log = plain.events(store:read():all()), streams = {}, rows = {}, places = {}, metadata = {},
    head = store:head(), directory = plain.lines(store:streams()),
    types = plain.lines(store:types()), tags = plain.lines(store:tags()),
    routes = plain.lines(store:routes()), checkpoints = plain.lines(store:checkpoints()),
  }
  for _, line in ipairs(dump.directory) do
    local name = line[1]
    dump.streams[name] = plain.events(store:read():stream(name):raw():all())
  end
  for _, event in ipairs(dump.log) do dump.places[event.id] = store:streams_of(event.id) end
  for _, name in ipairs(tables or {}) do dump.rows[name] = plain.lines(store:rows(name)) end
  local stats = store:stats()
  for _, field in ipairs { "events", "sequence", "streams", "entries", "links", "rows",
    "routes" } do
    dump["stats_" .. field] = stats[field]
  end
  return dump
end

return plain
