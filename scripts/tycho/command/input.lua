--- Lines of files, read in blocks: plain, gzip (through the program gzip), or standard input
--- ("-"). A line has at most `line_size_max` bytes.
local failure = require "tycho.command.failure"

local find, sub = string.find, string.sub

local input = {}

input.line_size_max = 32 << 20
local block_size = 256 << 10

--- A word of a command line of sh that stands for exactly these bytes.
---@param word string
---@return string
function input.quote(word)
  return "'" .. word:gsub("'", "'\\''") .. "'"
end

---@class tycho.command.Input
---@field name string     as it is shown in messages
---@field line_number integer   of the line given last
---@field size integer?   bytes of content, as far as known
local Input = {}
Input.__index = Input

local function fail_to_read(name, message)
  failure.raise(message:find("^No such file") and 4 or 1,
    ("%s cannot be read: %s"):format(name, message), "check its name and permissions")
end

-- A pipe with the content of a gzip file, and the size of it, as the file itself has it at its end.
local function open_gzip(path, file, start)
  file:seek("end", -4)
  local tail = file:read(4)
  local from = ""
  if file == io.stdin then
    file:seek("set", start)
  else
    file:close()
    from = "< " .. input.quote(path)
  end
  local pipe, message = io.popen("exec gzip -dc 2>/dev/null " .. from, "r")
  if not pipe then fail_to_read(path, message) end
  return pipe, tail and #tail == 4 and ("<I4"):unpack(tail) or nil
end

-- Looks at the first bytes; those of a pipe cannot be read again.
local function open_file(self, path)
  local file = io.stdin
  if path ~= "-" then
    local opened, message = io.open(path, "rb")
    if not opened then fail_to_read(path, message:sub(#path + 3)) end
    file = opened
  end
  file:setvbuf("no")
  local start = file:seek()
  local magic, read_message = file:read(2)
  if read_message then fail_to_read(path, read_message) end
  self.size = file:seek("end")
  if not self.size then
    self.block = magic or ""
    self:check_start()
  elseif magic == "\x1f\x8b" then
    self.is_gzip = true
    self.file, self.size = open_gzip(path, file, start)
    return
  else
    file:seek("set", start)
  end
  self.file = file
end

--- Opens a file ("-": standard input); the first bytes say whether it is gzip.
---@param path string
---@return tycho.command.Input
function input.open(path)
  local self = setmetatable({
    name = path, line_number = 0, before = 0, at = 1, block = "", is_open = true,
  }, Input)
  if path == "-" then self.name = "standard input" end
  open_file(self, path)
  return self
end

--- Appends the next block to what is left of the present one; false at the end of the file.
function Input:more()
  local rest = self.block:sub(self.at)
  if #rest > input.line_size_max then
    failure.raise(1, ("%s:%d: the line is longer than %d bytes"):format(
      self.name, self.line_number + 1, input.line_size_max),
      "check that the file has one JSON object a line")
  end
  -- A long line is fetched in blocks as long as what is there, so that it costs linear time.
  local block, message = self.file:read(math.max(block_size, #rest))
  if not block then
    if message then fail_to_read(self.name, message) end
    self:finish()
    return false
  end
  self.before = self.before + self.at - 1
  self.block, self.at = rest .. block, 1
  self.has_returns = self.block:find("\r", 1, true) ~= nil
  if self.line_number == 0 then self:check_start() end
  return true
end

-- What cannot be read is recognised by its first bytes.
function Input:check_start()
  local block = self.block
  if block:sub(1, 2) == "\x1f\x8b" then
    failure.usage(self.name .. " is compressed",
      "give the file's name, or pipe it through: gzip -dc")
  elseif block:sub(1, 2) == "\xff\xfe" or block:sub(1, 2) == "\xfe\xff" then
    failure.raise(1, self.name .. " is UTF-16", "convert it with: iconv -f UTF-16 -t UTF-8")
  elseif block:sub(1, 3) == "\xEF\xBB\xBF" then
    self.at = 4
  end
end

-- A damaged or cut off gzip file is only known when gzip has ended.
function Input:finish()
  if not self.is_gzip or not self.is_open then return end
  self.is_open = false
  if not self.file:close() then
    failure.raise(1, ("%s:%d: the gzip file is damaged or cut off here"):format(
      self.name, self.line_number), "fetch the file again; what was read until here is imported")
  end
end

-- Where the next line ends, in the block that it then begins at `at` of; nil at the end of input.
function Input:find_end()
  local searched = #self.block - self.at + 2
  while self:more() do
    -- What was there was searched already; it now begins the block.
    local stop = self.block:find("\n", math.max(self.at, searched), true)
    if stop then return stop end
    searched = #self.block + 1
  end
  if self.at <= #self.block then return #self.block + 1 end
end

--- The next line without its end ("\n" or "\r\n"), or nil.
---@return string?
function Input:line()
  local stop = find(self.block, "\n", self.at, true) or self:find_end()
  if not stop then return nil end
  local block, first, last = self.block, self.at, stop - 1
  self.at, self.line_number = stop + 1, self.line_number + 1
  if self.has_returns and block:byte(last) == 13 and last >= first then last = last - 1 end
  return sub(block, first, last)
end

--- Bytes of content that are read, up to the line given last.
---@return integer
function Input:done()
  return self.before + self.at - 1
end

function Input:close()
  if self.is_open and self.file ~= io.stdin then self.file:close() end
  self.is_open = false
end
Input.__close = Input.close

return input
