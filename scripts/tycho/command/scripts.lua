--- The verbs of deployed scripts: `deploy`, `scripts` and its actions, `check-schema`. The work is
--- done by scripts/tycho/deploy.lua; here is what is said about it.
local failure = require "tycho.command.failure"
local input = require "tycho.command.input"
local progress = require "tycho.command.progress"
local shared = require "tycho.command.shared"
local deploy_scripts = require "tycho.deploy"
local tycho = require "tycho"

local rollback_advice = "an event type never goes back: deploy a higher version, with upcasters"

local function key_of(line) return line.kind .. "/" .. line.name end

-- "FILE:12", or "FILE" where the line is not known.
local function place(file, line)
  return line and ("%s:%d"):format(file, line) or file
end

-- Compiles what was read from a file; fails with its line.
local function compile(item)
  local ok, script = pcall(tycho.script, item.source, item.label)
  if ok then return script end
  if failure.code(script) ~= "rejected" then error(script, 0) end
  failure.raise(1, ("%s: %s"):format(place(item.label, script.line), script.reason), "correct it")
end

-- ---------------------------------------------------------------- plans

-- "changed    linker/by_customer 1 -> 2", or "refused    linkers/a.lua:3: why".
local function plan_text(line)
  local change = ("%-10s "):format(line.change)
  if line.change == "refused" then
    return ("%s%s: %s"):format(change, place(line.file, line.line), line.message)
  elseif line.change == "changed" then
    return ("%s%s %d -> %d"):format(change, key_of(line), line.old_version, line.version)
  end
  return ("%s%s %d"):format(change, key_of(line), line.version)
end

local function print_plan(output, plan)
  for _, line in ipairs(plan) do
    if output.json then output:object(line) else output:write(plan_text(line), "\n") end
  end
end

local function count_of(plan, change)
  local count = 0
  for _, line in ipairs(plan) do
    if line.change == change then count = count + 1 end
  end
  return count
end

-- "1 new, 2 changed, 4 unchanged"
local function summary(plan)
  local parts = {}
  for _, change in ipairs { "new", "changed", "removed", "unchanged" } do
    local count = count_of(plan, change)
    if count > 0 then parts[#parts + 1] = ("%d %s"):format(count, change) end
  end
  return table.concat(parts, ", ")
end

local function refuse(plan, advice)
  local count = count_of(plan, "refused")
  failure.raise(1, shared.counted(count, "script") .. " refused; nothing was deployed", advice)
end

--- Deploys, prints the plan and what was done.
-- Linkers that were deployed over events which they have not linked.
local function advise_backfill(store, output, plan)
  local first = store:read():stored():first()
  if not first or first.stream == "$scripts" then return end
  for _, line in ipairs(plan) do
    if line.kind == "linker" and (line.change == "new" or line.change == "changed") then
      local word = line.name:find("^[%w%-_.:@]+$") and line.name or input.quote(line.name)
      output:write(("older events are not linked by %s: tycho backfill %s\n"):format(key_of(line),
        word))
    end
  end
end

-- Tells why a deployment failed.
local function fail(output, options, err)
  if type(err) ~= "table" or not err.plan then error(err, 0) end
  print_plan(output, err.plan)
  output:flush()
  local is_type = options.rollback and err.script and err.script:find("^event_type/")
  refuse(err.plan, is_type and rollback_advice or "correct it, and deploy again")
end

-- Opens the store for a plan; where it is yet to be made, the plan is that of an empty one.
local function open_for_plan(arguments, options)
  local is_there, store = pcall(shared.open, arguments, "read_only")
  if is_there then return store end
  if not options.sources or not store.what:find("^there is no store") then error(store, 0) end
  shared.warn(store.what .. ": this is what would be done in a new one")
  return tycho.temporary()
end

-- Opens the store, which is made when there is none, but not by what would be refused in it.
local function open(arguments, output, options)
  if arguments.dry_run then return open_for_plan(arguments, options) end
  local is_there, store = pcall(shared.open, arguments, "existing")
  if is_there or not options.sources then return is_there and store or error(store, 0) end
  local ok, err = pcall(deploy_scripts.check_new, options.sources, options.remove)
  if not ok then fail(output, options, err) end
  return shared.open(arguments, "create")
end

local function carry_out(arguments, output, options)
  options.dry_run = arguments.dry_run
  local store <close> = open(arguments, output, options)
  local ok, plan = pcall(store.deploy, store, options)
  if not ok then fail(output, options, plan) end
  print_plan(output, plan)
  output:flush()
  if count_of(plan, "refused") > 0 then refuse(plan, "correct it, and deploy again") end
  if output.json then return end
  if #plan == 0 then return output:write("nothing to deploy\n") end
  local is_idle = count_of(plan, "unchanged") == #plan
  local done = is_idle and "nothing to deploy" or arguments.dry_run and "would deploy" or "deployed"
  output:write(done, ": ", summary(plan), "\n")
  if not arguments.dry_run and not options.restore then advise_backfill(store, output, plan) end
end

local deploy = { name = "deploy" }

function deploy.define(command)
  command:summary "Deploy scripts: event types, linkers and read models"
  command:description [[
Makes the scripts those of the store: from then on every process that opens it runs them, for each
batch and each read. A folder is a project: *.lua in its events/, linkers/ and read_models/, each
with one definition. All are deployed in one batch, or none when one is refused. What is deployed
and not named stays.]]
  command:argument("path", "Files and folders"):args "*":argname "PATH"
  command:flag("--dry-run", "Say what would be done, and change nothing")
  command:option("--remove", "A script that is to go; may be repeated"):argname "KIND/NAME"
    :count "*"
  command:flag("--restore", "Deploy what the history says, after an import that was cut off")
end

-- "linker/by_customer" is right, or usage.
local function check_key(key)
  local kind, name = key:match("^([^/]*)/(.+)$")
  if kind == "event_type" or kind == "linker" or kind == "read_model" then return kind, name end
  failure.usage(("%q names no script"):format(key),
    "name it like event_type/OrderPlaced, linker/by_customer or read_model/Orders")
end

function deploy.run(arguments, output)
  local has_work = #arguments.path > 0 or #arguments.remove > 0
  if arguments.restore and has_work then failure.usage("deploy: --restore goes alone") end
  if not arguments.restore and not has_work then
    failure.usage("deploy: no file or folder is named", "see: tycho help deploy")
  end
  for _, key in ipairs(arguments.remove) do check_key(key) end
  if arguments.restore then return carry_out(arguments, output, { restore = true }) end
  -- Read before the store is opened, which may be made by that.
  local sources = {}
  if #arguments.path > 0 then
    for _, item in ipairs(deploy_scripts.read(arguments.path)) do
      sources[item.label] = item.source
    end
  end
  carry_out(arguments, output, { sources = sources, remove = arguments.remove })
end

-- ---------------------------------------------------------------- scripts: list and show

local scripts = { name = "scripts" }

function scripts.define(command)
  command:summary "List, show, compare and roll back the deployed scripts"
  command:command_target "action"
  command:require_command(false)
  command:command("list", "What is deployed (default)")
  local function key(action, args)
    action:argument("key", "Such as linker/by_customer"):argname "KIND/NAME":args(args or 1)
    return action
  end
  local function version(action, flag, text)
    action:option(flag, text):argname "N":convert(shared.integer(flag, 1))
  end
  version(key(command:command("show", "The source of a script")), "--version",
    "That version, of the history")
  local diff = command:command("diff", "How files differ from what is deployed, or versions do")
  diff:argument("path", "Files and folders, or one KIND/NAME"):args "+":argname "PATH"
  version(diff, "--from", "A version of KIND/NAME; default: the one before")
  version(diff, "--to", "A version of KIND/NAME; default: the last")
  key(command:command("history", "What was deployed and removed, and when"), "?")
  local rollback = key(command:command("rollback", "Deploy an earlier version of a script again"))
  version(rollback, "--to", "That version; default: the one before")
  rollback:flag("--dry-run", "Say what would be done, and change nothing")
end

local function show_time(time, _, output) return output:time(time) end

local function list(arguments, output)
  local store <close> = shared.open(arguments, "read_only")
  local rows = output:rows {
    { key = "kind" }, { key = "name" }, { key = "version", right = true }, { key = "hash" },
    { key = "deployed_at", text = show_time },
  }
  for _, info in ipairs(store:scripts()) do rows:add(info) end
  rows:flush()
end

-- What the history has of a script, at least one.
local function history_of(store, key)
  local found = store:script_history(check_key(key))
  if #found == 0 then
    failure.raise(4, ("there is no script %s"):format(key), "see: tycho scripts")
  end
  return found
end

-- The last entry of that version; nil: the last of any that was deployed.
local function pick(history, key, version)
  for index = #history, 1, -1 do
    local entry = history[index]
    local is_it = version == entry.version or not version
    if is_it and entry.change == "deployed" then return entry, index end
  end
  failure.raise(4, ("%s never had a version %d"):format(key, version),
    "see: tycho scripts history " .. key)
end

local function show(arguments, output)
  local store <close> = shared.open(arguments, "read_only")
  local history = history_of(store, arguments.key)
  if not arguments.version and history[#history].change == "removed" then
    failure.raise(4, arguments.key .. " was removed", ("see its last source with --version %d")
      :format(history[#history].version))
  end
  local entry = pick(history, arguments.key, arguments.version)
  if output.json then return output:object(entry) end
  output:write(entry.source, entry.source:find("\n$") and "" or "\n")
end

local function history(arguments, output)
  local store <close> = shared.open(arguments, "read_only")
  local rows = output:rows {
    { key = "position", right = true }, { key = "time", text = show_time }, { key = "change" },
    { key = "kind" }, { key = "name" }, { key = "version", right = true }, { key = "hash" },
  }
  local found = arguments.key and history_of(store, arguments.key) or store:script_history()
  for _, entry in ipairs(found) do
    if output.json then entry.source = nil end
    rows:add(entry)
  end
  rows:flush()
end

local function rollback(arguments, output)
  local key = arguments.key
  check_key(key)
  carry_out(arguments, output, {
    rollback = arguments.to and { [key] = arguments.to } or { key },
  })
end

-- ---------------------------------------------------------------- scripts: diff

-- For systems without diff: what is between the equal lines at the start and at the end.
local function own_diff(old, new)
  local a, b = {}, {}
  for line in (old.source .. "\n"):gmatch("([^\n]*)\n") do a[#a + 1] = line end
  for line in (new.source .. "\n"):gmatch("([^\n]*)\n") do b[#b + 1] = line end
  local first, last_a, last_b = 1, #a, #b
  while first <= math.min(last_a, last_b) and a[first] == b[first] do first = first + 1 end
  while math.min(last_a, last_b) >= first and a[last_a] == b[last_b] do
    last_a, last_b = last_a - 1, last_b - 1
  end
  local lines = {
    "--- " .. old.label, "+++ " .. new.label,
    ("@@ -%d,%d +%d,%d @@"):format(first, last_a - first + 1, first, last_b - first + 1),
  }
  for index = first, last_a do lines[#lines + 1] = "-" .. a[index] end
  for index = first, last_b do lines[#lines + 1] = "+" .. b[index] end
  return table.concat(lines, "\n") .. "\n"
end

-- Runs diff -u; whether the texts differ. Labels are shown in place of the names of files.
local function print_diff(output, old, new)
  if old.source == new.source then return false end
  output:flush()
  local paths = {}
  for index, side in ipairs { old, new } do
    paths[index] = os.tmpname()
    local file <close> = assert(io.open(paths[index], "wb"))
    assert(file:write(side.source))
  end
  local line = ("diff -u --label %s --label %s %s %s 2>/dev/null"):format(input.quote(old.label),
    input.quote(new.label), input.quote(paths[1]), input.quote(paths[2]))
  local pipe <close> = assert(io.popen(line, "r"))
  local text = pipe:read("a")
  os.remove(paths[1])
  os.remove(paths[2])
  output:write(text ~= "" and text or own_diff(old, new))
  return true
end

local function diff_versions(store, arguments, output)
  local key = arguments.path[1]
  local found = history_of(store, key)
  local new, index = pick(found, key, arguments.to)
  local old = { source = "", version = 0 }
  if arguments.from then
    old = pick(found, key, arguments.from)
  else
    for before = index - 1, 1, -1 do
      if found[before].version ~= new.version then
        old = found[before]
        break
      end
    end
  end
  return print_diff(output, { source = old.source, label = ("%s %d"):format(key, old.version) },
    { source = new.source, label = ("%s %d"):format(key, new.version) })
end

local function diff_files(store, arguments, output)
  local is_different = false
  for _, item in ipairs(deploy_scripts.read(arguments.path)) do
    local script <close> = compile(item)
    local deployed = store:script(script.kind, script.name)
    local old = { source = "", label = key_of(script) .. " (not deployed)" }
    if deployed then
      old = { source = deployed.source, label = ("%s %d"):format(key_of(script), deployed.version) }
      deployed:close()
    end
    is_different = print_diff(output, old, item) or is_different
  end
  return is_different
end

-- As the program diff: 1 when there are differences.
local function diff(arguments, output)
  local store <close> = shared.open(arguments, "read_only")
  local first = arguments.path[1]
  local kind = first:match("^([^/]*)/")
  local is_key = kind == "event_type" or kind == "linker" or kind == "read_model"
  if is_key and #arguments.path == 1 then return diff_versions(store, arguments, output) and 1 end
  if arguments.from or arguments.to then
    failure.usage("scripts diff: --from and --to need one KIND/NAME")
  end
  return diff_files(store, arguments, output) and 1
end

local actions = { list = list, show = show, diff = diff, history = history, rollback = rollback }

function scripts.run(arguments, output)
  return actions[arguments.action or "list"](arguments, output)
end

-- ---------------------------------------------------------------- check-schema

local check = { name = "check-schema" }

function check.define(command)
  command:summary "Try an event type on the events that are stored"
  command:description [[
Brings each stored event of the type, under its former names too, to the version of FILE, and checks
it as if it were published now. Nothing is changed. It ends with 1 when an event is refused.]]
  command:argument("file", "The script, deployed or not"):argname "FILE"
  command:option("--since", "Only events of this time or later"):argname "TIME"
    :convert(shared.time("--since"))
  command:option("-n --limit", "Only the last so many"):argname "COUNT"
    :convert(shared.integer("--limit", 1))
  command:option("--failures", "How many refused events to show"):argname "COUNT"
    :convert(shared.integer("--failures", 0)):default "10"
end

local function print_failure(output, file, err)
  if output.json then
    return output:object {
      position = err.position, event_id = err.event_id, event_type = err.event_type,
      reason = err.reason, path = err.path, line = err.line,
    }
  end
  local at = err.line and place(file, err.line) .. ": " or ""
  output:write(("%d %s %s: %s%s\n"):format(err.position, err.event_type, err.event_id, at,
    err.reason))
end

function check.run(arguments, output)
  local items = deploy_scripts.read(arguments.file)
  if #items > 1 then
    failure.usage(("check-schema: there are %d scripts in %s"):format(#items, arguments.file),
      "name one file")
  end
  local script <close> = compile(items[1])
  if script.kind ~= "event_type" then
    failure.usage(("check-schema: %s is a %s"):format(arguments.file, script.kind),
      "only event types have a schema")
  end
  local store <close> = shared.open(arguments, "read_only")
  local shown = progress.new("events")
  local ok, found = pcall(store.check_history, store, script, {
    since = arguments.since, limit = arguments.limit, failures_max = arguments.failures,
    progress = function(done, total) shown:update(done, total > 0 and done / total or nil) end,
  })
  shown:finish()
  if not ok then error(found, 0) end
  for _, err in ipairs(found.failures) do print_failure(output, items[1].label, err) end
  if output.json then
    output:object {
      name = script.name, version = script.version, events = found.events, refused = found.refused,
    }
  else
    output:write(("%s of %s: %s refused by version %d\n"):format(shared.counted(found.events,
      "event"), script.name, output.count(found.refused), script.version))
  end
  return found.refused > 0 and 1 or 0
end

return { deploy, scripts, check }
