--- Short lives of stores with scripts, for lua_calls.lua: each is prepared whole, then something is
--- done to it while a call fails, again when that told so, and looked at.
---
--- A life is { NAME, prepare, act, look }: prepare(store) gives what act(store, prepared) takes;
--- act can be done again; look(store) gives what is the same in every life.

local backfilling = require "support.backfilling"

local MODEL = [[return read_model { name = "Sums", version = %d, types = { "T" }, order = "%s",
  keys = function(event) return event.data.n end,
  history = function(key)
    if key == "bad" then error("no such key") end
    return { { tags = "n:" .. key }, function(state, found) return { stream = found.stream } end }
  end,
  init = function() return { stream = "s", places = {} } end,
  on = { T = function(state, event) table.insert(state.places, event.data.at) end } }]]
local TYPE = [[return event_type { name = "T", version = %d, %s
  check = function(data) if data.n == "bad" then return "no such key" end end,
  data = { n = "string", at = "integer" }, tags = function(data) return "n:" .. data.n end %s }]]
local UPCAST = ", upcast = { function(data) data.at = data.at + 100 return data end }"
local T_BEFORE = "former_names = { 't' },"

local function linker(name, version, rest)
  return ("return linker { name = %q, version = %d, %s }"):format(name, version, rest)
end

local function fill(store, type, first, last)
  local events = {}
  for at = first, last do
    events[#events + 1] = { id = "e" .. at, type = type, data = { n = tostring(at % 3), at = at },
      time = 1000 - at, tags = { "n:" .. at % 3 }, metadata = { who = "w" .. at % 2 } }
  end
  store:append("s-1", events, { idempotent = true })
end

local function deploy(store, ...) store:deploy { sources = { ... } } end

--- Calls what a script must refuse with these words; errors of another kind go on.
local function refuse(words, fn, ...)
  local ok, err = pcall(fn, ...)
  assert(not ok, "not refused: " .. words)
  if type(err) ~= "table" or err.code ~= "rejected" then error(err, 0) end
  assert(err.message:find(words, 1, true), err.message)
end

local function list(store)
  local names = {}
  for name, entries in pairs(backfilling.streams(store)) do
    names[#names + 1] = name .. "=" .. table.concat(entries, ",")
  end
  table.sort(names)
  return table.concat(names, " ")
end

local function state_of(store, key)
  local model <close> = store:model("Sums")
  local state, answer = model:get(key, { snapshot_after = 1 })
  return table.concat(state.places, ",") .. " of " .. answer.events
end

--- A back-fill of VERSION_2 in a phase, in which `disturb` is done to the streams.
local function disturbed(phase, disturb)
  return function(store)
    backfilling.fill(store, 1, 60)
    store:backfill { source = backfilling.VERSION_1, pause = 0 }
    local is_done
    local function progress(status)
      if is_done or status.phase ~= phase then return end
      is_done = true
      disturb(store)
      error("enough")
    end
    local ok, err = pcall(store.backfill, store,
      { source = backfilling.VERSION_2, chunk = 20, pause = 0, progress = progress })
    assert(not ok and tostring(err):find("enough", 1, true), tostring(err))
  end
end

local function go_on(store) store:backfill { linker = "by_customer", chunk = 20, pause = 0 } end

local function rename(store)
  store:rename { source = "customer-3", target = "three", delete_source = true, pause = 0 }
end

local lives = {
  { "a model in another order than that of positions", function(store)
    fill(store, "T", 1, 9)
    deploy(store, MODEL:format(1, "time"))
  end, function(store) state_of(store, 1) end, function(store) return state_of(store, 1) end },

  { "a model that has a snapshot, and what comes before it", function(store)
    fill(store, "T", 1, 9)
    deploy(store, MODEL:format(1, "time"))
    state_of(store, 1)
    fill(store, "T", 10, 12)
  end, function(store) state_of(store, 1) end, function(store) return state_of(store, 1) end },

  { "an instance that is refused", function(store)
    fill(store, "T", 1, 3)
    deploy(store, MODEL:format(1, "position"))
    return store:model("Sums")
  end, function(_, model)
    refuse("no such key", model.get, model, "bad")
    refuse("no such key", model.prepare, model, { "bad" })
    refuse("no such key", model.prepare, model, { "1", "bad", "2" })
  end, function(store) return state_of(store, 2) end },

  { "a model that is deployed anew", function(store)
    fill(store, "T", 1, 9)
    deploy(store, MODEL:format(1, "position"))
    local model = store:model("Sums")
    model:prepare { 0, 1, 2 }
    deploy(store, MODEL:format(2, "position"))
    return model
  end, function(_, model)
    model:maintain()
    model:forget(0)
  end, function(store) return state_of(store, 0) .. state_of(store, 1) end },

  { "events of a type with former names", function(store)
    fill(store, "t", 1, 6)
    deploy(store, TYPE:format(2, T_BEFORE, UPCAST), MODEL:format(1, "position"))
    fill(store, "T", 7, 9)
  end, function(store)
    refuse("no such key", store.append, store, "s-1", { type = "T", data = { n = "bad", at = 1 } })
    refuse("has this name now", store.append, store, "s-1", { type = "t" })
    store:overwrite { id = "e8", type = "T", data = { n = "2", at = 80 } }
  end, function(store)
    local ats = {}
    for event in store:read():of_type("T"):each() do ats[#ats + 1] = event.data.at end
    return table.concat(ats, ",") .. state_of(store, 2)
  end },

  { "ready-made linkers", function(store)
    deploy(store, linker("type", 1, 'by = "type"'), linker("category", 1, 'by = "category"'),
      linker("who", 1, 'by = "metadata", key = "who"'), linker("cause", 1, 'by = "correlation"'),
      linker("some", 1, [[streams = "some-*", from = { category = "s", tags = { "n:1" } },
        to = function(event) return "some-" .. event.type end]]))
  end, function(store) fill(store, "T", 1, 6) end, list },

  { "a name that two types have", function(store)
    deploy(store, TYPE:format(1, "", ""))
  end, function(store)
    local another = TYPE:format(1, "former_names = { 'T' },", ""):gsub('"T"', '"U"', 1)
    refuse("former name", deploy, store, another)
  end, function(store) return #store:scripts() end },

  { "a script that cannot be compiled any more", function(store)
    deploy(store, linker("l", 1, 'by = "type"'))
    local row = store:row("tycho.scripts", "linker/l")
    row.source = "return linker {"
    store:batch(function(batch)
      batch.box:deploy_row("linker/l", row)
      batch.box:deploy_row("odd", { name = "odd", version = 1 })
    end)
  end, function(store)
    assert(#store:scripts() == 2)
    refuse("line 1", store.append, store, "s", { type = "T" })
    store:deploy { sources = { linker("l", 2, 'by = "type"') } }
  end, function(store) return #store:scripts() end },

  { "a stream that is renamed while it is prepared", disturbed("preparing", rename), go_on, list },
  { "a stream that is renamed while it is linked", disturbed("linking", rename), go_on, list },
  { "a stream that is renamed while it is mended", disturbed("mending", rename), go_on, list },
  { "a stream that is appended to while it is made anew", disturbed("preparing", function(store)
    store:append("customer-3", { id = "home", type = "H" })
  end), go_on, list },
  { "a back-fill that is given up", disturbed("preparing", function() end), function(store)
    local options = { linker = "by_customer", cancel = true, pause = 0 }
    local ok, err = pcall(store.backfill, store, options)
    if not ok and err.code ~= "not_found" then error(err, 0) end
  end, list },
}

return lives
