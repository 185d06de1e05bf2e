--- The verbs that list names: `streams` and `types`.
local shared = require "tycho.command.shared"

local function define_list(command)
  command:argument("prefix", "Only names that begin with it"):args "?"
  command:option("--after", "Only names behind this one"):argname "NAME"
  command:option("-n --limit", "At most so many"):argname "COUNT"
    :convert(shared.integer("--limit", 1))
end

local function list_options(arguments)
  return { prefix = arguments.prefix, after = arguments.after, limit = arguments.limit }
end

local streams = { name = "streams" }

function streams.define(command)
  command:summary "List the streams"
  define_list(command)
end

function streams.run(arguments, output)
  local store <close> = shared.open(arguments, "read_only")
  local rows = output:rows {
    { key = "count", right = true },
    { key = "revision", right = true },
    { key = "stream" },
  }
  for stream, count, revision in store:streams(list_options(arguments)) do
    rows:add { stream = stream, count = count, revision = revision }
  end
  rows:flush()
end

local types = { name = "types" }

function types.define(command)
  command:summary "List the types of events"
  define_list(command)
end

function types.run(arguments, output)
  local store <close> = shared.open(arguments, "read_only")
  local rows = output:rows { { key = "count", right = true }, { key = "event_type" } }
  for name, count in store:types(list_options(arguments)) do
    rows:add { event_type = name, count = count }
  end
  rows:flush()
end

return { streams, types }
