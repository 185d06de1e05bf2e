--- The machine of rename, merge and split: links what the sources have in chunks, then re-points
--- the names in one batch with the last links. What is linked where is the business of its plan.
---
---               link, while more than a little is left
---                  +--+
---                  v  |
---     (no row) --> linking --switch--> switched --delete--> deleted
---                     |
---                     +--cancel--> (no row; what was linked is taken out)
---
--- Where it stands is a row of the table `tycho.switches`, put in the same batch as the links that
--- it counts. Each batch is conditional on the row's version and on the token of a lock, so that
--- whoever was killed is continued by the next call, and whoever is late changes nothing.
---
--- A plan has
---   kind, key            "rename", "merge" or "split"; the key of its row
---   sources, target      names; the target may be missing
---   begin(row)           the row to go on from, made or found; refuses what cannot be done
---   measure(row)         entries left to link, entries of all sources, and, where a batch should
---                        be shorter than others, how many it may link
---   linked(row)          entries linked so far
---   expect(batch)        conditions that hold until the switch: what the names are
---   link(batch, row, n)  adds links of n entries and says so in the row
---   verify(row)          (may be missing) refuses to switch when the sources lost what was linked
---   finish(batch, row)   adds the last links
---   closes_routes        (may be missing) the routes that lead to the sources become closed ones
---   explain(err, tries)  raises what the refusal of a batch means; true: it is made anew. With
---                        `tries`, it was the last batch
---   cancel(switch)       takes out what was linked, and the row
local check = require "tycho.check"
local core = require "tycho.core"
local names = require "tycho.stream_switch.names"
local pace = require "tycho.pace"

core.own()

local machine = { table = "tycho.switches" }

local LAST_MAX = 2000 -- entries of the last batch: about a millisecond of everybody's time
local TRIES_MAX = 100 -- last batches that came too late
-- Others wait for a chunk, and then have to take notice of what is in it. Who writes finds the
-- store taken 1 time in 200.
local LIMITS = { short = 1000, rest = 200, rest_max = 5, outrun_max = 1000 }
local LOCK_TIMEOUT = 10
local FENCES = 2 -- conditions of every batch: the lock and the row; those of expect() follow
local NAME_MAX = 255
local ROUTES_MAX = 9900 -- that the last batch can re-point

---@class tycho.Switch
---@field private store tycho.Store
---@field private plan table
---@field private options table
---@field private lock tycho.Lock?
---@field private row table
---@field private version integer   of the row that is stored
---@field private pace tycho.Pace
---@field private sequence integer? of its last batch
local Switch = { __name = "tycho.Switch" }
Switch.__index = Switch

--- The lock of a switch; long names are cut and end with a hash of the whole.
local function lock_name(key)
  local name = "tycho.switch:" .. key:gsub("%c", ":")
  if #name <= NAME_MAX then return name end
  return ("tycho.switch:%016x"):format(core.hash(key))
end

--- The row of a key: value or nil, version.
function machine.row(store, key)
  local value, version = store:row(machine.table, key)
  return value, version or 0
end

--- Takes the lock and reads the row; nothing is written, and nothing is checked yet.
local function open(store, plan, options)
  local self = setmetatable({
    store = store, plan = plan, options = options, pace = pace.new(options, LIMITS), tries = 0,
    is_planned = options.dry_run or false,
  }, Switch)
  if not self.is_planned then
    self.lock = store:lock(lock_name(plan.key), { timeout = options.lock_timeout or LOCK_TIMEOUT })
  end
  self.row, self.version = machine.row(store, plan.key)
  return self
end

local function check_routes(self, row)
  if row.phase ~= "linking" then return end
  local count = #names.leading_to(self.store, names.set(self.plan.sources))
  if count <= ROUTES_MAX then return end
  check.refuse("too_large", ("%d routes lead to %q, and one batch re-points at most %d"):format(
    count, self.plan.sources[1], ROUTES_MAX), "remove routes: see tycho route list")
end

--- A switch that is ready to go on from where the store is.
---@return tycho.Switch
function machine.new(store, plan, options)
  local self = open(store, plan, options)
  local ok, row = pcall(plan.begin, plan, self.row)
  local problem = row
  if ok then ok, problem = pcall(check_routes, self, row) end
  if not ok then
    self:close()
    error(problem, 0)
  end
  self.row = row
  self.linked_before = row.phase == "linking" and plan:linked(row) or 0
  return self
end

-- ---------------------------------------------------------------- one batch

--- Raises what ended a batch, unless the store refused it for something that the plan knows.
local function check_refused(self, err)
  if type(err) ~= "table" or err.what then error(err, 0) end -- of Lua, or a refusal of ours
  if err.code == "condition_failed" and err.condition <= FENCES then
    check.refuse("condition_failed",
      ("another process has gone on with this %s"):format(self.plan.kind),
      "call again to see where it is")
  end
end

--- Commits a batch that fill(batch, row) makes; the row becomes the one that is stored. Without
--- a row, it is deleted.
local function commit(self, row, fill)
  local batch <close> = self.store:batch()
  batch:expect_lock(self.lock:name(), self.lock:token())
  batch:expect_row(machine.table, self.plan.key, self.version)
  fill(batch)
  if row then
    batch:put_row(machine.table, self.plan.key, row)
  else
    batch:delete_row(machine.table, self.plan.key)
  end
  local receipt = batch:commit()
  self.pace.is_alone = self.sequence == receipt.sequence - 1
  self.sequence = receipt.sequence
  self.row, self.version = row, row and receipt.sequence or 0
  return receipt
end

local function copy(row)
  local result = {}
  for name, value in pairs(row) do
    result[name] = type(value) == "table" and copy(value) or value
  end
  return result
end

--- The same for what is done apart from linking and the switch, by plans too: their cancel.
function machine.commit(self, row, fill)
  local ok, err = pcall(commit, self, row, fill)
  if ok then return end
  check_refused(self, err)
  error(err, 0)
end

-- ---------------------------------------------------------------- steps

local function adapt(self, left)
  local is_lost = self.pace:note(self.left_before ~= nil and left >= self.left_before)
  self.left_before = left
  if is_lost or self.tries > TRIES_MAX then
    check.refuse("busy", ("publishers write faster than the %s links: %d entries are left"):format(
      self.plan.kind, left), "call again when they write less; it goes on from here")
  end
end

local function link(self, most)
  local row = copy(self.row)
  local ok, err = pcall(commit, self, row, function(batch)
    self.plan:expect(batch)
    self.plan:link(batch, row, math.min(most, self.pace:next_chunk()))
  end)
  if ok then return end
  check_refused(self, err)
  if not self.plan:explain(err) then error(err, 0) end
end

--- The last batch: what is left, and all names. Too late, it changed nothing and is tried again.
local function switch(self)
  local row, store, plan = copy(self.row), self.store, self.plan
  if plan.verify then plan:verify(row) end
  row.phase = "switched"
  local routes = names.leading_to(store, names.set(plan.sources))
  local ok, err = pcall(commit, self, row, function(batch)
    plan:expect(batch)
    for _, route in ipairs(routes) do batch:expect_route(route.name, route.stream) end
    plan:finish(batch, row)
    batch:set_route(plan.target, nil)
    for _, route in ipairs(routes) do
      if route.name ~= plan.target then
        batch:set_route(route.name, plan.target, { closed = route.closed or plan.closes_routes })
      end
    end
    for _, source in ipairs(plan.sources) do
      batch:set_route(source, plan.target, { closed = not row.forward })
    end
  end)
  if ok then return end
  check_refused(self, err)
  self.tries = self.tries + 1
  local are_routes_new = err.code == "condition_failed"
    and err.condition > FENCES + #plan.sources + 1
  if err.code == "too_large" or are_routes_new or plan:explain(err, self.tries) then return end
  error(err, 0)
end

local function count_entries(self)
  local total = 0
  for _, source in ipairs(self.plan.sources) do
    total = total + names.facts(self.store, source)
  end
  return total
end

--- Only while the names lead to the target: after an undo, the source is the living stream.
local function delete_sources(self)
  local row, routes = copy(self.row), {}
  row.phase, row.linked = "deleted", row.linked or count_entries(self)
  for index, source in ipairs(self.plan.sources) do
    routes[index] = self.store:route(source)
    if not routes[index] or names.resolve(self.store, source) ~= self.plan.target then
      check.refuse("condition_failed", ("%q does not lead to %q any more"):format(source,
        self.plan.target), "its entries are kept: see tycho route list")
    end
  end
  machine.commit(self, row, function(batch)
    for index, source in ipairs(self.plan.sources) do
      batch:expect_route(source, routes[index])
      batch:delete_stream(source, { raw = true })
    end
  end)
end

--- Whether nothing is left to be done.
---@return boolean
function Switch:is_done()
  check.self(self, Switch)
  if self.row == nil or self.is_planned or self.row.phase == "deleted" then return true end
  return self.row.phase == "switched" and not self.options.delete_source
end

--- Does one piece of the work: a chunk of links, the switch, or the deletion. Each is one batch.
---@return tycho.SwitchStatus
function Switch:step()
  check.self(self, Switch)
  if self:is_done() then return self:status() end
  if self.row.phase == "switched" then
    delete_sources(self)
    return self:status()
  end
  local left, _, most = self.plan:measure(self.row)
  adapt(self, left)
  most = math.min(left, most or left)
  if left > math.min(self.pace.chunk, LAST_MAX) or left > most then
    link(self, most)
  else
    switch(self)
  end
  return self:status()
end

--- All steps that are left.
---@return tycho.SwitchStatus
function Switch:run()
  check.self(self, Switch)
  local progress = self.options.progress or function() end
  local status = self:status()
  progress(status)
  while not self:is_done() do
    local started = core.monotonic()
    status = self:step()
    local microseconds = core.monotonic() - started
    progress(status)
    if not self:is_done() then self.pace:rest(microseconds) end
  end
  return status
end

--- Where it stands.
---@return tycho.SwitchStatus
function Switch:status()
  check.self(self, Switch)
  local plan, row = self.plan, self.row or { phase = "cancelled", forward = true, linked = 0 }
  local status = {
    kind = plan.kind, sources = plan.sources, target = plan.target, phase = row.phase,
    forward = row.forward, left = 0, routes = {},
  }
  local ends = row.phase == "linking" and plan.sources or { plan.target }
  local is_source = names.set(plan.sources)
  for _, route in ipairs(names.leading_to(self.store, names.set(ends))) do
    if not is_source[route.name] then status.routes[#status.routes + 1] = route.name end
  end
  if row.phase ~= "linking" then
    status.linked = row.linked or count_entries(self)
    status.total = status.linked
    return status
  end
  status.left, status.total = plan:measure(row)
  status.linked = plan:linked(row)
  if self.is_planned then status.phase = "planned" end
  self.pace:estimate(status, status.linked - (self.linked_before or 0))
  return status
end

--- Gives the lock back; the row stays, and the next call goes on from it. May be called twice.
function Switch:close()
  if self.lock then self.lock:release() end
end

Switch.__close = Switch.close

--- Takes out what a switch has linked so far, and forgets it.
---@return tycho.SwitchStatus
function machine.cancel(store, plan, options)
  local self <close> = open(store, plan, options)
  local row = self.row
  if not row or row.kind ~= plan.kind or not plan:is_own(row) then
    check.refuse("not_found", ("no %s of %s is under way"):format(plan.kind, plan:title()),
      "check the names")
  end
  if row.phase ~= "linking" then
    check.refuse("condition_failed", ("the %s of %s has switched already"):format(plan.kind,
      plan:title()), plan.kind == "rename" and "undo it instead" or "it cannot be cancelled")
  end
  if not self.is_planned then plan:cancel(self, row) end
  return self:status()
end

return machine
