--- Makes the steps of property/verbs.lua; each maker is a function of the Maker of
--- property/steps.lua, with a look at its model.

local state = require "support.model_state"

local makers = {}

local function lock_name(self) return self:number("lock", 2) end

function makers.lock(self)
  self.grants = (self.grants or 0) + 1
  return { kind = "lock", name = lock_name(self) }
end

function makers.release(self) return { kind = "release", name = lock_name(self) } end
function makers.locks() return { kind = "locks" } end

function makers.try_lock(self)
  return { kind = "try_lock", name = lock_name(self), elsewhere = self.random:chance(20) or nil }
end

-- Followers -----------------------------------------------------------------------------------

function makers.follow(self)
  local options, random = {}, self.random
  if random:chance(60) then options.stream = self:stream() end
  if random:chance(20) and not self.profile.scripts then options.types = self:types() end
  if random:chance(20) then options.tags = self:tags(1) end
  if random:chance(20) then options.from_position = random:between(0, 30) end
  return { kind = "follow", name = self:number("f", 3), options = options }
end

function makers.drain(self)
  return { kind = "drain", name = self:number("f", 3), by_key = self.random:chance(25) or nil }
end

-- Switches ------------------------------------------------------------------------------------

--- Streams with entries that are no routes, by name.
local function sources_of(self)
  local list = {}
  for name, stream in pairs(self.model.state.streams) do
    local is_free = not self.model.state.routes[name] and name:find("^[sr]%d")
    if is_free and #stream.entries > 0 then list[#list + 1] = name end
  end
  table.sort(list)
  return list
end

--- Batches of publishers to a stream while it is switched.
local function during(self, stream)
  local list = {}
  for index = 1, self.random:between(0, 3) do
    list[index] = { table.pack("append", stream, self:events()) }
  end
  return #list > 0 and list or nil
end

local function make_switch(self, verb, options, source)
  return { kind = "switch", verb = verb, options = options, during = during(self, source),
    chunk = self.random:between(1, 4),
    broken = self.random:chance(25) and self.random:between(1, 5) or nil }
end

local function undo(self)
  local s, pairs_there = self.model.state, {}
  for name, stream in pairs(s.routes) do
    if state.resolve(s, name) == stream and s.streams[name] then
      pairs_there[#pairs_there + 1] = { name, stream }
    end
  end
  table.sort(pairs_there, function(a, b) return a[1] < b[1] end)
  local pair = self.random:one(pairs_there)
  if not pair or (self.deleted or {})[pair[1]] then return nil end
  return make_switch(self, "rename", { source = pair[1], target = pair[2], undo = true }, pair[2])
end

local function rename(self)
  local random = self.random
  local source = random:one(sources_of(self))
  if not source then return nil end
  local options = { source = source, target = self:stream() }
  if random:chance(70) then options.target = self:number("q", 40) end
  if self.model.state.routes[options.target] then return nil end
  local step = make_switch(self, "rename", options, source)
  if random:chance(15) then options.forward = false end
  if random:chance(10) then
    options.dry_run, step.during, step.broken = true, nil, nil
  elseif random:chance(20) then
    options.delete_source = true
    self.deleted = self.deleted or {}
    self.deleted[source] = true
  elseif step.broken then
    step.cancel = random:chance(50) or nil
  end
  return step
end

local function merge(self)
  local free, sources = sources_of(self), {}
  for index = 1, self.random:between(1, 3) do sources[index] = self.random:one(free) end
  local target = self:stream()
  if #sources == 0 or self.model.state.routes[target] then return nil end
  return make_switch(self, "merge", { sources = sources, target = target }, sources[1])
end

local function split(self)
  local source = self.random:one(sources_of(self))
  if not source then return nil end
  local default = self.random:chance(60) and self:number("d", 9) or nil
  local step = make_switch(self, "split", { source = source, default = default }, source)
  step.modulo = self.random:between(1, 3)
  return step
end

--- A switch, where one can be made.
function makers.switch(self)
  local verb = self.random:weighted { rename = 40, undo = 25, merge = 20, split = 15 }
  local make = { rename = rename, undo = undo, merge = merge, split = split }
  return make[verb](self)
end

-- Backups -------------------------------------------------------------------------------------

function makers.backup() return { kind = "backup", tables = { "table1", "table2" } } end

-- Scripts -------------------------------------------------------------------------------------

local function newer(self, kind, name, recipe)
  local key = kind .. "/" .. name
  self.versions = self.versions or {}
  self.versions[key] = (self.versions[key] or 0) + 1
  recipe.kind, recipe.name, recipe.version = kind, name, self.versions[key]
  return recipe
end

local function new_event_type(self)
  local name = self:type()
  return newer(self, "event_type", name, {
    refuse = self.random:chance(40) and self.random:between(7, 20) or nil,
    tags = self.random:chance(50) and self.random:between(1, 4) or nil,
    former = name:gsub("type", "old"),
  })
end

local function new_linker(self, name)
  return newer(self, "linker", name, { modulo = self.random:between(1, 4),
    types = self.random:chance(60) and { self:type(), self:type() } or nil })
end

local function new_read_model(self)
  return newer(self, "read_model", self:number("Model", 2),
    { order = self.random:one { "position", "time", "valid_time" } })
end

--- A linker that was never there.
local function first_linker(self)
  self.linkers = (self.linkers or 0) + 1
  return new_linker(self, "l" .. self.linkers)
end

--- Linkers that are there are changed by back-filling alone: what a version leaves behind that
--- was replaced without belongs to nobody.
function makers.deploy(self)
  local recipes, removed, scripts = {}, {}, self.model.state.scripts
  for index = 1, self.random:between(1, 2) do
    local choice = self.random:weighted { event_type = 50, linker = 20, read_model = 20,
      again = 10 }
    if choice == "event_type" then recipes[index] = new_event_type(self) end
    if choice == "linker" then recipes[index] = first_linker(self) end
    if choice == "read_model" then recipes[index] = new_read_model(self) end
    if choice == "again" then
      local keys = {}
      for key in pairs(scripts) do keys[#keys + 1] = key end
      table.sort(keys)
      local recipe = {}
      for field, value in pairs(scripts[self.random:one(keys) or ""] or new_event_type(self)) do
        recipe[field] = value
      end
      if recipe.kind == "event_type" and self.random:chance(50) then recipe.refuse = 23 end
      recipes[index] = recipe
    end
  end
  if recipes[2] and recipes[1].kind == recipes[2].kind and recipes[1].name == recipes[2].name then
    recipes[2] = nil
  end
  if self.random:chance(10) then
    local linker = self:number("l", 4)
    if scripts["linker/" .. linker] then removed = { "linker/" .. linker } end
    for _, recipe in ipairs(recipes) do
      if recipe.kind == "linker" then removed = {} end
    end
  end
  return { kind = "deploy", recipes = recipes, removed = removed }
end

function makers.backfill(self)
  local names, recipe = {}, nil
  for _, script in pairs(self.model.state.scripts) do
    if script.kind == "linker" then names[#names + 1] = script.name end
  end
  table.sort(names)
  local name = self.random:one(names)
  if name and self.random:chance(60) then recipe = new_linker(self, name) end
  if name and not recipe and self.random:chance(50) then
    recipe = self.model.state.scripts["linker/" .. name]
  end
  local broken = self.random:chance(35) and self.random:between(1, 6) or nil
  return { kind = "backfill", recipe = recipe or first_linker(self), during = during(self, "s1"),
    chunk = self.random:between(1, 20), broken = broken,
    cancel = broken and self.random:chance(40) or nil }
end

function makers.model_get(self)
  return { kind = "model_get", name = self:number("Model", 2), key = self.random:between(1, 3),
    fresh = self.random:chance(30) or nil }
end

function makers.model_do(self)
  return { kind = "model_do", verb = self.random:one { "forget", "prepare", "maintain" },
    name = self:number("Model", 2), key = self.random:between(1, 3) }
end

--- How often each is made, of 100 other steps; those of scripts only in profiles that have them.
makers.weights = { lock = 3, release = 2, try_lock = 1, locks = 1, follow = 3, drain = 6,
  switch = 4, backup = 1 }
makers.script_weights = { deploy = 4, backfill = 2, model_get = 5, model_do = 2 }

return makers
