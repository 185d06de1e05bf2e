--- The verbs that move streams while others write: `rename`, `merge`, `split`. The work is done by
--- scripts/tycho/stream_switch.lua; here is what is said about it.
---
--- Ctrl-C ends the work between two batches; the same command goes on with it.
local failure = require "tycho.command.failure"
local input = require "tycho.command.input"
local output = require "tycho.command.output"
local progress = require "tycho.command.progress"
local shared = require "tycho.command.shared"
local tycho = require "tycho"

local chunk_max = require("tycho.pace").chunk_max

local function seconds(name)
  return function(text)
    local number = tonumber(text)
    if number and number >= 0 and number < 1e9 then return number end
    return nil, ("%s: %q is not a number of seconds"):format(name, text)
  end
end

local function define_shared(command)
  command:option("--chunk", "Entries that are linked in one batch; default: up to 5000")
    :argname "COUNT":convert(shared.integer("--chunk", 1, chunk_max))
  command:option("--pause", "Seconds between two batches; default: some while others write")
    :argname "SECONDS":convert(seconds("--pause"))
  command:flag("--dry-run", "Say what would be done, and change nothing")
  command:flag("--cancel", "Take the links out again of one that has not switched yet")
  command:flag("--delete-source", "Then remove the old entries; the events stay")
end

local function check_alone(arguments, ...)
  local given
  for _, name in ipairs { ... } do
    if arguments[name] then
      local word = "--" .. name:gsub("_", "-")
      if given then failure.usage(("%s and %s exclude each other"):format(given, word)) end
      given = word
    end
  end
end

local function quoted(names)
  local list = {}
  for index, name in ipairs(names) do list[index] = ("%q"):format(name) end
  return table.concat(list, ", ")
end

local function entries(count)
  return count == 1 and "1 entry" or output.count(count) .. " entries"
end

-- A word for the command line that is advised.
local function shell_word(word)
  return word:find("^[%w%-_./:@]+$") and word or input.quote(word)
end

local function shell_words(list)
  local quoted_list = {}
  for index, word in ipairs(list) do quoted_list[index] = shell_word(word) end
  return table.concat(quoted_list, " ")
end

local routes_shown = 5

-- The names that lead to the target, now or later: "a" and 2 routes (r, s).
local function names_text(status)
  local text = quoted(status.sources)
  if #status.routes == 0 then return text end
  local shown = table.concat(status.routes, ", ", 1, math.min(#status.routes, routes_shown))
  if #status.routes > routes_shown then shown = shown .. ", ..." end
  return ("%s and %s (%s)"):format(text, shared.counted(#status.routes, "route"), shown)
end

local function say_plan(status, verb)
  local text = ("%s of %s would be linked"):format(entries(status.left), quoted(status.sources))
  if verb ~= "split" then text = ("%s into %q"):format(text, status.target) end
  return ("%s, then %s would lead to %q\nnothing was changed\n"):format(text,
    names_text(status), status.target)
end

-- What holds now, in one sentence, and what can be done about it.
local function say_done(status, verb, words)
  if status.phase == "planned" then return say_plan(status, verb) end
  if status.phase == "cancelled" then
    return ("the %s is cancelled, and its links are taken out: nothing leads to %q\n"):format(verb,
      status.target)
  end
  local is_one = #status.sources + #status.routes == 1
  local text = ("%s of %s linked; %s now lead%s to %q"):format(entries(status.linked),
    quoted(status.sources), names_text(status), is_one and "s" or "", status.target)
  if not status.forward then text = text .. "; the old name refuses writers" end
  if status.phase == "deleted" then return text .. "; the old entries are deleted\n" end
  if verb == "rename" then
    words = shell_word(status.sources[1]) .. " " .. shell_word(status.target)
    text = ("%s\nundo: tycho rename %s --undo"):format(text, words)
  end
  return ("%s\ndelete the old entries: tycho %s %s --delete-source\n"):format(text, verb, words)
end

local function print_status(printed, status, verb, words)
  if not printed.json then return printed:write(say_done(status, verb, words)) end
  status.sources, status.routes = tycho.array(status.sources), tycho.array(status.routes)
  status.rate, status.eta = nil, nil
  printed:object(status)
end

local function is_interrupt(err) return type(err) == "string" and err:find("interrupted!$") end

--- Runs a switch under the eyes of the user.
local function run(arguments, printed, verb, options, words)
  check_alone(arguments, "cancel", "undo", "dry_run", "delete_source")
  options.chunk, options.pause = arguments.chunk, arguments.pause
  options.cancel, options.dry_run = arguments.cancel, arguments.dry_run
  options.delete_source = arguments.delete_source
  local store <close> = shared.open(arguments, arguments.dry_run and "read_only" or "existing")
  local shown, last = progress.new("entries"), nil
  options.progress = function(status)
    last = status
    shown:update(status.linked, status.total > 0 and status.linked / status.total or nil)
  end
  local ok, status = pcall(store[verb], store, options)
  shown:finish()
  if ok then return print_status(printed, status, verb, words) end
  if not is_interrupt(status) then error(status, 0) end
  local what = "interrupted before it began"
  if last and last.phase == "linking" then
    what = ("interrupted: %s of %s linked"):format(output.count(last.linked),
      entries(last.total))
  elseif last then
    what = "interrupted after the switch"
  end
  failure.raise(130, what, "the same command goes on from here; to give it up: --cancel")
end

local rename = { name = "rename", keeps_interrupt = true }

function rename.define(command)
  command:summary "Give a stream another name, while others write to it"
  command:description [[
Links all entries of SOURCE into TARGET, keeping their revisions, and then lets the name SOURCE and
all routes to it lead to TARGET. Publishers may go on all the time. The old entries stay under the
raw name until they are deleted.]]
  command:argument("source", "The stream"):argname "SOURCE"
  command:argument("target", "Its new name"):argname "TARGET"
  define_shared(command)
  command:flag("--undo", "Go back to the old name, with what was written since")
  command:flag("--no-forward", "Refuse who writes to the old name, instead of leading him on")
end

function rename.run(arguments, printed)
  run(arguments, printed, "rename", {
    source = arguments.source, target = arguments.target, undo = arguments.undo,
    forward = not arguments.no_forward,
  })
end

local merge = { name = "merge", keeps_interrupt = true }

function merge.define(command)
  command:summary "Put several streams into one, while others write to them"
  command:description [[
Links all entries of the SOURCEs into TARGET in the order of their positions, behind what it has,
and then lets the names of the SOURCEs and all routes to them lead to TARGET. Revisions are new.]]
  command:argument("streams", "The streams, and behind them their new name"):args "2+"
    :argname "STREAM"
  command:usage "Usage: tycho merge SOURCE... TARGET [OPTIONS]"
  define_shared(command)
  command:flag("--no-forward", "Refuse who writes to the old names, instead of leading him on")
end

function merge.run(arguments, printed)
  local streams = arguments.streams
  run(arguments, printed, "merge", {
    sources = table.move(streams, 1, #streams - 1, 1, {}), target = streams[#streams],
    forward = not arguments.no_forward,
  }, shell_words(streams))
end

local split = { name = "split", keeps_interrupt = true }

function split.define(command)
  command:summary "Distribute a stream by a rule, while others write to it"
  command:description [[
RULE.lua returns a function that is given each event of SOURCE and gives the name of the stream it
is linked into, or nil. Afterwards the name SOURCE leads to the default stream; without one it
refuses writers.]]
  command:argument("source", "The stream"):argname "SOURCE"
  command:argument("rule", "File of Lua"):argname "RULE.lua"
  command:option("--default", "Where the name leads afterwards"):argname "STREAM"
  define_shared(command)
end

-- The function that the file returns, and a mark of its text.
local function load_rule(path)
  local file, message = io.open(path, "rb")
  if not file then
    failure.raise(4, ("the rule %s cannot be read: %s"):format(path, message:sub(#path + 3)),
      "check its name and permissions")
  end
  local text <const> = file:read("a")
  file:close()
  local chunk, problem = load(text or "", "@" .. path, "t")
  local ok, rule = false, problem
  if chunk then ok, rule = pcall(chunk) end
  if ok and type(rule) == "function" then return rule, ("%016x"):format(tycho.hash(text)) end
  if ok then rule = ("%s: it returns %s"):format(path, rule == nil and "nothing" or type(rule)) end
  failure.raise(1, "the rule is not valid: " .. tostring(rule),
    "it must return a function, such as: return function(event) return event.data.city end")
end

function split.run(arguments, printed)
  local rule, version = load_rule(arguments.rule)
  local words = { arguments.source, arguments.rule }
  if arguments.default then words = { words[1], words[2], "--default", arguments.default } end
  run(arguments, printed, "split", {
    source = arguments.source, rule = rule, rule_version = version, default = arguments.default,
  }, shell_words(words))
end

return { rename, merge, split }
