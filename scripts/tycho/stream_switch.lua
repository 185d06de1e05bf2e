--- Renaming a stream while publishers keep writing; merging and splitting streams in the same way.
---
---   store:rename { source = "order-42", target = "item-42" }
---
--- 1. *Linking.* The entries of the source are linked into the target, chunk by chunk, each chunk
---    one batch. Publishers go on writing to the source, by its name or by a route; what they write
---    is linked in a later chunk.
--- 2. *The switch*, when little is left: one batch links the rest, makes the source's name a route
---    to the target (`forward = false`: a closed one, which refuses writers and leads readers on),
---    and re-points every route that leads to the source. A batch of a publisher comes before it,
---    and is linked by it, or after it, and resolves its name to the target. There is nothing in
---    between.
--- 3. The source's old entries stay under its raw name until they are deleted (`delete_source`, or
---    `tycho delete --raw`). That removes entries, never events. Until then `undo` links what came
---    since the switch back, and exchanges the names again.
---
--- **Who reads the source.**
---  * *Revisions* carry over, with their gaps: a publisher's expected version means the same
---    before, during and after. (Merge and split number the entries anew, so that an expected
---    version that was read before the switch does not fit after it.)
---  * *Links* in the source are entries like others; the target has them too. An event's `stream`
---    stays the name of its home, which leads to the target now.
---  * *Followers* and readers who use the name reach the target from the next call on; a follower
---    goes on behind the event that it served last.
---  * *Checkpoints* are positions of the log, and *read models* fold events: for both nothing
---    changes. A link takes no position, so nobody who follows the log sees a rename.
---  * *Metadata* of the source is put on the target with the switch.
---
--- **Pace**: where nobody else writes, there is no pause. Otherwise chunks are short, and each is
--- followed by a pause of 200 times the time it took: publishers hardly find the store taken. When
--- they are faster than that, there is none, and chunks grow until they are not.
---
--- **Interrupted**, by whatever, it is continued by the next call from where the store is; two
--- processes that do the same take turns. `cancel` takes the links out again. An occupied target is
--- refused; `merge` appends to it.
---
--- The parts: stream_switch/machine.lua is the loop, with its states; rename.lua, merge.lua and
--- split.lua say what is linked where; switcher.lua is the pattern with a lock and a pointer of
--- one's own.
local check = require "tycho.check"
local core = require "tycho.core"
local machine = require "tycho.stream_switch.machine"
local merge = require "tycho.stream_switch.merge"
local pace = require "tycho.pace"
local rename = require "tycho.stream_switch.rename"
local split = require "tycho.stream_switch.split"
local switcher = require "tycho.stream_switch.switcher"

core.own()

local stream_switch = { switcher = switcher.new }

local SHARED = {
  "cancel", "chunk", "delete_source", "dry_run", "forward", "lock_timeout", "pause", "progress",
}

local function own_options(...)
  return table.move(SHARED, 1, #SHARED, select("#", ...) + 1, { ... })
end

local RENAME = own_options("source", "target", "undo")
local MERGE = own_options("sources", "target")
local SPLIT = own_options("source", "rule", "rule_version", "default")

--- The options that all kinds have, checked, in a table of our own.
local function take_options(options, known)
  check.options(check.table(options, "options"), known)
  local taken = {}
  for name, value in pairs(options) do taken[name] = value end
  for _, name in ipairs { "cancel", "delete_source", "dry_run", "undo" } do
    taken[name] = check.boolean(options[name], name)
  end
  taken.forward = options.forward == nil or check.boolean(options.forward, "forward")
  pace.check(options)
  return taken
end

local function check_different(source, target)
  if source == target then core.misuse(("the target is the source, %q"):format(source)) end
end

-- ---------------------------------------------------------------- rename

--- Whether a row is of a rename of `source`, in one of the phases.
local function is_rename(row, source, ...)
  if not row or row.kind ~= "rename" or row.sources[1] ~= source then return false end
  for _, phase in ipairs { ... } do
    if row.phase == phase then return true end
  end
  return false
end

--- The plan of the way back of a rename that has switched.
local function undo_plan(store, source, target)
  local there, back = machine.row(store, target), machine.row(store, source)
  local title = ("the rename of %q to %q"):format(source, target)
  if is_rename(there, source, "linking") then
    check.refuse("condition_failed", title .. " has not switched yet", "cancel it instead")
  elseif is_rename(there, source, "deleted") then
    check.refuse("not_found", title .. " cannot be undone: the source's old entries are deleted",
      ("rename %q to %q instead"):format(target, source))
  elseif not (store:route(source) and store.box:resolve(source) == target)
    and not is_rename(there, source, "switched")
    and not is_rename(back, target, "linking", "switched") then
    check.refuse("not_found", title .. " is not known", "check the names")
  end
  return rename.new(store, target, source, true)
end

--- Which of the two directions is under way, for cancel.
local function plan_under_way(store, source, target)
  if is_rename(machine.row(store, source), target, "linking") then
    return rename.new(store, target, source, true)
  end
  return rename.new(store, source, target, true)
end

local function rename_plan(store, options)
  local source, target = check.name(options.source, "source"), check.name(options.target, "target")
  check_different(source, target)
  if options.undo and options.cancel then core.misuse("undo and cancel exclude each other") end
  if options.undo and options.delete_source then
    core.misuse("undo and delete_source exclude each other")
  end
  if options.cancel then return plan_under_way(store, source, target) end
  if options.undo then
    local plan = undo_plan(store, source, target)
    plan.forward = options.forward
    return plan
  end
  return rename.new(store, source, target, options.forward)
end

-- ---------------------------------------------------------------- merge, split

local SOURCES_MAX = 64

local function merge_plan(store, options)
  local sources = check.names(options.sources, "sources")
  local target, seen = check.name(options.target, "target"), {}
  if #sources == 0 or #sources > SOURCES_MAX then
    core.misuse(("sources must be 1 to %d streams, got %d"):format(SOURCES_MAX, #sources))
  end
  for _, source in ipairs(sources) do
    check_different(source, target)
    if seen[source] then core.misuse(("sources names %q twice"):format(source)) end
    seen[source] = true
  end
  return merge.new(store, sources, target, options.forward)
end

local function split_plan(store, options)
  check.name(options.source, "source")
  check.callable(options.rule, "rule")
  if options.default ~= nil then
    check_different(options.source, check.name(options.default, "default"))
  end
  if options.rule_version ~= nil then check.string(options.rule_version, "rule_version") end
  return split.new(store, options)
end

-- ---------------------------------------------------------------- the three

local kinds = {
  rename = { known = RENAME, plan = rename_plan },
  merge = { known = MERGE, plan = merge_plan },
  split = { known = SPLIT, plan = split_plan },
}

--- A switch that is ready to go on, for hosts that drive it themselves: repeat switch:step() until
--- switch:is_done(), then switch:close(). Between two steps anything may happen.
---@param store tycho.Store
---@param kind "rename"|"merge"|"split"
---@param options tycho.RenameOptions|tycho.MergeOptions|tycho.SplitOptions
---@return tycho.Switch
function stream_switch.prepare(store, kind, options)
  local taken = take_options(options, kinds[kind].known)
  if taken.cancel then core.misuse("cancel has no steps") end
  return machine.new(store, kinds[kind].plan(store, taken), taken)
end

--- All of it: what store:rename, store:merge and store:split do.
---@return tycho.SwitchStatus
function stream_switch.run(store, kind, options)
  local taken = take_options(options, kinds[kind].known)
  local plan = kinds[kind].plan(store, taken)
  if taken.cancel then return machine.cancel(store, plan, taken) end
  local switch <close> = machine.new(store, plan, taken)
  return switch:run()
end

return stream_switch
