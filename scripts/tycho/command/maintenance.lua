--- The verbs that look after a store: `verify`, `salvage`, `backup`, `compress`, `stats`.
local failure = require "tycho.command.failure"
local input = require "tycho.command.input"
local progress = require "tycho.command.progress"
local shared = require "tycho.command.shared"
local tycho = require "tycho"

local verify = { name = "verify" }

function verify.define(command)
  command:summary "Prove every index against every record"
  command:description [[
Checks all pages, checksums, counts and indexes. It ends with 5 when something is damaged. A store
that is too damaged to be opened is looked at as tycho salvage does.]]
  command:flag("--in-process", "Check in this process: damaged pages may end it"):hidden(true)
end

-- The command line of this program, as it was started, up to the script.
local function own_command()
  local words, first = {}, 0
  while arg[first - 1] do first = first - 1 end
  for index = first, 0 do words[#words + 1] = input.quote(arg[index]) end
  return table.concat(words, " ")
end

local function show_findings(findings, output)
  for _, text in ipairs(findings) do
    if output.json then output:object { finding = text } else output:write(text, "\n") end
  end
end

local counts = { "events", "events_lost", "entries", "entries_lost", "rows", "rows_lost" }

local function raise_damage(count, path)
  failure.raise(5, ("%s in %s"):format(shared.counted(count, "finding"), path),
    "restore a backup, or save what is intact: tycho salvage DAMAGED NEW")
end

-- What is hurt in a store that does not open.
local function look(path, why, output)
  local found = tycho.salvage(path)
  if #found.findings == 0 then found.findings[1] = why end
  show_findings(found.findings, output)
  if output.json then
    output:object { events = found.events, findings = #found.findings, ok = false }
  else
    output:write(("%s of %s events are intact\n"):format(output.count(found.events),
      output.count(found.head)))
  end
  output:flush()
  raise_damage(#found.findings, path)
end

local function check(arguments, output)
  local path = shared.store_path(arguments)
  local ok, opened = pcall(tycho.open, path, { mode = "read_only" })
  if not ok and failure.code(opened) == "corrupt" then
    return look(path, failure.text(opened), output)
  end
  local store <close> = ok and opened or shared.open(arguments, "read_only")
  local shown = progress.new("records")
  local found = store:verify(function(done, total)
    shown:update(done, total > 0 and done / total or nil)
  end)
  shown:finish()
  show_findings(found.findings, output)
  local count = #found.findings
  if output.json then
    output:object { events = found.events, findings = count, ok = count == 0 }
  elseif count == 0 then
    output:write(("%s events and their indexes are sound\n"):format(output.count(found.events)))
  end
  output:flush()
  if count > 0 then raise_damage(count, store:path()) end
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
    code), "restore a backup, or save what is intact: tycho salvage DAMAGED NEW")
end

local salvage = { name = "salvage" }

function salvage.define(command)
  command:summary "Save what is intact of a damaged store into a new one"
  command:description [[
Reads the damaged store without trusting it, saves every intact event with its id, position and
stream, and makes everything else anew. It tells what is lost, and ends with 0 all the same.]]
  command:argument("damaged", "The directory of the damaged store"):argname "DAMAGED"
  command:argument("path", "The directory to be made"):argname "NEW"
end

function salvage.run(arguments, output)
  local ok, saved = pcall(tycho.salvage, arguments.damaged, arguments.path)
  if not ok and failure.code(saved) == "busy" then
    failure.raise(1, failure.text(saved), "choose a path where nothing is yet")
  elseif not ok then
    error(saved, 0)
  end
  show_findings(saved.findings, output)
  local object = { path = arguments.path, findings = #saved.findings }
  for _, name in ipairs(counts) do object[name] = saved[name] end
  if output.json then return output:object(object) end
  output:write(("%s of %s events, %s entries and %s rows are in %s\n"):format(
    output.count(saved.events), output.count(saved.head), output.count(saved.entries),
    output.count(saved.rows), arguments.path))
end

local backup = { name = "backup" }

function backup.define(command)
  command:summary "Copy the store, while it is used, into a new directory"
  command:argument("path", "The directory to be made"):argname "PATH"
  command:flag("--verify", "Then verify the copy, as tycho verify does")
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
  if arguments.verify then
    local findings = copy:verify().findings
    show_findings(findings, output)
    if #findings > 0 then raise_damage(#findings, copy:path()) end
  end
  if output.json then
    return output:object { path = copy:path(), events = stats.events, file_size = stats.file_size }
  end
  output:write(("%s events, %s in %s\n"):format(output.count(stats.events),
    output.bytes(stats.file_size), copy:path()))
end

local compress = { name = "compress" }

function compress.define(command)
  command:summary "Store later events compressed"
  command:description [[
Learns a dictionary from the events of the store; from then on, data and metadata are stored
compressed by it, where that makes them smaller. Nothing is stored anew, and nobody who reads sees
a difference. Once more, when events have changed, learns the next dictionary. What 10 events of
the sample or more have in common may stay in the dictionary, in clear.]]
  command:mutex(
    command:option("--sample", "Learn from so many events, evenly from all the log"):argname "N"
      :convert(shared.integer("--sample", 1, 100000)),
    command:flag("--off", "Store later events as they are again"))
end

function compress.run(arguments, output)
  local store <close> = shared.open(arguments, "existing")
  local ok, percent = pcall(store.compress, store, { sample = arguments.sample,
    off = arguments.off })
  if not ok and failure.code(percent) == "not_found" then
    failure.raise(4, failure.text(percent.what or percent),
      "try again when there are more events, and more that are like others")
  end
  if not ok then error(percent, 0) end
  local dictionary = store:stats().dictionary
  if output.json then return output:object { dictionary = dictionary, percent = percent } end
  if arguments.off then return output:write("later events are stored as they are\n") end
  output:write(("dictionary %d compresses later events, to about %d %%\n"):format(dictionary,
    percent))
end

local stats = { name = "stats" }

function stats.define(command)
  command:summary "Show numbers about the store"
end

local stats_order = {
  "path", "format", "events", "streams", "types", "tags", "entries", "links", "routes", "rows",
  "sequence", "dictionary", "file_size", "free_size", "map_size", "readers", "readers_max",
  "reader_lag",
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

return { verify, salvage, backup, compress, stats }
