--- What several verbs share: opening the store, checking arguments, warning.
local event_line = require "tycho.command.event_line"
local failure = require "tycho.command.failure"
local output = require "tycho.command.output"
local tycho = require "tycho"

local shared = {}

--- The path of the store: --store or $TYCHO_STORE.
---@return string
function shared.store_path(arguments)
  local path = arguments.store or os.getenv("TYCHO_STORE")
  if not path or path == "" then
    failure.usage("no store is named", "pass --store PATH, or set TYCHO_STORE")
  end
  return path
end

--- Opens the store that the arguments name.
---@param arguments table
---@param mode "create"|"existing"|"read_only"
---@return tycho.Store
function shared.open(arguments, mode)
  local path = shared.store_path(arguments)
  local ok, store = pcall(tycho.open, path, { mode = mode })
  if ok then return store end
  if failure.code(store) == "not_found" then
    failure.raise(4, "there is no store at " .. path,
      "check --store or TYCHO_STORE; the first write makes it, such as: tycho import FILE")
  end
  local problem = failure.from(store)
  failure.raise(problem.exit, ("the store %s: %s"):format(path, problem.what), problem.advice)
end

--- A converter of argparse for whole numbers within bounds.
function shared.integer(name, least, most)
  return function(text)
    local number = text:find("^%-?%d+$") and math.tointeger(tonumber(text))
    if number and number >= least and number <= (most or math.maxinteger) then return number end
    local wanted = most and ("from %d to %d"):format(least, most) or ("from %d on"):format(least)
    return nil, ("%s: %q is not a whole number %s"):format(name, text, wanted)
  end
end

--- A converter of argparse for lengths of time.
function shared.seconds(name)
  return function(text)
    local seconds = text:find("^%d*%.?%d*$") and tonumber(text)
    if seconds and seconds < 1e9 then return seconds end
    return nil, ("%s: %q is no number of seconds"):format(name, text)
  end
end

--- A converter of argparse for times.
function shared.time(name)
  return function(text)
    local time, message = event_line.time(text)
    if time then return time end
    return nil, name .. ": " .. message
  end
end

--- A converter of argparse for JSON.
function shared.json(name)
  return function(text)
    local ok, value = pcall(tycho.json.decode, text)
    if ok then return { value = value } end
    return nil, ("%s is not JSON: %s"):format(name, failure.text(value))
  end
end

--- A converter of argparse for expected versions.
function shared.expected_version(text)
  if text == "any" or text == "none" or text == "auto" or text == "exists" then return text end
  local revision = text:find("^%d+$") and math.tointeger(tonumber(text))
  if revision then return revision end
  return nil, ("--expected-version: %q is not any, none, exists, auto or a revision"):format(text)
end

--- "1 event", "1,234 events".
function shared.counted(count, noun)
  return ("%s %s%s"):format(output.count(count), noun, count == 1 and "" or "s")
end

--- Says something that is no failure, in the form of one.
function shared.warn(what, advice)
  io.stderr:write("tycho: ", what, "\n", advice and advice .. "\n" or "")
end

return shared
