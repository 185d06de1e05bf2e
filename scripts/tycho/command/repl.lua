--- The verb `repl`: a Lua prompt with the store as `store`.
---
--- What is typed is a chunk: an expression prints its values, a statement runs; an unfinished one
--- is continued on the next line. Locals last for one chunk, globals for the session. A line that
--- begins with a dot is a verb of the command (.read orders --limit 5), or .quit. An error ends the
--- chunk, Ctrl-C too, the end of input the session.
local event_line = require "tycho.command.event_line"
local failure = require "tycho.command.failure"
local shared = require "tycho.command.shared"
local terminal = require "tycho.terminal"
local tycho = require "tycho"

local verb = { name = "repl", keeps_interrupt = true }

function verb.define(command)
  command:summary "A Lua prompt with the store open as `store`"
  command:description [[
Runs Lua with the store as `store` and the module as `tycho`: at a prompt, from standard input, or
given with -e. The store is made if it does not exist.]]
  command:option("-e --execute", "Run this and end"):argname "CODE":count "*"
end

local shown_max, depth_max = 20, 4

local show

local function is_identifier(key)
  return type(key) == "string" and key:find("^[%a_][%w_]*$") ~= nil
end

-- Keys in an order that does not change: array part first, then by kind and value.
local function sorted_keys(value)
  local keys = {}
  for key in pairs(value) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b)
    local kind_a, kind_b = type(a), type(b)
    if kind_a ~= kind_b then return kind_a < kind_b end
    if kind_a == "number" or kind_a == "string" then return a < b end
    return tostring(a) < tostring(b)
  end)
  return keys
end

local function show_table(value, depth, path)
  if path[value] then return "{ (itself) }" end
  if depth > depth_max then return "{ ... }" end
  path[value] = true
  local parts, keys = {}, sorted_keys(value)
  for index, key in ipairs(keys) do
    if index > shown_max then
      parts[#parts + 1] = ("... %d more"):format(#keys - shown_max)
      break
    end
    local name = ""
    if is_identifier(key) then
      name = key .. " = "
    elseif math.type(key) ~= "integer" or key ~= index then
      name = ("[%s] = "):format(show(key, depth + 1, path))
    end
    parts[index] = name .. show(value[key], depth + 1, path)
  end
  path[value] = nil
  return #parts == 0 and "{}" or "{ " .. table.concat(parts, ", ") .. " }"
end

local function is_event(value)
  local metatable = getmetatable(value)
  return type(metatable) == "table" and metatable.__name == "tycho.Event"
end

--- A value as Lua would write it, as far as it can; events as their JSON.
---@param value any
---@return string
function show(value, depth, path)
  depth, path = depth or 1, path or {}
  if value == tycho.null then return "null" end
  if type(value) == "string" then
    return (("%q"):format(value):gsub("\\\n", "\\n"))
  elseif is_event(value) then
    return tycho.json.encode(event_line.from_event(value))
  elseif type(value) == "table" then
    local metatable = getmetatable(value)
    if not (metatable and metatable.__tostring) then return show_table(value, depth, path) end
  end
  return tostring(value)
end

-- Compiles a chunk: as an expression if it is one. nil, message, unfinished.
local function compile(text, environment)
  local chunk = load("return " .. text, "=repl", "t", environment)
  if chunk then return chunk end
  local message
  chunk, message = load(text, "=repl", "t", environment)
  return chunk, message, message and message:find("<eof>'?$") ~= nil
end

-- Runs a chunk and prints its values. false, error when it fails.
local function run(chunk, output)
  local results = table.pack(xpcall(chunk, function(err)
    if type(err) ~= "string" then return err end
    return (err:gsub("^repl:%d+: ", ""))
  end))
  if not results[1] then return false, results[2] end
  for index = 2, results.n do
    output:write(show(results[index]), index < results.n and "\t" or "\n")
  end
  return true
end

-- Lines from the editor of lines on a terminal, else from standard input.
local function line_reader()
  local is_terminal = terminal.is_terminal(0) and terminal.is_terminal(1)
  local found, editor = pcall(require, "tycho.line_editor")
  if not is_terminal then
    return function() return io.stdin:read("l") end, function() end, false
  elseif not found then
    return function(prompt)
      io.stdout:write(prompt)
      io.stdout:flush()
      return io.stdin:read("l")
    end, function() end, true
  end
  local home = os.getenv("HOME")
  local path = home and home .. "/.tycho_history"
  if path then editor.load(path) end
  return editor.read, function(text)
    editor.remember(text)
    if path then editor.save(path, 1000) end
  end, true
end

local help_text = [[
An expression prints its values; `store` is the store, `tycho` the module:
  store:read():stream("orders"):backward():limit(5):all()
.help            this                      .read STREAM --limit 5   and the other verbs:
.quit            end (also Ctrl-D)         .streams .types .event .stats .publish .help read
]]

-- A line with a dot: a verb of the command, its words split at spaces, 'quoted' ones kept whole.
local function dot_command(line, context)
  local words = {}
  local rest = line:sub(2)
  while rest:find("%S") do
    local word, after = rest:match("^%s*'([^']*)'(.*)$")
    if not word then word, after = rest:match('^%s*"([^"]*)"(.*)$') end
    if not word then word, after = rest:match("^%s*(%S+)(.*)$") end
    words[#words + 1], rest = word, after
  end
  if words[1] == "quit" or words[1] == "exit" then return false end
  if words[1] == nil or words[1] == "help" and not words[2] then
    context.output:write(help_text)
    return true
  end
  if words[1] == "repl" or words[1] == "rpc" then failure.usage("not from here: ." .. words[1]) end
  table.insert(words, 1, "--store")
  table.insert(words, 2, context.path)
  context.dispatch(words)
  return true
end

local function complain(err)
  local problem = failure.from(err)
  io.stderr:write("tycho: ", problem.what, "\n")
end

-- Reads lines until they make a chunk. nil at the end of input.
local function read_chunk(read, environment)
  local text = read("> ")
  if not text or text:find("^%s*%.%a") then return text end
  while true do
    local chunk, message, is_unfinished = compile(text, environment)
    if not is_unfinished then return text, chunk, message end
    local more = read(">> ")
    if not more then return text, nil, message end
    text = text .. "\n" .. more
  end
end

local function loop(output, context, environment)
  local read, remember, is_terminal = line_reader()
  if is_terminal then
    output:write(("Tycho %s, %s. Lua, with the store as `store`; .help\n"):format(tycho.version,
      context.path))
  end
  while true do
    local is_read, text, chunk, message = pcall(read_chunk, read, environment)
    if not is_read then
      if not tostring(text):find("interrupted!", 1, true) then error(text, 0) end
      output:write("\n")
    elseif not text then
      if is_terminal then output:write("\n") end
      return 0
    else
      if text:find("%S") then remember(text) end
      local ok, err
      if text:find("^%s*%.%a") then
        ok, err = pcall(dot_command, text:match("^%s*(.*)$"), context)
        if ok and not err then return 0 end
      elseif chunk then
        ok, err = run(chunk, output)
      else
        ok, err = not text:find("%S"), message
      end
      output:flush()
      if not ok then
        complain(err)
        if not is_terminal then return 1 end
      end
    end
  end
end

function verb.run(arguments, output, _, _, dispatch)
  local store <close> = shared.open(arguments, "create")
  local environment = setmetatable({ store = store, tycho = tycho }, { __index = _G })
  if #arguments.execute > 0 then
    for _, code in ipairs(arguments.execute) do
      local chunk, message = compile(code, environment)
      if not chunk then failure.usage(message:gsub("^repl:", "-e:"), "correct the Lua code") end
      local ok, err = run(chunk, output)
      if not ok then error(err, 0) end
    end
    return 0
  end
  return loop(output, { output = output, path = store:path(), dispatch = dispatch }, environment)
end

return verb
