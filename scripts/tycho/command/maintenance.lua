--- The verbs that look after a store: `verify`, `backup`, `stats`.
local failure = require "tycho.command.failure"
local input = require "tycho.command.input"
local progress = require "tycho.command.progress"
local shared = require "tycho.command.shared"
local tycho = require "tycho"

local verify = { name = "verify" }

function verify.define(command)
  command:summary "Prove every index against every record"
  command:description [[
Checks all checksums, counts and indexes. It ends with 5 when something is damaged.]]
  command:flag("--in-process", "Check in this process: damaged pages may end it"):hidden(true)
end

-- The command line of this program, as it was started, up to the script.
local function own_command()
  local words, first = {}, 0
  while arg[first - 1] do first = first - 1 end
  for index = first, 0 do words[#words + 1] = input.quote(arg[index]) end
  return table.concat(words, " ")
end

local function check(arguments, output)
  local store <close> = shared.open(arguments, "read_only")
  local shown = progress.new("records")
  local found = store:verify(function(done, total)
    shown:update(done, total > 0 and done / total or nil)
  end)
  shown:finish()
  for _, text in ipairs(found.findings) do
    if output.json then output:object { finding = text } else output:write(text, "\n") end
  end
  local count = #found.findings
  if output.json then
    output:object { events = found.events, findings = count, ok = count == 0 }
  elseif count == 0 then
    output:write(("%s events and their indexes are sound\n"):format(output.count(found.events)))
  end
  output:flush()
  if count > 0 then
    failure.raise(5, shared.counted(count, "finding") .. " in " .. store:path(),
      "restore a backup, or save what can be read: tycho export")
  end
end

--- Runs itself again as a child, because LMDB ends the process when it meets a damaged page.
function verify.run(arguments, output)
  if arguments.in_process then return check(arguments, output) end
  local path = shared.store_path(arguments)
  output:flush()
  local _, how, code = os.execute(("exec %s --store %s%s verify --in-process"):format(
    own_command(), input.quote(path), arguments.json and " --json" or ""))
  if how ~= "signal" then return code end
  if code == 2 or code == 13 or code == 15 then return 128 + code end
  failure.raise(5, ("the check of %s was ended by signal %d: its pages are damaged"):format(path,
    code), "restore a backup; a copy may still give events: tycho export")
end

local backup = { name = "backup" }

function backup.define(command)
  command:summary "Copy the store, while it is used, into a new directory"
  command:argument("path", "The directory to be made"):argname "PATH"
end

function backup.run(arguments, output)
  local store <close> = shared.open(arguments, "read_only")
  local ok, err = pcall(store.backup, store, arguments.path)
  if not ok and failure.code(err) == "busy" then
    failure.raise(1, failure.text(err), "choose a path where nothing is yet")
  elseif not ok then
    error(err, 0)
  end
  local copy <close> = tycho.open(arguments.path, { mode = "read_only" })
  local stats = copy:stats()
  if output.json then
    return output:object { path = copy:path(), events = stats.events, file_size = stats.file_size }
  end
  output:write(("%s events, %s in %s\n"):format(output.count(stats.events),
    output.bytes(stats.file_size), copy:path()))
end

local stats = { name = "stats" }

function stats.define(command)
  command:summary "Show numbers about the store"
end

local stats_order = {
  "path", "format", "events", "streams", "types", "tags", "entries", "links", "routes", "rows",
  "sequence", "file_size", "free_size", "map_size", "readers", "readers_max", "reader_lag",
}

function stats.run(arguments, output)
  local store <close> = shared.open(arguments, "read_only")
  local object = {}
  for name, value in pairs(store:stats()) do
    if type(name) == "string" then object[name] = value end
  end
  object.path = store:path()
  -- Of this process, which has just begun: they say nothing here.
  object.commits, object.commit_batches = nil, nil
  local texts = {}
  if output.terminal then
    for _, name in ipairs(stats_order) do
      local is_size = name:find("_size$")
      if name ~= "path" then texts[name] = is_size and output.bytes or output.count end
    end
  end
  output:facts(object, stats_order, texts)
end

return { verify, backup, stats }
