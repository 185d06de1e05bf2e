--- The plan of a rename: the target becomes an image of the source, revision by revision.
---
--- The row has {kind, sources = {source}, phase, forward, base, reached}: what the target has is
--- exactly what the source has up to the revision `reached`, which is the target's version; when it
--- began, that was `base`.
---
--- A rename back is the same with the names exchanged: then the target's own entries are there
--- already, as an image that ends where the names were switched, and only what came later is
--- linked. That is what undo does.
local check = require "tycho.check"
local core = require "tycho.core"
local machine = require "tycho.stream_switch.machine"
local names = require "tycho.stream_switch.names"

core.own()

local GAPS_MAX = 100 -- of one batch, about

local Rename = { kind = "rename" }
Rename.__index = Rename

local function new(store, source, target, forward)
  return setmetatable({
    store = store, key = target, source = source, sources = { source }, target = target,
    forward = forward,
  }, Rename)
end

function Rename:title() return ("%q to %q"):format(self.source, self.target) end

function Rename:is_own(row) return row.kind == "rename" and row.sources[1] == self.source end

-- ---------------------------------------------------------------- beginning

local function refuse_written(self)
  check.refuse("wrong_expected_version",
    ("somebody else has written to %q, or taken something out of it, while it was filled from %q")
      :format(self.target, self.source), "cancel the rename, and begin it again")
end

--- The revision up to which the target is an image of the source already: -1 when it is new.
local function find_image(self)
  local count, version = names.facts(self.store, self.target)
  if version == -1 then return -1 end
  if not self.target_route then
    check.refuse("wrong_expected_version", ("the stream %q has %s"):format(self.target, count > 0
      and ("%d entries of its own"):format(count) or "been written to before"),
      "choose another name, delete it, or ask for a merge")
  end
  local is_image = names.is_image(self.store, self.source, self.target, version)
  local _, last = names.facts(self.store, self.source)
  if is_image and version <= last then return version end
  check.refuse("wrong_expected_version", is_image
    and ("the revisions of %q went on to %d, those of %q only to %d"):format(self.target, version,
      self.source, last)
    or ("the old entries of %q are not those with which %q begins"):format(self.target,
      self.source),
    ("delete them by the raw name first, if %q has all that is wanted"):format(self.source))
end

--- A rename that is under way goes on; one that is done stays done; else it begins.
function Rename:begin(row)
  local is_own = row and self:is_own(row)
  if is_own and row.phase ~= "linking" and self.store:route(self.source)
    and names.resolve(self.store, self.source) == self.target then
    return row
  end
  if row and row.phase == "linking" and not is_own then
    check.refuse("busy", ("a %s of %q to %q is under way"):format(row.kind, row.sources[1],
      self.target), "finish or cancel it first")
  end
  names.check_source(self.store, self.source)
  names.check_target(self.store, self.target, { [self.source] = true })
  self.target_route = self.store:route(self.target)
  if is_own and row.phase == "linking" then
    local _, version = names.facts(self.store, self.target)
    if version ~= row.reached then refuse_written(self) end
    row.forward = self.forward
    return row
  end
  local reached = find_image(self)
  return {
    kind = "rename", sources = { self.source }, phase = "linking", forward = self.forward,
    base = reached, reached = reached,
  }
end

-- ---------------------------------------------------------------- linking

--- A gap between revisions costs as much as a hundred links: where there are many, fewer revisions
--- go into a batch.
function Rename:measure(row)
  local count, version = names.facts(self.store, self.source)
  if version < row.reached then self:refuse_lost() end
  local first = names.next_revision(self.store, self.source, -1) or 0
  local revisions = version + 1 - first
  local gaps = revisions - count
  return names.left(self.store, self.source, row.reached), count,
    gaps > 0 and 1 + GAPS_MAX * revisions // gaps or nil
end

function Rename:linked()
  return (names.facts(self.store, self.target))
end

function Rename:expect(batch)
  batch:expect_route(self.source, nil):expect_route(self.target, self.target_route)
end

local function add_links(self, batch, row, last)
  batch:link_range(self.source, row.reached + 1, last, self.target, {
    keep_revisions = true, raw = true,
    expected_version = row.reached == -1 and "none" or row.reached,
  })
end

--- Begins and ends with an entry that is there: what was truncated costs nothing, and the target
--- then is at the revision of the last one.
function Rename:link(batch, row, count)
  local first = names.next_revision(self.store, self.source, row.reached)
  if not first then return end -- taken out since it was measured
  local last = names.last_revision(self.store, self.source, first + count)
  add_links(self, batch, row, last)
  row.reached = last
end

function Rename:finish(batch, row)
  add_links(self, batch, row, nil)
  local metadata = self.store:stream_metadata(self.source, { raw = true })
  if metadata ~= nil or row.base ~= -1 then -- an image may have had some before
    batch:set_stream_metadata(self.target, metadata, { raw = true })
  end
end

function Rename:refuse_lost()
  check.refuse("condition_failed",
    ("entries were taken out of %q after they had been linked into %q"):format(self.source,
      self.target), "cancel the rename, and begin it again")
end

--- Writers cannot get between this and the last batch unnoticed, nor can who writes to the target.
--- Only who deletes or unlinks in the source in the millisecond between is not: the target keeps
--- what was linked.
function Rename:verify(row)
  if row.reached == -1 then return end
  if not names.looks_like_image(self.store, self.source, self.target, row.reached) then
    self:refuse_lost()
  end
end

function Rename:explain(err)
  if err.code == "wrong_expected_version" then refuse_written(self) end
  if err.code == "condition_failed" then
    check.refuse("condition_failed", ("the routes of %q or %q were changed meanwhile"):format(
      self.source, self.target), "see tycho route list, and call again")
  end
  return false
end

-- ---------------------------------------------------------------- cancelling

--- An image that was there before stays, longer than it was. Of a new target only its own links go.
function Rename:cancel(switch, row)
  local count, version = names.facts(self.store, self.target)
  local metadata = self.store:stream_metadata(self.target, { raw = true })
  machine.commit(switch, nil, function(batch)
    if row.base ~= -1 or count == 0 then return end
    if version ~= row.reached then
      batch:truncate(self.target, row.reached + 1, { raw = true })
      return
    end
    batch:delete_stream(self.target, { raw = true, expected_version = version })
    if metadata ~= nil then
      batch:set_stream_metadata(self.target, metadata, { raw = true })
    end
  end)
end

return { new = new }
