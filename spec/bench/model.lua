--- On-demand read models: a run of `make bench`, which gives a directory, the number of rounds, and
--- how many old events there are. A line "name <tab> unit <tab> value" a sample.
---
--- The instances have 100 old events each, found by their tags among all that the store has. All is
--- durable. What is asked for is asked for once before, so that the sandboxes are there.
local tycho = require "tycho"

local directory, rounds = arg[1], math.tointeger(tonumber(arg[2]))
local events = math.tointeger(tonumber(arg[3]))
if not directory or not rounds or not events then
  io.stderr:write("usage: model.lua DIRECTORY ROUNDS EVENTS\n")
  os.exit(2)
end

local EACH, BATCH, ASKED = 100, 10000, 20000
local instances = events // EACH

local function say(name, unit, value) print(("%s\t%s\t%.6g"):format(name, unit, value)) end

local function seconds_of(fn, ...)
  local begun = tycho.now()
  fn(...)
  return (tycho.now() - begun) / 1e6
end

local MODEL = [[return read_model { name = "%s", version = 1, types = { "TicketBought" },
  keys = function(event) return event.data.match end,
  history = function(key) return { { tags = "match:" .. key } } end,
  init = function() return { count = 0, persons = {} } end,
  on = { TicketBought = function(state, event)
    state.count = state.count + 1
    state.persons[event.data.person] = true
  end } }]]

local function fill(path)
  local store <close> = tycho.open(path, { sync = "none" })
  local list = {}
  for index = 1, events do
    local match = index % instances
    list[#list + 1] = { type = "TicketBought", tags = { "match:" .. match },
      data = { match = match, person = "person-" .. index % 5000 } }
    if #list == BATCH or index == events then
      store:append("tickets", list)
      list = {}
    end
  end
  store:sync()
end

local function round(store, number)
  local name, keys = "Model" .. number, {}
  for key = 1, instances do keys[key] = key - 1 end
  store:deploy { sources = { MODEL:format(name) } }
  local model <close> = store:model(name)
  local linked
  local took = seconds_of(function() linked = model:prepare(keys).linked end)
  assert(linked == events, "not all was linked")
  say("catch-up, " .. EACH .. " old events an instance", "links/s", linked / took)

  local most = math.min(instances, 500)
  local function ask_all(options)
    return seconds_of(function() for key = 0, most - 1 do model:get(key, options) end end)
  end
  took = ask_all { fresh = true }
  say("fold of " .. EACH .. " events", "us", took / most * 1e6)
  took = ask_all { snapshot_after = 1 }
  say("the same, and its snapshot is stored", "us", took / most * 1e6)
  took = seconds_of(function() for index = 1, ASKED do model:get(index % most) end end)
  say("unchanged, from the snapshot", "us", took / ASKED * 1e6)

  store:append("tickets", { type = "TicketBought", data = { match = 0, person = "one more" } })
  took = seconds_of(function() for _ = 1, 1000 do model:get(0) end end)
  say("one event behind the snapshot", "us", took / 1000 * 1e6)
  store:deploy { remove = { "read_model/" .. name } }
end

fill(directory .. "/model")
local store <close> = tycho.open(directory .. "/model")
for number = 1, rounds do round(store, number) end
