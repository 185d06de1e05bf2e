--- The plan of a merge: what the sources have is linked behind what the target has, in the order
--- of positions, as far as each source is in that order itself: within a source nothing changes
--- places.
---
--- The row has {kind, sources, phase, forward, base, done, first, last, seen, seen_id}: the target
--- was at the revision `base` when it began, and its last entry had the revision `seen` before the
--- last chunk was linked; of each source all entries before the revision `first` are done, the last
--- of them with the id `last`. Others may go on writing to the target. An event that the target has
--- already is not linked again. What is taken out of a source after it was linked stays in the
--- target.
local check = require "tycho.check"
local core = require "tycho.core"
local machine = require "tycho.stream_switch.machine"
local names = require "tycho.stream_switch.names"

core.own()

local UNLINK_MAX = 1000

local Merge = { kind = "merge" }
Merge.__index = Merge

local function new(store, sources, target, forward)
  return setmetatable({
    store = store, key = target, sources = sources, target = target, forward = forward,
  }, Merge)
end

function Merge:title()
  local quoted = {}
  for index, source in ipairs(self.sources) do quoted[index] = ("%q"):format(source) end
  return ("%s to %q"):format(table.concat(quoted, ", "), self.target)
end

function Merge:is_own(row) return row.kind == "merge" and names.same(row.sources, self.sources) end

-- ---------------------------------------------------------------- beginning

local function all_lead_to_target(self)
  for _, source in ipairs(self.sources) do
    if names.resolve(self.store, source) ~= self.target then return false end
  end
  return true
end

function Merge:begin(row)
  local is_own = row and self:is_own(row)
  if is_own then self.sources = row.sources end
  if is_own and row.phase ~= "linking" and all_lead_to_target(self) then return row end
  if row and row.phase == "linking" and not is_own then
    check.refuse("busy", ("a %s of %q to %q is under way"):format(row.kind, row.sources[1],
      self.target), "finish or cancel it first")
  end
  for _, source in ipairs(self.sources) do names.check_source(self.store, source) end
  names.check_target(self.store, self.target, names.set(self.sources))
  self.target_route = self.store:route(self.target)
  if is_own and row.phase == "linking" then
    row.forward = self.forward
    return row
  end
  local first, last = {}, {}
  for index in ipairs(self.sources) do first[index], last[index] = 0, "" end
  return {
    kind = "merge", sources = self.sources, phase = "linking", forward = self.forward, done = 0,
    base = self.store:stream_version(self.target, { raw = true }), first = first, last = last,
  }
end

-- ---------------------------------------------------------------- linking

function Merge:measure(row)
  local left, total = 0, 0
  for index, source in ipairs(row.sources) do
    left = left + names.left(self.store, source, row.first[index] - 1)
    total = total + names.facts(self.store, source)
  end
  return left, total
end

function Merge.linked(_, row) return row.done end

function Merge:expect(batch)
  for _, source in ipairs(self.sources) do batch:expect_route(source, nil) end
  batch:expect_route(self.target, self.target_route)
end

--- Calls take(event, index) with the next entries of all sources, at most `count` of them: always
--- the one with the lowest position. What is published while the sources are opened is left for
--- later: one that was opened before may lack what another one has.
local function each_merged(self, row, count, take)
  local head = self.store:head()
  local heads, nexts, listings = {}, {}, {}
  local _ <close> = setmetatable({}, { __close = function()
    for _, listing in ipairs(listings) do listing:close() end
  end })
  local function advance(index)
    local event = nexts[index]()
    heads[index] = event and event.position <= head and event or nil
  end
  for index, source in ipairs(row.sources) do
    local spec = self.store:read():stream(source):raw():from_revision(row.first[index] - 1)
    local next_event, _, _, listing = spec:limit(count):each()
    nexts[index], listings[index] = next_event, listing
    advance(index)
  end
  for _ = 1, count do
    local lowest
    for index, event in pairs(heads) do
      if not lowest or event.position < heads[lowest].position then lowest = index end
    end
    if not lowest then return end
    take(heads[lowest], lowest)
    advance(lowest)
  end
end

--- That nobody deleted the target, or a source and wrote to it again, since the last chunk.
local function check_streams(self, row)
  local is_gone = row.done > 0 and self.store:stream_version(self.target, { raw = true }) == -1
  if is_gone or row.seen and names.is_replaced(self.store, self.target, row.seen, row.seen_id) then
    check.refuse("condition_failed", ("the stream %q was deleted while it was merged into"):format(
      self.target), "cancel the merge, and begin it again")
  end
  local last = self.store:read():stream(self.target):raw():last()
  if last then row.seen, row.seen_id = last.revision, last.id end
  for index, source in ipairs(row.sources) do
    if names.is_replaced(self.store, source, row.first[index] - 1, row.last[index]) then
      check.refuse("condition_failed", ("the stream %q was deleted while it was merged"):format(
        source), "cancel the merge, and begin it again")
    end
  end
end

function Merge:link(batch, row, count)
  check_streams(self, row)
  local ids, seen = {}, {}
  each_merged(self, row, count, function(event, index)
    if not seen[event.id] then ids[#ids + 1] = event.id end
    seen[event.id] = true
    row.first[index], row.last[index] = event.revision + 1, event.id
  end)
  row.done = row.done + #ids
  if #ids > 0 then batch:link(self.target, ids, { raw = true, on_duplicate = "skip" }) end
end

function Merge:finish(batch, row)
  check_streams(self, row)
  local sources = {}
  for index, source in ipairs(row.sources) do sources[index] = { source, row.first[index] } end
  batch:link_merged(sources, self.target, { raw = true, on_duplicate = "skip" })
end

function Merge:explain(err)
  if err.code == "condition_failed" then
    check.refuse("condition_failed", ("the routes of %s were changed meanwhile"):format(
      self:title()), "see tycho route list, and call again")
  end
  return false
end

-- ---------------------------------------------------------------- cancelling

--- The links behind `base` of what the sources have; a stream that has nothing left goes as a
--- whole, so that its revisions begin at 0 again.
function Merge:cancel(switch, row)
  local ids = {}
  for event in self.store:read():stream(self.target):raw():from_revision(row.base):each() do
    for index, source in ipairs(row.sources) do
      local revision = event.is_link and self.store:revision(event.id, source, { raw = true })
      if revision and revision < row.first[index] then
        ids[#ids + 1] = event.id
        break
      end
    end
  end
  for first = 1, #ids, UNLINK_MAX do
    local part = table.move(ids, first, math.min(first + UNLINK_MAX - 1, #ids), 1, {})
    machine.commit(switch, row, function(batch) batch:unlink(self.target, part, { raw = true }) end)
  end
  local count, version = names.facts(self.store, self.target)
  local metadata = self.store:stream_metadata(self.target, { raw = true })
  machine.commit(switch, nil, function(batch)
    if count > 0 or row.base ~= -1 or version == -1 or metadata ~= nil then return end
    batch:delete_stream(self.target, { raw = true, expected_version = version })
  end)
end

return { new = new }
