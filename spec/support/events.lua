--- Small events for examples.

local events = {}

--- An event with this id, at time 1000 unless the fields say something else.
function events.new(id, fields)
  local event = { id = id, type = "happened", time = 1000, data = { n = 1 } }
  for key, value in pairs(fields or {}) do event[key] = value end
  return event
end

--- Events with the ids prefix1 .. prefixN, at the times 1 .. N.
function events.many(prefix, count, fields)
  local list = {}
  for index = 1, count do
    list[index] = events.new(prefix .. index, fields)
    list[index].time = index
  end
  return list
end

return events
