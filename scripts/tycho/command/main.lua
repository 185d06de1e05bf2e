--- The program `tycho`: parses the command line, runs the verb, prints what failed.
---
--- A verb is a table: `name`, `define(command)`, which describes its arguments to argparse, and
--- `run(arguments, output, parser, commands, dispatch)`, which gives an exit code or nil for 0.
--- Whatever it raises is printed here, in two lines, and decides the exit code (failure.lua).
local argparse = require "argparse"
local terminal = require "tycho.terminal"
local tycho = require "tycho"
local failure = require "tycho.command.failure"
local output = require "tycho.command.output"

local files = {
  "import", "export", "write", "read", "list", "switch", "lock", "scripts", "backfill", "model",
  "maintenance", "repl", "rpc", "completion",
}

-- In the order of the help text.
local order = {
  "import", "export", "publish", "read", "event", "streams", "types", "link", "unlink", "delete",
  "route", "rename", "merge", "split", "deploy", "backfill", "scripts", "check-schema", "model",
  "lock",
  "locks", "verify", "salvage", "backup", "compress", "stats", "repl", "rpc", "completion", "help",
}

local verbs = {}
for _, name in ipairs(files) do
  local file = require("tycho.command." .. name)
  for _, verb in ipairs(file.name and { file } or file) do verbs[verb.name] = verb end
end

-- argparse prints and exits by itself; here everything is a failure, one with exit 0 too.
local function raise_text(text)
  error({ exit = 0, text = text }, 0)
end

local function add_help(parser)
  parser:add_help {
    description = "Show this help and end.",
    action = function() raise_text(parser:get_help()) end,
  }
end

local function make_parser()
  local parser = argparse("tycho", "Tycho, an embeddable event store.", [[
The store is --store or $TYCHO_STORE; the first write makes it. Exit codes: 0 done, 1 failed,
2 wrong usage, 3 version conflict or condition, 4 not found, 5 corrupt, 75 busy: try again.]])
  parser:help_max_width(100):usage_max_width(100):add_help(false)
  add_help(parser)
  parser:command_target "verb"
  parser:option("-s --store", "Directory of the store; default: $TYCHO_STORE"):argname "PATH"
  parser:flag("--json", "One JSON object a line")
  parser:flag("--version", "Show the version and end")
    :action(function() raise_text("tycho " .. tycho.version) end)
  local commands = {}
  for _, name in ipairs(order) do
    local command = parser:command(name):add_help(false)
    add_help(command)
    verbs[name].define(command)
    commands[name] = command
  end
  return parser, commands
end

local function parse(parser, words)
  parser.error = function(self, message)
    if message == "a command is required" then message = "no verb is given" end
    local what, guess = message:match("^(.-)\n(.*)$")
    local verb = self._parent and self._name
    failure.usage((verb and verb .. ": " or "") .. (what or message),
      (guess and guess .. " " or "") .. "see: tycho help" .. (verb and " " .. verb or ""))
  end
  return parser:parse(words)
end

--- Parses the words of a command line and runs the verb: its exit code. Raises failures.
local function dispatch(words)
  local parser, commands = make_parser()
  local arguments = parse(parser, words)
  local verb = verbs[arguments.verb]
  local printed = output.new(arguments.json)
  if not verb.keeps_interrupt then terminal.default_signals() end
  local code = verb.run(arguments, printed, parser, commands, dispatch)
  printed:flush()
  return code or 0
end

local function print_failure(err)
  if type(err) == "table" and err.text then
    io.stdout:write(err.text, "\n")
    return 0
  elseif type(err) == "string" and err:find("interrupted!$") then
    return 130
  end
  local problem = failure.from(err)
  io.stdout:flush()
  io.stderr:write("tycho: ", problem.what, "\n", problem.advice and problem.advice .. "\n" or "")
  return problem.exit
end

local function trace(err)
  if os.getenv("TYCHO_TRACE") then io.stderr:write(debug.traceback(tostring(err), 2), "\n") end
  return err
end

local words = table.move(arg, 1, #arg, 1, {})
local ok, result = xpcall(dispatch, trace, words)
os.exit(ok and result or print_failure(result), true)
