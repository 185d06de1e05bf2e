--- What a merge or split has linked itself, so that its cancel takes out that and nothing else.
---
--- `own` of its row has for each target {ranges, id, count}: the revisions of its links, as a list
--- of first, last, first, last ...; and of the last chunk, the last event and how many were linked.
--- The links of one batch follow each other, so that the revision of the last one says where they
--- are, whatever others wrote to the target meanwhile. For that, a chunk links nothing that the
--- target has already: a chunk with such an event is refused, and made anew with a look at each.
local check = require "tycho.check"
local core = require "tycho.core"
local machine = require "tycho.stream_switch.machine"

core.own()

local UNLINK_MAX = 1000
local RAW = { raw = true }

local links = {}

--- Adds links of events to a batch, and says so in its row. With `look`, those that the target has
--- are left out; without, they end in event_duplicated_in_stream. `name` leads to the target.
function links.add(store, batch, row, link)
  local ids = link.ids
  if link.look then
    ids = {}
    for _, id in ipairs(link.ids) do
      if not store:revision(id, link.target, RAW) then ids[#ids + 1] = id end
    end
  end
  if #ids == 0 then return end
  local own = row.own[link.target] or { ranges = {} }
  row.own[link.target] = own
  own.id, own.count = ids[#ids], #ids
  batch:link(link.name, ids, { raw = link.name == link.target })
end

--- Finds out where the last chunk is. False: the target has lost it.
local function settle(store, target, own)
  if not own.id then return true end
  local last = store:revision(own.id, target, RAW)
  if not last then return false end
  if own.count == 0 then return true end
  local ranges, first = own.ranges, last - own.count + 1
  if ranges[#ranges] == first - 1 then
    ranges[#ranges] = last
  else
    ranges[#ranges + 1] = first
    ranges[#ranges + 1] = last
  end
  own.count = 0
  return true
end

--- Refuses to go on when a target was deleted since something was linked into it. Called before
--- the next chunk is noted. `done` is "merged" or "split".
function links.check(store, row, done)
  for target, own in pairs(row.own) do
    if not settle(store, target, own) then
      check.refuse("condition_failed",
        ("the stream %q was deleted while it was %s into, or lost what was linked"):format(target,
          done), ("cancel the %s, and begin it again"):format(row.kind))
    end
  end
end

--- Takes out links with revisions of a range, from the end.
local function unlink_range(switch, store, row, target, first, last)
  local spec = store:read():stream(target):raw():backward():to_revision(first - 1)
  while last >= first do
    local ids, before = {}, first - 1
    for event in spec:from_revision(last + 1):limit(UNLINK_MAX):each() do
      if event.is_link then ids[#ids + 1] = event.id end
      before = event.revision - 1
    end
    last = before
    if #ids > 0 then
      machine.commit(switch, row, function(batch) batch:unlink(target, ids, RAW) end)
    end
  end
end

--- Takes out all that is noted, in several batches that store the row, too: begun again, the switch
--- must find there that it has to begin with the first entry.
function links.unlink(switch, store, row)
  for target, own in pairs(row.own) do
    settle(store, target, own)
    own.id, own.count = nil, 0
  end
  for target, own in pairs(row.own) do
    local ranges = own.ranges
    local is_deleted = store:stream_version(target, RAW) < (ranges[#ranges] or -1)
    for index = is_deleted and 0 or #ranges - 1, 1, -2 do
      unlink_range(switch, store, row, target, ranges[index], ranges[index + 1])
    end
  end
end

return links
