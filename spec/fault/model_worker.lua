--- A process that works on the read model "Count" of a store.
---
---   lua5.4 model_worker.lua STORE prepare KEYS   catches up the keys 1 to KEYS, and ends
---   lua5.4 model_worker.lua STORE race KEYS      asks for each key once, and says how many it
---                                                caught up itself
---   lua5.4 model_worker.lua STORE publish KEYS [REST]   publishes until the checkpoint "stop" is
---                                                set, resting for REST seconds at most
---   lua5.4 model_worker.lua STORE ask KEYS       asks until then; each answer must have as many
---                                                events as the log has up to its position
---   lua5.4 model_worker.lua STORE publish_late KEYS, ask_late KEYS
---                                                the same for the model "Late", in the order of
---                                                valid times, to which events come out of order

local tycho = require "tycho"

local path, role, keys = arg[1], arg[2], math.tointeger(tonumber(arg[3]))
local store <close> = tycho.open(path)

local function is_stopped() return store:checkpoint("stop") > 0 end

io.stdout:write("working\n")
io.stdout:flush()
if role == "publish" then
  while not is_stopped() do
    local key = math.random(keys)
    store:append("n", { type = "N", data = { key = key }, tags = { "of:" .. key } })
    store:wait(math.maxinteger, math.random() * tonumber(arg[4] or 0.002))
  end
  return
end

local function publish_late()
  local first, second = math.random(keys), math.random(keys)
  local both = first == second and { first } or { first, second }
  local tags = {}
  for index, key in ipairs(both) do tags[index] = "of:" .. key end
  store:append("n", { type = "N", data = { key = both }, tags = tags,
    valid_time = tycho.now() - math.random(0, 3) * math.random(1000000) })
  store:wait(math.maxinteger, math.random() / 300)
end

--- An answer is what the log has up to its position, in order.
local function check_late(key, state, position)
  local wanted = {}
  for event in store:read():tagged("of:" .. key):to_position(position + 1):each() do
    wanted[#wanted + 1] = event
  end
  table.sort(wanted, function(a, b)
    if a.valid_time ~= b.valid_time then return a.valid_time < b.valid_time end
    return a.position < b.position
  end)
  assert(#wanted == #state.ids,
    ("key %d at %d: %d of %d"):format(key, position, #state.ids, #wanted))
  for index, event in ipairs(wanted) do assert(event.id == state.ids[index], "in another order") end
end

if role == "publish_late" then
  while not is_stopped() do publish_late() end
  return
elseif role == "ask_late" then
  local late <close>, answers = store:model("Late"), 0
  while not is_stopped() do
    local key = math.random(keys)
    local state, answer = late:get(key, { snapshot_after = math.random(5) })
    check_late(key, state, answer.position)
    answers = answers + 1
  end
  print(answers)
  return
end

local model <close> = store:model("Count")
if role == "prepare" then
  local list = {}
  for key = 1, keys do list[key] = key end
  model:prepare(list)
elseif role == "race" then
  local caught_up = 0
  for key = 1, keys do
    local _, answer = model:get(key)
    if answer.was_caught_up then caught_up = caught_up + 1 end
  end
  print(caught_up)
else
  local answers = 0
  while not is_stopped() do
    local key = math.random(keys)
    local state, answer = model:get(key, { snapshot_after = 3 })
    local there = store:read():tagged("of:" .. key):to_position(answer.position + 1):count()
    assert(state.count == there, ("key %d at %d: %d counted, %d there"):format(key,
      answer.position, state.count, there))
    answers = answers + 1
  end
  print(answers)
end
