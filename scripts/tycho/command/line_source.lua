--- Items of `import.lua` from the lines of files, one file after the other; blank lines are
--- nothing. What a line means is known by a parser: `start()` at each file, `item(line)`.
local input = require "tycho.command.input"

---@class tycho.command.LineSource
---@field fraction fun(self): number?   of all the work that is done
local LineSource = {}
LineSource.__index = LineSource

---@param paths string[]
---@param parser { start: fun(), item: fun(line: string): table?, string?, string? }
local function new(paths, parser)
  return setmetatable({ paths = paths, parser = parser, index = 0 }, LineSource)
end

-- Where an item is from: the number of the file and the number of the line, in one integer.
local line_bits = 40

-- Opens the next file; nil when there is none.
function LineSource:open()
  self.index = self.index + 1
  local path = self.paths[self.index]
  if not path then return nil end
  self.file = input.open(path)
  self.parser.start()
  return self.file
end

--- The next item and its size; false, message, advice for a bad line; nil at the end.
function LineSource:next()
  local file = self.file or self:open()
  while file do
    local line = file:line()
    if not line then
      file:close()
      file = self:open()
    elseif line ~= "" then
      local item, message, advice = self.parser.item(line)
      if item then
        item.at = self.index << line_bits | file.line_number
        return item, #line
      elseif line:find("%S") then
        return false, message, advice
      end
    end
  end
  self.file = nil
end

--- "file:line" of an item that was given, or of the line read last.
function LineSource:place(item)
  if not item then return ("%s:%d"):format(self.file.name, self.file.line_number) end
  local path = self.paths[item.at >> line_bits]
  return ("%s:%d"):format(path == "-" and "standard input" or path, item.at & (1 << line_bits) - 1)
end

--- How much of the file that is read is done, 0 to 1, or nil when nobody knows.
function LineSource:fraction()
  local file = self.file
  if not file or not file.size or file.size == 0 or #self.paths > 1 then return nil end
  return file:done() / file.size
end

function LineSource:close()
  if self.file then self.file:close() end
  self.file = nil
end

return { new = new }
