--- The verb `import`: events of files and other sources into the store, each once.
local failure = require "tycho.command.failure"
local importer = require "tycho.command.importer"
local line_source = require "tycho.command.line_source"
local progress = require "tycho.command.progress"
local shared = require "tycho.command.shared"

local verb = { name = "import" }

local warnings_max = 20

function verb.define(command)
  command:summary "Import events: NDJSON, a dpkg log or a git history"
  command:description [[
Imports events, each once: run it again, or with overlapping files, and what is stored is skipped.

NDJSON: one JSON object a line with "stream", "type", and maybe "time" (RFC 3339 or
microseconds), "data", "metadata", "id", "tags"; or what `tycho export` writes. Files may be gzip.
Without an id, an event is known by its line, and by how many equal lines come before it in the
file.]]
  command:argument("file", "Files; - or none: standard input (dpkg: its logs; git: a directory)")
    :args "*" :argname "FILE"
  command:option("--from", "What the files are"):choices { "ndjson", "dpkg", "git" }
    :default "ndjson"
  command:option("--stream", "Stream of events that name none (git: name of the repository)")
    :argname "NAME"
  command:option("--batch", "Events written together"):argname "COUNT":default "1000"
    :convert(shared.integer("--batch", 1, 10000))
  command:option("--on-error", "What to do with a line that is no event"):choices { "stop", "skip" }
    :default "stop"
end

-- Loaded when they are wanted: each start of the command would pay for them.
local sources = {}

function sources.ndjson(arguments)
  local files = #arguments.file > 0 and arguments.file or { "-" }
  local parser = require("tycho.command.source_ndjson") { stream = arguments.stream }
  return line_source.new(files, parser)
end

function sources.dpkg(arguments)
  local dpkg = require "tycho.command.source_dpkg"
  local files = arguments.file
  if #files == 0 then files = dpkg.default_paths() end
  if #files == 0 then
    failure.raise(4, "there is no /var/log/dpkg.log here", "name the files")
  end
  for _, path in ipairs(files) do
    if path == "-" then return line_source.new(files, dpkg.parser()) end
  end
  return line_source.new(dpkg.by_age(files), dpkg.parser())
end

function sources.git(arguments)
  if #arguments.file > 1 then failure.usage("import --from git takes one directory") end
  return require("tycho.command.source_git").new(arguments.file[1] or ".", arguments.stream)
end

local function report(output, counts, seconds)
  if output.json then
    counts.seconds = seconds
    return output:object(counts)
  end
  local parts = { shared.counted(counts.events, "event") .. " imported" }
  if counts.links > 0 then parts[#parts + 1] = shared.counted(counts.links, "link") end
  if counts.existed > 0 then
    parts[#parts + 1] = output.count(counts.existed) .. " existed already"
  end
  if counts.refused > 0 then
    parts[#parts + 1] = shared.counted(counts.refused, "line") .. " refused"
  end
  local done = counts.events + counts.existed
  output:write(("%s in %.1f s (%s/s)\n"):format(table.concat(parts, ", "), seconds,
    output.count(math.floor(done / math.max(seconds, 0.001)))))
end

function verb.run(arguments, output)
  local source = sources[arguments.from](arguments)
  local store <close> = shared.open(arguments, "create")
  local shown = progress.new("events")
  local warned = 0
  local import <close> = importer.new(store, source, {
    batch = arguments.batch,
    on_error = arguments.on_error,
    progress = function(done, fraction) shown:update(done, fraction) end,
    warn = function(what, advice)
      shown:finish()
      warned = warned + 1
      if warned <= warnings_max then shared.warn(what, advice) end
      if warned == warnings_max then shared.warn("more lines are refused: no longer shown") end
    end,
  })
  -- Most of what an import makes is soon garbage: looked for less often.
  collectgarbage("incremental", 300, 400)
  local ok, err = pcall(import.run, import)
  shown:finish()
  if ok or import.counts.events > 0 then report(output, import.counts, shown:seconds()) end
  if not ok then
    output:flush()
    error(err, 0)
  end
end

return verb
