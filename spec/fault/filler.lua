--- A process that appends until it is refused, and says how: lua5.4 filler.lua STORE BYTES LIMIT
---
--- Prints "acknowledged COUNT", "refused CODE", then what still works afterwards in the same
--- process: "head N", "findings N", "read N". LIMIT is the most batches to try. When the store
--- cannot be opened, that is all it says.

local tycho = require "tycho"

local path, bytes, limit = table.unpack(arg)
local is_open, store = pcall(tycho.open, path)
if not is_open then
  print("acknowledged 0")
  print("refused " .. (type(store) == "string" and store or store.code))
  os.exit(0)
end
local text = ("x"):rep(math.tointeger(tonumber(bytes)))
local count, code = 0, "nothing"
for index = 1, math.tointeger(tonumber(limit)) do
  local ok, err = pcall(store.append, store, "filled", {
    { id = ("e%d-1"):format(index), type = "filled", data = { text = text } },
    { id = ("e%d-2"):format(index), type = "filled", data = { text = text } },
  })
  if not ok then
    code = type(err) == "string" and err or err.code
    break
  end
  count = index
end
print("acknowledged " .. count)
print("refused " .. code)
print("head " .. store:head())
print("findings " .. #store:verify().findings)
local seen = 0
for event in store:read():stream("filled"):each() do
  assert(event.data.text == text)
  seen = seen + 1
end
print("read " .. seen)
store:close()
