--- Values as Lua source: literal({ a = { 1, "x" } }) is '{ 1, "x" }' written so that it can be run.

local function key_text(key)
  if type(key) == "string" and key:match("^[%a_][%w_]*$") then return key end
  return ("[%q]"):format(key)
end

local function string_text(text)
  local first = text:sub(1, 1)
  if #text > 40 and text == first:rep(#text) then return ("(%q):rep(%d)"):format(first, #text) end
  return (("%q"):format(text):gsub("\\\n", "\\n"))
end

local function literal(value)
  if type(value) == "string" then return string_text(value) end
  if type(value) ~= "table" then return tostring(value) end
  local parts, keys = {}, {}
  for index, member in ipairs(value) do parts[index] = literal(member) end
  for key in pairs(value) do
    if math.type(key) ~= "integer" or key < 1 or key > #parts then keys[#keys + 1] = key end
  end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  for _, key in ipairs(keys) do
    parts[#parts + 1] = key_text(key) .. " = " .. literal(value[key])
  end
  return #parts == 0 and "{}" or "{ " .. table.concat(parts, ", ") .. " }"
end

return literal
