--- Reading in Lua: a run of `make bench`, which gives the store and the number of rounds.
---
--- Each way of reading takes its turn in each round; a line "name <tab> unit <tab> value" a sample.
local tycho = require "tycho"

local path, rounds = arg[1], math.tointeger(tonumber(arg[2]))
if not path or not rounds then
  io.stderr:write("usage: scan.lua STORE ROUNDS\n")
  os.exit(2)
end

local ways = {}

--- The least that Lua can do for an event: a table for each, two fields of it.
function ways.empty_loop(_, events)
  local tables = {}
  for index = 1, 1000 do tables[index] = { type = "item_added", amount = index } end
  local sum, kinds = 0, 0
  for position = 1, events do
    local event = tables[position % 1000 + 1]
    if event.type == "item_added" then kinds = kinds + 1 end
    sum = sum + event.amount
  end
  return events
end

function ways.nothing_read(store)
  local count = 0
  for _ in store:read():each() do count = count + 1 end
  return count
end

function ways.one_field(store)
  local count, sum, kinds = 0, 0, 0
  for event in store:read():each() do
    if event.type == "item_added" then kinds = kinds + 1 end
    sum = sum + event:field("amount")
    count = count + 1
  end
  assert(sum > 0 and kinds > 0)
  return count
end

function ways.whole_data(store)
  local count, sum, kinds = 0, 0, 0
  for event in store:read():each() do
    if event.type == "item_added" then kinds = kinds + 1 end
    sum = sum + event.data.amount
    count = count + 1
  end
  assert(sum > 0 and kinds > 0)
  return count
end

function ways.reduced(store)
  local count = 0
  store:read():reduce(function(sum, event)
    count = count + 1
    return sum + event:field("amount")
  end, 0)
  return count
end

local order = {
  { "Lua, empty loop", ways.empty_loop },
  { "Lua, nothing read", ways.nothing_read },
  { "Lua, type and one field", ways.one_field },
  { "Lua, type and whole data", ways.whole_data },
  { "Lua, reduce, one field", ways.reduced },
}

--- os.clock is the time of the processor, which a busy machine does not stretch; what is read is in
--- memory, so nothing waits. The first round fills the page cache.
local store <close> = tycho.open(path, { mode = "existing" })
for round = 0, rounds do
  for _, way in ipairs(order) do
    collectgarbage()
    local start = os.clock()
    local count = way[2](store, store:head())
    local seconds = os.clock() - start
    assert(count == store:head(), way[1])
    if round > 0 then print(string.format("%s\tevents/s\t%.6g", way[1], count / seconds)) end
  end
end
