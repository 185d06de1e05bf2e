--- The assertions of the experiment, on what the publishers were told and on what the store has.
---
--- The log, which no rename touches, is what happened. The target must have all of it, in order,
--- once, and at the revisions that the publishers were told; the source what it had, unchanged.

local experiment = require "experiment"

local proof = {}

local SHOWN_MAX = 5

--- Counts of what went wrong, by kind, with the first sentences that say what.
local function new_faults()
  return { lost = 0, doubled = 0, disordered = 0, false_conflicts = 0, damaged = 0, said = {} }
end

local function blame(faults, kind, format, ...)
  faults[kind] = faults[kind] + 1
  if #faults.said < SHOWN_MAX then
    faults.said[#faults.said + 1] = ("%s: " .. format):format(kind, ...)
  end
end

--- The entries of a stream, and the same by id.
local function entries_of(store, stream)
  local list, by_id = {}, {}
  for event in store:read():stream(stream):raw():each() do
    list[#list + 1] = event
    by_id[event.id] = event
  end
  return list, by_id
end

--- The target is the log: the same events in the same order, without a gap in the revisions.
local function compare_with_log(store, target, in_target, faults)
  local seen, position = {}, 0
  for index, event in ipairs(target) do
    if seen[event.id] then blame(faults, "doubled", "%s", event.id) end
    seen[event.id] = true
    if event.position <= position then
      blame(faults, "disordered", "%s at revision %d", event.id, event.revision)
    end
    if event.revision ~= index - 1 then
      blame(faults, "disordered", "%s has revision %d, not %d", event.id, event.revision, index - 1)
    end
    position = event.position
  end
  local count = 0
  for event in store:read():each() do
    count = count + 1
    if not in_target[event.id] then blame(faults, "lost", "%s is only in the log", event.id) end
  end
  if count ~= store:head() then blame(faults, "damaged", "%d of %d events", count, store:head()) end
end

--- The target begins with all that the source has, as links, and goes on with what is its own.
local function compare_with_source(store, target, faults)
  local source = entries_of(store, experiment.source)
  for index, event in ipairs(target) do
    local original = source[index]
    if original and (original.id ~= event.id or original.revision ~= event.revision) then
      blame(faults, "disordered", "revision %d is %s, was %s", index - 1, event.id, original.id)
    end
    local home = original and experiment.source or experiment.target
    if event.stream ~= home or event.is_link ~= (original ~= nil) then
      blame(faults, "disordered", "%s belongs to %s", event.id, event.stream)
    end
  end
  if #source > #target then blame(faults, "lost", "%d of the source", #source - #target) end
  return #source
end

--- Each publisher's events are there from the first to the last, in order, each decision on what
--- its publisher saw.
local function check_numbers(target, faults)
  local last, of = {}, {}
  for _, event in ipairs(target) do
    local publisher, number = event.data.publisher, event.data.number
    of[publisher] = of[publisher] or {}
    if of[publisher][number] then
      blame(faults, "doubled", "event %d of publisher %d", number, publisher)
    elseif number ~= (last[publisher] or 0) + 1 then
      blame(faults, number > (last[publisher] or 0) and "lost" or "disordered",
        "event %d of publisher %d comes behind %d", number, publisher, last[publisher] or 0)
    end
    of[publisher][number], last[publisher] = of[publisher][number] or event, number
    if event.data.decided_on and event.data.decided_on ~= event.revision then
      blame(faults, "false_conflicts", "%s was decided on %d events, and has revision %d", event.id,
        event.data.decided_on, event.revision)
    end
  end
  return of
end

--- What a publisher was told is what is there: an independent count, from its own file.
local function check_acknowledged(directory, publisher, events, faults)
  local count, last = 0, 0
  for _, line in ipairs(experiment.lines_of(directory, publisher, "ack")) do
    local number, position, revision = table.unpack(line)
    local event = events[number]
    count = count + 1
    if number <= last then
      blame(faults, "doubled", "event %d of publisher %d was acknowledged twice", number, publisher)
    end
    last = number
    if not event then
      blame(faults, "lost", "event %d of publisher %d", number, publisher)
    elseif event.position ~= position or event.revision ~= revision then
      blame(faults, "disordered", "%s is at %d, %d; acknowledged: %d, %d", event.id, event.position,
        event.revision, position, revision)
    end
  end
  return count
end

--- A conflict is true when somebody else had written the next revision since the head was read.
local function check_conflicts(directory, publisher, target, faults)
  local lines = experiment.lines_of(directory, publisher, "conflict")
  for _, line in ipairs(lines) do
    local expected, actual, head = table.unpack(line)
    local other = target[expected + 2]
    if actual <= expected or not other or other.data.publisher == publisher
      or other.position <= head then
      blame(faults, "false_conflicts", "publisher %d expected %d, found %d", publisher, expected,
        actual)
    end
  end
  return #lines
end

--- Checks all of it; `publishers` is how many there were. Gives the facts and the faults.
function proof.check(store, directory, publishers)
  local faults = new_faults()
  for _, finding in ipairs(store:verify().findings) do blame(faults, "damaged", "%s", finding) end
  local target, in_target = entries_of(store, experiment.target)
  compare_with_log(store, target, in_target, faults)
  local facts = { events = #target, acknowledged = 0, conflicts = 0, faults = faults }
  facts.linked = compare_with_source(store, target, faults)
  local of = check_numbers(target, faults)
  for publisher = 1, publishers do
    facts.acknowledged = facts.acknowledged
      + check_acknowledged(directory, publisher, of[publisher] or {}, faults)
    facts.conflicts = facts.conflicts + check_conflicts(directory, publisher, target, faults)
  end
  return facts
end

function proof.is_clean(faults)
  return #faults.said == 0
end

return proof
