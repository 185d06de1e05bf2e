--- What the command prints. The same rows go out in one of three ways:
---
---   --json         one JSON object a line
---   a terminal     aligned columns under a head line, cut to the width, times local
---   anything else  columns separated by tabs, uncut, times as RFC 3339 in UTC
---
--- Column names are the keys of the JSON objects. A write that fails ends the program with a
--- failure; a reader that went away ends it quietly (SIGPIPE).
local failure = require "tycho.command.failure"
local terminal = require "tycho.terminal"
local tycho = require "tycho"

---@class tycho.command.Output
---@field json boolean
---@field terminal boolean   standard output is one, and text is wanted
---@field width integer?     columns of the terminal
---@field color boolean
local Output = {}
Output.__index = Output

---@param json boolean
---@return tycho.command.Output
local function new(json)
  local is_terminal = not json and terminal.is_terminal(1)
  local no_color = os.getenv("NO_COLOR")
  return setmetatable({
    json = json and true or false,
    terminal = is_terminal,
    width = is_terminal and terminal.width() or nil,
    color = is_terminal and (no_color == nil or no_color == "") and os.getenv("TERM") ~= "dumb",
  }, Output)
end

local function check_written(ok, message)
  if not ok then
    failure.raise(1, "standard output cannot be written: " .. message, "check where it goes")
  end
end

--- Writes strings as they are.
function Output.write(_, ...)
  check_written(io.stdout:write(...))
end

function Output.flush()
  check_written(io.stdout:flush())
end

--- One JSON object as a line.
function Output:object(value)
  self:write(tycho.json.encode(value), "\n")
end

--- Microseconds as a person or a program wants to read them.
---@param time integer
---@return string
function Output:time(time)
  if not self.terminal then return tycho.format_time(time) end
  local representable, text = pcall(os.date, "%Y-%m-%d %H:%M:%S", time // 1000000)
  if not representable then return tycho.format_time(time) end
  return ("%s.%03d"):format(text, time % 1000000 // 1000)
end

--- 1234567 as "1,234,567".
---@param number integer
---@return string
function Output.count(number)
  local digits = ("%d"):format(number)
  local head, rest = digits:match("^(%-?%d%d?%d?)(.*)$")
  while #rest % 3 ~= 0 do
    head, rest = digits:sub(1, #head - 1), digits:sub(#head)
  end
  return head .. rest:gsub("(%d%d%d)", ",%1")
end

--- Bytes as "12.3 MiB".
function Output.bytes(size)
  local units, unit = { "B", "KiB", "MiB", "GiB", "TiB" }, 1
  while size >= 1024 and unit < #units do
    size, unit = size / 1024, unit + 1
  end
  return (unit == 1 and "%d %s" or "%.1f %s"):format(size, units[unit])
end

local function length(text)
  return utf8.len(text) or #text
end

--- Cuts text to a number of characters; the last one then shows that something is missing.
local function cut(text, characters)
  if length(text) <= characters then return text end
  local at = utf8.len(text) and utf8.offset(text, math.max(characters, 1)) or characters
  return text:sub(1, at - 1) .. "…"
end

--- C1 controls would be obeyed by some terminals; names have no other controls, JSON neither.
local function printable(text)
  return (text:gsub("\xC2[\x80-\x9F]", "?"))
end

--- A list of rows. `columns` are tables with `key` (of the object), `right` (aligned so) and
--- `text(value, object)` (how it is written; default tostring).
---@class tycho.command.Rows
local Rows = {}
Rows.__index = Rows

local rows_held = 100 -- rows that are looked at to find the widths

function Output:rows(columns)
  return setmetatable({ output = self, columns = columns, held = {} }, Rows)
end

local function cell(column, object, output)
  local value = object[column.key]
  if column.text then return printable(column.text(value, object, output)) end
  if value == nil or value == tycho.null then return "" end
  return printable(tostring(value))
end

--- Adds one row, given as the object that --json prints.
function Rows:add(object)
  local output = self.output
  if output.json then return output:object(object) end
  local cells = {}
  for index, column in ipairs(self.columns) do
    cells[index] = cell(column, object, output)
  end
  if not output.terminal then
    for index, text in ipairs(cells) do cells[index] = text:gsub("[\t\r\n]", " ") end
    return output:write(table.concat(cells, "\t"), "\n")
  end
  if self.widths then return self:print(cells) end
  self.held[#self.held + 1] = cells
  if #self.held >= rows_held then self:flush() end
end

--- Prints what is held back to find the widths.
function Rows:flush()
  if #self.held > 0 and not self.widths then
    self.widths = {}
    local heads = {}
    for index, column in ipairs(self.columns) do heads[index] = column.key end
    table.insert(self.held, 1, heads)
    for _, cells in ipairs(self.held) do
      for index, text in ipairs(cells) do
        self.widths[index] = math.max(self.widths[index] or 0, length(text))
      end
    end
    for index, cells in ipairs(self.held) do self:print(cells, index == 1) end
    self.held = {}
  end
  self.output:flush()
end

function Rows:print(cells, is_head)
  local output, parts, left = self.output, {}, self.output.width or math.huge
  for index, text in ipairs(cells) do
    if left < 1 then break end
    local wide = math.min(self.widths[index], left)
    text = cut(text, wide)
    local pad = (" "):rep(wide - length(text))
    if self.columns[index].right then
      text = pad .. text
    elseif index < #cells then
      text = text .. pad
    end
    parts[#parts + 1] = text
    left = left - wide - 2
  end
  local line = table.concat(parts, "  ")
  if is_head and output.color then line = "\27[1m" .. line .. "\27[0m" end
  output:write(line, "\n")
end

--- Facts about one thing, as lines "name  value"; with --json the object itself. `names` gives
--- the order; `texts[name]` how a value is written.
function Output:facts(object, names, texts)
  if self.json then return self:object(object) end
  local wide = 0
  for _, name in ipairs(names) do wide = math.max(wide, #name) end
  for _, name in ipairs(names) do
    local value = object[name]
    if value ~= nil and value ~= tycho.null then
      local text = texts and texts[name] and texts[name](value, self) or tostring(value)
      local separator = self.terminal and (" "):rep(wide - #name + 2) or "\t"
      self:write(name, separator, printable(text), "\n")
    end
  end
end

return { new = new, count = Output.count, bytes = Output.bytes }
