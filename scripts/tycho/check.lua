--- Checks of arguments. Whatever fails raises at the line of the first caller outside of the
--- library (see own() in bindings/lua/error.c), and names the argument and its value.
local core = require "tycho.core"

core.own()

local check = {}

local EXPECTED = { none = -1, any = -2, auto = -2, exists = -3 }
local RAW, SKIP_DUPLICATES, KEEP_REVISIONS, CLOSED = 1, 2, 4, 8
local ON_DUPLICATE = { "error", "skip" }
local NO_OPTIONS = {}
local SHOWN_MAX = 60

--- Raises a refusal, a tycho.Error: what is the matter, and what to do about it.
function check.refuse(code, what, advice)
  local message = ("%s; %s"):format(what, advice)
  error(core.refusal { code = code, message = message, what = what, advice = advice }, 0)
end

local function describe(value)
  local kind = type(value)
  if kind == "string" then
    if #value > SHOWN_MAX then value = value:sub(1, SHOWN_MAX) .. "..." end
    return string.format("%q", value)
  end
  if kind == "number" or kind == "boolean" or kind == "nil" then return tostring(value) end
  return kind
end

local function fail(name, wanted, value)
  core.misuse(string.format("%s must be %s, got %s", name, wanted, describe(value)))
end

--- The object itself, when it is of the class; methods called with a dot are told so.
function check.self(object, class)
  if getmetatable(object) ~= class then
    core.misuse(string.format("%s expected, got %s (call methods with ':')", class.__name,
      describe(object)))
  end
  return object
end

--- A string that is not empty.
function check.name(value, name)
  if type(value) ~= "string" or value == "" then fail(name, "a string that is not empty", value) end
  return value
end

function check.string(value, name)
  if type(value) ~= "string" then fail(name, "a string", value) end
  return value
end

function check.integer(value, name, low)
  local integer = math.type(value) and math.tointeger(value)
  if not integer or integer < low then
    fail(name, low == math.mininteger and "an integer" or "an integer of at least " .. low, value)
  end
  return integer
end

function check.time(value, name)
  local time = check.integer(value, name, math.mininteger)
  if time == math.maxinteger then fail(name, "below 2^63 - 1", value) end
  return time
end

--- A number of seconds as milliseconds, rounded up.
function check.seconds(value, name)
  if type(value) ~= "number" or not (value >= 0 and value < 1e9) then
    fail(name, "a number of seconds from 0", value)
  end
  return math.ceil(value * 1000)
end

function check.boolean(value, name)
  if value ~= nil and type(value) ~= "boolean" then fail(name, "true or false", value) end
  return value or false
end

function check.table(value, name)
  if type(value) ~= "table" then fail(name, "a table", value) end
  return value
end

function check.callable(value, name)
  local meta = getmetatable(value)
  if type(value) ~= "function" and not (type(meta) == "table" and meta.__call) then
    fail(name, "a function", value)
  end
  return value
end

--- A string, or a list of strings, as a new list.
function check.names(value, name)
  if type(value) == "string" then return { check.name(value, name) } end
  if type(value) ~= "table" then fail(name, "a string or a list of strings", value) end
  local list = {}
  for i = 1, #value do list[i] = check.name(value[i], ("%s[%d]"):format(name, i)) end
  if next(value, #list > 0 and #list or nil) ~= nil then
    for key in pairs(value) do
      if math.type(key) ~= "integer" or key < 1 or key > #list then
        fail(name, "a list of strings", value)
      end
    end
  end
  return list
end

--- The arguments of a call f("a", "b") or f{"a", "b"} as a new list.
function check.arguments(name, ...)
  local count = select("#", ...)
  if count == 1 then return check.names((...), name) end
  return check.names({ n = nil, ... }, name)
end

--- One of the choices (a list), or `default` when it is nil.
function check.choice(value, name, choices, default)
  if value == nil then return default end
  for _, choice in ipairs(choices) do
    if value == choice then return value end
  end
  fail(name, 'one of "' .. table.concat(choices, '", "') .. '"', value)
end

--- The options, to be read only; names that are not in the list `known` are refused.
function check.options(options, known)
  if options == nil then return NO_OPTIONS end
  if type(options) ~= "table" then fail("options", "a table", options) end
  for name in pairs(options) do
    local is_known = false
    for _, candidate in ipairs(known) do is_known = is_known or candidate == name end
    if not is_known then
      local near = core.nearest(tostring(name), known)
      core.misuse(("there is no option %s (%s)"):format(describe(name),
        near and ("did you mean '%s'?"):format(near) or "known: " .. table.concat(known, ", ")))
    end
  end
  return options
end

--- An expected version as the engine has it.
function check.expected_version(value)
  if value == nil then return EXPECTED.any end
  if EXPECTED[value] then return EXPECTED[value] end
  local revision = math.type(value) and math.tointeger(value)
  if not revision or revision < -1 then
    fail("expected_version", '"any", "none", "auto", "exists" or a revision', value)
  end
  return revision
end

--- The flags of an operation.
function check.flags(options)
  local flags = check.boolean(options.raw, "raw") and RAW or 0
  local on_duplicate = check.choice(options.on_duplicate, "on_duplicate", ON_DUPLICATE)
  if on_duplicate == "skip" then flags = flags | SKIP_DUPLICATES end
  if check.boolean(options.keep_revisions, "keep_revisions") then flags = flags | KEEP_REVISIONS end
  if check.boolean(options.closed, "closed") then flags = flags | CLOSED end
  return flags
end

local function check_item(item, place)
  check.table(item, place)
  check.options(item, { "types", "tags" })
  return {
    types = check.names(item.types or {}, place .. ".types"),
    tags = check.names(item.tags or {}, place .. ".tags"),
  }
end

--- A query, one item or a list of them, as a new list of items.
function check.query(query)
  check.table(query, "query")
  if #query == 0 then return { check_item(query, "query") } end
  local items = {}
  for i, item in ipairs(query) do items[i] = check_item(item, ("query[%d]"):format(i)) end
  return items
end

return check
