--- Names of streams made of what comes from outside: paths, names of packages.
local hash = require("tycho").hash

local names = { size_max = 255 }

local function escape(bytes)
  return (bytes:gsub(".", function(byte) return ("%%%02X"):format(byte:byte()) end))
end

-- Bytes that a name may not have, as %XX: controls, and what is not UTF-8.
local function escaped(text)
  text = text:gsub("[%c]", escape)
  local parts, at = {}, 1
  while at <= #text do
    local valid, bad_at = utf8.len(text, at)
    if valid then bad_at = #text + 1 end
    parts[#parts + 1] = text:sub(at, bad_at - 1)
    if not valid then parts[#parts + 1] = escape(text:sub(bad_at, bad_at)) end
    at = bad_at + 1
  end
  return (table.concat(parts):gsub("\xC2[\x80-\x9F]", escape))
end

--- The text as a valid name: unchanged where it is one. Bytes that are not allowed are written as
--- %XX; a longer name is cut, and ends with a hash of the whole.
---@param text string
---@return string
function names.stream(text)
  if #text <= names.size_max and not text:find("[%c\x80-\xff]") then return text end
  local name = escaped(text)
  if #name <= names.size_max then return name end
  local mark = ("%016x"):format(hash(text))
  local last = names.size_max - #mark - 1
  while last > 0 and name:byte(last + 1) & 0xC0 == 0x80 do last = last - 1 end
  return name:sub(1, last) .. "~" .. mark
end

return names
