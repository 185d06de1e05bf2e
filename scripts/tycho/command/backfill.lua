--- The verb `backfill`: a linker is deployed with its older events. The work is done by
--- scripts/tycho/backfill.lua; here is what is said about it.
---
--- Ctrl-C ends the work between two batches; the same command goes on with it.
local failure = require "tycho.command.failure"
local output = require "tycho.command.output"
local progress = require "tycho.command.progress"
local shared = require "tycho.command.shared"

local chunk_max = require("tycho.pace").chunk_max

local backfill = { name = "backfill", keeps_interrupt = true }

function backfill.define(command)
  command:summary "Deploy a linker with its older events, while others write"
  command:description [[
Links the events that are there already, in order, while publishers go on, and deploys
the linker with the last of them: its streams are those of a store that had it from the start.
LINKER is its file (with a "/" or ending in .lua), or the name of one that was begun or is
deployed.]]
  command:argument("linker", "File or name"):argname "LINKER"
  command:option("--chunk", "Events that are read for one batch; default: up to 5000")
    :argname "COUNT":convert(shared.integer("--chunk", 1, chunk_max))
  command:option("--pause", "Seconds between two batches; default: some while others write")
    :argname "SECONDS":convert(shared.seconds("--pause"))
  command:flag("--dry-run", "Say what would be done, and change nothing")
  command:flag("--cancel", "Take the links out again of one that is not deployed yet")
end

local function counted(count, noun)
  return count == 1 and "1 " .. noun or ("%s %ss"):format(output.count(count), noun)
end

-- What holds now, in a sentence.
local function describe(status)
  local title = ("linker/%s %d"):format(status.name, status.version)
  if status.phase == "planned" then
    local text = ("%s of the store would be looked at"):format(counted(status.left, "event"))
    if status.is_beside then
      text = text .. ", then streams that lack some or have too many be made anew"
    end
    local verb = status.is_deployed and "is deployed" or "would be deployed"
    return ("%s; %s %s\nnothing was changed\n"):format(text, title, verb)
  elseif status.phase == "cancelled" then
    return ("the back-fill of linker/%s is cancelled, and its links are taken out\n"):format(
      status.name)
  end
  local text = counted(status.linked, "link") .. " made"
  if status.unlinked > 0 then
    text = text .. (", %s taken out"):format(output.count(status.unlinked))
  end
  return ("%s; %s is deployed and complete\n"):format(text, title)
end

local function fraction_of(status)
  if status.phase == "mending" or status.phase == "preparing" then return nil end
  return status.total > 0 and status.position / status.total or nil
end

local function is_interrupt(err) return type(err) == "string" and err:find("interrupted!$") end

local function options_of(arguments)
  local options = {
    chunk = arguments.chunk, pause = arguments.pause, dry_run = arguments.dry_run,
    cancel = arguments.cancel,
  }
  local is_file = arguments.linker:find("/", 1, true) or arguments.linker:find("%.lua$")
  options[is_file and "file" or "linker"] = arguments.linker
  return options
end

function backfill.run(arguments, printed)
  if arguments.cancel and arguments.dry_run then
    failure.usage("--cancel and --dry-run exclude each other")
  end
  local options = options_of(arguments)
  local store <close> = shared.open(arguments, arguments.dry_run and "read_only" or "existing")
  local shown, last = progress.new("events"), nil
  function options.progress(status)
    last = status
    shown:update(status.position, fraction_of(status))
  end
  local ok, status = pcall(store.backfill, store, options)
  shown:finish()
  if not ok and options.linker and failure.code(status) == "not_found" then
    failure.raise(4, failure.text(status.what or status),
      "see what is deployed with: tycho scripts; a file needs its \".lua\" or a \"/\"")
  end
  if not ok and not is_interrupt(status) then error(status, 0) end
  if ok then
    status.rate, status.eta, status.sequence = nil, nil, nil
    if printed.json then return printed:object(status) end
    return printed:write(describe(status))
  end
  local what = "interrupted before it began"
  if last and last.phase == "linking" then
    what = ("interrupted at %s of %s"):format(output.count(last.position),
      counted(last.total, "event"))
  elseif last and last.phase ~= "new" then
    what = ("interrupted while %s"):format(last.phase)
  end
  failure.raise(130, what, "the same command goes on from here; to give it up: --cancel")
end

return backfill
