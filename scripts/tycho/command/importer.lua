--- Writes items of a source to a store in durable batches, each event once.
---
--- An item is an event that has an id, with its home stream and the streams it is linked into, or
--- an operation; `at` is for the source, which knows the place from it:
---
---   { event =, stream = nil for the log alone, links = { stream, ... }?, overwritten =, at = }
---   { link = stream, id = }   { route =, stream =, closed = }
---   { metadata_of = stream, metadata = }
--- The streams of the last three are taken by their own names.
---
--- A batch is committed in the hope that none of its events exists. If one does, those that exist
--- are taken out, and the following batches are looked through first, for as long as that finds
--- something: a first import asks for nothing, a repeated one does little else. If an item is
--- refused, the batch is built again with one operation an item, so that the refusal names the
--- item; what stands before it is committed.
---
--- Scripts that came as events of the stream "$scripts" are in force when all is imported, so that
--- the events between them are taken as they were stored. A store that has scripts of its own takes
--- no such history. Then those that were overwritten under them are, again.
local failure = require "tycho.command.failure"

local none = {}
local scripts_stream = "$scripts"
local events_max, links_max, batch_size_max = 10000, 1000, 8 << 20

-- Refusals that are not the fault of an item.
local fatal = {
  full = true, busy = true, timeout = true, denied = true, no_memory = true, io = true,
  unknown_outcome = true, forked = true, newer_format = true, corrupt = true,
}

---@class tycho.command.Importer
---@field counts { events: integer, existed: integer, links: integer, refused: integer }
local Importer = {}
Importer.__index = Importer

---@class tycho.command.ImportOptions
---@field batch integer             events written together
---@field on_error "stop"|"skip"
---@field warn fun(what: string, advice: string?)
---@field progress fun(done: integer, fraction: number?)

---@param store tycho.Store
---@param source table
---@param options tycho.command.ImportOptions
local function new(store, source, options)
  return setmetatable({
    store = store,
    source = source,
    options = options,
    batch = store:batch(),
    pending = {}, cost = 0, size = 0, overwritten = {},
    counts = { events = 0, existed = 0, links = 0, refused = 0 },
  }, Importer)
end

function Importer:refuse(place, message, advice)
  self.counts.refused = self.counts.refused + 1
  local what = place .. ": " .. message
  if self.options.on_error == "skip" then return self.options.warn(what, advice) end
  failure.raise(1, what, advice or "correct it, or leave such lines out: --on-error skip")
end

-- Adds the operations of the items first..last, which go to one stream.
function Importer:build_run(first, last)
  local batch, pending = self.batch, self.pending
  local item = pending[first]
  self.building = first
  if item.event then
    local events = item.event
    if last > first then
      events = {}
      for index = first, last do events[index - first + 1] = pending[index].event end
    end
    batch:append(item.stream, events)
    self:note(first)
  elseif item.link then
    local ids = {}
    for index = first, last do ids[index - first + 1] = pending[index].id end
    batch:link(item.link, ids, { on_duplicate = "skip", raw = true })
    self:note(first, true)
  elseif item.route then
    batch:set_route(item.route, item.stream, { closed = item.closed })
    self:note(first)
  elseif item.metadata_of then
    batch:set_stream_metadata(item.metadata_of, item.metadata, { raw = true })
    self:note(first)
  end
  for _, stream in ipairs(item.links or none) do
    batch:link(stream, item.event.id, { on_duplicate = "skip" })
    self:note(first, true)
  end
end

-- Remembers which item the next operation of the batch belongs to, and whether it makes links.
function Importer:note(index, is_link)
  local operations = self.operations
  operations[#operations + 1] = index
  if is_link then self.link_operations[#operations] = true end
end

-- Whether two neighbours can be one operation.
local function same_run(a, b)
  if a.links or b.links then return false end
  if a.event then return b.event and a.stream == b.stream end
  return a.link and a.link == b.link
end

-- Builds and commits what is pending; raises what the store raises.
function Importer:try()
  local pending, count = self.pending, #self.pending
  self.operations, self.link_operations = {}, {}
  self.batch:clear()
  local first = 1
  while first <= count do
    local last = first
    while not self.one_by_one and last < count and same_run(pending[first], pending[last + 1]) do
      last = last + 1
    end
    self:build_run(first, last)
    first = last + 1
  end
  self.building = nil
  if count == 0 then return end
  local receipt = self.batch:commit()
  self.counts.events = self.counts.events + receipt.event_count
  for index in pairs(self.link_operations) do
    self.counts.links = self.counts.links + receipt.results[index].count
  end
end

-- Takes out the items whose events are stored already or come twice; whether there were any.
function Importer:drop_existing()
  local kept, seen = {}, {}
  for _, item in ipairs(self.pending) do
    local id = item.event and item.event.id
    if id and (seen[id] or self.store:has_event(id)) then
      self.counts.existed = self.counts.existed + 1
    else
      kept[#kept + 1] = item
      if id then seen[id] = true end
    end
  end
  local is_changed = #kept < #self.pending
  self.pending = kept
  return is_changed
end

-- The index of the item that an error is about; nil when it is about none.
function Importer:culprit(err)
  if self.building then return self.building end
  local code = failure.code(err)
  if not code or fatal[code] then return nil end
  if code ~= "rejected" then return err.operation and self.operations[err.operation] end
  for index, item in ipairs(self.pending) do
    if item.event and item.event.id == err.event_id then return index end
  end
end

-- Deals with an item that the store refuses: everything before it stays pending, and, when such
-- items are skipped, everything behind it. Gives what is to be raised once that is committed.
function Importer:drop_refused(err)
  local index = self:culprit(err)
  if not index then
    self.pending = {}
    error(err, 0)
  end
  if not self.one_by_one then
    self.one_by_one = true
    return nil
  end
  local item = self.pending[index]
  local is_raised, raised = pcall(self.refuse, self, self.source:place(item), failure.text(err))
  if is_raised then
    table.remove(self.pending, index)
    return nil
  end
  for last = #self.pending, index, -1 do self.pending[last] = nil end
  return raised
end

--- Commits what is pending.
function Importer:flush()
  local refusal
  if self.is_repeating and not self:drop_existing() then self.is_repeating = false end
  while #self.pending > 0 do
    local ok, err = pcall(self.try, self)
    if ok then break end
    local code = failure.code(err)
    -- Events that exist may name a stream whose name was closed since, or not fit a script.
    local may_exist = code == "duplicate_event" or code == "denied" or code == "rejected"
    if may_exist and self:drop_existing() then
      self.is_repeating = true
    else
      refusal = self:drop_refused(err) or refusal
    end
  end
  self.pending, self.cost, self.size, self.one_by_one = {}, 0, 0, false
  if refusal then error(refusal, 0) end
  local counts = self.counts
  self.options.progress(counts.events + counts.existed, self.source:fraction())
end

-- An event of the history of scripts: whether it goes into a batch, which a store refuses that has
-- these scripts already.
function Importer:admit_script(item)
  self.has_scripts = true
  if self.store:has_event(item.event.id) then
    self.counts.existed = self.counts.existed + 1
    return false
  end
  if #self.store:scripts() == 0 then return true end
  self:refuse(self.source:place(item), "the store has scripts, and one history of them",
    "import into a new store, or leave out the events of the stream " .. scripts_stream)
  return false
end

function Importer:add(item, size)
  local links = item.links
  if item.stream == scripts_stream and not self:admit_script(item) then return end
  if item.overwritten then self.overwritten[#self.overwritten + 1] = item end
  local cost = 1 + (links and #links or 0)
  if cost > links_max then return self:add_apart(item, size) end
  if self.cost + cost > events_max then self:flush() end
  local pending = self.pending
  local count = #pending + 1
  pending[count] = item
  self.cost, self.size = self.cost + cost, self.size + size
  if count >= self.options.batch or self.size >= batch_size_max then self:flush() end
end

-- An event with too many links for one batch: they become operations of their own, which are
-- carried out even if the event exists.
function Importer:add_apart(item, size)
  local links, id = item.links, item.event.id
  item.links = nil
  self:add(item, size)
  for _, stream in ipairs(links) do self:add({ link = stream, id = id, at = item.at }, 0) end
end

--- Imports all there is. Whatever ends it early, what was read until then is committed first.
function Importer:run()
  local source = self.source
  local ok, err = pcall(function()
    while true do
      local item, size, advice = source:next()
      if item then
        self:add(item, size)
      elseif item == nil then
        break
      else
        self:refuse(source:place(), size, advice)
      end
    end
  end)
  self:flush()
  if not ok then error(err, 0) end
  if self.has_scripts then
    self.store:deploy { restore = true }
    self:overwrite()
  end
end

-- Overwrites again what was; not what an earlier run of the import did.
function Importer:overwrite()
  for _, item in ipairs(self.overwritten) do
    local stored = self.store:read():stored():with_id(item.event.id):first()
    if stored and not stored.written then self.store:overwrite(item.event) end
  end
end

function Importer:close()
  self.batch:close()
  self.source:close()
end

Importer.__close = Importer.close

return { new = new }
