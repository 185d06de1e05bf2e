--- A process that holds snapshots open until it is killed: lua5.4 reader.lua STORE COUNT

local tycho = require "tycho"

local path, count = table.unpack(arg)
local store = tycho.open(path, { sync = "none" })
local snapshots = {}
for index = 1, math.tointeger(tonumber(count)) do
  snapshots[index] = store:snapshot()
  snapshots[index]:read():first()
end
io.stdout:write("reading\n")
io.stdout:flush()
store:wait(math.maxinteger, 60)
