--- Deployed scripts in the model. A script is described by a recipe, plain data, of which both the
--- source for the engine (`source`) and what it means are made:
---
---   { kind = "event_type", name, version, refuse = m: refuses data.n that m divides,
---     tags = m: tags with "auto-" and data.n modulo m, former = former name }
---   { kind = "linker", name, version, types = list or nil for all, modulo = m: links into
---     "x-NAME-" and data.n modulo m }
---   { kind = "read_model", name, version, order }: lists data.n of the events of the type "M"
---     whose data.k is the key; old ones are found by the tag "k:KEY"
---
--- The state has `scripts`, "kind/name" -> recipe, and `deployed`, a list of { name, version,
--- position } of event types. Streams of the library itself have a "$" in their names, and those of
--- linkers begin with "x-".

local literal = require "support.literal"
local rules = require "support.model_rules"
local state = require "support.model_state"

local scripts = {}

-- Sources -------------------------------------------------------------------------------------

local NUMBER = "local function number(d) return type(d) == 'table' and d.n or 0 end\n"
local source_of = {}

function source_of.event_type(recipe)
  local lines = { NUMBER, "return event_type { name = %q, version = %d," }
  if recipe.refuse then
    lines[#lines + 1] = ("check = function(d) if number(d) %% %d == 0 then return 'no' end end,")
      :format(recipe.refuse)
  end
  if recipe.tags then
    lines[#lines + 1] = ("tags = function(d) return { 'auto-' .. number(d) %% %d } end,"):format(
      recipe.tags)
  end
  local upcasts = {}
  for from = 1, recipe.version - 1 do
    upcasts[from] = ("function(d) if type(d) == 'table' then d.v%d = true end return d end")
      :format(from + 1)
  end
  lines[#lines + 1] = "upcast = { " .. table.concat(upcasts, ",\n") .. " },"
  if recipe.former then lines[#lines + 1] = ("former_names = { %q },"):format(recipe.former) end
  return table.concat(lines, "\n"):gsub("name = %%q, version = %%d",
    ("name = %q, version = %d"):format(recipe.name, recipe.version)) .. " }"
end

function source_of.linker(recipe)
  local from = recipe.types and "from = { types = " .. literal(recipe.types) .. " }," or ""
  return NUMBER .. ("return linker { name = %q, version = %d, %s streams = 'x-%s-*',\n"
    .. "to = function(event) return 'x-%s-' .. number(event.data) %% %d end }"):format(
    recipe.name, recipe.version, from, recipe.name, recipe.name, recipe.modulo)
end

function source_of.read_model(recipe)
  return ("return read_model { name = %q, version = %d, types = { 'M' }, order = %q,\n"
    .. "keys = function(event) return event.data.k end,\n"
    .. "history = function(key) return { { tags = 'k:' .. key } } end,\n"
    .. "init = function() return { list = {} } end,\n"
    .. "on = { M = function(s, event) s.list[#s.list + 1] = event.data.n end } }"):format(
    recipe.name, recipe.version, recipe.order)
end

--- The Lua text of a script.
function scripts.source(recipe) return source_of[recipe.kind](recipe) end

-- What scripts do to batches ------------------------------------------------------------------

local function number_of(event)
  return type(event.data) == "table" and event.data.n or 0
end

--- The event type that reads events of a type, by its name or a former one.
local function event_type(s, name)
  local own = s.scripts["event_type/" .. name]
  if own then return own end
  for _, recipe in pairs(s.scripts) do
    if recipe.kind == "event_type" and recipe.former == name then return recipe end
  end
end

local function contains(list, name)
  for _, member in ipairs(list) do
    if member == name then return true end
  end
  return false
end

--- The stream that a linker links an event into; nil for none.
local function target_of(recipe, event, type_name)
  if recipe.types and not contains(recipe.types, type_name) then return nil end
  return ("x-%s-%d"):format(recipe.name, number_of(event) % recipe.modulo)
end

local function sorted_keys(set)
  local list = {}
  for key in pairs(set) do list[#list + 1] = key end
  table.sort(list)
  return list
end

local function linkers(s)
  local list = {}
  for _, recipe in pairs(s.scripts) do
    if recipe.kind == "linker" then list[#list + 1] = recipe end
  end
  table.sort(list, function(a, b) return a.name < b.name end)
  return list
end

--- The event type of an event that is appended or overwritten; what it refuses is rejected.
local function check_event(s, event)
  local own, facts = event_type(s, event.type), { event_id = event.id }
  if own and own.name ~= event.type then
    rules.refuse("rejected", "it has another name now", facts)
  end
  if own and own.refuse and number_of(event) % own.refuse == 0 then
    rules.refuse("rejected", "no", facts)
  end
  return own
end

local function expand_event(s, event)
  local result = {}
  for key, value in pairs(event) do result[key] = value end
  local own, n = check_event(s, event), number_of(event)
  local tag = own and own.tags and "auto-" .. n % own.tags
  if tag and not contains(event.tags, tag) then
    result.tags = table.move(event.tags, 1, #event.tags, 1, {})
    table.insert(result.tags, tag)
    table.sort(result.tags)
  end
  result.links = {}
  for _, recipe in ipairs(linkers(s)) do
    result.links[#result.links + 1] = target_of(recipe, event, event.type)
  end
  return result
end

--- The operations as the scripts expand them: each event in its order, before any condition is
--- looked at or any id is looked for. So "rejected" comes before all other refusals of a commit.
--- What overwrites an event, be it there or not, is only checked: tags and links stay.
function scripts.expand(s, operations)
  if not next(s.scripts) then return operations end
  local expanded = {}
  for index, operation in ipairs(operations) do
    expanded[index] = operation
    if operation.kind == "append" then
      local copy = {}
      for key, value in pairs(operation) do copy[key] = value end
      copy.events = {}
      for place, event in ipairs(operation.events) do
        copy.events[place] = expand_event(s, event)
      end
      expanded[index] = copy
    elseif operation.kind == "overwrite" then
      for _, event in ipairs(operation.events) do check_event(s, event) end
    end
  end
  return expanded
end

-- What scripts do to reads --------------------------------------------------------------------

--- A query whose types also stand for their former names.
function scripts.widen(s, items)
  if not next(s.scripts) then return items end
  local wider = {}
  for index, item in ipairs(items) do
    local types = table.move(item.types or {}, 1, #(item.types or {}), 1, {})
    for _, name in ipairs(item.types or {}) do
      local own = s.scripts["event_type/" .. name]
      if own then types[#types + 1] = own.former end
    end
    wider[index] = { types = types, tags = item.tags }
  end
  return wider
end

--- What a condition also asks under the scripts: its query for the former names alone; nil for
--- nothing.
function scripts.further(s, condition)
  local items = {}
  for index, item in ipairs(scripts.widen(s, condition.query or {})) do
    local given = condition.query[index]
    local types = item.types or {}
    local names = table.move(types, #(given.types or {}) + 1, #types, 1, {})
    if #names > 0 then items[#items + 1] = { types = names, tags = given.tags } end
  end
  return #items > 0 and { query = items, after = condition.after } or nil
end

local function written_version(s, event)
  local version = 1
  for _, deployed in ipairs(s.deployed) do
    if deployed.name == event.type and deployed.position < (event.written or event.position) then
      version = deployed.version
    end
  end
  return version
end

--- The event as the present scripts read it; changes the view that it is given.
function scripts.present(s, event)
  local own = event_type(s, event.type)
  if not own then return event end
  if type(event.data) == "table" then
    event.data = rules.copy(event.data)
    for version = written_version(s, event) + 1, own.version do
      event.data["v" .. version] = true
    end
  end
  event.type = own.name
  return event
end

-- Deploying -----------------------------------------------------------------------------------

local function note(s, type_name)
  local position = #s.events + 1
  local id = "script-" .. position
  s.events[position] = { id = id, type = type_name, stream = "$scripts", position = position,
    revision = s.script_count, time = 1 << 52, valid_time = 1 << 52, tags = {}, data = {},
    metadata = {}, sequence = s.sequence }
  s.position_of[id], s.script_count = position, s.script_count + 1
  return position
end

local function put(s, recipe)
  local key = recipe.kind .. "/" .. recipe.name
  local old = s.scripts[key]
  local is_same = old and scripts.source(old) == scripts.source(recipe)
  if is_same then return false end
  if old and recipe.version <= old.version then rules.refuse("rejected", "the version is taken") end
  local position = note(s, "ScriptDeployed")
  s.scripts[key] = recipe
  if recipe.kind == "event_type" then
    s.deployed[#s.deployed + 1] = { name = recipe.name, version = recipe.version,
      position = position }
  end
  return true
end

--- Deploys recipes, and removes scripts by key.
local function deploy(store, recipes, removed)
  local s = state.copy(store.state)
  s.sequence = s.sequence + 1
  local is_changed = #removed > 0
  if #recipes + #removed == 0 then rules.misuse("there is nothing to deploy") end
  for _, recipe in ipairs(recipes) do is_changed = put(s, recipe) or is_changed end
  for _, key in ipairs(removed) do
    note(s, "ScriptRemoved")
    s.scripts[key] = nil
  end
  if is_changed then store.state = s end
end

--- The stream that a linker links a stored event into as it is now; nil for none.
local function target_now(s, recipe, position)
  local event = s.events[position]
  local own = event_type(s, event.type)
  return event.stream ~= "$scripts"
    and target_of(recipe, event, own and own.name or event.type) or nil
end

--- What the streams of a linker are to be: name -> positions. All that it gives, and what is there
--- that the old version does not give, because an event was overwritten since it was linked.
local function wanted_streams(s, recipe, old)
  local wanted, prefix = {}, ("x-%s-"):format(recipe.name)
  for name, stream in pairs(s.streams) do
    local is_own = name:sub(1, #prefix) == prefix
    for _, entry in ipairs(is_own and stream.entries or {}) do
      if not old or target_now(s, old, entry.position) ~= name then
        wanted[name] = wanted[name] or {}
        wanted[name][entry.position] = true
      end
    end
  end
  for position in ipairs(s.events) do
    local name = target_now(s, recipe, position)
    if name then
      wanted[name] = wanted[name] or {}
      wanted[name][position] = true
    end
  end
  for name, set in pairs(wanted) do wanted[name] = sorted_keys(set) end
  return wanted
end

local function is_there(s, name, positions)
  local stream = s.streams[name]
  if not stream or #stream.entries ~= #positions then return false end
  for index, entry in ipairs(stream.entries) do
    if entry.position ~= positions[index] or entry.revision ~= index - 1 then return false end
  end
  return stream.next == #positions
end

--- Deploys a linker; its streams are then as if it had been there from the start.
local function backfill(store, recipe)
  local s = state.copy(store.state)
  local old = s.scripts["linker/" .. recipe.name]
  s.sequence = s.sequence + 1
  put(s, recipe)
  local wanted, prefix = wanted_streams(s, recipe, old), ("x-%s-"):format(recipe.name)
  for name in pairs(s.streams) do
    if name:sub(1, #prefix) == prefix and not wanted[name] then s.streams[name] = nil end
  end
  for name, positions in pairs(wanted) do
    if not is_there(s, name, positions) then
      s.streams[name] = nil
      local ids = {}
      for index, position in ipairs(positions) do ids[index] = s.events[position].id end
      state.operations.link(s, { stream = name, ids = ids, raw = true })
    end
  end
  store.state = s
end

--- The state of an instance of a read model, by folding everything.
local function model_state(store, name, key)
  local s = store.state
  local recipe = s.scripts["read_model/" .. name]
  if not recipe then rules.refuse("not_found", "no such model") end
  local events, list = {}, {}
  for _, event in ipairs(s.events) do
    if event.type == "M" and event.data.k == key then events[#events + 1] = event end
  end
  table.sort(events, function(a, b)
    local one, other = a[recipe.order] or 0, b[recipe.order] or 0
    if one ~= other then return one < other end
    return a.position < b.position
  end)
  for index, event in ipairs(events) do list[index] = event.data.n end
  return { list = list }
end

function scripts.attach(Store)
  Store.deploy_recipes, Store.backfill_recipe = deploy, backfill
  Store.model_state = model_state
end

return scripts
